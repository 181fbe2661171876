import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import { EAGAIN, ECONNRESET, EINVAL } from '#uapi/errno.ts';
import {
  LINUX_MIB_TCPFASTOPENCOOKIEREQD,
  LINUX_MIB_TCPFASTOPENLISTENOVERFLOW,
  LINUX_MIB_TCPFASTOPENPASSIVE,
  LINUX_MIB_TCPFASTOPENPASSIVEALTKEY,
  LINUX_MIB_TCPFASTOPENPASSIVEFAIL,
} from '#uapi/snmp.ts';
import { SOL_TCP } from '#uapi/socket.ts';
import {
  TCP_CLOSE,
  TCP_ESTABLISHED,
  TCP_FASTOPEN,
  TCP_FASTOPEN_KEY,
  TCP_FASTOPEN_NO_COOKIE,
  TCP_SYN_RECV,
} from '#uapi/tcp.ts';

let rig: TcpRig;

const KEY = '01020304-05060708-090a0b0c-0d0e0f10';
const SYN = 'mss 1460,sackOK,nop,wscale 7';

beforeEach(() => {
  rig = new TcpRig();
  rig.machine.initNet.ipv4.sysctlTcpFastopen = 3;
  expect(rig.machine.initNet.sysctl.write('net.ipv4.tcp_fastopen_key', KEY)).toBe(0);
});

afterEach(() => {
  expect(rig.end()).toEqual({});
});

function server(qlen = 5): number {
  const lfd = rig.listen();
  rig.setInt(lfd, SOL_TCP, TCP_FASTOPEN, qlen);
  return lfd;
}

/** Asks for the cookie, then resets the request. */
function cookie(kind = 'FO'): string {
  const port = rig.remotePort;
  rig.remotePort = 39999;
  rig.inject({ flags: 'S', options: `${SYN},${kind}` });
  const [synack] = rig.sent();
  rig.inject({ flags: 'R', seq: 1 });
  rig.remotePort = port;
  const option = synack?.options.split(',').find((o) => o.startsWith(kind)) ?? '';
  return option.slice(kind.length + 1);
}

function syn(option: string, data = 100): string[] {
  rig.inject({ flags: 'S', data, options: `${SYN},${option}` });
  return rig.texts();
}

function reset(...fds: number[]): void {
  for (const fd of fds) rig.close(fd);
  rig.sent();
}

describe('a listener with Fast Open', () => {
  it('gives a cookie to who asks, and counts it', () => {
    const lfd = server();
    expect(cookie()).toMatch(/^[0-9a-f]{16}$/);
    expect(rig.mib(LINUX_MIB_TCPFASTOPENCOOKIEREQD)).toBe(1);
    reset(lfd);
  });

  it('answers each option kind with the same cookie in the same kind', () => {
    const lfd = server();
    expect(cookie('FOEXP')).toBe(cookie('FO'));
    reset(lfd);
  });

  it('takes data with a good cookie, to be read and answered before the last ACK', () => {
    const lfd = server();
    const good = cookie();
    expect(syn(`FO ${good}`)).toEqual([
      'S. 0:0(0) ack 101 win 64240 <mss 1460,nop,nop,sackOK,nop,wscale 10>',
    ]);
    const fd = rig.accept(lfd);
    expect(rig.sock(fd).skcState).toBe(TCP_SYN_RECV);
    expect((rig.read(fd) as Uint8Array).length).toBe(100);
    expect(rig.write(fd, 50)).toBe(50);
    expect(rig.texts()).toEqual(['P. 1:51(50) ack 101 win 63']);
    rig.inject({ flags: '.', seq: 101, ack: 51, win: 1000 });
    expect(rig.sock(fd).skcState).toBe(TCP_ESTABLISHED);
    expect(rig.sock(fd).synDataAcked).toBe(true);
    expect(rig.sock(lfd).icskAcceptQueue.fastopenqQlen).toBe(0);
    expect(rig.mib(LINUX_MIB_TCPFASTOPENPASSIVE)).toBe(1);
    rig.inject({ flags: 'R', seq: 101 });
    reset(fd, lfd);
  });

  it('acknowledges no more than the SYN when the cookie is wrong, and tells the right one', () => {
    const lfd = server();
    const good = cookie();
    expect(syn('FO 0123456789abcdef')).toEqual([
      `S. 0:0(0) ack 1 win 64240 <mss 1460,nop,nop,sackOK,nop,wscale 10,FO ${good},nop,nop>`,
    ]);
    expect(rig.mib(LINUX_MIB_TCPFASTOPENPASSIVEFAIL)).toBe(1);
    rig.inject({ flags: '.', seq: 1, ack: 1, win: 1000 });
    const fd = rig.accept(lfd);
    expect(rig.read(fd)).toBe(-EAGAIN);
    rig.inject({ flags: 'R', seq: 1 });
    reset(fd, lfd);
  });

  it('ignores cookies of odd or forbidden lengths', () => {
    const lfd = server();
    for (const bad of ['FO 012345', 'FO 01', 'FO 0102030405']) {
      expect(syn(bad, 0)[0]).not.toContain('FO');
      rig.inject({ flags: 'R', seq: 1 });
    }
    reset(lfd);
  });

  it('stays with the regular handshake when it is off, for the listener or for all', () => {
    const lfd = server();
    const good = cookie();
    rig.setInt(lfd, SOL_TCP, TCP_FASTOPEN, 0);
    expect(syn(`FO ${good}`)[0]).toContain('ack 1 ');
    rig.inject({ flags: 'R', seq: 1 });
    rig.setInt(lfd, SOL_TCP, TCP_FASTOPEN, 5);
    rig.machine.initNet.ipv4.sysctlTcpFastopen = 1;
    expect(syn(`FO ${good}`)[0]).toContain('ack 1 ');
    rig.inject({ flags: 'R', seq: 1 });
    reset(lfd);
  });

  it('needs no cookie with 0x200, nor with TCP_FASTOPEN_NO_COOKIE', () => {
    const lfd = server();
    rig.machine.initNet.ipv4.sysctlTcpFastopen = 0x203;
    expect(syn('nop')[0]).toContain('ack 101 ');
    rig.inject({ flags: 'R', seq: 101 });
    rig.machine.initNet.ipv4.sysctlTcpFastopen = 3;
    rig.setInt(lfd, SOL_TCP, TCP_FASTOPEN_NO_COOKIE, 1);
    rig.remotePort++;
    expect(syn('nop')[0]).toContain('ack 101 ');
    reset(lfd);
  });

  it('needs no socket option with 0x400', () => {
    rig.machine.initNet.ipv4.sysctlTcpFastopen = 0x402;
    const lfd = rig.listen(7);
    expect(rig.sock(lfd).icskAcceptQueue.fastopenqMaxQlen).toBe(7);
    expect(cookie()).not.toBe('');
    reset(lfd);
  });
});

describe('keys', () => {
  /** What Linux gives for this key and these addresses. */
  const CASES: readonly (readonly [string, string, number, number, string])[] = [
    [
      'a0bf63f7-ed803d81-cd641d30-cebc4a90',
      '10.248.0.2',
      0x0af80002,
      0xc0a80002,
      '00abaaabe8e954c2',
    ],
    [
      'a0bf63f7-ed803d81-cd641d30-cebc4a90',
      '10.248.0.3',
      0x0af80003,
      0xc0a80002,
      '1313a2da994a0951',
    ],
    [
      'a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4',
      '192.0.2.1',
      0xc0000201,
      0xc0a80001,
      '3021b9d889017eeb',
    ],
  ];

  it.each(CASES)('make the cookies of Linux: %s for %s', (key, _name, remote, local, expected) => {
    rig.end();
    rig = new TcpRig({ address: local, peer: remote });
    rig.machine.initNet.ipv4.sysctlTcpFastopen = 0x402;
    rig.machine.initNet.sysctl.write('net.ipv4.tcp_fastopen_key', key);
    const lfd = rig.listen();
    expect(cookie()).toBe(expected);
    reset(lfd);
  });

  it('of the socket go before those of the namespace, and an old one is still good', () => {
    const lfd = server();
    const old = cookie();
    const keys = new Uint8Array(32).fill(7);
    // The namespace's key, as octets, is the backup.
    const words = [0x01020304, 0x05060708, 0x090a0b0c, 0x0d0e0f10];
    const v = new DataView(keys.buffer);
    for (const [i, word] of words.entries()) v.setUint32(16 + 4 * i, word, true);
    expect(rig.sys.setsockopt(lfd, SOL_TCP, TCP_FASTOPEN_KEY, keys)).toBe(0);
    const read = new Uint8Array(64);
    expect(rig.sys.getsockopt(lfd, SOL_TCP, TCP_FASTOPEN_KEY, read)).toBe(32);
    expect(read.subarray(0, 32)).toEqual(keys);
    const fresh = cookie();
    expect(fresh).not.toBe(old);
    expect(syn(`FO ${old}`)).toEqual([
      `S. 0:0(0) ack 101 win 64240 <mss 1460,nop,nop,sackOK,nop,wscale 10,FO ${fresh},nop,nop>`,
    ]);
    expect(rig.mib(LINUX_MIB_TCPFASTOPENPASSIVEALTKEY)).toBe(1);
    reset(lfd);
  });

  it('are read back as they were written, and refused when they are none', () => {
    const { sysctl } = rig.machine.initNet;
    const two = `${KEY},11111111-22222222-33333333-44444444`;
    expect(sysctl.read('net.ipv4.tcp_fastopen_key')).toBe(KEY);
    expect(sysctl.write('net.ipv4.tcp_fastopen_key', two)).toBe(0);
    expect(sysctl.read('net.ipv4.tcp_fastopen_key')).toBe(two);
    expect(sysctl.write('net.ipv4.tcp_fastopen_key', '1-2-3')).toBe(-EINVAL);
    expect(sysctl.write('net.ipv4.tcp_fastopen_key', `${KEY},x`)).toBe(-EINVAL);
    expect(sysctl.read('net.ipv4.tcp_fastopen_key')).toBe(two);
    const fd = rig.open();
    expect(rig.sys.setsockopt(fd, SOL_TCP, TCP_FASTOPEN_KEY, new Uint8Array(15))).toBe(-EINVAL);
    rig.close(fd);
  });
});

describe('a pending Fast Open child', () => {
  it('repeats its SYN-ACK, one time more than a request, then gives up', () => {
    rig.machine.initNet.ipv4.sysctlTcpSynackRetries = 1;
    const lfd = server();
    const good = cookie();
    syn(`FO ${good}`);
    const fd = rig.accept(lfd);
    rig.read(fd);
    rig.advance(1000);
    expect(rig.texts()).toEqual([
      'S. 0:0(0) ack 101 win 64240 <mss 1460,nop,nop,sackOK,nop,wscale 10>',
    ]);
    rig.advance(2000);
    expect(rig.sent().length).toBe(1);
    rig.advance(4000);
    expect(rig.sent()).toEqual([]);
    expect(rig.sock(fd).skcState).toBe(TCP_CLOSE);
    reset(fd, lfd);
  });

  it('answers the SYN again when it comes again', () => {
    const lfd = server();
    const good = cookie();
    const first = syn(`FO ${good}`);
    rig.advance(1);
    expect(syn(`FO ${good}`)).toEqual(first);
    expect(rig.sock(lfd).skAckBacklog).toBe(1);
    reset(lfd);
  });

  it('can be accepted and read after a reset', () => {
    const lfd = server();
    syn(`FO ${cookie()}`, 10);
    rig.inject({ flags: 'R.', seq: 11, ack: 1 });
    const fd = rig.accept(lfd);
    expect((rig.read(fd) as Uint8Array).length).toBe(10);
    expect(rig.read(fd)).toBe(-ECONNRESET);
    reset(fd, lfd);
  });

  it('keeps its data through close by its owner: a reset tells of what was not read', () => {
    const lfd = server();
    syn(`FO ${cookie()}`);
    const fd = rig.accept(lfd);
    rig.close(fd);
    expect(rig.sent().map((s) => s.flags)).toEqual(['R.']);
    reset(lfd);
  });

  it('goes with its listener', () => {
    const lfd = server();
    syn(`FO ${cookie()}`);
    rig.close(lfd);
    expect(rig.sent().map((s) => s.flags)).toEqual(['R.']);
  });

  it('closes with a FIN behind the SYN-ACK', () => {
    const lfd = server();
    syn(`FO ${cookie()}`);
    const fd = rig.accept(lfd);
    rig.read(fd);
    rig.close(fd);
    expect(rig.sent().map((s) => s.flags)).toEqual(['F.']);
    rig.inject({ flags: '.', seq: 101, ack: 1, win: 1000 });
    rig.inject({ flags: 'F.', seq: 101, ack: 2, win: 1000 });
    expect(rig.texts().at(-1)).toContain('2:2(0) ack 102');
    reset(lfd);
  });

  it('takes a FIN with the SYN', () => {
    const lfd = server();
    rig.inject({ flags: 'SF', data: 5, options: `${SYN},FO ${cookie()}` });
    expect(rig.texts()).toEqual([]);
    reset(lfd);
  });
});

describe('the queue of Fast Open', () => {
  it('falls back to the regular handshake when it is full', () => {
    const lfd = server(1);
    const good = cookie();
    expect(syn(`FO ${good}`)[0]).toContain('ack 101 ');
    rig.remotePort++;
    expect(syn(`FO ${good}`)[0]).toContain('ack 1 ');
    expect(rig.mib(LINUX_MIB_TCPFASTOPENLISTENOVERFLOW)).toBe(1);
    rig.inject({ flags: 'R', seq: 1 });
    reset(lfd);
  });

  it('counts a child that was reset for a minute', () => {
    const lfd = server(1);
    const good = cookie();
    syn(`FO ${good}`);
    const fd = rig.accept(lfd);
    rig.inject({ flags: 'R', seq: 101 });
    rig.remotePort++;
    expect(syn(`FO ${good}`)[0]).toContain('ack 1 ');
    rig.inject({ flags: 'R', seq: 1 });
    rig.advance(60_001);
    rig.remotePort++;
    expect(syn(`FO ${good}`)[0]).toContain('ack 101 ');
    reset(fd, lfd);
  });

  it('frees what it has counted when the listener closes', () => {
    const lfd = server(2);
    syn(`FO ${cookie()}`);
    const fd = rig.accept(lfd);
    rig.inject({ flags: 'R', seq: 101 });
    reset(lfd, fd);
  });
});
