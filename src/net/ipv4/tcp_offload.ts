/**
 * Segmentation and receive offload of TCP over IPv4. Counterpart of net/ipv4/tcp_offload.c.
 *
 * Segmentation cuts one large segment into as many as the MSS asks for; receive offload joins
 * segments that follow each other and agree in everything but length and sequence number, so that
 * forwarding them again would give the same packets.
 */

import { NETIF_F_GSO_ROBUST } from '#include/linux/netdev_features.ts';
import {
  __skbPull,
  CHECKSUM_PARTIAL,
  SKB_GSO_TCP_ACCECN,
  SKB_GSO_TCP_FIXEDID,
  SKB_GSO_TCPV4,
  SKBTX_ANY_SW_TSTAMP,
  SKBTX_ANY_TSTAMP,
  type SkBuff,
  type SkBuffHead,
  type SkbSharedInfo,
  skbIsGso,
} from '#include/linux/skbuff.ts';
import { inetGroFlush, type NetOffload } from '#include/net/gro.ts';
import { csumTcpudpNofold } from '#lib/checksum.ts';
import { before } from '#lib/tcp_seq.ts';
import { view } from '#mm/memory.ts';
import { skbGroHeader, skbGroLen, skbGroOffset, skbGroPull, skbGroReceive } from '#net/core/gro.ts';
import { skbGroChecksumValidate } from '#net/core/gro_checksum.ts';
import { skbGsoOk } from '#net/core/gso.ts';
import { pskbMayPull } from '#net/core/skbuff_copy.ts';
import { gsoMakeChecksum, skbSegment } from '#net/core/skbuff_segment.ts';
import { tcpWfree } from '#net/ipv4/tcp_output.ts';
import { EINVAL } from '#uapi/errno.ts';
import { IPPROTO_TCP } from '#uapi/in.ts';
import { iphdr } from '#uapi/ip.ts';
import {
  TCPHDR_CWR,
  TCPHDR_FIN,
  TCPHDR_PSH,
  TCPHDR_RST,
  TCPHDR_SYN,
  TCPHDR_URG,
  tcphdr,
} from '#uapi/tcp.ts';

const TCPHDR_CHECK_OFFSET = 16;

/** The fourth word of the header (offset, flags, window) without FIN and PSH. @kernel tcp_flag_word include/uapi/linux/tcp.h */
const FLAG_WORD_COMPARED = ~((TCPHDR_FIN | TCPHDR_PSH) << 16);

/** Sum of the pseudo header for `len` bytes of segment, as a CHECKSUM_PARTIAL field holds it. */
function pseudoSum(iph: number, len: number): number {
  return csumTcpudpNofold(iphdr.saddr(view, iph), iphdr.daddr(view, iph), len, IPPROTO_TCP, 0);
}

// Segmentation.

/** The part of a segment's header that is its own: sum, and no FIN, PSH before the last. */
function finishSegment(seg: SkBuff, iph: number, isLast: boolean): void {
  const th = seg.transportHeader;
  if (!isLast) tcphdr.setFlags(view, th, tcphdr.flags(view, th) & ~(TCPHDR_FIN | TCPHDR_PSH));
  tcphdr.setCheck(view, th, pseudoSum(iph, seg.len - (th - seg.data)));
  if (seg.ipSummed === CHECKSUM_PARTIAL) seg.csumStart = th;
  else tcphdr.setCheck(view, th, gsoMakeChecksum(seg, 0));
}

/**
 * The sender is charged by what is freed last: the segments take over the charge of the whole, so
 * that TCP small queues see them leave one by one.
 */
function chargeSegments(gso: SkBuff, segs: SkBuff): void {
  const { sk } = gso;
  if (sk === null) return;
  let sum = 0;
  for (let skb: SkBuff | null = segs; skb !== null; skb = skb.next) {
    sum += skb.truesize;
    skb.sk = sk;
    skb.destructor = gso.destructor;
  }
  sk.skWmemAlloc += sum - gso.truesize;
  gso.sk = null;
  gso.destructor = null;
}

/** The request for a stamp goes with the segment that has the byte `tskey`. @kernel tcp_gso_tstamp net/ipv4/tcp_offload.c */
function tcpGsoTstamp(segs: SkBuff, gso: SkbSharedInfo, first: number, mss: number): void {
  const { tskey } = gso;
  let end = (first + mss) | 0;
  for (let seg: SkBuff | null = segs; seg !== null; seg = seg.next) {
    if (before(tskey, end)) {
      seg.shinfo.txFlags |= gso.txFlags & SKBTX_ANY_TSTAMP;
      seg.shinfo.tskey = tskey;
      return;
    }
    end = (end + mss) | 0;
  }
}

function segment(gso: SkBuff, features: number): SkBuff | number {
  const iph = gso.networkHeader;
  const mss = gso.shinfo.gsoSize;
  const copyDestructor = gso.destructor === tcpWfree;
  const clearCwr = (gso.shinfo.gsoType & SKB_GSO_TCP_ACCECN) === 0;
  const segs = skbSegment(gso, features);
  if (typeof segs === 'number') return segs;
  let seq = tcphdr.seq(view, segs.transportHeader);
  if ((gso.shinfo.txFlags & SKBTX_ANY_SW_TSTAMP) !== 0) tcpGsoTstamp(segs, gso.shinfo, seq, mss);
  for (let seg: SkBuff | null = segs; seg !== null; seg = seg.next) {
    const th = seg.transportHeader;
    tcphdr.setSeq(view, th, seq);
    // Only the first says that the window has been reduced; an accurate counter is in all.
    if (clearCwr && seg !== segs) tcphdr.setFlags(view, th, tcphdr.flags(view, th) & ~TCPHDR_CWR);
    finishSegment(seg, iph, seg.next === null);
    seq = (seq + mss) | 0;
  }
  if (copyDestructor) chargeSegments(gso, segs);
  return segs;
}

/**
 * `data` is at the TCP header. A list, null when the device cuts, or an errno.
 * @kernel tcp_gso_segment net/ipv4/tcp_offload.c
 */
export function tcpGsoSegment(skb: SkBuff, features: number): SkBuff | null | number {
  const thlen = tcphdr.hdrlen(view, skb.transportHeader);
  if (thlen < tcphdr.LEN || skb.csumStart !== skb.transportHeader) return -EINVAL;
  if (!pskbMayPull(skb, thlen)) return -EINVAL;
  __skbPull(skb, thlen);
  const mss = skb.shinfo.gsoSize;
  if (skb.len <= mss) return -EINVAL;
  if (skbGsoOk(skb, features | NETIF_F_GSO_ROBUST)) {
    // The device does it; only the number of segments was not to be trusted.
    skb.shinfo.gsoSegs = Math.ceil(skb.len / mss);
    return null;
  }
  return segment(skb, features);
}

/** @kernel tcp4_gso_segment net/ipv4/tcp_offload.c */
export function tcp4GsoSegment(skb: SkBuff, features: number): SkBuff | null | number {
  if ((skb.shinfo.gsoType & SKB_GSO_TCPV4) === 0) return -EINVAL;
  if (!pskbMayPull(skb, tcphdr.LEN)) return -EINVAL;
  if (skb.ipSummed !== CHECKSUM_PARTIAL) {
    // The stack sets the pseudo header's sum; a packet from elsewhere may come without.
    const th = skb.transportHeader;
    tcphdr.setCheck(view, th, pseudoSum(skb.networkHeader, skb.len));
    skb.csumStart = th;
    skb.csumOffset = TCPHDR_CHECK_OFFSET;
    skb.ipSummed = CHECKSUM_PARTIAL;
  }
  return tcpGsoSegment(skb, features);
}

// Receive offload.

/** Address of the header, past which the packet is pulled; 0: it is cut short. @kernel tcp_gro_pull_header net/ipv4/tcp_offload.c */
function tcpGroPullHeader(skb: SkBuff): number {
  const off = skbGroOffset(skb);
  let th = skbGroHeader(skb, off + tcphdr.LEN, off);
  if (th === 0) return 0;
  const thlen = tcphdr.hdrlen(view, th);
  if (thlen < tcphdr.LEN) return 0;
  th = skbGroHeader(skb, off + thlen, off);
  if (th !== 0) skbGroPull(skb, thlen);
  return th;
}

/** The held packet of the same ports. @kernel tcp_gro_lookup net/ipv4/tcp_offload.c */
function tcpGroLookup(head: SkBuffHead, th: number): SkBuff | null {
  for (let p = head.next; p !== null; p = p.next) {
    if (!p.groCb.sameFlow) continue;
    if (view.getInt32(th) === view.getInt32(p.transportHeader)) return p;
    p.groCb.sameFlow = false;
  }
  return null;
}

function optionsDiffer(th: number, th2: number, thlen: number): boolean {
  for (let i = tcphdr.LEN; i < thlen; i += 4) {
    if (view.getInt32(th + i) !== view.getInt32(th2 + i)) return true;
  }
  return false;
}

/** Must the held packet be finished before this one, instead of taking it on? */
function mustFlush(p: SkBuff, skb: SkBuff, th: number, len: number): boolean {
  const th2 = p.transportHeader;
  const words = view.getInt32(th + 12) ^ view.getInt32(th2 + 12);
  if ((words & FLAG_WORD_COMPARED) !== 0) return true;
  if (tcphdr.ackSeq(view, th) !== tcphdr.ackSeq(view, th2)) return true;
  if (optionsDiffer(th, th2, tcphdr.hdrlen(view, th))) return true;
  if (inetGroFlush(skb, p)) return true;
  const mss = p.shinfo.gsoSize;
  if (skbIsGso(skb) ? mss !== skb.shinfo.gsoSize : len === 0 || len > mss) return true;
  return ((tcphdr.seq(view, th2) + skbGroLen(p)) | 0) !== tcphdr.seq(view, th);
}

/** @kernel tcp_gro_receive net/ipv4/tcp_offload.c */
export function tcpGroReceive(head: SkBuffHead, skb: SkBuff, th: number): SkBuff | null {
  const cb = skb.groCb;
  const len = skbGroLen(skb);
  const flags = tcphdr.flags(view, th);
  const p = tcpGroLookup(head, th);
  let mss = 1;
  if (p !== null) {
    mss = p.shinfo.gsoSize;
    if (mustFlush(p, skb, th, len) || skbGroReceive(p, skb) !== 0) mss = 1;
    else {
      const th2 = p.transportHeader;
      tcphdr.setFlags(view, th2, tcphdr.flags(view, th2) | (flags & (TCPHDR_FIN | TCPHDR_PSH)));
    }
  }
  // A segment smaller than the others ends the flow's packet, and so does what wants attention.
  const short = skbIsGso(skb) ? len !== cb.count * skb.shinfo.gsoSize : len < mss;
  const ends = TCPHDR_URG | TCPHDR_PSH | TCPHDR_RST | TCPHDR_SYN | TCPHDR_FIN;
  const flush = short || (flags & ends) !== 0;
  const finished = p !== null && (!cb.sameFlow || flush) ? p : null;
  if (flush) cb.flush |= 1;
  return finished;
}

/** @kernel tcp4_gro_receive net/ipv4/tcp_offload.c */
export function tcp4GroReceive(head: SkBuffHead, skb: SkBuff): SkBuff | null {
  // The sum is not worth looking at when the packet passes at once anyhow.
  if (skb.groCb.flush !== 0 || skbGroChecksumValidate(skb, IPPROTO_TCP)) {
    const th = tcpGroPullHeader(skb);
    if (th !== 0) return tcpGroReceive(head, skb, th);
  }
  skb.groCb.flush = 1;
  return null;
}

/** @kernel tcp4_gro_complete net/ipv4/tcp_offload.c */
export function tcp4GroComplete(skb: SkBuff, thoff: number): number {
  const th = skb.transportHeader;
  const { shinfo, groCb } = skb;
  tcphdr.setCheck(view, th, pseudoSum(skb.data + groCb.networkOffset, skb.len - thoff));
  shinfo.gsoType |= SKB_GSO_TCPV4 | (groCb.ipFixedid ? SKB_GSO_TCP_FIXEDID : 0);
  skb.csumStart = th;
  skb.csumOffset = TCPHDR_CHECK_OFFSET;
  skb.ipSummed = CHECKSUM_PARTIAL;
  shinfo.gsoSegs = groCb.count;
  if ((tcphdr.flags(view, th) & TCPHDR_CWR) !== 0) shinfo.gsoType |= SKB_GSO_TCP_ACCECN;
  return 0;
}

/** @kernel tcpv4_offload_init net/ipv4/tcp_offload.c */
export const tcpv4Offload: NetOffload = {
  callbacks: {
    gsoSegment: tcp4GsoSegment,
    groReceive: tcp4GroReceive,
    groComplete: tcp4GroComplete,
  },
  flags: 0,
};
