/**
 * Two runs of one world from one seed: as it was, and with one thing changed at a moment. Both are run to
 * the same end and compared event by event.
 */
import type { JournalEntry } from '#sim/world.ts';
import type { Action, DivergentEvent, ForkChange, ForkResult, RunSummary } from '../protocol.ts';
import { Engine, type EngineHost, WorldProblem } from './engine.ts';
import type { PacketRecord } from './recording.ts';

/** Events that are compared one by one, from the first on. */
const MAX_EVENTS = 1_500_000;
/** Of the events behind them one is kept of so many: a fingerprint is of all events up to its own. */
const STRIDE = 10_000;

interface Run {
  readonly digests: string[];
  /** Fingerprints of each so manieth event behind those. */
  readonly coarse: string[];
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
  /** Events that are compared one by one, at most; as many as a page can keep by default. */
  readonly maxEvents?: number;
  /** Of the events behind them one is kept of so many. */
  readonly stride?: number;
}

const QUIET: Omit<EngineHost, 'turn'> = {
  terminal: () => {},
  console: () => {},
  halted: () => {},
};

type Change = { readonly atNs: number; readonly body: ForkChange };

/** One run from the beginning to `untilNs`, as it was or with the change. Its world is closed then. */
async function run(basis: ForkBasis, change: Change | null, untilNs: number): Promise<Run> {
  const { yaml, seed, actions, turn, unwanted, maxEvents = MAX_EVENTS, stride = STRIDE } = basis;
  const digests: string[] = [];
  const coarse: string[] = [];
  let behind = 0;
  const times: number[] = [];
  const kinds: string[] = [];
  const subjects: string[] = [];
  const journal = (entry: JournalEntry): void => {
    if (digests.length >= maxEvents) {
      if (++behind % stride === 0) coarse.push(entry.digest);
      return;
    }
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
      coarse,
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
  const common = sameBegin(original.digests, changed.digests);
  const part = common < Math.max(original.digests.length, changed.digests.length);
  return {
    first: part ? original.entries(common) : null,
    second: part ? changed.entries(common) : null,
    common,
    partLater: part ? null : laterPart(original, changed, basis.stride ?? STRIDE),
    before: original.summary,
    after: changed.summary,
    actions: changed.actions,
    sightings: sightings(original, changed),
  };
}

/** How many entries two lists have in common, from the first on. */
function sameBegin(first: readonly string[], second: readonly string[]): number {
  const shortest = Math.min(first.length, second.length);
  let common = 0;
  while (common < shortest && first[common] === second[common]) common++;
  return common;
}

/** Between which two events the runs part that are the same as far as each event was kept; null: they do not. */
function laterPart(original: Run, changed: Run, stride: number): ForkResult['partLater'] {
  const [before, after] = [original.summary, changed.summary];
  if (before.fingerprint === after.fingerprint && before.events === after.events) return null;
  const same = sameBegin(original.coarse, changed.coarse);
  const kept = original.digests.length;
  // Behind the last that both have: where the longer one ends.
  const compared = Math.min(original.coarse.length, changed.coarse.length);
  const end = Math.max(before.events, after.events);
  return {
    after: kept + same * stride,
    by: same < compared ? kept + (same + 1) * stride : end,
  };
}
