import { describe, expect, it } from 'vitest';
import { newRatelimitState, ratelimit, ratelimitTakeMissed } from '#lib/ratelimit.ts';

describe('ratelimit', () => {
  it.each([0, 123456, 0x7ffffff0])('allows a burst in every interval, from tick %i on', (start) => {
    const rs = newRatelimitState(100, 3);
    const at = (dt: number): boolean => ratelimit(rs, (start + dt) | 0);
    expect([at(0), at(1), at(2), at(3)]).toEqual([true, true, true, false]);
    expect(at(100)).toBe(false);
    expect(ratelimitTakeMissed(rs)).toBe(2);
    expect(ratelimitTakeMissed(rs)).toBe(0);
    expect([at(101), at(150), at(201), at(201)]).toEqual([true, true, true, false]);
    expect(at(202)).toBe(true);
  });

  it('does not limit without an interval, and allows nothing without a burst', () => {
    const free = newRatelimitState(0, 1);
    const shut = newRatelimitState(10, 0);
    for (let t = 0; t < 50; t++) {
      expect(ratelimit(free, t)).toBe(true);
      expect(ratelimit(shut, t)).toBe(false);
    }
    expect(shut.missed).toBe(50);
  });
});
