/**
 * The beginning and the end of connections for what is remembered of destinations, whether anything
 * is or not. Counterpart of tcp_init_metrics and tcp_update_metrics of net/ipv4/tcp_metrics.c.
 */

import type { DstEntry } from '#include/net/dst.ts';
import type { RequestSock } from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import { TCP_INFINITE_SSTHRESH, TCP_TIMEOUT_FALLBACK, tcpSk } from '#include/net/tcp.ts';
import { tcpRtoMin } from '#include/net/tcp_inlines.ts';
import { HZ } from '#kernel/param.ts';
import { skDstConfirm } from '#net/core/sock.ts';

const US_PER_JIFFY = 1_000_000 / HZ;

/**
 * What a connection starts with. SYNs are small, so that their round trip time is a poor guide to
 * that of data: a larger one from the cache sets the first RTO, without becoming a sample.
 * @kernel tcp_init_metrics net/ipv4/tcp_metrics.c
 */
export function tcpInitMetrics(sk: Sock): void {
  const tp = tcpSk(sk);
  skDstConfirm(sk);
  // A timeout in the handshake may have lowered it, which says nothing about the data to come.
  tp.sndSsthresh = TCP_INFINITE_SSTHRESH;
  const crtt = sk.net.machine.netGlobals.tcpMetrics?.apply(tp) ?? 0;
  if (crtt > tp.srttUs) {
    const rtt = Math.floor(crtt / (8 * US_PER_JIFFY));
    tp.icskRto = rtt + Math.max(2 * rtt, tcpRtoMin(sk));
  } else if (tp.srttUs === 0) {
    // No valid sample from the handshake, which was retransmitted: RFC 6298#5.7 wants three seconds.
    tp.rttvarUs = TCP_TIMEOUT_FALLBACK * US_PER_JIFFY;
    tp.mdevUs = tp.rttvarUs;
    tp.mdevMaxUs = tp.rttvarUs;
    tp.icskRto = TCP_TIMEOUT_FALLBACK;
  }
}

/** Keeps what a connection has learned. @kernel tcp_update_metrics net/ipv4/tcp_metrics.c */
export function tcpUpdateMetrics(sk: Sock): void {
  skDstConfirm(sk);
  sk.net.machine.netGlobals.tcpMetrics?.update(sk);
}

/** Has a connection to the sender of this SYN ever been completed? @kernel tcp_peer_is_proven net/ipv4/tcp_metrics.c */
export function tcpPeerIsProven(req: RequestSock, dst: DstEntry): boolean {
  return req.net.machine.netGlobals.tcpMetrics?.peerIsProven(req, dst) ?? false;
}
