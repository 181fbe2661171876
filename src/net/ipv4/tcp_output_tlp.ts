/**
 * When to send a tail loss probe. Counterpart of tcp_schedule_loss_probe in net/ipv4/tcp_output.c; the
 * probe itself is in tcp_output_rtx.ts. RFC 8985#7.
 */
import { ICSK_TIME_LOSS_PROBE } from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import { TCP_TIMEOUT_INIT, TCP_TIMEOUT_MIN_US, tcpSk } from '#include/net/tcp.ts';
import { tcpIsSack, tcpRtoMinUs } from '#include/net/tcp_inlines.ts';
import { tcpRtoDeltaUs } from '#include/net/tcp_queue.ts';
import { usecsToJiffies } from '#kernel/time/jiffies.ts';
import { tcpResetXmitTimer } from '#net/ipv4/inet_connection_sock_timer.ts';
import { TCP_CA_CWR, TCP_CA_Open } from '#uapi/tcp.ts';

/**
 * Arms the probe timer after two round trips, in place of the RTO when that is later. `advancingRto`:
 * the RTO restarts now. True when armed.
 * @kernel tcp_schedule_loss_probe net/ipv4/tcp_output.c
 * @rfc 8985#7.2
 */
export function tcpScheduleLossProbe(sk: Sock, advancingRto: boolean): boolean {
  const tp = tcpSk(sk);
  if (tp.fastopenRsk !== null) return false;
  const early = sk.net.ipv4.sysctlTcpEarlyRetrans;
  if (
    (early !== 3 && early !== 4) ||
    tp.packetsOut === 0 ||
    !tcpIsSack(tp) ||
    (tp.icskCaState !== TCP_CA_Open && tp.icskCaState !== TCP_CA_CWR)
  ) {
    return false;
  }
  let timeout = TCP_TIMEOUT_INIT;
  if (tp.srttUs !== 0) {
    // A lone segment's ACK may be delayed by as much as the smallest RTO.
    const slack = tp.packetsOut === 1 ? tcpRtoMinUs(sk) : TCP_TIMEOUT_MIN_US;
    timeout = usecsToJiffies((tp.srttUs >>> 2) + slack);
  }
  const rtoDeltaUs = advancingRto ? tp.icskRto * 1000 : tcpRtoDeltaUs(sk);
  if (rtoDeltaUs > 0) timeout = Math.min(timeout, usecsToJiffies(rtoDeltaUs));
  tcpResetXmitTimer(sk, ICSK_TIME_LOSS_PROBE, timeout, true);
  return true;
}
