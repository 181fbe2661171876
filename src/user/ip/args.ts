/*
 * Reading the command line of `ip`: words one after the other, addresses, prefixes.
 * Counterpart of iproute2's lib/utils.c.
 */
import { inetMaskLen, inNtop4, inNtop6, inPton4, inPton6 } from '#lib/parse_addr.ts';
import { AF_INET, AF_INET6, AF_PACKET, AF_UNSPEC } from '#uapi/socket.ts';
import type { Context } from '#user/ip/context.ts';
import { abbreviates, familyName, parseUnsigned } from '#user/ip/names.ts';

/** The words of a command that are still to be read. */
export class Words {
  private readonly context: Context;
  private readonly words: readonly string[];
  private index: number;

  constructor(context: Context, words: readonly string[]) {
    this.context = context;
    this.words = words;
    this.index = 0;
  }

  get done(): boolean {
    return this.index >= this.words.length;
  }

  /** The word at hand; empty at the end. */
  get word(): string {
    return this.words[this.index] ?? '';
  }

  /** True when one more word follows the one at hand. */
  get more(): boolean {
    return this.index + 1 < this.words.length;
  }

  /** The word after the one at hand, without going there. */
  get peek(): string {
    return this.words[this.index + 1] ?? '';
  }

  /** Goes on to the next word, which must be there, and returns it. */
  next(): string {
    this.index++;
    if (this.done) throw this.context.incomplete();
    return this.word;
  }

  advance(): void {
    this.index++;
  }

  back(): void {
    this.index--;
  }

  is(...words: string[]): boolean {
    return words.includes(this.word);
  }

  /** True when the word at hand is the beginning of `full`, as iproute2 allows. */
  abbreviates(full: string): boolean {
    return abbreviates(this.word, full);
  }

  rest(): readonly string[] {
    return this.words.slice(this.index);
  }
}

/** struct inet_prefix: an address of 4, 16 or some octets, and how many bits count. */
export interface Address {
  readonly family: number;
  readonly bytes: Uint8Array;
  /** Length of the prefix in bits. */
  readonly bits: number;
  /** A prefix length was written, or implied by `default`. */
  readonly prefixGiven: boolean;
  /** Neither an address nor a length was said: `default`, `any`. */
  readonly unspecified: boolean;
}

/** `any valid inet address is expected rather than "x".` */
function expected(context: Context, family: number, kind: string, text: string): Error {
  const what = family === AF_UNSPEC ? '' : `${familyName(family)} `;
  return context.fail(
    `Error: ${what === '' ? 'any valid' : what.trim()} ${kind} is expected rather than "${text}".\n`,
    1,
  );
}

const isAny = (text: string): boolean => text === 'default' || text === 'any' || text === 'all';

const widthOf = (family: number): number => (family === AF_INET6 ? 16 : 4);

/** IPv4 in one to four parts, as iproute2 takes it: `10` is 10.0.0.0 and `10.1` is 10.1.0.0. */
function shortIpv4(text: string): Uint8Array | null {
  if (!/^\d{1,3}(\.\d{1,3}){0,3}$/.test(text)) return null;
  const out = new Uint8Array(4);
  const parts = text.split('.');
  for (const [i, part] of parts.entries()) {
    if (Number(part) > 255) return null;
    out[i] = Number(part);
  }
  return out;
}

function octetsOf(text: string, family: number): { family: number; bytes: Uint8Array } | null {
  if (family === AF_PACKET) {
    const bytes = parseLladdr(text);
    return bytes === null ? null : { family, bytes };
  }
  if (text.includes(':')) {
    const bytes = inPton6(text);
    if (bytes === null || (family !== AF_UNSPEC && family !== AF_INET6)) return null;
    return { family: AF_INET6, bytes };
  }
  if (family !== AF_UNSPEC && family !== AF_INET) return null;
  const bytes = shortIpv4(text);
  return bytes === null ? null : { family: AF_INET, bytes };
}

function anyAddress(family: number, bits: number): Address {
  return {
    family: family === AF_UNSPEC ? AF_INET : family,
    bytes: new Uint8Array(widthOf(family)),
    bits,
    prefixGiven: true,
    unspecified: true,
  };
}

/** An address without prefix length. */
export function getAddress(context: Context, text: string, family: number): Address {
  if (isAny(text)) return { ...anyAddress(family, 0), prefixGiven: false };
  const found = octetsOf(text, family);
  if (found === null) throw expected(context, family, 'address', text);
  return { ...found, bits: found.bytes.length * 8, prefixGiven: false, unspecified: false };
}

/** An address with or without a prefix length or a mask behind a slash. */
export function getPrefix(context: Context, text: string, family: number): Address {
  if (family === AF_PACKET) {
    throw context.fail(
      `Error: "${text}" may be inet prefix, but it is not allowed in this context.\n`,
      1,
    );
  }
  const prefix = parseIpPrefix(text, family);
  if (prefix === null) throw expected(context, family, 'prefix', text);
  return prefix;
}

/** The same without a complaint; null for what is none. */
export function parseIpPrefix(text: string, family: number): Address | null {
  if (isAny(text)) return anyAddress(family, 0);
  const slash = text.indexOf('/');
  const head = slash < 0 ? text : text.slice(0, slash);
  if (isAny(head)) return null;
  const found = octetsOf(head, family);
  if (found === null) return null;
  const width = found.bytes.length * 8;
  if (slash < 0) return { ...found, bits: width, prefixGiven: false, unspecified: false };
  const bits = prefixBits(text.slice(slash + 1), found.family);
  if (bits === null || bits > width) return null;
  return { ...found, bits, prefixGiven: true, unspecified: false };
}

/** A length in digits, or a mask of IPv4. */
function prefixBits(text: string, family: number): number | null {
  const bits = parseUnsigned(text);
  if (bits !== null) return bits;
  const mask = family === AF_INET ? inPton4(text) : null;
  if (mask === null) return null;
  const length = inetMaskLen(mask);
  return length < 0 ? null : length;
}

/** A link-layer address of any length between colons; an IPv4 address makes four octets. */
export function parseLladdr(text: string): Uint8Array | null {
  if (text.includes('.')) {
    const addr = inPton4(text);
    if (addr === null) return null;
    return Uint8Array.of(addr >>> 24, addr >>> 16, addr >>> 8, addr);
  }
  const parts = text.split(':');
  if (parts.length > 20) return null;
  const octets = parts.map((part) =>
    /^[0-9a-fA-F]{1,2}$/.test(part) ? Number.parseInt(part, 16) : -1,
  );
  return octets.includes(-1) ? null : Uint8Array.from(octets);
}

/** A link-layer address for an attribute; complains. */
export function getLladdr(context: Context, text: string): Uint8Array {
  const bytes = parseLladdr(text);
  if (bytes === null) throw context.fail(`"${text}" is invalid lladdr.\n`, 1);
  return bytes;
}

/** The text of an address of either family; of anything else, in hexadecimal. */
export function formatAddress(family: number, bytes: Uint8Array): string {
  if (family === AF_INET && bytes.length >= 4) return inNtop4(addressNumber(bytes));
  if (family === AF_INET6 && bytes.length >= 16) return inNtop6(bytes);
  if (family === AF_PACKET) return formatLladdr(bytes, false);
  return '???';
}

/** An IPv4 address as a number. */
export function addressNumber(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0);
}

/** Octets between colons; of tunnels, an address of IPv4 or IPv6. */
export function formatLladdr(bytes: Uint8Array, tunnel: boolean): string {
  if (tunnel && bytes.length === 4) return inNtop4(addressNumber(bytes));
  if (tunnel && bytes.length === 16) return inNtop6(bytes);
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** Bits of an address's family. */
export function familyBits(family: number): number {
  if (family === AF_INET) return 32;
  return family === AF_INET6 ? 128 : 0;
}

/** True when the first `bits` of two addresses are equal. */
export function samePrefix(a: Uint8Array, b: Uint8Array, bits: number): boolean {
  if (bits > a.length * 8 || bits > b.length * 8) return false;
  const whole = bits >> 3;
  for (let i = 0; i < whole; i++) if (a[i] !== b[i]) return false;
  const rest = bits & 7;
  if (rest === 0) return true;
  const mask = (0xff00 >> rest) & 0xff;
  return ((a[whole] as number) & mask) === ((b[whole] as number) & mask);
}
