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

/** State, by halves: V + 0, 1 is v0, V + 2, 3 is v1, and so on. */
type State = Int32Array;

/** `rounds` times the permutation of four 64-bit words. */
function sipRounds(s: State, rounds: number): void {
  let [v0l, v0h, v1l, v1h] = [s[0] as number, s[1] as number, s[2] as number, s[3] as number];
  let [v2l, v2h, v3l, v3h] = [s[4] as number, s[5] as number, s[6] as number, s[7] as number];
  let low: number;
  let t: number;
  for (let i = 0; i < rounds; i++) {
    // v0 += v1; v1 = rotl(v1, 13) ^ v0; v0 = rotl(v0, 32)
    low = (v0l >>> 0) + (v1l >>> 0);
    v0h = (v0h + v1h + (low > 0xffffffff ? 1 : 0)) | 0;
    v0l = low | 0;
    t = (v1l << 13) | (v1h >>> 19);
    v1h = ((v1h << 13) | (v1l >>> 19)) ^ v0h;
    v1l = t ^ v0l;
    t = v0l;
    v0l = v0h;
    v0h = t;
    // v2 += v3; v3 = rotl(v3, 16) ^ v2
    low = (v2l >>> 0) + (v3l >>> 0);
    v2h = (v2h + v3h + (low > 0xffffffff ? 1 : 0)) | 0;
    v2l = low | 0;
    t = (v3l << 16) | (v3h >>> 16);
    v3h = ((v3h << 16) | (v3l >>> 16)) ^ v2h;
    v3l = t ^ v2l;
    // v0 += v3; v3 = rotl(v3, 21) ^ v0
    low = (v0l >>> 0) + (v3l >>> 0);
    v0h = (v0h + v3h + (low > 0xffffffff ? 1 : 0)) | 0;
    v0l = low | 0;
    t = (v3l << 21) | (v3h >>> 11);
    v3h = ((v3h << 21) | (v3l >>> 11)) ^ v0h;
    v3l = t ^ v0l;
    // v2 += v1; v1 = rotl(v1, 17) ^ v2; v2 = rotl(v2, 32)
    low = (v2l >>> 0) + (v1l >>> 0);
    v2h = (v2h + v1h + (low > 0xffffffff ? 1 : 0)) | 0;
    v2l = low | 0;
    t = (v1l << 17) | (v1h >>> 15);
    v1h = ((v1h << 17) | (v1l >>> 15)) ^ v2h;
    v1l = t ^ v2l;
    t = v2l;
    v2l = v2h;
    v2h = t;
  }
  s[0] = v0l;
  s[1] = v0h;
  s[2] = v1l;
  s[3] = v1h;
  s[4] = v2l;
  s[5] = v2h;
  s[6] = v3l;
  s[7] = v3h;
}

/** The constants spell "somepseudorandomlygeneratedbytes". */
function sipInit(key: Int32Array): State {
  const [k0l, k0h, k1l, k1h] = [
    key[0] as number,
    key[1] as number,
    key[2] as number,
    key[3] as number,
  ];
  const s = new Int32Array(8);
  s[0] = 0x70736575 ^ k0l;
  s[1] = 0x736f6d65 ^ k0h;
  s[2] = 0x6e646f6d ^ k1l;
  s[3] = 0x646f7261 ^ k1h;
  s[4] = 0x6e657261 ^ k0l;
  s[5] = 0x6c796765 ^ k0h;
  s[6] = 0x79746573 ^ k1l;
  s[7] = 0x74656462 ^ k1h;
  return s;
}

/** Takes in one 64-bit word. */
function sipWord(s: State, low: number, high: number): void {
  s[6] = (s[6] as number) ^ low;
  s[7] = (s[7] as number) ^ high;
  sipRounds(s, 2);
  s[0] = (s[0] as number) ^ low;
  s[1] = (s[1] as number) ^ high;
}

/** The last word, which carries the length in its top octet, and the four final rounds. */
function sipFinish(s: State, low: number, high: number, length: number): void {
  sipWord(s, low, high | (length << 24));
  s[4] = (s[4] as number) ^ 0xff;
  sipRounds(s, 4);
}

const lowHalf = (s: State): number =>
  (s[0] as number) ^ (s[2] as number) ^ (s[4] as number) ^ (s[6] as number);
const highHalf = (s: State): number =>
  (s[1] as number) ^ (s[3] as number) ^ (s[5] as number) ^ (s[7] as number);

/** Up to four octets as a word, low octet first. */
function load(u8: Uint8Array, at: number, n: number): number {
  let w = 0;
  for (let i = 0; i < n; i++) w |= (u8[at + i] as number) << (i << 3);
  return w;
}

function sipBytes(u8: Uint8Array, off: number, length: number, key: Int32Array): State {
  const s = sipInit(key);
  let i = off;
  for (const end = off + (length & ~7); i < end; i += 8) {
    sipWord(s, load(u8, i, 4), load(u8, i + 4, 4));
  }
  const left = length & 7;
  const low = load(u8, i, Math.min(left, 4));
  const high = left > 4 ? load(u8, i + 4, left - 4) : 0;
  sipFinish(s, low, high, length);
  return s;
}

/**
 * Low half of the hash of `length` octets of `u8` from `off`.
 * @kernel siphash include/linux/siphash.h
 */
export function siphash(u8: Uint8Array, off: number, length: number, key: Int32Array): number {
  return lowHalf(sipBytes(u8, off, length, key));
}

/** Both halves of the same, unsigned. */
export function siphash64(
  u8: Uint8Array,
  off: number,
  length: number,
  key: Int32Array,
): { readonly lo: number; readonly hi: number } {
  const s = sipBytes(u8, off, length, key);
  return { lo: lowHalf(s) >>> 0, hi: highHalf(s) >>> 0 };
}

/** @kernel siphash_1u32 lib/siphash.c */
export function siphash1u32(a: number, key: Int32Array): number {
  const s = sipInit(key);
  sipFinish(s, a, 0, 4);
  return lowHalf(s);
}

/** @kernel siphash_2u32 include/linux/siphash.h */
export function siphash2u32(a: number, b: number, key: Int32Array): number {
  const s = sipInit(key);
  sipWord(s, a, b);
  sipFinish(s, 0, 0, 8);
  return lowHalf(s);
}

/** @kernel siphash_3u32 lib/siphash.c */
export function siphash3u32(a: number, b: number, c: number, key: Int32Array): number {
  const s = sipInit(key);
  sipWord(s, a, b);
  sipFinish(s, c, 0, 12);
  return lowHalf(s);
}

/** @kernel siphash_4u32 include/linux/siphash.h */
export function siphash4u32(a: number, b: number, c: number, d: number, key: Int32Array): number {
  const s = sipInit(key);
  sipWord(s, a, b);
  sipWord(s, c, d);
  sipFinish(s, 0, 0, 16);
  return lowHalf(s);
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
