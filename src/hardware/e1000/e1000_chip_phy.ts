/**
 * The slow side of the 82540EM: its PHY (a Marvell 88E1011), the link, and the EEPROM.
 * IEEE 802.3 clause 22 and 28; SDM 5.6 (EEPROM), 13.4.4 and 13.4.8 (EERD, MDIC).
 */
import { type E1000Chip, reg, setReg } from '#hardware/e1000/e1000_chip.ts';
import { setCauses } from '#hardware/e1000/e1000_chip_irq.ts';
import { kickTx, pauseTx } from '#hardware/e1000/e1000_chip_tx.ts';
import {
  CR_1000T_FD_CAPS,
  E1000_CTRL,
  E1000_CTRL_SLU,
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
  E1000_STATUS,
  E1000_STATUS_FD,
  E1000_STATUS_LU,
  E1000_STATUS_SPEED_1000,
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
  NWAY_AR_PAUSE,
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
import {
  HRTIMER_NORESTART,
  hrtimerActive,
  hrtimerCancel,
  hrtimerStart,
} from '#kernel/time/hrtimer.ts';

/** Address of the PHY on its management bus. */
const PHY_ADDRESS = 1;
/** Revision of the PHY. */
const PHY_REVISION = 4;
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
  const { phy } = chip;
  phy.fill(0);
  phy[PHY_CTRL] = MII_CR_AUTO_NEG_EN | MII_CR_FULL_DUPLEX | MII_CR_SPEED_SELECT_MSB;
  phy[PHY_STATUS] = PHY_STATUS_CAPS | MII_SR_AUTONEG_CAPS;
  phy[PHY_ID1] = M88E1011_I_PHY_ID >>> 16;
  phy[PHY_ID2] = (M88E1011_I_PHY_ID & 0xffff) | PHY_REVISION;
  phy[PHY_AUTONEG_ADV] = ALL_ABILITIES | NWAY_AR_PAUSE;
  phy[PHY_1000T_CTRL] = CR_1000T_FD_CAPS;
  phy[PHY_EXT_STATUS] = PHY_EXT_STATUS_1000T;
  renegotiate(chip);
}

/** MDIC is written: an access to a PHY register. Returns what MDIC then shows. */
export function accessPhy(chip: E1000Chip, value: number): number {
  const address = (value & E1000_MDIC_PHY_MASK) >>> E1000_MDIC_PHY_SHIFT;
  const index = (value & E1000_MDIC_REG_MASK) >>> E1000_MDIC_REG_SHIFT;
  let result = (value & ~E1000_MDIC_DATA_MASK) | E1000_MDIC_READY;
  if (address !== PHY_ADDRESS) result |= E1000_MDIC_ERROR | E1000_MDIC_DATA_MASK;
  else if ((value & E1000_MDIC_OP_READ) !== 0) result |= readPhy(chip, index);
  else if ((value & E1000_MDIC_OP_WRITE) !== 0) {
    result |= value & E1000_MDIC_DATA_MASK;
    writePhy(chip, index, value & E1000_MDIC_DATA_MASK);
  }
  if ((value & E1000_MDIC_INT_EN) !== 0) setCauses(chip, E1000_ICR_MDAC);
  return result;
}

function readPhy(chip: E1000Chip, index: number): number {
  const { phy } = chip;
  const value = phy[index] as number;
  // The link bit latches a loss until it has been read once.
  if (index === PHY_STATUS && chip.linkUp) phy[PHY_STATUS] = value | MII_SR_LINK_STATUS;
  return value;
}

function writePhy(chip: E1000Chip, index: number, value: number): void {
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
    case M88E1000_PHY_SPEC_STATUS:
      return; // read-only
    default:
      phy[index] = value;
  }
}

/** True when both ends would come to an agreement. */
function canLink(chip: E1000Chip): boolean {
  const powered = ((chip.phy[PHY_CTRL] as number) & MII_CR_POWER_DOWN) === 0;
  return chip.carrier && powered && (reg(chip, E1000_CTRL) & E1000_CTRL_SLU) !== 0;
}

/** Takes the link down and negotiates anew. */
function renegotiate(chip: E1000Chip): void {
  hrtimerCancel(chip.linkTimer);
  setLink(chip, false);
  updateLink(chip);
}

/** The cable, CTRL.SLU or the PHY's power has changed. */
export function updateLink(chip: E1000Chip): void {
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
export function negotiated(chip: E1000Chip): number {
  if (canLink(chip)) setLink(chip, true);
  return HRTIMER_NORESTART;
}

function setLink(chip: E1000Chip, up: boolean): void {
  if (chip.linkUp === up) return;
  chip.linkUp = up;
  const { phy } = chip;
  const status = reg(chip, E1000_STATUS);
  const bmsr = phy[PHY_STATUS] as number;
  if (up) {
    setReg(
      chip,
      E1000_STATUS,
      status | E1000_STATUS_LU | E1000_STATUS_FD | E1000_STATUS_SPEED_1000,
    );
    // The link bit itself comes back when the loss has been read: see readPhy().
    phy[PHY_STATUS] = bmsr | MII_SR_AUTONEG_COMPLETE;
    phy[PHY_LP_ABILITY] = ALL_ABILITIES | NWAY_AR_PAUSE;
    phy[PHY_1000T_STATUS] =
      SR_1000T_LP_FD_CAPS | SR_1000T_REMOTE_RX_STATUS | SR_1000T_LOCAL_RX_STATUS;
    phy[M88E1000_PHY_SPEC_STATUS] =
      M88E1000_PSSR_LINK |
      M88E1000_PSSR_SPD_DPLX_RESOLVED |
      M88E1000_PSSR_DPLX |
      M88E1000_PSSR_1000MBS;
  } else {
    setReg(chip, E1000_STATUS, status & ~E1000_STATUS_LU);
    phy[PHY_STATUS] = bmsr & ~(MII_SR_LINK_STATUS | MII_SR_AUTONEG_COMPLETE);
    phy[PHY_LP_ABILITY] = 0;
    phy[PHY_1000T_STATUS] = 0;
    phy[M88E1000_PHY_SPEC_STATUS] = 0;
  }
  if (up) kickTx(chip);
  else pauseTx(chip);
  setCauses(chip, E1000_ICR_LSC);
}
