/**
 * Links modules into one, as a kernel's objects are: rolldown puts the stack and its programs into a single
 * scope. Decision 0018 says what that is worth.
 */
import { readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { type Plugin, rolldown } from 'rolldown';

/** Folders of src/ that are linked: everything that packets and the calls of programs pass through. */
const FOLDERS: readonly string[] = [
  'uapi',
  'lib',
  'kernel',
  'mm',
  'include',
  'trace',
  'net',
  'drivers',
  'hardware',
  'fs',
  'init',
  'sim',
  'user',
];
const LINKED = new RegExp(`^src/(${FOLDERS.join('|')})/`);

/** Whether the code of a file goes into the linked one. `path` is relative to the repository. */
export function isLinked(path: string): boolean {
  return LINKED.test(path.replaceAll('\\', '/'));
}

/** The modules of src/ that are linked: their names without `.ts`, and their files. */
export function modulesOf(root: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })) {
    const file = join(root, 'src', name);
    const ours = name.endsWith('.ts') && !name.endsWith('.test.ts') && !name.includes('testing/');
    if (ours && isLinked(`src/${name}`)) found[name.slice(0, -'.ts'.length)] = file;
  }
  return found;
}

/**
 * Writes a file for each of `entries` into `folder`, which exports what the module exported, and
 * `softnet-linked.js`, where the code of all that they import lies. `plugins` may change the code on its way.
 */
export async function link(
  root: string,
  entries: Readonly<Record<string, string>>,
  folder: string,
  plugins: readonly Plugin[] = [],
): Promise<void> {
  const bundle = await rolldown({
    cwd: root,
    input: { ...entries },
    platform: 'node',
    // Packages stay what they are; what begins with `#` is ours.
    external: (id) => /^[^.#/]/.test(id),
    resolve: { conditionNames: ['softnet-source'] },
    // Each file must export all that it exported, so there is nothing to leave out.
    treeshake: false,
    optimization: { inlineConst: { mode: 'all', pass: 2 } },
    plugins: [...plugins],
    logLevel: 'warn',
  });
  await bundle.write({
    dir: folder,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: '[name].js',
    sourcemap: true,
    codeSplitting: {
      groups: [{ name: 'softnet-linked', test: (id) => isLinked(relative(root, id)) }],
    },
  });
  await bundle.close();
}
