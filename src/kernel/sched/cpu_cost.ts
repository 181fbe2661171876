/**
 * What work costs the CPUs of a machine in virtual time, so that one can be too slow for what comes. No
 * counterpart: Linux's work takes its time by itself. Off by default: then all work of an instant takes no
 * time, and nothing here is asked. See docs/decisions/0020-cpu-costs.md.
 *
 * A CPU that was charged is busy for so long. Hard interrupts are served at once and make it busy for
 * longer; soft interrupts wait until no interrupt work is left; tasks, ksoftirqd among them, wait for
 * both, and take turns. What was put off is done when `Cpu.resumeNs` has come, which is one of the times
 * that `machine.nextExpiry()` tells.
 */
import type { Cpu } from '#kernel/cpu.ts';
import type { Machine } from '#kernel/machine.ts';

/** Prices in ns of virtual time. */
export interface CpuCosts {
  /** A hard interrupt, from its entry to its exit. */
  readonly hardirqNs: number;
  /** One run of a soft interrupt's function, before what it does for packets. */
  readonly softirqNs: number;
  /** A packet that a poll takes and carries up the stack. */
  readonly packetNs: number;
  /** A system call. */
  readonly syscallNs: number;
}

/** Interrupt work has taken so long; a task that is under way is held up by it. */
export function chargeIrq(machine: Machine, ns: number): void {
  const { cpu, nowNs } = machine;
  cpu.busyUntilNs = Math.max(cpu.busyUntilNs, nowNs) + ns;
  if (cpu.taskUntilNs > nowNs) cpu.taskUntilNs += ns;
}

/** The task on the present CPU has worked for so long. */
export function chargeTask(machine: Machine, ns: number): void {
  const { cpu, nowNs } = machine;
  cpu.taskUntilNs = Math.max(cpu.taskUntilNs, cpu.busyUntilNs, nowNs) + ns;
}

/** What the present CPU's clock shows: later than the world's when its interrupt work is not done yet. */
export function cpuClock(machine: Machine): number {
  const now = machine.host.readClock();
  return machine.costs === null ? now : Math.max(now, machine.cpu.busyUntilNs);
}

/** How far a CPU is ahead of the world's clock with its work, in ns, 2 s at most: in interrupts, or as a task. */
export function cpuLead(machine: Machine, asTask: boolean): number {
  if (machine.costs === null) return 0;
  const { cpu, nowNs } = machine;
  const lead = (asTask ? cpu.taskUntilNs : cpu.busyUntilNs) - nowNs;
  return Math.min(Math.max(0, lead), 2e9);
}

/** The CPU is called at a time, to do what it puts off now. */
export function putOff(machine: Machine, cpu: Cpu, untilNs: number): void {
  if (untilNs >= cpu.resumeNs) return;
  cpu.resumeNs = untilNs;
  machine.host.timerChanged(machine);
}

/** May soft interrupts run now? If not, they will when the CPU has done its interrupt work. */
export function softirqsMayRun(machine: Machine, cpu: Cpu): boolean {
  if (cpu.busyUntilNs <= machine.nowNs) return true;
  putOff(machine, cpu, cpu.busyUntilNs);
  return false;
}

/** When some CPU wants to be called; Infinity: none does. */
export function nextResume(machine: Machine): number {
  let next = Number.POSITIVE_INFINITY;
  for (const { resumeNs } of machine.cpus) next = Math.min(next, resumeNs);
  return next;
}
