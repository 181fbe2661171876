/**
 * The function tracer: entries and exits of the functions that Linux has too. Counterpart of
 * kernel/trace/fgraph.c.
 *
 * The sources know nothing of it. A woven build (`scripts/weave.ts`) puts a check of one flag and a call
 * at both ends of each function; a build without pays nothing. Woven modules and the recorder meet at
 * `globalThis.softnetFtrace`, since neither may import the other.
 */
import { SkBuff } from '#include/linux/skbuff.ts';
import { Machine } from '#kernel/machine.ts';
import { KIND_FUNCTION_ENTRY, KIND_FUNCTION_EXIT } from '#trace/record.ts';
import type { MachineTrack, Recorder } from '#trace/recorder.ts';

/** A function that can be traced. */
export interface FunctionInfo {
  /** Its name in Linux. */
  readonly name: string;
  /** Its name here. */
  readonly own: string;
  /** Where it is here, relative to the repository, and the line. */
  readonly file: string;
  readonly line: number;
  /** Where it is in Linux. */
  readonly kernelFile: string;
}

/** What woven modules call. */
export interface FtraceHook {
  on: boolean;
  readonly functions: FunctionInfo[];
  /** Makes the functions of a module known; returns the number of the first. */
  add(
    file: string,
    functions: readonly (readonly [name: string, own: string, line: number, kernelFile: string])[],
  ): number;
  /** A function begins: its number and first parameters. Returns what `leave` wants. */
  enter(id: number, a: unknown, b: unknown, c: unknown, d: unknown): number;
  leave(id: number, token: number, result: unknown): void;
}

interface FtraceGlobal {
  softnetFtrace?: FtraceHook;
}

/** The hook of the woven modules, or null in a build without. */
export function ftraceHook(): FtraceHook | null {
  return (globalThis as FtraceGlobal).softnetFtrace ?? null;
}

/** All functions of the woven modules that were loaded; empty in a build without. */
export function functionTable(): readonly FunctionInfo[] {
  return ftraceHook()?.functions ?? [];
}

/** Where a function of Linux is; null when it is not known. */
export function findFunction(name: string): FunctionInfo | null {
  return functionTable().find((info) => info.name === name) ?? null;
}

/** What tells the machine of an object that functions get as a parameter. */
type Finder = (value: object) => Machine | null;

const fromMachine: Finder = (value) => value as Machine;
const fromSkb: Finder = (value) => (value as SkBuff).machine;
const fromHolder: Finder = (value) => (value as { machine: Machine }).machine;
const fromNet: Finder = (value) => (value as { net: { machine: Machine } }).net.machine;
const fromDev: Finder = (value) =>
  (value as { dev: { net: { machine: Machine } } | null }).dev?.net.machine ?? null;
const fromNothing: Finder = () => null;

function hasMachine(value: object, key: string): boolean {
  const inner = (value as Record<string, unknown>)[key];
  return typeof inner === 'object' && inner !== null && inner instanceof Machine;
}

/** How to find the machine of a value of its kind: the same for all of one constructor. */
function finderFor(value: object): Finder {
  if (value instanceof Machine) return fromMachine;
  if (value instanceof SkBuff) return fromSkb;
  if (hasMachine(value, 'machine')) return fromHolder;
  const { net, dev } = value as { net?: object | null; dev?: { net?: object | null } | null };
  if (typeof net === 'object' && net !== null && hasMachine(net, 'machine')) return fromNet;
  if (typeof dev === 'object' && typeof dev?.net === 'object' && dev.net !== null) {
    if (hasMachine(dev.net, 'machine')) return fromDev;
  }
  return fromNothing;
}

/** One that follows functions for a recorder. */
class FunctionTracer {
  private readonly recorder: Recorder;
  private readonly hook: FtraceHook;
  private readonly finders: Map<unknown, Finder>;
  private readonly nameNumbers: number[];
  /** How many functions are running. Their machines and packets, outermost first; what follows has ended. */
  private depth: number;
  private readonly tracks: (MachineTrack | null)[];
  private readonly packets: number[];
  private found: SkBuff | null;
  private readonly wanted: ((info: FunctionInfo) => boolean) | null;

  constructor(
    recorder: Recorder,
    hook: FtraceHook,
    wanted: ((info: FunctionInfo) => boolean) | null,
  ) {
    this.recorder = recorder;
    this.hook = hook;
    this.finders = new Map();
    this.nameNumbers = [];
    this.depth = 0;
    this.tracks = [];
    this.packets = [];
    this.found = null;
    this.wanted = wanted;
  }

  enter(id: number, a: unknown, b: unknown, c: unknown, d: unknown): number {
    const { recorder, tracks, packets, depth } = this;
    const name = this.nameOf(id);
    if (name < 0) return -1;
    this.found = null;
    // All four, since the packet may come after what tells the machine.
    const [inA, inB, inC, inD] = [this.look(a), this.look(b), this.look(c), this.look(d)];
    const machine = inA ?? inB ?? inC ?? inD;
    const track =
      machine === null ? (depth === 0 ? null : tracks[depth - 1]) : recorder.trackOf(machine);
    const skb = this.found as SkBuff | null;
    let packet = 0;
    if (track !== null && track !== undefined) {
      track.depth = depth;
      // One that is being freed has had its end, and is not known any more.
      if (skb !== null && skb.machine === track.machine) packet = track.ids.find(skb.id);
      const seen = packet === 0 ? null : skb;
      const [w, x, y, z] = [number(a), number(b), number(c), number(d)];
      recorder.write(track, KIND_FUNCTION_ENTRY, name, packet, seen, 0, 0, 0, w, x, y, z);
      track.depth = depth + 1;
    }
    tracks[depth] = track ?? null;
    packets[depth] = packet;
    this.depth = depth + 1;
    return depth;
  }

  leave(id: number, token: number, result: unknown): void {
    const { recorder, tracks, packets } = this;
    const track = tracks[token] ?? null;
    const packet = packets[token] ?? 0;
    // What an exception passed by has ended too.
    this.depth = token;
    if (track === null) return;
    track.depth = token;
    const name = this.nameOf(id);
    recorder.write(track, KIND_FUNCTION_EXIT, name, packet, null, 0, 0, 0, number(result), 0, 0, 0);
  }

  /** Number of the function's name in the recording; -1: it is not wanted. */
  private nameOf(id: number): number {
    const known = this.nameNumbers[id];
    if (known !== undefined) return known;
    const info = this.hook.functions[id];
    const wanted = info !== undefined && (this.wanted === null || this.wanted(info));
    const number = wanted ? this.recorder.names.number(info.name) : -1;
    this.nameNumbers[id] = number;
    return number;
  }

  private look(value: unknown): Machine | null {
    if (typeof value !== 'object' || value === null) return null;
    const kind = value.constructor;
    let finder = this.finders.get(kind);
    if (finder === undefined) {
      finder = finderFor(value);
      // An object literal or array may hold anything.
      if (kind !== Object && kind !== Array) this.finders.set(kind, finder);
    }
    if (finder === fromSkb && this.found === null) this.found = value as SkBuff;
    return finder(value);
  }
}

function number(value: unknown): number {
  if (typeof value === 'number') return value | 0;
  return value === true ? 1 : 0;
}

/**
 * Has a recorder follow functions too; false in a build that is not woven. `wanted` picks some; all
 * otherwise. One recorder at a time; `stopFunctions` ends it.
 */
export function traceFunctions(
  recorder: Recorder,
  wanted: ((info: FunctionInfo) => boolean) | null = null,
): boolean {
  const hook = ftraceHook();
  if (hook === null) return false;
  const tracer = new FunctionTracer(recorder, hook, wanted);
  hook.enter = (id, a, b, c, d) => tracer.enter(id, a, b, c, d);
  hook.leave = (id, token, result) => tracer.leave(id, token, result);
  hook.on = true;
  return true;
}

/** No functions are followed any more. */
export function stopFunctions(): void {
  const hook = ftraceHook();
  if (hook !== null) hook.on = false;
}
