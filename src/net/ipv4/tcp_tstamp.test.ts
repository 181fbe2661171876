import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NetDevice } from '#include/linux/netdevice.ts';
import { REMOTE, TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import { EAGAIN, EINVAL, ENOMSG } from '#uapi/errno.ts';
import {
  SCM_TSTAMP_ACK,
  SCM_TSTAMP_SCHED,
  SCM_TSTAMP_SND,
  SO_EE_ORIGIN_TIMESTAMPING,
  sockExtendedErr,
} from '#uapi/errqueue.ts';
import { IP_PKTINFO, IP_RECVERR } from '#uapi/in.ts';
import {
  SOF_TIMESTAMPING_OPT_CMSG,
  SOF_TIMESTAMPING_OPT_ID,
  SOF_TIMESTAMPING_OPT_ID_TCP,
  SOF_TIMESTAMPING_OPT_TSONLY,
  SOF_TIMESTAMPING_RX_SOFTWARE,
  SOF_TIMESTAMPING_SOFTWARE,
  SOF_TIMESTAMPING_TX_ACK,
  SOF_TIMESTAMPING_TX_SCHED,
  SOF_TIMESTAMPING_TX_SOFTWARE,
} from '#uapi/net_tstamp.ts';
import { POLLERR, POLLPRI } from '#uapi/poll.ts';
import {
  AF_INET,
  MSG_ERRQUEUE,
  SCM_TIMESTAMPING,
  SCM_TS_OPT_ID,
  SO_SELECT_ERR_QUEUE,
  SO_TIMESTAMPING,
  SOCK_DGRAM,
  SOCK_STREAM,
  SOL_IP,
  SOL_SOCKET,
  SOL_TCP,
} from '#uapi/socket.ts';
import { TCP_NODELAY } from '#uapi/tcp.ts';

const ALL_TX = SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_ACK;
const STAMPS = SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID;
const KINDS = new Map([
  [SCM_TSTAMP_SND, 'SND'],
  [SCM_TSTAMP_SCHED, 'SCHED'],
  [SCM_TSTAMP_ACK, 'ACK'],
]);

let rig: TcpRig;

beforeEach(() => {
  rig = new TcpRig();
});

afterEach(() => {
  expect(rig.end()).toEqual({});
});

interface Stamp {
  readonly kind: string;
  readonly key: number;
  /** ms since boot. */
  readonly at: number;
  /** Bytes of the packet that came along. */
  readonly len: number;
  /** Interface of an IP_PKTINFO message; 0: there was none. */
  readonly iif: number;
}

/** The next entry of the error queue, or the negative errno. */
function stamp(fd: number): Stamp | number {
  const control = new Uint8Array(256);
  const msg = {
    name: null,
    namelen: 0,
    iov: [new Uint8Array(2000)],
    control,
    controllen: 256,
    flags: 0,
  };
  const len = rig.sys.recvmsg(fd, msg, MSG_ERRQUEUE);
  if (len < 0) return len;
  expect(msg.flags & MSG_ERRQUEUE).not.toBe(0);
  const v = new DataView(control.buffer);
  const out = { kind: '', key: 0, at: -1, len, iif: 0 };
  for (let o = 0; o < msg.controllen; o += (v.getUint32(o, true) + 7) & ~7) {
    const level = v.getInt32(o + 8, true);
    const type = v.getInt32(o + 12, true);
    const at = o + 16;
    if (level === SOL_SOCKET && type === SCM_TIMESTAMPING) {
      const sec = v.getUint32(at, true) - 1_700_000_000;
      out.at = sec * 1000 + v.getUint32(at + 8, true) / 1e6;
    } else if (level === SOL_IP && type === IP_RECVERR) {
      expect(sockExtendedErr.errno(v, at)).toBe(ENOMSG);
      expect(sockExtendedErr.origin(v, at)).toBe(SO_EE_ORIGIN_TIMESTAMPING);
      out.kind = KINDS.get(sockExtendedErr.info(v, at)) ?? '?';
      out.key = sockExtendedErr.data(v, at);
    } else if (level === SOL_IP && type === IP_PKTINFO) {
      out.iif = v.getInt32(at, true);
    }
  }
  return out;
}

/** `kind key@ms` of every entry. */
function stamps(fd: number): string[] {
  const out: string[] = [];
  for (let s = stamp(fd); typeof s !== 'number'; s = stamp(fd)) {
    out.push(`${s.kind} ${s.key}@${s.at - 10_000}`);
  }
  return out;
}

function connected(win = 1000): number {
  const lfd = rig.listen();
  rig.inject({ flags: 'S', options: 'mss 1000,sackOK,nop,wscale 7' });
  rig.sent();
  rig.inject({ flags: '.', seq: 1, ack: 1, win });
  const fd = rig.accept(lfd);
  rig.close(lfd);
  rig.setInt(fd, SOL_TCP, TCP_NODELAY, 1);
  rig.sent();
  return fd;
}

function ask(fd: number, flags: number): void {
  rig.setInt(fd, SOL_SOCKET, SO_TIMESTAMPING, flags);
}

function ack(to: number, win = 1000): void {
  rig.inject({ flags: '.', seq: 1, ack: to, win });
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

function tosend(fd: number, size: number, control: Uint8Array): number {
  const msg = {
    name: rig.sockaddr(REMOTE, 9),
    namelen: 16,
    iov: [new Uint8Array(size)],
    control,
    controllen: control.length,
    flags: 0,
  };
  const n = rig.sys.sendmsg(fd, msg, 0);
  rig.settle();
  return n;
}

function cmsg(type: number, value: number): Uint8Array {
  const data = new Uint8Array(24);
  const v = new DataView(data.buffer);
  v.setUint32(0, 20, true);
  v.setInt32(8, SOL_SOCKET, true);
  v.setInt32(12, type, true);
  v.setUint32(16, value, true);
  return data;
}

describe('time stamps of a stream', () => {
  it('tell when the last byte was queued, sent and acknowledged', () => {
    const fd = connected();
    ask(fd, ALL_TX | STAMPS);
    expect(stamp(fd)).toBe(-EAGAIN);
    rig.write(fd, 500);
    expect(poll(fd) & POLLERR).toBe(POLLERR);
    expect(stamps(fd)).toEqual(['SCHED 499@0', 'SND 499@0']);
    expect(poll(fd) & POLLERR).toBe(0);
    rig.advance(20);
    ack(501);
    expect(stamps(fd)).toEqual(['ACK 499@20']);
    rig.write(fd, 10);
    rig.advance(5);
    ack(511);
    expect(stamps(fd)).toEqual(['SCHED 509@20', 'SND 509@20', 'ACK 509@25']);
    rig.sent();
    reset(fd);
  });

  it('follow the last byte when what was written leaves in parts', () => {
    // A window of 1024 bytes.
    const fd = connected(8);
    ask(fd, ALL_TX | STAMPS);
    rig.write(fd, 1400);
    expect(rig.sent().map((s) => s.len)).toEqual([512, 512]);
    expect(stamps(fd)).toEqual([]);
    rig.advance(1);
    ack(1025, 8);
    expect(rig.sent().map((s) => s.len)).toEqual([376]);
    expect(stamps(fd)).toEqual(['SCHED 1399@1', 'SND 1399@1']);
    rig.advance(1);
    ack(1401);
    expect(stamps(fd)).toEqual(['ACK 1399@2']);
    reset(fd);
  });

  it('go with one segment of a packet cut in software', () => {
    const fd = connected();
    const { dev } = rig.tun;
    (dev as NetDevice).features = 0;
    ask(fd, ALL_TX | STAMPS);
    rig.write(fd, 2500);
    expect(rig.sent().length).toBe(3);
    const seen = stamps(fd);
    expect(seen.filter((s) => s.startsWith('SND'))).toEqual(['SND 2499@0']);
    ack(2501);
    expect(stamps(fd)).toEqual(['ACK 2499@0']);
    reset(fd);
  });

  it('carry the packet, or with OPT_TSONLY nothing', () => {
    const fd = connected();
    ask(fd, SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_ACK | STAMPS);
    rig.write(fd, 100);
    expect(stamp(fd)).toMatchObject({ kind: 'SND', len: 140 });
    ack(101);
    expect(stamp(fd)).toMatchObject({ kind: 'ACK', len: 100 });
    ask(fd, SOF_TIMESTAMPING_TX_SOFTWARE | STAMPS | SOF_TIMESTAMPING_OPT_TSONLY);
    rig.write(fd, 100);
    expect(stamp(fd)).toMatchObject({ kind: 'SND', len: 0, key: 199 });
    rig.sent();
    reset(fd);
  });

  it('count from the first byte not acknowledged, or not written', () => {
    const fd = connected();
    rig.write(fd, 300);
    ask(fd, SOF_TIMESTAMPING_TX_ACK | STAMPS);
    rig.write(fd, 1);
    ack(302);
    expect(stamps(fd)).toEqual(['ACK 300@0']);
    ask(fd, 0);
    rig.write(fd, 100);
    ask(fd, SOF_TIMESTAMPING_TX_ACK | STAMPS | SOF_TIMESTAMPING_OPT_ID_TCP);
    rig.write(fd, 1);
    ack(403);
    expect(stamps(fd)).toEqual(['ACK 0@0']);
    rig.sent();
    reset(fd);
  });

  it('need a connection to count from', () => {
    const fd = rig.sys.socket(AF_INET, SOCK_STREAM, 0);
    const value = new Uint8Array(4);
    new DataView(value.buffer).setInt32(0, STAMPS, true);
    expect(rig.sys.setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, value)).toBe(-EINVAL);
    rig.close(fd);
  });

  it('may be asked for by one call', () => {
    const fd = connected();
    ask(fd, STAMPS);
    rig.write(fd, 10);
    expect(tosend(fd, 10, cmsg(SO_TIMESTAMPING, SOF_TIMESTAMPING_TX_ACK))).toBe(10);
    rig.write(fd, 10);
    rig.sent();
    ack(31);
    expect(stamps(fd).map((s) => s.split('@')[0])).toEqual(['ACK 19']);
    rig.sent();
    reset(fd);
  });

  it('do not outlive the socket', () => {
    const fd = connected();
    ask(fd, ALL_TX | STAMPS);
    rig.write(fd, 100);
    rig.sent();
    reset(fd);
  });
});

describe('time stamps of datagrams', () => {
  function datagrams(): number {
    const fd = rig.sys.socket(AF_INET, SOCK_DGRAM, 0);
    return fd;
  }

  it('have one key a call', () => {
    const fd = datagrams();
    ask(fd, SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_TX_SOFTWARE | STAMPS);
    for (let i = 0; i < 2; i++) tosend(fd, 10, new Uint8Array(0));
    expect(stamps(fd)).toEqual(['SCHED 0@0', 'SND 0@0', 'SCHED 1@0', 'SND 1@0']);
    // The stamp of a datagram in fragments is the first one's.
    tosend(fd, 4000, new Uint8Array(0));
    expect(stamps(fd)).toEqual(['SCHED 2@0', 'SND 2@0']);
    rig.close(fd);
  });

  it('have the key that the call gives', () => {
    const fd = datagrams();
    ask(fd, SOF_TIMESTAMPING_TX_SCHED | STAMPS);
    expect(tosend(fd, 10, cmsg(SCM_TS_OPT_ID, 77))).toBe(10);
    tosend(fd, 10, new Uint8Array(0));
    expect(stamps(fd)).toEqual(['SCHED 77@0', 'SCHED 0@0']);
    ask(fd, SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_SOFTWARE);
    expect(tosend(fd, 10, cmsg(SCM_TS_OPT_ID, 77))).toBe(-EINVAL);
    rig.close(fd);
  });

  it('tell the device with OPT_CMSG, and wake who selects for exceptions', () => {
    const fd = datagrams();
    rig.setInt(fd, SOL_SOCKET, SO_SELECT_ERR_QUEUE, 1);
    rig.setInt(fd, SOL_IP, IP_PKTINFO, 1);
    ask(fd, SOF_TIMESTAMPING_TX_SOFTWARE | STAMPS);
    tosend(fd, 10, new Uint8Array(0));
    expect(poll(fd) & (POLLERR | POLLPRI)).toBe(POLLERR | POLLPRI);
    expect(stamp(fd)).toMatchObject({ iif: 0 });
    ask(fd, SOF_TIMESTAMPING_TX_SOFTWARE | STAMPS | SOF_TIMESTAMPING_OPT_CMSG);
    tosend(fd, 10, new Uint8Array(0));
    expect(stamp(fd)).toMatchObject({ iif: (rig.tun.dev as NetDevice).ifindex });
    rig.close(fd);
  });
});

describe('time stamps of what a stream receives', () => {
  it('come with the bytes', () => {
    const fd = connected();
    ask(fd, SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
    rig.advance(7);
    rig.inject({ flags: 'P.', seq: 1, ack: 1, win: 1000, data: 10 });
    rig.advance(50);
    const control = new Uint8Array(128);
    const msg = {
      name: null,
      namelen: 0,
      iov: [new Uint8Array(100)],
      control,
      controllen: 128,
      flags: 0,
    };
    expect(rig.sys.recvmsg(fd, msg, 0)).toBe(10);
    const v = new DataView(control.buffer);
    expect([v.getInt32(8, true), v.getInt32(12, true)]).toEqual([SOL_SOCKET, SCM_TIMESTAMPING]);
    expect(v.getUint32(16, true)).toBe(1_700_000_010);
    expect(v.getUint32(24, true)).toBe(7_000_000);
    rig.inject({ flags: 'R', seq: 11 });
    rig.close(fd);
  });
});
