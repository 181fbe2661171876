/**
 * What the table needs of the C library and Node does not have: network namespaces, timers finer than
 * a millisecond, sockets whose congestion control is named. Through koffi, the optional dependency.
 */
import { closeSync, openSync } from 'node:fs';
import { createRequire } from 'node:module';
import { strerror } from '#uapi/errno.ts';

interface Koffi {
  load(path: null): {
    func(name: string, result: string, args: readonly string[]): (...args: unknown[]) => number;
  };
  errno(): number;
  readonly node: {
    poll(
      fd: number,
      options: { readable?: boolean; writable?: boolean },
      callback: (status: number, events: unknown) => void,
    ): { close(): void };
  };
}

/** A function of the C library; buffers go as typed arrays. */
export type Call = (...args: unknown[]) => number;

export const koffi: Koffi = createRequire(import.meta.url)('koffi') as Koffi;
const lib = koffi.load(null);

const CLONE_NEWNET = 0x40000000;
const setns = lib.func('setns', 'int', ['int', 'int']);

/** Calls `fn`, which must not await, with this thread in a network namespace made by ip-netns(8). */
export function inNetns<T>(name: string, fn: () => T): T {
  const own = openSync('/proc/thread-self/ns/net', 'r');
  const other = openSync(`/run/netns/${name}`, 'r');
  try {
    check(setns(other, CLONE_NEWNET), 'setns');
    try {
      return fn();
    } finally {
      check(setns(own, CLONE_NEWNET), 'setns');
    }
  } finally {
    closeSync(own);
    closeSync(other);
  }
}

/** Throws when a call has failed. */
export function check(result: number, what: string): number {
  if (result >= 0) return result;
  throw new Error(`${what}: ${strerror(koffi.errno())}`);
}

export const socket: Call = lib.func('socket', 'int', ['int', 'int', 'int']);
export const bind: Call = lib.func('bind', 'int', ['int', 'void *', 'uint32_t']);
export const listen: Call = lib.func('listen', 'int', ['int', 'int']);
export const connect: Call = lib.func('connect', 'int', ['int', 'void *', 'uint32_t']);
export const accept4: Call = lib.func('accept4', 'int', ['int', 'void *', 'void *', 'int']);
export const setsockopt: Call = lib.func('setsockopt', 'int', [
  'int',
  'int',
  'int',
  'void *',
  'uint32_t',
]);
export const getsockopt: Call = lib.func('getsockopt', 'int', [
  'int',
  'int',
  'int',
  'void *',
  'void *',
]);
export const recv: Call = lib.func('recv', 'int', ['int', 'void *', 'size_t', 'int']);
export const send: Call = lib.func('send', 'int', ['int', 'void *', 'size_t', 'int']);

const CLOCK_MONOTONIC = 1;
const TFD_NONBLOCK_CLOEXEC = 0o2004000;
const timerfdCreate = lib.func('timerfd_create', 'int', ['int', 'int']);
const timerfdSettime = lib.func('timerfd_settime', 'int', ['int', 'int', 'void *', 'void *']);
const read = lib.func('read', 'int', ['int', 'void *', 'size_t']);

/** A timer of the kernel with a resolution of microseconds; Node's own know milliseconds. */
export class FineTimer {
  private readonly fd: number;
  private readonly handle: { close(): void };
  private readonly spec: DataView;
  private readonly count: Uint8Array;

  constructor(fire: () => void) {
    this.fd = check(timerfdCreate(CLOCK_MONOTONIC, TFD_NONBLOCK_CLOEXEC), 'timerfd_create');
    this.spec = new DataView(new ArrayBuffer(32));
    this.count = new Uint8Array(8);
    this.handle = koffi.node.poll(this.fd, { readable: true }, () => {
      read(this.fd, this.count, 8);
      fire();
    });
  }

  /** Fires once, so many ns from now; a later call takes the place of this one. */
  set(delayNs: number): void {
    const ns = Math.max(Math.ceil(delayNs), 1);
    // struct itimerspec: interval, value; each seconds and ns.
    this.spec.setUint32(16, Math.floor(ns / 1e9), true);
    this.spec.setUint32(24, ns % 1e9, true);
    const bytes = new Uint8Array(this.spec.buffer);
    check(timerfdSettime(this.fd, 0, bytes, null), 'timerfd_settime');
  }

  close(): void {
    this.handle.close();
    closeSync(this.fd);
  }
}
