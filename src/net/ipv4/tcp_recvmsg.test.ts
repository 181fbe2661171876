import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import { EAGAIN, EINVAL, ENOTCONN } from '#uapi/errno.ts';
import {
  AF_INET,
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  SO_OOBINLINE,
  SO_PEEK_OFF,
  SO_RCVBUF,
  SOCK_STREAM,
  SOL_SOCKET,
  SOL_TCP,
} from '#uapi/socket.ts';
import { SIOCATMARK, SIOCINQ } from '#uapi/sockios.ts';
import { TCP_CM_INQ, TCP_INQ } from '#uapi/tcp.ts';

let rig: TcpRig;

beforeEach(() => {
  rig = new TcpRig();
});

afterEach(() => {
  expect(rig.end()).toEqual({});
});

function connected(): number {
  const { fd, lfd } = rig.accepted();
  rig.close(lfd);
  rig.sent();
  return fd;
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function give(seq: number, text: string, flags = 'P.', urg = 0): void {
  rig.inject({ flags, seq, ack: 1, win: 1000, data: bytes(text), urg });
}

/** recv(): text, or the negative errno. */
function recv(fd: number, size: number, flags = 0): string | number {
  const buf = new Uint8Array(size);
  const n = rig.sys.recvfrom(fd, buf, flags, null);
  rig.settle();
  return n < 0 ? n : new TextDecoder().decode(buf.subarray(0, n));
}

function ioctlInt(fd: number, cmd: number): number {
  const arg = new Uint8Array(4);
  expect(rig.sys.ioctl(fd, cmd, arg)).toBe(0);
  return new DataView(arg.buffer).getInt32(0, true);
}

function reset(fd: number, seq: number): void {
  rig.inject({ flags: 'R', seq });
  rig.close(fd);
}

describe('reading', () => {
  it('joins segments and leaves what does not fit', () => {
    const fd = connected();
    expect(recv(fd, 10)).toBe(-EAGAIN);
    give(1, 'hello ');
    give(7, 'world');
    expect(ioctlInt(fd, SIOCINQ)).toBe(11);
    expect(recv(fd, 8)).toBe('hello wo');
    expect(ioctlInt(fd, SIOCINQ)).toBe(3);
    expect(recv(fd, 8)).toBe('rld');
    expect(recv(fd, 8)).toBe(-EAGAIN);
    reset(fd, 12);
  });

  it('ends with 0 after a FIN, again and again', () => {
    const fd = connected();
    give(1, 'bye', 'FP.');
    expect(recv(fd, 10)).toBe('bye');
    expect(recv(fd, 10)).toBe('');
    expect(recv(fd, 10)).toBe('');
    reset(fd, 5);
  });

  it('of a socket that was never connected says so', () => {
    const fd = rig.sys.socket(AF_INET, SOCK_STREAM, 0);
    expect(recv(fd, 10)).toBe(-ENOTCONN);
    rig.close(fd);
  });

  it('throws bytes away with MSG_TRUNC', () => {
    const fd = connected();
    give(1, 'abcdef');
    const buf = new Uint8Array(4);
    expect(rig.sys.recvfrom(fd, buf, MSG_TRUNC, null)).toBe(4);
    expect(buf).toEqual(new Uint8Array(4));
    expect(recv(fd, 10)).toBe('ef');
    reset(fd, 7);
  });
});

describe('peeking', () => {
  it('shows the same bytes until they are read', () => {
    const fd = connected();
    give(1, 'abc');
    give(4, 'def');
    expect(recv(fd, 10, MSG_PEEK)).toBe('abcdef');
    expect(recv(fd, 2, MSG_PEEK)).toBe('ab');
    expect(recv(fd, 10)).toBe('abcdef');
    reset(fd, 7);
  });

  it('goes on from SO_PEEK_OFF', () => {
    const fd = connected();
    rig.setInt(fd, SOL_SOCKET, SO_PEEK_OFF, 0);
    give(1, 'abcdef');
    expect(recv(fd, 2, MSG_PEEK)).toBe('ab');
    expect(recv(fd, 2, MSG_PEEK)).toBe('cd');
    expect(recv(fd, 3)).toBe('abc');
    expect(recv(fd, 9, MSG_PEEK)).toBe('ef');
    reset(fd, 7);
  });
});

describe('urgent data', () => {
  it('is read apart, and divides the normal reads', () => {
    const fd = connected();
    // "X" is the urgent byte: the pointer says one behind it.
    give(1, 'abXcd', 'PU.', 3);
    expect(recv(fd, 10)).toBe('ab');
    expect(ioctlInt(fd, SIOCATMARK)).toBe(1);
    expect(recv(fd, 10, MSG_OOB)).toBe('X');
    expect(recv(fd, 10, MSG_OOB)).toBe(-EINVAL);
    expect(recv(fd, 10)).toBe('cd');
    expect(ioctlInt(fd, SIOCATMARK)).toBe(0);
    reset(fd, 6);
  });

  it('stands in the stream with SO_OOBINLINE', () => {
    const fd = connected();
    rig.setInt(fd, SOL_SOCKET, SO_OOBINLINE, 1);
    give(1, 'abXcd', 'PU.', 3);
    expect(recv(fd, 10)).toBe('ab');
    expect(recv(fd, 10, MSG_OOB)).toBe(-EINVAL);
    expect(recv(fd, 10)).toBe('Xcd');
    reset(fd, 6);
  });
});

describe('the window', () => {
  it('closes as data piles up, and is offered again when it is read', () => {
    const fd = connected();
    rig.setInt(fd, SOL_SOCKET, SO_RCVBUF, 8192);
    let seq = 1;
    let last = 65535;
    for (let i = 0; i < 40 && last > 0; i++) {
      rig.inject({ flags: '.', seq, ack: 1, win: 1000, data: 1000 });
      for (const s of rig.sent()) last = s.win;
      if (rig.sock(fd).rcvNxt !== ((rig.peerIsn + seq + 1000) | 0)) break;
      seq += 1000;
    }
    const before = rig.sock(fd).rcvWnd;
    rig.sent();
    expect((rig.read(fd) as Uint8Array).length).toBe(seq - 1);
    const [update] = rig.sent();
    expect(update?.flags).toBe('.');
    expect(rig.sock(fd).rcvWnd).toBeGreaterThanOrEqual(2 * before);
    reset(fd, seq);
  });
});

describe('TCP_INQ', () => {
  /** Reads `size` bytes: how many came, and what is said to be left. */
  function readInq(fd: number, size: number): [number, number] {
    const control = new Uint8Array(64);
    const msg = {
      name: null,
      namelen: 0,
      iov: [new Uint8Array(size)],
      control,
      controllen: 64,
      flags: 0,
    };
    const n = rig.sys.recvmsg(fd, msg, 0);
    const v = new DataView(control.buffer);
    expect([v.getInt32(8, true), v.getInt32(12, true)]).toEqual([SOL_TCP, TCP_CM_INQ]);
    return [n, v.getInt32(16, true)];
  }

  it('tells how much is left', () => {
    const fd = connected();
    rig.setInt(fd, SOL_TCP, TCP_INQ, 1);
    give(1, 'abcdef');
    expect(readInq(fd, 2)).toEqual([2, 4]);
    expect(readInq(fd, 10)).toEqual([4, 0]);
    reset(fd, 7);
  });

  it('says 1 when there is only the end to be read', () => {
    const fd = connected();
    rig.setInt(fd, SOL_TCP, TCP_INQ, 1);
    give(1, 'abcdef', 'FP.');
    // The FIN counts here, and does not for SIOCINQ.
    expect(readInq(fd, 2)).toEqual([2, 5]);
    expect(ioctlInt(fd, SIOCINQ)).toBe(4);
    expect(readInq(fd, 4)).toEqual([4, 1]);
    expect(ioctlInt(fd, SIOCINQ)).toBe(0);
    expect(readInq(fd, 4)).toEqual([0, 1]);
    reset(fd, 8);
  });
});

describe('a window without scaling', () => {
  it('moves in whole segments', () => {
    rig.machine.initNet.ipv4.sysctlTcpWindowScaling = 0;
    const fd = connected();
    const mss = 1000;
    let seq = 1;
    const windows: number[] = [];
    for (let i = 0; i < 30; i++) {
      rig.inject({ flags: 'P.', seq, ack: 1, win: 1000, data: mss });
      seq += mss;
      if (i % 3 === 2) rig.read(fd);
      for (const s of rig.sent()) windows.push(s.win);
    }
    // First the window of the SYN-ACK runs down; what is offered anew is whole segments.
    expect(windows.length).toBeGreaterThan(15);
    expect(windows.slice(-8).map((win) => win % mss)).toEqual(new Array(8).fill(0));
    rig.inject({ flags: 'R', seq });
    rig.close(fd);
  });
});
