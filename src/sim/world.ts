/**
 * A world of machines in virtual time under one seed. No Linux counterpart.
 *
 * The world is the only source of time. It takes the earliest event, moves the clock to it, enters
 * the machine concerned and lets everything that follows happen; only then comes the next event.
 * Nothing outside may influence the order, so one seed gives one run, byte for byte, in any engine.
 *
 * Programs are async functions over the system calls of their machine. Waking one resolves a
 * promise, so the world lets the host's event loop turn once before it goes on: by then every
 * program sleeps in a system call again. A world without programs runs without awaiting anything.
 */

import type { KernelModule } from '#include/linux/module.ts';
import { CableEvents } from '#include/trace/events/packet.ts';
import { defconfig } from '#init/defconfig.ts';
import { bootMachine, haltMachine } from '#init/main.ts';
import { makeSyscalls } from '#init/syscalls.ts';
import { liveReport } from '#kernel/live.ts';
import { type Machine, type MachineHost, runPending, runTimers } from '#kernel/machine.ts';
import type { CpuCosts } from '#kernel/sched/cpu_cost.ts';
import { createTask, type Task } from '#kernel/sched/task.ts';
import { Prandom } from '#lib/prandom.ts';
import { type EventFn, EventQueue, type SimEvent } from '#sim/event_queue.ts';
import { Place, WorldFingerprint } from '#sim/place.ts';
import type { SyscallTable } from '#uapi/unistd.ts';

// Kinds of events, for the fingerprint and for reports of a divergence.
export const EVENT_TIMER = 1;
export const EVENT_KICK = 2;
export const EVENT_FRAME = 3;
export const EVENT_CALL = 4;

const KIND_NAMES: readonly string[] = ['', 'timer', 'kick', 'frame', 'call'];

/** What ended a run. */
export type RunEnd = 'idle' | 'time' | 'events' | 'stopped';

export interface RunOptions {
  /** Stop when the clock would pass this time, in ns since the world began. */
  readonly untilNs?: number;
  /** Stop after so many events: a guard against worlds that never come to rest. */
  readonly maxEvents?: number;
  /** Stop after the event that makes this true. */
  readonly until?: () => boolean;
}

export interface WorldOptions {
  /** Decides everything that is random; a number or any text. */
  readonly seed: number | string;
  /** Wall time of the machines at boot, in seconds since the epoch; fixed by default. */
  readonly bootEpochSec?: number;
  /** Lets the host's event loop turn once, e.g. by setImmediate. Needed where programs run. */
  readonly turn?: () => Promise<void>;
  /**
   * False: the bytes of frames on cables do not go into the fingerprint, only their lengths and times.
   * For measurements of the stack, which they would take a sixth of.
   */
  readonly fingerprintFrames?: boolean;
  /** Called with each event, in order; for finding where two runs part. Must not touch the world. */
  readonly journal?: (entry: JournalEntry) => void;
}

/** One event as it happened. */
export interface JournalEntry {
  readonly number: number;
  readonly timeNs: number;
  readonly kind: string;
  /** What the event is about: a machine or a cable. */
  readonly subject: string;
  /** The world's fingerprint after the event. */
  readonly digest: string;
}

/**
 * What a program does with its system calls; its result is the exit status. `fork` makes the system
 * calls of a further task on the same machine, for programs that this one starts.
 */
export type ProgramBody = (
  sys: SyscallTable,
  fork: (name: string) => SyscallTable,
) => Promise<number>;

/** A program in a world. */
export interface Program {
  readonly task: Task;
  readonly name: string;
  /** Exit status; null while it runs. */
  status: number | null;
  /** What it threw, when it did not end well. */
  error: unknown;
}

/** Events after which the host's event loop turns even when no program woke. */
const TURN_EVENTS = 4096;

/** Wall time of a world's beginning when none is given: 2026-01-01 00:00:00 UTC. */
export const DEFAULT_EPOCH_SEC = 1767225600;

/** The world as a machine sees it. */
class SimHost implements MachineHost {
  private readonly world: World;
  readonly place: Place;
  /** The one pending timer event, and its time. */
  timerEvent: SimEvent | null;
  kicked: boolean;

  constructor(world: World, place: Place) {
    this.world = world;
    this.place = place;
    this.timerEvent = null;
    this.kicked = false;
  }

  readClock(): number {
    return this.world.nowNs;
  }

  kick(machine: Machine): void {
    if (this.kicked) return;
    this.kicked = true;
    const { world, place } = this;
    world.at(world.nowNs, EVENT_KICK, runKick, machine, this, place);
  }

  timerChanged(machine: Machine): void {
    const expiry = machine.nextExpiry();
    const event = this.timerEvent;
    // An event that comes too early only finds nothing to do; one that comes too late would be wrong.
    if (event !== null && event.timeNs <= expiry) return;
    const { world, place } = this;
    if (event !== null) world.cancel(event);
    this.timerEvent =
      expiry === Number.POSITIVE_INFINITY
        ? null
        : world.at(Math.max(expiry, world.nowNs), EVENT_TIMER, runTimer, machine, this, place);
  }
}

function runKick(subject: unknown, detail: unknown): void {
  const machine = subject as Machine;
  (detail as SimHost).kicked = false;
  machine.enter(machine.host.readClock());
  runPending(machine);
}

function runTimer(subject: unknown, detail: unknown): void {
  const machine = subject as Machine;
  const host = detail as SimHost;
  host.timerEvent = null;
  const now = machine.host.readClock();
  machine.enter(now);
  if (machine.nextExpiry() <= now) runTimers(machine);
  if (host.timerEvent === null) host.timerChanged(machine);
}

/** Where in the order of events something happens: compared field by field, in this order. */
export interface OrderKey {
  readonly timeNs: number;
  readonly generation: number;
  readonly bornNs: number;
  readonly rank: number;
  readonly rootSeq: number;
}

/** Generation of what is done when no event happens: after all that was due in that instant. */
const AT_REST = 0x7fffffff;

export class World {
  readonly seed: number | string;
  readonly random: Prandom;
  readonly machines: Machine[];
  readonly programs: Program[];
  readonly fingerprint: WorldFingerprint;
  /** The ground, which is all that is not in a machine, then one place a machine. */
  readonly places: Place[];
  /** Tracepoints of what is between the machines. */
  readonly trace: CableEvents;
  /** Called with each machine when it has booted: recorders follow it from there on. */
  readonly onBoot: ((machine: Machine) => void)[];
  /** ns since the world began. */
  nowNs: number;
  /** Events that have happened. */
  eventCount: number;
  /** Checked after every event; each throws when the world is not as it must be. */
  readonly invariants: (() => void)[];
  private readonly events: EventQueue;
  private readonly hostTurn: (() => Promise<void>) | null;
  private readonly journal: ((entry: JournalEntry) => void) | null;
  /** Wall time of the world's beginning, in seconds since the epoch. */
  readonly epochSec: number;
  private readonly names: Map<unknown, string>;
  private readonly closers: (() => void)[];
  private readonly frames: boolean;
  private stopping: boolean;
  /** The key of the event that happens, or happened last; see SimEvent. */
  private generation: number;
  private bornNs: number;
  private rank: number;
  private rootSeq: number;

  /** Throws TypeError without a seed, which would be the same one for all who forgot it. */
  constructor(options: WorldOptions) {
    const { seed } = options as Readonly<Partial<WorldOptions>>;
    if (typeof seed !== 'string' && (typeof seed !== 'number' || Number.isNaN(seed))) {
      throw new TypeError('a world needs a `seed`, a number or a text');
    }
    this.seed = options.seed;
    this.random = new Prandom(options.seed);
    this.machines = [];
    this.programs = [];
    this.frames = options.fingerprintFrames ?? true;
    this.places = [new Place('', 0, this.frames)];
    this.fingerprint = new WorldFingerprint(options.seed, this.places);
    this.trace = new CableEvents();
    this.onBoot = [];
    this.nowNs = 0;
    this.eventCount = 0;
    this.invariants = [];
    this.events = new EventQueue();
    this.hostTurn = options.turn ?? null;
    this.journal = options.journal ?? null;
    this.epochSec = options.bootEpochSec ?? DEFAULT_EPOCH_SEC;
    this.names = new Map();
    this.closers = [];
    this.stopping = false;
    this.generation = AT_REST;
    this.bornNs = 0.5;
    this.bornNs = 0;
    this.rank = 0;
    this.rootSeq = 0;
  }

  /** What is nowhere else: calls at a time, ports without a machine. */
  get ground(): Place {
    return this.places[0] as Place;
  }

  /**
   * Makes the place of a machine without the machine, which is in another thread: so that places have
   * the same ranks in all threads.
   */
  bootElsewhere(name: string): Place {
    if (this.places.some((place) => place.name === name)) {
      throw new Error(`the world has a machine named ${name} already`);
    }
    const place = new Place(name, this.places.length, this.frames);
    this.places.push(place);
    return place;
  }

  /** The place of a machine of this world. */
  placeOf(machine: Machine): Place {
    return (machine.host as SimHost).place;
  }

  /** Boots a machine, with the whole kernel unless `modules` says otherwise. Its random numbers depend on the world's seed and its name alone. */
  boot(
    name: string,
    cpus = 1,
    modules: readonly KernelModule[] = defconfig,
    costs: CpuCosts | null = null,
  ): Machine {
    const host = new SimHost(this, this.bootElsewhere(name));
    const machine = bootMachine({
      name,
      host,
      seed: `${this.seed}/${name}`,
      cpus,
      bootEpochSec: this.epochSec,
      modules,
      costs,
    });
    this.machines.push(machine);
    this.names.set(machine, name);
    host.timerChanged(machine);
    for (const fn of this.onBoot) fn(machine);
    return machine;
  }

  /** Random numbers of a part of the world, that depend on the seed and the part's name alone. */
  fork(name: string): Prandom {
    return new Prandom(`${this.seed}/${name}`);
  }

  /** Names a thing that is not a machine, e.g. a cable, in journals. */
  nameSubject(subject: unknown, name: string): void {
    this.names.set(subject, name);
  }

  /**
   * Schedules `fn(subject, detail)`; a time in the past means now. `from` is the place that does so,
   * `stage` the one where it will happen.
   */
  at(
    timeNs: number,
    kind: number,
    fn: EventFn,
    subject: unknown,
    detail: unknown,
    from: Place = this.ground,
    stage: Place = from,
  ): SimEvent {
    const { events, nowNs } = this;
    const event = events.alloc();
    const seq = events.takeSeq();
    if (timeNs > nowNs) {
      event.timeNs = timeNs;
      event.generation = 0;
    } else {
      event.timeNs = nowNs;
      event.generation = this.generation === AT_REST ? 1 : this.generation + 1;
    }
    if (event.generation > 0 && this.generation !== AT_REST) {
      event.bornNs = this.bornNs;
      event.rank = this.rank;
      event.rootSeq = this.rootSeq;
    } else {
      event.bornNs = nowNs;
      event.rank = from.rank;
      event.rootSeq = seq;
    }
    event.seq = seq;
    event.kind = kind;
    event.stage = stage;
    event.fn = fn;
    event.subject = subject;
    event.detail = detail;
    events.insert(event);
    return event;
  }

  /** Schedules what a place of another thread has, which said when and as its how manieth thing. */
  atFromElsewhere(
    key: OrderKey,
    kind: number,
    fn: EventFn,
    subject: unknown,
    detail: unknown,
    stage: Place,
  ): SimEvent {
    if (key.timeNs <= this.nowNs) throw new Error('something from another thread came too late');
    const event = this.events.alloc();
    event.timeNs = key.timeNs;
    event.generation = 0;
    event.bornNs = key.bornNs;
    event.rank = key.rank;
    event.rootSeq = key.rootSeq;
    event.seq = this.events.takeSeq();
    event.kind = kind;
    event.stage = stage;
    event.fn = fn;
    event.subject = subject;
    event.detail = detail;
    this.events.insert(event);
    return event;
  }

  /** The number of the next thing that this thread schedules, taken for one in another. */
  takeSeq(): number {
    return this.events.takeSeq();
  }

  /** Where in the order of all events the present one stands. */
  get orderKey(): OrderKey {
    const { nowNs: timeNs, generation, bornNs, rank, rootSeq } = this;
    return { timeNs, generation, bornNs, rank, rootSeq };
  }

  cancel(event: SimEvent): void {
    this.events.cancel(event);
  }

  /**
   * Calls `fn` at a time, e.g. to cut a cable in the middle of a run; a time in the past means now. What
   * it throws ends the run. Throws RangeError for what is no time.
   */
  schedule(timeNs: number, fn: () => void): void {
    if (!Number.isFinite(timeNs)) throw new RangeError('an event needs a time, in ns');
    this.at(timeNs, EVENT_CALL, runCall, fn, null);
  }

  /** Ends the run after the present event. */
  stop(): void {
    this.stopping = true;
  }

  /** Somebody has called {@link stop} and no run has ended by it yet. */
  get stopWanted(): boolean {
    return this.stopping;
  }

  /** Whether somebody wants the world to stop; the wish is granted with that. */
  takeStop(): boolean {
    const { stopping } = this;
    this.stopping = false;
    return stopping;
  }

  /** Lets the host's event loop turn, so that programs that woke run until they sleep again. */
  turn(): Promise<void> {
    const { hostTurn } = this;
    if (hostTurn === null) throw new Error('a world with programs needs the option `turn`');
    return hostTurn();
  }

  /** True when nothing will ever happen again by itself. */
  get idle(): boolean {
    return this.events.size === 0;
  }

  /** When the earliest event happens, in ns since the world began; Infinity when there is none. */
  get nextEventNs(): number {
    return this.events.nextTimeNs;
  }

  /** Lets the earliest event happen. False when there is none. */
  step(): boolean {
    const event = this.events.pop();
    if (event === null) return false;
    this.nowNs = event.timeNs;
    this.eventCount++;
    this.generation = event.generation;
    this.bornNs = event.bornNs;
    this.rank = event.rank;
    this.rootSeq = event.rootSeq;
    (event.stage as Place).print.event(event.timeNs, event.kind);
    const { fn, subject, detail, kind } = event;
    this.events.release(event);
    if (fn !== null) fn(subject, detail);
    if (this.invariants.length > 0) this.checkInvariants();
    if (this.journal !== null) this.report(kind, subject);
    return true;
  }

  private checkInvariants(): void {
    for (const check of this.invariants) check();
  }

  /** Runs a world in which no program sleeps. */
  run(options: RunOptions = {}): RunEnd {
    const { untilNs = Number.POSITIVE_INFINITY, maxEvents = Number.POSITIVE_INFINITY } = options;
    this.stopping = false;
    for (let n = 0; n < maxEvents; n++) {
      if (this.events.nextTimeNs > untilNs) return this.rest(untilNs);
      if (!this.step()) return 'idle';
      if (this.stopping || options.until?.() === true) return 'stopped';
    }
    return 'events';
  }

  /** Runs a world with programs: after each event that woke one, they run until all sleep again. */
  async runPrograms(options: RunOptions = {}): Promise<RunEnd> {
    const { untilNs = Number.POSITIVE_INFINITY, maxEvents = Number.POSITIVE_INFINITY } = options;
    this.stopping = false;
    await this.turn();
    for (let n = 0; n < maxEvents; n++) {
      if (this.events.nextTimeNs > untilNs) return this.rest(untilNs);
      const before = this.wakeUps();
      if (!this.step()) return 'idle';
      // Now and then at any rate, so that the host can tell us to stop.
      if (this.wakeUps() !== before || n % TURN_EVENTS === TURN_EVENTS - 1) await this.turn();
      if (this.stopping || options.until?.() === true) return 'stopped';
    }
    return 'events';
  }

  /** Starts a program on a machine; it first runs when the world does. */
  spawn(machine: Machine, name: string, body: ProgramBody): Program {
    const task = createTask(machine, name, machine.initNet);
    const program: Program = { task, name, status: null, error: null };
    this.programs.push(program);
    const sys = makeSyscalls(task);
    const end = (status: number): void => {
      program.status = status;
      sys.exit(status);
    };
    // By a timer of the machine, so that the start has its place among the events.
    sys.nanosleep(0, () => {
      const fork = (child: string): SyscallTable =>
        makeSyscalls(createTask(machine, child, task.net, task));
      body(sys, fork).then(end, (error: unknown) => {
        program.error = error;
        end(1);
      });
    });
    return program;
  }

  /** Has `fn` called when the world halts: what is not part of a machine gives back what it holds. */
  onHalt(fn: () => void): void {
    this.closers.push(fn);
  }

  /** Halts all machines and says what is still alive, by machine; empty when all is well. */
  halt(): Record<string, Record<string, number>> {
    const left: Record<string, Record<string, number>> = {};
    for (const close of this.closers.splice(0)) close();
    for (const machine of this.machines) {
      machine.enter(this.nowNs);
      haltMachine(machine);
      const report = liveReport(machine);
      if (Object.keys(report).length > 0) left[machine.name] = report;
    }
    return left;
  }

  private rest(untilNs: number): RunEnd {
    if (this.events.size === 0) return 'idle';
    this.restAt(untilNs);
    return 'time';
  }

  /** Moves the clock on, past everything that was due. A time in the past leaves it. */
  restAt(timeNs: number): void {
    // A run may be asked to end in the past; time does not go back for it.
    this.nowNs = Math.max(this.nowNs, timeNs);
    this.generation = AT_REST;
  }

  /** Wake-ups of programs so far, in all machines. */
  wakeUps(): number {
    let sum = 0;
    for (const machine of this.machines) sum += machine.tasks.wakeUps;
    return sum;
  }

  private report(kind: number, subject: unknown): void {
    this.journal?.({
      number: this.eventCount,
      timeNs: this.nowNs,
      kind: KIND_NAMES[kind] ?? String(kind),
      subject: this.names.get(subject) ?? '',
      digest: this.fingerprint.digest(),
    });
  }
}

function runCall(subject: unknown, _detail: unknown): void {
  (subject as () => void)();
}
