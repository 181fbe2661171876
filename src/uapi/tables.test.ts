import { constants } from 'node:os';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as errno from '#uapi/errno.ts';
import * as inAddr from '#uapi/in.ts';
import * as reasons from '#uapi/net_dropreason.ts';
import * as sched from '#uapi/pkt_sched.ts';
import * as snmp from '#uapi/snmp.ts';
import {
  getTcpInfo,
  newTcpInfo,
  putTcpInfo,
  TCP_INFO_FIELDS,
  TCP_INFO_LEN,
} from '#uapi/tcp_info.ts';

/** The numeric exports of a module. */
function numbersOf(module: object): [name: string, value: number][] {
  return Object.entries<unknown>({ ...module }).filter(
    (e): e is [string, number] => typeof e[1] === 'number',
  );
}

describe('errno', () => {
  const numbers = numbersOf(errno).filter(([, n]) => n < 512);

  it.runIf(process.platform === 'linux')('has the numbers of this host', () => {
    for (const [name, n] of Object.entries(constants.errno)) {
      expect([name, new Map(numbers).get(name)]).toEqual([name, n]);
    }
  });

  it('names each number once, of either sign', () => {
    for (const [name, n] of numbers) {
      const known = errno.errnoName(n) as string;
      expect(new Map(numbers).get(known)).toBe(n);
      expect(errno.errnoName(-n)).toBe(known);
      if (!['EWOULDBLOCK', 'EDEADLOCK', 'ENOTSUP'].includes(name)) expect(known).toBe(name);
    }
    expect(errno.errnoName(0)).toBeNull();
    expect(errno.errnoName(41)).toBeNull();
    expect(errno.errnoName(9999)).toBeNull();
  });

  it('words them as Linux does', () => {
    expect(errno.strerror(-errno.ECONNREFUSED)).toBe('Connection refused');
    expect(errno.strerror(errno.EHWPOISON)).toBe('Memory page has hardware error');
    expect(errno.strerror(0)).toBe('Success');
    expect(errno.strerror(41)).toBe('Unknown error 41');
    expect(errno.strerror(512)).toBe('Unknown error 512');
  });
});

describe('drop reasons', () => {
  it('are numbered without a gap and named after their constants', () => {
    const all = numbersOf(reasons).filter(
      ([name]) => name.startsWith('SKB_') && !/_(MAX|SUBSYS_\w+)$/.test(name),
    );
    expect(all.map(([, n]) => n).sort((a, b) => a - b)).toEqual(all.map((_, i) => i));
    expect(all).toHaveLength(reasons.SKB_DROP_REASON_MAX);
    for (const [name, n] of all) {
      expect(reasons.dropReasonName(n)).toBe(name.replace(/^SKB_(DROP_REASON_)?/, ''));
    }
    expect(reasons.dropReasonName(reasons.SKB_DROP_REASON_NO_SOCKET)).toBe('NO_SOCKET');
    expect(reasons.dropReasonName(0x20003)).toBe('0x20003');
  });
});

describe('counters', () => {
  const tables: readonly [string, readonly snmp.SnmpItem[], number][] = [
    ['Ip', snmp.SNMP4_IPSTATS_LIST, snmp.IPSTATS_MIB_MAX],
    ['IpExt', snmp.SNMP4_IPEXTSTATS_LIST, snmp.IPSTATS_MIB_MAX],
    ['Icmp', snmp.SNMP4_ICMP_LIST, snmp.ICMP_MIB_MAX],
    ['Tcp', snmp.SNMP4_TCP_LIST, snmp.TCP_MIB_MAX],
    ['Udp', snmp.SNMP4_UDP_LIST, snmp.UDP_MIB_MAX],
    ['TcpExt', snmp.SNMP4_NET_LIST, snmp.LINUX_MIB_MAX],
    ['Ip6', snmp.SNMP6_IPSTATS_LIST, snmp.IPSTATS_MIB_MAX],
    ['Icmp6', snmp.SNMP6_ICMP6_LIST, snmp.ICMP6_MIB_MAX],
    ['Udp6', snmp.SNMP6_UDP6_LIST, snmp.UDP_MIB_MAX],
  ];

  it.each(tables)('of %s point at distinct counters of their block', (_, list, max) => {
    const indices = list.map(([, i]) => i);
    expect(new Set(indices).size).toBe(indices.length);
    for (const i of indices) expect(i > 0 && i < max).toBe(true);
  });

  it('print every TcpExt counter, and the IPv4 ones in one of two tables', () => {
    expect(snmp.SNMP4_NET_LIST).toHaveLength(snmp.LINUX_MIB_MAX - 1);
    const ip = new Set(
      [...snmp.SNMP4_IPSTATS_LIST, ...snmp.SNMP4_IPEXTSTATS_LIST].map(([, i]) => i),
    );
    // Only IPv6 prints the packets that were too big to forward.
    const missing = Array.from({ length: snmp.IPSTATS_MIB_MAX - 1 }, (_, i) => i + 1).filter(
      (i) => !ip.has(i),
    );
    expect(missing).toEqual([snmp.IPSTATS_MIB_INTOOBIGERRORS]);
  });
});

describe('tcp_info', () => {
  it('has its fields one after the other, up to its length', () => {
    let bits = 0;
    for (const f of TCP_INFO_FIELDS) {
      // Five bits behind the two bit fields of octet 7 are unused; there is no other gap.
      if (f.name === 'rto') bits += 5;
      expect(f.offset * 8 + f.shift, f.name).toBe(bits);
      bits += f.bits;
    }
    expect(bits).toBe(TCP_INFO_LEN * 8);
  });

  it('reads back what it wrote, and the front part from a short buffer', () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.maxSafeNat()), fc.nat(TCP_INFO_LEN + 8), (values, len) => {
        const info = newTcpInfo();
        for (const f of TCP_INFO_FIELDS) {
          const x = values.next().value as number;
          info[f.name] = f.bits === 64 ? x : x % 2 ** f.bits;
        }
        const bytes = new Uint8Array(TCP_INFO_LEN + 16).fill(0xa5);
        const v = new DataView(bytes.buffer);
        const n = putTcpInfo(v, 4, len, info);
        expect(n).toBe(Math.min(len, TCP_INFO_LEN));
        expect(bytes.subarray(4 + n).every((b) => b === 0xa5)).toBe(true);
        const back = getTcpInfo(v, 4, n);
        for (const f of TCP_INFO_FIELDS) {
          const inside = f.offset + Math.ceil(f.bits / 8) <= n;
          expect(back[f.name], f.name).toBe(inside ? info[f.name] : 0);
        }
      }),
    );
  });

  it('carries a rate without limit', () => {
    const v = new DataView(new ArrayBuffer(TCP_INFO_LEN));
    putTcpInfo(v, 0, TCP_INFO_LEN, { ...newTcpInfo(), maxPacingRate: Number.POSITIVE_INFINITY });
    expect(v.getBigUint64(112, true)).toBe(2n ** 64n - 1n);
    expect(getTcpInfo(v, 0, TCP_INFO_LEN).maxPacingRate).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('small helpers', () => {
  it('tell kinds of IPv4 address apart', () => {
    expect(inAddr.ipv4IsMulticast(0xe0000001)).toBe(true);
    expect(inAddr.ipv4IsMulticast(0xf0000000)).toBe(false);
    expect(inAddr.ipv4IsLocalMulticast(0xe00000ff)).toBe(true);
    expect(inAddr.ipv4IsLocalMulticast(0xe0000100)).toBe(false);
    expect(inAddr.ipv4IsLbcast(0xffffffff)).toBe(true);
    expect(inAddr.ipv4IsLbcast(-1)).toBe(true);
    expect(inAddr.ipv4IsLoopback(0x7f123456)).toBe(true);
    expect(inAddr.ipv4IsLoopback(0x80000001)).toBe(false);
    expect(inAddr.ipv4IsZeronet(0)).toBe(true);
    expect(inAddr.ipv4IsLinklocal169(0xa9fe0101)).toBe(true);
  });

  it('take handles apart and put them together', () => {
    expect(sched.tcHMake(0x8001, 0x10)).toBe(0x80010010);
    expect(sched.tcHMaj(0x80010010)).toBe(0x8001);
    expect(sched.tcHMin(0x80010010)).toBe(0x10);
    expect(sched.prio2band).toHaveLength(16);
    expect(sched.prio2band[sched.TC_PRIO_CONTROL]).toBe(0);
    expect(sched.prio2band[sched.TC_PRIO_BULK]).toBe(2);
  });
});
