/**
 * The slow side of the 82540EM: its PHY (a Marvell 88E1011), the link, and the EEPROM.
 * IEEE 802.3 clause 22 and 28; SDM 5.6 (EEPROM), 13.4.4 and 13.4.8 (EERD, MDIC).
 */
import type { E1000Chip } from '#hardware/e1000/e1000_chip.ts';
import { setCauses } from '#hardware/e1000/e1000_chip_irq.ts';
import { kickTx, pauseTx } from '#hardware/e1000/e1000_chip_tx.ts';
import {
  E1000_DEV_ID_82540EM,
  E1000_EERD_ADDR_SHIFT,
  E1000_EERD_DATA_SHIFT,
  E1000_EERD_DONE,
  E1000_EERD_START,
  E1000_ICR_LSC,
  E1000_ICR_MDAC,
  E1000_MDIC_INT_EN,
  EEPROM_DEVICE_ID,
  EEPROM_INIT_CONTROL1_REG,
  EEPROM_SUBSYS_ID,
  M88E1000_PHY_SPEC_STATUS,
  M88E1000_PSSR_1000MBS,
  M88E1000_PSSR_DPLX,
  M88E1000_PSSR_LINK,
  M88E1000_PSSR_SPD_DPLX_RESOLVED,
  M88E1011_I_PHY_ID,
  NWAY_AR_PAUSE,
} from '#hardware/e1000/e1000_regs.ts';
import { programGbeNvm } from '#hardware/intel/gbe_nvm.ts';
import {
  accessGbePhy,
  GBE_ABILITIES,
  gbeNegotiated,
  type PhyKind,
  resetGbePhy,
  updateGbeLink,
} from '#hardware/intel/gbe_phy.ts';

/** Revision of the PHY. */
const PHY_REVISION = 4;

/** The Marvell 88E1011, with a far end that speaks PAUSE. */
const M88E1011: PhyKind<E1000Chip> = {
  id: M88E1011_I_PHY_ID | PHY_REVISION,
  abilities: GBE_ABILITIES | NWAY_AR_PAUSE,
  vendorStatus: M88E1000_PHY_SPEC_STATUS,
  vendorLinked:
    M88E1000_PSSR_LINK |
    M88E1000_PSSR_SPD_DPLX_RESOLVED |
    M88E1000_PSSR_DPLX |
    M88E1000_PSSR_1000MBS,
  linkChanged,
};

/** Writes the EEPROM as the factory does: address, identity, checksum. */
export function programEeprom(chip: E1000Chip, mac: Uint8Array): void {
  programGbeNvm(chip.eeprom, mac, [
    [EEPROM_INIT_CONTROL1_REG, 0x4408],
    [EEPROM_SUBSYS_ID, 0x001e],
    [EEPROM_DEVICE_ID, E1000_DEV_ID_82540EM],
  ]);
}

/** EERD is written: reads a word, at once. Returns what EERD then shows. */
export function readEeprom(chip: E1000Chip, value: number): number {
  if ((value & E1000_EERD_START) === 0) return value;
  const word = chip.eeprom[(value >>> E1000_EERD_ADDR_SHIFT) & 0x3f] as number;
  return (word << E1000_EERD_DATA_SHIFT) | (value & 0xff00) | E1000_EERD_DONE;
}

/** Brings the PHY's registers to their defaults and starts over. */
export function resetPhy(chip: E1000Chip): void {
  resetGbePhy(chip, M88E1011);
}

/** MDIC is written: an access to a PHY register. Returns what MDIC then shows. */
export function accessPhy(chip: E1000Chip, value: number): number {
  const result = accessGbePhy(chip, M88E1011, value);
  if ((value & E1000_MDIC_INT_EN) !== 0) setCauses(chip, E1000_ICR_MDAC);
  return result;
}

/** The cable, CTRL.SLU or the PHY's power has changed. */
export function updateLink(chip: E1000Chip): void {
  updateGbeLink(chip, M88E1011);
}

/** Auto-negotiation has finished. */
export function negotiated(chip: E1000Chip): number {
  return gbeNegotiated(chip, M88E1011);
}

function linkChanged(chip: E1000Chip, up: boolean): void {
  if (up) kickTx(chip);
  else pauseTx(chip);
  setCauses(chip, E1000_ICR_LSC);
}
