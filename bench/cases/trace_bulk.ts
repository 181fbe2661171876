/**
 * 64 KiB writes one way over veth, with or without a recording. Argument: `off`, `on` (packets) or
 * `functions` (packets and functions, in a woven bundle). See bench/trace.ts.
 */
import { recordWorld } from '#sim/record_world.ts';
import { traceFunctions } from '#trace/ftrace.ts';
import { EAGAIN } from '#uapi/errno.ts';
import { measure, report } from '../measure.ts';
import { connect, listen, makeRig, must, step } from '../rig.ts';

const mode = process.argv[2] ?? 'off';
const rig = await makeRig('veth');
if (mode !== 'off') {
  const recorder = recordWorld(rig.world, { bytes: 32 << 20 });
  if (mode === 'functions' && !traceFunctions(recorder)) throw new Error('not a woven bundle');
}
const [out, into] = connect(rig, listen(rig, 5001), 5001);
const chunk = new Uint8Array(65536).fill(7);
const buffer = new Uint8Array(65536);

function work(): number {
  let received = 0;
  while (received < 16 * chunk.length) {
    const n = rig.client.sendto(out, chunk, 0, null);
    if (n < 0 && n !== -EAGAIN) must(n, 'send');
    const got = rig.server.recvfrom(into, buffer, 0, null);
    if (got > 0) received += got;
    else if (got !== -EAGAIN) must(got, 'recv');
    if (n < 0 && got < 0) step(rig.world);
  }
  return received;
}

report(measure('bytes', work));
rig.end();
