import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { defconfig } from '#init/defconfig.ts';
import { bootMachine, haltMachine } from '#init/main.ts';
import { makeSyscalls } from '#init/syscalls.ts';
import { liveReport } from '#kernel/live.ts';
import { type Machine, type MachineHost, runPending, runTimers } from '#kernel/machine.ts';
import { createTask, type Task } from '#kernel/sched/task.ts';
import {
  EACCES,
  EADDRINUSE,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  EAGAIN,
  EALREADY,
  ECONNREFUSED,
  ECONNRESET,
  EDESTADDRREQ,
  EINPROGRESS,
  EINVAL,
  EISCONN,
  ENETUNREACH,
  ENOENT,
  ENOTCONN,
  EOPNOTSUPP,
  EPIPE,
  EPROTONOSUPPORT,
  ESOCKTNOSUPPORT,
} from '#uapi/errno.ts';
import {
  EPOLL_CTL_ADD,
  EPOLLET,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLRDHUP,
} from '#uapi/eventpoll.ts';
import { IFF_RUNNING, IFF_UP, ifreq } from '#uapi/if.ts';
import { IPPROTO_ICMP, IPPROTO_UDP, sockaddrIn } from '#uapi/in.ts';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP } from '#uapi/poll.ts';
import {
  AF_INET,
  AF_UNSPEC,
  SHUT_WR,
  SO_ERROR,
  SO_LINGER,
  SO_REUSEADDR,
  SO_TIMESTAMPNS,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  SOL_SOCKET,
} from '#uapi/socket.ts';
import { SIOCGSTAMPNS, SIOCSIFFLAGS } from '#uapi/sockios.ts';
import { CLONE_NEWNET, type SyscallTable } from '#uapi/unistd.ts';

const LO = 0x7f000001;

class Host implements MachineHost {
  clock = 0;
  readClock(): number {
    return this.clock;
  }
  kick(): void {}
  timerChanged(): void {}
}

let host: Host;
let machine: Machine;
let task: Task;
let sys: SyscallTable;

/** Lets `ns` pass, with everything that falls due. */
function run(ns: number): void {
  const until = host.clock + ns;
  for (;;) {
    runPending(machine);
    const next = machine.nextExpiry();
    if (next > until) break;
    host.clock = Math.max(host.clock, next);
    machine.enter(host.clock);
    runTimers(machine);
  }
  host.clock = until;
  machine.enter(until);
  runPending(machine);
}

function inet(addr: number, port: number, family = AF_INET): Uint8Array {
  const buf = new Uint8Array(sockaddrIn.LEN);
  const v = new DataView(buf.buffer);
  sockaddrIn.setFamily(v, 0, family);
  sockaddrIn.setPort(v, 0, port);
  sockaddrIn.setAddr(v, 0, addr);
  return buf;
}

function nameOf(fd: number, peer = false): [number, number] | number {
  const buf = new Uint8Array(sockaddrIn.LEN);
  const len = peer ? sys.getpeername(fd, buf) : sys.getsockname(fd, buf);
  if (len < 0) return len;
  const v = new DataView(buf.buffer);
  return [sockaddrIn.addr(v, 0), sockaddrIn.port(v, 0)];
}

function poll(fd: number): number {
  const revents = new Int16Array(1);
  sys.poll(Int32Array.of(fd), Int16Array.of(POLLIN | POLLOUT | POLLRDHUP), revents);
  return revents[0] as number;
}

function soError(fd: number): number {
  const buf = new Uint8Array(4);
  expect(sys.getsockopt(fd, SOL_SOCKET, SO_ERROR, buf)).toBe(4);
  return new DataView(buf.buffer).getInt32(0, true);
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function read(fd: number, len = 1000): string | number {
  const buf = new Uint8Array(len);
  const n = sys.read(fd, buf);
  return n < 0 ? n : new TextDecoder().decode(buf.subarray(0, n));
}

const stream = (): number => sys.socket(AF_INET, SOCK_STREAM, 0);
const dgram = (): number => sys.socket(AF_INET, SOCK_DGRAM, 0);

function listener(port: number, backlog = 8): number {
  const fd = stream();
  expect(sys.bind(fd, inet(0, port))).toBe(0);
  expect(sys.listen(fd, backlog)).toBe(0);
  return fd;
}

/** A connection over loopback: [client, server, listener]. */
function connected(port = 80): [number, number, number] {
  const l = listener(port);
  const c = stream();
  expect(sys.connect(c, inet(LO, port))).toBe(-EINPROGRESS);
  run(1e6);
  expect(sys.connect(c, inet(LO, port))).toBe(0);
  const s = sys.accept4(l, null, 0);
  expect(s).toBeGreaterThan(0);
  return [c, s, l];
}

function upLoopback(): void {
  const fd = dgram();
  const ifr = new Uint8Array(ifreq.LEN);
  ifr.set(bytes('lo'));
  ifreq.setFlags(new DataView(ifr.buffer), 0, IFF_UP | IFF_RUNNING);
  expect(sys.ioctl(fd, SIOCSIFFLAGS, ifr)).toBe(0);
  sys.close(fd);
}

beforeEach(() => {
  host = new Host();
  machine = bootMachine({
    name: 'm',
    host,
    seed: 1,
    bootEpochSec: 1_000_000_000,
    modules: defconfig,
  });
  task = createTask(machine, 'test', machine.initNet);
  sys = makeSyscalls(task);
  upLoopback();
});

afterEach(() => {
  sys.exit(0);
  // Past every TIME_WAIT and every retransmission.
  run(200e9);
  haltMachine(machine);
  expect(liveReport(machine)).toEqual({});
});

describe('socket', () => {
  it('finds what family, type and protocol mean', () => {
    const rows: [number, number, number][] = [
      [SOCK_STREAM, IPPROTO_UDP, -EPROTONOSUPPORT],
      [SOCK_DGRAM, 6, -EPROTONOSUPPORT],
      [SOCK_SEQPACKET, 0, -ESOCKTNOSUPPORT],
      [SOCK_RAW, 0, -EPROTONOSUPPORT],
      [SOCK_STREAM, -1, -EINVAL],
      [SOCK_STREAM, 263, -EINVAL],
      [SOCK_STREAM | 0x10000, 0, -EINVAL],
      [11, 0, -EINVAL],
    ];
    for (const [type, protocol, err] of rows) {
      expect(sys.socket(AF_INET, type, protocol), `${type} ${protocol}`).toBe(err);
    }
    expect(sys.socket(10, SOCK_STREAM, 0)).toBe(-EAFNOSUPPORT);
    expect(sys.socket(99, SOCK_STREAM, 0)).toBe(-EAFNOSUPPORT);
    for (const [type, protocol] of [
      [SOCK_STREAM, 6],
      [SOCK_DGRAM, 17],
      [SOCK_DGRAM, IPPROTO_ICMP],
      [SOCK_RAW, IPPROTO_ICMP],
      [SOCK_RAW, 255],
      [SOCK_STREAM | SOCK_NONBLOCK, 0],
    ] as const) {
      expect(sys.socket(AF_INET, type, protocol)).toBeGreaterThanOrEqual(0);
    }
  });
});

describe('bind', () => {
  it('answers with the errors of Linux', () => {
    const fd = stream();
    const rows: [Uint8Array, number][] = [
      [inet(LO, 80).subarray(0, 15), -EINVAL],
      [inet(LO, 80, 10), -EAFNOSUPPORT],
      [inet(LO, 80, AF_UNSPEC), -EAFNOSUPPORT],
      [inet(0x08080808, 80), -EADDRNOTAVAIL],
      [new Uint8Array(129), -EINVAL],
      [inet(0, 81, AF_UNSPEC), 0],
      [inet(0, 82), -EINVAL],
    ];
    for (const [addr, err] of rows) expect(sys.bind(fd, addr)).toBe(err);
    expect(nameOf(fd)).toEqual([0, 81]);
    const other = stream();
    expect(sys.bind(other, inet(LO, 81))).toBe(-EADDRINUSE);
    sys.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, Uint8Array.of(1, 0, 0, 0));
    sys.setsockopt(other, SOL_SOCKET, SO_REUSEADDR, Uint8Array.of(1, 0, 0, 0));
    expect(sys.bind(other, inet(LO, 81))).toBe(0);
    expect(sys.listen(fd, 1)).toBe(0);
    // One of two may listen.
    expect(sys.listen(other, 1)).toBe(-EADDRINUSE);
  });

  it('gives a port from the range when none is asked for', () => {
    const fd = dgram();
    expect(sys.bind(fd, inet(LO, 0))).toBe(0);
    const name = nameOf(fd);
    expect(Array.isArray(name) && name[1] >= 32768 && name[1] <= 60999).toBe(true);
  });
});

describe('connect', () => {
  it('goes from EINPROGRESS by EALREADY to 0, then EISCONN', () => {
    const l = listener(80);
    const c = stream();
    expect(nameOf(c, true)).toBe(-ENOTCONN);
    expect(sys.connect(c, inet(LO, 80))).toBe(-EINPROGRESS);
    const again = sys.connect(c, inet(LO, 80));
    expect([0, -EALREADY]).toContain(again);
    run(1e6);
    expect(poll(c) & POLLOUT).toBe(POLLOUT);
    if (again !== 0) expect(sys.connect(c, inet(LO, 80))).toBe(0);
    expect(sys.connect(c, inet(LO, 80))).toBe(-EISCONN);
    expect(nameOf(c, true)).toEqual([LO, 80]);
    const peer = new Uint8Array(16);
    const s = sys.accept4(l, peer, 0);
    expect(peer.subarray(0, 8)).toEqual(inet(...(nameOf(c) as [number, number])).subarray(0, 8));
    expect(nameOf(s, true)).toEqual(nameOf(c));
    expect(nameOf(s)).toEqual([LO, 80]);
  });

  it('tells a refusal once, and can be tried again', () => {
    const c = stream();
    const first = sys.connect(c, inet(LO, 9));
    run(1e6);
    if (first === -EINPROGRESS) {
      expect(poll(c) & (POLLERR | POLLHUP)).not.toBe(0);
      expect(sys.connect(c, inet(LO, 9))).toBe(-ECONNREFUSED);
    } else expect(first).toBe(-ECONNREFUSED);
    expect(soError(c)).toBe(0);
    const l = listener(9);
    expect(sys.connect(c, inet(LO, 9))).toBe(-EINPROGRESS);
    run(1e6);
    expect(sys.connect(c, inet(LO, 9))).toBe(0);
    sys.close(l);
  });

  it('answers with the errors of Linux', () => {
    const c = stream();
    expect(sys.connect(c, new Uint8Array(1))).toBe(-EINVAL);
    expect(sys.connect(c, inet(LO, 80).subarray(0, 15))).toBe(-EINVAL);
    expect(sys.connect(c, inet(LO, 80, 10))).toBe(-EAFNOSUPPORT);
    expect(sys.connect(c, inet(0x0a000001, 80))).toBe(-ENETUNREACH);
    const l = listener(80);
    expect(sys.connect(l, inet(LO, 80))).toBe(-EISCONN);
  });

  it('of a datagram socket sets the peer, and AF_UNSPEC forgets it', () => {
    const d = dgram();
    expect(sys.write(d, bytes('x'))).toBe(-EDESTADDRREQ);
    expect(sys.connect(d, inet(LO, 53))).toBe(0);
    expect(nameOf(d, true)).toEqual([LO, 53]);
    expect(sys.connect(d, inet(0, 0, AF_UNSPEC))).toBe(0);
    expect(nameOf(d, true)).toBe(-ENOTCONN);
  });

  it('to nobody over UDP ends in ECONNREFUSED', () => {
    const d = dgram();
    sys.connect(d, inet(LO, 53));
    expect(sys.write(d, bytes('x'))).toBe(1);
    run(1e6);
    expect(read(d)).toBe(-ECONNREFUSED);
    expect(read(d)).toBe(-EAGAIN);
  });
});

describe('calls in the wrong state', () => {
  it('answer with the errors of Linux', () => {
    const s = stream();
    expect(sys.accept4(s, null, 0)).toBe(-EINVAL);
    expect(sys.shutdown(s, SHUT_WR)).toBe(-ENOTCONN);
    expect(sys.shutdown(s, 3)).toBe(-EINVAL);
    expect(sys.shutdown(s, -1)).toBe(-EINVAL);
    expect(read(s)).toBe(-ENOTCONN);
    expect(sys.write(s, bytes('x'))).toBe(-EPIPE);
    const d = dgram();
    expect(sys.listen(d, 1)).toBe(-EOPNOTSUPP);
    expect(sys.accept4(d, null, 0)).toBe(-EOPNOTSUPP);
    expect(sys.socketpair(AF_INET, SOCK_STREAM, 0, new Int32Array(2))).toBe(-EOPNOTSUPP);
    const [c] = connected();
    expect(sys.listen(c, 1)).toBe(-EINVAL);
    expect(sys.bind(c, inet(LO, 99))).toBe(-EINVAL);
  });
});

describe('a connection', () => {
  it('carries data both ways and ends in order', () => {
    const [c, s] = connected();
    expect(sys.write(c, bytes('ping'))).toBe(4);
    run(1e6);
    expect(read(s)).toBe('ping');
    expect(read(s)).toBe(-EAGAIN);
    sys.write(s, bytes('pong'));
    expect(sys.shutdown(s, SHUT_WR)).toBe(0);
    expect(sys.write(s, bytes('late'))).toBe(-EPIPE);
    run(1e6);
    expect(poll(c) & (POLLIN | POLLRDHUP)).toBe(POLLIN | POLLRDHUP);
    expect(read(c)).toBe('pong');
    expect(read(c)).toBe('');
    sys.write(c, bytes('still'));
    run(1e6);
    expect(read(s)).toBe('still');
  });

  it('is reset by a close with unread data, or a linger of zero', () => {
    const [c, s] = connected();
    sys.write(c, bytes('never read'));
    run(1e6);
    sys.close(s);
    run(1e6);
    expect(read(c)).toBe(-ECONNRESET);
    const [c2, s2] = connected(81);
    sys.setsockopt(s2, SOL_SOCKET, SO_LINGER, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
    sys.close(s2);
    run(1e6);
    expect(read(c2)).toBe(-ECONNRESET);
    expect(read(c2)).toBe('');
  });

  it('moves a megabyte through small buffers, woken by poll', () => {
    const [c, s] = connected();
    const data = Uint8Array.from({ length: 1 << 20 }, (_, i) => (i * 31) ^ (i >> 8));
    let sent = 0;
    const got = new Uint8Array(data.length);
    let have = 0;
    const send = (): void => {
      for (;;) {
        const n = sys.write(c, data.subarray(sent, sent + 50_000));
        if (n <= 0) break;
        sent += n;
      }
      if (sent < data.length) sys.waitFd(c, POLLOUT, -1, send);
    };
    const receive = (): void => {
      for (;;) {
        const n = sys.read(s, got.subarray(have, have + 7000));
        if (n <= 0) break;
        have += n;
      }
      if (have < data.length) sys.waitFd(s, POLLIN, -1, receive);
    };
    send();
    receive();
    run(10e9);
    expect([sent, have]).toEqual([data.length, data.length]);
    expect(Buffer.compare(got, data)).toBe(0);
  });

  it('waits in the backlog, and ends with the listener', () => {
    const l = listener(80);
    const c = stream();
    sys.connect(c, inet(LO, 80));
    run(1e6);
    expect(poll(l) & POLLIN).toBe(POLLIN);
    sys.close(l);
    run(1e6);
    expect(read(c)).toBe(-ECONNRESET);
  });
});

describe('datagrams', () => {
  it('go from a bound socket to another, with their addresses', () => {
    const a = dgram();
    const b = dgram();
    sys.bind(a, inet(LO, 1000));
    sys.bind(b, inet(0, 2000));
    expect(sys.sendto(a, bytes('hello'), 0, inet(LO, 2000))).toBe(5);
    run(1e6);
    const from = new Uint8Array(16);
    const buf = new Uint8Array(100);
    expect(sys.recvfrom(b, buf, 0, from)).toBe(5);
    expect(from.subarray(0, 8)).toEqual(inet(LO, 1000).subarray(0, 8));
    expect(sys.recvfrom(b, buf, 0, from)).toBe(-EAGAIN);
  });
});

describe('time stamps', () => {
  it('tell when a packet came, in a control message and by SIOCGSTAMPNS', () => {
    const a = dgram();
    const b = dgram();
    sys.bind(b, inet(LO, 2000));
    const stamp = new Uint8Array(16);
    expect(sys.ioctl(b, SIOCGSTAMPNS, stamp)).toBe(-ENOENT);
    sys.setsockopt(b, SOL_SOCKET, SO_TIMESTAMPNS, Uint8Array.of(1, 0, 0, 0));
    host.clock += 2_500_000_000;
    sys.sendto(a, bytes('x'), 0, inet(LO, 2000));
    run(1e9);
    const msg = {
      name: null,
      namelen: 0,
      iov: [new Uint8Array(10)],
      control: new Uint8Array(64),
      controllen: 64,
      flags: 0,
    };
    expect(sys.recvmsg(b, msg, 0)).toBe(1);
    const v = new DataView(msg.control.buffer);
    expect([v.getUint32(0, true), v.getInt32(8, true), v.getInt32(12, true)]).toEqual([
      32,
      SOL_SOCKET,
      SO_TIMESTAMPNS,
    ]);
    // The machine booted at 1,000,000,000.
    const sec = v.getUint32(16, true);
    const nsec = v.getUint32(24, true);
    expect((sec - 1_000_000_000) * 1e9 + nsec).toBe(2_500_000_000);
    sys.setsockopt(b, SOL_SOCKET, SO_TIMESTAMPNS, new Uint8Array(4));
    sys.sendto(a, bytes('y'), 0, inet(LO, 2000));
    run(1e9);
    read(b);
    expect(sys.ioctl(b, SIOCGSTAMPNS, stamp)).toBe(0);
    expect(new DataView(stamp.buffer).getUint32(0, true)).toBe(1_000_000_003);
  });
});

describe('epoll on connections', () => {
  it('tells connections, data, room and the end, each when it is so', () => {
    const l = listener(80);
    const ep = sys.epollCreate1(0);
    const watch = (fd: number, events: number): number =>
      sys.epollCtl(ep, EPOLL_CTL_ADD, fd, { events, data: fd });
    const ready = (): [number, number][] => {
      const events = Array.from({ length: 8 }, () => ({ events: 0, data: 0 }));
      const n = sys.epollWait(ep, events);
      return events.slice(0, n).map((e) => [e.data, e.events]);
    };
    watch(l, EPOLLIN);
    const c = stream();
    watch(c, EPOLLOUT | EPOLLIN | EPOLLRDHUP | EPOLLET);
    // Not connecting yet: Linux says OUT and HUP.
    expect(ready()).toEqual([[c, EPOLLOUT | EPOLLHUP]]);
    sys.connect(c, inet(LO, 80));
    run(1e6);
    expect(ready().sort((x, y) => x[0] - y[0])).toEqual([
      [l, EPOLLIN],
      [c, EPOLLOUT],
    ]);
    const s = sys.accept4(l, null, 0);
    expect(ready()).toEqual([]);
    sys.write(s, bytes('data'));
    run(1e6);
    expect(ready()).toEqual([[c, EPOLLIN | EPOLLOUT]]);
    expect(ready()).toEqual([]);
    sys.shutdown(s, SHUT_WR);
    run(1e6);
    expect(ready()).toEqual([[c, EPOLLIN | EPOLLOUT | EPOLLRDHUP]]);
    sys.close(c);
    expect(ready()).toEqual([]);
  });
});

describe('namespaces', () => {
  it('have a loopback, ports and settings of their own', () => {
    const l = listener(80);
    expect(sys.unshare(CLONE_NEWNET)).toBe(0);
    const c = stream();
    expect(sys.connect(c, inet(LO, 80))).toBe(-ENETUNREACH);
    upLoopback();
    const here = listener(80);
    expect(sys.connect(c, inet(LO, 80))).toBe(-EINPROGRESS);
    run(1e6);
    expect(sys.accept4(l, null, 0)).toBe(-EAGAIN);
    expect(sys.accept4(here, null, 0)).toBeGreaterThan(0);
    const fd = sys.open('/proc/sys/net/ipv4/ip_forward', 2);
    expect(sys.write(fd, bytes('1'))).toBe(1);
    sys.setns('init_net');
    const other = sys.open('/proc/sys/net/ipv4/ip_forward', 0);
    expect(read(other)).toBe('0\n');
  });
});

describe('/sys/module', () => {
  it('shows and sets the parameters of a module', () => {
    const path = '/sys/module/tcp_cubic/parameters/hystart_detect';
    const fd = sys.open(path, 1);
    expect(read(sys.open(path, 0))).toBe('3\n');
    expect(sys.write(fd, bytes('2\n'))).toBe(2);
    expect(read(sys.open(path, 0))).toBe('2\n');
    expect(sys.open('/sys/module/tcp_cubic/parameters/bic_scale', 1)).toBe(-EACCES);
    expect(sys.open('/sys/module/none/parameters', 0)).toBe(-ENOENT);
  });
});

describe('every file of /proc and /sys', () => {
  it('can be read while the machine is busy', () => {
    connected();
    dgram();
    sys.socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    const walk = (path: string): string[] => {
      const names = sys.readdir(path === '' ? '/' : path);
      return typeof names === 'number' ? [path] : names.flatMap((n) => walk(`${path}/${n}`));
    };
    const files = walk('').filter((path) => !path.startsWith('/dev/'));
    expect(files.length).toBeGreaterThan(200);
    for (const path of files) {
      const fd = sys.open(path, 0);
      expect(fd, path).toBeGreaterThanOrEqual(0);
      const text = read(fd, 1 << 18);
      // What a device without a link does not have cannot be read: Linux says so by the same errno.
      if (/\/(carrier|dormant|duplex|speed|testing)$/.test(path) && text === -EINVAL) continue;
      if (/\/(traffic_class|xps_cpus|xps_rxqs)$/.test(path) && text === -ENOENT) continue;
      expect(typeof text, path).toBe('string');
      expect(text, path).not.toMatch(/undefined|NaN|\[object/);
      sys.close(fd);
    }
  });
});
