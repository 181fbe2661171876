/** What bounds the receiver's answers, what it counts, and what turns its mechanisms off. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tcpWinFromSpace } from '#include/net/tcp_inlines.ts';
import { tcpRcvbufGrow } from '#net/ipv4/tcp_input_rcvbuf.ts';
import { TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import {
  LINUX_MIB_DELAYEDACKLOST,
  LINUX_MIB_PAWS_OLD_ACK,
  LINUX_MIB_PAWSESTABREJECTED,
  LINUX_MIB_TCPACKCOMPRESSED,
  LINUX_MIB_TCPACKSKIPPEDCHALLENGE,
  LINUX_MIB_TCPCHALLENGEACK,
  LINUX_MIB_TCPDSACKOFOSENT,
  LINUX_MIB_TCPDSACKOLDSENT,
  LINUX_MIB_TCPOFOMERGE,
  LINUX_MIB_TCPOFOQUEUE,
  LINUX_MIB_TCPRCVCOALESCE,
} from '#uapi/snmp.ts';

let r: TcpRig;

beforeEach(() => {
  r = new TcpRig();
});

afterEach(() => {
  expect(r.end()).toEqual({});
});

function sysctl(name: string, value: string): void {
  expect(r.machine.initNet.sysctl.write(`net/ipv4/${name}`, value)).toBe(0);
}

/** A connection whose handshake took 100 ms. */
function accepted(options: string): number {
  const lfd = r.listen();
  r.inject({ flags: 'S', options });
  const ts = r.sent()[0]?.tsval ?? 0;
  r.advance(100);
  const echo = options.includes('TS') ? `nop,nop,TS 101:${ts}` : '';
  r.inject({ flags: '.', seq: 1, ack: 1, win: 1000, options: echo });
  const fd = r.accept(lfd);
  r.sent();
  return fd;
}

/** Bare ACKs since the last look. */
const acks = (): number => r.sent().filter((s) => s.flags === '.' && s.len === 0).length;

/** RSTs in the window, each of which asks for a challenge; how many came. */
function challenged(n: number): number {
  for (let i = 0; i < n; i++) r.inject({ flags: 'R', seq: 100 + i });
  return acks();
}

describe('challenge ACKs', () => {
  it('are sent once in tcp_invalid_ratelimit for each connection', () => {
    accepted('mss 1460');
    expect(challenged(5)).toBe(1);
    expect(r.mib(LINUX_MIB_TCPACKSKIPPEDCHALLENGE)).toBe(4);
    r.advance(499);
    expect(challenged(1)).toBe(0);
    r.advance(1);
    expect(challenged(1)).toBe(1);
    sysctl('tcp_invalid_ratelimit', '20');
    r.advance(20);
    expect(challenged(3)).toBe(1);
    expect(r.mib(LINUX_MIB_TCPCHALLENGEACK)).toBe(3);
  });

  it('are not limited by default for the machine, and not for a connection at 0', () => {
    accepted('mss 1460');
    sysctl('tcp_invalid_ratelimit', '0');
    expect(challenged(300)).toBe(300);
  });

  it('are limited for the machine by a count that cannot be guessed, anew each second', () => {
    accepted('mss 1460');
    sysctl('tcp_invalid_ratelimit', '0');
    sysctl('tcp_challenge_ack_limit', '100');
    const seen = new Set<number>();
    for (let second = 0; second < 8; second++) {
      r.advance(1000);
      const n = challenged(200);
      // Half of the limit, and up to all of it more.
      expect(n).toBeGreaterThanOrEqual(50);
      expect(n).toBeLessThan(150);
      seen.add(n);
    }
    expect(seen.size).toBeGreaterThan(1);
  });
});

describe('segments out of order', () => {
  it('are counted as they are queued, merged and found twice', () => {
    const fd = accepted('mss 1460,sackOK');
    r.inject({ flags: '.', seq: 1001, ack: 1, data: 500 });
    expect(r.mib(LINUX_MIB_TCPOFOQUEUE)).toBe(1);
    // Inside what is held.
    r.inject({ flags: '.', seq: 1101, ack: 1, data: 100 });
    expect(r.mib(LINUX_MIB_TCPOFOMERGE)).toBe(1);
    expect(r.mib(LINUX_MIB_TCPDSACKOFOSENT)).toBe(1);
    expect(r.sent().at(-1)?.options).toContain('sack 1101:1201 1001:1501');
    // Around it.
    r.inject({ flags: '.', seq: 901, ack: 1, data: 700 });
    expect(r.mib(LINUX_MIB_TCPOFOMERGE)).toBe(2);
    expect(r.sent().at(-1)?.options).toContain('sack 1001:1501 901:1601');
    r.inject({ flags: '.', seq: 1, ack: 1, data: 900 });
    expect(r.sent().at(-1)?.ack).toBe(1601);
    // Below the ACK.
    r.inject({ flags: '.', seq: 1, ack: 1, data: 10 });
    expect(r.mib(LINUX_MIB_TCPDSACKOLDSENT)).toBe(1);
    expect(r.mib(LINUX_MIB_DELAYEDACKLOST)).toBe(1);
    expect(r.sent().at(-1)?.options).toContain('sack 1:11');
    expect(r.read(fd)).toHaveLength(1600);
  });

  it('are acknowledged one by one, then together, as tcp_comp_sack_nr allows', () => {
    const answers = (nr: string, from: number): number => {
      sysctl('tcp_comp_sack_nr', nr);
      for (let i = 0; i < 12; i++) {
        r.inject({ flags: '.', seq: from + 200 * i, ack: 1, data: 100 });
      }
      return acks();
    };
    accepted('mss 1460,sackOK');
    // Blocks that do not touch show reordering: each is told at once.
    expect(answers('0', 10_001)).toBe(12);
    expect(r.mib(LINUX_MIB_TCPACKCOMPRESSED)).toBe(0);
    const held = (() => {
      sysctl('tcp_comp_sack_nr', '44');
      // One block that grows.
      for (let i = 0; i < 12; i++)
        r.inject({ flags: '.', seq: 20_001 + 100 * i, ack: 1, data: 100 });
      return acks();
    })();
    expect(held).toBeLessThan(12);
    r.advance(2);
    expect(acks()).toBe(1);
    expect(r.mib(LINUX_MIB_TCPACKCOMPRESSED)).toBeGreaterThan(0);
  });
});

describe('segments in order', () => {
  it('share packets where the first has room', () => {
    const fd = accepted('mss 1460');
    for (let i = 0; i < 10; i++) r.inject({ flags: '.', seq: 1 + 10 * i, ack: 1, data: 10 });
    expect(r.mib(LINUX_MIB_TCPRCVCOALESCE)).toBeGreaterThan(0);
    expect(r.sock(fd).skReceiveQueue.qlen + r.mib(LINUX_MIB_TCPRCVCOALESCE)).toBe(10);
    expect(r.read(fd)).toHaveLength(100);
  });
});

describe('timestamps', () => {
  it('of ACKs that were overtaken are no offence, of data they are', () => {
    accepted('mss 1460,sackOK,TS 100:0');
    const ts = 'nop,nop,TS 5000:0';
    r.inject({ flags: '.', seq: 1, ack: 1, data: 10, options: ts });
    r.inject({ flags: '.', seq: 11, ack: 1, data: 10, options: ts });
    r.advance(200);
    r.sent();
    r.inject({ flags: '.', seq: 11, ack: 1, options: 'nop,nop,TS 4000:0' });
    expect(r.mib(LINUX_MIB_PAWS_OLD_ACK)).toBe(1);
    expect(r.mib(LINUX_MIB_PAWSESTABREJECTED)).toBe(0);
    expect(acks()).toBe(0);
    r.inject({ flags: '.', seq: 21, ack: 1, data: 10, options: 'nop,nop,TS 4000:0' });
    expect(r.mib(LINUX_MIB_PAWSESTABREJECTED)).toBe(1);
    expect(acks()).toBe(1);
  });
});

describe('the urgent pointer', () => {
  for (const [std, at] of [
    ['0', 1],
    ['1', 2],
  ] as const) {
    it(`names byte ${at} with tcp_stdurg ${std}`, () => {
      const fd = accepted('mss 1460');
      sysctl('tcp_stdurg', std);
      r.inject({ flags: 'U.', seq: 1, ack: 1, urg: 1, data: 5 });
      expect((r.sock(fd).urgSeq - r.peerIsn) | 0).toBe(at);
    });
  }
});

describe('the receive buffer', () => {
  /** Six round trips of 50 ms, each of which fills what was offered, read at once. */
  function grown(moderate: string): number {
    const fd = accepted('mss 1460,sackOK,TS 100:0,nop,wscale 7');
    sysctl('tcp_moderate_rcvbuf', moderate);
    const before = r.sock(fd).skRcvbuf;
    let seq = 1;
    let stamp = 200;
    for (let round = 0; round < 6; round++) {
      const echo = r.sent().at(-1)?.tsval ?? 0;
      const window = Math.min(r.sock(fd).rcvWnd, 60_000);
      for (let sent = 0; sent + 1400 <= window; sent += 1400) {
        r.inject({
          flags: '.',
          seq,
          ack: 1,
          data: 1400,
          options: `nop,nop,TS ${stamp}:${echo}`,
        });
        seq += 1400;
        r.read(fd);
      }
      stamp += 50;
      r.advance(50);
    }
    r.sent();
    return r.sock(fd).skRcvbuf - before;
  }

  it('grows with what the reader takes in a round trip', () => {
    expect(grown('1')).toBeGreaterThan(0);
  });

  it('stays as it is without tcp_moderate_rcvbuf', () => {
    expect(grown('0')).toBe(0);
  });

  it('overshoots less below tcp_rcvbuf_low_rtt', () => {
    const tp = r.sock(accepted('mss 1460,sackOK,TS 100:0,nop,wscale 7'));
    const initial = tp.skRcvbuf;
    /** What tcp_rcvbuf_grow() makes of twice the bytes of the round trip before, at this RTT. */
    const size = (rttUs: number): number => {
      tp.skRcvbuf = initial;
      tp.rcvRttEstRttUs = rttUs * 8;
      tp.rcvqSpaceSpace = 100_000;
      tcpRcvbufGrow(tp, 200_000);
      return tcpWinFromSpace(tp, tp.skRcvbuf);
    };
    // Twice what was read, and by the share that the RTT has.
    expect(size(500)).toBeCloseTo(600_000, -2);
    sysctl('tcp_rcvbuf_low_rtt', '500');
    // Slow start: the sender doubles, and doubles again.
    const full = size(500);
    expect(full).toBeCloseTo(1_200_000, -2);
    sysctl('tcp_rcvbuf_low_rtt', '0');
    expect(size(1)).toBe(full);
    sysctl('tcp_rcvbuf_low_rtt', '2000');
    expect(size(500)).toBeCloseTo(500_000, -2);
  });
});
