/**
 * The payload of segments: in order to the receive queue, out of order to the tree; FIN, urgent data
 * and RST.
 *
 * Counterpart: tcp_data_queue, tcp_fin, tcp_urg, tcp_reset of net/ipv4/tcp_input.c. RFC 9293#3.10.7.4,
 * RFC 6093 (urgent data).
 */

import type { Msghdr } from '#include/linux/net.ts';
import { __skbPull, type SkBuff } from '#include/linux/skbuff.ts';
import {
  __skbQueueTail,
  __skbUnlink,
  skbPeekTail,
  skbQueueLen,
} from '#include/linux/skbuff_queue.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import { skbDstDrop } from '#include/net/dst.ts';
import { ICSK_ACK_NOMEM, ICSK_ACK_NOW } from '#include/net/inet_connection_sock.ts';
import { netIncStats } from '#include/net/ip.ts';
import { SOCK_DEAD, SOCK_DONE, SOCK_URGINLINE, type Sock } from '#include/net/sock.ts';
import { TCP_MAX_QUICKACKS, TCP_URG_NOTYET, TCP_URG_VALID, tcpSk } from '#include/net/tcp.ts';
import { tcpRcvSneUpdate } from '#include/net/tcp_auth_ops.ts';
import {
  TCP_ACCECN_OPT_FAIL_SEND,
  tcpAccecnFailModeSet,
  tcpEcnModeAccecn,
} from '#include/net/tcp_ecn.ts';
import {
  tcpEpollinReady,
  tcpFastPathCheck,
  tcpIsSack,
  tcpReceiveWindow,
} from '#include/net/tcp_inlines.ts';
import { KernelBug } from '#kernel/bug.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { after, before, seqMin } from '#lib/tcp_seq.ts';
import { view } from '#mm/memory.ts';
import { skbCopyDatagramFromIter } from '#net/core/datagram.ts';
import { __kfreeSkb, allocSkbWithFrags, kfreeSkb, kfreeSkbPartial } from '#net/core/skbuff.ts';
import { skbCopyBits } from '#net/core/skbuff_data.ts';
import { skbSetOwnerR, sockFlag, sockSetFlag } from '#net/core/sock.ts';
import { skForcedMemSchedule } from '#net/core/sock_mem.ts';
import {
  inetCskEnterPingpongMode,
  inetCskScheduleAck,
} from '#net/ipv4/inet_connection_sock_timer.ts';
import {
  tcpDataQueueOfo,
  tcpDropReason,
  tcpDsackSet,
  tcpOfoQueueEmpty,
  tcpOfoQueueNext,
  tcpOfoQueuePurge,
  tcpSackRemove,
  tcpTryCoalesce,
  tcpTryRmemSchedule,
} from '#net/ipv4/tcp_input_ofo.ts';
import { tcpEnterQuickackMode, tcpEventDataRecv } from '#net/ipv4/tcp_input_quickack.ts';
import { tcpTimeWait } from '#net/ipv4/tcp_minisocks.ts';
import { tcpSendAck } from '#net/ipv4/tcp_output_ctl.ts';
import { tcpDoneWithError, tcpSetState } from '#net/ipv4/tcp_state.ts';
import { ECONNREFUSED, ECONNRESET, ENOMEM, EPIPE } from '#uapi/errno.ts';
import {
  SKB_CONSUMED,
  SKB_DROP_REASON_PROTO_MEM,
  SKB_DROP_REASON_SKB_UCOPY_FAULT,
  SKB_DROP_REASON_TCP_OFO_DROP,
  SKB_DROP_REASON_TCP_OLD_DATA,
  SKB_DROP_REASON_TCP_OVERWINDOW,
  SKB_DROP_REASON_TCP_ZEROWINDOW,
} from '#uapi/net_dropreason.ts';
import {
  LINUX_MIB_DELAYEDACKLOST,
  LINUX_MIB_TCPRCVQDROP,
  LINUX_MIB_TCPZEROWINDOWDROP,
} from '#uapi/snmp.ts';
import { RCV_SHUTDOWN } from '#uapi/socket.ts';
import {
  TCP_CLOSE,
  TCP_CLOSE_WAIT,
  TCP_CLOSING,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT1,
  TCP_FIN_WAIT2,
  TCP_LAST_ACK,
  TCP_SYN_RECV,
  TCP_SYN_SENT,
  TCP_TIME_WAIT,
  TCPHDR_FIN,
  tcphdr,
} from '#uapi/tcp.ts';

/** @kernel tcp_rcv_nxt_update net/ipv4/tcp_input.c */
function tcpRcvNxtUpdate(tp: TcpSock, seq: number): void {
  tp.bytesReceived += (seq - tp.rcvNxt) >>> 0;
  if (tp.aoInfo !== null) tcpRcvSneUpdate(tp, tp.aoInfo, seq);
  tp.rcvNxt = seq;
}

/** Wakes the reader when there is enough to read. @kernel tcp_data_ready net/ipv4/tcp_input.c */
export function tcpDataReady(sk: Sock): void {
  if (tcpEpollinReady(sk, sk.skRcvlowat) || sockFlag(sk, SOCK_DONE)) sk.skDataReady(sk);
}

/**
 * Queues a segment that continues the stream. True when its bytes went to the last packet of the
 * queue; the caller frees `skb` with kfree_skb_partial() when done with it.
 * @kernel tcp_queue_rcv net/ipv4/tcp_input.c
 */
export function tcpQueueRcv(sk: Sock, skb: SkBuff): boolean {
  const tail = skbPeekTail(sk.skReceiveQueue);
  const eaten = tail !== null && tcpTryCoalesce(sk, tail, skb);
  tcpRcvNxtUpdate(tcpSk(sk), skb.tcpCb.endSeq);
  if (!eaten) {
    __skbQueueTail(sk.skReceiveQueue, skb);
    skbSetOwnerR(skb, sk);
    if (tracepointKey.enabled) skb.machine.trace.packet.socketQueue.probe?.(skb, sk, false);
  }
  return eaten;
}

/** Bytes that one packet of tcp_send_rcvq() takes. */
const RCVQ_CHUNK: number = 1 << 18;

/**
 * Repair: what is written had come before. Bytes, or a negative errno.
 * @kernel tcp_send_rcvq net/ipv4/tcp_input.c
 */
export function tcpSendRcvq(sk: Sock, msg: Msghdr, len: number): number {
  if (len === 0) return 0;
  const tp = tcpSk(sk);
  const size = Math.min(len, RCVQ_CHUNK);
  const skb = allocSkbWithFrags(sk.net.machine, 0, size);
  if (skb === null) return -ENOMEM;
  skb.len = size;
  skb.dataLen = size;
  if (tcpTryRmemSchedule(sk, skb, skb.truesize) !== 0) {
    kfreeSkb(skb, SKB_DROP_REASON_PROTO_MEM, 'tcp_send_rcvq');
    return -ENOMEM;
  }
  const err = skbCopyDatagramFromIter(skb, 0, msg.msgIter, size);
  if (err !== 0) {
    // Linux frees both without a reason of their own.
    kfreeSkb(skb, SKB_DROP_REASON_SKB_UCOPY_FAULT, 'tcp_send_rcvq');
    return err;
  }
  const cb = skb.tcpCb;
  cb.tcpFlags = 0;
  cb.seq = tp.rcvNxt;
  cb.endSeq = (tp.rcvNxt + size) | 0;
  cb.ackSeq = (tp.sndUna - 1) | 0;
  if (tcpQueueRcv(sk, skb)) kfreeSkbPartial(skb);
  return size;
}

/** The route of the packet must not outlive the receive path. @kernel tcp_cleanup_skb include/net/tcp.h */
export function tcpCleanupSkb(skb: SkBuff): void {
  skbDstDrop(skb);
}

/**
 * The hole is filled: moves what follows it to the receive queue.
 * @kernel tcp_ofo_queue net/ipv4/tcp_input.c
 */
function tcpOfoQueue(sk: Sock): void {
  const tp = tcpSk(sk);
  let dsackHigh = tp.rcvNxt;
  for (;;) {
    const skb = tcpOfoQueueNext(sk, dsackHigh);
    if (skb === null) return;
    const scb = skb.tcpCb;
    dsackHigh = seqMin(dsackHigh, scb.endSeq);
    if (!after(scb.endSeq, tp.rcvNxt)) {
      tcpDropReason(sk, skb, SKB_DROP_REASON_TCP_OFO_DROP, 'tcp_ofo_queue');
      continue;
    }
    const tail = skbPeekTail(sk.skReceiveQueue);
    const eaten = tail !== null && tcpTryCoalesce(sk, tail, skb);
    tcpRcvNxtUpdate(tp, scb.endSeq);
    const fin = (scb.tcpFlags & TCPHDR_FIN) !== 0;
    if (eaten) kfreeSkbPartial(skb);
    else __skbQueueTail(sk.skReceiveQueue, skb);
    if (fin) {
      // It throws away the rest of the tree.
      tcpFin(sk);
      return;
    }
  }
}

/** No memory for a segment in order: the last resort. False: drop it. @kernel tcp_data_queue net/ipv4/tcp_input.c */
function tcpForceRmem(sk: Sock, skb: SkBuff): boolean {
  const tp = tcpSk(sk);
  tp.ackPending |= ICSK_ACK_NOMEM | ICSK_ACK_NOW;
  inetCskScheduleAck(sk);
  sk.skDataReady(sk);
  if (skbQueueLen(sk.skReceiveQueue) !== 0 && skb.len !== 0) return false;
  // An empty queue must take one packet, or the reader would wait for ever.
  skForcedMemSchedule(sk, skb.truesize);
  return true;
}

/**
 * The segment begins at or before rcv_nxt and brings something new.
 * @kernel tcp_data_queue net/ipv4/tcp_input.c
 */
function tcpDataQueueInOrder(sk: Sock, skb: SkBuff): void {
  const tp = tcpSk(sk);
  if (tcpTryRmemSchedule(sk, skb, skb.truesize) < 0 && !tcpForceRmem(sk, skb)) {
    netIncStats(sk.net, LINUX_MIB_TCPRCVQDROP);
    tcpDropReason(sk, skb, SKB_DROP_REASON_PROTO_MEM, 'tcp_data_queue');
    return;
  }
  const fin = (skb.tcpCb.tcpFlags & TCPHDR_FIN) !== 0;
  const eaten = tcpQueueRcv(sk, skb);
  if (skb.len !== 0) tcpEventDataRecv(sk, skb);
  if (fin) tcpFin(sk);

  if (!tcpOfoQueueEmpty(tp)) {
    tcpOfoQueue(sk);
    // The gap is filled: the sender shall know at once. RFC 5681#4.2
    if (tcpOfoQueueEmpty(tp)) tp.ackPending |= ICSK_ACK_NOW;
  }
  if (tp.rxOpt.numSacks !== 0) tcpSackRemove(tp);
  tcpFastPathCheck(sk);
  if (eaten) kfreeSkbPartial(skb);
  if (!sockFlag(sk, SOCK_DEAD)) tcpDataReady(sk);
}

/** Acknowledges at once what cannot be taken, and drops it. @kernel tcp_data_queue net/ipv4/tcp_input.c */
function tcpDataQueueRefuse(sk: Sock, skb: SkBuff, reason: number): void {
  tcpEnterQuickackMode(sk, TCP_MAX_QUICKACKS);
  inetCskScheduleAck(sk);
  tcpDropReason(sk, skb, reason, 'tcp_data_queue');
}

/**
 * Takes the payload of a segment that is acceptable by its sequence numbers. Consumes `skb`.
 * @kernel tcp_data_queue net/ipv4/tcp_input.c
 */
export function tcpDataQueue(sk: Sock, skb: SkBuff): void {
  const tp = tcpSk(sk);
  const { seq, endSeq } = skb.tcpCb;
  if (seq === endSeq) {
    __kfreeSkb(skb, SKB_CONSUMED);
    return;
  }
  tcpCleanupSkb(skb);
  __skbPull(skb, tcphdr.hdrlen(view, skb.transportHeader));
  tp.rxOpt.dsack = false;

  if (seq === tp.rcvNxt) {
    // A bare FIN is taken even into a closed window: it needs no room, and some peers repeat it
    // until it is acknowledged.
    const bareFin = skb.len === 0 && (skb.tcpCb.tcpFlags & TCPHDR_FIN) !== 0;
    if (tcpReceiveWindow(tp) === 0 && !bareFin) {
      netIncStats(sk.net, LINUX_MIB_TCPZEROWINDOWDROP);
      tcpDataQueueRefuse(sk, skb, SKB_DROP_REASON_TCP_ZEROWINDOW);
      return;
    }
    tcpDataQueueInOrder(sk, skb);
    return;
  }
  if (!after(endSeq, tp.rcvNxt)) {
    // Sent again though it had arrived.
    tcpRcvSpuriousRetrans(tp, seq);
    netIncStats(sk.net, LINUX_MIB_DELAYEDACKLOST);
    tcpDsackSet(sk, seq, endSeq);
    tcpDataQueueRefuse(sk, skb, SKB_DROP_REASON_TCP_OLD_DATA);
    return;
  }
  if (!before(seq, (tp.rcvNxt + tcpReceiveWindow(tp)) | 0)) {
    tcpDataQueueRefuse(sk, skb, SKB_DROP_REASON_TCP_OVERWINDOW);
    return;
  }
  if (before(seq, tp.rcvNxt)) {
    tcpDsackSet(sk, seq, tp.rcvNxt);
    if (tcpReceiveWindow(tp) === 0) {
      netIncStats(sk.net, LINUX_MIB_TCPZEROWINDOWDROP);
      tcpDataQueueRefuse(sk, skb, SKB_DROP_REASON_TCP_ZEROWINDOW);
      return;
    }
    tcpDataQueueInOrder(sk, skb);
    return;
  }
  tcpDataQueueOfo(sk, skb);
}

/**
 * The same segment comes a third time although the second was answered: when that answer had the
 * AccECN option, something on the way drops it.
 * @kernel tcp_rcv_spurious_retrans net/ipv4/tcp_input.c
 * @rfc 9768#3.2.3.2.2
 */
function tcpRcvSpuriousRetrans(tp: TcpSock, seq: number): void {
  if (!tp.accecnOptSentWDsack || !tcpEcnModeAccecn(tp)) return;
  if (seq === tp.duplicateSack[0]?.startSeq) tcpAccecnFailModeSet(tp, TCP_ACCECN_OPT_FAIL_SEND);
}

/**
 * Answers a segment outside the window: repeats our state, and says what came twice.
 * @kernel tcp_send_dupack net/ipv4/tcp_input.c
 */
export function tcpSendDupack(sk: Sock, skb: SkBuff): void {
  const tp = tcpSk(sk);
  const { seq, endSeq } = skb.tcpCb;
  if (endSeq !== seq && before(seq, tp.rcvNxt)) {
    netIncStats(sk.net, LINUX_MIB_DELAYEDACKLOST);
    tcpEnterQuickackMode(sk, TCP_MAX_QUICKACKS);
    if (tcpIsSack(tp) && sk.net.ipv4.sysctlTcpDsack !== 0) {
      tcpRcvSpuriousRetrans(tp, seq);
      tcpDsackSet(sk, seq, seqMin(endSeq, tp.rcvNxt));
    }
  }
  tcpSendAck(sk);
}

/**
 * The peer has sent all it will.
 * @kernel tcp_fin net/ipv4/tcp_input.c
 * @rfc 9293#3.10.7.4
 */
export function tcpFin(sk: Sock): void {
  const tp = tcpSk(sk);
  inetCskScheduleAck(sk);
  sk.skShutdown |= RCV_SHUTDOWN;
  sockSetFlag(sk, SOCK_DONE);

  switch (sk.skcState) {
    case TCP_SYN_RECV:
    case TCP_ESTABLISHED:
      tcpSetState(sk, TCP_CLOSE_WAIT);
      inetCskEnterPingpongMode(sk);
      break;
    case TCP_FIN_WAIT1:
      // Both closed at the same time.
      tcpSendAck(sk);
      tcpSetState(sk, TCP_CLOSING);
      break;
    case TCP_FIN_WAIT2:
      tcpSendAck(sk);
      tcpTimeWait(sk, TCP_TIME_WAIT, 0);
      break;
    case TCP_CLOSE_WAIT:
    case TCP_CLOSING:
    case TCP_LAST_ACK:
      // A retransmission of the FIN.
      break;
    default:
      throw new KernelBug('tcp-fin-state', `FIN in state ${sk.skcState}`);
  }

  // Data beyond a FIN cannot be.
  tcpOfoQueuePurge(sk);
  if (tcpIsSack(tp)) {
    tp.rxOpt.dsack = false;
    tp.rxOpt.numSacks = 0;
  }
  if (!sockFlag(sk, SOCK_DEAD)) sk.skStateChange(sk);
}

/**
 * An acceptable RST arrived: the connection is over, with the error that BSD gives in each state.
 * @kernel tcp_reset net/ipv4/tcp_input.c
 * @rfc 9293#3.10.7.4
 */
export function tcpReset(sk: Sock): void {
  if (tracepointKey.enabled) sk.net.machine.trace.tcp.tcpReceiveReset.probe?.(sk);
  switch (sk.skcState) {
    case TCP_SYN_SENT:
      tcpDoneWithError(sk, ECONNREFUSED);
      break;
    case TCP_CLOSE_WAIT:
      tcpDoneWithError(sk, EPIPE);
      break;
    case TCP_CLOSE:
      break;
    default:
      tcpDoneWithError(sk, ECONNRESET);
  }
}

/**
 * A segment with URG: notes where the urgent byte is. By BSD's reading, which Linux follows, the
 * pointer names the byte after it; `tcp_stdurg` selects the other.
 * @kernel tcp_check_urg net/ipv4/tcp_input.c
 * @rfc 6093#3.1
 */
function tcpCheckUrg(sk: Sock, th: number): void {
  const tp = tcpSk(sk);
  let ptr = tcphdr.urgPtr(view, th);
  if (ptr !== 0 && sk.net.ipv4.sysctlTcpStdurg === 0) ptr--;
  ptr = (ptr + tcphdr.seq(view, th)) | 0;
  if (after(tp.copiedSeq, ptr) || before(ptr, tp.rcvNxt)) return;
  if (tp.urgData !== 0 && !after(ptr, tp.urgSeq)) return;

  // The last urgent byte was read out of band and stands at copied_seq: step over it, or it would be
  // read again now that it is urgent no longer.
  if (
    tp.urgSeq === tp.copiedSeq &&
    tp.urgData !== 0 &&
    !sockFlag(sk, SOCK_URGINLINE) &&
    tp.copiedSeq !== tp.rcvNxt
  ) {
    const skb = sk.skReceiveQueue.next;
    tp.copiedSeq = (tp.copiedSeq + 1) | 0;
    if (skb !== null && !before(tp.copiedSeq, skb.tcpCb.endSeq)) {
      __skbUnlink(skb, sk.skReceiveQueue);
      __kfreeSkb(skb, SKB_CONSUMED);
    }
  }
  tp.urgData = TCP_URG_NOTYET;
  tp.urgSeq = ptr;
  tp.predFlags = 0;
}

/**
 * Urgent data: keeps the byte when this segment holds it.
 * @kernel tcp_urg net/ipv4/tcp_input.c
 */
export function tcpUrg(sk: Sock, skb: SkBuff, th: number): void {
  const tp = tcpSk(sk);
  if (tcphdr.urg(view, th) !== 0) tcpCheckUrg(sk, th);
  if (tp.urgData !== TCP_URG_NOTYET) return;
  const ptr =
    (tp.urgSeq - tcphdr.seq(view, th) + tcphdr.hdrlen(view, th) - tcphdr.syn(view, th)) >>> 0;
  if (ptr >= skb.len) return;
  const byte = new Uint8Array(1);
  skbCopyBits(skb, ptr, byte, 0, 1);
  tp.urgData = TCP_URG_VALID | byte[0]!;
  if (!sockFlag(sk, SOCK_DEAD)) sk.skDataReady(sk);
}
