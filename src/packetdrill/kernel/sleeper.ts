/*
 * A thread in which system calls may sleep, as packetdrill has one: the script goes on meanwhile.
 * One call at a time. An eventfd becomes readable when the call has returned.
 */

import { Worker } from 'node:worker_threads';
import {
  type Arena,
  FUNCTION_NAMES,
  FUNCTIONS,
  type FunctionName,
  type Koffi,
  koffiPath,
  type Native,
} from '#packetdrill/kernel/native.ts';
import type { Done } from '#user/lib/wait.ts';

// Words of the control block.
const STATE = 0;
const NUMBER = 1;
const COUNT = 2;
/** How many calls have begun. */
const BEGUN = 3;
const CONTROL_WORDS = 4;

// States.
const STARTING = 0;
const IDLE = 1;
const CALLED = 2;

/** What the two threads share. The first of the numbers is the result, the others are arguments. */
interface Mailbox {
  readonly control: SharedArrayBuffer;
  readonly numbers: SharedArrayBuffer;
  readonly wakeFd: number;
  /** Address of a 64-bit 1, for the eventfd. */
  readonly one: number;
  readonly koffi: string;
  /** Arguments of sched_setscheduler. */
  readonly scheduling: readonly number[];
  readonly functions: readonly (readonly [name: string, result: string, args: number])[];
}

const EFD_NONBLOCK = 0o4000;
const MAX_ARGS = 8;
const START_MS = 10_000;
/** How long the thread may take to begin a call. */
const BEGIN_MS = 20;
/** How long a call has to begin sleeping before the script goes on. */
const SETTLE_MS = 0.3;

/**
 * The thread: makes the calls that it is told, one after the other. It is handed over as text, so
 * it may use nothing but its arguments, and must have no functions inside.
 */
function serve(box: Mailbox, require: (path: string) => unknown): never {
  const koffi = require(box.koffi) as Koffi;
  const lib = koffi.load(null);
  const calls: ((...args: number[]) => number)[] = [];
  for (const [name, result, args] of box.functions) {
    calls.push(lib.func(name, result, Array<string>(args).fill('int64')));
  }
  lib.func('sched_setscheduler', 'int', ['int64', 'int64', 'int64'])(...box.scheduling);
  const wake = lib.func('write', 'int64', ['int64', 'int64', 'int64']);
  const state = new Int32Array(box.control);
  const numbers = new Float64Array(box.numbers);
  for (;;) {
    Atomics.store(state, 0, 1);
    Atomics.notify(state, 0);
    Atomics.wait(state, 0, 1);
    const call = calls[Atomics.load(state, 1)];
    const args = Array.from(numbers.subarray(1, 1 + Atomics.load(state, 2)));
    Atomics.add(state, 3, 1);
    Atomics.notify(state, 3);
    const result = call === undefined ? 0 : Number(call(...args));
    numbers[0] = result < 0 ? -koffi.errno() : result;
    wake(box.wakeFd, box.one, 8);
  }
}

export class Sleeper {
  /** Readable when a call has returned. */
  readonly wakeFd: number;
  private readonly native: Native;
  /** Holds what addresses point at. */
  private readonly arena: Arena;
  private readonly control: Int32Array;
  private readonly numbers: Float64Array;
  private readonly counter: number;
  private done: Done | null;

  constructor(native: Native, arena: Arena, scheduling: readonly number[]) {
    this.native = native;
    this.arena = arena;
    this.wakeFd = native.must('eventfd', 'eventfd', 0, EFD_NONBLOCK);
    const one = arena.alloc(8);
    arena.setUint64(one, 1);
    this.counter = arena.alloc(8);
    const control = new SharedArrayBuffer(4 * CONTROL_WORDS);
    const numbers = new SharedArrayBuffer(8 * (1 + MAX_ARGS));
    this.control = new Int32Array(control);
    this.numbers = new Float64Array(numbers);
    this.done = null;
    const workerData: Mailbox = {
      control,
      numbers,
      wakeFd: this.wakeFd,
      one: arena.at(one),
      koffi: koffiPath(),
      scheduling,
      functions: FUNCTION_NAMES.map((name) => [name, ...FUNCTIONS[name]]),
    };
    const program = `(${serve.toString()})(require('node:worker_threads').workerData, require);`;
    const worker = new Worker(program, { eval: true, workerData });
    worker.unref();
  }

  /** Waits for the thread to be there. */
  async ready(): Promise<void> {
    const deadline = performance.now() + START_MS;
    while (Atomics.load(this.control, STATE) === STARTING) {
      if (performance.now() > deadline) throw new Error('the thread for calls does not start');
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** A call has not returned, or its result has not been collected. */
  get busy(): boolean {
    return this.done !== null;
  }

  /** Makes a call; `done` is called by `collect`. */
  start(name: FunctionName, args: readonly number[], done: Done): void {
    if (this.done !== null) throw new Error('two calls would sleep at once');
    const { control } = this;
    this.done = done;
    this.numbers.set(args, 1);
    Atomics.store(control, NUMBER, FUNCTION_NAMES.indexOf(name));
    Atomics.store(control, COUNT, args.length);
    const begun = Atomics.load(control, BEGUN);
    Atomics.store(control, STATE, CALLED);
    Atomics.notify(control, STATE);
    // It should be in the kernel before the script goes on; most calls are over by then.
    Atomics.wait(control, BEGUN, begun, BEGIN_MS);
    Atomics.wait(control, STATE, CALLED, SETTLE_MS);
  }

  /** Hands over the result of a call that has returned. */
  collect(): void {
    const { done } = this;
    if (done === null || Atomics.load(this.control, STATE) !== IDLE) return;
    this.done = null;
    this.native.call('read', this.wakeFd, this.arena.at(this.counter), 8);
    done(this.numbers[0] as number);
  }
}
