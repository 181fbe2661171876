/** What one case measured, and how: shared by the cases, the peers and the table. */
import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { performance } from 'node:perf_hooks';

export interface Figure {
  /** What was counted, e.g. `bytes` or `round trips`. */
  readonly unit: string;
  readonly count: number;
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
  /** Figures that are no rates, e.g. bytes of heap a connection. */
  readonly extra?: Readonly<Record<string, number>>;
}

/** Seconds that a case is measured; `SOFTNET_BENCH_SECONDS` overrides. */
export const MEASURE_SECONDS: number = Number(process.env['SOFTNET_BENCH_SECONDS'] ?? '2');
export const WARMUP_SECONDS: number = MEASURE_SECONDS * 0.75;

/** Runs `work` (which returns how much it did) again and again: first to warm up, then measured. */
export function measure(
  unit: string,
  work: () => number,
  extra?: () => Record<string, number>,
): Figure {
  repeat(work, WARMUP_SECONDS);
  const endProfile = beginProfile();
  const cpu = process.cpuUsage();
  const start = performance.now();
  const count = repeat(work, MEASURE_SECONDS);
  const wallSeconds = (performance.now() - start) / 1000;
  const used = process.cpuUsage(cpu);
  endProfile();
  const figure = { unit, count, cpuSeconds: (used.user + used.system) / 1e6, wallSeconds };
  return extra === undefined ? figure : { ...figure, extra: extra() };
}

/**
 * With `SOFTNET_BENCH_PROFILE=FILE`, samples the measured part alone, neither start nor warm-up, and
 * writes a .cpuprofile for a browser's developer tools and for bench/profile.ts.
 */
function beginProfile(): () => void {
  const file = process.env['SOFTNET_BENCH_PROFILE'];
  if (file === undefined) return () => {};
  const session = new Session();
  session.connect();
  if (file.endsWith('.heapprofile')) return sampleHeap(session, file);
  session.post('Profiler.enable');
  session.post('Profiler.start');
  return () => {
    session.post('Profiler.stop', (error, result) => {
      if (error !== null) throw error;
      writeFileSync(file, JSON.stringify(result.profile));
    });
    session.disconnect();
  };
}

/** Samples what is allocated, collected or not: where the garbage comes from. */
function sampleHeap(session: Session, file: string): () => void {
  session.post('HeapProfiler.startSampling', {
    samplingInterval: 4096,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true,
  } as object);
  return () => {
    session.post('HeapProfiler.stopSampling', (error, result) => {
      if (error !== null) throw error;
      writeFileSync(file, JSON.stringify(result.profile));
    });
    session.disconnect();
  };
}

/** Processor time of this process so far, in seconds. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/**
 * Between two looks at the processor's clock, in seconds of it. A look is a system call that goes over all threads of the
 * process: 2 us on a quiet machine, 30 to 130 on a busy one.
 */
const LOOK_SECONDS = 0.02;

/** How often work is to be done until the next look: twice as often when `seconds` of it were too short. */
function nextBatch(batch: number, seconds: number): number {
  return seconds < LOOK_SECONDS ? batch * 2 : batch;
}

/** By processor time, so that a busy machine shortens neither the warm-up nor the measurement. */
function repeat(work: () => number, seconds: number): number {
  let now = cpuSeconds();
  const end = now + seconds;
  let count = 0;
  for (let batch = 1; now < end; ) {
    for (let i = 0; i < batch; i++) count += work();
    const before = now;
    now = cpuSeconds();
    batch = nextBatch(batch, now - before);
  }
  return count;
}

/** The same for work that takes turns of the event loop. */
export async function measureAsync(unit: string, work: () => Promise<number>): Promise<Figure> {
  await repeatAsync(work, WARMUP_SECONDS);
  const cpu = process.cpuUsage();
  const start = performance.now();
  const count = await repeatAsync(work, MEASURE_SECONDS);
  const wallSeconds = (performance.now() - start) / 1000;
  const used = process.cpuUsage(cpu);
  return { unit, count, cpuSeconds: (used.user + used.system) / 1e6, wallSeconds };
}

async function repeatAsync(work: () => Promise<number>, seconds: number): Promise<number> {
  let now = cpuSeconds();
  const end = now + seconds;
  let count = 0;
  for (let batch = 1; now < end; ) {
    for (let i = 0; i < batch; i++) count += await work();
    const before = now;
    now = cpuSeconds();
    batch = nextBatch(batch, now - before);
  }
  return count;
}

/** Bytes of everything that is reachable. Needs --expose-gc. */
export function heapBytes(): number {
  const collect = (globalThis as { gc?: () => void }).gc;
  if (collect === undefined) throw new Error('run with --expose-gc');
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Hands the figure to the process that started this one. */
export function report(figure: Figure): void {
  process.stdout.write(`${JSON.stringify(figure)}\n`);
}
