/**
 * Commands to a virtio-net device over its control queue: receive mode, addresses, VLANs, number of
 * queues, offloads. Counterpart of those parts of drivers/net/virtio_net.c. Virtio 1.2 section 5.1.6.5.
 */
import { type VirtnetInfo, virtnetInfo } from '#drivers/net/virtio_net_queue.ts';
import { virtqueueAddSgs, virtqueueGetBuf, virtqueueKick } from '#drivers/virtio/virtio_ring.ts';
import type { EthtoolChannels } from '#include/linux/ethtool.ts';
import {
  type NetDevice,
  type NetdevHwAddr,
  netifIsMultiqueue,
  netifRunning,
} from '#include/linux/netdevice.ts';
import { XPS_CPUS } from '#include/linux/netdevice_xps.ts';
import { sgInitTable, sgSetBuf, virtioHasFeature } from '#include/linux/virtio.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { scheduleDelayedWork, scheduleWork } from '#kernel/workqueue.ts';
import { dmaView, mem, SLOT_SIZE } from '#mm/memory.ts';
import { netifSetRealNumRxQueues, netifSetRealNumTxQueues } from '#net/core/dev_register.ts';
import { __netifSetXpsQueue } from '#net/core/dev_xps.ts';
import { ethHwAddrSet, isValidEtherAddr } from '#net/ethernet/eth.ts';
import { EADDRNOTAVAIL, EINVAL, EOPNOTSUPP } from '#uapi/errno.ts';
import { IFF_ALLMULTI, IFF_PROMISC } from '#uapi/if.ts';
import { ETH_ALEN } from '#uapi/if_ether.ts';
import {
  VIRTIO_NET_CTRL_GUEST_OFFLOADS,
  VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
  VIRTIO_NET_CTRL_MAC,
  VIRTIO_NET_CTRL_MAC_ADDR_SET,
  VIRTIO_NET_CTRL_MAC_TABLE_SET,
  VIRTIO_NET_CTRL_MQ,
  VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
  VIRTIO_NET_CTRL_RX,
  VIRTIO_NET_CTRL_RX_ALLMULTI,
  VIRTIO_NET_CTRL_RX_PROMISC,
  VIRTIO_NET_CTRL_VLAN,
  VIRTIO_NET_CTRL_VLAN_ADD,
  VIRTIO_NET_CTRL_VLAN_DEL,
  VIRTIO_NET_ERR,
  VIRTIO_NET_F_CTRL_MAC_ADDR,
  VIRTIO_NET_F_CTRL_RX,
  VIRTIO_NET_F_MQ,
  VIRTIO_NET_OK,
} from '#uapi/virtio_net.ts';

// Where in the buffer what lies.
const CLASS_AT = 0;
const STATUS_AT = 16;
const DATA_AT = 32;
/** Addresses of one kind that fit into the buffer; a device is told of no more. */
const MAC_ENTRIES: number = Math.floor((SLOT_SIZE - DATA_AT - 8) / (2 * ETH_ALEN));

/** Address at which a command's data is to be put. */
function data(vi: VirtnetInfo): number {
  return vi.ctrlBuf + DATA_AT;
}

/**
 * Sends a command with `len` bytes of data, and waits for the answer. False: the device refuses, or
 * does not answer.
 * @deviation a device answers within the doorbell's write, so nothing is waited for: one that does not
 * has failed.
 * @kernel virtnet_send_command drivers/net/virtio_net.c
 */
function virtnetSendCommand(vi: VirtnetInfo, kind: number, cmd: number, len: number): boolean {
  const { cvq, ctrlBuf, ctrlSg: sg } = vi;
  if (cvq === null || ctrlBuf === 0) return false;
  dmaView.setUint8(ctrlBuf + CLASS_AT, kind);
  dmaView.setUint8(ctrlBuf + CLASS_AT + 1, cmd);
  dmaView.setUint8(ctrlBuf + STATUS_AT, VIRTIO_NET_ERR);
  sgInitTable(sg);
  sgSetBuf(sg, ctrlBuf + CLASS_AT, 2);
  if (len > 0) sgSetBuf(sg, ctrlBuf + DATA_AT, len);
  const out = sg.nents;
  sgSetBuf(sg, ctrlBuf + STATUS_AT, 1);
  if (virtqueueAddSgs(cvq, sg, out, vi, 0, false) < 0) return false;
  if (!virtqueueKick(cvq) || virtqueueGetBuf(cvq) === null) {
    cvq.broken = true;
    return false;
  }
  return dmaView.getUint8(ctrlBuf + STATUS_AT) === VIRTIO_NET_OK;
}

/** One table of addresses; returns where the next begins. */
function putMacTable(at: number, list: readonly NetdevHwAddr[]): number {
  // More than fit: the device is made to let pass whatever comes, by the caller.
  const count = Math.min(list.length, MAC_ENTRIES);
  dmaView.setUint32(at, count, true);
  let to = at + 4;
  for (let i = 0; i < count; i++) {
    mem.set((list[i] as NetdevHwAddr).addr.subarray(0, ETH_ALEN), to);
    to += ETH_ALEN;
  }
  return to;
}

/** What the device is to receive. @kernel virtnet_rx_mode_work drivers/net/virtio_net.c */
export function virtnetRxModeWork(vi: VirtnetInfo): void {
  if (!virtioHasFeature(vi.vdev, VIRTIO_NET_F_CTRL_RX)) return;
  const { dev } = vi;
  const { machine } = dev.net;
  rtnlLock(machine);
  const promisc = (dev.flags & IFF_PROMISC) !== 0 || dev.uc.length > MAC_ENTRIES;
  dmaView.setUint8(data(vi), promisc ? 1 : 0);
  virtnetSendCommand(vi, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1);
  const allmulti = (dev.flags & IFF_ALLMULTI) !== 0 || dev.mc.length > MAC_ENTRIES;
  dmaView.setUint8(data(vi), allmulti ? 1 : 0);
  virtnetSendCommand(vi, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, 1);
  const end = putMacTable(putMacTable(data(vi), dev.uc), dev.mc);
  const len = end - data(vi);
  virtnetSendCommand(vi, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, len);
  rtnlUnlock(machine);
}

/** The caller may hold the device's lists, so the commands are sent later. @kernel virtnet_set_rx_mode drivers/net/virtio_net.c */
export function virtnetSetRxMode(dev: NetDevice): void {
  const vi = virtnetInfo(dev);
  if (vi.rxModeWorkEnabled) scheduleWork(vi.rxModeWork);
}

/** @kernel virtnet_set_mac_address drivers/net/virtio_net.c */
export function virtnetSetMacAddress(dev: NetDevice, addr: Uint8Array): number {
  const vi = virtnetInfo(dev);
  if (!isValidEtherAddr(addr)) return -EADDRNOTAVAIL;
  if (virtioHasFeature(vi.vdev, VIRTIO_NET_F_CTRL_MAC_ADDR)) {
    mem.set(addr.subarray(0, ETH_ALEN), data(vi));
    if (!virtnetSendCommand(vi, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, ETH_ALEN)) {
      return -EINVAL;
    }
  }
  ethHwAddrSet(dev, addr);
  return 0;
}

/** Has the device let a VLAN pass. 0; a device that refuses is no error in Linux either. @kernel virtnet_vlan_rx_add_vid drivers/net/virtio_net.c */
export function virtnetVlanRxAddVid(dev: NetDevice, vid: number): number {
  const vi = virtnetInfo(dev);
  dmaView.setUint16(data(vi), vid, true);
  virtnetSendCommand(vi, VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, 2);
  return 0;
}

/** @kernel virtnet_vlan_rx_kill_vid drivers/net/virtio_net.c */
export function virtnetVlanRxKillVid(dev: NetDevice, vid: number): number {
  const vi = virtnetInfo(dev);
  dmaView.setUint16(data(vi), vid, true);
  virtnetSendCommand(vi, VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_DEL, 2);
  return 0;
}

/** Has the device use so many pairs of queues. 0 or -EINVAL. @kernel virtnet_set_queues drivers/net/virtio_net.c */
export function virtnetSetQueues(vi: VirtnetInfo, queuePairs: number): number {
  const { vdev, dev } = vi;
  if (!vi.hasCvq || !virtioHasFeature(vdev, VIRTIO_NET_F_MQ)) return 0;
  dmaView.setUint16(data(vi), queuePairs, true);
  if (!virtnetSendCommand(vi, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 2)) {
    return -EINVAL;
  }
  vi.currQueuePairs = queuePairs;
  // Queues that were not used have no buffers.
  if (netifRunning(dev) && vi.refillEnabled) scheduleDelayedWork(vi.refill, 0);
  return 0;
}

/** Each queue's interrupts on CPUs of its own, as far as there are some. @kernel virtnet_set_affinity drivers/net/virtio_net.c */
export function virtnetSetAffinity(vi: VirtnetInfo): void {
  const { config } = vi.vdev;
  const count = vi.vdev.machine.cpus.length;
  const stride = Math.max(Math.floor(count / vi.currQueuePairs), 1);
  const stragglers = count >= vi.currQueuePairs ? count % vi.currQueuePairs : 0;
  let cpu = 0;
  for (let i = 0; i < vi.currQueuePairs; i++) {
    const group = stride + (i < stragglers ? 1 : 0);
    const cpus: number[] = [];
    for (let n = 0; n < group; n++, cpu++) cpus.push(cpu % count);
    const rq = vi.rq[i];
    const sq = vi.sq[i];
    if (rq !== undefined) config.setVqAffinity(rq.vq, cpus);
    if (sq !== undefined) config.setVqAffinity(sq.vq, cpus);
    if (netifIsMultiqueue(vi.dev)) {
      const mask = new Uint8Array(count);
      for (const id of cpus) mask[id] = 1;
      __netifSetXpsQueue(vi.dev, mask, i, XPS_CPUS);
    }
  }
}

/** Queues always come in pairs. 0 or -EINVAL. @kernel virtnet_set_channels drivers/net/virtio_net.c */
export function virtnetSetChannels(dev: NetDevice, channels: EthtoolChannels): number {
  const vi = virtnetInfo(dev);
  const combined = channels.combinedCount;
  if (channels.rxCount !== 0 || channels.txCount !== 0 || channels.otherCount !== 0) return -EINVAL;
  if (combined < 1 || combined > vi.maxQueuePairs) return -EINVAL;
  const err = virtnetSetQueues(vi, combined);
  if (err !== 0) return err;
  virtnetSetAffinity(vi);
  netifSetRealNumTxQueues(dev, combined);
  netifSetRealNumRxQueues(dev, combined);
  return 0;
}

/** What the device may leave unfinished. 0, -EINVAL or -EOPNOTSUPP. @kernel virtnet_set_guest_offloads drivers/net/virtio_net.c */
export function virtnetSetGuestOffloads(vi: VirtnetInfo, offloads: Uint32Array): number {
  if (!vi.hasCvq) return -EOPNOTSUPP;
  dmaView.setUint32(data(vi), offloads[0] as number, true);
  dmaView.setUint32(data(vi) + 4, offloads[1] as number, true);
  const kind = VIRTIO_NET_CTRL_GUEST_OFFLOADS;
  if (!virtnetSendCommand(vi, kind, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, 8)) return -EINVAL;
  vi.guestOffloads.set(offloads);
  return 0;
}
