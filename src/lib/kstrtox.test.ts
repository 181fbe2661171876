import { expect, it } from 'vitest';
import { kstrtouint, kstrtoul } from '#lib/kstrtox.ts';
import { EINVAL, ERANGE } from '#uapi/errno.ts';

it('reads numbers in the base of their prefix, with one newline', () => {
  const texts = [
    '0',
    '10',
    '+10',
    '010',
    '0x10',
    '0Xff',
    '1500\n',
    '4294967296',
    '0x1fffffffffffff',
  ];
  const values = [0, 10, 10, 8, 16, 255, 1500, 2 ** 32, 2 ** 53 - 1];
  expect(texts.map((text) => kstrtoul(text, 0))).toEqual(values);
});

it('reads decimal numbers only where these are asked for', () => {
  expect(['0', '010', '+7\n', '0x10'].map((text) => kstrtoul(text, 10))).toEqual([
    0,
    10,
    7,
    -EINVAL,
  ]);
});

it('refuses what is not a number and nothing else', () => {
  for (const text of ['', '\n', ' 1', '1 ', '1\n\n', '-1', '++1', '1.0', '1e3', '0x', 'x10']) {
    expect([text, kstrtoul(text, 0), kstrtoul(text, 10)]).toEqual([text, -EINVAL, -EINVAL]);
  }
  expect(kstrtoul('08', 0)).toBe(-EINVAL);
});

it('refuses what is too large', () => {
  expect(kstrtoul('18446744073709551616', 0)).toBe(-ERANGE);
  expect(kstrtoul('9'.repeat(400), 10)).toBe(-ERANGE);
  expect(kstrtouint('4294967295', 10)).toBe(2 ** 32 - 1);
  expect(kstrtouint('4294967296', 10)).toBe(-ERANGE);
  expect(kstrtouint('nine', 10)).toBe(-EINVAL);
});
