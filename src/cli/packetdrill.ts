/** `softnet packetdrill`: packet scripts against a machine in virtual time, or against the real kernel. */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileProblem, UsageError, UserError } from '#cli/errors.ts';
import { turn } from '#cli/turn.ts';
import { DEVICE } from '#packetdrill/backend.ts';
import { type Config, DEFAULT_CONFIG, withOption } from '#packetdrill/config.ts';
import { type Job, type Reply, runJobs } from '#packetdrill/kernel/pool.ts';
import { runScript } from '#packetdrill/main.ts';
import { formatFailure, formatSummary, type ScriptResult, toJson } from '#packetdrill/report.ts';
import { machineBackend } from '#packetdrill/testbed.ts';
import { DIRECTION_INBOUND, DIRECTION_OUTBOUND, LINKTYPE_RAW, PcapngWriter } from '#sim/pcapng.ts';

export interface PacketdrillOptions {
  readonly against: 'softnet' | 'kernel';
  readonly ipVersion: string;
  readonly verbose?: boolean;
  readonly json?: boolean;
  /** us; undefined: what suits the clock. */
  readonly tolerance?: number;
  readonly tolerancePercent: number;
  readonly define: readonly string[];
  readonly option: readonly string[];
  readonly seed: string;
  readonly jobs: number;
  readonly retries: number;
  readonly pcap?: string;
}

/**
 * us that times may be off by default: none in virtual time; in real time what packetdrill allows,
 * and a tick of a kernel with 250 of them a second.
 */
const DEFAULT_TOLERANCE_US = { softnet: 0, kernel: 8000 } as const;

/** Names of scripts that are for the other IP version end so. */
const OTHER_VERSION = 'v6.pkt';

/** A script, or those of a folder in order. `leftOut` gets the folder's scripts for another IP version. */
function findScripts(path: string, leftOut: string[]): string[] {
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return [path];
  return readdirSync(path, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const full = join(path, entry.name);
      if (entry.isDirectory()) return findScripts(full, leftOut);
      if (!entry.name.endsWith('.pkt')) return [];
      if (!entry.name.endsWith(OTHER_VERSION)) return [full];
      leftOut.push(full);
      return [];
    });
}

/** The settings of the command line. Throws UsageError. */
function configOf(options: PacketdrillOptions): Config {
  try {
    return applyOptions(options);
  } catch (error) {
    throw error instanceof RangeError ? new UsageError(error.message) : error;
  }
}

function applyOptions(options: PacketdrillOptions): Config {
  const tolerance = options.tolerance ?? DEFAULT_TOLERANCE_US[options.against];
  let config = withOption(DEFAULT_CONFIG, 'ip_version', options.ipVersion);
  config = withOption(config, 'tolerance_usecs', String(tolerance));
  config = withOption(config, 'tolerance_percent', String(options.tolerancePercent));
  for (const text of options.define) config = withOption(config, 'define', text);
  for (const text of options.option) {
    const [name = '', ...value] = text.split('=');
    config = withOption(config, name, value.join('='));
  }
  return config;
}

/** A file beside a script, as text; null when it cannot be read. */
function readBeside(folder: string): (path: string) => string | null {
  return (path) => {
    try {
      return readFileSync(resolve(folder, path), 'utf8');
    } catch {
      return null;
    }
  };
}

function readScript(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(`${path}: ${fileProblem(error)}`);
  }
}

/** Runs a script against a machine of its own. */
async function runOnMachine(job: Job, seed: string): Promise<Reply> {
  const packets: Reply['packets'][number][] = [];
  const machine = { seed, turn, readFile: readBeside(dirname(job.path)) };
  const result = await runScript(job.path, job.source, job.config, {
    makeBackend: machineBackend(machine),
    makeRecording: machineBackend({ ...machine, record: true }),
    log: job.verbose ? (line) => process.stdout.write(`${line}\n`) : null,
    capture: job.capture
      ? (timeNs, bytes, inbound) => packets.push({ timeNs, bytes, inbound })
      : null,
  });
  return { result, log: [], packets, stuck: false };
}

/** Where the capture of a script goes: the file named, or for several scripts a file in that folder. */
function captureFile(pcap: string, path: string, alone: boolean): string {
  return alone ? pcap : join(pcap, `${basename(path, '.pkt')}.pcapng`);
}

function writeCapture(file: string, { packets }: Reply): void {
  mkdirSync(dirname(file), { recursive: true });
  const blocks: Uint8Array[] = [];
  const writer = new PcapngWriter((block) => blocks.push(block));
  const interfaceId = writer.addInterface({ name: DEVICE, linktype: LINKTYPE_RAW });
  for (const { timeNs, bytes, inbound } of packets.toSorted((a, b) => a.timeNs - b.timeNs)) {
    const time = Math.max(0, Math.round(timeNs));
    writer.packet({
      interfaceId,
      sec: Math.floor(time / 1e9),
      nsec: time % 1e9,
      bytes,
      direction: inbound ? DIRECTION_INBOUND : DIRECTION_OUTBOUND,
    });
  }
  writeFileSync(file, Buffer.concat(blocks));
}

/** Runs all jobs; `done` gets replies in the order of the jobs. */
async function runAll(
  jobs: readonly Job[],
  options: PacketdrillOptions,
  done: (reply: Reply) => void,
): Promise<void> {
  if (options.against === 'softnet') {
    for (const job of jobs) done(await runOnMachine(job, options.seed));
    return;
  }
  const replies: (Reply | undefined)[] = [];
  let told = 0;
  await runJobs(jobs, options.jobs, options.retries, (index, reply) => {
    replies[index] = reply;
    for (let next = replies[told]; next !== undefined; next = replies[++told]) {
      for (const line of next.log) process.stdout.write(`${line}\n`);
      done(next);
    }
  });
}

export async function runPacketdrill(
  paths: readonly string[],
  options: PacketdrillOptions,
): Promise<void> {
  const config = configOf(options);
  const leftOut: string[] = [];
  const scripts = paths.flatMap((path) => findScripts(path, leftOut));
  for (const path of leftOut) process.stderr.write(`softnet: ${path}: left out, it is for IPv6\n`);
  if (scripts.length === 0) throw new UserError(`${paths.join(', ')}: no packet script to run`);
  const { pcap } = options;
  const jobs = scripts.map((path): Job => {
    const verbose = options.verbose === true;
    return { path, source: readScript(path), config, verbose, capture: pcap !== undefined };
  });
  const results: ScriptResult[] = [];
  await runAll(jobs, options, (reply) => {
    const { result } = reply;
    results.push(result);
    if (pcap !== undefined) {
      writeCapture(captureFile(pcap, result.path, jobs.length === 1), reply);
    }
    if (options.json === true) return;
    if (result.outcome !== 'passed') process.stdout.write(`${formatFailure(result)}\n`);
    else if (options.verbose === true) process.stdout.write(`${result.path}: passed\n`);
  });
  if (options.json === true) process.stdout.write(`${toJson(results)}\n`);
  else process.stdout.write(`${formatSummary(results)}\n`);
  process.exitCode = results.every(({ outcome }) => outcome === 'passed') ? 0 : 1;
}
