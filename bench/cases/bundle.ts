/** Size of the kernel and its system calls as one ES module: minified, then gzipped. */
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { report } from '../measure.ts';

const result = await build({
  stdin: {
    contents: `export { bootMachine } from '#init/main.ts'; export { makeSyscalls } from '#init/syscalls.ts';`,
    resolveDir: process.cwd(),
    loader: 'ts',
  },
  bundle: true,
  minify: true,
  format: 'esm',
  conditions: ['source'],
  write: false,
});
const bytes = result.outputFiles[0]?.contents ?? new Uint8Array();
const cpu = process.cpuUsage();
report({
  unit: 'bundles',
  count: 1,
  cpuSeconds: (cpu.user + cpu.system) / 1e6,
  wallSeconds: 1,
  extra: { minifiedBytes: bytes.length, gzippedBytes: gzipSync(bytes, { level: 9 }).length },
});
