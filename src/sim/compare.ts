/** Compares two runs of a world event by event, and names where they part. */
import type { JournalEntry } from '#sim/world.ts';

/** Where two runs part: the event of each, or null for the run that had ended already. */
export interface Divergence {
  readonly first: JournalEntry | null;
  readonly second: JournalEntry | null;
}

/** Builds and runs a world that reports its events to `journal`, to its end. */
export type JournaledRun = (journal: (entry: JournalEntry) => void) => Promise<void>;

/** Events compared at most: a guard against worlds that never end. */
const MAX_EVENTS = 5_000_000;

function differ(a: JournalEntry, b: JournalEntry): boolean {
  return a.digest !== b.digest || a.timeNs !== b.timeNs || a.kind !== b.kind;
}

/**
 * Runs both and returns the first event in which they differ, or null when they are the same to the
 * end. Throws RangeError when the first has more than five million events.
 */
export async function firstDivergence(
  runFirst: JournaledRun,
  runSecond: JournaledRun,
): Promise<Divergence | null> {
  const entries: JournalEntry[] = [];
  await runFirst((entry) => {
    if (entries.length === MAX_EVENTS)
      throw new RangeError('the run has too many events to compare');
    entries.push(entry);
  });
  let found: Divergence | null = null;
  let count = 0;
  await runSecond((entry) => {
    const other = entries[count++] ?? null;
    if (found === null && (other === null || differ(other, entry))) {
      found = { first: other, second: entry };
    }
  });
  if (found === null && count < entries.length) {
    found = { first: entries[count] ?? null, second: null };
  }
  return found;
}

/** A divergence in a sentence. */
export function describeDivergence({ first, second }: Divergence): string {
  const say = (entry: JournalEntry | null): string =>
    entry === null
      ? 'had ended'
      : `event ${entry.number} at ${entry.timeNs} ns: ${entry.kind} of ${entry.subject} (${entry.digest})`;
  return `the runs part: first ${say(first)}; second ${say(second)}`;
}
