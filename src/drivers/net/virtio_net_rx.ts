/**
 * Receiving over virtio-net: buffers for the device, and packets from them. Counterpart of that part
 * of drivers/net/virtio_net.c.
 *
 * Three kinds of buffers, by what was agreed:
 *   mergeable  parts of large pages; a packet takes as many as it needs, each a fragment
 *   big        several whole pages for every packet, since it may be a super-packet
 *   small      one slot, in which an ordinary frame goes up as it is
 *
 * All pages come from a page_pool, which keeps them mapped, and go back there with the packet.
 */
import { virtqueueNapiComplete, virtqueueNapiSchedule } from '#drivers/net/virtio_net_napi.ts';
import {
  ewmaPktLenAdd,
  GOOD_COPY_LEN,
  GOOD_PACKET_LEN,
  type ReceiveQueue,
  type SendQueue,
  type VirtnetInfo,
} from '#drivers/net/virtio_net_queue.ts';
import { virtnetPollCleantx } from '#drivers/net/virtio_net_tx.ts';
import {
  virtqueueAddInbufPremapped,
  virtqueueGetBuf,
  virtqueueKickPrepare,
  virtqueueNotify,
} from '#drivers/virtio/virtio_ring.ts';
import type { NapiStruct } from '#include/linux/netdevice.ts';
import {
  MAX_SKB_FRAGS,
  NET_IP_ALIGN,
  NET_SKB_PAD,
  SIZEOF_SKB_SHARED_INFO,
  type SkBuff,
  skbCanCoalesce,
  skbFragSizeAdd,
  skbReserve,
  skbTailroom,
} from '#include/linux/skbuff.ts';
import { skbRecordRxQueue } from '#include/linux/skbuff_rx_queue.ts';
import {
  sgInitTable,
  sgSetBuf,
  type Virtqueue,
  virtqueueGetVringSize,
} from '#include/linux/virtio.ts';
import { virtioNetHdrToSkb } from '#include/linux/virtio_net.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { scheduleDelayedWork } from '#kernel/workqueue.ts';
import { dmaView, memops } from '#mm/memory.ts';
import { CHUNK_SIZE, virtToHeadPage } from '#mm/page_alloc.ts';
import { devKfreeSkbAny } from '#net/core/dev_tx.ts';
import { napiGroReceive } from '#net/core/gro.ts';
import {
  pagePoolAllocFrag,
  pagePoolAllocPages,
  pagePoolFragExtend,
  pagePoolFragRest,
  pagePoolPutPage,
  skbMarkForRecycle,
} from '#net/core/page_pool.ts';
import { allocSkb, buildSkb, napiAllocSkb, skbPut } from '#net/core/skbuff.ts';
import { skbPartialCsumSet } from '#net/core/skbuff_checksum.ts';
import { pskbMayPull } from '#net/core/skbuff_copy.ts';
import { skbAddRxFrag } from '#net/core/skbuff_frags.ts';
import { ethTypeTrans } from '#net/ethernet/eth.ts';
import { ENOMEM } from '#uapi/errno.ts';
import { ETH_HLEN } from '#uapi/if_ether.ts';
import { SKB_DROP_REASON_DEV_HDR, SKB_DROP_REASON_NOMEM } from '#uapi/net_dropreason.ts';
import { virtioNetHdr } from '#uapi/virtio_net.ts';

const PAGE_SIZE = 4096;
const L1_CACHE_BYTES = 64;
/** Bytes before a frame in a small buffer. @kernel VIRTNET_RX_PAD drivers/net/virtio_net.c */
const VIRTNET_RX_PAD: number = NET_IP_ALIGN + NET_SKB_PAD;

const CSUM_OPS = { mayPull: pskbMayPull, partialCsumSet: skbPartialCsumSet } as const;

function align(n: number): number {
  return (n + L1_CACHE_BYTES - 1) & ~(L1_CACHE_BYTES - 1);
}

/** Size for build_skb() of a small buffer. */
function smallBufLen(vi: VirtnetInfo): number {
  return align(vi.hdrLen + VIRTNET_RX_PAD + GOOD_PACKET_LEN) + SIZEOF_SKB_SHARED_INFO;
}

/** Bytes of the next mergeable buffer: as the packets of late were long. @kernel get_mergeable_buf_len drivers/net/virtio_net.c */
export function getMergeableBufLen(rq: ReceiveQueue): number {
  const { hdrLen } = rq.vi;
  const wanted = Math.max(rq.mrgAvgPktLen, rq.minBufLen);
  return align(hdrLen + Math.min(wanted, PAGE_SIZE - hdrLen));
}

// Giving buffers.

/** 0 or a negative errno. @kernel add_recvbuf_small drivers/net/virtio_net.c */
function addRecvbufSmall(rq: ReceiveQueue): number {
  const { vi, pool, sg } = rq;
  const page = pagePoolAllocPages(pool);
  if (page === 0) return -ENOMEM;
  sgInitTable(sg);
  sgSetBuf(sg, page + VIRTNET_RX_PAD, vi.hdrLen + GOOD_PACKET_LEN);
  const err = virtqueueAddInbufPremapped(rq.vq, sg, page, 0);
  if (err < 0) pagePoolPutPage(vi.vdev.machine, pool, page);
  return err;
}

/** One buffer of several pages: the header stands alone, as devices without ANY_LAYOUT want it. @kernel add_recvbuf_big drivers/net/virtio_net.c */
function addRecvbufBig(rq: ReceiveQueue): number {
  const { vi, pool, sg } = rq;
  const count = 1 + vi.bigPacketsNumSkbfrags;
  const pages = rq.bigFree.pop() ?? new Int32Array(count);
  sgInitTable(sg);
  for (let i = 0; i < count; i++) {
    const page = pagePoolAllocPages(pool);
    if (page === 0) {
      while (i > 0) pagePoolPutPage(vi.vdev.machine, pool, pages[--i] as number);
      rq.bigFree.push(pages);
      return -ENOMEM;
    }
    pages[i] = page;
    if (i === 0) {
      sgSetBuf(sg, page, vi.hdrLen);
      sgSetBuf(sg, page + paddedHdrLen(vi), CHUNK_SIZE - paddedHdrLen(vi));
    } else {
      sgSetBuf(sg, page, CHUNK_SIZE);
    }
  }
  const err = virtqueueAddInbufPremapped(rq.vq, sg, pages, 0);
  if (err < 0) freeBig(rq, pages, 0);
  return err;
}

/** Room of the header in a big buffer: the frame behind it is aligned. @kernel padded_vnet_hdr drivers/net/virtio_net.c */
function paddedHdrLen(vi: VirtnetInfo): number {
  return (vi.hdrLen + 15) & ~15;
}

/** 0 or a negative errno. @kernel add_recvbuf_mergeable drivers/net/virtio_net.c */
function addRecvbufMergeable(rq: ReceiveQueue): number {
  const { vi, pool, sg } = rq;
  let len = getMergeableBufLen(rq);
  const buf = pagePoolAllocFrag(pool, len);
  if (buf === 0) return -ENOMEM;
  const hole = pagePoolFragRest(pool);
  if (hole < len) {
    // No other buffer would fit behind: this one gets the rest.
    len += hole;
    pagePoolFragExtend(pool);
  }
  sgInitTable(sg);
  sgSetBuf(sg, buf, len);
  const err = virtqueueAddInbufPremapped(rq.vq, sg, buf, len);
  if (err < 0) pagePoolPutPage(vi.vdev.machine, pool, virtToHeadPage(buf));
  return err;
}

/**
 * Gives the device as many buffers as it can hold. False: memory is short, and it has to be tried
 * again, for nothing else will.
 * @kernel try_fill_recv drivers/net/virtio_net.c
 */
export function tryFillRecv(rq: ReceiveQueue): boolean {
  const { vi, vq } = rq;
  let err = 0;
  do {
    if (vi.mergeableRxBufs) err = addRecvbufMergeable(rq);
    else if (vi.bigPackets) err = addRecvbufBig(rq);
    else err = addRecvbufSmall(rq);
  } while (err === 0 && vq.numFree > 0);
  if (virtqueueKickPrepare(vq) && virtqueueNotify(vq)) rq.stats.kicks++;
  return err !== -ENOMEM;
}

// Freeing buffers.

function freeBig(rq: ReceiveQueue, pages: Int32Array, from: number): void {
  for (let i = from; i < pages.length; i++) {
    pagePoolPutPage(rq.vi.vdev.machine, rq.pool, pages[i] as number);
  }
  rq.bigFree.push(pages);
}

/** A buffer of the device's that makes no packet. @kernel virtnet_rq_free_buf drivers/net/virtio_net.c */
export function virtnetRqFreeBuf(rq: ReceiveQueue, buf: unknown): void {
  if (!rq.vi.mergeableRxBufs && rq.vi.bigPackets) freeBig(rq, buf as Int32Array, 0);
  else pagePoolPutPage(rq.vi.vdev.machine, rq.pool, virtToHeadPage(buf as number));
}

// Packets.

/** Keeps the header: its buffer may be gone when it is read. */
function keepHeader(rq: ReceiveQueue, at: number): void {
  for (let i = 0; i < virtioNetHdr.V1_LEN; i += 4) rq.hdr.setInt32(i, dmaView.getInt32(at + i));
}

/** The frame goes up in its buffer. @kernel receive_small drivers/net/virtio_net.c */
function receiveSmall(rq: ReceiveQueue, page: number, used: number): SkBuff | null {
  const { vi } = rq;
  const { dev } = vi;
  const len = used - vi.hdrLen;
  if (len > GOOD_PACKET_LEN) {
    dev.stats.rxLengthErrors++;
    rq.stats.drops++;
    virtnetRqFreeBuf(rq, page);
    return null;
  }
  const at = page + VIRTNET_RX_PAD;
  keepHeader(rq, at);
  const skb = buildSkb(vi.vdev.machine, page, smallBufLen(vi));
  skb.dev = dev;
  skbMarkForRecycle(skb);
  skbReserve(skb, VIRTNET_RX_PAD + vi.hdrLen);
  skbPut(skb, len);
  traceUnmap(skb, at + vi.hdrLen);
  return skb;
}

function traceUnmap(skb: SkBuff, addr: number): void {
  if (tracepointKey.enabled) skb.machine.trace.packet.dmaUnmap.probe?.(skb, addr);
}

/** @kernel receive_big drivers/net/virtio_net.c */
function receiveBig(rq: ReceiveQueue, pages: Int32Array, used: number): SkBuff | null {
  const { vi } = rq;
  const first = paddedHdrLen(vi);
  let len = used - vi.hdrLen;
  const skb = len > pages.length * CHUNK_SIZE - first ? null : napiAllocSkb(rq.napi, GOOD_COPY_LEN);
  if (skb === null) {
    rq.stats.drops++;
    freeBig(rq, pages, 0);
    return null;
  }
  keepHeader(rq, pages[0] as number);
  traceUnmap(skb, (pages[0] as number) + first);
  skbMarkForRecycle(skb);
  let offset = first;
  const copy = len <= skbTailroom(skb) ? len : ETH_HLEN;
  memops.copy(skbPut(skb, copy), (pages[0] as number) + offset, copy);
  len -= copy;
  offset += copy;
  let i = 0;
  for (; len > 0; i++) {
    const size = Math.min(CHUNK_SIZE - offset, len);
    skbAddRxFrag(skb, i, pages[i] as number, offset, size, CHUNK_SIZE);
    len -= size;
    offset = 0;
  }
  freeBig(rq, pages, i);
  return skb;
}

/** A packet from one mergeable buffer of `truesize` bytes, of which `used` are written. @kernel page_to_skb drivers/net/virtio_net.c */
function pageToSkb(rq: ReceiveQueue, buf: number, used: number, truesize: number): SkBuff | null {
  const { vi } = rq;
  const { hdrLen } = vi;
  const { machine } = vi.vdev;
  const page = virtToHeadPage(buf);
  const at = buf + hdrLen;
  const len = used - hdrLen;
  keepHeader(rq, buf);
  let skb: SkBuff | null;
  if (len > GOOD_COPY_LEN && truesize - used >= SIZEOF_SKB_SHARED_INFO) {
    skb = buildSkb(machine, buf, truesize);
    skb.dev = vi.dev;
    skbMarkForRecycle(skb);
    skbReserve(skb, hdrLen);
    skbPut(skb, len);
    traceUnmap(skb, at);
    return skb;
  }
  skb = napiAllocSkb(rq.napi, GOOD_COPY_LEN);
  if (skb === null) return null;
  skbMarkForRecycle(skb);
  traceUnmap(skb, at);
  const copy = len <= skbTailroom(skb) ? len : ETH_HLEN;
  memops.copy(skbPut(skb, copy), at, copy);
  if (len > copy) skbAddRxFrag(skb, 0, page, at + copy - page, len - copy, truesize);
  else pagePoolPutPage(machine, rq.pool, page);
  return skb;
}

/** Adds a buffer to the packet that `head` begins; where the next goes, or null. @kernel virtnet_skb_append_frag drivers/net/virtio_net.c */
function virtnetSkbAppendFrag(
  rq: ReceiveQueue,
  head: SkBuff,
  last: SkBuff,
  buf: number,
  len: number,
  truesize: number,
): SkBuff | null {
  let curr = last;
  const page = virtToHeadPage(buf);
  if (curr.shinfo.nrFrags === MAX_SKB_FRAGS) {
    const more = allocSkb(head.machine, 0);
    if (more === null) return null;
    skbMarkForRecycle(more);
    if (curr === head) head.shinfo.fragList = more;
    else curr.next = more;
    curr = more;
    head.truesize += more.truesize;
  }
  if (curr !== head) {
    head.dataLen += len;
    head.len += len;
    head.truesize += truesize;
  }
  const i = curr.shinfo.nrFrags;
  if (skbCanCoalesce(curr, i, page, buf - page)) {
    // It continues the buffer before, in the same page: one fragment, one use of the page.
    pagePoolPutPage(head.machine, rq.pool, page);
    skbFragSizeAdd(curr.shinfo, i - 1, len);
    curr.len += len;
    curr.dataLen += len;
    curr.truesize += truesize;
  } else {
    skbAddRxFrag(curr, i, page, buf - page, len, truesize);
  }
  return curr;
}

/** The rest of a packet that is not wanted. @kernel mergeable_buf_free drivers/net/virtio_net.c */
function mergeableBufFree(rq: ReceiveQueue, count: number): void {
  for (let left = count; left > 0; left--) {
    const buf = virtqueueGetBuf(rq.vq);
    if (buf === null) {
      // It says there are more than there are.
      rq.vi.dev.stats.rxLengthErrors++;
      return;
    }
    rq.stats.bytes += rq.vq.lastLen;
    virtnetRqFreeBuf(rq, buf);
  }
}

/** @kernel receive_mergeable drivers/net/virtio_net.c */
function receiveMergeable(
  rq: ReceiveQueue,
  buf: number,
  used: number,
  truesize: number,
): SkBuff | null {
  const { dev } = rq.vi;
  let left = virtioNetHdr.numBuffers(dmaView, buf) - 1;
  const head = used > truesize ? null : pageToSkb(rq, buf, used, truesize);
  if (head === null) {
    if (used > truesize) dev.stats.rxLengthErrors++;
    virtnetRqFreeBuf(rq, buf);
    rq.stats.drops++;
    mergeableBufFree(rq, left);
    return null;
  }
  let curr: SkBuff | null = head;
  let reason: number = SKB_DROP_REASON_DEV_HDR;
  for (; left > 0; left--) {
    const next = virtqueueGetBuf(rq.vq);
    if (next === null) {
      dev.stats.rxLengthErrors++;
      break;
    }
    const len = rq.vq.lastLen;
    const size = rq.vq.lastCtx;
    rq.stats.bytes += len;
    curr = len > size ? null : virtnetSkbAppendFrag(rq, head, curr, next as number, len, size);
    if (curr === null) {
      if (len > size) dev.stats.rxLengthErrors++;
      else reason = SKB_DROP_REASON_NOMEM;
      virtnetRqFreeBuf(rq, next);
      left--;
      break;
    }
  }
  if (left > 0 || curr === null) {
    rq.stats.drops++;
    if (curr === null) mergeableBufFree(rq, left);
    devKfreeSkbAny(head, reason);
    return null;
  }
  rq.mrgAvgPktLen = ewmaPktLenAdd(rq.mrgAvgPktLen, head.len);
  return head;
}

/** A packet from a buffer; null: there was none worth passing on. */
function bufToSkb(rq: ReceiveQueue, buf: unknown, used: number, ctx: number): SkBuff | null {
  const { vi } = rq;
  if (used < vi.hdrLen + ETH_HLEN) {
    vi.dev.stats.rxLengthErrors++;
    virtnetRqFreeBuf(rq, buf);
    return null;
  }
  if (vi.mergeableRxBufs) return receiveMergeable(rq, buf as number, used, ctx);
  if (vi.bigPackets) return receiveBig(rq, buf as Int32Array, used);
  return receiveSmall(rq, buf as number, used);
}

/** Passes a packet on. @kernel virtnet_receive_done drivers/net/virtio_net.c */
function virtnetReceiveDone(rq: ReceiveQueue, skb: SkBuff): void {
  const { dev } = rq.vi;
  if (virtioNetHdrToSkb(skb, rq.hdr, 0, ETH_HLEN, CSUM_OPS) !== 0) {
    dev.stats.rxFrameErrors++;
    devKfreeSkbAny(skb, SKB_DROP_REASON_DEV_HDR);
    return;
  }
  skbRecordRxQueue(skb, rq.index);
  if (!pskbMayPull(skb, ETH_HLEN)) {
    devKfreeSkbAny(skb, SKB_DROP_REASON_DEV_HDR);
    return;
  }
  skb.protocol = ethTypeTrans(skb, dev);
  napiGroReceive(rq.napi, skb);
}

/** Takes at most `budget` packets; returns how many. @kernel virtnet_receive drivers/net/virtio_net.c */
function virtnetReceive(rq: ReceiveQueue, budget: number): number {
  const { vi, vq, stats } = rq;
  let packets = 0;
  while (packets < budget) {
    const buf = virtqueueGetBuf(vq);
    if (buf === null) break;
    const used = vq.lastLen;
    stats.bytes += used - vi.hdrLen;
    const skb = bufToSkb(rq, buf, used, vq.lastCtx);
    if (skb !== null) virtnetReceiveDone(rq, skb);
    packets++;
  }
  stats.packets += packets;
  if (vq.numFree > Math.min(budget, virtqueueGetVringSize(vq)) / 2 && !tryFillRecv(rq)) {
    if (vi.refillEnabled) scheduleDelayedWork(vi.refill, 0);
  }
  return packets;
}

/** Polls a receive queue, and the transmit queue beside it. @kernel virtnet_poll drivers/net/virtio_net.c */
export function virtnetPoll(napi: NapiStruct, budget: number, rq: ReceiveQueue): number {
  virtnetPollCleantx(rq.vi.sq[rq.index] as SendQueue, budget);
  const received = virtnetReceive(rq, budget);
  if (received < budget) virtqueueNapiComplete(napi, rq.vq, received);
  return received;
}

/** The device has received something. @kernel skb_recv_done drivers/net/virtio_net.c */
export function skbRecvDone(vq: Virtqueue): void {
  virtqueueNapiSchedule((vq.priv as ReceiveQueue).napi, vq);
}
