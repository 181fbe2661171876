/**
 * The functions that run, told by the woven build: which are active now, and which lead from one step of
 * the recording to the next.
 */
import { type FunctionInfo, ftraceHook } from '#trace/ftrace.ts';

/** Names of one path at most: a step is told, not a program listed. */
const MAX_PATH = 24;

export class FunctionPath {
  /** Active functions, and the number of each call: the same function may be entered again. */
  private readonly stack: number[];
  private readonly serials: number[];
  private calls: number;
  /** Calls that were active at the last step. */
  private last: number[];
  private readonly table: readonly FunctionInfo[];

  /** @param active false for a run that is only compared: its functions are not followed */
  constructor(active: boolean) {
    const hook = active ? ftraceHook() : null;
    this.stack = [];
    this.serials = [];
    this.calls = 0;
    this.last = [];
    this.table = hook?.functions ?? [];
    if (hook === null) return;
    hook.enter = (id) => {
      const { stack } = this;
      stack.push(id);
      this.serials.push(this.calls++);
      return stack.length - 1;
    };
    hook.leave = (_id, token) => {
      this.stack.length = token;
      this.serials.length = token;
    };
    hook.on = true;
  }

  /** Functions are not followed for a while, or again. */
  setActive(active: boolean): void {
    const hook = ftraceHook();
    if (hook !== null) hook.on = active;
  }

  /** A step of a packet is recorded: the functions that led there since the step before it. */
  take(): string {
    const { stack, serials, last, table } = this;
    let common = 0;
    while (common < serials.length && serials[common] === last[common]) common++;
    const names: string[] = [];
    for (let i = common; i < stack.length && names.length < MAX_PATH; i++) {
      const name = table[stack[i] ?? -1]?.name;
      if (name !== undefined) names.push(name);
    }
    this.last = serials.slice();
    return names.join(' ');
  }

  /** Where a function of Linux is; null when it is not known here. */
  find(name: string): FunctionInfo | null {
    return this.table.find((info) => info.name === name) ?? null;
  }
}
