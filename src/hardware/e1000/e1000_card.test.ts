import { expect, test } from 'vitest';
import { E1000Card } from '#hardware/e1000/e1000_card.ts';
import {
  E1000_CTRL,
  E1000_CTRL_RST,
  E1000_EERD,
  E1000_ICR,
  E1000_ICR_LSC,
  E1000_ICS,
  E1000_IMC,
  E1000_IMS,
  E1000_MDIC,
  E1000_MDIC_ERROR,
  E1000_MDIC_OP_READ,
  E1000_MDIC_OP_WRITE,
  E1000_MDIC_READY,
  E1000_RAH,
  E1000_RAL,
  E1000_STATUS,
  E1000_STATUS_LU,
  E1000_TDBAL,
  EEPROM_CHECKSUM_REG,
  EEPROM_SUM,
  M88E1011_I_PHY_ID,
  MII_CR_POWER_DOWN,
  MII_SR_LINK_STATUS,
  PHY_CTRL,
  PHY_ID1,
  PHY_ID2,
  PHY_STATUS,
} from '#hardware/e1000/e1000_regs.ts';
import { Rig, TEST_MAC } from '#hardware/testing/rig.ts';

function phyRead(rig: Rig, register: number, phy = 1): number {
  rig.write(E1000_MDIC, (register << 16) | (phy << 21) | E1000_MDIC_OP_READ);
  return rig.read(E1000_MDIC);
}

function phyWrite(rig: Rig, register: number, value: number): void {
  rig.write(E1000_MDIC, (register << 16) | (1 << 21) | E1000_MDIC_OP_WRITE | value);
}

function linkBits(rig: Rig): { status: boolean; first: boolean; second: boolean } {
  const bit = (): boolean => (phyRead(rig, PHY_STATUS) & MII_SR_LINK_STATUS) !== 0;
  const status = (rig.read(E1000_STATUS) & E1000_STATUS_LU) !== 0;
  return { status, first: bit(), second: bit() };
}

test('the EEPROM holds the address, and its words add up', () => {
  const rig = new Rig();
  const words = Array.from({ length: EEPROM_CHECKSUM_REG + 1 }, (_, i) => {
    rig.write(E1000_EERD, (i << 8) | 1);
    return rig.read(E1000_EERD) >>> 16;
  });
  const address = words.slice(0, 3).flatMap((word) => [word & 0xff, word >> 8]);
  expect(address).toEqual([...TEST_MAC]);
  expect(words.reduce((sum, word) => (sum + word) & 0xffff, 0)).toBe(EEPROM_SUM);
  rig.close();
});

test('the PHY answers at its address and at no other', () => {
  const rig = new Rig();
  const id = ((phyRead(rig, PHY_ID1) & 0xffff) << 16) | (phyRead(rig, PHY_ID2) & 0xfff0);
  expect(id).toBe(M88E1011_I_PHY_ID);
  expect(phyRead(rig, PHY_ID1) & (E1000_MDIC_READY | E1000_MDIC_ERROR)).toBe(E1000_MDIC_READY);
  expect(phyRead(rig, PHY_ID1, 2) & E1000_MDIC_ERROR).toBe(E1000_MDIC_ERROR);
  rig.close();
});

test('the link follows the cable; the PHY remembers a loss until it has been read', () => {
  const rig = new Rig();
  linkBits(rig);
  expect(linkBits(rig)).toEqual({ status: true, first: true, second: true });
  rig.card.linkChanged(false);
  rig.card.linkChanged(true);
  expect(linkBits(rig)).toEqual({ status: true, first: false, second: true });
  rig.card.linkChanged(false);
  expect(linkBits(rig)).toEqual({ status: false, first: false, second: false });
  rig.close();
});

test('a change of the link is a cause of interrupts', () => {
  const rig = new Rig();
  rig.read(E1000_ICR);
  rig.write(E1000_IMS, E1000_ICR_LSC);
  rig.card.linkChanged(false);
  expect(rig.interrupts).toHaveLength(1);
  expect(rig.read(E1000_ICR)).toBe(E1000_ICR_LSC);
  rig.card.linkChanged(false);
  expect(rig.interrupts, 'no news').toHaveLength(1);
  rig.close();
});

test('auto-negotiation takes its time, and begins again with the cable', () => {
  const rig = new Rig({ autonegNs: 2_000_000 });
  const up = (): boolean => (rig.read(E1000_STATUS) & E1000_STATUS_LU) !== 0;
  rig.pass(1_000_000);
  rig.card.linkChanged(false);
  rig.card.linkChanged(true);
  rig.pass(1_999_999);
  expect(up()).toBe(false);
  rig.pass(1);
  expect(up()).toBe(true);
  rig.close();
  expect(rig.machine.live.timers).toBe(0);
});

test('a PHY without power has no link, and tells the other end', () => {
  const rig = new Rig();
  const lights: boolean[] = [];
  rig.card.connect({ up: true, light: (on) => lights.push(on), send: () => {} });
  const control = phyRead(rig, PHY_CTRL) & 0xffff;
  phyWrite(rig, PHY_CTRL, control | MII_CR_POWER_DOWN);
  expect(linkBits(rig).status).toBe(false);
  phyWrite(rig, PHY_CTRL, control);
  expect(linkBits(rig).status).toBe(true);
  expect(lights.filter((on, i) => on !== lights[i - 1])).toEqual([true, false, true]);
  rig.close();
  expect(lights.at(-1)).toBe(false);
});

test('a masked cause waits; a cause set by software interrupts as well', () => {
  const rig = new Rig();
  rig.read(E1000_ICR);
  rig.write(E1000_ICS, E1000_ICR_LSC);
  expect(rig.interrupts).toEqual([]);
  rig.write(E1000_IMS, E1000_ICR_LSC);
  expect(rig.interrupts).toHaveLength(1);
  // The pin is still up: the same cause does not interrupt again.
  rig.write(E1000_ICS, E1000_ICR_LSC);
  expect(rig.interrupts).toHaveLength(1);
  rig.write(E1000_IMC, 0xffffffff);
  rig.write(E1000_IMS, E1000_ICR_LSC);
  expect(rig.interrupts).toHaveLength(2);
  rig.close();
});

test('a reset clears the registers, keeps the link and reloads the address', () => {
  const rig = new Rig();
  rig.write(E1000_RAL, 0);
  rig.write(E1000_IMS, E1000_ICR_LSC);
  rig.write(E1000_CTRL, rig.read(E1000_CTRL) | E1000_CTRL_RST);
  expect(rig.read(E1000_TDBAL)).toBe(0);
  expect(rig.read(E1000_IMS)).toBe(0);
  expect(rig.read(E1000_CTRL) & E1000_CTRL_RST).toBe(0);
  expect(rig.read(E1000_STATUS) & E1000_STATUS_LU).toBe(E1000_STATUS_LU);
  expect(rig.read(E1000_RAL)).toBe(0x00000002);
  expect(rig.read(E1000_RAH) >>> 0).toBe(0x80000100);
  rig.close();
});

test.each([
  ['too short', [1, 2]],
  ['a group', [1, 0, 0, 0, 0, 0]],
  ['nothing', [0, 0, 0, 0, 0, 0]],
])('an address that is none is refused: %s', (_, mac) => {
  const { machine } = new Rig();
  expect(() => new E1000Card(machine, { mac: Uint8Array.from(mac) })).toThrow(RangeError);
});
