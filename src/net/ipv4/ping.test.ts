import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  IpMachine,
  icmpBytes,
  int32,
  ipPacket,
  parseIp,
  readSin,
  sin,
  type WireDevice,
} from '#net/ipv4/testing/ip_machine.ts';
import { EACCES, EAGAIN, EINVAL, EPERM } from '#uapi/errno.ts';
import { ICMP_ECHO, ICMP_ECHOREPLY, ICMP_FILTER } from '#uapi/icmp.ts';
import { IP_HDRINCL, IPPROTO_ICMP, IPPROTO_RAW } from '#uapi/in.ts';
import { SKB_DROP_REASON_NO_SOCKET } from '#uapi/net_dropreason.ts';
import { AF_INET, SOCK_DGRAM, SOCK_RAW, SOL_IP, SOL_RAW } from '#uapi/socket.ts';

let m: IpMachine;
let eth0: WireDevice;

const HERE = '10.0.0.1';
const PEER = '10.0.0.2';

beforeEach(() => {
  m = new IpMachine();
  eth0 = m.device('eth0', HERE, 24);
  m.neighbour(eth0, PEER);
  m.drops();
});

afterEach(() => m.end());

const ping = (): number => m.sys.socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
const raw = (proto: number): number => m.sys.socket(AF_INET, SOCK_RAW, proto);

function icmpIn(payload: Uint8Array): void {
  m.rx(eth0, ipPacket({ src: PEER, dst: HERE, proto: IPPROTO_ICMP, payload }));
}

function recv(fd: number): Uint8Array | number {
  const buf = new Uint8Array(2000);
  const from = new Uint8Array(16);
  const n = m.sys.recvfrom(fd, buf, 0, from);
  if (n >= 0) expect(readSin(from)).toBe(`${PEER}:0`);
  return n < 0 ? n : buf.slice(0, n);
}

describe('ping sockets', () => {
  it('send with their own ident and receive the answer', () => {
    const fd = ping();
    const request = icmpBytes(ICMP_ECHO, 0, 0x0000_0005, [1, 2, 3]);
    expect(m.sys.sendto(fd, request, 0, sin(PEER, 0))).toBe(11);
    const [out] = eth0.take();
    const ident = new DataView((out as NonNullable<typeof out>).payload.buffer).getUint16(4);
    expect(ident).not.toBe(0);
    expect([...(out?.payload ?? [])]).toEqual([
      ...icmpBytes(ICMP_ECHO, 0, ident * 65536 + 5, [1, 2, 3]),
    ]);
    const answer = icmpBytes(ICMP_ECHOREPLY, 0, ident * 65536 + 5, [1, 2, 3]);
    icmpIn(answer);
    expect(recv(fd)).toEqual(answer);
    expect(m.drops()).toEqual([]);
  });

  it('take only echo requests', () => {
    expect(m.sys.sendto(ping(), icmpBytes(13, 0, 0), 0, sin(PEER, 0))).toBe(-EINVAL);
    expect(m.sys.sendto(ping(), new Uint8Array(4), 0, sin(PEER, 0))).toBe(-EINVAL);
  });

  it('do not get the answers of others', () => {
    const fd = ping();
    m.sys.bind(fd, sin('0.0.0.0', 77));
    icmpIn(icmpBytes(ICMP_ECHOREPLY, 0, 0x004e0001));
    expect(recv(fd)).toBe(-EAGAIN);
    expect(m.drops()).toEqual([SKB_DROP_REASON_NO_SOCKET]);
  });

  it('are for the groups in ping_group_range only', () => {
    m.sysctl('ping_group_range', '1 0');
    expect([-EACCES, -EPERM]).toContain(ping());
    m.sysctl('ping_group_range', '0 100');
    expect(ping()).toBeGreaterThanOrEqual(0);
  });

  it('cut and join 20,000 octets', () => {
    const fd = ping();
    const data = Uint8Array.from({ length: 20_000 }, (_, i) => i & 0xff);
    expect(m.sys.sendto(fd, icmpBytes(ICMP_ECHO, 0, 1, data), 0, sin(PEER, 0))).toBe(20_008);
    const parts = eth0.take();
    expect(parts.length).toBe(14);
    const whole = Uint8Array.from(parts.flatMap((p) => [...p.payload]));
    expect(whole.slice(8)).toEqual(data);
    const ident = new DataView(whole.buffer).getUint16(4);
    expect([...whole.slice(0, 8)]).toEqual([
      ...icmpBytes(ICMP_ECHO, 0, ident * 65536 + 1, data).slice(0, 8),
    ]);
  });
});

describe('raw sockets', () => {
  it('see every packet of their protocol, header and all', () => {
    const fd = raw(IPPROTO_ICMP);
    const packet = ipPacket({
      src: PEER,
      dst: HERE,
      proto: IPPROTO_ICMP,
      payload: icmpBytes(ICMP_ECHO, 0, 9),
    });
    m.rx(eth0, packet);
    expect(recv(fd)).toEqual(packet);
    // The stack answers all the same.
    expect(eth0.take()).toHaveLength(1);
  });

  it('filter ICMP types', () => {
    const fd = raw(IPPROTO_ICMP);
    expect(m.sys.setsockopt(fd, SOL_RAW, ICMP_FILTER, int32(~(1 << ICMP_ECHOREPLY)))).toBe(0);
    icmpIn(icmpBytes(ICMP_ECHO, 0, 1));
    icmpIn(icmpBytes(ICMP_ECHOREPLY, 0, 2));
    expect(parseIp(recv(fd) as Uint8Array).payload[0]).toBe(ICMP_ECHOREPLY);
    expect(recv(fd)).toBe(-EAGAIN);
  });

  it('keep an unknown protocol from being refused', () => {
    const fd = raw(99);
    m.rx(eth0, ipPacket({ src: PEER, dst: HERE, proto: 99, payload: [1, 2, 3] }));
    expect(parseIp(recv(fd) as Uint8Array).payload).toEqual(Uint8Array.from([1, 2, 3]));
    expect(eth0.take()).toEqual([]);
    expect(m.drops()).toEqual([]);
  });

  it('send with a header of ours', () => {
    const fd = raw(99);
    expect(m.sys.sendto(fd, Uint8Array.from([1, 2]), 0, sin(PEER, 0))).toBe(2);
    const [p] = eth0.take();
    expect([p?.proto, p?.src, ...(p?.payload ?? [])]).toEqual([99, HERE, 1, 2]);
  });

  it('send with a header of the user, completed', () => {
    const fd = raw(IPPROTO_RAW);
    const packet = ipPacket({
      src: '0.0.0.0',
      dst: PEER,
      proto: 99,
      id: 0,
      check: 0,
      totLen: 0,
      payload: [7],
    });
    expect(m.sys.sendto(fd, packet, 0, sin(PEER, 0))).toBe(21);
    const [p] = eth0.take();
    expect([p?.src, p?.proto, ...(p?.payload ?? [])]).toEqual([HERE, 99, 7]);
    expect(m.sys.setsockopt(fd, SOL_IP, IP_HDRINCL, int32(1))).toBe(0);
    const bad = packet.slice();
    bad[0] = 0x4f;
    expect(m.sys.sendto(fd, bad, 0, sin(PEER, 0))).toBe(-EINVAL);
    bad[0] = 0x44;
    expect(m.sys.sendto(fd, bad, 0, sin(PEER, 0))).toBe(-EINVAL);
    expect(m.sys.sendto(fd, packet.slice(0, 12), 0, sin(PEER, 0))).toBe(-EINVAL);
  });
});
