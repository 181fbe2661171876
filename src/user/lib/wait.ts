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

/** The sleeps of one program. */
export class Waits {
  private readonly sys: SyscallTable;
  private readonly sleepers: Set<() => void>;
  /** Where a socket's timeout is read into. */
  private readonly timeval: Uint8Array;
  private readonly timevalView: DataView;

  constructor(sys: SyscallTable) {
    this.sys = sys;
    this.sleepers = new Set();
    this.timeval = new Uint8Array(16);
    this.timevalView = new DataView(this.timeval.buffer);
  }

  /** Ends every sleep with -EINTR. */
  interrupt(): void {
    for (const wake of [...this.sleepers]) wake();
  }

  /** Sleeps until `fd` is ready; `done` gets the poll bits, 0 after the timeout, or a negative errno. */
  fd(fd: number, events: number, timeoutNs: number, done: Done): void {
    let finished = false;
    let cancel: CancelWait | null = null;
    const finish = (result: number): void => {
      if (finished) return;
      finished = true;
      this.sleepers.delete(interrupted);
      done(result);
    };
    const interrupted = (): void => {
      cancel?.();
      finish(-EINTR);
    };
    this.sleepers.add(interrupted);
    const wait = this.sys.waitFd(fd, events, timeoutNs, finish);
    if (typeof wait === 'number') finish(wait);
    else cancel = wait;
  }

  /** Sleeps for a time; `done` gets 0, or -EINTR. */
  time(ns: number, done: Done): void {
    let finished = false;
    const finish = (result: number): void => {
      if (finished) return;
      finished = true;
      this.sleepers.delete(interrupted);
      done(result);
    };
    const interrupted = (): void => {
      cancel();
      finish(-EINTR);
    };
    this.sleepers.add(interrupted);
    const cancel = this.sys.nanosleep(Math.max(0, ns), () => finish(0));
  }

  /** Sleeps until any of several descriptors is ready or the time is over; `done` gets 0 or -EINTR. */
  any(fds: readonly { fd: number; events: number }[], timeoutNs: number, done: Done): void {
    const cancels: CancelWait[] = [];
    let finished = false;
    const finish = (result: number): void => {
      if (finished) return;
      finished = true;
      this.sleepers.delete(interrupted);
      for (const cancel of cancels) cancel();
      done(result);
    };
    const interrupted = (): void => finish(-EINTR);
    this.sleepers.add(interrupted);
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
    if (first !== -EAGAIN || !this.mayBlock(fd)) {
      done(first);
      return;
    }
    const shut = (events & POLLIN) !== 0 ? POLLRDHUP | POLLHUP : 0;
    const timeoutNs = this.timeoutOf(fd, optname);
    const deadline = timeoutNs < 0 ? Number.POSITIVE_INFINITY : this.sys.monotonic() + timeoutNs;
    const sleep = (): void => {
      const left = timeoutNs < 0 ? FOREVER : Math.max(0, deadline - this.sys.monotonic());
      this.fd(fd, (events & POLLIN) !== 0 ? events | POLLRDHUP : events, left, woken);
    };
    const woken = (revents: number): void => {
      if (revents < 0) {
        done(revents);
        return;
      }
      const result = attempt();
      // Who sleeps in a receive of what is shut down gets 0, as at the end of a stream.
      if (result === -EAGAIN && (revents & shut) !== 0) done(0);
      else if (result === -EAGAIN && revents !== 0) sleep();
      else done(result);
    };
    sleep();
  }
}
