/**
 * Making frames from a gathered packet: copying, checksum insertion, segmentation, padding, VLAN tags.
 * SDM 3.3.6 (options), 3.4 to 3.5 (segmentation).
 *
 * The chip does what the context descriptor says: it adds up bytes from one offset to another and puts
 * the complement at a third. That the driver has left a pseudo-header's sum there is the driver's affair.
 */
import { type E1000Chip, reg } from '#hardware/e1000/e1000_chip.ts';
import {
  E1000_CTRL,
  E1000_CTRL_VME,
  E1000_TCTL,
  E1000_TCTL_PSP,
  E1000_TXD_CMD_DEXT,
  E1000_TXD_CMD_IC,
  E1000_TXD_CMD_IP,
  E1000_TXD_CMD_TCP,
  E1000_TXD_CMD_TSE,
  E1000_TXD_CMD_VLE,
  E1000_TXD_POPTS_IXSM,
  E1000_TXD_POPTS_TXSM,
  E1000_VET,
} from '#hardware/e1000/e1000_regs.ts';
import { DMA_TO_DEVICE } from '#hardware/pci/iommu.ts';
import { allocFrame, WIRE_MAX_FRAME, type WireFrame } from '#hardware/wire.ts';
import { csumFold } from '#lib/checksum.ts';
import { dmaView, mem, memops } from '#mm/memory.ts';

/** Shortest frame without its check sequence. */
const MIN_FRAME = 60;
/** Bytes of a VLAN tag, and of the addresses before it. */
const VLAN_TAG = 4;
const ADDRESSES = 12;
// Of the TCP header: sequence number, flags, and the flags that only the last segment may carry.
const TCP_SEQ = 4;
const TCP_FLAGS = 13;
const TCP_FIN_PSH = 0x09;
// Of IPv4 and IPv6 headers.
const IPV4_TOTAL_LENGTH = 2;
const IPV4_ID = 4;
const IPV6_PAYLOAD_LENGTH = 4;
const IPV6_HEADER = 40;
const UDP_LENGTH = 4;

/** Reads `len` bytes of the packet, from where the last read ended, to `to`. */
function gather(chip: E1000Chip, to: number, len: number): void {
  const { txPieceAddr, txPieceLen } = chip;
  let at = to;
  let left = len;
  while (left > 0) {
    const piece = chip.txCursorPiece;
    const room = (txPieceLen[piece] as number) - chip.txCursorOffset;
    const n = room < left ? room : left;
    const from = (txPieceAddr[piece] as number) + chip.txCursorOffset;
    chip.pci.iommu.check(from, n, DMA_TO_DEVICE);
    memops.copy(at, from, n);
    at += n;
    left -= n;
    if (n === room) {
      chip.txCursorPiece++;
      chip.txCursorOffset = 0;
    } else {
      chip.txCursorOffset += n;
    }
  }
}

/** Reads `len` bytes from the packet's start, and goes back to where reading was. */
function gatherHead(chip: E1000Chip, to: number, len: number): void {
  const { txCursorPiece, txCursorOffset } = chip;
  chip.txCursorPiece = 0;
  chip.txCursorOffset = 0;
  gather(chip, to, len);
  if (txCursorPiece === 0 && txCursorOffset === 0) return;
  chip.txCursorPiece = txCursorPiece;
  chip.txCursorOffset = txCursorOffset;
}

/** Puts the checksum of the bytes from `start` to `end` (inclusive; 0: to the frame's end) at `at`. */
export function insertChecksum(
  frame: WireFrame,
  start: number,
  end: number,
  at: number,
  isUdp: boolean,
): void {
  const stop = end === 0 ? frame.len : Math.min(end + 1, frame.len);
  if (start >= stop || at + 2 > frame.len) return;
  const sum = csumFold(memops.csumPartial(frame.addr + start, stop - start, 0));
  // RFC 768: no checksum is written as zero, so a sum of zero is written as its equal.
  dmaView.setUint16(frame.addr + at, sum === 0 && isUdp ? 0xffff : sum);
}

/** The checksums that a descriptor with the extended format asks for. */
function insertContextChecksums(chip: E1000Chip, frame: WireFrame): void {
  const context = chip.txContext;
  const options = chip.txFirstUpper >>> 8;
  if ((options & E1000_TXD_POPTS_IXSM) !== 0) {
    const { ipcss, ipcse, ipcso } = context;
    insertChecksum(frame, ipcss, ipcse, ipcso, false);
  }
  if ((options & E1000_TXD_POPTS_TXSM) !== 0) {
    const { tucss, tucse, tucso, cmd } = context;
    insertChecksum(frame, tucss, tucse, tucso, (cmd & E1000_TXD_CMD_TCP) === 0);
  }
}

function pad(chip: E1000Chip, frame: WireFrame): void {
  if (frame.len >= MIN_FRAME || (reg(chip, E1000_TCTL) & E1000_TCTL_PSP) === 0) return;
  mem.fill(0, frame.addr + frame.len, frame.addr + MIN_FRAME);
  frame.len = MIN_FRAME;
}

/** Pushes the tag of the descriptor's special field behind the addresses; room was left before. */
function insertVlanTag(chip: E1000Chip, frame: WireFrame): void {
  memops.copy(frame.addr, frame.addr + VLAN_TAG, ADDRESSES);
  dmaView.setUint16(frame.addr + ADDRESSES, reg(chip, E1000_VET));
  dmaView.setUint16(frame.addr + ADDRESSES + 2, chip.txFirstUpper >>> 16);
}

/** True when the packet being sent is to be cut into segments. */
export function isSegmented(chip: E1000Chip): boolean {
  const { txFirstLower: lower, txContext: context } = chip;
  return (
    (lower & E1000_TXD_CMD_DEXT) !== 0 &&
    (lower & E1000_TXD_CMD_TSE) !== 0 &&
    context.mss > 0 &&
    chip.txPacketLen > context.hdrLen
  );
}

/** Edits the headers of a segment: lengths, identification, sequence number, flags. */
function editSegment(chip: E1000Chip, frame: WireFrame, payload: number, last: boolean): void {
  const { hdrLen, ipcss, tucss, tucso, cmd } = chip.txContext;
  const ip = frame.addr + ipcss;
  const l4 = frame.addr + tucss;
  if ((cmd & E1000_TXD_CMD_IP) !== 0) {
    dmaView.setUint16(ip + IPV4_TOTAL_LENGTH, hdrLen - ipcss + payload);
    dmaView.setUint16(ip + IPV4_ID, dmaView.getUint16(ip + IPV4_ID) + chip.txSegments);
  } else {
    dmaView.setUint16(ip + IPV6_PAYLOAD_LENGTH, hdrLen - ipcss - IPV6_HEADER + payload);
  }
  const l4Len = hdrLen - tucss + payload;
  if ((cmd & E1000_TXD_CMD_TCP) !== 0) {
    dmaView.setUint32(l4 + TCP_SEQ, dmaView.getUint32(l4 + TCP_SEQ) + chip.txSent);
    if (!last) dmaView.setUint8(l4 + TCP_FLAGS, dmaView.getUint8(l4 + TCP_FLAGS) & ~TCP_FIN_PSH);
  } else {
    dmaView.setUint16(l4 + UDP_LENGTH, l4Len);
  }
  // The driver's pseudo-header sum leaves the length out, which differs from segment to segment.
  const seed = dmaView.getUint16(frame.addr + tucso) + l4Len;
  dmaView.setUint16(frame.addr + tucso, (seed & 0xffff) + (seed >>> 16));
}

/**
 * The next frame of the gathered packet; null when packet memory is exhausted or the frame would be
 * longer than a wire carries. Advances `txSent` either way.
 */
export function nextFrame(chip: E1000Chip): WireFrame | null {
  const segmented = isSegmented(chip);
  const { mss, hdrLen } = chip.txContext;
  const total = segmented ? chip.txPacketLen - hdrLen : chip.txPacketLen;
  const payload = segmented ? Math.min(mss, total - chip.txSent) : total;
  const head = segmented ? hdrLen : 0;
  const len = head + payload;
  const tagged =
    (chip.txFirstLower & E1000_TXD_CMD_VLE) !== 0 && (reg(chip, E1000_CTRL) & E1000_CTRL_VME) !== 0;
  const room = tagged ? VLAN_TAG : 0;
  const frame = len > WIRE_MAX_FRAME ? null : allocFrame(Math.max(len, MIN_FRAME) + room);
  if (frame !== null) {
    // Offsets count from the untagged frame, so the tag is made room for and pushed in at the end.
    frame.addr += room;
    frame.len = len;
    if (segmented) gatherHead(chip, frame.addr, head);
    gather(chip, frame.addr + head, payload);
    if (segmented) editSegment(chip, frame, payload, chip.txSent + payload >= total);
    insertChecksums(chip, frame);
    pad(chip, frame);
    if (tagged) {
      frame.addr -= room;
      frame.len += room;
      insertVlanTag(chip, frame);
    }
  } else {
    chip.outOfMemory++;
    skip(chip, chip.txSent === 0 ? len : payload);
  }
  chip.txSent += payload;
  chip.txSegments++;
  return frame;
}

/** Passes over bytes of the packet. */
function skip(chip: E1000Chip, len: number): void {
  let left = len;
  while (left > 0) {
    const room = (chip.txPieceLen[chip.txCursorPiece] as number) - chip.txCursorOffset;
    const n = Math.min(room, left);
    left -= n;
    chip.txCursorOffset += n;
    if (n < room) return;
    chip.txCursorPiece++;
    chip.txCursorOffset = 0;
  }
}

function insertChecksums(chip: E1000Chip, frame: WireFrame): void {
  const lower = chip.txFirstLower;
  if ((lower & E1000_TXD_CMD_DEXT) !== 0) insertContextChecksums(chip, frame);
  else if ((lower & E1000_TXD_CMD_IC) !== 0) {
    // The legacy format has its two offsets in the descriptor itself.
    insertChecksum(frame, (chip.txFirstUpper >>> 8) & 0xff, 0, (lower >>> 16) & 0xff, false);
  }
}
