/*
 * A process that plays scenarios to the kernel, many at once: each in a namespace of its own, and
 * all of them mostly asleep. Gets a list of scenarios, replies with their recordings.
 */

import { KernelHost } from '#packetdrill/kernel/backend.ts';
import type { Scenario } from './events.ts';
import { KernelNamespace } from './host.ts';
import type { Recording } from './record.ts';
import { Trial } from './trial.ts';

const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;
/** ms between the beginnings of two scenarios, so that their events do not fall together. */
const STAGGER_MS = 7;
/** How long what has left may stay in a queue: the stack sees that somebody holds the packet. */
const DRAIN_NS = 20e6;

class Player {
  readonly trial: Trial;
  recording: Recording | null;
  private readonly startNs: number;
  private next: number;
  private timeMs: number;

  constructor(trial: Trial, startNs: number) {
    this.trial = trial;
    this.recording = null;
    this.startNs = startNs;
    this.next = 0;
    this.timeMs = trial.scenario.events[0]?.gapMs ?? 0;
  }

  /** The host's time of the next event; Infinity after the last. */
  get dueNs(): number {
    const { events } = this.trial.scenario;
    return this.next < events.length ? this.startNs + this.timeMs * 1e6 : Number.POSITIVE_INFINITY;
  }

  async step(): Promise<void> {
    const { events } = this.trial.scenario;
    const event = events[this.next];
    if (event === undefined) return;
    this.trial.perform(event, this.timeMs);
    this.next++;
    this.timeMs += events[this.next]?.gapMs ?? 0;
    // What happens later must not be counted.
    if (this.next === events.length) this.recording = await this.trial.collect();
  }
}

async function play(host: KernelHost, scenarios: readonly Scenario[]): Promise<Recording[]> {
  const trials: Trial[] = [];
  for (const scenario of scenarios) {
    const trial = new Trial(scenario, (sent) => new KernelNamespace(host, sent));
    await trial.prepare();
    trials.push(trial);
  }
  const [first] = trials;
  if (first === undefined) return [];
  const begin = first.host.nowNs + 50e6;
  const players = trials.map((trial, i) => {
    const startNs = begin + i * STAGGER_MS * 1e6;
    trial.begin(startNs);
    return new Player(trial, startNs);
  });
  for (;;) {
    const player = players.reduce((a, b) => (b.dueNs < a.dueNs ? b : a));
    if (player.dueNs === Number.POSITIVE_INFINITY) break;
    const left = player.dueNs - first.host.nowNs;
    if (left > 0) {
      host.near.reset();
      const at = host.near.alloc(16);
      host.near.setUint64(at + 8, Math.floor(Math.min(left, DRAIN_NS)));
      host.native.call('ppoll', 0, 0, host.near.at(at), 0);
    }
    if (left > DRAIN_NS) for (const { host: drained } of trials) drained.drain();
    else await player.step();
  }
  for (const trial of trials) trial.release();
  return players.map(({ recording }) => recording as Recording);
}

let host: KernelHost | null = null;
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
process.on('message', (scenarios: readonly Scenario[]) => {
  if (host === null) {
    host = new KernelHost();
    host.native.call('prctl', PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  }
  play(host, scenarios).then(
    (recordings) => process.send?.({ recordings }),
    (error: unknown) =>
      process.send?.({ error: error instanceof Error ? error.stack : String(error) }),
  );
});
