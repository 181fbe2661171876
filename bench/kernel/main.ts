/**
 * `npm run bench:kernel`: softnet against the real kernel through impaired cables, and the kernel
 * against itself through the same ones. Each case is a process of its own; most of them wait most of
 * the time, so many run at once. Results go to a file line by line, so that a run may be broken off
 * and taken up again; the table is made from that file.
 */
import { spawn } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import {
  BEGUN,
  type CaseResult,
  type CaseSpec,
  CONTROLS,
  expectedMbit,
  isVirtual,
  keyOf,
  LOSSES,
  PAIRS,
  QUEUE_BYTES,
  RATE_MBIT,
  REORDERS,
  RTTS_MS,
  resultFrom,
} from './cells.ts';
import { outside, tableOf } from './table.ts';

const FOLDER = new URL('.', import.meta.url).pathname;
const BUNDLE: string = new URL('../../out/bench-kernel/case.mjs', import.meta.url).pathname;

/** A run in which the cable was once later than this is thrown away; the next run makes up for it. */
const LATE_MS = 130;

const { values } = parseArgs({
  options: {
    results: { type: 'string', default: `${FOLDER}../../out/bench-kernel/results.jsonl` },
    table: { type: 'string', default: `${FOLDER}RESULTS.md` },
    repeat: { type: 'string', default: '3' },
    'repeat-outside': { type: 'string', default: '0' },
    mb: { type: 'string', default: '20' },
    only: { type: 'string', default: '' },
    load: { type: 'string', default: '1.2' },
    'table-only': { type: 'boolean', default: false },
  },
});

function readResults(): CaseResult[] {
  if (!existsSync(values.results)) return [];
  return readFileSync(values.results, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as CaseResult);
}

/** Every case of the table for one repetition; the seed is the same for all kinds of ends. */
function casesOf(seed: string): CaseSpec[] {
  const cases: CaseSpec[] = [];
  for (const congestionControl of CONTROLS) {
    for (const rttMs of RTTS_MS) {
      for (const loss of LOSSES) {
        for (const reorder of REORDERS) {
          for (const ends of PAIRS) {
            cases.push({
              ends,
              congestionControl,
              rttMs,
              loss,
              reorder,
              rateMbit: RATE_MBIT,
              queueBytes: QUEUE_BYTES,
              bytes: Number(values.mb) * 1e6,
              seed,
              limitSeconds: 3600,
            });
          }
        }
      }
    }
  }
  return cases;
}

/** `begun` is called when the case has warmed up, or has ended. */
function runCase(spec: CaseSpec, begun: () => void): Promise<CaseResult> {
  return new Promise((resolve, reject) => {
    // Before other work of this machine: what is measured is time.
    const priority = isVirtual(spec) ? ['nice', '-n', '10'] : ['chrt', '-f', '10'];
    const [command = '', ...args] = [...priority, process.execPath, BUNDLE, JSON.stringify(spec)];
    const child = spawn(command, args);
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
      if (stdout.startsWith(BEGUN)) begun();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.once('exit', (status) => {
      begun();
      if (status === 0) resolve(resultFrom(stdout));
      else reject(new Error(`${keyOf(spec)}: ended with ${status}: ${stderr.trim()}`));
    });
  });
}

/** Runs cases so that what they are expected to carry together stays below a part of the rate. */
async function runAll(cases: readonly CaseSpec[], capacity: number): Promise<void> {
  // The longest first.
  const waiting = [...cases].sort((a, b) => expectedMbit(a) - expectedMbit(b));
  const running = new Set<Promise<unknown>>();
  let load = 0;
  let done = 0;
  const start = (spec: CaseSpec, begun: () => void): void => {
    const weight = expectedMbit(spec) / RATE_MBIT + 0.02;
    load += weight;
    const task: Promise<unknown> = runCase(spec, begun)
      .then(
        (result) => {
          // On a machine that had no time for the cable, nothing was measured.
          if (result.latestMs > LATE_MS) {
            process.stderr.write(`late by ${result.latestMs.toFixed(0)} ms: ${keyOf(spec)}\n`);
          } else appendFileSync(values.results, `${JSON.stringify(result)}\n`);
        },
        (error: unknown) => process.stderr.write(`${(error as Error).message}\n`),
      )
      .finally(() => {
        running.delete(task);
        load -= weight;
        process.stderr.write(`${++done}/${cases.length} ${keyOf(spec)}\n`);
      });
    running.add(task);
  };
  while (waiting.length > 0 || running.size > 0) {
    const next = waiting.findIndex(
      (spec) => running.size === 0 || load + expectedMbit(spec) / RATE_MBIT <= capacity,
    );
    if (next >= 0) {
      // One after the other: until it has warmed up, a case takes a processor for itself.
      await new Promise<void>((begun) => {
        start(waiting.splice(next, 1)[0] as CaseSpec, begun);
      });
    } else await Promise.race(running);
  }
}

function writeTable(): void {
  writeFileSync(values.table, tableOf(readResults()));
}

mkdirSync(dirname(BUNDLE), { recursive: true });
mkdirSync(dirname(values.results), { recursive: true });
if (!values['table-only']) {
  await build({
    entryPoints: [`${FOLDER}case.ts`],
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    conditions: ['softnet-source'],
    outfile: BUNDLE,
    logLevel: 'warning',
  });
  const only = new RegExp(values.only);
  const seeds = Array.from({ length: Number(values.repeat) }, (_, i) => `${i + 1}`);
  const wanted = seeds.flatMap(casesOf);
  const known = new Set(readResults().map((result) => keyOf(result.spec)));
  await runAll(
    wanted.filter((spec) => !known.has(keyOf(spec)) && only.test(keyOf(spec))),
    Number(values.load),
  );
  writeTable();
  // Chance makes outliers; more repetitions show which of them are none.
  for (let i = 0; i < Number(values['repeat-outside']); i++) {
    const cells = outside(readResults());
    const again = casesOf(`${seeds.length + i + 1}`).filter((spec) =>
      cells.has(keyOf({ ...spec, seed: '', ends: ['kernel', 'kernel'] })),
    );
    const have = new Set(readResults().map((result) => keyOf(result.spec)));
    await runAll(
      again.filter((spec) => !have.has(keyOf(spec)) && only.test(keyOf(spec))),
      Number(values.load),
    );
    writeTable();
  }
}
writeTable();
