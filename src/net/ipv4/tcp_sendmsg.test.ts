import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import { EAGAIN, EPIPE } from '#uapi/errno.ts';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDHUP } from '#uapi/poll.ts';
import {
  MSG_EOR,
  MSG_MORE,
  MSG_OOB,
  SHUT_WR,
  SO_SNDBUF,
  SOL_SOCKET,
  SOL_TCP,
} from '#uapi/socket.ts';
import { SIOCOUTQ, SIOCOUTQNSD } from '#uapi/sockios.ts';
import { TCP_CORK, TCP_NODELAY, TCP_NOTSENT_LOWAT } from '#uapi/tcp.ts';

let rig: TcpRig;

beforeEach(() => {
  rig = new TcpRig();
});

afterEach(() => {
  expect(rig.end()).toEqual({});
});

/** A connection without timestamps, whose peer's window is `win * 128`: full segments are 1460 bytes. */
function connected(win = 1000): number {
  const lfd = rig.listen();
  rig.inject({ flags: 'S', options: 'mss 1460,sackOK,nop,wscale 7' });
  rig.sent();
  rig.inject({ flags: '.', seq: 1, ack: 1, win });
  const fd = rig.accept(lfd);
  rig.close(lfd);
  rig.sent();
  return fd;
}

function ack(to: number, win = 1000): void {
  rig.inject({ flags: '.', seq: 1, ack: to, win });
}

function send(fd: number, size: number, flags: number): number {
  const n = rig.sys.sendto(fd, new Uint8Array(size).fill(0x62), flags, null);
  rig.settle();
  return n;
}

function reset(fd: number): void {
  rig.inject({ flags: 'R', seq: 1 });
  rig.close(fd);
}

function poll(fd: number): number {
  const revents = new Int16Array(1);
  rig.sys.poll(Int32Array.of(fd), Int16Array.of(-1), revents);
  return revents[0] as number;
}

function ioctlInt(fd: number, cmd: number): number {
  const arg = new Uint8Array(4);
  expect(rig.sys.ioctl(fd, cmd, arg)).toBe(0);
  return new DataView(arg.buffer).getInt32(0, true);
}

/** `flags seq:end` of each segment. */
function brief(): string[] {
  return rig.sent().map((s) => `${s.flags} ${s.seq}:${s.seq + s.len}`);
}

describe('Nagle', () => {
  it('holds a small segment back while another is unacknowledged', () => {
    const fd = connected();
    rig.write(fd, 100);
    rig.write(fd, 100);
    rig.write(fd, 100);
    expect(brief()).toEqual(['P. 1:101']);
    ack(101);
    expect(brief()).toEqual(['P. 101:301']);
    reset(fd);
  });

  it('lets full segments pass, and a small one behind them', () => {
    const fd = connected();
    rig.write(fd, 1460);
    rig.write(fd, 100);
    // Minshall: only a small segment in flight holds back another.
    expect(brief()).toEqual(['P. 1:1461', 'P. 1461:1561']);
    rig.write(fd, 50);
    expect(brief()).toEqual([]);
    reset(fd);
  });

  it('is switched off by TCP_NODELAY, which also sends what was held', () => {
    const fd = connected();
    rig.write(fd, 100);
    rig.write(fd, 100);
    expect(brief()).toEqual(['P. 1:101']);
    rig.setInt(fd, SOL_TCP, TCP_NODELAY, 1);
    expect(brief()).toEqual(['P. 101:201']);
    rig.write(fd, 7);
    expect(brief()).toEqual(['P. 201:208']);
    reset(fd);
  });
});

describe('corking', () => {
  it('gathers full segments and sends the rest when the cork is pulled', () => {
    const fd = connected();
    rig.setInt(fd, SOL_TCP, TCP_CORK, 1);
    for (let i = 0; i < 4; i++) rig.write(fd, 500);
    expect(brief()).toEqual(['. 1:1461']);
    rig.setInt(fd, SOL_TCP, TCP_CORK, 0);
    expect(brief()).toEqual(['P. 1461:2001']);
    reset(fd);
  });

  it('does so for one call with MSG_MORE', () => {
    const fd = connected();
    send(fd, 100, MSG_MORE);
    expect(brief()).toEqual([]);
    send(fd, 100, 0);
    expect(brief()).toEqual(['P. 1:201']);
    reset(fd);
  });

  it('gives a corked segment up after 200 ms', () => {
    const fd = connected();
    send(fd, 100, MSG_MORE);
    rig.advance(150);
    expect(brief()).toEqual([]);
    rig.advance(100);
    expect(brief()).toEqual(['P. 1:101']);
    reset(fd);
  });

  it('never joins what MSG_EOR divides', () => {
    const fd = connected();
    rig.setInt(fd, SOL_TCP, TCP_CORK, 1);
    send(fd, 100, MSG_EOR);
    send(fd, 100, 0);
    rig.setInt(fd, SOL_TCP, TCP_CORK, 0);
    const sent = brief();
    expect(sent[0]?.endsWith('1:101')).toBe(true);
    reset(fd);
  });
});

describe('large writes', () => {
  it('leave in full segments, as many as the first window allows', () => {
    const fd = connected();
    rig.write(fd, 20_000);
    const sent = rig.sent();
    expect(sent.map((s) => s.len)).toEqual(new Array(10).fill(1460));
    expect(sent.every((s) => s.flags === '.' || s.flags === 'P.')).toBe(true);
    // Slow start: two for each one acknowledged.
    rig.advance(10);
    ack(1461);
    expect(brief()).toEqual(['. 14601:16061', '. 16061:17521']);
    reset(fd);
  });

  it("stop at the peer's window", () => {
    const fd = connected(4000 >> 7);
    rig.write(fd, 10_000);
    const end = Math.max(...rig.sent().map((s) => s.seq + s.len));
    expect(end - 1).toBeLessThanOrEqual((4000 >> 7) << 7);
    reset(fd);
  });

  it('carry the bytes that were written', () => {
    const fd = connected();
    const data = Uint8Array.from({ length: 9000 }, (_, i) => (i * 7) & 0xff);
    rig.write(fd, data);
    const got = new Uint8Array(9000);
    for (const s of rig.sent()) got.set(s.data, s.seq - 1);
    expect(got).toEqual(data);
    reset(fd);
  });
});

describe('a full send buffer', () => {
  it('takes what fits, says EAGAIN, and wakes a poller when a third is free', () => {
    const fd = connected();
    rig.setInt(fd, SOL_SOCKET, SO_SNDBUF, 16_384);
    let written = 0;
    for (;;) {
      const n = rig.write(fd, 8192);
      if (n < 0) {
        expect(n).toBe(-EAGAIN);
        break;
      }
      written += n;
    }
    expect(written).toBeGreaterThan(14_600);
    expect(poll(fd) & POLLOUT).toBe(0);
    expect(ioctlInt(fd, SIOCOUTQ)).toBe(written);
    const sent = rig.sent();
    const end = Math.max(...sent.map((s) => s.seq + s.len));
    expect(ioctlInt(fd, SIOCOUTQNSD)).toBe(written - (end - 1));
    for (let i = 0, to = end; i < 5; i++) {
      rig.advance(10);
      ack(to);
      to = Math.max(to, ...rig.sent().map((s) => s.seq + s.len));
    }
    expect(ioctlInt(fd, SIOCOUTQ)).toBe(0);
    expect(poll(fd) & POLLOUT).toBe(POLLOUT);
    reset(fd);
  });

  it('is as small as TCP_NOTSENT_LOWAT makes it', () => {
    const fd = connected(0);
    rig.setInt(fd, SOL_TCP, TCP_NOTSENT_LOWAT, 3000);
    expect(rig.write(fd, 1000)).toBe(1000);
    expect(poll(fd) & POLLOUT).toBe(POLLOUT);
    expect(rig.write(fd, 2500)).toBe(2500);
    expect(poll(fd) & POLLOUT).toBe(0);
    reset(fd);
  });
});

describe('urgent data', () => {
  it('is pointed at from every segment before it', () => {
    const fd = connected();
    send(fd, 5, MSG_OOB);
    const [s] = rig.sent();
    expect(s?.flags).toBe('PU.');
    expect(s?.len).toBe(5);
    ack(6);
    rig.write(fd, 5);
    expect(rig.sent()[0]?.flags).toBe('P.');
    reset(fd);
  });
});

describe('readiness', () => {
  it('says what is there', () => {
    const fd = connected();
    expect(poll(fd)).toBe(POLLOUT | 0x100);
    rig.inject({ flags: 'P.', seq: 1, ack: 1, win: 1000, data: 10 });
    expect(poll(fd) & POLLIN).toBe(POLLIN);
    rig.read(fd);
    expect(poll(fd) & POLLIN).toBe(0);
    rig.inject({ flags: 'PU.', seq: 11, ack: 1, win: 1000, data: 1, urg: 1 });
    expect(poll(fd) & POLLPRI).toBe(POLLPRI);
    rig.inject({ flags: 'F.', seq: 12, ack: 1, win: 1000 });
    expect(poll(fd) & (POLLIN | POLLRDHUP | POLLHUP)).toBe(POLLIN | POLLRDHUP);
    rig.sys.shutdown(fd, SHUT_WR);
    rig.settle();
    expect(poll(fd) & POLLHUP).toBe(POLLHUP);
    rig.inject({ flags: 'R', seq: 13 });
    rig.close(fd);
  });

  it('is an error after a reset, and hung up', () => {
    const fd = connected();
    rig.inject({ flags: 'R', seq: 1 });
    expect(poll(fd) & (POLLERR | POLLHUP | POLLIN | POLLOUT)).toBe(
      POLLERR | POLLHUP | POLLIN | POLLOUT,
    );
    rig.close(fd);
  });

  it('of a listener is a waiting connection', () => {
    const lfd = rig.listen();
    expect(poll(lfd)).toBe(0);
    rig.inject({ flags: 'S', options: 'mss 1460' });
    rig.sent();
    expect(poll(lfd)).toBe(0);
    rig.inject({ flags: '.', seq: 1, ack: 1, win: 1000 });
    expect(poll(lfd)).toBe(POLLIN | 0x40);
    rig.close(lfd);
    expect(rig.sent().at(-1)?.flags).toBe('R.');
  });
});

describe('after shutdown', () => {
  it('a write is a broken pipe, behind a FIN that follows the data', () => {
    const fd = connected();
    rig.write(fd, 100);
    rig.sys.shutdown(fd, SHUT_WR);
    rig.settle();
    expect(brief()).toEqual(['P. 1:101', 'F. 101:101']);
    expect(rig.write(fd, 1)).toBe(-EPIPE);
    reset(fd);
  });
});
