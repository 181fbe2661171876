/**
 * Taking a stream's bytes out of its packets without the socket calls: tcp_read_sock() for users in
 * the kernel, and on it splice() from a connection. Counterpart of those parts of net/ipv4/tcp.c.
 */

import type { Socket } from '#include/linux/net.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { sockRpsRecordFlow } from '#include/net/rps.ts';
import type { Sock } from '#include/net/sock.ts';
import { RCV_SHUTDOWN, SOCK_DONE } from '#include/net/sock.ts';
import { TCPHDR_FIN, TCPHDR_SYN, tcpSk } from '#include/net/tcp.ts';
import { skbCopyBits } from '#net/core/skbuff_data.ts';
import { lockSock, releaseSock, sockError, sockFlag } from '#net/core/sock.ts';
import { tcpRcvSpaceAdjust } from '#net/ipv4/tcp_input_rcvbuf.ts';
import { tcpCleanupRbuf, tcpEatRecvSkb } from '#net/ipv4/tcp_recvmsg.ts';
import { EAGAIN, EFAULT, ENOTCONN } from '#uapi/errno.ts';
import { TCP_CLOSE, TCP_LISTEN } from '#uapi/tcp.ts';

/** The packet with the byte `seq`; packets that have been read to their end go. @kernel tcp_recv_skb net/ipv4/tcp.c */
function tcpRecvSkb(sk: Sock, seq: number): SkBuff | null {
  for (;;) {
    const skb = sk.skReceiveQueue.next;
    if (skb === null) return null;
    const { tcpFlags } = skb.tcpCb;
    if (offsetIn(skb, seq) < skb.len || (tcpFlags & TCPHDR_FIN) !== 0) return skb;
    tcpEatRecvSkb(sk, skb);
  }
}

function offsetIn(skb: SkBuff, seq: number): number {
  const offset = (seq - skb.tcpCb.seq) | 0;
  return (skb.tcpCb.tcpFlags & TCPHDR_SYN) !== 0 ? offset - 1 : offset;
}

/** Takes `len` bytes of a packet from `offset` on: how many were taken, 0 or a negative errno stops. */
export type SkReadActor = (skb: SkBuff, offset: number, len: number) => number;

/**
 * Hands the bytes in order to `actor`, up to urgent data. Bytes taken, or what the actor said when it
 * took none.
 * @kernel tcp_read_sock net/ipv4/tcp.c
 */
export function tcpReadSock(sk: Sock, actor: SkReadActor): number {
  const tp = tcpSk(sk);
  if (sk.skcState === TCP_LISTEN) return -ENOTCONN;
  let seq = tp.copiedSeq;
  let copied = 0;
  for (let skb = tcpRecvSkb(sk, seq); skb !== null; skb = tcpRecvSkb(sk, seq)) {
    const offset = offsetIn(skb, seq);
    if (offset < skb.len) {
      let len = skb.len - offset;
      if (tp.urgData !== 0) len = Math.min(len, (tp.urgSeq - seq) >>> 0);
      if (len === 0) break;
      const used = actor(skb, offset, len);
      if (used <= 0) {
        if (copied === 0) copied = used;
        break;
      }
      seq = (seq + used) | 0;
      copied += used;
      tp.copiedSeq = seq;
      if (offset + used < skb.len) continue;
    }
    const fin = (skb.tcpCb.tcpFlags & TCPHDR_FIN) !== 0;
    if (fin) seq = (seq + 1) | 0;
    tp.copiedSeq = seq;
    tcpEatRecvSkb(sk, skb);
    if (fin) break;
  }
  tp.copiedSeq = seq;
  tcpRcvSpaceAdjust(sk);
  if (copied > 0) tcpCleanupRbuf(sk, copied);
  return copied;
}

/** There was nothing: 0 at the end, or a negative errno. */
export function nothingToSplice(sk: Sock, nonblock: boolean): number {
  if (sockFlag(sk, SOCK_DONE)) return 0;
  if (sk.skErr !== 0) return sockError(sk);
  if ((sk.skShutdown & RCV_SHUTDOWN) !== 0) return 0;
  if (sk.skcState === TCP_CLOSE) return -ENOTCONN;
  if (nonblock) return -EAGAIN;
  // Urgent data is in the way: waiting would not help.
  return sk.skReceiveQueue.next === null ? -EAGAIN : 0;
}

/**
 * Fills `buf` from the connection. Bytes, 0 at the end of the stream or before urgent data, or a
 * negative errno; -EAGAIN when there is nothing yet.
 * @kernel tcp_splice_read net/ipv4/tcp.c
 */
export function tcpSpliceRead(sock: Socket, buf: Uint8Array, nonblock: boolean): number {
  const sk = sock.sk as Sock;
  sockRpsRecordFlow(sk);
  let spliced = 0;
  const take: SkReadActor = (skb, offset, len) => {
    const part = Math.min(len, buf.length - spliced);
    if (part === 0) return 0;
    if (skbCopyBits(skb, offset, buf, spliced, part) !== 0) return -EFAULT;
    spliced += part;
    return part;
  };
  lockSock(sk);
  const ret = tcpReadSock(sk, take);
  const result = spliced > 0 ? spliced : ret < 0 ? ret : nothingToSplice(sk, nonblock);
  releaseSock(sk);
  return result;
}
