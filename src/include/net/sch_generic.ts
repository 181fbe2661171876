/** Queueing disciplines. Counterpart of include/net/sch_generic.h; functions in net/sched/. */
import type { NetDevice, NetdevQueue } from '#include/linux/netdevice.ts';
import { NET_XMIT_DROP, NET_XMIT_SUCCESS } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { SkBuffHead } from '#include/linux/skbuff.ts';
import { __skbDequeue, __skbQueueTail } from '#include/linux/skbuff_queue.ts';
import { SKB_DROP_REASON_QDISC_DROP } from '#uapi/net_dropreason.ts';

export const TCQ_F_BUILTIN = 0x1;
export const TCQ_F_INGRESS = 0x2;
export const TCQ_F_CAN_BYPASS = 0x4;
export const TCQ_F_ONETXQUEUE = 0x10;
export const TCQ_F_MQROOT = 0x8;
export const TCQ_F_NOPARENT = 0x40;
export const TCQ_F_CPUSTATS = 0x80;
export const TCQ_F_NOLOCK = 0x100;

// Bits of Qdisc.state.
export const __QDISC_STATE_SCHED = 0;
export const __QDISC_STATE_DEACTIVATED = 1;
export const __QDISC_STATE_MISSED = 2;
export const __QDISC_STATE_DRAINING = 3;

/** What a dump says of a class. */
export interface QdiscClassDump {
  /** Minor number of its handle. */
  readonly minor: number;
  /** Handle of the discipline below; 0: none. */
  readonly info: number;
}

/** Figures of a class. */
export interface QdiscClassStats {
  readonly qlen: number;
  readonly backlog: number;
  readonly drops: number;
  /** TCA_STATS_APP; null: none. */
  readonly app: Uint8Array | null;
}

/**
 * The classes of a discipline that has other disciplines below it, or flows to be looked at. A class is a number of the
 * discipline's own; 0: none.
 * @kernel Qdisc_class_ops include/net/sch_generic.h
 */
export interface QdiscClassOps {
  find: (sch: Qdisc, classid: number) => number;
  /** The discipline below a class; null: none. */
  leaf: (sch: Qdisc, cl: number) => Qdisc | null;
  /** Puts a discipline below a class, null for none; returns the one that was there. */
  graft: (sch: Qdisc, cl: number, leaf: Qdisc | null) => Qdisc | null;
  dump: (sch: Qdisc, cl: number) => QdiscClassDump;
  dumpStats: ((sch: Qdisc, cl: number) => QdiscClassStats) | null;
  walk: (sch: Qdisc, visit: (cl: number) => void) => void;
  /** The discipline below the class has become empty by drops. */
  qlenNotify: ((sch: Qdisc, cl: number) => void) | null;
}

/** A kind of queueing discipline. @kernel Qdisc_ops include/net/sch_generic.h */
export interface QdiscOps {
  readonly id: string;
  /** Disciplines with others below them have these. */
  readonly clOps?: QdiscClassOps;
  /**
   * Takes the packet. Returns NET_XMIT_*; a packet that is not kept is put on `toFree` with its drop
   * reason in `cb0`, and freed by the caller.
   */
  enqueue: ((skb: SkBuff, sch: Qdisc, toFree: SkBuffHead) => number) | null;
  dequeue: (sch: Qdisc) => SkBuff | null;
  peek: (sch: Qdisc) => SkBuff | null;
  /** `opt` is the TCA_OPTIONS payload, null for defaults. Negative errno on failure. */
  init: ((sch: Qdisc, opt: Uint8Array | null) => number) | null;
  reset: ((sch: Qdisc) => void) | null;
  destroy: ((sch: Qdisc) => void) | null;
  change: ((sch: Qdisc, opt: Uint8Array) => number) | null;
  changeTxQueueLen: ((sch: Qdisc, newLen: number) => number) | null;
  dump: ((sch: Qdisc) => Uint8Array | null) | null;
  /** TCA_STATS_APP: figures of the discipline's own. */
  readonly dumpStats?: (sch: Qdisc) => Uint8Array;
}

/** An instance on a device or queue. @kernel Qdisc include/net/sch_generic.h */
export class Qdisc {
  readonly ops: QdiscOps;
  /** Null only for the built-in noop instance. */
  devQueue: NetdevQueue | null;
  dev: NetDevice | null;
  flags: number;
  limit: number;
  /** Major:minor as one 32-bit number. */
  handle: number;
  parent: number;
  /** __QDISC_STATE_* bits. */
  state: number;
  /** True while qdisc_run is inside: @kernel qdisc_is_running include/net/sch_generic.h */
  running: boolean;
  /** Packets that the driver refused and that go first. */
  readonly gsoSkb: SkBuffHead;
  readonly skbBadTxq: SkBuffHead;
  /** The simple queue that fifos use. */
  readonly q: SkBuffHead;
  /** Next on softnet_data.output_queue. */
  nextSched: Qdisc | null;
  /** Packets held: those of the discipline and of `gsoSkb`. */
  qlen: number;
  /** Bytes held, by pktLen. */
  backlog: number;
  bytes: number;
  packets: number;
  drops: number;
  requeues: number;
  overlimits: number;
  refcnt: number;
  /** The discipline's private part. @kernel qdisc_priv include/net/pkt_sched.h */
  priv: unknown;

  constructor(ops: QdiscOps, devQueue: NetdevQueue | null, dev: NetDevice | null) {
    this.ops = ops;
    this.devQueue = devQueue;
    this.dev = dev;
    this.flags = 0;
    this.limit = 0;
    this.handle = 0;
    this.parent = 0;
    this.state = 0;
    this.running = false;
    this.gsoSkb = new SkBuffHead();
    this.skbBadTxq = new SkBuffHead();
    this.q = new SkBuffHead();
    this.nextSched = null;
    this.qlen = 0;
    this.backlog = 0;
    this.bytes = 0;
    this.packets = 0;
    this.drops = 0;
    this.requeues = 0;
    this.overlimits = 0;
    this.refcnt = 1;
    this.priv = null;
  }
}

/** What the device layer asks of the scheduler; registered by pktsched_init(). */
export interface SchedOps {
  devInitScheduler(dev: NetDevice): void;
  devActivate(dev: NetDevice): void;
  devDeactivate(dev: NetDevice): void;
  devShutdown(dev: NetDevice): void;
  devQdiscChangeTxQueueLen(dev: NetDevice): number;
  /** Drops what waits before the queues from `index` on. */
  qdiscResetAllTxGt(dev: NetDevice, index: number): void;
  netdevWatchdogUp(dev: NetDevice): void;
  /** Transmits directly or puts the packet back; true: the qdisc may go on. */
  schDirectXmit(
    skb: SkBuff,
    q: Qdisc,
    dev: NetDevice,
    txq: NetdevQueue,
    validate: boolean,
  ): boolean;
  __qdiscRun(q: Qdisc): void;
}

/** Takes the right to run the qdisc; false: somebody runs it already. @kernel qdisc_run_begin include/net/sch_generic.h */
export function qdiscRunBegin(q: Qdisc): boolean {
  if (q.running) return false;
  q.running = true;
  return true;
}

/** @kernel qdisc_run_end include/net/sch_generic.h */
export function qdiscRunEnd(q: Qdisc): void {
  q.running = false;
}

/** Packets in the qdisc, refused ones included. @kernel qdisc_qlen include/net/sch_generic.h */
export function qdiscQlen(q: Qdisc): number {
  return q.qlen;
}

/** @kernel qdisc_pkt_len include/net/sch_generic.h */
export function qdiscPktLen(skb: SkBuff): number {
  return skb.pktLen;
}

/** @kernel qdisc_bstats_update include/net/sch_generic.h */
export function qdiscBstatsUpdate(sch: Qdisc, skb: SkBuff): void {
  sch.bytes += skb.pktLen;
  sch.packets += skb.shinfo.gsoSize !== 0 ? skb.shinfo.gsoSegs : 1;
}

/** @kernel qdisc_enqueue_tail include/net/sch_generic.h */
export function qdiscEnqueueTail(skb: SkBuff, sch: Qdisc): number {
  __skbQueueTail(sch.q, skb);
  sch.qlen++;
  sch.backlog += skb.pktLen;
  return NET_XMIT_SUCCESS;
}

/** @kernel qdisc_dequeue_head include/net/sch_generic.h */
export function qdiscDequeueHead(sch: Qdisc): SkBuff | null {
  const skb = __skbDequeue(sch.q);
  if (skb !== null) {
    sch.qlen--;
    sch.backlog -= skb.pktLen;
    qdiscBstatsUpdate(sch, skb);
  }
  return skb;
}

/** Puts the packet among those to be freed, for this reason. @kernel __qdisc_drop include/net/sch_generic.h */
export function __qdiscDrop(skb: SkBuff, toFree: SkBuffHead, reason: number): void {
  skb.cb0 = reason;
  __skbQueueTail(toFree, skb);
}

/**
 * The packet that would leave next, taken out of its queue but still held, for disciplines that cannot
 * look without taking. @kernel qdisc_peek_dequeued include/net/sch_generic.h
 */
export function qdiscPeekDequeued(sch: Qdisc): SkBuff | null {
  const held = sch.gsoSkb.next;
  if (held !== null) return held;
  const skb = sch.ops.dequeue(sch);
  if (skb !== null) {
    __skbQueueTail(sch.gsoSkb, skb);
    // It is still part of the queue.
    sch.backlog += skb.pktLen;
    sch.qlen++;
  }
  return skb;
}

/** Takes the packet that a peek has shown. @kernel qdisc_dequeue_peeked include/net/sch_generic.h */
export function qdiscDequeuePeeked(sch: Qdisc): SkBuff | null {
  const skb = __skbDequeue(sch.gsoSkb);
  if (skb === null) return sch.ops.dequeue(sch);
  sch.backlog -= skb.pktLen;
  sch.qlen--;
  return skb;
}

/** Hands a packet to a discipline below. @kernel qdisc_enqueue include/net/sch_generic.h */
export function qdiscEnqueue(skb: SkBuff, sch: Qdisc, toFree: SkBuffHead): number {
  const { enqueue } = sch.ops;
  return enqueue === null
    ? qdiscDropReason(skb, sch, toFree, SKB_DROP_REASON_QDISC_DROP)
    : enqueue(skb, sch, toFree);
}

/** The same, counted; returns NET_XMIT_DROP. @kernel qdisc_drop_reason include/net/sch_generic.h */
export function qdiscDropReason(
  skb: SkBuff,
  sch: Qdisc,
  toFree: SkBuffHead,
  reason: number,
): number {
  __qdiscDrop(skb, toFree, reason);
  sch.drops++;
  return NET_XMIT_DROP;
}
