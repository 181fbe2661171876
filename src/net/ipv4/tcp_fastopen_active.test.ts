import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { REMOTE, TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import {
  EAGAIN,
  EALREADY,
  ECONNREFUSED,
  EINPROGRESS,
  EISCONN,
  EOPNOTSUPP,
  ETIMEDOUT,
} from '#uapi/errno.ts';
import { F_SETFL, O_NONBLOCK, O_RDWR } from '#uapi/fcntl.ts';
import { POLLOUT } from '#uapi/poll.ts';
import {
  LINUX_MIB_TCPFASTOPENACTIVE,
  LINUX_MIB_TCPFASTOPENACTIVEFAIL,
  LINUX_MIB_TCPFASTOPENBLACKHOLE,
} from '#uapi/snmp.ts';
import { AF_UNSPEC, MSG_DONTWAIT, MSG_FASTOPEN, SOL_TCP } from '#uapi/socket.ts';
import { TCP_ESTABLISHED, TCP_FASTOPEN_CONNECT, TCP_SYNCNT } from '#uapi/tcp.ts';

let rig: TcpRig;

const SYN = 'mss 1460,nop,nop,sackOK,nop,wscale 10';
const SYNACK = 'mss 1460,sackOK,nop,wscale 6';

beforeEach(() => {
  rig = new TcpRig();
  const { ipv4 } = rig.machine.initNet;
  ipv4.sysctlTcpFastopen = 1;
  ipv4.sysctlTcpTimestamps = 0;
});

afterEach(() => {
  expect(rig.end()).toEqual({});
});

function sock(blocking = false): number {
  const fd = rig.open();
  rig.localPort++;
  rig.sys.bind(fd, rig.sockaddr(0, rig.localPort));
  if (!blocking) rig.sys.fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
  return fd;
}

function send(fd: number, size: number, flags = 0): number {
  const buf = Uint8Array.from({ length: size }, (_, i) => (i * 7) & 0xff);
  const n = rig.sys.sendto(fd, buf, MSG_FASTOPEN | flags, rig.sockaddr(REMOTE, rig.remotePort));
  rig.settle();
  return n;
}

function synack(ack: number, options = ''): void {
  rig.inject({ flags: 'S.', ack, win: 5840, options: `${SYNACK}${options}` });
}

function drop(fd: number): void {
  rig.inject({ flags: 'R.', seq: 1, ack: 1 });
  rig.close(fd);
  rig.sent();
}

/** Leaves a cookie of the peer in the cache. */
function warm(cookie = 'FO abcd1234'): void {
  const fd = sock();
  expect(send(fd, 0)).toBe(-EINPROGRESS);
  rig.sent();
  synack(1, `,${cookie}`);
  drop(fd);
}

describe('a client without a cookie', () => {
  it('asks for one and sends its data after the handshake', () => {
    const fd = sock();
    expect(send(fd, 100)).toBe(-EINPROGRESS);
    expect(rig.texts()).toEqual([`S 0:0(0) win 64240 <${SYN},FO,nop,nop>`]);
    expect(rig.sock(fd).fastopenClientFail).toBe(1);
    synack(1, ',FO abcd1234');
    expect(rig.texts()).toEqual(['. 1:1(0) ack 1 win 63']);
    expect(rig.write(fd, 100)).toBe(100);
    drop(fd);
  });

  it('tries the other option kind after silence, and gives up asking after that', () => {
    const kinds: string[] = [];
    for (let i = 0; i < 3; i++) {
      const fd = sock();
      send(fd, 0);
      kinds.push(
        rig
          .sent()[0]
          ?.options.split(',')
          .find((o) => o.startsWith('FO')) ?? '',
      );
      synack(1);
      drop(fd);
    }
    expect(kinds).toEqual(['FO', 'FOEXP', 'FO']);
  });

  it('repeats a SYN without the option', () => {
    const fd = sock();
    send(fd, 0);
    rig.sent();
    rig.advance(1000);
    expect(rig.texts()).toEqual([`S 0:0(0) win 64240 <${SYN}>`]);
    drop(fd);
  });
});

describe('a client with a cookie', () => {
  it('sends data with the SYN, bounded by the MSS less all options', () => {
    warm();
    const fd = sock();
    expect(send(fd, 2000)).toBe(1420);
    const [syn] = rig.sent();
    expect(syn?.text).toBe(`S 0:1420(1420) win 64240 <${SYN},FO abcd1234,nop,nop>`);
    expect(syn?.data[1419]).toBe((1419 * 7) & 0xff);
    synack(1421);
    expect(rig.texts()).toEqual(['. 1421:1421(0) ack 1 win 63']);
    expect(rig.sock(fd).synDataAcked).toBe(true);
    expect(rig.sock(fd).delivered).toBe(1);
    expect(rig.mib(LINUX_MIB_TCPFASTOPENACTIVE)).toBe(1);
    drop(fd);
  });

  it('keeps the option kind of the cookie', () => {
    warm('FOEXP 0123456789abcdef');
    const fd = sock();
    expect(send(fd, 10)).toBe(10);
    expect(rig.sent()[0]?.options).toContain('FOEXP 0123456789abcdef');
    drop(fd);
  });

  it('sends at once again what the SYN-ACK did not acknowledge', () => {
    warm();
    const fd = sock();
    send(fd, 500);
    rig.sent();
    rig.advance(10);
    synack(1);
    expect(rig.texts()).toEqual(['P. 1:501(500) ack 1 win 63']);
    expect(rig.sock(fd).synDataAcked).toBe(false);
    expect(rig.sock(fd).fastopenClientFail).toBe(2);
    expect(rig.mib(LINUX_MIB_TCPFASTOPENACTIVEFAIL)).toBe(1);
    drop(fd);
  });

  it('falls back to a plain SYN after a timeout, and remembers the loss', () => {
    warm();
    const fd = sock();
    send(fd, 500);
    rig.sent();
    rig.advance(1000);
    expect(rig.texts()).toEqual([`S 0:0(0) win 64240 <${SYN}>`]);
    rig.advance(10);
    synack(1);
    expect(rig.texts()).toEqual(['P. 1:501(500) ack 1 win 63']);
    expect(rig.sock(fd).fastopenClientFail).toBe(3);
    const [tm] = rig.machine.initNet.ipv4.tcpMetrics.slots.values();
    expect(tm?.fastopen.synLoss).toBe(1);
    drop(fd);
  });

  it('takes data that comes with the SYN-ACK', () => {
    warm();
    const fd = sock();
    send(fd, 100);
    rig.sent();
    rig.inject({ flags: 'S.', ack: 101, win: 5840, options: SYNACK, data: 30 });
    expect(rig.texts()).toEqual(['. 101:101(0) ack 31 win 63']);
    expect((rig.read(fd) as Uint8Array).length).toBe(30);
    rig.inject({ flags: 'R.', seq: 31, ack: 101 });
    rig.close(fd);
  });

  it('uses the MSS that the peer gave the last time', () => {
    const fd = sock();
    send(fd, 0);
    rig.sent();
    rig.inject({
      flags: 'S.',
      ack: 1,
      win: 5840,
      options: 'mss 940,sackOK,nop,wscale 6,FO abcd1234',
    });
    drop(fd);
    const again = sock();
    expect(send(again, 2000)).toBe(900);
    drop(again);
  });

  it('sends without a cookie where the settings say so', () => {
    rig.machine.initNet.ipv4.sysctlTcpFastopen = 5;
    const fd = sock();
    expect(send(fd, 10)).toBe(10);
    expect(rig.texts()).toEqual([`S 0:10(10) win 64240 <${SYN}>`]);
    synack(11);
    expect(rig.sock(fd).synDataAcked).toBe(true);
    drop(fd);
  });
});

describe('sendto(MSG_FASTOPEN)', () => {
  it('is refused where Linux refuses it', () => {
    warm();
    const fd = sock();
    const unspec = new Uint8Array(16);
    unspec[0] = AF_UNSPEC;
    expect(rig.sys.sendto(fd, new Uint8Array(5), MSG_FASTOPEN, unspec)).toBe(-EOPNOTSUPP);
    rig.machine.initNet.ipv4.sysctlTcpFastopen = 2;
    expect(send(fd, 5)).toBe(-EOPNOTSUPP);
    rig.machine.initNet.ipv4.sysctlTcpFastopen = 1;
    expect(send(fd, 5)).toBe(5);
    expect(send(fd, 5)).toBe(-EALREADY);
    rig.sent();
    synack(6);
    rig.sys.connect(fd, rig.sockaddr(REMOTE, rig.remotePort));
    expect(send(fd, 5)).toBe(-EISCONN);
    drop(fd);
  });

  it('tells a blocking caller to come again until the handshake is over', () => {
    warm();
    const fd = sock(true);
    expect(send(fd, 2000)).toBe(-EAGAIN);
    expect(rig.sent()[0]?.len).toBe(1420);
    expect(send(fd, 2000)).toBe(-EAGAIN);
    expect(rig.sent()).toEqual([]);
    synack(1421);
    // The ACK waits for the rest.
    expect(rig.sent()).toEqual([]);
    expect(send(fd, 2000)).toBe(2000);
    const [rest] = rig.sent();
    expect(rest?.text).toBe('P. 1421:2001(580) ack 1 win 63');
    expect(rest?.data[0]).toBe((1420 * 7) & 0xff);
    expect(rig.sock(fd).skWritePending).toBe(0);
    drop(fd);
  });

  it('lets a blocking caller be impatient for once', () => {
    warm();
    const fd = sock(true);
    expect(send(fd, 2000, MSG_DONTWAIT)).toBe(1420);
    drop(fd);
  });

  it('gives a blocking caller the error', () => {
    warm();
    const fd = sock(true);
    expect(send(fd, 2000)).toBe(-EAGAIN);
    rig.sent();
    rig.inject({ flags: 'R.', ack: 1 });
    expect(send(fd, 2000)).toBe(-ECONNREFUSED);
    expect(rig.sock(fd).skWritePending).toBe(0);
    rig.close(fd);
  });

  it('times out as a connect() does', () => {
    warm();
    const fd = sock(true);
    rig.setInt(fd, SOL_TCP, TCP_SYNCNT, 1);
    rig.machine.initNet.ipv4.sysctlTcpSynLinearTimeouts = 0;
    expect(send(fd, 2000)).toBe(-EAGAIN);
    rig.advance(3000);
    expect(send(fd, 2000)).toBe(-ETIMEDOUT);
    rig.close(fd);
  });
});

describe('TCP_FASTOPEN_CONNECT', () => {
  function connect(fd: number): number {
    rig.setInt(fd, SOL_TCP, TCP_FASTOPEN_CONNECT, 1);
    const err = rig.sys.connect(fd, rig.sockaddr(REMOTE, rig.remotePort));
    rig.settle();
    return err;
  }

  it('lets connect() wait for the first write when there is a cookie', () => {
    warm();
    const fd = sock();
    expect(connect(fd)).toBe(0);
    expect(rig.sent()).toEqual([]);
    const revents = new Int16Array(1);
    rig.sys.poll(Int32Array.of(fd), Int16Array.of(POLLOUT), revents);
    expect(revents[0]).toBe(POLLOUT);
    expect(rig.write(fd, 300)).toBe(300);
    expect(rig.sent()[0]?.len).toBe(300);
    synack(301);
    expect(rig.sock(fd).skcState).toBe(TCP_ESTABLISHED);
    drop(fd);
  });

  it('asks for a cookie when there is none', () => {
    const fd = sock();
    expect(connect(fd)).toBe(-EINPROGRESS);
    expect(rig.sent()[0]?.options).toContain('FO');
    drop(fd);
  });

  it('forgets a SYN that was never sent', () => {
    warm();
    const fd = sock();
    expect(connect(fd)).toBe(0);
    rig.close(fd);
    expect(rig.sent()).toEqual([]);
  });
});

describe('blackholes', () => {
  function fails(): void {
    const fd = sock();
    rig.setInt(fd, SOL_TCP, TCP_SYNCNT, 3);
    send(fd, 100);
    for (let i = 0; i < 4; i++) rig.advance(8000);
    rig.close(fd);
    rig.sent();
  }

  it('pause Fast Open for a time that doubles', () => {
    const { sysctl } = rig.machine.initNet;
    expect(sysctl.write('net.ipv4.tcp_fastopen_blackhole_timeout_sec', '100')).toBe(0);
    warm();
    fails();
    expect(rig.mib(LINUX_MIB_TCPFASTOPENBLACKHOLE)).toBe(1);
    const paused = sock();
    expect(send(paused, 100)).toBe(-EINPROGRESS);
    expect(rig.texts()).toEqual([`S 0:0(0) win 64240 <${SYN}>`]);
    drop(paused);
    rig.advance(100_000);
    fails();
    rig.advance(101_000);
    const still = sock();
    expect(send(still, 100)).toBe(-EINPROGRESS);
    drop(still);
    expect(sysctl.write('net.ipv4.tcp_fastopen_blackhole_timeout_sec', '100')).toBe(0);
    const free = sock();
    expect(send(free, 100)).toBe(100);
    drop(free);
  });

  it('are not looked for by default', () => {
    warm();
    fails();
    expect(rig.mib(LINUX_MIB_TCPFASTOPENBLACKHOLE)).toBe(0);
    const fd = sock();
    expect(send(fd, 100)).toBe(100);
    drop(fd);
  });
});

describe('the round trip time', () => {
  it.each([
    ['the SYN alone', 1],
    ['a part of the data', 700],
    ['all', 701],
  ])('is measured when the SYN-ACK covers %s', (_what, ack) => {
    warm();
    rig.advance(1000);
    const fd = sock();
    send(fd, 700);
    rig.sent();
    rig.advance(20);
    synack(ack);
    expect(rig.sock(fd).srttUs >>> 3).toBe(20_000);
    drop(fd);
  });
});
