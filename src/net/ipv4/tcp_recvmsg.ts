/**
 * Reading from a connection: data in order, urgent data, and the window updates that reading earns.
 *
 * Counterpart of tcp_recvmsg_locked and its helpers in net/ipv4/tcp.c. RFC 9293#3.9.1.3, RFC 6093
 * (urgent data).
 */

import type { Msghdr } from '#include/linux/net.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { __skbUnlink } from '#include/linux/skbuff_queue.ts';
import type { TcpRecvState } from '#include/linux/tcp.ts';
import { ICSK_ACK_PUSHED, ICSK_ACK_PUSHED2 } from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import { RCV_SHUTDOWN, SOCK_DONE, SOCK_URGINLINE } from '#include/net/sock.ts';
import { TCP_URG_READ, TCP_URG_VALID, TCPHDR_FIN, TCPHDR_SYN, tcpSk } from '#include/net/tcp.ts';
import { tcpFastPathCheck, tcpReceiveWindow } from '#include/net/tcp_inlines.ts';
import { bugOn } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { after, before } from '#lib/tcp_seq.ts';
import {
  skbCopyDatagramMsg,
  skPeekOffset,
  skPeekOffsetBwd,
  skPeekOffsetFwd,
} from '#net/core/datagram.ts';
import { skBusyLoop, skCanBusyLoop } from '#net/core/dev_busy_poll.ts';
import { copyBytesToIter } from '#net/core/iov_iter.ts';
import { putCmsgInt, putStreamTimestamp } from '#net/core/scm.ts';
import { __kfreeSkb } from '#net/core/skbuff.ts';
import {
  __releaseSock,
  lockSock,
  releaseSock,
  skSetWaitdata,
  sockError,
  sockFlag,
  sockOwnedByMe,
  sockRcvlowat,
} from '#net/core/sock.ts';
import {
  inetCskAckScheduled,
  inetCskInPingpongMode,
} from '#net/ipv4/inet_connection_sock_timer.ts';
import { ipRecvError } from '#net/ipv4/ip_sockglue_error.ts';
import { tcpRcvSpaceAdjust } from '#net/ipv4/tcp_input_rcvbuf.ts';
import { tcpMstampRefresh } from '#net/ipv4/tcp_output.ts';
import { tcpSendAck } from '#net/ipv4/tcp_output_ctl.ts';
import { __tcpSelectWindow } from '#net/ipv4/tcp_output_window.ts';
import { tcpPeekSndq } from '#net/ipv4/tcp_repair.ts';
import { EAGAIN, EFAULT, EINVAL, ENOTCONN, EPERM } from '#uapi/errno.ts';
import { SKB_CONSUMED } from '#uapi/net_dropreason.ts';
import { MSG_ERRQUEUE, MSG_OOB, MSG_PEEK, MSG_TRUNC, MSG_WAITALL, SOL_TCP } from '#uapi/socket.ts';
import {
  TCP_CLOSE,
  TCP_CM_INQ,
  TCP_ESTABLISHED,
  TCP_LISTEN,
  TCP_NO_QUEUE,
  TCP_SEND_QUEUE,
} from '#uapi/tcp.ts';

/** Takes a packet that has been read off the queue. @kernel tcp_eat_recv_skb net/ipv4/tcp.c */
export function tcpEatRecvSkb(sk: Sock, skb: SkBuff): void {
  __skbUnlink(skb, sk.skReceiveQueue);
  __kfreeSkb(skb, SKB_CONSUMED);
}

/**
 * After the user took `copied` bytes: acknowledges when the window has opened by much, or when an ACK
 * is due that the receive path left to us.
 * @kernel __tcp_cleanup_rbuf net/ipv4/tcp.c
 */
function __tcpCleanupRbuf(sk: Sock, copied: number): void {
  const tp = tcpSk(sk);
  const { ackPending } = tp;
  let timeToAck = false;
  if (inetCskAckScheduled(sk)) {
    const drained =
      copied > 0 &&
      sk.skRmemAlloc === 0 &&
      ((ackPending & ICSK_ACK_PUSHED2) !== 0 ||
        ((ackPending & ICSK_ACK_PUSHED) !== 0 && !inetCskInPingpongMode(sk)));
    // More than a segment unacknowledged, or a one-way stream whose buffer is empty now.
    timeToAck = ((tp.rcvNxt - tp.rcvWup) | 0) > tp.ackRcvMss || drained;
  }
  if (copied > 0 && !timeToAck && (sk.skShutdown & RCV_SHUTDOWN) === 0) {
    const windowNow = tcpReceiveWindow(tp);
    // Selecting a window costs: only where it may have doubled.
    if (2 * windowNow <= tp.windowClamp) {
      const newWindow = __tcpSelectWindow(sk);
      timeToAck = newWindow !== 0 && newWindow >= 2 * windowNow;
    }
  }
  if (timeToAck) {
    tcpMstampRefresh(tp);
    tcpSendAck(sk);
  }
}

/** @kernel tcp_cleanup_rbuf net/ipv4/tcp.c */
export function tcpCleanupRbuf(sk: Sock, copied: number): void {
  const head = sk.skReceiveQueue.next;
  if (DEBUG && head !== null) {
    bugOn(
      !before(tcpSk(sk).copiedSeq, head.tcpCb.endSeq),
      'tcp-cleanup-rbuf',
      'a packet that was read is still queued',
    );
  }
  __tcpCleanupRbuf(sk, copied);
}

/** Sequence numbers, that of the FIN among them, not yet read; 1 once only the end is left to read. @kernel tcp_inq_hint net/ipv4/tcp.c */
function tcpInqHint(sk: Sock): number {
  const tp = tcpSk(sk);
  const inq = (tp.rcvNxt - tp.copiedSeq) | 0;
  return inq === 0 && sockFlag(sk, SOCK_DONE) ? 1 : inq;
}

/** The urgent byte. @kernel tcp_recv_urg net/ipv4/tcp.c */
function tcpRecvUrg(sk: Sock, msg: Msghdr, len: number, flags: number): number {
  const tp = tcpSk(sk);
  if (sockFlag(sk, SOCK_URGINLINE) || tp.urgData === 0 || tp.urgData === TCP_URG_READ) {
    return -EINVAL;
  }
  if (sk.skcState === TCP_CLOSE && !sockFlag(sk, SOCK_DONE)) return -ENOTCONN;
  if ((tp.urgData & TCP_URG_VALID) !== 0) {
    const byte = tp.urgData & 0xff;
    if ((flags & MSG_PEEK) === 0) tp.urgData = TCP_URG_READ;
    msg.msgFlags |= MSG_OOB;
    if (len === 0) {
      msg.msgFlags |= MSG_TRUNC;
      return 0;
    }
    if ((flags & MSG_TRUNC) === 0 && copyBytesToIter(Uint8Array.of(byte), 1, msg.msgIter) !== 1) {
      return -EFAULT;
    }
    return 1;
  }
  if (sk.skcState === TCP_CLOSE || (sk.skShutdown & RCV_SHUTDOWN) !== 0) return 0;
  return -EAGAIN;
}

// readSkb(): go on with the next packet, or stop.
const READ_MORE = 0;
const READ_STOP = 1;

/** Reads from `skb` at `offset`. */
function readSkb(
  sk: Sock,
  skb: SkBuff,
  offset: number,
  msg: Msghdr,
  flags: number,
  st: TcpRecvState,
): number {
  const tp = tcpSk(sk);
  const peek = (flags & MSG_PEEK) !== 0;
  let at = offset;
  let used = Math.min(skb.len - at, st.left);
  if (tp.urgData !== 0) {
    const urgOffset = (tp.urgSeq - st.seq) >>> 0;
    if (urgOffset < used) {
      if (urgOffset !== 0) {
        // Up to the mark only: the next read begins at it.
        used = urgOffset;
      } else if (!sockFlag(sk, SOCK_URGINLINE)) {
        st.seq = (st.seq + 1) | 0;
        if (!peek) tp.copiedSeq = st.seq;
        st.urgHole++;
        at++;
        used--;
      }
    }
  }
  if (used > 0) {
    if ((flags & MSG_TRUNC) === 0 && skbCopyDatagramMsg(skb, at, msg, used) !== 0) {
      if (st.copied === 0) st.copied = -EFAULT;
      return READ_STOP;
    }
    st.seq = (st.seq + used) | 0;
    if (!peek) tp.copiedSeq = st.seq;
    st.copied += used;
    st.left -= used;
    if (peek) skPeekOffsetFwd(sk, used);
    else skPeekOffsetBwd(sk, used);
    tcpRcvSpaceAdjust(sk);
  }
  if (tp.urgData !== 0 && after(tp.copiedSeq, tp.urgSeq)) {
    tp.urgData = 0;
    tcpFastPathCheck(sk);
  }
  if (skb.tcpCb.hasRxtstamp) st.tstamp = skb.tstamp;
  if (used + at < skb.len) return READ_MORE;
  if ((skb.tcpCb.tcpFlags & TCPHDR_FIN) !== 0) return readFin(sk, skb, peek, st);
  if (!peek) tcpEatRecvSkb(sk, skb);
  return READ_MORE;
}

/** The FIN takes a sequence number and ends the stream. */
function readFin(sk: Sock, skb: SkBuff, peek: boolean, st: TcpRecvState): number {
  st.seq = (st.seq + 1) | 0;
  if (!peek) {
    tcpSk(sk).copiedSeq = st.seq;
    tcpEatRecvSkb(sk, skb);
  }
  return READ_STOP;
}

/** readNext(): there is no such packet yet. */
const READ_WAIT = 2;

/** Reads from the packet that has the next byte. */
function readNext(sk: Sock, msg: Msghdr, flags: number, st: TcpRecvState): number {
  let skb = sk.skReceiveQueue.next;
  while (skb !== null) {
    const cb = skb.tcpCb;
    if (before(st.seq, cb.seq)) {
      if (DEBUG) bugOn(true, 'tcp-recvmsg', `hole before ${cb.seq >>> 0}`);
      return READ_WAIT;
    }
    let offset = (st.seq - cb.seq) | 0;
    if ((cb.tcpFlags & TCPHDR_SYN) !== 0) offset--;
    if (offset < skb.len) return readSkb(sk, skb, offset, msg, flags, st);
    if ((cb.tcpFlags & TCPHDR_FIN) !== 0) return readFin(sk, skb, (flags & MSG_PEEK) !== 0, st);
    // Only a peek finds a packet that has been read to its end.
    skb = skb.next;
  }
  return READ_WAIT;
}

/** nothingToRead(): there may be something now. */
const LOOK_AGAIN = -1000;

/** There is nothing more to read now: what the call returns. */
function nothingToRead(sk: Sock, st: TcpRecvState, target: number): number {
  if (st.copied >= target && sk.skBacklogTail === null) return st.copied;
  if (st.copied !== 0) {
    if (sk.skErr !== 0 || sk.skcState === TCP_CLOSE || (sk.skShutdown & RCV_SHUTDOWN) !== 0) {
      return st.copied;
    }
  } else {
    if (sockFlag(sk, SOCK_DONE)) return 0;
    if (sk.skErr !== 0) return sockError(sk);
    if ((sk.skShutdown & RCV_SHUTDOWN) !== 0) return 0;
    if (sk.skcState === TCP_CLOSE) return -ENOTCONN;
  }
  // Where Linux would sleep: what came meanwhile lies on the backlog.
  if (sk.skBacklogTail !== null) {
    __releaseSock(sk);
    return LOOK_AGAIN;
  }
  if (st.copied !== 0) return st.copied;
  skSetWaitdata(sk);
  return -EAGAIN;
}

/**
 * Bytes read, 0 at the end of the stream, or a negative errno; -EAGAIN when there is nothing yet.
 * @kernel tcp_recvmsg_locked net/ipv4/tcp.c
 * @deviation never sleeps: MSG_WAITALL and SO_RCVLOWAT return what there is.
 */
function tcpRecvmsgLocked(
  sk: Sock,
  msg: Msghdr,
  len: number,
  flags: number,
  st: TcpRecvState,
): number {
  const tp = tcpSk(sk);
  if (DEBUG) sockOwnedByMe(sk, 'tcp_recvmsg_locked');
  if (sk.skcState === TCP_LISTEN) return -ENOTCONN;
  if ((flags & MSG_OOB) !== 0) return tcpRecvUrg(sk, msg, len, flags);
  if (tp.repair) {
    if ((flags & MSG_PEEK) === 0) return -EPERM;
    if (tp.repairQueue === TCP_SEND_QUEUE) return tcpPeekSndq(sk, msg, len);
    if (tp.repairQueue === TCP_NO_QUEUE) return -EINVAL;
  }
  st.seq = tp.copiedSeq;
  st.left = len;
  if ((flags & MSG_PEEK) !== 0) {
    st.peekOffset = Math.max(skPeekOffset(sk, flags), 0);
    st.seq = (tp.copiedSeq + st.peekOffset) | 0;
  }
  const target = sockRcvlowat(sk, (flags & MSG_WAITALL) !== 0, len);
  do {
    // The urgent mark divides reads.
    if (tp.urgData !== 0 && tp.urgSeq === st.seq && st.copied !== 0) break;
    const result = readNext(sk, msg, flags, st);
    if (result === READ_STOP) break;
    if (result === READ_MORE) continue;
    const verdict = nothingToRead(sk, st, target);
    if (verdict !== LOOK_AGAIN) {
      st.copied = verdict;
      break;
    }
    if ((flags & MSG_PEEK) !== 0) {
      const expect = (st.seq - st.peekOffset - st.copied - st.urgHole) | 0;
      if (expect !== tp.copiedSeq) st.seq = (tp.copiedSeq + st.peekOffset) | 0;
    }
  } while (st.left > 0);
  tcpCleanupRbuf(sk, st.copied);
  return st.copied;
}

/** @kernel tcp_recvmsg net/ipv4/tcp.c */
export function tcpRecvmsg(sk: Sock, msg: Msghdr, len: number, flags: number): number {
  if ((flags & MSG_ERRQUEUE) !== 0) return ipRecvError(sk, msg, len);
  const st = sk.net.machine.netGlobals.tcpRecvState;
  st.clear();
  if (sk.skReceiveQueue.next === null && sk.skcState === TCP_ESTABLISHED && skCanBusyLoop(sk)) {
    skBusyLoop(sk);
  }
  lockSock(sk);
  const ret = tcpRecvmsgLocked(sk, msg, len, flags, st);
  const { tstamp } = st;
  releaseSock(sk);
  if (ret < 0) return ret;
  if (tstamp >= 0) putStreamTimestamp(msg, sk, tstamp);
  if (tcpSk(sk).recvmsgInq) putCmsgInt(msg, SOL_TCP, TCP_CM_INQ, tcpInqHint(sk));
  return ret;
}
