/**
 * Compiles src/lib/wasm/memops.wat and writes its bytes, as text, to src/lib/wasm/memops_wasm.ts, so that no
 * bundler has to know about .wasm files. `--check` writes nothing and fails when the file is out of date.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { argv, stdout } from 'node:process';
import { fileURLToPath } from 'node:url';
import { assembleWat } from './wasm/wat.ts';

const folder = new URL('../src/lib/wasm/', import.meta.url);
const target = fileURLToPath(new URL('memops_wasm.ts', folder));

const bytes = assembleWat(readFileSync(new URL('memops.wat', folder), 'utf8'));
const lines =
  Buffer.from(bytes)
    .toString('base64')
    .match(/.{1,96}/g) ?? [];
const text = `/*
 * The bytes of memops.wat (${bytes.length} octets), base64. Made by scripts/build-wasm.ts: change the source, not this.
 */

export const MEMOPS_WASM: string = [
${lines.map((line) => `  '${line}',`).join('\n')}
].join('');
`;

if (argv.includes('--check')) {
  if (readFileSync(target, 'utf8') !== text) {
    stdout.write('src/lib/wasm/memops_wasm.ts is out of date: run tsx scripts/build-wasm.ts\n');
    process.exitCode = 1;
  }
} else {
  writeFileSync(target, text);
  stdout.write(`src/lib/wasm/memops_wasm.ts: ${bytes.length} octets of WebAssembly\n`);
}
