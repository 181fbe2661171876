import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { retransToSecs, secsToRetrans } from '#net/ipv4/tcp_sockopt.ts';
import { TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import { EINVAL, ENOENT, ENOPROTOOPT, EOPNOTSUPP } from '#uapi/errno.ts';
import { IP_RECVFRAGSIZE } from '#uapi/in.ts';
import { AF_INET, SOCK_DGRAM, SOCK_STREAM, SOL_IP, SOL_TCP } from '#uapi/socket.ts';
import {
  TCP_CONGESTION,
  TCP_CORK,
  TCP_DEFER_ACCEPT,
  TCP_DELACK_MAX_US,
  TCP_ESTABLISHED,
  TCP_FASTOPEN_CONNECT,
  TCP_INFO,
  TCP_INQ,
  TCP_KEEPCNT,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
  TCP_LINGER2,
  TCP_LISTEN,
  TCP_MAXSEG,
  TCP_NODELAY,
  TCP_NOTSENT_LOWAT,
  TCP_QUICKACK,
  TCP_REPAIR,
  TCP_RTO_MAX_MS,
  TCP_RTO_MIN_US,
  TCP_SAVE_SYN,
  TCP_SAVED_SYN,
  TCP_SYNCNT,
  TCP_THIN_LINEAR_TIMEOUTS,
  TCP_ULP,
  TCP_USER_TIMEOUT,
  TCP_WINDOW_CLAMP,
  TCPI_OPT_SACK,
  TCPI_OPT_TIMESTAMPS,
  TCPI_OPT_WSCALE,
} from '#uapi/tcp.ts';
import { getTcpInfo, TCP_INFO_LEN } from '#uapi/tcp_info.ts';

let rig: TcpRig;

beforeEach(() => {
  rig = new TcpRig();
});

afterEach(() => {
  expect(rig.end()).toEqual({});
});

function socket(): number {
  return rig.sys.socket(AF_INET, SOCK_STREAM, 0);
}

function set(fd: number, name: number, value: number): number {
  const val = new Uint8Array(4);
  new DataView(val.buffer).setInt32(0, value, true);
  return rig.sys.setsockopt(fd, SOL_TCP, name, val);
}

function get(fd: number, name: number): number {
  const val = new Uint8Array(4);
  const n = rig.sys.getsockopt(fd, SOL_TCP, name, val);
  return n < 0 ? n : new DataView(val.buffer).getInt32(0, true);
}

function info(fd: number): ReturnType<typeof getTcpInfo> {
  const buf = new Uint8Array(TCP_INFO_LEN);
  expect(rig.sys.getsockopt(fd, SOL_TCP, TCP_INFO, buf)).toBe(TCP_INFO_LEN);
  return getTcpInfo(new DataView(buf.buffer), 0, TCP_INFO_LEN);
}

/** name, option, a fresh socket's value, a good value, values that are refused. */
const INT_OPTIONS: readonly [string, number, number, number, readonly number[]][] = [
  ['TCP_NODELAY', TCP_NODELAY, 0, 1, []],
  ['TCP_CORK', TCP_CORK, 0, 1, []],
  ['TCP_MAXSEG', TCP_MAXSEG, 536, 1000, [87, 32768]],
  ['TCP_KEEPIDLE', TCP_KEEPIDLE, 7200, 60, [0, -1, 32768]],
  ['TCP_KEEPINTVL', TCP_KEEPINTVL, 75, 5, [0, 32768]],
  ['TCP_KEEPCNT', TCP_KEEPCNT, 9, 3, [0, 128]],
  ['TCP_SYNCNT', TCP_SYNCNT, 6, 2, [0, 128]],
  ['TCP_LINGER2', TCP_LINGER2, 60, 30, []],
  ['TCP_DEFER_ACCEPT', TCP_DEFER_ACCEPT, 0, 7, []],
  ['TCP_WINDOW_CLAMP', TCP_WINDOW_CLAMP, 0, 20_000, []],
  ['TCP_USER_TIMEOUT', TCP_USER_TIMEOUT, 0, 5000, [-1]],
  ['TCP_THIN_LINEAR_TIMEOUTS', TCP_THIN_LINEAR_TIMEOUTS, 0, 1, [2, -1]],
  ['TCP_NOTSENT_LOWAT', TCP_NOTSENT_LOWAT, 0, 16_384, []],
  ['TCP_INQ', TCP_INQ, 0, 1, [2]],
  ['TCP_SAVE_SYN', TCP_SAVE_SYN, 0, 1, [3, -1]],
  ['TCP_RTO_MAX_MS', TCP_RTO_MAX_MS, 120_000, 5000, [999, 120_001]],
  ['TCP_RTO_MIN_US', TCP_RTO_MIN_US, 200_000, 50_000, [201_000, 1000]],
  ['TCP_DELACK_MAX_US', TCP_DELACK_MAX_US, 200_000, 50_000, [201_000, 1000]],
];

it('IP_RECVFRAGSIZE is for sockets that see packets', () => {
  const fd = socket();
  const on = Uint8Array.of(1, 0, 0, 0);
  expect(rig.sys.setsockopt(fd, SOL_IP, IP_RECVFRAGSIZE, on)).toBe(-EINVAL);
  const datagrams = rig.sys.socket(AF_INET, SOCK_DGRAM, 0);
  expect(rig.sys.setsockopt(datagrams, SOL_IP, IP_RECVFRAGSIZE, on)).toBe(0);
  rig.close(fd);
});

describe('options that are ints', () => {
  for (const [name, opt, initial, good, bad] of INT_OPTIONS) {
    it(`${name} starts at ${initial}, takes ${good}${bad.length > 0 ? `, refuses ${bad}` : ''}`, () => {
      const fd = socket();
      expect(get(fd, opt)).toBe(initial);
      for (const value of bad) expect(set(fd, opt, value)).toBe(-EINVAL);
      expect(get(fd, opt)).toBe(initial);
      expect(set(fd, opt, good)).toBe(0);
      expect(get(fd, opt)).toBe(good);
      rig.close(fd);
    });
  }

  it('are cut to the room given, and need four bytes to be set', () => {
    const fd = socket();
    const two = new Uint8Array(2);
    expect(rig.sys.getsockopt(fd, SOL_TCP, TCP_MAXSEG, two)).toBe(2);
    expect([...two]).toEqual([536 & 0xff, 536 >> 8]);
    expect(rig.sys.setsockopt(fd, SOL_TCP, TCP_NODELAY, two)).toBe(-EINVAL);
    rig.close(fd);
  });

  it('are refused where Linux refuses them', () => {
    const fd = socket();
    expect(set(fd, 9999, 1)).toBe(-ENOPROTOOPT);
    expect(get(fd, 9999)).toBe(-ENOPROTOOPT);
    expect(set(fd, TCP_REPAIR, 2)).toBe(-EINVAL);
    rig.machine.initNet.ipv4.sysctlTcpFastopen = 2;
    expect(set(fd, TCP_FASTOPEN_CONNECT, 1)).toBe(-EOPNOTSUPP);
    expect(rig.sys.setsockopt(fd, SOL_TCP, TCP_ULP, Uint8Array.of(0x74, 0x6c, 0x73))).toBe(-ENOENT);
    rig.close(fd);
  });
});

describe('TCP_CONGESTION', () => {
  it('names and chooses the algorithm', () => {
    const fd = socket();
    const buf = new Uint8Array(16);
    expect(rig.sys.getsockopt(fd, SOL_TCP, TCP_CONGESTION, buf)).toBe(16);
    expect(new TextDecoder().decode(buf.subarray(0, 6))).toBe('cubic\0');
    expect(rig.sys.setsockopt(fd, SOL_TCP, TCP_CONGESTION, new TextEncoder().encode('reno'))).toBe(
      0,
    );
    rig.sys.getsockopt(fd, SOL_TCP, TCP_CONGESTION, buf);
    expect(new TextDecoder().decode(buf.subarray(0, 5))).toBe('reno\0');
    const none = new TextEncoder().encode('nosuch');
    expect(rig.sys.setsockopt(fd, SOL_TCP, TCP_CONGESTION, none)).toBe(-ENOENT);
    rig.close(fd);
  });
});

describe('TCP_DEFER_ACCEPT', () => {
  it('counts seconds in timeouts and back', () => {
    expect([0, 1, 2, 3, 4, 7, 8, 15].map((s) => secsToRetrans(s, 1, 120))).toEqual([
      0, 1, 2, 2, 3, 3, 4, 4,
    ]);
    expect([0, 1, 2, 3, 4].map((n) => retransToSecs(n, 1, 120))).toEqual([0, 1, 3, 7, 15]);
    expect(secsToRetrans(1e9, 1, 120)).toBe(255);
  });
});

describe('TCP_SAVED_SYN', () => {
  it('gives the headers of the SYN once', () => {
    const lfd = rig.listen();
    expect(set(lfd, TCP_SAVE_SYN, 1)).toBe(0);
    rig.inject({ flags: 'S', options: 'mss 1460' });
    rig.sent();
    rig.inject({ flags: '.', seq: 1, ack: 1, win: 1000 });
    const fd = rig.accept(lfd);
    const buf = new Uint8Array(100);
    expect(rig.sys.getsockopt(fd, SOL_TCP, TCP_SAVED_SYN, buf)).toBe(44);
    expect(buf[0]).toBe(0x45);
    expect(buf[20 + 13]).toBe(0x02);
    expect(rig.sys.getsockopt(fd, SOL_TCP, TCP_SAVED_SYN, buf)).toBe(0);
    rig.close(lfd);
    rig.inject({ flags: 'R', seq: 1 });
    rig.close(fd);
  });
});

describe('TCP_QUICKACK', () => {
  it('of a listener is that of its connections', () => {
    const lfd = rig.listen();
    expect(set(lfd, TCP_QUICKACK, 0)).toBe(0);
    rig.inject({ flags: 'S', options: 'mss 1000' });
    rig.sent();
    rig.inject({ flags: '.', seq: 1, ack: 1, win: 1000 });
    const fd = rig.accept(lfd);
    expect(get(fd, TCP_QUICKACK)).toBe(0);
    rig.inject({ flags: 'R', seq: 1 });
    rig.close(fd);
    rig.close(lfd);
  });

  it('makes ACKs leave at once', () => {
    const { fd, lfd } = rig.accepted();
    rig.close(lfd);
    // First data is acknowledged at once; after an answer the next ACK would wait.
    rig.inject({ flags: 'P.', seq: 1, ack: 1, win: 1000, data: 10 });
    rig.write(fd, 10);
    rig.sent();
    rig.inject({ flags: 'P.', seq: 11, ack: 11, win: 1000, data: 10 });
    rig.read(fd);
    expect(rig.sent()).toEqual([]);
    expect(set(fd, TCP_QUICKACK, 1)).toBe(0);
    rig.settle();
    expect(rig.sent().map((s) => s.ack)).toEqual([21]);
    expect(get(fd, TCP_QUICKACK)).toBe(1);
    rig.inject({ flags: 'R', seq: 21 });
    rig.close(fd);
  });
});

describe('TCP_INFO', () => {
  it('of a listener shows its accept queue', () => {
    const lfd = rig.listen(7);
    rig.inject({ flags: 'S', options: 'mss 1460' });
    rig.sent();
    rig.inject({ flags: '.', seq: 1, ack: 1, win: 1000 });
    const i = info(lfd);
    expect([i.state, i.unacked, i.sacked]).toEqual([TCP_LISTEN, 1, 7]);
    rig.close(lfd);
  });

  it('of a connection shows its state and traffic', () => {
    const lfd = rig.listen();
    rig.inject({ flags: 'S', options: 'mss 1460,sackOK,TS 100:0,nop,wscale 7' });
    const tsval = rig.sent()[0]?.tsval ?? 0;
    rig.advance(40);
    rig.inject({ flags: '.', seq: 1, ack: 1, win: 1000, options: `nop,nop,TS 140:${tsval}` });
    const fd = rig.accept(lfd);
    rig.close(lfd);
    rig.write(fd, 3000);
    const i = info(fd);
    expect(i.state).toBe(TCP_ESTABLISHED);
    expect(i.options).toBe(TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE);
    expect([i.sndWscale, i.rcvWscale]).toEqual([7, 10]);
    expect(i.sndMss).toBe(1448);
    expect(i.rtt).toBe(40_000);
    expect(i.rttvar).toBe(20_000);
    expect(i.rto).toBe(240_000);
    expect(i.sndCwnd).toBe(10);
    expect(i.unacked).toBe(3);
    expect(i.bytesSent).toBe(3000);
    expect(i.pmtu).toBe(1500);
    expect(i.minRtt).toBe(40_000);
    expect(i.notsentBytes).toBe(0);
    rig.inject({ flags: 'R', seq: 1, options: `nop,nop,TS 150:${tsval}` });
    rig.close(fd);
  });

  it('is cut to the room given', () => {
    const fd = socket();
    expect(rig.sys.getsockopt(fd, SOL_TCP, TCP_INFO, new Uint8Array(8))).toBe(8);
    rig.close(fd);
  });
});
