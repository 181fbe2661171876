/**
 * The kernel of this machine, both ends on one core: `bulk`, `rr`, `connect` or `udp`, over `veth`,
 * `veth-mtu` (segmentation and receive offloads off) or `lo`, in namespaces of its own. Bulk is
 * iperf3's, CUBIC at both ends, by the processor time that iperf3 says it took; the rest is
 * kernel_peer.c's. Exits with 3 and a word where something that it needs is missing.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Figure, MEASURE_SECONDS, report } from '../measure.ts';

const SKIPPED = 3;
const [mode = 'bulk', link = 'veth'] = process.argv.slice(2);
const nsA = `snbench${process.pid}a`;
const nsB = `snbench${process.pid}b`;
const address = link === 'lo' ? '127.0.0.1' : '10.99.0.2';

function skip(why: string): never {
  process.stderr.write(`skipped: ${why}\n`);
  process.exit(SKIPPED);
}

function run(command: string): string {
  const [file = '', ...args] = command.split(' ');
  const result = spawnSync(file, args, { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`${command}: ${result.stderr || result.stdout}`);
  return result.stdout;
}

const has = (tool: string): boolean => spawnSync('which', [tool]).status === 0;

function setUp(): void {
  run(`ip netns add ${nsA}`);
  run(`ip netns add ${nsB}`);
  run(`ip -n ${nsA} link set lo up`);
  run(`ip -n ${nsA} link add v0 type veth peer name v1 netns ${nsB}`);
  run(`ip -n ${nsA} addr add 10.99.0.1/24 dev v0`);
  run(`ip -n ${nsB} addr add 10.99.0.2/24 dev v1`);
  run(`ip -n ${nsA} link set v0 up`);
  run(`ip -n ${nsB} link set v1 up`);
  if (link !== 'veth-mtu') return;
  if (!has('ethtool')) skip('there is no ethtool');
  run(`ip netns exec ${nsA} ethtool -K v0 tso off gso off gro off`);
  run(`ip netns exec ${nsB} ethtool -K v1 tso off gso off gro off`);
}

interface Iperf3 {
  readonly end: {
    readonly sum_received: { readonly bytes: number; readonly seconds: number };
    readonly cpu_utilization_percent: {
      readonly host_total: number;
      readonly remote_total: number;
    };
    readonly sender_tcp_congestion: string;
    readonly receiver_tcp_congestion: string;
  };
}

async function bulk(): Promise<Figure> {
  if (!has('iperf3')) skip('there is no iperf3');
  const server = link === 'lo' ? nsA : nsB;
  const core = ['taskset', '-c', '0'];
  const daemon = spawn(
    'ip',
    ['netns', 'exec', server, ...core, 'iperf3', '-s', '-1', '--forceflush'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  await new Promise((resolve) => daemon.stdout.once('data', resolve));
  const seconds = Math.max(2, Math.round(MEASURE_SECONDS));
  const client = `ip netns exec ${nsA} taskset -c 0 iperf3 -c ${address} -C cubic -O 1 -t ${seconds} -J`;
  const result = JSON.parse(run(client)) as Iperf3;
  await new Promise((resolve) => daemon.once('exit', resolve));
  const { end } = result;
  if (end.sender_tcp_congestion !== 'cubic') {
    throw new Error(`the sender used ${end.sender_tcp_congestion}`);
  }
  const { bytes, seconds: wallSeconds } = end.sum_received;
  const { host_total: host, remote_total: remote } = end.cpu_utilization_percent;
  return {
    unit: 'bytes',
    count: bytes,
    cpuSeconds: (wallSeconds * (host + remote)) / 100,
    wallSeconds,
  };
}

function small(): Figure {
  if (!has('cc')) skip('there is no C compiler');
  const folder = mkdtempSync(join(tmpdir(), 'softnet-bench-'));
  try {
    const source = fileURLToPath(new URL('kernel_peer.c', import.meta.url));
    run(`cc -O2 -o ${folder}/peer ${source}`);
    const other = link === 'lo' ? '' : ` ${nsB}`;
    const command = `ip netns exec ${nsA} taskset -c 0 ${folder}/peer ${mode} ${address} ${MEASURE_SECONDS}${other}`;
    return JSON.parse(run(command)) as Figure;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (process.getuid?.() !== 0) skip('namespaces need root');
if (!has('ip')) skip('there is no iproute2');
try {
  setUp();
  report(mode === 'bulk' ? await bulk() : small());
} finally {
  spawnSync('ip', ['netns', 'del', nsA]);
  spawnSync('ip', ['netns', 'del', nsB]);
}
