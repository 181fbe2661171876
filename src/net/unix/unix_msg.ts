/**
 * Sending and receiving on Unix sockets. Counterpart of that part of net/unix/af_unix.c.
 *
 * A packet is charged to its sender until it is read, which is what holds a fast sender back.
 *
 * @deviation descriptors cannot be passed (SCM_RIGHTS is refused with -EOPNOTSUPP), and there is no
 * out-of-band byte.
 */
import type { Msghdr, Socket } from '#include/linux/net.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { __skbQueueTail, __skbUnlink, skbPeek } from '#include/linux/skbuff_queue.ts';
import { type UnixSock, unixSk } from '#include/net/af_unix.ts';
import { RCV_SHUTDOWN, SEND_SHUTDOWN, SOCK_DEAD, type Sock } from '#include/net/sock.ts';
import { wakeUp, wqHasSleeper } from '#kernel/wait.ts';
import {
  __skbTryRecvFromQueue,
  skbCopyDatagramMsg,
  skPeekOffset,
  skPeekOffsetBwd,
  skPeekOffsetFwd,
} from '#net/core/datagram.ts';
import { copyFromIter } from '#net/core/iov_iter.ts';
import { nextCmsg, sockRecvCmsgs } from '#net/core/scm.ts';
import { consumeSkb, kfreeSkb, skbPut } from '#net/core/skbuff.ts';
import { sockError, sockFlag, sockHold, sockPut } from '#net/core/sock.ts';
import { sockAllocSendSkb } from '#net/core/sock_alloc.ts';
import { unixFillName, unixFindOther, unixNameOf } from '#net/unix/unix_name.ts';
import {
  EAGAIN,
  ECONNREFUSED,
  EFAULT,
  EINVAL,
  EISCONN,
  EMSGSIZE,
  ENOTCONN,
  EOPNOTSUPP,
  EPIPE,
} from '#uapi/errno.ts';
import { SKB_DROP_REASON_NOT_SPECIFIED } from '#uapi/net_dropreason.ts';
import { POLLOUT, POLLWRBAND, POLLWRNORM } from '#uapi/poll.ts';
import {
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  SCM_RIGHTS,
  SOCK_DGRAM,
  SOCK_SEQPACKET,
  SOL_SOCKET,
} from '#uapi/socket.ts';
import { TCP_ESTABLISHED } from '#uapi/tcp.ts';

/** Datagrams that wait in one socket. @kernel sysctl_max_dgram_qlen net/unix/af_unix.c */
export const UNIX_MAX_DGRAM_QLEN = 10;

/** Largest piece of a stream: one chunk of packet memory with its head. */
const STREAM_PIECE = 32256;

/** @kernel unix_writable net/unix/af_unix.c */
export function unixWritable(sk: Sock): boolean {
  return sk.skWmemAlloc << 2 <= sk.skSndbuf;
}

/** @kernel unix_write_space net/unix/af_unix.c */
export function unixWriteSpace(sk: Sock): void {
  const wq = sk.skWq;
  if (wq === null || !unixWritable(sk) || !wqHasSleeper(wq)) return;
  wakeUp(wq, POLLOUT | POLLWRNORM | POLLWRBAND);
}

/** @kernel unix_recvq_full net/unix/af_unix.c */
export function unixRecvqFull(u: UnixSock): boolean {
  return u.skReceiveQueue.qlen > u.skMaxAckBacklog;
}

/** Refuses descriptors; credentials are the kernel's to tell. @kernel scm_send include/net/scm.h */
function scmSend(msg: Msghdr): number {
  for (let cmsg = nextCmsg(msg, null); cmsg !== null; cmsg = nextCmsg(msg, cmsg)) {
    if (!cmsg.ok) return -EINVAL;
    if (cmsg.level === SOL_SOCKET && cmsg.type === SCM_RIGHTS) return -EOPNOTSUPP;
  }
  return 0;
}

/** A packet with the next `len` bytes of the message, charged to the sender. */
function packetOf(u: UnixSock, msg: Msghdr, len: number): SkBuff | number {
  const skb = sockAllocSendSkb(u, len);
  if (typeof skb === 'number') return skb;
  const at = skbPut(skb, len);
  if (copyFromIter(at, len, msg.msgIter) !== len) {
    kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, 'unix_stream_sendmsg');
    return -EFAULT;
  }
  // Who sent it: for the receiver's address, with the bytes read so far in cb1.
  skb.cbRef = u;
  sockHold(u);
  skb.cb1 = 0;
  return skb;
}

/** Takes a packet off for good. */
function packetDone(skb: SkBuff): void {
  const sender = skb.cbRef as UnixSock;
  skb.cbRef = null;
  consumeSkb(skb, 'packet_done');
  sockPut(sender);
}

/** Throws the receive queue away, at the end of the socket. */
export function unixPurgeQueue(u: UnixSock): void {
  for (let skb = skbPeek(u.skReceiveQueue); skb !== null; skb = skbPeek(u.skReceiveQueue)) {
    __skbUnlink(skb, u.skReceiveQueue);
    packetDone(skb);
  }
  u.inq = 0;
}

function deliver(other: UnixSock, skb: SkBuff): void {
  other.inq += skb.len;
  __skbQueueTail(other.skReceiveQueue, skb);
  other.skDataReady(other);
}

// Streams.

/** @kernel unix_stream_sendmsg net/unix/af_unix.c */
export function unixStreamSendmsg(sock: Socket, msg: Msghdr, len: number): number {
  const u = unixSk(sock.sk as Sock);
  const err = scmSend(msg);
  if (err !== 0) return err;
  if ((msg.msgFlags & MSG_OOB) !== 0) return -EOPNOTSUPP;
  if (msg.msgNamelen > 0) return u.skcState === TCP_ESTABLISHED ? -EISCONN : -EOPNOTSUPP;
  const other = u.peer;
  if (other === null) return -ENOTCONN;
  if ((u.skShutdown & SEND_SHUTDOWN) !== 0) return -EPIPE;
  let sent = 0;
  while (sent < len) {
    // Two packets in flight at least, so that the reader never waits for the writer's turn.
    const size = Math.min(len - sent, (u.skSndbuf >> 1) - 64, STREAM_PIECE);
    const skb = packetOf(u, msg, size);
    if (typeof skb === 'number') return sent > 0 ? sent : skb;
    if (sockFlag(other, SOCK_DEAD) || (other.skShutdown & RCV_SHUTDOWN) !== 0) {
      packetDone(skb);
      return sent > 0 ? sent : -EPIPE;
    }
    deliver(other, skb);
    sent += size;
  }
  return sent;
}

/** Copies what is wanted of the packets, from `skip` unread bytes on; returns the bytes copied. */
function streamCopy(u: UnixSock, msg: Msghdr, len: number, flags: number, skip: number): number {
  const peek = (flags & MSG_PEEK) !== 0;
  let copied = 0;
  let left = skip;
  let skb = skbPeek(u.skReceiveQueue);
  while (skb !== null && copied < len) {
    const unread = skb.len - skb.cb1;
    if (left >= unread && peek) {
      left -= unread;
      skb = skb.next;
      continue;
    }
    const chunk = Math.min(unread - left, len - copied);
    if (skbCopyDatagramMsg(skb, skb.cb1 + left, msg, chunk) !== 0) break;
    copied += chunk;
    left = 0;
    if (peek) {
      skb = skb.next;
      continue;
    }
    skb.cb1 += chunk;
    u.inq -= chunk;
    if (skb.cb1 < skb.len) break;
    __skbUnlink(skb, u.skReceiveQueue);
    packetDone(skb);
    skb = skbPeek(u.skReceiveQueue);
  }
  return copied;
}

/** @kernel unix_stream_read_generic net/unix/af_unix.c */
export function unixStreamRecvmsg(sock: Socket, msg: Msghdr, len: number, flags: number): number {
  const u = unixSk(sock.sk as Sock);
  if (u.skcState !== TCP_ESTABLISHED) return -EINVAL;
  if ((flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
  msg.msgNamelen = 0;
  const copied = streamCopy(u, msg, len, flags, skPeekOffset(u, flags));
  if (copied > 0) {
    if ((flags & MSG_PEEK) !== 0) skPeekOffsetFwd(u, copied);
    else skPeekOffsetBwd(u, copied);
    return copied;
  }
  if (len === 0) return 0;
  const err = sockError(u);
  if (err !== 0) return err;
  return (u.skShutdown & RCV_SHUTDOWN) !== 0 ? 0 : -EAGAIN;
}

// Datagrams, and packets in sequence.

/** The socket that a datagram goes to. */
function dgramTarget(u: UnixSock, msg: Msghdr): UnixSock | number {
  if (msg.msgName !== null && msg.msgNamelen > 0) {
    const name = unixNameOf(msg.msgName);
    return typeof name === 'number' ? name : unixFindOther(u.net, name, u.skType);
  }
  const other = u.peer;
  if (other === null) return -ENOTCONN;
  if (!sockFlag(other, SOCK_DEAD)) return other;
  // The peer is gone: the association ends with this error.
  u.peer = null;
  sockPut(other);
  return -ECONNREFUSED;
}

/** @kernel unix_dgram_sendmsg net/unix/af_unix.c */
export function unixDgramSendmsg(sock: Socket, msg: Msghdr, len: number): number {
  const u = unixSk(sock.sk as Sock);
  const err = scmSend(msg);
  if (err !== 0) return err;
  if ((msg.msgFlags & MSG_OOB) !== 0) return -EOPNOTSUPP;
  if (len > u.skSndbuf - 32) return -EMSGSIZE;
  const other = dgramTarget(u, msg);
  if (typeof other === 'number') return other;
  if ((u.skShutdown & SEND_SHUTDOWN) !== 0) return -EPIPE;
  if ((other.skShutdown & RCV_SHUTDOWN) !== 0) return -EPIPE;
  if (other !== u && other.peer !== u && unixRecvqFull(other)) return -EAGAIN;
  const skb = packetOf(u, msg, len);
  if (typeof skb === 'number') return skb;
  deliver(other, skb);
  return len;
}

/** @kernel unix_seqpacket_sendmsg net/unix/af_unix.c */
export function unixSeqpacketSendmsg(sock: Socket, msg: Msghdr, len: number): number {
  const sk = sock.sk as Sock;
  const err = sockError(sk);
  if (err !== 0) return err;
  if (sk.skcState !== TCP_ESTABLISHED) return -ENOTCONN;
  // Connected for good: a name in the message does not count.
  msg.msgNamelen = 0;
  return unixDgramSendmsg(sock, msg, len);
}

/** @kernel __unix_dgram_recvmsg net/unix/af_unix.c */
export function unixDgramRecvmsg(sock: Socket, msg: Msghdr, len: number, flags: number): number {
  const u = unixSk(sock.sk as Sock);
  if (u.skType === SOCK_SEQPACKET && u.skcState !== TCP_ESTABLISHED) return -ENOTCONN;
  if ((flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
  const peek = (flags & MSG_PEEK) !== 0;
  const skip = skPeekOffset(u, flags);
  const err = sockError(u);
  if (err !== 0) return err;
  const skb = peek ? skbPeek(u.skReceiveQueue) : __skbTryRecvFromQueue(u.skReceiveQueue, flags, 0);
  if (skb === null) return (u.skShutdown & RCV_SHUTDOWN) !== 0 ? 0 : -EAGAIN;
  if (wqHasSleeper(u.peerWait)) wakeUp(u.peerWait, POLLOUT | POLLWRNORM | POLLWRBAND);
  if (msg.msgName !== null) msg.msgNamelen = unixFillName(skb.cbRef as UnixSock, msg.msgName);
  const whole = skb.len - skip;
  const size = Math.min(len, whole);
  if (size < whole) msg.msgFlags |= MSG_TRUNC;
  const bad = skbCopyDatagramMsg(skb, skip, msg, size);
  if (bad === 0) sockRecvCmsgs(msg, u, skb);
  if (peek) skPeekOffsetFwd(u, size);
  else {
    skPeekOffsetBwd(u, skb.len);
    u.inq -= skb.len;
    packetDone(skb);
  }
  if (bad !== 0) return bad;
  return (flags & MSG_TRUNC) !== 0 ? whole : size;
}

/** Bytes that wait: of datagrams the first's. @kernel unix_inq_len net/unix/af_unix.c */
export function unixInqLen(u: UnixSock): number {
  return u.skType === SOCK_DGRAM ? (u.skReceiveQueue.next?.len ?? 0) : u.inq;
}
