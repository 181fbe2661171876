import { describe, expect, test } from 'vitest';
import { formatG, PingStats, roundTrip } from '#user/ping/stats.ts';

describe('round trips in words', () => {
  test.each([
    [0, '0.000'],
    [94, '0.094'],
    [999, '0.999'],
    [1000, '1.00'],
    [1234, '1.23'],
    [9994, '9.99'],
    [9995, '10.0'],
    [12345, '12.3'],
    [99949, '99.9'],
    [99950, '100'],
    [1234567, '1235'],
  ])('%i us', (us, text) => {
    expect(roundTrip(us)).toBe(text);
  });
});

test('percentages have six digits', () => {
  expect([0, 100, 100 / 3, 200 / 3, 12.5].map(formatG)).toEqual([
    '0',
    '100',
    '33.3333',
    '66.6667',
    '12.5',
  ]);
});

describe('PingStats', () => {
  test('least, mean, most and deviation', () => {
    const stats = new PingStats(true);
    for (const us of [1000, 2000, 3000]) {
      stats.sent();
      stats.answer(stats.transmitted, us, true);
    }
    const text = stats.summary('host', 2_000_400, true);
    expect(text).toContain('3 packets transmitted, 3 received, 0% packet loss, time 2000ms');
    expect(text).toContain('rtt min/avg/max/mdev = 1.000/2.000/3.000/0.816 ms\n');
  });

  test('answers that come twice are duplicates and not received', () => {
    const stats = new PingStats(true);
    stats.sent();
    expect(stats.answer(1, 10, true)).toBe(false);
    expect(stats.answer(1, 10, true)).toBe(true);
    expect(stats.summary('h', 0, true)).toContain(
      '1 packets transmitted, 1 received, +1 duplicates, 0%',
    );
  });

  test('damaged answers are counted apart', () => {
    const stats = new PingStats(true);
    stats.sent();
    stats.answer(1, 10, false);
    expect(stats.summary('h', 0, true)).toContain(
      '1 packets transmitted, 0 received, +1 corrupted, 100%',
    );
  });

  test('how many were on the way at once', () => {
    const stats = new PingStats(false);
    for (let i = 0; i < 5; i++) stats.sent();
    stats.answer(1, 0, true);
    expect(stats.summary('h', 0, true)).toContain('\npipe 5\n');
  });
});
