/** One row for each reason that IPv4, ICMP, UDP and raw sockets drop a packet for. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  IpMachine,
  icmpBytes,
  int32,
  ip4,
  ipPacket,
  parseIp,
  sin,
  udpBytes,
  type WireDevice,
} from '#net/ipv4/testing/ip_machine.ts';
import { nfRegisterNetHook } from '#net/netfilter/core.ts';
import {
  IP_ADD_MEMBERSHIP,
  IP_MULTICAST_LOOP,
  IP_PKTINFO,
  IP_ROUTER_ALERT,
  IPPROTO_ICMP,
  IPPROTO_UDP,
} from '#uapi/in.ts';
import {
  IP_DF,
  IP_MF,
  IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE,
  IPV4_DEVCONF_DROP_UNICAST_IN_L2_MULTICAST,
  IPV4_DEVCONF_RP_FILTER,
} from '#uapi/ip.ts';
import {
  SKB_DROP_REASON_DUP_FRAG,
  SKB_DROP_REASON_FRAG_REASM_TIMEOUT,
  SKB_DROP_REASON_ICMP_CSUM,
  SKB_DROP_REASON_INVALID_PROTO,
  SKB_DROP_REASON_IP_CSUM,
  SKB_DROP_REASON_IP_INADDRERRORS,
  SKB_DROP_REASON_IP_INHDR,
  SKB_DROP_REASON_IP_INNOROUTES,
  SKB_DROP_REASON_IP_INVALID_DEST,
  SKB_DROP_REASON_IP_INVALID_SOURCE,
  SKB_DROP_REASON_IP_LOCAL_SOURCE,
  SKB_DROP_REASON_IP_LOCALNET,
  SKB_DROP_REASON_IP_NOPROTO,
  SKB_DROP_REASON_IP_RPFILTER,
  SKB_DROP_REASON_NETFILTER_DROP,
  SKB_DROP_REASON_NO_SOCKET,
  SKB_DROP_REASON_NOMEM,
  SKB_DROP_REASON_NOT_SPECIFIED,
  SKB_DROP_REASON_OTHERHOST,
  SKB_DROP_REASON_PKT_TOO_BIG,
  SKB_DROP_REASON_PKT_TOO_SMALL,
  SKB_DROP_REASON_PROTO_MEM,
  SKB_DROP_REASON_SOCKET_CLOSE,
  SKB_DROP_REASON_SOCKET_RCVBUFF,
  SKB_DROP_REASON_UDP_CSUM,
  SKB_DROP_REASON_UNHANDLED_PROTO,
  SKB_DROP_REASON_UNICAST_IN_L2_MULTICAST,
} from '#uapi/net_dropreason.ts';
import { NF_DROP, NF_INET_PRE_ROUTING, NFPROTO_IPV4 } from '#uapi/netfilter.ts';
import { AF_INET, SO_RCVBUF, SOCK_DGRAM, SOCK_RAW, SOL_IP, SOL_SOCKET } from '#uapi/socket.ts';

let m: IpMachine;
let eth0: WireDevice;
let eth1: WireDevice;

const HERE = '10.0.0.1';
const PEER = '10.0.0.2';
const BROADCAST = [255, 255, 255, 255, 255, 255];

beforeEach(() => {
  m = new IpMachine();
  eth0 = m.device('eth0', HERE, 24);
  eth1 = m.device('eth1', '10.1.0.1', 24);
  m.neighbour(eth0, PEER);
  m.neighbour(eth1, '10.1.0.2', '10.1.0.3');
  m.drops();
});

afterEach(() => m.end());

const udp = (data: ArrayLike<number> = [1], check?: number, dst = HERE): Uint8Array =>
  udpBytes(PEER, dst, 1, 6000, data, check);
const to = (dst: string, fields = {}): Uint8Array =>
  ipPacket({ src: PEER, dst, payload: udp([1], undefined, dst), ...fields });

function conf(index: number, value = 1): void {
  m.net.ipv4.devconfAll[index] = value;
  if (eth0.dev.ipPtr !== null) eth0.dev.ipPtr.cnf[index] = value;
}

function listen(): number {
  const fd = m.sys.socket(AF_INET, SOCK_DGRAM, 0);
  expect(m.sys.bind(fd, sin('0.0.0.0', 6000))).toBe(0);
  return fd;
}

const icmpTo = (payload: Uint8Array, dst = HERE): Uint8Array =>
  ipPacket({ src: PEER, dst, proto: IPPROTO_ICMP, payload });

const rows: readonly (readonly [string, number, () => void])[] = [
  ['OTHERHOST', SKB_DROP_REASON_OTHERHOST, () => m.rx(eth0, to(HERE), [2, 8, 8, 8, 8, 8])],
  ['PKT_TOO_SMALL', SKB_DROP_REASON_PKT_TOO_SMALL, () => m.rx(eth0, to(HERE).slice(0, 12))],
  ['IP_INHDR', SKB_DROP_REASON_IP_INHDR, () => m.rx(eth0, to(HERE, { version: 5 }))],
  ['IP_CSUM', SKB_DROP_REASON_IP_CSUM, () => m.rx(eth0, to(HERE, { check: 7 }))],
  [
    'NETFILTER_DROP',
    SKB_DROP_REASON_NETFILTER_DROP,
    () => {
      const hook = (): number => NF_DROP;
      const hooknum = NF_INET_PRE_ROUTING;
      nfRegisterNetHook(m.net, { hook, priv: null, pf: NFPROTO_IPV4, hooknum, priority: 0 });
      m.rx(eth0, to(HERE));
    },
  ],
  [
    'IP_INVALID_SOURCE',
    SKB_DROP_REASON_IP_INVALID_SOURCE,
    () => m.rx(eth0, to(HERE, { src: '224.0.0.1' })),
  ],
  ['IP_LOCALNET', SKB_DROP_REASON_IP_LOCALNET, () => m.rx(eth0, to(HERE, { src: '127.0.0.1' }))],
  ['IP_INVALID_DEST', SKB_DROP_REASON_IP_INVALID_DEST, () => m.rx(eth0, to('0.0.0.0'))],
  ['IP_LOCAL_SOURCE', SKB_DROP_REASON_IP_LOCAL_SOURCE, () => m.rx(eth0, to(HERE, { src: HERE }))],
  [
    'IP_RPFILTER',
    SKB_DROP_REASON_IP_RPFILTER,
    () => {
      conf(IPV4_DEVCONF_RP_FILTER);
      m.rx(eth0, to(HERE, { src: '10.1.0.9' }));
    },
  ],
  [
    'UNICAST_IN_L2_MULTICAST',
    SKB_DROP_REASON_UNICAST_IN_L2_MULTICAST,
    () => {
      conf(IPV4_DEVCONF_DROP_UNICAST_IN_L2_MULTICAST);
      m.rx(eth0, to(HERE), BROADCAST);
    },
  ],
  ['IP_INADDRERRORS', SKB_DROP_REASON_IP_INADDRERRORS, () => m.rx(eth0, to('10.1.0.2'))],
  [
    'IP_INNOROUTES',
    SKB_DROP_REASON_IP_INNOROUTES,
    () => {
      m.sysctl('ip_forward', 1);
      m.rx(eth0, to('192.168.9.9'));
    },
  ],
  ['IP_NOPROTO', SKB_DROP_REASON_IP_NOPROTO, () => m.rx(eth0, to(HERE, { proto: 200 }))],
  ['NO_SOCKET', SKB_DROP_REASON_NO_SOCKET, () => m.rx(eth0, to(HERE))],
  [
    'NO_SOCKET (echo reply)',
    SKB_DROP_REASON_NO_SOCKET,
    () => m.rx(eth0, icmpTo(icmpBytes(0, 0, 5))),
  ],
  ['UDP_CSUM', SKB_DROP_REASON_UDP_CSUM, () => m.rx(eth0, to(HERE, { payload: udp([1], 99) }))],
  [
    'ICMP_CSUM',
    SKB_DROP_REASON_ICMP_CSUM,
    () => m.rx(eth0, icmpTo(Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0))),
  ],
  [
    'UNHANDLED_PROTO',
    SKB_DROP_REASON_UNHANDLED_PROTO,
    () => m.rx(eth0, icmpTo(icmpBytes(99, 0, 0))),
  ],
  [
    'INVALID_PROTO',
    SKB_DROP_REASON_INVALID_PROTO,
    () => m.rx(eth0, icmpTo(icmpBytes(3, 1, 0, new Uint8Array(28)), '10.0.0.255')),
  ],
  [
    'SOCKET_RCVBUFF',
    SKB_DROP_REASON_SOCKET_RCVBUFF,
    () => {
      m.sys.setsockopt(listen(), SOL_SOCKET, SO_RCVBUF, int32(1));
      for (let i = 0; i < 9; i++) m.rx(eth0, to(HERE));
    },
  ],
  [
    'PROTO_MEM',
    SKB_DROP_REASON_PROTO_MEM,
    () => {
      listen();
      expect(m.net.sysctl.write('net/ipv4/udp_mem', '0 0 0')).toBe(0);
      m.sysctl('udp_rmem_min', 1);
      for (let i = 0; i < 9; i++) m.rx(eth0, to(HERE, { payload: udp(new Uint8Array(1000)) }));
    },
  ],
  [
    'SOCKET_CLOSE',
    SKB_DROP_REASON_SOCKET_CLOSE,
    () => {
      const fd = listen();
      m.rx(eth0, to(HERE));
      m.sys.close(fd);
    },
  ],
  [
    'PKT_TOO_BIG',
    SKB_DROP_REASON_PKT_TOO_BIG,
    () => {
      m.sysctl('ip_forward', 1);
      eth1.dev.mtu = 500;
      m.rx(eth0, to('10.1.0.2', { frag: IP_DF, payload: new Uint8Array(600) }));
    },
  ],
  [
    'DUP_FRAG',
    SKB_DROP_REASON_DUP_FRAG,
    () => {
      for (let i = 0; i < 2; i++) m.rx(eth0, to(HERE, { frag: IP_MF, payload: new Uint8Array(8) }));
    },
  ],
  [
    'FRAG_REASM_TIMEOUT',
    SKB_DROP_REASON_FRAG_REASM_TIMEOUT,
    () => {
      m.rx(eth0, to(HERE, { frag: IP_MF, payload: new Uint8Array(8) }));
      m.advance(30_000);
    },
  ],
  [
    'NOMEM (no room for fragments)',
    SKB_DROP_REASON_NOMEM,
    () => {
      m.sysctl('ipfrag_low_thresh', 0);
      m.sysctl('ipfrag_high_thresh', 0);
      m.rx(eth0, to(HERE, { frag: IP_MF, payload: new Uint8Array(8) }));
    },
  ],
  [
    'NOT_SPECIFIED (a fragment that contradicts)',
    SKB_DROP_REASON_NOT_SPECIFIED,
    () => {
      m.rx(eth0, to(HERE, { frag: 10, payload: new Uint8Array(8) }));
      m.rx(eth0, to(HERE, { frag: 20, payload: new Uint8Array(8) }));
    },
  ],
];

describe('drop reasons', () => {
  it.each(rows)('%s', (_name, reason, cause) => {
    cause();
    expect(m.drops()).toContain(reason);
  });
});

describe('rarer ways', () => {
  it('follows a source route when allowed: swaps its address in, sends on', () => {
    conf(IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE);
    m.sysctl('ip_forward', 1);
    const options = [131, 11, 4, 10, 1, 0, 2, 10, 1, 0, 3, 0];
    m.rx(eth0, to(HERE, { options }));
    const [p] = eth1.take();
    expect(p?.dst).toBe('10.1.0.2');
    expect(p?.options).toEqual([131, 11, 8, 10, 1, 0, 1, 10, 1, 0, 3, 0]);
  });

  it('gives packets with the router alert to raw sockets that asked', () => {
    m.sysctl('ip_forward', 1);
    const fd = m.sys.socket(AF_INET, SOCK_RAW, 77);
    expect(m.sys.setsockopt(fd, SOL_IP, IP_ROUTER_ALERT, int32(1))).toBe(0);
    const packet = to('10.1.0.2', { proto: 77, options: [148, 4, 0, 0], payload: [1, 2] });
    m.rx(eth0, packet);
    expect(eth1.take()).toEqual([]);
    const buf = new Uint8Array(100);
    expect(m.sys.recvfrom(fd, buf, 0, null)).toBe(packet.length);
    expect(parseIp(buf.slice(0, packet.length)).dst).toBe('10.1.0.2');
    m.sys.close(fd);
    m.rx(eth0, packet);
    expect(eth1.take()).toHaveLength(1);
  });

  it('redirects a neighbour that should have gone directly', () => {
    m.sysctl('ip_forward', 1);
    m.route('10.7.0.0', 16, '10.0.0.9', eth0);
    m.neighbour(eth0, '10.0.0.9');
    m.rx(eth0, to('10.7.0.1'));
    const seen = eth0.take();
    const redirect = seen.find((p) => p.proto === IPPROTO_ICMP);
    expect([...(redirect?.payload.slice(0, 2) ?? [])]).toEqual([5, 1]);
    expect([...(redirect?.payload.slice(4, 8) ?? [])]).toEqual([10, 0, 0, 9]);
    expect(seen.some((p) => p.dst === '10.7.0.1')).toBe(true);
  });

  it('sends a multicast out and back in to its own members', () => {
    const fd = listen();
    const mreq = new Uint8Array(12);
    const v = new DataView(mreq.buffer);
    v.setUint32(0, ip4('239.1.2.3'));
    v.setInt32(8, eth0.dev.ifindex, true);
    expect(m.sys.setsockopt(fd, SOL_IP, IP_ADD_MEMBERSHIP, mreq)).toBe(0);
    m.route('224.0.0.0', 4, null, eth0);
    eth0.frames.length = 0;
    expect(m.sys.sendto(fd, Uint8Array.of(5), 0, sin('239.1.2.3', 6000))).toBe(1);
    const [out] = eth0.take();
    expect([out?.dst, out?.ttl]).toEqual(['239.1.2.3', 1]);
    const buf = new Uint8Array(10);
    expect(m.sys.recvfrom(fd, buf, 0, null)).toBe(1);
    m.sys.setsockopt(fd, SOL_IP, IP_MULTICAST_LOOP, int32(0));
    m.sys.sendto(fd, Uint8Array.of(6), 0, sin('239.1.2.3', 6000));
    expect(m.sys.recvfrom(fd, buf, 0, null)).toBeLessThan(0);
    // From the wire it comes in as well.
    m.rx(eth0, to('239.1.2.3'), [1, 0, 0x5e, 1, 2, 3]);
    expect(m.sys.recvfrom(fd, buf, 0, null)).toBe(1);
  });

  it('sends from the address that IP_PKTINFO names', () => {
    m.address(eth0.dev, '10.0.0.50', 24);
    const fd = listen();
    const control = new Uint8Array(32);
    const v = new DataView(control.buffer);
    v.setUint32(0, 28, true);
    v.setInt32(8, SOL_IP, true);
    v.setInt32(12, IP_PKTINFO, true);
    v.setUint32(20, ip4('10.0.0.50'));
    const name = sin(PEER, 9);
    const iov = [Uint8Array.of(1)];
    const msg = { name, namelen: 16, iov, control, controllen: 32, flags: 0 };
    expect(m.sys.sendmsg(fd, msg, 0)).toBe(1);
    expect(eth0.take().map((p) => [p.src, p.proto])).toEqual([['10.0.0.50', IPPROTO_UDP]]);
  });
});
