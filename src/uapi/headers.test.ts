/** Laws of every accessor object: a setter is read back, and touches no bit that is not its own. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sockExtendedErr } from '#uapi/errqueue.ts';
import { ethtoolChannels, ethtoolDrvinfo, ethtoolRingparam, ethtoolValue } from '#uapi/ethtool.ts';
import { fibRuleHdr } from '#uapi/fib_rules.ts';
import { sockFilter } from '#uapi/filter.ts';
import { genlmsghdr } from '#uapi/genetlink.ts';
import { icmphdr } from '#uapi/icmp.ts';
import { icmp6hdr } from '#uapi/icmpv6.ts';
import { ifreq } from '#uapi/if.ts';
import { ifaCacheinfo, ifaddrmsg } from '#uapi/if_addr.ts';
import { arpEthIp, arphdr } from '#uapi/if_arp.ts';
import { ethhdr, vlanhdr } from '#uapi/if_ether.ts';
import { ifStatsMsg } from '#uapi/if_link.ts';
import { packetMreq, sockaddrLl, tpacketAuxdata, tpacketStats } from '#uapi/if_packet.ts';
import { tunPi } from '#uapi/if_tun.ts';
import { igmphdr, igmpv3Grec, igmpv3Report } from '#uapi/igmp.ts';
import { inPktinfo, ipMreqn, sockaddrIn } from '#uapi/in.ts';
import { sockaddrIn6 } from '#uapi/in6.ts';
import {
  inetDiagBcOp,
  inetDiagHostcond,
  inetDiagMeminfo,
  inetDiagMsg,
  inetDiagReqV2,
  inetDiagSockid,
} from '#uapi/inet_diag.ts';
import { iphdr } from '#uapi/ip.ts';
import { fragHdr, ipv6hdr } from '#uapi/ipv6.ts';
import { ndaCacheinfo, ndmsg, ndtConfig, ndtmsg } from '#uapi/neighbour.ts';
import { hwtstampConfig, sockTxtime } from '#uapi/net_tstamp.ts';
import { netconfmsg } from '#uapi/netconf.ts';
import { nlattr, nlmsgerr, nlmsghdr, sockaddrNl } from '#uapi/netlink.ts';
import { tcGen } from '#uapi/pkt_cls.ts';
import { gnetStatsQueue, tcPrioQopt, tcRatespec, tcStats } from '#uapi/pkt_sched.ts';
import { rtentry } from '#uapi/route.ts';
import { ifinfomsg, rtaCacheinfo, rtgenmsg, rtmsg, rtnexthop, tcmsg } from '#uapi/rtnetlink.ts';
import {
  netlinkDiagReq,
  packetDiagMsg,
  packetDiagReq,
  sockDiagReq,
  unixDiagMsg,
  unixDiagReq,
} from '#uapi/sock_diag.ts';
import { linger, ucred } from '#uapi/socket.ts';
import { tcphdr } from '#uapi/tcp.ts';
import { udphdr } from '#uapi/udp.ts';
import { virtioNetHdr } from '#uapi/virtio_net.ts';

type Get = (v: DataView, o: number) => number;
type Set = (v: DataView, o: number, x: number) => void;
type Accessors = Readonly<
  Record<string, number | ((v: DataView, o: number, ...x: never[]) => unknown)>
>;

const ALL: Readonly<Record<string, Accessors>> = {
  arpEthIp,
  arphdr,
  ethhdr,
  ethtoolChannels,
  ethtoolDrvinfo,
  ethtoolRingparam,
  ethtoolValue,
  fibRuleHdr,
  fragHdr,
  genlmsghdr,
  gnetStatsQueue,
  hwtstampConfig,
  icmp6hdr,
  icmphdr,
  ifStatsMsg,
  ifaCacheinfo,
  ifaddrmsg,
  ifinfomsg,
  ifreq,
  igmphdr,
  igmpv3Grec,
  igmpv3Report,
  inPktinfo,
  inetDiagBcOp,
  inetDiagHostcond,
  inetDiagMeminfo,
  inetDiagMsg,
  inetDiagReqV2,
  inetDiagSockid,
  ipMreqn,
  iphdr,
  ipv6hdr,
  linger,
  ndaCacheinfo,
  ndmsg,
  ndtConfig,
  ndtmsg,
  netconfmsg,
  netlinkDiagReq,
  nlattr,
  nlmsgerr,
  nlmsghdr,
  packetDiagMsg,
  packetDiagReq,
  packetMreq,
  rtaCacheinfo,
  rtentry,
  rtgenmsg,
  rtmsg,
  rtnexthop,
  sockDiagReq,
  sockExtendedErr,
  sockFilter,
  sockTxtime,
  sockaddrIn,
  sockaddrIn6,
  sockaddrLl,
  sockaddrNl,
  tcGen,
  tcPrioQopt,
  tcRatespec,
  tcStats,
  tcmsg,
  tcphdr,
  tpacketAuxdata,
  tpacketStats,
  tunPi,
  ucred,
  udphdr,
  unixDiagMsg,
  unixDiagReq,
  virtioNetHdr,
  vlanhdr,
};

/** Members that are not there in the plain form: halves set in pairs, words by index, combined views. */
const capital = (s: string): string => s.charAt(0).toUpperCase() + s.slice(1);

/** The plain getter and setter pairs: get(v, o) and set(v, o, x). */
function pairs(acc: Accessors): [name: string, get: Get, set: Set][] {
  return Object.entries(acc).flatMap(([name, get]) => {
    const set = acc[`set${capital(name)}`];
    if (typeof get !== 'function' || get.length !== 2) return [];
    if (typeof set !== 'function' || set.length !== 3) return [];
    return [[name, get as Get, set as unknown as Set]];
  });
}

const size = (acc: Accessors): number =>
  Math.max(acc['V1_LEN'] as number, 0) || (acc['LEN'] as number);
const SLACK = 16;

/** Which bits a setter can change, found by storing all ones over zeros. */
function footprint(len: number, set: Set): Uint8Array {
  const bytes = new Uint8Array(len + 2 * SLACK);
  set(new DataView(bytes.buffer), SLACK, 0xffffffff);
  return bytes;
}

describe.each(Object.entries(ALL))('%s', (_, acc) => {
  const len = size(acc);

  it('reads back what is set, and sets only its own bits', () => {
    for (const [name, get, set] of pairs(acc)) {
      const mask = footprint(len, set);
      const width = mask.reduce((n, b) => n + b.toString(2).replaceAll('0', '').length, 0);
      expect(width, name).toBeGreaterThan(0);
      fc.assert(
        fc.property(
          fc.uint8Array({ minLength: len + 2 * SLACK, maxLength: len + 2 * SLACK }),
          fc.integer({ min: 0, max: 0xffffffff }),
          (bytes, value) => {
            const x = width === 32 ? value : value % 2 ** width;
            const before = bytes.slice();
            const v = new DataView(bytes.buffer, bytes.byteOffset);
            set(v, SLACK, x);
            // Signed fields read back as the same bits.
            expect((get(v, SLACK) ^ x) << (32 - width), name).toBe(0);
            bytes.forEach((b, i) => {
              expect((b ^ (before[i] as number)) & ~(mask[i] as number), name).toBe(0);
            });
          },
        ),
        { numRuns: 30 },
      );
    }
  });

  it('has every plain field within its length', () => {
    const reach = pairs(acc).map(([, , set]) => {
      const mask = footprint(len + 16, set);
      expect(mask.subarray(0, SLACK).every((b) => b === 0)).toBe(true);
      return mask.reduce((last, b, i) => (b === 0 ? last : i), 0) - SLACK + 1;
    });
    // igmphdr covers the longer query of version 3 too.
    const limit = (acc['V3_QUERY_LEN'] as number | undefined) ?? len;
    for (const end of reach) expect(end).toBeLessThanOrEqual(limit);
  });
});

describe('layouts', () => {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

  it('parses a TCP segment of a capture', () => {
    // 192.168.0.2:56789 > 93.184.216.34:80, SYN+ECE+CWR, with the header of IPv4 in front.
    const bytes = Buffer.from(
      '4500003c1c4640004006b1e6c0a800025db8d822ddd50050deadbeef8000000160c2faf0fe300001',
      'hex',
    );
    const v = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    expect(iphdr.version(v, 0)).toBe(4);
    expect(iphdr.hdrlen(v, 0)).toBe(20);
    expect(iphdr.totLen(v, 0)).toBe(60);
    expect(iphdr.fragOff(v, 0)).toBe(0x4000);
    expect(iphdr.saddr(v, 0)).toBe(0xc0a80002);
    expect(tcphdr.source(v, 20)).toBe(56789);
    expect(tcphdr.seq(v, 20)).toBe(0xdeadbeef | 0);
    expect(tcphdr.ackSeq(v, 20)).toBe(-0x7fffffff);
    expect(tcphdr.hdrlen(v, 20)).toBe(24);
    const flags = [
      tcphdr.cwr,
      tcphdr.ece,
      tcphdr.urg,
      tcphdr.ack,
      tcphdr.psh,
      tcphdr.rst,
      tcphdr.syn,
      tcphdr.fin,
    ];
    expect(flags.map((f) => f(v, 20))).toEqual([1, 1, 0, 0, 0, 0, 1, 0]);
    expect(tcphdr.flags9(v, 20)).toBe(0xc2);
    tcphdr.setDoffFlags(v, 20, 5, 0x1ff);
    expect(v.getUint16(32)).toBe(0x51ff);
    expect(tcphdr.ae(v, 20)).toBe(1);
    expect(tcphdr.res1(v, 20)).toBe(0);
  });

  it('stands as Linux lays it out', () => {
    const v = new DataView(new ArrayBuffer(64));
    const bytes = new Uint8Array(v.buffer);
    ethhdr.setDest(v, 0, 0x01020304, 0x0506);
    ethhdr.setSource(v, 0, 0x11121314, 0x1516);
    ethhdr.setProto(v, 0, 0x0800);
    expect(hex(bytes.subarray(0, 14))).toBe('0102030405061112131415160800');
    expect([ethhdr.destHi(v, 0), ethhdr.destLo(v, 0)]).toEqual([0x01020304, 0x0506]);
    bytes.fill(0);
    sockaddrIn.setFamily(v, 0, 2);
    sockaddrIn.setPort(v, 0, 80);
    sockaddrIn.setAddr(v, 0, 0x7f000001);
    expect(hex(bytes.subarray(0, 16))).toBe('020000507f0000010000000000000000');
    bytes.fill(0);
    nlmsghdr.setLen(v, 0, 20);
    nlmsghdr.setType(v, 0, 18);
    nlmsghdr.setFlags(v, 0, 0x301);
    nlmsghdr.setSeq(v, 0, 7);
    expect(hex(bytes.subarray(0, 16))).toBe('14000000120001030700000000000000');
    bytes.fill(0);
    inetDiagSockid.setSport(v, 0, 0x1234);
    inetDiagSockid.setSrc(v, 0, 0, 0x7f000001);
    inetDiagSockid.setCookie(v, 0, 1, 2);
    expect(hex(bytes.subarray(0, 8))).toBe('123400007f000001');
    expect(hex(bytes.subarray(36, 48))).toBe('000000000100000002000000');
  });
});
