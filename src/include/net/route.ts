/** Small parts of IPv4 routing that are inline in Linux. Counterpart of include/net/route.h. */

import type { SkBuff } from '#include/linux/skbuff.ts';
import { Flowi4 } from '#include/net/flow.ts';
import { FlowKeys } from '#include/net/flow_dissector.ts';
import { FibResult, type Rtable } from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { InetSock, Sock } from '#include/net/sock.ts';
import { SOCK_LOCALROUTE } from '#include/net/sock.ts';
import { RT_SCOPE_LINK, RT_SCOPE_UNIVERSE, RTAX_HOPLIMIT } from '#uapi/rtnetlink.ts';
import { AF_INET } from '#uapi/socket.ts';

/** Bits of the TOS that routing looks at: the DSCP, never ECN. @kernel INET_DSCP_MASK include/net/inet_dscp.h */
export const INET_DSCP_MASK = 0xfc;

/** @kernel ip_sock_rt_scope include/net/route.h */
export function ipSockRtScope(sk: Sock): number {
  return (sk.skFlags & (1 << SOCK_LOCALROUTE)) !== 0 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
}

/** @kernel ip_sock_rt_tos include/net/route.h */
export function ipSockRtTos(sk: InetSock): number {
  return sk.tos & INET_DSCP_MASK;
}

/** @kernel rt_is_input_route include/net/route.h */
export function rtIsInputRoute(rt: Rtable): boolean {
  return rt.rtIsInput;
}

/** @kernel rt_is_output_route include/net/route.h */
export function rtIsOutputRoute(rt: Rtable): boolean {
  return !rt.rtIsInput;
}

/** Address of the next hop on the way to `daddr`. @kernel rt_nexthop include/net/route.h */
export function rtNexthop(rt: Rtable, daddr: number): number {
  return rt.rtGwFamily === AF_INET ? rt.rtGw4 : daddr;
}

/** @kernel skb_rtable include/linux/skbuff.h */
export function skbRtable(skb: SkBuff): Rtable {
  return skb.dst as Rtable;
}

/** @kernel ip4_dst_hoplimit include/net/route.h */
export function ip4DstHoplimit(rt: Rtable): number {
  const hoplimit = rt.metrics[RTAX_HOPLIMIT] as number;
  return hoplimit !== 0 ? hoplimit : rt.net.ipv4.sysctlIpDefaultTtl;
}

/** Makes every cached route fail its check. @kernel rt_cache_flush net/ipv4/route.c */
export function rtCacheFlush(net: Net): void {
  net.rtGenid = (net.rtGenid + 1) | 0;
}

/** What the lookups of packets work with, so that none is made per packet. */
export class RouteScratch {
  readonly inputFlow: Flowi4 = new Flowi4();
  readonly inputRes: FibResult = new FibResult();
  readonly sourceFlow: Flowi4 = new Flowi4();
  readonly sourceRes: FibResult = new FibResult();
  readonly outputRes: FibResult = new FibResult();
  readonly typeFlow: Flowi4 = new Flowi4();
  readonly typeRes: FibResult = new FibResult();
  readonly flowKeys: FlowKeys = new FlowKeys();
}

/** Counters of IP identifications by keyed hash of (addresses, protocol). @kernel ip_idents net/ipv4/route.c */
export class IpIdents {
  readonly ids: Uint32Array;
  /** Jiffies of the last use of each. */
  readonly tstamps: Int32Array;
  readonly key: Int32Array;

  constructor(size: number, key: Int32Array) {
    this.ids = new Uint32Array(size);
    this.tstamps = new Int32Array(size);
    this.key = key;
  }
}
