import { expect, test } from 'vitest';
import {
  E1000_DEFAULT_PARAMS,
  e1000CheckOptions,
} from '#drivers/net/ethernet/intel/e1000/e1000_param.ts';

test('nothing said gives the defaults', () => {
  expect(e1000CheckOptions({})).toEqual(E1000_DEFAULT_PARAMS);
});

test.each([
  ['below the least', { txDescriptors: 47 }, { txDescriptors: 256 }],
  ['above the most', { rxDescriptors: 4097 }, { rxDescriptors: 256 }],
  ['rounded up to eights', { txDescriptors: 49 }, { txDescriptors: 56 }],
  ['taken', { rxIntDelay: 5, copybreak: 0 }, { rxIntDelay: 5, copybreak: 0 }],
  ['no number', { txIntDelay: Number.NaN }, { txIntDelay: 8 }],
  ['no throttling', { interruptThrottleRate: 0 }, { interruptThrottleRate: 0 }],
  ['a fixed rate', { interruptThrottleRate: 8000 }, { interruptThrottleRate: 8000 }],
  ['not taken for a mode', { interruptThrottleRate: 8003 }, { interruptThrottleRate: 8000 }],
  ['too slow a rate', { interruptThrottleRate: 50 }, { interruptThrottleRate: 3 }],
])('%s', (_, given, expected) => {
  expect(e1000CheckOptions(given)).toMatchObject(expected);
});
