/**
 * The copper PHY of Intel's gigabit chips and the link that it makes: registers, auto-negotiation, and
 * what STATUS shows of them. IEEE 802.3 clauses 22, 28 and 40.
 *
 * None of it runs for a frame: the functions may call back into the chip.
 */
import { type RegisterFile, reg, setReg } from '#hardware/e1000/e1000_chip.ts';
import {
  CR_1000T_FD_CAPS,
  E1000_CTRL,
  E1000_CTRL_SLU,
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
import type { WireEnd } from '#hardware/wire.ts';
import type { Machine } from '#kernel/machine.ts';
import {
  HRTIMER_NORESTART,
  type Hrtimer,
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
/** What all of these PHYs, and whatever is at the far end, can do below gigabit. */
export const GBE_ABILITIES: number =
  NWAY_SELECTOR |
  NWAY_AR_10T_HD_CAPS |
  NWAY_AR_10T_FD_CAPS |
  NWAY_AR_100TX_HD_CAPS |
  NWAY_AR_100TX_FD_CAPS;

/** The parts of a chip that have to do with its link. */
export interface PhyChip<C> extends RegisterFile {
  readonly machine: Machine;
  readonly phy: Uint16Array;
  /** How long auto-negotiation takes, in ns. */
  readonly autonegNs: number;
  readonly end: WireEnd | null;
  /** Light on the line. */
  readonly carrier: boolean;
  /** The link is up: STATUS.LU. */
  linkUp: boolean;
  readonly linkTimer: Hrtimer<C>;
}

/** What one PHY has otherwise than another. */
export interface PhyKind<C> {
  /** Identity and revision, as in PHY_ID1 and PHY_ID2. */
  readonly id: number;
  /** What it advertises below gigabit, and what the far end does. */
  readonly abilities: number;
  /** A status register of the vendor's, read-only, and what it shows with a link; -1: none. */
  readonly vendorStatus: number;
  readonly vendorLinked: number;
  /** STATUS shows a link, or none any more. */
  readonly linkChanged: (chip: C, up: boolean) => void;
}

/** Brings the PHY's registers to their defaults and starts over. */
export function resetGbePhy<C extends PhyChip<C>>(chip: C, kind: PhyKind<C>): void {
  const { phy } = chip;
  phy.fill(0);
  phy[PHY_CTRL] = MII_CR_AUTO_NEG_EN | MII_CR_FULL_DUPLEX | MII_CR_SPEED_SELECT_MSB;
  phy[PHY_STATUS] = PHY_STATUS_CAPS | MII_SR_AUTONEG_CAPS;
  phy[PHY_ID1] = kind.id >>> 16;
  phy[PHY_ID2] = kind.id & 0xffff;
  phy[PHY_AUTONEG_ADV] = kind.abilities;
  phy[PHY_1000T_CTRL] = CR_1000T_FD_CAPS;
  phy[PHY_EXT_STATUS] = PHY_EXT_STATUS_1000T;
  renegotiate(chip, kind);
}

/** MDIC is written: an access to a register. Returns what MDIC then shows. */
export function accessGbePhy<C extends PhyChip<C>>(
  chip: C,
  kind: PhyKind<C>,
  value: number,
): number {
  const address = (value & E1000_MDIC_PHY_MASK) >>> E1000_MDIC_PHY_SHIFT;
  const index = (value & E1000_MDIC_REG_MASK) >>> E1000_MDIC_REG_SHIFT;
  const result = (value & ~E1000_MDIC_DATA_MASK) | E1000_MDIC_READY;
  if (address !== PHY_ADDRESS) return result | E1000_MDIC_ERROR | E1000_MDIC_DATA_MASK;
  if ((value & E1000_MDIC_OP_READ) !== 0) return result | readGbePhy(chip, index);
  if ((value & E1000_MDIC_OP_WRITE) === 0) return result;
  writeGbePhy(chip, kind, index, value & E1000_MDIC_DATA_MASK);
  return result | (value & E1000_MDIC_DATA_MASK);
}

/** A register as it is read through MDIC. */
function readGbePhy<C extends PhyChip<C>>(chip: C, index: number): number {
  const { phy } = chip;
  const value = phy[index] as number;
  // The link bit latches a loss until it has been read once.
  if (index === PHY_STATUS && chip.linkUp) phy[PHY_STATUS] = value | MII_SR_LINK_STATUS;
  return value;
}

/** A register is written through MDIC. */
function writeGbePhy<C extends PhyChip<C>>(
  chip: C,
  kind: PhyKind<C>,
  index: number,
  value: number,
): void {
  const { phy } = chip;
  switch (index) {
    case PHY_CTRL:
      if ((value & MII_CR_RESET) !== 0) {
        resetGbePhy(chip, kind);
        return;
      }
      phy[PHY_CTRL] = value & ~MII_CR_RESTART_AUTO_NEG;
      if ((value & (MII_CR_RESTART_AUTO_NEG | MII_CR_POWER_DOWN)) !== 0) renegotiate(chip, kind);
      else updateGbeLink(chip, kind);
      return;
    case PHY_STATUS:
    case PHY_ID1:
    case PHY_ID2:
    case PHY_LP_ABILITY:
    case PHY_1000T_STATUS:
    case PHY_EXT_STATUS:
    case kind.vendorStatus:
      return; // read-only
    default:
      phy[index] = value;
  }
}

/** True when both ends would come to an agreement. */
function canLink<C extends PhyChip<C>>(chip: C): boolean {
  const powered = ((chip.phy[PHY_CTRL] as number) & MII_CR_POWER_DOWN) === 0;
  return chip.carrier && powered && (reg(chip, E1000_CTRL) & E1000_CTRL_SLU) !== 0;
}

/** Takes the link down and negotiates anew. */
function renegotiate<C extends PhyChip<C>>(chip: C, kind: PhyKind<C>): void {
  hrtimerCancel(chip.linkTimer);
  setLink(chip, kind, false);
  updateGbeLink(chip, kind);
}

/** The cable, CTRL.SLU or the PHY's power has changed. */
export function updateGbeLink<C extends PhyChip<C>>(chip: C, kind: PhyKind<C>): void {
  chip.end?.light(((chip.phy[PHY_CTRL] as number) & MII_CR_POWER_DOWN) === 0);
  if (!canLink(chip)) {
    hrtimerCancel(chip.linkTimer);
    setLink(chip, kind, false);
  } else if (!chip.linkUp && !hrtimerActive(chip.linkTimer)) {
    if (chip.autonegNs === 0) setLink(chip, kind, true);
    else hrtimerStart(chip.linkTimer, chip.machine.nowNs + chip.autonegNs);
  }
}

/** Auto-negotiation has finished: what `linkTimer` does. */
export function gbeNegotiated<C extends PhyChip<C>>(chip: C, kind: PhyKind<C>): number {
  if (canLink(chip)) setLink(chip, kind, true);
  return HRTIMER_NORESTART;
}

function setLink<C extends PhyChip<C>>(chip: C, kind: PhyKind<C>, up: boolean): void {
  if (chip.linkUp === up) return;
  chip.linkUp = up;
  const { phy } = chip;
  const status = reg(chip, E1000_STATUS);
  const bmsr = phy[PHY_STATUS] as number;
  if (up) {
    const linked = E1000_STATUS_LU | E1000_STATUS_FD | E1000_STATUS_SPEED_1000;
    setReg(chip, E1000_STATUS, status | linked);
    // The link bit itself comes back when the loss has been read: see readGbePhy().
    phy[PHY_STATUS] = bmsr | MII_SR_AUTONEG_COMPLETE;
    phy[PHY_LP_ABILITY] = kind.abilities;
    phy[PHY_1000T_STATUS] =
      SR_1000T_LP_FD_CAPS | SR_1000T_REMOTE_RX_STATUS | SR_1000T_LOCAL_RX_STATUS;
  } else {
    setReg(chip, E1000_STATUS, status & ~E1000_STATUS_LU);
    phy[PHY_STATUS] = bmsr & ~(MII_SR_LINK_STATUS | MII_SR_AUTONEG_COMPLETE);
    phy[PHY_LP_ABILITY] = 0;
    phy[PHY_1000T_STATUS] = 0;
  }
  if (kind.vendorStatus >= 0) phy[kind.vendorStatus] = up ? kind.vendorLinked : 0;
  kind.linkChanged(chip, up);
}
