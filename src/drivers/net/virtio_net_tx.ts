/**
 * Transmitting over virtio-net. Counterpart of that part of drivers/net/virtio_net.c.
 *
 * A packet is one chain: a virtio_net_hdr that says what is left to do to it (checksum, segments), the
 * head, the fragments. The header goes into the packet's own headroom where it may be written.
 */
import { virtqueueNapiSchedule } from '#drivers/net/virtio_net_napi.ts';
import { type SendQueue, STOP_THRESHOLD, virtnetInfo } from '#drivers/net/virtio_net_queue.ts';
import {
  virtqueueAddOutbuf,
  virtqueueDisableCb,
  virtqueueEnableCbDelayed,
  virtqueueEnableCbPrepare,
  virtqueueGetBuf,
  virtqueueKickPrepare,
  virtqueueNotify,
  virtqueuePoll,
} from '#drivers/virtio/virtio_ring.ts';
import {
  type NapiStruct,
  NETDEV_TX_OK,
  type NetDevice,
  type NetdevQueue,
  netdevGetTxQueue,
  netdevXmitMore,
  netifTxQueueStopped,
  netifTxStartQueue,
  netifTxStopQueue,
  netifXmitStopped,
} from '#include/linux/netdevice.ts';
import {
  nfReset,
  type SkBuff,
  skbFragAddress,
  skbFragSize,
  skbHeaderCloned,
  skbHeadlen,
  skbHeadroom,
  skbOrphan,
} from '#include/linux/skbuff.ts';
import { sgInitTable, sgSetBuf, type Virtqueue } from '#include/linux/virtio.ts';
import { virtioNetHdrFromSkb } from '#include/linux/virtio_net.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { dmaView } from '#mm/memory.ts';
import { __napiSchedule, napiCompleteDone, napiSchedulePrep } from '#net/core/dev_napi.ts';
import {
  __netdevTxSentQueue,
  devKfreeSkbAny,
  hardTxLock,
  hardTxUnlock,
  napiConsumeSkb,
  netdevTxCompletedQueue,
  netifTxWakeQueue,
} from '#net/core/dev_tx.ts';
import { skbTxTimestamp } from '#net/core/skbuff_tstamp.ts';
import { ENOSPC, EPROTO } from '#uapi/errno.ts';
import { SKB_DROP_REASON_FULL_RING } from '#uapi/net_dropreason.ts';
import { virtioNetHdr } from '#uapi/virtio_net.ts';

/** Room for one header of those that do not go into their packet. */
export const HEADER_STRIDE = 16;

/** Adds the packet to the queue: 0 or a negative errno. @kernel xmit_skb drivers/net/virtio_net.c */
function xmitSkb(sq: SendQueue, skb: SkBuff): number {
  const { sg, vi, vq } = sq;
  const { hdrLen } = vi;
  const { shinfo } = skb;
  // Without a free descriptor there is no place for a header either.
  if (vq.numFree === 0) return -ENOSPC;
  const canPush = (skb.data & 1) === 0 && !skbHeaderCloned(skb) && skbHeadroom(skb) >= hdrLen;
  // The chain that is about to be made begins at the first free descriptor, and so does its header.
  const hdr = canPush ? skb.data - hdrLen : sq.headers + vq.freeHead * HEADER_STRIDE;
  if (virtioNetHdrFromSkb(skb, dmaView, hdr, false) !== 0) return -EPROTO;
  virtioNetHdr.setNumBuffers(dmaView, hdr, 0);
  sgInitTable(sg);
  if (canPush) {
    sgSetBuf(sg, hdr, hdrLen + skbHeadlen(skb));
  } else {
    sgSetBuf(sg, hdr, hdrLen);
    sgSetBuf(sg, skb.data, skbHeadlen(skb));
  }
  for (let f = 0; f < shinfo.nrFrags; f++) {
    sgSetBuf(sg, skbFragAddress(shinfo, f), skbFragSize(shinfo, f));
  }
  if (tracepointKey.enabled) vq.machine.trace.packet.dmaMap.probe?.(skb, skb.data);
  return virtqueueAddOutbuf(vq, sg, skb);
}

/** Frees what has left. @kernel free_old_xmit drivers/net/virtio_net.c */
function freeOldXmit(sq: SendQueue, txq: NetdevQueue, inNapi: boolean): void {
  const { vq, stats, vi } = sq;
  let packets = 0;
  let bytes = 0;
  for (let buf = virtqueueGetBuf(vq); buf !== null; buf = virtqueueGetBuf(vq)) {
    const skb = buf as SkBuff;
    packets++;
    bytes += skb.len;
    napiConsumeSkb(skb, inNapi ? 1 : 0);
  }
  if (packets === 0) return;
  stats.packets += packets;
  stats.bytes += bytes;
  // Only what has a NAPI instance to report it in time counts against a limit.
  if (vi.napiTx) netdevTxCompletedQueue(txq, packets, bytes);
}

/** Stops the queue in time, so that the longest packet always fits; true: it has. @kernel tx_may_stop drivers/net/virtio_net.c */
function txMayStop(sq: SendQueue, txq: NetdevQueue): boolean {
  if (sq.vq.numFree >= STOP_THRESHOLD) return false;
  netifTxStopQueue(txq);
  sq.stats.stop++;
  return true;
}

/** The same without a NAPI instance that would start it again. @kernel check_sq_full_and_disable drivers/net/virtio_net.c */
function checkSqFullAndDisable(sq: SendQueue, txq: NetdevQueue): void {
  if (!txMayStop(sq, txq) || virtqueueEnableCbDelayed(sq.vq)) return;
  // More has been used meanwhile.
  freeOldXmit(sq, txq, false);
  if (sq.vq.numFree < STOP_THRESHOLD) return;
  netifTxStartQueue(txq);
  sq.stats.wake++;
  virtqueueDisableCb(sq.vq);
}

/** Takes a packet. @kernel start_xmit drivers/net/virtio_net.c */
export function startXmit(skb: SkBuff, dev: NetDevice): number {
  const vi = virtnetInfo(dev);
  const sq = vi.sq[skb.queueMapping] as SendQueue;
  const txq = netdevGetTxQueue(dev, skb.queueMapping);
  const { vq } = sq;
  const useNapi = vi.napiTx;
  const xmitMore = netdevXmitMore(dev);
  if (useNapi) virtqueueDisableCb(vq);
  else freeOldXmit(sq, txq, false);
  skbTxTimestamp(skb);
  const { len } = skb;
  if (xmitSkb(sq, skb) !== 0) {
    // The queue was stopped in time, so the device is broken, or the packet impossible.
    dev.stats.txFifoErrors++;
    dev.stats.txDropped++;
    devKfreeSkbAny(skb, SKB_DROP_REASON_FULL_RING);
    return NETDEV_TX_OK;
  }
  if (!useNapi) {
    // It may be long before anybody looks whether it has left.
    skbOrphan(skb);
    nfReset(skb);
  }
  if (useNapi) txMayStop(sq, txq);
  else checkSqFullAndDisable(sq, txq);
  const kick = useNapi
    ? __netdevTxSentQueue(txq, len, xmitMore)
    : !xmitMore || netifXmitStopped(txq);
  if (kick && virtqueueKickPrepare(vq) && virtqueueNotify(vq)) sq.stats.kicks++;
  if (useNapi && kick && !virtqueueEnableCbDelayed(vq)) virtqueueNapiSchedule(sq.napi, vq);
  return NETDEV_TX_OK;
}

/** The device has sent something. @kernel skb_xmit_done drivers/net/virtio_net.c */
export function skbXmitDone(vq: Virtqueue): void {
  const sq = vq.priv as SendQueue;
  virtqueueDisableCb(vq);
  if (sq.vi.napiTx) virtqueueNapiSchedule(sq.napi, vq);
  // We were probably waiting for more room.
  else netifTxWakeQueue(netdevGetTxQueue(sq.vi.dev, sq.index));
}

/** Starts a stopped queue that has room again. */
function wakeIfRoom(sq: SendQueue, txq: NetdevQueue): void {
  if (sq.vq.numFree < STOP_THRESHOLD) return;
  if (netifTxQueueStopped(txq)) sq.stats.wake++;
  netifTxWakeQueue(txq);
}

/** Frees what has left of the queue beside a receive queue, since we are here. @kernel virtnet_poll_cleantx drivers/net/virtio_net.c */
export function virtnetPollCleantx(sq: SendQueue, budget: number): void {
  const { dev } = sq.vi;
  if (!sq.vi.napiTx) return;
  const txq = netdevGetTxQueue(dev, sq.index);
  // Somebody transmits: he will look himself.
  if (txq.xmitLockOwner !== -1) return;
  const { cpu } = dev.net.machine;
  hardTxLock(dev, txq, cpu.id);
  do {
    virtqueueDisableCb(sq.vq);
    freeOldXmit(sq, txq, budget > 0);
  } while (!virtqueueEnableCbDelayed(sq.vq) && !sq.vq.broken);
  wakeIfRoom(sq, txq);
  hardTxUnlock(dev, txq);
}

/** @kernel virtnet_poll_tx drivers/net/virtio_net.c */
export function virtnetPollTx(napi: NapiStruct, budget: number, sq: SendQueue): number {
  const { dev } = sq.vi;
  const { vq } = sq;
  const txq = netdevGetTxQueue(dev, sq.index);
  const { cpu } = dev.net.machine;
  hardTxLock(dev, txq, cpu.id);
  virtqueueDisableCb(vq);
  freeOldXmit(sq, txq, budget > 0);
  wakeIfRoom(sq, txq);
  const opaque = virtqueueEnableCbPrepare(vq);
  const done = napiCompleteDone(napi, 0);
  if (!done) virtqueueDisableCb(vq);
  hardTxUnlock(dev, txq);
  if (done && virtqueuePoll(vq, opaque) && napiSchedulePrep(napi)) {
    virtqueueDisableCb(vq);
    __napiSchedule(napi);
  }
  return 0;
}
