/**
 * What passes between the physical ports of machines: frames, and who handles them.
 *
 * A frame lies in packet memory, in a unit of its own, and has one owner at a time: the sending
 * port, then the medium, then the receiving port, which frees it. Hardware knows bytes, not packets.
 */
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { mem } from '#mm/memory.ts';
import { allocPages, putPage } from '#mm/page_alloc.ts';

/** Longest frame a port sends: a 16 KiB jumbo with headers, without the check sequence. */
export const WIRE_MAX_FRAME = 16384;

/** Bytes of the frame check sequence, preamble and gap that take time on the wire but are not kept. */
export const WIRE_OVERHEAD = 24;

// What a port takes unfinished, where the medium is memory and not a line: WirePort.offloads.
/** Frames of which the transport checksum is still to be filled in. */
export const WIRE_CSUM = 1;
/** TCP over IPv4, over IPv6, UDP: super-packets that are still to be cut. */
export const WIRE_TSO4 = 2;
export const WIRE_TSO6 = 4;
export const WIRE_USO = 8;
/** Super-packets of TCP with CWR set. */
export const WIRE_ECN = 16;

/** What is left to do to a frame before it may go on a real line. */
export interface WireOffload {
  /** The transport checksum is to be summed from here on, and stored `csumOffset` behind it. */
  readonly csumStart: number;
  readonly csumOffset: number;
  /** VIRTIO_NET_HDR_GSO_*: not 0 in a super-packet, to be cut into segments of `gsoSize` bytes. */
  readonly gsoType: number;
  readonly gsoSize: number;
  /** Bytes of headers that each segment repeats. */
  readonly hdrLen: number;
}

export class WireFrame {
  /** Address of the first byte, the destination address. */
  addr: number;
  len: number;
  /** The check sequence is wrong: a receiver counts it and throws the frame away. */
  badCrc: boolean;
  /** Number of the packet in the sending machine, for tracing; 0: unknown. */
  origin: number;
  /** What is left to do to an unfinished frame; null, as ever on a real line: nothing. */
  offload: WireOffload | null;
  /** Neighbours in a queue. */
  next: WireFrame | null;
  prev: WireFrame | null;
  /** On a cable: the frame of the same burst that arrives in the same instant, after this one. */
  follower: WireFrame | null;

  constructor(addr: number, len: number) {
    this.addr = addr;
    this.len = len;
    this.badCrc = false;
    this.origin = 0;
    this.offload = null;
    this.next = null;
    this.prev = null;
    this.follower = null;
  }
}

/** A frame of `len` uninitialised bytes, or null when packet memory is exhausted. */
export function allocFrame(len: number): WireFrame | null {
  const addr = allocPages(len);
  return addr === 0 ? null : new WireFrame(addr, len);
}

/** A copy of a frame, or null when packet memory is exhausted. */
export function copyFrame(frame: WireFrame): WireFrame | null {
  const copy = allocFrame(frame.len);
  if (copy === null) return null;
  mem.copyWithin(copy.addr, frame.addr, frame.addr + frame.len);
  copy.badCrc = frame.badCrc;
  copy.origin = frame.origin;
  // Read only once it is made.
  copy.offload = frame.offload;
  return copy;
}

/** Bytes that a frame takes on a line; a super-packet counts as the frames it stands for. */
export function wireBytes(frame: WireFrame): number {
  const { len, offload } = frame;
  if (offload === null || offload.gsoSize === 0) return len + WIRE_OVERHEAD;
  const { hdrLen, gsoSize } = offload;
  const segments = Math.ceil((len - hdrLen) / gsoSize);
  return len + (segments - 1) * hdrLen + segments * WIRE_OVERHEAD;
}

/** The owner is done with the frame. */
export function freeFrame(frame: WireFrame): void {
  if (DEBUG && frame.addr === 0) throw new KernelBug('frame-double-free', 'a frame is freed twice');
  putPage(frame.addr);
  frame.addr = 0;
}

/** The owner is done with frames that are linked by `next`. */
export function freeFrames(first: WireFrame | null): void {
  for (let frame = first; frame !== null; ) {
    const { next }: WireFrame = frame;
    freeFrame(frame);
    frame = next;
  }
}

/** Puts frames that are linked by `next` on a line. */
export function sendFrames(end: WireEnd, first: WireFrame): void {
  if (first.next !== null && end.sendBurst !== undefined) {
    end.sendBurst(first);
    return;
  }
  for (let frame: WireFrame | null = first; frame !== null; ) {
    const { next }: WireFrame = frame;
    frame.next = null;
    end.send(frame);
    frame = next;
  }
}

/** A port of a network card, as the medium sees it. */
export interface WirePort {
  /** A frame has arrived. The port owns it now. */
  receive(frame: WireFrame): void;
  /**
   * Several frames, linked by `next`, have arrived in one instant. For ports that have less work with
   * them together; any other gets one after the other.
   */
  receiveBurst?(first: WireFrame): void;
  /** There is light from the other end, or none any more. */
  linkChanged(up: boolean): void;
  /** WIRE_* of what the port takes unfinished; a card on a real line has none. */
  readonly offloads?: number;
}

/** One end of a medium, as the port sees it. */
export interface WireEnd {
  /** Light on the line: the other end is plugged in and switched on. */
  readonly up: boolean;
  /** Switches the port's own light on or off: without it the other end has no link either. */
  light(on: boolean): void;
  /** Puts a frame on the line. The medium owns it now. */
  send(frame: WireFrame): void;
  /**
   * Puts frames on the line, linked by `next`, in that order; those that arrive in one instant arrive
   * together. What cannot is given one after the other: see sendFrames().
   */
  sendBurst?(first: WireFrame): void;
  /** What the other end takes unfinished: WIRE_*. */
  readonly peerOffloads?: number;
}
