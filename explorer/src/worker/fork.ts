/**
 * Two runs of one world from one seed: as it was, and with one thing changed at a moment. Both are run to
 * the same end and compared event by event.
 */
import type { JournalEntry } from '#sim/world.ts';
import type { Action, DivergentEvent, ForkChange, ForkResult, RunSummary } from '../protocol.ts';
import { Engine, type EngineHost, WorldProblem } from './engine.ts';
import type { PacketRecord } from './recording.ts';

/** Events compared at most. */
const MAX_EVENTS = 1_500_000;

interface Run {
  readonly digests: string[];
  readonly entries: (n: number) => DivergentEvent | null;
  readonly summary: RunSummary;
  readonly packets: readonly PacketRecord[];
  readonly actions: readonly Action[];
}

/** What both runs are made of. */
export interface ForkBasis {
  readonly yaml: string;
  readonly seed: string;
  readonly actions: readonly Action[];
  readonly turn: () => Promise<void>;
  /** Does nobody wait for the answer any more? */
  readonly unwanted: () => boolean;
}

const QUIET: Omit<EngineHost, 'turn'> = {
  terminal: () => {},
  console: () => {},
  halted: () => {},
};

type Change = { readonly atNs: number; readonly body: ForkChange };

/** One run from the beginning to `untilNs`, as it was or with the change. Its world is closed then. */
async function run(basis: ForkBasis, change: Change | null, untilNs: number): Promise<Run> {
  const { yaml, seed, actions, turn, unwanted } = basis;
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
  try {
    const before = change === null ? actions : actions.filter(({ atNs }) => atNs <= change.atNs);
    const after = change === null ? [] : actions.filter(({ atNs }) => atNs > change.atNs);
    await engine.begin(before, unwanted);
    if (change !== null) {
      await engine.run(change.atNs, unwanted);
      engine.act(change.body);
      // What was done later is done at its time; the events before it need not be the same.
      for (const action of after) {
        await engine.run(action.atNs, unwanted);
        engine.act(action.body);
      }
    }
    await engine.run(untilNs, unwanted);
    if (unwanted()) throw new WorldProblem('The comparison was left', 'Another world was chosen.');
    return {
      digests,
      entries: (n) => {
        if (digests[n] === undefined) return null;
        return {
          number: n + 1,
          timeNs: times[n] ?? 0,
          kind: kinds[n] ?? '',
          subject: subjects[n] ?? '',
        };
      },
      summary: summaryOf(engine),
      packets: engine.recording.packets,
      actions: [...engine.actions],
    };
  } finally {
    engine.close();
  }
}

function summaryOf({ recording, lab }: Engine): RunSummary {
  const { packets, drops } = recording;
  return {
    events: lab.world.eventCount,
    fingerprint: lab.world.fingerprint.digest(),
    packets: packets.length,
    drops: drops.filter(({ fn }) => fn !== 'cable').length,
    lost: drops.filter(({ fn }) => fn === 'cable').length,
    delivered: packets.filter(({ fate }) => fate === 'delivered').length,
    endNs: lab.world.nowNs,
  };
}

const SIGHTINGS = 6;

/** The first packets in which the two differ. */
function sightings({ packets: first }: Run, { packets: second }: Run): ForkResult['sightings'] {
  const tell = (list: readonly PacketRecord[], i: number): string => {
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
  basis: ForkBasis,
  change: Change,
  untilNs: number,
): Promise<ForkResult> {
  const original = await run(basis, null, untilNs);
  const changed = await run(basis, change, untilNs);
  let common = 0;
  const shortest = Math.min(original.digests.length, changed.digests.length);
  while (common < shortest && original.digests[common] === changed.digests[common]) common++;
  const same = common === original.digests.length && common === changed.digests.length;
  return {
    first: same ? null : original.entries(common),
    second: same ? null : changed.entries(common),
    common,
    before: original.summary,
    after: changed.summary,
    actions: changed.actions,
    sightings: sightings(original, changed),
  };
}
