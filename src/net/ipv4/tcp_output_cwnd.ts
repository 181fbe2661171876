/**
 * How much may be sent now: congestion window, peer's window, Nagle, and the upkeep of a window that
 * is not used in full. Pure tests but for the validation at the end.
 *
 * Counterpart of the tests of net/ipv4/tcp_output.c. RFC 5681, 7661 (validation of the window), 896
 * (Nagle, with Minshall's change: only a small segment in flight holds back another).
 */
import { SOCK_NOSPACE } from '#include/linux/net.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { TCP_CHRONO_SNDBUF_LIMITED, type TcpSock } from '#include/linux/tcp.ts';
import { inetCsk } from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import { TCP_NAGLE_CORK, TCP_NAGLE_PUSH, TCPHDR_FIN, tcpSk } from '#include/net/tcp.ts';
import {
  tcpCurrentSsthresh,
  tcpIsCwndLimited,
  tcpMinRtt,
  tcpPacketsInFlight,
  tcpSndCwnd,
  tcpSndCwndSet,
  tcpWndEnd,
} from '#include/net/tcp_inlines.ts';
import { tcpSkbPcount, tcpWriteQueueEmpty, tcpWriteQueueTail } from '#include/net/tcp_queue.ts';
import { after, before } from '#lib/tcp_seq.ts';
import { tcpInitCwnd } from '#net/ipv4/tcp_input_rtt.ts';
import { tcpUrgMode } from '#net/ipv4/tcp_output.ts';
import { tcpChronoStart } from '#net/ipv4/tcp_output_chrono.ts';
import { TCP_CA_Open, TCPF_CLOSE_WAIT, TCPF_ESTABLISHED } from '#uapi/tcp.ts';

function noSpace(sk: Sock): boolean {
  return sk.skSocket !== null && (sk.skSocket.flags & (1 << SOCK_NOSPACE)) !== 0;
}

/** The program sends less than it may: lets the window come down halfway. @kernel tcp_cwnd_application_limited net/ipv4/tcp_output.c @rfc 7661#4 */
function tcpCwndApplicationLimited(sk: Sock): void {
  const tp = tcpSk(sk);
  if (tp.icskCaState === TCP_CA_Open && sk.skSocket !== null && !noSpace(sk)) {
    const winUsed = Math.max(tp.sndCwndUsed, tcpInitCwnd(tp, sk.skDstCache));
    const cwnd = tcpSndCwnd(tp);
    if (winUsed < cwnd) {
      tp.sndSsthresh = tcpCurrentSsthresh(sk);
      tcpSndCwndSet(tp, (cwnd + winUsed) >> 1);
    }
    tp.sndCwndUsed = 0;
  }
  tp.sndCwndStamp = sk.net.machine.jiffies;
}

/** Notes after each burst how far the window is used. @kernel tcp_cwnd_validate net/ipv4/tcp_output.c */
export function tcpCwndValidate(sk: Sock, isCwndLimited: boolean): void {
  const tp = tcpSk(sk);
  const now = sk.net.machine.jiffies;
  // Once limited in this window of data it stays noted; else the largest flight is.
  if (
    !before(tp.sndUna, tp.cwndUsageSeq) ||
    isCwndLimited ||
    (!tp.isCwndLimited && tp.packetsOut > tp.maxPacketsOut)
  ) {
    tp.isCwndLimited = isCwndLimited;
    tp.maxPacketsOut = tp.packetsOut;
    tp.cwndUsageSeq = tp.sndNxt;
  }
  if (tcpIsCwndLimited(sk)) {
    tp.sndCwndUsed = 0;
    tp.sndCwndStamp = now;
    return;
  }
  if (tp.packetsOut > tp.sndCwndUsed) tp.sndCwndUsed = tp.packetsOut;
  if (
    sk.net.ipv4.sysctlTcpSlowStartAfterIdle !== 0 &&
    ((now - tp.sndCwndStamp) | 0) >= tp.icskRto &&
    tp.icskCaOps!.congControl === null
  ) {
    tcpCwndApplicationLimited(sk);
  }
  // Sent, not limited by cwnd, nothing left, and the program waits for room: the buffer is small.
  if (
    tcpWriteQueueEmpty(sk) &&
    noSpace(sk) &&
    ((1 << sk.skcState) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT)) !== 0
  ) {
    tcpChronoStart(sk, TCP_CHRONO_SNDBUF_LIMITED);
  }
}

// ---- Nagle -------------------------------------------------------------------------------------

/** Is a small segment in flight? @kernel tcp_minshall_check net/ipv4/tcp_output.c */
function tcpMinshallCheck(tp: TcpSock): boolean {
  return after(tp.sndSml, tp.sndUna) && !after(tp.sndSml, tp.sndNxt);
}

/** @kernel tcp_minshall_update net/ipv4/tcp_output.c */
export function tcpMinshallUpdate(tp: TcpSock, mssNow: number, skb: SkBuff): void {
  if (skb.len < tcpSkbPcount(skb) * mssNow) tp.sndSml = skb.tcpCb.endSeq;
}

/** Must a partial segment wait? @kernel tcp_nagle_check net/ipv4/tcp_output.c @rfc 9293#3.7.4 */
function tcpNagleCheck(partial: boolean, tp: TcpSock, nonagle: number): boolean {
  return (
    partial &&
    ((nonagle & TCP_NAGLE_CORK) !== 0 ||
      (nonagle === 0 && tp.packetsOut !== 0 && tcpMinshallCheck(tp)))
  );
}

/** May the packet go as far as Nagle is concerned? @kernel tcp_nagle_test net/ipv4/tcp_output.c */
export function tcpNagleTest(tp: TcpSock, skb: SkBuff, curMss: number, nonagle: number): boolean {
  if ((nonagle & TCP_NAGLE_PUSH) !== 0) return true;
  if (tcpUrgMode(tp) || (skb.tcpCb.tcpFlags & TCPHDR_FIN) !== 0) return true;
  return !tcpNagleCheck(skb.len < curMss, tp, nonagle);
}

// ---- Windows -----------------------------------------------------------------------------------

/** Does the first segment of the packet fit the peer's window? @kernel tcp_snd_wnd_test net/ipv4/tcp_output.c */
export function tcpSndWndTest(tp: TcpSock, skb: SkBuff, curMss: number): boolean {
  const cb = skb.tcpCb;
  const endSeq = skb.len > curMss ? (cb.seq + curMss) | 0 : cb.endSeq;
  return !after(endSeq, tcpWndEnd(tp));
}

/** Segments that cwnd allows now, at most half of it in one packet. @kernel tcp_cwnd_test net/ipv4/tcp_output.c */
export function tcpCwndTest(tp: TcpSock): number {
  const inFlight = tcpPacketsInFlight(tp);
  const cwnd = tcpSndCwnd(tp);
  if (inFlight >= cwnd) return 0;
  return Math.min(Math.max(cwnd >> 1, 1), cwnd - inFlight);
}

/**
 * Segments that a packet should have: as many as leave in about 1 ms at the pacing rate, more on
 * short paths, where burstiness hurts nobody.
 * @kernel tcp_tso_autosize net/ipv4/tcp_output.c
 */
function tcpTsoAutosize(sk: Sock, mssNow: number, minTsoSegs: number): number {
  let bytes = Math.floor(sk.skPacingRate / (1 << sk.skPacingShift));
  const log = sk.net.ipv4.sysctlTcpTsoRttLog;
  const r = log < 32 ? tcpMinRtt(tcpSk(sk)) >>> log : 0;
  if (r < 32) bytes += sk.skGsoMaxSize >>> r;
  bytes = Math.min(bytes, sk.skGsoMaxSize);
  return Math.max(Math.floor(bytes / mssNow), minTsoSegs);
}

/** @kernel tcp_tso_segs net/ipv4/tcp_output.c */
export function tcpTsoSegs(sk: Sock, mssNow: number): number {
  const ops = inetCsk(sk).icskCaOps!;
  const minTso =
    ops.minTsoSegs !== null ? ops.minTsoSegs(tcpSk(sk)) : sk.net.ipv4.sysctlTcpMinTsoSegs;
  return Math.min(tcpTsoAutosize(sk, mssNow, minTso), sk.skGsoMaxSegs);
}

/** Bytes of the packet to send now. @kernel tcp_mss_split_point net/ipv4/tcp_output.c */
export function tcpMssSplitPoint(
  sk: Sock,
  skb: SkBuff,
  mssNow: number,
  maxSegs: number,
  nonagle: number,
): number {
  const tp = tcpSk(sk);
  const window = (tcpWndEnd(tp) - skb.tcpCb.seq) >>> 0;
  const maxLen = mssNow * maxSegs;
  if (maxLen <= window && skb !== tcpWriteQueueTail(sk)) return maxLen;
  const needed = Math.min(skb.len, window);
  if (maxLen <= needed) return maxLen;
  const partial = needed % mssNow;
  return tcpNagleCheck(partial !== 0, tp, nonagle) ? needed - partial : needed;
}
