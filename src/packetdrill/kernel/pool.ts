/*
 * Runs scripts against the real kernel in processes of their own, several at once: a script that
 * hangs in a system call takes its process with it, and nothing else.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Config } from '#packetdrill/config.ts';
import type { ScriptResult } from '#packetdrill/report.ts';

export interface Job {
  readonly path: string;
  readonly source: string;
  readonly config: Config;
  readonly verbose: boolean;
  readonly capture: boolean;
}

export interface Reply {
  readonly result: ScriptResult;
  readonly log: readonly string[];
  readonly packets: readonly {
    readonly timeNs: number;
    readonly bytes: Uint8Array;
    readonly inbound: boolean;
  }[];
  /** A call still sleeps: the process is of no more use. */
  readonly stuck: boolean;
}

/** Real time after which a script has failed. */
const LIMIT_MS = 120_000;

function start(): ChildProcess {
  const file = import.meta.url.endsWith('.ts') ? './child.ts' : './child.js';
  return fork(fileURLToPath(new URL(file, import.meta.url)), [], {
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
}

/** A reply of the pool itself, when the process has none. */
function failed(job: Job, reason: string): Reply {
  const { path } = job;
  const blank = { line: 0, expected: '', actual: '', journey: [], seconds: 0 } as const;
  return {
    result: { path, outcome: 'error', reason, ...blank },
    log: [],
    packets: [],
    stuck: true,
  };
}

function ask(child: ChildProcess, job: Job): Promise<Reply> {
  return new Promise((resolve) => {
    const finish = (reply: Reply): void => {
      clearTimeout(timer);
      child.off('message', replied);
      child.off('exit', exited);
      resolve(reply);
    };
    const replied = (reply: unknown): void => finish(reply as Reply);
    const exited = (code: number | null, signal: string | null): void => {
      const how = signal ?? `status ${code}`;
      finish(failed(job, `the process that ran the script has ended: ${how}`));
    };
    const timer = setTimeout(() => {
      finish(failed(job, `the script has not ended after ${LIMIT_MS / 1000} s`));
    }, LIMIT_MS);
    child.on('message', replied);
    child.on('exit', exited);
    child.send(job);
  });
}

/**
 * Runs jobs, `lanes` at a time; `done` gets each reply with its job's index, as they come.
 * @param retries how often a script that fails is tried again: real time is noisy
 */
export async function runJobs(
  jobs: readonly Job[],
  lanes: number,
  retries: number,
  done: (index: number, reply: Reply) => void,
): Promise<void> {
  const queue = jobs.map((job, index) => ({ job, index, left: retries }));
  const lane = async (): Promise<void> => {
    let child: ChildProcess | null = null;
    try {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const { job, index, left } = next;
        child ??= start();
        const reply = await ask(child, job);
        if (reply.stuck) {
          child.kill('SIGKILL');
          child = null;
        }
        // What failed in a bad moment is tried in another one: behind all others.
        if (reply.result.outcome === 'failed' && left > 0) {
          queue.push({ job, index, left: left - 1 });
        } else done(index, reply);
      }
    } finally {
      // A process may still hold threads that sleep.
      child?.kill('SIGKILL');
    }
  };
  await Promise.all(Array.from({ length: Math.min(lanes, jobs.length) }, lane));
}
