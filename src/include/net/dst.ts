/** Destination entries: where a packet goes next. Counterpart of include/net/dst.h and dst_ops.h. */
import type { NetDevice } from '#include/linux/netdevice.ts';
import { netdevPut } from '#include/linux/netdevice_ref.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Neighbour } from '#include/net/neighbour.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Sock } from '#include/net/sock.ts';
import { KernelBug } from '#kernel/bug.ts';
import { callRcu } from '#kernel/rcu.ts';
import { RTAX_ADVMSS, RTAX_FEATURE_ALLFRAG, RTAX_FEATURES, RTAX_LOCK } from '#uapi/rtnetlink.ts';

export const DST_NOXFRM = 0x0002;
export const DST_NOPOLICY = 0x0004;
export const DST_NOCOUNT = 0x0008;
export const DST_FAKE_RTABLE = 0x0010;

/** Bits of RTAX_FEATURES: the route's congestion control needs ECN, and the route allows it. */
export const DST_FEATURE_ECN_CA: number = 1 << 31;
export const DST_FEATURE_ECN_MASK: number = DST_FEATURE_ECN_CA | 1;

export const DST_OBSOLETE_NONE = 0;
export const DST_OBSOLETE_DEAD = 2;
export const DST_OBSOLETE_FORCE_CHK = -1;
export const DST_OBSOLETE_KILL = -2;

/** @kernel dst_ops include/net/dst_ops.h */
export interface DstOps {
  readonly family: number;
  /** Is this entry still good? Returns it, or null: look the route up again. */
  check(dst: DstEntry, cookie: number): DstEntry | null;
  defaultAdvmss(dst: DstEntry): number;
  mtu(dst: DstEntry): number;
  destroy: ((dst: DstEntry) => void) | null;
  ifdown: ((dst: DstEntry, dev: NetDevice) => void) | null;
  negativeAdvice(sk: Sock, dst: DstEntry): void;
  linkFailure(skb: SkBuff): void;
  updatePmtu(
    dst: DstEntry,
    sk: Sock | null,
    skb: SkBuff | null,
    mtu: number,
    confirmNeigh: boolean,
  ): void;
  redirect(dst: DstEntry, sk: Sock | null, skb: SkBuff): void;
  neighLookup(dst: DstEntry, skb: SkBuff | null, daddr: number): Neighbour | null;
  /** The peer has answered: its neighbour entry is good. */
  confirmNeigh(dst: DstEntry, daddr: number): void;
}

/** @kernel dst_entry include/net/dst.h */
export class DstEntry {
  dev: NetDevice | null;
  readonly net: Net;
  readonly ops: DstOps;
  /** RTAX_* values, index RTAX_MTU..; shared with the FIB entry until written. */
  metrics: Uint32Array;
  /** True once `metrics` is a copy of our own. */
  metricsOwned: boolean;
  /** Jiffies after which the entry is stale; 0: never. */
  expires: number;
  /** Next step of an incoming packet: ip_local_deliver, ip_forward, ip_error... */
  input: (skb: SkBuff) => number;
  /** Next step of an outgoing packet: ip_output, ip_mc_output, dst_discard_out... */
  output: (net: Net, sk: Sock | null, skb: SkBuff) => number;
  flags: number;
  /** DST_OBSOLETE_* */
  obsolete: number;
  headerLen: number;
  /** Reference count; freed (device reference returned) at 0. */
  refcnt: number;
  use: number;
  lastuse: number;
  /** Negative errno of unreachable and prohibited destinations; else 0. */
  error: number;
  tclassid: number;

  constructor(
    net: Net,
    ops: DstOps,
    dev: NetDevice | null,
    metrics: Uint32Array,
    input: (skb: SkBuff) => number,
    output: (net: Net, sk: Sock | null, skb: SkBuff) => number,
  ) {
    this.dev = dev;
    this.net = net;
    this.ops = ops;
    this.metrics = metrics;
    this.metricsOwned = false;
    this.expires = 0;
    this.input = input;
    this.output = output;
    this.flags = 0;
    this.obsolete = DST_OBSOLETE_NONE;
    this.headerLen = 0;
    this.refcnt = 1;
    this.use = 0;
    this.lastuse = 0;
    this.error = 0;
    this.tclassid = 0;
  }
}

/** Metrics of an entry that has none. Never written: the first change makes a copy. */
export const DST_DEFAULT_METRICS: Uint32Array = new Uint32Array([
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
]);

/** @kernel dst_hold include/net/dst.h */
export function dstHold(dst: DstEntry): void {
  if (dst.refcnt <= 0) throw new KernelBug('dst-hold-dead', 'reference to a freed dst entry');
  dst.refcnt++;
}

/** A reference, unless the entry is already on its way out. @kernel dst_hold_safe include/net/dst.h */
export function dstHoldSafe(dst: DstEntry): boolean {
  if (dst.refcnt <= 0) return false;
  dst.refcnt++;
  return true;
}

/** @kernel dst_clone include/net/dst.h */
export function dstClone(dst: DstEntry | null): DstEntry | null {
  if (dst !== null) dstHold(dst);
  return dst;
}

/** Gives back a reference; the last one frees the entry after a grace period. @kernel dst_release net/core/dst.c */
export function dstRelease(dst: DstEntry | null): void {
  if (dst === null) return;
  if (dst.refcnt <= 0) throw new KernelBug('dst-double-release', 'dst entry released twice');
  if (--dst.refcnt === 0) callRcu(dst.net.machine, () => dstDestroy(dst));
}

/** @kernel dst_destroy net/core/dst.c */
function dstDestroy(dst: DstEntry): void {
  if (dst.ops.destroy !== null) dst.ops.destroy(dst);
  const dev = dst.dev;
  dst.dev = null;
  if (dev !== null) netdevPut(dev, 'dst');
  dst.net.machine.live.dsts--;
}

/** @kernel dst_metric_raw include/net/dst.h */
export function dstMetricRaw(dst: DstEntry, metric: number): number {
  return dst.metrics[metric] as number;
}

/** Not for advmss, mtu and hop limit, which have defaults of their own. @kernel dst_metric include/net/dst.h */
export function dstMetric(dst: DstEntry, metric: number): number {
  return dst.metrics[metric] as number;
}

/** @kernel dst_metric_set include/net/dst.h */
export function dstMetricSet(dst: DstEntry, metric: number, value: number): void {
  if (!dst.metricsOwned) {
    dst.metrics = new Uint32Array(dst.metrics);
    dst.metricsOwned = true;
  }
  dst.metrics[metric] = value;
}

/** @kernel dst_metric_advmss include/net/dst.h */
export function dstMetricAdvmss(dst: DstEntry): number {
  const advmss = dst.metrics[RTAX_ADVMSS] as number;
  return advmss !== 0 ? advmss : dst.ops.defaultAdvmss(dst);
}

/** @kernel dst_metric_locked include/net/dst.h */
export function dstMetricLocked(dst: DstEntry, metric: number): boolean {
  return ((dst.metrics[RTAX_LOCK] as number) & (1 << metric)) !== 0;
}

/** RTAX_FEATURE_* bits. @kernel dst_feature include/net/dst.h */
export function dstFeature(dst: DstEntry, feature: number): number {
  return (dst.metrics[RTAX_FEATURES] as number) & feature;
}

/** A round trip metric in jiffies (HZ is 1000, so ms). @kernel dst_metric_rtt include/net/dst.h */
export function dstMetricRtt(dst: DstEntry, metric: number): number {
  return dst.metrics[metric] as number;
}

/** @kernel dst_allfrag include/net/dst.h */
export function dstAllfrag(dst: DstEntry): number {
  return dstFeature(dst, RTAX_FEATURE_ALLFRAG);
}

/** @kernel dst_mtu include/net/dst.h */
export function dstMtu(dst: DstEntry): number {
  return dst.ops.mtu(dst);
}

/** @kernel dst_check include/net/dst.h */
export function dstCheck(dst: DstEntry, cookie: number): DstEntry | null {
  return dst.obsolete !== 0 ? dst.ops.check(dst, cookie) : dst;
}

/** Sets the expiry, or brings it forward; `timeout` in jiffies. @kernel dst_set_expires include/net/dst.h */
export function dstSetExpires(dst: DstEntry, timeout: number): void {
  let expires = (dst.net.machine.jiffies + timeout) | 0;
  if (expires === 0) expires = 1;
  if (dst.expires === 0 || ((dst.expires - expires) | 0) > 0) dst.expires = expires;
}

/** @kernel dst_use_noref include/net/dst.h */
export function dstUseNoref(dst: DstEntry, time: number): void {
  if (time !== dst.lastuse) {
    dst.use++;
    dst.lastuse = time;
  }
}

/** Hands an arriving packet to its next step. @kernel dst_input include/net/dst.h */
export function dstInput(skb: SkBuff): number {
  return (skb.dst as DstEntry).input(skb);
}

/** Hands a packet to its way out. @kernel dst_output include/net/dst.h */
export function dstOutput(net: Net, sk: Sock | null, skb: SkBuff): number {
  return (skb.dst as DstEntry).output(net, sk, skb);
}

/** The neighbour of `daddr` behind this entry. @kernel dst_neigh_lookup include/net/dst.h */
export function dstNeighLookup(dst: DstEntry, daddr: number): Neighbour | null {
  return dst.ops.neighLookup(dst, null, daddr);
}

/** The neighbour this packet goes to. @kernel dst_neigh_lookup_skb include/net/dst.h */
export function dstNeighLookupSkb(dst: DstEntry, skb: SkBuff): Neighbour | null {
  return dst.ops.neighLookup(dst, skb, 0);
}

/** @kernel dst_confirm_neigh include/net/dst.h */
export function dstConfirmNeigh(dst: DstEntry, daddr: number): void {
  dst.ops.confirmNeigh(dst, daddr);
}

/** @kernel dst_link_failure include/net/dst.h */
export function dstLinkFailure(skb: SkBuff): void {
  const dst = skb.dst;
  if (dst !== null) dst.ops.linkFailure(skb);
}

/** @kernel skb_dst_update_pmtu include/net/dst.h */
export function skbDstUpdatePmtu(skb: SkBuff, mtu: number): void {
  const dst = skb.dst;
  if (dst !== null) dst.ops.updatePmtu(dst, null, skb, mtu, true);
}

/** @kernel skb_dst_update_pmtu_no_confirm include/net/dst.h */
export function skbDstUpdatePmtuNoConfirm(skb: SkBuff, mtu: number): void {
  const dst = skb.dst;
  if (dst !== null) dst.ops.updatePmtu(dst, null, skb, mtu, false);
}

/** @kernel skb_dst include/linux/skbuff.h */
export function skbDst(skb: SkBuff): DstEntry | null {
  return skb.dst;
}

/** Gives the packet a reference of the caller's. @kernel skb_dst_set include/linux/skbuff.h */
export function skbDstSet(skb: SkBuff, dst: DstEntry | null): void {
  if (dst !== null) skb.slowGro = true;
  skb.dst = dst;
  skb.dstNoref = false;
}

/** Lends an entry for the duration of the receive path. @kernel skb_dst_set_noref include/linux/skbuff.h */
export function skbDstSetNoref(skb: SkBuff, dst: DstEntry): void {
  skb.slowGro = true;
  skb.dst = dst;
  skb.dstNoref = true;
}

/** @kernel skb_dst_drop include/net/dst.h */
export function skbDstDrop(skb: SkBuff): void {
  const dst = skb.dst;
  if (dst === null) return;
  skb.dst = null;
  if (!skb.dstNoref) dstRelease(dst);
  skb.dstNoref = false;
}

/** `nskb` goes where `oskb` goes. @kernel skb_dst_copy include/net/dst.h */
export function skbDstCopy(nskb: SkBuff, oskb: SkBuff): void {
  nskb.slowGro ||= oskb.slowGro;
  nskb.dst = oskb.dst;
  nskb.dstNoref = oskb.dstNoref;
  if (nskb.dst !== null && !nskb.dstNoref) dstHold(nskb.dst);
}

/** Turns a lent entry into a held one, before a packet is queued. @kernel skb_dst_force include/net/dst.h */
export function skbDstForce(skb: SkBuff): boolean {
  const dst = skb.dst;
  if (dst !== null && skb.dstNoref) {
    if (!dstHoldSafe(dst)) skb.dst = null;
    skb.dstNoref = false;
  }
  return skb.dst !== null;
}

/** @kernel skb_dst_is_noref include/linux/skbuff.h */
export function skbDstIsNoref(skb: SkBuff): boolean {
  return skb.dst !== null && skb.dstNoref;
}
