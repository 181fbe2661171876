/** Text to bytes and back where neither TextEncoder nor TextDecoder exists: in the kernel. */

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

/** Bytes read as Latin-1: enough for names and numbers. */
export function latin1Decode(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** Bytes up to the first zero, as a C string in a fixed field. */
export function cString(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return latin1Decode(end < 0 ? bytes : bytes.subarray(0, end));
}
