/** The experiments, in the order in which the documents tell of them. */
import { cubicCodel, dctcp } from './bottleneck.ts';
import type { Experiment } from './experiment.ts';
import { fastPath } from './fastpath.ts';
import { bbr } from './lossy.ts';
import { cubic, reno } from './window.ts';

export const EXPERIMENTS: readonly Experiment[] = [reno, cubic, cubicCodel, dctcp, bbr, fastPath];
