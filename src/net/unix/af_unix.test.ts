import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BareMachine } from '#fs/testing/bare_machine.ts';
import { makeSyscalls } from '#init/syscalls.ts';
import { unixInit } from '#net/unix/af_unix.ts';
import {
  EADDRINUSE,
  EAFNOSUPPORT,
  EAGAIN,
  EBADF,
  ECONNREFUSED,
  ECONNRESET,
  EINVAL,
  EISCONN,
  EMSGSIZE,
  ENOENT,
  ENOTCONN,
  ENOTSOCK,
  EOPNOTSUPP,
  EPIPE,
  EPROTONOSUPPORT,
  EPROTOTYPE,
  ESOCKTNOSUPPORT,
} from '#uapi/errno.ts';
import { F_GETFD, F_GETFL, FD_CLOEXEC, O_NONBLOCK, O_RDWR } from '#uapi/fcntl.ts';
import { POLLHUP, POLLIN, POLLOUT, POLLRDHUP } from '#uapi/poll.ts';
import {
  AF_UNIX,
  AF_UNSPEC,
  MSG_PEEK,
  MSG_TRUNC,
  SHUT_WR,
  SO_ERROR,
  SO_PEEK_OFF,
  SO_PEERCRED,
  SO_SNDBUF,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  SOL_SOCKET,
} from '#uapi/socket.ts';
import { SIOCINQ } from '#uapi/sockios.ts';
import type { SyscallTable } from '#uapi/unistd.ts';

let m: BareMachine;
let sys: SyscallTable;

beforeEach(() => {
  m = new BareMachine();
  expect(unixInit(m.machine)).toBe(0);
  sys = makeSyscalls(m.task);
});

afterEach(() => {
  expect(m.end()).toEqual({});
});

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** struct sockaddr_un; `@` stands for the zero byte of an abstract name. */
function un(name: string): Uint8Array {
  const body = bytes(name.replace('@', '\0'));
  return Uint8Array.from([AF_UNIX, 0, ...body, ...(name.startsWith('@') ? [] : [0])]);
}

function pair(type: number): [number, number] {
  const fds = new Int32Array(2);
  expect(sys.socketpair(AF_UNIX, type, 0, fds)).toBe(0);
  return [fds[0] as number, fds[1] as number];
}

function text(fd: number, len = 100, flags = 0): string | number {
  const buf = new Uint8Array(len);
  const n = sys.recvfrom(fd, buf, flags, null);
  return n < 0 ? n : new TextDecoder().decode(buf.subarray(0, n));
}

function poll(fd: number): number {
  const revents = new Int16Array(1);
  sys.poll(Int32Array.of(fd), Int16Array.of(POLLIN | POLLOUT | POLLRDHUP), revents);
  return revents[0] as number;
}

function intOpt(fd: number, name: number): number {
  const buf = new Uint8Array(4);
  expect(sys.getsockopt(fd, SOL_SOCKET, name, buf)).toBe(4);
  return new DataView(buf.buffer).getInt32(0, true);
}

describe('socketpair', () => {
  it('makes flags of its descriptors', () => {
    const [a, b] = pair(SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC);
    expect(sys.fcntl(a, F_GETFL, 0)).toBe(O_RDWR | O_NONBLOCK);
    expect(sys.fcntl(b, F_GETFD, 0)).toBe(FD_CLOEXEC);
  });

  it('knows who is at the other end', () => {
    const [a] = pair(SOCK_DGRAM);
    const cred = new Uint8Array(12);
    expect(sys.getsockopt(a, SOL_SOCKET, SO_PEERCRED, cred)).toBe(12);
    const v = new DataView(cred.buffer);
    expect([0, 4, 8].map((o) => v.getInt32(o, true))).toEqual([sys.getpid(), 0, 0]);
  });

  it('refuses as Linux does', () => {
    const fds = new Int32Array(2);
    expect(sys.socketpair(AF_UNIX, SOCK_STREAM | 0x10000, 0, fds)).toBe(-EINVAL);
    expect(sys.socketpair(AF_UNIX, SOCK_STREAM, 17, fds)).toBe(-EPROTONOSUPPORT);
    expect(sys.socketpair(AF_UNIX, 4, 0, fds)).toBe(-ESOCKTNOSUPPORT);
    expect(sys.socketpair(44, SOCK_STREAM, 0, fds)).toBe(-EAFNOSUPPORT);
  });

  it('streams carry bytes in order whatever the pieces', () => {
    const [a, b] = pair(SOCK_STREAM);
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 20 }), (pieces) => {
        const sent: number[] = [];
        const got: number[] = [];
        const buf = new Uint8Array(777);
        for (const piece of pieces) {
          const n = sys.write(a, piece);
          sent.push(...piece.subarray(0, Math.max(n, 0)));
          const r = sys.read(b, buf);
          if (r > 0) got.push(...buf.subarray(0, r));
        }
        for (let r = sys.read(b, buf); r > 0; r = sys.read(b, buf)) got.push(...buf.subarray(0, r));
        expect(got).toEqual(sent);
      }),
      { numRuns: 30 },
    );
  });

  it('a stream is full at its buffer and empties again', () => {
    const [a, b] = pair(SOCK_STREAM);
    const big = new Uint8Array(1 << 20);
    const first = sys.write(a, big);
    expect(first).toBeGreaterThan(100_000);
    expect(sys.write(a, big)).toBe(-EAGAIN);
    expect(poll(a) & POLLOUT).toBe(0);
    const room = new Uint8Array(4);
    sys.ioctl(b, SIOCINQ, room);
    expect(new DataView(room.buffer).getInt32(0, true)).toBe(first);
    let read = 0;
    for (let n = sys.read(b, big); n > 0; n = sys.read(b, big)) read += n;
    expect(read).toBe(first);
    expect(poll(a) & POLLOUT).toBe(POLLOUT);
  });

  it('ends: shutdown, close, and what was not read', () => {
    const [a, b] = pair(SOCK_STREAM);
    sys.write(a, bytes('x'));
    expect(sys.shutdown(a, SHUT_WR)).toBe(0);
    expect(sys.write(a, bytes('y'))).toBe(-EPIPE);
    expect(poll(b) & (POLLIN | POLLRDHUP)).toBe(POLLIN | POLLRDHUP);
    expect(text(b)).toBe('x');
    expect(text(b)).toBe('');
    expect(sys.shutdown(a, 3)).toBe(-EINVAL);
    const [c, d] = pair(SOCK_STREAM);
    sys.write(c, bytes('lost'));
    sys.close(d);
    expect(poll(c) & POLLHUP).toBe(POLLHUP);
    expect(intOpt(c, SO_ERROR)).toBe(ECONNRESET);
    expect(sys.write(c, bytes('z'))).toBe(-EPIPE);
  });

  it('keeps the bounds of datagrams and packets', () => {
    for (const type of [SOCK_DGRAM, SOCK_SEQPACKET]) {
      const [a, b] = pair(type);
      sys.write(a, bytes('first'));
      sys.write(a, bytes(''));
      sys.write(a, bytes('third'));
      expect(text(b, 3)).toBe('fir');
      expect(text(b)).toBe('');
      expect(text(b, 2, MSG_TRUNC | MSG_PEEK)).toBe('th\0\0\0'.slice(0, 2));
      expect(text(b)).toBe('third');
      expect(text(b)).toBe(-EAGAIN);
    }
  });

  it('peeks, also from an offset', () => {
    const [a, b] = pair(SOCK_STREAM);
    sys.write(a, bytes('abc'));
    sys.write(a, bytes('def'));
    expect(text(b, 4, MSG_PEEK)).toBe('abcd');
    const four = new Uint8Array(4);
    new DataView(four.buffer).setInt32(0, 2, true);
    expect(sys.setsockopt(b, SOL_SOCKET, SO_PEEK_OFF, four)).toBe(0);
    expect(text(b, 2, MSG_PEEK)).toBe('cd');
    expect(text(b, 2, MSG_PEEK)).toBe('ef');
    expect(text(b, 3)).toBe('abc');
    expect(text(b)).toBe('def');
  });
});

describe('named sockets', () => {
  it('streams: listen, connect, accept, names', () => {
    const l = sys.socket(AF_UNIX, SOCK_STREAM, 0);
    const c = sys.socket(AF_UNIX, SOCK_STREAM, 0);
    expect(sys.listen(l, 1)).toBe(-EINVAL);
    expect(sys.bind(l, un('@service'))).toBe(0);
    expect(sys.connect(c, un('@service'))).toBe(-ECONNREFUSED);
    expect(sys.listen(l, 1)).toBe(0);
    expect(sys.accept4(l, null, 0)).toBe(-EAGAIN);
    expect(sys.connect(c, un('@service'))).toBe(0);
    expect(sys.connect(c, un('@service'))).toBe(-EISCONN);
    expect(poll(l) & POLLIN).toBe(POLLIN);
    const peer = new Uint8Array(110).fill(9);
    const s = sys.accept4(l, peer, 0);
    expect(s).toBeGreaterThan(0);
    expect([...peer.subarray(0, 2)]).toEqual([AF_UNIX, 0]);
    sys.write(c, bytes('hello'));
    expect(text(s)).toBe('hello');
    const name = new Uint8Array(110);
    expect(sys.getpeername(c, name)).toBe(2 + 8);
    expect(new TextDecoder().decode(name.subarray(2, 10))).toBe('\0service');
    expect(sys.getsockname(c, name)).toBe(2);
  });

  it('refuses more connections than the backlog, and ends those never accepted', () => {
    const l = sys.socket(AF_UNIX, SOCK_STREAM, 0);
    sys.bind(l, un('/run/x'));
    sys.listen(l, 0);
    const [a, b] = [sys.socket(AF_UNIX, SOCK_STREAM, 0), sys.socket(AF_UNIX, SOCK_STREAM, 0)];
    expect(sys.connect(a, un('/run/x'))).toBe(0);
    expect(sys.connect(b, un('/run/x'))).toBe(-EAGAIN);
    sys.close(l);
    expect(intOpt(a, SO_ERROR)).toBe(ECONNRESET);
    expect(sys.connect(b, un('/run/x'))).toBe(-ENOENT);
  });

  it('datagrams: to a name, from a name, to nobody', () => {
    const a = sys.socket(AF_UNIX, SOCK_DGRAM, 0);
    const b = sys.socket(AF_UNIX, SOCK_DGRAM, 0);
    expect(sys.bind(a, un('@a'))).toBe(0);
    expect(sys.bind(b, un('@a'))).toBe(-EADDRINUSE);
    expect(sys.bind(b, Uint8Array.of(AF_UNIX, 0))).toBe(0);
    expect(sys.write(b, bytes('x'))).toBe(-ENOTCONN);
    expect(sys.sendto(b, bytes('to a'), 0, un('@a'))).toBe(4);
    const from = new Uint8Array(110);
    const buf = new Uint8Array(10);
    expect(sys.recvfrom(a, buf, 0, from)).toBe(4);
    expect(new TextDecoder().decode(from.subarray(2, 8))).toMatch(/^\0[0-9a-f]{5}$/);
    expect(sys.sendto(b, bytes('x'), 0, un('@none'))).toBe(-ECONNREFUSED);
    const s = sys.socket(AF_UNIX, SOCK_STREAM, 0);
    expect(sys.connect(s, un('@a'))).toBe(-EPROTOTYPE);
    expect(sys.connect(b, un('@a'))).toBe(0);
    for (let i = 0; i <= 10; i++) expect(sys.write(b, bytes('q'))).toBe(1);
    expect(sys.write(b, bytes('q'))).toBe(-EAGAIN);
    expect(poll(b) & POLLOUT).toBe(0);
    const woken: number[] = [];
    sys.waitFd(b, POLLOUT, -1, (revents) => woken.push(revents));
    text(a);
    m.settle();
    expect(woken).toEqual([POLLOUT]);
    sys.close(a);
    expect(sys.write(b, bytes('q'))).toBe(-ECONNREFUSED);
    expect(sys.write(b, bytes('q'))).toBe(-ENOTCONN);
    expect(sys.connect(b, Uint8Array.of(AF_UNSPEC, 0))).toBe(0);
  });

  it('names are checked', () => {
    const s = sys.socket(AF_UNIX, SOCK_STREAM, 0);
    expect(sys.bind(s, Uint8Array.of(AF_UNIX))).toBe(-EINVAL);
    expect(sys.bind(s, Uint8Array.of(2, 0, 65, 0))).toBe(-EINVAL);
    expect(sys.bind(s, new Uint8Array(111))).toBe(-EINVAL);
    expect(sys.bind(s, new Uint8Array(129))).toBe(-EINVAL);
    expect(sys.bind(s, un('/tmp/s'))).toBe(0);
    expect(sys.bind(s, un('/tmp/t'))).toBe(-EINVAL);
    const shown = new Uint8Array(1000);
    const fd = sys.open('/proc/net/unix', 0);
    const n = sys.read(fd, shown);
    expect(new TextDecoder().decode(shown.subarray(0, n))).toContain(' 0001 01 ');
    expect(new TextDecoder().decode(shown.subarray(0, n))).toContain(' /tmp/s\n');
  });
});

describe('every call on a descriptor', () => {
  const buf = new Uint8Array(16);
  const msg = (): Parameters<SyscallTable['sendmsg']>[1] => ({
    name: null,
    namelen: 0,
    iov: [buf],
    control: null,
    controllen: 0,
    flags: 0,
  });
  const calls: Record<string, (fd: number) => number> = {
    bind: (fd) => sys.bind(fd, un('@x')),
    listen: (fd) => sys.listen(fd, 1),
    accept4: (fd) => sys.accept4(fd, null, 0),
    connect: (fd) => sys.connect(fd, un('@x')),
    getsockname: (fd) => sys.getsockname(fd, buf),
    getpeername: (fd) => sys.getpeername(fd, buf),
    sendto: (fd) => sys.sendto(fd, buf, 0, null),
    recvfrom: (fd) => sys.recvfrom(fd, buf, 0, null),
    sendmsg: (fd) => sys.sendmsg(fd, msg(), 0),
    recvmsg: (fd) => sys.recvmsg(fd, msg(), 0),
    shutdown: (fd) => sys.shutdown(fd, 0),
    setsockopt: (fd) => sys.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, buf),
    getsockopt: (fd) => sys.getsockopt(fd, SOL_SOCKET, SO_SNDBUF, buf),
  };

  it.each(Object.keys(calls))('%s: EBADF for none, ENOTSOCK for a pipe', (name) => {
    const call = calls[name] as (fd: number) => number;
    const fds = new Int32Array(2);
    sys.pipe2(fds, 0);
    expect(call(99)).toBe(-EBADF);
    expect(call(-1)).toBe(-EBADF);
    expect(call(fds[0] as number)).toBe(-ENOTSOCK);
  });

  it('that the type does not have is not supported', () => {
    const d = sys.socket(AF_UNIX, SOCK_DGRAM, 0);
    expect(sys.listen(d, 1)).toBe(-EOPNOTSUPP);
    expect(sys.accept4(d, null, 0)).toBe(-EOPNOTSUPP);
    expect(sys.accept4(d, null, 1)).toBe(-EINVAL);
    expect(sys.setsockopt(d, 6, 1, new Uint8Array(4))).toBe(-EOPNOTSUPP);
    const s = sys.socket(AF_UNIX, SOCK_STREAM, 0);
    expect(sys.read(s, buf)).toBe(-EINVAL);
    expect(sys.write(s, buf)).toBe(-ENOTCONN);
    expect(sys.getpeername(s, buf)).toBe(-ENOTCONN);
    const iov = Array.from({ length: 1025 }, () => new Uint8Array(0));
    expect(sys.sendmsg(s, { ...msg(), iov }, 0)).toBe(-EMSGSIZE);
  });
});
