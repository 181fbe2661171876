/**
 * From the start of the import to the first packet that was answered: a fresh process imports the
 * bundle of the stack, boots a machine, sends a datagram over loopback and receives it. Median of 15.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { report } from '../measure.ts';

const RUNS = 15;
const folder = mkdtempSync(join(tmpdir(), 'softnet-bench-'));
const bundled = await build({
  stdin: {
    contents: `
      import { World } from '#sim/world.ts';
      import { makeSyscalls } from '#init/syscalls.ts';
      import { createTask } from '#kernel/sched/task.ts';
      export function first() {
        const world = new World({ seed: 1 });
        const machine = world.boot('a');
        const sys = makeSyscalls(createTask(machine, 'start', machine.initNet));
        const ioctl = sys.socket(2, 2, 0);
        const ifreq = new Uint8Array(40);
        ifreq.set([108, 111]);
        ifreq[16] = 1;
        if (sys.ioctl(ioctl, 0x8914, ifreq) !== 0) throw new Error('lo');
        const rx = sys.socket(2, 2, 0);
        const addr = Uint8Array.of(2, 0, 0x13, 0x88, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0);
        if (sys.bind(rx, addr) !== 0) throw new Error('bind');
        const tx = sys.socket(2, 2, 0);
        if (sys.sendto(tx, Uint8Array.of(7), 0, addr) !== 1) throw new Error('send');
        const got = new Uint8Array(4);
        if (sys.recvfrom(rx, got, 0, null) !== 1 || got[0] !== 7) throw new Error('recv');
      }`,
    resolveDir: process.cwd(),
    loader: 'ts',
  },
  bundle: true,
  minify: true,
  format: 'esm',
  platform: 'node',
  conditions: ['softnet-source'],
  write: false,
});
try {
  const bundle = join(folder, 'softnet.mjs');
  writeFileSync(bundle, bundled.outputFiles[0]?.contents ?? '');
  const script = join(folder, 'start.mjs');
  writeFileSync(
    script,
    `const start = performance.now(); const cpu = process.cpuUsage();
     const { first } = await import('./softnet.mjs'); first();
     const used = process.cpuUsage(cpu);
     console.log(JSON.stringify([performance.now() - start, (used.user + used.system) / 1e3]));`,
  );
  const times: [wall: number, cpu: number][] = [];
  for (let i = 0; i < RUNS; i++) {
    const run = spawnSync(process.execPath, [script], { encoding: 'utf8' });
    if (run.status !== 0) throw new Error(run.stderr);
    times.push(JSON.parse(run.stdout) as [number, number]);
  }
  const median = (at: 0 | 1): number =>
    times.map((time) => time[at]).sort((a, b) => a - b)[RUNS >> 1] as number;
  report({
    unit: 'starts',
    count: 1,
    cpuSeconds: median(1) / 1000,
    wallSeconds: median(0) / 1000,
    extra: { wallMs: median(0), cpuMs: median(1) },
  });
} finally {
  rmSync(folder, { recursive: true });
}
