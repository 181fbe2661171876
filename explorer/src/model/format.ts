/** Numbers as people read them. */

export function formatTime(ns: number): string {
  const sign = ns < 0 ? '−' : '';
  const n = Math.abs(ns);
  if (n >= 1e9) return `${sign}${(n / 1e9).toFixed(3)} s`;
  if (n >= 1e6) return `${sign}${(n / 1e6).toFixed(3)} ms`;
  if (n >= 1e3) return `${sign}${(n / 1e3).toFixed(1)} µs`;
  return `${sign}${Math.round(n)} ns`;
}

/** A time for labels: as short as it can be said. */
export function shortTime(ns: number): string {
  const trim = (value: number): string => String(Number(value.toPrecision(3)));
  if (ns >= 1e9) return `${trim(ns / 1e9)} s`;
  if (ns >= 1e6) return `${trim(ns / 1e6)} ms`;
  if (ns >= 1e3) return `${trim(ns / 1e3)} µs`;
  return `${trim(ns)} ns`;
}

export function formatBytes(n: number): string {
  if (n >= 1024 * 1024) return `${(n / 1024 / 1024).toFixed(1)} MB`;
  if (n >= 10_240) return `${Math.round(n / 1024)} kB`;
  return `${n} bytes`;
}

export function formatRate(bps: number): string {
  if (bps === 0) return 'no limit';
  if (bps >= 1e9) return `${Number((bps / 1e9).toPrecision(3))} Gbit/s`;
  if (bps >= 1e6) return `${Number((bps / 1e6).toPrecision(3))} Mbit/s`;
  return `${Number((bps / 1e3).toPrecision(3))} kbit/s`;
}

export function formatPercent(p: number): string {
  return `${Number((p * 100).toPrecision(3))} %`;
}

export function formatCount(n: number): string {
  return n >= 10_000 ? n.toLocaleString('en') : String(n);
}

/** A function as it is called; what is no function, as it is. */
export function callOf(fn: string): string {
  return fn.includes(' ') ? fn : `${fn}()`;
}
