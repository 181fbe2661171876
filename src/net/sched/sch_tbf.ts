/**
 * The token bucket filter: packets leave at a rate, a burst at once, and wait in the discipline below.
 * Counterpart of net/sched/sch_tbf.c.
 */

import { SUBSYS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import { NETIF_F_GSO_MASK } from '#include/linux/netdev_features.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import { NET_XMIT_SUCCESS } from '#include/linux/netdevice.ts';
import type { SkBuff, SkBuffHead } from '#include/linux/skbuff.ts';
import {
  type Qdisc,
  type QdiscClassOps,
  type QdiscOps,
  qdiscBstatsUpdate,
  qdiscDequeuePeeked,
  qdiscDropReason,
  qdiscEnqueue,
  qdiscPeekDequeued,
  TCQ_F_BUILTIN,
} from '#include/net/sch_generic.ts';
import type { Machine } from '#kernel/machine.ts';
import { netifSkbFeatures } from '#net/core/dev_validate.ts';
import { skbGsoSegment, skbGsoValidateMacLen } from '#net/core/gso.ts';
import { consumeSkb, kfreeSkb } from '#net/core/skbuff.ts';
import { type NlaPolicy, nlaGetU32, nlaParse } from '#net/netlink/nlattr.ts';
import { qdiscTreeReduceBacklog } from '#net/sched/sch_api_tree.ts';
import {
  QdiscWatchdog,
  qdiscWatchdogCancel,
  qdiscWatchdogScheduleNs,
} from '#net/sched/sch_api_watchdog.ts';
import { bfifoQdiscOps, pfifoQdiscOps } from '#net/sched/sch_fifo.ts';
import { qdiscCreateDflt, qdiscPut, qdiscReset, registerQdisc } from '#net/sched/sch_generic.ts';
import { binaryAttr, u32Attrs } from '#net/sched/tca.ts';
import { EINVAL, ENOMEM } from '#uapi/errno.ts';
import {
  SKB_DROP_REASON_QDISC_DROP,
  SKB_DROP_REASON_QDISC_OVERLIMIT,
} from '#uapi/net_dropreason.ts';
import {
  PSCHED_TICK_NS,
  TCA_TBF_BURST,
  TCA_TBF_MAX,
  TCA_TBF_PARMS,
  TCA_TBF_PBURST,
  TCA_TBF_PRATE64,
  TCA_TBF_RATE64,
  tcHMake,
  tcRatespec,
  tcTbfQopt,
} from '#uapi/pkt_sched.ts';

/** Longest packet and burst that a bucket can have. */
const UNLIMITED = 0xffffffff;

/** @kernel tbf_sched_data net/sched/sch_tbf.c */
class TbfSchedData {
  /** Bytes. */
  limit: number;
  maxSize: number;
  /** Bytes a second. @kernel psched_ratecfg include/net/sch_generic.h */
  rate: number;
  /** 0: none. */
  peak: number;
  /** Sizes of the buckets: ns of sending at the rate, and at the peak. */
  buffer: number;
  mtu: number;
  /** What is in the buckets, and when that was reckoned. */
  tokens: number;
  ptokens: number;
  tC: number;
  /** The discipline below. */
  qdisc: Qdisc;
  readonly watchdog: QdiscWatchdog;

  constructor(sch: Qdisc, below: Qdisc) {
    this.limit = 0;
    this.maxSize = 0;
    this.rate = 0;
    this.peak = 0;
    this.buffer = 0;
    this.mtu = 0;
    this.tokens = 0;
    this.ptokens = 0;
    this.tC = 0;
    this.qdisc = below;
    this.watchdog = new QdiscWatchdog(sch);
  }
}

const tbf = (sch: Qdisc): TbfSchedData => sch.priv as TbfSchedData;

/** ns that so many bytes take. @kernel psched_l2t_ns include/net/sch_generic.h */
function l2tNs(rate: number, bytes: number): number {
  return Math.floor((bytes * 1e9) / rate);
}

/** Bytes that fit in so many ns. @kernel psched_ns_t2l net/sched/sch_tbf.c */
function nsT2l(rate: number, ns: number): number {
  return Math.floor((ns * rate) / 1e9);
}

function nowNs(sch: Qdisc): number {
  return (sch.dev as NetDevice).net.machine.nowNs;
}

/** A super-packet that is longer than the bucket goes in pieces. @kernel tbf_segment net/sched/sch_tbf.c */
function tbfSegment(skb: SkBuff, sch: Qdisc, toFree: SkBuffHead): number {
  const q = tbf(sch);
  const prevLen = skb.pktLen;
  const segs = skbGsoSegment(skb, netifSkbFeatures(skb) & ~NETIF_F_GSO_MASK);
  if (segs === null || typeof segs === 'number') {
    return qdiscDropReason(skb, sch, toFree, SKB_DROP_REASON_QDISC_DROP);
  }
  let packets = 0;
  let bytes = 0;
  for (let seg: SkBuff | null = segs; seg !== null; ) {
    const next: SkBuff | null = seg.next;
    seg.next = null;
    seg.pktLen = seg.len;
    const length = seg.len;
    if (qdiscEnqueue(seg, q.qdisc, toFree) === NET_XMIT_SUCCESS) {
      packets++;
      bytes += length;
    } else {
      sch.drops++;
    }
    seg = next;
  }
  sch.qlen += packets;
  sch.backlog += bytes;
  if (packets === 0) {
    kfreeSkb(skb, SKB_DROP_REASON_QDISC_DROP, 'tbf_segment');
    return 1;
  }
  // Those above counted one packet.
  qdiscTreeReduceBacklog(sch, 1 - packets, prevLen - bytes);
  consumeSkb(skb, 'tbf_segment');
  return NET_XMIT_SUCCESS;
}

/** @kernel tbf_enqueue net/sched/sch_tbf.c */
function tbfEnqueue(skb: SkBuff, sch: Qdisc, toFree: SkBuffHead): number {
  const q = tbf(sch);
  const length = skb.pktLen;
  if (length > q.maxSize) {
    if (skb.shinfo.gsoSize !== 0 && skbGsoValidateMacLen(skb, q.maxSize)) {
      return tbfSegment(skb, sch, toFree);
    }
    return qdiscDropReason(skb, sch, toFree, SKB_DROP_REASON_QDISC_OVERLIMIT);
  }
  const ret = qdiscEnqueue(skb, q.qdisc, toFree);
  if (ret !== NET_XMIT_SUCCESS) {
    sch.drops++;
    return ret;
  }
  sch.backlog += length;
  sch.qlen++;
  return NET_XMIT_SUCCESS;
}

/** @kernel tbf_dequeue net/sched/sch_tbf.c */
function tbfDequeue(sch: Qdisc): SkBuff | null {
  const q = tbf(sch);
  const first = q.qdisc.ops.peek(q.qdisc);
  if (first === null) return null;
  const now = nowNs(sch);
  const { pktLen } = first;
  let toks = Math.min(now - q.tC, q.buffer);
  let ptoks = 0;
  if (q.peak !== 0) {
    ptoks = Math.min(toks + q.ptokens, q.mtu) - l2tNs(q.peak, pktLen);
  }
  toks = Math.min(toks + q.tokens, q.buffer) - l2tNs(q.rate, pktLen);
  if (toks < 0 || ptoks < 0) {
    qdiscWatchdogScheduleNs(q.watchdog, now + Math.max(-toks, -ptoks));
    sch.overlimits++;
    return null;
  }
  const skb = qdiscDequeuePeeked(q.qdisc);
  if (skb === null) return null;
  q.tC = now;
  q.tokens = toks;
  q.ptokens = ptoks;
  sch.backlog -= pktLen;
  sch.qlen--;
  qdiscBstatsUpdate(sch, skb);
  return skb;
}

/** @kernel tbf_reset net/sched/sch_tbf.c */
function tbfReset(sch: Qdisc): void {
  if (sch.priv === null) return;
  const q = tbf(sch);
  qdiscReset(q.qdisc);
  q.tC = nowNs(sch);
  q.tokens = q.buffer;
  q.ptokens = q.mtu;
  qdiscWatchdogCancel(q.watchdog);
}

const POLICY: readonly (NlaPolicy | undefined)[] = Object.freeze([
  undefined,
  { kind: 'binary', len: tcTbfQopt.LEN },
  { kind: 'binary' },
  { kind: 'binary' },
  { kind: 'u64' },
  { kind: 'u64' },
  { kind: 'u32' },
  { kind: 'u32' },
] as const);

function rateOf(spec: number, wide: Uint8Array | undefined): number {
  if (wide === undefined) return spec;
  return Math.max(spec, nlaGetU32(wide) + nlaGetU32(wide.subarray(4)) * 2 ** 32);
}

/** A bucket: its size in ns, and the longest packet that fits. */
interface Bucket {
  readonly ns: number;
  readonly maxSize: number;
}

/** The bucket of a rate: given by its bytes, or by ticks as tc(8) of old did. */
function bucketOf(rate: number, ticks: number, bytes: Uint8Array | undefined): Bucket {
  if (bytes !== undefined) {
    const maxSize = nlaGetU32(bytes);
    return { ns: l2tNs(rate, maxSize), maxSize };
  }
  const ns = ticks * PSCHED_TICK_NS;
  return { ns, maxSize: Math.min(nsT2l(rate, ns), UNLIMITED) };
}

/** The discipline below gets the limit; where there is none yet, it is made. */
function tbfLimit(sch: Qdisc, limit: number): number {
  const q = tbf(sch);
  const opt = new Uint8Array(4);
  new DataView(opt.buffer).setUint32(0, limit, true);
  const below = q.qdisc.ops;
  // As Linux does: a pfifo takes the number of bytes for one of packets.
  if (below === bfifoQdiscOps || below === pfifoQdiscOps) return below.change?.(q.qdisc, opt) ?? 0;
  const none = (q.qdisc.flags & TCQ_F_BUILTIN) !== 0;
  if (!none || limit === 0 || sch.devQueue === null) return 0;
  const child = qdiscCreateDflt(sch.devQueue, bfifoQdiscOps, tcHMake(sch.handle >>> 16, 1));
  if (child === null) return -ENOMEM;
  const err = bfifoQdiscOps.change?.(child, opt) ?? 0;
  if (err !== 0) {
    qdiscPut(child);
    return err;
  }
  qdiscPut(q.qdisc);
  q.qdisc = child;
  return 0;
}

/** @kernel tbf_change net/sched/sch_tbf.c */
function tbfChange(sch: Qdisc, opt: Uint8Array): number {
  const tb = nlaParse(opt, TCA_TBF_MAX, POLICY, null);
  if (typeof tb === 'number') return tb;
  const parms = tb[TCA_TBF_PARMS];
  if (parms === undefined) return -EINVAL;
  const v = new DataView(parms.buffer, parms.byteOffset, parms.byteLength);
  const rate = rateOf(tcRatespec.rate(v, tcTbfQopt.RATE), tb[TCA_TBF_RATE64]);
  if (rate === 0) return -EINVAL;
  const bucket = bucketOf(rate, tcTbfQopt.buffer(v, 0), tb[TCA_TBF_BURST]);
  let { maxSize } = bucket;
  const peak = rateOf(tcRatespec.rate(v, tcTbfQopt.PEAKRATE), tb[TCA_TBF_PRATE64]);
  let mtu = 0;
  if (peak !== 0) {
    // A peak that is no more than the rate would never let the bucket fill.
    if (peak <= rate) return -EINVAL;
    const small = bucketOf(peak, tcTbfQopt.mtu(v, 0), tb[TCA_TBF_PBURST]);
    mtu = small.ns;
    maxSize = Math.min(maxSize, small.maxSize);
  }
  if (maxSize === 0) return -EINVAL;
  const limit = tcTbfQopt.limit(v, 0);
  const err = tbfLimit(sch, limit);
  if (err !== 0) return err;
  const q = tbf(sch);
  q.limit = limit;
  q.maxSize = maxSize;
  q.rate = rate;
  q.peak = peak;
  q.buffer = bucket.ns;
  q.mtu = mtu;
  q.tokens = q.buffer;
  q.ptokens = q.mtu;
  return 0;
}

/** @kernel tbf_init net/sched/sch_tbf.c */
function tbfInit(sch: Qdisc, opt: Uint8Array | null): number {
  const noop = (sch.dev as NetDevice).net.machine.netGlobals.noopQdisc;
  if (opt === null || noop === null) return -EINVAL;
  sch.priv = new TbfSchedData(sch, noop);
  tbf(sch).tC = nowNs(sch);
  return tbfChange(sch, opt);
}

/** @kernel tbf_destroy net/sched/sch_tbf.c */
function tbfDestroy(sch: Qdisc): void {
  if (sch.priv === null) return;
  qdiscWatchdogCancel(tbf(sch).watchdog);
  qdiscPut(tbf(sch).qdisc);
}

/** @kernel tbf_dump net/sched/sch_tbf.c */
function tbfDump(sch: Qdisc): Uint8Array {
  const q = tbf(sch);
  const parms = new Uint8Array(tcTbfQopt.LEN);
  const v = new DataView(parms.buffer);
  tcRatespec.setRate(v, tcTbfQopt.RATE, Math.min(q.rate, UNLIMITED));
  tcRatespec.setLinklayer(v, tcTbfQopt.RATE, 1);
  tcRatespec.setRate(v, tcTbfQopt.PEAKRATE, Math.min(q.peak, UNLIMITED));
  tcTbfQopt.setLimit(v, 0, q.limit);
  tcTbfQopt.setBuffer(v, 0, Math.floor(q.buffer / PSCHED_TICK_NS));
  tcTbfQopt.setMtu(v, 0, Math.floor(q.mtu / PSCHED_TICK_NS));
  const head = binaryAttr(TCA_TBF_PARMS, parms);
  const burst = u32Attrs([[TCA_TBF_BURST, q.maxSize]]);
  const out = new Uint8Array(head.length + burst.length);
  out.set(head);
  out.set(burst, head.length);
  return out;
}

/** The one class is 1, whatever it is called. @kernel tbf_class_ops net/sched/sch_tbf.c */
const tbfClassOps: QdiscClassOps = {
  find: () => 1,
  leaf: (sch) => tbf(sch).qdisc,
  graft: (sch, _cl, leaf) => {
    const q = tbf(sch);
    const old = q.qdisc;
    const noop = (sch.dev as NetDevice).net.machine.netGlobals.noopQdisc as Qdisc;
    q.qdisc = leaf ?? noop;
    // What waited below goes with the old one.
    qdiscTreeReduceBacklog(old, old.qlen, old.backlog);
    qdiscReset(old);
    return old;
  },
  /** @kernel tbf_dump_class net/sched/sch_tbf.c */
  dump: (sch) => ({ minor: 1, info: tbf(sch).qdisc.handle }),
  dumpStats: null,
  walk: (_sch, visit) => visit(1),
  qlenNotify: null,
};

/** @kernel tbf_qdisc_ops net/sched/sch_tbf.c */
export const tbfQdiscOps: QdiscOps = {
  id: 'tbf',
  clOps: tbfClassOps,
  enqueue: tbfEnqueue,
  dequeue: tbfDequeue,
  peek: qdiscPeekDequeued,
  init: tbfInit,
  reset: tbfReset,
  destroy: tbfDestroy,
  change: tbfChange,
  changeTxQueueLen: null,
  dump: tbfDump,
};

/** @kernel tbf_module_init net/sched/sch_tbf.c */
function tbfModuleInit(machine: Machine): number {
  return registerQdisc(machine, tbfQdiscOps);
}

export const tbfModule: KernelModule = {
  name: 'sch_tbf',
  config: 'CONFIG_NET_SCH_TBF',
  depends: [],
  level: SUBSYS_INITCALL,
  init: tbfModuleInit,
  exit: null,
};
