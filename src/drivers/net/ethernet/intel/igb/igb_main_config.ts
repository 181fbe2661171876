/**
 * Setting the chip up: memory of the rings, receive and transmit units, address filters, spreading.
 * Counterpart of those parts of drivers/net/ethernet/intel/igb/igb_main.c.
 */
import {
  igbRarSet,
  igbUpdateMcAddrList,
  rd32,
  wr32,
} from '#drivers/net/ethernet/intel/igb/e1000_hw.ts';
import {
  IGB_FLAG_RSS_FIELD_IPV4_UDP,
  IGB_FLAG_RSS_FIELD_IPV6_UDP,
  IGB_FLAG_RX_LEGACY,
  IGB_MAX_FRAME_BUILD_SKB,
  IGB_RXBUFFER_2048,
  type IgbAdapter,
  IgbRxBuffer,
  type IgbRxRing,
  IgbTxBuffer,
  type IgbTxRing,
  igbAdapter,
  igbDescUnused,
} from '#drivers/net/ethernet/intel/igb/igb.ts';
import { igbAllocRxBuffers } from '#drivers/net/ethernet/intel/igb/igb_main_rx.ts';
import { dmaAllocCoherent, dmaFreeCoherent } from '#drivers/pci/dma.ts';
import {
  E1000_COLLISION_THRESHOLD,
  E1000_CT_SHIFT,
  E1000_CTRL,
  E1000_CTRL_VME,
  E1000_RCTL,
  E1000_RCTL_BAM,
  E1000_RCTL_EN,
  E1000_RCTL_LPE,
  E1000_RCTL_MPE,
  E1000_RCTL_RDMTS_HALF,
  E1000_RCTL_SECRC,
  E1000_RCTL_UPE,
  E1000_RXCSUM,
  E1000_TCTL,
  E1000_TCTL_CT,
  E1000_TCTL_EN,
  E1000_TCTL_PSP,
  E1000_TCTL_RTLC,
} from '#hardware/e1000/e1000_regs.ts';
import {
  E1000_MRQC,
  E1000_MRQC_ENABLE_RSS_MQ,
  E1000_MRQC_RSS_FIELD_IPV4,
  E1000_MRQC_RSS_FIELD_IPV4_TCP,
  E1000_MRQC_RSS_FIELD_IPV4_UDP,
  E1000_MRQC_RSS_FIELD_IPV6,
  E1000_MRQC_RSS_FIELD_IPV6_TCP,
  E1000_MRQC_RSS_FIELD_IPV6_TCP_EX,
  E1000_MRQC_RSS_FIELD_IPV6_UDP,
  E1000_RAR_ENTRIES_82576,
  E1000_RETA,
  E1000_RLPML,
  E1000_RSSRK,
  E1000_RXCSUM_CRCOFL,
  E1000_RXCSUM_PCSD,
  E1000_RXDCTL_QUEUE_ENABLE,
  E1000_SRRCTL_BSIZEPKT_SHIFT,
  E1000_SRRCTL_DESCTYPE_ADV_ONEBUF,
  E1000_SRRCTL_DROP_EN,
  E1000_TXDCTL_QUEUE_ENABLE,
  IGB_DESC_SIZE,
  IGB_Q_DBAH,
  IGB_Q_DBAL,
  IGB_Q_DCTL,
  IGB_Q_DH,
  IGB_Q_DLEN,
  IGB_Q_DT,
  IGB_Q_SRRCTL,
  IGB_RETA_SIZE,
  IGB_RSS_KEY_REGS,
  rxQueueBase,
  txQueueBase,
} from '#hardware/igb/igb_regs.ts';
import {
  NETIF_F_HW_VLAN_CTAG_RX,
  NETIF_F_HW_VLAN_CTAG_TX,
} from '#include/linux/netdev_features.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import { ENOMEM } from '#uapi/errno.ts';
import { IFF_ALLMULTI, IFF_PROMISC } from '#uapi/if.ts';

/** Rings are given memory by whole pages. */
const RING_ALIGN = 4096;
/** When descriptors are fetched and written back in advance: prefetch, host and write-back thresholds. */
const IGB_RX_THRESHOLDS: number = 8 | (8 << 8) | (4 << 16);
const IGB_TX_THRESHOLDS: number = 8 | (1 << 8) | (16 << 16);

function ringBytes(count: number): number {
  return Math.ceil((count * IGB_DESC_SIZE) / RING_ALIGN) * RING_ALIGN;
}

/** 0 or -ENOMEM. @kernel igb_setup_tx_resources drivers/net/ethernet/intel/igb/igb_main.c */
export function igbSetupTxResources(adapter: IgbAdapter, ring: IgbTxRing): number {
  ring.size = ringBytes(ring.count);
  ring.desc = dmaAllocCoherent(adapter.pdev, ring.size);
  if (ring.desc === 0) return -ENOMEM;
  ring.bufferInfo = Array.from({ length: ring.count }, () => new IgbTxBuffer());
  ring.nextToUse = 0;
  ring.nextToClean = 0;
  return 0;
}

/** 0 or -ENOMEM. @kernel igb_setup_rx_resources drivers/net/ethernet/intel/igb/igb_main.c */
export function igbSetupRxResources(adapter: IgbAdapter, ring: IgbRxRing): number {
  ring.size = ringBytes(ring.count);
  ring.desc = dmaAllocCoherent(adapter.pdev, ring.size);
  if (ring.desc === 0) return -ENOMEM;
  ring.bufferInfo = Array.from({ length: ring.count }, () => new IgbRxBuffer());
  ring.nextToAlloc = 0;
  ring.nextToUse = 0;
  ring.nextToClean = 0;
  return 0;
}

/** Gives a ring's memory back; it holds nothing any more. @kernel igb_free_tx_resources drivers/net/ethernet/intel/igb/igb_main.c */
export function igbFreeRing(adapter: IgbAdapter, ring: IgbTxRing | IgbRxRing): void {
  if (ring.desc === 0) return;
  dmaFreeCoherent(adapter.pdev, ring.size, ring.desc);
  ring.desc = 0;
  ring.bufferInfo = [];
}

/** @kernel igb_setup_tctl drivers/net/ethernet/intel/igb/igb_main.c */
function igbSetupTctl(adapter: IgbAdapter): void {
  const { hw } = adapter;
  wr32(hw, txQueueBase(0) + IGB_Q_DCTL, 0);
  const tctl = rd32(hw, E1000_TCTL) & ~E1000_TCTL_CT;
  const bits = E1000_TCTL_PSP | E1000_TCTL_RTLC | (E1000_COLLISION_THRESHOLD << E1000_CT_SHIFT);
  wr32(hw, E1000_TCTL, tctl | bits | E1000_TCTL_EN);
}

/** @kernel igb_configure_tx_ring drivers/net/ethernet/intel/igb/igb_main.c */
function igbConfigureTxRing(adapter: IgbAdapter, ring: IgbTxRing): void {
  const { hw } = adapter;
  const base = txQueueBase(ring.queueIndex);
  wr32(hw, base + IGB_Q_DLEN, ring.count * IGB_DESC_SIZE);
  wr32(hw, base + IGB_Q_DBAL, ring.desc);
  wr32(hw, base + IGB_Q_DBAH, 0);
  wr32(hw, base + IGB_Q_DH, 0);
  wr32(hw, base + IGB_Q_DT, 0);
  wr32(hw, base + IGB_Q_DCTL, IGB_TX_THRESHOLDS | E1000_TXDCTL_QUEUE_ENABLE);
}

/**
 * Makes the table anew when the number of queues is another than when it last did: a table of a user's stays,
 * unless it was set before the device was first opened.
 * @kernel igb_setup_mrqc drivers/net/ethernet/intel/igb/igb_main.c
 */
export function igbSetupMrqc(adapter: IgbAdapter): void {
  const { hw, numRxQueues, rssIndirTbl } = adapter;
  igbWriteRssKey(adapter);
  if (adapter.rssIndirTblInit !== numRxQueues) {
    for (let j = 0; j < IGB_RETA_SIZE; j++) {
      rssIndirTbl[j] = Math.floor((j * numRxQueues) / IGB_RETA_SIZE);
    }
    adapter.rssIndirTblInit = numRxQueues;
  }
  igbWriteRssIndirTbl(adapter);
  // Without a checksum of the whole packet there is room for the hash.
  const rxcsum = rd32(hw, E1000_RXCSUM);
  wr32(hw, E1000_RXCSUM, rxcsum | E1000_RXCSUM_PCSD | E1000_RXCSUM_CRCOFL);
  let mrqc =
    E1000_MRQC_RSS_FIELD_IPV4 |
    E1000_MRQC_RSS_FIELD_IPV4_TCP |
    E1000_MRQC_RSS_FIELD_IPV6 |
    E1000_MRQC_RSS_FIELD_IPV6_TCP |
    E1000_MRQC_RSS_FIELD_IPV6_TCP_EX;
  if ((adapter.flags & IGB_FLAG_RSS_FIELD_IPV4_UDP) !== 0) mrqc |= E1000_MRQC_RSS_FIELD_IPV4_UDP;
  if ((adapter.flags & IGB_FLAG_RSS_FIELD_IPV6_UDP) !== 0) mrqc |= E1000_MRQC_RSS_FIELD_IPV6_UDP;
  wr32(hw, E1000_MRQC, mrqc | E1000_MRQC_ENABLE_RSS_MQ);
}

/** Tells the chip the key of the hash. @kernel igb_setup_mrqc drivers/net/ethernet/intel/igb/igb_main.c */
export function igbWriteRssKey(adapter: IgbAdapter): void {
  const { hw, rssKey } = adapter;
  const v = new DataView(rssKey.buffer, rssKey.byteOffset, rssKey.byteLength);
  for (let j = 0; j < IGB_RSS_KEY_REGS; j++) wr32(hw, E1000_RSSRK(j), v.getInt32(4 * j, true));
}

/** Tells the chip which queue serves which hash. @kernel igb_write_rss_indir_tbl drivers/net/ethernet/intel/igb/igb_ethtool.c */
export function igbWriteRssIndirTbl(adapter: IgbAdapter): void {
  const { hw, rssIndirTbl } = adapter;
  const v = new DataView(rssIndirTbl.buffer, rssIndirTbl.byteOffset, rssIndirTbl.byteLength);
  for (let i = 0; i < IGB_RETA_SIZE; i += 4) wr32(hw, E1000_RETA(i >> 2), v.getInt32(i, true));
}

/** @kernel igb_setup_rctl drivers/net/ethernet/intel/igb/igb_main.c */
function igbSetupRctl(adapter: IgbAdapter): void {
  const { hw } = adapter;
  const rctl = rd32(hw, E1000_RCTL) & (E1000_RCTL_UPE | E1000_RCTL_MPE);
  // The length is bounded by RLPML, so jumbo frames may always come.
  const bits = E1000_RCTL_EN | E1000_RCTL_BAM | E1000_RCTL_RDMTS_HALF;
  wr32(hw, E1000_RCTL, rctl | bits | E1000_RCTL_SECRC | E1000_RCTL_LPE);
  // Until the queue is configured anew.
  wr32(hw, rxQueueBase(0) + IGB_Q_DCTL, 0);
}

/** @kernel igb_setup_srrctl drivers/net/ethernet/intel/igb/igb_main.c */
function igbSetupSrrctl(adapter: IgbAdapter, ring: IgbRxRing): void {
  let srrctl = IGB_RXBUFFER_2048 >> E1000_SRRCTL_BSIZEPKT_SHIFT;
  srrctl |= E1000_SRRCTL_DESCTYPE_ADV_ONEBUF;
  // One queue that nobody empties shall not stop the others.
  if (adapter.numRxQueues > 1) srrctl |= E1000_SRRCTL_DROP_EN;
  wr32(adapter.hw, rxQueueBase(ring.queueIndex) + IGB_Q_SRRCTL, srrctl);
}

/**
 * Decides how packets are made of buffers.
 * @kernel igb_set_rx_buffer_len drivers/net/ethernet/intel/igb/igb_main.c
 * @deviation Linux builds packets of jumbo frames too, in halves of larger pages; ours are all of one size.
 */
function igbSetRxBufferLen(adapter: IgbAdapter, ring: IgbRxRing): void {
  ring.usesBuildSkb =
    (adapter.flags & IGB_FLAG_RX_LEGACY) === 0 && adapter.maxFrameSize <= IGB_MAX_FRAME_BUILD_SKB;
}

/** @kernel igb_configure_rx_ring drivers/net/ethernet/intel/igb/igb_main.c */
function igbConfigureRxRing(adapter: IgbAdapter, ring: IgbRxRing): void {
  const { hw } = adapter;
  const base = rxQueueBase(ring.queueIndex);
  wr32(hw, base + IGB_Q_DCTL, 0);
  wr32(hw, base + IGB_Q_DBAL, ring.desc);
  wr32(hw, base + IGB_Q_DBAH, 0);
  wr32(hw, base + IGB_Q_DLEN, ring.count * IGB_DESC_SIZE);
  wr32(hw, base + IGB_Q_DH, 0);
  wr32(hw, base + IGB_Q_DT, 0);
  igbSetupSrrctl(adapter, ring);
  igbSetRxBufferLen(adapter, ring);
  wr32(hw, base + IGB_Q_DCTL, IGB_RX_THRESHOLDS | E1000_RXDCTL_QUEUE_ENABLE);
}

/** Brings the chip from reset to work. @kernel igb_configure drivers/net/ethernet/intel/igb/igb_main.c */
export function igbConfigure(adapter: IgbAdapter): void {
  igbSetRxMode(adapter.netdev);
  igbVlanMode(adapter, adapter.netdev.features);
  igbSetupTctl(adapter);
  igbSetupMrqc(adapter);
  igbSetupRctl(adapter);
  for (const ring of adapter.txRing) igbConfigureTxRing(adapter, ring);
  igbRarSet(adapter.hw, adapter.hw.macAddr, 0);
  for (const ring of adapter.rxRing) igbConfigureRxRing(adapter, ring);
  for (const ring of adapter.rxRing) {
    if (ring.qVector !== null) igbAllocRxBuffers(ring.qVector, ring, igbDescUnused(ring));
  }
}

/** Has the chip take VLAN tags out of frames and put them in, or not. @kernel igb_vlan_mode drivers/net/ethernet/intel/igb/igb_main.c */
export function igbVlanMode(adapter: IgbAdapter, features: number): void {
  const { hw } = adapter;
  const ctrl = rd32(hw, E1000_CTRL) & ~E1000_CTRL_VME;
  const on = (features & (NETIF_F_HW_VLAN_CTAG_RX | NETIF_F_HW_VLAN_CTAG_TX)) !== 0;
  wr32(hw, E1000_CTRL, on ? ctrl | E1000_CTRL_VME : ctrl);
}

/** Sets the filters by the device's flags and address lists. @kernel igb_set_rx_mode drivers/net/ethernet/intel/igb/igb_main.c */
export function igbSetRxMode(netdev: NetDevice): void {
  const adapter = igbAdapter(netdev);
  const { hw } = adapter;
  let rctl = rd32(hw, E1000_RCTL) & ~(E1000_RCTL_UPE | E1000_RCTL_MPE);
  if ((netdev.flags & IFF_PROMISC) !== 0) rctl |= E1000_RCTL_UPE | E1000_RCTL_MPE;
  else if ((netdev.flags & IFF_ALLMULTI) !== 0) rctl |= E1000_RCTL_MPE;
  else igbUpdateMcAddrList(hw, netdev.mc);
  // The first filter holds the device's own address. @kernel igb_write_uc_addr_list
  const exact = netdev.uc.length < E1000_RAR_ENTRIES_82576;
  if (!exact) rctl |= E1000_RCTL_UPE;
  for (let i = 1; i < E1000_RAR_ENTRIES_82576; i++) {
    igbRarSet(hw, exact ? (netdev.uc[i - 1]?.addr ?? null) : null, i);
  }
  wr32(hw, E1000_RCTL, rctl);
  wr32(hw, E1000_RLPML, adapter.maxFrameSize);
}
