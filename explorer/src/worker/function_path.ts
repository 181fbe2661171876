/**
 * The functions that run, told by the woven build: which are active now, which lead from one step of the
 * recording to the next, and where a packet arrives with its pointers moved, which becomes a step.
 */
import { SkBuff } from '#include/linux/skbuff.ts';
import { type FtraceHook, type FunctionInfo, ftraceHook } from '#trace/ftrace.ts';
import type { Recorder } from '#trace/recorder.ts';

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

  /** Numbers of the functions' names in the recording. */
  private readonly numbers: number[];
  /** What tells of functions; null: they are not followed. */
  private hook: FtraceHook | null;

  /** @param recorder null for a run that is only compared: its functions are not followed */
  constructor(recorder: Recorder | null) {
    const hook = recorder === null ? null : ftraceHook();
    this.stack = [];
    this.serials = [];
    this.calls = 0;
    this.last = [];
    this.table = hook?.functions ?? [];
    this.numbers = [];
    this.hook = null;
    if (hook === null || recorder === null) return;
    this.hook = hook;
    hook.enter = (id, a, b, c) => {
      const { stack } = this;
      stack.push(id);
      this.serials.push(this.calls++);
      const skb = packetAmong(a, b, c);
      if (skb !== null) recorder.moved(skb, this.nameOf(id, recorder));
      return stack.length - 1;
    };
    hook.leave = (_id, token) => {
      this.stack.length = token;
      this.serials.length = token;
    };
    hook.on = true;
  }

  /** Names of the functions that tell of their entry. */
  names(): string[] {
    return this.table.map(({ name }) => name);
  }

  private nameOf(id: number, { names }: Recorder): number {
    const known = this.numbers[id];
    if (known !== undefined) return known;
    const number = names.number(this.table[id]?.name ?? '');
    this.numbers[id] = number;
    return number;
  }

  /** Functions are not followed for a while, or again. */
  setActive(active: boolean): void {
    if (this.hook !== null) this.hook.on = active;
  }

  /** The run is over: what calls us must not hold on to its recording. */
  close(): void {
    const { hook } = this;
    this.hook = null;
    if (hook === null) return;
    hook.on = false;
    hook.enter = () => 0;
    hook.leave = () => {};
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
}

/** The first packet among a function's parameters. */
function packetAmong(a: unknown, b: unknown, c: unknown): SkBuff | null {
  if (a instanceof SkBuff) return a;
  if (b instanceof SkBuff) return b;
  return c instanceof SkBuff ? c : null;
}
