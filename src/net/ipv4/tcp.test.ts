/** Programs that use a connection in every way that the socket calls allow, over a line that loses. */
import { describe, expect, it } from 'vitest';
import { Prandom } from '#lib/prandom.ts';
import { LOCAL, TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import { type LineOptions, TcpWire } from '#net/ipv4/testing/tcp_wire.ts';
import {
  MSG_EOR,
  MSG_MORE,
  MSG_PEEK,
  SHUT_WR,
  SO_MAX_PACING_RATE,
  SO_RCVBUF,
  SO_SNDBUF,
  SOL_SOCKET,
  SOL_TCP,
} from '#uapi/socket.ts';
import {
  TCP_CONGESTION,
  TCP_CORK,
  TCP_MAXSEG,
  TCP_NODELAY,
  TCP_NOTSENT_LOWAT,
  TCP_QUICKACK,
  TCP_WINDOW_CLAMP,
} from '#uapi/tcp.ts';

const SECOND = 1e9;
const EAGAIN = -11;

function byteAt(i: number, salt: number): number {
  return (Math.imul(i + salt, 0x9e3779b1) >>> 24) & 0xff;
}

/** One side of the conversation, with habits of its own. */
class Program {
  readonly rig: TcpRig;
  readonly fd: number;
  private readonly random: Prandom;
  private readonly size: number;
  readonly expected: number;
  private readonly salt: number;
  private readonly peerSalt: number;
  private sent = 0;
  received = 0;
  ended = false;

  constructor(
    rig: TcpRig,
    fd: number,
    random: Prandom,
    size: number,
    expected: number,
    salt: number,
    peerSalt: number,
  ) {
    this.rig = rig;
    this.fd = fd;
    this.random = random;
    this.size = size;
    this.expected = expected;
    this.salt = salt;
    this.peerSalt = peerSalt;
  }

  /** Sets some options at random, each of which must leave the bytes as they are. */
  habits(): void {
    const { rig, fd, random } = this;
    const some = (level: number, name: number, value: number): void => {
      if (random.chance(0.3)) rig.setInt(fd, level, name, value);
    };
    some(SOL_TCP, TCP_NODELAY, 1);
    some(SOL_SOCKET, SO_SNDBUF, 2048 << random.below(6));
    // A window that may shrink to nothing behind a hole would never be filled: Linux warns of it.
    if (rig.machine.initNet.ipv4.sysctlTcpShrinkWindow === 0) {
      some(SOL_SOCKET, SO_RCVBUF, 2048 << random.below(6));
    }
    some(SOL_TCP, TCP_NOTSENT_LOWAT, 1 + random.below(20_000));
    some(SOL_TCP, TCP_WINDOW_CLAMP, 1500 + random.below(30_000));
    some(SOL_TCP, TCP_QUICKACK, random.below(2));
    some(SOL_SOCKET, SO_MAX_PACING_RATE, 100_000 + random.below(1_000_000));
    if (random.chance(0.3)) {
      rig.sys.setsockopt(fd, SOL_TCP, TCP_CONGESTION, new TextEncoder().encode('reno'));
    }
  }

  private write(): void {
    const { rig, random } = this;
    const n = Math.min(this.size - this.sent, 1 + random.below(random.chance(0.3) ? 20_000 : 900));
    const data = Uint8Array.from({ length: n }, (_, i) => byteAt(this.sent + i, this.salt));
    let flags = 0;
    if (random.chance(0.3)) flags |= MSG_MORE;
    if (random.chance(0.1)) flags |= MSG_EOR;
    const ret = rig.sys.sendto(this.fd, data, flags, null);
    rig.settle();
    if (ret < 0) expect(ret).toBe(EAGAIN);
    else this.sent += ret;
    if (this.sent === this.size) {
      rig.setInt(this.fd, SOL_TCP, TCP_CORK, 0);
      rig.sys.shutdown(this.fd, SHUT_WR);
      rig.settle();
    }
  }

  private read(): void {
    const { rig, random } = this;
    const buf = new Uint8Array(1 + random.below(random.chance(0.5) ? 30_000 : 500));
    const flags = random.chance(0.1) ? MSG_PEEK : 0;
    const n = rig.sys.recvfrom(this.fd, buf, flags, null);
    rig.settle();
    if (n < 0) {
      expect(n).toBe(EAGAIN);
      return;
    }
    for (let i = 0; i < n; i++) {
      if (buf[i] !== byteAt(this.received + i, this.peerSalt)) {
        throw new Error(`byte ${this.received + i} is wrong`);
      }
    }
    if (flags !== 0) return;
    if (n === 0) this.ended = true;
    this.received += n;
  }

  /** Does one thing, or nothing. */
  turn(): void {
    const { random } = this;
    const what = random.below(10);
    if (what < 4 && this.sent < this.size) this.write();
    else if (what < 8 && !this.ended) this.read();
    else if (what === 8 && this.sent < this.size) {
      this.rig.setInt(this.fd, SOL_TCP, TCP_CORK, random.below(2));
    }
  }

  done(): boolean {
    return this.ended && this.sent === this.size;
  }
}

/** The whole story of one connection. */
function story(seed: number, line: LineOptions, memory?: [number, number, number]): void {
  const random = new Prandom(seed);
  const wire = new TcpWire(line);
  const { a, b } = wire;
  for (const rig of [a, b]) {
    const { ipv4 } = rig.machine.initNet;
    // tcp_mem in pages: pressure from the first packet on, and an end that bursts reach.
    if (memory !== undefined) Object.assign(rig.machine.netGlobals.tcpMemory.sysctlMem, memory);
    ipv4.sysctlTcpMtuProbing = random.below(3);
    ipv4.sysctlTcpShrinkWindow = memory === undefined ? random.below(2) : 0;
    ipv4.sysctlTcpWindowScaling = random.chance(0.8) ? 1 : 0;
    ipv4.sysctlTcpTimestamps = random.chance(0.8) ? 1 : 0;
    ipv4.sysctlTcpSack = random.chance(0.8) ? 1 : 0;
    ipv4.sysctlTcpEcn = random.chance(0.5) ? 1 : 2;
  }
  const lfd = a.listen();
  if (random.chance(0.2)) a.setInt(lfd, SOL_TCP, TCP_MAXSEG, 500);
  const client = b.open();
  b.sys.connect(client, b.sockaddr(LOCAL, a.localPort));
  const limit = a.host.clock + 3600 * SECOND;
  let server = -1;
  while (server < 0) {
    if (!wire.step(limit)) throw new Error('no connection');
    server = a.sys.accept4(lfd, null, 0);
  }
  const size = 1 + random.below(40_000);
  // Two ends that both close their windows for want of memory while data flies towards them
  // never hear each other's ACKs again: each lies beyond the window that the other shrank.
  const back = memory === undefined ? size : 1;
  const programs = [
    new Program(a, server, random.fork('a'), size, back, 1, 2),
    new Program(b, client, random.fork('b'), back, size, 2, 1),
  ];
  for (const p of programs) p.habits();
  while (!programs.every((p) => p.done())) {
    // Programs are busy now and then, and asleep in between.
    for (const p of programs) for (let i = random.below(4); i > 0; i--) p.turn();
    const soon = a.host.clock + 0.1 * SECOND;
    if (!wire.step(soon)) for (const rig of [a, b]) rig.advanceTo(soon);
    if (a.host.clock > limit) throw new Error('stalled');
  }
  for (const p of programs) expect(p.received).toBe(p.expected);
  a.close(server);
  b.close(client);
  a.close(lfd);
  const end = a.host.clock + 300 * SECOND;
  while (wire.step(end));
  expect(a.end()).toEqual({});
  expect(b.end()).toEqual({});
}

describe('whatever the programs do, every byte arrives in order and nothing stays alive', () => {
  for (let seed = 1; seed <= 40; seed++) {
    it(`clean line, seed ${seed}`, () => {
      story(seed, { seed, delayMs: 3 });
    });
  }
  for (let seed = 100; seed < 130; seed++) {
    it(`bad line, seed ${seed}`, () => {
      story(seed, { seed, delayMs: 3, loss: 0.05, duplicate: 0.02, reorder: 0.05, corrupt: 0.01 });
    });
  }
});

describe('under memory pressure all the while', () => {
  for (let seed = 200; seed < 215; seed++) {
    it(`the bytes arrive all the same, seed ${seed}`, () => {
      story(seed, { seed, delayMs: 3, loss: seed % 2 === 0 ? 0.02 : 0 }, [2, 4, 8]);
    });
  }
});

describe('bulk data', () => {
  it('fills packets from those behind them', () => {
    const rig = new TcpRig();
    const lfd = rig.listen();
    // A first window so small that packets of a few segments are made; then it opens.
    rig.inject({ flags: 'S', options: 'mss 1000,sackOK,nop,wscale 7' });
    rig.sent();
    rig.inject({ flags: '.', seq: 1, ack: 1, win: 32 });
    const fd = rig.accept(lfd);
    rig.close(lfd);
    const data = Uint8Array.from({ length: 60_000 }, (_, i) => byteAt(i, 5));
    let written = 0;
    const got = new Uint8Array(60_000);
    let to = 1;
    for (let i = 0; i < 60 && to < 60_001; i++) {
      if (written < data.length) {
        const n = rig.write(fd, data.subarray(written));
        if (n > 0) written += n;
      }
      for (const s of rig.sent()) {
        got.set(s.data, s.seq - 1);
        // No segment but the last is short.
        if (s.seq + s.len < 60_001 && i > 0) expect(s.len).toBe(1000);
        to = Math.max(to, s.seq + s.len);
      }
      rig.advance(10);
      rig.inject({ flags: '.', seq: 1, ack: to, win: 1000 });
    }
    expect(got.every((byte, i) => byte === data[i])).toBe(true);
    rig.inject({ flags: 'R', seq: 1 });
    rig.close(fd);
    expect(rig.end()).toEqual({});
  });
});
