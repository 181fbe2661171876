/**
 * Fair queueing with pacing: flows take turns by bytes, and packets leave at their time. Counterpart of
 * net/sched/sch_fq.c; the flows are in sch_fq_flow.ts, the settings in sch_fq_config.ts.
 *
 * TCP stamps its packets with the time at which they may leave (`tstamp`, earliest departure time), and
 * a flow is held back until then; the rate of other sockets, and of the discipline, is kept here. A
 * flow that has used up its quantum goes behind the others; three bands of priorities share by weight.
 */

import { SUBSYS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import { NET_XMIT_SUCCESS } from '#include/linux/netdevice.ts';
import type { SkBuff, SkBuffHead } from '#include/linux/skbuff.ts';
import {
  type Qdisc,
  type QdiscOps,
  qdiscBstatsUpdate,
  qdiscDropReason,
  qdiscPeekDequeued,
} from '#include/net/sch_generic.ts';
import type { Machine } from '#kernel/machine.ts';
import { inetEcnSetCe } from '#net/core/inet_ecn.ts';
import { kfreeSkb } from '#net/core/skbuff.ts';
import { qdiscWatchdogCancel, qdiscWatchdogScheduleRangeNs } from '#net/sched/sch_api_watchdog.ts';
import { fqChange, fqDump, fqDumpStats } from '#net/sched/sch_fq_config.ts';
import {
  FQ_BANDS,
  type FqFlow,
  type FqFlowHead,
  type FqPerbandFlows,
  FqSchedData,
  flowQueueAdd,
  fqCheckThrottled,
  fqClassify,
  fqEraseHead,
  fqFlowAddTail,
  fqFlowIsDetached,
  fqFlowSetDetached,
  fqFlowSetThrottled,
  fqPeek,
  NEVER,
  NO_RATE,
} from '#net/sched/sch_fq_flow.ts';
import { registerQdisc } from '#net/sched/sch_generic.ts';
import {
  SKB_DROP_REASON_FQ_BAND_LIMIT,
  SKB_DROP_REASON_FQ_FLOW_LIMIT,
  SKB_DROP_REASON_FQ_HORIZON_LIMIT,
  SKB_DROP_REASON_QUEUE_PURGE,
} from '#uapi/net_dropreason.ts';
import { TC_PRIO_MAX } from '#uapi/pkt_sched.ts';

const NSEC_PER_SEC = 1e9;
/** Packets in a band. */
const DEFAULT_LIMIT = 10000;

const fq = (sch: Qdisc): FqSchedData => sch.priv as FqSchedData;

/** @kernel fq_enqueue net/sched/sch_fq.c */
function fqEnqueue(skb: SkBuff, sch: Qdisc, toFree: SkBuffHead): number {
  const q = fq(sch);
  const band = q.prio2band[skb.priority & TC_PRIO_MAX] as number;
  if ((q.bandPktCount[band] as number) >= sch.limit) {
    (q.statBandDrops[band] as number)++;
    return qdiscDropReason(skb, sch, toFree, SKB_DROP_REASON_FQ_BAND_LIMIT);
  }
  const now = q.machine.nowNs;
  if (skb.tstamp > now + q.horizon) {
    if (q.horizonDrop) {
      q.statHorizonDrops++;
      return qdiscDropReason(skb, sch, toFree, SKB_DROP_REASON_FQ_HORIZON_LIMIT);
    }
    q.statHorizonCaps++;
    skb.tstamp = now + q.horizon;
  }
  skb.cb0 = skb.tstamp === 0 ? now : skb.tstamp;
  const flow = fqClassify(sch, q, skb, now);
  if (flow !== q.internal) {
    if (flow.qlen >= q.flowPlimit) {
      q.statFlowsPlimit++;
      return qdiscDropReason(skb, sch, toFree, SKB_DROP_REASON_FQ_FLOW_LIMIT);
    }
    enter(q, flow, band);
    skb.cb1 = band;
  }
  flow.qlen++;
  flowQueueAdd(flow, skb);
  sch.qlen++;
  sch.backlog += skb.pktLen;
  return NET_XMIT_SUCCESS;
}

/** A flow gets one packet more; an empty one comes on the list of new flows. */
function enter(q: FqSchedData, flow: FqFlow, band: number): void {
  if (fqFlowIsDetached(flow)) {
    // Idle for long enough: a new quantum.
    const idle = (q.machine.jiffies - flow.age) | 0;
    flow.band = band;
    fqFlowAddTail(q, flow, true);
    if (idle > q.flowRefillDelay) flow.credit = Math.max(flow.credit, q.quantum);
  }
  flow.band = band;
  (q.bandPktCount[band] as number)++;
  if (flow.qlen === 0) q.inactiveFlows--;
}

/** @kernel fq_dequeue_skb net/sched/sch_fq.c */
function fqDequeueSkb(sch: Qdisc, flow: FqFlow, skb: SkBuff): void {
  fqEraseHead(flow, skb);
  sch.backlog -= skb.pktLen;
  sch.qlen--;
}

/** New flows go before old ones. @kernel fq_pband_head_select net/sched/sch_fq.c */
function fqPbandHeadSelect(band: FqPerbandFlows): FqFlowHead | null {
  if (band.credit <= 0) return null;
  if (band.newFlows.first !== null) return band.newFlows;
  return band.oldFlows.first !== null ? band.oldFlows : null;
}

/** The list whose first flow has its turn; null when no flow has anything to send now. */
function nextList(q: FqSchedData): FqFlowHead | null {
  let tried = 0;
  for (;;) {
    const list = fqPbandHeadSelect(q.bands[q.bandNr] as FqPerbandFlows);
    if (list !== null) return list;
    // The next band that has credit; each earns its weight as it comes round.
    for (;;) {
      if (++tried > FQ_BANDS) return null;
      q.bandNr = (q.bandNr + 1) % FQ_BANDS;
      const next = q.bands[q.bandNr] as FqPerbandFlows;
      next.credit = Math.min(next.credit + next.quantum, next.quantum);
      if (next.credit > 0) break;
      tried = 0;
    }
  }
}

/** What the flow's turn yields: a packet, or null and the flow is elsewhere now. */
function takeTurn(sch: Qdisc, q: FqSchedData, list: FqFlowHead, now: number): SkBuff | null {
  const flow = list.first as FqFlow;
  if (flow.credit <= 0) {
    flow.credit += q.quantum;
    list.first = flow.next;
    fqFlowAddTail(q, flow, false);
    return null;
  }
  const skb = fqPeek(flow);
  if (skb === null) {
    list.first = flow.next;
    // A new flow passes through the old ones, so that it cannot come first over and over.
    if (list === (q.bands[flow.band] as FqPerbandFlows).newFlows) fqFlowAddTail(q, flow, false);
    else fqFlowSetDetached(q, flow);
    return null;
  }
  const timeNextPacket = Math.max(skb.cb0, flow.timeNextPacket);
  if (now + q.offloadHorizon < timeNextPacket) {
    list.first = flow.next;
    flow.timeNextPacket = timeNextPacket;
    fqFlowSetThrottled(q, flow);
    return null;
  }
  fqDequeueSkb(sch, flow, skb);
  if (now - timeNextPacket > q.ceThreshold) {
    inetEcnSetCe(skb);
    q.statCeMark++;
  }
  if (--flow.qlen === 0) q.inactiveFlows++;
  (q.bandPktCount[skb.cb1] as number)--;
  flow.credit -= skb.pktLen;
  (q.bands[flow.band] as FqPerbandFlows).credit -= skb.pktLen;
  if (q.rateEnable) pace(q, flow, skb, now);
  return skb;
}

/** Works out when the flow's next packet may leave, where the packet does not say it itself. */
function pace(q: FqSchedData, flow: FqFlow, skb: SkBuff, now: number): void {
  let rate = q.flowMaxRate;
  let length = skb.pktLen;
  if (skb.tstamp === 0) {
    if (skb.sk !== null) rate = Math.min(skb.sk.skPacingRate, rate);
    if (rate <= q.lowRateThreshold) {
      flow.credit = 0;
    } else {
      length = Math.max(length, q.quantum);
      if (flow.credit > 0) return;
    }
  }
  if (rate >= NO_RATE) return;
  let delay = rate > 0 ? Math.floor((length * NSEC_PER_SEC) / rate) : NSEC_PER_SEC + 1;
  if (delay > NSEC_PER_SEC) {
    delay = NSEC_PER_SEC;
    q.statPktsTooLong++;
  }
  // What the timer was late the last time is made good, up to half of the gap.
  if (flow.timeNextPacket !== 0) {
    delay -= Math.min(Math.floor(delay / 2), now - flow.timeNextPacket);
  }
  flow.timeNextPacket = now + delay;
}

/** @kernel fq_dequeue net/sched/sch_fq.c */
function fqDequeue(sch: Qdisc): SkBuff | null {
  if (sch.qlen === 0) return null;
  const q = fq(sch);
  let skb = fqPeek(q.internal);
  if (skb !== null) {
    q.internal.qlen--;
    fqDequeueSkb(sch, q.internal, skb);
    qdiscBstatsUpdate(sch, skb);
    return skb;
  }
  const now = q.machine.nowNs;
  fqCheckThrottled(q, now);
  for (;;) {
    const list = nextList(q);
    if (list === null) {
      if (q.timeNextDelayedFlow !== NEVER) {
        qdiscWatchdogScheduleRangeNs(q.watchdog, q.timeNextDelayedFlow, q.timerSlack);
      }
      return null;
    }
    skb = takeTurn(sch, q, list, now);
    if (skb === null) continue;
    qdiscBstatsUpdate(sch, skb);
    return skb;
  }
}

/** @kernel fq_flow_purge net/sched/sch_fq.c */
function fqFlowPurge(flow: FqFlow): void {
  for (let skb = fqPeek(flow); skb !== null; skb = fqPeek(flow)) {
    fqEraseHead(flow, skb);
    kfreeSkb(skb, SKB_DROP_REASON_QUEUE_PURGE, 'fq_flow_purge');
  }
  flow.qlen = 0;
}

/** @kernel fq_reset net/sched/sch_fq.c */
function fqReset(sch: Qdisc): void {
  const q = fq(sch);
  if (q === null) return;
  qdiscWatchdogCancel(q.watchdog);
  fqFlowPurge(q.internal);
  for (const [i, first] of q.buckets.entries()) {
    for (let flow = first; flow !== null; flow = flow.nextInBucket) fqFlowPurge(flow);
    q.buckets[i] = null;
  }
  for (const band of q.bands) {
    for (const list of [band.newFlows, band.oldFlows]) {
      list.first = null;
      list.last = null;
    }
  }
  q.bandPktCount.fill(0);
  q.delayed.node = null;
  q.timeNextDelayedFlow = NEVER;
  q.flows = 0;
  q.inactiveFlows = 0;
  q.throttledFlows = 0;
  sch.qlen = 0;
  sch.backlog = 0;
}

/** @kernel fq_init net/sched/sch_fq.c */
function fqInit(sch: Qdisc, opt: Uint8Array | null): number {
  sch.limit = DEFAULT_LIMIT;
  sch.priv = new FqSchedData(sch);
  return opt === null ? 0 : fqChange(sch, opt);
}

/** @kernel fq_qdisc_ops net/sched/sch_fq.c */
export const fqQdiscOps: QdiscOps = {
  id: 'fq',
  enqueue: fqEnqueue,
  dequeue: fqDequeue,
  peek: qdiscPeekDequeued,
  init: fqInit,
  reset: fqReset,
  destroy: null,
  change: fqChange,
  changeTxQueueLen: null,
  dump: fqDump,
  dumpStats: fqDumpStats,
};

/** @kernel fq_module_init net/sched/sch_fq.c */
function fqModuleInit(machine: Machine): number {
  return registerQdisc(machine, fqQdiscOps);
}

export const fqModule: KernelModule = {
  name: 'sch_fq',
  config: 'CONFIG_NET_SCH_FQ',
  depends: [],
  level: SUBSYS_INITCALL,
  init: fqModuleInit,
  exit: null,
};
