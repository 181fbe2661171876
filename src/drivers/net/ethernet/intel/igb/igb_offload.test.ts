import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type IgbAdapter, igbAdapter } from '#drivers/net/ethernet/intel/igb/igb.ts';
import type { IgbNic } from '#drivers/net/ethernet/intel/igb/igb_plug.ts';
import { Lan, type LanMachine, TestWire } from '#drivers/net/testing/lan.ts';
import { datagrams, payloadOf, segment } from '#drivers/net/testing/segment.ts';
import {
  NETIF_F_GSO_UDP_L4,
  NETIF_F_HW_CSUM,
  NETIF_F_RXCSUM,
  NETIF_F_RXHASH,
  NETIF_F_TSO,
} from '#include/linux/netdev_features.ts';
import { PacketType } from '#include/linux/netdevice.ts';
import { CHECKSUM_NONE, CHECKSUM_UNNECESSARY } from '#include/linux/skbuff.ts';
import { skbGetRxQueue } from '#include/linux/skbuff_rx_queue.ts';
import { ToeplitzKey } from '#lib/toeplitz.ts';
import { mem } from '#mm/memory.ts';
import { devGetStats } from '#net/core/dev.ts';
import { netdevUpdateFeatures } from '#net/core/dev_register.ts';
import { devAddPack, devRemovePack } from '#net/core/dev_rx.ts';
import { devQueueXmit } from '#net/core/dev_tx.ts';
import { consumeSkb } from '#net/core/skbuff.ts';
import { ETH_P_8021Q, ETH_P_ALL, ETH_P_IP } from '#uapi/if_ether.ts';

const MAC_A: Uint8Array = Uint8Array.of(2, 0, 0, 0, 0, 0xa);
const MAC_B: Uint8Array = Uint8Array.of(2, 0, 0, 0, 0, 0xb);
const MS = 1_000_000;

/** What b found beside an IPv4 packet. */
interface Seen {
  readonly ipSummed: number;
  readonly hash: number;
  readonly queue: number;
}

interface Setup {
  readonly lan: Lan;
  readonly a: LanMachine;
  readonly b: LanMachine;
  readonly nicA: IgbNic;
  readonly nicB: IgbNic;
  readonly adapterB: IgbAdapter;
  /** Frames as they were on the wire from a. */
  readonly frames: Uint8Array[];
  readonly seen: Seen[];
}

function withPair(run: (setup: Setup) => void): void {
  const lan = new Lan();
  const wire = new TestWire(lan);
  const a = lan.boot('a');
  const b = lan.boot('b', 4);
  const nicA = a.plugIgb({ mac: MAC_A, end: (port) => wire.plug(0, port) });
  const nicB = b.plugIgb({ mac: MAC_B, end: (port) => wire.plug(1, port) });
  const frames: Uint8Array[] = [];
  wire.drop = (frame, end) => {
    if (end === 0) frames.push(mem.slice(frame.addr, frame.addr + frame.len));
    return false;
  };
  const seen: Seen[] = [];
  devAddPack(
    b.machine,
    new PacketType(ETH_P_IP, (skb) => {
      seen.push({ ipSummed: skb.ipSummed, hash: skb.hash, queue: skbGetRxQueue(skb) });
      consumeSkb(skb);
      return 0;
    }),
  );
  a.up(nicA.dev);
  b.up(nicB.dev);
  lan.pass(10 * MS);
  run({ lan, a, b, nicA, nicB, adapterB: igbAdapter(nicB.dev), frames, seen });
  expect(lan.shutDown()).toEqual({});
}

function bytes(length: number, seed = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 13 + (i >> 8) + seed) & 0xff);
}

test('the chip puts the checksum in', () => {
  withPair(({ lan, nicA, frames }) => {
    const wanted = NETIF_F_HW_CSUM | NETIF_F_TSO | NETIF_F_GSO_UDP_L4;
    expect(nicA.dev.features & wanted).toBe(wanted);
    const sizes = [1, 2, 3, 100, 1459, 1460];
    for (const size of sizes) devQueueXmit(segment(nicA.dev, bytes(size), 0, size > 99));
    lan.pass(10 * MS);
    expect(frames.map((frame) => [...payloadOf(frame)])).toEqual(
      sizes.map((size) => [...bytes(size)]),
    );
  });
});

test('one packet of 64 KB leaves as frames of the right size, sums and order', () => {
  withPair(({ lan, nicA, frames }) => {
    const payload = bytes(65_000);
    devQueueXmit(segment(nicA.dev, payload, 1448, true));
    lan.pass(10 * MS);
    expect(frames).toHaveLength(Math.ceil(65_000 / 1448));
    expect(frames.flatMap((frame) => [...payloadOf(frame)])).toEqual([...payload]);
    const seqs = frames.map((frame) => new DataView(frame.buffer).getUint32(38));
    expect(seqs).toEqual(seqs.map((_, n) => (0xfffffff0 + n * 1448) >>> 0));
    const flags = frames.map((frame) => frame[47]);
    expect(flags.slice(0, -1).every((f) => f === 0x10) && flags.at(-1) === 0x18).toBe(true);
    const txBytes = frames.reduce((sum, frame) => sum + frame.length, 0);
    expect(devGetStats(nicA.dev)).toMatchObject({ txPackets: frames.length, txBytes });
    expect(igbAdapter(nicA.dev).stats.tsctc).toBe(1);
  });
});

test('segmentation of any payload at any size', () => {
  // A packet no longer than a segment is sent whole.
  const packet = fc.record({
    size: fc.integer({ min: 1, max: 20_000 }),
    mss: fc.integer({ min: 88, max: 1460 }),
    frags: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(packet, { minLength: 1, maxLength: 5 }), (packets) => {
      withPair(({ lan, nicA, frames }) => {
        for (const { size, mss, frags } of packets) {
          devQueueXmit(segment(nicA.dev, bytes(size), size > mss ? mss : 0, frags));
          lan.pass(5 * MS);
        }
        const joined = frames.flatMap((frame) => [...payloadOf(frame)]);
        expect(joined).toEqual(packets.flatMap(({ size }) => [...bytes(size)]));
      });
    }),
    { numRuns: 20, seed: 11 },
  );
});

test('datagrams are cut as well, each with its own length and sum', () => {
  withPair(({ lan, nicA, frames }) => {
    const payload = bytes(10_500);
    devQueueXmit(datagrams(nicA.dev, payload, 1200));
    lan.pass(10 * MS);
    const lengths = frames.map((frame) => new DataView(frame.buffer).getUint16(38));
    expect(lengths).toEqual([...new Array<number>(8).fill(1208), 908]);
    expect(frames.flatMap((frame) => [...payloadOf(frame)])).toEqual([...payload]);
  });
});

test('the chip checks what it receives, unless that is switched off', () => {
  withPair(({ lan, b, nicA, nicB, adapterB, seen }) => {
    devQueueXmit(segment(nicA.dev, bytes(500), 0, false));
    lan.pass(MS);
    const bad = segment(nicA.dev, bytes(500), 0, false);
    bad.ipSummed = CHECKSUM_NONE;
    devQueueXmit(bad);
    lan.pass(MS);
    expect(adapterB.rxRing.reduce((sum, ring) => sum + ring.csumErr, 0)).toBe(1);
    b.locked(() => {
      nicB.dev.wantedFeatures &= ~NETIF_F_RXCSUM;
      netdevUpdateFeatures(nicB.dev);
    });
    devQueueXmit(segment(nicA.dev, bytes(500), 0, false));
    lan.pass(MS);
    const found = seen.map(({ ipSummed }) => ipSummed);
    expect(found).toEqual([CHECKSUM_UNNECESSARY, CHECKSUM_NONE, CHECKSUM_NONE]);
  });
});

test('the hash goes up with the packet, and the number of its queue', () => {
  withPair(({ lan, b, nicA, nicB, adapterB, seen }) => {
    devQueueXmit(segment(nicA.dev, bytes(500), 0, false));
    lan.pass(MS);
    const input = Uint8Array.of(10, 0, 0, 1, 10, 0, 0, 0xfe, 0, 0, 0, 0);
    const hash = new ToeplitzKey(adapterB.rssKey).hash(input, 0, 12);
    const queue = adapterB.rssIndirTbl[hash & 127];
    expect(seen).toEqual([{ ipSummed: CHECKSUM_UNNECESSARY, hash, queue }]);
    b.locked(() => {
      nicB.dev.wantedFeatures &= ~NETIF_F_RXHASH;
      netdevUpdateFeatures(nicB.dev);
    });
    devQueueXmit(segment(nicA.dev, bytes(500), 0, false));
    lan.pass(MS);
    expect(seen[1]).toMatchObject({ hash: 0, queue });
  });
});

test('VLAN tags are put in and taken out by the chip', () => {
  withPair(({ lan, b, nicA, frames }) => {
    const tags: [boolean, number, number][] = [];
    const tap = new PacketType(ETH_P_ALL, (skb) => {
      tags.push([skb.vlanPresent, skb.vlanProto, skb.vlanTci]);
      consumeSkb(skb);
      return 0;
    });
    devAddPack(b.machine, tap);
    const send = (mss: number, size: number): void => {
      const skb = segment(nicA.dev, bytes(size), mss, false);
      skb.vlanPresent = true;
      skb.vlanProto = ETH_P_8021Q;
      skb.vlanTci = 0x2007;
      devQueueXmit(skb);
      lan.pass(MS);
    };
    send(0, 300);
    send(1000, 1700);
    devRemovePack(b.machine, tap);
    expect(frames).toHaveLength(3);
    for (const frame of frames) {
      expect([...frame.subarray(12, 18)]).toEqual([0x81, 0, 0x20, 7, 8, 0]);
    }
    const plain = frames.map((f) => Uint8Array.of(...f.subarray(0, 12), ...f.subarray(16)));
    const payload = plain.flatMap((frame) => [...payloadOf(frame)]);
    expect(payload).toEqual([...bytes(300), ...bytes(1700)]);
    expect(tags.length).toBeGreaterThan(0);
    expect(tags.every(([present, , tci]) => present && tci === 0x2007)).toBe(true);
  });
});

test('headers too long for a context descriptor are summed in software', () => {
  withPair(({ nicA }) => {
    const check = nicA.dev.netdevOps.ndoFeaturesCheck;
    const all = NETIF_F_HW_CSUM | NETIF_F_TSO | NETIF_F_GSO_UDP_L4;
    const skb = segment(nicA.dev, bytes(2000), 1000, false);
    expect(check?.(skb, nicA.dev, all)).toBe(all);
    skb.csumStart += 512;
    expect(check?.(skb, nicA.dev, all)).toBe(0);
    skb.csumStart -= 512;
    skb.networkHeader += 120;
    expect(check?.(skb, nicA.dev, all)).toBe(0);
    consumeSkb(skb);
  });
});
