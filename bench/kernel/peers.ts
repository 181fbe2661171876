/**
 * The two kinds of ends of a case. Each end does the same: opens or accepts one connection with a
 * named congestion control, sends a stream and receives one, in the order that its part says.
 */
import { closeSync } from 'node:fs';
import type { Cable } from '#sim/cable.ts';
import { plugNic } from '#sim/nic.ts';
import { EAGAIN, EINPROGRESS, strerror } from '#uapi/errno.ts';
import { IPPROTO_TCP } from '#uapi/in.ts';
import { AF_INET, SHUT_WR, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM } from '#uapi/socket.ts';
import { TCP_CONGESTION } from '#uapi/tcp.ts';
import { type Main, Process, runProcess } from '#user/lib/process.ts';
import { encodeSockaddr4 } from '#user/lib/sockaddr.ts';
import { Collector } from '#user/lib/streams.ts';
import { main as sh } from '#user/sh/sh.ts';
import {
  accept4,
  bind,
  check,
  connect,
  getsockopt,
  inNetns,
  koffi,
  listen,
  recv,
  send,
  setsockopt,
  socket,
} from './libc.ts';
import type { RealtimeWorld } from './realtime.ts';
import { ByteSink, ByteSource } from './stream.ts';

/** What an end is to do. */
export interface Part {
  readonly opens: boolean;
  /** Address and port of the end that listens. */
  readonly address: number;
  readonly port: number;
  readonly congestionControl: string;
  readonly bytes: number;
  /** Called when the end that opens is about to send. */
  readonly opened: () => void;
  /** Called when the end that listens begins to send. */
  readonly turned: () => void;
}

/** What an end did. Times are the world's, ns. */
export interface Report {
  /** What TCP_CONGESTION says when all is done. */
  congestionControl: string;
  sentFromNs: number;
  receivedAtNs: number;
  sent: string;
  received: string;
  longestGapNs: number;
}

function emptyReport(): Report {
  return {
    congestionControl: '',
    sentFromNs: 0,
    receivedAtNs: 0,
    sent: '',
    received: '',
    longestGapNs: 0,
  };
}

/** Streams differ by who sends them. */
const seedOf = (opens: boolean): number => (opens ? 1 : 2);

const LINUX_READ = 1 << 18;

// The real kernel.

/** koffi closes a handle that nobody holds. */
const waiting: Set<object> = new Set();

/** Resolves when a socket of the kernel can be read or written. */
function ready(fd: number, what: { readable?: boolean; writable?: boolean }): Promise<void> {
  return new Promise((resolve) => {
    const handle = koffi.node.poll(fd, what, () => {
      waiting.delete(handle);
      handle.close();
      resolve();
    });
    waiting.add(handle);
  });
}

/** Repeats a call as long as it would block. */
async function retry(
  fd: number,
  what: { readable?: boolean; writable?: boolean },
  name: string,
  call: () => number,
): Promise<number> {
  for (;;) {
    const n = call();
    if (n >= 0) return n;
    const errno = koffi.errno();
    if (errno !== EAGAIN) throw new Error(`${name}: ${strerror(errno)}`);
    await ready(fd, what);
  }
}

function kernelSocket(netns: string, congestionControl: string): number {
  const type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const fd = inNetns(netns, () => check(socket(AF_INET, type, 0), 'socket'));
  const name = new TextEncoder().encode(congestionControl);
  check(
    inNetns(netns, () => setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, name.length)),
    'cc',
  );
  return fd;
}

function kernelCongestionControl(fd: number): string {
  const name = new Uint8Array(16);
  const length = new Uint32Array([name.length]);
  check(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, length), 'getsockopt');
  return new TextDecoder().decode(name).replace(/\0.*$/s, '');
}

async function kernelOpen(netns: string, part: Part): Promise<number> {
  const fd = kernelSocket(netns, part.congestionControl);
  const address = encodeSockaddr4(part.address, part.port);
  if (part.opens) {
    if (connect(fd, address, address.length) < 0) {
      if (koffi.errno() !== EINPROGRESS) throw new Error(`connect: ${strerror(koffi.errno())}`);
      await ready(fd, { writable: true });
      check(connect(fd, address, address.length), 'connect');
    }
    return fd;
  }
  check(bind(fd, address, address.length), 'bind');
  check(listen(fd, 1), 'listen');
  const accepted = await retry(fd, { readable: true }, 'accept', () =>
    accept4(fd, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC),
  );
  closeSync(fd);
  return accepted;
}

/** An end in a namespace of the real kernel. */
export async function kernelPeer(
  realtime: RealtimeWorld,
  netns: string,
  part: Part,
): Promise<Report> {
  const report = emptyReport();
  const fd = await kernelOpen(netns, part);
  if (part.opens) part.opened();
  const sendAll = async (): Promise<void> => {
    const source = new ByteSource(part.bytes, seedOf(part.opens));
    report.sentFromNs = realtime.clock();
    for (let chunk = source.next(); chunk !== null; chunk = source.next()) {
      for (let rest = chunk; rest.length > 0; ) {
        const piece = rest;
        const n = await retry(fd, { writable: true }, 'send', () =>
          send(fd, piece, piece.length, 0),
        );
        rest = rest.subarray(n);
      }
    }
    report.sent = source.digest();
  };
  const receiveAll = async (): Promise<void> => {
    const sink = new ByteSink(realtime.clock());
    const buffer = new Uint8Array(LINUX_READ);
    while (sink.got < part.bytes) {
      const n = await retry(fd, { readable: true }, 'recv', () =>
        recv(fd, buffer, buffer.length, 0),
      );
      if (n === 0) throw new Error(`the stream ended after ${sink.got} bytes`);
      sink.take(buffer.subarray(0, n), realtime.clock());
    }
    report.receivedAtNs = realtime.clock();
    report.received = sink.digest();
    report.longestGapNs = sink.longestGapNs;
  };
  if (part.opens) await sendAll();
  await receiveAll();
  if (!part.opens) {
    part.turned();
    await sendAll();
  }
  report.congestionControl = kernelCongestionControl(fd);
  closeSync(fd);
  return report;
}

// softnet.

function softnetMain(realtime: RealtimeWorld, part: Part, report: Report): Main {
  return async (p) => {
    const { libc } = p;
    const cc = new TextEncoder().encode(part.congestionControl);
    const name = new Uint8Array(16);
    let fd = libc.socket(AF_INET, SOCK_STREAM);
    libc.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, cc);
    const address = encodeSockaddr4(part.address, part.port);
    if (part.opens) await libc.connect(fd, address);
    else {
      const listener = fd;
      libc.bind(listener, address);
      libc.listen(listener, 1);
      ({ fd } = await libc.accept(listener));
      libc.close(listener);
    }
    if (part.opens) part.opened();
    const sendAll = async (): Promise<void> => {
      const source = new ByteSource(part.bytes, seedOf(part.opens));
      report.sentFromNs = realtime.clock();
      for (let chunk = source.next(); chunk !== null; chunk = source.next()) {
        await libc.send(fd, chunk);
      }
      report.sent = source.digest();
    };
    const receiveAll = async (): Promise<void> => {
      const sink = new ByteSink(realtime.clock());
      const buffer = new Uint8Array(LINUX_READ);
      while (sink.got < part.bytes) {
        const n = await libc.recv(fd, buffer);
        if (n === 0) throw new Error(`the stream ended after ${sink.got} bytes`);
        sink.take(buffer.subarray(0, n), realtime.clock());
      }
      report.receivedAtNs = realtime.clock();
      report.received = sink.digest();
      report.longestGapNs = sink.longestGapNs;
    };
    if (part.opens) await sendAll();
    await receiveAll();
    if (!part.opens) {
      part.turned();
      await sendAll();
    }
    libc.getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name);
    report.congestionControl = new TextDecoder().decode(name).replace(/\0.*$/s, '');
    libc.shutdown(fd, SHUT_WR);
    libc.close(fd);
    return 0;
  };
}

/** An end on a machine of softnet, with a modelled card in the cable. */
export function softnetPeer(
  realtime: RealtimeWorld,
  cable: Cable,
  end: 0 | 1,
  own: string,
  part: Part,
): Promise<Report> {
  const { world } = realtime;
  const machine = world.boot('softnet');
  plugNic(machine, cable, end, { name: 'eth0', mac: Uint8Array.of(2, 0, 0, 0, 0, 1) });
  const report = emptyReport();
  return new Promise((resolve, reject) => {
    const program = world.spawn(machine, 'peer', async (sys, fork) => {
      const run = (main: Main, argv: readonly string[]): Promise<number> =>
        runProcess(main, new Process({ sys, fork, argv, stderr: problems }));
      const problems = new Collector();
      for (const command of [
        `ip addr add ${own}/24 dev eth0`,
        'ip link set eth0 up',
        // As the kernel at the other end has them.
        'sysctl -qw net.ipv4.tcp_rmem="4096 131072 33554432"',
        'sysctl -qw net.ipv4.tcp_wmem="4096 16384 4194304"',
      ]) {
        if ((await run(sh, ['sh', '-c', command])) !== 0) {
          reject(new Error(`${command}: ${problems.text()}`));
          return 1;
        }
      }
      const status = await run(softnetMain(realtime, part, report), ['peer']);
      if (status === 0) resolve(report);
      else reject(new Error(`softnet's end failed: ${problems.text()}`));
      return status;
    });
    void program;
  });
}
