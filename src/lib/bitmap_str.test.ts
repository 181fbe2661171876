import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bitmapListString, bitmapParse, bitmapParselist, bitmapString } from '#lib/bitmap_str.ts';

function set(size: number, ...members: readonly number[]): Uint8Array {
  const bits = new Uint8Array(size);
  for (const member of members) bits[member] = 1;
  return bits;
}

test('a mask has as many digits as the set, groups of eight between commas', () => {
  expect(bitmapString(set(4, 0, 1, 2, 3))).toBe('f');
  expect(bitmapString(set(6, 5))).toBe('20');
  expect(bitmapString(set(64, 0, 32, 63))).toBe('80000001,00000001');
  expect(bitmapString(set(40))).toBe('00,00000000');
});

test('a list joins neighbours', () => {
  expect(bitmapListString(set(8, 0, 1, 2, 5, 7))).toBe('0-2,5,7');
  expect(bitmapListString(set(8))).toBe('');
});

test('what is no mask or names what does not exist is refused', () => {
  for (const bad of ['', 'g', '1,,2', '-1', '123456789', '10', 'ff']) {
    expect(bitmapParse(bad, 4), bad).toBeNull();
  }
  expect(bitmapParse('0000000f\n', 4)).toEqual(set(4, 0, 1, 2, 3));
  expect(bitmapParse('1,2', 64)).toEqual(set(64, 1, 32));
  for (const bad of ['', '4', '2-1', 'a', '1-', '0-9']) {
    expect(bitmapParselist(bad, 4), bad).toBeNull();
  }
});

test('what is written is read back', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 70, max: 1 }), (bits) => {
      expect(bitmapParse(bitmapString(bits), bits.length)).toEqual(bits);
      if (bits.includes(1)) {
        expect(bitmapParselist(bitmapListString(bits), bits.length)).toEqual(bits);
      }
    }),
  );
});
