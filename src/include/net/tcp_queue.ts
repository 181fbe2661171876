/**
 * TCP's three orders of sent and unsent packets:
 *
 *   sk.skWriteQueue        list of packets not yet sent (tcp_send_head is its first)
 *   tp.rtxQueue            tree by sequence number of packets sent and not yet acknowledged
 *   tp.tsortedHead..Tail   the latter again, in order of last transmission (RACK walks it)
 *
 * Counterpart of the queue inlines of include/net/tcp.h and of rb_to_skb in include/linux/skbuff.h.
 * What frees packets is in net/ipv4/tcp.ts, as it gives back socket memory.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import { skbZcopyPure } from '#include/linux/skbuff.ts';
import type { SkbRbRoot, TcpSock } from '#include/linux/tcp.ts';
import type { Sock } from '#include/net/sock.ts';
import { tcpSk } from '#include/net/tcp.ts';
import { tcpSkbTimestampUs } from '#include/net/tcp_inlines.ts';
import {
  rbErase,
  rbFirst,
  rbInsertColor,
  rbLast,
  rbLinkNode,
  rbNext,
  rbPrev,
} from '#lib/rbtree.ts';
import { before } from '#lib/tcp_seq.ts';

/** @kernel skb_rb_first include/linux/skbuff.h */
export function skbRbFirst(root: SkbRbRoot): SkBuff | null {
  return rbFirst(root);
}

/** @kernel skb_rb_last include/linux/skbuff.h */
export function skbRbLast(root: SkbRbRoot): SkBuff | null {
  return rbLast(root);
}

/** @kernel skb_rb_next include/linux/skbuff.h */
export function skbRbNext(skb: SkBuff): SkBuff | null {
  return rbNext(skb);
}

/** @kernel skb_rb_prev include/linux/skbuff.h */
export function skbRbPrev(skb: SkBuff): SkBuff | null {
  return rbPrev(skb);
}

/** Inserts by sequence number. @kernel tcp_rbtree_insert net/ipv4/tcp_output.c */
export function tcpRbtreeInsert(root: SkbRbRoot, skb: SkBuff): void {
  const seq = skb.tcpCb.seq;
  let parent: SkBuff | null = null;
  let at = root.node;
  let left = false;
  while (at !== null) {
    parent = at;
    left = before(seq, at.tcpCb.seq);
    at = left ? at.rbLeft : at.rbRight;
  }
  rbLinkNode(skb, parent, left, root);
  rbInsertColor(skb, root);
}

/** @kernel rb_erase lib/rbtree.c */
export function skbRbErase(root: SkbRbRoot, skb: SkBuff): void {
  rbErase(skb, root);
  skb.rbParent = null;
  skb.rbLeft = null;
  skb.rbRight = null;
}

// ---- Retransmit queue --------------------------------------------------------------------------

/** Oldest unacknowledged packet. @kernel tcp_rtx_queue_head include/net/tcp.h */
export function tcpRtxQueueHead(sk: Sock): SkBuff | null {
  return rbFirst(tcpSk(sk).rtxQueue);
}

/** @kernel tcp_rtx_queue_tail include/net/tcp.h */
export function tcpRtxQueueTail(sk: Sock): SkBuff | null {
  return rbLast(tcpSk(sk).rtxQueue);
}

/** @kernel tcp_rtx_queue_empty include/net/tcp.h */
export function tcpRtxQueueEmpty(sk: Sock): boolean {
  return tcpSk(sk).rtxQueue.node === null;
}

/** @kernel tcp_rtx_queue_unlink include/net/tcp.h */
export function tcpRtxQueueUnlink(skb: SkBuff, sk: Sock): void {
  const tp = tcpSk(sk);
  tcpTsortedUnlink(tp, skb);
  skbRbErase(tp.rtxQueue, skb);
}

/** Nothing sent and unacknowledged, nothing waiting? @kernel tcp_rtx_and_write_queues_empty include/net/tcp.h */
export function tcpRtxAndWriteQueuesEmpty(sk: Sock): boolean {
  return tcpRtxQueueEmpty(sk) && tcpWriteQueueEmpty(sk);
}

/** Microseconds left of the RTO of the oldest packet; <= 0: over. @kernel tcp_rto_delta_us include/net/tcp.h */
export function tcpRtoDeltaUs(sk: Sock): number {
  const tp = tcpSk(sk);
  const rtoUs = tp.icskRto * 1000;
  const skb = tcpRtxQueueHead(sk);
  return skb === null ? rtoUs : tcpSkbTimestampUs(skb) + rtoUs - tp.tcpMstamp;
}

// ---- Write queue -------------------------------------------------------------------------------

/** @kernel tcp_write_queue_head include/net/tcp.h */
export function tcpWriteQueueHead(sk: Sock): SkBuff | null {
  return sk.skWriteQueue.next;
}

/** @kernel tcp_write_queue_tail include/net/tcp.h */
export function tcpWriteQueueTail(sk: Sock): SkBuff | null {
  return sk.skWriteQueue.prev;
}

/** Next packet to send for the first time. @kernel tcp_send_head include/net/tcp.h */
export function tcpSendHead(sk: Sock): SkBuff | null {
  return sk.skWriteQueue.next;
}

/** @kernel tcp_skb_is_last include/net/tcp.h */
export function tcpSkbIsLast(sk: Sock, skb: SkBuff): boolean {
  return sk.skWriteQueue.prev === skb;
}

/** By sequence numbers, so that a FIN without packet counts. @kernel tcp_write_queue_empty include/net/tcp.h */
export function tcpWriteQueueEmpty(sk: Sock): boolean {
  const tp = tcpSk(sk);
  return tp.writeSeq === tp.sndNxt;
}

// ---- Order of transmission ---------------------------------------------------------------------

/** @kernel list_add_tail include/linux/list.h */
export function tcpTsortedAddTail(tp: TcpSock, skb: SkBuff): void {
  const last = tp.tsortedTail;
  skb.tsorted = true;
  skb.tsortedNext = null;
  skb.tsortedPrev = last;
  if (last === null) tp.tsortedHead = skb;
  else last.tsortedNext = skb;
  tp.tsortedTail = skb;
}

/** Puts `skb` right after `prev`. @kernel list_add include/linux/list.h */
export function tcpTsortedAddAfter(tp: TcpSock, skb: SkBuff, prev: SkBuff): void {
  const next = prev.tsortedNext;
  skb.tsorted = true;
  skb.tsortedPrev = prev;
  skb.tsortedNext = next;
  prev.tsortedNext = skb;
  if (next === null) tp.tsortedTail = skb;
  else next.tsortedPrev = skb;
}

/** Takes `skb` off when it is on. @kernel list_del_init include/linux/list.h */
export function tcpTsortedUnlink(tp: TcpSock, skb: SkBuff): void {
  if (!skb.tsorted) return;
  const { tsortedPrev: prev, tsortedNext: next } = skb;
  if (prev === null) tp.tsortedHead = next;
  else prev.tsortedNext = next;
  if (next === null) tp.tsortedTail = prev;
  else next.tsortedPrev = prev;
  skb.tsorted = false;
  skb.tsortedNext = null;
  skb.tsortedPrev = null;
}

/** @kernel list_move_tail include/linux/list.h */
export function tcpTsortedMoveTail(tp: TcpSock, skb: SkBuff): void {
  tcpTsortedUnlink(tp, skb);
  tcpTsortedAddTail(tp, skb);
}

// ---- Segments of a packet ----------------------------------------------------------------------

/** @kernel tcp_skb_pcount include/net/tcp.h */
export function tcpSkbPcount(skb: SkBuff): number {
  return skb.tcpCb.tcpGsoSegs;
}

/** @kernel tcp_skb_pcount_set include/net/tcp.h */
export function tcpSkbPcountSet(skb: SkBuff, segs: number): void {
  skb.tcpCb.tcpGsoSegs = segs;
}

/** @kernel tcp_skb_pcount_add include/net/tcp.h */
export function tcpSkbPcountAdd(skb: SkBuff, segs: number): void {
  skb.tcpCb.tcpGsoSegs += segs;
}

/** Bytes a full segment of this packet; 0 for a single one. @kernel tcp_skb_mss include/net/tcp.h */
export function tcpSkbMss(skb: SkBuff): number {
  return skb.tcpCb.tcpGsoSize;
}

/** @kernel tcp_skb_can_collapse_to include/net/tcp.h */
export function tcpSkbCanCollapseTo(skb: SkBuff): boolean {
  return !skb.tcpCb.eor;
}

/** @kernel tcp_skb_can_collapse include/net/tcp.h */
export function tcpSkbCanCollapse(to: SkBuff, from: SkBuff): boolean {
  return tcpSkbCanCollapseTo(to) && skbZcopyPure(to) === skbZcopyPure(from);
}

// ---- Highest SACKed packet ---------------------------------------------------------------------

/** Sequence number of what is beyond all SACKed data. @kernel tcp_highest_sack_seq include/net/tcp.h */
export function tcpHighestSackSeq(tp: TcpSock): number {
  if (tp.sackedOut === 0) return tp.sndUna;
  if (tp.highestSack === null) return tp.sndNxt;
  return tp.highestSack.tcpCb.seq;
}

/** @kernel tcp_advance_highest_sack include/net/tcp.h */
export function tcpAdvanceHighestSack(sk: Sock, skb: SkBuff): void {
  tcpSk(sk).highestSack = rbNext(skb);
}

/** @kernel tcp_highest_sack include/net/tcp.h */
export function tcpHighestSack(sk: Sock): SkBuff | null {
  return tcpSk(sk).highestSack;
}

/** @kernel tcp_highest_sack_reset include/net/tcp.h */
export function tcpHighestSackReset(sk: Sock): void {
  tcpSk(sk).highestSack = tcpRtxQueueHead(sk);
}

/** A packet takes another's place in the queue. @kernel tcp_highest_sack_replace include/net/tcp.h */
export function tcpHighestSackReplace(sk: Sock, old: SkBuff, neu: SkBuff | null): void {
  const tp = tcpSk(sk);
  if (old === tp.highestSack) tp.highestSack = neu;
}
