/**
 * Packets: moving fragments from one packet to another by reference. Counterpart of those parts of
 * net/core/skbuff.c; TCP joins, splits and shifts its queues with these.
 */
import {
  CHECKSUM_PARTIAL,
  MAX_SKB_FRAGS,
  SIZEOF_SK_BUFF,
  SKBFL_PURE_ZEROCOPY,
  SKBFL_SHARED_FRAG,
  type SkBuff,
  type SkbSharedInfo,
  skbCanCoalesce,
  skbCloned,
  skbEndOffset,
  skbFillPageDesc,
  skbFragSizeAdd,
  skbHeadlen,
  skbLenAdd,
  skbTailroom,
  skbZerocopyClone,
} from '#include/linux/skbuff.ts';
import { DERIVE_SPLIT, MERGE_COALESCE, MERGE_SHIFT } from '#include/trace/events/packet.ts';
import { KernelBug } from '#kernel/bug.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { mem, memops } from '#mm/memory.ts';
import { getPage, pagePool, putPage, virtToHeadPage } from '#mm/page_alloc.ts';
import { pagePoolRefPage } from '#net/core/page_pool.ts';
import { skbFragRef, skbPut, skbTruesize } from '#net/core/skbuff.ts';
import { skbUncloneKeeptruesize } from '#net/core/skbuff_copy.ts';
import { skbCopyBits } from '#net/core/skbuff_data.ts';
import { EMSGSIZE } from '#uapi/errno.ts';

/** Fragment i is a part of a page just received. @kernel skb_add_rx_frag net/core/skbuff.c */
export function skbAddRxFrag(
  skb: SkBuff,
  i: number,
  page: number,
  off: number,
  size: number,
  truesize: number,
): void {
  skbFillPageDesc(skb, i, page, off, size);
  skb.len += size;
  skb.dataLen += size;
  skb.truesize += truesize;
}

/** Adds part of a page behind the packet's fragments, with a reference. 0 or -EMSGSIZE. @kernel skb_append_pagefrags net/core/skbuff.c */
export function skbAppendPagefrags(
  skb: SkBuff,
  page: number,
  offset: number,
  size: number,
  maxFrags: number,
): number {
  const shinfo = skb.shinfo;
  const i = shinfo.nrFrags;
  if (skbCanCoalesce(skb, i, page, offset)) {
    skbFragSizeAdd(shinfo, i - 1, size);
    return 0;
  }
  if (i >= maxFrags) return -EMSGSIZE;
  getPage(page);
  skbFillPageDesc(skb, i, page, offset, size);
  return 0;
}

/** Moves a descriptor. */
function moveFrag(to: SkbSharedInfo, k: number, from: SkbSharedInfo, i: number): void {
  to.fragPage[k] = from.fragPage[i] as number;
  to.fragOffset[k] = from.fragOffset[i] as number;
  to.fragSize[k] = from.fragSize[i] as number;
}

/** Cuts the first `len` bytes off fragment i. */
function advanceFrag(shinfo: SkbSharedInfo, i: number, len: number): void {
  shinfo.fragOffset[i] = (shinfo.fragOffset[i] as number) + len;
  shinfo.fragSize[i] = (shinfo.fragSize[i] as number) - len;
}

/** @kernel skb_head_is_locked include/linux/skbuff.h */
export function skbHeadIsLocked(skb: SkBuff): boolean {
  return !skb.headFrag || skbCloned(skb);
}

/**
 * Appends `from` to `to` without copying more than fits the tail room. Returns the growth of `to`'s
 * truesize (0 when copied), or -1 when they cannot be joined. On success `from` holds nothing any
 * more and is to be freed with kfreeSkbPartial().
 * @kernel skb_try_coalesce net/core/skbuff.c
 */
export function skbTryCoalesce(to: SkBuff, from: SkBuff): number {
  from.headStolen = false;
  const len = from.len;
  // Pages of a pool and others do not go together: they are given back differently.
  if (skbCloned(to) || to.ppRecycle !== from.ppRecycle) return -1;
  if (len <= skbTailroom(to)) {
    if (len !== 0) skbCopyBits(from, 0, mem, skbPut(to, len), len);
    traceMerge(to, from, MERGE_COALESCE);
    return 0;
  }
  const ts = to.shinfo;
  const fs = from.shinfo;
  if (ts.fragList !== null || fs.fragList !== null) return -1;
  if (ts.destructorArg !== null || fs.destructorArg !== null) return -1;
  let delta: number;
  const headlen = skbHeadlen(from);
  if (headlen !== 0) {
    if (ts.nrFrags + fs.nrFrags >= MAX_SKB_FRAGS || skbHeadIsLocked(from)) return -1;
    delta = from.truesize - SIZEOF_SK_BUFF;
    const page = from.ppRecycle ? virtToHeadPage(from.head) : from.head;
    skbFillPageDesc(to, ts.nrFrags, page, from.data - page, headlen);
    from.headStolen = true;
  } else {
    if (ts.nrFrags + fs.nrFrags > MAX_SKB_FRAGS) return -1;
    delta = from.truesize - skbTruesize(skbEndOffset(from));
  }
  for (let i = 0; i < fs.nrFrags; i++) moveFrag(ts, ts.nrFrags + i, fs, i);
  ts.nrFrags += fs.nrFrags;
  if (skbCloned(from)) refFrags(from);
  else fs.nrFrags = 0;
  to.truesize += delta;
  to.len += len;
  to.dataLen += len;
  traceMerge(to, from, MERGE_COALESCE);
  return delta;
}

/** References to the fragments' pages, of the kind that `skb` will give back. @kernel skb_pp_frag_ref net/core/skbuff.c */
function refFrags(skb: SkBuff): void {
  const { shinfo } = skb;
  for (let i = 0; i < shinfo.nrFrags; i++) {
    const page = shinfo.fragPage[i] as number;
    if (skb.ppRecycle && pagePool(page) !== null) pagePoolRefPage(page);
    else skbFragRef(skb, i);
  }
}

function traceMerge(into: SkBuff, from: SkBuff, how: number): void {
  if (tracepointKey.enabled) into.machine.trace.packet.packetMerge.probe?.(into, from, how);
}

/**
 * Splits a packet: `skb1` (empty, with room for the linear rest) gets what lies beyond `len`.
 * @kernel skb_split net/core/skbuff.c
 */
export function skbSplit(skb: SkBuff, skb1: SkBuff, len: number): void {
  const pos = skbHeadlen(skb);
  if (tracepointKey.enabled) skb.machine.trace.packet.packetDerive.probe?.(skb1, skb, DERIVE_SPLIT);
  skb1.shinfo.flags |= skb.shinfo.flags & (SKBFL_SHARED_FRAG | SKBFL_PURE_ZEROCOPY);
  skbZerocopyClone(skb1, skb);
  if (len < pos) splitInsideHeader(skb, skb1, len, pos);
  else splitNoHeader(skb, skb1, len, pos);
}

/** @kernel skb_split_inside_header net/core/skbuff.c */
function splitInsideHeader(skb: SkBuff, skb1: SkBuff, len: number, pos: number): void {
  const from = skb.shinfo;
  const to = skb1.shinfo;
  const rest = pos - len;
  const at = skbPut(skb1, rest);
  memops.copy(at, skb.data + len, rest);
  for (let i = 0; i < from.nrFrags; i++) moveFrag(to, i, from, i);
  to.nrFrags = from.nrFrags;
  from.nrFrags = 0;
  skb1.dataLen = skb.dataLen;
  skb1.len += skb1.dataLen;
  skb.dataLen = 0;
  skb.len = len;
  skb.tail = skb.data + len;
}

/** @kernel skb_split_no_header net/core/skbuff.c */
function splitNoHeader(skb: SkBuff, skb1: SkBuff, len: number, headlen: number): void {
  const from = skb.shinfo;
  const to = skb1.shinfo;
  const n = from.nrFrags;
  let pos = headlen;
  let k = 0;
  from.nrFrags = 0;
  skb1.dataLen = skb.len - len;
  skb1.len = skb1.dataLen;
  skb.len = len;
  skb.dataLen = len - headlen;
  for (let i = 0; i < n; i++) {
    const size = from.fragSize[i] as number;
    if (pos + size > len) {
      moveFrag(to, k, from, i);
      if (pos < len) {
        getPage(from.fragPage[i] as number);
        advanceFrag(to, k, len - pos);
        from.fragSize[i] = len - pos;
        from.nrFrags++;
      }
      k++;
    } else {
      from.nrFrags++;
    }
    pos += size;
  }
  to.nrFrags = k;
}

/**
 * Moves the first `shiftlen` bytes of `skb`, which must have no linear data, behind `tgt`. Returns `shiftlen`, or 0 when that is not possible.
 * @kernel skb_shift net/core/skbuff.c
 */
export function skbShift(tgt: SkBuff, skb: SkBuff, shiftlen: number): number {
  if (shiftlen > skb.len) throw new KernelBug('skb-shift-len', `${shiftlen} of ${skb.len}`);
  const ts = tgt.shinfo;
  const fs = skb.shinfo;
  if (skbHeadlen(skb) !== 0 || ts.fragList !== null || fs.fragList !== null) return 0;
  if (ts.destructorArg !== null || fs.destructorArg !== null) return 0;
  let todo = shiftlen;
  let from = 0;
  const to = ts.nrFrags;
  let merge = -1;
  if (skbCanCoalesce(tgt, to, fs.fragPage[0] as number, fs.fragOffset[0] as number)) {
    merge = to - 1;
    const size = fs.fragSize[0] as number;
    if (size > todo) {
      if (skbUncloneKeeptruesize(skb) !== 0 || skbUncloneKeeptruesize(tgt) !== 0) return 0;
      skbFragSizeAdd(tgt.shinfo, merge, shiftlen);
      advanceFrag(skb.shinfo, 0, shiftlen);
      return shifted(tgt, skb, shiftlen);
    }
    todo -= size;
    from = 1;
  }
  if (fragsNeeded(fs, from, todo) > MAX_SKB_FRAGS - to) return 0;
  if (skbUncloneKeeptruesize(skb) !== 0 || skbUncloneKeeptruesize(tgt) !== 0) return 0;
  return shiftFrags(tgt, skb, shiftlen, from, todo, merge);
}

/** The moves of skbShift() once nothing can fail. */
function shiftFrags(
  tgt: SkBuff,
  skb: SkBuff,
  shiftlen: number,
  first: number,
  len: number,
  merge: number,
): number {
  const ts = tgt.shinfo;
  const fs = skb.shinfo;
  let todo = len;
  let from = first;
  let to = ts.nrFrags;
  while (todo > 0 && from < fs.nrFrags) {
    const size = fs.fragSize[from] as number;
    moveFrag(ts, to, fs, from);
    if (todo >= size) {
      todo -= size;
      from++;
    } else {
      getPage(fs.fragPage[from] as number);
      ts.fragSize[to] = todo;
      advanceFrag(fs, from, todo);
      todo = 0;
    }
    to++;
  }
  ts.nrFrags = to;
  if (merge >= 0) {
    skbFragSizeAdd(ts, merge, fs.fragSize[0] as number);
    putPage(fs.fragPage[0] as number);
  }
  let k = 0;
  while (from < fs.nrFrags) moveFrag(fs, k++, fs, from++);
  fs.nrFrags = k;
  return shifted(tgt, skb, shiftlen);
}

/** Descriptors that `len` bytes from fragment `from` on take. */
function fragsNeeded(shinfo: SkbSharedInfo, from: number, len: number): number {
  let left = len;
  let n = 0;
  for (let i = from; i < shinfo.nrFrags && left > 0; i++) {
    left -= shinfo.fragSize[i] as number;
    n++;
  }
  return n;
}

function shifted(tgt: SkBuff, skb: SkBuff, shiftlen: number): number {
  tgt.ipSummed = CHECKSUM_PARTIAL;
  skb.ipSummed = CHECKSUM_PARTIAL;
  skbLenAdd(skb, -shiftlen);
  skbLenAdd(tgt, shiftlen);
  traceMerge(tgt, skb, MERGE_SHIFT);
  return shiftlen;
}
