/**
 * Forwarding: what a router does between a packet's arrival and its departure. Counterpart of
 * net/ipv4/ip_forward.c. RFC 1812#5.3.1 (TTL), 5.2.7 (ICMP), 1191 (path MTU).
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import { llReservedSpace, NET_RX_DROP, NET_RX_SUCCESS } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { CHECKSUM_COMPLETE, CHECKSUM_NONE } from '#include/linux/skbuff.ts';
import { icmpSend } from '#include/net/icmp.ts';
import {
  IPSKB_DOREDIRECT,
  IPSKB_FORWARDED,
  ipDecreaseTtl,
  ipDstMtuMaybeForward,
  ipIncStats,
} from '#include/net/ip.ts';
import type { Rtable } from '#include/net/ip_fib.ts';
import { ipForwardOptions } from '#include/net/ip_options_ops.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Sock } from '#include/net/sock.ts';
import { view } from '#mm/memory.ts';
import { skbGsoValidateNetworkLen } from '#net/core/gso.ts';
import { kfreeSkb } from '#net/core/skbuff.ts';
import { skbCow } from '#net/core/skbuff_copy.ts';
import { ipCallRaChain } from '#net/ipv4/ip_input.ts';
import { rtTos2priority } from '#net/ipv4/route.ts';
import { ipRtSendRedirect } from '#net/ipv4/route_error.ts';
import { NF_HOOK } from '#net/netfilter/core.ts';
import {
  ICMP_DEST_UNREACH,
  ICMP_EXC_TTL,
  ICMP_FRAG_NEEDED,
  ICMP_SR_FAILED,
  ICMP_TIME_EXCEEDED,
} from '#uapi/icmp.ts';
import { PACKET_HOST } from '#uapi/if_packet.ts';
import { IP_DF, iphdr } from '#uapi/ip.ts';
import {
  SKB_DROP_REASON_IP_INHDR,
  SKB_DROP_REASON_NOMEM,
  SKB_DROP_REASON_NOT_SPECIFIED,
  SKB_DROP_REASON_PKT_TOO_BIG,
} from '#uapi/net_dropreason.ts';
import { NF_INET_FORWARD, NFPROTO_IPV4 } from '#uapi/netfilter.ts';
import {
  IPSTATS_MIB_FRAGFAILS,
  IPSTATS_MIB_INHDRERRORS,
  IPSTATS_MIB_OUTFORWDATAGRAMS,
} from '#uapi/snmp.ts';

/** Too long for the way, and not to be cut. @kernel ip_exceeds_mtu net/ipv4/ip_forward.c */
function ipExceedsMtu(skb: SkBuff, mtu: number): boolean {
  if (skb.len <= mtu) return false;
  if ((iphdr.fragOff(view, skb.networkHeader) & IP_DF) === 0) return false;
  // Reassembled here: the fragments that came were longer than may leave.
  if (skb.ipCb.fragMaxSize > mtu) return true;
  if (skb.ignoreDf) return false;
  return !(skb.shinfo.gsoSize !== 0 && skbGsoValidateNetworkLen(skb, mtu));
}

/** @kernel ip_forward_finish net/ipv4/ip_forward.c */
function ipForwardFinish(net: Net, sk: Sock | null, skb: SkBuff): number {
  if (skb.ipCb.opt.optlen !== 0) ipForwardOptions(skb);
  skb.tstamp = 0;
  skb.tstampType = 0;
  return (skb.dst as Rtable).output(net, sk, skb);
}

function drop(skb: SkBuff, reason: number): number {
  kfreeSkb(skb, reason, 'ip_forward');
  return NET_RX_DROP;
}

/** `dst.input` of routes to elsewhere. @kernel ip_forward net/ipv4/ip_forward.c */
export function ipForward(skb: SkBuff): number {
  const { opt } = skb.ipCb;
  // Frames for others and packets of local sockets have no business here.
  if (skb.pktType !== PACKET_HOST || skb.sk !== null) {
    return drop(skb, SKB_DROP_REASON_NOT_SPECIFIED);
  }
  if (opt.routerAlert !== 0 && ipCallRaChain(skb)) return NET_RX_SUCCESS;
  // A sum over the whole packet is void once the header changes.
  if (skb.ipSummed === CHECKSUM_COMPLETE) skb.ipSummed = CHECKSUM_NONE;
  const dev = skb.dev as NetDevice;
  const { net } = dev;
  // The TTL comes first (RFC 1812, 5.3.1): a packet that dies here is answered.
  if (iphdr.ttl(view, skb.networkHeader) <= 1) {
    ipIncStats(net, IPSTATS_MIB_INHDRERRORS);
    icmpSend(skb, ICMP_TIME_EXCEEDED, ICMP_EXC_TTL, 0);
    return drop(skb, SKB_DROP_REASON_IP_INHDR);
  }
  const rt = skb.dst as Rtable;
  if (opt.isStrictroute && rt.rtUsesGateway) {
    icmpSend(skb, ICMP_DEST_UNREACH, ICMP_SR_FAILED, 0);
    return drop(skb, SKB_DROP_REASON_NOT_SPECIFIED);
  }
  ipIncStats(net, IPSTATS_MIB_OUTFORWDATAGRAMS);
  skb.ipCb.flags |= IPSKB_FORWARDED;
  const mtu = ipDstMtuMaybeForward(rt, true);
  if (ipExceedsMtu(skb, mtu)) {
    ipIncStats(net, IPSTATS_MIB_FRAGFAILS);
    icmpSend(skb, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, mtu);
    return drop(skb, SKB_DROP_REASON_PKT_TOO_BIG);
  }
  const out = rt.dev as NetDevice;
  if (skbCow(skb, llReservedSpace(out) + rt.headerLen) !== 0) {
    return drop(skb, SKB_DROP_REASON_NOMEM);
  }
  const iph = skb.networkHeader;
  ipDecreaseTtl(iph);
  if ((skb.ipCb.flags & IPSKB_DOREDIRECT) !== 0 && opt.srr === 0) ipRtSendRedirect(skb);
  if (net.ipv4.sysctlIpFwdUpdatePriority !== 0) {
    skb.priority = rtTos2priority(iphdr.tos(view, iph));
  }
  return NF_HOOK(NFPROTO_IPV4, NF_INET_FORWARD, net, null, skb, dev, out, ipForwardFinish);
}
