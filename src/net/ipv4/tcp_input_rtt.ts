/**
 * Round trip times and what follows from them: the retransmission timeout, the minimum RTT, the
 * pacing rate, and the arming of the retransmit timer.
 *
 * Counterpart: the RTT parts of net/ipv4/tcp_input.c. RFC 6298 (with Linux's variance that is not
 * raised by falling samples), RFC 7323#4.2 (timestamps). Samples are in microseconds, -1 means none.
 */
import { type RateSample, TcpSacktagState, type TcpSock } from '#include/linux/tcp.ts';
import { type DstEntry, dstMetric } from '#include/net/dst.ts';
import {
  ICSK_TIME_LOSS_PROBE,
  ICSK_TIME_REO_TIMEOUT,
  ICSK_TIME_RETRANS,
  type RequestSock,
} from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import { TCP_INIT_CWND, tcpSk } from '#include/net/tcp.ts';
import {
  __tcpSetRto,
  tcpBoundRto,
  tcpClockUs,
  tcpJiffies32,
  tcpMinRtt,
  tcpRtoMinUs,
  tcpSndCwnd,
  tcpStampUsDelta,
  tcpTimeStampTs,
} from '#include/net/tcp_inlines.ts';
import { tcpRtoDeltaUs } from '#include/net/tcp_queue.ts';
import type { Machine } from '#kernel/machine.ts';
import { HZ } from '#kernel/param.ts';
import { usecsToJiffies } from '#kernel/time/jiffies.ts';
import { after } from '#lib/tcp_seq.ts';
import { minmaxRunningMin } from '#lib/win_minmax.ts';
import { inetCskClearXmitTimer, tcpResetXmitTimer } from '#net/ipv4/inet_connection_sock_timer.ts';
import {
  FLAG_ACK_MAYBE_DELAYED,
  FLAG_ACKED,
  FLAG_SYN_ACKED,
  REXMIT_NONE,
} from '#net/ipv4/tcp_input_flags.ts';
import { RTAX_INITCWND } from '#uapi/rtnetlink.ts';

/**
 * Van Jacobson's estimator. `srttUs` is scaled by 8, `mdevUs` by 4.
 *
 * The mean deviation feeds `rttvarUs` only through its maximum of the last round trip, so that a few
 * good samples do not pull the RTO down at once; and a sample below the mean counts for an eighth,
 * since a sudden drop of the RTT must not raise the RTO.
 * @kernel tcp_rtt_estimator net/ipv4/tcp_input.c
 * @rfc 6298#2
 */
function tcpRttEstimator(sk: Sock, mrttUs: number): void {
  const tp = tcpSk(sk);
  let srtt = tp.srttUs;
  if (srtt !== 0) {
    let m = mrttUs - Math.floor(srtt / 8);
    srtt += m;
    if (m < 0) {
      m = -m - (tp.mdevUs >>> 2);
      if (m > 0) m >>= 3;
    } else {
      m -= tp.mdevUs >>> 2;
    }
    tp.mdevUs += m;
    if (tp.mdevUs > tp.mdevMaxUs) {
      tp.mdevMaxUs = tp.mdevUs;
      if (tp.mdevMaxUs > tp.rttvarUs) tp.rttvarUs = tp.mdevMaxUs;
    }
    if (after(tp.sndUna, tp.rttSeq)) {
      if (tp.mdevMaxUs < tp.rttvarUs) tp.rttvarUs -= (tp.rttvarUs - tp.mdevMaxUs) >> 2;
      tp.rttSeq = tp.sndNxt;
      tp.mdevMaxUs = tcpRtoMinUs(sk);
    }
  } else {
    srtt = mrttUs * 8;
    tp.mdevUs = mrttUs * 2;
    tp.rttvarUs = Math.max(tp.mdevUs, tcpRtoMinUs(sk));
    tp.mdevMaxUs = tp.rttvarUs;
    tp.rttSeq = tp.sndNxt;
  }
  tp.srttUs = Math.max(1, srtt);
}

/**
 * Bytes a second that spread a window over a round trip, with headroom for probing: cwnd * mss / srtt
 * times the sysctl percentage of the phase.
 * @kernel tcp_update_pacing_rate net/ipv4/tcp_input.c
 */
export function tcpUpdatePacingRate(sk: Sock): void {
  const tp = tcpSk(sk);
  const ipv4 = sk.net.ipv4;
  const cwnd = tcpSndCwnd(tp);
  const slow = cwnd < tp.sndSsthresh / 2;
  // mss * 8 (srtt's scale) * 1e6 us / 100 percent
  let rate = tp.mssCache * 80000;
  rate *= slow ? ipv4.sysctlTcpPacingSsRatio : ipv4.sysctlTcpPacingCaRatio;
  rate *= Math.max(cwnd, tp.packetsOut);
  if (tp.srttUs !== 0) rate = Math.floor(rate / tp.srttUs);
  sk.skPacingRate = Math.min(rate, sk.skMaxPacingRate);
}

/** @kernel tcp_set_rto net/ipv4/tcp_input.c */
export function tcpSetRto(sk: Sock): void {
  const tp = tcpSk(sk);
  // The variance never falls below the minimum RTO, so no lower bound is needed here.
  tp.icskRto = __tcpSetRto(tp);
  tcpBoundRto(sk);
}

/**
 * First congestion window: the route's, or ten segments.
 * @kernel tcp_init_cwnd net/ipv4/tcp_input.c
 * @rfc 6928
 */
export function tcpInitCwnd(tp: TcpSock, dst: DstEntry | null): number {
  let cwnd = dst !== null ? dstMetric(dst, RTAX_INITCWND) : 0;
  if (cwnd === 0) cwnd = TCP_INIT_CWND;
  return Math.min(cwnd, tp.sndCwndClamp);
}

/** @kernel tcp_update_rtt_min net/ipv4/tcp_input.c */
function tcpUpdateRttMin(sk: Sock, rttUs: number, flag: number): void {
  const tp = tcpSk(sk);
  // A delayed ACK says nothing about the path unless it is faster than anything before.
  if ((flag & FLAG_ACK_MAYBE_DELAYED) !== 0 && rttUs > tcpMinRtt(tp)) return;
  const wlen = sk.net.ipv4.sysctlTcpMinRttWlen * HZ;
  minmaxRunningMin(tp.rttMin, wlen, tcpJiffies32(sk), rttUs !== 0 ? rttUs : 1000000 / HZ);
}

/**
 * RTT by the echoed timestamp, in us; -1 when it cannot be true. `minDelta` stands for a difference
 * of zero ticks.
 * @kernel tcp_rtt_tsopt_us net/ipv4/tcp_input.c
 */
export function tcpRttTsoptUs(tp: TcpSock, minDelta: number): number {
  const delta = (tcpTimeStampTs(tp) - tp.rxOpt.rcvTsecr) >>> 0;
  if (tp.usecTs) return delta;
  if (delta >= 0x7fffffff / 1000) return -1;
  return (delta === 0 ? minDelta : delta) * 1000;
}

/**
 * Takes the RTT samples of an ACK: `seqRttUs` of what was acknowledged in order, `sackRttUs` of what
 * was SACKed, `caRttUs` of the last segment delivered. False when there was none to use.
 *
 * Karn's rule is kept by the callers, who give -1 for retransmitted segments; then only a timestamp
 * tells which transmission was answered.
 * @kernel tcp_ack_update_rtt net/ipv4/tcp_input.c
 * @rfc 6298#3
 */
export function tcpAckUpdateRtt(
  sk: Sock,
  flag: number,
  seqRttUs: number,
  sackRttUs: number,
  caRttUs: number,
  rs: RateSample,
): boolean {
  const tp = tcpSk(sk);
  let seqRtt = seqRttUs < 0 ? sackRttUs : seqRttUs;
  let caRtt = caRttUs;
  if (seqRtt < 0 && tp.rxOpt.sawTstamp && tp.rxOpt.rcvTsecr !== 0 && (flag & FLAG_ACKED) !== 0) {
    seqRtt = tcpRttTsoptUs(tp, 1);
    caRtt = seqRtt;
  }
  rs.rttUs = caRtt;
  if (seqRtt < 0) return false;

  // From here on caRtt is not negative: it belongs to the same or a later segment.
  tcpUpdateRttMin(sk, caRtt, flag);
  tcpRttEstimator(sk, seqRtt);
  tcpSetRto(sk);
  tp.icskBackoff = 0;
  return true;
}

/**
 * The RTT between our SYN-ACK and its ACK, when it was sent once.
 * @kernel tcp_synack_rtt_meas net/ipv4/tcp_input.c
 */
export function tcpSynackRttMeas(sk: Sock, req: RequestSock | null): void {
  let rttUs = -1;
  if (req !== null && req.numRetrans === 0 && req.sntSynack !== 0) {
    rttUs = tcpStampUsDelta(tcpClockUs(sk.net.machine), req.sntSynack);
  }
  const st = tcpSacktagStateGet(sk.net.machine);
  tcpAckUpdateRtt(sk, FLAG_SYN_ACKED, rttUs, -1, rttUs, st.rate);
  tcpSacktagStatePut(sk.net.machine);
}

/**
 * Sets the retransmit timer for what is now outstanding.
 * @kernel tcp_rearm_rto net/ipv4/tcp_input.c
 * @rfc 6298#5
 */
export function tcpRearmRto(sk: Sock): void {
  const tp = tcpSk(sk);
  // The SYN-ACK of a Fast Open request has its own timer.
  if (tp.fastopenRsk !== null) return;
  if (tp.packetsOut === 0) {
    inetCskClearXmitTimer(sk, ICSK_TIME_RETRANS);
    return;
  }
  let rto = tp.icskRto;
  if (tp.icskPending === ICSK_TIME_REO_TIMEOUT || tp.icskPending === ICSK_TIME_LOSS_PROBE) {
    // These replaced the RTO some time ago; what has passed since counts.
    rto = usecsToJiffies(Math.max(tcpRtoDeltaUs(sk), 1));
  }
  tcpResetXmitTimer(sk, ICSK_TIME_RETRANS, rto, true);
}

/** A record for one ACK, cleared. Give it back in reverse order. */
export function tcpSacktagStateGet(machine: Machine): TcpSacktagState {
  const globals = machine.netGlobals;
  const depth = globals.tcpSacktagDepth++;
  let st = globals.tcpSacktagStates[depth];
  if (st === undefined) {
    st = new TcpSacktagState();
    globals.tcpSacktagStates.push(st);
  }
  st.flag = 0;
  st.firstSackt = 0;
  st.lastSackt = 0;
  st.reord = 0;
  st.sackDelivered = 0;
  st.deliveredBytes = 0;
  st.mssNow = 0;
  st.rexmit = REXMIT_NONE;
  rateSampleReset(st.rate);
  return st;
}

export function tcpSacktagStatePut(machine: Machine): void {
  machine.netGlobals.tcpSacktagDepth--;
}

function rateSampleReset(rs: RateSample): void {
  rs.priorMstamp = 0;
  rs.priorDelivered = 0;
  rs.priorDeliveredCe = 0;
  rs.delivered = 0;
  rs.deliveredCe = 0;
  rs.intervalUs = 0;
  rs.sndIntervalUs = 0;
  rs.rcvIntervalUs = 0;
  rs.rttUs = 0;
  rs.losses = 0;
  rs.ackedSacked = 0;
  rs.priorInFlight = 0;
  rs.lastEndSeq = 0;
  rs.isAppLimited = false;
  rs.isRetrans = false;
  rs.isAckDelayed = false;
}
