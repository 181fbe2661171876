/**
 * Cutting and merging of IPv4 packets: the IP header's part in GSO and GRO. Counterpart of
 * inet_gso_segment(), inet_gro_receive() and their siblings in net/ipv4/af_inet.c.
 */

import type { SkBuff, SkBuffHead } from '#include/linux/skbuff.ts';
import {
  __skbPull,
  SKB_GSO_TCP_FIXEDID,
  skbResetMacLen,
  skbResetNetworkHeader,
  skbResetTransportHeader,
} from '#include/linux/skbuff.ts';
import type { NetOffload, PacketOffload } from '#include/net/gro.ts';
import { ipIsFragment, ipSendCheck } from '#include/net/ip.ts';
import type { Machine } from '#kernel/machine.ts';
import { csumReplace2, ipFastCsum } from '#lib/checksum.ts';
import { view } from '#mm/memory.ts';
import { devAddOffload, skbGroHeader, skbGroLen, skbGroOffset, skbGroPull } from '#net/core/gro.ts';
import { pskbMayPull } from '#net/core/skbuff_copy.ts';
import { inetAddOffload } from '#net/ipv4/protocol.ts';
import { tcpv4Offload } from '#net/ipv4/tcp_offload.ts';
import { udpv4Offload } from '#net/ipv4/udp_offload.ts';
import { EINVAL, EPROTONOSUPPORT } from '#uapi/errno.ts';
import { ETH_P_IP } from '#uapi/if_ether.ts';
import { IPPROTO_TCP, IPPROTO_UDP } from '#uapi/in.ts';
import { IP_DF, iphdr } from '#uapi/ip.ts';

/** First octet of a header without options: version 4, five words. */
const VERSION_IHL = 0x45;

function offloadOf(skb: SkBuff, proto: number): NetOffload | null {
  return skb.machine.netGlobals.inetOffloads[proto] ?? null;
}

/** Gives each segment its own identification, length and checksum. */
function finishSegments(segs: SkBuff, nhoff: number, firstId: number, fixedId: boolean): void {
  let id = firstId;
  for (let seg: SkBuff | null = segs; seg !== null; seg = seg.next) {
    const iph = seg.macHeader + nhoff;
    if (!fixedId) iphdr.setId(view, iph, id++ & 0xffff);
    iphdr.setTotLen(view, iph, seg.len - nhoff);
    ipSendCheck(iph);
    seg.networkHeader = iph;
    skbResetMacLen(seg);
  }
}

/**
 * Cuts a packet; `data` at the IP header. @kernel inet_gso_segment net/ipv4/af_inet.c
 */
export function inetGsoSegment(skb: SkBuff, features: number): SkBuff | null | number {
  skbResetNetworkHeader(skb);
  const nhoff = skb.networkHeader - skb.macHeader;
  if (!pskbMayPull(skb, iphdr.LEN)) return -EINVAL;
  const ihl = iphdr.hdrlen(view, skb.networkHeader);
  if (ihl < iphdr.LEN || !pskbMayPull(skb, ihl)) return -EINVAL;
  const id = iphdr.id(view, skb.networkHeader);
  const gsoSegment = offloadOf(skb, iphdr.protocol(view, skb.networkHeader))?.callbacks.gsoSegment;
  const fixedId = (skb.shinfo.gsoType & SKB_GSO_TCP_FIXEDID) !== 0;
  __skbPull(skb, ihl);
  skbResetTransportHeader(skb);
  if (gsoSegment === undefined || gsoSegment === null) return -EPROTONOSUPPORT;
  const segs = gsoSegment(skb, features);
  if (segs === null) skb.networkHeader = skb.macHeader + nhoff;
  else if (typeof segs !== 'number') finishSegments(segs, nhoff, id, fixedId);
  return segs;
}

/**
 * Merges packets of one flow; only plain headers, whole datagrams. The held packet to flush, or
 * null. @kernel inet_gro_receive net/ipv4/af_inet.c
 */
export function inetGroReceive(head: SkBuffHead, skb: SkBuff): SkBuff | null {
  const off = skbGroOffset(skb);
  const iph = skbGroHeader(skb, off + iphdr.LEN, off);
  const receive =
    iph === 0 ? undefined : offloadOf(skb, iphdr.protocol(view, iph))?.callbacks.groReceive;
  if (
    receive === undefined ||
    receive === null ||
    view.getUint8(iph) !== VERSION_IHL ||
    ipIsFragment(iph) ||
    ipFastCsum(view, iph, 5) !== 0
  ) {
    skb.groCb.flush |= 1;
    return null;
  }
  const proto = iphdr.protocol(view, iph);
  for (let p = head.next; p !== null; p = p.next) {
    if (!p.groCb.sameFlow) continue;
    const iph2 = p.data + off;
    if (
      iphdr.protocol(view, iph2) !== proto ||
      view.getInt32(iph2 + 12) !== view.getInt32(iph + 12) ||
      view.getInt32(iph2 + 16) !== view.getInt32(iph + 16)
    ) {
      p.groCb.sameFlow = false;
    }
  }
  // A padded frame, or the reserved bit, must not be merged.
  const badLen = iphdr.totLen(view, iph) ^ skbGroLen(skb);
  const badFrag = iphdr.fragOff(view, iph) & ~IP_DF;
  skb.groCb.flush |= (badLen | badFrag) & 0xffff;
  skb.groCb.networkOffset = off;
  skbGroPull(skb, iphdr.LEN);
  skb.transportHeader = skb.data + skbGroOffset(skb);
  return receive(head, skb);
}

/** Mends the header of a merged packet. @kernel inet_gro_complete net/ipv4/af_inet.c */
export function inetGroComplete(skb: SkBuff, nhoff: number): number {
  const iph = skb.data + nhoff;
  const newlen = (skb.len - nhoff) & 0xffff;
  const check = csumReplace2(iphdr.check(view, iph), iphdr.totLen(view, iph), newlen);
  iphdr.setCheck(view, iph, check);
  iphdr.setTotLen(view, iph, newlen);
  const complete = offloadOf(skb, iphdr.protocol(view, iph))?.callbacks.groComplete;
  return complete?.(skb, nhoff + iphdr.LEN) ?? -EINVAL;
}

/** @kernel ip_packet_offload net/ipv4/af_inet.c */
const ipPacketOffload: PacketOffload = {
  type: ETH_P_IP,
  priority: 0,
  callbacks: {
    gsoSegment: inetGsoSegment,
    groReceive: inetGroReceive,
    groComplete: inetGroComplete,
  },
};

/** @kernel ipv4_offload_init net/ipv4/af_inet.c */
export function ipv4OffloadInit(machine: Machine): number {
  const err =
    inetAddOffload(machine, tcpv4Offload, IPPROTO_TCP) ||
    inetAddOffload(machine, udpv4Offload, IPPROTO_UDP);
  if (err !== 0) return err;
  devAddOffload(machine, ipPacketOffload);
  return 0;
}
