/**
 * Transmitting: descriptors for packets, and what becomes of them when the packet has left.
 * Counterpart of that part of drivers/net/ethernet/intel/e1000/e1000_main.c.
 *
 * The queue is stopped as soon as the ring could not take any packet that may come, so the driver
 * never has to answer NETDEV_TX_BUSY. The errata that Linux works around are not in the modelled chip.
 */
import {
  __E1000_DOWN,
  E1000_MAX_DATA_PER_TXD,
  E1000_MAX_TXD_PWR,
  type E1000Adapter,
  type E1000TxBuffer,
  type E1000TxRing,
  e1000Adapter,
  e1000DescUnused,
  er32,
  ew32,
} from '#drivers/net/ethernet/intel/e1000/e1000.ts';
import { dmaMapSingle, dmaUnmapSingle } from '#drivers/pci/dma.ts';
import {
  E1000_DESC_SIZE,
  E1000_STATUS,
  E1000_STATUS_TXOFF,
  E1000_TDT,
  E1000_TXC_CMD_LENGTH,
  E1000_TXC_HDR_LEN,
  E1000_TXC_IPCSE,
  E1000_TXC_IPCSO,
  E1000_TXC_IPCSS,
  E1000_TXC_MSS,
  E1000_TXC_STATUS,
  E1000_TXC_TUCSE,
  E1000_TXC_TUCSO,
  E1000_TXC_TUCSS,
  E1000_TXD_CMD_DEXT,
  E1000_TXD_CMD_IFCS,
  E1000_TXD_CMD_IP,
  E1000_TXD_CMD_TCP,
  E1000_TXD_CMD_TSE,
  E1000_TXD_CMD_VLE,
  E1000_TXD_DTYP_D,
  E1000_TXD_LOWER,
  E1000_TXD_POPTS_IXSM,
  E1000_TXD_POPTS_TXSM,
  E1000_TXD_STAT_DD,
  E1000_TXD_UPPER,
} from '#hardware/e1000/e1000_regs.ts';
import { DMA_TO_DEVICE } from '#hardware/pci/iommu.ts';
import {
  NETDEV_TX_BUSY,
  NETDEV_TX_OK,
  type NetDevice,
  netdevGetTxQueue,
  netdevXmitMore,
  netifCarrierOk,
  netifQueueStopped,
  netifStopQueue,
  netifXmitStopped,
} from '#include/linux/netdevice.ts';
import {
  CHECKSUM_PARTIAL,
  MAX_SKB_FRAGS,
  type SkBuff,
  skbChecksumStartOffset,
  skbFragAddress,
  skbFragSize,
  skbHeadlen,
  skbIsGso,
  skbNetworkOffset,
  skbTransportOffset,
} from '#include/linux/skbuff.ts';
import { HZ } from '#kernel/param.ts';
import { timeAfter } from '#kernel/time/jiffies.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { csumTcpudpMagic } from '#lib/checksum.ts';
import { dmaView, view } from '#mm/memory.ts';
import {
  devKfreeSkbAny,
  napiConsumeSkb,
  netdevCompletedQueue,
  netdevResetQueue,
  netdevSentQueue,
  netifWakeQueue,
} from '#net/core/dev_tx.ts';
import { skbCowHead } from '#net/core/skbuff_copy.ts';
import { skbTxTimestamp } from '#net/core/skbuff_tstamp.ts';
import { ethSkbPad } from '#net/ethernet/eth.ts';
import { ETH_P_IP } from '#uapi/if_ether.ts';
import { IPPROTO_TCP } from '#uapi/in.ts';
import { iphdr } from '#uapi/ip.ts';
import { SKB_DROP_REASON_NOMEM, SKB_DROP_REASON_QUEUE_PURGE } from '#uapi/net_dropreason.ts';
import { tcphdr } from '#uapi/tcp.ts';

// What a packet wants done to it.
const E1000_TX_FLAGS_CSUM = 0x1;
const E1000_TX_FLAGS_VLAN = 0x2;
const E1000_TX_FLAGS_TSO = 0x4;
const E1000_TX_FLAGS_IPV4 = 0x8;

/** Offsets of the checksum field in IPv4 and TCP headers. */
const IP_CHECK = 10;
const TCP_CHECK = 16;

/**
 * Descriptors that the longest packet can need: a context, 64 KB in pieces, one piece more for each
 * fragment and the head, and two that keep the tail from touching the head.
 */
const DESC_NEEDED: number = 1 + (65536 >> E1000_MAX_TXD_PWR) + (MAX_SKB_FRAGS + 1) + 2;

/** @kernel TXD_USE_COUNT drivers/net/ethernet/intel/e1000/e1000_main.c */
function txdUseCount(size: number): number {
  return (size + E1000_MAX_DATA_PER_TXD - 1) >> E1000_MAX_TXD_PWR;
}

/** Fills a context descriptor; the chip keeps its offsets until the next. */
function putContext(ring: E1000TxRing, ipcss: number, ipcse: number, tucss: number): number {
  const i = ring.nextToUse;
  const at = ring.desc + i * E1000_DESC_SIZE;
  dmaView.setUint8(at + E1000_TXC_IPCSS, ipcss);
  dmaView.setUint8(at + E1000_TXC_IPCSO, ipcss + IP_CHECK);
  dmaView.setUint16(at + E1000_TXC_IPCSE, ipcse, true);
  dmaView.setUint8(at + E1000_TXC_TUCSS, tucss);
  dmaView.setUint16(at + E1000_TXC_TUCSE, 0, true);
  dmaView.setUint8(at + E1000_TXC_STATUS, 0);
  const buffer = ring.bufferInfo[i] as E1000TxBuffer;
  buffer.nextToWatch = i;
  ring.nextToUse = i + 1 === ring.count ? 0 : i + 1;
  return at;
}

/** Has the chip segment the packet: 1 done, 0 not wanted, negative errno. @kernel e1000_tso drivers/net/ethernet/intel/e1000/e1000_main.c */
function e1000Tso(ring: E1000TxRing, skb: SkBuff): number {
  if (!skbIsGso(skb)) return 0;
  const err = skbCowHead(skb, 0);
  if (err < 0) return err;
  const mss = skb.shinfo.gsoSize;
  const ip = skb.networkHeader;
  const th = skb.transportHeader;
  const hdrLen = skbTransportOffset(skb) + tcphdr.doff(view, th) * 4;
  // The chip fills in what differs from segment to segment: lengths, and with them the checksums.
  iphdr.setTotLen(view, ip, 0);
  iphdr.setCheck(view, ip, 0);
  const pseudo = csumTcpudpMagic(iphdr.saddr(view, ip), iphdr.daddr(view, ip), 0, IPPROTO_TCP, 0);
  tcphdr.setCheck(view, th, ~pseudo & 0xffff);
  const tucss = skbTransportOffset(skb);
  const at = putContext(ring, skbNetworkOffset(skb), tucss - 1, tucss);
  const command =
    E1000_TXD_CMD_DEXT |
    E1000_TXD_CMD_TSE |
    E1000_TXD_CMD_IP |
    E1000_TXD_CMD_TCP |
    (skb.len - hdrLen);
  dmaView.setUint8(at + E1000_TXC_TUCSO, tucss + TCP_CHECK);
  dmaView.setInt32(at + E1000_TXC_CMD_LENGTH, command, true);
  dmaView.setUint8(at + E1000_TXC_HDR_LEN, hdrLen);
  dmaView.setUint16(at + E1000_TXC_MSS, mss, true);
  return 1;
}

/** Has the chip put the checksum in. @kernel e1000_tx_csum drivers/net/ethernet/intel/e1000/e1000_main.c */
function e1000TxCsum(ring: E1000TxRing, skb: SkBuff): boolean {
  if (skb.ipSummed !== CHECKSUM_PARTIAL) return false;
  const isTcp =
    skb.protocol === ETH_P_IP && iphdr.protocol(view, skb.networkHeader) === IPPROTO_TCP;
  const css = skbChecksumStartOffset(skb);
  const at = putContext(ring, 0, 0, css);
  dmaView.setUint8(at + E1000_TXC_TUCSO, css + skb.csumOffset);
  const command = E1000_TXD_CMD_DEXT | (isTcp ? E1000_TXD_CMD_TCP : 0);
  dmaView.setInt32(at + E1000_TXC_CMD_LENGTH, command, true);
  dmaView.setUint8(at + E1000_TXC_HDR_LEN, 0);
  dmaView.setUint16(at + E1000_TXC_MSS, 0, true);
  return true;
}

/** Maps `size` bytes, in pieces that a descriptor can hold. Returns the index behind the last. */
function mapPieces(
  adapter: E1000Adapter,
  ring: E1000TxRing,
  addr: number,
  size: number,
  start: number,
): number {
  const { jiffies } = adapter.pdev.machine;
  let i = start;
  for (let done = 0; done < size; ) {
    const n = Math.min(size - done, E1000_MAX_DATA_PER_TXD);
    const buffer = ring.bufferInfo[i] as E1000TxBuffer;
    buffer.length = n;
    buffer.dma = dmaMapSingle(adapter.pdev, addr + done, n, DMA_TO_DEVICE);
    // Zero means free, and does come up when the clock wraps.
    buffer.timeStamp = jiffies === 0 ? 1 : jiffies;
    buffer.nextToWatch = i;
    i = i + 1 === ring.count ? 0 : i + 1;
    done += n;
  }
  return i;
}

/** Maps the packet; returns how many descriptors hold its data. @kernel e1000_tx_map drivers/net/ethernet/intel/e1000/e1000_main.c */
function e1000TxMap(adapter: E1000Adapter, ring: E1000TxRing, skb: SkBuff, first: number): number {
  const { shinfo } = skb;
  const headLen = skbHeadlen(skb);
  const start = ring.nextToUse;
  if (tracepointKey.enabled) adapter.pdev.machine.trace.packet.dmaMap.probe?.(skb, skb.data);
  let i = mapPieces(adapter, ring, skb.data, headLen, start);
  for (let f = 0; f < shinfo.nrFrags; f++) {
    i = mapPieces(adapter, ring, skbFragAddress(shinfo, f), skbFragSize(shinfo, f), i);
  }
  const count = i >= start ? i - start : i - start + ring.count;
  const last = i === 0 ? ring.count - 1 : i - 1;
  const end = ring.bufferInfo[last] as E1000TxBuffer;
  const segs = shinfo.gsoSegs === 0 ? 1 : shinfo.gsoSegs;
  end.skb = skb;
  end.segs = segs;
  end.bytecount = (segs - 1) * headLen + skb.len;
  (ring.bufferInfo[first] as E1000TxBuffer).nextToWatch = last;
  return count;
}

/** Writes the descriptors of a mapped packet. @kernel e1000_tx_queue drivers/net/ethernet/intel/e1000/e1000_main.c */
function e1000TxQueue(
  adapter: E1000Adapter,
  ring: E1000TxRing,
  flags: number,
  count: number,
  vlanTci: number,
): void {
  let lower = E1000_TXD_CMD_IFCS;
  let upper = 0;
  if ((flags & E1000_TX_FLAGS_TSO) !== 0) {
    lower |= E1000_TXD_CMD_DEXT | E1000_TXD_DTYP_D | E1000_TXD_CMD_TSE;
    upper |= E1000_TXD_POPTS_TXSM << 8;
    if ((flags & E1000_TX_FLAGS_IPV4) !== 0) upper |= E1000_TXD_POPTS_IXSM << 8;
  } else if ((flags & E1000_TX_FLAGS_CSUM) !== 0) {
    lower |= E1000_TXD_CMD_DEXT | E1000_TXD_DTYP_D;
    upper |= E1000_TXD_POPTS_TXSM << 8;
  }
  if ((flags & E1000_TX_FLAGS_VLAN) !== 0) {
    lower |= E1000_TXD_CMD_VLE;
    upper |= vlanTci << 16;
  }
  let i = ring.nextToUse;
  let at = 0;
  for (let n = 0; n < count; n++) {
    const buffer = ring.bufferInfo[i] as E1000TxBuffer;
    at = ring.desc + i * E1000_DESC_SIZE;
    dmaView.setUint32(at, buffer.dma, true);
    dmaView.setUint32(at + 4, 0, true);
    dmaView.setInt32(at + E1000_TXD_LOWER, lower | buffer.length, true);
    dmaView.setInt32(at + E1000_TXD_UPPER, upper, true);
    i = i + 1 === ring.count ? 0 : i + 1;
  }
  const last = dmaView.getInt32(at + E1000_TXD_LOWER, true);
  dmaView.setInt32(at + E1000_TXD_LOWER, last | adapter.txdCmd, true);
  ring.nextToUse = i;
}

/** Stops the queue unless `size` descriptors are free; true: it has. @kernel e1000_maybe_stop_tx drivers/net/ethernet/intel/e1000/e1000_main.c */
function e1000MaybeStopTx(netdev: NetDevice, ring: E1000TxRing, size: number): boolean {
  if (e1000DescUnused(ring) >= size) return false;
  netifStopQueue(netdev);
  return true;
}

/** Descriptors that a packet takes: a context, its pieces, two to keep the tail from the head. */
function descNeeded(skb: SkBuff): number {
  const { shinfo } = skb;
  let count = 3 + txdUseCount(skbHeadlen(skb));
  for (let f = 0; f < shinfo.nrFrags; f++) count += txdUseCount(skbFragSize(shinfo, f));
  return count;
}

/**
 * Takes a packet. The queue is stopped in time, so there is room, unless a caller ignores that it is.
 * @kernel e1000_xmit_frame drivers/net/ethernet/intel/e1000/e1000_main.c
 */
export function e1000XmitFrame(skb: SkBuff, netdev: NetDevice): number {
  const adapter = e1000Adapter(netdev);
  const ring = adapter.txRing;
  // The chip would do so too, but may send other bytes than zeros.
  if (ethSkbPad(skb) !== 0) return NETDEV_TX_OK;
  if (e1000MaybeStopTx(netdev, ring, descNeeded(skb))) return NETDEV_TX_BUSY;
  const first = ring.nextToUse;
  const tso = e1000Tso(ring, skb);
  if (tso < 0) {
    netdev.stats.txDropped++;
    devKfreeSkbAny(skb, SKB_DROP_REASON_NOMEM);
    return NETDEV_TX_OK;
  }
  let flags = 0;
  if (tso > 0) flags |= E1000_TX_FLAGS_TSO;
  else if (e1000TxCsum(ring, skb)) flags |= E1000_TX_FLAGS_CSUM;
  if (skb.protocol === ETH_P_IP) flags |= E1000_TX_FLAGS_IPV4;
  if (skb.vlanPresent) flags |= E1000_TX_FLAGS_VLAN;
  const count = e1000TxMap(adapter, ring, skb, first);
  skbTxTimestamp(skb);
  netdevSentQueue(netdev, skb.len);
  e1000TxQueue(adapter, ring, flags, count, skb.vlanTci);
  e1000MaybeStopTx(netdev, ring, DESC_NEEDED);
  if (!netdevXmitMore(netdev) || netifXmitStopped(netdevGetTxQueue(netdev, 0))) {
    ew32(adapter.hw, E1000_TDT, ring.nextToUse);
  }
  return NETDEV_TX_OK;
}

/** Lets go of what an entry holds. @kernel e1000_unmap_and_free_tx_resource drivers/net/ethernet/intel/e1000/e1000_main.c */
function e1000UnmapAndFreeTxResource(
  adapter: E1000Adapter,
  buffer: E1000TxBuffer,
  sent: boolean,
  budget: number,
): void {
  if (buffer.dma !== 0) {
    dmaUnmapSingle(adapter.pdev, buffer.dma, buffer.length, DMA_TO_DEVICE);
    buffer.dma = 0;
  }
  const { skb } = buffer;
  if (skb !== null) {
    buffer.skb = null;
    if (sent) napiConsumeSkb(skb, budget);
    else devKfreeSkbAny(skb, SKB_DROP_REASON_QUEUE_PURGE);
  }
  buffer.timeStamp = 0;
}

/** True when the chip has written the descriptor back. */
function descDone(ring: E1000TxRing, i: number): boolean {
  const at = ring.desc + i * E1000_DESC_SIZE;
  return (dmaView.getUint8(at + E1000_TXD_UPPER) & E1000_TXD_STAT_DD) !== 0;
}

/**
 * Frees packets that have left. False: there were as many as the ring has entries, look again.
 * @kernel e1000_clean_tx_irq drivers/net/ethernet/intel/e1000/e1000_main.c
 */
export function e1000CleanTxIrq(adapter: E1000Adapter, budget: number): boolean {
  const { netdev, txRing: ring } = adapter;
  let i = ring.nextToClean;
  let eop = (ring.bufferInfo[i] as E1000TxBuffer).nextToWatch;
  let count = 0;
  let packets = 0;
  let bytes = 0;
  let bytesCompl = 0;
  let pktsCompl = 0;
  while (i !== ring.nextToUse && descDone(ring, eop) && count < ring.count) {
    for (let cleaned = false; !cleaned; count++) {
      const buffer = ring.bufferInfo[i] as E1000TxBuffer;
      cleaned = i === eop;
      if (buffer.skb !== null) {
        packets += buffer.segs;
        bytes += buffer.bytecount;
        bytesCompl += buffer.skb.len;
        pktsCompl++;
      }
      e1000UnmapAndFreeTxResource(adapter, buffer, true, budget);
      dmaView.setInt32(ring.desc + i * E1000_DESC_SIZE + E1000_TXD_UPPER, 0, true);
      i = i + 1 === ring.count ? 0 : i + 1;
    }
    eop = (ring.bufferInfo[i] as E1000TxBuffer).nextToWatch;
  }
  ring.nextToClean = i;
  netdevCompletedQueue(netdev, pktsCompl, bytesCompl);
  if (count > 0 && netifCarrierOk(netdev) && e1000DescUnused(ring) >= DESC_NEEDED) {
    if (netifQueueStopped(netdev) && (adapter.flags & __E1000_DOWN) === 0) {
      netifWakeQueue(netdev);
      adapter.restartQueue++;
    }
  }
  if (adapter.detectTxHung) e1000DetectTxHung(adapter, ring, eop);
  adapter.totalTxBytes += bytes;
  adapter.totalTxPackets += packets;
  netdev.stats.txBytes += bytes;
  netdev.stats.txPackets += packets;
  return count < ring.count;
}

/** Has the chip stood still since long ago? Then nothing more is given to it. */
function e1000DetectTxHung(adapter: E1000Adapter, ring: E1000TxRing, eop: number): void {
  adapter.detectTxHung = false;
  const { timeStamp } = ring.bufferInfo[eop] as E1000TxBuffer;
  const limit = (timeStamp + adapter.txTimeoutFactor * HZ) | 0;
  if (timeStamp === 0 || !timeAfter(adapter.pdev.machine.jiffies, limit)) return;
  if ((er32(adapter.hw, E1000_STATUS) & E1000_STATUS_TXOFF) !== 0) return;
  adapter.txHangCount++;
  netifStopQueue(adapter.netdev);
}

/** Throws away what the ring holds; the chip has been reset. @kernel e1000_clean_tx_ring drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000CleanTxRing(adapter: E1000Adapter): void {
  const ring = adapter.txRing;
  for (const buffer of ring.bufferInfo) e1000UnmapAndFreeTxResource(adapter, buffer, false, 0);
  netdevResetQueue(adapter.netdev);
  for (let at = ring.desc; at < ring.desc + ring.size; at += 4) dmaView.setInt32(at, 0, true);
  ring.nextToUse = 0;
  ring.nextToClean = 0;
}
