/** Heap that an idle established connection takes, both ends and everything below them counted. */
import { type Figure, report } from '../measure.ts';
import { connect, listen, makeRig } from '../rig.ts';

const CONNECTIONS = 5000;

function heap(): number {
  const collect = (globalThis as { gc?: () => void }).gc;
  if (collect === undefined) throw new Error('run with --expose-gc');
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

const rig = await makeRig('lo');
// Descriptors for both ends.
const listeners = [listen(rig, 5004)];
for (let i = 0; i < 200; i++) connect(rig, listeners[0] as number, 5004);
const before = heap();
const cpu = process.cpuUsage();
const start = performance.now();
let opened = 0;
try {
  for (; opened < CONNECTIONS; opened++) connect(rig, listeners[0] as number, 5004);
} catch (error) {
  if (opened < 100) throw error;
}
const used = process.cpuUsage(cpu);
const figure: Figure = {
  unit: 'connections',
  count: opened,
  cpuSeconds: (used.user + used.system) / 1e6,
  wallSeconds: (performance.now() - start) / 1000,
  extra: { heapBytesPerSocket: (heap() - before) / opened / 2 },
};
report(figure);
rig.end();
