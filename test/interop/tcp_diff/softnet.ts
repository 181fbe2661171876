/*
 * Scenarios on softnet: made up against it, and played to it again.
 */

import { Prandom } from '#lib/prandom.ts';
import { timerLatenessNs } from '#packetdrill/kernel/backend.ts';
import { Author, beginScenario } from './author.ts';
import type { Event, Scenario } from './events.ts';
import { SoftnetHost } from './host.ts';
import type { Recording } from './record.ts';
import { Trial } from './trial.ts';

/** Scenarios end with some time in which nothing comes. */
const REST_MS = 400;
/** A timer of another machine may come this much earlier or later, besides its own lateness. */
const MARGIN_MS = 16;
const CHAIN = 3;

interface Placed {
  readonly trial: Trial;
  readonly host: SoftnetHost;
}

function place(scenario: Scenario): Placed {
  let host: SoftnetHost | null = null;
  const trial = new Trial(scenario, (sent) => {
    host = new SoftnetHost(scenario.name, sent);
    return host;
  });
  return { trial, host: host as unknown as SoftnetHost };
}

function runTo({ trial, host }: Placed, timeMs: number): void {
  host.runUntil(trial.originNs + timeMs * 1e6);
}

/** ms from here on until which a timer that has just expired may expire elsewhere; 0: none has. */
function unrest({ sent, outcomes, nowMs }: Trial): number {
  const last = sent.at(-1);
  const event = outcomes.at(-1)?.timeMs ?? 0;
  if (last === undefined || last.timeMs < event + 1) return 0;
  const before = sent.at(-2)?.timeMs ?? 0;
  const delay = last.timeMs - Math.min(event, before);
  // Timers that set each other are late by the sum.
  const until = last.timeMs + MARGIN_MS + (CHAIN * timerLatenessNs(delay * 1e6)) / 1e6;
  return Math.max(0, Math.ceil(until - nowMs));
}

/** Lets time pass until then, or a little longer, so that no timer is about to expire elsewhere. @returns the time */
function settle(placed: Placed, timeMs: number): number {
  let due = timeMs;
  runTo(placed, due);
  for (
    let more = unrest(placed.trial), n = 0;
    more > 0 && n < 8;
    more = unrest(placed.trial), n++
  ) {
    due += more;
    runTo(placed, due);
  }
  return due;
}

/** Makes up the scenario of a seed. @param roomy send buffers shall never fill */
export async function compose(
  seed: number,
  roomy: boolean,
): Promise<{ scenario: Scenario; recording: Recording }> {
  const rng = new Prandom(seed);
  const { scenario, offer } = beginScenario(`seed ${seed}`, rng, roomy);
  const placed = place(scenario);
  const { trial } = placed;
  await trial.prepare();
  const author = new Author(rng.fork('author'), trial, offer, roomy);
  const actions = author.actions(rng.between(6, 34));
  const events: Event[] = [];
  let sentBefore = 0;
  let timeMs = 0;
  let due = 0;
  for (;;) {
    const gap = author.gap(trial.sent.length === sentBefore);
    due = gap === 0 ? timeMs : settle(placed, timeMs + gap);
    const { done, value } = actions.next();
    if (done === true) break;
    const event = { gapMs: due - timeMs, action: value };
    timeMs = due;
    sentBefore = trial.sent.length;
    trial.perform(event, due);
    events.push(event);
  }
  const restMs = settle(placed, due + REST_MS) - timeMs;
  const rest: Event = { gapMs: restMs, action: { kind: 'pause' } };
  trial.perform(rest, timeMs + restMs);
  events.push(rest);
  const recording = await trial.collect();
  trial.release();
  return { scenario: { ...scenario, events }, recording };
}

/** Plays a scenario. @param jitterMs how far events are off, each for itself */
export async function playOnSoftnet(
  scenario: Scenario,
  jitterMs = 0,
  seed = 0,
): Promise<Recording> {
  const rng = new Prandom(seed);
  const placed = place(scenario);
  const { trial } = placed;
  await trial.prepare();
  let timeMs = 0;
  let off = 0;
  for (const event of scenario.events) {
    timeMs += event.gapMs;
    if (event.gapMs > 2 * jitterMs) off = jitterMs * (2 * rng.float() - 1);
    runTo(placed, timeMs + off);
    trial.perform(event, timeMs);
  }
  const recording = await trial.collect();
  trial.release();
  return recording;
}
