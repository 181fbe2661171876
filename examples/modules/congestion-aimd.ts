/**
 * A congestion control of one's own: additive increase by `A` segments a round trip, multiplicative
 * decrease to 7/8, and out of slow start when the RTT has grown by half. docs/networking/tcp-congestion.md
 * explains it line by line.
 */
import type { TcpSock } from 'softnet/include/linux/tcp';
import { TCP_CONG_NON_RESTRICTED, type TcpCongestionOps } from 'softnet/include/net/tcp';
import { tcpInSlowStart, tcpIsCwndLimited, tcpSndCwnd } from 'softnet/include/net/tcp_inlines';
import { tcpCongAvoidAi, tcpRenoUndoCwnd, tcpSlowStart } from 'softnet/net/ipv4/tcp_cong';

/** Segments by which the window grows each round trip. */
const A = 4;

/** What a connection remembers. Made once, so that no ACK allocates. */
class Aimd {
  /** Smallest RTT so far, in us; 0: none yet. */
  minRttUs = 0;
}

function aimd(sk: TcpSock): Aimd {
  if (sk.icskCaPriv === null) sk.icskCaPriv = new Aimd();
  return sk.icskCaPriv as Aimd;
}

function init(sk: TcpSock): void {
  sk.icskCaPriv = new Aimd();
}

/** Each ACK, outside of recovery. */
function congAvoid(sk: TcpSock, _ack: number, acked: number): void {
  // A window that was not used has proved nothing.
  if (!tcpIsCwndLimited(sk)) return;
  let left = acked;
  if (tcpInSlowStart(sk)) {
    left = tcpSlowStart(sk, left);
    if (left === 0) return;
  }
  // One segment more for each cwnd / A segments acknowledged.
  tcpCongAvoidAi(sk, Math.max(Math.floor(tcpSndCwnd(sk) / A), 1), left);
}

/** Each ACK with an RTT sample; `rttUs` is negative when there is none. */
function pktsAcked(sk: TcpSock, _acked: number, rttUs: number, _inFlight: number): void {
  if (rttUs < 0) return;
  const ca = aimd(sk);
  if (ca.minRttUs === 0 || rttUs < ca.minRttUs) ca.minRttUs = rttUs;
  if (tcpInSlowStart(sk) && rttUs * 2 > ca.minRttUs * 3) sk.sndSsthresh = tcpSndCwnd(sk);
}

/** A loss or a mark: the window to go down to. */
function ssthresh(sk: TcpSock): number {
  return Math.max(Math.floor((tcpSndCwnd(sk) * 7) / 8), 2);
}

export const aimdOps: TcpCongestionOps = {
  name: 'aimd',
  flags: TCP_CONG_NON_RESTRICTED,
  init,
  congAvoid,
  pktsAcked,
  ssthresh,
  undoCwnd: tcpRenoUndoCwnd,
  setState: null,
  cwndEvent: null,
  inAckEvent: null,
  minTsoSegs: null,
  congControl: null,
  sndbufExpand: null,
  getInfo: null,
  release: null,
};
