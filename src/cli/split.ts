/**
 * Runs a topology in several threads, with the same fingerprint, output and captures as in one.
 * The threads run the world among themselves (sim/part.ts); here they are started, what they say is put
 * into one order, and all are ended when one of them fails.
 */
import { Worker } from 'node:worker_threads';
import {
  beginCaptures,
  type Capture,
  type CaptureRequest,
  cableFile,
  captureFolder,
  closeCaptures,
  discardCaptures,
  FileSink,
} from '#cli/capture.ts';
import { UsageError, UserError } from '#cli/errors.ts';
import { cableName, type LabEnd, type ProgramReport } from '#cli/lab.ts';
import type { PartJob, PartMessage, PartRecord, PartResult } from '#cli/split_part.ts';
import { startThread } from '#host/node/thread.ts';
import { CableCaptureWriter } from '#sim/capture.ts';
import { abortSplit, planSplit, type SplitPlan, stopSplit } from '#sim/part.ts';
import { partition } from '#sim/partition.ts';
import { combinePrints } from '#sim/place.ts';
import type { TopologySpec } from '#sim/topology.ts';
import { DEFAULT_EPOCH_SEC } from '#sim/world.ts';
import type { Streams } from '#user/lib/process.ts';

export interface SplitOptions {
  readonly seed: string;
  /** Threads at most: machines that cannot be apart share one. */
  readonly workers: number;
  readonly untilNs: number;
  /** Folder for captures of all cables. */
  readonly pcap?: string;
  readonly captures?: readonly CaptureRequest[];
  /** The module that threads run, where it is not beside this one: for those who bundle. */
  readonly worker?: URL;
  /** Where what a machine's programs print goes. */
  readonly streamsOf?: (node: string) => Streams;
}

export interface SplitResult {
  /** Threads that ran. */
  readonly parts: number;
  readonly fingerprint: string;
  readonly ended: LabEnd;
  readonly nowNs: number;
  readonly events: number;
  readonly failed: readonly ProgramReport[];
  readonly running: readonly ProgramReport[];
  readonly live: Record<string, Record<string, number>>;
}

function compare(a: PartRecord, b: PartRecord): number {
  return (
    a.phase - b.phase ||
    a.key.timeNs - b.key.timeNs ||
    a.key.generation - b.key.generation ||
    a.key.bornNs - b.key.bornNs ||
    a.key.rank - b.key.rank ||
    a.key.rootSeq - b.key.rootSeq
  );
}

/** Puts what happened in several threads, in order in each, into one order. */
class Merger {
  private readonly queues: PartRecord[][];
  private readonly horizons: { phase: number; timeNs: number }[];
  private readonly take: (record: PartRecord) => void;

  constructor(parts: number, take: (record: PartRecord) => void) {
    this.queues = Array.from({ length: parts }, () => []);
    this.horizons = Array.from({ length: parts }, () => ({ phase: 0, timeNs: 0 }));
    this.take = take;
  }

  add(part: number, records: readonly PartRecord[], phase: number, timeNs: number): void {
    const queue = this.queues[part] as PartRecord[];
    for (const record of records) queue.push(record);
    this.horizons[part] = { phase, timeNs };
    this.release();
  }

  /** Nothing more comes from a thread. */
  end(part: number): void {
    this.horizons[part] = { phase: Number.POSITIVE_INFINITY, timeNs: 0 };
    this.release();
  }

  private release(): void {
    const at = this.queues.map(() => 0);
    for (;;) {
      let first = -1;
      let best: PartRecord | null = null;
      this.queues.forEach((queue, part) => {
        const head = queue[at[part] as number];
        if (head !== undefined && (best === null || compare(head, best) < 0)) {
          best = head;
          first = part;
        }
      });
      if (best === null || !this.isPast(best, first, at)) break;
      at[first] = (at[first] as number) + 1;
      this.take(best);
    }
    at.forEach((count, part) => {
      this.queues[part]?.splice(0, count);
    });
  }

  /** Can nothing that stands before the record come any more? */
  private isPast(record: PartRecord, from: number, at: readonly number[]): boolean {
    return this.horizons.every(({ phase, timeNs }, part) => {
      if (part === from || (this.queues[part]?.length ?? 0) > (at[part] as number)) return true;
      return record.phase < phase || (record.phase === phase && record.key.timeNs < timeNs);
    });
  }
}

/** Captures of the cables between threads: their two ends meet only here. */
class CutCables {
  private readonly writers: Map<number, CableCaptureWriter>;
  private readonly captures: readonly Capture[];

  /** Throws UsageError when a file cannot be written; none is left then. */
  constructor(spec: TopologySpec, plan: SplitPlan, folder: string | undefined) {
    this.writers = new Map();
    this.captures = [];
    if (folder === undefined) return;
    captureFolder(folder);
    const homeOf = (node: string): number | undefined =>
      plan.partition.home[plan.names.indexOf(node)];
    const begin: (() => Capture)[] = [];
    spec.links.forEach((link, index) => {
      const [a, b] = link.endpoints;
      if (homeOf(a.node) === homeOf(b.node)) return;
      begin.push(() => this.begin(index, cableName(link), folder));
    });
    this.captures = beginCaptures(begin);
  }

  frame(link: number, end: 0 | 1, timeNs: number, bytes: Uint8Array): void {
    this.writers.get(link)?.frame(end, timeNs, bytes);
  }

  close(): void {
    closeCaptures(this.captures);
  }

  discard(): void {
    discardCaptures(this.captures);
  }

  private begin(link: number, name: string, folder: string): Capture {
    const file = new FileSink(cableFile(folder, name));
    const writer = new CableCaptureWriter(name, DEFAULT_EPOCH_SEC, file.write);
    this.writers.set(link, writer);
    return {
      get packets(): number {
        return writer.packets;
      },
      close: () => file.close(),
      discard: () => file.remove(),
    };
  }
}

/** An error of a thread, as the class that it was as far as callers tell them apart. */
function errorOf({ name, message, stack }: PartMessage & { type: 'failure' }): Error {
  if (name === 'UsageError') return new UsageError(message);
  if (name === 'UserError') return new UserError(message);
  const error = new Error(message);
  error.name = name;
  error.stack = stack;
  return error;
}

/** A world that runs in threads. */
export class SplitRun {
  /** Threads that run. */
  readonly parts: number;
  /** What came of it. Rejects with the first thing that went wrong in a thread. */
  readonly result: Promise<SplitResult>;
  private readonly plan: SplitPlan;
  /** A thread could not begin, so that none did. */
  private unbegun: boolean;

  /** Throws UsageError for captures that cannot be written, RangeError for a bad number of threads. */
  constructor(spec: TopologySpec, options: SplitOptions) {
    this.plan = planSplit(spec, partition(spec, options.workers));
    const { plan } = this;
    this.unbegun = false;
    this.parts = plan.partition.parts;
    const { captures = [] } = options;
    for (const { node } of captures) {
      if (plan.names.includes(node)) continue;
      throw new UsageError(
        `there is no machine '${node}' in ${spec.name}; there are ${plan.names.join(', ')}`,
      );
    }
    const cables = new CutCables(spec, plan, options.pcap);
    const streams = new Map(plan.names.map((name) => [name, options.streamsOf?.(name) ?? {}]));
    const pass = ({ key, what }: PartRecord): void => {
      if ('link' in what) {
        cables.frame(what.link, what.end, key.timeNs, what.bytes);
        return;
      }
      const { stdout, stderr } = streams.get(what.node) ?? {};
      const output = what.fd === 1 ? stdout : stderr;
      if (what.bytes === null) output?.close();
      else output?.write(what.bytes);
    };
    // What could not be passed on: the run ends with the first.
    const refused: unknown[] = [];
    const merger = new Merger(this.parts, (record) => {
      if (refused.length > 0) return;
      try {
        pass(record);
      } catch (error) {
        refused.push(error);
        this.abort();
      }
    });
    const threads = Array.from({ length: this.parts }, (_, index) => {
      const job: PartJob = {
        spec,
        plan,
        index,
        seed: options.seed,
        untilNs: options.untilNs,
        pcap: options.pcap ?? null,
        captures,
        config: (globalThis as { softnetConfig?: unknown }).softnetConfig ?? {},
      };
      return this.runThread(job, merger, options.worker);
    });
    this.result = Promise.allSettled(threads).then((settled) => {
      try {
        if (this.unbegun) cables.discard();
        else cables.close();
      } catch (error) {
        // What ended the run is the news, where something did.
        if (settled.every(({ status }) => status === 'fulfilled')) refused.push(error);
      }
      if (refused.length > 0) throw refused[0];
      return this.merge(spec, options.seed, settled);
    });
  }

  /** Ends the run where all threads are at the same time, as World.stop() does. */
  stop(): void {
    stopSplit(this.plan);
  }

  /** Ends all threads at once: `result` rejects. */
  abort(): void {
    abortSplit(this.plan);
  }

  /** Runs one thread to its end; null when another thread ended it. */
  private runThread(job: PartJob, merger: Merger, module?: URL): Promise<PartResult | null> {
    const worker =
      module === undefined
        ? startThread(new URL('./split_worker', import.meta.url), job)
        : new Worker(module, { workerData: job });
    return new Promise((resolve, reject) => {
      let outcome: PartResult | null = null;
      let problem: Error | null = null;
      let said = false;
      worker.on('message', (message: PartMessage) => {
        if (message.type === 'records') {
          merger.add(job.index, message.records, message.phase, message.timeNs);
          return;
        }
        said = true;
        if (message.type === 'result') outcome = message.result;
        if (message.type === 'failure') {
          problem = errorOf(message);
          this.unbegun ||= message.unbegun;
        }
      });
      worker.on('error', (error) => {
        problem ??= error;
        this.abort();
      });
      worker.on('exit', (code) => {
        merger.end(job.index);
        if (problem === null && !said) {
          problem = new Error(`a thread of the world ended by itself with status ${code}`);
          this.abort();
        }
        if (problem === null) resolve(outcome);
        else reject(problem);
      });
    });
  }

  private merge(
    spec: TopologySpec,
    seed: string,
    settled: readonly PromiseSettledResult<PartResult | null>[],
  ): SplitResult {
    const bad = settled.find((one) => one.status === 'rejected');
    if (bad !== undefined) throw bad.reason;
    const results = settled.map((one) => (one.status === 'fulfilled' ? one.value : null));
    const [first] = results;
    if (first === null || first === undefined || results.includes(null)) {
      throw new UserError('the run was ended');
    }
    const all = results as PartResult[];
    const order = ({ node: a }: ProgramReport, { node: b }: ProgramReport): number =>
      spec.nodes.findIndex(({ name }) => name === a) -
      spec.nodes.findIndex(({ name }) => name === b);
    return {
      parts: this.parts,
      fingerprint: combinePrints(
        seed,
        all.flatMap(({ prints }) => prints),
      ),
      ended: first.ended,
      nowNs: first.nowNs,
      events: all.reduce((sum, { events }) => sum + events, 0),
      failed: all.flatMap(({ failed }) => failed).sort(order),
      running: all.flatMap(({ running }) => running).sort(order),
      live: Object.assign({}, ...all.map(({ live }) => live)) as SplitResult['live'],
    };
  }
}
