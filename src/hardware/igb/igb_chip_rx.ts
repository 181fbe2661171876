/**
 * The receiver of the 82576: filters frames, finds their queue, keeps them in the packet buffer while
 * that queue has no descriptors, writes them to memory, reports. Datasheet 7.1.
 *
 * A queue that may drop (SRRCTL.DROP_EN) loses what it has no descriptor for (RQDPC counts it);
 * otherwise the frame waits, and all frames behind it (RNBC), until the buffer is full (MPC).
 */
import { reg, setReg } from '#hardware/e1000/e1000_chip.ts';
import {
  FOR_BROADCAST,
  FOR_MULTICAST,
  filterVlan,
  NOT_FOR_US,
} from '#hardware/e1000/e1000_chip_filter.ts';
import { count, countOctets, countRxSize } from '#hardware/e1000/e1000_chip_stats.ts';
import {
  E1000_BPRC,
  E1000_CRCERRS,
  E1000_CTRL,
  E1000_CTRL_VME,
  E1000_GORCL,
  E1000_GPRC,
  E1000_ICR_RXO,
  E1000_MPC,
  E1000_MPRC,
  E1000_RCTL,
  E1000_RCTL_EN,
  E1000_RCTL_LPE,
  E1000_RCTL_SBP,
  E1000_RCTL_SECRC,
  E1000_RNBC,
  E1000_ROC,
  E1000_RUC,
  E1000_RXD_STAT_DD,
  E1000_RXD_STAT_EOP,
  E1000_RXD_STAT_VP,
  E1000_TORL,
  E1000_TPR,
  E1000_VET,
} from '#hardware/e1000/e1000_regs.ts';
import { type IgbChip, ringSize } from '#hardware/igb/igb_chip.ts';
import { filterAddress } from '#hardware/igb/igb_chip_filter.ts';
import { rxCause, setCauses } from '#hardware/igb/igb_chip_irq.ts';
import { checkChecksums, chooseQueue, parseFrame } from '#hardware/igb/igb_chip_rss.ts';
import {
  E1000_RLPML,
  E1000_RXDCTL_QUEUE_ENABLE,
  E1000_RXDEXT_STATERR_CE,
  E1000_RXPBS,
  E1000_SRRCTL_BSIZEPKT_MASK,
  E1000_SRRCTL_BSIZEPKT_SHIFT,
  E1000_SRRCTL_DROP_EN,
  IGB_DESC_SIZE,
  IGB_Q_DBAL,
  IGB_Q_DCTL,
  IGB_Q_DH,
  IGB_Q_DT,
  IGB_Q_RQDPC,
  IGB_Q_SRRCTL,
  IGB_RXD_LENGTH,
  IGB_RXD_PKT_INFO,
  IGB_RXD_RSS,
  IGB_RXD_STATERR,
  IGB_RXD_VLAN,
  rxQueueBase,
} from '#hardware/igb/igb_regs.ts';
import { DMA_BIDIRECTIONAL, DMA_FROM_DEVICE } from '#hardware/pci/iommu.ts';
import { freeFrame, type WireFrame } from '#hardware/wire.ts';
import { WIRE_BAD_CRC, WIRE_FILTERED, WIRE_NO_DESCRIPTOR } from '#include/trace/events/packet.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { dmaView, memops } from '#mm/memory.ts';

const FCS = 4;
/** Frames of legal length, without check sequence; tagged ones may be longer. */
const MIN_FRAME = 60;
const MAX_FRAME = 1514;
const VLAN_TAG = 4;
const ADDRESSES = 12;
/** Bytes of a buffer when SRRCTL names none. */
const DEFAULT_BUFFER = 2048;

/** Bytes of a queue's receive buffers. */
function bufferSize(chip: IgbChip, base: number): number {
  const blocks = reg(chip, base + IGB_Q_SRRCTL) & E1000_SRRCTL_BSIZEPKT_MASK;
  return blocks === 0 ? DEFAULT_BUFFER : blocks << E1000_SRRCTL_BSIZEPKT_SHIFT;
}

/** Descriptors that the chip may fill: from RDH up to, not including, RDT. */
function rxFree(chip: IgbChip, base: number): number {
  const free = reg(chip, base + IGB_Q_DT) - reg(chip, base + IGB_Q_DH);
  return free < 0 ? free + ringSize(chip, base) : free;
}

function hasRoom(chip: IgbChip, base: number, frame: WireFrame): boolean {
  return rxFree(chip, base) * bufferSize(chip, base) >= bytesToStore(chip, frame);
}

function bytesToStore(chip: IgbChip, frame: WireFrame): number {
  return (reg(chip, E1000_RCTL) & E1000_RCTL_SECRC) !== 0 ? frame.len : frame.len + FCS;
}

function drop(chip: IgbChip, frame: WireFrame, reason: number): void {
  if (tracepointKey.enabled) chip.machine.trace.packet.wireDrop.probe?.(frame, reason);
  freeFrame(frame);
}

/** A frame has arrived from the line. The receiver owns it now. */
export function receive(chip: IgbChip, frame: WireFrame): void {
  const enabled = (reg(chip, E1000_RCTL) & E1000_RCTL_EN) !== 0;
  const works = enabled && !chip.faults.rxDead && chip.pci.mastering;
  const kind = works ? accept(chip, frame) : NOT_FOR_US;
  if (kind === NOT_FOR_US) {
    drop(chip, frame, frame.badCrc ? WIRE_BAD_CRC : WIRE_FILTERED);
    return;
  }
  parseFrame(chip, frame.addr, frame.len);
  const queue = chooseQueue(chip);
  const base = rxQueueBase(queue);
  if ((reg(chip, base + IGB_Q_DCTL) & E1000_RXDCTL_QUEUE_ENABLE) === 0) {
    drop(chip, frame, WIRE_FILTERED);
    return;
  }
  const room = hasRoom(chip, base, frame);
  if (chip.rxFifo.length === 0 && room) {
    countGood(chip, frame, kind);
    store(chip, queue, frame);
    return;
  }
  if (!room && (reg(chip, base + IGB_Q_SRRCTL) & E1000_SRRCTL_DROP_EN) !== 0) {
    countGood(chip, frame, kind);
    count(chip, base + IGB_Q_RQDPC);
    drop(chip, frame, WIRE_NO_DESCRIPTOR);
    return;
  }
  wait(chip, queue, frame, kind);
}

/** Keeps a frame in the packet buffer, or loses it when that is full. */
function wait(chip: IgbChip, queue: number, frame: WireFrame, kind: number): void {
  const capacity = (reg(chip, E1000_RXPBS) & 0xffff) * 1024;
  if (chip.rxFifoBytes + frame.len > capacity) {
    count(chip, E1000_MPC);
    drop(chip, frame, WIRE_NO_DESCRIPTOR);
    setCauses(chip, E1000_ICR_RXO);
    return;
  }
  count(chip, E1000_RNBC);
  countGood(chip, frame, kind);
  chip.rxFifoBytes += frame.len;
  chip.rxFifo.push({ frame, queue });
}

/** Looks at a frame and counts it; NOT_FOR_US when it is to be thrown away. */
function accept(chip: IgbChip, frame: WireFrame): number {
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
  const long = (rctl & E1000_RCTL_LPE) !== 0;
  const legal = tagged ? MAX_FRAME + VLAN_TAG : MAX_FRAME;
  const limit = long ? (reg(chip, E1000_RLPML) & 0x3fff) - FCS : legal;
  if (frame.len > limit) {
    count(chip, E1000_ROC);
    return NOT_FOR_US;
  }
  const kind = filterAddress(chip, frame.addr);
  return kind === NOT_FOR_US || filterVlan(chip, frame.addr) ? NOT_FOR_US : kind;
}

/** Counts a frame that was received, and not missed. */
function countGood(chip: IgbChip, frame: WireFrame, kind: number): void {
  if (frame.badCrc) return;
  const size = frame.len + FCS;
  count(chip, E1000_GPRC);
  countOctets(chip, E1000_GORCL, size);
  countRxSize(chip, size);
  if (kind === FOR_BROADCAST) count(chip, E1000_BPRC);
  else if (kind === FOR_MULTICAST) count(chip, E1000_MPRC);
}

/** Takes the VLAN tag out of a frame, in place; returns it, or -1. */
function stripTag(chip: IgbChip, frame: WireFrame): number {
  if ((reg(chip, E1000_CTRL) & E1000_CTRL_VME) === 0) return -1;
  if (dmaView.getUint16(frame.addr + ADDRESSES) !== (reg(chip, E1000_VET) & 0xffff)) return -1;
  const tag = dmaView.getUint16(frame.addr + ADDRESSES + 2);
  memops.copy(frame.addr + VLAN_TAG, frame.addr, ADDRESSES);
  frame.addr += VLAN_TAG;
  frame.len -= VLAN_TAG;
  return tag;
}

/** Writes a parsed frame to memory; there is room for it in its queue. */
function store(chip: IgbChip, queue: number, frame: WireFrame): void {
  const base = rxQueueBase(queue);
  const { rxParse: parse } = chip;
  if (frame.badCrc) parse.checksums = E1000_RXDEXT_STATERR_CE;
  else checkChecksums(chip);
  const tag = stripTag(chip, frame);
  const tp = chip.machine.trace.packet.wireReceive;
  const size = bufferSize(chip, base);
  const total = bytesToStore(chip, frame);
  const ring = ringSize(chip, base);
  let index = reg(chip, base + IGB_Q_DH);
  for (let done = 0; done < total; ) {
    const at = reg(chip, base + IGB_Q_DBAL) + index * IGB_DESC_SIZE;
    const n = Math.min(total - done, size);
    chip.pci.iommu.check(at, IGB_DESC_SIZE, DMA_BIDIRECTIONAL);
    const buffer = dmaView.getUint32(at, true);
    if (done === 0 && tracepointKey.enabled) tp.probe?.(frame, buffer);
    chip.pci.iommu.check(buffer, n, DMA_FROM_DEVICE);
    memops.copy(buffer, frame.addr + done, Math.min(n, Math.max(frame.len - done, 0)));
    done += n;
    writeBack(chip, at, n, tag, done === total);
    index = index + 1 === ring ? 0 : index + 1;
  }
  setReg(chip, base + IGB_Q_DH, index);
  freeFrame(frame);
  rxCause(chip, queue);
}

/** Writes a descriptor back: what the parser has found belongs to the frame's last, too. */
function writeBack(chip: IgbChip, at: number, length: number, tag: number, last: boolean): void {
  const { rxParse: parse } = chip;
  let staterr = parse.checksums | E1000_RXD_STAT_DD;
  if (last) staterr |= E1000_RXD_STAT_EOP;
  if (tag >= 0) staterr |= E1000_RXD_STAT_VP;
  dmaView.setInt32(at + IGB_RXD_PKT_INFO, parse.packetType | parse.rssType, true);
  dmaView.setInt32(at + IGB_RXD_RSS, parse.hash, true);
  dmaView.setUint16(at + IGB_RXD_LENGTH, length, true);
  dmaView.setUint16(at + IGB_RXD_VLAN, tag < 0 ? 0 : tag, true);
  dmaView.setInt32(at + IGB_RXD_STATERR, staterr, true);
}

/** A tail is written: the driver has given descriptors. Frames that wait are stored, in order. */
export function replenished(chip: IgbChip): void {
  const { rxFifo } = chip;
  for (let waiting = rxFifo[0]; waiting !== undefined; waiting = rxFifo[0]) {
    const { frame, queue } = waiting;
    if (!hasRoom(chip, rxQueueBase(queue), frame)) return;
    rxFifo.shift();
    chip.rxFifoBytes -= frame.len;
    parseFrame(chip, frame.addr, frame.len);
    // For the hash; the queue is the one that was chosen when the frame came.
    chooseQueue(chip);
    store(chip, queue, frame);
  }
}

/** Throws away what waits. */
export function resetRx(chip: IgbChip): void {
  for (const { frame } of chip.rxFifo.splice(0)) freeFrame(frame);
  chip.rxFifoBytes = 0;
}
