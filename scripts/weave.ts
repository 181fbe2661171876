/**
 * Builds woven/ from src/: the same modules with the function tracer in them, for `softnet trace
 * --functions`. They are used under the condition `woven` of package.json's import map.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { argv, stdout } from 'node:process';
import { fileURLToPath } from 'node:url';
import { transformSync } from 'esbuild';
import { readTree } from './tidy/tree.ts';
import { isTraced, weave } from './weave/weave.ts';

/** Writes the woven modules of the tree at `root` to `out`; returns how many functions are traced. */
export function buildWoven(root: string, out: string): number {
  rmSync(out, { recursive: true, force: true });
  let count = 0;
  for (const { path } of readTree(root).sources) {
    if (!path.startsWith('src/') || path.endsWith('.test.ts') || path.includes('/testing/')) {
      continue;
    }
    const text = readFileSync(join(root, path), 'utf8');
    const woven = isTraced(path) ? weave(path, text) : null;
    count += woven?.functions.length ?? 0;
    const { code } = transformSync(woven?.code ?? text, {
      loader: 'ts',
      format: 'esm',
      target: 'es2023',
      tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
    });
    const file = join(out, path.slice('src/'.length).replace(/\.ts$/, '.js'));
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, code);
  }
  return count;
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const count = buildWoven(root, join(root, 'woven'));
  stdout.write(`weave: ${count} functions\n`);
}
