/**
 * Cutting of UDP packets that a sender built by UDP_SEGMENT. Counterpart of net/ipv4/udp_offload.c.
 *
 * Merging (UDP GRO) has its seat here: without a receiver that asks for it datagrams must not be
 * merged, for their borders are the application's.
 */

import { NETIF_F_GSO_UDP_L4 } from '#include/linux/netdev_features.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  CHECKSUM_NONE,
  CHECKSUM_PARTIAL,
  CHECKSUM_UNNECESSARY,
  SKB_GSO_UDP_L4,
  SKBTX_ANY_TSTAMP,
} from '#include/linux/skbuff.ts';
import type { NetOffload } from '#include/net/gro.ts';
import { csumAdd, csumSub } from '#lib/checksum.ts';
import { view } from '#mm/memory.ts';
import { skbPull } from '#net/core/skbuff.ts';
import { CSUM_MANGLED_0 } from '#net/core/skbuff_checksum.ts';
import { pskbMayPull } from '#net/core/skbuff_copy.ts';
import { gsoMakeChecksum, skbSegment } from '#net/core/skbuff_segment.ts';
import { sockWfree } from '#net/core/sock.ts';
import { EINVAL } from '#uapi/errno.ts';
import { udphdr } from '#uapi/udp.ts';

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

/** A list of datagrams, null (the device does it), or an errno. @kernel __udp_gso_segment net/ipv4/udp_offload.c */
function udpGsoSegment(gso: SkBuff, features: number): SkBuff | null | number {
  const { shinfo } = gso;
  const mss = shinfo.gsoSize;
  if (gso.len <= udphdr.LEN + mss) return -EINVAL;
  if ((features & NETIF_F_GSO_UDP_L4) !== 0) {
    shinfo.gsoSegs = Math.ceil((gso.len - udphdr.LEN) / mss);
    return null;
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
  callbacks: { gsoSegment: udp4UfoFragment, groReceive: null, groComplete: null },
  flags: 0,
};
