import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Prandom } from '#lib/prandom.ts';

const draw = (r: Prandom, n: number): number[] => Array.from({ length: n }, () => r.u32());

/** xoshiro128** as its authors give it, on a known state, in exact arithmetic. */
function reference(state: readonly number[], n: number): number[] {
  const s = state.map((x) => BigInt(x >>> 0));
  const m = 0xffffffffn;
  const rotl = (x: bigint, k: bigint): bigint => ((x << k) | (x >> (32n - k))) & m;
  return Array.from({ length: n }, () => {
    const [a, b, c, d] = s as [bigint, bigint, bigint, bigint];
    const result = (rotl((b * 5n) & m, 7n) * 9n) & m;
    const t = (b << 9n) & m;
    const c1 = c ^ a;
    const d1 = d ^ b;
    s[1] = b ^ c1;
    s[0] = a ^ d1;
    s[2] = c1 ^ t;
    s[3] = rotl(d1, 11n);
    return Number(result);
  });
}

describe('Prandom', () => {
  it('is xoshiro128**', () => {
    const r = new Prandom(42);
    const state = Object.values(r) as number[];
    expect(state).toHaveLength(4);
    expect(draw(r, 200)).toEqual(reference(state, 200));
  });

  it('gives the same numbers for the same seed, on every engine', () => {
    expect(draw(new Prandom(1), 3)).toEqual(draw(new Prandom(1), 3));
    expect(draw(new Prandom(1), 3)).toMatchInlineSnapshot(`
      [
        1701685053,
        1489509335,
        4013495712,
      ]
    `);
    expect(draw(new Prandom('host-a'), 3)).toMatchInlineSnapshot(`
      [
        1203188878,
        330889927,
        4033842957,
      ]
    `);
  });

  it('tells neighbouring seeds, high bits and texts apart', () => {
    const firsts = new Set(
      [0, 1, 2, 2 ** 32, 2 ** 40, 'a', 'b', '', '1'].map((s) => new Prandom(s).u32()),
    );
    expect(firsts.size).toBe(9);
  });

  it('stays below n, reaches both ends, and favours none', () => {
    const r = new Prandom(7);
    const seen = new Array<number>(6).fill(0);
    for (let i = 0; i < 60000; i++) {
      const x = r.below(6);
      seen[x] = (seen[x] ?? 0) + 1;
    }
    // Five standard deviations of a binomial with n = 60000, p = 1/6: 457.
    for (const count of seen) expect(Math.abs(count - 10000)).toBeLessThan(457);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 0x100000000 }), (n) => {
        const x = r.below(n);
        expect(Number.isInteger(x) && x >= 0 && x < n).toBe(true);
      }),
    );
    expect(r.below(1)).toBe(0);
    fc.assert(
      fc.property(fc.integer({ min: -50, max: 50 }), fc.nat(100), (min, span) => {
        const x = r.between(min, min + span);
        expect(x >= min && x <= min + span).toBe(true);
      }),
    );
  });

  it('draws floats in [0, 1) around one half, and chances that hold', () => {
    const r = new Prandom(9);
    let sum = 0;
    let hits = 0;
    for (let i = 0; i < 40000; i++) {
      const x = r.float();
      expect(x >= 0 && x < 1).toBe(true);
      sum += x;
      if (r.chance(0.1)) hits++;
    }
    expect(Math.abs(sum / 40000 - 0.5)).toBeLessThan(0.0073);
    expect(Math.abs(hits - 4000)).toBeLessThan(300);
    expect(r.chance(0)).toBe(false);
    expect(r.chance(1)).toBe(true);
  });

  it('fills arrays of any length, little end first', () => {
    const words = new Prandom(3);
    const bytes = new Uint8Array(7);
    new Prandom(3).bytes(bytes);
    const v = new DataView(bytes.buffer);
    expect(v.getUint32(0, true)).toBe(words.u32());
    expect(v.getUint16(4, true)).toBe(words.u32() & 0xffff);
  });

  it('forks without being moved, and apart from its parent and siblings', () => {
    const r = new Prandom('world');
    const a = draw(r.fork('a'), 8);
    expect(draw(r.fork('a'), 8)).toEqual(a);
    expect(draw(r.fork('b'), 8)).not.toEqual(a);
    expect(draw(r, 8)).toEqual(draw(new Prandom('world'), 8));
    expect(draw(r.fork('a'), 8)).not.toEqual(a);
  });
});
