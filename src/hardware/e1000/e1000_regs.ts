/**
 * The register map and descriptor formats of the Intel 8254x family, as its driver and its model see
 * them. Counterpart of drivers/net/ethernet/intel/e1000/e1000_hw.h; the source is Intel's "PCI/PCI-X
 * Family of Gigabit Ethernet Controllers Software Developer's Manual", chapters 3 and 13.
 *
 * Offsets are bytes from the start of BAR 0. Descriptors are little-endian and 16 bytes long.
 */

// General.
export const E1000_CTRL = 0x00000;
export const E1000_STATUS = 0x00008;
export const E1000_EECD = 0x00010;
export const E1000_EERD = 0x00014;
export const E1000_CTRL_EXT = 0x00018;
export const E1000_MDIC = 0x00020;
export const E1000_FCAL = 0x00028;
export const E1000_FCAH = 0x0002c;
export const E1000_FCT = 0x00030;
export const E1000_VET = 0x00038;
// Interrupts.
export const E1000_ICR = 0x000c0;
export const E1000_ITR = 0x000c4;
export const E1000_ICS = 0x000c8;
export const E1000_IMS = 0x000d0;
export const E1000_IMC = 0x000d8;
// Receive and transmit control.
export const E1000_RCTL = 0x00100;
export const E1000_FCTTV = 0x00170;
export const E1000_TCTL = 0x00400;
export const E1000_TIPG = 0x00410;
export const E1000_AIT = 0x00458;
export const E1000_LEDCTL = 0x00e00;
export const E1000_PBA = 0x01000;
export const E1000_FCRTL = 0x02160;
export const E1000_FCRTH = 0x02168;
// Receive ring.
export const E1000_RDBAL = 0x02800;
export const E1000_RDBAH = 0x02804;
export const E1000_RDLEN = 0x02808;
export const E1000_RDH = 0x02810;
export const E1000_RDT = 0x02818;
export const E1000_RDTR = 0x02820;
export const E1000_RXDCTL = 0x02828;
export const E1000_RADV = 0x0282c;
export const E1000_RSRPD = 0x02c00;
// Transmit ring.
export const E1000_TDBAL = 0x03800;
export const E1000_TDBAH = 0x03804;
export const E1000_TDLEN = 0x03808;
export const E1000_TDH = 0x03810;
export const E1000_TDT = 0x03818;
export const E1000_TIDV = 0x03820;
export const E1000_TXDCTL = 0x03828;
export const E1000_TADV = 0x0382c;
// Statistics: 32 bits wide, cleared by reading; octet counts are pairs, the low half first.
export const E1000_CRCERRS = 0x04000;
export const E1000_ALGNERRC = 0x04004;
export const E1000_SYMERRS = 0x04008;
export const E1000_RXERRC = 0x0400c;
export const E1000_MPC = 0x04010;
export const E1000_SCC = 0x04014;
export const E1000_ECOL = 0x04018;
export const E1000_MCC = 0x0401c;
export const E1000_LATECOL = 0x04020;
export const E1000_COLC = 0x04028;
export const E1000_DC = 0x04030;
export const E1000_TNCRS = 0x04034;
export const E1000_SEC = 0x04038;
export const E1000_CEXTERR = 0x0403c;
export const E1000_RLEC = 0x04040;
export const E1000_XONRXC = 0x04048;
export const E1000_XONTXC = 0x0404c;
export const E1000_XOFFRXC = 0x04050;
export const E1000_XOFFTXC = 0x04054;
export const E1000_FCRUC = 0x04058;
export const E1000_PRC64 = 0x0405c;
export const E1000_PRC127 = 0x04060;
export const E1000_PRC255 = 0x04064;
export const E1000_PRC511 = 0x04068;
export const E1000_PRC1023 = 0x0406c;
export const E1000_PRC1522 = 0x04070;
export const E1000_GPRC = 0x04074;
export const E1000_BPRC = 0x04078;
export const E1000_MPRC = 0x0407c;
export const E1000_GPTC = 0x04080;
export const E1000_GORCL = 0x04088;
export const E1000_GORCH = 0x0408c;
export const E1000_GOTCL = 0x04090;
export const E1000_GOTCH = 0x04094;
export const E1000_RNBC = 0x040a0;
export const E1000_RUC = 0x040a4;
export const E1000_RFC = 0x040a8;
export const E1000_ROC = 0x040ac;
export const E1000_RJC = 0x040b0;
export const E1000_TORL = 0x040c0;
export const E1000_TORH = 0x040c4;
export const E1000_TOTL = 0x040c8;
export const E1000_TOTH = 0x040cc;
export const E1000_TPR = 0x040d0;
export const E1000_TPT = 0x040d4;
export const E1000_PTC64 = 0x040d8;
export const E1000_PTC127 = 0x040dc;
export const E1000_PTC255 = 0x040e0;
export const E1000_PTC511 = 0x040e4;
export const E1000_PTC1023 = 0x040e8;
export const E1000_PTC1522 = 0x040ec;
export const E1000_MPTC = 0x040f0;
export const E1000_BPTC = 0x040f4;
export const E1000_TSCTC = 0x040f8;
export const E1000_TSCTFC = 0x040fc;
// Receive filters and checksums.
export const E1000_RXCSUM = 0x05000;
export const E1000_MTA = 0x05200;
export const E1000_RAL = 0x05400;
export const E1000_RAH = 0x05404;
export const E1000_VFTA = 0x05600;
export const E1000_WUC = 0x05800;
export const E1000_WUFC = 0x05808;
export const E1000_MANC = 0x05820;

/** Bytes of the register window, BAR 0. */
export const E1000_BAR_SIZE = 0x20000;
/** Exact receive addresses, and words of the multicast and VLAN tables. */
export const E1000_RAR_ENTRIES = 15;
export const E1000_NUM_MTA_REGISTERS = 128;
export const E1000_VLAN_FILTER_TBL_SIZE = 128;

// CTRL.
export const E1000_CTRL_FD = 0x00000001;
export const E1000_CTRL_LRST = 0x00000008;
export const E1000_CTRL_ASDE = 0x00000020;
export const E1000_CTRL_SLU = 0x00000040;
export const E1000_CTRL_SPD_SEL = 0x00000300;
export const E1000_CTRL_SPD_10 = 0x00000000;
export const E1000_CTRL_SPD_100 = 0x00000100;
export const E1000_CTRL_SPD_1000 = 0x00000200;
export const E1000_CTRL_FRCSPD = 0x00000800;
export const E1000_CTRL_FRCDPX = 0x00001000;
export const E1000_CTRL_RST = 0x04000000;
export const E1000_CTRL_RFCE = 0x08000000;
export const E1000_CTRL_TFCE = 0x10000000;
export const E1000_CTRL_VME = 0x40000000;
export const E1000_CTRL_PHY_RST = 0x80000000;

// STATUS.
export const E1000_STATUS_FD = 0x00000001;
export const E1000_STATUS_LU = 0x00000002;
export const E1000_STATUS_TXOFF = 0x00000010;
export const E1000_STATUS_SPEED_MASK = 0x000000c0;
export const E1000_STATUS_SPEED_10 = 0x00000000;
export const E1000_STATUS_SPEED_100 = 0x00000040;
export const E1000_STATUS_SPEED_1000 = 0x00000080;
export const E1000_STATUS_BUS64 = 0x00001000;

// EECD and EERD.
export const E1000_EECD_GNT = 0x00000080;
export const E1000_EECD_PRES = 0x00000100;
export const E1000_EERD_START = 0x00000001;
export const E1000_EERD_DONE = 0x00000010;
export const E1000_EERD_ADDR_SHIFT = 8;
export const E1000_EERD_DATA_SHIFT = 16;
/** Words of the EEPROM, the words of the address, and what all words up to CHECKSUM add up to. */
export const EEPROM_WORD_SIZE = 64;
export const EEPROM_ID_LED_SETTINGS = 0x0004;
export const EEPROM_INIT_CONTROL1_REG = 0x000a;
export const EEPROM_SUBSYS_ID = 0x000b;
export const EEPROM_SUBSYS_VENDOR = 0x000c;
export const EEPROM_DEVICE_ID = 0x000d;
export const EEPROM_VENDOR_ID = 0x000e;
export const EEPROM_CHECKSUM_REG = 0x003f;
export const EEPROM_SUM = 0xbaba;

// MDIC: the way to the PHY's registers.
export const E1000_MDIC_DATA_MASK = 0x0000ffff;
export const E1000_MDIC_REG_MASK = 0x001f0000;
export const E1000_MDIC_REG_SHIFT = 16;
export const E1000_MDIC_PHY_MASK = 0x03e00000;
export const E1000_MDIC_PHY_SHIFT = 21;
export const E1000_MDIC_OP_WRITE = 0x04000000;
export const E1000_MDIC_OP_READ = 0x08000000;
export const E1000_MDIC_READY = 0x10000000;
export const E1000_MDIC_INT_EN = 0x20000000;
export const E1000_MDIC_ERROR = 0x40000000;

// PHY registers: IEEE 802.3 clause 22, and the Marvell 88E1011 of this chip.
export const PHY_CTRL = 0x00;
export const PHY_STATUS = 0x01;
export const PHY_ID1 = 0x02;
export const PHY_ID2 = 0x03;
export const PHY_AUTONEG_ADV = 0x04;
export const PHY_LP_ABILITY = 0x05;
export const PHY_AUTONEG_EXP = 0x06;
export const PHY_1000T_CTRL = 0x09;
export const PHY_1000T_STATUS = 0x0a;
export const PHY_EXT_STATUS = 0x0f;
export const M88E1000_PHY_SPEC_CTRL = 0x10;
export const M88E1000_PHY_SPEC_STATUS = 0x11;
export const M88E1000_EXT_PHY_SPEC_CTRL = 0x14;
export const M88E1000_RX_ERR_CNTR = 0x15;
/** Its identity: PHY_ID1 and PHY_ID2 without the four bits of the revision. */
export const M88E1011_I_PHY_ID = 0x01410c20;
export const PHY_REVISION_MASK = 0xfffffff0;
export const MII_CR_SPEED_SELECT_MSB = 0x0040;
export const MII_CR_FULL_DUPLEX = 0x0100;
export const MII_CR_RESTART_AUTO_NEG = 0x0200;
export const MII_CR_POWER_DOWN = 0x0800;
export const MII_CR_AUTO_NEG_EN = 0x1000;
export const MII_CR_SPEED_SELECT_LSB = 0x2000;
export const MII_CR_LOOPBACK = 0x4000;
export const MII_CR_RESET = 0x8000;
export const MII_SR_LINK_STATUS = 0x0004;
export const MII_SR_AUTONEG_CAPS = 0x0008;
export const MII_SR_AUTONEG_COMPLETE = 0x0020;
export const NWAY_AR_10T_HD_CAPS = 0x0020;
export const NWAY_AR_10T_FD_CAPS = 0x0040;
export const NWAY_AR_100TX_HD_CAPS = 0x0080;
export const NWAY_AR_100TX_FD_CAPS = 0x0100;
export const NWAY_AR_PAUSE = 0x0400;
export const CR_1000T_FD_CAPS = 0x0200;
export const SR_1000T_LP_FD_CAPS = 0x0800;
export const SR_1000T_REMOTE_RX_STATUS = 0x1000;
export const SR_1000T_LOCAL_RX_STATUS = 0x2000;
export const M88E1000_PSSR_LINK = 0x0400;
export const M88E1000_PSSR_SPD_DPLX_RESOLVED = 0x0800;
export const M88E1000_PSSR_DPLX = 0x2000;
export const M88E1000_PSSR_100MBS = 0x4000;
export const M88E1000_PSSR_1000MBS = 0x8000;

// Causes of an interrupt: ICR, ICS, IMS, IMC.
export const E1000_ICR_TXDW = 0x00000001;
export const E1000_ICR_TXQE = 0x00000002;
export const E1000_ICR_LSC = 0x00000004;
export const E1000_ICR_RXSEQ = 0x00000008;
export const E1000_ICR_RXDMT0 = 0x00000010;
export const E1000_ICR_RXO = 0x00000040;
export const E1000_ICR_RXT0 = 0x00000080;
export const E1000_ICR_MDAC = 0x00000200;
export const E1000_ICR_PHYINT = 0x00001000;
export const E1000_ICR_TXD_LOW = 0x00008000;
export const E1000_ICR_SRPD = 0x00010000;
/** What the driver listens to. @kernel IMS_ENABLE_MASK drivers/net/ethernet/intel/e1000/e1000_hw.h */
export const IMS_ENABLE_MASK: number =
  E1000_ICR_RXT0 | E1000_ICR_TXDW | E1000_ICR_RXDMT0 | E1000_ICR_RXSEQ | E1000_ICR_LSC;

// RCTL.
export const E1000_RCTL_EN = 0x00000002;
export const E1000_RCTL_SBP = 0x00000004;
export const E1000_RCTL_UPE = 0x00000008;
export const E1000_RCTL_MPE = 0x00000010;
export const E1000_RCTL_LPE = 0x00000020;
export const E1000_RCTL_LBM_MAC = 0x00000040;
export const E1000_RCTL_LBM_MASK = 0x000000c0;
export const E1000_RCTL_RDMTS_HALF = 0x00000000;
export const E1000_RCTL_RDMTS_MASK = 0x00000300;
export const E1000_RCTL_RDMTS_SHIFT = 8;
export const E1000_RCTL_MO_SHIFT = 12;
export const E1000_RCTL_BAM = 0x00008000;
export const E1000_RCTL_SZ_2048 = 0x00000000;
export const E1000_RCTL_SZ_MASK = 0x00030000;
export const E1000_RCTL_SZ_SHIFT = 16;
export const E1000_RCTL_VFE = 0x00040000;
export const E1000_RCTL_DPF = 0x00400000;
export const E1000_RCTL_PMCF = 0x00800000;
export const E1000_RCTL_BSEX = 0x02000000;
export const E1000_RCTL_SECRC = 0x04000000;

// TCTL.
export const E1000_TCTL_EN = 0x00000002;
export const E1000_TCTL_PSP = 0x00000008;
export const E1000_TCTL_CT = 0x00000ff0;
export const E1000_TCTL_COLD = 0x003ff000;
export const E1000_TCTL_RTLC = 0x01000000;
export const E1000_COLLISION_THRESHOLD = 15;
export const E1000_CT_SHIFT = 4;
export const E1000_COLLISION_DISTANCE = 63;
export const E1000_COLD_SHIFT = 12;

// RXCSUM, RAH, TIDV/RDTR.
export const E1000_RXCSUM_PCSS_MASK = 0x000000ff;
export const E1000_RXCSUM_IPOFL = 0x00000100;
export const E1000_RXCSUM_TUOFL = 0x00000200;
export const E1000_RAH_AV = 0x80000000;
/** Of RDTR (FPDB) and TIDV (FPD): report now what waits. */
export const E1000_DELAY_FLUSH = 0x80000000;

/** Bytes of a descriptor, and where its parts lie. */
export const E1000_DESC_SIZE = 16;

// Receive descriptor: buffer address (8), length (2), packet checksum (2), status, errors, special (2).
export const E1000_RXD_LENGTH = 8;
export const E1000_RXD_CSUM = 10;
export const E1000_RXD_STATUS = 12;
export const E1000_RXD_ERRORS = 13;
export const E1000_RXD_SPECIAL = 14;
export const E1000_RXD_STAT_DD = 0x01;
export const E1000_RXD_STAT_EOP = 0x02;
export const E1000_RXD_STAT_IXSM = 0x04;
export const E1000_RXD_STAT_VP = 0x08;
export const E1000_RXD_STAT_UDPCS = 0x10;
export const E1000_RXD_STAT_TCPCS = 0x20;
export const E1000_RXD_STAT_IPCS = 0x40;
export const E1000_RXD_STAT_PIF = 0x80;
export const E1000_RXD_ERR_CE = 0x01;
export const E1000_RXD_ERR_SE = 0x02;
export const E1000_RXD_ERR_SEQ = 0x04;
export const E1000_RXD_ERR_CXE = 0x10;
export const E1000_RXD_ERR_TCPE = 0x20;
export const E1000_RXD_ERR_IPE = 0x40;
export const E1000_RXD_ERR_RXE = 0x80;
/** Errors that spoil the frame itself. */
export const E1000_RXD_ERR_FRAME_ERR_MASK: number =
  E1000_RXD_ERR_CE | E1000_RXD_ERR_SE | E1000_RXD_ERR_SEQ | E1000_RXD_ERR_CXE | E1000_RXD_ERR_RXE;

// Transmit descriptors: buffer address (8) or context (8), lower word (4), upper word (4).
export const E1000_TXD_LOWER = 8;
export const E1000_TXD_UPPER = 12;
export const E1000_TXD_DTYP_D = 0x00100000;
export const E1000_TXD_DTYP_C = 0x00000000;
export const E1000_TXD_DTYP_MASK = 0x00f00000;
export const E1000_TXD_POPTS_IXSM = 0x01;
export const E1000_TXD_POPTS_TXSM = 0x02;
export const E1000_TXD_CMD_EOP = 0x01000000;
export const E1000_TXD_CMD_IFCS = 0x02000000;
export const E1000_TXD_CMD_IC = 0x04000000;
export const E1000_TXD_CMD_RS = 0x08000000;
export const E1000_TXD_CMD_RPS = 0x10000000;
export const E1000_TXD_CMD_DEXT = 0x20000000;
export const E1000_TXD_CMD_VLE = 0x40000000;
export const E1000_TXD_CMD_IDE = 0x80000000;
export const E1000_TXD_CMD_TCP = 0x01000000;
export const E1000_TXD_CMD_IP = 0x02000000;
export const E1000_TXD_CMD_TSE = 0x04000000;
export const E1000_TXD_STAT_DD = 0x00000001;
export const E1000_TXD_STAT_EC = 0x00000002;
export const E1000_TXD_STAT_LC = 0x00000004;
// Context descriptor.
export const E1000_TXC_IPCSS = 0;
export const E1000_TXC_IPCSO = 1;
export const E1000_TXC_IPCSE = 2;
export const E1000_TXC_TUCSS = 4;
export const E1000_TXC_TUCSO = 5;
export const E1000_TXC_TUCSE = 6;
export const E1000_TXC_CMD_LENGTH = 8;
export const E1000_TXC_STATUS = 12;
export const E1000_TXC_HDR_LEN = 13;
export const E1000_TXC_MSS = 14;

// Identities.
export const PCI_VENDOR_ID_INTEL = 0x8086;
export const E1000_DEV_ID_82540EM = 0x100e;
