/** Work in task context, as soon as the machine is not busy. Counterpart of kernel/workqueue.c. */
import type { Machine } from '#kernel/machine.ts';
import { modTimer, TimerList, timerDelete, timerPending } from '#kernel/time/timer.ts';

/** @kernel work_struct include/linux/workqueue_types.h */
export class WorkStruct {
  readonly machine: Machine;
  readonly func: () => void;
  pending: boolean;

  constructor(machine: Machine, func: () => void) {
    this.machine = machine;
    this.func = func;
    this.pending = false;
  }
}

/** The queue of a machine. @kernel workqueue_struct kernel/workqueue.c */
export class WorkQueue {
  readonly items: WorkStruct[];

  constructor() {
    this.items = [];
  }
}

/** Queues the work; false if it waits already. @kernel schedule_work include/linux/workqueue.h */
export function scheduleWork(work: WorkStruct): boolean {
  if (work.pending) return false;
  work.pending = true;
  work.machine.works.items.push(work);
  work.machine.host.kick(work.machine);
  return true;
}

/** @kernel cancel_work_sync kernel/workqueue.c */
export function cancelWorkSync(work: WorkStruct): boolean {
  if (!work.pending) return false;
  work.pending = false;
  const { items } = work.machine.works;
  items.splice(items.indexOf(work), 1);
  return true;
}

/** Runs what waits, called by the host in task context. @kernel process_scheduled_works kernel/workqueue.c */
export function runWorks(machine: Machine): void {
  const { items } = machine.works;
  for (let work = items.shift(); work !== undefined; work = items.shift()) {
    work.pending = false;
    work.func();
  }
}

/** @kernel delayed_work include/linux/workqueue.h */
export class DelayedWork {
  readonly work: WorkStruct;
  readonly timer: TimerList<WorkStruct>;

  constructor(machine: Machine, func: () => void) {
    this.work = new WorkStruct(machine, func);
    this.timer = new TimerList(machine, this.work, scheduleWork);
  }
}

/** Queues the work after `delay` jiffies; false if it waits already. @kernel schedule_delayed_work include/linux/workqueue.h */
export function scheduleDelayedWork(dwork: DelayedWork, delay: number): boolean {
  if (dwork.work.pending || timerPending(dwork.timer)) return false;
  if (delay === 0) return scheduleWork(dwork.work);
  modTimer(dwork.timer, dwork.work.machine.jiffies + delay);
  return true;
}

/** Moves the work to `delay` jiffies from now, whether it waits or not. @kernel mod_delayed_work include/linux/workqueue.h */
export function modDelayedWork(dwork: DelayedWork, delay: number): boolean {
  const pending = cancelDelayedWorkSync(dwork);
  scheduleDelayedWork(dwork, delay);
  return pending;
}

/** @kernel cancel_delayed_work_sync kernel/workqueue.c */
export function cancelDelayedWorkSync(dwork: DelayedWork): boolean {
  const armed = timerDelete(dwork.timer);
  return cancelWorkSync(dwork.work) || armed;
}
