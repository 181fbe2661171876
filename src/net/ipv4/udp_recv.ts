/**
 * Receiving UDP: from IP to the sockets' queues, and from there to users. Counterpart of the
 * receiving part of net/ipv4/udp.c. RFC 768, 1122#4.1.
 */

import { putSockaddrIn } from '#include/linux/in.ts';
import type { Msghdr } from '#include/linux/net.ts';
import { NETIF_F_IP_CSUM, NETIF_F_IPV6_CSUM, NETIF_F_SG } from '#include/linux/netdev_features.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  __skbPull,
  __skbPush,
  CHECKSUM_COMPLETE,
  CHECKSUM_NONE,
  CHECKSUM_PARTIAL,
  SKB_GSO_FRAGLIST,
  SKB_GSO_UDP_L4,
  skbIsNonlinear,
  skbNetworkHeaderLen,
  skbTransportOffset,
} from '#include/linux/skbuff.ts';
import { __skbQueueTail, __skbUnlink } from '#include/linux/skbuff_queue.ts';
import {
  skIncomingCpuUpdate,
  skMarkNapiId,
  skMarkNapiIdOnce,
  sockRpsSaveRxhash,
} from '#include/net/busy_poll.ts';
import { dstCheck, dstHoldSafe, dstRelease, skbDstSetNoref } from '#include/net/dst.ts';
import { icmpErrConvert, icmpIncStats, icmpSend } from '#include/net/icmp.ts';
import { inetSk } from '#include/net/inet_connection_sock.ts';
import { udpIncStats } from '#include/net/ip.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { skbRtable } from '#include/net/route.ts';
import type { Sock } from '#include/net/sock.ts';
import { SOCK_DEAD } from '#include/net/sock.ts';
import type { UdpSock } from '#include/net/udp.ts';
import { SOCKET_BOUND, SOCKET_EARLY_DEMUX, SOCKET_NONE } from '#include/trace/events/packet.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { csumTcpudpNofold } from '#lib/checksum.ts';
import { memops, view } from '#mm/memory.ts';
import {
  __skbRecvDatagram,
  __skQueueDropSkb,
  skbCopyAndCsumDatagramMsg,
  skbCopyDatagramMsg,
  skPeekOffset,
  skPeekOffsetBwd,
  skPeekOffsetFwd,
} from '#net/core/datagram.ts';
import { skFilterReason } from '#net/core/filter_sock.ts';
import { __skbGsoSegment } from '#net/core/gso.ts';
import { copyToIter } from '#net/core/iov_iter.ts';
import { putCmsgInt, sockRecvCmsgs } from '#net/core/scm.ts';
import {
  __kfreeSkb,
  consumeSkb,
  kfreeSkb,
  skbClone,
  skbUnref,
  skSkbReasonDrop,
} from '#net/core/skbuff.ts';
import {
  __skbChecksumComplete,
  pskbTrimRcsum,
  skbChecksumInitZeroCheck,
  skbCsumUnnecessary,
  skbPullRcsum,
} from '#net/core/skbuff_checksum.ts';
import { pskbMayPull, skbCondense } from '#net/core/skbuff_copy.ts';
import { skErrorReport, sockFlag } from '#net/core/sock.ts';
import { __skMemSchedule, SK_MEM_RECV, skMemReclaim } from '#net/core/sock_mem.ts';
import { ipCheckMc } from '#net/ipv4/igmp_check.ts';
import {
  inetIif,
  ipCmsgRecvOffset,
  ipIcmpError,
  ipRecvError,
  ipv4PktinfoPrepare,
} from '#net/ipv4/ip_sockglue_error.ts';
import { ipv4SkRedirect, ipv4SkUpdatePmtu } from '#net/ipv4/route_pmtu.ts';
import {
  __udp4LibDemuxLookup,
  __udp4LibLookup,
  udpHashChain,
  udpIsMcastSock,
} from '#net/ipv4/udp_table.ts';
import {
  EFAULT,
  EHOSTUNREACH,
  EINVAL,
  EMSGSIZE,
  ENOBUFS,
  ENOENT,
  ENOMEM,
  EPROTO,
} from '#uapi/errno.ts';
import {
  ICMP_DEST_UNREACH,
  ICMP_FRAG_NEEDED,
  ICMP_PARAMETERPROB,
  ICMP_PORT_UNREACH,
  ICMP_REDIRECT,
  ICMP_SOURCE_QUENCH,
  icmphdr,
  NR_ICMP_UNREACH,
} from '#uapi/icmp.ts';
import { PACKET_HOST, PACKET_LOOPBACK, PACKET_MULTICAST } from '#uapi/if_packet.ts';
import { IP_PMTUDISC_DONT, IPPROTO_UDP } from '#uapi/in.ts';
import { RTCF_BROADCAST, RTCF_MULTICAST } from '#uapi/in_route.ts';
import { iphdr } from '#uapi/ip.ts';
import {
  SKB_CONSUMED,
  SKB_DROP_REASON_NO_SOCKET,
  SKB_DROP_REASON_NOT_SPECIFIED,
  SKB_DROP_REASON_PKT_TOO_SMALL,
  SKB_DROP_REASON_PROTO_MEM,
  SKB_DROP_REASON_SKB_UCOPY_FAULT,
  SKB_DROP_REASON_SOCKET_RCVBUFF,
  SKB_DROP_REASON_UDP_CSUM,
  SKB_NOT_DROPPED_YET,
} from '#uapi/net_dropreason.ts';
import {
  ICMP_MIB_INERRORS,
  UDP_MIB_CSUMERRORS,
  UDP_MIB_IGNOREDMULTI,
  UDP_MIB_INDATAGRAMS,
  UDP_MIB_INERRORS,
  UDP_MIB_MEMERRORS,
  UDP_MIB_NOPORTS,
  UDP_MIB_RCVBUFERRORS,
} from '#uapi/snmp.ts';
import { MSG_ERRQUEUE, MSG_PEEK, MSG_TRUNC, SOL_UDP } from '#uapi/socket.ts';
import { TCP_ESTABLISHED } from '#uapi/tcp.ts';
import { UDP_GRO, udphdr } from '#uapi/udp.ts';

/** Wrong checksum? @kernel udp_lib_checksum_complete include/net/udp.h */
function udpLibChecksumComplete(skb: SkBuff): boolean {
  return !skbCsumUnnecessary(skb) && __skbChecksumComplete(skb) !== 0;
}

/**
 * Gives receive memory back. While more packets wait, small amounts are saved up (`partial`).
 * @kernel udp_rmem_release net/ipv4/udp.c
 */
export function udpRmemRelease(sk: UdpSock, size: number, partial: boolean): void {
  let amount = size;
  if (partial) {
    sk.forwardDeficit += size;
    amount = sk.forwardDeficit;
    if (amount < sk.forwardThreshold && sk.skReceiveQueue.next !== null) return;
  } else {
    amount += sk.forwardDeficit;
  }
  sk.forwardDeficit = 0;
  sk.skForwardAlloc += amount;
  skMemReclaim(sk);
  sk.skRmemAlloc -= amount;
}

/** Charges a packet and queues it: 0, -ENOMEM (buffer full) or -ENOBUFS (memory). @kernel __udp_enqueue_schedule_skb net/ipv4/udp.c */
function udpEnqueueScheduleSkb(sk: UdpSock, skb: SkBuff): number {
  const rmem = sk.skRmemAlloc;
  const { skRcvbuf: rcvbuf } = sk;
  // One packet always fits, however small the buffer.
  if (rmem + skb.truesize > rcvbuf && (rcvbuf > 0x7fffffff >> 1 || rmem > 0)) return -ENOMEM;
  // Under pressure a packet that wastes memory is copied to a smaller head.
  if (rmem > rcvbuf >> 1) skbCondense(skb);
  const size = skb.truesize;
  const delta = size - sk.skForwardAlloc;
  if (delta > 0 && !__skMemSchedule(sk, delta, SK_MEM_RECV)) return -ENOBUFS;
  sk.skRmemAlloc += size;
  sk.skForwardAlloc -= size;
  skb.dev = null;
  skb.cb0 = sk.skDrops;
  __skbQueueTail(sk.skReceiveQueue, skb);
  if (tracepointKey.enabled) skb.machine.trace.packet.socketQueue.probe?.(skb, sk, false);
  if (!sockFlag(sk, SOCK_DEAD)) sk.skDataReady(sk);
  return 0;
}

/** @kernel __udp_queue_rcv_skb net/ipv4/udp.c */
export function __udpQueueRcvSkb(sock: Sock, skb: SkBuff): number {
  const sk = sock as UdpSock;
  const { net } = sk;
  if (sk.skcDaddr !== 0) {
    sockRpsSaveRxhash(sk, skb);
    skMarkNapiId(sk, skb);
    skIncomingCpuUpdate(sk, net.machine.cpu.id);
  } else {
    skMarkNapiIdOnce(sk, skb);
  }
  const rc = udpEnqueueScheduleSkb(sk, skb);
  if (rc === 0) return 0;
  let reason = SKB_DROP_REASON_PROTO_MEM;
  if (rc === -ENOMEM) {
    udpIncStats(net, UDP_MIB_RCVBUFERRORS);
    reason = SKB_DROP_REASON_SOCKET_RCVBUFF;
  } else {
    udpIncStats(net, UDP_MIB_MEMERRORS);
  }
  udpIncStats(net, UDP_MIB_INERRORS);
  sk.skDrops++;
  if (tracepointKey.enabled) net.machine.trace.udp.udpFailQueueRcvSkb.probe?.(rc, sk, skb);
  skSkbReasonDrop(sk, skb, reason, '__udp_queue_rcv_skb');
  return -1;
}

/** Takes the header off, into the sum that is still to be verified. @kernel udp_csum_pull_header include/net/udp.h */
function udpCsumPullHeader(skb: SkBuff): void {
  if (!skb.csumValid && skb.ipSummed === CHECKSUM_NONE) {
    skb.csum = memops.csumPartial(skb.data, udphdr.LEN, skb.csum);
  }
  skbPullRcsum(skb, udphdr.LEN);
}

/**
 * Cuts a packet that the socket did not ask for into its datagrams; null: it cannot be, and is gone.
 * @kernel udp_rcv_segment include/net/udp.h
 */
function udpRcvSegment(sk: UdpSock, skb: SkBuff): SkBuff | null {
  // Unless users want the sums, nobody needs them computed.
  const features = NETIF_F_SG | (sk.convertCsum ? 0 : NETIF_F_IP_CSUM | NETIF_F_IPV6_CSUM);
  // What was sent by this host was never summed.
  if (skb.pktType === PACKET_LOOPBACK) skb.ipSummed = CHECKSUM_PARTIAL;
  const count = skb.shinfo.gsoSegs;
  __skbPush(skb, skb.data - skb.macHeader);
  const segs = __skbGsoSegment(skb, features, false);
  if (segs === null || typeof segs === 'number') {
    sk.skDrops += count;
    for (let i = 0; i < count; i++) udpIncStats(sk.net, UDP_MIB_INERRORS);
    kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, 'udp_rcv_segment');
    return null;
  }
  consumeSkb(skb, 'udp_rcv_segment');
  return segs;
}

/** Takes the packet: as it is, or cut. @kernel udp_queue_rcv_skb net/ipv4/udp.c */
function udpQueueRcvSkb(sk: UdpSock, skb: SkBuff): number {
  const unexpected = skb.shinfo.gsoSize !== 0 && udpUnexpectedGso(sk, skb);
  if (!unexpected) return udpQueueRcvOneSkb(sk, skb);
  let seg = udpRcvSegment(sk, skb);
  while (seg !== null) {
    const { next }: SkBuff = seg;
    seg.next = null;
    __skbPull(seg, seg.transportHeader - seg.data);
    // A sum that nobody has taken is as good as the whole packet's was.
    if (seg.ipSummed === CHECKSUM_NONE) seg.csumValid = true;
    udpQueueRcvOneSkb(sk, seg);
    seg = next;
  }
  return 0;
}

/** Several datagrams in one packet, for a socket that can tell them apart? @kernel udp_unexpected_gso include/linux/udp.h */
function udpUnexpectedGso(sk: UdpSock, skb: SkBuff): boolean {
  const { gsoType } = skb.shinfo;
  if ((gsoType & SKB_GSO_FRAGLIST) !== 0) return true;
  return (gsoType & SKB_GSO_UDP_L4) !== 0 && !sk.groEnabled;
}

/** Filters and queues. Takes the packet. @kernel udp_queue_rcv_one_skb net/ipv4/udp.c */
function udpQueueRcvOneSkb(sk: UdpSock, skb: SkBuff): number {
  const { net } = sk;
  // A filter must not see a packet that is wrong.
  if (sk.skFilter !== null && udpLibChecksumComplete(skb)) {
    udpIncStats(net, UDP_MIB_CSUMERRORS);
    return udpQueueDrop(sk, skb, SKB_DROP_REASON_UDP_CSUM);
  }
  const reason = skFilterReason(sk, skb);
  if (reason !== SKB_NOT_DROPPED_YET) return udpQueueDrop(sk, skb, reason);
  udpCsumPullHeader(skb);
  ipv4PktinfoPrepare(sk, skb, true);
  return __udpQueueRcvSkb(sk, skb);
}

function udpQueueDrop(sk: UdpSock, skb: SkBuff, reason: number): number {
  udpIncStats(sk.net, UDP_MIB_INERRORS);
  sk.skDrops++;
  skSkbReasonDrop(sk, skb, reason, 'udp_queue_rcv_one_skb');
  return -1;
}

/** To every socket that listens. Takes the packet. @kernel __udp4_lib_mcast_deliver net/ipv4/udp.c */
function udpMcastDeliver(net: Net, skb: SkBuff, saddr: number, daddr: number): number {
  const uh = skb.transportHeader;
  const hnum = udphdr.dest(view, uh);
  const sport = udphdr.source(view, uh);
  const dif = (skb.dev as NetDevice).ifindex;
  let first: UdpSock | null = null;
  for (let sk = udpHashChain(net, hnum); sk !== null; sk = sk.skcNext as UdpSock | null) {
    if (!udpIsMcastSock(sk, saddr, sport, daddr, hnum, dif)) continue;
    if (first === null) {
      first = sk;
      continue;
    }
    const clone = skbClone(skb);
    if (clone !== null) udpQueueRcvSkb(sk, clone);
    else {
      sk.skDrops++;
      udpIncStats(net, UDP_MIB_RCVBUFERRORS);
      udpIncStats(net, UDP_MIB_INERRORS);
    }
  }
  if (first !== null) udpQueueRcvSkb(first, skb);
  else {
    kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, '__udp4_lib_mcast_deliver');
    udpIncStats(net, UDP_MIB_IGNOREDMULTI);
  }
  return 0;
}

/** Prepares the checksum's verification; true: it is wrong. @kernel udp4_csum_init net/ipv4/udp.c */
function udp4CsumInit(skb: SkBuff, uh: number, saddr: number, daddr: number): boolean {
  const pseudo = csumTcpudpNofold(saddr, daddr, skb.len, IPPROTO_UDP, 0);
  if (skbChecksumInitZeroCheck(skb, udphdr.check(view, uh), pseudo) !== 0) return true;
  if (skb.ipSummed === CHECKSUM_COMPLETE && !skb.csumValid) {
    // Our own sum is final; the device's is verified once more.
    if (skb.csumCompleteSw) return true;
    skb.ipSummed = CHECKSUM_NONE;
  }
  return false;
}

function udpRcvDrop(net: Net, sk: Sock | null, skb: SkBuff, reason: number): number {
  udpIncStats(net, UDP_MIB_INERRORS);
  skSkbReasonDrop(sk, skb, reason, '__udp4_lib_rcv');
  return 0;
}

/** Nobody listens. @rfc 1122#4.1.3.1 */
function udpNoSocket(net: Net, skb: SkBuff): number {
  if (udpLibChecksumComplete(skb)) {
    udpIncStats(net, UDP_MIB_CSUMERRORS);
    return udpRcvDrop(net, null, skb, SKB_DROP_REASON_UDP_CSUM);
  }
  udpIncStats(net, UDP_MIB_NOPORTS);
  icmpSend(skb, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0);
  skSkbReasonDrop(null, skb, SKB_DROP_REASON_NO_SOCKET, '__udp4_lib_rcv');
  return 0;
}

/** The socket that early demux found, taken off the packet. */
function stealSock(skb: SkBuff): UdpSock | null {
  const sk = skb.sk as UdpSock | null;
  if (sk === null) return null;
  skb.sk = null;
  skb.destructor = null;
  return sk;
}

/** Remembers the route by which a connection's packets come. @kernel udp_sk_rx_dst_set net/ipv4/udp.c */
function udpSkRxDstSet(sk: UdpSock, skb: SkBuff): void {
  const { dst } = skb;
  if (dst === null || !dstHoldSafe(dst)) return;
  dstRelease(sk.rxDst);
  sk.rxDst = dst;
}

/**
 * A datagram to this host; `data` at the UDP header. Takes it.
 * @kernel udp_rcv net/ipv4/udp.c
 * @kernel __udp4_lib_rcv net/ipv4/udp.c
 */
export function udpRcv(skb: SkBuff): number {
  const { net } = skb.dev as NetDevice;
  if (!pskbMayPull(skb, udphdr.LEN)) {
    return udpRcvDrop(net, null, skb, SKB_DROP_REASON_NOT_SPECIFIED);
  }
  let uh = skb.transportHeader;
  const ulen = udphdr.len(view, uh);
  const saddr = iphdr.saddr(view, skb.networkHeader);
  const daddr = iphdr.daddr(view, skb.networkHeader);
  if (ulen > skb.len || ulen < udphdr.LEN || pskbTrimRcsum(skb, ulen) !== 0) {
    return udpRcvDrop(net, null, skb, SKB_DROP_REASON_PKT_TOO_SMALL);
  }
  uh = skb.transportHeader;
  if (udp4CsumInit(skb, uh, saddr, daddr)) {
    udpIncStats(net, UDP_MIB_CSUMERRORS);
    return udpRcvDrop(net, null, skb, SKB_DROP_REASON_UDP_CSUM);
  }
  const stolen = stealSock(skb);
  const trace = skb.machine.trace.packet.socketLookup;
  if (stolen !== null) {
    if (tracepointKey.enabled) trace.probe?.(skb, stolen, SOCKET_EARLY_DEMUX);
    if (stolen.rxDst !== skb.dst) udpSkRxDstSet(stolen, skb);
    udpQueueRcvSkb(stolen, skb);
    return 0;
  }
  if ((skbRtable(skb).rtFlags & (RTCF_BROADCAST | RTCF_MULTICAST)) !== 0) {
    return udpMcastDeliver(net, skb, saddr, daddr);
  }
  const dif = inetIif(skb);
  const sport = udphdr.source(view, uh);
  const sk = __udp4LibLookup(net, saddr, sport, daddr, udphdr.dest(view, uh), dif, skb);
  if (tracepointKey.enabled) trace.probe?.(skb, sk, sk === null ? SOCKET_NONE : SOCKET_BOUND);
  if (sk === null) return udpNoSocket(net, skb);
  udpQueueRcvSkb(sk, skb);
  return 0;
}

/** Early demux holds no reference: sockets outlive the packet's way up. @kernel sock_pfree net/core/sock.c */
function sockPfree(_skb: SkBuff): void {}

/** Only one socket listens to this group and port: it. @kernel __udp4_lib_mcast_demux_lookup net/ipv4/udp.c */
function mcastDemuxLookup(net: Net, skb: SkBuff, uh: number): UdpSock | null {
  const iph = skb.networkHeader;
  const saddr = iphdr.saddr(view, iph);
  const daddr = iphdr.daddr(view, iph);
  const hnum = udphdr.dest(view, uh);
  const sport = udphdr.source(view, uh);
  const dif = (skb.dev as NetDevice).ifindex;
  let result: UdpSock | null = null;
  for (let sk = udpHashChain(net, hnum); sk !== null; sk = sk.skcNext as UdpSock | null) {
    if (!udpIsMcastSock(sk, saddr, sport, daddr, hnum, dif)) continue;
    if (result !== null) return null;
    result = sk;
  }
  return result;
}

/**
 * Finds the socket of a connection, and with it the route, before the route lookup.
 * @kernel udp_v4_early_demux net/ipv4/udp.c
 * @deviation unconnected multicast receivers have no cached route, so their sources are always checked
 */
export function udpV4EarlyDemux(skb: SkBuff): void {
  const dev = skb.dev as NetDevice;
  if (!pskbMayPull(skb, skbTransportOffset(skb) + udphdr.LEN)) return;
  const iph = skb.networkHeader;
  const uh = skb.transportHeader;
  const saddr = iphdr.saddr(view, iph);
  const daddr = iphdr.daddr(view, iph);
  let sk: UdpSock | null = null;
  if (skb.pktType === PACKET_MULTICAST) {
    const inDev = dev.ipPtr;
    if (inDev === null || !ipCheckMc(inDev, daddr, saddr, IPPROTO_UDP)) return;
    sk = mcastDemuxLookup(dev.net, skb, uh);
  } else if (skb.pktType === PACKET_HOST) {
    const sport = udphdr.source(view, uh);
    sk = __udp4LibDemuxLookup(dev.net, daddr, udphdr.dest(view, uh), saddr, sport, dev.ifindex);
  }
  if (sk === null) return;
  skb.sk = sk;
  skb.destructor = sockPfree;
  const rx = sk.rxDst;
  if (rx === null || sk.skcDaddr === 0) return;
  const dst = dstCheck(rx, 0);
  if (dst !== null) skbDstSetNoref(skb, dst);
}

/** The errno of an ICMP error, negative when it is hard; 0: none. */
function udpErrno(sk: UdpSock, skb: SkBuff, info: number): number {
  const icmph = skb.transportHeader;
  const code = icmphdr.code(view, icmph);
  switch (icmphdr.type(view, icmph)) {
    case ICMP_SOURCE_QUENCH:
      return 0;
    case ICMP_PARAMETERPROB:
      return -EPROTO;
    case ICMP_REDIRECT:
      ipv4SkRedirect(skb, sk);
      return 0;
    case ICMP_DEST_UNREACH: {
      if (code === ICMP_FRAG_NEEDED) {
        ipv4SkUpdatePmtu(skb, sk, info);
        return sk.pmtudisc !== IP_PMTUDISC_DONT ? -EMSGSIZE : 0;
      }
      const convert = code <= NR_ICMP_UNREACH ? icmpErrConvert[code] : undefined;
      if (convert === undefined) return EHOSTUNREACH;
      return convert.fatal ? -convert.errno : convert.errno;
    }
    default:
      return EHOSTUNREACH;
  }
}

/**
 * An ICMP error about a datagram of ours, quoted at `data`.
 * @kernel __udp4_lib_err net/ipv4/udp.c
 * @rfc 1122#4.1.3.3
 */
export function udpErr(skb: SkBuff, info: number): number {
  const dev = skb.dev as NetDevice;
  const { net } = dev;
  const iph = skb.data;
  const uh = iph + iphdr.hdrlen(view, iph);
  const dport = udphdr.dest(view, uh);
  // Seen from here the quoted packet's destination is the remote end.
  const sk = __udp4LibLookup(
    net,
    iphdr.daddr(view, iph),
    dport,
    iphdr.saddr(view, iph),
    udphdr.source(view, uh),
    dev.ifindex,
    null,
  );
  if (sk === null) {
    icmpIncStats(net, ICMP_MIB_INERRORS);
    return -ENOENT;
  }
  const errno = udpErrno(sk, skb, info);
  if (errno === 0) return 0;
  const err = Math.abs(errno);
  if (sk.recverr) ipIcmpError(sk, skb, err, dport, info, uh + udphdr.LEN);
  else if (errno > 0 || sk.skcState !== TCP_ESTABLISHED) return 0;
  sk.skErr = err;
  skErrorReport(sk);
  return 0;
}

/**
 * Octets of the first packet whose checksum is right, -1: there is none. Wrong ones are dropped.
 * @kernel first_packet_length net/ipv4/udp.c
 */
export function udpFirstPacketLength(sk: UdpSock): number {
  const queue = sk.skReceiveQueue;
  let total = 0;
  let skb = queue.next;
  while (skb !== null && udpLibChecksumComplete(skb)) {
    udpIncStats(sk.net, UDP_MIB_CSUMERRORS);
    udpIncStats(sk.net, UDP_MIB_INERRORS);
    sk.skDrops++;
    __skbUnlink(skb, queue);
    total += skb.truesize;
    kfreeSkb(skb, SKB_DROP_REASON_UDP_CSUM, 'first_packet_length');
    skb = queue.next;
  }
  if (total !== 0) udpRmemRelease(sk, total, false);
  return skb === null ? -1 : skb.len;
}

/** Drops a packet that turned out wrong while it was copied. */
function udpCsumCopyErr(sk: UdpSock, skb: SkBuff, flags: number): void {
  let release = 0;
  const err = __skQueueDropSkb(sk, sk.skReceiveQueue, skb, flags, (dropped) => {
    release = dropped.truesize;
  });
  if (release !== 0) udpRmemRelease(sk, release, true);
  if (err === 0) {
    udpIncStats(sk.net, UDP_MIB_CSUMERRORS);
    udpIncStats(sk.net, UDP_MIB_INERRORS);
  }
  kfreeSkb(skb, SKB_DROP_REASON_UDP_CSUM, 'udp_recvmsg');
}

/** Linear packets take a shorter way, that tracers do not see. @kernel copy_linear_skb include/net/udp.h */
function copyDatagram(skb: SkBuff, off: number, msg: Msghdr, len: number): number {
  if (skbIsNonlinear(skb)) return skbCopyDatagramMsg(skb, off, msg, len);
  return copyToIter(skb.data + off, len, msg.msgIter) === len ? 0 : -EFAULT;
}

/** Copies the payload and verifies it where that was left to us: 0, -EINVAL (wrong), -EFAULT. */
function udpCopy(skb: SkBuff, off: number, copied: number, msg: Msghdr, peeking: boolean): number {
  let valid = skbCsumUnnecessary(skb);
  // What is not copied as a whole, or may be read again, has to be verified before.
  if (!valid && (copied < skb.len || peeking)) {
    if (__skbChecksumComplete(skb) !== 0) return -EINVAL;
    valid = true;
  }
  return valid ? copyDatagram(skb, off, msg, copied) : skbCopyAndCsumDatagramMsg(skb, off, msg);
}

/** Says how long each of the datagrams is. @kernel udp_cmsg_recv include/linux/udp.h */
function udpCmsgRecv(msg: Msghdr, skb: SkBuff): void {
  const { gsoSize, gsoType } = skb.shinfo;
  if ((gsoType & SKB_GSO_UDP_L4) !== 0) putCmsgInt(msg, SOL_UDP, UDP_GRO, gsoSize);
}

/** Tells the user of the packet what it was asked to, and lets go of it. */
function udpRecvDone(sk: UdpSock, msg: Msghdr, skb: SkBuff, off: number): void {
  sockRecvCmsgs(msg, sk, skb);
  if (msg.msgName !== null) {
    const port = udphdr.source(view, skb.networkHeader + skbNetworkHeaderLen(skb));
    msg.msgNamelen = putSockaddrIn(msg.msgName, iphdr.saddr(view, skb.networkHeader), port);
  }
  if (sk.groEnabled) udpCmsgRecv(msg, skb);
  if (inetSk(sk).cmsgFlags !== 0) ipCmsgRecvOffset(msg, sk, skb, udphdr.LEN, off);
}

/** Octets received, or a negative errno. @kernel udp_recvmsg net/ipv4/udp.c */
export function udpRecvmsg(sock: Sock, msg: Msghdr, len: number, flags: number): number {
  const sk = sock as UdpSock;
  if ((flags & MSG_ERRQUEUE) !== 0) return ipRecvError(sk, msg, len);
  const peeking = (flags & MSG_PEEK) !== 0;
  for (;;) {
    const skb = __skbRecvDatagram(sk, sk.skReceiveQueue, flags, skPeekOffset(sk, flags));
    if (typeof skb === 'number') return skb;
    if (!peeking) udpRmemRelease(sk, skb.truesize, true);
    const off = skb.cb1;
    const ulen = skb.len;
    let copied = len;
    if (copied > ulen - off) copied = ulen - off;
    else if (copied < ulen) msg.msgFlags |= MSG_TRUNC;
    const err = udpCopy(skb, off, copied, msg, peeking);
    if (err === -EINVAL) {
      udpCsumCopyErr(sk, skb, flags);
      msg.msgFlags &= ~MSG_TRUNC;
      continue;
    }
    if (err !== 0) {
      if (!peeking) {
        sk.skDrops++;
        udpIncStats(sk.net, UDP_MIB_INERRORS);
      }
      kfreeSkb(skb, SKB_DROP_REASON_SKB_UCOPY_FAULT, 'udp_recvmsg');
      return err;
    }
    if (!peeking) udpIncStats(sk.net, UDP_MIB_INDATAGRAMS);
    udpRecvDone(sk, msg, skb, off);
    const ret = (flags & MSG_TRUNC) !== 0 ? ulen : copied;
    if (peeking) skPeekOffsetFwd(sk, ret);
    else skPeekOffsetBwd(sk, ret);
    if (skbUnref(skb)) __kfreeSkb(skb, SKB_CONSUMED);
    return ret;
  }
}
