/**
 * Cutting of UDP packets that a sender built by UDP_SEGMENT, or that were merged on reception.
 * Counterpart of the transmit half of net/ipv4/udp_offload.c.
 */

import { NETIF_F_GSO_ROBUST } from '#include/linux/netdev_features.ts';
import {
  CHECKSUM_NONE,
  CHECKSUM_PARTIAL,
  CHECKSUM_UNNECESSARY,
  SKB_GSO_FRAGLIST,
  SKB_GSO_UDP_L4,
  SKBTX_ANY_TSTAMP,
  type SkBuff,
  skbHeadlen,
} from '#include/linux/skbuff.ts';
import type { NetOffload } from '#include/net/gro.ts';
import { csumAdd, csumReplace4, csumSub } from '#lib/checksum.ts';
import { view } from '#mm/memory.ts';
import { inetPseudoSum } from '#net/core/gro_checksum.ts';
import { skbGsoOk } from '#net/core/gso.ts';
import { skbPull } from '#net/core/skbuff.ts';
import { CSUM_MANGLED_0 } from '#net/core/skbuff_checksum.ts';
import { pskbMayPull, skbLinearize } from '#net/core/skbuff_copy.ts';
import { gsoMakeChecksum, skbSegment, skbSegmentList } from '#net/core/skbuff_segment.ts';
import { sockWfree } from '#net/core/sock.ts';
import { udp4GroComplete, udp4GroReceive } from '#net/ipv4/udp_offload_gro.ts';
import { EINVAL } from '#uapi/errno.ts';
import { IPPROTO_UDP } from '#uapi/in.ts';
import { iphdr } from '#uapi/ip.ts';
import { udphdr } from '#uapi/udp.ts';

/** Offset of the checksum in the header. */
const CHECK_OFFSET = 6;

/** Each segment pays for itself, and the sender owes the difference. */
function chargeSegments(segs: SkBuff, gso: SkBuff): void {
  const { sk } = gso;
  if (sk === null || gso.destructor !== sockWfree) return;
  let sum = 0;
  for (let seg: SkBuff | null = segs; seg !== null; seg = seg.next) {
    seg.destructor = sockWfree;
    seg.sk = sk;
    sum += seg.truesize;
  }
  gso.destructor = null;
  gso.sk = null;
  sk.skWmemAlloc += sum - gso.truesize;
}

/** Length and checksum of one segment; the field holds the pseudo header's sum for `oldLen`. */
function finishSegment(seg: SkBuff, pseudo: number, oldLen: number, newLen: number): void {
  const uh = seg.transportHeader;
  const check = csumAdd(csumSub(pseudo, oldLen), newLen);
  udphdr.setLen(view, uh, newLen);
  udphdr.setCheck(view, uh, check);
  if (seg.ipSummed === CHECKSUM_PARTIAL) {
    seg.csumStart = uh;
    return;
  }
  const sum = gsoMakeChecksum(seg, ~check);
  udphdr.setCheck(view, uh, sum === 0 ? CSUM_MANGLED_0 : sum);
}

/** Octets of a packet without its frag_list. @kernel skb_pagelen include/linux/skbuff.h */
function skbPagelen(skb: SkBuff): number {
  const { fragSize, nrFrags } = skb.shinfo;
  let len = skbHeadlen(skb);
  for (let i = 0; i < nrFrags; i++) len += fragSize[i] as number;
  return len;
}

/** Makes one packet of a list, to be cut as others are: 0 or a negative errno. */
function unlist(gso: SkBuff): number {
  const err = skbLinearize(gso);
  if (err !== 0) return err;
  gso.shinfo.gsoType &= ~SKB_GSO_FRAGLIST;
  const uh = gso.transportHeader;
  udphdr.setCheck(view, uh, inetPseudoSum(gso.networkHeader, gso.len, IPPROTO_UDP));
  gso.ipSummed = CHECKSUM_PARTIAL;
  gso.csumStart = uh;
  gso.csumOffset = CHECK_OFFSET;
  return 0;
}

/** Four octets that translation may have replaced count in the datagram's sum. @kernel __udpv4_gso_segment_csum net/ipv4/udp_offload.c */
function followWord(uh: number, to: number, from: number): void {
  const old = view.getUint32(to);
  const now = view.getUint32(from);
  if (old === now) return;
  view.setUint32(to, now);
  if (udphdr.check(view, uh) === 0) return;
  const check = csumReplace4(udphdr.check(view, uh), old, now);
  udphdr.setCheck(view, uh, check === 0 ? CSUM_MANGLED_0 : check);
}

/** A header that has changed since the packets were merged changes in all of them. */
function follow(seg: SkBuff, first: SkBuff): void {
  const iph = seg.networkHeader;
  const iph0 = first.networkHeader;
  const uh = seg.transportHeader;
  iphdr.setTtl(view, iph, iphdr.ttl(view, iph0));
  iphdr.setTos(view, iph, iphdr.tos(view, iph0));
  // Addresses, then ports.
  followWord(uh, iph + 12, iph0 + 12);
  followWord(uh, iph + 16, iph0 + 16);
  followWord(uh, uh, first.transportHeader);
}

/**
 * Takes apart what was merged as a list of whole packets.
 * @kernel __udp_gso_segment_list net/ipv4/udp_offload.c
 * @kernel __udpv4_gso_segment_list_csum net/ipv4/udp_offload.c
 * @deviation TTL and TOS, which forwarding changes in the first packet, are the first one's in all
 */
function udpGsoSegmentList(gso: SkBuff, features: number): SkBuff | number {
  const mss = gso.shinfo.gsoSize;
  const segs = skbSegmentList(gso, features, gso.networkHeader - gso.macHeader);
  if (typeof segs === 'number') return segs;
  udphdr.setLen(view, segs.transportHeader, udphdr.LEN + mss);
  for (let seg = segs.next; seg !== null; seg = seg.next) follow(seg, segs);
  return segs;
}

/** A list of datagrams, null (the device does it), or an errno. @kernel __udp_gso_segment net/ipv4/udp_offload.c */
function udpGsoSegment(gso: SkBuff, features: number): SkBuff | null | number {
  const { shinfo } = gso;
  const mss = shinfo.gsoSize;
  if (gso.len <= udphdr.LEN + mss) return -EINVAL;
  if (skbGsoOk(gso, features | NETIF_F_GSO_ROBUST)) {
    shinfo.gsoSegs = Math.ceil((gso.len - udphdr.LEN) / mss);
    return null;
  }
  if ((shinfo.gsoType & SKB_GSO_FRAGLIST) !== 0) {
    // Unless something has been moved from packet to packet, each is whole.
    if (skbPagelen(gso) - udphdr.LEN === mss) return udpGsoSegmentList(gso, features);
    const err = unlist(gso);
    if (err !== 0) return err;
  }
  const uh = gso.transportHeader;
  const oldLen = udphdr.len(view, uh);
  const pseudo = udphdr.check(view, uh);
  const { destructor, sk } = gso;
  skbPull(gso, udphdr.LEN);
  // Or the tail alone would be charged.
  gso.destructor = null;
  gso.sk = null;
  const segs = skbSegment(gso, features);
  gso.destructor = destructor;
  gso.sk = sk;
  if (typeof segs === 'number') return segs;
  if ((shinfo.txFlags & SKBTX_ANY_TSTAMP) !== 0) {
    segs.shinfo.txFlags |= shinfo.txFlags & SKBTX_ANY_TSTAMP;
    segs.shinfo.tskey = shinfo.tskey;
  }
  for (let seg: SkBuff | null = segs; seg !== null; seg = seg.next) {
    const newLen = seg.len - (seg.transportHeader - seg.data);
    finishSegment(seg, pseudo, oldLen, newLen);
  }
  chargeSegments(segs, gso);
  // The segments are as good as verified.
  if (gso.ipSummed === CHECKSUM_NONE) gso.ipSummed = CHECKSUM_UNNECESSARY;
  return segs;
}

/** @kernel udp4_ufo_fragment net/ipv4/udp_offload.c */
function udp4UfoFragment(skb: SkBuff, features: number): SkBuff | null | number {
  if (!pskbMayPull(skb, udphdr.LEN)) return -EINVAL;
  return (skb.shinfo.gsoType & SKB_GSO_UDP_L4) !== 0 ? udpGsoSegment(skb, features) : -EINVAL;
}

/** @kernel udpv4_offload net/ipv4/udp_offload.c */
export const udpv4Offload: NetOffload = {
  callbacks: {
    gsoSegment: udp4UfoFragment,
    groReceive: udp4GroReceive,
    groComplete: udp4GroComplete,
  },
  flags: 0,
};
