/**
 * A split virtqueue, the device's side. Virtio 1.2 section 2.7.
 *
 * The driver is not trusted: a chain that goes in a circle, leaves the ring, or names memory that does
 * not exist makes the device ask for a reset (section 2.1.2) instead of being followed.
 */
import {
  DMA_BIDIRECTIONAL,
  DMA_FROM_DEVICE,
  DMA_TO_DEVICE,
  type Iommu,
} from '#hardware/pci/iommu.ts';
import { dmaView, mem } from '#mm/memory.ts';
import { VIRTIO_MSI_NO_VECTOR } from '#uapi/virtio_pci.ts';
import {
  VRING_AVAIL_F_NO_INTERRUPT,
  VRING_DESC_F_INDIRECT,
  VRING_DESC_F_NEXT,
  VRING_DESC_F_WRITE,
  VRING_USED_F_NO_NOTIFY,
  vringAvail,
  vringAvailSize,
  vringDesc,
  vringNeedEvent,
  vringUsed,
  vringUsedSize,
} from '#uapi/virtio_ring.ts';

/** Pieces that the chains under work may have together. */
const MAX_PIECES = 4096;
/** Chains that one frame may be spread over. */
const MAX_CHAINS = 1024;

/** What popping a chain came to. */
export const CHAIN_NONE = 0;
export const CHAIN_TAKEN = 1;
/** The driver has broken the rules. */
export const CHAIN_BAD = -1;

/**
 * Chains of buffers taken from a queue: those the device reads, then those it writes. Used again and
 * again, so that a packet needs none of its own.
 */
export class VirtioChains {
  readonly outAddr: Int32Array = new Int32Array(MAX_PIECES);
  readonly outLen: Int32Array = new Int32Array(MAX_PIECES);
  readonly inAddr: Int32Array = new Int32Array(MAX_PIECES);
  readonly inLen: Int32Array = new Int32Array(MAX_PIECES);
  /** By chain: its head, and the bytes it has room for. */
  readonly head: Int32Array = new Int32Array(MAX_CHAINS);
  readonly room: Int32Array = new Int32Array(MAX_CHAINS);
  outCount = 0;
  outBytes = 0;
  inCount = 0;
  inBytes = 0;
  chains = 0;
}

/** Forgets what was taken. */
export function resetChains(chains: VirtioChains): void {
  chains.outCount = 0;
  chains.outBytes = 0;
  chains.inCount = 0;
  chains.inBytes = 0;
  chains.chains = 0;
}

export class VirtioQueue {
  readonly index: number;
  /** Entries: most, and as the driver has chosen. */
  readonly sizeMax: number;
  size: number;
  enabled: boolean;
  vector: number;
  desc: number;
  avail: number;
  used: number;
  /** High words of the three addresses: there is no memory up there. */
  high: number;
  event: boolean;
  lastAvail: number;
  usedIdx: number;
  /** `usedIdx` when the driver was last interrupted. */
  signalled: number;

  constructor(index: number, sizeMax: number) {
    this.index = index;
    this.sizeMax = sizeMax;
    this.size = sizeMax;
    this.enabled = false;
    this.vector = VIRTIO_MSI_NO_VECTOR;
    this.desc = 0;
    this.avail = 0;
    this.used = 0;
    this.high = 0;
    this.event = false;
    this.lastAvail = 0;
    this.usedIdx = 0;
    this.signalled = 0;
  }
}

export function resetQueue(q: VirtioQueue): void {
  q.size = q.sizeMax;
  q.enabled = false;
  q.vector = VIRTIO_MSI_NO_VECTOR;
  q.desc = 0;
  q.avail = 0;
  q.used = 0;
  q.high = 0;
  q.event = false;
  q.lastAvail = 0;
  q.usedIdx = 0;
  q.signalled = 0;
}

/** Is this memory? */
function inMemory(addr: number, len: number): boolean {
  return addr > 0 && addr + len <= mem.length;
}

/** True when the rings that the driver has chosen lie in memory, aligned. */
export function ringsInMemory(q: VirtioQueue): boolean {
  const { size, desc, avail, used } = q;
  return (
    q.high === 0 &&
    (desc & 15) === 0 &&
    (avail & 1) === 0 &&
    (used & 3) === 0 &&
    inMemory(desc, vringDesc.LEN * size) &&
    inMemory(avail, vringAvailSize(size)) &&
    inMemory(used, vringUsedSize(size))
  );
}

/** Buffers that the driver has made available and the device has not taken; -1: more than there can be. */
export function availableBuffers(q: VirtioQueue): number {
  const count = (vringAvail.idx(dmaView, q.avail) - q.lastAvail) & 0xffff;
  return count > q.size ? -1 : count;
}

/** Adds one buffer to what was taken. */
function addPiece(chains: VirtioChains, iommu: Iommu, at: number, flags: number): boolean {
  const addr = vringDesc.addr(dmaView, at);
  const len = vringDesc.len(dmaView, at);
  if (vringDesc.addrHigh(dmaView, at) !== 0 || len > mem.length || !inMemory(addr, len))
    return false;
  if ((flags & VRING_DESC_F_WRITE) !== 0) {
    if (chains.inCount === MAX_PIECES) return false;
    if (len > 0) iommu.check(addr, len, DMA_FROM_DEVICE);
    chains.inAddr[chains.inCount] = addr;
    chains.inLen[chains.inCount++] = len;
    chains.inBytes += len;
    return true;
  }
  if (chains.outCount === MAX_PIECES) return false;
  if (len > 0) iommu.check(addr, len, DMA_TO_DEVICE);
  chains.outAddr[chains.outCount] = addr;
  chains.outLen[chains.outCount++] = len;
  chains.outBytes += len;
  return true;
}

/** Follows a chain in a table of `size` descriptors. False: it breaks the rules. */
function walk(
  chains: VirtioChains,
  iommu: Iommu,
  table: number,
  size: number,
  first: number,
  nested: boolean,
): boolean {
  const written = chains.inCount;
  let i = first;
  for (let left = size; left > 0; left--) {
    if (i >= size) return false;
    const at = table + i * vringDesc.LEN;
    const flags = vringDesc.flags(dmaView, at);
    if ((flags & VRING_DESC_F_INDIRECT) !== 0) {
      // A table stands alone, and in no other.
      const alone = !nested && (flags & VRING_DESC_F_NEXT) === 0 && chains.inCount === written;
      return alone && walkIndirect(chains, iommu, at);
    }
    // What is read comes before what is written.
    if ((flags & VRING_DESC_F_WRITE) === 0 && chains.inCount > written) return false;
    if (!addPiece(chains, iommu, at, flags)) return false;
    if ((flags & VRING_DESC_F_NEXT) === 0) return true;
    i = vringDesc.next(dmaView, at);
  }
  // More descriptors than there are: a circle.
  return false;
}

function walkIndirect(chains: VirtioChains, iommu: Iommu, at: number): boolean {
  const addr = vringDesc.addr(dmaView, at);
  const len = vringDesc.len(dmaView, at);
  if (vringDesc.addrHigh(dmaView, at) !== 0 || len === 0 || len % vringDesc.LEN !== 0) return false;
  if (len > MAX_PIECES * vringDesc.LEN || !inMemory(addr, len)) return false;
  iommu.check(addr, len, DMA_TO_DEVICE);
  return walk(chains, iommu, addr, len / vringDesc.LEN, 0, true);
}

/** Takes the next chain, adding its buffers to `chains`. CHAIN_*. */
export function popChain(q: VirtioQueue, chains: VirtioChains, iommu: Iommu): number {
  const count = availableBuffers(q);
  if (count < 0 || chains.chains === MAX_CHAINS) return CHAIN_BAD;
  if (count === 0) return CHAIN_NONE;
  iommu.check(q.avail, vringAvailSize(q.size), DMA_BIDIRECTIONAL);
  const head = vringAvail.ring(dmaView, q.avail, q.lastAvail & (q.size - 1));
  if (head >= q.size) return CHAIN_BAD;
  const before = chains.inBytes;
  if (!walk(chains, iommu, q.desc, q.size, head, false)) return CHAIN_BAD;
  q.lastAvail = (q.lastAvail + 1) & 0xffff;
  chains.head[chains.chains] = head;
  chains.room[chains.chains++] = chains.inBytes - before;
  return CHAIN_TAKEN;
}

/** Puts the last `count` chains back: they were not used. */
export function unpopChains(q: VirtioQueue, count: number): void {
  q.lastAvail = (q.lastAvail - count) & 0xffff;
}

/** Writes a used element `ahead` places beyond what the driver can see. */
export function putUsed(q: VirtioQueue, head: number, len: number, ahead: number): void {
  const slot = (q.usedIdx + ahead) & (q.size - 1);
  vringUsed.setId(dmaView, q.used, slot, head);
  vringUsed.setLen(dmaView, q.used, slot, len);
}

/** Lets the driver see `count` used elements more. */
export function flushUsed(q: VirtioQueue, count: number): void {
  q.usedIdx = (q.usedIdx + count) & 0xffff;
  vringUsed.setIdx(dmaView, q.used, q.usedIdx);
}

/** Does the driver want an interrupt for what it has been shown since the last one? */
export function wantsInterrupt(q: VirtioQueue): boolean {
  const old = q.signalled;
  if (q.usedIdx === old) return false;
  if (!q.event) {
    q.signalled = q.usedIdx;
    return (vringAvail.flags(dmaView, q.avail) & VRING_AVAIL_F_NO_INTERRUPT) === 0;
  }
  q.signalled = q.usedIdx;
  return vringNeedEvent(vringAvail.usedEvent(dmaView, q.avail, q.size), q.usedIdx, old);
}

/**
 * The device waits: the driver is to tell of what it adds to what can be seen now. True: there is
 * something to be taken already.
 */
export function enableNotify(q: VirtioQueue): boolean {
  if (q.event) {
    vringUsed.setAvailEvent(dmaView, q.used, q.size, vringAvail.idx(dmaView, q.avail));
  } else {
    vringUsed.setFlags(dmaView, q.used, 0);
  }
  return availableBuffers(q) !== 0;
}

/** The device looks for itself: the driver need not tell. */
export function disableNotify(q: VirtioQueue): void {
  // With an event index nothing is to be done: the index it waits for lies behind it already.
  if (!q.event) vringUsed.setFlags(dmaView, q.used, VRING_USED_F_NO_NOTIFY);
}
