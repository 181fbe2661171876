/**
 * Soft interrupts and tasklets. Counterpart of kernel/softirq.c.
 *
 * A softirq is raised by setting its bit, and runs when the outermost interrupt ends or soft
 * interrupts are enabled again, on the same CPU. When more keep coming than fit into ten rounds or
 * two milliseconds, the rest is left to ksoftirqd, which the host runs as an event of its own.
 */

import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import type { Cpu } from '#kernel/cpu.ts';
import { inInterrupt } from '#kernel/cpu.ts';
import type { Machine } from '#kernel/machine.ts';
import { chargeIrq, cpuClock, putOff, softirqsMayRun } from '#kernel/sched/cpu_cost.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';

export const HI_SOFTIRQ = 0;
export const TIMER_SOFTIRQ = 1;
export const NET_TX_SOFTIRQ = 2;
export const NET_RX_SOFTIRQ = 3;
export const BLOCK_SOFTIRQ = 4;
export const IRQ_POLL_SOFTIRQ = 5;
export const TASKLET_SOFTIRQ = 6;
export const SCHED_SOFTIRQ = 7;
export const HRTIMER_SOFTIRQ = 8;
export const RCU_SOFTIRQ = 9;
export const NR_SOFTIRQS = 10;

/** Names as in /proc/softirqs and the tracepoints. */
export const SOFTIRQ_NAMES: readonly string[] = [
  'HI',
  'TIMER',
  'NET_TX',
  'NET_RX',
  'BLOCK',
  'IRQ_POLL',
  'TASKLET',
  'SCHED',
  'HRTIMER',
  'RCU',
];

const MAX_SOFTIRQ_RESTART = 10;
const MAX_SOFTIRQ_TIME_NS = 2_000_000;

/** Handler of one softirq, for the CPU it runs on (`machine.cpu`). */
export type SoftirqAction = (machine: Machine) => void;

/** @kernel open_softirq kernel/softirq.c */
export function openSoftirq(machine: Machine, nr: number, action: SoftirqAction): void {
  machine.softirqVec[nr] = action;
}

/**
 * Marks a softirq pending on the present CPU; wakes ksoftirqd where nothing else would run it.
 * @kernel raise_softirq kernel/softirq.c
 */
export function raiseSoftirq(machine: Machine, nr: number): void {
  raiseSoftirqOn(machine, machine.cpu, nr);
}

/** @kernel raise_softirq_irqoff kernel/softirq.c */
export function raiseSoftirqIrqoff(machine: Machine, nr: number): void {
  raiseSoftirqOn(machine, machine.cpu, nr);
}

/** Only marks it: the caller knows that an exit from an interrupt follows. @kernel __raise_softirq_irqoff kernel/softirq.c */
export function __raiseSoftirqIrqoff(machine: Machine, nr: number): void {
  if (tracepointKey.enabled) machine.trace.irq.softirqRaise.probe?.(nr);
  machine.cpu.softirqPending |= 1 << nr;
}

/** On another CPU this is what its inter-processor interrupt does. */
export function raiseSoftirqOn(machine: Machine, cpu: Cpu, nr: number): void {
  if (tracepointKey.enabled) machine.trace.irq.softirqRaise.probe?.(nr);
  cpu.softirqPending |= 1 << nr;
  if (cpu !== machine.cpu || !inInterrupt(cpu)) wakeupSoftirqd(machine, cpu);
}

/** @kernel wakeup_softirqd kernel/softirq.c */
function wakeupSoftirqd(machine: Machine, cpu: Cpu): void {
  if (cpu.ksoftirqdRunning) return;
  cpu.ksoftirqdRunning = true;
  machine.host.kick(machine);
}

/** @kernel local_bh_disable include/linux/bottom_half.h */
export function localBhDisable(machine: Machine): void {
  machine.cpu.bhDisableCount++;
}

/** Runs what is pending when this was the outermost. @kernel local_bh_enable include/linux/bottom_half.h */
export function localBhEnable(machine: Machine): void {
  const { cpu } = machine;
  if (DEBUG && cpu.bhDisableCount === 0) {
    throw new KernelBug('bh-balance', 'local_bh_enable without local_bh_disable');
  }
  cpu.bhDisableCount--;
  if (cpu.softirqPending !== 0 && cpu.irqDisableCount === 0 && !inInterrupt(cpu)) {
    __doSoftirq(machine, cpu);
  }
}

/** Runs pending softirqs if the context allows. @kernel do_softirq kernel/softirq.c */
export function doSoftirq(machine: Machine): void {
  const { cpu } = machine;
  if (cpu.softirqPending !== 0 && !inInterrupt(cpu)) __doSoftirq(machine, cpu);
}

/**
 * Where work has a price, a round takes time: the next one comes when the CPU is done with it, so that
 * what arrives meanwhile is there.
 * @kernel handle_softirqs kernel/softirq.c
 */
function __doSoftirq(machine: Machine, cpu: Cpu): void {
  const { costs } = machine;
  if (costs !== null && !softirqsMayRun(machine, cpu)) return;
  let restart = MAX_SOFTIRQ_RESTART;
  let startNs = cpuClock(machine);
  if (cpu.softirqRestart !== 0) {
    restart = cpu.softirqRestart;
    startNs = cpu.softirqSinceNs;
    cpu.softirqRestart = 0;
  }
  cpu.servingSoftirq = 1;
  while (cpu.softirqPending !== 0) {
    runSoftirqs(machine, cpu);
    if (cpu.softirqPending === 0) break;
    restart--;
    if (restart === 0 || cpuClock(machine) - startNs >= MAX_SOFTIRQ_TIME_NS) {
      cpu.servingSoftirq = 0;
      cpu.inKsoftirqd = false;
      wakeupSoftirqd(machine, cpu);
      return;
    }
    if (costs !== null) {
      cpu.servingSoftirq = 0;
      cpu.softirqRestart = restart;
      cpu.softirqSinceNs = startNs;
      putOff(machine, cpu, Math.max(cpu.busyUntilNs, machine.nowNs));
      return;
    }
  }
  cpu.servingSoftirq = 0;
  cpu.inKsoftirqd = false;
}

/** One round: the functions of those that are pending. */
function runSoftirqs(machine: Machine, cpu: Cpu): void {
  const { trace, softirqVec, costs } = machine;
  let pending = cpu.softirqPending;
  cpu.softirqPending = 0;
  while (pending !== 0) {
    const nr = 31 - Math.clz32(pending & -pending);
    pending &= pending - 1;
    cpu.softirqCounts[nr] = (cpu.softirqCounts[nr] as number) + 1;
    if (tracepointKey.enabled) trace.irq.softirqEntry.probe?.(nr);
    if (costs !== null) chargeIrq(machine, costs.softirqNs);
    (softirqVec[nr] as SoftirqAction)(machine);
    if (tracepointKey.enabled) trace.irq.softirqExit.probe?.(nr);
  }
}

/** One turn of a CPU's ksoftirqd, run by the host. @kernel run_ksoftirqd kernel/softirq.c */
export function runKsoftirqd(machine: Machine, cpu: Cpu): void {
  cpu.ksoftirqdRunning = false;
  if (cpu.softirqPending === 0) return;
  cpu.inKsoftirqd = true;
  __doSoftirq(machine, cpu);
}

/** @kernel irq_enter kernel/softirq.c */
export function irqEnter(machine: Machine): void {
  machine.cpu.hardirqCount++;
}

/** At the end of the outermost interrupt its softirqs run. @kernel irq_exit kernel/softirq.c */
export function irqExit(machine: Machine): void {
  const { cpu } = machine;
  cpu.hardirqCount--;
  if (cpu.softirqPending !== 0 && !inInterrupt(cpu)) __doSoftirq(machine, cpu);
}

// Tasklets.

/** Runs once in softirq for any number of schedulings before. @kernel tasklet_struct include/linux/interrupt.h */
export class Tasklet {
  readonly machine: Machine;
  readonly func: () => void;
  scheduled: boolean;
  /** Depth of tasklet_disable(). */
  disabled: number;

  constructor(machine: Machine, func: () => void) {
    this.machine = machine;
    this.func = func;
    this.scheduled = false;
    this.disabled = 0;
  }
}

/** @kernel tasklet_schedule include/linux/interrupt.h */
export function taskletSchedule(tasklet: Tasklet): void {
  if (tasklet.scheduled) return;
  tasklet.scheduled = true;
  const { machine } = tasklet;
  machine.cpu.tasklets.push(tasklet);
  raiseSoftirq(machine, TASKLET_SOFTIRQ);
}

/** Takes it back if it waits. @kernel tasklet_kill kernel/softirq.c */
export function taskletKill(tasklet: Tasklet): void {
  tasklet.scheduled = false;
}

/** @kernel tasklet_action kernel/softirq.c */
export function taskletAction(machine: Machine): void {
  const list = machine.cpu.tasklets.splice(0);
  for (const tasklet of list) {
    if (!tasklet.scheduled) continue;
    if (tasklet.disabled > 0) {
      machine.cpu.tasklets.push(tasklet);
      continue;
    }
    tasklet.scheduled = false;
    tasklet.func();
  }
}
