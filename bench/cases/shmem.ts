/**
 * 64 KiB writes one way between machines in two threads, over rings in shared memory, in real time. The
 * receiver checks bytes as the case `bulk` does and counts what came. Both threads' processor time counts.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { bootReal, forkReal } from '#host/node/real_host.ts';
import { type ShmemCable, ShmemLink, shmemCable } from '#host/node/shmem_link.ts';
import { defconfig } from '#init/defconfig.ts';
import { EAGAIN, EINPROGRESS } from '#uapi/errno.ts';
import { POLLIN, POLLOUT } from '#uapi/poll.ts';
import { AF_INET, SOCK_NONBLOCK, SOCK_STREAM } from '#uapi/socket.ts';
import type { SyscallTable } from '#uapi/unistd.ts';
import { Process, runProcess } from '#user/lib/process.ts';
import { encodeSockaddr4 } from '#user/lib/sockaddr.ts';
import { findProgram, main as sh } from '#user/sh/sh.ts';
import { measureAsync, report } from '../measure.ts';
import { must } from '../rig.ts';

const PORT = 5001;
const chunk = new Uint8Array(65536);
for (let i = 0; i < chunk.length; i++) chunk[i] = (i * 7) ^ (i >> 8);

/** A machine at one end of the cable, with its address: the system calls of a task on it. */
async function machineAt(cable: ShmemCable, end: 0 | 1): Promise<SyscallTable> {
  const { machine, host } = bootReal({ name: `m${end}`, modules: defconfig, seed: end });
  new ShmemLink(host, machine.initNet, cable, end, { ifname: 'shm0' });
  const fork = (name: string): SyscallTable => forkReal(machine, host, name);
  for (const line of [`ip addr add 10.0.0.${end + 1}/24 dev shm0`, 'ip link set shm0 up']) {
    const process = new Process({
      sys: fork('sh'),
      argv: ['sh', '-c', line],
      fork,
      programs: findProgram,
    });
    must(-(await runProcess(sh, process)), line);
  }
  return fork('bench');
}

/** Resolves when the descriptor can be read or written. */
function poll(sys: SyscallTable, fd: number, events: number): Promise<void> {
  return new Promise((resolve) => {
    sys.waitFd(fd, events, -1, () => resolve());
  });
}

/** The thread that receives: adds what came to a counter of shared memory. */
async function receive(): Promise<void> {
  const { cable, counter } = workerData as { cable: ShmemCable; counter: SharedArrayBuffer };
  const sys = await machineAt(cable, 1);
  const listener = must(sys.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), 'socket');
  must(sys.bind(listener, encodeSockaddr4(0, PORT)), 'bind');
  must(sys.listen(listener, 1), 'listen');
  parentPort?.postMessage('ready');
  await poll(sys, listener, POLLIN);
  const fd = must(sys.accept4(listener, null, SOCK_NONBLOCK), 'accept');
  const total = new Float64Array(counter);
  const signal = new Int32Array(counter, 8);
  const buffer = new Uint8Array(65536);
  for (let received = 0; ; ) {
    const got = sys.recvfrom(fd, buffer, 0, null);
    if (got === -EAGAIN) {
      await poll(sys, fd, POLLIN);
      continue;
    }
    if (must(got, 'recv') === 0) return;
    for (let i = 0; i < got; i += 4093) {
      if (buffer[i] !== chunk[(received + i) % chunk.length]) throw new Error('a byte is wrong');
    }
    received += got;
    total[0] = received;
    Atomics.add(signal, 0, 1);
  }
}

async function send(): Promise<void> {
  const cable = shmemCable();
  const counter = new SharedArrayBuffer(16);
  const received = new Float64Array(counter);
  const worker = new Worker(new URL(import.meta.url), { workerData: { cable, counter } });
  worker.on('error', (error) => {
    throw error;
  });
  await new Promise((resolve) => worker.once('message', resolve));
  const sys = await machineAt(cable, 0);
  const fd = must(sys.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), 'socket');
  const server = encodeSockaddr4(0x0a000002, PORT);
  let err = sys.connect(fd, server);
  while (err === -EINPROGRESS || err === -EAGAIN) {
    await poll(sys, fd, POLLOUT);
    err = sys.connect(fd, server);
  }
  must(err, 'connect');
  let sent = 0;
  const work = async (): Promise<number> => {
    const before = received[0] as number;
    for (const goal = sent + 64 * chunk.length; sent < goal; ) {
      const n = sys.sendto(fd, chunk.subarray(sent % chunk.length), 0, null);
      if (n === -EAGAIN) await poll(sys, fd, POLLOUT);
      else sent += must(n, 'send');
    }
    return (received[0] as number) - before;
  };
  report(await measureAsync('bytes', work));
  process.exit(0);
}

if (isMainThread) await send();
else await receive();
