/**
 * The slow side of the 82576: its PHY (an IGP03), the link, and the NVM behind EERD.
 * IEEE 802.3 clause 22 and 28; datasheet 3.3 (NVM), 8.2.4 (MDIC).
 *
 * The far end of our cables does not speak PAUSE, so it is not among the partner's abilities.
 */
import { E1000_ICR_LSC, EEPROM_DEVICE_ID } from '#hardware/e1000/e1000_regs.ts';
import type { IgbChip } from '#hardware/igb/igb_chip.ts';
import { setCauses } from '#hardware/igb/igb_chip_irq.ts';
import { kickTx, pauseTx } from '#hardware/igb/igb_chip_tx.ts';
import {
  E1000_DEV_ID_82576,
  E1000_NVM_RW_ADDR_SHIFT,
  E1000_NVM_RW_REG_DATA,
  E1000_NVM_RW_REG_DONE,
  E1000_NVM_RW_REG_START,
  IGP03E1000_E_PHY_ID,
} from '#hardware/igb/igb_regs.ts';
import { programGbeNvm } from '#hardware/intel/gbe_nvm.ts';
import {
  accessGbePhy,
  GBE_ABILITIES,
  gbeNegotiated,
  type PhyKind,
  resetGbePhy,
  updateGbeLink,
} from '#hardware/intel/gbe_phy.ts';

/** The IGP03, with a far end that does not speak PAUSE. */
const IGP03: PhyKind<IgbChip> = {
  id: IGP03E1000_E_PHY_ID,
  abilities: GBE_ABILITIES,
  vendorStatus: -1,
  vendorLinked: 0,
  linkChanged,
};

/** Writes the NVM as the factory does: address, identity, checksum. */
export function programNvm(chip: IgbChip, mac: Uint8Array): void {
  programGbeNvm(chip.nvm, mac, [[EEPROM_DEVICE_ID, E1000_DEV_ID_82576]]);
}

/** EERD is written: reads a word, at once. Returns what EERD then shows. */
export function readNvm(chip: IgbChip, value: number): number {
  if ((value & E1000_NVM_RW_REG_START) === 0) return value;
  const word = chip.nvm[(value >>> E1000_NVM_RW_ADDR_SHIFT) & 0x3f] as number;
  return (word << E1000_NVM_RW_REG_DATA) | (value & 0xfffc) | E1000_NVM_RW_REG_DONE;
}

/** Brings the PHY's registers to their defaults and starts over. */
export function resetPhy(chip: IgbChip): void {
  resetGbePhy(chip, IGP03);
}

/** MDIC is written: an access to a PHY register. Returns what MDIC then shows. */
export function accessPhy(chip: IgbChip, value: number): number {
  return accessGbePhy(chip, IGP03, value);
}

/** The cable, CTRL.SLU or the PHY's power has changed. */
export function updateLink(chip: IgbChip): void {
  updateGbeLink(chip, IGP03);
}

/** Auto-negotiation has finished. */
export function negotiated(chip: IgbChip): number {
  return gbeNegotiated(chip, IGP03);
}

function linkChanged(chip: IgbChip, up: boolean): void {
  if (up) kickTx(chip);
  else pauseTx(chip);
  setCauses(chip, E1000_ICR_LSC);
}
