/** Bytes of heap allocated for each 64 KiB that go from write to read in the steady state. Argument: the link. */
import { EAGAIN } from '#uapi/errno.ts';
import { measure, report } from '../measure.ts';
import { connect, type Link, listen, makeRig, must, step } from '../rig.ts';

const rig = await makeRig(process.argv[2] as Link);
const [out, into] = connect(rig, listen(rig, 5007), 5007);
const chunk = new Uint8Array(65536);
const buffer = new Uint8Array(65536);

function chunks(count: number): number {
  for (let received = 0, sent = 0; received < count * 65536; ) {
    let moved = 0;
    if (sent < count * 65536) {
      const n = rig.client.sendto(out, chunk, 0, null);
      if (n !== -EAGAIN) sent += must(n, 'send');
      moved += Math.max(n, 0);
    }
    const got = rig.server.recvfrom(into, buffer, 0, null);
    if (got !== -EAGAIN) received += must(got, 'recv');
    moved += Math.max(got, 0);
    if (moved === 0) step(rig.world);
  }
  return count * 65536;
}

const figure = measure('bytes', () => chunks(16));
// Few enough that no collection comes between.
const COUNT = 64;
const samples: number[] = [];
for (let i = 0; i < 21; i++) {
  (globalThis as { gc?: () => void }).gc?.();
  const before = process.memoryUsage().heapUsed;
  chunks(COUNT);
  samples.push((process.memoryUsage().heapUsed - before) / COUNT);
}
const median = samples.sort((a, b) => a - b)[10] as number;
report({ ...figure, extra: { allocatedPer64KiB: median } });
process.exit(0);
