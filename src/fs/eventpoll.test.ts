import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { doEpollCreate, doEpollCtl, doEpollWait } from '#fs/eventpoll.ts';
import { ksysDup } from '#fs/fcntl.ts';
import { type DirectoryNode, directory, readOnly } from '#fs/namei.ts';
import { doSysOpen } from '#fs/open.ts';
import { doPipe2 } from '#fs/pipe.ts';
import { ksysRead, ksysWrite } from '#fs/read_write.ts';
import { waitFd } from '#fs/select.ts';
import { BareMachine } from '#fs/testing/bare_machine.ts';
import { EBADF, EEXIST, EFAULT, EINVAL, ELOOP, ENOENT, EPERM } from '#uapi/errno.ts';
import {
  EPOLL_CLOEXEC,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLERR,
  EPOLLET,
  EPOLLEXCLUSIVE,
  EPOLLHUP,
  EPOLLIN,
  EPOLLONESHOT,
  EPOLLOUT,
  EPOLLPRI,
} from '#uapi/eventpoll.ts';
import { POLLIN } from '#uapi/poll.ts';
import type { EpollEvent } from '#uapi/unistd.ts';

let m: BareMachine;

beforeEach(() => {
  m = new BareMachine();
});

afterEach(() => {
  expect(m.end()).toEqual({});
});

function pipe(): [number, number] {
  const fds = new Int32Array(2);
  expect(doPipe2(m.task, fds, 0)).toBe(0);
  return [fds[0] as number, fds[1] as number];
}

function add(ep: number, fd: number, events: number, data = fd): number {
  return doEpollCtl(m.task, ep, EPOLL_CTL_ADD, fd, { events, data });
}

/** Ready (data, events) pairs, at most `max`. */
function ready(ep: number, max = 16): [number, number][] {
  const events: EpollEvent[] = Array.from({ length: max }, () => ({ events: 0, data: 0 }));
  const n = doEpollWait(m.task, ep, events);
  expect(n).toBeGreaterThanOrEqual(0);
  return events.slice(0, n).map((e) => [e.data, e.events]);
}

const put = (w: number, n = 1): number => ksysWrite(m.task, w, new Uint8Array(n));
const take = (r: number, n = 1): number => ksysRead(m.task, r, new Uint8Array(n));

describe('epoll_wait', () => {
  it('level: tells as long as it holds', () => {
    const ep = doEpollCreate(m.task, 0);
    const [r, w] = pipe();
    add(ep, r, EPOLLIN);
    expect(ready(ep)).toEqual([]);
    put(w, 2);
    expect(ready(ep)).toEqual([[r, EPOLLIN]]);
    expect(ready(ep)).toEqual([[r, EPOLLIN]]);
    take(r, 2);
    expect(ready(ep)).toEqual([]);
  });

  it('edge: tells once for each arrival', () => {
    const ep = doEpollCreate(m.task, 0);
    const [r, w] = pipe();
    add(ep, r, EPOLLIN | EPOLLET);
    put(w);
    expect(ready(ep)).toEqual([[r, EPOLLIN]]);
    expect(ready(ep)).toEqual([]);
    put(w);
    expect(ready(ep)).toEqual([[r, EPOLLIN]]);
    expect(ready(ep)).toEqual([]);
  });

  it('edge: is ready at once when added to what is ready', () => {
    const ep = doEpollCreate(m.task, 0);
    const [, w] = pipe();
    add(ep, w, EPOLLOUT | EPOLLET);
    expect(ready(ep)).toEqual([[w, EPOLLOUT]]);
    expect(ready(ep)).toEqual([]);
  });

  it('one-shot: falls silent until it is armed again', () => {
    const ep = doEpollCreate(m.task, 0);
    const [r, w] = pipe();
    add(ep, r, EPOLLIN | EPOLLONESHOT, 7);
    put(w);
    expect(ready(ep)).toEqual([[7, EPOLLIN]]);
    put(w);
    expect(ready(ep)).toEqual([]);
    const event = { events: EPOLLIN | EPOLLONESHOT, data: 8 };
    expect(doEpollCtl(m.task, ep, EPOLL_CTL_MOD, r, event)).toBe(0);
    expect(ready(ep)).toEqual([[8, EPOLLIN]]);
  });

  it('gives every ready descriptor its turn', () => {
    const ep = doEpollCreate(m.task, 0);
    const ends = [pipe(), pipe(), pipe()];
    for (const [r, w] of ends) {
      add(ep, r, EPOLLIN);
      put(w);
    }
    const seen = [ready(ep, 2), ready(ep, 2), ready(ep, 2)].map((l) => l.map(([fd]) => fd));
    const [a, b, c] = ends.map(([r]) => r);
    expect(seen).toEqual([
      [a, b],
      [c, a],
      [b, c],
    ]);
  });

  it('tells errors and hang-ups unasked', () => {
    const ep = doEpollCreate(m.task, 0);
    const [r, w] = pipe();
    add(ep, r, 0);
    m.task.files.close(w);
    expect(ready(ep)).toEqual([[r, EPOLLHUP]]);
    const [r2, w2] = pipe();
    add(ep, w2, EPOLLPRI);
    m.task.files.close(r2);
    expect(ready(ep)).toContainEqual([w2, EPOLLERR]);
  });

  it('forgets a file with its last descriptor, not with the first', () => {
    const ep = doEpollCreate(m.task, 0);
    const [r, w] = pipe();
    add(ep, r, EPOLLIN);
    const other = ksysDup(m.task, r);
    put(w);
    m.task.files.close(r);
    expect(ready(ep)).toEqual([[r, EPOLLIN]]);
    m.task.files.close(other);
    expect(ready(ep)).toEqual([]);
  });

  it('wakes one of several exclusive watchers', () => {
    const [r, w] = pipe();
    const woken: number[] = [];
    const eps = [doEpollCreate(m.task, 0), doEpollCreate(m.task, 0)];
    for (const [i, ep] of eps.entries()) {
      add(ep, r, EPOLLIN | EPOLLEXCLUSIVE);
      waitFd(m.task, ep, POLLIN, -1, () => woken.push(i));
    }
    put(w);
    m.settle();
    expect(woken).toEqual([0]);
  });
});

describe('nesting', () => {
  it('makes an epoll readable when what it watches is', () => {
    const outer = doEpollCreate(m.task, 0);
    const inner = doEpollCreate(m.task, 0);
    const [r, w] = pipe();
    add(inner, r, EPOLLIN);
    add(outer, inner, EPOLLIN);
    expect(ready(outer)).toEqual([]);
    put(w);
    expect(ready(outer)).toEqual([[inner, EPOLLIN]]);
    take(r);
    expect(ready(outer)).toEqual([]);
  });

  it('refuses loops and towers', () => {
    const chain = [0, 1, 2, 3, 4, 5].map(() => doEpollCreate(m.task, 0));
    const [a, b] = chain as [number, number];
    expect(add(a, b, EPOLLIN)).toBe(0);
    expect(add(b, a, EPOLLIN)).toBe(-ELOOP);
    expect(add(a, a, EPOLLIN)).toBe(-EINVAL);
    const results = chain.slice(1, -1).map((ep, i) => add(ep, chain[i + 2] as number, EPOLLIN));
    // Four levels below the top one are allowed, a fifth is not.
    expect(results).toEqual([0, 0, 0, -ELOOP]);
  });
});

describe('epoll_ctl', () => {
  it('answers with the errors of Linux', () => {
    const ep = doEpollCreate(m.task, EPOLL_CLOEXEC);
    const [r, w] = pipe();
    const tree: DirectoryNode = directory({ file: readOnly(() => 'x') });
    const regular = doSysOpen(m.task, tree, '/file', 0);
    const event = { events: EPOLLIN, data: 0 };
    const ctl = (epfd: number, op: number, fd: number, ev: EpollEvent | null): number =>
      doEpollCtl(m.task, epfd, op, fd, ev);
    expect(doEpollCreate(m.task, 1)).toBe(-EINVAL);
    expect(ctl(99, EPOLL_CTL_ADD, r, event)).toBe(-EBADF);
    expect(ctl(ep, EPOLL_CTL_ADD, 99, event)).toBe(-EBADF);
    expect(ctl(w, EPOLL_CTL_ADD, r, event)).toBe(-EINVAL);
    expect(ctl(ep, EPOLL_CTL_ADD, regular, event)).toBe(-EPERM);
    expect(ctl(ep, 9, r, event)).toBe(-EINVAL);
    expect(ctl(ep, EPOLL_CTL_ADD, r, null)).toBe(-EFAULT);
    expect(ctl(ep, EPOLL_CTL_MOD, r, event)).toBe(-ENOENT);
    expect(ctl(ep, EPOLL_CTL_DEL, r, null)).toBe(-ENOENT);
    expect(ctl(ep, EPOLL_CTL_ADD, r, event)).toBe(0);
    expect(ctl(ep, EPOLL_CTL_ADD, r, event)).toBe(-EEXIST);
    expect(ctl(ep, EPOLL_CTL_DEL, r, null)).toBe(0);
    const exclusive = { events: EPOLLIN | EPOLLEXCLUSIVE, data: 0 };
    expect(ctl(ep, EPOLL_CTL_MOD, r, exclusive)).toBe(-EINVAL);
    expect(add(ep, r, EPOLLEXCLUSIVE | EPOLLPRI)).toBe(-EINVAL);
    expect(add(ep, doEpollCreate(m.task, 0), EPOLLEXCLUSIVE | EPOLLIN)).toBe(-EINVAL);
    expect(add(ep, r, EPOLLEXCLUSIVE | EPOLLIN)).toBe(0);
    expect(ctl(ep, EPOLL_CTL_MOD, r, event)).toBe(-EINVAL);
    expect(doEpollWait(m.task, ep, [])).toBe(-EINVAL);
    expect(doEpollWait(m.task, r, [event])).toBe(-EINVAL);
    expect(doEpollWait(m.task, 99, [event])).toBe(-EBADF);
    expect(ksysRead(m.task, ep, new Uint8Array(1))).toBe(-EINVAL);
  });
});

describe('against a model', () => {
  // A pipe's reading end in one of the modes; the model says when it must be told.
  const op = fc.oneof(
    fc.constant('put' as const),
    fc.constant('take' as const),
    fc.constant('wait' as const),
    fc.constant('rearm' as const),
  );
  const mode = fc.constantFrom(0, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT);

  it('tells exactly when the mode asks for it', () => {
    fc.assert(
      fc.property(mode, fc.array(op, { maxLength: 40 }), (bits, ops) => {
        const ep = doEpollCreate(m.task, 0);
        const [r, w] = pipe();
        add(ep, r, EPOLLIN | bits);
        let bytes = 0;
        let armed = true;
        let edge = false;
        for (const what of ops) {
          if (what === 'put') {
            put(w);
            bytes++;
            if (armed) edge = true;
          } else if (what === 'take') {
            if (bytes > 0) {
              take(r);
              bytes--;
            }
          } else if (what === 'rearm') {
            const event = { events: EPOLLIN | bits, data: r };
            expect(doEpollCtl(m.task, ep, EPOLL_CTL_MOD, r, event)).toBe(0);
            armed = true;
            if (bytes > 0) edge = true;
          } else {
            const isEdge = (bits & EPOLLET) !== 0;
            const due = armed && bytes > 0 && (!isEdge || edge);
            expect(ready(ep)).toEqual(due ? [[r, EPOLLIN]] : []);
            edge = false;
            if (due && (bits & EPOLLONESHOT) !== 0) armed = false;
          }
        }
        for (const fd of [ep, r, w]) m.task.files.close(fd);
      }),
      { numRuns: 300 },
    );
  });
});
