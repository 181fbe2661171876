/**
 * Adding and deleting addresses, with primaries, secondaries and promotion; and the state of a
 * device's IPv4 as a whole. Counterpart of inet_insert_ifa, inet_del_ifa and inetdev_init of
 * net/ipv4/devinet.c.
 */
import type { InIfaddr } from '#include/linux/inetdevice.ts';
import { InDevice, inDevPromoteSecondaries, inetIfaMatch } from '#include/linux/inetdevice.ts';
import { NETDEV_DOWN, NETDEV_UP, type NetDevice } from '#include/linux/netdevice.ts';
import type { NeighTable } from '#include/net/neighbour.ts';
import type { NetlinkExtAck } from '#include/net/rtnetlink.ts';
import { callRcu } from '#kernel/rcu.ts';
import { neighParmsAlloc, neighParmsRelease } from '#net/core/neighbour_parms.ts';
import { arpIfdown } from '#net/ipv4/arp_table.ts';
import {
  inDevHoldDev,
  inDevPut,
  inetHashInsert,
  inetHashRemove,
  rtmsgIfa,
} from '#net/ipv4/devinet.ts';
import { devinetSysctlRegister, devinetSysctlUnregister } from '#net/ipv4/devinet_conf.ts';
import { addrCheckSoon } from '#net/ipv4/devinet_lifetime.ts';
import { fibAddIfaddr, fibDelIfaddr } from '#net/ipv4/fib_frontend_ifaddr.ts';
import { ipMcDestroyDev, ipMcInitDev, ipMcUp } from '#net/ipv4/igmp_group.ts';
import { EEXIST, EINVAL } from '#uapi/errno.ts';
import { IFF_NOARP, IFF_UP } from '#uapi/if.ts';
import {
  IFA_F_DADFAILED,
  IFA_F_HOMEADDRESS,
  IFA_F_MANAGETEMPADDR,
  IFA_F_NODAD,
  IFA_F_OPTIMISTIC,
  IFA_F_SECONDARY,
  IFA_F_STABLE_PRIVACY,
  IFA_F_TENTATIVE,
} from '#uapi/if_addr.ts';
import { RTM_DELADDR, RTM_NEWADDR } from '#uapi/rtnetlink.ts';

/** @kernel IPV6ONLY_FLAGS net/ipv4/devinet.c */
const IPV6ONLY_FLAGS: number =
  IFA_F_NODAD |
  IFA_F_OPTIMISTIC |
  IFA_F_DADFAILED |
  IFA_F_HOMEADDRESS |
  IFA_F_TENTATIVE |
  IFA_F_MANAGETEMPADDR |
  IFA_F_STABLE_PRIVACY;

function isSecondary(ifa: InIfaddr): boolean {
  return (ifa.ifaFlags & IFA_F_SECONDARY) !== 0;
}

function sameSubnet(a: InIfaddr, b: InIfaddr): boolean {
  return a.ifaMask === b.ifaMask && inetIfaMatch(a.ifaAddress, b);
}

function notify(event: number, ifa: InIfaddr): void {
  const globals = ifa.ifaDev?.dev.net.machine.netGlobals;
  globals?.inetaddrChain.call(event, ifa);
}

/**
 * Adds an address: after the primaries of its scope if it is the first of its subnet, at the end as a
 * secondary if not. 0, -EEXIST, or -EINVAL when the scope differs from the subnet's.
 * @kernel __inet_insert_ifa net/ipv4/devinet.c
 */
export function inetInsertIfa(ifa: InIfaddr, portid: number, extack: NetlinkExtAck | null): number {
  const inDev = ifa.ifaDev as InDevice;
  const list = inDev.ifaList;
  if (ifa.ifaLocal === 0) return 0;
  ifa.ifaFlags &= ~(IFA_F_SECONDARY | IPV6ONLY_FLAGS);
  let lastPrimary = 0;
  for (const [i, ifa1] of list.entries()) {
    if (!isSecondary(ifa1) && ifa.ifaScope <= ifa1.ifaScope) lastPrimary = i + 1;
    if (!sameSubnet(ifa1, ifa)) continue;
    if (ifa1.ifaLocal === ifa.ifaLocal) {
      if (extack !== null) extack.msg = 'ipv4: Address already assigned';
      return -EEXIST;
    }
    if (ifa1.ifaScope !== ifa.ifaScope) {
      if (extack !== null) extack.msg = 'ipv4: Invalid scope value';
      return -EINVAL;
    }
    ifa.ifaFlags |= IFA_F_SECONDARY;
  }
  list.splice(isSecondary(ifa) ? list.length : lastPrimary, 0, ifa);
  inetHashInsert(inDev.dev.net, ifa);
  addrCheckSoon(inDev.dev.net);
  // The message first: listeners learn of the address before its routes.
  rtmsgIfa(RTM_NEWADDR, ifa, portid);
  notify(NETDEV_UP, ifa);
  return 0;
}

/** Takes an address off the list and tells everybody. */
function unlinkIfa(inDev: InDevice, ifa: InIfaddr, portid: number): void {
  const at = inDev.ifaList.indexOf(ifa);
  if (at >= 0) inDev.ifaList.splice(at, 1);
  inetHashRemove(inDev.dev.net, ifa);
  rtmsgIfa(RTM_DELADDR, ifa, portid);
  notify(NETDEV_DOWN, ifa);
}

/** Secondaries of a primary that goes: the first of them when it takes over, null when all go too. */
function promotee(inDev: InDevice, primary: InIfaddr, portid: number): InIfaddr | null {
  const doPromote = inDevPromoteSecondaries(inDev);
  const at = inDev.ifaList.indexOf(primary);
  for (const ifa of inDev.ifaList.slice(at + 1)) {
    if (!isSecondary(ifa) || !sameSubnet(primary, ifa)) continue;
    if (doPromote) return ifa;
    unlinkIfa(inDev, ifa, portid);
  }
  return null;
}

/** Where a promoted address goes: behind the primaries that are as near as the one it follows. */
function promotedIndex(inDev: InDevice, primary: InIfaddr, from: number): number {
  let index = from;
  for (let i = from; i < inDev.ifaList.length; i++) {
    const ifa = inDev.ifaList[i] as InIfaddr;
    if (!isSecondary(ifa) && primary.ifaScope <= ifa.ifaScope) index = i + 1;
  }
  return index;
}

/** @kernel __inet_del_ifa net/ipv4/devinet.c */
export function inetDelIfa(inDev: InDevice, ifa1: InIfaddr, portid: number): void {
  const promote = inDev.dead || isSecondary(ifa1) ? null : promotee(inDev, ifa1, portid);
  const at = inDev.ifaList.indexOf(ifa1);
  if (promote !== null) {
    // All secondaries change their source address: take their routes away while they are listed.
    for (const ifa of inDev.ifaList.slice(inDev.ifaList.indexOf(promote))) {
      if (sameSubnet(ifa1, ifa)) fibDelIfaddr(ifa, ifa1);
    }
  }
  unlinkIfa(inDev, ifa1, portid);
  if (promote === null) return;
  const rest = inDev.ifaList.slice(inDev.ifaList.indexOf(promote) + 1);
  inDev.ifaList.splice(inDev.ifaList.indexOf(promote), 1);
  inDev.ifaList.splice(promotedIndex(inDev, ifa1, at), 0, promote);
  promote.ifaFlags &= ~IFA_F_SECONDARY;
  rtmsgIfa(RTM_NEWADDR, promote, portid);
  notify(NETDEV_UP, promote);
  for (const ifa of rest) if (sameSubnet(ifa1, ifa)) fibAddIfaddr(ifa);
}

/** Gives a device its IPv4. @kernel inetdev_init net/ipv4/devinet.c */
export function inetdevInit(dev: NetDevice): InDevice {
  const { net } = dev;
  const inDev = new InDevice(dev);
  inDev.cnf.set(net.ipv4.devconfDflt);
  inDev.noarp = (dev.flags & IFF_NOARP) !== 0;
  const tbl = net.machine.netGlobals.arpTbl;
  if (tbl !== null) inDev.arpParms = neighParmsAlloc(dev, tbl);
  inDevHoldDev(inDev);
  devinetSysctlRegister(inDev);
  ipMcInitDev(inDev);
  dev.ipPtr = inDev;
  if ((dev.flags & IFF_UP) !== 0) ipMcUp(inDev);
  return inDev;
}

/** @kernel inetdev_destroy net/ipv4/devinet.c */
export function inetdevDestroy(inDev: InDevice): void {
  const { dev } = inDev;
  inDev.dead = true;
  ipMcDestroyDev(inDev);
  for (let ifa = inDev.ifaList[0]; ifa !== undefined; ifa = inDev.ifaList[0]) {
    inetDelIfa(inDev, ifa, 0);
  }
  dev.ipPtr = null;
  devinetSysctlUnregister(inDev);
  const tbl: NeighTable | null = dev.net.machine.netGlobals.arpTbl;
  if (tbl !== null && inDev.arpParms !== null) neighParmsRelease(tbl, inDev.arpParms);
  arpIfdown(dev);
  callRcu(dev.net.machine, () => inDevPut(inDev));
}

/** From now on the device's values do not follow the defaults. @kernel ipv4_devconf_setall include/linux/inetdevice.h */
export function ipv4DevconfSetall(inDev: InDevice): void {
  inDev.cnfState.fill(1);
  inDev.arpParms?.dataState.fill(1);
}
