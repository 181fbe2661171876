/**
 * The C library as far as doors need it. Node has no ioctl and no packet sockets: these calls go
 * through koffi, an optional dependency.
 */
import { createRequire } from 'node:module';
import { DoorUnavailable } from '#host/node/door.ts';

const SYS_IO_URING_SETUP = 425;
const SYS_IO_URING_ENTER = 426;

interface Koffi {
  load(path: null): {
    func(name: string, result: string, args: readonly string[]): (...args: unknown[]) => number;
  };
  errno(): number;
  address(view: ArrayBufferView): bigint;
  view(address: number, length: number): ArrayBuffer;
  readonly node: {
    poll(
      fd: number,
      options: { readable: boolean },
      callback: (status: number) => void,
    ): PollHandle;
  };
}

/** Must be kept: one that is collected stops silently. */
export interface PollHandle {
  close(): void;
}

export interface Libc {
  /** ioctl with a buffer. */
  ioctl(fd: number, request: number, arg: Uint8Array): number;
  /** ioctl with a number in place of the pointer. */
  ioctlValue(fd: number, request: number, arg: number): number;
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, addr: Uint8Array, length: number): number;
  setsockopt(fd: number, level: number, name: number, value: Uint8Array, length: number): number;
  getsockopt(
    fd: number,
    level: number,
    name: number,
    value: Uint8Array,
    length: Uint8Array,
  ): number;
  read(fd: number, address: number, length: number): number;
  write(fd: number, address: number, length: number): number;
  /** The address; -1: failed. */
  mmap(
    address: number,
    length: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number,
  ): number;
  munmap(address: number, length: number): number;
  /** A descriptor; `params` is a struct io_uring_params. */
  ioUringSetup(entries: number, params: Uint8Array): number;
  ioUringEnter(fd: number, submissions: number, completions: number, flags: number): number;
  /** Of the last call that failed. */
  errno(): number;
  /** Where a buffer lies. The number does not keep it alive. */
  address(view: ArrayBufferView): number;
  /** Memory that was mapped, as a buffer. */
  view(address: number, length: number): ArrayBuffer;
  /** Calls `callback` from Node's loop whenever the descriptor is readable. What it throws ends the process. */
  poll(fd: number, callback: (status: number) => void): PollHandle;
}

/** Null when koffi is not installed. */
export function findLibc(): Libc | null {
  let koffi: Koffi;
  try {
    koffi = createRequire(import.meta.url)('koffi') as Koffi;
  } catch {
    return null;
  }
  const lib = koffi.load(null);
  const func = (name: string, result: string, ...args: readonly string[]): unknown =>
    lib.func(name, result, args);
  // The C library has no functions for these two; the numbers are the same on all machines that Node runs on.
  const word = 'uintptr_t';
  const syscall = lib.func('syscall', 'intptr_t', ['long', word, word, word, word, word, word]);
  return {
    ioUringSetup: (entries, params) =>
      syscall(SYS_IO_URING_SETUP, entries, Number(koffi.address(params)), 0, 0, 0, 0),
    ioUringEnter: (fd, submissions, completions, flags) =>
      syscall(SYS_IO_URING_ENTER, fd, submissions, completions, flags, 0, 0),
    ioctl: func('ioctl', 'int', 'int', 'ulong', 'void *') as Libc['ioctl'],
    ioctlValue: func('ioctl', 'int', 'int', 'ulong', 'ulong') as Libc['ioctlValue'],
    socket: func('socket', 'int', 'int', 'int', 'int') as Libc['socket'],
    bind: func('bind', 'int', 'int', 'void *', 'uint32_t') as Libc['bind'],
    setsockopt: func(
      ...(['setsockopt', 'int', 'int', 'int', 'int', 'void *', 'uint32_t'] as const),
    ) as Libc['setsockopt'],
    getsockopt: func(
      ...(['getsockopt', 'int', 'int', 'int', 'int', 'void *', 'void *'] as const),
    ) as Libc['getsockopt'],
    read: func('read', 'int', 'int', 'uintptr_t', 'uint32_t') as Libc['read'],
    write: func('write', 'int', 'int', 'uintptr_t', 'uint32_t') as Libc['write'],
    mmap: func(
      ...(['mmap', 'intptr_t', 'uintptr_t', 'size_t', 'int', 'int', 'int', 'int64_t'] as const),
    ) as Libc['mmap'],
    munmap: func('munmap', 'int', 'uintptr_t', 'size_t') as Libc['munmap'],
    errno: () => koffi.errno(),
    address: (view) => Number(koffi.address(view)),
    view: (address, length) => koffi.view(address, length),
    poll: (fd, callback) =>
      koffi.node.poll(fd, { readable: true }, (status) => {
        // koffi swallows exceptions of its callbacks.
        try {
          callback(status);
        } catch (error) {
          queueMicrotask(() => {
            throw error;
          });
        }
      }),
  };
}

/** Throws DoorUnavailable when koffi is not installed; `purpose` says what it is needed for. */
export function loadLibc(purpose: string): Libc {
  const libc = findLibc();
  if (libc !== null) return libc;
  throw new DoorUnavailable(
    `the package koffi is not installed: it is needed to ${purpose} (npm install koffi)`,
  );
}
