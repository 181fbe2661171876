/** Quantities as people write them, as tc(8) reads them: `10ms`, `1%`, `100mbit`, `64kb`. */

const TIME_UNITS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  usec: 1e3,
  usecs: 1e3,
  ms: 1e6,
  msec: 1e6,
  msecs: 1e6,
  s: 1e9,
  sec: 1e9,
  secs: 1e9,
  m: 60e9,
  min: 60e9,
  h: 3600e9,
};

const RATE_UNITS: Readonly<Record<string, number>> = {
  bit: 1,
  kbit: 1e3,
  mbit: 1e6,
  gbit: 1e9,
  tbit: 1e12,
  bps: 8,
  kbps: 8e3,
  mbps: 8e6,
  gbps: 8e9,
};

const SIZE_UNITS: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1024,
  k: 1024,
  mb: 1024 * 1024,
  m: 1024 * 1024,
  gb: 1024 * 1024 * 1024,
  g: 1024 * 1024 * 1024,
};

function parse(text: string, units: Readonly<Record<string, number>>, example: string): number {
  const match = /^\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]+)\s*$/.exec(text);
  const scale = match === null ? undefined : units[(match[2] as string).toLowerCase()];
  if (match === null || scale === undefined) {
    if (/^\s*0\s*$/.test(text)) return 0;
    throw new RangeError(`'${text}' is not understood; write it like ${example}`);
  }
  const value = Number(match[1]) * scale;
  if (value > Number.MAX_SAFE_INTEGER) throw new RangeError(`'${text}' is too much`);
  return value;
}

/** A duration in ns. Throws RangeError. */
export function parseTimeNs(text: string): number {
  return Math.round(parse(text, TIME_UNITS, '10ms, 250us or 1.5s'));
}

/** A rate in bits a second; as in tc(8), `mbit` counts bits and `mbps` bytes. Throws RangeError. */
export function parseRateBps(text: string): number {
  return Math.round(parse(text, RATE_UNITS, '100mbit or 1gbit'));
}

/** A size in bytes. Throws RangeError. */
export function parseSizeBytes(text: string): number {
  return Math.round(parse(text, SIZE_UNITS, '64kb or 1mb'));
}

/** A probability from 0 to 1: `1%` or `0.01`. Throws RangeError. */
export function parseProbability(text: string): number {
  const match = /^\s*([0-9]+(?:\.[0-9]+)?)\s*(%?)\s*$/.exec(text);
  const value = match === null ? Number.NaN : Number(match[1]) / (match[2] === '%' ? 100 : 1);
  if (!(value >= 0 && value <= 1)) {
    throw new RangeError(`'${text}' is no probability; write it like 1% or 0.01`);
  }
  return value;
}

/** A time in ns for people: `1.500 s`, `20.000 ms`. */
export function formatTimeNs(ns: number): string {
  if (ns >= 1e9) return `${(ns / 1e9).toFixed(3)} s`;
  if (ns >= 1e6) return `${(ns / 1e6).toFixed(3)} ms`;
  if (ns >= 1e3) return `${(ns / 1e3).toFixed(3)} us`;
  return `${ns} ns`;
}
