import { expect, it } from 'vitest';
import { timerLatenessNs } from '#packetdrill/kernel/backend.ts';

it('knows how coarse the timer wheel is', () => {
  // 250 ticks a second: 64 slots of 4 ms, then of 32 ms, of 256 ms, of two seconds.
  expect(timerLatenessNs(0)).toBe(4e6);
  expect(timerLatenessNs(255e6)).toBe(4e6);
  expect(timerLatenessNs(256e6)).toBe(32e6);
  expect(timerLatenessNs(2047e6)).toBe(32e6);
  expect(timerLatenessNs(2048e6)).toBe(256e6);
  expect(timerLatenessNs(20e9)).toBe(2048e6);
});
