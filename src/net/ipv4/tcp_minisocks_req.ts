/**
 * Requests: from the segment that ends the handshake to a full socket.
 *
 * Counterpart: the request half of net/ipv4/tcp_minisocks.c. RFC 9293#3.10.7.4, RFC 7323#5 (PAWS).
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  RTT_MIN_NONE,
  TCP_SACK_SEEN,
  TcpOptionsReceived,
  type TcpSock,
} from '#include/linux/tcp.ts';
import { type DstEntry, dstMetric, dstMetricAdvmss } from '#include/net/dst.ts';
import type { RequestSock } from '#include/net/inet_connection_sock.ts';
import { netIncStats, tcpIncStats } from '#include/net/ip.ts';
import { SK_RST_REASON_INVALID_SYN } from '#include/net/rstreason.ts';
import { SOCK_KEEPOPEN, type Sock } from '#include/net/sock.ts';
import {
  TCP_ECN_DISABLED,
  TCP_ECN_MODE_ACCECN,
  TCP_ECN_MODE_RFC3168,
  tcpSk,
} from '#include/net/tcp.ts';
import { tcpChildAuthLen } from '#include/net/tcp_auth_ops.ts';
import {
  TCP_ACCECN_ACE_FAIL_RECV,
  TCP_ACCECN_OPT_COUNTER_SEEN,
  TCP_ACCECN_OPT_FAIL_RECV,
  TCP_ACCECN_OPT_FAIL_SEEN,
  tcpAccecnAce,
  tcpAccecnAceFailSendSetRetrans,
  tcpAccecnFailModeSet,
  tcpAccecnOptionInit,
  tcpAccecnThirdAck,
  tcpEcnModeSet,
  tcpEcnReceivedCountersPayload,
} from '#include/net/tcp_ecn.ts';
import {
  keepaliveTimeWhen,
  ktimeGetSeconds,
  tcpClockUs,
  tcpFullSpace,
  tcpInitWl,
  tcpMssClamp,
  tcpPawsReject,
} from '#include/net/tcp_inlines.ts';
import { HZ } from '#kernel/param.ts';
import { modTimer, timerPending } from '#kernel/time/timer.ts';
import { after, between } from '#lib/tcp_seq.ts';
import { minmaxReset } from '#lib/win_minmax.ts';
import { view } from '#mm/memory.ts';
import { reqskFastopenRemove } from '#net/core/request_sock.ts';
import { sockFlag } from '#net/core/sock.ts';
import {
  inetCskCloneLock,
  inetCskCompleteHashdance,
  inetCskReqskQueueDrop,
  tcpReqskTimeout,
} from '#net/ipv4/inet_connection_sock.ts';
import { inetCskResetKeepaliveTimer } from '#net/ipv4/inet_connection_sock_timer.ts';
import { tcpAssignCongestionControl, tcpCaDstInit, tcpSetCaState } from '#net/ipv4/tcp_cong.ts';
import { tcpChallengeAllowed, tcpOowRateLimited } from '#net/ipv4/tcp_input_challenge.ts';
import { tcpReset } from '#net/ipv4/tcp_input_data.ts';
import { tcpParseOptions } from '#net/ipv4/tcp_input_options.ts';
import { tcpSynackRttMeas } from '#net/ipv4/tcp_input_rtt.ts';
import { type TcpMinisockOut, tcpInWindow } from '#net/ipv4/tcp_minisocks.ts';
import { tcpRtxSynack } from '#net/ipv4/tcp_output_ctl.ts';
import { tcpSelectInitialWindow } from '#net/ipv4/tcp_output_window.ts';
import { tcpInitXmitTimers } from '#net/ipv4/tcp_timer.ts';
import { INET_ECN_MASK } from '#uapi/ip.ts';
import {
  SKB_DROP_REASON_TCP_LISTEN_OVERFLOW,
  SKB_DROP_REASON_TCP_OVERWINDOW,
  SKB_DROP_REASON_TCP_RFC7323_PAWS,
  SKB_DROP_REASON_TCP_RFC7323_TSECR,
} from '#uapi/net_dropreason.ts';
import { RTAX_INITRWND, RTAX_WINDOW } from '#uapi/rtnetlink.ts';
import {
  LINUX_MIB_EMBRYONICRSTS,
  LINUX_MIB_PAWSESTABREJECTED,
  LINUX_MIB_TCPACKSKIPPEDSYNRECV,
  LINUX_MIB_TCPDEFERACCEPTDROP,
  LINUX_MIB_TSECRREJECTED,
  TCP_MIB_ATTEMPTFAILS,
  TCP_MIB_PASSIVEOPENS,
} from '#uapi/snmp.ts';
import { SOCK_RCVBUF_LOCK } from '#uapi/socket.ts';
import {
  TCP_CA_Open,
  TCP_MSS_DEFAULT,
  TCPHDR_ACK,
  TCPHDR_RST,
  TCPHDR_SYN,
  TCPOLEN_TSTAMP_ALIGNED,
  tcphdr,
} from '#uapi/tcp.ts';

/** Window offered in the SYN-ACK, which is not scaled. @kernel tcp_synack_window include/net/tcp.h */
export function tcpSynackWindow(req: RequestSock): number {
  return Math.min(req.rskRcvWnd, 65535);
}

/**
 * Chooses the window of a request.
 * @kernel tcp_openreq_init_rwin net/ipv4/tcp_minisocks.c
 */
export function tcpOpenreqInitRwin(req: RequestSock, listener: Sock, dst: DstEntry): void {
  const tp = tcpSk(listener);
  const mss = tcpMssClamp(tp, dstMetricAdvmss(dst));
  const fullSpace = tcpFullSpace(listener);
  req.rskWindowClamp = tp.windowClamp !== 0 ? tp.windowClamp : dstMetric(dst, RTAX_WINDOW);
  if (
    (listener.skUserlocks & SOCK_RCVBUF_LOCK) !== 0 &&
    (req.rskWindowClamp > fullSpace || req.rskWindowClamp === 0)
  ) {
    req.rskWindowClamp = fullSpace;
  }
  const win = tcpSelectInitialWindow(
    listener,
    fullSpace,
    mss - (req.tstampOk ? TCPOLEN_TSTAMP_ALIGNED : 0),
    req.rskWindowClamp,
    req.wscaleOk,
    dstMetric(dst, RTAX_INITRWND),
  );
  req.rskRcvWnd = win.rcvWnd;
  req.rskWindowClamp = win.windowClamp;
  req.rcvWscale = win.rcvWscale;
}

/** @kernel tcp_ca_openreq_child net/ipv4/tcp_minisocks.c */
export function tcpCaOpenreqChild(sk: Sock, dst: DstEntry): void {
  const tp = tcpSk(sk);
  if (!tp.icskCaSetsockopt || tp.icskCaOps === null) tcpAssignCongestionControl(sk);
  tcpCaDstInit(sk, dst);
  tcpSetCaState(sk, TCP_CA_Open);
}

/** Sequence numbers and timers of a fresh child. @kernel tcp_create_openreq_child net/ipv4/tcp_minisocks.c */
function tcpChildInitSeq(newtp: TcpSock, req: RequestSock): void {
  const now = newtp.net.machine.jiffies;
  const rcv = (req.rcvIsn + 1) | 0;
  const snd = (req.sntIsn + 1) | 0;
  newtp.predFlags = 0;
  newtp.rcvWup = rcv;
  newtp.copiedSeq = rcv;
  newtp.rcvNxt = rcv;
  newtp.segsIn = 1;
  newtp.sndSml = snd;
  newtp.sndUna = snd;
  newtp.sndNxt = snd;
  newtp.sndUp = snd;
  newtp.writeSeq = snd;
  newtp.pushedSeq = snd;
  tcpInitWl(newtp, req.rcvIsn);
  minmaxReset(newtp.rttMin, now, RTT_MIN_NONE);
  newtp.ackLrcvtime = now;
  newtp.lsndtime = now;
}

/** What the handshake negotiated. @kernel tcp_create_openreq_child net/ipv4/tcp_minisocks.c */
function tcpChildInitOptions(newtp: TcpSock, req: RequestSock, skb: SkBuff): void {
  const rxOpt = newtp.rxOpt;
  rxOpt.tstampOk = req.tstampOk;
  rxOpt.sackOk = req.sackOk ? TCP_SACK_SEEN : 0;
  newtp.windowClamp = req.rskWindowClamp;
  newtp.rcvSsthresh = req.rskRcvWnd;
  newtp.rcvWnd = req.rskRcvWnd;
  rxOpt.wscaleOk = req.wscaleOk;
  if (rxOpt.wscaleOk) {
    rxOpt.sndWscale = req.sndWscale;
    rxOpt.rcvWscale = req.rcvWscale;
  } else {
    rxOpt.sndWscale = 0;
    rxOpt.rcvWscale = 0;
    newtp.windowClamp = Math.min(newtp.windowClamp, 65535);
  }
  newtp.sndWnd = tcphdr.window(view, skb.transportHeader) * (1 << rxOpt.sndWscale);
  newtp.maxWindow = newtp.sndWnd;
  if (rxOpt.tstampOk) {
    newtp.usecTs = req.reqUsecTs;
    rxOpt.tsRecent = req.tsRecent;
    rxOpt.tsRecentStamp = ktimeGetSeconds(newtp.net.machine);
    newtp.tcpHeaderLen = tcphdr.LEN + TCPOLEN_TSTAMP_ALIGNED;
  } else {
    newtp.usecTs = false;
    rxOpt.tsRecentStamp = 0;
    newtp.tcpHeaderLen = tcphdr.LEN;
  }
  newtp.tsoffset = req.tsOff;
  rxOpt.mssClamp = req.mss;
}

/** The SYN-ACK timed out on the way here. @kernel tcp_create_openreq_child net/ipv4/tcp_minisocks.c */
function tcpChildInitTimeouts(newtp: TcpSock, req: RequestSock): void {
  if (req.numTimeout === 0) return;
  const machine = newtp.net.machine;
  newtp.totalRto = req.numTimeout;
  newtp.undoMarker = req.sntIsn;
  newtp.retransStamp = newtp.usecTs ? req.sntSynack | 0 : Math.floor(req.sntSynack / 1000) | 0;
  newtp.totalRtoTime = Math.floor((tcpClockUs(machine) - req.sntSynack) / 1000);
  newtp.totalRtoRecoveries = 1;
}

/**
 * The child's mode, and for accurate ECN what the ACK of our SYN-ACK tells.
 * @kernel tcp_ecn_openreq_child net/ipv4/tcp_minisocks.c
 */
function tcpEcnOpenreqChild(newtp: TcpSock, req: RequestSock, skb: SkBuff): void {
  newtp.ecnFlags = TCP_ECN_DISABLED;
  if (!req.accecnOk) {
    if (req.ecnOk) tcpEcnModeSet(newtp, TCP_ECN_MODE_RFC3168);
    return;
  }
  tcpEcnModeSet(newtp, TCP_ECN_MODE_ACCECN);
  newtp.synEctSnt = req.synEctSnt;
  tcpAccecnThirdAck(newtp, skb, req.synEctSnt);
  newtp.sawAccecnOpt = req.sawAccecnOpt;
  tcpAccecnFailModeSet(newtp, req.accecnFailMode);
  newtp.prevEcnfield = req.synEctRcv;
  newtp.accecnOptDemand = 1;
  tcpEcnReceivedCountersPayload(newtp, skb);
}

/**
 * A full socket for a request whose handshake is complete. Null when there is no memory.
 * @kernel tcp_create_openreq_child net/ipv4/tcp_minisocks.c
 */
export function tcpCreateOpenreqChild(sk: Sock, req: RequestSock, skb: SkBuff): TcpSock | null {
  const newsk = inetCskCloneLock(sk, req);
  if (newsk === null) return null;
  const newtp = tcpSk(newsk);
  tcpChildInitSeq(newtp, req);
  newtp.skTxhash = req.txhash;
  newtp.totalRetrans = req.numRetrans;
  tcpInitXmitTimers(newtp);
  if (sockFlag(newtp, SOCK_KEEPOPEN)) {
    inetCskResetKeepaliveTimer(newtp, keepaliveTimeWhen(newtp));
  }
  tcpChildInitOptions(newtp, req, skb);
  tcpChildInitTimeouts(newtp, req);
  if (skb.len >= TCP_MSS_DEFAULT + newtp.tcpHeaderLen) {
    newtp.ackLastSegSize = skb.len - newtp.tcpHeaderLen;
  }
  tcpEcnOpenreqChild(newtp, req, skb);
  newtp.fastopenReq = null;
  newtp.fastopenRsk = null;
  newtp.md5sigInfo = null;
  newtp.aoInfo = null;
  newtp.tcpHeaderLen += tcpChildAuthLen(sk, req);
  tcpIncStats(sk.net, TCP_MIB_PASSIVEOPENS);
  return newtp;
}

/** What a request's options say: bit 0 PAWS failed, bit 1 the echo is none of ours. @kernel tcp_check_req net/ipv4/tcp_minisocks.c */
function tcpReqOptions(
  req: RequestSock,
  skb: SkBuff,
  th: number,
  fastopen: boolean,
  opt: TcpOptionsReceived,
): number {
  if (tcphdr.hdrlen(view, th) <= tcphdr.LEN) return 0;
  tcpParseOptions(req.net, skb, opt, false);
  if (!opt.sawTstamp) return 0;
  let tsecrReject = false;
  opt.tsRecent = req.tsRecent;
  if (opt.rcvTsecr !== 0) {
    // A Fast Open child may have sent more than the SYN-ACK.
    if (req.tstampOk && !fastopen) {
      tsecrReject = !between(opt.rcvTsecr, req.sntTsvalFirst, req.sntTsvalLast);
    }
    opt.rcvTsecr = (opt.rcvTsecr - req.tsOff) | 0;
  }
  // The true time of the stamp is not kept; it is no older than the request's timer.
  const age = Math.trunc(tcpReqskTimeout(req) / HZ);
  opt.tsRecentStamp = ktimeGetSeconds(req.net.machine) - age;
  const pawsReject = tcpPawsReject(req.net.machine, opt, tcphdr.rst(view, th) !== 0);
  return (pawsReject ? 1 : 0) | (tsecrReject ? 2 : 0);
}

/**
 * The SYN came again: its latest codepoint counts, and one without flags says that they hurt.
 * @kernel tcp_check_req net/ipv4/tcp_minisocks.c
 * @rfc 9768#3.1.5
 */
function tcpReqSynAgain(req: RequestSock, skb: SkBuff, th: number): void {
  req.synEctRcv = skb.tcpCb.ipDsfield & INET_ECN_MASK;
  if (tcpAccecnAce(th) === 0) req.accecnFailMode |= TCP_ACCECN_ACE_FAIL_RECV;
}

/** The first option of the client, in the ACK that ends the handshake. @kernel tcp_check_req net/ipv4/tcp_minisocks.c */
function tcpReqAccecnOption(req: RequestSock, skb: SkBuff, opt: TcpOptionsReceived): void {
  if (!req.accecnOk || opt.accecn === 0 || req.sawAccecnOpt >= TCP_ACCECN_OPT_COUNTER_SEEN) return;
  req.sawAccecnOpt = tcpAccecnOptionInit(skb, opt.accecn);
  if (req.sawAccecnOpt === TCP_ACCECN_OPT_FAIL_SEEN) {
    req.accecnFailMode |= TCP_ACCECN_OPT_FAIL_RECV;
  }
}

/** Answers a segment that is no part of the handshake. @kernel tcp_check_req net/ipv4/tcp_minisocks.c */
function tcpReqOutOfWindow(
  sk: Sock,
  skb: SkBuff,
  req: RequestSock,
  rejects: number,
  rst: boolean,
  out: TcpMinisockOut,
): null {
  if (!rst && !tcpOowRateLimited(sk.net, skb, LINUX_MIB_TCPACKSKIPPEDSYNRECV, req)) {
    req.rskOps.sendAck(sk, skb, req);
  }
  if ((rejects & 1) !== 0) {
    out.dropReason = SKB_DROP_REASON_TCP_RFC7323_PAWS;
    netIncStats(sk.net, LINUX_MIB_PAWSESTABREJECTED);
  } else if ((rejects & 2) !== 0) {
    out.dropReason = SKB_DROP_REASON_TCP_RFC7323_TSECR;
    netIncStats(sk.net, LINUX_MIB_TSECRREJECTED);
  } else {
    out.dropReason = SKB_DROP_REASON_TCP_OVERWINDOW;
  }
  return null;
}

/** The request ends in a reset. @kernel tcp_check_req net/ipv4/tcp_minisocks.c */
function tcpEmbryonicReset(
  sk: Sock,
  skb: SkBuff,
  req: RequestSock,
  rst: boolean,
  fastopen: boolean,
  out: TcpMinisockOut,
): null {
  if (!rst) {
    // A SYN that does not belong here must not end a Fast Open child: anybody could send it.
    req.rskOps.sendReset(sk, skb, SK_RST_REASON_INVALID_SYN);
  } else if (fastopen) {
    reqskFastopenRemove(sk, req, true);
    tcpReset(sk);
  }
  if (fastopen) return null;
  const unlinked = inetCskReqskQueueDrop(sk, req);
  if (unlinked) netIncStats(sk.net, LINUX_MIB_EMBRYONICRSTS);
  out.reqStolen = !unlinked;
  return null;
}

/**
 * The handshake is complete: makes the full socket. Null: no room, the peer may try again.
 * @kernel tcp_check_req net/ipv4/tcp_minisocks.c
 */
function tcpReqEstablish(
  sk: Sock,
  skb: SkBuff,
  req: RequestSock,
  opt: TcpOptionsReceived,
  out: TcpMinisockOut,
): Sock | null {
  const ops = tcpSk(sk).icskAfOps;
  const made = ops === null ? null : ops.synRecvSock(sk, skb, req, null, req);
  const child = made === null ? null : made.sk;
  if (made === null || child === null) {
    out.dropReason = SKB_DROP_REASON_TCP_LISTEN_OVERFLOW;
    if (sk.net.ipv4.sysctlTcpAbortOnOverflow === 0) {
      req.acked = true;
      return null;
    }
    return tcpEmbryonicReset(sk, skb, req, false, false, out);
  }
  if (made.ownReq && opt.sawTstamp && !after(skb.tcpCb.seq, req.rcvNxt)) {
    tcpSk(child).rxOpt.tsRecent = opt.rcvTsval;
  }
  tcpSynackRttMeas(child, req);
  out.reqStolen = !made.ownReq;
  return inetCskCompleteHashdance(sk, child, req, made.ownReq);
}

/**
 * A segment for a request. Returns the new socket, or `sk` (the listener, which will reset the
 * sender of a wrong ACK), or null when there is nothing more to do. `fastopen`: `sk` is the request's
 * child, not its listener, and is what returns.
 * @kernel tcp_check_req net/ipv4/tcp_minisocks.c
 * @rfc 9293#3.10.7.4
 * @rfc 5961#3.2
 */
export function tcpCheckReq(
  sk: Sock,
  skb: SkBuff,
  req: RequestSock,
  fastopen: boolean,
  out: TcpMinisockOut,
): Sock | null {
  const th = skb.transportHeader;
  const { seq, endSeq, ackSeq } = skb.tcpCb;
  const opt = new TcpOptionsReceived();
  const rejects = tcpReqOptions(req, skb, th, fastopen, opt);
  let flg = tcphdr.flags(view, th) & (TCPHDR_RST | TCPHDR_SYN | TCPHDR_ACK);

  // The SYN again: our SYN-ACK was lost.
  if (seq === req.rcvIsn && flg === TCPHDR_SYN && (rejects & 1) === 0) {
    if (tcpOowRateLimited(sk.net, skb, LINUX_MIB_TCPACKSKIPPEDSYNRECV, req)) return null;
    if (req.accecnOk) tcpReqSynAgain(req, skb, th);
    if (tcpRtxSynack(sk, req) === 0) {
      tcpAccecnAceFailSendSetRetrans(req);
      const timer = req.rskTimer;
      if (timer !== null && timerPending(timer)) {
        modTimer(timer, (sk.net.machine.jiffies + tcpReqskTimeout(req)) | 0);
      }
    }
    return null;
  }
  // An ACK of something we did not send: the listener answers with RST, but never to one.
  const acks = (flg & (TCPHDR_ACK | TCPHDR_RST)) === TCPHDR_ACK;
  if (acks && !fastopen && ackSeq !== ((req.sntIsn + 1) | 0)) return sk;

  const windowEnd = (req.rcvNxt + tcpSynackWindow(req)) | 0;
  if (rejects !== 0 || !tcpInWindow(seq, endSeq, req.rcvNxt, windowEnd)) {
    return tcpReqOutOfWindow(sk, skb, req, rejects, (flg & TCPHDR_RST) !== 0, out);
  }
  // A SYN at its old place lies before the window.
  if (seq === req.rcvIsn) flg &= ~TCPHDR_SYN;
  if ((flg & (TCPHDR_RST | TCPHDR_SYN)) !== 0) {
    if ((flg & TCPHDR_RST) !== 0 && seq !== req.rcvNxt) {
      if (tcpChallengeAllowed(sk.net, req)) req.rskOps.sendAck(sk, skb, req);
      return null;
    }
    tcpIncStats(sk.net, TCP_MIB_ATTEMPTFAILS);
    return tcpEmbryonicReset(sk, skb, req, (flg & TCPHDR_RST) !== 0, fastopen, out);
  }
  if ((flg & TCPHDR_ACK) === 0) return null;
  tcpReqAccecnOption(req, skb, opt);
  // The child is there already.
  if (fastopen) return sk;

  // TCP_DEFER_ACCEPT: wait for data.
  const defer = tcpSk(sk).icskAcceptQueue.rskqDeferAccept;
  if (req.numTimeout < defer && endSeq === ((req.rcvIsn + 1) | 0)) {
    req.acked = true;
    netIncStats(sk.net, LINUX_MIB_TCPDEFERACCEPTDROP);
    return null;
  }
  return tcpReqEstablish(sk, skb, req, opt, out);
}
