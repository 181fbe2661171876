import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NetdevMachine, TestDevice } from '#drivers/net/testing/netdev_machine.ts';
import { type NetDevice, netdevGetTxQueue } from '#include/linux/netdevice.ts';
import { type SkBuff, SkBuffHead } from '#include/linux/skbuff.ts';
import { __skbDequeue } from '#include/linux/skbuff_queue.ts';
import type { Qdisc } from '#include/net/sch_generic.ts';
import { consumeSkb, kfreeSkb } from '#net/core/skbuff.ts';
import { qdiscCreate } from '#net/sched/sch_api.ts';
import { qdiscPut } from '#net/sched/sch_generic.ts';
import { u32Attrs } from '#net/sched/tca.ts';
import { EINVAL } from '#uapi/errno.ts';
import {
  SKB_DROP_REASON_FQ_BAND_LIMIT,
  SKB_DROP_REASON_FQ_FLOW_LIMIT,
  SKB_DROP_REASON_FQ_HORIZON_LIMIT,
} from '#uapi/net_dropreason.ts';
import {
  TC_PRIO_CONTROL,
  TCA_FQ_BUCKETS_LOG,
  TCA_FQ_FLOW_MAX_RATE,
  TCA_FQ_FLOW_PLIMIT,
  TCA_FQ_ORPHAN_MASK,
  TCA_FQ_PLIMIT,
  TCA_FQ_QUANTUM,
  tcFqQdStats,
} from '#uapi/pkt_sched.ts';

const MS = 1e6;
const FRAME = 1000;

let m: NetdevMachine;
let dev: NetDevice;
let sch: Qdisc | null;
let lost: number[];

function make(options: readonly (readonly [number, number])[] = []): Qdisc | number {
  const made = m.rtnl(() =>
    qdiscCreate(dev, netdevGetTxQueue(dev, 0), 'fq', 0, u32Attrs(options), { msg: '' }),
  );
  if (typeof made !== 'number') sch = made;
  return made;
}

function fq(): Qdisc {
  if (sch === null) throw new Error('there is no discipline');
  return sch;
}

beforeEach(() => {
  m = new NetdevMachine();
  ({ dev } = new TestDevice(m));
  lost = [];
  sch = null;
  m.machine.trace.skb.kfreeSkb.register((_s, _w, reason) => lost.push(reason));
});

afterEach(() => {
  if (sch !== null) qdiscPut(sch);
  m.end();
});

interface Packet {
  /** Tells flows apart. */
  readonly flow: number;
  readonly atMs?: number;
  readonly mark?: number;
  readonly priority?: number;
}

function put({ flow, atMs = 0, mark = 0, priority = 0 }: Packet): number {
  const skb: SkBuff = m.packet(new Array<number>(FRAME).fill(0));
  skb.hash = flow;
  skb.l4Hash = true;
  skb.tstamp = atMs * MS;
  skb.mark = mark;
  skb.priority = priority;
  skb.pktLen = skb.len;
  const toFree = new SkBuffHead();
  const ret = fq().ops.enqueue?.(skb, fq(), toFree) ?? -1;
  for (let gone = __skbDequeue(toFree); gone !== null; gone = __skbDequeue(toFree)) {
    kfreeSkb(gone, gone.cb0, 'test');
  }
  return ret;
}

/** Marks of the packets that leave now. */
function take(): number[] {
  const marks: number[] = [];
  for (let skb = fq().ops.dequeue(fq()); skb !== null; skb = fq().ops.dequeue(fq())) {
    marks.push(skb.mark);
    consumeSkb(skb);
  }
  return marks;
}

/** Lets time pass to a moment since the test began. */
function until(ms: number): void {
  m.host.clock = ms * MS;
  m.machine.enter(ms * MS);
}

function stat(at: number): number {
  const stats = fq().ops.dumpStats?.(fq()) ?? new Uint8Array(tcFqQdStats.LEN);
  return new DataView(stats.buffer).getUint32(at, true);
}

describe('fq', () => {
  it('holds packets back until their time, whatever the order in which they came', () => {
    make();
    until(1);
    put({ flow: 1, atMs: 9, mark: 9 });
    put({ flow: 1, atMs: 5, mark: 5 });
    put({ flow: 2, atMs: 3, mark: 3 });
    expect(take()).toEqual([]);
    until(2.9);
    expect(take()).toEqual([]);
    until(3);
    expect(take()).toEqual([3]);
    until(5);
    expect(take()).toEqual([5]);
    until(10);
    expect(take()).toEqual([9]);
    expect(stat(tcFqQdStats.THROTTLED)).toBe(3);
  });

  it('sets its timer for the first that waits', () => {
    make();
    until(1);
    put({ flow: 1, atMs: 7 });
    put({ flow: 2, atMs: 4 });
    take();
    expect(m.machine.nextExpiry()).toBe(4 * MS);
    until(8);
    expect(take()).toHaveLength(2);
  });

  it('gives each flow its quantum in turn', () => {
    make([[TCA_FQ_QUANTUM, 2 * FRAME]]);
    until(1);
    // Behind a packet that waits nothing goes past the flows.
    put({ flow: 9, atMs: 100 });
    take();
    until(100);
    for (let i = 0; i < 40; i++) put({ flow: 1, mark: 1 });
    for (let i = 0; i < 40; i++) put({ flow: 2, mark: 2 });
    const marks = take().filter((mark) => mark !== 0);
    expect(marks).toHaveLength(80);
    // Once the first credit is used up they alternate by two.
    expect(marks.slice(40, 48).join('')).toMatch(/^(1122|2211|1221|2112){2}$/);
    expect(stat(tcFqQdStats.FLOWS)).toBe(3);
  });

  it('lets control packets, and packets that need not wait, go past', () => {
    make();
    until(1);
    put({ flow: 1, atMs: 5, mark: 1 });
    expect(take()).toEqual([]);
    put({ flow: 2, mark: 2 });
    put({ flow: 3, mark: 3, priority: TC_PRIO_CONTROL });
    expect(take()).toEqual([2, 3]);
    expect(stat(tcFqQdStats.FASTPATH_PACKETS)).toBe(1);
    until(5);
    expect(take()).toEqual([1]);
  });

  it('keeps a rate for all flows', () => {
    // 1000 bytes in 10 ms; a quantum smaller than a packet, so that each one counts.
    make([
      [TCA_FQ_FLOW_MAX_RATE, 100_000],
      [TCA_FQ_QUANTUM, FRAME],
    ]);
    until(1);
    for (let i = 0; i < 30; i++) put({ flow: 1, mark: i });
    const first = take().length;
    expect(first).toBeGreaterThan(0);
    expect(first).toBeLessThan(20);
    until(11);
    expect(take()).toHaveLength(1);
    until(15);
    expect(take()).toHaveLength(0);
    until(21);
    expect(take()).toHaveLength(1);
  });

  it('refuses what is too much or too far away, with the reason', () => {
    make([
      [TCA_FQ_FLOW_PLIMIT, 3],
      [TCA_FQ_PLIMIT, 5],
    ]);
    until(1);
    for (let i = 0; i < 4; i++) put({ flow: 1, atMs: 9 });
    put({ flow: 2, atMs: 20_000 });
    for (let i = 0; i < 3; i++) put({ flow: 3, atMs: 9 });
    expect(lost).toEqual([
      SKB_DROP_REASON_FQ_FLOW_LIMIT,
      SKB_DROP_REASON_FQ_HORIZON_LIMIT,
      SKB_DROP_REASON_FQ_BAND_LIMIT,
    ]);
    expect(fq().qlen).toBe(5);
    expect(stat(tcFqQdStats.HORIZON_DROPS)).toBe(1);
  });

  it('shares between bands by their weights', () => {
    make([[TCA_FQ_QUANTUM, FRAME]]);
    until(1);
    put({ flow: 9, atMs: 100 });
    take();
    until(100);
    // Priority 6 is band 0, priority 2 band 2.
    for (let i = 0; i < 95; i++) {
      for (let flow = 0; flow < 20; flow++) put({ flow: 100 + flow, mark: 1, priority: 6 });
      for (let flow = 0; flow < 20; flow++) put({ flow: 200 + flow, mark: 2, priority: 2 });
    }
    const marks = take().filter((mark) => mark !== 0);
    const early = marks.slice(0, 1600);
    const high = early.filter((mark) => mark === 1).length;
    expect(high / (early.length - high)).toBeGreaterThan(6);
    expect(marks).toHaveLength(3800);
  });

  it('forgets flows that have been empty for long', () => {
    make([
      [TCA_FQ_BUCKETS_LOG, 1],
      [TCA_FQ_ORPHAN_MASK, 0xffff],
    ]);
    until(1);
    for (let flow = 0; flow < 20; flow++) put({ flow, atMs: 2 });
    until(3);
    expect(take()).toHaveLength(20);
    // Not yet: one that has just become empty keeps what it has left.
    put({ flow: 100, atMs: 4 });
    put({ flow: 101, atMs: 10_001 });
    until(5);
    take();
    expect(stat(tcFqQdStats.FLOWS)).toBe(22);
    until(10_000);
    // They go, eight at a time, when a packet looks through their bucket.
    for (let flow = 200; flow < 210; flow++) put({ flow, atMs: 10_001 });
    expect(stat(tcFqQdStats.GC_FLOWS)).toBe(21);
    expect(stat(tcFqQdStats.FLOWS)).toBe(11);
  });

  it('refuses settings that make no sense', () => {
    expect(make([[TCA_FQ_QUANTUM, 0]])).toBe(-EINVAL);
    expect(make([[TCA_FQ_QUANTUM, (1 << 20) + 1]])).toBe(-EINVAL);
  });
});
