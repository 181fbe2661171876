/** The worker: one world at a time, and the calls of the page, one after the other. */

import { worldYaml } from '../model/gallery.ts';
import type {
  CallMessage,
  CallName,
  Calls,
  News,
  PrintPlace,
  Problem,
  WorkerMessage,
} from '../protocol.ts';
import { Engine, type EngineHost, WorldProblem } from './engine.ts';
import { forkRun } from './fork.ts';
import { Printed } from './printed.ts';
import {
  cpuViewOf,
  dropsOf,
  journeyOf,
  packetsOf,
  stackOf,
  stepDetailOf,
  stepsOf,
} from './queries.ts';
import { makeTurn } from './turn.ts';

/** What of a worker's global scope is used here. */
interface WorkerScope {
  onmessage: ((event: { readonly data: CallMessage }) => void) | null;
  postMessage(message: WorkerMessage): void;
}

/** How often the page is told of a long run. */
const TELL_MS = 50;

class Service {
  private readonly scope: WorkerScope;
  private readonly turn: () => Promise<void>;
  private readonly printed: Printed<PrintPlace>;
  private engine: Engine | null;
  /** The page's number of the world. */
  private number: number;
  /** Calls happen one after the other. */
  private queue: Promise<unknown>;
  /** Calls that came and have not begun. */
  private waitingActs: number;
  private waitingPauses: number;
  private waitingLoads: number;
  private toldAtMs: number;
  /** Something was printed and will be told. */
  private printing: boolean;

  constructor(scope: WorkerScope) {
    this.scope = scope;
    this.turn = makeTurn();
    this.printed = new Printed();
    this.engine = null;
    this.number = 0;
    this.queue = Promise.resolve();
    this.waitingActs = 0;
    this.waitingPauses = 0;
    this.waitingLoads = 0;
    this.toldAtMs = 0;
    this.printing = false;
  }

  receive({ id, call, params }: CallMessage): void {
    // What makes a long run pointless must not wait for it.
    if (call === 'act') this.waitingActs++;
    if (call === 'pause') this.waitingPauses++;
    if (call === 'load') this.waitingLoads++;
    this.queue = this.queue.then(async () => {
      if (call === 'act') this.waitingActs--;
      if (call === 'pause') this.waitingPauses--;
      if (call === 'load') this.waitingLoads--;
      try {
        const value = await this.answer(call, params);
        this.tellPrinted();
        this.scope.postMessage({ type: 'result', id, value });
      } catch (error) {
        this.tellPrinted();
        this.scope.postMessage({ type: 'problem', id, problem: problemOf(error) });
      }
    });
  }

  private answer<K extends CallName>(call: K, params: Calls[K]['params']): unknown {
    const handler = this.handlers[call] as (params: Calls[K]['params']) => unknown;
    return handler(params);
  }

  private get world(): Engine {
    if (this.engine === null)
      throw new WorldProblem('No world is loaded', 'Choose one from the gallery.');
    return this.engine;
  }

  private readonly handlers: {
    readonly [K in CallName]: (
      params: Calls[K]['params'],
    ) => Calls[K]['result'] | Promise<Calls[K]['result']>;
  } = {
    load: (params) => this.load(params),
    run: async ({ untilNs }) => {
      await this.world.run(untilNs, () => this.rest());
      return this.world.progress();
    },
    step: async ({ unit, count }) => {
      if (unit === 'event') await this.world.stepEvents(count);
      else for (let i = 0; i < count; i++) await this.world.stepPacket(() => this.rest());
      return this.world.progress();
    },
    pause: () => undefined,
    act: ({ body }) => {
      this.world.act(body);
      return this.world.actions;
    },
    openTerminal: ({ machine }) => ({ terminal: this.world.openTerminal(machine) }),
    packets: (query) => packetsOf(this.world, query),
    packet: ({ id }) => this.world.recording.packetOf(id)?.info() ?? null,
    journey: ({ id }) => journeyOf(this.world, id),
    stepDetail: ({ n }) => stepDetailOf(this.world, n),
    steps: ({ from, count, machine }) => stepsOf(this.world, from, count, machine),
    stepAt: ({ timeNs }) => this.world.recording.stepAt(timeNs),
    drops: ({ untilNs }) => dropsOf(this.world, untilNs),
    connections: (query) => this.world.observer.tcp.list(query),
    tcp: ({ id, untilNs, have }) => this.world.observer.tcp.view(id, untilNs, have),
    cpu: (params) => cpuViewOf(this.world, params),
    stack: (params) => stackOf(this.world, params),
    machines: () => this.world.machines(),
    fork: async ({ atNs, untilNs, change }) => {
      const { yaml, seed, actions, functions } = this.world;
      functions.setActive(false);
      try {
        const basis = { yaml, seed, actions, turn: this.turn, unwanted: () => this.unwanted() };
        return await forkRun(basis, { atNs, body: change }, untilNs);
      } finally {
        functions.setActive(true);
      }
    },
  };

  /** Tells the page how far the run has come, now and then; true when it should rest. */
  private rest(): boolean {
    const now = performance.now();
    if (now - this.toldAtMs > TELL_MS && this.engine !== null) {
      this.toldAtMs = now;
      this.tell({ type: 'progress', progress: this.engine.progress() });
    }
    return this.waitingActs > 0 || this.waitingPauses > 0 || this.unwanted();
  }

  /** Has another world been asked for? */
  private unwanted(): boolean {
    return this.waitingLoads > 0;
  }

  private tell(news: News): void {
    this.scope.postMessage({ type: 'news', world: this.number, news });
  }

  private tellPrinted(): void {
    this.printing = false;
    this.printed.take((place, text) => this.tell({ ...place, text }));
  }

  private print(key: string, place: PrintPlace, text: string): void {
    this.printed.add(key, place, text);
    if (this.printing) return;
    this.printing = true;
    setTimeout(() => this.tellPrinted(), TELL_MS);
  }

  private async load({
    world,
    source,
    seed,
    actions,
  }: Calls['load']['params']): Promise<Calls['load']['result']> {
    this.engine?.close();
    this.engine = null;
    this.number = world;
    const yaml = source.kind === 'yaml' ? source.text : worldYaml(source.id);
    if (yaml === null) {
      const id = source.kind === 'gallery' ? source.id : '';
      throw new WorldProblem('There is no such world', `The gallery has no world named '${id}'.`);
    }
    const engine = new Engine({ yaml, seed, host: this.host });
    try {
      await engine.begin(actions, () => this.unwanted());
    } catch (error) {
      engine.close();
      throw error;
    }
    this.engine = engine;
    return engine.info();
  }

  private get host(): EngineHost {
    return {
      turn: this.turn,
      terminal: (terminal, text) =>
        this.print(`terminal ${terminal}`, { type: 'terminal', terminal }, text),
      console: (machine, text) =>
        this.print(`console ${machine}`, { type: 'console', machine }, text),
      halted: (problem) => this.tell({ type: 'halted', problem }),
    };
  }
}

function problemOf(error: unknown): Problem {
  if (error instanceof WorldProblem) return error.problem;
  if (error instanceof Error) return { title: 'Something went wrong', detail: error.message };
  return { title: 'Something went wrong', detail: String(error) };
}

const scope = globalThis as unknown as WorkerScope;
const service = new Service(scope);
scope.onmessage = (event) => service.receive(event.data);
