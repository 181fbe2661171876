/** The modelled virtio network device, driven by hand: what the specification says, and hostile drivers. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type HandQueue, REGION, RING_SIZE, VirtioRig } from '#hardware/testing/virtio_rig.ts';
import { WIRE_CSUM, WIRE_TSO4 } from '#hardware/wire.ts';
import { IRQ_HANDLED, requestIrq } from '#kernel/irq.ts';
import { csumFold16 } from '#lib/checksum.ts';
import { dmaView, mem } from '#mm/memory.ts';
import { livePages } from '#mm/page_alloc.ts';
import { PCI_INTERRUPT_LINE } from '#uapi/pci_regs.ts';
import {
  VIRTIO_CONFIG_S_ACKNOWLEDGE,
  VIRTIO_CONFIG_S_DRIVER,
  VIRTIO_CONFIG_S_DRIVER_OK,
  VIRTIO_CONFIG_S_FEATURES_OK,
  VIRTIO_RING_F_EVENT_IDX,
} from '#uapi/virtio_config.ts';
import {
  VIRTIO_NET_CONFIG_STATUS,
  VIRTIO_NET_F_CSUM,
  VIRTIO_NET_F_MRG_RXBUF,
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_S_LINK_UP,
  virtioNetHdr,
} from '#uapi/virtio_net.ts';
import {
  VRING_DESC_F_INDIRECT,
  VRING_DESC_F_NEXT,
  VRING_DESC_F_WRITE,
  vringAvail,
  vringDesc,
  vringNeedEvent,
  vringUsed,
} from '#uapi/virtio_ring.ts';

const HDR = virtioNetHdr.V1_LEN;

function withRig(
  run: (rig: VirtioRig) => void,
  options: ConstructorParameters<typeof VirtioRig>[0] = {},
): void {
  const before = livePages().units;
  const rig = new VirtioRig(options);
  run(rig);
  rig.close();
  expect(livePages().units).toBe(before);
}

/** A TCP packet over IPv4 behind a header that asks for segments of `mss` bytes. */
function superPacket(payload: number, mss: number): Uint8Array {
  const bytes = new Uint8Array(HDR + 54 + payload);
  const v = new DataView(bytes.buffer);
  virtioNetHdr.setFlags(v, 0, VIRTIO_NET_HDR_F_NEEDS_CSUM);
  virtioNetHdr.setGsoType(v, 0, VIRTIO_NET_HDR_GSO_TCPV4);
  virtioNetHdr.setHdrLen(v, 0, 54);
  virtioNetHdr.setGsoSize(v, 0, mss);
  virtioNetHdr.setCsumStart(v, 0, 34);
  virtioNetHdr.setCsumOffset(v, 0, 16);
  const eth = HDR;
  bytes.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0], eth);
  const ip = eth + 14;
  bytes[ip] = 0x45;
  v.setUint16(ip + 2, 40 + payload);
  v.setUint16(ip + 4, 0xfffe);
  bytes[ip + 8] = 64;
  bytes[ip + 9] = 6;
  v.setUint32(ip + 12, 0x0a000001);
  v.setUint32(ip + 16, 0x0a000002);
  const tcp = ip + 20;
  v.setUint16(tcp, 1000);
  v.setUint16(tcp + 2, 2000);
  v.setUint32(tcp + 4, 0xffffff00);
  bytes[tcp + 12] = 0x50;
  // CWR, PSH, FIN and ACK.
  bytes[tcp + 13] = 0x80 | 0x19;
  v.setUint16(tcp + 16, csumFold16(0x0a00 + 1 + 0x0a00 + 2 + 6 + 20 + payload));
  for (let i = 0; i < payload; i++) bytes[tcp + 20 + i] = (i * 13) & 0xff;
  return bytes;
}

/** Sum over 16-bit words from `from` to `to`, with a start value. */
function sum(bytes: Uint8Array, from: number, to: number, seed: number): number {
  let total = seed;
  for (let i = from; i < to; i += 2) {
    total += ((bytes[i] as number) << 8) | (i + 1 < to ? (bytes[i + 1] as number) : 0);
  }
  return csumFold16(total);
}

function sendChain(rig: VirtioRig, tx: HandQueue, pieces: readonly Uint8Array[]): void {
  for (const [i, piece] of pieces.entries()) {
    const more = i + 1 < pieces.length;
    rig.descriptor(tx, i, rig.data(piece), piece.length, more ? VRING_DESC_F_NEXT : 0, i + 1);
  }
  rig.offer(tx, 0);
  rig.kick(tx);
}

test('a super-packet is cut for a peer that does not take it: every segment is right', () => {
  withRig((rig) => {
    const [, tx] = rig.start() as [HandQueue, HandQueue, HandQueue];
    const whole = superPacket(3500, 1000);
    // In odd pieces, the header in two of them.
    sendChain(rig, tx, [whole.subarray(0, 5), whole.subarray(5, 40), whole.subarray(40)]);
    expect(rig.sent.map(({ bytes }) => bytes.length)).toEqual([1054, 1054, 1054, 554]);
    let payload = 0;
    for (const [n, { bytes, csumStart, gsoSize }] of rig.sent.entries()) {
      const v = new DataView(bytes.buffer);
      const last = n === 3;
      expect([csumStart, gsoSize]).toEqual([-1, 0]);
      expect(v.getUint16(16)).toBe(bytes.length - 14);
      expect(v.getUint16(18)).toBe((0xfffe + n) & 0xffff);
      expect(sum(bytes, 14, 34, 0)).toBe(0xffff);
      expect(v.getUint32(38)).toBe((0xffffff00 + payload) >>> 0);
      expect(bytes[47]).toBe(0x10 | (n === 0 ? 0x80 : 0) | (last ? 0x09 : 0));
      const pseudo = 0x0a00 + 1 + 0x0a00 + 2 + 6 + (bytes.length - 34);
      expect(sum(bytes, 34, bytes.length, pseudo)).toBe(0xffff);
      expect(bytes[54]).toBe((payload * 13) & 0xff);
      payload += bytes.length - 54;
    }
    expect(payload).toBe(3500);
    expect(rig.usedIdx(tx)).toBe(1);
  });
});

test('it crosses whole to a peer that takes it', () => {
  withRig((rig) => {
    rig.peerOffloads = WIRE_CSUM | WIRE_TSO4;
    const [, tx] = rig.start() as [HandQueue, HandQueue, HandQueue];
    sendChain(rig, tx, [superPacket(3500, 1000)]);
    // CWR asks for a receiver that knows ECN, but only by its own flag, which is not set here.
    expect(rig.sent).toMatchObject([{ csumStart: 34, gsoSize: 1000 }]);
    expect(rig.sent[0]?.bytes.length).toBe(3554);
  });
});

test('headers that make no sense are not sent, and the buffer comes back', () => {
  withRig((rig) => {
    const [, tx] = rig.start() as [HandQueue, HandQueue, HandQueue];
    const edits: readonly ((v: DataView) => void)[] = [
      (v) => virtioNetHdr.setGsoSize(v, 0, 0),
      (v) => virtioNetHdr.setCsumStart(v, 0, 60000),
      (v) => virtioNetHdr.setCsumOffset(v, 0, 4000),
      (v) => virtioNetHdr.setFlags(v, 0, 0),
      (v) => virtioNetHdr.setGsoType(v, 0, 99),
      (v) => virtioNetHdr.setCsumStart(v, 0, 20),
      (v) => v.setUint8(HDR + 14 + 20 + 12, 0xf0),
      (v) => v.setUint16(HDR + 12, 0x1234),
    ];
    for (const [n, edit] of edits.entries()) {
      const bytes = superPacket(20, 10);
      edit(new DataView(bytes.buffer));
      sendChain(rig, tx, [bytes]);
      expect(rig.sent).toEqual([]);
      expect(rig.usedIdx(tx)).toBe(n + 1);
    }
    expect(rig.card.device.counters.txDropped).toBe(edits.length);
    expect(rig.needsReset).toBe(false);
  });
});

test('a frame is spread over buffers that may be merged, and says over how many', () => {
  withRig((rig) => {
    const [rx] = rig.start() as [HandQueue, HandQueue, HandQueue];
    const buffers = Array.from({ length: 4 }, () => rig.alloc(100));
    const bytes = Uint8Array.from({ length: 250 }, (_, i) => i & 0xff);
    bytes.fill(0xff, 0, 6);
    // Not enough yet: the frame waits, and no buffer is used.
    for (const [i, at] of buffers.entries()) rig.descriptor(rx, i, at, 100, VRING_DESC_F_WRITE);
    rig.offer(rx, 0);
    rig.offer(rx, 1);
    rig.kick(rx);
    rig.arrive(bytes);
    expect(rig.usedIdx(rx)).toBe(0);
    expect(vringUsed.availEvent(dmaView, rx.used, RING_SIZE), 'tell of the next').toBe(2);
    rig.offer(rx, 2);
    rig.kick(rx);
    expect(rig.usedIdx(rx)).toBe(3);
    const lens = [0, 1, 2].map((i) => vringUsed.len(dmaView, rx.used, i));
    expect(lens).toEqual([100, 100, 62]);
    expect(virtioNetHdr.numBuffers(dmaView, buffers[0] as number)).toBe(3);
    const got = [0, 1, 2].flatMap((i) => [
      ...mem.slice(buffers[i] as number, (buffers[i] as number) + (lens[i] as number)),
    ]);
    expect(got.slice(HDR)).toEqual([...bytes]);
  });
});

test('without merging a chain must hold the whole frame', () => {
  withRig((rig) => {
    const [rx] = rig.start([VIRTIO_NET_F_MRG_RXBUF]) as [HandQueue, HandQueue, HandQueue];
    rig.descriptor(rx, 0, rig.alloc(HDR), HDR, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
    rig.descriptor(rx, 1, rig.alloc(100), 100, VRING_DESC_F_WRITE);
    rig.offer(rx, 0);
    rig.kick(rx);
    rig.arrive(new Uint8Array(101).fill(0xff));
    expect(rig.usedIdx(rx)).toBe(0);
    expect(rig.card.device.counters.rxTooLong).toBe(1);
    rig.arrive(new Uint8Array(100).fill(0xff));
    expect(rig.usedIdx(rx)).toBe(1);
    expect(vringUsed.len(dmaView, rx.used, 0)).toBe(112);
  });
});

test('features that need others are refused as a whole', () => {
  withRig((rig) => {
    rig.start([VIRTIO_NET_F_CSUM]);
    expect(rig.status & VIRTIO_CONFIG_S_FEATURES_OK).toBe(0);
    expect(rig.status & (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)).not.toBe(0);
  });
});

test('an interrupt is wanted when an index is passed, also where indexes wrap', () => {
  expect(vringNeedEvent(5, 6, 5)).toBe(true);
  expect(vringNeedEvent(5, 5, 4)).toBe(false);
  expect(vringNeedEvent(4, 10, 5)).toBe(false);
  expect(vringNeedEvent(0xffff, 3, 0xfffe)).toBe(true);
  expect(vringNeedEvent(2, 3, 0xfffe)).toBe(true);
  expect(vringNeedEvent(3, 3, 0xfffe)).toBe(false);
});

test('interrupts only at the index that the driver waits for', () => {
  withRig(
    (rig) => {
      const [, tx] = rig.start() as [HandQueue, HandQueue, HandQueue];
      const frame = new Uint8Array(HDR + 60);
      vringAvail.setUsedEvent(dmaView, tx.avail, RING_SIZE, 2);
      const levels: boolean[] = [];
      for (let n = 0; n < 4; n++) {
        sendChain(rig, tx, [frame]);
        levels.push(rig.card.pci.intx);
      }
      expect(levels).toEqual([false, false, true, true]);
    },
    { msix: false },
  );
});

/** Offers frames of `length` octets, the first of them for each n different, and rings once. */
function sendMany(rig: VirtioRig, tx: HandQueue, count: number, length: number): void {
  for (let n = 0; n < count; n++) {
    const bytes = new Uint8Array(HDR + length);
    bytes[HDR] = n;
    rig.descriptor(tx, n, rig.data(bytes), bytes.length, 0);
    rig.offer(tx, n);
  }
  rig.kick(tx);
}

test('what one doorbell tells of leaves as a burst, and comes back with one interrupt', () => {
  withRig(
    (rig) => {
      const [, tx] = rig.start() as [HandQueue, HandQueue, HandQueue];
      vringAvail.setUsedEvent(dmaView, tx.avail, RING_SIZE, 0);
      sendMany(rig, tx, 10, 1000);
      const lineNs = 10 * Math.ceil((1024 * 8e9) / 10e9);
      rig.pass(lineNs - 1);
      expect(rig.sent).toEqual([]);
      expect(rig.usedIdx(tx)).toBe(0);
      // The device comes back by itself: nobody is to ring meanwhile.
      expect(vringUsed.availEvent(dmaView, tx.used, RING_SIZE)).toBe(0);
      rig.pass(1);
      expect(rig.sent.map(({ bytes }) => bytes[0])).toEqual([...Array(10).keys()]);
      expect(rig.bursts).toEqual([10]);
      expect(rig.usedIdx(tx)).toBe(10);
      expect(rig.card.pci.intx).toBe(true);
      expect(vringUsed.availEvent(dmaView, tx.used, RING_SIZE)).toBe(10);
    },
    { msix: false, rateBps: 10e9 },
  );
});

test('a burst is no longer than 50 us of its line: on a slow one frames go one by one', () => {
  const burstsAt = (rateBps: number): readonly number[] => {
    const bursts: number[] = [];
    withRig(
      (rig) => {
        const [, tx] = rig.start() as [HandQueue, HandQueue, HandQueue];
        sendMany(rig, tx, 6, 1000);
        rig.pass(1e9);
        expect(rig.usedIdx(tx)).toBe(6);
        bursts.push(...rig.bursts);
      },
      { rateBps },
    );
    return bursts;
  };
  // 8 us a frame at 1 Gbit/s, 82 at 100 Mbit/s.
  expect(burstsAt(1e9)).toEqual([6]);
  expect(burstsAt(4e8)).toEqual([2, 2, 2]);
  expect(burstsAt(1e8)).toEqual([1, 1, 1, 1, 1, 1]);
  // Where frames take no time, all that is there.
  expect(burstsAt(0)).toEqual([6]);
});

test('what does not fit into a burst is the first of the next', () => {
  withRig(
    (rig) => {
      rig.peerOffloads = WIRE_CSUM | WIRE_TSO4;
      const [, tx] = rig.start() as [HandQueue, HandQueue, HandQueue];
      // 60 KB in between are 48 us: small frames before it do not wait for it, nor it for those behind.
      const pieces = [
        new Uint8Array(HDR + 60),
        superPacket(60000, 1448),
        new Uint8Array(HDR + 5000),
      ];
      for (const [n, bytes] of [...pieces, new Uint8Array(HDR + 60)].entries()) {
        rig.descriptor(tx, n, rig.data(bytes), bytes.length, 0);
        rig.offer(tx, n);
      }
      rig.kick(tx);
      rig.pass(1e6);
      expect(rig.bursts).toEqual([1, 1, 2]);
      expect(rig.sent.map(({ bytes }) => bytes.length)).toEqual([60, 60054, 5000, 60]);
      expect(rig.usedIdx(tx)).toBe(4);
      expect([0, 1, 2, 3].map((slot) => vringUsed.id(dmaView, tx.used, slot))).toEqual([
        0, 1, 2, 3,
      ]);
    },
    { rateBps: 9.5e9 },
  );
});

test('frames that arrive together are told of with one interrupt', () => {
  withRig(
    (rig) => {
      const [rx] = rig.start() as [HandQueue, HandQueue, HandQueue];
      for (let i = 0; i < 8; i++) {
        rig.descriptor(rx, i, rig.alloc(256), 256, VRING_DESC_F_WRITE);
        rig.offer(rx, i);
      }
      rig.kick(rx);
      // Wanted for the third: told of when all five are there.
      vringAvail.setUsedEvent(dmaView, rx.avail, RING_SIZE, 2);
      const seen: number[] = [];
      const line = rig.card.pci.configRead(PCI_INTERRUPT_LINE, 1);
      const handler = (): number => {
        seen.push(rig.usedIdx(rx));
        return IRQ_HANDLED;
      };
      requestIrq(rig.machine, line, handler, 'test', rig);
      rig.arriveTogether([1, 2, 3, 4, 5].map((n) => new Uint8Array(100 + n).fill(0xff)));
      expect(rig.usedIdx(rx)).toBe(5);
      expect(seen).toEqual([5]);
      expect(vringUsed.len(dmaView, rx.used, 4)).toBe(HDR + 105);
    },
    { msix: false },
  );
});

test('and by flags where there are no indexes', () => {
  withRig(
    (rig) => {
      const [, tx] = rig.start([VIRTIO_RING_F_EVENT_IDX]) as [HandQueue, HandQueue, HandQueue];
      vringAvail.setFlags(dmaView, tx.avail, 1);
      sendChain(rig, tx, [new Uint8Array(HDR + 60)]);
      expect(rig.card.pci.intx).toBe(false);
      vringAvail.setFlags(dmaView, tx.avail, 0);
      sendChain(rig, tx, [new Uint8Array(HDR + 60)]);
      expect(rig.card.pci.intx).toBe(true);
    },
    { msix: false },
  );
});

test('rings that are not memory make the device ask for a reset', () => {
  for (const at of [0, 3, 0x7fffff00, 0xfffffff0]) {
    withRig((rig) => {
      rig.start();
      rig.setStatus(0);
      rig.enableAt(0, at, at, at);
      expect(rig.needsReset).toBe(true);
      rig.setStatus(0);
      expect(rig.needsReset).toBe(false);
    });
  }
});

test('a doorbell of a queue that is not in use rings for nobody', () => {
  withRig((rig) => {
    const [rx, tx, control] = rig.start() as [HandQueue, HandQueue, HandQueue];
    rig.setStatus(0);
    rig.setStatus(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK);
    // Where a ring at address 0 would lie: nothing of it may be read or written.
    const there = mem.slice(0, 8);
    mem.fill(1, 0, 8);
    for (const q of [rx, tx, control]) rig.kick(q);
    const after = [...mem.subarray(0, 8)];
    mem.set(there, 0);
    expect(after).toEqual(new Array(8).fill(1));
    expect([rig.card.device.counters.notifications, rig.needsReset]).toEqual([0, false]);
  });
});

test('a card without power has no link, and says so when it is plugged in again', () => {
  withRig((rig) => {
    const { card, bus } = rig;
    expect(card.config.getUint16(VIRTIO_NET_CONFIG_STATUS, true)).toBe(VIRTIO_NET_S_LINK_UP);
    bus.unplug(card.pci);
    expect(card.config.getUint16(VIRTIO_NET_CONFIG_STATUS, true)).toBe(0);
    bus.plug(card.pci);
    expect(card.config.getUint16(VIRTIO_NET_CONFIG_STATUS, true)).toBe(0);
  });
});

const CHAINS: readonly (readonly [string, (rig: VirtioRig, q: HandQueue, at: number) => void])[] = [
  ['a circle', (rig, q, at) => rig.descriptor(q, 0, at, 20, VRING_DESC_F_NEXT, 0)],
  ['beyond the ring', (rig, q, at) => rig.descriptor(q, 0, at, 20, VRING_DESC_F_NEXT, 99)],
  ['no memory', (rig, q) => rig.descriptor(q, 0, 0x7fff0000, 20, 0)],
  ['an end beyond memory', (rig, q, at) => rig.descriptor(q, 0, at, 0x7fffffff, 0)],
  [
    'written before read',
    (rig, q, at) => {
      rig.descriptor(q, 0, at, 20, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
      rig.descriptor(q, 1, at, 20, 0);
    },
  ],
  ['a table of odd length', (rig, q, at) => rig.descriptor(q, 0, at, 20, VRING_DESC_F_INDIRECT)],
  [
    'a table in a table',
    (rig, q, at) => {
      const table = rig.alloc(32);
      const inner: HandQueue = { ...q, desc: table };
      rig.descriptor(inner, 0, at, 16, VRING_DESC_F_INDIRECT);
      rig.descriptor(q, 0, table, 16, VRING_DESC_F_INDIRECT);
    },
  ],
];

for (const [name, make] of CHAINS) {
  test(`a chain that breaks the rules makes the device ask for a reset: ${name}`, () => {
    withRig((rig) => {
      for (const which of [0, 1, 2]) {
        const queues = rig.start();
        const q = queues[which] as HandQueue;
        make(rig, q, rig.alloc(64));
        rig.offer(q, 0);
        rig.kick(q);
        rig.arrive(new Uint8Array(60).fill(0xff));
        expect(rig.needsReset, `queue ${which}`).toBe(true);
      }
      const [, tx] = rig.start() as [HandQueue, HandQueue, HandQueue];
      sendChain(rig, tx, [new Uint8Array(HDR + 60)]);
      expect(rig.usedIdx(tx), 'a reset mends it').toBe(1);
    });
  });
}

test('any rings, any memory: no exception, nothing lost, the device can be reset', () => {
  const before = livePages().units;
  const rig = new VirtioRig();
  const word = fc.record({
    addr: fc.oneof(
      { weight: 6, arbitrary: fc.nat(REGION - 4096) },
      { weight: 1, arbitrary: fc.constantFrom(0x7ffffff0, -1, 0x40000000) },
    ),
    len: fc.oneof(fc.nat(4000), fc.constantFrom(0, 16, 32, 0x7fffffff)),
    flags: fc.integer({ min: 0, max: 7 }),
    next: fc.integer({ min: 0, max: RING_SIZE + 2 }),
  });
  const step = fc.record({
    queue: fc.integer({ min: 0, max: 2 }),
    descs: fc.array(word, { minLength: 1, maxLength: RING_SIZE }),
    heads: fc.array(fc.integer({ min: 0, max: RING_SIZE }), { maxLength: 8 }),
    jump: fc.constantFrom(0, 0, 0, 1, 40, 30000),
    frame: fc.option(fc.uint8Array({ minLength: 14, maxLength: 300 })),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), (steps) => {
      const queues = rig.start();
      for (const { queue, descs, heads, jump, frame } of steps) {
        const q = queues[queue] as HandQueue;
        for (const [i, { addr, len, flags, next }] of descs.entries()) {
          const inside = addr >= 0 && addr < REGION;
          const room = inside ? Math.min(len, REGION - addr) : len;
          // Memory of others is the IOMMU's business: here it is ours, or none.
          rig.descriptor(q, i, inside ? rig.region + addr : addr, room, flags, next);
        }
        for (const head of heads) rig.offer(q, head);
        if (jump > 0) {
          const idx = vringAvail.idx(dmaView, q.avail);
          vringAvail.setIdx(dmaView, q.avail, (idx + jump) & 0xffff);
        }
        rig.kick(q);
        if (frame !== null) rig.arrive(frame);
      }
      rig.setStatus(0);
      rig.sent.length = 0;
      expect(vringDesc.LEN).toBe(16);
    }),
    { numRuns: 400, seed: 11 },
  );
  rig.close();
  expect(livePages().units).toBe(before);
});
