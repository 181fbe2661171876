/**
 * Ethernet frames over a stream socket, each behind its length in four octets, most significant
 * first: what `-netdev stream` and `-netdev socket` of QEMU speak, and passt, libkrun, vmnet's and
 * other helpers with it. Neither root nor native code is needed.
 *
 *   qemu-system-x86_64 ... -netdev stream,id=n,server=off,addr.type=unix,addr.path=/tmp/vm.sock
 *
 * A door that listens serves one guest after the other. What is sent in one turn of the event loop
 * goes out in one write; while the socket does not take more there is no room.
 */
import { existsSync, rmSync, statSync } from 'node:fs';
import { connect, createServer, type NetConnectOpts, type Server, type Socket } from 'node:net';
import {
  DOOR_FRAME_SIZE,
  type Door,
  DoorError,
  type DoorHandlers,
  type DoorQueue,
} from '#host/node/door.ts';

/** Octets of the length before each frame. */
const PREFIX = 4;
/** The largest frame that QEMU takes: its NET_BUFSIZE. */
const MAX_FRAME: number = 4096 + 65536;
const ETH_HLEN = 14;
/** Frames gathered for one write. */
const SLAB_BYTES: number = 8 * (PREFIX + DOOR_FRAME_SIZE);
/** Bytes that may wait in the socket before the machine is told to wait. */
const HIGH_WATER: number = 1024 * 1024;

/** Where the other end is, or shall come to. */
export type StreamAddress =
  | { readonly path: string }
  | { readonly host: string; readonly port: number };

/** `host:port` with a number after the last colon, else a path. Throws DoorError. */
export function parseStreamAddress(text: string): StreamAddress {
  const match = /^([^/]*):(\d{1,5})$/.exec(text);
  if (match === null) {
    // sun_path has 108 octets, one for the end.
    if (Buffer.byteLength(text) > 107) throw new DoorError(`the path '${text}' is too long`);
    if (text === '') throw new DoorError('a path or HOST:PORT is missing');
    return { path: text };
  }
  const port = Number(match[2]);
  if (port > 65535) throw new DoorError(`'${text}' has no port between 0 and 65535`);
  return { host: match[1] === '' ? '127.0.0.1' : (match[1] as string), port };
}

export interface FrameStreamOptions {
  readonly address: StreamAddress;
  /** True: wait for guests there; false: connect. */
  readonly listen: boolean;
  /** Told when a guest has come, and when it has gone. */
  readonly onPeer?: (there: boolean) => void;
  /** Told when a guest could not be let in, e.g. for want of descriptors; the door goes on listening. */
  readonly onRefused?: (reason: string) => void;
}

/** Cuts a stream into frames. */
export class FrameReader {
  /** The begin of a frame that has not come in whole. */
  private rest: Buffer;

  constructor() {
    this.rest = Buffer.alloc(0);
  }

  /**
   * Calls `frame` for each frame that is complete, in a buffer that is only valid during the call.
   * Throws DoorError for a length that no frame has: what follows cannot be found any more.
   */
  push(chunk: Buffer, frame: (bytes: Uint8Array) => void): void {
    const bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    let at = 0;
    while (bytes.length - at >= PREFIX) {
      const length = bytes.readUInt32BE(at);
      if (length > MAX_FRAME) throw new DoorError(`a frame of ${length} bytes is announced`);
      if (bytes.length - at < PREFIX + length) break;
      // What is no frame is left out, as a card would.
      if (length >= ETH_HLEN) frame(bytes.subarray(at + PREFIX, at + PREFIX + length));
      at += PREFIX + length;
    }
    this.rest = at === bytes.length ? EMPTY : Buffer.from(bytes.subarray(at));
  }
}

const EMPTY: Buffer = Buffer.alloc(0);

/** A socket file that nobody listens to any more is left over from somebody who was killed. */
function removeLeftOver(path: string): void {
  if (existsSync(path) && statSync(path).isSocket()) rmSync(path);
}

export class FrameStream implements Door, DoorQueue {
  readonly vnetHdrSize = 0;
  readonly offloads = 0;
  readonly mac = null;
  readonly queues: readonly DoorQueue[];
  txErrors: number;
  /** Resolves when the door listens or is connected; rejects with DoorError. */
  readonly ready: Promise<void>;
  private readonly options: FrameStreamOptions;
  private readonly server: Server | null;
  private socket: Socket | null;
  /** What connects, to a guest or to see whether somebody answers, and has not yet. */
  private dialing: Socket | null;
  private handlers: DoorHandlers | null;
  private slab: Uint8Array;
  private used: number;
  private full: boolean;
  private closed: boolean;

  constructor(options: FrameStreamOptions) {
    this.options = options;
    this.queues = [this];
    this.txErrors = 0;
    this.socket = null;
    this.dialing = null;
    this.handlers = null;
    this.slab = new Uint8Array(SLAB_BYTES);
    this.used = 0;
    this.full = false;
    this.closed = false;
    const { address, listen } = options;
    const to: NetConnectOpts = 'path' in address ? { path: address.path } : { ...address };
    this.server = listen ? createServer((socket) => this.accept(socket)) : null;
    this.ready = this.server === null ? this.dial(to) : this.listen(this.server, to);
  }

  start(handlers: DoorHandlers): void {
    this.handlers = handlers;
    this.socket?.resume();
  }

  room(): Uint8Array | null {
    // Without a guest frames go where those of a cable without a plug go.
    if (this.full) return null;
    if (this.used + PREFIX + DOOR_FRAME_SIZE > this.slab.length) this.flush();
    return this.full ? null : this.slab.subarray(this.used + PREFIX);
  }

  send(length: number): void {
    if (this.socket === null) {
      this.txErrors++;
      return;
    }
    const { slab, used } = this;
    slab[used] = length >>> 24;
    slab[used + 1] = length >>> 16;
    slab[used + 2] = length >>> 8;
    slab[used + 3] = length;
    this.used = used + PREFIX + length;
  }

  flush(): void {
    const { socket, used } = this;
    this.used = 0;
    if (used === 0 || socket === null) return;
    const small = used < this.slab.length / 4;
    // The socket keeps what it is given until it is written: a slab that it has is not ours any more.
    const bytes = small ? this.slab.slice(0, used) : this.slab.subarray(0, used);
    if (!small) this.slab = new Uint8Array(SLAB_BYTES);
    socket.write(bytes);
    this.full = socket.writableLength > HIGH_WATER;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    // Who closes it before it is ready need not wait for that.
    this.ready.catch(() => {});
    this.server?.close();
    this.socket?.destroy();
    this.socket = null;
    this.dialing?.destroy(new Error('the door was closed'));
    this.dialing = null;
  }

  private dial(to: NetConnectOpts): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect(to);
      this.dialing = socket;
      const refused = (error: Error): void => reject(new DoorError(`connecting: ${error.message}`));
      socket.once('error', refused);
      socket.once('connect', () => {
        socket.off('error', refused);
        this.dialing = null;
        this.accept(socket);
        resolve();
      });
    });
  }

  private listen(server: Server, to: NetConnectOpts): Promise<void> {
    return new Promise((resolve, reject) => {
      const refused = (error: NodeJS.ErrnoException): void => {
        reject(new DoorError(`listening: ${error.message}`));
      };
      server.once('listening', () => {
        // From now on it is about one guest: the next may be let in again.
        server.removeAllListeners('error');
        server.on('error', ({ message }) => this.options.onRefused?.(message));
        resolve();
      });
      server.once('close', () => refused(new Error('the door was closed')));
      const begin = (): void => void server.listen(to);
      server.once('error', (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EADDRINUSE' || !('path' in to)) return refused(error);
        // Somebody answers there, or the file is a dead one's.
        if (this.closed) return refused(error);
        const probe = connect(to);
        this.dialing = probe;
        probe.once('connect', () => {
          this.dialing = null;
          probe.destroy();
          refused(error);
        });
        probe.once('error', ({ code }: NodeJS.ErrnoException) => {
          this.dialing = null;
          // Anything else is somebody who lives: too busy for us, or not for us.
          if (code !== 'ECONNREFUSED') return refused(error);
          server.once('error', refused);
          removeLeftOver(to.path as string);
          begin();
        });
      });
      begin();
    });
  }

  private accept(socket: Socket): void {
    // One guest at a time: a cable has one plug.
    if (this.socket !== null || this.closed) {
      socket.destroy();
      return;
    }
    this.socket = socket;
    this.full = false;
    socket.setNoDelay(true);
    const reader = new FrameReader();
    socket.on('data', (chunk: Buffer) => this.take(reader, socket, chunk));
    socket.on('drain', () => {
      this.full = false;
      this.handlers?.drain();
    });
    let reason = 'the other side has closed the connection';
    socket.on('error', (error) => {
      reason = error.message;
    });
    socket.on('close', () => this.left(socket, reason));
    // Nothing is taken before somebody wants it.
    if (this.handlers === null) socket.pause();
    this.options.onPeer?.(true);
  }

  private take(reader: FrameReader, socket: Socket, chunk: Buffer): void {
    try {
      reader.push(chunk, (bytes) => {
        // The door may have been closed by what a frame before it did.
        if (!this.closed) this.handlers?.frame(bytes);
      });
    } catch (error) {
      if (!(error instanceof DoorError)) throw error;
      socket.destroy(error);
    }
    if (!this.closed) this.handlers?.idle();
  }

  private left(socket: Socket, reason: string): void {
    if (this.socket !== socket || this.closed) return;
    this.socket = null;
    this.used = 0;
    this.full = false;
    this.options.onPeer?.(false);
    if (this.server === null) this.handlers?.gone(reason);
    else this.handlers?.drain();
  }
}
