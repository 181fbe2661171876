import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  hash32,
  jhash,
  jhash1word,
  jhash2,
  jhash2words,
  jhash3words,
  reciprocalScale,
} from '#lib/jhash.ts';

const text = (s: string): Uint8Array => new TextEncoder().encode(s);
const u32 = fc.integer({ min: 0, max: 0xffffffff });

describe('jhash', () => {
  it('gives the values in the self test of lookup3', () => {
    expect(jhash(text(''), 0, 0, 0) >>> 0).toBe(0xdeadbeef);
    expect(jhash(text(''), 0, 0, 0xdeadbeef) >>> 0).toBe(0xbd5b7dde);
    const words = text('Four score and seven years ago');
    expect(jhash(words, 0, words.length, 0) >>> 0).toBe(0x17770551);
    expect(jhash(words, 0, words.length, 1) >>> 0).toBe(0xcd628161);
  });

  it('hashes words like the octets that they consist of, low octet first', () => {
    fc.assert(
      fc.property(fc.uint32Array({ maxLength: 20 }), fc.nat(3), u32, (k, at, seed) => {
        const bytes = new Uint8Array(at + k.length * 4);
        const v = new DataView(bytes.buffer);
        k.forEach((w, i) => {
          v.setUint32(at + i * 4, w, true);
        });
        const want = jhash(bytes, at, k.length * 4, seed);
        expect(jhash2(k, 0, k.length, seed)).toBe(want);
        expect(jhash2(Int32Array.from(k), 0, k.length, seed | 0)).toBe(want);
        const shifted = new Uint32Array(k.length + 2);
        shifted.set(k, 2);
        expect(jhash2(shifted, 2, k.length, seed)).toBe(want);
      }),
    );
  });

  it('hashes one, two and three words as jhash2 with the missing ones 0', () => {
    fc.assert(
      fc.property(u32, u32, u32, u32, (a, b, c, seed) => {
        const k = Uint32Array.of(a, b, c);
        expect(jhash3words(a, b, c, seed)).toBe(jhash2(k, 0, 3, seed));
        expect(jhash2words(a, b, seed)).toBe(jhash2(k, 0, 2, seed));
        expect(jhash1word(a, seed)).toBe(jhash2(k, 0, 1, seed));
        expect(jhash3words(a | 0, b | 0, c | 0, seed | 0)).toBe(jhash3words(a, b, c, seed));
      }),
    );
  });

  it('reaches every bucket from neighbouring keys', () => {
    const seen = new Set<number>();
    for (let i = 0; i < 2000; i++) seen.add(jhash1word(i, 0) & 255);
    expect(seen.size).toBe(256);
  });
});

describe('scaling', () => {
  it('spreads a word over the bits asked for', () => {
    fc.assert(
      fc.property(u32, fc.integer({ min: 1, max: 32 }), (x, bits) => {
        const product = (BigInt(x) * 0x61c88647n) & 0xffffffffn;
        expect(hash32(x, bits)).toBe(Number(product >> BigInt(32 - bits)));
      }),
    );
  });

  it('scales a hash to a range in proportion', () => {
    expect(reciprocalScale(0, 7)).toBe(0);
    expect(reciprocalScale(-1, 7)).toBe(6);
    expect(reciprocalScale(0x80000000, 10)).toBe(5);
    fc.assert(
      fc.property(u32, fc.integer({ min: 1, max: 1 << 21 }), (h, n) => {
        expect(reciprocalScale(h | 0, n)).toBe(Number((BigInt(h) * BigInt(n)) >> 32n));
      }),
    );
  });
});
