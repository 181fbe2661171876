/**
 * A softnet machine behind a TAP device with several queues, for the test of them: notes by which queue
 * each flow's frames come and go, and prints that as JSON when it is told to stop.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import type { Door, DoorQueue } from '#host/node/door.ts';
import { DoorLink } from '#host/node/door_link.ts';
import { bootReal, forkReal, haltReal } from '#host/node/real_host.ts';
import { Tap } from '#host/node/tap.ts';
import { defconfig } from '#init/defconfig.ts';
import { Process, runProcess } from '#user/lib/process.ts';
import { Collector } from '#user/lib/streams.ts';
import { COMMANDS } from '#user/sh/commands.ts';
import { main as sh } from '#user/sh/sh.ts';

const QUEUES = 4;

/** A descriptor that doors and machines may hold: no file, of which the loader of modules opens some by itself. */
function isDevice(fd: string): boolean {
  try {
    return /^(\/dev\/|anon_inode:|socket:|pipe:)/.test(readlinkSync(`/proc/self/fd/${fd}`));
  } catch {
    // The directory itself, which has been closed again.
    return false;
  }
}

const descriptors = (): number => readdirSync('/proc/self/fd').filter(isDevice).length;

/** Queue numbers by flow, received ones plus 1, sent ones minus: `7000: [+2, -2, ...]`. */
const flows: Record<string, number[]> = {};

/** Behind the virtio header: a TCP frame's two ports. */
function note(bytes: Uint8Array, queue: number): void {
  const v = new DataView(bytes.buffer, bytes.byteOffset + 12, bytes.byteLength - 12);
  if (v.getUint16(12) !== 0x0800 || v.getUint8(23) !== 6) return;
  const [here, there] = queue < 0 ? [34, 36] : [36, 34];
  const flow = `${v.getUint16(here)} ${v.getUint16(there)}`;
  flows[flow] ??= [];
  flows[flow].push(queue);
}

/** The queue, looked at. */
function watched(queue: DoorQueue, i: number): DoorQueue {
  let last: Uint8Array | null = null;
  return {
    start: (handlers) =>
      queue.start({
        ...handlers,
        frame: (bytes) => {
          note(bytes, i + 1);
          handlers.frame(bytes);
        },
      }),
    room: () => {
      last = queue.room();
      return last;
    },
    send: (length) => {
      if (last !== null) note(last.subarray(0, length), -i - 1);
      queue.send(length);
    },
    flush: () => queue.flush(),
  };
}

const before = descriptors();
const { machine, host } = bootReal({ name: 'queues', modules: defconfig, cpus: QUEUES });
const hostAddress = { address: [10, 77, 0, 1], prefix: 24 };
const tap = new Tap({ name: 'softnet0', hostAddress, queues: QUEUES });
const door: Door = {
  vnetHdrSize: tap.vnetHdrSize,
  offloads: tap.offloads,
  mac: null,
  get txErrors() {
    return tap.txErrors;
  },
  queues: tap.queues.map(watched),
  setQueues: (count) => tap.setQueues(count),
  close: () => tap.close(),
};
const link = new DoorLink(host, machine.initNet, door, { ifname: 'eth0', onGone: () => {} });

const fork = (name: string): ReturnType<typeof forkReal> => forkReal(machine, host, name);

async function run(line: string): Promise<string> {
  const sys = fork('sh');
  const [stdout, stderr] = [new Collector(), new Collector()];
  const argv = ['sh', '-c', line];
  const status = await runProcess(sh, new Process({ sys, argv, stdout, stderr, fork }));
  sys.exit(status);
  if (status !== 0) throw new Error(`${line}: ${stderr.text()}`);
  return stdout.text();
}

for (const line of [
  'ip link set lo up',
  'ip addr add 10.77.0.2/24 dev eth0',
  'ip link set eth0 up',
]) {
  await run(line);
}
const echod = COMMANDS['echod'];
if (echod === undefined) throw new Error('there is no program echod');
const server = fork('echod');
void runProcess(echod, new Process({ sys: server, argv: ['echod'], fork }));

process.once('SIGTERM', () => {
  server.exit(0);
  link.close();
  const left = haltReal(machine, host);
  const leaked = descriptors() - before;
  const { txErrors } = tap;
  process.stdin.destroy();
  process.stdout.write(`${JSON.stringify({ flows, left, leaked, txErrors })}\n`);
});

/** A line of standard input is run, and what it printed ends with a line `done`. */
process.stdin.on('data', (chunk: Buffer) => {
  void run(chunk.toString().trim()).then(
    (text) => process.stdout.write(`${text}done\n`),
    (error: unknown) => process.stdout.write(`${String(error)}\ndone\n`),
  );
});
process.stdout.write('ready\n');
