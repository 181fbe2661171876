/**
 * poll(), and waiting for a descriptor: how programs sleep. Counterpart of fs/select.c.
 *
 * A wake-up never runs a program from where it happens (an interrupt, another program's call): it
 * queues the program with the machine's tasks, and the host runs them as an event of its own.
 */
import type { Machine } from '#kernel/machine.ts';
import { type File, fput, getFile, type PollTable } from '#kernel/sched/file.ts';
import { addWait, removeWait, type Task, type Wait, wakeTask } from '#kernel/sched/task.ts';
import { HRTIMER_NORESTART, Hrtimer, hrtimerCancel, hrtimerStart } from '#kernel/time/hrtimer.ts';
import { addWaitQueue, removeWaitQueue, WaitQueueEntry, type WaitQueueHead } from '#kernel/wait.ts';
import { EBADF, EINVAL } from '#uapi/errno.ts';
import { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLRDNORM, POLLWRNORM } from '#uapi/poll.ts';

/** What a file without a poll operation is: always ready. @kernel DEFAULT_POLLMASK include/linux/poll.h */
const DEFAULT_POLLMASK = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;

/** @kernel vfs_poll include/linux/poll.h */
export function vfsPoll(file: File, pt: PollTable | null): number {
  const { poll } = file.fOp;
  return poll === null ? DEFAULT_POLLMASK : poll(file, pt);
}

/** @kernel do_poll fs/select.c */
export function doPoll(
  task: Task,
  fds: Int32Array,
  events: Int16Array,
  revents: Int16Array,
): number {
  if (events.length < fds.length || revents.length < fds.length) return -EINVAL;
  if (fds.length > task.files.rlimit) return -EINVAL;
  let ready = 0;
  for (let i = 0; i < fds.length; i++) {
    const fd = fds[i] as number;
    let mask = 0;
    if (fd >= 0) {
      const file = task.files.get(fd);
      const wanted = (events[i] as number) | POLLERR | POLLHUP;
      mask = file === null ? POLLNVAL : vfsPoll(file, null) & wanted;
    }
    revents[i] = mask;
    if (mask !== 0) ready++;
  }
  return ready;
}

function pollWake(entry: WaitQueueEntry, key: number): void {
  const wait = entry.private as FdWait;
  if (key === 0 || (key & wait.events) !== 0) wait.wakeUp();
}

function pollTimeout(wait: FdWait): number {
  wait.timedOut = true;
  wait.wakeUp();
  return HRTIMER_NORESTART;
}

function noWake(): void {}

/**
 * One program that waits for one descriptor. They go back to a pool: a program that talks to another
 * sleeps twice for each word, so what a sleep allocates is what a conversation costs.
 *
 * `file` is set from start() to its end. After that it may still stand in the run queue; only when it
 * has left that too does it go back to the pool.
 * @kernel poll_wqueues include/linux/poll.h
 */
class FdWait implements PollTable, Wait {
  private readonly machine: Machine;
  private task: Task | null;
  private file: File | null;
  events: number;
  private wake: (revents: number) => void;
  /** Nearly every file has one wait queue. */
  private readonly entry: WaitQueueEntry;
  private more: WaitQueueEntry[] | null;
  private timer: Hrtimer<FdWait> | null;
  timedOut: boolean;
  /** How often it was started: a call for an earlier sleep to be cancelled does not touch a later one. */
  private turn: number;
  nextWait: Wait | null;
  prevWait: Wait | null;
  nextRun: Wait | null;
  queued: boolean;

  constructor(machine: Machine) {
    this.machine = machine;
    this.task = null;
    this.file = null;
    this.events = 0;
    this.wake = noWake;
    this.entry = new WaitQueueEntry(pollWake, this);
    this.more = null;
    this.timer = null;
    this.timedOut = false;
    this.turn = 0;
    this.nextWait = null;
    this.prevWait = null;
    this.nextRun = null;
    this.queued = false;
  }

  queue(wq: WaitQueueHead): void {
    if (this.entry.head === null) {
      addWaitQueue(wq, this.entry);
      return;
    }
    const entry = new WaitQueueEntry(pollWake, this);
    addWaitQueue(wq, entry);
    this.more ??= [];
    this.more.push(entry);
  }

  /** Begins the sleep; returns what cancels it. */
  start(
    task: Task,
    file: File,
    events: number,
    timeoutNs: number,
    wake: (revents: number) => void,
  ): () => void {
    const turn = ++this.turn;
    this.task = task;
    this.file = getFile(file);
    this.events = events | POLLERR | POLLHUP;
    this.wake = wake;
    this.timedOut = false;
    addWait(task, this);
    const mask = vfsPoll(file, this) & this.events;
    if (mask !== 0) this.wakeUp();
    else if (timeoutNs === 0) pollTimeout(this);
    else if (timeoutNs > 0) {
      this.timer = new Hrtimer<FdWait>(this.machine, this, pollTimeout);
      hrtimerStart(this.timer, this.machine.nowNs + timeoutNs);
    }
    return () => {
      if (this.turn === turn) this.cancel();
    };
  }

  wakeUp(): void {
    wakeTask(this.machine, this);
  }

  /** The program's turn. What woke it may be gone again: then it sleeps on. */
  run(): void {
    const { file, wake } = this;
    if (file === null) {
      this.machine.tasks.freeWaits.push(this);
      return;
    }
    const mask = vfsPoll(file, null) & this.events;
    if (mask === 0 && !this.timedOut) return;
    this.cancel();
    wake(mask);
  }

  cancel(): void {
    const { file, task, entry } = this;
    if (file === null || task === null) return;
    this.file = null;
    this.task = null;
    this.wake = noWake;
    removeWaitQueue(entry);
    if (this.more !== null) {
      for (const other of this.more) removeWaitQueue(other);
      this.more = null;
    }
    if (this.timer !== null) {
      hrtimerCancel(this.timer);
      this.timer = null;
    }
    removeWait(task, this);
    // The file may have been closed meanwhile: then its end is this task's.
    this.machine.tasks.current = task;
    fput(file);
    if (!this.queued) this.machine.tasks.freeWaits.push(this);
  }
}

/**
 * Calls `wake` once, when any of `events` is ready on `fd` or after `timeoutNs` (< 0: never).
 * Returns what cancels the wait, or -EBADF.
 */
export function waitFd(
  task: Task,
  fd: number,
  events: number,
  timeoutNs: number,
  wake: (revents: number) => void,
): (() => void) | number {
  const file = task.files.get(fd);
  if (file === null) return -EBADF;
  const { tasks } = task.machine;
  const wait = (tasks.freeWaits.pop() as FdWait | undefined) ?? new FdWait(task.machine);
  return wait.start(task, file, events, timeoutNs, wake);
}

/** One program that sleeps for a time. @kernel hrtimer_sleeper include/linux/hrtimer.h */
class TimeWait implements Wait {
  private readonly task: Task;
  private readonly wake: () => void;
  private readonly timer: Hrtimer<TimeWait>;
  private done: boolean;
  nextWait: Wait | null;
  prevWait: Wait | null;
  nextRun: Wait | null;
  queued: boolean;

  constructor(task: Task, wake: () => void) {
    this.task = task;
    this.wake = wake;
    this.timer = new Hrtimer<TimeWait>(task.machine, this, hrtimerWakeup);
    this.done = false;
    this.nextWait = null;
    this.prevWait = null;
    this.nextRun = null;
    this.queued = false;
  }

  start(ns: number): void {
    addWait(this.task, this);
    hrtimerStart(this.timer, this.task.machine.nowNs + Math.max(ns, 0));
  }

  wakeUp(): void {
    wakeTask(this.task.machine, this);
  }

  run(): void {
    if (this.done) return;
    this.cancel();
    this.wake();
  }

  cancel(): void {
    if (this.done) return;
    this.done = true;
    hrtimerCancel(this.timer);
    removeWait(this.task, this);
  }
}

/** @kernel hrtimer_wakeup kernel/time/hrtimer.c */
function hrtimerWakeup(wait: TimeWait): number {
  wait.wakeUp();
  return HRTIMER_NORESTART;
}

/** Calls `wake` after `ns`; returns what cancels it. @kernel hrtimer_nanosleep kernel/time/hrtimer.c */
export function nanosleep(task: Task, ns: number, wake: () => void): () => void {
  // A program that goes on after its exit sleeps for good.
  if (task.exitCode !== null) return () => {};
  const wait = new TimeWait(task, wake);
  wait.start(ns);
  return () => wait.cancel();
}
