/**
 * Queues of fragments: table, memory, life, and the order of fragments within. Counterpart of
 * net/ipv4/inet_fragment.c. RFC 815; RFC 5722 (overlaps), which Linux applies to IPv4 too.
 *
 * Fragments that touch form a run. A tree orders the runs, so that a flood of tiny fragments in an
 * unkind order costs logarithmic and not linear time each ("FragmentSmack").
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import { CHECKSUM_COMPLETE, CHECKSUM_NONE, skbHasFragList } from '#include/linux/skbuff.ts';
import type { InetFragsNs, IpFragQueue } from '#include/net/inet_frag.ts';
import {
  INET_FRAG_COMPLETE,
  INET_FRAG_DROP,
  INET_FRAG_HASH_DEAD,
  INET_FRAGS_HASHSZ,
  SIZEOF_IPQ,
} from '#include/net/inet_frag.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { MERGE_REASSEMBLE } from '#include/trace/events/packet.ts';
import { modTimer, TimerList, timerDelete } from '#kernel/time/timer.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { csumAdd } from '#lib/checksum.ts';
import { jhash3words } from '#lib/jhash.ts';
import { rbErase, rbFirst, rbInsertColor, rbLinkNode, rbNext, rbReplaceNode } from '#lib/rbtree.ts';
import { allocSkb, kfreeSkb } from '#net/core/skbuff.ts';
import { skbUnclone } from '#net/core/skbuff_copy.ts';
import { SKB_CONSUMED, SKB_DROP_REASON_FRAG_REASM_TIMEOUT } from '#uapi/net_dropreason.ts';

export const IPFRAG_OK = 0;
/** All of it is here already. */
export const IPFRAG_DUP = 1;
/** Some of it is here already. */
export const IPFRAG_OVERLAP = 2;

/** @kernel frag_mem_limit include/net/inet_frag.h */
export function fragMemLimit(fqdir: InetFragsNs): number {
  return fqdir.mem;
}

/** @kernel add_frag_mem_limit include/net/inet_frag.h */
export function addFragMemLimit(fqdir: InetFragsNs, val: number): void {
  fqdir.mem += val;
}

/** @kernel sub_frag_mem_limit include/net/inet_frag.h */
export function subFragMemLimit(fqdir: InetFragsNs, val: number): void {
  fqdir.mem -= val;
}

/** Bucket of a queue's identity. @kernel ip4_key_hashfn net/ipv4/ip_fragment.c */
export function inetFragHash(
  net: Net,
  saddr: number,
  daddr: number,
  id: number,
  protocol: number,
  user: number,
  vif: number,
): number {
  const a = jhash3words(saddr, daddr, (id << 16) | (protocol << 8) | (user & 0xff), net.hashMix);
  return (vif === 0 ? a : jhash3words(a, vif, 0, net.hashMix)) & (INET_FRAGS_HASHSZ - 1);
}

/** Puts a new queue on the table and starts its timer. @kernel inet_frag_create net/ipv4/inet_fragment.c */
export function inetFragCreate(
  q: IpFragQueue,
  hash: number,
  timeoutJiffies: number,
  expire: (q: IpFragQueue) => void,
): void {
  const { fqdir } = q;
  const { machine } = fqdir.net;
  // One reference for the table, one for the timer.
  q.refcnt = 2;
  q.timer = new TimerList(machine, q, expire);
  modTimer(q.timer, (machine.jiffies + timeoutJiffies) | 0);
  q.hashNext = fqdir.buckets[hash] ?? null;
  fqdir.buckets[hash] = q;
  fqdir.count++;
  addFragMemLimit(fqdir, SIZEOF_IPQ);
}

function inetFragUnlink(q: IpFragQueue): void {
  const { fqdir } = q;
  const hash = inetFragHash(fqdir.net, q.saddr, q.daddr, q.id, q.protocol, q.user, q.vif);
  let prev: IpFragQueue | null = null;
  for (let at = fqdir.buckets[hash] ?? null; at !== null; prev = at, at = at.hashNext) {
    if (at !== q) continue;
    if (prev === null) fqdir.buckets[hash] = q.hashNext;
    else prev.hashNext = q.hashNext;
    break;
  }
  q.hashNext = null;
  fqdir.count--;
}

/**
 * No more fragments for this queue: stops the timer, leaves the table.
 * @kernel inet_frag_kill net/ipv4/inet_fragment.c
 */
export function inetFragKill(q: IpFragQueue): void {
  if (q.timer !== null && timerDelete(q.timer)) inetFragPut(q);
  if ((q.flags & INET_FRAG_COMPLETE) !== 0) return;
  q.flags |= INET_FRAG_COMPLETE;
  if ((q.flags & INET_FRAG_HASH_DEAD) === 0) {
    q.flags |= INET_FRAG_HASH_DEAD;
    inetFragUnlink(q);
    inetFragPut(q);
  }
}

/** Gives back a reference. @kernel inet_frag_putn include/net/inet_frag.h */
export function inetFragPut(q: IpFragQueue): void {
  if (--q.refcnt === 0) inetFragDestroy(q);
}

/** Frees all fragments; returns their truesize. @kernel inet_frag_rbtree_purge net/ipv4/inet_fragment.c */
export function inetFragRbtreePurge(q: IpFragQueue, reason: number): number {
  let sum = 0;
  let run = rbFirst(q.fragments);
  while (run !== null) {
    const nextRun = rbNext(run);
    rbErase(run, q.fragments);
    for (let skb: SkBuff | null = run; skb !== null; ) {
      const { next } = skb as SkBuff;
      sum += (skb as SkBuff).truesize;
      (skb as SkBuff).next = null;
      kfreeSkb(skb, reason, 'inet_frag_rbtree_purge');
      skb = next;
    }
    run = nextRun;
  }
  return sum;
}

/** @kernel inet_frag_destroy net/ipv4/inet_fragment.c */
function inetFragDestroy(q: IpFragQueue): void {
  const reason =
    (q.flags & INET_FRAG_DROP) !== 0 ? SKB_DROP_REASON_FRAG_REASM_TIMEOUT : SKB_CONSUMED;
  const sum = inetFragRbtreePurge(q, reason);
  subFragMemLimit(q.fqdir, sum + SIZEOF_IPQ);
}

/** Ends all queues of a namespace. @kernel fqdir_exit net/ipv4/inet_fragment.c */
export function fqdirExit(fqdir: InetFragsNs): void {
  fqdir.dead = true;
  for (let hash = 0; hash < INET_FRAGS_HASHSZ; hash++) {
    for (let q = fqdir.buckets[hash] ?? null; q !== null; q = fqdir.buckets[hash] ?? null) {
      inetFragKill(q);
    }
  }
}

/** A run of its own. @kernel fragcb_clear net/ipv4/inet_fragment.c */
function fragcbClear(skb: SkBuff): void {
  skb.next = null;
  skb.cb1 = skb.len;
}

/** @kernel fragrun_append_to_last net/ipv4/inet_fragment.c */
function fragrunAppendToLast(q: IpFragQueue, skb: SkBuff): void {
  fragcbClear(skb);
  (q.lastRunHead as SkBuff).cb1 += skb.len;
  (q.fragmentsTail as SkBuff).next = skb;
  q.fragmentsTail = skb;
}

/** @kernel fragrun_create net/ipv4/inet_fragment.c */
function fragrunCreate(q: IpFragQueue, skb: SkBuff): void {
  fragcbClear(skb);
  // The last run is the rightmost node.
  rbLinkNode(skb, q.lastRunHead, false, q.fragments);
  rbInsertColor(skb, q.fragments);
  q.fragmentsTail = skb;
  q.lastRunHead = skb;
}

/**
 * Puts a fragment of octets `offset` to `end` in its place. IPFRAG_*; only on IPFRAG_OK the queue
 * owns it.
 *
 * RFC 5722 demands that a datagram with overlapping fragments be discarded altogether. Duplicates
 * are no overlap in that sense: networks make them.
 * @kernel inet_frag_queue_insert net/ipv4/inet_fragment.c
 * @rfc 5722#4
 */
export function inetFragQueueInsert(
  q: IpFragQueue,
  skb: SkBuff,
  offset: number,
  end: number,
): number {
  const last = q.fragmentsTail;
  if (last === null) {
    fragrunCreate(q, skb);
  } else if (last.cb0 + last.len < end) {
    // The usual case: it goes to the end.
    if (offset < last.cb0 + last.len) return IPFRAG_OVERLAP;
    if (offset === last.cb0 + last.len) fragrunAppendToLast(q, skb);
    else fragrunCreate(q, skb);
  } else {
    let parent: SkBuff | null = null;
    let left = true;
    for (let curr = q.fragments.node; curr !== null; ) {
      parent = curr;
      const runEnd = curr.cb0 + curr.cb1;
      if (end <= curr.cb0) {
        left = true;
        curr = curr.rbLeft;
      } else if (offset >= runEnd) {
        left = false;
        curr = curr.rbRight;
      } else {
        return offset >= curr.cb0 && end <= runEnd ? IPFRAG_DUP : IPFRAG_OVERLAP;
      }
    }
    fragcbClear(skb);
    rbLinkNode(skb, parent, left, q.fragments);
    rbInsertColor(skb, q.fragments);
  }
  skb.cb0 = offset;
  return IPFRAG_OK;
}

/**
 * Prepares the first fragment to carry the others on its frag_list. Null: out of memory.
 * @kernel inet_frag_reasm_prepare net/ipv4/inet_fragment.c
 * @deviation the head stays the first fragment's own packet; Linux morphs the one that came last
 */
export function inetFragReasmPrepare(q: IpFragQueue): SkBuff | null {
  const head = rbFirst(q.fragments) as SkBuff;
  const before = head.truesize;
  if (skbUnclone(head) !== 0) return null;
  addFragMemLimit(q.fqdir, head.truesize - before);
  if (!skbHasFragList(head)) return head;
  // The first fragment is itself in fragments: move its frag_list into a packet behind it.
  const clone = allocSkb(head.machine, 0);
  if (clone === null) return null;
  let plen = 0;
  for (let i = 0; i < head.shinfo.nrFrags; i++) plen += head.shinfo.fragSize[i] as number;
  clone.shinfo.fragList = head.shinfo.fragList;
  clone.dataLen = head.dataLen - plen;
  clone.len = clone.dataLen;
  clone.ipSummed = head.ipSummed;
  clone.csum = 0;
  head.shinfo.fragList = null;
  head.dataLen -= clone.len;
  head.len -= clone.len;
  addFragMemLimit(q.fqdir, clone.truesize);
  // It is linked, and counted again, as if it were the fragment after the first.
  clone.next = head.next;
  head.next = clone;
  return head;
}

/**
 * Links all fragments to the head, in order, and empties the queue.
 * @kernel inet_frag_reasm_finish net/ipv4/inet_fragment.c
 */
export function inetFragReasmFinish(q: IpFragQueue, head: SkBuff): void {
  let run = rbNext(head);
  let fp = head.next;
  let tail: SkBuff | null = null;
  let sumTruesize = head.truesize;
  const tp = head.machine.trace.packet.packetMerge;
  rbErase(head, q.fragments);
  while (run !== null || fp !== null) {
    while (fp !== null) {
      const { next } = fp as SkBuff;
      const frag: SkBuff = fp;
      if (tracepointKey.enabled) tp.probe?.(head, frag, MERGE_REASSEMBLE);
      sumTruesize += frag.truesize;
      if (head.ipSummed !== frag.ipSummed) head.ipSummed = CHECKSUM_NONE;
      else if (head.ipSummed === CHECKSUM_COMPLETE) head.csum = csumAdd(head.csum, frag.csum);
      frag.next = null;
      frag.prev = null;
      head.dataLen += frag.len;
      head.len += frag.len;
      head.truesize += frag.truesize;
      if (tail === null) head.shinfo.fragList = frag;
      else tail.next = frag;
      tail = frag;
      fp = next;
    }
    if (run !== null) {
      const nextRun = rbNext(run);
      fp = run;
      rbErase(run, q.fragments);
      run = nextRun;
    }
  }
  head.next = null;
  head.prev = null;
  head.tstamp = q.stamp;
  head.tstampType = q.stampType;
  q.fragmentsTail = null;
  q.lastRunHead = null;
  subFragMemLimit(q.fqdir, sumTruesize);
}

/** Takes the first run's head out of the queue. @kernel inet_frag_pull_head net/ipv4/inet_fragment.c */
export function inetFragPullHead(q: IpFragQueue): SkBuff | null {
  const head = rbFirst(q.fragments);
  if (head === null) return null;
  const { next } = head;
  if (next !== null) {
    // The next of the run inherits its place in the tree.
    next.cb1 = head.cb1 - head.len;
    rbReplaceNode(head, next, q.fragments);
    if (q.lastRunHead === head) q.lastRunHead = next;
  } else {
    rbErase(head, q.fragments);
    if (q.lastRunHead === head) q.lastRunHead = null;
  }
  if (q.fragmentsTail === head) q.fragmentsTail = null;
  head.next = null;
  subFragMemLimit(q.fqdir, head.truesize);
  return head;
}
