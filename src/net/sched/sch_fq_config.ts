/**
 * Settings and figures of fq as `tc` reads and writes them. Counterpart of the netlink parts of
 * net/sched/sch_fq.c.
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { Qdisc } from '#include/net/sch_generic.ts';
import { jiffiesToUsecs, usecsToJiffies } from '#kernel/time/jiffies.ts';
import { setS64, setU64 } from '#lib/int64.ts';
import { kfreeSkb } from '#net/core/skbuff.ts';
import { type NlaPolicy, nlaGetS32, nlaGetU8, nlaGetU32, nlaParse } from '#net/netlink/nlattr.ts';
import { qdiscTreeReduceBacklog } from '#net/sched/sch_api_tree.ts';
import {
  FQ_BANDS,
  type FqPerbandFlows,
  type FqSchedData,
  fqResize,
  NEVER,
  NO_RATE,
} from '#net/sched/sch_fq_flow.ts';
import { binaryAttr, u32Attrs } from '#net/sched/tca.ts';
import { EINVAL } from '#uapi/errno.ts';
import { SKB_DROP_REASON_QDISC_OVERLIMIT } from '#uapi/net_dropreason.ts';
import {
  TC_PRIO_MAX,
  TCA_FQ_BUCKETS_LOG,
  TCA_FQ_CE_THRESHOLD,
  TCA_FQ_FLOW_MAX_RATE,
  TCA_FQ_FLOW_PLIMIT,
  TCA_FQ_FLOW_REFILL_DELAY,
  TCA_FQ_HORIZON,
  TCA_FQ_HORIZON_DROP,
  TCA_FQ_INITIAL_QUANTUM,
  TCA_FQ_LOW_RATE_THRESHOLD,
  TCA_FQ_MAX,
  TCA_FQ_OFFLOAD_HORIZON,
  TCA_FQ_ORPHAN_MASK,
  TCA_FQ_PLIMIT,
  TCA_FQ_PRIOMAP,
  TCA_FQ_QUANTUM,
  TCA_FQ_RATE_ENABLE,
  TCA_FQ_TIMER_SLACK,
  TCA_FQ_WEIGHTS,
  tcFqQdStats,
  tcPrioQopt,
} from '#uapi/pkt_sched.ts';

const NSEC_PER_USEC = 1000;
const U32_MAX = 0xffffffff;
/** Most buckets, as a power of two; largest quantum. */
const MAX_BUCKETS_LOG = 18;
const MAX_QUANTUM: number = 1 << 20;
const MIN_WEIGHT = 16384;

const fq = (sch: Qdisc): FqSchedData => sch.priv as FqSchedData;

/** @kernel fq_policy net/sched/sch_fq.c */
const POLICY: readonly (NlaPolicy | undefined)[] = Array.from({ length: TCA_FQ_MAX + 1 }, (_, i) =>
  i === 0 || i === TCA_FQ_PRIOMAP || i === TCA_FQ_WEIGHTS
    ? undefined
    : { kind: i === TCA_FQ_HORIZON_DROP ? 'u8' : 'u32' },
);

/** Sets one option: 0 or a negative errno. */
type Setter = (q: FqSchedData, value: number, sch: Qdisc) => number;

const plain =
  (set: (q: FqSchedData, value: number, sch: Qdisc) => void): Setter =>
  (q, value, sch) => {
    set(q, value, sch);
    return 0;
  };

const SETTERS: ReadonlyMap<number, Setter> = new Map<number, Setter>([
  [
    TCA_FQ_PLIMIT,
    plain((_q, value, sch) => {
      sch.limit = value;
    }),
  ],
  [
    TCA_FQ_FLOW_PLIMIT,
    plain((q, value) => {
      q.flowPlimit = value;
    }),
  ],
  [
    TCA_FQ_QUANTUM,
    (q, value) => {
      if (value === 0 || value > MAX_QUANTUM) return -EINVAL;
      q.quantum = value;
      return 0;
    },
  ],
  [
    TCA_FQ_INITIAL_QUANTUM,
    plain((q, value) => {
      q.initialQuantum = value;
    }),
  ],
  [
    TCA_FQ_FLOW_MAX_RATE,
    plain((q, value) => {
      q.flowMaxRate = value === U32_MAX ? NO_RATE : value;
    }),
  ],
  [
    TCA_FQ_LOW_RATE_THRESHOLD,
    plain((q, value) => {
      q.lowRateThreshold = value;
    }),
  ],
  [
    TCA_FQ_RATE_ENABLE,
    (q, value) => {
      if (value > 1) return -EINVAL;
      q.rateEnable = value === 1;
      return 0;
    },
  ],
  [
    TCA_FQ_FLOW_REFILL_DELAY,
    plain((q, value) => {
      q.flowRefillDelay = usecsToJiffies(value);
    }),
  ],
  [
    TCA_FQ_ORPHAN_MASK,
    plain((q, value) => {
      q.orphanMask = value;
    }),
  ],
  [
    TCA_FQ_CE_THRESHOLD,
    plain((q, value) => {
      q.ceThreshold = value === U32_MAX ? NEVER : value * NSEC_PER_USEC;
    }),
  ],
  [
    TCA_FQ_TIMER_SLACK,
    plain((q, value) => {
      q.timerSlack = value;
    }),
  ],
  [
    TCA_FQ_HORIZON,
    plain((q, value) => {
      q.horizon = value * NSEC_PER_USEC;
    }),
  ],
  // No device here takes packets ahead of their time.
  [TCA_FQ_OFFLOAD_HORIZON, (_q, value) => (value === 0 ? 0 : -EINVAL)],
]);

/** Bands of the priorities. @kernel fq_load_priomap net/sched/sch_fq.c */
function loadPriomap(q: FqSchedData, attr: Uint8Array): number {
  if (attr.length < tcPrioQopt.LEN) return -EINVAL;
  const v = new DataView(attr.buffer, attr.byteOffset, attr.byteLength);
  if (v.getInt32(0, true) !== FQ_BANDS) return -EINVAL;
  const map = attr.subarray(tcPrioQopt.PRIOMAP, tcPrioQopt.PRIOMAP + TC_PRIO_MAX + 1);
  if (map.some((band) => band >= FQ_BANDS)) return -EINVAL;
  q.prio2band.set(map);
  return 0;
}

/** @kernel fq_load_weights net/sched/sch_fq.c */
function loadWeights(q: FqSchedData, attr: Uint8Array): number {
  if (attr.length < 4 * FQ_BANDS) return -EINVAL;
  const weights = q.bands.map((_, i) => nlaGetS32(attr.subarray(4 * i)));
  if (weights.some((weight) => weight < MIN_WEIGHT)) return -EINVAL;
  for (const [i, weight] of weights.entries()) (q.bands[i] as FqPerbandFlows).quantum = weight;
  return 0;
}

/** Drops packets of a discipline that may hold fewer now. */
function trim(sch: Qdisc): void {
  let packets = 0;
  let bytes = 0;
  while (sch.qlen > sch.limit) {
    const skb = sch.ops.dequeue(sch);
    if (skb === null) break;
    packets++;
    bytes += skb.pktLen;
    kfreeSkb(skb, SKB_DROP_REASON_QDISC_OVERLIMIT, 'fq_change');
  }
  qdiscTreeReduceBacklog(sch, packets, bytes);
}

/** @kernel fq_change net/sched/sch_fq.c */
export function fqChange(sch: Qdisc, opt: Uint8Array): number {
  const q = fq(sch);
  const tb = nlaParse(opt, TCA_FQ_MAX, POLICY, null);
  if (typeof tb === 'number') return tb;
  let err = 0;
  const log = tb[TCA_FQ_BUCKETS_LOG];
  const buckets = log === undefined ? q.treesLog : nlaGetU32(log);
  if (buckets < 1 || buckets > MAX_BUCKETS_LOG) err = -EINVAL;
  for (const [type, set] of SETTERS) {
    const attr = tb[type];
    if (attr !== undefined) err ||= set(q, nlaGetU32(attr), sch);
  }
  const priomap = tb[TCA_FQ_PRIOMAP];
  if (priomap !== undefined) err ||= loadPriomap(q, priomap);
  const weights = tb[TCA_FQ_WEIGHTS];
  if (weights !== undefined) err ||= loadWeights(q, weights);
  const drop = tb[TCA_FQ_HORIZON_DROP];
  if (drop !== undefined) q.horizonDrop = nlaGetU8(drop) !== 0;
  if (err === 0 && buckets !== q.treesLog) fqResize(q, buckets);
  trim(sch);
  return err;
}

function priomapAttr(q: FqSchedData): Uint8Array {
  const out = new Uint8Array(tcPrioQopt.LEN);
  tcPrioQopt.setBands(new DataView(out.buffer), 0, FQ_BANDS);
  out.set(q.prio2band, tcPrioQopt.PRIOMAP);
  return binaryAttr(TCA_FQ_PRIOMAP, out);
}

function weightsAttr(q: FqSchedData): Uint8Array {
  const out = new Uint8Array(4 * FQ_BANDS);
  const v = new DataView(out.buffer);
  q.bands.forEach(({ quantum }, i) => {
    v.setInt32(4 * i, quantum, true);
  });
  return binaryAttr(TCA_FQ_WEIGHTS, out);
}

/** @kernel fq_dump net/sched/sch_fq.c */
export function fqDump(sch: Qdisc): Uint8Array {
  const q = fq(sch);
  const ce = Math.floor(Math.min(q.ceThreshold / NSEC_PER_USEC, U32_MAX));
  const parts = [
    u32Attrs([
      [TCA_FQ_PLIMIT, sch.limit],
      [TCA_FQ_FLOW_PLIMIT, q.flowPlimit],
      [TCA_FQ_QUANTUM, q.quantum],
      [TCA_FQ_INITIAL_QUANTUM, q.initialQuantum],
      [TCA_FQ_RATE_ENABLE, q.rateEnable ? 1 : 0],
      [TCA_FQ_FLOW_MAX_RATE, Math.min(q.flowMaxRate, U32_MAX)],
      [TCA_FQ_FLOW_REFILL_DELAY, jiffiesToUsecs(q.flowRefillDelay)],
      [TCA_FQ_ORPHAN_MASK, q.orphanMask],
      [TCA_FQ_LOW_RATE_THRESHOLD, q.lowRateThreshold],
      [TCA_FQ_CE_THRESHOLD, ce],
      [TCA_FQ_BUCKETS_LOG, q.treesLog],
      [TCA_FQ_TIMER_SLACK, q.timerSlack],
      [TCA_FQ_HORIZON, q.horizon / NSEC_PER_USEC],
      [TCA_FQ_OFFLOAD_HORIZON, 0],
    ]),
    binaryAttr(TCA_FQ_HORIZON_DROP, Uint8Array.of(q.horizonDrop ? 1 : 0)),
    priomapAttr(q),
    weightsAttr(q),
  ];
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** struct tc_fq_qd_stats. @kernel fq_dump_stats net/sched/sch_fq.c */
export function fqDumpStats(sch: Qdisc): Uint8Array {
  const q = fq(sch);
  const out = new Uint8Array(tcFqQdStats.LEN);
  const v = new DataView(out.buffer);
  const next =
    q.timeNextDelayedFlow === NEVER
      ? 0
      : q.timeNextDelayedFlow - (sch.dev as NetDevice).net.machine.nowNs;
  setU64(v, tcFqQdStats.GC_FLOWS, q.statGcFlows, true);
  setU64(v, tcFqQdStats.THROTTLED, q.statThrottled, true);
  setU64(v, tcFqQdStats.FLOWS_PLIMIT, q.statFlowsPlimit, true);
  setU64(v, tcFqQdStats.PKTS_TOO_LONG, q.statPktsTooLong, true);
  setS64(v, tcFqQdStats.TIME_NEXT_DELAYED_FLOW, Math.floor(next), true);
  v.setUint32(tcFqQdStats.FLOWS, q.flows, true);
  v.setUint32(tcFqQdStats.INACTIVE_FLOWS, q.inactiveFlows, true);
  v.setUint32(tcFqQdStats.THROTTLED_FLOWS, q.throttledFlows, true);
  v.setUint32(tcFqQdStats.UNTHROTTLE_LATENCY_NS, q.unthrottleLatencyNs, true);
  setU64(v, tcFqQdStats.CE_MARK, q.statCeMark, true);
  setU64(v, tcFqQdStats.HORIZON_DROPS, q.statHorizonDrops, true);
  setU64(v, tcFqQdStats.HORIZON_CAPS, q.statHorizonCaps, true);
  setU64(v, tcFqQdStats.FASTPATH_PACKETS, q.statFastpathPackets, true);
  for (let band = 0; band < FQ_BANDS; band++) {
    setU64(v, tcFqQdStats.BAND_DROPS + 8 * band, q.statBandDrops[band] as number, true);
    v.setUint32(tcFqQdStats.BAND_PKT_COUNT + 4 * band, q.bandPktCount[band] as number, true);
  }
  return out;
}
