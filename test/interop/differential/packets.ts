/** Ethernet frames, octet by octet: right by default, and wrong in whatever way is asked for. */

export const address = (text: string): number =>
  text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);

export const macOf = (text: string): readonly number[] =>
  text.split(':').map((part) => Number.parseInt(part, 16));

export function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

export function put32(bytes: Uint8Array, at: number, value: number): void {
  put16(bytes, at, value >>> 16);
  put16(bytes, at + 2, value);
}

export const get16 = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);

export const get32 = (bytes: Uint8Array, at: number): number =>
  get16(bytes, at) * 65536 + get16(bytes, at + 2);

/** The Internet checksum of octets `from` to `to`. */
export function checksum(bytes: Uint8Array, from: number, to: number, start = 0): number {
  let total = start;
  for (let i = from; i < to; i += 2) {
    total += ((bytes[i] ?? 0) << 8) | (i + 1 < to ? (bytes[i + 1] ?? 0) : 0);
  }
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return ~total & 0xffff;
}

export function concat(...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

export function ether(
  to: readonly number[],
  from: readonly number[],
  type: number,
  payload: Uint8Array,
): Uint8Array {
  return concat(to, from, [type >>> 8, type & 255], payload);
}

export interface Ipv4Fields {
  readonly src: number;
  readonly dst: number;
  readonly protocol: number;
  readonly payload: Uint8Array;
  readonly version?: number;
  /** In words of four octets. */
  readonly ihl?: number;
  readonly tos?: number;
  readonly totalLength?: number;
  readonly id?: number;
  /** Flags and offset as in the header. */
  readonly fragment?: number;
  readonly ttl?: number;
  /** Added to the right checksum. */
  readonly checksumError?: number;
  readonly options?: Uint8Array;
}

export function ipv4(f: Ipv4Fields): Uint8Array {
  const options = f.options ?? new Uint8Array(0);
  const length = 20 + Math.ceil(options.length / 4) * 4;
  const p = new Uint8Array(length + f.payload.length);
  p[0] = ((f.version ?? 4) << 4) | (f.ihl ?? length / 4);
  p[1] = f.tos ?? 0;
  put16(p, 2, f.totalLength ?? p.length);
  put16(p, 4, f.id ?? 0x4001);
  put16(p, 6, f.fragment ?? 0);
  p[8] = f.ttl ?? 64;
  p[9] = f.protocol;
  put32(p, 12, f.src);
  put32(p, 16, f.dst);
  p.set(options, 20);
  p.set(f.payload, length);
  put16(p, 10, checksum(p, 0, length) + (f.checksumError ?? 0));
  return p;
}

/** Sum of the pseudo header. */
export function pseudo(src: number, dst: number, protocol: number, length: number): number {
  const halves = (value: number): number => (value >>> 16) + (value & 0xffff);
  return halves(src) + halves(dst) + protocol + length;
}

export interface UdpFields {
  readonly src: number;
  readonly dst: number;
  readonly sport: number;
  readonly dport: number;
  readonly data: Uint8Array;
  readonly length?: number;
  /** Added to the right checksum; null: no checksum. */
  readonly checksumError?: number | null;
}

export function udp(f: UdpFields): Uint8Array {
  const p = new Uint8Array(8 + f.data.length);
  put16(p, 0, f.sport);
  put16(p, 2, f.dport);
  put16(p, 4, f.length ?? p.length);
  p.set(f.data, 8);
  if (f.checksumError === null) return p;
  const right = checksum(p, 0, p.length, pseudo(f.src, f.dst, 17, get16(p, 4)));
  put16(p, 6, (right === 0 ? 0xffff : right) + (f.checksumError ?? 0));
  return p;
}

/** @param rest the second word of the header */
export function icmp(
  type: number,
  code: number,
  rest: number,
  data: Uint8Array,
  checksumError = 0,
): Uint8Array {
  const p = new Uint8Array(8 + data.length);
  p[0] = type;
  p[1] = code;
  put32(p, 4, rest);
  p.set(data, 8);
  put16(p, 2, checksum(p, 0, p.length) + checksumError);
  return p;
}

export interface TcpFields {
  readonly src: number;
  readonly dst: number;
  readonly sport: number;
  readonly dport: number;
  readonly seq: number;
  readonly ack: number;
  readonly flags: number;
  readonly data?: Uint8Array;
  readonly options?: Uint8Array;
  readonly checksumError?: number;
  readonly offset?: number;
}

export function tcp(f: TcpFields): Uint8Array {
  const options = f.options ?? new Uint8Array(0);
  const data = f.data ?? new Uint8Array(0);
  const p = new Uint8Array(20 + options.length + data.length);
  put16(p, 0, f.sport);
  put16(p, 2, f.dport);
  put32(p, 4, f.seq);
  put32(p, 8, f.ack);
  p[12] = (f.offset ?? (20 + options.length) / 4) << 4;
  p[13] = f.flags;
  put16(p, 14, 1000);
  p.set(options, 20);
  p.set(data, 20 + options.length);
  const right = checksum(p, 0, p.length, pseudo(f.src, f.dst, 6, p.length));
  put16(p, 16, right + (f.checksumError ?? 0));
  return p;
}

/** struct sockaddr_in. */
export function sockaddr(addr: number, port: number, family = 2): Uint8Array {
  const p = new Uint8Array(16);
  p[0] = family & 255;
  p[1] = family >>> 8;
  put16(p, 2, port);
  put32(p, 4, addr);
  return p;
}
