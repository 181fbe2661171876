/**
 * Driving the chip itself: reset, EEPROM, PHY, link, addresses. Counterpart of
 * drivers/net/ethernet/intel/e1000/e1000_hw.c, for the 82540EM with its copper PHY. Results are 0 or
 * the negative numbers of that file.
 */
import { type E1000Hw, er32, ew32 } from '#drivers/net/ethernet/intel/e1000/e1000.ts';
import {
  autonegotiate,
  clearHwCounters,
  clearVlanFilter,
  E1000_ERR_PHY,
  E1000_SUCCESS,
  findLink,
  GBE_ADVERTISE,
  hashMulticast,
  nvmSumIsRight,
  type PhyOps,
  POLL_ATTEMPTS,
  powerPhy,
  readPhyId,
  readPhyReg,
  readSpeedAndDuplex,
  setLinkUp,
  writePhyReg,
} from '#drivers/net/ethernet/intel/libgbe/hw.ts';
import {
  E1000_COLD_SHIFT,
  E1000_COLLISION_DISTANCE,
  E1000_CTRL,
  E1000_CTRL_RST,
  E1000_EERD,
  E1000_EERD_ADDR_SHIFT,
  E1000_EERD_DATA_SHIFT,
  E1000_EERD_DONE,
  E1000_EERD_START,
  E1000_ICR,
  E1000_IMC,
  E1000_MTA,
  E1000_NUM_MTA_REGISTERS,
  E1000_RAH,
  E1000_RAH_AV,
  E1000_RAL,
  E1000_RAR_ENTRIES,
  E1000_RCTL,
  E1000_TCTL,
  E1000_TCTL_COLD,
  E1000_TCTL_PSP,
  EEPROM_CHECKSUM_REG,
  M88E1011_I_PHY_ID,
  NWAY_AR_PAUSE,
  PHY_REVISION_MASK,
} from '#hardware/e1000/e1000_regs.ts';

export const E1000_ERR_EEPROM: number = -1;
export const E1000_ERR_PHY_TYPE: number = -6;

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
  return nvmSumIsRight(words) ? E1000_SUCCESS : E1000_ERR_EEPROM;
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

/** A PHY register, 0 to 0xffff, or a negative number. @kernel e1000_read_phy_reg drivers/net/ethernet/intel/e1000/e1000_hw.c */
export function e1000ReadPhyReg(hw: E1000Hw, register: number): number {
  return readPhyReg(hw, er32, register);
}

/** @kernel e1000_write_phy_reg drivers/net/ethernet/intel/e1000/e1000_hw.c */
export function e1000WritePhyReg(hw: E1000Hw, register: number, data: number): number {
  return writePhyReg(hw, er32, register, data);
}

const PHY_OPS: PhyOps<E1000Hw> = { readReg: e1000ReadPhyReg, writeReg: e1000WritePhyReg };

/** Finds out which PHY there is. @kernel e1000_detect_gig_phy drivers/net/ethernet/intel/e1000/e1000_hw.c */
export function e1000DetectGigPhy(hw: E1000Hw): number {
  const id = readPhyId(hw, PHY_OPS);
  if (id === null) return E1000_ERR_PHY;
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
  clearVlanFilter(hw);
}

/** Reads all statistics, which clears them. @kernel e1000_clear_hw_cntrs drivers/net/ethernet/intel/e1000/e1000_hw.c */
function e1000ClearHwCntrs(hw: E1000Hw): void {
  clearHwCounters(hw, er32);
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
  setLinkUp(hw, er32);
  const err = e1000DetectGigPhy(hw);
  if (err < 0) return err;
  hw.getLinkStatus = true;
  return e1000CopperLinkAutoneg(hw);
}

/** Advertises everything, and negotiates when that is new. @kernel e1000_copper_link_autoneg drivers/net/ethernet/intel/e1000/e1000_hw.c */
function e1000CopperLinkAutoneg(hw: E1000Hw): number {
  return autonegotiate(hw, PHY_OPS, GBE_ADVERTISE | NWAY_AR_PAUSE);
}

/** @kernel e1000_power_up_phy drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000PowerUpPhy(hw: E1000Hw): void {
  powerPhy(hw, PHY_OPS, true);
}

/** @kernel e1000_power_down_phy drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000PowerDownPhy(hw: E1000Hw): void {
  powerPhy(hw, PHY_OPS, false);
}

/** Asks the PHY whether there is a link, if the answer may be new. @kernel e1000_check_for_link drivers/net/ethernet/intel/e1000/e1000_hw.c */
export function e1000CheckForLink(hw: E1000Hw): void {
  if (findLink(hw, PHY_OPS)) e1000ConfigCollisionDist(hw);
}

/** @kernel e1000_config_collision_dist drivers/net/ethernet/intel/e1000/e1000_hw.c */
export function e1000ConfigCollisionDist(hw: E1000Hw): void {
  const tctl = er32(hw, E1000_TCTL) & ~E1000_TCTL_COLD;
  ew32(hw, E1000_TCTL, tctl | (E1000_COLLISION_DISTANCE << E1000_COLD_SHIFT));
}

/** Speed in Mbit/s and duplex. @kernel e1000_get_speed_and_duplex drivers/net/ethernet/intel/e1000/e1000_hw.c */
export function e1000GetSpeedAndDuplex(hw: E1000Hw): { speed: number; duplex: number } {
  return readSpeedAndDuplex(hw, er32);
}

/** Index of a multicast address in the hash table, by its last two octets. @kernel e1000_hash_mc_addr drivers/net/ethernet/intel/e1000/e1000_hw.c */
export function e1000HashMcAddr(_hw: E1000Hw, addr: Uint8Array): number {
  return hashMulticast(addr);
}
