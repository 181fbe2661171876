import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bytesOf, NetdevMachine, TestDevice } from '#drivers/net/testing/netdev_machine.ts';
import {
  NETIF_F_GRO,
  NETIF_F_HW_CSUM,
  NETIF_F_SG,
  NETIF_F_TSO,
} from '#include/linux/netdev_features.ts';
import { type NapiStruct, NET_RX_SUCCESS, PacketType } from '#include/linux/netdevice.ts';
import {
  CHECKSUM_NONE,
  CHECKSUM_PARTIAL,
  CHECKSUM_UNNECESSARY,
  SKB_GSO_TCPV4,
  SKB_GSO_UDP_L4,
  type SkBuff,
  skbFillPageDesc,
} from '#include/linux/skbuff.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import { csumFold, csumPartial, csumTcpudpNofold, ipFastCsum } from '#lib/checksum.ts';
import { mem, view } from '#mm/memory.ts';
import { allocPages } from '#mm/page_alloc.ts';
import {
  napiCompleteDone,
  napiDisable,
  napiEnable,
  napiSchedule,
  netifNapiAdd,
} from '#net/core/dev_napi.ts';
import { devAddPack, devRemovePack } from '#net/core/dev_rx.ts';
import { devQueueXmit } from '#net/core/dev_tx.ts';
import { napiGroReceive } from '#net/core/gro.ts';
import { skbGsoSegment } from '#net/core/gso.ts';
import { consumeSkb, skbPush } from '#net/core/skbuff.ts';
import { ethTypeTrans } from '#net/ethernet/eth.ts';
import { ipv4OffloadInit } from '#net/ipv4/af_inet_offload.ts';
import { ETH_HLEN, ETH_P_IP, ethhdr } from '#uapi/if_ether.ts';
import { IPPROTO_TCP, IPPROTO_UDP } from '#uapi/in.ts';
import { IP_DF, iphdr } from '#uapi/ip.ts';
import { tcphdr } from '#uapi/tcp.ts';
import { udphdr } from '#uapi/udp.ts';

let m: NetdevMachine;

beforeEach(() => {
  m = new NetdevMachine();
  expect(ipv4OffloadInit(m.machine)).toBe(0);
});

afterEach(() => m.end());

const SADDR = 0x0a000001;
const DADDR = 0x0a000002;
const FIN_PSH_ACK = 0x19;

interface Shape {
  readonly proto: number;
  readonly mss: number;
  /** Payload bytes in the head and in each fragment. */
  readonly linear: number;
  readonly frags: readonly number[];
  readonly options?: number;
  readonly flags?: number;
}

const payloadByte = (i: number): number => (i * 7 + (i >> 8)) & 255;

/** A frame as the stack hands it to a device: `data` at the link header, checksum left to do. */
function gsoFrame(shape: Shape): SkBuff {
  const tcp = shape.proto === IPPROTO_TCP;
  const thlen = tcp ? tcphdr.LEN + (shape.options ?? 0) : udphdr.LEN;
  const payload = shape.linear + shape.frags.reduce((a, b) => a + b, 0);
  const skb = m.packet(new Uint8Array(thlen + shape.linear), 80);
  let at = 0;
  for (; at < shape.linear; at++) mem[skb.data + thlen + at] = payloadByte(at);
  shape.frags.forEach((size, i) => {
    const page = allocPages(Math.max(size, 1));
    for (let k = 0; k < size; k++) mem[page + k] = payloadByte(at++);
    skbFillPageDesc(skb, i, page, 0, size);
    skb.len += size;
    skb.dataLen += size;
    skb.truesize += size;
  });
  skb.transportHeader = skb.data;
  const th = skb.data;
  const psum = csumTcpudpNofold(SADDR, DADDR, skb.len, shape.proto, 0);
  if (tcp) {
    tcphdr.setSource(view, th, 1000);
    tcphdr.setDest(view, th, 2000);
    tcphdr.setSeq(view, th, -5);
    tcphdr.setAckSeq(view, th, 99);
    tcphdr.setDoff(view, th, thlen >> 2);
    tcphdr.setFlags(view, th, shape.flags ?? FIN_PSH_ACK);
    tcphdr.setWindow(view, th, 500);
    for (let k = tcphdr.LEN; k < thlen; k++) mem[th + k] = 1;
    tcphdr.setCheck(view, th, psum);
  } else {
    udphdr.setSource(view, th, 1000);
    udphdr.setDest(view, th, 2000);
    udphdr.setLen(view, th, skb.len);
    udphdr.setCheck(view, th, psum);
  }
  skb.ipSummed = CHECKSUM_PARTIAL;
  skb.csumStart = th;
  skb.csumOffset = tcp ? 16 : 6;
  skb.shinfo.gsoSize = shape.mss;
  skb.shinfo.gsoSegs = Math.ceil(payload / shape.mss);
  skb.shinfo.gsoType = tcp ? SKB_GSO_TCPV4 : SKB_GSO_UDP_L4;
  const iph = skbPush(skb, iphdr.LEN);
  skb.networkHeader = iph;
  mem.fill(0, iph, iph + iphdr.LEN);
  mem[iph] = 0x45;
  iphdr.setTotLen(view, iph, Math.min(skb.len, 0xffff));
  iphdr.setId(view, iph, 0xfffe);
  iphdr.setFragOff(view, iph, IP_DF);
  iphdr.setTtl(view, iph, 64);
  iphdr.setProtocol(view, iph, shape.proto);
  iphdr.setSaddr(view, iph, SADDR);
  iphdr.setDaddr(view, iph, DADDR);
  iphdr.setCheck(view, iph, ipFastCsum(view, iph, 5));
  const eth = skbPush(skb, ETH_HLEN);
  mem.fill(2, eth, eth + 12);
  ethhdr.setProto(view, eth, ETH_P_IP);
  skb.macHeader = eth;
  skb.macLen = ETH_HLEN;
  skb.protocol = ETH_P_IP;
  return skb;
}

interface Parsed {
  readonly id: number;
  readonly seq: number;
  readonly flags: number;
  readonly payload: number[];
}

/** Checks every length and checksum of a frame on the wire. */
function parse(frame: readonly number[], shape: Shape): Parsed {
  const bytes = Uint8Array.from(frame);
  const v = new DataView(bytes.buffer);
  const ip = ETH_HLEN;
  const th = ip + iphdr.LEN;
  expect(iphdr.totLen(v, ip)).toBe(bytes.length - ip);
  expect(ipFastCsum(v, ip, 5)).toBe(0);
  const len = bytes.length - th;
  const psum = csumTcpudpNofold(SADDR, DADDR, len, shape.proto, 0);
  expect(csumFold(csumPartial(bytes, th, len, psum))).toBe(0);
  const tcp = shape.proto === IPPROTO_TCP;
  if (!tcp) expect(udphdr.len(v, th)).toBe(len);
  const thlen = tcp ? tcphdr.hdrlen(v, th) : udphdr.LEN;
  return {
    id: iphdr.id(v, ip),
    seq: tcp ? tcphdr.seq(v, th) : 0,
    flags: tcp ? tcphdr.flags(v, th) : 0,
    payload: [...bytes.subarray(th + thlen)],
  };
}

const shapes: fc.Arbitrary<Shape> = fc
  .record({
    proto: fc.constantFrom(IPPROTO_TCP, IPPROTO_UDP),
    mss: fc.integer({ min: 8, max: 400 }),
    linear: fc.integer({ min: 0, max: 300 }),
    frags: fc.array(fc.integer({ min: 1, max: 700 }), { maxLength: 6 }),
    options: fc.constantFrom(0, 12),
  })
  .filter((s) => s.linear + s.frags.reduce((a, b) => a + b, 0) > s.mss);

describe('segmentation', () => {
  it('keeps every byte, number and checksum, whatever the device can do', () => {
    fc.assert(
      fc.property(shapes, fc.boolean(), fc.boolean(), (shape, sg, csum) => {
        const before = m.machine.live.skbs;
        const skb = gsoFrame(shape);
        const total = shape.linear + shape.frags.reduce((a, b) => a + b, 0);
        const features = (sg ? NETIF_F_SG : 0) | (csum ? NETIF_F_HW_CSUM : 0);
        const segs = skbGsoSegment(skb, features);
        if (segs === null || typeof segs === 'number') throw new Error(`segs: ${segs}`);
        consumeSkb(skb);
        const parsed: Parsed[] = [];
        for (let seg: SkBuff | null = segs; seg !== null; ) {
          const next: SkBuff | null = seg.next;
          seg.next = null;
          if (!sg) expect(seg.dataLen).toBe(0);
          const frame = bytesOf(seg);
          if (seg.ipSummed === CHECKSUM_PARTIAL) {
            expect(csum).toBe(true);
            finishChecksum(frame, seg.csumStart - seg.data, seg.csumOffset);
          }
          parsed.push(parse(frame, shape));
          consumeSkb(seg);
          seg = next;
        }
        expect(parsed.flatMap((p) => p.payload)).toEqual(
          Array.from({ length: total }, (_, i) => payloadByte(i)),
        );
        parsed.forEach((p, i) => {
          const last = i === parsed.length - 1;
          expect(p.payload.length).toBe(last ? total - i * shape.mss : shape.mss);
          expect(p.id).toBe((0xfffe + i) & 0xffff);
          if (shape.proto !== IPPROTO_TCP) return;
          expect(p.seq).toBe((-5 + i * shape.mss) | 0);
          expect(p.flags).toBe(last ? FIN_PSH_ACK : 0x10);
        });
        expect(m.machine.live.skbs).toBe(before);
      }),
      { numRuns: 200 },
    );
  });

  it('is left to a device that can do it', () => {
    const shape = { proto: IPPROTO_TCP, mss: 100, linear: 0, frags: [1000] };
    const skb = gsoFrame(shape);
    expect(skbGsoSegment(skb, NETIF_F_SG | NETIF_F_HW_CSUM | NETIF_F_TSO)).toBeNull();
    consumeSkb(skb);
  });

  it('happens on the way to a device that cannot', () => {
    const t = new TestDevice(m, {}, (dev) => {
      dev.features |= NETIF_F_SG | NETIF_F_HW_CSUM;
    });
    m.setUp(t.dev);
    const shape = { proto: IPPROTO_TCP, mss: 100, linear: 20, frags: [500, 333] };
    const skb = gsoFrame(shape);
    skb.dev = t.dev;
    devQueueXmit(skb);
    expect(t.sent).toHaveLength(9);
    expect(t.sent.every((f) => f.length <= ETH_HLEN + 40 + 100)).toBe(true);
  });

  it('refuses headers that make no sense', () => {
    for (const spoil of [
      (skb: SkBuff): void => view.setUint8(skb.networkHeader, 0x42),
      (skb: SkBuff): void => tcphdr.setDoff(view, skb.transportHeader, 4),
      (skb: SkBuff): void => {
        skb.shinfo.gsoType = SKB_GSO_UDP_L4;
      },
      (skb: SkBuff): void => {
        skb.csumStart += 2;
      },
      (skb: SkBuff): void => iphdr.setProtocol(view, skb.networkHeader, 200),
    ]) {
      const skb = gsoFrame({ proto: IPPROTO_TCP, mss: 100, linear: 0, frags: [1000] });
      spoil(skb);
      expect(skbGsoSegment(skb, 0)).toBeLessThan(0);
      consumeSkb(skb);
    }
  });
});

/** What the device would have done. */
function finishChecksum(
  frame: number[],
  start: number,
  offset: number,
  len: number = frame.length - start,
  psum = 0,
): void {
  const sum = csumFold(csumPartial(Uint8Array.from(frame), start, len, psum)) || 0xffff;
  frame[start + offset] = sum >> 8;
  frame[start + offset + 1] = sum & 255;
}

/** Makes both checksums of a frame right again. */
function mend(frame: number[]): void {
  frame[24] = 0;
  frame[25] = 0;
  finishChecksum(frame, 14, 10, 20);
  frame[50] = 0;
  frame[51] = 0;
  const psum = csumTcpudpNofold(SADDR, DADDR, frame.length - 34, IPPROTO_TCP, 0);
  finishChecksum(frame, 34, 16, frame.length - 34, psum);
}

describe('receive offload', () => {
  /** Frames of a TCP stream cut at `mss`. */
  function stream(shape: Shape): number[][] {
    const skb = gsoFrame(shape);
    const frames: number[][] = [];
    const segs = skbGsoSegment(skb, 0);
    if (segs === null || typeof segs === 'number') throw new Error(`segs: ${segs}`);
    consumeSkb(skb);
    for (let seg: SkBuff | null = segs; seg !== null; ) {
      const next: SkBuff | null = seg.next;
      seg.next = null;
      frames.push(bytesOf(seg));
      consumeSkb(seg);
      seg = next;
    }
    return frames;
  }

  /** What the protocol gets when a device polls these frames. */
  function poll(frames: number[][], prepare: (skb: SkBuff) => void = () => {}): SkBuff[] {
    const t = new TestDevice(m, {}, (dev) => {
      dev.features |= NETIF_F_GRO;
    });
    m.setUp(t.dev);
    const got: SkBuff[] = [];
    const pt = new PacketType(ETH_P_IP, (skb) => {
      got.push(skb);
      return NET_RX_SUCCESS;
    });
    devAddPack(m.machine, pt);
    const napi = netifNapiAdd(t.dev, (n: NapiStruct) => {
      for (const bytes of frames) {
        const skb = m.packet(bytes);
        skb.headFrag = true;
        skb.protocol = ethTypeTrans(skb, t.dev);
        prepare(skb);
        napiGroReceive(n, skb);
      }
      napiCompleteDone(n, frames.length);
      return frames.length;
    });
    napiEnable(napi);
    napiSchedule(napi);
    localBhDisable(m.machine);
    localBhEnable(m.machine);
    napiDisable(napi);
    devRemovePack(m.machine, pt);
    return got;
  }

  const shape: Shape = { proto: IPPROTO_TCP, mss: 100, linear: 0, frags: [950], flags: 0x10 };

  it('merges a stream to one packet that says the same', () => {
    const got = poll(stream(shape));
    expect(got).toHaveLength(1);
    const skb = got[0] as SkBuff;
    expect([skb.shinfo.gsoSize, skb.shinfo.gsoSegs, skb.ipSummed]).toEqual([
      100,
      10,
      CHECKSUM_PARTIAL,
    ]);
    expect(bytesOf(skb).slice(40)).toEqual(Array.from({ length: 950 }, (_, i) => payloadByte(i)));
    expect(iphdr.totLen(view, skb.data)).toBe(skb.len);
    expect(ipFastCsum(view, skb.data, 5)).toBe(0);
    expect(tcphdr.check(view, skb.data + 20)).toBe(
      csumTcpudpNofold(SADDR, DADDR, skb.len - 20, IPPROTO_TCP, 0),
    );
    consumeSkb(skb);
  });

  it('merges more than the fragments of one packet', () => {
    const got = poll(stream({ ...shape, frags: [2950] }), (skb) => {
      skb.headFrag = skb.len > 60;
    });
    const payload = got.flatMap((skb) => bytesOf(skb).slice(40));
    expect(payload).toEqual(Array.from({ length: 2950 }, (_, i) => payloadByte(i)));
    expect(got.length).toBeLessThan(5);
    for (const skb of got) consumeSkb(skb);
  });

  it('takes the word of a device that has verified the checksum', () => {
    const got = poll(stream(shape), (skb) => {
      skb.ipSummed = CHECKSUM_UNNECESSARY;
    });
    expect(got).toHaveLength(1);
    for (const skb of got) consumeSkb(skb);
  });

  it('leaves a packet with a wrong checksum to the protocol', () => {
    const frames = stream(shape);
    const bad = frames[2] as number[];
    bad[60] = (bad[60] as number) ^ 1;
    const got = poll(frames);
    const alone = got.find((skb) => skb.shinfo.gsoSize === 0 && skb.ipSummed === CHECKSUM_NONE);
    expect(alone?.len).toBe(140);
    for (const skb of got) consumeSkb(skb);
  });

  it('loses nothing and changes no order, whatever happens to the stream', () => {
    const fate = fc.record({
      at: fc.nat(9),
      what: fc.constantFrom('swap', 'drop', 'twice', 'ttl', 'push', 'window', 'port'),
    });
    fc.assert(
      fc.property(fc.array(fate, { maxLength: 4 }), (fates) => {
        const frames = stream(shape);
        for (const { at, what } of fates) {
          const i = Math.min(at, frames.length - 1);
          const f = frames[i] as number[];
          if (what === 'drop') frames.splice(i, 1);
          else if (what === 'twice') frames.splice(i, 0, [...f]);
          else if (what === 'swap' && i > 0) {
            frames[i] = frames[i - 1] as number[];
            frames[i - 1] = f;
          } else if (what === 'ttl') f[22] = (f[22] as number) - 1;
          else if (what === 'push') f[47] = (f[47] as number) | 8;
          else if (what === 'window') f[49] = (f[49] as number) ^ 1;
          else if (what === 'port') f[35] = (f[35] as number) ^ 1;
        }
        for (const f of frames) mend(f);
        const got = poll(frames);
        const bytes = (f: readonly number[]): string => f.join();
        // By flow: what arrives is what was sent, in the order in which it was sent.
        for (const port of [0, 1]) {
          const mine = (p: number): boolean => (p & 1) === port;
          const want = frames.filter((f) => mine(f[35] as number)).flatMap((f) => f.slice(54));
          const have = got
            .filter((skb) => mine(view.getUint8(skb.data + 21)))
            .flatMap((skb) => bytesOf(skb).slice(40));
          expect(bytes(have)).toBe(bytes(want));
        }
        for (const skb of got) consumeSkb(skb);
      }),
      { numRuns: 100 },
    );
  });
});
