/**
 * Transmitting: descriptors for packets, and what becomes of them when the packet has left.
 * Counterpart of that part of drivers/net/ethernet/intel/igb/igb_main.c.
 *
 * The queue is stopped as soon as the ring could not take any packet that may come, so the driver
 * never has to answer NETDEV_TX_BUSY.
 */
import { rd32, wr32 } from '#drivers/net/ethernet/intel/igb/e1000_hw.ts';
import {
  __IGB_DOWN,
  DESC_NEEDED,
  IGB_MAX_DATA_PER_TXD,
  IGB_MAX_TXD_PWR,
  IGB_TX_FLAGS_CSUM,
  IGB_TX_FLAGS_IPV4,
  IGB_TX_FLAGS_TSO,
  IGB_TX_FLAGS_VLAN,
  IGB_TX_FLAGS_VLAN_MASK,
  IGB_TX_FLAGS_VLAN_SHIFT,
  type IgbAdapter,
  type IgbQVector,
  type IgbTxBuffer,
  type IgbTxRing,
  igbAdapter,
  igbDescUnused,
  TX_WAKE_THRESHOLD,
} from '#drivers/net/ethernet/intel/igb/igb.ts';
import { dmaMapSingle, dmaUnmapSingle } from '#drivers/pci/dma.ts';
import { E1000_STATUS, E1000_STATUS_TXOFF, E1000_TXD_STAT_DD } from '#hardware/e1000/e1000_regs.ts';
import {
  E1000_ADVTXD_DCMD_DEXT,
  E1000_ADVTXD_DCMD_EOP,
  E1000_ADVTXD_DCMD_IFCS,
  E1000_ADVTXD_DCMD_RS,
  E1000_ADVTXD_DCMD_TSE,
  E1000_ADVTXD_DCMD_VLE,
  E1000_ADVTXD_DTYP_CTXT,
  E1000_ADVTXD_DTYP_DATA,
  E1000_ADVTXD_L4LEN_SHIFT,
  E1000_ADVTXD_MACLEN_SHIFT,
  E1000_ADVTXD_MSS_SHIFT,
  E1000_ADVTXD_PAYLEN_SHIFT,
  E1000_ADVTXD_POPTS_IXSM,
  E1000_ADVTXD_POPTS_TXSM,
  E1000_ADVTXD_TUCMD_IPV4,
  E1000_ADVTXD_TUCMD_L4T_TCP,
  E1000_ADVTXD_TUCMD_L4T_UDP,
  IGB_DESC_SIZE,
  IGB_Q_DT,
  IGB_TXC_MSS_L4LEN_IDX,
  IGB_TXC_SEQNUM_SEED,
  IGB_TXC_TYPE_TUCMD_MLHL,
  IGB_TXC_VLAN_MACIP_LENS,
  IGB_TXD_CMD_TYPE_LEN,
  IGB_TXD_OLINFO_STATUS,
  txQueueBase,
} from '#hardware/igb/igb_regs.ts';
import { DMA_TO_DEVICE } from '#hardware/pci/iommu.ts';
import {
  NETIF_F_GSO_UDP_L4,
  NETIF_F_HW_CSUM,
  NETIF_F_HW_VLAN_CTAG_TX,
  NETIF_F_TSO,
  NETIF_F_TSO6,
} from '#include/linux/netdev_features.ts';
import {
  NETDEV_TX_BUSY,
  NETDEV_TX_OK,
  type NetDevice,
  netdevGetTxQueue,
  netdevXmitMore,
  netifCarrierOk,
  netifTxQueueStopped,
  netifTxStopQueue,
  netifXmitStopped,
} from '#include/linux/netdevice.ts';
import {
  CHECKSUM_PARTIAL,
  SKB_GSO_UDP_L4,
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
import { csumReplaceByDiff } from '#lib/checksum.ts';
import { dmaView, view } from '#mm/memory.ts';
import {
  devKfreeSkbAny,
  napiConsumeSkb,
  netdevTxCompletedQueue,
  netdevTxResetQueue,
  netdevTxSentQueue,
  netifTxWakeQueue,
} from '#net/core/dev_tx.ts';
import { skbChecksumHelp } from '#net/core/skbuff_checksum.ts';
import { skbCowHead, skbPutPadto } from '#net/core/skbuff_copy.ts';
import { skbTxTimestamp } from '#net/core/skbuff_tstamp.ts';
import { iphdr } from '#uapi/ip.ts';
import {
  SKB_DROP_REASON_DEV_READY,
  SKB_DROP_REASON_NOMEM,
  SKB_DROP_REASON_QUEUE_PURGE,
} from '#uapi/net_dropreason.ts';
import { tcphdr } from '#uapi/tcp.ts';
import { udphdr } from '#uapi/udp.ts';

/** Offset of the checksum field in TCP's and in UDP's header. */
const TCP_CHECK_OFFSET = 16;
const UDP_CHECK_OFFSET = 6;
const IPVERSION = 4;
/** The longest headers that a context descriptor can tell of. */
const IGB_MAX_MAC_HDR_LEN = 127;
const IGB_MAX_NETWORK_HDR_LEN = 511;

/** @kernel TXD_USE_COUNT drivers/net/ethernet/intel/igb/igb.h */
function txdUseCount(size: number): number {
  return (size + IGB_MAX_DATA_PER_TXD - 1) >> IGB_MAX_TXD_PWR;
}

/** Fills a context descriptor; the chip keeps it until the next. @kernel igb_tx_ctxtdesc drivers/net/ethernet/intel/igb/igb_main.c */
function igbTxCtxtdesc(
  ring: IgbTxRing,
  vlanMacipLens: number,
  typeTucmd: number,
  mssL4lenIdx: number,
): void {
  const i = ring.nextToUse;
  const at = ring.desc + i * IGB_DESC_SIZE;
  ring.nextToUse = i + 1 === ring.count ? 0 : i + 1;
  const types = typeTucmd | E1000_ADVTXD_DCMD_DEXT | E1000_ADVTXD_DTYP_CTXT;
  dmaView.setInt32(at + IGB_TXC_VLAN_MACIP_LENS, vlanMacipLens, true);
  dmaView.setInt32(at + IGB_TXC_SEQNUM_SEED, 0, true);
  dmaView.setInt32(at + IGB_TXC_TYPE_TUCMD_MLHL, types, true);
  dmaView.setInt32(at + IGB_TXC_MSS_L4LEN_IDX, mssL4lenIdx, true);
}

/**
 * Has the chip segment the packet: the length of its headers, 0 when it is not wanted, or a negative
 * errno. @kernel igb_tso drivers/net/ethernet/intel/igb/igb_main.c
 */
function igbTso(ring: IgbTxRing, first: IgbTxBuffer, skb: SkBuff): number {
  if (skb.ipSummed !== CHECKSUM_PARTIAL || !skbIsGso(skb)) return 0;
  const err = skbCowHead(skb, 0);
  if (err < 0) return err;
  const { shinfo } = skb;
  const ip = skb.networkHeader;
  let typeTucmd = E1000_ADVTXD_TUCMD_L4T_TCP;
  // The chip fills in what differs from segment to segment: lengths, and with them the checksums.
  // The pseudo-header's sum that stands in the check field, no complement, is made free of its length.
  if (iphdr.version(view, ip) === IPVERSION) {
    iphdr.setCheck(view, ip, 0);
    iphdr.setTotLen(view, ip, 0);
    typeTucmd |= E1000_ADVTXD_TUCMD_IPV4;
    first.txFlags |= IGB_TX_FLAGS_TSO | IGB_TX_FLAGS_CSUM | IGB_TX_FLAGS_IPV4;
  } else {
    first.txFlags |= IGB_TX_FLAGS_TSO | IGB_TX_FLAGS_CSUM;
  }
  const l4 = skb.transportHeader;
  const l4Offset = skbTransportOffset(skb);
  const payload = skb.len - l4Offset;
  let l4Len: number;
  if ((shinfo.gsoType & SKB_GSO_UDP_L4) !== 0) {
    typeTucmd = (typeTucmd & ~E1000_ADVTXD_TUCMD_L4T_TCP) | E1000_ADVTXD_TUCMD_L4T_UDP;
    l4Len = udphdr.LEN;
    udphdr.setCheck(view, l4, csumReplaceByDiff(udphdr.check(view, l4), payload));
  } else {
    l4Len = tcphdr.doff(view, l4) * 4;
    tcphdr.setCheck(view, l4, csumReplaceByDiff(tcphdr.check(view, l4), payload));
  }
  const hdrLen = l4Offset + l4Len;
  first.gsoSegs = shinfo.gsoSegs;
  first.bytecount += (first.gsoSegs - 1) * hdrLen;
  const mss = (l4Len << E1000_ADVTXD_L4LEN_SHIFT) | (shinfo.gsoSize << E1000_ADVTXD_MSS_SHIFT);
  const lens =
    (l4Offset - skbNetworkOffset(skb)) |
    (skbNetworkOffset(skb) << E1000_ADVTXD_MACLEN_SHIFT) |
    (first.txFlags & IGB_TX_FLAGS_VLAN_MASK);
  igbTxCtxtdesc(ring, lens, typeTucmd, mss);
  return hdrLen;
}

/** Has the chip put the checksum or the tag in. @kernel igb_tx_csum drivers/net/ethernet/intel/igb/igb_main.c */
function igbTxCsum(ring: IgbTxRing, first: IgbTxBuffer, skb: SkBuff): void {
  let lens = 0;
  let typeTucmd = 0;
  let wanted = skb.ipSummed === CHECKSUM_PARTIAL;
  if (wanted) {
    if (skb.csumOffset === TCP_CHECK_OFFSET) typeTucmd = E1000_ADVTXD_TUCMD_L4T_TCP;
    else if (skb.csumOffset !== UDP_CHECK_OFFSET) {
      skbChecksumHelp(skb);
      wanted = false;
    }
  }
  if (wanted) {
    first.txFlags |= IGB_TX_FLAGS_CSUM;
    lens = skbChecksumStartOffset(skb) - skbNetworkOffset(skb);
  } else if ((first.txFlags & IGB_TX_FLAGS_VLAN) === 0) {
    return;
  }
  lens |= skbNetworkOffset(skb) << E1000_ADVTXD_MACLEN_SHIFT;
  lens |= first.txFlags & IGB_TX_FLAGS_VLAN_MASK;
  igbTxCtxtdesc(ring, lens, typeTucmd, 0);
}

/** @kernel igb_tx_cmd_type drivers/net/ethernet/intel/igb/igb_main.c */
function igbTxCmdType(txFlags: number): number {
  let command = E1000_ADVTXD_DTYP_DATA | E1000_ADVTXD_DCMD_DEXT | E1000_ADVTXD_DCMD_IFCS;
  if ((txFlags & IGB_TX_FLAGS_VLAN) !== 0) command |= E1000_ADVTXD_DCMD_VLE;
  if ((txFlags & IGB_TX_FLAGS_TSO) !== 0) command |= E1000_ADVTXD_DCMD_TSE;
  return command;
}

/** @kernel igb_tx_olinfo_status drivers/net/ethernet/intel/igb/igb_main.c */
function igbTxOlinfoStatus(txFlags: number, paylen: number): number {
  let olinfo = paylen << E1000_ADVTXD_PAYLEN_SHIFT;
  if ((txFlags & IGB_TX_FLAGS_CSUM) !== 0) olinfo |= E1000_ADVTXD_POPTS_TXSM;
  if ((txFlags & IGB_TX_FLAGS_IPV4) !== 0) olinfo |= E1000_ADVTXD_POPTS_IXSM;
  return olinfo;
}

/** Maps `size` bytes and writes their descriptors, from index `start`. Returns the index behind the last. */
function putPieces(
  adapter: IgbAdapter,
  ring: IgbTxRing,
  addr: number,
  size: number,
  start: number,
  command: number,
  olinfo: number,
): number {
  let i = start;
  for (let done = 0; done < size; ) {
    const n = Math.min(size - done, IGB_MAX_DATA_PER_TXD);
    const buffer = ring.bufferInfo[i] as IgbTxBuffer;
    buffer.len = n;
    buffer.dma = dmaMapSingle(adapter.pdev, addr + done, n, DMA_TO_DEVICE);
    const at = ring.desc + i * IGB_DESC_SIZE;
    dmaView.setUint32(at, buffer.dma, true);
    dmaView.setUint32(at + 4, 0, true);
    dmaView.setInt32(at + IGB_TXD_CMD_TYPE_LEN, command | n, true);
    dmaView.setInt32(at + IGB_TXD_OLINFO_STATUS, olinfo, true);
    i = i + 1 === ring.count ? 0 : i + 1;
    done += n;
  }
  return i;
}

/** Gives the packet's pieces to the chip. @kernel igb_tx_map drivers/net/ethernet/intel/igb/igb_main.c */
function igbTxMap(
  adapter: IgbAdapter,
  ring: IgbTxRing,
  first: IgbTxBuffer,
  skb: SkBuff,
  hdrLen: number,
): void {
  const { netdev, pdev } = adapter;
  const { shinfo } = skb;
  const command = igbTxCmdType(first.txFlags);
  const olinfo = igbTxOlinfoStatus(first.txFlags, skb.len - hdrLen);
  if (tracepointKey.enabled) pdev.machine.trace.packet.dmaMap.probe?.(skb, skb.data);
  let i = ring.nextToUse;
  i = putPieces(adapter, ring, skb.data, skbHeadlen(skb), i, command, olinfo);
  for (let f = 0; f < shinfo.nrFrags; f++) {
    i = putPieces(
      adapter,
      ring,
      skbFragAddress(shinfo, f),
      skbFragSize(shinfo, f),
      i,
      command,
      olinfo,
    );
  }
  const last = i === 0 ? ring.count - 1 : i - 1;
  const at = ring.desc + last * IGB_DESC_SIZE + IGB_TXD_CMD_TYPE_LEN;
  const end = E1000_ADVTXD_DCMD_EOP | E1000_ADVTXD_DCMD_RS;
  dmaView.setInt32(at, dmaView.getInt32(at, true) | end, true);
  const txq = netdevGetTxQueue(netdev, ring.queueIndex);
  netdevTxSentQueue(txq, first.bytecount);
  first.timeStamp = pdev.machine.jiffies;
  skbTxTimestamp(skb);
  first.nextToWatch = last;
  ring.nextToUse = i;
  igbMaybeStopTx(netdev, ring, DESC_NEEDED);
  if (netifXmitStopped(txq) || !netdevXmitMore(netdev)) {
    wr32(adapter.hw, txQueueBase(ring.queueIndex) + IGB_Q_DT, i);
  }
}

/** Stops the queue unless `size` descriptors are free; true: it has. @kernel igb_maybe_stop_tx drivers/net/ethernet/intel/igb/igb_main.c */
function igbMaybeStopTx(netdev: NetDevice, ring: IgbTxRing, size: number): boolean {
  if (igbDescUnused(ring) >= size) return false;
  netifTxStopQueue(netdevGetTxQueue(netdev, ring.queueIndex));
  return true;
}

/** Descriptors that a packet takes: a context, its pieces, two to keep the tail from the head. */
function descNeeded(skb: SkBuff): number {
  const { shinfo } = skb;
  let count = 3 + txdUseCount(skbHeadlen(skb));
  for (let f = 0; f < shinfo.nrFrags; f++) count += txdUseCount(skbFragSize(shinfo, f));
  return count;
}

/** Takes a packet to one ring. @kernel igb_xmit_frame_ring drivers/net/ethernet/intel/igb/igb_main.c */
function igbXmitFrameRing(adapter: IgbAdapter, ring: IgbTxRing, skb: SkBuff): number {
  const { netdev } = adapter;
  if (igbMaybeStopTx(netdev, ring, descNeeded(skb))) return NETDEV_TX_BUSY;
  const first = ring.bufferInfo[ring.nextToUse] as IgbTxBuffer;
  first.skb = skb;
  first.bytecount = skb.len;
  first.gsoSegs = 1;
  first.txFlags = 0;
  if (skb.vlanPresent) {
    first.txFlags = IGB_TX_FLAGS_VLAN | (skb.vlanTci << IGB_TX_FLAGS_VLAN_SHIFT);
  }
  const hdrLen = igbTso(ring, first, skb);
  if (hdrLen < 0) {
    first.skb = null;
    netdev.stats.txDropped++;
    devKfreeSkbAny(skb, SKB_DROP_REASON_NOMEM);
    return NETDEV_TX_OK;
  }
  if (hdrLen === 0) igbTxCsum(ring, first, skb);
  igbTxMap(adapter, ring, first, skb, hdrLen);
  return NETDEV_TX_OK;
}

/** What the context descriptor has no room for is done in software. @kernel igb_features_check drivers/net/ethernet/intel/igb/igb_main.c */
export function igbFeaturesCheck(skb: SkBuff, _dev: NetDevice, features: number): number {
  const offloads = NETIF_F_HW_CSUM | NETIF_F_GSO_UDP_L4 | NETIF_F_TSO | NETIF_F_TSO6;
  if (skb.networkHeader < 0) return features;
  if (skbNetworkOffset(skb) > IGB_MAX_MAC_HDR_LEN) {
    return features & ~(offloads | NETIF_F_HW_VLAN_CTAG_TX);
  }
  if (skb.ipSummed !== CHECKSUM_PARTIAL) return features;
  const networkLen = skbChecksumStartOffset(skb) - skbNetworkOffset(skb);
  return networkLen > IGB_MAX_NETWORK_HDR_LEN ? features & ~offloads : features;
}

/** Octets below which the chip's own padding is not to be relied on. */
const IGB_MIN_TX_LEN = 17;

/** @kernel igb_xmit_frame drivers/net/ethernet/intel/igb/igb_main.c */
export function igbXmitFrame(skb: SkBuff, netdev: NetDevice): number {
  const adapter = igbAdapter(netdev);
  if ((adapter.state & __IGB_DOWN) !== 0) {
    devKfreeSkbAny(skb, SKB_DROP_REASON_DEV_READY);
    return NETDEV_TX_OK;
  }
  if (skbPutPadto(skb, IGB_MIN_TX_LEN) !== 0) return NETDEV_TX_OK;
  // @kernel igb_tx_queue_mapping
  const ring = adapter.txRing[skb.queueMapping % adapter.numTxQueues] as IgbTxRing;
  return igbXmitFrameRing(adapter, ring, skb);
}

/** Lets go of the packet whose first entry this is; returns the index behind its last. */
function releasePacket(
  adapter: IgbAdapter,
  ring: IgbTxRing,
  start: number,
  sent: boolean,
  budget: number,
): number {
  const first = ring.bufferInfo[start] as IgbTxBuffer;
  const last = first.nextToWatch;
  const { skb } = first;
  first.skb = null;
  first.nextToWatch = -1;
  let i = start;
  for (;;) {
    const buffer = ring.bufferInfo[i] as IgbTxBuffer;
    if (buffer.len !== 0) dmaUnmapSingle(adapter.pdev, buffer.dma, buffer.len, DMA_TO_DEVICE);
    buffer.len = 0;
    const done = i === last;
    i = i + 1 === ring.count ? 0 : i + 1;
    if (done) break;
  }
  if (skb !== null) {
    if (sent) napiConsumeSkb(skb, budget);
    else devKfreeSkbAny(skb, SKB_DROP_REASON_QUEUE_PURGE);
  }
  return i;
}

/** True when the chip has written the descriptor back. */
function descDone(ring: IgbTxRing, i: number): boolean {
  const at = ring.desc + i * IGB_DESC_SIZE + IGB_TXD_OLINFO_STATUS;
  return (dmaView.getInt32(at, true) & E1000_TXD_STAT_DD) !== 0;
}

/**
 * Frees packets that have left. False: there were as many as it may do at a time.
 * @kernel igb_clean_tx_irq drivers/net/ethernet/intel/igb/igb_main.c
 */
export function igbCleanTxIrq(vector: IgbQVector, ring: IgbTxRing, napiBudget: number): boolean {
  const { adapter } = vector;
  const { netdev } = adapter;
  if ((adapter.state & __IGB_DOWN) !== 0) return true;
  let budget = vector.tx.workLimit;
  let packets = 0;
  let bytes = 0;
  while (budget > 0) {
    const first = ring.bufferInfo[ring.nextToClean] as IgbTxBuffer;
    if (first.nextToWatch < 0 || !descDone(ring, first.nextToWatch)) break;
    bytes += first.bytecount;
    packets += first.gsoSegs;
    ring.nextToClean = releasePacket(adapter, ring, ring.nextToClean, true, napiBudget);
    budget--;
  }
  const txq = netdevGetTxQueue(netdev, ring.queueIndex);
  netdevTxCompletedQueue(txq, packets, bytes);
  ring.packets += packets;
  ring.bytes += bytes;
  vector.tx.totalPackets += packets;
  vector.tx.totalBytes += bytes;
  // A reset is on its way: no use in going on.
  if (ring.detectHang && igbDetectTxHung(adapter, ring)) return true;
  if (packets > 0 && netifCarrierOk(netdev) && igbDescUnused(ring) >= TX_WAKE_THRESHOLD) {
    if (netifTxQueueStopped(txq) && (adapter.state & __IGB_DOWN) === 0) {
      netifTxWakeQueue(txq);
      ring.restartQueue++;
    }
  }
  return budget > 0;
}

/** Has the chip stood still since long ago? Then nothing more is given to it. */
function igbDetectTxHung(adapter: IgbAdapter, ring: IgbTxRing): boolean {
  ring.detectHang = false;
  const { nextToWatch, timeStamp } = ring.bufferInfo[ring.nextToClean] as IgbTxBuffer;
  const limit = (timeStamp + adapter.txTimeoutFactor * HZ) | 0;
  if (nextToWatch < 0 || !timeAfter(adapter.pdev.machine.jiffies, limit)) return false;
  if ((rd32(adapter.hw, E1000_STATUS) & E1000_STATUS_TXOFF) !== 0) return false;
  adapter.txHangCount++;
  netifTxStopQueue(netdevGetTxQueue(adapter.netdev, ring.queueIndex));
  return true;
}

/** Throws away what the ring holds; the chip has been reset. @kernel igb_clean_tx_ring drivers/net/ethernet/intel/igb/igb_main.c */
export function igbCleanTxRing(adapter: IgbAdapter, ring: IgbTxRing): void {
  for (let i = 0; i < ring.bufferInfo.length; i++) {
    if ((ring.bufferInfo[i] as IgbTxBuffer).nextToWatch < 0) continue;
    releasePacket(adapter, ring, i, false, 0);
  }
  netdevTxResetQueue(netdevGetTxQueue(adapter.netdev, ring.queueIndex));
  for (let at = ring.desc; at < ring.desc + ring.size; at += 4) dmaView.setInt32(at, 0, true);
  ring.nextToUse = 0;
  ring.nextToClean = 0;
}
