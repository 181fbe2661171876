import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BareMachine } from '#fs/testing/bare_machine.ts';
import { RateSample, type TcpSock } from '#include/linux/tcp.ts';
import type { TcpCcInfo } from '#include/net/tcp.ts';
import { CA_EVENT_TX_START, TCP_INFINITE_SSTHRESH, tcpSk } from '#include/net/tcp.ts';
import { SK_PACING_NEEDED } from '#include/net/tcp_inlines.ts';
import { skAlloc, sockInitData, sockPut } from '#net/core/sock.ts';
import { tcpBbrCongOps as ops } from '#net/ipv4/tcp_bbr.ts';
import {
  BBR_DRAIN,
  BBR_PROBE_BW,
  BBR_PROBE_RTT,
  BBR_STARTUP,
  BBR_UNIT,
  BW_UNIT,
  bbr,
  bbrBdp,
  bbrBw,
  bbrMaxBw,
  bbrRateBytesPerSec,
  bbrTsoSegsGoal,
  mulGain,
} from '#net/ipv4/tcp_bbr_model.ts';
import { tcpProt } from '#net/ipv4/tcp_ipv4.ts';
import { INET_DIAG_BBRINFO } from '#uapi/inet_diag.ts';
import { AF_INET } from '#uapi/socket.ts';
import { TCP_CA_Loss, TCP_CA_Open, TCP_CA_Recovery } from '#uapi/tcp.ts';

const MS = 1e6;
const RTT_MS = 40;
/** Segments a round trip. */
const PIPE = 400;

let m: BareMachine;
let sk: TcpSock;
const rs = new RateSample();

beforeEach(() => {
  m = new BareMachine();
  m.advance(10_000 * MS);
  const sock = skAlloc(m.machine.initNet, AF_INET, tcpProt, true);
  sockInitData(null, sock);
  sk = tcpSk(sock);
  sk.sndSsthresh = TCP_INFINITE_SSTHRESH;
  sk.sndCwndClamp = 0xffffffff;
  sk.sndCwnd = 10;
  sk.mssCache = 1448;
  sk.srttUs = RTT_MS * 8000;
  sk.rttMin.v0 = RTT_MS * 1000;
  ops.init?.(sk);
});

afterEach(() => {
  sk.skDestruct = (): void => {};
  sockPut(sk);
  expect(m.end()).toEqual({});
});

interface Round {
  /** Segments that came through. */
  readonly delivered: number;
  readonly inFlight?: number;
  readonly losses?: number;
  readonly rttMs?: number;
  readonly appLimited?: boolean;
}

/** One round trip that ends in one ACK. */
function round({
  delivered,
  inFlight = delivered,
  losses = 0,
  rttMs = RTT_MS,
  appLimited,
}: Round): void {
  rs.priorDelivered = sk.delivered;
  m.advance(rttMs * MS);
  sk.delivered += delivered;
  sk.lost += losses;
  sk.packetsOut = inFlight;
  sk.tcpMstamp = Math.floor(m.machine.nowNs / 1000);
  sk.tcpClockCache = m.machine.nowNs;
  sk.deliveredMstamp = sk.tcpMstamp;
  rs.delivered = delivered;
  rs.ackedSacked = delivered;
  rs.intervalUs = rttMs * 1000;
  rs.rttUs = rttMs * 1000;
  rs.losses = losses;
  rs.isAppLimited = appLimited === true;
  rs.priorInFlight = inFlight;
  ops.congControl?.(sk, 0, 0, rs);
}

/** Through STARTUP and DRAIN. */
function steady(): void {
  for (let n = 10; n < PIPE; n *= 2) round({ delivered: n });
  for (let i = 0; i < 8 && bbr(sk).mode !== BBR_PROBE_BW; i++) {
    round({ delivered: PIPE, inFlight: i < 4 ? 2 * PIPE : PIPE });
  }
  expect(bbr(sk).mode).toBe(BBR_PROBE_BW);
}

describe('the arithmetic', () => {
  it('gives the integers that 64-bit arithmetic gives', () => {
    const bandwidth = fc.integer({ min: 0, max: 1 << 27 });
    fc.assert(
      fc.property(bandwidth, fc.integer({ min: 1, max: 1000 }), (bw, gain) => {
        const exact = (((BigInt(bw) * 1448n * BigInt(gain)) >> 8n) * 990_000n) >> 24n;
        expect(BigInt(bbrRateBytesPerSec(sk, bw, gain))).toBe(exact);
        expect(BigInt(mulGain(bw * 1448, gain))).toBe((BigInt(bw) * 1448n * BigInt(gain)) >> 8n);
      }),
    );
  });

  it('multiplies bandwidth by delay, rounded up', () => {
    const ca = bbr(sk);
    ca.minRttUs = 100_000;
    // 50 Mbit/s of 1448 bytes: 0.004316 segments a microsecond.
    const bw = Math.floor((50e6 / 8 / 1448 / 1e6) * BW_UNIT);
    expect(bbrBdp(ca, bw, BBR_UNIT)).toBe(432);
    expect(bbrBdp(ca, bw, 2 * BBR_UNIT)).toBe(864);
    ca.minRttUs = 0xffffffff;
    expect(bbrBdp(ca, bw, BBR_UNIT)).toBe(10);
  });

  it('sends packets of about a millisecond, at least one or two segments', () => {
    sk.skPacingShift = 10;
    sk.skPacingRate = 149_999;
    expect([bbrTsoSegsGoal(sk), ops.minTsoSegs?.(sk)]).toEqual([1, 1]);
    sk.skPacingRate = 150_000;
    expect([bbrTsoSegsGoal(sk), ops.minTsoSegs?.(sk)]).toEqual([2, 2]);
    sk.skPacingRate = 12_500_000;
    expect(bbrTsoSegsGoal(sk)).toBe(8);
    sk.skPacingRate = 1.25e9;
    expect(bbrTsoSegsGoal(sk)).toBe(45);
  });
});

describe('bbr', () => {
  it('begins at 2/ln 2 of the window in a round trip, paced by TCP itself', () => {
    expect(sk.skPacingStatus).toBe(SK_PACING_NEEDED);
    const bw = Math.floor((10 * BW_UNIT) / (RTT_MS * 1000));
    expect(sk.skPacingRate).toBe(bbrRateBytesPerSec(sk, bw, 739));
    expect(bbr(sk).mode).toBe(BBR_STARTUP);
  });

  it('leaves STARTUP after three round trips without a quarter more', () => {
    const modes: number[] = [];
    for (const n of [10, 20, 40, 80, 160, 199, 199, 199]) {
      round({ delivered: n, inFlight: 2 * n });
      modes.push(bbr(sk).mode);
    }
    // 199 is less than 160 * 5/4.
    expect(modes).toEqual([0, 0, 0, 0, 0, 0, 0, BBR_DRAIN]);
    expect(bbr(sk).pacingGain).toBe(88);
    expect(sk.sndSsthresh).toBeLessThan(240);
    round({ delivered: 199, inFlight: 199 });
    expect(bbr(sk).mode).toBe(BBR_PROBE_BW);
  });

  it('does not take what the application left unused for a full pipe', () => {
    for (let i = 0; i < 10; i++) round({ delivered: 20, appLimited: true });
    expect(bbr(sk).mode).toBe(BBR_STARTUP);
  });

  it('cycles through its eight gains, one a round trip, and starts at random but not by draining', () => {
    steady();
    const gains: number[] = [bbr(sk).pacingGain];
    expect(gains[0]).not.toBe(192);
    for (let i = 0; i < 32; i++) {
      round({ delivered: PIPE, inFlight: 2 * PIPE, rttMs: RTT_MS + 1 });
      gains.push(bbr(sk).pacingGain);
    }
    const first = gains.indexOf(320);
    const cycle = [320, 192, 256, 256, 256, 256, 256, 256];
    expect(gains.slice(first, first + 16)).toEqual([...cycle, ...cycle]);
  });

  it('remembers the largest bandwidth for ten round trips', () => {
    steady();
    const before = bbrMaxBw(bbr(sk));
    for (let i = 0; i < 9; i++) round({ delivered: PIPE / 2 });
    expect(bbrMaxBw(bbr(sk))).toBe(before);
    for (let i = 0; i < 3; i++) round({ delivered: PIPE / 2 });
    expect(bbrMaxBw(bbr(sk))).toBe(Math.floor(((PIPE / 2) * BW_UNIT) / (RTT_MS * 1000)));
  });

  it('holds twice the pipe, and four segments in PROBE_RTT, once in ten seconds for 200 ms', () => {
    steady();
    for (let i = 0; i < 20; i++) round({ delivered: PIPE, rttMs: RTT_MS + 1 });
    const cwnd = sk.sndCwnd;
    // Twice the pipe, and once more since each ACK acknowledges all of it at once.
    expect(cwnd).toBeGreaterThan(3 * PIPE);
    expect(cwnd).toBeLessThan(3 * PIPE + 30);
    let rounds = 20;
    for (; rounds < 400 && bbr(sk).mode !== BBR_PROBE_RTT; rounds++) {
      round({ delivered: PIPE, rttMs: RTT_MS + 1 });
    }
    expect(Math.abs(rounds * (RTT_MS + 1) - 10_000)).toBeLessThan(500);
    expect(sk.sndCwnd).toBe(4);
    expect(bbr(sk).minRttUs).toBe((RTT_MS + 1) * 1000);
    let low = 0;
    for (; bbr(sk).mode === BBR_PROBE_RTT; low++) round({ delivered: 4, inFlight: 4 });
    expect(low * RTT_MS).toBeGreaterThan(200);
    expect(low * RTT_MS).toBeLessThan(320);
    expect(sk.sndCwnd).toBeGreaterThan(2 * PIPE);
  });

  it('goes by packet conservation for the first round trip of a recovery, then back', () => {
    steady();
    for (let i = 0; i < 10; i++) round({ delivered: PIPE });
    const { sndCwnd, sndSsthresh } = sk;
    expect(ops.ssthresh(sk)).toBe(sndSsthresh);
    sk.icskCaState = TCP_CA_Recovery;
    rs.priorDelivered = bbr(sk).nextRttDelivered - 1;
    sk.packetsOut = 50;
    rs.ackedSacked = 2;
    rs.losses = 1;
    ops.congControl?.(sk, 0, 0, rs);
    expect(sk.sndCwnd).toBe(52);
    sk.icskCaState = TCP_CA_Open;
    round({ delivered: 52 });
    expect(sk.sndCwnd).toBeGreaterThanOrEqual(sndCwnd - 10);
  });

  it('uses the policed rate when two long intervals with a fifth lost agree', () => {
    steady();
    let used = 0;
    for (let i = 0; i < 40 && used === 0; i++) {
      round({ delivered: 100, losses: 30 });
      if (bbr(sk).ltUseBw) used = i;
    }
    // Two intervals of four round trips.
    expect(used).toBe(7);
    expect(bbrBw(bbr(sk))).toBeLessThan((110 * BW_UNIT) / (RTT_MS * 1000));
    expect(bbr(sk).pacingGain).toBe(BBR_UNIT);
    let rounds = 0;
    for (; rounds < 100 && bbr(sk).ltUseBw; rounds++) round({ delivered: 100 });
    expect(rounds).toBe(48);
  });

  it('forgets that the pipe is full after a timeout or an undo, and starts from idle without a burst', () => {
    steady();
    bbr(sk).fullBw = 7;
    ops.setState?.(sk, TCP_CA_Loss);
    expect([bbr(sk).fullBw, bbr(sk).prevCaState]).toEqual([0, TCP_CA_Loss]);
    bbr(sk).fullBwCnt = 2;
    expect(ops.undoCwnd(sk)).toBe(sk.sndCwnd);
    expect(bbr(sk).fullBwCnt).toBe(0);
    sk.appLimited = 1;
    ops.cwndEvent?.(sk, CA_EVENT_TX_START);
    expect(bbr(sk).idleRestart).toBe(true);
    expect(sk.skPacingRate).toBe(bbrRateBytesPerSec(sk, bbrBw(bbr(sk)), BBR_UNIT));
    expect(ops.sndbufExpand?.(sk)).toBe(3);
  });

  it('shows bandwidth, delay and gains to those who ask', () => {
    steady();
    expect(ops.getInfo?.(sk, 0)).toBe(null);
    const cc = ops.getInfo?.(sk, -1) as TcpCcInfo;
    expect(cc.attr).toBe(INET_DIAG_BBRINFO);
    const v = new DataView(cc.info.buffer);
    expect(v.getUint32(0, true)).toBeGreaterThan((PIPE * 1448 * 1000) / RTT_MS - 1000);
    expect(v.getUint32(8, true)).toBe(RTT_MS * 1000);
    expect(v.getUint32(16, true)).toBe(512);
  });
});
