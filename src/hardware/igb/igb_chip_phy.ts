/**
 * The slow side of the 82576: its PHY (an IGP03), the link, and the NVM behind EERD.
 * IEEE 802.3 clause 22 and 28; datasheet 3.3 (NVM), 8.2.4 (MDIC).
 *
 * The far end of our cables does not speak PAUSE, so it is not among the partner's abilities.
 */
import { reg, setReg } from '#hardware/e1000/e1000_chip.ts';
import {
  CR_1000T_FD_CAPS,
  E1000_CTRL,
  E1000_CTRL_SLU,
  E1000_ICR_LSC,
  E1000_MDIC_DATA_MASK,
  E1000_MDIC_ERROR,
  E1000_MDIC_OP_READ,
  E1000_MDIC_OP_WRITE,
  E1000_MDIC_PHY_MASK,
  E1000_MDIC_PHY_SHIFT,
  E1000_MDIC_READY,
  E1000_MDIC_REG_MASK,
  E1000_MDIC_REG_SHIFT,
  E1000_STATUS,
  E1000_STATUS_FD,
  E1000_STATUS_LU,
  E1000_STATUS_SPEED_1000,
  EEPROM_CHECKSUM_REG,
  EEPROM_DEVICE_ID,
  EEPROM_SUBSYS_VENDOR,
  EEPROM_SUM,
  EEPROM_VENDOR_ID,
  MII_CR_AUTO_NEG_EN,
  MII_CR_FULL_DUPLEX,
  MII_CR_POWER_DOWN,
  MII_CR_RESET,
  MII_CR_RESTART_AUTO_NEG,
  MII_CR_SPEED_SELECT_MSB,
  MII_SR_AUTONEG_CAPS,
  MII_SR_AUTONEG_COMPLETE,
  MII_SR_LINK_STATUS,
  NWAY_AR_10T_FD_CAPS,
  NWAY_AR_10T_HD_CAPS,
  NWAY_AR_100TX_FD_CAPS,
  NWAY_AR_100TX_HD_CAPS,
  PCI_VENDOR_ID_INTEL,
  PHY_1000T_CTRL,
  PHY_1000T_STATUS,
  PHY_AUTONEG_ADV,
  PHY_CTRL,
  PHY_EXT_STATUS,
  PHY_ID1,
  PHY_ID2,
  PHY_LP_ABILITY,
  PHY_STATUS,
  SR_1000T_LOCAL_RX_STATUS,
  SR_1000T_LP_FD_CAPS,
  SR_1000T_REMOTE_RX_STATUS,
} from '#hardware/e1000/e1000_regs.ts';
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
import {
  HRTIMER_NORESTART,
  hrtimerActive,
  hrtimerCancel,
  hrtimerStart,
} from '#kernel/time/hrtimer.ts';

/** Address of the PHY on its management bus. */
const PHY_ADDRESS = 1;
/** 802.3 selector field of an ability word. */
const NWAY_SELECTOR = 0x0001;
/** The card is able to do 10 and 100 Mbit/s, both duplexes, and gigabit by extended status. */
const PHY_STATUS_CAPS = 0x7949;
const PHY_EXT_STATUS_1000T = 0x3000;
const ALL_ABILITIES: number =
  NWAY_SELECTOR |
  NWAY_AR_10T_HD_CAPS |
  NWAY_AR_10T_FD_CAPS |
  NWAY_AR_100TX_HD_CAPS |
  NWAY_AR_100TX_FD_CAPS;

/** Writes the NVM as the factory does: address, identity, checksum. */
export function programNvm(chip: IgbChip, mac: Uint8Array): void {
  const { nvm } = chip;
  nvm.fill(0xffff);
  for (let i = 0; i < 3; i++) nvm[i] = (mac[2 * i] as number) | ((mac[2 * i + 1] as number) << 8);
  nvm[EEPROM_SUBSYS_VENDOR] = PCI_VENDOR_ID_INTEL;
  nvm[EEPROM_DEVICE_ID] = E1000_DEV_ID_82576;
  nvm[EEPROM_VENDOR_ID] = PCI_VENDOR_ID_INTEL;
  let sum = 0;
  for (let i = 0; i < EEPROM_CHECKSUM_REG; i++) sum += nvm[i] as number;
  nvm[EEPROM_CHECKSUM_REG] = EEPROM_SUM - sum;
}

/** EERD is written: reads a word, at once. Returns what EERD then shows. */
export function readNvm(chip: IgbChip, value: number): number {
  if ((value & E1000_NVM_RW_REG_START) === 0) return value;
  const word = chip.nvm[(value >>> E1000_NVM_RW_ADDR_SHIFT) & 0x3f] as number;
  return (word << E1000_NVM_RW_REG_DATA) | (value & 0xfffc) | E1000_NVM_RW_REG_DONE;
}

/** Brings the PHY's registers to their defaults and starts over. */
export function resetPhy(chip: IgbChip): void {
  const { phy } = chip;
  phy.fill(0);
  phy[PHY_CTRL] = MII_CR_AUTO_NEG_EN | MII_CR_FULL_DUPLEX | MII_CR_SPEED_SELECT_MSB;
  phy[PHY_STATUS] = PHY_STATUS_CAPS | MII_SR_AUTONEG_CAPS;
  phy[PHY_ID1] = IGP03E1000_E_PHY_ID >>> 16;
  phy[PHY_ID2] = IGP03E1000_E_PHY_ID & 0xffff;
  phy[PHY_AUTONEG_ADV] = ALL_ABILITIES;
  phy[PHY_1000T_CTRL] = CR_1000T_FD_CAPS;
  phy[PHY_EXT_STATUS] = PHY_EXT_STATUS_1000T;
  renegotiate(chip);
}

/** MDIC is written: an access to a PHY register. Returns what MDIC then shows. */
export function accessPhy(chip: IgbChip, value: number): number {
  const address = (value & E1000_MDIC_PHY_MASK) >>> E1000_MDIC_PHY_SHIFT;
  const index = (value & E1000_MDIC_REG_MASK) >>> E1000_MDIC_REG_SHIFT;
  const result = (value & ~E1000_MDIC_DATA_MASK) | E1000_MDIC_READY;
  if (address !== PHY_ADDRESS) return result | E1000_MDIC_ERROR | E1000_MDIC_DATA_MASK;
  if ((value & E1000_MDIC_OP_READ) !== 0) return result | readPhy(chip, index);
  if ((value & E1000_MDIC_OP_WRITE) !== 0) writePhy(chip, index, value & E1000_MDIC_DATA_MASK);
  return result | (value & E1000_MDIC_DATA_MASK);
}

function readPhy(chip: IgbChip, index: number): number {
  const { phy } = chip;
  const value = phy[index] as number;
  // The link bit latches a loss until it has been read once.
  if (index === PHY_STATUS && chip.linkUp) phy[PHY_STATUS] = value | MII_SR_LINK_STATUS;
  return value;
}

function writePhy(chip: IgbChip, index: number, value: number): void {
  const { phy } = chip;
  switch (index) {
    case PHY_CTRL:
      if ((value & MII_CR_RESET) !== 0) {
        resetPhy(chip);
        return;
      }
      phy[PHY_CTRL] = value & ~MII_CR_RESTART_AUTO_NEG;
      if ((value & (MII_CR_RESTART_AUTO_NEG | MII_CR_POWER_DOWN)) !== 0) renegotiate(chip);
      else updateLink(chip);
      return;
    case PHY_STATUS:
    case PHY_ID1:
    case PHY_ID2:
    case PHY_LP_ABILITY:
    case PHY_1000T_STATUS:
    case PHY_EXT_STATUS:
      return; // read-only
    default:
      phy[index] = value;
  }
}

/** True when both ends would come to an agreement. */
function canLink(chip: IgbChip): boolean {
  const powered = ((chip.phy[PHY_CTRL] as number) & MII_CR_POWER_DOWN) === 0;
  return chip.carrier && powered && (reg(chip, E1000_CTRL) & E1000_CTRL_SLU) !== 0;
}

/** Takes the link down and negotiates anew. */
function renegotiate(chip: IgbChip): void {
  hrtimerCancel(chip.linkTimer);
  setLink(chip, false);
  updateLink(chip);
}

/** The cable, CTRL.SLU or the PHY's power has changed. */
export function updateLink(chip: IgbChip): void {
  chip.end?.light(((chip.phy[PHY_CTRL] as number) & MII_CR_POWER_DOWN) === 0);
  if (!canLink(chip)) {
    hrtimerCancel(chip.linkTimer);
    setLink(chip, false);
  } else if (!chip.linkUp && !hrtimerActive(chip.linkTimer)) {
    if (chip.autonegNs === 0) setLink(chip, true);
    else hrtimerStart(chip.linkTimer, chip.machine.nowNs + chip.autonegNs);
  }
}

/** Auto-negotiation has finished. */
export function negotiated(chip: IgbChip): number {
  if (canLink(chip)) setLink(chip, true);
  return HRTIMER_NORESTART;
}

function setLink(chip: IgbChip, up: boolean): void {
  if (chip.linkUp === up) return;
  chip.linkUp = up;
  const { phy } = chip;
  const status = reg(chip, E1000_STATUS);
  const bmsr = phy[PHY_STATUS] as number;
  if (up) {
    const linked = E1000_STATUS_LU | E1000_STATUS_FD | E1000_STATUS_SPEED_1000;
    setReg(chip, E1000_STATUS, status | linked);
    // The link bit itself comes back when the loss has been read: see readPhy().
    phy[PHY_STATUS] = bmsr | MII_SR_AUTONEG_COMPLETE;
    phy[PHY_LP_ABILITY] = ALL_ABILITIES;
    phy[PHY_1000T_STATUS] =
      SR_1000T_LP_FD_CAPS | SR_1000T_REMOTE_RX_STATUS | SR_1000T_LOCAL_RX_STATUS;
  } else {
    setReg(chip, E1000_STATUS, status & ~E1000_STATUS_LU);
    phy[PHY_STATUS] = bmsr & ~(MII_SR_LINK_STATUS | MII_SR_AUTONEG_COMPLETE);
    phy[PHY_LP_ABILITY] = 0;
    phy[PHY_1000T_STATUS] = 0;
  }
  if (up) kickTx(chip);
  else pauseTx(chip);
  setCauses(chip, E1000_ICR_LSC);
}
