/*
 * Sets of small numbers as bits of an Int32Array.
 * Kernel counterparts: lib/bitmap.c, lib/find_bit.c, include/linux/bitops.h.
 */

/** A bitmap of `bits` bits, all clear. @kernel bitmap_zalloc lib/bitmap.c */
export function newBitmap(bits: number): Int32Array {
  return new Int32Array((bits + 31) >> 5);
}

/** @kernel test_bit include/linux/bitops.h */
export function testBit(map: Int32Array, bit: number): boolean {
  return (((map[bit >> 5] as number) >>> (bit & 31)) & 1) === 1;
}

/** @kernel __set_bit include/linux/bitops.h */
export function setBit(map: Int32Array, bit: number): void {
  map[bit >> 5] = (map[bit >> 5] as number) | (1 << (bit & 31));
}

/** @kernel __clear_bit include/linux/bitops.h */
export function clearBit(map: Int32Array, bit: number): void {
  map[bit >> 5] = (map[bit >> 5] as number) & ~(1 << (bit & 31));
}

/** Sets a bit. @returns what it was @kernel __test_and_set_bit include/linux/bitops.h */
export function testAndSetBit(map: Int32Array, bit: number): boolean {
  const was = testBit(map, bit);
  setBit(map, bit);
  return was;
}

/** Number of the lowest set bit, of a word that is not 0. @kernel __ffs include/linux/bitops.h */
export function ffs(word: number): number {
  return 31 - Math.clz32(word & -word);
}

/** Number of the highest set bit plus one; 0 for 0. @kernel fls include/linux/bitops.h */
export function fls(word: number): number {
  return 32 - Math.clz32(word);
}

/** Number of set bits. @kernel hweight32 lib/hweight.c */
export function hweight32(word: number): number {
  let w = word - ((word >>> 1) & 0x55555555);
  w = (w & 0x33333333) + ((w >>> 2) & 0x33333333);
  return Math.imul((w + (w >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** First bit from `start` on whose word, xored with `flip`, has it set; `size` when there is none. */
function findNext(map: Int32Array, size: number, start: number, flip: number): number {
  if (start >= size) return size;
  let w = start >> 5;
  let word = ((map[w] as number) ^ flip) & (-1 << (start & 31));
  const words = (size + 31) >> 5;
  while (word === 0) {
    if (++w >= words) return size;
    word = (map[w] as number) ^ flip;
  }
  return Math.min((w << 5) + ffs(word), size);
}

/** @kernel find_next_bit include/linux/find.h */
export function findNextBit(map: Int32Array, size: number, start: number): number {
  return findNext(map, size, start, 0);
}

/** @kernel find_next_zero_bit include/linux/find.h */
export function findNextZeroBit(map: Int32Array, size: number, start: number): number {
  return findNext(map, size, start, -1);
}

/** How many of the first `size` bits are set. @kernel bitmap_weight include/linux/bitmap.h */
export function bitmapWeight(map: Int32Array, size: number): number {
  let n = 0;
  const whole = size >> 5;
  for (let w = 0; w < whole; w++) n += hweight32(map[w] as number);
  const rest = size & 31;
  if (rest !== 0) n += hweight32((map[whole] as number) & ((1 << rest) - 1));
  return n;
}

/** The least power of two that is not below n; n from 1 to 2^31. @kernel roundup_pow_of_two include/linux/log2.h */
export function roundupPowOfTwo(n: number): number {
  return n <= 1 ? 1 : (1 << fls(n - 1)) >>> 0;
}

/** Floor of the binary logarithm of n > 0. @kernel ilog2 include/linux/log2.h */
export function ilog2(n: number): number {
  return fls(n) - 1;
}
