/*
 * 64-bit integers where a double of 53 bits is not enough: as two halves in memory, and products that are
 * divided or shifted before they fit again. All results are exact; nothing here rounds but downwards.
 * Kernel counterparts: include/linux/math64.h, lib/math/div64.c.
 */

/** 2^32. */
export const TWO_32 = 0x100000000;

/** Upper 32 bits of a non-negative integer below 2^53. */
export const upper32 = (x: number): number => Math.floor(x / TWO_32);

/** Lower 32 bits, unsigned. */
export const lower32 = (x: number): number => x % TWO_32;

/** The number of two unsigned halves; exact below 2^53, the nearest double above. */
export const u64 = (hi: number, lo: number): number => hi * TWO_32 + lo;

/** The signed number of two halves, exact within 2^53 of zero. */
export const s64 = (hi: number, lo: number): number => (hi | 0) * TWO_32 + (lo >>> 0);

/** Stores a non-negative integer below 2^53 as 64 bits. */
export function setU64(v: DataView, o: number, x: number, littleEndian: boolean): void {
  v.setUint32(littleEndian ? o : o + 4, lower32(x), littleEndian);
  v.setUint32(littleEndian ? o + 4 : o, upper32(x), littleEndian);
}

/** Reads 64 bits, unsigned; exact below 2^53. */
export function getU64(v: DataView, o: number, littleEndian: boolean): number {
  const lo = v.getUint32(littleEndian ? o : o + 4, littleEndian);
  const hi = v.getUint32(littleEndian ? o + 4 : o, littleEndian);
  return u64(hi, lo);
}

/** Stores an integer within 2^53 of zero as 64 bits, two's complement. */
export function setS64(v: DataView, o: number, x: number, littleEndian: boolean): void {
  const hi = Math.floor(x / TWO_32);
  v.setUint32(littleEndian ? o : o + 4, x - hi * TWO_32, littleEndian);
  v.setInt32(littleEndian ? o + 4 : o, hi, littleEndian);
}

/** Reads 64 bits, signed; exact within 2^53 of zero. */
export function getS64(v: DataView, o: number, littleEndian: boolean): number {
  const lo = v.getUint32(littleEndian ? o : o + 4, littleEndian);
  const hi = v.getInt32(littleEndian ? o + 4 : o, littleEndian);
  return s64(hi, lo);
}

/** Quotient of non-negative integers, rounded down. @kernel div64_u64 include/linux/math64.h */
export function div64(a: number, b: number): number {
  // Dividing a multiple is exact; dividing first could round up to a whole number.
  return (a - (a % b)) / b;
}

/** Quotient rounded up. @kernel DIV64_U64_ROUND_UP include/linux/math64.h */
export function divRoundUp(a: number, b: number): number {
  return div64(a, b) + (a % b === 0 ? 0 : 1);
}

/**
 * floor(a * b / c) without losing a bit of the product.
 * @param a non-negative integer below 2^53, as are b, c and the result; c is not 0
 * @kernel mul_u64_u64_div_u64 lib/math/div64.c
 */
export function mulDiv(a: number, b: number, c: number): number {
  const product = a * b;
  if (product <= Number.MAX_SAFE_INTEGER) return div64(product, c);
  // a * b = (whole * c + rest) * b, so the quotient is whole * b + floor(rest * b / c): double and add, bit
  // by bit of b, keeping quotient and remainder apart.
  const whole = div64(a, c);
  const rest = a % c;
  let quotient = 0;
  let remainder = 0;
  for (let bit = 2 ** Math.max(0, bitLength(b) - 1); bit >= 1; bit /= 2) {
    quotient *= 2;
    // remainder + remainder - c, in an order that stays below 2^53
    if (remainder >= c - remainder) {
      remainder -= c - remainder;
      quotient++;
    } else {
      remainder *= 2;
    }
    if (Math.floor(b / bit) % 2 === 1) {
      if (rest >= c - remainder) {
        remainder -= c - rest;
        quotient++;
      } else {
        remainder += rest;
      }
    }
  }
  return whole * b + quotient;
}

/** Number of bits of a non-negative integer below 2^53: 0 for 0. @kernel fls64 include/linux/bitops.h */
export function bitLength(x: number): number {
  const hi = upper32(x);
  return hi !== 0 ? 64 - Math.clz32(hi) : 32 - Math.clz32(x);
}

/**
 * floor(a * b / 2^shift), exact; a and b are unsigned 32-bit numbers, shift is 0 to 63.
 * @kernel mul_u64_u32_shr include/linux/math64.h
 */
export function mulU32Shr(a: number, b: number, shift: number): number {
  const aHi = a >>> 16;
  const aLo = a & 0xffff;
  // Two parts of at most 48 bits; the carry of the lower goes into the upper.
  const low = aLo * (b >>> 0);
  const high = aHi * (b >>> 0) + Math.floor(low / 65536);
  const low16 = low % 65536;
  if (shift < 16) return high * 2 ** (16 - shift) + Math.floor(low16 / 2 ** shift);
  return Math.floor(high / 2 ** (shift - 16));
}

/** Integer square root, rounded down, of a non-negative integer below 2^53. @kernel int_sqrt64 lib/math/int_sqrt.c */
export function intSqrt(x: number): number {
  // Math.sqrt is correctly rounded by IEEE 754, so it is the same everywhere and off by at most one.
  let r = Math.floor(Math.sqrt(x));
  if (r * r > x) r--;
  return r;
}
