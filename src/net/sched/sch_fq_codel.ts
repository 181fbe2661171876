/**
 * Flows that take turns, each kept short by controlled delay. Counterpart of net/sched/sch_fq_codel.c;
 * settings and figures are in sch_fq_codel_config.ts. RFC 8290.
 *
 * A packet goes to one of `flowsCnt` queues by the hash of its flow. A queue that was empty is put
 * behind the new flows, which go before the old ones for one quantum: what sends little, waits little.
 */

import { SUBSYS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import { NET_XMIT_CN, NET_XMIT_SUCCESS } from '#include/linux/netdevice.ts';
import type { SkBuff, SkBuffHead } from '#include/linux/skbuff.ts';
import { CodelVars } from '#include/net/codel.ts';
import {
  __qdiscDrop,
  type Qdisc,
  type QdiscOps,
  qdiscBstatsUpdate,
  qdiscPeekDequeued,
} from '#include/net/sch_generic.ts';
import type { Machine } from '#kernel/machine.ts';
import { reciprocalScale } from '#lib/jhash.ts';
import { skbGetHash } from '#net/core/flow_dissector.ts';
import { kfreeSkb } from '#net/core/skbuff.ts';
import { type CodelQueue, codelDequeue, codelSetEnqueueTime } from '#net/sched/codel_impl.ts';
import { qdiscTreeReduceBacklog } from '#net/sched/sch_api_tree.ts';
import {
  fqCodelChange,
  fqCodelClassOps,
  fqCodelDump,
  fqCodelDumpStats,
  fqCodelInit,
} from '#net/sched/sch_fq_codel_config.ts';
import {
  dequeueHead,
  type FqCodelFlow,
  type FqCodelSchedData,
  flowAddTail,
  flowQueueAdd,
  flowTakeFirst,
  fqCodelFlow,
} from '#net/sched/sch_fq_codel_flow.ts';
import { registerQdisc } from '#net/sched/sch_generic.ts';
import {
  SKB_DROP_REASON_QDISC_CONGESTED,
  SKB_DROP_REASON_QDISC_OVERLIMIT,
  SKB_DROP_REASON_QUEUE_PURGE,
} from '#uapi/net_dropreason.ts';
import { TC_H_MAJ_MASK, TC_H_MIN_MASK } from '#uapi/pkt_sched.ts';

const fqCodel = (sch: Qdisc): FqCodelSchedData => sch.priv as FqCodelSchedData;

/**
 * Which flow a packet belongs to: that which its priority names as a class, otherwise by its hash.
 * @kernel fq_codel_classify net/sched/sch_fq_codel.c
 */
function fqCodelClassify(skb: SkBuff, sch: Qdisc, q: FqCodelSchedData): number {
  const minor = skb.priority & TC_H_MIN_MASK;
  if ((skb.priority & TC_H_MAJ_MASK) >>> 0 === sch.handle && minor > 0 && minor <= q.flowsCnt) {
    return minor - 1;
  }
  return reciprocalScale(skbGetHash(skb), q.flowsCnt);
}

/**
 * Drops from the head of the longest flow up to half of it, at most `maxPackets` at a time: a flood
 * does not cost a search for every packet. Returns the flow's index.
 * @kernel fq_codel_drop net/sched/sch_fq_codel.c
 */
function fqCodelDrop(sch: Qdisc, maxPackets: number, toFree: SkBuffHead): number {
  const q = fqCodel(sch);
  let maxbacklog = 0;
  let idx = 0;
  for (let i = 0; i < q.flowsCnt; i++) {
    const backlog = q.backlogs[i] as number;
    if (backlog > maxbacklog) {
      maxbacklog = backlog;
      idx = i;
    }
  }
  const threshold = maxbacklog >>> 1;
  const flow = fqCodelFlow(q, idx);
  let len = 0;
  let i = 0;
  do {
    const skb = dequeueHead(flow);
    if (skb === null) break;
    len += skb.pktLen;
    q.memoryUsage -= skb.cb0;
    __qdiscDrop(skb, toFree, SKB_DROP_REASON_QDISC_OVERLIMIT);
  } while (++i < maxPackets && len < threshold);
  // The controller shall know that it was not enough.
  flow.vars.count += i;
  q.backlogs[idx] = (q.backlogs[idx] as number) - len;
  sch.drops += i;
  sch.backlog -= len;
  sch.qlen -= i;
  return idx;
}

/** @kernel fq_codel_enqueue net/sched/sch_fq_codel.c */
function fqCodelEnqueue(skb: SkBuff, sch: Qdisc, toFree: SkBuffHead): number {
  const q = fqCodel(sch);
  const idx = fqCodelClassify(skb, sch, q);
  const flow = fqCodelFlow(q, idx);
  const { pktLen } = skb;
  codelSetEnqueueTime(skb);
  flowQueueAdd(flow, skb);
  q.backlogs[idx] = (q.backlogs[idx] as number) + pktLen;
  sch.backlog += pktLen;
  if (!flow.listed) {
    flowAddTail(q.newFlows, flow);
    q.newFlowCount++;
    flow.deficit = q.quantum;
  }
  skb.cb0 = skb.truesize;
  q.memoryUsage += skb.truesize;
  const memoryLimited = q.memoryUsage > q.memoryLimit;
  if (++sch.qlen <= sch.limit && !memoryLimited) return NET_XMIT_SUCCESS;

  const qlen = sch.qlen;
  const backlog = sch.backlog;
  const hit = fqCodelDrop(sch, q.dropBatchSize, toFree);
  const packets = qlen - sch.qlen;
  const bytes = backlog - sch.backlog;
  q.dropOverlimit += packets;
  if (memoryLimited) q.dropOvermemory += packets;
  // Whoever gave us the packet counts it out itself when told that its flow is congested.
  if (hit === idx) {
    qdiscTreeReduceBacklog(sch, packets - 1, bytes - pktLen);
    return NET_XMIT_CN;
  }
  qdiscTreeReduceBacklog(sch, packets, bytes);
  return NET_XMIT_SUCCESS;
}

const QUEUE: CodelQueue<FqCodelFlow> = {
  /** @kernel dequeue_func net/sched/sch_fq_codel.c */
  dequeue: (flow) => {
    const skb = dequeueHead(flow);
    if (skb === null) return null;
    const { sch } = flow;
    const q = fqCodel(sch);
    q.backlogs[flow.index] = (q.backlogs[flow.index] as number) - skb.pktLen;
    q.memoryUsage -= skb.cb0;
    sch.qlen--;
    sch.backlog -= skb.pktLen;
    return skb;
  },
  /** @kernel drop_func net/sched/sch_fq_codel.c */
  drop: (skb, { sch }) => {
    kfreeSkb(skb, SKB_DROP_REASON_QDISC_CONGESTED, 'fq_codel_dequeue');
    sch.drops++;
  },
  /** What counts as no standing queue is that of all flows. */
  backlog: ({ sch }) => sch.backlog,
};

/** @kernel fq_codel_dequeue net/sched/sch_fq_codel.c */
function fqCodelDequeue(sch: Qdisc): SkBuff | null {
  const q = fqCodel(sch);
  for (;;) {
    const isNew = q.newFlows.first !== null;
    const list = isNew ? q.newFlows : q.oldFlows;
    const flow = list.first;
    if (flow === null) return null;
    if (flow.deficit <= 0) {
      flow.deficit += q.quantum;
      flowTakeFirst(list);
      flowAddTail(q.oldFlows, flow);
      continue;
    }
    const skb = codelDequeue(flow, QUEUE, q.params, flow.vars, q.stats);
    if (skb === null) {
      flowTakeFirst(list);
      // A new flow passes through the old ones, so that it cannot come first over and over.
      if (isNew && q.oldFlows.first !== null) flowAddTail(q.oldFlows, flow);
      else flow.listed = false;
      continue;
    }
    qdiscBstatsUpdate(sch, skb);
    flow.deficit -= skb.pktLen;
    if (q.stats.dropCount !== 0) {
      qdiscTreeReduceBacklog(sch, q.stats.dropCount, q.stats.dropLen);
      q.stats.dropCount = 0;
      q.stats.dropLen = 0;
    }
    return skb;
  }
}

/** @kernel fq_codel_reset net/sched/sch_fq_codel.c */
function fqCodelReset(sch: Qdisc): void {
  const q = fqCodel(sch);
  if (q === null) return;
  for (const list of [q.newFlows, q.oldFlows]) {
    list.first = null;
    list.last = null;
  }
  for (const flow of q.flows) {
    if (flow === null) continue;
    for (let skb = dequeueHead(flow); skb !== null; skb = dequeueHead(flow)) {
      kfreeSkb(skb, SKB_DROP_REASON_QUEUE_PURGE, 'fq_codel_reset');
    }
    flow.listed = false;
    flow.vars = new CodelVars();
  }
  q.backlogs.fill(0);
  q.memoryUsage = 0;
  sch.qlen = 0;
  sch.backlog = 0;
}

/** @kernel fq_codel_qdisc_ops net/sched/sch_fq_codel.c */
export const fqCodelQdiscOps: QdiscOps = {
  id: 'fq_codel',
  clOps: fqCodelClassOps,
  enqueue: fqCodelEnqueue,
  dequeue: fqCodelDequeue,
  peek: qdiscPeekDequeued,
  init: fqCodelInit,
  reset: fqCodelReset,
  destroy: null,
  change: fqCodelChange,
  changeTxQueueLen: null,
  dump: fqCodelDump,
  dumpStats: fqCodelDumpStats,
};

/** @kernel fq_codel_module_init net/sched/sch_fq_codel.c */
function fqCodelModuleInit(machine: Machine): number {
  return registerQdisc(machine, fqCodelQdiscOps);
}

export const fqCodelModule: KernelModule = {
  name: 'sch_fq_codel',
  config: 'CONFIG_NET_SCH_FQ_CODEL',
  depends: [],
  level: SUBSYS_INITCALL,
  init: fqCodelModuleInit,
  exit: null,
};
