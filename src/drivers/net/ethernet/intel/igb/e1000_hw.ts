/**
 * Driving the chip itself: reset, NVM, PHY, link, addresses. Counterpart of
 * drivers/net/ethernet/intel/igb/e1000_82575.c, e1000_mac.c, e1000_phy.c and e1000_nvm.c, for the
 * 82576 with its copper PHY. Results are 0 or the negative numbers of e1000_hw.h.
 */
import {
  CR_1000T_FD_CAPS,
  E1000_CRCERRS,
  E1000_CTRL,
  E1000_CTRL_FRCDPX,
  E1000_CTRL_FRCSPD,
  E1000_CTRL_RST,
  E1000_CTRL_SLU,
  E1000_EERD,
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
  E1000_RCTL,
  E1000_STATUS,
  E1000_STATUS_FD,
  E1000_STATUS_SPEED_100,
  E1000_STATUS_SPEED_1000,
  E1000_TCTL,
  E1000_TCTL_PSP,
  E1000_TSCTFC,
  E1000_VFTA,
  E1000_VLAN_FILTER_TBL_SIZE,
  EEPROM_CHECKSUM_REG,
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
  PHY_REVISION_MASK,
  PHY_STATUS,
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

export const E1000_SUCCESS = 0;
export const E1000_ERR_NVM: number = -1;
export const E1000_ERR_PHY: number = -2;

export const SPEED_10 = 10;
export const SPEED_100 = 100;
export const SPEED_1000 = 1000;
export const HALF_DUPLEX = 1;
export const FULL_DUPLEX = 2;

/** How often a busy register is read again. */
const POLL_ATTEMPTS = 100;
/** The 802.3 selector in an advertisement. */
const NWAY_SELECTOR = 1;
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
  let sum = 0;
  for (const word of words) sum = (sum + word) & 0xffff;
  return sum === EEPROM_SUM ? E1000_SUCCESS : E1000_ERR_NVM;
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

function mdic(hw: E1000Hw, command: number): number {
  wr32(hw, E1000_MDIC, command | (hw.phyAddr << E1000_MDIC_PHY_SHIFT));
  let value = 0;
  for (let n = 0; n < POLL_ATTEMPTS && (value & E1000_MDIC_READY) === 0; n++) {
    value = rd32(hw, E1000_MDIC);
  }
  if ((value & E1000_MDIC_READY) === 0 || (value & E1000_MDIC_ERROR) !== 0) return E1000_ERR_PHY;
  return value & E1000_MDIC_DATA_MASK;
}

/** A PHY register, 0 to 0xffff, or a negative number. @kernel igb_read_phy_reg_mdic drivers/net/ethernet/intel/igb/e1000_phy.c */
export function igbReadPhyRegMdic(hw: E1000Hw, register: number): number {
  return mdic(hw, (register << E1000_MDIC_REG_SHIFT) | E1000_MDIC_OP_READ);
}

/** @kernel igb_write_phy_reg_mdic drivers/net/ethernet/intel/igb/e1000_phy.c */
export function igbWritePhyRegMdic(hw: E1000Hw, register: number, data: number): number {
  const result = mdic(hw, (register << E1000_MDIC_REG_SHIFT) | E1000_MDIC_OP_WRITE | data);
  return result < 0 ? result : E1000_SUCCESS;
}

/** Finds out which PHY there is. @kernel igb_get_phy_id drivers/net/ethernet/intel/igb/e1000_phy.c */
export function igbGetPhyId(hw: E1000Hw): number {
  const high = igbReadPhyRegMdic(hw, PHY_ID1);
  const low = igbReadPhyRegMdic(hw, PHY_ID2);
  if (high < 0 || low < 0) return E1000_ERR_PHY;
  hw.phyId = ((high << 16) | low) & PHY_REVISION_MASK;
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
  for (let i = 0; i < E1000_VLAN_FILTER_TBL_SIZE; i++) wr32(hw, E1000_VFTA + 4 * i, 0);
}

/** Reads all statistics, which clears them. @kernel igb_clear_hw_cntrs_base drivers/net/ethernet/intel/igb/e1000_mac.c */
function igbClearHwCntrs(hw: E1000Hw): void {
  for (let offset = E1000_CRCERRS; offset <= E1000_TSCTFC; offset += 4) rd32(hw, offset);
}

/** Index of a multicast address in the hash table, by its last two octets. @kernel igb_hash_mc_addr drivers/net/ethernet/intel/igb/e1000_mac.c */
function igbHashMcAddr(addr: Uint8Array): number {
  return (((addr[4] as number) >> 4) | ((addr[5] as number) << 4)) & 0xfff;
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
  const ctrl = rd32(hw, E1000_CTRL) & ~(E1000_CTRL_FRCSPD | E1000_CTRL_FRCDPX);
  wr32(hw, E1000_CTRL, ctrl | E1000_CTRL_SLU);
  const err = igbGetPhyId(hw);
  if (err < 0) return err;
  hw.getLinkStatus = true;
  return igbCopperLinkAutoneg(hw);
}

/** Advertises everything, and negotiates when that is new. @kernel igb_copper_link_autoneg drivers/net/ethernet/intel/igb/e1000_phy.c */
function igbCopperLinkAutoneg(hw: E1000Hw): number {
  const advertise =
    NWAY_SELECTOR |
    NWAY_AR_10T_HD_CAPS |
    NWAY_AR_10T_FD_CAPS |
    NWAY_AR_100TX_HD_CAPS |
    NWAY_AR_100TX_FD_CAPS;
  const control = igbReadPhyRegMdic(hw, PHY_CTRL);
  if (control < 0) return control;
  const settled =
    (control & MII_CR_AUTO_NEG_EN) !== 0 &&
    igbReadPhyRegMdic(hw, PHY_AUTONEG_ADV) === advertise &&
    igbReadPhyRegMdic(hw, PHY_1000T_CTRL) === CR_1000T_FD_CAPS;
  if (settled) return E1000_SUCCESS;
  igbWritePhyRegMdic(hw, PHY_AUTONEG_ADV, advertise);
  igbWritePhyRegMdic(hw, PHY_1000T_CTRL, CR_1000T_FD_CAPS);
  return igbWritePhyRegMdic(hw, PHY_CTRL, control | MII_CR_AUTO_NEG_EN | MII_CR_RESTART_AUTO_NEG);
}

/** @kernel igb_power_up_phy_copper drivers/net/ethernet/intel/igb/e1000_phy.c */
export function igbPowerUpPhyCopper(hw: E1000Hw): void {
  const control = igbReadPhyRegMdic(hw, PHY_CTRL);
  if (control >= 0) igbWritePhyRegMdic(hw, PHY_CTRL, control & ~MII_CR_POWER_DOWN);
}

/** @kernel igb_power_down_phy_copper drivers/net/ethernet/intel/igb/e1000_phy.c */
export function igbPowerDownPhyCopper(hw: E1000Hw): void {
  const control = igbReadPhyRegMdic(hw, PHY_CTRL);
  if (control >= 0) igbWritePhyRegMdic(hw, PHY_CTRL, control | MII_CR_POWER_DOWN);
}

/** Asks the PHY whether there is a link, if the answer may be new. @kernel igb_check_for_copper_link drivers/net/ethernet/intel/igb/e1000_mac.c */
export function igbCheckForCopperLink(hw: E1000Hw): void {
  if (!hw.getLinkStatus) return;
  // The first reading may still tell of a loss that is over.
  igbReadPhyRegMdic(hw, PHY_STATUS);
  const status = igbReadPhyRegMdic(hw, PHY_STATUS);
  if (status < 0 || (status & MII_SR_LINK_STATUS) === 0) return;
  hw.getLinkStatus = false;
}

/** Speed in Mbit/s and duplex. @kernel igb_get_speed_and_duplex_copper drivers/net/ethernet/intel/igb/e1000_mac.c */
export function igbGetSpeedAndDuplexCopper(hw: E1000Hw): { speed: number; duplex: number } {
  const status = rd32(hw, E1000_STATUS);
  const duplex = (status & E1000_STATUS_FD) !== 0 ? FULL_DUPLEX : HALF_DUPLEX;
  if ((status & E1000_STATUS_SPEED_1000) !== 0) return { speed: SPEED_1000, duplex };
  return { speed: (status & E1000_STATUS_SPEED_100) !== 0 ? SPEED_100 : SPEED_10, duplex };
}
