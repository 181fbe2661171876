/*
 * The system calls of scripts, made to the real kernel. What may sleep is made in another thread;
 * everything else at once.
 */

import type { PlainCalls, ScriptCalls } from '#packetdrill/backend.ts';
import type { Arena, FunctionName, Native } from '#packetdrill/kernel/native.ts';
import type { Sleeper } from '#packetdrill/kernel/sleeper.ts';
import { SO_LINGER, SOL_SOCKET, SOL_TCP } from '#uapi/socket.ts';
import { TCP_CONGESTION } from '#uapi/tcp.ts';
import type { EpollEvent, UserMsghdr } from '#uapi/unistd.ts';
import type { Done } from '#user/lib/wait.ts';

/** struct msghdr of 64-bit Linux. */
export const MSGHDR = {
  NAME: 0,
  NAMELEN: 8,
  IOV: 16,
  IOVLEN: 24,
  CONTROL: 32,
  CONTROLLEN: 40,
  FLAGS: 48,
  LEN: 56,
} as const;

/** struct iovec. */
export const IOVEC_LEN = 16;
const POLLFD_LEN = 8;
/** struct epoll_event is packed on x86-64, and nowhere else. */
const EPOLL_DATA = process.arch === 'x64' ? 4 : 8;
const EPOLL_LEN = EPOLL_DATA + 8;
const SHUT_RDWR = 2;

export class KernelCalls implements ScriptCalls {
  readonly sys: PlainCalls;
  private readonly native: Native;
  /** Memory of the calls that return at once, and of the one that may sleep. */
  private readonly near: Arena;
  private readonly far: Arena;
  private readonly sleeper: Sleeper;
  /** Descriptors that the script has opened. */
  private readonly opened: Set<number>;
  /** What a new TCP socket shall use; empty: the namespace's. */
  congestionControl: () => string;

  constructor(native: Native, near: Arena, far: Arena, sleeper: Sleeper) {
    this.native = native;
    this.near = near;
    this.far = far;
    this.sleeper = sleeper;
    this.opened = new Set();
    this.congestionControl = () => '';
    this.sys = this.plainCalls();
  }

  /** Closes what is open. */
  closeAll(): void {
    for (const fd of this.opened) {
      // Whoever sleeps in one of them wakes up.
      if (this.sleeper.busy) this.native.call('shutdown', fd, SHUT_RDWR);
      this.native.call('close', fd);
    }
    this.opened.clear();
  }

  private note(fd: number): number {
    if (fd >= 0) this.opened.add(fd);
    return fd;
  }

  private plainCalls(): PlainCalls {
    const { native, near } = this;
    const fresh = (): Arena => {
      near.reset();
      return near;
    };
    return {
      socket: (family, type, protocol) => {
        const fd = this.note(native.call('socket', family, type, protocol));
        const algorithm = this.congestionControl();
        if (fd >= 0 && algorithm !== '') {
          // Other sockets refuse, and that is well.
          const at = fresh().pointer(new TextEncoder().encode(algorithm));
          native.call('setsockopt', fd, SOL_TCP, TCP_CONGESTION, at, algorithm.length);
        }
        return fd;
      },
      bind: (fd, addr) => native.call('bind', fd, fresh().pointer(addr), addr.length),
      listen: (fd, backlog) => native.call('listen', fd, backlog),
      getsockname: (fd, addr) => {
        const a = fresh();
        const out = a.put(addr);
        const length = a.alloc(4);
        a.view.setInt32(length, addr.length, true);
        const result = native.call('getsockname', fd, a.at(out), a.at(length));
        a.take(out, addr);
        return result < 0 ? result : a.view.getInt32(length, true);
      },
      shutdown: (fd, how) => native.call('shutdown', fd, how),
      setsockopt: (fd, level, optname, value) =>
        native.call('setsockopt', fd, level, optname, fresh().pointer(value), value.length),
      getsockopt: (fd, level, optname, value) => {
        const a = fresh();
        const out = a.put(value);
        const length = a.alloc(4);
        a.view.setInt32(length, value.length, true);
        const result = native.call('getsockopt', fd, level, optname, a.at(out), a.at(length));
        a.take(out, value);
        return result < 0 ? result : a.view.getInt32(length, true);
      },
      dup: (fd) => this.note(native.call('dup', fd)),
      fcntl: (fd, cmd, arg) => native.call('fcntl', fd, cmd, arg),
      ioctl: (fd, cmd, arg) => {
        const a = fresh();
        const out = a.put(arg);
        const result = native.call('ioctl', fd, cmd, a.at(out));
        a.take(out, arg);
        return result;
      },
      open: (path, flags) => {
        const text = Uint8Array.from([...new TextEncoder().encode(path), 0]);
        return this.note(native.call('open', fresh().pointer(text), flags, 0o644));
      },
      pipe2: (fds, flags) => {
        const a = fresh();
        const out = a.alloc(8);
        const result = native.call('pipe2', a.at(out), flags);
        for (let i = 0; i < 2; i++) fds[i] = a.view.getInt32(out + 4 * i, true);
        if (result === 0) for (const fd of fds) this.note(fd);
        return result;
      },
      epollCreate1: (flags) => this.note(native.call('epoll_create1', flags)),
      epollCtl: (epfd, op, fd, event) => {
        const a = fresh();
        const at = a.alloc(EPOLL_LEN);
        if (event !== null) putEpollEvent(a, at, event);
        return native.call('epoll_ctl', epfd, op, fd, event === null ? 0 : a.at(at));
      },
    };
  }

  /** A call that may sleep. What its outputs are is read from the memory before `done`. */
  private sleep(name: FunctionName, args: readonly number[], done: Done): void {
    this.sleeper.start(name, args, done);
    this.sleeper.collect();
  }

  private fresh(): Arena {
    this.far.reset();
    return this.far;
  }

  onAccept(fd: number, addr: Uint8Array | null, flags: number, done: Done): void {
    const a = this.fresh();
    const room = addr?.length ?? 0;
    const out = a.alloc(room);
    const length = a.alloc(4);
    a.view.setInt32(length, room, true);
    const args = addr === null ? [fd, 0, 0, flags] : [fd, a.at(out), a.at(length), flags];
    this.sleep('accept4', args, (result) => {
      if (addr !== null) a.take(out, addr);
      done(this.note(result));
    });
  }

  onClose(fd: number, done: Done): void {
    this.opened.delete(fd);
    if (this.lingers(fd)) this.sleep('close', [fd], done);
    else done(this.native.call('close', fd));
  }

  /** May closing sleep? */
  private lingers(fd: number): boolean {
    const value = new Uint8Array(8);
    const length = this.sys.getsockopt(fd, SOL_SOCKET, SO_LINGER, value);
    const view = new DataView(value.buffer);
    return length === 8 && view.getInt32(0, true) !== 0 && view.getInt32(4, true) > 0;
  }

  onConnect(fd: number, addr: Uint8Array, done: Done): void {
    this.sleep('connect', [fd, this.fresh().pointer(addr), addr.length], done);
  }

  onRead(fd: number, buf: Uint8Array, done: Done): void {
    const a = this.fresh();
    const out = a.alloc(buf.length);
    this.sleep('read', [fd, a.at(out), buf.length], (result) => {
      a.take(out, buf);
      done(result);
    });
  }

  onWrite(fd: number, buf: Uint8Array, done: Done): void {
    this.sleep('write', [fd, this.fresh().pointer(buf), buf.length], done);
  }

  onRecv(fd: number, buf: Uint8Array, flags: number, addr: Uint8Array | null, done: Done): void {
    const a = this.fresh();
    const out = a.alloc(buf.length);
    const name = a.alloc(addr?.length ?? 0);
    const length = a.alloc(4);
    a.view.setInt32(length, addr?.length ?? 0, true);
    const where = addr === null ? [0, 0] : [a.at(name), a.at(length)];
    this.sleep('recvfrom', [fd, a.at(out), buf.length, flags, ...where], (result) => {
      a.take(out, buf);
      if (addr !== null) a.take(name, addr);
      done(result);
    });
  }

  onSend(fd: number, buf: Uint8Array, flags: number, addr: Uint8Array | null, done: Done): void {
    const a = this.fresh();
    const args = [fd, a.pointer(buf), buf.length, flags, a.pointer(addr), addr?.length ?? 0];
    this.sleep('sendto', args, done);
  }

  onRecvmsg(fd: number, msg: UserMsghdr, flags: number, done: Done): void {
    const a = this.fresh();
    const { header, pieces, name, control } = putMsghdr(a, msg, msg.control?.length ?? 0);
    this.sleep('recvmsg', [fd, a.at(header), flags], (result) => {
      for (const [i, piece] of msg.iov.entries()) a.take(pieces[i] as number, piece);
      if (msg.name !== null) a.take(name, msg.name);
      if (msg.control !== null) a.take(control, msg.control);
      msg.namelen = a.view.getUint32(header + MSGHDR.NAMELEN, true);
      msg.controllen = a.getUint64(header + MSGHDR.CONTROLLEN);
      msg.flags = a.view.getInt32(header + MSGHDR.FLAGS, true);
      done(result);
    });
  }

  onSendmsg(fd: number, msg: UserMsghdr, flags: number, done: Done): void {
    const a = this.fresh();
    const { header } = putMsghdr(a, msg, msg.controllen);
    this.sleep('sendmsg', [fd, a.at(header), flags], done);
  }

  /** A 64-bit offset in memory and its address; 0 for none. */
  private putOffset(a: Arena, offset: Float64Array | null): { at: number; pointer: number } {
    if (offset === null) return { at: 0, pointer: 0 };
    const at = a.alloc(8);
    a.view.setBigInt64(at, BigInt(offset[0] ?? 0), true);
    return { at, pointer: a.at(at) };
  }

  onSendfile(
    outfd: number,
    infd: number,
    offset: Float64Array | null,
    count: number,
    done: Done,
  ): void {
    const a = this.fresh();
    const { at, pointer } = this.putOffset(a, offset);
    this.sleep('sendfile', [outfd, infd, pointer, count], (result) => {
      if (offset !== null) offset[0] = a.getUint64(at);
      done(result);
    });
  }

  onSplice(
    fdIn: number,
    offIn: Float64Array | null,
    fdOut: number,
    offOut: Float64Array | null,
    len: number,
    flags: number,
    done: Done,
  ): void {
    const a = this.fresh();
    const from = this.putOffset(a, offIn);
    const to = this.putOffset(a, offOut);
    this.sleep('splice', [fdIn, from.pointer, fdOut, to.pointer, len, flags], (result) => {
      if (offIn !== null) offIn[0] = a.getUint64(from.at);
      if (offOut !== null) offOut[0] = a.getUint64(to.at);
      done(result);
    });
  }

  onPoll(
    fds: Int32Array,
    events: Int16Array,
    revents: Int16Array,
    timeoutMs: number,
    done: Done,
  ): void {
    const a = this.fresh();
    const out = a.alloc(POLLFD_LEN * fds.length);
    for (const [i, fd] of fds.entries()) {
      a.view.setInt32(out + POLLFD_LEN * i, fd, true);
      a.view.setInt16(out + POLLFD_LEN * i + 4, events[i] as number, true);
    }
    this.sleep('poll', [a.at(out), fds.length, timeoutMs], (result) => {
      for (const i of fds.keys()) {
        revents[i] = a.view.getInt16(out + POLLFD_LEN * i + 6, true);
      }
      done(result);
    });
  }

  onEpollWait(epfd: number, events: EpollEvent[], timeoutMs: number, done: Done): void {
    const a = this.fresh();
    const out = a.alloc(EPOLL_LEN * events.length);
    this.sleep('epoll_wait', [epfd, a.at(out), events.length, timeoutMs], (result) => {
      for (let i = 0; i < result; i++) {
        const event = events[i] as EpollEvent;
        event.events = a.view.getUint32(out + EPOLL_LEN * i, true);
        event.data = a.getUint64(out + EPOLL_LEN * i + EPOLL_DATA);
      }
      done(result);
    });
  }
}

function putEpollEvent(a: Arena, at: number, { events, data }: EpollEvent): void {
  a.view.setUint32(at, events >>> 0, true);
  a.setUint64(at + EPOLL_DATA, data);
}

interface Placed {
  readonly header: number;
  readonly pieces: readonly number[];
  readonly name: number;
  readonly control: number;
}

function putMsghdr(a: Arena, msg: UserMsghdr, controllen: number): Placed {
  const header = a.alloc(MSGHDR.LEN);
  const vector = a.alloc(IOVEC_LEN * msg.iov.length);
  const pieces = msg.iov.map((piece, i) => {
    const at = a.put(piece);
    a.setUint64(vector + IOVEC_LEN * i, a.at(at));
    a.setUint64(vector + IOVEC_LEN * i + 8, piece.length);
    return at;
  });
  const name = a.put(msg.name ?? new Uint8Array(0));
  const control = a.put(msg.control ?? new Uint8Array(0));
  a.setUint64(header + MSGHDR.NAME, msg.name === null ? 0 : a.at(name));
  a.view.setUint32(header + MSGHDR.NAMELEN, msg.namelen, true);
  a.setUint64(header + MSGHDR.IOV, a.at(vector));
  a.setUint64(header + MSGHDR.IOVLEN, msg.iov.length);
  a.setUint64(header + MSGHDR.CONTROL, msg.control === null ? 0 : a.at(control));
  a.setUint64(header + MSGHDR.CONTROLLEN, msg.control === null ? 0 : controllen);
  return { header, pieces, name, control };
}
