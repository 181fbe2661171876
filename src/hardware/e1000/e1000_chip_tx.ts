/**
 * The transmitter of the 82540EM: reads descriptors, sends frames at the rate of the line, reports.
 * SDM 3.2 to 3.5 and 13.4.
 *
 * A packet is the descriptors up to one with EOP; it makes one frame, or many when segmented. When the
 * last bit of the last frame has left, TDH moves on and descriptors that ask for it (RS) are written
 * back with DD. Without a link the transmitter waits with what it has.
 */
import {
  type E1000Chip,
  reg,
  ringSize,
  setReg,
  TX_MAX_PACKET,
  TX_MAX_PIECES,
} from '#hardware/e1000/e1000_chip.ts';
import { delayReport } from '#hardware/e1000/e1000_chip_delay.ts';
import { setCauses } from '#hardware/e1000/e1000_chip_irq.ts';
import { isSegmented, nextFrame } from '#hardware/e1000/e1000_chip_offload.ts';
import { count, countOctets, countTxSize } from '#hardware/e1000/e1000_chip_stats.ts';
import {
  E1000_BPTC,
  E1000_DESC_SIZE,
  E1000_GOTCL,
  E1000_GPTC,
  E1000_ICR_TXDW,
  E1000_ICR_TXQE,
  E1000_MPTC,
  E1000_RCTL,
  E1000_RCTL_LBM_MAC,
  E1000_RCTL_LBM_MASK,
  E1000_TCTL,
  E1000_TCTL_EN,
  E1000_TDBAL,
  E1000_TDH,
  E1000_TDLEN,
  E1000_TDT,
  E1000_TOTL,
  E1000_TPT,
  E1000_TSCTC,
  E1000_TXC_CMD_LENGTH,
  E1000_TXC_HDR_LEN,
  E1000_TXC_IPCSE,
  E1000_TXC_IPCSO,
  E1000_TXC_IPCSS,
  E1000_TXC_MSS,
  E1000_TXC_TUCSE,
  E1000_TXC_TUCSO,
  E1000_TXC_TUCSS,
  E1000_TXD_CMD_DEXT,
  E1000_TXD_CMD_EOP,
  E1000_TXD_CMD_IDE,
  E1000_TXD_CMD_RS,
  E1000_TXD_DTYP_C,
  E1000_TXD_DTYP_MASK,
  E1000_TXD_LOWER,
  E1000_TXD_STAT_DD,
  E1000_TXD_UPPER,
} from '#hardware/e1000/e1000_regs.ts';
import { DMA_BIDIRECTIONAL } from '#hardware/pci/iommu.ts';
import { freeFrame, WIRE_OVERHEAD, type WireFrame } from '#hardware/wire.ts';
import { HRTIMER_NORESTART, hrtimerCancel, hrtimerStart } from '#kernel/time/hrtimer.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { dmaView, mem } from '#mm/memory.ts';

/** Bytes of the frame check sequence, which counters include. */
const FCS = 4;
/** Data length of a descriptor: 16 bits in the legacy format, 20 in the extended ones. */
const LEGACY_LENGTH = 0xffff;
const EXTENDED_LENGTH = 0xfffff;

export function isLoopback(chip: E1000Chip): boolean {
  return (reg(chip, E1000_RCTL) & E1000_RCTL_LBM_MASK) === E1000_RCTL_LBM_MAC;
}

function canTransmit(chip: E1000Chip): boolean {
  const { faults } = chip;
  if ((reg(chip, E1000_TCTL) & E1000_TCTL_EN) === 0) return false;
  if (faults.txHang || faults.txDead || !chip.pci.mastering) return false;
  return chip.linkUp || isLoopback(chip);
}

/** There may be something to send: TDT has moved, or TCTL or the link changed. */
export function kickTx(chip: E1000Chip): void {
  if (chip.txBusy) return;
  const { nowNs } = chip.machine;
  if (chip.txDoneNs < nowNs) chip.txDoneNs = nowNs;
  run(chip);
}

/** The link is gone: what is leaving is sent again when it is back. */
export function pauseTx(chip: E1000Chip): void {
  if (hrtimerCancel(chip.txTimer)) chip.txBusy = false;
}

/** The last bit of a frame has left. */
export function transmitted(chip: E1000Chip): number {
  finishFrame(chip);
  run(chip);
  return HRTIMER_NORESTART;
}

/** Sends frame after frame, until one takes time or there is no more. */
function run(chip: E1000Chip): void {
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
function prepareFrame(chip: E1000Chip): boolean {
  while (chip.txFrame === null) {
    if (!chip.txReady && !fetchPacket(chip)) return false;
    chip.txFrame = nextFrame(chip);
    if (chip.txFrame === null && packetDone(chip)) completePacket(chip);
  }
  return true;
}

function packetDone(chip: E1000Chip): boolean {
  const head = isSegmented(chip) ? chip.txContext.hdrLen : 0;
  return chip.txSent >= chip.txPacketLen - head;
}

function loadContext(chip: E1000Chip, at: number): void {
  const context = chip.txContext;
  context.ipcss = dmaView.getUint8(at + E1000_TXC_IPCSS);
  context.ipcso = dmaView.getUint8(at + E1000_TXC_IPCSO);
  context.ipcse = dmaView.getUint16(at + E1000_TXC_IPCSE, true);
  context.tucss = dmaView.getUint8(at + E1000_TXC_TUCSS);
  context.tucso = dmaView.getUint8(at + E1000_TXC_TUCSO);
  context.tucse = dmaView.getUint16(at + E1000_TXC_TUCSE, true);
  context.cmd = dmaView.getInt32(at + E1000_TXC_CMD_LENGTH, true);
  context.hdrLen = dmaView.getUint8(at + E1000_TXC_HDR_LEN);
  context.mss = dmaView.getUint16(at + E1000_TXC_MSS, true);
}

/** Reads descriptors up to the end of a packet. False: the ring has no whole packet. */
function fetchPacket(chip: E1000Chip): boolean {
  const base = reg(chip, E1000_TDBAL);
  const size = ringSize(chip, E1000_TDLEN);
  if (size === 0) return false;
  const tail = reg(chip, E1000_TDT);
  while (chip.txFetch !== tail) {
    const at = base + chip.txFetch * E1000_DESC_SIZE;
    chip.pci.iommu.check(at, E1000_DESC_SIZE, DMA_BIDIRECTIONAL);
    const lower = dmaView.getInt32(at + E1000_TXD_LOWER, true);
    chip.txFetch = chip.txFetch + 1 === size ? 0 : chip.txFetch + 1;
    const extended = (lower & E1000_TXD_CMD_DEXT) !== 0;
    if (extended && (lower & E1000_TXD_DTYP_MASK) === E1000_TXD_DTYP_C) {
      loadContext(chip, at);
      continue;
    }
    addPiece(chip, at, lower, lower & (extended ? EXTENDED_LENGTH : LEGACY_LENGTH));
    if ((lower & E1000_TXD_CMD_EOP) !== 0) {
      chip.txReady = true;
      chip.txSent = 0;
      chip.txSegments = 0;
      chip.txCursorPiece = 0;
      chip.txCursorOffset = 0;
      return true;
    }
  }
  return false;
}

function addPiece(chip: E1000Chip, at: number, lower: number, len: number): void {
  const n = chip.txPieces;
  if (n === 0) {
    chip.txPacketLen = 0;
    chip.txFirstLower = lower;
    chip.txFirstUpper = dmaView.getInt32(at + E1000_TXD_UPPER, true);
  }
  // A packet beyond what the chip can hold is cut short.
  if (n === TX_MAX_PIECES || chip.txPacketLen + len > TX_MAX_PACKET) return;
  chip.txPieceAddr[n] = dmaView.getUint32(at, true);
  chip.txPieceLen[n] = len;
  chip.txPieces = n + 1;
  chip.txPacketLen += len;
}

/** A frame has left: hands it to the line, counts it, reports when it was the packet's last. */
function finishFrame(chip: E1000Chip): void {
  const frame = chip.txFrame as WireFrame;
  chip.txFrame = null;
  const segmented = isSegmented(chip);
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
  const done = packetDone(chip);
  if (done && segmented) count(chip, E1000_TSCTC);
  send(chip, frame);
  if (done) completePacket(chip);
}

function send(chip: E1000Chip, frame: WireFrame): void {
  if (tracepointKey.enabled)
    chip.machine.trace.packet.wireTransmit.probe?.(frame, chip.txPieceAddr[0] as number);
  if (isLoopback(chip)) chip.loopback(frame);
  else if (chip.end === null) freeFrame(frame);
  else chip.end.send(frame);
}

/** Writes back the packet's descriptors and reports them. */
function completePacket(chip: E1000Chip): void {
  chip.txReady = false;
  chip.txPieces = 0;
  const base = reg(chip, E1000_TDBAL);
  const size = ringSize(chip, E1000_TDLEN);
  let report = false;
  let delayed = true;
  let index = reg(chip, E1000_TDH);
  while (index !== chip.txFetch) {
    const at = base + index * E1000_DESC_SIZE;
    const lower = dmaView.getInt32(at + E1000_TXD_LOWER, true);
    if ((lower & E1000_TXD_CMD_RS) !== 0) {
      const status = dmaView.getUint8(at + E1000_TXD_UPPER) | E1000_TXD_STAT_DD;
      dmaView.setUint8(at + E1000_TXD_UPPER, status);
      report = true;
      if ((lower & E1000_TXD_CMD_IDE) === 0) delayed = false;
    }
    index = index + 1 === size ? 0 : index + 1;
  }
  setReg(chip, E1000_TDH, index);
  let causes = 0;
  if (index === reg(chip, E1000_TDT)) causes |= E1000_ICR_TXQE;
  if (report && !(delayed && delayReport(chip, chip.txDelay))) causes |= E1000_ICR_TXDW;
  if (causes !== 0) setCauses(chip, causes);
}

/** Forgets everything that is under way. */
export function resetTx(chip: E1000Chip): void {
  hrtimerCancel(chip.txTimer);
  hrtimerCancel(chip.txDelay.timer);
  if (chip.txFrame !== null) freeFrame(chip.txFrame);
  chip.txFrame = null;
  chip.txBusy = false;
  chip.txReady = false;
  chip.txPieces = 0;
  chip.txFetch = 0;
  chip.faults.txHang = false;
}
