import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
// Not under the names of test hooks.
import { between, after as isAfter, before as isBefore, seqMax, seqMin } from '#lib/tcp_seq.ts';

const seq = fc.integer({ min: -0x80000000, max: 0x7fffffff });

describe('sequence arithmetic', () => {
  it('knows what a step of less than half the space means, across the wrap', () => {
    fc.assert(
      fc.property(seq, fc.integer({ min: 1, max: 0x7fffffff }), (a, step) => {
        const b = (a + step) | 0;
        expect(isBefore(a, b)).toBe(true);
        expect(isAfter(b, a)).toBe(true);
        expect(isBefore(b, a)).toBe(false);
        expect(isAfter(a, b)).toBe(false);
        expect(seqMax(a, b)).toBe(b);
        expect(seqMin(b, a)).toBe(a);
      }),
    );
    expect(isBefore(5, 5)).toBe(false);
    expect(isAfter(5, 5)).toBe(false);
    expect(isBefore(-1, 0)).toBe(true);
    expect(isBefore(0x7fffffff, -0x80000000)).toBe(true);
  });

  it('calls each of two numbers half the space apart before the other, as Linux does', () => {
    expect(isBefore(0, -0x80000000)).toBe(true);
    expect(isBefore(-0x80000000, 0)).toBe(true);
  });

  it('finds a number between two others, ends included', () => {
    fc.assert(
      fc.property(seq, fc.nat(), fc.nat(), (low, x, y) => {
        const [near, far] = x < y ? [x, y] : [y, x];
        const mid = (low + near) | 0;
        const high = (low + far) | 0;
        expect(between(mid, low, high)).toBe(true);
        expect(between(low, low, high)).toBe(true);
        expect(between(high, low, high)).toBe(true);
        expect(between((low - 1) | 0, low, high)).toBe(false);
        expect(between((high + 1) | 0, low, high)).toBe(false);
      }),
    );
  });
});
