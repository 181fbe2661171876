/** Per-packet state of generic receive offload. Counterpart of include/net/gro.h. */
import type { SkBuff } from '#include/linux/skbuff.ts';

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
