/*
 * How a program sleeps: the system calls never do, so what would block in Linux is tried, waited for by
 * `waitFd`, and tried again. Everything that waits here can be interrupted, as by a signal.
 */

import { EAGAIN, EINTR } from '#uapi/errno.ts';
import { F_GETFL, O_NONBLOCK } from '#uapi/fcntl.ts';
import { POLLHUP, POLLIN, POLLRDHUP } from '#uapi/poll.ts';
import { SOL_SOCKET } from '#uapi/socket.ts';
import type { CancelWait, SyscallTable } from '#uapi/unistd.ts';

/** Takes the result of a call: >= 0, or a negative errno. */
export type Done = (result: number) => void;

/** A wait without end, for timeouts in ns. */
export const FOREVER = -1;

/** What a signal ends. */
interface Sleeper {
  /** Place among the sleepers of the program; -1: awake. */
  index: number;
  interrupt(): void;
}

function nobody(): void {}

/**
 * One sleep for a descriptor, and the call that is tried again after it, if there is one. They are used again
 * and again, so that a call that has to wait makes neither closures nor garbage here.
 */
class Sleep implements Sleeper {
  private readonly waits: Waits;
  private readonly sys: SyscallTable;
  private fd: number;
  private events: number;
  /** When the timeout comes; Infinity: never. */
  private deadline: number;
  private attempt: (() => number) | null;
  private done: Done;
  private cancel: CancelWait | null;
  private readonly woken: (revents: number) => void;
  index: number;

  constructor(waits: Waits, sys: SyscallTable) {
    this.waits = waits;
    this.sys = sys;
    this.fd = -1;
    this.events = 0;
    this.deadline = 0.5;
    this.attempt = null;
    this.done = nobody;
    this.cancel = null;
    this.woken = (revents) => this.wake(revents);
    this.index = -1;
  }

  start(
    fd: number,
    events: number,
    timeoutNs: number,
    attempt: (() => number) | null,
    done: Done,
  ): void {
    this.fd = fd;
    this.events = events;
    this.deadline =
      timeoutNs < 0 ? Number.POSITIVE_INFINITY : this.sys.monotonic() + Math.max(0, timeoutNs);
    this.attempt = attempt;
    this.done = done;
    this.waits.add(this);
    this.sleep(timeoutNs);
  }

  private sleep(timeoutNs: number): void {
    const wait = this.sys.waitFd(this.fd, this.events, timeoutNs, this.woken);
    if (typeof wait === 'number') this.end(wait);
    else this.cancel = wait;
  }

  private wake(revents: number): void {
    this.cancel = null;
    const { attempt } = this;
    if (attempt === null || revents < 0) {
      this.end(revents);
      return;
    }
    const result = attempt();
    // Who sleeps in a receive of what is shut down gets 0, as at the end of a stream.
    const shut = (this.events & POLLIN) !== 0 ? POLLRDHUP | POLLHUP : 0;
    if (result === -EAGAIN && (revents & shut) !== 0) this.end(0);
    else if (result !== -EAGAIN || revents === 0) this.end(result);
    else if (this.deadline === Number.POSITIVE_INFINITY) this.sleep(FOREVER);
    else this.sleep(Math.max(0, this.deadline - this.sys.monotonic()));
  }

  interrupt(): void {
    this.cancel?.();
    this.end(-EINTR);
  }

  private end(result: number): void {
    const { done } = this;
    this.attempt = null;
    this.done = nobody;
    this.cancel = null;
    this.waits.remove(this);
    this.waits.awake(this);
    done(result);
  }
}

/** The sleeps of one program. */
export class Waits {
  private readonly sys: SyscallTable;
  private readonly sleepers: Sleeper[];
  /** Sleeps that are over, for the next ones. */
  private readonly free: Sleep[];
  /** Where a socket's timeout is read into. */
  private readonly timeval: Uint8Array;
  private readonly timevalView: DataView;

  constructor(sys: SyscallTable) {
    this.sys = sys;
    this.sleepers = [];
    this.free = [];
    this.timeval = new Uint8Array(16);
    this.timevalView = new DataView(this.timeval.buffer);
  }

  /** Ends every sleep with -EINTR. */
  interrupt(): void {
    for (const sleeper of [...this.sleepers]) if (sleeper.index >= 0) sleeper.interrupt();
  }

  add(sleeper: Sleeper): void {
    sleeper.index = this.sleepers.length;
    this.sleepers.push(sleeper);
  }

  remove(sleeper: Sleeper): void {
    const last = this.sleepers.pop() as Sleeper;
    if (last !== sleeper) {
      this.sleepers[sleeper.index] = last;
      last.index = sleeper.index;
    }
    sleeper.index = -1;
  }

  awake(sleep: Sleep): void {
    this.free.push(sleep);
  }

  /** Sleeps until `fd` is ready; `done` gets the poll bits, 0 after the timeout, or a negative errno. */
  fd(fd: number, events: number, timeoutNs: number, done: Done): void {
    const sleep = this.free.pop() ?? new Sleep(this, this.sys);
    sleep.start(fd, events, timeoutNs, null, done);
  }

  /** Sleeps for a time; `done` gets 0, or -EINTR. */
  time(ns: number, done: Done): void {
    const sleeper: Sleeper = {
      index: -1,
      interrupt: () => {
        cancel();
        finish(-EINTR);
      },
    };
    const finish = (result: number): void => {
      this.remove(sleeper);
      done(result);
    };
    this.add(sleeper);
    const cancel = this.sys.nanosleep(Math.max(0, ns), () => finish(0));
  }

  /** Closes a descriptor, and sleeps as long as it lingers; `done` gets 0 or -EBADF: no signal undoes a close. */
  close(fd: number, done: Done): void {
    const sleeper: Sleeper = {
      index: -1,
      interrupt: () => {
        cancel();
        finish();
      },
    };
    const finish = (): void => {
      this.remove(sleeper);
      done(0);
    };
    const wait = this.sys.closeWait(fd, finish);
    if (typeof wait === 'number') {
      done(wait);
      return;
    }
    const cancel = wait;
    this.add(sleeper);
  }

  /** Sleeps until any of several descriptors is ready or the time is over; `done` gets 0 or -EINTR. */
  any(fds: readonly { fd: number; events: number }[], timeoutNs: number, done: Done): void {
    const cancels: CancelWait[] = [];
    let finished = false;
    const sleeper: Sleeper = { index: -1, interrupt: () => finish(-EINTR) };
    const finish = (result: number): void => {
      if (finished) return;
      finished = true;
      this.remove(sleeper);
      for (const cancel of cancels) cancel();
      done(result);
    };
    this.add(sleeper);
    for (const { fd, events } of fds) {
      if (fd < 0) continue;
      const wait = this.sys.waitFd(fd, events, FOREVER, () => finish(0));
      if (typeof wait !== 'number') cancels.push(wait);
      else if (!finished) finish(0);
      if (finished) break;
    }
    if (!finished && timeoutNs >= 0) {
      cancels.push(this.sys.nanosleep(timeoutNs, () => finish(0)));
    }
    if (finished) for (const cancel of cancels) cancel();
  }

  /** True when a call on `fd` may sleep: O_NONBLOCK is not set. */
  mayBlock(fd: number): boolean {
    const flags = this.sys.fcntl(fd, F_GETFL, 0);
    return flags >= 0 && (flags & O_NONBLOCK) === 0;
  }

  /** SO_RCVTIMEO or SO_SNDTIMEO of a socket in ns; FOREVER for none, and for what is no socket. */
  timeoutOf(fd: number, optname: number): number {
    if (this.sys.getsockopt(fd, SOL_SOCKET, optname, this.timeval) < 16) return FOREVER;
    const v = this.timevalView;
    // Two 64-bit fields: seconds and microseconds.
    const sec = v.getUint32(0, true) + v.getInt32(4, true) * 2 ** 32;
    const usec = v.getUint32(8, true);
    return sec === 0 && usec === 0 ? FOREVER : sec * 1e9 + usec * 1e3;
  }

  /**
   * Tries a call until it does not ask to wait, sleeping in between as a blocking descriptor does. `done` may
   * be called before this returns.
   * @param events poll bits to wait for
   * @param optname the option that bounds the wait: SO_RCVTIMEO or SO_SNDTIMEO
   */
  retry(fd: number, events: number, optname: number, attempt: () => number, done: Done): void {
    const first = attempt();
    if (first === -EAGAIN) this.block(fd, events, optname, attempt, done);
    else done(first);
  }

  /** The same for a call that has just said -EAGAIN: sleeps first, unless the descriptor may not block. */
  block(fd: number, events: number, optname: number, attempt: () => number, done: Done): void {
    if (!this.mayBlock(fd)) {
      done(-EAGAIN);
      return;
    }
    const sleep = this.free.pop() ?? new Sleep(this, this.sys);
    const wanted = (events & POLLIN) !== 0 ? events | POLLRDHUP : events;
    sleep.start(fd, wanted, this.timeoutOf(fd, optname), attempt, done);
  }
}
