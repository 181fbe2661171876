/**
 * What a connection starts with when nothing is known about its destination.
 *
 * Counterpart: net/ipv4/tcp_metrics.c, without the cache.
 */
import type { Sock } from '#include/net/sock.ts';
import { TCP_INFINITE_SSTHRESH, TCP_TIMEOUT_FALLBACK, tcpSk } from '#include/net/tcp.ts';
import { HZ } from '#kernel/param.ts';
import { skDstConfirm } from '#net/core/sock.ts';

/**
 * @kernel tcp_init_metrics net/ipv4/tcp_metrics.c
 * @deviation no destination is remembered, as with net.ipv4.tcp_no_metrics_save
 */
export function tcpInitMetrics(sk: Sock): void {
  const tp = tcpSk(sk);
  skDstConfirm(sk);
  // A timeout in the handshake may have lowered it, which says nothing about the data to come.
  tp.sndSsthresh = TCP_INFINITE_SSTHRESH;
  if (tp.srttUs !== 0) return;
  // No valid sample from the handshake, which was retransmitted: RFC 6298#5.7 wants three seconds.
  tp.rttvarUs = TCP_TIMEOUT_FALLBACK * (1000000 / HZ);
  tp.mdevUs = tp.rttvarUs;
  tp.mdevMaxUs = tp.rttvarUs;
  tp.icskRto = TCP_TIMEOUT_FALLBACK;
}
