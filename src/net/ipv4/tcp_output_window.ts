/**
 * The receive window that segments offer.
 *
 * Counterpart of tcp_select_initial_window, __tcp_select_window and tcp_select_window in
 * net/ipv4/tcp_output.c. RFC 9293#3.8.6.2.2 (silly windows), RFC 7323#2 (scaling). The window follows
 * the free receive memory, moves in steps that make the sender send full segments, and never takes
 * back what was offered unless net.ipv4.tcp_shrink_window says so.
 */
import { ICSK_ACK_NOMEM } from '#include/net/inet_connection_sock.ts';
import { netIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import { MAX_TCP_WINDOW, TCP_MAX_WSCALE, tcpSk } from '#include/net/tcp.ts';
import {
  tcpAdjustRcvSsthresh,
  tcpFullSpace,
  tcpReceiveWindow,
  tcpSpace,
  tcpUnderMemoryPressure,
} from '#include/net/tcp_inlines.ts';
import {
  LINUX_MIB_TCPFROMZEROWINDOWADV,
  LINUX_MIB_TCPTOZEROWINDOWADV,
  LINUX_MIB_TCPWANTZEROWINDOWADV,
} from '#uapi/snmp.ts';

const U16_MAX = 65535;

/** What tcpSelectInitialWindow() chose. */
export interface InitialWindow {
  readonly rcvWnd: number;
  readonly windowClamp: number;
  readonly rcvWscale: number;
}

function alignUp(x: number, shift: number): number {
  const unit = 1 << shift;
  return Math.ceil(x / unit) * unit;
}

function roundDown(x: number, shift: number): number {
  return (x >> shift) << shift;
}

/**
 * First window and scale factor of a connection with `space` bytes of buffer.
 * `windowClamp` 0: no limit; `initRcvWnd`: window in segments from the route, 0: none.
 * @kernel tcp_select_initial_window net/ipv4/tcp_output.c
 */
export function tcpSelectInitialWindow(
  sk: Sock,
  space: number,
  mss: number,
  windowClamp: number,
  wscaleOk: boolean,
  initRcvWnd: number,
): InitialWindow {
  const { ipv4 } = sk.net;
  const clamp = windowClamp === 0 ? U16_MAX * (1 << TCP_MAX_WSCALE) : windowClamp;
  let room = Math.min(clamp, Math.max(space, 0));
  if (room > mss) room -= room % mss;
  let rcvWnd = ipv4.sysctlTcpWorkaroundSignedWindows !== 0 ? Math.min(room, MAX_TCP_WINDOW) : room;
  if (initRcvWnd !== 0) rcvWnd = Math.min(rcvWnd, initRcvWnd * mss);
  let rcvWscale = 0;
  if (wscaleOk) {
    // The scale is fixed for ever, so it fits the largest buffer that may come.
    const largest = Math.max(room, ipv4.sysctlTcpRmem[2], sk.net.sysctlRmemMax);
    const log2 = 31 - Math.clz32(Math.min(largest, clamp));
    rcvWscale = Math.min(Math.max(log2 - 15, 0), TCP_MAX_WSCALE);
  }
  return { rcvWnd, windowClamp: Math.min(U16_MAX * (1 << rcvWscale), clamp), rcvWscale };
}

/** With net.ipv4.tcp_shrink_window the window follows memory down too. RFC 7323#2.4 warns of it. */
function selectShrinkingWindow(
  sk: Sock,
  space: number,
  fullSpace: number,
  allowed: number,
  mss: number,
): number {
  const tp = tcpSk(sk);
  const { rcvWscale } = tp.rxOpt;
  const free = roundDown(space, rcvWscale);
  if (free < fullSpace >> 1) {
    tp.ackQuick = 0;
    if (tcpUnderMemoryPressure(sk)) tcpAdjustRcvSsthresh(sk);
    if (free < allowed >> 4 || free < mss || free < 1 << rcvWscale) return 0;
  }
  if (free > tp.rcvSsthresh) return alignUp(tp.rcvSsthresh, rcvWscale);
  return free;
}

/** The window that memory suggests, in bytes. @kernel __tcp_select_window net/ipv4/tcp_output.c @rfc 9293#3.8.6.2.2 */
export function __tcpSelectWindow(sk: Sock): number {
  const tp = tcpSk(sk);
  const { rcvWscale } = tp.rxOpt;
  let mss = tp.ackRcvMss;
  let free = tcpSpace(sk);
  const allowed = tcpFullSpace(sk);
  const fullSpace = Math.min(tp.windowClamp, allowed);
  if (mss > fullSpace) {
    mss = fullSpace;
    if (mss <= 0) return 0;
  }
  if (sk.net.ipv4.sysctlTcpShrinkWindow !== 0 && rcvWscale !== 0) {
    return selectShrinkingWindow(sk, free, fullSpace, allowed, mss);
  }
  if (free < fullSpace >> 1) {
    tp.ackQuick = 0;
    if (tcpUnderMemoryPressure(sk)) tcpAdjustRcvSsthresh(sk);
    free = roundDown(free, rcvWscale);
    // Close it before the memory is gone: what is in flight must still find room.
    if (free < allowed >> 4 || free < mss) return 0;
  }
  if (free > tp.rcvSsthresh) free = tp.rcvSsthresh;
  // A scaled window cannot end on a segment boundary; rounding up keeps it from scaling to 0.
  if (rcvWscale !== 0) return alignUp(free, rcvWscale);
  const window = tp.rcvWnd;
  if (window <= free - mss || window > free) return free - (free % mss);
  if (mss === fullSpace && free > window + (fullSpace >> 1)) return free;
  return window;
}

/** The window field of the next segment; notes what was offered. @kernel tcp_select_window net/ipv4/tcp_output.c */
export function tcpSelectWindow(sk: Sock): number {
  const tp = tcpSk(sk);
  const { net } = sk;
  const { rcvWscale } = tp.rxOpt;
  // Data had to be thrown away for want of memory: say so.
  if ((tp.ackPending & ICSK_ACK_NOMEM) !== 0) {
    tp.predFlags = 0;
    tp.rcvWnd = 0;
    tp.rcvWup = tp.rcvNxt;
    return 0;
  }
  const oldWin = tp.rcvWnd;
  const curWin = tcpReceiveWindow(tp);
  let newWin = __tcpSelectWindow(sk);
  if (newWin < curWin && (net.ipv4.sysctlTcpShrinkWindow === 0 || rcvWscale === 0)) {
    if (newWin === 0) netIncStats(net, LINUX_MIB_TCPWANTZEROWINDOWADV);
    newWin = alignUp(curWin, rcvWscale);
  }
  tp.rcvWnd = newWin;
  tp.rcvWup = tp.rcvNxt;
  const signed = rcvWscale === 0 && net.ipv4.sysctlTcpWorkaroundSignedWindows !== 0;
  newWin = Math.min(newWin, signed ? MAX_TCP_WINDOW : U16_MAX * (1 << rcvWscale));
  newWin >>= rcvWscale;
  if (newWin === 0) {
    tp.predFlags = 0;
    if (oldWin !== 0) netIncStats(net, LINUX_MIB_TCPTOZEROWINDOWADV);
  } else if (oldWin === 0) {
    netIncStats(net, LINUX_MIB_TCPFROMZEROWINDOWADV);
  }
  return newWin;
}
