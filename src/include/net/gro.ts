/** Per-packet state of generic receive offload. Counterpart of include/net/gro.h. */
import type { SkBuff, SkBuffHead } from '#include/linux/skbuff.ts';
import { view } from '#mm/memory.ts';
import { IP_DF, iphdr } from '#uapi/ip.ts';

/** @kernel napi_gro_cb include/net/gro.h */
export class NapiGroCb {
  /** Offset in bytes from `data` of the header being looked at. */
  dataOffset: number;
  /** Nonzero: the packet must be flushed. */
  flush: number;
  flushId: number;
  /** Segments merged into this packet. */
  count: number;
  /** Still a candidate for the packet being merged. */
  sameFlow: boolean;
  /** GRO_FREE: the merged packet's head may be freed. */
  free: number;
  /** Time in jiffies when the packet was first held. */
  age: number;
  protoOffset: number;
  csum: number;
  csumValid: boolean;
  csumCnt: number;
  isIpv6: boolean;
  isFou: boolean;
  isFlist: boolean;
  ipFixedid: boolean;
  networkOffset: number;
  /** Last packet of the frag_list. */
  last: SkBuff | null;

  constructor() {
    this.dataOffset = 0;
    this.flush = 0;
    this.flushId = 0;
    this.count = 0;
    this.sameFlow = false;
    this.free = 0;
    this.age = 0;
    this.protoOffset = 0;
    this.csum = 0;
    this.csumValid = false;
    this.csumCnt = 0;
    this.isIpv6 = false;
    this.isFou = false;
    this.isFlist = false;
    this.ipFixedid = false;
    this.networkOffset = 0;
    this.last = null;
  }
}

/** Back to the state after construction, at the start of receive offload. */
export function napiGroCbReset(cb: NapiGroCb): void {
  cb.dataOffset = 0;
  cb.flush = 0;
  cb.flushId = 0;
  cb.count = 0;
  cb.sameFlow = false;
  cb.free = 0;
  cb.age = 0;
  cb.protoOffset = 0;
  cb.csum = 0;
  cb.csumValid = false;
  cb.csumCnt = 0;
  cb.isIpv6 = false;
  cb.isFou = false;
  cb.isFlist = false;
  cb.ipFixedid = false;
  cb.networkOffset = 0;
  cb.last = null;
}

/** What gro_receive callbacks and dev_gro_receive() answer. @kernel gro_result include/linux/netdevice.h */
export const GRO_MERGED = 0;
export const GRO_MERGED_FREE = 1;
export const GRO_HELD = 2;
export const GRO_NORMAL = 3;
export const GRO_CONSUMED = 4;

// NapiGroCb.free
export const NAPI_GRO_FREE = 1;
export const NAPI_GRO_FREE_STOLEN_HEAD = 2;

/**
 * How a protocol segments and merges packets. Every slot is present, null where it cannot.
 * @kernel offload_callbacks include/linux/netdevice.h
 */
export interface OffloadCallbacks {
  /**
   * Splits a packet into a list linked by `next`; null: the device does it (the headers are ready);
   * a negative errno: it cannot be split. The packet itself stays the caller's.
   */
  gsoSegment: ((skb: SkBuff, features: number) => SkBuff | null | number) | null;
  /**
   * Looks for the flow of `skb` among `head`. Marks the candidates by groCb.sameFlow. Returns the
   * held packet that must be flushed now, or null.
   */
  groReceive: ((head: SkBuffHead, skb: SkBuff) => SkBuff | null) | null;
  /** Mends the headers of a merged packet; `nhoff` is the offset of this protocol's. 0 or an errno. */
  groComplete: ((skb: SkBuff, nhoff: number) => number) | null;
}

/** Offload of an EtherType. @kernel packet_offload include/linux/netdevice.h */
export interface PacketOffload {
  readonly type: number;
  readonly priority: number;
  readonly callbacks: OffloadCallbacks;
}

/** Offload of a protocol above IP. @kernel net_offload include/net/protocol.h */
export interface NetOffload {
  readonly callbacks: OffloadCallbacks;
  readonly flags: number;
}

/**
 * True when the IP headers forbid to merge `skb` into the held `p`: TTL, TOS or DF differ, or the
 * identification is not the next one. @kernel inet_gro_flush include/net/gro.h
 */
export function inetGroFlush(skb: SkBuff, p: SkBuff): boolean {
  const iph = skb.data + skb.groCb.networkOffset;
  const iph2 = p.data + p.groCb.networkOffset;
  const df = iphdr.fragOff(view, iph) & IP_DF;
  if (
    iphdr.ttl(view, iph) !== iphdr.ttl(view, iph2) ||
    iphdr.tos(view, iph) !== iphdr.tos(view, iph2) ||
    df !== (iphdr.fragOff(view, iph2) & IP_DF)
  ) {
    return true;
  }
  const step = (iphdr.id(view, iph) - iphdr.id(view, iph2)) & 0xffff;
  const { count } = p.groCb;
  // The second packet of a flow decides whether its identification counts or stands still.
  if (count === 1 && df !== 0 && step === 0) p.groCb.ipFixedid = true;
  return step !== (p.groCb.ipFixedid ? 0 : count);
}
