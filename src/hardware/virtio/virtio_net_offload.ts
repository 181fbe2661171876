/**
 * Finishing frames: cutting super-packets into segments and filling in checksums, for a medium whose
 * other end does not take them unfinished. What TAP has the kernel do in Linux.
 *
 * A frame's headers are the guest's word and are checked: what makes no sense is not sent.
 */
import { allocFrame, freeFrame, type WireFrame, type WireOffload } from '#hardware/wire.ts';
import { csumFold, csumFold16 } from '#lib/checksum.ts';
import { dmaView, memops } from '#mm/memory.ts';
import {
  VIRTIO_NET_HDR_GSO_ECN,
  VIRTIO_NET_HDR_GSO_NONE,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_HDR_GSO_TCPV6,
  VIRTIO_NET_HDR_GSO_UDP_L4,
} from '#uapi/virtio_net.ts';

const ETH_HEADER = 14;
const VLAN_TAG = 4;
const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const ETHERTYPE_VLAN = 0x8100;
const IPV4_MIN_HEADER = 20;
const IPV6_HEADER = 40;
const UDP_HEADER = 8;
const TCP_MIN_HEADER = 20;
const PROTO_TCP = 6;
const PROTO_UDP = 17;

// Of IPv4, IPv6, TCP and UDP headers.
const IPV4_TOTAL_LENGTH = 2;
const IPV4_ID = 4;
const IPV4_CHECK = 10;
const IPV4_SADDR = 12;
const IPV6_PAYLOAD_LENGTH = 4;
const IPV6_SADDR = 8;
const TCP_SEQ = 4;
const TCP_DATA_OFFSET = 12;
const TCP_FLAGS = 13;
const TCP_CHECK = 16;
const TCP_FIN_PSH = 0x09;
const TCP_CWR = 0x80;
const UDP_LENGTH = 4;
const UDP_CHECK = 6;

/** Where the network header begins, behind link header and tags. */
export function networkOffset(addr: number): number {
  return dmaView.getUint16(addr + ETH_HEADER - 2) === ETHERTYPE_VLAN
    ? ETH_HEADER + VLAN_TAG
    : ETH_HEADER;
}

/** EtherType behind link header and tags. */
export function etherType(addr: number): number {
  return dmaView.getUint16(addr + networkOffset(addr) - 2);
}

/**
 * Length of the headers that each segment repeats; 0: the frame does not hold what its type says.
 * `start` is where the transport header begins.
 */
export function segmentHeaderLength(frame: WireFrame, type: number, start: number): number {
  const { addr, len } = frame;
  if (len < ETH_HEADER + VLAN_TAG) return 0;
  const network = networkOffset(addr);
  const isUdp = type === VIRTIO_NET_HDR_GSO_UDP_L4;
  const ether = etherType(addr);
  const wanted = type === VIRTIO_NET_HDR_GSO_TCPV6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4;
  if (ether !== wanted && !(isUdp && ether === ETHERTYPE_IPV6)) return 0;
  const ipLen = ether === ETHERTYPE_IPV4 ? IPV4_MIN_HEADER : IPV6_HEADER;
  const l4Len = isUdp ? UDP_HEADER : TCP_MIN_HEADER;
  if (start < network + ipLen || start + l4Len > len) return 0;
  if (isUdp) return start + UDP_HEADER;
  const tcpLen = (dmaView.getUint8(addr + start + TCP_DATA_OFFSET) >>> 4) * 4;
  return tcpLen < TCP_MIN_HEADER || start + tcpLen > len ? 0 : start + tcpLen;
}

/** Puts in the checksum that is still missing. False: it would lie outside the frame. */
export function fillChecksum(frame: WireFrame): boolean {
  const { offload, addr, len } = frame;
  if (offload === null) return true;
  const { csumStart, csumOffset } = offload;
  const at = csumStart + csumOffset;
  if (at + 2 > len) return false;
  const sum = csumFold(memops.csumPartial(addr + csumStart, len - csumStart, 0));
  // RFC 768: no checksum is written as zero, so a sum of zero is written as its equal.
  dmaView.setUint16(addr + at, sum === 0 && csumOffset === UDP_CHECK ? 0xffff : sum);
  frame.offload = null;
  return true;
}

/** Lengths, identification and header checksum of the network header of segment `n`. */
function editNetwork(frame: WireFrame, network: number, n: number): void {
  const ip = frame.addr + network;
  if (etherType(frame.addr) === ETHERTYPE_IPV6) {
    dmaView.setUint16(ip + IPV6_PAYLOAD_LENGTH, frame.len - network - IPV6_HEADER);
    return;
  }
  dmaView.setUint16(ip + IPV4_TOTAL_LENGTH, frame.len - network);
  dmaView.setUint16(ip + IPV4_ID, (dmaView.getUint16(ip + IPV4_ID) + n) & 0xffff);
  const headerLen = (dmaView.getUint8(ip) & 0x0f) * 4;
  dmaView.setUint16(ip + IPV4_CHECK, 0);
  dmaView.setUint16(ip + IPV4_CHECK, csumFold(memops.csumPartial(ip, headerLen, 0)));
}

/** The pseudo-header's sum, folded, for a transport payload of `len` bytes. */
function pseudoSum(addr: number, network: number, protocol: number, len: number): number {
  const isV6 = etherType(addr) === ETHERTYPE_IPV6;
  const from = addr + network + (isV6 ? IPV6_SADDR : IPV4_SADDR);
  return csumFold16(memops.csumPartial(from, isV6 ? 32 : 8, protocol + len));
}

/** Transport header of the segment that begins `done` bytes into the payload. */
function editTransport(
  frame: WireFrame,
  start: number,
  network: number,
  isUdp: boolean,
  done: number,
  last: boolean,
): void {
  const l4 = frame.addr + start;
  const l4Len = frame.len - start;
  if (isUdp) {
    dmaView.setUint16(l4 + UDP_LENGTH, l4Len);
    dmaView.setUint16(l4 + UDP_CHECK, pseudoSum(frame.addr, network, PROTO_UDP, l4Len));
    return;
  }
  dmaView.setUint32(l4 + TCP_SEQ, dmaView.getUint32(l4 + TCP_SEQ) + done);
  let flags = dmaView.getUint8(l4 + TCP_FLAGS);
  if (!last) flags &= ~TCP_FIN_PSH;
  if (done > 0) flags &= ~TCP_CWR;
  dmaView.setUint8(l4 + TCP_FLAGS, flags);
  dmaView.setUint16(l4 + TCP_CHECK, pseudoSum(frame.addr, network, PROTO_TCP, l4Len));
}

/** One segment: `payload` bytes from `done` on; null when memory is short. */
function makeSegment(
  frame: WireFrame,
  offload: WireOffload,
  rest: WireOffload,
  done: number,
  payload: number,
  n: number,
  last: boolean,
): WireFrame | null {
  const { hdrLen, csumStart } = offload;
  const segment = allocFrame(hdrLen + payload);
  if (segment === null) return null;
  const isUdp = (offload.gsoType & ~VIRTIO_NET_HDR_GSO_ECN) === VIRTIO_NET_HDR_GSO_UDP_L4;
  const network = networkOffset(frame.addr);
  memops.copy(segment.addr, frame.addr, hdrLen);
  memops.copy(segment.addr + hdrLen, frame.addr + hdrLen + done, payload);
  segment.origin = frame.origin;
  editNetwork(segment, network, n);
  editTransport(segment, csumStart, network, isUdp, done, last);
  segment.offload = rest;
  return segment;
}

/**
 * Cuts a super-packet, which is used up: the segments, linked by `next`. Those for which memory was
 * short are missing, as if the line had lost them.
 */
export function segmentFrame(frame: WireFrame, offload: WireOffload): WireFrame | null {
  const { csumStart, csumOffset, hdrLen, gsoSize } = offload;
  const rest = { csumStart, csumOffset, gsoType: VIRTIO_NET_HDR_GSO_NONE, gsoSize: 0, hdrLen: 0 };
  const total = frame.len - hdrLen;
  let head: WireFrame | null = null;
  let tail: WireFrame | null = null;
  for (let done = 0, n = 0; done < total; n++) {
    const payload = Math.min(gsoSize, total - done);
    const segment = makeSegment(frame, offload, rest, done, payload, n, done + payload >= total);
    done += payload;
    if (segment === null) continue;
    if (tail === null) head = segment;
    else tail.next = segment;
    tail = segment;
  }
  freeFrame(frame);
  return head;
}

/**
 * Brings a frame into the form that `offloads` (WIRE_*) allows; it is used up. The frames to send,
 * linked by `next`; null when nothing is left.
 */
export function finishFrames(
  frame: WireFrame,
  canCsum: boolean,
  canGso: boolean,
): WireFrame | null {
  let first: WireFrame | null = frame;
  const { offload } = frame;
  if (offload === null) return frame;
  if (offload.gsoType !== VIRTIO_NET_HDR_GSO_NONE && !canGso) first = segmentFrame(frame, offload);
  if (canCsum) return first;
  let head: WireFrame | null = null;
  let tail: WireFrame | null = null;
  while (first !== null) {
    const { next }: WireFrame = first;
    first.next = null;
    if (fillChecksum(first)) {
      if (tail === null) head = first;
      else tail.next = first;
      tail = first;
    } else {
      freeFrame(first);
    }
    first = next;
  }
  return head;
}

/** True for the kinds of super-packets that are known. */
export function isKnownGso(type: number): boolean {
  const kind = type & ~VIRTIO_NET_HDR_GSO_ECN;
  return (
    kind === VIRTIO_NET_HDR_GSO_TCPV4 ||
    kind === VIRTIO_NET_HDR_GSO_TCPV6 ||
    kind === VIRTIO_NET_HDR_GSO_UDP_L4
  );
}
