/**
 * Timers in jiffies: a hierarchical wheel. Counterpart of kernel/time/timer.c.
 *
 * Five levels of 64 buckets, each level 64 times coarser. A timer far away waits in a coarse bucket
 * and moves down as its time comes near. Timers of one jiffy fire in the order in which they were
 * armed, whatever way they took.
 *
 * @deviation Linux rounds far timers up to the granularity of their level and never moves them; here
 * every timer fires at its exact jiffy, so that virtual time shows what the protocol asked for.
 */
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import type { Machine } from '#kernel/machine.ts';
import { HZ } from '#kernel/param.ts';
import { raiseSoftirq, TIMER_SOFTIRQ } from '#kernel/softirq.ts';

const LEVEL_BITS = 6;
const LEVEL_SIZE: number = 1 << LEVEL_BITS;
const LEVEL_MASK: number = LEVEL_SIZE - 1;
const LEVELS = 5;
/** Ticks that the wheel reaches; farther timers wait in the last bucket and are sorted in again. */
const REACH: number = 2 ** (LEVEL_BITS * LEVELS) - 1;

export const NS_PER_TICK: number = 1_000_000_000 / HZ;

/** @kernel timer_list include/linux/timer.h */
export class TimerList<T> {
  readonly machine: Machine;
  readonly owner: T;
  readonly function: (owner: T) => void;
  /** Jiffy of expiry, int32. */
  expires: number;
  next: TimerList<unknown> | null;
  prev: TimerList<unknown> | null;
  /** Bucket it is in; -1: not pending. */
  bucket: number;
  /** Tick of expiry since boot: does not wrap. */
  tick: number;
  /**
   * Tick for which it was put into its bucket: `tick`, or an earlier one. A timer that is armed anew
   * for later stays where it is, and is only moved when that bucket's turn comes.
   */
  placed: number;
  /** Order of arming. */
  seq: number;

  constructor(machine: Machine, owner: T, fn: (owner: T) => void) {
    this.machine = machine;
    this.owner = owner;
    this.function = fn;
    this.expires = 0;
    this.next = null;
    this.prev = null;
    this.bucket = -1;
    this.tick = 0;
    this.placed = 0;
    this.seq = 0;
  }
}

type AnyTimer = TimerList<unknown>;

/** The wheel of a machine. @kernel timer_base kernel/time/timer.c */
export class TimerBase {
  readonly heads: (AnyTimer | null)[];
  readonly tails: (AnyTimer | null)[];
  /** For each level two words: bit n set when bucket n is not empty. */
  readonly bitmap: Int32Array;
  /** Next tick to be processed. */
  clk: number;
  count: number;
  private seq: number;
  /** Earliest tick when `nextValid`; no timer is earlier when not. */
  private nextTick: number;
  private nextValid: boolean;

  constructor() {
    this.heads = new Array<AnyTimer | null>(LEVELS * LEVEL_SIZE).fill(null);
    this.tails = new Array<AnyTimer | null>(LEVELS * LEVEL_SIZE).fill(null);
    this.bitmap = new Int32Array(LEVELS * 2);
    this.clk = 0;
    this.count = 0;
    this.seq = 0;
    this.nextTick = Number.POSITIVE_INFINITY;
    this.nextValid = true;
  }

  /** Arms a timer that is not pending. True when it is now the earliest. */
  insert(timer: AnyTimer): boolean {
    timer.seq = this.seq++;
    this.count++;
    this.place(timer);
    const earlier = timer.tick < this.nextTick;
    if (earlier) this.nextTick = timer.tick;
    return earlier || !this.nextValid;
  }

  remove(timer: AnyTimer): void {
    this.unlink(timer);
    this.count--;
    if (timer.tick === this.nextTick) this.nextValid = false;
  }

  /**
   * Arms a pending timer anew for `tick` without touching the wheel, where that is possible: not for
   * earlier than its bucket's turn, nor for the very tick of a finest bucket, whose order counts.
   */
  postpone(timer: AnyTimer, tick: number): boolean {
    if (tick < timer.placed || (tick === timer.placed && timer.bucket < LEVEL_SIZE)) return false;
    if (timer.tick === this.nextTick) this.nextValid = false;
    timer.tick = tick;
    timer.seq = this.seq++;
    return true;
  }

  /** Tick of the earliest timer; Infinity when there is none. */
  next(): number {
    if (!this.nextValid) {
      this.nextTick = this.findNext();
      this.nextValid = true;
    }
    return this.nextTick;
  }

  /** Takes the first timer that is due at or before `tick` out of the wheel, or returns null. */
  expire(tick: number): AnyTimer | null {
    for (;;) {
      if (this.clk > tick) return null;
      const head = this.heads[this.clk & LEVEL_MASK] as AnyTimer | null;
      if (head !== null) {
        this.unlink(head);
        if (head.tick > this.clk) {
          this.place(head);
          continue;
        }
        this.count--;
        this.nextValid = false;
        this.nextTick = this.clk;
        return head;
      }
      this.advance(tick);
    }
  }

  /** Moves the clock to the next tick at which something is to be done, at most past `tick`. */
  private advance(tick: number): void {
    this.clk = Math.min(this.count === 0 ? tick + 1 : this.nextStop(), tick + 1);
    if ((this.clk & LEVEL_MASK) === 0) this.cascade();
  }

  /**
   * The next tick with a timer in the finest level, or where a bucket of a coarser one has to be
   * sorted down. Buckets behind the position belong to the next turn of their level, so with such
   * the end of the present turn is as far as one may go.
   */
  private nextStop(): number {
    let span = 1;
    for (let level = 0; level < LEVELS; level++) {
      const units = Math.floor(this.clk / span);
      const position = units & LEVEL_MASK;
      const found = position === LEVEL_MASK ? -1 : this.findBit(level, position + 1);
      if (found >= 0) return (units - position + found) * span;
      if (this.findBit(level, 0) >= 0) return (units - position + LEVEL_SIZE) * span;
      span *= LEVEL_SIZE;
    }
    return Number.POSITIVE_INFINITY;
  }

  /** A level has gone round: the next coarser bucket is sorted into finer ones. */
  private cascade(): void {
    for (let level = 1, shift = LEVEL_BITS; level < LEVELS; level++, shift += LEVEL_BITS) {
      const index = Math.floor(this.clk / 2 ** shift) & LEVEL_MASK;
      const bucket = level * LEVEL_SIZE + index;
      let timer = this.heads[bucket] as AnyTimer | null;
      this.heads[bucket] = null;
      this.tails[bucket] = null;
      this.setBit(bucket, false);
      while (timer !== null) {
        const { next }: AnyTimer = timer;
        this.place(timer);
        timer = next;
      }
      if (index !== 0) return;
    }
  }

  private place(timer: AnyTimer): void {
    if (timer.tick < this.clk) timer.tick = this.clk;
    let delta = timer.tick - this.clk;
    let { tick } = timer;
    if (delta > REACH) {
      delta = REACH;
      tick = this.clk + REACH;
    }
    let level = 0;
    let span = 1;
    while (delta >= span * LEVEL_SIZE && level < LEVELS - 1) {
      level++;
      span *= LEVEL_SIZE;
    }
    timer.placed = timer.tick;
    this.link(timer, level * LEVEL_SIZE + (Math.floor(tick / span) & LEVEL_MASK));
  }

  /**
   * Keeps each bucket in order of arming. Postponed timers may stand too early in it: whatever stays
   * in the bucket still is in order among itself.
   */
  private link(timer: AnyTimer, bucket: number): void {
    let prev = this.tails[bucket] as AnyTimer | null;
    while (prev !== null && prev.seq > timer.seq) ({ prev } = prev as AnyTimer);
    const next = prev === null ? (this.heads[bucket] as AnyTimer | null) : prev.next;
    timer.prev = prev;
    timer.next = next;
    timer.bucket = bucket;
    if (prev === null) this.heads[bucket] = timer;
    else prev.next = timer;
    if (next === null) this.tails[bucket] = timer;
    else next.prev = timer;
    this.setBit(bucket, true);
  }

  private unlink(timer: AnyTimer): void {
    const { next, prev, bucket } = timer;
    if (prev === null) this.heads[bucket] = next;
    else prev.next = next;
    if (next === null) this.tails[bucket] = prev;
    else next.prev = prev;
    if (this.heads[bucket] === null) this.setBit(bucket, false);
    timer.next = null;
    timer.prev = null;
    timer.bucket = -1;
  }

  private setBit(bucket: number, on: boolean): void {
    const word = bucket >> 5;
    const bit = 1 << (bucket & 31);
    this.bitmap[word] = on
      ? (this.bitmap[word] as number) | bit
      : (this.bitmap[word] as number) & ~bit;
  }

  /** First non-empty bucket of a level from `from` up, or -1. */
  private findBit(level: number, from: number): number {
    for (let word = from >> 5; word < 2; word++) {
      let bits = this.bitmap[level * 2 + word] as number;
      if (word === from >> 5) bits &= -1 << (from & 31);
      if (bits !== 0) return word * 32 + 31 - Math.clz32(bits & -bits);
    }
    return -1;
  }

  private findNext(): number {
    let earliest = Number.POSITIVE_INFINITY;
    let span = 1;
    for (let level = 0; level < LEVELS; level++) {
      const position = Math.floor(this.clk / span) & LEVEL_MASK;
      span *= LEVEL_SIZE;
      // Buckets behind the position belong to the next turn of the wheel; a coarse bucket at the
      // position itself does too, since its turn has been sorted down already.
      const first = level === 0 ? position : position + 1;
      for (;;) {
        let index = first > LEVEL_MASK ? -1 : this.findBit(level, first);
        if (index < 0) index = this.findBit(level, 0);
        if (index < 0) break;
        const bucket = level * LEVEL_SIZE + index;
        earliest = Math.min(earliest, this.settle(bucket));
        // Nothing is earlier than what was the earliest last: of very many at once, one is looked at.
        if (earliest === this.nextTick) return earliest;
        if (this.heads[bucket] !== null) break;
      }
    }
    return earliest;
  }

  /**
   * Moves the postponed timers of a bucket to where they belong by now. The earliest tick of all; stops
   * at one that is as early as can be.
   */
  private settle(bucket: number): number {
    let earliest = Number.POSITIVE_INFINITY;
    let timer = this.heads[bucket] as AnyTimer | null;
    while (timer !== null) {
      const { next }: AnyTimer = timer;
      if (timer.tick < earliest) earliest = timer.tick;
      if (earliest === this.nextTick) return earliest;
      if (timer.placed !== timer.tick) {
        this.unlink(timer);
        this.place(timer);
      }
      timer = next;
    }
    return earliest;
  }
}

/** @kernel timer_pending include/linux/timer.h */
export function timerPending<T>(timer: TimerList<T>): boolean {
  return timer.bucket >= 0;
}

/**
 * Arms a timer, or moves one that is pending. `expires` is a jiffy; one in the past means the next
 * tick. Returns whether it was pending. @kernel mod_timer kernel/time/timer.c
 */
export function modTimer<T>(timer: TimerList<T>, expires: number): boolean {
  const { machine } = timer;
  const base = machine.timers;
  const any = timer as unknown as AnyTimer;
  const pending = timer.bucket >= 0;
  if (pending && timer.expires === (expires | 0)) return true;
  timer.expires = expires | 0;
  // The present tick has struck: at the earliest a timer goes with the next.
  const delta = Math.max((expires - machine.jiffies) | 0, 1);
  const tick = machine.tick + delta;
  if (pending) {
    // The next expiry can only be later for it, and the host may well come too early.
    if (base.postpone(any, tick)) return true;
    base.remove(any);
  } else {
    machine.live.timers++;
  }
  // An empty wheel has no reason to have kept up with the time.
  if (base.count === 0 && base.clk <= machine.tick) base.clk = machine.tick + 1;
  timer.tick = Math.max(tick, base.clk);
  if (base.insert(any)) machine.host.timerChanged(machine);
  return pending;
}

/** @kernel add_timer kernel/time/timer.c */
export function addTimer<T>(timer: TimerList<T>): void {
  if (DEBUG && timer.bucket >= 0) throw new KernelBug('timer-pending', 'add_timer: it is pending');
  modTimer(timer, timer.expires);
}

/** Disarms. Returns whether it was pending. @kernel timer_delete kernel/time/timer.c */
export function timerDelete<T>(timer: TimerList<T>): boolean {
  if (timer.bucket < 0) return false;
  timer.machine.timers.remove(timer as unknown as AnyTimer);
  timer.machine.live.timers--;
  return true;
}

/** @kernel timer_delete_sync kernel/time/timer.c */
export function timerDeleteSync<T>(timer: TimerList<T>): boolean {
  return timerDelete(timer);
}

/** Arms a timer only to fire earlier than it would. @kernel timer_reduce kernel/time/timer.c */
export function timerReduce<T>(timer: TimerList<T>, expires: number): boolean {
  if (timer.bucket >= 0 && ((timer.expires - expires) | 0) <= 0) return true;
  return modTimer(timer, expires);
}

/** The tick: has the wheel's softirq raised when a timer is due. @kernel run_local_timers kernel/time/timer.c */
export function runLocalTimers(machine: Machine): void {
  if (machine.timers.next() <= machine.tick) raiseSoftirq(machine, TIMER_SOFTIRQ);
}

/** @kernel run_timer_softirq kernel/time/timer.c */
export function runTimerSoftirq(machine: Machine): void {
  const base = machine.timers;
  for (;;) {
    const timer = base.expire(machine.tick);
    if (timer === null) return;
    machine.live.timers--;
    timer.function(timer.owner);
  }
}
