/**
 * Receiving IPv4: from the device layer through header checks, hooks and routing to the transport
 * protocols. Counterpart of net/ipv4/ip_input.c. RFC 791, 1122#3.2.1, 1812#5.2.
 *
 *   ip_rcv -> ip_rcv_core -> PRE_ROUTING -> ip_rcv_finish -> dst.input:
 *     ip_local_deliver -> (ip_defrag) -> LOCAL_IN -> ip_local_deliver_finish -> protocol handler
 *     ip_forward       -> net/ipv4/ip_forward.ts
 */
import type { InDevice } from '#include/linux/inetdevice.ts';
import {
  inDevConfGet,
  inDevNopolicy,
  inDevSourceRoute,
  ipv4DevconfAll,
} from '#include/linux/inetdevice.ts';
import type { NetDevice, PacketType } from '#include/linux/netdevice.ts';
import { NET_RX_DROP } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { __skbPull, SKB_GSO_TCPV4, skbHeadroom, skbOrphan } from '#include/linux/skbuff.ts';
import { icmpSend } from '#include/net/icmp.ts';
import {
  IPSKB_NOPOLICY,
  ipAddStats,
  ipcbClear,
  ipHdrlen,
  ipIncStats,
  ipIsFragment,
  ipUpdPoStats,
  netIncStats,
} from '#include/net/ip.ts';
import type { Rtable } from '#include/net/ip_fib.ts';
import { ipOptionsCompile, ipOptionsRcvSrr } from '#include/net/ip_options_ops.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Sock } from '#include/net/sock.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { ipFastCsum } from '#lib/checksum.ts';
import { view } from '#mm/memory.ts';
import { consumeSkb, kfreeSkb, skbClone, skbShareCheck } from '#net/core/skbuff.ts';
import { pskbTrimRcsum } from '#net/core/skbuff_checksum.ts';
import { pskbMayPullReason, skbCow } from '#net/core/skbuff_copy.ts';
import {
  IP_DEFRAG_CALL_RA_CHAIN,
  IP_DEFRAG_LOCAL_DELIVER,
  ipDefrag,
} from '#net/ipv4/ip_fragment.ts';
import { ipRouteInputNoref } from '#net/ipv4/route.ts';
import { NF_HOOK } from '#net/netfilter/core.ts';
import { ICMP_DEST_UNREACH, ICMP_PROT_UNREACH } from '#uapi/icmp.ts';
import { PACKET_BROADCAST, PACKET_MULTICAST, PACKET_OTHERHOST } from '#uapi/if_packet.ts';
import { IPPROTO_TCP, IPPROTO_UDP } from '#uapi/in.ts';
import { INET_ECN_MASK, IPV4_DEVCONF_DROP_UNICAST_IN_L2_MULTICAST, iphdr } from '#uapi/ip.ts';
import {
  SKB_DROP_REASON_IP_CSUM,
  SKB_DROP_REASON_IP_INHDR,
  SKB_DROP_REASON_IP_NOPROTO,
  SKB_DROP_REASON_IP_RPFILTER,
  SKB_DROP_REASON_NOMEM,
  SKB_DROP_REASON_NOT_SPECIFIED,
  SKB_DROP_REASON_OTHERHOST,
  SKB_DROP_REASON_PKT_TOO_SMALL,
  SKB_DROP_REASON_UNICAST_IN_L2_MULTICAST,
  SKB_NOT_DROPPED_YET,
} from '#uapi/net_dropreason.ts';
import { NF_INET_LOCAL_IN, NF_INET_PRE_ROUTING, NFPROTO_IPV4 } from '#uapi/netfilter.ts';
import { RTN_BROADCAST, RTN_MULTICAST } from '#uapi/rtnetlink.ts';
import {
  IPSTATS_MIB_CSUMERRORS,
  IPSTATS_MIB_INBCASTOCTETS,
  IPSTATS_MIB_INBCASTPKTS,
  IPSTATS_MIB_INDELIVERS,
  IPSTATS_MIB_INDISCARDS,
  IPSTATS_MIB_INHDRERRORS,
  IPSTATS_MIB_INMCASTOCTETS,
  IPSTATS_MIB_INMCASTPKTS,
  IPSTATS_MIB_INOCTETS,
  IPSTATS_MIB_INPKTS,
  IPSTATS_MIB_INTRUNCATEDPKTS,
  IPSTATS_MIB_INUNKNOWNPROTOS,
  IPSTATS_MIB_NOECTPKTS,
  LINUX_MIB_IPRPFILTER,
} from '#uapi/snmp.ts';

/** @kernel IN_DEV_ORCONF include/linux/inetdevice.h */
function inDevOrconf(inDev: InDevice, attr: number): boolean {
  return inDevConfGet(inDev, attr) !== 0 || ipv4DevconfAll(inDev.dev.net, attr) !== 0;
}

/**
 * Gives a packet with the router alert option to the sockets that asked for such (IP_ROUTER_ALERT).
 * True: the packet is theirs now.
 * @kernel ip_call_ra_chain net/ipv4/ip_input.c
 * @rfc 2113
 */
export function ipCallRaChain(skbIn: SkBuff): boolean {
  let skb = skbIn;
  const dev = skb.dev as NetDevice;
  const { net } = dev;
  const protocol = iphdr.protocol(view, skb.networkHeader);
  let last: Sock | null = null;
  const raw = net.machine.netGlobals.rawOps;
  if (raw === null) return false;
  for (const sk of net.ipv4.raChain) {
    if (sk.skcNum !== protocol) continue;
    if (sk.skcBoundDevIf !== 0 && sk.skcBoundDevIf !== dev.ifindex) continue;
    if (ipIsFragment(skb.networkHeader)) {
      const whole = ipDefrag(net, skb, IP_DEFRAG_CALL_RA_CHAIN);
      if (whole === null) return true;
      skb = whole;
    }
    if (last !== null) raw.rcv(last, skbClone(skb));
    last = sk;
  }
  if (last === null) return false;
  raw.rcv(last, skb);
  return true;
}

/**
 * Hands a datagram to the raw sockets and the protocol's handler; `skb.data` stands behind the IP
 * header.
 * @kernel ip_protocol_deliver_rcu net/ipv4/ip_input.c
 * @rfc 1122#3.2.2.1
 */
export function ipProtocolDeliverRcu(net: Net, skb: SkBuff, protocol: number): void {
  const { inetProtos, rawOps } = net.machine.netGlobals;
  let proto = protocol;
  for (;;) {
    const raw = net.ipv4.rawHash.length !== 0 && (rawOps?.localDeliver(skb, proto) ?? false);
    const ipprot = inetProtos[proto] ?? null;
    if (ipprot === null) {
      if (raw) {
        ipIncStats(net, IPSTATS_MIB_INDELIVERS);
        consumeSkb(skb, 'ip_protocol_deliver_rcu');
        return;
      }
      ipIncStats(net, IPSTATS_MIB_INUNKNOWNPROTOS);
      icmpSend(skb, ICMP_DEST_UNREACH, ICMP_PROT_UNREACH, 0);
      kfreeSkb(skb, SKB_DROP_REASON_IP_NOPROTO, 'ip_protocol_deliver_rcu');
      return;
    }
    const ret = ipprot.handler(skb);
    if (ret >= 0) {
      ipIncStats(net, IPSTATS_MIB_INDELIVERS);
      return;
    }
    proto = -ret;
  }
}

/** @kernel ip_local_deliver_finish net/ipv4/ip_input.c */
function ipLocalDeliverFinish(net: Net, _sk: Sock | null, skb: SkBuff): number {
  __skbPull(skb, skb.transportHeader - skb.networkHeader);
  ipProtocolDeliverRcu(net, skb, iphdr.protocol(view, skb.networkHeader));
  return 0;
}

/** Delivers to this host, reassembling first. @kernel ip_local_deliver net/ipv4/ip_input.c */
export function ipLocalDeliver(skbIn: SkBuff): number {
  let skb = skbIn;
  const dev = skb.dev as NetDevice;
  const { net } = dev;
  if (ipIsFragment(skb.networkHeader)) {
    const whole = ipDefrag(net, skb, IP_DEFRAG_LOCAL_DELIVER);
    if (whole === null) return 0;
    skb = whole;
  }
  return NF_HOOK(NFPROTO_IPV4, NF_INET_LOCAL_IN, net, null, skb, dev, null, ipLocalDeliverFinish);
}

/**
 * Parses the options of a received packet. 0, or the reason to drop it.
 * @kernel ip_rcv_options net/ipv4/ip_input.c
 */
function ipRcvOptions(skb: SkBuff, dev: NetDevice): number {
  const { net } = dev;
  // Not all options change the packet, but nearly all do.
  if (skbCow(skb, skbHeadroom(skb)) !== 0) {
    ipIncStats(net, IPSTATS_MIB_INDISCARDS);
    return SKB_DROP_REASON_NOMEM;
  }
  const { opt } = skb.ipCb;
  opt.optlen = ipHdrlen(skb) - iphdr.LEN;
  if (ipOptionsCompile(net, opt, skb) !== 0) {
    ipIncStats(net, IPSTATS_MIB_INHDRERRORS);
    return SKB_DROP_REASON_IP_INHDR;
  }
  if (opt.srr !== 0) {
    const inDev = dev.ipPtr;
    if (inDev !== null && !inDevSourceRoute(inDev)) {
      return SKB_DROP_REASON_NOT_SPECIFIED;
    }
    if (ipOptionsRcvSrr(skb, dev) !== 0) return SKB_DROP_REASON_NOT_SPECIFIED;
  }
  return SKB_NOT_DROPPED_YET;
}

/** Lets the transport find the socket now, and with it the route. */
function ipEarlyDemux(net: Net, skb: SkBuff): void {
  const { inetProtos } = net.machine.netGlobals;
  switch (iphdr.protocol(view, skb.networkHeader)) {
    case IPPROTO_TCP:
      if (net.ipv4.sysctlTcpEarlyDemux !== 0) inetProtos[IPPROTO_TCP]?.earlyDemux?.(skb);
      break;
    case IPPROTO_UDP:
      if (net.ipv4.sysctlUdpEarlyDemux !== 0) inetProtos[IPPROTO_UDP]?.earlyDemux?.(skb);
      break;
    default:
      break;
  }
}

/** Counts multicast and broadcast; 0, or the reason to drop. */
function ipRcvCountCast(net: Net, skb: SkBuff, dev: NetDevice): number {
  const rt = skb.dst as Rtable;
  if (rt.rtType === RTN_MULTICAST) {
    ipUpdPoStats(net, IPSTATS_MIB_INMCASTPKTS, IPSTATS_MIB_INMCASTOCTETS, skb.len);
  } else if (rt.rtType === RTN_BROADCAST) {
    ipUpdPoStats(net, IPSTATS_MIB_INBCASTPKTS, IPSTATS_MIB_INBCASTOCTETS, skb.len);
  } else if (skb.pktType === PACKET_BROADCAST || skb.pktType === PACKET_MULTICAST) {
    // RFC 1122 3.3.6: a unicast datagram in a link-layer broadcast ought to be discarded. Some
    // networks rely on it, hence the switch.
    const inDev = dev.ipPtr;
    if (inDev !== null && inDevOrconf(inDev, IPV4_DEVCONF_DROP_UNICAST_IN_L2_MULTICAST)) {
      return SKB_DROP_REASON_UNICAST_IN_L2_MULTICAST;
    }
  }
  return SKB_NOT_DROPPED_YET;
}

/**
 * Finds the packet's route. SKB_NOT_DROPPED_YET, or why it was refused.
 * @kernel ip_rcv_finish_core net/ipv4/ip_input.c
 */
function ipRcvFinishCore(net: Net, skb: SkBuff, dev: NetDevice): number {
  let iph = skb.networkHeader;
  if (
    net.ipv4.sysctlIpEarlyDemux !== 0 &&
    skb.dst === null &&
    skb.sk === null &&
    !ipIsFragment(iph)
  ) {
    ipEarlyDemux(net, skb);
    // The head may have moved.
    iph = skb.networkHeader;
  }
  if (skb.dst === null) {
    const reason = ipRouteInputNoref(
      skb,
      iphdr.daddr(view, iph),
      iphdr.saddr(view, iph),
      iphdr.tos(view, iph),
      dev,
    );
    if (tracepointKey.enabled) net.machine.trace.packet.routeInput.probe?.(skb, net, reason);
    if (reason !== SKB_NOT_DROPPED_YET) {
      if (reason === SKB_DROP_REASON_IP_RPFILTER) netIncStats(net, LINUX_MIB_IPRPFILTER);
      return reason;
    }
  } else {
    const inDev = dev.ipPtr;
    if (inDev !== null && inDevNopolicy(inDev)) {
      skb.ipCb.flags |= IPSKB_NOPOLICY;
    }
  }
  if (iphdr.ihl(view, iph) > 5) {
    const reason = ipRcvOptions(skb, dev);
    if (reason !== SKB_NOT_DROPPED_YET) return reason;
  }
  return ipRcvCountCast(net, skb, dev);
}

/** @kernel ip_rcv_finish net/ipv4/ip_input.c */
function ipRcvFinish(net: Net, _sk: Sock | null, skb: SkBuff): number {
  const reason = ipRcvFinishCore(net, skb, skb.dev as NetDevice);
  if (reason !== SKB_NOT_DROPPED_YET) {
    kfreeSkb(skb, reason, 'ip_rcv_finish');
    return NET_RX_DROP;
  }
  return (skb.dst as Rtable).input(skb);
}

/** The datagram's length; a GSO packet above 64 KB says 0. @kernel iph_totlen include/linux/ip.h */
function iphTotlen(skb: SkBuff, iph: number): number {
  const len = iphdr.totLen(view, iph);
  if (len !== 0) return len;
  const { gsoSize, gsoType } = skb.shinfo;
  return gsoSize !== 0 && (gsoType & SKB_GSO_TCPV4) !== 0
    ? skb.len - (skb.networkHeader - skb.data)
    : 0;
}

/** Frees a packet whose header is wrong. */
function inhdrError(net: Net, skb: SkBuff, reason: number): null {
  ipIncStats(net, IPSTATS_MIB_INHDRERRORS);
  kfreeSkb(skb, reason, 'ip_rcv_core');
  return null;
}

/**
 * Verifies the header and cuts off what the link padded. The packet to go on with, or null: freed.
 *
 * RFC 1122 3.2.1.2: a host must silently discard a datagram that fails the checksum; and it must
 * verify version, header length and total length before it relies on anything else.
 * @kernel ip_rcv_core net/ipv4/ip_input.c
 * @rfc 1122#3.2.1.2
 */
function ipRcvCore(skbIn: SkBuff, net: Net): SkBuff | null {
  // In promiscuous mode the card also brings frames for others: do not even look at them.
  if (skbIn.pktType === PACKET_OTHERHOST) {
    (skbIn.dev as NetDevice).coreRxOtherhostDropped++;
    kfreeSkb(skbIn, SKB_DROP_REASON_OTHERHOST, 'ip_rcv_core');
    return null;
  }
  ipUpdPoStats(net, IPSTATS_MIB_INPKTS, IPSTATS_MIB_INOCTETS, skbIn.len);
  const skb = skbShareCheck(skbIn);
  if (skb === null) {
    ipIncStats(net, IPSTATS_MIB_INDISCARDS);
    return null;
  }
  let reason = pskbMayPullReason(skb, iphdr.LEN);
  if (reason !== SKB_NOT_DROPPED_YET) return inhdrError(net, skb, reason);
  let iph = skb.networkHeader;
  const hdrlen = iphdr.hdrlen(view, iph);
  if (hdrlen < iphdr.LEN || iphdr.version(view, iph) !== 4) {
    return inhdrError(net, skb, SKB_DROP_REASON_IP_INHDR);
  }
  const ecn = iphdr.tos(view, iph) & INET_ECN_MASK;
  ipAddStats(net, IPSTATS_MIB_NOECTPKTS + ecn, Math.max(1, skb.shinfo.gsoSegs));
  reason = pskbMayPullReason(skb, hdrlen);
  if (reason !== SKB_NOT_DROPPED_YET) return inhdrError(net, skb, reason);
  iph = skb.networkHeader;
  if (ipFastCsum(view, iph, hdrlen >> 2) !== 0) {
    ipIncStats(net, IPSTATS_MIB_CSUMERRORS);
    return inhdrError(net, skb, SKB_DROP_REASON_IP_CSUM);
  }
  const len = iphTotlen(skb, iph);
  if (skb.len < len) {
    ipIncStats(net, IPSTATS_MIB_INTRUNCATEDPKTS);
    kfreeSkb(skb, SKB_DROP_REASON_PKT_TOO_SMALL, 'ip_rcv_core');
    return null;
  }
  if (len < hdrlen) return inhdrError(net, skb, SKB_DROP_REASON_IP_INHDR);
  // The link may have padded the frame: from here on skb.len is the datagram's length.
  if (pskbTrimRcsum(skb, len) !== 0) {
    ipIncStats(net, IPSTATS_MIB_INDISCARDS);
    kfreeSkb(skb, SKB_DROP_REASON_NOMEM, 'ip_rcv_core');
    return null;
  }
  iph = skb.networkHeader;
  skb.transportHeader = iph + hdrlen;
  ipcbClear(skb);
  skb.ipCb.iif = skb.skbIif;
  // A packet that came back from our own sender still belongs to its socket.
  skbOrphan(skb);
  return skb;
}

/** Entry point of IPv4: the receiver of ETH_P_IP. @kernel ip_rcv net/ipv4/ip_input.c */
export function ipRcv(skbIn: SkBuff, dev: NetDevice, _pt: PacketType, _origDev: NetDevice): number {
  const { net } = dev;
  const skb = ipRcvCore(skbIn, net);
  if (skb === null) return NET_RX_DROP;
  return NF_HOOK(NFPROTO_IPV4, NF_INET_PRE_ROUTING, net, null, skb, dev, null, ipRcvFinish);
}
