/** The stopwatch of a sender: busy, limited by the peer's window, limited by its own buffer. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TcpSock } from '#include/linux/tcp.ts';
import { TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import { SO_SNDBUF, SOL_SOCKET, SOL_TCP } from '#uapi/socket.ts';
import { TCP_INFO } from '#uapi/tcp.ts';

let r: TcpRig;

beforeEach(() => {
  r = new TcpRig();
});

afterEach(() => {
  expect(r.end()).toEqual({});
});

/** [busy, limited by the window, limited by the buffer] of tcp_info, in ms. */
function times(fd: number): [number, number, number] {
  const info = new Uint8Array(256);
  expect(r.sys.getsockopt(fd, SOL_TCP, TCP_INFO, info)).toBeGreaterThan(0);
  const v = new DataView(info.buffer);
  const ms = (at: number): number => v.getUint32(at, true) / 1000;
  return [ms(168), ms(176), ms(184)];
}

function sent(): number {
  return r.sent().reduce((high, s) => Math.max(high, s.seq + s.len), 0);
}

const ack = (to: number, win: number) => ({ flags: '.', seq: 1, ack: to, win });

/** Acknowledges until nothing is left. */
function drain(fd: number, win: number): void {
  const sk: TcpSock = r.sock(fd);
  for (let i = 0; i < 500 && sk.sndUna !== sk.writeSeq; i++) {
    r.sent();
    r.inject(ack((sk.sndNxt - r.isn) | 0, win));
  }
  expect(sk.sndUna).toBe(sk.writeSeq);
}

describe('the stopwatch', () => {
  it('runs while something is unacknowledged, and rests between', () => {
    const { fd } = r.accepted('mss 1000');
    r.advance(500);
    expect(times(fd)).toEqual([0, 0, 0]);
    r.write(fd, 1000);
    r.advance(70);
    expect(times(fd)).toEqual([70, 0, 0]);
    r.inject(ack(sent(), 1000));
    r.advance(500);
    expect(times(fd)).toEqual([70, 0, 0]);
    r.write(fd, 1000);
    r.advance(30);
    expect(times(fd)).toEqual([100, 0, 0]);
    r.inject(ack(sent(), 1000));
  });

  it('blames the window while the peer offers too little', () => {
    const { fd } = r.accepted('mss 1000');
    // The handshake offered 1000 bytes.
    r.write(fd, 5000);
    r.advance(40);
    const first = sent();
    expect(times(fd)).toEqual([40, 40, 0]);
    // A window for all: only the network is waited for.
    r.inject(ack(first, 20_000));
    r.advance(25);
    expect(times(fd)).toEqual([65, 40, 0]);
    drain(fd, 20_000);
    r.advance(100);
    expect(times(fd)).toEqual([65, 40, 0]);
  });

  it('blames the buffer while the program could write more', () => {
    const { fd } = r.accepted('mss 1000');
    r.setInt(fd, SOL_SOCKET, SO_SNDBUF, 2500);
    r.inject(ack(1, 60_000));
    while (r.write(fd, 1000) > 0);
    // All that the buffer holds is on its way, and neither window is full.
    r.inject(ack(1001, 60_000));
    while (r.write(fd, 1000) > 0);
    r.advance(35);
    const [busy, window, buffer] = times(fd);
    expect([busy, window]).toEqual([35, 0]);
    expect(buffer).toBe(35);
    drain(fd, 60_000);
  });
});
