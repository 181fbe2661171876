/**
 * The small sockets at both ends of a connection's life: time-wait after it, requests before it.
 *
 * Counterpart: net/ipv4/tcp_minisocks.c, but for tcp_child_process(). RFC 9293#3.10.7.8 (TIME-WAIT),
 * RFC 1337 (its assassination), RFC 6191 (reuse by timestamps), RFC 7323#5 (PAWS).
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import { TCP_SACK_SEEN, TcpOptionsReceived, type TcpSock } from '#include/linux/tcp.ts';
import { type DstEntry, dstMetric, dstMetricAdvmss } from '#include/net/dst.ts';
import type { InetTimewaitSock, RequestSock } from '#include/net/inet_connection_sock.ts';
import { netIncStats, tcpIncStats } from '#include/net/ip.ts';
import { SK_RST_REASON_INVALID_SYN } from '#include/net/rstreason.ts';
import { SOCK_KEEPOPEN, type Sock } from '#include/net/sock.ts';
import { TCP_ECN_OK, TCP_TIMEWAIT_LEN, tcpSk } from '#include/net/tcp.ts';
import {
  keepaliveTimeWhen,
  ktimeGetSeconds,
  tcpClockMs,
  tcpClockUs,
  tcpFullSpace,
  tcpInitWl,
  tcpMssClamp,
  tcpPawsReject,
  tcpReceiveWindow,
  tcpTimeStampMs,
} from '#include/net/tcp_inlines.ts';
import { HZ } from '#kernel/param.ts';
import { modTimer, timerPending } from '#kernel/time/timer.ts';
import { after, before, between } from '#lib/tcp_seq.ts';
import { minmaxReset } from '#lib/win_minmax.ts';
import { view } from '#mm/memory.ts';
import { sockFlag } from '#net/core/sock.ts';
import {
  inetCskCloneLock,
  inetCskCompleteHashdance,
  inetCskReqskQueueDrop,
  tcpReqskTimeout,
} from '#net/ipv4/inet_connection_sock.ts';
import { inetCskResetKeepaliveTimer } from '#net/ipv4/inet_connection_sock_timer.ts';
import {
  inetTwskAlloc,
  inetTwskDeschedulePut,
  inetTwskHashdanceSchedule,
  inetTwskPut,
  inetTwskReschedule,
} from '#net/ipv4/inet_timewait_sock.ts';
import { tcpAssignCongestionControl, tcpCaDstInit, tcpSetCaState } from '#net/ipv4/tcp_cong.ts';
import { tcpOowRateLimited } from '#net/ipv4/tcp_input_challenge.ts';
import { tcpParseOptions } from '#net/ipv4/tcp_input_options.ts';
import { tcpSynackRttMeas } from '#net/ipv4/tcp_input_rtt.ts';
import { tcpRtxSynack } from '#net/ipv4/tcp_output_ctl.ts';
import { tcpSelectInitialWindow } from '#net/ipv4/tcp_output_window.ts';
import { tcpDone } from '#net/ipv4/tcp_state.ts';
import { tcpInitXmitTimers } from '#net/ipv4/tcp_timer.ts';
import {
  SKB_DROP_REASON_TCP_LISTEN_OVERFLOW,
  SKB_DROP_REASON_TCP_OVERWINDOW,
  SKB_DROP_REASON_TCP_RFC7323_PAWS,
  SKB_DROP_REASON_TCP_RFC7323_TSECR,
  SKB_DROP_REASON_TCP_RFC7323_TW_PAWS,
} from '#uapi/net_dropreason.ts';
import { RTAX_INITRWND, RTAX_WINDOW } from '#uapi/rtnetlink.ts';
import {
  LINUX_MIB_EMBRYONICRSTS,
  LINUX_MIB_PAWS_TW_REJECTED,
  LINUX_MIB_PAWSESTABREJECTED,
  LINUX_MIB_TCPACKSKIPPEDFINWAIT2,
  LINUX_MIB_TCPACKSKIPPEDSYNRECV,
  LINUX_MIB_TCPACKSKIPPEDTIMEWAIT,
  LINUX_MIB_TCPDEFERACCEPTDROP,
  LINUX_MIB_TCPTIMEWAITOVERFLOW,
  LINUX_MIB_TSECRREJECTED,
  TCP_MIB_ATTEMPTFAILS,
  TCP_MIB_PASSIVEOPENS,
} from '#uapi/snmp.ts';
import { SOCK_RCVBUF_LOCK } from '#uapi/socket.ts';
import {
  TCP_CA_Open,
  TCP_FIN_WAIT2,
  TCP_MSS_DEFAULT,
  TCP_TIME_WAIT,
  TCPHDR_ACK,
  TCPHDR_FIN,
  TCPHDR_RST,
  TCPHDR_SYN,
  TCPOLEN_TSTAMP_ALIGNED,
  tcphdr,
} from '#uapi/tcp.ts';

export const TCP_TW_SUCCESS = 0;
export const TCP_TW_RST = 1;
export const TCP_TW_ACK = 2;
export const TCP_TW_SYN = 3;

/** Results that a function in C returns through pointers. */
export class TcpMinisockOut {
  /** Initial sequence number for a connection that takes over from a time-wait socket. */
  isn = 0;
  dropReason = 0;
  /** Somebody else has turned the request into a socket. */
  reqStolen = false;
}

/** @kernel tcp_in_window net/ipv4/tcp_minisocks.c */
function tcpInWindow(seq: number, endSeq: number, sWin: number, eWin: number): boolean {
  if (seq === sWin) return true;
  if (after(endSeq, sWin) && before(seq, eWin)) return true;
  return seq === eWin && seq === endSeq;
}

// ---- Time wait ---------------------------------------------------------------------------------

/** TCP_TW_ACK keeps the caller's reference for the answer; else it is dropped. @kernel tcp_timewait_check_oow_rate_limit net/ipv4/tcp_minisocks.c */
function tcpTimewaitCheckOow(tw: InetTimewaitSock, skb: SkBuff, mibIdx: number): number {
  if (!tcpOowRateLimited(tw.net, skb, mibIdx, tw)) return TCP_TW_ACK;
  inetTwskPut(tw);
  return TCP_TW_SUCCESS;
}

/** Drops the reference of the lookup. */
function tcpTwDone(tw: InetTimewaitSock): number {
  inetTwskPut(tw);
  return TCP_TW_SUCCESS;
}

/**
 * FIN_WAIT2 kept as a small socket: waits for the peer's FIN.
 * @kernel tcp_timewait_state_process net/ipv4/tcp_minisocks.c
 */
function tcpTwFinWait2(
  tw: InetTimewaitSock,
  skb: SkBuff,
  th: number,
  opt: TcpOptionsReceived,
  pawsReject: boolean,
): number {
  const { seq, endSeq } = skb.tcpCb;
  const rcvNxt = tw.twRcvNxt;
  const flags = tcphdr.flags(view, th);
  if (pawsReject || !tcpInWindow(seq, endSeq, rcvNxt, (rcvNxt + tw.twRcvWnd) | 0)) {
    return tcpTimewaitCheckOow(tw, skb, LINUX_MIB_TCPACKSKIPPEDFINWAIT2);
  }
  if ((flags & TCPHDR_RST) !== 0) {
    inetTwskDeschedulePut(tw);
    return TCP_TW_SUCCESS;
  }
  if ((flags & TCPHDR_SYN) !== 0 && !before(seq, rcvNxt)) return TCP_TW_RST;
  if ((flags & TCPHDR_ACK) === 0 || !after(endSeq, rcvNxt) || endSeq === seq) return tcpTwDone(tw);
  // Data that nobody will read.
  if ((flags & TCPHDR_FIN) === 0 || endSeq !== ((rcvNxt + 1) | 0)) return TCP_TW_RST;

  tw.twSubstate = TCP_TIME_WAIT;
  tw.twRcvNxt = endSeq;
  if (opt.sawTstamp) {
    tw.twEntryStamp = tcpClockMs(tw.net.machine);
    tw.twTsRecentStamp = ktimeGetSeconds(tw.net.machine);
    tw.twTsRecent = opt.rcvTsval;
  }
  inetTwskReschedule(tw, TCP_TIMEWAIT_LEN);
  return TCP_TW_ACK;
}

/**
 * A segment for a connection in TIME_WAIT. TCP_TW_*: RST, ACK and SYN leave the reference of the
 * lookup to the caller.
 * @kernel tcp_timewait_state_process net/ipv4/tcp_minisocks.c
 * @rfc 9293#3.10.7.8
 */
export function tcpTimewaitStateProcess(
  tw: InetTimewaitSock,
  skb: SkBuff,
  th: number,
  out: TcpMinisockOut,
): number {
  const { seq, endSeq } = skb.tcpCb;
  const flags = tcphdr.flags(view, th);
  const opt = new TcpOptionsReceived();
  let pawsReject = false;
  if (tcphdr.hdrlen(view, th) > tcphdr.LEN && tw.twTsRecentStamp !== 0) {
    tcpParseOptions(tw.net, skb, opt, false);
    if (opt.sawTstamp) {
      if (opt.rcvTsecr !== 0) opt.rcvTsecr = (opt.rcvTsecr - tw.twTsOffset) | 0;
      opt.tsRecent = tw.twTsRecent;
      opt.tsRecentStamp = tw.twTsRecentStamp;
      pawsReject = tcpPawsReject(tw.net.machine, opt, (flags & TCPHDR_RST) !== 0);
    }
  }
  if (tw.twSubstate === TCP_FIN_WAIT2) return tcpTwFinWait2(tw, skb, th, opt, pawsReject);

  const rcvNxt = tw.twRcvNxt;
  if (!pawsReject && seq === rcvNxt && (seq === endSeq || (flags & TCPHDR_RST) !== 0)) {
    if ((flags & TCPHDR_RST) !== 0) {
      // RFC 1337: an old duplicate could end the wait too early.
      if (tw.net.ipv4.sysctlTcpRfc1337 === 0) {
        inetTwskDeschedulePut(tw);
        return TCP_TW_SUCCESS;
      }
    } else {
      inetTwskReschedule(tw, TCP_TIMEWAIT_LEN);
    }
    if (opt.sawTstamp) {
      tw.twTsRecent = opt.rcvTsval;
      tw.twTsRecentStamp = ktimeGetSeconds(tw.net.machine);
    }
    return tcpTwDone(tw);
  }
  return tcpTwOutOfWindow(tw, skb, opt, pawsReject, out);
}

/**
 * Anything else is answered with an ACK, but a SYN that cannot be an old duplicate opens the
 * connection anew, beyond all sequence numbers of the old one.
 * @kernel tcp_timewait_state_process net/ipv4/tcp_minisocks.c
 * @rfc 6191#2
 */
function tcpTwOutOfWindow(
  tw: InetTimewaitSock,
  skb: SkBuff,
  opt: TcpOptionsReceived,
  pawsReject: boolean,
  out: TcpMinisockOut,
): number {
  const flags = tcphdr.flags(view, skb.transportHeader);
  const onlySyn = (flags & (TCPHDR_SYN | TCPHDR_RST | TCPHDR_ACK)) === TCPHDR_SYN;
  const newer =
    after(skb.tcpCb.seq, tw.twRcvNxt) ||
    (opt.sawTstamp && ((tw.twTsRecent - opt.rcvTsval) | 0) < 0);
  if (onlySyn && !pawsReject && newer) {
    const isn = (tw.twSndNxt + 65535 + 2) | 0;
    out.isn = isn !== 0 ? isn : 1;
    return TCP_TW_SYN;
  }
  if (pawsReject) {
    out.dropReason = SKB_DROP_REASON_TCP_RFC7323_TW_PAWS;
    netIncStats(tw.net, LINUX_MIB_PAWS_TW_REJECTED);
  }
  if ((flags & TCPHDR_RST) !== 0) return tcpTwDone(tw);
  // A bare SYN may still be a new connection whose number happens to lie below ours: then the wait
  // must not be prolonged.
  if (pawsReject || (flags & TCPHDR_ACK) !== 0) inetTwskReschedule(tw, TCP_TIMEWAIT_LEN);
  return tcpTimewaitCheckOow(tw, skb, LINUX_MIB_TCPACKSKIPPEDTIMEWAIT);
}

/**
 * Replaces the socket by a time-wait socket in `state` (TCP_FIN_WAIT2 or TCP_TIME_WAIT) and closes
 * it. `timeo` in jiffies.
 * @kernel tcp_time_wait net/ipv4/tcp_minisocks.c
 */
export function tcpTimeWait(sk: Sock, state: number, timeo: number): void {
  const tp = tcpSk(sk);
  const tw = inetTwskAlloc(tp, state);
  if (tw === null) {
    netIncStats(sk.net, LINUX_MIB_TCPTIMEWAITOVERFLOW);
  } else {
    const rto = (tp.icskRto << 2) - (tp.icskRto >> 1);
    tw.twMark = sk.skMark;
    tw.twPriority = sk.skPriority;
    tw.twRcvWscale = tp.rxOpt.rcvWscale;
    tw.twEntryStamp = tcpTimeStampMs(tp);
    tw.twRcvNxt = tp.rcvNxt;
    tw.twSndNxt = tp.sndNxt;
    tw.twRcvWnd = tcpReceiveWindow(tp);
    tw.twTsRecent = tp.rxOpt.tsRecent;
    tw.twTsRecentStamp = tp.rxOpt.tsRecentStamp;
    tw.twTsOffset = tp.tsoffset;
    tw.twUsecTs = tp.usecTs;
    tw.twTxDelay = tp.tcpTxDelay;
    tw.twTxhash = sk.skTxhash;
    const wait = state === TCP_TIME_WAIT ? TCP_TIMEWAIT_LEN : Math.max(timeo, rto);
    inetTwskHashdanceSchedule(tw, tp, wait);
  }
  tcpDone(sk);
}

// ---- Requests ----------------------------------------------------------------------------------

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
  minmaxReset(newtp.rttMin, now, 0xffffffff);
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
  newtp.ecnFlags = req.ecnOk ? TCP_ECN_OK : 0;
  newtp.fastopenReq = null;
  newtp.fastopenRsk = null;
  tcpIncStats(sk.net, TCP_MIB_PASSIVEOPENS);
  return newtp;
}

/** What a request's options say: bit 0 PAWS failed, bit 1 the echo is none of ours. @kernel tcp_check_req net/ipv4/tcp_minisocks.c */
function tcpReqOptions(req: RequestSock, skb: SkBuff, th: number, opt: TcpOptionsReceived): number {
  if (tcphdr.hdrlen(view, th) <= tcphdr.LEN) return 0;
  tcpParseOptions(req.net, skb, opt, false);
  if (!opt.sawTstamp) return 0;
  let tsecrReject = false;
  opt.tsRecent = req.tsRecent;
  if (opt.rcvTsecr !== 0) {
    if (req.tstampOk) {
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
  out: TcpMinisockOut,
): null {
  if (!rst) req.rskOps.sendReset(sk, skb, SK_RST_REASON_INVALID_SYN);
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
    return tcpEmbryonicReset(sk, skb, req, false, out);
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
 * sender of a wrong ACK), or null when there is nothing more to do.
 * @kernel tcp_check_req net/ipv4/tcp_minisocks.c
 * @rfc 9293#3.10.7.4
 */
export function tcpCheckReq(
  sk: Sock,
  skb: SkBuff,
  req: RequestSock,
  out: TcpMinisockOut,
): Sock | null {
  const th = skb.transportHeader;
  const { seq, endSeq, ackSeq } = skb.tcpCb;
  const opt = new TcpOptionsReceived();
  const rejects = tcpReqOptions(req, skb, th, opt);
  let flg = tcphdr.flags(view, th) & (TCPHDR_RST | TCPHDR_SYN | TCPHDR_ACK);

  // The SYN again: our SYN-ACK was lost.
  if (seq === req.rcvIsn && flg === TCPHDR_SYN && (rejects & 1) === 0) {
    if (
      !tcpOowRateLimited(sk.net, skb, LINUX_MIB_TCPACKSKIPPEDSYNRECV, req) &&
      tcpRtxSynack(sk, req) === 0
    ) {
      const timer = req.rskTimer;
      if (timer !== null && timerPending(timer)) {
        modTimer(timer, (sk.net.machine.jiffies + tcpReqskTimeout(req)) | 0);
      }
    }
    return null;
  }
  // An ACK of something we did not send: the listener answers with RST.
  if ((flg & TCPHDR_ACK) !== 0 && ackSeq !== ((req.sntIsn + 1) | 0)) return sk;

  const windowEnd = (req.rcvNxt + tcpSynackWindow(req)) | 0;
  if (rejects !== 0 || !tcpInWindow(seq, endSeq, req.rcvNxt, windowEnd)) {
    return tcpReqOutOfWindow(sk, skb, req, rejects, (flg & TCPHDR_RST) !== 0, out);
  }
  // A SYN at its old place lies before the window.
  if (seq === req.rcvIsn) flg &= ~TCPHDR_SYN;
  if ((flg & (TCPHDR_RST | TCPHDR_SYN)) !== 0) {
    tcpIncStats(sk.net, TCP_MIB_ATTEMPTFAILS);
    return tcpEmbryonicReset(sk, skb, req, (flg & TCPHDR_RST) !== 0, out);
  }
  if ((flg & TCPHDR_ACK) === 0) return null;

  // TCP_DEFER_ACCEPT: wait for data.
  const defer = tcpSk(sk).icskAcceptQueue.rskqDeferAccept;
  if (req.numTimeout < defer && endSeq === ((req.rcvIsn + 1) | 0)) {
    req.acked = true;
    netIncStats(sk.net, LINUX_MIB_TCPDEFERACCEPTDROP);
    return null;
  }
  return tcpReqEstablish(sk, skb, req, opt, out);
}
