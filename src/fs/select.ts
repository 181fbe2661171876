/**
 * poll(), and waiting for a descriptor: how programs sleep. Counterpart of fs/select.c.
 *
 * A wake-up never runs a program from where it happens (an interrupt, another program's call): it
 * queues the program with the machine's tasks, and the host runs them as an event of its own.
 */
import { type File, fput, getFile, type PollTable } from '#kernel/sched/file.ts';
import { type Task, wakeTask } from '#kernel/sched/task.ts';
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
  if (key === 0 || (key & wait.events) !== 0) wait.queueRun();
}

function pollTimeout(wait: FdWait): number {
  wait.timedOut = true;
  wait.queueRun();
  return HRTIMER_NORESTART;
}

/** One program that waits for one descriptor. @kernel poll_wqueues include/linux/poll.h */
class FdWait implements PollTable {
  readonly task: Task;
  readonly file: File;
  readonly events: number;
  private readonly wake: (revents: number) => void;
  /** Nearly every file has one wait queue. */
  private entry: WaitQueueEntry | null;
  private more: WaitQueueEntry[] | null;
  private timer: Hrtimer<FdWait> | null;
  timedOut: boolean;
  /** Stands in the run queue. */
  private queued: boolean;
  private done: boolean;
  readonly cancel: () => void;

  constructor(task: Task, file: File, events: number, wake: (revents: number) => void) {
    this.task = task;
    this.file = getFile(file);
    this.events = events | POLLERR | POLLHUP;
    this.wake = wake;
    this.entry = null;
    this.more = null;
    this.timer = null;
    this.timedOut = false;
    this.queued = false;
    this.done = false;
    this.cancel = () => this.finish();
    task.onExit.add(this.cancel);
  }

  queue(wq: WaitQueueHead): void {
    const entry = new WaitQueueEntry(pollWake, this);
    addWaitQueue(wq, entry);
    if (this.entry === null) this.entry = entry;
    else {
      this.more ??= [];
      this.more.push(entry);
    }
  }

  start(timeoutNs: number): void {
    const mask = vfsPoll(this.file, this) & this.events;
    if (mask !== 0) this.queueRun();
    else if (timeoutNs === 0) pollTimeout(this);
    else if (timeoutNs > 0) {
      this.timer = new Hrtimer<FdWait>(this.task.machine, this, pollTimeout);
      hrtimerStart(this.timer, this.task.machine.nowNs + timeoutNs);
    }
  }

  queueRun(): void {
    if (this.queued || this.done) return;
    this.queued = true;
    wakeTask(this.task.machine, () => this.run());
  }

  /** The program's turn. What woke it may be gone again: then it sleeps on. */
  private run(): void {
    this.queued = false;
    if (this.done) return;
    const mask = vfsPoll(this.file, null) & this.events;
    if (mask === 0 && !this.timedOut) return;
    this.finish();
    this.wake(mask);
  }

  private finish(): void {
    if (this.done) return;
    this.done = true;
    if (this.entry !== null) removeWaitQueue(this.entry);
    if (this.more !== null) for (const entry of this.more) removeWaitQueue(entry);
    if (this.timer !== null) hrtimerCancel(this.timer);
    this.task.onExit.delete(this.cancel);
    fput(this.file);
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
  const wait = new FdWait(task, file, events, wake);
  wait.start(timeoutNs);
  return wait.cancel;
}

/** Calls `wake` after `ns`; returns what cancels it. @kernel hrtimer_nanosleep kernel/time/hrtimer.c */
export function nanosleep(task: Task, ns: number, wake: () => void): () => void {
  const { machine } = task;
  // A program that goes on after its exit sleeps for good.
  if (task.exitCode !== null) return () => {};
  let done = false;
  const timer = new Hrtimer<null>(machine, null, () => {
    wakeTask(machine, run);
    return HRTIMER_NORESTART;
  });
  const cancel = (): void => {
    done = true;
    hrtimerCancel(timer);
    task.onExit.delete(cancel);
  };
  const run = (): void => {
    if (done) return;
    cancel();
    wake();
  };
  task.onExit.add(cancel);
  hrtimerStart(timer, machine.nowNs + Math.max(ns, 0));
  return cancel;
}
