import { afterEach, describe, expect, it } from 'vitest';
import { LOCAL, REMOTE, TcpRig, type TcpRigOptions } from '#net/ipv4/testing/tcp_rig.ts';
import { ECONNREFUSED, ECONNRESET, EPIPE } from '#uapi/errno.ts';
import { IP_MINTTL } from '#uapi/in.ts';
import {
  LINUX_MIB_BEYOND_WINDOW,
  LINUX_MIB_PAWSACTIVEREJECTED,
  LINUX_MIB_PAWSESTABREJECTED,
  LINUX_MIB_TCPACKSKIPPEDSEQ,
  LINUX_MIB_TCPCHALLENGEACK,
  LINUX_MIB_TCPHPACKS,
  LINUX_MIB_TCPHPHITS,
  LINUX_MIB_TCPMINTTLDROP,
  LINUX_MIB_TCPPUREACKS,
  LINUX_MIB_TCPSYNCHALLENGE,
  LINUX_MIB_TIMEWAITED,
} from '#uapi/snmp.ts';
import { MSG_OOB, SO_RCVBUF, SOL_IP, SOL_SOCKET } from '#uapi/socket.ts';
import {
  TCP_CLOSE,
  TCP_CLOSE_WAIT,
  TCP_CLOSING,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT2,
  TCP_LAST_ACK,
  TCP_SYN_RECV,
  TCP_TIME_WAIT,
} from '#uapi/tcp.ts';

const rigs: TcpRig[] = [];

function rig(options: TcpRigOptions = {}): TcpRig {
  const made = new TcpRig(options);
  rigs.push(made);
  return made;
}

// Every test ends with nothing alive.
afterEach(() => {
  for (const r of rigs.splice(0)) expect(r.end()).toEqual({});
});

const text = (data: Uint8Array | number): string =>
  typeof data === 'number' ? `errno ${-data}` : new TextDecoder().decode(data);
const bytes = (s: string): Uint8Array => new TextEncoder().encode(s);

describe('three-way handshake', () => {
  it('answers a SYN with what both sides can do', () => {
    const r = rig();
    r.listen();
    r.inject({ flags: 'S', options: 'mss 1460,sackOK,TS 100:0,nop,wscale 7' });
    const [synack] = r.sent();
    expect(synack?.flags).toBe('S.');
    expect(synack?.ack).toBe(1);
    expect(synack?.options).toBe('mss 1460,sackOK,TS,nop,wscale 10');
    expect(synack?.tsecr).toBe(100);
  });

  it('leaves out what the peer does not offer', () => {
    const r = rig();
    r.listen();
    r.inject({ flags: 'S', options: 'mss 1000' });
    expect(r.sent()[0]?.options).toBe('mss 1460');
    r.inject({ flags: '.', seq: 1, ack: 1, win: 5000 });
  });

  it('establishes with the ACK and with data that comes along', () => {
    const r = rig();
    const lfd = r.listen();
    r.inject({ flags: 'S', options: 'mss 1460' });
    r.sent();
    r.inject({ flags: 'P.', seq: 1, ack: 1, win: 5000, data: bytes('hello') });
    const fd = r.accept(lfd);
    expect(text(r.read(fd))).toBe('hello');
    expect(r.sock(fd).skcState).toBe(TCP_ESTABLISHED);
  });

  it('repeats the SYN-ACK for a repeated SYN and by its timer', () => {
    const r = rig();
    r.listen();
    r.inject({ flags: 'S', options: 'mss 1460' });
    expect(r.sent()).toHaveLength(1);
    r.advance(600);
    r.inject({ flags: 'S', options: 'mss 1460' });
    expect(r.sent().map((s) => s.flags)).toEqual(['S.']);
    r.advance(1100);
    expect(r.sent().map((s) => s.flags)).toEqual(['S.']);
  });

  it('resets an ACK that a listener did not ask for', () => {
    const r = rig();
    r.listen();
    r.inject({ flags: '.', seq: 5, ack: 77 });
    expect(r.texts()).toEqual(['R 77:77(0) win 0']);
  });

  it('resets a SYN for a port where nobody listens, and data likewise', () => {
    const r = rig();
    r.inject({ flags: 'S', seq: 10 });
    expect(r.texts()).toEqual(['R. 0:0(0) ack 11 win 0']);
    r.inject({ flags: 'FP', seq: 10, data: 5 });
    expect(r.texts()).toEqual(['R. 0:0(0) ack 16 win 0']);
    r.inject({ flags: 'R', seq: 10 });
    expect(r.texts()).toEqual([]);
  });

  it('drops a segment with a wrong checksum in silence', () => {
    const r = rig();
    r.listen();
    r.inject({ flags: 'S', options: 'mss 1460', badChecksum: true });
    expect(r.texts()).toEqual([]);
  });

  it('resets a wrong ACK of a request and keeps the request', () => {
    const r = rig();
    const lfd = r.listen();
    r.inject({ flags: 'S', options: 'mss 1460' });
    r.sent();
    r.inject({ flags: '.', seq: 1, ack: 2 });
    expect(r.texts()).toEqual(['R 2:2(0) win 0']);
    r.inject({ flags: '.', seq: 1, ack: 1 });
    expect(r.accept(lfd)).toBeGreaterThan(0);
  });

  it('forgets a request when a RST comes', () => {
    const r = rig();
    r.listen();
    r.inject({ flags: 'S', options: 'mss 1460' });
    r.sent();
    r.inject({ flags: 'R', seq: 1 });
    r.inject({ flags: '.', seq: 1, ack: 1 });
    expect(r.texts()).toEqual(['R 1:1(0) win 0']);
  });
});

describe('connect', () => {
  it('completes with a SYN-ACK and acknowledges it', () => {
    const r = rig();
    const fd = r.connect();
    expect(r.texts()).toEqual(['S 0:0(0) win 64240 <mss 1460,sackOK,TS,nop,wscale 10>']);
    r.advance(20);
    r.inject({ flags: 'S.', seq: 0, ack: 1, win: 14600, options: 'mss 1400,nop,wscale 3' });
    expect(r.texts()).toEqual(['. 1:1(0) ack 1 win 63']);
    expect(r.sock(fd).skcState).toBe(TCP_ESTABLISHED);
    expect(r.sock(fd).srttUs >> 3).toBe(20_000);
    expect(r.sys.connect(fd, r.sockaddr(REMOTE, r.remotePort))).toBe(0);
  });

  it('fails with ECONNREFUSED on RST', () => {
    const r = rig();
    const fd = r.connect();
    r.sent();
    r.inject({ flags: 'R.', seq: 0, ack: 1 });
    expect(r.sys.connect(fd, r.sockaddr(REMOTE, r.remotePort))).toBe(-ECONNREFUSED);
    expect(r.sock(fd).skcState).toBe(TCP_CLOSE);
  });

  it('resets a SYN-ACK of an old connection and goes on', () => {
    const r = rig();
    const fd = r.connect();
    r.sent();
    r.inject({ flags: 'S.', seq: 0, ack: 99, win: 1000 });
    expect(r.texts()[0]).toBe('R 99:99(0) win 0');
    r.inject({ flags: 'S.', seq: 0, ack: 1, win: 1000, options: 'mss 1460' });
    expect(r.sock(fd).skcState).toBe(TCP_ESTABLISHED);
  });

  it('resets a SYN-ACK that echoes a time before the SYN', () => {
    const r = rig();
    const fd = r.connect();
    const tsval = r.sent()[0]?.tsval ?? 0;
    const answer = (tsecr: number): void =>
      r.inject({ flags: 'S.', ack: 1, win: 1000, options: `mss 1460,sackOK,TS 5:${tsecr >>> 0}` });
    answer(tsval - 1);
    expect(r.mib(LINUX_MIB_PAWSACTIVEREJECTED)).toBe(1);
    expect(r.sent()[0]?.flags).toBe('R');
    answer(tsval);
    expect(r.sock(fd).skcState).toBe(TCP_ESTABLISHED);
  });

  it('starts with one segment when the SYN was lost twice, with ten when once', () => {
    for (const [wait, cwnd] of [
      [1100, 10],
      [3300, 1],
    ] as const) {
      const r = rig();
      const fd = r.connect();
      r.advance(wait);
      r.sent();
      r.inject({ flags: 'S.', ack: 1, win: 1000, options: 'mss 1460' });
      expect(r.sock(fd).sndCwnd).toBe(cwnd);
    }
  });

  it('opens from both sides at once', () => {
    const r = rig();
    const fd = r.connect();
    r.sent();
    r.inject({ flags: 'S', seq: 0, win: 5000, options: 'mss 1000,sackOK,nop,nop,nop,wscale 2' });
    expect(r.sock(fd).skcState).toBe(TCP_SYN_RECV);
    const [synack] = r.sent();
    expect([synack?.flags, synack?.seq, synack?.ack]).toEqual(['S.', 0, 1]);
    r.inject({
      flags: 'S.',
      seq: 0,
      ack: 1,
      win: 5000,
      options: 'mss 1000,sackOK,nop,nop,nop,wscale 2',
    });
    expect(r.sock(fd).skcState).toBe(TCP_ESTABLISHED);
    expect(r.write(fd, 10)).toBe(10);
  });
});

describe('data', () => {
  it('takes the fast path for what is expected, in both directions', () => {
    const r = rig();
    const { fd } = r.accepted();
    // The first segments of each direction set header prediction up.
    r.inject({ flags: '.', seq: 1, ack: 1, win: 1000, data: 100 });
    const hits = r.mib(LINUX_MIB_TCPHPHITS);
    for (let i = 0; i < 10; i++) {
      r.inject({ flags: '.', seq: 101 + 100 * i, ack: 1, win: 1000, data: 100 });
    }
    // Now and then memory is fetched for the next page of packets, on the slow path.
    expect(r.mib(LINUX_MIB_TCPHPHITS) - hits).toBeGreaterThanOrEqual(8);
    expect((r.read(fd) as Uint8Array).length).toBe(1100);

    r.sent();
    const hpAcks = r.mib(LINUX_MIB_TCPHPACKS);
    const pure = r.mib(LINUX_MIB_TCPPUREACKS);
    for (let i = 0; i < 5; i++) {
      r.write(fd, 100);
      r.inject({ flags: '.', seq: 1101, ack: 101 + 100 * i, win: 1000 });
    }
    expect(r.mib(LINUX_MIB_TCPHPACKS) - hpAcks).toBe(5);
    expect(r.mib(LINUX_MIB_TCPPUREACKS) - pure).toBe(0);
  });

  it('delays an ACK for one segment and hurries for two', () => {
    const r = rig();
    const { fd } = r.accepted();
    // The first segments are acknowledged at once.
    let seq = 1;
    for (let i = 0; i < 40; i++) {
      r.inject({ flags: '.', seq, ack: 1, win: 1000, data: 1000 });
      seq += 1000;
      r.read(fd);
    }
    r.sent();
    r.write(fd, 1); // an interactive exchange
    r.inject({ flags: '.', seq, ack: 2, win: 1000 });
    r.sent();
    r.inject({ flags: '.', seq, ack: 2, win: 1000, data: 1000 });
    seq += 1000;
    expect(r.texts()).toEqual([]);
    r.advance(39);
    expect(r.texts()).toEqual([]);
    r.advance(2);
    expect(r.sent().map((s) => s.ack)).toEqual([seq]);
  });

  it('puts segments in order and reports them by SACK, newest first', () => {
    const r = rig();
    const { fd } = r.accepted();
    r.inject({ flags: '.', seq: 11, ack: 1, win: 1000, data: bytes('world') });
    expect(r.sent().at(-1)?.options).toBe('nop,nop,sack 11:16');
    r.inject({ flags: '.', seq: 21, ack: 1, win: 1000, data: bytes('!') });
    expect(r.sent().at(-1)?.options).toBe('nop,nop,sack 21:22 11:16');
    r.inject({ flags: '.', seq: 16, ack: 1, win: 1000, data: bytes('abcde') });
    expect(r.sent().at(-1)?.options).toBe('nop,nop,sack 11:22');
    r.inject({ flags: '.', seq: 1, ack: 1, win: 1000, data: bytes('hello, my ') });
    const last = r.sent().at(-1);
    expect([last?.ack, last?.options]).toEqual([22, '']);
    expect(text(r.read(fd))).toBe('hello, my worldabcde!');
  });

  it('reports duplicates by DSACK', () => {
    const r = rig();
    const { fd } = r.accepted();
    r.inject({ flags: '.', seq: 1, ack: 1, win: 1000, data: bytes('hello') });
    r.sent();
    r.inject({ flags: '.', seq: 1, ack: 1, win: 1000, data: bytes('hello') });
    expect(r.sent().at(-1)?.options).toBe('nop,nop,sack 1:6');
    r.inject({ flags: '.', seq: 4, ack: 1, win: 1000, data: bytes('lo you') });
    expect(r.sent().at(-1)?.options).toBe('nop,nop,sack 4:6');
    expect(text(r.read(fd))).toBe('hello you');
    r.inject({ flags: '.', seq: 20, ack: 1, win: 1000, data: bytes('xyz') });
    r.inject({ flags: '.', seq: 20, ack: 1, win: 1000, data: bytes('xyz') });
    expect(r.sent().at(-1)?.options).toBe('nop,nop,sack 20:23 20:23');
  });

  it('reports no duplicates when tcp_dsack is off', () => {
    const r = rig();
    r.machine.initNet.ipv4.sysctlTcpDsack = 0;
    r.accepted();
    r.inject({ flags: '.', seq: 1, ack: 1, win: 1000, data: bytes('hello') });
    r.inject({ flags: '.', seq: 1, ack: 1, win: 1000, data: bytes('hello') });
    expect(r.sent().at(-1)?.options).toBe('');
  });

  it('learns the RTT from the echo of its ACKs, and lets the buffer grow with the reader', () => {
    const r = rig();
    const { fd } = r.accepted('mss 1460,sackOK,TS 100:0,nop,wscale 7');
    const sk = r.sock(fd);
    const rcvbuf = sk.skRcvbuf;
    let seq = 1;
    let tsecr = 0;
    let burst = 10;
    for (let round = 0; round < 12 && sk.skRcvbuf <= 4 * rcvbuf; round++) {
      for (let i = 0; i < burst; i++) {
        const options = `nop,nop,TS ${200 + round}:${tsecr}`;
        r.inject({ flags: '.', seq, ack: 1, win: 1000, data: 1448, options });
        seq += 1448;
        // A reader who keeps up; data that waits would count against it.
        r.read(fd);
      }
      tsecr = r.sent().at(-1)?.tsval ?? 0;
      r.advance(40);
      burst = Math.min(burst * 2, Math.floor(sk.rcvWnd / 1448));
    }
    expect(sk.rcvRttEstRttUs / 8).toBeGreaterThan(38_000);
    expect(sk.rcvRttEstRttUs / 8).toBeLessThan(42_000);
    expect(sk.skRcvbuf).toBeGreaterThan(4 * rcvbuf);
  });

  it('joins overlapping segments to the bytes first received', () => {
    const r = rig();
    const { fd } = r.accepted();
    r.inject({ flags: '.', seq: 5, ack: 1, win: 1000, data: bytes('efgh') });
    r.inject({ flags: '.', seq: 3, ack: 1, win: 1000, data: bytes('cdefghij') });
    r.inject({ flags: '.', seq: 9, ack: 1, win: 1000, data: bytes('ijkl') });
    r.inject({ flags: '.', seq: 1, ack: 1, win: 1000, data: bytes('abcd') });
    expect(text(r.read(fd))).toBe('abcdefghijkl');
  });

  it('refuses data beyond the window and says where it ends', () => {
    const r = rig();
    const { fd } = r.accepted();
    const { rcvWnd } = r.sock(fd);
    r.inject({ flags: '.', seq: 1 + rcvWnd + 10, ack: 1, win: 1000, data: 5 });
    const answer = r.sent().at(-1);
    expect([answer?.flags, answer?.ack]).toEqual(['.', 1]);
    expect(r.read(fd)).toBeLessThan(0);
  });

  it('keeps urgent data aside', () => {
    const r = rig();
    const { fd } = r.accepted();
    r.inject({ flags: 'U.', seq: 1, ack: 1, win: 1000, urg: 3, data: bytes('abCde') });
    expect(text(r.read(fd))).toBe('ab');
    const oob = new Uint8Array(1);
    expect(r.sys.recvfrom(fd, oob, MSG_OOB, null)).toBe(1);
    expect(text(oob)).toBe('C');
    expect(text(r.read(fd))).toBe('de');
  });
});

describe('a second urgent mark', () => {
  it('leaves the first byte, read aside, out of the stream for good', () => {
    const r = rig();
    const { fd } = r.accepted();
    const oob = new Uint8Array(1);
    r.inject({ flags: 'U.', seq: 1, ack: 1, win: 1000, urg: 1, data: bytes('A') });
    expect(r.sys.recvfrom(fd, oob, MSG_OOB, null)).toBe(1);
    expect(text(oob)).toBe('A');
    r.inject({ flags: 'U.', seq: 2, ack: 1, win: 1000, urg: 3, data: bytes('bcD') });
    expect(r.sys.recvfrom(fd, oob, MSG_OOB, null)).toBe(1);
    expect(text(oob)).toBe('D');
    expect(text(r.read(fd))).toBe('bc');
  });
});

describe('what is not acceptable', () => {
  it('challenges a RST in the window and believes one at its edge', () => {
    const r = rig();
    const { fd } = r.accepted();
    const before = r.mib(LINUX_MIB_TCPCHALLENGEACK);
    r.inject({ flags: 'R', seq: 5 });
    expect(r.texts()).toEqual([expect.stringMatching(/^\. 1:1\(0\) ack 1 /)]);
    expect(r.mib(LINUX_MIB_TCPCHALLENGEACK) - before).toBe(1);
    r.inject({ flags: 'R', seq: 1 });
    expect(r.read(fd)).toBe(-ECONNRESET);
    expect(r.sock(fd).skcState).toBe(TCP_CLOSE);
  });

  it('believes a RST at the end of what was SACKed', () => {
    const r = rig();
    const { fd } = r.accepted();
    r.inject({ flags: '.', seq: 11, ack: 1, win: 1000, data: 10 });
    r.inject({ flags: 'R', seq: 20 });
    expect(r.sock(fd).skcState).toBe(TCP_ESTABLISHED);
    r.inject({ flags: 'R', seq: 21 });
    expect(r.sock(fd).skcState).toBe(TCP_CLOSE);
  });

  it('drops segments that came too far, with IP_MINTTL', () => {
    const r = rig();
    const { fd } = r.accepted();
    r.setInt(fd, SOL_IP, IP_MINTTL, 255);
    r.inject({ flags: '.', seq: 1, ack: 1, win: 1000, data: 5 });
    expect(r.mib(LINUX_MIB_TCPMINTTLDROP)).toBe(1);
    r.inject({ flags: '.', seq: 1, ack: 1, win: 1000, data: 5, ttl: 255 });
    expect((r.read(fd) as Uint8Array).length).toBe(5);
  });

  it('drops data into a closed window, acknowledging it', () => {
    const r = rig();
    const lfd = r.listen();
    r.setInt(lfd, SOL_SOCKET, SO_RCVBUF, 5000);
    r.inject({ flags: 'S', options: 'mss 1460' });
    r.sent();
    r.inject({ flags: '.', seq: 1, ack: 1, win: 1000 });
    const fd = r.accept(lfd);
    let seq = 1;
    for (let i = 0; i < 40 && r.mib(LINUX_MIB_BEYOND_WINDOW) === 0; i++) {
      const last = r.sent().at(-1);
      const room = last === undefined ? 1000 : last.ack + last.win - seq;
      const len = Math.max(1, Math.min(1000, room));
      r.inject({ flags: '.', seq, ack: 1, win: 1000, data: len });
      seq = ((r.sock(fd).rcvNxt - r.peerIsn) | 0) >>> 0;
      r.advance(50);
    }
    expect(r.mib(LINUX_MIB_BEYOND_WINDOW)).toBe(1);
    const answer = r.sent().at(-1);
    expect([answer?.ack, answer?.win]).toEqual([seq, 0]);
    expect((r.read(fd) as Uint8Array).length).toBe(seq - 1);
  });

  it('challenges a SYN, and no more than two a second', () => {
    const r = rig();
    const { fd } = r.accepted();
    for (let i = 0; i < 5; i++) r.inject({ flags: 'S', seq: 1, options: 'mss 1460' });
    expect(r.texts()).toHaveLength(1);
    expect(r.mib(LINUX_MIB_TCPSYNCHALLENGE)).toBe(5);
    r.advance(501);
    r.inject({ flags: 'S', seq: 1, options: 'mss 1460' });
    expect(r.texts()).toHaveLength(1);
    expect(r.sock(fd).skcState).toBe(TCP_ESTABLISHED);
  });

  it('answers old ACK-only segments outside the window at a limited rate', () => {
    const r = rig();
    r.accepted();
    for (let i = 0; i < 4; i++) r.inject({ flags: '.', seq: 0x7000_0000, ack: 1 });
    expect(r.texts()).toHaveLength(1);
    expect(r.mib(LINUX_MIB_TCPACKSKIPPEDSEQ)).toBe(3);
  });

  it('rejects old timestamps', () => {
    const r = rig();
    const { fd } = r.accepted('mss 1460,sackOK,TS 100:0,nop,wscale 7');
    r.inject({ flags: '.', seq: 1, ack: 1, win: 1000, data: 5, options: 'nop,nop,TS 200:0' });
    r.sent();
    r.inject({ flags: '.', seq: 6, ack: 1, win: 1000, data: 5, options: 'nop,nop,TS 150:0' });
    expect(r.mib(LINUX_MIB_PAWSESTABREJECTED)).toBe(1);
    expect(r.sent().at(-1)?.ack).toBe(6);
    r.inject({ flags: '.', seq: 6, ack: 1, win: 1000, data: 5, options: 'nop,nop,TS 201:0' });
    expect((r.read(fd) as Uint8Array).length).toBe(10);
  });

  it('challenges ACKs older than anything we sent, and takes data with late ones', () => {
    const r = rig();
    const { fd } = r.accepted();
    r.write(fd, 3000);
    r.inject({ flags: '.', seq: 1, ack: 3001, win: 1000 });
    r.sent();
    const before = r.mib(LINUX_MIB_TCPCHALLENGEACK);
    r.inject({ flags: '.', seq: 1, ack: -10, win: 1000, data: 5 });
    expect(r.mib(LINUX_MIB_TCPCHALLENGEACK) - before).toBe(1);
    expect(r.read(fd)).toBeLessThan(0);
    r.inject({ flags: '.', seq: 1, ack: 1000, win: 1000, data: 5 });
    expect((r.read(fd) as Uint8Array).length).toBe(5);
    expect(r.mib(LINUX_MIB_TCPCHALLENGEACK) - before).toBe(1);
  });

  it('drops ACKs of what was never sent', () => {
    const r = rig();
    const { fd } = r.accepted();
    r.inject({ flags: '.', seq: 1, ack: 5000, win: 1000, data: 5 });
    expect(r.read(fd)).toBeLessThan(0);
    expect(r.sock(fd).sndUna - r.isn).toBe(1);
  });
});

describe('closing', () => {
  it('passively: CLOSE_WAIT, LAST_ACK, closed', () => {
    const r = rig();
    const { fd } = r.accepted();
    r.inject({ flags: 'F.', seq: 1, ack: 1, win: 1000 });
    const sk = r.sock(fd);
    expect(sk.skcState).toBe(TCP_CLOSE_WAIT);
    expect(r.read(fd)).toEqual(new Uint8Array(0));
    r.sent();
    r.close(fd);
    expect(sk.skcState).toBe(TCP_LAST_ACK);
    expect(r.texts()).toEqual([expect.stringMatching(/^F\. 1:1\(0\) ack 2 /)]);
    r.inject({ flags: '.', seq: 2, ack: 2, win: 1000 });
    expect(sk.skcState).toBe(TCP_CLOSE);
  });

  it('actively: FIN_WAIT, then TIME_WAIT for a minute, which answers a repeated FIN', () => {
    const r = rig();
    const { fd, lfd } = r.accepted();
    r.close(lfd);
    r.close(fd);
    expect(r.texts()).toEqual([expect.stringMatching(/^F\. 1:1\(0\) ack 1 /)]);
    r.inject({ flags: '.', seq: 1, ack: 2, win: 1000 });
    r.inject({ flags: 'F.', seq: 1, ack: 2, win: 1000 });
    expect(r.texts()).toEqual([expect.stringMatching(/^\. 2:2\(0\) ack 2 /)]);
    expect(r.mib(LINUX_MIB_TIMEWAITED)).toBe(1);
    expect(r.machine.initNet.ipv4.tcpDeathRowTwCount).toBe(1);
    r.advance(50_000);
    r.inject({ flags: 'F.', seq: 1, ack: 2, win: 1000 });
    expect(r.texts()).toEqual([expect.stringMatching(/^\. 2:2\(0\) ack 2 /)]);
    r.advance(59_000);
    expect(r.machine.initNet.ipv4.tcpDeathRowTwCount).toBe(1);
    r.advance(2_000);
    expect(r.machine.initNet.ipv4.tcpDeathRowTwCount).toBe(0);
    r.inject({ flags: 'F.', seq: 1, ack: 2, win: 1000 });
    expect(r.texts()).toEqual(['R 2:2(0) win 0']);
  });

  it('lets a new SYN take over from TIME_WAIT', () => {
    const r = rig();
    const { fd, lfd } = r.accepted();
    r.close(fd);
    r.sent();
    r.inject({ flags: 'F.', seq: 1, ack: 2, win: 1000 });
    r.sent();
    const oldIsn = r.isn;
    r.inject({ flags: 'S', seq: 1000, options: 'mss 1460' });
    const [synack] = r.sent();
    expect([synack?.flags, synack?.ack]).toEqual(['S.', 1001]);
    expect((r.isn - oldIsn) | 0).toBe(65537 + 2);
    r.inject({ flags: '.', seq: 1001, ack: 1, win: 1000 });
    expect(r.accept(lfd)).toBeGreaterThan(0);
  });

  it('both at once: CLOSING', () => {
    const r = rig();
    const { fd } = r.accepted();
    const sk = r.sock(fd);
    r.close(fd);
    r.sent();
    r.inject({ flags: 'F.', seq: 1, ack: 1, win: 1000 });
    expect(sk.skcState).toBe(TCP_CLOSING);
    expect(r.texts()).toEqual([expect.stringMatching(/^\. 2:2\(0\) ack 2 /)]);
    r.inject({ flags: '.', seq: 2, ack: 2, win: 1000 });
    expect(r.machine.initNet.ipv4.tcpDeathRowTwCount).toBe(1);
  });

  it('resets the peer that sends to a closed reader', () => {
    const r = rig();
    const { fd } = r.accepted();
    r.close(fd);
    r.sent();
    r.inject({ flags: 'P.', seq: 1, ack: 2, win: 1000, data: 10 });
    expect(r.texts()).toEqual(['R 2:2(0) win 0']);
  });

  it('gives EPIPE after RST in CLOSE_WAIT', () => {
    const r = rig();
    const { fd } = r.accepted();
    r.inject({ flags: 'F.', seq: 1, ack: 1, win: 1000 });
    r.inject({ flags: 'R.', seq: 2, ack: 1 });
    expect(r.write(fd, 5)).toBe(-EPIPE);
  });

  it('keeps an orphan in FIN_WAIT2 as a small socket', () => {
    const r = rig();
    const { fd } = r.accepted();
    const sk = r.sock(fd);
    r.close(fd);
    r.sent();
    r.inject({ flags: '.', seq: 1, ack: 2, win: 1000 });
    expect(sk.skcState).toBe(TCP_CLOSE);
    const proc = r.machine.initNet.procNet.get('tcp')?.(r.machine.initNet) ?? '';
    expect(proc).toContain(' 05 ');
    r.advance(61_000);
    expect(r.machine.initNet.ipv4.tcpDeathRowTwCount).toBe(0);
    expect([TCP_FIN_WAIT2, TCP_TIME_WAIT]).not.toContain(sk.skcState);
  });
});

describe('sequence numbers that wrap', () => {
  for (const peerIsn of [-5, 0x7ffffffa, -1, 0x7fffffff]) {
    it(`delivers across the wrap from ${peerIsn >>> 0}`, () => {
      const r = rig({ peerIsn });
      const { fd } = r.accepted();
      r.inject({ flags: '.', seq: 9, ack: 1, win: 1000, data: bytes('ijkl') });
      r.inject({ flags: '.', seq: 5, ack: 1, win: 1000, data: bytes('efgh') });
      r.inject({ flags: '.', seq: 1, ack: 1, win: 1000, data: bytes('abcd') });
      expect(text(r.read(fd))).toBe('abcdefghijkl');
      expect(r.sent().at(-1)?.ack).toBe(13);
      r.inject({ flags: 'F.', seq: 13, ack: 1, win: 1000 });
      expect(r.read(fd)).toEqual(new Uint8Array(0));
    });
  }
});

describe('/proc/net/tcp', () => {
  it('has the columns and widths of Linux', () => {
    const r = rig();
    const { fd } = r.accepted();
    const lines = (r.machine.initNet.procNet.get('tcp')?.(r.machine.initNet) ?? '').split('\n');
    expect(lines.slice(0, -1).map((l) => l.length)).toEqual(lines.slice(0, -1).map(() => 149));
    const listener = lines.find((l) => l.includes(' 0A ')) ?? '';
    expect(listener).toMatch(
      /^ +\d+: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 /,
    );
    const open = lines.find((l) => l.includes(' 01 ')) ?? '';
    expect(open).toContain('010200C0:1F90 020200C0:9C40 01');
    expect(LOCAL).toBe(0xc0000201);
    r.close(fd);
  });
});
