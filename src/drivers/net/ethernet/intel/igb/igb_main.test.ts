import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  IGB_RX_BUFFER_WRITE,
  type IgbAdapter,
  type IgbRxRing,
  type IgbTxRing,
  igbAdapter,
  igbDescUnused,
} from '#drivers/net/ethernet/intel/igb/igb.ts';
import type { IgbNic, IgbPlugOptions } from '#drivers/net/ethernet/intel/igb/igb_plug.ts';
import { Lan, sendTest } from '#drivers/net/testing/lan.ts';
import {
  bytes,
  linkedPair,
  MAC_A,
  MAC_B,
  MS,
  type NicPair,
  nicPair,
  padded,
} from '#drivers/net/testing/pair.ts';
import {
  NETDEV_TX_BUSY,
  netdevGetTxQueue,
  netifCarrierOk,
  netifQueueStopped,
} from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { skbGet, skbIsNonlinear } from '#include/linux/skbuff.ts';
import { disableIrq, enableIrq } from '#kernel/irq.ts';
import { allocPages, putPage } from '#mm/page_alloc.ts';
import { devGetStats, devSetMacAddress, devSetMtu, devSetPromiscuity } from '#net/core/dev.ts';
import { devMcAdd, devMcDel } from '#net/core/dev_addr_lists.ts';
import { consumeSkb } from '#net/core/skbuff.ts';
import { ENOMEM } from '#uapi/errno.ts';

/** By then the watchdog has seen that the link is gone: it looks every two seconds, as in Linux. */
const WATCHDOG = 2_100 * MS;

interface Pair extends NicPair<IgbNic> {
  readonly adapterA: IgbAdapter;
  readonly adapterB: IgbAdapter;
}

type Options = Partial<IgbPlugOptions>;

function pair(optionsA: Options = {}, optionsB: Options = {}): Pair {
  const all = nicPair(
    (machine, at) => machine.plugIgb({ ...at, ...optionsA }),
    (machine, at) => machine.plugIgb({ ...at, ...optionsB }),
  );
  return { ...all, adapterA: igbAdapter(all.nicA.dev), adapterB: igbAdapter(all.nicB.dev) };
}

function linked(run: (pair: Pair) => void, optionsA: Options = {}, optionsB: Options = {}): void {
  linkedPair(pair(optionsA, optionsB), run);
}

function rxRing(adapter: IgbAdapter): IgbRxRing {
  return adapter.rxRing[0] as IgbRxRing;
}

function txRing(adapter: IgbAdapter): IgbTxRing {
  return adapter.txRing[0] as IgbTxRing;
}

/** A counter as `ethtool -S` tells it. */
function statistic(nic: IgbNic, name: string): number {
  const { ethtoolOps } = nic.dev;
  const names = ethtoolOps?.getStrings?.(nic.dev) ?? [];
  const values = ethtoolOps?.getEthtoolStats?.(nic.dev) ?? [];
  expect(names).toContain(name);
  return values[names.indexOf(name)] ?? -1;
}

test('a card is probed and becomes an interface that is down', () => {
  const lan = new Lan();
  const machine = lan.boot('a');
  const { dev } = machine.plugIgb({ mac: MAC_A });
  expect([dev.name, dev.mtu, dev.maxMtu, dev.numTxQueues]).toEqual(['eth0', 1500, 9216, 8]);
  expect([dev.realNumTxQueues, dev.realNumRxQueues]).toEqual([1, 1]);
  expect([...dev.devAddr.subarray(0, 6)]).toEqual([...MAC_A]);
  expect(netifCarrierOk(dev)).toBe(false);
  expect(machine.plugIgb({ mac: MAC_B, name: 'lan1' }).dev.name).toBe('lan1');
  expect(() => machine.plugIgb({ mac: MAC_B, name: 'lan1' })).toThrow('name lan1');
  expect(machine.machine.pci.devices).toHaveLength(2);
  expect(lan.shutDown()).toEqual({});
});

test('a queue for each CPU, up to eight; vectors are shared beyond four', () => {
  for (const [cpus, queues, vectors] of [
    [1, 1, 2],
    [4, 4, 8],
    [6, 6, 6],
    [16, 8, 8],
  ] as const) {
    const lan = new Lan();
    const { dev } = lan.boot('a', cpus).plugIgb({ mac: MAC_A });
    const adapter = igbAdapter(dev);
    expect([dev.realNumRxQueues, adapter.qVector.length]).toEqual([queues, vectors]);
    expect(lan.shutDown()).toEqual({});
  }
});

test('speed and duplex are known while there is a link', () => {
  linked(({ lan, b, nicA: { dev }, nicB }) => {
    const get = (): unknown => dev.ethtoolOps?.getLinkKsettings?.(dev);
    expect(get()).toEqual({ speedMbps: 1000, duplexFull: true, autoneg: true });
    b.down(nicB.dev);
    lan.pass(WATCHDOG);
    expect(get()).toEqual({ speedMbps: -1, duplexFull: null, autoneg: true });
  });
});

test('packets cross in both directions', () => {
  linked(({ lan, a, b, nicA, nicB }) => {
    expect(sendTest(nicA.dev, MAC_B, bytes(100))).toBe(0);
    expect(sendTest(nicB.dev, MAC_A, bytes(1500, 5))).toBe(0);
    lan.pass(MS);
    expect(b.received.map((packet) => [...packet])).toEqual([[...bytes(100)]]);
    expect(a.received.map((packet) => [...packet])).toEqual([[...bytes(1500, 5)]]);
    expect(devGetStats(nicB.dev)).toMatchObject({ rxPackets: 1, rxBytes: 114, txPackets: 1 });
    expect(statistic(nicB, 'rx_queue_0_packets')).toBe(1);
  });
});

test('what is shorter than 17 octets is padded to them by the driver, the rest by the chip', () => {
  linked(({ lan, b, nicA }) => {
    for (const length of [28, 3, 1]) sendTest(nicA.dev, MAC_B, bytes(length));
    lan.pass(5 * MS);
    expect(b.received.map((got) => [...got])).toEqual([28, 3, 1].map((n) => padded(bytes(n))));
    expect(devGetStats(nicA.dev)).toMatchObject({ txPackets: 3, txBytes: 42 + 17 + 17 });
  });
});

test.each([['build_skb'], ['legacy-rx']])(
  'what goes in comes out, whatever its size and its pieces: %s',
  (mode) => {
    const packet = fc.record({
      length: fc.integer({ min: 1, max: 1500 }),
      frag: fc.boolean(),
      seed: fc.nat(255),
      gapNs: fc.integer({ min: 0, max: 30_000 }),
    });
    fc.assert(
      fc.property(fc.array(packet, { maxLength: 60 }), (packets) => {
        linked(({ lan, b, nicA, nicB }) => {
          if (mode === 'legacy-rx') {
            b.locked(() => nicB.dev.ethtoolOps?.setPrivFlags?.(nicB.dev, 1));
            lan.pass(10 * MS);
          }
          for (const { length, frag, seed, gapNs } of packets) {
            const fragBytes = frag ? length >> 1 : 0;
            expect(sendTest(nicA.dev, MAC_B, bytes(length, seed), fragBytes)).toBe(0);
            lan.pass(gapNs);
          }
          lan.pass(10 * MS);
          expect(b.received.map((got) => [...got])).toEqual(
            packets.map(({ length, seed }) => padded(bytes(length, seed))),
          );
        });
      }),
      { numRuns: 15, seed: 7 },
    );
  },
);

test('rings wrap many times', () => {
  const params = { txDescriptors: 64, rxDescriptors: 64 };
  linked(
    ({ lan, b, nicA }) => {
      for (let n = 0; n < 1000; n++) {
        sendTest(nicA.dev, MAC_B, bytes(64, n));
        if (n % 10 === 9) lan.pass(MS / 5);
      }
      lan.pass(10 * MS);
      expect(b.received).toHaveLength(1000);
      expect(b.received.every((got, n) => got[0] === (n & 0xff))).toBe(true);
    },
    { params },
    { params },
  );
});

test('a full ring stops its queue; packets wait in the qdisc, and none is refused', () => {
  linked(
    ({ lan, a, b, nicA, adapterA }) => {
      let busy = 0;
      a.machine.trace.net.netDevXmit.register((_skb, rc) => {
        if (rc === NETDEV_TX_BUSY) busy++;
      });
      // As by byte_queue_limits/limit_min, which counts from the next completion on: else few fit.
      netdevGetTxQueue(nicA.dev, 0).dql.minLimit = 1 << 20;
      sendTest(nicA.dev, MAC_B, bytes(1000, 0));
      lan.pass(MS);
      for (let n = 1; n < 300; n++) sendTest(nicA.dev, MAC_B, bytes(1000, n));
      expect(netifQueueStopped(nicA.dev)).toBe(true);
      lan.pass(20 * MS);
      expect(b.received).toHaveLength(300);
      expect(busy).toBe(0);
      expect(txRing(adapterA).restartQueue).toBeGreaterThan(0);
      expect(netifQueueStopped(nicA.dev)).toBe(false);
    },
    { params: { txDescriptors: 64 } },
  );
});

test('pages go round while the stack gives their halves back in time', () => {
  linked(({ lan, b, nicA, adapterB }) => {
    const ring = rxRing(adapterB);
    const before = ring.allocPages;
    expect(before).toBe(ring.count - 1);
    for (let n = 0; n < 2000; n++) {
      sendTest(nicA.dev, MAC_B, bytes(1500, n));
      if (n % 20 === 19) lan.pass(MS);
    }
    lan.pass(MS);
    expect(b.received).toHaveLength(2000);
    expect(ring.reusedPages).toBe(2000);
    expect(ring.allocPages).toBe(before);
  });
});

test('a page whose other half is still with the stack is left to it, and replaced', () => {
  linked(({ lan, b, nicA, adapterB }) => {
    const ring = rxRing(adapterB);
    const held: SkBuff[] = [];
    b.onPacket = (skb) => {
      held.push(skbGet(skb));
    };
    const before = ring.allocPages;
    // Each page is used twice before both of its halves are gone.
    const count = 2 * (ring.count - 1);
    for (let n = 0; n < count; n++) {
      sendTest(nicA.dev, MAC_B, bytes(1000, n));
      if (n % 20 === 19) lan.pass(MS);
    }
    lan.pass(MS);
    expect(held).toHaveLength(count);
    expect(ring.allocPages - before).toBeGreaterThan(200);
    expect(ring.reusedPages + (ring.allocPages - before)).toBeGreaterThan(count - 64);
    expect(
      b.received.every((got, n) => got[0] === (n & 0xff)),
      'nothing written over',
    ).toBe(true);
    expect(held.every((skb) => skb.len === 1000)).toBe(true);
    for (const skb of held) consumeSkb(skb);
  });
});

test('of a long packet legacy-rx copies the headers only', () => {
  linked(({ lan, b, nicA, nicB }) => {
    b.locked(() => nicB.dev.ethtoolOps?.setPrivFlags?.(nicB.dev, 1));
    expect(nicB.dev.ethtoolOps?.getPrivFlags?.(nicB.dev)).toBe(1);
    lan.pass(10 * MS);
    const shapes: boolean[] = [];
    b.onPacket = (skb) => {
      shapes.push(skbIsNonlinear(skb));
    };
    sendTest(nicA.dev, MAC_B, bytes(200));
    sendTest(nicA.dev, MAC_B, bytes(1400));
    lan.pass(MS);
    expect(shapes).toEqual([false, true]);
  });
});

test('jumbo frames come in pieces', () => {
  linked(({ lan, a, b, nicA, nicB, adapterB }) => {
    for (const [machine, nic] of [
      [a, nicA],
      [b, nicB],
    ] as const) {
      expect(machine.locked(() => devSetMtu(nic.dev, 9000))).toBe(0);
    }
    lan.pass(10 * MS);
    for (let n = 0; n < 400; n++) {
      sendTest(nicA.dev, MAC_B, bytes(9000 - n, n));
      lan.pass(MS / 5);
    }
    lan.pass(10 * MS);
    expect(b.received).toHaveLength(400);
    expect(b.received.every((got, n) => got.length === 9000 - n && got[0] === (n & 0xff))).toBe(
      true,
    );
    expect(rxRing(adapterB).usesBuildSkb).toBe(false);
    expect(b.locked(() => devSetMtu(nicB.dev, 1500))).toBe(0);
    lan.pass(10 * MS);
    sendTest(nicA.dev, MAC_B, bytes(5000));
    sendTest(nicA.dev, MAC_B, bytes(50));
    lan.pass(MS);
    expect(b.received, 'too long for the other end').toHaveLength(401);
    expect(statistic(nicB, 'rx_long_length_errors')).toBe(1);
  });
});

/** Keeps the receiver of b from polling while `count` packets arrive, then has `before` called. */
function flood(all: Pair, count: number, length: number, before: () => void = () => {}): void {
  const { lan, b, nicA } = all;
  const irqs = b.machine.pci.devices.flatMap(({ msixIrqs }) => [...msixIrqs]);
  for (const irq of irqs) disableIrq(b.machine, irq);
  for (let n = 0; n < count; n++) {
    sendTest(nicA.dev, MAC_B, bytes(length, n));
    lan.pass(MS / 50);
  }
  lan.pass(5 * MS);
  before();
  for (const irq of irqs) enableIrq(b.machine, irq);
  lan.pass(5 * MS);
}

test('with one queue frames wait for descriptors in the packet buffer, until that is full', () => {
  linked(
    (all) => {
      // 63 descriptors, and 64 KiB of packet buffer behind them: 43 frames of 1514.
      flood(all, 200, 1500);
      expect(all.b.received).toHaveLength(63 + 43);
      expect(statistic(all.nicB, 'rx_no_buffer_count')).toBe(43);
      expect(statistic(all.nicB, 'rx_missed_errors')).toBe(200 - 63 - 43);
      expect(devGetStats(all.nicB.dev).rxMissedErrors).toBe(200 - 63 - 43);
      sendTest(all.nicA.dev, MAC_B, bytes(80));
      all.lan.pass(MS);
      expect(all.b.received, 'it goes on').toHaveLength(63 + 43 + 1);
    },
    {},
    { params: { rxDescriptors: 64 } },
  );
});

test('with several queues what finds no descriptor is dropped, and counted by its queue', () => {
  linked(
    (all) => {
      flood(all, 200, 500);
      expect(all.b.received).toHaveLength(63);
      expect(statistic(all.nicB, 'rx_queue_0_drops')).toBe(200 - 63);
      expect(statistic(all.nicB, 'rx_queue_1_drops')).toBe(0);
      expect(statistic(all.nicB, 'rx_no_buffer_count')).toBe(0);
      expect(devGetStats(all.nicB.dev).rxFifoErrors).toBe(200 - 63);
    },
    {},
    { params: { rxDescriptors: 64, rssQueues: 2 } },
  );
});

test('when memory is short the ring runs low, and fills again', () => {
  linked((all) => {
    const { lan, b, nicA, adapterB } = all;
    const ring = rxRing(adapterB);
    const held: SkBuff[] = [];
    b.onPacket = (skb) => {
      held.push(skbGet(skb));
    };
    // One half of every page stays with the stack, so that none can go round again.
    for (let n = 0; n < ring.count - 1; n++) {
      sendTest(nicA.dev, MAC_B, bytes(60, n));
      lan.pass(MS / 10);
    }
    const hoard: number[] = [];
    flood(all, 200, 60, () => {
      for (const size of [131072, 32768, 2048]) {
        for (let page = allocPages(size); page !== 0; page = allocPages(size)) hoard.push(page);
      }
    });
    const { allocFailed } = ring;
    for (const page of hoard) putPage(page);
    for (const skb of held) consumeSkb(skb);
    b.onPacket = () => {};
    expect(allocFailed).toBeGreaterThan(0);
    expect(b.received, 'what was in the ring').toHaveLength(ring.count - 1 + 200);
    for (let n = 0; n < 600; n++) {
      sendTest(nicA.dev, MAC_B, bytes(60, n));
      lan.pass(MS / 10);
    }
    expect(b.received).toHaveLength(ring.count - 1 + 200 + 600);
    expect(igbDescUnused(ring)).toBeLessThan(IGB_RX_BUFFER_WRITE);
  });
});

test('the link comes with the peer, goes with it, and traffic resumes', () => {
  const { lan, wire, a, b, nicA, nicB } = pair();
  a.up(nicA.dev);
  lan.pass(10 * MS);
  expect(netifCarrierOk(nicA.dev)).toBe(false);
  b.up(nicB.dev);
  lan.pass(10 * MS);
  expect(netifCarrierOk(nicA.dev)).toBe(true);
  wire.cut(false);
  lan.pass(WATCHDOG);
  expect(netifCarrierOk(nicA.dev)).toBe(false);
  wire.cut(true);
  lan.pass(10 * MS);
  expect(netifCarrierOk(nicA.dev)).toBe(true);
  sendTest(nicA.dev, MAC_B, bytes(100));
  lan.pass(MS);
  expect(b.received).toHaveLength(1);
  expect(lan.shutDown()).toEqual({});
});

test('a hanging transmitter is noticed and reset, and the next packets leave', () => {
  linked(({ lan, b, nicA, adapterA }) => {
    nicA.card.chip.faults.txHang = true;
    sendTest(nicA.dev, MAC_B, bytes(100));
    lan.pass(20_000 * MS);
    expect(adapterA.txTimeoutCount).toBe(1);
    expect(adapterA.txHangCount).toBeGreaterThan(0);
    expect(statistic(nicA, 'tx_timeout_count')).toBe(1);
    expect(netifCarrierOk(nicA.dev)).toBe(true);
    sendTest(nicA.dev, MAC_B, bytes(100));
    lan.pass(MS);
    expect(b.received).toHaveLength(1);
  });
});

test('filters: own address, groups that were joined, everything when promiscuous', () => {
  linked(({ lan, b, nicA, nicB }) => {
    const group = Uint8Array.of(0x01, 0x00, 0x5e, 1, 2, 3);
    const stranger = Uint8Array.of(2, 0, 0, 0, 0, 0x77);
    const arrives = (to: Uint8Array): boolean => {
      const before = b.received.length;
      sendTest(nicA.dev, to, bytes(100));
      lan.pass(MS);
      return b.received.length > before;
    };
    expect([arrives(MAC_B), arrives(group), arrives(stranger)]).toEqual([true, false, false]);
    b.locked(() => devMcAdd(nicB.dev, group));
    expect(arrives(group)).toBe(true);
    b.locked(() => devMcDel(nicB.dev, group));
    expect(arrives(group)).toBe(false);
    b.locked(() => devSetPromiscuity(nicB.dev, 1));
    expect(nicB.card.chip.rxFifo).toHaveLength(0);
    sendTest(nicA.dev, stranger, bytes(100));
    lan.pass(MS);
    expect(devGetStats(nicB.dev).rxPackets).toBe(3);
    b.locked(() => devSetPromiscuity(nicB.dev, -1));
    expect(b.locked(() => devSetMacAddress(nicB.dev, stranger))).toBe(0);
    expect([arrives(MAC_B), arrives(stranger)]).toEqual([false, true]);
  });
});

test('a fixed interval bounds the interrupts a second; 0 lets each frame interrupt', () => {
  const interrupts = (rxUsecs: number): number => {
    let count = 0;
    linked(({ lan, b, nicA, nicB }) => {
      expect(b.locked(() => nicB.dev.ethtoolOps?.setCoalesce?.(nicB.dev, rxUsecs, 3))).toBe(0);
      // The first interrupt writes the interval.
      sendTest(nicA.dev, MAC_B, bytes(60));
      lan.pass(MS);
      const desc = b.machine.irqs.desc(b.machine.pci.devices[0]?.msixIrqs[1] ?? 0);
      const before = desc.counts[0] ?? 0;
      const until = lan.nowNs + 100 * MS;
      while (lan.nowNs < until) {
        sendTest(nicA.dev, MAC_B, bytes(60));
        lan.pass(10_000);
      }
      count = (desc.counts[0] ?? 0) - before;
      lan.pass(MS);
      expect(b.received).toHaveLength(10_001);
    });
    return count;
  };
  // A tenth of a second: a thousand intervals of 100 us, four hundred of 250.
  expect(Math.abs(interrupts(100) - 1000)).toBeLessThanOrEqual(1);
  expect(interrupts(250)).toBeLessThanOrEqual(401);
  expect(interrupts(0)).toBeGreaterThan(9_000);
});

test('dynamic throttling: long frames interrupt less often than short ones', () => {
  linked(({ lan, nicA, adapterB }) => {
    const settle = (length: number, gapNs: number): number => {
      for (let n = 0; n < 400; n++) {
        sendTest(nicA.dev, MAC_B, bytes(length, n));
        lan.pass(gapNs);
      }
      return adapterB.qVector[0]?.itrVal ?? 0;
    };
    const long = settle(1500, 13_000);
    const short = settle(46, 2_000);
    expect(long).toBe(Math.floor((1514 + 24) / 2));
    // Mode 3 knows no intervals below 50 us.
    expect(short).toBe(196);
  });
});

test('what cannot be set is refused', () => {
  linked(({ a, nicA }) => {
    const { dev } = nicA;
    const ops = dev.ethtoolOps;
    const EINVAL = -22;
    const EOPNOTSUPP = -95;
    expect(ops?.setCoalesce?.(dev, 5, 3)).toBe(EINVAL);
    expect(ops?.setCoalesce?.(dev, 20_000, 3)).toBe(EINVAL);
    const channels = ops?.getChannels?.(dev);
    if (channels === undefined) throw new Error('no channels');
    expect(a.locked(() => ops?.setChannels?.(dev, { ...channels, combinedCount: 9 }))).toBe(EINVAL);
    expect(a.locked(() => ops?.setChannels?.(dev, { ...channels, rxCount: 1 }))).toBe(EINVAL);
    const indir = new Array<number>(128).fill(1);
    expect(ops?.setRxfh?.(dev, { indir, key: null, hfunc: 0 })).toBe(EINVAL);
    expect(ops?.setRxfh?.(dev, { indir: null, key: null, hfunc: 2 })).toBe(EOPNOTSUPP);
    expect(ops?.setRxfhFields?.(dev, 1, 0x30)).toBe(EINVAL);
    expect(ops?.getRxfhFields?.(dev, 0x77)).toBe(EINVAL);
  });
});

test('rings and queues change while packets flow, and nothing is lost afterwards', () => {
  linked(({ lan, a, b, nicA, nicB, adapterB }) => {
    const ops = nicB.dev.ethtoolOps;
    const check = (): void => {
      lan.pass(20 * MS);
      const before = b.received.length;
      for (let n = 0; n < 100; n++) sendTest(nicA.dev, MAC_B, bytes(700, n));
      lan.pass(20 * MS);
      expect(b.received.length - before).toBe(100);
    };
    check();
    expect(b.locked(() => ops?.setRingparam?.(nicB.dev, 512, 100))).toBe(0);
    expect([adapterB.rxRing[0]?.count, adapterB.txRing[0]?.count]).toEqual([512, 104]);
    check();
    const channels = ops?.getChannels?.(nicB.dev);
    if (channels === undefined) throw new Error('no channels');
    for (const combinedCount of [8, 3, 1]) {
      expect(b.locked(() => ops?.setChannels?.(nicB.dev, { ...channels, combinedCount }))).toBe(0);
      expect(nicB.dev.realNumRxQueues).toBe(combinedCount);
      check();
    }
    expect(a.received).toEqual([]);
  });
});

test('without memory for larger rings a device keeps those it has, and works on', () => {
  linked(({ lan, b, nicA, nicB, adapterB }) => {
    const ops = nicB.dev.ethtoolOps;
    // A part of every page stays with the stack, so that no ring's pages make a larger block.
    const held: SkBuff[] = [];
    b.onPacket = (skb) => {
      held.push(skbGet(skb));
    };
    for (let n = 0; n < 255; n++) {
      sendTest(nicA.dev, MAC_B, bytes(60, n));
      lan.pass(MS / 10);
    }
    b.onPacket = () => {};
    for (const [rx, tx] of [
      [4096, 256],
      [256, 4096],
    ] as const) {
      const hoard: number[] = [];
      for (const size of [131072, 32768, 2048]) {
        for (let page = allocPages(size); page !== 0; page = allocPages(size)) hoard.push(page);
      }
      expect(b.locked(() => ops?.setRingparam?.(nicB.dev, rx, tx))).toBe(-ENOMEM);
      for (const page of hoard) putPage(page);
      expect(ops?.getRingparam?.(nicB.dev)).toMatchObject({ rxPending: 256, txPending: 256 });
      expect([rxRing(adapterB).count, txRing(adapterB).count]).toEqual([256, 256]);
      lan.pass(4_000 * MS);
      const before = b.received.length;
      sendTest(nicA.dev, MAC_B, bytes(100));
      lan.pass(MS);
      expect(b.received.length).toBe(before + 1);
    }
    for (const skb of held) consumeSkb(skb);
  });
});

test('a card that is pulled out while packets are under way leaves nothing', () => {
  linked(({ lan, nicA, nicB }) => {
    for (let n = 0; n < 50; n++) sendTest(nicA.dev, MAC_B, bytes(1400, n));
    lan.pass(100_000);
    nicA.unplug();
    nicB.unplug();
    lan.pass(100 * MS);
  });
});
