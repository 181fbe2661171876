/**
 * Text to bytes and back where neither TextEncoder nor TextDecoder exists: in the kernel.
 *
 * A string that came in as bytes has a character below 256 for each (Latin-1), whatever they mean, and goes
 * out as the same bytes. Only names that the host's side gives or gets as text, paths, are UTF-8 at the border.
 */

/** The text in UTF-8. Lone surrogates become U+FFFD. */
export function utf8Encode(text: string): Uint8Array {
  // A UTF-16 unit takes three bytes at most, a pair four.
  const out = new Uint8Array(text.length * 3);
  let n = 0;
  for (const char of text) {
    let c = char.codePointAt(0) as number;
    if (c >= 0xd800 && c <= 0xdfff) c = 0xfffd;
    if (c < 0x80) out[n++] = c;
    else {
      const more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
      const lead = [0, 0xc0, 0xe0, 0xf0][more] as number;
      out[n++] = lead | (c >> (6 * more));
      for (let i = more - 1; i >= 0; i--) out[n++] = 0x80 | ((c >> (6 * i)) & 0x3f);
    }
  }
  return out.slice(0, n);
}

/** A character for each byte: what {@link latin1Encode} makes the same bytes of. */
export function latin1Decode(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** A byte for each character; one that is none is written in UTF-8. */
export function latin1Encode(text: string): Uint8Array {
  const out = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c > 0xff) return concat(out.subarray(0, i), text.slice(i));
    out[i] = c;
  }
  return out;
}

function concat(head: Uint8Array, rest: string): Uint8Array {
  const first = rest.codePointAt(0) as number;
  const units = first > 0xffff ? 2 : 1;
  const parts = [head, utf8Encode(rest.slice(0, units)), latin1Encode(rest.slice(units))];
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Octets of the character that begins with one; 0: none does. */
function utf8Length(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/** Least code point of each length: a longer form is none. */
const UTF8_LEAST: readonly number[] = [0, 0, 0x80, 0x800, 0x10000];

/** The code point at `at`, of `length` octets; -1: there is none. */
function codePoint(bytes: Uint8Array, at: number, length: number): number {
  if (length === 0 || at + length > bytes.length) return -1;
  const lead = bytes[at] as number;
  let c = length === 1 ? lead : lead & (0x7f >> length);
  for (let i = 1; i < length; i++) {
    const byte = bytes[at + i] as number;
    if ((byte & 0xc0) !== 0x80) return -1;
    c = (c << 6) | (byte & 0x3f);
  }
  const bad = c < (UTF8_LEAST[length] as number) || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff);
  return bad ? -1 : c;
}

/** The text that the bytes are in UTF-8; U+FFFD for each byte that belongs to none. */
export function utf8Decode(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const length = utf8Length(bytes[at] as number);
    const c = codePoint(bytes, at, length);
    text += c < 0 ? '\ufffd' : String.fromCodePoint(c);
    at += c < 0 ? 1 : length;
  }
  return text;
}

/** Bytes up to the first zero, as a C string in a fixed field. */
export function cString(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return latin1Decode(end < 0 ? bytes : bytes.subarray(0, end));
}
