import { afterEach, describe, expect, it } from 'vitest';
import { inetBindBucketFind, tcpGetHashinfo } from '#net/ipv4/inet_hashtables_bind.ts';
import { REMOTE, TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import {
  LINUX_MIB_LISTENDROPS,
  LINUX_MIB_LISTENOVERFLOWS,
  LINUX_MIB_PAWS_TW_REJECTED,
  LINUX_MIB_TCPACKSKIPPEDSYNRECV,
  LINUX_MIB_TCPDEFERACCEPTDROP,
  LINUX_MIB_TCPREQQFULLDROP,
  LINUX_MIB_TIMEWAITRECYCLED,
  LINUX_MIB_TSECRREJECTED,
} from '#uapi/snmp.ts';
import { SOL_TCP } from '#uapi/socket.ts';
import { TCP_DEFER_ACCEPT } from '#uapi/tcp.ts';

const rigs: TcpRig[] = [];

function rig(): TcpRig {
  const made = new TcpRig();
  rigs.push(made);
  return made;
}

afterEach(() => {
  for (const r of rigs.splice(0)) expect(r.end()).toEqual({});
});

const TS = 'mss 1460,sackOK,TS 100:0,nop,wscale 7';
const timewaits = (r: TcpRig): number => r.machine.initNet.ipv4.tcpDeathRowTwCount;

/** A connection with timestamps that we closed first, now in TIME_WAIT. */
function timeWait(r: TcpRig): { lfd: number; tsval: number } {
  const { fd, lfd } = r.accepted(TS);
  r.close(fd);
  const tsval = r.sent().at(-1)?.tsval ?? 0;
  r.inject({ flags: 'F.', seq: 1, ack: 2, win: 1000, options: `nop,nop,TS 150:${tsval}` });
  r.sent();
  expect(timewaits(r)).toBe(1);
  return { lfd, tsval };
}

describe('TIME_WAIT', () => {
  it('ends by a RST, unless tcp_rfc1337 forbids it', () => {
    const r = rig();
    r.machine.initNet.ipv4.sysctlTcpRfc1337 = 1;
    timeWait(r);
    r.inject({ flags: 'R', seq: 2, options: 'nop,nop,TS 151:0' });
    expect(timewaits(r)).toBe(1);
    r.machine.initNet.ipv4.sysctlTcpRfc1337 = 0;
    r.inject({ flags: 'R', seq: 2, options: 'nop,nop,TS 151:0' });
    expect(timewaits(r)).toBe(0);
  });

  it('answers old timestamps with an ACK, and SYNs with them too', () => {
    const r = rig();
    timeWait(r);
    r.inject({ flags: 'S', seq: 5000, options: 'mss 1460,sackOK,TS 140:0' });
    expect(r.mib(LINUX_MIB_PAWS_TW_REJECTED)).toBe(1);
    const [answer] = r.sent();
    expect([answer?.flags, answer?.ack, answer?.tsecr]).toEqual(['.', 2, 150]);
  });

  it('gives way to a SYN with a newer timestamp though its number is lower', () => {
    const r = rig();
    const { lfd } = timeWait(r);
    r.inject({ flags: 'S', seq: -100_000, options: 'mss 1460,sackOK,TS 151:0' });
    const [synack] = r.sent();
    expect(synack?.flags).toBe('S.');
    expect(timewaits(r)).toBe(0);
    const ts = `nop,nop,TS 152:${synack?.tsval}`;
    r.inject({ flags: '.', seq: -99_999, ack: 1, win: 1000, options: ts });
    expect(r.accept(lfd)).toBeGreaterThan(0);
  });

  it('gives way to our own connect() when timestamps make that safe', () => {
    const r = rig();
    const { ipv4 } = r.machine.initNet;
    ipv4.sysctlIpLocalPortRangeLo = 50_000;
    ipv4.sysctlIpLocalPortRangeHi = 50_000;
    r.localPort = 50_000;
    const connect = (): number => {
      const fd = r.open();
      const ret = r.sys.connect(fd, r.sockaddr(REMOTE, r.remotePort));
      r.settle();
      if (ret === -99) r.close(fd);
      return ret === -99 ? ret : fd;
    };
    const fd = connect();
    const syn = r.sent()[0];
    const ts = (n: number): string => `TS ${n}:${syn?.tsval}`;
    r.inject({ flags: 'S.', seq: 0, ack: 1, win: 1000, options: `mss 1460,sackOK,${ts(100)}` });
    r.close(fd);
    r.sent();
    r.inject({ flags: 'F.', seq: 1, ack: 2, win: 1000, options: `nop,nop,${ts(150)}` });
    r.sent();
    const oldIsn = r.isn;
    expect(timewaits(r)).toBe(1);

    ipv4.sysctlTcpTwReuse = 0;
    r.advance(2000);
    expect(connect()).toBe(-99);
    ipv4.sysctlTcpTwReuse = 1;
    const again = connect();
    expect(again).toBeGreaterThanOrEqual(0);
    expect(r.sent()[0]?.flags).toBe('S');
    expect((r.isn - oldIsn) | 0).toBe(2 + 65535 + 2);
    expect(r.mib(LINUX_MIB_TIMEWAITRECYCLED)).toBe(1);
    expect(timewaits(r)).toBe(0);
    // The new owner has the port as any other: nobody else gets it, and it is free when it ends.
    const { machine } = r;
    expect(inetBindBucketFind(machine.initNet, 50_000, 0)?.owners).toBe(r.sock(again));
    expect(connect()).toBe(-99);
    r.close(again);
    expect(tcpGetHashinfo(machine.initNet).bhashCount).toBe(0);
  });

  it('is bounded in number', () => {
    const r = rig();
    r.machine.initNet.ipv4.sysctlTcpMaxTwBuckets = 0;
    const { fd } = r.accepted();
    r.close(fd);
    r.sent();
    r.inject({ flags: 'F.', seq: 1, ack: 2, win: 1000 });
    expect(timewaits(r)).toBe(0);
    r.sent();
    r.inject({ flags: 'F.', seq: 1, ack: 2, win: 1000 });
    expect(r.sent().map((s) => s.flags)).toEqual(['R']);
  });
});

describe('requests', () => {
  it('wait for data with TCP_DEFER_ACCEPT', () => {
    const r = rig();
    const lfd = r.listen();
    r.setInt(lfd, SOL_TCP, TCP_DEFER_ACCEPT, 5);
    r.inject({ flags: 'S', options: 'mss 1460' });
    r.sent();
    r.inject({ flags: '.', seq: 1, ack: 1, win: 1000 });
    expect(r.mib(LINUX_MIB_TCPDEFERACCEPTDROP)).toBe(1);
    expect(r.sys.accept4(lfd, null, 0)).toBeLessThan(0);
    r.inject({ flags: 'P.', seq: 1, ack: 1, win: 1000, data: 3 });
    expect((r.read(r.accept(lfd)) as Uint8Array).length).toBe(3);
  });

  it('stay when the accept queue is full, and succeed when there is room', () => {
    const r = rig();
    const lfd = r.listen(1);
    const ports = [1, 2, 3].map((i) => 40000 + i);
    for (const port of ports.slice(0, 2)) {
      r.remotePort = port;
      r.inject({ flags: 'S', options: 'mss 1460' });
      r.sent();
      r.inject({ flags: '.', seq: 1, ack: 1, win: 1000 });
    }
    // Two children fill a backlog of one.
    r.remotePort = 40003;
    r.inject({ flags: 'S', options: 'mss 1460' });
    expect(r.sent()).toEqual([]);
    expect(r.mib(LINUX_MIB_LISTENOVERFLOWS)).toBe(1);
    expect(r.mib(LINUX_MIB_LISTENDROPS)).toBe(1);
    r.accept(lfd);
    r.inject({ flags: 'S', options: 'mss 1460' });
    expect(r.sent().map((s) => s.flags)).toEqual(['S.']);
    r.inject({ flags: '.', seq: 1, ack: 1, win: 1000 });
    r.accept(lfd);
    r.accept(lfd);
  });

  it('are refused without cookies when too many are open', () => {
    const r = rig();
    r.machine.initNet.ipv4.sysctlTcpSyncookies = 0;
    r.listen(1);
    let answers = 0;
    for (let i = 0; i < 6; i++) {
      r.remotePort = 41000 + i;
      r.inject({ flags: 'S', options: 'mss 1460' });
      answers += r.sent().length;
    }
    expect(answers).toBe(2);
    expect(r.mib(LINUX_MIB_TCPREQQFULLDROP)).toBe(4);
  });

  it('answer a segment outside the window at a limited rate', () => {
    const r = rig();
    r.listen();
    r.inject({ flags: 'S', options: 'mss 1460' });
    r.sent();
    for (let i = 0; i < 3; i++) r.inject({ flags: '.', seq: 900_000, ack: 1, win: 1000 });
    const answers = r.sent();
    expect(answers.map((s) => [s.flags, s.seq, s.ack])).toEqual([['.', 1, 1]]);
    expect(r.mib(LINUX_MIB_TCPACKSKIPPEDSYNRECV)).toBe(2);
  });

  it('refuse an echoed timestamp that was never sent', () => {
    const r = rig();
    const lfd = r.listen();
    r.inject({ flags: 'S', options: TS });
    const [synack] = r.sent();
    const tsval = synack?.tsval ?? 0;
    r.inject({ flags: '.', seq: 1, ack: 1, win: 1000, options: `nop,nop,TS 101:${tsval + 5000}` });
    expect(r.mib(LINUX_MIB_TSECRREJECTED)).toBe(1);
    expect(r.sys.accept4(lfd, null, 0)).toBeLessThan(0);
    r.inject({ flags: '.', seq: 1, ack: 1, win: 1000, options: `nop,nop,TS 101:${tsval}` });
    expect(r.accept(lfd)).toBeGreaterThan(0);
  });

  it('have a clock of their own for each four-tuple, and the same one again, with cookies too', () => {
    const clocks = (how: string, timestamps = '1'): number[] => {
      const r = rig();
      for (const [name, value] of Object.entries({ syncookies: how, timestamps })) {
        expect(r.machine.initNet.sysctl.write(`net/ipv4/tcp_${name}`, value)).toBe(0);
      }
      const lfd = r.listen();
      const { remotePort } = r;
      return [0, 1, 0, 2].map((port) => {
        r.remotePort = remotePort + port;
        r.inject({ flags: 'S', options: TS });
        const tsval = r.sent()[0]?.tsval ?? 0;
        r.inject({ flags: '.', seq: 1, ack: 1, options: `nop,nop,TS 101:${tsval}` });
        const fd = r.accept(lfd);
        const off = r.sock(fd).tsoffset;
        // A cookie has taken the low bits of the clock.
        expect(Math.abs(((tsval - off) | 0) - r.nowMs)).toBeLessThan(64);
        r.inject({ flags: 'R', seq: 1 });
        r.sys.close(fd);
        r.sent();
        return off;
      });
    };
    for (const how of ['1', '2']) {
      const [first, second, again, third] = clocks(how);
      expect(again).toBe(first);
      expect(new Set([0, first, second, third]).size).toBe(4);
      expect(clocks(how, '2')).toEqual([0, 0, 0, 0]);
    }
  });

  it('give up after five SYN-ACKs', () => {
    const r = rig();
    r.listen();
    r.inject({ flags: 'S', options: 'mss 1460' });
    const times: number[] = [];
    for (let i = 0; i < 130; i++) {
      for (const s of r.sent()) times.push(Math.round(s.timeMs / 1000) - 10);
      r.advance(1000);
    }
    expect(times).toEqual([0, 1, 3, 7, 15, 31]);
    expect(r.machine.live.requests).toBe(0);
  });
});
