/**
 * Very many connections: bytes of heap of each end while established, of each left in TIME_WAIT, and
 * what is left when all is over. Argument: how many connections.
 */
import { AF_INET, SOCK_NONBLOCK, SOCK_STREAM } from '#uapi/socket.ts';
import { encodeSockaddr4 } from '#user/lib/sockaddr.ts';
import { type Figure, report } from '../measure.ts';
import { listen, makeRig, must, step } from '../rig.ts';

const wanted = Number(process.argv[2] ?? 100_000);
/** Connections of one listener, well within the ports of one address. */
const PER_PORT = 5000;

function heap(): number {
  const collect = (globalThis as { gc?: () => void }).gc;
  if (collect === undefined) throw new Error('run with --expose-gc');
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

const rig = await makeRig('lo', { descriptors: 2 * wanted + 100 });

/** Opens `count` connections to a port of the loopback; what both ends are. */
function open(listener: number, port: number, count: number, into: [number, number][]): void {
  const addr = encodeSockaddr4(rig.address, port);
  for (let i = 0; i < count; i++) {
    const fd = must(rig.client.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), 'socket');
    rig.client.connect(fd, addr);
    into.push([fd, must(rig.server.accept4(listener, null, SOCK_NONBLOCK), 'accept')]);
  }
}

/** One cycle of everything, so that tables have grown and code is compiled. */
function cycle(count: number): Record<string, number> {
  const pairs: [number, number][] = [];
  const start = heap();
  const listeners: number[] = [];
  for (let left = count, port = 6000; left > 0; left -= PER_PORT, port++) {
    const listener = listen(rig, port);
    listeners.push(listener);
    open(listener, port, Math.min(left, PER_PORT), pairs);
  }
  const established = heap() - start;
  for (const [client, server] of pairs) {
    must(rig.client.close(client), 'close');
    must(rig.server.close(server), 'close');
  }
  for (const listener of listeners) rig.server.close(listener);
  pairs.length = 0;
  const timeWait = heap() - start;
  const { world } = rig;
  const end = world.nowNs + 200e9;
  while (!world.idle && world.nowNs < end) step(world);
  const left = heap() - start;
  return {
    bytesPerEstablishedSocket: established / count / 2,
    bytesPerTimeWait: timeWait / count,
    bytesLeft: left,
  };
}

cycle(1000);
const cpu = process.cpuUsage();
const begin = performance.now();
const extra = cycle(wanted);
const used = process.cpuUsage(cpu);
const figure: Figure = {
  unit: 'connections',
  count: wanted,
  cpuSeconds: (used.user + used.system) / 1e6,
  wallSeconds: (performance.now() - begin) / 1000,
  extra,
};
report(figure);
rig.end();
