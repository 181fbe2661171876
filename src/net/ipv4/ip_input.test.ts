import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  IpMachine,
  icmpBytes,
  ipPacket,
  udpBytes,
  type WireDevice,
} from '#net/ipv4/testing/ip_machine.ts';
import { nfRegisterNetHook } from '#net/netfilter/core.ts';
import {
  ICMP_DEST_UNREACH,
  ICMP_EXC_TTL,
  ICMP_FRAG_NEEDED,
  ICMP_PARAMETERPROB,
  ICMP_PROT_UNREACH,
  ICMP_TIME_EXCEEDED,
} from '#uapi/icmp.ts';
import { IPPROTO_ICMP } from '#uapi/in.ts';
import { IP_DF } from '#uapi/ip.ts';
import {
  SKB_DROP_REASON_IP_CSUM,
  SKB_DROP_REASON_IP_INHDR,
  SKB_DROP_REASON_IP_INVALID_SOURCE,
  SKB_DROP_REASON_IP_NOPROTO,
  SKB_DROP_REASON_NETFILTER_DROP,
  SKB_DROP_REASON_NOT_SPECIFIED,
  SKB_DROP_REASON_OTHERHOST,
  SKB_DROP_REASON_PKT_TOO_BIG,
  SKB_DROP_REASON_PKT_TOO_SMALL,
} from '#uapi/net_dropreason.ts';
import {
  NF_ACCEPT,
  NF_DROP,
  NF_INET_FORWARD,
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
  NFPROTO_IPV4,
} from '#uapi/netfilter.ts';
import {
  IPSTATS_MIB_CSUMERRORS,
  IPSTATS_MIB_FRAGFAILS,
  IPSTATS_MIB_INDELIVERS,
  IPSTATS_MIB_INHDRERRORS,
  IPSTATS_MIB_INPKTS,
  IPSTATS_MIB_INTRUNCATEDPKTS,
  IPSTATS_MIB_INUNKNOWNPROTOS,
  IPSTATS_MIB_OUTFORWDATAGRAMS,
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
  m.drops();
});

afterEach(() => m.end());

const echo = icmpBytes(8, 0, 0x00010001, [1, 2, 3, 4, 5, 6, 7, 8]);
const good = { src: PEER, dst: HERE, proto: IPPROTO_ICMP, payload: echo };

describe('ip_rcv', () => {
  it.each([
    ['fewer octets than a header', ipPacket(good).slice(0, 19), SKB_DROP_REASON_PKT_TOO_SMALL, []],
    ['version 6', ipPacket({ ...good, version: 6 }), SKB_DROP_REASON_IP_INHDR, []],
    ['a header of four words', ipPacket({ ...good, ihl: 4 }), SKB_DROP_REASON_IP_INHDR, []],
    [
      'a header longer than the packet',
      ipPacket({ ...good, payload: [], ihl: 15 }),
      SKB_DROP_REASON_PKT_TOO_SMALL,
      [],
    ],
    [
      'a wrong checksum',
      ipPacket({ ...good, check: 1 }),
      SKB_DROP_REASON_IP_CSUM,
      [IPSTATS_MIB_CSUMERRORS],
    ],
    ['a length below the header', ipPacket({ ...good, totLen: 19 }), SKB_DROP_REASON_IP_INHDR, []],
  ])('drops %s', (_name, packet, reason, counters) => {
    m.rx(eth0, packet);
    expect(m.drops()).toEqual([reason]);
    expect(m.ipStat(IPSTATS_MIB_INPKTS)).toBe(1);
    for (const c of [IPSTATS_MIB_INHDRERRORS, ...counters]) expect(m.ipStat(c)).toBe(1);
    expect(m.ipStat(IPSTATS_MIB_INDELIVERS)).toBe(0);
    expect(eth0.take()).toEqual([]);
  });

  it('counts a truncated packet apart from header errors', () => {
    m.rx(eth0, ipPacket({ ...good, totLen: 100 }));
    expect(m.drops()).toEqual([SKB_DROP_REASON_PKT_TOO_SMALL]);
    expect(m.ipStat(IPSTATS_MIB_INTRUNCATEDPKTS)).toBe(1);
    expect(m.ipStat(IPSTATS_MIB_INHDRERRORS)).toBe(0);
  });

  it('does not even look at frames for others', () => {
    m.rx(eth0, ipPacket(good), [2, 9, 9, 9, 9, 9]);
    expect(m.drops()).toEqual([SKB_DROP_REASON_OTHERHOST]);
    expect(m.ipStat(IPSTATS_MIB_INPKTS)).toBe(0);
  });

  it('cuts off what the link padded', () => {
    m.rx(eth0, ipPacket(good), undefined, 18);
    const [reply] = eth0.take();
    expect(reply?.payload.length).toBe(echo.length);
    expect([...(reply?.payload.slice(8) ?? [])]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('refuses a broadcast as source', () => {
    m.rx(eth0, ipPacket({ ...good, src: '255.255.255.255' }));
    expect(m.drops()).toEqual([SKB_DROP_REASON_IP_INVALID_SOURCE]);
  });

  it('answers a protocol that nobody speaks', () => {
    m.rx(eth0, ipPacket({ ...good, proto: 99, payload: [1, 2, 3, 4, 5, 6, 7, 8] }));
    expect(m.drops()).toEqual([SKB_DROP_REASON_IP_NOPROTO]);
    expect(m.ipStat(IPSTATS_MIB_INUNKNOWNPROTOS)).toBe(1);
    const [err] = eth0.take();
    expect([err?.payload[0], err?.payload[1]]).toEqual([ICMP_DEST_UNREACH, ICMP_PROT_UNREACH]);
    expect(err?.dst).toBe(PEER);
  });
});

describe('options', () => {
  const opts = (...bytes: number[]): number[] => [
    ...bytes,
    ...Array((4 - (bytes.length % 4)) % 4).fill(0),
  ];

  it.each([
    ['a length of one', opts(7, 1, 4), 20],
    ['an option that runs over the end', opts(7, 9, 4), 20],
    ['a pointer before the list', opts(7, 7, 3, 0, 0, 0, 0), 22],
    ['two record routes', opts(7, 3, 4, 7, 3, 4), 23],
    ['two source routes', opts(131, 3, 4, 137, 3, 4), 23],
    ['a timestamp too short', opts(68, 3, 5), 21],
    ['a full timestamp overflow', opts(68, 4, 9, 0xf0), 23],
  ])('%s is a parameter problem', (_name, options, pointer) => {
    m.rx(eth0, ipPacket({ ...good, options }));
    expect(m.drops()).toEqual([SKB_DROP_REASON_IP_INHDR]);
    const [err] = eth0.take();
    expect([err?.payload[0], err?.payload[4]]).toEqual([ICMP_PARAMETERPROB, pointer]);
  });

  it('records this host in a route, in the echo and in its answer', () => {
    m.rx(eth0, ipPacket({ ...good, options: opts(7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0) }));
    const [reply] = eth0.take();
    // Once on arrival, once on departure.
    expect(reply?.options.slice(0, 11)).toEqual([7, 11, 12, 10, 0, 0, 1, 10, 0, 0, 1]);
  });

  it('stamps the time of day', () => {
    m.rx(eth0, ipPacket({ ...good, options: opts(68, 8, 5, 0, 0, 0, 0, 0) }));
    const [reply] = eth0.take();
    const stamp = new DataView(Uint8Array.from(reply?.options ?? []).buffer).getUint32(4);
    expect(stamp).toBe((1_000_000_000 % 86400) * 1000);
  });

  it('does not follow source routes unless told to', () => {
    const options = opts(131, 7, 4, 10, 1, 0, 2);
    m.rx(eth0, ipPacket({ ...good, options }));
    expect(m.drops()).toEqual([SKB_DROP_REASON_NOT_SPECIFIED]);
    expect(eth1.take()).toEqual([]);
  });
});

describe('hooks', () => {
  const points: readonly (readonly [string, number])[] = [
    ['PRE_ROUTING', NF_INET_PRE_ROUTING],
    ['LOCAL_IN', NF_INET_LOCAL_IN],
    ['FORWARD', NF_INET_FORWARD],
    ['LOCAL_OUT', NF_INET_LOCAL_OUT],
    ['POST_ROUTING', NF_INET_POST_ROUTING],
  ];

  function watch(log: string[], verdicts: Record<string, number> = {}): void {
    for (const [name, hooknum] of points) {
      nfRegisterNetHook(m.net, {
        hook: (_priv, _skb, state) => {
          log.push(`${name} ${state.in?.name ?? '-'} ${state.out?.name ?? '-'}`);
          return verdicts[name] ?? NF_ACCEPT;
        },
        priv: null,
        pf: NFPROTO_IPV4,
        hooknum,
        priority: 0,
      });
    }
  }

  it('stand where Linux has them: in and out of this host', () => {
    const log: string[] = [];
    watch(log);
    m.rx(eth0, ipPacket(good));
    expect(log).toEqual([
      'PRE_ROUTING eth0 -',
      'LOCAL_IN eth0 -',
      'LOCAL_OUT - eth0',
      'POST_ROUTING - eth0',
    ]);
  });

  it('and through it', () => {
    const log: string[] = [];
    watch(log);
    m.sysctl('ip_forward', 1);
    m.rx(eth0, ipPacket({ ...good, dst: '10.1.0.2' }));
    expect(log).toEqual(['PRE_ROUTING eth0 -', 'FORWARD eth0 eth1', 'POST_ROUTING eth0 eth1']);
    expect(eth1.take()).toHaveLength(1);
  });

  it.each(points.slice(0, 4).filter(([name]) => name !== 'FORWARD'))('%s may drop', (name) => {
    watch([], { [name]: NF_DROP });
    m.rx(eth0, ipPacket(good));
    expect(eth0.take()).toEqual([]);
    expect(m.drops()).toContain(SKB_DROP_REASON_NETFILTER_DROP);
  });
});

describe('ip_forward', () => {
  beforeEach(() => m.sysctl('ip_forward', 1));

  const through = { src: PEER, dst: '10.1.0.2', payload: udpBytes(PEER, '10.1.0.2', 1, 2, [9]) };

  it('takes one from the TTL and nothing else', () => {
    m.rx(eth0, ipPacket({ ...through, ttl: 10, tos: 0x28, id: 77 }));
    const [out] = eth1.take();
    expect([out?.ttl, out?.tos, out?.id]).toEqual([9, 0x28, 77]);
    expect(out?.payload).toEqual(through.payload);
    expect(m.ipStat(IPSTATS_MIB_OUTFORWDATAGRAMS)).toBe(1);
  });

  it('tells the sender when the TTL is used up', () => {
    m.rx(eth0, ipPacket({ ...through, ttl: 1 }));
    expect(m.drops()).toEqual([SKB_DROP_REASON_IP_INHDR]);
    const [err] = eth0.take();
    expect([err?.src, err?.dst]).toEqual([HERE, PEER]);
    expect([err?.payload[0], err?.payload[1]]).toEqual([ICMP_TIME_EXCEEDED, ICMP_EXC_TTL]);
    expect(eth1.take()).toEqual([]);
  });

  it('tells the MTU of a link that a packet with DF does not fit', () => {
    eth1.dev.mtu = 600;
    const payload = new Uint8Array(1000);
    m.rx(eth0, ipPacket({ ...through, payload, frag: IP_DF }));
    expect(m.drops()).toEqual([SKB_DROP_REASON_PKT_TOO_BIG]);
    expect(m.ipStat(IPSTATS_MIB_FRAGFAILS)).toBe(1);
    const [err] = eth0.take();
    const v = new DataView((err as NonNullable<typeof err>).payload.buffer);
    expect([v.getUint8(0), v.getUint8(1), v.getUint16(6)]).toEqual([
      ICMP_DEST_UNREACH,
      ICMP_FRAG_NEEDED,
      600,
    ]);
  });

  it('cuts what may be cut, on multiples of eight', () => {
    eth1.dev.mtu = 600;
    const payload = Uint8Array.from({ length: 1000 }, (_, i) => i & 0xff);
    m.rx(eth0, ipPacket({ ...through, payload }));
    const out = eth1.take();
    expect(out.map((p) => [p.frag, p.payload.length])).toEqual([
      [0x2000, 576],
      [72, 424],
    ]);
    expect([...(out[0]?.payload ?? []), ...(out[1]?.payload ?? [])]).toEqual([...payload]);
  });

  it('does not forward when it is no router', () => {
    m.sysctl('ip_forward', 0);
    m.rx(eth0, ipPacket(through));
    expect(eth1.take()).toEqual([]);
    expect(m.drops()).toHaveLength(1);
  });
});
