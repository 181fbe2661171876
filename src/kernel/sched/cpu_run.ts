/**
 * What the CPUs of a machine do when their work has a price (cpu_cost.ts) and they are free for more. No
 * counterpart: the parts of kernel/sched/core.c that decide who has a CPU, for as few contenders as there
 * are here.
 */
import type { Cpu } from '#kernel/cpu.ts';
import type { Machine } from '#kernel/machine.ts';
import { putOff } from '#kernel/sched/cpu_cost.ts';
import { runTasks } from '#kernel/sched/task.ts';
import { flushSmpCallFunctionQueue } from '#kernel/smp.ts';
import { doSoftirq, runKsoftirqd } from '#kernel/softirq.ts';

/** Each CPU does what it may: soft interrupts that were put off, then one task or ksoftirqd. */
export function runCpus(machine: Machine): void {
  const interrupted = machine.cpu;
  for (const cpu of machine.cpus) {
    machine.cpu = cpu;
    runCpu(machine, cpu);
  }
  machine.cpu = interrupted;
}

function runCpu(machine: Machine, cpu: Cpu): void {
  const { nowNs, tasks } = machine;
  if (cpu.resumeNs <= nowNs) cpu.resumeNs = Number.POSITIVE_INFINITY;
  // Inter-processor interrupts are served at once, as all interrupts are.
  if (cpu.callHead !== null) flushSmpCallFunctionQueue(machine, cpu);
  if (cpu.softirqPending !== 0 && !cpu.ksoftirqdRunning) doSoftirq(machine);
  // It is the first CPU that gives programs their turns.
  const waiting = cpu.id === 0 && tasks.runFirst !== null;
  if (!cpu.ksoftirqdRunning && !waiting) return;
  const freeNs = Math.max(cpu.busyUntilNs, cpu.taskUntilNs);
  if (freeNs > nowNs) {
    putOff(machine, cpu, freeNs);
    return;
  }
  // Tasks of one priority take turns.
  if (cpu.ksoftirqdRunning && !(waiting && cpu.ksoftirqdLast)) {
    cpu.ksoftirqdLast = true;
    runKsoftirqd(machine, cpu);
  } else {
    cpu.ksoftirqdLast = false;
    runTasks(machine);
  }
  if (cpu.ksoftirqdRunning || (cpu.id === 0 && tasks.runFirst !== null)) {
    putOff(machine, cpu, Math.max(cpu.busyUntilNs, cpu.taskUntilNs, nowNs));
  }
}
