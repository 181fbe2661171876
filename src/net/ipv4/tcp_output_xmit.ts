/**
 * Sending new data: the loop that takes packets off the write queue while windows, pacing, queue
 * limits and Nagle allow, in packets as large as is good.
 *
 * Counterpart of tcp_write_xmit and its helpers in net/ipv4/tcp_output.c. RFC 9293#3.8.6, 5681.
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import { TCP_CHRONO_RWND_LIMITED, TSQ_THROTTLED } from '#include/linux/tcp.ts';
import type { Sock } from '#include/net/sock.ts';
import { TCP_NAGLE_PUSH, TCPHDR_FIN, tcpSk } from '#include/net/tcp.ts';
import { tcpAccecnOptionBeaconCheck, tcpEcnModeAccecn } from '#include/net/tcp_ecn.ts';
import {
  tcpInCwndReduction,
  tcpMaxTsoDeferredMss,
  tcpNeedsIdleRestart,
  tcpNeedsInternalPacing,
  tcpPacketsInFlight,
  tcpSndCwnd,
  tcpWndEnd,
} from '#include/net/tcp_inlines.ts';
import {
  tcpRtxQueueHead,
  tcpSendHead,
  tcpSkbCanCollapse,
  tcpSkbIsLast,
  tcpSkbPcount,
  tcpTsortedMoveTail,
  tcpWriteQueueEmpty,
  tcpWriteQueueTail,
} from '#include/net/tcp_queue.ts';
import {
  STALL_CWND,
  STALL_DEVICE,
  STALL_NAGLE,
  STALL_PACING,
  STALL_RWND,
  STALL_SMALL_QUEUE,
  STALL_TSO_DEFER,
} from '#include/trace/events/packet.ts';
import { bugOn } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { Hrtimer, hrtimerActive, hrtimerStart } from '#kernel/time/hrtimer.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { skbShift } from '#net/core/skbuff_frags.ts';
import { sockHold } from '#net/core/sock.ts';
import { tcpCheckProbeTimer } from '#net/ipv4/inet_connection_sock_timer.ts';
import {
  tcpCwndRestart,
  tcpEventNewDataSent,
  tcpMstampRefresh,
  tcpTransmitSkb,
  tcpUrgMode,
} from '#net/ipv4/tcp_output.ts';
import { tcpChronoStart, tcpChronoStop } from '#net/ipv4/tcp_output_chrono.ts';
import {
  tcpCwndTest,
  tcpCwndValidate,
  tcpMinshallUpdate,
  tcpMssSplitPoint,
  tcpNagleTest,
  tcpSndWndTest,
  tcpTsoSegs,
} from '#net/ipv4/tcp_output_cwnd.ts';
import { tsoFragment } from '#net/ipv4/tcp_output_frag.ts';
import { tcpCurrentMss, tcpSetSkbTsoSegs } from '#net/ipv4/tcp_output_mss.ts';
import { tcpMtuProbe } from '#net/ipv4/tcp_output_mtup.ts';
import { tcpScheduleLossProbe } from '#net/ipv4/tcp_output_tlp.ts';
import { tcpEatOneSkb } from '#net/ipv4/tcp_output_tstamp.ts';
import { TCP_CA_Recovery, TCP_CLOSE, TCP_SEND_QUEUE } from '#uapi/tcp.ts';

const NSEC_PER_MSEC = 1e6;

/** tcpTsoShouldDefer(): send now, or wait for more because of...  */
const SEND_NOW = 0;
const DEFER = 1;
const DEFER_CWND = 2;
const DEFER_RWND = 3;

/** Must the next packet wait for its time? Then the pacing timer is armed. @kernel tcp_pacing_check net/ipv4/tcp_output.c */
export function tcpPacingCheck(sk: Sock): boolean {
  if (!tcpNeedsInternalPacing(sk)) return false;
  const tp = tcpSk(sk);
  if (tp.tcpWstampNs <= tp.tcpClockCache) return false;
  tp.pacingTimer ??= new Hrtimer<Sock>(sk.net.machine, sk, tp.icskTimerFns!.pace, true);
  const timer = tp.pacingTimer;
  if (!hrtimerActive(timer)) {
    hrtimerStart(timer, tp.tcpWstampNs);
    sockHold(sk);
  }
  return true;
}

/**
 * Does enough of ours lie in the queues below us already? Then tcp_wfree() goes on when it leaves.
 * @kernel tcp_small_queue_check net/ipv4/tcp_output.c
 */
export function tcpSmallQueueCheck(sk: Sock, skb: SkBuff, factor: number): boolean {
  const tp = tcpSk(sk);
  let limit = Math.max(2 * skb.truesize, Math.floor(sk.skPacingRate / (1 << sk.skPacingShift)));
  limit = Math.min(limit, sk.net.ipv4.sysctlTcpLimitOutputBytes) * (1 << factor);
  if (sk.skWmemAlloc <= limit) return false;
  const root = tp.rtxQueue.node;
  if (root === null || (root.rbLeft === null && root.rbRight === null)) return false;
  tp.tsqFlags |= 1 << TSQ_THROTTLED;
  return true;
}

/** Fills a packet from the next one, up to `amount` bytes. @kernel tcp_grow_skb net/ipv4/tcp_output.c */
function tcpGrowSkb(sk: Sock, skb: SkBuff, amount: number): void {
  const next = skb.next;
  if (next === null || !tcpSkbCanCollapse(skb, next)) return;
  const nlen = Math.min(amount, next.len);
  if (nlen === 0 || skbShift(skb, next, nlen) === 0) return;
  const cb = skb.tcpCb;
  const ncb = next.tcpCb;
  cb.endSeq = (cb.endSeq + nlen) | 0;
  ncb.seq = (ncb.seq + nlen) | 0;
  if (next.len === 0) {
    // A FIN counts too.
    cb.endSeq = ncb.endSeq;
    tcpEatOneSkb(sk, skb, next);
  }
}

/**
 * Is it better to wait for an ACK that lets a larger packet go?
 * @kernel tcp_tso_should_defer net/ipv4/tcp_output.c
 */
function tcpTsoShouldDefer(sk: Sock, skb: SkBuff, maxSegs: number): number {
  const tp = tcpSk(sk);
  if (tp.icskCaState >= TCP_CA_Recovery) return SEND_NOW;
  // Only within 1 ms of the last send, so that waiting makes no bursts. Exactly 1 ms, which real
  // clocks never show, counts as past.
  if (tp.tcpClockCache - tp.tcpWstampNs >= NSEC_PER_MSEC) return SEND_NOW;
  const inFlight = tcpPacketsInFlight(tp);
  const cwnd = tcpSndCwnd(tp);
  if (DEBUG) bugOn(tcpSkbPcount(skb) <= 1 || cwnd <= inFlight, 'tcp-tso-defer', 'nothing to defer');
  const sendWin = (tcpWndEnd(tp) - skb.tcpCb.seq) >>> 0;
  const congWin = (cwnd - inFlight) * tp.mssCache;
  const limit = Math.min(sendWin, congWin);
  if (limit >= maxSegs * tp.mssCache) return SEND_NOW;
  if (skb !== tcpWriteQueueTail(sk) && limit >= skb.len) return SEND_NOW;
  const divisor = sk.net.ipv4.sysctlTcpTsoWinDivisor;
  if (divisor !== 0) {
    const chunk = Math.floor(Math.min(tp.sndWnd, cwnd * tp.mssCache) / divisor);
    if (limit >= chunk) return SEND_NOW;
  } else if (limit > tcpMaxTsoDeferredMss(tp) * tp.mssCache) {
    return SEND_NOW;
  }
  const head = tcpRtxQueueHead(sk);
  if (head === null) return SEND_NOW;
  // The next ACK is too far away: more than 1 ms, or half a round trip when that is less.
  const srttNs = 125 * tp.srttUs;
  const ackAwayNs = head.skbMstampNs + srttNs - tp.tcpClockCache;
  if (ackAwayNs > Math.min(srttNs / 2, NSEC_PER_MSEC)) return SEND_NOW;
  if (congWin < sendWin) {
    if (congWin <= skb.len) return DEFER_CWND;
  } else if (sendWin <= skb.len) {
    return DEFER_RWND;
  }
  if ((skb.tcpCb.tcpFlags & TCPHDR_FIN) !== 0 || skb.tcpCb.eor) return SEND_NOW;
  return DEFER;
}

// What xmitHead() did.
const XMIT_SENT = 0;
const XMIT_STOP = 1;
const XMIT_STOP_CWND = 2;
const XMIT_STOP_RWND = 3;

/** Tells what keeps the head of the write queue; gives back `stop`. */
function stalled(sk: Sock, skb: SkBuff, why: number, stop: number): number {
  if (tracepointKey.enabled) sk.net.machine.trace.packet.tcpSendStall.probe?.(sk, skb, why);
  return stop;
}

/** Sends the head of the write queue if it may go. One round of tcp_write_xmit()'s loop. */
function xmitHead(
  sk: Sock,
  skb: SkBuff,
  mssNow: number,
  nonagle: number,
  pushOne: number,
  maxSegs: number,
): number {
  const tp = tcpSk(sk);
  if (tp.repair && tp.repairQueue === TCP_SEND_QUEUE) {
    // It counts as sent; the time is where the retransmission timer begins.
    skb.skbMstampNs = tp.tcpClockCache;
    tp.tcpWstampNs = tp.tcpClockCache;
    tcpTsortedMoveTail(tp, skb);
    tcpSetSkbTsoSegs(skb, mssNow);
    tcpEventNewDataSent(sk, skb);
    tcpMinshallUpdate(tp, mssNow, skb);
    return XMIT_SENT;
  }
  if (tcpPacingCheck(sk)) return stalled(sk, skb, STALL_PACING, XMIT_STOP);
  let quota = tcpCwndTest(tp);
  if (quota === 0) {
    // A loss probe goes in spite of cwnd.
    if (pushOne !== 2) return stalled(sk, skb, STALL_CWND, XMIT_STOP);
    quota = 1;
  }
  quota = Math.min(quota, maxSegs);
  const missing = quota * mssNow - skb.len;
  if (missing > 0) tcpGrowSkb(sk, skb, missing);
  const tsoSegs = tcpSetSkbTsoSegs(skb, mssNow);
  if (!tcpSndWndTest(tp, skb, mssNow)) return stalled(sk, skb, STALL_RWND, XMIT_STOP_RWND);
  if (tsoSegs === 1) {
    const rule = tcpSkbIsLast(sk, skb) ? nonagle : TCP_NAGLE_PUSH;
    if (!tcpNagleTest(tp, skb, mssNow, rule)) return stalled(sk, skb, STALL_NAGLE, XMIT_STOP);
  } else if (pushOne === 0) {
    const defer = tcpTsoShouldDefer(sk, skb, maxSegs);
    if (defer === DEFER_CWND) return stalled(sk, skb, STALL_CWND, XMIT_STOP_CWND);
    if (defer === DEFER_RWND) return stalled(sk, skb, STALL_RWND, XMIT_STOP_RWND);
    if (defer === DEFER) return stalled(sk, skb, STALL_TSO_DEFER, XMIT_STOP);
  }
  let limit = mssNow;
  if (tsoSegs > 1 && !tcpUrgMode(tp)) limit = tcpMssSplitPoint(sk, skb, mssNow, quota, nonagle);
  if (skb.len > limit && tsoFragment(sk, skb, limit, mssNow) !== 0) return XMIT_STOP;
  if (tcpSmallQueueCheck(sk, skb, 0)) return stalled(sk, skb, STALL_SMALL_QUEUE, XMIT_STOP);
  // An empty packet belongs to a writer that waits for memory.
  if (skb.tcpCb.endSeq === skb.tcpCb.seq) return XMIT_STOP;
  if (tcpTransmitSkb(sk, skb, true) !== 0) return stalled(sk, skb, STALL_DEVICE, XMIT_STOP);
  tcpEventNewDataSent(sk, skb);
  tcpMinshallUpdate(tp, mssNow, skb);
  return XMIT_SENT;
}

/**
 * Sends what the windows allow. `pushOne`: 1 one packet only, 2 a loss probe. True when data waits
 * and nothing is in flight that would bring an ACK: the caller then probes the window.
 * @kernel tcp_write_xmit net/ipv4/tcp_output.c
 */
export function tcpWriteXmit(sk: Sock, mssNow: number, nonagle: number, pushOne: number): boolean {
  const tp = tcpSk(sk);
  let mss = mssNow;
  let sentPkts = 0;
  let stop = XMIT_SENT;
  tcpMstampRefresh(tp);
  // The beacon depends on the time, and takes room from the payload.
  if (tcpEcnModeAccecn(tp) && tcpAccecnOptionBeaconCheck(tp)) mss = tcpCurrentMss(sk);
  if (pushOne === 0) {
    const result = tcpMtuProbe(sk);
    if (result === 0) return false;
    if (result > 0) sentPkts = 1;
  }
  const maxSegs = tcpTsoSegs(sk, mss);
  for (let skb = tcpSendHead(sk); skb !== null; skb = tcpSendHead(sk)) {
    stop = xmitHead(sk, skb, mss, nonagle, pushOne, maxSegs);
    if (stop !== XMIT_SENT) break;
    sentPkts += tcpSkbPcount(skb);
    if (pushOne !== 0) break;
  }
  if (stop === XMIT_STOP_RWND) tcpChronoStart(sk, TCP_CHRONO_RWND_LIMITED);
  else tcpChronoStop(sk, TCP_CHRONO_RWND_LIMITED);
  const cwndLimited = stop === XMIT_STOP_CWND || tcpPacketsInFlight(tp) >= tcpSndCwnd(tp);
  if (sentPkts !== 0 || cwndLimited) tcpCwndValidate(sk, cwndLimited);
  if (sentPkts !== 0) {
    if (tcpInCwndReduction(sk)) tp.prrOut += sentPkts;
    // One loss probe for each tail.
    if (pushOne !== 2) tcpScheduleLossProbe(sk, false);
    return false;
  }
  return tp.packetsOut === 0 && !tcpWriteQueueEmpty(sk);
}

/** @kernel __tcp_push_pending_frames net/ipv4/tcp_output.c */
export function __tcpPushPendingFrames(sk: Sock, curMss: number, nonagle: number): void {
  // A backlog run may have closed the socket under the caller.
  if (sk.skcState === TCP_CLOSE) return;
  if (tcpWriteXmit(sk, curMss, nonagle, 0)) tcpCheckProbeTimer(sk);
}

/** @kernel tcp_push_pending_frames include/net/tcp.h */
export function tcpPushPendingFrames(sk: Sock): void {
  if (tcpSendHead(sk) !== null) {
    __tcpPushPendingFrames(sk, tcpCurrentMss(sk), tcpSk(sk).nonagle);
  }
}

/** Sends the head although more is being written behind it. @kernel tcp_push_one net/ipv4/tcp_output.c */
export function tcpPushOne(sk: Sock, mssNow: number): void {
  const skb = tcpSendHead(sk);
  if (DEBUG) bugOn(skb === null || skb.len < mssNow, 'tcp-push-one', 'no full segment');
  tcpWriteXmit(sk, mssNow, TCP_NAGLE_PUSH, 1);
}

/** Begins anew with slow start after a pause. @kernel tcp_slow_start_after_idle_check include/net/tcp.h */
export function tcpSlowStartAfterIdleCheck(sk: Sock): void {
  if (!tcpNeedsIdleRestart(sk)) return;
  tcpCwndRestart(sk, (sk.net.machine.jiffies - tcpSk(sk).lsndtime) | 0);
}
