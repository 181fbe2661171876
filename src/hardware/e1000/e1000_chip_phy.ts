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
  E1000_MDIC_DATA_MASK,
  E1000_MDIC_ERROR,
  E1000_MDIC_INT_EN,
  E1000_MDIC_OP_READ,
  E1000_MDIC_OP_WRITE,
  E1000_MDIC_PHY_MASK,
  E1000_MDIC_PHY_SHIFT,
  E1000_MDIC_READY,
  E1000_MDIC_REG_MASK,
  E1000_MDIC_REG_SHIFT,
  EEPROM_CHECKSUM_REG,
  EEPROM_DEVICE_ID,
  EEPROM_INIT_CONTROL1_REG,
  EEPROM_SUBSYS_ID,
  EEPROM_SUBSYS_VENDOR,
  EEPROM_SUM,
  EEPROM_VENDOR_ID,
  M88E1000_PHY_SPEC_STATUS,
  M88E1000_PSSR_1000MBS,
  M88E1000_PSSR_DPLX,
  M88E1000_PSSR_LINK,
  M88E1000_PSSR_SPD_DPLX_RESOLVED,
  M88E1011_I_PHY_ID,
  NWAY_AR_PAUSE,
  PCI_VENDOR_ID_INTEL,
} from '#hardware/e1000/e1000_regs.ts';
import {
  GBE_ABILITIES,
  gbeNegotiated,
  PHY_ADDRESS,
  type PhyKind,
  readGbePhy,
  resetGbePhy,
  updateGbeLink,
  writeGbePhy,
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
  const { eeprom } = chip;
  eeprom.fill(0xffff);
  for (let i = 0; i < 3; i++)
    eeprom[i] = (mac[2 * i] as number) | ((mac[2 * i + 1] as number) << 8);
  eeprom[EEPROM_INIT_CONTROL1_REG] = 0x4408;
  eeprom[EEPROM_SUBSYS_ID] = 0x001e;
  eeprom[EEPROM_SUBSYS_VENDOR] = PCI_VENDOR_ID_INTEL;
  eeprom[EEPROM_DEVICE_ID] = E1000_DEV_ID_82540EM;
  eeprom[EEPROM_VENDOR_ID] = PCI_VENDOR_ID_INTEL;
  let sum = 0;
  for (let i = 0; i < EEPROM_CHECKSUM_REG; i++) sum += eeprom[i] as number;
  eeprom[EEPROM_CHECKSUM_REG] = EEPROM_SUM - sum;
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
  const address = (value & E1000_MDIC_PHY_MASK) >>> E1000_MDIC_PHY_SHIFT;
  const index = (value & E1000_MDIC_REG_MASK) >>> E1000_MDIC_REG_SHIFT;
  let result = (value & ~E1000_MDIC_DATA_MASK) | E1000_MDIC_READY;
  if (address !== PHY_ADDRESS) result |= E1000_MDIC_ERROR | E1000_MDIC_DATA_MASK;
  else if ((value & E1000_MDIC_OP_READ) !== 0) result |= readGbePhy(chip, index);
  else if ((value & E1000_MDIC_OP_WRITE) !== 0) {
    result |= value & E1000_MDIC_DATA_MASK;
    writeGbePhy(chip, M88E1011, index, value & E1000_MDIC_DATA_MASK);
  }
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
