/**
 * Incoming acknowledgments: the send window, the retransmit queue, RTT, and what the congestion
 * control learns from them.
 *
 * Counterpart: tcp_ack and its helpers of net/ipv4/tcp_input.c. RFC 9293#3.10.7.4, RFC 5681, RFC 5961
 * (acceptable ACKs), RFC 8985#7.5 (loss probes).
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  type RateSample,
  TCP_CHRONO_BUSY,
  type TcpSacktagState,
  type TcpSock,
} from '#include/linux/tcp.ts';
import { ICSK_TIME_PROBE0 } from '#include/net/inet_connection_sock.ts';
import { netAddStats, netIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import {
  CA_ACK_ECE,
  CA_ACK_SLOWPATH,
  CA_ACK_WIN_UPDATE,
  TCP_NAGLE_OFF,
  TCPCB_LOST,
  TCPCB_RETRANS,
  TCPCB_SACKED_ACKED,
  TCPCB_SACKED_RETRANS,
  tcpSk,
} from '#include/net/tcp.ts';
import { tcpSndSneUpdate } from '#include/net/tcp_auth_ops.ts';
import {
  tcpEcnAcceptCwr,
  tcpEcnModeAccecn,
  tcpEcnModeRfc3168,
  tcpEcnRcvEcnEcho,
} from '#include/net/tcp_ecn.ts';
import {
  tcpFastPathCheck,
  tcpInCwndReduction,
  tcpIsReno,
  tcpIsSack,
  tcpJiffies32,
  tcpPacketsInFlight,
  tcpProbe0When,
  tcpRtoMax,
  tcpSkbTimestampUs,
  tcpStampUsDelta,
  tcpUpdateWl,
  tcpWndEnd,
} from '#include/net/tcp_inlines.ts';
import {
  skbRbFirst,
  skbRbNext,
  tcpHighestSackReplace,
  tcpHighestSackSeq,
  tcpSendHead,
  tcpSkbPcount,
  tcpWriteQueueEmpty,
} from '#include/net/tcp_queue.ts';
import { after, before, between } from '#lib/tcp_seq.ts';
import { view } from '#mm/memory.ts';
import { __skbTstampTx } from '#net/core/skbuff_tstamp.ts';
import { skDstConfirm } from '#net/core/sock.ts';
import { inetCskClearXmitTimer, tcpResetXmitTimer } from '#net/ipv4/inet_connection_sock_timer.ts';
import { tcpSetCaState } from '#net/ipv4/tcp_cong.ts';
import { tcpAccecnProcess } from '#net/ipv4/tcp_input_accecn.ts';
import { tcpSendChallengeAck } from '#net/ipv4/tcp_input_challenge.ts';
import {
  tcpCaOps,
  tcpCheckSackReordering,
  tcpCountDelivered,
  tcpCwndReduction,
  tcpEndCwndReduction,
  tcpInitCwndReduction,
  tcpRemoveRenoSacks,
  tcpSkbSpuriousRetrans,
  tcpTryKeepOpen,
} from '#net/ipv4/tcp_input_cwnd.ts';
import {
  FLAG_ACK_MAYBE_DELAYED,
  FLAG_ACKED,
  FLAG_CA_ALERT,
  FLAG_DATA,
  FLAG_DATA_ACKED,
  FLAG_DATA_SACKED,
  FLAG_DSACK_TLP,
  FLAG_DSACKING_ACK,
  FLAG_ECE,
  FLAG_FORWARD_PROGRESS,
  FLAG_NO_CHALLENGE_ACK,
  FLAG_NOT_DUP,
  FLAG_ORIG_SACK_ACKED,
  FLAG_RETRANS_DATA_ACKED,
  FLAG_SACK_RENEGING,
  FLAG_SET_XMIT_TIMER,
  FLAG_SLOWPATH,
  FLAG_SND_UNA_ADVANCED,
  FLAG_SYN_ACKED,
  FLAG_UPDATE_TS_RECENT,
  FLAG_WIN_UPDATE,
  REXMIT_NEW,
  REXMIT_NONE,
} from '#net/ipv4/tcp_input_flags.ts';
import { tcpFastretransAlert, tcpMtupProbeSuccess } from '#net/ipv4/tcp_input_loss.ts';
import { tcpMayUpdateWindow, tcpReplaceTsRecent } from '#net/ipv4/tcp_input_options.ts';
import {
  tcpAckUpdateRtt,
  tcpRearmRto,
  tcpSacktagStateGet,
  tcpSacktagStatePut,
  tcpUpdatePacingRate,
} from '#net/ipv4/tcp_input_rtt.ts';
import { tcpSacktagWriteQueue } from '#net/ipv4/tcp_input_sack.ts';
import { tcpChronoStop } from '#net/ipv4/tcp_output_chrono.ts';
import { tcpClampProbe0ToUserTimeout } from '#net/ipv4/tcp_output_ctl.ts';
import { tcpTrimHead } from '#net/ipv4/tcp_output_frag.ts';
import { tcpCurrentMss, tcpSyncMss } from '#net/ipv4/tcp_output_mss.ts';
import { tcpXmitRetransmitQueue } from '#net/ipv4/tcp_output_rtx.ts';
import { tcpScheduleLossProbe } from '#net/ipv4/tcp_output_tlp.ts';
import { __tcpPushPendingFrames, tcpSlowStartAfterIdleCheck } from '#net/ipv4/tcp_output_xmit.ts';
import { tcpRateGen, tcpRateSkbDelivered } from '#net/ipv4/tcp_rate.ts';
import { tcpRackAdvance, tcpRackUpdateReoWnd } from '#net/ipv4/tcp_recovery.ts';
import { tcpRtxQueueUnlinkAndFree } from '#net/ipv4/tcp_state.ts';
import { SCM_TSTAMP_ACK } from '#uapi/errqueue.ts';
import {
  SKB_DROP_REASON_TCP_ACK_UNSENT_DATA,
  SKB_DROP_REASON_TCP_TOO_OLD_ACK,
} from '#uapi/net_dropreason.ts';
import {
  LINUX_MIB_TCPDELIVERED,
  LINUX_MIB_TCPDELIVEREDCE,
  LINUX_MIB_TCPHPACKS,
  LINUX_MIB_TCPLOSSPROBERECOVERY,
  LINUX_MIB_TCPPUREACKS,
} from '#uapi/snmp.ts';
import { TCP_CA_CWR, TCP_CA_Open, TCP_SYN_SENT, TCPHDR_SYN, tcphdr } from '#uapi/tcp.ts';

// ---- Window ------------------------------------------------------------------------------------

/** @kernel tcp_snd_una_update net/ipv4/tcp_input.c */
export function tcpSndUnaUpdate(tp: TcpSock, ack: number): void {
  tp.bytesAcked += (ack - tp.sndUna) >>> 0;
  if (tp.aoInfo !== null) tcpSndSneUpdate(tp, tp.aoInfo, ack);
  tp.sndUna = ack;
}

/**
 * Takes over the advertised window and moves snd_una. Returns FLAG_WIN_UPDATE or 0.
 * @kernel tcp_ack_update_window net/ipv4/tcp_input.c
 * @rfc 9293#3.10.7.4
 */
function tcpAckUpdateWindow(sk: Sock, skb: SkBuff, ack: number, ackSeq: number): number {
  const tp = tcpSk(sk);
  const th = skb.transportHeader;
  let nwin = tcphdr.window(view, th);
  let flag = 0;
  if (tcphdr.syn(view, th) === 0) nwin *= 1 << tp.rxOpt.sndWscale;

  if (tcpMayUpdateWindow(tp, ack, ackSeq, nwin)) {
    flag = FLAG_WIN_UPDATE;
    tcpUpdateWl(tp, ackSeq);
    if (tp.sndWnd !== nwin) {
      tp.sndWnd = nwin;
      // The predicted header names the window: the only place where a sender regains the fast path.
      tp.predFlags = 0;
      tcpFastPathCheck(sk);
      if (!tcpWriteQueueEmpty(sk)) tcpSlowStartAfterIdleCheck(sk);
      if (nwin > tp.maxWindow) {
        tp.maxWindow = nwin;
        tcpSyncMss(sk, tp.icskPmtuCookie);
      }
    }
  }
  tcpSndUnaUpdate(tp, ack);
  return flag;
}

/**
 * The window changed while nothing is in flight: stops the probes when it lets something out.
 * @kernel tcp_ack_probe net/ipv4/tcp_input.c
 */
function tcpAckProbe(sk: Sock): void {
  const tp = tcpSk(sk);
  const head = tcpSendHead(sk);
  if (head === null) return;
  if (!after(head.tcpCb.endSeq, tcpWndEnd(tp))) {
    tp.icskBackoff = 0;
    tp.icskProbesTstamp = 0;
    inetCskClearXmitTimer(sk, ICSK_TIME_PROBE0);
    // What is waiting leaves in tcp_data_snd_check().
  } else {
    const when = tcpClampProbe0ToUserTimeout(sk, tcpProbe0When(sk, tcpRtoMax(sk)));
    tcpResetXmitTimer(sk, ICSK_TIME_PROBE0, when, true);
  }
}

// ---- Retransmit queue --------------------------------------------------------------------------

/**
 * The front of a super-packet was acknowledged: cuts it off. Returns the segments that went.
 * @kernel tcp_tso_acked net/ipv4/tcp_input.c
 */
function tcpTsoAcked(sk: Sock, skb: SkBuff): number {
  const tp = tcpSk(sk);
  const before = tcpSkbPcount(skb);
  if (tcpTrimHead(sk, skb, (tp.sndUna - skb.tcpCb.seq) | 0) < 0) return 0;
  return before - tcpSkbPcount(skb);
}

/**
 * One packet of the queue is acknowledged, in `ackedPcount` segments: updates the counts and collects
 * what RTT, reordering and rate samples need. `startSeq`: where it began, since only its rest is there
 * when it is acknowledged in part.
 * @kernel tcp_clean_rtx_queue net/ipv4/tcp_input.c
 */
function tcpCleanRtxSkb(
  sk: Sock,
  skb: SkBuff,
  startSeq: number,
  ackedPcount: number,
  eceAck: boolean,
  state: TcpSacktagState,
): number {
  const tp = tcpSk(sk);
  const scb = skb.tcpCb;
  const sacked = scb.sacked;
  let flag = 0;

  if ((sacked & TCPCB_RETRANS) !== 0) {
    if ((sacked & TCPCB_SACKED_RETRANS) !== 0) tp.retransOut -= ackedPcount;
    flag |= FLAG_RETRANS_DATA_ACKED;
  } else if ((sacked & TCPCB_SACKED_ACKED) === 0) {
    state.lastAckt = tcpSkbTimestampUs(skb);
    if (state.firstAckt === 0) state.firstAckt = state.lastAckt;
    if (before(startSeq, state.ackReord)) state.ackReord = startSeq;
    if (!after(scb.endSeq, tp.highSeq)) flag |= FLAG_ORIG_SACK_ACKED;
  }

  if ((sacked & TCPCB_SACKED_ACKED) !== 0) {
    tp.sackedOut -= ackedPcount;
    // Counted when it was SACKed.
    state.deliveredBytes -= skb.len;
  } else if (tcpIsSack(tp)) {
    tcpCountDelivered(tp, ackedPcount, eceAck);
    if (!tcpSkbSpuriousRetrans(tp, skb)) {
      tcpRackAdvance(tp, sacked, scb.endSeq, tcpSkbTimestampUs(skb));
    }
  }
  if ((sacked & TCPCB_LOST) !== 0) tp.lostOut -= ackedPcount;
  tp.packetsOut -= ackedPcount;
  state.pktsAcked += ackedPcount;
  tcpRateSkbDelivered(sk, skb, state.rate);

  // A SYN is no data: slow start must not count it.
  if ((scb.tcpFlags & TCPHDR_SYN) === 0) return flag | FLAG_DATA_ACKED;
  tp.retransStamp = 0;
  return flag | FLAG_SYN_ACKED;
}

/** Tells a sender who asked that the byte `tskey` has been acknowledged. @kernel tcp_ack_tstamp net/ipv4/tcp_input.c */
function tcpAckTstamp(sk: Sock, skb: SkBuff, priorSndUna: number): void {
  if (!skb.tcpCb.txstampAck) return;
  const { tskey } = skb.shinfo;
  if (!before(tskey, priorSndUna) && before(tskey, tcpSk(sk).sndUna)) {
    __skbTstampTx(skb, 0, sk, SCM_TSTAMP_ACK);
  }
}

/**
 * Frees all packets below snd_una. Returns FLAG_*; the first packet that stays goes to
 * `state.rtxHead`.
 * @kernel tcp_clean_rtx_queue net/ipv4/tcp_input.c
 */
function tcpCleanRtxWalk(
  sk: Sock,
  priorSndUna: number,
  eceAck: boolean,
  state: TcpSacktagState,
): number {
  const tp = tcpSk(sk);
  let flag = 0;
  state.firstAckt = 0;
  state.lastAckt = 0;
  state.pktsAcked = 0;
  state.ackReord = tp.sndNxt;
  state.fullyAcked = true;
  let skb = skbRbFirst(tp.rtxQueue);
  while (skb !== null) {
    const startSeq = skb.tcpCb.seq;
    let ackedPcount = tcpSkbPcount(skb);
    if (after(skb.tcpCb.endSeq, tp.sndUna)) {
      if (ackedPcount === 1 || !after(tp.sndUna, skb.tcpCb.seq)) break;
      ackedPcount = tcpTsoAcked(sk, skb);
      if (ackedPcount === 0) break;
      state.fullyAcked = false;
    }
    flag |= tcpCleanRtxSkb(sk, skb, startSeq, ackedPcount, eceAck, state);
    if (!state.fullyAcked) break;
    tcpAckTstamp(sk, skb, priorSndUna);
    const next: SkBuff | null = skbRbNext(skb);
    if (skb === tp.retransmitSkbHint) tp.retransmitSkbHint = null;
    tcpHighestSackReplace(sk, skb, next);
    tcpRtxQueueUnlinkAndFree(skb, sk);
    skb = next;
  }
  if (skb === null) tcpChronoStop(sk, TCP_CHRONO_BUSY);
  else tcpAckTstamp(sk, skb, priorSndUna);
  if (skb !== null && (skb.tcpCb.sacked & TCPCB_SACKED_ACKED) !== 0) {
    flag |= FLAG_SACK_RENEGING;
  }
  if (between(tp.sndUp, priorSndUna, tp.sndUna)) tp.sndUp = tp.sndUna;
  state.rtxHead = skb;
  return flag;
}

/**
 * Releases what was acknowledged and takes the RTT. Returns FLAG_*.
 * @kernel tcp_clean_rtx_queue net/ipv4/tcp_input.c
 */
function tcpCleanRtxQueue(
  sk: Sock,
  priorFack: number,
  priorSndUna: number,
  eceAck: boolean,
  state: TcpSacktagState,
): number {
  const tp = tcpSk(sk);
  const rs = state.rate;
  const priorSacked = tp.sackedOut;
  let seqRttUs = -1;
  let sackRttUs = -1;
  let caRttUs = -1;
  state.deliveredBytes += (tp.sndUna - priorSndUna) >>> 0;
  let flag = tcpCleanRtxWalk(sk, priorSndUna, eceAck, state);
  const skb = state.rtxHead;
  state.rtxHead = null;
  if (tp.packetsOut === 0 && tcpIsSack(tp)) {
    // A packet that is retransmitted after an undo while it still counts is counted twice.
    tp.lostOut = 0;
    tp.sackedOut = 0;
    tp.retransOut = 0;
  }

  if (state.firstAckt !== 0 && (flag & FLAG_RETRANS_DATA_ACKED) === 0) {
    seqRttUs = tcpStampUsDelta(tp.tcpMstamp, state.firstAckt);
    caRttUs = tcpStampUsDelta(tp.tcpMstamp, state.lastAckt);
    if (
      state.pktsAcked === 1 &&
      state.fullyAcked &&
      priorSacked === 0 &&
      (tp.sndUna - priorSndUna) >>> 0 < tp.mssCache &&
      rs.priorDelivered + 1 === tp.delivered &&
      (flag & (FLAG_CA_ALERT | FLAG_SYN_ACKED)) === 0
    ) {
      // A lone small segment: the peer had no reason to hurry.
      flag |= FLAG_ACK_MAYBE_DELAYED;
    }
  }
  if (state.firstSackt !== 0) {
    sackRttUs = tcpStampUsDelta(tp.tcpMstamp, state.firstSackt);
    caRttUs = tcpStampUsDelta(tp.tcpMstamp, state.lastSackt);
  }
  const rttUpdate = tcpAckUpdateRtt(sk, flag, seqRttUs, sackRttUs, caRttUs, rs);

  if ((flag & FLAG_ACKED) !== 0) {
    flag |= FLAG_SET_XMIT_TIMER;
    if (tp.mtupProbeSize !== 0 && !after(tp.mtuProbeSeqEnd, tp.sndUna)) tcpMtupProbeSuccess(sk);
    if (tcpIsReno(tp)) {
      tcpRemoveRenoSacks(sk, state.pktsAcked, eceAck);
      // Without SACK, what a retransmission among them hides cannot prove progress.
      if ((flag & FLAG_RETRANS_DATA_ACKED) !== 0) flag &= ~FLAG_ORIG_SACK_ACKED;
    } else if (before(state.ackReord, priorFack)) {
      tcpCheckSackReordering(sk, state.ackReord, false);
    }
  } else if (
    skb !== null &&
    rttUpdate &&
    sackRttUs >= 0 &&
    sackRttUs > tcpStampUsDelta(tp.tcpMstamp, tcpSkbTimestampUs(skb))
  ) {
    // The SACKed data is older than the last transmission of the head: the RTO may be set anew
    // without being put off for ever.
    flag |= FLAG_SET_XMIT_TIMER;
  }

  const ops = tcpCaOps(tp);
  if (ops.pktsAcked !== null) {
    const inFlight = tp.mssCache * (tp.delivered - rs.priorDelivered);
    ops.pktsAcked(tp, state.pktsAcked, rs.rttUs, inFlight);
  }
  return flag;
}

// ---- Congestion control ------------------------------------------------------------------------

/** @kernel tcp_ack_is_dubious net/ipv4/tcp_input.c */
function tcpAckIsDubious(tp: TcpSock, flag: number): boolean {
  return (
    (flag & FLAG_NOT_DUP) === 0 || (flag & FLAG_CA_ALERT) !== 0 || tp.icskCaState !== TCP_CA_Open
  );
}

/**
 * Where reordering is usual, anything delivered lets the window grow; otherwise only data in order.
 * @kernel tcp_may_raise_cwnd net/ipv4/tcp_input.c
 */
function tcpMayRaiseCwnd(tp: TcpSock, flag: number): boolean {
  if (tp.reordering > tp.net.ipv4.sysctlTcpReordering) return (flag & FLAG_FORWARD_PROGRESS) !== 0;
  return (flag & FLAG_DATA_ACKED) !== 0;
}

/** @kernel tcp_cong_control net/ipv4/tcp_input.c */
function tcpCongControl(
  sk: Sock,
  ack: number,
  ackedSacked: number,
  flag: number,
  rs: RateSample,
): void {
  const tp = tcpSk(sk);
  const ops = tcpCaOps(tp);
  if (ops.congControl !== null) {
    ops.congControl(tp, ack, flag, rs);
    return;
  }
  if (tcpInCwndReduction(sk)) {
    tcpCwndReduction(sk, ackedSacked, rs.losses, flag);
  } else if (tcpMayRaiseCwnd(tp, flag)) {
    if (ops.congAvoid !== null) ops.congAvoid(tp, ack, ackedSacked);
    tp.sndCwndStamp = tcpJiffies32(sk);
  }
  tcpUpdatePacingRate(sk);
}

/** Segments newly delivered; `ecnCount` of them marked, by accurate ECN. @kernel tcp_newly_delivered net/ipv4/tcp_input.c */
function tcpNewlyDelivered(
  sk: Sock,
  priorDelivered: number,
  ecnCount: number,
  flag: number,
): number {
  const delivered = tcpSk(sk).delivered - priorDelivered;
  netAddStats(sk.net, LINUX_MIB_TCPDELIVERED, delivered);
  if ((flag & FLAG_ECE) !== 0) {
    const marked = tcpEcnModeRfc3168(tcpSk(sk)) ? delivered : ecnCount;
    netAddStats(sk.net, LINUX_MIB_TCPDELIVEREDCE, marked);
  }
  return delivered;
}

/** @kernel tcp_in_ack_event net/ipv4/tcp_input.c */
function tcpInAckEvent(tp: TcpSock, flag: number): void {
  const ops = tcpCaOps(tp);
  if (ops.inAckEvent === null) return;
  let caFlags = (flag & FLAG_WIN_UPDATE) !== 0 ? CA_ACK_WIN_UPDATE : 0;
  if ((flag & FLAG_SLOWPATH) !== 0) {
    caFlags |= CA_ACK_SLOWPATH;
    if ((flag & FLAG_ECE) !== 0) caFlags |= CA_ACK_ECE;
  }
  ops.inAckEvent(tp, caFlags);
}

/**
 * What the answer to a loss probe says: nothing was lost, or the probe repaired a loss, which is
 * congestion like any other.
 * @kernel tcp_process_tlp_ack net/ipv4/tcp_input.c
 * @rfc 8985#7.4.2
 */
function tcpProcessTlpAck(sk: Sock, ack: number, flag: number): void {
  const tp = tcpSk(sk);
  if (before(ack, tp.tlpHighSeq)) return;
  if (!tp.tlpRetrans || (flag & FLAG_DSACK_TLP) !== 0) {
    tp.tlpHighSeq = 0;
  } else if (after(ack, tp.tlpHighSeq)) {
    tcpInitCwndReduction(sk);
    tcpSetCaState(sk, TCP_CA_CWR);
    tcpEndCwndReduction(sk);
    tcpTryKeepOpen(sk);
    netIncStats(sk.net, LINUX_MIB_TCPLOSSPROBERECOVERY);
  } else if ((flag & (FLAG_SND_UNA_ADVANCED | FLAG_NOT_DUP | FLAG_DATA_SACKED)) === 0) {
    // A bare duplicate: original and probe both arrived.
    tp.tlpHighSeq = 0;
  }
}

/** @kernel tcp_set_xmit_timer net/ipv4/tcp_input.c */
function tcpSetXmitTimer(sk: Sock): void {
  if (!tcpScheduleLossProbe(sk, true)) tcpRearmRto(sk);
}

/** Sends what recovery asks for. @kernel tcp_xmit_recovery net/ipv4/tcp_input.c */
function tcpXmitRecovery(sk: Sock, rexmit: number): void {
  const tp = tcpSk(sk);
  if (rexmit === REXMIT_NONE || tp.skcState === TCP_SYN_SENT) return;
  if (rexmit === REXMIT_NEW) {
    __tcpPushPendingFrames(sk, tcpCurrentMss(sk), TCP_NAGLE_OFF);
    if (after(tp.sndNxt, tp.highSeq)) return;
    tp.frto = false;
  }
  tcpXmitRetransmitQueue(sk);
}

// ---- tcp_ack -----------------------------------------------------------------------------------

/**
 * Everything that an acknowledgment brings besides the queue: window, SACK, ECN. Returns the flags.
 * @kernel tcp_ack net/ipv4/tcp_input.c
 */
function tcpAckSlow(
  sk: Sock,
  skb: SkBuff,
  priorSndUna: number,
  ackFlag: number,
  state: TcpSacktagState,
): number {
  const tp = tcpSk(sk);
  const { seq, endSeq, ackSeq: ack } = skb.tcpCb;
  let flag = ackFlag;
  if (seq !== endSeq) flag |= FLAG_DATA;
  else netIncStats(sk.net, LINUX_MIB_TCPPUREACKS);
  flag |= tcpAckUpdateWindow(sk, skb, ack, seq);
  if (skb.tcpCb.sacked !== 0) flag |= tcpSacktagWriteQueue(sk, skb, priorSndUna, state);
  if (tcpEcnRcvEcnEcho(tp, skb.transportHeader)) flag |= FLAG_ECE;
  if (state.sackDelivered !== 0) {
    tcpCountDelivered(tp, state.sackDelivered, (flag & FLAG_ECE) !== 0);
  }
  return flag;
}

/**
 * An ACK below snd_una: late, which its SACK blocks may still be worth reading, or forged.
 * @kernel tcp_ack net/ipv4/tcp_input.c
 * @rfc 5961#5.2
 */
function tcpAckOld(
  sk: Sock,
  skb: SkBuff,
  priorSndUna: number,
  ackFlag: number,
  state: TcpSacktagState,
): number {
  const tp = tcpSk(sk);
  const maxWindow = Math.min(tp.maxWindow, tp.bytesAcked);
  if (before(skb.tcpCb.ackSeq, (priorSndUna - maxWindow) | 0)) {
    if ((ackFlag & FLAG_NO_CHALLENGE_ACK) === 0) tcpSendChallengeAck(sk, false);
    return -SKB_DROP_REASON_TCP_TOO_OLD_ACK;
  }
  if (skb.tcpCb.sacked !== 0) {
    const delivered = tp.delivered;
    const flag = ackFlag | tcpSacktagWriteQueue(sk, skb, priorSndUna, state);
    const out = tcpFastretransAlert(sk, priorSndUna, 0, flag, state);
    tcpNewlyDelivered(sk, delivered, 0, out);
    tcpXmitRecovery(sk, state.rexmit);
  }
  return 0;
}

/** Packets that accurate ECN newly reports as marked. */
function tcpAckEcn(
  sk: Sock,
  skb: SkBuff,
  priorDelivered: number,
  flag: number,
  state: TcpSacktagState,
): number {
  const tp = tcpSk(sk);
  if (!tcpEcnModeAccecn(tp)) return 0;
  const pkts = tp.delivered - priorDelivered;
  return tcpAccecnProcess(sk, skb, pkts, state.deliveredBytes, flag);
}

/** Nothing was outstanding when the ACK came. @kernel tcp_ack net/ipv4/tcp_input.c */
function tcpAckNoQueue(
  sk: Sock,
  skb: SkBuff,
  priorSndUna: number,
  priorDelivered: number,
  ackFlag: number,
  state: TcpSacktagState,
): void {
  const tp = tcpSk(sk);
  let flag = ackFlag;
  const ecnCount = tcpAckEcn(sk, skb, priorDelivered, flag, state);
  if (ecnCount > 0) flag |= FLAG_ECE;
  tcpInAckEvent(tp, flag);
  if ((flag & FLAG_DSACKING_ACK) !== 0) {
    flag = tcpFastretransAlert(sk, priorSndUna, 0, flag, state);
    tcpNewlyDelivered(sk, priorDelivered, ecnCount, flag);
  }
  tcpAckProbe(sk);
  if (tp.tlpHighSeq !== 0) tcpProcessTlpAck(sk, skb.tcpCb.ackSeq, flag);
}

/** @kernel tcp_ack net/ipv4/tcp_input.c */
function __tcpAck(sk: Sock, skb: SkBuff, ackFlag: number, state: TcpSacktagState): number {
  const tp = tcpSk(sk);
  const rs = state.rate;
  const priorSndUna = tp.sndUna;
  const isSackReneg = tp.isSackReneg;
  const { seq, ackSeq: ack } = skb.tcpCb;
  const priorPackets = tp.packetsOut;
  const priorDelivered = tp.delivered;
  const priorLost = tp.lost;
  let flag = ackFlag;

  if (before(ack, priorSndUna)) return tcpAckOld(sk, skb, priorSndUna, flag, state);
  if (after(ack, tp.sndNxt)) {
    // RFC 9293 3.10.7.4: an ACK of what was not sent is answered by one; Linux limits their rate.
    if ((ackFlag & FLAG_NO_CHALLENGE_ACK) === 0) tcpSendChallengeAck(sk, false);
    return -SKB_DROP_REASON_TCP_ACK_UNSENT_DATA;
  }
  if (after(ack, priorSndUna)) {
    flag |= FLAG_SND_UNA_ADVANCED;
    tp.icskRetransmits = 0;
  }
  const priorFack = tcpIsSack(tp) ? tcpHighestSackSeq(tp) : tp.sndUna;
  rs.priorInFlight = tcpPacketsInFlight(tp);
  // Only now is the segment known to be in the window.
  if ((flag & FLAG_UPDATE_TS_RECENT) !== 0) flag |= tcpReplaceTsRecent(tp, seq);

  if ((flag & (FLAG_SLOWPATH | FLAG_SND_UNA_ADVANCED)) === FLAG_SND_UNA_ADVANCED) {
    // Header prediction has seen the same window, and nothing but snd_una moves.
    tcpUpdateWl(tp, seq);
    tcpSndUnaUpdate(tp, ack);
    flag |= FLAG_WIN_UPDATE;
    netIncStats(sk.net, LINUX_MIB_TCPHPACKS);
  } else {
    flag = tcpAckSlow(sk, skb, priorSndUna, flag, state);
  }
  tcpEcnAcceptCwr(tp, skb);

  // Something came through: whatever ICMP reported is over.
  sk.skErrSoft = 0;
  tp.icskProbesOut = 0;
  tp.rcvTstamp = tcpJiffies32(sk);
  if (priorPackets === 0) {
    tcpAckNoQueue(sk, skb, priorSndUna, priorDelivered, flag, state);
    return 1;
  }

  const eceAck = (flag & FLAG_ECE) !== 0;
  flag |= tcpCleanRtxQueue(sk, priorFack, priorSndUna, eceAck, state);
  tcpRackUpdateReoWnd(sk, rs);
  const ecnCount = tcpAckEcn(sk, skb, priorDelivered, flag, state);
  if (ecnCount > 0) flag |= FLAG_ECE;
  tcpInAckEvent(tp, flag);
  if (tp.tlpHighSeq !== 0) tcpProcessTlpAck(sk, ack, flag);

  if (tcpAckIsDubious(tp, flag)) {
    let numDupack = 0;
    if ((flag & (FLAG_SND_UNA_ADVANCED | FLAG_NOT_DUP | FLAG_DSACKING_ACK)) === 0) {
      // The backlog may have joined several pure ACKs to one.
      numDupack = (flag & FLAG_DATA) !== 0 ? 1 : Math.max(1, skb.shinfo.gsoSegs);
    }
    flag = tcpFastretransAlert(sk, priorSndUna, numDupack, flag, state);
  }
  if ((flag & FLAG_SET_XMIT_TIMER) !== 0) tcpSetXmitTimer(sk);
  if ((flag & FLAG_FORWARD_PROGRESS) !== 0 || (flag & FLAG_NOT_DUP) === 0) skDstConfirm(sk);

  const delivered = tcpNewlyDelivered(sk, priorDelivered, ecnCount, flag);
  rs.isAckDelayed = (flag & FLAG_ACK_MAYBE_DELAYED) !== 0;
  tcpRateGen(sk, delivered, tp.lost - priorLost, isSackReneg, rs);
  tcpCongControl(sk, ack, delivered, flag, rs);
  tcpXmitRecovery(sk, state.rexmit);
  return 1;
}

/**
 * Processes the acknowledgment of a segment. 1: done; 0: it was old; negative: the drop reason with
 * its sign turned.
 * @kernel tcp_ack net/ipv4/tcp_input.c
 */
export function tcpAck(sk: Sock, skb: SkBuff, flag: number): number {
  const machine = sk.net.machine;
  const state = tcpSacktagStateGet(machine);
  const ret = __tcpAck(sk, skb, flag, state);
  tcpSacktagStatePut(machine);
  return ret;
}
