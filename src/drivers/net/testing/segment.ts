/**
 * Packets as TCP and UDP give them to a card that checksums and segments: headers with a sum of the
 * pseudo-header only, and more payload than a frame holds. For tests of drivers.
 */
import { expect } from 'vitest';
import type { NetDevice } from '#include/linux/netdevice.ts';
import {
  CHECKSUM_PARTIAL,
  SKB_GSO_TCPV4,
  SKB_GSO_UDP_L4,
  type SkBuff,
  skbReserve,
} from '#include/linux/skbuff.ts';
import { csumFold, csumPartial, csumTcpudpMagic } from '#lib/checksum.ts';
import { mem, view } from '#mm/memory.ts';
import { allocSkb, allocSkbWithFrags, skbPut } from '#net/core/skbuff.ts';
import { skbStoreBits } from '#net/core/skbuff_data.ts';
import { ETH_P_IP } from '#uapi/if_ether.ts';
import { IPPROTO_UDP } from '#uapi/in.ts';
import { iphdr } from '#uapi/ip.ts';
import { tcphdr } from '#uapi/tcp.ts';

const MAC_FROM: Uint8Array = Uint8Array.of(2, 0, 0, 0, 0, 0xa);
const MAC_TO: Uint8Array = Uint8Array.of(2, 0, 0, 0, 0, 0xb);
const SADDR = 0x0a000001;
const DADDR = 0x0a0000fe;
const HEADERS = 14 + 20 + 20;
const UDP_HEADERS = 14 + 20 + 8;

/** A TCP segment with a checksum left to the device, segmented by it when `mss` is not 0. */
export function segment(dev: NetDevice, payload: Uint8Array, mss: number, frags: boolean): SkBuff {
  const { machine } = dev.net;
  const linear = frags ? 0 : payload.length;
  const inFrags = payload.length - linear;
  const skb = frags
    ? allocSkbWithFrags(machine, 128 + HEADERS, inFrags)
    : allocSkb(machine, 128 + HEADERS + linear);
  if (skb === null) throw new Error('no memory');
  skbReserve(skb, 64);
  const mac = skbPut(skb, HEADERS + linear);
  if (frags) {
    skb.dataLen = inFrags;
    skb.len += inFrags;
  }
  mem.fill(0, mac, mac + HEADERS);
  mem.set(MAC_TO, mac);
  mem.set(MAC_FROM, mac + 6);
  view.setUint16(mac + 12, ETH_P_IP);
  const ip = mac + 14;
  view.setUint8(ip, 0x45);
  iphdr.setTotLen(view, ip, 40 + payload.length);
  view.setUint16(ip + 4, 7);
  view.setUint8(ip + 8, 64);
  view.setUint8(ip + 9, 6);
  view.setUint32(ip + 12, SADDR);
  view.setUint32(ip + 16, DADDR);
  iphdr.setCheck(view, ip, csumFold(csumPartial(mem, ip, 20, 0)));
  const th = ip + 20;
  view.setUint32(th + 4, 0xfffffff0);
  tcphdr.setDoffFlags(view, th, 5, 0x18);
  const len = 20 + payload.length;
  tcphdr.setCheck(view, th, ~csumTcpudpMagic(SADDR, DADDR, len, 6, 0) & 0xffff);
  skbStoreBits(skb, HEADERS, payload, 0, payload.length);
  skb.macHeader = mac;
  skb.networkHeader = ip;
  skb.transportHeader = th;
  skb.ipSummed = CHECKSUM_PARTIAL;
  skb.csumStart = th;
  skb.csumOffset = 16;
  skb.protocol = ETH_P_IP;
  skb.dev = dev;
  if (mss > 0) {
    skb.shinfo.gsoSize = mss;
    skb.shinfo.gsoSegs = Math.ceil(payload.length / mss);
    skb.shinfo.gsoType = SKB_GSO_TCPV4;
  }
  return skb;
}

/** Datagrams of `size` bytes each, in one packet that the device cuts. */
export function datagrams(dev: NetDevice, payload: Uint8Array, size: number): SkBuff {
  const skb = allocSkb(dev.net.machine, 128 + UDP_HEADERS + payload.length);
  if (skb === null) throw new Error('no memory');
  skbReserve(skb, 64);
  const mac = skbPut(skb, UDP_HEADERS + payload.length);
  mem.fill(0, mac, mac + UDP_HEADERS);
  mem.set(MAC_TO, mac);
  mem.set(MAC_FROM, mac + 6);
  view.setUint16(mac + 12, ETH_P_IP);
  const ip = mac + 14;
  view.setUint8(ip, 0x45);
  iphdr.setTotLen(view, ip, 28 + payload.length);
  view.setUint8(ip + 8, 64);
  view.setUint8(ip + 9, IPPROTO_UDP);
  view.setUint32(ip + 12, SADDR);
  view.setUint32(ip + 16, DADDR);
  iphdr.setCheck(view, ip, csumFold(csumPartial(mem, ip, 20, 0)));
  const uh = ip + 20;
  const len = 8 + payload.length;
  view.setUint16(uh + 4, len);
  view.setUint16(uh + 6, ~csumTcpudpMagic(SADDR, DADDR, len, IPPROTO_UDP, 0) & 0xffff);
  skbStoreBits(skb, UDP_HEADERS, payload, 0, payload.length);
  skb.macHeader = mac;
  skb.networkHeader = ip;
  skb.transportHeader = uh;
  skb.ipSummed = CHECKSUM_PARTIAL;
  skb.csumStart = uh;
  skb.csumOffset = 6;
  skb.protocol = ETH_P_IP;
  skb.dev = dev;
  skb.shinfo.gsoSize = size;
  skb.shinfo.gsoSegs = Math.ceil(payload.length / size);
  skb.shinfo.gsoType = SKB_GSO_UDP_L4;
  return skb;
}

/** Both checksums of a frame with TCP or UDP are right; its payload. */
export function payloadOf(frame: Uint8Array): Uint8Array {
  const v = new DataView(frame.buffer, frame.byteOffset);
  const len = v.getUint16(16) - 20;
  expect(csumFold(csumPartial(frame, 14, 20, 0))).toBe(0);
  const protocol = frame[23] ?? 0;
  const sum = csumPartial(frame, 34, len, 0);
  expect(csumTcpudpMagic(SADDR, DADDR, len, protocol, sum)).toBe(0);
  return frame.subarray(34 + (protocol === IPPROTO_UDP ? 8 : 20), 34 + len);
}
