/**
 * The same random configurations, frames and system calls in a namespace of the real kernel and in a machine
 * of ours: what comes out, what is counted and what is read is the same. A few cases here, the same every
 * time; longer runs by test/interop/differential/main.ts, which also makes what differs short.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoInterop } from '../support/netns.ts';
import { makeCase, THEME_NAMES } from './differential/cases.ts';
import { KernelPlayer } from './differential/kernel_player.ts';
import { MENDED, RECORD_SETTLE_MS } from './differential/mended.ts';
import { compare, normalFrame, normalRun } from './differential/normal.ts';
import recorded from './differential/recorded.json' with { type: 'json' };
import { playOnSoftnet } from './differential/softnet_player.ts';
import type { Case } from './differential/steps.ts';

const why = whyNoInterop('python3');
const reason = why === null ? '' : ` (skipped: ${why})`;

/** Time for the kernel to settle after each step: more than two jiffies of 4 ms. */
const SETTLE_MS = 14;
/** Random cases of each theme. */
const SEEDS: readonly number[] = [1, 2, 3];

const runs: Readonly<Record<string, readonly string[]>> = recorded;

describe('what the kernel was recorded to answer, softnet answers', () => {
  it.each(MENDED)('$name', async (one) => {
    const ours = normalRun(one, await playOnSoftnet(one, RECORD_SETTLE_MS));
    expect(ours.map((result) => JSON.stringify(result))).toEqual(runs[one.name]);
  });
});

describe.skipIf(why !== null)(`the real kernel and softnet${reason}`, () => {
  let kernel: KernelPlayer;
  beforeAll(() => {
    kernel = new KernelPlayer();
  });
  afterAll(() => kernel.close());

  /** Where the two differ; tried again with time to settle, since the kernel has other work, too. */
  async function differences(one: Case): Promise<unknown> {
    let found: unknown[] = [];
    for (const settleMs of [0, SETTLE_MS, SETTLE_MS, 3 * SETTLE_MS]) {
      const theirs = await kernel.play(one, settleMs);
      found = compare(one, theirs, await playOnSoftnet(one, settleMs));
      if (found.length === 0) break;
    }
    return found;
  }

  it.each(THEME_NAMES)('answer alike: %s', { timeout: 300_000 }, async (theme) => {
    for (const seed of SEEDS) {
      const one = makeCase(theme, seed);
      expect({ case: one.name, differences: await differences(one) }).toEqual({
        case: one.name,
        differences: [],
      });
    }
  });

  it('tells frames apart that differ', async () => {
    const one: Case = { name: 'two', steps: [['sysctl', 'net.ipv4.ip_default_ttl', '7']] };
    const run = await kernel.play(one, 0);
    expect(compare(one, run, await playOnSoftnet(one))).toEqual([]);
    expect(compare(one, run, [[-22, []]])).toHaveLength(1);
    expect(compare(one, run, [[0, [['t0', '00']]]])).toHaveLength(1);
    expect(normalFrame('00')).toBe('00');
  });
});
