/**
 * The project's packet scripts on the real kernel: what they say of Linux is so. Real time is noisy:
 * a script is tried up to three times, and of those that fail then a few may, by their times alone.
 */
import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import type { ScriptResult } from '#packetdrill/report.ts';
import { whyNoInterop } from '../support/netns.ts';

const ROOT = new URL('../../', import.meta.url).pathname;
const FOLDER = 'test/packetdrill';
const missing = whyNoInterop();

/** The scripts of which it is known that they pass. */
function listed(): string[] {
  const lines = readFileSync(join(ROOT, FOLDER, 'kernel.txt'), 'utf8').split('\n');
  return lines.filter((line) => /^[^#]/.test(line));
}

const COMMAND = [
  ...['--import', 'tsx', '--conditions=softnet-source', 'src/cli/main.ts', 'packetdrill'],
  ...['--against', 'kernel'],
];

function run(paths: readonly string[]): Promise<readonly ScriptResult[]> {
  const command = [...COMMAND, '--json', '--jobs', '6', '--retries', '2', ...paths];
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

it('lists scripts that exist, at least a hundred', () => {
  expect(listed().filter((name) => !existsSync(join(ROOT, FOLDER, name)))).toEqual([]);
  expect(listed().length).toBeGreaterThanOrEqual(100);
});

describe.skipIf(missing !== null)(`packet scripts on this kernel (skipped: ${missing})`, () => {
  it('pass', { timeout: 600_000 }, async () => {
    const wanted = listed();
    const results = await run(wanted.map((name) => join(FOLDER, name)));
    const failed = results.filter(({ outcome }) => outcome !== 'passed');
    expect(failed.filter(({ reason }) => !LATE.test(reason))).toEqual([]);
    expect(results.length - failed.length).toBeGreaterThanOrEqual(
      Math.max(100, wanted.length * 0.95),
    );
  });

  const folder = mkdtempSync(join(tmpdir(), 'packetdrill-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  function script(name: string, ...lines: readonly string[]): string {
    const path = join(folder, name);
    writeFileSync(path, `${lines.join('\n')}\n`);
    return path;
  }

  it('keep the priority of real time to themselves', { timeout: 60_000 }, async () => {
    // The policy of a command, by proc(5): 0 is SCHED_OTHER.
    const path = script('policy.pkt', "0 `test $(cut -d' ' -f41 /proc/$$/stat) = 0`");
    expect(await run([path])).toMatchObject([{ outcome: 'passed' }]);
  });

  it('end with the one who started them', { timeout: 60_000 }, async () => {
    const path = script('sleeps.pkt', '0 `echo $PACKETDRILL_PID > pid`', '+40 `true`');
    const parent = spawn(process.execPath, [...COMMAND, path], { cwd: ROOT, stdio: 'ignore' });
    const ended = new Promise((resolve) => parent.on('exit', resolve));
    const pid = await vi.waitFor(
      () => {
        const text = readFileSync(join(folder, 'pid'), 'utf8').trim();
        expect(text).not.toBe('');
        return text;
      },
      { timeout: 20_000 },
    );
    expect(existsSync(`/proc/${pid}`)).toBe(true);
    parent.kill('SIGTERM');
    await ended;
    await vi.waitFor(() => expect(existsSync(`/proc/${pid}`)).toBe(false), { timeout: 10_000 });
  });
});
