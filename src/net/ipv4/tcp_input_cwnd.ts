/**
 * The congestion state of a sender, apart from the algorithm that grows the window: marking segments
 * lost, counting what reno's duplicate ACKs mean, reducing the window in proportion (PRR), entering
 * CWR and Recovery, and undoing a reduction that proves to have been wrong.
 *
 * Counterpart: parts of net/ipv4/tcp_input.c. RFC 5681, RFC 6937 (PRR), RFC 3708 and 4015 (undo by
 * DSACK and by timestamps), RFC 3168 (ECN). Nothing here sends, so tcp_output may call it.
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import { netAddStats, netIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import {
  CA_EVENT_COMPLETE_CWR,
  TCP_INFINITE_SSTHRESH,
  TCP_RACK_RECOVERY_THRESH,
  TCPCB_EVER_RETRANS,
  TCPCB_LOST,
  TCPCB_RETRANS,
  TCPCB_SACKED_ACKED,
  TCPCB_SACKED_RETRANS,
  type TcpCongestionOps,
  tcpSk,
} from '#include/net/tcp.ts';
import { tcpEcnModeRfc3168, tcpEcnQueueCwr, tcpEcnWithdrawCwr } from '#include/net/tcp_ecn.ts';
import {
  tcpCaEvent,
  tcpCurrentSsthresh,
  tcpInCwndReduction,
  tcpIsReno,
  tcpIsSack,
  tcpJiffies32,
  tcpLeftOut,
  tcpPacketsInFlight,
  tcpSkbTimestampTs,
  tcpSndCwnd,
  tcpSndCwndSet,
} from '#include/net/tcp_inlines.ts';
import {
  skbRbFirst,
  skbRbNext,
  tcpHighestSackSeq,
  tcpRtxQueueHead,
  tcpSkbPcount,
} from '#include/net/tcp_queue.ts';
import { bugOn } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { before } from '#lib/tcp_seq.ts';
import { tcpSetCaState } from '#net/ipv4/tcp_cong.ts';
import { FLAG_ECE, FLAG_SND_UNA_ADVANCED } from '#net/ipv4/tcp_input_flags.ts';
import {
  LINUX_MIB_TCPDSACKUNDO,
  LINUX_MIB_TCPFULLUNDO,
  LINUX_MIB_TCPLOSSUNDO,
  LINUX_MIB_TCPLOSTRETRANSMIT,
  LINUX_MIB_TCPPARTIALUNDO,
  LINUX_MIB_TCPRENORECOVERY,
  LINUX_MIB_TCPRENOREORDER,
  LINUX_MIB_TCPSACKRECOVERY,
  LINUX_MIB_TCPSACKREORDER,
  LINUX_MIB_TCPSPURIOUSRTOS,
  LINUX_MIB_TCPTSREORDER,
} from '#uapi/snmp.ts';
import {
  TCP_CA_CWR,
  TCP_CA_Disorder,
  TCP_CA_Loss,
  TCP_CA_Open,
  TCP_CA_Recovery,
  TCP_SYN_SENT,
} from '#uapi/tcp.ts';

// ---- Counting ----------------------------------------------------------------------------------

/** Segments that arrived, for the rate estimator and tcp_info. @kernel tcp_count_delivered net/ipv4/tcp_input.c */
export function tcpCountDelivered(tp: TcpSock, delivered: number, eceAck: boolean): void {
  tp.delivered += delivered;
  // Accurate ECN counts by itself.
  if (eceAck && tcpEcnModeRfc3168(tp)) tp.deliveredCe += delivered;
}

/** @kernel tcp_verify_left_out include/net/tcp.h */
export function tcpVerifyLeftOut(tp: TcpSock): void {
  if (DEBUG) {
    bugOn(
      tp.sackedOut + tp.lostOut > tp.packetsOut,
      'tcp-left-out',
      `sacked ${tp.sackedOut} lost ${tp.lostOut} out ${tp.packetsOut}`,
    );
  }
}

/**
 * A segment is believed lost: counts it, and lets retransmission begin with it when it is the first.
 * A retransmission that was lost in its turn is counted again.
 * @kernel tcp_mark_skb_lost net/ipv4/tcp_input.c
 */
export function tcpMarkSkbLost(sk: Sock, skb: SkBuff): void {
  const tp = tcpSk(sk);
  const scb = skb.tcpCb;
  const sacked = scb.sacked;
  if ((sacked & TCPCB_SACKED_ACKED) !== 0) return;

  const hint = tp.retransmitSkbHint;
  if (hint === null ? tp.retransOut >= tp.lostOut : before(scb.seq, hint.tcpCb.seq)) {
    tp.retransmitSkbHint = skb;
  }
  const pcount = tcpSkbPcount(skb);
  if ((sacked & TCPCB_LOST) === 0) {
    tp.lostOut += pcount;
    scb.sacked |= TCPCB_LOST;
    tp.lost += pcount;
  } else if ((sacked & TCPCB_SACKED_RETRANS) !== 0) {
    scb.sacked &= ~TCPCB_SACKED_RETRANS;
    tp.retransOut -= pcount;
    netAddStats(sk.net, LINUX_MIB_TCPLOSTRETRANSMIT, pcount);
    tp.lost += pcount;
  }
}

/** @kernel tcp_clear_all_retrans_hints include/net/tcp.h */
export function tcpClearAllRetransHints(tp: TcpSock): void {
  tp.retransmitSkbHint = null;
}

/** Does anything retransmitted still wait? @kernel tcp_any_retrans_done net/ipv4/tcp_input.c */
export function tcpAnyRetransDone(sk: Sock): boolean {
  if (tcpSk(sk).retransOut !== 0) return true;
  const skb = tcpRtxQueueHead(sk);
  return skb !== null && (skb.tcpCb.sacked & TCPCB_EVER_RETRANS) !== 0;
}

/** @kernel tcp_retrans_stamp_cleanup net/ipv4/tcp_input.c */
export function tcpRetransStampCleanup(sk: Sock): void {
  if (!tcpAnyRetransDone(sk)) tcpSk(sk).retransStamp = 0;
}

// ---- Reno: what duplicate ACKs stand for -------------------------------------------------------

/**
 * Without SACK, each duplicate ACK means that some segment arrived, never more than there can be.
 * True when the count had to be cut.
 * @kernel tcp_limit_reno_sacked net/ipv4/tcp_input.c
 */
export function tcpLimitRenoSacked(tp: TcpSock): boolean {
  const holes = Math.min(Math.max(tp.lostOut, 1), tp.packetsOut);
  if (tp.sackedOut + holes <= tp.packetsOut) return false;
  tp.sackedOut = tp.packetsOut - holes;
  return true;
}

/** More duplicates than segments: they were reordered, not lost. @kernel tcp_check_reno_reordering net/ipv4/tcp_input.c */
function tcpCheckRenoReordering(sk: Sock, addend: number): void {
  const tp = tcpSk(sk);
  if (!tcpLimitRenoSacked(tp)) return;
  tp.reordering = Math.min(tp.packetsOut + addend, sk.net.ipv4.sysctlTcpMaxReordering);
  tp.reordSeen++;
  netIncStats(sk.net, LINUX_MIB_TCPRENOREORDER);
}

/** @kernel tcp_add_reno_sack net/ipv4/tcp_input.c */
export function tcpAddRenoSack(sk: Sock, numDupack: number, eceAck: boolean): void {
  if (numDupack === 0) return;
  const tp = tcpSk(sk);
  const priorSacked = tp.sackedOut;
  tp.sackedOut += numDupack;
  tcpCheckRenoReordering(sk, 0);
  const delivered = tp.sackedOut - priorSacked;
  if (delivered > 0) tcpCountDelivered(tp, delivered, eceAck);
  tcpVerifyLeftOut(tp);
}

/**
 * New data was acknowledged: one segment filled the hole, the others had sent duplicates before.
 * @kernel tcp_remove_reno_sacks net/ipv4/tcp_input.c
 */
export function tcpRemoveRenoSacks(sk: Sock, acked: number, eceAck: boolean): void {
  const tp = tcpSk(sk);
  if (acked > 0) {
    tcpCountDelivered(tp, Math.max(acked - tp.sackedOut, 1), eceAck);
    if (acked - 1 >= tp.sackedOut) tp.sackedOut = 0;
    else tp.sackedOut -= acked - 1;
  }
  tcpCheckRenoReordering(sk, acked);
  tcpVerifyLeftOut(tp);
}

/** @kernel tcp_reset_reno_sack net/ipv4/tcp_input.c */
export function tcpResetRenoSack(tp: TcpSock): void {
  tp.sackedOut = 0;
}

/** @kernel tcp_clear_retrans net/ipv4/tcp_input.c */
export function tcpClearRetrans(tp: TcpSock): void {
  tp.retransOut = 0;
  tp.lostOut = 0;
  tp.undoMarker = 0;
  tp.undoRetrans = -1;
  tp.sackedOut = 0;
  tp.rtoStamp = 0;
  tp.totalRto = 0;
  tp.totalRtoRecoveries = 0;
  tp.totalRtoTime = 0;
}

// ---- Proportional rate reduction ---------------------------------------------------------------

/**
 * Begins a reduction: the window will go from here to ssthresh while this flight is acknowledged.
 * @kernel tcp_init_cwnd_reduction net/ipv4/tcp_input.c
 */
export function tcpInitCwndReduction(sk: Sock): void {
  const tp = tcpSk(sk);
  tp.highSeq = tp.sndNxt;
  tp.tlpHighSeq = 0;
  tp.sndCwndCnt = 0;
  tp.priorCwnd = tcpSndCwnd(tp);
  tp.prrDelivered = 0;
  tp.prrOut = 0;
  tp.sndSsthresh = tcpCaOps(tp).ssthresh(tp);
  tcpEcnQueueCwr(tp);
}

/**
 * Allows as many segments out as keeps the reduction in proportion to what has been delivered; below
 * ssthresh, as slow start would (PRR-SSRB) while segments are delivered without new loss.
 * @kernel tcp_cwnd_reduction net/ipv4/tcp_input.c
 * @rfc 6937#3
 */
export function tcpCwndReduction(
  sk: Sock,
  newlyAckedSacked: number,
  newlyLost: number,
  flag: number,
): void {
  const tp = tcpSk(sk);
  const delta = tp.sndSsthresh - tcpPacketsInFlight(tp);
  if (newlyAckedSacked <= 0 || tp.priorCwnd === 0) return;
  if (tracepointKey.enabled)
    sk.net.machine.trace.tcp.tcpCwndReductionTp.probe?.(tp, newlyAckedSacked, newlyLost, flag);

  tp.prrDelivered += newlyAckedSacked;
  let sndcnt: number;
  if (delta < 0) {
    sndcnt = Math.ceil((tp.sndSsthresh * tp.prrDelivered) / tp.priorCwnd) - tp.prrOut;
  } else {
    sndcnt = Math.max(tp.prrDelivered - tp.prrOut, newlyAckedSacked);
    if ((flag & FLAG_SND_UNA_ADVANCED) !== 0 && newlyLost === 0) sndcnt++;
    sndcnt = Math.min(delta, sndcnt);
  }
  // The fast retransmit that opens recovery always goes out.
  sndcnt = Math.max(sndcnt, tp.prrOut !== 0 ? 0 : 1);
  tcpSndCwndSet(tp, tcpPacketsInFlight(tp) + sndcnt);
}

/** @kernel tcp_end_cwnd_reduction net/ipv4/tcp_input.c */
export function tcpEndCwndReduction(sk: Sock): void {
  const tp = tcpSk(sk);
  if (tcpCaOps(tp).congControl !== null) return;
  if (
    tp.sndSsthresh < TCP_INFINITE_SSTHRESH &&
    (tp.icskCaState === TCP_CA_CWR || tp.undoMarker !== 0)
  ) {
    tcpSndCwndSet(tp, tp.sndSsthresh);
    tp.sndCwndStamp = tcpJiffies32(sk);
  }
  tcpCaEvent(sk, CA_EVENT_COMPLETE_CWR);
}

/**
 * Congestion without loss (an ECN echo, a full local queue): reduces the window once a round trip.
 * @kernel tcp_enter_cwr net/ipv4/tcp_input.c
 */
export function tcpEnterCwr(sk: Sock): void {
  const tp = tcpSk(sk);
  tp.priorSsthresh = 0;
  if (tp.icskCaState < TCP_CA_CWR) {
    tp.undoMarker = 0;
    tcpInitCwndReduction(sk);
    tcpSetCaState(sk, TCP_CA_CWR);
  }
}

/** @kernel tcp_try_keep_open net/ipv4/tcp_input.c */
export function tcpTryKeepOpen(sk: Sock): void {
  const tp = tcpSk(sk);
  const state = tcpLeftOut(tp) !== 0 || tcpAnyRetransDone(sk) ? TCP_CA_Disorder : TCP_CA_Open;
  if (tp.icskCaState !== state) {
    tcpSetCaState(sk, state);
    tp.highSeq = tp.sndNxt;
  }
}

/** @kernel tcp_try_to_open net/ipv4/tcp_input.c */
export function tcpTryToOpen(sk: Sock, flag: number): void {
  const tp = tcpSk(sk);
  tcpVerifyLeftOut(tp);
  if (!tcpAnyRetransDone(sk)) tp.retransStamp = 0;
  if ((flag & FLAG_ECE) !== 0) tcpEnterCwr(sk);
  if (tp.icskCaState !== TCP_CA_CWR) tcpTryKeepOpen(sk);
}

/**
 * Remembers where a reduction began, to undo it when every retransmission proves needless.
 * @kernel tcp_init_undo net/ipv4/tcp_input.c
 */
export function tcpInitUndo(tp: TcpSock): void {
  tp.undoMarker = tp.sndUna;
  // DSACKs may still come for what is already out again: retransmissions and a loss probe.
  tp.undoRetrans = tp.retransOut;
  if (tp.tlpHighSeq !== 0 && tp.tlpRetrans) tp.undoRetrans++;
  // Zero would read "all retransmissions were needless".
  if (tp.undoRetrans === 0) tp.undoRetrans = -1;
}

/** @kernel tcp_enter_recovery net/ipv4/tcp_input.c */
export function tcpEnterRecovery(sk: Sock, eceAck: boolean): void {
  const tp = tcpSk(sk);
  // The clock of undo and of the user timeout starts with the coming retransmission.
  tcpRetransStampCleanup(sk);
  netIncStats(sk.net, tcpIsReno(tp) ? LINUX_MIB_TCPRENORECOVERY : LINUX_MIB_TCPSACKRECOVERY);
  tp.priorSsthresh = 0;
  tcpInitUndo(tp);
  if (!tcpInCwndReduction(sk)) {
    if (!eceAck) tp.priorSsthresh = tcpCurrentSsthresh(sk);
    tcpInitCwndReduction(sk);
  }
  tcpSetCaState(sk, TCP_CA_Recovery);
}

// ---- Undo --------------------------------------------------------------------------------------

/** Did the peer echo a timestamp from before `when`? @kernel tcp_tsopt_ecr_before net/ipv4/tcp_input.c */
function tcpTsoptEcrBefore(tp: TcpSock, when: number): boolean {
  return tp.rxOpt.sawTstamp && tp.rxOpt.rcvTsecr !== 0 && before(tp.rxOpt.rcvTsecr, when);
}

/**
 * Was this retransmission needless, since the ACK answers an earlier transmission?
 * @kernel tcp_skb_spurious_retrans net/ipv4/tcp_input.c
 * @rfc 3522
 */
export function tcpSkbSpuriousRetrans(tp: TcpSock, skb: SkBuff): boolean {
  return (
    (skb.tcpCb.sacked & TCPCB_RETRANS) !== 0 &&
    tcpTsoptEcrBefore(tp, tcpSkbTimestampTs(tp.usecTs, skb))
  );
}

/**
 * Was the packet only late? Told by a timestamp older than our first retransmission, or because we
 * did not retransmit at all.
 * @kernel tcp_packet_delayed net/ipv4/tcp_input.c
 */
export function tcpPacketDelayed(tp: TcpSock): boolean {
  if (tp.retransStamp !== 0) return tcpTsoptEcrBefore(tp, tp.retransStamp);
  // Without a stamp nothing was retransmitted, with two exceptions that cleared it afterwards: reno
  // waiting for an ACK beyond the recovery point, and an acknowledged SYN.
  if (!tcpIsSack(tp) && !before(tp.sndUna, tp.highSeq)) return false;
  return tp.skcState !== TCP_SYN_SENT;
}

/** @kernel tcp_undo_cwnd_reduction net/ipv4/tcp_input.c */
function tcpUndoCwndReduction(sk: Sock, unmarkLoss: boolean): void {
  const tp = tcpSk(sk);
  if (unmarkLoss) {
    for (let skb = skbRbFirst(tp.rtxQueue); skb !== null; skb = skbRbNext(skb)) {
      skb.tcpCb.sacked &= ~TCPCB_LOST;
    }
    tp.lostOut = 0;
    tcpClearAllRetransHints(tp);
  }
  if (tp.priorSsthresh !== 0) {
    tcpSndCwndSet(tp, tcpCaOps(tp).undoCwnd(tp));
    if (tp.priorSsthresh > tp.sndSsthresh) {
      tp.sndSsthresh = tp.priorSsthresh;
      tcpEcnWithdrawCwr(tp);
    }
  }
  tp.sndCwndStamp = tcpJiffies32(sk);
  tp.undoMarker = 0;
  // What was unmarked may be lost all the same: let RACK look again.
  tp.rackAdvanced = true;
}

/** @kernel tcp_may_undo net/ipv4/tcp_input.c */
function tcpMayUndo(tp: TcpSock): boolean {
  return tp.undoMarker !== 0 && (tp.undoRetrans === 0 || tcpPacketDelayed(tp));
}

/**
 * Reno must not leave recovery on the ACK of exactly the recovery point: duplicates of it would start
 * a needless fast retransmit.
 * @kernel tcp_is_non_sack_preventing_reopen net/ipv4/tcp_input.c
 * @rfc 6582#3.2
 */
function tcpIsNonSackPreventingReopen(sk: Sock): boolean {
  const tp = tcpSk(sk);
  if (tp.sndUna !== tp.highSeq || !tcpIsReno(tp)) return false;
  if (!tcpAnyRetransDone(sk)) tp.retransStamp = 0;
  return true;
}

/** Everything up to the recovery point is acknowledged. True: stay in the state. @kernel tcp_try_undo_recovery net/ipv4/tcp_input.c */
export function tcpTryUndoRecovery(sk: Sock): boolean {
  const tp = tcpSk(sk);
  if (tcpMayUndo(tp)) {
    const loss = tp.icskCaState === TCP_CA_Loss;
    tcpUndoCwndReduction(sk, false);
    netIncStats(sk.net, loss ? LINUX_MIB_TCPLOSSUNDO : LINUX_MIB_TCPFULLUNDO);
  } else if (tp.rackReoWndPersist !== 0) {
    tp.rackReoWndPersist--;
  }
  if (tcpIsNonSackPreventingReopen(sk)) return true;
  tcpSetCaState(sk, TCP_CA_Open);
  tp.isSackReneg = false;
  return false;
}

/** Every retransmission was reported as a duplicate. @kernel tcp_try_undo_dsack net/ipv4/tcp_input.c */
export function tcpTryUndoDsack(sk: Sock): boolean {
  const tp = tcpSk(sk);
  if (tp.undoMarker === 0 || tp.undoRetrans !== 0) return false;
  tp.rackReoWndPersist = Math.min(TCP_RACK_RECOVERY_THRESH, tp.rackReoWndPersist + 1);
  tcpUndoCwndReduction(sk, false);
  netIncStats(sk.net, LINUX_MIB_TCPDSACKUNDO);
  return true;
}

/** @kernel tcp_try_undo_loss net/ipv4/tcp_input.c */
export function tcpTryUndoLoss(sk: Sock, frtoUndo: boolean): boolean {
  const tp = tcpSk(sk);
  if (!frtoUndo && !tcpMayUndo(tp)) return false;
  tcpUndoCwndReduction(sk, true);
  netIncStats(sk.net, LINUX_MIB_TCPLOSSUNDO);
  if (frtoUndo) netIncStats(sk.net, LINUX_MIB_TCPSPURIOUSRTOS);
  tp.icskRetransmits = 0;
  if (tcpIsNonSackPreventingReopen(sk)) return true;
  if (frtoUndo || tcpIsSack(tp)) {
    tcpSetCaState(sk, TCP_CA_Open);
    tp.isSackReneg = false;
  }
  return true;
}

/**
 * A partial ACK that an original transmission earned: the network only reorders. True: stop here,
 * retransmissions are still out.
 * @kernel tcp_try_undo_partial net/ipv4/tcp_input.c
 */
export function tcpTryUndoPartial(sk: Sock, priorSndUna: number): boolean {
  const tp = tcpSk(sk);
  if (tp.undoMarker === 0 || !tcpPacketDelayed(tp)) return false;
  tcpCheckSackReordering(sk, priorSndUna, true);
  if (tp.retransOut !== 0) return true;
  if (!tcpAnyRetransDone(sk)) tp.retransStamp = 0;
  tcpUndoCwndReduction(sk, true);
  netIncStats(sk.net, LINUX_MIB_TCPPARTIALUNDO);
  tcpTryKeepOpen(sk);
  return false;
}

/**
 * A segment below the highest SACK arrived without retransmission: raises the measure of reordering
 * to the distance seen. `ts`: a timestamp told us.
 * @kernel tcp_check_sack_reordering net/ipv4/tcp_input.c
 */
export function tcpCheckSackReordering(sk: Sock, lowSeq: number, ts: boolean): void {
  const tp = tcpSk(sk);
  const mss = tp.mssCache;
  const fack = tcpHighestSackSeq(tp);
  if (!before(lowSeq, fack)) return;
  const metric = (fack - lowSeq) >>> 0;
  if (mss !== 0 && metric > tp.reordering * mss) {
    tp.reordering = Math.min(Math.ceil(metric / mss), sk.net.ipv4.sysctlTcpMaxReordering);
  }
  tp.reordSeen++;
  netIncStats(sk.net, ts ? LINUX_MIB_TCPTSREORDER : LINUX_MIB_TCPSACKREORDER);
}

/** The congestion control of a socket that has one: every socket past tcp_init_sock. */
export function tcpCaOps(tp: TcpSock): TcpCongestionOps {
  return tp.icskCaOps as TcpCongestionOps;
}
