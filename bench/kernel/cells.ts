/** The cells of the table: what is crossed with what, and what a case of one yields. */

export type EndKind = 'softnet' | 'kernel';

/** One run: who opens, who listens, what the cable does. */
export interface CaseSpec {
  /** The end that opens, and sends first; the end that listens. */
  readonly ends: readonly [EndKind, EndKind];
  readonly congestionControl: string;
  readonly rttMs: number;
  readonly loss: number;
  readonly reorder: number;
  readonly rateMbit: number;
  readonly queueBytes: number;
  /** Bytes each way. */
  readonly bytes: number;
  readonly seed: string;
  readonly limitSeconds: number;
}

export interface CaseResult {
  readonly spec: CaseSpec;
  /** Every byte arrived as it was sent. */
  readonly intact: boolean;
  /** What the sockets of the two ends say they used. */
  readonly congestionControls: readonly [string, string];
  /** Goodput from the opener to the listener, Mbit/s, and back. */
  readonly outMbit: number;
  readonly backMbit: number;
  /** Longest time without a byte for the program that reads. */
  readonly longestGapMs: number;
  /** Furthest that the cable was behind the clock: how busy this machine was. */
  readonly latestMs: number;
}

/** What the process of a case prints when it has warmed up; the result follows. */
export const BEGUN = 'begun\n';

/** What such a process printed in the end. @throws SyntaxError when there is no result */
export function resultFrom(stdout: string): CaseResult {
  return JSON.parse(stdout.slice(stdout.indexOf(BEGUN) + BEGUN.length)) as CaseResult;
}

export const RTTS_MS: readonly number[] = [10, 66, 200];
export const LOSSES: readonly number[] = [0, 0.001, 0.01, 0.05];
export const REORDERS: readonly number[] = [0, 0.02];
export const CONTROLS: readonly string[] = ['cubic', 'bbr'];

/** softnet opens; the kernel opens; what both are held against; softnet with itself. */
export const PAIRS: readonly (readonly [EndKind, EndKind])[] = [
  ['softnet', 'kernel'],
  ['kernel', 'softnet'],
  ['kernel', 'kernel'],
  ['softnet', 'softnet'],
];

export const RATE_MBIT = 100;
/** Bytes that wait for the line at most. */
export const QUEUE_BYTES: number = 1 << 20;

/** Nothing of the case is real: its time need not be either. */
export function isVirtual(spec: CaseSpec): boolean {
  return spec.ends.every((end) => end === 'softnet');
}

/** Names a case among those of one size. */
export function keyOf(spec: CaseSpec): string {
  const { congestionControl, rttMs, loss, reorder, seed, ends } = spec;
  return [congestionControl, rttMs, loss, reorder, seed, ends.join('>')].join(' ');
}

/** An address as a number. */
export function parsePrefix(text: string): number {
  return text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

/** Goodput that a case should come to, roughly, Mbit/s: for planning which run at once. */
export function expectedMbit(spec: CaseSpec): number {
  const { congestionControl, loss, reorder, rttMs, rateMbit } = spec;
  // What arrives before its time looks like a loss until the sender has learnt.
  const most = rateMbit * (reorder === 0 ? 0.9 : Math.min(0.7, 8 / rttMs));
  if (congestionControl === 'bbr' || loss === 0) return most;
  // Mathis et al.: MSS / RTT * 1.22 / sqrt(p).
  return Math.min(most, (1448 * 8 * 1.22) / Math.sqrt(loss) / (rttMs * 1e3));
}
