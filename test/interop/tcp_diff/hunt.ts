/*
 * Many scenarios, one batch after the other: while the kernel plays one, the next is made up.
 */

import { sameSendBuffers } from './calibrate.ts';
import { compare, type Difference } from './compare.ts';
import type { Scenario } from './events.ts';
import type { Kernel } from './kernel.ts';
import type { Recording } from './record.ts';
import { compose, playOnSoftnet } from './softnet.ts';

export interface HuntOptions {
  /** Of the first scenario; the others follow. */
  readonly seed: number;
  readonly count: number;
  /** How many the kernel plays at once. */
  readonly batch: number;
}

/** A difference that is there each time. */
export interface Found {
  readonly seed: number;
  readonly scenario: Scenario;
  readonly own: Recording;
  readonly other: Recording;
  readonly difference: Difference;
}

export type Report = (found: Found) => void;

interface Composed {
  readonly seed: number;
  readonly scenario: Scenario;
  readonly recording: Recording;
}

/** ms by which events are moved to see whether a scenario hangs on moments. */
const JITTER_MS = 4;
const JITTERS = 3;

/** Does the machine do the same when events come a little sooner or later? */
async function isSteady({ scenario, recording }: Composed): Promise<boolean> {
  for (let seed = 1; seed <= JITTERS; seed++) {
    if (compare(recording, await playOnSoftnet(scenario, JITTER_MS, seed)) !== null) return false;
  }
  return true;
}

/** Those that differ, and differ again when they are played once more. */
async function judge(kernel: Kernel, batch: readonly Composed[], report: Report): Promise<number> {
  let late = 0;
  const first = await kernel.play(batch.map(({ scenario }) => scenario));
  const suspects: (Composed & { readonly difference: Difference })[] = [];
  for (const [i, composed] of batch.entries()) {
    const other = first[i] ?? null;
    const difference = other === null ? null : compare(composed.recording, other);
    if (other === null) late++;
    if (difference !== null) suspects.push({ ...composed, difference });
  }
  const second = await kernel.play(suspects.map(({ scenario }) => scenario));
  for (const [i, suspect] of suspects.entries()) {
    const { seed, scenario, recording: own } = suspect;
    const other = second[i] ?? null;
    if (other === null) continue;
    const difference = compare(own, other);
    if (difference?.kind !== suspect.difference.kind || !(await isSteady(suspect))) continue;
    report({ seed, scenario, own, other, difference });
  }
  return late;
}

/** @returns how many scenarios the kernel was never in time for */
export async function hunt(kernel: Kernel, options: HuntOptions, report: Report): Promise<number> {
  const { seed, count, batch } = options;
  const roomy = !(await sameSendBuffers(kernel));
  let late = 0;
  let judged = Promise.resolve(0);
  for (let at = 0; at < count; at += batch) {
    const composed: Composed[] = [];
    for (let i = at; i < Math.min(count, at + batch); i++) {
      composed.push({ seed: seed + i, ...(await compose(seed + i, roomy)) });
    }
    late += await judged;
    judged = judge(kernel, composed, report);
  }
  return late + (await judged);
}
