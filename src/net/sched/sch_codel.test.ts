import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NetdevMachine, TestDevice } from '#drivers/net/testing/netdev_machine.ts';
import { type NetDevice, netdevGetTxQueue } from '#include/linux/netdevice.ts';
import { type SkBuff, SkBuffHead } from '#include/linux/skbuff.ts';
import { __skbDequeue } from '#include/linux/skbuff_queue.ts';
import { CodelVars, REC_INV_SQRT_ONE } from '#include/net/codel.ts';
import type { Qdisc } from '#include/net/sch_generic.ts';
import { csumFold, csumPartial } from '#lib/checksum.ts';
import { mem, view } from '#mm/memory.ts';
import { consumeSkb, kfreeSkb } from '#net/core/skbuff.ts';
import { codelNewtonStep } from '#net/sched/codel_impl.ts';
import { qdiscCreate } from '#net/sched/sch_api.ts';
import { qdiscPut } from '#net/sched/sch_generic.ts';
import { u32Attrs } from '#net/sched/tca.ts';
import { ETH_P_IP } from '#uapi/if_ether.ts';
import { INET_ECN_CE, INET_ECN_ECT_0, INET_ECN_MASK, iphdr } from '#uapi/ip.ts';
import {
  SKB_DROP_REASON_QDISC_CONGESTED,
  SKB_DROP_REASON_QDISC_OVERLIMIT,
} from '#uapi/net_dropreason.ts';
import {
  TCA_CODEL_CE_THRESHOLD,
  TCA_CODEL_ECN,
  TCA_CODEL_LIMIT,
  tcCodelXstats,
} from '#uapi/pkt_sched.ts';

const MS = 1e6;
const FRAME = 1000;

let m: NetdevMachine;
let dev: NetDevice;
let sch: Qdisc;
let lost: { atMs: number; reason: number }[];

function make(options: readonly (readonly [number, number])[] = []): void {
  const made = m.rtnl(() =>
    qdiscCreate(dev, netdevGetTxQueue(dev, 0), 'codel', 0, u32Attrs(options), { msg: '' }),
  );
  if (typeof made === 'number') throw new Error(`errno ${made}`);
  sch = made;
}

beforeEach(() => {
  m = new NetdevMachine();
  ({ dev } = new TestDevice(m));
  lost = [];
  m.machine.trace.skb.kfreeSkb.register((_s, _w, reason) =>
    lost.push({ atMs: m.host.clock / MS, reason }),
  );
});

afterEach(() => {
  qdiscPut(sch);
  m.end();
});

/** An IPv4 packet with its link header. */
function packet(tos: number): SkBuff {
  const skb = m.packet(new Array<number>(FRAME).fill(0));
  skb.protocol = ETH_P_IP;
  skb.networkHeader = skb.data + 14;
  mem[skb.networkHeader] = 0x45;
  iphdr.setTos(view, skb.networkHeader, tos);
  iphdr.setCheck(view, skb.networkHeader, 0);
  iphdr.setCheck(view, skb.networkHeader, csumFold(csumPartial(mem, skb.networkHeader, 20, 0)));
  skb.pktLen = skb.len;
  return skb;
}

function put(tos = 0): void {
  const toFree = new SkBuffHead();
  sch.ops.enqueue?.(packet(tos), sch, toFree);
  for (let skb = __skbDequeue(toFree); skb !== null; skb = __skbDequeue(toFree)) {
    kfreeSkb(skb, skb.cb0, 'test');
  }
}

/** Takes a packet out; its ECN bits, -1: there was none. */
function take(): number {
  const skb = sch.ops.dequeue(sch);
  if (skb === null) return -1;
  const ecn = iphdr.tos(view, skb.networkHeader) & INET_ECN_MASK;
  expect(csumFold(csumPartial(mem, skb.networkHeader, 20, 0))).toBe(0);
  consumeSkb(skb, 'test');
  return ecn;
}

/** A queue that always has 40 packets, of which one leaves each ms. */
function overload(ms: number, tos = 0): number[] {
  const marks: number[] = [];
  for (let t = 0; t < ms; t++) {
    while (sch.qlen < 40) put(tos);
    m.advance(MS);
    marks.push(take());
  }
  return marks;
}

describe('codel', () => {
  it('finds 1/sqrt(n) by Newton, in 16 bits', () => {
    make();
    const vars = new CodelVars();
    vars.count = 1;
    vars.recInvSqrt = REC_INV_SQRT_ONE;
    const errors: number[] = [];
    while (vars.count < 1000) {
      vars.count++;
      codelNewtonStep(vars);
      errors.push(Math.abs((vars.recInvSqrt / 65536) * Math.sqrt(vars.count) - 1));
    }
    // The first steps are coarse, as Linux's are.
    expect(Math.max(...errors.slice(8))).toBeLessThan(0.02);
  });

  it('leaves a queue below the target alone, and one that is short', () => {
    make();
    for (let i = 0; i < 1000; i++) {
      put();
      put();
      m.advance(3 * MS);
      take();
      take();
    }
    put();
    m.advance(2000 * MS);
    take();
    expect(lost).toEqual([]);
  });

  it('drops ever faster while the queue stands: interval over the root of the count', () => {
    make();
    overload(600);
    const times = lost.map(({ atMs }) => atMs);
    expect(lost.every(({ reason }) => reason === SKB_DROP_REASON_QDISC_CONGESTED)).toBe(true);
    // At the target at 5 ms; the first drop an interval later.
    expect(Math.abs((times[0] as number) - 105)).toBeLessThanOrEqual(1);
    const gaps = times.slice(1).map((t, i) => t - (times[i] as number));
    // One step of Newton's method for the root of 2 comes to 1/2.
    const wanted = (n: number): number => (n === 2 ? 50 : 100 / Math.sqrt(n));
    gaps.forEach((gap, i) => {
      expect(Math.abs(gap - wanted(i + 1))).toBeLessThan(5);
    });
    expect(gaps.length).toBeGreaterThan(8);
    expect(sch.drops).toBe(lost.length);
  });

  it('marks instead of dropping what can be marked, with a right checksum', () => {
    make([[TCA_CODEL_ECN, 1]]);
    const marked = overload(600, INET_ECN_ECT_0).filter((ecn) => ecn === INET_ECN_CE).length;
    expect(marked).toBeGreaterThan(8);
    expect(lost).toEqual([]);
    const bytes = sch.ops.dumpStats?.(sch) ?? new Uint8Array(tcCodelXstats.LEN);
    const stats = new DataView(bytes.buffer);
    expect(tcCodelXstats.ecnMark(stats, 0)).toBe(marked);
    expect(tcCodelXstats.maxpacket(stats, 0)).toBe(FRAME);
    expect(tcCodelXstats.dropping(stats, 0)).toBe(1);
  });

  it('marks every packet that waited for longer than the threshold, and drops none for it', () => {
    make([[TCA_CODEL_CE_THRESHOLD, 1000]]);
    put(INET_ECN_ECT_0);
    put(INET_ECN_ECT_0);
    put(0);
    m.advance(0.9 * MS);
    expect(take()).toBe(INET_ECN_ECT_0);
    m.advance(0.2 * MS);
    expect(take()).toBe(INET_ECN_CE);
    expect(take()).toBe(0);
    expect(take()).toBe(-1);
    expect(lost).toEqual([]);
  });

  it('drops what comes when it is full, and the oldest when it becomes shorter', () => {
    make([[TCA_CODEL_LIMIT, 5]]);
    for (let i = 0; i < 7; i++) put();
    expect(sch.qlen).toBe(5);
    expect(sch.ops.change?.(sch, u32Attrs([[TCA_CODEL_LIMIT, 2]]))).toBe(0);
    expect([sch.qlen, sch.backlog]).toEqual([2, 2 * FRAME]);
    expect(lost.map(({ reason }) => reason)).toEqual(
      new Array(5).fill(SKB_DROP_REASON_QDISC_OVERLIMIT),
    );
  });
});
