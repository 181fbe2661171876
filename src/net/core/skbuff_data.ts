/**
 * Packets: reading, writing and summing the bytes wherever they lie. Counterpart of those parts of
 * net/core/skbuff.c.
 *
 * Offsets count from `data`; negative ones reach into the headroom.
 */
import {
  CHECKSUM_PARTIAL,
  type SkBuff,
  skbFragAddress,
  skbHeadlen,
} from '#include/linux/skbuff.ts';
import { KernelBug } from '#kernel/bug.ts';
import { csumAdd, csumBlockAdd } from '#lib/checksum.ts';
import { mem, memops } from '#mm/memory.ts';
import { EFAULT } from '#uapi/errno.ts';

function copyOut(to: Uint8Array, at: number, addr: number, len: number): void {
  if (to === mem) memops.copy(at, addr, len);
  else to.set(mem.subarray(addr, addr + len), at);
}

function copyIn(addr: number, from: Uint8Array, at: number, len: number): void {
  if (from === mem) memops.copy(addr, at, len);
  else mem.set(from.subarray(at, at + len), addr);
}

/** Copies `len` bytes from `offset` on to `to[at]`. 0 or -EFAULT. @kernel skb_copy_bits net/core/skbuff.c */
export function skbCopyBits(
  skb: SkBuff,
  offset: number,
  to: Uint8Array,
  at: number,
  len: number,
): number {
  if (offset > skb.len - len) return -EFAULT;
  const start = skbHeadlen(skb);
  let pos = offset;
  let left = len;
  let dst = at;
  if (pos < start) {
    const copy = Math.min(start - pos, left);
    copyOut(to, dst, skb.data + pos, copy);
    left -= copy;
    pos += copy;
    dst += copy;
  }
  return left === 0 ? 0 : copyFrags(skb, pos, start, to, dst, left);
}

function copyFrags(
  skb: SkBuff,
  offset: number,
  from: number,
  to: Uint8Array,
  at: number,
  len: number,
): number {
  const shinfo = skb.shinfo;
  let start = from;
  let pos = offset;
  let left = len;
  let dst = at;
  for (let i = 0; i < shinfo.nrFrags && left > 0; i++) {
    const end = start + (shinfo.fragSize[i] as number);
    if (pos < end) {
      const copy = Math.min(end - pos, left);
      copyOut(to, dst, skbFragAddress(shinfo, i) + pos - start, copy);
      left -= copy;
      pos += copy;
      dst += copy;
    }
    start = end;
  }
  for (let f = shinfo.fragList; f !== null && left > 0; f = f.next) {
    const end = start + f.len;
    if (pos < end) {
      const copy = Math.min(end - pos, left);
      if (skbCopyBits(f, pos - start, to, dst, copy) !== 0) return -EFAULT;
      left -= copy;
      pos += copy;
      dst += copy;
    }
    start = end;
  }
  return left === 0 ? 0 : -EFAULT;
}

/** @kernel skb_copy_from_linear_data_offset include/linux/skbuff.h */
export function skbCopyFromLinearDataOffset(
  skb: SkBuff,
  offset: number,
  to: number,
  len: number,
): void {
  memops.copy(to, skb.data + offset, len);
}

/** Writes `len` bytes of `from[at]` at `offset`. 0 or -EFAULT. @kernel skb_store_bits net/core/skbuff.c */
export function skbStoreBits(
  skb: SkBuff,
  offset: number,
  from: Uint8Array,
  at: number,
  len: number,
): number {
  if (offset > skb.len - len) return -EFAULT;
  const shinfo = skb.shinfo;
  let start = skbHeadlen(skb);
  let pos = offset;
  let left = len;
  let src = at;
  if (pos < start) {
    const copy = Math.min(start - pos, left);
    copyIn(skb.data + pos, from, src, copy);
    left -= copy;
    pos += copy;
    src += copy;
  }
  for (let i = 0; i < shinfo.nrFrags && left > 0; i++) {
    const end = start + (shinfo.fragSize[i] as number);
    if (pos < end) {
      const copy = Math.min(end - pos, left);
      copyIn(skbFragAddress(shinfo, i) + pos - start, from, src, copy);
      left -= copy;
      pos += copy;
      src += copy;
    }
    start = end;
  }
  for (let f = shinfo.fragList; f !== null && left > 0; f = f.next) {
    const end = start + f.len;
    if (pos < end) {
      const copy = Math.min(end - pos, left);
      if (skbStoreBits(f, pos - start, from, src, copy) !== 0) return -EFAULT;
      left -= copy;
      pos += copy;
      src += copy;
    }
    start = end;
  }
  return left === 0 ? 0 : -EFAULT;
}

/** Adds `len` bytes from `offset` on to a wsum. @kernel skb_checksum net/core/skbuff.c */
export function skbChecksum(skb: SkBuff, offset: number, len: number, csum: number): number {
  let start = skbHeadlen(skb);
  let pos = offset;
  let left = len;
  let sum = csum;
  if (pos < start) {
    const n = Math.min(start - pos, left);
    sum = memops.csumPartial(skb.data + pos, n, sum);
    left -= n;
    if (left === 0) return sum;
    pos += n;
  }
  const shinfo = skb.shinfo;
  for (let i = 0; i < shinfo.nrFrags && left > 0; i++) {
    const end = start + (shinfo.fragSize[i] as number);
    if (pos < end) {
      const n = Math.min(end - pos, left);
      const part = memops.csumPartial(skbFragAddress(shinfo, i) + pos - start, n, 0);
      sum = csumBlockAdd(sum, part, pos - offset);
      left -= n;
      pos += n;
    }
    start = end;
  }
  for (let f = shinfo.fragList; f !== null && left > 0; f = f.next) {
    const end = start + f.len;
    if (pos < end) {
      const n = Math.min(end - pos, left);
      sum = csumBlockAdd(sum, skbChecksum(f, pos - start, n, 0), pos - offset);
      left -= n;
      pos += n;
    }
    start = end;
  }
  if (left !== 0) throw new KernelBug('skb-checksum-short', `packet ${skb.id} lacks ${left} bytes`);
  return sum;
}

/** Copies to address `to` and returns the wsum of what was copied. @kernel skb_copy_and_csum_bits net/core/skbuff.c */
export function skbCopyAndCsumBits(skb: SkBuff, offset: number, to: number, len: number): number {
  if (skbCopyBits(skb, offset, mem, to, len) !== 0) {
    throw new KernelBug('skb-copy-bits', `packet ${skb.id} is shorter than asked for`);
  }
  return memops.csumPartial(to, len, 0);
}

/** Copies the packet for a device that cannot sum: headers, then data with the sum filled in. @kernel skb_copy_and_csum_dev net/core/skbuff.c */
export function skbCopyAndCsumDev(skb: SkBuff, to: number): void {
  const csstart = skb.ipSummed === CHECKSUM_PARTIAL ? skb.csumStart - skb.data : skbHeadlen(skb);
  skbCopyBits(skb, 0, mem, to, csstart);
  if (csstart === skb.len) return;
  const csum = skbCopyAndCsumBits(skb, csstart, to + csstart, skb.len - csstart);
  if (skb.ipSummed === CHECKSUM_PARTIAL) {
    const folded = csumAdd(csum, 0) ^ 0xffff;
    mem[to + csstart + skb.csumOffset] = folded >>> 8;
    mem[to + csstart + skb.csumOffset + 1] = folded & 0xff;
  }
}
