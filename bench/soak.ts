/**
 * `tsx --conditions=softnet-source bench/soak.ts [MINUTES]`: bulk data, round trips and connections at full
 * speed for ten minutes, every byte of the bulk checked. Fails when the heap grows from the second
 * minute to the last, or when anything is alive at the end.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { EAGAIN } from '#uapi/errno.ts';
import { connect, listen, makeRig, must, step } from './rig.ts';

// Only what is reachable says whether the heap grows.
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const minutes = Number(process.argv[2] ?? 10);
/** Heap may wander by this between samples. */
const SLACK = 4 * 1024 * 1024;
const rig = await makeRig('veth');
const [out, into] = connect(rig, listen(rig, 5001), 5001);
const listener = listen(rig, 5002);
const chunk = new Uint8Array(65536).map((_, i) => (i * 7) ^ (i >> 8));
const buffer = new Uint8Array(65536);
const byte = Uint8Array.of(1);
const totals = { sent: 0, received: 0, trips: 0, connections: 0 };

function bulk(): void {
  for (let i = 0; i < 64; i++) {
    const n = rig.client.sendto(out, chunk.subarray(totals.sent % chunk.length), 0, null);
    if (n !== -EAGAIN) totals.sent += must(n, 'send');
    for (;;) {
      const got = rig.server.recvfrom(into, buffer, 0, null);
      if (got === -EAGAIN) break;
      must(got, 'recv');
      for (let at = 0; at < got; at++) {
        if (buffer[at] !== chunk[(totals.received + at) % chunk.length]) {
          throw new Error(`byte ${totals.received + at} is wrong`);
        }
      }
      totals.received += got;
    }
    if (n === -EAGAIN) step(rig.world);
  }
}

function receive(sys: typeof rig.client, fd: number): void {
  let n = sys.recvfrom(fd, byte, 0, null);
  while (n === -EAGAIN) {
    step(rig.world);
    n = sys.recvfrom(fd, byte, 0, null);
  }
  must(n, 'recv');
}

/** A connection with some round trips; it ends in TIME_WAIT. */
function short(): void {
  const [client, server] = connect(rig, listener, 5002);
  for (let i = 0; i < 20; i++) {
    must(rig.client.sendto(client, byte, 0, null), 'send');
    receive(rig.server, server);
    must(rig.server.sendto(server, byte, 0, null), 'send');
    receive(rig.client, client);
    totals.trips++;
  }
  must(rig.client.close(client), 'close');
  must(rig.server.close(server), 'close');
  totals.connections++;
}

/** Virtual time passes, so that TIME_WAIT does. */
function pass(): void {
  rig.world.run({ untilNs: rig.world.nowNs + 20e6 });
}

const start = performance.now();
let settled = 0;
let next = 1;
while (performance.now() - start < minutes * 60_000) {
  for (let i = 0; i < 20; i++) {
    bulk();
    for (let j = 0; j < 4; j++) short();
    pass();
  }
  const passed = (performance.now() - start) / 60_000;
  if (passed < next * (minutes / 20)) continue;
  next++;
  collect();
  const heap = process.memoryUsage().heapUsed;
  if (settled === 0 && passed > minutes / 5) settled = heap;
  const mb = (heap / 2 ** 20).toFixed(1);
  process.stdout.write(
    `${passed.toFixed(1)} min: heap ${mb} MiB, ${(totals.received / 2 ** 30).toFixed(0)} GiB, ${totals.trips} round trips, ${totals.connections} connections\n`,
  );
  if (settled > 0 && heap > settled + SLACK) throw new Error('the heap grows');
}
rig.end();
process.stdout.write('nothing is alive at the end\n');
