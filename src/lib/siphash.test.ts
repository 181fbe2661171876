import { describe, expect, it } from 'vitest';
import {
  hsiphash1u32,
  hsiphash2u32,
  hsiphash3u32,
  hsiphash4u32,
  siphash,
  siphash1u32,
  siphash2u32,
  siphash3u32,
  siphash4u32,
  siphash64,
} from '#lib/siphash.ts';

/** Octets 00 01 02 ... as input and, their first sixteen, as key: the vectors of the designers' own code. */
const input = Uint8Array.from({ length: 64 }, (_, i) => i);
const key = new Int32Array(input.slice(0, 16).buffer);
const w0 = 0x03020100;
const w1 = 0x07060504;
const w2 = 0x0b0a0908;
const w3 = 0x0f0e0d0c;

/** SipHash-2-4 of the first n octets, n = 0 to 16. */
const SIPHASH_2_4 = [
  '726fdb47dd0e0e31',
  '74f839c593dc67fd',
  '0d6c8009d9a94f5a',
  '85676696d7fb7e2d',
  'cf2794e0277187b7',
  '18765564cd99a68d',
  'cbc9466e58fee3ce',
  'ab0200f58b01d137',
  '93f5f5799a932462',
  '9e0082df0ba9e4b0',
  '7a5dbbc594ddb9f3',
  'f4b32f46226bada7',
  '751e8fbc860ee5fb',
  '14ea5627c0843d90',
  'f723ca908e7af2ee',
  'a129ca6149be45e5',
  '3f2acc7f57c29bdb',
] as const;

const hex = (h: { lo: number; hi: number }): string =>
  h.hi.toString(16).padStart(8, '0') + h.lo.toString(16).padStart(8, '0');

describe('SipHash-2-4', () => {
  it("gives the designers' vectors for every length of the last word", () => {
    SIPHASH_2_4.forEach((want, n) => {
      expect(hex(siphash64(input, 0, n, key))).toBe(want);
    });
    // The vector for 63 octets: several whole words.
    expect(hex(siphash64(input, 0, 63, key))).toBe('958a324ceb064572');
  });

  it('does not care where the octets lie', () => {
    const moved = new Uint8Array(80);
    moved.set(input, 5);
    expect(siphash(moved, 5, 21, key)).toBe(siphash(input, 0, 21, key));
  });

  it('hashes words like their octets, low octet first', () => {
    expect(siphash1u32(w0, key)).toBe(siphash(input, 0, 4, key));
    expect(siphash2u32(w0, w1, key)).toBe(siphash(input, 0, 8, key));
    expect(siphash3u32(w0, w1, w2, key)).toBe(siphash(input, 0, 12, key));
    expect(siphash4u32(w0, w1, w2, w3, key)).toBe(siphash(input, 0, 16, key));
  });

  it('depends on every word of the key', () => {
    const seen = new Set([siphash3u32(w0, w1, w2, key)]);
    for (let i = 0; i < 4; i++) {
      const other = key.slice();
      other[i] = (other[i] ?? 0) ^ 1;
      seen.add(siphash3u32(w0, w1, w2, other));
    }
    expect(seen.size).toBe(5);
  });
});

describe('HalfSipHash-1-3', () => {
  it('gives the vectors of the 32-bit kernels for 4, 8, 12 and 16 octets', () => {
    const half = key.slice(0, 2);
    expect(hsiphash1u32(w0, half) >>> 0).toBe(0x7e059ea6);
    expect(hsiphash2u32(w0, w1, half) >>> 0).toBe(0x577999b1);
    expect(hsiphash3u32(w0, w1, w2, half) >>> 0).toBe(0x6b28096c);
    expect(hsiphash4u32(w0, w1, w2, w3, half) >>> 0).toBe(0x8b31d501);
  });
});
