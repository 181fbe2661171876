/**
 * The wire of the TCP fuzzer: segments go into a machine, and what it sends comes out, both as numbers
 * in records that are used again, since millions pass. Sequence numbers are int32 and absolute.
 */
import { tunDoRead, tunGetUser } from '#drivers/net/tun_io.ts';
import { csumFold, csumPartial, csumTcpudpMagic } from '#lib/checksum.ts';
import { LOCAL, REMOTE, TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import { IPPROTO_TCP } from '#uapi/in.ts';

export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const PSH = 0x08;
export const ACK = 0x10;
export const URG = 0x20;
export const ECE = 0x40;
export const CWR = 0x80;

const IP_LEN = 20;
const TCP_AT = IP_LEN;

/** A repeating text with a prime period, so that a shift by any segment's length shows. */
function pattern(period: number, factor: number): Uint8Array {
  const bytes = new Uint8Array(period + 0x10000);
  for (let i = 0; i < bytes.length; i++) {
    bytes[i] = i < period ? Math.imul(i + 1, factor) >>> 24 : (bytes[i - period] ?? 0);
  }
  return bytes;
}

/** A stream whose byte at each offset is known. */
export class Stream {
  readonly period: number;
  readonly bytes: Uint8Array;

  constructor(period: number, factor: number) {
    this.period = period;
    this.bytes = pattern(period, factor);
  }

  /** Where `offset`, which may be negative, stands in `bytes`. */
  private index(offset: number): number {
    const at = offset % this.period;
    return at < 0 ? at + this.period : at;
  }

  /** `len` (up to 64 KB) bytes from `offset`; not to be written to. */
  at(offset: number, len: number): Uint8Array {
    const from = this.index(offset);
    return this.bytes.subarray(from, from + len);
  }

  /** Do `len` bytes of `data` from `from` stand at `offset` of this stream? */
  matches(offset: number, data: Uint8Array, from: number, len: number): boolean {
    const at = this.index(offset);
    const { bytes } = this;
    for (let i = 0; i < len; i++) if (data[from + i] !== bytes[at + i]) return false;
    return true;
  }
}

export class Segment {
  flags = 0;
  seq = 0;
  ack = 0;
  win = 0;
  urg = 0;
  /** Bytes of payload. */
  len = 0;
  hasTs = false;
  tsval = 0;
  tsecr = 0;
  /** Of a SYN: 0 none. */
  mss = 0;
  /** Of a SYN: -1 none. */
  wscale = -1;
  sackOk = false;
  /** SACK blocks: left and right edges in turn. */
  readonly sack: Int32Array = new Int32Array(8);
  sacks = 0;
  /** The packet, and where the payload begins in it. */
  readonly packet: Uint8Array = new Uint8Array(2048);
  readonly view: DataView = new DataView(this.packet.buffer);
  payloadAt = 0;

  reset(): this {
    this.flags = 0;
    this.seq = 0;
    this.ack = 0;
    this.win = 0;
    this.urg = 0;
    this.len = 0;
    this.hasTs = false;
    this.mss = 0;
    this.wscale = -1;
    this.sackOk = false;
    this.sacks = 0;
    return this;
  }

  /** Sequence numbers that it takes. */
  get space(): number {
    return this.len + ((this.flags & SYN) >> 1) + (this.flags & FIN);
  }

  get end(): number {
    return (this.seq + this.space) | 0;
  }

  has(flag: number): boolean {
    return (this.flags & flag) !== 0;
  }

  toString(): string {
    let flags = '';
    for (const [bit, char] of FLAG_NAMES) if (this.has(bit)) flags += char;
    const ts = this.hasTs ? ` ts ${this.tsval}:${this.tsecr}` : '';
    const sack =
      this.sacks === 0
        ? ''
        : ` sack ${this.sack
            .subarray(0, this.sacks * 2)
            .map((x) => x)
            .join(' ')}`;
    return `${flags || '-'} seq ${this.seq} len ${this.len} ack ${this.ack} win ${this.win}${ts}${sack}`;
  }
}

const FLAG_NAMES: readonly (readonly [number, string])[] = [
  [SYN, 'S'],
  [FIN, 'F'],
  [RST, 'R'],
  [PSH, 'P'],
  [URG, 'U'],
  [ECE, 'E'],
  [CWR, 'W'],
  [ACK, '.'],
];

/** Writes the options of `s` from `at`; returns where they end. */
function putOptions(s: Segment, at: number): number {
  const { view: v, packet: p } = s;
  let o = at;
  if (s.mss !== 0) {
    v.setUint16(o, 0x0204);
    v.setUint16(o + 2, s.mss);
    o += 4;
  }
  if (s.wscale >= 0) {
    v.setUint32(o, 0x01030300 | s.wscale);
    o += 4;
  }
  if (s.sackOk) {
    v.setUint32(o, 0x01010402);
    o += 4;
  }
  if (s.hasTs) {
    v.setUint32(o, 0x0101080a);
    v.setInt32(o + 4, s.tsval);
    v.setInt32(o + 8, s.tsecr);
    o += 12;
  }
  if (s.sacks !== 0) {
    v.setUint16(o, 0x0101);
    p[o + 2] = 5;
    p[o + 3] = 2 + 8 * s.sacks;
    o += 4;
    for (let i = 0; i < s.sacks * 2; i++, o += 4) v.setInt32(o, s.sack[i] ?? 0);
  }
  return o;
}

function readOption(s: Segment, at: number, kind: number, len: number): void {
  const { view: v } = s;
  if (kind === 2) s.mss = v.getUint16(at + 2);
  else if (kind === 3) s.wscale = v.getUint8(at + 2);
  else if (kind === 4) s.sackOk = true;
  else if (kind === 8) {
    s.hasTs = true;
    s.tsval = v.getInt32(at + 2);
    s.tsecr = v.getInt32(at + 6);
  } else if (kind === 5) {
    s.sacks = (len - 2) >> 3;
    for (let i = 0; i < s.sacks * 2; i++) s.sack[i] = v.getInt32(at + 2 + 4 * i);
  }
}

/** Alters a segment on its way; false: loses it. The model sees it before (inward) or after (outward). */
export type Tamper = (s: Segment) => boolean;

export class Door {
  readonly rig: TcpRig;
  /** What the machine sent in answer to the last event. */
  readonly out: Segment[] = [];
  outs = 0;
  /** Of the connection that segments go to. */
  remotePort = 1000;
  localPort: number;
  /** The peer's stream and ours. */
  readonly theirs: Stream = new Stream(4093, 0x9e3779b1);
  readonly ours: Stream = new Stream(4099, 0x85ebca6b);
  tamperIn: Tamper | null = null;
  tamperOut: Tamper | null = null;
  /** Alters what a program reads. */
  tamperRead: ((bytes: Uint8Array, n: number) => void) | null = null;
  private readonly spare: Segment = new Segment();

  constructor(seed: number) {
    this.rig = new TcpRig({ seed });
    this.localPort = this.rig.localPort;
    this.rig.sent();
  }

  /** Sends `s` with `len` bytes of the peer's stream from `offset`. */
  put(s: Segment, offset: number): void {
    const { rig } = this;
    let what = s;
    if (this.tamperIn !== null) {
      what = this.copy(s);
      if (!this.tamperIn(what)) return;
    }
    const size = this.encode(what, offset);
    rig.machine.enter(rig.host.clock);
    const ret = tunGetUser(rig.tun, what.packet.subarray(0, size));
    if (ret < 0) throw new Error(`tunGetUser: ${ret}`);
    rig.settle();
    this.drain();
  }

  private copy(s: Segment): Segment {
    const c = this.spare.reset();
    c.flags = s.flags;
    c.seq = s.seq;
    c.ack = s.ack;
    c.win = s.win;
    c.urg = s.urg;
    c.len = s.len;
    c.hasTs = s.hasTs;
    c.tsval = s.tsval;
    c.tsecr = s.tsecr;
    c.mss = s.mss;
    c.wscale = s.wscale;
    c.sackOk = s.sackOk;
    c.sacks = s.sacks;
    c.sack.set(s.sack);
    return c;
  }

  private encode(s: Segment, offset: number): number {
    const { packet: p, view: v } = s;
    const dataAt = putOptions(s, TCP_AT + 20);
    const size = dataAt + s.len;
    if (s.len !== 0) p.set(this.theirs.at(offset, s.len), dataAt);
    v.setUint32(0, 0x45000000 | size);
    v.setUint32(4, 0);
    v.setUint32(8, (64 << 24) | (IPPROTO_TCP << 16));
    v.setUint32(12, REMOTE);
    v.setUint32(16, LOCAL);
    v.setUint16(10, csumFold(csumPartial(p, 0, IP_LEN, 0)));
    v.setUint16(TCP_AT, this.remotePort);
    v.setUint16(TCP_AT + 2, this.localPort);
    v.setInt32(TCP_AT + 4, s.seq);
    v.setInt32(TCP_AT + 8, s.ack);
    v.setUint8(TCP_AT + 12, ((dataAt - TCP_AT) >> 2) << 4);
    v.setUint8(TCP_AT + 13, s.flags);
    v.setUint16(TCP_AT + 14, s.win);
    v.setUint32(TCP_AT + 16, s.urg);
    const len = size - TCP_AT;
    const sum = csumPartial(p, TCP_AT, len, 0);
    v.setUint16(TCP_AT + 16, csumTcpudpMagic(REMOTE, LOCAL, len, IPPROTO_TCP, sum));
    return size;
  }

  /** Collects what the machine has sent into `out`. */
  drain(): void {
    this.outs = 0;
    for (;;) {
      const s = this.out[this.outs] ?? new Segment();
      this.out[this.outs] = s;
      const n = tunDoRead(this.rig.tun, s.packet);
      if (n < 0) return;
      this.decode(s.reset(), n);
      if (this.tamperOut !== null && !this.tamperOut(s)) continue;
      this.outs++;
    }
  }

  private decode(s: Segment, size: number): void {
    const { view: v } = s;
    if (v.getUint8(9) !== IPPROTO_TCP || v.getUint8(0) !== 0x45) {
      throw new Error('the machine sent something other than plain TCP');
    }
    s.seq = v.getInt32(TCP_AT + 4);
    s.ack = v.getInt32(TCP_AT + 8);
    s.flags = v.getUint8(TCP_AT + 13);
    s.win = v.getUint16(TCP_AT + 14);
    const end = TCP_AT + (v.getUint8(TCP_AT + 12) >> 4) * 4;
    s.payloadAt = end;
    s.len = size - end;
    const sum = csumPartial(s.packet, TCP_AT, size - TCP_AT, 0);
    if (csumTcpudpMagic(LOCAL, REMOTE, size - TCP_AT, IPPROTO_TCP, sum) !== 0) {
      throw new Error('a segment with a wrong checksum was sent');
    }
    for (let o = TCP_AT + 20; o < end; ) {
      const kind = v.getUint8(o);
      if (kind === 0) break;
      if (kind === 1) {
        o++;
        continue;
      }
      const len = v.getUint8(o + 1);
      readOption(s, o, kind, len);
      o += len;
    }
  }

  get nowMs(): number {
    return Math.floor(this.rig.host.clock / 1e6);
  }

  advance(ms: number): void {
    this.rig.advance(ms);
    this.drain();
  }
}
