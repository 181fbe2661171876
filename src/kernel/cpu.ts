/**
 * One CPU of a machine and the context that runs on it.
 *
 * Counterpart of the per-CPU part of include/linux/preempt.h and kernel/softirq.c: what code may do
 * depends on whether it runs in a task, a soft interrupt or a hard interrupt, and these counts say.
 */
import type { Machine } from '#kernel/machine.ts';
import type { CallSingleData } from '#kernel/smp.ts';
import type { Tasklet } from '#kernel/softirq.ts';

export class Cpu {
  readonly machine: Machine;
  /** Number of this CPU, from 0. */
  readonly id: number;
  /** Depth of hard interrupts. @kernel hardirq_count include/linux/preempt.h */
  hardirqCount: number;
  /** Depth of running soft interrupts: 0 or 1. @kernel in_serving_softirq include/linux/preempt.h */
  servingSoftirq: number;
  /** Depth of local_bh_disable(). */
  bhDisableCount: number;
  /** Depth of local_irq_disable(); interrupts that arrive meanwhile wait in `irqPending`. */
  irqDisableCount: number;
  /** Depth of rcu_read_lock(). */
  rcuReadCount: number;
  /** Bit n set: softirq n has been raised. @kernel local_softirq_pending include/linux/interrupt.h */
  softirqPending: number;
  /** True between the wake-up of ksoftirqd/N and its next run. */
  ksoftirqdRunning: boolean;
  /** Interrupt numbers that arrived while interrupts were off, in order. */
  readonly irqPending: number[];
  /** True while ksoftirqd runs soft interrupts. */
  inKsoftirqd: boolean;
  // Where work has a price (sched/cpu_cost.ts), in ns since boot.
  /** Interrupt work is done by then. */
  busyUntilNs: number;
  /** What the task does is done by then. */
  taskUntilNs: number;
  /** When to do what was put off; Infinity: nothing was. */
  resumeNs: number;
  /** Rounds of soft interrupts left, and since when they run; 0: they do not. */
  softirqRestart: number;
  softirqSinceNs: number;
  /** Of ksoftirqd and the other tasks, it was ksoftirqd that ran last. */
  ksoftirqdLast: boolean;
  /** Debug builds: classes of the locks held in the present context, outermost first. */
  readonly heldLocks: string[];
  /** Runs of each softirq, as in /proc/softirqs. */
  readonly softirqCounts: number[];
  /** Tasklets that wait for TASKLET_SOFTIRQ. */
  readonly tasklets: Tasklet[];
  /** Calls of other CPUs that the inter-processor interrupt will run. @kernel call_single_queue kernel/smp.c */
  callHead: CallSingleData | null;
  callTail: CallSingleData | null;
  /** Inter-processor interrupts taken: CAL of /proc/interrupts. */
  callInterrupts: number;

  constructor(machine: Machine, id: number) {
    this.machine = machine;
    this.id = id;
    this.hardirqCount = 0;
    this.servingSoftirq = 0;
    this.bhDisableCount = 0;
    this.irqDisableCount = 0;
    this.rcuReadCount = 0;
    this.softirqPending = 0;
    this.ksoftirqdRunning = false;
    this.irqPending = [];
    this.inKsoftirqd = false;
    this.busyUntilNs = 0;
    this.taskUntilNs = 0;
    this.resumeNs = Number.POSITIVE_INFINITY;
    this.softirqRestart = 0;
    this.softirqSinceNs = 0;
    this.ksoftirqdLast = false;
    this.heldLocks = [];
    this.softirqCounts = new Array<number>(10).fill(0);
    this.tasklets = [];
    this.callHead = null;
    this.callTail = null;
    this.callInterrupts = 0;
  }
}

/** @kernel in_hardirq include/linux/preempt.h */
export function inHardirq(cpu: Cpu): boolean {
  return cpu.hardirqCount > 0;
}

/** True in soft interrupts and where they are disabled. @kernel in_softirq include/linux/preempt.h */
export function inSoftirq(cpu: Cpu): boolean {
  return cpu.servingSoftirq > 0 || cpu.bhDisableCount > 0;
}

/** @kernel in_interrupt include/linux/preempt.h */
export function inInterrupt(cpu: Cpu): boolean {
  return cpu.hardirqCount > 0 || cpu.servingSoftirq > 0 || cpu.bhDisableCount > 0;
}

/** @kernel in_task include/linux/preempt.h */
export function inTask(cpu: Cpu): boolean {
  return cpu.hardirqCount === 0 && cpu.servingSoftirq === 0;
}
