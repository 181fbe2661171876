/**
 * Segments without data: SYN-ACK, FIN, RST, ACK and window probes.
 *
 * Counterpart of the control part of net/ipv4/tcp_output.c. RFC 9293#3.5-3.8, 1122#4.2.3.2 (delayed
 * ACK), 5961.
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  __skbHeaderRelease,
  CHECKSUM_PARTIAL,
  skbCloned,
  skbReserve,
  skbResetTransportHeader,
  skbSetDeliveryTime,
  skbSetHash,
} from '#include/linux/skbuff.ts';
import type { DstEntry } from '#include/net/dst.ts';
import { dstMetricAdvmss, dstRelease, skbDstSet } from '#include/net/dst.ts';
import { Flowi4 } from '#include/net/flow.ts';
import {
  ICSK_ACK_PUSHED,
  ICSK_ACK_SCHED,
  ICSK_ACK_TIMER,
  ICSK_TIME_DACK,
  ICSK_TIME_PROBE0,
  type RequestSock,
} from '#include/net/inet_connection_sock.ts';
import { netIncStats, tcpIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import {
  MAX_TCP_HEADER,
  TCP_ATO_MIN,
  TCP_DELACK_MAX,
  TCP_DELACK_MIN,
  TCP_NAGLE_OFF,
  TCP_RESOURCE_PROBE_INTERVAL,
  TCP_SYNACK_COOKIE,
  TCP_SYNACK_FASTOPEN,
  TCP_SYNACK_RETRANS,
  TCPHDR_ACK,
  TCPHDR_FIN,
  TCPHDR_PSH,
  TCPHDR_RST,
  TCPHDR_SYN,
  tcpSk,
} from '#include/net/tcp.ts';
import { tcpSynackHash, tcpSynackKey } from '#include/net/tcp_auth_ops.ts';
import { tcpEcnMakeSynack, tcpEcnSendSynack } from '#include/net/tcp_ecn.ts';
import type { TcpFastopenCookie } from '#include/net/tcp_fastopen.ts';
import {
  tcpMssClamp,
  tcpPassiveFastopen,
  tcpProbe0When,
  tcpRtoMax,
  tcpRtoMin,
  tcpSkbTimestampUs,
  tcpUnderMemoryPressure,
  tcpWndEnd,
} from '#include/net/tcp_inlines.ts';
import {
  skbRbLast,
  tcpHighestSackReplace,
  tcpRbtreeInsert,
  tcpRtxQueueHead,
  tcpSendHead,
  tcpSkbPcount,
  tcpWriteQueueEmpty,
  tcpWriteQueueTail,
} from '#include/net/tcp_queue.ts';
import { HZ } from '#kernel/param.ts';
import { timeBefore, timeBeforeEq, usecsToJiffies } from '#kernel/time/jiffies.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { before, between } from '#lib/tcp_seq.ts';
import { view } from '#mm/memory.ts';
import { allocSkb, allocSkbFclone, skbPush } from '#net/core/skbuff.ts';
import { skbCopy } from '#net/core/skbuff_copy.ts';
import { skbSetOwnerW } from '#net/core/sock.ts';
import { skForcedMemSchedule, skMemCharge, skWmemQueuedAdd } from '#net/core/sock_mem.ts';
import {
  inetCskInPingpongMode,
  inetCskResetDelackTimer,
  inetCskScheduleAck,
  tcpResetXmitTimer,
} from '#net/ipv4/inet_connection_sock_timer.ts';
import {
  __tcpTransmitSkb,
  tcpEventNewDataSent,
  tcpInitNondataSkb,
  tcpMstampRefresh,
  tcpQueueSkb,
  tcpTransmitSkb,
} from '#net/ipv4/tcp_output.ts';
import { TCP_FRAG_IN_WRITE_QUEUE, tcpFragment } from '#net/ipv4/tcp_output_frag.ts';
import { tcpCurrentMss, tcpSetSkbTsoSegs } from '#net/ipv4/tcp_output_mss.ts';
import { tcpOptionsWrite, tcpSynackOptions } from '#net/ipv4/tcp_output_options.ts';
import { __tcpPushPendingFrames } from '#net/ipv4/tcp_output_xmit.ts';
import { tcpRtxQueueUnlinkAndFree } from '#net/ipv4/tcp_state.ts';
import { EFAULT, ENOMEM } from '#uapi/errno.ts';
import {
  LINUX_MIB_TCPABORTFAILED,
  LINUX_MIB_TCPSYNRETRANS,
  LINUX_MIB_TCPWINPROBE,
  TCP_MIB_OUTRSTS,
  TCP_MIB_OUTSEGS,
  TCP_MIB_RETRANSSEGS,
} from '#uapi/snmp.ts';
import { SOCK_TXREHASH_ENABLED } from '#uapi/socket.ts';
import { TCP_CLOSE, TCP_ESTABLISHED, tcphdr } from '#uapi/tcp.ts';

const SKB_CLOCK_MONOTONIC = 1;
const TCPHDR_LEN = 20;
const PURE_ACK_TRUESIZE = 2;

/** Sequence number for a segment without data: never beyond the peer's window. @kernel tcp_acceptable_seq net/ipv4/tcp_output.c */
function tcpAcceptableSeq(sk: Sock): number {
  const tp = tcpSk(sk);
  const wndEnd = tcpWndEnd(tp);
  if (!before(wndEnd, tp.sndNxt)) return tp.sndNxt;
  // Rounding of a scaled window is no shrinking.
  const beyond = (tp.sndNxt - wndEnd) >>> 0;
  return tp.rxOpt.wscaleOk && beyond < 1 << tp.rxOpt.rcvWscale ? tp.sndNxt : wndEnd;
}

function allocCtl(sk: Sock): SkBuff | null {
  const skb = allocSkb(sk.net.machine, MAX_TCP_HEADER);
  if (skb !== null) skbReserve(skb, MAX_TCP_HEADER);
  return skb;
}

// ---- FIN and RST -------------------------------------------------------------------------------

/** Ends our direction after all that was written. @kernel tcp_send_fin net/ipv4/tcp_output.c */
export function tcpSendFin(sk: Sock): void {
  const tp = tcpSk(sk);
  const tail = tcpWriteQueueTail(sk);
  let tskb = tail;
  // Short of memory: let the last packet sent carry it when it is sent again.
  if (tskb === null && tcpUnderMemoryPressure(sk)) tskb = skbRbLast(tp.rtxQueue);
  if (tskb !== null) {
    tskb.tcpCb.tcpFlags |= TCPHDR_FIN;
    tskb.tcpCb.endSeq = (tskb.tcpCb.endSeq + 1) | 0;
    tp.writeSeq = (tp.writeSeq + 1) | 0;
    if (tail === null) {
      tp.sndNxt = (tp.sndNxt + 1) | 0;
      return;
    }
  } else {
    const skb = allocSkbFclone(sk.net.machine, MAX_TCP_HEADER);
    if (skb === null) return;
    skbReserve(skb, MAX_TCP_HEADER);
    skForcedMemSchedule(sk, skb.truesize);
    tcpInitNondataSkb(skb, tp.writeSeq, TCPHDR_ACK | TCPHDR_FIN);
    tcpQueueSkb(sk, skb);
  }
  __tcpPushPendingFrames(sk, tcpCurrentMss(sk), TCP_NAGLE_OFF);
}

/** Resets the connection from our side; `reason` SK_RST_REASON_*. @kernel tcp_send_active_reset net/ipv4/tcp_output.c */
export function tcpSendActiveReset(sk: Sock, reason: number): void {
  tcpIncStats(sk.net, TCP_MIB_OUTRSTS);
  const skb = allocCtl(sk);
  if (skb === null) {
    netIncStats(sk.net, LINUX_MIB_TCPABORTFAILED);
    return;
  }
  tcpInitNondataSkb(skb, tcpAcceptableSeq(sk), TCPHDR_ACK | TCPHDR_RST);
  tcpMstampRefresh(tcpSk(sk));
  if (tcpTransmitSkb(sk, skb, false) !== 0) netIncStats(sk.net, LINUX_MIB_TCPABORTFAILED);
  if (tracepointKey.enabled) sk.net.machine.trace.tcp.tcpSendReset.probe?.(sk, null, reason);
}

// ---- SYN-ACK -----------------------------------------------------------------------------------

/** Simultaneous open: our SYN goes again, with ACK. @kernel tcp_send_synack net/ipv4/tcp_output.c */
export function tcpSendSynack(sk: Sock): number {
  const tp = tcpSk(sk);
  let skb = tcpRtxQueueHead(sk);
  if (skb === null || (skb.tcpCb.tcpFlags & TCPHDR_SYN) === 0) return -EFAULT;
  if ((skb.tcpCb.tcpFlags & TCPHDR_ACK) === 0) {
    if (skbCloned(skb)) {
      const nskb = skbCopy(skb);
      if (nskb === null) return -ENOMEM;
      tcpHighestSackReplace(sk, skb, nskb);
      tcpRtxQueueUnlinkAndFree(skb, sk);
      __skbHeaderRelease(nskb);
      tcpRbtreeInsert(tp.rtxQueue, nskb);
      skWmemQueuedAdd(sk, nskb.truesize);
      skMemCharge(sk, nskb.truesize);
      skb = nskb;
    }
    skb.tcpCb.tcpFlags |= TCPHDR_ACK;
    tcpEcnSendSynack(sk, skb);
  }
  return tcpTransmitSkb(sk, skb, true);
}

/** The header of a SYN-ACK for `req`, options included. */
function buildSynack(
  sk: Sock,
  skb: SkBuff,
  req: RequestSock,
  mss: number,
  foc: TcpFastopenCookie | null,
  synackType: number,
): void {
  const opts = sk.net.machine.netGlobals.tcpOutOptions;
  const headerSize = tcpSynackOptions(req, mss, skb, foc, synackType, opts) + TCPHDR_LEN;
  const th = skbPush(skb, headerSize);
  skbResetTransportHeader(skb);
  tcphdr.setSource(view, th, req.irNum);
  tcphdr.setDest(view, th, req.irRmtPort);
  tcphdr.setSeq(view, th, req.sntIsn);
  tcphdr.setAckSeq(view, th, req.rcvNxt);
  const flags = TCPHDR_SYN | TCPHDR_ACK | tcpEcnMakeSynack(req);
  tcphdr.setDoffFlags(view, th, headerSize >> 2, flags);
  tcphdr.setWindow(view, th, Math.min(req.rskRcvWnd, 65535));
  tcphdr.setCheck(view, th, 0);
  tcphdr.setUrgPtr(view, th, 0);
  tcpOptionsWrite(th, null, opts);
  tcpSynackHash(req, skb, opts);
}

/**
 * Builds the answer to a SYN; the caller fills in the checksum and sends it. Takes over `dst`.
 * `cookieTsNs`: the time that the timestamp of a SYN cookie encodes. Null: no memory.
 * @kernel tcp_make_synack net/ipv4/tcp_output.c
 */
export function tcpMakeSynack(
  sk: Sock,
  dst: DstEntry,
  req: RequestSock,
  foc: TcpFastopenCookie | null,
  synackType: number,
  cookieTsNs = 0,
): SkBuff | null {
  const { machine } = sk.net;
  const signable = tcpSynackKey(sk, req, machine.netGlobals.tcpOutOptions);
  const skb = signable ? allocSkb(machine, MAX_TCP_HEADER) : null;
  if (skb === null) {
    dstRelease(dst);
    return null;
  }
  skbReserve(skb, MAX_TCP_HEADER);
  if (synackType === TCP_SYNACK_FASTOPEN) skbSetOwnerW(skb, sk);
  skbDstSet(skb, dst);
  const mss = tcpMssClamp(tcpSk(sk), dstMetricAdvmss(dst));
  const now = machine.nowNs;
  const cookie = synackType === TCP_SYNACK_COOKIE && req.tstampOk;
  skb.skbMstampNs = cookie ? cookieTsNs : now;
  if (!cookie && req.sntSynack === 0) req.sntSynack = tcpSkbTimestampUs(skb);
  if (req.txhash !== 0) skbSetHash(skb, req.txhash, true);
  skb.mark = req.irMark;
  skb.ipSummed = CHECKSUM_PARTIAL;
  buildSynack(sk, skb, req, mss, foc, synackType);
  tcpIncStats(sk.net, TCP_MIB_OUTSEGS);
  skbSetDeliveryTime(skb, now, SKB_CLOCK_MONOTONIC);
  return skb;
}

/** Sends the SYN-ACK of a request again. 0 or a negative errno. @kernel tcp_rtx_synack net/ipv4/tcp_output.c */
export function tcpRtxSynack(sk: Sock, req: RequestSock): number {
  if (sk.skTxrehash === SOCK_TXREHASH_ENABLED) req.txhash = sk.net.machine.random.u32() | 1;
  const res = req.rskOps.sendSynack(sk, null, new Flowi4(), req, null, TCP_SYNACK_RETRANS, null);
  if (res !== 0) return res;
  tcpIncStats(sk.net, TCP_MIB_RETRANSSEGS);
  netIncStats(sk.net, LINUX_MIB_TCPSYNRETRANS);
  if (tracepointKey.enabled) sk.net.machine.trace.tcp.tcpRetransmitSynack.probe?.(sk, req);
  req.numRetrans++;
  if (tcpPassiveFastopen(sk)) tcpSk(sk).totalRetrans++;
  return 0;
}

// ---- ACK ---------------------------------------------------------------------------------------

/** The longest an ACK may wait. @kernel tcp_delack_max net/ipv4/tcp_output.c */
export function tcpDelackMax(sk: Sock): number {
  // The peer's RTO is as ours, most likely.
  const fromRtoMin = Math.max(tcpRtoMin(sk), 2) - 1;
  return Math.min(tcpSk(sk).icskDelackMax, fromRtoMin);
}

/** Lets the ACK wait for data to ride on, or for more to acknowledge. @kernel tcp_send_delayed_ack net/ipv4/tcp_output.c @rfc 1122#4.2.3.2 */
export function tcpSendDelayedAck(sk: Sock): void {
  const tp = tcpSk(sk);
  const now = sk.net.machine.jiffies;
  let ato = tp.ackAto;
  if (ato > TCP_DELACK_MIN) {
    const interactive = inetCskInPingpongMode(sk) || (tp.ackPending & ICSK_ACK_PUSHED) !== 0;
    let maxAto = interactive ? TCP_DELACK_MAX : HZ / 2;
    if (tp.srttUs !== 0) {
      const rtt = Math.max(usecsToJiffies(tp.srttUs >>> 3), TCP_DELACK_MIN);
      if (rtt < maxAto) maxAto = rtt;
    }
    ato = Math.min(ato, maxAto);
  }
  ato = Math.min(ato, tcpDelackMax(sk));
  let timeout = (now + ato) | 0;
  if ((tp.ackPending & ICSK_ACK_TIMER) !== 0) {
    if (timeBeforeEq(tp.ackTimeout, (now + (ato >> 2)) | 0)) {
      tcpSendAck(sk);
      return;
    }
    if (!timeBefore(timeout, tp.ackTimeout)) timeout = tp.ackTimeout;
  }
  tp.ackPending |= ICSK_ACK_SCHED | ICSK_ACK_TIMER;
  tp.ackTimeout = timeout;
  inetCskResetDelackTimer(sk, timeout);
}

/** Acknowledges up to `rcvNxt` now. @kernel __tcp_send_ack net/ipv4/tcp_output.c */
export function __tcpSendAck(sk: Sock, rcvNxt: number, flags: number): void {
  const tp = tcpSk(sk);
  if (sk.skcState === TCP_CLOSE) return;
  const skb = allocCtl(sk);
  if (skb === null) {
    const delay = TCP_DELACK_MAX * 2 ** tp.ackRetry;
    if (delay < tcpRtoMax(sk)) tp.ackRetry++;
    inetCskScheduleAck(sk);
    tp.ackAto = TCP_ATO_MIN;
    tcpResetXmitTimer(sk, ICSK_TIME_DACK, delay, false);
    return;
  }
  tcpInitNondataSkb(skb, tcpAcceptableSeq(sk), TCPHDR_ACK | flags);
  // ACKs shall not count against the limit of queued data.
  skb.truesize = PURE_ACK_TRUESIZE;
  __tcpTransmitSkb(sk, skb, false, rcvNxt);
}

/** @kernel tcp_send_ack net/ipv4/tcp_output.c */
export function tcpSendAck(sk: Sock): void {
  __tcpSendAck(sk, tcpSk(sk).rcvNxt, 0);
}

// ---- Window probes and keepalive ---------------------------------------------------------------

/**
 * An old sequence number that the peer must answer. `urgent`: with the urgent pointer, from snd_una.
 * @kernel tcp_xmit_probe_skb net/ipv4/tcp_output.c
 */
function tcpXmitProbeSkb(sk: Sock, urgent: boolean, mib: number): number {
  const skb = allocCtl(sk);
  if (skb === null) return -1;
  const { sndUna } = tcpSk(sk);
  tcpInitNondataSkb(skb, urgent ? sndUna : (sndUna - 1) | 0, TCPHDR_ACK);
  netIncStats(sk.net, mib);
  return tcpTransmitSkb(sk, skb, false);
}

/** @kernel tcp_send_window_probe net/ipv4/tcp_output.c */
export function tcpSendWindowProbe(sk: Sock): void {
  if (sk.skcState !== TCP_ESTABLISHED) return;
  const tp = tcpSk(sk);
  tp.sndWl1 = (tp.rcvNxt - 1) | 0;
  tcpMstampRefresh(tp);
  tcpXmitProbeSkb(sk, false, LINUX_MIB_TCPWINPROBE);
}

/**
 * Makes the peer answer: with data when its window admits any, else with an old segment.
 * 0 sent, negative errno not; `mib` counts an empty probe.
 * @kernel tcp_write_wakeup net/ipv4/tcp_output.c
 */
export function tcpWriteWakeup(sk: Sock, mib: number): number {
  const tp = tcpSk(sk);
  if (sk.skcState === TCP_CLOSE) return -1;
  const skb = tcpSendHead(sk);
  if (skb === null || !before(skb.tcpCb.seq, tcpWndEnd(tp))) {
    if (between(tp.sndUp, (tp.sndUna + 1) | 0, (tp.sndUna + 0xffff) | 0)) {
      tcpXmitProbeSkb(sk, true, mib);
    }
    return tcpXmitProbeSkb(sk, false, mib);
  }
  const cb = skb.tcpCb;
  const mss = tcpCurrentMss(sk);
  let segSize = (tcpWndEnd(tp) - cb.seq) >>> 0;
  if (before(tp.pushedSeq, cb.endSeq)) tp.pushedSeq = cb.endSeq;
  // The window is open, but Nagle or the sender's silly window avoidance held the data back.
  if (segSize < (cb.endSeq - cb.seq) >>> 0 || skb.len > mss) {
    segSize = Math.min(segSize, mss);
    cb.tcpFlags |= TCPHDR_PSH;
    if (tcpFragment(sk, TCP_FRAG_IN_WRITE_QUEUE, skb, segSize, mss) !== 0) return -1;
  } else if (tcpSkbPcount(skb) === 0) {
    tcpSetSkbTsoSegs(skb, mss);
  }
  cb.tcpFlags |= TCPHDR_PSH;
  const err = tcpTransmitSkb(sk, skb, true);
  if (err === 0) tcpEventNewDataSent(sk, skb);
  return err;
}

/** No probe later than TCP_USER_TIMEOUT. `when` in jiffies. @kernel tcp_clamp_probe0_to_user_timeout net/ipv4/tcp_timer.c */
export function tcpClampProbe0ToUserTimeout(sk: Sock, when: number): number {
  const tp = tcpSk(sk);
  const userTimeout = tp.icskUserTimeout;
  if (userTimeout === 0 || tp.icskProbesTstamp === 0) return when;
  const elapsed = Math.max((sk.net.machine.jiffies - tp.icskProbesTstamp) | 0, 0);
  const remaining = Math.max(userTimeout - elapsed, 2);
  return Math.min(remaining, when);
}

/** The zero-window timer fired. @kernel tcp_send_probe0 net/ipv4/tcp_output.c @rfc 9293#3.8.6.1 */
export function tcpSendProbe0(sk: Sock): void {
  const tp = tcpSk(sk);
  const err = tcpWriteWakeup(sk, LINUX_MIB_TCPWINPROBE);
  if (tp.packetsOut !== 0 || tcpWriteQueueEmpty(sk)) {
    tp.icskProbesOut = 0;
    tp.icskBackoff = 0;
    tp.icskProbesTstamp = 0;
    return;
  }
  tp.icskProbesOut++;
  let timeout: number;
  if (err <= 0) {
    if (tp.icskBackoff < sk.net.ipv4.sysctlTcpRetries2) tp.icskBackoff++;
    timeout = tcpProbe0When(sk, tcpRtoMax(sk));
  } else {
    // Our own queues are full: try again soon, without backing off.
    timeout = TCP_RESOURCE_PROBE_INTERVAL;
  }
  tcpResetXmitTimer(sk, ICSK_TIME_PROBE0, tcpClampProbe0ToUserTimeout(sk, timeout), true);
}
