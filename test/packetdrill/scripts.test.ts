import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { DEFAULT_CONFIG } from '#packetdrill/config.ts';
import { runScript } from '#packetdrill/main.ts';
import { formatFailure } from '#packetdrill/report.ts';
import type { RunnerHost } from '#packetdrill/runner.ts';
import { machineBackend } from '#packetdrill/testbed.ts';

const folder = fileURLToPath(new URL('.', import.meta.url));
const scripts = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.pkt'))
  .sort();

const host: RunnerHost = {
  makeBackend: machineBackend({
    seed: 1,
    turn: () => new Promise((resolve) => setImmediate(resolve)),
    readFile: () => null,
  }),
  log: null,
  capture: null,
};

describe('packet scripts', () => {
  it.each(scripts)('%s', async (name) => {
    const source = readFileSync(new URL(name, import.meta.url), 'utf8');
    const result = await runScript(name, source, DEFAULT_CONFIG, host);
    expect(result.outcome, formatFailure(result)).toBe('passed');
  });
});
