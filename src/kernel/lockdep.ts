/**
 * Rules about locks and contexts, checked in debug builds. Counterpart of kernel/locking/lockdep.c
 * and of might_sleep(). One thread needs no lock to protect memory; these are the rules that the
 * locks express. Call sites ask `DEBUG` first, so that production builds pay nothing.
 */
import { KernelBug } from '#kernel/bug.ts';
import { inHardirq, inInterrupt } from '#kernel/cpu.ts';
import type { Machine } from '#kernel/machine.ts';

/** The present context takes a lock of this class. */
export function lockAcquire(machine: Machine, lockClass: string): void {
  const { cpu } = machine;
  if (inHardirq(cpu)) {
    throw new KernelBug('lock-context', `${lockClass} taken in a hard interrupt`);
  }
  cpu.heldLocks.push(lockClass);
}

/** The present context releases a lock of this class. */
export function lockRelease(machine: Machine, lockClass: string): void {
  const { heldLocks } = machine.cpu;
  const at = heldLocks.lastIndexOf(lockClass);
  if (at < 0) throw new KernelBug('lock-balance', `${lockClass} released but not held`);
  heldLocks.splice(at, 1);
}

/**
 * A lock that has to be taken first, if at all: `inner` must not be held yet. The other order could
 * meet a task that does it right, and both would wait for ever.
 */
export function lockOrder(machine: Machine, lockClass: string, inner: string): void {
  if (lockIsHeld(machine, inner)) {
    throw new KernelBug('lock-order', `${lockClass} taken with ${inner} held`);
  }
}

/** Is a lock of this class held here? @kernel lockdep_is_held include/linux/lockdep.h */
export function lockIsHeld(machine: Machine, lockClass: string): boolean {
  return machine.cpu.heldLocks.includes(lockClass);
}

/** @kernel lockdep_assert_held include/linux/lockdep.h */
export function lockdepAssertHeld(machine: Machine, lockClass: string): void {
  if (!lockIsHeld(machine, lockClass)) {
    throw new KernelBug('lock-not-held', `${lockClass} must be held here`);
  }
}

/** A system call is over, or the next begins: nothing may be held. @kernel lockdep_sys_exit kernel/locking/lockdep.c */
export function lockdepSysExit(machine: Machine): void {
  const { cpu } = machine;
  const held = [...cpu.heldLocks];
  if (machine.rtnl.held) held.push('rtnl_lock');
  if (cpu.bhDisableCount > 0) held.push('local_bh_disable');
  if (cpu.rcuReadCount > 0) held.push('rcu_read_lock');
  if (held.length > 0) {
    throw new KernelBug('lock-leak', `returned to user space with ${held.join(', ')} held`);
  }
}

/** The code below may sleep, so it must not run in an interrupt or an RCU read section. @kernel might_sleep include/linux/kernel.h */
export function mightSleep(machine: Machine, where: string): void {
  const { cpu } = machine;
  if (inInterrupt(cpu)) {
    throw new KernelBug('wrong-context', `${where} may sleep, but runs in an interrupt`);
  }
  if (cpu.rcuReadCount > 0) {
    throw new KernelBug('wrong-context', `${where} may sleep, but runs in an RCU read section`);
  }
}

/** The code below must run in a soft interrupt, or with them disabled. @kernel lockdep_assert_in_softirq include/linux/lockdep.h */
export function assertInSoftirq(machine: Machine, where: string): void {
  if (!inInterrupt(machine.cpu)) {
    throw new KernelBug('wrong-context', `${where} must run in a soft interrupt`);
  }
}

/** The code below must run in a task. */
export function assertInTask(machine: Machine, where: string): void {
  if (inInterrupt(machine.cpu)) {
    throw new KernelBug('wrong-context', `${where} must run in a task`);
  }
}
