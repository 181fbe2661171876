import { describe, expect, it } from 'vitest';
import { ArithmeticError, evaluateArithmetic } from '#user/sh/arithmetic.ts';

const NAMES: Readonly<Record<string, string>> = { x: '7', empty: '' };
const compute = (text: string): number => evaluateArithmetic(text, (name) => NAMES[name] ?? '');

describe('numbers as C computes them', () => {
  it.each([
    ['', 0],
    ['1 + 2 * 3', 7],
    ['(1 + 2) * 3', 9],
    ['10 - 2 - 3', 5],
    ['7 / 2', 3],
    ['-7 / 2', -3],
    ['-7 % 3', -1],
    ['0x10 + 010', 24],
    ['1 << 4 | 1', 17],
    ['6 & 3 ^ 1', 3],
    ['~0', -1],
    ['!5', 0],
    ['1 < 2 == 1', 1],
    ['3 >= 4 || 2 != 2', 0],
    ['1 && 2', 1],
    ['0 ? 1 : 2', 2],
    ['x * 2', 14],
    ['x > 5 ? x : 0', 7],
    ['empty + 1', 1],
    ['nosuch', 0],
  ])('%s', (text, value) => {
    expect(compute(text)).toBe(value);
  });
});

describe('mistakes', () => {
  it.each(['1 +', '(1', '1 2', '1 / 0', '1 % 0', '1 ? 2', '@'])('%s', (text) => {
    expect(() => compute(text)).toThrow(ArithmeticError);
  });
});
