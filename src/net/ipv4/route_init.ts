/**
 * Routing as the rest of the machine sees it: the operations of IPv4's dst entries, sysctls, and
 * what is set up at boot and in each namespace.
 *
 * Counterpart of ipv4_dst_ops and ip_rt_init of net/ipv4/route.c.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  DST_OBSOLETE_FORCE_CHK,
  type DstEntry,
  type DstOps,
  dstMtu,
  dstSetExpires,
} from '#include/net/dst.ts';
import { __icmpSend } from '#include/net/icmp.ts';
import { IpOptions, ipDstMtuMaybeForward } from '#include/net/ip.ts';
import type { Rtable } from '#include/net/ip_fib.ts';
import { type Neighbour, neighHold } from '#include/net/neighbour.ts';
import type { InetSock, Sock } from '#include/net/sock.ts';
import type { Machine } from '#kernel/machine.ts';
import { view } from '#mm/memory.ts';
import { __neighCreate, __neighLookupNoref } from '#net/core/neighbour.ts';
import { registerPernetSubsys } from '#net/core/net_namespace.ts';
import { pskbNetworkMayPull } from '#net/core/skbuff_copy.ts';
import { skDstReset } from '#net/core/sock.ts';
import { devinetInit } from '#net/ipv4/devinet_init.ts';
import { ipFibInit } from '#net/ipv4/fib_frontend_config.ts';
import { inetpeerInvalidateTree } from '#net/ipv4/inetpeer.ts';
import { rtDelUncachedList, rtIsExpired } from '#net/ipv4/route_cache.ts';
import { ipDoRedirect, ipRtUpdatePmtu } from '#net/ipv4/route_pmtu.ts';
import { ICMP_DEST_UNREACH, ICMP_HOST_UNREACH } from '#uapi/icmp.ts';
import { RTCF_BROADCAST, RTCF_LOCAL, RTCF_MULTICAST, RTCF_REDIRECTED } from '#uapi/in_route.ts';
import { iphdr } from '#uapi/ip.ts';
import { AF_INET } from '#uapi/socket.ts';

/** Headers of IP and TCP, which the segment size leaves out. */
const HEADERS = 40;
/** @kernel IPV4_MAX_PMTU net/ipv4/route.c */
const IPV4_MAX_PMTU = 65535;

/** @kernel ipv4_dst_check net/ipv4/route.c */
function ipv4DstCheck(dst: DstEntry, _cookie: number): DstEntry | null {
  if (dst.obsolete !== DST_OBSOLETE_FORCE_CHK || rtIsExpired(dst as Rtable)) return null;
  return dst;
}

/** @kernel ipv4_default_advmss net/ipv4/route.c */
function ipv4DefaultAdvmss(dst: DstEntry): number {
  const advmss = Math.max(dstMtu(dst) - HEADERS, dst.net.ipv4.sysctlMinAdvmss);
  return Math.min(advmss, IPV4_MAX_PMTU - HEADERS);
}

/** @kernel ipv4_mtu net/ipv4/route.c */
function ipv4Mtu(dst: DstEntry): number {
  return ipDstMtuMaybeForward(dst as Rtable, false);
}

/** @kernel ipv4_dst_destroy net/ipv4/route.c */
function ipv4DstDestroy(dst: DstEntry): void {
  rtDelUncachedList(dst as Rtable);
}

/** The socket's packets get no answer: forget what was learned on the way. @kernel ipv4_negative_advice net/ipv4/route.c */
function ipv4NegativeAdvice(sk: Sock, dst: DstEntry): void {
  const rt = dst as Rtable;
  if (dst.obsolete > 0 || (rt.rtFlags & RTCF_REDIRECTED) !== 0 || dst.expires !== 0) {
    skDstReset(sk);
  }
}

/** The neighbour did not answer. @kernel ipv4_link_failure net/ipv4/route.c */
function ipv4LinkFailure(skb: SkBuff): void {
  // The pull may move the packet to new memory: its header is looked for afterwards.
  if (
    pskbNetworkMayPull(skb, iphdr.LEN) &&
    iphdr.version(view, skb.networkHeader) === 4 &&
    iphdr.ihl(view, skb.networkHeader) >= 5
  ) {
    __icmpSend(skb, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, 0, new IpOptions());
  }
  if (skb.dst !== null) dstSetExpires(skb.dst, 0);
}

/** The neighbour of an address behind the route; no reference. */
function ipNeighGw4(dst: DstEntry, addr: number): Neighbour | null {
  const { dev } = dst;
  const tbl = dst.net.machine.netGlobals.arpTbl;
  if (dev === null || tbl === null) return null;
  const n = __neighLookupNoref(tbl, addr, dev) ?? __neighCreate(tbl, addr, dev, false);
  return typeof n === 'number' ? null : n;
}

/** @kernel ipv4_neigh_lookup net/ipv4/route.c */
function ipv4NeighLookup(dst: DstEntry, skb: SkBuff | null, daddr: number): Neighbour | null {
  const rt = dst as Rtable;
  const last = skb === null ? daddr : iphdr.daddr(view, skb.networkHeader);
  const n = ipNeighGw4(dst, rt.rtGwFamily === AF_INET ? rt.rtGw4 : last);
  if (n !== null) neighHold(n);
  return n;
}

/** @kernel ipv4_confirm_neigh net/ipv4/route.c */
function ipv4ConfirmNeigh(dst: DstEntry, daddr: number): void {
  const rt = dst as Rtable;
  const { dev } = dst;
  const tbl = dst.net.machine.netGlobals.arpTbl;
  const viaGateway = rt.rtGwFamily === AF_INET;
  const direct = (rt.rtFlags & (RTCF_MULTICAST | RTCF_BROADCAST | RTCF_LOCAL)) === 0;
  if (dev === null || tbl === null || (!viaGateway && (daddr === 0 || !direct))) return;
  const n = __neighLookupNoref(tbl, viaGateway ? rt.rtGw4 : daddr, dev);
  if (n !== null) n.confirmed = tbl.machine.jiffies;
}

/** @kernel ipv4_dst_ops net/ipv4/route.c */
const ipv4DstOps: DstOps = {
  family: AF_INET,
  check: ipv4DstCheck,
  defaultAdvmss: ipv4DefaultAdvmss,
  mtu: ipv4Mtu,
  destroy: ipv4DstDestroy,
  ifdown: null,
  negativeAdvice: ipv4NegativeAdvice,
  linkFailure: ipv4LinkFailure,
  updatePmtu: (dst, sk, skb, mtu) => {
    ipRtUpdatePmtu(dst as Rtable, sk as InetSock | null, skb, mtu);
  },
  redirect: (dst, sk, skb) => {
    ipDoRedirect(dst as Rtable, sk as InetSock | null, skb);
  },
  neighLookup: ipv4NeighLookup,
  confirmNeigh: ipv4ConfirmNeigh,
};

/** Brings routing up, with addresses and tables. @kernel ip_rt_init net/ipv4/route.c */
export function ipRtInit(machine: Machine): number {
  machine.netGlobals.ipv4DstOps = ipv4DstOps;
  for (const init of [devinetInit, ipFibInit]) {
    const err = init(machine);
    if (err < 0) return err;
  }
  return registerPernetSubsys(machine, {
    name: 'ip_rt',
    init: () => 0,
    exit: inetpeerInvalidateTree,
  });
}
