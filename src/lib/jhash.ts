/*
 * Bob Jenkins' lookup3 as Linux uses it: a fast hash of words or octets with a 32-bit seed. Against an
 * adversary who can choose the input, seed it with a secret, or use siphash.ts.
 * Kernel counterparts: include/linux/jhash.h, include/linux/hash.h, include/linux/kernel.h.
 *
 * Results are int32: mask them for a bucket, `>>> 0` them for a number.
 */

/** Arbitrary starting value. @kernel JHASH_INITVAL include/linux/jhash.h */
export const JHASH_INITVAL = 0xdeadbeef;

/** Mixes three words into the third and leaves its every bit depending on all. */
function final(x: number, y: number, z: number): number {
  let a = x;
  let b = y;
  let c = z;
  c = (c ^ b) - ((b << 14) | (b >>> 18));
  a = (a ^ c) - ((c << 11) | (c >>> 21));
  b = (b ^ a) - ((a << 25) | (a >>> 7));
  c = (c ^ b) - ((b << 16) | (b >>> 16));
  a = (a ^ c) - ((c << 4) | (c >>> 28));
  b = (b ^ a) - ((a << 14) | (a >>> 18));
  return ((c ^ b) - ((b << 24) | (b >>> 8))) | 0;
}

/** @kernel __jhash_nwords include/linux/jhash.h */
function nwords(a: number, b: number, c: number, initval: number): number {
  return final((a + initval) | 0, (b + initval) | 0, (c + initval) | 0);
}

/** @kernel jhash_3words include/linux/jhash.h */
export function jhash3words(a: number, b: number, c: number, initval: number): number {
  return nwords(a, b, c, (initval + JHASH_INITVAL + 12) | 0);
}

/** @kernel jhash_2words include/linux/jhash.h */
export function jhash2words(a: number, b: number, initval: number): number {
  return nwords(a, b, 0, (initval + JHASH_INITVAL + 8) | 0);
}

/** @kernel jhash_1word include/linux/jhash.h */
export function jhash1word(a: number, initval: number): number {
  return nwords(a, 0, 0, (initval + JHASH_INITVAL + 4) | 0);
}

/**
 * Hash of `length` words of `k` from `start`.
 * @kernel jhash2 include/linux/jhash.h
 */
export function jhash2(
  k: Uint32Array | Int32Array,
  start: number,
  length: number,
  initval: number,
): number {
  let a = (JHASH_INITVAL + (length << 2) + initval) | 0;
  let b = a;
  let c = a;
  let i = start;
  let left = length;
  for (; left > 3; left -= 3, i += 3) {
    a += k[i] as number;
    b += k[i + 1] as number;
    c += k[i + 2] as number;
    a = (a - c) ^ ((c << 4) | (c >>> 28));
    c += b;
    b = (b - a) ^ ((a << 6) | (a >>> 26));
    a += c;
    c = (c - b) ^ ((b << 8) | (b >>> 24));
    b += a;
    a = (a - c) ^ ((c << 16) | (c >>> 16));
    c += b;
    b = (b - a) ^ ((a << 19) | (a >>> 13));
    a = (a + c) | 0;
    c = (c - b) ^ ((b << 4) | (b >>> 28));
    b = (b + a) | 0;
  }
  if (left === 0) return c | 0;
  if (left >= 3) c += k[i + 2] as number;
  if (left >= 2) b += k[i + 1] as number;
  return final((a + (k[i] as number)) | 0, b | 0, c | 0);
}

/** Up to four octets as a word, low octet first; those beyond `n` are 0. */
function load(u8: Uint8Array, at: number, n: number): number {
  let w = 0;
  for (let i = 0; i < n; i++) w |= (u8[at + i] as number) << (i << 3);
  return w;
}

/**
 * Hash of `length` octets of `u8` from `off`.
 * @kernel jhash include/linux/jhash.h
 */
export function jhash(u8: Uint8Array, off: number, length: number, initval: number): number {
  let a = (JHASH_INITVAL + length + initval) | 0;
  let b = a;
  let c = a;
  let i = off;
  let left = length;
  for (; left > 12; left -= 12, i += 12) {
    a += load(u8, i, 4);
    b += load(u8, i + 4, 4);
    c += load(u8, i + 8, 4);
    a = (a - c) ^ ((c << 4) | (c >>> 28));
    c += b;
    b = (b - a) ^ ((a << 6) | (a >>> 26));
    a += c;
    c = (c - b) ^ ((b << 8) | (b >>> 24));
    b += a;
    a = (a - c) ^ ((c << 16) | (c >>> 16));
    c += b;
    b = (b - a) ^ ((a << 19) | (a >>> 13));
    a = (a + c) | 0;
    c = (c - b) ^ ((b << 4) | (b >>> 28));
    b = (b + a) | 0;
  }
  if (left === 0) return c | 0;
  if (left > 8) c += load(u8, i + 8, left - 8);
  if (left > 4) b += load(u8, i + 4, Math.min(4, left - 4));
  a += load(u8, i, Math.min(4, left));
  return final(a | 0, b | 0, c | 0);
}

/** 2^32 times the inverse golden ratio. @kernel GOLDEN_RATIO_32 include/linux/hash.h */
export const GOLDEN_RATIO_32 = 0x61c88647;

/**
 * Spreads a word over `bits` bits (1 to 32); the result is not negative below 32 bits.
 * @kernel hash_32 include/linux/hash.h
 */
export function hash32(val: number, bits: number): number {
  return Math.imul(val, GOLDEN_RATIO_32) >>> (32 - bits);
}

/**
 * A hash scaled to 0..n - 1 without a division: its upper part decides.
 * @param n at most 2^21, so that the product is exact
 * @kernel reciprocal_scale include/linux/kernel.h
 */
export function reciprocalScale(hash: number, n: number): number {
  return Math.floor(((hash >>> 0) * n) / 0x100000000);
}
