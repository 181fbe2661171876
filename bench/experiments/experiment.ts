/** What an experiment is: a run in virtual time that a published figure can be held against. */
import type { Plot } from './svg.ts';

/** One figure and where it has to lie. */
export interface Check {
  readonly name: string;
  readonly value: number;
  readonly from: number;
  readonly to: number;
}

export interface Outcome {
  readonly checks: readonly Check[];
  readonly plots: Readonly<Record<string, Plot>>;
  /** What was measured, for the file of figures. */
  readonly figures: object;
}

export interface Experiment {
  readonly name: string;
  readonly title: string;
  /** Bytes of packet memory that the run needs, when the default is too small. */
  readonly arenaBytes?: number;
  /** `quick`: a shorter run that shows the same shape, for the tests. */
  run(quick: boolean): Promise<Outcome>;
}

/** A figure that has to be within `tolerance` of another. */
export function near(name: string, value: number, wanted: number, tolerance: number): Check {
  return { name, value, from: wanted * (1 - tolerance), to: wanted * (1 + tolerance) };
}

export function passes({ value, from, to }: Check): boolean {
  return value >= from && value <= to;
}

/** Three significant digits: what is written down must not differ by a breath. */
export function round(value: number): number {
  return Number(value.toPrecision(4));
}
