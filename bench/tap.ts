/**
 * `npm run bench:tap`: the door to the real kernel. The real iperf3 and ping against softnet over TAP, and beside
 * it, in the same minute, the same between two namespaces of the kernel over veth and through slirp4netns where
 * that is installed. CUBIC is asked for on every side, and checked in what iperf3 reports. Then what a frame
 * costs softnet's processor, written by write(2) and by io_uring in turns (`--io-only`: nothing but that). Root only.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';

const { values } = parseArgs({
  options: {
    json: { type: 'string' },
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    'io-only': { type: 'boolean', default: false },
  },
});
const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PINGS = 1000;

interface Result {
  readonly name: string;
  /** Gbit/s, to the far end and back from it. */
  readonly up: number;
  readonly down: number;
  /** us; NaN where it cannot be measured. */
  readonly pingMedian: number;
  readonly pingP99: number;
}

interface Iperf {
  readonly error?: string;
  readonly end: {
    readonly sum_received: { readonly bits_per_second: number };
    readonly sender_tcp_congestion?: string;
  };
}

function run(command: string, ...args: readonly string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

const inside = (ns: string, command: string, ...args: readonly string[]): string =>
  run('ip', 'netns', 'exec', ns, command, ...args);

/** A process in a namespace that goes on, once it has printed `word`. */
function start(ns: string, word: string, ...command: readonly string[]): Promise<ChildProcess> {
  const child = spawn('ip', ['netns', 'exec', ns, ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: ROOT,
  });
  return new Promise((resolve, reject) => {
    let text = '';
    const look = (chunk: Buffer): void => {
      text += chunk.toString();
      if (text.includes(word)) resolve(child);
    };
    child.stdout.on('data', look);
    child.stderr.on('data', look);
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`${command[0]} ended: ${text}`)));
  });
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await gone;
}

/** Gbit/s that arrived. */
function iperf(ns: string, to: string, ...args: readonly string[]): number {
  const seconds = values.seconds;
  const text = inside(ns, 'iperf3', '-J', '-C', 'cubic', '-c', to, '-t', seconds, ...args);
  const { error, end } = JSON.parse(text) as Iperf;
  if (error !== undefined) throw new Error(`iperf3: ${error}`);
  if (end.sender_tcp_congestion !== 'cubic') {
    throw new Error(`the sender used ${end.sender_tcp_congestion}, not cubic`);
  }
  return end.sum_received.bits_per_second / 1e9;
}

function ping(ns: string, to: string): { pingMedian: number; pingP99: number } {
  const text = inside(ns, 'ping', '-c', String(PINGS), '-i', '0.002', to);
  const times = [...text.matchAll(/time=([\d.]+) ms/g)].map((match) => Number(match[1]) * 1000);
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.floor(times.length * share)] ?? Number.NaN;
  return { pingMedian: at(0.5), pingP99: at(0.99) };
}

async function softnet(ns: string): Promise<Result> {
  const tap = ['tap', '--exec', 'iperf3 -s'];
  const entry = ['--import', 'tsx', '--conditions=softnet-source', 'src/cli/main.ts'];
  const child = await start(ns, 'Server listening', process.execPath, ...entry, ...tap);
  try {
    const up = iperf(ns, '10.77.0.2');
    const down = iperf(ns, '10.77.0.2', '-R');
    return { name: 'softnet over TAP', up, down, ...ping(ns, '10.77.0.2') };
  } finally {
    await stop(child);
  }
}

async function veth(ns: string, far: string): Promise<Result> {
  inside(ns, 'ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1', 'netns', far);
  inside(ns, 'ip', 'addr', 'add', '10.78.0.1/24', 'dev', 'v0');
  inside(far, 'ip', 'addr', 'add', '10.78.0.2/24', 'dev', 'v1');
  inside(ns, 'ip', 'link', 'set', 'v0', 'up');
  inside(far, 'ip', 'link', 'set', 'v1', 'up');
  const server = await start(far, 'listening', 'iperf3', '-s', '--forceflush');
  try {
    const up = iperf(ns, '10.78.0.2');
    const down = iperf(ns, '10.78.0.2', '-R');
    return { name: "the kernel's veth", up, down, ...ping(ns, '10.78.0.2') };
  } finally {
    await stop(server);
  }
}

/** A namespace whose only way out is slirp4netns, to a server outside of it: its `up` only. */
async function slirp(host: string): Promise<Result> {
  const holder = await start(
    host,
    'ready',
    'unshare',
    '-n',
    'sh',
    '-c',
    'echo ready; exec sleep 600',
  );
  const pid = String(holder.pid);
  // What it prints to a pipe stays in its buffer; its device tells that it is there.
  const door = spawn('ip', [
    ...['netns', 'exec', host, 'slirp4netns', '--configure', '--mtu=1500', pid, 'tap0'],
  ]);
  for (
    let i = 0;
    i < 50 && !run('nsenter', '--target', pid, '--net', 'ip', 'addr').includes('10.0.2.');
    i++
  ) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const server = await start(host, 'listening', 'iperf3', '-s', '--forceflush');
  try {
    const enter = ['--target', pid, '--net', 'iperf3', '-J', '-C', 'cubic', '-c', '10.0.2.2'];
    const test = (...args: readonly string[]): number => {
      const text = run('nsenter', ...enter, '-t', values.seconds, ...args);
      return (JSON.parse(text) as Iperf).end.sum_received.bits_per_second / 1e9;
    };
    const up = test();
    const down = test('-R');
    return { name: 'slirp4netns', up, down, pingMedian: Number.NaN, pingP99: Number.NaN };
  } finally {
    await stop(server);
    await stop(door);
    await stop(holder);
  }
}

/** Processor time of a process's threads so far, ns. */
function cpuNs(pid: number): number {
  const tasks = readdirSync(`/proc/${pid}/task`);
  const spent = tasks.map((task) => readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8'));
  return spent.reduce((sum, text) => sum + Number(text.split(' ')[0]), 0);
}

/** Frames over softnet's interface so far, both directions. */
function framesOf(ns: string): number {
  const text = inside(ns, 'ip', '-j', '-s', 'link', 'show', 'softnet0');
  const [link] = JSON.parse(text) as { stats64: Record<'rx' | 'tx', { packets: number }> }[];
  return (link?.stats64.rx.packets ?? 0) + (link?.stats64.tx.packets ?? 0);
}

/** Where softnet sends: the names, and what is asked of iperf3. */
const IO_CASES: Readonly<Record<string, readonly string[]>> = {
  'TCP to softnet': ['-C', 'cubic'],
  'TCP from softnet': ['-C', 'cubic', '-R'],
  'datagrams of 64 bytes from softnet': ['-u', '-l', '64', '-b', '0', '-R'],
};

/** ns a frame costs softnet, by case and way of writing: the best of the rounds. */
async function writing(ns: string): Promise<Record<string, Record<string, number>>> {
  const best: Record<string, Record<string, number>> = {};
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const io of ['write', 'io_uring']) {
      const tap = ['tap', '--io', io, '--exec', 'iperf3 -s'];
      const entry = ['--import', 'tsx', '--conditions=softnet-source', 'src/cli/main.ts'];
      const child = await start(ns, 'Server listening', process.execPath, ...entry, ...tap);
      try {
        for (const [name, args] of Object.entries(IO_CASES)) {
          const [cpu, frames] = [cpuNs(child.pid ?? 0), framesOf(ns)];
          inside(ns, 'iperf3', '-J', '-c', '10.77.0.2', '-t', values.seconds, ...args);
          const cost = (cpuNs(child.pid ?? 0) - cpu) / (framesOf(ns) - frames);
          best[name] ??= {};
          best[name][io] = Math.min(best[name][io] ?? Number.POSITIVE_INFINITY, cost);
        }
      } finally {
        await stop(child);
      }
    }
  }
  return best;
}

function has(tool: string): boolean {
  try {
    run('sh', '-c', `command -v ${tool}`);
    return true;
  } catch {
    return false;
  }
}

if (process.getuid?.() !== 0 || !has('iperf3') || !has('ip')) {
  process.stderr.write('bench: this needs root, iproute2 and iperf3\n');
  process.exit(2);
}

const near = `softnet-bench-${process.pid}`;
const far = `${near}-far`;
for (const ns of [near, far]) {
  run('ip', 'netns', 'add', ns);
  inside(ns, 'ip', 'link', 'set', 'lo', 'up');
}
const results: Result[] = [];
let costs: Record<string, Record<string, number>> = {};
try {
  if (!values['io-only']) {
    results.push(await softnet(near));
    results.push(await veth(near, far));
  }
  costs = await writing(near);
  if (values['io-only']) process.stderr.write('bench: nothing but the ways of writing\n');
  else if (has('slirp4netns')) results.push(await slirp(far));
  else process.stderr.write('bench: slirp4netns is not installed and not compared\n');
} finally {
  for (const ns of [near, far]) run('ip', 'netns', 'del', ns);
}
const table = new Table({
  head: ['', 'there, Gbit/s', 'back, Gbit/s', 'ping median, us', 'ping p99, us'],
  style: { head: [], border: [] },
});
const us = (value: number): string => (Number.isNaN(value) ? '' : value.toFixed(0));
for (const { name, up, down, pingMedian, pingP99 } of results) {
  table.push([name, up.toFixed(1), down.toFixed(1), us(pingMedian), us(pingP99)]);
}
process.stdout.write(`${table.toString()}\n`);
const perFrame = new Table({
  head: ['CPU a frame, ns', 'write', 'io_uring', 'write / io_uring'],
  style: { head: [], border: [] },
});
for (const [name, { write = Number.NaN, io_uring: ring = Number.NaN }] of Object.entries(costs)) {
  perFrame.push([name, write.toFixed(0), ring.toFixed(0), (write / ring).toFixed(2)]);
}
process.stdout.write(`${perFrame.toString()}\n`);
if (values.json !== undefined) {
  writeFileSync(values.json, `${JSON.stringify({ results, costs }, null, 2)}\n`);
}
