import { expect, test } from 'vitest';
import {
  E1000_BPRC,
  E1000_CRCERRS,
  E1000_GORCL,
  E1000_GPRC,
  E1000_ICR,
  E1000_ICR_RXDMT0,
  E1000_ICR_RXO,
  E1000_ICR_RXT0,
  E1000_IMS,
  E1000_ITR,
  E1000_MPC,
  E1000_MPRC,
  E1000_MTA,
  E1000_PBA,
  E1000_RADV,
  E1000_RAH,
  E1000_RAH_AV,
  E1000_RAL,
  E1000_RCTL_BAM,
  E1000_RCTL_EN,
  E1000_RCTL_LPE,
  E1000_RCTL_MPE,
  E1000_RCTL_SBP,
  E1000_RCTL_SECRC,
  E1000_RCTL_UPE,
  E1000_RDH,
  E1000_RDT,
  E1000_RDTR,
  E1000_RNBC,
  E1000_ROC,
  E1000_RUC,
  E1000_RXCSUM,
  E1000_RXCSUM_IPOFL,
  E1000_RXCSUM_TUOFL,
  E1000_RXD_ERR_CE,
  E1000_RXD_ERR_IPE,
  E1000_RXD_ERR_TCPE,
  E1000_RXD_STAT_DD,
  E1000_RXD_STAT_EOP,
  E1000_RXD_STAT_IPCS,
  E1000_RXD_STAT_IXSM,
  E1000_RXD_STAT_PIF,
  E1000_RXD_STAT_TCPCS,
  E1000_TPR,
} from '#hardware/e1000/e1000_regs.ts';
import { RING, Rig, TEST_MAC } from '#hardware/testing/rig.ts';
import { csumFold, csumPartial, csumTcpudpMagic } from '#lib/checksum.ts';
import { etherFcs } from '#lib/crc32.ts';
import { mem } from '#mm/memory.ts';
import { livePages } from '#mm/page_alloc.ts';

const ON = E1000_RCTL_EN | E1000_RCTL_BAM | E1000_RCTL_SECRC;
const DONE = E1000_RXD_STAT_DD | E1000_RXD_STAT_EOP;
const BROADCAST = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

function frame(length: number, to: readonly number[] | Uint8Array = TEST_MAC): Uint8Array {
  const bytes = Uint8Array.from({ length }, (_, i) => i & 0xff);
  bytes.set(to);
  bytes.set([8, 6], 12);
  return bytes;
}

function withRig(run: (rig: Rig) => void): void {
  const before = livePages().units;
  const rig = new Rig();
  run(rig);
  rig.close();
  expect(rig.machine.live.timers).toBe(0);
  expect(livePages().units).toBe(before);
}

test('a frame is written to memory, described and reported', () => {
  withRig((rig) => {
    const [buffer = 0] = rig.giveBuffers(4, ON);
    rig.read(E1000_ICR);
    rig.write(E1000_IMS, E1000_ICR_RXT0);
    const sent = frame(700);
    rig.arrive(sent);
    expect(rig.interrupts).toEqual([0]);
    expect(rig.read(E1000_ICR) & E1000_ICR_RXT0).toBe(E1000_ICR_RXT0);
    const { length, status, errors } = rig.rxDescriptor(0);
    expect([length, status & DONE, errors]).toEqual([700, DONE, 0]);
    expect([...mem.subarray(buffer, buffer + 700)]).toEqual([...sent]);
    expect(rig.read(E1000_RDH)).toBe(1);
    expect([rig.read(E1000_GPRC), rig.read(E1000_TPR), rig.read(E1000_GORCL)]).toEqual([1, 1, 704]);
  });
});

test('the check sequence stays unless it is to be stripped, also across buffers', () => {
  withRig((rig) => {
    const buffers = rig.giveBuffers(4, (ON & ~E1000_RCTL_SECRC) | E1000_RCTL_LPE);
    // 2046 octets: two of the check sequence still fit into the first buffer.
    const sent = frame(2046);
    rig.arrive(sent);
    const fcs = etherFcs(sent, 0, sent.length);
    const octets = [fcs & 0xff, (fcs >>> 8) & 0xff, (fcs >>> 16) & 0xff, fcs >>> 24];
    const [a = 0, b = 0] = buffers;
    expect([...mem.subarray(a + 2046, a + 2048), ...mem.subarray(b, b + 2)]).toEqual(octets);
    expect(rig.rxDescriptor(0)).toMatchObject({ length: 2048 });
    expect(rig.rxDescriptor(0).status & DONE).toBe(E1000_RXD_STAT_DD);
    expect(rig.rxDescriptor(1)).toMatchObject({ length: 2 });
    expect(rig.rxDescriptor(1).status & DONE).toBe(DONE);
  });
});

test('filters: own address, others, broadcast, multicast by hash and exactly', () => {
  withRig((rig) => {
    rig.giveBuffers(7, ON);
    const group = [0x01, 0, 0x5e, 0x12, 0x34, 0x56];
    const accepted = (bytes: Uint8Array): boolean => {
      rig.arrive(bytes);
      return rig.read(E1000_GPRC) === 1;
    };
    expect(accepted(frame(60))).toBe(true);
    expect(accepted(frame(60, [2, 0, 0, 0, 0, 2]))).toBe(false);
    expect(accepted(frame(60, BROADCAST))).toBe(true);
    expect(rig.read(E1000_BPRC)).toBe(1);
    expect(accepted(frame(60, group))).toBe(false);
    // Bits 47 to 36 of the address: 0x563.
    rig.write(E1000_MTA + 4 * (0x563 >> 5), 1 << (0x563 & 31));
    expect(accepted(frame(60, group))).toBe(true);
    expect(rig.rxDescriptor(2).status & E1000_RXD_STAT_PIF, 'by hash only').not.toBe(0);
    expect(rig.read(E1000_MPRC)).toBe(1);
    rig.write(E1000_RAL + 8, 0x125e0001);
    rig.write(E1000_RAH + 8, 0x5634 | E1000_RAH_AV);
    expect(accepted(frame(60, group))).toBe(true);
    expect(rig.rxDescriptor(3).status & E1000_RXD_STAT_PIF, 'exactly').toBe(0);
  });
});

test('promiscuous modes take what is not ours', () => {
  withRig((rig) => {
    rig.giveBuffers(7, ON | E1000_RCTL_UPE);
    rig.arrive(frame(60, [2, 9, 9, 9, 9, 9]));
    rig.arrive(frame(60, [1, 9, 9, 9, 9, 9]));
    expect(rig.read(E1000_GPRC)).toBe(1);
  });
  withRig((rig) => {
    rig.giveBuffers(7, ON | E1000_RCTL_MPE);
    rig.arrive(frame(60, [2, 9, 9, 9, 9, 9]));
    rig.arrive(frame(60, [1, 9, 9, 9, 9, 9]));
    expect(rig.read(E1000_GPRC)).toBe(1);
  });
});

test('damaged, short and long frames are counted and thrown away', () => {
  withRig((rig) => {
    rig.giveBuffers(4, ON);
    rig.arrive(frame(60), true);
    rig.arrive(frame(59));
    rig.arrive(frame(1515));
    expect([rig.read(E1000_CRCERRS), rig.read(E1000_RUC), rig.read(E1000_ROC)]).toEqual([1, 1, 1]);
    expect(rig.read(E1000_GPRC)).toBe(0);
    expect(rig.read(E1000_TPR)).toBe(3);
    expect(rig.read(E1000_RDH)).toBe(0);
  });
});

test('damaged frames are stored when that is wanted, and say so', () => {
  withRig((rig) => {
    rig.giveBuffers(4, ON | E1000_RCTL_SBP);
    rig.arrive(frame(60), true);
    expect(rig.rxDescriptor(0).errors).toBe(E1000_RXD_ERR_CE);
    expect(rig.read(E1000_GPRC)).toBe(0);
  });
});

test('without buffers frames wait in the packet buffer, then are lost; with buffers they come', () => {
  withRig((rig) => {
    rig.giveBuffers(1, ON);
    rig.write(E1000_PBA, 3);
    rig.read(E1000_ICR);
    // One frame has a descriptor, two fit into 3 KiB, one is lost.
    for (let n = 0; n < 4; n++) rig.arrive(frame(1400 + n));
    expect(rig.read(E1000_RNBC)).toBe(2);
    expect(rig.read(E1000_MPC)).toBe(1);
    expect(rig.read(E1000_GPRC), 'what was missed is not good').toBe(3);
    expect(rig.read(E1000_ICR) & E1000_ICR_RXO).toBe(E1000_ICR_RXO);
    expect(rig.read(E1000_RDH)).toBe(1);
    // From descriptor 0 on again.
    rig.giveBuffers(4, ON);
    expect([0, 1].map((n) => rig.rxDescriptor(n).length)).toEqual([1401, 1402]);
    expect(rig.card.chip.rxFifoBytes).toBe(0);
  });
});

test('a ring never fills its last descriptor', () => {
  withRig((rig) => {
    rig.giveBuffers(RING - 1, ON);
    for (let n = 0; n < RING + 2; n++) rig.arrive(frame(60));
    expect(rig.read(E1000_RDH)).toBe(rig.read(E1000_RDT));
    expect(rig.read(E1000_GPRC)).toBe(RING + 2);
    expect(rig.read(E1000_RNBC)).toBe(3);
  });
});

test('few descriptors left: RXDMT0, once', () => {
  withRig((rig) => {
    rig.giveBuffers(RING - 1, ON);
    rig.read(E1000_ICR);
    const causes: number[] = [];
    for (let n = 0; n < 5; n++) {
      rig.arrive(frame(60));
      causes.push(rig.read(E1000_ICR) & E1000_ICR_RXDMT0);
    }
    // Half of eight: reached when the third of seven is filled.
    expect(causes).toEqual([0, 0, E1000_ICR_RXDMT0, 0, 0]);
  });
});

test('interrupts come no faster than the throttle allows', () => {
  withRig((rig) => {
    rig.giveBuffers(7, ON);
    rig.read(E1000_ICR);
    rig.write(E1000_ITR, 40); // 10.24 us
    rig.write(E1000_IMS, E1000_ICR_RXT0);
    rig.onInterrupt = () => rig.read(E1000_ICR);
    rig.arrive(frame(60));
    for (let n = 0; n < 5; n++) {
      rig.pass(3_000);
      rig.arrive(frame(60));
    }
    rig.pass(100_000);
    expect(rig.interrupts).toEqual([0, 10_240, 20_480]);
  });
});

test('a receive delay waits for quiet, but not for longer than its limit', () => {
  withRig((rig) => {
    rig.giveBuffers(7, ON);
    rig.read(E1000_ICR);
    rig.write(E1000_IMS, E1000_ICR_RXT0);
    rig.onInterrupt = () => rig.read(E1000_ICR);
    rig.write(E1000_RDTR, 4);
    rig.write(E1000_RADV, 10);
    for (let n = 0; n < 5; n++) {
      rig.arrive(frame(60));
      rig.pass(3 * 1024);
    }
    rig.pass(100_000);
    // The limit counts from the first frame; what came after it waits for its own quiet.
    expect(rig.interrupts).toEqual([10 * 1024, 16 * 1024]);
  });
});

function udp(length: number): Uint8Array {
  const bytes = frame(14 + 20 + length);
  const v = new DataView(bytes.buffer);
  bytes.set([8, 0], 12);
  v.setUint8(14, 0x45);
  v.setUint16(16, 20 + length);
  v.setUint16(20, 0);
  v.setUint8(23, 17);
  v.setUint16(24, 0);
  v.setUint16(24, csumFold(csumPartial(bytes, 14, 20, 0)));
  v.setUint16(38, length);
  v.setUint16(40, 0);
  const sum = csumPartial(bytes, 34, length, 0);
  v.setUint16(40, csumTcpudpMagic(v.getUint32(26), v.getUint32(30), length, 17, sum));
  return bytes;
}

test('checksums of IPv4 and UDP are checked when that is wanted', () => {
  withRig((rig) => {
    rig.giveBuffers(7, ON);
    rig.arrive(udp(100));
    expect(rig.rxDescriptor(0).status & E1000_RXD_STAT_IXSM).toBe(E1000_RXD_STAT_IXSM);
    rig.write(E1000_RXCSUM, E1000_RXCSUM_IPOFL | E1000_RXCSUM_TUOFL);
    const found = (bytes: Uint8Array, index: number): number[] => {
      rig.arrive(bytes);
      const { status, errors } = rig.rxDescriptor(index);
      return [status & ~DONE, errors];
    };
    const both = E1000_RXD_STAT_IPCS | E1000_RXD_STAT_TCPCS;
    expect(found(udp(101), 1)).toEqual([both, 0]);
    const badData = udp(101);
    badData[80] = (badData[80] ?? 0) ^ 1;
    expect(found(badData, 2)).toEqual([both, E1000_RXD_ERR_TCPE]);
    const badHeader = udp(101);
    badHeader[22] = (badHeader[22] ?? 0) ^ 1;
    expect(found(badHeader, 3)[1]).toBe(E1000_RXD_ERR_IPE);
    const fragment = udp(101);
    fragment[20] = 0x20;
    expect((found(fragment, 4)[0] ?? 0) & E1000_RXD_STAT_TCPCS).toBe(0);
    expect(found(frame(60), 5)).toEqual([E1000_RXD_STAT_IXSM, 0]);
  });
});

test('what waits is given back when the card is pulled out', () => {
  withRig((rig) => {
    rig.giveBuffers(1, ON);
    rig.write(E1000_RDTR, 100);
    for (let n = 0; n < 10; n++) rig.arrive(frame(1000));
    expect(rig.card.chip.rxFifoBytes).toBe(9000);
  });
});

test('a deaf receiver takes nothing, and a disabled one neither', () => {
  withRig((rig) => {
    rig.giveBuffers(4, ON);
    rig.card.chip.faults.rxDead = true;
    rig.arrive(frame(60));
    rig.card.chip.faults.rxDead = false;
    rig.giveBuffers(4, ON & ~E1000_RCTL_EN);
    rig.arrive(frame(60));
    expect(rig.read(E1000_TPR)).toBe(0);
    expect(rig.read(E1000_RDH)).toBe(0);
  });
});
