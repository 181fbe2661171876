/**
 * Timers in nanoseconds. Counterpart of kernel/time/hrtimer.c. A binary heap ordered by
 * (expiry, arming). The functions run in the timer's hard interrupt, those of soft timers in the
 * soft interrupt that it raises.
 */
import type { Machine } from '#kernel/machine.ts';
import { HRTIMER_SOFTIRQ, raiseSoftirqIrqoff } from '#kernel/softirq.ts';

export const HRTIMER_NORESTART = 0;
export const HRTIMER_RESTART = 1;

/** @kernel hrtimer include/linux/hrtimer.h */
export class Hrtimer<T> {
  readonly machine: Machine;
  readonly owner: T;
  /** HRTIMER_RESTART: it has set a new expiry with hrtimerForward() and goes on. */
  readonly function: (owner: T) => number;
  /** HRTIMER_MODE_SOFT: the function may send packets. */
  readonly soft: boolean;
  /** ns since boot. */
  expiresNs: number;
  /** Position in the heap; -1: not armed. */
  index: number;
  seq: number;

  constructor(machine: Machine, owner: T, fn: (owner: T) => number, soft = false) {
    this.machine = machine;
    this.owner = owner;
    this.function = fn;
    this.soft = soft;
    this.expiresNs = 0.5;
    this.expiresNs = 0;
    this.index = -1;
    this.seq = 0;
  }
}

type AnyTimer = Hrtimer<unknown>;

function before(a: AnyTimer, b: AnyTimer): boolean {
  return a.expiresNs < b.expiresNs || (a.expiresNs === b.expiresNs && a.seq < b.seq);
}

/** @kernel hrtimer_cpu_base include/linux/hrtimer.h */
export class HrtimerBase {
  private readonly heap: AnyTimer[];
  private seq: number;
  /** The soft interrupt for these timers is raised; they want no further interrupt until it runs. */
  softirqActivated: boolean;

  constructor() {
    this.softirqActivated = false;
    this.heap = [];
    this.seq = 0;
  }

  get first(): AnyTimer | null {
    const { heap } = this;
    return heap.length === 0 ? null : (heap[0] as AnyTimer);
  }

  insert(timer: AnyTimer): void {
    timer.seq = this.seq++;
    timer.index = this.heap.length;
    this.heap.push(timer);
    this.siftUp(timer);
  }

  remove(timer: AnyTimer): void {
    const { heap } = this;
    const { index } = timer;
    const last = heap.pop() as AnyTimer;
    timer.index = -1;
    if (last === timer) return;
    heap[index] = last;
    last.index = index;
    this.siftUp(last);
    this.siftDown(last);
  }

  private siftUp(timer: AnyTimer): void {
    const { heap } = this;
    let { index } = timer;
    while (index > 0) {
      const parent = heap[(index - 1) >> 1] as AnyTimer;
      if (!before(timer, parent)) break;
      heap[index] = parent;
      const parentIndex = (index - 1) >> 1;
      parent.index = index;
      index = parentIndex;
    }
    heap[index] = timer;
    timer.index = index;
  }

  private siftDown(timer: AnyTimer): void {
    const { heap } = this;
    let { index } = timer;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as AnyTimer, heap[child] as AnyTimer)) {
        child++;
      }
      const other = heap[child] as AnyTimer;
      if (!before(other, timer)) break;
      heap[index] = other;
      other.index = index;
      index = child;
    }
    heap[index] = timer;
    timer.index = index;
  }
}

/** Arms a timer for `ns` since boot, or moves it. @kernel hrtimer_start include/linux/hrtimer.h */
export function hrtimerStart<T>(timer: Hrtimer<T>, ns: number): void {
  const { machine } = timer;
  const any = timer as unknown as AnyTimer;
  const base = baseOf(any);
  if (timer.index >= 0) base.remove(any);
  else machine.live.timers++;
  timer.expiresNs = ns;
  base.insert(any);
  if (base.first === any) machine.host.timerChanged(machine);
}

function baseOf(timer: AnyTimer): HrtimerBase {
  return timer.soft ? timer.machine.hrtimersSoft : timer.machine.hrtimers;
}

/** Disarms. Returns whether it was armed. @kernel hrtimer_cancel kernel/time/hrtimer.c */
export function hrtimerCancel<T>(timer: Hrtimer<T>): boolean {
  if (timer.index < 0) return false;
  const any = timer as unknown as AnyTimer;
  baseOf(any).remove(any);
  timer.machine.live.timers--;
  return true;
}

/** @kernel hrtimer_try_to_cancel kernel/time/hrtimer.c */
export function hrtimerTryToCancel<T>(timer: Hrtimer<T>): boolean {
  return hrtimerCancel(timer);
}

/** @kernel hrtimer_active include/linux/hrtimer.h */
export function hrtimerActive<T>(timer: Hrtimer<T>): boolean {
  return timer.index >= 0;
}

/** @kernel hrtimer_is_queued include/linux/hrtimer.h */
export function hrtimerIsQueued<T>(timer: Hrtimer<T>): boolean {
  return timer.index >= 0;
}

/** Moves the expiry past `nowNs` by whole intervals; returns how many. @kernel hrtimer_forward kernel/time/hrtimer.c */
export function hrtimerForward<T>(timer: Hrtimer<T>, nowNs: number, intervalNs: number): number {
  const late = nowNs - timer.expiresNs;
  if (late < 0) return 0;
  const steps = Math.floor(late / intervalNs) + 1;
  timer.expiresNs += steps * intervalNs;
  return steps;
}

/** Runs what is due; the caller is the timer's interrupt. @kernel hrtimer_run_queues kernel/time/hrtimer.c */
export function hrtimerRunQueues(machine: Machine): void {
  const soft = machine.hrtimersSoft;
  const { first } = soft;
  if (first !== null && first.expiresNs <= machine.nowNs && !soft.softirqActivated) {
    soft.softirqActivated = true;
    raiseSoftirqIrqoff(machine, HRTIMER_SOFTIRQ);
  }
  runDue(machine, machine.hrtimers);
}

/** @kernel hrtimer_run_softirq kernel/time/hrtimer.c */
export function hrtimerRunSoftirq(machine: Machine): void {
  machine.hrtimersSoft.softirqActivated = false;
  runDue(machine, machine.hrtimersSoft);
}

/** @kernel __hrtimer_run_queues kernel/time/hrtimer.c */
function runDue(machine: Machine, base: HrtimerBase): void {
  const { nowNs } = machine;
  for (let timer = base.first; timer !== null && timer.expiresNs <= nowNs; timer = base.first) {
    base.remove(timer);
    machine.live.timers--;
    if (timer.function(timer.owner) === HRTIMER_RESTART) {
      machine.live.timers++;
      base.insert(timer);
    }
  }
}
