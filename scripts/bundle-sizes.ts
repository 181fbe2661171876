/**
 * `npm run bundle`: measures the core (`init/core.ts`), the core with each module, and the whole kernel, as
 * scripts/bundle.ts bundles them, and prints a table; `-- --write` puts it into docs/embedding.md.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { argv, stdout } from 'node:process';
import { fileURLToPath } from 'node:url';
import type { KernelModule } from '#include/linux/module.ts';
import { defconfig } from '#init/defconfig.ts';
import { tinyconfig } from '#init/tinyconfig.ts';
import { bundleKernel, CORE_SOURCE, FULL_SOURCE } from './bundle.ts';

/** The modules that `names` need, themselves included. */
function withDependencies(names: readonly string[]): Set<string> {
  const found = new Set<string>();
  const visit = (name: string): void => {
    if (found.has(name)) return;
    found.add(name);
    defconfig.find((module) => module.name === name)?.depends.forEach(visit);
  };
  names.forEach(visit);
  return found;
}

/** Where each constant of defconfig.ts comes from. */
function importsOf(root: string): ReadonlyMap<string, string> {
  const text = readFileSync(join(root, 'src/init/defconfig.ts'), 'utf8');
  const imports = text.matchAll(/^import \{ (\w+) \} from '([^']+)';$/gm);
  return new Map([...imports].map(([, name, file]) => [name as string, file as string]));
}

async function moduleByName(
  root: string,
): Promise<ReadonlyMap<string, { readonly export: string; readonly file: string }>> {
  const found = new Map<string, { export: string; file: string }>();
  for (const [name, file] of importsOf(root)) {
    const path = join(root, 'src', file.slice(1));
    const exports = (await import(path)) as Record<string, KernelModule>;
    const { name: known } = exports[name] as KernelModule;
    found.set(known, { export: name, file });
  }
  return found;
}

interface ModuleSize {
  readonly name: string;
  readonly config: string;
  readonly depends: readonly string[];
  readonly export: string;
  readonly file: string;
  /** Bytes, gzipped, that it adds to a core which has what it depends on. */
  readonly gzippedBytes: number;
}

/** How much each module that is not in tinyconfig adds to the core. */
async function measureModules(root: string): Promise<ModuleSize[]> {
  const where = await moduleByName(root);
  const tiny = new Set(tinyconfig.map(({ name }) => name));
  const lines = (names: Iterable<string>): string =>
    [...names]
      .map((name) => where.get(name))
      .map((at) => `export { ${at?.export} } from '${at?.file}';`)
      .join('\n');
  const sizes = new Map<string, number>();
  const sizeOf = async (names: Set<string>): Promise<number> => {
    const source = `${CORE_SOURCE}\n${lines([...names].sort())}`;
    let size = sizes.get(source);
    if (size === undefined) {
      size = (await bundleKernel(root, source)).gzippedBytes;
      sizes.set(source, size);
    }
    return size;
  };
  const found: ModuleSize[] = [];
  for (const { name, config, depends } of defconfig) {
    const at = where.get(name);
    if (tiny.has(name) || at === undefined) continue;
    const needed = withDependencies(depends);
    const without = await sizeOf(needed);
    const withIt = await sizeOf(new Set([...needed, name]));
    found.push({ name, config: config ?? '', depends, ...at, gzippedBytes: withIt - without });
  }
  return found;
}

const kb = (bytes: number): string => (bytes / 1000).toFixed(1);

/** The table of docs/embedding.md. */
async function table(root: string): Promise<string> {
  const core = await bundleKernel(root, CORE_SOURCE);
  const full = await bundleKernel(root, FULL_SOURCE);
  const rows = (await measureModules(root)).map(
    (m) =>
      `| \`${m.name}\` | \`${m.export}\` | ${m.file.slice(1)} | ${m.config === '' ? '' : `\`${m.config}\``} | ${m.depends.map((name) => `\`${name}\``).join(' ')} | ${kb(m.gzippedBytes)} |`,
  );
  return [
    `The core: **${kb(core.gzippedBytes)} KB** gzipped (${kb(core.minifiedBytes)} KB minified). With every module:`,
    `${kb(full.gzippedBytes)} KB (${kb(full.minifiedBytes)} KB).`,
    '',
    '| module | export | of | in Linux | needs | adds KB, gzipped |',
    '|---|---|---|---|---|---|',
    ...rows,
  ].join('\n');
}

const BEGIN = '<!-- sizes: written by npm run bundle -->';
const END = '<!-- end of sizes -->';

async function main(): Promise<void> {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const text = await table(root);
  stdout.write(`${text}\n`);
  if (!argv.includes('--write')) return;
  const file = join(root, 'docs/embedding.md');
  const page = readFileSync(file, 'utf8');
  const [before = '', rest = ''] = page.split(BEGIN);
  const after = rest.split(END)[1] ?? '';
  writeFileSync(file, `${before}${BEGIN}\n${text}\n${END}${after}`);
}

await main();
