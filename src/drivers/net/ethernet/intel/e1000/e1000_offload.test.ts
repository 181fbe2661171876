import fc from 'fast-check';
import { expect, test } from 'vitest';
import { e1000Adapter } from '#drivers/net/ethernet/intel/e1000/e1000.ts';
import type { E1000Nic } from '#drivers/net/ethernet/intel/e1000/e1000_plug.ts';
import { Lan, type LanMachine, sendTest, TestWire } from '#drivers/net/testing/lan.ts';
import { payloadOf, segment } from '#drivers/net/testing/segment.ts';
import { NETIF_F_HW_CSUM, NETIF_F_RXCSUM, NETIF_F_TSO } from '#include/linux/netdev_features.ts';
import { PacketType } from '#include/linux/netdevice.ts';
import { CHECKSUM_NONE, CHECKSUM_UNNECESSARY } from '#include/linux/skbuff.ts';
import { mem } from '#mm/memory.ts';
import { allocPages, putPage } from '#mm/page_alloc.ts';
import { netdevUpdateFeatures } from '#net/core/dev_register.ts';
import { devAddPack, devRemovePack } from '#net/core/dev_rx.ts';
import { devQueueXmit } from '#net/core/dev_tx.ts';
import { consumeSkb } from '#net/core/skbuff.ts';
import { ETH_P_8021Q, ETH_P_ALL, ETH_P_IP } from '#uapi/if_ether.ts';

const MAC_A: Uint8Array = Uint8Array.of(2, 0, 0, 0, 0, 0xa);
const MAC_B: Uint8Array = Uint8Array.of(2, 0, 0, 0, 0, 0xb);
const MS = 1_000_000;

interface Setup {
  readonly lan: Lan;
  readonly a: LanMachine;
  readonly b: LanMachine;
  readonly nicA: E1000Nic;
  readonly nicB: E1000Nic;
  /** Frames as they were on the wire from a. */
  readonly frames: Uint8Array[];
  /** IPv4 packets that b received, by how their checksum was found. */
  readonly summed: number[];
}

function withPair(run: (setup: Setup) => void): void {
  const lan = new Lan();
  const wire = new TestWire(lan);
  const a = lan.boot('a');
  const b = lan.boot('b');
  const nicA = a.plug({ mac: MAC_A, end: (port) => wire.plug(0, port) });
  const nicB = b.plug({ mac: MAC_B, end: (port) => wire.plug(1, port) });
  const frames: Uint8Array[] = [];
  wire.drop = (frame, end) => {
    if (end === 0) frames.push(mem.slice(frame.addr, frame.addr + frame.len));
    return false;
  };
  const summed: number[] = [];
  devAddPack(
    b.machine,
    new PacketType(ETH_P_IP, (skb) => {
      summed.push(skb.ipSummed);
      consumeSkb(skb);
      return 0;
    }),
  );
  a.up(nicA.dev);
  b.up(nicB.dev);
  lan.pass(10 * MS);
  run({ lan, a, b, nicA, nicB, frames, summed });
  expect(lan.shutDown()).toEqual({});
}

function bytes(length: number, seed = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 13 + (i >> 8) + seed) & 0xff);
}

test('the chip puts the checksum in', () => {
  withPair(({ lan, nicA, frames }) => {
    expect(nicA.dev.features & (NETIF_F_HW_CSUM | NETIF_F_TSO)).toBe(NETIF_F_HW_CSUM | NETIF_F_TSO);
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
    const joined = frames.flatMap((frame) => [...payloadOf(frame)]);
    expect(joined).toEqual([...payload]);
    const seqs = frames.map((frame) => new DataView(frame.buffer).getUint32(38));
    expect(seqs).toEqual(seqs.map((_, n) => (0xfffffff0 + n * 1448) >>> 0));
    const adapter = e1000Adapter(nicA.dev);
    expect(nicA.dev.stats.txPackets).toBe(frames.length);
    expect(nicA.dev.stats.txBytes).toBe(frames.reduce((sum, frame) => sum + frame.length, 0));
    nicA.dev.ethtoolOps?.getEthtoolStats?.(nicA.dev);
    expect(adapter.stats.tsctc).toBe(1);
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

test('received checksums are checked by the chip when asked for, else by the stack', () => {
  withPair(({ lan, b, nicA, nicB, summed }) => {
    devQueueXmit(segment(nicA.dev, bytes(500), 0, false));
    lan.pass(MS);
    expect(summed).toEqual([CHECKSUM_NONE]);
    b.locked(() => {
      nicB.dev.wantedFeatures |= NETIF_F_RXCSUM;
      netdevUpdateFeatures(nicB.dev);
    });
    devQueueXmit(segment(nicA.dev, bytes(500), 0, false));
    lan.pass(MS);
    const bad = segment(nicA.dev, bytes(500), 0, false);
    bad.ipSummed = CHECKSUM_NONE;
    devQueueXmit(bad);
    lan.pass(MS);
    expect(summed).toEqual([CHECKSUM_NONE, CHECKSUM_UNNECESSARY, CHECKSUM_NONE]);
    const adapter = e1000Adapter(nicB.dev);
    expect([adapter.hwCsumGood, adapter.hwCsumErr]).toEqual([1, 1]);
  });
});

test('VLAN tags are put in and taken out by the chip', () => {
  withPair(({ lan, b, nicA, frames }) => {
    const seen: [boolean, number, number][] = [];
    const tap = new PacketType(ETH_P_ALL, (skb) => {
      seen.push([skb.vlanPresent, skb.vlanProto, skb.vlanTci]);
      consumeSkb(skb);
      return 0;
    });
    devAddPack(b.machine, tap);
    const skb = segment(nicA.dev, bytes(300), 0, false);
    skb.vlanPresent = true;
    skb.vlanProto = ETH_P_8021Q;
    skb.vlanTci = 0x2007;
    devQueueXmit(skb);
    lan.pass(MS);
    devRemovePack(b.machine, tap);
    const [frame = new Uint8Array()] = frames;
    expect([...frame.subarray(12, 18)]).toEqual([0x81, 0, 0x20, 7, 8, 0]);
    const plain = Uint8Array.of(...frame.subarray(0, 12), ...frame.subarray(16));
    expect([...payloadOf(plain)]).toEqual([...bytes(300)]);
    expect(seen).toEqual([[true, ETH_P_8021Q, 0x2007]]);
  });
});

test('without memory for new buffers nothing is lost track of, and it goes on afterwards', () => {
  withPair(({ lan, b, nicA, nicB }) => {
    for (let n = 0; n < 40; n++) sendTest(nicA.dev, MAC_B, bytes(1000, n));
    // Taken while the frames are under way: they can be received, but not replaced.
    lan.pass(100_000);
    const taken: number[] = [];
    for (const size of [131072, 32768, 2048]) {
      for (let addr = allocPages(size); addr !== 0; addr = allocPages(size)) taken.push(addr);
    }
    lan.pass(50 * MS);
    expect(e1000Adapter(nicB.dev).allocRxBuffFailed).toBeGreaterThan(0);
    for (const addr of taken) putPage(addr);
    lan.pass(3_000 * MS);
    const before = b.received.length;
    expect(before).toBeGreaterThan(0);
    for (let n = 0; n < 10; n++) sendTest(nicA.dev, MAC_B, bytes(1000, n));
    lan.pass(MS);
    expect(b.received).toHaveLength(before + 10);
  });
});
