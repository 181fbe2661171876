/**
 * Receiving: buffers for the chip, and packets from them. Counterpart of that part of
 * drivers/net/ethernet/intel/e1000/e1000_main.c.
 *
 * A frame of the usual size goes up in the very buffer that the chip has written, and a fresh buffer
 * takes its place; a short one is copied, so that the buffer can stay. Jumbo frames come in pieces of
 * a slot each, which become the fragments of one packet.
 */

import {
  E1000_HEADROOM,
  E1000_RX_BUFFER_WRITE,
  type E1000Adapter,
  type E1000RxBuffer,
  type E1000RxRing,
  e1000DescUnused,
  ew32,
} from '#drivers/net/ethernet/intel/e1000/e1000.ts';
import { dmaMapSingle, dmaUnmapSingle } from '#drivers/pci/dma.ts';
import {
  E1000_DESC_SIZE,
  E1000_RDT,
  E1000_RXD_ERR_FRAME_ERR_MASK,
  E1000_RXD_ERR_TCPE,
  E1000_RXD_ERRORS,
  E1000_RXD_LENGTH,
  E1000_RXD_SPECIAL,
  E1000_RXD_STAT_DD,
  E1000_RXD_STAT_EOP,
  E1000_RXD_STAT_IXSM,
  E1000_RXD_STAT_TCPCS,
  E1000_RXD_STAT_VP,
  E1000_RXD_STATUS,
} from '#hardware/e1000/e1000_regs.ts';
import { DMA_FROM_DEVICE } from '#hardware/pci/iommu.ts';
import { NETIF_F_RXCSUM } from '#include/linux/netdev_features.ts';
import {
  CHECKSUM_NONE,
  CHECKSUM_UNNECESSARY,
  type SkBuff,
  skbReserve,
  skbTailroom,
} from '#include/linux/skbuff.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { dmaView, memops, SLOT_SIZE } from '#mm/memory.ts';
import { kmallocData, putPage } from '#mm/page_alloc.ts';
import { netifRx } from '#net/core/dev_backlog.ts';
import { devKfreeSkbAny } from '#net/core/dev_tx.ts';
import { napiGroReceive } from '#net/core/gro.ts';
import { buildSkb, napiAllocSkb, skbHeadAlign, skbPut } from '#net/core/skbuff.ts';
import { pskbMayPull } from '#net/core/skbuff_copy.ts';
import { skbAddRxFrag } from '#net/core/skbuff_frags.ts';
import { ethTypeTrans } from '#net/ethernet/eth.ts';
import { ETH_HLEN, ETH_P_8021Q } from '#uapi/if_ether.ts';
import { SKB_DROP_REASON_DEV_HDR, SKB_DROP_REASON_NOMEM } from '#uapi/net_dropreason.ts';

/** Where in its unit of memory the chip writes a frame: jumbo pieces need no room for headers. */
function headroom(adapter: E1000Adapter): number {
  return adapter.jumbo ? 0 : E1000_HEADROOM;
}

/** Size for build_skb() of a buffer of the usual size. @kernel e1000_frag_len drivers/net/ethernet/intel/e1000/e1000_main.c */
function e1000FragLen(adapter: E1000Adapter): number {
  return skbHeadAlign(adapter.rxBufferLen + E1000_HEADROOM);
}

/**
 * Gives up to `count` buffers to the chip. When memory is short it gives fewer, and the next poll
 * tries again.
 * @kernel e1000_alloc_rx_buffers drivers/net/ethernet/intel/e1000/e1000_main.c
 */
export function e1000AllocRxBuffers(adapter: E1000Adapter, count: number): void {
  const { rxRing: ring, pdev } = adapter;
  const room = headroom(adapter);
  let i = ring.nextToUse;
  for (let left = count; left > 0; left--) {
    const buffer = ring.bufferInfo[i] as E1000RxBuffer;
    // A buffer whose frame was copied is still there.
    if (buffer.page === 0) {
      const page = kmallocData(SLOT_SIZE);
      if (page === 0) {
        adapter.allocRxBuffFailed++;
        break;
      }
      buffer.page = page;
      buffer.dma = dmaMapSingle(pdev, page + room, adapter.rxBufferLen, DMA_FROM_DEVICE);
    }
    const at = ring.desc + i * E1000_DESC_SIZE;
    dmaView.setUint32(at, buffer.dma, true);
    dmaView.setUint32(at + 4, 0, true);
    i = i + 1 === ring.count ? 0 : i + 1;
  }
  if (ring.nextToUse === i) return;
  ring.nextToUse = i;
  // RDT names the last descriptor that the chip may use.
  ew32(adapter.hw, E1000_RDT, i === 0 ? ring.count - 1 : i - 1);
}

/** The chip has checked; the stack need not. @kernel e1000_rx_checksum drivers/net/ethernet/intel/e1000/e1000_main.c */
function e1000RxChecksum(adapter: E1000Adapter, status: number, errors: number, skb: SkBuff): void {
  skb.ipSummed = CHECKSUM_NONE;
  if ((adapter.netdev.features & NETIF_F_RXCSUM) === 0) return;
  if ((status & E1000_RXD_STAT_IXSM) !== 0) return;
  if ((errors & E1000_RXD_ERR_TCPE) !== 0) {
    // The stack shall find out for itself, and count it.
    adapter.hwCsumErr++;
    return;
  }
  if ((status & E1000_RXD_STAT_TCPCS) === 0) return;
  skb.ipSummed = CHECKSUM_UNNECESSARY;
  adapter.hwCsumGood++;
}

/** Hands a packet to the stack. @kernel e1000_receive_skb drivers/net/ethernet/intel/e1000/e1000_main.c */
function e1000ReceiveSkb(
  adapter: E1000Adapter,
  status: number,
  special: number,
  skb: SkBuff,
): void {
  skb.protocol = ethTypeTrans(skb, adapter.netdev);
  if ((status & E1000_RXD_STAT_VP) !== 0) {
    skb.vlanPresent = true;
    skb.vlanProto = ETH_P_8021Q;
    skb.vlanTci = special;
  }
  if (adapter.polls) napiGroReceive(adapter.napi, skb);
  else netifRx(skb);
}

/** A copy of a short frame; null when it is not short. @kernel e1000_copybreak drivers/net/ethernet/intel/e1000/e1000_main.c */
function e1000Copybreak(adapter: E1000Adapter, addr: number, length: number): SkBuff | null {
  if (length > adapter.copybreak) return null;
  const skb = napiAllocSkb(adapter.napi, length);
  if (skb !== null) memops.copy(skbPut(skb, length), addr, length);
  return skb;
}

/** The packet in a buffer of the usual size: a copy, or the buffer itself. */
function takePacket(adapter: E1000Adapter, buffer: E1000RxBuffer, length: number): SkBuff {
  const copy = e1000Copybreak(adapter, buffer.dma, length);
  if (copy !== null) return copy;
  const { pdev } = adapter;
  dmaUnmapSingle(pdev, buffer.dma, adapter.rxBufferLen, DMA_FROM_DEVICE);
  const skb = buildSkb(pdev.machine, buffer.page, e1000FragLen(adapter));
  buffer.page = 0;
  buffer.dma = 0;
  skb.dev = adapter.netdev;
  skbReserve(skb, E1000_HEADROOM);
  skbPut(skb, length);
  return skb;
}

/** Counters of one poll. */
function account(adapter: E1000Adapter, packets: number, bytes: number): void {
  const { stats } = adapter.netdev;
  adapter.totalRxPackets += packets;
  adapter.totalRxBytes += bytes;
  stats.rxBytes += bytes;
  stats.rxPackets += packets;
}

/**
 * Passes on what has arrived, at most `budget` frames; returns how many.
 * @kernel e1000_clean_rx_irq drivers/net/ethernet/intel/e1000/e1000_main.c
 * @deviation the chip strips the check sequence; Linux takes it off here.
 */
export function e1000CleanRxIrq(adapter: E1000Adapter, budget: number): number {
  const ring = adapter.rxRing;
  let i = ring.nextToClean;
  let work = 0;
  let cleaned = 0;
  let packets = 0;
  let bytes = 0;
  const unmap = adapter.pdev.machine.trace.packet.dmaUnmap;
  while (work < budget) {
    const at = ring.desc + i * E1000_DESC_SIZE;
    const status = dmaView.getUint8(at + E1000_RXD_STATUS);
    if ((status & E1000_RXD_STAT_DD) === 0) break;
    work++;
    const length = dmaView.getUint16(at + E1000_RXD_LENGTH, true);
    const errors = dmaView.getUint8(at + E1000_RXD_ERRORS);
    const special = dmaView.getUint16(at + E1000_RXD_SPECIAL, true);
    dmaView.setUint8(at + E1000_RXD_STATUS, 0);
    const buffer = ring.bufferInfo[i] as E1000RxBuffer;
    i = i + 1 === ring.count ? 0 : i + 1;
    ring.nextToClean = i;
    cleaned++;
    const whole = (status & E1000_RXD_STAT_EOP) !== 0;
    // A frame that did not fit into one buffer is of no use; its buffers stay where they are.
    const bad = adapter.discarding || !whole || (errors & E1000_RXD_ERR_FRAME_ERR_MASK) !== 0;
    adapter.discarding = !whole;
    if (!bad) {
      const { dma } = buffer;
      const skb = takePacket(adapter, buffer, length);
      if (tracepointKey.enabled) unmap.probe?.(skb, dma);
      packets++;
      bytes += length;
      e1000RxChecksum(adapter, status, errors, skb);
      e1000ReceiveSkb(adapter, status, special, skb);
    }
    if (cleaned >= E1000_RX_BUFFER_WRITE) {
      e1000AllocRxBuffers(adapter, cleaned);
      cleaned = 0;
    }
  }
  replenish(adapter, ring);
  account(adapter, packets, bytes);
  return work;
}

function replenish(adapter: E1000Adapter, ring: E1000RxRing): void {
  const unused = e1000DescUnused(ring);
  if (unused > 0) e1000AllocRxBuffers(adapter, unused);
}

/** Adds a piece of a jumbo frame to the packet being put together. */
function takePiece(
  adapter: E1000Adapter,
  buffer: E1000RxBuffer,
  skb: SkBuff,
  length: number,
): void {
  dmaUnmapSingle(adapter.pdev, buffer.dma, adapter.rxBufferLen, DMA_FROM_DEVICE);
  skbAddRxFrag(skb, skb.shinfo.nrFrags, buffer.page, 0, length, SLOT_SIZE);
  buffer.page = 0;
  buffer.dma = 0;
}

/** A jumbo frame is complete: brings its headers to the front and passes it on. */
function finishJumbo(adapter: E1000Adapter, skb: SkBuff, status: number, errors: number): boolean {
  const special = skb.cb0;
  skb.cb0 = 0;
  if ((errors & E1000_RXD_ERR_FRAME_ERR_MASK) !== 0 || !pskbMayPull(skb, ETH_HLEN)) {
    devKfreeSkbAny(skb, SKB_DROP_REASON_DEV_HDR);
    return false;
  }
  e1000RxChecksum(adapter, status, errors, skb);
  e1000ReceiveSkb(adapter, status, special, skb);
  return true;
}

/**
 * The same for jumbo frames.
 * @kernel e1000_clean_jumbo_rx_irq drivers/net/ethernet/intel/e1000/e1000_main.c
 * @deviation a piece is a slot of packet memory, not a page.
 */
export function e1000CleanJumboRxIrq(adapter: E1000Adapter, budget: number): number {
  const ring = adapter.rxRing;
  let i = ring.nextToClean;
  let work = 0;
  let cleaned = 0;
  let packets = 0;
  let bytes = 0;
  while (work < budget) {
    const at = ring.desc + i * E1000_DESC_SIZE;
    const status = dmaView.getUint8(at + E1000_RXD_STATUS);
    if ((status & E1000_RXD_STAT_DD) === 0) break;
    work++;
    const length = dmaView.getUint16(at + E1000_RXD_LENGTH, true);
    const errors = dmaView.getUint8(at + E1000_RXD_ERRORS);
    const special = dmaView.getUint16(at + E1000_RXD_SPECIAL, true);
    dmaView.setUint8(at + E1000_RXD_STATUS, 0);
    const buffer = ring.bufferInfo[i] as E1000RxBuffer;
    i = i + 1 === ring.count ? 0 : i + 1;
    ring.nextToClean = i;
    cleaned++;
    const whole = (status & E1000_RXD_STAT_EOP) !== 0;
    const skb = jumboHead(adapter, ring);
    if (skb === null) {
      adapter.discarding = !whole;
    } else {
      takeJumbo(adapter, buffer, skb, length);
      if (whole) {
        ring.rxSkbTop = null;
        skb.cb0 = special;
        const { len } = skb;
        if (finishJumbo(adapter, skb, status, errors)) {
          packets++;
          bytes += len;
        }
      }
    }
    if (cleaned >= E1000_RX_BUFFER_WRITE) {
      e1000AllocRxBuffers(adapter, cleaned);
      cleaned = 0;
    }
  }
  replenish(adapter, ring);
  account(adapter, packets, bytes);
  return work;
}

/** The packet being put together, or a new one; null while a frame is being thrown away. */
function jumboHead(adapter: E1000Adapter, ring: E1000RxRing): SkBuff | null {
  if (adapter.discarding) return null;
  ring.rxSkbTop ??= napiAllocSkb(adapter.napi, adapter.copybreak);
  return ring.rxSkbTop;
}

/** A short frame is copied to the packet's head; longer ones stay in their buffers. */
function takeJumbo(
  adapter: E1000Adapter,
  buffer: E1000RxBuffer,
  skb: SkBuff,
  length: number,
): void {
  const unmap = adapter.pdev.machine.trace.packet.dmaUnmap;
  if (skb.len === 0 && tracepointKey.enabled) unmap.probe?.(skb, buffer.dma);
  if (skb.len === 0 && length <= adapter.copybreak && skbTailroom(skb) >= length) {
    memops.copy(skbPut(skb, length), buffer.dma, length);
  } else {
    takePiece(adapter, buffer, skb, length);
  }
}

/** Frees all buffers; the chip has been reset. @kernel e1000_clean_rx_ring drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000CleanRxRing(adapter: E1000Adapter): void {
  const ring = adapter.rxRing;
  for (const buffer of ring.bufferInfo) {
    if (buffer.page === 0) continue;
    dmaUnmapSingle(adapter.pdev, buffer.dma, adapter.rxBufferLen, DMA_FROM_DEVICE);
    putPage(buffer.page);
    buffer.page = 0;
    buffer.dma = 0;
  }
  if (ring.rxSkbTop !== null) devKfreeSkbAny(ring.rxSkbTop, SKB_DROP_REASON_NOMEM);
  ring.rxSkbTop = null;
  adapter.discarding = false;
  for (let at = ring.desc; at < ring.desc + ring.size; at += 4) dmaView.setInt32(at, 0, true);
  ring.nextToUse = 0;
  ring.nextToClean = 0;
}
