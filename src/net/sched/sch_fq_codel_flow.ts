/**
 * The flows of fq_codel and the lists on which they wait for their turn. Part of
 * net/sched/sch_fq_codel.c.
 *
 * A flow is on one list or on none (`listed`), and leaves a list from its head only. `head` to `tail`
 * are its packets, linked by `next`; `backlogs` has their bytes, apart so that the longest is found
 * by running over an array. A packet's `cb0` is the memory it was counted with, `cb1` when it came.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import { CodelParams, CodelStats, CodelVars } from '#include/net/codel.ts';
import type { Qdisc } from '#include/net/sch_generic.ts';

/** @kernel fq_codel_flow net/sched/sch_fq_codel.c */
export class FqCodelFlow {
  readonly sch: Qdisc;
  readonly index: number;
  head: SkBuff | null;
  tail: SkBuff | null;
  /** Next on its list. */
  next: FqCodelFlow | null;
  listed: boolean;
  /** Bytes that it may send in this turn. */
  deficit: number;
  vars: CodelVars;

  constructor(sch: Qdisc, index: number) {
    this.sch = sch;
    this.index = index;
    this.head = null;
    this.tail = null;
    this.next = null;
    this.listed = false;
    this.deficit = 0;
    this.vars = new CodelVars();
  }
}

/** Flows in the order of their turns. */
export interface FqCodelFlowHead {
  first: FqCodelFlow | null;
  last: FqCodelFlow | null;
}

/** @kernel fq_codel_sched_data net/sched/sch_fq_codel.c */
export class FqCodelSchedData {
  readonly sch: Qdisc;
  /** Each is made when its first packet comes. */
  flows: (FqCodelFlow | null)[];
  /** Bytes in each flow. */
  backlogs: Uint32Array;
  flowsCnt: number;
  /** Bytes of a turn. */
  quantum: number;
  /** Packets dropped at once when there are too many. */
  dropBatchSize: number;
  /** Bytes of memory that packets may take. */
  memoryLimit: number;
  memoryUsage: number;
  readonly params: CodelParams;
  readonly stats: CodelStats;
  dropOverlimit: number;
  dropOvermemory: number;
  /** How often a flow came on the list of new ones. */
  newFlowCount: number;
  readonly newFlows: FqCodelFlowHead;
  readonly oldFlows: FqCodelFlowHead;

  constructor(sch: Qdisc, mtu: number) {
    this.sch = sch;
    this.flows = [];
    this.backlogs = new Uint32Array(0);
    this.flowsCnt = 1024;
    this.quantum = mtu;
    this.dropBatchSize = 64;
    this.memoryLimit = 32 << 20;
    this.memoryUsage = 0;
    this.params = new CodelParams(mtu);
    this.params.ecn = true;
    this.stats = new CodelStats();
    this.dropOverlimit = 0;
    this.dropOvermemory = 0;
    this.newFlowCount = 0;
    this.newFlows = { first: null, last: null };
    this.oldFlows = { first: null, last: null };
  }
}

export function fqCodelFlow(q: FqCodelSchedData, idx: number): FqCodelFlow {
  const flow = q.flows[idx];
  if (flow !== null && flow !== undefined) return flow;
  const made = new FqCodelFlow(q.sch, idx);
  q.flows[idx] = made;
  return made;
}

/** @kernel dequeue_head net/sched/sch_fq_codel.c */
export function dequeueHead(flow: FqCodelFlow): SkBuff | null {
  const skb = flow.head;
  if (skb === null) return null;
  flow.head = skb.next;
  if (flow.head === null) flow.tail = null;
  skb.next = null;
  return skb;
}

/** @kernel flow_queue_add net/sched/sch_fq_codel.c */
export function flowQueueAdd(flow: FqCodelFlow, skb: SkBuff): void {
  if (flow.tail === null) flow.head = skb;
  else flow.tail.next = skb;
  flow.tail = skb;
  skb.next = null;
}

export function flowAddTail(list: FqCodelFlowHead, flow: FqCodelFlow): void {
  if (list.last === null) list.first = flow;
  else list.last.next = flow;
  list.last = flow;
  flow.next = null;
  flow.listed = true;
}

export function flowTakeFirst(list: FqCodelFlowHead): void {
  list.first = list.first?.next ?? null;
  if (list.first === null) list.last = null;
}
