/**
 * The configuration lock. Counterpart of rtnl_lock() in net/core/rtnetlink.c; here since the
 * machine owns it.
 */
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { lockOrder, mightSleep } from '#kernel/lockdep.ts';
import type { Machine } from '#kernel/machine.ts';

export class Rtnl {
  held: boolean;
  /** Finishes the unregistrations that were begun under the lock; set by net/core/dev.ts. */
  runTodo: (() => void) | null;

  constructor() {
    this.held = false;
    this.runTodo = null;
  }
}

/** @kernel rtnl_lock net/core/rtnetlink.c */
export function rtnlLock(machine: Machine): void {
  if (DEBUG) {
    mightSleep(machine, 'rtnl_lock');
    lockOrder(machine, 'rtnl_lock', 'sk_lock');
  }
  if (machine.rtnl.held) throw new KernelBug('rtnl-recursion', 'rtnl_lock: held already');
  machine.rtnl.held = true;
}

/** @kernel rtnl_unlock net/core/rtnetlink.c */
export function rtnlUnlock(machine: Machine): void {
  if (!machine.rtnl.held) throw new KernelBug('rtnl-balance', 'rtnl_unlock: not held');
  machine.rtnl.held = false;
  machine.rtnl.runTodo?.();
}

/** @kernel rtnl_is_locked net/core/rtnetlink.c */
export function rtnlIsLocked(machine: Machine): boolean {
  return machine.rtnl.held;
}

/** @kernel ASSERT_RTNL include/linux/rtnetlink.h */
export function assertRtnl(machine: Machine): void {
  if (DEBUG && !machine.rtnl.held) {
    throw new KernelBug('rtnl-not-held', 'the configuration may only be changed under rtnl_lock');
  }
}
