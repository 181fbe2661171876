/**
 * The system calls of the real kernel behind the interface that softnet's programs use, so that a tool of
 * user/ can be run beside the real one on the same kernel and their texts compared to the octet. By koffi, an
 * optional dependency; needs root, because every test gets a network namespace of its own.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import process from 'node:process';
import type { EpollEvent, SyscallTable, UserMsghdr } from '#uapi/unistd.ts';
import { type Main, Process, runProcess } from '#user/lib/process.ts';
import { Collector, encodeText, inputFrom } from '#user/lib/streams.ts';

type CFunction = (...args: unknown[]) => number;

interface Koffi {
  load(path: string): { func(declaration: string): CFunction };
  errno(): number;
}

const CLONE_NEWNET = 0x40000000;

function loadKoffi(): Koffi | null {
  try {
    return createRequire(import.meta.url)('koffi') as Koffi;
  } catch {
    return null;
  }
}

const has = (command: string): boolean => spawnSync('which', [command]).status === 0;

/** Why the tests against the real tools cannot run here; null when they can. */
export function whyNotNative(...commands: string[]): string | null {
  if (process.platform !== 'linux') return 'not Linux';
  if (process.getuid?.() !== 0) return 'not root';
  if (loadKoffi() === null) return 'koffi is not installed';
  const missing = commands.filter((command) => !has(command));
  if (missing.length > 0) return `no ${missing.join(', ')} on this machine`;
  return null;
}

export class NativeKernel implements SyscallTable {
  private readonly koffi: Koffi;
  private readonly functions: Map<string, CFunction>;
  private readonly declarations: Readonly<Record<string, string>>;
  private readonly libc: { func(declaration: string): CFunction };

  constructor() {
    const koffi = loadKoffi();
    if (koffi === null) throw new Error('koffi is not installed');
    this.koffi = koffi;
    this.libc = koffi.load('libc.so.6');
    this.functions = new Map();
    this.declarations = DECLARATIONS;
  }

  private call(name: string, ...args: unknown[]): number {
    let fn = this.functions.get(name);
    if (fn === undefined) {
      fn = this.libc.func(this.declarations[name] as string);
      this.functions.set(name, fn);
    }
    const result = Number(fn(...args));
    return result === -1 ? -this.koffi.errno() : result;
  }

  socket(family: number, type: number, protocol: number): number {
    // Never blocking: the programs' library waits.
    return this.call('socket', family, type | 0x80000, protocol);
  }
  socketpair(family: number, type: number, protocol: number, fds: Int32Array): number {
    return this.call('socketpair', family, type, protocol, fds);
  }
  bind(fd: number, addr: Uint8Array): number {
    return this.call('bind', fd, addr, addr.length);
  }
  listen(fd: number, backlog: number): number {
    return this.call('listen', fd, backlog);
  }
  accept4(fd: number, addr: Uint8Array | null, flags: number): number {
    if (!this.ready(fd, 1)) return -11;
    return this.call('accept4', fd, addr, lengthOf(addr), flags);
  }
  connect(fd: number, addr: Uint8Array): number {
    const flags = this.fcntl(fd, 3, 0);
    this.fcntl(fd, 4, flags | 0o4000);
    const result = this.call('connect', fd, addr, addr.length);
    this.fcntl(fd, 4, flags);
    return result;
  }
  getsockname(fd: number, addr: Uint8Array): number {
    const length = Int32Array.of(addr.length);
    const result = this.call('getsockname', fd, addr, length);
    return result < 0 ? result : (length[0] as number);
  }
  getpeername(fd: number, addr: Uint8Array): number {
    const length = Int32Array.of(addr.length);
    const result = this.call('getpeername', fd, addr, length);
    return result < 0 ? result : (length[0] as number);
  }
  sendto(fd: number, buf: Uint8Array, flags: number, addr: Uint8Array | null): number {
    return this.call('sendto', fd, buf, buf.length, flags | 0x4040, addr, addr?.length ?? 0);
  }
  recvfrom(fd: number, buf: Uint8Array, flags: number, addr: Uint8Array | null): number {
    return this.call('recvfrom', fd, buf, buf.length, flags | 0x40, addr, lengthOf(addr));
  }
  sendmsg(fd: number, msg: UserMsghdr, flags: number): number {
    const { header } = this.msghdr(msg);
    return this.call('sendmsg', fd, header, flags | 0x4040);
  }
  recvmsg(fd: number, msg: UserMsghdr, flags: number): number {
    const { header, view } = this.msghdr(msg);
    const result = this.call('recvmsg', fd, header, flags | 0x40);
    if (result < 0) return result;
    msg.namelen = view.getUint32(8, true);
    msg.controllen = view.getUint32(40, true);
    msg.flags = view.getInt32(48, true);
    return result;
  }
  shutdown(fd: number, how: number): number {
    return this.call('shutdown', fd, how);
  }
  setsockopt(fd: number, level: number, optname: number, optval: Uint8Array): number {
    return this.call('setsockopt', fd, level, optname, optval, optval.length);
  }
  getsockopt(fd: number, level: number, optname: number, optval: Uint8Array): number {
    const length = Int32Array.of(optval.length);
    const result = this.call('getsockopt', fd, level, optname, optval, length);
    return result < 0 ? result : (length[0] as number);
  }
  read(fd: number, buf: Uint8Array): number {
    if (!this.ready(fd, 1)) return -11;
    return this.call('read', fd, buf, buf.length);
  }
  write(fd: number, buf: Uint8Array): number {
    return this.call('write', fd, buf, buf.length);
  }
  close(fd: number): number {
    return this.call('close', fd);
  }

  /** Sleeps, if it must, with everything else. */
  closeWait(fd: number): number {
    return this.close(fd);
  }
  dup(fd: number): number {
    return this.call('dup', fd);
  }
  dup3(oldfd: number, newfd: number, flags: number): number {
    return this.call('dup3', oldfd, newfd, flags);
  }
  fcntl(fd: number, cmd: number, arg: number): number {
    return this.call('fcntl', fd, cmd, 'int', arg);
  }
  ioctl(fd: number, cmd: number, arg: Uint8Array): number {
    return this.call('ioctl', fd, cmd, arg);
  }
  open(path: string, flags: number): number {
    return this.call('open', path, flags | 0x80000, 'int', 0);
  }
  readdir(path: string): readonly string[] | number {
    try {
      return readdirSync(path);
    } catch {
      return -2;
    }
  }
  pipe2(fds: Int32Array, flags: number): number {
    return this.call('pipe2', fds, flags);
  }
  poll(fds: Int32Array, events: Int16Array, revents: Int16Array): number {
    const bytes = new Uint8Array(fds.length * 8);
    const v = new DataView(bytes.buffer);
    fds.forEach((fd, i) => {
      v.setInt32(i * 8, fd, true);
      v.setInt16(i * 8 + 4, events[i] as number, true);
    });
    const count = this.call('poll', bytes, fds.length, 0);
    for (let i = 0; i < fds.length; i++) revents[i] = v.getInt16(i * 8 + 6, true);
    return count;
  }
  epollCreate1(flags: number): number {
    return this.call('epoll_create1', flags);
  }
  epollCtl(epfd: number, op: number, fd: number, event: EpollEvent | null): number {
    const bytes = new Uint8Array(12);
    const v = new DataView(bytes.buffer);
    v.setUint32(0, event?.events ?? 0, true);
    v.setUint32(4, event?.data ?? 0, true);
    return this.call('epoll_ctl', epfd, op, fd, bytes);
  }
  epollWait(epfd: number, events: EpollEvent[]): number {
    const bytes = new Uint8Array(events.length * 12);
    const v = new DataView(bytes.buffer);
    const count = this.call('epoll_wait', epfd, bytes, events.length, 0);
    for (let i = 0; i < count; i++) {
      events[i] = { events: v.getUint32(i * 12, true), data: v.getUint32(i * 12 + 4, true) };
    }
    return count;
  }
  monotonic(): number {
    return Number(process.hrtime.bigint());
  }
  realtime(): { sec: number; nsec: number } {
    const ms = Date.now();
    return { sec: Math.floor(ms / 1000), nsec: (ms % 1000) * 1e6 };
  }
  getpid(): number {
    return process.pid;
  }
  getcpu(): number {
    return 0;
  }
  schedSetaffinity(): number {
    return -1;
  }
  schedGetaffinity(): number {
    return -1;
  }
  uname(): { sysname: string; nodename: string; release: string } {
    const read = (flag: string): string => spawnSync('uname', [flag]).stdout.toString().trim();
    return { sysname: read('-s'), nodename: read('-n'), release: read('-r') };
  }
  getrandom(buf: Uint8Array): number {
    return this.call('getrandom', buf, buf.length, 0);
  }
  sethostname(): number {
    return -1;
  }
  setns(netns: string): number {
    const fd = this.open(netns.startsWith('/') ? netns : `/var/run/netns/${netns}`, 0);
    if (fd < 0) return fd;
    const result = this.call('setns', fd, CLONE_NEWNET);
    this.close(fd);
    return result;
  }
  unshare(flags: number): number {
    return this.call('unshare', flags);
  }
  recvPages(): number {
    return -38;
  }
  mmap(): number {
    return -38;
  }
  munmap(): number {
    return -38;
  }
  sendfile(): number {
    return -1;
  }
  splice(): number {
    return -1;
  }
  unlink(): number {
    return -1;
  }
  mount(): number {
    return -1;
  }
  umount2(): number {
    return -1;
  }
  exit(): void {}

  waitFd(
    fd: number,
    events: number,
    timeoutNs: number,
    wake: (revents: number) => void,
  ): (() => void) | number {
    const deadline = timeoutNs < 0 ? Number.POSITIVE_INFINITY : this.monotonic() + timeoutNs;
    let timer: NodeJS.Timeout | null = null;
    const look = (): void => {
      const revents = new Int16Array(1);
      const count = this.poll(Int32Array.of(fd), Int16Array.of(events), revents);
      if (count > 0) wake(revents[0] as number);
      else if (this.monotonic() >= deadline) wake(0);
      else timer = setTimeout(look, 1);
    };
    timer = setTimeout(look, 0);
    return () => {
      if (timer !== null) clearTimeout(timer);
    };
  }

  nanosleep(ns: number, wake: () => void): () => void {
    const timer = setTimeout(wake, ns / 1e6);
    return () => clearTimeout(timer);
  }

  private ready(fd: number, events: number): boolean {
    return this.poll(Int32Array.of(fd), Int16Array.of(events), new Int16Array(1)) !== 0;
  }

  /** struct msghdr with pointers into the given arrays, which must stay referenced meanwhile. */
  private msghdr(msg: UserMsghdr): { header: Uint8Array; view: DataView } {
    // memcpy of nothing gives back the address of its target.
    const address = (bytes: Uint8Array): bigint =>
      bytes.length === 0 ? 0n : BigInt(this.call('memcpy', bytes, bytes, 0));
    const iov = new Uint8Array(Math.max(1, msg.iov.length) * 16);
    const iovView = new DataView(iov.buffer);
    msg.iov.forEach((part, i) => {
      iovView.setBigUint64(i * 16, address(part), true);
      iovView.setBigUint64(i * 16 + 8, BigInt(part.length), true);
    });
    const header = new Uint8Array(56);
    const view = new DataView(header.buffer);
    if (msg.name !== null) {
      view.setBigUint64(0, address(msg.name), true);
      view.setUint32(8, msg.namelen || msg.name.length, true);
    }
    view.setBigUint64(16, address(iov), true);
    view.setBigUint64(24, BigInt(msg.iov.length), true);
    if (msg.control !== null) {
      view.setBigUint64(32, address(msg.control), true);
      view.setBigUint64(40, BigInt(msg.controllen || msg.control.length), true);
    }
    return { header, view };
  }
}

const lengthOf = (addr: Uint8Array | null): Int32Array | null =>
  addr === null ? null : Int32Array.of(addr.length);

const DECLARATIONS: Readonly<Record<string, string>> = {
  socket: 'int socket(int, int, int)',
  socketpair: 'int socketpair(int, int, int, _Inout_ int *)',
  bind: 'int bind(int, const uint8_t *, uint32_t)',
  listen: 'int listen(int, int)',
  accept4: 'int accept4(int, _Inout_ uint8_t *, _Inout_ int *, int)',
  connect: 'int connect(int, const uint8_t *, uint32_t)',
  getsockname: 'int getsockname(int, _Inout_ uint8_t *, _Inout_ int *)',
  getpeername: 'int getpeername(int, _Inout_ uint8_t *, _Inout_ int *)',
  sendto: 'int64_t sendto(int, const uint8_t *, size_t, int, const uint8_t *, uint32_t)',
  recvfrom:
    'int64_t recvfrom(int, _Inout_ uint8_t *, size_t, int, _Inout_ uint8_t *, _Inout_ int *)',
  sendmsg: 'int64_t sendmsg(int, _Inout_ uint8_t *, int)',
  recvmsg: 'int64_t recvmsg(int, _Inout_ uint8_t *, int)',
  shutdown: 'int shutdown(int, int)',
  setsockopt: 'int setsockopt(int, int, int, const uint8_t *, uint32_t)',
  getsockopt: 'int getsockopt(int, int, int, _Inout_ uint8_t *, _Inout_ int *)',
  read: 'int64_t read(int, _Inout_ uint8_t *, size_t)',
  write: 'int64_t write(int, const uint8_t *, size_t)',
  close: 'int close(int)',
  dup: 'int dup(int)',
  dup3: 'int dup3(int, int, int)',
  fcntl: 'int fcntl(int, int, ...)',
  ioctl: 'int ioctl(int, unsigned long, _Inout_ uint8_t *)',
  open: 'int open(const char *, int, ...)',
  pipe2: 'int pipe2(_Inout_ int *, int)',
  poll: 'int poll(_Inout_ uint8_t *, unsigned long, int)',
  epoll_create1: 'int epoll_create1(int)',
  epoll_ctl: 'int epoll_ctl(int, int, int, _Inout_ uint8_t *)',
  epoll_wait: 'int epoll_wait(int, _Inout_ uint8_t *, int, int)',
  getrandom: 'int64_t getrandom(_Inout_ uint8_t *, size_t, unsigned int)',
  memcpy: 'uint64_t memcpy(_Inout_ uint8_t *, const uint8_t *, size_t)',
  setns: 'int setns(int, int)',
  unshare: 'int unshare(int)',
};

/** What a command left behind. */
export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program of softnet over some system calls. */
export async function runTool(
  sys: SyscallTable,
  main: Main,
  argv: readonly string[],
  stdin = '',
): Promise<Outcome> {
  const stdout = new Collector();
  const stderr = new Collector();
  const input = inputFrom(encodeText(stdin));
  const p = new Process({ sys, argv, stdin: input, stdout, stderr });
  const status = await runProcess(main, p);
  return { status, stdout: stdout.text(), stderr: stderr.text() };
}

/** Runs a real command in the present namespace. */
export function runReal(argv: readonly string[], stdin = ''): Outcome {
  const [command = '', ...args] = argv;
  const { status, stdout, stderr } = spawnSync(command, args, {
    input: stdin,
    env: { ...process.env, LC_ALL: 'C', COLUMNS: '80' },
  });
  return { status: status ?? -1, stdout: stdout.toString(), stderr: stderr.toString() };
}

/** How often two tools are asked again because the kernel counted on in between. */
const MAX_TRIES = 50;

/**
 * What the real tool and ours say while nothing changes: the real one is asked before and after, and all is
 * repeated until it says the same twice.
 */
export async function whileSteady(
  real: () => Outcome,
  own: () => Promise<Outcome>,
): Promise<{ real: Outcome; own: Outcome }> {
  for (let tries = 1; ; tries++) {
    const before = real();
    const ours = await own();
    if (tries === MAX_TRIES || JSON.stringify(before) === JSON.stringify(real())) {
      return { real: before, own: ours };
    }
  }
}

/** Runs `body` in a network namespace of its own, which ends with it. */
export async function inNamespace<T>(body: (kernel: NativeKernel) => Promise<T>): Promise<T> {
  const kernel = new NativeKernel();
  const home = kernel.open('/proc/self/ns/net', 0);
  if (kernel.unshare(CLONE_NEWNET) < 0) throw new Error('cannot make a network namespace');
  try {
    return await body(kernel);
  } finally {
    kernel.setns(`/proc/self/fd/${home}`);
    kernel.close(home);
  }
}
