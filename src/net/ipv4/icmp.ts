/**
 * ICMP: receiving messages, and sending errors and answers. Counterpart of net/ipv4/icmp.c; rate
 * limits are in icmp_ratelimit.ts, extended echo in icmp_probe.ts. RFC 792, 1122#3.2.2,
 * 1812#4.3 and 5.2.7.
 */
import { NET_RX_DROP, NET_RX_SUCCESS } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { CHECKSUM_NONE, skbNetworkOffset } from '#include/linux/skbuff.ts';
import { dstMtu, dstRelease } from '#include/net/dst.ts';
import type { Flowi4 } from '#include/net/flow.ts';
import { flowi4Reset } from '#include/net/flow.ts';
import { icmpIncStats, icmpIsErr, icmpmsgInIncStats } from '#include/net/icmp.ts';
import { inetSk } from '#include/net/inet_connection_sock.ts';
import type { IpcmCookie } from '#include/net/ip.ts';
import { IpOptions, ipcmInit } from '#include/net/ip.ts';
import type { Rtable } from '#include/net/ip_fib.ts';
import { __ipOptionsEcho } from '#include/net/ip_options_ops.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { INET_DSCP_MASK, rtIsInputRoute, skbRtable } from '#include/net/route.ts';
import type { Proto, Sock } from '#include/net/sock.ts';
import { InetSock, SOCK_USE_WRITE_QUEUE } from '#include/net/sock.ts';
import type { Machine } from '#kernel/machine.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { csumAdd, csumBlockAdd, csumFold } from '#lib/checksum.ts';
import { mem, memops, view } from '#mm/memory.ts';
import { registerPernetSubsys } from '#net/core/net_namespace.ts';
import { consumeSkb, kfreeSkb } from '#net/core/skbuff.ts';
import { skbChecksumSimpleValidate } from '#net/core/skbuff_checksum.ts';
import { pskbMayPull, pskbMayPullReason, pskbPull } from '#net/core/skbuff_copy.ts';
import { skbCopyAndCsumBits } from '#net/core/skbuff_data.ts';
import { skCommonRelease, sockDefCallbacks, sockSetFlag } from '#net/core/sock.ts';
import { inetCtlSockCreate, inetCtlSockDestroy, inetCurrentTimestamp } from '#net/ipv4/af_inet.ts';
import { inetSelectAddr } from '#net/ipv4/devinet.ts';
import { inetAddrTypeDevTable } from '#net/ipv4/fib_frontend.ts';
import { fibComputeSpecDst } from '#net/ipv4/fib_frontend_source.ts';
import { icmpv4GlobalAllow, icmpv4XrlimAllow } from '#net/ipv4/icmp_ratelimit.ts';
import {
  ipAppendData,
  ipFlushPendingFrames,
  ipPushPendingFrames,
} from '#net/ipv4/ip_output_append.ts';
import { inetIif } from '#net/ipv4/ip_sockglue_error.ts';
import { ipRouteOutputKey } from '#net/ipv4/route.ts';
import { ipv4Redirect, ipv4UpdatePmtu } from '#net/ipv4/route_pmtu.ts';
import {
  ICMP_ADDRESS,
  ICMP_ADDRESSREPLY,
  ICMP_DEST_UNREACH,
  ICMP_ECHO,
  ICMP_ECHOREPLY,
  ICMP_EXC_FRAGTIME,
  ICMP_EXT_ECHO,
  ICMP_EXT_ECHOREPLY,
  ICMP_FRAG_NEEDED,
  ICMP_PARAMETERPROB,
  ICMP_REDIRECT,
  ICMP_SOURCE_QUENCH,
  ICMP_TIME_EXCEEDED,
  ICMP_TIMESTAMP,
  ICMP_TIMESTAMPREPLY,
  icmphdr,
  NR_ICMP_TYPES,
  NR_ICMP_UNREACH,
} from '#uapi/icmp.ts';
import { IFF_LOOPBACK } from '#uapi/if.ts';
import { PACKET_HOST } from '#uapi/if_packet.ts';
import { INADDR_DUMMY, IP_PMTUDISC_DONT, IPPROTO_ICMP, IPPROTO_RAW } from '#uapi/in.ts';
import { RTCF_BROADCAST, RTCF_LOCAL, RTCF_MULTICAST } from '#uapi/in_route.ts';
import { IP_OFFSET, IPTOS_PREC_INTERNETCONTROL, IPTOS_TOS_MASK, iphdr } from '#uapi/ip.ts';
import {
  SKB_DROP_REASON_ICMP_CSUM,
  SKB_DROP_REASON_INVALID_PROTO,
  SKB_DROP_REASON_IP_INHDR,
  SKB_DROP_REASON_NO_SOCKET,
  SKB_DROP_REASON_NOMEM,
  SKB_DROP_REASON_PKT_TOO_SMALL,
  SKB_DROP_REASON_UNHANDLED_PROTO,
  SKB_NOT_DROPPED_YET,
} from '#uapi/net_dropreason.ts';
import { RT_SCOPE_LINK, RTN_BROADCAST } from '#uapi/rtnetlink.ts';
import {
  ICMP_MIB_CSUMERRORS,
  ICMP_MIB_INERRORS,
  ICMP_MIB_INMSGS,
  ICMP_MIB_OUTERRORS,
} from '#uapi/snmp.ts';
import { MSG_DONTWAIT, SOCK_RAW } from '#uapi/socket.ts';

/** Longest ICMP error, with its IP header. @rfc 1812#4.3.2.3 */
const ICMP_ERROR_MAX = 576;

/** A message being built. One a namespace, guarded by icmp_xmit_lock. @kernel icmp_bxm net/ipv4/icmp.c */
export class IcmpBxm {
  /** The packet that is quoted or echoed, and the part of it. */
  skb: SkBuff | null = null;
  offset = 0;
  dataLen = 0;
  /** The ICMP header, and three timestamps. */
  readonly head: Uint8Array = new Uint8Array(icmphdr.LEN + 12);
  readonly headView: DataView = new DataView(this.head.buffer);
  headLen = 0;
  readonly replyopts: IpOptions = new IpOptions();
}

/** The message under construction hangs off the control socket. */
function bxmOf(sk: Sock): IcmpBxm {
  return sk.skUserData as IcmpBxm;
}

/**
 * The control socket, or null when it is in use below us on the stack: an ICMP message that causes
 * another is not answered. Soft interrupts are off until icmpXmitUnlock().
 * @kernel icmp_xmit_lock net/ipv4/icmp.c
 */
function icmpXmitLock(net: Net): Sock | null {
  const sk = net.ipv4.icmpSk;
  if (sk === null || sk.skLockOwned) return null;
  sk.skLockOwned = true;
  return sk;
}

/** @kernel icmp_xmit_unlock net/ipv4/icmp.c */
function icmpXmitUnlock(sk: Sock): void {
  bxmOf(sk).skb = null;
  sk.skLockOwned = false;
}

/** @kernel icmp_glue_bits net/ipv4/icmp.c */
function icmpGlueBits(
  from: IcmpBxm,
  to: number,
  offset: number,
  len: number,
  odd: number,
  skb: SkBuff,
): number {
  const csum = skbCopyAndCsumBits(from.skb as SkBuff, from.offset + offset, to, len);
  skb.csum = csumBlockAdd(skb.csum, csum, odd);
  return 0;
}

/** Assembles the message and sends it. Takes the route. @kernel icmp_push_reply net/ipv4/icmp.c */
function icmpPushReply(sk: Sock, bxm: IcmpBxm, fl4: Flowi4, ipc: IpcmCookie, rt: Rtable): void {
  const { headLen } = bxm;
  const len = bxm.dataLen + headLen;
  if (ipAppendData(sk, fl4, icmpGlueBits, bxm, len, headLen, ipc, rt, MSG_DONTWAIT) < 0) {
    icmpIncStats(sk.net, ICMP_MIB_OUTERRORS);
    ipFlushPendingFrames(sk);
    return;
  }
  const first = sk.skWriteQueue.next;
  if (first === null) return;
  const icmph = first.transportHeader;
  mem.set(headLen === bxm.head.length ? bxm.head : bxm.head.subarray(0, headLen), icmph);
  let csum = memops.csumPartial(icmph, headLen, 0);
  for (let skb: SkBuff | null = first; skb !== null; skb = skb.next) csum = csumAdd(csum, skb.csum);
  icmphdr.setChecksum(view, icmph, csumFold(csum));
  first.ipSummed = CHECKSUM_NONE;
  ipPushPendingFrames(sk, fl4);
}

/** The mark of an answer. @kernel IP4_REPLY_MARK include/net/ip.h */
function ip4ReplyMark(net: Net, mark: number): number {
  return net.ipv4.sysctlFwmarkReflect !== 0 ? mark : 0;
}

/** Routes and sends the answer that stands in the message. */
function icmpReplyRouted(sk: Sock, bxm: IcmpBxm, skb: SkBuff, limited: boolean): void {
  const { net } = sk;
  const { replyopts } = bxm;
  if (__ipOptionsEcho(net, replyopts, skb, skb.ipCb.opt) !== 0) return;
  const iph = skb.networkHeader;
  const { ipc, fl4 } = net.ipv4.icmpScratch;
  const mark = ip4ReplyMark(net, skb.mark);
  ipcmInit(ipc);
  ipc.tos = iphdr.tos(view, iph);
  ipc.mark = mark;
  ipc.addr = iphdr.saddr(view, iph);
  let daddr = ipc.addr;
  if (replyopts.optlen !== 0) {
    ipc.opt = replyopts;
    if (replyopts.srr !== 0) daddr = replyopts.faddr;
  }
  flowi4Reset(fl4);
  fl4.daddr = daddr;
  fl4.saddr = fibComputeSpecDst(skb);
  fl4.flowi4Mark = mark;
  fl4.flowi4Tos = ipc.tos & INET_DSCP_MASK;
  fl4.flowi4Proto = IPPROTO_ICMP;
  const rt = ipRouteOutputKey(net, fl4);
  if (typeof rt === 'number') return;
  if (icmpv4XrlimAllow(net, rt, fl4.daddr, limited)) icmpPushReply(sk, bxm, fl4, ipc, rt);
  else dstRelease(rt);
}

/**
 * Answers a query. `rest` is the second word of the header; for a timestamp reply `originate` is the
 * sender's time, else -1 and the query's data are echoed.
 * @kernel icmp_reply net/ipv4/icmp.c
 */
function icmpReply(skb: SkBuff, type: number, code: number, rest: number, originate: number): void {
  const { net } = skbRtable(skb);
  const { machine } = net;
  localBhDisable(machine);
  const limit = icmpv4GlobalAllow(net, type, code);
  const sk = limit < 0 ? null : icmpXmitLock(net);
  if (sk !== null) {
    const bxm = bxmOf(sk);
    const v = bxm.headView;
    icmphdr.setType(v, 0, type);
    icmphdr.setCode(v, 0, code);
    icmphdr.setChecksum(v, 0, 0);
    icmphdr.setRest(v, 0, rest);
    bxm.skb = skb;
    bxm.offset = 0;
    bxm.dataLen = skb.len;
    bxm.headLen = icmphdr.LEN;
    if (originate >= 0) {
      const now = inetCurrentTimestamp(net);
      v.setUint32(8, originate);
      v.setUint32(12, now);
      v.setUint32(16, now);
      bxm.dataLen = 0;
      bxm.headLen = bxm.head.length;
    }
    icmpReplyRouted(sk, bxm, skb, limit === 1);
    icmpXmitUnlock(sk);
  }
  localBhEnable(machine);
}

/** Errors, and types that nobody uses: no error answers them. @kernel icmp_pointers net/ipv4/icmp.c */
function countsAsError(type: number): boolean {
  return icmpIsErr(type) || [1, 2, 6, 7, 9, 10].includes(type);
}

/** The rules of RFC 1122 3.2.2 and RFC 1812 4.3.2.7: when no error may be sent. */
function icmpSendAllowed(skb: SkBuff, rt: Rtable, type: number): boolean {
  const iph = skb.networkHeader;
  // The header is expected to be valid; callers are many, so look.
  if (iph < skb.head || iph + iphdr.LEN > skb.tail) return false;
  // Never to link-layer broadcasts, IP broadcasts or multicasts, nor to later fragments.
  if (skb.pktType !== PACKET_HOST) return false;
  if ((rt.rtFlags & (RTCF_BROADCAST | RTCF_MULTICAST)) !== 0) return false;
  if ((iphdr.fragOff(view, iph) & IP_OFFSET) !== 0) return false;
  if (!icmpIsErr(type) || iphdr.protocol(view, iph) !== IPPROTO_ICMP) return true;
  // Never an error about an error; a type that we do not know might be one.
  const at = iph + iphdr.hdrlen(view, iph);
  if (at >= skb.tail) return false;
  const inner = icmphdr.type(view, at);
  return inner <= NR_ICMP_TYPES && !countsAsError(inner);
}

/**
 * Source address of an error: the address that the offending packet was sent to if it is ours, else
 * (0) the one of the outgoing interface, or of the incoming one if the administrator prefers that.
 */
function icmpErrorSource(net: Net, skb: SkBuff, rt: Rtable): number {
  const iph = skb.networkHeader;
  if ((rt.rtFlags & RTCF_LOCAL) !== 0) return iphdr.daddr(view, iph);
  if (!rtIsInputRoute(rt) || net.ipv4.sysctlIcmpErrorsUseInboundIfaddr === 0) return 0;
  const dev = net.devIndexHead.get(skb.ipCb.iif !== 0 ? skb.ipCb.iif : inetIif(skb)) ?? null;
  return dev === null ? 0 : inetSelectAddr(dev, iphdr.saddr(view, iph), RT_SCOPE_LINK);
}

/** Fills the flow of an error. @kernel icmp_route_lookup net/ipv4/icmp.c */
function icmpErrorFlow(
  fl4: Flowi4,
  bxm: IcmpBxm,
  ipc: IpcmCookie,
  saddr: number,
  type: number,
  code: number,
): void {
  flowi4Reset(fl4);
  fl4.daddr = bxm.replyopts.srr !== 0 ? bxm.replyopts.faddr : ipc.addr;
  fl4.saddr = saddr;
  fl4.flowi4Mark = ipc.mark;
  fl4.flowi4Tos = ipc.tos & INET_DSCP_MASK;
  fl4.flowi4Proto = IPPROTO_ICMP;
  fl4.fl4IcmpType = type;
  fl4.fl4IcmpCode = code;
}

/** Builds and sends the error; the control socket is ours. */
function icmpSendLocked(
  sk: Sock,
  skb: SkBuff,
  rtIn: Rtable,
  type: number,
  code: number,
  info: number,
  opt: IpOptions,
  limited: boolean,
): void {
  const { net } = sk;
  const bxm = bxmOf(sk);
  const iph = skb.networkHeader;
  const saddr = icmpErrorSource(net, skb, rtIn);
  const inTos = iphdr.tos(view, iph);
  if (__ipOptionsEcho(net, bxm.replyopts, skb, opt) !== 0) return;
  const v = bxm.headView;
  icmphdr.setType(v, 0, type);
  icmphdr.setCode(v, 0, code);
  icmphdr.setChecksum(v, 0, 0);
  icmphdr.setRest(v, 0, info);
  bxm.skb = skb;
  bxm.offset = skbNetworkOffset(skb);
  const { ipc, fl4 } = net.ipv4.icmpScratch;
  ipcmInit(ipc);
  ipc.tos = icmpIsErr(type) ? (inTos & IPTOS_TOS_MASK) | IPTOS_PREC_INTERNETCONTROL : inTos;
  ipc.addr = iphdr.saddr(view, iph);
  ipc.mark = ip4ReplyMark(net, skb.mark);
  if (bxm.replyopts.optlen !== 0) ipc.opt = bxm.replyopts;
  icmpErrorFlow(fl4, bxm, ipc, saddr, type, code);
  const rt = ipRouteOutputKey(net, fl4);
  if (typeof rt === 'number') return;
  // As much of the offending packet as fits into 576 octets, its IP header at least.
  const headers = iphdr.LEN + bxm.replyopts.optlen + icmphdr.LEN;
  const room = Math.min(dstMtu(rt), ICMP_ERROR_MAX) - headers;
  if (!icmpv4XrlimAllow(net, rt, fl4.daddr, limited) || room <= iphdr.LEN) {
    dstRelease(rt);
    return;
  }
  bxm.dataLen = Math.min(skb.len - bxm.offset, room);
  bxm.headLen = icmphdr.LEN;
  if (fl4.saddr === 0) fl4.saddr = INADDR_DUMMY;
  if (tracepointKey.enabled) net.machine.trace.icmp.icmpSend.probe?.(skb, type, code);
  icmpPushReply(sk, bxm, fl4, ipc, rt);
}

/**
 * Sends an ICMP error about `skb`, which stays the caller's. `info`: the second word, host order.
 * @kernel __icmp_send net/ipv4/icmp.c
 * @rfc 1122#3.2.2
 */
function icmpSendError(
  skb: SkBuff,
  type: number,
  code: number,
  info: number,
  opt: IpOptions | null,
): void {
  const rt = skb.dst as Rtable | null;
  if (rt === null || !icmpSendAllowed(skb, rt, type)) return;
  const { net } = rt;
  const { machine } = net;
  localBhDisable(machine);
  // What came over loopback cannot be a flood from outside.
  const fromLoopback = skb.dev !== null && (skb.dev.flags & IFF_LOOPBACK) !== 0;
  const limit = fromLoopback ? 0 : icmpv4GlobalAllow(net, type, code);
  const sk = limit < 0 ? null : icmpXmitLock(net);
  if (sk !== null) {
    icmpSendLocked(sk, skb, rt, type, code, info, opt ?? skb.ipCb.opt, limit === 1);
    icmpXmitUnlock(sk);
  }
  localBhEnable(machine);
}

// Receiving. Handlers return SKB_NOT_DROPPED_YET or a drop reason; the packet stays the caller's.

/** Does the protocol check that a quoted packet is really one of its own? @kernel icmp_tag_validation net/ipv4/icmp.c */
function icmpTagValidation(net: Net, proto: number): boolean {
  return net.machine.netGlobals.inetProtos[proto]?.icmpStrictTagValidation ?? false;
}

/** Tells the raw sockets and the protocol of the quoted packet. @kernel icmp_socket_deliver net/ipv4/icmp.c */
function icmpSocketDeliver(net: Net, skb: SkBuff, info: number): void {
  const protocol = iphdr.protocol(view, skb.data);
  // The whole IP header and 8 octets: enough for every protocol to find its socket.
  if (!pskbMayPull(skb, iphdr.hdrlen(view, skb.data) + 8) || protocol === IPPROTO_RAW) {
    icmpIncStats(net, ICMP_MIB_INERRORS);
    return;
  }
  net.machine.netGlobals.rawOps?.icmpError(skb, protocol, info);
  net.machine.netGlobals.inetProtos[protocol]?.errHandler?.(skb, info);
}

/** What `info` says; -1: the message is to be ignored. */
function unreachInfo(net: Net, skb: SkBuff): number {
  const icmph = skb.transportHeader;
  const code = icmphdr.code(view, icmph);
  switch (icmphdr.type(view, icmph)) {
    case ICMP_DEST_UNREACH:
      if (code > NR_ICMP_UNREACH) return -1;
      if (code !== ICMP_FRAG_NEEDED) return 0;
      switch (net.ipv4.sysctlIpNoPmtuDisc) {
        case 0:
          return icmphdr.fragMtu(view, icmph);
        case 2:
          return -1;
        case 3:
          return icmpTagValidation(net, iphdr.protocol(view, skb.data))
            ? icmphdr.fragMtu(view, icmph)
            : -1;
        default:
          return 0;
      }
    case ICMP_PARAMETERPROB:
      return icmphdr.pointer(view, icmph);
    case ICMP_TIME_EXCEEDED:
      return code === ICMP_EXC_FRAGTIME ? -1 : 0;
    default:
      return 0;
  }
}

/**
 * Destination unreachable, time exceeded, parameter problem, source quench.
 * @kernel icmp_unreach net/ipv4/icmp.c
 * @rfc 1122#3.2.2.1
 */
function icmpUnreach(net: Net, skb: SkBuff): number {
  const reason = pskbMayPullReason(skb, iphdr.LEN);
  if (reason !== SKB_NOT_DROPPED_YET) {
    icmpIncStats(net, ICMP_MIB_INERRORS);
    return reason;
  }
  if (iphdr.ihl(view, skb.data) < 5) {
    icmpIncStats(net, ICMP_MIB_INERRORS);
    return SKB_DROP_REASON_IP_INHDR;
  }
  const info = unreachInfo(net, skb);
  if (info < 0) return SKB_NOT_DROPPED_YET;
  // Some routers answer broadcasts, which RFC 1122 forbids.
  if (
    net.ipv4.sysctlIcmpIgnoreBogusErrorResponses === 0 &&
    inetAddrTypeDevTable(net, skb.dev, iphdr.daddr(view, skb.data)) === RTN_BROADCAST
  ) {
    return SKB_NOT_DROPPED_YET;
  }
  icmpSocketDeliver(net, skb, info);
  return SKB_NOT_DROPPED_YET;
}

/** @kernel icmp_redirect net/ipv4/icmp.c */
function icmpRedirect(net: Net, skb: SkBuff): number {
  if (skb.len < iphdr.LEN) {
    icmpIncStats(net, ICMP_MIB_INERRORS);
    return SKB_DROP_REASON_PKT_TOO_SMALL;
  }
  if (!pskbMayPull(skb, iphdr.LEN)) return SKB_DROP_REASON_NOMEM;
  icmpSocketDeliver(net, skb, icmphdr.gateway(view, skb.transportHeader));
  return SKB_NOT_DROPPED_YET;
}

/**
 * Echo and extended echo requests.
 * @kernel icmp_echo net/ipv4/icmp.c
 * @rfc 1122#3.2.2.6
 * @rfc 8335
 */
function icmpEcho(net: Net, skb: SkBuff): number {
  if (net.ipv4.sysctlIcmpEchoIgnoreAll !== 0) return SKB_NOT_DROPPED_YET;
  const icmph = skb.transportHeader;
  const rest = icmphdr.rest(view, icmph);
  if (icmphdr.type(view, icmph) === ICMP_ECHO) {
    icmpReply(skb, ICMP_ECHOREPLY, icmphdr.code(view, icmph), rest, -1);
    return SKB_NOT_DROPPED_YET;
  }
  const probe = net.machine.netGlobals.icmpBuildProbe?.(net, skb) ?? null;
  if (probe !== null) icmpReply(skb, ICMP_EXT_ECHOREPLY, probe.code, probe.rest, -1);
  return SKB_NOT_DROPPED_YET;
}

/** @kernel icmp_timestamp net/ipv4/icmp.c */
function icmpTimestamp(net: Net, skb: SkBuff): number {
  if (skb.len < 4 || !pskbMayPull(skb, 4)) {
    icmpIncStats(net, ICMP_MIB_INERRORS);
    return SKB_DROP_REASON_PKT_TOO_SMALL;
  }
  const rest = icmphdr.rest(view, skb.transportHeader);
  icmpReply(skb, ICMP_TIMESTAMPREPLY, 0, rest, view.getUint32(skb.data));
  return SKB_NOT_DROPPED_YET;
}

/** By type. @kernel icmp_pointers net/ipv4/icmp.c */
function icmpHandle(net: Net, skb: SkBuff, type: number): number {
  switch (type) {
    case ICMP_DEST_UNREACH:
    case ICMP_SOURCE_QUENCH:
    case ICMP_TIME_EXCEEDED:
    case ICMP_PARAMETERPROB:
      return icmpUnreach(net, skb);
    case ICMP_REDIRECT:
      return icmpRedirect(net, skb);
    case ICMP_ECHO:
    case ICMP_EXT_ECHO:
      return icmpEcho(net, skb);
    case ICMP_TIMESTAMP:
      return icmpTimestamp(net, skb);
    default:
      // Timestamp replies and address masks: nobody here asked for them.
      return SKB_NOT_DROPPED_YET;
  }
}

/** To a broadcast or multicast address only some queries may be answered. @rfc 1122#3.2.2.6 */
function icmpBroadcastOk(net: Net, type: number): boolean {
  switch (type) {
    case ICMP_ECHO:
    case ICMP_TIMESTAMP:
      return net.ipv4.sysctlIcmpEchoIgnoreBroadcasts === 0;
    case ICMP_ADDRESS:
    case ICMP_ADDRESSREPLY:
      return true;
    default:
      return false;
  }
}

function icmpDrop(net: Net, skb: SkBuff, reason: number): number {
  icmpIncStats(net, ICMP_MIB_INERRORS);
  kfreeSkb(skb, reason, 'icmp_rcv');
  return NET_RX_DROP;
}

/**
 * A message to this host; `data` at the ICMP header. Takes it.
 * @kernel icmp_rcv net/ipv4/icmp.c
 * @deviation a message shorter than its header is dropped as PKT_TOO_SMALL, where Linux gives no reason
 */
export function icmpRcv(skb: SkBuff): number {
  const rt = skbRtable(skb);
  const { net } = rt;
  icmpIncStats(net, ICMP_MIB_INMSGS);
  if (skbChecksumSimpleValidate(skb) !== 0) {
    icmpIncStats(net, ICMP_MIB_CSUMERRORS);
    return icmpDrop(net, skb, SKB_DROP_REASON_ICMP_CSUM);
  }
  if (pskbPull(skb, icmphdr.LEN) === 0) {
    return icmpDrop(net, skb, SKB_DROP_REASON_PKT_TOO_SMALL);
  }
  const type = icmphdr.type(view, skb.transportHeader);
  icmpmsgInIncStats(net, type);
  const cast = (rt.rtFlags & (RTCF_BROADCAST | RTCF_MULTICAST)) !== 0;
  // Extended echo requests are answered whomever they were sent to.
  if (cast && type !== ICMP_EXT_ECHO && !icmpBroadcastOk(net, type)) {
    return icmpDrop(net, skb, SKB_DROP_REASON_INVALID_PROTO);
  }
  if (type === ICMP_EXT_ECHOREPLY || type === ICMP_ECHOREPLY) {
    const ping = net.machine.netGlobals.pingOps;
    if (ping === null) return icmpDrop(net, skb, SKB_DROP_REASON_NO_SOCKET);
    return ping.rcv(skb) === SKB_NOT_DROPPED_YET ? NET_RX_SUCCESS : NET_RX_DROP;
  }
  // RFC 1122 3.2.2: messages of unknown type must be silently discarded.
  if (type > NR_ICMP_TYPES && type !== ICMP_EXT_ECHO) {
    return icmpDrop(net, skb, SKB_DROP_REASON_UNHANDLED_PROTO);
  }
  const reason = icmpHandle(net, skb, type);
  if (reason !== SKB_NOT_DROPPED_YET) {
    kfreeSkb(skb, reason, 'icmp_rcv');
    return NET_RX_DROP;
  }
  consumeSkb(skb, 'icmp_rcv');
  return NET_RX_SUCCESS;
}

/** An error about an ICMP message of ours. @kernel icmp_err net/ipv4/icmp.c */
export function icmpErr(skb: SkBuff, info: number): number {
  const { net } = skbRtable(skb);
  const offset = iphdr.hdrlen(view, skb.data);
  // All but the echo replies that the stack itself sent belong to ping sockets.
  if (icmphdr.type(view, skb.data + offset) !== ICMP_ECHOREPLY) {
    net.machine.netGlobals.pingOps?.err(skb, offset, info);
    return 0;
  }
  const icmph = skb.transportHeader;
  const type = icmphdr.type(view, icmph);
  if (type === ICMP_DEST_UNREACH && icmphdr.code(view, icmph) === ICMP_FRAG_NEEDED) {
    ipv4UpdatePmtu(skb, net, info, 0, IPPROTO_ICMP);
  } else if (type === ICMP_REDIRECT) {
    ipv4Redirect(skb, net, 0, IPPROTO_ICMP);
  }
  return 0;
}

/** Room for two messages of 64 KB in flight at once. */
const ICMP_SNDBUF = 2 * (65536 + 576);

/** The sender of errors and replies is a raw socket that nobody can see; nothing is asked of it. */
const icmpProt: Proto = {
  name: 'RAW',
  alloc: (net, family, prot) => new InetSock(net, family, prot, sockDefCallbacks),
  free: null,
  close: (sk) => skCommonRelease(sk),
  preConnect: null,
  connect: null,
  disconnect: null,
  accept: null,
  ioctl: null,
  init: null,
  destroy: null,
  shutdown: null,
  setsockopt: null,
  getsockopt: null,
  keepalive: null,
  sendmsg: null,
  recvmsg: null,
  bind: null,
  backlogRcv: () => 0,
  releaseCb: null,
  hash: null,
  unhash: null,
  rehash: null,
  getPort: null,
  putPort: null,
  streamMemoryFree: null,
  enterMemoryPressure: null,
  leaveMemoryPressure: null,
  diagDestroy: null,
  maxHeader: 0,
  noAutobind: false,
  memory: () => null,
  memoryMin: () => 0,
};

/** @kernel icmp_sk_init net/ipv4/icmp.c */
function icmpSkInit(net: Net): number {
  const sk = inetCtlSockCreate(net, icmpProt, SOCK_RAW, IPPROTO_ICMP);
  sk.skSndbuf = ICMP_SNDBUF;
  // The socket itself is never waited on: no write space notices.
  sockSetFlag(sk, SOCK_USE_WRITE_QUEUE);
  inetSk(sk).pmtudisc = IP_PMTUDISC_DONT;
  sk.skUserData = new IcmpBxm();
  net.ipv4.icmpSk = sk;
  return 0;
}

/** @kernel icmp_init net/ipv4/icmp.c */
export function icmpInit(machine: Machine): number {
  const ops = machine.netGlobals.ipv4Ops;
  if (ops !== null) machine.netGlobals.ipv4Ops = { ...ops, icmpSend: icmpSendError };
  return registerPernetSubsys(machine, {
    name: 'icmp',
    init: icmpSkInit,
    exit(net) {
      inetCtlSockDestroy(net.ipv4.icmpSk);
      net.ipv4.icmpSk = null;
    },
  });
}
