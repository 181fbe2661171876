/** The virtio-net driver with the modelled device at its other end: machines on a wire. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Lan, sendTest, testPacket } from '#drivers/net/testing/lan.ts';
import {
  bytes,
  linkedPair,
  MAC_A,
  MAC_B,
  MS,
  type NicPair,
  nicPair,
} from '#drivers/net/testing/pair.ts';
import { virtnetVlanRxAddVid, virtnetVlanRxKillVid } from '#drivers/net/virtio_net_ctrl.ts';
import type { VirtioNetNic, VirtioNetPlugOptions } from '#drivers/net/virtio_net_plug.ts';
import { getMergeableBufLen } from '#drivers/net/virtio_net_rx.ts';
import { HEADER_STRIDE, startXmit } from '#drivers/net/virtio_net_tx.ts';
import type { RegularNode } from '#fs/namei.ts';
import { queuesDirectory } from '#fs/sysfs/net_queues.ts';
import {
  NETIF_F_GRO_HW,
  NETIF_F_HW_CSUM,
  NETIF_F_RXCSUM,
  NETIF_F_TSO,
} from '#include/linux/netdev_features.ts';
import {
  NETDEV_TX_BUSY,
  NETDEV_TX_OK,
  netdevGetTxQueue,
  netifCarrierOk,
  netifQueueStopped,
} from '#include/linux/netdevice.ts';
import { CHECKSUM_PARTIAL, type SkBuff, skbGet } from '#include/linux/skbuff.ts';
import { localIrqRestore, localIrqSave } from '#kernel/irq.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import { csumFold16 } from '#lib/checksum.ts';
import { Prandom } from '#lib/prandom.ts';
import { dmaView, mem } from '#mm/memory.ts';
import { allocPages, BLOCK_SIZE, CHUNK_SIZE, putPage } from '#mm/page_alloc.ts';
import { devSetPromiscuity } from '#net/core/dev.ts';
import { devMcAdd, devUcAdd } from '#net/core/dev_addr_lists.ts';
import { netdevUpdateFeatures } from '#net/core/dev_register.ts';
import { devQueueXmit } from '#net/core/dev_tx.ts';
import { consumeSkb, skbClone } from '#net/core/skbuff.ts';
import { SKB_DROP_REASON_DEV_HDR } from '#uapi/net_dropreason.ts';
import { VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC } from '#uapi/virtio_config.ts';
import {
  VIRTIO_NET_F_CSUM,
  VIRTIO_NET_F_GUEST_CSUM,
  VIRTIO_NET_F_GUEST_ECN,
  VIRTIO_NET_F_GUEST_TSO4,
  VIRTIO_NET_F_GUEST_TSO6,
  VIRTIO_NET_F_GUEST_USO4,
  VIRTIO_NET_F_GUEST_USO6,
  VIRTIO_NET_F_MRG_RXBUF,
} from '#uapi/virtio_net.ts';
import { vringUsed } from '#uapi/virtio_ring.ts';

/** Without these a device has small buffers only: no frame is longer than usual. */
const NO_GUEST_GSO: readonly number[] = [
  VIRTIO_NET_F_GUEST_TSO4,
  VIRTIO_NET_F_GUEST_TSO6,
  VIRTIO_NET_F_GUEST_ECN,
  VIRTIO_NET_F_GUEST_USO4,
  VIRTIO_NET_F_GUEST_USO6,
];
const SMALL: readonly number[] = [VIRTIO_NET_F_MRG_RXBUF, ...NO_GUEST_GSO];
const BIG: readonly number[] = [VIRTIO_NET_F_MRG_RXBUF];

type Pair = NicPair<VirtioNetNic>;
type Options = Partial<VirtioNetPlugOptions> & { readonly cpus?: number };

function pair(optionsA: Options = {}, optionsB: Options = {}): Pair {
  return nicPair(
    (machine, at) => machine.plugVirtio({ ...at, ...optionsA }),
    (machine, at) => machine.plugVirtio({ ...at, ...optionsB }),
    [optionsA.cpus ?? 1, optionsB.cpus ?? 1],
  );
}

function linked(run: (pair: Pair) => void, optionsA: Options = {}, optionsB: Options = {}): void {
  linkedPair(pair(optionsA, optionsB), (all) => {
    run(all);
    all.lan.pass(10 * MS);
  });
}

test('a device is probed and becomes an interface that is down, with what was agreed on', () => {
  const { lan, nicA } = pair();
  const { dev, vi } = nicA;
  expect(dev.name).toBe('eth0');
  expect([...dev.devAddr.subarray(0, 6)]).toEqual([...MAC_A]);
  expect(netifCarrierOk(dev)).toBe(false);
  const wanted = NETIF_F_HW_CSUM | NETIF_F_TSO | NETIF_F_RXCSUM | NETIF_F_GRO_HW;
  expect(dev.features & wanted).toBe(wanted);
  expect([vi.mergeableRxBufs, vi.hasCvq, vi.maxQueuePairs]).toEqual([true, true, 1]);
  expect(lan.shutDown()).toEqual({});
});

const MODES: readonly (readonly [name: string, options: Options])[] = [
  ['mergeable buffers', {}],
  ['small buffers', { without: SMALL }],
  ['big buffers', { without: BIG }],
  ['the pin instead of MSI-X', { msix: false }],
  ['no event index', { without: [VIRTIO_RING_F_EVENT_IDX] }],
  ['no indirect descriptors', { without: [VIRTIO_RING_F_INDIRECT_DESC] }],
  [
    'neither, small rings',
    {
      without: [VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC],
      queueSize: 32,
    },
  ],
  ['a line of 1 Gbit/s', { rateBps: 1e9 }],
];

for (const [name, options] of MODES) {
  test(`what goes in comes out, whatever its size and its pieces: ${name}`, () => {
    const packet = fc.record({
      length: fc.integer({ min: 1, max: 1500 }),
      frag: fc.boolean(),
      seed: fc.nat(255),
      gapNs: fc.constantFrom(0, 0, 1000, 100_000),
    });
    fc.assert(
      fc.property(fc.array(packet, { minLength: 1, maxLength: 120 }), (packets) => {
        linked(
          ({ lan, b, nicA }) => {
            for (const { length, frag, seed, gapNs } of packets) {
              const fragBytes = frag ? length >> 1 : 0;
              expect(sendTest(nicA.dev, MAC_B, bytes(length, seed), fragBytes)).toBe(0);
              lan.pass(gapNs);
            }
            lan.pass(20 * MS);
            expect(b.received.map((got) => [...got])).toEqual(
              packets.map(({ length, seed }) => [...bytes(length, seed)]),
            );
          },
          options,
          options,
        );
      }),
      { numRuns: 8, seed: 7 },
    );
  });
}

test('indexes of the rings wrap at 2^16, and nothing is lost', () => {
  linked(
    ({ lan, b, nicA, nicB }) => {
      const total = 70_000;
      for (let n = 0; n < total; n++) {
        sendTest(nicA.dev, MAC_B, bytes(20, n));
        if (n % 16 === 15) lan.pass(2000);
      }
      lan.pass(20 * MS);
      expect(b.received).toHaveLength(total);
      expect(b.received.every((got, n) => got[0] === (n & 0xff))).toBe(true);
      expect(nicA.vi.sq[0]?.vq.availIdxShadow).toBe(total & 0xffff);
      expect(nicB.vi.rq[0]?.vq.lastUsedIdx).toBe(total & 0xffff);
    },
    { queueSize: 32 },
    { queueSize: 32 },
  );
});

test('jumbo frames span several mergeable buffers; buffers grow with what comes', () => {
  linked(({ lan, a, b, nicA, nicB }) => {
    for (const [machine, nic] of [
      [a, nicA],
      [b, nicB],
    ] as const) {
      machine.locked(() => {
        nic.dev.mtu = 9000;
      });
    }
    const rq = nicB.vi.rq[0];
    if (rq === undefined) throw new Error('no queue');
    const before = getMergeableBufLen(rq);
    for (let n = 0; n < 200; n++) {
      sendTest(nicA.dev, MAC_B, bytes(9000, n), n % 2 === 0 ? 4000 : 0);
      lan.pass(5000);
    }
    lan.pass(MS);
    expect(b.received).toHaveLength(200);
    expect(b.received.every((got, n) => got.length === 9000 && got[1] === ((31 + n) & 0xff))).toBe(
      true,
    );
    expect(getMergeableBufLen(rq)).toBeGreaterThan(before);
    expect(getMergeableBufLen(rq)).toBeLessThanOrEqual(4096);
  });
});

test('a packet longer than its one small buffer is dropped by the device, and nothing hangs', () => {
  linked(
    ({ lan, b, nicA, nicB }) => {
      sendTest(nicA.dev, MAC_B, bytes(4000));
      sendTest(nicA.dev, MAC_B, bytes(100));
      lan.pass(MS);
      expect(b.received.map(({ length }) => length)).toEqual([100]);
      expect(nicB.card.device.counters.rxTooLong).toBe(1);
    },
    {},
    { without: SMALL },
  );
});

test('a full ring stops the queue; packets wait in the qdisc, and none is refused', () => {
  linked(
    ({ lan, a, b, nicA }) => {
      let busy = 0;
      a.machine.trace.net.netDevXmit.register((_skb, rc) => {
        if (rc === NETDEV_TX_BUSY) busy++;
      });
      netdevGetTxQueue(nicA.dev, 0).dql.minLimit = 1 << 20;
      sendTest(nicA.dev, MAC_B, bytes(1000, 0));
      lan.pass(MS);
      for (let n = 1; n < 400; n++) sendTest(nicA.dev, MAC_B, bytes(1000, n));
      expect(netifQueueStopped(nicA.dev)).toBe(true);
      lan.pass(50 * MS);
      expect(b.received).toHaveLength(400);
      expect(busy).toBe(0);
      const stats = nicA.vi.sq[0]?.stats;
      expect(stats?.stop).toBeGreaterThan(0);
      expect(stats?.wake).toBeGreaterThan(0);
      expect(netifQueueStopped(nicA.dev)).toBe(false);
    },
    { rateBps: 1e9, queueSize: 64 },
  );
});

test('the same without NAPI for what has left', () => {
  const { lan, a, b, nicA, nicB } = nicPair(
    (machine, at) => {
      expect(machine.machine.params.of('virtio_net')?.get('napi_tx')?.write?.('0')).toBe(0);
      return machine.plugVirtio({ ...at, rateBps: 1e9, queueSize: 64 });
    },
    (machine, at) => machine.plugVirtio(at),
  );
  expect(nicA.vi.napiTx).toBe(false);
  a.up(nicA.dev);
  b.up(nicB.dev);
  lan.pass(MS);
  for (let n = 0; n < 400; n++) sendTest(nicA.dev, MAC_B, bytes(1000, n));
  lan.pass(50 * MS);
  expect(b.received).toHaveLength(400);
  expect(nicA.vi.sq[0]?.stats.stop).toBeGreaterThan(0);
  expect(lan.shutDown()).toEqual({});
});

test('the device is given no more bytes than it needs to stay busy', () => {
  linked(
    ({ lan, b, nicA }) => {
      const { dql } = netdevGetTxQueue(nicA.dev, 0);
      let most = 0;
      nicA.dev.net.machine.trace.net.netDevXmit.register(() => {
        most = Math.max(most, (dql.numQueued - dql.numCompleted) | 0);
      });
      for (let round = 0; round < 60; round++) {
        for (let n = 0; n < 20; n++) sendTest(nicA.dev, MAC_B, bytes(1400, n));
        lan.pass(MS / 4);
      }
      lan.pass(50 * MS);
      expect(b.received).toHaveLength(1200);
      expect(most).toBeLessThan(150_000);
      expect(dql.numQueued).toBe(dql.numCompleted);
    },
    { rateBps: 1e9 },
  );
});

test('a burst interrupts and kicks once, not for every packet: event indexes', () => {
  linked(
    ({ lan, b, nicA, nicB }) => {
      const irqs = (): number =>
        [...b.machine.irqs.descs.values()].reduce(
          (sum, desc) => sum + desc.counts.reduce((n, count) => n + count, 0),
          0,
        );
      const before = irqs();
      localIrqSave(b.machine);
      for (let n = 0; n < 64; n++) sendTest(nicA.dev, MAC_B, bytes(100, n));
      lan.pass(MS);
      localIrqRestore(b.machine);
      sendTest(nicA.dev, MAC_B, bytes(100));
      lan.pass(MS);
      expect(b.received).toHaveLength(65);
      expect(irqs() - before).toBeLessThan(5);
      expect(nicB.card.device.counters.notifications).toBeLessThan(20);
    },
    {},
    {},
  );
});

test('link, speed and address: what the configuration says', () => {
  linked(
    ({ lan, wire, b, nicA, nicB }) => {
      const { dev } = nicA;
      expect(netifCarrierOk(dev)).toBe(true);
      expect(dev.ethtoolOps?.getLinkKsettings?.(dev).speedMbps).toBe(10_000);
      wire.cut(false);
      lan.pass(MS);
      expect([netifCarrierOk(dev), netifCarrierOk(nicB.dev)]).toEqual([false, false]);
      wire.cut(true);
      lan.pass(MS);
      expect(netifCarrierOk(dev)).toBe(true);
      sendTest(dev, MAC_B, bytes(80));
      lan.pass(MS);
      expect(b.received).toHaveLength(1);
    },
    { rateBps: 10e9, mtu: 1400 },
  );
});

test('an MTU that the device advises is the default and the limit', () => {
  const { lan, nicA } = pair({ mtu: 1400 });
  expect([nicA.dev.mtu, nicA.dev.maxMtu]).toEqual([1400, 1400]);
  expect(lan.shutDown()).toEqual({});
});

test('address filters follow the interface: own address, groups, promiscuous mode', () => {
  linked(({ lan, b, nicA, nicB }) => {
    const stranger = Uint8Array.of(2, 9, 9, 9, 9, 9);
    const second = Uint8Array.of(2, 0, 0, 0, 0, 0x77);
    const group = Uint8Array.of(1, 0, 0x5e, 1, 2, 3);
    const arrives = (to: Uint8Array): boolean => {
      const before = nicB.vi.rq[0]?.stats.packets ?? 0;
      sendTest(nicA.dev, to, bytes(60));
      lan.pass(MS);
      return (nicB.vi.rq[0]?.stats.packets ?? 0) > before;
    };
    expect([MAC_B, stranger, second, group].map(arrives)).toEqual([true, false, false, false]);
    b.locked(() => {
      devUcAdd(nicB.dev, second);
      devMcAdd(nicB.dev, group);
    });
    lan.pass(MS);
    expect([stranger, second, group].map(arrives)).toEqual([false, true, true]);
    b.locked(() => devSetPromiscuity(nicB.dev, 1));
    lan.pass(MS);
    expect(arrives(stranger)).toBe(true);
    b.locked(() => devSetPromiscuity(nicB.dev, -1));
    lan.pass(MS);
    expect(arrives(stranger)).toBe(false);
    const changed = Uint8Array.of(2, 1, 1, 1, 1, 1);
    expect(b.locked(() => nicB.dev.netdevOps.ndoSetMacAddress?.(nicB.dev, changed))).toBe(0);
    expect([MAC_B, changed].map(arrives)).toEqual([false, true]);
  });
});

test('tagged frames pass for VLANs that were asked for', () => {
  linked(({ lan, nicA, nicB }) => {
    const arrives = (): boolean => {
      const before = nicB.vi.rq[0]?.stats.packets ?? 0;
      const tagged = bytes(60);
      tagged.set([0x00, 0x07, 0x88, 0xb5]);
      const skb = testPacket(nicA.dev, MAC_B, tagged);
      // EtherType 802.1Q; the first two octets of the payload are the tag.
      const view = new DataView(new ArrayBuffer(2));
      view.setUint16(0, 0x8100);
      skb.protocol = 0x8100;
      lanWrite(skb.data + 12, view);
      devQueueXmit(skb);
      lan.pass(MS);
      return (nicB.vi.rq[0]?.stats.packets ?? 0) > before;
    };
    expect(arrives()).toBe(false);
    expect(virtnetVlanRxAddVid(nicB.dev, 7)).toBe(0);
    expect(arrives()).toBe(true);
    expect(virtnetVlanRxKillVid(nicB.dev, 7)).toBe(0);
    expect(arrives()).toBe(false);
  });
});

test('several queues: each CPU its own, steered by the sender, changed by ethtool', () => {
  const options = { queuePairs: 4, cpus: 4 };
  linked(
    ({ lan, b, nicA, nicB }) => {
      expect([nicA.vi.currQueuePairs, nicA.dev.realNumTxQueues]).toEqual([4, 4]);
      for (let n = 0; n < 40; n++) sendTest(nicA.dev, MAC_B, bytes(200, n));
      lan.pass(MS);
      expect(b.received).toHaveLength(40);
      const used = (nic: VirtioNetNic): number =>
        nic.card.device.queues.filter((q) => q.usedIdx > 0 && q.index !== 8).length;
      expect(used(nicB)).toBeGreaterThan(0);
      const ops = nicA.dev.ethtoolOps;
      const now = ops?.getChannels?.(nicA.dev);
      expect(now).toMatchObject({ maxCombined: 4, combinedCount: 4 });
      if (now === undefined) return;
      expect(ops?.setChannels?.(nicA.dev, { ...now, combinedCount: 9 })).toBeLessThan(0);
      expect(ops?.setChannels?.(nicA.dev, { ...now, combinedCount: 2 })).toBe(0);
      expect([nicA.card.device.pairs, nicA.dev.realNumTxQueues]).toEqual([2, 2]);
      for (let n = 0; n < 40; n++) sendTest(nicA.dev, MAC_B, bytes(200, n));
      lan.pass(MS);
      expect(b.received).toHaveLength(80);
    },
    options,
    options,
  );
});

/** A UDP datagram over IPv4 of which the device is to fill the checksum in. */
function partialUdp(pair: Pair, payload: number): void {
  const { a, nicA } = pair;
  const udpLen = 8 + payload;
  const packet = new Uint8Array(20 + udpLen);
  const v = new DataView(packet.buffer);
  v.setUint8(0, 0x45);
  v.setUint16(2, packet.length);
  v.setUint8(8, 64);
  v.setUint8(9, 17);
  v.setUint32(12, 0x0a000001);
  v.setUint32(16, 0x0a000002);
  v.setUint16(20, 1000);
  v.setUint16(22, 2000);
  v.setUint16(24, udpLen);
  for (let i = 28; i < packet.length; i++) packet[i] = (i * 11) & 0xff;
  // The pseudo-header's sum, as the stack leaves it.
  v.setUint16(26, csumFold16(0x0a00 + 1 + 0x0a00 + 2 + 17 + udpLen));
  const skb = testPacket(nicA.dev, MAC_B, packet);
  skb.ipSummed = CHECKSUM_PARTIAL;
  skb.csumStart = skb.data + 14 + 20;
  skb.csumOffset = 6;
  a.machine.enter(pair.lan.nowNs);
  devQueueXmit(skb);
  pair.lan.pass(MS);
}

/** The sum over a datagram with its pseudo-header: 0xffff when it is right. */
function udpSum(packet: Uint8Array): number {
  const v = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  let sum = 0x0a00 + 1 + 0x0a00 + 2 + 17 + (packet.length - 20);
  for (let i = 20; i + 1 < packet.length; i += 2) sum += v.getUint16(i);
  if (packet.length % 2 === 1) sum += (packet.at(-1) as number) << 8;
  return csumFold16(sum);
}

test('a checksum is left open for a peer that takes it so, and filled in for any other', () => {
  const seen: number[] = [];
  const run = (optionsB: Options): Uint8Array => {
    let got: Uint8Array = new Uint8Array();
    linked(
      (all) => {
        all.b.onPacket = (skb) => {
          seen.push(skb.ipSummed);
        };
        partialUdp(all, 333);
        got = all.b.received[0] ?? got;
      },
      {},
      optionsB,
    );
    return got;
  };
  expect(udpSum(run({}))).not.toBe(0xffff);
  expect(udpSum(run({ without: [VIRTIO_NET_F_GUEST_CSUM, ...NO_GUEST_GSO] }))).toBe(0xffff);
  expect(seen).toEqual([CHECKSUM_PARTIAL, 0]);
});

test('a device that cannot fill in checksums gets finished packets', () => {
  const { lan, nicA } = pair({ without: [VIRTIO_NET_F_CSUM, 11, 12, 13, 56] });
  expect(nicA.dev.features & (NETIF_F_HW_CSUM | NETIF_F_TSO)).toBe(0);
  expect(lan.shutDown()).toEqual({});
});

test('rx-gro-hw off: the device finishes what it hands over', () => {
  linked(({ b, nicB }) => {
    b.locked(() => {
      nicB.dev.wantedFeatures &= ~NETIF_F_GRO_HW;
      netdevUpdateFeatures(nicB.dev);
    });
    expect(nicB.dev.features & NETIF_F_GRO_HW).toBe(0);
    expect(nicB.card.device.offloads & 2).toBe(0);
    b.locked(() => {
      nicB.dev.wantedFeatures |= NETIF_F_GRO_HW;
      netdevUpdateFeatures(nicB.dev);
    });
    expect(nicB.card.device.offloads & 2).toBe(2);
  });
});

test('a kernel that does not poll: frames wait, then are lost and counted, and all goes on', () => {
  linked(
    ({ lan, b, nicA, nicB }) => {
      localIrqSave(b.machine);
      for (let n = 0; n < 600; n++) {
        sendTest(nicA.dev, MAC_B, bytes(1400, n));
        lan.pass(2000);
      }
      localIrqRestore(b.machine);
      sendTest(nicA.dev, MAC_B, bytes(60));
      lan.pass(MS);
      const lost = nicB.card.device.counters.rxNoBuffer;
      expect(lost).toBeGreaterThan(0);
      expect(b.received.length).toBe(601 - lost);
    },
    {},
    { queueSize: 64 },
  );
});

test('a card may be pulled out in the middle of traffic', () => {
  for (const options of [{}, { without: BIG }, { rateBps: 1e8 }] as Options[]) {
    const all = pair(options, options);
    all.a.up(all.nicA.dev);
    all.b.up(all.nicB.dev);
    all.lan.pass(MS);
    for (let n = 0; n < 50; n++) sendTest(all.nicA.dev, MAC_B, bytes(1400, n));
    all.nicA.unplug();
    all.lan.pass(MS);
    expect(netifCarrierOk(all.nicB.dev)).toBe(false);
    all.nicB.unplug();
    expect(all.lan.shutDown()).toEqual({});
  }
});

test('a device is numbered by the first number that is free, and its interrupts go by it', () => {
  const lan = new Lan();
  const a = lan.boot('a');
  const nics = [1, 2].map((n) => a.plugVirtio({ mac: Uint8Array.of(2, 0, 0, 0, 0, n) }));
  nics[0]?.unplug();
  a.plugVirtio({ mac: Uint8Array.of(2, 0, 0, 0, 0, 3) });
  const names = [...a.machine.irqs.descs.values()].flatMap(({ actions }) =>
    actions.map(({ name }) => name),
  );
  expect(names.sort()).toEqual([
    'virtio0-config',
    'virtio0-input.0',
    'virtio0-output.0',
    'virtio1-config',
    'virtio1-input.0',
    'virtio1-output.0',
  ]);
  expect(lan.shutDown()).toEqual({});
});

test('open and close any number of times, with traffic under way', () => {
  linked(({ lan, a, b, nicA, nicB }) => {
    for (let round = 0; round < 10; round++) {
      for (let n = 0; n < 30; n++) sendTest(nicA.dev, MAC_B, bytes(1000, n));
      b.down(nicB.dev);
      lan.pass(MS);
      b.up(nicB.dev);
      a.down(nicA.dev);
      a.up(nicA.dev);
      lan.pass(MS);
    }
    const before = b.received.length;
    sendTest(nicA.dev, MAC_B, bytes(90));
    lan.pass(MS);
    expect(b.received.length).toBeGreaterThan(before);
  });
});

test('what a slow line still holds when the interface is closed is completed when it is open again', () => {
  linked(
    ({ lan, a, b, nicA }) => {
      const txq = netdevGetTxQueue(nicA.dev, 0);
      for (let n = 0; n < 30; n++) sendTest(nicA.dev, MAC_B, bytes(1000, n));
      lan.pass(MS / 2);
      a.down(nicA.dev);
      const held = txq.dql.numQueued - txq.dql.numCompleted;
      expect(held).toBeGreaterThan(0);
      a.up(nicA.dev);
      lan.pass(100 * MS);
      expect(txq.dql.numQueued).toBe(txq.dql.numCompleted);
      const before = b.received.length;
      for (let n = 0; n < 30; n++) sendTest(nicA.dev, MAC_B, bytes(1000, n));
      lan.pass(100 * MS);
      expect(b.received.length).toBe(before + 30);
    },
    { rateBps: 1e8 },
  );
});

test('a full ring stays stopped when the interface is opened, and takes no packet with its header', () => {
  linked(
    ({ lan, a, nicA }) => {
      const { dev, vi } = nicA;
      const { machine } = a;
      const [sq] = vi.sq;
      if (sq === undefined) throw new Error('no queue');
      netdevGetTxQueue(dev, 0).dql.minLimit = 1 << 20;
      sendTest(dev, MAC_B, bytes(1000));
      lan.pass(20 * MS);
      for (let n = 0; n < 100; n++) sendTest(dev, MAC_B, bytes(1000, n));
      expect(netifQueueStopped(dev)).toBe(true);
      a.down(dev);
      a.up(dev);
      expect(netifQueueStopped(dev), 'there is no more room than before').toBe(true);
      // The headers of packets that are shared stand apart from them.
      const end = sq.headers + sq.vq.num * HEADER_STRIDE;
      const behind = mem.slice(end, end + HEADER_STRIDE);
      mem.fill(0x55, end, end + HEADER_STRIDE);
      const dropped = dev.stats.txDropped;
      localBhDisable(machine);
      for (let room = sq.vq.numFree; room >= 0; room--) {
        const skb = testPacket(dev, MAC_B, bytes(100));
        expect(startXmit(skbClone(skb), dev)).toBe(NETDEV_TX_OK);
        consumeSkb(skb);
      }
      localBhEnable(machine);
      const found = [...mem.subarray(end, end + HEADER_STRIDE)];
      mem.set(behind, end);
      expect([sq.vq.numFree, dev.stats.txDropped - dropped]).toEqual([0, 1]);
      expect(found).toEqual(new Array(HEADER_STRIDE).fill(0x55));
      lan.pass(MS);
    },
    { rateBps: 1e6, queueSize: 32 },
  );
});

test('ethtool sees the driver, the rings and the counters', () => {
  linked(({ lan, nicA }) => {
    const { dev } = nicA;
    const ops = dev.ethtoolOps;
    for (let n = 0; n < 10; n++) sendTest(dev, MAC_B, bytes(1000, n));
    lan.pass(MS);
    expect(ops?.getDrvinfo?.(dev)).toMatchObject({ driver: 'virtio_net', busInfo: '0000:00:00.0' });
    expect(ops?.getRingparam?.(dev)).toMatchObject({ rxPending: 256, txMaxPending: 256 });
    const names = ops?.getStrings?.(dev) ?? [];
    const values = ops?.getEthtoolStats?.(dev) ?? [];
    const stats = Object.fromEntries(names.map((name, i) => [name, values[i]]));
    expect(names.length).toBe(values.length);
    expect(stats).toMatchObject({ tx0_packets: 10, tx0_bytes: 10140, rx0_drops: 0 });
    expect(stats['rx_pp_alloc_slow_ho']).toBeGreaterThan(0);
  });
});

test('pages of received packets go round: the pool asks the allocator no more', () => {
  linked(({ lan, b, nicA, nicB }) => {
    const send = (count: number): void => {
      for (let n = 0; n < count; n++) {
        sendTest(nicA.dev, MAC_B, bytes(1400, n));
        lan.pass(3000);
      }
    };
    const stats = nicB.vi.rq[0]?.pool.allocStats;
    send(1000);
    const slow = stats?.slowHighOrder ?? 0;
    send(3000);
    expect(b.received).toHaveLength(4000);
    expect(stats?.slowHighOrder).toBe(slow);
    expect(nicB.vi.rq[0]?.pool.recycleStats.cached).toBeGreaterThan(0);
  });
});

/** What a device may write: its used rings, and the buffers it was given. */
function lie(rnd: Prandom, nic: VirtioNetNic): void {
  const vqs = nic.vi.vdev.vqs.slice(0, 2);
  const vq = vqs[rnd.below(vqs.length)];
  if (vq === undefined) return;
  const idx = vringUsed.idx(dmaView, vq.used);
  const count = 1 + rnd.below(4);
  for (let i = 0; i < count; i++) {
    const sane = rnd.below(8) > 0;
    const id = sane ? rnd.below(vq.num) : rnd.u32();
    const len = rnd.below(4) > 0 ? rnd.below(5000) : rnd.u32();
    if (vq.index === 0 && sane && typeof vq.data[id] === 'number') {
      const at = vq.data[id] as number;
      const size = vq.ctx[id] as number;
      for (let n = 0; n < Math.min(size, 80); n++) mem[at + n] = rnd.below(256);
      if (rnd.below(2) === 0) dmaView.setUint16(at + 10, 1 + rnd.below(3), true);
    }
    const slot = (idx + i) & (vq.num - 1);
    vringUsed.setId(dmaView, vq.used, slot, id);
    vringUsed.setLen(dmaView, vq.used, slot, len);
  }
  vringUsed.setIdx(dmaView, vq.used, (idx + count) & 0xffff);
  if (vq.callback !== null) vq.callback(vq);
}

test('a device that lies: packets and queues are lost, nothing else', () => {
  for (const options of [{}, { without: SMALL }, { queueSize: 32 }] as Options[]) {
    for (let seed = 0; seed < 25; seed++) {
      const all = pair(options, options);
      const { lan, a, b, nicA, nicB } = all;
      a.up(nicA.dev);
      b.up(nicB.dev);
      lan.pass(MS);
      const rnd = new Prandom(seed);
      for (let step = 0; step < 30; step++) {
        // Only its own rings: the model itself stays out of the play.
        localBhDisable(b.machine);
        lie(rnd, nicB);
        localBhEnable(b.machine);
        sendTest(nicB.dev, MAC_A, bytes(200, step));
        lan.pass(20_000);
      }
      expect(lan.shutDown(), `seed ${seed}`).toEqual({});
    }
  }
});

test('a rest longer than its buffer: the packet is dropped for its header, not for want of memory', () => {
  linked(({ b, nicB }) => {
    const [vq] = nicB.vi.vdev.vqs;
    if (vq === undefined) throw new Error('no queue');
    const reasons: number[] = [];
    b.machine.trace.skb.kfreeSkb.probe = (_skb, _location, reason) => reasons.push(reason);
    const idx = vringUsed.idx(dmaView, vq.used);
    dmaView.setUint16((vq.data[0] as number) + 10, 2, true);
    for (const [id, len] of [
      [0, 500],
      [1, 1e6],
    ] as const) {
      vringUsed.setId(dmaView, vq.used, (idx + id) & (vq.num - 1), id);
      vringUsed.setLen(dmaView, vq.used, (idx + id) & (vq.num - 1), len);
    }
    vringUsed.setIdx(dmaView, vq.used, (idx + 2) & 0xffff);
    localBhDisable(b.machine);
    vq.callback?.(vq);
    localBhEnable(b.machine);
    expect(reasons).toEqual([SKB_DROP_REASON_DEV_HDR]);
    expect(nicB.dev.stats.rxLengthErrors).toBe(1);
  });
});

test('when memory is short the ring is filled later, and reception goes on', () => {
  linked(({ lan, b, nicA, nicB }) => {
    const { vi } = nicB;
    const rq = vi.rq[0];
    if (rq === undefined) throw new Error('no queue');
    const hog: number[] = [];
    for (let at = allocPages(BLOCK_SIZE); at !== 0; at = allocPages(BLOCK_SIZE)) hog.push(at);
    for (let at = allocPages(CHUNK_SIZE); at !== 0; at = allocPages(CHUNK_SIZE)) hog.push(at);
    // Buffers that nobody gives back are what the ring lacks.
    const kept: SkBuff[] = [];
    b.onPacket = (skb) => {
      if (kept.length < 400) kept.push(skbGet(skb));
    };
    for (const at of hog.splice(-2)) putPage(at);
    for (let n = 0; n < 400; n++) {
      sendTest(nicA.dev, MAC_B, bytes(1400, n));
      lan.pass(3000);
    }
    expect(rq.vq.numFree).toBeGreaterThan(0);
    for (const at of hog) putPage(at);
    for (const skb of kept) consumeSkb(skb);
    b.onPacket = () => {};
    lan.pass(2000 * MS);
    expect(rq.vq.numFree, 'by the work').toBe(0);
    const before = b.received.length;
    sendTest(nicA.dev, MAC_B, bytes(500));
    lan.pass(MS);
    expect(b.received.length).toBeGreaterThan(before);
  });
});

test('byte queue limits are files', () => {
  linked(({ lan, a, nicA }) => {
    const dir = queuesDirectory(nicA.dev).lookup('tx-0');
    const limits = dir?.kind === 'dir' ? dir.lookup('byte_queue_limits') : null;
    const file = (name: string): RegularNode => {
      const node = limits?.kind === 'dir' ? limits.lookup(name) : null;
      if (node?.kind !== 'file') throw new Error(`no ${name}`);
      return node;
    };
    const read = (name: string): string | number => a.locked(() => file(name).show());
    expect([read('limit'), read('hold_time'), read('limit_min')]).toEqual(['0\n', '1000\n', '0\n']);
    sendTest(nicA.dev, MAC_B, bytes(1000));
    lan.pass(MS);
    expect(Number(read('limit'))).toBeGreaterThan(1000);
    expect(read('inflight')).toBe('0\n');
    expect(file('limit_max').store?.('900')).toBe(0);
    expect(file('limit_max').store?.('-1')).toBeLessThan(0);
    expect(file('limit_max').store?.('4000000000')).toBeLessThan(0);
    sendTest(nicA.dev, MAC_B, bytes(1000));
    lan.pass(MS);
    expect(read('limit')).toBe('900\n');
    expect(file('limit_max').store?.('max\n')).toBe(0);
    expect(read('limit_max')).toBe('1879048192\n');
  });
});

function lanWrite(at: number, v: DataView): void {
  for (let i = 0; i < v.byteLength; i++) mem[at + i] = v.getUint8(i);
}
