import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NetdevMachine, TestDevice } from '#drivers/net/testing/netdev_machine.ts';
import { type NetDevice, netdevGetTxQueue, netifStopQueue } from '#include/linux/netdevice.ts';
import type { Qdisc } from '#include/net/sch_generic.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import { devChangeTxQueueLen } from '#net/core/dev.ts';
import { devQueueXmit, netifWakeQueue } from '#net/core/dev_tx.ts';
import { qdiscGraftRoot, qdiscSetDefault } from '#net/sched/sch_api.ts';
import { ENOENT } from '#uapi/errno.ts';
import { ETH_P_IP } from '#uapi/if_ether.ts';
import { SKB_DROP_REASON_QDISC_OVERLIMIT } from '#uapi/net_dropreason.ts';
import {
  prio2band,
  TC_PRIO_BESTEFFORT,
  TC_PRIO_BULK,
  TC_PRIO_CONTROL,
  TC_PRIO_INTERACTIVE,
} from '#uapi/pkt_sched.ts';

let m: NetdevMachine;

beforeEach(() => {
  m = new NetdevMachine();
});

afterEach(() => m.end());

function device(adjust?: (d: NetDevice) => void): TestDevice {
  const t = new TestDevice(m, {}, adjust);
  m.setUp(t.dev);
  return t;
}

function queueOf(t: TestDevice): Qdisc {
  return netdevGetTxQueue(t.dev, 0).qdisc;
}

/** Sends a frame that ends in `tag`; the answer of dev_queue_xmit(). */
function send(t: TestDevice, tag: number, priority = 0, len = 60): number {
  const bytes = new Array<number>(len).fill(0);
  bytes[len - 1] = tag;
  const skb = m.packet(bytes);
  skb.dev = t.dev;
  skb.protocol = ETH_P_IP;
  skb.priority = priority;
  return devQueueXmit(skb);
}

/**
 * Stops the queue and sends one frame, which an empty qdisc passes straight to the driver: refused,
 * it waits before all others.
 */
const PLUG = 255;
function plug(t: TestDevice): void {
  netifStopQueue(t.dev);
  send(t, PLUG);
}

function wake(t: TestDevice): void {
  localBhDisable(m.machine);
  netifWakeQueue(t.dev);
  localBhEnable(m.machine);
}

const tags = (t: TestDevice): number[] => t.sent.map((f) => f.at(-1) as number);

describe('pfifo_fast', () => {
  it('is the default, with three bands by priority', () => {
    const t = device();
    expect(queueOf(t).ops.id).toBe('pfifo_fast');
    plug(t);
    send(t, 1, TC_PRIO_BULK);
    send(t, 2, TC_PRIO_BESTEFFORT);
    send(t, 3, TC_PRIO_CONTROL);
    send(t, 4, TC_PRIO_BULK);
    send(t, 5, TC_PRIO_INTERACTIVE);
    expect(tags(t)).toEqual([]);
    wake(t);
    expect(tags(t)).toEqual([PLUG, 3, 5, 2, 1, 4]);
  });

  it('keeps the order within a band and never lets a lower one pass', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(15), { maxLength: 30 }), (priorities) => {
        const t = device();
        plug(t);
        priorities.forEach((p, i) => {
          send(t, i, p);
        });
        wake(t);
        const want = priorities
          .map((p, i) => ({ band: prio2band[p] as number, i }))
          .sort((a, b) => a.band - b.band || a.i - b.i)
          .map(({ i }) => i);
        expect(tags(t)).toEqual([PLUG, ...want]);
        expect([queueOf(t).qlen, queueOf(t).backlog]).toEqual([0, 0]);
        t.remove();
      }),
      { numRuns: 50 },
    );
  });

  it('drops the newest of a full band, with its reason', () => {
    const t = device((d) => {
      d.txQueueLen = 3;
    });
    const lost: number[] = [];
    m.machine.trace.skb.kfreeSkb.register((_s, _w, reason) => lost.push(reason));
    plug(t);
    for (let i = 0; i < 5; i++) send(t, i);
    for (let i = 5; i < 7; i++) send(t, i, TC_PRIO_CONTROL);
    expect(lost).toEqual([SKB_DROP_REASON_QDISC_OVERLIMIT, SKB_DROP_REASON_QDISC_OVERLIMIT]);
    expect([queueOf(t).drops, queueOf(t).qlen]).toEqual([2, 6]);
    wake(t);
    expect(tags(t)).toEqual([PLUG, 5, 6, 0, 1, 2]);
  });

  it('sends no more than its quota at once, and goes on in NET_TX', () => {
    const t = device();
    netifStopQueue(t.dev);
    for (let i = 0; i < 200; i++) send(t, i);
    wake(t);
    m.settle();
    localBhDisable(m.machine);
    localBhEnable(m.machine);
    expect(tags(t)).toEqual(Array.from({ length: 200 }, (_, i) => i));
  });

  it('takes a new length', () => {
    const t = device();
    expect(m.rtnl(() => devChangeTxQueueLen(t.dev, 2))).toBe(0);
    plug(t);
    for (let i = 0; i < 4; i++) send(t, i);
    expect(queueOf(t).qlen).toBe(3);
    expect(m.rtnl(() => devChangeTxQueueLen(t.dev, -1))).toBeLessThan(0);
  });
});

describe('other disciplines', () => {
  it('pfifo counts packets, bfifo bytes', () => {
    const p = device((d) => {
      d.txQueueLen = 2;
    });
    expect(m.rtnl(() => qdiscGraftRoot(p.dev, 'pfifo', 0x10000))).toBe(0);
    plug(p);
    for (let i = 0; i < 4; i++) send(p, i, i & 1 ? TC_PRIO_CONTROL : 0);
    wake(p);
    expect(tags(p)).toEqual([PLUG, 0, 1]);
    const b = device((d) => {
      d.txQueueLen = 1;
      d.mtu = 500;
    });
    expect(m.rtnl(() => qdiscGraftRoot(b.dev, 'bfifo', 0))).toBe(0);
    plug(b);
    send(b, 1, 0, 300);
    send(b, 2, 0, 300);
    send(b, 3, 0, 150);
    // The refused frame of 60 bytes counts too.
    expect(queueOf(b).backlog).toBe(510);
    wake(b);
    expect(tags(b)).toEqual([PLUG, 1, 3]);
    expect(m.rtnl(() => qdiscGraftRoot(b.dev, 'nonsense', 0))).toBe(-ENOENT);
  });

  it('the default can be another', () => {
    expect(qdiscSetDefault(m.machine, 'nonsense')).toBe(-ENOENT);
    expect(qdiscSetDefault(m.machine, 'pfifo')).toBe(0);
    expect(queueOf(device()).ops.id).toBe('pfifo');
    expect(qdiscSetDefault(m.machine, 'fq_codel')).toBe(0);
    const t = device();
    expect(queueOf(t).ops.id).toBe('fq_codel');
    send(t, 7);
    expect(tags(t)).toEqual([7]);
  });

  it('a device without a queue has none', () => {
    const t = device((d) => {
      d.txQueueLen = 0;
      d.privFlags |= 1 << 21;
    });
    expect(queueOf(t).ops.id).toBe('noqueue');
    send(t, 7);
    expect(tags(t)).toEqual([7]);
  });
});
