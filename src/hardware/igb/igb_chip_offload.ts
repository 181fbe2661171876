/**
 * Making frames from a gathered packet: copying, checksum insertion, segmentation, padding, VLAN tags.
 * Datasheet 7.2.4 (checksums), 7.2.5 (segmentation).
 *
 * Unlike the 8254x, the chip knows where the checksums of IPv4, TCP and UDP lie: the context descriptor
 * gives lengths of headers only. That the driver has left a pseudo-header's sum is the driver's affair.
 */
import { reg } from '#hardware/e1000/e1000_chip.ts';
import { insertChecksum } from '#hardware/e1000/e1000_chip_offload.ts';
import {
  E1000_CTRL,
  E1000_CTRL_VME,
  E1000_TCTL,
  E1000_TCTL_PSP,
  E1000_VET,
} from '#hardware/e1000/e1000_regs.ts';
import type { IgbChip, IgbTxQueue } from '#hardware/igb/igb_chip.ts';
import {
  E1000_ADVTXD_DCMD_TSE,
  E1000_ADVTXD_DCMD_VLE,
  E1000_ADVTXD_POPTS_IXSM,
  E1000_ADVTXD_POPTS_TXSM,
} from '#hardware/igb/igb_regs.ts';
import { DMA_TO_DEVICE } from '#hardware/pci/iommu.ts';
import { allocFrame, WIRE_MAX_FRAME, type WireFrame } from '#hardware/wire.ts';
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
const TCP_CHECK = 16;
const UDP_LENGTH = 4;
const UDP_CHECK = 6;
// Of IPv4 and IPv6 headers.
const IPV4_TOTAL_LENGTH = 2;
const IPV4_ID = 4;
const IPV4_CHECK = 10;
const IPV6_PAYLOAD_LENGTH = 4;
const IPV6_HEADER = 40;

/** Reads `len` bytes of the packet, from where the last read ended, to `to`; 0: nowhere. */
function gather(chip: IgbChip, q: IgbTxQueue, to: number, len: number): void {
  let at = to;
  let left = len;
  while (left > 0) {
    const piece = q.cursorPiece;
    const room = (q.pieceLen[piece] as number) - q.cursorOffset;
    const n = room < left ? room : left;
    if (to !== 0) {
      const from = (q.pieceAddr[piece] as number) + q.cursorOffset;
      chip.pci.iommu.check(from, n, DMA_TO_DEVICE);
      memops.copy(at, from, n);
      at += n;
    }
    left -= n;
    if (n === room) {
      q.cursorPiece++;
      q.cursorOffset = 0;
    } else {
      q.cursorOffset += n;
    }
  }
}

/** Reads the headers from the packet's start, and goes back to where reading was. */
function gatherHead(chip: IgbChip, q: IgbTxQueue, to: number, len: number): void {
  const { cursorPiece, cursorOffset } = q;
  q.cursorPiece = 0;
  q.cursorOffset = 0;
  gather(chip, q, to, len);
  if (cursorPiece === 0 && cursorOffset === 0) return;
  q.cursorPiece = cursorPiece;
  q.cursorOffset = cursorOffset;
}

/** Bytes of the headers that each segment repeats. */
export function headLen(q: IgbTxQueue): number {
  const { macLen, ipLen, l4Len } = q.context;
  return macLen + ipLen + l4Len;
}

/** True when the packet being sent is to be cut into segments. */
export function isSegmented(q: IgbTxQueue): boolean {
  return (q.command & E1000_ADVTXD_DCMD_TSE) !== 0 && q.context.mss > 0 && q.packetLen > headLen(q);
}

/** The checksums that the packet's first descriptor asks for. */
function insertChecksums(q: IgbTxQueue, frame: WireFrame): void {
  const { macLen, ipLen, tcp } = q.context;
  const l4 = macLen + ipLen;
  if ((q.olinfo & E1000_ADVTXD_POPTS_IXSM) !== 0) {
    insertChecksum(frame, macLen, l4 - 1, macLen + IPV4_CHECK, false);
  }
  if ((q.olinfo & E1000_ADVTXD_POPTS_TXSM) !== 0) {
    insertChecksum(frame, l4, 0, l4 + (tcp ? TCP_CHECK : UDP_CHECK), !tcp);
  }
}

/** Edits the headers of a segment: lengths, identification, sequence number, flags. */
function editSegment(q: IgbTxQueue, frame: WireFrame, payload: number, last: boolean): void {
  const { macLen, ipLen, l4Len, ipv4, tcp } = q.context;
  const ip = frame.addr + macLen;
  const l4 = ip + ipLen;
  if (ipv4) {
    dmaView.setUint16(ip + IPV4_TOTAL_LENGTH, ipLen + l4Len + payload);
    dmaView.setUint16(ip + IPV4_ID, dmaView.getUint16(ip + IPV4_ID) + q.segments);
  } else {
    dmaView.setUint16(ip + IPV6_PAYLOAD_LENGTH, ipLen - IPV6_HEADER + l4Len + payload);
  }
  if (tcp) {
    dmaView.setUint32(l4 + TCP_SEQ, dmaView.getUint32(l4 + TCP_SEQ) + q.sent);
    if (!last) dmaView.setUint8(l4 + TCP_FLAGS, dmaView.getUint8(l4 + TCP_FLAGS) & ~TCP_FIN_PSH);
  } else {
    dmaView.setUint16(l4 + UDP_LENGTH, l4Len + payload);
  }
  // The driver's pseudo-header sum leaves the length out, which differs from segment to segment.
  const check = l4 + (tcp ? TCP_CHECK : UDP_CHECK);
  const seed = dmaView.getUint16(check) + l4Len + payload;
  dmaView.setUint16(check, (seed & 0xffff) + (seed >>> 16));
}

function pad(chip: IgbChip, frame: WireFrame): void {
  if (frame.len >= MIN_FRAME || (reg(chip, E1000_TCTL) & E1000_TCTL_PSP) === 0) return;
  mem.fill(0, frame.addr + frame.len, frame.addr + MIN_FRAME);
  frame.len = MIN_FRAME;
}

/** Pushes the context's tag behind the addresses; room was left before. */
function insertVlanTag(chip: IgbChip, q: IgbTxQueue, frame: WireFrame): void {
  frame.addr -= VLAN_TAG;
  frame.len += VLAN_TAG;
  memops.copy(frame.addr, frame.addr + VLAN_TAG, ADDRESSES);
  dmaView.setUint16(frame.addr + ADDRESSES, reg(chip, E1000_VET));
  dmaView.setUint16(frame.addr + ADDRESSES + 2, q.context.vlan);
}

/**
 * The next frame of the gathered packet; null when packet memory is exhausted or the frame would be
 * longer than a wire carries. Advances `sent` either way.
 */
export function nextFrame(chip: IgbChip, q: IgbTxQueue): WireFrame | null {
  const segmented = isSegmented(q);
  const head = segmented ? headLen(q) : 0;
  const total = q.packetLen - head;
  const payload = segmented ? Math.min(q.context.mss, total - q.sent) : total;
  const len = head + payload;
  const tagged =
    (q.command & E1000_ADVTXD_DCMD_VLE) !== 0 && (reg(chip, E1000_CTRL) & E1000_CTRL_VME) !== 0;
  const room = tagged ? VLAN_TAG : 0;
  const frame = len > WIRE_MAX_FRAME ? null : allocFrame(Math.max(len, MIN_FRAME) + room);
  if (frame !== null) {
    // Offsets count from the untagged frame, so the tag is made room for and pushed in at the end.
    frame.addr += room;
    frame.len = len;
    if (segmented) gatherHead(chip, q, frame.addr, head);
    gather(chip, q, frame.addr + head, payload);
    if (segmented) editSegment(q, frame, payload, q.sent + payload >= total);
    insertChecksums(q, frame);
    pad(chip, frame);
    if (tagged) insertVlanTag(chip, q, frame);
  } else {
    chip.outOfMemory++;
    gather(chip, q, 0, q.sent === 0 ? len : payload);
  }
  q.sent += payload;
  q.segments++;
  return frame;
}
