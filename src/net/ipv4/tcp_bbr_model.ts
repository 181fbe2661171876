/**
 * What BBR knows about a path, and the arithmetic on it: bandwidth times delay, the pacing rate, the
 * segments that will be in flight when the next packet leaves.
 *
 * Counterpart of net/ipv4/tcp_bbr.c, struct bbr and its small helpers. Linux computes in 64-bit
 * integers; here products that could pass 2^53 are split so that every result is the same integer.
 */
import { Minmax, type TcpSock } from '#include/linux/tcp.ts';
import { MAX_TCP_HEADER } from '#include/net/tcp.ts';
import { minmaxGet } from '#lib/win_minmax.ts';

/** Bandwidth is in segments per microsecond times this. @kernel BW_UNIT net/ipv4/tcp_bbr.c */
export const BW_UNIT: number = 1 << 24;
const BBR_SCALE = 8;
/** A gain of one. @kernel BBR_UNIT net/ipv4/tcp_bbr.c */
export const BBR_UNIT: number = 1 << BBR_SCALE;

/** Speeding up to fill the pipe. */
export const BBR_STARTUP = 0;
/** Emptying the queue that this made. */
export const BBR_DRAIN = 1;
/** Cycling the gain around one. */
export const BBR_PROBE_BW = 2;
/** Emptying the pipe to see its delay. */
export const BBR_PROBE_RTT = 3;

export const BBR_CYCLE_LEN = 8;
const CYCLE_RAND = 7;
const CYCLE_MASK: number = BBR_CYCLE_LEN - 1;
/** Bits a second below which a packet may be a single segment. */
const MIN_TSO_RATE = 1_200_000;
/** Percent below the estimate at which packets are paced, so that no queue stays. */
const PACING_MARGIN_PERCENT = 1;
const BYTES_PER_SEC_FACTOR: number = (1_000_000 / 100) * (100 - PACING_MARGIN_PERCENT);
const GSO_LEGACY_MAX_SIZE = 65536;
const MAX_TSO_SEGS_GOAL = 0x7f;

/** @kernel bbr net/ipv4/tcp_bbr.c */
export class Bbr {
  /** us */
  minRttUs = 0;
  /** Jiffies */
  minRttStamp = 0;
  /** Jiffies when PROBE_RTT may end; 0: flight is still too large. */
  probeRttDoneStamp = 0;
  /** Largest bandwidth by round trips. */
  readonly bw: Minmax = new Minmax();
  rttCnt = 0;
  /** `delivered` at which the round trip ends. */
  nextRttDelivered = 0;
  /** us */
  cycleMstamp = 0;
  mode: number = BBR_STARTUP;
  prevCaState = 0;
  packetConservation = false;
  roundStart = false;
  idleRestart = false;
  probeRttRoundDone = false;
  // Long-term bandwidth, where a policer is at work.
  ltIsSampling = false;
  ltRttCnt = 0;
  ltUseBw = false;
  ltBw = 0;
  ltLastDelivered = 0;
  /** ms */
  ltLastStamp = 0;
  ltLastLost = 0;
  pacingGain = 0;
  cwndGain = 0;
  fullBwReached = false;
  fullBwCnt = 0;
  cycleIdx = 0;
  hasSeenRtt = false;
  priorCwnd = 0;
  fullBw = 0;
  // ACK aggregation: the most extra segments of two windows of five round trips each.
  /** us */
  ackEpochMstamp = 0;
  extraAcked0 = 0;
  extraAcked1 = 0;
  ackEpochAcked = 0;
  extraAckedWinRtts = 0;
  extraAckedWinIdx = 0;
}

/** @kernel inet_csk_ca include/net/inet_connection_sock.h */
export function bbr(sk: TcpSock): Bbr {
  // A SYN that is lost meets us before the connection is up.
  if (sk.icskCaPriv === null) sk.icskCaPriv = new Bbr();
  return sk.icskCaPriv as Bbr;
}

/** floor(x * gain / 256), exact for x * gain up to 2^61. */
export function mulGain(x: number, gain: number): number {
  const high = Math.floor(x / BBR_UNIT);
  return high * gain + (((x - high * BBR_UNIT) * gain) >>> BBR_SCALE);
}

/** @kernel bbr_max_bw net/ipv4/tcp_bbr.c */
export function bbrMaxBw(ca: Bbr): number {
  return minmaxGet(ca.bw);
}

/** @kernel bbr_bw net/ipv4/tcp_bbr.c */
export function bbrBw(ca: Bbr): number {
  return ca.ltUseBw ? ca.ltBw : bbrMaxBw(ca);
}

/** @kernel bbr_extra_acked net/ipv4/tcp_bbr.c */
export function bbrExtraAcked(ca: Bbr): number {
  return Math.max(ca.extraAcked0, ca.extraAcked1);
}

/** Bytes a second at a bandwidth times a gain, less the margin. @kernel bbr_rate_bytes_per_sec net/ipv4/tcp_bbr.c */
export function bbrRateBytesPerSec(sk: TcpSock, bw: number, gain: number): number {
  const rate = mulGain(bw * sk.mssCache, gain);
  const high = Math.floor(rate / BW_UNIT);
  const low = rate - high * BW_UNIT;
  return high * BYTES_PER_SEC_FACTOR + Math.floor((low * BYTES_PER_SEC_FACTOR) / BW_UNIT);
}

/** @kernel bbr_bw_to_pacing_rate net/ipv4/tcp_bbr.c */
export function bbrBwToPacingRate(sk: TcpSock, bw: number, gain: number): number {
  return Math.min(bbrRateBytesPerSec(sk, bw, gain), sk.skMaxPacingRate);
}

/** @kernel bbr_min_tso_segs net/ipv4/tcp_bbr.c */
export function bbrMinTsoSegs(sk: TcpSock): number {
  return sk.skPacingRate < MIN_TSO_RATE >> 3 ? 1 : 2;
}

/** Segments of a packet at the present rate, whatever the device can take. @kernel bbr_tso_segs_goal net/ipv4/tcp_bbr.c */
export function bbrTsoSegsGoal(sk: TcpSock): number {
  const bytes = Math.min(
    Math.floor(sk.skPacingRate / (1 << sk.skPacingShift)),
    GSO_LEGACY_MAX_SIZE - 1 - MAX_TCP_HEADER,
  );
  return Math.min(Math.max(Math.floor(bytes / sk.mssCache), bbrMinTsoSegs(sk)), MAX_TSO_SEGS_GOAL);
}

/** Segments that fill the pipe times a gain. @kernel bbr_bdp net/ipv4/tcp_bbr.c */
export function bbrBdp(ca: Bbr, bw: number, gain: number): number {
  // No RTT yet, not even of the handshake.
  if (ca.minRttUs === 0xffffffff) return 10;
  return Math.floor((mulGain(bw * ca.minRttUs, gain) + BW_UNIT - 1) / BW_UNIT);
}

/** Adds what sits in full-sized packets on both sides. @kernel bbr_quantization_budget net/ipv4/tcp_bbr.c */
export function bbrQuantizationBudget(sk: TcpSock, ca: Bbr, cwnd: number): number {
  let budget = cwnd + 3 * bbrTsoSegsGoal(sk);
  // Even: a receiver acknowledges pairs.
  budget += budget & 1;
  if (ca.mode === BBR_PROBE_BW && ca.cycleIdx === 0) budget += 2;
  return budget;
}

/** @kernel bbr_inflight net/ipv4/tcp_bbr.c */
export function bbrInflight(sk: TcpSock, ca: Bbr, bw: number, gain: number): number {
  return bbrQuantizationBudget(sk, ca, bbrBdp(ca, bw, gain));
}

/** Segments in the network when the next packet leaves. @kernel bbr_packets_in_net_at_edt net/ipv4/tcp_bbr.c */
export function bbrPacketsInNetAtEdt(sk: TcpSock, ca: Bbr, inflightNow: number): number {
  const waitNs = Math.max(sk.tcpWstampNs - sk.tcpClockCache, 0);
  const delivered = Math.floor((bbrBw(ca) * Math.floor(waitNs / 1000)) / BW_UNIT);
  const atEdt = ca.pacingGain > BBR_UNIT ? inflightNow + bbrTsoSegsGoal(sk) : inflightNow;
  return Math.max(atEdt - delivered, 0);
}

/** @kernel bbr_advance_cycle_phase net/ipv4/tcp_bbr.c */
export function bbrAdvanceCyclePhase(sk: TcpSock, ca: Bbr): void {
  ca.cycleIdx = (ca.cycleIdx + 1) & CYCLE_MASK;
  ca.cycleMstamp = sk.deliveredMstamp;
}

/** Enters the gain cycle anywhere but in its draining phase. @kernel bbr_reset_probe_bw_mode net/ipv4/tcp_bbr.c */
export function bbrResetProbeBwMode(sk: TcpSock, ca: Bbr): void {
  ca.mode = BBR_PROBE_BW;
  ca.cycleIdx = BBR_CYCLE_LEN - 1 - sk.net.machine.random.below(CYCLE_RAND);
  bbrAdvanceCyclePhase(sk, ca);
}
