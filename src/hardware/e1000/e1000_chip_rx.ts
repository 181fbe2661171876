/**
 * The receiver of the 82540EM: filters frames, keeps them in its packet buffer while the driver has
 * no descriptors for them, writes them to memory, reports. SDM 3.2, 13.4.22 to 13.4.31.
 *
 * A frame needs as many descriptors as its length has buffers. When there are not enough, it waits in
 * the buffer (RNBC counts it); when that is full, it is lost (MPC, and the cause RXO).
 */
import { type E1000Chip, reg, ringSize, setReg } from '#hardware/e1000/e1000_chip.ts';
import { delayReport } from '#hardware/e1000/e1000_chip_delay.ts';
import {
  checkChecksums,
  FOR_BROADCAST,
  FOR_MULTICAST,
  filterAddress,
  filterVlan,
  inexactBit,
  NOT_FOR_US,
} from '#hardware/e1000/e1000_chip_filter.ts';
import { setCauses } from '#hardware/e1000/e1000_chip_irq.ts';
import { count, countOctets, countRxSize } from '#hardware/e1000/e1000_chip_stats.ts';
import {
  E1000_BPRC,
  E1000_CRCERRS,
  E1000_CTRL,
  E1000_CTRL_VME,
  E1000_DESC_SIZE,
  E1000_GORCL,
  E1000_GPRC,
  E1000_ICR_RXDMT0,
  E1000_ICR_RXO,
  E1000_ICR_RXT0,
  E1000_ICR_SRPD,
  E1000_MPC,
  E1000_MPRC,
  E1000_PBA,
  E1000_RCTL,
  E1000_RCTL_BSEX,
  E1000_RCTL_EN,
  E1000_RCTL_LPE,
  E1000_RCTL_RDMTS_MASK,
  E1000_RCTL_RDMTS_SHIFT,
  E1000_RCTL_SBP,
  E1000_RCTL_SECRC,
  E1000_RCTL_SZ_MASK,
  E1000_RCTL_SZ_SHIFT,
  E1000_RDBAL,
  E1000_RDH,
  E1000_RDLEN,
  E1000_RDT,
  E1000_RNBC,
  E1000_ROC,
  E1000_RSRPD,
  E1000_RUC,
  E1000_RXD_CSUM,
  E1000_RXD_ERR_CE,
  E1000_RXD_ERRORS,
  E1000_RXD_LENGTH,
  E1000_RXD_SPECIAL,
  E1000_RXD_STAT_DD,
  E1000_RXD_STAT_EOP,
  E1000_RXD_STAT_IXSM,
  E1000_RXD_STAT_VP,
  E1000_RXD_STATUS,
  E1000_TORL,
  E1000_TPR,
  E1000_VET,
} from '#hardware/e1000/e1000_regs.ts';
import { DMA_BIDIRECTIONAL, DMA_FROM_DEVICE } from '#hardware/pci/iommu.ts';
import { freeFrame, WIRE_MAX_FRAME, type WireFrame } from '#hardware/wire.ts';
import { WIRE_BAD_CRC, WIRE_FILTERED, WIRE_NO_DESCRIPTOR } from '#include/trace/events/packet.ts';
import { hrtimerCancel } from '#kernel/time/hrtimer.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { etherFcs } from '#lib/crc32.ts';
import { dmaView, mem, memops } from '#mm/memory.ts';

const FCS = 4;
/** Frames of legal length, without check sequence; tagged ones may be longer. */
const MIN_FRAME = 60;
const MAX_FRAME = 1514;
const MAX_TAGGED_FRAME = 1518;
const VLAN_TAG = 4;
const ADDRESSES = 12;

/** Bytes of a receive buffer, by RCTL. */
export function rxBufferSize(chip: E1000Chip): number {
  const rctl = reg(chip, E1000_RCTL);
  const size = 2048 >> ((rctl & E1000_RCTL_SZ_MASK) >>> E1000_RCTL_SZ_SHIFT);
  return (rctl & E1000_RCTL_BSEX) !== 0 && size < 2048 ? size * 16 : size;
}

/** Descriptors that the chip may fill: from RDH up to, not including, RDT. */
function rxFree(chip: E1000Chip): number {
  const size = ringSize(chip, E1000_RDLEN);
  const free = reg(chip, E1000_RDT) - reg(chip, E1000_RDH);
  return free < 0 ? free + size : free;
}

function hasRoom(chip: E1000Chip, frame: WireFrame): boolean {
  return rxFree(chip) * rxBufferSize(chip) >= bytesToStore(chip, frame);
}

function bytesToStore(chip: E1000Chip, frame: WireFrame): number {
  return (reg(chip, E1000_RCTL) & E1000_RCTL_SECRC) !== 0 ? frame.len : frame.len + FCS;
}

/** A frame has arrived from the line. The receiver owns it now. */
export function receive(chip: E1000Chip, frame: WireFrame): void {
  const enabled = (reg(chip, E1000_RCTL) & E1000_RCTL_EN) !== 0;
  const works = enabled && !chip.faults.rxDead && chip.pci.mastering;
  const kind = works ? accept(chip, frame) : NOT_FOR_US;
  const tp = chip.machine.trace.packet.wireDrop;
  if (kind === NOT_FOR_US) {
    if (tracepointKey.enabled) tp.probe?.(frame, frame.badCrc ? WIRE_BAD_CRC : WIRE_FILTERED);
    freeFrame(frame);
    return;
  }
  if (chip.rxFifoHead === null && hasRoom(chip, frame)) {
    countGood(chip, frame, kind);
    store(chip, frame);
    return;
  }
  const capacity = (reg(chip, E1000_PBA) & 0xffff) * 1024;
  if (chip.rxFifoBytes + frame.len > capacity) {
    count(chip, E1000_MPC);
    if (tracepointKey.enabled) tp.probe?.(frame, WIRE_NO_DESCRIPTOR);
    freeFrame(frame);
    setCauses(chip, E1000_ICR_RXO);
    return;
  }
  count(chip, E1000_RNBC);
  countGood(chip, frame, kind);
  chip.rxFifoBytes += frame.len;
  if (chip.rxFifoTail === null) chip.rxFifoHead = frame;
  else chip.rxFifoTail.next = frame;
  chip.rxFifoTail = frame;
}

/** Looks at a frame and counts it; NOT_FOR_US when it is to be thrown away. */
function accept(chip: E1000Chip, frame: WireFrame): number {
  const rctl = reg(chip, E1000_RCTL);
  const size = frame.len + FCS;
  count(chip, E1000_TPR);
  countOctets(chip, E1000_TORL, size);
  if (frame.badCrc) {
    count(chip, E1000_CRCERRS);
    if ((rctl & E1000_RCTL_SBP) === 0) return NOT_FOR_US;
  }
  if (frame.len < MIN_FRAME) {
    count(chip, E1000_RUC);
    return NOT_FOR_US;
  }
  const tagged = dmaView.getUint16(frame.addr + ADDRESSES) === (reg(chip, E1000_VET) & 0xffff);
  const limit =
    (rctl & E1000_RCTL_LPE) !== 0 ? WIRE_MAX_FRAME : tagged ? MAX_TAGGED_FRAME : MAX_FRAME;
  if (frame.len > limit) {
    count(chip, E1000_ROC);
    return NOT_FOR_US;
  }
  const kind = filterAddress(chip, frame.addr);
  return kind === NOT_FOR_US || filterVlan(chip, frame.addr) ? NOT_FOR_US : kind;
}

/** Counts a frame that was received, and not missed. */
function countGood(chip: E1000Chip, frame: WireFrame, kind: number): void {
  if (frame.badCrc) return;
  const size = frame.len + FCS;
  count(chip, E1000_GPRC);
  countOctets(chip, E1000_GORCL, size);
  countRxSize(chip, size);
  if (kind === FOR_BROADCAST) count(chip, E1000_BPRC);
  else if (kind === FOR_MULTICAST) count(chip, E1000_MPRC);
}

/** Takes the VLAN tag out of a frame, in place; returns it, or -1. */
function stripTag(chip: E1000Chip, frame: WireFrame): number {
  if ((reg(chip, E1000_CTRL) & E1000_CTRL_VME) === 0) return -1;
  if (dmaView.getUint16(frame.addr + ADDRESSES) !== (reg(chip, E1000_VET) & 0xffff)) return -1;
  const tag = dmaView.getUint16(frame.addr + ADDRESSES + 2);
  memops.copy(frame.addr + VLAN_TAG, frame.addr, ADDRESSES);
  frame.addr += VLAN_TAG;
  frame.len -= VLAN_TAG;
  return tag;
}

/** Writes a frame to memory; there is room for it. */
function store(chip: E1000Chip, frame: WireFrame): void {
  const found = frame.badCrc
    ? E1000_RXD_STAT_IXSM | (E1000_RXD_ERR_CE << 8)
    : checkChecksums(chip, frame.addr, frame.len) | inexactBit(chip, frame.addr);
  const keepFcs = (reg(chip, E1000_RCTL) & E1000_RCTL_SECRC) === 0;
  const fcs = keepFcs ? etherFcs(mem, frame.addr, frame.len) : 0;
  const tag = stripTag(chip, frame);
  const status = (found & 0xff) | E1000_RXD_STAT_DD | (tag < 0 ? 0 : E1000_RXD_STAT_VP);
  const bufferSize = rxBufferSize(chip);
  const total = bytesToStore(chip, frame);
  const ring = ringSize(chip, E1000_RDLEN);
  const freeBefore = rxFree(chip);
  const tp = chip.machine.trace.packet.wireReceive;
  let index = reg(chip, E1000_RDH);
  for (let done = 0; done < total; ) {
    const at = reg(chip, E1000_RDBAL) + index * E1000_DESC_SIZE;
    const n = Math.min(total - done, bufferSize);
    chip.pci.iommu.check(at, E1000_DESC_SIZE, DMA_BIDIRECTIONAL);
    const buffer = dmaView.getUint32(at, true);
    if (done === 0 && tracepointKey.enabled) tp.probe?.(frame, buffer);
    chip.pci.iommu.check(buffer, n, DMA_FROM_DEVICE);
    memops.copy(buffer, frame.addr + done, Math.min(n, Math.max(frame.len - done, 0)));
    if (keepFcs) storeFcs(buffer, n, frame.len - done, fcs);
    done += n;
    dmaView.setUint16(at + E1000_RXD_LENGTH, n, true);
    dmaView.setUint16(at + E1000_RXD_CSUM, 0, true);
    dmaView.setUint8(at + E1000_RXD_ERRORS, found >>> 8);
    dmaView.setUint16(at + E1000_RXD_SPECIAL, tag < 0 ? 0 : tag, true);
    dmaView.setUint8(at + E1000_RXD_STATUS, done === total ? status | E1000_RXD_STAT_EOP : status);
    index = index + 1 === ring ? 0 : index + 1;
  }
  setReg(chip, E1000_RDH, index);
  const { len } = frame;
  freeFrame(frame);
  report(chip, len, freeBefore);
}

/** Writes those octets of the check sequence that fall into a buffer; it begins at `offset`. */
function storeFcs(buffer: number, size: number, offset: number, fcs: number): void {
  for (let i = 0; i < FCS; i++) {
    const at = offset + i;
    if (at >= 0 && at < size) mem[buffer + at] = fcs >>> (8 * i);
  }
}

/** Tells of a stored frame of `len` bytes, before which `freeBefore` descriptors were free. */
function report(chip: E1000Chip, len: number, freeBefore: number): void {
  let causes = 0;
  const step = (reg(chip, E1000_RCTL) & E1000_RCTL_RDMTS_MASK) >>> E1000_RCTL_RDMTS_SHIFT;
  const threshold = ringSize(chip, E1000_RDLEN) >> (step + 1);
  if (freeBefore > threshold && rxFree(chip) <= threshold) causes |= E1000_ICR_RXDMT0;
  if (len + FCS <= (reg(chip, E1000_RSRPD) & 0xfff)) causes |= E1000_ICR_SRPD;
  if (!delayReport(chip, chip.rxDelay)) causes |= E1000_ICR_RXT0;
  if (causes !== 0) setCauses(chip, causes);
}

/** RDT is written: the driver has given descriptors. Frames that wait are stored. */
export function replenished(chip: E1000Chip): void {
  for (let frame = chip.rxFifoHead; frame !== null; frame = chip.rxFifoHead) {
    if (!hasRoom(chip, frame)) return;
    chip.rxFifoHead = frame.next;
    if (frame.next === null) chip.rxFifoTail = null;
    frame.next = null;
    chip.rxFifoBytes -= frame.len;
    store(chip, frame);
  }
}

/** Throws away what waits. */
export function resetRx(chip: E1000Chip): void {
  hrtimerCancel(chip.rxDelay.timer);
  for (let frame = chip.rxFifoHead; frame !== null; ) {
    const { next } = frame;
    freeFrame(frame);
    frame = next;
  }
  chip.rxFifoHead = null;
  chip.rxFifoTail = null;
  chip.rxFifoBytes = 0;
}
