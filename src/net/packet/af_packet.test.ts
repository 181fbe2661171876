import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loopbackInit } from '#drivers/net/loopback.ts';
import { BareMachine } from '#fs/testing/bare_machine.ts';
import { makeSyscalls } from '#init/syscalls.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { __devGetByName, devClose, devOpen } from '#net/core/dev.ts';
import { netDevInit } from '#net/core/dev_init.ts';
import { cleanupNet } from '#net/core/net_namespace.ts';
import { packetInit } from '#net/packet/af_packet.ts';
import { schGenericInit } from '#net/sched/sch_generic.ts';
import {
  EAGAIN,
  EINVAL,
  EMSGSIZE,
  ENETDOWN,
  ENODEV,
  ENOPROTOOPT,
  ENXIO,
  EOPNOTSUPP,
  ESOCKTNOSUPPORT,
} from '#uapi/errno.ts';
import { BPF_K, BPF_RET, sockFilter } from '#uapi/filter.ts';
import { ifreq } from '#uapi/if.ts';
import { ETH_P_ALL, ETH_P_ARP, ETH_P_IP } from '#uapi/if_ether.ts';
import {
  PACKET_ADD_MEMBERSHIP,
  PACKET_AUXDATA,
  PACKET_DROP_MEMBERSHIP,
  PACKET_HOST,
  PACKET_IGNORE_OUTGOING,
  PACKET_MR_PROMISC,
  PACKET_OUTGOING,
  PACKET_STATISTICS,
  packetMreq,
  sockaddrLl,
  tpacketAuxdata,
  tpacketStats,
} from '#uapi/if_packet.ts';
import {
  AF_INET,
  AF_PACKET,
  SO_ATTACH_FILTER,
  SO_ERROR,
  SO_RCVBUF,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_STREAM,
  SOL_PACKET,
  SOL_SOCKET,
} from '#uapi/socket.ts';
import {
  SIOCGIFFLAGS,
  SIOCGIFHWADDR,
  SIOCGIFINDEX,
  SIOCGIFMTU,
  SIOCGIFNAME,
} from '#uapi/sockios.ts';
import type { SyscallTable } from '#uapi/unistd.ts';

let m: BareMachine;
let sys: SyscallTable;

function setUp(up: boolean): void {
  const { machine } = m;
  rtnlLock(machine);
  const lo = __devGetByName(machine.initNet, 'lo');
  if (lo === null) throw new Error('there is no lo');
  if (up) expect(devOpen(lo)).toBe(0);
  else devClose(lo);
  rtnlUnlock(machine);
}

beforeEach(() => {
  m = new BareMachine();
  for (const init of [schGenericInit, netDevInit, packetInit, loopbackInit]) {
    expect(init(m.machine)).toBe(0);
  }
  sys = makeSyscalls(m.task);
  setUp(true);
});

afterEach(() => {
  m.end();
  cleanupNet(m.machine.initNet);
  m.settle();
  expect(m.end()).toEqual({});
});

const htons = (x: number): number => ((x & 0xff) << 8) | (x >> 8);
const view = (b: Uint8Array): DataView => new DataView(b.buffer, b.byteOffset, b.length);

function open(type: number, protocol: number): number {
  const fd = sys.socket(AF_PACKET, type, htons(protocol));
  expect(fd).toBeGreaterThanOrEqual(0);
  return fd;
}

function ll(protocol: number, ifindex: number): Uint8Array {
  const addr = new Uint8Array(sockaddrLl.LEN);
  sockaddrLl.setFamily(view(addr), 0, AF_PACKET);
  sockaddrLl.setProtocol(view(addr), 0, protocol);
  sockaddrLl.setIfindex(view(addr), 0, ifindex);
  return addr;
}

/** An Ethernet frame of loopback with `payload` bytes of 0x55. */
function frame(protocol: number, payload: number): Uint8Array {
  const f = new Uint8Array(14 + payload).fill(0x55);
  f.fill(0, 0, 12);
  f[12] = protocol >> 8;
  f[13] = protocol & 0xff;
  return f;
}

interface Seen {
  len: number;
  pkttype: number;
  protocol: number;
}

function receive(fd: number): Seen | number {
  const addr = new Uint8Array(sockaddrLl.LEN);
  const len = sys.recvfrom(fd, new Uint8Array(2000), 0, addr);
  if (len < 0) return len;
  const v = view(addr);
  return { len, pkttype: sockaddrLl.pkttype(v, 0), protocol: sockaddrLl.protocol(v, 0) };
}

function stats(fd: number): [number, number] {
  const buf = new Uint8Array(tpacketStats.LEN);
  expect(sys.getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, buf)).toBe(8);
  return [tpacketStats.packets(view(buf), 0), tpacketStats.drops(view(buf), 0)];
}

describe('a tap', () => {
  it('sees each frame of loopback on its way out and in', () => {
    const tap = open(SOCK_RAW, ETH_P_ALL);
    const sender = open(SOCK_RAW, 0);
    expect(sys.sendto(sender, frame(ETH_P_IP, 46), 0, ll(ETH_P_IP, 1))).toBe(60);
    expect(receive(tap)).toEqual({ len: 60, pkttype: PACKET_OUTGOING, protocol: ETH_P_IP });
    expect(receive(tap)).toEqual({ len: 60, pkttype: PACKET_HOST, protocol: ETH_P_IP });
    expect(receive(tap)).toBe(-EAGAIN);
    expect(stats(tap)).toEqual([2, 0]);
    expect(stats(tap)).toEqual([0, 0]);
  });

  it('of one protocol sees only what comes in, without the link header if it wants', () => {
    const arp = open(SOCK_DGRAM, ETH_P_ARP);
    const sender = open(SOCK_RAW, 0);
    sys.sendto(sender, frame(ETH_P_IP, 46), 0, ll(ETH_P_IP, 1));
    sys.sendto(sender, frame(ETH_P_ARP, 46), 0, ll(ETH_P_ARP, 1));
    expect(receive(arp)).toEqual({ len: 46, pkttype: PACKET_HOST, protocol: ETH_P_ARP });
    expect(receive(arp)).toBe(-EAGAIN);
  });

  it('does not hear itself, nor what goes out if it does not want to', () => {
    const self = open(SOCK_RAW, ETH_P_ALL);
    const tap = open(SOCK_RAW, ETH_P_ALL);
    const one = new Uint8Array([1, 0, 0, 0]);
    expect(sys.setsockopt(tap, SOL_PACKET, PACKET_IGNORE_OUTGOING, one)).toBe(0);
    sys.sendto(self, frame(ETH_P_IP, 46), 0, ll(ETH_P_IP, 1));
    expect(receive(self)).toMatchObject({ pkttype: PACKET_HOST });
    expect(receive(self)).toBe(-EAGAIN);
    expect(receive(tap)).toMatchObject({ pkttype: PACKET_HOST });
    expect(receive(tap)).toBe(-EAGAIN);
  });

  it('cuts what the filter says and tells the whole length', () => {
    const tap = open(SOCK_RAW, ETH_P_ALL);
    const prog = new Uint8Array(8);
    sockFilter.setCode(view(prog), 0, BPF_RET | BPF_K);
    sockFilter.setK(view(prog), 0, 20);
    expect(sys.setsockopt(tap, SOL_SOCKET, SO_ATTACH_FILTER, prog)).toBe(0);
    const one = new Uint8Array([1, 0, 0, 0]);
    expect(sys.setsockopt(tap, SOL_PACKET, PACKET_AUXDATA, one)).toBe(0);
    sys.sendto(open(SOCK_RAW, 0), frame(ETH_P_IP, 86), 0, ll(ETH_P_IP, 1));
    const msg = {
      name: null,
      namelen: 0,
      iov: [new Uint8Array(2000)],
      control: new Uint8Array(64),
      controllen: 64,
      flags: 0,
    };
    expect(sys.recvmsg(tap, msg, 0)).toBe(20);
    const aux = view(msg.control.subarray(16));
    expect(msg.controllen).toBe(16 + 24);
    expect([tpacketAuxdata.len(aux, 0), tpacketAuxdata.snaplen(aux, 0)]).toEqual([100, 20]);
    sockFilter.setK(view(prog), 0, 0);
    sys.setsockopt(tap, SOL_SOCKET, SO_ATTACH_FILTER, prog);
    receive(tap);
    sys.sendto(open(SOCK_RAW, 0), frame(ETH_P_IP, 86), 0, ll(ETH_P_IP, 1));
    expect(receive(tap)).toBe(-EAGAIN);
  });

  it('drops and counts when its buffer is full', () => {
    const tap = open(SOCK_RAW, ETH_P_ALL);
    sys.setsockopt(tap, SOL_SOCKET, SO_RCVBUF, new Uint8Array([0, 4, 0, 0]));
    const sender = open(SOCK_RAW, 0);
    for (let i = 0; i < 10; i++) sys.sendto(sender, frame(ETH_P_IP, 500), 0, ll(ETH_P_IP, 1));
    const [seen, drops] = stats(tap);
    expect(seen).toBe(20);
    expect(drops).toBeGreaterThan(10);
  });

  it('follows its interface', () => {
    const tap = open(SOCK_RAW, 0);
    expect(sys.bind(tap, ll(ETH_P_ALL, 7))).toBe(-ENODEV);
    expect(sys.bind(tap, ll(ETH_P_ALL, 1))).toBe(0);
    setUp(false);
    const err = new Uint8Array(4);
    sys.getsockopt(tap, SOL_SOCKET, SO_ERROR, err);
    expect(view(err).getInt32(0, true)).toBe(ENETDOWN);
    expect(sys.sendto(tap, frame(ETH_P_IP, 46), 0, null)).toBe(-ENETDOWN);
    setUp(true);
    sys.sendto(open(SOCK_RAW, 0), frame(ETH_P_IP, 46), 0, ll(ETH_P_IP, 1));
    expect(receive(tap)).toMatchObject({ pkttype: PACKET_OUTGOING });
  });
});

describe('errors', () => {
  it('are those of Linux', () => {
    expect(sys.socket(AF_PACKET, SOCK_STREAM, 0)).toBe(-ESOCKTNOSUPPORT);
    const fd = open(SOCK_RAW, 0);
    expect(sys.bind(fd, ll(0, 1).subarray(0, 19))).toBe(-EINVAL);
    const inet = ll(0, 1);
    inet[0] = AF_INET;
    expect(sys.bind(fd, inet)).toBe(-EINVAL);
    expect(sys.connect(fd, ll(0, 1))).toBe(-EOPNOTSUPP);
    expect(sys.write(fd, frame(ETH_P_IP, 46))).toBe(-ENXIO);
    expect(sys.sendto(fd, frame(ETH_P_IP, 46), 0, ll(ETH_P_IP, 9))).toBe(-ENXIO);
    expect(sys.sendto(fd, frame(ETH_P_IP, 46), 0, new Uint8Array(12))).toBe(-EINVAL);
    expect(sys.sendto(fd, frame(ETH_P_IP, 65600), 0, ll(ETH_P_IP, 1))).toBe(-EMSGSIZE);
    expect(sys.sendto(fd, new Uint8Array(10), 0, ll(ETH_P_IP, 1))).toBe(-EINVAL);
    expect(sys.setsockopt(fd, SOL_PACKET, 99, new Uint8Array(4))).toBe(-ENOPROTOOPT);
    expect(sys.setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, new Uint8Array(3))).toBe(-EINVAL);
  });
});

describe('memberships', () => {
  it('make the interface promiscuous while they last', () => {
    const fd = open(SOCK_RAW, ETH_P_ALL);
    const mreq = new Uint8Array(packetMreq.LEN);
    packetMreq.setIfindex(view(mreq), 0, 1);
    packetMreq.setType(view(mreq), 0, PACKET_MR_PROMISC);
    const promiscuity = (): number => __devGetByName(m.machine.initNet, 'lo')?.promiscuity ?? -1;
    expect(sys.setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, mreq)).toBe(0);
    expect(sys.setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, mreq)).toBe(0);
    expect(promiscuity()).toBe(1);
    expect(sys.setsockopt(fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, mreq)).toBe(0);
    expect(promiscuity()).toBe(1);
    sys.close(fd);
    expect(promiscuity()).toBe(0);
  });
});

describe('ioctls on interfaces', () => {
  it('read by name and by index', () => {
    const fd = open(SOCK_RAW, 0);
    const ifr = new Uint8Array(ifreq.LEN);
    const ask = (cmd: number, name: string): number => {
      ifr.fill(0);
      ifr.set(new TextEncoder().encode(name));
      return sys.ioctl(fd, cmd, ifr);
    };
    expect(ask(SIOCGIFINDEX, 'lo')).toBe(0);
    expect(ifreq.ifindex(view(ifr), 0)).toBe(1);
    expect(ask(SIOCGIFMTU, 'lo')).toBe(0);
    expect(ifreq.mtu(view(ifr), 0)).toBe(65536);
    expect(ask(SIOCGIFFLAGS, 'lo:1')).toBe(0);
    expect(ifreq.flags(view(ifr), 0) & 9).toBe(9);
    expect(ask(SIOCGIFHWADDR, 'lo')).toBe(0);
    expect(view(ifr).getUint16(16, true)).toBe(772);
    expect(ask(SIOCGIFINDEX, 'eth0')).toBe(-ENODEV);
    ifr.fill(0);
    ifreq.setIfindex(view(ifr), 0, 1);
    expect(sys.ioctl(fd, SIOCGIFNAME, ifr)).toBe(0);
    expect([ifr[0], ifr[1], ifr[2]]).toEqual([108, 111, 0]);
    expect(sys.ioctl(fd, 0x1234, ifr)).toBe(-25);
    expect(sys.ioctl(fd, SIOCGIFINDEX, new Uint8Array(8))).toBe(-EINVAL);
  });
});
