/** What threads run, each in one file: from the sources each thread would load all modules anew. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { ROOT } from './softnet.ts';

export class ThreadModules {
  private readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Bundles modules, e.g. `src/cli/split_worker`. */
  static async build(...modules: readonly string[]): Promise<ThreadModules> {
    const folder = join(ROOT, 'out', `threads-${process.pid}`);
    await build({
      entryPoints: modules.map((module) => join(ROOT, `${module}.ts`)),
      outdir: folder,
      entryNames: '[name]',
      bundle: true,
      splitting: true,
      format: 'esm',
      platform: 'node',
      target: 'node20',
      packages: 'external',
      conditions: ['softnet-source'],
      logLevel: 'silent',
    });
    return new ThreadModules(folder);
  }

  /** The bundle of a module, by the name of its file. */
  url(name: string): URL {
    return pathToFileURL(join(this.folder, `${name}.js`));
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}
