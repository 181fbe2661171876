import { afterAll, describe, expect, it } from 'vitest';
import type { TcpSock } from '#include/linux/tcp.ts';
import { RateSample } from '#include/linux/tcp.ts';
import { tcpMinRtt } from '#include/net/tcp_inlines.ts';
import { Prandom } from '#lib/prandom.ts';
import { FLAG_ACK_MAYBE_DELAYED, FLAG_ACKED } from '#net/ipv4/tcp_input_flags.ts';
import { tcpAckUpdateRtt, tcpUpdatePacingRate } from '#net/ipv4/tcp_input_rtt.ts';
import { TcpRig } from '#net/ipv4/testing/tcp_rig.ts';

const rig = new TcpRig();

afterAll(() => {
  expect(rig.end()).toEqual({});
});

/** A socket without any measurement. */
function fresh(): TcpSock {
  const sk = rig.sock(rig.open());
  expect([sk.srttUs, sk.icskRto]).toEqual([0, 1000]);
  return sk;
}

const sample = (sk: TcpSock, us: number, flag = FLAG_ACKED): boolean =>
  tcpAckUpdateRtt(sk, flag, us, -1, us, new RateSample());

describe('the retransmission timeout', () => {
  it('is three times the first sample, but its variance at least 200 ms', () => {
    const slow = fresh();
    sample(slow, 300_000);
    expect([slow.srttUs >> 3, slow.rttvarUs, slow.icskRto]).toEqual([300_000, 600_000, 900]);
    const fast = fresh();
    sample(fast, 10_000);
    expect([fast.srttUs >> 3, fast.rttvarUs, fast.icskRto]).toEqual([10_000, 200_000, 210]);
  });

  it('settles at the RTT plus 200 ms when the RTT is steady', () => {
    const sk = fresh();
    for (let i = 0; i < 200; i++) {
      // Every sample acknowledges a window, so that the variance may fall.
      sk.sndUna = (sk.rttSeq + 1) | 0;
      sk.sndNxt = (sk.sndUna + 1) | 0;
      sample(sk, 80_000);
    }
    expect(sk.srttUs >> 3).toBe(80_000);
    expect(sk.icskRto).toBe(280);
  });

  it('does not rise because the RTT falls', () => {
    const sk = fresh();
    for (let i = 0; i < 50; i++) sample(sk, 500_000);
    const before = sk.icskRto;
    sample(sk, 50_000);
    expect(sk.icskRto).toBeLessThanOrEqual(before);
  });

  it('stays within its limits for any samples', () => {
    const random = new Prandom(5);
    for (let round = 0; round < 20; round++) {
      const sk = fresh();
      for (let i = 0; i < 500; i++) {
        const us = random.u32() % (random.u32() % 10 === 0 ? 200_000_000 : 400_000);
        if (random.u32() % 3 === 0) sk.sndUna = (sk.rttSeq + 1) | 0;
        sample(sk, us);
        expect(sk.icskRto).toBeGreaterThanOrEqual(200);
        expect(sk.icskRto).toBeLessThanOrEqual(120_000);
        expect(sk.srttUs).toBeGreaterThan(0);
        expect(Number.isInteger(sk.srttUs) && Number.isInteger(sk.mdevUs)).toBe(true);
      }
    }
  });

  it('takes no sample from nothing', () => {
    const sk = fresh();
    expect(sample(sk, -1)).toBe(false);
    expect(sk.srttUs).toBe(0);
  });
});

describe('the minimum RTT', () => {
  it('ignores delayed ACKs and forgets after five minutes', () => {
    const sk = fresh();
    sample(sk, 50_000);
    sample(sk, 60_000);
    expect(tcpMinRtt(sk)).toBe(50_000);
    sample(sk, 40_000, FLAG_ACKED | FLAG_ACK_MAYBE_DELAYED);
    expect(tcpMinRtt(sk)).toBe(40_000);
    rig.advance(301_000);
    sample(sk, 90_000, FLAG_ACKED | FLAG_ACK_MAYBE_DELAYED);
    expect(tcpMinRtt(sk)).toBe(40_000);
    sample(sk, 70_000);
    expect(tcpMinRtt(sk)).toBe(70_000);
  });
});

describe('the pacing rate', () => {
  it('is twice the window a round trip in slow start, 1.2 times after it', () => {
    const sk = fresh();
    sk.mssCache = 1000;
    sk.sndCwnd = 10;
    sk.sndSsthresh = 1000;
    sample(sk, 100_000);
    tcpUpdatePacingRate(sk);
    expect(sk.skPacingRate).toBe(200_000);
    sk.sndSsthresh = 10;
    tcpUpdatePacingRate(sk);
    expect(sk.skPacingRate).toBe(120_000);
    sk.skMaxPacingRate = 50_000;
    tcpUpdatePacingRate(sk);
    expect(sk.skPacingRate).toBe(50_000);
  });
});
