/**
 * The functions that run, told by the woven build: which are active now, which lead from one step of the
 * recording to the next, and how often each has been entered on each machine.
 */
import { type FunctionInfo, ftraceHook } from '#trace/ftrace.ts';

/** Names of one path at most: a step is told, not a program listed. */
const MAX_PATH = 24;

export class FunctionPath {
  private readonly stack: number[];
  /** The functions that were active at the last step. */
  private last: number[];
  /** Entries since the last step, by function; whose machine they are is known with the next step. */
  private pending: number[];
  private readonly counts: Uint32Array[];
  private readonly table: readonly FunctionInfo[];

  /** @param active false for a run that is only compared: its functions are not followed */
  constructor(active: boolean) {
    const hook = active ? ftraceHook() : null;
    this.stack = [];
    this.last = [];
    this.pending = [];
    this.counts = [];
    this.table = hook?.functions ?? [];
    if (hook === null) return;
    hook.enter = (id) => {
      const { stack } = this;
      stack.push(id);
      this.pending.push(id);
      return stack.length - 1;
    };
    hook.leave = (_id, token) => {
      this.stack.length = token;
    };
    hook.on = true;
  }

  /** Functions are not followed for a while, or again. */
  setActive(active: boolean): void {
    const hook = ftraceHook();
    if (hook !== null) hook.on = active;
  }

  /** A step of a machine is recorded: the functions that led there since the step before it. */
  take(machine: number): string {
    const { stack, last, table } = this;
    let common = 0;
    while (common < stack.length && stack[common] === last[common]) common++;
    const names: string[] = [];
    for (let i = common; i < stack.length && names.length < MAX_PATH; i++) {
      const name = table[stack[i] ?? -1]?.name;
      if (name !== undefined) names.push(name);
    }
    this.last = stack.slice();
    this.count(machine);
    return names.join(' ');
  }

  /** A step that concerns no packet: the path to the next packet's step goes on past it. */
  pass(machine: number): string {
    this.count(machine);
    return '';
  }

  private count(machine: number): void {
    let counts = this.counts[machine];
    if (counts === undefined) {
      counts = new Uint32Array(this.table.length);
      this.counts[machine] = counts;
    }
    for (const id of this.pending) counts[id] = (counts[id] ?? 0) + 1;
    this.pending = [];
  }

  /** How often each function was entered on a machine so far. */
  entries(machine: number): Readonly<Record<string, number>> {
    const result: Record<string, number> = {};
    const counts = this.counts[machine];
    if (counts === undefined) return result;
    for (const [id, { name }] of this.table.entries()) {
      const n = counts[id] ?? 0;
      if (n > 0) result[name] = (result[name] ?? 0) + n;
    }
    return result;
  }

  /** Where a function of Linux is; null when it is not known here. */
  find(name: string): FunctionInfo | null {
    return this.table.find((info) => info.name === name) ?? null;
  }
}
