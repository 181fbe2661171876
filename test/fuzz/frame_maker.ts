/**
 * Frames that are nearly right, so that they come far before something is wrong: a template of some
 * protocol, mutated a little, cut or lengthened. TCP segments continue the connections that the
 * machine has answered for, as far as its answers were shown to learn().
 */
import type { Prandom } from '#lib/prandom.ts';

/** The machine's address, and the peer that most frames come from. */
export const OWN = 0x0a000001;
export const PEER = 0x0a000002;
export const PEER_MAC: readonly number[] = [2, 0, 0, 0, 0, 9];
export const TCP_PORT = 80;
export const UDP_PORT = 53;

/** The peer's ports, few enough that connections meet again. */
const PEER_PORT = 1000;
const PEER_PORTS = 5;

/** What the peer would send next on a connection. */
interface Connection {
  seq: number;
  ack: number;
}

function sum(bytes: Uint8Array, from: number, to: number, start = 0): number {
  let total = start;
  for (let i = from; i < to; i += 2) {
    total += ((bytes[i] ?? 0) << 8) | (i + 1 < to ? (bytes[i + 1] ?? 0) : 0);
  }
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return ~total & 0xffff;
}

function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value & 0xff;
}

function put32(bytes: Uint8Array, at: number, value: number): void {
  put16(bytes, at, value >>> 16);
  put16(bytes, at + 2, value & 0xffff);
}

function get32(bytes: Uint8Array, at: number): number {
  const [a = 0, b = 0, c = 0, d = 0] = bytes.subarray(at, at + 4);
  return (a << 24) | (b << 16) | (c << 8) | d | 0;
}

/** Sum of the pseudo header. */
function pseudo(protocol: number, length: number): number {
  return (PEER >>> 16) + (PEER & 0xffff) + (OWN >>> 16) + (OWN & 0xffff) + protocol + length;
}

export class FrameMaker {
  private readonly random: Prandom;
  private readonly mac: Uint8Array;
  /** By the peer's port. */
  private readonly connections: Map<number, Connection>;

  constructor(random: Prandom, mac: Uint8Array) {
    this.random = random;
    this.mac = mac;
    this.connections = new Map();
  }

  next(): Uint8Array {
    const frame = this.template();
    const { random } = this;
    const mutations = random.below(4) < 2 ? 0 : random.below(4);
    for (let i = 0; i < mutations; i++) this.mutate(frame);
    const cut = random.below(24);
    if (cut === 0) return frame.subarray(0, Math.max(14, random.below(frame.length + 1)));
    if (cut === 1) {
      const longer = new Uint8Array(frame.length + random.below(64));
      longer.set(frame);
      return longer;
    }
    return frame;
  }

  /** Takes notice of an IPv4 packet that the machine has sent. */
  learn(ip: Uint8Array): void {
    if (ip.length < 40 || (ip[0] ?? 0) !== 0x45 || ip[9] !== 6 || get32(ip, 16) !== PEER) return;
    const port = ((ip[22] ?? 0) << 8) | (ip[23] ?? 0);
    const flags = ip[33] ?? 0;
    if ((flags & 0x04) !== 0) {
      this.connections.delete(port);
      return;
    }
    const payload = ip.length - 20 - ((ip[32] ?? 0) >> 4) * 4;
    const length = payload + ((flags & 0x03) !== 0 ? 1 : 0);
    this.connections.set(port, { seq: get32(ip, 28), ack: (get32(ip, 24) + length) | 0 });
  }

  private mutate(frame: Uint8Array): void {
    const { random } = this;
    const at = 12 + random.below(Math.max(1, frame.length - 12));
    const kind = random.below(4);
    if (kind === 0) frame[at] = random.below(256);
    else if (kind === 1) frame[at] = (frame[at] ?? 0) ^ (1 << random.below(8));
    else if (kind === 2) frame[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)] as number;
    else frame.fill(random.below(256), at, at + random.below(8));
  }

  private template(): Uint8Array {
    const { random } = this;
    switch (random.below(11)) {
      case 0:
        return this.arp();
      case 1:
        return this.ip(1, this.icmp());
      case 2:
        return this.ip(17, this.udp());
      case 3:
        return this.ip(17, this.udp(), { fragment: true });
      case 4:
        return this.ip(random.below(256), this.noise(random.below(64)));
      case 5:
        return this.ip(6, this.tcp(), { options: true });
      case 6:
        return this.tagged(this.ip(6, this.tcp()));
      case 7:
        return this.ether(random.below(65536), this.noise(random.below(200)));
      default:
        return this.ip(6, this.tcp());
    }
  }

  private noise(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = this.random.below(256);
    return bytes;
  }

  private ether(type: number, payload: Uint8Array): Uint8Array {
    const frame = new Uint8Array(14 + payload.length);
    if (this.random.below(8) === 0) frame.fill(0xff, 0, 6);
    else frame.set(this.mac, 0);
    frame.set(PEER_MAC, 6);
    put16(frame, 12, type);
    frame.set(payload, 14);
    return frame;
  }

  /** The frame with a VLAN tag: mostly 0, which is none of ours but is delivered. */
  private tagged(frame: Uint8Array): Uint8Array {
    const out = new Uint8Array(frame.length + 4);
    out.set(frame.subarray(0, 12));
    put16(out, 12, 0x8100);
    put16(out, 14, this.random.below(4) === 0 ? this.random.below(65536) : 0);
    out.set(frame.subarray(12), 16);
    return out;
  }

  private arp(): Uint8Array {
    const p = new Uint8Array(28);
    put16(p, 0, 1);
    put16(p, 2, 0x0800);
    p[4] = 6;
    p[5] = 4;
    put16(p, 6, 1 + this.random.below(2));
    p.set(PEER_MAC, 8);
    put32(p, 14, this.random.below(2) === 0 ? PEER : PEER + this.random.below(40));
    put32(p, 24, OWN);
    return this.ether(0x0806, p);
  }

  private icmp(): Uint8Array {
    const p = this.noise(8 + this.random.below(48));
    const type = [8, 0, 3, 5, 11, 12, 13][this.random.below(7)] as number;
    p[0] = type;
    p[1] = this.random.below(6);
    put16(p, 2, 0);
    const error = type === 3 || type === 5 || type === 11 || type === 12;
    const message = error ? this.quoting(p.subarray(0, 8)) : p;
    put16(message, 2, sum(message, 0, message.length));
    return message;
  }

  /** An error about a packet of the machine's, so that it finds its socket. */
  private quoting(header: Uint8Array): Uint8Array {
    const tcp = this.random.below(2) === 0;
    const segment = tcp ? this.tcp() : this.udp();
    // Ports as the machine sent them; the sequence number may lie in what it has sent.
    const quoted = new Uint8Array(8 + 20 + 8);
    quoted.set(header);
    const ip = this.ip(tcp ? 6 : 17, segment).subarray(14, 34);
    quoted.set(ip, 8);
    put32(quoted, 8 + 12, OWN);
    put32(quoted, 8 + 16, PEER);
    quoted.set(segment.subarray(2, 4), 28);
    quoted.set(segment.subarray(0, 2), 30);
    if (tcp) put32(quoted, 32, (get32(segment, 8) - 1 - this.random.below(3)) >>> 0);
    return quoted;
  }

  private udp(): Uint8Array {
    const p = this.noise(8 + this.random.below(600));
    put16(p, 0, PEER_PORT + this.random.below(PEER_PORTS));
    put16(p, 2, this.random.below(4) === 0 ? this.random.below(65536) : UDP_PORT);
    put16(p, 4, p.length);
    put16(p, 6, 0);
    return p;
  }

  private tcp(): Uint8Array {
    const { random } = this;
    const port = PEER_PORT + random.below(PEER_PORTS);
    const known = random.below(8) === 0 ? undefined : this.connections.get(port);
    const options = random.below(3) === 0 ? 4 * random.below(11) : 0;
    const p = this.noise(20 + options + random.below(random.below(8) === 0 ? 1400 : 100));
    put16(p, 0, port);
    put16(p, 2, random.below(20) === 0 ? random.below(65536) : TCP_PORT);
    put32(p, 4, this.sequence(known?.seq));
    put32(p, 8, this.sequence(known?.ack));
    p[12] = ((20 + options) / 4) << 4;
    p[13] = this.tcpFlags(known !== undefined);
    if (options >= 4) p.set([2, 4, 5, 0xb4], 20);
    if (options >= 16) p.set([1, 3, 3, 7, 4, 2, 8, 10, 0, 0, 0, 1], 24);
    put16(p, 16, 0);
    put16(p, 16, sum(p, 0, p.length, pseudo(6, p.length)));
    return p;
  }

  /** A number at, or near, the one that is expected, if any is. */
  private sequence(expected: number | undefined): number {
    const { random } = this;
    const kind = random.below(16);
    if (expected === undefined || kind === 0) return random.u32();
    if (kind < 12) return expected >>> 0;
    const near = kind < 15 ? random.below(3000) - 1500 : random.below(200_000) - 100_000;
    return (expected + near) >>> 0;
  }

  private tcpFlags(connected: boolean): number {
    const { random } = this;
    if (!connected && random.below(4) !== 0) return 0x02;
    const usual =
      random.below(4) !== 0 ? [0x10, 0x18] : [0x02, 0x12, 0x11, 0x04, 0x14, 0x29, 0, 0x30];
    return usual[random.below(usual.length)] as number;
  }

  private ip(
    protocol: number,
    payload: Uint8Array,
    how: { fragment?: boolean; options?: boolean } = {},
  ): Uint8Array {
    const { random } = this;
    const ihl = how.options === true ? 20 + 4 * (1 + random.below(10)) : 20;
    const p = new Uint8Array(ihl + payload.length);
    p[0] = 0x40 | (ihl / 4);
    put16(p, 2, p.length);
    put16(p, 4, random.below(8));
    if (how.fragment === true) put16(p, 6, (random.below(2) << 13) | random.below(40));
    p[8] = 1 + random.below(64);
    p[9] = protocol;
    put32(p, 12, random.below(40) === 0 ? random.u32() : PEER);
    put32(p, 16, random.below(40) === 0 ? random.u32() : OWN);
    for (let i = 20; i < ihl; i++) {
      p[i] =
        random.below(3) === 0
          ? random.below(256)
          : ([7, 68, 131, 148, 1, 0, 11, 8, 4][random.below(9)] as number);
    }
    p.set(payload, ihl);
    put16(p, 10, 0);
    put16(p, 10, sum(p, 0, ihl));
    return this.ether(0x0800, p);
  }
}
