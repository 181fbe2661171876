/**
 * IPv4 addresses of devices: finding and choosing them.
 *
 * Counterpart of the lookup part of net/ipv4/devinet.c. Adding and deleting is in devinet_addr.ts,
 * requests in devinet_netlink.ts and devinet_ioctl.ts, settings in devinet_sysctl.ts.
 */
import type { InDevice, InIfaddr } from '#include/linux/inetdevice.ts';
import { inDevRouteLocalnet, inetIfaMatch } from '#include/linux/inetdevice.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import { netdevHold, netdevPut } from '#include/linux/netdevice_ref.ts';
import { Flowi4 } from '#include/net/flow.ts';
import { FIB_LOOKUP_NOREF, FibResult } from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { fibGetTable } from '#net/ipv4/fib_frontend_table.ts';
import { fibTableLookup } from '#net/ipv4/fib_trie.ts';
import { IFA_F_SECONDARY } from '#uapi/if_addr.ts';
import { RT_SCOPE_HOST, RT_SCOPE_LINK, RT_TABLE_LOCAL, RTN_LOCAL } from '#uapi/rtnetlink.ts';

/** An address of ours, on whatever device; null: it is not ours. @kernel inet_lookup_ifaddr_rcu net/ipv4/devinet.c */
export function inetLookupIfaddr(net: Net, addr: number): InIfaddr | null {
  return net.ipv4.inetAddrLst.get(addr)?.[0] ?? null;
}

/** The device that has this address; without a reference for the caller. @kernel __ip_dev_find net/ipv4/devinet.c */
export function ipDevFind(net: Net, addr: number): NetDevice | null {
  const ifa = inetLookupIfaddr(net, addr);
  if (ifa !== null) return ifa.ifaDev?.dev ?? null;
  // Addresses of the loopback's subnet are local without being on any list.
  const local = fibGetTable(net, RT_TABLE_LOCAL);
  if (local === null) return null;
  const fl4 = new Flowi4();
  const res = new FibResult();
  fl4.daddr = addr;
  if (fibTableLookup(net, local, fl4, res, FIB_LOOKUP_NOREF) !== 0) return null;
  return res.type === RTN_LOCAL ? (res.nhc?.fibNhDev ?? null) : null;
}

/** @kernel inetdev_by_index net/ipv4/devinet.c */
export function inetdevByIndex(net: Net, ifindex: number): InDevice | null {
  return net.devIndexHead.get(ifindex)?.ipPtr ?? null;
}

/** The primary address of a subnet. @kernel inet_ifa_byprefix net/ipv4/devinet.c */
export function inetIfaByprefix(inDev: InDevice, prefix: number, mask: number): InIfaddr | null {
  for (const ifa of inDev.ifaList) {
    if (ifa.ifaMask === mask && inetIfaMatch(prefix, ifa)) return ifa;
  }
  return null;
}

/** Are both addresses (0: only the first) in one subnet of the device? @kernel inet_addr_onlink net/ipv4/devinet.c */
export function inetAddrOnlink(inDev: InDevice, a: number, b: number): boolean {
  for (const ifa of inDev.ifaList) {
    if (inetIfaMatch(a, ifa) && (b === 0 || inetIfaMatch(b, ifa))) return true;
  }
  return false;
}

/** Scope that addresses of 127/8 count as having. */
function localnetScope(inDev: InDevice): number {
  return inDevRouteLocalnet(inDev) ? RT_SCOPE_LINK : RT_SCOPE_HOST;
}

/** @kernel in_dev_select_addr net/ipv4/devinet.c */
function inDevSelectAddr(inDev: InDevice, scope: number): number {
  for (const ifa of inDev.ifaList) {
    if ((ifa.ifaFlags & IFA_F_SECONDARY) !== 0) continue;
    if (ifa.ifaScope !== RT_SCOPE_LINK && ifa.ifaScope <= scope) return ifa.ifaLocal;
  }
  return 0;
}

/**
 * An address of ours to speak to `dst` (0: anybody) with, by `dev`; of no narrower scope than
 * `scope`. 0: there is none.
 * @kernel inet_select_addr net/ipv4/devinet.c
 */
export function inetSelectAddr(dev: NetDevice, dst: number, scope: number): number {
  const inDev = dev.ipPtr;
  if (inDev !== null) {
    const narrowest = localnetScope(inDev);
    let addr = 0;
    for (const ifa of inDev.ifaList) {
      if ((ifa.ifaFlags & IFA_F_SECONDARY) !== 0) continue;
      if (Math.min(ifa.ifaScope, narrowest) > scope) continue;
      if (dst === 0 || inetIfaMatch(dst, ifa)) return ifa.ifaLocal;
      if (addr === 0) addr = ifa.ifaLocal;
    }
    if (addr !== 0) return addr;
  }
  for (const other of dev.net.devBaseHead) {
    const addr = other.ipPtr === null ? 0 : inDevSelectAddr(other.ipPtr, scope);
    if (addr !== 0) return addr;
  }
  return 0;
}

/** @kernel confirm_addr_indev net/ipv4/devinet.c */
function confirmAddrIndev(inDev: InDevice, dst: number, local: number, scope: number): number {
  const narrowest = localnetScope(inDev);
  let addr = 0;
  let same = false;
  for (const ifa of inDev.ifaList) {
    const minScope = Math.min(ifa.ifaScope, narrowest);
    if (addr === 0 && (local === ifa.ifaLocal || local === 0) && minScope <= scope) {
      addr = ifa.ifaLocal;
      if (same) break;
    }
    if (same) continue;
    same = (local === 0 || inetIfaMatch(local, ifa)) && (dst === 0 || inetIfaMatch(dst, ifa));
    if (!same || addr === 0) continue;
    if (local !== 0 || dst === 0 || inetIfaMatch(addr, ifa)) break;
    if (minScope <= scope) {
      addr = ifa.ifaLocal;
      break;
    }
    // The address and the subnet do not go together: look for a wider one.
    same = false;
  }
  return same ? addr : 0;
}

/**
 * Is `local` (0: any) an address of ours in one subnet with `dst` (0: any)? Returns it, or 0.
 * `inDev` null: on any device.
 * @kernel inet_confirm_addr net/ipv4/devinet.c
 */
export function inetConfirmAddr(
  net: Net,
  inDev: InDevice | null,
  dst: number,
  local: number,
  scope: number,
): number {
  if (inDev !== null) return confirmAddrIndev(inDev, dst, local, scope);
  for (const dev of net.devBaseHead) {
    const addr = dev.ipPtr === null ? 0 : confirmAddrIndev(dev.ipPtr, dst, local, scope);
    if (addr !== 0) return addr;
  }
  return 0;
}

/** @kernel in_dev_hold include/linux/inetdevice.h */
export function inDevHold(inDev: InDevice): void {
  inDev.refcnt++;
}

/** @kernel in_dev_put include/linux/inetdevice.h */
export function inDevPut(inDev: InDevice): void {
  if (--inDev.refcnt === 0) netdevPut(inDev.dev, 'in_device');
}

/** The device's state holds the device as long as it is there. */
export function inDevHoldDev(inDev: InDevice): void {
  netdevHold(inDev.dev, 'in_device');
}

/** @kernel inet_hash_insert net/ipv4/devinet.c */
export function inetHashInsert(net: Net, ifa: InIfaddr): void {
  const list = net.ipv4.inetAddrLst.get(ifa.ifaLocal);
  if (list === undefined) net.ipv4.inetAddrLst.set(ifa.ifaLocal, [ifa]);
  else list.unshift(ifa);
}

/** @kernel inet_hash_remove net/ipv4/devinet.c */
export function inetHashRemove(net: Net, ifa: InIfaddr): void {
  const list = net.ipv4.inetAddrLst.get(ifa.ifaLocal) ?? [];
  const at = list.indexOf(ifa);
  if (at >= 0) list.splice(at, 1);
  if (list.length === 0) net.ipv4.inetAddrLst.delete(ifa.ifaLocal);
}

/** Tells of an address that came, went or changed. @kernel rtmsg_ifa net/ipv4/devinet.c */
export function rtmsgIfa(event: number, ifa: InIfaddr, portid: number): void {
  const net = ifa.ifaDev?.dev.net;
  if (net === undefined) return;
  net.devBaseSeq++;
  net.machine.netGlobals.inetRtnl?.rtmsgIfa(event, ifa, portid);
}
