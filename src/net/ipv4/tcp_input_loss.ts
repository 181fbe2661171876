/**
 * The loss recovery state machine: what a dubious ACK means in each congestion state, what a timeout
 * does, and how a spurious timeout is told from a real one (F-RTO).
 *
 * Counterpart: tcp_fastretrans_alert and its helpers of net/ipv4/tcp_input.c. RFC 5681, 6582
 * (NewReno), 6675 (SACK recovery), 8985 (RACK), 5682 (F-RTO).
 *
 *   Open      no sign of trouble
 *   Disorder  duplicate ACKs or SACKs, nothing believed lost yet
 *   CWR       the window shrinks after a congestion signal that was no loss
 *   Recovery  the window shrinks while losses are retransmitted
 *   Loss      after a timeout, slow start from one segment
 */

import type { TcpSacktagState, TcpSock } from '#include/linux/tcp.ts';
import { ICSK_TIME_RETRANS } from '#include/net/inet_connection_sock.ts';
import { netIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import { CA_EVENT_LOSS, TCPCB_SACKED_ACKED, tcpSk } from '#include/net/tcp.ts';
import { tcpEcnQueueCwr } from '#include/net/tcp_ecn.ts';
import {
  tcpCaEvent,
  tcpCurrentSsthresh,
  tcpIsReno,
  tcpJiffies32,
  tcpPacketsInFlight,
  tcpRtoMax,
  tcpSndCwnd,
  tcpSndCwndSet,
  tcpTimeStampMs,
  tcpWndEnd,
} from '#include/net/tcp_inlines.ts';
import {
  skbRbFirst,
  skbRbNext,
  tcpRtxQueueEmpty,
  tcpRtxQueueHead,
  tcpWriteQueueEmpty,
} from '#include/net/tcp_queue.ts';
import { msecsToJiffies, usecsToJiffies } from '#kernel/time/jiffies.ts';
import { after, before } from '#lib/tcp_seq.ts';
import { inetCskResetXmitTimer } from '#net/ipv4/inet_connection_sock_timer.ts';
import { tcpSetCaState } from '#net/ipv4/tcp_cong.ts';
import {
  tcpAddRenoSack,
  tcpCaOps,
  tcpClearAllRetransHints,
  tcpEndCwndReduction,
  tcpEnterRecovery,
  tcpInitUndo,
  tcpLimitRenoSacked,
  tcpMarkSkbLost,
  tcpResetRenoSack,
  tcpTryToOpen,
  tcpTryUndoDsack,
  tcpTryUndoLoss,
  tcpTryUndoPartial,
  tcpTryUndoRecovery,
  tcpVerifyLeftOut,
} from '#net/ipv4/tcp_input_cwnd.ts';
import {
  FLAG_DATA_SACKED,
  FLAG_ECE,
  FLAG_LOST_RETRANS,
  FLAG_ORIG_SACK_ACKED,
  FLAG_SACK_RENEGING,
  FLAG_SET_XMIT_TIMER,
  FLAG_SND_UNA_ADVANCED,
  REXMIT_LOST,
  REXMIT_NEW,
} from '#net/ipv4/tcp_input_flags.ts';
import { tcpSkbSeglen } from '#net/ipv4/tcp_input_sack.ts';
import { tcpCurrentMss, tcpMssToMtu, tcpSyncMss } from '#net/ipv4/tcp_output_mss.ts';
import { tcpXmitRetransmitQueue } from '#net/ipv4/tcp_output_rtx.ts';
import { tcpNewrenoMarkLost, tcpRackMarkLost, tcpRackSkbTimeout } from '#net/ipv4/tcp_recovery.ts';
import {
  LINUX_MIB_TCPMTUPFAIL,
  LINUX_MIB_TCPMTUPSUCCESS,
  LINUX_MIB_TCPSACKRENEGING,
} from '#uapi/snmp.ts';
import {
  TCP_CA_CWR,
  TCP_CA_Disorder,
  TCP_CA_Loss,
  TCP_CA_Open,
  TCP_CA_Recovery,
  TCP_SYN_SENT,
} from '#uapi/tcp.ts';

// ---- Timeout -----------------------------------------------------------------------------------

/**
 * Marks the flight lost after a timeout, apart from what was sent less than a round trip ago. Had the
 * peer SACKed the very first packet, it has thrown away what it held: then no SACK counts any more.
 * @kernel tcp_timeout_mark_lost net/ipv4/tcp_input.c
 */
function tcpTimeoutMarkLost(sk: Sock): void {
  const tp = tcpSk(sk);
  const head = tcpRtxQueueHead(sk);
  const isReneg = head !== null && (head.tcpCb.sacked & TCPCB_SACKED_ACKED) !== 0;
  if (isReneg) {
    netIncStats(sk.net, LINUX_MIB_TCPSACKRENEGING);
    tp.sackedOut = 0;
    tp.isSackReneg = true;
  } else if (tcpIsReno(tp)) {
    tcpResetRenoSack(tp);
  }
  for (let skb = head; skb !== null; skb = skbRbNext(skb)) {
    if (isReneg) skb.tcpCb.sacked &= ~TCPCB_SACKED_ACKED;
    else if (skb !== head && tcpRackSkbTimeout(tp, skb, 0) > 0) continue;
    tcpMarkSkbLost(sk, skb);
  }
  tcpVerifyLeftOut(tp);
  tcpClearAllRetransHints(tp);
}

/**
 * The retransmission timer fired: everything not known to have arrived is lost.
 * @kernel tcp_enter_loss net/ipv4/tcp_input.c
 * @rfc 5681#3.1
 */
export function tcpEnterLoss(sk: Sock): void {
  const tp = tcpSk(sk);
  const newRecovery = tp.icskCaState < TCP_CA_Recovery;
  tcpTimeoutMarkLost(sk);

  // Once for each window, and not for the further timeouts of one loss.
  if (
    tp.icskCaState <= TCP_CA_Disorder ||
    !after(tp.highSeq, tp.sndUna) ||
    (tp.icskCaState === TCP_CA_Loss && tp.icskRetransmits === 0)
  ) {
    tp.priorSsthresh = tcpCurrentSsthresh(sk);
    tp.priorCwnd = tcpSndCwnd(tp);
    tp.sndSsthresh = tcpCaOps(tp).ssthresh(tp);
    tcpCaEvent(sk, CA_EVENT_LOSS);
    tcpInitUndo(tp);
  }
  tcpSndCwndSet(tp, tcpPacketsInFlight(tp) + 1);
  tp.sndCwndCnt = 0;
  tp.sndCwndStamp = tcpJiffies32(sk);

  // Duplicates had come, yet a timeout was needed: the measure of reordering is too large.
  const reordering = sk.net.ipv4.sysctlTcpReordering;
  if (tp.icskCaState <= TCP_CA_Disorder && tp.sackedOut >= reordering) {
    tp.reordering = Math.min(tp.reordering, reordering);
  }
  tcpSetCaState(sk, TCP_CA_Loss);
  tp.highSeq = tp.sndNxt;
  tp.tlpHighSeq = 0;
  tcpEcnQueueCwr(tp);

  // RFC 5682 wants no F-RTO on top of a fast recovery, whose retransmissions could not be told apart.
  tp.frto =
    sk.net.ipv4.sysctlTcpFrto !== 0 &&
    (newRecovery || tp.icskRetransmits !== 0) &&
    tp.mtupProbeSize === 0;
}

/**
 * An ACK that shows reneging: gives the peer a moment to correct it, then the timer acts.
 * @kernel tcp_check_sack_reneging net/ipv4/tcp_input.c
 */
function tcpCheckSackReneging(sk: Sock, flag: number): boolean {
  const both = FLAG_SACK_RENEGING | FLAG_SND_UNA_ADVANCED;
  if ((flag & both) !== both) return false;
  const tp = tcpSk(sk);
  const delay = Math.max(usecsToJiffies(tp.srttUs >>> 4), msecsToJiffies(10));
  inetCskResetXmitTimer(sk, ICSK_TIME_RETRANS, delay, tcpRtoMax(sk));
  return true;
}

/** Sends again what was lost for another reason than congestion. @kernel tcp_non_congestion_loss_retransmit net/ipv4/tcp_input.c */
export function tcpNonCongestionLossRetransmit(sk: Sock): void {
  const tp = tcpSk(sk);
  if (tp.icskCaState !== TCP_CA_Loss) {
    tp.highSeq = tp.sndNxt;
    tp.sndSsthresh = tcpCurrentSsthresh(sk);
    tp.priorSsthresh = 0;
    tp.undoMarker = 0;
    tcpSetCaState(sk, TCP_CA_Loss);
  }
  tcpXmitRetransmitQueue(sk);
}

/**
 * Segments became too large for the path (a lower MTU was learned): sends them again at once, which
 * is no sign of congestion.
 * @kernel tcp_simple_retransmit net/ipv4/tcp_input.c
 */
export function tcpSimpleRetransmit(sk: Sock): void {
  const tp = tcpSk(sk);
  // A Fast Open SYN is two packets of the queue; both are too large then.
  const mss = tp.synData && tp.skcState === TCP_SYN_SENT ? -1 : tcpCurrentMss(sk);
  for (let skb = skbRbFirst(tp.rtxQueue); skb !== null; skb = skbRbNext(skb)) {
    if (tcpSkbSeglen(skb) > mss) tcpMarkSkbLost(sk, skb);
  }
  if (tp.lostOut === 0) return;
  if (tcpIsReno(tp)) tcpLimitRenoSacked(tp);
  tcpVerifyLeftOut(tp);
  tcpNonCongestionLossRetransmit(sk);
}

// ---- MTU probes --------------------------------------------------------------------------------

/**
 * @kernel tcp_mtup_probe_failed net/ipv4/tcp_input.c
 * @rfc 4821#7.6.2
 */
function tcpMtupProbeFailed(sk: Sock): void {
  const tp = tcpSk(sk);
  tp.mtupSearchHigh = tp.mtupProbeSize - 1;
  tp.mtupProbeSize = 0;
  netIncStats(sk.net, LINUX_MIB_TCPMTUPFAIL);
}

/** The larger segment arrived: scales the window to it. @kernel tcp_mtup_probe_success net/ipv4/tcp_input.c */
export function tcpMtupProbeSuccess(sk: Sock): void {
  const tp = tcpSk(sk);
  tp.priorSsthresh = tcpCurrentSsthresh(sk);
  const bytes = tcpSndCwnd(tp) * tcpMssToMtu(sk, tp.mssCache);
  tcpSndCwndSet(tp, Math.max(1, Math.floor(bytes / tp.mtupProbeSize)));
  tp.sndCwndCnt = 0;
  tp.sndCwndStamp = tcpJiffies32(sk);
  tp.sndSsthresh = tcpCurrentSsthresh(sk);
  tp.mtupSearchLow = tp.mtupProbeSize;
  tp.mtupProbeSize = 0;
  tcpSyncMss(sk, tp.icskPmtuCookie);
  netIncStats(sk.net, LINUX_MIB_TCPMTUPSUCCESS);
}

// ---- The alert ---------------------------------------------------------------------------------

/**
 * F-RTO and the way out of the Loss state.
 * @kernel tcp_process_loss net/ipv4/tcp_input.c
 * @rfc 5682#3.1
 */
function tcpProcessLoss(sk: Sock, flag: number, numDupack: number, state: TcpSacktagState): void {
  const tp = tcpSk(sk);
  const recovered = !before(tp.sndUna, tp.highSeq);
  const advanced = (flag & FLAG_SND_UNA_ADVANCED) !== 0;
  if ((advanced || tp.fastopenRsk !== null) && tcpTryUndoLoss(sk, false)) return;

  if (tp.frto) {
    // Step 3.b: something that was never sent again has arrived, so not all was lost.
    if ((flag & FLAG_ORIG_SACK_ACKED) !== 0 && tcpTryUndoLoss(sk, true)) return;
    if (after(tp.sndNxt, tp.highSeq)) {
      // Step 3.a: new data went out, and duplicates came back.
      if ((flag & FLAG_DATA_SACKED) !== 0 || numDupack !== 0) tp.frto = false;
    } else if (advanced && !recovered) {
      tp.highSeq = tp.sndNxt;
      // Step 2.b: new data decides. It leaves once the window has been updated.
      if (!tcpWriteQueueEmpty(sk) && after(tcpWndEnd(tp), tp.sndNxt)) {
        state.rexmit = REXMIT_NEW;
        return;
      }
      tp.frto = false;
    }
  }
  if (recovered) {
    tcpTryUndoRecovery(sk);
    return;
  }
  if (tcpIsReno(tp)) {
    if (after(tp.sndNxt, tp.highSeq) && numDupack !== 0) {
      tcpAddRenoSack(sk, numDupack, (flag & FLAG_ECE) !== 0);
    } else if (advanced) {
      tcpResetRenoSack(tp);
    }
  }
  state.rexmit = REXMIT_LOST;
}

/** @kernel tcp_identify_packet_loss net/ipv4/tcp_input.c */
function tcpIdentifyPacketLoss(sk: Sock, flag: number): number {
  const tp = tcpSk(sk);
  if (tcpRtxQueueEmpty(sk)) return flag;
  if (tcpIsReno(tp)) {
    tcpNewrenoMarkLost(sk, (flag & FLAG_SND_UNA_ADVANCED) !== 0);
    return flag;
  }
  const priorRetrans = tp.retransOut;
  let out = flag;
  if (tcpRackMarkLost(sk)) out &= ~FLAG_SET_XMIT_TIMER;
  if (priorRetrans > tp.retransOut) out |= FLAG_LOST_RETRANS;
  return out;
}

/** @kernel tcp_time_to_recover net/ipv4/tcp_input.c */
function tcpTimeToRecover(tp: TcpSock): boolean {
  return tp.lostOut !== 0;
}

/** @kernel tcp_update_rto_time net/ipv4/tcp_input.c */
export function tcpUpdateRtoTime(tp: TcpSock): void {
  if (tp.rtoStamp === 0) return;
  tp.totalRtoTime += (tcpTimeStampMs(tp) - tp.rtoStamp) >>> 0;
  tp.rtoStamp = 0;
}

/**
 * Leaves a state whose recovery point has been acknowledged. True: nothing more to do.
 * @kernel tcp_fastretrans_alert net/ipv4/tcp_input.c
 */
function tcpFastretransExit(sk: Sock): boolean {
  const tp = tcpSk(sk);
  if (tp.icskCaState === TCP_CA_Open) {
    tp.retransStamp = 0;
    return false;
  }
  if (before(tp.sndUna, tp.highSeq)) return false;
  if (tp.icskCaState === TCP_CA_CWR) {
    // Something beyond high_seq must be acknowledged, so that the CWR bit has reached the peer.
    if (tp.sndUna !== tp.highSeq) {
      tcpEndCwndReduction(sk);
      tcpSetCaState(sk, TCP_CA_Open);
    }
  } else if (tp.icskCaState === TCP_CA_Recovery) {
    if (tcpIsReno(tp)) tcpResetRenoSack(tp);
    if (tcpTryUndoRecovery(sk)) return true;
    tcpEndCwndReduction(sk);
  }
  return false;
}

/**
 * Open, Disorder and CWR: is there a loss to recover from? True when Recovery was entered.
 * @kernel tcp_fastretrans_alert net/ipv4/tcp_input.c
 */
function tcpFastretransDetect(
  sk: Sock,
  numDupack: number,
  flag: number,
  ackFlag: number,
  state: TcpSacktagState,
): number {
  const tp = tcpSk(sk);
  const eceAck = (flag & FLAG_ECE) !== 0;
  if (tcpIsReno(tp)) {
    if ((flag & FLAG_SND_UNA_ADVANCED) !== 0) tcpResetRenoSack(tp);
    tcpAddRenoSack(sk, numDupack, eceAck);
  }
  if (tp.icskCaState <= TCP_CA_Disorder) tcpTryUndoDsack(sk);
  const out = tcpIdentifyPacketLoss(sk, ackFlag);
  if (!tcpTimeToRecover(tp)) {
    tcpTryToOpen(sk, flag);
    return out;
  }
  if (tp.icskCaState < TCP_CA_CWR && tp.mtupProbeSize !== 0 && tp.sndUna === tp.mtuProbeSeqStart) {
    // The probe was too large: no congestion, so the window gets back what the probe took.
    tcpMtupProbeFailed(sk);
    tcpSndCwndSet(tp, tcpSndCwnd(tp) + 1);
    tcpSimpleRetransmit(sk);
    return out;
  }
  tcpEnterRecovery(sk, eceAck);
  state.rexmit = REXMIT_LOST;
  return out;
}

/**
 * An ACK that is a duplicate, brings SACKs or an ECN echo, or meets a state other than Open. Decides
 * about losses and the congestion state; what to send goes to `state.rexmit`. Returns the flags, with
 * FLAG_SET_XMIT_TIMER cleared when a timer was set here.
 * @kernel tcp_fastretrans_alert net/ipv4/tcp_input.c
 */
export function tcpFastretransAlert(
  sk: Sock,
  priorSndUna: number,
  numDupack: number,
  ackFlag: number,
  state: TcpSacktagState,
): number {
  const tp = tcpSk(sk);
  const flag = ackFlag;
  const eceAck = (flag & FLAG_ECE) !== 0;
  let out = ackFlag;

  if (tp.packetsOut === 0 && tp.sackedOut !== 0) tp.sackedOut = 0;
  // A congestion mark makes the reduction due: no undo.
  if (eceAck) tp.priorSsthresh = 0;
  if (tcpCheckSackReneging(sk, out)) return out & ~FLAG_SET_XMIT_TIMER;
  tcpVerifyLeftOut(tp);
  if (tcpFastretransExit(sk)) return out;

  if (tp.icskCaState === TCP_CA_Recovery) {
    if ((flag & FLAG_SND_UNA_ADVANCED) === 0) {
      if (tcpIsReno(tp)) tcpAddRenoSack(sk, numDupack, eceAck);
    } else if (tcpTryUndoPartial(sk, priorSndUna)) {
      return out;
    }
    if (tcpTryUndoDsack(sk)) tcpTryToOpen(sk, flag);
    out = tcpIdentifyPacketLoss(sk, out);
    // Undone; a loss that is still evident starts a recovery of its own.
    if ((tp.icskCaState as number) !== TCP_CA_Recovery) {
      if (!tcpTimeToRecover(tp)) return out;
      tcpEnterRecovery(sk, eceAck);
    }
    state.rexmit = REXMIT_LOST;
    return out;
  }
  if (tp.icskCaState === TCP_CA_Loss) {
    tcpProcessLoss(sk, flag, numDupack, state);
    if ((tp.icskCaState as number) !== TCP_CA_Loss) tcpUpdateRtoTime(tp);
    out = tcpIdentifyPacketLoss(sk, out);
    // Go on when the timeout was undone, or when retransmissions were lost again.
    if ((tp.icskCaState as number) !== TCP_CA_Open && (out & FLAG_LOST_RETRANS) === 0) return out;
  }
  return tcpFastretransDetect(sk, numDupack, flag, out, state);
}
