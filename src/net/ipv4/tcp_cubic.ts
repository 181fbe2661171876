/**
 * CUBIC with HyStart, the default congestion control.
 *
 * Counterpart of net/ipv4/tcp_cubic.c. RFC 9438 (CUBIC), "Hybrid Slow Start" by Ha and Rhee. The
 * window follows W(t) = C (t - K)^3 + Wmax, where t is the time since the last reduction and K the
 * time at which the curve is back at Wmax. All in integers, as the kernel does: t and K in 1/1024 s,
 * C = 410/1024 segments per second cubed, beta = 717/1024. The cube root takes a table and one Newton
 * step, with an error below 0.2 %.
 */
import type { TcpSock } from '#include/linux/tcp.ts';
import { netAddStats, netIncStats } from '#include/net/ip.ts';
import {
  CA_EVENT_TX_START,
  TCP_CONG_NON_RESTRICTED,
  type TcpCongestionOps,
} from '#include/net/tcp.ts';
import { HYSTART_ACK_TRAIN, HYSTART_DELAY } from '#include/net/tcp_cubic.ts';
import {
  SK_PACING_NONE,
  tcpInSlowStart,
  tcpIsCwndLimited,
  tcpSndCwnd,
} from '#include/net/tcp_inlines.ts';
import { HZ } from '#kernel/param.ts';
import { after } from '#lib/tcp_seq.ts';
import { tcpCongAvoidAi, tcpRenoUndoCwnd, tcpSlowStart } from '#net/ipv4/tcp_cong.ts';
import {
  LINUX_MIB_TCPHYSTARTDELAYCWND,
  LINUX_MIB_TCPHYSTARTDELAYDETECT,
  LINUX_MIB_TCPHYSTARTTRAINCWND,
  LINUX_MIB_TCPHYSTARTTRAINDETECT,
} from '#uapi/snmp.ts';
import { TCP_CA_Loss } from '#uapi/tcp.ts';

const BETA_SCALE = 1024;
/** log2 of the clock of the cubic function in Hz. */
const BICTCP_HZ = 10;
const BIC_SCALE = 41;
const CUBE_RTT_SCALE: number = BIC_SCALE * 10;
/** 2^40 / CUBE_RTT_SCALE: turns a distance in segments into K^3. */
const CUBE_FACTOR: number = Math.floor(2 ** (10 + 3 * BICTCP_HZ) / CUBE_RTT_SCALE);
const HYSTART_MIN_SAMPLES = 8;
const HYSTART_DELAY_MIN_US = 4000;
const HYSTART_DELAY_MAX_US = 16000;
/** Above every RTT in us; a small integer to V8. */
const NO_RTT = 0x7fffffff;

/** @kernel bictcp net/ipv4/tcp_cubic.c */
class Bictcp {
  /** ACKed segments for each increase of cwnd by one. */
  cnt = 0;
  /** Window before the last reduction. */
  lastMaxCwnd = 0;
  lastCwnd = 0;
  /** Jiffies. */
  lastTime = 0;
  /** Height of the curve's middle. */
  originPoint = 0;
  /** Time to it, in 1/1024 s. */
  k = 0;
  /** Smallest RTT in us; 0: none yet. */
  delayMinUs = 0;
  /** Jiffies when the curve began; 0: a reduction has ended it. */
  epochStart = 0;
  ackCnt = 0;
  /** The window that Reno would have. */
  tcpCwnd = 0;
  // HyStart, of the present round trip. Times in us, of which 32 bits are kept.
  sampleCnt = 0;
  found = false;
  roundStart = 0;
  endSeq = 0;
  lastAck = 0;
  currRttUs = NO_RTT;
}

/**
 * The state is made when first needed, as a connection that sends nothing has no use for it. Whatever
 * is acknowledged then ends the first round trip.
 * @kernel inet_csk_ca include/net/inet_connection_sock.h
 */
function bictcp(sk: TcpSock): Bictcp {
  if (sk.icskCaPriv === null) {
    const ca = new Bictcp();
    ca.endSeq = (sk.sndUna - 1) | 0;
    sk.icskCaPriv = ca;
  }
  return sk.icskCaPriv as Bictcp;
}

/** @kernel bictcp_reset net/ipv4/tcp_cubic.c */
function bictcpReset(ca: Bictcp): void {
  ca.cnt = 0;
  ca.lastMaxCwnd = 0;
  ca.lastCwnd = 0;
  ca.lastTime = 0;
  ca.originPoint = 0;
  ca.k = 0;
  ca.delayMinUs = 0;
  ca.epochStart = 0;
  ca.ackCnt = 0;
  ca.tcpCwnd = 0;
  ca.found = false;
}

/** A new round trip begins. @kernel bictcp_hystart_reset net/ipv4/tcp_cubic.c */
function bictcpHystartReset(sk: TcpSock): void {
  const ca = bictcp(sk);
  ca.roundStart = sk.tcpMstamp | 0;
  ca.lastAck = sk.tcpMstamp | 0;
  ca.endSeq = sk.sndNxt;
  ca.currRttUs = NO_RTT;
  ca.sampleCnt = 0;
}

/** @kernel cubictcp_init net/ipv4/tcp_cubic.c */
function cubictcpInit(sk: TcpSock): void {
  const { hystart, initialSsthresh } = sk.net.machine.netGlobals.tcpCubicParams;
  // A SYN that was lost has left something here.
  sk.icskCaPriv = null;
  if (hystart !== 0) {
    // With data under way from the start (Fast Open), the round trip is that data's.
    if (sk.sndUna !== sk.sndNxt) bictcpHystartReset(sk);
  } else if (initialSsthresh !== 0) {
    sk.sndSsthresh = initialSsthresh;
  }
}

/** After an idle time the curve goes on where it stood. @kernel cubictcp_cwnd_event net/ipv4/tcp_cubic.c @rfc 9438#5.8 */
function cubictcpCwndEvent(sk: TcpSock, event: number): void {
  // Without state there is no curve yet.
  if (event !== CA_EVENT_TX_START || sk.icskCaPriv === null) return;
  const ca = bictcp(sk);
  const now = sk.net.machine.jiffies;
  const delta = (now - sk.lsndtime) | 0;
  if (ca.epochStart === 0 || delta <= 0) return;
  ca.epochStart = (ca.epochStart + delta) | 0;
  if (after(ca.epochStart, now)) ca.epochStart = now;
}

/**
 * Cube roots of 0..63, scaled by 64: the start of the Newton step.
 * v[i] approximates 64 * cbrt(i) to the integer that makes the step's result best.
 */
const CUBE_ROOTS: readonly number[] = Object.freeze([
  0, 54, 54, 54, 118, 118, 118, 118, 123, 129, 134, 138, 143, 147, 151, 156, 157, 161, 164, 168,
  170, 173, 176, 179, 181, 185, 187, 190, 192, 194, 197, 199, 200, 202, 204, 206, 209, 211, 213,
  215, 217, 219, 221, 222, 224, 225, 227, 229, 231, 232, 234, 236, 237, 239, 240, 242, 244, 245,
  246, 248, 250, 251, 252, 254,
]);

/** Position of the highest bit of a number below 2^53, from 1; 0 for 0. @kernel fls64 include/asm-generic/bitops/fls64.h */
function fls(a: number): number {
  const high = Math.floor(a / 0x100000000);
  return high !== 0 ? 64 - Math.clz32(high) : 32 - Math.clz32(a);
}

/** Integer cube root of a number below 2^53, within 0.2 %. @kernel cubic_root net/ipv4/tcp_cubic.c */
export function cubicRoot(a: number): number {
  let b = fls(a);
  if (b < 7) return (CUBE_ROOTS[a]! + 35) >> 6;
  b = ((b * 84) >> 8) - 1;
  const shift = Math.floor(a / 2 ** (b * 3));
  const x = ((CUBE_ROOTS[shift]! + 10) << b) >>> 6;
  const y = 2 * x + Math.floor(a / (x * (x - 1)));
  // * 341 / 1024 stands for a division by 3.
  return Math.floor((y * 341) / 1024);
}

/** CUBE_RTT_SCALE * offs^3 / 2^40, exact beyond 2^53. */
function cubicDelta(offs: number): number {
  const m = CUBE_RTT_SCALE * offs;
  const square = offs * offs;
  const high = Math.floor(square / 0x100000);
  const low = square - high * 0x100000;
  return Math.floor((m * high + Math.floor((m * low) / 0x100000)) / 0x100000);
}

/** The window never grows slower than Reno's would. @rfc 9438#4.3 */
function tcpFriendliness(ca: Bictcp, cwnd: number, beta: number): void {
  // Segments acknowledged for each of Reno's window, times 8 / cwnd.
  const scale = Math.floor(Math.floor((8 * (BETA_SCALE + beta)) / 3) / (BETA_SCALE - beta));
  const delta = (cwnd * scale) >>> 3;
  if (delta > 0 && ca.ackCnt > delta) {
    // As many whole steps as leave the count within one.
    const steps = Math.ceil(ca.ackCnt / delta) - 1;
    ca.ackCnt -= steps * delta;
    ca.tcpCwnd += steps;
  }
  if (ca.tcpCwnd > cwnd) {
    const maxCnt = Math.floor(cwnd / (ca.tcpCwnd - cwnd));
    if (ca.cnt > maxCnt) ca.cnt = maxCnt;
  }
}

/** Height of the curve now, in segments. `now` in jiffies. */
function cubicTarget(ca: Bictcp, now: number): number {
  const elapsed = ((now - ca.epochStart) | 0) + Math.ceil(ca.delayMinUs / (1000000 / HZ));
  const t = Math.floor((elapsed * (1 << BICTCP_HZ)) / HZ);
  if (t < ca.k) return ca.originPoint - cubicDelta(ca.k - t);
  return ca.originPoint + cubicDelta(t - ca.k);
}

/** Begins a curve at the present window. */
function beginEpoch(ca: Bictcp, cwnd: number, acked: number, now: number): void {
  ca.epochStart = now;
  ca.ackCnt = acked;
  ca.tcpCwnd = cwnd;
  if (ca.lastMaxCwnd <= cwnd) {
    ca.k = 0;
    ca.originPoint = cwnd;
  } else {
    ca.k = cubicRoot(CUBE_FACTOR * (ca.lastMaxCwnd - cwnd));
    ca.originPoint = ca.lastMaxCwnd;
  }
}

/** Works out `cnt`, at most once a jiffy. @kernel bictcp_update net/ipv4/tcp_cubic.c @rfc 9438#4.2 */
function bictcpUpdate(sk: TcpSock, ca: Bictcp, cwnd: number, acked: number): void {
  const now = sk.net.machine.jiffies;
  ca.ackCnt += acked;
  if (ca.lastCwnd === cwnd && ((now - ca.lastTime) | 0) <= HZ / 32) return;
  if (ca.epochStart === 0 || now !== ca.lastTime) {
    ca.lastCwnd = cwnd;
    ca.lastTime = now;
    if (ca.epochStart === 0) beginEpoch(ca, cwnd, acked, now);
    const target = cubicTarget(ca, now);
    ca.cnt = target > cwnd ? Math.floor(cwnd / (target - cwnd)) : 100 * cwnd;
    // Nothing is known of the path's capacity yet: at least 5 % a round trip.
    if (ca.lastMaxCwnd === 0 && ca.cnt > 20) ca.cnt = 20;
  }
  const params = sk.net.machine.netGlobals.tcpCubicParams;
  if (params.tcpFriendliness !== 0) tcpFriendliness(ca, cwnd, params.beta);
  // No more than half as much again in a round trip.
  ca.cnt = Math.max(ca.cnt, 2);
}

/** @kernel cubictcp_cong_avoid net/ipv4/tcp_cubic.c */
function cubictcpCongAvoid(sk: TcpSock, _ack: number, acked: number): void {
  if (!tcpIsCwndLimited(sk)) return;
  let left = acked;
  if (tcpInSlowStart(sk)) {
    left = tcpSlowStart(sk, left);
    if (left === 0) return;
  }
  const ca = bictcp(sk);
  bictcpUpdate(sk, ca, tcpSndCwnd(sk), left);
  tcpCongAvoidAi(sk, ca.cnt, left);
}

/** After a loss: 717/1024 of the window, and fast convergence for newcomers' sake. @kernel cubictcp_recalc_ssthresh net/ipv4/tcp_cubic.c @rfc 9438#4.6 */
function cubictcpRecalcSsthresh(sk: TcpSock): number {
  const { beta, fastConvergence } = sk.net.machine.netGlobals.tcpCubicParams;
  const ca = bictcp(sk);
  const cwnd = tcpSndCwnd(sk);
  ca.epochStart = 0;
  ca.lastMaxCwnd =
    cwnd < ca.lastMaxCwnd && fastConvergence !== 0
      ? Math.floor((cwnd * (BETA_SCALE + beta)) / (2 * BETA_SCALE))
      : cwnd;
  return Math.max(Math.floor((cwnd * beta) / BETA_SCALE), 2);
}

/** @kernel cubictcp_state net/ipv4/tcp_cubic.c */
function cubictcpState(sk: TcpSock, newState: number): void {
  if (newState !== TCP_CA_Loss) return;
  bictcpReset(bictcp(sk));
  bictcpHystartReset(sk);
}

// ---- HyStart: leaving slow start before the queue overflows -----------------------------------

/** Time that aggregation of the largest packets may add, in us, at most 1 ms. @kernel hystart_ack_delay net/ipv4/tcp_cubic.c */
function hystartAckDelay(sk: TcpSock): number {
  const rate = sk.skPacingRate;
  if (rate === 0) return 0;
  return Math.min(1000, Math.floor((sk.skGsoMaxSize * 4 * 1e6) / rate));
}

function hystartFound(sk: TcpSock, detectMib: number, cwndMib: number): void {
  const cwnd = tcpSndCwnd(sk);
  bictcp(sk).found = true;
  netIncStats(sk.net, detectMib);
  netAddStats(sk.net, cwndMib, cwnd);
  sk.sndSsthresh = cwnd;
}

/** ACKs that follow each other closely for longer than half an RTT: the pipe is full. */
function hystartAckTrain(sk: TcpSock, ca: Bictcp, deltaUs: number): void {
  const now = sk.tcpMstamp | 0;
  if (((now - ca.lastAck) | 0) > deltaUs) return;
  ca.lastAck = now;
  let threshold = ca.delayMinUs + hystartAckDelay(sk);
  // Pacing itself spreads the ACKs over half an RTT.
  if (sk.skPacingStatus === SK_PACING_NONE) threshold = Math.floor(threshold / 2);
  if (((now - ca.roundStart) | 0) > threshold) {
    hystartFound(sk, LINUX_MIB_TCPHYSTARTTRAINDETECT, LINUX_MIB_TCPHYSTARTTRAINCWND);
  }
}

/** The smallest of eight samples is clearly above the smallest ever: a queue builds. */
function hystartDelay(sk: TcpSock, ca: Bictcp, delayUs: number): void {
  if (ca.currRttUs > delayUs) ca.currRttUs = delayUs;
  if (ca.sampleCnt < HYSTART_MIN_SAMPLES) {
    ca.sampleCnt++;
    return;
  }
  const eighth = Math.floor(ca.delayMinUs / 8);
  const slack = Math.min(Math.max(eighth, HYSTART_DELAY_MIN_US), HYSTART_DELAY_MAX_US);
  if (ca.currRttUs > ca.delayMinUs + slack) {
    hystartFound(sk, LINUX_MIB_TCPHYSTARTDELAYDETECT, LINUX_MIB_TCPHYSTARTDELAYCWND);
  }
}

/** @kernel hystart_update net/ipv4/tcp_cubic.c */
function hystartUpdate(sk: TcpSock, delayUs: number): void {
  const ca = bictcp(sk);
  if (after(sk.sndUna, ca.endSeq)) bictcpHystartReset(sk);
  const params = sk.net.machine.netGlobals.tcpCubicParams;
  if (tcpSndCwnd(sk) < params.hystartLowWindow) return;
  if ((params.hystartDetect & HYSTART_ACK_TRAIN) !== 0) {
    hystartAckTrain(sk, ca, params.hystartAckDeltaUs);
  }
  if ((params.hystartDetect & HYSTART_DELAY) !== 0) hystartDelay(sk, ca, delayUs);
}

/** @kernel cubictcp_acked net/ipv4/tcp_cubic.c */
function cubictcpAcked(sk: TcpSock, _pktsAcked: number, rttUs: number, _inFlight: number): void {
  // The ACK of a SYN comes before the start, which would forget what it left.
  if (rttUs < 0 || !sk.icskCaInitialized) return;
  const ca = bictcp(sk);
  // Right after recovery samples still show the queue of before.
  if (ca.epochStart !== 0 && ((sk.net.machine.jiffies - ca.epochStart) | 0) < HZ) return;
  const delayUs = rttUs === 0 ? 1 : rttUs;
  if (ca.delayMinUs === 0 || ca.delayMinUs > delayUs) ca.delayMinUs = delayUs;
  const { hystart } = sk.net.machine.netGlobals.tcpCubicParams;
  if (hystart !== 0 && !ca.found && tcpInSlowStart(sk)) hystartUpdate(sk, delayUs);
}

/** @kernel cubictcp net/ipv4/tcp_cubic.c */
export const cubictcp: TcpCongestionOps = {
  name: 'cubic',
  flags: TCP_CONG_NON_RESTRICTED,
  ssthresh: cubictcpRecalcSsthresh,
  congAvoid: cubictcpCongAvoid,
  setState: cubictcpState,
  cwndEvent: cubictcpCwndEvent,
  inAckEvent: null,
  pktsAcked: cubictcpAcked,
  minTsoSegs: null,
  congControl: null,
  undoCwnd: tcpRenoUndoCwnd,
  sndbufExpand: null,
  getInfo: null,
  init: cubictcpInit,
  release: null,
};
