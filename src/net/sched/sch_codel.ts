/**
 * One queue kept short by controlled delay: a packet is dropped, or marked, when packets have waited for
 * longer than the target throughout an interval. Counterpart of net/sched/sch_codel.c. RFC 8289.
 */

import { SUBSYS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff, SkBuffHead } from '#include/linux/skbuff.ts';
import { __skbDequeue } from '#include/linux/skbuff_queue.ts';
import {
  CODEL_DISABLED_THRESHOLD,
  CodelParams,
  CodelStats,
  CodelVars,
  codelGetTime,
  codelTimeToUs,
  us2time,
} from '#include/net/codel.ts';
import {
  type Qdisc,
  type QdiscOps,
  qdiscBstatsUpdate,
  qdiscDequeuePeeked,
  qdiscDropReason,
  qdiscEnqueueTail,
  qdiscPeekDequeued,
  TCQ_F_CAN_BYPASS,
} from '#include/net/sch_generic.ts';
import type { Machine } from '#kernel/machine.ts';
import { kfreeSkb, skbQueuePurgeReason } from '#net/core/skbuff.ts';
import { type NlaPolicy, nlaGetU32, nlaParse } from '#net/netlink/nlattr.ts';
import { type CodelQueue, codelDequeue, codelSetEnqueueTime } from '#net/sched/codel_impl.ts';
import { qdiscTreeReduceBacklog } from '#net/sched/sch_api_tree.ts';
import { registerQdisc } from '#net/sched/sch_generic.ts';
import { u32Attrs } from '#net/sched/tca.ts';
import {
  SKB_DROP_REASON_QDISC_CONGESTED,
  SKB_DROP_REASON_QDISC_OVERLIMIT,
  SKB_DROP_REASON_QUEUE_PURGE,
} from '#uapi/net_dropreason.ts';
import {
  TCA_CODEL_CE_THRESHOLD,
  TCA_CODEL_ECN,
  TCA_CODEL_INTERVAL,
  TCA_CODEL_LIMIT,
  TCA_CODEL_MAX,
  TCA_CODEL_TARGET,
  tcCodelXstats,
} from '#uapi/pkt_sched.ts';

/** Packets. @kernel DEFAULT_CODEL_LIMIT net/sched/sch_codel.c */
const DEFAULT_CODEL_LIMIT = 1000;

/** @kernel codel_sched_data net/sched/sch_codel.c */
class CodelSchedData {
  readonly params: CodelParams;
  readonly vars: CodelVars;
  readonly stats: CodelStats;
  dropOverlimit: number;

  constructor(mtu: number) {
    this.params = new CodelParams(mtu);
    this.vars = new CodelVars();
    this.stats = new CodelStats();
    this.dropOverlimit = 0;
  }
}

const QUEUE: CodelQueue<Qdisc> = {
  /** @kernel dequeue_func net/sched/sch_codel.c */
  dequeue: (sch) => {
    const skb = __skbDequeue(sch.q);
    if (skb !== null) {
      sch.backlog -= skb.pktLen;
      sch.qlen--;
    }
    return skb;
  },
  /** @kernel drop_func net/sched/sch_codel.c */
  drop: (skb, sch) => {
    kfreeSkb(skb, SKB_DROP_REASON_QDISC_CONGESTED, 'codel_qdisc_dequeue');
    sch.drops++;
  },
  backlog: (sch) => sch.backlog,
};

/** @kernel codel_qdisc_enqueue net/sched/sch_codel.c */
function codelQdiscEnqueue(skb: SkBuff, sch: Qdisc, toFree: SkBuffHead): number {
  if (sch.qlen < sch.limit) {
    codelSetEnqueueTime(skb);
    return qdiscEnqueueTail(skb, sch);
  }
  (sch.priv as CodelSchedData).dropOverlimit++;
  return qdiscDropReason(skb, sch, toFree, SKB_DROP_REASON_QDISC_OVERLIMIT);
}

/** @kernel codel_qdisc_dequeue net/sched/sch_codel.c */
function codelQdiscDequeue(sch: Qdisc): SkBuff | null {
  const { params, vars, stats } = sch.priv as CodelSchedData;
  const skb = codelDequeue(sch, QUEUE, params, vars, stats);
  if (stats.dropCount !== 0) {
    qdiscTreeReduceBacklog(sch, stats.dropCount, stats.dropLen);
    stats.dropCount = 0;
    stats.dropLen = 0;
  }
  if (skb !== null) qdiscBstatsUpdate(sch, skb);
  return skb;
}

const POLICY: readonly (NlaPolicy | undefined)[] = [
  undefined,
  ...new Array<NlaPolicy>(TCA_CODEL_MAX).fill({ kind: 'u32' }),
];

/** Drops the oldest packets of a queue that has become longer than allowed. */
function codelTrim(sch: Qdisc): void {
  let packets = 0;
  let bytes = 0;
  while (sch.qlen > sch.limit) {
    const skb = sch.gsoSkb.next !== null ? qdiscDequeuePeeked(sch) : QUEUE.dequeue(sch);
    if (skb === null) break;
    packets++;
    bytes += skb.pktLen;
    kfreeSkb(skb, SKB_DROP_REASON_QDISC_OVERLIMIT, 'codel_change');
  }
  qdiscTreeReduceBacklog(sch, packets, bytes);
}

/** @kernel codel_change net/sched/sch_codel.c */
function codelChange(sch: Qdisc, opt: Uint8Array): number {
  const tb = nlaParse(opt, TCA_CODEL_MAX, POLICY, null);
  if (typeof tb === 'number') return tb;
  const { params } = sch.priv as CodelSchedData;
  const target = tb[TCA_CODEL_TARGET];
  if (target !== undefined) params.target = us2time(nlaGetU32(target));
  const ceThreshold = tb[TCA_CODEL_CE_THRESHOLD];
  if (ceThreshold !== undefined) params.ceThreshold = us2time(nlaGetU32(ceThreshold));
  const interval = tb[TCA_CODEL_INTERVAL];
  if (interval !== undefined) params.interval = us2time(nlaGetU32(interval));
  const limit = tb[TCA_CODEL_LIMIT];
  if (limit !== undefined) sch.limit = nlaGetU32(limit);
  const ecn = tb[TCA_CODEL_ECN];
  if (ecn !== undefined) params.ecn = nlaGetU32(ecn) !== 0;
  codelTrim(sch);
  return 0;
}

/** @kernel codel_init net/sched/sch_codel.c */
function codelInit(sch: Qdisc, opt: Uint8Array | null): number {
  const dev = sch.dev as NetDevice;
  sch.limit = DEFAULT_CODEL_LIMIT;
  sch.priv = new CodelSchedData(dev.mtu + dev.hardHeaderLen);
  const err = opt === null ? 0 : codelChange(sch, opt);
  if (err !== 0) return err;
  if (sch.limit >= 1) sch.flags |= TCQ_F_CAN_BYPASS;
  else sch.flags &= ~TCQ_F_CAN_BYPASS;
  return 0;
}

/** @kernel codel_reset net/sched/sch_codel.c */
function codelReset(sch: Qdisc): void {
  skbQueuePurgeReason(sch.q, SKB_DROP_REASON_QUEUE_PURGE);
  if (sch.priv !== null) Object.assign((sch.priv as CodelSchedData).vars, new CodelVars());
}

/** @kernel codel_dump net/sched/sch_codel.c */
function codelDump(sch: Qdisc): Uint8Array {
  const { params } = sch.priv as CodelSchedData;
  const attrs: [number, number][] = [
    [TCA_CODEL_TARGET, codelTimeToUs(params.target)],
    [TCA_CODEL_LIMIT, sch.limit],
    [TCA_CODEL_INTERVAL, codelTimeToUs(params.interval)],
    [TCA_CODEL_ECN, params.ecn ? 1 : 0],
  ];
  if (params.ceThreshold !== CODEL_DISABLED_THRESHOLD) {
    attrs.push([TCA_CODEL_CE_THRESHOLD, codelTimeToUs(params.ceThreshold)]);
  }
  return u32Attrs(attrs);
}

/** struct tc_codel_xstats. @kernel codel_dump_stats net/sched/sch_codel.c */
function codelDumpStats(sch: Qdisc): Uint8Array {
  const { vars, stats, dropOverlimit } = sch.priv as CodelSchedData;
  const out = new Uint8Array(tcCodelXstats.LEN);
  const v = new DataView(out.buffer);
  tcCodelXstats.setMaxpacket(v, 0, stats.maxpacket);
  tcCodelXstats.setCount(v, 0, vars.count);
  tcCodelXstats.setLastcount(v, 0, vars.lastcount);
  tcCodelXstats.setLdelay(v, 0, codelTimeToUs(vars.ldelay));
  if (vars.dropping) {
    const now = codelGetTime((sch.dev as NetDevice).net.machine.nowNs);
    const delta = (vars.dropNext - now) | 0;
    tcCodelXstats.setDropNext(v, 0, delta >= 0 ? codelTimeToUs(delta) : -codelTimeToUs(-delta));
  }
  tcCodelXstats.setDropOverlimit(v, 0, dropOverlimit);
  tcCodelXstats.setEcnMark(v, 0, stats.ecnMark);
  tcCodelXstats.setDropping(v, 0, vars.dropping ? 1 : 0);
  tcCodelXstats.setCeMark(v, 0, stats.ceMark);
  return out;
}

/** @kernel codel_qdisc_ops net/sched/sch_codel.c */
export const codelQdiscOps: QdiscOps = {
  id: 'codel',
  enqueue: codelQdiscEnqueue,
  dequeue: codelQdiscDequeue,
  peek: qdiscPeekDequeued,
  init: codelInit,
  reset: codelReset,
  destroy: null,
  change: codelChange,
  changeTxQueueLen: null,
  dump: codelDump,
  dumpStats: codelDumpStats,
};

/** @kernel codel_module_init net/sched/sch_codel.c */
function codelModuleInit(machine: Machine): number {
  return registerQdisc(machine, codelQdiscOps);
}

export const codelModule: KernelModule = {
  name: 'sch_codel',
  config: 'CONFIG_NET_SCH_CODEL',
  depends: [],
  level: SUBSYS_INITCALL,
  init: codelModuleInit,
  exit: null,
};
