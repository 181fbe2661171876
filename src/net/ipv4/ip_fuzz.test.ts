import { afterEach, describe, expect, it } from 'vitest';
import { Prandom } from '#lib/prandom.ts';
import {
  IpMachine,
  icmpBytes,
  int32,
  ipPacket,
  sin,
  udpBytes,
} from '#net/ipv4/testing/ip_machine.ts';
import { IP_RECVERR, IP_RETOPTS, IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP } from '#uapi/in.ts';
import { IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE } from '#uapi/ip.ts';
import { AF_INET, MSG_ERRQUEUE, SOCK_DGRAM, SOCK_RAW, SOL_IP } from '#uapi/socket.ts';

let m: IpMachine;

afterEach(() => m.end());

const HERE = '10.0.0.1';
const PEER = '10.0.0.2';

/** A packet that is nearly right: some layers valid, some octets not. */
function mutant(r: Prandom): Uint8Array {
  const pick = <T>(list: readonly T[]): T => list[r.u32() % list.length] as T;
  const noise = (max: number): Uint8Array =>
    Uint8Array.from({ length: r.u32() % max }, () => r.u32() & 0xff);
  const dst = pick([HERE, HERE, '10.1.0.2', '10.0.0.255', '224.0.0.1', '127.0.0.1', '10.9.9.9']);
  const src = pick([PEER, PEER, '10.1.0.2', '0.0.0.0', '255.255.255.255', HERE]);
  const quote = ipPacket({
    src: pick([HERE, PEER]),
    dst: pick([PEER, HERE]),
    proto: pick([IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_TCP, 99]),
    payload: pick([udpBytes(HERE, PEER, 7000, 9, [1]), icmpBytes(8, 0, 0x00010000), noise(20)]),
  });
  const payload = pick([
    () => udpBytes(src, dst, 9, pick([7000, 9, 53]), noise(600)),
    () =>
      icmpBytes(
        pick([0, 3, 4, 5, 8, 11, 12, 13, 17, 42, 43, r.u32() & 0xff]),
        r.u32() & 0xf,
        r.u32(),
        noise(60),
      ),
    () => icmpBytes(pick([3, 3, 4, 5, 11, 12]), r.u32() & 0xf, r.u32(), quote),
    () => noise(80),
  ])();
  const options = r.u32() % 4 === 0 ? [...noise(40)] : [];
  while (options.length % 4 !== 0) options.push(pick([0, 1, 7, 68, 131, 137, 148]));
  if (options.length > 0) options[0] = pick([1, 7, 68, 131, 137, 148, 130, r.u32() & 0xff]);
  const packet = ipPacket({
    src,
    dst,
    proto: pick([IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMP, IPPROTO_TCP, 2, r.u32() & 0xff]),
    ttl: pick([64, 64, 1, 0]),
    tos: r.u32() & 0xff,
    id: r.u32() & 7,
    frag: pick([
      0,
      0,
      0,
      0x4000,
      0x2000,
      r.u32() & 0x3fff,
      r.u32() & 0xffff,
      (r.u32() & 7) | 0x2000,
    ]),
    options: options.slice(0, 40),
    payload,
  });
  // Sometimes break what was right.
  for (let i = r.u32() % 4; i === 3; i = r.u32() % 4)
    packet[r.u32() % packet.length] = r.u32() & 0xff;
  return r.u32() % 10 === 0 ? packet.slice(0, r.u32() % (packet.length + 1)) : packet;
}

describe('hostile packets', () => {
  it.each([1, 2, 3])('cause no throw and leave nothing (seed %i)', (seed) => {
    const r = new Prandom(seed);
    m = new IpMachine('m', seed);
    const eth0 = m.device('eth0', HERE, 24);
    const eth1 = m.device('eth1', '10.1.0.1', 24, 576);
    m.neighbour(eth0, PEER);
    m.neighbour(eth1, '10.1.0.2');
    m.sysctl('ip_forward', 1);
    m.sysctl('icmp_ratelimit', 0);
    m.sysctl('icmp_echo_ignore_broadcasts', 0);
    m.sysctl('icmp_echo_enable_probe', 1);
    m.net.ipv4.devconfAll[IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE] = 1;
    for (const { dev } of [eth0, eth1]) {
      if (dev.ipPtr !== null) dev.ipPtr.cnf[IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE] = 1;
    }
    const fds = [
      m.sys.socket(AF_INET, SOCK_DGRAM, 0),
      m.sys.socket(AF_INET, SOCK_RAW, IPPROTO_ICMP),
      m.sys.socket(AF_INET, SOCK_RAW, 99),
    ];
    for (const fd of fds) {
      m.sys.setsockopt(fd, SOL_IP, IP_RECVERR, int32(1));
      m.sys.setsockopt(fd, SOL_IP, IP_RETOPTS, int32(1));
    }
    m.sys.bind(fds[0] as number, sin('0.0.0.0', 7000));
    const buf = new Uint8Array(70_000);
    const control = new Uint8Array(512);
    for (let i = 0; i < 4000; i++) {
      m.rx(eth0, mutant(r), r.u32() % 20 === 0 ? [255, 255, 255, 255, 255, 255] : undefined);
      if (i % 16 === 0) {
        for (const fd of fds) {
          const msg = { name: null, namelen: 0, iov: [buf], control, controllen: 512, flags: 0 };
          m.sys.recvmsg(fd, msg, i % 32 === 0 ? MSG_ERRQUEUE : 0);
          m.sys.recvfrom(fd, buf, 0, null);
        }
      }
      if (i % 500 === 0) m.advance(10_000);
      eth0.frames.length = 0;
      eth1.frames.length = 0;
    }
    m.advance(60_000);
    expect(m.net.ipv4.frags?.count).toBe(0);
    expect(m.net.ipv4.frags?.mem).toBe(0);
    m.drops();
  });
});
