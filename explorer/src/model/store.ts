/**
 * What all views share: the world, the run, the selected packet and moment. Views read from it and change
 * it through its functions; nothing else is shared between them.
 */
import { batch, createSignal } from 'solid-js';
import { createStore, reconcile } from 'solid-js/store';
import type {
  Action,
  ActionBody,
  CableInfo,
  CallName,
  Calls,
  MachineInfo,
  PacketInfo,
  Problem,
  Progress,
  WorldInfo,
  WorldSource,
} from '../protocol.ts';
import { CallError, type Client } from './client.ts';
import { FrameLog } from './frame_log.ts';
import { type GalleryWorld, worldById } from './gallery.ts';
import {
  DEFAULT_SEED,
  formatRoute,
  parseRoute,
  type Route,
  RouteError,
  type ViewName,
} from './route.ts';

export type Phase = 'starting' | 'loading' | 'ready' | 'problem';

/** What the inspector shows. */
export type Selection =
  | { readonly kind: 'none' }
  | { readonly kind: 'packet' }
  | { readonly kind: 'cable'; readonly index: number }
  | { readonly kind: 'machine'; readonly name: string };

export interface ConsoleLine {
  readonly machine: string;
  readonly text: string;
}

export interface AppState {
  phase: Phase;
  problem: Problem | null;
  halted: Problem | null;
  notice: string;
  world: WorldInfo | null;
  source: WorldSource | null;
  seed: string;
  machines: readonly MachineInfo[];
  cables: readonly CableInfo[];
  headNs: number;
  events: number;
  steps: number;
  packets: number;
  idle: boolean;
  nextNs: number;
  fingerprint: string;
  /** Drops that are news: not those that a cable was told to make. */
  dropCount: number;
  playing: boolean;
  /** The worker runs towards a moment that somebody wants to see. */
  seeking: boolean;
  /** Virtual ns for each second of watching. */
  pace: number;
  view: ViewName;
  lesson: string;
  galleryOpen: boolean;
  helpOpen: boolean;
  selection: Selection;
  packet: number;
  packetInfo: PacketInfo | null;
  /** Number of the step within the recording; -1: none. */
  step: number;
  machine: string;
  depth: number;
  actions: readonly Action[];
  console: readonly ConsoleLine[];
}

const CONSOLE_LINES = 400;
const NOTICE_MS = 6000;

export class Store {
  readonly client: Client;
  readonly frames: FrameLog = new FrameLog();
  readonly state: AppState;
  private readonly set: ReturnType<typeof createStore<AppState>>[1];
  /** The moment that is looked at, in ns. */
  readonly moment: () => number;
  private readonly setMomentSignal: (ns: number) => void;
  /** Grows with each batch of frames, for drawings that depend on them. */
  readonly frameVersion: () => number;
  private readonly setFrameVersion: (version: number) => void;
  private readonly terminalListeners: Map<number, (text: string) => void> = new Map();
  private noticeTimer: ReturnType<typeof setTimeout> | undefined;
  private loads = 0;
  private seeks = 0;
  /** Runs that were asked for and have not ended. */
  private runs = 0;

  constructor(client: Client) {
    this.client = client;
    const [state, set] = createStore<AppState>({
      phase: 'starting',
      problem: null,
      halted: null,
      notice: '',
      world: null,
      source: null,
      seed: DEFAULT_SEED,
      machines: [],
      cables: [],
      headNs: 0,
      events: 0,
      steps: 0,
      packets: 0,
      idle: false,
      nextNs: 0,
      fingerprint: '',
      dropCount: 0,
      playing: false,
      seeking: false,
      pace: 40e6,
      view: 'map',
      lesson: '',
      galleryOpen: false,
      helpOpen: false,
      selection: { kind: 'none' },
      packet: 0,
      packetInfo: null,
      step: -1,
      machine: '',
      depth: 1,
      actions: [],
      console: [],
    });
    this.state = state;
    this.set = set;
    const [moment, setMoment] = createSignal(0);
    this.moment = moment;
    this.setMomentSignal = setMoment;
    const [version, setVersion] = createSignal(0);
    this.frameVersion = version;
    this.setFrameVersion = setVersion;
    client.onCrash = (problem) => this.fail(problem);
    client.onNews = (world, news) => {
      // A world that was left may have had something to say yet.
      if (world !== this.loads) return;
      if (news.type === 'progress') this.progress(news.progress);
      else if (news.type === 'terminal') this.terminalListeners.get(news.terminal)?.(news.text);
      else if (news.type === 'console') this.say(news.machine, news.text);
      else this.halt(news.problem);
    };
  }

  /** The gallery's entry of the present world; null: one of somebody's own. */
  get entry(): GalleryWorld | null {
    const { source } = this.state;
    return source?.kind === 'gallery' ? worldById(source.id) : null;
  }

  /** When the programs of the present world began: people count from there. */
  get originNs(): number {
    return this.state.world?.startNs ?? 0;
  }

  get horizonNs(): number {
    return this.originNs + (this.entry?.horizonNs ?? 10e9);
  }

  /** Follows the address bar. */
  async follow(hash: string): Promise<void> {
    let route: Route;
    try {
      route = parseRoute(hash);
    } catch (error) {
      if (!(error instanceof RouteError)) throw error;
      this.fail({
        title: 'This link makes no sense',
        detail: `Something is wrong with it: ${error.message}.`,
      });
      return;
    }
    const source = route.source ?? { kind: 'gallery', id: 'ping' };
    const isLoaded = this.isLoaded(source, route);
    batch(() => {
      this.set({ view: route.view, depth: route.depth, lesson: route.lesson });
      // Of a world that is loaded first, load() sees whether there is one of that name.
      const known = !isLoaded || this.state.machines.some(({ name }) => name === route.machine);
      if (route.machine !== '' && known) this.set('machine', route.machine);
    });
    if (isLoaded) {
      if (route.momentNs !== null) {
        this.set('playing', false);
        await this.seek(this.originNs + route.momentNs);
      }
      if (route.packet !== 0) this.selectPacket(route.packet);
      return;
    }
    await this.load(source, route.seed, route.actions);
    if (this.state.phase !== 'ready') return;
    if (route.source === null) this.set('galleryOpen', false);
    if (route.momentNs !== null) await this.seek(this.originNs + route.momentNs);
    else this.set('playing', true);
    if (route.packet !== 0) this.selectPacket(route.packet);
  }

  private isLoaded(source: WorldSource, route: Route): boolean {
    const { state } = this;
    return (
      state.phase === 'ready' &&
      JSON.stringify(source) === JSON.stringify(state.source) &&
      route.seed === state.seed &&
      JSON.stringify(route.actions) === JSON.stringify(state.actions)
    );
  }

  /** What a link to the present moment says. */
  route(): Route {
    const { state } = this;
    return {
      view: state.view,
      source: state.source,
      seed: state.seed,
      momentNs: Math.max(0, this.moment() - this.originNs),
      packet: state.packet,
      machine: state.machine,
      depth: state.depth,
      lesson: state.lesson,
      actions: state.actions,
    };
  }

  link(): string {
    return formatRoute(this.route());
  }

  async load(source: WorldSource, seed: string, actions: readonly Action[] = []): Promise<void> {
    const turn = ++this.loads;
    this.seeks++;
    const entry = source.kind === 'gallery' ? worldById(source.id) : null;
    batch(() => {
      this.set({
        phase: 'loading',
        problem: null,
        halted: null,
        source,
        seed,
        playing: false,
        seeking: false,
        galleryOpen: false,
        packet: 0,
        packetInfo: null,
        step: -1,
        selection: { kind: 'none' },
        console: [],
        dropCount: 0,
        headNs: 0,
        events: 0,
        packets: 0,
        steps: 0,
        pace: entry?.pace ?? 40e6,
        actions,
      });
      this.frames.clear();
      this.setFrameVersion(0);
      this.setMomentSignal(0);
    });
    try {
      const world = await this.client.call('load', { world: turn, source, seed, actions });
      if (turn !== this.loads) return;
      const progress = await this.client.call('run', { untilNs: world.startNs });
      if (turn !== this.loads) return;
      batch(() => {
        const known = world.machines.some(({ name }) => name === this.state.machine);
        this.set({
          phase: 'ready',
          world,
          machines: world.machines,
          cables: world.cables,
          machine: known ? this.state.machine : (world.machines[0]?.name ?? ''),
        });
        this.progress(progress);
        this.setMomentSignal(Math.max(progress.headNs, world.startNs));
      });
    } catch (error) {
      if (turn === this.loads) this.fail(problemOf(error));
    }
  }

  private progress(progress: Progress): void {
    batch(() => {
      if (progress.frames !== null) {
        this.frames.add(progress.frames);
        this.setFrameVersion(this.frames.length);
      }
      this.frames.drops.push(...progress.drops);
      const news = progress.drops.filter(({ expected }) => !expected).length;
      this.set({
        headNs: progress.headNs,
        events: progress.events,
        steps: progress.steps,
        packets: progress.packets,
        idle: progress.idle,
        nextNs: progress.nextNs,
        fingerprint: progress.fingerprint,
        dropCount: this.state.dropCount + news,
      });
      if (progress.cables !== null) {
        this.set('cables', reconcile([...progress.cables], { key: 'index' }));
      }
    });
  }

  /** Asks about the present world; undefined when there is none, or another was chosen meanwhile. */
  private async ask<K extends CallName>(
    call: K,
    params: Calls[K]['params'],
  ): Promise<Calls[K]['result'] | undefined> {
    if (this.state.phase !== 'ready') return undefined;
    const turn = this.loads;
    try {
      const answer = await this.client.call(call, params);
      return turn === this.loads ? answer : undefined;
    } catch (error) {
      if (turn === this.loads) this.fail(problemOf(error));
      return undefined;
    }
  }

  /** Lets the world go on at least until a time. */
  async runTo(untilNs: number): Promise<void> {
    if (untilNs <= this.state.headNs) return;
    this.runs++;
    const progress = await this.ask('run', { untilNs });
    this.runs--;
    if (progress !== undefined) this.progress(progress);
  }

  /** Goes to a moment, as far as the world gets; what was sought before is left. */
  async seek(timeNs: number): Promise<void> {
    const turn = this.loads;
    const mine = ++this.seeks;
    this.endRuns();
    if (timeNs > this.state.headNs) {
      this.set('seeking', true);
      await this.runTo(timeNs);
    }
    if (turn !== this.loads || mine !== this.seeks) return;
    this.set('seeking', false);
    this.setMomentSignal(Math.max(this.originNs, Math.min(timeNs, this.state.headNs)));
  }

  /** Moves the moment within what has been run. */
  setMoment(timeNs: number): void {
    this.setMomentSignal(Math.min(timeNs, this.state.headNs));
  }

  async step(unit: 'event' | 'packet'): Promise<void> {
    this.set('playing', false);
    if (unit === 'packet') {
      const next = this.frames.after(this.moment());
      const depart = this.frames.depart[next];
      if (next < this.frames.length && depart !== undefined) {
        this.setMomentSignal(depart);
        return;
      }
    } else {
      const { steps } = this.state;
      const n = await this.ask('stepAt', { timeNs: this.moment() });
      if (n === undefined) return;
      if (n + 1 < steps) {
        const list = await this.ask('steps', { from: n + 1, count: 1, machine: '' });
        const next = list?.[0];
        if (list === undefined) return;
        if (next !== undefined && next.timeNs > this.moment()) {
          this.setMomentSignal(next.timeNs);
          return;
        }
      }
    }
    const progress = await this.ask('step', { unit, count: 1 });
    if (progress === undefined) return;
    this.progress(progress);
    this.setMomentSignal(progress.headNs);
  }

  async stepBack(): Promise<void> {
    this.set('playing', false);
    const n = await this.ask('stepAt', { timeNs: this.moment() - 1 });
    if (n === undefined) return;
    const before = await this.ask('steps', { from: n, count: 1, machine: '' });
    if (before === undefined) return;
    const start = this.originNs;
    this.setMomentSignal(Math.max(start, before[0]?.timeNs ?? start));
  }

  /** Plays; or ends what moves: the playing, or the way to a moment. */
  toggle(): void {
    const moves = this.state.playing || this.state.seeking;
    this.set('playing', !moves);
    if (moves) this.endRuns();
  }

  /** Lets the worker end its runs where they are. */
  private endRuns(): void {
    if (this.runs > 0) void this.ask('pause', {});
  }

  setPlaying(playing: boolean): void {
    this.set('playing', playing);
  }

  setPace(pace: number): void {
    this.set('pace', pace);
  }

  setView(view: ViewName): void {
    this.set('view', view);
  }

  setLesson(lesson: string): void {
    this.set({ view: 'lessons', lesson });
  }

  setMachine(machine: string): void {
    this.set('machine', machine);
  }

  setDepth(depth: number): void {
    this.set('depth', depth);
  }

  setGallery(open: boolean): void {
    this.set('galleryOpen', open);
  }

  setHelp(open: boolean): void {
    this.set('helpOpen', open);
  }

  select(selection: Selection): void {
    this.set('selection', selection);
    if (selection.kind === 'machine') this.set('machine', selection.name);
  }

  /** Selects a packet; 0: none. */
  selectPacket(id: number): void {
    this.set({ packet: id, step: -1 });
    if (id === 0) {
      this.set({ selection: { kind: 'none' }, packetInfo: null });
      return;
    }
    this.set('selection', { kind: 'packet' });
    this.refreshPacket();
  }

  /** Asks again about the selected packet: it may have moved on. */
  refreshPacket(): void {
    const id = this.state.packet;
    if (id === 0) return;
    void this.ask('packet', { id }).then((info) => {
      if (info !== undefined && this.state.packet === id) this.set('packetInfo', info);
    });
  }

  setStep(n: number): void {
    this.set('step', n);
  }

  /** Does something to the world, at its newest moment: what lies behind can only be changed by a fork. */
  async act(body: ActionBody): Promise<void> {
    if (this.moment() < this.state.headNs) {
      this.setMomentSignal(this.state.headNs);
      this.notify('This happens at the newest moment of the world, so the view has moved there.');
    }
    const turn = this.loads;
    try {
      const actions = await this.client.call('act', { body });
      if (turn !== this.loads) return;
      this.set('actions', actions);
      const progress = await this.client.call('run', { untilNs: this.state.headNs });
      if (turn !== this.loads) return;
      this.progress(progress);
      this.set('playing', true);
    } catch (error) {
      if (turn === this.loads) this.notify(problemOf(error).detail);
    }
  }

  async refreshMachines(): Promise<void> {
    const machines = await this.ask('machines', {});
    if (machines !== undefined) this.set('machines', reconcile([...machines], { key: 'name' }));
  }

  onTerminal(terminal: number, listener: ((text: string) => void) | null): void {
    if (listener === null) this.terminalListeners.delete(terminal);
    else this.terminalListeners.set(terminal, listener);
  }

  notify(text: string): void {
    this.set('notice', text);
    clearTimeout(this.noticeTimer);
    this.noticeTimer = setTimeout(() => this.set('notice', ''), NOTICE_MS);
  }

  private say(machine: string, text: string): void {
    this.set('console', (lines) => [...lines, { machine, text }].slice(-CONSOLE_LINES));
  }

  private halt(problem: Problem): void {
    this.set({ halted: problem, playing: false });
  }

  fail(problem: Problem): void {
    this.set({ phase: 'problem', problem, playing: false, galleryOpen: false });
  }
}

function problemOf(error: unknown): Problem {
  if (error instanceof CallError) return error.problem;
  return {
    title: 'Something went wrong',
    detail: error instanceof Error ? error.message : String(error),
  };
}
