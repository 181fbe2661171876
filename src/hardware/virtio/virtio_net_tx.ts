/**
 * The transmitter of a virtio network device: takes chains from the transmit queues in turn, makes
 * frames of them and puts these on the line. Virtio 1.2 section 5.1.6.2.
 *
 * As vhost does, it works off what a doorbell has told it of as a whole: a burst, which leaves with its
 * last bit, is completed by one interrupt for each queue, and arrives as one.
 *
 * Towards a peer that takes them, super-packets and missing checksums go as they are. Without a link
 * everything is thrown away, as a TAP does that is down.
 */

import { TX_BURST, txQueue, type VirtioNetDevice } from '#hardware/virtio/virtio_net_device.ts';
import {
  finishFrames,
  isKnownGso,
  segmentHeaderLength,
} from '#hardware/virtio/virtio_net_offload.ts';
import { rememberFlow } from '#hardware/virtio/virtio_net_steer.ts';
import {
  CHAIN_BAD,
  CHAIN_TAKEN,
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
import {
  allocFrame,
  freeFrame,
  freeFrames,
  sendFrames,
  WIRE_CSUM,
  WIRE_ECN,
  WIRE_TSO4,
  WIRE_TSO6,
  WIRE_USO,
  type WireFrame,
  wireBytes,
} from '#hardware/wire.ts';
import { HRTIMER_NORESTART, hrtimerCancel, hrtimerStart } from '#kernel/time/hrtimer.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { dmaView, mem, memops } from '#mm/memory.ts';
import {
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_ECN,
  VIRTIO_NET_HDR_GSO_NONE,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_HDR_GSO_TCPV6,
  virtioNetHdr,
} from '#uapi/virtio_net.ts';

/** Longest frame: 64 KiB of packet behind a link header with tag. */
const MAX_FRAME: number = 65535 + 18;
/** Shortest frame on a real line, without its check sequence. */
const MIN_FRAME = 60;
const ETH_HEADER = 14;
/**
 * What a burst of several may hold of the line's time, in ns: some 40 frames of 1,500 bytes at 10 Gbit/s, but no
 * super-packet of 64 KiB. On a slow line frames go one by one, so that none waits for those behind it.
 */
const BURST_NS = 50_000;

/** There may be something to send. */
export function kickTx(dev: VirtioNetDevice): void {
  if (dev.txBusy) return;
  const { nowNs } = dev.machine;
  if (dev.txDoneNs < nowNs) dev.txDoneNs = nowNs;
  run(dev);
}

/** The last bit of a burst has left. */
export function transmitted(dev: VirtioNetDevice): number {
  sendBurst(dev);
  run(dev);
  return HRTIMER_NORESTART;
}

/** Sends burst after burst, until one takes time or there is no more. */
function run(dev: VirtioNetDevice): void {
  dev.txBusy = true;
  while (dev.transport.running && collectBurst(dev)) {
    if (dev.txDoneNs > dev.machine.nowNs) {
      hrtimerStart(dev.txTimer, dev.txDoneNs);
      signalAll(dev);
      return;
    }
    sendBurst(dev);
  }
  dev.txBusy = false;
  signalAll(dev);
}

/** Interrupts for what was sent. */
function signalAll(dev: VirtioNetDevice): void {
  for (let pair = 0; pair < dev.pairs; pair++) {
    const q = txQueue(dev, pair);
    if (q.usedIdx !== q.signalled) dev.transport.signal(q);
  }
}

/**
 * Takes what the driver has made available, as a burst that goes as one: BURST_NS of a line that takes
 * time, TX_BURST chains. Moves `txDoneNs` to where its last bit leaves. False: there is nothing.
 */
function collectBurst(dev: VirtioNetDevice): boolean {
  let tail: WireFrame | null = null;
  let lineNs = 0;
  while (dev.txCount < TX_BURST) {
    const q = nextChain(dev);
    if (q === null) break;
    if (dev.txCount > 0 && lineNs + timeOf(dev, dev.txChains.outBytes) > BURST_NS) {
      // It is the first of the next burst.
      unpopChains(q, 1);
      dev.txRound = (q.index - 1) >> 1;
      break;
    }
    dev.txPairs[dev.txCount] = (q.index - 1) >> 1;
    dev.txHeads[dev.txCount++] = dev.txChains.head[0] as number;
    let frame = makeFrames(dev, q);
    if (frame === null) continue;
    if (tail === null) dev.txFrames = frame;
    else tail.next = frame;
    for (; frame !== null; frame = frame.next) {
      lineNs += timeOf(dev, wireBytes(frame));
      tail = frame;
    }
  }
  dev.txDoneNs += lineNs;
  return dev.txCount > 0;
}

/** How long the line needs for so many bytes, in ns. */
function timeOf({ rateBps }: VirtioNetDevice, bytes: number): number {
  return rateBps > 0 ? Math.ceil((bytes * 8e9) / rateBps) : 0;
}

/** Takes a chain from the queue whose turn it is; null when all are empty. */
function nextChain(dev: VirtioNetDevice): VirtioQueue | null {
  do {
    for (let looked = 0; looked < dev.pairs; looked++) {
      const pair = (dev.txRound + looked) % dev.pairs;
      const q = txQueue(dev, pair);
      if (!q.enabled) continue;
      resetChains(dev.txChains);
      const found = popChain(q, dev.txChains, dev.iommu);
      if (found === CHAIN_BAD) {
        dev.transport.fail();
        return null;
      }
      if (found === CHAIN_TAKEN) {
        disableNotify(q);
        dev.txRound = (pair + 1) % dev.pairs;
        return q;
      }
    }
    // With a burst in hand the device comes back by itself; only one that rests has to be told.
  } while (dev.txCount === 0 && rest(dev));
  return null;
}

/** Asks the driver to tell of what it adds. True: there is something already. */
function rest(dev: VirtioNetDevice): boolean {
  let more = false;
  for (let pair = 0; pair < dev.pairs; pair++) {
    const q = txQueue(dev, pair);
    if (q.enabled && enableNotify(q)) more = true;
  }
  return more;
}

/** Copies `len` bytes of what the driver gave, from `offset` on. */
function gather(chains: VirtioChains, offset: number, to: number, len: number): void {
  let skip = offset;
  let at = to;
  let left = len;
  for (let i = 0; left > 0; i++) {
    const size = chains.outLen[i] as number;
    if (skip >= size) {
      skip -= size;
      continue;
    }
    const n = Math.min(size - skip, left);
    memops.copy(at, (chains.outAddr[i] as number) + skip, n);
    at += n;
    left -= n;
    skip = 0;
  }
}

/** Where the byte at `offset` lies that the driver gave. */
function addressOf(chains: VirtioChains, offset: number): number {
  let skip = offset;
  for (let i = 0; i < chains.outCount; i++) {
    const size = chains.outLen[i] as number;
    if (skip < size) return (chains.outAddr[i] as number) + skip;
    skip -= size;
  }
  return 0;
}

/** The frames of the chain that was taken, in the form that the peer takes; null: none. */
function makeFrames(dev: VirtioNetDevice, q: VirtioQueue): WireFrame | null {
  const { txChains: chains, counters } = dev;
  const hdrSize = virtioNetHdr.V1_LEN;
  const len = chains.outBytes - hdrSize;
  if (chains.inCount > 0 || len < ETH_HEADER || len > MAX_FRAME) {
    counters.txDropped++;
    return null;
  }
  const { end } = dev;
  if (!dev.linkUp || end === null) return null;
  // Behind the frame, room for a header that comes in pieces.
  const frame = allocFrame(Math.max(len, MIN_FRAME) + hdrSize);
  if (frame === null) {
    counters.txDropped++;
    return null;
  }
  frame.len = len;
  gather(chains, hdrSize, frame.addr, len);
  // Read after the copy: what counts is what the driver had put there when it rang.
  if (!readHeader(dev, frame)) {
    counters.txDropped++;
    freeFrame(frame);
    return null;
  }
  if (tracepointKey.enabled)
    dev.machine.trace.packet.wireTransmit.probe?.(frame, addressOf(chains, hdrSize));
  if (dev.pairs > 1) rememberFlow(dev, frame, (q.index - 1) >> 1);
  counters.txPackets++;
  return forPeer(dev, frame, end.peerOffloads ?? 0);
}

/** Takes from the header of the guest what is to be done to a frame. False: it makes no sense. */
function readHeader(dev: VirtioNetDevice, frame: WireFrame): boolean {
  const { txChains: chains } = dev;
  let at = chains.outAddr[0] as number;
  if ((chains.outLen[0] as number) < virtioNetHdr.V1_LEN) {
    // In pieces: it is put together behind the frame.
    at = frame.addr + Math.max(frame.len, MIN_FRAME);
    gather(chains, 0, at, virtioNetHdr.V1_LEN);
  }
  const flags = virtioNetHdr.flags(dmaView, at);
  const type = virtioNetHdr.gsoType(dmaView, at);
  const start = virtioNetHdr.csumStart(dmaView, at);
  const offset = virtioNetHdr.csumOffset(dmaView, at);
  const size = virtioNetHdr.gsoSize(dmaView, at);
  if ((flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) === 0) return type === VIRTIO_NET_HDR_GSO_NONE;
  if (start + offset + 2 > frame.len) return false;
  let gsoType = VIRTIO_NET_HDR_GSO_NONE;
  let hdrLen = 0;
  if (type !== VIRTIO_NET_HDR_GSO_NONE) {
    if (!isKnownGso(type) || size === 0) return false;
    hdrLen = segmentHeaderLength(frame, type & ~VIRTIO_NET_HDR_GSO_ECN, start);
    if (hdrLen === 0) return false;
    // Otherwise nothing is to be cut: an ordinary frame.
    if (frame.len - hdrLen > size) gsoType = type;
  }
  const cut = gsoType !== VIRTIO_NET_HDR_GSO_NONE;
  frame.offload = {
    csumStart: start,
    csumOffset: offset,
    gsoType,
    gsoSize: cut ? size : 0,
    hdrLen: cut ? hdrLen : 0,
  };
  return true;
}

/** The offload that a super-packet needs of its receiver. */
export function neededOffload(type: number): number {
  const kind = type & ~VIRTIO_NET_HDR_GSO_ECN;
  const ecn = (type & VIRTIO_NET_HDR_GSO_ECN) !== 0 ? WIRE_ECN : 0;
  if (kind === VIRTIO_NET_HDR_GSO_TCPV4) return WIRE_TSO4 | ecn;
  return kind === VIRTIO_NET_HDR_GSO_TCPV6 ? WIRE_TSO6 | ecn : WIRE_USO;
}

/** Brings a frame into the form that the other end takes. */
function forPeer(dev: VirtioNetDevice, frame: WireFrame, offloads: number): WireFrame | null {
  const gsoType = frame.offload === null ? VIRTIO_NET_HDR_GSO_NONE : frame.offload.gsoType;
  const canCsum = (offloads & WIRE_CSUM) !== 0;
  const needed = gsoType === VIRTIO_NET_HDR_GSO_NONE ? 0 : neededOffload(gsoType);
  const canGso = canCsum && (offloads & needed) === needed;
  if (needed !== 0 && !canGso) dev.counters.txCut++;
  if (offloads === 0 && frame.len < MIN_FRAME) pad(frame);
  return finishFrames(frame, canCsum, canGso);
}

/** A real line has no shorter frames. The checksum covers what the network header says, not the padding. */
function pad(frame: WireFrame): void {
  mem.fill(0, frame.addr + frame.len, frame.addr + MIN_FRAME);
  frame.len = MIN_FRAME;
}

/** Hands the burst to the line. The driver gets its buffers back. */
function sendBurst(dev: VirtioNetDevice): void {
  const { txFrames: first, txCount, end } = dev;
  dev.txFrames = null;
  dev.txCount = 0;
  if (end === null) freeFrames(first);
  else if (first !== null) sendFrames(end, first);
  for (let i = 0; i < txCount; i++) {
    const q = txQueue(dev, dev.txPairs[i] as number);
    putUsed(q, dev.txHeads[i] as number, 0, 0);
    flushUsed(q, 1);
  }
}

/** Forgets everything that is under way. */
export function resetTx(dev: VirtioNetDevice): void {
  hrtimerCancel(dev.txTimer);
  freeFrames(dev.txFrames);
  dev.txFrames = null;
  dev.txCount = 0;
  dev.txBusy = false;
  dev.txRound = 0;
}
