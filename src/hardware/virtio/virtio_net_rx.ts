/**
 * The receiver of a virtio network device: filters, chooses a queue, writes frames into the driver's
 * buffers. Virtio 1.2 section 5.1.6.3 to 5.1.6.5.
 *
 * Frames for which the driver has given no buffers wait, up to a limit, as in the queue of a TAP.
 */

import {
  type FrameFifo,
  RX_BACKLOG,
  rxQueue,
  type VirtioNetDevice,
} from '#hardware/virtio/virtio_net_device.ts';
import { finishFrames } from '#hardware/virtio/virtio_net_offload.ts';
import { steer } from '#hardware/virtio/virtio_net_steer.ts';
import { neededOffload } from '#hardware/virtio/virtio_net_tx.ts';
import {
  CHAIN_BAD,
  CHAIN_NONE,
  disableNotify,
  enableNotify,
  flushUsed,
  popChain,
  putUsed,
  resetChains,
  unpopChains,
  type VirtioChains,
  type VirtioQueue,
} from '#hardware/virtio/virtio_queue.ts';
import { freeFrame, freeFrames, WIRE_CSUM, type WireFrame } from '#hardware/wire.ts';
import { WIRE_BAD_CRC, WIRE_FILTERED, WIRE_NO_DESCRIPTOR } from '#include/trace/events/packet.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { dmaView, memops } from '#mm/memory.ts';
import {
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_NONE,
  virtioNetHdr,
} from '#uapi/virtio_net.ts';

const ETH_HEADER = 14;
const ETHERTYPE_VLAN = 0x8100;

function drop(dev: VirtioNetDevice, frame: WireFrame, why: number): void {
  if (tracepointKey.enabled) dev.machine.trace.packet.wireDrop.probe?.(frame, why);
  freeFrame(frame);
}

/** A frame has arrived from the line. The receiver owns it now. */
export function receive(dev: VirtioNetDevice, frame: WireFrame): void {
  take(dev, frame);
  signalAll(dev);
}

/** Several at once, linked by `next`: the driver hears of all with one interrupt for each queue. */
export function receiveBurst(dev: VirtioNetDevice, first: WireFrame): void {
  for (let frame: WireFrame | null = first; frame !== null; ) {
    const { next }: WireFrame = frame;
    frame.next = null;
    take(dev, frame);
    frame = next;
  }
  signalAll(dev);
}

/** Interrupts for what was stored. */
function signalAll(dev: VirtioNetDevice): void {
  const { pairs, transport } = dev;
  for (let pair = 0; pair < pairs; pair++) {
    const q = rxQueue(dev, pair);
    if (q.usedIdx !== q.signalled) transport.signal(q);
  }
}

function take(dev: VirtioNetDevice, frame: WireFrame): void {
  if (!dev.transport.running) {
    drop(dev, frame, WIRE_FILTERED);
    return;
  }
  if (frame.badCrc || frame.len < ETH_HEADER || !accepts(dev, frame)) {
    dev.counters.rxFiltered++;
    drop(dev, frame, frame.badCrc ? WIRE_BAD_CRC : WIRE_FILTERED);
    return;
  }
  // What the driver does not take unfinished is finished here.
  const { offloads } = dev;
  const canCsum = (offloads & WIRE_CSUM) !== 0;
  const { offload } = frame;
  const gsoType = offload === null ? VIRTIO_NET_HDR_GSO_NONE : offload.gsoType;
  const needed = gsoType === VIRTIO_NET_HDR_GSO_NONE ? 0 : neededOffload(gsoType);
  const canGso = canCsum && (offloads & needed) === needed;
  let one: WireFrame | null = frame;
  if (offload !== null && ((needed !== 0 && !canGso) || !canCsum)) {
    if (needed !== 0 && !canGso) dev.counters.rxCut++;
    one = finishFrames(frame, canCsum, canGso);
  }
  while (one !== null) {
    const { next }: WireFrame = one;
    one.next = null;
    deliver(dev, one);
    one = next;
  }
}

/** Does the frame pass the filters? */
function accepts(dev: VirtioNetDevice, frame: WireFrame): boolean {
  const { addr } = frame;
  if (dev.filterVlans && frame.len >= 18 && dmaView.getUint16(addr + 12) === ETHERTYPE_VLAN) {
    const vid = dmaView.getUint16(addr + 14) & 0xfff;
    if ((((dev.vlans[vid >> 5] as number) >>> (vid & 31)) & 1) === 0) return false;
  }
  if (dev.promisc) return true;
  const high = dmaView.getUint32(addr);
  const low = dmaView.getUint16(addr + 4);
  if (((high >>> 24) & 1) === 0) {
    if (high === dev.macHigh && low === dev.macLow) return true;
    return dev.unicast === null || dev.unicast.has(high * 0x10000 + low);
  }
  if (high === 0xffffffff && low === 0xffff) return true;
  if (dev.allmulti || dev.multicast === null) return true;
  return dev.multicast.has(high * 0x10000 + low);
}

/** Into the driver's buffers, or behind what waits for some. */
function deliver(dev: VirtioNetDevice, frame: WireFrame): void {
  const pair = steer(dev, frame);
  const fifo = dev.backlog[pair] as FrameFifo;
  if (fifo.length === 0 && store(dev, pair, frame)) return;
  if (fifo.length >= RX_BACKLOG) {
    dev.counters.rxNoBuffer++;
    drop(dev, frame, WIRE_NO_DESCRIPTOR);
    return;
  }
  if (fifo.tail === null) fifo.head = frame;
  else fifo.tail.next = frame;
  fifo.tail = frame;
  fifo.length++;
}

/** The driver has given buffers: what waits is stored. */
export function replenished(dev: VirtioNetDevice, pair: number): void {
  const fifo = dev.backlog[pair];
  if (fifo === undefined || pair >= dev.pairs) return;
  for (let frame = fifo.head; frame !== null; frame = fifo.head) {
    // Storing frees the frame.
    const { next }: WireFrame = frame;
    if (!store(dev, pair, frame)) break;
    fifo.head = next;
    if (next === null) fifo.tail = null;
    fifo.length--;
  }
  dev.transport.signal(rxQueue(dev, pair));
}

/** Takes chains until `need` bytes fit. CHAIN_*; NONE: there are not enough, and none is taken. */
function collect(dev: VirtioNetDevice, q: VirtioQueue, need: number): number {
  const { rxChains: chains } = dev;
  resetChains(chains);
  let found = CHAIN_NONE;
  do {
    found = popChain(q, chains, dev.iommu);
    if (found === CHAIN_BAD || chains.outCount > 0) return CHAIN_BAD;
  } while (found !== CHAIN_NONE && dev.mergeable && chains.inBytes < need);
  if (found !== CHAIN_NONE) return found;
  unpopChains(q, chains.chains);
  enableNotify(q);
  return CHAIN_NONE;
}

/** Writes a frame into buffers. False: there are none, it has to wait. */
function store(dev: VirtioNetDevice, pair: number, frame: WireFrame): boolean {
  const q = rxQueue(dev, pair);
  const { rxChains: chains, counters } = dev;
  const need = virtioNetHdr.V1_LEN + frame.len;
  const found = q.enabled ? collect(dev, q, need) : CHAIN_NONE;
  if (found === CHAIN_NONE) return false;
  if (found === CHAIN_BAD) {
    dev.transport.fail();
    freeFrame(frame);
    return true;
  }
  if (chains.inBytes < need) {
    // One buffer must hold all, and this does not.
    unpopChains(q, chains.chains);
    counters.rxTooLong++;
    drop(dev, frame, WIRE_NO_DESCRIPTOR);
    return true;
  }
  disableNotify(q);
  const at = scatter(chains, frame);
  if (tracepointKey.enabled) dev.machine.trace.packet.wireReceive.probe?.(frame, at);
  let left = need;
  for (let i = 0; i < chains.chains; i++) {
    const n = Math.min(left, chains.room[i] as number);
    putUsed(q, chains.head[i] as number, n, i);
    left -= n;
  }
  flushUsed(q, chains.chains);
  counters.rxPackets++;
  freeFrame(frame);
  return true;
}

/** Octet `i` of the header in front of a frame. */
function headerOctet({ offload }: WireFrame, buffers: number, i: number): number {
  const field = i >> 1;
  if (field === 5) return (buffers >>> (8 * (i & 1))) & 0xff;
  if (offload === null) return 0;
  if (i === 0) return VIRTIO_NET_HDR_F_NEEDS_CSUM;
  if (i === 1) return offload.gsoType;
  let value = offload.csumOffset;
  if (field === 1) value = offload.hdrLen;
  else if (field === 2) value = offload.gsoSize;
  else if (field === 3) value = offload.csumStart;
  return (value >>> (8 * (i & 1))) & 0xff;
}

/** Writes the header where it lies in one piece. */
function putHeader({ offload }: WireFrame, buffers: number, at: number): void {
  virtioNetHdr.setFlags(dmaView, at, offload === null ? 0 : VIRTIO_NET_HDR_F_NEEDS_CSUM);
  virtioNetHdr.setGsoType(dmaView, at, offload === null ? 0 : offload.gsoType);
  virtioNetHdr.setHdrLen(dmaView, at, offload === null ? 0 : offload.hdrLen);
  virtioNetHdr.setGsoSize(dmaView, at, offload === null ? 0 : offload.gsoSize);
  virtioNetHdr.setCsumStart(dmaView, at, offload === null ? 0 : offload.csumStart);
  virtioNetHdr.setCsumOffset(dmaView, at, offload === null ? 0 : offload.csumOffset);
  virtioNetHdr.setNumBuffers(dmaView, at, buffers);
}

/** Writes header and frame into the collected buffers; where the frame's first byte has come to lie. */
function scatter(chains: VirtioChains, frame: WireFrame): number {
  const hdrSize = virtioNetHdr.V1_LEN;
  const buffers = chains.chains;
  let piece = 0;
  let used = 0;
  if ((chains.inLen[0] as number) >= hdrSize) {
    putHeader(frame, buffers, chains.inAddr[0] as number);
    used = hdrSize;
  }
  for (let i = used; i < hdrSize; i++) {
    while (used === (chains.inLen[piece] as number)) {
      piece++;
      used = 0;
    }
    dmaView.setUint8((chains.inAddr[piece] as number) + used, headerOctet(frame, buffers, i));
    used++;
  }
  let first = 0;
  for (let done = 0; done < frame.len; ) {
    const room = (chains.inLen[piece] as number) - used;
    if (room === 0) {
      piece++;
      used = 0;
      continue;
    }
    const n = Math.min(room, frame.len - done);
    const to = (chains.inAddr[piece] as number) + used;
    if (done === 0) first = to;
    memops.copy(to, frame.addr + done, n);
    done += n;
    used += n;
  }
  return first;
}

/** Throws away what waits. */
export function resetRx(dev: VirtioNetDevice): void {
  for (const fifo of dev.backlog) {
    freeFrames(fifo.head);
    fifo.head = null;
    fifo.tail = null;
    fifo.length = 0;
  }
  dev.flows.fill(0);
}
