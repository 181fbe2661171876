import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bitmapWeight,
  clearBit,
  ffs,
  findNextBit,
  findNextZeroBit,
  fls,
  hweight32,
  ilog2,
  newBitmap,
  roundupPowOfTwo,
  setBit,
  testAndSetBit,
  testBit,
} from '#lib/bitmap.ts';

describe('bitmap', () => {
  it('is a set of numbers', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(99)), fc.nat(110), (list, start) => {
        const map = newBitmap(100);
        const model = new Set<number>();
        list.forEach((bit, i) => {
          if (i % 3 === 2) {
            clearBit(map, bit);
            model.delete(bit);
          } else if (i % 3 === 1) {
            expect(testAndSetBit(map, bit)).toBe(model.has(bit));
            model.add(bit);
          } else {
            setBit(map, bit);
            model.add(bit);
          }
        });
        const all = Array.from({ length: 100 }, (_, i) => i);
        for (const bit of all) expect(testBit(map, bit)).toBe(model.has(bit));
        const set = all.find((i) => i >= start && model.has(i)) ?? 100;
        const zero = all.find((i) => i >= start && !model.has(i)) ?? 100;
        expect(findNextBit(map, 100, start)).toBe(set);
        expect(findNextZeroBit(map, 100, start)).toBe(zero);
        expect(bitmapWeight(map, 100)).toBe(model.size);
        expect(bitmapWeight(map, 50)).toBe([...model].filter((i) => i < 50).length);
      }),
    );
  });

  it('does not look beyond its size', () => {
    const map = newBitmap(64);
    setBit(map, 40);
    expect(findNextBit(map, 40, 0)).toBe(40);
    expect(findNextBit(map, 41, 0)).toBe(40);
    map.fill(-1);
    expect(findNextZeroBit(map, 33, 3)).toBe(33);
  });
});

describe('words', () => {
  it('counts and finds bits', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 0xffffffff }), (x) => {
        const text = x.toString(2);
        expect(hweight32(x)).toBe(text.replaceAll('0', '').length);
        expect(hweight32(x | 0)).toBe(hweight32(x));
        expect(fls(x)).toBe(text.length);
        expect(ilog2(x)).toBe(text.length - 1);
        expect(ffs(x)).toBe(text.length - 1 - text.lastIndexOf('1'));
      }),
    );
    expect(fls(0)).toBe(0);
    expect(hweight32(0)).toBe(0);
  });

  it('rounds up to powers of two', () => {
    expect([1, 2, 3, 4, 5, 1023, 1024, 1025].map(roundupPowOfTwo)).toEqual([
      1, 2, 4, 4, 8, 1024, 1024, 2048,
    ]);
    expect(roundupPowOfTwo(0x80000000)).toBe(0x80000000);
  });
});
