/**
 * The register map and descriptor formats of the Intel 82576, where they differ from the 8254x (whose
 * are in hardware/e1000/e1000_regs.ts). Counterpart of
 * drivers/net/ethernet/intel/igb/e1000_regs.h, e1000_82575.h and e1000_defines.h; the source is
 * Intel's "82576EB Gigabit Ethernet Controller Datasheet", chapters 7 and 8.
 *
 * Offsets are bytes from the start of BAR 0. Descriptors are little-endian and 16 bytes long.
 */

/** Bytes of the register window, and how far registers reach in it. */
export const IGB_BAR_SIZE = 0x20000;
export const IGB_REGS_END = 0x10000;
/** Base address registers of the registers and of the MSI-X table. */
export const IGB_MMIO_BAR = 0;
export const IGB_MSIX_BAR = 3;
export const E1000_DEV_ID_82576 = 0x10c9;
/** Rings of each direction, and MSI-X vectors. */
export const IGB_HW_QUEUES = 16;
export const IGB_HW_VECTORS = 10;
/** Exact receive addresses. @kernel E1000_RAR_ENTRIES_82576 drivers/net/ethernet/intel/igb/e1000_82575.h */
export const E1000_RAR_ENTRIES_82576 = 24;

// Interrupts: the causes of old, and those of queues and vectors.
export const E1000_ICR = 0x01500;
export const E1000_ICS = 0x01504;
export const E1000_IMS = 0x01508;
export const E1000_IMC = 0x0150c;
export const E1000_IAM = 0x01510;
export const E1000_GPIE = 0x01514;
export const E1000_EICS = 0x01520;
export const E1000_EIMS = 0x01524;
export const E1000_EIMC = 0x01528;
export const E1000_EIAC = 0x0152c;
export const E1000_EIAM = 0x01530;
export const E1000_EICR = 0x01580;
export const E1000_EITR0 = 0x01680;
export const E1000_IVAR0 = 0x01700;
export const E1000_IVAR_MISC = 0x01740;
export const E1000_IVAR_VALID = 0x80;

/** Throttling register of a vector. @kernel E1000_EITR drivers/net/ethernet/intel/igb/e1000_regs.h */
export function E1000_EITR(vector: number): number {
  return E1000_EITR0 + 4 * vector;
}

// Packet buffer, longest frame, transmit control.
export const E1000_TCTL_EXT = 0x00404;
export const E1000_RXPBS = 0x02404;
export const E1000_TXPBS = 0x03404;
export const E1000_RLPML = 0x05004;
export const E1000_RFCTL = 0x05008;
export const E1000_RA2 = 0x054e0;
// Spreading.
export const E1000_MRQC = 0x05818;
const E1000_RETA0 = 0x05c00;
const E1000_RSSRK0 = 0x05c80;

/** Four entries of the indirection table. @kernel E1000_RETA drivers/net/ethernet/intel/igb/e1000_regs.h */
export function E1000_RETA(i: number): number {
  return E1000_RETA0 + 4 * i;
}

/** Four octets of the key. @kernel E1000_RSSRK drivers/net/ethernet/intel/igb/e1000_regs.h */
export function E1000_RSSRK(i: number): number {
  return E1000_RSSRK0 + 4 * i;
}

export const IGB_RETA_SIZE = 128;
export const IGB_RSS_KEY_REGS = 10;

// Registers of each queue: offsets from the queue's base.
export const IGB_Q_DBAL = 0x00;
export const IGB_Q_DBAH = 0x04;
export const IGB_Q_DLEN = 0x08;
export const IGB_Q_SRRCTL = 0x0c;
export const IGB_Q_DH = 0x10;
export const IGB_Q_DT = 0x18;
export const IGB_Q_DCTL = 0x28;
export const IGB_Q_RQDPC = 0x30;

const RX_BASE = 0x0c000;
const TX_BASE = 0x0e000;
const STEP = 0x40;
// The first four queues answer where the older chips have them, as well.
const RX_ALIAS = 0x02800;
const TX_ALIAS = 0x03800;
const ALIAS_STEP = 0x100;
const ALIASES = 4;

/** Base of a receive queue's registers. */
export function rxQueueBase(n: number): number {
  return RX_BASE + n * STEP;
}

/** Base of a transmit queue's registers. */
export function txQueueBase(n: number): number {
  return TX_BASE + n * STEP;
}

/** The one place of a register that answers at two: addresses of the older chips are translated. */
export function canonicalOffset(offset: number): number {
  if (offset >= RX_ALIAS && offset < RX_ALIAS + ALIASES * ALIAS_STEP) {
    const n = (offset - RX_ALIAS) >> 8;
    return rxQueueBase(n) + ((offset - RX_ALIAS) & 0x3f);
  }
  if (offset >= TX_ALIAS && offset < TX_ALIAS + ALIASES * ALIAS_STEP) {
    const n = (offset - TX_ALIAS) >> 8;
    return txQueueBase(n) + ((offset - TX_ALIAS) & 0x3f);
  }
  return offset;
}

/** The queue whose register lies at an offset behind `rxQueueBase(0)`; -1: none. */
export function rxQueueOf(offset: number): number {
  const n = (offset - RX_BASE) >> 6;
  return n >= 0 && n < IGB_HW_QUEUES ? n : -1;
}

export function txQueueOf(offset: number): number {
  const n = (offset - TX_BASE) >> 6;
  return n >= 0 && n < IGB_HW_QUEUES ? n : -1;
}

/** @kernel E1000_RDBAL drivers/net/ethernet/intel/igb/e1000_regs.h */
export function E1000_RDBAL(n: number): number {
  return n < ALIASES ? RX_ALIAS + n * ALIAS_STEP : rxQueueBase(n);
}

/** @kernel E1000_TDBAL drivers/net/ethernet/intel/igb/e1000_regs.h */
export function E1000_TDBAL(n: number): number {
  return n < ALIASES ? TX_ALIAS + n * ALIAS_STEP : txQueueBase(n);
}

// NVM by EERD: other bits than the 8254x has.
export const E1000_NVM_RW_REG_START = 1;
export const E1000_NVM_RW_REG_DONE = 2;
export const E1000_NVM_RW_ADDR_SHIFT = 2;
export const E1000_NVM_RW_REG_DATA = 16;

/** Identity of the PHY inside. @kernel IGP03E1000_E_PHY_ID drivers/net/ethernet/intel/igb/e1000_defines.h */
export const IGP03E1000_E_PHY_ID = 0x02a80390;

// Causes in ICR that the 8254x lacks.
export const E1000_ICR_DRSTA = 0x40000000;
export const E1000_ICR_DOUTSYNC = 0x10000000;

// GPIE.
export const E1000_GPIE_NSICR = 0x00000001;
export const E1000_GPIE_MSIX_MODE = 0x00000010;
export const E1000_GPIE_EIAME = 0x40000000;
export const E1000_GPIE_PBA = 0x80000000;

// EITR: the interval in us, from bit 2 on; writing leaves the running interval alone.
export const E1000_EITR_ITR_INT_MASK = 0x00007ffc;
export const E1000_EITR_CNT_IGNR = 0x80000000;

// MRQC: how to spread, and over which fields.
export const E1000_MRQC_ENABLE_RSS_MQ = 0x00000002;
export const E1000_MRQC_ENABLE_MASK = 0x00000007;
export const E1000_MRQC_RSS_FIELD_IPV4_TCP = 0x00010000;
export const E1000_MRQC_RSS_FIELD_IPV4 = 0x00020000;
export const E1000_MRQC_RSS_FIELD_IPV6_TCP_EX = 0x00040000;
export const E1000_MRQC_RSS_FIELD_IPV6 = 0x00100000;
export const E1000_MRQC_RSS_FIELD_IPV6_TCP = 0x00200000;
export const E1000_MRQC_RSS_FIELD_IPV4_UDP = 0x00400000;
export const E1000_MRQC_RSS_FIELD_IPV6_UDP = 0x00800000;
export const E1000_MRQC_RSS_FIELD_IPV6_UDP_EX = 0x01000000;

// RXCSUM, SRRCTL, RXDCTL, TXDCTL.
export const E1000_RXCSUM_PCSD = 0x00002000;
export const E1000_RXCSUM_CRCOFL = 0x00000800;
export const E1000_SRRCTL_BSIZEPKT_SHIFT = 10;
export const E1000_SRRCTL_BSIZEPKT_MASK = 0x0000007f;
export const E1000_SRRCTL_DESCTYPE_ADV_ONEBUF = 0x02000000;
export const E1000_SRRCTL_DROP_EN = 0x80000000;
export const E1000_RXDCTL_QUEUE_ENABLE = 0x02000000;
export const E1000_TXDCTL_QUEUE_ENABLE = 0x02000000;

/** Bytes of a descriptor. */
export const IGB_DESC_SIZE = 16;

// Receive descriptor as written back: packet information (2), header (2), hash (4), status and errors
// (4), length (2), tag (2).
export const IGB_RXD_PKT_INFO = 0;
export const IGB_RXD_RSS = 4;
export const IGB_RXD_STATERR = 8;
export const IGB_RXD_LENGTH = 12;
export const IGB_RXD_VLAN = 14;
export const E1000_RXDADV_RSSTYPE_MASK = 0x0000000f;
export const E1000_RXDADV_RSSTYPE_NONE = 0;
export const E1000_RXDADV_RSSTYPE_IPV4_TCP = 1;
export const E1000_RXDADV_RSSTYPE_IPV4 = 2;
export const E1000_RXDADV_RSSTYPE_IPV6_TCP = 3;
export const E1000_RXDADV_RSSTYPE_IPV6_EX = 4;
export const E1000_RXDADV_RSSTYPE_IPV6 = 5;
export const E1000_RXDADV_RSSTYPE_IPV6_TCP_EX = 6;
export const E1000_RXDADV_RSSTYPE_IPV4_UDP = 7;
export const E1000_RXDADV_RSSTYPE_IPV6_UDP = 8;
export const E1000_RXDADV_RSSTYPE_IPV6_UDP_EX = 9;
export const E1000_RXDADV_PKTTYPE_IPV4 = 0x00000010;
export const E1000_RXDADV_PKTTYPE_IPV6 = 0x00000040;
export const E1000_RXDADV_PKTTYPE_TCP = 0x00000100;
export const E1000_RXDADV_PKTTYPE_UDP = 0x00000200;
// Status is that of the 8254x in the low octet; its errors are in the high one.
export const E1000_RXDEXT_STATERR_CE = 0x01000000;
export const E1000_RXDEXT_STATERR_SE = 0x02000000;
export const E1000_RXDEXT_STATERR_SEQ = 0x04000000;
export const E1000_RXDEXT_STATERR_CXE = 0x10000000;
export const E1000_RXDEXT_STATERR_TCPE = 0x20000000;
export const E1000_RXDEXT_STATERR_IPE = 0x40000000;
export const E1000_RXDEXT_STATERR_RXE = 0x80000000;
/** Errors that spoil the frame itself. @kernel E1000_RXDEXT_ERR_FRAME_ERR_MASK drivers/net/ethernet/intel/igb/e1000_defines.h */
export const E1000_RXDEXT_ERR_FRAME_ERR_MASK: number =
  E1000_RXDEXT_STATERR_CE |
  E1000_RXDEXT_STATERR_SE |
  E1000_RXDEXT_STATERR_SEQ |
  E1000_RXDEXT_STATERR_CXE |
  E1000_RXDEXT_STATERR_RXE;

// Transmit data descriptor: address (8), command, type and length (4), offload and status (4).
export const IGB_TXD_CMD_TYPE_LEN = 8;
export const IGB_TXD_OLINFO_STATUS = 12;
export const E1000_ADVTXD_DTALEN_MASK = 0x0000ffff;
export const E1000_ADVTXD_DTYP_MASK = 0x00f00000;
export const E1000_ADVTXD_DTYP_CTXT = 0x00200000;
export const E1000_ADVTXD_DTYP_DATA = 0x00300000;
export const E1000_ADVTXD_DCMD_EOP = 0x01000000;
export const E1000_ADVTXD_DCMD_IFCS = 0x02000000;
export const E1000_ADVTXD_DCMD_RS = 0x08000000;
export const E1000_ADVTXD_DCMD_DEXT = 0x20000000;
export const E1000_ADVTXD_DCMD_VLE = 0x40000000;
export const E1000_ADVTXD_DCMD_TSE = 0x80000000;
export const E1000_ADVTXD_PAYLEN_SHIFT = 14;
export const E1000_ADVTXD_POPTS_IXSM = 0x00000100;
export const E1000_ADVTXD_POPTS_TXSM = 0x00000200;
export const E1000_ADVTXD_IDX_SHIFT = 4;
export const E1000_ADVTXD_IDX_MASK = 0x00000070;
// Transmit context descriptor: tag and lengths (4), seed (4), types (4), mss and l4 length (4).
export const IGB_TXC_VLAN_MACIP_LENS = 0;
export const IGB_TXC_SEQNUM_SEED = 4;
export const IGB_TXC_TYPE_TUCMD_MLHL = 8;
export const IGB_TXC_MSS_L4LEN_IDX = 12;
export const E1000_ADVTXD_VLAN_SHIFT = 16;
export const E1000_ADVTXD_MACLEN_SHIFT = 9;
export const E1000_ADVTXD_IPLEN_MASK = 0x000001ff;
export const E1000_ADVTXD_MACLEN_MASK = 0x0000007f;
export const E1000_ADVTXD_TUCMD_IPV4 = 0x00000400;
export const E1000_ADVTXD_TUCMD_L4T_UDP = 0x00000000;
export const E1000_ADVTXD_TUCMD_L4T_TCP = 0x00000800;
export const E1000_ADVTXD_L4LEN_SHIFT = 8;
export const E1000_ADVTXD_MSS_SHIFT = 16;
