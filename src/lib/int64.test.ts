import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bitLength,
  div64,
  divRoundUp,
  getS64,
  getU64,
  intSqrt,
  lower32,
  mulDiv,
  mulU32Shr,
  setS64,
  setU64,
  upper32,
} from '#lib/int64.ts';

const MAX = Number.MAX_SAFE_INTEGER;
const nat53 = fc.oneof(
  fc.maxSafeNat(),
  fc.nat(),
  fc.nat(1000),
  fc
    .tuple(fc.integer({ min: 0, max: 52 }), fc.integer({ min: -2, max: 2 }))
    .map(([e, d]) => Math.max(0, 2 ** e + d)),
);
const positive = nat53.map((x) => Math.max(1, x));
const u32 = fc.integer({ min: 0, max: 0xffffffff });

describe('halves', () => {
  it('stores and reads 64 bits in either order', () => {
    const v = new DataView(new ArrayBuffer(16));
    fc.assert(
      fc.property(nat53, fc.boolean(), (x, little) => {
        setU64(v, 3, x, little);
        expect(v.getBigUint64(3, little)).toBe(BigInt(x));
        expect(getU64(v, 3, little)).toBe(x);
        setS64(v, 3, -x, little);
        expect(v.getBigInt64(3, little)).toBe(-BigInt(x));
        expect(getS64(v, 3, little) + 0).toBe(-x + 0);
        expect(upper32(x) * 2 ** 32 + lower32(x)).toBe(x);
      }),
    );
  });
});

describe('exact arithmetic', () => {
  it('divides like integers', () => {
    fc.assert(
      fc.property(nat53, positive, (a, b) => {
        expect(BigInt(div64(a, b))).toBe(BigInt(a) / BigInt(b));
        expect(BigInt(divRoundUp(a, b))).toBe((BigInt(a) + BigInt(b) - 1n) / BigInt(b));
      }),
      { numRuns: 2000 },
    );
    expect(div64(MAX, 3)).toBe(3002399751580330);
    expect(div64(MAX - 1, MAX)).toBe(0);
  });

  it('multiplies and divides without losing a bit', () => {
    fc.assert(
      fc.property(nat53, nat53, positive, (a, b, c) => {
        const want = (BigInt(a) * BigInt(b)) / BigInt(c);
        fc.pre(want <= BigInt(MAX));
        expect(BigInt(mulDiv(a, b, c))).toBe(want);
      }),
      { numRuns: 5000 },
    );
    expect(mulDiv(MAX, MAX, MAX)).toBe(MAX);
    expect(mulDiv(MAX - 1, MAX - 2, MAX)).toBe(MAX - 3);
  });

  it('multiplies words and shifts', () => {
    fc.assert(
      fc.property(u32, u32, fc.integer({ min: 0, max: 63 }), (a, b, shift) => {
        const want = (BigInt(a) * BigInt(b)) >> BigInt(shift);
        fc.pre(want <= BigInt(MAX));
        expect(BigInt(mulU32Shr(a, b, shift))).toBe(want);
        expect(mulU32Shr(a | 0, b | 0, shift)).toBe(Number(want));
      }),
      { numRuns: 2000 },
    );
  });

  it('counts bits and takes square roots', () => {
    fc.assert(
      fc.property(nat53, (x) => {
        expect(bitLength(x)).toBe(x === 0 ? 0 : x.toString(2).length);
        const r = BigInt(intSqrt(x));
        expect(r * r <= BigInt(x) && (r + 1n) * (r + 1n) > BigInt(x)).toBe(true);
      }),
      { numRuns: 2000 },
    );
    expect(intSqrt(MAX)).toBe(94906265);
  });
});
