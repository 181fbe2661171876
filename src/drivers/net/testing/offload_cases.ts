/** What every card must do that takes checksums, segmentation and VLAN tags off the stack's hands. */
import fc from 'fast-check';
import { expect } from 'vitest';
import { bytes, linkedPair, MS, type NicPair } from '#drivers/net/testing/pair.ts';
import { payloadOf, segment } from '#drivers/net/testing/segment.ts';
import { type NetDevice, PacketType } from '#include/linux/netdevice.ts';
import { skbGetRxQueue } from '#include/linux/skbuff_rx_queue.ts';
import { mem } from '#mm/memory.ts';
import { devGetStats } from '#net/core/dev.ts';
import { devAddPack, devRemovePack } from '#net/core/dev_rx.ts';
import { devQueueXmit } from '#net/core/dev_tx.ts';
import { consumeSkb } from '#net/core/skbuff.ts';
import { ETH_P_8021Q, ETH_P_ALL, ETH_P_IP } from '#uapi/if_ether.ts';

/** What b found beside an IPv4 packet. */
export interface SeenPacket {
  readonly ipSummed: number;
  readonly hash: number;
  readonly queue: number;
}

export interface OffloadPair<Nic> extends NicPair<Nic> {
  /** Frames as they were on the wire from a. */
  readonly frames: Uint8Array[];
  /** IPv4 packets that b received. */
  readonly seen: SeenPacket[];
}

type AnyNic = { readonly dev: NetDevice };

/** Runs a test with both cards up, and keeps what is on the wire and what arrives. */
export function linkedOffloadPair<Nic extends AnyNic>(
  pair: NicPair<Nic>,
  run: (all: OffloadPair<Nic>) => void,
): void {
  const frames: Uint8Array[] = [];
  const seen: SeenPacket[] = [];
  pair.wire.drop = (frame, end) => {
    if (end === 0) frames.push(mem.slice(frame.addr, frame.addr + frame.len));
    return false;
  };
  devAddPack(
    pair.b.machine,
    new PacketType(ETH_P_IP, (skb) => {
      seen.push({ ipSummed: skb.ipSummed, hash: skb.hash, queue: skbGetRxQueue(skb) });
      consumeSkb(skb);
      return 0;
    }),
  );
  linkedPair({ ...pair, frames, seen }, run);
}

/** Checksums are put in, whatever the length and the pieces. */
export function checksumsArePutIn({ lan, nicA, frames }: OffloadPair<AnyNic>): void {
  const sizes = [1, 2, 3, 100, 1459, 1460];
  for (const size of sizes) devQueueXmit(segment(nicA.dev, bytes(size), 0, size > 99));
  lan.pass(10 * MS);
  expect(frames.map((frame) => [...payloadOf(frame)])).toEqual(
    sizes.map((size) => [...bytes(size)]),
  );
}

/** One packet of 64 KB leaves as frames of the right size, sums, numbers and flags, and counts as they. */
export function superPacketIsCut({ lan, nicA, frames }: OffloadPair<AnyNic>): void {
  const payload = bytes(65_000);
  devQueueXmit(segment(nicA.dev, payload, 1448, true));
  lan.pass(10 * MS);
  expect(frames).toHaveLength(Math.ceil(65_000 / 1448));
  expect(frames.flatMap((frame) => [...payloadOf(frame)])).toEqual([...payload]);
  const seqs = frames.map((frame) => new DataView(frame.buffer).getUint32(38));
  expect(seqs).toEqual(seqs.map((_, n) => (0xfffffff0 + n * 1448) >>> 0));
  const flags = frames.map((frame) => frame[47]);
  expect(flags).toEqual([...new Array<number>(frames.length - 1).fill(0x10), 0x18]);
  const txBytes = frames.reduce((sum, frame) => sum + frame.length, 0);
  expect(devGetStats(nicA.dev)).toMatchObject({ txPackets: frames.length, txBytes });
}

/** Segmentation of any payload at any size; a packet no longer than a segment is sent whole. */
export function anyPayloadIsCut<Nic extends AnyNic>(
  withPair: (run: (all: OffloadPair<Nic>) => void) => void,
): void {
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
}

/** VLAN tags are put in, of whole packets and of segments, and taken out. */
export function tagsAreMoved({ lan, b, nicA, frames }: OffloadPair<AnyNic>): void {
  const tags: [boolean, number, number][] = [];
  const tap = new PacketType(ETH_P_ALL, (skb) => {
    tags.push([skb.vlanPresent, skb.vlanProto, skb.vlanTci]);
    consumeSkb(skb);
    return 0;
  });
  devAddPack(b.machine, tap);
  for (const [mss, size] of [
    [0, 300],
    [1000, 1700],
  ] as const) {
    const skb = segment(nicA.dev, bytes(size), mss, false);
    skb.vlanPresent = true;
    skb.vlanProto = ETH_P_8021Q;
    skb.vlanTci = 0x2007;
    devQueueXmit(skb);
    lan.pass(MS);
  }
  devRemovePack(b.machine, tap);
  expect(frames).toHaveLength(3);
  for (const frame of frames) {
    expect([...frame.subarray(12, 18)]).toEqual([0x81, 0, 0x20, 7, 8, 0]);
  }
  const plain = frames.map((f) => Uint8Array.of(...f.subarray(0, 12), ...f.subarray(16)));
  expect(plain.flatMap((frame) => [...payloadOf(frame)])).toEqual([...bytes(300), ...bytes(1700)]);
  expect(tags.length).toBeGreaterThan(0);
  for (const tag of tags) expect(tag).toEqual([true, ETH_P_8021Q, 0x2007]);
}
