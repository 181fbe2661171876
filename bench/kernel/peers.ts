/**
 * The two kinds of ends of a case. Each end does the same: opens or accepts one connection with a
 * named congestion control, sends a stream and receives one, in the order that its part says.
 */
import { closeSync } from 'node:fs';
import type { Cable } from '#sim/cable.ts';
import { plugNic } from '#sim/nic.ts';
import type { World } from '#sim/world.ts';
import { EAGAIN, EINPROGRESS, strerror } from '#uapi/errno.ts';
import { IPPROTO_TCP } from '#uapi/in.ts';
import { AF_INET, SHUT_WR, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM } from '#uapi/socket.ts';
import { TCP_CONGESTION } from '#uapi/tcp.ts';
import type { Libc } from '#user/lib/libc.ts';
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
import { ByteSink, ByteSource } from './stream.ts';

/** A world, and what time it is for the programs in it. */
export interface Clocked {
  readonly world: World;
  /** ns since the world began. */
  clock(): number;
}

/** One connection, with a stream each way. */
export interface Round {
  /** Bytes of each stream. */
  readonly bytes: number;
  /** Called when the end that opens is about to do so. */
  readonly opens: () => void;
  /** Called when the end that opens is about to send. */
  readonly opened: () => void;
  /** Called when the end that listens begins to send. */
  readonly turned: () => void;
}

/** What an end is to do. */
export interface Part {
  readonly opens: boolean;
  /** Address and port of the end that listens. */
  readonly address: number;
  readonly port: number;
  readonly congestionControl: string;
  /** One after the other; the last is reported. */
  readonly rounds: readonly Round[];
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

async function kernelConnect(netns: string, part: Part): Promise<number> {
  const fd = kernelSocket(netns, part.congestionControl);
  const address = encodeSockaddr4(part.address, part.port);
  if (connect(fd, address, address.length) < 0) {
    if (koffi.errno() !== EINPROGRESS) throw new Error(`connect: ${strerror(koffi.errno())}`);
    await ready(fd, { writable: true });
    check(connect(fd, address, address.length), 'connect');
  }
  return fd;
}

function kernelListen(netns: string, part: Part): number {
  const fd = kernelSocket(netns, part.congestionControl);
  const address = encodeSockaddr4(part.address, part.port);
  check(bind(fd, address, address.length), 'bind');
  check(listen(fd, 1), 'listen');
  return fd;
}

function kernelAccept(listener: number): Promise<number> {
  return retry(listener, { readable: true }, 'accept', () =>
    accept4(listener, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC),
  );
}

async function kernelSend(
  time: Clocked,
  fd: number,
  source: ByteSource,
  report: Report,
): Promise<void> {
  report.sentFromNs = time.clock();
  for (let chunk = source.next(); chunk !== null; chunk = source.next()) {
    for (let rest = chunk; rest.length > 0; ) {
      const piece = rest;
      const n = await retry(fd, { writable: true }, 'send', () => send(fd, piece, piece.length, 0));
      rest = rest.subarray(n);
    }
  }
  report.sent = source.digest();
}

async function kernelReceive(
  time: Clocked,
  fd: number,
  bytes: number,
  report: Report,
): Promise<void> {
  const sink = new ByteSink(time.clock());
  const buffer = new Uint8Array(LINUX_READ);
  while (sink.got < bytes) {
    const n = await retry(fd, { readable: true }, 'recv', () => recv(fd, buffer, buffer.length, 0));
    if (n === 0) throw new Error(`the stream ended after ${sink.got} bytes`);
    sink.take(buffer.subarray(0, n), time.clock());
  }
  report.receivedAtNs = time.clock();
  report.received = sink.digest();
  report.longestGapNs = sink.longestGapNs;
}

/** An end in a namespace of the real kernel. */
export async function kernelPeer(time: Clocked, netns: string, part: Part): Promise<Report> {
  const listener = part.opens ? -1 : kernelListen(netns, part);
  let report = emptyReport();
  for (const round of part.rounds) {
    report = emptyReport();
    const source = new ByteSource(round.bytes, seedOf(part.opens));
    if (part.opens) round.opens();
    const fd = await (part.opens ? kernelConnect(netns, part) : kernelAccept(listener));
    if (part.opens) {
      round.opened();
      await kernelSend(time, fd, source, report);
    }
    await kernelReceive(time, fd, round.bytes, report);
    if (!part.opens) {
      round.turned();
      await kernelSend(time, fd, source, report);
    }
    report.congestionControl = kernelCongestionControl(fd);
    closeSync(fd);
  }
  if (listener >= 0) closeSync(listener);
  return report;
}

// softnet.

async function softnetSend(
  time: Clocked,
  libc: Libc,
  fd: number,
  source: ByteSource,
  report: Report,
): Promise<void> {
  report.sentFromNs = time.clock();
  for (let chunk = source.next(); chunk !== null; chunk = source.next()) {
    await libc.send(fd, chunk);
  }
  report.sent = source.digest();
}

async function softnetReceive(
  time: Clocked,
  libc: Libc,
  fd: number,
  bytes: number,
  report: Report,
): Promise<void> {
  const sink = new ByteSink(time.clock());
  const buffer = new Uint8Array(LINUX_READ);
  while (sink.got < bytes) {
    const n = await libc.recv(fd, buffer);
    if (n === 0) throw new Error(`the stream ended after ${sink.got} bytes`);
    sink.take(buffer.subarray(0, n), time.clock());
  }
  report.receivedAtNs = time.clock();
  report.received = sink.digest();
  report.longestGapNs = sink.longestGapNs;
}

function softnetSocket(libc: Libc, part: Part): number {
  const fd = libc.socket(AF_INET, SOCK_STREAM);
  libc.setsockopt(
    fd,
    IPPROTO_TCP,
    TCP_CONGESTION,
    new TextEncoder().encode(part.congestionControl),
  );
  return fd;
}

async function softnetConnect(libc: Libc, part: Part): Promise<number> {
  const fd = softnetSocket(libc, part);
  await libc.connect(fd, encodeSockaddr4(part.address, part.port));
  return fd;
}

function softnetListen(libc: Libc, part: Part): number {
  const fd = softnetSocket(libc, part);
  libc.bind(fd, encodeSockaddr4(part.address, part.port));
  libc.listen(fd, 1);
  return fd;
}

function softnetMain(time: Clocked, part: Part, done: (report: Report) => void): Main {
  return async (p) => {
    const { libc } = p;
    const name = new Uint8Array(16);
    const listener = part.opens ? -1 : softnetListen(libc, part);
    let report = emptyReport();
    for (const round of part.rounds) {
      report = emptyReport();
      const source = new ByteSource(round.bytes, seedOf(part.opens));
      if (part.opens) round.opens();
      const fd = part.opens ? await softnetConnect(libc, part) : (await libc.accept(listener)).fd;
      if (part.opens) {
        round.opened();
        await softnetSend(time, libc, fd, source, report);
      }
      await softnetReceive(time, libc, fd, round.bytes, report);
      if (!part.opens) {
        round.turned();
        await softnetSend(time, libc, fd, source, report);
      }
      libc.getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name);
      report.congestionControl = new TextDecoder().decode(name).replace(/\0.*$/s, '');
      libc.shutdown(fd, SHUT_WR);
      libc.close(fd);
    }
    if (listener >= 0) libc.close(listener);
    done(report);
    return 0;
  };
}

/** An end on a machine of softnet, with a modelled card in the cable. */
export function softnetPeer(
  time: Clocked,
  cable: Cable,
  end: 0 | 1,
  own: string,
  part: Part,
): Promise<Report> {
  const { world } = time;
  const machine = world.boot(`softnet${end}`);
  plugNic(machine, cable, end, { name: 'eth0', mac: Uint8Array.of(2, 0, 0, 0, 0, end + 1) });
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
        'sysctl -qw net.ipv4.tcp_no_metrics_save=1',
        // Linux 6.18 puts SACKs off by a twentieth of the RTT, and has no such settings yet.
        'sysctl -qw net.ipv4.tcp_comp_sack_rtt_percent=5',
        'sysctl -qw net.ipv4.tcp_comp_sack_slack_ns=100000',
        'sysctl -qw net.ipv4.tcp_rcvbuf_low_rtt=0',
        // A TAP device hands each frame on by itself.
        'ethtool -K eth0 gro off',
      ]) {
        if ((await run(sh, ['sh', '-c', command])) !== 0) {
          reject(new Error(`${command}: ${problems.text()}`));
          return 1;
        }
      }
      const status = await run(softnetMain(time, part, resolve), ['peer']);
      if (status !== 0) reject(new Error(`softnet's end failed: ${problems.text()}`));
      return status;
    });
    void program;
  });
}
