import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type E1000Adapter, e1000Adapter } from '#drivers/net/ethernet/intel/e1000/e1000.ts';
import type { E1000Nic, E1000PlugOptions } from '#drivers/net/ethernet/intel/e1000/e1000_plug.ts';
import { Lan, sendTest, testPacket } from '#drivers/net/testing/lan.ts';
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
  netifXmitStopped,
} from '#include/linux/netdevice.ts';
import { disableIrq, enableIrq } from '#kernel/irq.ts';
import { devSetMacAddress, devSetMtu, devSetPromiscuity } from '#net/core/dev.ts';
import { devMcAdd, devMcDel } from '#net/core/dev_addr_lists.ts';

/** By then the watchdog has seen that the link is gone: it looks every two seconds, as in Linux. */
const WATCHDOG = 2_100 * MS;

interface Pair extends NicPair<E1000Nic> {
  readonly adapterA: E1000Adapter;
  readonly adapterB: E1000Adapter;
}

type Options = Partial<E1000PlugOptions>;

function pair(optionsA: Options = {}, optionsB: Options = {}): Pair {
  const all = nicPair(
    (machine, at) => machine.plug({ ...at, ...optionsA }),
    (machine, at) => machine.plug({ ...at, ...optionsB }),
  );
  return { ...all, adapterA: e1000Adapter(all.nicA.dev), adapterB: e1000Adapter(all.nicB.dev) };
}

function linked(run: (pair: Pair) => void, optionsA: Options = {}, optionsB: Options = {}): void {
  linkedPair(pair(optionsA, optionsB), run);
}

test('a card is probed and becomes an interface that is down', () => {
  const lan = new Lan();
  const { machine, plug } = { machine: lan.boot('a'), plug: { mac: MAC_A } };
  const { dev } = machine.plug(plug);
  expect([dev.name, dev.irq >= 16, dev.mtu, dev.maxMtu]).toEqual(['eth0', true, 1500, 16110]);
  expect([...dev.devAddr.subarray(0, 6)]).toEqual([...MAC_A]);
  expect(netifCarrierOk(dev)).toBe(false);
  expect(machine.plug({ mac: MAC_B, name: 'lan1' }).dev.name).toBe('lan1');
  expect(() => machine.plug({ mac: MAC_B, name: 'lan1' })).toThrow('name lan1');
  expect(machine.machine.pci.devices).toHaveLength(2);
  expect(lan.shutDown()).toEqual({});
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
    expect(nicB.dev.stats).toMatchObject({ rxPackets: 1, rxBytes: 114, txPackets: 1 });
  });
});

test('what goes in comes out, whatever its size and its pieces', () => {
  const packet = fc.record({
    length: fc.integer({ min: 1, max: 1500 }),
    frag: fc.boolean(),
    seed: fc.nat(255),
    gapNs: fc.integer({ min: 0, max: 30_000 }),
  });
  fc.assert(
    fc.property(fc.array(packet, { maxLength: 60 }), (packets) => {
      linked(({ lan, b, nicA }) => {
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
    { numRuns: 25, seed: 7 },
  );
});

test('rings wrap many times', () => {
  const params = { txDescriptors: 48, rxDescriptors: 48 };
  linked(
    ({ lan, b, nicA }) => {
      for (let n = 0; n < 500; n++) {
        sendTest(nicA.dev, MAC_B, bytes(64, n));
        if (n % 10 === 9) lan.pass(MS / 5);
      }
      lan.pass(10 * MS);
      expect(b.received).toHaveLength(500);
      expect(b.received.every((got, n) => got[0] === (n & 0xff))).toBe(true);
    },
    { params },
    { params },
  );
});

test('a full ring stops the queue; packets wait in the qdisc, and none is refused', () => {
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
      expect(adapterA.restartQueue).toBeGreaterThan(0);
      expect(netifQueueStopped(nicA.dev)).toBe(false);
    },
    { params: { txDescriptors: 64 } },
  );
});

test('the card is given no more bytes than it needs to stay busy', () => {
  linked(({ lan, b, nicA }) => {
    const txq = netdevGetTxQueue(nicA.dev, 0);
    let most = 0;
    nicA.dev.net.machine.trace.net.netDevXmit.register(() => {
      most = Math.max(most, (txq.dql.numQueued - txq.dql.numCompleted) | 0);
    });
    for (let round = 0; round < 60; round++) {
      for (let n = 0; n < 20; n++) sendTest(nicA.dev, MAC_B, bytes(1400, n));
      lan.pass(MS / 4);
    }
    lan.pass(50 * MS);
    expect(b.received).toHaveLength(1200);
    // Without a limit a ring of 256 would hold 360 KB.
    expect(most).toBeLessThan(150_000);
    expect(txq.dql.limit).toBeGreaterThan(1400);
    expect(txq.dql.numQueued).toBe(txq.dql.numCompleted);
  });
});

test('the link comes with the peer, goes with it, and traffic resumes', () => {
  const { lan, a, b, nicA, nicB } = pair();
  a.up(nicA.dev);
  lan.pass(10 * MS);
  expect(netifCarrierOk(nicA.dev), 'the peer shines as soon as it is probed').toBe(true);
  b.up(nicB.dev);
  b.down(nicB.dev);
  lan.pass(WATCHDOG);
  expect(netifCarrierOk(nicA.dev), 'its PHY is off').toBe(false);
  b.up(nicB.dev);
  lan.pass(WATCHDOG);
  expect(netifCarrierOk(nicA.dev)).toBe(true);
  sendTest(nicA.dev, MAC_B, bytes(80));
  lan.pass(MS);
  expect(b.received).toHaveLength(1);
  expect(lan.shutDown()).toEqual({});
});

test('a cut cable takes the carrier; a mended one gives it back; what hung in the ring is dropped', () => {
  linked(({ lan, wire, b, nicA, adapterA }) => {
    for (let n = 0; n < 20; n++) sendTest(nicA.dev, MAC_B, bytes(1500, n));
    wire.cut(false);
    lan.pass(WATCHDOG);
    expect(netifCarrierOk(nicA.dev)).toBe(false);
    expect(adapterA.txTimeoutCount, 'the ring could only be emptied by a reset').toBe(1);
    const before = b.received.length;
    wire.cut(true);
    lan.pass(WATCHDOG);
    expect(netifCarrierOk(nicA.dev)).toBe(true);
    sendTest(nicA.dev, MAC_B, bytes(60));
    lan.pass(MS);
    expect(b.received).toHaveLength(before + 1);
  });
});

test('a dead transmitter is noticed, reset, and works again', () => {
  linked(({ lan, b, nicA, adapterA }) => {
    nicA.card.chip.faults.txHang = true;
    for (let n = 0; n < 300; n++) sendTest(nicA.dev, MAC_B, bytes(500, n));
    expect(netifXmitStopped(netdevGetTxQueue(nicA.dev, 0)), 'at its byte limit').toBe(true);
    lan.pass(4_000 * MS);
    expect(adapterA.txTimeoutCount).toBe(0);
    lan.pass(8_000 * MS);
    expect(adapterA.txTimeoutCount).toBe(1);
    expect(nicA.card.chip.faults.txHang, 'reset').toBe(false);
    expect(netifCarrierOk(nicA.dev)).toBe(true);
    sendTest(nicA.dev, MAC_B, bytes(60));
    lan.pass(100 * MS);
    expect(b.received.at(-1)?.length).toBe(60);
  });
});

test('a transmitter that is beyond repair is reset again and again, and nothing is lost track of', () => {
  linked(({ lan, nicA, adapterA }) => {
    nicA.card.chip.faults.txDead = true;
    for (let round = 0; round < 3; round++) {
      for (let n = 0; n < 300; n++) sendTest(nicA.dev, MAC_B, bytes(500, n));
      lan.pass(15_000 * MS);
    }
    expect(adapterA.txTimeoutCount).toBeGreaterThanOrEqual(2);
  });
});

test('a receiver whose kernel does not poll loses frames and counts them', () => {
  linked(
    ({ lan, b, nicA, nicB, adapterB }) => {
      disableIrq(b.machine, nicB.dev.irq);
      for (let n = 0; n < 200; n++) {
        sendTest(nicA.dev, MAC_B, bytes(1400, n));
        lan.pass(20_000);
      }
      enableIrq(b.machine, nicB.dev.irq);
      lan.pass(4_000 * MS);
      const { gprc, mpc, rnbc } = adapterB.stats;
      expect(b.received.length).toBe(gprc);
      expect(gprc + mpc).toBe(200);
      expect(mpc).toBeGreaterThan(50);
      expect(rnbc).toBeGreaterThan(20);
      expect(nicB.dev.stats.rxMissedErrors).toBe(mpc);
    },
    {},
    { params: { rxDescriptors: 48 } },
  );
});

test('a short packet is padded by the driver, and counted so', () => {
  linked(({ lan, b, nicA, nicB, adapterA }) => {
    for (const length of [28, 46, 1]) sendTest(nicA.dev, MAC_B, bytes(length), length >> 1);
    lan.pass(5 * MS);
    expect(b.received.map((got) => [...got])).toEqual([28, 46, 1].map((n) => padded(bytes(n))));
    expect(nicA.dev.stats).toMatchObject({ txPackets: 3, txBytes: 3 * 60 });
    expect(nicB.dev.stats).toMatchObject({ rxPackets: 3, rxBytes: 3 * 60 });
    const { dql } = netdevGetTxQueue(nicA.dev, 0);
    expect([dql.numQueued, dql.numCompleted]).toEqual([180, 180]);
    // What was padded is in one piece, the frame of 60 octets still in two.
    expect(adapterA.txRing.nextToUse).toBe(4);
  });
});

test('interrupts are moderated: many packets, few interrupts', () => {
  linked(({ lan, b, nicA, nicB }) => {
    let interrupts = 0;
    b.machine.trace.irq.irqHandlerEntry.register(() => interrupts++);
    for (let n = 0; n < 400; n++) sendTest(nicA.dev, MAC_B, bytes(1500, n));
    const startNs = lan.nowNs;
    while (b.received.length < 400) lan.pass(100_000);
    const ms = (lan.nowNs - startNs) / MS;
    expect(interrupts).toBeLessThan(ms * 20 + 2);
    expect(nicB.dev.ethtoolOps?.getCoalesce?.(nicB.dev)).toEqual({ rxUsecs: 3, txUsecs: 0 });
  });
});

test('without moderation every frame interrupts', () => {
  linked(
    ({ lan, b, nicA }) => {
      let interrupts = 0;
      b.machine.trace.irq.irqHandlerEntry.register(() => interrupts++);
      for (let n = 0; n < 50; n++) {
        sendTest(nicA.dev, MAC_B, bytes(100, n));
        lan.pass(20_000);
      }
      expect(b.received).toHaveLength(50);
      expect(interrupts).toBe(50);
    },
    {},
    { params: { interruptThrottleRate: 0 } },
  );
});

test('jumbo frames cross in pieces, short ones beside them', () => {
  linked(({ lan, a, b, nicA, nicB }) => {
    for (const [machine, nic] of [
      [a, nicA],
      [b, nicB],
    ] as const) {
      expect(machine.locked(() => devSetMtu(nic.dev, 9000))).toBe(0);
    }
    lan.pass(10 * MS);
    const sizes = [9000, 60, 2048, 4096, 200, 8999, 2034, 1];
    for (const [i, size] of sizes.entries()) sendTest(nicA.dev, MAC_B, bytes(size, i), size >> 2);
    lan.pass(10 * MS);
    expect(b.received.map((got) => [...got])).toEqual(
      sizes.map((size, i) => padded(bytes(size, i))),
    );
    expect(a.locked(() => devSetMtu(nicA.dev, 16111))).toBeLessThan(0);
  });
});

test('a jumbo frame for a card that takes none is counted as too long', () => {
  linked(({ lan, a, b, nicA, adapterB }) => {
    a.locked(() => devSetMtu(nicA.dev, 4000));
    lan.pass(10 * MS);
    sendTest(nicA.dev, MAC_B, bytes(3000));
    lan.pass(3_000 * MS);
    expect(b.received).toEqual([]);
    expect(adapterB.stats.roc).toBe(1);
  });
});

test('address filters follow the interface: own address, groups, promiscuous mode', () => {
  linked(({ lan, b, nicA, nicB }) => {
    const got = (to: Uint8Array): boolean => {
      const before = b.received.length;
      const stats = nicB.dev.stats.rxPackets;
      sendTest(nicA.dev, to, bytes(60));
      lan.pass(MS);
      return b.received.length > before || nicB.dev.stats.rxPackets > stats;
    };
    const other = Uint8Array.of(2, 0, 0, 0, 0, 0xcc);
    const group = Uint8Array.of(1, 0, 0x5e, 1, 2, 3);
    expect(got(other)).toBe(false);
    b.locked(() => devSetPromiscuity(nicB.dev, 1));
    expect(got(other)).toBe(true);
    b.locked(() => devSetPromiscuity(nicB.dev, -1));
    expect(got(other)).toBe(false);
    expect(got(group)).toBe(false);
    b.locked(() => devMcAdd(nicB.dev, group));
    expect(got(group)).toBe(true);
    b.locked(() => devMcDel(nicB.dev, group));
    expect(got(group)).toBe(false);
    expect(got(Uint8Array.of(255, 255, 255, 255, 255, 255))).toBe(true);
    expect(b.locked(() => devSetMacAddress(nicB.dev, other))).toBe(0);
    expect(got(other)).toBe(true);
    expect(got(MAC_B)).toBe(false);
    expect(b.locked(() => devSetMacAddress(nicB.dev, group))).toBeLessThan(0);
  });
});

test('more groups than exact filters go through the hash table', () => {
  linked(({ lan, b, nicA, nicB }) => {
    const group = (n: number): Uint8Array => Uint8Array.of(1, 0, 0x5e, 0, n, 7 * n);
    b.locked(() => {
      for (let n = 0; n < 40; n++) devMcAdd(nicB.dev, group(n));
    });
    for (let n = 0; n < 40; n++) {
      sendTest(nicA.dev, group(n), bytes(60, n));
      lan.pass(100_000);
    }
    lan.pass(MS);
    expect(b.received).toHaveLength(40);
  });
});

test('ethtool sees the driver, the rings and the counters, and changes the rings', () => {
  linked(({ lan, a, b, nicA }) => {
    const { dev } = nicA;
    const ops = dev.ethtoolOps;
    expect(ops?.getDrvinfo?.(dev)).toEqual({
      driver: 'e1000',
      version: '',
      busInfo: '0000:00:00.0',
    });
    expect(ops?.getLinkKsettings?.(dev)).toEqual({
      speedMbps: 1000,
      duplexFull: true,
      autoneg: true,
    });
    sendTest(dev, MAC_B, bytes(986));
    lan.pass(MS);
    const names = ops?.getStrings?.(dev) ?? [];
    const values = ops?.getEthtoolStats?.(dev) ?? [];
    const stats = Object.fromEntries(names.map((name, i) => [name, values[i]]));
    expect(stats).toMatchObject({ tx_packets: 1, tx_bytes: 1004, rx_packets: 0 });
    expect(a.locked(() => ops?.setRingparam?.(dev, 100, 5000))).toBe(0);
    expect(ops?.getRingparam?.(dev)).toMatchObject({ rxPending: 104, txPending: 4096 });
    lan.pass(10 * MS);
    sendTest(dev, MAC_B, bytes(60));
    lan.pass(MS);
    expect(b.received).toHaveLength(2);
    expect(ops?.setCoalesce?.(dev, 5, 0)).toBeLessThan(0);
    expect(ops?.setCoalesce?.(dev, 100, 0)).toBe(0);
    expect(ops?.getCoalesce?.(dev)).toEqual({ rxUsecs: 100, txUsecs: 0 });
  });
});

test('a card may be pulled out in the middle of traffic', () => {
  linked(({ lan, b, nicA, nicB }) => {
    for (let n = 0; n < 100; n++) sendTest(nicA.dev, MAC_B, bytes(1500, n));
    lan.pass(300_000);
    nicA.unplug();
    lan.pass(WATCHDOG);
    expect(b.received.length).toBeGreaterThan(0);
    expect(netifCarrierOk(nicB.dev)).toBe(false);
    expect(b.machine.initNet.devNameHead.has('eth0')).toBe(true);
  });
});

test('open and close any number of times, with traffic under way', () => {
  linked(({ lan, a, b, nicA, nicB }) => {
    for (let round = 0; round < 10; round++) {
      for (let n = 0; n < 40; n++) {
        sendTest(nicA.dev, MAC_B, bytes(1500, n));
        sendTest(nicB.dev, MAC_A, bytes(700, n));
      }
      lan.pass(137_000);
      a.down(nicA.dev);
      lan.pass(round * MS);
      a.up(nicA.dev);
      lan.pass(10 * MS);
    }
    const before = b.received.length;
    sendTest(nicA.dev, MAC_B, bytes(60));
    lan.pass(MS);
    expect(b.received).toHaveLength(before + 1);
  });
});

test('a packet for a queue that is stopped anyway is refused, not lost', () => {
  linked(
    ({ lan, nicA }) => {
      nicA.card.chip.faults.txDead = true;
      for (let n = 0; n < 100; n++) sendTest(nicA.dev, MAC_B, bytes(60, n));
      const skb = testPacket(nicA.dev, MAC_B, bytes(60));
      expect(nicA.dev.netdevOps.ndoStartXmit(skb, nicA.dev)).toBe(0);
      lan.pass(MS);
    },
    { params: { txDescriptors: 48 } },
  );
});
