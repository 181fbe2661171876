/**
 * Retransmission: of one packet, of all that is marked lost, and of the last one as a loss probe.
 *
 * Counterpart of the retransmit part of net/ipv4/tcp_output.c. RFC 9293#3.8.1, 6675, 8985#7 (tail loss
 * probe). Small packets that were sent apart may go again as one.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import { skbCloned, skbFcloneBusy } from '#include/linux/skbuff.ts';
import { TSQ_THROTTLED } from '#include/linux/tcp.ts';
import { ICSK_TIME_REO_TIMEOUT, ICSK_TIME_RETRANS } from '#include/net/inet_connection_sock.ts';
import { netAddStats, netIncStats, tcpAddStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import {
  TCP_MIN_GSO_SIZE,
  TCP_NAGLE_OFF,
  TCPCB_EVER_RETRANS,
  TCPCB_LOST,
  TCPCB_RETRANS,
  TCPCB_SACKED_ACKED,
  TCPCB_SACKED_RETRANS,
  TCPHDR_SYN,
  TCPHDR_SYN_ECN,
  tcpSk,
} from '#include/net/tcp.ts';
import { tcpEcnClearSyn } from '#include/net/tcp_ecn.ts';
import {
  tcpInCwndReduction,
  tcpPacketsInFlight,
  tcpSkbTimestampTs,
  tcpSndCwnd,
  tcpWndEnd,
} from '#include/net/tcp_inlines.ts';
import {
  skbRbLast,
  skbRbNext,
  tcpHighestSackReplace,
  tcpRtxQueueHead,
  tcpSendHead,
  tcpSkbCanCollapse,
  tcpSkbPcount,
} from '#include/net/tcp_queue.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { after, before } from '#lib/tcp_seq.ts';
import { skbUncloneKeeptruesize } from '#net/core/skbuff_copy.ts';
import { skbShift } from '#net/core/skbuff_frags.ts';
import { tcpResetXmitTimer } from '#net/ipv4/inet_connection_sock_timer.ts';
import { tcpRearmRto } from '#net/ipv4/tcp_input_rtt.ts';
import { tcpTransmitSkb } from '#net/ipv4/tcp_output.ts';
import { tcpSndWndTest, tcpTsoSegs } from '#net/ipv4/tcp_output_cwnd.ts';
import {
  TCP_FRAG_IN_RTX_QUEUE,
  tcpAdjustPcount,
  tcpFragment,
  tcpTrimHead,
} from '#net/ipv4/tcp_output_frag.ts';
import { tcpCurrentMss, tcpSetSkbTsoSegs } from '#net/ipv4/tcp_output_mss.ts';
import { tcpSkbCollapseTstamp } from '#net/ipv4/tcp_output_tstamp.ts';
import { tcpPacingCheck, tcpSmallQueueCheck, tcpWriteXmit } from '#net/ipv4/tcp_output_xmit.ts';
import { tcpRtxQueueUnlinkAndFree } from '#net/ipv4/tcp_state.ts';
import { EAGAIN, EBUSY, EHOSTUNREACH, EINVAL, ENOMEM } from '#uapi/errno.ts';
import {
  LINUX_MIB_TCPFASTRETRANS,
  LINUX_MIB_TCPLOSSPROBES,
  LINUX_MIB_TCPRETRANSFAIL,
  LINUX_MIB_TCPSLOWSTARTRETRANS,
  LINUX_MIB_TCPSPURIOUS_RTX_HOSTQUEUES,
  LINUX_MIB_TCPSYNRETRANS,
  TCP_MIB_RETRANSSEGS,
} from '#uapi/snmp.ts';
import { TCP_CA_Loss } from '#uapi/tcp.ts';

/** Moves the first `shiftlen` bytes of `from` to `to`; 0: not possible. @kernel tcp_skb_shift net/ipv4/tcp_input.c */
export function tcpSkbShift(to: SkBuff, from: SkBuff, pcount: number, shiftlen: number): number {
  if (to.len + shiftlen >= 65535 * TCP_MIN_GSO_SIZE) return 0;
  if (tcpSkbPcount(to) + pcount > 65535) return 0;
  return skbShift(to, from, shiftlen);
}

/** Is an earlier transmission still in our own queues? @kernel skb_still_in_host_queue net/ipv4/tcp_output.c */
function skbStillInHostQueue(sk: Sock, skb: SkBuff): boolean {
  if (!skbFcloneBusy(sk, skb)) return false;
  tcpSk(sk).tsqFlags |= 1 << TSQ_THROTTLED;
  netIncStats(sk.net, LINUX_MIB_TCPSPURIOUS_RTX_HOSTQUEUES);
  return true;
}

// ---- Joining small packets ---------------------------------------------------------------------

/** @kernel tcp_collapse_retrans net/ipv4/tcp_output.c */
function tcpCollapseRetrans(sk: Sock, skb: SkBuff, next: SkBuff): boolean {
  const tp = tcpSk(sk);
  const cb = skb.tcpCb;
  const ncb = next.tcpCb;
  if (DEBUG && (tcpSkbPcount(skb) !== 1 || tcpSkbPcount(next) !== 1)) {
    throw new KernelBug('tcp-collapse', 'packets of several segments');
  }
  if (next.len !== 0 && tcpSkbShift(skb, next, 1, next.len) === 0) return false;
  tcpHighestSackReplace(sk, next, skb);
  cb.endSeq = ncb.endSeq;
  cb.tcpFlags |= ncb.tcpFlags;
  cb.sacked |= ncb.sacked & TCPCB_EVER_RETRANS;
  cb.eor = ncb.eor;
  if (next === tp.retransmitSkbHint) tp.retransmitSkbHint = skb;
  tcpAdjustPcount(sk, next, tcpSkbPcount(next));
  tcpSkbCollapseTstamp(skb, next);
  tcpRtxQueueUnlinkAndFree(next, sk);
  return true;
}

/** @kernel tcp_can_collapse net/ipv4/tcp_output.c */
function tcpCanCollapse(skb: SkBuff): boolean {
  return tcpSkbPcount(skb) <= 1 && !skbCloned(skb) && (skb.tcpCb.sacked & TCPCB_SACKED_ACKED) === 0;
}

/** Fills `to` up to `space` bytes from the packets behind it. @kernel tcp_retrans_try_collapse net/ipv4/tcp_output.c */
function tcpRetransTryCollapse(sk: Sock, to: SkBuff, space: number): void {
  if (sk.net.ipv4.sysctlTcpRetransCollapse === 0) return;
  if ((to.tcpCb.tcpFlags & TCPHDR_SYN) !== 0 || !tcpCanCollapse(to)) return;
  let left = space - to.len;
  let skb = skbRbNext(to);
  while (skb !== null) {
    if (!tcpCanCollapse(skb) || !tcpSkbCanCollapse(to, skb)) return;
    left -= skb.len;
    if (left < 0 || after(skb.tcpCb.endSeq, tcpWndEnd(tcpSk(sk)))) return;
    if (!tcpCollapseRetrans(sk, to, skb)) return;
    skb = skbRbNext(to);
  }
}

// ---- One packet --------------------------------------------------------------------------------

/** Takes off what was acknowledged meanwhile. 0, or -ENOMEM, -EINVAL. */
function trimAcked(sk: Sock, skb: SkBuff): number {
  const tp = tcpSk(sk);
  const cb = skb.tcpCb;
  if (before(cb.seq, tp.sndUna) && (cb.tcpFlags & TCPHDR_SYN) !== 0) {
    cb.tcpFlags &= ~TCPHDR_SYN;
    cb.seq = (cb.seq + 1) | 0;
  }
  if (!before(cb.seq, tp.sndUna)) return 0;
  if (before(cb.endSeq, tp.sndUna)) return -EINVAL;
  return tcpTrimHead(sk, skb, (tp.sndUna - cb.seq) | 0);
}

/** Cuts or fills the packet to `segs` segments that fit the window. 0 or a negative errno. */
function fitToWindow(sk: Sock, skb: SkBuff, segs: number): number {
  const tp = tcpSk(sk);
  const curMss = tcpCurrentMss(sk);
  let avail = (tcpWndEnd(tp) - skb.tcpCb.seq) | 0;
  // A window that shrank: only its first byte may go, as a probe.
  if (avail <= 0) {
    if (skb.tcpCb.seq !== tp.sndUna) return -EAGAIN;
    avail = curMss;
  }
  let len = curMss * segs;
  if (len > avail) {
    len = avail - (avail % curMss);
    if (len === 0) len = avail;
  }
  if (skb.len > len) {
    return tcpFragment(sk, TCP_FRAG_IN_RTX_QUEUE, skb, len, curMss) !== 0 ? -ENOMEM : 0;
  }
  if (skbUncloneKeeptruesize(skb) !== 0) return -ENOMEM;
  let diff = tcpSkbPcount(skb);
  tcpSetSkbTsoSegs(skb, curMss);
  diff -= tcpSkbPcount(skb);
  if (diff !== 0) tcpAdjustPcount(sk, skb, diff);
  avail = Math.min(avail, curMss);
  if (skb.len < avail) tcpRetransTryCollapse(sk, skb, avail);
  return 0;
}

/**
 * Sends a packet of the retransmit queue again, at most `segs` segments of it. -EBUSY: it has not
 * left yet; -EAGAIN: beyond the window; -EHOSTUNREACH, -ENOMEM.
 * @kernel __tcp_retransmit_skb net/ipv4/tcp_output.c
 */
export function __tcpRetransmitSkb(sk: Sock, skb: SkBuff, maxSegs: number): number {
  const tp = tcpSk(sk);
  const { net } = sk;
  const cb = skb.tcpCb;
  // The probe's fate is no longer clear.
  tp.mtupProbeSize = 0;
  if (skbStillInHostQueue(sk, skb)) return -EBUSY;
  let err = trimAcked(sk, skb);
  if (err !== 0) return err;
  if (tp.icskAfOps!.rebuildHeader(sk) !== 0) return -EHOSTUNREACH;
  err = fitToWindow(sk, skb, maxSegs);
  if (err !== 0) return err;
  if ((cb.tcpFlags & TCPHDR_SYN_ECN) === TCPHDR_SYN_ECN) tcpEcnClearSyn(sk, skb);
  const segs = tcpSkbPcount(skb);
  tcpAddStats(net, TCP_MIB_RETRANSSEGS, segs);
  if ((cb.tcpFlags & TCPHDR_SYN) !== 0) netIncStats(net, LINUX_MIB_TCPSYNRETRANS);
  tp.totalRetrans += segs;
  tp.bytesRetrans += skb.len;
  err = tcpTransmitSkb(sk, skb, true);
  if (tracepointKey.enabled) net.machine.trace.tcp.tcpRetransmitSkb.probe?.(tp, skb, err);
  if (err !== 0 && err !== -EBUSY) netAddStats(net, LINUX_MIB_TCPRETRANSFAIL, segs);
  // Even a failed try spoils the packet for RTT samples.
  cb.sacked |= TCPCB_EVER_RETRANS;
  return err;
}

/** The same, with the sender's accounts. @kernel tcp_retransmit_skb net/ipv4/tcp_output.c */
export function tcpRetransmitSkb(sk: Sock, skb: SkBuff, segs: number): number {
  const tp = tcpSk(sk);
  const err = __tcpRetransmitSkb(sk, skb, segs);
  if (err === 0) {
    skb.tcpCb.sacked |= TCPCB_RETRANS;
    tp.retransOut += tcpSkbPcount(skb);
  }
  if (tp.retransStamp === 0) tp.retransStamp = tcpSkbTimestampTs(tp.usecTs, skb);
  if (tp.undoRetrans < 0) tp.undoRetrans = 0;
  tp.undoRetrans += tcpSkbPcount(skb);
  return err;
}

/**
 * Sends what is marked lost as far as cwnd allows, from where the last walk stopped.
 * @kernel tcp_xmit_retransmit_queue net/ipv4/tcp_output.c
 */
export function tcpXmitRetransmitQueue(sk: Sock): void {
  const tp = tcpSk(sk);
  if (tp.packetsOut === 0) return;
  const rtxHead = tcpRtxQueueHead(sk);
  const maxSegs = tcpTsoSegs(sk, tcpCurrentMss(sk));
  let hole: SkBuff | null = null;
  let rearm = false;
  for (let skb = tp.retransmitSkbHint ?? rtxHead; skb !== null; skb = skbRbNext(skb)) {
    if (tcpPacingCheck(sk)) break;
    if (hole === null) tp.retransmitSkbHint = skb;
    const segs = Math.min(tcpSndCwnd(tp) - tcpPacketsInFlight(tp), maxSegs);
    if (segs <= 0) break;
    const { sacked } = skb.tcpCb;
    if (tp.retransOut >= tp.lostOut) break;
    if ((sacked & TCPCB_LOST) === 0) {
      if (hole === null && (sacked & (TCPCB_SACKED_RETRANS | TCPCB_SACKED_ACKED)) === 0) hole = skb;
      continue;
    }
    const mib =
      tp.icskCaState !== TCP_CA_Loss ? LINUX_MIB_TCPFASTRETRANS : LINUX_MIB_TCPSLOWSTARTRETRANS;
    if ((sacked & (TCPCB_SACKED_ACKED | TCPCB_SACKED_RETRANS)) !== 0) continue;
    if (tcpSmallQueueCheck(sk, skb, 1)) break;
    if (tcpRetransmitSkb(sk, skb, segs) !== 0) break;
    netAddStats(sk.net, mib, tcpSkbPcount(skb));
    if (tcpInCwndReduction(sk)) tp.prrOut += tcpSkbPcount(skb);
    if (skb === rtxHead && tp.icskPending !== ICSK_TIME_REO_TIMEOUT) rearm = true;
  }
  if (rearm) tcpResetXmitTimer(sk, ICSK_TIME_RETRANS, tp.icskRto, true);
}

// ---- Tail loss probe ---------------------------------------------------------------------------

/** Sends new data, else the last segment again. True when a probe left. */
function sendProbe(sk: Sock, mss: number): boolean {
  const tp = tcpSk(sk);
  tp.tlpRetrans = false;
  const head = tcpSendHead(sk);
  if (head !== null && tcpSndWndTest(tp, head, mss)) {
    const before = tp.packetsOut;
    tcpWriteXmit(sk, mss, TCP_NAGLE_OFF, 2);
    return tp.packetsOut > before;
  }
  let skb = skbRbLast(tp.rtxQueue);
  if (skb === null || skbStillInHostQueue(sk, skb)) return false;
  const pcount = tcpSkbPcount(skb);
  if (pcount > 1 && skb.len > (pcount - 1) * mss) {
    if (tcpFragment(sk, TCP_FRAG_IN_RTX_QUEUE, skb, (pcount - 1) * mss, mss) !== 0) return false;
    skb = skbRbNext(skb);
  }
  if (skb === null || __tcpRetransmitSkb(sk, skb, 1) !== 0) return false;
  tp.tlpRetrans = true;
  return true;
}

/** The probe timer fired. @kernel tcp_send_loss_probe net/ipv4/tcp_output.c @rfc 8985#7.3 */
export function tcpSendLossProbe(sk: Sock): void {
  const tp = tcpSk(sk);
  // One probe a flight.
  if (tp.tlpHighSeq === 0 && sendProbe(sk, tcpCurrentMss(sk))) {
    tp.tlpHighSeq = tp.sndNxt;
    netIncStats(sk.net, LINUX_MIB_TCPLOSSPROBES);
    // So that the RTO starts from now.
    tp.icskPending = 0;
  } else if (tp.packetsOut === 0) {
    tp.icskPending = 0;
    return;
  }
  tcpRearmRto(sk);
}
