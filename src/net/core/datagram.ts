/**
 * Receiving datagrams: taking packets from a socket's queue, copying them to the user with or without
 * verifying their checksum, and poll. Counterpart of net/core/datagram.c.
 *
 * Nothing here waits. An empty queue gives -EAGAIN; the user's library waits on the descriptor and
 * calls again.
 */

import type { IovIter, Msghdr, Socket } from '#include/linux/net.ts';
import { SOCKWQ_ASYNC_NOSPACE } from '#include/linux/net.ts';
import type { SkBuff, SkBuffHead } from '#include/linux/skbuff.ts';
import { CHECKSUM_COMPLETE, skbGet, skbHeadlen } from '#include/linux/skbuff.ts';
import { __skbUnlink } from '#include/linux/skbuff_queue.ts';
import type { Sock } from '#include/net/sock.ts';
import { RCV_SHUTDOWN, SHUTDOWN_MASK, SOCK_SELECT_ERR_QUEUE } from '#include/net/sock.ts';
import type { File, PollTable } from '#kernel/sched/file.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { csumBlockAdd, csumFold } from '#lib/checksum.ts';
import { memops } from '#mm/memory.ts';
import { skBusyLoop, skCanBusyLoop } from '#net/core/dev_busy_poll.ts';
import { copyFromIter, copyToIter, iovIterRevert } from '#net/core/iov_iter.ts';
import { consumeSkb, kfreeSkb } from '#net/core/skbuff.ts';
import { __skbChecksumComplete } from '#net/core/skbuff_checksum.ts';
import { sockError, sockFlag, sockWriteable } from '#net/core/sock.ts';
import { EAGAIN, EFAULT, EINVAL, ENOENT } from '#uapi/errno.ts';
import { SKB_DROP_REASON_NOT_SPECIFIED } from '#uapi/net_dropreason.ts';
import {
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLPRI,
  POLLRDHUP,
  POLLRDNORM,
  POLLWRBAND,
  POLLWRNORM,
} from '#uapi/poll.ts';
import { MSG_DONTWAIT, MSG_PEEK, SOCK_SEQPACKET, SOCK_STREAM } from '#uapi/socket.ts';
import { TCP_CLOSE, TCP_SYN_SENT } from '#uapi/tcp.ts';

/** @kernel connection_based net/core/datagram.c */
function connectionBased(sk: Sock): boolean {
  return sk.skType === SOCK_SEQPACKET || sk.skType === SOCK_STREAM;
}

/**
 * The first packet of the queue, taken off it unless MSG_PEEK. With a peek offset, packets that it
 * covers are passed over, and `skb.cb1` says where in the packet to begin; otherwise it is 0.
 * @kernel __skb_try_recv_from_queue net/core/datagram.c
 */
export function __skbTryRecvFromQueue(
  queue: SkBuffHead,
  flags: number,
  peekOff: number,
): SkBuff | null {
  let off = peekOff;
  for (let skb = queue.next; skb !== null; skb = skb.next) {
    if ((flags & MSG_PEEK) === 0) {
      __skbUnlink(skb, queue);
      skb.cb1 = off;
      return skb;
    }
    if (off >= skb.len && (off !== 0 || skb.peeked)) {
      off -= skb.len;
      continue;
    }
    // A packet of no octets is delivered once by a peek with an offset, then skipped.
    if (skb.len === 0) skb.peeked = true;
    skb.cb1 = off;
    return skbGet(skb);
  }
  return null;
}

/** Where the next peek begins; -1 set by SO_PEEK_OFF means "always at the start". @kernel sk_peek_offset include/net/sock.h */
export function skPeekOffset(sk: Sock, flags: number): number {
  return (flags & MSG_PEEK) !== 0 && sk.skPeekOff >= 0 ? sk.skPeekOff : 0;
}

/** @kernel sk_peek_offset_bwd include/net/sock.h */
export function skPeekOffsetBwd(sk: Sock, val: number): void {
  if (sk.skPeekOff >= 0) sk.skPeekOff = Math.max(sk.skPeekOff - val, 0);
}

/** @kernel sk_peek_offset_fwd include/net/sock.h */
export function skPeekOffsetFwd(sk: Sock, val: number): void {
  if (sk.skPeekOff >= 0) sk.skPeekOff += val;
}

/**
 * A packet from `queue`, a negative errno, or 0: the receiving side has been shut down and a caller
 * who would wait gets end of file instead.
 * @kernel __skb_recv_datagram net/core/datagram.c
 */
export function __skbRecvDatagram(
  sk: Sock,
  queue: SkBuffHead,
  flags: number,
  peekOff: number,
): SkBuff | number {
  const err = sockError(sk);
  if (err !== 0) return err;
  let skb = __skbTryRecvFromQueue(queue, flags, peekOff);
  if (skb !== null) return skb;
  if (skCanBusyLoop(sk)) {
    skBusyLoop(sk);
    skb = __skbTryRecvFromQueue(queue, flags, peekOff);
    if (skb !== null) return skb;
  }
  return (flags & MSG_DONTWAIT) === 0 && (sk.skShutdown & RCV_SHUTDOWN) !== 0 ? 0 : -EAGAIN;
}

/** @kernel skb_recv_datagram net/core/datagram.c */
export function skbRecvDatagram(sk: Sock, flags: number): SkBuff | number {
  return __skbRecvDatagram(sk, sk.skReceiveQueue, flags, 0);
}

/** @kernel skb_free_datagram net/core/datagram.c */
export function skbFreeDatagram(_sk: Sock, skb: SkBuff, location: string): void {
  consumeSkb(skb, location);
}

/**
 * Drops a packet that turned out bad after it was received; with MSG_PEEK it is still on the queue
 * and must go from there too. `destructor` gives back what the queue had charged.
 * @kernel __sk_queue_drop_skb net/core/datagram.c
 */
export function __skQueueDropSkb(
  sk: Sock,
  queue: SkBuffHead,
  skb: SkBuff,
  flags: number,
  destructor: ((skb: SkBuff) => void) | null,
): number {
  let err = 0;
  if ((flags & MSG_PEEK) !== 0) {
    err = -ENOENT;
    if (skb.list === queue) {
      __skbUnlink(skb, queue);
      destructor?.(skb);
      kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, '__sk_queue_drop_skb');
      err = 0;
    }
  }
  sk.skDrops++;
  return err;
}

/**
 * Copies `len` octets of the packet, from `offset` on, to the user.
 * @kernel skb_copy_datagram_iter net/core/datagram.c
 */
export function skbCopyDatagramIter(skb: SkBuff, offset: number, to: IovIter, len: number): number {
  if (tracepointKey.enabled) skb.machine.trace.skb.skbCopyDatagramIovec.probe?.(skb, len);
  return __skbDatagramIter(skb, offset, to, len);
}

/** @kernel __skb_datagram_iter net/core/datagram.c */
function __skbDatagramIter(skb: SkBuff, offset: number, to: IovIter, len: number): number {
  let off = offset;
  let left = len;
  let start = skbHeadlen(skb);
  if (off < start) {
    const n = Math.min(start - off, left);
    if (copyToIter(skb.data + off, n, to) !== n) return -EFAULT;
    left -= n;
    off += n;
  }
  const { shinfo } = skb;
  for (let i = 0; left > 0 && i < shinfo.nrFrags; i++) {
    const end = start + (shinfo.fragSize[i] as number);
    if (off < end) {
      const n = Math.min(end - off, left);
      const addr = (shinfo.fragPage[i] as number) + (shinfo.fragOffset[i] as number) + off - start;
      if (copyToIter(addr, n, to) !== n) return -EFAULT;
      left -= n;
      off += n;
    }
    start = end;
  }
  for (let frag = shinfo.fragList; left > 0 && frag !== null; frag = frag.next) {
    const end = start + frag.len;
    if (off < end) {
      const n = Math.min(end - off, left);
      const err = __skbDatagramIter(frag, off - start, to, n);
      if (err !== 0) return err;
      left -= n;
      off += n;
    }
    start = end;
  }
  return left === 0 ? 0 : -EFAULT;
}

/** @kernel skb_copy_datagram_msg include/linux/skbuff.h */
export function skbCopyDatagramMsg(skb: SkBuff, offset: number, msg: Msghdr, len: number): number {
  return skbCopyDatagramIter(skb, offset, msg.msgIter, len);
}

/**
 * Fills `len` octets of the packet, from `offset` on, from the user.
 * @kernel skb_copy_datagram_from_iter net/core/datagram.c
 */
export function skbCopyDatagramFromIter(
  skb: SkBuff,
  offset: number,
  from: IovIter,
  len: number,
): number {
  let off = offset;
  let left = len;
  let start = skbHeadlen(skb);
  if (off < start) {
    const n = Math.min(start - off, left);
    if (copyFromIter(skb.data + off, n, from) !== n) return -EFAULT;
    left -= n;
    off += n;
  }
  const { shinfo } = skb;
  for (let i = 0; left > 0 && i < shinfo.nrFrags; i++) {
    const end = start + (shinfo.fragSize[i] as number);
    if (off < end) {
      const n = Math.min(end - off, left);
      const addr = (shinfo.fragPage[i] as number) + (shinfo.fragOffset[i] as number) + off - start;
      if (copyFromIter(addr, n, from) !== n) return -EFAULT;
      left -= n;
      off += n;
    }
    start = end;
  }
  for (let frag = shinfo.fragList; left > 0 && frag !== null; frag = frag.next) {
    const end = start + frag.len;
    if (off < end) {
      const n = Math.min(end - off, left);
      const err = skbCopyDatagramFromIter(frag, off - start, from, n);
      if (err !== 0) return err;
      left -= n;
      off += n;
    }
    start = end;
  }
  return left === 0 ? 0 : -EFAULT;
}

/**
 * Copies everything from `offset` on and adds it to the wsum `sum`, which it returns; `pos` octets
 * have been summed before. -EFAULT when the user's room ends.
 * @kernel skb_copy_and_csum_datagram net/core/datagram.c
 */
function skbCopyAndCsumDatagram(
  skb: SkBuff,
  offset: number,
  to: IovIter,
  sum: number,
  pos: number,
): number {
  let off = offset;
  let csum = sum;
  let at = pos;
  let start = skbHeadlen(skb);
  if (off < start) {
    const n = start - off;
    csum = csumBlockAdd(csum, memops.csumPartial(skb.data + off, n, 0), at);
    if (copyToIter(skb.data + off, n, to) !== n) return -EFAULT;
    off += n;
    at += n;
  }
  const { shinfo } = skb;
  for (let i = 0; i < shinfo.nrFrags; i++) {
    const end = start + (shinfo.fragSize[i] as number);
    if (off < end) {
      const n = end - off;
      const addr = (shinfo.fragPage[i] as number) + (shinfo.fragOffset[i] as number) + off - start;
      csum = csumBlockAdd(csum, memops.csumPartial(addr, n, 0), at);
      if (copyToIter(addr, n, to) !== n) return -EFAULT;
      off += n;
      at += n;
    }
    start = end;
  }
  for (let frag = shinfo.fragList; frag !== null; frag = frag.next) {
    const end = start + frag.len;
    if (off < end) {
      csum = skbCopyAndCsumDatagram(frag, off - start, to, csum, at);
      if (csum < 0) return csum;
      at += end - off;
      off = end;
    }
    start = end;
  }
  return csum;
}

/**
 * Copies everything behind the first `hlen` octets to the user and verifies the transport checksum on
 * the way. `skb.csum` holds the pseudo header. -EINVAL: the checksum is wrong, nothing was given out.
 * @kernel skb_copy_and_csum_datagram_msg net/core/datagram.c
 */
export function skbCopyAndCsumDatagramMsg(skb: SkBuff, hlen: number, msg: Msghdr): number {
  const chunk = skb.len - hlen;
  if (chunk === 0) return 0;
  const { msgIter } = msg;
  if (msgIter.count < chunk) {
    if (__skbChecksumComplete(skb) !== 0) return -EINVAL;
    return skbCopyDatagramMsg(skb, hlen, msg, msgIter.count);
  }
  const before = msgIter.count;
  const base = memops.csumPartial(skb.data, hlen, skb.csum);
  const csum = skbCopyAndCsumDatagram(skb, hlen, msgIter, base, hlen);
  if (csum < 0) {
    iovIterRevert(msgIter, before - msgIter.count);
    return csum;
  }
  if (csumFold(csum) !== 0) {
    iovIterRevert(msgIter, before - msgIter.count);
    return -EINVAL;
  }
  if (skb.ipSummed === CHECKSUM_COMPLETE && !skb.csumCompleteSw) skb.csumCompleteSw = true;
  return 0;
}

/**
 * Poll mask of a datagram socket.
 * @kernel datagram_poll net/core/datagram.c
 */
export function datagramPoll(_file: File | null, sock: Socket, wait: PollTable | null): number {
  const sk = sock.sk as Sock;
  wait?.queue(sock.wq);
  let mask = 0;
  if (sk.skErr !== 0 || !sk.skErrorQueueEmpty) {
    mask |= POLLERR;
    if (sockFlag(sk, SOCK_SELECT_ERR_QUEUE)) mask |= POLLPRI;
  }
  if ((sk.skShutdown & RCV_SHUTDOWN) !== 0) mask |= POLLRDHUP | POLLIN | POLLRDNORM;
  if (sk.skShutdown === SHUTDOWN_MASK) mask |= POLLHUP;
  if (sk.skReceiveQueue.next !== null) mask |= POLLIN | POLLRDNORM;
  if (connectionBased(sk)) {
    if (sk.skcState === TCP_CLOSE) mask |= POLLHUP;
    if (sk.skcState === TCP_SYN_SENT) return mask;
  }
  if (sockWriteable(sk)) mask |= POLLOUT | POLLWRNORM | POLLWRBAND;
  else sock.flags |= 1 << SOCKWQ_ASYNC_NOSPACE;
  return mask;
}
