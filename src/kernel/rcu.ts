/**
 * Read-copy-update. Counterpart of kernel/rcu/.
 *
 * Nothing runs beside a reader here, so a grace period is over when the present soft interrupt has
 * finished: callbacks run in RCU_SOFTIRQ, the last of each round.
 */
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { mightSleep } from '#kernel/lockdep.ts';
import type { Machine } from '#kernel/machine.ts';
import { RCU_SOFTIRQ, raiseSoftirq } from '#kernel/softirq.ts';

export class Rcu {
  callbacks: (() => void)[];

  constructor() {
    this.callbacks = [];
  }
}

/** @kernel rcu_read_lock include/linux/rcupdate.h */
export function rcuReadLock(machine: Machine): void {
  machine.cpu.rcuReadCount++;
}

/** @kernel rcu_read_unlock include/linux/rcupdate.h */
export function rcuReadUnlock(machine: Machine): void {
  const { cpu } = machine;
  if (DEBUG && cpu.rcuReadCount === 0) {
    throw new KernelBug('rcu-balance', 'rcu_read_unlock without rcu_read_lock');
  }
  cpu.rcuReadCount--;
}

/** Calls `fn` when no reader can hold what it frees. @kernel call_rcu include/linux/rcupdate.h */
export function callRcu(machine: Machine, fn: () => void): void {
  machine.rcu.callbacks.push(fn);
  raiseSoftirq(machine, RCU_SOFTIRQ);
}

/** Waits for the readers of now: there are none beside the caller. @kernel synchronize_rcu include/linux/rcupdate.h */
export function synchronizeRcu(machine: Machine): void {
  if (DEBUG) mightSleep(machine, 'synchronize_rcu');
}

/** Runs the callbacks that wait. @kernel rcu_core kernel/rcu/tree.c */
export function rcuCore(machine: Machine): void {
  const callbacks = machine.rcu.callbacks.splice(0);
  for (const fn of callbacks) fn();
}

/** Runs all callbacks, also those that they add. @kernel rcu_barrier kernel/rcu/tree.c */
export function rcuBarrier(machine: Machine): void {
  while (machine.rcu.callbacks.length > 0) rcuCore(machine);
}
