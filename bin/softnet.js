#!/usr/bin/env node
// Starts the command line from dist/. Kept in plain JavaScript so that it can say what is missing.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const main = new URL('../dist/cli/main.js', import.meta.url);

if (existsSync(fileURLToPath(main))) {
  await import(main.href);
} else {
  process.stderr.write('softnet: not built yet. Run `npm ci` in the clone, then try again.\n');
  process.exitCode = 1;
}
