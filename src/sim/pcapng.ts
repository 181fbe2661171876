/**
 * Captures in pcapng (draft-ietf-opsawg-pcapng): what Wireshark and tshark read.
 *
 * One interface block a device, nanosecond times, the direction in epb_flags, and where a packet
 * was dropped the reason as a comment. The writer only builds bytes; whoever made it stores them.
 */

const BLOCK_SECTION_HEADER = 0x0a0d0d0a;
const BLOCK_INTERFACE = 1;
const BLOCK_ENHANCED_PACKET = 6;

const OPT_END = 0;
const OPT_COMMENT = 1;
const SHB_USERAPPL = 4;
const IF_NAME = 2;
const IF_DESCRIPTION = 3;
const IF_MACADDR = 6;
const IF_TSRESOL = 9;
const EPB_FLAGS = 2;
const EPB_DROPCOUNT = 4;

/** Link types of libpcap. */
export const LINKTYPE_ETHERNET = 1;
export const LINKTYPE_RAW = 101;

export const DIRECTION_UNKNOWN = 0;
export const DIRECTION_INBOUND = 1;
export const DIRECTION_OUTBOUND = 2;

export interface PcapngInterface {
  readonly name: string;
  readonly description?: string;
  /** LINKTYPE_* */
  readonly linktype: number;
  readonly macAddress?: Uint8Array;
  /** Most bytes of a packet that are kept; 0: all. */
  readonly snaplen?: number;
}

export interface PcapngPacket {
  /** Index returned by {@link PcapngWriter.addInterface}. */
  readonly interfaceId: number;
  /** Wall time: whole seconds since the epoch, and ns. */
  readonly sec: number;
  readonly nsec: number;
  readonly bytes: Uint8Array;
  /** Bytes of the whole packet, when `bytes` is only its beginning. */
  readonly originalLength?: number;
  /** DIRECTION_* */
  readonly direction?: number;
  readonly comment?: string;
  /** Packets lost before this one. */
  readonly dropCount?: number;
}

type Option = readonly [code: number, value: Uint8Array];

const padded = (length: number): number => (length + 3) & ~3;

/** UTF-8 without relying on a host's encoder. */
function utf8(text: string): Uint8Array {
  const out: number[] = [];
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0;
    if (code < 0x80) out.push(code);
    else if (code < 0x800) out.push(0xc0 | (code >> 6), 0x80 | (code & 63));
    else if (code < 0x10000) {
      out.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    } else {
      out.push(
        0xf0 | (code >> 18),
        0x80 | ((code >> 12) & 63),
        0x80 | ((code >> 6) & 63),
        0x80 | (code & 63),
      );
    }
  }
  return Uint8Array.from(out);
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  const v = new DataView(bytes.buffer);
  v.setUint32(0, value % 0x100000000, true);
  v.setUint32(4, Math.floor(value / 0x100000000), true);
  return bytes;
}

function optionsLength(options: readonly Option[]): number {
  if (options.length === 0) return 0;
  return options.reduce((sum, [, value]) => sum + 4 + padded(value.length), 4);
}

/** One block: type, length, `fixed`, `data`, options, length again. */
function block(
  type: number,
  fixed: Uint8Array,
  data: Uint8Array,
  options: readonly Option[],
): Uint8Array {
  const length = 12 + fixed.length + padded(data.length) + optionsLength(options);
  const bytes = new Uint8Array(length);
  const v = new DataView(bytes.buffer);
  v.setUint32(0, type, true);
  v.setUint32(4, length, true);
  bytes.set(fixed, 8);
  bytes.set(data, 8 + fixed.length);
  let at = 8 + fixed.length + padded(data.length);
  for (const [code, value] of options) {
    v.setUint16(at, code, true);
    v.setUint16(at + 2, value.length, true);
    bytes.set(value, at + 4);
    at += 4 + padded(value.length);
  }
  if (options.length > 0) v.setUint16(at, OPT_END, true);
  v.setUint32(length - 4, length, true);
  return bytes;
}

/** Turns packets into the bytes of a capture, handed to `sink` block by block. */
export class PcapngWriter {
  private readonly sink: (bytes: Uint8Array) => void;
  private readonly snaplens: number[];

  constructor(sink: (bytes: Uint8Array) => void, application = 'softnet') {
    this.sink = sink;
    this.snaplens = [];
    const fixed = new Uint8Array(16);
    const v = new DataView(fixed.buffer);
    v.setUint32(0, 0x1a2b3c4d, true);
    v.setUint16(4, 1, true);
    // Length of the section: unknown.
    v.setUint32(8, 0xffffffff, true);
    v.setUint32(12, 0xffffffff, true);
    sink(
      block(BLOCK_SECTION_HEADER, fixed, new Uint8Array(0), [[SHB_USERAPPL, utf8(application)]]),
    );
  }

  /** Describes an interface; returns its number for the packets. */
  addInterface(description: PcapngInterface): number {
    const snaplen = description.snaplen ?? 0;
    const fixed = new Uint8Array(8);
    const v = new DataView(fixed.buffer);
    v.setUint16(0, description.linktype, true);
    v.setUint32(4, snaplen, true);
    const options: Option[] = [[IF_NAME, utf8(description.name)]];
    if (description.description !== undefined) {
      options.push([IF_DESCRIPTION, utf8(description.description)]);
    }
    if (description.macAddress !== undefined) options.push([IF_MACADDR, description.macAddress]);
    // Times count units of 10^-9 s.
    options.push([IF_TSRESOL, Uint8Array.of(9)]);
    this.sink(block(BLOCK_INTERFACE, fixed, new Uint8Array(0), options));
    this.snaplens.push(snaplen);
    return this.snaplens.length - 1;
  }

  /** Writes one packet. Throws RangeError for an interface that was not added. */
  packet(packet: PcapngPacket): void {
    const snaplen = this.snaplens[packet.interfaceId];
    if (snaplen === undefined)
      throw new RangeError(`no interface ${packet.interfaceId} in the capture`);
    const { bytes } = packet;
    const kept = snaplen > 0 && bytes.length > snaplen ? bytes.subarray(0, snaplen) : bytes;
    const fixed = new Uint8Array(20);
    const v = new DataView(fixed.buffer);
    v.setUint32(0, packet.interfaceId, true);
    const [high, low] = timestamp(packet.sec, packet.nsec);
    v.setUint32(4, high, true);
    v.setUint32(8, low, true);
    v.setUint32(12, kept.length, true);
    v.setUint32(16, packet.originalLength ?? bytes.length, true);
    const options: Option[] = [];
    if (packet.comment !== undefined) options.push([OPT_COMMENT, utf8(packet.comment)]);
    if (packet.direction !== undefined) options.push([EPB_FLAGS, u32(packet.direction)]);
    if (packet.dropCount !== undefined) options.push([EPB_DROPCOUNT, u64(packet.dropCount)]);
    this.sink(block(BLOCK_ENHANCED_PACKET, fixed, kept, options));
  }
}

/** sec * 10^9 + nsec as two 32-bit halves: more than a double can hold, so in two steps. */
function timestamp(sec: number, nsec: number): [high: number, low: number] {
  const BILLION = 1000000000;
  const lowSec = sec % 65536;
  const highSec = Math.floor(sec / 65536);
  // sec * 10^9 = highSec * 65536 * 10^9 + lowSec * 10^9; both products are below 2^53.
  const lowPart = lowSec * BILLION + nsec;
  const highPart = highSec * BILLION;
  const carry = Math.floor(lowPart / 65536) + highPart;
  const low16 = lowPart % 65536;
  return [Math.floor(carry / 65536) >>> 0, ((carry % 65536) * 65536 + low16) >>> 0];
}
