/**
 * Sending IPv4: from the transport protocols, which bring a segment or a whole packet, to the
 * neighbour that takes it. Counterpart of net/ipv4/ip_output.c; fragmentation is in
 * ip_output_frag.ts, the collection of user data in ip_output_append.ts. RFC 791, 1122#3.3.
 *
 *   ip_queue_xmit (TCP), ip_send_skb (UDP, raw, ICMP), ip_build_and_send_pkt (SYN-ACK)
 *     -> ip_local_out -> LOCAL_OUT -> dst.output = ip_output | ip_mc_output
 *     -> POST_ROUTING -> ip_finish_output -> (GSO, fragments) -> ip_finish_output2 -> neighbour
 */
import { NETIF_F_GSO_MASK } from '#include/linux/netdev_features.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import { llReservedSpace } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { skbHeadroom, skbIsGso, skbResetNetworkHeader } from '#include/linux/skbuff.ts';
import { dstOutput, skbDstDrop, skbDstSet, skbDstSetNoref } from '#include/net/dst.ts';
import { Flowi4 } from '#include/net/flow.ts';
import { inetSk } from '#include/net/inet_connection_sock.ts';
import type { IpOptions } from '#include/net/ip.ts';
import {
  IPSKB_REROUTED,
  ipDontFragment,
  ipIncStats,
  ipSendCheck,
  ipSkbDstMtu,
  ipUpdPoStats,
} from '#include/net/ip.ts';
import type { Rtable } from '#include/net/ip_fib.ts';
import { ipOptionsBuild } from '#include/net/ip_options_ops.ts';
import type { Neighbour } from '#include/net/neighbour.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { ip4DstHoplimit, rtNexthop, skbRtable } from '#include/net/route.ts';
import type { InetSock, Sock } from '#include/net/sock.ts';
import { view } from '#mm/memory.ts';
import { devLoopbackXmit } from '#net/core/dev_tx.ts';
import { netifSkbFeatures } from '#net/core/dev_validate.ts';
import { skbGsoSegment, skbGsoValidateNetworkLen } from '#net/core/gso.ts';
import { __neighCreate, __neighLookupNoref } from '#net/core/neighbour.ts';
import { neighOutput } from '#net/core/neighbour_output.ts';
import { consumeSkb, kfreeSkb, skbClone, skbPush } from '#net/core/skbuff.ts';
import { skbExpandHead } from '#net/core/skbuff_copy.ts';
import { __skDstCheck } from '#net/core/sock.ts';
import { skSetupCaps } from '#net/core/sock_clone.ts';
import { inetSkInitFlowi4 } from '#net/ipv4/af_inet.ts';
import { ipFragment } from '#net/ipv4/ip_output_frag.ts';
import { ipRouteOutputFlow, rtDstClone } from '#net/ipv4/route.ts';
import { __ipSelectIdent } from '#net/ipv4/route_ident.ts';
import { NF_HOOK, NF_HOOK_COND, nfHook } from '#net/netfilter/core.ts';
import { EHOSTUNREACH, ENOMEM } from '#uapi/errno.ts';
import { ETH_P_IP } from '#uapi/if_ether.ts';
import { IPPROTO_TCP } from '#uapi/in.ts';
import { RTCF_BROADCAST, RTCF_LOCAL, RTCF_MULTICAST } from '#uapi/in_route.ts';
import { IP_DF, IPVERSION, iphdr } from '#uapi/ip.ts';
import {
  SKB_DROP_REASON_IP_OUTNOROUTES,
  SKB_DROP_REASON_NEIGH_CREATEFAIL,
  SKB_DROP_REASON_NOT_SPECIFIED,
  SKB_DROP_REASON_SKB_GSO_SEG,
} from '#uapi/net_dropreason.ts';
import { NF_INET_LOCAL_OUT, NF_INET_POST_ROUTING, NFPROTO_IPV4 } from '#uapi/netfilter.ts';
import { RTN_BROADCAST, RTN_MULTICAST } from '#uapi/rtnetlink.ts';
import {
  IPSTATS_MIB_OUTBCASTOCTETS,
  IPSTATS_MIB_OUTBCASTPKTS,
  IPSTATS_MIB_OUTMCASTOCTETS,
  IPSTATS_MIB_OUTMCASTPKTS,
  IPSTATS_MIB_OUTNOROUTES,
  IPSTATS_MIB_OUTOCTETS,
  IPSTATS_MIB_OUTPKTS,
  IPSTATS_MIB_OUTREQUESTS,
} from '#uapi/snmp.ts';
import { AF_INET } from '#uapi/socket.ts';

/** Every link carries packets of this length whole. @kernel IPV4_MIN_MTU include/net/ip.h */
export const IPV4_MIN_MTU = 68;

/** @kernel ip_select_ttl net/ipv4/ip_output.c */
export function ipSelectTtl(inet: InetSock, rt: Rtable): number {
  return inet.ucTtl < 0 ? ip4DstHoplimit(rt) : inet.ucTtl;
}

/**
 * Fills in the identification of a packet of `segs` segments. Connected sockets count their own, so
 * that nobody can probe them from outside; a packet that is never cut needs none.
 * @kernel ip_select_ident_segs include/net/ip.h
 * @rfc 6864#4
 */
export function ipSelectIdentSegs(net: Net, skb: SkBuff, sk: Sock | null, segs: number): void {
  const iph = skb.networkHeader;
  if (sk !== null && sk.skcDaddr !== 0) {
    const inet = inetSk(sk);
    iphdr.setId(view, iph, inet.inetId & 0xffff);
    inet.inetId = (inet.inetId + segs) & 0xffff;
    return;
  }
  if ((iphdr.fragOff(view, iph) & IP_DF) !== 0 && !skb.ignoreDf) iphdr.setId(view, iph, 0);
  else __ipSelectIdent(net, iph, segs);
}

/** @kernel ip_select_ident include/net/ip.h */
export function ipSelectIdent(net: Net, skb: SkBuff, sk: Sock | null): void {
  ipSelectIdentSegs(net, skb, sk, 1);
}

/**
 * Completes the header of a packet of this host and asks the LOCAL_OUT hooks. 1: go on.
 * @kernel __ip_local_out net/ipv4/ip_output.c
 */
export function __ipLocalOut(net: Net, sk: Sock | null, skb: SkBuff): number {
  const iph = skb.networkHeader;
  ipIncStats(net, IPSTATS_MIB_OUTREQUESTS);
  // A GSO packet above 64 KB says 0: its segments will say the truth.
  iphdr.setTotLen(view, iph, skb.len <= 0xffff ? skb.len : 0);
  ipSendCheck(iph);
  skb.protocol = ETH_P_IP;
  const out = skbRtable(skb).dev;
  return nfHook(NFPROTO_IPV4, NF_INET_LOCAL_OUT, net, sk, skb, null, out, dstOutput);
}

/** Sends a packet of this host, header included. Takes it. @kernel ip_local_out net/ipv4/ip_output.c */
export function ipLocalOut(net: Net, sk: Sock | null, skb: SkBuff): number {
  const err = __ipLocalOut(net, sk, skb);
  return err === 1 ? dstOutput(net, sk, skb) : err;
}

/** Writes the fixed part of a header at `skb.networkHeader`. */
function buildHeader(skb: SkBuff, hdrlen: number, tos: number, fragOff: number): number {
  const iph = skb.networkHeader;
  view.setUint8(iph, (IPVERSION << 4) | (hdrlen >> 2));
  iphdr.setTos(view, iph, tos);
  iphdr.setFragOff(view, iph, fragOff);
  return iph;
}

/**
 * Puts an IP header before a packet that has its route, and sends it. For answers of sockets that
 * are not yet connections.
 * @kernel ip_build_and_send_pkt net/ipv4/ip_output.c
 */
export function ipBuildAndSendPkt(
  skb: SkBuff,
  sk: Sock,
  saddr: number,
  daddr: number,
  opt: IpOptions | null,
  tos: number,
): number {
  const inet = inetSk(sk);
  const rt = skbRtable(skb);
  const { net } = sk;
  const hdrlen = iphdr.LEN + (opt?.optlen ?? 0);
  skbPush(skb, hdrlen);
  skbResetNetworkHeader(skb);
  const whole = skb.len <= IPV4_MIN_MTU || ipDontFragment(inet, rt);
  const iph = buildHeader(skb, hdrlen, tos, whole ? IP_DF : 0);
  iphdr.setTtl(view, iph, ipSelectTtl(inet, rt));
  iphdr.setDaddr(view, iph, opt !== null && opt.srr !== 0 ? opt.faddr : daddr);
  iphdr.setSaddr(view, iph, saddr);
  iphdr.setProtocol(view, iph, sk.skProtocol);
  if (whole) iphdr.setId(view, iph, 0);
  else if (sk.skProtocol === IPPROTO_TCP) {
    iphdr.setId(view, iph, net.machine.random.u32() & 0xffff);
  } else {
    __ipSelectIdent(net, iph, 1);
  }
  if (opt !== null && opt.optlen !== 0) ipOptionsBuild(skb, opt, daddr, rt);
  skb.priority = sk.skPriority;
  if (skb.mark === 0) skb.mark = sk.skMark;
  return ipLocalOut(net, skb.sk, skb);
}

/** The neighbour that takes packets of this route. Negative errno: none can be made. @kernel ip_neigh_for_gw include/net/route.h */
function ipNeighForGw(rt: Rtable, skb: SkBuff): Neighbour | number {
  const dev = rt.dev as NetDevice;
  const tbl = dev.net.machine.netGlobals.arpTbl;
  if (tbl === null) return -ENOMEM;
  const nexthop = rtNexthop(rt, iphdr.daddr(view, skb.networkHeader));
  return __neighLookupNoref(tbl, nexthop, dev) ?? __neighCreate(tbl, nexthop, dev, false);
}

/** The transport heard from the peer: the next hop works. @kernel sock_confirm_neigh include/net/sock.h */
function sockConfirmNeigh(skb: SkBuff, neigh: Neighbour): void {
  if (!skb.dstPendingConfirm) return;
  const { sk } = skb;
  neigh.confirmed = skb.machine.jiffies;
  if (sk?.skDstPendingConfirm) sk.skDstPendingConfirm = false;
}

/** Hands a packet that fits to the neighbour. Takes it. @kernel ip_finish_output2 net/ipv4/ip_output.c */
function ipFinishOutput2(net: Net, _sk: Sock | null, skbIn: SkBuff): number {
  let skb = skbIn;
  const rt = skbRtable(skb);
  const dev = rt.dev as NetDevice;
  if (rt.rtType === RTN_MULTICAST) {
    ipUpdPoStats(net, IPSTATS_MIB_OUTMCASTPKTS, IPSTATS_MIB_OUTMCASTOCTETS, skb.len);
  } else if (rt.rtType === RTN_BROADCAST) {
    ipUpdPoStats(net, IPSTATS_MIB_OUTBCASTPKTS, IPSTATS_MIB_OUTBCASTOCTETS, skb.len);
  }
  ipUpdPoStats(net, IPSTATS_MIB_OUTPKTS, IPSTATS_MIB_OUTOCTETS, skb.len);
  const hhLen = llReservedSpace(dev);
  if (skbHeadroom(skb) < hhLen && dev.headerOps !== null) {
    const expanded = skbExpandHead(skb, hhLen);
    if (expanded === null) return -ENOMEM;
    skb = expanded;
  }
  const neigh = ipNeighForGw(rt, skb);
  if (typeof neigh === 'number') {
    kfreeSkb(skb, SKB_DROP_REASON_NEIGH_CREATEFAIL, 'ip_finish_output2');
    return neigh;
  }
  sockConfirmNeigh(skb, neigh);
  return neighOutput(neigh, skb, false);
}

/**
 * A packet of many segments: when each fits the link it goes as it is, else it is segmented here and
 * the segments are cut up.
 * @kernel ip_finish_output_gso net/ipv4/ip_output.c
 */
function ipFinishOutputGso(net: Net, sk: Sock | null, skb: SkBuff, mtu: number): number {
  if (skbGsoValidateNetworkLen(skb, mtu)) return ipFinishOutput2(net, sk, skb);
  // Happens when a route changes under a TCP sender, or the packet was merged by GRO from a link
  // with a larger MTU and is forwarded to one with a smaller.
  const segs = skbGsoSegment(skb, netifSkbFeatures(skb) & ~NETIF_F_GSO_MASK);
  if (segs === null || typeof segs === 'number') {
    kfreeSkb(skb, SKB_DROP_REASON_SKB_GSO_SEG, 'ip_finish_output_gso');
    return -ENOMEM;
  }
  consumeSkb(skb, 'ip_finish_output_gso');
  let ret = 0;
  for (let seg: SkBuff | null = segs; seg !== null; ) {
    const next: SkBuff | null = (seg as SkBuff).next;
    (seg as SkBuff).next = null;
    const err = ipFragment(net, sk, seg, mtu, ipFinishOutput2);
    if (err !== 0 && ret === 0) ret = err;
    seg = next;
  }
  return ret;
}

/** @kernel ip_finish_output net/ipv4/ip_output.c */
function ipFinishOutput(net: Net, sk: Sock | null, skb: SkBuff): number {
  const mtu = ipSkbDstMtu(sk, skb);
  if (skbIsGso(skb)) return ipFinishOutputGso(net, sk, skb, mtu);
  if (skb.len > mtu || skb.ipCb.fragMaxSize !== 0) {
    return ipFragment(net, sk, skb, mtu, ipFinishOutput2);
  }
  return ipFinishOutput2(net, sk, skb);
}

/** The copy of a multicast or broadcast for this host. @kernel ip_mc_finish_output net/ipv4/ip_output.c */
function ipMcFinishOutput(net: Net, _sk: Sock | null, skb: SkBuff): number {
  const rt = rtDstClone(net.loopbackDev as NetDevice, skbRtable(skb));
  if (rt !== null) {
    rt.rtIif = 0;
    skbDstDrop(skb);
    skbDstSet(skb, rt);
  }
  return devLoopbackXmit(skb);
}

/** Shall a multicast come back to this host's listeners? @kernel sk_mc_loop net/core/sock.c */
function skMcLoop(sk: Sock | null): boolean {
  if (sk === null) return true;
  return sk.skcFamily !== AF_INET || inetSk(sk).mcLoop;
}

function loopBackCopy(net: Net, sk: Sock | null, skb: SkBuff): void {
  const copy = skbClone(skb);
  if (copy === null) return;
  const { dev } = copy;
  NF_HOOK(NFPROTO_IPV4, NF_INET_POST_ROUTING, net, sk, copy, null, dev, ipMcFinishOutput);
}

/** `dst.output` of multicast and broadcast routes. @kernel ip_mc_output net/ipv4/ip_output.c */
export function ipMcOutput(net: Net, sk: Sock | null, skb: SkBuff): number {
  const rt = skbRtable(skb);
  skb.dev = rt.dev;
  skb.protocol = ETH_P_IP;
  if ((rt.rtFlags & RTCF_MULTICAST) !== 0) {
    if (skMcLoop(sk) && (rt.rtFlags & RTCF_LOCAL) !== 0) loopBackCopy(net, sk, skb);
    // RFC 1112: a multicast with TTL 0 never leaves the host.
    if (iphdr.ttl(view, skb.networkHeader) === 0) {
      kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, 'ip_mc_output');
      return 0;
    }
  }
  if ((rt.rtFlags & RTCF_BROADCAST) !== 0) loopBackCopy(net, sk, skb);
  return NF_HOOK_COND(
    NFPROTO_IPV4,
    NF_INET_POST_ROUTING,
    net,
    sk,
    skb,
    null,
    skb.dev,
    ipFinishOutput,
    (skb.ipCb.flags & IPSKB_REROUTED) === 0,
  );
}

/** `dst.output` of unicast routes. @kernel ip_output net/ipv4/ip_output.c */
export function ipOutput(net: Net, sk: Sock | null, skb: SkBuff): number {
  const { dev } = skbRtable(skb);
  const indev = skb.dev;
  skb.dev = dev;
  skb.protocol = ETH_P_IP;
  return NF_HOOK_COND(
    NFPROTO_IPV4,
    NF_INET_POST_ROUTING,
    net,
    sk,
    skb,
    indev,
    dev,
    ipFinishOutput,
    (skb.ipCb.flags & IPSKB_REROUTED) === 0,
  );
}

/** Drops a segment of a socket that has nowhere to send to. */
function noRoute(net: Net, skb: SkBuff): number {
  ipIncStats(net, IPSTATS_MIB_OUTNOROUTES);
  kfreeSkb(skb, SKB_DROP_REASON_IP_OUTNOROUTES, '__ip_queue_xmit');
  return -EHOSTUNREACH;
}

/** The socket's route, looked up anew when the cached one is stale; null: there is none. */
function routeOf(sk: Sock, tos: number): Rtable | null {
  const cached = __skDstCheck(sk, 0) as Rtable | null;
  if (cached !== null) return cached;
  const fl4 = new Flowi4();
  inetSkInitFlowi4(inetSk(sk), fl4);
  fl4.flowi4Tos = tos & 0xfc;
  // If this fails the transport's retransmissions try again until a route appears.
  const rt = ipRouteOutputFlow(sk.net, fl4, sk);
  if (typeof rt === 'number') return null;
  skSetupCaps(sk, rt);
  return rt;
}

/**
 * Sends a segment of a connected socket: `skb.data` is at the transport header. Takes it.
 * @kernel __ip_queue_xmit net/ipv4/ip_output.c
 */
export function __ipQueueXmit(sk: Sock, skb: SkBuff, tos: number): number {
  const inet = inetSk(sk);
  const { net } = sk;
  const opt = inet.inetOpt;
  let rt = skb.dst as Rtable | null;
  if (rt === null) {
    rt = routeOf(sk, tos);
    if (rt === null) return noRoute(net, skb);
    skbDstSetNoref(skb, rt);
  }
  if (opt?.isStrictroute && rt.rtUsesGateway) return noRoute(net, skb);
  const hdrlen = iphdr.LEN + (opt?.optlen ?? 0);
  skbPush(skb, hdrlen);
  skbResetNetworkHeader(skb);
  const df = ipDontFragment(inet, rt) && !skb.ignoreDf ? IP_DF : 0;
  const iph = buildHeader(skb, hdrlen, tos, df);
  iphdr.setTtl(view, iph, ipSelectTtl(inet, rt));
  iphdr.setProtocol(view, iph, sk.skProtocol);
  iphdr.setSaddr(view, iph, inet.inetSaddr);
  iphdr.setDaddr(view, iph, opt !== null && opt.srr !== 0 ? opt.faddr : inet.skcDaddr);
  if (opt !== null && opt.optlen !== 0) ipOptionsBuild(skb, opt, inet.skcDaddr, rt);
  ipSelectIdentSegs(net, skb, sk, Math.max(1, skb.shinfo.gsoSegs));
  skb.priority = sk.skPriority;
  skb.mark = sk.skMark;
  return ipLocalOut(net, sk, skb);
}

/** @kernel ip_queue_xmit net/ipv4/ip_output.c */
export function ipQueueXmit(sk: Sock, skb: SkBuff): number {
  return __ipQueueXmit(sk, skb, inetSk(sk).tos);
}
