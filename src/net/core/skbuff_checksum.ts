/**
 * Packets: checksum states. Counterpart of the checksum inlines of include/linux/skbuff.h, of
 * skb_checksum_help() and its relatives in net/core/dev.c and net/core/skbuff.c.
 *
 * Sums are those of lib/checksum.ts: big-endian words, folded. A pseudo header sum is passed as a
 * number where Linux passes a function that computes it.
 */
import {
  CHECKSUM_COMPLETE,
  CHECKSUM_NONE,
  CHECKSUM_PARTIAL,
  CHECKSUM_UNNECESSARY,
  type SkBuff,
  skbChecksumStartOffset,
  skbIsGso,
} from '#include/linux/skbuff.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { csumAdd, csumBlockAdd, csumBlockSub, csumFold } from '#lib/checksum.ts';
import { memops, view } from '#mm/memory.ts';
import { skbPull, skbPush } from '#net/core/skbuff.ts';
import { pskbTrim, skbEnsureWritable } from '#net/core/skbuff_copy.ts';
import { skbChecksum } from '#net/core/skbuff_data.ts';
import { EINVAL } from '#uapi/errno.ts';

/** Up to this length a COMPLETE sum is verified at once. @kernel CHECKSUM_BREAK include/linux/skbuff.h */
const CHECKSUM_BREAK = 76;
/** Deepest encapsulation of checksums that a device may have verified. */
const SKB_MAX_CSUM_LEVEL = 3;
/** @kernel CSUM_MANGLED_0 include/net/checksum.h */
export const CSUM_MANGLED_0 = 0xffff;

/** No one needs to verify this packet's checksum. @kernel skb_csum_unnecessary include/linux/skbuff.h */
export function skbCsumUnnecessary(skb: SkBuff): boolean {
  return (
    skb.ipSummed === CHECKSUM_UNNECESSARY ||
    skb.csumValid ||
    (skb.ipSummed === CHECKSUM_PARTIAL && skbChecksumStartOffset(skb) >= 0)
  );
}

/** One verified level is used up. @kernel __skb_decr_checksum_unnecessary include/linux/skbuff.h */
export function __skbDecrChecksumUnnecessary(skb: SkBuff): void {
  if (skb.ipSummed !== CHECKSUM_UNNECESSARY) return;
  if (skb.csumLevel === 0) skb.ipSummed = CHECKSUM_NONE;
  else skb.csumLevel--;
}

/** One more level has been verified. @kernel __skb_incr_checksum_unnecessary include/linux/skbuff.h */
export function __skbIncrChecksumUnnecessary(skb: SkBuff): void {
  if (skb.ipSummed === CHECKSUM_UNNECESSARY) {
    if (skb.csumLevel < SKB_MAX_CSUM_LEVEL) skb.csumLevel++;
  } else if (skb.ipSummed === CHECKSUM_NONE) {
    skb.ipSummed = CHECKSUM_UNNECESSARY;
    skb.csumLevel = 0;
  }
}

/** Sums the whole packet on top of `skb.csum`: 0 when right. @kernel __skb_checksum_complete net/core/skbuff.c */
export function __skbChecksumComplete(skb: SkBuff): number {
  const csum = skbChecksum(skb, 0, skb.len, 0);
  const sum = csumFold(csumAdd(skb.csum, csum));
  // A device whose COMPLETE sum was wrong while ours is right is broken; Linux logs it.
  if (skb.users === 1) {
    skb.csum = csum;
    skb.ipSummed = CHECKSUM_COMPLETE;
    skb.csumCompleteSw = true;
    skb.csumValid = sum === 0;
  }
  return sum;
}

/** The same over the first `len` bytes. @kernel __skb_checksum_complete_head net/core/skbuff.c */
export function __skbChecksumCompleteHead(skb: SkBuff, len: number): number {
  const sum = csumFold(skbChecksum(skb, 0, len, skb.csum));
  if (skb.users === 1) skb.csumValid = sum === 0;
  return sum;
}

/** 0 when the checksum is right or was verified before. @kernel skb_checksum_complete include/linux/skbuff.h */
export function skbChecksumComplete(skb: SkBuff): number {
  return skbCsumUnnecessary(skb) ? 0 : __skbChecksumComplete(skb);
}

/** @kernel __skb_checksum_validate_complete include/linux/skbuff.h */
function validateComplete(skb: SkBuff, complete: boolean, psum: number): number {
  if (skb.ipSummed === CHECKSUM_COMPLETE) {
    if (csumFold(csumAdd(psum, skb.csum)) === 0) {
      skb.csumValid = true;
      return 0;
    }
  }
  skb.csum = psum;
  if (complete || skb.len <= CHECKSUM_BREAK) {
    const csum = __skbChecksumComplete(skb);
    skb.csumValid = csum === 0;
    return csum;
  }
  return 0;
}

/**
 * Verifies, or prepares the verification of, the checksum of everything from `data` on. Nonzero:
 * wrong. `psum` is the pseudo header's sum; with `zeroOkay` a field `check` of 0 means no checksum.
 * @kernel __skb_checksum_validate include/linux/skbuff.h
 */
export function __skbChecksumValidate(
  skb: SkBuff,
  complete: boolean,
  zeroOkay: boolean,
  check: number,
  psum: number,
): number {
  skb.csumValid = false;
  const needed = !(skbCsumUnnecessary(skb) || (zeroOkay && check === 0));
  if (!needed) {
    skb.csumValid = true;
    __skbDecrChecksumUnnecessary(skb);
    return 0;
  }
  return validateComplete(skb, complete, psum);
}

/** Remembers the pseudo header; short packets are verified at once. @kernel skb_checksum_init include/linux/skbuff.h */
export function skbChecksumInit(skb: SkBuff, psum: number): number {
  return __skbChecksumValidate(skb, false, false, 0, psum);
}

/** The same where a field of 0 means no checksum. @kernel skb_checksum_init_zero_check include/linux/skbuff.h */
export function skbChecksumInitZeroCheck(skb: SkBuff, check: number, psum: number): number {
  return __skbChecksumValidate(skb, false, true, check, psum);
}

/** @kernel skb_checksum_validate include/linux/skbuff.h */
export function skbChecksumValidate(skb: SkBuff, psum: number): number {
  return __skbChecksumValidate(skb, true, false, 0, psum);
}

/** @kernel skb_checksum_validate_zero_check include/linux/skbuff.h */
export function skbChecksumValidateZeroCheck(skb: SkBuff, check: number, psum: number): number {
  return __skbChecksumValidate(skb, true, true, check, psum);
}

/** Without a pseudo header: ICMP. @kernel skb_checksum_simple_validate include/linux/skbuff.h */
export function skbChecksumSimpleValidate(skb: SkBuff): number {
  return __skbChecksumValidate(skb, true, false, 0, 0);
}

/** Takes bytes that were just pulled out of a COMPLETE sum. @kernel skb_postpull_rcsum include/linux/skbuff.h */
export function skbPostpullRcsum(skb: SkBuff, start: number, len: number): void {
  if (skb.ipSummed === CHECKSUM_COMPLETE) {
    skb.csum = csumBlockSub(skb.csum, memops.csumPartial(start, len, 0), 0);
  } else if (skb.ipSummed === CHECKSUM_PARTIAL && skbChecksumStartOffset(skb) < 0) {
    skb.ipSummed = CHECKSUM_NONE;
  }
}

/** Adds bytes that were just pushed to a COMPLETE sum. @kernel skb_postpush_rcsum include/linux/skbuff.h */
export function skbPostpushRcsum(skb: SkBuff, start: number, len: number): void {
  if (skb.ipSummed === CHECKSUM_COMPLETE) {
    skb.csum = csumBlockAdd(memops.csumPartial(start, len, 0), skb.csum, len);
  }
}

/** skbPull() that keeps a COMPLETE sum right. @kernel skb_pull_rcsum net/core/skbuff.c */
export function skbPullRcsum(skb: SkBuff, len: number): number {
  if (DEBUG && len > skb.len) throw new KernelBug('skb-pull-len', `${len} of ${skb.len}`);
  const start = skb.data;
  skbPull(skb, len);
  skbPostpullRcsum(skb, start, len);
  return skb.data;
}

/** @kernel skb_push_rcsum include/linux/skbuff.h */
export function skbPushRcsum(skb: SkBuff, len: number): number {
  skbPush(skb, len);
  skbPostpushRcsum(skb, skb.data, len);
  return skb.data;
}

/** Cuts to `len` and keeps the sum right. 0 or a negative errno. @kernel pskb_trim_rcsum include/linux/skbuff.h */
export function pskbTrimRcsum(skb: SkBuff, len: number): number {
  if (len >= skb.len) return 0;
  if (skb.ipSummed === CHECKSUM_COMPLETE) {
    const delta = skb.len - len;
    skb.csum = csumBlockSub(skb.csum, skbChecksum(skb, len, delta, 0), len);
  } else if (skb.ipSummed === CHECKSUM_PARTIAL) {
    const offset = skbChecksumStartOffset(skb) + skb.csumOffset;
    if (offset + 2 > len) return -EINVAL;
  }
  return pskbTrim(skb, len);
}

/** The sum of the headers in front of a partial checksum makes it complete. @kernel skb_checksum_help net/core/dev.c */
export function skbChecksumHelp(skb: SkBuff): number {
  if (skb.ipSummed === CHECKSUM_COMPLETE) {
    skb.ipSummed = CHECKSUM_NONE;
    return 0;
  }
  if (skbIsGso(skb)) return -EINVAL;
  const offset = skbChecksumStartOffset(skb);
  if (offset < 0 || offset >= skb.len - skb.dataLen || offset + skb.csumOffset + 2 > skb.len) {
    return -EINVAL;
  }
  const csum = skbChecksum(skb, offset, skb.len - offset, 0);
  const field = offset + skb.csumOffset;
  const err = skbEnsureWritable(skb, field + 2);
  if (err !== 0) return err;
  const folded = csumFold(csum);
  view.setUint16(skb.data + field, folded === 0 ? CSUM_MANGLED_0 : folded);
  skb.ipSummed = CHECKSUM_NONE;
  return 0;
}

/**
 * Sets up CHECKSUM_PARTIAL from outside values, offsets in bytes from `data`. False when they do not
 * fit the packet.
 * @kernel skb_partial_csum_set net/core/skbuff.c
 */
export function skbPartialCsumSet(skb: SkBuff, start: number, off: number): boolean {
  const csumEnd = start + off + 2;
  const headroom = skb.data - skb.head;
  if (csumEnd > skb.len - skb.dataLen || headroom + start >= 0xffff) return false;
  skb.ipSummed = CHECKSUM_PARTIAL;
  skb.csumStart = skb.data + start;
  skb.csumOffset = off;
  skb.transportHeader = skb.data + start;
  return true;
}
