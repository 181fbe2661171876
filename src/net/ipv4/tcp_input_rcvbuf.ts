/**
 * Receive memory and the window made of it: how much of a buffer becomes window, when both grow
 * (dynamic right-sizing), and when they shrink.
 *
 * Counterpart: the buffer tuning parts of net/ipv4/tcp_input.c. W. Feng et al., "Dynamic
 * Right-Sizing in FTP" (receive buffer of twice what the user reads in a round trip).
 */
import { type SkBuff, skbEndOffset, skbHeadlen } from '#include/linux/skbuff.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import { ICSK_ACK_PUSHED, ICSK_ACK_PUSHED2 } from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import { TCP_INIT_CWND, tcpSk } from '#include/net/tcp.ts';
import {
  __tcpAdjustRcvSsthresh,
  TCP_RMEM_TO_WIN_SCALE,
  tcpAdjustRcvSsthresh,
  tcpFullSpace,
  tcpJiffies32,
  tcpSpace,
  tcpSpaceFromWin,
  tcpStampUsDelta,
  tcpUnderMemoryPressure,
  tcpWinFromSpace,
} from '#include/net/tcp_inlines.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { before } from '#lib/tcp_seq.ts';
import { view } from '#mm/memory.ts';
import { skbTruesize } from '#net/core/skbuff.ts';
import { tcpRttTsoptUs } from '#net/ipv4/tcp_input_rtt.ts';
import { tcpMemoryAboveLow, tcpSndbufExpand } from '#net/ipv4/tcp_input_space.ts';
import { tcpMstampRefresh } from '#net/ipv4/tcp_output.ts';
import { EINVAL } from '#uapi/errno.ts';
import { SOCK_MIN_RCVBUF, SOCK_RCVBUF_LOCK, SOCK_SNDBUF_LOCK } from '#uapi/socket.ts';
import {
  TCP_CLOSE,
  TCP_MIN_MSS,
  TCP_MSS_DEFAULT,
  TCPHDR_FIN,
  TCPHDR_PSH,
  TCPHDR_SYN,
  TCPHDR_URG,
  tcphdr,
} from '#uapi/tcp.ts';

// ---- Window slow start -------------------------------------------------------------------------

/** @kernel truesize_adjust net/ipv4/tcp_input.c */
function truesizeAdjust(adjust: boolean, skb: SkBuff): number {
  if (!adjust || skbHeadlen(skb) !== 0) return skb.truesize;
  const truesize = skb.truesize - skbTruesize(skbEndOffset(skb));
  return truesize < 0 ? skb.truesize : truesize;
}

/** Would packets of this overhead fit the buffer once it has grown? @kernel __tcp_grow_window net/ipv4/tcp_input.c */
function __tcpGrowWindow(sk: Sock, skb: SkBuff, skbtruesize: number): number {
  const tp = tcpSk(sk);
  let truesize = tcpWinFromSpace(sk, skbtruesize) >> 1;
  let window = tcpWinFromSpace(sk, sk.net.ipv4.sysctlTcpRmem[2]) >> 1;
  while (tp.rcvSsthresh <= window) {
    if (truesize <= skb.len) return 2 * tp.ackRcvMss;
    truesize >>= 1;
    window >>= 1;
  }
  return 0;
}

/**
 * Opens the window further as well-filled packets arrive. `adjust`: the packet's head was or will be
 * given back by coalescing.
 * @kernel tcp_grow_window net/ipv4/tcp_input.c
 */
export function tcpGrowWindow(sk: Sock, skb: SkBuff, adjust: boolean): void {
  const tp = tcpSk(sk);
  const room = Math.min(tp.windowClamp, tcpSpace(sk)) - tp.rcvSsthresh;
  if (room <= 0) return;
  if (tcpUnderMemoryPressure(sk)) {
    tcpAdjustRcvSsthresh(sk);
    return;
  }
  const truesize = truesizeAdjust(adjust, skb);
  let incr =
    tcpWinFromSpace(sk, truesize) <= skb.len ? 2 * tp.advmss : __tcpGrowWindow(sk, skb, truesize);
  if (incr !== 0) {
    incr = Math.max(incr, 2 * skb.len);
    tp.rcvSsthresh += Math.min(room, incr);
    tp.ackQuick |= 1;
  }
}

/**
 * First sizes of a connection's buffers and window.
 * @kernel tcp_init_buffer_space net/ipv4/tcp_input.c
 */
export function tcpInitBufferSpace(sk: Sock): void {
  const tp = tcpSk(sk);
  const appWin = sk.net.ipv4.sysctlTcpAppWin;
  if ((sk.skUserlocks & SOCK_SNDBUF_LOCK) === 0) tcpSndbufExpand(sk);
  tcpMstampRefresh(tp);
  tp.rcvqSpaceTime = tp.tcpMstamp;
  tp.rcvqSpaceSeq = tp.copiedSeq;

  const maxwin = tcpFullSpace(sk);
  if (tp.windowClamp >= maxwin) {
    tp.windowClamp = maxwin;
    if (appWin !== 0 && maxwin > 4 * tp.advmss) {
      tp.windowClamp = Math.max(maxwin - (maxwin >> appWin), 4 * tp.advmss);
    }
  }
  // One segment is kept for what arrives while the user reads.
  if (appWin !== 0 && tp.windowClamp > 2 * tp.advmss && tp.windowClamp + tp.advmss > maxwin) {
    tp.windowClamp = Math.max(2 * tp.advmss, maxwin - tp.advmss);
  }
  tp.rcvSsthresh = Math.min(tp.rcvSsthresh, tp.windowClamp);
  tp.sndCwndStamp = tcpJiffies32(sk);
  tp.rcvqSpaceSpace = Math.min(tp.rcvSsthresh, tp.rcvWnd, TCP_INIT_CWND * tp.advmss);
}

/**
 * The buffer overflowed: lets it grow to what is used where that is allowed, and closes the window.
 * @kernel tcp_clamp_window net/ipv4/tcp_input.c
 */
export function tcpClampWindow(sk: Sock): void {
  const tp = tcpSk(sk);
  const rmem2 = sk.net.ipv4.sysctlTcpRmem[2];
  tp.ackQuick = 0;
  if (
    sk.skRcvbuf < rmem2 &&
    (sk.skUserlocks & SOCK_RCVBUF_LOCK) === 0 &&
    !tcpUnderMemoryPressure(sk) &&
    !tcpMemoryAboveLow(sk)
  ) {
    sk.skRcvbuf = Math.min(sk.skRmemAlloc, rmem2);
  }
  if (sk.skRmemAlloc > sk.skRcvbuf) {
    tp.rcvSsthresh = Math.min(tp.windowClamp, 2 * tp.advmss);
  }
}

/**
 * Limits the window to what the buffer, or the user (TCP_WINDOW_CLAMP), allows. 0 or -EINVAL.
 * @kernel tcp_set_window_clamp net/ipv4/tcp.c
 */
export function tcpSetWindowClamp(sk: Sock, val: number): number {
  const tp = tcpSk(sk);
  if (val === 0) {
    if (sk.skcState !== TCP_CLOSE) return -EINVAL;
    tp.windowClamp = 0;
    return 0;
  }
  const old = tp.windowClamp;
  const clamp = Math.max(val, SOCK_MIN_RCVBUF >> 1);
  if (clamp === old) return 0;
  tp.windowClamp = clamp;
  // Memory that the user reserved still counts when the clamp shrinks.
  if (clamp < old) {
    __tcpAdjustRcvSsthresh(sk, clamp);
  } else {
    tp.rcvSsthresh = Math.max(Math.min(tp.rcvWnd, clamp), tp.rcvSsthresh);
  }
  return 0;
}

// ---- The peer's segment size -------------------------------------------------------------------

/**
 * A first guess at the peer's segment size; too low is better than too high, which would delay ACKs.
 * @kernel tcp_initialize_rcv_mss net/ipv4/tcp_input.c
 */
export function tcpInitializeRcvMss(sk: Sock): void {
  const tp = tcpSk(sk);
  const hint = Math.min(tp.advmss, tp.mssCache, tp.rcvWnd >> 1, TCP_MSS_DEFAULT);
  tp.ackRcvMss = Math.max(hint, TCP_MIN_MSS);
}

/** Full-sized packets of another size: how much memory their payload takes is measured anew. @kernel tcp_measure_rcv_mss net/ipv4/tcp_input.c */
function tcpUpdateScalingRatio(sk: Sock, skb: SkBuff): void {
  const tp = tcpSk(sk);
  const ratio = Math.floor((skb.len * (1 << TCP_RMEM_TO_WIN_SCALE)) / skb.truesize) & 0xff;
  const oldRatio = tp.scalingRatio;
  tp.scalingRatio = ratio !== 0 ? ratio : 1;
  if (oldRatio === tp.scalingRatio) return;
  tcpSetWindowClamp(sk, tcpWinFromSpace(sk, sk.skRcvbuf));
  if (tp.windowClamp < tp.rcvqSpaceSpace) tp.rcvqSpaceSpace = tp.windowClamp;
}

const TCP_REMNANT = TCPHDR_FIN | TCPHDR_URG | TCPHDR_SYN | TCPHDR_PSH;

/**
 * Learns the peer's segment size from what arrives, since two full segments are to be acknowledged.
 * @kernel tcp_measure_rcv_mss net/ipv4/tcp_input.c
 */
export function tcpMeasureRcvMss(sk: Sock, skb: SkBuff): void {
  const tp = tcpSk(sk);
  const lss = tp.ackLastSegSize;
  tp.ackLastSegSize = 0;
  // A super-packet counts as its segments.
  let len = skb.shinfo.gsoSize !== 0 ? skb.shinfo.gsoSize : skb.len;
  if (len >= tp.ackRcvMss) {
    if (len !== tp.ackRcvMss) tcpUpdateScalingRatio(sk, skb);
    tp.ackRcvMss = Math.min(len, tp.advmss);
    // A full segment with PSH likely ends a write: the reader should acknowledge at once.
    if ((skb.tcpCb.tcpFlags & TCPHDR_PSH) !== 0) tp.ackPending |= ICSK_ACK_PUSHED;
    return;
  }
  // With the header, so that the length of a SACK option does not matter.
  len += skb.data - skb.transportHeader;
  if (
    len >= TCP_MSS_DEFAULT + tcphdr.LEN ||
    (len >= TCP_MIN_MSS + tcphdr.LEN &&
      (tcphdr.flags(view, skb.transportHeader) & TCP_REMNANT) === 0)
  ) {
    len -= tp.tcpHeaderLen;
    tp.ackLastSegSize = len;
    // Twice the same: that is the peer's segment size.
    if (len === lss) {
      tp.ackRcvMss = len;
      return;
    }
  }
  if ((tp.ackPending & ICSK_ACK_PUSHED) !== 0) tp.ackPending |= ICSK_ACK_PUSHED2;
  tp.ackPending |= ICSK_ACK_PUSHED;
}

// ---- Receiver's RTT and autotuning -------------------------------------------------------------

/**
 * One sample in us, the estimate being scaled by 8. `winDep`: it is the time to receive a window,
 * which may be longer than the RTT, so only its minimum is of use.
 * @kernel tcp_rcv_rtt_update net/ipv4/tcp_input.c
 */
function tcpRcvRttUpdate(tp: TcpSock, sample: number, winDep: boolean): void {
  const old = tp.rcvRttEstRttUs;
  const m = sample * 8;
  if (old === 0 || m < old) {
    tp.rcvRttEstRttUs = m;
    return;
  }
  // With unread data the sample holds the time the reader took.
  if (winDep || tp.rcvNxt !== tp.copiedSeq) return;
  tp.rcvRttEstRttUs = old - Math.floor(old / 8) + sample;
}

/** @kernel tcp_rcv_rtt_measure net/ipv4/tcp_input.c */
export function tcpRcvRttMeasure(tp: TcpSock): void {
  if (tp.rcvRttEstTime !== 0) {
    if (before(tp.rcvNxt, tp.rcvRttEstSeq)) return;
    const deltaUs = tcpStampUsDelta(tp.tcpMstamp, tp.rcvRttEstTime);
    tcpRcvRttUpdate(tp, deltaUs !== 0 ? deltaUs : 1, true);
  }
  tp.rcvRttEstSeq = (tp.rcvNxt + tp.rcvWnd) | 0;
  tp.rcvRttEstTime = tp.tcpMstamp;
}

/** @kernel tcp_rcv_rtt_measure_ts net/ipv4/tcp_input.c */
export function tcpRcvRttMeasureTs(sk: Sock, skb: SkBuff): void {
  const tp = tcpSk(sk);
  if (tp.rxOpt.rcvTsecr === tp.rcvRttLastTsecr) return;
  tp.rcvRttLastTsecr = tp.rxOpt.rcvTsecr;
  if ((skb.tcpCb.endSeq - skb.tcpCb.seq) >>> 0 >= tp.ackRcvMss) {
    const delta = tcpRttTsoptUs(tp, 0);
    if (delta > 0) tcpRcvRttUpdate(tp, delta, false);
  }
}

/**
 * The reader takes `newval` bytes a round trip: gives the window room for twice that, for the growth
 * of a sender in slow start, and for what waits out of order. Below tcp_rcvbuf_low_rtt the growth is
 * by the RTT's share of that.
 * @kernel tcp_rcvbuf_grow net/ipv4/tcp_input.c
 */
export function tcpRcvbufGrow(sk: Sock, newval: number): void {
  const tp = tcpSk(sk);
  const ipv4 = sk.net.ipv4;
  const oldval = tp.rcvqSpaceSpace;
  tp.rcvqSpaceSpace = newval;
  if (ipv4.sysctlTcpModerateRcvbuf === 0 || (sk.skUserlocks & SOCK_RCVBUF_LOCK) !== 0) return;
  if (oldval === 0) return;

  let rcvwin = newval * 2;
  const rttUs = Math.floor(tp.rcvRttEstRttUs / 8);
  const lowRtt = ipv4.sysctlTcpRcvbufLowRtt;
  if (rttUs < lowRtt) {
    // Over a short path the final size is reached a few ms later, and is not overshot.
    rcvwin += Math.floor((rcvwin * rttUs) / lowRtt);
  } else {
    rcvwin += Math.floor((rcvwin * 2 * (newval - oldval)) / oldval);
  }
  if (!tp.outOfOrderQueueEmpty && tp.oooLastSkb !== null) {
    rcvwin += (tp.oooLastSkb.tcpCb.endSeq - tp.rcvNxt) >>> 0;
  }
  const rcvbuf = Math.min(tcpSpaceFromWin(sk, rcvwin), ipv4.sysctlTcpRmem[2]);
  if (rcvbuf > sk.skRcvbuf) {
    sk.skRcvbuf = rcvbuf;
    tp.windowClamp = tcpWinFromSpace(sk, rcvbuf);
  }
}

/**
 * The user has read: once a round trip, compares with the round trip before.
 * @kernel tcp_rcv_space_adjust net/ipv4/tcp_input.c
 */
export function tcpRcvSpaceAdjust(sk: Sock): void {
  const tp = tcpSk(sk);
  const trace = sk.net.machine.trace.tcp;
  if (tracepointKey.enabled) trace.tcpRcvSpaceAdjust.probe?.(sk);
  if (tp.rcvRttEstRttUs === 0) return;
  tcpMstampRefresh(tp);
  const time = tcpStampUsDelta(tp.tcpMstamp, tp.rcvqSpaceTime);
  if (time < Math.floor(tp.rcvRttEstRttUs / 8)) return;

  const inq = (tp.rcvNxt - tp.copiedSeq) | 0;
  const copied = ((tp.copiedSeq - tp.rcvqSpaceSeq) | 0) - inq;
  if (copied > tp.rcvqSpaceSpace) {
    if (tracepointKey.enabled) trace.tcpRcvbufGrow.probe?.(sk, time);
    tcpRcvbufGrow(sk, copied);
  }
  tp.rcvqSpaceSeq = tp.copiedSeq;
  tp.rcvqSpaceTime = tp.tcpMstamp;
}
