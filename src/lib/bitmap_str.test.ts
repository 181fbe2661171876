import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bitmapListString, bitmapParse, bitmapParselist, bitmapString } from '#lib/bitmap_str.ts';
import { EINVAL, EOVERFLOW, ERANGE } from '#uapi/errno.ts';

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
  for (const bad of ['g', '1g', 'g1', '-1', '1 -']) {
    expect(bitmapParse(bad, 4), bad).toBe(-EINVAL);
  }
  // Larger than the set, if only by zeros: groups are counted, not bits.
  for (const large of ['123456789', '10', 'ff', '0,1', '00000000,3']) {
    expect(bitmapParse(large, 4), large).toBe(-EOVERFLOW);
  }
  // The character before eight digits is passed over, as Linux does.
  expect(bitmapParse('x00000003', 4)).toEqual(set(4, 0, 1));
  expect(bitmapParse('', 4)).toEqual(set(4));
  expect(bitmapParse(' ,3, \nfoo', 4)).toEqual(set(4, 0, 1));
  expect(bitmapParse('1,,2', 64)).toEqual(set(64, 1, 32));
  expect(bitmapParse('0000000f\n', 4)).toEqual(set(4, 0, 1, 2, 3));
  expect(bitmapParse('1,2', 64)).toEqual(set(64, 1, 32));
  for (const bad of ['2-1', 'a', '1-', '-1', '0-3:0/0', '0-3:3/2', '1-2-3', '0:1', '1x']) {
    expect(bitmapParselist(bad, 4), bad).toBe(-EINVAL);
  }
  for (const far of ['4', '0-9', '0,9']) expect(bitmapParselist(far, 4), far).toBe(-ERANGE);
  for (const vast of ['4294967296', '0-2147483648']) {
    expect(bitmapParselist(vast, 4), vast).toBe(-EOVERFLOW);
  }
  expect(bitmapParselist('', 4)).toEqual(set(4));
  expect(bitmapParselist(' 0 ,2-N\n', 4)).toEqual(set(4, 0, 2, 3));
  expect(bitmapParselist('all', 4)).toEqual(set(4, 0, 1, 2, 3));
  expect(bitmapParselist('0-9:2/4', 12)).toEqual(set(12, 0, 1, 4, 5, 8, 9));
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
