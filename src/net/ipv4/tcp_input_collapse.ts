/**
 * Copying received packets together when their overhead fills the buffer.
 *
 * Counterpart: tcp_collapse and its callers in net/ipv4/tcp_input.c. A sender of many small segments
 * could otherwise fill the memory with a fraction of the window.
 */
import { type SkBuff, SkBuffHead } from '#include/linux/skbuff.ts';
import {
  __skbDequeue,
  __skbQueueBefore,
  __skbQueueTail,
  __skbUnlink,
} from '#include/linux/skbuff_queue.ts';
import type { SkbRbRoot } from '#include/linux/tcp.ts';
import { netIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import { tcpSk, tcpSkbCbCopy } from '#include/net/tcp.ts';
import { tcpWinFromSpace } from '#include/net/tcp_inlines.ts';
import {
  skbRbErase,
  skbRbFirst,
  skbRbLast,
  skbRbNext,
  tcpRbtreeInsert,
} from '#include/net/tcp_queue.ts';
import { MERGE_COLLAPSE } from '#include/trace/events/packet.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { after, before, seqMax, seqMin } from '#lib/tcp_seq.ts';
import { mem } from '#mm/memory.ts';
import { __kfreeSkb, allocSkb, skbPut, skbWithOverhead } from '#net/core/skbuff.ts';
import { skbCopyBits } from '#net/core/skbuff_data.ts';
import { skbSetOwnerR } from '#net/core/sock.ts';
import { SKB_CONSUMED } from '#uapi/net_dropreason.ts';
import { LINUX_MIB_TCPRCVCOLLAPSED } from '#uapi/snmp.ts';
import { TCPHDR_FIN, TCPHDR_SYN } from '#uapi/tcp.ts';

const PAGE_SIZE = 4096;

/** @kernel tcp_skb_next net/ipv4/tcp_input.c */
function tcpSkbNext(skb: SkBuff, list: SkBuffHead | null): SkBuff | null {
  return list !== null ? skb.next : skbRbNext(skb);
}

/** Frees a packet whose bytes have been copied. Returns its successor. @kernel tcp_collapse_one net/ipv4/tcp_input.c */
function tcpCollapseOne(
  sk: Sock,
  skb: SkBuff,
  list: SkBuffHead | null,
  root: SkbRbRoot | null,
): SkBuff | null {
  const next = tcpSkbNext(skb, list);
  if (list !== null) __skbUnlink(skb, list);
  else if (root !== null) skbRbErase(root, skb);
  __kfreeSkb(skb, SKB_CONSUMED);
  netIncStats(sk.net, LINUX_MIB_TCPRCVCOLLAPSED);
  return next;
}

const isSynOrFin = (skb: SkBuff): boolean => (skb.tcpCb.tcpFlags & (TCPHDR_SYN | TCPHDR_FIN)) !== 0;

/**
 * First packet from `head` on with which copying pays: it wastes memory, begins before `start`, or
 * overlaps the next one; and where to start in it. Null when there is none.
 * @kernel tcp_collapse net/ipv4/tcp_input.c
 */
function tcpCollapseFind(
  sk: Sock,
  list: SkBuffHead | null,
  root: SkbRbRoot | null,
  head: SkBuff,
  tail: SkBuff | null,
  startSeq: number,
): { skb: SkBuff; start: number } | null {
  let start = startSeq;
  let skb: SkBuff | null = head;
  while (skb !== null && skb !== tail) {
    const scb = skb.tcpCb;
    if (!before(start, scb.endSeq)) {
      // Nothing new in it; possible in the tree.
      skb = tcpCollapseOne(sk, skb, list, root);
      continue;
    }
    const bloated = tcpWinFromSpace(sk, skb.truesize) > skb.len;
    if (!isSynOrFin(skb) && (bloated || before(scb.seq, start))) return { skb, start };
    const next = tcpSkbNext(skb, list);
    if (next !== null && next !== tail && scb.endSeq !== next.tcpCb.seq) {
      return isSynOrFin(skb) ? null : { skb, start };
    }
    start = scb.endSeq;
    skb = next;
  }
  return null;
}

/**
 * Copies [start, end) of the packets from `head` up to `tail` into well-filled ones.
 * @kernel tcp_collapse net/ipv4/tcp_input.c
 */
function tcpCollapse(
  sk: Sock,
  list: SkBuffHead | null,
  root: SkbRbRoot | null,
  head: SkBuff,
  tail: SkBuff | null,
  startSeq: number,
  end: number,
): void {
  const found = tcpCollapseFind(sk, list, root, head, tail, startSeq);
  if (found === null) return;
  let skb: SkBuff | null = found.skb;
  let start = found.start;
  const fresh = new SkBuffHead();
  while (skb !== null && before(start, end)) {
    let copy = Math.min(skbWithOverhead(PAGE_SIZE), (end - start) | 0);
    const nskb = allocSkb(sk.net.machine, copy);
    if (nskb === null) break;
    tcpSkbCbCopy(nskb.tcpCb, skb.tcpCb);
    nskb.tcpCb.seq = start;
    nskb.tcpCb.endSeq = start;
    // The tree takes them when the old ones are gone.
    if (list !== null) __skbQueueBefore(list, skb, nskb);
    else __skbQueueTail(fresh, nskb);
    skbSetOwnerR(nskb, sk);
    while (copy > 0) {
      const offset = (start - skb.tcpCb.seq) | 0;
      let size = (skb.tcpCb.endSeq - start) | 0;
      if (size > 0) {
        size = Math.min(copy, size);
        skbCopyBits(skb, offset, mem, skbPut(nskb, size), size);
        nskb.tcpCb.endSeq = (nskb.tcpCb.endSeq + size) | 0;
        if (tracepointKey.enabled)
          nskb.machine.trace.packet.packetMerge.probe?.(nskb, skb, MERGE_COLLAPSE);
        copy -= size;
        start = (start + size) | 0;
      }
      if (!before(start, skb.tcpCb.endSeq)) {
        skb = tcpCollapseOne(sk, skb, list, root);
        if (skb === null || skb === tail || isSynOrFin(skb)) {
          skb = null;
          break;
        }
      }
    }
  }
  for (let nskb = __skbDequeue(fresh); nskb !== null; nskb = __skbDequeue(fresh)) {
    if (root !== null) tcpRbtreeInsert(root, nskb);
  }
}

/** @kernel tcp_prune_queue net/ipv4/tcp_input.c */
export function tcpCollapseReceiveQueue(sk: Sock): void {
  const tp = tcpSk(sk);
  const list = sk.skReceiveQueue;
  const head = list.next;
  if (head !== null) tcpCollapse(sk, list, null, head, null, tp.copiedSeq, tp.rcvNxt);
}

/**
 * Collapses each run of adjacent packets in the tree, but no single small ones: that is work that an
 * attacker could make us do.
 * @kernel tcp_collapse_ofo_queue net/ipv4/tcp_input.c
 */
export function tcpCollapseOfoQueue(sk: Sock): void {
  const tp = tcpSk(sk);
  const root = tp.outOfOrderQueue;
  let sumTiny = 0;
  let head = skbRbFirst(root);
  while (head !== null) {
    let { seq: start, endSeq: end } = head.tcpCb;
    let rangeTruesize = head.truesize;
    let skb = skbRbNext(head);
    while (skb !== null && !after(skb.tcpCb.seq, end) && !before(skb.tcpCb.endSeq, start)) {
      rangeTruesize += skb.truesize;
      start = seqMin(start, skb.tcpCb.seq);
      end = seqMax(end, skb.tcpCb.endSeq);
      skb = skbRbNext(skb);
    }
    if (rangeTruesize !== head.truesize || (end - start) >>> 0 >= skbWithOverhead(PAGE_SIZE)) {
      tcpCollapse(sk, null, root, head, skb, start, end);
    } else {
      sumTiny += rangeTruesize;
      if (sumTiny > sk.skRcvbuf >> 3) return;
    }
    head = skb;
  }
  tp.oooLastSkb = skbRbLast(root);
}
