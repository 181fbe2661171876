/** Numbers as users write them into files. Counterpart of lib/kstrtox.c. */
import { EINVAL, ERANGE } from '#uapi/errno.ts';

/** Hexadecimal, octal or decimal digits by their prefix, and at most one newline behind them. */
const ANY_BASE = /^\+?(?:0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9]\d*))\n?$/;
const DECIMAL = /^\+?()()(\d+)\n?$/;

/**
 * The number that a text says, in the base that its prefix says (`base` 0) or in decimal (10); -EINVAL:
 * it says none, -ERANGE: 2^64 or more. From 2^53 on it is rounded.
 * @kernel kstrtoul include/linux/kstrtox.h
 */
export function kstrtoul(text: string, base: 0 | 10): number {
  const match = (base === 0 ? ANY_BASE : DECIMAL).exec(text);
  if (match === null) return -EINVAL;
  const [, hex, octal, decimal] = match;
  let value = Number(decimal);
  if (hex) value = Number.parseInt(hex, 16);
  else if (octal) value = Number.parseInt(octal, 8);
  return value < 2 ** 64 ? value : -ERANGE;
}

/** The same below 2^32. @kernel kstrtouint lib/kstrtox.c */
export function kstrtouint(text: string, base: 0 | 10): number {
  const value = kstrtoul(text, base);
  return value < 2 ** 32 ? value : -ERANGE;
}
