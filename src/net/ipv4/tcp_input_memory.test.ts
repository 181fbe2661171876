/** What the receiver does when its memory runs out, and what it may take back of its window. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import {
  LINUX_MIB_OFOPRUNED,
  LINUX_MIB_PRUNECALLED,
  LINUX_MIB_TCPOFODROP,
  LINUX_MIB_TCPRCVCOLLAPSED,
} from '#uapi/snmp.ts';
import { SO_RCVBUF, SOL_SOCKET } from '#uapi/socket.ts';

let r: TcpRig;

beforeEach(() => {
  r = new TcpRig();
});

afterEach(() => {
  expect(r.end()).toEqual({});
});

/** What stands at each place of the peer's stream. */
function text(seq: number, len: number): Uint8Array {
  return new Uint8Array(len).map((_, i) => Math.imul(seq + i, 0x9e3779b1) >>> 24);
}

/** A connection whose receive buffer is `rcvbuf`, as SO_RCVBUF counts, and stays so. */
function receiver(rcvbuf: number, wscale = 7): number {
  const lfd = r.listen();
  r.setInt(lfd, SOL_SOCKET, SO_RCVBUF, rcvbuf);
  r.inject({ flags: 'S', options: `mss 1460,sackOK,nop,wscale ${wscale}` });
  scale = r.sent()[0]?.options.match(/wscale (\d+)/)?.[1] ?? '0';
  r.inject({ flags: '.', seq: 1, ack: 1, win: 1000 });
  return r.accept(lfd);
}

let scale = '0';

function data(seq: number, len: number): void {
  r.inject({ flags: 'P.', seq, ack: 1, win: 1000, data: text(seq, len) });
}

/** Right edges of the windows offered since the last look. */
const edges = (): number[] => r.sent().map((s) => s.ack + s.win * 2 ** Number(scale));

/** Sends what the machine says it lacks, until it has all up to `end`; reads as it goes. */
function complete(fd: number, end: number, got: Uint8Array[]): void {
  for (let i = 0; i < 3000; i++) {
    const bytes = r.read(fd, 500);
    if (typeof bytes !== 'number') got.push(bytes);
    const next = (r.sock(fd).rcvNxt - r.peerIsn) | 0;
    if (next >= end && typeof bytes === 'number') return;
    if (next < end) data(next, Math.min(400, end - next));
    r.sent();
  }
  throw new Error('the stream does not come to its end');
}

function whole(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

describe('a receive buffer that runs over', () => {
  it('joins small packets in order, so that the window that was offered can be used', () => {
    const fd = receiver(20_000);
    r.sent();
    for (let i = 0; i < 400; i++) data(1 + 11 * i, 11);
    expect(r.mib(LINUX_MIB_PRUNECALLED) + r.sock(fd).skReceiveQueue.qlen).toBeGreaterThan(0);
    expect(r.sock(fd).skRmemAlloc).toBeLessThanOrEqual(r.sock(fd).skRcvbuf + 4096);
    const got: Uint8Array[] = [];
    complete(fd, 4401, got);
    expect(whole(got)).toEqual(text(1, 4400));
  });

  it('joins, then forgets what lies out of order, the furthest first', () => {
    const fd = receiver(8000);
    r.sent();
    // Holes between all of them, so that none can share a packet as it comes.
    for (let i = 0; i < 60; i++) data(101 + 60 * i, 40);
    expect(r.mib(LINUX_MIB_PRUNECALLED)).toBeGreaterThan(0);
    expect(r.mib(LINUX_MIB_OFOPRUNED) + r.mib(LINUX_MIB_TCPOFODROP)).toBeGreaterThan(0);
    expect(r.sock(fd).skRmemAlloc).toBeLessThanOrEqual(r.sock(fd).skRcvbuf + 4096);
    const got: Uint8Array[] = [];
    complete(fd, 4001, got);
    expect(whole(got)).toEqual(text(1, 4000));
  });

  it('copies the small packets of the queue together', () => {
    const fd = receiver(8000);
    r.sent();
    // Segments of one byte whose neighbours are far behind them cannot be joined on the way in.
    for (let i = 60; i > 0; i--) data(1 + i, 1);
    data(1, 1);
    for (let i = 0; i < 40; i++) data(62 + 300 * i, 300);
    expect(r.mib(LINUX_MIB_PRUNECALLED)).toBeGreaterThan(0);
    expect(r.mib(LINUX_MIB_TCPRCVCOLLAPSED)).toBeGreaterThan(0);
    const got: Uint8Array[] = [];
    complete(fd, 3001, got);
    expect(whole(got).subarray(0, 3000)).toEqual(text(1, 3000));
  });
});

describe('the window', () => {
  for (const [shrink, what] of [
    ['0', 'is not taken back when the buffer becomes smaller'],
    ['1', 'is taken back with tcp_shrink_window, and data beyond it refused'],
  ] as const) {
    it(what, () => {
      expect(r.machine.initNet.sysctl.write('net/ipv4/tcp_shrink_window', shrink)).toBe(0);
      const fd = receiver(200_000);
      // Only a scaled window may shrink.
      expect(scale).not.toBe('0');
      data(1, 1000);
      r.advance(50);
      const wide = Math.max(...edges());
      r.setInt(fd, SOL_SOCKET, SO_RCVBUF, 20_000);
      data(1001, 1000);
      r.advance(50);
      const narrow = edges().at(-1) ?? 0;
      if (shrink === '0') expect(narrow).toBeGreaterThanOrEqual(wide);
      else expect(narrow).toBeLessThan(wide);
      expect(narrow).toBeGreaterThan(2001);
      // At the end of what was offered first.
      r.inject({ flags: '.', seq: wide - 100, ack: 1, win: 1000, data: text(wide - 100, 100) });
      expect(r.sent().at(-1)?.options.includes('sack') === true).toBe(shrink === '0');
      expect(r.read(fd)).toEqual(text(1, 2000));
    });
  }
});
