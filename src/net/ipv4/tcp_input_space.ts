/**
 * The send buffer: its growth with the window, and the wake-up of writers who found it full.
 *
 * Counterpart: tcp_check_space and its helpers of net/ipv4/tcp_input.c.
 */
import { SOCK_NOSPACE } from '#include/linux/net.ts';
import { SIZEOF_SK_BUFF, SIZEOF_SKB_SHARED_INFO } from '#include/linux/skbuff.ts';
import { TCP_CHRONO_SNDBUF_LIMITED } from '#include/linux/tcp.ts';
import type { Sock } from '#include/net/sock.ts';
import { MAX_TCP_HEADER, TCP_INIT_CWND, tcpSk } from '#include/net/tcp.ts';
import {
  skUnusedReservedMem,
  tcpJiffies32,
  tcpPacketsInFlight,
  tcpSndCwnd,
  tcpUnderMemoryPressure,
} from '#include/net/tcp_inlines.ts';
import { roundupPowOfTwo } from '#lib/bitmap.ts';
import { skbDataAlign } from '#net/core/skbuff.ts';
import { tcpCaOps } from '#net/ipv4/tcp_input_cwnd.ts';
import { tcpChronoStop } from '#net/ipv4/tcp_output_chrono.ts';
import { SOCK_MIN_SNDBUF, SOCK_SNDBUF_LOCK } from '#uapi/socket.ts';

// ---- Send buffer -------------------------------------------------------------------------------

/**
 * Room for twice the window, each segment in a packet of its own.
 * @kernel tcp_sndbuf_expand net/ipv4/tcp_input.c
 */
export function tcpSndbufExpand(sk: Sock): void {
  const tp = tcpSk(sk);
  const ops = tcpCaOps(tp);
  const mss = Math.max(tp.rxOpt.mssClamp, tp.mssCache);
  const head = roundupPowOfTwo(mss + MAX_TCP_HEADER + skbDataAlign(SIZEOF_SKB_SHARED_INFO));
  const perMss = head + skbDataAlign(SIZEOF_SK_BUFF);
  const nrSegs = Math.max(TCP_INIT_CWND, tcpSndCwnd(tp), tp.reordering + 1);
  const factor = ops.sndbufExpand !== null ? ops.sndbufExpand(tp) : 2;
  const sndmem = factor * nrSegs * perMss;
  if (sk.skSndbuf < sndmem) sk.skSndbuf = Math.min(sndmem, sk.net.ipv4.sysctlTcpWmem[2]);
}

/** @kernel tcp_should_expand_sndbuf net/ipv4/tcp_input.c */
function tcpShouldExpandSndbuf(sk: Sock): boolean {
  const tp = tcpSk(sk);
  if ((sk.skUserlocks & SOCK_SNDBUF_LOCK) !== 0) return false;
  if (tcpUnderMemoryPressure(sk)) {
    const unused = skUnusedReservedMem(sk);
    if (unused > SOCK_MIN_SNDBUF) sk.skSndbuf = unused;
    return false;
  }
  if (tcpMemoryAboveLow(sk)) return false;
  // Filled by the window, not by the buffer.
  return tcpPacketsInFlight(tp) < tcpSndCwnd(tp);
}

/** Does TCP use more than the first limit of tcp_mem? @kernel sk_memory_allocated include/net/sock.h */
export function tcpMemoryAboveLow(sk: Sock): boolean {
  const memory = sk.skProt.memory(sk.net);
  return memory !== null && memory.memoryAllocated >= memory.sysctlMem[0];
}

/** @kernel tcp_new_space net/ipv4/tcp_input.c */
function tcpNewSpace(sk: Sock): void {
  if (tcpShouldExpandSndbuf(sk)) {
    tcpSndbufExpand(sk);
    tcpSk(sk).sndCwndStamp = tcpJiffies32(sk);
  }
  sk.skWriteSpace(sk);
}

/**
 * Packets left the send queue: wakes a writer who found it full.
 * @kernel tcp_check_space net/ipv4/tcp_input.c
 */
export function tcpCheckSpace(sk: Sock): void {
  const socket = sk.skSocket;
  if (socket === null || (socket.flags & (1 << SOCK_NOSPACE)) === 0) return;
  tcpNewSpace(sk);
  if ((socket.flags & (1 << SOCK_NOSPACE)) === 0) tcpChronoStop(sk, TCP_CHRONO_SNDBUF_LIMITED);
}
