/** `npm run bench`: every case in a process of its own, its peers beside it in the same run, one table. */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { link } from '../scripts/link.ts';
import { CASES, type Case } from './cases.ts';
import { appendHistory, type Result } from './history.ts';
import type { Figure } from './measure.ts';

/** What a peer exits with when something that it needs is missing. */
const SKIPPED = 3;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'string' },
    node: { type: 'string' },
    profile: { type: 'string' },
    history: { type: 'boolean' },
  },
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
const root = fileURLToPath(new URL('..', import.meta.url));
/** Where the cases are put, linked as the package is: profiles refer to what lies there. */
const linked = join(root, 'out', 'bench');

/** Puts the cases of softnet where a plain Node can run them. */
async function linkCases(): Promise<void> {
  const files = new Set(wanted.map(({ file }) => file).filter((file) => file.startsWith('cases/')));
  const entries = [...files].map((file) => [file.slice(0, -'.ts'.length), join(here, file)]);
  rmSync(linked, { recursive: true, force: true });
  if (files.size > 0) await link(root, Object.fromEntries(entries), linked);
}

/** What Node is started with for a case: peers are run from where they lie. */
function command({ file, args }: Case): string[] {
  return file.startsWith('cases/')
    ? ['--expose-gc', join(linked, file.replace(/\.ts$/, '.js')), ...args]
    : ['--expose-gc', '--import', 'tsx', '--conditions=softnet-source', `${here}${file}`, ...args];
}

/** Runs one case; its figure, or why there is none. */
function run(one: Case): Figure | string {
  const { group, name } = one;
  const env = { ...process.env };
  if (values.profile !== undefined) {
    const place = `${values.profile}/${`${group} ${name}`.replace(/\W+/g, '-')}.cpuprofile`;
    env['SOFTNET_BENCH_PROFILE'] = place;
  }
  const result = spawnSync(node, command(one), { encoding: 'utf8', env, cwd: root });
  if (result.status === 0) return JSON.parse(result.stdout) as Figure;
  const last = result.stderr.trim().split('\n').at(-1) ?? '';
  if (result.status === SKIPPED) return last;
  process.stderr.write(result.stderr);
  process.exitCode = 1;
  return 'failed';
}

const results: Result[] = [];

/** How many times the rate of a peer of the group this is. */
function ratio(group: string, peer: string, rate: number): string {
  const other = results.find((result) => result.group === group && result.name.startsWith(peer));
  return other === undefined ? '' : `${(rate / other.perCpuSecond).toFixed(2)} x`;
}

const table = new Table({
  head: ['', '', 'a CPU second', 'a wall second', 'to Linux', 'to Node', ''],
  style: { head: [], border: [] },
});
await linkCases();
for (const one of wanted) {
  const { group, name, show } = one;
  process.stderr.write(`${group}: ${name} ...\n`);
  const figure = run(one);
  if (typeof figure === 'string') {
    table.push([group, name, figure, '', '', '', '']);
    continue;
  }
  const perCpuSecond = figure.count / figure.cpuSeconds;
  const extra = Object.entries(figure.extra ?? {}).map(
    ([key, value]) => `${key} ${Math.round(value)}`,
  );
  table.push([
    group,
    name,
    show === null ? '' : show(perCpuSecond),
    show === null ? '' : show(figure.count / figure.wallSeconds),
    show === null ? '' : ratio(group, 'Linux', perCpuSecond),
    show === null ? '' : ratio(group, "Node's", perCpuSecond),
    extra.join(', '),
  ]);
  results.push({ group, name, ...figure, perCpuSecond });
}
process.stdout.write(`${table.toString()}\n`);
const machine = { cpu: cpus()[0]?.model ?? '', cpus: cpus().length, node: process.version };
if (values.json !== undefined) {
  writeFileSync(values.json, `${JSON.stringify({ machine, results }, null, 2)}\n`);
}
if (values.history === true) {
  const { version } = JSON.parse(readFileSync(`${here}../package.json`, 'utf8')) as {
    version: string;
  };
  appendHistory(`${here}history.json`, `${here}history.svg`, { version, machine, results });
}
