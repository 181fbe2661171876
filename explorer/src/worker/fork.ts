/**
 * Two runs of one world from one seed: as it was, and with one thing changed at a moment. Both are run to
 * the same end and compared event by event.
 */
import type { JournalEntry } from '#sim/world.ts';
import type { Action, DivergentEvent, ForkChange, ForkResult, RunSummary } from '../protocol.ts';
import { Engine, type EngineHost } from './engine.ts';

/** Events compared at most. */
const MAX_EVENTS = 1_500_000;

interface Run {
  readonly engine: Engine;
  readonly digests: string[];
  readonly entries: (n: number) => DivergentEvent | null;
}

const QUIET: Omit<EngineHost, 'turn'> = {
  terminal: () => {},
  console: () => {},
  halted: () => {},
};

async function build(
  yaml: string,
  seed: string,
  turn: () => Promise<void>,
  actions: readonly Action[],
  change: { readonly atNs: number; readonly body: ForkChange } | null,
  untilNs: number,
): Promise<Run> {
  const digests: string[] = [];
  const times: number[] = [];
  const kinds: string[] = [];
  const subjects: string[] = [];
  const journal = (entry: JournalEntry): void => {
    if (digests.length >= MAX_EVENTS) return;
    digests.push(entry.digest);
    times.push(entry.timeNs);
    kinds.push(entry.kind);
    subjects.push(entry.subject);
  };
  const engine = new Engine({ yaml, seed, host: { turn, ...QUIET }, journal });
  const before = change === null ? actions : actions.filter(({ atNs }) => atNs <= change.atNs);
  const after = change === null ? [] : actions.filter(({ atNs }) => atNs > change.atNs);
  await engine.begin(before);
  if (change !== null) {
    await engine.run(change.atNs, () => false);
    engine.act(change.body);
    // What was done later is done at its time; the events before it need not be the same.
    for (const action of after) {
      await engine.run(action.atNs, () => false);
      engine.act(action.body);
    }
  }
  await engine.run(untilNs, () => false);
  return {
    engine,
    digests,
    entries: (n) => {
      const digest = digests[n];
      if (digest === undefined) return null;
      return {
        number: n + 1,
        timeNs: times[n] ?? 0,
        kind: kinds[n] ?? '',
        subject: subjects[n] ?? '',
      };
    },
  };
}

function summary({ engine }: Run): RunSummary {
  const { packets, drops } = engine.recording;
  return {
    events: engine.lab.world.eventCount,
    fingerprint: engine.lab.world.fingerprint.digest(),
    packets: packets.length,
    drops: drops.filter(({ fn }) => fn !== 'cable').length,
    lost: drops.filter(({ fn }) => fn === 'cable').length,
    delivered: packets.filter(({ fate }) => fate === 'delivered').length,
    endNs: engine.lab.world.nowNs,
  };
}

const SIGHTINGS = 6;

/** The first packets in which the two differ. */
function sightings(a: Run, b: Run): ForkResult['sightings'] {
  const first = a.engine.recording.packets;
  const second = b.engine.recording.packets;
  const tell = (list: typeof first, i: number): string => {
    const packet = list[i];
    if (packet === undefined) return '';
    const ms = (packet.bornNs / 1e6).toFixed(3);
    const end = packet.fate === 'alive' ? '' : `, ${packet.fate} ${packet.reason}`;
    return `${ms} ms ${packet.flow}: ${packet.words}${end}`;
  };
  const list: { original: string; changed: string }[] = [];
  const length = Math.max(first.length, second.length);
  for (let i = 0; i < length && list.length < SIGHTINGS; i++) {
    const [original, changed] = [tell(first, i), tell(second, i)];
    if (original !== changed) list.push({ original, changed });
  }
  return list;
}

export async function forkRun(
  yaml: string,
  seed: string,
  turn: () => Promise<void>,
  actions: readonly Action[],
  change: { readonly atNs: number; readonly body: ForkChange },
  untilNs: number,
): Promise<ForkResult> {
  const original = await build(yaml, seed, turn, actions, null, untilNs);
  const changed = await build(yaml, seed, turn, actions, change, untilNs);
  let common = 0;
  const shortest = Math.min(original.digests.length, changed.digests.length);
  while (common < shortest && original.digests[common] === changed.digests[common]) common++;
  const same = common === original.digests.length && common === changed.digests.length;
  const result: ForkResult = {
    first: same ? null : original.entries(common),
    second: same ? null : changed.entries(common),
    common,
    before: summary(original),
    after: summary(changed),
    actions: [...changed.engine.actions],
    sightings: sightings(original, changed),
  };
  original.engine.close();
  changed.engine.close();
  return result;
}
