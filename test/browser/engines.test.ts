import { beforeAll, describe, expect, it } from 'vitest';
import { turn } from '#cli/turn.ts';
import {
  bundleScenario,
  findChromium,
  findNewerNode,
  runInChromium,
  runInNode,
} from '../support/engines.ts';
import { runScenario, type ScenarioResult } from '../support/scenario.ts';

const SEED = 'engines';
const chromium = findChromium();
const newerNode = findNewerNode();

describe('the same world in every engine', () => {
  let here: ScenarioResult;
  let bundle: string;

  beforeAll(async () => {
    here = await runScenario({ seed: SEED, turn, size: 100_000 });
    bundle = await bundleScenario();
  }, 120_000);

  it('arrives whole here', () => {
    expect(here.statuses).toEqual([0, 0]);
    expect(here.live).toEqual({});
  });

  it('runs from a plain ES module bundle on this Node', { timeout: 120_000 }, async () => {
    expect(await runInNode(process.execPath, bundle, SEED)).toEqual(here);
  });

  it.skipIf(newerNode === null)(
    `gives the same run on a newer Node${newerNode === null ? ' (skipped: none found)' : ''}`,
    { timeout: 120_000 },
    async () => {
      expect(await runInNode(newerNode as string, bundle, SEED)).toEqual(here);
    },
  );

  it.skipIf(chromium === null)(
    `gives the same run in Chromium${chromium === null ? ' (skipped: not installed)' : ''}`,
    { timeout: 120_000 },
    async () => {
      expect(await runInChromium(chromium as string, bundle, SEED)).toEqual(here);
    },
  );
});
