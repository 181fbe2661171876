/*
 * The system calls that scripts can make. Each takes its arguments out of the script, calls the
 * machine, and hands back the result with whatever of the outputs is not as the script has it.
 * A call that sleeps hands its result back later.
 */

import { type Expr, ScriptError, type SyscallEvent } from '#packetdrill/ast.ts';
import type { ScriptCalls } from '#packetdrill/backend.ts';
import { type Defines, evaluate } from '#packetdrill/expr.ts';
import {
  asList,
  asStruct,
  bufferOf,
  checkFields,
  compareControl,
  compareValue,
  decodeControl,
  encodeControl,
  encodeSockaddr,
  encodeValue,
  fieldOf,
  type IovPiece,
  isEllipsis,
  isNull,
  parseIov,
  parseMsghdr,
  type ScriptClock,
} from '#packetdrill/structs.ts';
import { EBADF, EFAULT } from '#uapi/errno.ts';
import { AF_INET } from '#uapi/socket.ts';
import type { EpollEvent, UserMsghdr } from '#uapi/unistd.ts';
import { SOCKADDR_STORAGE_LEN } from '#user/lib/sockaddr.ts';

/** A system call that this interpreter or the machine does not have. */
export class UnsupportedCall extends Error {
  override readonly name = 'UnsupportedCall';
  readonly line: number;

  constructor({ name, place }: SyscallEvent) {
    super(`${place.file}:${place.line}: the system call ${name}() is not implemented`);
    this.line = place.line;
  }
}

export interface Endpoint {
  readonly addr: number;
  readonly port: number;
}

/** What the calls need of the run. */
export interface SyscallHost {
  readonly libc: ScriptCalls;
  readonly defines: Defines;
  readonly clock: ScriptClock;
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** Descriptors of the machine by those of the script. */
  readonly fds: Map<number, number>;
  /** A connection was accepted on the script's descriptor `fd`, from the peer in `addr`. */
  accepted(fd: number, addr: Uint8Array): void;
}

/** One call under way. */
export class Call {
  readonly host: SyscallHost;
  readonly event: SyscallEvent;
  private readonly finish: (result: number, problem: string) => void;

  constructor(
    host: SyscallHost,
    event: SyscallEvent,
    finish: (result: number, problem: string) => void,
  ) {
    this.host = host;
    this.event = event;
    this.finish = finish;
  }

  get libc(): ScriptCalls {
    return this.host.libc;
  }

  /** Ends the call. @param problem what of its outputs is not as expected */
  done(result: number, problem = ''): void {
    this.finish(result, problem);
  }

  arg(i: number): Expr {
    const expr = this.event.args[i];
    if (expr !== undefined) return expr;
    throw new ScriptError(this.event.place, `${this.event.name}() needs argument ${i + 1}`);
  }

  int(i: number): number {
    return evaluate(this.arg(i), this.host.defines);
  }

  /** The machine's descriptor of the script's; one that nobody has when the script's is not open. */
  fd(i: number): number {
    return this.liveFd(this.int(i));
  }

  liveFd(fd: number): number {
    return this.host.fds.get(fd) ?? UNUSED_FD;
  }

  /** The result that the script expects, when it is a number of at least 0; otherwise -1. */
  expectedFd(): number {
    const { value } = this.event.result;
    return value === null ? -1 : evaluate(value, this.host.defines);
  }

  /** Ends a call that makes a descriptor: the script's number for it is the result. */
  doneFd(live: number): void {
    const wanted = this.expectedFd();
    if (live < 0 || wanted < 0) {
      this.done(live);
      return;
    }
    this.open(wanted, live);
    this.done(wanted);
  }

  /** Notes a new descriptor; a number that the script uses again means the new one from now on. */
  open(fd: number, live: number): void {
    const { fds } = this.host;
    fds.delete(fd);
    fds.set(fd, live);
  }
}

/** A descriptor that is never open. */
const UNUSED_FD = 0x3fffff;

type Syscall = (c: Call) => void;

/** Does without the call when a pointer points nowhere: JavaScript has no such pointers. */
function faults(c: Call, buf: Uint8Array | null, length: number): boolean {
  if (buf !== null || length === 0) return false;
  const known = [...c.host.fds.values()].includes(c.fd(0));
  c.done(known ? -EFAULT : -EBADF);
  return true;
}

const socket: Syscall = (c) => {
  const family = isEllipsis(c.arg(0)) ? AF_INET : c.int(0);
  c.doneFd(c.libc.sys.socket(family, c.int(1), isEllipsis(c.arg(2)) ? 0 : c.int(2)));
};

const bind: Syscall = (c) => {
  const { defines, local } = c.host;
  c.done(c.libc.sys.bind(c.fd(0), encodeSockaddr(c.arg(1), local, defines)));
};

const listen: Syscall = (c) => c.done(c.libc.sys.listen(c.fd(0), c.int(1)));

function acceptWith(c: Call, flags: number): void {
  const addr = new Uint8Array(SOCKADDR_STORAGE_LEN);
  c.libc.onAccept(c.fd(0), addr, flags, (live) => {
    const wanted = c.expectedFd();
    c.doneFd(live);
    if (live >= 0 && wanted >= 0) c.host.accepted(wanted, addr);
  });
}

const connect: Syscall = (c) => {
  const { defines, remote } = c.host;
  const addr = encodeSockaddr(c.arg(1), remote, defines);
  c.libc.onConnect(c.fd(0), addr, (result) => c.done(result));
};

// Reading and writing.

function readInto(c: Call, length: number, call: (buf: Uint8Array) => void): void {
  const buf = bufferOf(c.arg(1), length);
  if (faults(c, buf, length) || buf === null) return;
  call(buf);
}

const read: Syscall = (c) =>
  readInto(c, c.int(2), (buf) => c.libc.onRead(c.fd(0), buf, (result) => c.done(result)));

const recv: Syscall = (c) =>
  readInto(c, c.int(2), (buf) => {
    c.libc.onRecv(c.fd(0), buf, c.int(3), null, (result) => c.done(result));
  });

const recvfrom: Syscall = (c) =>
  readInto(c, c.int(2), (buf) => {
    const addr = new Uint8Array(SOCKADDR_STORAGE_LEN);
    c.libc.onRecv(c.fd(0), buf, c.int(3), addr, (result) => c.done(result));
  });

const write: Syscall = (c) =>
  readInto(c, c.int(2), (buf) => c.libc.onWrite(c.fd(0), buf, (result) => c.done(result)));

const send: Syscall = (c) =>
  readInto(c, c.int(2), (buf) => {
    c.libc.onSend(c.fd(0), buf, c.int(3), null, (result) => c.done(result));
  });

const sendto: Syscall = (c) => {
  const { defines, remote } = c.host;
  const to = isNull(c.arg(4)) ? null : encodeSockaddr(c.arg(4), remote, defines);
  readInto(c, c.int(2), (buf) => {
    c.libc.onSend(c.fd(0), buf, c.int(3), to, (result) => c.done(result));
  });
};

/** The pieces as buffers; null when one of them points nowhere, and the call is over. */
function buffersOf(c: Call, iov: readonly IovPiece[]): Uint8Array[] | null {
  const buffers: Uint8Array[] = [];
  for (const { base, length } of iov) {
    if (faults(c, base, length)) return null;
    buffers.push(base ?? new Uint8Array(0));
  }
  return buffers;
}

const readv: Syscall = (c) => {
  const buffers = buffersOf(c, parseIov(c.arg(1), c.host.defines));
  if (buffers === null) return;
  const total = buffers.reduce((sum, { length }) => sum + length, 0);
  c.libc.onRead(c.fd(0), new Uint8Array(total), (result) => c.done(result));
};

const writev: Syscall = (c) => {
  const buffers = buffersOf(c, parseIov(c.arg(1), c.host.defines));
  if (buffers === null) return;
  const total = buffers.reduce((sum, { length }) => sum + length, 0);
  const joined = new Uint8Array(total);
  let at = 0;
  for (const buffer of buffers) {
    joined.set(buffer, at);
    at += buffer.length;
  }
  c.libc.onWrite(c.fd(0), joined, (result) => c.done(result));
};

const sendmsg: Syscall = (c) => {
  const { defines, remote } = c.host;
  const spec = parseMsghdr(c.arg(1), defines);
  const iov = buffersOf(c, spec.iov);
  if (iov === null) return;
  const flags = c.int(2);
  const name =
    spec.name === null || isNull(spec.name) ? null : encodeSockaddr(spec.name, remote, defines);
  const control = spec.control === null ? null : encodeControl(spec.control, defines);
  const msg: UserMsghdr = {
    name,
    namelen: name?.length ?? 0,
    iov,
    control,
    controllen: control?.length ?? 0,
    flags: 0,
  };
  c.libc.onSendmsg(c.fd(0), msg, flags, (result) => c.done(result));
};

const CONTROL_BYTES = 1024;

const recvmsg: Syscall = (c) => {
  const { defines, clock } = c.host;
  const spec = parseMsghdr(c.arg(1), defines);
  const iov = buffersOf(c, spec.iov);
  if (iov === null) return;
  const flags = c.int(2);
  const control = new Uint8Array(CONTROL_BYTES);
  const msg: UserMsghdr = {
    name: new Uint8Array(SOCKADDR_STORAGE_LEN),
    namelen: SOCKADDR_STORAGE_LEN,
    iov,
    control,
    controllen: CONTROL_BYTES,
    flags: 0,
  };
  const finish = (result: number): void => {
    if (result < 0) {
      c.done(result);
      return;
    }
    let problem = '';
    if (spec.flags !== null && !isEllipsis(spec.flags)) {
      const want = evaluate(spec.flags, defines);
      if (want !== msg.flags) {
        problem = `expected msg_flags 0x${want.toString(16)}, got 0x${msg.flags.toString(16)}`;
      }
    }
    if (problem === '' && spec.control !== null) {
      const got = decodeControl(control.subarray(0, msg.controllen));
      problem = compareControl(spec.control, got, clock, defines);
    }
    c.done(result, problem);
  };
  c.libc.onRecvmsg(c.fd(0), msg, flags, finish);
};

// Control.

const close: Syscall = (c) => {
  const fd = c.int(0);
  const live = c.liveFd(fd);
  c.host.fds.delete(fd);
  c.libc.onClose(live, (result) => c.done(result));
};

const shutdown: Syscall = (c) => c.done(c.libc.sys.shutdown(c.fd(0), c.int(1)));

const fcntl: Syscall = (c) => {
  const arg = c.event.args.length > 2 ? c.int(2) : 0;
  c.done(c.libc.sys.fcntl(c.fd(0), c.int(1), arg));
};

const ioctl: Syscall = (c) => {
  const { defines } = c.host;
  const expr = c.event.args[2];
  const arg =
    expr === undefined || isEllipsis(expr) ? new Uint8Array(4) : encodeValue(expr, defines);
  const result = c.libc.sys.ioctl(c.fd(0), c.int(1), arg);
  const problem = result < 0 || expr === undefined ? '' : compareValue(expr, arg, defines);
  c.done(result, problem);
};

const setsockopt: Syscall = (c) => {
  const { defines } = c.host;
  const length = c.int(4);
  if (isNull(c.arg(3)) && c.arg(3).kind === 'symbol' && length > 0) {
    c.done(-EFAULT);
    return;
  }
  const given = encodeValue(c.arg(3), defines);
  const value = new Uint8Array(Math.max(0, length));
  value.set(given.subarray(0, value.length));
  c.done(c.libc.sys.setsockopt(c.fd(0), c.int(1), c.int(2), value));
};

const getsockopt: Syscall = (c) => {
  const { defines } = c.host;
  const lengthExpr = c.arg(4);
  const [first] = lengthExpr.kind === 'list' ? lengthExpr.items : [lengthExpr];
  const given = first === undefined || isEllipsis(first) ? 256 : evaluate(first, defines);
  const value = new Uint8Array(Math.max(0, given));
  const length = c.libc.sys.getsockopt(c.fd(0), c.int(1), c.int(2), value);
  if (length < 0) {
    c.done(length);
    return;
  }
  let problem = compareValue(c.arg(3), value.subarray(0, length), defines);
  if (problem === '' && first !== undefined && !isEllipsis(first) && length !== given) {
    problem = `expected the length ${given}, got ${length}`;
  }
  c.done(0, problem);
};

// Waiting for several.

interface PollEntry {
  readonly fd: number;
  readonly events: number;
  /** Null: whatever comes. */
  readonly revents: number | null;
}

function pollEntries(c: Call): PollEntry[] {
  const { defines } = c.host;
  return asList(c.arg(0), 'descriptors to poll').map((item) => {
    const struct = asStruct(item, 'a struct pollfd');
    checkFields(struct, ['fd', 'events', 'revents']);
    const number = (name: string, i: number): number | null => {
      const value = fieldOf(struct, name, i)?.value;
      return value === undefined || isEllipsis(value) ? null : evaluate(value, defines);
    };
    return {
      fd: c.liveFd(number('fd', 0) ?? -1),
      events: number('events', 1) ?? 0,
      revents: number('revents', 2),
    };
  });
}

const poll: Syscall = (c) => {
  const entries = pollEntries(c);
  const fds = Int32Array.from(entries, ({ fd }) => fd);
  const events = Int16Array.from(entries, (entry) => entry.events);
  const revents = new Int16Array(entries.length);
  c.libc.onPoll(fds, events, revents, c.int(2), (count) => {
    const wrong = entries.findIndex((entry, i) => {
      return entry.revents !== null && entry.revents !== revents[i];
    });
    const entry = entries[wrong];
    const hex = (x: number): string => `0x${(x & 0xffff).toString(16)}`;
    c.done(
      count,
      entry === undefined || count < 0
        ? ''
        : `expected revents ${hex(entry.revents as number)}, got ${hex(revents[wrong] as number)}`,
    );
  });
};

function epollEvent(c: Call, expr: Expr): EpollEvent {
  const { defines } = c.host;
  const struct = asStruct(expr, 'a struct epoll_event');
  checkFields(struct, ['events', 'fd', 'ptr', 'u32', 'u64', 'data']);
  const events = fieldOf(struct, 'events', 0);
  const data = struct.fields.find(({ name }) => name !== 'events' && name !== '');
  return {
    events: events === null ? 0 : evaluate(events.value, defines) >>> 0,
    data: data === undefined ? 0 : evaluate(data.value, defines),
  };
}

const epollCtl: Syscall = (c) => {
  const event = c.event.args.length > 3 && !isNull(c.arg(3)) ? epollEvent(c, c.arg(3)) : null;
  c.done(c.libc.sys.epollCtl(c.fd(0), c.int(1), c.fd(2), event));
};

const epollWait: Syscall = (c) => {
  const wanted = c.arg(1).kind === 'list' ? asList(c.arg(1), 'events') : [c.arg(1)];
  const max = Math.max(0, Math.min(4096, c.int(2)));
  const events = Array.from({ length: max }, (): EpollEvent => ({ events: 0, data: 0 }));
  const finish = (count: number): void => {
    for (let i = 0; i < count; i++) {
      const expr = wanted[i];
      const got = events[i] as EpollEvent;
      if (expr === undefined || isEllipsis(expr)) continue;
      const want = epollEvent(c, expr);
      if (want.events !== got.events >>> 0 || want.data !== got.data) {
        const text = (e: EpollEvent): string =>
          `{events=0x${(e.events >>> 0).toString(16)}, ${e.data}}`;
        c.done(count, `expected ${text(want)}, got ${text(got)}`);
        return;
      }
    }
    c.done(count);
  };
  c.libc.onEpollWait(c.fd(0), events, c.int(3), finish);
};

// Files.

const open: Syscall = (c) => {
  const path = c.arg(0);
  if (path.kind !== 'string') throw new ScriptError(path.place, 'expected a path');
  c.doneFd(c.libc.sys.open(path.value, c.int(1)));
};

const pipe: Syscall = (c) => {
  const wanted = asList(c.arg(0), 'two descriptors').map((item) => evaluate(item, c.host.defines));
  const fds = new Int32Array(2);
  const result = c.libc.sys.pipe2(fds, 0);
  if (result === 0) for (const [i, fd] of wanted.entries()) c.open(fd, fds[i] as number);
  c.done(result);
};

/** An offset in a list of one, or NULL. */
function offsetArg(c: Call, i: number): Float64Array | null {
  const expr = c.arg(i);
  if (isNull(expr)) return null;
  const [first] = asList(expr, 'an offset');
  if (first === undefined) throw new ScriptError(expr.place, 'expected an offset');
  return Float64Array.of(evaluate(first, c.host.defines));
}

const sendfile: Syscall = (c) =>
  c.libc.onSendfile(c.fd(0), c.fd(1), offsetArg(c, 2), c.int(3), (result) => c.done(result));

const splice: Syscall = (c) =>
  c.libc.onSplice(
    c.fd(0),
    offsetArg(c, 1),
    c.fd(2),
    offsetArg(c, 3),
    c.int(4),
    c.int(5),
    (result) => c.done(result),
  );

const dup: Syscall = (c) => c.doneFd(c.libc.sys.dup(c.fd(0)));

/** Numbers of arguments, and what the call does. */
interface Entry {
  readonly min: number;
  readonly max: number;
  readonly run: Syscall;
}

const entry = (min: number, max: number, run: Syscall): Entry => ({ min, max, run });

const SYSCALLS: Readonly<Record<string, Entry>> = {
  accept: entry(3, 3, (c) => acceptWith(c, 0)),
  accept4: entry(4, 4, (c) => acceptWith(c, c.int(3))),
  bind: entry(3, 3, bind),
  close: entry(1, 1, close),
  connect: entry(3, 3, connect),
  dup: entry(1, 1, dup),
  epoll_create: entry(1, 1, (c) => c.doneFd(c.libc.sys.epollCreate1(0))),
  epoll_create1: entry(1, 1, (c) => c.doneFd(c.libc.sys.epollCreate1(c.int(0)))),
  epoll_ctl: entry(3, 4, epollCtl),
  epoll_wait: entry(4, 4, epollWait),
  fcntl: entry(2, 3, fcntl),
  getsockopt: entry(5, 5, getsockopt),
  ioctl: entry(2, 3, ioctl),
  listen: entry(2, 2, listen),
  open: entry(2, 3, open),
  pipe: entry(1, 1, pipe),
  poll: entry(3, 3, poll),
  read: entry(3, 3, read),
  readv: entry(3, 3, readv),
  recv: entry(4, 4, recv),
  recvfrom: entry(6, 6, recvfrom),
  recvmsg: entry(3, 3, recvmsg),
  send: entry(4, 4, send),
  sendfile: entry(4, 4, sendfile),
  sendmsg: entry(3, 3, sendmsg),
  sendto: entry(6, 6, sendto),
  setsockopt: entry(5, 5, setsockopt),
  shutdown: entry(2, 2, shutdown),
  socket: entry(3, 3, socket),
  splice: entry(6, 6, splice),
  write: entry(3, 3, write),
  writev: entry(3, 3, writev),
};

/** Refuses calls that do not exist or have the wrong number of arguments. */
export function checkSyscall(event: SyscallEvent): Entry {
  const found = Object.hasOwn(SYSCALLS, event.name) ? SYSCALLS[event.name] : undefined;
  if (found === undefined) throw new UnsupportedCall(event);
  const { length } = event.args;
  if (length >= found.min && length <= found.max) return found;
  const wanted = found.min === found.max ? `${found.min}` : `${found.min} to ${found.max}`;
  throw new ScriptError(event.place, `${event.name}() takes ${wanted} arguments, not ${length}`);
}

/** Makes a call; `finish` gets its result, at once or when it has woken up. */
export function makeCall(
  host: SyscallHost,
  event: SyscallEvent,
  finish: (result: number, problem: string) => void,
): void {
  checkSyscall(event).run(new Call(host, event, finish));
}
