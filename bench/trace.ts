/**
 * What tracing costs: bulk data over veth in a build without any tracepoint, in the usual one with nobody
 * listening, and with a recording; and the same with the function tracer woven in. Each bundle runs several
 * times in turn, and the best of each counts, since others use the machine too.
 *
 *     tsx --conditions=source bench/trace.ts [ROUNDS]
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { argv, execPath, exit, stderr, stdout } from 'node:process';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';
import { build, type Plugin } from 'esbuild';
import { isTraced, weave } from '../scripts/weave/weave.ts';
import type { Figure } from './measure.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'softnet-bench-trace-'));

/** Takes the calls of tracepoints out: `if (x.probe !== null) x.probe(…);` and their like. */
function strip(text: string): string {
  return text.replace(/if \([\w.]+\.probe !== null\)/g, 'if (false)');
}

function transform(name: string, change: (path: string, text: string) => string): Plugin {
  return {
    name,
    setup(esbuild) {
      esbuild.onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => ({
        contents: change(relative(root, path), readFileSync(path, 'utf8')),
        loader: 'ts',
      }));
    },
  };
}

async function bundle(name: string, plugins: Plugin[]): Promise<string> {
  const outfile = join(folder, `${name}.mjs`);
  await build({
    entryPoints: [join(root, 'bench/cases/trace_bulk.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    conditions: ['source'],
    external: ['yaml', 'koffi'],
    minifySyntax: true,
    plugins,
    logLevel: 'error',
  });
  return outfile;
}

interface Row {
  readonly what: string;
  readonly file: string;
  readonly mode: string;
  best: number;
}

function run(row: Row): void {
  const { status, stdout: out } = spawnSync(execPath, ['--expose-gc', row.file, row.mode], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: root,
  });
  if (status !== 0) throw new Error(`${row.what} failed`);
  const figure = JSON.parse(out) as Figure;
  row.best = Math.max(row.best, figure.count / figure.cpuSeconds);
}

const rounds = Number(argv[2] ?? '10');
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
    { what: 'no tracepoints in the code', file: bare, mode: 'off', best: 0 },
    { what: 'tracepoints, nobody listens', file: usual, mode: 'off', best: 0 },
    { what: 'packets are recorded', file: usual, mode: 'on', best: 0 },
    { what: 'woven, nobody listens', file: woven, mode: 'off', best: 0 },
    { what: 'woven, packets and functions recorded', file: woven, mode: 'functions', best: 0 },
  ];
  for (let round = 1; round <= rounds; round++) {
    stderr.write(`round ${round} of ${rounds} ...\n`);
    for (const row of rows) run(row);
  }
  const table = new Table({ head: ['', 'a CPU second', 'cost'], style: { head: [], border: [] } });
  const base = (rows[0] as Row).best;
  for (const { what, best } of rows) {
    const cost = `${((1 - best / base) * 100).toFixed(1)} %`;
    table.push([what, `${((best * 8) / 1e9).toFixed(2)} Gbit/s`, cost]);
  }
  stdout.write(`${table.toString()}\n`);
} finally {
  rmSync(folder, { recursive: true });
}
