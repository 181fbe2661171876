/** `npm run bench`: every case in a process of its own, peers beside it, one table. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import type { Figure } from './measure.ts';

interface Case {
  readonly group: string;
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  /** Work a second for people. */
  readonly show: (rate: number) => string;
}

const gbit = (rate: number): string => `${((rate * 8) / 1e9).toFixed(2)} Gbit/s`;
const thousands = (rate: number): string => `${(rate / 1e3).toFixed(1)} k/s`;

const LINKS = ['lo', 'veth', 'e1000'] as const;
const CASES: readonly Case[] = [
  {
    group: 'bulk',
    name: "Node's loopback TCP",
    file: 'peers/node_loopback.ts',
    args: ['bulk'],
    show: gbit,
  },
  ...LINKS.map((link) => ({
    group: 'bulk',
    name: `softnet ${link}`,
    file: 'cases/bulk.ts',
    args: [link],
    show: gbit,
  })),
  {
    group: 'rr',
    name: "Node's loopback TCP",
    file: 'peers/node_loopback.ts',
    args: ['rr'],
    show: thousands,
  },
  ...LINKS.map((link) => ({
    group: 'rr',
    name: `softnet ${link}`,
    file: 'cases/rr.ts',
    args: [link],
    show: thousands,
  })),
  {
    group: 'connect',
    name: "Node's loopback TCP",
    file: 'peers/node_loopback.ts',
    args: ['connect'],
    show: thousands,
  },
  ...LINKS.map((link) => ({
    group: 'connect',
    name: `softnet ${link}`,
    file: 'cases/connect.ts',
    args: [link],
    show: thousands,
  })),
  {
    group: 'forward',
    name: 'softnet, 64-byte frames',
    file: 'cases/forward.ts',
    args: [],
    show: thousands,
  },
  {
    group: 'idle',
    name: 'softnet, an established socket',
    file: 'cases/idle.ts',
    args: [],
    show: thousands,
  },
  {
    group: 'events',
    name: "softnet's scheduler",
    file: 'cases/events.ts',
    args: [],
    show: thousands,
  },
];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'string' }, node: { type: 'string' } },
});
const groups = new Set(CASES.map(({ group }) => group));
for (const group of positionals) {
  if (!groups.has(group)) {
    process.stderr.write(`bench: there is no '${group}'; there are ${[...groups].join(', ')}\n`);
    process.exit(2);
  }
}
const wanted = CASES.filter(({ group }) => positionals.length === 0 || positionals.includes(group));
const node = values.node ?? process.execPath;
const here = fileURLToPath(new URL('.', import.meta.url));

interface Result extends Figure {
  readonly group: string;
  readonly name: string;
  /** Work a second of processor time. */
  readonly perCpuSecond: number;
}

const results: Result[] = [];
const table = new Table({
  head: ['', '', 'a CPU second', 'a wall second', 'to the peer', ''],
  style: { head: [], border: [] },
});
for (const { group, name, file, args, show } of wanted) {
  process.stderr.write(`${group}: ${name} ...\n`);
  const run = spawnSync(
    node,
    ['--expose-gc', '--import', 'tsx', '--conditions=source', `${here}${file}`, ...args],
    {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd: fileURLToPath(new URL('..', import.meta.url)),
    },
  );
  if (run.status !== 0) {
    table.push([group, name, 'failed', '', '', '']);
    process.exitCode = 1;
    continue;
  }
  const figure = JSON.parse(run.stdout) as Figure;
  const perCpuSecond = figure.count / figure.cpuSeconds;
  const peer = results.find((result) => result.group === group && result.name.startsWith('Node'));
  results.push({ group, name, ...figure, perCpuSecond });
  const extra = Object.entries(figure.extra ?? {}).map(
    ([key, value]) => `${key} ${Math.round(value)}`,
  );
  table.push([
    group,
    name,
    show(perCpuSecond),
    show(figure.count / figure.wallSeconds),
    peer === undefined ? '' : `${(perCpuSecond / peer.perCpuSecond).toFixed(2)} x`,
    extra.join(', '),
  ]);
}
process.stdout.write(`${table.toString()}\n`);
if (values.json !== undefined) {
  const machine = { cpu: cpus()[0]?.model ?? '', cpus: cpus().length, node: process.version };
  writeFileSync(values.json, `${JSON.stringify({ machine, results }, null, 2)}\n`);
}
