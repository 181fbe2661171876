/**
 * When to acknowledge: at once, after a delay, or compressed with further duplicates.
 *
 * Counterpart: the delayed ACK parts of net/ipv4/tcp_input.c. RFC 5681#4.2, RFC 1122#4.2.3.2, and
 * RFC 3168#6.1.3 for the echo of congestion marks.
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import { TCP_ACK_DEFERRED } from '#include/linux/tcp.ts';
import { dstMetric } from '#include/net/dst.ts';
import { ICSK_ACK_NOW } from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import {
  CA_EVENT_ECN_IS_CE,
  CA_EVENT_ECN_NO_CE,
  TCP_ATO_MIN,
  TCP_ECN_DEMAND_CWR,
  TCP_ECN_SEEN,
  TCP_FASTRETRANS_THRESH,
  TCP_MAX_QUICKACKS,
  tcpSk,
} from '#include/net/tcp.ts';
import { tcpEcnDisabled, tcpEcnModeRfc3168 } from '#include/net/tcp_ecn.ts';
import { tcpCaEvent, tcpCaNeedsEcn, tcpIsSack, tcpJiffies32 } from '#include/net/tcp_inlines.ts';
import { Hrtimer, hrtimerActive, hrtimerStart } from '#kernel/time/hrtimer.ts';
import { __skDstGet, sockHold, sockOwnedByUser } from '#net/core/sock.ts';
import {
  inetCskAckScheduled,
  inetCskExitPingpongMode,
  inetCskInPingpongMode,
  inetCskScheduleAck,
} from '#net/ipv4/inet_connection_sock_timer.ts';
import { tcpGrowWindow, tcpMeasureRcvMss, tcpRcvRttMeasure } from '#net/ipv4/tcp_input_rcvbuf.ts';
import { tcpCheckSpace } from '#net/ipv4/tcp_input_space.ts';
import { tcpSendAck, tcpSendDelayedAck } from '#net/ipv4/tcp_output_ctl.ts';
import { __tcpSelectWindow } from '#net/ipv4/tcp_output_window.ts';
import { tcpPushPendingFrames } from '#net/ipv4/tcp_output_xmit.ts';
import { INET_ECN_CE, INET_ECN_MASK, INET_ECN_NOT_ECT } from '#uapi/ip.ts';
import { RTAX_QUICKACK } from '#uapi/rtnetlink.ts';

/** @kernel tcp_incr_quickack net/ipv4/tcp_input.c */
export function tcpIncrQuickack(sk: Sock, maxQuickacks: number): void {
  const tp = tcpSk(sk);
  let quickacks = Math.floor(tp.rcvWnd / (2 * tp.ackRcvMss));
  if (quickacks === 0) quickacks = 2;
  quickacks = Math.min(quickacks, maxQuickacks);
  if (quickacks > tp.ackQuick) tp.ackQuick = quickacks;
}

/**
 * Acknowledge the next segments one by one: the sender needs to hear from us.
 * @kernel tcp_enter_quickack_mode net/ipv4/tcp_input.c
 */
export function tcpEnterQuickackMode(sk: Sock, maxQuickacks: number): void {
  tcpIncrQuickack(sk, maxQuickacks);
  inetCskExitPingpongMode(sk);
  tcpSk(sk).ackAto = TCP_ATO_MIN;
}

/** @kernel tcp_in_quickack_mode net/ipv4/tcp_input.c */
export function tcpInQuickackMode(sk: Sock): boolean {
  const dst = __skDstGet(sk);
  if (dst !== null && dstMetric(dst, RTAX_QUICKACK) !== 0) return true;
  return tcpSk(sk).ackQuick !== 0 && !inetCskInPingpongMode(sk);
}

/**
 * Notes the congestion mark of a data segment, to be echoed until the sender has reduced.
 * @kernel tcp_data_ecn_check net/ipv4/tcp_input.c
 * @rfc 3168#6.1.3
 */
export function tcpDataEcnCheck(sk: Sock, skb: SkBuff): void {
  const tp = tcpSk(sk);
  if (tcpEcnDisabled(tp)) return;
  const mark = skb.tcpCb.ipDsfield & INET_ECN_MASK;
  if (mark === INET_ECN_NOT_ECT) {
    // Retransmissions are not marked ECN-capable: one of those asks for haste.
    if ((tp.ecnFlags & TCP_ECN_SEEN) !== 0) tcpEnterQuickackMode(sk, 2);
    return;
  }
  if (mark === INET_ECN_CE) {
    if (tcpCaNeedsEcn(sk)) tcpCaEvent(sk, CA_EVENT_ECN_IS_CE);
    if ((tp.ecnFlags & TCP_ECN_DEMAND_CWR) === 0 && tcpEcnModeRfc3168(tp)) {
      tcpEnterQuickackMode(sk, 2);
      tp.ecnFlags |= TCP_ECN_DEMAND_CWR;
    }
  } else if (tcpCaNeedsEcn(sk)) {
    tcpCaEvent(sk, CA_EVENT_ECN_NO_CE);
  }
  // Accurate ECN notes it for pure ACKs too, in tcp_ecn_received_counters().
  if (tcpEcnModeRfc3168(tp)) tp.ecnFlags |= TCP_ECN_SEEN;
}

/**
 * Data arrived in order: adapts the delay of ACKs to the sender's pace.
 * @kernel tcp_event_data_recv net/ipv4/tcp_input.c
 */
export function tcpEventDataRecv(sk: Sock, skb: SkBuff): void {
  const tp = tcpSk(sk);
  inetCskScheduleAck(sk);
  tcpMeasureRcvMss(sk, skb);
  tcpRcvRttMeasure(tp);

  const now = tcpJiffies32(sk);
  if (tp.ackAto === 0) {
    // The first data of the connection: the sender is in slow start and wants to hear soon.
    tcpIncrQuickack(sk, TCP_MAX_QUICKACKS);
    tp.ackAto = TCP_ATO_MIN;
  } else {
    const m = (now - tp.ackLrcvtime) | 0;
    if (m <= TCP_ATO_MIN / 2) {
      tp.ackAto = (tp.ackAto >> 1) + TCP_ATO_MIN / 2;
    } else if (m < tp.ackAto) {
      tp.ackAto = Math.min((tp.ackAto >> 1) + m, tp.icskRto);
    } else if (m > tp.icskRto) {
      // The sender paused for so long that its window is small again.
      tcpIncrQuickack(sk, TCP_MAX_QUICKACKS);
    }
  }
  tp.ackLrcvtime = now;
  tcpDataEcnCheck(sk, skb);
  if (skb.len >= 128) tcpGrowWindow(sk, skb, true);
}

/** @kernel __tcp_ack_snd_check net/ipv4/tcp_input.c */
function tcpMustAckNow(sk: Sock): boolean {
  const tp = tcpSk(sk);
  if ((tp.rcvNxt - tp.rcvWup) >>> 0 > tp.ackRcvMss) {
    // More than one full segment, and either the reader waits for more, or the window has moved
    // (otherwise reading will send the ACK).
    if ((tp.rcvNxt - tp.copiedSeq) >>> 0 < sk.skRcvlowat || __tcpSelectWindow(sk) >= tp.rcvWnd) {
      return true;
    }
  }
  return tcpInQuickackMode(sk) || (tp.ackPending & ICSK_ACK_NOW) !== 0;
}

/**
 * Decides about the ACK of a segment. `ofoPossible`: it may have been out of order.
 * @kernel __tcp_ack_snd_check net/ipv4/tcp_input.c
 */
export function __tcpAckSndCheck(sk: Sock, ofoPossible: boolean): void {
  const tp = tcpSk(sk);
  const ipv4 = sk.net.ipv4;
  if (tcpMustAckNow(sk)) {
    // While a task drains the backlog, one ACK at the end will do.
    if (sockOwnedByUser(sk) && ipv4.sysctlTcpBacklogAckDefer !== 0) {
      tp.tsqFlags |= 1 << TCP_ACK_DEFERRED;
      return;
    }
    tcpSendAck(sk);
    return;
  }
  if (!ofoPossible || tp.outOfOrderQueueEmpty) {
    tcpSendDelayedAck(sk);
    return;
  }
  if (!tcpIsSack(tp) || tp.compressedAck >= ipv4.sysctlTcpCompSackNr) {
    tcpSendAck(sk);
    return;
  }
  if (tp.compressedAckRcvNxt !== tp.rcvNxt) {
    tp.compressedAckRcvNxt = tp.rcvNxt;
    tp.dupAckCounter = 0;
  }
  // The sender needs its three duplicates; further SACKs can be gathered.
  if (tp.dupAckCounter < TCP_FASTRETRANS_THRESH) {
    tp.dupAckCounter++;
    tcpSendAck(sk);
    return;
  }
  tcpCompressAck(sk);
}

/** Puts a duplicate ACK off by a share of the RTT, at most tcp_comp_sack_delay_ns. @kernel __tcp_ack_snd_check net/ipv4/tcp_input.c */
function tcpCompressAck(sk: Sock): void {
  const tp = tcpSk(sk);
  tp.compressedAckTimer ??= new Hrtimer<Sock>(
    sk.net.machine,
    sk,
    tp.icskTimerFns!.compressedAck,
    true,
  );
  const timer = tp.compressedAckTimer;
  tp.compressedAck++;
  if (hrtimerActive(timer)) return;
  let rtt = tp.rcvRttEstRttUs;
  if (tp.srttUs !== 0 && tp.srttUs < rtt) rtt = tp.srttUs;
  // The estimates are in us scaled by 8: 1000 / 8 / 100 = 1.25 makes ns and per cent of them.
  const { ipv4 } = sk.net;
  const share = (rtt + Math.floor(rtt / 4)) * ipv4.sysctlTcpCompSackRttPercent;
  const delay = Math.min(share, ipv4.sysctlTcpCompSackDelayNs);
  sockHold(sk);
  hrtimerStart(timer, sk.net.machine.nowNs + delay);
}

/** @kernel tcp_ack_snd_check net/ipv4/tcp_input.c */
export function tcpAckSndCheck(sk: Sock): void {
  // A data segment that went out meanwhile has carried the ACK.
  if (inetCskAckScheduled(sk)) __tcpAckSndCheck(sk, true);
}

/** Sends what the window now allows, and lets the user write more. @kernel tcp_data_snd_check net/ipv4/tcp_input.c */
export function tcpDataSndCheck(sk: Sock): void {
  tcpPushPendingFrames(sk);
  tcpCheckSpace(sk);
}
