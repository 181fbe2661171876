import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  IpMachine,
  icmpBytes,
  ipPacket,
  type SeenPacket,
  type WireDevice,
} from '#net/ipv4/testing/ip_machine.ts';
import { ICMP_EXC_FRAGTIME, ICMP_TIME_EXCEEDED } from '#uapi/icmp.ts';
import { IPPROTO_ICMP } from '#uapi/in.ts';
import { IP_DF, IP_MF } from '#uapi/ip.ts';
import {
  SKB_DROP_REASON_DUP_FRAG,
  SKB_DROP_REASON_FRAG_REASM_TIMEOUT,
  SKB_DROP_REASON_FRAG_TOO_FAR,
  SKB_DROP_REASON_NOMEM,
} from '#uapi/net_dropreason.ts';
import {
  IPSTATS_MIB_FRAGCREATES,
  IPSTATS_MIB_FRAGOKS,
  IPSTATS_MIB_REASM_OVERLAPS,
  IPSTATS_MIB_REASMFAILS,
  IPSTATS_MIB_REASMOKS,
  IPSTATS_MIB_REASMREQDS,
  IPSTATS_MIB_REASMTIMEOUT,
} from '#uapi/snmp.ts';

let m: IpMachine;
let eth0: WireDevice;
let eth1: WireDevice;

const HERE = '10.0.0.1';
const PEER = '10.0.0.2';

beforeEach(() => {
  m = new IpMachine();
  eth0 = m.device('eth0', HERE, 24);
  eth1 = m.device('eth1', '10.1.0.1', 24);
  m.neighbour(eth0, PEER);
  m.neighbour(eth1, '10.1.0.2');
  m.sysctl('ip_forward', 1);
  m.drops();
});

afterEach(() => {
  m.end();
  expect(m.net.ipv4.frags).toBeNull();
});

const pattern = (n: number): Uint8Array =>
  Uint8Array.from({ length: n }, (_, i) => (i * 7 + 3) & 0xff);

/** An echo request of `n` octets of data, in fragments cut at `cuts` (octets of the message, mod 8). */
function fragments(n: number, cuts: readonly number[], id = 1, extra = {}): Uint8Array[] {
  const message = icmpBytes(8, 0, 0x00010001, pattern(n));
  const borders = [0, ...cuts, message.length];
  return borders.slice(1).map((end, i) => {
    const start = borders[i] as number;
    const more = end < message.length ? IP_MF : 0;
    return ipPacket({
      src: PEER,
      dst: HERE,
      proto: IPPROTO_ICMP,
      id,
      frag: (start >> 3) | more,
      payload: message.subarray(start, end),
      ...extra,
    });
  });
}

/** Puts the fragments of an answer together, in order. */
function join(parts: SeenPacket[]): Uint8Array {
  const sorted = [...parts].sort((a, b) => (a.frag & 0x1fff) - (b.frag & 0x1fff));
  const out: number[] = [];
  for (const p of sorted) {
    expect((p.frag & 0x1fff) * 8).toBe(out.length);
    out.push(...p.payload);
  }
  expect((sorted.at(-1)?.frag ?? IP_MF) & IP_MF).toBe(0);
  return Uint8Array.from(out);
}

describe('ip_defrag', () => {
  it('makes the round trip for any size, cut and order: in fragments, and out in fragments', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 16, max: 20_000 }),
        fc.uniqueArray(fc.integer({ min: 1, max: 2500 }), { minLength: 1, maxLength: 12 }),
        fc.infiniteStream(fc.nat(1000)),
        (n, units, dice) => {
          const cuts = units
            .map((u) => u * 8)
            .filter((c) => c < n + 8)
            .sort((a, b) => a - b);
          const parts = fragments(n, cuts, dice.next().value as number);
          const order = parts
            .map((part) => ({ part, key: dice.next().value as number }))
            .sort((a, b) => a.key - b.key);
          for (const { part } of order) m.rx(eth0, part);
          const answer = join(eth0.take());
          expect(answer[0]).toBe(0);
          expect(answer.slice(8)).toEqual(pattern(n));
          expect(m.net.ipv4.frags?.mem).toBe(0);
          m.drops();
        },
      ),
      { numRuns: 40 },
    );
    expect(m.ipStat(IPSTATS_MIB_REASMFAILS)).toBe(0);
    expect(m.ipStat(IPSTATS_MIB_FRAGOKS)).toBeGreaterThan(0);
    expect(m.ipStat(IPSTATS_MIB_FRAGCREATES)).toBeGreaterThan(m.ipStat(IPSTATS_MIB_FRAGOKS));
  });

  it('ignores duplicates and goes on', () => {
    const [a, b, c] = fragments(40, [16, 32]) as [Uint8Array, Uint8Array, Uint8Array];
    for (const part of [a, b, b, a, c]) m.rx(eth0, part);
    expect(m.drops()).toEqual([SKB_DROP_REASON_DUP_FRAG, SKB_DROP_REASON_DUP_FRAG]);
    expect(eth0.take()).toHaveLength(1);
    expect(m.ipStat(IPSTATS_MIB_REASMOKS)).toBe(1);
    expect(m.ipStat(IPSTATS_MIB_REASMREQDS)).toBe(5);
  });

  it('gives the whole datagram up on an overlap', () => {
    const [a] = fragments(40, [16, 32]) as [Uint8Array];
    const [, wrong] = fragments(40, [8, 24]) as [Uint8Array, Uint8Array];
    m.rx(eth0, a);
    m.rx(eth0, wrong);
    expect(m.ipStat(IPSTATS_MIB_REASM_OVERLAPS)).toBe(1);
    expect(m.ipStat(IPSTATS_MIB_REASMFAILS)).toBe(1);
    expect(m.net.ipv4.frags?.count).toBe(0);
    // The rest begins a new datagram, which is never complete.
    for (const part of fragments(40, [16, 32]).slice(1)) m.rx(eth0, part);
    expect(eth0.take()).toEqual([]);
  });

  it('refuses octets beyond a known end, and two different ends', () => {
    const [, last] = fragments(40, [16]) as [Uint8Array, Uint8Array];
    const [, , beyond] = fragments(80, [16, 48]) as [Uint8Array, Uint8Array, Uint8Array];
    m.rx(eth0, last);
    m.rx(eth0, beyond);
    expect(m.ipStat(IPSTATS_MIB_REASMFAILS)).toBe(1);
    expect(m.net.ipv4.frags?.count).toBe(0);
  });

  it('answers when the first fragment was there and the rest did not come in time', () => {
    const [a] = fragments(600, [504]) as [Uint8Array];
    m.rx(eth0, a);
    m.advance(29_999);
    expect(eth0.take()).toEqual([]);
    m.advance(1);
    const [err] = eth0.take();
    expect([err?.payload[0], err?.payload[1]]).toEqual([ICMP_TIME_EXCEEDED, ICMP_EXC_FRAGTIME]);
    expect(m.drops()).toEqual([SKB_DROP_REASON_FRAG_REASM_TIMEOUT]);
    expect(m.ipStat(IPSTATS_MIB_REASMTIMEOUT)).toBe(1);
  });

  it('says nothing when the first fragment is missing', () => {
    const [, b] = fragments(600, [504]) as [Uint8Array, Uint8Array];
    m.rx(eth0, b);
    m.advance(30_000);
    expect(eth0.take()).toEqual([]);
    expect(m.drops()).toEqual([SKB_DROP_REASON_FRAG_REASM_TIMEOUT]);
  });

  it('stops taking fragments at the high threshold', () => {
    m.sysctl('ipfrag_low_thresh', 2000);
    m.sysctl('ipfrag_high_thresh', 4000);
    for (let id = 1; id <= 20; id++) m.rx(eth0, fragments(600, [504], id)[0] as Uint8Array);
    expect(m.drops()).toContain(SKB_DROP_REASON_NOMEM);
    expect(m.net.ipv4.frags?.mem ?? 0).toBeLessThan(4000 + 3000);
    m.advance(30_000);
    expect(m.net.ipv4.frags?.mem).toBe(0);
  });

  it('begins anew when the source has sent too much else in between', () => {
    m.sysctl('ipfrag_max_dist', 3);
    const [a, b] = fragments(600, [504], 7) as [Uint8Array, Uint8Array];
    m.rx(eth0, a);
    for (let id = 100; id < 105; id++) m.rx(eth0, fragments(600, [504], id)[0] as Uint8Array);
    m.rx(eth0, b);
    expect(m.drops()).toContain(SKB_DROP_REASON_FRAG_TOO_FAR);
    expect(eth0.take()).toEqual([]);
  });

  it.each([
    ['not capable and CE', 0, 3, null],
    ['ECT(0) and not capable', 2, 0, null],
    ['ECT(0) and CE', 2, 3, 3],
    ['ECT(1) and CE', 1, 3, 3],
    ['ECT(0) and ECT(0)', 2, 2, 2],
  ])('ECN of the parts: %s', (_name, first, second, whole) => {
    const [a] = fragments(40, [16], 3, { tos: first }) as [Uint8Array];
    const [, b] = fragments(40, [16], 3, { tos: second }) as [Uint8Array, Uint8Array];
    m.rx(eth0, a);
    m.rx(eth0, b);
    const seen = eth0.take();
    if (whole === null) expect(seen).toEqual([]);
    else expect((seen[0]?.tos ?? 0) & 3).toBe(whole);
  });

  it('keeps fragments of different datagrams apart', () => {
    const one = fragments(40, [16], 1);
    const two = fragments(48, [24], 2);
    m.rx(eth0, one[0] as Uint8Array);
    m.rx(eth0, two[0] as Uint8Array);
    m.rx(eth0, one[1] as Uint8Array);
    m.rx(eth0, two[1] as Uint8Array);
    expect(eth0.take().map((p) => p.payload.length)).toEqual([48, 56]);
  });
});

describe('fragments through a router', () => {
  it('pass as they are, the DF of none or all kept', () => {
    for (const part of fragments(3000, [1480, 2960], 9, { dst: '10.1.0.2', frag: undefined })) {
      m.rx(eth0, part);
    }
    const frag = ipPacket({
      src: PEER,
      dst: '10.1.0.2',
      frag: IP_DF | IP_MF,
      payload: pattern(64),
    });
    m.rx(eth0, frag);
    expect(eth1.take().at(-1)?.frag).toBe(IP_DF | IP_MF);
    expect(m.ipStat(IPSTATS_MIB_REASMREQDS)).toBe(0);
  });
});
