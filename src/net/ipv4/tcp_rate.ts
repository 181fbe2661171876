/**
 * The delivery rate estimator: for each ACK, how many segments arrived in which time.
 *
 * Counterpart: net/ipv4/tcp_rate.c. draft-cheng-iccrg-delivery-rate-estimation. Each packet notes at
 * transmission what had been delivered by then; when it is acknowledged, the difference over the
 * longer of the send and the ACK interval is a rate sample that neither ACK compression nor send
 * bursts inflate.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { RateSample } from '#include/linux/tcp.ts';
import type { Sock } from '#include/net/sock.ts';
import { TCPCB_RETRANS, TCPCB_SACKED_ACKED, tcpSk } from '#include/net/tcp.ts';
import {
  tcpMinRtt,
  tcpPacketsInFlight,
  tcpSkbTimestampUs,
  tcpSndCwnd,
  tcpStampUsDelta,
} from '#include/net/tcp_inlines.ts';
import { STALL_APPLICATION } from '#include/trace/events/packet.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { after } from '#lib/tcp_seq.ts';
import { skbTruesize } from '#net/core/skbuff.ts';
import { skWmemAllocGet } from '#net/core/sock.ts';

/** Was the first of two transmissions later? Ties are broken by sequence. @kernel tcp_skb_sent_after include/net/tcp.h */
export function tcpSkbSentAfter(t1: number, t2: number, seq1: number, seq2: number): boolean {
  return t1 > t2 || (t1 === t2 && after(seq1, seq2));
}

/**
 * Notes the state of delivery in a packet that is being sent.
 * @kernel tcp_rate_skb_sent net/ipv4/tcp_rate.c
 */
export function tcpRateSkbSent(sk: Sock, skb: SkBuff): void {
  const tp = tcpSk(sk);
  const scb = skb.tcpCb;
  if (tp.packetsOut === 0) {
    // After silence nothing was on its way: the sample begins with this packet.
    const tstampUs = tcpSkbTimestampUs(skb);
    tp.firstTxMstamp = tstampUs;
    tp.deliveredMstamp = tstampUs;
  }
  scb.firstTxMstamp = tp.firstTxMstamp;
  scb.deliveredMstamp = tp.deliveredMstamp;
  scb.delivered = tp.delivered;
  scb.deliveredCe = tp.deliveredCe;
  scb.isAppLimited = tp.appLimited !== 0;
}

/**
 * A packet was acknowledged or SACKed: the most recently sent one gives the sample.
 * @kernel tcp_rate_skb_delivered net/ipv4/tcp_rate.c
 */
export function tcpRateSkbDelivered(sk: Sock, skb: SkBuff, rs: RateSample): void {
  const tp = tcpSk(sk);
  const scb = skb.tcpCb;
  if (scb.deliveredMstamp === 0) return;
  const txTstamp = tcpSkbTimestampUs(skb);
  if (
    rs.priorDelivered === 0 ||
    tcpSkbSentAfter(txTstamp, tp.firstTxMstamp, scb.endSeq, rs.lastEndSeq)
  ) {
    rs.priorDeliveredCe = scb.deliveredCe;
    rs.priorDelivered = scb.delivered;
    rs.priorMstamp = scb.deliveredMstamp;
    rs.isAppLimited = scb.isAppLimited;
    rs.isRetrans = (scb.sacked & TCPCB_RETRANS) !== 0;
    rs.lastEndSeq = scb.endSeq;
    tp.firstTxMstamp = txTstamp;
    rs.intervalUs = tcpStampUsDelta(txTstamp, scb.firstTxMstamp);
  }
  // A SACKed packet will be seen once more by the cumulative ACK; it must count once.
  if ((scb.sacked & TCPCB_SACKED_ACKED) !== 0) scb.deliveredMstamp = 0;
}

/**
 * Completes the sample of an ACK. `delivered` and `lost` are this ACK's segments.
 * @kernel tcp_rate_gen net/ipv4/tcp_rate.c
 */
export function tcpRateGen(
  sk: Sock,
  delivered: number,
  lost: number,
  isSackReneg: boolean,
  rs: RateSample,
): void {
  const tp = tcpSk(sk);
  if (tp.appLimited !== 0 && after(tp.delivered, tp.appLimited)) tp.appLimited = 0;
  if (delivered !== 0) tp.deliveredMstamp = tp.tcpMstamp;
  rs.ackedSacked = delivered;
  rs.losses = lost;
  // Reneging makes the count of delivered segments meaningless.
  if (rs.priorMstamp === 0 || isSackReneg) {
    rs.delivered = -1;
    rs.intervalUs = -1;
    return;
  }
  rs.delivered = (tp.delivered - rs.priorDelivered) | 0;
  rs.deliveredCe = (tp.deliveredCe - rs.priorDeliveredCe) & 0xfffff;
  const sndUs = rs.intervalUs;
  const ackUs = tcpStampUsDelta(tp.tcpMstamp, rs.priorMstamp);
  rs.intervalUs = Math.max(sndUs, ackUs);
  rs.sndIntervalUs = sndUs;
  rs.rcvIntervalUs = ackUs;
  // Faster than the path has ever been: a wrongly attributed retransmission, not a measurement.
  if (rs.intervalUs < tcpMinRtt(tp)) {
    rs.intervalUs = -1;
    return;
  }
  if (!rs.isAppLimited || rs.delivered * tp.rateIntervalUs >= tp.rateDelivered * rs.intervalUs) {
    tp.rateDelivered = rs.delivered;
    tp.rateIntervalUs = rs.intervalUs;
    tp.rateAppLimited = rs.isAppLimited;
  }
}

/**
 * Marks the connection as limited by the application when it has nothing to send while the network
 * would take more.
 * @kernel tcp_rate_check_app_limited net/ipv4/tcp_rate.c
 */
export function tcpRateCheckAppLimited(sk: Sock): void {
  const tp = tcpSk(sk);
  if (
    ((tp.writeSeq - tp.sndNxt) | 0) < tp.mssCache &&
    skWmemAllocGet(sk) < skbTruesize(1) &&
    tcpPacketsInFlight(tp) < tcpSndCwnd(tp) &&
    tp.lostOut <= tp.retransOut
  ) {
    const mark = tp.delivered + tcpPacketsInFlight(tp);
    tp.appLimited = mark !== 0 ? mark : 1;
    if (tracepointKey.enabled)
      sk.net.machine.trace.packet.tcpSendStall.probe?.(sk, null, STALL_APPLICATION);
  }
}
