/**
 * BBR's detector of token-bucket policers: two long intervals with much loss and the same throughput
 * show the policed rate, which is then used without probing for 48 round trips.
 *
 * Counterpart of the long-term ("lt") half of net/ipv4/tcp_bbr.c. Flach et al., "An Internet-Wide
 * Analysis of Traffic Policing".
 */
import type { TcpSock } from '#include/linux/tcp.ts';
import {
  BBR_PROBE_BW,
  BBR_UNIT,
  type Bbr,
  BW_UNIT,
  bbrRateBytesPerSec,
  bbrResetProbeBwMode,
} from '#net/ipv4/tcp_bbr_model.ts';

/** Round trips of an interval at least; four times as many at most. */
const LT_INTVL_MIN_RTTS = 4;
/** Loss of an interval, in 1/256 of what was delivered: 20 %. */
const LT_LOSS_THRESH = 50;
/** Two rates are the same within 1/8... */
const LT_BW_RATIO: number = BBR_UNIT / 8;
/** ...or within 4 kbit/s, here in bytes a second. */
const LT_BW_DIFF: number = 4000 / 8;
/** Round trips for which the rate is used. */
const LT_BW_MAX_RTTS = 48;
const MAX_INTERVAL_MS: number = Math.floor(0xffffffff / 1000);

/** @kernel bbr_reset_lt_bw_sampling_interval net/ipv4/tcp_bbr.c */
function bbrResetLtBwSamplingInterval(sk: TcpSock, ca: Bbr): void {
  ca.ltLastStamp = Math.floor(sk.deliveredMstamp / 1000);
  ca.ltLastDelivered = sk.delivered;
  ca.ltLastLost = sk.lost;
  ca.ltRttCnt = 0;
}

/** @kernel bbr_reset_lt_bw_sampling net/ipv4/tcp_bbr.c */
export function bbrResetLtBwSampling(sk: TcpSock, ca: Bbr): void {
  ca.ltBw = 0;
  ca.ltUseBw = false;
  ca.ltIsSampling = false;
  bbrResetLtBwSamplingInterval(sk, ca);
}

/** An interval has ended: does it agree with the one before? @kernel bbr_lt_bw_interval_done net/ipv4/tcp_bbr.c */
function bbrLtBwIntervalDone(sk: TcpSock, ca: Bbr, bw: number): void {
  if (ca.ltBw !== 0) {
    const diff = Math.abs(bw - ca.ltBw);
    if (
      diff * BBR_UNIT <= LT_BW_RATIO * ca.ltBw ||
      bbrRateBytesPerSec(sk, diff, BBR_UNIT) <= LT_BW_DIFF
    ) {
      ca.ltBw = Math.floor((bw + ca.ltBw) / 2);
      ca.ltUseBw = true;
      ca.pacingGain = BBR_UNIT;
      ca.ltRttCnt = 0;
      return;
    }
  }
  ca.ltBw = bw;
  bbrResetLtBwSamplingInterval(sk, ca);
}

/** The rate is in use: time to look whether the policer is gone? */
function bbrLtBwUsed(sk: TcpSock, ca: Bbr): void {
  if (ca.mode !== BBR_PROBE_BW || !ca.roundStart) return;
  ca.ltRttCnt++;
  if (ca.ltRttCnt < LT_BW_MAX_RTTS) return;
  bbrResetLtBwSampling(sk, ca);
  bbrResetProbeBwMode(sk, ca);
}

/** One ACK's contribution; `losses` are its newly lost segments. @kernel bbr_lt_bw_sampling net/ipv4/tcp_bbr.c */
export function bbrLtBwSampling(sk: TcpSock, ca: Bbr, losses: number, isAppLimited: boolean): void {
  if (ca.ltUseBw) {
    bbrLtBwUsed(sk, ca);
    return;
  }
  // An interval begins and ends with a loss: then the bucket is empty both times.
  if (!ca.ltIsSampling) {
    if (losses === 0) return;
    bbrResetLtBwSamplingInterval(sk, ca);
    ca.ltIsSampling = true;
  }
  if (isAppLimited) {
    bbrResetLtBwSampling(sk, ca);
    return;
  }
  if (ca.roundStart) ca.ltRttCnt++;
  if (ca.ltRttCnt < LT_INTVL_MIN_RTTS) return;
  if (ca.ltRttCnt > 4 * LT_INTVL_MIN_RTTS) {
    bbrResetLtBwSampling(sk, ca);
    return;
  }
  if (losses === 0) return;
  const lost = (sk.lost - ca.ltLastLost) >>> 0;
  const delivered = (sk.delivered - ca.ltLastDelivered) >>> 0;
  if (delivered === 0 || lost * BBR_UNIT < LT_LOSS_THRESH * delivered) return;
  const ms = Math.floor(sk.deliveredMstamp / 1000) - ca.ltLastStamp;
  if (ms < 1) return;
  if (ms >= MAX_INTERVAL_MS) {
    bbrResetLtBwSampling(sk, ca);
    return;
  }
  bbrLtBwIntervalDone(sk, ca, Math.floor((delivered * BW_UNIT) / (ms * 1000)));
}
