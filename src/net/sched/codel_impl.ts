/**
 * The controlled delay algorithm, for every discipline that uses it. Counterpart of
 * include/net/codel_impl.h, here since what it calls lies above `include`. RFC 8289.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  CODEL_DISABLED_THRESHOLD,
  type CodelParams,
  type CodelStats,
  type CodelVars,
  codelGetTime,
  codelTimeAfter,
  REC_INV_SQRT_BITS,
  REC_INV_SQRT_ONE,
} from '#include/net/codel.ts';
import { inetEcnSetCe, skbDsfield } from '#net/core/inet_ecn.ts';

/** The queue that the algorithm works on. `ctx` is whatever the functions are about. */
export interface CodelQueue<T> {
  /** Next packet of the queue, no longer counted in it; null: empty. */
  dequeue(ctx: T): SkBuff | null;
  /** Frees a packet that was taken from the queue. */
  drop(skb: SkBuff, ctx: T): void;
  /** Bytes waiting. */
  backlog(ctx: T): number;
}

/** Notes when a packet came; `cb1` belongs to the discipline as long as it has the packet. @kernel codel_set_enqueue_time include/net/codel_qdisc.h */
export function codelSetEnqueueTime(skb: SkBuff): void {
  skb.cb1 = codelGetTime(skb.machine.nowNs);
}

/**
 * One step of Newton's method for 1/sqrt(count).
 * @kernel codel_Newton_step include/net/codel_impl.h
 */
export function codelNewtonStep(vars: CodelVars): void {
  const x = vars.recInvSqrt;
  // x (3 - count x^2) / 2 in 0.16 fixed point; every product is below 2^53.
  const three = 3 * 2 ** 32 - vars.count * (x * x);
  vars.recInvSqrt = Math.floor((Math.floor(three / 4) * x) / 2 ** 31);
}

/** `t` and an interval over sqrt(count). @kernel codel_control_law include/net/codel_impl.h */
function codelControlLaw(t: number, interval: number, recInvSqrt: number): number {
  return (t + Math.floor((interval * recInvSqrt) / (1 << REC_INV_SQRT_BITS))) | 0;
}

/** @kernel codel_should_drop include/net/codel_impl.h */
function codelShouldDrop<T>(
  skb: SkBuff | null,
  ctx: T,
  queue: CodelQueue<T>,
  params: CodelParams,
  vars: CodelVars,
  stats: CodelStats,
  now: number,
): boolean {
  if (skb === null) {
    vars.firstAboveTime = 0;
    return false;
  }
  if (skb.pktLen > stats.maxpacket) stats.maxpacket = skb.pktLen;
  vars.ldelay = (now - skb.cb1) | 0;
  if (codelTimeAfter(params.target, vars.ldelay) || queue.backlog(ctx) <= params.mtu) {
    vars.firstAboveTime = 0;
    return false;
  }
  if (vars.firstAboveTime === 0) {
    // 0 says below, so that time is passed over.
    vars.firstAboveTime = (now + params.interval) | 0 || 1;
    return false;
  }
  return codelTimeAfter(now, vars.firstAboveTime);
}

/** Marks the packet; false: it cannot be marked and goes. */
function codelMark(skb: SkBuff, params: CodelParams, stats: CodelStats): boolean {
  if (!params.ecn || !inetEcnSetCe(skb)) return false;
  stats.ecnMark++;
  return true;
}

function codelDrop<T>(skb: SkBuff, ctx: T, queue: CodelQueue<T>, stats: CodelStats): void {
  stats.dropLen += skb.pktLen;
  stats.dropCount++;
  queue.drop(skb, ctx);
}

/** In the dropping state: drops as often as the control law says. The packet that leaves. */
function codelGoOnDropping<T>(
  first: SkBuff | null,
  ctx: T,
  queue: CodelQueue<T>,
  params: CodelParams,
  vars: CodelVars,
  stats: CodelStats,
  now: number,
): SkBuff | null {
  let skb = first;
  while (skb !== null && vars.dropping && !codelTimeAfter(vars.dropNext, now)) {
    vars.count++;
    codelNewtonStep(vars);
    if (codelMark(skb, params, stats)) {
      vars.dropNext = codelControlLaw(vars.dropNext, params.interval, vars.recInvSqrt);
      return skb;
    }
    codelDrop(skb, ctx, queue, stats);
    skb = queue.dequeue(ctx);
    if (!codelShouldDrop(skb, ctx, queue, params, vars, stats, now)) vars.dropping = false;
    else vars.dropNext = codelControlLaw(vars.dropNext, params.interval, vars.recInvSqrt);
  }
  return skb;
}

/** Enters the dropping state with the packet given. The packet that leaves. */
function codelBeginDropping<T>(
  first: SkBuff,
  ctx: T,
  queue: CodelQueue<T>,
  params: CodelParams,
  vars: CodelVars,
  stats: CodelStats,
  now: number,
): SkBuff | null {
  let skb: SkBuff | null = first;
  if (!codelMark(first, params, stats)) {
    codelDrop(first, ctx, queue, stats);
    skb = queue.dequeue(ctx);
    codelShouldDrop(skb, ctx, queue, params, vars, stats, now);
  }
  vars.dropping = true;
  // RFC 8289, 4.2: soon after the last time, the rate that worked then is where to begin.
  const delta = vars.count - vars.lastcount;
  if (delta > 1 && codelTimeAfter(16 * params.interval, (now - vars.dropNext) | 0)) {
    vars.count = delta;
    codelNewtonStep(vars);
  } else {
    vars.count = 1;
    vars.recInvSqrt = REC_INV_SQRT_ONE;
  }
  vars.lastcount = vars.count;
  vars.dropNext = codelControlLaw(now, params.interval, vars.recInvSqrt);
  return skb;
}

/** May the threshold mark this packet? */
function codelSelects(skb: SkBuff, params: CodelParams): boolean {
  if (params.ceThresholdMask === 0) return true;
  const dsfield = skbDsfield(skb);
  return dsfield >= 0 && (dsfield & params.ceThresholdMask) === params.ceThresholdSelector;
}

/**
 * The next packet to leave; drops and marks on the way. Null: the queue is empty.
 * @kernel codel_dequeue include/net/codel_impl.h
 */
export function codelDequeue<T>(
  ctx: T,
  queue: CodelQueue<T>,
  params: CodelParams,
  vars: CodelVars,
  stats: CodelStats,
): SkBuff | null {
  let skb = queue.dequeue(ctx);
  if (skb === null) {
    vars.dropping = false;
    return null;
  }
  const now = codelGetTime(skb.machine.nowNs);
  const drop = codelShouldDrop(skb, ctx, queue, params, vars, stats, now);
  if (vars.dropping) {
    if (!drop) vars.dropping = false;
    else skb = codelGoOnDropping(skb, ctx, queue, params, vars, stats, now);
  } else if (drop) {
    skb = codelBeginDropping(skb, ctx, queue, params, vars, stats, now);
  }
  if (
    skb !== null &&
    params.ceThreshold !== CODEL_DISABLED_THRESHOLD &&
    codelTimeAfter(vars.ldelay, params.ceThreshold) &&
    codelSelects(skb, params) &&
    inetEcnSetCe(skb)
  ) {
    stats.ceMark++;
  }
  return skb;
}
