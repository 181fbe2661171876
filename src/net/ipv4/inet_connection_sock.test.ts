import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LOCAL, REMOTE, TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import { EADDRINUSE, EADDRNOTAVAIL, EAGAIN, EINVAL } from '#uapi/errno.ts';
import { LINUX_MIB_LISTENOVERFLOWS } from '#uapi/snmp.ts';
import {
  AF_INET,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SOCK_STREAM,
  SOL_SOCKET,
  SOL_TCP,
} from '#uapi/socket.ts';
import { TCP_DEFER_ACCEPT } from '#uapi/tcp.ts';

let rig: TcpRig;

beforeEach(() => {
  rig = new TcpRig();
  // 127.0.0.1 without a loopback that is up.
  rig.machine.initNet.ipv4.sysctlIpNonlocalBind = 1;
});

afterEach(() => {
  expect(rig.end()).toEqual({});
});

interface Bound {
  readonly addr?: number;
  readonly reuse?: boolean;
  readonly reuseport?: boolean;
  readonly listen?: boolean;
}

const LOOPBACK = 0x7f000001;

function open(how: Bound, port: number): { fd: number; err: number } {
  const fd = rig.sys.socket(AF_INET, SOCK_STREAM, 0);
  if (how.reuse === true) rig.setInt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (how.reuseport === true) rig.setInt(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  let err = rig.sys.bind(fd, rig.sockaddr(how.addr ?? 0, port));
  if (err === 0 && how.listen === true) err = rig.sys.listen(fd, 50);
  return { fd, err };
}

function portOf(fd: number): number {
  const sa = new Uint8Array(16);
  rig.sys.getsockname(fd, sa);
  return new DataView(sa.buffer).getUint16(2);
}

/** first socket, second socket, may the second share the port? */
const SHARING: readonly [string, Bound, Bound, boolean][] = [
  ['neither asks', {}, {}, false],
  ['different addresses', { addr: LOCAL }, { addr: LOOPBACK }, true],
  ['an address and any', { addr: LOCAL }, {}, false],
  ['both SO_REUSEADDR', { reuse: true }, { reuse: true }, true],
  ['only the second SO_REUSEADDR', {}, { reuse: true }, false],
  ['both SO_REUSEADDR, the first listens', { reuse: true, listen: true }, { reuse: true }, false],
  ['both SO_REUSEPORT', { reuseport: true }, { reuseport: true }, true],
  ['only the first SO_REUSEPORT', { reuseport: true }, {}, false],
  [
    'both SO_REUSEPORT and listening',
    { reuseport: true, listen: true },
    { reuseport: true, listen: true },
    true,
  ],
  [
    'listeners of different addresses',
    { addr: LOCAL, listen: true },
    { addr: LOOPBACK, listen: true },
    true,
  ],
];

describe('bind', () => {
  for (const [what, first, second, shared] of SHARING) {
    it(`${what}: ${shared ? 'shared' : 'in use'}`, () => {
      const a = open(first, 5000);
      expect(a.err).toBe(0);
      const b = open(second, 5000);
      expect(b.err).toBe(shared ? 0 : -EADDRINUSE);
      rig.close(a.fd);
      rig.close(b.fd);
      // And the port is free afterwards.
      const c = open({ listen: true }, 5000);
      expect(c.err).toBe(0);
      rig.close(c.fd);
    });
  }

  it('to port 0 finds one of the range, of the parity that connect() avoids', () => {
    const fds: number[] = [];
    const ports = new Set<number>();
    for (let i = 0; i < 50; i++) {
      const { fd, err } = open({}, 0);
      expect(err).toBe(0);
      fds.push(fd);
      ports.add(portOf(fd));
    }
    expect(ports.size).toBe(50);
    for (const port of ports) {
      expect(port).toBeGreaterThanOrEqual(32768);
      expect(port).toBeLessThanOrEqual(60999);
      expect(port % 2).toBe(1);
    }
    for (const fd of fds) rig.close(fd);
  });

  it('finds the last free port, and then none', () => {
    const { ipv4 } = rig.machine.initNet;
    ipv4.sysctlIpLocalPortRangeLo = 40_000;
    ipv4.sysctlIpLocalPortRangeHi = 40_009;
    ipv4.sysctlLocalReservedPorts = new Set([40_003]);
    const fds: number[] = [];
    for (let i = 0; i < 9; i++) {
      const { fd, err } = open({}, 0);
      expect(err).toBe(0);
      fds.push(fd);
    }
    expect(new Set(fds.map(portOf)).has(40_003)).toBe(false);
    const more = open({}, 0);
    expect(more.err).toBe(-EADDRINUSE);
    rig.close(more.fd);
    for (const fd of fds) rig.close(fd);
  });

  it('twice is an error', () => {
    const { fd } = open({}, 5000);
    expect(rig.sys.bind(fd, rig.sockaddr(0, 5001))).toBe(-EINVAL);
    rig.close(fd);
  });
});

describe('connect', () => {
  it('takes ports of its own parity, one for each connection', () => {
    const fds: number[] = [];
    for (let i = 0; i < 20; i++) {
      const fd = rig.sys.socket(AF_INET, SOCK_STREAM, 0);
      rig.sys.connect(fd, rig.sockaddr(REMOTE, 80));
      fds.push(fd);
    }
    const ports = fds.map(portOf);
    expect(new Set(ports).size).toBe(20);
    for (const port of ports) expect(port % 2).toBe(0);
    for (const fd of fds) rig.close(fd);
  });

  it('shares a port between different peers, and says when all are taken', () => {
    const { ipv4 } = rig.machine.initNet;
    ipv4.sysctlIpLocalPortRangeLo = 40_000;
    ipv4.sysctlIpLocalPortRangeHi = 40_003;
    const fds: number[] = [];
    const connect = (port: number): number => {
      const fd = rig.sys.socket(AF_INET, SOCK_STREAM, 0);
      fds.push(fd);
      return rig.sys.connect(fd, rig.sockaddr(REMOTE, port));
    };
    for (let i = 0; i < 4; i++) connect(80);
    expect(connect(80)).toBe(-EADDRNOTAVAIL);
    for (let i = 0; i < 4; i++) connect(81);
    expect(new Set(fds.slice(5).map(portOf)).size).toBe(4);
    for (const fd of fds) rig.close(fd);
  });
});

describe('accept', () => {
  it('gives the connections in the order in which they were made', () => {
    const lfd = rig.listen();
    expect(rig.sys.accept4(lfd, null, 0)).toBe(-EAGAIN);
    for (let port = 40_000; port < 40_003; port++) {
      rig.remotePort = port;
      rig.inject({ flags: 'S', options: 'mss 1460' });
      rig.sent();
      rig.inject({ flags: '.', seq: 1, ack: 1, win: 1000 });
    }
    for (let port = 40_000; port < 40_003; port++) {
      const sa = new Uint8Array(16);
      const fd = rig.sys.accept4(lfd, sa, 0);
      expect(new DataView(sa.buffer).getUint16(2)).toBe(port);
      rig.close(fd);
    }
    rig.close(lfd);
    rig.advance(200_000);
  });

  it('ignores ACKs beyond the backlog until there is room', () => {
    const lfd = rig.listen(1);
    for (let port = 40_000; port < 40_004; port++) {
      rig.remotePort = port;
      rig.inject({ flags: 'S', options: 'mss 1460' });
      if (rig.sent().length > 0) rig.inject({ flags: '.', seq: 1, ack: 1, win: 1000 });
    }
    expect(rig.sock(lfd).skAckBacklog).toBe(2);
    expect(rig.mib(LINUX_MIB_LISTENOVERFLOWS)).toBeGreaterThan(0);
    rig.close(lfd);
  });

  it('on a closed listener resets what waits', () => {
    const lfd = rig.listen();
    rig.inject({ flags: 'S', options: 'mss 1460' });
    rig.sent();
    rig.inject({ flags: '.', seq: 1, ack: 1, win: 1000 });
    rig.close(lfd);
    expect(rig.sent().map((s) => s.flags)).toEqual(['R.']);
  });
});

describe('a request', () => {
  it('has its SYN-ACK sent again five times, and then is forgotten', () => {
    const lfd = rig.listen();
    rig.inject({ flags: 'S', options: 'mss 1460' });
    expect(rig.sent()).toHaveLength(1);
    const start = rig.nowMs;
    const at: number[] = [];
    while (rig.nowMs - start < 70_000) {
      rig.advance(100);
      for (const _ of rig.sent()) at.push(Math.round((rig.nowMs - start) / 1000));
    }
    expect(at).toEqual([1, 3, 7, 15, 31]);
    expect(rig.machine.live.requests).toBe(0);
    rig.close(lfd);
  });

  it('goes with its listener', () => {
    const lfd = rig.listen();
    rig.inject({ flags: 'S', options: 'mss 1460' });
    rig.close(lfd);
    rig.advance(2000);
    expect(rig.machine.live.requests).toBe(0);
  });

  it('waits for data with TCP_DEFER_ACCEPT', () => {
    const lfd = rig.listen();
    rig.setInt(lfd, SOL_TCP, TCP_DEFER_ACCEPT, 7);
    rig.inject({ flags: 'S', options: 'mss 1460' });
    rig.sent();
    rig.inject({ flags: '.', seq: 1, ack: 1, win: 1000 });
    expect(rig.sys.accept4(lfd, null, 0)).toBe(-EAGAIN);
    rig.inject({ flags: 'P.', seq: 1, ack: 1, win: 1000, data: 10 });
    const fd = rig.accept(lfd);
    expect((rig.read(fd) as Uint8Array).length).toBe(10);
    rig.inject({ flags: 'R', seq: 11 });
    rig.close(fd);
    rig.close(lfd);
  });
});

describe('SO_REUSEPORT', () => {
  it('spreads connections over the listeners', () => {
    const fds: number[] = [];
    for (let i = 0; i < 4; i++) {
      const { fd, err } = open({ reuseport: true, listen: true }, rig.localPort);
      expect(err).toBe(0);
      fds.push(fd);
    }
    for (let port = 40_000; port < 40_020; port++) {
      rig.remotePort = port;
      rig.inject({ flags: 'S', options: 'mss 1460' });
      rig.sent();
      rig.inject({ flags: '.', seq: 1, ack: 1, win: 1000 });
    }
    const counts = fds.map((fd) => rig.sock(fd).skAckBacklog);
    expect(counts.reduce((a, b) => a + b, 0)).toBe(20);
    expect(counts.filter((n) => n > 0).length).toBeGreaterThanOrEqual(3);
    for (const fd of fds) rig.close(fd);
  });
});
