import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DstEntry } from '#include/net/dst.ts';
import { DST_FEATURE_ECN_CA } from '#include/net/dst.ts';
import { FibInfo } from '#include/net/ip_fib.ts';
import type { TcpCcInfo } from '#include/net/tcp.ts';
import { CA_EVENT_LOSS } from '#include/net/tcp.ts';
import { fibMetricsMatch, ipFibMetricsInit } from '#net/ipv4/metrics.ts';
import { tcpSetDefaultCongestionControl } from '#net/ipv4/tcp_cong.ts';
import { dctcpOps } from '#net/ipv4/tcp_dctcp.ts';
import { TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import { INET_ECN_CE, INET_ECN_ECT_0, INET_ECN_MASK } from '#uapi/ip.ts';
import { RTAX_CC_ALGO, RTAX_FEATURES } from '#uapi/rtnetlink.ts';

const MSS = 1000;
let rig: TcpRig;
let fd: number;
let lfd: number;

/** Alpha, in 1/1024. */
const alpha = (): number => {
  const cc = dctcpOps.getInfo?.(rig.sock(fd), -1) as TcpCcInfo;
  return new DataView(cc.info.buffer).getUint32(4, true);
};

/** The peer opens a connection and asks for ECN, or not. */
function open(flags: string): void {
  lfd = rig.listen();
  rig.inject({ flags, options: 'mss 1000,sackOK,nop,wscale 7', win: 65535 });
  const [synack] = rig.sent();
  expect(synack?.flags.includes('E')).toBe(flags.includes('E'));
  rig.inject({ flags: '.', seq: 1, ack: 1, win: 1000 });
  fd = rig.accept(lfd);
}

beforeEach(() => {
  rig = new TcpRig();
  rig.machine.initNet.ipv4.sysctlTcpEcn = 0;
  expect(tcpSetDefaultCongestionControl(rig.machine.initNet, 'dctcp')).toBe(0);
});

afterEach(() => {
  rig.close(fd);
  rig.close(lfd);
  expect(rig.end()).toEqual({});
});

describe('the receiver', () => {
  it('acknowledges each change of the mark at once, the segments before it with the old one', () => {
    open('SEW');
    // Beyond the quick ACKs of a new connection.
    let seq = 1;
    const data = (tos: number): void => {
      rig.inject({ flags: '.', seq, ack: 1, win: 1000, data: MSS, tos });
      seq += MSS;
    };
    for (let i = 0; i < 40; i++) data(INET_ECN_ECT_0);
    // Long enough for a delayed ACK, too short to count as a pause.
    rig.advance(60);
    rig.read(fd);
    rig.sent();
    rig.sock(fd).ackQuick = 0;
    data(INET_ECN_ECT_0);
    expect(rig.sent()).toEqual([]);
    data(INET_ECN_CE);
    const acks = rig.sent().map((s) => [s.flags.includes('E'), s.ack]);
    expect(acks).toEqual([
      [false, seq - MSS],
      [true, seq],
    ]);
    // The mark goes away without a CWR of the sender.
    data(INET_ECN_ECT_0);
    const after = rig.sent();
    expect(after.at(-1)?.flags.includes('E')).toBe(false);
    expect(after.at(-1)?.ack).toBe(seq);
  });

  it('marks even its pure ACKs as able to be marked', () => {
    open('SEW');
    rig.inject({ flags: '.', seq: 1, ack: 1, win: 1000, data: MSS, tos: INET_ECN_ECT_0 });
    rig.advance(300);
    const acks = rig.sent();
    expect(acks.length).toBeGreaterThan(0);
    for (const ack of acks) expect(ack.tos & INET_ECN_MASK).toBe(INET_ECN_ECT_0);
  });
});

describe('the sender', () => {
  it('averages the share of marked segments with weight 1/16, and reduces by half of it', () => {
    open('SEW');
    const sk = rig.sock(fd);
    expect(alpha()).toBe(1024);
    sk.sndCwnd = 100;
    expect(dctcpOps.ssthresh(sk)).toBe(50);
    const round = (delivered: number, marked: number): void => {
      sk.delivered += delivered;
      sk.deliveredCe += marked;
      dctcpOps.inAckEvent?.(sk, 0);
    };
    round(100, 0);
    expect(alpha()).toBe(960);
    round(100, 50);
    expect(alpha()).toBe(960 - 60 + 32);
    for (let i = 0; i < 200; i++) round(100, 0);
    expect(alpha()).toBe(0);
    sk.sndCwnd = 100;
    expect(dctcpOps.ssthresh(sk)).toBe(100);
    for (let i = 0; i < 200; i++) round(100, 25);
    // A quarter, less what the integers lose.
    expect(Math.abs(alpha() - 256)).toBeLessThan(17);
    dctcpOps.cwndEvent?.(sk, CA_EVENT_LOSS);
    expect(sk.sndSsthresh).toBe(50);
    sk.sndCwnd = 60;
    expect(dctcpOps.undoCwnd(sk)).toBe(100);
  });

  it('is reno where the peer has no ECN', () => {
    open('S');
    const sk = rig.sock(fd);
    expect(sk.icskCaOps?.name).toBe('dctcp-reno');
    expect(sk.tos & INET_ECN_MASK).toBe(0);
  });
});

describe('a route with an algorithm that needs ECN', () => {
  it('has connections agree on ECN, and does not show that as a feature of its own', () => {
    open('S');
    const nla = new Uint8Array(12);
    nla.set([10, 0, RTAX_CC_ALGO, 0]);
    nla.set(new TextEncoder().encode('dctcp'), 4);
    const fi = new FibInfo(rig.machine.initNet);
    expect(ipFibMetricsInit(fi, nla, null)).toBe(0);
    const dst = { metrics: fi.fibMetrics } as unknown as DstEntry;
    expect(((dst.metrics[RTAX_FEATURES] ?? 0) & DST_FEATURE_ECN_CA) !== 0).toBe(true);
    expect(fibMetricsMatch(nla, fi)).toBe(true);
  });
});
