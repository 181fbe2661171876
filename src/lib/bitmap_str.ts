/**
 * Sets of small numbers as text, the way /proc and /sys show masks of CPUs: `f`, `ffffffff,00000003`
 * as a mask, `0-3,7` as a list. Counterpart of lib/bitmap-str.c and of `%*pb`, `%*pbl` in
 * lib/vsprintf.c.
 *
 * A set is a Uint8Array with a 1 for each member.
 */
import { EINVAL, EOVERFLOW, ERANGE } from '#uapi/errno.ts';

/** Hexadecimal digits of a group between commas. */
const GROUP_DIGITS = 8;
const BITS_OF_DIGIT = 4;

/** The set as a mask, the highest group first. @kernel bitmap_string lib/vsprintf.c */
export function bitmapString(set: Uint8Array): string {
  const digits = Math.ceil(set.length / BITS_OF_DIGIT);
  let text = '';
  for (let d = digits - 1; d >= 0; d--) {
    let digit = 0;
    for (let bit = 0; bit < BITS_OF_DIGIT; bit++) {
      if ((set[d * BITS_OF_DIGIT + bit] ?? 0) !== 0) digit |= 1 << bit;
    }
    text += digit.toString(16);
    if (d > 0 && d % GROUP_DIGITS === 0) text += ',';
  }
  return text;
}

/** The set as a list of ranges; empty: no text. @kernel bitmap_list_string lib/vsprintf.c */
export function bitmapListString(set: Uint8Array): string {
  const ranges: string[] = [];
  for (let start = 0; start < set.length; start++) {
    if (set[start] === 0) continue;
    let end = start;
    while ((set[end + 1] ?? 0) !== 0) end++;
    ranges.push(start === end ? `${start}` : `${start}-${end}`);
    start = end;
  }
  return ranges.join(',');
}

const CODE_0 = 0x30;
const CODE_9 = 0x39;

/** What a hexadecimal digit is worth, or -1. @kernel hex_to_bin lib/hexdump.c */
function hexToBin(code: number): number {
  if (code >= CODE_0 && code <= CODE_9) return code - CODE_0;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1;
}

/** Text up to what ends it: a zero byte or the end of the line. @kernel end_of_str lib/bitmap-str.c */
function firstLine(text: string): string {
  return text.replace(/[\0\n].*/s, '');
}

/** @kernel end_of_region lib/bitmap-str.c */
function endOfRegion(text: string, at: number): boolean {
  return /[\s,]/.test(text.charAt(at));
}

/**
 * Reads the group that ends at `end` into the bits from `first` on. Where it begins, less one, or a negative
 * errno below -1. @kernel bitmap_get_x32_reverse lib/bitmap-str.c
 */
function getGroupReverse(text: string, end: number, set: Uint8Array, first: number): number {
  let at = end;
  for (let d = 0; d < GROUP_DIGITS; d++) {
    const digit = hexToBin(text.charCodeAt(at--));
    if (digit < 0) return -EINVAL;
    for (let bit = 0; bit < BITS_OF_DIGIT; bit++) {
      set[first + d * BITS_OF_DIGIT + bit] = (digit >> bit) & 1;
    }
    if (at < 0 || endOfRegion(text, at)) return at;
  }
  // One more character is passed over, unless it makes the group too long.
  return hexToBin(text.charCodeAt(at)) >= 0 ? -EOVERFLOW : Math.max(at - 1, -1);
}

/**
 * The set of `size` bits that a mask names. -EINVAL: it is none; -EOVERFLOW: it has more groups, or higher
 * bits, than the set. Between groups stand commas and blanks. @kernel bitmap_parse lib/bitmap-str.c
 */
export function bitmapParse(text: string, size: number): Uint8Array | number {
  const line = firstLine(text);
  const groupBits = GROUP_DIGITS * BITS_OF_DIGIT;
  const wide = new Uint8Array(Math.ceil(size / groupBits) * groupBits);
  let end = line.length - 1;
  for (let first = 0; ; first += groupBits) {
    while (end >= 0 && endOfRegion(line, end)) end--;
    if (end < 0) break;
    if (first === wide.length) return -EOVERFLOW;
    end = getGroupReverse(line, end, wide, first);
    if (end < -1) return end;
  }
  return wide.includes(1, size) ? -EOVERFLOW : wide.slice(0, size);
}

/** A number of a list; `N` is the last bit. Null: there is none. */
function listNumber(text: string, size: number): number | null {
  if (text === 'N') return size - 1;
  return /^\d+$/.test(text) ? Number(text) : null;
}

/**
 * Sets what a part of a list names: `all`, `3`, `0-3`, or `0-15:2/4`, two of each four. 0 or a negative errno.
 * @kernel bitmap_parse_region lib/bitmap-str.c
 * @kernel bitmap_check_region lib/bitmap-str.c
 * @kernel bitmap_set_region lib/bitmap-str.c
 */
function setRegion(set: Uint8Array, region: string): number {
  const match = /^(?:(all)|(\d+|N)(?:-(\d+|N))?)(?::(\d+|N)\/(\d+|N))?$/i.exec(region);
  if (match === null) return -EINVAL;
  const [, all, from = '', to, part, whole] = match;
  // A single number takes no pattern.
  if (all === undefined && to === undefined && part !== undefined) return -EINVAL;
  const size = set.length;
  const start = all === undefined ? listNumber(from, size) : 0;
  const end = all === undefined ? listNumber(to ?? from, size) : size - 1;
  if (start === null || end === null) return -EINVAL;
  const off = part === undefined ? end + 1 : listNumber(part, size);
  const group = whole === undefined ? end + 1 : listNumber(whole, size);
  if (off === null || group === null) return -EINVAL;
  if (Math.max(start, end, off - 1, group - 1) > INT_MAX) return -EOVERFLOW;
  if (start > end || group === 0 || off > group) return -EINVAL;
  if (end >= size) return -ERANGE;
  for (let at = start; at <= end; at += group) set.fill(1, at, Math.min(at + off, end + 1));
  return 0;
}

const INT_MAX = 0x7fffffff;

/**
 * The set of `size` bits that a list names. -EINVAL: it is none; -ERANGE: it names what is not in the set;
 * -EOVERFLOW: a number has no room. @kernel bitmap_parselist lib/bitmap-str.c
 */
export function bitmapParselist(text: string, size: number): Uint8Array | number {
  const set = new Uint8Array(size);
  for (const region of firstLine(text).split(/[\s,]+/)) {
    const err = region === '' ? 0 : setRegion(set, region);
    if (err !== 0) return err;
  }
  return set;
}
