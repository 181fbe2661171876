/*
 * The C library of the programs: blocking system calls as promises, with their exceptions, and beside them the
 * same calls with a callback, which cost no promise. Counterpart of a libc's thin wrappers around sockets(7).
 *
 * A call blocks when its descriptor does: O_NONBLOCK, MSG_DONTWAIT, SO_RCVTIMEO and SO_SNDTIMEO mean what they
 * mean in Linux. What cannot block is synchronous here too.
 */

import { inNtop4 } from '#lib/parse_addr.ts';
import { EAGAIN, EALREADY, EINPROGRESS, EISCONN } from '#uapi/errno.ts';
import { F_GETFL, F_SETFL, O_NONBLOCK } from '#uapi/fcntl.ts';
import { POLLERR, POLLHUP, POLLIN, POLLOUT } from '#uapi/poll.ts';
import {
  MSG_DONTWAIT,
  MSG_ERRQUEUE,
  MSG_PEEK,
  MSG_WAITALL,
  SO_RCVTIMEO,
  SO_SNDTIMEO,
  SOL_SOCKET,
} from '#uapi/socket.ts';
import type { EpollEvent, SyscallTable, UserMsghdr } from '#uapi/unistd.ts';
import { check, Killed, SystemError } from '#user/lib/errors.ts';
import {
  decodeSockaddr4,
  encodeSockaddr4,
  SOCKADDR_STORAGE_LEN,
  type SockAddr4,
} from '#user/lib/sockaddr.ts';
import { type Done, FOREVER, Waits } from '#user/lib/wait.ts';

/** One descriptor of poll(2). */
export interface PollFd {
  readonly fd: number;
  readonly events: number;
  revents: number;
}

/** A connection that came in. */
export interface Accepted {
  readonly fd: number;
  /** Null when the peer's address is not IPv4. */
  readonly peer: SockAddr4 | null;
}

/** A datagram that came in. */
export interface Datagram {
  readonly length: number;
  readonly from: SockAddr4 | null;
}

const NS_PER_MS = 1e6;

export class Libc {
  readonly sys: SyscallTable;
  readonly waits: Waits;
  /** The signal that ended the program; 0 while it lives. */
  killedBy: number;

  constructor(sys: SyscallTable) {
    this.sys = sys;
    this.waits = new Waits(sys);
    this.killedBy = 0;
  }

  // Calls that do not sleep: their results are checked, nothing else.

  socket(family: number, type: number, protocol = 0): number {
    return check(this.sys.socket(family, type, protocol), 'socket');
  }

  /** @param where the address as text, for the error */
  bind(fd: number, addr: Uint8Array): void {
    const result = this.sys.bind(fd, addr);
    if (result < 0) throw addressed(result, 'bind', addr);
  }

  listen(fd: number, backlog = 511): void {
    check(this.sys.listen(fd, backlog), 'listen');
  }

  shutdown(fd: number, how: number): void {
    check(this.sys.shutdown(fd, how), 'shutdown');
  }

  getsockname(fd: number): SockAddr4 | null {
    const addr = new Uint8Array(SOCKADDR_STORAGE_LEN);
    const length = check(this.sys.getsockname(fd, addr), 'getsockname');
    return decodeSockaddr4(addr.subarray(0, length));
  }

  getpeername(fd: number): SockAddr4 | null {
    const addr = new Uint8Array(SOCKADDR_STORAGE_LEN);
    const length = check(this.sys.getpeername(fd, addr), 'getpeername');
    return decodeSockaddr4(addr.subarray(0, length));
  }

  setsockopt(fd: number, level: number, optname: number, optval: Uint8Array | number): void {
    const value = typeof optval === 'number' ? int32(optval) : optval;
    check(this.sys.setsockopt(fd, level, optname, value), 'setsockopt');
  }

  getsockopt(fd: number, level: number, optname: number, optval: Uint8Array): number {
    return check(this.sys.getsockopt(fd, level, optname, optval), 'getsockopt');
  }

  getsockoptInt(fd: number, level: number, optname: number): number {
    const value = new Uint8Array(4);
    this.getsockopt(fd, level, optname, value);
    return new DataView(value.buffer).getInt32(0, true);
  }

  /** Bounds the sleeps of a socket; 0 for no bound. */
  setTimeout(fd: number, optname: typeof SO_RCVTIMEO | typeof SO_SNDTIMEO, ms: number): void {
    const timeval = new Uint8Array(16);
    const v = new DataView(timeval.buffer);
    v.setUint32(0, Math.floor(ms / 1000), true);
    v.setUint32(8, Math.round((ms % 1000) * 1000), true);
    this.setsockopt(fd, SOL_SOCKET, optname, timeval);
  }

  setNonblocking(fd: number, on: boolean): void {
    const flags = check(this.sys.fcntl(fd, F_GETFL, 0), 'fcntl');
    const wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    if (wanted !== flags) check(this.sys.fcntl(fd, F_SETFL, wanted), 'fcntl');
  }

  open(path: string, flags: number): number {
    return check(this.sys.open(path, flags), 'open', path);
  }

  // Calls with a callback, which may come before the call returns.

  /** Results as recv(2); `done` gets the length or a negative errno. */
  onRecv(fd: number, buf: Uint8Array, flags: number, addr: Uint8Array | null, done: Done): void {
    const first = this.sys.recvfrom(fd, buf, flags, addr);
    if (first !== -EAGAIN || (flags & (MSG_DONTWAIT | MSG_ERRQUEUE)) !== 0) {
      done(first);
      return;
    }
    const attempt = (): number => this.sys.recvfrom(fd, buf, flags, addr);
    this.waits.block(fd, POLLIN, SO_RCVTIMEO, attempt, done);
  }

  /** Sends all of `buf` if the socket may block; `done` gets what was sent, or a negative errno if nothing. */
  onSend(fd: number, buf: Uint8Array, flags: number, addr: Uint8Array | null, done: Done): void {
    const first = this.sys.sendto(fd, buf, flags, addr);
    if (wroteAll(first, buf, flags)) {
      done(first);
      return;
    }
    this.sendRest(fd, buf, Math.max(0, first), done, (rest) => {
      return this.sys.sendto(fd, rest, flags, addr);
    });
  }

  onRead(fd: number, buf: Uint8Array, done: Done): void {
    this.waits.retry(fd, POLLIN, SO_RCVTIMEO, () => this.sys.read(fd, buf), done);
  }

  onWrite(fd: number, buf: Uint8Array, done: Done): void {
    const first = this.sys.write(fd, buf);
    if (wroteAll(first, buf, 0)) {
      done(first);
      return;
    }
    this.sendRest(fd, buf, Math.max(0, first), done, (rest) => this.sys.write(fd, rest));
  }

  /** `done` gets the new descriptor or a negative errno; `addr`, when given, the peer's address. */
  onAccept(fd: number, addr: Uint8Array | null, flags: number, done: Done): void {
    const attempt = (): number => this.sys.accept4(fd, addr, flags);
    this.waits.retry(fd, POLLIN, SO_RCVTIMEO, attempt, done);
  }

  /** `done` gets 0 or a negative errno; -EINPROGRESS from a socket that may not block. */
  onConnect(fd: number, addr: Uint8Array, done: Done): void {
    let waited = false;
    const attempt = (): number => {
      const result = this.sys.connect(fd, addr);
      if (result === -EINPROGRESS || result === -EALREADY) return -EAGAIN;
      // The kernel finished the connection between two tries.
      if (waited && result === -EISCONN) return 0;
      waited = true;
      return result;
    };
    if (!this.waits.mayBlock(fd)) {
      done(this.sys.connect(fd, addr));
      return;
    }
    this.waits.retry(fd, POLLOUT, SO_SNDTIMEO, attempt, (result) => {
      done(result === -EAGAIN ? -EINPROGRESS : result);
    });
  }

  private sendRest(
    fd: number,
    buf: Uint8Array,
    sent: number,
    done: Done,
    send: (rest: Uint8Array) => number,
  ): void {
    let offset = sent;
    const again = (result: number): void => {
      if (result < 0) {
        // What went out counts; the next call will meet the error again.
        done(offset > 0 ? offset : result);
        return;
      }
      offset += result;
      if (offset >= buf.length) done(offset);
      else this.waits.retry(fd, POLLOUT, SO_SNDTIMEO, attempt, again);
    };
    const attempt = (): number => send(buf.subarray(offset));
    if (!this.waits.mayBlock(fd)) {
      done(offset > 0 ? offset : -EAGAIN);
      return;
    }
    this.waits.retry(fd, POLLOUT, SO_SNDTIMEO, attempt, again);
  }

  // The same as promises.

  /** Length received; 0 at the end of a stream. MSG_WAITALL fills the buffer unless the stream ends. */
  recv(fd: number, buf: Uint8Array, flags = 0): Promise<number> {
    if ((flags & MSG_WAITALL) !== 0 && (flags & MSG_PEEK) === 0)
      return this.recvAll(fd, buf, flags);
    if (this.killedBy !== 0) return Promise.reject(new Killed(this.killedBy));
    // What is there needs no waiting, and no closures.
    const now = this.sys.recvfrom(fd, buf, flags, null);
    if (now !== -EAGAIN || (flags & (MSG_DONTWAIT | MSG_ERRQUEUE)) !== 0)
      return settled(now, 'recv');
    const attempt = (): number => this.sys.recvfrom(fd, buf, flags, null);
    return this.promise('recv', (done) => {
      this.waits.block(fd, POLLIN, SO_RCVTIMEO, attempt, done);
    });
  }

  /**
   * Receives up to `max` bytes of a connection without copying them: where they lie, in order; none at the end of the
   * stream. Only to be read, and each to be given back by munmap().
   */
  async recvPages(fd: number, max: number): Promise<Uint8Array[]> {
    this.alive();
    const pages: Uint8Array[] = [];
    const attempt = (): number => this.sys.recvPages(fd, max, pages);
    const now = attempt();
    if (now !== -EAGAIN) await settled(now, 'recvPages');
    else {
      await this.promise('recvPages', (done) => {
        this.waits.block(fd, POLLIN, SO_RCVTIMEO, attempt, done);
      });
    }
    return pages;
  }

  /** Memory of up to 128 KiB that is sent with MSG_ZEROCOPY without a copy. */
  mmap(length: number): Uint8Array {
    const memory = this.sys.mmap(length);
    if (typeof memory === 'number') throw new SystemError(memory, 'mmap');
    return memory;
  }

  /** Gives back what mmap() and recvPages() gave: the very arrays. */
  munmap(...memory: readonly Uint8Array[]): void {
    for (const each of memory) check(this.sys.munmap(each), 'munmap');
  }

  private async recvAll(fd: number, buf: Uint8Array, flags: number): Promise<number> {
    let length = await this.promise('recv', (done) => this.onRecv(fd, buf, flags, null, done));
    while (length > 0 && length < buf.length) {
      const rest = buf.subarray(length);
      const more = await this.result((done) => this.onRecv(fd, rest, flags, null, done));
      if (more <= 0) break;
      length += more;
    }
    return length;
  }

  async recvfrom(fd: number, buf: Uint8Array, flags = 0): Promise<Datagram> {
    const addr = new Uint8Array(SOCKADDR_STORAGE_LEN);
    const length = await this.promise('recvfrom', (done) => {
      this.onRecv(fd, buf, flags, addr, done);
    });
    return { length, from: decodeSockaddr4(addr) };
  }

  async recvmsg(fd: number, msg: UserMsghdr, flags = 0): Promise<number> {
    const never = (flags & (MSG_DONTWAIT | MSG_ERRQUEUE)) !== 0;
    const attempt = (): number => this.sys.recvmsg(fd, msg, flags);
    if (never) return this.checked(attempt(), 'recvmsg');
    return this.promise('recvmsg', (done) => {
      this.waits.retry(fd, POLLIN, SO_RCVTIMEO, attempt, done);
    });
  }

  /** Length sent: all of `buf`, unless the socket may not block or met an error behind a part of it. */
  send(fd: number, buf: Uint8Array, flags = 0): Promise<number> {
    if (this.killedBy !== 0) return Promise.reject(new Killed(this.killedBy));
    const now = this.sys.sendto(fd, buf, flags, null);
    if (wroteAll(now, buf, flags)) return settled(now, 'send');
    const more = (rest: Uint8Array): number => this.sys.sendto(fd, rest, flags, null);
    return this.promise('send', (done) => this.sendRest(fd, buf, Math.max(0, now), done, more));
  }

  async sendto(fd: number, buf: Uint8Array, to: SockAddr4, flags = 0): Promise<number> {
    const addr = encodeSockaddr4(to.addr, to.port);
    const result = await this.result((done) => this.onSend(fd, buf, flags, addr, done));
    if (result < 0) throw addressed(result, 'send', addr);
    return result;
  }

  async sendmsg(fd: number, msg: UserMsghdr, flags = 0): Promise<number> {
    const attempt = (): number => this.sys.sendmsg(fd, msg, flags);
    if ((flags & MSG_DONTWAIT) !== 0) return this.checked(attempt(), 'sendmsg');
    return this.promise('sendmsg', (done) => {
      this.waits.retry(fd, POLLOUT, SO_SNDTIMEO, attempt, done);
    });
  }

  read(fd: number, buf: Uint8Array): Promise<number> {
    return this.promise('read', (done) => this.onRead(fd, buf, done));
  }

  write(fd: number, buf: Uint8Array): Promise<number> {
    return this.promise('write', (done) => this.onWrite(fd, buf, done));
  }

  async accept(fd: number, flags = 0): Promise<Accepted> {
    const addr = new Uint8Array(SOCKADDR_STORAGE_LEN);
    const accepted = await this.promise('accept', (done) => {
      this.onAccept(fd, addr, flags, done);
    });
    return { fd: accepted, peer: decodeSockaddr4(addr) };
  }

  /**
   * Closes a descriptor. Only a socket with SO_LINGER and a time makes one wait: the promise resolves when
   * its peer has everything or the time is over. Who does not wait for it goes on at once, as a thread beside
   * the one in close() would.
   * @throws SystemError at once, not by the promise, when `fd` is none
   */
  close(fd: number): Promise<void> {
    let over: (() => void) | null = null;
    let closed = false;
    this.waits.close(fd, (result) => {
      check(result, 'close');
      closed = true;
      over?.();
    });
    if (closed) return Promise.resolve();
    const promise = new Promise<void>((resolve, reject) => {
      over = () => {
        if (this.killedBy !== 0) reject(new Killed(this.killedBy));
        else resolve();
      };
    });
    // Nobody has to wait.
    promise.catch(() => {});
    return promise;
  }

  async connect(fd: number, to: SockAddr4 | Uint8Array): Promise<void> {
    const addr = to instanceof Uint8Array ? to : encodeSockaddr4(to.addr, to.port);
    const result = await this.result((done) => this.onConnect(fd, addr, done));
    if (result < 0) throw addressed(result, 'connect', addr);
  }

  /** How many of `fds` have something; sets their `revents`. @param timeoutMs < 0: no bound */
  async poll(fds: readonly PollFd[], timeoutMs: number): Promise<number> {
    const numbers = Int32Array.from(fds, ({ fd }) => fd);
    const events = Int16Array.from(fds, ({ events: wanted }) => wanted);
    const revents = new Int16Array(fds.length);
    const deadline = this.sys.monotonic() + timeoutMs * NS_PER_MS;
    for (;;) {
      this.alive();
      const count = check(this.sys.poll(numbers, events, revents), 'poll');
      const left = timeoutMs < 0 ? FOREVER : deadline - this.sys.monotonic();
      if (count > 0 || (timeoutMs >= 0 && left <= 0)) {
        fds.forEach((pollFd, i) => {
          pollFd.revents = revents[i] as number;
        });
        return count;
      }
      await this.promise('poll', (done) => this.waits.any(fds, left, done));
    }
  }

  /** Waits for one descriptor; the poll bits that came, 0 after the timeout. */
  pollFd(fd: number, events: number, timeoutMs: number): Promise<number> {
    const timeoutNs = timeoutMs < 0 ? FOREVER : timeoutMs * NS_PER_MS;
    return this.promise('poll', (done) => {
      this.waits.fd(fd, events | POLLERR | POLLHUP, timeoutNs, done);
    });
  }

  epollCreate(flags = 0): number {
    return check(this.sys.epollCreate1(flags), 'epoll_create1');
  }

  epollCtl(epfd: number, op: number, fd: number, event: EpollEvent | null): void {
    check(this.sys.epollCtl(epfd, op, fd, event), 'epoll_ctl');
  }

  /** What is ready, up to `max` entries; empty after the timeout. @param timeoutMs < 0: no bound */
  async epollWait(epfd: number, max: number, timeoutMs: number): Promise<EpollEvent[]> {
    const events = Array.from({ length: max }, (): EpollEvent => ({ events: 0, data: 0 }));
    const deadline = this.sys.monotonic() + timeoutMs * NS_PER_MS;
    for (;;) {
      this.alive();
      const count = check(this.sys.epollWait(epfd, events), 'epoll_wait');
      const left = timeoutMs < 0 ? FOREVER : deadline - this.sys.monotonic();
      if (count > 0 || (timeoutMs >= 0 && left <= 0)) return events.slice(0, count);
      await this.promise('epoll_wait', (done) => this.waits.fd(epfd, POLLIN, left, done));
    }
  }

  async sleep(ms: number): Promise<void> {
    await this.promise('nanosleep', (done) => this.waits.time(ms * NS_PER_MS, done));
  }

  // Being interrupted.

  /** Ends what the program waits for with EINTR; with a signal, for good. */
  interrupt(signal: number): void {
    if (signal !== 0) this.killedBy = signal;
    this.waits.interrupt();
  }

  /** The result of a call with a callback. Rejects only when the program was killed. */
  result(call: (done: Done) => void): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.killedBy !== 0) {
        reject(new Killed(this.killedBy));
        return;
      }
      call((result) => {
        if (this.killedBy !== 0) reject(new Killed(this.killedBy));
        else resolve(result);
      });
    });
  }

  /**
   * The same, and rejects with what a negative errno means. One promise for each call, and nothing behind it:
   * each further one would be another turn of the microtasks before the program goes on.
   */
  private promise(syscall: string, call: (done: Done) => void): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.killedBy !== 0) {
        reject(new Killed(this.killedBy));
        return;
      }
      call((result) => {
        if (this.killedBy !== 0) reject(new Killed(this.killedBy));
        else if (result < 0) reject(new SystemError(result, syscall));
        else resolve(result);
      });
    });
  }

  private checked(result: number, syscall: string): number {
    this.alive();
    return check(result, syscall);
  }

  private alive(): void {
    if (this.killedBy !== 0) throw new Killed(this.killedBy);
  }
}

/** Whether a write has taken all it will without waiting. */
function wroteAll(result: number, buf: Uint8Array, flags: number): boolean {
  if (result === buf.length || (flags & MSG_DONTWAIT) !== 0) return true;
  return result < 0 && result !== -EAGAIN;
}

/** A promise of what is known already. */
function settled(result: number, syscall: string): Promise<number> {
  return result < 0 ? Promise.reject(new SystemError(result, syscall)) : Promise.resolve(result);
}

function int32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  return bytes;
}

/** The exception of a call that was given an address. */
function addressed(errno: number, syscall: string, addr: Uint8Array): SystemError {
  const to = decodeSockaddr4(addr);
  if (to === null) return new SystemError(errno, syscall);
  return new SystemError(errno, syscall, inNtop4(to.addr), to.port);
}
