/**
 * The small inline functions of TCP that both halves share: windows, congestion window, clocks,
 * timers' lengths, options checks. The queues are in tcp_queue.ts.
 *
 * Counterpart of the static inlines of include/net/tcp.h. RFC 9293, 7323 (PAWS, scaling), 5681.
 * Sequence numbers are int32; times are jiffies, microseconds or nanoseconds as each name says.
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import { RTT_MIN_NONE, type TcpOptionsReceived, type TcpSock } from '#include/linux/tcp.ts';
import { ICSK_ACK_SCHED, inetCsk } from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import { SOCK_DONE, SOCK_URGINLINE } from '#include/net/sock.ts';
import {
  TCP_ATO_MIN,
  TCP_CONG_NEEDS_ECN,
  TCP_ECN_MODE_ACCECN,
  TCP_ECN_MODE_ANY,
  TCP_INFINITE_SSTHRESH,
  TCP_PAWS_24DAYS,
  TCP_PAWS_MSL,
  TCP_RTO_MIN,
  TCP_TIMEOUT_INIT,
  tcpSk,
} from '#include/net/tcp.ts';
import type { Machine } from '#kernel/machine.ts';
import { before } from '#lib/tcp_seq.ts';
import { view } from '#mm/memory.ts';
import { RTAX_LOCK, RTAX_RTO_MIN } from '#uapi/rtnetlink.ts';
import {
  TCP_SYN_RECV,
  TCPF_CA_CWR,
  TCPF_CA_Recovery,
  TCPF_SYN_RECV,
  TCPF_SYN_SENT,
  tcphdr,
} from '#uapi/tcp.ts';

/** Shift of TcpSock.scalingRatio. @kernel TCP_RMEM_TO_WIN_SCALE include/linux/tcp.h */
export const TCP_RMEM_TO_WIN_SCALE = 8;
/** Half of the memory is payload, until measured. @kernel TCP_DEFAULT_SCALING_RATIO include/net/tcp.h */
export const TCP_DEFAULT_SCALING_RATIO: number = 1 << (TCP_RMEM_TO_WIN_SCALE - 1);

export const SK_PACING_NONE = 0;
export const SK_PACING_NEEDED = 1;
export const SK_PACING_FQ = 2;

const TCP_FLAG_ACK = 0x00100000;

// ---- Clocks ------------------------------------------------------------------------------------

/** @kernel tcp_jiffies32 include/net/tcp.h */
export function tcpJiffies32(sk: Sock): number {
  return sk.net.machine.jiffies;
}

/** @kernel tcp_clock_ns include/net/tcp.h */
export function tcpClockNs(machine: Machine): number {
  return machine.nowNs;
}

/** @kernel tcp_clock_us include/net/tcp.h */
export function tcpClockUs(machine: Machine): number {
  return Math.floor(machine.nowNs / 1000);
}

/** @kernel tcp_clock_ms include/net/tcp.h */
export function tcpClockMs(machine: Machine): number {
  return Math.floor(machine.nowNs / 1e6) | 0;
}

/** The clock of timestamp options: us or ms, int32. @kernel tcp_clock_ts include/net/tcp.h */
export function tcpClockTs(machine: Machine, usecTs: boolean): number {
  return Math.floor(machine.nowNs / (usecTs ? 1e3 : 1e6)) | 0;
}

/** @kernel tcp_time_stamp_ms include/net/tcp.h */
export function tcpTimeStampMs(tp: TcpSock): number {
  return Math.floor(tp.tcpMstamp / 1000) | 0;
}

/** @kernel tcp_time_stamp_ts include/net/tcp.h */
export function tcpTimeStampTs(tp: TcpSock): number {
  return tp.usecTs ? tp.tcpMstamp | 0 : Math.floor(tp.tcpMstamp / 1000) | 0;
}

/** Microseconds from t0 to t1, never negative. @kernel tcp_stamp_us_delta include/net/tcp.h */
export function tcpStampUsDelta(t1: number, t0: number): number {
  return t1 > t0 ? t1 - t0 : 0;
}

/** When the packet was last sent, in us. @kernel tcp_skb_timestamp_us include/net/tcp.h */
export function tcpSkbTimestampUs(skb: SkBuff): number {
  return Math.floor(skb.skbMstampNs / 1000);
}

/** @kernel tcp_skb_timestamp_ts include/net/tcp.h */
export function tcpSkbTimestampTs(usecTs: boolean, skb: SkBuff): number {
  return Math.floor(skb.skbMstampNs / (usecTs ? 1e3 : 1e6)) | 0;
}

/** ktime_get_seconds(), for timestamps' age. @kernel ktime_get_seconds kernel/time/timekeeping.c */
export function ktimeGetSeconds(machine: Machine): number {
  return Math.floor(machine.nowNs / 1e9);
}

/** Smallest RTT seen lately in us; 2^32 - 1 before the first. @kernel tcp_min_rtt include/net/tcp.h */
export function tcpMinRtt(tp: TcpSock): number {
  const { v0 } = tp.rttMin;
  return v0 === RTT_MIN_NONE ? 0xffffffff : v0;
}

// ---- Flight and congestion window --------------------------------------------------------------

/** @kernel tcp_is_sack include/net/tcp.h */
export function tcpIsSack(tp: TcpSock): boolean {
  return tp.rxOpt.sackOk !== 0;
}

/** @kernel tcp_is_reno include/net/tcp.h */
export function tcpIsReno(tp: TcpSock): boolean {
  return tp.rxOpt.sackOk === 0;
}

/** Segments that left the network: SACKed or lost. @kernel tcp_left_out include/net/tcp.h */
export function tcpLeftOut(tp: TcpSock): number {
  return tp.sackedOut + tp.lostOut;
}

/**
 * @kernel tcp_packets_in_flight include/net/tcp.h
 * @rfc 6675#4
 */
export function tcpPacketsInFlight(tp: TcpSock): number {
  return tp.packetsOut - (tp.sackedOut + tp.lostOut) + tp.retransOut;
}

/** @kernel tcp_snd_cwnd include/net/tcp.h */
export function tcpSndCwnd(tp: TcpSock): number {
  return tp.sndCwnd;
}

/** @kernel tcp_snd_cwnd_set include/net/tcp.h */
export function tcpSndCwndSet(tp: TcpSock, val: number): void {
  tp.sndCwnd = val;
}

/** @kernel tcp_in_slow_start include/net/tcp.h */
export function tcpInSlowStart(tp: TcpSock): boolean {
  return tp.sndCwnd < tp.sndSsthresh;
}

/** @kernel tcp_in_initial_slowstart include/net/tcp.h */
export function tcpInInitialSlowstart(tp: TcpSock): boolean {
  return tp.sndSsthresh >= TCP_INFINITE_SSTHRESH;
}

/** @kernel tcp_in_cwnd_reduction include/net/tcp.h */
export function tcpInCwndReduction(sk: Sock): boolean {
  return ((TCPF_CA_CWR | TCPF_CA_Recovery) & (1 << inetCsk(sk).icskCaState)) !== 0;
}

/** @kernel tcp_current_ssthresh include/net/tcp.h */
export function tcpCurrentSsthresh(sk: Sock): number {
  const tp = tcpSk(sk);
  if (tcpInCwndReduction(sk)) return tp.sndSsthresh;
  return Math.max(tp.sndSsthresh, (tp.sndCwnd >> 1) + (tp.sndCwnd >> 2));
}

/** Segments that a TSO deferral may add beyond cwnd. @kernel tcp_max_tso_deferred_mss include/net/tcp.h */
export function tcpMaxTsoDeferredMss(_tp: TcpSock): number {
  return 3;
}

/** First sequence number beyond the peer's window. @kernel tcp_wnd_end include/net/tcp.h */
export function tcpWndEnd(tp: TcpSock): number {
  return (tp.sndUna + tp.sndWnd) | 0;
}

/** Was the flow limited by cwnd, so that cwnd may grow? @kernel tcp_is_cwnd_limited include/net/tcp.h @rfc 2861 */
export function tcpIsCwndLimited(sk: Sock): boolean {
  const tp = tcpSk(sk);
  if (tp.isCwndLimited) return true;
  if (tcpInSlowStart(tp)) return tp.sndCwnd < 2 * tp.maxPacketsOut;
  return false;
}

/** @kernel tcp_stream_is_thin include/net/tcp.h */
export function tcpStreamIsThin(tp: TcpSock): boolean {
  return tp.packetsOut < 4 && !tcpInInitialSlowstart(tp);
}

/** @kernel tcp_needs_internal_pacing include/net/tcp.h */
export function tcpNeedsInternalPacing(sk: Sock): boolean {
  return sk.skPacingStatus === SK_PACING_NEEDED;
}

/** Jiffies until the next packet may leave. @kernel tcp_pacing_delay include/net/tcp.h */
export function tcpPacingDelay(sk: Sock): number {
  const tp = tcpSk(sk);
  const delay = tp.tcpWstampNs - tp.tcpClockCache;
  return delay > 0 ? Math.floor(delay / 1e6) : 0;
}

/** @kernel tcp_ca_needs_ecn include/net/tcp.h */
export function tcpCaNeedsEcn(sk: Sock): boolean {
  const ops = inetCsk(sk).icskCaOps;
  return ops !== null && (ops.flags & TCP_CONG_NEEDS_ECN) !== 0;
}

/** Tells the congestion control of an event (CA_EVENT_*). @kernel tcp_ca_event include/net/tcp.h */
export function tcpCaEvent(sk: Sock, event: number): void {
  const ops = inetCsk(sk).icskCaOps;
  if (ops !== null && ops.cwndEvent !== null) ops.cwndEvent(tcpSk(sk), event);
}

// ---- Receive window ----------------------------------------------------------------------------

/** Bytes of the offered window still open. @kernel tcp_receive_window include/net/tcp.h */
export function tcpReceiveWindow(tp: TcpSock): number {
  const win = (tp.rcvWup + tp.rcvWnd - tp.rcvNxt) | 0;
  return win < 0 ? 0 : win;
}

/** @kernel __tcp_win_from_space include/net/tcp.h */
export function __tcpWinFromSpace(scalingRatio: number, space: number): number {
  return Math.floor((space * scalingRatio) / (1 << TCP_RMEM_TO_WIN_SCALE));
}

/** Window that `space` bytes of memory can hold. @kernel tcp_win_from_space include/net/tcp.h */
export function tcpWinFromSpace(sk: Sock, space: number): number {
  return __tcpWinFromSpace(tcpSk(sk).scalingRatio, space);
}

/** @kernel __tcp_space_from_win include/net/tcp.h */
export function __tcpSpaceFromWin(scalingRatio: number, win: number): number {
  return Math.floor((win * (1 << TCP_RMEM_TO_WIN_SCALE)) / scalingRatio);
}

/** Memory that a window of `win` bytes needs. @kernel tcp_space_from_win include/net/tcp.h */
export function tcpSpaceFromWin(sk: Sock, win: number): number {
  return __tcpSpaceFromWin(tcpSk(sk).scalingRatio, win);
}

/** @kernel tcp_scaling_ratio_init include/net/tcp.h */
export function tcpScalingRatioInit(sk: Sock): void {
  tcpSk(sk).scalingRatio = TCP_DEFAULT_SCALING_RATIO;
}

/** Window that the free receive memory allows; may be negative. @kernel tcp_space include/net/tcp.h */
export function tcpSpace(sk: Sock): number {
  return tcpWinFromSpace(sk, sk.skRcvbuf - sk.skBacklogLen - sk.skRmemAlloc);
}

/** @kernel tcp_full_space include/net/tcp.h */
export function tcpFullSpace(sk: Sock): number {
  return tcpWinFromSpace(sk, sk.skRcvbuf);
}

/** @kernel sk_unused_reserved_mem include/net/sock.h */
export function skUnusedReservedMem(sk: Sock): number {
  if (sk.skReservedMem === 0) return 0;
  const unused = sk.skReservedMem - sk.skWmemQueued - sk.skRmemAlloc;
  return unused > 0 ? unused : 0;
}

/** @kernel __tcp_adjust_rcv_ssthresh include/net/tcp.h */
export function __tcpAdjustRcvSsthresh(sk: Sock, newSsthresh: number): void {
  const tp = tcpSk(sk);
  const unusedMem = skUnusedReservedMem(sk);
  tp.rcvSsthresh = Math.min(tp.rcvSsthresh, newSsthresh);
  if (unusedMem !== 0) tp.rcvSsthresh = Math.max(tp.rcvSsthresh, tcpWinFromSpace(sk, unusedMem));
}

/** @kernel tcp_adjust_rcv_ssthresh include/net/tcp.h */
export function tcpAdjustRcvSsthresh(sk: Sock): void {
  __tcpAdjustRcvSsthresh(sk, 4 * tcpSk(sk).advmss);
}

/** Is TCP's memory under pressure in this machine? @kernel tcp_under_memory_pressure include/net/tcp.h */
export function tcpUnderMemoryPressure(sk: Sock): boolean {
  const memory = sk.skProt.memory(sk.net);
  return memory !== null && memory.memoryPressure !== 0;
}

/** @kernel tcp_rmem_pressure include/net/tcp.h */
export function tcpRmemPressure(sk: Sock): boolean {
  if (tcpUnderMemoryPressure(sk)) return true;
  return sk.skRmemAlloc > sk.skRcvbuf - (sk.skRcvbuf >> 3);
}

/** Enough to read, or no hope of more? @kernel tcp_epollin_ready include/net/tcp.h */
export function tcpEpollinReady(sk: Sock, target: number): boolean {
  const tp = tcpSk(sk);
  const avail = (tp.rcvNxt - tp.copiedSeq) | 0;
  if (avail <= 0) return false;
  return avail >= target || tcpRmemPressure(sk) || tcpReceiveWindow(tp) <= tp.ackRcvMss;
}

/** Bytes that can be read now, up to the urgent mark. @kernel tcp_inq include/net/tcp.h */
export function tcpInq(sk: Sock): number {
  const tp = tcpSk(sk);
  if (((1 << sk.skcState) & (TCPF_SYN_SENT | TCPF_SYN_RECV)) !== 0) return 0;
  if (
    (sk.skFlags & (1 << SOCK_URGINLINE)) !== 0 ||
    tp.urgData === 0 ||
    before(tp.urgSeq, tp.copiedSeq) ||
    !before(tp.urgSeq, tp.rcvNxt)
  ) {
    const answ = (tp.rcvNxt - tp.copiedSeq) | 0;
    // The FIN takes a sequence number but is no byte.
    return answ !== 0 && (sk.skFlags & (1 << SOCK_DONE)) !== 0 ? answ - 1 : answ;
  }
  return (tp.urgSeq - tp.copiedSeq) | 0;
}

// ---- Header prediction -------------------------------------------------------------------------

/** The fourth word that the next in-order header will have. @kernel __tcp_fast_path_on include/net/tcp.h */
export function __tcpFastPathOn(tp: TcpSock, sndWnd: number): void {
  // Accurate ECN: the counter that stands for no new mark.
  const ace = tcpEcnMode(tp) === TCP_ECN_MODE_ACCECN ? (tp.deliveredCe + 5) & 7 : 0;
  tp.predFlags = (tp.tcpHeaderLen << 26) | (ace << 22) | TCP_FLAG_ACK | sndWnd;
}

/** TCP_ECN_DISABLED or TCP_ECN_MODE_*. @kernel tcp_ecn_mode_any include/net/tcp.h */
export function tcpEcnMode(tp: TcpSock): number {
  return tp.ecnFlags & TCP_ECN_MODE_ANY;
}

/** @kernel tcp_fast_path_on include/net/tcp.h */
export function tcpFastPathOn(tp: TcpSock): void {
  __tcpFastPathOn(tp, tp.sndWnd >>> tp.rxOpt.sndWscale);
}

/** @kernel tcp_fast_path_check include/net/tcp.h */
export function tcpFastPathCheck(sk: Sock): void {
  const tp = tcpSk(sk);
  if (
    tp.outOfOrderQueueEmpty &&
    tp.rcvWnd !== 0 &&
    sk.skRmemAlloc < sk.skRcvbuf &&
    tp.urgData === 0
  ) {
    tcpFastPathOn(tp);
  }
}

/** @kernel tcp_init_wl include/net/tcp.h */
export function tcpInitWl(tp: TcpSock, seq: number): void {
  tp.sndWl1 = seq;
}

/** @kernel tcp_update_wl include/net/tcp.h */
export function tcpUpdateWl(tp: TcpSock, seq: number): void {
  tp.sndWl1 = seq;
}

// ---- Timers' lengths, in jiffies unless said ---------------------------------------------------

/** @kernel tcp_rto_max include/net/tcp.h */
export function tcpRtoMax(sk: Sock): number {
  return inetCsk(sk).icskRtoMax;
}

/** @kernel tcp_bound_rto include/net/tcp.h */
export function tcpBoundRto(sk: Sock): void {
  const icsk = inetCsk(sk);
  if (icsk.icskRto > icsk.icskRtoMax) icsk.icskRto = icsk.icskRtoMax;
}

/** RTO of the present estimate: srtt + rttvar. @kernel __tcp_set_rto include/net/tcp.h @rfc 6298#2.3 */
export function __tcpSetRto(tp: TcpSock): number {
  return Math.ceil(((tp.srttUs >>> 3) + tp.rttvarUs) / 1000);
}

/** @kernel tcp_rto_min include/net/tcp.h */
export function tcpRtoMin(sk: Sock): number {
  const dst = sk.skDstCache;
  if (dst !== null && ((dst.metrics[RTAX_LOCK] ?? 0) & (1 << RTAX_RTO_MIN)) !== 0) {
    return dst.metrics[RTAX_RTO_MIN] ?? 0;
  }
  return inetCsk(sk).icskRtoMin;
}

/** @kernel tcp_rto_min_us include/net/tcp.h */
export function tcpRtoMinUs(sk: Sock): number {
  return tcpRtoMin(sk) * 1000;
}

/** First RTO of a connection. @kernel tcp_timeout_init include/net/tcp.h @rfc 6298#2.1 */
export function tcpTimeoutInit(sk: Sock): number {
  return Math.min(TCP_TIMEOUT_INIT, tcpRtoMax(sk));
}

/** @kernel tcp_probe0_base include/net/tcp.h */
export function tcpProbe0Base(sk: Sock): number {
  return Math.max(inetCsk(sk).icskRto, TCP_RTO_MIN);
}

/** Time to the next window probe, backed off. @kernel tcp_probe0_when include/net/tcp.h */
export function tcpProbe0When(sk: Sock, maxWhen: number): number {
  // ilog2(TCP_RTO_MAX / TCP_RTO_MIN) + 1: beyond that the limit below decides anyway.
  const backoff = Math.min(10, inetCsk(sk).icskBackoff);
  return Math.min(tcpProbe0Base(sk) * (1 << backoff), maxWhen);
}

/** @kernel keepalive_intvl_when include/net/tcp.h */
export function keepaliveIntvlWhen(tp: TcpSock): number {
  return tp.keepaliveIntvl !== 0 ? tp.keepaliveIntvl : tp.net.ipv4.sysctlTcpKeepaliveIntvl;
}

/** @kernel keepalive_time_when include/net/tcp.h */
export function keepaliveTimeWhen(tp: TcpSock): number {
  return tp.keepaliveTime !== 0 ? tp.keepaliveTime : tp.net.ipv4.sysctlTcpKeepaliveTime;
}

/** @kernel keepalive_probes include/net/tcp.h */
export function keepaliveProbes(tp: TcpSock): number {
  return tp.keepaliveProbes !== 0 ? tp.keepaliveProbes : tp.net.ipv4.sysctlTcpKeepaliveProbes;
}

/** Jiffies since anything was heard. @kernel keepalive_time_elapsed include/net/tcp.h */
export function keepaliveTimeElapsed(tp: TcpSock): number {
  const now = tp.net.machine.jiffies;
  return Math.min((now - tp.ackLrcvtime) >>> 0, (now - tp.rcvTstamp) >>> 0);
}

/** How long to stay in FIN_WAIT2. @kernel tcp_fin_time include/net/tcp.h */
export function tcpFinTime(sk: Sock): number {
  const tp = tcpSk(sk);
  const finTimeout = tp.linger2 !== 0 ? tp.linger2 : sk.net.ipv4.sysctlTcpFinTimeout;
  const rto = tp.icskRto;
  return Math.max(finTimeout, (rto << 2) - (rto >> 1));
}

// ---- Timestamps --------------------------------------------------------------------------------

/** May the segment's timestamp be accepted? @kernel tcp_paws_check include/net/tcp.h @rfc 7323#5 */
export function tcpPawsCheck(
  machine: Machine,
  rxOpt: TcpOptionsReceived,
  pawsWin: number,
): boolean {
  if (((rxOpt.tsRecent - rxOpt.rcvTsval) | 0) <= pawsWin) return true;
  if (((ktimeGetSeconds(machine) - rxOpt.tsRecentStamp - TCP_PAWS_24DAYS) | 0) >= 0) return true;
  // Some peers answer a SYN with a timestamp of zero.
  return rxOpt.tsRecent === 0;
}

/** @kernel tcp_paws_reject include/net/tcp.h */
export function tcpPawsReject(machine: Machine, rxOpt: TcpOptionsReceived, rst: boolean): boolean {
  if (tcpPawsCheck(machine, rxOpt, 0)) return false;
  // A RST is weaker than data: an old timestamp is believed only while a segment may still live.
  if (rst && ((ktimeGetSeconds(machine) - rxOpt.tsRecentStamp - TCP_PAWS_MSL) | 0) >= 0)
    return false;
  return true;
}

/** The smaller of `mss` and what the user asked for. @kernel tcp_mss_clamp include/linux/tcp.h */
export function tcpMssClamp(tp: TcpSock, mss: number): number {
  const userMss = tp.rxOpt.userMss;
  return userMss !== 0 && userMss < mss ? userMss : mss;
}

/** @kernel tcp_clear_options include/linux/tcp.h */
export function tcpClearOptions(rxOpt: TcpOptionsReceived): void {
  rxOpt.tstampOk = false;
  rxOpt.sackOk = 0;
  rxOpt.wscaleOk = false;
  rxOpt.sndWscale = 0;
}

// ---- Acknowledgement bookkeeping ---------------------------------------------------------------

/** An ACK leaves: uses up the quick ACKs. @kernel tcp_dec_quickack_mode include/net/tcp.h */
export function tcpDecQuickackMode(sk: Sock): void {
  const icsk = inetCsk(sk);
  if (icsk.ackQuick === 0) return;
  const pkts = (icsk.ackPending & ICSK_ACK_SCHED) !== 0 ? 1 : 0;
  if (pkts >= icsk.ackQuick) {
    icsk.ackQuick = 0;
    icsk.ackAto = TCP_ATO_MIN;
  } else {
    icsk.ackQuick -= pkts;
  }
}

/** Unsent bytes below which the writer is woken. @kernel tcp_notsent_lowat include/net/tcp.h */
export function tcpNotsentLowat(tp: TcpSock): number {
  return tp.notsentLowat !== 0 ? tp.notsentLowat : tp.net.ipv4.sysctlTcpNotsentLowat;
}

/** Must slow start begin anew after a pause? @kernel tcp_slow_start_after_idle_check include/net/tcp.h */
export function tcpNeedsIdleRestart(sk: Sock): boolean {
  const tp = tcpSk(sk);
  const ops = tp.icskCaOps;
  if (sk.net.ipv4.sysctlTcpSlowStartAfterIdle === 0) return false;
  if (tp.packetsOut !== 0 || (ops !== null && ops.congControl !== null)) return false;
  return ((sk.net.machine.jiffies - tp.lsndtime) | 0) > tp.icskRto;
}

/** Counts an incoming segment, `skb.data` at its header. @kernel tcp_segs_in include/net/tcp.h */
export function tcpSegsIn(tp: TcpSock, skb: SkBuff): void {
  const segs = Math.max(1, skb.shinfo.gsoSegs);
  tp.segsIn += segs;
  if (skb.len > tcphdr.hdrlen(view, skb.transportHeader)) tp.dataSegsIn += segs;
}

/** A Fast Open child that still waits for the last ACK. @kernel tcp_passive_fastopen include/linux/tcp.h */
export function tcpPassiveFastopen(sk: Sock): boolean {
  return sk.skcState === TCP_SYN_RECV && tcpSk(sk).fastopenRsk !== null;
}
