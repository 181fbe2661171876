/**
 * Sets of small numbers as text, the way /proc and /sys show masks of CPUs: `f`, `ffffffff,00000003`
 * as a mask, `0-3,7` as a list. Counterpart of lib/bitmap-str.c and of `%*pb`, `%*pbl` in
 * lib/vsprintf.c.
 *
 * A set is a Uint8Array with a 1 for each member.
 */

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

/** The set of `size` bits that a mask names, or null when it is none or too large. @kernel bitmap_parse lib/bitmap-str.c */
export function bitmapParse(text: string, size: number): Uint8Array | null {
  const trimmed = text.trim();
  const groups = trimmed.split(',');
  if (!groups.every((group) => /^[0-9a-fA-F]{1,8}$/.test(group))) return null;
  const digits = groups
    .map((group, i) => (i === 0 ? group : group.padStart(GROUP_DIGITS, '0')))
    .join('');
  const set = new Uint8Array(size);
  for (let d = 0; d < digits.length; d++) {
    const digit = Number.parseInt(digits.charAt(digits.length - 1 - d), 16);
    for (let bit = 0; bit < BITS_OF_DIGIT; bit++) {
      if ((digit & (1 << bit)) === 0) continue;
      const index = d * BITS_OF_DIGIT + bit;
      if (index >= size) return null;
      set[index] = 1;
    }
  }
  return set;
}

/** The set of `size` bits that a list names, or null when it is none or too large. @kernel bitmap_parselist lib/bitmap-str.c */
export function bitmapParselist(text: string, size: number): Uint8Array | null {
  const set = new Uint8Array(size);
  for (const range of text.trim().split(',')) {
    const match = /^([0-9]{1,6})(?:-([0-9]{1,6}))?$/.exec(range);
    if (match === null) return null;
    const start = Number(match[1]);
    const end = match[2] === undefined ? start : Number(match[2]);
    if (end < start || end >= size) return null;
    set.fill(1, start, end + 1);
  }
  return set;
}
