/**
 * Random scenarios of TCP on softnet and on the real kernel: a few of a fixed seed. Many more by
 * hand, see tcp_diff/README.md.
 */
import { describe, expect, it } from 'vitest';
import { whyNoInterop } from '../support/netns.ts';
import { compare, type Difference } from './tcp_diff/compare.ts';
import { hunt } from './tcp_diff/hunt.ts';
import { Kernel } from './tcp_diff/kernel.ts';
import type { Recording, Sent } from './tcp_diff/record.ts';
import { compose, playOnSoftnet } from './tcp_diff/softnet.ts';

const missing = whyNoInterop();

const SEED = 9020;
const COUNT = 12;

describe('a scenario', () => {
  it('is the same each time, and so is what a machine does in it', async () => {
    const { scenario, recording } = await compose(7, true);
    expect(scenario.events.length).toBeGreaterThan(8);
    expect((await compose(7, true)).scenario).toEqual(scenario);
    expect(compare(recording, await playOnSoftnet(scenario))).toBeNull();
  });

  it('shows what is altered in a recording', async () => {
    const { recording } = await compose(7, true);
    const kind = (other: Recording): string | undefined => compare(recording, other)?.kind;
    const alter = (change: Partial<Sent>): Recording => {
      const [first, ...rest] = recording.sent;
      return { ...recording, sent: [{ ...(first as Sent), ...change }, ...rest] };
    };
    expect(kind(alter({ window: 1 }))).toBe('packet window');
    expect(kind(alter({ seq: 77 }))).toBe('packet seq');
    expect(kind(alter({ timeMs: 1 }))).toBe('packet time');
    expect(kind({ ...recording, sent: recording.sent.slice(1) })).toMatch(/^packet /);
    const outcomes = recording.outcomes.map((outcome) => ({ ...outcome, inq: outcome.inq + 1 }));
    expect(kind({ ...recording, outcomes })).toBe('inq');
    const counters = new Map(recording.counters).set('Tcp:InSegs', 0);
    expect(kind({ ...recording, counters })).toBe('counter Tcp:InSegs');
  });
});

describe.skipIf(missing !== null)(`scenarios on this kernel (skipped: ${missing})`, () => {
  it('go as on softnet', { timeout: 300_000 }, async () => {
    const kernel = new Kernel();
    const found: (Difference & { seed: number })[] = [];
    try {
      const options = { seed: SEED, count: COUNT, batch: COUNT };
      const late = await hunt(kernel, options, ({ seed, difference }) => {
        found.push({ ...difference, seed });
      });
      // On a very busy machine the kernel's side may not be in time.
      expect(late).toBeLessThan(COUNT);
    } finally {
      kernel.close();
    }
    // Real time is noisy: one may be due to a moment.
    expect(found.slice(1)).toEqual([]);
  });
});
