import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BareMachine } from '#fs/testing/bare_machine.ts';
import { makeSyscalls } from '#init/syscalls.ts';
import { unixInit } from '#net/unix/af_unix.ts';
import {
  EDOM,
  EINVAL,
  ENODEV,
  ENOENT,
  ENOPROTOOPT,
  ENOTCONN,
  EOPNOTSUPP,
  EPERM,
} from '#uapi/errno.ts';
import { BPF_K, BPF_RET, sockFilter } from '#uapi/filter.ts';
import {
  AF_UNIX,
  SO_ACCEPTCONN,
  SO_ATTACH_BPF,
  SO_ATTACH_FILTER,
  SO_BINDTODEVICE,
  SO_BINDTOIFINDEX,
  SO_BROADCAST,
  SO_BUF_LOCK,
  SO_BUSY_POLL,
  SO_COOKIE,
  SO_DEBUG,
  SO_DETACH_FILTER,
  SO_DOMAIN,
  SO_DONTROUTE,
  SO_ERROR,
  SO_GET_FILTER,
  SO_INCOMING_CPU,
  SO_KEEPALIVE,
  SO_LINGER,
  SO_LOCK_FILTER,
  SO_MARK,
  SO_MAX_PACING_RATE,
  SO_MEMINFO,
  SO_NETNS_COOKIE,
  SO_NO_CHECK,
  SO_OOBINLINE,
  SO_PASSCRED,
  SO_PEEK_OFF,
  SO_PEERCRED,
  SO_PEERNAME,
  SO_PRIORITY,
  SO_PROTOCOL,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_RCVLOWAT,
  SO_RCVMARK,
  SO_RCVTIMEO,
  SO_RESERVE_MEM,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SO_RXQ_OVFL,
  SO_SELECT_ERR_QUEUE,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SO_SNDLOWAT,
  SO_SNDTIMEO,
  SO_TIMESTAMP,
  SO_TIMESTAMP_NEW,
  SO_TIMESTAMPING,
  SO_TIMESTAMPNS,
  SO_TXREHASH,
  SO_TXTIME,
  SO_TYPE,
  SO_ZEROCOPY,
  SOCK_DGRAM,
  SOCK_STREAM,
  SOL_SOCKET,
} from '#uapi/socket.ts';
import type { SyscallTable } from '#uapi/unistd.ts';

let m: BareMachine;
let sys: SyscallTable;
let fd: number;

beforeEach(() => {
  m = new BareMachine();
  expect(unixInit(m.machine)).toBe(0);
  sys = makeSyscalls(m.task);
  fd = sys.socket(AF_UNIX, SOCK_STREAM, 0);
});

afterEach(() => {
  expect(m.end()).toEqual({});
  expect(m.machine.netGlobals.netstampNeeded).toBe(0);
});

function words(...values: number[]): Uint8Array {
  const buf = new Uint8Array(values.length * 4);
  const v = new DataView(buf.buffer);
  for (const [i, value] of values.entries()) v.setInt32(i * 4, value, true);
  return buf;
}

const set = (name: number, ...values: number[]): number =>
  sys.setsockopt(fd, SOL_SOCKET, name, words(...values));

/** The option's words, or the error. */
function get(name: number, room = 64): number[] | number {
  const buf = new Uint8Array(room);
  const len = sys.getsockopt(fd, SOL_SOCKET, name, buf);
  if (len < 0) return len;
  const v = new DataView(buf.buffer);
  return Array.from({ length: len >> 2 }, (_, i) => v.getInt32(i * 4, true));
}

describe('what a new socket says', () => {
  const rows: [string, number, number[] | number][] = [
    ['SO_TYPE', SO_TYPE, [SOCK_STREAM]],
    ['SO_DOMAIN', SO_DOMAIN, [AF_UNIX]],
    ['SO_PROTOCOL', SO_PROTOCOL, [0]],
    ['SO_ERROR', SO_ERROR, [0]],
    ['SO_ACCEPTCONN', SO_ACCEPTCONN, [0]],
    ['SO_SNDBUF', SO_SNDBUF, [212992]],
    ['SO_RCVBUF', SO_RCVBUF, [212992]],
    ['SO_RCVLOWAT', SO_RCVLOWAT, [1]],
    ['SO_SNDLOWAT', SO_SNDLOWAT, [1]],
    ['SO_LINGER', SO_LINGER, [0, 0]],
    ['SO_RCVTIMEO', SO_RCVTIMEO, [0, 0, 0, 0]],
    ['SO_PEEK_OFF', SO_PEEK_OFF, [-1]],
    ['SO_MARK', SO_MARK, [0]],
    ['SO_INCOMING_CPU', SO_INCOMING_CPU, [-1]],
    ['SO_MAX_PACING_RATE', SO_MAX_PACING_RATE, [-1, -1]],
    ['SO_PEERCRED', SO_PEERCRED, [0, -1, -1]],
    ['SO_PEERNAME', SO_PEERNAME, -ENOTCONN],
    ['SO_BINDTODEVICE', SO_BINDTODEVICE, []],
    ['SO_MEMINFO', SO_MEMINFO, [0, 212992, 0, 212992, 0, 0, 0, 0, 0]],
    ['an unknown one', 9999, -ENOPROTOOPT],
  ];
  it.each(rows)('%s', (_name, option, expected) => {
    expect(get(option)).toEqual(expected);
  });
});

describe('flags', () => {
  const flags: [string, number][] = [
    ['SO_DEBUG', SO_DEBUG],
    ['SO_REUSEADDR', SO_REUSEADDR],
    ['SO_DONTROUTE', SO_DONTROUTE],
    ['SO_BROADCAST', SO_BROADCAST],
    ['SO_KEEPALIVE', SO_KEEPALIVE],
    ['SO_OOBINLINE', SO_OOBINLINE],
    ['SO_NO_CHECK', SO_NO_CHECK],
    ['SO_PASSCRED', SO_PASSCRED],
    ['SO_RXQ_OVFL', SO_RXQ_OVFL],
    ['SO_SELECT_ERR_QUEUE', SO_SELECT_ERR_QUEUE],
    ['SO_RCVMARK', SO_RCVMARK],
    ['SO_TIMESTAMP', SO_TIMESTAMP],
    ['SO_TIMESTAMPNS', SO_TIMESTAMPNS],
    ['SO_TIMESTAMP_NEW', SO_TIMESTAMP_NEW],
  ];
  it.each(flags)('%s is set by anything but zero, and taken back', (_name, option) => {
    expect(get(option)).toEqual([0]);
    expect(set(option, -7)).toBe(0);
    expect(get(option)).toEqual([1]);
    expect(set(option, 0)).toBe(0);
    expect(get(option)).toEqual([0]);
    expect(sys.setsockopt(fd, SOL_SOCKET, option, new Uint8Array(3))).toBe(-EINVAL);
  });
});

describe('buffers', () => {
  it('are doubled, kept above the floor, and held below the sysctl unless forced', () => {
    const rows: [number, number, number][] = [
      [SO_SNDBUF, 10000, 20000],
      [SO_SNDBUF, 1, 4608],
      [SO_SNDBUF, 1 << 30, 8388608],
      [SO_SNDBUF, -1, 8388608],
      [SO_RCVBUF, 10000, 20000],
      [SO_RCVBUF, 0, 2304],
      [SO_RCVBUF, -1, 8388608],
    ];
    for (const [option, wish, got] of rows) {
      expect(set(option, wish)).toBe(0);
      expect(get(option)).toEqual([got]);
    }
    expect(set(SO_SNDBUFFORCE, 1 << 20)).toBe(0);
    expect(get(SO_SNDBUF)).toEqual([1 << 21]);
    expect(set(SO_RCVBUFFORCE, -5)).toBe(0);
    expect(get(SO_RCVBUF)).toEqual([2304]);
    expect(get(SO_BUF_LOCK)).toEqual([3]);
    expect(set(SO_BUF_LOCK, 4)).toBe(-EINVAL);
    expect(set(SO_BUF_LOCK, 0)).toBe(0);
    expect(get(SO_BUF_LOCK)).toEqual([0]);
  });

  it('follow net.core', () => {
    const w = sys.open('/proc/sys/net/core/wmem_max', 1);
    expect(sys.write(w, new TextEncoder().encode('5000\n'))).toBe(5);
    expect(sys.write(w, new TextEncoder().encode('12'))).toBe(-EINVAL);
    set(SO_SNDBUF, 1 << 20);
    expect(get(SO_SNDBUF)).toEqual([10000]);
  });
});

describe('values', () => {
  it('linger, in seconds', () => {
    expect(set(SO_LINGER, 1)).toBe(-EINVAL);
    expect(set(SO_LINGER, 1, 30)).toBe(0);
    expect(get(SO_LINGER)).toEqual([1, 30]);
    expect(set(SO_LINGER, 1, -1)).toBe(0);
    expect(get(SO_LINGER)).toEqual([1, Math.floor(0x7fffffff / 1000)]);
    expect(set(SO_LINGER, 0, 5)).toBe(0);
    expect((get(SO_LINGER) as number[])[0]).toBe(0);
  });

  it('timeouts, as struct timeval', () => {
    expect(set(SO_RCVTIMEO, 1, 0)).toBe(-EINVAL);
    expect(set(SO_RCVTIMEO, 1, 0, 1_000_000, 0)).toBe(-EDOM);
    expect(set(SO_RCVTIMEO, 1, 0, -1, -1)).toBe(-EDOM);
    expect(set(SO_RCVTIMEO, 2, 0, 500_000, 0)).toBe(0);
    expect(get(SO_RCVTIMEO)).toEqual([2, 0, 500_000, 0]);
    // Rounded up to a tick.
    expect(set(SO_SNDTIMEO, 0, 0, 1, 0)).toBe(0);
    expect(get(SO_SNDTIMEO)).toEqual([0, 0, 1000, 0]);
    expect(set(SO_SNDTIMEO, 0, 0, 0, 0)).toBe(0);
    expect(get(SO_SNDTIMEO)).toEqual([0, 0, 0, 0]);
  });

  it('that are checked', () => {
    const rows: [number, number[], number][] = [
      [SO_BUSY_POLL, [-1], -EINVAL],
      [SO_BUSY_POLL, [50], 0],
      [SO_RESERVE_MEM, [-1], -EINVAL],
      [SO_RESERVE_MEM, [4096], -EOPNOTSUPP],
      // Only TCP chooses its way anew.
      [SO_TXREHASH, [0], -EOPNOTSUPP],
      [SO_TXTIME, [1], -EINVAL],
      [SO_TXTIME, [1, 8], -EINVAL],
      [SO_TXTIME, [1, 1], 0],
      [SO_TIMESTAMPING, [1 << 30], -EINVAL],
      [SO_TIMESTAMPING, [1 << 16], -EINVAL],
      [SO_TIMESTAMPING, [0x1000], -EINVAL],
      [SO_TIMESTAMPING, [0x18], 0],
      [SO_BINDTOIFINDEX, [-1], -EINVAL],
      [SO_REUSEPORT, [1], -EOPNOTSUPP],
      [SO_ZEROCOPY, [1], -EOPNOTSUPP],
      [SO_ATTACH_BPF, [3], -EOPNOTSUPP],
      [SO_TYPE, [1], -ENOPROTOOPT],
      [SO_DOMAIN, [1], -ENOPROTOOPT],
      [SO_PROTOCOL, [1], -ENOPROTOOPT],
      [SO_ERROR, [1], -ENOPROTOOPT],
      [9999, [1], -ENOPROTOOPT],
      [SO_PRIORITY, [6], 0],
      [SO_MARK, [77], 0],
      [SO_RCVLOWAT, [0], 0],
    ];
    for (const [option, values, result] of rows) {
      expect(set(option, ...values), `option ${option} = ${values}`).toBe(result);
    }
    expect(get(SO_TXTIME)).toEqual([1, 1]);
    expect(get(SO_MARK)).toEqual([77]);
    expect(get(SO_RCVLOWAT)).toEqual([1]);
    expect(set(SO_RCVLOWAT, -1)).toBe(0);
    expect(get(SO_RCVLOWAT)).toEqual([0x7fffffff]);
    const eth9 = new TextEncoder().encode('eth9');
    expect(sys.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, eth9)).toBe(-ENODEV);
    expect(sys.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, new Uint8Array(0))).toBe(0);
  });

  it('pacing rates, of 32 bits and of 64', () => {
    expect(set(SO_MAX_PACING_RATE, 125000)).toBe(0);
    expect(get(SO_MAX_PACING_RATE)).toEqual([125000, 0]);
    expect(get(SO_MAX_PACING_RATE, 4)).toEqual([125000]);
    expect(set(SO_MAX_PACING_RATE, 0, 3)).toBe(0);
    expect(get(SO_MAX_PACING_RATE)).toEqual([0, 3]);
    expect(get(SO_MAX_PACING_RATE, 4)).toEqual([-1]);
  });

  it('cookies differ, and stay', () => {
    const first = get(SO_COOKIE);
    expect(first).toEqual(get(SO_COOKIE));
    expect(get(SO_COOKIE, 4)).toBe(-EINVAL);
    expect(get(SO_NETNS_COOKIE, 8)).toEqual([1, 0]);
    fd = sys.socket(AF_UNIX, SOCK_DGRAM, 0);
    expect(get(SO_COOKIE)).not.toEqual(first);
  });

  it('are cut to the room that there is', () => {
    expect(get(SO_LINGER, 4)).toEqual([0]);
    expect(sys.getsockopt(fd, SOL_SOCKET, SO_SNDBUF, new Uint8Array(2))).toBe(2);
  });
});

describe('filters', () => {
  const accept = new Uint8Array(8);
  sockFilter.setCode(new DataView(accept.buffer), 0, BPF_RET | BPF_K);
  sockFilter.setK(new DataView(accept.buffer), 0, 0xffff);

  it('are attached, shown, locked and taken off', () => {
    expect(sys.setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, words(0))).toBe(-ENOENT);
    expect(sys.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, words(0))).toBe(-EINVAL);
    expect(sys.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, accept)).toBe(0);
    expect(sys.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, accept)).toBe(0);
    const shown = new Uint8Array(8);
    expect(sys.getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, shown)).toBe(1);
    expect(shown).toEqual(accept);
    expect(sys.getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, new Uint8Array(4))).toBe(-EINVAL);
    expect(set(SO_LOCK_FILTER, 1)).toBe(0);
    expect(set(SO_LOCK_FILTER, 0)).toBe(-EPERM);
    expect(set(SO_DETACH_FILTER, 0)).toBe(-EPERM);
    expect(sys.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, accept)).toBe(-EPERM);
  });
});
