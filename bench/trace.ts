/**
 * What tracing costs: bulk data over veth in a build without any tracepoint, in the usual one with nobody
 * listening, and with a recording; and the same with the function tracer woven in. Each bundle runs several
 * times in turn, and the median of each counts.
 *
 *     tsx --conditions=softnet-source bench/trace.ts [ROUNDS]
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { argv, execPath, exit, stderr, stdout } from 'node:process';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';
import type { Plugin } from 'rolldown';
import { link } from '../scripts/link.ts';
import { isTraced, weave } from '../scripts/weave/weave.ts';
import type { Figure } from './measure.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, 'out', 'bench-trace');

/** Takes the calls of tracepoints out: `if (tracepointKey.enabled) x.probe?.(…);` and their like. */
function strip(text: string): string {
  return text.replaceAll('tracepointKey.enabled', 'false');
}

/** Changes the code of src/ on its way into a bundle. */
function transform(name: string, change: (path: string, text: string) => string): Plugin {
  return {
    name,
    load(id) {
      const path = relative(root, id);
      if (!path.startsWith('src/') || !path.endsWith('.ts')) return null;
      return change(path, readFileSync(id, 'utf8'));
    },
  };
}

/** Links the case as the package is linked; esbuild's `var` would hide what is constant. */
async function bundle(name: string, plugins: Plugin[]): Promise<string> {
  await link(
    root,
    { trace_bulk: join(root, 'bench/cases/trace_bulk.ts') },
    join(folder, name),
    plugins,
  );
  return join(folder, name, 'trace_bulk.js');
}

interface Row {
  readonly what: string;
  readonly file: string;
  readonly mode: string;
  /** Bytes a CPU second, one for each round. */
  readonly rates: number[];
}

function run(row: Row): void {
  const { status, stdout: out } = spawnSync(execPath, ['--expose-gc', row.file, row.mode], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: root,
  });
  if (status !== 0) throw new Error(`${row.what} failed`);
  const figure = JSON.parse(out) as Figure;
  row.rates.push(figure.count / figure.cpuSeconds);
}

/** The value below which the part `q` of `values` lies. */
function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const below = sorted[Math.floor(at)] as number;
  const above = sorted[Math.ceil(at)] as number;
  return below + (above - below) * (at - Math.floor(at));
}

const rounds = Number(argv[2] ?? '15');
if (!(rounds >= 1)) {
  stderr.write('bench: how many rounds?\n');
  exit(2);
}
try {
  const bare = await bundle('bare', [transform('strip', (_path, text) => strip(text))]);
  const usual = await bundle('usual', []);
  const woven = await bundle('woven', [
    transform('weave', (path, text) => (isTraced(path) ? (weave(path, text)?.code ?? text) : text)),
  ]);
  const rows: Row[] = [
    { what: 'no tracepoints in the code', file: bare, mode: 'off', rates: [] },
    { what: 'tracepoints, nobody listens', file: usual, mode: 'off', rates: [] },
    { what: 'packets are recorded', file: usual, mode: 'on', rates: [] },
    { what: 'woven, nobody listens', file: woven, mode: 'off', rates: [] },
    { what: 'woven, packets and functions recorded', file: woven, mode: 'functions', rates: [] },
  ];
  for (let round = 0; round < rounds; round++) {
    stderr.write(`round ${round + 1} of ${rounds} ...\n`);
    // Each begins a round as often as any other.
    for (let i = 0; i < rows.length; i++) run(rows[(round + i) % rows.length] as Row);
  }
  const table = new Table({
    head: ['', 'median, a CPU second', 'half of the rounds within', 'cost'],
    style: { head: [], border: [] },
  });
  const base = quantile((rows[0] as Row).rates, 0.5);
  const gbit = (bytes: number): string => ((bytes * 8) / 1e9).toFixed(2);
  for (const { what, rates } of rows) {
    const median = quantile(rates, 0.5);
    table.push([
      what,
      `${gbit(median)} Gbit/s`,
      `${gbit(quantile(rates, 0.25))} to ${gbit(quantile(rates, 0.75))}`,
      `${((1 - median / base) * 100).toFixed(1)} %`,
    ]);
  }
  stdout.write(`${table.toString()}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
