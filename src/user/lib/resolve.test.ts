import { describe, expect, test } from 'vitest';
import { inetAton } from '#user/lib/resolve.ts';

describe('inetAton', () => {
  test.each([
    ['127.0.0.1', 0x7f000001],
    ['127.1', 0x7f000001],
    ['10.1', 0x0a000001],
    ['10.1.2', 0x0a010002],
    ['0', 0],
    ['0x7f.1', 0x7f000001],
    ['010.0.0.1', 0x08000001],
    ['4294967295', 0xffffffff],
    ['10.16777215', 0x0affffff],
  ])('%s', (text, value) => {
    expect(inetAton(text)).toBe(value);
  });

  test.each([
    '',
    '.',
    '1.2.3.4.5',
    '256.0.0.1',
    '1.2.3.256',
    '10.16777216',
    '4294967296',
    'localhost',
    '1..2',
    '08.1',
    '-1',
    '1.2.3.4 ',
  ])('%s is none', (text) => {
    expect(inetAton(text)).toBeNull();
  });
});
