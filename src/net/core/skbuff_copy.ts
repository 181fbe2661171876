/**
 * Packets: private copies, more room, linear data. Counterpart of those parts of net/core/skbuff.c.
 *
 * What moves a packet's head invalidates every address taken from it. In debug builds the head moves
 * whenever it could, and the old one is poisoned, so that a stale pointer is found at once.
 */
import {
  CHECKSUM_PARTIAL,
  HEADER_UNSET,
  NET_SKB_PAD,
  type SkBuff,
  type SkbSharedInfo,
  skbCloned,
  skbCloneWritable,
  skbEndOffset,
  skbHeaderCloned,
  skbHeadlen,
  skbHeadroom,
  skbReserve,
  skbShared,
  skbTailroom,
} from '#include/linux/skbuff.ts';
import { DERIVE_COPY } from '#include/trace/events/packet.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { mem, memops } from '#mm/memory.ts';
import { getPage, kmallocData, pageRefcount } from '#mm/page_alloc.ts';
import {
  __copySkbHeader,
  allocShinfo,
  allocSkb,
  consumeSkb,
  kfreeSkb,
  skbClone,
  skbDataAlign,
  skbFragUnref,
  skbFreeHead,
  skbHeadSize,
  skbPut,
  skbReleaseData,
  skbTruesize,
} from '#net/core/skbuff.ts';
import { skbCopyBits } from '#net/core/skbuff_data.ts';
import { EINVAL, ENOMEM } from '#uapi/errno.ts';
import {
  SKB_CONSUMED,
  SKB_DROP_REASON_NOMEM,
  SKB_DROP_REASON_NOT_SPECIFIED,
  SKB_DROP_REASON_PKT_TOO_SMALL,
  SKB_NOT_DROPPED_YET,
} from '#uapi/net_dropreason.ts';

/** Moves every header address by `off` bytes. @kernel skb_headers_offset_update net/core/skbuff.c */
export function skbHeadersOffsetUpdate(skb: SkBuff, off: number): void {
  if (skb.ipSummed === CHECKSUM_PARTIAL) skb.csumStart += off;
  if (skb.macHeader !== HEADER_UNSET) skb.macHeader += off;
  if (skb.networkHeader !== HEADER_UNSET) skb.networkHeader += off;
  if (skb.transportHeader !== HEADER_UNSET) skb.transportHeader += off;
  if (skb.innerNetworkHeader !== HEADER_UNSET) skb.innerNetworkHeader += off;
  if (skb.innerTransportHeader !== HEADER_UNSET) skb.innerTransportHeader += off;
}

/** Header fields and GSO state onto a copy whose data has moved. @kernel skb_copy_header net/core/skbuff.c */
export function skbCopyHeader(n: SkBuff, old: SkBuff): void {
  __copySkbHeader(n, old);
  skbHeadersOffsetUpdate(n, n.data - old.data);
  n.shinfo.gsoSize = old.shinfo.gsoSize;
  n.shinfo.gsoSegs = old.shinfo.gsoSegs;
  n.shinfo.gsoType = old.shinfo.gsoType;
  if (tracepointKey.enabled) old.machine.trace.packet.packetDerive.probe?.(n, old, DERIVE_COPY);
}

/** Replaces the packets of a frag_list by clones of them. @kernel skb_clone_fraglist net/core/skbuff.c */
function cloneFragList(first: SkBuff | null): SkBuff | null {
  let head: SkBuff | null = null;
  let tail: SkBuff | null = null;
  for (let f = first; f !== null; f = f.next) {
    const n = skbClone(f);
    if (tail === null) head = n;
    else tail.next = n;
    tail = n;
  }
  return head;
}

/** Fragments by reference: `to` gets those of `from`, with a count each. */
function shareFrags(to: SkbSharedInfo, from: SkbSharedInfo): void {
  for (let i = 0; i < from.nrFrags; i++) {
    const page = from.fragPage[i] as number;
    getPage(page);
    to.fragPage[i] = page;
    to.fragOffset[i] = from.fragOffset[i] as number;
    to.fragSize[i] = from.fragSize[i] as number;
  }
  to.nrFrags = from.nrFrags;
  const uarg = from.destructorArg;
  if (uarg !== null) {
    uarg.refcnt++;
    to.destructorArg = uarg;
    to.flags |= uarg.flags;
  }
  to.fragList = cloneFragList(from.fragList);
}

/** A whole, private, linear copy, headroom included; null when out of memory. @kernel skb_copy net/core/skbuff.c */
export function skbCopy(skb: SkBuff): SkBuff | null {
  return skbCopyExpand(skb, skbHeadroom(skb), skb.end - skb.tail);
}

/** A private linear copy with other room at its ends. @kernel skb_copy_expand net/core/skbuff.c */
export function skbCopyExpand(
  skb: SkBuff,
  newheadroom: number,
  newtailroom: number,
): SkBuff | null {
  const n = allocSkb(skb.machine, newheadroom + skb.len + newtailroom);
  if (n === null) return null;
  skbReserve(n, newheadroom);
  skbPut(n, skb.len);
  // The old headroom may hold a header that was pulled: keep as much of it as there is room for.
  const kept = Math.min(skbHeadroom(skb), newheadroom);
  if (skbCopyBits(skb, -kept, mem, n.data - kept, kept + skb.len) !== 0) {
    throw new KernelBug('skb-copy-bits', `packet ${skb.id} is shorter than its len`);
  }
  skbCopyHeader(n, skb);
  return n;
}

/** A private head with `headroom` bytes of room over shared fragments. @kernel __pskb_copy net/core/skbuff.c */
export function __pskbCopy(skb: SkBuff, headroom: number): SkBuff | null {
  const headlen = skbHeadlen(skb);
  const n = allocSkb(skb.machine, headlen + headroom);
  if (n === null) return null;
  skbReserve(n, headroom);
  skbPut(n, headlen);
  memops.copy(n.data, skb.data, headlen);
  n.truesize += skb.dataLen;
  n.dataLen = skb.dataLen;
  n.len = skb.len;
  shareFrags(n.shinfo, skb.shinfo);
  skbCopyHeader(n, skb);
  return n;
}

/** @kernel pskb_copy include/linux/skbuff.h */
export function pskbCopy(skb: SkBuff): SkBuff | null {
  return __pskbCopy(skb, skbHeadroom(skb));
}

/**
 * Gives the packet a head of its own with more room at either end. Every address into the old head
 * is invalid afterwards. 0 or -ENOMEM.
 * @kernel pskb_expand_head net/core/skbuff.c
 */
export function pskbExpandHead(skb: SkBuff, nhead: number, ntail: number): number {
  if (nhead < 0) throw new KernelBug('skb-expand-negative', `${nhead} bytes of headroom`);
  if (skbShared(skb)) {
    throw new KernelBug('skb-expand-shared', `skb ${skb.id} has ${skb.users} holders`);
  }
  const osize = skbEndOffset(skb);
  const size = skbHeadSize(osize + nhead + ntail);
  const head = kmallocData(size);
  if (head === 0) return -ENOMEM;
  memops.copy(head + nhead, skb.head, skb.tail - skb.head);
  if (skbCloned(skb)) {
    const old = skb.shinfo;
    const n = allocShinfo(skb.machine);
    n.gsoSize = old.gsoSize;
    n.gsoSegs = old.gsoSegs;
    n.gsoType = old.gsoType;
    n.txFlags = old.txFlags;
    n.tskey = old.tskey;
    n.hwtstamp = old.hwtstamp;
    n.flags = old.flags;
    shareFrags(n, old);
    skbReleaseData(skb, SKB_CONSUMED);
    skb.shinfo = n;
  } else {
    skbFreeHead(skb);
    skb.shinfo.dataref = 1;
    skb.shinfo.payloadRefs = 0;
  }
  moveHead(skb, head, nhead, size);
  skb.headFrag = false;
  skb.cloned = false;
  skb.hdrLen = 0;
  skb.nohdr = false;
  // A packet that a socket is charged for keeps its price: the charge could not be corrected.
  if (skb.sk === null) skb.truesize += size - osize;
  return 0;
}

function moveHead(skb: SkBuff, head: number, nhead: number, size: number): void {
  const off = head + nhead - skb.head;
  skb.head = head;
  skb.data += off;
  skb.tail += off;
  skb.end = head + size;
  skbHeadersOffsetUpdate(skb, off);
}

/**
 * Debug builds: moves an unshared head elsewhere and poisons the old place, as any call that is
 * allowed to move it might have done.
 */
function relocateHead(skb: SkBuff): void {
  if (skb.cloned || skb.users !== 1 || pageRefcount(skb.head) !== 1) return;
  const size = skbEndOffset(skb);
  const head = kmallocData(size);
  if (head === 0) return;
  memops.copy(head, skb.head, size);
  const old = skb.head;
  skbFreeHead(skb);
  if (old === head) throw new KernelBug('page-reuse', 'allocated while in use');
  moveHead(skb, head, 0, size);
}

/** A packet with at least `headroom` bytes of private headroom; the old one stays. @kernel skb_realloc_headroom net/core/skbuff.c */
export function skbReallocHeadroom(skb: SkBuff, headroom: number): SkBuff | null {
  const delta = headroom - skbHeadroom(skb);
  if (delta <= 0) return pskbCopy(skb);
  const n = skbClone(skb);
  if (pskbExpandHead(n, skbDataAlign(delta), 0) !== 0) {
    kfreeSkb(n, SKB_DROP_REASON_NOMEM, 'skb_realloc_headroom');
    return null;
  }
  return n;
}

/**
 * Makes headroom in place; when that fails the packet is freed and null returned.
 * @kernel skb_expand_head net/core/skbuff.c
 */
export function skbExpandHead(skb: SkBuff, headroom: number): SkBuff | null {
  const delta = skbDataAlign(headroom - skbHeadroom(skb));
  if (delta <= 0) return skb;
  let nskb = skb;
  if (skbShared(skb)) {
    nskb = skbClone(skb);
    nskb.sk = skb.sk;
    nskb.destructor = skb.destructor;
    skb.sk = null;
    skb.destructor = null;
    consumeSkb(skb, 'skb_expand_head');
  }
  if (pskbExpandHead(nskb, delta, 0) !== 0) {
    kfreeSkb(nskb, SKB_DROP_REASON_NOMEM, 'skb_expand_head');
    return null;
  }
  return nskb;
}

/** @kernel __skb_cow include/linux/skbuff.h */
function __skbCow(skb: SkBuff, headroom: number, cloned: boolean): number {
  const room = skbHeadroom(skb);
  const delta = headroom > room ? headroom - room : 0;
  if (delta === 0 && !cloned) return 0;
  return pskbExpandHead(skb, (delta + NET_SKB_PAD - 1) & ~(NET_SKB_PAD - 1), 0);
}

/** Private, writable data with `headroom` bytes of room. 0 or -ENOMEM. @kernel skb_cow include/linux/skbuff.h */
export function skbCow(skb: SkBuff, headroom: number): number {
  return __skbCow(skb, headroom, skbCloned(skb));
}

/** The same for the header alone. @kernel skb_cow_head include/linux/skbuff.h */
export function skbCowHead(skb: SkBuff, headroom: number): number {
  return __skbCow(skb, headroom, skbHeaderCloned(skb));
}

/** Makes the head private. 0 or -ENOMEM. @kernel skb_unclone include/linux/skbuff.h */
export function skbUnclone(skb: SkBuff): number {
  return skbCloned(skb) ? pskbExpandHead(skb, 0, 0) : 0;
}

/** The same without a change of truesize, for packets that sockets are charged for. @kernel skb_unclone_keeptruesize include/linux/skbuff.h */
export function skbUncloneKeeptruesize(skb: SkBuff): number {
  if (!skbCloned(skb)) return 0;
  const truesize = skb.truesize;
  const err = pskbExpandHead(skb, 0, 0);
  skb.truesize = truesize;
  return err;
}

/** A private copy of a cloned packet, which is consumed; else the packet itself. @kernel skb_unshare include/linux/skbuff.h */
export function skbUnshare(skb: SkBuff): SkBuff | null {
  if (!skbCloned(skb)) return skb;
  const n = skbCopy(skb);
  if (n !== null) consumeSkb(skb, 'skb_unshare');
  else kfreeSkb(skb, SKB_DROP_REASON_NOMEM, 'skb_unshare');
  return n;
}

/** Makes the first `len` bytes linear and private. 0 or a negative errno. @kernel skb_ensure_writable net/core/skbuff.c */
export function skbEnsureWritable(skb: SkBuff, len: number): number {
  if (!pskbMayPull(skb, len)) return -ENOMEM;
  if (!skbCloned(skb) || skbCloneWritable(skb, len)) return 0;
  return pskbExpandHead(skb, 0, 0);
}

/**
 * Brings `delta` bytes of the fragments to the end of the linear part. Returns the old tail, 0 when
 * out of memory or the packet is shorter. Addresses into the head are invalid afterwards.
 * @kernel __pskb_pull_tail net/core/skbuff.c
 */
export function __pskbPullTail(skb: SkBuff, delta: number): number {
  const missing = skb.tail + delta - skb.end;
  if (missing > 0 || skbCloned(skb)) {
    if (pskbExpandHead(skb, 0, missing > 0 ? missing + 128 : 0) !== 0) return 0;
  } else if (DEBUG) {
    relocateHead(skb);
  }
  if (skbCopyBits(skb, skbHeadlen(skb), mem, skb.tail, delta) !== 0) {
    throw new KernelBug('skb-copy-bits', `packet ${skb.id} is shorter than its len`);
  }
  eatFrags(skb, delta);
  const at = skb.tail;
  skb.tail += delta;
  skb.dataLen -= delta;
  return at;
}

/** Removes the first `delta` bytes of the fragments and then of the frag_list. */
function eatFrags(skb: SkBuff, delta: number): void {
  const shinfo = skb.shinfo;
  let eat = delta;
  let k = 0;
  for (let i = 0; i < shinfo.nrFrags; i++) {
    const size = shinfo.fragSize[i] as number;
    if (size <= eat) {
      skbFragUnref(skb, i);
      eat -= size;
      continue;
    }
    shinfo.fragPage[k] = shinfo.fragPage[i] as number;
    shinfo.fragOffset[k] = (shinfo.fragOffset[i] as number) + eat;
    shinfo.fragSize[k] = size - eat;
    eat = 0;
    k++;
  }
  shinfo.nrFrags = k;
  if (eat > 0) eatFragList(skb, eat);
}

function eatFragList(skb: SkBuff, bytes: number): void {
  const shinfo = skb.shinfo;
  let eat = bytes;
  while (eat > 0) {
    const first = shinfo.fragList;
    if (first === null) throw new KernelBug('skb-fraglist-short', `skb ${skb.id}`);
    if (first.len <= eat) {
      eat -= first.len;
      shinfo.fragList = first.next;
      first.next = null;
      consumeSkb(first, '__pskb_pull_tail');
      continue;
    }
    let head = first;
    if (skbShared(first)) {
      head = skbClone(first);
      head.next = first.next;
      first.next = null;
      consumeSkb(first, '__pskb_pull_tail');
      shinfo.fragList = head;
    }
    if (skbHeadlen(head) < eat && __pskbPullTail(head, eat - skbHeadlen(head)) === 0) {
      throw new KernelBug('skb-fraglist-pull', `out of memory in frag_list of skb ${skb.id}`);
    }
    head.data += eat;
    head.len -= eat;
    eat = 0;
  }
}

/**
 * Makes sure that the first `len` bytes are linear. SKB_NOT_DROPPED_YET or the reason why not.
 * Addresses taken from the packet before are invalid afterwards.
 * @kernel pskb_may_pull_reason include/linux/skbuff.h
 */
export function pskbMayPullReason(skb: SkBuff, len: number): number {
  if (len <= skb.len - skb.dataLen) {
    if (DEBUG) relocateHead(skb);
    return SKB_NOT_DROPPED_YET;
  }
  if (len > skb.len) return SKB_DROP_REASON_PKT_TOO_SMALL;
  if (__pskbPullTail(skb, len - skbHeadlen(skb)) === 0) return SKB_DROP_REASON_NOMEM;
  return SKB_NOT_DROPPED_YET;
}

/** @kernel pskb_may_pull include/linux/skbuff.h */
export function pskbMayPull(skb: SkBuff, len: number): boolean {
  return pskbMayPullReason(skb, len) === SKB_NOT_DROPPED_YET;
}

/** Drops `len` bytes from the front, made linear first; 0 when there are fewer. @kernel pskb_pull include/linux/skbuff.h */
export function pskbPull(skb: SkBuff, len: number): number {
  if (!pskbMayPull(skb, len)) return 0;
  skb.len -= len;
  skb.data += len;
  return skb.data;
}

/** May an IPv4 or IPv6 network header of `len` bytes be read? @kernel pskb_network_may_pull include/linux/skbuff.h */
export function pskbNetworkMayPull(skb: SkBuff, len: number): boolean {
  return pskbMayPull(skb, skb.networkHeader - skb.data + len);
}

/** All data into the head. 0 or -ENOMEM. @kernel skb_linearize include/linux/skbuff.h */
export function skbLinearize(skb: SkBuff): number {
  return skb.dataLen === 0 || __pskbPullTail(skb, skb.dataLen) !== 0 ? 0 : -ENOMEM;
}

/** Linear and private. @kernel skb_linearize_cow include/linux/skbuff.h */
export function skbLinearizeCow(skb: SkBuff): number {
  if (skb.dataLen === 0 && !skbCloned(skb)) return 0;
  return __pskbPullTail(skb, skb.dataLen) !== 0 ? 0 : -ENOMEM;
}

/** Zeroes `pad` bytes behind the data without counting them; frees the packet when out of memory. @kernel skb_pad net/core/skbuff.c */
export function skbPad(skb: SkBuff, pad: number): number {
  if (skbCloned(skb) || skbTailroom(skb) < pad) {
    const ntail = Math.max(0, skb.dataLen + pad - (skb.end - skb.tail));
    if ((skbCloned(skb) || ntail > 0) && pskbExpandHead(skb, 0, ntail) !== 0) return padFail(skb);
    if (skbLinearize(skb) !== 0) return padFail(skb);
  }
  mem.fill(0, skb.tail, skb.tail + pad);
  return 0;
}

function padFail(skb: SkBuff): number {
  kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, '__skb_pad');
  return -ENOMEM;
}

/** Zeroes up to `len` bytes and counts them; frees the packet when out of memory. @kernel skb_put_padto include/linux/skbuff.h */
export function skbPutPadto(skb: SkBuff, len: number): number {
  const size = skb.len;
  if (size >= len) return 0;
  const err = skbPad(skb, len - size);
  if (err !== 0) return err;
  skbPut(skb, len - size);
  return 0;
}

/** Gives back memory that a short packet does not need. @kernel skb_condense net/core/skbuff.c */
export function skbCondense(skb: SkBuff): void {
  if (skb.dataLen !== 0) {
    if (skb.dataLen > skb.end - skb.tail || skbCloned(skb)) return;
    if (__pskbPullTail(skb, skb.dataLen) === 0) return;
  }
  skb.truesize = skbTruesize(skbEndOffset(skb));
}

/** Cuts to `len` bytes, wherever the end lies. 0 or a negative errno. @kernel pskb_trim include/linux/skbuff.h */
export function pskbTrim(skb: SkBuff, len: number): number {
  if (len >= skb.len) return 0;
  if (len < 0) return -EINVAL;
  if (skb.dataLen === 0) {
    skb.len = len;
    skb.tail = skb.data + len;
    return 0;
  }
  return ___pskbTrim(skb, len);
}

/** @kernel ___pskb_trim net/core/skbuff.c */
function ___pskbTrim(skb: SkBuff, len: number): number {
  if (skbCloned(skb)) {
    const err = pskbExpandHead(skb, 0, 0);
    if (err !== 0) return err;
  }
  const shinfo = skb.shinfo;
  let offset = skbHeadlen(skb);
  let keep = 0;
  for (let i = 0; i < shinfo.nrFrags; i++) {
    const size = shinfo.fragSize[i] as number;
    if (offset >= len) {
      skbFragUnref(skb, i);
    } else {
      if (offset + size > len) shinfo.fragSize[i] = len - offset;
      keep = i + 1;
    }
    offset += size;
  }
  shinfo.nrFrags = keep;
  const err = trimFragList(skb, offset, len);
  if (err !== 0) return err;
  const headlen = skbHeadlen(skb);
  if (len > headlen) {
    skb.dataLen -= skb.len - len;
    skb.len = len;
  } else {
    skb.len = len;
    skb.dataLen = 0;
    skb.tail = skb.data + len;
  }
  if (skb.sk === null) skbCondense(skb);
  return 0;
}

/** Cuts the frag_list, which starts at byte `start` of the packet, where byte `len` lies. */
function trimFragList(skb: SkBuff, start: number, len: number): number {
  const shinfo = skb.shinfo;
  let offset = start;
  let prev: SkBuff | null = null;
  let frag = shinfo.fragList;
  while (frag !== null) {
    const next: SkBuff | null = frag.next;
    if (offset >= len) {
      frag.next = null;
      if (prev === null) shinfo.fragList = next;
      else prev.next = next;
      consumeSkb(frag, '___pskb_trim');
      frag = next;
      continue;
    }
    let kept = frag;
    if (offset + frag.len > len) {
      if (skbShared(frag)) {
        kept = skbClone(frag);
        kept.next = next;
        frag.next = null;
        consumeSkb(frag, '___pskb_trim');
        if (prev === null) shinfo.fragList = kept;
        else prev.next = kept;
      }
      const err = pskbTrim(kept, len - offset);
      if (err !== 0) return err;
      offset = len;
    } else {
      offset += frag.len;
    }
    prev = kept;
    frag = next;
  }
  return 0;
}
