/**
 * A few cells of the table of bench/kernel: softnet and the real kernel through a bad cable, and the kernel
 * with itself. Bytes and algorithms are what is tested here; rates are the table's business.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type CaseResult,
  type CaseSpec,
  type EndKind,
  resultFrom,
} from '../../bench/kernel/cells.ts';
import { whyNoInterop } from '../support/netns.ts';

const missing = whyNoInterop();
const ROOT = new URL('../../', import.meta.url).pathname;

describe.skipIf(missing !== null)(`through a bad cable (skipped: ${missing})`, () => {
  let folder: string;

  beforeAll(async () => {
    // Below the project, so that koffi is found.
    folder = mkdtempSync(join(ROOT, 'node_modules', '.softnet-impaired-'));
    await build({
      entryPoints: [join(ROOT, 'bench/kernel/case.ts')],
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      conditions: ['softnet-source'],
      outfile: join(folder, 'case.mjs'),
      logLevel: 'error',
    });
  }, 60_000);

  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  function run(change: Partial<CaseSpec>): Promise<CaseResult> {
    const spec: CaseSpec = {
      ends: ['kernel', 'kernel'],
      congestionControl: 'cubic',
      rttMs: 20,
      loss: 0.01,
      reorder: 0.02,
      rateMbit: 50,
      queueBytes: 1 << 18,
      bytes: 600_000,
      seed: '1',
      limitSeconds: 90,
      ...change,
    };
    return new Promise<string>((resolve, reject) => {
      const args = [join(folder, 'case.mjs'), JSON.stringify(spec)];
      execFile(process.execPath, args, (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(stderr));
      });
    }).then(resultFrom);
  }

  const pairs: (readonly [EndKind, EndKind])[] = [
    ['softnet', 'kernel'],
    ['kernel', 'softnet'],
    ['kernel', 'kernel'],
  ];

  it.each(pairs.flatMap((ends) => (['cubic', 'bbr'] as const).map((cc) => [...ends, cc] as const)))(
    '%s opens to %s with %s: every byte both ways, by the algorithm named',
    { timeout: 120_000 },
    async (from, to, congestionControl) => {
      const result = await run({ ends: [from, to], congestionControl });
      expect(result.intact).toBe(true);
      expect(result.congestionControls).toEqual([congestionControl, congestionControl]);
      // No retransmission timeout after another: that would be a stall.
      expect(result.longestGapMs).toBeLessThan(20_000);
      expect(Math.min(result.outMbit, result.backMbit)).toBeGreaterThan(0);
    },
  );

  it('tells when the bytes do not get through', { timeout: 60_000 }, async () => {
    await expect(run({ loss: 1, limitSeconds: 3 })).rejects.toThrow('had not ended after 3 s');
  });
});
