/**
 * Cutting and trimming packets in the send queues.
 *
 * Counterpart of tcp_fragment, tso_fragment, tcp_trim_head and their helpers in
 * net/ipv4/tcp_output.c. Sent data lies in page fragments only, so a cut moves references, no bytes.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import { __skbHeaderRelease, skbZcopyPure } from '#include/linux/skbuff.ts';
import { __skbQueueAfter, __skbUnlink } from '#include/linux/skbuff_queue.ts';
import { netIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import {
  TCPCB_LOST,
  TCPCB_SACKED_ACKED,
  TCPCB_SACKED_RETRANS,
  TCPHDR_FIN,
  TCPHDR_PSH,
  tcpSk,
} from '#include/net/tcp.ts';
import { tcpIsReno } from '#include/net/tcp_inlines.ts';
import {
  tcpRbtreeInsert,
  tcpRtxQueueHead,
  tcpRtxQueueTail,
  tcpSkbMss,
  tcpSkbPcount,
  tcpTsortedAddAfter,
  tcpTsortedUnlink,
} from '#include/net/tcp_queue.ts';
import { bugOn } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { before } from '#lib/tcp_seq.ts';
import { skbFragUnref, skbTruesize } from '#net/core/skbuff.ts';
import { skbUncloneKeeptruesize } from '#net/core/skbuff_copy.ts';
import { skbSplit } from '#net/core/skbuff_frags.ts';
import { skMemCharge, skMemUncharge, skWmemQueuedAdd } from '#net/core/sock_mem.ts';
import { tcpVerifyLeftOut } from '#net/ipv4/tcp_input_cwnd.ts';
import { tcpSetSkbTsoSegs } from '#net/ipv4/tcp_output_mss.ts';
import { tcpStreamAllocSkb } from '#net/ipv4/tcp_state.ts';
import { EINVAL, ENOMEM } from '#uapi/errno.ts';
import { LINUX_MIB_TCPWQUEUETOOBIG } from '#uapi/snmp.ts';

const GSO_LEGACY_MAX_SIZE = 65536;

// Which queue a packet to cut is on. @kernel tcp_queue include/net/tcp.h
export const TCP_FRAG_IN_WRITE_QUEUE = 0;
export const TCP_FRAG_IN_RTX_QUEUE = 1;

/** A packet now makes `decr` segments fewer: corrects every count it is in. @kernel tcp_adjust_pcount net/ipv4/tcp_output.c */
export function tcpAdjustPcount(sk: Sock, skb: SkBuff, decr: number): void {
  const tp = tcpSk(sk);
  const { sacked } = skb.tcpCb;
  tp.packetsOut -= decr;
  if ((sacked & TCPCB_SACKED_ACKED) !== 0) tp.sackedOut -= decr;
  if ((sacked & TCPCB_SACKED_RETRANS) !== 0) tp.retransOut -= decr;
  if ((sacked & TCPCB_LOST) !== 0) tp.lostOut -= decr;
  // Reno's count of duplicates belongs to no packet in particular.
  if (tcpIsReno(tp) && decr > 0) tp.sackedOut -= Math.min(tp.sackedOut, decr);
  tcpVerifyLeftOut(tp);
}

/** @kernel tcp_has_tx_tstamp net/ipv4/tcp_output.c */
export function tcpHasTxTstamp(skb: SkBuff): boolean {
  return skb.tcpCb.txstampAck || skb.shinfo.txFlags !== 0;
}

/** The request for a timestamp belongs to the byte `tskey`. @kernel tcp_fragment_tstamp net/ipv4/tcp_output.c */
function tcpFragmentTstamp(skb: SkBuff, skb2: SkBuff): void {
  const { shinfo } = skb;
  if (tcpHasTxTstamp(skb) && !before(shinfo.tskey, skb2.tcpCb.seq)) {
    const shinfo2 = skb2.shinfo;
    shinfo2.txFlags = shinfo.txFlags;
    shinfo.txFlags = 0;
    shinfo2.tskey = shinfo.tskey;
    skb2.tcpCb.txstampAck = skb.tcpCb.txstampAck;
    skb.tcpCb.txstampAck = false;
  }
}

/** Copies what tells how a packet was sent. */
function copyTx(to: SkBuff, from: SkBuff): void {
  const a = to.tcpCb;
  const b = from.tcpCb;
  a.isAppLimited = b.isAppLimited;
  a.deliveredCe = b.deliveredCe;
  a.delivered = b.delivered;
  a.firstTxMstamp = b.firstTxMstamp;
  a.deliveredMstamp = b.deliveredMstamp;
  a.inFlight = b.inFlight;
}

/** Gives `buff` everything of `skb` from byte `len` on, and its sequence numbers and flags. */
function cut(sk: Sock, skb: SkBuff, buff: SkBuff, len: number, mssNow: number): void {
  const nlen = skb.len - len;
  const cb = skb.tcpCb;
  const bcb = buff.tcpCb;
  skWmemQueuedAdd(sk, buff.truesize);
  skMemCharge(sk, buff.truesize);
  buff.truesize += nlen;
  skb.truesize -= nlen;
  bcb.seq = (cb.seq + len) | 0;
  bcb.endSeq = cb.endSeq;
  cb.endSeq = bcb.seq;
  // PSH and FIN belong to the last byte.
  bcb.tcpFlags = cb.tcpFlags;
  cb.tcpFlags &= ~(TCPHDR_FIN | TCPHDR_PSH);
  bcb.eor = cb.eor;
  cb.eor = false;
  skbSplit(skb, buff, len);
  tcpFragmentTstamp(skb, buff);
  tcpSetSkbTsoSegs(skb, mssNow);
  tcpSetSkbTsoSegs(buff, mssNow);
}

/**
 * Cuts a packet in two at `len`. 0, or -ENOMEM: try again later.
 * @kernel tcp_fragment net/ipv4/tcp_output.c
 */
export function tcpFragment(
  sk: Sock,
  queue: number,
  skb: SkBuff,
  len: number,
  mssNow: number,
): number {
  const tp = tcpSk(sk);
  if (len > skb.len) return -EINVAL;
  // A hostile peer's SACKs could cut the queue to crumbs: bound what that costs (CVE-2019-11478).
  const limit = sk.skSndbuf + 2 * skbTruesize(GSO_LEGACY_MAX_SIZE);
  if (
    sk.skWmemQueued >> 1 > limit &&
    queue !== TCP_FRAG_IN_WRITE_QUEUE &&
    skb !== tcpRtxQueueHead(sk) &&
    skb !== tcpRtxQueueTail(sk)
  ) {
    netIncStats(sk.net, LINUX_MIB_TCPWQUEUETOOBIG);
    return -ENOMEM;
  }
  if (skbUncloneKeeptruesize(skb) !== 0) return -ENOMEM;
  const buff = tcpStreamAllocSkb(sk, true);
  if (buff === null) return -ENOMEM;
  const oldFactor = tcpSkbPcount(skb);
  buff.tcpCb.sacked = skb.tcpCb.sacked;
  cut(sk, skb, buff, len, mssNow);
  buff.tstamp = skb.tstamp;
  buff.skbMstampNs = skb.skbMstampNs;
  copyTx(buff, skb);
  if (!before(tp.sndNxt, buff.tcpCb.endSeq)) {
    const diff = oldFactor - tcpSkbPcount(skb) - tcpSkbPcount(buff);
    if (diff !== 0) tcpAdjustPcount(sk, skb, diff);
  }
  __skbHeaderRelease(buff);
  if (queue === TCP_FRAG_IN_WRITE_QUEUE) {
    __skbQueueAfter(sk.skWriteQueue, skb, buff);
  } else {
    tcpRbtreeInsert(tp.rtxQueue, buff);
    if (skb.tsorted) tcpTsortedAddAfter(tp, buff, skb);
  }
  return 0;
}

/** The cut of a packet never sent. @kernel tso_fragment net/ipv4/tcp_output.c */
export function tsoFragment(sk: Sock, skb: SkBuff, len: number, mssNow: number): number {
  if (DEBUG) bugOn(skb.len !== skb.dataLen, 'tcp-linear-data', 'sent data outside fragments');
  const buff = tcpStreamAllocSkb(sk, true);
  if (buff === null) return -ENOMEM;
  cut(sk, skb, buff, len, mssNow);
  __skbHeaderRelease(buff);
  __skbQueueAfter(sk.skWriteQueue, skb, buff);
  return 0;
}

/** Drops the first `len` bytes of the fragments. @kernel __pskb_trim_head net/ipv4/tcp_output.c */
export function __pskbTrimHead(skb: SkBuff, len: number): number {
  const { shinfo } = skb;
  const { fragPage, fragOffset, fragSize } = shinfo;
  let eat = len;
  let k = 0;
  for (let i = 0; i < shinfo.nrFrags; i++) {
    const size = fragSize[i]!;
    if (size <= eat) {
      skbFragUnref(skb, i);
      eat -= size;
      continue;
    }
    fragPage[k] = fragPage[i]!;
    fragOffset[k] = fragOffset[i]! + eat;
    fragSize[k] = size - eat;
    eat = 0;
    k++;
  }
  shinfo.nrFrags = k;
  skb.dataLen -= len;
  skb.len = skb.dataLen;
  return len;
}

/** The peer acknowledged the first `len` bytes. @kernel tcp_trim_head net/ipv4/tcp_output.c */
export function tcpTrimHead(sk: Sock, skb: SkBuff, len: number): number {
  if (skbUncloneKeeptruesize(skb) !== 0) return -ENOMEM;
  const delta = __pskbTrimHead(skb, len);
  skb.tcpCb.seq = (skb.tcpCb.seq + len) | 0;
  skb.truesize -= delta;
  skWmemQueuedAdd(sk, -delta);
  if (!skbZcopyPure(skb)) skMemUncharge(sk, delta);
  if (tcpSkbPcount(skb) > 1) tcpSetSkbTsoSegs(skb, tcpSkbMss(skb));
  return 0;
}

/** @kernel tcp_unlink_write_queue include/net/tcp.h */
export function tcpUnlinkWriteQueue(skb: SkBuff, sk: Sock): void {
  tcpTsortedUnlink(tcpSk(sk), skb);
  __skbUnlink(skb, sk.skWriteQueue);
}
