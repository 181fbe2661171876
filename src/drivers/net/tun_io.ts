/**
 * Frames between a tun or tap device and its program. Counterpart of those parts of drivers/net/tun.c;
 * see tun.ts.
 */

import {
  devCoreStatsTxDroppedInc,
  devSwNetstatsRxAdd,
  devSwNetstatsTxAdd,
  NET_XMIT_DROP,
  NETDEV_TX_OK,
  type NetDevice,
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
import { virtioNetHdrFromSkb, virtioNetHdrToSkb } from '#include/linux/virtio_net.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Machine } from '#kernel/machine.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import { WaitQueueHead, wakeUp } from '#kernel/wait.ts';
import { netifReceiveSkb } from '#net/core/dev_rx.ts';
import { netifTxWakeQueue } from '#net/core/dev_tx.ts';
import { skbProbeTransportHeader } from '#net/core/flow_dissector.ts';
import { allocSkb, allocSkbWithFrags, consumeSkb, kfreeSkb } from '#net/core/skbuff.ts';
import { skbPartialCsumSet } from '#net/core/skbuff_checksum.ts';
import { pskbMayPull } from '#net/core/skbuff_copy.ts';
import { skbCopyBits, skbStoreBits } from '#net/core/skbuff_data.ts';
import { skbTxTimestamp } from '#net/core/skbuff_tstamp.ts';
import { skbOrphanFragsRx } from '#net/core/skbuff_zerocopy.ts';
import { ethTypeTrans } from '#net/ethernet/eth.ts';
import { EAGAIN, EBADFD, EINVAL, EIO, ENOMEM } from '#uapi/errno.ts';
import { IFF_UP } from '#uapi/if.ts';
import { ETH_HLEN, ETH_P_IP, ETH_P_IPV6 } from '#uapi/if_ether.ts';
import { IFF_NO_PI, IFF_TAP, IFF_VNET_HDR, TUN_PKT_STRIP, tunPi } from '#uapi/if_tun.ts';
import {
  SKB_DROP_REASON_DEV_HDR,
  SKB_DROP_REASON_DEV_READY,
  SKB_DROP_REASON_FULL_RING,
  SKB_DROP_REASON_INVALID_PROTO,
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

/** The device's side. @kernel tun_struct drivers/net/tun.c */
export class TunStruct {
  /** IFF_TUN, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, IFF_PERSIST. */
  flags: number;
  /** Features that the program said it can do. */
  setFeatures: number;
  /** Bytes of the virtio_net_hdr in front of a frame: 10, 12 or more. */
  vnetHdrSz: number;
  tfile: TunFile | null;

  constructor(flags: number) {
    this.flags = flags;
    this.setFeatures = 0;
    this.vnetHdrSz = virtioNetHdr.LEN;
    this.tfile = null;
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
  door: TunDoor | null;

  constructor(net: Net) {
    this.net = net;
    this.machine = net.machine;
    this.wq = new WaitQueueHead();
    this.txRing = new SkBuffHead();
    this.dev = null;
    this.door = null;
  }
}

/** The tun behind a device. @kernel netdev_priv include/linux/netdevice.h */
export function tunOf(dev: NetDevice): TunStruct {
  return dev.priv as TunStruct;
}

// From the machine to the program.

/** @kernel tun_net_xmit drivers/net/tun.c */
export function tunNetXmit(skb: SkBuff, dev: NetDevice): number {
  const { tfile } = tunOf(dev);
  let reason = SKB_DROP_REASON_DEV_READY;
  if (tfile !== null) {
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
      const txq = netdevGetTxQueue(dev, 0);
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
  const txq = netdevGetTxQueue(dev, 0);
  // Half a ring of room before the queue runs again: not a wake-up for every frame.
  if (netifTxQueueStopped(txq) && tfile.txRing.qlen <= dev.txQueueLen >> 1) wakeQueue(dev);
  return ret;
}

function wakeQueue(dev: NetDevice): void {
  const { machine } = dev.net;
  localBhDisable(machine);
  netifTxWakeQueue(netdevGetTxQueue(dev, 0));
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
 * device is down, -EINVAL malformed, -ENOMEM).
 * @kernel tun_get_user drivers/net/tun.c
 */
export function tunGetUser(tfile: TunFile, buf: Uint8Array): number {
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
  return tunDeliver(dev, skb, len, buf.length);
}

function tunDeliver(dev: NetDevice, skb: SkBuff, len: number, total: number): number {
  const { machine } = dev.net;
  skbResetNetworkHeader(skb);
  skbProbeTransportHeader(skb);
  if ((dev.flags & IFF_UP) === 0) {
    dev.stats.rxDropped++;
    kfreeSkb(skb, SKB_DROP_REASON_DEV_READY, 'tun_get_user');
    return -EIO;
  }
  devSwNetstatsRxAdd(dev, len);
  localBhDisable(machine);
  netifReceiveSkb(skb);
  localBhEnable(machine);
  return total;
}

/** What may be done now: POLL* mask. @kernel tun_chr_poll drivers/net/tun.c */
export function tunPollMask(tfile: TunFile): number {
  const { dev } = tfile;
  if (dev === null) return POLLERR;
  let mask = tfile.txRing.next !== null ? POLLIN | POLLRDNORM : 0;
  if ((dev.flags & IFF_UP) !== 0) mask |= POLLOUT | POLLWRNORM;
  return mask;
}
