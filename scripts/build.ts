/**
 * Builds dist/ from src/: declarations, the modules linked into one for Node, and dist/modules, which plain tsc
 * makes, for bundlers; woven/, the modules with the function tracer; and dist/explorer with Vite. `--if-stale`
 * does nothing when every output is newer than every input, so `npm start` pays for a build once.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { argv, exit } from 'node:process';
import { fileURLToPath } from 'node:url';
import { isLinked, link, modulesOf } from './link.ts';
import { buildWoven } from './weave.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');
const stamp = join(dist, '.built');

/** Newest modification time in milliseconds of a file or of everything under a folder. */
function newestMs(path: string): number {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  let newest = stat.mtimeMs;
  for (const name of readdirSync(path)) newest = Math.max(newest, newestMs(join(path, name)));
  return newest;
}

function isStale(): boolean {
  if (!existsSync(stamp)) return true;
  const built = statSync(stamp).mtimeMs;
  const inputs = [
    'src',
    'scripts/weave',
    'explorer',
    'docs/lessons',
    'scripts/build-explorer.ts',
    'scripts/link.ts',
    'scripts/explorer-sources.ts',
    'package.json',
    'tsconfig.base.json',
    'tsconfig.json',
    'tsconfig.build.json',
  ];
  return inputs.some((input) => newestMs(join(root, input)) > built);
}

async function build(): Promise<number> {
  rmSync(dist, { recursive: true, force: true });
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const { status } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
    cwd: root,
    stdio: 'inherit',
  });
  if (status !== 0) return status ?? 1;
  // Doors and commands stay modules: they find files by where they lie themselves.
  cpSync(join(dist, 'modules'), dist, {
    recursive: true,
    filter: (file) => !isLinked(file.replace(join(dist, 'modules'), 'src')),
  });
  await link(root, modulesOf(root), dist);
  buildWoven(root, join(root, 'woven'));
  // Only now: Vite takes a while to load, which a start that finds nothing to build need not wait for.
  const { buildExplorer } = await import('./build-explorer.ts');
  await buildExplorer(false);
  writeFileSync(stamp, '');
  return 0;
}

if (argv.includes('--if-stale') && !isStale()) exit(0);
exit(await build());
