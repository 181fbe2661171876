/**
 * One address, many cores: machines in threads that share an address and the servers on it, and nothing
 * else, behind a switch that knows which flow is whose (host/node/flow_switch.ts).
 */
import { Worker } from 'node:worker_threads';
import type { StackJob, StackMessage } from '#cli/stack_part.ts';
import { FlowSwitch, type Uplink } from '#host/node/flow_switch.ts';
import { type ShmemCable, shmemCable } from '#host/node/shmem_link.ts';
import { startThread } from '#host/node/thread.ts';

export interface ManyStacksOptions {
  /** Machines, one a thread: 1 to 64. */
  readonly workers: number;
  /** What leads outside; closed with the machines, and when they cannot be started. */
  readonly uplink: Uplink;
  readonly ifname: string;
  /** Link address of all. */
  readonly mac: Uint8Array;
  /** Shell lines for each machine, and programs that run there from then on. */
  readonly configure: readonly string[];
  readonly programs: readonly (readonly string[])[];
  /**
   * Called when a program complains. `fatal`: the program or its thread has ended, so that what the switch
   * gives to this machine is not answered any more.
   */
  readonly onProblem: (text: string, fatal: boolean) => void;
  /** How long a thread may take to end once it is told to, in ms; it is terminated then. */
  readonly stopMs?: number;
  /** The module that threads run, where it is not beside this one: for those who bundle. */
  readonly worker?: URL;
}

/** How long a thread may take to end: its machine has sockets to close and memory to look through. */
const STOP_MS = 10_000;

/** One thread, as seen from here. */
class StackThread {
  readonly ready: Promise<void>;
  private readonly worker: Worker;
  private readonly exited: Promise<void>;
  private readonly problem: (text: string, fatal: boolean) => void;
  private readonly stopMs: number;
  private stopping: boolean;
  private live: Record<string, number>;

  constructor(index: number, cable: ShmemCable, options: ManyStacksOptions) {
    const { ifname, mac, configure, programs } = options;
    const config = (globalThis as { softnetConfig?: unknown }).softnetConfig ?? {};
    const name = `softnet-${index}`;
    const job: StackJob = { name, cable, ifname, mac, configure, programs, config };
    this.worker =
      options.worker === undefined
        ? startThread(new URL('./stack_worker', import.meta.url), job)
        : new Worker(options.worker, { workerData: job });
    this.stopping = false;
    this.live = { 'the thread ended without a word': 1 };
    this.stopMs = options.stopMs ?? STOP_MS;
    const problem = (text: string, fatal: boolean): void => {
      options.onProblem(`${name}: ${text}`, fatal);
    };
    this.problem = problem;
    this.ready = new Promise((resolve, reject) => {
      this.worker.on('message', (message: StackMessage) => {
        if (message.type === 'ready') resolve();
        else if (message.type === 'left') this.live = message.live;
        else problem(message.text, message.fatal);
      });
      this.worker.on('error', (error) => {
        reject(error);
        problem(error.message, true);
      });
      this.worker.on('exit', (status) => {
        const error = new Error(`the thread of ${name} ended with status ${status}`);
        reject(error);
        if (!this.stopping) problem(error.message, true);
      });
    });
    // Whoever waits hears of it; when nobody does any more, `problem` has been told.
    this.ready.catch(() => {});
    this.exited = new Promise((resolve) => {
      this.worker.once('exit', () => resolve());
    });
  }

  /** Ends it: what was still alive there. One that does not end by itself is terminated, and that is told. */
  async stop(): Promise<Record<string, number>> {
    this.stopping = true;
    this.worker.postMessage('stop');
    const timer = setTimeout(() => {
      this.problem(`the thread did not end within ${this.stopMs} ms and was terminated`, true);
      this.live = { ...this.live, 'the thread had to be terminated': 1 };
      void this.worker.terminate();
    }, this.stopMs);
    await this.exited;
    clearTimeout(timer);
    return this.live;
  }
}

/** The switch takes over the uplink, also where it cannot begin. */
function switchOf(uplink: Uplink, cables: readonly ShmemCable[]): FlowSwitch {
  try {
    return new FlowSwitch({ uplink, cables });
  } catch (error) {
    uplink.close();
    throw error;
  }
}

export class ManyStacks {
  readonly flowSwitch: FlowSwitch;
  private readonly threads: readonly StackThread[];

  private constructor(flowSwitch: FlowSwitch, threads: readonly StackThread[]) {
    this.flowSwitch = flowSwitch;
    this.threads = threads;
  }

  /** Starts the machines; all serve when it resolves. Rejects when one cannot, with nothing left. */
  static async start(options: ManyStacksOptions): Promise<ManyStacks> {
    const cables = Array.from({ length: options.workers }, () => shmemCable());
    const flowSwitch = switchOf(options.uplink, cables);
    const threads = cables.map((cable, index) => new StackThread(index, cable, options));
    const stacks = new ManyStacks(flowSwitch, threads);
    try {
      await Promise.all(threads.map(({ ready }) => ready));
    } catch (error) {
      await stacks.stop();
      throw error;
    }
    return stacks;
  }

  /** Ends all. What was still alive, machine by machine: nothing. */
  async stop(): Promise<Record<string, number>[]> {
    const left = await Promise.all(this.threads.map((thread) => thread.stop()));
    this.flowSwitch.close();
    return left;
  }
}
