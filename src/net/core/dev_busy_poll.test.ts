import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NapiStruct } from '#include/linux/netdevice.ts';
import { runPending } from '#kernel/machine.ts';
import { irqEnter, irqExit } from '#kernel/softirq.ts';
import { mem } from '#mm/memory.ts';
import {
  devSetThreaded,
  napiCompleteDone,
  napiDisable,
  napiEnable,
  napiSchedule,
  netifNapiAdd,
  netifNapiDel,
} from '#net/core/dev_napi.ts';
import { napiGroReceive } from '#net/core/gro.ts';
import { allocSkb, skbPut } from '#net/core/skbuff.ts';
import { ethTypeTrans } from '#net/ethernet/eth.ts';
import {
  IpMachine,
  int32,
  ipPacket,
  sin,
  udpBytes,
  type WireDevice,
} from '#net/ipv4/testing/ip_machine.ts';
import { EAGAIN, EINVAL, ENOPROTOOPT, EOPNOTSUPP } from '#uapi/errno.ts';
import { EPOLL_CTL_ADD, EPOLLIN } from '#uapi/eventpoll.ts';
import { O_WRONLY } from '#uapi/fcntl.ts';
import { POLLIN } from '#uapi/poll.ts';
import { LINUX_MIB_BUSYPOLLRXPACKETS } from '#uapi/snmp.ts';
import {
  AF_INET,
  SO_BUSY_POLL,
  SO_BUSY_POLL_BUDGET,
  SO_INCOMING_NAPI_ID,
  SO_PREFER_BUSY_POLL,
  SOCK_DGRAM,
  SOL_SOCKET,
} from '#uapi/socket.ts';

const HERE = '10.0.0.1';
const PEER = '10.0.0.2';
const MS = 1_000_000;

let m: IpMachine;
let eth0: WireDevice;
let napi: NapiStruct;
/** What the card has received and nobody has taken, and whether it may interrupt. */
let ring: number[];
let irqOn: boolean;
let interrupts: number;
let fd: number;

beforeEach(() => {
  m = new IpMachine('m', 1, 2);
  eth0 = m.device('eth0', HERE, 24);
  ring = [];
  irqOn = true;
  interrupts = 0;
  napi = netifNapiAdd(eth0.dev, poll);
  napiEnable(napi);
  fd = m.sys.socket(AF_INET, SOCK_DGRAM, 0);
  expect(m.sys.bind(fd, sin('0.0.0.0', 9))).toBe(0);
});

afterEach(() => {
  napiDisable(napi);
  netifNapiDel(napi);
  m.end();
});

function poll(n: NapiStruct, budget: number): number {
  let work = 0;
  for (; work < budget; work++) {
    const byte = ring.shift();
    if (byte === undefined) break;
    receive(n, byte);
  }
  if (work < budget && napiCompleteDone(n, work)) irqOn = true;
  return work;
}

function receive(n: NapiStruct, byte: number): void {
  const payload = udpBytes(PEER, HERE, 5, 9, [byte]);
  const ip = ipPacket({ src: PEER, dst: HERE, payload });
  const skb = allocSkb(m.machine, ip.length + 14);
  if (skb === null) throw new Error('out of packet memory');
  const at = skbPut(skb, ip.length + 14);
  mem.set([...eth0.dev.devAddr.subarray(0, 6), 2, 0, 0, 0, 0, 99, 8, 0], at);
  mem.set(ip, at + 14);
  skb.protocol = ethTypeTrans(skb, eth0.dev);
  napiGroReceive(n, skb);
}

/** A datagram with this byte comes in. */
function arrive(byte: number): void {
  ring.push(byte);
  if (!irqOn) return;
  irqOn = false;
  interrupts++;
  irqEnter(m.machine);
  napiSchedule(napi);
  irqExit(m.machine);
}

function recv(): number {
  const buf = new Uint8Array(10);
  const n = m.sys.recvfrom(fd, buf, 0, null);
  return n < 0 ? n : (buf[0] as number);
}

const opt = (name: number, value: number): number =>
  m.sys.setsockopt(fd, SOL_SOCKET, name, int32(value));

/** As `echo VALUE > /sys/class/net/eth0/NAME`. */
function sysfs(name: string, value: string): number {
  const file = m.sys.open(`/sys/class/net/eth0/${name}`, O_WRONLY);
  expect(file).toBeGreaterThanOrEqual(0);
  const n = m.sys.write(file, new TextEncoder().encode(`${value}\n`));
  m.sys.close(file);
  return Math.min(n, 0);
}

function comms(): string[] {
  return m.machine.tasks.list().map(({ comm }) => comm);
}

describe('interrupts held back', () => {
  it('by napi_defer_hard_irqs and gro_flush_timeout: a timer polls meanwhile', () => {
    expect(sysfs('napi_defer_hard_irqs', '2')).toBe(0);
    expect(sysfs('gro_flush_timeout', String(5 * MS))).toBe(0);
    arrive(1);
    expect([recv(), irqOn]).toEqual([1, false]);
    arrive(2);
    expect([recv(), interrupts]).toEqual([-EAGAIN, 1]);
    m.advance(4);
    expect(recv()).toBe(-EAGAIN);
    m.advance(1);
    // The poll found something: it is worth waiting for more.
    expect([recv(), irqOn]).toEqual([2, false]);
    m.advance(5);
    expect(irqOn).toBe(false);
    m.advance(5);
    // Twice nothing: back to interrupts.
    expect(irqOn).toBe(true);
    arrive(3);
    expect([recv(), interrupts]).toEqual([3, 2]);
    m.advance(20);
  });
});

describe('threaded polling', () => {
  it('is done by a task of the instance, and shows in /proc', () => {
    expect(sysfs('threaded', '1')).toBe(0);
    expect(comms()).toEqual(['test', `napi/eth0-${napi.napiId}`]);
    arrive(1);
    // The soft interrupt leaves it alone: the thread has not run yet.
    expect(recv()).toBe(-EAGAIN);
    m.settle();
    expect([recv(), irqOn]).toEqual([1, true]);
  });

  it('takes turns with everything else while there is more', () => {
    expect(sysfs('threaded', '1')).toBe(0);
    arrive(1);
    for (let i = 0; i < 150; i++) ring.push(i);
    const left: number[] = [];
    for (let turn = 0; turn < 4; turn++) {
      runPending(m.machine);
      left.push(ring.length);
    }
    expect(left).toEqual([151 - 64, 151 - 128, 0, 0]);
    expect(irqOn).toBe(true);
  });

  it('ends: the soft interrupt polls again, and the thread is gone', () => {
    sysfs('threaded', '1');
    arrive(1);
    expect(sysfs('threaded', '0')).toBe(0);
    // What was scheduled is still the thread's.
    expect(comms()).toHaveLength(2);
    m.settle();
    expect([recv(), comms().length]).toEqual([1, 1]);
    arrive(2);
    expect(recv()).toBe(2);
  });

  it('runs on the CPUs that its task may use', () => {
    sysfs('threaded', '1');
    const pid = m.machine.tasks.list()[1]?.pid as number;
    expect(m.sys.schedSetaffinity(pid, Uint8Array.of(2))).toBe(0);
    const processed = (): number[] => m.machine.netGlobals.softnetData.map((sd) => sd.processed);
    const before = processed();
    arrive(1);
    m.settle();
    expect(recv()).toBe(1);
    expect(processed()).toEqual([before[0], (before[1] as number) + 1]);
  });

  it('does not lose what waits when the device goes down', () => {
    sysfs('threaded', '1');
    arrive(1);
    napiDisable(napi);
    expect(recv()).toBe(1);
    m.settle();
    napiEnable(napi);
    irqOn = true;
    arrive(2);
    m.settle();
    expect(recv()).toBe(2);
  });

  it('needs a device that polls', () => {
    const lo = m.net.devBaseHead[0];
    expect(lo === undefined ? 0 : devSetThreaded(lo, true)).toBe(-EOPNOTSUPP);
    expect(sysfs('threaded', '2')).toBe(-EOPNOTSUPP);
  });
});

describe('busy polling', () => {
  /** A card that will not interrupt for a second. */
  function quiet(): void {
    sysfs('napi_defer_hard_irqs', '100');
    sysfs('gro_flush_timeout', String(1000 * MS));
    arrive(1);
    expect(recv()).toBe(1);
    expect(irqOn).toBe(false);
  }

  const polled = (): number => m.net.mib.netStatistics[LINUX_MIB_BUSYPOLLRXPACKETS] ?? -1;

  afterEach(() => {
    m.advance(200_000);
  });

  it('finds at the device what no interrupt has told', () => {
    quiet();
    arrive(2);
    expect(recv()).toBe(-EAGAIN);
    expect(opt(SO_BUSY_POLL, 50)).toBe(0);
    expect([recv(), polled()]).toEqual([2, 1]);
    // Nothing there: the call ends, though no time has passed.
    expect(recv()).toBe(-EAGAIN);
  });

  it('takes no more than its budget at a time', () => {
    quiet();
    opt(SO_BUSY_POLL, 50);
    opt(SO_BUSY_POLL_BUDGET, 2);
    opt(SO_PREFER_BUSY_POLL, 1);
    for (const byte of [2, 3, 4, 5, 6, 7]) arrive(byte);
    expect(recv()).toBe(2);
    // One poll found something, another gave the instance back.
    expect(ring).toEqual([6, 7]);
    expect([recv(), recv(), recv(), recv()]).toEqual([3, 4, 5, 6]);
  });

  it('has a budget that can be set, not read, as in Linux', () => {
    expect([0, 8, 0xffff].map((n) => opt(SO_BUSY_POLL_BUDGET, n))).toEqual([0, 0, 0]);
    expect([-1, 0x10000].map((n) => opt(SO_BUSY_POLL_BUDGET, n))).toEqual([-EINVAL, -EINVAL]);
    const value = new Uint8Array(4);
    expect(m.sys.getsockopt(fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, value)).toBe(-ENOPROTOOPT);
  });

  it('is for sockets that know where their packets come from', () => {
    opt(SO_BUSY_POLL, 50);
    const id = new Uint8Array(4);
    m.sys.getsockopt(fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, id);
    expect(new DataView(id.buffer).getInt32(0, true)).toBe(0);
    expect(recv()).toBe(-EAGAIN);
    arrive(1);
    m.sys.getsockopt(fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, id);
    expect(new DataView(id.buffer).getInt32(0, true)).toBe(napi.napiId);
    expect(recv()).toBe(1);
  });

  it('lets the card interrupt again afterwards, unless it is preferred', () => {
    arrive(1);
    expect(recv()).toBe(1);
    opt(SO_BUSY_POLL, 50);
    irqOn = false;
    expect(recv()).toBe(-EAGAIN);
    expect(irqOn).toBe(true);
    quiet();
    opt(SO_PREFER_BUSY_POLL, 1);
    expect(recv()).toBe(-EAGAIN);
    expect(irqOn).toBe(false);
  });

  it('leaves alone who is polling already, and who may not', () => {
    quiet();
    opt(SO_BUSY_POLL, 50);
    napiDisable(napi);
    ring.push(2);
    expect(recv()).toBe(-EAGAIN);
    napiEnable(napi);
    expect(recv()).toBe(2);
  });

  it('starts with net.core.busy_read for new sockets, and in poll() with net.core.busy_poll', () => {
    quiet();
    const { sysctl } = m.net;
    expect(sysctl.write('net.core.busy_read', '50')).toBe(0);
    const value = new Uint8Array(4);
    const other = m.sys.socket(AF_INET, SOCK_DGRAM, 0);
    m.sys.getsockopt(other, SOL_SOCKET, SO_BUSY_POLL, value);
    expect(value[0]).toBe(50);
    opt(SO_BUSY_POLL, 50);
    arrive(2);
    const revents = new Int16Array(1);
    m.sys.poll(Int32Array.of(fd), Int16Array.of(POLLIN), revents);
    expect(revents[0]).toBe(0);
    expect(sysctl.write('net.core.busy_poll', '50')).toBe(0);
    m.sys.poll(Int32Array.of(fd), Int16Array.of(POLLIN), revents);
    expect([revents[0], recv()]).toEqual([POLLIN, 2]);
  });

  it('is done by epoll_wait for the sockets that it watches, whether they ask for it or not', () => {
    quiet();
    expect(m.net.sysctl.write('net.core.busy_poll', '50')).toBe(0);
    const ep = m.sys.epollCreate1(0) as number;
    expect(m.sys.epollCtl(ep, EPOLL_CTL_ADD, fd, { events: EPOLLIN, data: 7 })).toBe(0);
    const events = [{ events: 0, data: 0 }];
    arrive(2);
    m.net.sysctl.write('net.core.busy_poll', '0');
    expect(m.sys.epollWait(ep, events)).toBe(0);
    m.net.sysctl.write('net.core.busy_poll', '50');
    expect(m.sys.epollWait(ep, events)).toBe(1);
    expect([events[0]?.data, recv()]).toEqual([7, 2]);
    // It has looked in vain: not again, until something has come in the ordinary way.
    expect(m.sys.epollWait(ep, events)).toBe(0);
    arrive(3);
    expect(m.sys.epollWait(ep, events)).toBe(0);
    m.advance(1000);
    expect([m.sys.epollWait(ep, events), recv()]).toEqual([1, 3]);
    arrive(4);
    expect([m.sys.epollWait(ep, events), recv()]).toEqual([1, 4]);
  });

  it('is done once by epoll_wait, however many sockets it watches', () => {
    quiet();
    m.net.sysctl.write('net.core.busy_poll', '50');
    const ep = m.sys.epollCreate1(0) as number;
    m.sys.epollCtl(ep, EPOLL_CTL_ADD, fd, { events: EPOLLIN, data: 0 });
    for (let data = 1; data < 4; data++) {
      const copy = m.sys.dup(fd);
      expect(m.sys.epollCtl(ep, EPOLL_CTL_ADD, copy, { events: EPOLLIN, data })).toBe(0);
    }
    let polls = 0;
    m.machine.trace.napi.napiPoll.register(() => polls++);
    expect(m.sys.epollWait(ep, [{ events: 0, data: 0 }])).toBe(0);
    // One that finds nothing, and one that gives the instance back.
    expect(polls).toBe(2);
  });
});
