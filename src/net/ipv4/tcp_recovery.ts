/**
 * RACK: loss detection by time. A segment is lost when one sent later was delivered, and a reordering
 * window has passed since.
 *
 * Counterpart: net/ipv4/tcp_recovery.c. RFC 8985. The window is nothing until reordering has been
 * seen, then a quarter of the minimum RTT, growing by as much for every round trip with a DSACK.
 * Times in microseconds.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { RateSample, TcpSock } from '#include/linux/tcp.ts';
import { ICSK_TIME_REO_TIMEOUT, ICSK_TIME_RETRANS } from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import {
  TCP_RACK_RECOVERY_THRESH,
  TCP_TIMEOUT_MIN_US,
  TCPCB_LOST,
  TCPCB_RETRANS,
  TCPCB_SACKED_RETRANS,
  tcpSk,
} from '#include/net/tcp.ts';
import {
  tcpMinRtt,
  tcpPacketsInFlight,
  tcpSkbTimestampUs,
  tcpStampUsDelta,
} from '#include/net/tcp_inlines.ts';
import {
  tcpRtxQueueHead,
  tcpSkbMss,
  tcpSkbPcount,
  tcpTsortedUnlink,
} from '#include/net/tcp_queue.ts';
import { usecsToJiffies } from '#kernel/time/jiffies.ts';
import { before } from '#lib/tcp_seq.ts';
import { inetCskResetXmitTimer } from '#net/ipv4/inet_connection_sock_timer.ts';
import {
  tcpCaOps,
  tcpCwndReduction,
  tcpEnterRecovery,
  tcpMarkSkbLost,
} from '#net/ipv4/tcp_input_cwnd.ts';
import { tcpRearmRto } from '#net/ipv4/tcp_input_rtt.ts';
import { TCP_FRAG_IN_RTX_QUEUE, tcpFragment } from '#net/ipv4/tcp_output_frag.ts';
import { tcpXmitRetransmitQueue } from '#net/ipv4/tcp_output_rtx.ts';
import { tcpSkbSentAfter } from '#net/ipv4/tcp_rate.ts';
import { TCP_CA_Recovery } from '#uapi/tcp.ts';

/** Bits of net.ipv4.tcp_recovery. @kernel TCP_RACK_STATIC_REO_WND include/net/tcp.h */
const TCP_RACK_STATIC_REO_WND = 0x2;
const TCP_RACK_NO_DUPTHRESH = 0x4;

/**
 * @kernel tcp_rack_reo_wnd net/ipv4/tcp_recovery.c
 * @rfc 8985#6.2
 */
function tcpRackReoWnd(sk: Sock): number {
  const tp = tcpSk(sk);
  if (tp.reordSeen === 0) {
    // Without any sign of reordering, do not wait once in recovery or at three duplicates.
    if (tp.icskCaState >= TCP_CA_Recovery) return 0;
    const noDupthresh = (sk.net.ipv4.sysctlTcpRecovery & TCP_RACK_NO_DUPTHRESH) !== 0;
    if (tp.sackedOut >= tp.reordering && !noDupthresh) return 0;
  }
  return Math.min((tcpMinRtt(tp) >>> 2) * tp.rackReoWndSteps, tp.srttUs >>> 3);
}

/**
 * Microseconds until the packet counts as lost; zero or less: it does.
 * @kernel tcp_rack_skb_timeout net/ipv4/tcp_recovery.c
 */
export function tcpRackSkbTimeout(tp: TcpSock, skb: SkBuff, reoWnd: number): number {
  return tp.rackRttUs + reoWnd - tcpStampUsDelta(tp.tcpMstamp, tcpSkbTimestampUs(skb));
}

/**
 * Marks everything lost that was sent before the latest delivered packet and is overdue. Walks in
 * order of transmission, so it stops at the first packet sent later. Returns the longest wait of
 * those that are not overdue yet; 0: none.
 * @kernel tcp_rack_detect_loss net/ipv4/tcp_recovery.c
 * @rfc 8985#6.2
 */
function tcpRackDetectLoss(sk: Sock): number {
  const tp = tcpSk(sk);
  const reoWnd = tcpRackReoWnd(sk);
  let reoTimeout = 0;
  let next: SkBuff | null;
  for (let skb = tp.tsortedHead; skb !== null; skb = next) {
    next = skb.tsortedNext;
    const scb = skb.tcpCb;
    // Marked before and not sent again: nothing new to find out.
    if ((scb.sacked & (TCPCB_LOST | TCPCB_SACKED_RETRANS)) === TCPCB_LOST) continue;
    if (!tcpSkbSentAfter(tp.rackMstamp, tcpSkbTimestampUs(skb), tp.rackEndSeq, scb.endSeq)) break;
    const remaining = tcpRackSkbTimeout(tp, skb, reoWnd);
    if (remaining <= 0) {
      tcpMarkSkbLost(sk, skb);
      tcpTsortedUnlink(tp, skb);
    } else {
      reoTimeout = Math.max(reoTimeout, remaining);
    }
  }
  return reoTimeout;
}

/**
 * Looks for losses after an ACK. True when the reordering timer was set instead of the RTO.
 * @kernel tcp_rack_mark_lost net/ipv4/tcp_recovery.c
 */
export function tcpRackMarkLost(sk: Sock): boolean {
  const tp = tcpSk(sk);
  if (!tp.rackAdvanced) return false;
  tp.rackAdvanced = false;
  const timeout = tcpRackDetectLoss(sk);
  if (timeout === 0) return false;
  inetCskResetXmitTimer(
    sk,
    ICSK_TIME_REO_TIMEOUT,
    usecsToJiffies(timeout + TCP_TIMEOUT_MIN_US),
    tp.icskRto,
  );
  return true;
}

/**
 * A packet sent at `xmitTime` was delivered: remembers the latest of them and its RTT.
 * @kernel tcp_rack_advance net/ipv4/tcp_recovery.c
 * @rfc 8985#6.2
 */
export function tcpRackAdvance(
  tp: TcpSock,
  sacked: number,
  endSeq: number,
  xmitTime: number,
): void {
  const rttUs = tcpStampUsDelta(tp.tcpMstamp, xmitTime);
  // Acknowledged sooner than the path allows: the answer to an earlier transmission.
  if (rttUs < tcpMinRtt(tp) && (sacked & TCPCB_RETRANS) !== 0) return;
  tp.rackAdvanced = true;
  tp.rackRttUs = rttUs;
  if (tcpSkbSentAfter(xmitTime, tp.rackMstamp, endSeq, tp.rackEndSeq)) {
    tp.rackMstamp = xmitTime;
    tp.rackEndSeq = endSeq;
  }
}

/**
 * The reordering timer: what was still allowed to be late is lost now.
 * @kernel tcp_rack_reo_timeout net/ipv4/tcp_recovery.c
 * @rfc 8985#6.3
 */
export function tcpRackReoTimeout(sk: Sock): void {
  const tp = tcpSk(sk);
  const lost = tp.lost;
  const priorInflight = tcpPacketsInFlight(tp);
  tcpRackDetectLoss(sk);
  if (priorInflight !== tcpPacketsInFlight(tp)) {
    if (tp.icskCaState !== TCP_CA_Recovery) {
      tcpEnterRecovery(sk, false);
      if (tcpCaOps(tp).congControl === null) tcpCwndReduction(sk, 1, tp.lost - lost, 0);
    }
    tcpXmitRetransmitQueue(sk);
  }
  if (tp.icskPending !== ICSK_TIME_RETRANS) tcpRearmRto(sk);
}

/**
 * Widens the reordering window by a step for each round trip that saw a DSACK, and narrows it again
 * after sixteen recoveries without.
 * @kernel tcp_rack_update_reo_wnd net/ipv4/tcp_recovery.c
 * @rfc 8985#7.1
 */
export function tcpRackUpdateReoWnd(sk: Sock, rs: RateSample): void {
  const tp = tcpSk(sk);
  const isStatic = (sk.net.ipv4.sysctlTcpRecovery & TCP_RACK_STATIC_REO_WND) !== 0;
  if (isStatic || rs.priorDelivered === 0) return;
  if (before(rs.priorDelivered, tp.rackLastDelivered)) tp.rackDsackSeen = false;
  if (tp.rackDsackSeen) {
    tp.rackReoWndSteps = Math.min(0xff, tp.rackReoWndSteps + 1);
    tp.rackDsackSeen = false;
    tp.rackLastDelivered = tp.delivered;
    tp.rackReoWndPersist = TCP_RACK_RECOVERY_THRESH;
  } else if (tp.rackReoWndPersist === 0) {
    tp.rackReoWndSteps = 1;
  }
}

/**
 * Without SACK only the first segment can be known to be lost: at three duplicates, and again for
 * each partial ACK.
 * @kernel tcp_newreno_mark_lost net/ipv4/tcp_recovery.c
 * @rfc 6582#3.2
 */
export function tcpNewrenoMarkLost(sk: Sock, sndUnaAdvanced: boolean): void {
  const tp = tcpSk(sk);
  const state = tp.icskCaState;
  const due =
    state < TCP_CA_Recovery
      ? tp.sackedOut >= tp.reordering
      : state === TCP_CA_Recovery && sndUnaAdvanced;
  if (!due) return;
  const skb = tcpRtxQueueHead(sk);
  if (skb === null || (skb.tcpCb.sacked & TCPCB_LOST) !== 0) return;
  const mss = tcpSkbMss(skb);
  if (tcpSkbPcount(skb) > 1 && skb.len > mss) {
    tcpFragment(sk, TCP_FRAG_IN_RTX_QUEUE, skb, mss, mss);
  }
  tcpMarkSkbLost(sk, skb);
}
