/**
 * Frames between a tun or tap device and its program. Counterpart of those parts of drivers/net/tun.c;
 * see tun.ts.
 */

import { TunFlows, tunFlowQueue, tunFlowUpdate } from '#drivers/net/tun_flow.ts';
import {
  devCoreStatsTxDroppedInc,
  devSwNetstatsRxAdd,
  devSwNetstatsTxAdd,
  NAPI_POLL_WEIGHT,
  type NapiStruct,
  NET_XMIT_DROP,
  NETDEV_TX_OK,
  type NetDevice,
  type NetdevQueue,
  netdevGetTxQueue,
  netifTxQueueStopped,
  netifTxStopQueue,
} from '#include/linux/netdevice.ts';
import {
  nfReset,
  type SkBuff,
  SkBuffHead,
  skbOrphan,
  skbReserve,
  skbResetMacHeader,
  skbResetNetworkHeader,
} from '#include/linux/skbuff.ts';
import { __skbDequeue, __skbQueueTail } from '#include/linux/skbuff_queue.ts';
import { skbRecordRxQueue } from '#include/linux/skbuff_rx_queue.ts';
import { virtioNetHdrFromSkb, virtioNetHdrToSkb } from '#include/linux/virtio_net.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Machine } from '#kernel/machine.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import { WaitQueueHead, wakeUp } from '#kernel/wait.ts';
import { reciprocalScale } from '#lib/jhash.ts';
import {
  napiCompleteDone,
  napiDisable,
  napiEnable,
  napiSchedule,
  netifNapiAdd,
  netifNapiDel,
} from '#net/core/dev_napi.ts';
import { netifReceiveSkb } from '#net/core/dev_rx.ts';
import { netifTxWakeQueue } from '#net/core/dev_tx.ts';
import { __skbGetHashSymmetric, skbProbeTransportHeader } from '#net/core/flow_dissector.ts';
import { napiGroReceive } from '#net/core/gro.ts';
import { allocSkb, allocSkbWithFrags, consumeSkb, kfreeSkb } from '#net/core/skbuff.ts';
import { skbPartialCsumSet } from '#net/core/skbuff_checksum.ts';
import { pskbMayPull } from '#net/core/skbuff_copy.ts';
import { skbCopyBits, skbStoreBits } from '#net/core/skbuff_data.ts';
import { skbTxTimestamp } from '#net/core/skbuff_tstamp.ts';
import { skbOrphanFragsRx } from '#net/core/skbuff_zerocopy.ts';
import { ethTypeTrans } from '#net/ethernet/eth.ts';
import { EAGAIN, EBADFD, EBUSY, EINVAL, EIO, ENOMEM } from '#uapi/errno.ts';
import { IFF_UP } from '#uapi/if.ts';
import { ETH_HLEN, ETH_P_IP, ETH_P_IPV6 } from '#uapi/if_ether.ts';
import {
  IFF_MULTI_QUEUE,
  IFF_NO_PI,
  IFF_TAP,
  IFF_VNET_HDR,
  TUN_PKT_STRIP,
  tunPi,
} from '#uapi/if_tun.ts';
import {
  SKB_DROP_REASON_DEV_HDR,
  SKB_DROP_REASON_DEV_READY,
  SKB_DROP_REASON_FULL_RING,
  SKB_DROP_REASON_INVALID_PROTO,
  SKB_DROP_REASON_NOT_SPECIFIED,
  SKB_DROP_REASON_SKB_UCOPY_FAULT,
} from '#uapi/net_dropreason.ts';
import { POLLERR, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '#uapi/poll.ts';
import { virtioNetHdr } from '#uapi/virtio_net.ts';

/** Bytes of a written frame that become linear at most; the rest lies in fragments. */
const GOOD_LINEAR = 3776;
/** Headroom of received packets. @kernel NET_SKB_PAD include/linux/skbuff.h */
const TUN_HEADROOM = 64;

/** What an embedder wants to know. */
export interface TunDoor {
  /** A packet waits where none did: read with tunDoRead(). Called inside the machine. */
  readable(tfile: TunFile): void;
}

/** How many of its queues the program uses, for ethtool -l and -L. */
export interface TunChannels {
  readonly max: number;
  /** The first `count` of them from now on, 1 to `max`: 0 or a negative errno. rtnl is held. */
  set(count: number): number;
}

/** The device's side. @kernel tun_struct drivers/net/tun.c */
export class TunStruct {
  /** IFF_TUN, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, IFF_PERSIST, IFF_MULTI_QUEUE, IFF_NAPI. */
  flags: number;
  /** Features that the program said it can do. */
  setFeatures: number;
  /** Bytes of the virtio_net_hdr in front of a frame: 10, 12 or more. */
  vnetHdrSz: number;
  /** The programs' sides by queue. */
  readonly tfiles: TunFile[];
  /** Those that are attached, but have no queue at present. */
  readonly disabled: TunFile[];
  /** Null: it has one queue. */
  readonly flows: TunFlows | null;
  /** Of an embedder who lets ethtool choose the number of queues. */
  channels: TunChannels | null;

  constructor(machine: Machine, flags: number) {
    this.flags = flags;
    this.setFeatures = 0;
    this.vnetHdrSz = virtioNetHdr.LEN;
    this.tfiles = [];
    this.disabled = [];
    this.flows = (flags & IFF_MULTI_QUEUE) !== 0 ? new TunFlows(machine) : null;
    this.channels = null;
  }
}

/** The program's side. @kernel tun_file drivers/net/tun.c */
export class TunFile {
  readonly net: Net;
  readonly machine: Machine;
  readonly wq: WaitQueueHead;
  /** Packets that wait to be read. */
  readonly txRing: SkBuffHead;
  /** The attached device; null before TUNSETIFF and when it is gone. */
  dev: NetDevice | null;
  /** The queue of the device that it serves. */
  queueIndex: number;
  /** Attached, but without a queue: it was told so by TUNSETQUEUE. */
  detached: boolean;
  /** With IFF_NAPI: written frames wait in `writeQueue` until they are polled. */
  napi: NapiStruct | null;
  readonly writeQueue: SkBuffHead;
  door: TunDoor | null;

  constructor(net: Net) {
    this.net = net;
    this.machine = net.machine;
    this.wq = new WaitQueueHead();
    this.txRing = new SkBuffHead();
    this.dev = null;
    this.queueIndex = 0;
    this.detached = false;
    this.napi = null;
    this.writeQueue = new SkBuffHead();
    this.door = null;
  }
}

/** The tun behind a device. @kernel netdev_priv include/linux/netdevice.h */
export function tunOf(dev: NetDevice): TunStruct {
  return dev.priv as TunStruct;
}

// From the machine to the program.

/**
 * The queue by which the flow's frames come, else one by the flow's hash.
 * @deviation the program's CPU is not noted for receive flow steering: a door writes from all of them
 * @kernel tun_automq_select_queue drivers/net/tun.c
 * @kernel tun_select_queue drivers/net/tun.c
 */
export function tunSelectQueue(dev: NetDevice, skb: SkBuff): number {
  const { tfiles, flows } = tunOf(dev);
  if (flows === null || tfiles.length < 2) return 0;
  const hash = __skbGetHashSymmetric(skb);
  const known = tunFlowQueue(flows, hash);
  return known >= 0 ? known : reciprocalScale(hash, tfiles.length);
}

/** @kernel tun_net_xmit drivers/net/tun.c */
export function tunNetXmit(skb: SkBuff, dev: NetDevice): number {
  const queue = skb.queueMapping;
  const tfile = tunOf(dev).tfiles[queue];
  let reason = SKB_DROP_REASON_DEV_READY;
  if (tfile !== undefined) {
    const ring = tfile.txRing;
    if (ring.qlen >= dev.txQueueLen) {
      reason = SKB_DROP_REASON_FULL_RING;
    } else if (skbOrphanFragsRx(skb) !== 0) {
      reason = SKB_DROP_REASON_SKB_UCOPY_FAULT;
    } else {
      skbTxTimestamp(skb);
      // It may wait for long: the sender must not be charged for it.
      skbOrphan(skb);
      nfReset(skb);
      const empty = ring.qlen === 0;
      __skbQueueTail(ring, skb);
      const txq = netdevGetTxQueue(dev, queue);
      if (ring.qlen >= dev.txQueueLen) netifTxStopQueue(txq);
      if (empty) {
        wakeUp(tfile.wq, POLLIN | POLLRDNORM);
        tfile.door?.readable(tfile);
      }
      return NETDEV_TX_OK;
    }
  }
  devCoreStatsTxDroppedInc(dev);
  kfreeSkb(skb, reason, 'tun_net_xmit');
  return NET_XMIT_DROP;
}

/** Bytes that stand before the frame. */
function headerLen(tun: TunStruct): number {
  const pi = (tun.flags & IFF_NO_PI) !== 0 ? 0 : tunPi.LEN;
  return pi + ((tun.flags & IFF_VNET_HDR) !== 0 ? tun.vnetHdrSz : 0);
}

/** Writes headers and frame to the program's buffer: the length, or a negative errno. @kernel tun_put_user drivers/net/tun.c */
function tunPutUser(tun: TunStruct, skb: SkBuff, buf: Uint8Array): number {
  const v = new DataView(buf.buffer, buf.byteOffset, buf.byteLength);
  const total = headerLen(tun) + skb.len;
  let at = 0;
  if ((tun.flags & IFF_NO_PI) === 0) {
    if (buf.length < tunPi.LEN) return -EINVAL;
    tunPi.setFlags(v, 0, buf.length < total ? TUN_PKT_STRIP : 0);
    tunPi.setProto(v, 0, skb.protocol);
    at += tunPi.LEN;
  }
  if ((tun.flags & IFF_VNET_HDR) !== 0) {
    if (buf.length < at + tun.vnetHdrSz) return -EINVAL;
    buf.fill(0, at, at + tun.vnetHdrSz);
    const err = virtioNetHdrFromSkb(skb, v, at, true);
    if (err !== 0) return err;
    at += tun.vnetHdrSz;
  }
  const copy = Math.min(skb.len, buf.length - at);
  skbCopyBits(skb, 0, buf, at, copy);
  return at + copy;
}

/**
 * Reads one frame into `buf` (what does not fit is lost): its length with headers, -EAGAIN when none
 * waits, -EBADFD when the device is gone.
 * @kernel tun_do_read drivers/net/tun.c
 */
export function tunDoRead(tfile: TunFile, buf: Uint8Array): number {
  const { dev } = tfile;
  if (dev === null) return -EBADFD;
  const skb = __skbDequeue(tfile.txRing);
  if (skb === null) return -EAGAIN;
  const { len } = skb;
  const ret = tunPutUser(tunOf(dev), skb, buf);
  if (ret < 0) {
    kfreeSkb(skb, SKB_DROP_REASON_SKB_UCOPY_FAULT, 'tun_do_read');
  } else {
    devSwNetstatsTxAdd(dev, 1, len);
    consumeSkb(skb, 'tun_do_read');
  }
  const txq = netdevGetTxQueue(dev, tfile.queueIndex);
  // Half a ring of room before the queue runs again: not a wake-up for every frame.
  if (netifTxQueueStopped(txq) && tfile.txRing.qlen <= dev.txQueueLen >> 1) wakeQueue(txq);
  return ret;
}

function wakeQueue(txq: NetdevQueue): void {
  const { machine } = txq.dev.net;
  localBhDisable(machine);
  netifTxWakeQueue(txq);
  localBhEnable(machine);
}

// From the program to the machine.

const CSUM_OPS = {
  mayPull: pskbMayPull,
  partialCsumSet: skbPartialCsumSet,
} as const;

/** A packet with the frame's bytes, `linear` of them in its head. @kernel tun_alloc_skb drivers/net/tun.c */
function tunAllocSkb(
  machine: Machine,
  buf: Uint8Array,
  at: number,
  len: number,
  linear: number,
): SkBuff | null {
  const skb =
    linear === len
      ? allocSkb(machine, TUN_HEADROOM + len)
      : allocSkbWithFrags(machine, TUN_HEADROOM + linear, len - linear);
  if (skb === null) return null;
  skbReserve(skb, TUN_HEADROOM);
  skb.tail += linear;
  skb.len = len;
  skb.dataLen = len - linear;
  skbStoreBits(skb, 0, buf, at, len);
  return skb;
}

/** Type and device of a packet; 0 or a negative errno. */
function classify(tun: TunStruct, dev: NetDevice, skb: SkBuff, piProto: number): number {
  if ((tun.flags & IFF_TAP) !== 0) {
    if (!pskbMayPull(skb, ETH_HLEN)) return -ENOMEM;
    skb.protocol = ethTypeTrans(skb, dev);
    return 0;
  }
  let proto = piProto;
  if (proto === 0) {
    if (!pskbMayPull(skb, 1)) return -EINVAL;
    const first = new Uint8Array(1);
    skbCopyBits(skb, 0, first, 0, 1);
    const version = (first[0] as number) >> 4;
    if (version !== 4 && version !== 6) return -EINVAL;
    proto = version === 4 ? ETH_P_IP : ETH_P_IPV6;
  }
  skbResetMacHeader(skb);
  skb.protocol = proto;
  skb.dev = dev;
  return 0;
}

/**
 * Takes one frame with its headers: the number of bytes, or a negative errno (-EBADFD no device, -EIO
 * device is down, -EBUSY detached with IFF_NAPI, -EINVAL malformed, -ENOMEM). `more`: another follows,
 * and with IFF_NAPI polling can wait for it; at the end of the batch the caller calls tunNapiSchedule().
 * @kernel tun_get_user drivers/net/tun.c
 */
export function tunGetUser(tfile: TunFile, buf: Uint8Array, more = false): number {
  const { dev } = tfile;
  if (dev === null) return -EBADFD;
  const tun = tunOf(dev);
  const v = new DataView(buf.buffer, buf.byteOffset, buf.byteLength);
  let at = 0;
  let proto = 0;
  if ((tun.flags & IFF_NO_PI) === 0) {
    if (buf.length < tunPi.LEN) return -EINVAL;
    proto = tunPi.proto(v, 0);
    at += tunPi.LEN;
  }
  let vnet = -1;
  let hdrLen = 0;
  if ((tun.flags & IFF_VNET_HDR) !== 0) {
    if (buf.length < at + tun.vnetHdrSz) return -EINVAL;
    vnet = at;
    at += tun.vnetHdrSz;
    hdrLen = virtioNetHdr.hdrLen(v, vnet);
    if ((virtioNetHdr.flags(v, vnet) & 1) !== 0) {
      const field = virtioNetHdr.csumStart(v, vnet) + virtioNetHdr.csumOffset(v, vnet) + 2;
      hdrLen = Math.max(hdrLen, field);
    }
    if (hdrLen > buf.length - at) return -EINVAL;
  }
  const len = buf.length - at;
  const tap = (tun.flags & IFF_TAP) !== 0;
  if (len === 0 || (tap && (len < ETH_HLEN || (hdrLen !== 0 && hdrLen < ETH_HLEN)))) return -EINVAL;
  const linear = len <= GOOD_LINEAR ? len : Math.min(hdrLen === 0 ? 128 : hdrLen, GOOD_LINEAR);
  const skb = tunAllocSkb(tfile.machine, buf, at, len, linear);
  if (skb === null) {
    dev.stats.rxDropped++;
    return -ENOMEM;
  }
  if (vnet >= 0 && virtioNetHdrToSkb(skb, v, vnet, tap ? ETH_HLEN : 0, CSUM_OPS) !== 0) {
    dev.stats.rxFrameErrors++;
    kfreeSkb(skb, SKB_DROP_REASON_DEV_HDR, 'tun_get_user');
    return -EINVAL;
  }
  const err = classify(tun, dev, skb, proto);
  if (err !== 0) {
    dev.stats.rxDropped++;
    kfreeSkb(skb, SKB_DROP_REASON_INVALID_PROTO, 'tun_get_user');
    return err;
  }
  return tunDeliver(tfile, dev, skb, more) ?? buf.length;
}

/** Null: all is well. */
function tunDeliver(tfile: TunFile, dev: NetDevice, skb: SkBuff, more: boolean): number | null {
  const { machine, napi } = tfile;
  const { tfiles, flows } = tunOf(dev);
  const { len } = skb;
  skbResetNetworkHeader(skb);
  skbProbeTransportHeader(skb);
  skbRecordRxQueue(skb, tfile.queueIndex);
  if ((dev.flags & IFF_UP) === 0) {
    dev.stats.rxDropped++;
    kfreeSkb(skb, SKB_DROP_REASON_DEV_READY, 'tun_get_user');
    return -EIO;
  }
  if (napi !== null && tfile.detached) {
    // Its polling is off: it would lie there for good.
    kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, 'tun_get_user');
    return -EBUSY;
  }
  const learns = flows !== null && tfiles.length > 1 && !tfile.detached;
  const hash = learns ? __skbGetHashSymmetric(skb) : 0;
  devSwNetstatsRxAdd(dev, len);
  localBhDisable(machine);
  if (napi === null) {
    netifReceiveSkb(skb);
  } else {
    __skbQueueTail(tfile.writeQueue, skb);
    if (!more || tfile.writeQueue.qlen > NAPI_POLL_WEIGHT) napiSchedule(napi);
  }
  localBhEnable(machine);
  if (learns) tunFlowUpdate(flows, hash, tfile.queueIndex);
  return null;
}

/** Has what was written polled: the interrupt of an embedder's queue. */
export function tunNapiSchedule(tfile: TunFile): void {
  if (tfile.napi !== null && tfile.writeQueue.next !== null) napiSchedule(tfile.napi);
}

/** @kernel tun_napi_receive drivers/net/tun.c */
function tunNapiReceive(napi: NapiStruct, queue: SkBuffHead, budget: number): number {
  let received = 0;
  while (received < budget) {
    const skb = __skbDequeue(queue);
    if (skb === null) break;
    napiGroReceive(napi, skb);
    received++;
  }
  return received;
}

/** @kernel tun_napi_poll drivers/net/tun.c */
function tunNapiPoll(napi: NapiStruct, queue: SkBuffHead, budget: number): number {
  const received = tunNapiReceive(napi, queue, budget);
  if (received < budget) napiCompleteDone(napi, received);
  return received;
}

/** @kernel tun_napi_init drivers/net/tun.c */
export function tunNapiInit(tfile: TunFile, dev: NetDevice): void {
  const { writeQueue } = tfile;
  const napi = netifNapiAdd(dev, (n, budget) => tunNapiPoll(n, writeQueue, budget));
  napiEnable(napi);
  tfile.napi = napi;
}

/** @kernel tun_napi_del drivers/net/tun.c */
export function tunNapiDel(tfile: TunFile): void {
  const { napi } = tfile;
  if (napi === null) return;
  tfile.napi = null;
  // A detached one is disabled already.
  if (!tfile.detached) napiDisable(napi);
  netifNapiDel(napi);
}

/** What may be done now: POLL* mask. @kernel tun_chr_poll drivers/net/tun.c */
export function tunPollMask(tfile: TunFile): number {
  const { dev } = tfile;
  if (dev === null) return POLLERR;
  let mask = tfile.txRing.next !== null ? POLLIN | POLLRDNORM : 0;
  if ((dev.flags & IFF_UP) !== 0) mask |= POLLOUT | POLLWRNORM;
  return mask;
}
