/**
 * Segments that no full socket sends: resets, and acknowledgments of time-wait and request sockets.
 *
 * Counterpart: tcp_v4_send_reset, tcp_v4_send_ack of net/ipv4/tcp_ipv4.c. RFC 9293#3.5.2 and #3.5.3.
 * They are written as octets and sent through the namespace's control socket.
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import type { RequestSock } from '#include/net/inet_connection_sock.ts';
import type { InetTimewaitSock } from '#include/net/inet_timewait_sock.ts';
import { IP_REPLY_ARG_NOSRCCHECK, IpReplyArg, tcpIncStats } from '#include/net/ip.ts';
import type { Rtable } from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Sock } from '#include/net/sock.ts';
import {
  SOCK_KIND_FULL,
  SOCK_KIND_REQUEST,
  SOCK_KIND_TIMEWAIT,
  type SockCommon,
} from '#include/net/sock_common.ts';
import { tcpSk } from '#include/net/tcp.ts';
import { tcpSignAck, tcpSignReset } from '#include/net/tcp_auth_ops.ts';
import { tcpClockTs } from '#include/net/tcp_inlines.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { csumTcpudpMagic, csumTcpudpNofold } from '#lib/checksum.ts';
import { view } from '#mm/memory.ts';
import { inetTwskPut } from '#net/ipv4/inet_timewait_sock.ts';
import { ipSendUnicastReply } from '#net/ipv4/ip_output_append.ts';
import { tcpSynackWindow } from '#net/ipv4/tcp_minisocks_req.ts';
import { IPPROTO_TCP } from '#uapi/in.ts';
import { INET_ECN_MASK, iphdr } from '#uapi/ip.ts';
import { RTN_LOCAL } from '#uapi/rtnetlink.ts';
import { TCP_MIB_OUTRSTS, TCP_MIB_OUTSEGS } from '#uapi/snmp.ts';
import {
  TCP_LISTEN,
  TCPHDR_ACK,
  TCPHDR_FIN,
  TCPHDR_RST,
  TCPHDR_SYN,
  TCPOLEN_TSTAMP_ALIGNED,
  tcphdr,
} from '#uapi/tcp.ts';

/** Header of a reply to the sender of `skb`, without options: ports swapped. */
function replyHeader(rep: DataView, th: number, doff: number, flags: number): void {
  tcphdr.setSource(rep, 0, tcphdr.dest(view, th));
  tcphdr.setDest(rep, 0, tcphdr.source(view, th));
  tcphdr.setDoffFlags(rep, 0, doff, flags);
}

/** Sends `arg` back to where `skb` came from. @kernel ip_send_unicast_reply net/ipv4/ip_output.c */
function tcpV4Reply(
  net: Net,
  origSk: SockCommon | null,
  skb: SkBuff,
  arg: IpReplyArg,
  mark: number,
  priority: number,
  txhash: number,
): void {
  const ctlSk = net.ipv4.tcpSk;
  if (ctlSk === null) return;
  const iph = skb.networkHeader;
  const saddr = iphdr.saddr(view, iph);
  const daddr = iphdr.daddr(view, iph);
  arg.csum = csumTcpudpNofold(daddr, saddr, arg.iov.length, IPPROTO_TCP, 0);
  arg.csumoffset = 8;
  ctlSk.skMark = mark;
  ctlSk.skPriority = priority;
  const full = origSk !== null && origSk.kind === SOCK_KIND_FULL ? (origSk as Sock) : null;
  ipSendUnicastReply(ctlSk, full, skb, skb.ipCb.opt, saddr, daddr, arg, arg.iov.length, 0, txhash);
  tcpIncStats(net, TCP_MIB_OUTSEGS);
}

/** Is the socket one of a transparent proxy? @kernel inet_sk_transparent include/net/inet_sock.h */
function inetSkTransparent(sk: SockCommon): boolean {
  if (sk.kind === SOCK_KIND_TIMEWAIT) return (sk as InetTimewaitSock).twTransparent;
  if (sk.kind === SOCK_KIND_REQUEST) return (sk as RequestSock).noSrccheck;
  return (sk as TcpSock).transparent;
}

/**
 * Resets the sender of `skb`, which stays the caller's. `sk`: what the segment was for, null when
 * nothing was there; `reason` SK_RST_REASON_*.
 * @kernel tcp_v4_send_reset net/ipv4/tcp_ipv4.c
 * @rfc 9293#3.5.2
 */
export function tcpV4SendReset(sk: SockCommon | null, skb: SkBuff, reason: number): void {
  const th = skb.transportHeader;
  const flags = tcphdr.flags(view, th);
  // Never a reset for a reset.
  if ((flags & TCPHDR_RST) !== 0) return;
  // Without a socket, only for what was addressed to us.
  const rt = skb.dst as Rtable | null;
  if (sk === null && (rt === null || rt.rtType !== RTN_LOCAL)) return;
  const net = sk !== null ? sk.net : (rt as Rtable).net;

  const iov = new Uint8Array(tcphdr.LEN);
  const rep = new DataView(iov.buffer);
  if ((flags & TCPHDR_ACK) !== 0) {
    replyHeader(rep, th, 5, TCPHDR_RST);
    tcphdr.setSeq(rep, 0, tcphdr.ackSeq(view, th));
  } else {
    const syn = (flags & TCPHDR_SYN) !== 0 ? 1 : 0;
    const len = syn + (flags & TCPHDR_FIN) + skb.len - tcphdr.hdrlen(view, th);
    replyHeader(rep, th, 5, TCPHDR_RST | TCPHDR_ACK);
    tcphdr.setAckSeq(rep, 0, (tcphdr.seq(view, th) + len) | 0);
  }
  const signed = tcpSignReset(net, sk, skb, iov);
  if (signed === null) return;
  const full = sk !== null && sk.kind === SOCK_KIND_FULL ? (sk as Sock) : null;
  if (tracepointKey.enabled) net.machine.trace.tcp.tcpSendReset.probe?.(full, skb, reason);

  const arg = new IpReplyArg(signed);
  let mark = 0;
  let priority = 0;
  let txhash = 0;
  arg.tos = iphdr.tos(view, skb.networkHeader) & ~INET_ECN_MASK;
  if (sk !== null) {
    // Without a binding the reply must find its own way, even if it is another than the segment's.
    arg.boundDevIf = sk.skcBoundDevIf;
    if (inetSkTransparent(sk)) arg.flags = IP_REPLY_ARG_NOSRCCHECK;
    if (full !== null) {
      mark = full.skMark;
      priority = full.skPriority;
      txhash = full.skTxhash;
    } else if (sk.kind === SOCK_KIND_TIMEWAIT) {
      const tw = sk as InetTimewaitSock;
      mark = tw.twMark;
      priority = tw.twPriority;
      txhash = tw.twTxhash;
    }
  }
  tcpV4Reply(net, sk, skb, arg, mark, priority, txhash);
  tcpIncStats(net, TCP_MIB_OUTRSTS);
}

/** What an acknowledgment of a small socket says. */
interface ReplyAck {
  readonly seq: number;
  readonly ack: number;
  readonly win: number;
  readonly tsval: number;
  /** 0: no timestamp option. */
  readonly tsecr: number;
  readonly oif: number;
  readonly flags: number;
  readonly tos: number;
  readonly mark: number;
  readonly priority: number;
  readonly txhash: number;
}

/** @kernel tcp_v4_send_ack net/ipv4/tcp_ipv4.c */
function tcpV4SendAck(sk: SockCommon, skb: SkBuff, ack: ReplyAck, listener: Sock | null): void {
  const withTs = ack.tsecr !== 0;
  const iov = new Uint8Array(tcphdr.LEN + (withTs ? TCPOLEN_TSTAMP_ALIGNED : 0));
  const rep = new DataView(iov.buffer);
  replyHeader(rep, skb.transportHeader, iov.length >> 2, TCPHDR_ACK);
  tcphdr.setSeq(rep, 0, ack.seq);
  tcphdr.setAckSeq(rep, 0, ack.ack);
  tcphdr.setWindow(rep, 0, ack.win);
  if (withTs) {
    rep.setUint32(tcphdr.LEN, 0x0101080a);
    rep.setInt32(tcphdr.LEN + 4, ack.tsval);
    rep.setInt32(tcphdr.LEN + 8, ack.tsecr);
  }
  const signed = tcpSignAck(sk, listener, skb, iov);
  if (signed === null) return;
  const arg = new IpReplyArg(signed);
  arg.flags = ack.flags;
  arg.boundDevIf = ack.oif;
  arg.tos = ack.tos;
  tcpV4Reply(sk.net, sk, skb, arg, ack.mark, ack.priority, ack.txhash);
}

/**
 * Answers for a time-wait socket, and drops the caller's reference to it. `oow`: the segment was out of
 * the window, so nobody knows what the ACK's mark would be counted for.
 * @kernel tcp_v4_timewait_ack net/ipv4/tcp_ipv4.c
 */
export function tcpV4TimewaitAck(tw: InetTimewaitSock, skb: SkBuff, oow: boolean): void {
  const ack = {
    seq: tw.twSndNxt,
    ack: tw.twRcvNxt,
    win: tw.twRcvWnd >> tw.twRcvWscale,
    tsval: (tcpClockTs(tw.net.machine, tw.twUsecTs) + tw.twTsOffset) | 0,
    tsecr: tw.twTsRecent,
    oif: tw.skcBoundDevIf,
    flags: tw.twTransparent ? IP_REPLY_ARG_NOSRCCHECK : 0,
    tos: oow ? tw.twTos & ~INET_ECN_MASK : tw.twTos,
    mark: tw.twMark,
    priority: tw.twPriority,
    txhash: tw.twTxhash,
  };
  tcpV4SendAck(tw, skb, ack, null);
  inetTwskPut(tw);
}

/** Answers for a request. @kernel tcp_v4_reqsk_send_ack net/ipv4/tcp_ipv4.c */
export function tcpV4ReqskSendAck(sk: Sock, skb: SkBuff, req: RequestSock): void {
  // A Fast Open child may have sent data already.
  const listening = sk.skcState === TCP_LISTEN;
  const ack = {
    seq: listening ? (req.sntIsn + 1) | 0 : tcpSk(sk).sndNxt,
    ack: req.rcvNxt,
    win: tcpSynackWindow(req) >> req.rcvWscale,
    tsval: (tcpClockTs(sk.net.machine, req.reqUsecTs) + req.tsOff) | 0,
    tsecr: req.tsRecent,
    oif: 0,
    flags: req.noSrccheck ? IP_REPLY_ARG_NOSRCCHECK : 0,
    tos: iphdr.tos(view, skb.networkHeader) & ~INET_ECN_MASK,
    mark: sk.skMark,
    priority: sk.skPriority,
    txhash: req.txhash,
  };
  tcpV4SendAck(req, skb, ack, sk);
}

/**
 * Prepares the checksum of an outgoing segment for the device, or the packet's end, to complete.
 * @kernel __tcp_v4_send_check net/ipv4/tcp_ipv4.c
 */
export function __tcpV4SendCheck(skb: SkBuff, saddr: number, daddr: number): void {
  const th = skb.transportHeader;
  // What the field holds is the sum of the pseudo header, not inverted.
  const sum = csumTcpudpMagic(saddr, daddr, skb.len, IPPROTO_TCP, 0);
  tcphdr.setCheck(view, th, ~sum & 0xffff);
  skb.csumStart = th;
  skb.csumOffset = 16;
}

/** @kernel tcp_v4_send_check net/ipv4/tcp_ipv4.c */
export function tcpV4SendCheck(sk: Sock, skb: SkBuff): void {
  __tcpV4SendCheck(skb, tcpSk(sk).inetSaddr, sk.skcDaddr);
}
