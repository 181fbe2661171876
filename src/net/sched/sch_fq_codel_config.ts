/**
 * Settings, figures and classes of fq_codel as `tc` reads and writes them. Counterpart of the netlink
 * parts of net/sched/sch_fq_codel.c.
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  CODEL_DISABLED_THRESHOLD,
  type CodelVars,
  codelGetTime,
  codelTimeToUs,
  us2time,
} from '#include/net/codel.ts';
import {
  type Qdisc,
  type QdiscClassOps,
  type QdiscClassStats,
  qdiscDequeuePeeked,
  TCQ_F_CAN_BYPASS,
} from '#include/net/sch_generic.ts';
import { kfreeSkb } from '#net/core/skbuff.ts';
import { type NlaPolicy, nlaGetU8, nlaGetU32, nlaParse } from '#net/netlink/nlattr.ts';
import { qdiscTreeReduceBacklog } from '#net/sched/sch_api_tree.ts';
import {
  dequeueHead,
  type FqCodelFlow,
  type FqCodelFlowHead,
  FqCodelSchedData,
} from '#net/sched/sch_fq_codel_flow.ts';
import { binaryAttr, u32Attrs } from '#net/sched/tca.ts';
import { EINVAL } from '#uapi/errno.ts';
import { SKB_DROP_REASON_QDISC_OVERLIMIT } from '#uapi/net_dropreason.ts';
import {
  TCA_FQ_CODEL_CE_THRESHOLD,
  TCA_FQ_CODEL_CE_THRESHOLD_MASK,
  TCA_FQ_CODEL_CE_THRESHOLD_SELECTOR,
  TCA_FQ_CODEL_DROP_BATCH_SIZE,
  TCA_FQ_CODEL_ECN,
  TCA_FQ_CODEL_FLOWS,
  TCA_FQ_CODEL_INTERVAL,
  TCA_FQ_CODEL_LIMIT,
  TCA_FQ_CODEL_MAX,
  TCA_FQ_CODEL_MEMORY_LIMIT,
  TCA_FQ_CODEL_QUANTUM,
  TCA_FQ_CODEL_TARGET,
  TCA_FQ_CODEL_XSTATS_CLASS,
  TCA_FQ_CODEL_XSTATS_QDISC,
  tcFqCodelXstats,
} from '#uapi/pkt_sched.ts';

/** Packets. */
const DEFAULT_LIMIT = 10 * 1024;
const MAX_FLOWS = 65536;
/** Least and largest quantum, bytes. */
const MIN_QUANTUM = 256;
const MAX_QUANTUM: number = 1 << 20;
const MAX_MEMORY = 2 ** 31;

const fqCodel = (sch: Qdisc): FqCodelSchedData => sch.priv as FqCodelSchedData;

const BYTES: readonly number[] = [
  TCA_FQ_CODEL_CE_THRESHOLD_SELECTOR,
  TCA_FQ_CODEL_CE_THRESHOLD_MASK,
];

/** @kernel fq_codel_policy net/sched/sch_fq_codel.c */
const POLICY: readonly (NlaPolicy | undefined)[] = Array.from(
  { length: TCA_FQ_CODEL_MAX + 1 },
  (_, i) => (i === 0 ? undefined : { kind: BYTES.includes(i) ? 'u8' : 'u32' }),
);

type Setter = (q: FqCodelSchedData, value: number) => void;

/** What takes a 32-bit value as it is, or within bounds. */
const SETTERS: ReadonlyMap<number, Setter> = new Map<number, Setter>([
  [
    TCA_FQ_CODEL_TARGET,
    ({ params }, us) => {
      params.target = us2time(us);
    },
  ],
  [
    TCA_FQ_CODEL_CE_THRESHOLD,
    ({ params }, us) => {
      params.ceThreshold = us2time(us);
    },
  ],
  [
    TCA_FQ_CODEL_INTERVAL,
    ({ params }, us) => {
      params.interval = us2time(us);
    },
  ],
  [
    TCA_FQ_CODEL_LIMIT,
    ({ sch }, packets) => {
      sch.limit = packets;
    },
  ],
  [
    TCA_FQ_CODEL_ECN,
    ({ params }, on) => {
      params.ecn = on !== 0;
    },
  ],
  [
    TCA_FQ_CODEL_QUANTUM,
    (q, bytes) => {
      q.quantum = Math.max(MIN_QUANTUM, bytes);
    },
  ],
  [
    TCA_FQ_CODEL_DROP_BATCH_SIZE,
    (q, packets) => {
      q.dropBatchSize = Math.max(1, packets);
    },
  ],
  [
    TCA_FQ_CODEL_MEMORY_LIMIT,
    (q, bytes) => {
      q.memoryLimit = Math.min(MAX_MEMORY, bytes);
    },
  ],
]);

/** The next packet in the order of the flows, whatever its delay. */
function takeAny(sch: Qdisc): SkBuff | null {
  if (sch.gsoSkb.next !== null) return qdiscDequeuePeeked(sch);
  const q = fqCodel(sch);
  for (const list of [q.newFlows, q.oldFlows]) {
    for (let flow = list.first; flow !== null; flow = flow.next) {
      const skb = dequeueHead(flow);
      if (skb === null) continue;
      q.backlogs[flow.index] = (q.backlogs[flow.index] as number) - skb.pktLen;
      q.memoryUsage -= skb.cb0;
      sch.qlen--;
      sch.backlog -= skb.pktLen;
      return skb;
    }
  }
  return null;
}

/** Drops packets of a discipline that may hold fewer now. */
function trim(sch: Qdisc): void {
  const q = fqCodel(sch);
  let packets = 0;
  let bytes = 0;
  while (sch.qlen > sch.limit || q.memoryUsage > q.memoryLimit) {
    const skb = takeAny(sch);
    if (skb === null) break;
    packets++;
    bytes += skb.pktLen;
    kfreeSkb(skb, SKB_DROP_REASON_QDISC_OVERLIMIT, 'fq_codel_change');
  }
  qdiscTreeReduceBacklog(sch, packets, bytes);
}

/** @kernel fq_codel_change net/sched/sch_fq_codel.c */
export function fqCodelChange(sch: Qdisc, opt: Uint8Array): number {
  const q = fqCodel(sch);
  const tb = nlaParse(opt, TCA_FQ_CODEL_MAX, POLICY, null);
  if (typeof tb === 'number') return tb;
  const count = tb[TCA_FQ_CODEL_FLOWS];
  if (count !== undefined) {
    // Packets cannot be told to which of other flows they would belong.
    if (q.flows.length > 0) return -EINVAL;
    q.flowsCnt = nlaGetU32(count);
    if (q.flowsCnt === 0 || q.flowsCnt > MAX_FLOWS) return -EINVAL;
  }
  const quantum = tb[TCA_FQ_CODEL_QUANTUM];
  if (quantum !== undefined && nlaGetU32(quantum) > MAX_QUANTUM) return -EINVAL;
  for (const [type, set] of SETTERS) {
    const attr = tb[type];
    if (attr !== undefined) set(q, nlaGetU32(attr));
  }
  const selector = tb[TCA_FQ_CODEL_CE_THRESHOLD_SELECTOR];
  if (selector !== undefined) q.params.ceThresholdSelector = nlaGetU8(selector);
  const mask = tb[TCA_FQ_CODEL_CE_THRESHOLD_MASK];
  if (mask !== undefined) q.params.ceThresholdMask = nlaGetU8(mask);
  trim(sch);
  return 0;
}

/** @kernel fq_codel_init net/sched/sch_fq_codel.c */
export function fqCodelInit(sch: Qdisc, opt: Uint8Array | null): number {
  const dev = sch.dev as NetDevice;
  sch.limit = DEFAULT_LIMIT;
  const q = new FqCodelSchedData(sch, dev.mtu + dev.hardHeaderLen);
  sch.priv = q;
  const err = opt === null ? 0 : fqCodelChange(sch, opt);
  if (err !== 0) return err;
  q.flows = new Array<FqCodelFlow | null>(q.flowsCnt).fill(null);
  q.backlogs = new Uint32Array(q.flowsCnt);
  if (sch.limit >= 1) sch.flags |= TCQ_F_CAN_BYPASS;
  else sch.flags &= ~TCQ_F_CAN_BYPASS;
  return 0;
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** @kernel fq_codel_dump net/sched/sch_fq_codel.c */
export function fqCodelDump(sch: Qdisc): Uint8Array {
  const q = fqCodel(sch);
  const { params } = q;
  const parts = [
    u32Attrs([
      [TCA_FQ_CODEL_TARGET, codelTimeToUs(params.target)],
      [TCA_FQ_CODEL_LIMIT, sch.limit],
      [TCA_FQ_CODEL_INTERVAL, codelTimeToUs(params.interval)],
      [TCA_FQ_CODEL_ECN, params.ecn ? 1 : 0],
      [TCA_FQ_CODEL_QUANTUM, q.quantum],
      [TCA_FQ_CODEL_DROP_BATCH_SIZE, q.dropBatchSize],
      [TCA_FQ_CODEL_MEMORY_LIMIT, q.memoryLimit],
      [TCA_FQ_CODEL_FLOWS, q.flowsCnt],
    ]),
  ];
  if (params.ceThreshold !== CODEL_DISABLED_THRESHOLD) {
    parts.push(
      u32Attrs([[TCA_FQ_CODEL_CE_THRESHOLD, codelTimeToUs(params.ceThreshold)]]),
      binaryAttr(TCA_FQ_CODEL_CE_THRESHOLD_SELECTOR, Uint8Array.of(params.ceThresholdSelector)),
      binaryAttr(TCA_FQ_CODEL_CE_THRESHOLD_MASK, Uint8Array.of(params.ceThresholdMask)),
    );
  }
  return join(parts);
}

function lengthOf(list: FqCodelFlowHead): number {
  let n = 0;
  for (let flow = list.first; flow !== null; flow = flow.next) n++;
  return n;
}

/** struct tc_fq_codel_xstats of the discipline. @kernel fq_codel_dump_stats net/sched/sch_fq_codel.c */
export function fqCodelDumpStats(sch: Qdisc): Uint8Array {
  const q = fqCodel(sch);
  const out = new Uint8Array(tcFqCodelXstats.LEN);
  const v = new DataView(out.buffer);
  v.setUint32(tcFqCodelXstats.TYPE, TCA_FQ_CODEL_XSTATS_QDISC, true);
  v.setUint32(tcFqCodelXstats.MAXPACKET, q.stats.maxpacket, true);
  v.setUint32(tcFqCodelXstats.DROP_OVERLIMIT, q.dropOverlimit, true);
  v.setUint32(tcFqCodelXstats.ECN_MARK, q.stats.ecnMark, true);
  v.setUint32(tcFqCodelXstats.NEW_FLOW_COUNT, q.newFlowCount, true);
  v.setUint32(tcFqCodelXstats.NEW_FLOWS_LEN, lengthOf(q.newFlows), true);
  v.setUint32(tcFqCodelXstats.OLD_FLOWS_LEN, lengthOf(q.oldFlows), true);
  v.setUint32(tcFqCodelXstats.CE_MARK, q.stats.ceMark, true);
  v.setUint32(tcFqCodelXstats.MEMORY_USAGE, q.memoryUsage, true);
  v.setUint32(tcFqCodelXstats.DROP_OVERMEMORY, q.dropOvermemory, true);
  return out;
}

/** In us until the next drop; negative: it is due. */
function dropNextUs(sch: Qdisc, vars: CodelVars): number {
  const now = codelGetTime((sch.dev as NetDevice).net.machine.nowNs);
  const delta = (vars.dropNext - now) | 0;
  return delta >= 0 ? codelTimeToUs(delta) : -codelTimeToUs(-delta);
}

/** struct tc_fq_codel_xstats of a flow. @kernel fq_codel_dump_class_stats net/sched/sch_fq_codel.c */
function fqCodelDumpClassStats(sch: Qdisc, cl: number): QdiscClassStats {
  const q = fqCodel(sch);
  const flow = q.flows[cl - 1] ?? null;
  const app = new Uint8Array(tcFqCodelXstats.LEN);
  const v = new DataView(app.buffer);
  v.setUint32(tcFqCodelXstats.TYPE, TCA_FQ_CODEL_XSTATS_CLASS, true);
  let qlen = 0;
  if (flow !== null) {
    const { vars } = flow;
    v.setInt32(tcFqCodelXstats.DEFICIT, flow.deficit, true);
    v.setUint32(tcFqCodelXstats.LDELAY, codelTimeToUs(vars.ldelay), true);
    v.setUint32(tcFqCodelXstats.COUNT, vars.count, true);
    v.setUint32(tcFqCodelXstats.LASTCOUNT, vars.lastcount, true);
    v.setUint32(tcFqCodelXstats.DROPPING, vars.dropping ? 1 : 0, true);
    if (vars.dropping) v.setInt32(tcFqCodelXstats.DROP_NEXT, dropNextUs(sch, vars), true);
    for (let skb = flow.head; skb !== null; skb = skb.next) qlen++;
  }
  return { qlen, backlog: q.backlogs[cl - 1] ?? 0, drops: 0, app };
}

/** The flows that have a turn, as classes: for looking at only. @kernel fq_codel_class_ops net/sched/sch_fq_codel.c */
export const fqCodelClassOps: QdiscClassOps = {
  find: () => 0,
  leaf: () => null,
  graft: () => null,
  /** @kernel fq_codel_dump_class net/sched/sch_fq_codel.c */
  dump: (_sch, cl) => ({ minor: cl, info: 0 }),
  dumpStats: fqCodelDumpClassStats,
  /** @kernel fq_codel_walk net/sched/sch_fq_codel.c */
  walk: (sch, visit) => {
    for (const flow of fqCodel(sch)?.flows ?? []) if (flow?.listed) visit(flow.index + 1);
  },
  qlenNotify: null,
};
