/** Whole machines whose cards send through fq: TCP says when, fq holds back until then. */
import { describe, expect, it } from 'vitest';
import type { Machine } from '#kernel/machine.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { qdiscGraftRoot } from '#net/sched/sch_api.ts';
import { runBulk } from '../support/bulk.ts';

const MBIT = 1e6;
const SK_PACING_FQ = 2;

function withFq(machine: Machine): void {
  rtnlLock(machine);
  for (const dev of machine.initNet.devBaseHead) {
    if (dev.name !== 'lo') expect(qdiscGraftRoot(dev, 'fq', 0)).toBe(0);
  }
  rtnlUnlock(machine);
}

describe('fq', () => {
  for (const congestionControl of ['cubic', 'bbr']) {
    it(`carries ${congestionControl} at the line's rate, losing nothing of its own`, async () => {
      const statuses = new Set<number>();
      const { bps, live } = await runBulk({
        seed: 21,
        seconds: 2,
        congestionControl,
        impairments: { rate: '20mbit', delay: '10ms', queue: '100kb' },
        prepare: withFq,
        sample: (sk) => statuses.add(sk.skPacingStatus),
      });
      expect([...statuses]).toEqual([SK_PACING_FQ]);
      expect(bps).toBeGreaterThan(14 * MBIT);
      expect(live).toEqual({});
    }, 120_000);
  }
});
