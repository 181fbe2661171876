/**
 * Driving the chip itself: reset, NVM, PHY, link, addresses. Counterpart of
 * drivers/net/ethernet/intel/igb/e1000_82575.c, e1000_mac.c, e1000_phy.c and e1000_nvm.c, for the
 * 82576 with its copper PHY. Results are 0 or the negative numbers of e1000_hw.h.
 */
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
  E1000_CTRL,
  E1000_CTRL_RST,
  E1000_EERD,
  E1000_MTA,
  E1000_NUM_MTA_REGISTERS,
  E1000_RAH,
  E1000_RAH_AV,
  E1000_RAL,
  E1000_RCTL,
  E1000_TCTL,
  E1000_TCTL_PSP,
  EEPROM_CHECKSUM_REG,
  PHY_REVISION_MASK,
} from '#hardware/e1000/e1000_regs.ts';
import {
  E1000_EICR,
  E1000_EIMC,
  E1000_ICR,
  E1000_IMC,
  E1000_NVM_RW_ADDR_SHIFT,
  E1000_NVM_RW_REG_DATA,
  E1000_NVM_RW_REG_DONE,
  E1000_NVM_RW_REG_START,
  E1000_RA2,
  E1000_RAR_ENTRIES_82576,
  IGP03E1000_E_PHY_ID,
} from '#hardware/igb/igb_regs.ts';
import type { PciIomem } from '#hardware/pci/pci_bus.ts';

export const E1000_ERR_NVM: number = -1;
/** Exact addresses at the old place; the others follow at RA2. */
const RAR_FIRST = 16;

/** What is known about the chip. @kernel e1000_hw drivers/net/ethernet/intel/igb/e1000_hw.h */
export class E1000Hw {
  readonly hwAddr: PciIomem;
  readonly macAddr: Uint8Array;
  readonly permMacAddr: Uint8Array;
  /** The multicast table as it is in the chip. */
  readonly mtaShadow: Int32Array;
  phyId: number;
  phyAddr: number;
  /** The link may have changed: ask the PHY. */
  getLinkStatus: boolean;

  constructor(hwAddr: PciIomem) {
    this.hwAddr = hwAddr;
    this.macAddr = new Uint8Array(6);
    this.permMacAddr = new Uint8Array(6);
    this.mtaShadow = new Int32Array(E1000_NUM_MTA_REGISTERS);
    this.phyId = 0;
    this.phyAddr = 1;
    this.getLinkStatus = true;
  }
}

/** Reads a register. @kernel igb_rd32 drivers/net/ethernet/intel/igb/igb_main.c */
export function rd32(hw: E1000Hw, register: number): number {
  return hw.hwAddr.readl(register);
}

/** Writes a register. @kernel wr32 drivers/net/ethernet/intel/igb/e1000_regs.h */
export function wr32(hw: E1000Hw, register: number, value: number): void {
  hw.hwAddr.writel(value | 0, register);
}

/** Reads words of the NVM. @kernel igb_read_nvm_eerd drivers/net/ethernet/intel/igb/e1000_nvm.c */
export function igbReadNvmEerd(hw: E1000Hw, offset: number, words: Uint16Array): number {
  for (let i = 0; i < words.length; i++) {
    wr32(hw, E1000_EERD, ((offset + i) << E1000_NVM_RW_ADDR_SHIFT) | E1000_NVM_RW_REG_START);
    let value = 0;
    for (let n = 0; n < POLL_ATTEMPTS && (value & E1000_NVM_RW_REG_DONE) === 0; n++) {
      value = rd32(hw, E1000_EERD);
    }
    if ((value & E1000_NVM_RW_REG_DONE) === 0 || value === -1) return E1000_ERR_NVM;
    words[i] = value >>> E1000_NVM_RW_REG_DATA;
  }
  return E1000_SUCCESS;
}

/** All words add up to a known sum. @kernel igb_validate_nvm_checksum drivers/net/ethernet/intel/igb/e1000_nvm.c */
export function igbValidateNvmChecksum(hw: E1000Hw): number {
  const words = new Uint16Array(EEPROM_CHECKSUM_REG + 1);
  if (igbReadNvmEerd(hw, 0, words) < 0) return E1000_ERR_NVM;
  return nvmSumIsRight(words) ? E1000_SUCCESS : E1000_ERR_NVM;
}

/** The address that the reset has loaded from the NVM. @kernel igb_read_mac_addr drivers/net/ethernet/intel/igb/e1000_nvm.c */
export function igbReadMacAddr(hw: E1000Hw): number {
  const low = rd32(hw, E1000_RAL);
  const high = rd32(hw, E1000_RAH);
  for (let i = 0; i < 4; i++) hw.permMacAddr[i] = low >>> (8 * i);
  hw.permMacAddr[4] = high;
  hw.permMacAddr[5] = high >>> 8;
  hw.macAddr.set(hw.permMacAddr);
  return E1000_SUCCESS;
}

/** A PHY register, 0 to 0xffff, or a negative number. @kernel igb_read_phy_reg_mdic drivers/net/ethernet/intel/igb/e1000_phy.c */
export function igbReadPhyRegMdic(hw: E1000Hw, register: number): number {
  return readPhyReg(hw, rd32, register);
}

/** @kernel igb_write_phy_reg_mdic drivers/net/ethernet/intel/igb/e1000_phy.c */
export function igbWritePhyRegMdic(hw: E1000Hw, register: number, data: number): number {
  return writePhyReg(hw, rd32, register, data);
}

const PHY_OPS: PhyOps<E1000Hw> = { readReg: igbReadPhyRegMdic, writeReg: igbWritePhyRegMdic };

/** Finds out which PHY there is. @kernel igb_get_phy_id drivers/net/ethernet/intel/igb/e1000_phy.c */
export function igbGetPhyId(hw: E1000Hw): number {
  const id = readPhyId(hw, PHY_OPS);
  if (id === null) return E1000_ERR_PHY;
  hw.phyId = id & PHY_REVISION_MASK;
  return hw.phyId === IGP03E1000_E_PHY_ID ? E1000_SUCCESS : E1000_ERR_PHY;
}

/** Brings the chip to its state after power-on, quiet. @kernel igb_reset_hw_82575 drivers/net/ethernet/intel/igb/e1000_82575.c */
export function igbResetHw82575(hw: E1000Hw): number {
  wr32(hw, E1000_IMC, 0xffffffff);
  wr32(hw, E1000_RCTL, 0);
  wr32(hw, E1000_TCTL, E1000_TCTL_PSP);
  wr32(hw, E1000_CTRL, rd32(hw, E1000_CTRL) | E1000_CTRL_RST);
  // The reset loads defaults that may let interrupts through.
  wr32(hw, E1000_IMC, 0xffffffff);
  wr32(hw, E1000_EIMC, 0xffffffff);
  rd32(hw, E1000_ICR);
  rd32(hw, E1000_EICR);
  return E1000_SUCCESS;
}

/** @kernel igb_rar_set drivers/net/ethernet/intel/igb/e1000_mac.c */
export function igbRarSet(hw: E1000Hw, addr: Uint8Array | null, index: number): void {
  const at = index < RAR_FIRST ? E1000_RAL + 8 * index : E1000_RA2 + 8 * (index - RAR_FIRST);
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = addr ?? [];
  wr32(hw, at, a | (b << 8) | (c << 16) | (d << 24));
  wr32(hw, at + (E1000_RAH - E1000_RAL), addr === null ? 0 : e | (f << 8) | E1000_RAH_AV);
}

/** Our own address in the first exact filter, nothing in the others. @kernel igb_init_rx_addrs drivers/net/ethernet/intel/igb/e1000_mac.c */
function igbInitRxAddrs(hw: E1000Hw): void {
  igbRarSet(hw, hw.macAddr, 0);
  for (let i = 1; i < E1000_RAR_ENTRIES_82576; i++) igbRarSet(hw, null, i);
}

/** @kernel igb_clear_vfta drivers/net/ethernet/intel/igb/e1000_mac.c */
function igbClearVfta(hw: E1000Hw): void {
  clearVlanFilter(hw);
}

/** Reads all statistics, which clears them. @kernel igb_clear_hw_cntrs_base drivers/net/ethernet/intel/igb/e1000_mac.c */
function igbClearHwCntrs(hw: E1000Hw): void {
  clearHwCounters(hw, rd32);
}

/** Index of a multicast address in the hash table, by its last two octets. @kernel igb_hash_mc_addr drivers/net/ethernet/intel/igb/e1000_mac.c */
function igbHashMcAddr(addr: Uint8Array): number {
  return hashMulticast(addr);
}

/** Lets these groups pass, and no others. @kernel igb_update_mc_addr_list drivers/net/ethernet/intel/igb/e1000_mac.c */
export function igbUpdateMcAddrList(hw: E1000Hw, list: readonly { addr: Uint8Array }[]): void {
  const { mtaShadow } = hw;
  mtaShadow.fill(0);
  for (const { addr } of list) {
    const hash = igbHashMcAddr(addr);
    mtaShadow[hash >> 5] = (mtaShadow[hash >> 5] as number) | (1 << (hash & 31));
  }
  for (let n = E1000_NUM_MTA_REGISTERS - 1; n >= 0; n--) {
    wr32(hw, E1000_MTA + 4 * n, mtaShadow[n] as number);
  }
}

/** Makes the chip ready: filters, link, counters. @kernel igb_init_hw_82575 drivers/net/ethernet/intel/igb/e1000_82575.c */
export function igbInitHw82575(hw: E1000Hw): number {
  igbClearVfta(hw);
  igbInitRxAddrs(hw);
  for (let i = 0; i < E1000_NUM_MTA_REGISTERS; i++) wr32(hw, E1000_MTA + 4 * i, 0);
  const err = igbSetupCopperLink(hw);
  igbClearHwCntrs(hw);
  return err;
}

/** @kernel igb_setup_copper_link_82575 drivers/net/ethernet/intel/igb/e1000_82575.c */
function igbSetupCopperLink(hw: E1000Hw): number {
  setLinkUp(hw, rd32);
  const err = igbGetPhyId(hw);
  if (err < 0) return err;
  hw.getLinkStatus = true;
  return igbCopperLinkAutoneg(hw);
}

/** Advertises everything, and negotiates when that is new. @kernel igb_copper_link_autoneg drivers/net/ethernet/intel/igb/e1000_phy.c */
function igbCopperLinkAutoneg(hw: E1000Hw): number {
  return autonegotiate(hw, PHY_OPS, GBE_ADVERTISE);
}

/** @kernel igb_power_up_phy_copper drivers/net/ethernet/intel/igb/e1000_phy.c */
export function igbPowerUpPhyCopper(hw: E1000Hw): void {
  powerPhy(hw, PHY_OPS, true);
}

/** @kernel igb_power_down_phy_copper drivers/net/ethernet/intel/igb/e1000_phy.c */
export function igbPowerDownPhyCopper(hw: E1000Hw): void {
  powerPhy(hw, PHY_OPS, false);
}

/** Asks the PHY whether there is a link, if the answer may be new. @kernel igb_check_for_copper_link drivers/net/ethernet/intel/igb/e1000_mac.c */
export function igbCheckForCopperLink(hw: E1000Hw): void {
  findLink(hw, PHY_OPS);
}

/** Speed in Mbit/s and duplex. @kernel igb_get_speed_and_duplex_copper drivers/net/ethernet/intel/igb/e1000_mac.c */
export function igbGetSpeedAndDuplexCopper(hw: E1000Hw): { speed: number; duplex: number } {
  return readSpeedAndDuplex(hw, rd32);
}
