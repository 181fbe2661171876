/**
 * How often packets passed each function, up to any moment of a run of millions of steps: counted once,
 * with a note every so many steps from which any moment is soon reached.
 */
import { Names } from '#trace/names.ts';
import { functionKey } from '#trace/places.ts';
import { KIND_END } from '#trace/record.ts';
import { SKB_CONSUMED } from '#uapi/net_dropreason.ts';
import type { Recording } from './recording.ts';

/** Steps between two notes. */
const NOTE_STEPS = 1 << 15;

export interface FunctionCounts {
  readonly passed: Record<string, number>;
  readonly dropped: Record<string, number>;
}

/** Counts of all steps before `to`: by path and function, and of drops by function. */
interface Note {
  to: number;
  readonly table: Map<number, number>;
  readonly drops: Map<number, number>;
}

export class Counts {
  private readonly recording: Recording;
  private readonly notes: Map<number, Note[]>;
  private readonly functions: Names;
  /** Numbers of functions by what {@link functionKey} says. */
  private readonly known: Map<number, number>;
  /** Steps before this are in some note. */
  private noted: number;

  constructor(recording: Recording) {
    this.recording = recording;
    this.notes = new Map();
    this.functions = new Names();
    this.known = new Map();
    this.noted = 0;
  }

  /** A step has got another packet: notes that counted it are void. */
  changed(n: number): void {
    if (n >= this.noted) return;
    for (const list of this.notes.values()) {
      while ((list.at(-1)?.to ?? 0) > n) list.pop();
    }
    this.noted = n;
  }

  upTo(machine: number, last: number): FunctionCounts {
    let list = this.notes.get(machine);
    if (list === undefined) {
      list = [];
      this.notes.set(machine, list);
    }
    let from = list.findLast(({ to }) => to <= last + 1);
    while ((from?.to ?? 0) + NOTE_STEPS <= last + 1) {
      const next = copyOf(from);
      this.count(machine, next, next.to + NOTE_STEPS);
      list.push(next);
      this.noted = Math.max(this.noted, next.to);
      from = next;
    }
    const here = copyOf(from);
    this.count(machine, here, last + 1);
    return this.told(here);
  }

  private count(machine: number, note: Note, to: number): void {
    const { recording } = this;
    const { ring } = recording.recorder;
    for (let n = note.to; n < to; n++) {
      if (ring.where(n) >>> 16 !== machine || recording.packetAt(n) === 0) continue;
      const fn = this.functionAt(n);
      const key = recording.pathAt(n) * 0x10000 + fn;
      note.table.set(key, (note.table.get(key) ?? 0) + 1);
      if (ring.kind(n) !== KIND_END || ring.arg(n, 0) === SKB_CONSUMED) continue;
      note.drops.set(fn, (note.drops.get(fn) ?? 0) + 1);
    }
    note.to = to;
  }

  private functionAt(n: number): number {
    const key = functionKey(this.recording.recorder, n);
    let number = key < 0 ? undefined : this.known.get(key);
    if (number === undefined) {
      number = this.functions.number(this.recording.fnOf(n));
      if (key >= 0) this.known.set(key, number);
    }
    return number;
  }

  private told({ table, drops }: Note): FunctionCounts {
    const passed: Record<string, number> = {};
    for (const [key, count] of table) {
      const path = this.recording.pathText(Math.floor(key / 0x10000));
      const own = this.functions.text(key % 0x10000);
      // A function that tells of its entry stands in the path of the first step within it, and once is enough.
      const names = this.recording.followed.has(own) ? [] : [own];
      for (const name of new Set([...path.split(' '), ...names])) {
        if (name !== '') passed[name] = (passed[name] ?? 0) + count;
      }
    }
    const dropped: Record<string, number> = {};
    for (const [fn, count] of drops) dropped[this.functions.text(fn)] = count;
    return { passed, dropped };
  }
}

function copyOf(note: Note | undefined): Note {
  if (note === undefined) return { to: 0, table: new Map(), drops: new Map() };
  return { to: note.to, table: new Map(note.table), drops: new Map(note.drops) };
}
