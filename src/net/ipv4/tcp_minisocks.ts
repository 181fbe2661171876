/**
 * The small sockets at both ends of a connection's life: time-wait after it, in this file, and
 * requests before it, in tcp_minisocks_req.ts.
 *
 * Counterpart: net/ipv4/tcp_minisocks.c. RFC 9293#3.10.7.8 (TIME-WAIT), RFC 1337 (its assassination),
 * RFC 6191 (reuse by timestamps), RFC 7323#5 (PAWS).
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import { TcpOptionsReceived } from '#include/linux/tcp.ts';
import type { InetTimewaitSock } from '#include/net/inet_timewait_sock.ts';
import { netIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import { TCP_TIMEWAIT_LEN, tcpSk } from '#include/net/tcp.ts';
import { tcpTwskKey } from '#include/net/tcp_auth_ops.ts';
import {
  ktimeGetSeconds,
  tcpClockMs,
  tcpPawsReject,
  tcpReceiveWindow,
  tcpTimeStampMs,
} from '#include/net/tcp_inlines.ts';
import { after, before } from '#lib/tcp_seq.ts';
import { view } from '#mm/memory.ts';
import {
  inetTwskAlloc,
  inetTwskDeschedulePut,
  inetTwskHashdanceSchedule,
  inetTwskPut,
  inetTwskReschedule,
} from '#net/ipv4/inet_timewait_sock.ts';
import { tcpOowRateLimited } from '#net/ipv4/tcp_input_challenge.ts';
import { tcpParseOptions } from '#net/ipv4/tcp_input_options.ts';
import { tcpUpdateMetrics } from '#net/ipv4/tcp_metrics_init.ts';
import { tcpDone } from '#net/ipv4/tcp_state.ts';
import { SKB_DROP_REASON_TCP_RFC7323_TW_PAWS } from '#uapi/net_dropreason.ts';
import {
  LINUX_MIB_PAWS_TW_REJECTED,
  LINUX_MIB_TCPACKSKIPPEDFINWAIT2,
  LINUX_MIB_TCPACKSKIPPEDTIMEWAIT,
  LINUX_MIB_TCPTIMEWAITOVERFLOW,
} from '#uapi/snmp.ts';
import {
  TCP_FIN_WAIT2,
  TCP_TIME_WAIT,
  TCPHDR_ACK,
  TCPHDR_FIN,
  TCPHDR_RST,
  TCPHDR_SYN,
  tcphdr,
} from '#uapi/tcp.ts';

export const TCP_TW_SUCCESS = 0;
export const TCP_TW_RST = 1;
export const TCP_TW_ACK = 2;
export const TCP_TW_SYN = 3;
/** An ACK for a segment out of the window. */
export const TCP_TW_ACK_OOW = 4;

/** Results that a function in C returns through pointers. */
export class TcpMinisockOut {
  /** Initial sequence number for a connection that takes over from a time-wait socket. */
  isn = 0;
  dropReason = 0;
  /** Somebody else has turned the request into a socket. */
  reqStolen = false;
}

/** @kernel tcp_in_window net/ipv4/tcp_minisocks.c */
export function tcpInWindow(seq: number, endSeq: number, sWin: number, eWin: number): boolean {
  if (seq === sWin) return true;
  if (after(endSeq, sWin) && before(seq, eWin)) return true;
  return seq === eWin && seq === endSeq;
}

// ---- Time wait ---------------------------------------------------------------------------------

/** TCP_TW_ACK_OOW keeps the caller's reference for the answer; else it is dropped. @kernel tcp_timewait_check_oow_rate_limit net/ipv4/tcp_minisocks.c */
function tcpTimewaitCheckOow(tw: InetTimewaitSock, skb: SkBuff, mibIdx: number): number {
  if (!tcpOowRateLimited(tw.net, skb, mibIdx, tw)) return TCP_TW_ACK_OOW;
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
    tw.twMd5Key = tcpTwskKey(sk);
    tw.aoInfo = tp.aoInfo;
    const wait = state === TCP_TIME_WAIT ? TCP_TIMEWAIT_LEN : Math.max(timeo, rto);
    inetTwskHashdanceSchedule(tw, tp, wait);
  }
  tcpUpdateMetrics(sk);
  tcpDone(sk);
}
