/**
 * What npm runs at the end of an install in a clone: builds dist/. Plain JavaScript, and silent without
 * development packages, because `npx softnet` before the first `npm ci` comes here too, and a failure would
 * leave npx with a broken cache.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { execPath } from 'node:process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const tsx = fileURLToPath(new URL('../node_modules/tsx/dist/cli.mjs', import.meta.url));

if (existsSync(tsx)) {
  const { status } = spawnSync(execPath, [tsx, 'scripts/build.ts', '--if-stale'], {
    cwd: root,
    stdio: 'inherit',
  });
  process.exitCode = status ?? 1;
}
