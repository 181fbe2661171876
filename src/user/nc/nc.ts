/*
 * `nc`: connects standard input and output to a socket. Counterpart of OpenBSD's nc.
 */
import { inNtop4 } from '#lib/parse_addr.ts';
import { EAGAIN, ECONNREFUSED, EINPROGRESS, EINTR } from '#uapi/errno.ts';
import { INADDR_ANY } from '#uapi/in.ts';
import {
  AF_INET,
  SHUT_WR,
  SO_KEEPALIVE,
  SO_RCVTIMEO,
  SO_REUSEADDR,
  SO_SNDTIMEO,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_STREAM,
  SOL_SOCKET,
} from '#uapi/socket.ts';
import { errnoOf, Killed, reasonOf, SystemError } from '#user/lib/errors.ts';
import { getopt } from '#user/lib/getopt.ts';
import type { Main, Process } from '#user/lib/process.ts';
import { lookup } from '#user/lib/resolve.ts';
import { serviceName } from '#user/lib/services.ts';
import { encodeSockaddr4, parsePort } from '#user/lib/sockaddr.ts';

interface Options {
  udp: boolean;
  listen: boolean;
  keep: boolean;
  verbose: boolean;
  scan: boolean;
  /** Half-close at the end of standard input. */
  shutdown: boolean;
  /** Standard input is not read. */
  noInput: boolean;
  numeric: boolean;
  /** Seconds; 0: no bound. */
  timeout: number;
  /** Seconds to go on after the end of standard input; -1: until the peer ends. */
  quit: number;
  source: number;
  sourcePort: number;
}

const USAGE =
  'usage: nc [-46CDdFhklNnrStUuvZz] [-I length] [-i interval] [-M ttl]\n' +
  '\t  [-m minttl] [-O length] [-P proxy_username] [-p source_port]\n' +
  '\t  [-q seconds] [-s sourceaddr] [-T keyword] [-V rtable] [-W recvlimit]\n' +
  '\t  [-w timeout] [-X proxy_protocol] [-x proxy_address[:port]]\n' +
  '\t  [destination] [port]\n';

/** A complaint that ends the program with status 1. */
class NcError extends Error {}

const CHUNK = 16384;

function readOptions(p: Process): { options: Options; words: readonly string[] } {
  const options: Options = {
    udp: false,
    listen: false,
    keep: false,
    verbose: false,
    scan: false,
    shutdown: false,
    noInput: false,
    numeric: false,
    timeout: 0,
    quit: -1,
    source: INADDR_ANY,
    sourcePort: 0,
  };
  const { options: given, words, error } = getopt(p.args, '4dklNnuvzw:q:s:p:');
  if (error !== null) throw new NcError(`nc: ${error}\n${USAGE}`);
  const switches: Readonly<Record<string, Partial<Options>>> = {
    u: { udp: true },
    l: { listen: true },
    k: { keep: true },
    v: { verbose: true },
    z: { scan: true },
    N: { shutdown: true },
    d: { noInput: true },
    n: { numeric: true },
  };
  for (const { letter, value } of given) {
    Object.assign(options, switches[letter] ?? {});
    if (letter === 'w') options.timeout = seconds(value, 'timeout');
    if (letter === 'q') options.quit = value === '-1' ? -1 : seconds(value, 'quit timer');
    if (letter === 's') options.source = addressOf(p, value);
    if (letter === 'p') options.sourcePort = portOf(value);
  }
  return { options, words };
}

function seconds(text: string, what: string): number {
  if (!/^\d+$/.test(text)) throw new NcError(`nc: ${what} invalid: ${text}\n`);
  return Number(text);
}

function portOf(text: string): number {
  const port = parsePort(text);
  if (port === null || port === 0) {
    const why = /^\d+$/.test(text) ? (Number(text) < 1 ? 'too small' : 'too large') : 'invalid';
    throw new NcError(`nc: port number ${why}: ${text}\n`);
  }
  return port;
}

/** `80` or `80-90`. */
function portsOf(text: string): number[] {
  const dash = text.indexOf('-');
  if (dash < 0) return [portOf(text)];
  const ends = [portOf(text.slice(0, dash)), portOf(text.slice(dash + 1))];
  const [low, high] = [Math.min(...ends), Math.max(...ends)] as const;
  return Array.from({ length: high - low + 1 }, (_, i) => low + i);
}

function addressOf(p: Process, host: string): number {
  const addr = lookup(p, host);
  if (addr !== null) return addr;
  throw new NcError(`nc: getaddrinfo for host "${host}" port 0: Name or service not known\n`);
}

const protocol = (options: Options): string => (options.udp ? 'udp' : 'tcp');

/** Sends what standard input has. */
async function sendInput(p: Process, fd: number, options: Options): Promise<void> {
  const { libc } = p;
  for (;;) {
    const bytes = options.noInput ? null : await p.stdin.read();
    if (bytes === null) break;
    for (let sent = 0; sent < bytes.length; ) {
      // A datagram has its bounds.
      const end = options.udp ? sent + CHUNK : bytes.length;
      sent += await libc.send(fd, bytes.subarray(sent, end));
    }
  }
  if (options.shutdown && !options.udp) libc.sys.shutdown(fd, SHUT_WR);
  if (options.quit < 0) return;
  await libc.sleep(options.quit * 1000);
  // Whatever is still waited for ends now.
  libc.interrupt(0);
}

/** Prints what comes, until its end or until nothing has come for the time of `-w`. */
async function printOutput(p: Process, fd: number, options: Options): Promise<void> {
  const buf = new Uint8Array(options.udp ? 65536 : CHUNK);
  for (;;) {
    const length = await p.libc.recv(fd, buf);
    if (length === 0 && !options.udp) return;
    await p.pour(buf.slice(0, length));
  }
}

/** Carries bytes both ways: a server until the client has said all, a client until both have. */
async function pump(p: Process, fd: number, options: Options): Promise<void> {
  if (options.timeout > 0) p.libc.setTimeout(fd, SO_RCVTIMEO, options.timeout * 1000);
  const sending = sendInput(p, fd, options);
  // Its failure is met where it is waited for, or does not matter any more.
  sending.catch(() => {});
  try {
    await printOutput(p, fd, options);
    if (!options.listen) await sending;
  } catch (error) {
    // EAGAIN: nothing came for so long; EINTR: the time of -q is over.
    const over = [EAGAIN, EINTR].includes(errnoOf(error));
    if (!over) throw error;
  }
}

async function connectOne(
  p: Process,
  options: Options,
  addr: number,
  port: number,
): Promise<number> {
  const { libc } = p;
  const type = options.udp ? SOCK_DGRAM : SOCK_STREAM;
  const fd = libc.socket(AF_INET, type | SOCK_CLOEXEC);
  try {
    if (options.source !== INADDR_ANY || options.sourcePort !== 0) {
      libc.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
      libc.bind(fd, encodeSockaddr4(options.source, options.sourcePort));
    }
    if (options.timeout > 0) libc.setTimeout(fd, SO_SNDTIMEO, options.timeout * 1000);
    await libc.connect(fd, { addr, port });
    if (options.timeout > 0) libc.setTimeout(fd, SO_SNDTIMEO, 0);
    return fd;
  } catch (error) {
    libc.sys.close(fd);
    throw error;
  }
}

/** Asks a UDP port whether somebody refuses. */
async function udpTest(p: Process, fd: number): Promise<boolean> {
  for (let i = 0; i < 2; i++) {
    try {
      await p.libc.send(fd, Uint8Array.of(88));
      await p.libc.sleep(1000);
    } catch (error) {
      if (errnoOf(error) === ECONNREFUSED) return false;
      throw error;
    }
  }
  return true;
}

async function client(
  p: Process,
  options: Options,
  host: string,
  ports: readonly number[],
): Promise<number> {
  const addr = addressOf(p, host);
  let status = 1;
  for (const port of ports) {
    let fd: number;
    try {
      fd = await connectOne(p, options, addr, port);
    } catch (error) {
      if (error instanceof Killed) throw error;
      if (options.verbose) {
        const verb = errnoOf(error) === EINPROGRESS ? 'timed out' : 'failed';
        const why = `${verb}: ${reasonOf(error)}`;
        p.warn(`nc: connect to ${host} port ${port} (${protocol(options)}) ${why}\n`);
      }
      status = 1;
      continue;
    }
    try {
      if (options.udp && (options.verbose || options.scan) && !(await udpTest(p, fd))) {
        status = 1;
        continue;
      }
      status = 0;
      if (options.verbose) {
        const service = options.numeric ? null : serviceName(protocol(options), port);
        const label = `[${protocol(options)}/${service ?? '*'}]`;
        p.warn(`Connection to ${host} ${port} port ${label} succeeded!\n`);
      }
      if (!options.scan) await pump(p, fd, options);
    } finally {
      p.libc.sys.close(fd);
    }
    if (!options.scan) break;
  }
  return status;
}

function listenSocket(p: Process, options: Options, addr: number, port: number): number {
  const { libc } = p;
  const type = options.udp ? SOCK_DGRAM : SOCK_STREAM;
  const fd = libc.socket(AF_INET, type | SOCK_CLOEXEC);
  try {
    libc.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (!options.udp) libc.setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    libc.bind(fd, encodeSockaddr4(addr, port));
    if (!options.udp) libc.listen(fd, 1);
    return fd;
  } catch (error) {
    libc.sys.close(fd);
    throw new NcError(`nc: ${reasonOf(error)}\n`);
  }
}

/** The peer of a datagram socket is whoever speaks first. */
async function adoptPeer(p: Process, fd: number): Promise<void> {
  const buf = new Uint8Array(65536);
  const { length, from } = await p.libc.recvfrom(fd, buf);
  if (from !== null) await p.libc.connect(fd, from);
  await p.pour(buf.slice(0, length));
}

async function server(p: Process, options: Options, addr: number, port: number): Promise<number> {
  const { libc } = p;
  const listener = listenSocket(p, options, addr, port);
  try {
    if (options.verbose)
      p.warn(`${options.udp ? 'Bound' : 'Listening'} on ${inNtop4(addr)} ${port}\n`);
    do {
      if (options.udp) {
        await adoptPeer(p, listener);
        announce(p, options, libc.getpeername(listener));
        await pump(p, listener, options);
        return 0;
      }
      const { fd, peer } = await libc.accept(listener);
      announce(p, options, peer);
      try {
        await pump(p, fd, options);
      } finally {
        libc.sys.close(fd);
      }
    } while (options.keep);
    return 0;
  } finally {
    libc.sys.close(listener);
  }
}

function announce(p: Process, options: Options, peer: { addr: number; port: number } | null): void {
  if (!options.verbose || peer === null) return;
  p.warn(`Connection received on ${inNtop4(peer.addr)} ${peer.port}\n`);
}

async function run(p: Process): Promise<number> {
  const { options, words } = readOptions(p);
  if (options.listen) {
    const [first, second] = words;
    const port =
      second ?? first ?? (options.sourcePort === 0 ? undefined : String(options.sourcePort));
    if (port === undefined) throw new NcError('nc: missing port number\n');
    const host = second === undefined ? null : (first ?? null);
    return server(p, options, host === null ? options.source : addressOf(p, host), portOf(port));
  }
  const [host, port] = words;
  if (host === undefined) throw new NcError(USAGE);
  if (port === undefined) throw new NcError(`nc: missing port number\n`);
  return client(p, options, host, portsOf(port));
}

export const main: Main = async (p) => {
  try {
    return await run(p);
  } catch (error) {
    if (error instanceof NcError) {
      p.warn(error.message);
      return 1;
    }
    // A peer that resets or refuses ends the session without a word.
    if (error instanceof SystemError) return 1;
    throw error;
  }
};
