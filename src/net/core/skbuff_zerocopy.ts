/**
 * Sending without copying: packets that refer to the user's memory, and the notices on the error
 * queue that it may be used again.
 *
 * Counterpart of the MSG_ZEROCOPY part of net/core/skbuff.c and of net/core/datagram.c. See
 * Documentation/networking/msg_zerocopy.rst. What a program has mapped (mm/mmap.ts) is referred to where
 * it lies. Its other memory is its own JavaScript heap, which no packet can refer to: those bytes are
 * moved once to pages that stand for the user's. All that can be seen from outside is as if they were:
 * one fragment a buffer, notices, and the second copy where a packet stays in the machine.
 */
import { SockExterrSkb, skbExtErr, skbSetExtErr } from '#include/linux/errqueue.ts';
import type { IovIter } from '#include/linux/net.ts';
import {
  MAX_SKB_FRAGS,
  SKBFL_DONT_ORPHAN,
  SKBFL_ZEROCOPY_FRAG,
  type SkBuff,
  skbFillPageDesc,
  skbShared,
  skbZcopyClear,
  skbZcopyPure,
  skbZcopySet,
  type UbufInfo,
} from '#include/linux/skbuff.ts';
import { __skbQueueTail } from '#include/linux/skbuff_queue.ts';
import { SOCK_DEAD, type Sock } from '#include/net/sock.ts';
import { KernelBug } from '#kernel/bug.ts';
import { mem } from '#mm/memory.ts';
import { isMapped } from '#mm/mmap.ts';
import { allocPages, getPage, pageRefcount, putPage, virtToHeadPage } from '#mm/page_alloc.ts';
import { copyFromIter, iovIterAdvance } from '#net/core/iov_iter.ts';
import { consumeSkb } from '#net/core/skbuff.ts';
import { skbUnclone } from '#net/core/skbuff_copy.ts';
import { skbCopyBits } from '#net/core/skbuff_data.ts';
import { skErrorReport, sockFlag, sockHold, sockOwnedByUser, sockPut } from '#net/core/sock.ts';
import { sockOmalloc } from '#net/core/sock_alloc.ts';
import { skMemCharge, skPageFragRefill, skWmemQueuedAdd } from '#net/core/sock_mem.ts';
import { EEXIST, EFAULT, EINVAL, EMSGSIZE, ENOMEM } from '#uapi/errno.ts';
import { SO_EE_CODE_ZEROCOPY_COPIED, SO_EE_ORIGIN_ZEROCOPY } from '#uapi/errqueue.ts';
import { SOCK_STREAM } from '#uapi/socket.ts';

const PAGE_SIZE = 4096;
/** Bytes of calls that share a notice: a few packets of the largest size. */
const BYTE_LIMIT = 1 << 19;
const USHRT_MAX = 0xffff;
/** Largest piece that skbCopyUbufs() allocates at once: a chunk of mm/page_alloc.ts. */
const COPY_CHUNK = 32768;

/** The memory of one call, or of several in a row. @kernel ubuf_info_msgzc include/linux/skbuff.h */
export class UbufInfoMsgzc implements UbufInfo {
  refcnt = 1;
  readonly flags: number = SKBFL_ZEROCOPY_FRAG | SKBFL_DONT_ORPHAN;
  readonly sk: Sock;
  /** Becomes the notice: there is room for it from the beginning. */
  skb: SkBuff | null;
  /** Number of the first call. */
  readonly id: number;
  /** Calls. */
  len = 1;
  bytelen: number;
  /** False once some of it had to be copied. */
  zerocopy = true;

  constructor(sk: Sock, skb: SkBuff, id: number, bytelen: number) {
    this.sk = sk;
    this.skb = skb;
    this.id = id;
    this.bytelen = bytelen;
  }

  /** One reference goes. @kernel msg_zerocopy_complete net/core/skbuff.c */
  complete(success: boolean): void {
    this.zerocopy = this.zerocopy && success;
    if (--this.refcnt === 0) msgZerocopyCallback(this);
  }
}

/** @kernel msg_zerocopy_alloc net/core/skbuff.c */
function msgZerocopyAlloc(sk: Sock, size: number): UbufInfoMsgzc | null {
  const skb = sockOmalloc(sk, 0);
  if (skb === null) return null;
  const id = sk.skZckey;
  sk.skZckey = (id + 1) | 0;
  sockHold(sk);
  return new UbufInfoMsgzc(sk, skb, id >>> 0, size);
}

/**
 * The state of a call of `size` bytes: that of the calls before (`uarg`, which the last packet refers
 * to) when the notice can be for both, else a new one. Null: no memory for notices.
 * @kernel msg_zerocopy_realloc net/core/skbuff.c
 */
export function msgZerocopyRealloc(
  sk: Sock,
  size: number,
  uarg: UbufInfo | null,
): UbufInfoMsgzc | null {
  if (uarg === null) return msgZerocopyAlloc(sk, size);
  if (!(uarg instanceof UbufInfoMsgzc)) return null;
  if (!sockOwnedByUser(sk)) throw new KernelBug('zerocopy-unlocked', 'the socket is not locked');
  const bytelen = uarg.bytelen + size;
  if (uarg.len === USHRT_MAX - 1 || bytelen > BYTE_LIMIT) {
    // A stream can go on with another packet.
    return sk.skType === SOCK_STREAM ? msgZerocopyAlloc(sk, size) : null;
  }
  if (((uarg.id + uarg.len) | 0) !== sk.skZckey) return msgZerocopyAlloc(sk, size);
  uarg.len++;
  uarg.bytelen = bytelen;
  sk.skZckey = (sk.skZckey + 1) | 0;
  if (sk.skType === SOCK_STREAM) uarg.refcnt++;
  return uarg;
}

/** The call sent nothing: its number is free again. @kernel msg_zerocopy_put_abort net/core/skbuff.c */
export function msgZerocopyPutAbort(uarg: UbufInfoMsgzc): void {
  const { sk } = uarg;
  sk.skZckey = (sk.skZckey - 1) | 0;
  uarg.len--;
  uarg.complete(true);
}

/** Makes the last notice on the queue one for more calls, if they follow. @kernel skb_zerocopy_notify_extend net/core/skbuff.c */
function notifyExtend(tail: SkBuff | null, lo: number, len: number): boolean {
  if (tail === null) return false;
  const ext = skbExtErr(tail);
  if (ext.eeOrigin !== SO_EE_ORIGIN_ZEROCOPY) return false;
  if (ext.eeData - ext.eeInfo + 1 + len >= 0x1_0000_0000) return false;
  if (lo !== (ext.eeData + 1) >>> 0) return false;
  ext.eeData = (ext.eeData + len) >>> 0;
  return true;
}

/** The last packet is gone: tells the sender. @kernel __msg_zerocopy_callback net/core/skbuff.c */
function msgZerocopyCallback(uarg: UbufInfoMsgzc): void {
  const { sk, skb } = uarg;
  if (skb === null) throw new KernelBug('zerocopy-refcount', 'a notice was given twice');
  uarg.skb = null;
  // With no calls left there was only one, which was aborted.
  if (uarg.len === 0 || sockFlag(sk, SOCK_DEAD)) {
    consumeSkb(skb, '__msg_zerocopy_callback');
    sockPut(sk);
    return;
  }
  const queue = sk.skErrorQueue;
  if (notifyExtend(queue.prev, uarg.id, uarg.len)) {
    consumeSkb(skb, '__msg_zerocopy_callback');
  } else {
    const ext = new SockExterrSkb();
    ext.eeOrigin = SO_EE_ORIGIN_ZEROCOPY;
    ext.eeInfo = uarg.id;
    ext.eeData = (uarg.id + uarg.len - 1) >>> 0;
    if (!uarg.zerocopy) ext.eeCode = SO_EE_CODE_ZEROCOPY_COPIED;
    skbSetExtErr(skb, ext);
    __skbQueueTail(queue, skb);
  }
  skErrorReport(sk);
  sockPut(sk);
}

/**
 * Fills descriptor `i` from the present buffer: bytes taken, -ENOMEM, or -EFAULT (it was given back).
 * What the program has mapped is referred to where it lies; what is its own is moved to a page that
 * stands for it.
 */
function addFrag(sk: Sock, skb: SkBuff, i: number, iter: IovIter, length: number): number {
  const left = Math.min(length, segmentLeft(iter));
  const buffer = iter.iov[iter.segment] as Uint8Array;
  if (isMapped(buffer)) {
    const addr = buffer.byteOffset + iter.offset;
    const page = virtToHeadPage(addr);
    if (pageRefcount(page) === 0) return -EFAULT;
    getPage(page);
    skbFillPageDesc(skb, i, page, addr - page, left);
    iovIterAdvance(iter, left);
    return left;
  }
  const pfrag = skPageFragRefill(sk);
  if (pfrag === null) return -ENOMEM;
  const n = Math.min(left, pfrag.size - pfrag.offset);
  copyFromIter(pfrag.page + pfrag.offset, n, iter);
  skbFillPageDesc(skb, i, pfrag.page, pfrag.offset, n);
  getPage(pfrag.page);
  pfrag.offset += n;
  return n;
}

/**
 * Takes up to `length` bytes of the user's as fragments: each buffer is one of its own. 0, -EMSGSIZE
 * when there are no descriptors left, -ENOMEM.
 * @kernel __zerocopy_sg_from_iter net/core/datagram.c
 */
function zerocopySgFromIter(sk: Sock, skb: SkBuff, iter: IovIter, length: number): number {
  let left = length;
  while (left > 0 && iter.count > 0) {
    const i = skb.shinfo.nrFrags;
    if (i === MAX_SKB_FRAGS) return -EMSGSIZE;
    const n = addFrag(sk, skb, i, iter, left);
    if (n < 0) return n;
    left -= n;
    // Linux counts the pages that the user's bytes lie in.
    const truesize = Math.ceil(n / PAGE_SIZE) * PAGE_SIZE;
    skb.len += n;
    skb.dataLen += n;
    skb.truesize += truesize;
    skWmemQueuedAdd(sk, truesize);
    if (!skbZcopyPure(skb)) skMemCharge(sk, truesize);
  }
  return 0;
}

/** Bytes of the present buffer that are left; moves over empty ones. */
function segmentLeft(iter: IovIter): number {
  for (;;) {
    const buffer = iter.iov[iter.segment] as Uint8Array;
    if (iter.offset < buffer.length) return Math.min(buffer.length - iter.offset, iter.count);
    iter.segment++;
    iter.offset = 0;
  }
}

/**
 * Appends up to `len` bytes of the user's to a stream's packet. Returns how many, -EMSGSIZE or
 * -EEXIST (the packet has another notice) when a new packet is needed, or -ENOMEM.
 * @kernel skb_zerocopy_iter_stream net/core/skbuff.c
 */
export function skbZerocopyIterStream(
  sk: Sock,
  skb: SkBuff,
  iter: IovIter,
  len: number,
  uarg: UbufInfo,
): number {
  const { destructorArg } = skb.shinfo;
  const before = skb.len;
  if (destructorArg !== null && destructorArg !== uarg) return -EEXIST;
  const err = zerocopySgFromIter(sk, skb, iter, len);
  if (err !== 0 && skb.len === before) return err;
  skbZcopySet(skb, uarg);
  return skb.len - before;
}

/** Copies the fragments to `pages`, pieces of COPY_CHUNK bytes. False when out of memory. */
function copyFrags(skb: SkBuff, total: number, pages: number[]): boolean {
  const headlen = skb.len - skb.dataLen;
  for (let at = 0; at < total; at += COPY_CHUNK) {
    const n = Math.min(COPY_CHUNK, total - at);
    const page = allocPages(n);
    if (page === 0) return false;
    pages.push(page);
    if (skbCopyBits(skb, headlen + at, mem, page, n) !== 0) {
      throw new KernelBug('skb-copy-bits', `packet ${skb.id} is shorter than its len`);
    }
  }
  return true;
}

/**
 * The packet stays in the machine for who knows how long: gives it pages of its own and the user's
 * back. 0 or a negative errno.
 * @kernel skb_copy_ubufs net/core/skbuff.c
 */
export function skbCopyUbufs(skb: SkBuff): number {
  if (skbShared(skb) || skbUnclone(skb) !== 0) return -EINVAL;
  const { shinfo } = skb;
  let total = 0;
  for (let i = 0; i < shinfo.nrFrags; i++) total += shinfo.fragSize[i] as number;
  const pages: number[] = [];
  if (!copyFrags(skb, total, pages)) {
    for (const page of pages) putPage(page);
    return -ENOMEM;
  }
  for (let i = 0; i < shinfo.nrFrags; i++) putPage(shinfo.fragPage[i] as number);
  shinfo.nrFrags = 0;
  for (const [i, page] of pages.entries()) {
    skbFillPageDesc(skb, i, page, 0, Math.min(COPY_CHUNK, total - i * COPY_CHUNK));
  }
  skbZcopyClear(skb, false);
  return 0;
}

/** Before a packet is given to a receiver. 0 or a negative errno. @kernel skb_orphan_frags_rx include/linux/skbuff.h */
export function skbOrphanFragsRx(skb: SkBuff): number {
  return skb.shinfo.destructorArg === null ? 0 : skbCopyUbufs(skb);
}
