/** Reassembly queues. Counterpart of include/net/inet_frag.h. */
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { TimerList } from '#kernel/time/timer.ts';
import type { RbRoot } from '#lib/rbtree.ts';
import { newRbRoot } from '#lib/rbtree.ts';

// Bits of the flags of a queue.
/** The first fragment (offset 0) has arrived. */
export const INET_FRAG_FIRST_IN = 1;
/** The last fragment (no "more fragments") has arrived, so the length is known. */
export const INET_FRAG_LAST_IN = 2;
/** Finished: put together, timed out, or given up. */
export const INET_FRAG_COMPLETE = 4;
/** On the hash table no more. */
export const INET_FRAG_HASH_DEAD = 8;
/** Its fragments are dropped, not consumed. */
export const INET_FRAG_DROP = 16;

/** sizeof(struct ipq) of Linux on 64 bits: what an empty queue costs. */
export const SIZEOF_IPQ = 216;

/** Buckets of the table of queues; a power of two. */
export const INET_FRAGS_HASHSZ = 1024;

/** All queues of a namespace, and their memory in bytes of truesize. @kernel fqdir include/net/inet_frag.h */
export class InetFragsNs {
  readonly net: Net;
  mem = 0;
  /** Queues in the table. */
  count = 0;
  /** The namespace ends: no more queues. */
  dead = false;
  readonly buckets: (IpFragQueue | null)[] = new Array<IpFragQueue | null>(INET_FRAGS_HASHSZ).fill(
    null,
  );

  constructor(net: Net) {
    this.net = net;
  }
}

/** A datagram being put together. @kernel ipq net/ipv4/ip_fragment.c */
export class IpFragQueue {
  readonly fqdir: InetFragsNs;
  // Identity. @kernel frag_v4_compare_key include/net/inet_frag.h
  readonly saddr: number;
  readonly daddr: number;
  readonly id: number;
  readonly protocol: number;
  /** IP_DEFRAG_*: who reassembles. */
  readonly user: number;
  readonly vif: number;
  /** Chain of the hash bucket. */
  hashNext: IpFragQueue | null = null;
  timer: TimerList<IpFragQueue> | null = null;
  refcnt = 0;
  /**
   * Runs of adjacent fragments, ordered by offset. The head of a run has cb0 = its offset and cb1 =
   * the run's length; the others follow by `next`.
   */
  readonly fragments: RbRoot<SkBuff> = newRbRoot<SkBuff>();
  /** The fragment with the highest end, and the head of its run. */
  fragmentsTail: SkBuff | null = null;
  lastRunHead: SkBuff | null = null;
  /** Receive time of the last fragment. */
  stamp = 0;
  stampType = 0;
  /** Length of the whole datagram, known with the last fragment. */
  len = 0;
  /** Bytes received so far. */
  meat = 0;
  /** INET_FRAG_* */
  flags = 0;
  /** Largest fragment, and the largest that carried DF. */
  maxSize = 0;
  maxDfSize = 0;
  /** One bit for each ECN field seen. */
  ecn = 0;
  iif = 0;
  /** The source's fragment counter when the last fragment came. */
  rid = 0;

  constructor(
    fqdir: InetFragsNs,
    saddr: number,
    daddr: number,
    id: number,
    protocol: number,
    user: number,
    vif: number,
  ) {
    this.fqdir = fqdir;
    this.saddr = saddr;
    this.daddr = daddr;
    this.id = id;
    this.protocol = protocol;
    this.user = user;
    this.vif = vif;
  }
}
