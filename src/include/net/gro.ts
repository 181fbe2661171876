/** Per-packet state of generic receive offload. Counterpart of include/net/gro.h. */
import type { SkBuff, SkBuffHead } from '#include/linux/skbuff.ts';

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
