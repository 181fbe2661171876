import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BareMachine } from '#fs/testing/bare_machine.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import { TCP_INFINITE_SSTHRESH, tcpSk } from '#include/net/tcp.ts';
import type { KernelParam } from '#kernel/params.ts';
import { skAlloc, sockInitData, sockPut } from '#net/core/sock.ts';
import { tcpReno } from '#net/ipv4/tcp_cong.ts';
import { cubicRoot, cubictcp } from '#net/ipv4/tcp_cubic.ts';
import { cubictcpRegister } from '#net/ipv4/tcp_cubic_params.ts';
import { tcpProt } from '#net/ipv4/tcp_ipv4.ts';
import { EINVAL } from '#uapi/errno.ts';
import { AF_INET } from '#uapi/socket.ts';

const MS = 1e6;
const RTT_MS = 100;

let m: BareMachine;
let sk: TcpSock;

beforeEach(() => {
  m = new BareMachine();
  m.advance(10_000 * MS);
  const sock = skAlloc(m.machine.initNet, AF_INET, tcpProt, true);
  sockInitData(null, sock);
  sk = tcpSk(sock);
  sk.sndSsthresh = TCP_INFINITE_SSTHRESH;
  sk.sndCwndClamp = 0xffffffff;
  sk.isCwndLimited = true;
  sk.icskCaInitialized = true;
  sk.sndCwnd = 10;
});

afterEach(() => {
  sk.skDestruct = (): void => {};
  sockPut(sk);
  expect(m.end()).toEqual({});
});

/** Acknowledges a window full of segments, evenly over a round trip. */
function roundTrip(ops: typeof cubictcp): void {
  const cwnd = sk.sndCwnd;
  for (let i = 0; i < cwnd; i++) {
    m.advance((RTT_MS * MS) / cwnd);
    sk.tcpMstamp = Math.floor(m.machine.nowNs / 1000);
    ops.congAvoid?.(sk, 0, 1);
  }
}

describe('the integer cube root', () => {
  it('is exact to 0.2 % from 64 on', () => {
    fc.assert(
      fc.property(fc.double({ min: 64, max: 2 ** 52, noNaN: true }), (x) => {
        const a = Math.floor(x);
        const root = cubicRoot(a);
        const exact = Math.cbrt(a);
        expect(Math.abs(root - exact)).toBeLessThanOrEqual(1 + exact * 0.0025);
      }),
    );
  });

  it('takes small numbers from the table', () => {
    expect([0, 1, 8, 27, 63].map(cubicRoot)).toEqual([0, 1, 2, 3, 4]);
  });
});

describe('cubic', () => {
  it('keeps 717/1024 of the window after a loss', () => {
    cubictcp.init?.(sk);
    sk.sndCwnd = 100;
    expect(cubictcp.ssthresh(sk)).toBe(Math.floor((100 * 717) / 1024));
    sk.sndCwnd = 2;
    expect(cubictcp.ssthresh(sk)).toBe(2);
  });

  it('gives up more when the window had not come back: fast convergence', () => {
    cubictcp.init?.(sk);
    sk.sndCwnd = 1000;
    sk.sndSsthresh = cubictcp.ssthresh(sk);
    sk.sndCwnd = 800;
    sk.sndSsthresh = cubictcp.ssthresh(sk);
    // The plateau is now at 800 * (1024 + 717) / 2048 = 680 and not at 800.
    sk.sndCwnd = sk.sndSsthresh;
    cubictcp.pktsAcked?.(sk, 1, RTT_MS * 1000, 10);
    for (let i = 0; i < 40; i++) roundTrip(cubictcp);
    const at = sk.sndCwnd;
    expect(at).toBeGreaterThan(660);
    expect(at).toBeLessThan(720);
  });

  it('follows C (t - K)^3 + Wmax between losses', () => {
    cubictcp.init?.(sk);
    sk.sndCwnd = 1000;
    sk.sndSsthresh = cubictcp.ssthresh(sk);
    sk.sndCwnd = sk.sndSsthresh;
    cubictcp.pktsAcked?.(sk, 1, RTT_MS * 1000, 10);
    const start = m.machine.nowNs;
    const k = Math.cbrt((1000 - sk.sndCwnd) / 0.4);
    for (let i = 0; i < 200; i++) {
      roundTrip(cubictcp);
      const t = (m.machine.nowNs - start) / 1e9;
      const w = 0.4 * (t - k) ** 3 + 1000;
      expect(Math.abs(sk.sndCwnd - w) / w).toBeLessThan(0.05);
    }
  });

  it('grows as reno with its share would where the curve is slower', () => {
    cubictcp.init?.(sk);
    sk.sndCwnd = 20;
    sk.sndSsthresh = cubictcp.ssthresh(sk);
    sk.sndCwnd = sk.sndSsthresh;
    cubictcp.pktsAcked?.(sk, 1, 2000, 10);
    for (let i = 0; i < 100; i++) {
      for (let j = sk.sndCwnd; j > 0; j--) {
        m.advance((2 * MS) / sk.sndCwnd);
        cubictcp.congAvoid?.(sk, 0, 1);
      }
    }
    // RFC 9438#4.3: 3 (1 - beta) / (1 + beta) = 0.53 segments a round trip; the curve alone would
    // not be back at 20 before 2.5 s.
    expect(sk.sndCwnd).toBeGreaterThan(14 + 40);
    expect(sk.sndCwnd).toBeLessThan(14 + 60);
  });
});

describe('hystart', () => {
  it('leaves slow start when the delay grows', () => {
    cubictcp.init?.(sk);
    sk.sndCwnd = 100;
    sk.sndNxt = 1;
    for (let i = 0; i < 10; i++) cubictcp.pktsAcked?.(sk, 1, 50_000, 100);
    expect(sk.sndSsthresh).toBe(TCP_INFINITE_SSTHRESH);
    // The next round trip, 10 ms longer: more than an eighth of 50 ms.
    sk.sndUna = 2;
    sk.sndNxt = 1000;
    for (let i = 0; i < 10; i++) cubictcp.pktsAcked?.(sk, 1, 60_000, 100);
    expect(sk.sndSsthresh).toBe(100);
  });

  it('does not while the window is small', () => {
    cubictcp.init?.(sk);
    sk.sndCwnd = 15;
    for (let i = 0; i < 10; i++) cubictcp.pktsAcked?.(sk, 1, 50_000, 15);
    sk.sndUna = 2;
    for (let i = 0; i < 20; i++) cubictcp.pktsAcked?.(sk, 1, 90_000, 15);
    expect(sk.sndSsthresh).toBe(TCP_INFINITE_SSTHRESH);
  });

  it('leaves slow start when a train of ACKs lasts half a round trip', () => {
    cubictcp.init?.(sk);
    sk.sndCwnd = 100;
    sk.skPacingRate = Number.MAX_SAFE_INTEGER;
    sk.tcpMstamp = 1_000_000;
    sk.sndUna = 2;
    sk.sndNxt = 1000;
    for (let i = 0; i < 30; i++) {
      sk.tcpMstamp += 1000;
      cubictcp.pktsAcked?.(sk, 1, 50_000, 100);
    }
    expect(sk.sndSsthresh).toBe(100);
  });
});

describe('hystart over a slow line', () => {
  it('counts rounds from the first on, so that the ninth ACK of the second ends slow start', () => {
    cubictcp.init?.(sk);
    sk.sndCwnd = 10;
    sk.sndUna = 0;
    sk.sndNxt = 10;
    // Two segments arrive every 100 ms; what is acknowledged was sent a window earlier.
    const sentMs: number[] = new Array<number>(10).fill(0);
    for (let ack = 1; ack <= 20 && sk.sndSsthresh === TCP_INFINITE_SSTHRESH; ack++) {
      m.advance(100 * MS);
      sk.tcpMstamp = Math.floor(m.machine.nowNs / 1000);
      sk.sndUna = 2 * ack;
      const rttMs = 100 * ack - (sentMs[2 * ack - 1] as number);
      cubictcp.pktsAcked?.(sk, 2, rttMs * 1000, sk.sndCwnd);
      cubictcp.congAvoid?.(sk, sk.sndUna, 2);
      while (sentMs.length < sk.sndUna + sk.sndCwnd) sentMs.push(100 * ack);
      sk.sndNxt = sentMs.length;
    }
    // Rounds that began only at a window of 16 would let it go on to 48.
    expect(sk.sndSsthresh).toBe(36);
  });
});

describe('module parameters', () => {
  /** What a longer round trip, and a train of ACKs, do to a window of 100. */
  function slower(): number {
    sk.sndUna = 0;
    sk.sndNxt = 0;
    cubictcp.init?.(sk);
    sk.sndCwnd = 100;
    sk.sndNxt = 1;
    for (let i = 0; i < 10; i++) cubictcp.pktsAcked?.(sk, 1, 50_000, 100);
    sk.sndUna = 2;
    sk.sndNxt = 1000;
    for (let i = 0; i < 10; i++) cubictcp.pktsAcked?.(sk, 1, 60_000, 100);
    return sk.sndSsthresh;
  }

  function param(name: string): KernelParam {
    return m.machine.params.of('tcp_cubic')?.get(name) as KernelParam;
  }

  beforeEach(() => {
    sk.sndCwnd = 10;
    m.machine.params.register('tcp_cubic', []);
    m.machine.netGlobals.tcpCongList.length = 0;
    expect(cubictcpRegister(m.machine)).toBe(0);
  });

  it('choose how HyStart looks: trains only', () => {
    expect(param('hystart_detect').read()).toBe('3');
    expect(param('hystart_detect').write?.('1')).toBe(0);
    expect(slower()).toBe(TCP_INFINITE_SSTHRESH);
    expect(param('hystart_detect').write?.('2')).toBe(0);
    expect(slower()).toBe(100);
  });

  it('turn HyStart off, and then a first threshold counts', () => {
    expect(param('hystart').write?.('0')).toBe(0);
    expect(slower()).toBe(TCP_INFINITE_SSTHRESH);
    expect(param('initial_ssthresh').write?.('33')).toBe(0);
    cubictcp.init?.(sk);
    expect(sk.sndSsthresh).toBe(33);
  });

  it('set what is left after a loss, and refuse nonsense', () => {
    cubictcp.init?.(sk);
    sk.sndCwnd = 100;
    expect(param('beta').write?.('512')).toBe(0);
    expect(cubictcp.ssthresh(sk)).toBe(50);
    expect(param('beta').write?.('1024')).toBe(-EINVAL);
    expect(param('beta').write?.('half')).toBe(-EINVAL);
    expect(param('bic_scale').write).toBeNull();
  });
});

describe('reno', () => {
  it('adds a segment a round trip and halves on loss', () => {
    sk.sndSsthresh = 5;
    for (let i = 0; i < 10; i++) roundTrip(tcpReno);
    expect(sk.sndCwnd).toBe(20);
    expect(tcpReno.ssthresh(sk)).toBe(10);
  });

  it('doubles each round trip in slow start', () => {
    roundTrip(tcpReno);
    expect(sk.sndCwnd).toBe(20);
    roundTrip(tcpReno);
    expect(sk.sndCwnd).toBe(40);
  });

  it('does not grow a window that is not used', () => {
    sk.isCwndLimited = false;
    sk.sndSsthresh = 5;
    roundTrip(tcpReno);
    expect(sk.sndCwnd).toBe(10);
  });
});
