/**
 * Driving the chip itself: reset, EEPROM, PHY, link, addresses. Counterpart of
 * drivers/net/ethernet/intel/e1000/e1000_hw.c, for the 82540EM with its copper PHY. Results are 0 or
 * the negative numbers of that file.
 */
import { type E1000Hw, er32, ew32 } from '#drivers/net/ethernet/intel/e1000/e1000.ts';
import {
  CR_1000T_FD_CAPS,
  E1000_COLD_SHIFT,
  E1000_COLLISION_DISTANCE,
  E1000_CRCERRS,
  E1000_CTRL,
  E1000_CTRL_FRCDPX,
  E1000_CTRL_FRCSPD,
  E1000_CTRL_RST,
  E1000_CTRL_SLU,
  E1000_EERD,
  E1000_EERD_ADDR_SHIFT,
  E1000_EERD_DATA_SHIFT,
  E1000_EERD_DONE,
  E1000_EERD_START,
  E1000_ICR,
  E1000_IMC,
  E1000_MDIC,
  E1000_MDIC_DATA_MASK,
  E1000_MDIC_ERROR,
  E1000_MDIC_OP_READ,
  E1000_MDIC_OP_WRITE,
  E1000_MDIC_PHY_SHIFT,
  E1000_MDIC_READY,
  E1000_MDIC_REG_SHIFT,
  E1000_MTA,
  E1000_NUM_MTA_REGISTERS,
  E1000_RAH,
  E1000_RAH_AV,
  E1000_RAL,
  E1000_RAR_ENTRIES,
  E1000_RCTL,
  E1000_STATUS,
  E1000_STATUS_FD,
  E1000_STATUS_SPEED_100,
  E1000_STATUS_SPEED_1000,
  E1000_TCTL,
  E1000_TCTL_COLD,
  E1000_TCTL_PSP,
  E1000_TSCTFC,
  E1000_VFTA,
  E1000_VLAN_FILTER_TBL_SIZE,
  EEPROM_CHECKSUM_REG,
  EEPROM_SUM,
  M88E1011_I_PHY_ID,
  MII_CR_AUTO_NEG_EN,
  MII_CR_POWER_DOWN,
  MII_CR_RESTART_AUTO_NEG,
  MII_SR_LINK_STATUS,
  NWAY_AR_10T_FD_CAPS,
  NWAY_AR_10T_HD_CAPS,
  NWAY_AR_100TX_FD_CAPS,
  NWAY_AR_100TX_HD_CAPS,
  NWAY_AR_PAUSE,
  PHY_1000T_CTRL,
  PHY_AUTONEG_ADV,
  PHY_CTRL,
  PHY_ID1,
  PHY_ID2,
  PHY_REVISION_MASK,
  PHY_STATUS,
} from '#hardware/e1000/e1000_regs.ts';

export const E1000_SUCCESS = 0;
export const E1000_ERR_EEPROM: number = -1;
export const E1000_ERR_PHY: number = -2;
export const E1000_ERR_PHY_TYPE: number = -6;

export const SPEED_10 = 10;
export const SPEED_100 = 100;
export const SPEED_1000 = 1000;
export const HALF_DUPLEX = 1;
export const FULL_DUPLEX = 2;

/** How often a busy register is read again. */
const POLL_ATTEMPTS = 100;
/** The 802.3 selector in an advertisement. */
const NWAY_SELECTOR = 1;

/**
 * Reads words of the EEPROM.
 * @kernel e1000_read_eeprom drivers/net/ethernet/intel/e1000/e1000_hw.c
 * @deviation through EERD, which the 82540EM has; Linux clocks the bits out by hand.
 */
export function e1000ReadEeprom(hw: E1000Hw, offset: number, words: Uint16Array): number {
  for (let i = 0; i < words.length; i++) {
    ew32(hw, E1000_EERD, ((offset + i) << E1000_EERD_ADDR_SHIFT) | E1000_EERD_START);
    let value = 0;
    for (let n = 0; n < POLL_ATTEMPTS && (value & E1000_EERD_DONE) === 0; n++) {
      value = er32(hw, E1000_EERD);
    }
    if ((value & E1000_EERD_DONE) === 0 || value === -1) return E1000_ERR_EEPROM;
    words[i] = value >>> E1000_EERD_DATA_SHIFT;
  }
  return E1000_SUCCESS;
}

/** All words add up to a known sum. @kernel e1000_validate_eeprom_checksum drivers/net/ethernet/intel/e1000/e1000_hw.c */
export function e1000ValidateEepromChecksum(hw: E1000Hw): number {
  const words = new Uint16Array(EEPROM_CHECKSUM_REG + 1);
  if (e1000ReadEeprom(hw, 0, words) < 0) return E1000_ERR_EEPROM;
  let sum = 0;
  for (const word of words) sum = (sum + word) & 0xffff;
  return sum === EEPROM_SUM ? E1000_SUCCESS : E1000_ERR_EEPROM;
}

/** @kernel e1000_read_mac_addr drivers/net/ethernet/intel/e1000/e1000_hw.c */
export function e1000ReadMacAddr(hw: E1000Hw): number {
  const words = new Uint16Array(3);
  if (e1000ReadEeprom(hw, 0, words) < 0) return E1000_ERR_EEPROM;
  for (const [i, word] of words.entries()) {
    hw.permMacAddr[2 * i] = word & 0xff;
    hw.permMacAddr[2 * i + 1] = word >> 8;
  }
  hw.macAddr.set(hw.permMacAddr);
  return E1000_SUCCESS;
}

function mdic(hw: E1000Hw, command: number): number {
  ew32(hw, E1000_MDIC, command | (hw.phyAddr << E1000_MDIC_PHY_SHIFT));
  let value = 0;
  for (let n = 0; n < POLL_ATTEMPTS && (value & E1000_MDIC_READY) === 0; n++) {
    value = er32(hw, E1000_MDIC);
  }
  if ((value & E1000_MDIC_READY) === 0 || (value & E1000_MDIC_ERROR) !== 0) return E1000_ERR_PHY;
  return value & E1000_MDIC_DATA_MASK;
}

/** A PHY register, 0 to 0xffff, or a negative number. @kernel e1000_read_phy_reg drivers/net/ethernet/intel/e1000/e1000_hw.c */
export function e1000ReadPhyReg(hw: E1000Hw, register: number): number {
  return mdic(hw, (register << E1000_MDIC_REG_SHIFT) | E1000_MDIC_OP_READ);
}

/** @kernel e1000_write_phy_reg drivers/net/ethernet/intel/e1000/e1000_hw.c */
export function e1000WritePhyReg(hw: E1000Hw, register: number, data: number): number {
  const result = mdic(hw, (register << E1000_MDIC_REG_SHIFT) | E1000_MDIC_OP_WRITE | data);
  return result < 0 ? result : E1000_SUCCESS;
}

/** Finds out which PHY there is. @kernel e1000_detect_gig_phy drivers/net/ethernet/intel/e1000/e1000_hw.c */
export function e1000DetectGigPhy(hw: E1000Hw): number {
  const high = e1000ReadPhyReg(hw, PHY_ID1);
  const low = e1000ReadPhyReg(hw, PHY_ID2);
  if (high < 0 || low < 0) return E1000_ERR_PHY;
  const id = (high << 16) | low;
  hw.phyId = id & PHY_REVISION_MASK;
  hw.phyRevision = id & ~PHY_REVISION_MASK;
  return hw.phyId === M88E1011_I_PHY_ID ? E1000_SUCCESS : E1000_ERR_PHY_TYPE;
}

/** Brings the chip to its state after power-on, quiet. @kernel e1000_reset_hw drivers/net/ethernet/intel/e1000/e1000_hw.c */
export function e1000ResetHw(hw: E1000Hw): number {
  ew32(hw, E1000_IMC, 0xffffffff);
  ew32(hw, E1000_RCTL, 0);
  ew32(hw, E1000_TCTL, E1000_TCTL_PSP);
  ew32(hw, E1000_CTRL, er32(hw, E1000_CTRL) | E1000_CTRL_RST);
  // The reset loads defaults that may let interrupts through.
  ew32(hw, E1000_IMC, 0xffffffff);
  er32(hw, E1000_ICR);
  return E1000_SUCCESS;
}

/** @kernel e1000_rar_set drivers/net/ethernet/intel/e1000/e1000_hw.c */
export function e1000RarSet(hw: E1000Hw, addr: Uint8Array, index: number): void {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = addr;
  ew32(hw, E1000_RAL + 8 * index, a | (b << 8) | (c << 16) | (d << 24));
  ew32(hw, E1000_RAH + 8 * index, e | (f << 8) | E1000_RAH_AV);
}

/** Our own address in the first exact filter, nothing in the others. @kernel e1000_init_rx_addrs drivers/net/ethernet/intel/e1000/e1000_hw.c */
function e1000InitRxAddrs(hw: E1000Hw): void {
  e1000RarSet(hw, hw.macAddr, 0);
  for (let i = 1; i < E1000_RAR_ENTRIES; i++) {
    ew32(hw, E1000_RAL + 8 * i, 0);
    ew32(hw, E1000_RAH + 8 * i, 0);
  }
}

/** @kernel e1000_clear_vfta drivers/net/ethernet/intel/e1000/e1000_hw.c */
function e1000ClearVfta(hw: E1000Hw): void {
  for (let i = 0; i < E1000_VLAN_FILTER_TBL_SIZE; i++) ew32(hw, E1000_VFTA + 4 * i, 0);
}

/** Reads all statistics, which clears them. @kernel e1000_clear_hw_cntrs drivers/net/ethernet/intel/e1000/e1000_hw.c */
function e1000ClearHwCntrs(hw: E1000Hw): void {
  for (let offset = E1000_CRCERRS; offset <= E1000_TSCTFC; offset += 4) er32(hw, offset);
}

/** Makes the chip ready: filters, link, counters. @kernel e1000_init_hw drivers/net/ethernet/intel/e1000/e1000_hw.c */
export function e1000InitHw(hw: E1000Hw): number {
  e1000ClearVfta(hw);
  e1000InitRxAddrs(hw);
  for (let i = 0; i < E1000_NUM_MTA_REGISTERS; i++) ew32(hw, E1000_MTA + 4 * i, 0);
  const err = e1000SetupLink(hw);
  e1000ClearHwCntrs(hw);
  return err;
}

/** @kernel e1000_setup_copper_link drivers/net/ethernet/intel/e1000/e1000_hw.c */
function e1000SetupLink(hw: E1000Hw): number {
  const ctrl = er32(hw, E1000_CTRL) & ~(E1000_CTRL_FRCSPD | E1000_CTRL_FRCDPX);
  ew32(hw, E1000_CTRL, ctrl | E1000_CTRL_SLU);
  const err = e1000DetectGigPhy(hw);
  if (err < 0) return err;
  hw.getLinkStatus = true;
  return e1000CopperLinkAutoneg(hw);
}

/** Advertises everything, and negotiates when that is new. @kernel e1000_copper_link_autoneg drivers/net/ethernet/intel/e1000/e1000_hw.c */
function e1000CopperLinkAutoneg(hw: E1000Hw): number {
  const advertise =
    NWAY_SELECTOR |
    NWAY_AR_10T_HD_CAPS |
    NWAY_AR_10T_FD_CAPS |
    NWAY_AR_100TX_HD_CAPS |
    NWAY_AR_100TX_FD_CAPS |
    NWAY_AR_PAUSE;
  const control = e1000ReadPhyReg(hw, PHY_CTRL);
  if (control < 0) return control;
  const settled =
    (control & MII_CR_AUTO_NEG_EN) !== 0 &&
    e1000ReadPhyReg(hw, PHY_AUTONEG_ADV) === advertise &&
    e1000ReadPhyReg(hw, PHY_1000T_CTRL) === CR_1000T_FD_CAPS;
  if (settled) return E1000_SUCCESS;
  e1000WritePhyReg(hw, PHY_AUTONEG_ADV, advertise);
  e1000WritePhyReg(hw, PHY_1000T_CTRL, CR_1000T_FD_CAPS);
  return e1000WritePhyReg(hw, PHY_CTRL, control | MII_CR_AUTO_NEG_EN | MII_CR_RESTART_AUTO_NEG);
}

/** @kernel e1000_power_up_phy drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000PowerUpPhy(hw: E1000Hw): void {
  const control = e1000ReadPhyReg(hw, PHY_CTRL);
  if (control >= 0) e1000WritePhyReg(hw, PHY_CTRL, control & ~MII_CR_POWER_DOWN);
}

/** @kernel e1000_power_down_phy drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000PowerDownPhy(hw: E1000Hw): void {
  const control = e1000ReadPhyReg(hw, PHY_CTRL);
  if (control >= 0) e1000WritePhyReg(hw, PHY_CTRL, control | MII_CR_POWER_DOWN);
}

/** Asks the PHY whether there is a link, if the answer may be new. @kernel e1000_check_for_link drivers/net/ethernet/intel/e1000/e1000_hw.c */
export function e1000CheckForLink(hw: E1000Hw): void {
  if (!hw.getLinkStatus) return;
  // The first reading may still tell of a loss that is over.
  e1000ReadPhyReg(hw, PHY_STATUS);
  const status = e1000ReadPhyReg(hw, PHY_STATUS);
  if (status < 0 || (status & MII_SR_LINK_STATUS) === 0) return;
  hw.getLinkStatus = false;
  e1000ConfigCollisionDist(hw);
}

/** @kernel e1000_config_collision_dist drivers/net/ethernet/intel/e1000/e1000_hw.c */
export function e1000ConfigCollisionDist(hw: E1000Hw): void {
  const tctl = er32(hw, E1000_TCTL) & ~E1000_TCTL_COLD;
  ew32(hw, E1000_TCTL, tctl | (E1000_COLLISION_DISTANCE << E1000_COLD_SHIFT));
}

/** Speed in Mbit/s and duplex. @kernel e1000_get_speed_and_duplex drivers/net/ethernet/intel/e1000/e1000_hw.c */
export function e1000GetSpeedAndDuplex(hw: E1000Hw): { speed: number; duplex: number } {
  const status = er32(hw, E1000_STATUS);
  const duplex = (status & E1000_STATUS_FD) !== 0 ? FULL_DUPLEX : HALF_DUPLEX;
  if ((status & E1000_STATUS_SPEED_1000) !== 0) return { speed: SPEED_1000, duplex };
  return { speed: (status & E1000_STATUS_SPEED_100) !== 0 ? SPEED_100 : SPEED_10, duplex };
}

/** Index of a multicast address in the hash table, by its last two octets. @kernel e1000_hash_mc_addr drivers/net/ethernet/intel/e1000/e1000_hw.c */
export function e1000HashMcAddr(_hw: E1000Hw, addr: Uint8Array): number {
  return (((addr[4] as number) >> 4) | ((addr[5] as number) << 4)) & 0xfff;
}
