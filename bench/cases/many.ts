/**
 * Very many connections: bytes of heap of each end while established, of each left in TIME_WAIT, and
 * what is left when all is over. Argument: how many connections.
 */
import { AF_INET, SOCK_NONBLOCK, SOCK_STREAM } from '#uapi/socket.ts';
import { encodeSockaddr4 } from '#user/lib/sockaddr.ts';
import { type Figure, heapBytes, report } from '../measure.ts';
import { listen, makeRig, must, step } from '../rig.ts';

const wanted = Number(process.argv[2] ?? 100_000);
/** Connections of one listener, well within the ports of one address. */
const PER_PORT = 5000;

/** Descriptors of both ends of each connection: the bench's own, made before anything is counted. */
const pairs = new Int32Array(2 * Math.max(wanted, 1000));
const rig = await makeRig('lo', { descriptors: 2 * wanted + 100 });

/** Opens `count` connections to a port of the loopback; the descriptors of both ends go into `pairs`. */
function open(listener: number, port: number, count: number, at: number): void {
  const addr = encodeSockaddr4(rig.address, port);
  for (let i = 0; i < count; i++) {
    const fd = must(rig.client.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), 'socket');
    rig.client.connect(fd, addr);
    pairs[at + 2 * i] = fd;
    pairs[at + 2 * i + 1] = must(rig.server.accept4(listener, null, SOCK_NONBLOCK), 'accept');
  }
}

/** One cycle of everything, so that tables have grown and code is compiled. */
function cycle(count: number): Record<string, number> {
  const start = heapBytes();
  const listeners: number[] = [];
  for (let left = count, port = 6000; left > 0; left -= PER_PORT, port++) {
    const listener = listen(rig, port);
    listeners.push(listener);
    open(listener, port, Math.min(left, PER_PORT), 2 * (count - left));
  }
  const established = heapBytes() - start;
  for (let i = 0; i < 2 * count; i += 2) {
    must(rig.client.close(pairs[i] as number), 'close');
    must(rig.server.close(pairs[i + 1] as number), 'close');
  }
  for (const listener of listeners) rig.server.close(listener);
  const timeWait = heapBytes() - start;
  const { world } = rig;
  const end = world.nowNs + 200e9;
  while (!world.idle && world.nowNs < end) step(world);
  const left = heapBytes() - start;
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
