/**
 * Writing to a connection: the user's bytes become packets of up to 64 KB in the write queue.
 *
 * Counterpart of tcp_sendmsg_locked and its helpers in net/ipv4/tcp.c. RFC 9293#3.9.1.2. The bytes are
 * copied once, into the page the socket is filling; packets only refer to pieces of such pages, so
 * that segmentation and retransmission copy nothing.
 */

import type { IovIter, Msghdr } from '#include/linux/net.ts';
import { SOCKWQ_ASYNC_NOSPACE } from '#include/linux/net.ts';
import { NETIF_F_SG } from '#include/linux/netdev_features.ts';
import {
  __skbHeaderRelease,
  MAX_SKB_FRAGS,
  SKBFL_PURE_ZEROCOPY,
  type SkBuff,
  skbCanCoalesce,
  skbEndOffset,
  skbFillPageDesc,
  skbFragSizeAdd,
  skbZcopyPure,
} from '#include/linux/skbuff.ts';
import {
  TCP_CHRONO_BUSY,
  TCP_CHRONO_SNDBUF_LIMITED,
  type TcpSock,
  TSQ_THROTTLED,
} from '#include/linux/tcp.ts';
import { netIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import { SEND_SHUTDOWN, SOCK_ZEROCOPY } from '#include/net/sock.ts';
import {
  TCP_NAGLE_CORK,
  TCP_NAGLE_PUSH,
  TCPCB_REPAIRED,
  TCPHDR_ACK,
  TCPHDR_PSH,
  tcpSk,
} from '#include/net/tcp.ts';
import type { FastopenOut } from '#include/net/tcp_fastopen_ops.ts';
import { tcpSendmsgFastopen, tcpWantsFastopen } from '#include/net/tcp_fastopen_ops.ts';
import { tcpPassiveFastopen } from '#include/net/tcp_inlines.ts';
import {
  skbRbLast,
  tcpRtxAndWriteQueuesEmpty,
  tcpRtxQueueEmpty,
  tcpSendHead,
  tcpSkbCanCollapseTo,
  tcpSkbPcountSet,
  tcpWriteQueueEmpty,
  tcpWriteQueueTail,
} from '#include/net/tcp_queue.ts';
import { DEBUG } from '#kernel/config.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { after } from '#lib/tcp_seq.ts';
import { getPage } from '#mm/page_alloc.ts';
import { copyFromIter } from '#net/core/iov_iter.ts';
import { skbTruesize } from '#net/core/skbuff.ts';
import { sockTxTimestamp } from '#net/core/skbuff_tstamp.ts';
import {
  msgZerocopyPutAbort,
  msgZerocopyRealloc,
  skbZerocopyIterStream,
  type UbufInfoMsgzc,
} from '#net/core/skbuff_zerocopy.ts';
import {
  lockSock,
  releaseSock,
  skFlushBacklog,
  skSetNospace,
  sockFlag,
  sockOwnedByMe,
} from '#net/core/sock.ts';
import {
  SOF_TIMESTAMPING_TX_RECORD_MASK,
  type SockcmCookie,
  sockCmsgSend,
  sockcmInit,
} from '#net/core/sock_alloc.ts';
import {
  skMemCharge,
  skPageFragRefill,
  skWmemQueuedAdd,
  skWmemSchedule,
} from '#net/core/sock_mem.ts';
import {
  skStreamError,
  skStreamMemoryFree,
  skStreamWaitConnect,
  skStreamWaitMemory,
} from '#net/core/stream.ts';
import { tcpSendRcvq } from '#net/ipv4/tcp_input_data.ts';
import { tcpAddWriteQueueTail } from '#net/ipv4/tcp_output.ts';
import { tcpChronoStop } from '#net/ipv4/tcp_output_chrono.ts';
import { tcpUnlinkWriteQueue } from '#net/ipv4/tcp_output_frag.ts';
import { tcpBoundToHalfWnd, tcpCurrentMss } from '#net/ipv4/tcp_output_mss.ts';
import {
  __tcpPushPendingFrames,
  tcpPushOne,
  tcpSlowStartAfterIdleCheck,
} from '#net/ipv4/tcp_output_xmit.ts';
import { tcpRateCheckAppLimited } from '#net/ipv4/tcp_rate.ts';
import { tcpStreamAllocSkb, tcpWmemFreeSkb, tcpWmemSchedule } from '#net/ipv4/tcp_state.ts';
import {
  EAGAIN,
  EEXIST,
  EFAULT,
  EINPROGRESS,
  EINVAL,
  EMSGSIZE,
  ENOBUFS,
  EPIPE,
} from '#uapi/errno.ts';
import { SOF_TIMESTAMPING_TX_ACK } from '#uapi/net_tstamp.ts';
import { LINUX_MIB_TCPAUTOCORKING } from '#uapi/snmp.ts';
import { MSG_EOR, MSG_MORE, MSG_OOB, MSG_ZEROCOPY } from '#uapi/socket.ts';
import { TCP_NO_QUEUE, TCP_RECV_QUEUE, TCPF_CLOSE_WAIT, TCPF_ESTABLISHED } from '#uapi/tcp.ts';

/** Packets made between two looks at the backlog. */
const BACKLOG_INTERVAL = 16;

// appendData(): why nothing was appended.
const NO_SPACE = 0;
const NO_FRAGS = -1;
const FAULT = -2;

/** @kernel tcp_mark_push net/ipv4/tcp.c */
function tcpMarkPush(tp: TcpSock, skb: SkBuff): void {
  skb.tcpCb.tcpFlags |= TCPHDR_PSH;
  tp.pushedSeq = tp.writeSeq;
}

/** Asks for stamps of the last byte written. @kernel tcp_tx_timestamp net/ipv4/tcp.c */
function tcpTxTimestamp(sk: Sock, tsflags: number): void {
  if (tsflags === 0) return;
  const skb = tcpWriteQueueTail(sk) ?? skbRbLast(tcpSk(sk).rtxQueue);
  if (skb === null) return;
  const { shinfo, tcpCb } = skb;
  shinfo.txFlags |= sockTxTimestamp(tsflags);
  if ((tsflags & SOF_TIMESTAMPING_TX_ACK) !== 0) tcpCb.txstampAck = true;
  if ((tsflags & SOF_TIMESTAMPING_TX_RECORD_MASK) !== 0) {
    shinfo.tskey = (tcpCb.seq + skb.len - 1) | 0;
  }
}

/** More than half of the peer's window is written and not pushed. @kernel forced_push net/ipv4/tcp.c */
function forcedPush(tp: TcpSock): boolean {
  return after(tp.writeSeq, (tp.pushedSeq + (tp.maxWindow >>> 1)) | 0);
}

/** Puts an empty packet at the end of the write queue. @kernel tcp_skb_entail net/ipv4/tcp.c */
export function tcpSkbEntail(sk: Sock, skb: SkBuff): void {
  const tp = tcpSk(sk);
  const tcb = skb.tcpCb;
  tcb.seq = tp.writeSeq;
  tcb.endSeq = tp.writeSeq;
  tcb.tcpFlags = TCPHDR_ACK;
  __skbHeaderRelease(skb);
  tcpAddWriteQueueTail(sk, skb);
  skWmemQueuedAdd(sk, skb.truesize);
  skMemCharge(sk, skb.truesize);
  tp.nonagle &= ~TCP_NAGLE_PUSH;
  tcpSlowStartAfterIdleCheck(sk);
}

/** Better let a small packet grow while earlier ones wait in the device? @kernel tcp_should_autocork net/ipv4/tcp.c */
function tcpShouldAutocork(sk: Sock, skb: SkBuff, sizeGoal: number): boolean {
  return (
    skb.len < sizeGoal &&
    sk.net.ipv4.sysctlTcpAutocorking !== 0 &&
    !tcpRtxQueueEmpty(sk) &&
    sk.skWmemAlloc > skb.truesize &&
    tcpSkbCanCollapseTo(skb)
  );
}

/** Sends what has been written, as far as may be. @kernel tcp_push net/ipv4/tcp.c */
export function tcpPush(
  sk: Sock,
  flags: number,
  mssNow: number,
  nonagle: number,
  sizeGoal: number,
): void {
  const tp = tcpSk(sk);
  const skb = tcpWriteQueueTail(sk);
  if (skb === null) return;
  if ((flags & MSG_MORE) === 0 || forcedPush(tp)) tcpMarkPush(tp, skb);
  if ((flags & MSG_OOB) !== 0) tp.sndUp = tp.writeSeq;
  if (tcpShouldAutocork(sk, skb, sizeGoal)) {
    if ((tp.tsqFlags & (1 << TSQ_THROTTLED)) === 0) {
      netIncStats(sk.net, LINUX_MIB_TCPAUTOCORKING);
      tp.tsqFlags |= 1 << TSQ_THROTTLED;
    }
    return;
  }
  __tcpPushPendingFrames(sk, mssNow, (flags & MSG_MORE) !== 0 ? TCP_NAGLE_CORK : nonagle);
}

/** Bytes to gather in one packet: whole segments. @kernel tcp_xmit_size_goal net/ipv4/tcp.c */
export function tcpXmitSizeGoal(sk: Sock, mssNow: number, largeAllowed: boolean): number {
  if (!largeAllowed) return mssNow;
  const tp = tcpSk(sk);
  const newSizeGoal = tcpBoundToHalfWnd(tp, sk.skGsoMaxSize);
  let sizeGoal = tp.gsoSegs * mssNow;
  if (newSizeGoal < sizeGoal || newSizeGoal >= sizeGoal + mssNow) {
    tp.gsoSegs = Math.min(Math.floor(newSizeGoal / mssNow), sk.skGsoMaxSegs);
    sizeGoal = tp.gsoSegs * mssNow;
  }
  return Math.max(sizeGoal, mssNow);
}

/** Takes off a packet that got no data after all. @kernel tcp_remove_empty_skb net/ipv4/tcp.c */
export function tcpRemoveEmptySkb(sk: Sock): void {
  const skb = tcpWriteQueueTail(sk);
  if (skb === null || skb.tcpCb.seq !== skb.tcpCb.endSeq) return;
  tcpUnlinkWriteQueue(skb, sk);
  if (tcpWriteQueueEmpty(sk)) tcpChronoStop(sk, TCP_CHRONO_BUSY);
  tcpWmemFreeSkb(sk, skb);
}

/** Charges what was not while all was the user's own. @kernel tcp_downgrade_zcopy_pure net/ipv4/tcp.c */
function tcpDowngradeZcopyPure(sk: Sock, skb: SkBuff): boolean {
  const extra = skb.truesize - skbTruesize(skbEndOffset(skb));
  if (!skWmemSchedule(sk, extra)) return false;
  skMemCharge(sk, extra);
  skb.shinfo.flags &= ~SKBFL_PURE_ZEROCOPY;
  return true;
}

/** Appends up to `want` bytes of the user's without a copy. Returns how many, or why none. */
function appendZerocopy(
  sk: Sock,
  skb: SkBuff,
  iter: IovIter,
  want: number,
  uarg: UbufInfoMsgzc,
): number {
  if (skb.len === 0) skb.shinfo.flags |= SKBFL_PURE_ZEROCOPY;
  const copy = skbZcopyPure(skb) ? want : tcpWmemSchedule(sk, want);
  if (copy === 0) return NO_SPACE;
  const n = skbZerocopyIterStream(sk, skb, iter, copy, uarg);
  if (n > 0) return n;
  if (n === -EFAULT) return FAULT;
  return n === -EMSGSIZE || n === -EEXIST ? NO_FRAGS : NO_SPACE;
}

/** Copies up to `want` bytes behind `skb`. Returns how many, or why none. */
function appendData(sk: Sock, skb: SkBuff, iter: IovIter, want: number): number {
  if (skbZcopyPure(skb) && !tcpDowngradeZcopyPure(sk, skb)) return NO_SPACE;
  const pfrag = skPageFragRefill(sk);
  if (pfrag === null) return NO_SPACE;
  const { page, offset } = pfrag;
  const { shinfo } = skb;
  const i = shinfo.nrFrags;
  const merge = skbCanCoalesce(skb, i, page, offset);
  if (!merge && i >= MAX_SKB_FRAGS) return NO_FRAGS;
  const copy = tcpWmemSchedule(sk, Math.min(want, pfrag.size - offset));
  if (copy === 0) return NO_SPACE;
  if (copyFromIter(page + offset, copy, iter) !== copy) return FAULT;
  skb.len += copy;
  skb.dataLen += copy;
  skb.truesize += copy;
  skWmemQueuedAdd(sk, copy);
  skMemCharge(sk, copy);
  if (merge) {
    skbFragSizeAdd(shinfo, i - 1, copy);
  } else {
    skbFillPageDesc(skb, i, page, offset, copy);
    getPage(page);
  }
  pfrag.offset += copy;
  return copy;
}

/** A new packet at the tail; null: the buffer is full, or there is no memory. */
function newSegment(sk: Sock): SkBuff | null {
  if (!skStreamMemoryFree(sk)) return null;
  // The first packet is granted always, so that a connection can go on under pressure.
  const skb = tcpStreamAllocSkb(sk, tcpRtxAndWriteQueuesEmpty(sk));
  if (skb === null) return null;
  tcpSkbEntail(sk, skb);
  // What was sent once already tells nothing of the round trip.
  if (tcpSk(sk).repair) skb.tcpCb.sacked |= TCPCB_REPAIRED;
  return skb;
}

/** Is the connection in a state to write? 0 or a negative errno. */
function prepare(sk: Sock, msg: Msghdr, sockc: SockcmCookie | null): number {
  tcpRateCheckAppLimited(sk);
  // A passive Fast Open may be written to before its handshake is complete.
  const open = ((1 << sk.skcState) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT)) !== 0;
  if (!open && !tcpPassiveFastopen(sk)) {
    const err = skStreamWaitConnect(sk);
    if (err !== 0) return err;
  }
  if (sockc !== null) {
    sockcmInit(sockc, sk);
    const err = sockCmsgSend(sk, msg, sockc);
    if (err !== 0) return err;
  }
  if (sk.skSocket !== null) sk.skSocket.flags &= ~(1 << SOCKWQ_ASYNC_NOSPACE);
  return failed(sk);
}

/** -EPIPE once there is an error or our direction is shut. */
function failed(sk: Sock): number {
  return sk.skErr !== 0 || (sk.skShutdown & SEND_SHUTDOWN) !== 0 ? -EPIPE : 0;
}

/** The end of a call that wrote nothing. */
function sendError(sk: Sock, flags: number, error: number): number {
  tcpRemoveEmptySkb(sk);
  const err = skStreamError(sk, flags, error);
  // Edge-triggered pollers must hear of room when nothing is in flight that would tell them.
  if (err === -EAGAIN && tcpRtxAndWriteQueuesEmpty(sk)) {
    sk.skWriteSpace(sk);
    tcpChronoStop(sk, TCP_CHRONO_SNDBUF_LIMITED);
  }
  return err;
}

/** No room: sends what there is and waits. 0: there is room now. */
function waitForSpace(
  sk: Sock,
  flags: number,
  copied: number,
  mssNow: number,
  goal: number,
): number {
  skSetNospace(sk);
  tcpRemoveEmptySkb(sk);
  if (copied !== 0) tcpPush(sk, flags & ~MSG_MORE, mssNow, TCP_NAGLE_PUSH, goal);
  if (!skStreamMemoryFree(sk)) return skStreamWaitMemory(sk);
  // The machine is out of packet memory. ACKs of what is in flight will free some.
  const err = failed(sk);
  if (err !== 0) return err;
  return tcpRtxAndWriteQueuesEmpty(sk) ? -ENOBUFS : -EAGAIN;
}

/**
 * Writes the message. Returns bytes taken, fewer than asked when the buffer is full; -EAGAIN when not
 * one could be.
 * @kernel tcp_sendmsg_locked net/ipv4/tcp.c
 * @deviation never sleeps.
 */
export function tcpSendmsgLocked(sk: Sock, msg: Msghdr): number {
  if (DEBUG) sockOwnedByMe(sk, 'tcp_sendmsg_locked');
  const { count } = msg.msgIter;
  if ((msg.msgFlags & MSG_ZEROCOPY) === 0 || count === 0 || !sockFlag(sk, SOCK_ZEROCOPY)) {
    return sendLocked(sk, msg, null, null);
  }
  const tail = tcpWriteQueueTail(sk);
  const uarg = msgZerocopyRealloc(sk, count, tail !== null ? tail.shinfo.destructorArg : null);
  if (uarg === null) return sendError(sk, msg.msgFlags, -ENOBUFS);
  // A device that cannot gather wants the bytes in one piece.
  const gathers = (sk.skRouteCaps & NETIF_F_SG) !== 0;
  if (!gathers) uarg.zerocopy = false;
  const ret = sendLocked(sk, msg, uarg, gathers ? uarg : null);
  if (ret > 0) uarg.complete(true);
  else msgZerocopyPutAbort(uarg);
  return ret;
}

/**
 * Copies the bytes, or refers to them on behalf of `zc`; the first of them perhaps with the SYN, which
 * counts for `uarg` though it is a copy.
 */
function sendLocked(
  sk: Sock,
  msg: Msghdr,
  uarg: UbufInfoMsgzc | null,
  zc: UbufInfoMsgzc | null,
): number {
  const flags = msg.msgFlags;
  if (!tcpWantsFastopen(tcpSk(sk), flags)) return writeQueue(sk, msg, 0, zc);
  const out: FastopenOut = { copied: 0 };
  const err = tcpSendmsgFastopen(sk, msg, out, uarg);
  if (err === -EINPROGRESS && out.copied > 0) return out.copied;
  if (err !== 0) return sendError(sk, flags, err);
  const n = writeQueue(sk, msg, out.copied, zc);
  return n < 0 ? n : n + out.copied;
}

/** What did not go with the SYN (`copiedSyn` bytes did, so that errors wait for the next call). */
function writeQueue(sk: Sock, msg: Msghdr, copiedSyn: number, zc: UbufInfoMsgzc | null): number {
  const tp = tcpSk(sk);
  const flags = msg.msgFlags;
  const iter = msg.msgIter;
  const trace = sk.net.machine.trace.tcp.tcpSendmsgLocked;
  const sockc =
    msg.msgControllen !== 0
      ? { transmitTime: 0, mark: 0, tsflags: 0, tsOptId: 0, priority: 0 }
      : null;
  let err = prepare(sk, msg, sockc);
  if (err !== 0) return copiedSyn !== 0 ? 0 : sendError(sk, flags, err);
  if (tp.repair) {
    if (tp.repairQueue === TCP_RECV_QUEUE) return tcpSendRcvq(sk, msg, iter.count);
    if (tp.repairQueue === TCP_NO_QUEUE) return sendError(sk, flags, -EINVAL);
  }
  let copied = 0;
  let made = 0;
  let full = false;
  let mssNow = tcpCurrentMss(sk);
  let sizeGoal = tcpXmitSizeGoal(sk, mssNow, (flags & MSG_OOB) === 0);
  while (iter.count > 0) {
    let skb = tcpWriteQueueTail(sk);
    let copy = skb !== null ? sizeGoal - skb.len : 0;
    if (tracepointKey.enabled) trace.probe?.(sk, iter.count, skb, sizeGoal);
    if (skb === null || copy <= 0 || full || !tcpSkbCanCollapseTo(skb)) {
      full = false;
      if (made >= BACKLOG_INTERVAL) {
        // ACKs that came while we hold the socket may have made room and changed the MSS.
        made = 0;
        if (skFlushBacklog(sk)) {
          err = failed(sk);
          if (err !== 0) break;
          mssNow = tcpCurrentMss(sk);
          sizeGoal = tcpXmitSizeGoal(sk, mssNow, (flags & MSG_OOB) === 0);
          continue;
        }
      }
      skb = newSegment(sk);
      made++;
      copy = sizeGoal;
    }
    const want = Math.min(copy, iter.count);
    let n = NO_SPACE;
    if (skb !== null) {
      n = zc !== null ? appendZerocopy(sk, skb, iter, want, zc) : appendData(sk, skb, iter, want);
    }
    if (n === NO_FRAGS) {
      tcpMarkPush(tp, skb!);
      full = true;
      continue;
    }
    if (skb === null || n <= 0) {
      err = n === FAULT ? -EFAULT : waitForSpace(sk, flags, copied, mssNow, sizeGoal);
      if (err !== 0) break;
      mssNow = tcpCurrentMss(sk);
      sizeGoal = tcpXmitSizeGoal(sk, mssNow, (flags & MSG_OOB) === 0);
      continue;
    }
    if (copied === 0) skb.tcpCb.tcpFlags &= ~TCPHDR_PSH;
    tp.writeSeq = (tp.writeSeq + n) | 0;
    skb.tcpCb.endSeq = (skb.tcpCb.endSeq + n) | 0;
    tcpSkbPcountSet(skb, 0);
    copied += n;
    if (iter.count === 0) {
      if ((flags & MSG_EOR) !== 0) skb.tcpCb.eor = true;
      break;
    }
    if (skb.len < sizeGoal || (flags & MSG_OOB) !== 0 || tp.repair) continue;
    if (forcedPush(tp)) {
      tcpMarkPush(tp, skb);
      __tcpPushPendingFrames(sk, mssNow, TCP_NAGLE_PUSH);
    } else if (skb === tcpSendHead(sk)) {
      tcpPushOne(sk, mssNow);
    }
  }
  if (err !== 0) tcpRemoveEmptySkb(sk);
  if (copied === 0) return err !== 0 && copiedSyn === 0 ? sendError(sk, flags, err) : 0;
  tcpTxTimestamp(sk, sockc !== null ? sockc.tsflags : sk.skTsflags);
  tcpPush(sk, flags, mssNow, tp.nonagle, sizeGoal);
  return copied;
}

/** @kernel tcp_sendmsg net/ipv4/tcp.c */
export function tcpSendmsg(sk: Sock, msg: Msghdr, _size: number): number {
  lockSock(sk);
  const ret = tcpSendmsgLocked(sk, msg);
  releaseSock(sk);
  return ret;
}
