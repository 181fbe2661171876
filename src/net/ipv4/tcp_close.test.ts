import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeSyscalls } from '#init/syscalls.ts';
import { createTask } from '#kernel/sched/task.ts';
import { TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import { EBADF, EINPROGRESS } from '#uapi/errno.ts';
import { POLLIN } from '#uapi/poll.ts';
import {
  LINUX_MIB_TCPABORTONCLOSE,
  LINUX_MIB_TCPABORTONDATA,
  LINUX_MIB_TCPABORTONLINGER,
} from '#uapi/snmp.ts';
import { SO_LINGER, SOL_SOCKET, SOL_TCP } from '#uapi/socket.ts';
import { TCP_CLOSE, TCP_FIN_WAIT1, TCP_LINGER2 } from '#uapi/tcp.ts';

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

function flags(): string[] {
  return rig.sent().map((s) => s.flags);
}

function setLinger(fd: number, onoff: number, seconds: number): void {
  const val = new Uint8Array(8);
  const v = new DataView(val.buffer);
  v.setInt32(0, onoff, true);
  v.setInt32(4, seconds, true);
  expect(rig.sys.setsockopt(fd, SOL_SOCKET, SO_LINGER, val)).toBe(0);
}

describe('close', () => {
  it('sends a FIN when all was read', () => {
    const fd = connected();
    rig.inject({ flags: 'P.', seq: 1, ack: 1, win: 1000, data: 10 });
    rig.read(fd);
    rig.sent();
    rig.close(fd);
    expect(flags()).toEqual(['F.']);
    rig.inject({ flags: 'F.', seq: 11, ack: 2, win: 1000 });
    expect(flags()).toEqual(['.']);
    rig.advance(61_000);
  });

  it('resets when data was left unread', () => {
    const fd = connected();
    rig.inject({ flags: 'P.', seq: 1, ack: 1, win: 1000, data: 10 });
    rig.sent();
    rig.close(fd);
    expect(flags()).toEqual(['R.']);
    expect(rig.mib(LINUX_MIB_TCPABORTONCLOSE)).toBe(1);
  });

  it('does not reset when only the FIN was left unread', () => {
    const fd = connected();
    rig.inject({ flags: 'F.', seq: 1, ack: 1, win: 1000 });
    rig.sent();
    rig.close(fd);
    expect(flags()).toEqual(['F.']);
    rig.inject({ flags: '.', seq: 2, ack: 2, win: 1000 });
  });

  it('resets at once with a linger time of 0', () => {
    const fd = connected();
    rig.write(fd, 100);
    rig.sent();
    setLinger(fd, 1, 0);
    rig.close(fd);
    expect(flags()).toEqual(['R.']);
    expect(rig.mib(LINUX_MIB_TCPABORTONDATA)).toBe(1);
  });

  it('sends what was written before the FIN, again where needed', () => {
    const fd = connected();
    rig.write(fd, 100);
    rig.sent();
    rig.close(fd);
    expect(rig.texts()).toEqual(['F. 101:101(0) ack 1 win 63']);
    rig.advance(1000);
    const again = rig.sent();
    expect(again.length).toBeGreaterThan(0);
    rig.inject({ flags: '.', seq: 1, ack: 102, win: 1000 });
    rig.inject({ flags: 'F.', seq: 1, ack: 102, win: 1000 });
    rig.advance(61_000);
  });
});

describe('a close that lingers', () => {
  let returned: number;

  /** Begins to close with data under way; returns what a signal calls, or the result of the call. */
  function linger(fd: number): (() => void) | number {
    rig.write(fd, 100);
    setLinger(fd, 1, 2);
    returned = -1;
    const wait = rig.sys.closeWait(fd, () => {
      returned = rig.nowMs;
    });
    rig.settle();
    rig.sent();
    return wait;
  }

  function orphans(): string {
    return /orphan (\d+)/.exec(rig.proc('sockstat'))?.[1] ?? '';
  }

  it('keeps its owner until the peer has everything, and frees the descriptor at once', () => {
    const fd = connected();
    const { skIno } = rig.sock(fd);
    expect(typeof linger(fd)).toBe('function');
    const row = rig.proc('tcp').trimEnd().split('\n').at(-1) ?? '';
    expect(row.trim().split(/\s+/).slice(3, 10)[6]).toBe(String(skIno));
    expect(orphans()).toBe('0');
    expect(rig.task.files.get(fd)).toBe(null);
    rig.inject({ flags: '.', seq: 1, ack: 101, win: 1000 });
    expect(returned).toBe(-1);
    rig.inject({ flags: '.', seq: 1, ack: 102, win: 1000 });
    expect(returned).toBe(rig.nowMs);
    // Nothing is left but the time-wait entry of FIN_WAIT2.
    expect(rig.proc('sockstat')).toMatch(/^TCP: inuse 0 orphan 0 tw 1 /m);
    rig.advance(61_000);
  });

  it('ends with its time, to the millisecond, and leaves an orphan', () => {
    const fd = connected();
    linger(fd);
    const start = rig.nowMs;
    rig.advance(2500);
    expect(returned).toBe(start + 2000);
    expect(orphans()).toBe('1');
    rig.inject({ flags: 'R.', seq: 1, ack: 1, win: 0 });
  });

  it('ends with a signal', () => {
    const signal = linger(connected());
    expect(orphans()).toBe('0');
    if (typeof signal === 'function') signal();
    expect(orphans()).toBe('1');
    rig.advance(3000);
    expect(returned).toBe(-1);
  });

  it('ends with a reset', () => {
    const fd = connected();
    linger(fd);
    rig.inject({ flags: 'R.', seq: 1, ack: 101, win: 0 });
    expect(returned).toBe(rig.nowMs);
    expect(rig.proc('sockstat')).toMatch(/^TCP: inuse 0 orphan 0 tw 0 /m);
  });

  it('goes on beside a caller that does not wait for it', () => {
    const fd = connected();
    setLinger(fd, 1, 2);
    expect(rig.sys.close(fd)).toBe(0);
    expect(orphans()).toBe('0');
    rig.advance(1999);
    expect(orphans()).toBe('0');
    rig.advance(1);
    expect(orphans()).toBe('1');
  });

  it('does not wait when there is nothing to wait for', () => {
    const fd = connected();
    rig.sys.shutdown(fd, 1);
    rig.settle();
    rig.inject({ flags: '.', seq: 1, ack: 2, win: 1000 });
    setLinger(fd, 1, 2);
    expect(rig.sys.closeWait(fd, () => {})).toBe(0);
    expect(rig.sys.closeWait(fd, () => {})).toBe(-EBADF);
    rig.advance(61_000);
  });

  it('is that of the task whose wait held the file last, whoever made the latest call', () => {
    const fd = connected();
    rig.write(fd, 100);
    setLinger(fd, 1, 2);
    const wait = rig.sys.waitFd(fd, POLLIN, -1, () => {});
    expect(rig.sys.close(fd)).toBe(0);
    const other = makeSyscalls(createTask(rig.machine, 'other', rig.machine.initNet));
    other.monotonic();
    if (typeof wait === 'function') wait();
    other.exit(0);
    expect(orphans()).toBe('0');
    rig.advance(2000);
    expect(orphans()).toBe('1');
  });

  it('is not for a task that ends, and ends with it', () => {
    linger(connected());
    rig.localPort = 8081;
    const { fd, lfd } = rig.accepted();
    rig.close(lfd);
    setLinger(fd, 1, 2);
    expect(orphans()).toBe('0');
    rig.sys.exit(0);
    rig.settle();
    expect(orphans()).toBe('2');
    expect(returned).toBe(-1);
  });
});

describe('an orphan', () => {
  it('in FIN_WAIT2 is forgotten after tcp_fin_timeout', () => {
    const fd = connected();
    rig.close(fd);
    rig.sent();
    rig.inject({ flags: '.', seq: 1, ack: 2, win: 1000 });
    expect(rig.machine.live.socks).toBeGreaterThan(0);
    rig.advance(61_000);
    // What comes later meets no socket.
    rig.inject({ flags: 'F.', seq: 1, ack: 2, win: 1000 });
    expect(flags()).toEqual(['R']);
  });

  it('is reset at once with a negative TCP_LINGER2', () => {
    const fd = connected();
    rig.setInt(fd, SOL_TCP, TCP_LINGER2, -1);
    rig.sys.shutdown(fd, 1);
    rig.settle();
    rig.inject({ flags: '.', seq: 1, ack: 2, win: 1000 });
    rig.sent();
    rig.close(fd);
    expect(flags()).toEqual(['R.']);
    expect(rig.mib(LINUX_MIB_TCPABORTONLINGER)).toBe(1);
  });

  it('gives up on a peer that is gone', () => {
    const fd = connected();
    rig.close(fd);
    expect(rig.machine.live.timers).toBeGreaterThan(0);
    rig.advance(400_000);
    expect(rig.machine.netGlobals.tcpMemory.orphanCount).toBe(0);
  });

  it('answers data that nobody will read with a reset', () => {
    const fd = connected();
    rig.close(fd);
    rig.sent();
    rig.inject({ flags: 'P.', seq: 1, ack: 2, win: 1000, data: 10 });
    expect(flags()).toEqual(['R']);
  });
});

describe('disconnect', () => {
  it('resets and makes the socket fit for a new connection', () => {
    const fd = connected();
    rig.write(fd, 10);
    rig.sent();
    const unspec = new Uint8Array(16);
    expect(rig.sys.connect(fd, unspec)).toBe(0);
    rig.settle();
    expect(flags()).toEqual(['R.']);
    expect(rig.sock(fd).skcState).toBe(TCP_CLOSE);
    rig.remotePort = 50_000;
    expect(rig.sys.connect(fd, rig.sockaddr(0xc0000202, 50_000))).toBe(-EINPROGRESS);
    rig.settle();
    expect(flags()).toEqual(['S']);
    rig.close(fd);
  });
});

describe('shutdown', () => {
  it('half closes: the other direction goes on', () => {
    const fd = connected();
    rig.sys.shutdown(fd, 1);
    rig.settle();
    expect(flags()).toEqual(['F.']);
    expect(rig.sock(fd).skcState).toBe(TCP_FIN_WAIT1);
    rig.inject({ flags: 'P.', seq: 1, ack: 2, win: 1000, data: 10 });
    expect((rig.read(fd) as Uint8Array).length).toBe(10);
    rig.inject({ flags: 'F.', seq: 11, ack: 2, win: 1000 });
    expect((rig.read(fd) as Uint8Array).length).toBe(0);
    rig.close(fd);
    rig.advance(61_000);
  });
});
