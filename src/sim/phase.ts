/**
 * Runs a world until something has come, the same way whether it is in one thread or in several.
 *
 * A world in parts cannot stop in the middle of an event of one part: by then the others are further on.
 * So a phase ends at a time that follows from what happened: a grace after all that is waited for has
 * come, when no program has woken for so long, at a time that was given. All parts get exactly there.
 */
import type { World } from '#sim/world.ts';

export interface Phase {
  /** Has what this part waits for come? Asked after each event; parts that wait for nothing say true. */
  readonly done: () => boolean;
  /** How long all goes on when it has come everywhere, in ns; above 0. */
  readonly graceNs: number;
  /** Ends at this time at the latest. */
  readonly untilNs?: number;
  /** Ends when no program has woken for so long and none sleeps until a time of its choice. */
  readonly restNs?: number;
}

/**
 * What ended a phase: what was waited for came; it will not, since nothing happens any more, or
 * programs only wait for each other; the time; or somebody stopped it.
 */
export type PhaseEnd = 'done' | 'idle' | 'rest' | 'time' | 'stopped';

/** What each part says of itself between two windows. */
export interface PartState {
  /** When its next event is due; Infinity: it has none. */
  nextNs: number;
  /** When what it waits for came; Infinity: not yet. */
  doneNs: number;
  /** When a program last woke. */
  wokeNs: number;
  /** Its clock. */
  nowNs: number;
  /** A program sleeps until a time of its own choice. */
  sleepers: boolean;
  /** Somebody wants it to end. */
  stop: boolean;
}

/** How a part meets the others. */
export interface Meeting {
  /** A phase begins. */
  begin(): void;
  /**
   * Tells them the state of this part, and changes it to that of all: the earliest event, the latest
   * of the other times. Returns the time before which nothing from another part can come.
   */
  meet(state: PartState): number;
}

/** A world that is in one piece. */
const ALONE: Meeting = {
  begin: () => {},
  meet: () => Number.POSITIVE_INFINITY,
};

/** Events after which the host's event loop turns even when no program woke. */
const TURN_EVENTS = 4096;

/** Does a program sleep until a time of its own choice? Then it will wake, however late that is. */
export function sleepsByChoice(world: World): boolean {
  return world.machines.some((machine) => machine.hrtimers.first !== null);
}

class PhaseRun {
  readonly world: World;
  readonly phase: Phase;
  readonly state: PartState;
  /** When it will be looked whether programs still wake. */
  private checkNs: number;
  private doneNs: number;
  private wokeNs: number;
  private events: number;

  constructor(world: World, phase: Phase) {
    this.world = world;
    this.phase = phase;
    this.checkNs = world.nowNs + (phase.restNs ?? Number.POSITIVE_INFINITY);
    this.doneNs = phase.done() ? world.nowNs : Number.POSITIVE_INFINITY;
    this.wokeNs = world.nowNs;
    this.events = 0;
    this.state = { nextNs: 0, doneNs: 0, wokeNs: 0, nowNs: 0, sleepers: false, stop: false };
  }

  /** Says how this part stands. */
  report(): PartState {
    const { world, state } = this;
    state.nextNs = world.nextEventNs;
    state.doneNs = this.doneNs;
    state.wokeNs = this.wokeNs;
    state.nowNs = world.nowNs;
    state.sleepers = sleepsByChoice(world);
    state.stop = world.takeStop();
    return state;
  }

  /** What follows from how all stand: the end, or null and the time up to which to go, included. */
  decide(): { readonly end: PhaseEnd | null; readonly toNs: number } {
    const { state, phase } = this;
    const { untilNs = Number.POSITIVE_INFINITY, graceNs, restNs = 0 } = phase;
    const came = state.doneNs < Number.POSITIVE_INFINITY;
    const doneNs = state.doneNs + graceNs;
    const toNs = Math.min(doneNs, untilNs, came ? Number.POSITIVE_INFINITY : this.checkNs);
    if (state.stop) return { end: 'stopped', toNs: state.nowNs };
    if (state.nextNs === Number.POSITIVE_INFINITY && !came) {
      return { end: 'idle', toNs: state.nowNs };
    }
    // Until it has come, so far that no part goes past the end if it comes with the first event.
    if (state.nextNs <= toNs) {
      return { end: null, toNs: came ? toNs : Math.min(toNs, state.nextNs + graceNs) };
    }
    if (came) return { end: 'done', toNs };
    if (toNs < this.checkNs) return { end: 'time', toNs };
    if (state.wokeNs + restNs > this.checkNs) this.checkNs = state.wokeNs + restNs;
    else if (state.sleepers) this.checkNs += restNs;
    else return { end: 'rest', toNs };
    return this.decide();
  }

  /** Lets happen what is due before `beforeNs` and not after `toNs`. */
  async window(beforeNs: number, toNs: number): Promise<void> {
    const { world, phase } = this;
    for (;;) {
      const { nextEventNs } = world;
      if (nextEventNs >= beforeNs || nextEventNs > toNs) return;
      const before = world.wakeUps();
      world.step();
      const woke = world.wakeUps() !== before;
      if (woke) this.wokeNs = world.nowNs;
      // Now and then at any rate, so that the host can tell us to stop.
      if (woke || ++this.events % TURN_EVENTS === 0) await world.turn();
      if (this.doneNs === Number.POSITIVE_INFINITY && phase.done()) {
        this.doneNs = world.nowNs;
        if (beforeNs === Number.POSITIVE_INFINITY) return;
      }
      if (world.stopWanted && beforeNs === Number.POSITIVE_INFINITY) return;
    }
  }
}

/** Runs a world, or a part of one. See {@link Phase}. */
export async function runPhase(
  world: World,
  phase: Phase,
  meeting: Meeting = ALONE,
): Promise<PhaseEnd> {
  if (!(phase.graceNs > 0)) throw new RangeError('a phase needs a grace above 0 ns');
  meeting.begin();
  await world.turn();
  const run = new PhaseRun(world, phase);
  for (;;) {
    const beforeNs = meeting.meet(run.report());
    const { end, toNs } = run.decide();
    if (end !== null) {
      if (end !== 'stopped') world.restAt(toNs);
      return end;
    }
    await run.window(beforeNs, toNs);
  }
}
