/*
 * TCP sockets as web streams, in the manner of the Sockets API that servers of JavaScript share (WinterTC): the
 * same code runs in Node, in a worker and in a page.
 */
import { inNtop4 } from '#lib/parse_addr.ts';
import { EPIPE } from '#uapi/errno.ts';
import { SHUT_RD, SHUT_RDWR } from '#uapi/socket.ts';
import { SystemError } from '#user/lib/errors.ts';
import type { Process } from '#user/lib/process.ts';
import { lookup } from '#user/lib/resolve.ts';
import { parsePort, type SockAddr4 } from '#user/lib/sockaddr.ts';
import { connectTcp, listenTcp, type TcpStream } from '#user/lib/tcp.ts';

/** `host:port`, or the two apart. */
export type SocketAddress = string | { readonly hostname: string; readonly port: number };

export interface SocketOptions {
  /** When the peer ends, writing goes on; otherwise the socket closes. */
  readonly allowHalfOpen?: boolean;
}

export interface SocketInfo {
  /** `address:port` */
  readonly remoteAddress: string;
  readonly localAddress: string;
}

/** Bytes that are read at once. */
const CHUNK = 65536;

const text = (end: SockAddr4 | null): string =>
  end === null ? '' : `${inNtop4(end.addr)}:${end.port}`;

/** A connection as a pair of streams. */
export class Socket {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  /** Resolves when the connection stands; rejects when it cannot. */
  readonly opened: Promise<SocketInfo>;
  /** Resolves when both directions have ended; rejects with what went wrong. */
  readonly closed: Promise<void>;
  private readonly stream: Promise<TcpStream>;
  private readonly allowHalfOpen: boolean;
  /** A read is under way. */
  private pulling: boolean;
  private failed: boolean;
  private readDone: boolean;
  private writeDone: boolean;
  private settle: { resolve: () => void; reject: (error: unknown) => void } | null;

  constructor(stream: Promise<TcpStream>, options: SocketOptions = {}) {
    this.stream = stream;
    this.allowHalfOpen = options.allowHalfOpen ?? false;
    this.pulling = false;
    this.failed = false;
    this.readDone = false;
    this.writeDone = false;
    this.settle = null;
    this.opened = stream.then(({ peer, local }) => ({
      remoteAddress: text(peer),
      localAddress: text(local),
    }));
    this.closed = new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
    });
    // Who does not look at them has not missed an error: the streams tell it too.
    this.opened.catch((error: unknown) => this.fail(error));
    this.closed.catch(() => {});
    this.readable = new ReadableStream<Uint8Array>(
      { pull: (controller) => this.pull(controller), cancel: () => this.cancelReading() },
      { highWaterMark: 0 },
    );
    this.writable = new WritableStream<Uint8Array>({
      write: (bytes) => this.write(bytes),
      close: () => this.endWriting(),
      abort: () => this.close(),
    });
  }

  /** Ends both directions at once, and a read that waits. */
  async close(): Promise<void> {
    this.readDone = true;
    this.writeDone = true;
    await this.wakeReader(SHUT_RDWR);
    await this.finish();
  }

  /** A close alone leaves those asleep who wait in recv(), and the connection open, as in Linux. */
  private async wakeReader(how: number): Promise<void> {
    if (!this.pulling) return;
    try {
      const { libc, fd } = await this.stream;
      libc.sys.shutdown(fd, how);
    } catch {
      // It never stood; finish() tells.
    }
  }

  private async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    this.pulling = true;
    try {
      const stream = await this.stream;
      const bytes = await stream.read(CHUNK);
      if (this.readDone) {
        this.endStream(controller);
        return;
      }
      if (bytes !== null) {
        controller.enqueue(bytes);
        return;
      }
      controller.close();
      await this.endReading();
    } catch (error) {
      // Whoever closed it knows that it is closed.
      if (this.readDone && this.writeDone && !this.failed) {
        this.endStream(controller);
        return;
      }
      this.fail(error);
      throw error;
    } finally {
      this.pulling = false;
    }
  }

  /** Ends the stream of what is read, unless its reader has. */
  private endStream(controller: ReadableStreamDefaultController<Uint8Array>): void {
    try {
      controller.close();
    } catch {
      // It was cancelled.
    }
  }

  private async write(bytes: Uint8Array): Promise<void> {
    try {
      if (this.writeDone) throw new SystemError(-EPIPE, 'write');
      await (await this.stream).write(bytes);
    } catch (error) {
      this.fail(error);
      throw error;
    }
  }

  /** Nobody reads any more: neither does a read that waits. */
  private async cancelReading(): Promise<void> {
    this.readDone = true;
    await this.wakeReader(SHUT_RD);
    await this.endReading();
  }

  private async endReading(): Promise<void> {
    this.readDone = true;
    if (!this.allowHalfOpen) await this.endWriting();
    await this.finish();
  }

  private async endWriting(): Promise<void> {
    if (this.writeDone) return;
    this.writeDone = true;
    (await this.stream).end();
    await this.finish();
  }

  private async finish(): Promise<void> {
    if (!this.readDone || !this.writeDone) return;
    try {
      (await this.stream).close();
      this.settle?.resolve();
    } catch (error) {
      this.fail(error);
    }
  }

  /** What went wrong ends everything. */
  private fail(error: unknown): void {
    this.failed = true;
    this.readDone = true;
    this.writeDone = true;
    this.stream.then(
      (stream) => stream.close(),
      () => {},
    );
    this.settle?.reject(error);
  }
}

/** Where an address is. @throws TypeError for one that cannot be read, Error for a name nobody knows */
function resolve(p: Process, address: SocketAddress): SockAddr4 {
  const colon = typeof address === 'string' ? address.lastIndexOf(':') : -1;
  const hostname =
    typeof address === 'string' ? address.slice(0, Math.max(0, colon)) : address.hostname;
  const port = typeof address === 'string' ? parsePort(address.slice(colon + 1)) : address.port;
  if (hostname === '' || port === null || !Number.isInteger(port) || port < 0 || port > 65535) {
    throw new TypeError(`not an address: ${JSON.stringify(address)}`);
  }
  const addr = lookup(p, hostname);
  if (addr === null) throw new Error(`unknown host: ${hostname}`);
  return { addr, port };
}

/** Connects; the socket can be written to at once. @throws TypeError */
export function connect(p: Process, address: SocketAddress, options: SocketOptions = {}): Socket {
  return new Socket(connectTcp(p.libc, resolve(p, address)), options);
}

/** A socket that listens. */
export interface Server {
  readonly localAddress: string;
  /** Connections as they come, until the server is closed. */
  readonly connections: AsyncIterable<Socket>;
  close(): void;
}

/** Listens. @throws TypeError SystemError */
export function listen(p: Process, address: SocketAddress, options: SocketOptions = {}): Server {
  const listener = listenTcp(p.libc, resolve(p, address));
  async function* connections(): AsyncGenerator<Socket, void, void> {
    for await (const stream of listener) yield new Socket(Promise.resolve(stream), options);
  }
  return {
    localAddress: text(listener.local),
    connections: connections(),
    close: () => listener.close(),
  };
}
