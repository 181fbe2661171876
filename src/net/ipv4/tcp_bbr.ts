/**
 * BBR, version 1: congestion control by a model of the path instead of by loss.
 *
 * Counterpart of net/ipv4/tcp_bbr.c. Cardwell et al., "BBR: Congestion-Based Congestion Control";
 * draft-cardwell-iccrg-bbr-congestion-control-00. The model is the largest delivery rate of ten
 * round trips and the smallest RTT of ten seconds; packets are paced at the rate times a gain, and
 * cwnd bounds what is in flight to a multiple of their product. The policing detector is in
 * tcp_bbr_lt.ts, the record and the arithmetic in tcp_bbr_model.ts. Where it is not said otherwise,
 * bandwidth is in segments per microsecond times 2^24 and a gain is in 1/256.
 */

import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { RateSample, TcpSock } from '#include/linux/tcp.ts';
import {
  CA_EVENT_TX_START,
  TCP_CONG_NON_RESTRICTED,
  TCP_INFINITE_SSTHRESH,
  TCP_INIT_CWND,
  type TcpCcInfo,
  type TcpCongestionOps,
} from '#include/net/tcp.ts';
import {
  SK_PACING_NEEDED,
  SK_PACING_NONE,
  tcpJiffies32,
  tcpMinRtt,
  tcpPacketsInFlight,
  tcpSndCwnd,
  tcpSndCwndSet,
  tcpStampUsDelta,
} from '#include/net/tcp_inlines.ts';
import type { Machine } from '#kernel/machine.ts';
import { HZ } from '#kernel/param.ts';
import { after, before } from '#lib/tcp_seq.ts';
import { minmaxReset, minmaxRunningMax } from '#lib/win_minmax.ts';
import { bbrLtBwSampling, bbrResetLtBwSampling } from '#net/ipv4/tcp_bbr_lt.ts';
import {
  BBR_CYCLE_LEN,
  BBR_DRAIN,
  BBR_PROBE_BW,
  BBR_PROBE_RTT,
  BBR_STARTUP,
  BBR_UNIT,
  Bbr,
  BW_UNIT,
  bbr,
  bbrAdvanceCyclePhase,
  bbrBdp,
  bbrBw,
  bbrBwToPacingRate,
  bbrExtraAcked,
  bbrInflight,
  bbrMaxBw,
  bbrMinTsoSegs,
  bbrPacketsInNetAtEdt,
  bbrQuantizationBudget,
  bbrResetProbeBwMode,
  mulGain,
} from '#net/ipv4/tcp_bbr_model.ts';
import { tcpRegisterCongestionControl } from '#net/ipv4/tcp_cong.ts';
import { INET_DIAG_BBRINFO, INET_DIAG_VEGASINFO } from '#uapi/inet_diag.ts';
import { TCP_CA_Loss, TCP_CA_Open, TCP_CA_Recovery } from '#uapi/tcp.ts';

/** Round trips over which the largest bandwidth is remembered. */
const BW_RTTS: number = BBR_CYCLE_LEN + 2;
/** Jiffies for which the smallest RTT is believed. */
const MIN_RTT_WIN: number = 10 * HZ;
/** Jiffies that PROBE_RTT lasts at least. */
const PROBE_RTT_TIME: number = (200 * HZ) / 1000;
/** 2/ln 2: the smallest gain that doubles the rate each round trip. */
const HIGH_GAIN: number = Math.floor((BBR_UNIT * 2885) / 1000) + 1;
/** Its inverse: empties the queue of STARTUP in one round trip. */
const DRAIN_GAIN: number = Math.floor((BBR_UNIT * 1000) / 2885);
/** Room for delayed and stretched ACKs. */
const CWND_GAIN: number = BBR_UNIT * 2;
/** PROBE_BW: ask for more, give back, cruise. */
const PACING_GAIN: readonly number[] = Object.freeze([
  (BBR_UNIT * 5) / 4,
  (BBR_UNIT * 3) / 4,
  BBR_UNIT,
  BBR_UNIT,
  BBR_UNIT,
  BBR_UNIT,
  BBR_UNIT,
  BBR_UNIT,
]);
/** Keeps the ACK clock of a receiver that acknowledges every second segment. */
const CWND_MIN_TARGET = 4;
const FULL_BW_THRESH: number = (BBR_UNIT * 5) / 4;
const FULL_BW_CNT = 3;
const EXTRA_ACKED_WIN_RTTS = 5;
const ACK_EPOCH_ACKED_RESET_THRESH = 0x100000;
const EXTRA_ACKED_MAX_US = 100_000;

// ---- Pacing rate and window --------------------------------------------------------------------

/** A first rate, from the first RTT or a guess of 1 ms. @kernel bbr_init_pacing_rate_from_rtt net/ipv4/tcp_bbr.c */
function bbrInitPacingRateFromRtt(sk: TcpSock, ca: Bbr): void {
  let rttUs = 1000;
  if (sk.srttUs !== 0) {
    rttUs = Math.max(sk.srttUs >>> 3, 1);
    ca.hasSeenRtt = true;
  }
  const bw = Math.floor((tcpSndCwnd(sk) * BW_UNIT) / rttUs);
  sk.skPacingRate = bbrBwToPacingRate(sk, bw, HIGH_GAIN);
}

/** In STARTUP the rate only rises. @kernel bbr_set_pacing_rate net/ipv4/tcp_bbr.c */
function bbrSetPacingRate(sk: TcpSock, ca: Bbr, bw: number, gain: number): void {
  const rate = bbrBwToPacingRate(sk, bw, gain);
  if (!ca.hasSeenRtt && sk.srttUs !== 0) bbrInitPacingRateFromRtt(sk, ca);
  if (ca.fullBwReached || rate > sk.skPacingRate) sk.skPacingRate = rate;
}

/** Notes the last good window before recovery or PROBE_RTT. @kernel bbr_save_cwnd net/ipv4/tcp_bbr.c */
function bbrSaveCwnd(sk: TcpSock, ca: Bbr): void {
  const cwnd = tcpSndCwnd(sk);
  if (ca.prevCaState < TCP_CA_Recovery && ca.mode !== BBR_PROBE_RTT) ca.priorCwnd = cwnd;
  else ca.priorCwnd = Math.max(ca.priorCwnd, cwnd);
}

/** Segments for which ACKs that come in bursts want room. @kernel bbr_ack_aggregation_cwnd net/ipv4/tcp_bbr.c */
function bbrAckAggregationCwnd(ca: Bbr): number {
  if (!ca.fullBwReached) return 0;
  const max = Math.floor((bbrBw(ca) * EXTRA_ACKED_MAX_US) / BW_UNIT);
  return Math.min(bbrExtraAcked(ca), max);
}

/**
 * The window around a recovery: one packet out for one that left in its first round trip, the old
 * window after it. Leaves the result in cwnd; true: nothing else has a say in it.
 * @kernel bbr_set_cwnd_to_recover_or_restore net/ipv4/tcp_bbr.c
 */
function bbrSetCwndToRecoverOrRestore(
  sk: TcpSock,
  ca: Bbr,
  losses: number,
  acked: number,
): boolean {
  const prev = ca.prevCaState;
  const state = sk.icskCaState;
  let cwnd = tcpSndCwnd(sk);
  if (losses > 0) cwnd = Math.max(cwnd - losses, 1);
  if (state === TCP_CA_Recovery && prev !== TCP_CA_Recovery) {
    ca.packetConservation = true;
    ca.nextRttDelivered = sk.delivered;
    cwnd = tcpPacketsInFlight(sk) + acked;
  } else if (prev >= TCP_CA_Recovery && state < TCP_CA_Recovery) {
    cwnd = Math.max(cwnd, ca.priorCwnd);
    ca.packetConservation = false;
  }
  ca.prevCaState = state;
  if (ca.packetConservation) cwnd = Math.max(cwnd, tcpPacketsInFlight(sk) + acked);
  tcpSndCwndSet(sk, cwnd);
  return ca.packetConservation;
}

/** Moves the window towards its target. @kernel bbr_set_cwnd net/ipv4/tcp_bbr.c */
function bbrSetCwnd(sk: TcpSock, ca: Bbr, rs: RateSample, bw: number, gain: number): void {
  const acked = rs.ackedSacked;
  if (acked !== 0 && !bbrSetCwndToRecoverOrRestore(sk, ca, rs.losses, acked)) {
    let cwnd = tcpSndCwnd(sk);
    const target = bbrQuantizationBudget(sk, ca, bbrBdp(ca, bw, gain) + bbrAckAggregationCwnd(ca));
    if (ca.fullBwReached) cwnd = Math.min(cwnd + acked, target);
    else if (cwnd < target || sk.delivered < TCP_INIT_CWND) cwnd += acked;
    tcpSndCwndSet(sk, Math.max(cwnd, CWND_MIN_TARGET));
  }
  tcpSndCwndSet(sk, Math.min(tcpSndCwnd(sk), sk.sndCwndClamp));
  if (ca.mode === BBR_PROBE_RTT) tcpSndCwndSet(sk, Math.min(tcpSndCwnd(sk), CWND_MIN_TARGET));
}

// ---- The model ---------------------------------------------------------------------------------

/** Has the present phase of the gain cycle done its work? @kernel bbr_is_next_cycle_phase net/ipv4/tcp_bbr.c */
function bbrIsNextCyclePhase(sk: TcpSock, ca: Bbr, rs: RateSample): boolean {
  const full = tcpStampUsDelta(sk.deliveredMstamp, ca.cycleMstamp) > ca.minRttUs;
  if (ca.pacingGain === BBR_UNIT) return full;
  const inflight = bbrPacketsInNetAtEdt(sk, ca, rs.priorInFlight);
  const bw = bbrMaxBw(ca);
  // Probing must have filled the pipe to its gain, unless the path cannot hold as much.
  if (ca.pacingGain > BBR_UNIT) {
    return full && (rs.losses !== 0 || inflight >= bbrInflight(sk, ca, bw, ca.pacingGain));
  }
  return full || inflight <= bbrInflight(sk, ca, bw, BBR_UNIT);
}

/** @kernel bbr_update_cycle_phase net/ipv4/tcp_bbr.c */
function bbrUpdateCyclePhase(sk: TcpSock, ca: Bbr, rs: RateSample): void {
  if (ca.mode === BBR_PROBE_BW && bbrIsNextCyclePhase(sk, ca, rs)) bbrAdvanceCyclePhase(sk, ca);
}

/** @kernel bbr_reset_mode net/ipv4/tcp_bbr.c */
function bbrResetMode(sk: TcpSock, ca: Bbr): void {
  if (ca.fullBwReached) bbrResetProbeBwMode(sk, ca);
  else ca.mode = BBR_STARTUP;
}

/** Counts round trips, and takes the sample into the filter. @kernel bbr_update_bw net/ipv4/tcp_bbr.c */
function bbrUpdateBw(sk: TcpSock, ca: Bbr, rs: RateSample): void {
  ca.roundStart = false;
  if (rs.delivered < 0 || rs.intervalUs <= 0) return;
  if (!before(rs.priorDelivered, ca.nextRttDelivered)) {
    ca.nextRttDelivered = sk.delivered;
    ca.rttCnt = (ca.rttCnt + 1) >>> 0;
    ca.roundStart = true;
    ca.packetConservation = false;
  }
  bbrLtBwSampling(sk, ca, rs.losses, rs.isAppLimited);
  const bw = Math.floor((rs.delivered * BW_UNIT) / rs.intervalUs);
  // What the application did not offer says nothing about the path, unless it is more than known.
  if (!rs.isAppLimited || bw >= bbrMaxBw(ca)) minmaxRunningMax(ca.bw, BW_RTTS, ca.rttCnt, bw);
}

/**
 * How many more segments than the bandwidth explains are acknowledged at once, at most, in the last
 * five to ten round trips.
 * @kernel bbr_update_ack_aggregation net/ipv4/tcp_bbr.c
 */
function bbrUpdateAckAggregation(sk: TcpSock, ca: Bbr, rs: RateSample): void {
  if (rs.ackedSacked <= 0 || rs.delivered < 0 || rs.intervalUs <= 0) return;
  if (ca.roundStart && ++ca.extraAckedWinRtts >= EXTRA_ACKED_WIN_RTTS) {
    ca.extraAckedWinRtts = 0;
    ca.extraAckedWinIdx ^= 1;
    if (ca.extraAckedWinIdx === 0) ca.extraAcked0 = 0;
    else ca.extraAcked1 = 0;
  }
  const epochUs = tcpStampUsDelta(sk.deliveredMstamp, ca.ackEpochMstamp);
  let expected = Math.floor((bbrBw(ca) * epochUs) / BW_UNIT);
  if (
    ca.ackEpochAcked <= expected ||
    ca.ackEpochAcked + rs.ackedSacked >= ACK_EPOCH_ACKED_RESET_THRESH
  ) {
    ca.ackEpochAcked = 0;
    ca.ackEpochMstamp = sk.deliveredMstamp;
    expected = 0;
  }
  ca.ackEpochAcked = Math.min(0xfffff, ca.ackEpochAcked + rs.ackedSacked);
  const extra = Math.min(ca.ackEpochAcked - expected, tcpSndCwnd(sk));
  if (ca.extraAckedWinIdx === 0) ca.extraAcked0 = Math.max(ca.extraAcked0, extra);
  else ca.extraAcked1 = Math.max(ca.extraAcked1, extra);
}

/** Three round trips without a quarter more: the pipe is full. @kernel bbr_check_full_bw_reached net/ipv4/tcp_bbr.c */
function bbrCheckFullBwReached(ca: Bbr, rs: RateSample): void {
  if (ca.fullBwReached || !ca.roundStart || rs.isAppLimited) return;
  if (bbrMaxBw(ca) >= mulGain(ca.fullBw, FULL_BW_THRESH)) {
    ca.fullBw = bbrMaxBw(ca);
    ca.fullBwCnt = 0;
    return;
  }
  ca.fullBwCnt++;
  ca.fullBwReached = ca.fullBwCnt >= FULL_BW_CNT;
}

/** From STARTUP to DRAIN, from there to PROBE_BW. @kernel bbr_check_drain net/ipv4/tcp_bbr.c */
function bbrCheckDrain(sk: TcpSock, ca: Bbr): void {
  if (ca.mode === BBR_STARTUP && ca.fullBwReached) {
    ca.mode = BBR_DRAIN;
    sk.sndSsthresh = bbrInflight(sk, ca, bbrMaxBw(ca), BBR_UNIT);
  }
  if (
    ca.mode === BBR_DRAIN &&
    bbrPacketsInNetAtEdt(sk, ca, tcpPacketsInFlight(sk)) <=
      bbrInflight(sk, ca, bbrMaxBw(ca), BBR_UNIT)
  ) {
    bbrResetProbeBwMode(sk, ca);
  }
}

/** @kernel bbr_check_probe_rtt_done net/ipv4/tcp_bbr.c */
function bbrCheckProbeRttDone(sk: TcpSock, ca: Bbr): void {
  const now = tcpJiffies32(sk);
  if (ca.probeRttDoneStamp === 0 || !after(now, ca.probeRttDoneStamp)) return;
  ca.minRttStamp = now;
  tcpSndCwndSet(sk, Math.max(tcpSndCwnd(sk), ca.priorCwnd));
  bbrResetMode(sk, ca);
}

/** One ACK in PROBE_RTT: 200 ms and a round trip with four segments in flight. */
function bbrProbeRtt(sk: TcpSock, ca: Bbr): void {
  // The low rate is our own doing.
  const mark = sk.delivered + tcpPacketsInFlight(sk);
  sk.appLimited = mark !== 0 ? mark : 1;
  if (ca.probeRttDoneStamp !== 0) {
    if (ca.roundStart) ca.probeRttRoundDone = true;
    if (ca.probeRttRoundDone) bbrCheckProbeRttDone(sk, ca);
  } else if (tcpPacketsInFlight(sk) <= CWND_MIN_TARGET) {
    ca.probeRttDoneStamp = (tcpJiffies32(sk) + PROBE_RTT_TIME) | 0;
    ca.probeRttRoundDone = false;
    ca.nextRttDelivered = sk.delivered;
  }
}

/** The RTT filter, and PROBE_RTT when it has not been refreshed for ten seconds. @kernel bbr_update_min_rtt net/ipv4/tcp_bbr.c */
function bbrUpdateMinRtt(sk: TcpSock, ca: Bbr, rs: RateSample): void {
  const now = tcpJiffies32(sk);
  const expired = after(now, (ca.minRttStamp + MIN_RTT_WIN) | 0);
  if (rs.rttUs >= 0 && (rs.rttUs < ca.minRttUs || (expired && !rs.isAckDelayed))) {
    ca.minRttUs = rs.rttUs;
    ca.minRttStamp = now;
  }
  if (expired && !ca.idleRestart && ca.mode !== BBR_PROBE_RTT) {
    // In this mode the larger of the window and the one saved before is kept.
    ca.mode = BBR_PROBE_RTT;
    bbrSaveCwnd(sk, ca);
    ca.probeRttDoneStamp = 0;
  }
  if (ca.mode === BBR_PROBE_RTT) bbrProbeRtt(sk, ca);
  if (rs.delivered > 0) ca.idleRestart = false;
}

/** @kernel bbr_update_gains net/ipv4/tcp_bbr.c */
function bbrUpdateGains(ca: Bbr): void {
  switch (ca.mode) {
    case BBR_STARTUP:
      ca.pacingGain = HIGH_GAIN;
      ca.cwndGain = HIGH_GAIN;
      break;
    case BBR_DRAIN:
      ca.pacingGain = DRAIN_GAIN;
      ca.cwndGain = HIGH_GAIN;
      break;
    case BBR_PROBE_BW:
      ca.pacingGain = ca.ltUseBw ? BBR_UNIT : PACING_GAIN[ca.cycleIdx]!;
      ca.cwndGain = CWND_GAIN;
      break;
    default:
      ca.pacingGain = BBR_UNIT;
      ca.cwndGain = BBR_UNIT;
  }
}

/** Everything that an ACK changes. @kernel bbr_main net/ipv4/tcp_bbr.c */
function bbrMain(sk: TcpSock, _ack: number, _flag: number, rs: RateSample): void {
  const ca = bbr(sk);
  bbrUpdateBw(sk, ca, rs);
  bbrUpdateAckAggregation(sk, ca, rs);
  bbrUpdateCyclePhase(sk, ca, rs);
  bbrCheckFullBwReached(ca, rs);
  bbrCheckDrain(sk, ca);
  bbrUpdateMinRtt(sk, ca, rs);
  bbrUpdateGains(ca);
  const bw = bbrBw(ca);
  bbrSetPacingRate(sk, ca, bw, ca.pacingGain);
  bbrSetCwnd(sk, ca, rs, bw, ca.cwndGain);
}

// ---- Operations --------------------------------------------------------------------------------

/** @kernel bbr_init net/ipv4/tcp_bbr.c */
function bbrInit(sk: TcpSock): void {
  const ca = new Bbr();
  sk.icskCaPriv = ca;
  sk.sndSsthresh = TCP_INFINITE_SSTHRESH;
  ca.nextRttDelivered = sk.delivered;
  ca.prevCaState = TCP_CA_Open;
  ca.minRttUs = tcpMinRtt(sk);
  ca.minRttStamp = tcpJiffies32(sk);
  minmaxReset(ca.bw, ca.rttCnt, 0);
  bbrInitPacingRateFromRtt(sk, ca);
  bbrResetLtBwSampling(sk, ca);
  ca.ackEpochMstamp = sk.tcpMstamp;
  // Without sch_fq below, TCP keeps the pace by itself.
  if (sk.skPacingStatus === SK_PACING_NONE) sk.skPacingStatus = SK_PACING_NEEDED;
}

/** After an idle time: at the known rate, without a burst. @kernel bbr_cwnd_event net/ipv4/tcp_bbr.c */
function bbrCwndEvent(sk: TcpSock, event: number): void {
  if (event !== CA_EVENT_TX_START || sk.appLimited === 0) return;
  const ca = bbr(sk);
  ca.idleRestart = true;
  ca.ackEpochMstamp = sk.tcpMstamp;
  ca.ackEpochAcked = 0;
  if (ca.mode === BBR_PROBE_BW) bbrSetPacingRate(sk, ca, bbrBw(ca), BBR_UNIT);
  else if (ca.mode === BBR_PROBE_RTT) bbrCheckProbeRttDone(sk, ca);
}

/** Loss itself changes nothing. @kernel bbr_ssthresh net/ipv4/tcp_bbr.c */
function bbrSsthresh(sk: TcpSock): number {
  bbrSaveCwnd(sk, bbr(sk));
  return sk.sndSsthresh;
}

/** The loss was none: neither was the judgement that the pipe is full. @kernel bbr_undo_cwnd net/ipv4/tcp_bbr.c */
function bbrUndoCwnd(sk: TcpSock): number {
  const ca = bbr(sk);
  ca.fullBw = 0;
  ca.fullBwCnt = 0;
  bbrResetLtBwSampling(sk, ca);
  return tcpSndCwnd(sk);
}

/** @kernel bbr_set_state net/ipv4/tcp_bbr.c */
function bbrSetState(sk: TcpSock, newState: number): void {
  if (newState !== TCP_CA_Loss) return;
  const ca = bbr(sk);
  ca.prevCaState = TCP_CA_Loss;
  ca.fullBw = 0;
  // A timeout is the end of a round trip.
  ca.roundStart = true;
  bbrLtBwSampling(sk, ca, 1, false);
}

/** Twice cwnd, and half as much again for what is SACKed during recovery. @kernel bbr_sndbuf_expand net/ipv4/tcp_bbr.c */
function bbrSndbufExpand(_sk: TcpSock): number {
  return 3;
}

/** struct tcp_bbr_info: bandwidth in bytes a second, RTT in us, gains. @kernel bbr_get_info net/ipv4/tcp_bbr.c */
function bbrGetInfo(sk: TcpSock, ext: number): TcpCcInfo | null {
  if ((ext & INFO_EXTENSIONS) === 0) return null;
  const ca = bbr(sk);
  const bw = Math.floor((bbrBw(ca) * sk.mssCache * 1e6) / BW_UNIT);
  const info = new Uint8Array(20);
  const v = new DataView(info.buffer);
  v.setUint32(0, bw >>> 0, true);
  v.setUint32(4, Math.floor(bw / 0x100000000), true);
  v.setUint32(8, ca.minRttUs, true);
  v.setUint32(12, ca.pacingGain, true);
  v.setUint32(16, ca.cwndGain, true);
  return { attr: INET_DIAG_BBRINFO, info };
}

/** Bits of inet_diag's extensions that ask for it. */
const INFO_EXTENSIONS: number = (1 << (INET_DIAG_BBRINFO - 1)) | (1 << (INET_DIAG_VEGASINFO - 1));

/** @kernel tcp_bbr_cong_ops net/ipv4/tcp_bbr.c */
export const tcpBbrCongOps: TcpCongestionOps = {
  name: 'bbr',
  flags: TCP_CONG_NON_RESTRICTED,
  ssthresh: bbrSsthresh,
  congAvoid: null,
  setState: bbrSetState,
  cwndEvent: bbrCwndEvent,
  inAckEvent: null,
  pktsAcked: null,
  minTsoSegs: bbrMinTsoSegs,
  congControl: bbrMain,
  undoCwnd: bbrUndoCwnd,
  sndbufExpand: bbrSndbufExpand,
  getInfo: bbrGetInfo,
  init: bbrInit,
  release: null,
};

/** @kernel bbr_register net/ipv4/tcp_bbr.c */
function bbrRegister(machine: Machine): number {
  return tcpRegisterCongestionControl(machine, tcpBbrCongOps);
}

export const bbrModule: KernelModule = {
  name: 'tcp_bbr',
  config: 'CONFIG_TCP_CONG_BBR',
  depends: [],
  level: FS_INITCALL,
  init: bbrRegister,
  exit: null,
};
