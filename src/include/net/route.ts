/** Small parts of IPv4 routing that are inline in Linux. Counterpart of include/net/route.h. */
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Rtable } from '#include/net/ip_fib.ts';
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
