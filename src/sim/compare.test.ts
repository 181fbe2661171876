import { describe, expect, it } from 'vitest';
import { describeDivergence, firstDivergence, type JournaledRun } from '#sim/compare.ts';
import { EVENT_CALL, World } from '#sim/world.ts';

/** Ten events a millisecond apart; with `odd`, the sixth comes a nanosecond late. */
function run(seed: number, odd: boolean, events = 10): JournaledRun {
  return (journal) => {
    const world = new World({ seed, journal });
    for (let i = 0; i < events; i++) {
      const late = odd && i === 5 ? 1 : 0;
      world.at((i + 1) * 1e6 + late, EVENT_CALL, () => {}, null, null);
    }
    world.run();
    return Promise.resolve();
  };
}

describe('comparing runs', () => {
  it('finds nothing where there is nothing', async () => {
    expect(await firstDivergence(run(1, false), run(1, false))).toBe(null);
  });

  it('names the first event that differs', async () => {
    const found = await firstDivergence(run(1, false), run(1, true));
    expect(found?.first).toMatchObject({ number: 6, timeNs: 6_000_000 });
    expect(found?.second).toMatchObject({ number: 6, timeNs: 6_000_001 });
    expect(found === null ? '' : describeDivergence(found)).toContain(
      'event 6 at 6000001 ns: call',
    );
  });

  it('sees that seeds differ with the first event', async () => {
    expect((await firstDivergence(run(1, false), run(2, false)))?.first?.number).toBe(1);
  });

  it('sees that one run ended before the other', async () => {
    expect(await firstDivergence(run(1, false, 10), run(1, false, 8))).toMatchObject({
      first: { number: 9 },
      second: null,
    });
    expect(await firstDivergence(run(1, false, 8), run(1, false, 10))).toMatchObject({
      first: null,
      second: { number: 9 },
    });
  });
});
