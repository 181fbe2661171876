import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { doFcntl, ksysDup, ksysDup3 } from '#fs/fcntl.ts';
import { doPipe2, PIPE_BUF } from '#fs/pipe.ts';
import { ksysRead, ksysWrite, sysIoctl } from '#fs/read_write.ts';
import { doPoll, nanosleep, waitFd } from '#fs/select.ts';
import { BareMachine } from '#fs/testing/bare_machine.ts';
import { EAGAIN, EBADF, EBUSY, EINVAL, EMFILE, ENOTTY, EPIPE } from '#uapi/errno.ts';
import {
  F_DUPFD,
  F_DUPFD_CLOEXEC,
  F_DUPFD_QUERY,
  F_GETFD,
  F_GETFL,
  F_GETPIPE_SZ,
  F_SETFD,
  F_SETFL,
  F_SETPIPE_SZ,
  FD_CLOEXEC,
  O_CLOEXEC,
  O_NONBLOCK,
  O_WRONLY,
} from '#uapi/fcntl.ts';
import { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLRDNORM, POLLWRNORM } from '#uapi/poll.ts';
import { FIONBIO, FIONREAD } from '#uapi/sockios.ts';

let m: BareMachine;

beforeEach(() => {
  m = new BareMachine();
});

afterEach(() => {
  expect(m.end()).toEqual({});
});

function pipe(flags = 0): [number, number] {
  const fds = new Int32Array(2);
  expect(doPipe2(m.task, fds, flags)).toBe(0);
  return [fds[0] as number, fds[1] as number];
}

function pollOf(fd: number): number {
  const revents = new Int16Array(1);
  doPoll(m.task, Int32Array.of(fd), Int16Array.of(POLLIN | POLLOUT), revents);
  return revents[0] as number;
}

describe('pipes', () => {
  it('carry bytes in order, whatever the sizes of the calls', () => {
    const [r, w] = pipe();
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 9000 }), { maxLength: 12 }), (chunks) => {
        const sent: number[] = [];
        const got: number[] = [];
        const buf = new Uint8Array(5000);
        const drain = (): void => {
          for (;;) {
            const n = ksysRead(m.task, r, buf);
            if (n < 0) break;
            got.push(...buf.subarray(0, n));
          }
        };
        for (const chunk of chunks) {
          let n = ksysWrite(m.task, w, chunk);
          if (n === -EAGAIN) {
            drain();
            n = ksysWrite(m.task, w, chunk);
          }
          sent.push(...chunk.subarray(0, Math.max(n, 0)));
        }
        drain();
        expect(got).toEqual(sent);
      }),
      { numRuns: 30 },
    );
  });

  it('take PIPE_BUF bytes whole or not at all, more in part', () => {
    const [, w] = pipe();
    expect(ksysWrite(m.task, w, new Uint8Array(65536 - 100))).toBe(65436);
    expect(ksysWrite(m.task, w, new Uint8Array(PIPE_BUF))).toBe(-EAGAIN);
    expect(ksysWrite(m.task, w, new Uint8Array(PIPE_BUF + 1))).toBe(100);
    expect(pollOf(w)).toBe(0);
  });

  it('tell the end of the other side', () => {
    const [r, w] = pipe();
    const buf = new Uint8Array(4);
    expect(ksysRead(m.task, r, buf)).toBe(-EAGAIN);
    expect(ksysWrite(m.task, w, Uint8Array.of(1, 2))).toBe(2);
    m.task.files.close(w);
    expect(pollOf(r) & POLLHUP).toBe(POLLHUP);
    expect(ksysRead(m.task, r, buf)).toBe(2);
    expect(ksysRead(m.task, r, buf)).toBe(0);
    const [r2, w2] = pipe();
    m.task.files.close(r2);
    expect(ksysWrite(m.task, w2, buf)).toBe(-EPIPE);
    expect(pollOf(w2) & POLLERR).toBe(POLLERR);
  });

  it('know their ends, their size and what they hold', () => {
    const [r, w] = pipe(O_NONBLOCK | O_CLOEXEC);
    expect(ksysRead(m.task, w, new Uint8Array(1))).toBe(-EBADF);
    expect(ksysWrite(m.task, r, new Uint8Array(1))).toBe(-EBADF);
    expect(ksysWrite(m.task, w, new Uint8Array(5000))).toBe(5000);
    const count = new Uint8Array(4);
    expect(sysIoctl(m.task, r, FIONREAD, count)).toBe(0);
    expect(new DataView(count.buffer).getInt32(0, true)).toBe(5000);
    expect(sysIoctl(m.task, r, 0x1234, count)).toBe(-ENOTTY);
    expect(doFcntl(m.task, r, F_GETPIPE_SZ, 0)).toBe(65536);
    expect(doFcntl(m.task, r, F_SETPIPE_SZ, 4000)).toBe(-EBUSY);
    expect(doFcntl(m.task, r, F_SETPIPE_SZ, 5000)).toBe(8192);
    expect(doFcntl(m.task, r, F_SETPIPE_SZ, 2 ** 30)).toBe(-EINVAL);
    expect(ksysRead(m.task, r, new Uint8Array(9000))).toBe(5000);
    expect(doPipe2(m.task, new Int32Array(2), 1)).toBe(-EINVAL);
  });
});

describe('descriptors', () => {
  it('are the lowest that are free', () => {
    const [r, w] = pipe();
    expect([r, w]).toEqual([0, 1]);
    expect(ksysDup(m.task, r)).toBe(2);
    m.task.files.close(r);
    expect(ksysDup(m.task, w)).toBe(0);
    expect(doFcntl(m.task, w, F_DUPFD, 7)).toBe(7);
    expect(doFcntl(m.task, w, F_DUPFD, 7)).toBe(8);
  });

  it('close their file with the last one', () => {
    const [r, w] = pipe();
    const w2 = ksysDup(m.task, w);
    m.task.files.close(w);
    expect(ksysRead(m.task, r, new Uint8Array(1))).toBe(-EAGAIN);
    expect(ksysDup3(m.task, r, w2, 0)).toBe(w2);
    expect(ksysRead(m.task, r, new Uint8Array(1))).toBe(0);
  });

  it('refuse what is none, as Linux does', () => {
    const [r] = pipe();
    expect(ksysDup(m.task, 99)).toBe(-EBADF);
    expect(ksysDup(m.task, -1)).toBe(-EBADF);
    expect(m.task.files.close(99)).toBe(-EBADF);
    expect(ksysDup3(m.task, r, r, 0)).toBe(-EINVAL);
    expect(ksysDup3(m.task, r, 5, 1)).toBe(-EINVAL);
    expect(ksysDup3(m.task, r, 1 << 20, 0)).toBe(-EBADF);
    expect(ksysDup3(m.task, 99, 5, 0)).toBe(-EBADF);
    expect(ksysRead(m.task, 99, new Uint8Array(1))).toBe(-EBADF);
    expect(doFcntl(m.task, 99, F_GETFD, 0)).toBe(-EBADF);
    expect(doFcntl(m.task, r, 777, 0)).toBe(-EINVAL);
    expect(doFcntl(m.task, r, F_DUPFD, -1)).toBe(-EINVAL);
    expect(doFcntl(m.task, r, F_DUPFD, 1024)).toBe(-EINVAL);
    expect(pollOf(99)).toBe(POLLNVAL);
    m.task.files.rlimit = 2;
    expect(ksysDup(m.task, r)).toBe(-EMFILE);
    expect(doPipe2(m.task, new Int32Array(2), 0)).toBe(-EMFILE);
  });

  it('have flags of their own and share those of the file', () => {
    const [r, w] = pipe();
    expect(doFcntl(m.task, r, F_SETFD, FD_CLOEXEC)).toBe(0);
    expect(doFcntl(m.task, r, F_GETFD, 0)).toBe(FD_CLOEXEC);
    const other = doFcntl(m.task, w, F_DUPFD_CLOEXEC, 0);
    expect(doFcntl(m.task, other, F_GETFD, 0)).toBe(FD_CLOEXEC);
    expect(doFcntl(m.task, w, F_GETFD, 0)).toBe(0);
    expect(doFcntl(m.task, w, F_SETFL, O_NONBLOCK)).toBe(0);
    expect(doFcntl(m.task, other, F_GETFL, 0)).toBe(O_WRONLY | O_NONBLOCK);
    expect(sysIoctl(m.task, other, FIONBIO, new Uint8Array(4))).toBe(0);
    expect(doFcntl(m.task, w, F_GETFL, 0)).toBe(O_WRONLY);
    expect(doFcntl(m.task, w, F_DUPFD_QUERY, other)).toBe(1);
    expect(doFcntl(m.task, w, F_DUPFD_QUERY, r)).toBe(0);
  });
});

describe('waitFd', () => {
  it('wakes from the run queue, once, with what is ready', () => {
    const [r, w] = pipe();
    const woken: number[] = [];
    waitFd(m.task, r, POLLIN, -1, (revents) => woken.push(revents));
    m.settle();
    expect(woken).toEqual([]);
    ksysWrite(m.task, w, Uint8Array.of(1));
    expect(woken).toEqual([]);
    expect(m.host.kicks).toBeGreaterThan(0);
    m.settle();
    expect(woken).toEqual([POLLIN]);
    ksysWrite(m.task, w, Uint8Array.of(1));
    m.settle();
    expect(woken).toEqual([POLLIN]);
  });

  it('is asynchronous also when the descriptor is ready at once', () => {
    const [, w] = pipe();
    const woken: number[] = [];
    waitFd(m.task, w, POLLOUT | POLLWRNORM, -1, (revents) => woken.push(revents));
    expect(woken).toEqual([]);
    m.settle();
    expect(woken).toEqual([POLLOUT | POLLWRNORM]);
  });

  it('sleeps on when what woke it is gone again', () => {
    const [r, w] = pipe();
    const woken: number[] = [];
    waitFd(m.task, r, POLLIN | POLLRDNORM, -1, (revents) => woken.push(revents));
    ksysWrite(m.task, w, Uint8Array.of(1));
    ksysRead(m.task, r, new Uint8Array(1));
    m.settle();
    expect(woken).toEqual([]);
    ksysWrite(m.task, w, Uint8Array.of(1));
    m.settle();
    expect(woken).toEqual([POLLIN | POLLRDNORM]);
  });

  it('times out with no event, to the nanosecond', () => {
    const [r] = pipe();
    const woken: number[] = [];
    waitFd(m.task, r, POLLIN, 1500, (revents) => woken.push(revents));
    m.advance(1499);
    expect(woken).toEqual([]);
    m.advance(1);
    expect(woken).toEqual([0]);
    waitFd(m.task, r, POLLIN, 0, (revents) => woken.push(revents));
    m.settle();
    expect(woken).toEqual([0, 0]);
  });

  it('can be cancelled, ends with the task, and tells the hang-up unasked', () => {
    const [r, w] = pipe();
    const woken: number[] = [];
    const cancel = waitFd(m.task, r, POLLIN, 10, (revents) => woken.push(revents));
    expect(typeof cancel).toBe('function');
    if (typeof cancel !== 'number') cancel();
    m.advance(100);
    expect(woken).toEqual([]);
    expect(waitFd(m.task, 99, POLLIN, -1, () => {})).toBe(-EBADF);
    waitFd(m.task, r, 0, -1, (revents) => woken.push(revents));
    m.task.files.close(w);
    m.settle();
    expect(woken).toEqual([POLLHUP]);
    // Left waiting: the exit of the task takes it back.
    waitFd(m.task, r, POLLOUT, 1e12, () => woken.push(-1));
    nanosleep(m.task, 1e12, () => woken.push(-1));
  });
});

describe('sleeps that are over', () => {
  it('are not ended again by who still holds their cancel', () => {
    const [r, w] = pipe();
    const woken: string[] = [];
    const first = waitFd(m.task, r, POLLIN, -1, () => woken.push('first'));
    ksysWrite(m.task, w, Uint8Array.of(1));
    m.settle();
    ksysRead(m.task, r, new Uint8Array(1));
    const second = waitFd(m.task, r, POLLIN, -1, () => woken.push('second'));
    if (typeof first !== 'number') first();
    ksysWrite(m.task, w, Uint8Array.of(1));
    m.settle();
    expect(woken).toEqual(['first', 'second']);
    if (typeof second !== 'number') second();
  });

  it('are not used again while they stand in the run queue', () => {
    const [r, w] = pipe();
    const woken: string[] = [];
    const first = waitFd(m.task, r, POLLIN, -1, () => woken.push('first'));
    ksysWrite(m.task, w, Uint8Array.of(1));
    // Woken, but cancelled before its turn; the next sleep must neither get that turn nor lose its own.
    if (typeof first !== 'number') first();
    waitFd(m.task, w, POLLERR, -1, () => woken.push('second'));
    waitFd(m.task, r, POLLIN, -1, () => woken.push('third'));
    m.settle();
    expect(woken).toEqual(['third']);
    m.task.files.close(r);
    m.settle();
    expect(woken).toEqual(['third', 'second']);
  });
});

describe('nanosleep', () => {
  it('wakes in the order of time, not of calls', () => {
    const woken: string[] = [];
    nanosleep(m.task, 300, () => woken.push('late'));
    nanosleep(m.task, 100, () => woken.push('early'));
    const cancel = nanosleep(m.task, 200, () => woken.push('never'));
    cancel();
    m.advance(1000);
    expect(woken).toEqual(['early', 'late']);
  });
});
