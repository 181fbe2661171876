/** What a bundler makes of the kernel: one ES module for production, minified. */
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { rolldown } from 'rolldown';

const ENTRY = 'softnet-entry.ts';

/** The whole of the public entry of the core. */
export const CORE_SOURCE = `export * from '#init/core.ts';`;
/** The same with every module there is. */
export const FULL_SOURCE: string = `${CORE_SOURCE} export { defconfig } from '#init/defconfig.ts';`;

export interface Bundle {
  readonly code: string;
  readonly minifiedBytes: number;
  readonly gzippedBytes: number;
}

/** Bundles what the module text `source` exports. `root` is the repository. */
export async function bundleKernel(root: string, source: string): Promise<Bundle> {
  const entry = join(root, ENTRY);
  const bundle = await rolldown({
    cwd: root,
    input: entry,
    plugins: [
      {
        name: 'softnet-entry',
        resolveId: (id) => (id === entry ? entry : null),
        load: (id) => (id === entry ? { code: source, moduleType: 'ts' } : null),
      },
    ],
    resolve: { conditionNames: ['softnet-source'] },
    // What decision 0019 asks of an embedder: no debug build can be switched on afterwards.
    transform: { define: { 'globalThis.softnetConfig': 'undefined' } },
    optimization: { inlineConst: { mode: 'all', pass: 3 } },
    logLevel: 'warn',
  });
  const { output } = await bundle.generate({ format: 'esm', minify: true });
  await bundle.close();
  const { code } = output[0];
  return {
    code,
    minifiedBytes: Buffer.byteLength(code),
    gzippedBytes: gzipSync(code, { level: 9 }).length,
  };
}
