/**
 * The TCP state machine for incoming segments: the fast path of an open connection by header
 * prediction, and the slow path of all states.
 *
 * Counterpart: net/ipv4/tcp_input.c, split: options, validation, ACK, SACK, loss, RTT, cwnd, data,
 * out of order, buffers, quick ACKs are in tcp_input_*.ts. RFC 9293#3.10.7.
 */

import { __skbPull, type SkBuff } from '#include/linux/skbuff.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import { skMarkNapiId } from '#include/net/busy_poll.ts';
import {
  ICSK_TIME_DACK,
  ICSK_TIME_RETRANS,
  type RequestSock,
} from '#include/net/inet_connection_sock.ts';
import { netIncStats, tcpIncStats } from '#include/net/ip.ts';
import { SOCK_DEAD, SOCK_KEEPOPEN, type Sock } from '#include/net/sock.ts';
import {
  TCP_DELACK_MAX,
  TCP_MAX_QUICKACKS,
  TCP_TIMEOUT_MIN,
  TCP_TIMEWAIT_LEN,
  tcpSk,
} from '#include/net/tcp.ts';
import { tcpAoEstablished, tcpAoFinishConnect } from '#include/net/tcp_auth_ops.ts';
import {
  tcpAccecnReflectorFlags,
  tcpAccecnThirdAck,
  tcpEcnModeAccecn,
  tcpEcnModeAny,
  tcpEcnRcvSyn,
  tcpEcnRcvSynack,
  tcpEcnReceivedCounters,
  tcpEcnReceivedCountersPayload,
} from '#include/net/tcp_ecn.ts';
import { TcpFastopenCookie } from '#include/net/tcp_fastopen.ts';
import { tcpRcvFastopenSynack, tcpRcvSynrecvStateFastopen } from '#include/net/tcp_fastopen_ops.ts';
import {
  __tcpFastPathOn,
  keepaliveTimeWhen,
  tcpClearOptions,
  tcpFastPathOn,
  tcpFinTime,
  tcpInitWl,
  tcpJiffies32,
  tcpPawsReject,
  tcpReceiveWindow,
  tcpRtoMax,
  tcpSndCwndSet,
  tcpTimeStampTs,
  tcpUpdateWl,
} from '#include/net/tcp_inlines.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { after, before, between } from '#lib/tcp_seq.ts';
import { view } from '#mm/memory.ts';
import { __kfreeSkb, consumeSkb, kfreeSkbPartial } from '#net/core/skbuff.ts';
import { __skbChecksumComplete, skbCsumUnnecessary } from '#net/core/skbuff_checksum.ts';
import { __skDstGet, skDstConfirm, sockFlag, sockOwnedByUser } from '#net/core/sock.ts';
import {
  inetCskAckScheduled,
  inetCskInPingpongMode,
  inetCskResetKeepaliveTimer,
  inetCskResetXmitTimer,
  inetCskScheduleAck,
  tcpResetXmitTimer,
} from '#net/ipv4/inet_connection_sock_timer.ts';
import { tcpShutdown } from '#net/ipv4/tcp_close.ts';
import { tcpInitCongestionControl } from '#net/ipv4/tcp_cong.ts';
import { tcpAck } from '#net/ipv4/tcp_input_ack.ts';
import { tcpSendChallengeAck } from '#net/ipv4/tcp_input_challenge.ts';
import { tcpCaOps } from '#net/ipv4/tcp_input_cwnd.ts';
import {
  tcpCleanupSkb,
  tcpDataQueue,
  tcpDataReady,
  tcpQueueRcv,
  tcpReset,
  tcpUrg,
} from '#net/ipv4/tcp_input_data.ts';
import {
  FLAG_DATA,
  FLAG_NO_CHALLENGE_ACK,
  FLAG_SLOWPATH,
  FLAG_TS_PROGRESS,
  FLAG_UPDATE_TS_RECENT,
} from '#net/ipv4/tcp_input_flags.ts';
import { tcpDropReason } from '#net/ipv4/tcp_input_ofo.ts';
import {
  tcpParseAlignedTimestamp,
  tcpParseOptions,
  tcpStoreTsRecent,
} from '#net/ipv4/tcp_input_options.ts';
import {
  __tcpAckSndCheck,
  tcpAckSndCheck,
  tcpDataSndCheck,
  tcpEnterQuickackMode,
  tcpEventDataRecv,
} from '#net/ipv4/tcp_input_quickack.ts';
import {
  tcpInitBufferSpace,
  tcpInitializeRcvMss,
  tcpRcvRttMeasureTs,
} from '#net/ipv4/tcp_input_rcvbuf.ts';
import { tcpInitCwnd, tcpSynackRttMeas, tcpUpdatePacingRate } from '#net/ipv4/tcp_input_rtt.ts';
import { tcpValidateIncoming } from '#net/ipv4/tcp_input_validate.ts';
import { tcpInitMetrics, tcpUpdateMetrics } from '#net/ipv4/tcp_metrics_init.ts';
import { TcpMinisockOut, tcpTimeWait } from '#net/ipv4/tcp_minisocks.ts';
import { tcpCheckReq } from '#net/ipv4/tcp_minisocks_req.ts';
import { tcpMstampRefresh } from '#net/ipv4/tcp_output.ts';
import { __tcpSendAck, tcpSendSynack } from '#net/ipv4/tcp_output_ctl.ts';
import { tcpMtupInit, tcpSyncMss } from '#net/ipv4/tcp_output_mss.ts';
import { tcpDone, tcpSetState } from '#net/ipv4/tcp_state.ts';
import {
  SKB_CONSUMED,
  SKB_DROP_REASON_NOT_SPECIFIED,
  SKB_DROP_REASON_PKT_TOO_SMALL,
  SKB_DROP_REASON_TCP_ABORT_ON_DATA,
  SKB_DROP_REASON_TCP_CLOSE,
  SKB_DROP_REASON_TCP_CSUM,
  SKB_DROP_REASON_TCP_FASTOPEN,
  SKB_DROP_REASON_TCP_FLAGS,
  SKB_DROP_REASON_TCP_INVALID_ACK_SEQUENCE,
  SKB_DROP_REASON_TCP_OLD_ACK,
  SKB_DROP_REASON_TCP_RESET,
  SKB_DROP_REASON_TCP_RFC7323_PAWS,
} from '#uapi/net_dropreason.ts';
import {
  LINUX_MIB_PAWSACTIVEREJECTED,
  LINUX_MIB_TCPABORTONDATA,
  LINUX_MIB_TCPHPHITS,
  TCP_MIB_CSUMERRORS,
  TCP_MIB_INERRS,
} from '#uapi/snmp.ts';
import { RCV_SHUTDOWN, SEND_SHUTDOWN } from '#uapi/socket.ts';
import {
  TCP_CLOSE,
  TCP_CLOSE_WAIT,
  TCP_CLOSING,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT1,
  TCP_FIN_WAIT2,
  TCP_LAST_ACK,
  TCP_LISTEN,
  TCP_SYN_RECV,
  TCP_SYN_SENT,
  TCP_TIME_WAIT,
  TCPHDR_ACK,
  TCPHDR_FIN,
  TCPHDR_RST,
  TCPHDR_SYN,
  TCPOLEN_TSTAMP_ALIGNED,
  tcphdr,
} from '#uapi/tcp.ts';

/** Bits of the header's fourth word that prediction ignores: reserved ones and PSH. */
const TCP_HP_BITS = ~(0x0e000000 | 0x00080000);

// ---- Established -------------------------------------------------------------------------------

/** What the fast path made of a segment: not for it, done, or where the slow path takes over. */
const FAST_NO = 0;
const FAST_DONE = 1;
/** Checked, but there is no memory at hand: go on at the ACK. */
const FAST_STEP5 = 2;
const FAST_CSUM = 3;
const FAST_SHORT = 4;

/** Data in order, nothing unusual. @kernel tcp_rcv_established net/ipv4/tcp_input.c */
function tcpRcvFastData(sk: Sock, skb: SkBuff, headerLen: number, hasTstamp: boolean): number {
  const tp = tcpSk(sk);
  if (tcpChecksumComplete(skb)) return FAST_CSUM;
  // Reaches beyond what was offered: the full check decides.
  if (after(skb.tcpCb.endSeq, (tp.rcvNxt + tcpReceiveWindow(tp)) | 0)) return FAST_NO;
  if (skb.truesize > sk.skForwardAlloc) return FAST_STEP5;
  let flag = 0;
  if (hasTstamp && tp.rcvNxt === tp.rcvWup) flag = tcpReplaceTsRecentFast(tp);
  tcpRcvRttMeasureTs(sk, skb);
  netIncStats(sk.net, LINUX_MIB_TCPHPHITS);

  tcpCleanupSkb(skb);
  tcpEcnReceivedCounters(sk, skb, skb.len - headerLen);
  __skbPull(skb, headerLen);
  const eaten = tcpQueueRcv(sk, skb);
  tcpEventDataRecv(sk, skb);
  let ackDue = true;
  if (skb.tcpCb.ackSeq !== tp.sndUna) {
    tcpAck(sk, skb, flag | FLAG_DATA);
    tcpDataSndCheck(sk);
    ackDue = inetCskAckScheduled(sk);
  } else {
    tcpUpdateWl(tp, skb.tcpCb.seq);
  }
  if (ackDue) __tcpAckSndCheck(sk, false);
  if (eaten) kfreeSkbPartial(skb);
  tcpDataReady(sk);
  return FAST_DONE;
}

/**
 * A predicted header's timestamp is newer by the caller's check. @kernel __tcp_replace_ts_recent net/ipv4/tcp_input.c
 */
function tcpReplaceTsRecentFast(tp: TcpSock): number {
  const delta = (tp.rxOpt.rcvTsval - tp.rxOpt.tsRecent) | 0;
  tcpStoreTsRecent(tp);
  return delta > 0 ? FLAG_TS_PROGRESS : 0;
}

/**
 * Header prediction: the segment is what an undisturbed flow in one direction brings, either a pure
 * ACK of our data, or the next data with nothing but an ACK. FAST_*; anything but FAST_DONE must not
 * have changed what the slow path would do again.
 * @kernel tcp_rcv_established net/ipv4/tcp_input.c
 */
function tcpRcvFast(sk: Sock, skb: SkBuff, th: number): number {
  const tp = tcpSk(sk);
  const scb = skb.tcpCb;
  if (
    (view.getInt32(th + 12) & TCP_HP_BITS) !== tp.predFlags ||
    scb.seq !== tp.rcvNxt ||
    after(scb.ackSeq, tp.sndNxt)
  ) {
    return FAST_NO;
  }
  // The prediction covers the header's length, so this is the segment's too.
  const headerLen = tp.tcpHeaderLen;
  const hasTstamp = headerLen === tcphdr.LEN + TCPOLEN_TSTAMP_ALIGNED;
  if (hasTstamp) {
    if (!tcpParseAlignedTimestamp(tp, th)) return FAST_NO;
    if (((tp.rxOpt.rcvTsval - tp.rxOpt.tsRecent) | 0) < 0) return FAST_NO;
  }
  if (skb.len > headerLen) return tcpRcvFastData(sk, skb, headerLen, hasTstamp);
  if (skb.len < headerLen) return FAST_SHORT;

  // A pure ACK; such packets were summed on entry.
  const flag = hasTstamp && tp.rcvNxt === tp.rcvWup ? tcpReplaceTsRecentFast(tp) : 0;
  tcpEcnReceivedCounters(sk, skb, 0);
  tcpAck(sk, skb, flag);
  __kfreeSkb(skb, SKB_CONSUMED);
  tcpDataSndCheck(sk);
  tp.rcvRttLastTsecr = tp.rxOpt.rcvTsecr;
  return FAST_DONE;
}

/**
 * A segment for an established connection. Consumes `skb`.
 * @kernel tcp_rcv_established net/ipv4/tcp_input.c
 */
export function tcpRcvEstablished(sk: Sock, skb: SkBuff): void {
  const tp = tcpSk(sk);
  const th = skb.transportHeader;
  if (tracepointKey.enabled) sk.net.machine.trace.tcp.tcpProbe.probe?.(tp, skb);
  tcpMstampRefresh(tp);
  if (sk.skRxDst === null && tp.icskAfOps !== null) tp.icskAfOps.skRxDstSet(sk, skb);
  tp.rxOpt.sawTstamp = false;
  tp.rxOpt.accecn = 0;

  const fast = tcpRcvFast(sk, skb, th);
  if (fast === FAST_DONE) return;
  if (fast === FAST_SHORT) {
    tcpIncStats(sk.net, TCP_MIB_INERRS);
    tcpDropReason(sk, skb, SKB_DROP_REASON_PKT_TOO_SMALL, 'tcp_rcv_established');
    return;
  }
  if (fast !== FAST_STEP5) {
    if (fast === FAST_CSUM || skb.len < tcphdr.hdrlen(view, th) || tcpChecksumComplete(skb)) {
      tcpRcvBadCsum(sk, skb);
      return;
    }
    if ((tcphdr.flags(view, th) & (TCPHDR_ACK | TCPHDR_RST | TCPHDR_SYN)) === 0) {
      tcpDropReason(sk, skb, SKB_DROP_REASON_TCP_FLAGS, 'tcp_rcv_established');
      return;
    }
    if (!tcpValidateIncoming(sk, skb, th, true)) return;
  }

  tcpEcnReceivedCountersPayload(sk, skb);
  const reason = tcpAck(sk, skb, FLAG_SLOWPATH | FLAG_UPDATE_TS_RECENT);
  if (reason < 0) {
    tcpDropReason(sk, skb, -reason, 'tcp_rcv_established');
    return;
  }
  tcpRcvRttMeasureTs(sk, skb);
  tcpUrg(sk, skb, th);
  tcpDataQueue(sk, skb);
  tcpDataSndCheck(sk);
  tcpAckSndCheck(sk);
}

/** @kernel tcp_checksum_complete include/net/tcp.h */
function tcpChecksumComplete(skb: SkBuff): boolean {
  return !skbCsumUnnecessary(skb) && __skbChecksumComplete(skb) !== 0;
}

/** @kernel tcp_rcv_established net/ipv4/tcp_input.c */
function tcpRcvBadCsum(sk: Sock, skb: SkBuff): void {
  if (tracepointKey.enabled) sk.net.machine.trace.tcp.tcpBadCsum.probe?.(skb);
  tcpIncStats(sk.net, TCP_MIB_CSUMERRORS);
  tcpIncStats(sk.net, TCP_MIB_INERRS);
  tcpDropReason(sk, skb, SKB_DROP_REASON_TCP_CSUM, 'tcp_rcv_established');
}

// ---- Entering the established state ------------------------------------------------------------

/**
 * Everything that waits for the handshake to be over: route, window, congestion control, buffers.
 * @kernel tcp_init_transfer net/ipv4/tcp_input.c
 */
export function tcpInitTransfer(sk: Sock): void {
  const tp = tcpSk(sk);
  tcpMtupInit(sk);
  if (tp.icskAfOps !== null) tp.icskAfOps.rebuildHeader(sk);
  tcpInitMetrics(sk);
  // A handshake that needed retransmission, unless that was spurious, starts with one segment.
  if (tp.totalRetrans > 1 && tp.undoMarker !== 0) tcpSndCwndSet(tp, 1);
  else tcpSndCwndSet(tp, tcpInitCwnd(tp, __skDstGet(sk)));
  tp.sndCwndStamp = tcpJiffies32(sk);
  if (!tp.icskCaInitialized) tcpInitCongestionControl(sk);
  tcpInitBufferSpace(sk);
}

/** Our SYN was answered. @kernel tcp_finish_connect net/ipv4/tcp_input.c */
export function tcpFinishConnect(sk: Sock, skb: SkBuff | null): void {
  const tp = tcpSk(sk);
  tcpSetState(sk, TCP_ESTABLISHED);
  if (skb !== null) tcpAoFinishConnect(sk, skb);
  tp.ackLrcvtime = tcpJiffies32(sk);
  if (skb !== null) {
    if (tp.icskAfOps !== null) tp.icskAfOps.skRxDstSet(sk, skb);
    skMarkNapiId(sk, skb);
  }
  tcpInitTransfer(sk);
  // Or the first data would find the connection idle since the epoch.
  tp.lsndtime = tcpJiffies32(sk);
  if (sockFlag(sk, SOCK_KEEPOPEN)) inetCskResetKeepaliveTimer(sk, keepaliveTimeWhen(tp));
  if (tp.rxOpt.sndWscale === 0) __tcpFastPathOn(tp, tp.sndWnd);
  else tp.predFlags = 0;
}

/** The SYN timed out, but the echo shows that the first one arrived. @kernel tcp_try_undo_spurious_syn net/ipv4/tcp_input.c */
function tcpTryUndoSpuriousSyn(tp: TcpSock): void {
  const synStamp = tp.retransStamp;
  if (
    tp.undoMarker !== 0 &&
    synStamp !== 0 &&
    tp.rxOpt.sawTstamp &&
    synStamp === tp.rxOpt.rcvTsecr
  ) {
    tp.undoMarker = 0;
  }
}

// ---- SYN-SENT ----------------------------------------------------------------------------------

/** Forgets what the options of a segment that did not count had set. */
function tcpSynsentUndo(tp: TcpSock, savedClamp: number): void {
  tcpClearOptions(tp.rxOpt);
  tp.rxOpt.mssClamp = savedClamp;
}

/**
 * Is the ACK of this segment in SYN-SENT acceptable? 0, or the reason to reset its sender.
 * @kernel tcp_rcv_synsent_state_process net/ipv4/tcp_input.c
 */
function tcpSynsentAckCheck(sk: Sock, skb: SkBuff): number {
  const tp = tcpSk(sk);
  const ackSeq = skb.tcpCb.ackSeq;
  if (!after(ackSeq, tp.sndUna) || after(ackSeq, tp.sndNxt)) {
    // From an old connection: once the peer has been reset, a new SYN will do.
    if (tp.icskRetransmits === 0) {
      inetCskResetXmitTimer(sk, ICSK_TIME_RETRANS, TCP_TIMEOUT_MIN, tcpRtoMax(sk));
    }
    return SKB_DROP_REASON_TCP_INVALID_ACK_SEQUENCE;
  }
  if (
    tp.rxOpt.sawTstamp &&
    tp.rxOpt.rcvTsecr !== 0 &&
    !between(tp.rxOpt.rcvTsecr, tp.retransStamp, tcpTimeStampTs(tp))
  ) {
    netIncStats(sk.net, LINUX_MIB_PAWSACTIVEREJECTED);
    return SKB_DROP_REASON_TCP_RFC7323_PAWS;
  }
  return 0;
}

/**
 * SYN-ACK for our SYN: the connection is established.
 * @kernel tcp_rcv_synsent_state_process net/ipv4/tcp_input.c
 */
function tcpRcvSynsentSynack(
  sk: Sock,
  skb: SkBuff,
  th: number,
  foc: TcpFastopenCookie | null,
): number {
  const tp = tcpSk(sk);
  const { seq } = skb.tcpCb;
  if (tcpEcnModeAny(tp)) tcpEcnRcvSynack(sk, skb, th);
  tcpInitWl(tp, seq);
  tcpTryUndoSpuriousSyn(tp);
  tcpAck(sk, skb, FLAG_SLOWPATH);

  tp.rcvNxt = (seq + 1) | 0;
  tp.rcvWup = tp.rcvNxt;
  // The window of a SYN is never scaled.
  tp.sndWnd = tcphdr.window(view, th);
  if (!tp.rxOpt.wscaleOk) {
    tp.rxOpt.sndWscale = 0;
    tp.rxOpt.rcvWscale = 0;
    tp.windowClamp = Math.min(tp.windowClamp, 65535);
  }
  if (tp.rxOpt.sawTstamp) {
    tp.rxOpt.tstampOk = true;
    tp.tcpHeaderLen = tcphdr.LEN + TCPOLEN_TSTAMP_ALIGNED;
    tp.advmss -= TCPOLEN_TSTAMP_ALIGNED;
    tcpStoreTsRecent(tp);
  } else {
    tp.tcpHeaderLen = tcphdr.LEN;
  }
  tcpSyncMss(sk, tp.icskPmtuCookie);
  tcpInitializeRcvMss(sk);
  tp.copiedSeq = tp.rcvNxt;
  tcpFinishConnect(sk, skb);
  const fastopenFail = foc !== null && tcpRcvFastopenSynack(sk, skb, foc);
  if (!sockFlag(sk, SOCK_DEAD)) sk.skStateChange(sk);
  // The data of the SYN goes again, with the ACK.
  if (fastopenFail) return -1;

  if (
    sk.skWritePending !== 0 ||
    (tp.icskAcceptQueueOrNull?.rskqDeferAccept ?? 0) !== 0 ||
    inetCskInPingpongMode(sk)
  ) {
    // Data will follow soon and can carry the ACK.
    inetCskScheduleAck(sk);
    tcpEnterQuickackMode(sk, TCP_MAX_QUICKACKS);
    tcpResetXmitTimer(sk, ICSK_TIME_DACK, TCP_DELACK_MAX, false);
    __kfreeSkb(skb, SKB_CONSUMED);
    return 0;
  }
  const ace = tcpEcnModeAccecn(tp) ? tcpAccecnReflectorFlags(tp.synEctRcv) : 0;
  __tcpSendAck(sk, tp.rcvNxt, ace);
  return -1;
}

/**
 * SYN without ACK: both sides opened at the same time (or the socket connects to itself).
 * @kernel tcp_rcv_synsent_state_process net/ipv4/tcp_input.c
 * @rfc 9293#3.5
 */
function tcpRcvSynsentCrossed(sk: Sock, skb: SkBuff, th: number): void {
  const tp = tcpSk(sk);
  const { seq } = skb.tcpCb;
  tcpSetState(sk, TCP_SYN_RECV);
  if (tp.rxOpt.sawTstamp) {
    tp.rxOpt.tstampOk = true;
    tcpStoreTsRecent(tp);
    tp.tcpHeaderLen = tcphdr.LEN + TCPOLEN_TSTAMP_ALIGNED;
  } else {
    tp.tcpHeaderLen = tcphdr.LEN;
  }
  tp.rcvNxt = (seq + 1) | 0;
  tp.copiedSeq = tp.rcvNxt;
  tp.rcvWup = tp.rcvNxt;
  tp.sndWnd = tcphdr.window(view, th);
  tp.sndWl1 = seq;
  tp.maxWindow = tp.sndWnd;
  if (tp.aoInfo !== null) {
    tp.aoInfo.risn = seq;
    tp.aoInfo.rcvSne = 0;
  }
  tcpEcnRcvSyn(tp, skb, th);
  tcpMtupInit(sk);
  tcpSyncMss(sk, tp.icskPmtuCookie);
  tcpInitializeRcvMss(sk);
  tcpSendSynack(sk);
  __kfreeSkb(skb, SKB_CONSUMED);
}

/**
 * 0: `skb` is consumed. -1: established, and the caller frees `skb` after urgent data. Positive: the
 * reason for which the caller is to reset the sender.
 * @kernel tcp_rcv_synsent_state_process net/ipv4/tcp_input.c
 * @rfc 9293#3.10.7.3
 */
function tcpRcvSynsentStateProcess(sk: Sock, skb: SkBuff, th: number): number {
  const tp = tcpSk(sk);
  const savedClamp = tp.rxOpt.mssClamp;
  const flags = tcphdr.flags(view, th);
  const foc = tp.synFastopen || tp.synData ? new TcpFastopenCookie(-1) : null;
  tcpParseOptions(sk.net, skb, tp.rxOpt, false, foc);
  if (tp.rxOpt.sawTstamp && tp.rxOpt.rcvTsecr !== 0) {
    tp.rxOpt.rcvTsecr = (tp.rxOpt.rcvTsecr - tp.tsoffset) | 0;
  }

  let drop = SKB_DROP_REASON_TCP_FLAGS;
  if ((flags & TCPHDR_ACK) !== 0) {
    const reason = tcpSynsentAckCheck(sk, skb);
    if (reason !== 0) {
      tcpSynsentUndo(tp, savedClamp);
      return reason;
    }
    if ((flags & TCPHDR_RST) !== 0) {
      tcpReset(sk);
      __kfreeSkb(skb, SKB_CONSUMED);
      return 0;
    }
    if ((flags & TCPHDR_SYN) !== 0) return tcpRcvSynsentSynack(sk, skb, th, foc);
  } else if ((flags & TCPHDR_RST) !== 0) {
    drop = SKB_DROP_REASON_TCP_RESET;
  } else if (
    tp.rxOpt.tsRecentStamp !== 0 &&
    tp.rxOpt.sawTstamp &&
    tcpPawsReject(sk.net.machine, tp.rxOpt, false)
  ) {
    drop = SKB_DROP_REASON_TCP_RFC7323_PAWS;
  } else if ((flags & TCPHDR_SYN) !== 0) {
    tcpRcvSynsentCrossed(sk, skb, th);
    return 0;
  }
  tcpSynsentUndo(tp, savedClamp);
  tcpDropReason(sk, skb, drop, 'tcp_rcv_synsent_state_process');
  return 0;
}

// ---- All other states --------------------------------------------------------------------------

/** The ACK of our SYN-ACK. @kernel tcp_rcv_state_process net/ipv4/tcp_input.c */
function tcpRcvSynRecv(sk: Sock, skb: SkBuff, th: number): void {
  const tp = tcpSk(sk);
  // The delivery of a SYN-ACK is not seen by tcp_ack().
  tp.delivered++;
  if (tp.srttUs === 0) tcpSynackRttMeas(sk, tp.fastopenRsk);
  if (tp.rxOpt.tstampOk) tp.advmss -= TCPOLEN_TSTAMP_ALIGNED;
  if (tp.fastopenRsk !== null) {
    tcpRcvSynrecvStateFastopen(sk);
  } else {
    tcpTryUndoSpuriousSyn(tp);
    tp.retransStamp = 0;
    tcpInitTransfer(sk);
    tp.copiedSeq = tp.rcvNxt;
  }
  tcpAoEstablished(sk);
  tcpSetState(sk, TCP_ESTABLISHED);
  sk.skStateChange(sk);

  tp.sndUna = skb.tcpCb.ackSeq;
  tp.sndWnd = tcphdr.window(view, th) * (1 << tp.rxOpt.sndWscale);
  tcpInitWl(tp, skb.tcpCb.seq);
  if (tcpCaOps(tp).congControl === null) tcpUpdatePacingRate(sk);
  tp.lsndtime = tcpJiffies32(sk);
  tcpInitializeRcvMss(sk);
  if (tcpEcnModeAccecn(tp)) tcpAccecnThirdAck(tp, skb, tp.synEctSnt);
  tcpFastPathOn(tp);
  if ((sk.skShutdown & SEND_SHUTDOWN) !== 0) tcpShutdown(sk, SEND_SHUTDOWN);
}

/** Has the peer sent data that nobody can read any more? */
function tcpDataAfterClose(tp: TcpSock, skb: SkBuff, th: number): boolean {
  const { seq, endSeq } = skb.tcpCb;
  return endSeq !== seq && after((endSeq - tcphdr.fin(view, th)) | 0, tp.rcvNxt);
}

/** What a state step tells its caller, beside a drop reason (positive). */
const STEP_GO_ON = 0;
const STEP_CONSUMED = -1;

/**
 * Our FIN may have been acknowledged. STEP_* or a drop reason.
 * @kernel tcp_rcv_state_process net/ipv4/tcp_input.c
 */
function tcpRcvFinWait1(sk: Sock, skb: SkBuff, th: number): number {
  const tp = tcpSk(sk);
  if (tp.fastopenRsk !== null) tcpRcvSynrecvStateFastopen(sk);
  if (tp.sndUna !== tp.writeSeq) return STEP_GO_ON;
  tcpSetState(sk, TCP_FIN_WAIT2);
  sk.skShutdown |= SEND_SHUTDOWN;
  skDstConfirm(sk);
  if (!sockFlag(sk, SOCK_DEAD)) {
    // Somebody may linger in close().
    sk.skStateChange(sk);
    return STEP_GO_ON;
  }
  if (tp.linger2 < 0 || tcpDataAfterClose(tp, skb, th)) {
    tcpDone(sk);
    netIncStats(sk.net, LINUX_MIB_TCPABORTONDATA);
    return SKB_DROP_REASON_TCP_ABORT_ON_DATA;
  }
  const tmo = tcpFinTime(sk);
  if (tmo > TCP_TIMEWAIT_LEN) {
    inetCskResetKeepaliveTimer(sk, tmo - TCP_TIMEWAIT_LEN);
  } else if (tcphdr.fin(view, th) !== 0 || sockOwnedByUser(sk)) {
    // The FIN of this segment is still to be seen by the full socket.
    inetCskResetKeepaliveTimer(sk, tmo);
  } else {
    tcpTimeWait(sk, TCP_FIN_WAIT2, tmo);
    return STEP_CONSUMED;
  }
  return STEP_GO_ON;
}

/** What the ACK means for the state. STEP_* or a drop reason. @kernel tcp_rcv_state_process net/ipv4/tcp_input.c */
function tcpRcvStateAck(sk: Sock, skb: SkBuff, th: number): number {
  const tp = tcpSk(sk);
  switch (sk.skcState) {
    case TCP_SYN_RECV:
      tcpRcvSynRecv(sk, skb, th);
      return STEP_GO_ON;
    case TCP_FIN_WAIT1:
      return tcpRcvFinWait1(sk, skb, th);
    case TCP_CLOSING:
      if (tp.sndUna !== tp.writeSeq) return STEP_GO_ON;
      tcpTimeWait(sk, TCP_TIME_WAIT, 0);
      return STEP_CONSUMED;
    case TCP_LAST_ACK:
      if (tp.sndUna !== tp.writeSeq) return STEP_GO_ON;
      tcpUpdateMetrics(sk);
      tcpDone(sk);
      return STEP_CONSUMED;
    default:
      return STEP_GO_ON;
  }
}

/**
 * The payload by state. 1: queued (`skb` is consumed), 0: not wanted, more: drop reason of a
 * connection that was reset.
 * @kernel tcp_rcv_state_process net/ipv4/tcp_input.c
 */
function tcpRcvStateData(sk: Sock, skb: SkBuff, th: number): number {
  const tp = tcpSk(sk);
  switch (sk.skcState) {
    case TCP_CLOSE_WAIT:
    case TCP_CLOSING:
    case TCP_LAST_ACK:
      if (!before(skb.tcpCb.seq, tp.rcvNxt)) return 0;
      break;
    case TCP_FIN_WAIT1:
    case TCP_FIN_WAIT2:
      break;
    case TCP_ESTABLISHED:
      tcpDataQueue(sk, skb);
      return 1;
    default:
      return 0;
  }
  // Nobody will read it: RFC 1122#4.2.2.13 wants a reset, so that the peer learns of the loss.
  if ((sk.skShutdown & RCV_SHUTDOWN) !== 0 && tcpDataAfterClose(tp, skb, th)) {
    netIncStats(sk.net, LINUX_MIB_TCPABORTONDATA);
    tcpReset(sk);
    return SKB_DROP_REASON_TCP_ABORT_ON_DATA;
  }
  tcpDataQueue(sk, skb);
  return 1;
}

/**
 * LISTEN. 0 or the reason to reset the sender.
 * @kernel tcp_rcv_state_process net/ipv4/tcp_input.c
 * @rfc 9293#3.10.7.2
 */
function tcpRcvListen(sk: Sock, skb: SkBuff, th: number): number {
  const flags = tcphdr.flags(view, th);
  if ((flags & TCPHDR_ACK) !== 0) return SKB_DROP_REASON_TCP_FLAGS;
  let reason = SKB_DROP_REASON_TCP_FLAGS;
  if ((flags & TCPHDR_RST) !== 0) {
    reason = SKB_DROP_REASON_TCP_RESET;
  } else if ((flags & (TCPHDR_SYN | TCPHDR_FIN)) === TCPHDR_SYN) {
    const ops = tcpSk(sk).icskAfOps;
    if (ops !== null) ops.connRequest(sk, skb);
    consumeSkb(skb, 'tcp_rcv_state_process');
    return 0;
  }
  tcpDropReason(sk, skb, reason, 'tcp_rcv_state_process');
  return 0;
}

/** A segment for a Fast Open child that waits for the last ACK. False: dealt with as a request does. */
function tcpRcvFastopenReq(sk: Sock, skb: SkBuff, req: RequestSock): boolean {
  const out = new TcpMinisockOut();
  out.dropReason = SKB_DROP_REASON_TCP_FASTOPEN;
  if (tcpCheckReq(sk, skb, req, true, out) !== null) return true;
  tcpDropReason(sk, skb, out.dropReason, 'tcp_rcv_state_process');
  return false;
}

/**
 * A segment for a socket that is not established. 0: `skb` is consumed; else the reason for which the
 * caller is to reset the sender and drop it.
 * @kernel tcp_rcv_state_process net/ipv4/tcp_input.c
 * @rfc 9293#3.10.7
 */
export function tcpRcvStateProcess(sk: Sock, skb: SkBuff): number {
  const tp = tcpSk(sk);
  const th = skb.transportHeader;
  switch (sk.skcState) {
    case TCP_CLOSE:
      tcpDropReason(sk, skb, SKB_DROP_REASON_TCP_CLOSE, 'tcp_rcv_state_process');
      return 0;
    case TCP_LISTEN:
      return tcpRcvListen(sk, skb, th);
    case TCP_SYN_SENT: {
      tp.rxOpt.sawTstamp = false;
      tp.rxOpt.accecn = 0;
      tcpMstampRefresh(tp);
      const queued = tcpRcvSynsentStateProcess(sk, skb, th);
      if (queued >= 0) return queued;
      tcpUrg(sk, skb, th);
      __kfreeSkb(skb, SKB_CONSUMED);
      tcpDataSndCheck(sk);
      return 0;
    }
  }

  tcpMstampRefresh(tp);
  tp.rxOpt.sawTstamp = false;
  tp.rxOpt.accecn = 0;
  const req = tp.fastopenRsk;
  if (req !== null && !tcpRcvFastopenReq(sk, skb, req)) return 0;
  if ((tcphdr.flags(view, th) & (TCPHDR_ACK | TCPHDR_RST | TCPHDR_SYN)) === 0) {
    tcpDropReason(sk, skb, SKB_DROP_REASON_TCP_FLAGS, 'tcp_rcv_state_process');
    return 0;
  }
  if (!tcpValidateIncoming(sk, skb, th, false)) return 0;

  const acked = tcpAck(sk, skb, FLAG_SLOWPATH | FLAG_UPDATE_TS_RECENT | FLAG_NO_CHALLENGE_ACK);
  if (acked <= 0) {
    if (sk.skcState === TCP_SYN_RECV) return acked === 0 ? SKB_DROP_REASON_TCP_OLD_ACK : -acked;
    // While closing, an old ACK does no harm.
    if (acked < 0) {
      tcpSendChallengeAck(sk, false);
      tcpDropReason(sk, skb, -acked, 'tcp_rcv_state_process');
      return 0;
    }
  }
  const step = tcpRcvStateAck(sk, skb, th);
  if (step === STEP_CONSUMED) {
    __kfreeSkb(skb, SKB_CONSUMED);
    return 0;
  }
  if (step !== STEP_GO_ON) return step;

  tcpUrg(sk, skb, th);
  const queued = tcpRcvStateData(sk, skb, th);
  if (queued > 1) return queued;
  // A FIN may have moved the socket to TIME-WAIT.
  if (sk.skcState !== TCP_CLOSE) {
    tcpDataSndCheck(sk);
    tcpAckSndCheck(sk);
  }
  if (queued === 0) {
    tcpDropReason(sk, skb, SKB_DROP_REASON_NOT_SPECIFIED, 'tcp_rcv_state_process');
  }
  return 0;
}
