/**
 * What the factory writes into the non-volatile memory of Intel's gigabit chips: an EEPROM of 64 words.
 * SDM 5.6; datasheet of the 82576, 3.3.
 */
import {
  EEPROM_CHECKSUM_REG,
  EEPROM_SUBSYS_VENDOR,
  EEPROM_SUM,
  EEPROM_VENDOR_ID,
  PCI_VENDOR_ID_INTEL,
} from '#hardware/e1000/e1000_regs.ts';

/** Writes address, vendor, what the card has of its own (word by its place), and the checksum. */
export function programGbeNvm(
  nvm: Uint16Array,
  mac: Uint8Array,
  own: readonly (readonly [at: number, word: number])[],
): void {
  nvm.fill(0xffff);
  for (let i = 0; i < 3; i++) nvm[i] = (mac[2 * i] as number) | ((mac[2 * i + 1] as number) << 8);
  nvm[EEPROM_SUBSYS_VENDOR] = PCI_VENDOR_ID_INTEL;
  nvm[EEPROM_VENDOR_ID] = PCI_VENDOR_ID_INTEL;
  for (const [at, word] of own) nvm[at] = word;
  let sum = 0;
  for (let i = 0; i < EEPROM_CHECKSUM_REG; i++) sum += nvm[i] as number;
  nvm[EEPROM_CHECKSUM_REG] = EEPROM_SUM - sum;
}
