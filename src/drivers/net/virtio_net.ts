/**
 * The driver of virtio network devices: probe and remove, open and stop, features. Counterpart of
 * drivers/net/virtio_net.c; transmit, receive, commands and ethtool are in the files beside.
 * Virtio 1.2 section 5.1.
 */
import {
  virtnetRxModeWork,
  virtnetSetAffinity,
  virtnetSetGuestOffloads,
  virtnetSetMacAddress,
  virtnetSetQueues,
  virtnetSetRxMode,
} from '#drivers/net/virtio_net_ctrl.ts';
import { virtnetEthtoolOps } from '#drivers/net/virtio_net_ethtool.ts';
import { virtnetNapiEnable } from '#drivers/net/virtio_net_napi.ts';
import {
  GOOD_PACKET_LEN,
  type ReceiveQueue,
  type SendQueue,
  VirtnetInfo,
  virtnetInfo,
} from '#drivers/net/virtio_net_queue.ts';
import {
  skbRecvDone,
  tryFillRecv,
  virtnetPoll,
  virtnetRqFreeBuf,
} from '#drivers/net/virtio_net_rx.ts';
import {
  HEADER_STRIDE,
  skbXmitDone,
  startXmit,
  virtnetPollTx,
} from '#drivers/net/virtio_net_tx.ts';
import {
  registerVirtioDriver,
  virtioConfigChanged,
  virtioConfigDriverDisable,
  virtioConfigDriverEnable,
  virtioDeviceReady,
  virtioResetDevice,
} from '#drivers/virtio/virtio.ts';
import { virtqueueDetachUnusedBuf } from '#drivers/virtio/virtio_ring.ts';
import { DMA_FROM_DEVICE } from '#hardware/pci/iommu.ts';
import { VLAN_HLEN } from '#include/linux/if_vlan.ts';
import { DEVICE_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import {
  NETIF_F_GRO_HW,
  NETIF_F_GSO_ROBUST,
  NETIF_F_GSO_UDP_L4,
  NETIF_F_HIGHDMA,
  NETIF_F_HW_CSUM,
  NETIF_F_RXCSUM,
  NETIF_F_SG,
  NETIF_F_TSO,
  NETIF_F_TSO_ECN,
  NETIF_F_TSO6,
} from '#include/linux/netdev_features.ts';
import {
  IFF_LIVE_ADDR_CHANGE,
  IFF_UNICAST_FLT,
  type NetDevice,
  type NetDeviceOps,
  netDeviceOps,
  netdevGetTxQueue,
  netifTxStopAllQueues,
  type RtnlLinkStats64,
} from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  __virtioClearBit,
  type VirtioDevice,
  type VirtioDriver,
  type Virtqueue,
  type VirtqueueInfo,
  virtioCreadBytes,
  virtioHasFeature,
  virtqueueGetVringSize,
} from '#include/linux/virtio.ts';
import { IP_MAX_MTU } from '#include/net/ip.ts';
import { PP_FLAG_DMA_MAP } from '#include/net/page_pool/types.ts';
import type { Machine } from '#kernel/machine.ts';
import { HZ } from '#kernel/param.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { intEntry } from '#kernel/sysctl.ts';
import {
  cancelDelayedWorkSync,
  cancelWorkSync,
  scheduleDelayedWork,
  scheduleWork,
} from '#kernel/workqueue.ts';
import { SLOT_SIZE } from '#mm/memory.ts';
import { allocPages, CHUNK_SIZE, putPage } from '#mm/page_alloc.ts';
import { napiDisable, napiEnable, netifNapiAdd } from '#net/core/dev_napi.ts';
import {
  freeNetdev,
  netifSetRealNumRxQueues,
  netifSetRealNumTxQueues,
  registerNetdevice,
  unregisterNetdev,
} from '#net/core/dev_register.ts';
import { devKfreeSkbAny, netdevTxResetQueue, netifTxWakeAllQueues } from '#net/core/dev_tx.ts';
import { netifCarrierOff, netifCarrierOn } from '#net/core/link_watch.ts';
import {
  pagePoolCreate,
  pagePoolDestroy,
  pagePoolDisableDirectRecycling,
} from '#net/core/page_pool.ts';
import {
  allocEtherdevMqs,
  ethHwAddrRandom,
  ethHwAddrSet,
  ethValidateAddr,
} from '#net/ethernet/eth.ts';
import { EINVAL, ENOMEM } from '#uapi/errno.ts';
import { DUPLEX_FULL, DUPLEX_UNKNOWN } from '#uapi/ethtool.ts';
import { ETH_ALEN, ETH_DATA_LEN, ETH_HLEN, ETH_MAX_MTU, ETH_MIN_MTU } from '#uapi/if_ether.ts';
import { SKB_DROP_REASON_QUEUE_PURGE } from '#uapi/net_dropreason.ts';
import {
  VIRTIO_ID_NET,
  VIRTIO_NET_CONFIG_DUPLEX,
  VIRTIO_NET_CONFIG_MAC,
  VIRTIO_NET_CONFIG_MAX_VIRTQUEUE_PAIRS,
  VIRTIO_NET_CONFIG_MTU,
  VIRTIO_NET_CONFIG_SPEED,
  VIRTIO_NET_CONFIG_STATUS,
  VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MAX,
  VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN,
  VIRTIO_NET_F_CSUM,
  VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
  VIRTIO_NET_F_CTRL_MAC_ADDR,
  VIRTIO_NET_F_CTRL_RX,
  VIRTIO_NET_F_CTRL_VLAN,
  VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_GUEST_CSUM,
  VIRTIO_NET_F_GUEST_ECN,
  VIRTIO_NET_F_GUEST_TSO4,
  VIRTIO_NET_F_GUEST_TSO6,
  VIRTIO_NET_F_GUEST_USO4,
  VIRTIO_NET_F_GUEST_USO6,
  VIRTIO_NET_F_HOST_ECN,
  VIRTIO_NET_F_HOST_TSO4,
  VIRTIO_NET_F_HOST_TSO6,
  VIRTIO_NET_F_HOST_USO,
  VIRTIO_NET_F_MAC,
  VIRTIO_NET_F_MQ,
  VIRTIO_NET_F_MRG_RXBUF,
  VIRTIO_NET_F_MTU,
  VIRTIO_NET_F_SPEED_DUPLEX,
  VIRTIO_NET_F_STATUS,
  VIRTIO_NET_S_LINK_UP,
} from '#uapi/virtio_net.ts';

/** Features of the receiver that can be switched while it runs. @kernel guest_offloads drivers/net/virtio_net.c */
const GUEST_OFFLOADS: readonly number[] = [
  VIRTIO_NET_F_GUEST_TSO4,
  VIRTIO_NET_F_GUEST_TSO6,
  VIRTIO_NET_F_GUEST_ECN,
  VIRTIO_NET_F_GUEST_CSUM,
  VIRTIO_NET_F_GUEST_USO4,
  VIRTIO_NET_F_GUEST_USO6,
];

/** Those of them that make super-packets. @kernel GUEST_OFFLOAD_GRO_HW_MASK drivers/net/virtio_net.c */
const GRO_HW_OFFLOADS: readonly number[] = GUEST_OFFLOADS.filter(
  (feature) => feature !== VIRTIO_NET_F_GUEST_CSUM,
);

/** @kernel VIRTNET_FEATURES drivers/net/virtio_net.c */
const VIRTNET_FEATURES: readonly number[] = [
  ...GUEST_OFFLOADS,
  VIRTIO_NET_F_CSUM,
  VIRTIO_NET_F_MAC,
  VIRTIO_NET_F_HOST_TSO4,
  VIRTIO_NET_F_HOST_TSO6,
  VIRTIO_NET_F_HOST_ECN,
  VIRTIO_NET_F_HOST_USO,
  VIRTIO_NET_F_MRG_RXBUF,
  VIRTIO_NET_F_STATUS,
  VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_CTRL_RX,
  VIRTIO_NET_F_CTRL_VLAN,
  VIRTIO_NET_F_MQ,
  VIRTIO_NET_F_CTRL_MAC_ADDR,
  VIRTIO_NET_F_MTU,
  VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
  VIRTIO_NET_F_SPEED_DUPLEX,
];

// Refilling.

/** Queues that have run out of buffers get some; not all, not now: later again. @kernel refill_work drivers/net/virtio_net.c */
function refillWork(vi: VirtnetInfo): void {
  for (let i = 0; i < vi.currQueuePairs; i++) {
    const rq = vi.rq[i] as ReceiveQueue;
    napiDisable(rq.napi);
    const stillEmpty = !tryFillRecv(rq);
    virtnetNapiEnable(rq.napi, rq.vq);
    if (stillEmpty) scheduleDelayedWork(vi.refill, HZ / 2);
  }
}

// Link.

/** Speed and duplex, as far as the device tells them. @kernel virtnet_update_settings drivers/net/virtio_net.c */
function virtnetUpdateSettings(vi: VirtnetInfo): void {
  const { vdev } = vi;
  if (!virtioHasFeature(vdev, VIRTIO_NET_F_SPEED_DUPLEX)) return;
  const speed = vdev.config.get32(vdev, VIRTIO_NET_CONFIG_SPEED);
  vi.speed = speed <= 0x7fffffff ? speed : -1;
  const duplex = vdev.config.get8(vdev, VIRTIO_NET_CONFIG_DUPLEX);
  vi.duplex = duplex <= DUPLEX_FULL ? duplex : DUPLEX_UNKNOWN;
}

/** @kernel virtnet_config_changed_work drivers/net/virtio_net.c */
function virtnetConfigChangedWork(vi: VirtnetInfo): void {
  const { vdev, dev } = vi;
  if (!virtioHasFeature(vdev, VIRTIO_NET_F_STATUS)) return;
  const status = vdev.config.get16(vdev, VIRTIO_NET_CONFIG_STATUS) & VIRTIO_NET_S_LINK_UP;
  if (vi.status === status) return;
  vi.status = status;
  if ((status & VIRTIO_NET_S_LINK_UP) !== 0) {
    virtnetUpdateSettings(vi);
    netifCarrierOn(dev);
    netifTxWakeAllQueues(dev);
  } else {
    netifCarrierOff(dev);
    netifTxStopAllQueues(dev);
  }
}

const WORKS = {
  refill: refillWork,
  configChanged: virtnetConfigChangedWork,
  rxMode: virtnetRxModeWork,
} as const;

// Open and stop.

/** @kernel virtnet_enable_queue_pair drivers/net/virtio_net.c */
function virtnetEnableQueuePair(vi: VirtnetInfo, i: number): void {
  const rq = vi.rq[i] as ReceiveQueue;
  const sq = vi.sq[i] as SendQueue;
  virtnetNapiEnable(rq.napi, rq.vq);
  if (vi.napiTx) virtnetNapiEnable(sq.napi, sq.vq);
  else napiEnable(sq.napi);
}

/** @kernel virtnet_open drivers/net/virtio_net.c */
function virtnetOpen(dev: NetDevice): number {
  const vi = virtnetInfo(dev);
  vi.refillEnabled = true;
  for (let i = 0; i < vi.maxQueuePairs; i++) {
    // Some buffers at least; when memory is short the work sees to the rest.
    if (i < vi.currQueuePairs && !tryFillRecv(vi.rq[i] as ReceiveQueue)) {
      scheduleDelayedWork(vi.refill, 0);
    }
    virtnetEnableQueuePair(vi, i);
  }
  vi.rxModeWorkEnabled = true;
  if (virtioHasFeature(vi.vdev, VIRTIO_NET_F_STATUS)) {
    if ((vi.status & VIRTIO_NET_S_LINK_UP) !== 0) netifCarrierOn(dev);
    virtioConfigDriverEnable(vi.vdev);
  } else {
    vi.status = VIRTIO_NET_S_LINK_UP;
    virtnetUpdateSettings(vi);
    netifCarrierOn(dev);
  }
  return 0;
}

/** @kernel virtnet_close drivers/net/virtio_net.c */
function virtnetClose(dev: NetDevice): number {
  const vi = virtnetInfo(dev);
  vi.refillEnabled = false;
  cancelDelayedWorkSync(vi.refill);
  virtioConfigDriverDisable(vi.vdev);
  if (cancelWorkSync(vi.configWork)) vi.vdev.configChangePending = true;
  for (let i = 0; i < vi.maxQueuePairs; i++) {
    napiDisable((vi.sq[i] as SendQueue).napi);
    napiDisable((vi.rq[i] as ReceiveQueue).napi);
  }
  netifCarrierOff(dev);
  return 0;
}

// Operations.

/** @kernel virtnet_stats drivers/net/virtio_net.c */
function virtnetStats(dev: NetDevice, tot: RtnlLinkStats64): void {
  const vi = virtnetInfo(dev);
  for (const { stats } of vi.rq) {
    tot.rxPackets += stats.packets;
    tot.rxBytes += stats.bytes;
    tot.rxDropped += stats.drops;
  }
  for (const { stats } of vi.sq) {
    tot.txPackets += stats.packets;
    tot.txBytes += stats.bytes;
    tot.txErrors += stats.txTimeouts;
  }
  const { stats } = dev;
  tot.txDropped = stats.txDropped;
  tot.txFifoErrors = stats.txFifoErrors;
  tot.rxLengthErrors = stats.rxLengthErrors;
  tot.rxFrameErrors = stats.rxFrameErrors;
  tot.rxErrors = stats.rxLengthErrors + stats.rxFrameErrors;
}

/** @kernel virtnet_tx_timeout drivers/net/virtio_net.c */
function virtnetTxTimeout(dev: NetDevice, txqueue: number): void {
  const sq = virtnetInfo(dev).sq[txqueue];
  if (sq !== undefined) sq.stats.txTimeouts++;
}

/** What the device may leave unfinished follows rx-gro-hw. @kernel virtnet_set_features drivers/net/virtio_net.c */
function virtnetSetFeatures(dev: NetDevice, features: number): number {
  const vi = virtnetInfo(dev);
  if (((dev.features ^ features) & NETIF_F_GRO_HW) === 0) return 0;
  const wanted = vi.guestOffloadsCapable.slice();
  if ((features & NETIF_F_GRO_HW) === 0) {
    for (const bit of GRO_HW_OFFLOADS) {
      wanted[bit >> 5] = (wanted[bit >> 5] as number) & ~(1 << (bit & 31));
    }
  }
  return virtnetSetGuestOffloads(vi, wanted);
}

/** @kernel virtnet_netdev drivers/net/virtio_net.c */
const virtnetNetdev: NetDeviceOps = netDeviceOps({
  ndoOpen: virtnetOpen,
  ndoStop: virtnetClose,
  ndoStartXmit: startXmit,
  ndoValidateAddr: ethValidateAddr,
  ndoSetMacAddress: virtnetSetMacAddress,
  ndoSetRxMode: virtnetSetRxMode,
  ndoGetStats64: virtnetStats,
  ndoTxTimeout: virtnetTxTimeout,
  ndoSetFeatures: virtnetSetFeatures,
});

// Probe.

/** Features that want a control queue the device does not have. @kernel virtnet_validate_features drivers/net/virtio_net.c */
function virtnetValidate(vdev: VirtioDevice): number {
  if (!virtioHasFeature(vdev, VIRTIO_NET_F_CTRL_VQ)) {
    for (const bit of [
      VIRTIO_NET_F_CTRL_RX,
      VIRTIO_NET_F_CTRL_VLAN,
      VIRTIO_NET_F_MQ,
      VIRTIO_NET_F_CTRL_MAC_ADDR,
    ]) {
      if (virtioHasFeature(vdev, bit)) return -EINVAL;
    }
  }
  if (virtioHasFeature(vdev, VIRTIO_NET_F_MTU)) {
    const mtu = vdev.config.get16(vdev, VIRTIO_NET_CONFIG_MTU);
    if (mtu < ETH_MIN_MTU) __virtioClearBit(vdev, VIRTIO_NET_F_MTU);
  }
  return 0;
}

/** @kernel virtnet_probe drivers/net/virtio_net.c */
function setFeatures(vdev: VirtioDevice, dev: NetDevice): void {
  const has = (bit: number): boolean => virtioHasFeature(vdev, bit);
  dev.privFlags |= IFF_UNICAST_FLT | IFF_LIVE_ADDR_CHANGE;
  dev.features = NETIF_F_HIGHDMA;
  if (has(VIRTIO_NET_F_CSUM)) {
    dev.hwFeatures |= NETIF_F_HW_CSUM | NETIF_F_SG;
    if (has(VIRTIO_NET_F_HOST_TSO4)) dev.hwFeatures |= NETIF_F_TSO;
    if (has(VIRTIO_NET_F_HOST_TSO6)) dev.hwFeatures |= NETIF_F_TSO6;
    if (has(VIRTIO_NET_F_HOST_ECN)) dev.hwFeatures |= NETIF_F_TSO_ECN;
    if (has(VIRTIO_NET_F_HOST_USO)) dev.hwFeatures |= NETIF_F_GSO_UDP_L4;
    dev.features |= dev.hwFeatures | NETIF_F_GSO_ROBUST;
  }
  if (has(VIRTIO_NET_F_GUEST_CSUM)) dev.features |= NETIF_F_RXCSUM;
  if (has(VIRTIO_NET_F_GUEST_TSO4) || has(VIRTIO_NET_F_GUEST_TSO6)) dev.features |= NETIF_F_GRO_HW;
  if (has(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS)) dev.hwFeatures |= NETIF_F_GRO_HW;
  dev.minMtu = ETH_MIN_MTU;
  dev.maxMtu = ETH_MAX_MTU;
}

function setAddress(vdev: VirtioDevice, dev: NetDevice): void {
  if (!virtioHasFeature(vdev, VIRTIO_NET_F_MAC)) {
    ethHwAddrRandom(dev);
    return;
  }
  const mac = new Uint8Array(ETH_ALEN);
  virtioCreadBytes(vdev, VIRTIO_NET_CONFIG_MAC, mac);
  ethHwAddrSet(dev, mac);
  dev.permAddr.set(mac);
}

/** Does a buffer have to hold more than an ordinary frame? @kernel virtnet_set_big_packets drivers/net/virtio_net.c */
function virtnetSetBigPackets(vi: VirtnetInfo, mtu: number): void {
  const guestGso = GRO_HW_OFFLOADS.some((bit) => virtioHasFeature(vi.vdev, bit));
  if (!guestGso && mtu <= ETH_DATA_LEN) return;
  vi.bigPackets = true;
  // Pages beside the first, each of 32 KiB.
  vi.bigPacketsNumSkbfrags = Math.ceil((guestGso ? IP_MAX_MTU + 1 : mtu) / CHUNK_SIZE);
}

/** @kernel mergeable_min_buf_len drivers/net/virtio_net.c */
function mergeableMinBufLen(vi: VirtnetInfo, vq: Virtqueue): number {
  const longest = vi.bigPackets ? IP_MAX_MTU : vi.dev.maxMtu;
  const bytes = vi.hdrLen + ETH_HLEN + VLAN_HLEN + longest;
  const each = Math.ceil(bytes / virtqueueGetVringSize(vq));
  return Math.max(Math.max(each, vi.hdrLen) - vi.hdrLen, GOOD_PACKET_LEN);
}

/** Asks the device for the queues. 0 or a negative errno. @kernel virtnet_find_vqs drivers/net/virtio_net.c */
function virtnetFindVqs(vi: VirtnetInfo): number {
  const { vdev } = vi;
  const infos: VirtqueueInfo[] = [];
  for (let i = 0; i < vi.maxQueuePairs; i++) {
    infos.push({ name: `input.${i}`, callback: skbRecvDone });
    infos.push({ name: `output.${i}`, callback: skbXmitDone });
  }
  if (vi.hasCvq) infos.push({ name: 'control', callback: null });
  const err = vdev.config.findVqs(vdev, infos);
  if (err !== 0) return err;
  if (vi.hasCvq) vi.cvq = vdev.vqs[2 * vi.maxQueuePairs] as Virtqueue;
  for (let i = 0; i < vi.maxQueuePairs; i++) {
    const rq = vi.rq[i] as ReceiveQueue;
    const sq = vi.sq[i] as SendQueue;
    rq.vq = vdev.vqs[2 * i] as Virtqueue;
    sq.vq = vdev.vqs[2 * i + 1] as Virtqueue;
    rq.vq.priv = rq;
    sq.vq.priv = sq;
    rq.minBufLen = mergeableMinBufLen(vi, rq.vq);
  }
  return 0;
}

/** Memory that queues have for themselves. 0 or a negative errno. @kernel virtnet_create_page_pools drivers/net/virtio_net.c */
function createPools(vi: VirtnetInfo): number {
  const { machine, pdev } = vi.vdev;
  const large = vi.mergeableRxBufs || vi.bigPackets;
  vi.ctrlBuf = allocPages(SLOT_SIZE);
  if (vi.ctrlBuf === 0) return -ENOMEM;
  for (let i = 0; i < vi.maxQueuePairs; i++) {
    const rq = vi.rq[i] as ReceiveQueue;
    const sq = vi.sq[i] as SendQueue;
    sq.headers = allocPages(virtqueueGetVringSize(sq.vq) * HEADER_STRIDE);
    if (sq.headers === 0) return -ENOMEM;
    const pool = pagePoolCreate(machine, {
      flags: PP_FLAG_DMA_MAP,
      pageSize: large ? CHUNK_SIZE : SLOT_SIZE,
      poolSize: virtqueueGetVringSize(rq.vq),
      dev: pdev,
      napi: rq.napi,
      netdev: vi.dev,
      dmaDir: DMA_FROM_DEVICE,
    });
    if (typeof pool === 'number') return pool;
    rq.pool = pool;
  }
  return 0;
}

/** @kernel virtnet_alloc_queues drivers/net/virtio_net.c */
function virtnetAllocQueues(vi: VirtnetInfo): void {
  for (let i = 0; i < vi.maxQueuePairs; i++) {
    const rq = vi.rq[i] as ReceiveQueue;
    const sq = vi.sq[i] as SendQueue;
    rq.napi = netifNapiAdd(vi.dev, (napi, budget) => virtnetPoll(napi, budget, rq));
    sq.napi = netifNapiAdd(vi.dev, (napi, budget) => virtnetPollTx(napi, budget, sq));
  }
}

/** Pairs of queues that the device has. */
function maxQueuePairs(vdev: VirtioDevice): number {
  if (!virtioHasFeature(vdev, VIRTIO_NET_F_MQ)) return 1;
  const pairs = vdev.config.get16(vdev, VIRTIO_NET_CONFIG_MAX_VIRTQUEUE_PAIRS);
  const possible =
    pairs >= VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN && pairs <= VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MAX;
  return possible ? pairs : 1;
}

/** Takes a device: 0 or a negative errno. @kernel virtnet_probe drivers/net/virtio_net.c */
function virtnetProbe(vdev: VirtioDevice, napiTx: boolean): number {
  const { machine } = vdev;
  const pairs = maxQueuePairs(vdev);
  const dev = allocEtherdevMqs(machine.initNet, virtnetNetdev, null, pairs, pairs);
  const vi = new VirtnetInfo(
    vdev,
    dev,
    pairs,
    virtioHasFeature(vdev, VIRTIO_NET_F_MRG_RXBUF),
    virtioHasFeature(vdev, VIRTIO_NET_F_CTRL_VQ),
    WORKS,
  );
  dev.priv = vi;
  vdev.priv = vi;
  vi.napiTx = napiTx;
  dev.ethtoolOps = virtnetEthtoolOps;
  dev.watchdogTimeo = 5 * HZ;
  dev.irq = vdev.pdev.irq;
  setFeatures(vdev, dev);
  setAddress(vdev, dev);
  if (virtioHasFeature(vdev, VIRTIO_NET_F_MTU)) {
    dev.mtu = vdev.config.get16(vdev, VIRTIO_NET_CONFIG_MTU);
    dev.maxMtu = dev.mtu;
  }
  virtnetSetBigPackets(vi, dev.mtu);
  // A header may stand in front of a packet, where there is room.
  dev.neededHeadroom = vi.hdrLen;
  vi.currQueuePairs = Math.min(pairs, machine.cpus.length);
  virtnetAllocQueues(vi);
  let err = virtnetFindVqs(vi);
  if (err === 0) err = createPools(vi);
  if (err === 0) err = registerIt(vi);
  if (err === 0) return 0;
  virtioResetDevice(vdev);
  removeVqCommon(vi);
  freeNetdev(dev);
  return err;
}

/** Registers the network device and tells the virtio device what it needs to know. */
function registerIt(vi: VirtnetInfo): number {
  const { vdev, dev } = vi;
  const { machine } = vdev;
  virtnetSetAffinity(vi);
  netifSetRealNumTxQueues(dev, vi.currQueuePairs);
  netifSetRealNumRxQueues(dev, vi.currQueuePairs);
  virtioConfigDriverDisable(vdev);
  rtnlLock(machine);
  const err = registerNetdevice(dev);
  if (err === 0) {
    virtioDeviceReady(vdev);
    virtnetSetQueues(vi, vi.currQueuePairs);
    // The device must know an address that was made up here.
    if (!virtioHasFeature(vdev, VIRTIO_NET_F_MAC)) virtnetSetMacAddress(dev, dev.devAddr);
  }
  rtnlUnlock(machine);
  if (err !== 0) return err;
  netifCarrierOff(dev);
  // Told when it is opened.
  virtioConfigChanged(vdev);
  for (const bit of GUEST_OFFLOADS) {
    if (!virtioHasFeature(vdev, bit)) continue;
    vi.guestOffloads[bit >> 5] = (vi.guestOffloads[bit >> 5] as number) | (1 << (bit & 31));
  }
  vi.guestOffloadsCapable.set(vi.guestOffloads);
  return 0;
}

/** Buffers that the device still has; it has been reset. @kernel free_unused_bufs drivers/net/virtio_net.c */
function freeUnusedBufs(vi: VirtnetInfo): void {
  for (const sq of vi.sq) {
    if (sq.vq === undefined) continue;
    for (let buf = virtqueueDetachUnusedBuf(sq.vq); buf !== null; ) {
      devKfreeSkbAny(buf as SkBuff, SKB_DROP_REASON_QUEUE_PURGE);
      buf = virtqueueDetachUnusedBuf(sq.vq);
    }
    netdevTxResetQueue(netdevGetTxQueue(vi.dev, sq.index));
  }
  for (const rq of vi.rq) {
    if (rq.vq === undefined || rq.pool === undefined) continue;
    for (let buf = virtqueueDetachUnusedBuf(rq.vq); buf !== null; ) {
      virtnetRqFreeBuf(rq, buf);
      buf = virtqueueDetachUnusedBuf(rq.vq);
    }
  }
  if (vi.cvq !== null) while (virtqueueDetachUnusedBuf(vi.cvq) !== null);
}

/** Gives back all that the queues hold, and them. @kernel remove_vq_common drivers/net/virtio_net.c */
function removeVqCommon(vi: VirtnetInfo): void {
  freeUnusedBufs(vi);
  for (const rq of vi.rq) {
    if (rq.pool === undefined) continue;
    pagePoolDisableDirectRecycling(rq.pool);
    pagePoolDestroy(rq.pool);
  }
  for (const sq of vi.sq) {
    if (sq.headers !== 0) putPage(sq.headers);
    sq.headers = 0;
  }
  if (vi.ctrlBuf !== 0) putPage(vi.ctrlBuf);
  vi.ctrlBuf = 0;
  vi.cvq = null;
  vi.vdev.config.delVqs(vi.vdev);
}

/** @kernel virtnet_remove drivers/net/virtio_net.c */
function virtnetRemove(vdev: VirtioDevice): void {
  const vi = vdev.priv as VirtnetInfo;
  // Work that has not begun must not find a device that is gone.
  cancelWorkSync(vi.configWork);
  vi.rxModeWorkEnabled = false;
  cancelWorkSync(vi.rxModeWork);
  unregisterNetdev(vi.dev);
  cancelWorkSync(vi.rxModeWork);
  virtioResetDevice(vdev);
  removeVqCommon(vi);
  freeNetdev(vi.dev);
}

/** @kernel virtio_net_driver drivers/net/virtio_net.c */
class VirtioNetDriver implements VirtioDriver {
  readonly name: string = 'virtio_net';
  readonly idTable: readonly number[] = [VIRTIO_ID_NET];
  readonly featureTable: readonly number[] = VIRTNET_FEATURES;
  readonly validate: (vdev: VirtioDevice) => number = virtnetValidate;
  /** Module parameter: packets that have left are freed by NAPI. */
  napiTx = true;

  probe(vdev: VirtioDevice): number {
    return virtnetProbe(vdev, this.napiTx);
  }

  remove(vdev: VirtioDevice): void {
    virtnetRemove(vdev);
  }

  /** @kernel virtnet_config_changed drivers/net/virtio_net.c */
  configChanged(vdev: VirtioDevice): void {
    scheduleWork((vdev.priv as VirtnetInfo).configWork);
  }
}

/** @kernel virtio_net_driver_init drivers/net/virtio_net.c */
export function virtioNetInit(machine: Machine): number {
  const driver = new VirtioNetDriver();
  machine.params.register(driver.name, [
    intEntry(
      'napi_tx',
      () => (driver.napiTx ? 1 : 0),
      (value) => {
        driver.napiTx = value !== 0;
      },
      0,
      1,
    ),
  ]);
  return registerVirtioDriver(machine, driver);
}

export const virtioNetModule: KernelModule = {
  name: 'virtio_net',
  config: 'CONFIG_VIRTIO_NET',
  depends: ['virtio'],
  level: DEVICE_INITCALL,
  init: virtioNetInit,
  exit: null,
};
