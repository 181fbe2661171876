/**
 * The controlled delay discipline's parameters, state and counters. Counterpart of include/net/codel.h.
 *
 * Times are int32 in units of 1,024 ns, which wrap after 73 minutes; they are compared by difference.
 * RFC 8289.
 */

/** A unit of time is so many bits of a nanosecond. */
export const CODEL_SHIFT = 10;

/** ce_threshold: never. @kernel CODEL_DISABLED_THRESHOLD include/net/codel.h */
export const CODEL_DISABLED_THRESHOLD = 0x7fffffff;

/** Bits of precision of an inverse square root. @kernel REC_INV_SQRT_BITS include/net/codel.h */
export const REC_INV_SQRT_BITS = 16;
/** 1/sqrt(1) in 0.16 fixed point. */
export const REC_INV_SQRT_ONE = 0xffff;

/** The time of a clock in ns. @kernel codel_get_time include/net/codel.h */
export function codelGetTime(nowNs: number): number {
  return Math.floor(nowNs / (1 << CODEL_SHIFT)) | 0;
}

/** @kernel MS2TIME include/net/codel.h */
export function ms2time(ms: number): number {
  return Math.floor((ms * 1e6) / (1 << CODEL_SHIFT));
}

export function us2time(us: number): number {
  return Math.floor((us * 1e3) / (1 << CODEL_SHIFT)) | 0;
}

/** In us. @kernel codel_time_to_us include/net/codel.h */
export function codelTimeToUs(time: number): number {
  return Math.floor(((time >>> 0) * (1 << CODEL_SHIFT)) / 1000);
}

/** @kernel codel_time_after include/net/codel.h */
export function codelTimeAfter(a: number, b: number): boolean {
  return ((a - b) | 0) > 0;
}

/** @kernel codel_params include/net/codel.h */
export class CodelParams {
  /** Sojourn that a queue may have for good. */
  target: number;
  /** Sojourn from which every packet that can is marked; CODEL_DISABLED_THRESHOLD: none. */
  ceThreshold: number;
  /** Time in which a queue has to get below the target. */
  interval: number;
  /** Bytes that are no standing queue. */
  mtu: number;
  ecn: boolean;
  /** Only packets whose DS field, masked, is this are marked by `ceThreshold`; a mask of 0: all. */
  ceThresholdSelector: number;
  ceThresholdMask: number;

  /** @kernel codel_params_init include/net/codel_impl.h */
  constructor(mtu: number) {
    this.target = ms2time(5);
    this.ceThreshold = CODEL_DISABLED_THRESHOLD;
    this.interval = ms2time(100);
    this.mtu = mtu;
    this.ecn = false;
    this.ceThresholdSelector = 0;
    this.ceThresholdMask = 0;
  }
}

/** @kernel codel_vars include/net/codel.h */
export class CodelVars {
  /** Drops since the dropping state was entered. */
  count: number;
  /** `count` at the entry into the dropping state. */
  lastcount: number;
  dropping: boolean;
  /** 1/sqrt(count) in 0.16 fixed point. */
  recInvSqrt: number;
  /** When the sojourn will have been above the target for an interval; 0: it is below. */
  firstAboveTime: number;
  /** Time to drop the next packet. */
  dropNext: number;
  /** Sojourn of the last packet that left. */
  ldelay: number;

  constructor() {
    this.count = 0;
    this.lastcount = 0;
    this.dropping = false;
    this.recInvSqrt = 0;
    this.firstAboveTime = 0;
    this.dropNext = 0;
    this.ldelay = 0;
  }
}

/** @kernel codel_stats include/net/codel.h */
export class CodelStats {
  /** Largest packet so far, bytes. */
  maxpacket: number;
  /** Dropped in one dequeue, and its bytes: told to the disciplines above, then zero again. */
  dropCount: number;
  dropLen: number;
  ecnMark: number;
  ceMark: number;

  constructor() {
    this.maxpacket = 0;
    this.dropCount = 0;
    this.dropLen = 0;
    this.ecnMark = 0;
    this.ceMark = 0;
  }
}
