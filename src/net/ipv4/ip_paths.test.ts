/** The rarer ways through IPv4: source routes, router alerts, redirects, multicast, chosen sources. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  IpMachine,
  int32,
  ip4,
  ipPacket,
  parseIp,
  sin,
  udpBytes,
  type WireDevice,
} from '#net/ipv4/testing/ip_machine.ts';
import {
  IP_ADD_MEMBERSHIP,
  IP_MULTICAST_LOOP,
  IP_PKTINFO,
  IP_ROUTER_ALERT,
  IPPROTO_ICMP,
  IPPROTO_UDP,
} from '#uapi/in.ts';
import { IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE } from '#uapi/ip.ts';
import { AF_INET, SOCK_DGRAM, SOCK_RAW, SOL_IP } from '#uapi/socket.ts';

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
  m.neighbour(eth1, '10.1.0.2', '10.1.0.3');
  m.drops();
});

afterEach(() => m.end());

const to = (dst: string, fields = {}): Uint8Array =>
  ipPacket({ src: PEER, dst, payload: udpBytes(PEER, dst, 1, 6000, [1]), ...fields });

function conf(index: number, value = 1): void {
  m.net.ipv4.devconfAll[index] = value;
  if (eth0.dev.ipPtr !== null) eth0.dev.ipPtr.cnf[index] = value;
}

function listen(): number {
  const fd = m.sys.socket(AF_INET, SOCK_DGRAM, 0);
  expect(m.sys.bind(fd, sin('0.0.0.0', 6000))).toBe(0);
  return fd;
}

describe('IPv4', () => {
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
