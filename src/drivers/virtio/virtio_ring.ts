/**
 * Split virtqueues, the driver's side: buffers in, used buffers out, and when to tell and be told.
 * Counterpart of drivers/virtio/virtio_ring.c. Virtio 1.2 section 2.7.
 *
 * What the device writes is not trusted: an id that is no buffer of ours breaks the queue, and what
 * is unmapped and freed comes from our own notes or from tables that it may only read, never from the
 * ring's descriptors.
 */
import {
  dmaAllocCoherent,
  dmaFreeCoherent,
  dmaMapSingle,
  dmaUnmapSingle,
} from '#drivers/pci/dma.ts';
import { DMA_FROM_DEVICE, DMA_TO_DEVICE } from '#hardware/pci/iommu.ts';
import {
  type Scatterlist,
  type VirtioDevice,
  Virtqueue,
  type VqCallback,
  virtioHasFeature,
} from '#include/linux/virtio.ts';
import { IRQ_HANDLED, IRQ_NONE } from '#kernel/irq.ts';
import { dmaView } from '#mm/memory.ts';
import { allocPages, putPage } from '#mm/page_alloc.ts';
import { EIO, ENOSPC } from '#uapi/errno.ts';
import { VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC } from '#uapi/virtio_config.ts';
import {
  VRING_AVAIL_F_NO_INTERRUPT,
  VRING_DESC_F_INDIRECT,
  VRING_DESC_F_NEXT,
  VRING_DESC_F_WRITE,
  VRING_USED_F_NO_NOTIFY,
  vringAvail,
  vringDesc,
  vringNeedEvent,
  vringSize,
  vringUsed,
  vringUsedOffset,
} from '#uapi/virtio_ring.ts';

/** Alignment of the used ring: a cache line, as PCI transports ask for. */
const VRING_ALIGN = 64;

/**
 * A queue with a ring of `num` entries in memory; null when there is none left.
 * @kernel vring_create_virtqueue drivers/virtio/virtio_ring.c
 */
export function vringCreateVirtqueue(
  vdev: VirtioDevice,
  index: number,
  num: number,
  name: string,
  callback: VqCallback | null,
  notify: (vq: Virtqueue) => boolean,
): Virtqueue | null {
  const size = vringSize(num, VRING_ALIGN);
  const ring = dmaAllocCoherent(vdev.pdev, size);
  if (ring === 0) return null;
  const indirect = virtioHasFeature(vdev, VIRTIO_RING_F_INDIRECT_DESC);
  const event = virtioHasFeature(vdev, VIRTIO_RING_F_EVENT_IDX);
  const vq = new Virtqueue(vdev, index, name, callback, num, indirect, event, notify);
  vq.ringAddr = ring;
  vq.ringSize = size;
  vq.desc = ring;
  vq.avail = ring + vringDesc.LEN * num;
  vq.used = ring + vringUsedOffset(num, VRING_ALIGN);
  for (let i = 0; i < num; i++) vq.descNext[i] = i + 1;
  // Nobody to call: tell the device as far as flags can.
  if (callback === null) virtqueueDisableCb(vq);
  return vq;
}

/** Gives the ring back; no buffer may be in it. @kernel vring_del_virtqueue drivers/virtio/virtio_ring.c */
export function vringDelVirtqueue(vq: Virtqueue): void {
  if (vq.ringAddr !== 0) dmaFreeCoherent(vq.vdev.pdev, vq.ringSize, vq.ringAddr);
  vq.ringAddr = 0;
  vq.broken = true;
}

// Adding.

/** Writes one descriptor and our note of it. */
function putDesc(vq: Virtqueue, i: number, addr: number, len: number, flags: number): void {
  const at = vq.desc + i * vringDesc.LEN;
  vringDesc.setAddr(dmaView, at, addr);
  vringDesc.setAddrHigh(dmaView, at, 0);
  vringDesc.setLen(dmaView, at, len);
  vringDesc.setFlags(dmaView, at, flags);
  vringDesc.setNext(dmaView, at, vq.descNext[i] as number);
  vq.descAddr[i] = addr;
  vq.descLen[i] = len;
  vq.descFlags[i] = flags;
}

/** Makes buffer `n` of a list known to the device. */
function mapOne(
  vq: Virtqueue,
  sg: Scatterlist,
  n: number,
  out: number,
  premapped: boolean,
): number {
  const addr = sg.addr[n] as number;
  if (premapped) return addr;
  return dmaMapSingle(
    vq.vdev.pdev,
    addr,
    sg.len[n] as number,
    n < out ? DMA_TO_DEVICE : DMA_FROM_DEVICE,
  );
}

/** Fills a table of its own for a list of buffers; 0 when memory is short. @kernel virtqueue_add_split drivers/virtio/virtio_ring.c */
function fillIndirect(vq: Virtqueue, sg: Scatterlist, out: number, premapped: boolean): number {
  const total = sg.nents;
  const size = total * vringDesc.LEN;
  const table = allocPages(size);
  if (table === 0) return 0;
  for (let n = 0; n < total; n++) {
    const at = table + n * vringDesc.LEN;
    vringDesc.setAddr(dmaView, at, mapOne(vq, sg, n, out, premapped));
    vringDesc.setAddrHigh(dmaView, at, 0);
    vringDesc.setLen(dmaView, at, sg.len[n] as number);
    const next = n + 1 < total ? VRING_DESC_F_NEXT : 0;
    vringDesc.setFlags(dmaView, at, next | (n < out ? 0 : VRING_DESC_F_WRITE));
    vringDesc.setNext(dmaView, at, n + 1 < total ? n + 1 : 0);
  }
  return dmaMapSingle(vq.vdev.pdev, table, size, DMA_TO_DEVICE);
}

/**
 * Hands a list of buffers to the device: the first `out` of them it reads, into the others it
 * writes. `data` comes back from virtqueueGetBuf(). 0, -EIO when the queue is broken, -ENOSPC when
 * it is full.
 * @kernel virtqueue_add_sgs drivers/virtio/virtio_ring.c
 * @kernel virtqueue_add_split drivers/virtio/virtio_ring.c
 */
export function virtqueueAddSgs(
  vq: Virtqueue,
  sg: Scatterlist,
  out: number,
  data: unknown,
  ctx: number,
  premapped: boolean,
): number {
  if (vq.broken) return -EIO;
  const total = sg.nents;
  const head = vq.freeHead;
  let needed = total;
  let table = 0;
  if (vq.indirect && total > 1 && vq.numFree > 0) {
    table = fillIndirect(vq, sg, out, premapped);
    if (table !== 0) needed = 1;
  }
  if (vq.numFree < needed) {
    // The device had better use some: it may be waiting for more of them.
    if (out > 0) vq.notify(vq);
    return -ENOSPC;
  }
  let i = head;
  if (table !== 0) {
    putDesc(vq, i, table, total * vringDesc.LEN, VRING_DESC_F_INDIRECT);
    vq.indirAddr[head] = table;
    vq.indirLen[head] = total;
    i = vq.descNext[i] as number;
  } else {
    for (let n = 0; n < total; n++) {
      const next = n + 1 < total ? VRING_DESC_F_NEXT : 0;
      const flags = next | (n < out ? 0 : VRING_DESC_F_WRITE);
      putDesc(vq, i, mapOne(vq, sg, n, out, premapped), sg.len[n] as number, flags);
      i = vq.descNext[i] as number;
    }
  }
  vq.numFree -= needed;
  vq.freeHead = i;
  vq.data[head] = data;
  vq.ctx[head] = ctx;
  vq.premapped[head] = premapped ? 1 : 0;
  vringAvail.setRing(dmaView, vq.avail, vq.availIdxShadow & (vq.num - 1), head);
  vq.availIdxShadow = (vq.availIdxShadow + 1) & 0xffff;
  vringAvail.setIdx(dmaView, vq.avail, vq.availIdxShadow);
  vq.numAdded++;
  // A driver that never kicks: the count would wrap and no event be recognised.
  if (vq.numAdded === 0xffff) virtqueueKick(vq);
  return 0;
}

/** Buffers for the device to read. @kernel virtqueue_add_outbuf drivers/virtio/virtio_ring.c */
export function virtqueueAddOutbuf(vq: Virtqueue, sg: Scatterlist, data: unknown): number {
  return virtqueueAddSgs(vq, sg, sg.nents, data, 0, false);
}

/** Buffers for the device to write into. @kernel virtqueue_add_inbuf_ctx drivers/virtio/virtio_ring.c */
export function virtqueueAddInbufCtx(
  vq: Virtqueue,
  sg: Scatterlist,
  data: unknown,
  ctx: number,
): number {
  return virtqueueAddSgs(vq, sg, 0, data, ctx, false);
}

/** The same with memory that is mapped already. @kernel virtqueue_add_inbuf_premapped drivers/virtio/virtio_ring.c */
export function virtqueueAddInbufPremapped(
  vq: Virtqueue,
  sg: Scatterlist,
  data: unknown,
  ctx: number,
): number {
  return virtqueueAddSgs(vq, sg, 0, data, ctx, true);
}

// Telling the device.

/** True when the device wants to be told of what was added. @kernel virtqueue_kick_prepare drivers/virtio/virtio_ring.c */
export function virtqueueKickPrepare(vq: Virtqueue): boolean {
  const newIdx = vq.availIdxShadow;
  const old = (newIdx - vq.numAdded) & 0xffff;
  vq.numAdded = 0;
  if (vq.event) {
    return vringNeedEvent(vringUsed.availEvent(dmaView, vq.used, vq.num), newIdx, old);
  }
  return (vringUsed.flags(dmaView, vq.used) & VRING_USED_F_NO_NOTIFY) === 0;
}

/** False: the device is gone, and with it the queue. @kernel virtqueue_notify drivers/virtio/virtio_ring.c */
export function virtqueueNotify(vq: Virtqueue): boolean {
  if (vq.broken) return false;
  if (vq.notify(vq)) return true;
  vq.broken = true;
  return false;
}

/** @kernel virtqueue_kick drivers/virtio/virtio_ring.c */
export function virtqueueKick(vq: Virtqueue): boolean {
  return virtqueueKickPrepare(vq) ? virtqueueNotify(vq) : true;
}

// Getting back.

function moreUsed(vq: Virtqueue): boolean {
  return vq.lastUsedIdx !== vringUsed.idx(dmaView, vq.used);
}

/** Unmaps what an indirect table names, and frees the table. */
function freeIndirect(vq: Virtqueue, head: number, premapped: boolean): void {
  const { pdev } = vq.vdev;
  const table = vq.indirAddr[head] as number;
  const total = vq.indirLen[head] as number;
  if (!premapped) {
    // The device may only read the table, so it still holds what we wrote.
    for (let n = 0; n < total; n++) {
      const at = table + n * vringDesc.LEN;
      const write = (vringDesc.flags(dmaView, at) & VRING_DESC_F_WRITE) !== 0;
      dmaUnmapSingle(
        pdev,
        vringDesc.addr(dmaView, at),
        vringDesc.len(dmaView, at),
        write ? DMA_FROM_DEVICE : DMA_TO_DEVICE,
      );
    }
  }
  dmaUnmapSingle(pdev, table, total * vringDesc.LEN, DMA_TO_DEVICE);
  putPage(table);
  vq.indirAddr[head] = 0;
  vq.indirLen[head] = 0;
}

/** Takes a buffer's descriptors back. @kernel detach_buf_split drivers/virtio/virtio_ring.c */
function detachBuf(vq: Virtqueue, head: number): void {
  const premapped = vq.premapped[head] !== 0;
  let i = head;
  let count = 1;
  for (;;) {
    const flags = vq.descFlags[i] as number;
    if (!premapped && (flags & VRING_DESC_F_INDIRECT) === 0) {
      const dir = (flags & VRING_DESC_F_WRITE) !== 0 ? DMA_FROM_DEVICE : DMA_TO_DEVICE;
      dmaUnmapSingle(vq.vdev.pdev, vq.descAddr[i] as number, vq.descLen[i] as number, dir);
    }
    if ((flags & VRING_DESC_F_NEXT) === 0) break;
    i = vq.descNext[i] as number;
    count++;
  }
  if (vq.indirAddr[head] !== 0) freeIndirect(vq, head, premapped);
  vq.descNext[i] = vq.freeHead;
  vq.freeHead = head;
  vq.numFree += count;
  vq.data[head] = null;
}

/** @kernel BAD_RING drivers/virtio/virtio_ring.c */
function badRing(vq: Virtqueue): null {
  vq.broken = true;
  return null;
}

/**
 * The next buffer that the device is done with: what was given with it, or null. `vq.lastLen` is the
 * number of bytes it says it has written, `vq.lastCtx` the buffer's context.
 * @kernel virtqueue_get_buf_ctx drivers/virtio/virtio_ring.c
 */
export function virtqueueGetBuf(vq: Virtqueue): unknown {
  if (vq.broken || !moreUsed(vq)) return null;
  const slot = vq.lastUsedIdx & (vq.num - 1);
  const id = vringUsed.id(dmaView, vq.used, slot);
  const len = vringUsed.len(dmaView, vq.used, slot);
  if (id >= vq.num) return badRing(vq);
  const data = vq.data[id];
  if (data === null) return badRing(vq);
  vq.lastCtx = vq.ctx[id] as number;
  vq.lastLen = len;
  detachBuf(vq, id);
  vq.lastUsedIdx = (vq.lastUsedIdx + 1) & 0xffff;
  // Interrupts are on: the next one for the buffer after this.
  if ((vq.availFlagsShadow & VRING_AVAIL_F_NO_INTERRUPT) === 0) {
    vringAvail.setUsedEvent(dmaView, vq.avail, vq.num, vq.lastUsedIdx);
  }
  return data;
}

/** A buffer that the device has never used, of a queue that has been reset; null: no more. @kernel virtqueue_detach_unused_buf drivers/virtio/virtio_ring.c */
export function virtqueueDetachUnusedBuf(vq: Virtqueue): unknown {
  for (let i = 0; i < vq.num; i++) {
    const data = vq.data[i];
    if (data === null) continue;
    vq.lastCtx = vq.ctx[i] as number;
    detachBuf(vq, i);
    vq.availIdxShadow = (vq.availIdxShadow - 1) & 0xffff;
    vringAvail.setIdx(dmaView, vq.avail, vq.availIdxShadow);
    return data;
  }
  return null;
}

// Being told.

/** Asks the device not to interrupt; it may do so all the same. @kernel virtqueue_disable_cb drivers/virtio/virtio_ring.c */
export function virtqueueDisableCb(vq: Virtqueue): void {
  if ((vq.availFlagsShadow & VRING_AVAIL_F_NO_INTERRUPT) !== 0) return;
  vq.availFlagsShadow |= VRING_AVAIL_F_NO_INTERRUPT;
  if (vq.event) {
    // Just passed: the index comes there again only when it has gone all the way round.
    vringAvail.setUsedEvent(dmaView, vq.avail, vq.num, (vq.lastUsedIdx - 1) & 0xffff);
  } else {
    vringAvail.setFlags(dmaView, vq.avail, vq.availFlagsShadow);
  }
}

/** Interrupts on again; returns what virtqueuePoll() needs. @kernel virtqueue_enable_cb_prepare drivers/virtio/virtio_ring.c */
export function virtqueueEnableCbPrepare(vq: Virtqueue): number {
  if ((vq.availFlagsShadow & VRING_AVAIL_F_NO_INTERRUPT) !== 0) {
    vq.availFlagsShadow &= ~VRING_AVAIL_F_NO_INTERRUPT;
    if (!vq.event) vringAvail.setFlags(dmaView, vq.avail, vq.availFlagsShadow);
  }
  vringAvail.setUsedEvent(dmaView, vq.avail, vq.num, vq.lastUsedIdx);
  return vq.lastUsedIdx;
}

/** Did something come since virtqueueEnableCbPrepare()? @kernel virtqueue_poll drivers/virtio/virtio_ring.c */
export function virtqueuePoll(vq: Virtqueue, lastUsedIdx: number): boolean {
  if (vq.broken) return false;
  return lastUsedIdx !== vringUsed.idx(dmaView, vq.used);
}

/** Interrupts on; false: something came meanwhile, and no interrupt will tell. @kernel virtqueue_enable_cb drivers/virtio/virtio_ring.c */
export function virtqueueEnableCb(vq: Virtqueue): boolean {
  return !virtqueuePoll(vq, virtqueueEnableCbPrepare(vq));
}

/** Interrupts on when most of what is under way is done; false: it is. @kernel virtqueue_enable_cb_delayed drivers/virtio/virtio_ring.c */
export function virtqueueEnableCbDelayed(vq: Virtqueue): boolean {
  if ((vq.availFlagsShadow & VRING_AVAIL_F_NO_INTERRUPT) !== 0) {
    vq.availFlagsShadow &= ~VRING_AVAIL_F_NO_INTERRUPT;
    if (!vq.event) vringAvail.setFlags(dmaView, vq.avail, vq.availFlagsShadow);
  }
  const bufs = (((vq.availIdxShadow - vq.lastUsedIdx) & 0xffff) * 3) >> 2;
  vringAvail.setUsedEvent(dmaView, vq.avail, vq.num, (vq.lastUsedIdx + bufs) & 0xffff);
  return ((vringUsed.idx(dmaView, vq.used) - vq.lastUsedIdx) & 0xffff) <= bufs;
}

/** The interrupt of a queue. @kernel vring_interrupt drivers/virtio/virtio_ring.c */
export function vringInterrupt(_irq: number, devId: unknown): number {
  const vq = devId as Virtqueue;
  if (!moreUsed(vq)) return IRQ_NONE;
  if (vq.broken) return IRQ_NONE;
  if (vq.callback !== null) vq.callback(vq);
  return IRQ_HANDLED;
}

/** No queue of the device is used from now on: it is gone, or lies. @kernel virtio_break_device drivers/virtio/virtio_ring.c */
export function virtioBreakDevice(vdev: VirtioDevice): void {
  for (const vq of vdev.vqs) vq.broken = true;
}
