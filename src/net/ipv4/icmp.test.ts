import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type IpFields,
  IpMachine,
  icmpBytes,
  ipPacket,
  udpBytes,
  type WireDevice,
} from '#net/ipv4/testing/ip_machine.ts';
import {
  ICMP_DEST_UNREACH,
  ICMP_ECHO,
  ICMP_ECHOREPLY,
  ICMP_PORT_UNREACH,
  ICMP_TIMESTAMPREPLY,
} from '#uapi/icmp.ts';
import { IPPROTO_ICMP } from '#uapi/in.ts';
import { IP_MF } from '#uapi/ip.ts';
import {
  SKB_DROP_REASON_ICMP_CSUM,
  SKB_DROP_REASON_INVALID_PROTO,
  SKB_DROP_REASON_PKT_TOO_SMALL,
  SKB_DROP_REASON_UNHANDLED_PROTO,
} from '#uapi/net_dropreason.ts';
import {
  ICMP_MIB_CSUMERRORS,
  ICMP_MIB_INERRORS,
  ICMP_MIB_INMSGS,
  ICMP_MIB_OUTMSGS,
  ICMP_MIB_RATELIMITGLOBAL,
  ICMP_MIB_RATELIMITHOST,
} from '#uapi/snmp.ts';

let m: IpMachine;
let eth0: WireDevice;

const HERE = '10.0.0.1';
const PEER = '10.0.0.2';

beforeEach(() => {
  m = new IpMachine();
  eth0 = m.device('eth0', HERE, 24);
  m.neighbour(eth0, PEER, '10.0.0.3');
  m.drops();
});

afterEach(() => m.end());

function icmp(payload: Uint8Array, fields: Partial<IpFields> = {}): void {
  m.rx(eth0, ipPacket({ src: PEER, dst: HERE, proto: IPPROTO_ICMP, payload, ...fields }));
}

/** A datagram to a port where nobody listens. */
function knock(fields: Partial<IpFields> = {}, data: ArrayLike<number> = [1]): void {
  const dst = fields.dst ?? HERE;
  const src = fields.src ?? PEER;
  const payload = udpBytes(src, dst, 4000, 9, data);
  m.rx(eth0, ipPacket({ src, dst, payload, ...fields }));
}

describe('icmp_rcv', () => {
  it('answers echo with the same ident, sequence, data and TOS', () => {
    icmp(icmpBytes(ICMP_ECHO, 0, 0xabcd0007, [5, 6, 7]), { tos: 0x20, ttl: 3 });
    const [reply] = eth0.take();
    expect([reply?.src, reply?.dst, reply?.tos, reply?.ttl]).toEqual([HERE, PEER, 0x20, 64]);
    expect([...(reply?.payload ?? [])]).toEqual([
      ...icmpBytes(ICMP_ECHOREPLY, 0, 0xabcd0007, [5, 6, 7]),
    ]);
    expect(m.icmpStat(ICMP_MIB_INMSGS)).toBe(1);
    expect(m.icmpStat(ICMP_MIB_OUTMSGS)).toBe(1);
    expect(m.drops()).toEqual([]);
  });

  it('stays silent when told to, and to broadcasts', () => {
    m.sysctl('icmp_echo_ignore_all', 1);
    icmp(icmpBytes(ICMP_ECHO, 0, 1));
    expect(m.drops()).toEqual([]);
    m.sysctl('icmp_echo_ignore_all', 0);
    icmp(icmpBytes(ICMP_ECHO, 0, 1), { dst: '10.0.0.255' });
    expect(m.drops()).toEqual([SKB_DROP_REASON_INVALID_PROTO]);
    expect(eth0.take()).toEqual([]);
    m.sysctl('icmp_echo_ignore_broadcasts', 0);
    icmp(icmpBytes(ICMP_ECHO, 0, 1), { dst: '10.0.0.255' });
    expect(eth0.take().map((p) => p.src)).toEqual([HERE]);
  });

  it('answers timestamp requests with the time of day', () => {
    icmp(icmpBytes(13, 0, 0x00020003, [0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0]));
    const [reply] = eth0.take();
    const v = new DataView((reply as NonNullable<typeof reply>).payload.buffer);
    const now = (1_000_000_000 % 86400) * 1000;
    expect([v.getUint8(0), v.getUint32(8), v.getUint32(12), v.getUint32(16)]).toEqual([
      ICMP_TIMESTAMPREPLY,
      258,
      now,
      now,
    ]);
  });

  it.each([
    ['a wrong checksum', (b: Uint8Array) => b.fill(1, 2, 4), SKB_DROP_REASON_ICMP_CSUM, 1],
    ['fewer than eight octets', () => Uint8Array.of(255, 255), SKB_DROP_REASON_PKT_TOO_SMALL, 0],
  ])('drops %s', (_name, spoil, reason, csumErrors) => {
    icmp(spoil(icmpBytes(ICMP_ECHO, 0, 1, [1, 2, 3, 4])));
    expect(m.drops()).toEqual([reason]);
    expect(m.icmpStat(ICMP_MIB_INERRORS)).toBe(1);
    expect(m.icmpStat(ICMP_MIB_CSUMERRORS)).toBe(csumErrors);
  });

  it('discards unknown types', () => {
    icmp(icmpBytes(77, 0, 0));
    expect(m.drops()).toEqual([SKB_DROP_REASON_UNHANDLED_PROTO]);
  });

  it('counts by type for /proc/net/snmp', () => {
    icmp(icmpBytes(ICMP_ECHO, 0, 1));
    const text = m.proc('snmp');
    expect(text).toContain('IcmpMsg: InType8 OutType0\nIcmpMsg: 1 1\n');
  });
});

describe('icmp_send', () => {
  it('quotes the packet, up to 576 octets in all, with precedence 6', () => {
    knock({ tos: 0x04 }, new Uint8Array(1200).fill(7));
    const [err] = eth0.take();
    expect(err?.bytes.length).toBe(576);
    expect(err?.tos).toBe(0xc4);
    expect([err?.payload[0], err?.payload[1]]).toEqual([ICMP_DEST_UNREACH, ICMP_PORT_UNREACH]);
    expect([...(err?.payload.slice(8, 28) ?? [])].slice(12)).toEqual([10, 0, 0, 2, 10, 0, 0, 1]);
  });

  it.each([
    ['a broadcast', () => knock({ dst: '10.0.0.255' })],
    [
      'a later fragment',
      () => {
        m.sysctl('ip_forward', 1);
        m.rx(eth0, ipPacket({ src: PEER, dst: '10.9.9.9', ttl: 1, frag: 5 | IP_MF, payload: [1] }));
      },
    ],
    [
      'a frame that was broadcast',
      () => {
        const payload = udpBytes(PEER, HERE, 1, 9, [1]);
        m.rx(eth0, ipPacket({ src: PEER, dst: HERE, payload }), [255, 255, 255, 255, 255, 255]);
      },
    ],
    [
      'an ICMP error',
      () => {
        m.sysctl('ip_forward', 1);
        icmp(icmpBytes(ICMP_DEST_UNREACH, 1, 0, new Uint8Array(28)), { dst: '10.9.9.9', ttl: 1 });
      },
    ],
  ])('never answers %s', (_name, send) => {
    send();
    expect(eth0.take()).toEqual([]);
  });

  it('limits each peer by icmp_ratelimit', () => {
    m.sysctl('icmp_ratelimit', 1000);
    let answers = 0;
    for (let i = 0; i < 30; i++) {
      knock();
      answers += eth0.take().length;
    }
    // A peer saves up to six, then gets one a second.
    expect(answers).toBe(6);
    expect(m.icmpStat(ICMP_MIB_RATELIMITHOST)).toBe(24);
    m.advance(1000);
    knock();
    expect(eth0.take()).toHaveLength(1);
    // Another peer has its own account.
    knock({ src: '10.0.0.3' });
    expect(eth0.take()).toHaveLength(1);
  });

  it('limits all together by icmp_msgs_per_sec and icmp_msgs_burst', () => {
    m.sysctl('icmp_ratelimit', 0);
    m.sysctl('icmp_msgs_per_sec', 100);
    m.sysctl('icmp_msgs_burst', 10);
    m.advance(1000);
    const count = (): number => {
      let n = 0;
      for (let i = 0; i < 100; i++) {
        knock();
        n += eth0.take().length;
      }
      return n;
    };
    const burst = count();
    // Each message costs 0 to 2 credits of the 10.
    expect(burst).toBeGreaterThanOrEqual(5);
    expect(burst).toBeLessThan(40);
    expect(m.icmpStat(ICMP_MIB_RATELIMITGLOBAL)).toBe(100 - burst);
    m.advance(50);
    expect(count()).toBeGreaterThan(0);
    // Echo is in no mask: no limit.
    for (let i = 0; i < 100; i++) icmp(icmpBytes(ICMP_ECHO, 0, i));
    expect(eth0.take()).toHaveLength(100);
  });
});
