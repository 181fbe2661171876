/*
 * Addresses as text: IPv4, IPv6, prefixes, link-layer addresses. Only for the edges; inside, they are numbers.
 * Kernel counterparts: in4_pton and in6_pton of net/core/utils.c, mac_pton of lib/net_utils.c, the %pI4, %pI6c
 * and %pM formats of lib/vsprintf.c. RFC 4291#2.2 and 5952 (IPv6 text).
 *
 * IPv4: an unsigned number. IPv6: 16 octets. A MAC address: its first four octets and its last two. Reading is
 * strict: what inet_pton(3) refuses is refused, octal and hexadecimal IPv4 included.
 */

/** What a reader found, or why it refused. */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: string };

const found = <T>(value: T): Parsed<T> => ({ ok: true, value });
const refused = <T>(error: string): Parsed<T> => ({ ok: false, error });

/** The text as it goes into a message: bounded, and without control characters. */
function quoted(text: string): string {
  const safe = text.replace(/[^\x20-\x7e]/g, '?');
  return safe.length > 64 ? `"${safe.slice(0, 64)}..."` : `"${safe}"`;
}

/**
 * Reads four decimal octets without leading zeros; null for anything else.
 * @kernel in4_pton net/core/utils.c
 */
export function inPton4(text: string): number | null {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return null;
  let addr = 0;
  for (let i = 1; i <= 4; i++) {
    const digits = match[i] as string;
    const octet = Number(digits);
    if (octet > 255 || (digits.length > 1 && digits.startsWith('0'))) return null;
    addr = addr * 256 + octet;
  }
  return addr;
}

/** `192.0.2.1` for 0xc0000201; of either sign. */
export function inNtop4(addr: number): string {
  return `${addr >>> 24}.${(addr >>> 16) & 255}.${(addr >>> 8) & 255}.${addr & 255}`;
}

/** The groups of one side of a `::`, each 16 bits; null when there is one that is none. */
function groupsOf(text: string): number[] | null {
  if (text === '') return [];
  const out: number[] = [];
  for (const part of text.split(':')) {
    if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return null;
    out.push(Number.parseInt(part, 16));
  }
  return out;
}

/**
 * Reads an IPv6 address into 16 octets, a trailing dotted IPv4 part included; null for anything else. A scope
 * (`%eth0`) is not part of an address and refused here.
 * @kernel in6_pton net/core/utils.c
 * @rfc 4291#2.2
 */
export function inPton6(text: string): Uint8Array | null {
  let rest = text;
  if (text.includes('.')) {
    // The last two groups are written as an IPv4 address.
    const colon = text.lastIndexOf(':');
    const v4 = inPton4(text.slice(colon + 1));
    if (colon < 0 || v4 === null) return null;
    rest = `${text.slice(0, colon + 1)}${(v4 >>> 16).toString(16)}:${(v4 & 0xffff).toString(16)}`;
  }
  const gap = rest.indexOf('::');
  if (gap !== rest.lastIndexOf('::')) return null;
  const head = groupsOf(gap < 0 ? rest : rest.slice(0, gap));
  const tail = groupsOf(gap < 0 ? '' : rest.slice(gap + 2));
  if (head === null || tail === null) return null;
  const given = head.length + tail.length;
  // `::` stands for at least one group.
  if (gap < 0 ? given !== 8 : given > 7) return null;
  const groups = [...head, ...new Array<number>(8 - given).fill(0), ...tail];
  const out = new Uint8Array(16);
  groups.forEach((g, i) => {
    out[2 * i] = g >> 8;
    out[2 * i + 1] = g & 255;
  });
  return out;
}

/** First group and length of the longest run of zero groups, the first of equals; length 0 or 1: none. */
function longestGap(groups: readonly number[]): { start: number; length: number } {
  let best = { start: -1, length: 1 };
  for (let i = 0; i < 8; i++) {
    let j = i;
    while (j < 8 && groups[j] === 0) j++;
    if (j - i > best.length) best = { start: i, length: j - i };
    i = j;
  }
  return best;
}

/**
 * The text of an IPv6 address: lower case, no leading zeros, the longest run of at least two zero groups as
 * `::`, IPv4-mapped and IPv4-compatible ones with a dotted end, as inet_ntop() writes them.
 * @rfc 5952#4
 */
export function inNtop6(octets: Uint8Array, off = 0): string {
  const groups = Array.from(
    { length: 8 },
    (_, i) => ((octets[off + 2 * i] ?? 0) << 8) | (octets[off + 2 * i + 1] ?? 0),
  );
  const mapped = groups[5] === 0xffff && groups.slice(0, 5).every((g) => g === 0);
  if (mapped) {
    return `::ffff:${inNtop4(((groups[6] as number) << 16) | (groups[7] as number))}`;
  }
  const gap = longestGap(groups);
  // IPv4-compatible: the first six groups are zero, the seventh is not.
  if (gap.start === 0 && gap.length === 6) {
    return `::${inNtop4(((groups[6] as number) << 16) | (groups[7] as number))}`;
  }
  const hex = (list: readonly number[]): string => list.map((g) => g.toString(16)).join(':');
  if (gap.start < 0) return hex(groups);
  return `${hex(groups.slice(0, gap.start))}::${hex(groups.slice(gap.start + gap.length))}`;
}

/** The 16 octets of an IPv6 address as four words, most significant first, unsigned. */
export function in6Words(octets: Uint8Array): [number, number, number, number] {
  const v = new DataView(octets.buffer, octets.byteOffset, 16);
  return [v.getUint32(0), v.getUint32(4), v.getUint32(8), v.getUint32(12)];
}

/** The mask of an IPv4 prefix length of 0 to 32, unsigned. @kernel inet_make_mask include/linux/inetdevice.h */
export function inetMakeMask(len: number): number {
  return len === 0 ? 0 : (-1 << (32 - len)) >>> 0;
}

/** Length of an IPv4 mask whose ones stand together; -1 for another. @kernel inet_mask_len include/linux/inetdevice.h */
export function inetMaskLen(mask: number): number {
  const len = Math.clz32(~mask);
  return inetMakeMask(len) === mask >>> 0 ? len : -1;
}

/** A prefix: an address and how many of its leading bits count. */
export interface Prefix4 {
  readonly addr: number;
  readonly len: number;
}

export interface Prefix6 {
  readonly addr: Uint8Array;
  readonly len: number;
}

/** The decimal length behind the `/`; `max` when there is no `/`. */
function prefixLength(text: string, slash: number, max: number): number | null {
  if (slash < 0) return max;
  const digits = text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(digits) || (digits.length > 1 && digits.startsWith('0'))) return null;
  const len = Number(digits);
  return len <= max ? len : null;
}

/**
 * Reads `192.0.2.0/24`; without a length it is 32. Bits behind the length are kept, as they matter to an
 * interface address.
 */
export function parsePrefix4(text: string): Parsed<Prefix4> {
  const slash = text.indexOf('/');
  const addr = inPton4(slash < 0 ? text : text.slice(0, slash));
  if (addr === null) return refused(`${quoted(text)}: an IPv4 address is expected`);
  const len = prefixLength(text, slash, 32);
  if (len === null) return refused(`${quoted(text)}: the prefix length must be 0 to 32`);
  return found({ addr, len });
}

/** Reads `2001:db8::/32`; without a length it is 128. */
export function parsePrefix6(text: string): Parsed<Prefix6> {
  const slash = text.indexOf('/');
  const addr = inPton6(slash < 0 ? text : text.slice(0, slash));
  if (addr === null) return refused(`${quoted(text)}: an IPv6 address is expected`);
  const len = prefixLength(text, slash, 128);
  if (len === null) return refused(`${quoted(text)}: the prefix length must be 0 to 128`);
  return found({ addr, len });
}

/** `192.0.2.0/24` */
export function formatPrefix4(prefix: Prefix4): string {
  return `${inNtop4(prefix.addr)}/${prefix.len}`;
}

/** A link-layer address of six octets. */
export interface MacAddr {
  /** First four octets, unsigned. */
  readonly hi: number;
  /** Last two. */
  readonly lo: number;
}

/**
 * Reads six pairs of hexadecimal digits between colons (or, all of them, dashes).
 * @kernel mac_pton lib/net_utils.c
 */
export function parseMac(text: string): Parsed<MacAddr> {
  const colons = /^[0-9a-fA-F]{1,2}(:[0-9a-fA-F]{1,2}){5}$/.test(text);
  if (!colons && !/^[0-9a-fA-F]{2}(-[0-9a-fA-F]{2}){5}$/.test(text)) {
    return refused(`${quoted(text)}: a link-layer address like 02:00:00:00:00:01 is expected`);
  }
  const octets = text.split(colons ? ':' : '-').map((part) => Number.parseInt(part, 16));
  const at = (i: number): number => octets[i] as number;
  return found({
    hi: ((at(0) << 24) | (at(1) << 16) | (at(2) << 8) | at(3)) >>> 0,
    lo: (at(4) << 8) | at(5),
  });
}

/** `02:00:00:00:00:01` from the two numbers of an Ethernet header. */
export function formatMac(hi: number, lo: number): string {
  const digits = (hi >>> 0).toString(16).padStart(8, '0') + lo.toString(16).padStart(4, '0');
  return digits.replace(/(..)(?=.)/g, '$1:');
}

/** The same from octets, of any number of them (a tunnel's address has four). */
export function formatHwaddr(octets: Uint8Array): string {
  return Array.from(octets, (b) => b.toString(16).padStart(2, '0')).join(':');
}

/** The six octets of an address read by parseMac(). */
export function macOctets(mac: MacAddr): Uint8Array {
  const out = new Uint8Array(6);
  const v = new DataView(out.buffer);
  v.setUint32(0, mac.hi);
  v.setUint16(4, mac.lo);
  return out;
}
