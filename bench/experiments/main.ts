/**
 * `npm run experiments [-- NAME...]`: runs published experiments in virtual time, each in a process of its
 * own, and writes its plots and figures. Status 1 when a figure lies where it should not.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean', default: false }, only: { type: 'string' } },
});
const FOLDER = new URL('plots/', import.meta.url).pathname;

/** In a process of its own: the packet memory's size is fixed before the first import. */
async function runOne(name: string): Promise<boolean> {
  // Names and sizes without the kernel: this comes before its first import.
  if (name === 'bbr-loss') {
    Object.assign(globalThis, { softnetConfig: { arenaBytes: 2 ** 31 - 2 ** 16 } });
  }
  const { EXPERIMENTS } = await import('./all.ts');
  const { passes } = await import('./experiment.ts');
  const { svgOf } = await import('./svg.ts');
  const experiment = EXPERIMENTS.find((known) => known.name === name);
  if (experiment === undefined) {
    const names = EXPERIMENTS.map((known) => known.name).join(', ');
    process.stderr.write(`there is no experiment '${name}'; there are ${names}\n`);
    return false;
  }
  process.stdout.write(`${experiment.title}\n`);
  const { checks, figures, plots } = await experiment.run(values.quick);
  for (const check of checks) {
    const mark = passes(check) ? 'ok    ' : 'FAILED';
    const value = Number(check.value.toPrecision(5));
    const [from, to] = [check.from, check.to].map((x) => Number(x.toPrecision(4)));
    process.stdout.write(`  ${mark} ${check.name}: ${value} (${from} to ${to})\n`);
  }
  if (!values.quick) {
    mkdirSync(FOLDER, { recursive: true });
    const text = JSON.stringify({ name, title: experiment.title, checks, ...figures }, null, 1);
    writeFileSync(`${FOLDER}${name}.json`, `${text}\n`);
    for (const [file, plot] of Object.entries(plots)) {
      writeFileSync(`${FOLDER}${file}.svg`, svgOf(plot));
    }
  }
  return checks.every(passes);
}

if (values.only !== undefined) {
  process.exitCode = (await runOne(values.only)) ? 0 : 1;
} else {
  const all = ['reno-window', 'cubic-window', 'cubic-codel', 'dctcp', 'bbr-loss', 'fast-path'];
  const names = positionals.length > 0 ? positionals : all;
  for (const name of names) {
    const args = ['--import', 'tsx', '--conditions=softnet-source', fileURLToPath(import.meta.url)];
    if (values.quick) args.push('--quick');
    const { status } = spawnSync(process.execPath, [...args, '--only', name], { stdio: 'inherit' });
    if (status !== 0) process.exitCode = 1;
  }
}
