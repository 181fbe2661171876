/** `softnet run` and `softnet exec`: topologies from files. */
import {
  beginCaptures,
  type Capture,
  type CaptureRequest,
  cableCaptures,
  captureDeviceToFile,
  closeCaptures,
} from '#cli/capture.ts';
import { EXIT_FAILURE, EXIT_INTERNAL, EXIT_TIMEOUT, UserError } from '#cli/errors.ts';
import { fail } from '#cli/fail.ts';
import { didNotEnd, Lab, type LabEnd, type ProgramReport } from '#cli/lab.ts';
import { LabelledOutput, painter, passTo, standardInput } from '#cli/output.ts';
import { SplitRun } from '#cli/split.ts';
import { readTopology } from '#cli/topology_file.ts';
import { turn } from '#cli/turn.ts';
import type { TopologySpec } from '#sim/topology.ts';
import { formatTimeNs } from '#sim/units.ts';
import type { Streams } from '#user/lib/process.ts';

/** What `softnet run` and `softnet exec` may capture. */
interface CaptureOptions {
  readonly pcap?: string;
  readonly capture?: readonly CaptureRequest[];
}

export interface ExecCommandOptions extends CaptureOptions {
  readonly until?: number;
  readonly seed: string;
}

export interface RunCommandOptions extends CaptureOptions {
  readonly until?: number;
  readonly seed: string;
  readonly json?: boolean;
  /** Threads at most; one, in this thread, when not given. */
  readonly workers?: number;
}

/** Virtual time after which a world that has not come to rest is stopped, when nobody said how long. */
const DEFAULT_UNTIL_NS = 3600e9;

/**
 * Ctrl-C and SIGTERM end the world after the present event, and its captures are complete. Without
 * captures they end the process at once, as signals do.
 */
function stopOnSignals(world: { stop(): void }, captures: boolean): () => number | null {
  let status: number | null = null;
  if (!captures) return () => null;
  const stop = (number: number) => (): void => {
    status = 128 + number;
    world.stop();
  };
  process.once('SIGINT', stop(2));
  process.once('SIGTERM', stop(15));
  return () => status;
}

/** Streams of a machine: what its programs print, labelled with its name. */
function streamsOf(spec: TopologySpec, json: boolean): (node: string) => Streams {
  const out = json ? process.stderr : process.stdout;
  const width = Math.max(...spec.nodes.map(({ name }) => name.length));
  const paint = painter(out);
  const paintErr = painter(process.stderr);
  return (node) => ({
    stdout: new LabelledOutput(json ? 2 : 1, paint('cyan', `${node.padEnd(width)} | `)),
    stderr: new LabelledOutput(2, paintErr('yellow', `${node.padEnd(width)} | `)),
  });
}

function startCaptures(lab: Lab, options: CaptureOptions): Capture[] {
  const requests = options.capture ?? [];
  // All that can be wrong with the requests, before the first file is made.
  const machines = requests.map(({ node }) => lab.machine(node));
  return beginCaptures([
    ...(options.pcap === undefined ? [] : cableCaptures(lab.world, lab.cables, options.pcap)),
    ...machines.map((machine, i) => () => {
      const { ifname, path } = requests[i] as CaptureRequest;
      return captureDeviceToFile(machine, ifname, path);
    }),
  ]);
}

/** What came of a run. */
interface Outcome {
  readonly fingerprint: string;
  readonly ended: LabEnd;
  readonly nowNs: number;
  readonly events: number;
  readonly failed: readonly ProgramReport[];
  readonly running: readonly ProgramReport[];
  readonly live: Record<string, Record<string, number>>;
  /** Threads that it ran in. */
  readonly parts: number;
  /** Status for the signal that ended it; null: none did. */
  readonly stopped: number | null;
}

async function runHere(
  spec: TopologySpec,
  options: RunCommandOptions,
  untilNs: number,
): Promise<Outcome> {
  const lab = new Lab(spec, { seed: options.seed, turn });
  const { world } = lab;
  const captures = startCaptures(lab, options);
  const stopped = stopOnSignals(world, captures.length > 0);
  let ended: LabEnd = 'stopped';
  try {
    await lab.setUp(streamsOf(spec, options.json === true), { untilNs });
    if (stopped() === null) ended = await lab.finish({ untilNs });
  } catch (error) {
    // What was captured until then helps to find out why it failed, which is the news.
    try {
      closeCaptures(captures);
    } catch {}
    if (stopped() === null) throw error;
  }
  closeCaptures(captures);
  const failed = lab.failed();
  const running = lab.running();
  const live = world.halt();
  const { nowNs, eventCount: events } = world;
  const fingerprint = world.fingerprint.digest();
  return { fingerprint, ended, nowNs, events, failed, running, live, parts: 1, stopped: stopped() };
}

async function runInThreads(
  spec: TopologySpec,
  options: RunCommandOptions,
  workers: number,
  untilNs: number,
): Promise<Outcome> {
  const { seed, pcap, capture } = options;
  const run = new SplitRun(spec, {
    seed,
    workers,
    untilNs,
    ...(pcap === undefined ? {} : { pcap }),
    ...(capture === undefined ? {} : { captures: capture }),
    streamsOf: streamsOf(spec, options.json === true),
  });
  const stopped = stopOnSignals(run, pcap !== undefined || capture !== undefined);
  return { ...(await run.result), stopped: stopped() };
}

export async function runTopology(path: string, options: RunCommandOptions): Promise<void> {
  const spec = await readTopology(path);
  const untilNs = options.until ?? DEFAULT_UNTIL_NS;
  const startMs = performance.now();
  const { workers } = options;
  const outcome =
    workers === undefined
      ? await runHere(spec, options, untilNs)
      : await runInThreads(spec, options, workers, untilNs);
  const { ended, nowNs, events, fingerprint, failed, running, live, parts } = outcome;
  const summary = {
    name: spec.name,
    seed: options.seed,
    fingerprint,
    ended,
    virtualSeconds: nowNs / 1e9,
    wallSeconds: (performance.now() - startMs) / 1000,
    events,
    ...(workers === undefined ? {} : { threads: parts }),
    failed,
    running,
    live,
  };
  if (options.json === true) process.stdout.write(`${JSON.stringify(summary)}\n`);
  else {
    const threads = workers === undefined ? '' : ` in ${parts} thread${parts === 1 ? '' : 's'}`;
    process.stdout.write(
      `${spec.name}: ${formatTimeNs(nowNs)} of virtual time, ${events} events${threads}, ` +
        `fingerprint ${fingerprint}\n`,
    );
  }
  for (const { node, command, status } of failed) {
    process.stderr.write(`softnet: ${node}: '${command}' ended with status ${status}\n`);
  }
  if (Object.keys(live).length > 0) {
    process.stderr.write(`softnet: something was lost at the end: ${JSON.stringify(live)}\n`);
  }
  // To be stopped by --until is what was asked for; to be stopped without it is not.
  const endless = ended === 'time' && options.until === undefined;
  if (endless) {
    const names = running.map(({ node, command }) => `\n  ${node}: ${command}`).join('');
    process.stderr.write(
      `softnet: not at rest after ${formatTimeNs(untilNs)} of virtual time; --until says how long ` +
        `to run. Still running:${names}\n`,
    );
  }
  const bad = failed.length > 0 || endless || Object.keys(live).length > 0;
  process.exitCode = outcome.stopped ?? (bad ? EXIT_FAILURE : 0);
}

export async function execInTopology(
  path: string,
  node: string,
  words: readonly string[],
  options: ExecCommandOptions,
): Promise<void> {
  const untilNs = options.until ?? DEFAULT_UNTIL_NS;
  // `node -- command` and `node command` are the same.
  const command = words[0] === '--' ? words.slice(1) : words;
  let status: number | null;
  try {
    const lab = new Lab(await readTopology(path), { seed: options.seed, turn });
    lab.machine(node);
    const captures = startCaptures(lab, options);
    try {
      await lab.setUp(() => ({}), { untilNs });
      const streams = { stdin: standardInput(), stdout: passTo(1), stderr: passTo(2) };
      status = await lab.command(node, command, streams, { untilNs });
    } finally {
      closeCaptures(captures);
    }
    const { nowNs } = lab.world;
    lab.world.halt();
    if (status === null) {
      const why = didNotEnd(nowNs < untilNs, nowNs);
      throw new UserError(`${node}: '${command.join(' ')}' ${why}`, EXIT_TIMEOUT);
    }
  } catch (error) {
    // The command's own statuses are passed on, so ours must be told from them.
    fail(
      error,
      error instanceof UserError && error.status === EXIT_TIMEOUT ? EXIT_TIMEOUT : EXIT_INTERNAL,
    );
  }
  process.exitCode = status;
}
