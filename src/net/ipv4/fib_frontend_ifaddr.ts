/**
 * Routes that addresses bring with them: the local one, the subnet's, the broadcasts.
 *
 * Counterpart of fib_add_ifaddr and fib_del_ifaddr of net/ipv4/fib_frontend.c.
 */
import type { InDevice, InIfaddr } from '#include/linux/inetdevice.ts';
import { inetIfaMatch } from '#include/linux/inetdevice.ts';
import { FibConfig, NlInfo } from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { rtCacheFlush } from '#include/net/route.ts';
import { arpInvalidate } from '#net/ipv4/arp_table.ts';
import { inetIfaByprefix } from '#net/ipv4/devinet.ts';
import { inetAddrTypeDevTable } from '#net/ipv4/fib_frontend.ts';
import { fibNewTable } from '#net/ipv4/fib_frontend_table.ts';
import { fibSyncDownAddr } from '#net/ipv4/fib_semantics_sync.ts';
import { fibTableDelete, fibTableFlush, fibTableInsert } from '#net/ipv4/fib_trie_table.ts';
import { IFF_LOOPBACK, IFF_UP } from '#uapi/if.ts';
import { IFA_F_NOPREFIXROUTE, IFA_F_SECONDARY } from '#uapi/if_addr.ts';
import { INADDR_BROADCAST, ipv4IsZeronet } from '#uapi/in.ts';
import { NLM_F_APPEND, NLM_F_CREATE } from '#uapi/netlink.ts';
import {
  RT_SCOPE_HOST,
  RT_SCOPE_LINK,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RTM_DELROUTE,
  RTM_NEWROUTE,
  RTN_BROADCAST,
  RTN_LOCAL,
  RTN_UNICAST,
  RTPROT_KERNEL,
} from '#uapi/rtnetlink.ts';

/** Takes the routes out that have died. @kernel fib_flush net/ipv4/fib_frontend.c */
export function fibFlush(net: Net): void {
  let flushed = 0;
  for (const tb of net.ipv4.fibTables.values()) flushed += fibTableFlush(tb, false);
  if (flushed > 0) rtCacheFlush(net);
}

/** Adds or deletes one of the kernel's own routes. @kernel fib_magic net/ipv4/fib_frontend.c */
function fibMagic(
  cmd: number,
  type: number,
  dst: number,
  dstLen: number,
  ifa: InIfaddr,
  priority: number,
): void {
  const { dev } = ifa.ifaDev as InDevice;
  const net = dev.net;
  const cfg = new FibConfig(new NlInfo(net));
  cfg.fcProtocol = RTPROT_KERNEL;
  cfg.fcType = type;
  cfg.fcDst = dst >>> 0;
  cfg.fcDstLen = dstLen;
  cfg.fcPriority = priority;
  cfg.fcPrefsrc = ifa.ifaLocal;
  cfg.fcOif = dev.ifindex;
  cfg.fcNlflags = NLM_F_CREATE | NLM_F_APPEND;
  const tb = fibNewTable(net, type === RTN_UNICAST ? RT_TABLE_MAIN : RT_TABLE_LOCAL);
  cfg.fcTable = tb.tbId;
  cfg.fcScope = type === RTN_LOCAL ? RT_SCOPE_HOST : RT_SCOPE_LINK;
  if (cmd === RTM_NEWROUTE) fibTableInsert(net, tb, cfg, null);
  else fibTableDelete(net, tb, cfg, null);
}

function subnetType(ifa: InIfaddr): number {
  const flags = ifa.ifaDev?.dev.flags ?? 0;
  return (flags & IFF_LOOPBACK) !== 0 ? RTN_LOCAL : RTN_UNICAST;
}

/** @kernel fib_add_ifaddr net/ipv4/fib_frontend.c */
export function fibAddIfaddr(ifa: InIfaddr): void {
  const inDev = ifa.ifaDev as InDevice;
  const { dev } = inDev;
  const mask = ifa.ifaMask;
  const prefix = (ifa.ifaAddress & mask) >>> 0;
  const secondary = (ifa.ifaFlags & IFA_F_SECONDARY) !== 0;
  const prim = secondary ? inetIfaByprefix(inDev, prefix, mask) : ifa;
  if (prim === null) return;
  fibMagic(RTM_NEWROUTE, RTN_LOCAL, ifa.ifaLocal, 32, prim, 0);
  if ((dev.flags & IFF_UP) === 0) return;
  if (ifa.ifaBroadcast !== 0 && ifa.ifaBroadcast !== INADDR_BROADCAST) {
    fibMagic(RTM_NEWROUTE, RTN_BROADCAST, ifa.ifaBroadcast, 32, prim, 0);
    arpInvalidate(dev, ifa.ifaBroadcast, false);
  }
  const hasSubnet = prefix !== ifa.ifaLocal || ifa.ifaPrefixlen < 32;
  if (ipv4IsZeronet(prefix) || secondary || !hasSubnet) return;
  if ((ifa.ifaFlags & IFA_F_NOPREFIXROUTE) === 0) {
    fibMagic(RTM_NEWROUTE, subnetType(ifa), prefix, ifa.ifaPrefixlen, prim, ifa.ifaRtPriority);
  }
  if (ifa.ifaPrefixlen < 31) {
    const broadcast = (prefix | ~mask) >>> 0;
    fibMagic(RTM_NEWROUTE, RTN_BROADCAST, broadcast, 32, prim, 0);
    arpInvalidate(dev, broadcast, false);
  }
}

/** Which routes of a deleted address other addresses still need. */
interface Needed {
  local: boolean;
  /** Its broadcast address as set, the last address of its subnet, the first. */
  broadcast: boolean;
  last: boolean;
  first: boolean;
  /** The address is still there, as after a promotion. */
  present: boolean;
}

/** Notes what `other` needs of the routes of `ifa`. */
function noteNeeds(ifa: InIfaddr, other: InIfaddr, isPrimary: boolean, needed: Needed): void {
  const last = (ifa.ifaAddress | ~ifa.ifaMask) >>> 0;
  const first = (ifa.ifaAddress & ifa.ifaMask) >>> 0;
  needed.local ||= ifa.ifaLocal === other.ifaLocal;
  needed.broadcast ||= ifa.ifaBroadcast === other.ifaBroadcast;
  needed.last ||= last === other.ifaBroadcast;
  needed.first ||= first === other.ifaBroadcast;
  if (!isPrimary || other.ifaPrefixlen >= 31) return;
  const last1 = (other.ifaAddress | ~other.ifaMask) >>> 0;
  const first1 = (other.ifaAddress & other.ifaMask) >>> 0;
  if (ipv4IsZeronet(first1)) return;
  needed.broadcast ||= ifa.ifaBroadcast === last1 || ifa.ifaBroadcast === first1;
  needed.last ||= last === last1 || last === first1;
  needed.first ||= first === last1 || first === first1;
}

function sameSubnet(a: InIfaddr, b: InIfaddr): boolean {
  return a.ifaMask === b.ifaMask && inetIfaMatch(a.ifaAddress, b);
}

/**
 * Scans the addresses that stay. Routes carry the primary address of their subnet as source, so only
 * addresses with the same one (`prim`) can need a route of `ifa`.
 */
function scanAddresses(
  inDev: InDevice,
  ifa: InIfaddr,
  prim: InIfaddr,
  iprim: InIfaddr | null,
): Needed {
  const needed: Needed = {
    local: false,
    broadcast: false,
    last: false,
    first: false,
    present: false,
  };
  let prim1: InIfaddr | null = null;
  let samePrefsrc = false;
  for (const ifa1 of inDev.ifaList) {
    if (ifa1 === ifa) {
      needed.present = true;
      continue;
    }
    if (iprim !== null && sameSubnet(ifa1, iprim)) continue;
    if ((ifa1.ifaFlags & IFA_F_SECONDARY) !== 0) {
      if (sameSubnet(ifa1, prim)) {
        prim1 = prim;
      } else {
        if (!samePrefsrc) continue;
        if (prim1 === null || !sameSubnet(ifa1, prim1)) {
          prim1 = inetIfaByprefix(inDev, ifa1.ifaAddress, ifa1.ifaMask);
        }
        if (prim1 === null || prim1.ifaLocal !== prim.ifaLocal) continue;
      }
    } else {
      if (prim.ifaLocal !== ifa1.ifaLocal) continue;
      prim1 = ifa1;
      if (prim !== prim1) samePrefsrc = true;
    }
    noteNeeds(ifa, ifa1, prim1 === ifa1, needed);
  }
  return needed;
}

/**
 * Takes away the routes of an address, except those that others need. `iprim`: the primary address
 * that is being deleted while `ifa` awaits promotion.
 * @kernel fib_del_ifaddr net/ipv4/fib_frontend.c
 */
export function fibDelIfaddr(ifa: InIfaddr, iprim: InIfaddr | null): void {
  const inDev = ifa.ifaDev as InDevice;
  const { dev } = inDev;
  const last = (ifa.ifaAddress | ~ifa.ifaMask) >>> 0;
  const first = (ifa.ifaAddress & ifa.ifaMask) >>> 0;
  let prim = ifa;
  let subnet = false;
  if ((ifa.ifaFlags & IFA_F_SECONDARY) !== 0) {
    const found = inetIfaByprefix(inDev, first, ifa.ifaMask);
    if (found === null || (iprim !== null && iprim !== found)) return;
    prim = found;
  } else if (!ipv4IsZeronet(first) && (first !== ifa.ifaLocal || ifa.ifaPrefixlen < 32)) {
    if ((ifa.ifaFlags & IFA_F_NOPREFIXROUTE) === 0) {
      fibMagic(RTM_DELROUTE, subnetType(ifa), first, ifa.ifaPrefixlen, prim, 0);
    }
    subnet = true;
  }
  const nothing = { local: false, broadcast: false, last: false, first: false, present: false };
  const needed = inDev.dead ? nothing : scanAddresses(inDev, ifa, prim, iprim);
  if (!needed.broadcast) fibMagic(RTM_DELROUTE, RTN_BROADCAST, ifa.ifaBroadcast, 32, prim, 0);
  if (subnet && ifa.ifaPrefixlen < 31) {
    if (!needed.last) fibMagic(RTM_DELROUTE, RTN_BROADCAST, last, 32, prim, 0);
    if (!needed.first) fibMagic(RTM_DELROUTE, RTN_BROADCAST, first, 32, prim, 0);
  }
  if (needed.local) return;
  fibMagic(RTM_DELROUTE, RTN_LOCAL, ifa.ifaLocal, 32, prim, 0);
  const gone = !needed.present && inetAddrTypeDevTable(dev.net, dev, ifa.ifaLocal) !== RTN_LOCAL;
  if (gone && fibSyncDownAddr(dev, ifa.ifaLocal) > 0) fibFlush(dev.net);
}

/** The subnet's route gets another metric. @kernel fib_modify_prefix_metric net/ipv4/fib_frontend.c */
export function fibModifyPrefixMetric(ifa: InIfaddr, newMetric: number): void {
  const prefix = (ifa.ifaAddress & ifa.ifaMask) >>> 0;
  const flags = ifa.ifaDev?.dev.flags ?? 0;
  if (
    (flags & IFF_UP) === 0 ||
    (ifa.ifaFlags & (IFA_F_SECONDARY | IFA_F_NOPREFIXROUTE)) !== 0 ||
    ipv4IsZeronet(prefix) ||
    (prefix === ifa.ifaLocal && ifa.ifaPrefixlen === 32)
  ) {
    return;
  }
  const type = subnetType(ifa);
  fibMagic(RTM_NEWROUTE, type, prefix, ifa.ifaPrefixlen, ifa, newMetric);
  fibMagic(RTM_DELROUTE, type, prefix, ifa.ifaPrefixlen, ifa, ifa.ifaRtPriority);
}
