/*
 * SipHash-2-4, keyed with 128 bits: what an attacker cannot predict without the key. And HalfSipHash-1-3,
 * its lighter 32-bit sibling for hash tables.
 * Kernel counterparts: lib/siphash.c, include/linux/siphash.h. Aumasson and Bernstein, "SipHash: a fast
 * short-input PRF". RFC 6528 uses such a function for initial sequence numbers.
 *
 * A 64-bit word is two int32, low half first. Keys: Int32Array of 4 (siphash: k0 low, k0 high, k1 low, k1
 * high) or 2 (hsiphash). Results are the low 32 bits as int32; siphash64() gives both halves.
 * @deviation hsiphash is the 32-bit HalfSipHash of Linux on 32-bit machines: this is one, in effect
 */

/**
 * The hash of some 64-bit words, the whole state in registers. The first `words` words are a, b and c, d or, where
 * `bytes` is given, its octets from `off`; then comes `tail`, low half and high half, whose top octet is the length
 * in octets. The low half of the result, or with `high` the high one.
 */
function sip(
  key: Int32Array,
  words: number,
  bytes: Uint8Array | null,
  off: number,
  a: number,
  b: number,
  c: number,
  d: number,
  tailLow: number,
  tailHigh: number,
  high: boolean,
): number {
  // The constants spell "somepseudorandomlygeneratedbytes".
  let v0l = 0x70736575 ^ (key[0] as number);
  let v0h = 0x736f6d65 ^ (key[1] as number);
  let v1l = 0x6e646f6d ^ (key[2] as number);
  let v1h = 0x646f7261 ^ (key[3] as number);
  let v2l = 0x6e657261 ^ (key[0] as number);
  let v2h = 0x6c796765 ^ (key[1] as number);
  let v3l = 0x79746573 ^ (key[2] as number);
  let v3h = 0x74656462 ^ (key[3] as number);
  // Two rounds for each word and the tail, four to end with.
  const steps = 2 * words + 6;
  let low = 0;
  let t = 0;
  let ml = 0;
  let mh = 0;
  for (let i = 0; i < steps; i++) {
    if ((i & 1) === 0) {
      // What went into v3 two rounds ago goes into v0.
      v0l ^= ml;
      v0h ^= mh;
      if (i < 2 * words) {
        ml = bytes !== null ? load(bytes, off + 4 * i, 4) : i === 0 ? a : c;
        mh = bytes !== null ? load(bytes, off + 4 * i + 4, 4) : i === 0 ? b : d;
      } else {
        ml = i === 2 * words ? tailLow : 0;
        mh = i === 2 * words ? tailHigh : 0;
        if (i === 2 * words + 2) v2l ^= 0xff;
      }
      v3l ^= ml;
      v3h ^= mh;
    }
    // v0 += v1; v1 = rotl(v1, 13) ^ v0; v0 = rotl(v0, 32)
    low = (v0l + v1l) | 0;
    v0h = (v0h + v1h + (low >>> 0 < v0l >>> 0 ? 1 : 0)) | 0;
    t = (v1l << 13) | (v1h >>> 19);
    v1h = ((v1h << 13) | (v1l >>> 19)) ^ v0h;
    v1l = t ^ low;
    v0l = v0h;
    v0h = low;
    // v2 += v3; v3 = rotl(v3, 16) ^ v2
    low = (v2l + v3l) | 0;
    v2h = (v2h + v3h + (low >>> 0 < v2l >>> 0 ? 1 : 0)) | 0;
    v2l = low;
    t = (v3l << 16) | (v3h >>> 16);
    v3h = ((v3h << 16) | (v3l >>> 16)) ^ v2h;
    v3l = t ^ v2l;
    // v0 += v3; v3 = rotl(v3, 21) ^ v0
    low = (v0l + v3l) | 0;
    v0h = (v0h + v3h + (low >>> 0 < v0l >>> 0 ? 1 : 0)) | 0;
    v0l = low;
    t = (v3l << 21) | (v3h >>> 11);
    v3h = ((v3h << 21) | (v3l >>> 11)) ^ v0h;
    v3l = t ^ v0l;
    // v2 += v1; v1 = rotl(v1, 17) ^ v2; v2 = rotl(v2, 32)
    low = (v2l + v1l) | 0;
    v2h = (v2h + v1h + (low >>> 0 < v2l >>> 0 ? 1 : 0)) | 0;
    t = (v1l << 17) | (v1h >>> 15);
    v1h = ((v1h << 17) | (v1l >>> 15)) ^ v2h;
    v1l = t ^ low;
    v2l = v2h;
    v2h = low;
  }
  return high ? v0h ^ v1h ^ v2h ^ v3h : v0l ^ v1l ^ v2l ^ v3l;
}

/** Up to four octets as a word, low octet first. */
function load(u8: Uint8Array, at: number, n: number): number {
  let w = 0;
  for (let i = 0; i < n; i++) w |= (u8[at + i] as number) << (i << 3);
  return w;
}

function sipBytes(
  u8: Uint8Array,
  off: number,
  length: number,
  key: Int32Array,
  high: boolean,
): number {
  const words = length >>> 3;
  const at = off + 8 * words;
  const left = length & 7;
  const tailLow = load(u8, at, Math.min(left, 4));
  const tailHigh = (left > 4 ? load(u8, at + 4, left - 4) : 0) | (length << 24);
  return sip(key, words, u8, off, 0, 0, 0, 0, tailLow, tailHigh, high);
}

/**
 * Low half of the hash of `length` octets of `u8` from `off`.
 * @kernel siphash include/linux/siphash.h
 */
export function siphash(u8: Uint8Array, off: number, length: number, key: Int32Array): number {
  return sipBytes(u8, off, length, key, false);
}

/** Both halves of the same, unsigned. */
export function siphash64(
  u8: Uint8Array,
  off: number,
  length: number,
  key: Int32Array,
): { readonly lo: number; readonly hi: number } {
  return {
    lo: sipBytes(u8, off, length, key, false) >>> 0,
    hi: sipBytes(u8, off, length, key, true) >>> 0,
  };
}

/** @kernel siphash_1u32 lib/siphash.c */
export function siphash1u32(a: number, key: Int32Array): number {
  return sip(key, 0, null, 0, 0, 0, 0, 0, a, 4 << 24, false);
}

/** @kernel siphash_2u32 include/linux/siphash.h */
export function siphash2u32(a: number, b: number, key: Int32Array): number {
  return sip(key, 1, null, 0, a, b, 0, 0, 0, 8 << 24, false);
}

/** @kernel siphash_3u32 lib/siphash.c */
export function siphash3u32(a: number, b: number, c: number, key: Int32Array): number {
  return sip(key, 1, null, 0, a, b, 0, 0, c, 12 << 24, false);
}

/** @kernel siphash_4u32 include/linux/siphash.h */
export function siphash4u32(a: number, b: number, c: number, d: number, key: Int32Array): number {
  return sip(key, 2, null, 0, a, b, c, d, 0, 16 << 24, false);
}

/**
 * HalfSipHash-1-3 over words, all in registers: `words` of a, b, c and d are taken, then `tail`, whose top
 * octet is the length in octets.
 */
function hsip(
  key: Int32Array,
  words: number,
  a: number,
  b: number,
  c: number,
  d: number,
  tail: number,
): number {
  let v0 = key[0] as number;
  let v1 = key[1] as number;
  let v2 = 0x6c796765 ^ v0;
  let v3 = 0x74656462 ^ v1;
  const steps = words + 4;
  for (let i = 0; i < steps; i++) {
    let m = 0;
    if (i < words) m = i === 0 ? a : i === 1 ? b : i === 2 ? c : d;
    else if (i === words) m = tail;
    v3 ^= m;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= m;
    if (i === words) v2 ^= 0xff;
  }
  return v1 ^ v3;
}

/** @kernel hsiphash_1u32 lib/siphash.c */
export function hsiphash1u32(a: number, key: Int32Array): number {
  return hsip(key, 1, a, 0, 0, 0, 4 << 24);
}

/** @kernel hsiphash_2u32 lib/siphash.c */
export function hsiphash2u32(a: number, b: number, key: Int32Array): number {
  return hsip(key, 2, a, b, 0, 0, 8 << 24);
}

/** @kernel hsiphash_3u32 lib/siphash.c */
export function hsiphash3u32(a: number, b: number, c: number, key: Int32Array): number {
  return hsip(key, 3, a, b, c, 0, 12 << 24);
}

/** @kernel hsiphash_4u32 lib/siphash.c */
export function hsiphash4u32(a: number, b: number, c: number, d: number, key: Int32Array): number {
  return hsip(key, 4, a, b, c, d, 16 << 24);
}
