/**
 * Cutting one large packet into segments by reference. Counterpart of skb_segment() in
 * net/core/skbuff.c. The payload is not copied when the device can gather: each segment's fragments
 * point into the pages of the original.
 */

import { NETIF_F_SG } from '#include/linux/netdev_features.ts';
import {
  __skbPull,
  __skbPush,
  __skbPut,
  CHECKSUM_NONE,
  MAX_SKB_FRAGS,
  type SkBuff,
  skbFillPageDesc,
  skbFragAddress,
  skbGsoReset,
  skbHeadlen,
  skbHeadroom,
  skbIsGsoTcp,
  skbReserve,
  skbZerocopyClone,
} from '#include/linux/skbuff.ts';
import { DERIVE_SEGMENT } from '#include/trace/events/packet.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { csumFold } from '#lib/checksum.ts';
import { mem, memops } from '#mm/memory.ts';
import { getPage, virtToHeadPage } from '#mm/page_alloc.ts';
import { canChecksumProtocol, skbNetworkProtocol } from '#net/core/gso.ts';
import { __copySkbHeader, allocSkb, kfreeSkbList, skbReleaseHeadState } from '#net/core/skbuff.ts';
import { skbHeadersOffsetUpdate, skbLinearize, skbUnclone } from '#net/core/skbuff_copy.ts';
import { skbChecksum, skbCopyBits } from '#net/core/skbuff_data.ts';
import { EINVAL, ENOMEM } from '#uapi/errno.ts';
import { SKB_DROP_REASON_NOMEM } from '#uapi/net_dropreason.ts';

/**
 * References bytes [from, from + len) of `skb` as fragments of `nskb`; false: more than fit.
 */
function referTo(nskb: SkBuff, skb: SkBuff, from: number, len: number): boolean {
  let pos = from;
  let left = len;
  const headlen = skbHeadlen(skb);
  if (pos < headlen) {
    const n = Math.min(headlen - pos, left);
    // A pool's page may hold several heads: it is the page that has references.
    const page = skb.ppRecycle ? virtToHeadPage(skb.head) : skb.head;
    if (!addRef(nskb, page, skb.data + pos - page, n)) return false;
    pos += n;
    left -= n;
  }
  const { shinfo } = skb;
  let start = headlen;
  for (let i = 0; i < shinfo.nrFrags && left > 0; i++) {
    const end = start + (shinfo.fragSize[i] as number);
    if (pos < end) {
      const n = Math.min(end - pos, left);
      const page = shinfo.fragPage[i] as number;
      if (!addRef(nskb, page, skbFragAddress(shinfo, i) - page + pos - start, n)) return false;
      pos += n;
      left -= n;
    }
    start = end;
  }
  for (let f = shinfo.fragList; f !== null && left > 0; f = f.next) {
    const end = start + f.len;
    if (pos < end) {
      const n = Math.min(end - pos, left);
      if (!referTo(nskb, f, pos - start, n)) return false;
      pos += n;
      left -= n;
    }
    start = end;
  }
  return true;
}

function addRef(nskb: SkBuff, page: number, off: number, len: number): boolean {
  const i = nskb.shinfo.nrFrags;
  if (i >= MAX_SKB_FRAGS) return false;
  getPage(page);
  skbFillPageDesc(nskb, i, page, off, len);
  nskb.len += len;
  nskb.dataLen += len;
  nskb.truesize += len;
  return true;
}

/** A segment with a copy of the first `doffset` bytes of `head` as its headers. */
function newSegment(head: SkBuff, doffset: number, room: number, linear: number): SkBuff | null {
  const nskb = allocSkb(head.machine, room + doffset + linear);
  if (nskb === null) return null;
  skbReserve(nskb, room);
  __skbPut(nskb, doffset);
  __copySkbHeader(nskb, head);
  skbHeadersOffsetUpdate(nskb, nskb.data - head.data);
  memops.copy(nskb.data, head.data, doffset);
  if (tracepointKey.enabled)
    head.machine.trace.packet.packetDerive.probe?.(nskb, head, DERIVE_SEGMENT);
  return nskb;
}

/** How a packet is cut, the same for all its segments. */
interface Plan {
  readonly doffset: number;
  readonly room: number;
  readonly sg: boolean;
  readonly csum: boolean;
}

/** The segment of `len` payload bytes from `offset` on; null when out of memory. */
function segmentAt(head: SkBuff, plan: Plan, offset: number, len: number): SkBuff | null {
  const { doffset, room } = plan;
  let nskb: SkBuff | null = null;
  if (plan.sg) {
    nskb = newSegment(head, doffset, room, 0);
    if (nskb !== null) skbZerocopyClone(nskb, head);
    if (nskb !== null && !referTo(nskb, head, offset, len)) {
      kfreeSkbList(nskb, SKB_DROP_REASON_NOMEM, 'skb_segment');
      nskb = null;
    }
  }
  // A device that cannot gather, or data in too many pieces.
  if (nskb === null) {
    nskb = newSegment(head, doffset, room, len);
    if (nskb === null) return null;
    skbCopyBits(head, offset, mem, __skbPut(nskb, len), len);
  }
  if (!plan.csum) {
    nskb.ipSummed = CHECKSUM_NONE;
    nskb.csum = skbChecksum(nskb, doffset, nskb.len - doffset, 0);
    nskb.csumStart = nskb.data + doffset;
  }
  return nskb;
}

/**
 * Cuts a packet at its gsoSize. `data` is at the payload, all headers from the link header on stand
 * before it. Returns the list (its `prev` is the last segment's only in Linux), or a negative errno.
 * Segments that the device cannot sum carry the sum of their payload in `csum`.
 * @kernel skb_segment net/core/skbuff.c
 */
export function skbSegment(head: SkBuff, features: number): SkBuff | number {
  const mss = head.shinfo.gsoSize;
  const doffset = head.data - head.macHeader;
  const proto = skbNetworkProtocol(head);
  if (proto === 0 || mss === 0) return -EINVAL;
  const csum = canChecksumProtocol(features, proto);
  __skbPush(head, doffset);
  const plan: Plan = {
    doffset,
    room: skbHeadroom(head),
    sg: (features & NETIF_F_SG) !== 0,
    csum,
  };
  let first: SkBuff | null = null;
  let last: SkBuff | null = null;
  for (let offset = doffset; offset < head.len; offset += mss) {
    const len = Math.min(head.len - offset, mss);
    const nskb: SkBuff | null = segmentAt(head, plan, offset, len);
    if (nskb === null) {
      kfreeSkbList(first, SKB_DROP_REASON_NOMEM, 'skb_segment');
      __skbPull(head, doffset);
      return -ENOMEM;
    }
    if (last === null) first = nskb;
    else last.next = nskb;
    last = nskb;
  }
  __skbPull(head, doffset);
  if (first === null || last === null) return -EINVAL;
  passOwner(head, last);
  return first;
}

/**
 * Takes a list of whole packets apart: `skb`, whose `data` is behind its network header, becomes the first,
 * and the members of its frag_list follow with headers of their own, linked by `next`; `offset` is the
 * length of the link header, which they take from it. The list, of which the caller holds a reference
 * to `skb`, or a negative errno.
 * @kernel skb_segment_list net/core/skbuff.c
 */
export function skbSegmentList(skb: SkBuff, features: number, offset: number): SkBuff | number {
  __skbPush(skb, skb.data - skb.networkHeader + offset);
  const err = skbUnclone(skb);
  if (err !== 0) return err;
  // Of its own: where there was a clone, that one keeps those it had.
  let member = skb.shinfo.fragList;
  skb.shinfo.fragList = null;
  skbGsoReset(skb);
  let tail = skb;
  let failed = false;
  while (member !== null) {
    const nskb: SkBuff = member;
    member = nskb.next;
    tail.next = nskb;
    tail = nskb;
    skb.truesize -= nskb.truesize;
    skb.dataLen -= nskb.len;
    skb.len -= nskb.len;
    // Its headers are written to: here, and by whoever asked for the list.
    if (skbUnclone(nskb) !== 0) {
      failed = true;
      continue;
    }
    const ihl = nskb.transportHeader - nskb.networkHeader;
    __skbPush(nskb, nskb.data - nskb.networkHeader + offset);
    skbReleaseHeadState(nskb);
    __copySkbHeader(nskb, skb);
    nskb.macHeader = nskb.data;
    nskb.networkHeader = nskb.data + offset;
    nskb.transportHeader = nskb.networkHeader + ihl;
    memops.copy(nskb.data, skb.data, offset);
    if ((features & NETIF_F_SG) === 0 && nskb.dataLen > 0) failed ||= skbLinearize(nskb) !== 0;
  }
  if ((features & NETIF_F_SG) === 0 && skb.dataLen > 0) failed ||= skbLinearize(skb) !== 0;
  if (failed) {
    kfreeSkbList(skb.next, SKB_DROP_REASON_NOMEM, 'skb_segment_list');
    skb.next = null;
    return -ENOMEM;
  }
  skb.users++;
  return skb;
}

/**
 * The last segment pays back what the sender was charged for the whole. TCP, which counts every
 * packet, does that by itself.
 */
function passOwner(head: SkBuff, last: SkBuff): void {
  if (head.destructor === null || skbIsGsoTcp(head)) return;
  const { truesize } = last;
  last.truesize = head.truesize;
  head.truesize = truesize;
  last.destructor = head.destructor;
  last.sk = head.sk;
  head.destructor = null;
  head.sk = null;
}

/**
 * The checksum of a segment: the transport header, whose own field holds the pseudo header's sum, and
 * the payload's sum from skbSegment(). `res` is what an outer header would add.
 * @kernel gso_make_checksum include/net/gso.h
 */
export function gsoMakeChecksum(skb: SkBuff, res: number): number {
  const start = skb.transportHeader;
  const plen = skb.csumStart - start;
  const partial = skb.csum;
  skb.csum = res & 0xffff;
  skb.csumStart = start;
  return csumFold(memops.csumPartial(start, plen, partial));
}
