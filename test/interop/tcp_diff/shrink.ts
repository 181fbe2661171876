/*
 * Makes a scenario that shows a difference smaller, as long as it shows the same.
 */

import { compare, type Difference } from './compare.ts';
import type { Event, Scenario } from './events.ts';
import type { Kernel } from './kernel.ts';
import { playOnSoftnet } from './softnet.ts';

/** What two machines do differently in each scenario. */
export async function differences(
  kernel: Kernel,
  scenarios: readonly Scenario[],
): Promise<(Difference | null)[]> {
  const played = await kernel.play(scenarios);
  const found: (Difference | null)[] = [];
  for (const [i, scenario] of scenarios.entries()) {
    const other = played[i];
    if (other == null) found.push(null);
    else found.push(compare(await playOnSoftnet(scenario), other));
  }
  return found;
}

/** Leaves events out; the time stays. */
function without(scenario: Scenario, left: ReadonlySet<number>): Scenario {
  const events: Event[] = [];
  let gapMs = 0;
  for (const [i, event] of scenario.events.entries()) {
    gapMs += event.gapMs;
    if (left.has(i)) continue;
    events.push({ ...event, gapMs });
    gapMs = 0;
  }
  return { ...scenario, events };
}

/** Ways to make a scenario smaller by one step. */
function steps(scenario: Scenario): Scenario[] {
  const { events, sysctls } = scenario;
  return [
    ...sysctls.map((_, i) => ({ ...scenario, sysctls: sysctls.toSpliced(i, 1) })),
    ...events.map((_, i) => without(scenario, new Set([i]))),
  ];
}

/** A smaller scenario with a difference of the same kind. */
export async function shrink(
  kernel: Kernel,
  scenario: Scenario,
  wanted: Difference,
  rounds = 6,
): Promise<Scenario> {
  let best = scenario;
  // Nothing after the difference matters, but for counters.
  const end = wanted.timeMs;
  let timeMs = 0;
  const late = new Set<number>();
  for (const [i, event] of scenario.events.entries()) {
    timeMs += event.gapMs;
    if (timeMs > end + 100) late.add(i);
  }
  const same = (d: Difference | null | undefined): boolean => d?.kind === wanted.kind;
  const cut = without(best, late);
  if (late.size > 0 && same((await differences(kernel, [cut]))[0])) best = cut;
  for (let round = 0; round < rounds; round++) {
    const tries = steps(best);
    const found = await differences(kernel, tries);
    const { length: settings } = best.sysctls;
    const idle = [...found.keys()].filter((i) => same(found[i]));
    if (idle.length === 0) break;
    // All that could go alone, half of it, a quarter...; the first that still shows it.
    const groups: number[][] = [];
    for (let size = idle.length; size >= 1; size = Math.floor(size / 2)) {
      groups.push(idle.slice(0, size));
      if (size > 1) groups.push(idle.slice(-size));
    }
    const merged = groups.map((group) => {
      const sysctls = best.sysctls.filter((_, i) => !group.includes(i));
      const left = new Set(group.filter((i) => i >= settings).map((i) => i - settings));
      return without({ ...best, sysctls }, left);
    });
    const verdicts = await differences(kernel, merged);
    const winner = verdicts.findIndex(same);
    if (winner < 0) break;
    best = merged[winner] as Scenario;
  }
  return best;
}
