/**
 * Builds the explorer into dist/explorer: a page, its style, and plain scripts: the page, the worker, and
 * what is loaded when it is wanted, the terminal and the sources of functions. Plain scripts and no modules, so that the folder also opens without a web server.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { build, type InlineConfig, type Plugin } from 'vite';
import solid from 'vite-plugin-solid';
import { SOURCE_FUNCTIONS } from '../explorer/src/model/stack_nodes.ts';
import { functionSources } from './explorer-sources.ts';
import { weavePlugin } from './weave/plugin.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const source = join(root, 'explorer');
const target = join(root, 'dist', 'explorer');
const stamp = join(target, '.built');

interface Bundle {
  readonly name: string;
  readonly entry: string;
  readonly plugins: readonly Plugin[];
  /** Text around the script. */
  readonly banner?: string;
  readonly footer?: string;
}

/**
 * The worker is one function. Where the script is loaded as a worker it runs at once; where a page loads it,
 * which must do that when it was opened from a folder, it is only defined, and the page makes a worker of it.
 */
const WORKER_BANNER = 'globalThis.softnetWorker = function () {';
const WORKER_FOOTER = "};\nif (typeof document === 'undefined') globalThis.softnetWorker();";

const BUNDLES: readonly Bundle[] = [
  { name: 'app', entry: 'src/main.tsx', plugins: [solid()] },
  {
    name: 'worker',
    entry: 'src/worker/main.ts',
    // The functions of the stack's map: more would tell more than somebody can read.
    plugins: [weavePlugin({ only: new Set(SOURCE_FUNCTIONS), bare: true })],
    banner: WORKER_BANNER,
    footer: WORKER_FOOTER,
  },
  { name: 'terminal', entry: 'src/views/terminal/terminal_entry.ts', plugins: [] },
];

function configOf({ name, entry, plugins, banner, footer }: Bundle): InlineConfig {
  return {
    configFile: false,
    root: source,
    logLevel: 'error',
    plugins: [...plugins],
    resolve: { conditions: ['softnet-source', 'browser', 'module', 'production'] },
    define: { 'process.env.NODE_ENV': '"production"' },
    build: {
      outDir: target,
      emptyOutDir: false,
      copyPublicDir: false,
      minify: true,
      target: 'es2022',
      modulePreload: false,
      cssCodeSplit: false,
      chunkSizeWarningLimit: 4000,
      rollupOptions: {
        checks: { pluginTimings: false },
        input: join(source, entry),
        output: {
          format: 'iife',
          name: `softnet_${name}`,
          entryFileNames: `${name}.js`,
          assetFileNames: `${name}[extname]`,
          ...(banner === undefined ? {} : { banner }),
          ...(footer === undefined ? {} : { footer }),
        },
      },
    },
  };
}

/** Newest modification time in milliseconds of a file or of everything under a folder. */
function newestMs(path: string): number {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  let newest = stat.mtimeMs;
  for (const name of readdirSync(path)) newest = Math.max(newest, newestMs(join(path, name)));
  return newest;
}

/** Is there anything newer than what was built? */
function isStale(): boolean {
  if (!existsSync(stamp)) return true;
  const built = statSync(stamp).mtimeMs;
  const inputs = ['src', 'explorer', 'docs/lessons', 'scripts/build-explorer.ts', 'package.json'];
  return inputs.some(
    (input) => existsSync(join(root, input)) && newestMs(join(root, input)) > built,
  );
}

/** Builds what is missing or old; the folder that holds it. */
export async function buildExplorer(ifStale: boolean): Promise<string> {
  if (ifStale && !isStale()) return target;
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  for (const bundle of BUNDLES) await build(configOf(bundle));
  const sources = JSON.stringify(functionSources(root, SOURCE_FUNCTIONS));
  writeFileSync(join(target, 'sources.js'), `globalThis.softnetSources = ${sources};\n`);
  cpSync(join(source, 'index.html'), join(target, 'index.html'));
  writeFileSync(stamp, '');
  return target;
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  await buildExplorer(argv.includes('--if-stale'));
}
