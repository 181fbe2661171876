/** Destination entries: where a packet goes next. Counterpart of include/net/dst.h and dst_ops.h. */
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Neighbour } from '#include/net/neighbour.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Sock } from '#include/net/sock.ts';

export const DST_NOXFRM = 0x0002;
export const DST_NOPOLICY = 0x0004;
export const DST_NOCOUNT = 0x0008;
export const DST_FAKE_RTABLE = 0x0010;

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
  /** Negative errno of unreachable, prohibit and blackhole routes; else 0. */
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
