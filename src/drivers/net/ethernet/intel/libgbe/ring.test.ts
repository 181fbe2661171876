import { expect, test } from 'vitest';
import { clampDescriptors } from '#drivers/net/ethernet/intel/libgbe/ring.ts';

test('rings are held to their limits', () => {
  expect([1, 80, 81, 9999].map((n) => clampDescriptors(n, 48, 4096))).toEqual([48, 80, 88, 4096]);
});
