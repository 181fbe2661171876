/** The settings of loss recovery and of its timers: each turned away from its default, and seen to act. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import {
  LINUX_MIB_TCPABORTONMEMORY,
  LINUX_MIB_TCPABORTONTIMEOUT,
  LINUX_MIB_TCPDSACKIGNOREDDUBIOUS,
  LINUX_MIB_TCPLOSSFAILURES,
  LINUX_MIB_TCPLOSSPROBERECOVERY,
  LINUX_MIB_TCPLOSSPROBES,
  LINUX_MIB_TCPRENORECOVERYFAIL,
  LINUX_MIB_TCPSACKDISCARD,
  LINUX_MIB_TCPSACKRECOVERYFAIL,
  LINUX_MIB_TCPSACKREORDER,
} from '#uapi/snmp.ts';
import { SOL_TCP } from '#uapi/socket.ts';
import { TCP_CA_Loss, TCP_CA_Recovery, TCP_CLOSE, TCP_FIN_WAIT1, TCP_NODELAY } from '#uapi/tcp.ts';

const MSS = 1000;
const RTT = 100;
const SYN = 'mss 1000,sackOK,nop,nop,nop,wscale 7';

let r: TcpRig;

beforeEach(() => {
  r = new TcpRig();
});

afterEach(() => {
  expect(r.end()).toEqual({});
});

function sysctl(name: string, value: number): void {
  expect(r.machine.initNet.sysctl.write(`net/ipv4/${name}`, String(value))).toBe(0);
}

/** A connection with an RTT of 100 ms that was measured on the handshake. */
function sender(options = SYN): number {
  const lfd = r.listen();
  r.inject({ flags: 'S', options });
  r.sent();
  r.advance(RTT);
  r.inject({ flags: '.', seq: 1, ack: 1, win: 2000 });
  const fd = r.accept(lfd);
  r.close(lfd);
  r.setInt(fd, SOL_TCP, TCP_NODELAY, 1);
  return fd;
}

/** Segments of data since the last look, numbered from 0. */
function segments(): number[] {
  return r
    .sent()
    .filter((s) => s.len > 0)
    .flatMap((s) =>
      Array.from({ length: Math.ceil(s.len / MSS) }, (_, i) => (s.seq - 1) / MSS + i),
    );
}

const ack = (n: number, sacks: readonly (readonly [number, number])[] = []) => ({
  flags: '.',
  seq: 1,
  ack: 1 + n * MSS,
  win: 2000,
  options:
    sacks.length === 0
      ? ''
      : `nop,nop,sack ${sacks.map(([a, b]) => `${1 + a * MSS}:${1 + b * MSS}`).join(' ')}`,
});

/** Writes segments, and lets an RTT pass. */
function flight(fd: number, n: number): void {
  r.write(fd, n * MSS);
  segments();
  r.advance(RTT);
}

/** When segments leave within `totalMs`, in ms. */
function departures(totalMs: number): number[] {
  const start = r.nowMs;
  const out: number[] = [];
  while (r.nowMs - start < totalMs) {
    r.advance(10);
    for (let n = r.sent().length; n > 0; n--) out.push(Math.round(r.nowMs - start));
  }
  return out;
}

describe('the tail loss probe', () => {
  it('is sent after two round trips, and not with tcp_early_retrans 0', () => {
    for (const [early, sent] of [
      [3, [2]],
      [0, []],
    ] as const) {
      sysctl('tcp_early_retrans', early);
      const fd = sender();
      r.write(fd, 3 * MSS);
      segments();
      r.advance(2 * RTT + 10);
      expect(segments()).toEqual(sent);
      r.inject(ack(3));
      r.inject({ flags: 'R', seq: 1 });
      r.close(fd);
      r.remotePort++;
    }
    expect(r.mib(LINUX_MIB_TCPLOSSPROBES)).toBe(1);
  });

  it('that repaired a loss reduces the window, one that was needless does not', () => {
    const fd = sender();
    const sk = r.sock(fd);
    r.write(fd, 3 * MSS);
    r.advance(2 * RTT + 10);
    r.write(fd, MSS);
    segments();
    const before = sk.sndCwnd;
    r.inject(ack(4));
    expect(r.mib(LINUX_MIB_TCPLOSSPROBERECOVERY)).toBe(1);
    expect(sk.sndCwnd).toBeLessThan(before);
    // Again, and the peer tells that the probe came twice.
    const smaller = sk.sndCwnd;
    r.write(fd, MSS);
    r.advance(5 * RTT);
    expect(segments()).toContain(4);
    r.inject(ack(5, [[4, 5]]));
    expect(r.mib(LINUX_MIB_TCPLOSSPROBERECOVERY)).toBe(1);
    expect([sk.tlpHighSeq, sk.sndCwnd >= smaller]).toEqual([0, true]);
  });
});

describe('RACK', () => {
  it('waits with bit 4 of tcp_recovery though three segments were SACKed', () => {
    for (const [recovery, atOnce] of [
      [1, true],
      [5, false],
    ] as const) {
      sysctl('tcp_recovery', recovery);
      const fd = sender();
      flight(fd, 10);
      r.inject(ack(0, [[1, 4]]));
      expect(segments().includes(0)).toBe(atOnce);
      r.advance(30);
      expect(segments().includes(0)).toBe(!atOnce);
      r.inject(ack(10));
      r.inject({ flags: 'R', seq: 1 });
      r.close(fd);
      r.remotePort++;
    }
  });

  it('begins with the degree that tcp_reordering says', () => {
    sysctl('tcp_reordering', 6);
    const fd = sender();
    expect(r.sock(fd).reordering).toBe(6);
    flight(fd, 10);
    r.inject(ack(0, [[1, 4]]));
    expect(segments()).not.toContain(0);
    r.inject(ack(0, [[1, 7]]));
    expect(segments()).toContain(0);
    r.inject(ack(10));
  });

  it('learns the degree, up to tcp_max_reordering', () => {
    for (const [max, degree] of [
      [300, 8],
      [5, 5],
    ] as const) {
      sysctl('tcp_max_reordering', max);
      const fd = sender();
      flight(fd, 10);
      r.inject(ack(0, [[8, 9]]));
      r.inject(
        ack(0, [
          [1, 2],
          [8, 9],
        ]),
      );
      expect(r.sock(fd).reordering).toBe(degree);
      r.inject(ack(10));
      r.inject({ flags: 'R', seq: 1 });
      r.close(fd);
      r.remotePort++;
    }
    expect(r.mib(LINUX_MIB_TCPSACKREORDER)).toBeGreaterThanOrEqual(2);
  });
});

describe('SACK blocks', () => {
  it('of what was never sent are discarded, DSACKs of what was never repeated are not believed', () => {
    const fd = sender();
    flight(fd, 4);
    r.inject(ack(0, [[50, 51]]));
    expect(r.mib(LINUX_MIB_TCPSACKDISCARD)).toBe(1);
    expect(r.sock(fd).sackedOut).toBe(0);
    r.inject(ack(2));
    r.inject(ack(2, [[0, 1]]));
    expect(r.mib(LINUX_MIB_TCPDSACKIGNOREDDUBIOUS)).toBe(1);
    r.inject(ack(4));
  });
});

describe('a timeout', () => {
  it('is watched by F-RTO unless tcp_frto is 0', () => {
    for (const frto of [2, 0]) {
      sysctl('tcp_frto', frto);
      const fd = sender();
      r.write(fd, 4 * MSS);
      r.advance(1000);
      const sk = r.sock(fd);
      expect([sk.icskCaState, sk.frto]).toEqual([TCP_CA_Loss, frto !== 0]);
      r.inject(ack(4));
      r.inject({ flags: 'R', seq: 1 });
      r.close(fd);
      r.remotePort++;
    }
  });

  it('is counted by what it interrupts', () => {
    const fd = sender();
    const sk = r.sock(fd);
    flight(fd, 10);
    r.inject(ack(0, [[1, 4]]));
    expect(sk.icskCaState).toBe(TCP_CA_Recovery);
    r.advance(2000);
    expect(sk.icskCaState).toBe(TCP_CA_Loss);
    expect(r.mib(LINUX_MIB_TCPSACKRECOVERYFAIL)).toBe(1);
    expect(r.mib(LINUX_MIB_TCPLOSSFAILURES)).toBe(0);
    // An ACK of a part, and then nothing again.
    r.inject(ack(1, [[1, 4]]));
    r.inject(ack(4));
    expect(sk.icskCaState).toBe(TCP_CA_Loss);
    r.advance(10_000);
    expect(r.mib(LINUX_MIB_TCPLOSSFAILURES)).toBe(1);
    segments();
    r.inject(ack(10));
  });

  it('is counted apart without SACK', () => {
    const fd = sender('mss 1000,nop,wscale 7');
    flight(fd, 10);
    for (let i = 0; i < 3; i++) r.inject(ack(0));
    expect(r.sock(fd).icskCaState).toBe(TCP_CA_Recovery);
    r.advance(2000);
    expect(r.mib(LINUX_MIB_TCPRENORECOVERYFAIL)).toBe(1);
    segments();
    r.inject(ack(10));
  });

  it('comes after tcp_rto_min_us and the RTT, and doubles up to tcp_rto_max_ms', () => {
    const usual = sender();
    expect(r.sock(usual).icskRto).toBe(RTT + 200);
    r.inject({ flags: 'R', seq: 1 });
    r.close(usual);
    r.remotePort++;
    sysctl('tcp_rto_min_us', 500_000);
    sysctl('tcp_rto_max_ms', 2000);
    const fd = sender();
    expect(r.sock(fd).icskRto).toBe(RTT + 500);
    r.write(fd, MSS);
    r.sent();
    const times = departures(12_000);
    const gaps = times.slice(1).map((t, i) => t - (times[i] ?? 0));
    expect(Math.max(...gaps)).toBe(2000);
    expect(gaps.filter((gap) => gap === 2000).length).toBeGreaterThan(2);
    r.inject(ack(1));
  });

  it('does not double for a thin stream with tcp_thin_linear_timeouts', () => {
    const gapsOf = (thin: number): number[] => {
      sysctl('tcp_thin_linear_timeouts', thin);
      const fd = sender();
      r.write(fd, MSS);
      r.sent();
      const times = departures(5000);
      r.inject(ack(1));
      r.inject({ flags: 'R', seq: 1 });
      r.close(fd);
      r.remotePort++;
      return times.slice(2).map((t, i) => t - (times[i + 1] ?? 0));
    };
    expect(gapsOf(0)[1]).toBeGreaterThan(gapsOf(0)[0] ?? 0);
    const [first, second, third] = gapsOf(1);
    expect([second, third]).toEqual([first, first]);
  });

  it('sends small segments again as one, or one by one without tcp_retrans_collapse', () => {
    // The last of the three has gone out again by itself, as the probe of the tail.
    for (const [collapse, len] of [
      [1, 200],
      [0, 100],
    ] as const) {
      sysctl('tcp_retrans_collapse', collapse);
      const fd = sender();
      for (let i = 0; i < 3; i++) r.write(fd, 100);
      r.sent();
      r.advance(1500);
      const first = r.sent().find((s) => s.seq === 1);
      expect(first?.len).toBe(len);
      r.inject({ ...ack(0), ack: 301 });
      r.inject({ flags: 'R', seq: 1 });
      r.close(fd);
      r.remotePort++;
    }
  });
});

describe('an orphan', () => {
  it('is given up after tcp_orphan_retries', () => {
    for (const [retries, state] of [
      [0, TCP_FIN_WAIT1],
      [2, TCP_CLOSE],
    ] as const) {
      sysctl('tcp_orphan_retries', retries);
      const fd = sender();
      const sk = r.sock(fd);
      r.write(fd, MSS);
      r.close(fd);
      r.advance(6000);
      expect(sk.skcState).toBe(state);
      r.inject({ flags: 'R', seq: 1 });
      r.remotePort++;
    }
    expect(r.mib(LINUX_MIB_TCPABORTONTIMEOUT)).toBe(1);
  });

  it('is reset when there are more than tcp_max_orphans', () => {
    sysctl('tcp_max_orphans', 0);
    const fd = sender();
    const sk = r.sock(fd);
    r.write(fd, MSS);
    r.sent();
    r.close(fd);
    expect(r.sent().map((s) => s.flags)).toContain('R.');
    expect(sk.skcState).toBe(TCP_CLOSE);
    expect(r.mib(LINUX_MIB_TCPABORTONMEMORY)).toBe(1);
  });
});

describe('the congestion window', () => {
  it('decays in idle time unless tcp_slow_start_after_idle is 0', () => {
    for (const [idle, cwnd] of [
      [1, 10],
      [0, 40],
    ] as const) {
      sysctl('tcp_slow_start_after_idle', idle);
      const fd = sender();
      const sk = r.sock(fd);
      sk.sndCwnd = 40;
      flight(fd, 1);
      r.inject(ack(1));
      r.advance(20_000);
      r.write(fd, MSS);
      expect(sk.sndCwnd).toBe(cwnd);
      segments();
      r.inject(ack(2));
      r.inject({ flags: 'R', seq: 1 });
      r.close(fd);
      r.remotePort++;
    }
  });
});

describe('the send buffer', () => {
  /** Fills the buffer again and again, with windows that grow; how much larger it has become. */
  function grown(lock: boolean): number {
    const fd = sender();
    const sk = r.sock(fd);
    if (lock) r.setInt(fd, 1, 7, 50_000);
    const before = sk.skSndbuf;
    let acked = 0;
    for (let round = 0; round < 8; round++) {
      while (r.write(fd, 10 * MSS) > 0);
      for (const s of r.sent()) acked = Math.max(acked, s.seq + s.len - 1);
      r.advance(RTT);
      r.inject({ ...ack(0), ack: 1 + acked });
    }
    for (let i = 0; i < 200 && sk.sndUna !== sk.writeSeq; i++) {
      for (const s of r.sent()) acked = Math.max(acked, s.seq + s.len - 1);
      r.inject({ ...ack(0), ack: 1 + acked });
    }
    const grew = sk.skSndbuf - before;
    r.inject({ flags: 'R', seq: 1 });
    r.close(fd);
    return grew;
  }

  it('grows with the congestion window', () => {
    expect(grown(false)).toBeGreaterThan(0);
  });

  it('stays at what SO_SNDBUF said', () => {
    expect(grown(true)).toBe(0);
  });
});
