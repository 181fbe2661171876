import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loopbackInit } from '#drivers/net/loopback.ts';
import { BareMachine } from '#fs/testing/bare_machine.ts';
import {
  NETIF_F_GRO,
  NETIF_F_GSO_ACCECN,
  NETIF_F_SG,
  NETIF_F_TSO,
  NETIF_F_TSO_ECN,
} from '#include/linux/netdev_features.ts';
import { NapiStruct, type NetDevice, PacketType } from '#include/linux/netdevice.ts';
import {
  CHECKSUM_NONE,
  CHECKSUM_PARTIAL,
  SKB_GSO_TCP_ACCECN,
  SKB_GSO_TCPV4,
  type SkBuff,
  skbReserve,
  skbResetMacHeader,
} from '#include/linux/skbuff.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import { csumFold, csumPartial, csumTcpudpNofold, ipFastCsum } from '#lib/checksum.ts';
import { mem, view } from '#mm/memory.ts';
import { __devGetByName } from '#net/core/dev.ts';
import { netDevInit } from '#net/core/dev_init.ts';
import { devAddPack, devRemovePack } from '#net/core/dev_rx.ts';
import { groNormalList, napiGroFlush, napiGroReceive } from '#net/core/gro.ts';
import { netGsoOk, skbGsoSegment } from '#net/core/gso.ts';
import { cleanupNet } from '#net/core/net_namespace.ts';
import { allocSkb, consumeSkb, skbPull, skbPutData } from '#net/core/skbuff.ts';
import { skbLinearize } from '#net/core/skbuff_copy.ts';
import { ipv4OffloadInit } from '#net/ipv4/af_inet_offload.ts';
import { schGenericInit } from '#net/sched/sch_generic.ts';
import { EINVAL } from '#uapi/errno.ts';
import { ETH_P_IP } from '#uapi/if_ether.ts';
import { IP_DF, iphdr } from '#uapi/ip.ts';
import { TCPHDR_ACK, TCPHDR_CWR, TCPHDR_FIN, TCPHDR_PSH, TCPHDR_SYN, tcphdr } from '#uapi/tcp.ts';

const SADDR = 0x0a000001;
const DADDR = 0x0a000002;
const HEADERS = 14 + 20 + 32;

let m: BareMachine;
let dev: NetDevice;

beforeEach(() => {
  m = new BareMachine();
  for (const init of [schGenericInit, netDevInit, loopbackInit, ipv4OffloadInit]) {
    expect(init(m.machine)).toBe(0);
  }
  dev = __devGetByName(m.machine.initNet, 'lo') as NetDevice;
  dev.features |= NETIF_F_GRO;
});

afterEach(() => {
  cleanupNet(m.machine.initNet);
  m.settle();
  expect(m.end()).toEqual({});
});

interface Shape {
  seq?: number;
  id?: number;
  flags?: number;
  df?: boolean;
  ack?: number;
  ttl?: number;
  tsval?: number;
}

/** A whole frame with right sums: Ethernet, IP, TCP with timestamps, payload. */
function tcpFrame(payload: Uint8Array, shape: Shape = {}): SkBuff {
  const skb = allocSkb(m.machine, 128 + HEADERS + payload.length) as SkBuff;
  skbReserve(skb, 64);
  const at = skbPutData(skb, new Uint8Array(HEADERS));
  skbPutData(skb, payload);
  skbResetMacHeader(skb);
  mem[at + 12] = 8;
  const iph = at + 14;
  view.setUint8(iph, 0x45);
  iphdr.setTotLen(view, iph, 52 + payload.length);
  iphdr.setId(view, iph, shape.id ?? 100);
  iphdr.setFragOff(view, iph, (shape.df ?? true) ? IP_DF : 0);
  iphdr.setTtl(view, iph, shape.ttl ?? 64);
  iphdr.setProtocol(view, iph, 6);
  iphdr.setSaddr(view, iph, SADDR);
  iphdr.setDaddr(view, iph, DADDR);
  iphdr.setCheck(view, iph, ipFastCsum(view, iph, 5));
  const th = iph + 20;
  tcphdr.setSource(view, th, 1000);
  tcphdr.setDest(view, th, 80);
  tcphdr.setSeq(view, th, shape.seq ?? 1);
  tcphdr.setAckSeq(view, th, shape.ack ?? 77);
  tcphdr.setDoffFlags(view, th, 8, shape.flags ?? TCPHDR_ACK);
  tcphdr.setWindow(view, th, 500);
  view.setUint32(th + 20, 0x0101080a);
  view.setUint32(th + 24, shape.tsval ?? 42);
  skb.networkHeader = iph;
  skb.transportHeader = th;
  skb.dev = dev;
  skb.protocol = ETH_P_IP;
  const len = 32 + payload.length;
  tcphdr.setCheck(view, th, 0);
  const sum = csumPartial(mem, th, len, csumTcpudpNofold(SADDR, DADDR, len, 6, 0));
  tcphdr.setCheck(view, th, csumFold(sum));
  return skb;
}

/** Sum over the segment at `th` as the receiver computes it: 0 when good. */
function tcpSum(th: number, len: number): number {
  return csumFold(csumPartial(mem, th, len, csumTcpudpNofold(SADDR, DADDR, len, 6, 0)));
}

function asGso(skb: SkBuff, mss: number): void {
  const th = skb.transportHeader;
  const len = skb.len - (th - skb.data);
  skb.shinfo.gsoSize = mss;
  skb.shinfo.gsoType = SKB_GSO_TCPV4;
  skb.ipSummed = CHECKSUM_PARTIAL;
  skb.csumStart = th;
  skb.csumOffset = 16;
  tcphdr.setCheck(view, th, csumTcpudpNofold(SADDR, DADDR, len, 6, 0));
}

function segments(skb: SkBuff, features: number): SkBuff[] {
  const head = skbGsoSegment(skb, features);
  if (head === null || typeof head === 'number') throw new Error(`skb_gso_segment: ${head}`);
  const list: SkBuff[] = [];
  for (let seg: SkBuff | null = head; seg !== null; ) {
    const next: SkBuff | null = seg.next;
    seg.next = null;
    list.push(seg);
    seg = next;
  }
  return list;
}

/** Feeds frames to receive offload; what comes out, as [payload length, GSO size, flags]. */
function gro(frames: readonly SkBuff[], see?: (skb: SkBuff) => void): number[][] {
  const out: number[][] = [];
  const napi = new NapiStruct(dev, () => 0, 64, 1);
  const pt = new PacketType(ETH_P_IP, (skb) => {
    const th = skb.networkHeader + 20;
    out.push([skb.len - 52, skb.shinfo.gsoSize, tcphdr.flags(view, th)]);
    see?.(skb);
    consumeSkb(skb);
    return 0;
  });
  devAddPack(m.machine, pt);
  localBhDisable(m.machine);
  for (const skb of frames) {
    skbPull(skb, 14);
    skb.ipSummed = CHECKSUM_NONE;
    napiGroReceive(napi, skb);
  }
  napiGroFlush(napi, false);
  groNormalList(napi);
  localBhEnable(m.machine);
  devRemovePack(m.machine, pt);
  return out;
}

const payloadOf = (n: number): Uint8Array => Uint8Array.from({ length: n }, (_, i) => i * 7);

describe('segmentation', () => {
  it('gives packets that are right in themselves', () => {
    const data = payloadOf(3500);
    const skb = tcpFrame(data, {
      flags: TCPHDR_ACK | TCPHDR_PSH | TCPHDR_FIN | TCPHDR_CWR,
      id: 0xffff,
    });
    asGso(skb, 1000);
    const segs = segments(skb, NETIF_F_SG);
    expect(segs.map((seg) => seg.len - HEADERS)).toEqual([1000, 1000, 1000, 500]);
    for (const [i, seg] of segs.entries()) {
      expect(skbLinearize(seg)).toBe(0);
      const iph = seg.data + 14;
      const th = iph + 20;
      expect(ipFastCsum(view, iph, 5)).toBe(0);
      expect(iphdr.totLen(view, iph)).toBe(seg.len - 14);
      expect(iphdr.id(view, iph)).toBe((0xffff + i) & 0xffff);
      expect(tcphdr.seq(view, th)).toBe(1 + 1000 * i);
      const last = i === 3;
      const flags = TCPHDR_ACK | (last ? TCPHDR_PSH | TCPHDR_FIN : 0) | (i === 0 ? TCPHDR_CWR : 0);
      expect(tcphdr.flags(view, th)).toBe(flags);
      expect(tcpSum(th, seg.len - 34)).toBe(0);
      const at = seg.data + HEADERS;
      expect(mem.slice(at, at + seg.len - HEADERS)).toEqual(data.slice(i * 1000, i * 1000 + 1000));
      consumeSkb(seg);
    }
    consumeSkb(skb);
  });

  it('keeps the counter of accurate ECN in all segments', () => {
    const skb = tcpFrame(payloadOf(3000), { flags: TCPHDR_ACK | TCPHDR_CWR });
    asGso(skb, 1000);
    skb.shinfo.gsoType |= SKB_GSO_TCP_ACCECN;
    // A device that only knows the CWR of RFC 3168 would clear it.
    expect(netGsoOk(NETIF_F_TSO | NETIF_F_TSO_ECN, skb.shinfo.gsoType)).toBe(false);
    expect(netGsoOk(NETIF_F_TSO | NETIF_F_GSO_ACCECN, skb.shinfo.gsoType)).toBe(true);
    for (const seg of segments(skb, NETIF_F_SG)) {
      expect(tcphdr.flags(view, seg.data + 34)).toBe(TCPHDR_ACK | TCPHDR_CWR);
      consumeSkb(seg);
    }
    consumeSkb(skb);
  });

  it('is left to devices that can, and refused when there is nothing to cut', () => {
    const skb = tcpFrame(payloadOf(3000));
    asGso(skb, 1000);
    expect(skbGsoSegment(skb, NETIF_F_SG | NETIF_F_TSO)).toBe(null);
    expect(skb.shinfo.gsoSegs).toBe(3);
    consumeSkb(skb);
    const small = tcpFrame(payloadOf(100));
    asGso(small, 1000);
    expect(skbGsoSegment(small, 0)).toBe(-EINVAL);
    consumeSkb(small);
  });
});

describe('receive offload', () => {
  const flow = (n: number, size: number, change: (i: number) => Shape = () => ({})): SkBuff[] =>
    Array.from({ length: n }, (_, i) =>
      tcpFrame(payloadOf(size), { seq: 1 + i * size, id: 100 + i, ...change(i) }),
    );

  it('joins segments that follow each other', () => {
    expect(gro(flow(4, 1000))).toEqual([[4000, 1000, TCPHDR_ACK]]);
  });

  it('ends with a short one, a push, a FIN', () => {
    const short = [...flow(3, 1000), tcpFrame(payloadOf(400), { seq: 3001, id: 103 })];
    expect(gro(short)).toEqual([[3400, 1000, TCPHDR_ACK]]);
    const push = flow(3, 1000, (i) => (i === 1 ? { flags: TCPHDR_ACK | TCPHDR_PSH } : {}));
    expect(gro(push)).toEqual([
      [2000, 1000, TCPHDR_ACK | TCPHDR_PSH],
      [1000, 0, TCPHDR_ACK],
    ]);
  });

  it('never joins what differs', () => {
    const differences: Record<string, Shape> = {
      'a gap': { seq: 5000 },
      'another ACK': { ack: 78 },
      'another timestamp': { tsval: 43 },
      'another TTL': { ttl: 63 },
      'no DF': { df: false },
      'a jump of the identification': { id: 500 },
      'a SYN': { flags: TCPHDR_ACK | TCPHDR_SYN },
      'a CWR': { flags: TCPHDR_ACK | TCPHDR_CWR },
    };
    for (const [why, shape] of Object.entries(differences)) {
      const out = gro(flow(2, 1000, (i) => (i === 1 ? shape : {})));
      expect(
        out.map(([len]) => len),
        why,
      ).toEqual([1000, 1000]);
    }
  });

  it('takes a fixed identification under DF', () => {
    expect(gro(flow(3, 1000, () => ({ id: 7 })))).toEqual([[3000, 1000, TCPHDR_ACK]]);
  });

  it('lets bad sums pass as they are', () => {
    const frames = flow(2, 1000);
    const second = frames[1] as SkBuff;
    const at = second.data + HEADERS + 5;
    view.setUint8(at, view.getUint8(at) ^ 1);
    const sums: number[] = [];
    gro(frames, (skb) => sums.push(tcpSum(skb.networkHeader + 20, skb.len - 20)));
    // At once, and so before the good one that is held.
    expect(sums.map((sum) => sum === 0)).toEqual([false, true]);
  });

  it('undoes what segmentation did, byte for byte', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 100, max: 1448 }),
        fc.integer({ min: 2, max: 12 }),
        fc.integer(),
        (mss, n, seq) => {
          const data = payloadOf(mss * n - 13);
          const big = tcpFrame(data, { seq, flags: TCPHDR_ACK | TCPHDR_PSH });
          asGso(big, mss);
          const segs = segments(big, NETIF_F_SG);
          for (const seg of segs) skbLinearize(seg);
          consumeSkb(big);
          const seen: Uint8Array[] = [];
          const out = gro(segs, (skb) => {
            expect(skb.ipSummed).toBe(CHECKSUM_PARTIAL);
            skbLinearize(skb);
            const at = skb.networkHeader + 52;
            seen.push(mem.slice(at, at + skb.len - 52));
          });
          expect(out).toEqual([[data.length, mss, TCPHDR_ACK | TCPHDR_PSH]]);
          expect(seen[0]).toEqual(data);
        },
      ),
      { numRuns: 25 },
    );
  });
});
