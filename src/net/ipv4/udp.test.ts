import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  IpMachine,
  icmpBytes,
  int32,
  ipPacket,
  readSin,
  type SeenPacket,
  sin,
  udpBytes,
  type WireDevice,
} from '#net/ipv4/testing/ip_machine.ts';
import { EADDRINUSE, EAGAIN, ECONNREFUSED, EDESTADDRREQ, EINVAL, EMSGSIZE } from '#uapi/errno.ts';
import { SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_LOCAL, sockExtendedErr } from '#uapi/errqueue.ts';
import { ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, ICMP_PORT_UNREACH } from '#uapi/icmp.ts';
import {
  IP_MTU,
  IP_MTU_DISCOVER,
  IP_PKTINFO,
  IP_PMTUDISC_DO,
  IP_RECVERR,
  IP_RECVERR_RFC4884,
  IP_RECVTOS,
  IP_RECVTTL,
  IP_TOS,
  IP_TTL,
  IPPROTO_ICMP,
  IPPROTO_UDP,
} from '#uapi/in.ts';
import { IP_DF } from '#uapi/ip.ts';
import {
  SKB_DROP_REASON_NO_SOCKET,
  SKB_DROP_REASON_PKT_TOO_SMALL,
  SKB_DROP_REASON_SOCKET_RCVBUFF,
  SKB_DROP_REASON_UDP_CSUM,
} from '#uapi/net_dropreason.ts';
import { POLLERR, POLLIN, POLLOUT } from '#uapi/poll.ts';
import {
  UDP_MIB_CSUMERRORS,
  UDP_MIB_INDATAGRAMS,
  UDP_MIB_INERRORS,
  UDP_MIB_NOPORTS,
  UDP_MIB_OUTDATAGRAMS,
  UDP_MIB_RCVBUFERRORS,
} from '#uapi/snmp.ts';
import {
  AF_INET,
  MSG_ERRQUEUE,
  MSG_MORE,
  MSG_PEEK,
  MSG_TRUNC,
  SO_ERROR,
  SO_PEEK_OFF,
  SO_RCVBUF,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SOCK_DGRAM,
  SOL_IP,
  SOL_SOCKET,
  SOL_UDP,
} from '#uapi/socket.ts';
import { SIOCINQ, SIOCOUTQ } from '#uapi/sockios.ts';
import { UDP_CORK, UDP_SEGMENT } from '#uapi/udp.ts';
import type { UserMsghdr } from '#uapi/unistd.ts';

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

function udp(port?: number, addr = '0.0.0.0'): number {
  const fd = m.sys.socket(AF_INET, SOCK_DGRAM, 0);
  expect(fd).toBeGreaterThanOrEqual(0);
  if (port !== undefined) expect(m.sys.bind(fd, sin(addr, port))).toBe(0);
  return fd;
}

function arrive(
  sport: number,
  dport: number,
  data: ArrayLike<number>,
  src = PEER,
  dst = HERE,
  check?: number,
): void {
  m.rx(eth0, ipPacket({ src, dst, payload: udpBytes(src, dst, sport, dport, data, check) }));
}

function recv(fd: number, flags = 0, room = 2000): number[] | number {
  const buf = new Uint8Array(room);
  const n = m.sys.recvfrom(fd, buf, flags, null);
  return n < 0 ? n : [...buf.subarray(0, Math.min(n, room))];
}

const opt = (fd: number, level: number, name: number, value: number): number =>
  m.sys.setsockopt(fd, level, name, int32(value));

function getInt(fd: number, level: number, name: number): number {
  const out = new Uint8Array(4);
  const n = m.sys.getsockopt(fd, level, name, out);
  return n < 0 ? n : new DataView(out.buffer).getInt32(0, true);
}

function msghdr(iov: Uint8Array[], control = 0): UserMsghdr {
  const c = control === 0 ? null : new Uint8Array(control);
  return { name: new Uint8Array(16), namelen: 16, iov, control: c, controllen: control, flags: 0 };
}

/** Control messages of a receive: [level, type, data]. */
function cmsgs(msg: UserMsghdr): [number, number, number[]][] {
  const out: [number, number, number[]][] = [];
  const c = msg.control as Uint8Array;
  const v = new DataView(c.buffer);
  for (let at = 0; at + 16 <= msg.controllen; ) {
    const len = v.getUint32(at, true);
    out.push([
      v.getInt32(at + 8, true),
      v.getInt32(at + 12, true),
      [...c.subarray(at + 16, at + len)],
    ]);
    at += (len + 7) & ~7;
  }
  return out;
}

function ports(p: SeenPacket | undefined): [number, number] {
  const v = new DataView((p as SeenPacket).payload.buffer);
  return [v.getUint16(0), v.getUint16(2)];
}

describe('bind', () => {
  it('refuses a port in use, and shares it where both agree', () => {
    udp(5000);
    const b = udp();
    expect(m.sys.bind(b, sin('0.0.0.0', 5000))).toBe(-EADDRINUSE);
    expect(m.sys.bind(b, sin(HERE, 5000))).toBe(-EADDRINUSE);
    const c = udp();
    const d = udp();
    for (const fd of [c, d]) expect(opt(fd, SOL_SOCKET, SO_REUSEADDR, 1)).toBe(0);
    expect(m.sys.bind(c, sin('0.0.0.0', 5001))).toBe(0);
    expect(m.sys.bind(d, sin('0.0.0.0', 5001))).toBe(0);
  });

  it('keeps different addresses apart', () => {
    udp(5000, HERE);
    expect(m.sys.bind(udp(), sin('127.0.0.1', 5000))).toBe(0);
  });

  it('chooses ports by chance, inside the range, until none is left', () => {
    m.sysctl('ip_local_port_range', '40000 40009');
    m.sysctl('ip_local_reserved_ports', '40003,40005-40006');
    const seen = new Set<number>();
    for (let i = 0; i < 7; i++) {
      const fd = udp(0);
      const name = new Uint8Array(16);
      m.sys.getsockname(fd, name);
      seen.add(Number(readSin(name).split(':')[1]));
    }
    expect([...seen].sort()).toEqual([40000, 40001, 40002, 40004, 40007, 40008, 40009]);
    expect(m.sys.bind(udp(), sin('0.0.0.0', 0))).toBe(-EADDRINUSE);
  });
});

describe('send', () => {
  it('builds a datagram that a receiver accepts', () => {
    const fd = udp(7000);
    expect(m.sys.sendto(fd, Uint8Array.from([1, 2, 3]), 0, sin(PEER, 9000))).toBe(3);
    const [p] = eth0.take();
    expect([p?.src, p?.dst, p?.proto, p?.ttl]).toEqual([HERE, PEER, IPPROTO_UDP, 64]);
    expect([...(p?.payload ?? [])]).toEqual([...udpBytes(HERE, PEER, 7000, 9000, [1, 2, 3])]);
    expect(p?.frag).toBe(IP_DF);
    expect(m.udpStat(UDP_MIB_OUTDATAGRAMS)).toBe(1);
  });

  it('wants a destination, a port and no more than a datagram', () => {
    const fd = udp();
    expect(m.sys.sendto(fd, new Uint8Array(1), 0, null)).toBe(-EDESTADDRREQ);
    expect(m.sys.sendto(fd, new Uint8Array(1), 0, sin(PEER, 0))).toBe(-EINVAL);
    expect(m.sys.sendto(fd, new Uint8Array(65508), 0, sin(PEER, 9))).toBe(-EMSGSIZE);
    expect(m.sys.sendto(fd, new Uint8Array(65507), 0, sin(PEER, 9))).toBe(65507);
  });

  it('cuts a long datagram, its checksum right over the whole', () => {
    const fd = udp(7000);
    const data = Uint8Array.from({ length: 4000 }, (_, i) => i & 0xff);
    expect(m.sys.sendto(fd, data, 0, sin(PEER, 9000))).toBe(4000);
    const parts = eth0.take();
    expect(parts.map((p) => p.payload.length)).toEqual([1480, 1480, 1048]);
    expect(new Set(parts.map((p) => p.id)).size).toBe(1);
    const whole = parts.flatMap((p) => [...p.payload]);
    expect(whole).toEqual([...udpBytes(HERE, PEER, 7000, 9000, data)]);
  });

  it('says EMSGSIZE and the MTU when the user does path MTU discovery', () => {
    const fd = udp(7000);
    opt(fd, SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
    opt(fd, SOL_IP, IP_RECVERR, 1);
    expect(m.sys.sendto(fd, new Uint8Array(1473), 0, sin(PEER, 9000))).toBe(-EMSGSIZE);
    const msg = msghdr([new Uint8Array(10)], 200);
    expect(m.sys.recvmsg(fd, msg, MSG_ERRQUEUE)).toBe(0);
    const [[, , data] = [0, 0, []]] = cmsgs(msg);
    const v = new DataView(Uint8Array.from(data).buffer);
    expect([
      sockExtendedErr.errno(v, 0),
      sockExtendedErr.origin(v, 0),
      sockExtendedErr.info(v, 0),
    ]).toEqual([EMSGSIZE, SO_EE_ORIGIN_LOCAL, 1500]);
    expect(m.sys.sendto(fd, new Uint8Array(1472), 0, sin(PEER, 9000))).toBe(1472);
  });

  it('corks by MSG_MORE and by UDP_CORK', () => {
    const fd = udp(7000);
    expect(m.sys.connect(fd, sin(PEER, 9000))).toBe(0);
    expect(m.sys.sendto(fd, Uint8Array.from([1]), MSG_MORE, null)).toBe(1);
    expect(m.sys.sendto(fd, Uint8Array.from([2, 3]), MSG_MORE, null)).toBe(2);
    expect(eth0.take()).toEqual([]);
    expect(m.sys.sendto(fd, Uint8Array.from([4]), 0, null)).toBe(1);
    expect(eth0.take().map((p) => [...p.payload])).toEqual([
      [...udpBytes(HERE, PEER, 7000, 9000, [1, 2, 3, 4])],
    ]);
    opt(fd, SOL_UDP, UDP_CORK, 1);
    for (const byte of [9, 8]) m.sys.sendto(fd, Uint8Array.from([byte]), 0, null);
    expect(eth0.take()).toEqual([]);
    opt(fd, SOL_UDP, UDP_CORK, 0);
    expect(eth0.take().map((p) => [...p.payload.slice(8)])).toEqual([[9, 8]]);
  });

  it('throws a corked datagram away with the socket', () => {
    const fd = udp(7000);
    m.sys.sendto(fd, new Uint8Array(3000), MSG_MORE, sin(PEER, 9000));
    expect(m.sys.close(fd)).toBe(0);
    expect(eth0.take()).toEqual([]);
  });

  it('cuts a UDP_SEGMENT send into datagrams', () => {
    const fd = udp(7000);
    opt(fd, SOL_UDP, UDP_SEGMENT, 100);
    const data = Uint8Array.from({ length: 250 }, (_, i) => i);
    expect(m.sys.sendto(fd, data, 0, sin(PEER, 9000))).toBe(250);
    const seen = eth0.take();
    expect(seen.map((p) => p.payload.length - 8)).toEqual([100, 100, 50]);
    for (const [i, p] of seen.entries()) {
      const part = data.subarray(i * 100, i * 100 + 100);
      expect([...p.payload]).toEqual([...udpBytes(HERE, PEER, 7000, 9000, part)]);
    }
  });

  it('uses TTL and TOS of the socket, and of the call', () => {
    const fd = udp(7000);
    opt(fd, SOL_IP, IP_TTL, 5);
    opt(fd, SOL_IP, IP_TOS, 0x10);
    m.sys.sendto(fd, new Uint8Array(1), 0, sin(PEER, 9));
    const msg = msghdr([new Uint8Array(1)], 24);
    msg.name = sin(PEER, 9);
    const v = new DataView((msg.control as Uint8Array).buffer);
    v.setUint32(0, 20, true);
    v.setInt32(8, SOL_IP, true);
    v.setInt32(12, IP_TTL, true);
    v.setInt32(16, 77, true);
    expect(m.sys.sendmsg(fd, msg, 0)).toBe(1);
    expect(eth0.take().map((p) => [p.ttl, p.tos])).toEqual([
      [5, 0x10],
      [77, 0x10],
    ]);
  });
});

describe('receive', () => {
  it('hands over data and source, cut to the room, whole length on demand', () => {
    const fd = udp(6000);
    arrive(1234, 6000, [1, 2, 3, 4]);
    const from = new Uint8Array(16);
    const buf = new Uint8Array(10);
    expect(m.sys.recvfrom(fd, buf, MSG_PEEK, from)).toBe(4);
    expect(readSin(from)).toBe(`${PEER}:1234`);
    expect(recv(fd, MSG_PEEK, 2)).toEqual([1, 2]);
    expect(m.sys.recvfrom(fd, new Uint8Array(2), MSG_TRUNC, null)).toBe(4);
    expect(recv(fd)).toBe(-EAGAIN);
    expect(m.udpStat(UDP_MIB_INDATAGRAMS)).toBe(1);
  });

  it('sets MSG_TRUNC when it cuts', () => {
    const fd = udp(6000);
    arrive(1, 6000, [1, 2, 3]);
    const msg = msghdr([new Uint8Array(2)]);
    expect(m.sys.recvmsg(fd, msg, 0)).toBe(2);
    expect(msg.flags & MSG_TRUNC).toBe(MSG_TRUNC);
  });

  it('peeks at an offset that moves', () => {
    const fd = udp(6000);
    expect(opt(fd, SOL_SOCKET, SO_PEEK_OFF, 0)).toBe(0);
    arrive(1, 6000, [1, 2, 3, 4]);
    arrive(1, 6000, [5, 6]);
    expect(recv(fd, MSG_PEEK, 3)).toEqual([1, 2, 3]);
    expect(recv(fd, MSG_PEEK, 3)).toEqual([4]);
    expect(recv(fd, MSG_PEEK, 3)).toEqual([5, 6]);
    expect(recv(fd)).toEqual([1, 2, 3, 4]);
    expect(recv(fd)).toEqual([5, 6]);
  });

  it('delivers to the most specific socket', () => {
    const any = udp();
    const bound = udp();
    const connected = udp();
    for (const fd of [any, bound, connected]) opt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    m.sys.bind(any, sin('0.0.0.0', 6000));
    m.sys.bind(bound, sin(HERE, 6000));
    m.sys.bind(connected, sin(HERE, 6000));
    m.sys.connect(connected, sin(PEER, 1111));
    arrive(1111, 6000, [1]);
    arrive(2222, 6000, [2]);
    expect([recv(connected), recv(bound), recv(any)]).toEqual([[1], [2], -EAGAIN]);
  });

  it('spreads flows over a SO_REUSEPORT group, each to one member', () => {
    const group = [0, 1, 2, 3].map(() => {
      const fd = udp();
      opt(fd, SOL_SOCKET, SO_REUSEPORT, 1);
      expect(m.sys.bind(fd, sin('0.0.0.0', 6000))).toBe(0);
      return fd;
    });
    const owner = (sport: number): number => {
      arrive(sport, 6000, [1]);
      return group.findIndex((fd) => typeof recv(fd) !== 'number');
    };
    const owners = Array.from({ length: 64 }, (_, i) => owner(1000 + i));
    expect(new Set(owners).size).toBe(4);
    expect(Array.from({ length: 64 }, (_, i) => owner(1000 + i))).toEqual(owners);
  });

  it('copies a broadcast to every listener', () => {
    const fds = [0, 1].map(() => {
      const fd = udp();
      opt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
      m.sys.bind(fd, sin('0.0.0.0', 6000));
      return fd;
    });
    arrive(1, 6000, [7], PEER, '10.0.0.255');
    expect(fds.map((fd) => recv(fd))).toEqual([[7], [7]]);
  });

  it('drops a wrong checksum silently, and takes none at all', () => {
    const fd = udp(6000);
    arrive(1, 6000, new Uint8Array(20), PEER, HERE, 0x1111);
    expect(m.drops()).toEqual([SKB_DROP_REASON_UDP_CSUM]);
    expect(recv(fd)).toBe(-EAGAIN);
    arrive(1, 6000, [1], PEER, HERE, 0);
    expect(recv(fd)).toEqual([1]);
    expect(m.udpStat(UDP_MIB_CSUMERRORS)).toBe(1);
    expect(m.udpStat(UDP_MIB_INERRORS)).toBe(1);
    expect(eth0.take()).toEqual([]);
  });

  it('finds a wrong checksum of a long packet while it copies, and goes on to the next', () => {
    const fd = udp(6000);
    arrive(1, 6000, new Uint8Array(900), PEER, HERE, 0x1111);
    arrive(1, 6000, [1, 2]);
    expect(recv(fd)).toEqual([1, 2]);
    expect(m.drops()).toEqual([SKB_DROP_REASON_UDP_CSUM]);
    expect(m.udpStat(UDP_MIB_CSUMERRORS)).toBe(1);
  });

  it('is not readable by a wrong checksum', () => {
    const fd = udp(6000);
    arrive(1, 6000, new Uint8Array(900), PEER, HERE, 0x1111);
    const fds = Int32Array.of(fd);
    const revents = new Int16Array(1);
    m.sys.poll(fds, Int16Array.of(POLLIN | POLLOUT), revents);
    expect(revents[0]).toBe(POLLOUT);
  });

  it.each([
    ['a length beyond the packet', 100],
    ['a length below the header', 7],
  ])('drops %s', (_name, len) => {
    const payload = udpBytes(PEER, HERE, 1, 6000, [1]);
    new DataView(payload.buffer).setUint16(4, len);
    m.rx(eth0, ipPacket({ src: PEER, dst: HERE, payload }));
    expect(m.drops()).toEqual([SKB_DROP_REASON_PKT_TOO_SMALL]);
  });

  it('answers for a port where nobody listens', () => {
    arrive(1, 6000, [1]);
    expect(m.drops()).toEqual([SKB_DROP_REASON_NO_SOCKET]);
    expect(m.udpStat(UDP_MIB_NOPORTS)).toBe(1);
    expect(eth0.take().map((p) => [p.payload[0], p.payload[1]])).toEqual([
      [ICMP_DEST_UNREACH, ICMP_PORT_UNREACH],
    ]);
  });

  it('keeps to the receive buffer, counts what does not fit, and recovers', () => {
    const fd = udp(6000);
    opt(fd, SOL_SOCKET, SO_RCVBUF, 4096);
    for (let i = 0; i < 40; i++) arrive(1, 6000, new Uint8Array(500).fill(i));
    const dropped = m.drops();
    expect(new Set(dropped)).toEqual(new Set([SKB_DROP_REASON_SOCKET_RCVBUFF]));
    expect(m.udpStat(UDP_MIB_RCVBUFERRORS)).toBe(dropped.length);
    let got = 0;
    while (typeof recv(fd) !== 'number') got++;
    expect(got + dropped.length).toBe(40);
    arrive(1, 6000, [1]);
    expect(recv(fd)).toEqual([1]);
  });

  it('tells TTL, TOS and where a packet came in', () => {
    const fd = udp(6000);
    for (const name of [IP_RECVTTL, IP_RECVTOS, IP_PKTINFO]) opt(fd, SOL_IP, name, 1);
    const payload = udpBytes(PEER, HERE, 1, 6000, [1]);
    m.rx(eth0, ipPacket({ src: PEER, dst: HERE, ttl: 9, tos: 0x2e, payload }));
    const msg = msghdr([new Uint8Array(10)], 200);
    expect(m.sys.recvmsg(fd, msg, 0)).toBe(1);
    expect(cmsgs(msg)).toEqual([
      [SOL_IP, IP_PKTINFO, [eth0.dev.ifindex, 0, 0, 0, 10, 0, 0, 1, 10, 0, 0, 1]],
      [SOL_IP, IP_TTL, [9, 0, 0, 0]],
      [SOL_IP, IP_TOS, [0x2e]],
    ]);
  });

  it('answers SIOCINQ and SIOCOUTQ', () => {
    const fd = udp(6000);
    arrive(1, 6000, [1, 2, 3]);
    const arg = new Uint8Array(4);
    expect(m.sys.ioctl(fd, SIOCINQ, arg)).toBe(0);
    expect(arg[0]).toBe(3);
    expect(m.sys.ioctl(fd, SIOCOUTQ, arg)).toBe(0);
    expect(arg[0]).toBe(0);
  });
});

describe('errors from the network', () => {
  /** An ICMP error about the packet that the machine sent last. */
  function complain(code: number, rest = 0): void {
    const [sent] = eth0.take();
    const quote = (sent as SeenPacket).bytes.subarray(0, 28);
    const payload = icmpBytes(ICMP_DEST_UNREACH, code, rest, quote);
    m.rx(eth0, ipPacket({ src: PEER, dst: HERE, proto: IPPROTO_ICMP, payload }));
  }

  it('reach a connected socket as its pending error, once', () => {
    const fd = udp();
    m.sys.connect(fd, sin(PEER, 9));
    m.sys.sendto(fd, new Uint8Array(1), 0, null);
    complain(ICMP_PORT_UNREACH);
    const revents = new Int16Array(1);
    m.sys.poll(Int32Array.of(fd), Int16Array.of(POLLIN), revents);
    expect((revents[0] as number) & POLLERR).toBe(POLLERR);
    expect(recv(fd)).toBe(-ECONNREFUSED);
    expect(recv(fd)).toBe(-EAGAIN);
  });

  it('do not reach an unconnected one that did not ask', () => {
    const fd = udp(7000);
    m.sys.sendto(fd, new Uint8Array(1), 0, sin(PEER, 9));
    complain(ICMP_PORT_UNREACH);
    expect(getInt(fd, SOL_SOCKET, SO_ERROR)).toBe(0);
  });

  it('come with the payload and the offender by IP_RECVERR', () => {
    const fd = udp(7000);
    opt(fd, SOL_IP, IP_RECVERR, 1);
    m.sys.sendto(fd, Uint8Array.from([4, 2]), 0, sin(PEER, 9));
    const [sent] = eth0.take();
    const payload = icmpBytes(ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0, (sent as SeenPacket).bytes);
    m.rx(eth0, ipPacket({ src: '10.0.0.3', dst: HERE, proto: IPPROTO_ICMP, payload }));
    expect(recv(fd)).toBe(-ECONNREFUSED);
    const msg = msghdr([new Uint8Array(10)], 200);
    expect(m.sys.recvmsg(fd, msg, MSG_ERRQUEUE)).toBe(2);
    expect([...(msg.iov[0] as Uint8Array).subarray(0, 2)]).toEqual([4, 2]);
    expect(readSin(msg.name as Uint8Array)).toBe(`${PEER}:9`);
    const [[level, type, data] = [0, 0, []]] = cmsgs(msg);
    expect([level, type]).toEqual([SOL_IP, IP_RECVERR]);
    const v = new DataView(Uint8Array.from(data).buffer);
    expect(sockExtendedErr.origin(v, 0)).toBe(SO_EE_ORIGIN_ICMP);
    expect(readSin(Uint8Array.from(data).subarray(16))).toBe('10.0.0.3:0');
    expect(m.sys.recvmsg(fd, msghdr([new Uint8Array(1)], 200), MSG_ERRQUEUE)).toBe(-EAGAIN);
  });

  it('tell where an extension begins (RFC 4884)', () => {
    const fd = udp(7000);
    opt(fd, SOL_IP, IP_RECVERR, 1);
    opt(fd, SOL_IP, IP_RECVERR_RFC4884, 1);
    const ask = (extension: number[]): number => {
      m.sys.sendto(fd, new Uint8Array(200), 0, sin(PEER, 9));
      const [sent] = eth0.take();
      const quote = [...(sent as SeenPacket).bytes.subarray(0, 128), ...extension];
      // 32 words of the datagram are quoted.
      const payload = icmpBytes(ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 32 << 16, quote);
      m.rx(eth0, ipPacket({ src: PEER, dst: HERE, proto: IPPROTO_ICMP, payload }));
      recv(fd);
      const msg = msghdr([new Uint8Array(300)], 200);
      expect(m.sys.recvmsg(fd, msg, MSG_ERRQUEUE)).toBe(quote.length - 28);
      const [[, , data] = [0, 0, []]] = cmsgs(msg);
      return sockExtendedErr.data(new DataView(Uint8Array.from(data).buffer), 0);
    };
    const good = [0x20, 0, 0, 0, 0, 8, 1, 1, 9, 9, 9, 9];
    expect(ask(good)).toBe(100);
    expect(ask([...good.slice(0, 5), 9, ...good.slice(6)])).toBe(100 | (1 << 16));
    expect(ask([])).toBe(0);
  });

  it('teach a connected socket the MTU of the path', () => {
    const fd = udp();
    m.sys.connect(fd, sin(PEER, 9));
    m.sys.sendto(fd, new Uint8Array(1400), 0, null);
    complain(ICMP_FRAG_NEEDED, 1000);
    expect(recv(fd)).toBe(-EMSGSIZE);
    expect(getInt(fd, SOL_IP, IP_MTU)).toBe(1000);
    m.sys.sendto(fd, new Uint8Array(1400), 0, null);
    expect(eth0.take().map((p) => p.bytes.length <= 1000)).toEqual([true, true]);
  });
});

describe('connect', () => {
  it('receives only from its peer, until it is dissolved', () => {
    const fd = udp(6000);
    m.sys.connect(fd, sin(PEER, 1111));
    arrive(2222, 6000, [1]);
    expect(recv(fd)).toBe(-EAGAIN);
    expect(m.drops()).toEqual([SKB_DROP_REASON_NO_SOCKET]);
    arrive(1111, 6000, [2]);
    arrive(1111, 6000, [3]);
    expect([recv(fd), recv(fd)]).toEqual([[2], [3]]);
    const none = new Uint8Array(16);
    expect(m.sys.connect(fd, none)).toBe(0);
    arrive(2222, 6000, [4]);
    expect(recv(fd)).toEqual([4]);
  });

  it('finds its own address, which the name then shows', () => {
    const fd = udp();
    m.sys.connect(fd, sin(PEER, 1111));
    const name = new Uint8Array(16);
    m.sys.getsockname(fd, name);
    expect(readSin(name)).toMatch(/^10\.0\.0\.1:\d+$/);
    m.sys.sendto(fd, new Uint8Array(1), 0, null);
    expect(ports(eth0.take()[0])[1]).toBe(1111);
  });
});

describe('over loopback', () => {
  it('goes out and comes back in one call', () => {
    const a = udp(6000, '127.0.0.1');
    const b = udp(6001, '127.0.0.1');
    expect(m.sys.sendto(b, Uint8Array.from([1, 2]), 0, sin('127.0.0.1', 6000))).toBe(2);
    expect(recv(a)).toEqual([1, 2]);
    const big = Uint8Array.from({ length: 60_000 }, (_, i) => i & 0xff);
    expect(m.sys.sendto(b, big, 0, sin('127.0.0.1', 6000))).toBe(60_000);
    expect(recv(a, 0, 65_000)).toEqual([...big]);
  });

  it('tells a connected sender that nobody listens', () => {
    const a = udp();
    m.sys.connect(a, sin('127.0.0.1', 6999));
    m.sys.sendto(a, new Uint8Array(1), 0, null);
    expect(recv(a)).toBe(-ECONNREFUSED);
  });
});

describe('/proc/net/udp', () => {
  it('shows a socket as Linux does', () => {
    const fd = udp(6000, HERE);
    arrive(1, 6000, [1]);
    const lines = m.proc('udp').split('\n');
    expect(lines[0]).toBe(
      '   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops'.padEnd(
        127,
      ),
    );
    expect(lines[1]).toMatch(
      /^ *\d+: 0100000A:1770 00000000:0000 07 00000000:[0-9A-F]{8} 00:00000000 00000000 {5}0 {8}0 \d+ \d+ 0000000000000000 0 +$/,
    );
    expect(lines[1]?.length).toBe(127);
    m.sys.close(fd);
    expect(m.proc('udp').split('\n')).toHaveLength(2);
  });
});
