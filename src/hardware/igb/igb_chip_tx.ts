/**
 * The transmitter of the 82576: reads descriptors of its queues, one packet of each in turn, sends
 * frames at the rate of the line, reports. Datasheet 7.2.
 *
 * When the last bit of a packet's last frame has left, TDH of its queue moves on and descriptors that
 * ask for it (RS) are written back with DD. Without a link the transmitter waits with what it has.
 */
import { reg, setReg } from '#hardware/e1000/e1000_chip.ts';
import { count, countOctets, countTxSize } from '#hardware/e1000/e1000_chip_stats.ts';
import {
  E1000_BPTC,
  E1000_GOTCL,
  E1000_GPTC,
  E1000_MPTC,
  E1000_RCTL,
  E1000_RCTL_LBM_MAC,
  E1000_RCTL_LBM_MASK,
  E1000_TCTL,
  E1000_TCTL_EN,
  E1000_TOTL,
  E1000_TPT,
  E1000_TSCTC,
  E1000_TXD_STAT_DD,
} from '#hardware/e1000/e1000_regs.ts';
import {
  type IgbChip,
  type IgbTxContext,
  type IgbTxQueue,
  ringSize,
  TX_CONTEXTS,
  TX_MAX_PACKET,
  TX_MAX_PIECES,
} from '#hardware/igb/igb_chip.ts';
import { txCause } from '#hardware/igb/igb_chip_irq.ts';
import { headLen, isSegmented, nextFrame } from '#hardware/igb/igb_chip_offload.ts';
import {
  E1000_ADVTXD_DCMD_EOP,
  E1000_ADVTXD_DCMD_RS,
  E1000_ADVTXD_DTALEN_MASK,
  E1000_ADVTXD_DTYP_CTXT,
  E1000_ADVTXD_DTYP_MASK,
  E1000_ADVTXD_IDX_MASK,
  E1000_ADVTXD_IDX_SHIFT,
  E1000_ADVTXD_IPLEN_MASK,
  E1000_ADVTXD_L4LEN_SHIFT,
  E1000_ADVTXD_MACLEN_MASK,
  E1000_ADVTXD_MACLEN_SHIFT,
  E1000_ADVTXD_MSS_SHIFT,
  E1000_ADVTXD_TUCMD_IPV4,
  E1000_ADVTXD_TUCMD_L4T_TCP,
  E1000_ADVTXD_VLAN_SHIFT,
  E1000_TXDCTL_QUEUE_ENABLE,
  IGB_DESC_SIZE,
  IGB_HW_QUEUES,
  IGB_Q_DBAL,
  IGB_Q_DH,
  IGB_Q_DT,
  IGB_TXC_MSS_L4LEN_IDX,
  IGB_TXC_TYPE_TUCMD_MLHL,
  IGB_TXC_VLAN_MACIP_LENS,
  IGB_TXD_CMD_TYPE_LEN,
  IGB_TXD_OLINFO_STATUS,
} from '#hardware/igb/igb_regs.ts';
import { DMA_BIDIRECTIONAL } from '#hardware/pci/iommu.ts';
import { freeFrame, WIRE_OVERHEAD, type WireFrame } from '#hardware/wire.ts';
import { HRTIMER_NORESTART, hrtimerCancel, hrtimerStart } from '#kernel/time/hrtimer.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { dmaView, mem } from '#mm/memory.ts';

/** Bytes of the frame check sequence, which counters include. */
const FCS = 4;

export function isLoopback(chip: IgbChip): boolean {
  return (reg(chip, E1000_RCTL) & E1000_RCTL_LBM_MASK) === E1000_RCTL_LBM_MAC;
}

function canTransmit(chip: IgbChip): boolean {
  const { faults } = chip;
  if ((reg(chip, E1000_TCTL) & E1000_TCTL_EN) === 0) return false;
  if (faults.txHang || faults.txDead || !chip.pci.mastering) return false;
  return chip.linkUp || isLoopback(chip);
}

/** TXDCTL of a queue is written. */
export function enableTxQueue(chip: IgbChip, queue: number, txdctl: number): void {
  if ((txdctl & E1000_TXDCTL_QUEUE_ENABLE) !== 0) chip.txEnabled |= 1 << queue;
  else chip.txEnabled &= ~(1 << queue);
}

/** There may be something to send: a tail has moved, or TCTL or the link changed. */
export function kickTx(chip: IgbChip): void {
  if (chip.txBusy) return;
  const { nowNs } = chip.machine;
  if (chip.txDoneNs < nowNs) chip.txDoneNs = nowNs;
  run(chip);
}

/** The link is gone: what is leaving is sent again when it is back. */
export function pauseTx(chip: IgbChip): void {
  if (hrtimerCancel(chip.txTimer)) chip.txBusy = false;
}

/** The last bit of a frame has left. */
export function transmitted(chip: IgbChip): number {
  finishFrame(chip);
  run(chip);
  return HRTIMER_NORESTART;
}

/** Sends frame after frame, until one takes time or there is no more. */
function run(chip: IgbChip): void {
  // While this runs, interrupt handlers may add descriptors: the loop will see them.
  chip.txBusy = true;
  while (canTransmit(chip) && prepareFrame(chip)) {
    const frame = chip.txFrame as WireFrame;
    if (chip.rateBps > 0) {
      chip.txDoneNs += Math.ceil(((frame.len + WIRE_OVERHEAD) * 8e9) / chip.rateBps);
      if (chip.txDoneNs > chip.machine.nowNs) {
        hrtimerStart(chip.txTimer, chip.txDoneNs);
        return;
      }
    }
    finishFrame(chip);
  }
  chip.txBusy = false;
}

/** Makes `txFrame` the next frame to leave; false when there is none. */
function prepareFrame(chip: IgbChip): boolean {
  while (chip.txFrame === null) {
    const q = chip.txCurrent ?? nextQueue(chip);
    if (q === null) return false;
    chip.txCurrent = q;
    chip.txFrame = nextFrame(chip, q);
    if (chip.txFrame === null && packetDone(q)) completePacket(chip, q);
  }
  return true;
}

/** The next queue in turn that has a whole packet. */
function nextQueue(chip: IgbChip): IgbTxQueue | null {
  const { txEnabled, txNext } = chip;
  // Those from txNext on, then those before it.
  let turns = (txEnabled >>> txNext) | (txEnabled << (IGB_HW_QUEUES - txNext));
  for (turns &= (1 << IGB_HW_QUEUES) - 1; turns !== 0; turns &= turns - 1) {
    const n = 31 - Math.clz32(turns & -turns);
    const q = chip.txQueues[(txNext + n) % IGB_HW_QUEUES] as IgbTxQueue;
    if (!fetchPacket(chip, q)) continue;
    chip.txNext = (q.index + 1) % IGB_HW_QUEUES;
    return q;
  }
  return null;
}

function packetDone(q: IgbTxQueue): boolean {
  return q.sent >= q.packetLen - (isSegmented(q) ? headLen(q) : 0);
}

function loadContext(q: IgbTxQueue, at: number): void {
  const lens = dmaView.getUint32(at + IGB_TXC_VLAN_MACIP_LENS, true);
  const types = dmaView.getUint32(at + IGB_TXC_TYPE_TUCMD_MLHL, true);
  const mss = dmaView.getUint32(at + IGB_TXC_MSS_L4LEN_IDX, true);
  const context = contextOf(q, mss);
  context.vlan = lens >>> E1000_ADVTXD_VLAN_SHIFT;
  context.macLen = (lens >>> E1000_ADVTXD_MACLEN_SHIFT) & E1000_ADVTXD_MACLEN_MASK;
  context.ipLen = lens & E1000_ADVTXD_IPLEN_MASK;
  context.ipv4 = (types & E1000_ADVTXD_TUCMD_IPV4) !== 0;
  context.tcp = (types & E1000_ADVTXD_TUCMD_L4T_TCP) !== 0;
  context.mss = mss >>> E1000_ADVTXD_MSS_SHIFT;
  context.l4Len = (mss >>> E1000_ADVTXD_L4LEN_SHIFT) & 0xff;
}

/** The context that a descriptor names; of data descriptors and of contexts the bits are the same. */
function contextOf(q: IgbTxQueue, word: number): IgbTxContext {
  const index = ((word & E1000_ADVTXD_IDX_MASK) >>> E1000_ADVTXD_IDX_SHIFT) % TX_CONTEXTS;
  return q.contexts[index] as IgbTxContext;
}

/** Reads descriptors up to the end of a packet. False: the ring has no whole packet. */
function fetchPacket(chip: IgbChip, q: IgbTxQueue): boolean {
  const base = reg(chip, q.base + IGB_Q_DBAL);
  const size = ringSize(chip, q.base);
  if (size === 0) return false;
  const tail = reg(chip, q.base + IGB_Q_DT);
  while (q.fetch !== tail) {
    const at = base + q.fetch * IGB_DESC_SIZE;
    chip.pci.iommu.check(at, IGB_DESC_SIZE, DMA_BIDIRECTIONAL);
    const command = dmaView.getInt32(at + IGB_TXD_CMD_TYPE_LEN, true);
    q.fetch = q.fetch + 1 === size ? 0 : q.fetch + 1;
    if ((command & E1000_ADVTXD_DTYP_MASK) === E1000_ADVTXD_DTYP_CTXT) {
      loadContext(q, at);
      continue;
    }
    addPiece(q, at, command);
    if ((command & E1000_ADVTXD_DCMD_EOP) !== 0) {
      q.sent = 0;
      q.segments = 0;
      q.cursorPiece = 0;
      q.cursorOffset = 0;
      return true;
    }
  }
  return false;
}

function addPiece(q: IgbTxQueue, at: number, command: number): void {
  const n = q.pieces;
  if (n === 0) {
    q.packetLen = 0;
    q.command = command;
    q.olinfo = dmaView.getInt32(at + IGB_TXD_OLINFO_STATUS, true);
    q.context = contextOf(q, q.olinfo);
  }
  const len = command & E1000_ADVTXD_DTALEN_MASK;
  // A packet beyond what the chip can hold is cut short.
  if (n === TX_MAX_PIECES || q.packetLen + len > TX_MAX_PACKET) return;
  q.pieceAddr[n] = dmaView.getUint32(at, true);
  q.pieceLen[n] = len;
  q.pieces = n + 1;
  q.packetLen += len;
}

/** A frame has left: hands it to the line, counts it, reports when it was the packet's last. */
function finishFrame(chip: IgbChip): void {
  const frame = chip.txFrame as WireFrame;
  const q = chip.txCurrent as IgbTxQueue;
  chip.txFrame = null;
  const size = frame.len + FCS;
  count(chip, E1000_GPTC);
  count(chip, E1000_TPT);
  countOctets(chip, E1000_GOTCL, size);
  countOctets(chip, E1000_TOTL, size);
  countTxSize(chip, size);
  if (((mem[frame.addr] as number) & 1) !== 0) {
    const broadcast =
      dmaView.getUint16(frame.addr) === 0xffff && dmaView.getUint32(frame.addr + 2) === 0xffffffff;
    count(chip, broadcast ? E1000_BPTC : E1000_MPTC);
  }
  const done = packetDone(q);
  if (done && isSegmented(q)) count(chip, E1000_TSCTC);
  send(chip, q, frame);
  if (done) completePacket(chip, q);
}

function send(chip: IgbChip, q: IgbTxQueue, frame: WireFrame): void {
  if (tracepointKey.enabled)
    chip.machine.trace.packet.wireTransmit.probe?.(frame, q.pieceAddr[0] as number);
  if (isLoopback(chip)) chip.loopback(frame);
  else if (chip.end === null) freeFrame(frame);
  else chip.end.send(frame);
}

/** Writes back the packet's descriptors and reports them. */
function completePacket(chip: IgbChip, q: IgbTxQueue): void {
  q.pieces = 0;
  chip.txCurrent = null;
  const base = reg(chip, q.base + IGB_Q_DBAL);
  const size = ringSize(chip, q.base);
  let report = false;
  let index = reg(chip, q.base + IGB_Q_DH);
  while (index !== q.fetch) {
    const at = base + index * IGB_DESC_SIZE;
    const command = dmaView.getInt32(at + IGB_TXD_CMD_TYPE_LEN, true);
    const context = (command & E1000_ADVTXD_DTYP_MASK) === E1000_ADVTXD_DTYP_CTXT;
    if (!context && (command & E1000_ADVTXD_DCMD_RS) !== 0) {
      dmaView.setInt32(at + IGB_TXD_OLINFO_STATUS, E1000_TXD_STAT_DD, true);
      report = true;
    }
    index = index + 1 === size ? 0 : index + 1;
  }
  setReg(chip, q.base + IGB_Q_DH, index);
  if (report) txCause(chip, q.index);
}

/** Forgets everything that is under way. */
export function resetTx(chip: IgbChip): void {
  hrtimerCancel(chip.txTimer);
  if (chip.txFrame !== null) freeFrame(chip.txFrame);
  chip.txFrame = null;
  chip.txCurrent = null;
  chip.txBusy = false;
  chip.txNext = 0;
  chip.txEnabled = 0;
  for (const q of chip.txQueues) {
    q.pieces = 0;
    q.fetch = 0;
  }
  chip.faults.txHang = false;
}
