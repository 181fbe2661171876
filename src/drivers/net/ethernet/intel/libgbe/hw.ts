/**
 * Driving what the 8254x and its descendants have in common: PHY registers over MDIC, the copper link,
 * address filters. Counterpart of the parts that drivers/net/ethernet/intel/e1000/e1000_hw.c has alike
 * with e1000_mac.c, e1000_phy.c and e1000_nvm.c of drivers/net/ethernet/intel/igb; each driver has Linux's
 * names for them. Results are 0 or negative numbers. IEEE 802.3 clauses 22 and 28.
 */
import {
  CR_1000T_FD_CAPS,
  E1000_CRCERRS,
  E1000_CTRL,
  E1000_CTRL_FRCDPX,
  E1000_CTRL_FRCSPD,
  E1000_CTRL_SLU,
  E1000_MDIC,
  E1000_MDIC_DATA_MASK,
  E1000_MDIC_ERROR,
  E1000_MDIC_OP_READ,
  E1000_MDIC_OP_WRITE,
  E1000_MDIC_PHY_SHIFT,
  E1000_MDIC_READY,
  E1000_MDIC_REG_SHIFT,
  E1000_STATUS,
  E1000_STATUS_FD,
  E1000_STATUS_SPEED_100,
  E1000_STATUS_SPEED_1000,
  E1000_TSCTFC,
  E1000_VFTA,
  E1000_VLAN_FILTER_TBL_SIZE,
  EEPROM_SUM,
  MII_CR_AUTO_NEG_EN,
  MII_CR_POWER_DOWN,
  MII_CR_RESTART_AUTO_NEG,
  MII_SR_LINK_STATUS,
  NWAY_AR_10T_FD_CAPS,
  NWAY_AR_10T_HD_CAPS,
  NWAY_AR_100TX_FD_CAPS,
  NWAY_AR_100TX_HD_CAPS,
  PHY_1000T_CTRL,
  PHY_AUTONEG_ADV,
  PHY_CTRL,
  PHY_ID1,
  PHY_ID2,
  PHY_STATUS,
} from '#hardware/e1000/e1000_regs.ts';
import type { PciIomem } from '#hardware/pci/pci_bus.ts';

export const E1000_SUCCESS = 0;
export const E1000_ERR_PHY: number = -2;

export const SPEED_10 = 10;
export const SPEED_100 = 100;
export const SPEED_1000 = 1000;
export const HALF_DUPLEX = 1;
export const FULL_DUPLEX = 2;

/** How often a busy register is read again. */
export const POLL_ATTEMPTS = 100;
/** The 802.3 selector in an advertisement. */
const NWAY_SELECTOR = 1;
/** What copper of these chips can do below gigabit, as PHY_AUTONEG_ADV has it. */
export const GBE_ADVERTISE: number =
  NWAY_SELECTOR |
  NWAY_AR_10T_HD_CAPS |
  NWAY_AR_10T_FD_CAPS |
  NWAY_AR_100TX_HD_CAPS |
  NWAY_AR_100TX_FD_CAPS;

/** What each driver knows about its chip, as far as these functions need it. */
export interface GbeHw {
  readonly hwAddr: PciIomem;
  /** Address of the PHY on its management bus. */
  phyAddr: number;
  /** The link may have changed: ask the PHY. */
  getLinkStatus: boolean;
}

/** A driver's own reading of a register, so that a trace shows it by that driver's name. */
export type ReadRegister<H extends GbeHw> = (hw: H, register: number) => number;

/** A driver's own access to PHY registers, so that a trace shows it by that driver's names. */
export interface PhyOps<H extends GbeHw> {
  /** A register, 0 to 0xffff, or a negative number. */
  readonly readReg: (hw: H, register: number) => number;
  /** 0, or a negative number. */
  readonly writeReg: (hw: H, register: number, data: number) => number;
}

/** True when the words of an EEPROM, its checksum among them, add up to what they must. */
export function nvmSumIsRight(words: Uint16Array): boolean {
  let sum = 0;
  for (const word of words) sum = (sum + word) & 0xffff;
  return sum === EEPROM_SUM;
}

function mdic<H extends GbeHw>(hw: H, rd32: ReadRegister<H>, command: number): number {
  hw.hwAddr.writel(command | (hw.phyAddr << E1000_MDIC_PHY_SHIFT), E1000_MDIC);
  let value = 0;
  for (let n = 0; n < POLL_ATTEMPTS && (value & E1000_MDIC_READY) === 0; n++) {
    value = rd32(hw, E1000_MDIC);
  }
  if ((value & E1000_MDIC_READY) === 0 || (value & E1000_MDIC_ERROR) !== 0) return E1000_ERR_PHY;
  return value & E1000_MDIC_DATA_MASK;
}

/** A PHY register, 0 to 0xffff, or E1000_ERR_PHY. */
export function readPhyReg<H extends GbeHw>(
  hw: H,
  rd32: ReadRegister<H>,
  register: number,
): number {
  return mdic(hw, rd32, (register << E1000_MDIC_REG_SHIFT) | E1000_MDIC_OP_READ);
}

/** Writes a PHY register. 0, or E1000_ERR_PHY. */
export function writePhyReg<H extends GbeHw>(
  hw: H,
  rd32: ReadRegister<H>,
  register: number,
  data: number,
): number {
  const result = mdic(hw, rd32, (register << E1000_MDIC_REG_SHIFT) | E1000_MDIC_OP_WRITE | data);
  return result < 0 ? result : E1000_SUCCESS;
}

/** The PHY's identity with its revision; null when it does not answer. */
export function readPhyId<H extends GbeHw>(hw: H, ops: PhyOps<H>): number | null {
  const high = ops.readReg(hw, PHY_ID1);
  const low = ops.readReg(hw, PHY_ID2);
  return high < 0 || low < 0 ? null : (high << 16) | low;
}

/** Switches the PHY on or off. */
export function powerPhy<H extends GbeHw>(hw: H, ops: PhyOps<H>, on: boolean): void {
  const control = ops.readReg(hw, PHY_CTRL);
  if (control < 0) return;
  const others = control & ~MII_CR_POWER_DOWN;
  ops.writeReg(hw, PHY_CTRL, on ? others : others | MII_CR_POWER_DOWN);
}

/** Lets the MAC take speed and duplex from the PHY, and the link come up. */
export function setLinkUp<H extends GbeHw>(hw: H, rd32: ReadRegister<H>): void {
  const ctrl = rd32(hw, E1000_CTRL) & ~(E1000_CTRL_FRCSPD | E1000_CTRL_FRCDPX);
  hw.hwAddr.writel(ctrl | E1000_CTRL_SLU, E1000_CTRL);
}

/** Advertises `advertise` and gigabit, and negotiates when that is new. 0, or a negative number. */
export function autonegotiate<H extends GbeHw>(hw: H, ops: PhyOps<H>, advertise: number): number {
  const control = ops.readReg(hw, PHY_CTRL);
  if (control < 0) return control;
  const settled =
    (control & MII_CR_AUTO_NEG_EN) !== 0 &&
    ops.readReg(hw, PHY_AUTONEG_ADV) === advertise &&
    ops.readReg(hw, PHY_1000T_CTRL) === CR_1000T_FD_CAPS;
  if (settled) return E1000_SUCCESS;
  ops.writeReg(hw, PHY_AUTONEG_ADV, advertise);
  ops.writeReg(hw, PHY_1000T_CTRL, CR_1000T_FD_CAPS);
  return ops.writeReg(hw, PHY_CTRL, control | MII_CR_AUTO_NEG_EN | MII_CR_RESTART_AUTO_NEG);
}

/** Asks the PHY whether there is a link, if the answer may be new; true when it has just been found. */
export function findLink<H extends GbeHw>(hw: H, ops: PhyOps<H>): boolean {
  if (!hw.getLinkStatus) return false;
  // The first reading may still tell of a loss that is over.
  ops.readReg(hw, PHY_STATUS);
  const status = ops.readReg(hw, PHY_STATUS);
  if (status < 0 || (status & MII_SR_LINK_STATUS) === 0) return false;
  hw.getLinkStatus = false;
  return true;
}

/** Speed in Mbit/s and duplex, as the MAC has them. */
export function readSpeedAndDuplex<H extends GbeHw>(
  hw: H,
  rd32: ReadRegister<H>,
): { speed: number; duplex: number } {
  const status = rd32(hw, E1000_STATUS);
  const duplex = (status & E1000_STATUS_FD) !== 0 ? FULL_DUPLEX : HALF_DUPLEX;
  if ((status & E1000_STATUS_SPEED_1000) !== 0) return { speed: SPEED_1000, duplex };
  return { speed: (status & E1000_STATUS_SPEED_100) !== 0 ? SPEED_100 : SPEED_10, duplex };
}

/** Lets no VLAN pass. */
export function clearVlanFilter(hw: GbeHw): void {
  for (let i = 0; i < E1000_VLAN_FILTER_TBL_SIZE; i++) hw.hwAddr.writel(0, E1000_VFTA + 4 * i);
}

/** Reads all statistics, which clears them. */
export function clearHwCounters<H extends GbeHw>(hw: H, rd32: ReadRegister<H>): void {
  for (let offset = E1000_CRCERRS; offset <= E1000_TSCTFC; offset += 4) rd32(hw, offset);
}

/** Index of a multicast address in the hash table of 4096 bits, by its last two octets. */
export function hashMulticast(addr: Uint8Array): number {
  return (((addr[4] as number) >> 4) | ((addr[5] as number) << 4)) & 0xfff;
}
