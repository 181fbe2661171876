/**
 * Altered copies of forty scripts of a suite that lies elsewhere, e.g. google/packetdrill's
 * gtests/net/tcp: every one has to fail. SOFTNET_PACKETDRILL_SUITE names the folder.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DEFAULT_CONFIG } from '#packetdrill/config.ts';
import { runMutants, runScript } from '#packetdrill/main.ts';
import type { RunnerHost } from '#packetdrill/runner.ts';
import { machineBackend } from '#packetdrill/testbed.ts';

const SCRIPTS = 40;

const folder = process.env['SOFTNET_PACKETDRILL_SUITE'] ?? '';
const missing =
  folder === ''
    ? 'SOFTNET_PACKETDRILL_SUITE is not set'
    : existsSync(folder)
      ? null
      : `no folder ${folder}`;

function hostFor(path: string): RunnerHost {
  return {
    makeBackend: machineBackend({
      seed: 1,
      turn: () => new Promise((done) => setImmediate(done)),
      readFile: (name) => {
        const file = resolve(dirname(path), name);
        return existsSync(file) ? readFileSync(file, 'utf8') : null;
      },
    }),
    log: null,
    capture: null,
  };
}

/** Scripts that pass, taken evenly from all of them. */
async function sample(): Promise<string[]> {
  const all = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.pkt') && !name.endsWith('v6.pkt'))
    .sort();
  const passing: string[] = [];
  for (const name of all) {
    const path = join(folder, name);
    const source = readFileSync(path, 'utf8');
    const { outcome } = await runScript(path, source, DEFAULT_CONFIG, hostFor(path));
    if (outcome === 'passed') passing.push(path);
  }
  const step = Math.max(1, passing.length / SCRIPTS);
  return Array.from({ length: Math.min(SCRIPTS, passing.length) }, (_, i) => {
    return passing[Math.floor(i * step)] as string;
  });
}

describe.skipIf(missing !== null)(`altered public scripts (skipped: ${missing})`, () => {
  it('fail, every one', { timeout: 1_800_000 }, async () => {
    const scripts = await sample();
    expect(scripts.length).toBe(SCRIPTS);
    let count = 0;
    const survivors: string[] = [];
    for (const path of scripts) {
      const source = readFileSync(path, 'utf8');
      const found = await runMutants(path, source, DEFAULT_CONFIG, hostFor(path));
      count += found.count;
      for (const { line, what } of found.survivors) survivors.push(`${path}:${line}: ${what}`);
    }
    process.stdout.write(`${count} altered copies of ${scripts.length} scripts\n`);
    expect(survivors).toEqual([]);
  });
});
