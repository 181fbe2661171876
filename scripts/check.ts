/**
 * `npm run check`: format, lint, the type-checker's projects, the house rules, the generated documents and
 * the tests. Every step runs, whatever the ones before it said. `--no-tests` leaves the tests out.
 */
import { spawnSync } from 'node:child_process';
import { argv, execPath, stdout } from 'node:process';
import { fileURLToPath } from 'node:url';

interface Step {
  readonly name: string;
  /** Path of a script below node_modules or scripts, then its arguments. */
  readonly command: readonly string[];
}

const root = fileURLToPath(new URL('..', import.meta.url));

const BIOME = 'node_modules/@biomejs/biome/bin/biome';
const TSC = 'node_modules/typescript/bin/tsc';
const TSX = 'node_modules/tsx/dist/cli.mjs';
const VITEST = 'node_modules/vitest/vitest.mjs';

/** Biome colours its output even into a pipe. */
const plain = stdout.isTTY ? [] : ['--colors=off'];

const steps: Step[] = [
  { name: 'format and lint', command: [BIOME, 'ci', ...plain, '--error-on-warnings', '.'] },
  { name: 'types: everything', command: [TSC, '-p', 'tsconfig.json'] },
  { name: 'types: kernel, without any host', command: [TSC, '-p', 'tsconfig.kernel.json'] },
  { name: 'types: Node, without the DOM', command: [TSC, '-p', 'tsconfig.host.json'] },
  { name: 'types: browser, without Node', command: [TSC, '-p', 'tsconfig.web.json'] },
  { name: 'types: explorer', command: [TSC, '-p', 'explorer/tsconfig.json'] },
  { name: 'house rules', command: [TSX, 'scripts/tidy.ts'] },
  { name: 'generated documents', command: [TSX, 'scripts/kernel-map.ts', '--check'] },
];
if (!argv.includes('--no-tests')) steps.push({ name: 'tests', command: [VITEST, 'run'] });

const failed: string[] = [];
for (const { name, command } of steps) {
  stdout.write(`\n== ${name}\n`);
  const startMs = performance.now();
  const { status } = spawnSync(execPath, [...command], { cwd: root, stdio: 'inherit' });
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  stdout.write(`${status === 0 ? 'ok' : 'FAILED'} ${name} (${seconds} s)\n`);
  if (status !== 0) failed.push(name);
}

stdout.write(`\ncheck: ${steps.length - failed.length} steps passed, ${failed.length} failed`);
stdout.write(failed.length === 0 ? '\n' : `: ${failed.join('; ')}\n`);
process.exitCode = failed.length === 0 ? 0 : 1;
