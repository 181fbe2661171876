/**
 * A booted machine with IPv4 on Ethernet devices whose wires end in the test: packets are put in as
 * octets, and what leaves is kept as octets.
 */
import { expect } from 'vitest';
import { bytesOf, StillHost } from '#drivers/net/testing/netdev_machine.ts';
import { InIfaddr } from '#include/linux/inetdevice.ts';
import { NETDEV_TX_OK, type NetDevice, netDeviceOps } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { FibConfig, NlInfo } from '#include/net/ip_fib.ts';
import { NEIGH_UPDATE_F_ADMIN, NEIGH_UPDATE_F_OVERRIDE } from '#include/net/neighbour.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { defconfig } from '#init/defconfig.ts';
import { bootMachine, haltMachine } from '#init/main.ts';
import { makeSyscalls } from '#init/syscalls.ts';
import { liveReport } from '#kernel/live.ts';
import { type Machine, runPending, runTimers } from '#kernel/machine.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { createTask } from '#kernel/sched/task.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import { csumFold, csumPartial, csumTcpudpMagic } from '#lib/checksum.ts';
import { mem } from '#mm/memory.ts';
import { livePages } from '#mm/page_alloc.ts';
import { devChangeFlags } from '#net/core/dev.ts';
import { registerNetdev } from '#net/core/dev_register.ts';
import { netifReceiveSkb } from '#net/core/dev_rx.ts';
import { __neighLookup } from '#net/core/neighbour.ts';
import { neighRelease } from '#net/core/neighbour_destroy.ts';
import { neighUpdate } from '#net/core/neighbour_nud.ts';
import { allocSkb, consumeSkb, skbLeakReport, skbPut } from '#net/core/skbuff.ts';
import { allocEtherdev, ethTypeTrans } from '#net/ethernet/eth.ts';
import { inetInsertIfa } from '#net/ipv4/devinet_addr.ts';
import { fibNewTable } from '#net/ipv4/fib_frontend_table.ts';
import { fibTableInsert } from '#net/ipv4/fib_trie_table.ts';
import { IFF_UP } from '#uapi/if.ts';
import { IPPROTO_UDP } from '#uapi/in.ts';
import { NUD_PERMANENT } from '#uapi/neighbour.ts';
import { NLM_F_CREATE, NLM_F_EXCL } from '#uapi/netlink.ts';
import {
  RT_SCOPE_LINK,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_MAIN,
  RTN_UNICAST,
  RTPROT_STATIC,
} from '#uapi/rtnetlink.ts';
import { AF_INET } from '#uapi/socket.ts';
import type { SyscallTable } from '#uapi/unistd.ts';

/** 10.0.0.1 as a number. */
export function ip4(text: string): number {
  return text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

/** A number as 10.0.0.1. */
export function ipText(addr: number): string {
  return [24, 16, 8, 0].map((shift) => (addr >>> shift) & 0xff).join('.');
}

/** struct sockaddr_in. */
export function sin(addr: string, port: number): Uint8Array {
  const out = new Uint8Array(16);
  const v = new DataView(out.buffer);
  v.setUint16(0, AF_INET, true);
  v.setUint16(2, port);
  v.setUint32(4, ip4(addr));
  return out;
}

export function readSin(bytes: Uint8Array): string {
  const v = new DataView(bytes.buffer, bytes.byteOffset);
  return `${ipText(v.getUint32(4))}:${v.getUint16(2)}`;
}

export function int32(value: number): Uint8Array {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setInt32(0, value, true);
  return out;
}

/** Fields of an IPv4 packet to build; what is missing has a usual value. */
export interface IpFields {
  readonly src: string;
  readonly dst: string;
  readonly proto?: number;
  readonly ttl?: number;
  readonly tos?: number;
  readonly id?: number;
  /** The whole word with DF, MF and the offset in units of 8. */
  readonly frag?: number;
  readonly options?: readonly number[];
  readonly payload?: ArrayLike<number>;
  /** Wrong values for tests of the checks. */
  readonly version?: number;
  readonly ihl?: number;
  readonly totLen?: number;
  readonly check?: number;
}

/** An IPv4 packet, checksum filled in. */
export function ipPacket(f: IpFields): Uint8Array {
  const options = f.options ?? [];
  const payload = f.payload ?? [];
  const hlen = 20 + options.length;
  const out = new Uint8Array(hlen + payload.length);
  const v = new DataView(out.buffer);
  v.setUint8(0, ((f.version ?? 4) << 4) | (f.ihl ?? hlen >> 2));
  v.setUint8(1, f.tos ?? 0);
  v.setUint16(2, f.totLen ?? out.length);
  v.setUint16(4, f.id ?? 0x1234);
  v.setUint16(6, f.frag ?? 0);
  v.setUint8(8, f.ttl ?? 64);
  v.setUint8(9, f.proto ?? IPPROTO_UDP);
  v.setUint32(12, ip4(f.src));
  v.setUint32(16, ip4(f.dst));
  out.set(options, 20);
  out.set(payload, hlen);
  v.setUint16(10, f.check ?? csumFold(csumPartial(out, 0, hlen, 0)));
  return out;
}

/** A UDP datagram's octets with its checksum, for `payload` of an IP packet. */
export function udpBytes(
  src: string,
  dst: string,
  sport: number,
  dport: number,
  data: ArrayLike<number>,
  check?: number,
): Uint8Array {
  const out = new Uint8Array(8 + data.length);
  const v = new DataView(out.buffer);
  v.setUint16(0, sport);
  v.setUint16(2, dport);
  v.setUint16(4, out.length);
  out.set(data, 8);
  const sum = csumPartial(out, 0, out.length, 0);
  const right = csumTcpudpMagic(ip4(src), ip4(dst), out.length, IPPROTO_UDP, sum);
  v.setUint16(6, check ?? (right === 0 ? 0xffff : right));
  return out;
}

/** An ICMP message with its checksum. */
export function icmpBytes(
  type: number,
  code: number,
  rest: number,
  data: ArrayLike<number> = [],
): Uint8Array {
  const out = new Uint8Array(8 + data.length);
  const v = new DataView(out.buffer);
  v.setUint8(0, type);
  v.setUint8(1, code);
  v.setUint32(4, rest);
  out.set(data, 8);
  v.setUint16(2, csumFold(csumPartial(out, 0, out.length, 0)));
  return out;
}

/** What a test wants to know of an IPv4 packet that left. */
export interface SeenPacket {
  readonly src: string;
  readonly dst: string;
  readonly proto: number;
  readonly ttl: number;
  readonly tos: number;
  readonly id: number;
  readonly frag: number;
  readonly options: number[];
  readonly payload: Uint8Array;
  readonly bytes: Uint8Array;
}

export function parseIp(bytes: Uint8Array): SeenPacket {
  const v = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const hlen = (v.getUint8(0) & 0xf) * 4;
  expect(csumFold(csumPartial(bytes, 0, hlen, 0))).toBe(0);
  const totLen = v.getUint16(2);
  return {
    src: ipText(v.getUint32(12)),
    dst: ipText(v.getUint32(16)),
    proto: v.getUint8(9),
    ttl: v.getUint8(8),
    tos: v.getUint8(1),
    id: v.getUint16(4),
    frag: v.getUint16(6),
    options: [...bytes.subarray(20, hlen)],
    payload: bytes.slice(hlen, totLen),
    bytes: bytes.slice(0, totLen),
  };
}

const PEER_MAC = [2, 0, 0, 0, 0, 99];

/** An Ethernet device whose frames the test holds. */
export class WireDevice {
  readonly dev: NetDevice;
  /** Frames sent, link header included. */
  readonly frames: Uint8Array[] = [];

  constructor(net: Net, name: string, number: number) {
    const ops = netDeviceOps({
      ndoStartXmit: (skb: SkBuff) => {
        this.frames.push(Uint8Array.from(bytesOf(skb)));
        consumeSkb(skb, 'test_xmit');
        return NETDEV_TX_OK;
      },
    });
    this.dev = allocEtherdev(net, ops, this);
    this.dev.name = name;
    this.dev.devAddr.set([2, 0, 0, 0, 0, number]);
    expect(registerNetdev(this.dev)).toBe(0);
  }

  /** The IPv4 packets sent since the last call. */
  take(): SeenPacket[] {
    const ip = this.frames.filter((f) => f[12] === 8 && f[13] === 0);
    this.frames.length = 0;
    return ip.map((f) => parseIp(f.subarray(14)));
  }
}

export class IpMachine {
  readonly host: StillHost = new StillHost();
  readonly machine: Machine;
  readonly net: Net;
  readonly sys: SyscallTable;
  /** Packets dropped since the last drops(): reason and place. */
  private readonly dropped: { reason: number; at: string }[] = [];
  private readonly pagesBefore: number;
  private devices = 0;

  constructor(name = 'm', seed = 1, cpus = 1) {
    this.pagesBefore = livePages().units;
    this.machine = bootMachine({
      name,
      host: this.host,
      seed,
      cpus,
      bootEpochSec: 1_000_000_000,
      modules: defconfig,
    });
    this.net = this.machine.initNet;
    this.sys = makeSyscalls(createTask(this.machine, 'test', this.net));
    this.machine.trace.skb.kfreeSkb.register((_skb, at, reason) =>
      this.dropped.push({ reason, at }),
    );
    this.up(this.net.loopbackDev as NetDevice);
  }

  rtnl<T>(fn: () => T): T {
    rtnlLock(this.machine);
    try {
      return fn();
    } finally {
      rtnlUnlock(this.machine);
    }
  }

  up(dev: NetDevice): void {
    expect(this.rtnl(() => devChangeFlags(dev, dev.flags | IFF_UP))).toBe(0);
    this.settle();
  }

  /** A device that is up, with an address. */
  device(name: string, addr: string, prefixlen: number, mtu = 1500): WireDevice {
    const wire = new WireDevice(this.net, name, ++this.devices);
    wire.dev.mtu = mtu;
    this.up(wire.dev);
    this.address(wire.dev, addr, prefixlen);
    wire.frames.length = 0;
    return wire;
  }

  address(dev: NetDevice, addr: string, prefixlen: number): void {
    const ifa = new InIfaddr();
    const mask = prefixlen === 0 ? 0 : (-1 << (32 - prefixlen)) >>> 0;
    ifa.ifaLocal = ip4(addr);
    ifa.ifaAddress = ip4(addr);
    ifa.ifaMask = mask;
    ifa.ifaPrefixlen = prefixlen;
    ifa.ifaScope = addr.startsWith('127.') ? 254 : RT_SCOPE_UNIVERSE;
    if (prefixlen < 31 && !addr.startsWith('127.')) ifa.ifaBroadcast = (ip4(addr) | ~mask) >>> 0;
    ifa.ifaLabel = dev.name;
    ifa.ifaDev = dev.ipPtr;
    expect(this.rtnl(() => inetInsertIfa(ifa, 0, null))).toBe(0);
  }

  /** A permanent neighbour, so that no ARP is needed. */
  neighbour(wire: WireDevice, ...addrs: string[]): void {
    const tbl = this.machine.netGlobals.arpTbl;
    for (const addr of addrs) {
      const n = tbl === null ? null : __neighLookup(tbl, ip4(addr), wire.dev, true);
      if (n === null) throw new Error(`no neighbour ${addr}`);
      const flags = NEIGH_UPDATE_F_ADMIN | NEIGH_UPDATE_F_OVERRIDE;
      expect(neighUpdate(n, Uint8Array.from(PEER_MAC), NUD_PERMANENT, flags, 0)).toBe(0);
      neighRelease(n);
    }
  }

  route(dst: string, prefixlen: number, via: string | null, wire: WireDevice): void {
    const cfg = new FibConfig(new NlInfo(this.net));
    cfg.fcNlflags = NLM_F_CREATE | NLM_F_EXCL;
    cfg.fcDst = ip4(dst);
    cfg.fcDstLen = prefixlen;
    cfg.fcProtocol = RTPROT_STATIC;
    cfg.fcType = RTN_UNICAST;
    cfg.fcTable = RT_TABLE_MAIN;
    cfg.fcOif = wire.dev.ifindex;
    cfg.fcScope = via === null ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    if (via !== null) {
      cfg.fcGwFamily = AF_INET;
      cfg.fcGw4 = ip4(via);
    }
    const table = fibNewTable(this.net, RT_TABLE_MAIN);
    expect(this.rtnl(() => fibTableInsert(this.net, table, cfg, null))).toBe(0);
  }

  sysctl(name: string, value: string | number): void {
    expect(this.net.sysctl.write(`net/ipv4/${name}`, String(value))).toBe(0);
  }

  /** Puts an IPv4 packet on the wire towards the machine. `dmac`: the device's unless given. */
  rx(wire: WireDevice, ip: Uint8Array, dmac?: readonly number[], pad = 0): void {
    const { dev } = wire;
    const skb = allocSkb(this.machine, ip.length + pad + 14 + 64);
    if (skb === null) throw new Error('out of packet memory');
    skb.data += 64;
    skb.tail += 64;
    const at = skbPut(skb, ip.length + pad + 14);
    mem.fill(0, at, at + ip.length + pad + 14);
    mem.set(dmac ?? dev.devAddr.subarray(0, 6), at);
    mem.set(PEER_MAC, at + 6);
    mem.set([8, 0], at + 12);
    mem.set(ip, at + 14);
    skb.dev = dev;
    skb.protocol = ethTypeTrans(skb, dev);
    localBhDisable(this.machine);
    netifReceiveSkb(skb);
    localBhEnable(this.machine);
    this.settle();
  }

  settle(): void {
    runPending(this.machine);
  }

  advance(ms: number): void {
    this.host.clock += ms * 1e6;
    this.machine.enter(this.host.clock);
    runTimers(this.machine);
    this.settle();
  }

  /** Reasons of the drops since the last call, in order. */
  drops(): number[] {
    const reasons = this.dropped.map(({ reason }) => reason);
    this.dropped.length = 0;
    return reasons;
  }

  ipStat(index: number): number {
    return this.net.mib.ipStatistics[index] ?? -1;
  }

  udpStat(index: number): number {
    return this.net.mib.udpStatistics[index] ?? -1;
  }

  icmpStat(index: number): number {
    return this.net.mib.icmpStatistics[index] ?? -1;
  }

  /** Text of a file under /proc/net. */
  proc(name: string): string {
    const show = this.net.procNet.get(name);
    if (show === undefined) throw new Error(`no /proc/net/${name}`);
    return show(this.net);
  }

  /** Halts the machine; nothing may be alive then. */
  end(): void {
    haltMachine(this.machine);
    expect(skbLeakReport(this.machine)).toEqual([]);
    expect(liveReport(this.machine)).toEqual({});
    expect(livePages().units).toBe(this.pagesBefore);
  }
}
