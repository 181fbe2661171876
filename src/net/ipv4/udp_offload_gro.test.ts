import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NETIF_F_GRO_FRAGLIST, NETIF_F_GRO_UDP_FWD } from '#include/linux/netdev_features.ts';
import { type NapiStruct, NET_RX_SUCCESS, PacketType } from '#include/linux/netdevice.ts';
import { CHECKSUM_UNNECESSARY, type SkBuff } from '#include/linux/skbuff.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import { mem } from '#mm/memory.ts';
import {
  napiCompleteDone,
  napiDisable,
  napiEnable,
  napiSchedule,
  netifNapiAdd,
  netifNapiDel,
} from '#net/core/dev_napi.ts';
import { devAddPack, devRemovePack } from '#net/core/dev_rx.ts';
import { napiGroReceive } from '#net/core/gro.ts';
import { allocSkb, consumeSkb, kfreeSkb, skbClone, skbPut } from '#net/core/skbuff.ts';
import { skbCopyBits } from '#net/core/skbuff_data.ts';
import { ethTypeTrans } from '#net/ethernet/eth.ts';
import {
  IpMachine,
  int32,
  ipPacket,
  sin,
  udpBytes,
  type WireDevice,
} from '#net/ipv4/testing/ip_machine.ts';
import { EAGAIN, EINVAL } from '#uapi/errno.ts';
import { ETH_P_ALL } from '#uapi/if_ether.ts';
import { SKB_DROP_REASON_NOT_SPECIFIED } from '#uapi/net_dropreason.ts';
import { AF_INET, SOCK_DGRAM, SOL_UDP } from '#uapi/socket.ts';
import { UDP_GRO, UDP_SEGMENT } from '#uapi/udp.ts';
import type { UserMsghdr } from '#uapi/unistd.ts';

const HERE = '10.0.0.1';
const PEER = '10.0.0.2';
const FAR = '10.9.0.2';

let m: IpMachine;
let eth0: WireDevice;
let eth1: WireDevice;

beforeEach(() => {
  m = new IpMachine();
  eth0 = m.device('eth0', HERE, 24);
  eth1 = m.device('eth1', '10.9.0.1', 24);
  m.neighbour(eth0, PEER);
  m.neighbour(eth1, FAR);
});

afterEach(() => m.end());

/** A packet that a driver has received: bytes behind a link header. */
interface Datagram {
  readonly sport?: number;
  readonly dst?: string;
  readonly data: Uint8Array;
  readonly ttl?: number;
  readonly check?: number;
  readonly id: number;
}

/** A device polls these datagrams from PEER to port 9 of `dst`. */
function poll(packets: readonly Datagram[]): void {
  const { dev } = eth0;
  const napi = netifNapiAdd(dev, (n: NapiStruct) => {
    for (const { sport = 5, dst = HERE, data, ttl = 64, check, id } of packets) {
      const payload = udpBytes(PEER, dst, sport, 9, data, check);
      const ip = ipPacket({ src: PEER, dst, ttl, id, payload });
      const skb = allocSkb(m.machine, ip.length + 14 + 64);
      if (skb === null) throw new Error('out of packet memory');
      skb.data += 64;
      skb.tail += 64;
      const at = skbPut(skb, ip.length + 14);
      mem.set([...dev.devAddr.subarray(0, 6), 2, 0, 0, 0, 0, 99, 8, 0], at);
      mem.set(ip, at + 14);
      skb.headFrag = true;
      skb.dev = dev;
      skb.protocol = ethTypeTrans(skb, dev);
      napiGroReceive(n, skb);
    }
    // Within its budget, whatever it took.
    const work = Math.min(packets.length, 63);
    napiCompleteDone(n, work);
    return work;
  });
  napiEnable(napi);
  napiSchedule(napi);
  localBhDisable(m.machine);
  localBhEnable(m.machine);
  napiDisable(napi);
  netifNapiDel(napi);
  m.settle();
}

/** Datagrams of these sizes, each byte telling which it is of. */
function train(sizes: readonly number[], more: Partial<Datagram> = {}): Datagram[] {
  return sizes.map((size, i) => ({ data: new Uint8Array(size).fill(i + 1), id: 100 + i, ...more }));
}

function udp(port: number, gro: boolean): number {
  const fd = m.sys.socket(AF_INET, SOCK_DGRAM, 0);
  expect(m.sys.bind(fd, sin('0.0.0.0', port))).toBe(0);
  if (gro) expect(m.sys.setsockopt(fd, SOL_UDP, UDP_GRO, int32(1))).toBe(0);
  return fd;
}

/** What each recvmsg() gives: octets, and the size in the control message (0: none). */
function recvAll(fd: number): [number, number][] {
  const out: [number, number][] = [];
  for (;;) {
    const buf = new Uint8Array(65536);
    const msg: UserMsghdr = {
      name: null,
      namelen: 0,
      iov: [buf],
      control: new Uint8Array(64),
      controllen: 64,
      flags: 0,
    };
    const n = m.sys.recvmsg(fd, msg, 0);
    if (n === -EAGAIN) return out;
    const v = new DataView((msg.control as Uint8Array).buffer);
    const has = msg.controllen > 0 && v.getInt32(8, true) === SOL_UDP;
    if (has) expect([v.getInt32(12, true), v.getUint32(0, true)]).toEqual([UDP_GRO, 20]);
    out.push([n, has ? v.getInt32(16, true) : 0]);
    // Every datagram's bytes are its own number.
    const size = has ? v.getInt32(16, true) : n;
    for (let at = 0; at < n; at += size) {
      const part = buf.subarray(at, Math.min(at + size, n));
      expect(part.every((byte) => byte === part[0])).toBe(true);
    }
  }
}

describe('a socket with UDP_GRO', () => {
  it('gets a train of datagrams in one call, and the size of each', () => {
    const fd = udp(9, true);
    poll(train([500, 500, 500, 200]));
    expect(recvAll(fd)).toEqual([[1700, 500]]);
  });

  it('gets datagrams one by one until it asks, and after it has withdrawn', () => {
    const fd = udp(9, false);
    poll(train([500, 500]));
    expect(recvAll(fd)).toHaveLength(2);
    expect(m.sys.setsockopt(fd, SOL_UDP, UDP_GRO, int32(1))).toBe(0);
    poll(train([500, 500]));
    expect(recvAll(fd)).toEqual([[1000, 500]]);
    expect(m.sys.setsockopt(fd, SOL_UDP, UDP_GRO, int32(0))).toBe(0);
    poll(train([500, 500]));
    expect(recvAll(fd)).toEqual([
      [500, 0],
      [500, 0],
    ]);
    expect(m.machine.netGlobals.udpEncapNeeded).toBe(1);
    m.sys.close(fd);
    expect(m.machine.netGlobals.udpEncapNeeded).toBe(0);
  });

  const cases: [string, Datagram[], [number, number][]][] = [
    [
      'one that is longer',
      train([300, 300, 400, 400]),
      [
        [600, 300],
        [800, 400],
      ],
    ],
    [
      'one that is shorter, with it',
      train([300, 300, 100, 300]),
      [
        [700, 300],
        [300, 0],
      ],
    ],
    [
      'another TTL',
      [...train([300, 300]), ...train([300, 300], { ttl: 63 })],
      [
        [600, 300],
        [600, 300],
      ],
    ],
    [
      'one without a checksum',
      [...train([300, 300]), { data: new Uint8Array(300), id: 102, check: 0 }],
      [
        [300, 0],
        [600, 300],
      ],
    ],
    [
      'an identification that is not the next',
      [...train([300, 300]), { data: new Uint8Array(300), id: 500 }],
      [
        [600, 300],
        [300, 0],
      ],
    ],
    [
      'sixty-four',
      train(new Array<number>(70).fill(20)),
      [
        [64 * 20, 20],
        [6 * 20, 20],
      ],
    ],
  ];
  for (const [what, packets, got] of cases) {
    it(`ends a train at ${what}`, () => {
      const fd = udp(9, true);
      poll(packets);
      expect(recvAll(fd).sort()).toEqual(got.sort());
    });
  }

  it('keeps flows apart', () => {
    const fd = udp(9, true);
    const [a, b] = [train([100, 100]), train([200, 200], { sport: 6 })];
    poll([a[0], b[0], a[1], b[1]] as Datagram[]);
    expect(recvAll(fd).sort()).toEqual([
      [200, 100],
      [400, 200],
    ]);
  });

  it('drops a datagram whose checksum is wrong, and only that', () => {
    const fd = udp(9, true);
    const packets = train([300, 300, 300]);
    packets[1] = { ...(packets[1] as Datagram), check: 0x1234 };
    poll(packets);
    expect(recvAll(fd)).toEqual([
      [300, 0],
      [300, 0],
    ]);
  });

  it('leaves the datagrams of other sockets alone', () => {
    udp(10, true);
    const fd = udp(9, false);
    poll(train([300, 300]));
    expect(recvAll(fd)).toHaveLength(2);
  });
});

describe('a UDP_SEGMENT send on this host', () => {
  function send(gro: boolean): [number, number][] {
    const to = udp(9, gro);
    const fd = udp(5, false);
    expect(m.sys.setsockopt(fd, SOL_UDP, UDP_SEGMENT, int32(1000))).toBe(0);
    const data = Uint8Array.from({ length: 2500 }, (_, i) => Math.floor(i / 1000) + 1);
    expect(m.sys.sendto(fd, data, 0, sin('127.0.0.1', 9))).toBe(2500);
    m.settle();
    return recvAll(to);
  }

  it('arrives as it was sent at a socket with UDP_GRO', () => {
    expect(send(true)).toEqual([[2500, 1000]]);
  });

  it('arrives as datagrams at any other', () => {
    expect(send(false)).toEqual([
      [1000, 0],
      [1000, 0],
      [500, 0],
    ]);
  });

  it('has at most 128 segments', () => {
    const fd = udp(5, false);
    expect(m.sys.setsockopt(fd, SOL_UDP, UDP_SEGMENT, int32(10))).toBe(0);
    expect(m.sys.sendto(fd, new Uint8Array(1281), 0, sin('127.0.0.1', 9))).toBe(-EINVAL);
    expect(m.sys.sendto(fd, new Uint8Array(1280), 0, sin('127.0.0.1', 9))).toBe(1280);
    m.settle();
  });
});

describe('forwarding', () => {
  beforeEach(() => m.sysctl('ip_forward', 1));

  /** Packets handed to eth1, as octets behind the UDP header; TTL and identification of each. */
  function forwarded(): { data: number[]; ttl: number; id: number; check: number }[] {
    return eth1.take().map(({ payload, ttl, id }) => {
      const right = udpBytes(PEER, FAR, 5, 9, payload.subarray(8));
      expect([...payload]).toEqual([...right]);
      return { data: [...payload.subarray(8)], ttl, id, check: 0 };
    });
  }

  for (const [name, feature] of [
    ['rx-udp-gro-forwarding', NETIF_F_GRO_UDP_FWD],
    ['rx-gro-list', NETIF_F_GRO_FRAGLIST],
  ] as const) {
    it(`with ${name} goes through the stack as one packet and leaves as it came`, () => {
      eth0.dev.features |= feature;
      let routed = 0;
      m.machine.trace.net.netifReceiveSkb.register(() => routed++);
      poll(train([500, 500, 300], { dst: FAR }));
      expect(routed).toBe(1);
      const out = forwarded();
      expect(out.map(({ data }) => [data.length, data[0]])).toEqual([
        [500, 1],
        [500, 2],
        [300, 3],
      ]);
      expect(out.map(({ ttl }) => ttl)).toEqual([63, 63, 63]);
      expect(out.map(({ id }) => id)).toEqual([100, 101, 102]);
    });

    it(`with ${name} delivers datagrams one by one to a socket without UDP_GRO`, () => {
      eth0.dev.features |= feature;
      const fd = udp(9, false);
      poll(train([500, 500, 300]));
      expect(recvAll(fd)).toEqual([
        [500, 0],
        [500, 0],
        [300, 0],
      ]);
    });

    it(`with ${name} does both while somebody looks on, and does not touch what that one sees`, () => {
      eth0.dev.features |= feature;
      const fd = udp(9, false);
      const seen: SkBuff[] = [];
      const tap = new PacketType(ETH_P_ALL, (skb) => {
        // As a packet socket does.
        seen.push(skbClone(skb));
        consumeSkb(skb);
        return NET_RX_SUCCESS;
      });
      devAddPack(m.machine, tap);
      poll(train([500, 500, 300], { dst: FAR }));
      expect(forwarded().map(({ data }) => [data.length, data[0]])).toEqual([
        [500, 1],
        [500, 2],
        [300, 3],
      ]);
      poll(train([500, 500, 300]));
      expect(recvAll(fd).map(([n]) => n)).toEqual([500, 500, 300]);
      devRemovePack(m.machine, tap);
      const frame = new Uint8Array(20 + 8 + 1300);
      const whole = seen.filter(({ len }) => len === frame.length);
      expect(whole).toHaveLength(2);
      for (const skb of whole) {
        expect(skbCopyBits(skb, 0, frame, 0, frame.length)).toBe(0);
        const bytes = [28, 527, 528, 1027, 1028, 1327].map((at) => frame[at]);
        expect(bytes).toEqual([1, 1, 2, 2, 3, 3]);
        // It was not forwarded yet, nor were those that hang on it.
        expect(frame[8]).toBe(64);
        for (let member = skb.shinfo.fragList; member !== null; member = member.next) {
          expect(mem[member.networkHeader + 8]).toBe(64);
        }
      }
      for (const skb of seen) kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, 'test');
    });
  }

  it('without either merges nothing', () => {
    let routed = 0;
    m.machine.trace.net.netifReceiveSkb.register(() => routed++);
    poll(train([500, 500, 300], { dst: FAR }));
    expect([routed, forwarded().length]).toEqual([3, 3]);
  });

  it('prefers one packet to a list for a socket that asked', () => {
    eth0.dev.features |= NETIF_F_GRO_FRAGLIST;
    const fd = udp(9, true);
    let summed = -1;
    m.machine.trace.net.netifReceiveSkb.register((skb) => {
      summed = skb.ipSummed;
    });
    poll(train([500, 500]));
    expect(recvAll(fd)).toEqual([[1000, 500]]);
    expect(summed).not.toBe(CHECKSUM_UNNECESSARY);
  });
});
