/**
 * Segments out of order: the tree that holds them, the SACK blocks that report them, and what is
 * thrown away when memory runs out.
 *
 * Counterpart: the out-of-order parts of net/ipv4/tcp_input.c. RFC 2018#4 (which block comes first),
 * RFC 2883 (duplicate SACK), RFC 9293#3.10.7.4.
 *
 * Invariants of the tree: ordered by seq, no packet covered by another, `oooLastSkb` the last one.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { TcpSackBlock, TcpSock } from '#include/linux/tcp.ts';
import { netAddStats, netIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import { tcpSk } from '#include/net/tcp.ts';
import {
  tcpAdjustRcvSsthresh,
  tcpIsSack,
  tcpUnderMemoryPressure,
} from '#include/net/tcp_inlines.ts';
import { skbRbErase, skbRbFirst, skbRbNext, skbRbPrev } from '#include/net/tcp_queue.ts';
import { hrtimerCancel } from '#kernel/time/hrtimer.ts';
import { rbInsertColor, rbLinkNode, rbReplaceNode } from '#lib/rbtree.ts';
import { after, before, seqMin } from '#lib/tcp_seq.ts';
import { kfreeSkbPartial, kfreeSkbReason, skSkbReasonDrop } from '#net/core/skbuff.ts';
import { skbCondense } from '#net/core/skbuff_copy.ts';
import { skbTryCoalesce } from '#net/core/skbuff_frags.ts';
import { __sockPut, skbSetOwnerR } from '#net/core/sock.ts';
import { skMemCharge, skRmemSchedule } from '#net/core/sock_mem.ts';
import { inetCskScheduleAck } from '#net/ipv4/inet_connection_sock_timer.ts';
import { tcpCollapseOfoQueue, tcpCollapseReceiveQueue } from '#net/ipv4/tcp_input_collapse.ts';
import { tcpDataEcnCheck } from '#net/ipv4/tcp_input_quickack.ts';
import {
  tcpClampWindow,
  tcpGrowWindow,
  tcpMeasureRcvMss,
  tcpRcvbufGrow,
} from '#net/ipv4/tcp_input_rcvbuf.ts';
import { tcpSendAck } from '#net/ipv4/tcp_output_ctl.ts';
import {
  SKB_DROP_REASON_PROTO_MEM,
  SKB_DROP_REASON_QUEUE_PURGE,
  SKB_DROP_REASON_TCP_OFO_QUEUE_PRUNE,
  SKB_DROP_REASON_TCP_OFOMERGE,
} from '#uapi/net_dropreason.ts';
import {
  LINUX_MIB_OFOPRUNED,
  LINUX_MIB_PRUNECALLED,
  LINUX_MIB_RCVPRUNED,
  LINUX_MIB_TCPACKCOMPRESSED,
  LINUX_MIB_TCPDSACKOFOSENT,
  LINUX_MIB_TCPDSACKOLDSENT,
  LINUX_MIB_TCPOFODROP,
  LINUX_MIB_TCPOFOMERGE,
  LINUX_MIB_TCPOFOQUEUE,
  LINUX_MIB_TCPRCVCOALESCE,
} from '#uapi/snmp.ts';

const TCP_NUM_SACKS = 4;
/** More blocks than this at once: the network reorders, and held back ACKs are to be sent. */
const TCP_SACK_BLOCKS_EXPECTED = 2;

// ---- SACK blocks -------------------------------------------------------------------------------

/** @kernel tcp_sack_reset include/net/tcp.h */
function tcpSackReset(tp: TcpSock): void {
  tp.rxOpt.dsack = false;
  tp.rxOpt.numSacks = 0;
}

/** Joins [seq, endSeq) to the block when they touch. @kernel tcp_sack_extend net/ipv4/tcp_input.c */
function tcpSackExtend(sp: TcpSackBlock, seq: number, endSeq: number): boolean {
  if (after(seq, sp.endSeq) || after(sp.startSeq, endSeq)) return false;
  if (before(seq, sp.startSeq)) sp.startSeq = seq;
  if (after(endSeq, sp.endSeq)) sp.endSeq = endSeq;
  return true;
}

function sackCopy(to: TcpSackBlock, from: TcpSackBlock): void {
  to.startSeq = from.startSeq;
  to.endSeq = from.endSeq;
}

/** The next ACK reports this data as received twice. @kernel tcp_dsack_set net/ipv4/tcp_input.c */
export function tcpDsackSet(sk: Sock, seq: number, endSeq: number): void {
  const tp = tcpSk(sk);
  if (!tcpIsSack(tp) || sk.net.ipv4.sysctlTcpDsack === 0) return;
  netIncStats(
    sk.net,
    before(seq, tp.rcvNxt) ? LINUX_MIB_TCPDSACKOLDSENT : LINUX_MIB_TCPDSACKOFOSENT,
  );
  const dup = tp.duplicateSack[0]!;
  tp.rxOpt.dsack = true;
  dup.startSeq = seq;
  dup.endSeq = endSeq;
}

/** @kernel tcp_dsack_extend net/ipv4/tcp_input.c */
function tcpDsackExtend(sk: Sock, seq: number, endSeq: number): void {
  const tp = tcpSk(sk);
  if (!tp.rxOpt.dsack) tcpDsackSet(sk, seq, endSeq);
  else tcpSackExtend(tp.duplicateSack[0]!, seq, endSeq);
}

/** The first block has grown: swallows others that it touches now. @kernel tcp_sack_maybe_coalesce net/ipv4/tcp_input.c */
function tcpSackMaybeCoalesce(tp: TcpSock): void {
  const sp = tp.selectiveAcks;
  const first = sp[0]!;
  for (let i = 1; i < tp.rxOpt.numSacks; ) {
    const walk = sp[i]!;
    if (!tcpSackExtend(first, walk.startSeq, walk.endSeq)) {
      i++;
      continue;
    }
    tp.rxOpt.numSacks--;
    for (let j = i; j < tp.rxOpt.numSacks; j++) sackCopy(sp[j]!, sp[j + 1]!);
  }
}

/** Sends the ACKs that were held back. @kernel tcp_sack_compress_send_ack net/ipv4/tcp_input.c */
export function tcpSackCompressSendAck(sk: Sock): void {
  const tp = tcpSk(sk);
  if (tp.compressedAck === 0) return;
  if (tp.compressedAckTimer !== null && hrtimerCancel(tp.compressedAckTimer)) __sockPut(sk);
  // One of them is sent after all.
  netAddStats(sk.net, LINUX_MIB_TCPACKCOMPRESSED, tp.compressedAck - 1);
  tp.compressedAck = 0;
  tcpSendAck(sk);
}

/**
 * Puts the block of a new segment in front, extending one that it touches.
 * @kernel tcp_sack_new_ofo_skb net/ipv4/tcp_input.c
 * @rfc 2018#4
 */
function tcpSackNewOfoSkb(sk: Sock, seq: number, endSeq: number): void {
  const tp = tcpSk(sk);
  const sp = tp.selectiveAcks;
  const curSacks = tp.rxOpt.numSacks;
  let i = 0;
  for (; i < curSacks; i++) {
    if (!tcpSackExtend(sp[i]!, seq, endSeq)) continue;
    if (i >= TCP_SACK_BLOCKS_EXPECTED) tcpSackCompressSendAck(sk);
    const { startSeq, endSeq: end } = sp[i]!;
    for (; i > 0; i--) sackCopy(sp[i]!, sp[i - 1]!);
    sp[0]!.startSeq = startSeq;
    sp[0]!.endSeq = end;
    if (curSacks > 1) tcpSackMaybeCoalesce(tp);
    return;
  }
  if (i >= TCP_SACK_BLOCKS_EXPECTED) tcpSackCompressSendAck(sk);
  // Full: the oldest report is forgotten.
  if (i >= TCP_NUM_SACKS) {
    i--;
    tp.rxOpt.numSacks--;
  }
  for (; i > 0; i--) sackCopy(sp[i]!, sp[i - 1]!);
  sp[0]!.startSeq = seq;
  sp[0]!.endSeq = endSeq;
  tp.rxOpt.numSacks++;
}

/** Drops the blocks that rcv_nxt has passed. @kernel tcp_sack_remove net/ipv4/tcp_input.c */
export function tcpSackRemove(tp: TcpSock): void {
  if (tp.outOfOrderQueueEmpty) {
    tp.rxOpt.numSacks = 0;
    return;
  }
  const sp = tp.selectiveAcks;
  let kept = 0;
  for (let i = 0; i < tp.rxOpt.numSacks; i++) {
    if (!before(tp.rcvNxt, sp[i]!.startSeq)) continue;
    if (kept !== i) sackCopy(sp[kept]!, sp[i]!);
    kept++;
  }
  tp.rxOpt.numSacks = kept;
}

// ---- Joining packets ---------------------------------------------------------------------------

/** May received packets be joined? @kernel tcp_skb_can_collapse_rx include/net/tcp.h */
function tcpSkbCanCollapseRx(to: SkBuff, from: SkBuff): boolean {
  return to.decrypted === from.decrypted;
}

/**
 * Appends the next segment's bytes to a queued packet. On success `from` is empty and is to be freed
 * with kfree_skb_partial().
 * @kernel tcp_try_coalesce net/ipv4/tcp_input.c
 */
export function tcpTryCoalesce(sk: Sock, to: SkBuff, from: SkBuff): boolean {
  const tcb = to.tcpCb;
  const fcb = from.tcpCb;
  if (fcb.seq !== tcb.endSeq || !tcpSkbCanCollapseRx(to, from)) return false;
  const delta = skbTryCoalesce(to, from);
  if (delta < 0) return false;
  sk.skRmemAlloc += delta;
  skMemCharge(sk, delta);
  netIncStats(sk.net, LINUX_MIB_TCPRCVCOALESCE);
  tcb.endSeq = fcb.endSeq;
  tcb.ackSeq = fcb.ackSeq;
  tcb.tcpFlags |= fcb.tcpFlags;
  if (fcb.hasRxtstamp) {
    tcb.hasRxtstamp = true;
    to.tstamp = from.tstamp;
    to.shinfo.hwtstamp = from.shinfo.hwtstamp;
  }
  return true;
}

/** The same in the tree, where segments are still counted. @kernel tcp_ooo_try_coalesce net/ipv4/tcp_input.c */
function tcpOooTryCoalesce(sk: Sock, to: SkBuff, from: SkBuff): boolean {
  if (!tcpTryCoalesce(sk, to, from)) return false;
  const segs = Math.max(1, to.shinfo.gsoSegs) + Math.max(1, from.shinfo.gsoSegs);
  to.shinfo.gsoSegs = Math.min(segs, 0xffff);
  return true;
}

/** @kernel tcp_drop_reason net/ipv4/tcp_input.c */
export function tcpDropReason(sk: Sock, skb: SkBuff, reason: number, location: string): void {
  sk.skDrops += Math.max(1, skb.shinfo.gsoSegs);
  skSkbReasonDrop(sk, skb, reason, location);
}

// ---- The tree ----------------------------------------------------------------------------------

/** Takes a packet from the tree and drops it. */
function ofoDrop(sk: Sock, skb: SkBuff, reason: number): void {
  skbRbErase(tcpSk(sk).outOfOrderQueue, skb);
  tcpDropReason(sk, skb, reason, 'tcp_data_queue_ofo');
}

/** Frees all packets out of order. @kernel skb_rbtree_purge net/core/skbuff.c */
export function tcpOfoQueuePurge(sk: Sock): void {
  const tp = tcpSk(sk);
  if (tp.outOfOrderQueueEmpty) return;
  let next: SkBuff | null;
  for (let skb = skbRbFirst(tp.outOfOrderQueue); skb !== null; skb = next) {
    next = skbRbNext(skb);
    skbRbErase(tp.outOfOrderQueue, skb);
    kfreeSkbReason(skb, SKB_DROP_REASON_QUEUE_PURGE, 'tcp_ofo_queue_purge');
  }
  tp.oooLastSkb = null;
}

/** What became of a segment that was to enter the tree. */
const OFO_INSERTED = 0;
const OFO_COALESCED = 1;
const OFO_DROPPED = 2;

/**
 * The new packet covers its successors in the tree, wholly or in part: drops the former.
 * @kernel tcp_data_queue_ofo net/ipv4/tcp_input.c
 */
function tcpOfoMergeRight(sk: Sock, skb: SkBuff): void {
  const tp = tcpSk(sk);
  const endSeq = skb.tcpCb.endSeq;
  let skb1 = skbRbNext(skb);
  for (; skb1 !== null; skb1 = skbRbNext(skb)) {
    const { seq: seq1, endSeq: end1 } = skb1.tcpCb;
    if (!after(endSeq, seq1)) break;
    if (before(endSeq, end1)) {
      tcpDsackExtend(sk, seq1, endSeq);
      break;
    }
    tcpDsackExtend(sk, seq1, end1);
    netIncStats(sk.net, LINUX_MIB_TCPOFOMERGE);
    ofoDrop(sk, skb1, SKB_DROP_REASON_TCP_OFOMERGE);
  }
  if (skb1 === null) tp.oooLastSkb = skb;
}

/**
 * Finds the place of a segment that overlaps or precedes others. OFO_*.
 * @kernel tcp_data_queue_ofo net/ipv4/tcp_input.c
 */
function tcpOfoInsert(sk: Sock, skb: SkBuff): number {
  const tp = tcpSk(sk);
  const root = tp.outOfOrderQueue;
  const { seq, endSeq } = skb.tcpCb;
  let parent: SkBuff | null = null;
  let at = root.node;
  let left = false;
  const last = tp.oooLastSkb;
  if (last !== null && !before(seq, last.tcpCb.endSeq)) {
    // In order among those out of order: the usual case needs no descent.
    parent = last;
    at = null;
  }
  while (at !== null) {
    parent = at;
    const { seq: seq1, endSeq: end1 } = at.tcpCb;
    if (before(seq, seq1)) {
      left = true;
      at = at.rbLeft;
      continue;
    }
    if (before(seq, end1)) {
      if (!after(endSeq, end1)) {
        netIncStats(sk.net, LINUX_MIB_TCPOFOMERGE);
        tcpDropReason(sk, skb, SKB_DROP_REASON_TCP_OFOMERGE, 'tcp_data_queue_ofo');
        tcpDsackSet(sk, seq, endSeq);
        return OFO_DROPPED;
      }
      if (seq === seq1) {
        // Covers the old one from its start: takes its place.
        rbReplaceNode(at, skb, root);
        if (tp.oooLastSkb === at) tp.oooLastSkb = skb;
        at.rbParent = null;
        at.rbLeft = null;
        at.rbRight = null;
        tcpDsackExtend(sk, seq1, end1);
        netIncStats(sk.net, LINUX_MIB_TCPOFOMERGE);
        tcpDropReason(sk, at, SKB_DROP_REASON_TCP_OFOMERGE, 'tcp_data_queue_ofo');
        tcpOfoMergeRight(sk, skb);
        return OFO_INSERTED;
      }
      tcpDsackSet(sk, seq, end1);
    } else if (tcpOooTryCoalesce(sk, at, skb)) {
      return OFO_COALESCED;
    }
    left = false;
    at = at.rbRight;
  }
  rbLinkNode(skb, parent, left, root);
  rbInsertColor(skb, root);
  tcpOfoMergeRight(sk, skb);
  return OFO_INSERTED;
}

/**
 * Queues a segment that lies beyond a hole.
 * @kernel tcp_data_queue_ofo net/ipv4/tcp_input.c
 */
export function tcpDataQueueOfo(sk: Sock, skb: SkBuff): void {
  const tp = tcpSk(sk);
  tcpDataEcnCheck(sk, skb);
  if (tcpTryRmemSchedule(sk, skb, skb.truesize) < 0) {
    netIncStats(sk.net, LINUX_MIB_TCPOFODROP);
    sk.skDataReady(sk);
    tcpDropReason(sk, skb, SKB_DROP_REASON_PROTO_MEM, 'tcp_data_queue_ofo');
    return;
  }
  tcpMeasureRcvMss(sk, skb);
  tp.predFlags = 0;
  inetCskScheduleAck(sk);
  tp.rcvOoopack += Math.max(1, skb.shinfo.gsoSegs);
  netIncStats(sk.net, LINUX_MIB_TCPOFOQUEUE);

  const { seq, endSeq } = skb.tcpCb;
  let fate = OFO_INSERTED;
  if (tp.outOfOrderQueueEmpty) {
    if (tcpIsSack(tp)) {
      tp.rxOpt.numSacks = 1;
      tp.selectiveAcks[0]!.startSeq = seq;
      tp.selectiveAcks[0]!.endSeq = endSeq;
    }
    rbLinkNode(skb, null, false, tp.outOfOrderQueue);
    rbInsertColor(skb, tp.outOfOrderQueue);
    tp.oooLastSkb = skb;
  } else {
    fate =
      tp.oooLastSkb !== null && tcpOooTryCoalesce(sk, tp.oooLastSkb, skb)
        ? OFO_COALESCED
        : tcpOfoInsert(sk, skb);
    if (fate === OFO_COALESCED) {
      // Without SACK the window must not move, or our ACKs were no duplicates.
      if (tcpIsSack(tp)) tcpGrowWindow(sk, skb, true);
      kfreeSkbPartial(skb);
    }
    if (tcpIsSack(tp)) tcpSackNewOfoSkb(sk, seq, endSeq);
  }
  if (fate === OFO_INSERTED) {
    if (tcpIsSack(tp)) tcpGrowWindow(sk, skb, false);
    skbCondense(skb);
    skbSetOwnerR(skb, sk);
  }
  // Not while nobody reads: before accept, or when orphaned.
  if (sk.skSocket !== null) tcpRcvbufGrow(sk, tp.rcvqSpaceSpace);
}

// ---- Memory ------------------------------------------------------------------------------------

/**
 * Is the buffer not over its limit yet? One more packet may then exceed it.
 * @kernel tcp_can_ingest net/ipv4/tcp_input.c
 */
function tcpCanIngest(sk: Sock): boolean {
  return sk.skRmemAlloc <= sk.skRcvbuf;
}

/**
 * Drops from the end of the tree until there is room, since what is nearest to rcv_nxt is of most
 * use. The peer's SACK information becomes wrong by that (reneging), which it must bear.
 * @kernel tcp_prune_ofo_queue net/ipv4/tcp_input.c
 * @rfc 2018#8
 */
function tcpPruneOfoQueue(sk: Sock, inSkb: SkBuff): boolean {
  const tp = tcpSk(sk);
  let pruned = false;
  let goal = sk.skRcvbuf >> 3;
  let skb = tp.outOfOrderQueueEmpty ? null : tp.oooLastSkb;
  while (skb !== null) {
    if (after(inSkb.tcpCb.seq, skb.tcpCb.seq)) break;
    pruned = true;
    const prev: SkBuff | null = skbRbPrev(skb);
    goal -= skb.truesize;
    ofoDrop(sk, skb, SKB_DROP_REASON_TCP_OFO_QUEUE_PRUNE);
    tp.oooLastSkb = prev;
    if (prev === null || goal <= 0) {
      if (tcpCanIngest(sk) && !tcpUnderMemoryPressure(sk)) break;
      goal = sk.skRcvbuf >> 3;
    }
    skb = prev;
  }
  if (pruned) {
    netIncStats(sk.net, LINUX_MIB_OFOPRUNED);
    if (tp.rxOpt.sackOk !== 0) tcpSackReset(tp);
  }
  return pruned;
}

/**
 * The receive buffer is full: makes room by copying packets together, then by dropping. -1 when
 * nothing helped.
 * @kernel tcp_prune_queue net/ipv4/tcp_input.c
 */
function tcpPruneQueue(sk: Sock, inSkb: SkBuff): number {
  const tp = tcpSk(sk);
  if (sk.skRmemAlloc === 0) return -1;
  netIncStats(sk.net, LINUX_MIB_PRUNECALLED);
  if (!tcpCanIngest(sk)) tcpClampWindow(sk);
  else if (tcpUnderMemoryPressure(sk)) tcpAdjustRcvSsthresh(sk);
  if (tcpCanIngest(sk)) return 0;

  tcpCollapseOfoQueue(sk);
  tcpCollapseReceiveQueue(sk);
  if (tcpCanIngest(sk)) return 0;

  tcpPruneOfoQueue(sk, inSkb);
  if (tcpCanIngest(sk)) return 0;
  netIncStats(sk.net, LINUX_MIB_RCVPRUNED);
  tp.predFlags = 0;
  return -1;
}

/**
 * Is there memory for this packet? Makes some if need be. 0 or -1.
 * @kernel tcp_try_rmem_schedule net/ipv4/tcp_input.c
 */
export function tcpTryRmemSchedule(sk: Sock, skb: SkBuff, size: number): number {
  if (tcpCanIngest(sk) && skRmemSchedule(sk, skb, size)) return 0;
  if (tcpPruneQueue(sk, skb) < 0) return -1;
  while (!skRmemSchedule(sk, skb, size)) {
    if (!tcpPruneOfoQueue(sk, skb)) return -1;
  }
  return 0;
}

/** Is the tree empty? */
export function tcpOfoQueueEmpty(tp: TcpSock): boolean {
  return tp.outOfOrderQueueEmpty;
}

/** First packet out of order that rcv_nxt has reached, taken from the tree; null: none. Reports what it repeats. */
export function tcpOfoQueueNext(sk: Sock, dsackHigh: number): SkBuff | null {
  const tp = tcpSk(sk);
  const skb = skbRbFirst(tp.outOfOrderQueue);
  if (skb === null || after(skb.tcpCb.seq, tp.rcvNxt)) return null;
  const { seq, endSeq } = skb.tcpCb;
  if (before(seq, dsackHigh)) tcpDsackExtend(sk, seq, seqMin(dsackHigh, endSeq));
  skbRbErase(tp.outOfOrderQueue, skb);
  if (tp.oooLastSkb === skb) tp.oooLastSkb = null;
  return skb;
}
