/** One of several machines that share an address: boots, serves until it is told to stop, says what is left. */
import { parentPort, workerData } from 'node:worker_threads';
import { bootReal, forkReal, haltReal, type RealHost } from '#host/node/real_host.ts';
import { type ShmemCable, ShmemLink } from '#host/node/shmem_link.ts';
import { defconfig } from '#init/defconfig.ts';
import type { Machine } from '#kernel/machine.ts';
import { type Main, Process, runProcess } from '#user/lib/process.ts';
import { Collector, type Output } from '#user/lib/streams.ts';
import { findProgram, main as sh } from '#user/sh/sh.ts';

/** What a thread is given. */
export interface StackJob {
  readonly name: string;
  readonly cable: ShmemCable;
  /** The interface, and its link address: the same in all. */
  readonly ifname: string;
  readonly mac: Uint8Array;
  /** Shell lines that must succeed, then programs that run from then on. */
  readonly configure: readonly string[];
  readonly programs: readonly (readonly string[])[];
  /** `globalThis.softnetConfig` of who asked. */
  readonly config: unknown;
}

/** What a thread says. */
export type StackMessage =
  | { readonly type: 'ready' }
  | { readonly type: 'problem'; readonly text: string; readonly fatal: boolean }
  | { readonly type: 'left'; readonly live: Record<string, number> };

function say(message: StackMessage): void {
  parentPort?.postMessage(message);
}

/** Passes on what servers complain of. */
const complaints: Output = {
  write: (bytes) => {
    say({ type: 'problem', text: new TextDecoder().decode(bytes).trimEnd(), fatal: false });
    return true;
  },
  ready: () => null,
  close: () => {},
};

class Stack {
  private readonly machine: Machine;
  private readonly host: RealHost;
  private readonly link: ShmemLink;
  stopped: boolean;

  constructor(job: StackJob) {
    const { machine, host } = bootReal({ name: job.name, modules: defconfig });
    this.machine = machine;
    this.host = host;
    this.stopped = false;
    const { cable, ifname, mac } = job;
    this.link = new ShmemLink(host, machine.initNet, cable, 0, { ifname, mac });
  }

  async run(main: Main, argv: readonly string[], stderr: Output): Promise<number> {
    const fork = (name: string): ReturnType<typeof forkReal> =>
      forkReal(this.machine, this.host, name);
    const sys = fork(argv[0] ?? '');
    const stdout = new Collector();
    const process = new Process({ sys, argv, fork, programs: findProgram, stdout, stderr });
    const status = await runProcess(main, process);
    sys.exit(status);
    return status;
  }

  async start(job: StackJob): Promise<void> {
    for (const line of job.configure) {
      const problems = new Collector();
      const status = await this.run(sh, ['sh', '-c', line], problems);
      if (status !== 0) {
        throw new Error(`'${line}' ended with status ${status}: ${problems.text()}`);
      }
    }
    for (const argv of job.programs) {
      const main = findProgram(argv[0] ?? '');
      if (main === null) throw new Error(`there is no program ${argv[0]}`);
      void this.run(main, argv, complaints).then((status) => {
        if (this.stopped) return;
        say({ type: 'problem', text: `${argv[0]} ended with status ${status}`, fatal: true });
      });
    }
    // Servers listen when their first system calls have been made.
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }

  stop(): void {
    this.stopped = true;
    this.link.close();
    say({ type: 'left', live: haltReal(this.machine, this.host) });
    parentPort?.close();
  }
}

/** Does the job that this thread was started with, until any message comes. */
export async function runStack(): Promise<void> {
  const job = workerData as StackJob;
  const stack = new Stack(job);
  parentPort?.once('message', () => stack.stop());
  await stack.start(job);
  if (!stack.stopped) say({ type: 'ready' });
}
