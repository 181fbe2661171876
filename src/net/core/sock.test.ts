import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BareMachine } from '#fs/testing/bare_machine.ts';
import { SockExterrSkb, skbSetExtErr } from '#include/linux/errqueue.ts';
import type { PageFrag } from '#include/linux/mm_types_task.ts';
import { Socket } from '#include/linux/net.ts';
import type { SkBuff, SkBuffHead } from '#include/linux/skbuff.ts';
import { type Proto, ProtoMemory, SOCK_DEAD, Sock } from '#include/net/sock.ts';
import { createTask, exitTask } from '#kernel/sched/task.ts';
import { addWaitQueue, removeWaitQueue, WaitQueueEntry, WaitQueueHead } from '#kernel/wait.ts';
import { allocSkb, consumeSkb, skbPut } from '#net/core/skbuff.ts';
import {
  lockSock,
  releaseSock,
  skAddBacklog,
  skAlloc,
  skCommonRelease,
  skErrorQueuePurge,
  sockDefCallbacks,
  sockDequeueErrSkb,
  sockFlag,
  sockHold,
  sockInitData,
  sockOwnedByUser,
  sockPut,
  sockQueueErrSkb,
  sockQueueRcvSkb,
} from '#net/core/sock.ts';
import { sockAllocSendSkb, sockOmalloc, sockWmalloc } from '#net/core/sock_alloc.ts';
import { skCloneLock } from '#net/core/sock_clone.ts';
import {
  __skMemSchedule,
  PAGE_SIZE,
  SK_MEM_RECV,
  SK_MEM_SEND,
  skForcedMemSchedule,
  skMemReclaimFinal,
  skPageFragRefill,
} from '#net/core/sock_mem.ts';
import { protoNothing } from '#net/core/sock_proto.ts';
import { sockAlloc } from '#net/socket.ts';
import { EAGAIN, ENOBUFS, ENOMEM, EPIPE } from '#uapi/errno.ts';
import { SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_LOCAL } from '#uapi/errqueue.ts';
import { POLLERR, POLLIN, POLLOUT } from '#uapi/poll.ts';
import { SOCK_DGRAM, SOCK_STREAM } from '#uapi/socket.ts';

let m: BareMachine;
let memory: ProtoMemory;
let seen: SkBuff[];
let deferred: number;
let pressure: string[];
let prot: Proto;
let sock: Socket;
let sk: Sock;

beforeEach(() => {
  m = new BareMachine();
  memory = new ProtoMemory();
  memory.sysctlMem[0] = 4;
  memory.sysctlMem[1] = 6;
  memory.sysctlMem[2] = 8;
  seen = [];
  deferred = 0;
  pressure = [];
  prot = {
    ...protoNothing,
    name: 'TEST',
    alloc: (net, family, p) => new Sock(net, family, p, sockDefCallbacks),
    free: null,
    backlogRcv: (_sk, skb) => {
      seen.push(skb);
      return 0;
    },
    releaseCb: () => {
      deferred++;
    },
    enterMemoryPressure: () => {
      if (memory.memoryPressure === 0) pressure.push('enter');
      memory.memoryPressure = 1;
    },
    leaveMemoryPressure: () => {
      pressure.push('leave');
      memory.memoryPressure = 0;
    },
    memory: () => memory,
    memoryMin: () => PAGE_SIZE,
  };
  sock = sockAlloc(m.machine, SOCK_DGRAM);
  sk = skAlloc(m.machine.initNet, 2, prot);
  sockInitData(sock, sk);
});

afterEach(() => {
  for (const skb of seen) consumeSkb(skb);
  skCommonRelease(sk);
  expect(m.end()).toEqual({});
  expect(memory.memoryAllocated).toBe(0);
});

function packet(len = 100): SkBuff {
  const skb = allocSkb(m.machine, len);
  if (skb === null) throw new Error('no memory');
  skbPut(skb, len);
  return skb;
}

/** Events told to who waits on the socket. */
function listen(): number[] {
  const keys: number[] = [];
  addWaitQueue(sock.wq, new WaitQueueEntry((_e, key) => keys.push(key), null));
  return keys;
}

describe('the lock and the backlog', () => {
  it('keeps packets while a task owns the socket, in order', () => {
    lockSock(sk);
    expect(sockOwnedByUser(sk)).toBe(true);
    const [a, b] = [packet(), packet()];
    expect(skAddBacklog(sk, a, 1 << 20)).toBe(0);
    expect(skAddBacklog(sk, b, 1 << 20)).toBe(0);
    expect(seen).toEqual([]);
    releaseSock(sk);
    expect(seen).toEqual([a, b]);
    expect([sk.skBacklogLen, deferred, sockOwnedByUser(sk)]).toEqual([0, 1, false]);
  });

  it('has a limit', () => {
    lockSock(sk);
    const [a, b] = [packet(), packet()];
    expect(skAddBacklog(sk, a, 10)).toBe(0);
    expect(skAddBacklog(sk, b, 10)).toBe(-ENOBUFS);
    consumeSkb(b);
    releaseSock(sk);
  });

  it('is taken once', () => {
    lockSock(sk);
    expect(() => lockSock(sk)).toThrow();
    releaseSock(sk);
  });
});

describe('receiving', () => {
  it('charges the reader, and refuses when the buffer is full', () => {
    const keys = listen();
    sk.skRcvbuf = 2000;
    const queued: SkBuff[] = [];
    let err = 0;
    while (err === 0) {
      const skb = packet(300);
      err = sockQueueRcvSkb(sk, skb);
      if (err === 0) queued.push(skb);
      else consumeSkb(skb);
    }
    expect(err).toBe(-ENOMEM);
    expect(sk.skDrops).toBe(1);
    expect(sk.skRmemAlloc).toBe(queued.reduce((sum, skb) => sum + skb.truesize, 0));
    expect(keys.length).toBe(queued.length);
    expect((keys[0] ?? 0) & POLLIN).toBe(POLLIN);
    drain(sk.skReceiveQueue);
    expect(sk.skRmemAlloc).toBe(0);
  });
});

function drain(queue: SkBuffHead): void {
  for (let skb = queue.next; skb !== null; skb = queue.next) {
    queue.next = skb.next;
    if (skb.next === null) queue.prev = null;
    else skb.next.prev = null;
    queue.qlen--;
    skb.next = null;
    skb.prev = null;
    skb.list = null;
    consumeSkb(skb);
  }
}

describe('the error queue', () => {
  const entry = (errno: number, origin: number): SkBuff => {
    const skb = packet(8);
    const ext = new SockExterrSkb();
    ext.eeErrno = errno;
    ext.eeOrigin = origin;
    skbSetExtErr(skb, ext);
    return skb;
  };

  it('makes the next ICMP error the pending one', () => {
    const keys = listen();
    for (const [errno, origin] of [
      [111, SO_EE_ORIGIN_ICMP],
      [113, SO_EE_ORIGIN_ICMP],
      [90, SO_EE_ORIGIN_LOCAL],
    ] as const) {
      expect(sockQueueErrSkb(sk, entry(errno, origin))).toBe(0);
    }
    expect(keys).toEqual([POLLERR, POLLERR, POLLERR]);
    sk.skErr = 111;
    const pending: number[] = [];
    for (let skb = sockDequeueErrSkb(sk); skb !== null; skb = sockDequeueErrSkb(sk)) {
      consumeSkb(skb);
      pending.push(sk.skErr);
    }
    expect(pending).toEqual([113, 0, 0]);
  });

  it('goes with the socket', () => {
    sockQueueErrSkb(sk, entry(111, SO_EE_ORIGIN_ICMP));
    skErrorQueuePurge(sk);
    expect(sk.skRmemAlloc).toBe(0);
  });
});

describe('sending', () => {
  it('stops at the buffer, and wakes writers at half of it', () => {
    sk.skSndbuf = 4000;
    const sent: SkBuff[] = [];
    let last: SkBuff | number = 0;
    for (;;) {
      last = sockAllocSendSkb(sk, 400);
      if (typeof last === 'number') break;
      sent.push(last);
    }
    expect(last).toBe(-EAGAIN);
    const keys = listen();
    while (keys.length === 0) consumeSkb(sent.pop() as SkBuff);
    expect((keys[0] ?? 0) & POLLOUT).toBe(POLLOUT);
    expect((sk.skWmemAlloc - 1) * 2).toBeLessThanOrEqual(sk.skSndbuf);
    for (const skb of sent) consumeSkb(skb);
    expect(sk.skWmemAlloc).toBe(1);
  });

  it('tells the pending error first, then the shutdown', () => {
    sk.skErr = 113;
    sk.skShutdown = 2;
    expect(sockAllocSendSkb(sk, 1)).toBe(-113);
    expect(sockAllocSendSkb(sk, 1)).toBe(-EPIPE);
  });

  it('keeps the socket until its packets are gone', () => {
    const other = skAlloc(m.machine.initNet, 2, prot);
    sockInitData(null, other);
    const skb = sockWmalloc(other, 100, true);
    skCommonRelease(other);
    expect(m.machine.live.socks).toBe(2);
    consumeSkb(skb as SkBuff);
    expect(m.machine.live.socks).toBe(1);
  });

  it('counts notices against the option memory', () => {
    sk.net.sysctlOptmemMax = 1500;
    const first = sockOmalloc(sk, 100) as SkBuff;
    expect(first).not.toBeNull();
    expect(sockOmalloc(sk, 1000)).toBeNull();
    consumeSkb(first);
    expect(sk.skOmemAlloc).toBe(0);
  });
});

describe('accounting of the protocol', () => {
  it('grants below low, presses above pressure, refuses above high', () => {
    const take = (): boolean => __skMemSchedule(sk, PAGE_SIZE, SK_MEM_RECV);
    for (let i = 0; i < 4; i++) expect(take()).toBe(true);
    expect(pressure).toEqual([]);
    sk.skRmemAlloc = PAGE_SIZE;
    // No pressure yet: everybody may go on.
    expect(take()).toBe(true);
    expect(take()).toBe(true);
    // The seventh page would be over the fair share: one socket that has 8 of 8.
    memory.socketsAllocated = 1;
    expect(take()).toBe(false);
    expect(pressure).toEqual(['enter']);
    // Below its minimum every socket may go on, up to high.
    sk.skRmemAlloc = 0;
    expect(take()).toBe(true);
    expect(take()).toBe(true);
    skForcedMemSchedule(sk, sk.skForwardAlloc + 2 * PAGE_SIZE);
    expect(memory.memoryAllocated).toBe(10);
    // Above high not even the minimum.
    expect(take()).toBe(false);
    skMemReclaimFinal(sk);
    expect(memory.memoryAllocated).toBe(0);
    expect(pressure).toEqual(['enter', 'leave']);
  });

  it('lets a stream finish what is over its buffer already', () => {
    sk.skType = SOCK_STREAM;
    memory.memoryAllocated = 8;
    sk.skSndbuf = 100_000;
    sk.skWmemQueued = 20_000;
    expect(__skMemSchedule(sk, 100, SK_MEM_SEND)).toBe(true);
    // The buffer was cut to half of what is queued, so the packet at hand is over it.
    expect(sk.skSndbuf).toBe(10_000);
    sk.skWmemQueued = 0;
    memory.memoryAllocated = 1;
    skMemReclaimFinal(sk);
    memory.memoryAllocated = 0;
  });

  it('fills one page after the other', () => {
    const pfrag = skPageFragRefill(sk) as PageFrag;
    const first = pfrag.page;
    pfrag.offset = pfrag.size;
    // Nobody else holds it: it is used again.
    expect(skPageFragRefill(sk)).toBe(pfrag);
    expect([pfrag.page, pfrag.offset]).toEqual([first, 0]);
  });

  it('fills a page of its task, whatever the socket, and its own where no task sends', () => {
    const { machine } = sk.net;
    const task = createTask(machine, 'sender', sk.net);
    const own = skPageFragRefill(sk);
    machine.tasks.current = task;
    sk.skNetRefcnt = true;
    const shared = skPageFragRefill(sk) as PageFrag;
    expect(shared).toBe(task.taskFrag);
    expect(shared).not.toBe(own);
    machine.cpu.servingSoftirq++;
    expect(skPageFragRefill(sk)).toBe(own);
    machine.cpu.servingSoftirq--;
    exitTask(task, 0);
    expect(shared.page).toBe(0);
    expect(skPageFragRefill(sk)).toBe(own);
    sk.skNetRefcnt = false;
  });
});

describe('a clone', () => {
  it('has the settings of its listener and nothing of its state', () => {
    sk.skRcvbuf = 9999;
    sk.skMark = 7;
    sk.skErr = 5;
    sk.skDrops = 3;
    sk.skRmemAlloc = 100;
    const child = skCloneLock(sk) as Sock;
    sk.skRmemAlloc = 0;
    expect([child.skRcvbuf, child.skMark]).toEqual([9999, 7]);
    expect([child.skErr, child.skDrops, child.skRmemAlloc, child.skWmemAlloc]).toEqual([
      0, 0, 0, 1,
    ]);
    expect(child.refcnt).toBe(2);
    expect(child.skReceiveQueue).not.toBe(sk.skReceiveQueue);
    expect(child.skSocket).toBeNull();
    sockPut(child);
    skCommonRelease(child);
  });

  it('ends with its last reference', () => {
    sockHold(sk);
    sockPut(sk);
    expect(sockFlag(sk, SOCK_DEAD)).toBe(false);
    const wq = new WaitQueueHead();
    const entry = new WaitQueueEntry(() => {}, null);
    addWaitQueue(wq, entry);
    removeWaitQueue(entry);
    expect(new Socket(SOCK_STREAM, sock.ops, 1).state).toBe(1);
  });
});
