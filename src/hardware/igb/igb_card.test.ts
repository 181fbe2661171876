import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  E1000_CTRL,
  E1000_CTRL_RST,
  E1000_CTRL_VME,
  E1000_EERD,
  E1000_GPRC,
  E1000_GPTC,
  E1000_ICR_LSC,
  E1000_MPC,
  E1000_RCTL_BAM,
  E1000_RCTL_EN,
  E1000_RCTL_SECRC,
  E1000_RNBC,
  E1000_RXD_STAT_DD,
  E1000_RXD_STAT_EOP,
  E1000_RXD_STAT_IPCS,
  E1000_RXD_STAT_TCPCS,
  E1000_RXD_STAT_VP,
  E1000_TCTL_EN,
  E1000_TCTL_PSP,
  E1000_TXD_STAT_DD,
  EEPROM_CHECKSUM_REG,
  EEPROM_SUM,
} from '#hardware/e1000/e1000_regs.ts';
import {
  E1000_ADVTXD_DCMD_DEXT,
  E1000_ADVTXD_DCMD_EOP,
  E1000_ADVTXD_DCMD_IFCS,
  E1000_ADVTXD_DCMD_RS,
  E1000_ADVTXD_DCMD_TSE,
  E1000_ADVTXD_DCMD_VLE,
  E1000_ADVTXD_DTYP_CTXT,
  E1000_ADVTXD_DTYP_DATA,
  E1000_ADVTXD_POPTS_IXSM,
  E1000_ADVTXD_POPTS_TXSM,
  E1000_ADVTXD_TUCMD_IPV4,
  E1000_ADVTXD_TUCMD_L4T_TCP,
  E1000_EIAC,
  E1000_EIAM,
  E1000_EICR,
  E1000_EICS,
  E1000_EIMS,
  E1000_EITR,
  E1000_GPIE,
  E1000_GPIE_EIAME,
  E1000_GPIE_MSIX_MODE,
  E1000_ICR,
  E1000_IMS,
  E1000_IVAR_MISC,
  E1000_IVAR0,
  E1000_MRQC,
  E1000_MRQC_ENABLE_RSS_MQ,
  E1000_MRQC_RSS_FIELD_IPV4,
  E1000_MRQC_RSS_FIELD_IPV4_TCP,
  E1000_MRQC_RSS_FIELD_IPV4_UDP,
  E1000_MRQC_RSS_FIELD_IPV6,
  E1000_MRQC_RSS_FIELD_IPV6_TCP,
  E1000_NVM_RW_REG_DATA,
  E1000_RDBAL,
  E1000_RETA,
  E1000_RSSRK,
  E1000_RXDADV_PKTTYPE_IPV4,
  E1000_RXDADV_PKTTYPE_TCP,
  E1000_RXDADV_PKTTYPE_UDP,
  E1000_RXDADV_RSSTYPE_IPV4,
  E1000_RXDADV_RSSTYPE_IPV4_TCP,
  E1000_RXDADV_RSSTYPE_MASK,
  E1000_RXDEXT_STATERR_IPE,
  E1000_RXDEXT_STATERR_TCPE,
  E1000_RXPBS,
  E1000_SRRCTL_DROP_EN,
  E1000_TDBAL,
  IGB_Q_DBAL,
  IGB_Q_RQDPC,
  rxQueueBase,
  txQueueBase,
} from '#hardware/igb/igb_regs.ts';
import { IgbRig } from '#hardware/testing/igb_rig.ts';
import { TEST_MAC } from '#hardware/testing/rig.ts';
import { DEBUG } from '#kernel/config.ts';
import { csumFold, csumPartial, csumTcpudpMagic } from '#lib/checksum.ts';
import { livePages } from '#mm/page_alloc.ts';

const RECEIVE: number = E1000_RCTL_EN | E1000_RCTL_BAM | E1000_RCTL_SECRC;
const TRANSMIT: number = E1000_TCTL_EN | E1000_TCTL_PSP;
/** The key of Microsoft's verification suite. */
const KEY: Uint8Array = Uint8Array.from(
  Buffer.from(
    '6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa',
    'hex',
  ),
);

function withRig(
  run: (rig: IgbRig) => void,
  options: ConstructorParameters<typeof IgbRig>[0] = {},
): void {
  const before = livePages().units;
  const rig = new IgbRig(options);
  run(rig);
  rig.close();
  expect(rig.machine.live.timers).toBe(0);
  expect(livePages().units).toBe(before);
}

function bytes(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + seed) & 0xff);
}

interface Tuple {
  readonly source: number;
  readonly dest: number;
  readonly sport: number;
  readonly dport: number;
}

function address(text: string): number {
  return text.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
}

/** A frame for us with an IPv4 packet, its checksums right. */
function packet({ source, dest, sport, dport }: Tuple, protocol = 6, payload = 40): Uint8Array {
  const l4Len = (protocol === 6 ? 20 : 8) + payload;
  const frame = new Uint8Array(14 + 20 + l4Len);
  const v = new DataView(frame.buffer);
  frame.set(TEST_MAC);
  frame.set([2, 0, 0, 0, 0, 9, 8, 0], 6);
  v.setUint16(14, 0x4500);
  v.setUint16(16, 20 + l4Len);
  v.setUint8(22, 64);
  v.setUint8(23, protocol);
  v.setUint32(26, source);
  v.setUint32(30, dest);
  v.setUint16(24, csumFold(csumPartial(frame, 14, 20, 0)));
  v.setUint16(34, sport);
  v.setUint16(36, dport);
  if (protocol === 6) v.setUint8(46, 0x50);
  else v.setUint16(38, l4Len);
  const sum = csumPartial(frame, 34, l4Len, 0);
  v.setUint16(34 + (protocol === 6 ? 16 : 6), csumTcpudpMagic(source, dest, l4Len, protocol, sum));
  return frame;
}

/** Microsoft's key, and a table in which entry n is queue n mod 8. */
function openRss(rig: IgbRig, fields: number): void {
  const v = new DataView(KEY.buffer);
  for (let i = 0; i < 10; i++) rig.write(E1000_RSSRK(i), v.getInt32(4 * i, true));
  for (let i = 0; i < 32; i++) rig.write(E1000_RETA(i), i % 2 === 0 ? 0x03020100 : 0x07060504);
  rig.write(E1000_MRQC, E1000_MRQC_ENABLE_RSS_MQ | fields);
  for (let queue = 0; queue < 8; queue++) rig.openRx(queue, 7);
  rig.enableRx(RECEIVE);
}

const SUITE: readonly (readonly [Tuple, number, number])[] = [
  ['66.9.149.187', 2794, '161.142.100.80', 1766, 0x323e8fc2, 0x51ccc178],
  ['199.92.111.2', 14230, '65.69.140.83', 4739, 0xd718262a, 0xc626b0ea],
  ['24.19.198.95', 12898, '12.22.207.184', 38024, 0xd2d0a5de, 0x5c2b394a],
  ['38.27.205.30', 48228, '209.142.163.6', 2217, 0x82989176, 0xafc7327f],
  ['153.39.163.191', 44251, '202.188.127.2', 1303, 0x5d1809c5, 0x10e828a2],
].map(([source, sport, dest, dport, addresses, ports]) => [
  {
    source: address(source as string),
    dest: address(dest as string),
    sport: sport as number,
    dport: dport as number,
  },
  addresses as number,
  ports as number,
]);

/** The first of them. */
const FIRST: (typeof SUITE)[number] = SUITE[0] as (typeof SUITE)[number];

test.each(SUITE)('RSS puts a TCP segment into the queue of its hash: %j', (tuple, plain, full) => {
  withRig((rig) => {
    openRss(rig, E1000_MRQC_RSS_FIELD_IPV4 | E1000_MRQC_RSS_FIELD_IPV4_TCP);
    rig.arrive(packet(tuple));
    const queue = full & 7;
    expect(rig.stored(queue)).toBe(1);
    const got = rig.rx(queue, 0);
    expect(got.hash).toBe(full);
    expect(got.info & E1000_RXDADV_RSSTYPE_MASK).toBe(E1000_RXDADV_RSSTYPE_IPV4_TCP);
    expect(got.info & 0x1ff0).toBe(E1000_RXDADV_PKTTYPE_IPV4 | E1000_RXDADV_PKTTYPE_TCP);
    // Of datagrams the addresses alone count, until that is asked for.
    rig.arrive(packet(tuple, 17));
    const other = rig.rx(plain & 7, (plain & 7) === queue ? 1 : 0);
    expect(other.hash).toBe(plain);
    expect(other.info & E1000_RXDADV_RSSTYPE_MASK).toBe(E1000_RXDADV_RSSTYPE_IPV4);
    expect(other.info & E1000_RXDADV_PKTTYPE_UDP).toBe(E1000_RXDADV_PKTTYPE_UDP);
  });
});

test('a datagram is spread by its ports when MRQC says so, a fragment never is', () => {
  withRig((rig) => {
    const [tuple, plain, full] = FIRST;
    openRss(rig, E1000_MRQC_RSS_FIELD_IPV4 | E1000_MRQC_RSS_FIELD_IPV4_UDP);
    rig.arrive(packet(tuple, 17));
    expect(rig.rx(full & 7, 0).hash).toBe(full);
    const fragment = packet(tuple, 17);
    fragment[20] = 0x20;
    rig.arrive(fragment);
    expect(rig.rx(plain & 7, 0).hash).toBe(plain);
  });
});

test('IPv6 has hashes too', () => {
  withRig((rig) => {
    openRss(rig, E1000_MRQC_RSS_FIELD_IPV6 | E1000_MRQC_RSS_FIELD_IPV6_TCP);
    const frame = new Uint8Array(14 + 40 + 20);
    const v = new DataView(frame.buffer);
    frame.set(TEST_MAC);
    v.setUint16(12, 0x86dd);
    v.setUint8(14, 0x60);
    v.setUint16(18, 20);
    v.setUint8(20, 6);
    const words = [0x3ffe, 0x2501, 0x200, 0x1fff, 0, 0, 0, 7, 0x3ffe, 0x2501, 0x200, 3, 0, 0, 0, 1];
    words.forEach((word, i) => {
      v.setUint16(22 + 2 * i, word);
    });
    v.setUint16(54, 2794);
    v.setUint16(56, 1766);
    rig.arrive(frame);
    expect(rig.rx(0x40207d3d & 7, 0).hash).toBe(0x40207d3d);
  });
});

test('what has no hash, and everything without RSS, goes to the first queue', () => {
  withRig((rig) => {
    openRss(rig, E1000_MRQC_RSS_FIELD_IPV4_TCP);
    const arp = bytes(60);
    arp.set([...TEST_MAC, 2, 0, 0, 0, 0, 9, 8, 6]);
    rig.arrive(arp);
    expect(rig.rx(0, 0)).toMatchObject({ info: 0, hash: 0 });
    rig.write(E1000_MRQC, 0);
    for (const [tuple] of SUITE) rig.arrive(packet(tuple));
    expect(rig.stored(0)).toBe(1 + SUITE.length);
    expect(rig.rx(0, 1)).toMatchObject({ hash: 0 });
  });
});

test('checksums are checked, and wrong ones said to be wrong', () => {
  withRig((rig) => {
    const [tuple] = FIRST;
    rig.openRx(0, 7);
    rig.enableRx(RECEIVE);
    const good = packet(tuple);
    rig.arrive(good);
    const bad = packet(tuple);
    bad[60] = (bad[60] as number) ^ 1;
    rig.arrive(bad);
    const header = packet(tuple);
    header[22] = 63;
    rig.arrive(header);
    const checked = E1000_RXD_STAT_IPCS | E1000_RXD_STAT_TCPCS;
    const done = E1000_RXD_STAT_DD | E1000_RXD_STAT_EOP;
    expect(rig.rx(0, 0)).toMatchObject({ staterr: checked | done, length: good.length });
    expect(rig.rx(0, 1).staterr).toBe(checked | done | E1000_RXDEXT_STATERR_TCPE);
    expect(rig.rx(0, 2).staterr & E1000_RXDEXT_STATERR_IPE).toBe(E1000_RXDEXT_STATERR_IPE);
  });
});

test('tags are taken out of frames and told beside', () => {
  withRig((rig) => {
    const [tuple] = FIRST;
    rig.openRx(0, 7);
    rig.write(E1000_CTRL, rig.read(E1000_CTRL) | E1000_CTRL_VME);
    rig.enableRx(RECEIVE);
    const plain = packet(tuple);
    const tagged = Uint8Array.of(
      ...plain.subarray(0, 12),
      0x81,
      0,
      0x60,
      0x2a,
      ...plain.subarray(12),
    );
    rig.arrive(tagged);
    const got = rig.rx(0, 0);
    expect(got).toMatchObject({ length: plain.length, vlan: 0x602a });
    expect(got.staterr & E1000_RXD_STAT_VP).toBe(E1000_RXD_STAT_VP);
    expect(got.staterr & E1000_RXD_STAT_TCPCS).toBe(E1000_RXD_STAT_TCPCS);
  });
});

test('a queue without descriptors drops when it may; otherwise frames wait, all behind the first', () => {
  withRig((rig) => {
    const [tuple] = FIRST;
    rig.openRx(0, 2, E1000_SRRCTL_DROP_EN);
    rig.enableRx(RECEIVE);
    for (let n = 0; n < 5; n++) rig.arrive(packet(tuple));
    expect(rig.stored(0)).toBe(2);
    const drops = rxQueueBase(0) + IGB_Q_RQDPC;
    expect([rig.read(drops), rig.read(drops), rig.read(E1000_RNBC)]).toEqual([3, 0, 0]);
    expect(rig.read(E1000_GPRC)).toBe(5);
  });
  withRig((rig) => {
    const [tuple] = FIRST;
    rig.openRx(0, 2);
    rig.write(E1000_RXPBS, 1);
    rig.enableRx(RECEIVE);
    // One KiB of packet buffer: ten frames of 94 octets.
    for (let n = 0; n < 20; n++) rig.arrive(packet(tuple));
    expect([rig.read(E1000_RNBC), rig.read(E1000_MPC)]).toEqual([10, 8]);
    rig.openRx(0, 7);
    expect(rig.card.chip.rxFifo).toHaveLength(10 - 5);
  });
});

/** Routes receive queue q to vector q + 1 and other causes to vector 0, as drivers do. */
function openVectors(rig: IgbRig): void {
  rig.write(E1000_GPIE, E1000_GPIE_MSIX_MODE | E1000_GPIE_EIAME);
  for (let queue = 0; queue < 8; queue++) {
    rig.write(E1000_IVAR0 + 4 * queue, 0x80 | (queue + 1) | ((0x80 | (queue + 1)) << 8));
  }
  rig.write(E1000_IVAR_MISC, 0x80 << 8);
  rig.write(E1000_EIAC, 0x1ff);
  rig.write(E1000_EIAM, 0x1ff);
  rig.write(E1000_EIMS, 0x1ff);
}

test('a queue interrupts by its own vector, once, until it is unmasked again', () => {
  withRig((rig) => {
    openRss(rig, E1000_MRQC_RSS_FIELD_IPV4_TCP);
    openVectors(rig);
    const [tuple, , full] = FIRST;
    const vector = (full & 7) + 1;
    rig.arrive(packet(tuple));
    rig.arrive(packet(tuple));
    expect(rig.interrupts.map((i) => i.vector)).toEqual([vector]);
    expect(rig.read(E1000_EIMS) & (1 << vector)).toBe(0);
    rig.write(E1000_EIMS, 1 << vector);
    expect(rig.interrupts.map((i) => i.vector)).toEqual([vector, vector]);
    rig.write(E1000_EIMS, 1 << vector);
    expect(rig.interrupts, 'the message has cleared the cause').toHaveLength(2);
    expect(rig.read(E1000_EICR)).toBe(0);
    rig.write(E1000_EICS, 1 << vector);
    expect(rig.interrupts, 'set by software').toHaveLength(3);
  });
});

test('EITR holds a vector back, each its own', () => {
  withRig((rig) => {
    openRss(rig, E1000_MRQC_RSS_FIELD_IPV4_TCP);
    openVectors(rig);
    const [[tuple, , full], [other, , otherFull]] = SUITE as typeof SUITE &
      [(typeof SUITE)[number], (typeof SUITE)[number]];
    const vector = (full & 7) + 1;
    expect(otherFull & 7).not.toBe(full & 7);
    rig.write(E1000_EITR(vector), 50 << 2);
    const start = rig.host.nowNs;
    for (let n = 0; n < 3; n++) {
      rig.arrive(packet(tuple));
      rig.arrive(packet(other));
      rig.write(E1000_EIMS, 0x1ff);
      rig.pass(10_000);
    }
    rig.pass(100_000);
    const times = (v: number): number[] =>
      rig.interrupts.filter((i) => i.vector === v).map((i) => i.atNs - start);
    expect(times(vector)).toEqual([0, 50_000]);
    expect(times((otherFull & 7) + 1)).toEqual([0, 10_000, 20_000]);
  });
});

test('the link is told by the vector of other causes', () => {
  withRig((rig) => {
    openVectors(rig);
    rig.read(E1000_ICR);
    rig.write(E1000_IMS, E1000_ICR_LSC);
    rig.card.linkChanged(false);
    expect(rig.interrupts.map((i) => i.vector)).toEqual([0]);
    expect(rig.read(E1000_ICR)).toBe(E1000_ICR_LSC);
  });
});

const DATA: number = E1000_ADVTXD_DTYP_DATA | E1000_ADVTXD_DCMD_DEXT | E1000_ADVTXD_DCMD_IFCS;
const LAST: number = DATA | E1000_ADVTXD_DCMD_EOP | E1000_ADVTXD_DCMD_RS;

/** Lengths of a context: Ethernet, IPv4 and, for segmentation, TCP. */
function context(rig: IgbRig, mss: number, vlan = 0): void {
  rig.descriptor(
    0,
    (14 << 9) | 20 | (vlan << 16),
    0,
    E1000_ADVTXD_DTYP_CTXT |
      E1000_ADVTXD_DCMD_DEXT |
      E1000_ADVTXD_TUCMD_IPV4 |
      E1000_ADVTXD_TUCMD_L4T_TCP,
    (20 << 8) | (mss << 16),
  );
}

test('frames leave whole when their last bit has left, and descriptors are written back', () => {
  withRig((rig) => {
    rig.openTx(0);
    rig.enableTx(TRANSMIT);
    rig.descriptor(0, rig.data(bytes(14)), 0, DATA | 14, 0);
    const last = rig.descriptor(0, rig.data(bytes(1000, 2)), 0, LAST | 1000, 0);
    rig.commit(0);
    const wireNs = (1014 + 24) * 8;
    rig.pass(wireNs - 1);
    expect(rig.sent).toEqual([]);
    rig.pass(1);
    expect(rig.sent[0]).toMatchObject({ atNs: wireNs });
    expect([...(rig.sent[0]?.bytes ?? [])]).toEqual([...bytes(14), ...bytes(1000, 2)]);
    expect(rig.txStatus(0, last) & E1000_TXD_STAT_DD).toBe(E1000_TXD_STAT_DD);
    expect(rig.read(E1000_GPTC)).toBe(1);
  });
});

test('queues send in turn', () => {
  withRig((rig) => {
    for (const queue of [0, 1, 5]) rig.openTx(queue);
    for (const queue of [0, 1, 5]) {
      for (let n = 0; n < 3; n++) {
        rig.descriptor(queue, rig.data(new Uint8Array(60).fill(16 * queue + n)), 0, LAST | 60, 0);
      }
    }
    for (const queue of [5, 0, 1]) rig.commit(queue);
    rig.enableTx(TRANSMIT);
    rig.pass(1_000_000);
    const order = rig.sent.map(({ bytes: sent }) => [(sent[0] ?? 0) >> 4, (sent[0] ?? 0) & 15]);
    expect(order).toEqual([
      [0, 0],
      [1, 0],
      [5, 0],
      [0, 1],
      [1, 1],
      [5, 1],
      [0, 2],
      [1, 2],
      [5, 2],
    ]);
  });
});

test('segmentation makes frames whose headers and checksums are right; tags are put in', () => {
  withRig((rig) => {
    rig.openTx(0);
    rig.write(E1000_CTRL, rig.read(E1000_CTRL) | E1000_CTRL_VME);
    rig.enableTx(TRANSMIT);
    const [tuple] = FIRST;
    const payload = bytes(3500, 5);
    const header = packet(tuple, 6, 0).slice(0, 54);
    const v = new DataView(header.buffer);
    v.setUint16(16, 0);
    v.setUint16(18, 0xfffe); // identification, about to wrap
    v.setUint16(24, 0);
    v.setUint32(38, 0xffffff00); // sequence number, about to wrap
    v.setUint8(47, 0x19); // FIN, PSH, ACK
    v.setUint16(50, ~csumTcpudpMagic(tuple.source, tuple.dest, 0, 6, 0) & 0xffff);
    context(rig, 1460, 0x602a);
    const options = E1000_ADVTXD_POPTS_IXSM | E1000_ADVTXD_POPTS_TXSM | (3500 << 14);
    const segmented = E1000_ADVTXD_DCMD_TSE | E1000_ADVTXD_DCMD_VLE;
    rig.descriptor(0, rig.data(header), 0, DATA | segmented | 54, options);
    rig.descriptor(0, rig.data(payload), 0, LAST | segmented | 3500, options);
    rig.commit(0);
    rig.pass(100_000);
    expect(rig.sent.map(({ bytes: sent }) => sent.length)).toEqual([1518, 1518, 638]);
    const joined: number[] = [];
    for (const [n, { bytes: sent }] of rig.sent.entries()) {
      const view = new DataView(sent.buffer, sent.byteOffset);
      expect([view.getUint16(12), view.getUint16(14)]).toEqual([0x8100, 0x602a]);
      expect(view.getUint16(20)).toBe(sent.length - 18);
      expect(view.getUint16(22)).toBe((0xfffe + n) & 0xffff);
      expect(csumFold(csumPartial(sent, 18, 20, 0))).toBe(0);
      expect(view.getUint32(42)).toBe((0xffffff00 + n * 1460) >>> 0);
      expect(view.getUint8(51)).toBe(n === 2 ? 0x19 : 0x10);
      const tcpLen = sent.length - 38;
      const sum = csumPartial(sent, 38, tcpLen, 0);
      expect(csumTcpudpMagic(tuple.source, tuple.dest, tcpLen, 6, sum)).toBe(0);
      joined.push(...sent.subarray(58));
    }
    expect(joined).toEqual([...payload]);
  });
});

test('whatever comes from the wire is stored or dropped, and nothing is lost track of', () => {
  const noise = fc.record({
    base: fc.constantFrom(packet(FIRST[0]), packet(FIRST[0], 17, 200), bytes(60)),
    cut: fc.nat(300),
    changes: fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 8 }),
    badCrc: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(noise, { maxLength: 30 }), (frames) => {
      withRig((rig) => {
        openRss(rig, E1000_MRQC_RSS_FIELD_IPV4 | E1000_MRQC_RSS_FIELD_IPV4_TCP);
        for (const { base, cut, changes, badCrc } of frames) {
          const frame = base.slice(0, Math.max(14, base.length - cut));
          for (const [at, value] of changes) if (at < frame.length) frame[at] = value;
          rig.arrive(frame, badCrc);
        }
        const stored = Array.from({ length: 8 }, (_, queue) => rig.stored(queue));
        expect(stored.reduce((sum, n) => sum + n, 0)).toBeLessThanOrEqual(frames.length);
      });
    }),
    { numRuns: 200, seed: 3 },
  );
});

test('whatever a driver writes into a transmit ring, the card goes on', () => {
  const word = fc.integer({ min: -0x80000000, max: 0x7fffffff });
  const descriptor = fc.record({
    isContext: fc.boolean(),
    length: fc.integer({ min: 1, max: 400 }),
    lens: word,
    types: word,
    mss: word,
    options: word,
    command: fc.constantFrom(0, E1000_ADVTXD_DCMD_TSE, E1000_ADVTXD_DCMD_VLE),
    last: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(descriptor, { maxLength: 20 }), (descriptors) => {
      withRig((rig) => {
        rig.openTx(0);
        rig.write(E1000_CTRL, rig.read(E1000_CTRL) | E1000_CTRL_VME);
        rig.enableTx(TRANSMIT);
        for (const { isContext, length, lens, types, mss, options, command, last } of descriptors) {
          if (isContext) {
            const kind = E1000_ADVTXD_DTYP_CTXT | E1000_ADVTXD_DCMD_DEXT;
            const other = types & ~0x00f00000;
            rig.descriptor(0, lens, 0, kind | other, mss);
          } else {
            const data = rig.data(bytes(length));
            rig.descriptor(0, data, 0, (last ? LAST : DATA) | command | length, options);
          }
          rig.commit(0);
          rig.pass(1_000_000);
        }
        rig.write(E1000_CTRL, rig.read(E1000_CTRL) | E1000_CTRL_RST);
        rig.openTx(0);
        rig.enableTx(TRANSMIT);
        const before = rig.sent.length;
        rig.descriptor(0, rig.data(bytes(60)), 0, LAST | 60, 0);
        rig.commit(0);
        rig.pass(1_000_000);
        expect(rig.sent).toHaveLength(before + 1);
      });
    }),
    { numRuns: 200, seed: 4 },
  );
});

test('the NVM holds the address, and its words add up', () => {
  withRig((rig) => {
    const words = Array.from({ length: EEPROM_CHECKSUM_REG + 1 }, (_, i) => {
      rig.write(E1000_EERD, (i << 2) | 1);
      return rig.read(E1000_EERD) >>> E1000_NVM_RW_REG_DATA;
    });
    expect(words.slice(0, 3).flatMap((word) => [word & 0xff, word >> 8])).toEqual([...TEST_MAC]);
    expect(words.reduce((sum, word) => (sum + word) & 0xffff, 0)).toBe(EEPROM_SUM);
  });
});

test('the first four queues answer at the places of the older chips as well; a reset clears', () => {
  withRig((rig) => {
    rig.write(E1000_RDBAL(2), 0x1000);
    rig.write(E1000_TDBAL(3), 0x2000);
    expect(rig.read(rxQueueBase(2) + IGB_Q_DBAL)).toBe(0x1000);
    expect(rig.read(txQueueBase(3) + IGB_Q_DBAL)).toBe(0x2000);
    rig.write(E1000_CTRL, rig.read(E1000_CTRL) | E1000_CTRL_RST);
    expect(rig.read(rxQueueBase(2) + IGB_Q_DBAL)).toBe(0);
  });
});

test.runIf(DEBUG)('memory that is not mapped for the card is not read', () => {
  const rig = new IgbRig();
  rig.openTx(0);
  rig.enableTx(TRANSMIT);
  rig.descriptor(0, rig.data(bytes(60)), 0, LAST | 200, 0);
  expect(() => rig.commit(0)).toThrow(/dma-fault.*82576/);
});
