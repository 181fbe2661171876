import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NetdevMachine, TestDevice } from '#drivers/net/testing/netdev_machine.ts';
import { NETIF_F_GRO } from '#include/linux/netdev_features.ts';
import {
  type NapiStruct,
  NET_RX_SUCCESS,
  type NetDevice,
  PacketType,
} from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { irqEnter, localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import {
  napiCompleteDone,
  napiDisable,
  napiEnable,
  napiSchedule,
  netifNapiAdd,
} from '#net/core/dev_napi.ts';
import { devAddPack } from '#net/core/dev_rx.ts';
import { napiGroReceive } from '#net/core/gro.ts';
import { consumeSkb } from '#net/core/skbuff.ts';
import { ethTypeTrans } from '#net/ethernet/eth.ts';
import { ETH_P_IP } from '#uapi/if_ether.ts';

let m: NetdevMachine;

beforeEach(() => {
  m = new NetdevMachine();
});

afterEach(() => m.end());

function bug(fn: () => void): string {
  try {
    fn();
  } catch (e) {
    if (e instanceof KernelBug) return e.invariant;
    throw e;
  }
  return 'no bug';
}

function receiver(type = ETH_P_IP): { got: SkBuff[]; pt: PacketType } {
  const got: SkBuff[] = [];
  const pt = new PacketType(type, (skb) => {
    got.push(skb);
    return NET_RX_SUCCESS;
  });
  devAddPack(m.machine, pt);
  return { got, pt };
}

/** A frame for (by default) the device itself. */
function frame(
  dev: NetDevice,
  dest: ArrayLike<number> = dev.devAddr.subarray(0, 6),
  type = ETH_P_IP,
): number[] {
  return [...Array.from(dest), 2, 0, 0, 0, 0, 9, type >> 8, type & 255, 0x45, 1, 2, 3];
}

/** As a driver in its poll receives it. */
function received(dev: NetDevice, bytes: number[]): SkBuff {
  const skb = m.packet(bytes);
  skb.protocol = ethTypeTrans(skb, dev);
  return skb;
}

describe('NAPI', () => {
  /** A device with `waiting` packets in its ring. */
  function polled(weight = 64): {
    t: TestDevice;
    napi: NapiStruct;
    ring: { waiting: number };
    polls: number[];
  } {
    const t = new TestDevice(m, {}, (dev) => {
      dev.hwFeatures |= NETIF_F_GRO;
    });
    m.setUp(t.dev);
    const ring = { waiting: 0 };
    const polls: number[] = [];
    const napi = netifNapiAdd(
      t.dev,
      (n, budget) => {
        let work = 0;
        while (work < budget && ring.waiting > 0) {
          ring.waiting--;
          work++;
          napiGroReceive(n, received(t.dev, frame(t.dev)));
        }
        polls.push(work);
        if (work < budget) napiCompleteDone(n, work);
        return work;
      },
      weight,
    );
    return { t, napi, ring, polls };
  }

  it('polls until the ring is empty, a weight at a time', () => {
    const { napi, ring, polls } = polled();
    const { got } = receiver();
    napiEnable(napi);
    ring.waiting = 150;
    napiSchedule(napi);
    m.settle();
    localBhDisable(m.machine);
    localBhEnable(m.machine);
    expect(polls).toEqual([64, 64, 22]);
    expect(got).toHaveLength(150);
    expect(napi.state & 1).toBe(0);
    for (const skb of got) consumeSkb(skb);
    napiDisable(napi);
  });

  it('gives a busy device one poll a soft interrupt, behind the others', () => {
    const busy = polled();
    const calm = polled();
    const { got } = receiver();
    const order: string[] = [];
    m.machine.trace.napi.napiPoll.register((n, work) => order.push(`${n.dev.name} ${work}`));
    busy.ring.waiting = 130;
    calm.ring.waiting = 1;
    for (const { napi } of [busy, calm]) {
      napiEnable(napi);
      napiSchedule(napi);
    }
    localBhDisable(m.machine);
    localBhEnable(m.machine);
    expect(order).toEqual(['eth0 64', 'eth1 1', 'eth0 64', 'eth0 2']);
    for (const skb of got) consumeSkb(skb);
    for (const { napi } of [busy, calm]) napiDisable(napi);
  });

  it('yields when the budget of 300 is spent, and counts that', () => {
    const all = [0, 1, 2, 3, 4, 5, 6].map(() => polled());
    const { got } = receiver();
    for (const { napi, ring } of all) {
      napiEnable(napi);
      ring.waiting = 64;
      napiSchedule(napi);
    }
    localBhDisable(m.machine);
    localBhEnable(m.machine);
    m.settle();
    expect(got).toHaveLength(7 * 64);
    // The fifth poll of 64 exceeds 300; the rest is for the next run.
    expect(m.machine.netGlobals.softnetData[0]?.timeSqueeze).toBe(1);
    for (const skb of got) consumeSkb(skb);
    for (const { napi } of all) napiDisable(napi);
  });

  it('yields when its time is over', () => {
    const all = [polled(), polled()];
    const { got } = receiver();
    for (const { napi, ring } of all) {
      napiEnable(napi);
      ring.waiting = 3;
      napiSchedule(napi);
    }
    m.host.readCostNs = 3e6;
    localBhDisable(m.machine);
    localBhEnable(m.machine);
    m.host.readCostNs = 0;
    m.settle();
    expect(m.machine.netGlobals.softnetData[0]?.timeSqueeze).toBeGreaterThan(0);
    expect(got).toHaveLength(6);
    for (const skb of got) consumeSkb(skb);
    for (const { napi } of all) napiDisable(napi);
  });

  it('remembers an interrupt that came during the poll', () => {
    const t = new TestDevice(m);
    m.setUp(t.dev);
    const answers: boolean[] = [];
    let polls = 0;
    const napi = netifNapiAdd(t.dev, (n) => {
      if (++polls === 1) expect(napiSchedule(n)).toBe(false);
      answers.push(napiCompleteDone(n, 0));
      return 0;
    });
    napiEnable(napi);
    expect(napiSchedule(napi)).toBe(true);
    localBhDisable(m.machine);
    localBhEnable(m.machine);
    expect([polls, answers]).toEqual([2, [false, true]]);
    napiDisable(napi);
    expect(napiSchedule(napi)).toBe(false);
    napiEnable(napi);
    napiDisable(napi);
  });

  it('disabling runs the poll that is due', () => {
    const { napi, ring, polls } = polled();
    const { got } = receiver();
    napiEnable(napi);
    ring.waiting = 3;
    irqEnter(m.machine);
    napiSchedule(napi);
    m.machine.cpu.hardirqCount--;
    napiDisable(napi);
    expect(polls).toEqual([3]);
    localBhDisable(m.machine);
    localBhEnable(m.machine);
    expect(polls).toEqual([3]);
    for (const skb of got) consumeSkb(skb);
  });

  it('is traced', () => {
    const { napi, ring } = polled();
    const { got } = receiver();
    const seen: [number, number][] = [];
    m.machine.trace.napi.napiPoll.register((_n, work, budget) => seen.push([work, budget]));
    napiEnable(napi);
    ring.waiting = 2;
    napiSchedule(napi);
    localBhDisable(m.machine);
    localBhEnable(m.machine);
    expect(seen).toEqual([[2, 64]]);
    for (const skb of got) consumeSkb(skb);
    napiDisable(napi);
  });

  it.runIf(DEBUG)('names the mistakes of drivers', () => {
    const t = new TestDevice(m);
    m.setUp(t.dev);
    const lazy = netifNapiAdd(t.dev, () => 0);
    napiEnable(lazy);
    expect(bug(() => napiEnable(lazy))).toBe('napi-enable-twice');
    napiSchedule(lazy);
    localBhDisable(m.machine);
    expect(bug(() => localBhEnable(m.machine))).toBe('napi-not-completed');
    // Nobody will ever complete it.
    expect(bug(() => napiDisable(lazy))).toBe('napi-disable-deadlock');
    // A kernel does not survive these: put together by hand.
    Object.assign(m.machine.cpu, { servingSoftirq: 0, bhDisableCount: 0, softirqPending: 0 });
    Object.assign(m.machine.netGlobals.softnetData[0] as object, { inNetRxAction: false });
  });
});
