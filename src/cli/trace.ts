/** `softnet trace`: runs a topology, or the demo's, and tells what became of its packets. */
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { demoTopology } from '#cli/demo.ts';
import { fileProblem, UsageError, UserError } from '#cli/errors.ts';
import { Lab } from '#cli/lab.ts';
import { painter, passTo } from '#cli/output.ts';
import { readTopology } from '#cli/topology_file.ts';
import { turn } from '#cli/turn.ts';
import { recordWorld } from '#sim/record_world.ts';
import { parseTopology } from '#sim/topology.ts';
import { TracePcapng } from '#sim/trace_pcapng.ts';
import { dropLedger, lossLedger } from '#trace/drops.ts';
import { compileFilter, FilterError } from '#trace/filter.ts';
import { jsonStep } from '#trace/format_json.ts';
import { isLoss, pwruHead, pwruLine, reportLine, snapshotLines } from '#trace/format_text.ts';
import { ftraceHook, stopFunctions, traceFunctions } from '#trace/ftrace.ts';
import { PerfettoWriter } from '#trace/perfetto.ts';
import { journey } from '#trace/query.ts';
import type { Step } from '#trace/record.ts';
import type { Recorder } from '#trace/recorder.ts';
import { packetsMatching, selectSteps, withRelatives } from '#trace/select.ts';
import { dropReasonName, isDropReasonName } from '#uapi/net_dropreason.ts';
import { download } from '#user/http/download.ts';
import type { Process } from '#user/lib/process.ts';

export interface TraceOptions {
  readonly demo?: boolean;
  readonly filter?: string;
  readonly format: string;
  readonly output?: string;
  readonly machine: readonly string[];
  readonly packet?: number;
  readonly reason?: string;
  readonly functions?: boolean;
  readonly bytes?: boolean;
  readonly all?: boolean;
  readonly drops?: boolean;
  readonly limit: number;
  readonly until?: number;
  readonly memory: number;
  readonly seed: string;
}

export const TRACE_FORMATS: readonly string[] = ['pwru', 'report', 'json', 'perfetto', 'pcapng'];

const DEFAULT_UNTIL_NS = 3600e9;
/** What the demo downloads when it is traced: enough for a lost packet or two. */
const DEMO_BYTES = 200_000;
const DEMO_LOSS = 0.01;

/** Starts the command again with the woven modules, where functions tell of themselves. */
function respawnWoven(): number {
  const main = fileURLToPath(new URL('../../woven/cli/main.js', import.meta.url));
  if (!existsSync(main)) {
    throw new UserError('functions are traced in the woven build: run `npm run build` first');
  }
  const args = ['--conditions=woven', main, ...process.argv.slice(2)];
  const { status, signal } = spawnSync(process.execPath, args, { stdio: 'inherit' });
  return status ?? (signal === null ? 1 : 128);
}

/** Where the trace goes: a file, or standard output. */
class TraceOutput {
  private readonly fd: number;
  private readonly path: string | null;
  private text: string;

  constructor(path: string | undefined) {
    this.path = path ?? null;
    this.text = '';
    try {
      this.fd = path === undefined ? 1 : openSync(path, 'w');
    } catch (error) {
      throw new UsageError(`cannot write ${path}: ${fileProblem(error)}`);
    }
  }

  readonly write = (bytes: Uint8Array): void => {
    for (let at = 0; at < bytes.length; ) {
      try {
        at += writeSync(this.fd, bytes, at);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'EPIPE') process.exit(128 + 13);
        if (code !== 'EAGAIN') throw new UserError(`cannot write: ${fileProblem(error)}`);
      }
    }
  };

  line(text: string): void {
    this.text += `${text}\n`;
    if (this.text.length > 1 << 16) this.flush();
  }

  private flush(): void {
    this.write(Buffer.from(this.text));
    this.text = '';
  }

  close(): void {
    this.flush();
    if (this.path !== null) closeSync(this.fd);
  }
}

/** Boots the world, records it and runs it to its end. */
async function record(
  path: string | undefined,
  options: TraceOptions,
): Promise<{ lab: Lab; recorder: Recorder }> {
  const untilNs = options.until ?? DEFAULT_UNTIL_NS;
  const { reason } = options;
  if (reason !== undefined && !isDropReasonName(reason.toUpperCase())) {
    throw new UsageError(
      `--reason: there is no drop reason '${reason}'; --drops shows those that occur`,
    );
  }
  const spec =
    path === undefined ? parseTopology(demoTopology(DEMO_LOSS)) : await readTopology(path);
  const lab = new Lab(spec, { seed: options.seed, turn });
  for (const name of options.machine) lab.machine(name);
  const recorder = recordWorld(lab.world, {
    bytes: options.memory,
    verbose: options.all === true,
  });
  if (options.functions === true) traceFunctions(recorder);
  await lab.setUp(() => ({}), { untilNs });
  if (path === undefined) {
    await lab.world.runPrograms({ untilNs: lab.world.nowNs + 1e6 });
    const get = async (p: Process): Promise<number> => {
      await download(p, `http://10.0.2.2/bytes/${DEMO_BYTES}`);
      return 0;
    };
    await lab.run('client', get, ['download'], { stderr: passTo(2) }, { untilNs });
  } else {
    await lab.finish({ untilNs });
  }
  const live = lab.world.halt();
  stopFunctions();
  recorder.detach();
  if (Object.keys(live).length > 0) {
    throw new UserError(`something was lost at the end: ${JSON.stringify(live)}`);
  }
  return { lab, recorder };
}

function wantedPackets(recorder: Recorder, options: TraceOptions): ReadonlySet<number> | null {
  const { filter, reason } = options;
  let packets: ReadonlySet<number> | null = null;
  if (filter !== undefined) packets = packetsMatching(recorder, compile(filter));
  if (reason === undefined) return packets;
  const dropped = new Set<number>();
  for (let n = recorder.packets.first; n < recorder.packets.next; n++) {
    const info = recorder.packet(n);
    if (info !== null && dropReasonName(info.reason) === reason.toUpperCase()) dropped.add(n);
  }
  const related = withRelatives(recorder, dropped);
  return packets === null ? related : new Set([...related].filter((n) => packets.has(n)));
}

function compile(filter: string): ReturnType<typeof compileFilter> {
  try {
    return compileFilter(filter);
  } catch (error) {
    if (error instanceof FilterError) throw new UsageError(`--filter: ${error.message}`);
    throw error;
  }
}

function wantedSteps(recorder: Recorder, options: TraceOptions): Iterable<Step> {
  if (options.packet !== undefined) {
    const path = journey(recorder, options.packet);
    if (path.length === 0) throw new UserError(`there is no packet ${options.packet}`);
    return path.slice(0, options.limit);
  }
  return selectSteps(recorder, {
    packets: wantedPackets(recorder, options),
    machines: options.machine,
    rest: options.all === true || options.format === 'perfetto',
    limit: options.limit,
  });
}

/** How each step is written. */
function writerFor(
  lab: Lab,
  recorder: Recorder,
  options: TraceOptions,
  out: TraceOutput,
): (step: Step) => void {
  const paint = painter(process.stdout);
  const colour = options.output === undefined;
  const text = (step: Step, line: string): void => {
    out.line(colour && isLoss(step) ? paint('red', line) : line);
    if (options.bytes === true) for (const row of snapshotLines(step)) out.line(`        ${row}`);
  };
  switch (options.format) {
    case 'json':
      return (step) => out.line(JSON.stringify(jsonStep(recorder, step)));
    case 'report':
      return (step) => text(step, reportLine(recorder, step));
    case 'perfetto': {
      const writer = new PerfettoWriter(recorder, out.write);
      return (step) => writer.add(step);
    }
    case 'pcapng': {
      const writer = new TracePcapng(recorder, out.write, lab.world.epochSec);
      return (step) => writer.add(step);
    }
    default:
      out.line(colour ? paint('bold', pwruHead()) : pwruHead());
      return (step) => text(step, pwruLine(recorder, step));
  }
}

/** The drops, most frequent first, each with what to do about it. */
function printLedger(recorder: Recorder, options: TraceOptions, out: TraceOutput): void {
  const entries = dropLedger(recorder).filter(
    ({ machine }) => options.machine.length === 0 || options.machine.includes(machine),
  );
  const losses = lossLedger(recorder);
  if (options.format === 'json') {
    for (const entry of [...entries, ...losses]) out.line(JSON.stringify(entry));
    return;
  }
  if (entries.length + losses.length === 0) out.line('nothing was dropped');
  for (const { count, machine, name, location, packet, advice } of entries) {
    out.line(`${String(count).padStart(6)} ${machine.padEnd(10)} ${name} in ${location}`);
    out.line(`       ${advice.meaning} ${advice.text}`.trimEnd());
    if (advice.command !== '') out.line(`       try: ${advice.command}`);
    out.line(`       for one of them: --packet ${packet}`);
  }
  for (const { count, where, name, packet, advice } of losses) {
    out.line(`${String(count).padStart(6)} ${where}: ${name}`);
    out.line(`       ${advice.meaning} ${advice.text}`.trimEnd());
    out.line(`       for one of them: --packet ${packet}`);
  }
}

export async function runTrace(path: string | undefined, options: TraceOptions): Promise<void> {
  if (path === undefined && options.demo !== true) {
    throw new UsageError('which topology? A file, or --demo');
  }
  if (path !== undefined && options.demo === true)
    throw new UsageError('a file or --demo, not both');
  const binary = options.format === 'perfetto' || options.format === 'pcapng';
  if (binary && options.output === undefined && process.stdout.isTTY === true) {
    throw new UsageError(`${options.format} is for a file: say which with --output`);
  }
  // What is wrong with it shall be said before anything runs.
  if (options.filter !== undefined) compile(options.filter);
  if (options.functions === true && ftraceHook() === null) {
    process.exitCode = respawnWoven();
    return;
  }
  const { lab, recorder } = await record(path, options);
  const out = new TraceOutput(options.output);
  if (options.drops === true) printLedger(recorder, options, out);
  else {
    const write = writerFor(lab, recorder, options, out);
    for (const step of wantedSteps(recorder, options)) write(step);
  }
  out.close();
  const wrong = recorder.checkEnds();
  for (const sentence of wrong) process.stderr.write(`softnet: ${sentence}\n`);
  if (wrong.length > 0) process.exitCode = 1;
  if (recorder.firstSeq > 0) {
    process.stderr.write(
      `softnet: the first ${recorder.firstSeq} steps were overwritten; --memory keeps more\n`,
    );
  }
}
