/**
 * The flows of fq: one for each socket, and one for each hash of packets without. Counterpart of the
 * flow parts of net/sched/sch_fq.c.
 *
 * A flow is on the list of new or of old flows of its band, or throttled until its next packet may
 * leave, or detached because it is empty. Packets of a flow wait in a list by their time to leave; one
 * that comes with an earlier time than the last waits in a tree beside it.
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { skbOrphan } from '#include/linux/skbuff.ts';
import type { Qdisc } from '#include/net/sch_generic.ts';
import { type Sock, skIsTcp } from '#include/net/sock.ts';
import type { Machine } from '#kernel/machine.ts';
import { HZ } from '#kernel/param.ts';
import { timeAfter } from '#kernel/time/jiffies.ts';
import { hash32 } from '#lib/jhash.ts';
import {
  newRbRoot,
  type RbNode,
  type RbRoot,
  rbErase,
  rbFirst,
  rbInsertColor,
  rbLinkNode,
} from '#lib/rbtree.ts';
import { skbGetHash } from '#net/core/flow_dissector.ts';
import { sockGenCookie } from '#net/core/sock_options_get.ts';
import { QdiscWatchdog } from '#net/sched/sch_api_watchdog.ts';
import { prio2band, TC_PRIO_CONTROL, TC_PRIO_MAX } from '#uapi/pkt_sched.ts';
import { TCP_CLOSE, TCP_LISTEN } from '#uapi/tcp.ts';

/** No rate: as fast as it goes. */
export const NO_RATE: number = Number.MAX_SAFE_INTEGER;
export const FQ_BANDS = 3;
/** No delayed flow waits. */
export const NEVER: number = Number.POSITIVE_INFINITY;

const SK_PACING_FQ = 2;
/** Jiffies that an empty flow is kept, and how many may go at once. */
const FQ_GC_AGE: number = 3 * HZ;
const FQ_GC_MAX = 8;

// FqFlow.place
const DETACHED = 0;
const LISTED = 1;
const THROTTLED = 2;

/** @kernel fq_flow net/sched/sch_fq.c */
export class FqFlow implements RbNode<FqFlow> {
  /** Whose packets these are: a socket, or null and a hash of them. */
  readonly sk: Sock | null;
  readonly orphanHash: number;
  socketHash: number;
  /** Packets in the order of their time to leave, those that came late for it in the tree. */
  head: SkBuff | null;
  tail: SkBuff | null;
  readonly tRoot: RbRoot<SkBuff>;
  /** Bytes it may send before others have their turn. */
  credit: number;
  qlen: number;
  band: number;
  /** ns at which the next packet may leave. */
  timeNextPacket: number;
  /** Jiffies when it became empty. */
  age: number;
  place: number;
  next: FqFlow | null;
  nextInBucket: FqFlow | null;
  rbParent: FqFlow | null;
  rbLeft: FqFlow | null;
  rbRight: FqFlow | null;
  rbRed: boolean;

  constructor(sk: Sock | null, orphanHash: number) {
    this.sk = sk;
    this.orphanHash = orphanHash;
    this.socketHash = 0;
    this.head = null;
    this.tail = null;
    this.tRoot = newRbRoot<SkBuff>();
    this.credit = 0;
    this.qlen = 0;
    this.band = 0;
    this.timeNextPacket = 0;
    this.age = 0;
    this.place = DETACHED;
    this.next = null;
    this.nextInBucket = null;
    this.rbParent = null;
    this.rbLeft = null;
    this.rbRight = null;
    this.rbRed = false;
  }
}

/** @kernel fq_flow_head net/sched/sch_fq.c */
export class FqFlowHead {
  first: FqFlow | null = null;
  last: FqFlow | null = null;
}

/** The flows of one band of priorities. @kernel fq_perband_flows net/sched/sch_fq.c */
export class FqPerbandFlows {
  readonly newFlows: FqFlowHead = new FqFlowHead();
  readonly oldFlows: FqFlowHead = new FqFlowHead();
  credit = 0;
  quantum: number;

  constructor(weight: number) {
    this.quantum = weight;
  }
}

/** @kernel fq_sched_data net/sched/sch_fq.c */
export class FqSchedData {
  readonly machine: Machine;
  readonly watchdog: QdiscWatchdog;
  // Settings. Bytes, ns, jiffies, bytes a second.
  quantum: number;
  initialQuantum: number;
  flowRefillDelay: number = HZ / 25;
  flowPlimit = 100;
  flowMaxRate: number = NO_RATE;
  ceThreshold: number = NEVER;
  horizon = 10e9;
  horizonDrop = true;
  orphanMask = 1023;
  lowRateThreshold: number = 550000 / 8;
  rateEnable = true;
  treesLog = 10;
  timerSlack = 10000;
  offloadHorizon = 0;
  readonly prio2band: Uint8Array = Uint8Array.from(prio2band);

  // State.
  buckets: (FqFlow | null)[];
  /** Control packets, and whatever need not wait for anybody. */
  readonly internal: FqFlow = new FqFlow(null, -1);
  readonly bands: readonly FqPerbandFlows[] = [
    new FqPerbandFlows(9 << 16),
    new FqPerbandFlows(3 << 16),
    new FqPerbandFlows(1 << 16),
  ];
  bandNr = 0;
  readonly bandPktCount: Int32Array = new Int32Array(FQ_BANDS);
  readonly delayed: RbRoot<FqFlow> = newRbRoot<FqFlow>();
  timeNextDelayedFlow: number = NEVER;
  flows = 0;
  inactiveFlows = 0;
  throttledFlows = 0;
  unthrottleLatencyNs = 0;

  // Counters.
  statGcFlows = 0;
  statThrottled = 0;
  statFlowsPlimit = 0;
  statPktsTooLong = 0;
  statCeMark = 0;
  statHorizonDrops = 0;
  statHorizonCaps = 0;
  statFastpathPackets = 0;
  readonly statBandDrops: Float64Array = new Float64Array(FQ_BANDS);

  constructor(sch: Qdisc) {
    const { net, mtu, hardHeaderLen } = sch.dev as NetDevice;
    this.machine = net.machine;
    this.watchdog = new QdiscWatchdog(sch);
    this.quantum = 2 * (mtu + hardHeaderLen);
    this.initialQuantum = 10 * (mtu + hardHeaderLen);
    this.buckets = new Array<FqFlow | null>(1 << this.treesLog).fill(null);
  }
}

// Lists of flows.

/** @kernel fq_flow_add_tail net/sched/sch_fq.c */
export function fqFlowAddTail(q: FqSchedData, flow: FqFlow, fresh: boolean): void {
  const band = q.bands[flow.band] as FqPerbandFlows;
  const head = fresh ? band.newFlows : band.oldFlows;
  if (head.first === null) head.first = flow;
  else (head.last as FqFlow).next = flow;
  head.last = flow;
  flow.next = null;
  flow.place = LISTED;
}

export function fqFlowIsDetached(flow: FqFlow): boolean {
  return flow.place === DETACHED;
}

/** @kernel fq_flow_set_detached net/sched/sch_fq.c */
export function fqFlowSetDetached(q: FqSchedData, flow: FqFlow): void {
  flow.age = q.machine.jiffies;
  flow.place = DETACHED;
}

/** Lets the flow wait until its next packet may leave. @kernel fq_flow_set_throttled net/sched/sch_fq.c */
export function fqFlowSetThrottled(q: FqSchedData, flow: FqFlow): void {
  let parent: FqFlow | null = null;
  let left = true;
  for (let node = q.delayed.node; node !== null; node = left ? node.rbLeft : node.rbRight) {
    parent = node;
    left = flow.timeNextPacket < node.timeNextPacket;
  }
  rbLinkNode(flow, parent, left, q.delayed);
  rbInsertColor(flow, q.delayed);
  q.throttledFlows++;
  q.statThrottled++;
  flow.place = THROTTLED;
  q.timeNextDelayedFlow = Math.min(q.timeNextDelayedFlow, flow.timeNextPacket);
}

/** @kernel fq_flow_unset_throttled net/sched/sch_fq.c */
function fqFlowUnsetThrottled(q: FqSchedData, flow: FqFlow): void {
  rbErase(flow, q.delayed);
  q.throttledFlows--;
  fqFlowAddTail(q, flow, false);
}

/** Brings back the flows whose time has come. @kernel fq_check_throttled net/sched/sch_fq.c */
export function fqCheckThrottled(q: FqSchedData, nowNs: number): void {
  const now = nowNs + q.offloadHorizon;
  if (q.timeNextDelayedFlow > now) return;
  const sample = nowNs - q.timeNextDelayedFlow;
  if (sample > 0) {
    // An average that gives the latest an eighth.
    q.unthrottleLatencyNs -= Math.floor(q.unthrottleLatencyNs / 8);
    q.unthrottleLatencyNs += Math.floor(sample / 8);
  }
  q.timeNextDelayedFlow = NEVER;
  for (let flow = rbFirst(q.delayed); flow !== null; flow = rbFirst(q.delayed)) {
    if (flow.timeNextPacket > now) {
      q.timeNextDelayedFlow = flow.timeNextPacket;
      return;
    }
    fqFlowUnsetThrottled(q, flow);
  }
}

// Packets of a flow. `cb0` is the time to leave in ns, `cb1` the band. @kernel fq_skb_cb net/sched/sch_fq.c

/** @kernel flow_queue_add net/sched/sch_fq.c */
export function flowQueueAdd(flow: FqFlow, skb: SkBuff): void {
  skb.next = null;
  if (flow.head === null || skb.cb0 >= (flow.tail as SkBuff).cb0) {
    if (flow.head === null) flow.head = skb;
    else (flow.tail as SkBuff).next = skb;
    flow.tail = skb;
    return;
  }
  let parent: SkBuff | null = null;
  let left = true;
  for (let node = flow.tRoot.node; node !== null; node = left ? node.rbLeft : node.rbRight) {
    parent = node;
    left = skb.cb0 < node.cb0;
  }
  rbLinkNode(skb, parent, left, flow.tRoot);
  rbInsertColor(skb, flow.tRoot);
}

/** The packet that leaves next. @kernel fq_peek net/sched/sch_fq.c */
export function fqPeek(flow: FqFlow): SkBuff | null {
  const { head } = flow;
  const early = flow.tRoot.node === null ? null : rbFirst(flow.tRoot);
  if (early === null) return head;
  return head === null || early.cb0 < head.cb0 ? early : head;
}

/** Takes out the packet that a peek has shown. @kernel fq_erase_head net/sched/sch_fq.c */
export function fqEraseHead(flow: FqFlow, skb: SkBuff): void {
  if (skb === flow.head) flow.head = skb.next;
  else rbErase(skb, flow.tRoot);
  skb.next = null;
}

// Which flow a packet belongs to.

/** Empty for so long that it may go. @kernel fq_gc_candidate net/sched/sch_fq.c */
function fqGcCandidate(q: FqSchedData, flow: FqFlow): boolean {
  return flow.place === DETACHED && timeAfter(q.machine.jiffies, (flow.age + FQ_GC_AGE) | 0);
}

/** Lets a few old flows of a bucket go. @kernel fq_gc net/sched/sch_fq.c */
function fqGc(q: FqSchedData, bucket: number, keep: FqFlow | null): void {
  let prev: FqFlow | null = null;
  let gone = 0;
  let flow = q.buckets[bucket] as FqFlow | null;
  while (flow !== null && gone < FQ_GC_MAX) {
    const next: FqFlow | null = flow.nextInBucket;
    if (flow !== keep && fqGcCandidate(q, flow)) {
      if (prev === null) q.buckets[bucket] = next;
      else prev.nextInBucket = next;
      gone++;
    } else {
      prev = flow;
    }
    flow = next;
  }
  q.flows -= gone;
  q.inactiveFlows -= gone;
  q.statGcFlows += gone;
}

/** Can the packet go past all flows? Only when none of them could send now. @kernel fq_fastpath_check net/sched/sch_fq.c */
function fqFastpathCheck(sch: Qdisc, q: FqSchedData, skb: SkBuff, now: number): boolean {
  if (skb.cb0 > now + q.offloadHorizon) return false;
  if (sch.qlen !== 0) {
    if (q.flows !== q.inactiveFlows + q.throttledFlows) return false;
    if (q.internal.qlen >= 8) return false;
    if (q.timeNextDelayedFlow <= now + q.offloadHorizon) return false;
  }
  const { sk } = skb;
  // Others than TCP do not stamp their packets: a rate of their own is kept here.
  if (sk !== null && !skIsTcp(sk) && sk.skMaxPacingRate !== NO_RATE) return false;
  return q.flowMaxRate === NO_RATE;
}

function bucketOf(q: FqSchedData, sk: Sock | null, orphanHash: number): number {
  return hash32(sk === null ? orphanHash : sockGenCookie(sk), q.treesLog);
}

/** The socket has a flow: it paces its packets for it. */
function claim(q: FqSchedData, flow: FqFlow, sk: Sock): void {
  flow.socketHash = sk.skcHash;
  if (q.rateEnable) sk.skPacingStatus = SK_PACING_FQ;
}

/** @kernel fq_classify net/sched/sch_fq.c */
export function fqClassify(sch: Qdisc, q: FqSchedData, skb: SkBuff, now: number): FqFlow {
  if ((skb.priority & TC_PRIO_MAX) === TC_PRIO_CONTROL) return q.internal;
  let { sk } = skb;
  let orphanHash = -1;
  if (sk === null || sk.skcState === TCP_LISTEN) {
    // SYN-ACKs are nobody's yet, and must not wait for the listener's rate.
    orphanHash = skbGetHash(skb) & q.orphanMask;
    skbOrphan(skb);
    sk = null;
  } else if (sk.skcState === TCP_CLOSE) {
    // Not connected, as sockets of UDP: its packets go to many.
    orphanHash = skbGetHash(skb) & q.orphanMask;
    sk = null;
  }
  if (fqFastpathCheck(sch, q, skb, now)) {
    q.statFastpathPackets++;
    if (sk !== null && q.rateEnable) sk.skPacingStatus = SK_PACING_FQ;
    return q.internal;
  }
  return findFlow(q, sk, orphanHash);
}

function findFlow(q: FqSchedData, sk: Sock | null, orphanHash: number): FqFlow {
  const bucket = bucketOf(q, sk, orphanHash);
  let flow = q.buckets[bucket] as FqFlow | null;
  while (flow !== null && (flow.sk !== sk || flow.orphanHash !== orphanHash)) {
    flow = flow.nextInBucket;
  }
  fqGc(q, bucket, flow);
  if (flow !== null) {
    // The object serves another connection now.
    if (sk !== null && flow.socketHash !== sk.skcHash) {
      flow.credit = q.initialQuantum;
      claim(q, flow, sk);
      if (flow.place === THROTTLED) fqFlowUnsetThrottled(q, flow);
      flow.timeNextPacket = 0;
    }
    return flow;
  }
  const made = new FqFlow(sk, orphanHash);
  fqFlowSetDetached(q, made);
  if (sk !== null) claim(q, made, sk);
  made.credit = q.initialQuantum;
  made.nextInBucket = q.buckets[bucket] as FqFlow | null;
  q.buckets[bucket] = made;
  q.flows++;
  q.inactiveFlows++;
  return made;
}

/** Spreads the flows over another number of buckets. @kernel fq_resize net/sched/sch_fq.c */
export function fqResize(q: FqSchedData, log: number): void {
  const old = q.buckets;
  q.treesLog = log;
  q.buckets = new Array<FqFlow | null>(1 << log).fill(null);
  for (const first of old) {
    for (let flow = first; flow !== null; ) {
      const next: FqFlow | null = flow.nextInBucket;
      const bucket = bucketOf(q, flow.sk, flow.orphanHash);
      flow.nextInBucket = q.buckets[bucket] as FqFlow | null;
      q.buckets[bucket] = flow;
      flow = next;
    }
  }
}
