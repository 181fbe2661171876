/**
 * The project's packet scripts on the real kernel: what they say of Linux is so. Real time is noisy:
 * a script is tried up to three times, and of those that fail then a few may, by their times alone.
 */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ScriptResult } from '#packetdrill/report.ts';
import { whyNoInterop } from '../support/netns.ts';

const ROOT = new URL('../../', import.meta.url).pathname;
const FOLDER = 'test/packetdrill';
const missing = whyNoInterop();

/** Paths that the list of exceptions names. */
function exceptions(): Set<string> {
  const lines = readFileSync(join(ROOT, FOLDER, 'not_on_kernel.txt'), 'utf8').split('\n');
  return new Set(lines.filter((line) => /^[^#]/.test(line)).map((line) => line.replace(/:.*/, '')));
}

function scripts(): string[] {
  return readdirSync(join(ROOT, FOLDER), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.pkt'))
    .sort();
}

function run(paths: readonly string[]): Promise<readonly ScriptResult[]> {
  const command = [
    ...['--import', 'tsx', '--conditions=source', 'src/cli/main.ts', 'packetdrill'],
    ...['--against', 'kernel', '--json', '--jobs', '10', '--retries', '2', ...paths],
  ];
  return new Promise((resolve, reject) => {
    const options = { cwd: ROOT, maxBuffer: 64 << 20, encoding: 'utf8' } as const;
    execFile(process.execPath, command, options, (_error, stdout, stderr) => {
      try {
        resolve((JSON.parse(stdout) as { scripts: ScriptResult[] }).scripts);
      } catch {
        reject(new Error(`no result: ${stdout}${stderr}`));
      }
    });
  });
}

const LATE = /^time: |^the event should be at |^the packet was not sent$| returned at /;

it('names existing scripts as exceptions', () => {
  const all = new Set(scripts());
  expect([...exceptions()].filter((name) => !all.has(name))).toEqual([]);
});

describe.skipIf(missing !== null)(`packet scripts on this kernel (skipped: ${missing})`, () => {
  it('pass', { timeout: 600_000 }, async () => {
    const except = exceptions();
    const wanted = scripts().filter((name) => !except.has(name));
    expect(wanted.length).toBeGreaterThanOrEqual(100);
    const results = await run(wanted.map((name) => join(FOLDER, name)));
    const failed = results.filter(({ outcome }) => outcome !== 'passed');
    expect(failed.filter(({ reason }) => !LATE.test(reason))).toEqual([]);
    expect(results.length - failed.length).toBeGreaterThanOrEqual(
      Math.max(100, wanted.length * 0.95),
    );
  });
});
