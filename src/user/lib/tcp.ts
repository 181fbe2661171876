/*
 * TCP as streams: a listener that gives connections, a connection that gives bytes, both to be iterated.
 */

import { IPPROTO_TCP } from '#uapi/in.ts';
import {
  AF_INET,
  SHUT_RDWR,
  SHUT_WR,
  SO_REUSEADDR,
  SOCK_CLOEXEC,
  SOCK_STREAM,
  SOL_SOCKET,
} from '#uapi/socket.ts';
import { TCP_NODELAY } from '#uapi/tcp.ts';
import type { Libc } from '#user/lib/libc.ts';
import { encodeSockaddr4, type SockAddr4 } from '#user/lib/sockaddr.ts';

/** Bytes asked for at once when nothing else is said. */
const READ_BYTES = 65536;

/** A connection. Whoever has it must close it. */
export class TcpStream implements AsyncIterable<Uint8Array> {
  readonly libc: Libc;
  readonly fd: number;
  private open: boolean;

  constructor(libc: Libc, fd: number) {
    this.libc = libc;
    this.fd = fd;
    this.open = true;
  }

  get local(): SockAddr4 | null {
    return this.libc.getsockname(this.fd);
  }

  get peer(): SockAddr4 | null {
    return this.libc.getpeername(this.fd);
  }

  /** Fills a part of `buf`; 0 at the end of the stream. */
  readInto(buf: Uint8Array): Promise<number> {
    return this.libc.recv(this.fd, buf);
  }

  /** The next bytes; null at the end of the stream. */
  async read(max: number = READ_BYTES): Promise<Uint8Array | null> {
    const buf = new Uint8Array(max);
    const length = await this.readInto(buf);
    return length === 0 ? null : buf.subarray(0, length);
  }

  /** Hands all bytes to the kernel. */
  async write(bytes: Uint8Array): Promise<void> {
    // A call that met an error after a part of the bytes reports the part; the next one reports the error.
    for (let sent = 0; sent < bytes.length; ) {
      sent += await this.libc.send(this.fd, sent === 0 ? bytes : bytes.subarray(sent));
    }
  }

  /** Says that no more will be written; reading goes on. */
  end(): void {
    this.libc.shutdown(this.fd, SHUT_WR);
  }

  setNoDelay(on: boolean): void {
    this.libc.setsockopt(this.fd, IPPROTO_TCP, TCP_NODELAY, on ? 1 : 0);
  }

  close(): void {
    if (!this.open) return;
    this.open = false;
    this.libc.sys.close(this.fd);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    for (;;) {
      const bytes = await this.read();
      if (bytes === null) return;
      yield bytes;
    }
  }
}

/** Connects. @throws SystemError */
export async function connectTcp(libc: Libc, to: SockAddr4): Promise<TcpStream> {
  const fd = libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
  try {
    await libc.connect(fd, to);
    return new TcpStream(libc, fd);
  } catch (error) {
    libc.sys.close(fd);
    throw error;
  }
}

/** A socket that listens. Whoever has it must close it. */
export class TcpListener implements AsyncIterable<TcpStream> {
  readonly libc: Libc;
  readonly fd: number;
  private open: boolean;

  constructor(libc: Libc, fd: number) {
    this.libc = libc;
    this.fd = fd;
    this.open = true;
  }

  get local(): SockAddr4 | null {
    return this.libc.getsockname(this.fd);
  }

  async accept(): Promise<TcpStream> {
    const { fd } = await this.libc.accept(this.fd, SOCK_CLOEXEC);
    return new TcpStream(this.libc, fd);
  }

  /** Ends listening, and the loops that take connections. */
  close(): void {
    if (!this.open) return;
    this.open = false;
    // A close alone leaves those asleep who wait in accept(), as in Linux.
    this.libc.sys.shutdown(this.fd, SHUT_RDWR);
    this.libc.sys.close(this.fd);
  }

  /** Connections as they come, until the listener is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<TcpStream, void, void> {
    while (this.open) {
      let stream: TcpStream;
      try {
        stream = await this.accept();
      } catch (error) {
        if (this.open) throw error;
        return;
      }
      yield stream;
    }
  }
}

/** Listens; on any address and a free port when it is all zero. @throws SystemError */
export function listenTcp(libc: Libc, at: SockAddr4, backlog = 511): TcpListener {
  const fd = libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
  try {
    libc.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    libc.bind(fd, encodeSockaddr4(at.addr, at.port));
    libc.listen(fd, backlog);
    return new TcpListener(libc, fd);
  } catch (error) {
    libc.sys.close(fd);
    throw error;
  }
}
