import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type MinmaxState,
  minmaxGet,
  minmaxReset,
  minmaxRunningMax,
  minmaxRunningMin,
} from '#lib/win_minmax.ts';

const fresh = (t: number, v: number): MinmaxState => {
  const m = { t0: 0, v0: 0, t1: 0, v1: 0, t2: 0, v2: 0 };
  minmaxReset(m, t, v);
  return m;
};

const steps = fc.array(fc.tuple(fc.nat(40), fc.nat(1000)), { minLength: 1, maxLength: 120 });
const start = fc.constantFrom(0, 1000, 0xffffff00);

describe('windowed minimum', () => {
  it('is never below the true minimum of the window nor above the newest value', () => {
    fc.assert(
      fc.property(steps, start, fc.integer({ min: 4, max: 300 }), (list, t0, win) => {
        let t = t0;
        const m = fresh(t, 500);
        const seen = [{ at: 0, v: 500 }];
        let elapsed = 0;
        for (const [dt, v] of list) {
          t = (t + dt) >>> 0;
          elapsed += dt;
          seen.push({ at: elapsed, v });
          const got = minmaxRunningMin(m, win, t, v);
          const inWindow = seen.filter((s) => elapsed - s.at <= win).map((s) => s.v);
          expect(got).toBe(minmaxGet(m));
          expect(got).toBeGreaterThanOrEqual(Math.min(...inWindow));
          expect(got).toBeLessThanOrEqual(v);
          expect(m.v0 <= m.v1 && m.v1 <= m.v2).toBe(true);
        }
      }),
    );
  });

  it('mirrors the maximum', () => {
    fc.assert(
      fc.property(steps, start, fc.integer({ min: 4, max: 300 }), (list, t0, win) => {
        let t = t0;
        const low = fresh(t, 1500);
        const high = fresh(t, 500);
        for (const [dt, v] of list) {
          t = (t + dt) >>> 0;
          const min = minmaxRunningMin(low, win, t, 2000 - v);
          expect(minmaxRunningMax(high, win, t, v)).toBe(2000 - min);
        }
      }),
    );
  });

  it('lets the minimum go when it is older than the window and takes the second best', () => {
    const m = fresh(0, 10);
    expect(minmaxRunningMin(m, 100, 30, 20)).toBe(10); // second quarter: a second choice
    expect(minmaxRunningMin(m, 100, 60, 30)).toBe(10); // last half: a third
    expect(minmaxRunningMin(m, 100, 100, 40)).toBe(10); // still within the window
    expect(minmaxRunningMin(m, 100, 101, 40)).toBe(20);
    expect(minmaxRunningMin(m, 100, 131, 50)).toBe(30);
  });

  it('starts afresh when nothing was measured for a whole window', () => {
    const m = fresh(0, 10);
    expect(minmaxRunningMin(m, 100, 101, 99)).toBe(99);
  });
});
