import { afterEach, describe, expect, it } from 'vitest';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { csumFold, csumPartial } from '#lib/checksum.ts';
import { consumeSkb, skbClone } from '#net/core/skbuff.ts';
import { lockSock, releaseSock } from '#net/core/sock.ts';
import { LOCAL, REMOTE, TcpRig, type TcpRigOptions } from '#net/ipv4/testing/tcp_rig.ts';
import { EALREADY, ECONNREFUSED, EHOSTUNREACH } from '#uapi/errno.ts';
import { IPPROTO_TCP } from '#uapi/in.ts';
import {
  LINUX_MIB_LISTENDROPS,
  LINUX_MIB_OFOPRUNED,
  LINUX_MIB_OUTOFWINDOWICMPS,
  LINUX_MIB_PRUNECALLED,
  LINUX_MIB_RCVPRUNED,
  LINUX_MIB_SYNCOOKIESFAILED,
  LINUX_MIB_SYNCOOKIESRECV,
  LINUX_MIB_SYNCOOKIESSENT,
  LINUX_MIB_TCPBACKLOGCOALESCE,
  LINUX_MIB_TCPRCVCOLLAPSED,
  LINUX_MIB_TCPREQQFULLDOCOOKIES,
} from '#uapi/snmp.ts';
import { SO_RCVBUF, SOL_SOCKET } from '#uapi/socket.ts';
import { TCP_ESTABLISHED, TCP_SYN_SENT } from '#uapi/tcp.ts';

const rigs: TcpRig[] = [];

function rig(options: TcpRigOptions = {}): TcpRig {
  const made = new TcpRig(options);
  rigs.push(made);
  return made;
}

afterEach(() => {
  for (const r of rigs.splice(0)) expect(r.end()).toEqual({});
});

const bytes = (s: string): Uint8Array => new TextEncoder().encode(s);

/** A router's complaint about the segment with relative number `seq`. */
function icmp(r: TcpRig, type: number, code: number, seq: number, mtu = 0): void {
  const packet = new Uint8Array(20 + 8 + 28);
  const v = new DataView(packet.buffer);
  const ip = (o: number, proto: number, len: number, from: number, to: number): void => {
    v.setUint8(o, 0x45);
    v.setUint16(o + 2, len);
    v.setUint8(o + 8, 60);
    v.setUint8(o + 9, proto);
    v.setUint32(o + 12, from);
    v.setUint32(o + 16, to);
    v.setUint16(o + 10, csumFold(csumPartial(packet, o, 20, 0)));
  };
  ip(28, IPPROTO_TCP, 40, LOCAL, REMOTE);
  v.setUint16(48, r.localPort);
  v.setUint16(50, r.remotePort);
  v.setInt32(52, (r.isn + seq) | 0);
  v.setUint8(20, type);
  v.setUint8(21, code);
  v.setUint16(26, mtu);
  v.setUint16(22, csumFold(csumPartial(packet, 20, 36, 0)));
  ip(0, 1, packet.length, REMOTE, LOCAL);
  r.raw(packet);
}

describe('ICMP errors', () => {
  it('end a connection in the making', () => {
    const r = rig();
    for (const [code, errno] of [
      [3, ECONNREFUSED],
      [1, EHOSTUNREACH],
    ] as const) {
      r.localPort++;
      const fd = r.connect();
      r.sent();
      icmp(r, 3, code, 0);
      expect(r.sys.connect(fd, r.sockaddr(REMOTE, r.remotePort))).toBe(-errno);
      r.close(fd);
    }
  });

  it('do not count when the sequence number was never sent', () => {
    const r = rig();
    const fd = r.connect();
    r.sent();
    icmp(r, 3, 3, 5000);
    expect(r.mib(LINUX_MIB_OUTOFWINDOWICMPS)).toBe(1);
    expect(r.sock(fd).skcState).toBe(TCP_SYN_SENT);
    expect(r.sys.connect(fd, r.sockaddr(REMOTE, r.remotePort))).toBe(-EALREADY);
  });

  it('end a request whose SYN-ACK cannot be delivered', () => {
    const r = rig();
    r.listen();
    r.inject({ flags: 'S', options: 'mss 1460' });
    r.sent();
    icmp(r, 3, 1, 700);
    expect(r.machine.live.requests).toBe(1);
    icmp(r, 3, 3, 0); // the port is unreachable: that may be forged, the peer will reset
    expect(r.machine.live.requests).toBe(1);
    icmp(r, 3, 1, 0);
    expect(r.machine.live.requests).toBe(0);
    expect(r.mib(LINUX_MIB_LISTENDROPS)).toBe(1);
  });

  it('do not end an open connection', () => {
    const r = rig();
    const { fd } = r.accepted();
    r.write(fd, 100);
    r.sent();
    icmp(r, 3, 1, 1);
    const sk = r.sock(fd);
    expect([sk.skcState, sk.skErr, sk.skErrSoft]).toEqual([TCP_ESTABLISHED, 0, EHOSTUNREACH]);
    r.inject({ flags: '.', seq: 1, ack: 101, win: 1000 });
    expect(sk.skErrSoft).toBe(0);
  });

  it('lower the segment size, and what was too large is sent again', () => {
    const r = rig();
    const { fd } = r.accepted();
    r.write(fd, 1460);
    expect(r.sent().map((s) => s.len)).toEqual([1460]);
    icmp(r, 3, 4, 1, 1000);
    expect(r.sent().map((s) => [s.seq, s.len])).toEqual([
      [1, 960],
      [961, 500],
    ]);
    expect(r.sock(fd).mssCache).toBe(960);
    r.inject({ flags: '.', seq: 1, ack: 1461, win: 1000 });
  });
});

describe('a path MTU learned while a task owns the socket', () => {
  it('counts as soon as the task lets go', () => {
    const r = rig();
    const { fd } = r.accepted();
    r.write(fd, 1460);
    r.sent();
    const sk = r.sock(fd);
    lockSock(sk);
    icmp(r, 3, 4, 1, 1000);
    expect(sk.mssCache).toBe(1460);
    releaseSock(sk);
    r.settle();
    expect(sk.mssCache).toBe(960);
    expect(r.sent().map((s) => s.len)).toEqual([960, 500]);
    r.inject({ flags: '.', seq: 1, ack: 1461, win: 1000 });
  });
});

describe('SYN cookies', () => {
  it('keep no request and still establish, with window scale and SACK', () => {
    const r = rig();
    r.machine.initNet.ipv4.sysctlTcpSyncookies = 2;
    const lfd = r.listen();
    r.inject({ flags: 'S', options: 'mss 1400,sackOK,TS 100:0,nop,wscale 7' });
    const [synack] = r.sent();
    expect(synack?.options).toBe('mss 1460,sackOK,TS,nop,wscale 10');
    expect(r.mib(LINUX_MIB_SYNCOOKIESSENT)).toBe(1);
    expect(r.mib(LINUX_MIB_TCPREQQFULLDOCOOKIES)).toBe(1);
    expect(r.machine.live.requests).toBe(0);
    r.advance(1000);
    const ts = `nop,nop,TS 200:${synack?.tsval}`;
    r.inject({ flags: '.', seq: 1, ack: 1, win: 500, options: ts });
    expect(r.mib(LINUX_MIB_SYNCOOKIESRECV)).toBe(1);
    const sk = r.sock(r.accept(lfd));
    expect([sk.rxOpt.sndWscale, sk.rxOpt.sackOk !== 0, sk.rxOpt.mssClamp]).toEqual([7, true, 1300]);
    expect(sk.sndWnd).toBe(500 << 7);
  });

  it('are refused when forged or too old', () => {
    const r = rig();
    r.machine.initNet.ipv4.sysctlTcpSyncookies = 2;
    const lfd = r.listen();
    r.inject({ flags: 'S', options: 'mss 1460' });
    r.sent();
    r.inject({ flags: '.', seq: 1, ack: 0x1234567, win: 500 });
    expect(r.sent().map((s) => s.flags)).toEqual(['R']);
    expect(r.mib(LINUX_MIB_SYNCOOKIESFAILED)).toBe(1);
    r.advance(130_000);
    r.inject({ flags: '.', seq: 1, ack: 1, win: 500 });
    expect(r.sent().map((s) => s.flags)).toEqual(['R']);
    expect(r.sys.accept4(lfd, null, 0)).toBeLessThan(0);
  });
});

describe('the backlog', () => {
  it('keeps segments while a task owns the socket, and joins them', () => {
    const r = rig();
    const { fd } = r.accepted();
    const sk = r.sock(fd);
    r.inject({ flags: '.', seq: 1, ack: 1, win: 1000, data: bytes('a') });
    r.sent();
    lockSock(sk);
    for (const [i, c] of ['b', 'c', 'd'].entries()) {
      r.inject({ flags: '.', seq: 2 + i, ack: 1, win: 1000, data: bytes(c) });
    }
    r.inject({ flags: 'F.', seq: 5, ack: 1, win: 1000 });
    expect(sk.rcvNxt - r.peerIsn).toBe(2);
    expect(r.mib(LINUX_MIB_TCPBACKLOGCOALESCE)).toBe(3);
    releaseSock(sk);
    r.settle();
    expect(new TextDecoder().decode(r.read(fd) as Uint8Array)).toBe('abcd');
    expect(r.read(fd)).toEqual(new Uint8Array(0));
    // One ACK for all of them; after a FIN there is no hurry.
    r.advance(41);
    expect(r.sent().map((s) => s.ack)).toEqual([6]);
  });
});

describe('receive memory', () => {
  it('collapses many small segments and drops the last of those out of order', () => {
    const r = rig();
    const lfd = r.listen();
    r.setInt(lfd, SOL_SOCKET, SO_RCVBUF, 20_000);
    r.inject({ flags: 'S', options: 'mss 1460,sackOK' });
    r.sent();
    r.inject({ flags: '.', seq: 1, ack: 1, win: 1000 });
    const fd = r.accept(lfd);
    const sk = r.sock(fd);
    // Every second byte, so that no two can be joined. What would be last is not taken once the
    // buffer is full; for what comes before, the last gives way.
    const pruned = (): number => r.mib(LINUX_MIB_OFOPRUNED);
    for (let i = 100; i < 200; i++) {
      r.inject({ flags: '.', seq: 3 + 2 * i, ack: 1, win: 1000, data: bytes('x') });
      expect(sk.skRmemAlloc).toBeLessThanOrEqual(sk.skRcvbuf + 4096);
    }
    expect(r.mib(LINUX_MIB_PRUNECALLED)).toBeGreaterThan(0);
    expect(r.mib(LINUX_MIB_RCVPRUNED)).toBeGreaterThan(0);
    expect(pruned()).toBe(0);
    for (let i = 99; i >= 0; i--) {
      r.inject({ flags: '.', seq: 3 + 2 * i, ack: 1, win: 1000, data: bytes('x') });
      expect(sk.skRmemAlloc).toBeLessThanOrEqual(sk.skRcvbuf + 4096);
    }
    expect(pruned()).toBeGreaterThan(0);
    // What is in order is always taken.
    r.inject({ flags: '.', seq: 1, ack: 1, win: 1000, data: bytes('ab') });
    expect((r.read(fd) as Uint8Array).length).toBeGreaterThanOrEqual(2);
  });

  it('copies bloated packets together, byte for byte', () => {
    const r = rig();
    const lfd = r.listen();
    r.setInt(lfd, SOL_SOCKET, SO_RCVBUF, 20_000);
    r.inject({ flags: 'S', options: 'mss 1460,sackOK' });
    r.sent();
    r.inject({ flags: '.', seq: 1, ack: 1, win: 1000 });
    const fd = r.accept(lfd);
    const sk = r.sock(fd);
    const data = new Uint8Array(4000).map((_, i) => i & 255);
    // A tap that holds clones keeps arriving segments from being joined.
    const tap: SkBuff[] = [];
    let seq = 1;
    while (seq <= data.length) {
      r.inject({ flags: '.', seq, ack: 1, win: 1000, data: data.slice(seq - 1, seq + 39) });
      if (((sk.rcvNxt - r.peerIsn) | 0) !== seq + 40) break;
      seq += 40;
      const tail = sk.skReceiveQueue.prev;
      if (tail !== null) tap.push(skbClone(tail));
    }
    for (const skb of tap) consumeSkb(skb);
    expect(r.mib(LINUX_MIB_TCPRCVCOLLAPSED)).toBeGreaterThan(0);
    expect(r.read(fd)).toEqual(data.slice(0, seq - 1));
  });
});
