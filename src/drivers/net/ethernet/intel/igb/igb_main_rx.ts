/**
 * Receiving: pages for the chip, and packets from them. Counterpart of that part of
 * drivers/net/ethernet/intel/igb/igb_main.c.
 *
 * A page has two halves. The chip writes one; when the stack has given the other back by the time the
 * frame is taken, the page goes round again with its halves exchanged, and no memory is allocated.
 * Frames of the usual size go up in the very buffer (build_skb); of longer ones, and with the private
 * flag legacy-rx, the headers are copied and the rest becomes fragments (construct_skb).
 */

import { wr32 } from '#drivers/net/ethernet/intel/igb/e1000_hw.ts';
import {
  IGB_RX_BUFFER_WRITE,
  IGB_RX_HDR_LEN,
  IGB_RXBUFFER_2048,
  IGB_SKB_PAD,
  type IgbQVector,
  type IgbRxBuffer,
  type IgbRxRing,
  igbDescUnused,
} from '#drivers/net/ethernet/intel/igb/igb.ts';
import { dmaMapSingle, dmaUnmapSingle } from '#drivers/pci/dma.ts';
import {
  E1000_RXD_STAT_EOP,
  E1000_RXD_STAT_IXSM,
  E1000_RXD_STAT_TCPCS,
  E1000_RXD_STAT_UDPCS,
  E1000_RXD_STAT_VP,
} from '#hardware/e1000/e1000_regs.ts';
import {
  E1000_RXDADV_RSSTYPE_MASK,
  E1000_RXDEXT_ERR_FRAME_ERR_MASK,
  E1000_RXDEXT_STATERR_IPE,
  E1000_RXDEXT_STATERR_TCPE,
  IGB_DESC_SIZE,
  IGB_Q_DT,
  IGB_RXD_LENGTH,
  IGB_RXD_PKT_INFO,
  IGB_RXD_RSS,
  IGB_RXD_STATERR,
  IGB_RXD_VLAN,
  rxQueueBase,
} from '#hardware/igb/igb_regs.ts';
import { DMA_FROM_DEVICE } from '#hardware/pci/iommu.ts';
import {
  NETIF_F_HW_VLAN_CTAG_RX,
  NETIF_F_RXCSUM,
  NETIF_F_RXHASH,
} from '#include/linux/netdev_features.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { PciDev } from '#include/linux/pci.ts';
import {
  CHECKSUM_NONE,
  CHECKSUM_UNNECESSARY,
  type SkBuff,
  skbReserve,
  skbSetHash,
} from '#include/linux/skbuff.ts';
import { skbRecordRxQueue } from '#include/linux/skbuff_rx_queue.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { dmaView, memops, SLOT_SIZE } from '#mm/memory.ts';
import { allocPages, getPage, pageRefcount, putPage } from '#mm/page_alloc.ts';
import { devKfreeSkbAny } from '#net/core/dev_tx.ts';
import { napiGroReceive } from '#net/core/gro.ts';
import { buildSkb, napiAllocSkb, skbPut } from '#net/core/skbuff.ts';
import { skbAddRxFrag } from '#net/core/skbuff_frags.ts';
import { ethGetHeadlen, ethTypeTrans } from '#net/ethernet/eth.ts';
import { ETH_P_8021Q } from '#uapi/if_ether.ts';
import { SKB_DROP_REASON_DEV_HDR, SKB_DROP_REASON_NOMEM } from '#uapi/net_dropreason.ts';

/** Where in its half the chip writes a frame. @kernel igb_rx_offset drivers/net/ethernet/intel/igb/igb_main.c */
function igbRxOffset(ring: IgbRxRing): number {
  return ring.usesBuildSkb ? IGB_SKB_PAD : 0;
}

function mapPage(pdev: PciDev, buffer: IgbRxBuffer): void {
  dmaMapSingle(pdev, buffer.page, IGB_RXBUFFER_2048, DMA_FROM_DEVICE);
  dmaMapSingle(pdev, buffer.other, IGB_RXBUFFER_2048, DMA_FROM_DEVICE);
}

function unmapPage(pdev: PciDev, buffer: IgbRxBuffer): void {
  dmaUnmapSingle(pdev, buffer.page, IGB_RXBUFFER_2048, DMA_FROM_DEVICE);
  dmaUnmapSingle(pdev, buffer.other, IGB_RXBUFFER_2048, DMA_FROM_DEVICE);
}

/** Gives an entry a page, unless it has one; false when memory is short. @kernel igb_alloc_mapped_page drivers/net/ethernet/intel/igb/igb_main.c */
function igbAllocMappedPage(pdev: PciDev, ring: IgbRxRing, buffer: IgbRxBuffer): boolean {
  if (buffer.page !== 0) return true;
  const page = allocPages(SLOT_SIZE);
  const other = page === 0 ? 0 : allocPages(SLOT_SIZE);
  if (other === 0) {
    if (page !== 0) putPage(page);
    ring.allocFailed++;
    return false;
  }
  buffer.page = page;
  buffer.other = other;
  mapPage(pdev, buffer);
  ring.allocPages++;
  return true;
}

/**
 * Gives up to `count` pages to the chip. When memory is short it gives fewer, and the next poll tries
 * again. @kernel igb_alloc_rx_buffers drivers/net/ethernet/intel/igb/igb_main.c
 */
export function igbAllocRxBuffers(vector: IgbQVector, ring: IgbRxRing, count: number): void {
  const { pdev, hw } = vector.adapter;
  const offset = igbRxOffset(ring);
  let i = ring.nextToUse;
  for (let left = count; left > 0; left--) {
    const buffer = ring.bufferInfo[i] as IgbRxBuffer;
    if (!igbAllocMappedPage(pdev, ring, buffer)) break;
    const at = ring.desc + i * IGB_DESC_SIZE;
    dmaView.setUint32(at, buffer.page + offset, true);
    dmaView.setUint32(at + 4, 0, true);
    dmaView.setUint32(at + IGB_RXD_STATERR, 0, true);
    // A length says that the chip has written the descriptor back.
    dmaView.setUint32(at + IGB_RXD_LENGTH, 0, true);
    i = i + 1 === ring.count ? 0 : i + 1;
  }
  if (ring.nextToUse === i) return;
  ring.nextToUse = i;
  ring.nextToAlloc = i;
  wr32(hw, rxQueueBase(ring.queueIndex) + IGB_Q_DT, i);
}

/** May the page go round again? Only when nobody but the driver holds its other half. @kernel igb_can_reuse_rx_page drivers/net/ethernet/intel/igb/igb_main.c */
function igbCanReuseRxPage(buffer: IgbRxBuffer): boolean {
  return pageRefcount(buffer.other) === 1;
}

/** Moves a page to the entry that is filled next. @kernel igb_reuse_rx_page drivers/net/ethernet/intel/igb/igb_main.c */
function igbReuseRxPage(ring: IgbRxRing, old: IgbRxBuffer): void {
  const nta = ring.nextToAlloc;
  const buffer = ring.bufferInfo[nta] as IgbRxBuffer;
  ring.nextToAlloc = nta + 1 === ring.count ? 0 : nta + 1;
  const { page, other } = old;
  old.page = 0;
  old.other = 0;
  buffer.page = page;
  buffer.other = other;
  ring.reusedPages++;
}

/**
 * The frame has been taken from the buffer, by reference when `given`.
 * @kernel igb_put_rx_buffer drivers/net/ethernet/intel/igb/igb_main.c
 */
function igbPutRxBuffer(pdev: PciDev, ring: IgbRxRing, buffer: IgbRxBuffer, given: boolean): void {
  if (!given) {
    igbReuseRxPage(ring, buffer);
    return;
  }
  const { page, other } = buffer;
  if (igbCanReuseRxPage(buffer)) {
    // The packet has a reference of its own; the halves change places.
    getPage(page);
    buffer.page = other;
    buffer.other = page;
    igbReuseRxPage(ring, buffer);
    return;
  }
  unmapPage(pdev, buffer);
  putPage(other);
  buffer.page = 0;
  buffer.other = 0;
}

/** A packet around the buffer itself. @kernel igb_build_skb drivers/net/ethernet/intel/igb/igb_main.c */
function igbBuildSkb(dev: NetDevice, buffer: IgbRxBuffer, size: number): SkBuff {
  const skb = buildSkb(dev.net.machine, buffer.page, IGB_RXBUFFER_2048);
  skb.dev = dev;
  skbReserve(skb, IGB_SKB_PAD);
  skbPut(skb, size);
  return skb;
}

/** A packet with a copy of the headers, the rest by reference; null when memory is short. @kernel igb_construct_skb drivers/net/ethernet/intel/igb/igb_main.c */
function igbConstructSkb(vector: IgbQVector, buffer: IgbRxBuffer, size: number): SkBuff | null {
  const skb = napiAllocSkb(vector.napi, IGB_RX_HDR_LEN);
  if (skb === null) return null;
  const { page } = buffer;
  const { netdev } = vector.adapter;
  const headlen = size > IGB_RX_HDR_LEN ? ethGetHeadlen(netdev, page, IGB_RX_HDR_LEN) : size;
  memops.copy(skbPut(skb, headlen), page, headlen);
  if (size > headlen) skbAddRxFrag(skb, 0, page, headlen, size - headlen, SLOT_SIZE);
  return skb;
}

/** The chip has checked; the stack need not. @kernel igb_rx_checksum drivers/net/ethernet/intel/igb/igb_main.c */
function igbRxChecksum(ring: IgbRxRing, dev: NetDevice, staterr: number, skb: SkBuff): void {
  skb.ipSummed = CHECKSUM_NONE;
  if ((staterr & E1000_RXD_STAT_IXSM) !== 0) return;
  if ((dev.features & NETIF_F_RXCSUM) === 0) return;
  if ((staterr & (E1000_RXDEXT_STATERR_TCPE | E1000_RXDEXT_STATERR_IPE)) !== 0) {
    // The stack shall find out for itself.
    ring.csumErr++;
    return;
  }
  if ((staterr & (E1000_RXD_STAT_TCPCS | E1000_RXD_STAT_UDPCS)) !== 0) {
    skb.ipSummed = CHECKSUM_UNNECESSARY;
  }
}

/** What the descriptor says about the packet. @kernel igb_process_skb_fields drivers/net/ethernet/intel/igb/igb_main.c */
function igbProcessSkbFields(ring: IgbRxRing, dev: NetDevice, at: number, skb: SkBuff): void {
  const staterr = dmaView.getInt32(at + IGB_RXD_STATERR, true);
  const info = dmaView.getUint16(at + IGB_RXD_PKT_INFO, true);
  if ((dev.features & NETIF_F_RXHASH) !== 0 && (info & E1000_RXDADV_RSSTYPE_MASK) !== 0) {
    skbSetHash(skb, dmaView.getInt32(at + IGB_RXD_RSS, true), false);
  }
  igbRxChecksum(ring, dev, staterr, skb);
  if ((dev.features & NETIF_F_HW_VLAN_CTAG_RX) !== 0 && (staterr & E1000_RXD_STAT_VP) !== 0) {
    skb.vlanPresent = true;
    skb.vlanProto = ETH_P_8021Q;
    skb.vlanTci = dmaView.getUint16(at + IGB_RXD_VLAN, true);
  }
  skbRecordRxQueue(skb, ring.queueIndex);
  skb.protocol = ethTypeTrans(skb, dev);
}

/** Takes one buffer's part of a frame: the packet so far, or null when memory is short. */
function takeBuffer(
  vector: IgbQVector,
  ring: IgbRxRing,
  buffer: IgbRxBuffer,
  size: number,
): SkBuff | null {
  const { netdev, pdev } = vector.adapter;
  let { skb } = ring;
  const before = skb?.shinfo.nrFrags ?? 0;
  if (skb !== null) {
    // @kernel igb_add_rx_frag
    skbAddRxFrag(skb, before, buffer.page, igbRxOffset(ring), size, SLOT_SIZE);
  } else if (ring.usesBuildSkb) {
    skb = igbBuildSkb(netdev, buffer, size);
  } else {
    skb = igbConstructSkb(vector, buffer, size);
  }
  if (skb === null) return null;
  const unmap = pdev.machine.trace.packet.dmaUnmap;
  if (before === 0 && ring.skb === null && tracepointKey.enabled) {
    unmap.probe?.(skb, buffer.page + igbRxOffset(ring));
  }
  const given = ring.usesBuildSkb || skb.shinfo.nrFrags > before;
  igbPutRxBuffer(pdev, ring, buffer, given);
  return skb;
}

/**
 * Passes on what has arrived, at most `budget` frames; returns how many.
 * @kernel igb_clean_rx_irq drivers/net/ethernet/intel/igb/igb_main.c
 */
export function igbCleanRxIrq(vector: IgbQVector, ring: IgbRxRing, budget: number): number {
  const { netdev } = vector.adapter;
  let packets = 0;
  let bytes = 0;
  let cleaned = igbDescUnused(ring);
  while (packets < budget) {
    if (cleaned >= IGB_RX_BUFFER_WRITE) {
      igbAllocRxBuffers(vector, ring, cleaned);
      cleaned = 0;
    }
    const i = ring.nextToClean;
    const at = ring.desc + i * IGB_DESC_SIZE;
    const size = dmaView.getUint16(at + IGB_RXD_LENGTH, true);
    if (size === 0) break;
    const skb = takeBuffer(vector, ring, ring.bufferInfo[i] as IgbRxBuffer, size);
    if (skb === null) {
      // The descriptor stays as it is, for the next poll.
      ring.allocFailed++;
      break;
    }
    cleaned++;
    ring.nextToClean = i + 1 === ring.count ? 0 : i + 1;
    const staterr = dmaView.getInt32(at + IGB_RXD_STATERR, true);
    // @kernel igb_is_non_eop
    ring.skb = (staterr & E1000_RXD_STAT_EOP) === 0 ? skb : null;
    if (ring.skb !== null) continue;
    // @kernel igb_cleanup_headers
    if ((staterr & E1000_RXDEXT_ERR_FRAME_ERR_MASK) !== 0) {
      devKfreeSkbAny(skb, SKB_DROP_REASON_DEV_HDR);
      continue;
    }
    bytes += skb.len;
    packets++;
    igbProcessSkbFields(ring, netdev, at, skb);
    napiGroReceive(vector.napi, skb);
  }
  ring.packets += packets;
  ring.bytes += bytes;
  vector.rx.totalPackets += packets;
  vector.rx.totalBytes += bytes;
  if (cleaned > 0) igbAllocRxBuffers(vector, ring, cleaned);
  return packets;
}

/** Frees all pages; the chip has been reset. @kernel igb_clean_rx_ring drivers/net/ethernet/intel/igb/igb_main.c */
export function igbCleanRxRing(pdev: PciDev, ring: IgbRxRing): void {
  if (ring.skb !== null) devKfreeSkbAny(ring.skb, SKB_DROP_REASON_NOMEM);
  ring.skb = null;
  for (const buffer of ring.bufferInfo) {
    if (buffer.page === 0) continue;
    unmapPage(pdev, buffer);
    putPage(buffer.page);
    putPage(buffer.other);
    buffer.page = 0;
    buffer.other = 0;
  }
  for (let at = ring.desc; at < ring.desc + ring.size; at += 4) dmaView.setInt32(at, 0, true);
  ring.nextToAlloc = 0;
  ring.nextToClean = 0;
  ring.nextToUse = 0;
}
