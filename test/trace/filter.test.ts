import { describe, expect, it } from 'vitest';
import { compileFilter, FilterError } from '#trace/filter.ts';
import type { Headers } from '#trace/headers.ts';

const base: Headers = {
  etherType: 0x0800,
  saddr: 0x0a000001,
  daddr: 0x0a000102,
  protocol: 6,
  totLen: 60,
  ttl: 64,
  id: 1,
  fragOffset: 0,
  moreFragments: false,
  sport: 40000,
  dport: 80,
  tcpFlags: 0x12,
  seq: 1,
  ackSeq: 2,
  window: 3,
  payload: 0,
  icmpType: -1,
  icmpCode: -1,
  arpOp: 0,
};
const udp: Headers = { ...base, protocol: 17, sport: 53, dport: 5353, tcpFlags: 0 };
const arp: Headers = { ...base, etherType: 0x0806, protocol: -1, sport: -1, dport: -1, arpOp: 1 };
const icmp: Headers = { ...base, protocol: 1, sport: -1, dport: -1, icmpType: 8, icmpCode: 0 };

/** Which of TCP, UDP, ARP and ICMP pass, as `tuai`. */
function passing(filter: string): string {
  const test = compileFilter(filter);
  const all: readonly [string, Headers][] = [
    ['t', base],
    ['u', udp],
    ['a', arp],
    ['i', icmp],
  ];
  return all
    .filter(([, headers]) => test(headers, 60))
    .map(([letter]) => letter)
    .join('');
}

describe('a filter of tcpdump', () => {
  it.each([
    ['', 'tuai'],
    ['ip', 'tui'],
    ['arp', 'a'],
    ['tcp or udp', 'tu'],
    ['not arp', 'tui'],
    ['! ( arp || icmp )', 'tu'],
    ['host 10.0.0.1', 'tuai'],
    ['src host 10.0.1.2', ''],
    ['dst 10.0.1.2 and icmp', 'i'],
    ['src or dst host 10.0.1.2', 'tuai'],
    ['src and dst net 10.0.0.0/16', 'tuai'],
    ['src and dst net 10.0.0.0/24', ''],
    ['net 10.0.1.0/24', 'tuai'],
    ['port 80', 't'],
    ['tcp port 80 or 53', 't'],
    ['port 80 or 53', 'tu'],
    ['src port 53', 'u'],
    ['udp dst port 5353', 'u'],
    ['portrange 50-90', 'tu'],
    ['ip proto 17', 'u'],
    ['ip proto icmp', 'i'],
    ['tcp[tcpflags] & tcp-syn != 0', 't'],
    ['tcp[tcpflags] & (tcp-syn|tcp-ack) == (tcp-syn|tcp-ack)', 't'],
    ['tcp[tcpflags] == tcp-syn', ''],
    ['tcp[13] & 0x02 != 0', 't'],
    ['icmp[icmptype] == 8', 'i'],
    ['less 60', 'tuai'],
    ['greater 61', ''],
    ['tcp and not port 80 or arp', 'a'],
  ])('%s', (filter, expected) => {
    expect(passing(filter)).toBe(expected);
  });

  it.each([
    ['host', "what belongs to 'host' is missing"],
    ['host 10.0.0', 'no IPv4 address'],
    ['port 70000', 'no number up to 65535'],
    ['nonsense', "'nonsense' is not understood"],
    ['constructor', "'constructor' is not understood"],
    ['ip proto toString', "'toString' is no number"],
    ['tcp[tcpflags] & valueOf != 0', "'valueOf' is no number"],
    ['tcp[tcpflags] constructor 2', "'constructor' does not compare"],
    ['tcp and', 'something is missing'],
    ['(tcp', "')' is missing"],
    ['tcp)', 'not expected there'],
    ['tcp[9] == 1', 'not known here'],
    ['tcp[tcpflags] & tcp-syn', 'a comparison is missing'],
    ['host 10.0.0.0/8', 'is a net'],
    ['port 1-2', "does not belong to 'port'"],
    ['§', 'is not understood'],
    ['('.repeat(300), 'too many parentheses'],
    ['!'.repeat(300), 'too many parentheses and negations'],
  ])('refuses %s', (filter, message) => {
    expect(() => compileFilter(filter)).toThrow(FilterError);
    expect(() => compileFilter(filter)).toThrow(message);
  });
});
