/** Queueing disciplines. Counterpart of include/net/sch_generic.h; functions in net/sched/. */
import type { NetDevice, NetdevQueue } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { SkBuffHead } from '#include/linux/skbuff.ts';

export const TCQ_F_BUILTIN = 0x1;
export const TCQ_F_INGRESS = 0x2;
export const TCQ_F_CAN_BYPASS = 0x4;
export const TCQ_F_ONETXQUEUE = 0x10;
export const TCQ_F_MQROOT = 0x8;
export const TCQ_F_NOLOCK = 0x100;

// Bits of Qdisc.state.
export const __QDISC_STATE_SCHED = 0;
export const __QDISC_STATE_DEACTIVATED = 1;
export const __QDISC_STATE_MISSED = 2;
export const __QDISC_STATE_DRAINING = 3;

/** A kind of queueing discipline. @kernel Qdisc_ops include/net/sch_generic.h */
export interface QdiscOps {
  readonly id: string;
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
