/** Moves the moment on while the world plays, and lets the worker run just ahead of it. */
import type { Store } from './store.ts';

/** How far the worker runs ahead, in seconds of watching. */
const AHEAD_S = 0.15;
/** A pause in which nothing is on any cable is crossed in so many seconds. */
const QUIET_S = 0.5;
const MAX_STEP_MS = 100;

export class Player {
  private readonly store: Store;
  private running: boolean;
  private lastMs: number;
  private frame: number;

  constructor(store: Store) {
    this.store = store;
    this.running = false;
    this.lastMs = 0;
    this.frame = 0;
  }

  start(): void {
    const tick = (nowMs: number): void => {
      this.frame = requestAnimationFrame(tick);
      this.advance(Math.min(nowMs - this.lastMs, MAX_STEP_MS));
      this.lastMs = nowMs;
    };
    this.frame = requestAnimationFrame(tick);
  }

  stop(): void {
    cancelAnimationFrame(this.frame);
  }

  private advance(elapsedMs: number): void {
    const { store } = this;
    const { state } = store;
    if (!state.playing || state.phase !== 'ready') return;
    const moment = store.moment();
    const pace = this.paceAt(moment);
    const target = moment + (pace * elapsedMs) / 1000;
    const ahead = target + state.pace * AHEAD_S;
    if (ahead > state.headNs && state.halted === null)
      this.fetch(Math.max(ahead, this.nextNs(moment)));
    store.setMoment(target);
    const stuck = state.idle && store.moment() >= state.headNs;
    if (stuck || state.halted !== null) {
      if (store.moment() >= state.headNs) store.setPlaying(false);
    } else if (moment < store.horizonNs && target >= store.horizonNs) {
      store.setPlaying(false);
      store.notify('The interesting part is over. Press play to let the world go on.');
    }
  }

  /** Faster where nothing is under way. */
  private paceAt(moment: number): number {
    const { pace } = this.store.state;
    if (this.store.frames.busy(moment)) return pace;
    const gap = this.nextNs(moment) - moment;
    return Number.isFinite(gap) && gap > pace * QUIET_S ? gap / QUIET_S : pace;
  }

  /** When a frame is next put on a cable, as far as is known. */
  private nextNs(moment: number): number {
    const { frames, state } = this.store;
    const next = frames.after(moment);
    if (next < frames.length) return frames.depart[next] ?? moment;
    return Number.isFinite(state.nextNs) ? Math.max(state.nextNs, moment) : moment;
  }

  private fetch(untilNs: number): void {
    if (this.running) return;
    this.running = true;
    const done = (): void => {
      this.running = false;
    };
    this.store.runTo(Math.min(untilNs, this.store.moment() + 2e9)).then(done, done);
  }
}
