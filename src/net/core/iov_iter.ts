/**
 * Moving octets between users' buffers and packet memory. Counterpart of lib/iov_iter.c.
 *
 * An IovIter walks a list of Uint8Arrays. A buffer that was itself taken from packet memory is copied
 * inside the arena. None of these can fault in the middle: a short result means that the iterator
 * ended.
 */
import type { IovIter } from '#include/linux/net.ts';
import { mem, memops } from '#mm/memory.ts';
import { EFAULT } from '#uapi/errno.ts';

/** Below this many octets a loop beats the creation of a view. */
const SMALL_COPY = 48;

/** Starts at the first octet of `iov`, of which `count` octets are to be used. @kernel iov_iter_init lib/iov_iter.c */
export function iovIterInit(iter: IovIter, iov: readonly Uint8Array[], count: number): void {
  iter.iov = iov;
  iter.segment = 0;
  iter.offset = 0;
  iter.count = count;
}

/** @kernel iov_iter_count include/linux/uio.h */
export function iovIterCount(iter: IovIter): number {
  return iter.count;
}

/** @kernel iov_iter_truncate include/linux/uio.h */
export function iovIterTruncate(iter: IovIter, count: number): void {
  if (iter.count > count) iter.count = count;
}

/** Skips octets as if they had been copied. @kernel iov_iter_advance lib/iov_iter.c */
export function iovIterAdvance(iter: IovIter, bytes: number): void {
  let left = Math.min(bytes, iter.count);
  iter.count -= left;
  while (left > 0) {
    const room = (iter.iov[iter.segment] as Uint8Array).length - iter.offset;
    if (left < room) {
      iter.offset += left;
      return;
    }
    left -= room;
    iter.segment++;
    iter.offset = 0;
  }
}

/** Takes back the last `bytes` octets. @kernel iov_iter_revert lib/iov_iter.c */
export function iovIterRevert(iter: IovIter, bytes: number): void {
  let left = bytes;
  iter.count += left;
  while (left > 0) {
    if (iter.offset >= left) {
      iter.offset -= left;
      return;
    }
    left -= iter.offset;
    iter.segment--;
    iter.offset = (iter.iov[iter.segment] as Uint8Array).length;
  }
}

/** Octets of the present segment that may be copied now; moves over exhausted and empty segments. */
function segmentRoom(iter: IovIter): number {
  while (iter.segment < iter.iov.length) {
    const room = (iter.iov[iter.segment] as Uint8Array).length - iter.offset;
    if (room > 0) return Math.min(room, iter.count);
    iter.segment++;
    iter.offset = 0;
  }
  return 0;
}

function copyOut(addr: number, to: Uint8Array, off: number, n: number): void {
  if (n <= SMALL_COPY) for (let i = 0; i < n; i++) to[off + i] = mem[addr + i] as number;
  else if (to.buffer === mem.buffer) mem.copyWithin(to.byteOffset + off, addr, addr + n);
  else to.set(mem.subarray(addr, addr + n), off);
}

function copyIn(addr: number, from: Uint8Array, off: number, n: number): void {
  if (n <= SMALL_COPY) for (let i = 0; i < n; i++) mem[addr + i] = from[off + i] as number;
  else if (from.buffer === mem.buffer) {
    const src = from.byteOffset + off;
    mem.copyWithin(addr, src, src + n);
  } else mem.set(off === 0 && n === from.length ? from : from.subarray(off, off + n), addr);
}

/** Copies packet memory to the user; returns the octets copied. @kernel copy_to_iter include/linux/uio.h */
export function copyToIter(addr: number, bytes: number, iter: IovIter): number {
  let done = 0;
  while (done < bytes) {
    const n = Math.min(segmentRoom(iter), bytes - done);
    if (n === 0) break;
    copyOut(addr + done, iter.iov[iter.segment] as Uint8Array, iter.offset, n);
    iter.offset += n;
    iter.count -= n;
    done += n;
  }
  return done;
}

/** Copies from the user to packet memory; returns the octets copied. @kernel copy_from_iter include/linux/uio.h */
export function copyFromIter(addr: number, bytes: number, iter: IovIter): number {
  let done = 0;
  while (done < bytes) {
    const n = Math.min(segmentRoom(iter), bytes - done);
    if (n === 0) break;
    copyIn(addr + done, iter.iov[iter.segment] as Uint8Array, iter.offset, n);
    iter.offset += n;
    iter.count -= n;
    done += n;
  }
  return done;
}

/** All or nothing. @kernel copy_from_iter_full include/linux/uio.h */
export function copyFromIterFull(addr: number, bytes: number, iter: IovIter): boolean {
  const n = copyFromIter(addr, bytes, iter);
  if (n === bytes) return true;
  iovIterRevert(iter, n);
  return false;
}

/**
 * Copies from the user and adds the octets to a wsum, which it returns; -EFAULT when the user has
 * fewer. The first octet copied counts as even. @kernel csum_and_copy_from_iter_full include/net/checksum.h
 */
export function csumAndCopyFromIter(
  addr: number,
  bytes: number,
  sum: number,
  iter: IovIter,
): number {
  if (!copyFromIterFull(addr, bytes, iter)) return -EFAULT;
  return memops.csumPartial(addr, bytes, sum);
}

/** Copies octets that are not in packet memory to the user. For control data and small texts. */
export function copyBytesToIter(from: Uint8Array, bytes: number, iter: IovIter): number {
  let done = 0;
  while (done < bytes) {
    const n = Math.min(segmentRoom(iter), bytes - done);
    if (n === 0) break;
    const to = iter.iov[iter.segment] as Uint8Array;
    for (let i = 0; i < n; i++) to[iter.offset + i] = from[done + i] as number;
    iter.offset += n;
    iter.count -= n;
    done += n;
  }
  return done;
}

/** Copies from the user to octets that are not in packet memory: netlink messages, control data. */
export function copyBytesFromIter(to: Uint8Array, bytes: number, iter: IovIter): number {
  let done = 0;
  while (done < bytes) {
    const n = Math.min(segmentRoom(iter), bytes - done);
    if (n === 0) break;
    const from = iter.iov[iter.segment] as Uint8Array;
    for (let i = 0; i < n; i++) to[done + i] = from[iter.offset + i] as number;
    iter.offset += n;
    iter.count -= n;
    done += n;
  }
  return done;
}
