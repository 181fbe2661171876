/**
 * Queues of packets. Counterpart of the sk_buff_head operations of include/linux/skbuff.h and of
 * their locked twins in net/core/skbuff.c, which are the same here: one thread needs no queue lock.
 *
 * A queue is a null-terminated list in both directions: head.next is the first packet, head.prev
 * the last. Debug builds note in `skb.list` where a packet is queued and refuse to queue it twice.
 */
import type { SkBuff, SkBuffHead } from '#include/linux/skbuff.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';

function checkQueueable(skb: SkBuff, list: SkBuffHead): void {
  if (skb.freed) throw new KernelBug('skb-use-after-free', `freed packet queued: skb ${skb.id}`);
  if (skb.list !== null) {
    throw new KernelBug('skb-double-queue', `skb ${skb.id} is already on a queue`);
  }
  skb.list = list;
}

function checkQueued(skb: SkBuff, list: SkBuffHead): void {
  if (skb.list !== list) {
    throw new KernelBug('skb-not-queued', `skb ${skb.id} is not on the queue it is taken from`);
  }
  skb.list = null;
}

/** @kernel skb_queue_empty include/linux/skbuff.h */
export function skbQueueEmpty(list: SkBuffHead): boolean {
  return list.next === null;
}

/** @kernel skb_queue_len include/linux/skbuff.h */
export function skbQueueLen(list: SkBuffHead): number {
  return list.qlen;
}

/** The first packet, which stays queued. @kernel skb_peek include/linux/skbuff.h */
export function skbPeek(list: SkBuffHead): SkBuff | null {
  return list.next;
}

/** @kernel skb_peek_tail include/linux/skbuff.h */
export function skbPeekTail(list: SkBuffHead): SkBuff | null {
  return list.prev;
}

/** The packet after `skb`, null at the end. @kernel skb_peek_next include/linux/skbuff.h */
export function skbPeekNext(skb: SkBuff, _list: SkBuffHead): SkBuff | null {
  return skb.next;
}

/** @kernel skb_queue_is_last include/linux/skbuff.h */
export function skbQueueIsLast(list: SkBuffHead, skb: SkBuff): boolean {
  return list.prev === skb;
}

/** @kernel skb_queue_is_first include/linux/skbuff.h */
export function skbQueueIsFirst(list: SkBuffHead, skb: SkBuff): boolean {
  return list.next === skb;
}

/** @kernel skb_queue_next include/linux/skbuff.h */
export function skbQueueNext(list: SkBuffHead, skb: SkBuff): SkBuff {
  if (skb.next === null) throw new KernelBug('skb-queue-end', `qlen ${list.qlen}`);
  return skb.next;
}

/** @kernel skb_queue_prev include/linux/skbuff.h */
export function skbQueuePrev(list: SkBuffHead, skb: SkBuff): SkBuff {
  if (skb.prev === null) throw new KernelBug('skb-queue-end', `qlen ${list.qlen}`);
  return skb.prev;
}

/** Forgets what a queue holds. @kernel __skb_queue_head_init include/linux/skbuff.h */
export function skbQueueHeadInit(list: SkBuffHead): void {
  list.next = null;
  list.prev = null;
  list.qlen = 0;
}

/** Links `newsk` between two neighbours, either of which may be absent. @kernel __skb_insert include/linux/skbuff.h */
export function __skbInsert(
  newsk: SkBuff,
  prev: SkBuff | null,
  next: SkBuff | null,
  list: SkBuffHead,
): void {
  if (DEBUG) checkQueueable(newsk, list);
  newsk.next = next;
  newsk.prev = prev;
  if (next === null) list.prev = newsk;
  else next.prev = newsk;
  if (prev === null) list.next = newsk;
  else prev.next = newsk;
  list.qlen++;
}

/** @kernel __skb_queue_tail include/linux/skbuff.h */
export function __skbQueueTail(list: SkBuffHead, newsk: SkBuff): void {
  if (DEBUG) checkQueueable(newsk, list);
  const last = list.prev;
  newsk.next = null;
  newsk.prev = last;
  if (last === null) list.next = newsk;
  else last.next = newsk;
  list.prev = newsk;
  list.qlen++;
}

/** @kernel __skb_queue_head include/linux/skbuff.h */
export function __skbQueueHead(list: SkBuffHead, newsk: SkBuff): void {
  __skbInsert(newsk, null, list.next, list);
}

/** @kernel __skb_queue_after include/linux/skbuff.h */
export function __skbQueueAfter(list: SkBuffHead, prev: SkBuff, newsk: SkBuff): void {
  __skbInsert(newsk, prev, prev.next, list);
}

/** @kernel __skb_queue_before include/linux/skbuff.h */
export function __skbQueueBefore(list: SkBuffHead, next: SkBuff, newsk: SkBuff): void {
  __skbInsert(newsk, next.prev, next, list);
}

/** @kernel __skb_unlink include/linux/skbuff.h */
export function __skbUnlink(skb: SkBuff, list: SkBuffHead): void {
  if (DEBUG) checkQueued(skb, list);
  const next = skb.next;
  const prev = skb.prev;
  skb.next = null;
  skb.prev = null;
  if (next === null) list.prev = prev;
  else next.prev = prev;
  if (prev === null) list.next = next;
  else prev.next = next;
  list.qlen--;
}

/** Takes the first packet. @kernel __skb_dequeue include/linux/skbuff.h */
export function __skbDequeue(list: SkBuffHead): SkBuff | null {
  const skb = list.next;
  if (skb === null) return null;
  if (DEBUG) checkQueued(skb, list);
  const next = skb.next;
  skb.next = null;
  list.next = next;
  if (next === null) list.prev = null;
  else next.prev = null;
  list.qlen--;
  return skb;
}

/** Takes the last packet. @kernel __skb_dequeue_tail include/linux/skbuff.h */
export function __skbDequeueTail(list: SkBuffHead): SkBuff | null {
  const skb = list.prev;
  if (skb !== null) __skbUnlink(skb, list);
  return skb;
}

/** @kernel skb_queue_tail net/core/skbuff.c */
export function skbQueueTail(list: SkBuffHead, newsk: SkBuff): void {
  __skbQueueTail(list, newsk);
}

/** @kernel skb_queue_head net/core/skbuff.c */
export function skbQueueHead(list: SkBuffHead, newsk: SkBuff): void {
  __skbInsert(newsk, null, list.next, list);
}

/** @kernel skb_dequeue net/core/skbuff.c */
export function skbDequeue(list: SkBuffHead): SkBuff | null {
  return __skbDequeue(list);
}

/** @kernel skb_dequeue_tail net/core/skbuff.c */
export function skbDequeueTail(list: SkBuffHead): SkBuff | null {
  return __skbDequeueTail(list);
}

/** @kernel skb_unlink net/core/skbuff.c */
export function skbUnlink(skb: SkBuff, list: SkBuffHead): void {
  __skbUnlink(skb, list);
}

/** Puts `newsk` behind `old`. @kernel skb_append net/core/skbuff.c */
export function skbAppend(old: SkBuff, newsk: SkBuff, list: SkBuffHead): void {
  __skbInsert(newsk, old, old.next, list);
}

function relabel(from: SkBuffHead, to: SkBuffHead): void {
  for (let skb = from.next; skb !== null; skb = skb.next) skb.list = to;
}

/** Moves all of `list` to the front of `head`; `list` is empty then. @kernel skb_queue_splice_init include/linux/skbuff.h */
export function skbQueueSpliceInit(list: SkBuffHead, head: SkBuffHead): void {
  const first = list.next;
  const last = list.prev;
  if (first === null || last === null) return;
  if (DEBUG) relabel(list, head);
  const at = head.next;
  last.next = at;
  if (at === null) head.prev = last;
  else at.prev = last;
  head.next = first;
  head.qlen += list.qlen;
  skbQueueHeadInit(list);
}

/** Moves all of `list` to the end of `head`; `list` is empty then. @kernel skb_queue_splice_tail_init include/linux/skbuff.h */
export function skbQueueSpliceTailInit(list: SkBuffHead, head: SkBuffHead): void {
  const first = list.next;
  const last = list.prev;
  if (first === null || last === null) return;
  if (DEBUG) relabel(list, head);
  const at = head.prev;
  first.prev = at;
  if (at === null) head.next = first;
  else at.next = first;
  head.prev = last;
  head.qlen += list.qlen;
  skbQueueHeadInit(list);
}

/** @kernel skb_queue_splice include/linux/skbuff.h */
export function skbQueueSplice(list: SkBuffHead, head: SkBuffHead): void {
  skbQueueSpliceInit(list, head);
}

/** @kernel skb_queue_splice_tail include/linux/skbuff.h */
export function skbQueueSpliceTail(list: SkBuffHead, head: SkBuffHead): void {
  skbQueueSpliceTailInit(list, head);
}

/** Takes a packet out of a chain that is linked by `next` alone. @kernel skb_mark_not_on_list include/linux/skbuff.h */
export function skbMarkNotOnList(skb: SkBuff): void {
  skb.next = null;
}
