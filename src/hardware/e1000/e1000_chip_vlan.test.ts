/** VLAN tags, loopback and the report of small frames: what the chip does beside its main work. */
import { expect, test } from 'vitest';
import {
  E1000_CTRL,
  E1000_CTRL_VME,
  E1000_GPRC,
  E1000_ICR,
  E1000_ICR_SRPD,
  E1000_IMS,
  E1000_RCTL_BAM,
  E1000_RCTL_EN,
  E1000_RCTL_LBM_MAC,
  E1000_RCTL_SECRC,
  E1000_RCTL_VFE,
  E1000_RDTR,
  E1000_RSRPD,
  E1000_RXD_SPECIAL,
  E1000_RXD_STAT_VP,
  E1000_TXD_CMD_EOP,
  E1000_TXD_CMD_IFCS,
  E1000_TXD_CMD_RS,
  E1000_TXD_CMD_VLE,
  E1000_VFTA,
} from '#hardware/e1000/e1000_regs.ts';
import { Rig, TEST_MAC } from '#hardware/testing/rig.ts';
import { dmaView, mem } from '#mm/memory.ts';

const ON = E1000_RCTL_EN | E1000_RCTL_BAM | E1000_RCTL_SECRC;
const SEND = E1000_TXD_CMD_EOP | E1000_TXD_CMD_IFCS | E1000_TXD_CMD_RS;
const TAG = 0x6005; // priority 3, VLAN 5

function untagged(length = 100): Uint8Array {
  const bytes = Uint8Array.from({ length }, (_, i) => i & 0xff);
  bytes.set(TEST_MAC);
  bytes.set([8, 6], 12);
  return bytes;
}

function tagged(bytes: Uint8Array, tag = TAG): Uint8Array {
  return Uint8Array.of(
    ...bytes.subarray(0, 12),
    0x81,
    0,
    tag >> 8,
    tag & 0xff,
    ...bytes.subarray(12),
  );
}

test('a tag is taken out of a received frame and told beside it', () => {
  const rig = new Rig();
  const [first = 0, second = 0] = rig.giveBuffers(4, ON);
  rig.arrive(tagged(untagged()));
  expect(rig.rxDescriptor(0)).toMatchObject({ length: 104 });
  expect([...mem.subarray(first, first + 104)]).toEqual([...tagged(untagged())]);
  rig.write(E1000_CTRL, rig.read(E1000_CTRL) | E1000_CTRL_VME);
  rig.arrive(tagged(untagged()));
  const { length, status } = rig.rxDescriptor(1);
  expect([length, status & E1000_RXD_STAT_VP]).toEqual([100, E1000_RXD_STAT_VP]);
  expect(dmaView.getUint16(rig.rxRing + 16 + E1000_RXD_SPECIAL, true)).toBe(TAG);
  expect([...mem.subarray(second, second + 100)]).toEqual([...untagged()]);
  rig.arrive(untagged());
  expect(rig.rxDescriptor(2).status & E1000_RXD_STAT_VP).toBe(0);
  rig.close();
});

test('a tag is put into a transmitted frame, short ones as well', () => {
  const rig = new Rig();
  rig.write(E1000_CTRL, rig.read(E1000_CTRL) | E1000_CTRL_VME);
  for (const length of [100, 20]) {
    const bytes = untagged(length);
    rig.descriptor(rig.data(bytes), 0, length | SEND | E1000_TXD_CMD_VLE, TAG << 16);
    rig.commit();
    rig.pass(10_000);
  }
  expect([...(rig.sent[0]?.bytes ?? [])]).toEqual([...tagged(untagged())]);
  expect(rig.sent[1]?.bytes).toHaveLength(64);
  rig.close();
});

test('frames of VLANs that are not wanted are thrown away', () => {
  const rig = new Rig();
  rig.giveBuffers(4, ON | E1000_RCTL_VFE);
  rig.arrive(tagged(untagged(), 5));
  rig.arrive(tagged(untagged(), 37));
  expect(rig.read(E1000_GPRC)).toBe(0);
  rig.write(E1000_VFTA + 4, 1 << 5);
  rig.arrive(tagged(untagged(), 5));
  rig.arrive(tagged(untagged(), 37));
  rig.arrive(untagged());
  expect(rig.read(E1000_GPRC)).toBe(2);
  rig.close();
});

test('a tagged frame may be four octets longer', () => {
  const rig = new Rig();
  rig.giveBuffers(4, ON);
  rig.arrive(tagged(untagged(1514)));
  rig.arrive(untagged(1515));
  expect(rig.read(E1000_GPRC)).toBe(1);
  rig.close();
});

test('in loopback the transmitter feeds the receiver, link or no link', () => {
  const rig = new Rig();
  const [buffer = 0] = rig.giveBuffers(4, ON | E1000_RCTL_LBM_MAC);
  rig.card.linkChanged(false);
  rig.transmit([untagged(200)], SEND);
  rig.pass(10_000);
  expect(rig.sent).toEqual([]);
  expect([...mem.subarray(buffer, buffer + 200)]).toEqual([...untagged(200)]);
  rig.close();
});

test('a small frame is reported at once, others wait for the delay', () => {
  const rig = new Rig();
  rig.giveBuffers(4, ON);
  rig.read(E1000_ICR);
  rig.write(E1000_RDTR, 1000);
  rig.write(E1000_RSRPD, 100);
  rig.write(E1000_IMS, E1000_ICR_SRPD);
  rig.arrive(untagged(200));
  expect(rig.interrupts).toEqual([]);
  rig.arrive(untagged(60));
  expect(rig.interrupts).toHaveLength(1);
  rig.close();
});
