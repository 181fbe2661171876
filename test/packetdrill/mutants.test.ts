import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DEFAULT_CONFIG } from '#packetdrill/config.ts';
import { runMutants } from '#packetdrill/main.ts';
import type { RunnerHost } from '#packetdrill/runner.ts';
import { machineBackend } from '#packetdrill/testbed.ts';

const scripts = readdirSync(new URL('.', import.meta.url), { recursive: true, encoding: 'utf8' })
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

describe('altered packet scripts fail', () => {
  it.each(scripts)('%s', async (name) => {
    const source = readFileSync(new URL(name, import.meta.url), 'utf8');
    const { count, survivors } = await runMutants(name, source, DEFAULT_CONFIG, host);
    expect(count).toBeGreaterThan(0);
    expect(survivors).toEqual([]);
  });
});
