/*
 * What the small servers share: one socket of each kind, a bounded number of connections, a port by `-p`.
 */
import { INADDR_ANY } from '#uapi/in.ts';
import { AF_INET, SO_REUSEADDR, SOCK_CLOEXEC, SOCK_DGRAM, SOL_SOCKET } from '#uapi/socket.ts';
import { Killed, SystemError } from '#user/lib/errors.ts';
import type { Main, Process } from '#user/lib/process.ts';
import { encodeSockaddr4, parsePort, type SockAddr4 } from '#user/lib/sockaddr.ts';
import { listenTcp, type TcpListener, type TcpStream } from '#user/lib/tcp.ts';

export interface Service {
  readonly name: string;
  readonly port: number;
  /** Serves one connection to its end. */
  stream(stream: TcpStream): Promise<void>;
  /** What is sent back for a datagram; null: nothing. */
  datagram(bytes: Uint8Array, from: SockAddr4): Uint8Array | null;
}

const MAX_CONNECTIONS = 1024;
const MAX_DATAGRAM = 65535;

async function serveStreams(listener: TcpListener, service: Service): Promise<void> {
  let connections = 0;
  for await (const stream of listener) {
    if (connections >= MAX_CONNECTIONS) {
      stream.close();
      continue;
    }
    connections++;
    const done = (): void => {
      connections--;
      stream.close();
    };
    // A peer that goes away ends its connection and nothing else.
    service.stream(stream).then(done, done);
  }
}

async function serveDatagrams(p: Process, fd: number, service: Service): Promise<void> {
  const buf = new Uint8Array(MAX_DATAGRAM);
  for (;;) {
    try {
      const { length, from } = await p.libc.recvfrom(fd, buf);
      if (from === null) continue;
      const answer = service.datagram(buf.subarray(0, length), from);
      if (answer !== null) await p.libc.sendto(fd, answer, from);
    } catch (error) {
      // The peer is gone, or there is no way to it: the next one may be there.
      if (!(error instanceof SystemError) || error.code === 'EBADF') throw error;
    }
  }
}

/** The program of a service. */
export function serviceMain(service: Service): Main {
  return async (p) => {
    const [option, value = ''] = p.args;
    const port = option === undefined ? service.port : option === '-p' ? parsePort(value) : null;
    if (port === null || p.args.length > 2) {
      p.warn(`usage: ${service.name} [-p PORT]\n`);
      return 2;
    }
    const { libc } = p;
    const at = { addr: INADDR_ANY, port };
    const listener = listenTcp(libc, at);
    const fd = libc.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC);
    try {
      libc.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
      libc.bind(fd, encodeSockaddr4(at.addr, at.port));
      await Promise.all([serveStreams(listener, service), serveDatagrams(p, fd, service)]);
      return 0;
    } catch (error) {
      if (error instanceof Killed) throw error;
      p.warn(`${service.name}: ${error instanceof Error ? error.message : String(error)}\n`);
      return 1;
    } finally {
      listener.close();
      libc.sys.close(fd);
    }
  };
}
