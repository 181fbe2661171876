/*
 * Scenarios on the kernel, in a process of their own: real time asks for a priority that the rest
 * of the work must not have.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Scenario } from './events.ts';
import type { Recording } from './record.ts';

/** ms by which an event may be late before a recording is worth nothing. */
const LATE_MS = 5;
const TRIES = 3;

type Reply = { readonly recordings: Recording[] } | { readonly error: string };

export class Kernel {
  private readonly child: ChildProcess;
  private queue: Promise<unknown>;

  constructor() {
    this.child = fork(fileURLToPath(new URL('./kernel_child.ts', import.meta.url)), [], {
      serialization: 'advanced',
      execArgv: ['--import', 'tsx', '--conditions=softnet-source'],
    });
    this.queue = Promise.resolve();
  }

  /** Plays scenarios, all at once. Those of which events came too late are played again; null: always. */
  async play(scenarios: readonly Scenario[]): Promise<(Recording | null)[]> {
    const found: (Recording | undefined)[] = scenarios.map(() => undefined);
    for (let n = 0; n < TRIES; n++) {
      const open = [...found.keys()].filter((i) => (found[i]?.lateMs ?? Infinity) > LATE_MS);
      if (open.length === 0) break;
      const batch = open.map((i) => scenarios[i] as Scenario);
      const turn = this.queue.then(() => this.ask(batch));
      this.queue = turn.catch(() => undefined);
      for (const [k, recording] of (await turn).entries()) found[open[k] as number] = recording;
    }
    return found.map((recording) => {
      return recording === undefined || recording.lateMs > LATE_MS ? null : recording;
    });
  }

  private ask(scenarios: readonly Scenario[]): Promise<Recording[]> {
    return new Promise((resolve, reject) => {
      const exited = (): void =>
        reject(new Error('the process that plays to the kernel has ended'));
      this.child.once('exit', exited);
      this.child.once('message', (reply: Reply) => {
        this.child.off('exit', exited);
        if ('error' in reply) reject(new Error(reply.error));
        else resolve(reply.recordings);
      });
      this.child.send(scenarios);
    });
  }

  close(): void {
    this.child.kill('SIGKILL');
  }
}
