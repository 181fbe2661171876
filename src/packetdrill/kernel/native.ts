/*
 * Functions of the C library, called through koffi, and memory with a fixed address for what they
 * point at. Results are Linux's: at least 0, or a negative errno.
 */

import { createRequire } from 'node:module';
import { BackendUnavailable } from '#packetdrill/backend.ts';

/** Result type and number of arguments; all arguments are integers or addresses. */
export const FUNCTIONS = {
  accept4: ['int', 4],
  bind: ['int', 3],
  clock_gettime: ['int', 2],
  close: ['int', 1],
  connect: ['int', 3],
  dup: ['int', 1],
  epoll_create1: ['int', 1],
  epoll_ctl: ['int', 4],
  epoll_wait: ['int', 4],
  eventfd: ['int', 2],
  fcntl: ['int', 3],
  getsockname: ['int', 3],
  getsockopt: ['int', 5],
  ioctl: ['int', 3],
  listen: ['int', 2],
  open: ['int', 3],
  pipe2: ['int', 2],
  poll: ['int', 3],
  ppoll: ['int', 4],
  prctl: ['int', 5],
  read: ['int64', 3],
  recvfrom: ['int64', 6],
  recvmsg: ['int64', 3],
  sched_setscheduler: ['int', 3],
  sendfile: ['int64', 4],
  sendmsg: ['int64', 3],
  sendto: ['int64', 6],
  setns: ['int', 2],
  setsockopt: ['int', 5],
  shutdown: ['int', 2],
  socket: ['int', 3],
  splice: ['int64', 6],
  unshare: ['int', 1],
  write: ['int64', 3],
} as const;

export type FunctionName = keyof typeof FUNCTIONS;

/** Names by number, for other threads. */
export const FUNCTION_NAMES: readonly FunctionName[] = Object.keys(FUNCTIONS) as FunctionName[];

/** Where koffi lies, for other threads. */
export function koffiPath(): string {
  return createRequire(import.meta.url).resolve('koffi');
}

export interface Koffi {
  load(path: null): {
    func(name: string, result: string, args: readonly string[]): (...args: number[]) => number;
  };
  errno(): number;
  address(view: ArrayBufferView): bigint;
}

export class Native {
  private readonly koffi: Koffi;
  private readonly functions: ReadonlyMap<FunctionName, (...args: number[]) => number>;

  constructor() {
    try {
      this.koffi = createRequire(import.meta.url)('koffi') as Koffi;
    } catch {
      throw new BackendUnavailable(
        'the package koffi is not installed: it is needed for system calls (npm install koffi)',
      );
    }
    const lib = this.koffi.load(null);
    this.functions = new Map(
      FUNCTION_NAMES.map((name) => {
        const [result, count] = FUNCTIONS[name];
        return [name, lib.func(name, result, Array<string>(count).fill('int64'))];
      }),
    );
  }

  call(name: FunctionName, ...args: number[]): number {
    const f = this.functions.get(name) as (...args: number[]) => number;
    const result = Number(f(...args));
    return result < 0 ? -this.koffi.errno() : result;
  }

  /** As `call`, for what must succeed. */
  must(what: string, name: FunctionName, ...args: number[]): number {
    const result = this.call(name, ...args);
    if (result < 0) throw new BackendUnavailable(`${what}: errno ${-result}`);
    return result;
  }

  addressOf(bytes: Uint8Array): number {
    return Number(this.koffi.address(bytes));
  }
}

/** Memory of which pieces are handed out until it is reset; the collector does not move it. */
export class Arena {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  private readonly address: number;
  private used: number;

  constructor(native: Native, size: number) {
    const memory = new SharedArrayBuffer(size);
    this.bytes = new Uint8Array(memory);
    this.view = new DataView(memory);
    this.address = native.addressOf(this.bytes);
    this.used = 0;
  }

  reset(): void {
    this.used = 0;
  }

  /** Offset of `length` bytes, all 0. */
  alloc(length: number): number {
    const at = this.used;
    this.used = (at + length + 15) & ~15;
    if (this.used > this.bytes.length) {
      throw new RangeError(`a system call with ${length} bytes is more than there is room for`);
    }
    this.bytes.fill(0, at, at + length);
    return at;
  }

  /** Offset of a copy. */
  put(source: Uint8Array): number {
    const at = this.alloc(source.length);
    this.bytes.set(source, at);
    return at;
  }

  /** The address of what lies at an offset. */
  at(offset: number): number {
    return this.address + offset;
  }

  /** Address of a copy; 0 for null. */
  pointer(source: Uint8Array | null): number {
    return source === null ? 0 : this.at(this.put(source));
  }

  /** Copies out again what was given to the kernel. */
  take(offset: number, target: Uint8Array): void {
    target.set(this.bytes.subarray(offset, offset + target.length));
  }

  setUint64(offset: number, value: number): void {
    this.view.setUint32(offset, value >>> 0, true);
    this.view.setUint32(offset + 4, Math.floor(value / 2 ** 32), true);
  }

  getUint64(offset: number): number {
    return this.view.getUint32(offset, true) + this.view.getUint32(offset + 4, true) * 2 ** 32;
  }
}
