/**
 * Sending one TCP segment: the header, and handing it to IP.
 *
 * Counterpart of net/ipv4/tcp_output.c, which is cut by suffix:
 *   tcp_output_options  option bytes            tcp_output_window   the window field
 *   tcp_output_mss      MSS and MTU             tcp_output_frag     cutting packets
 *   tcp_output_cwnd     cwnd validation         tcp_output_chrono   stopwatch of tcp_info
 *   tcp_output_xmit     new data                tcp_output_rtx      retransmissions, loss probes
 *   tcp_output_mtup     MTU probes              tcp_output_ctl      SYN, FIN, RST, ACK, window probes
 *   tcp_output_tsq      small queues, what waits for the socket's release
 * RFC 9293. Nothing but the write queues holds data: each transmission is a clone whose head the
 * lower layers may use, while the fragments are shared.
 */

import { NET_XMIT_CN } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  __skbHeaderRelease,
  CHECKSUM_PARTIAL,
  skbCloned,
  skbOrphan,
  skbResetTransportHeader,
  skbSetDeliveryTime,
  skbSetHash,
} from '#include/linux/skbuff.ts';
import { __skbQueueTail, __skbUnlink } from '#include/linux/skbuff_queue.ts';
import { TCP_CHRONO_BUSY, type TcpSock, TSQ_QUEUED, TSQ_THROTTLED } from '#include/linux/tcp.ts';
import { ICSK_TIME_DACK, ICSK_TIME_LOSS_PROBE } from '#include/net/inet_connection_sock.ts';
import { ipcbClear, netAddStats, tcpAddStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import {
  CA_EVENT_CWND_RESTART,
  CA_EVENT_TX_START,
  TCPHDR_ACK,
  TCPHDR_PSH,
  TCPHDR_SYN,
  TCPHDR_URG,
  tcpSk,
} from '#include/net/tcp.ts';
import { TCP_KEY_NONE } from '#include/net/tcp_auth.ts';
import { tcpAuthTransmitSkb, tcpGetCurrentKey } from '#include/net/tcp_auth_ops.ts';
import { tcpEcnSend } from '#include/net/tcp_ecn.ts';
import {
  SK_PACING_NONE,
  tcpCaEvent,
  tcpCurrentSsthresh,
  tcpDecQuickackMode,
  tcpPacketsInFlight,
  tcpSndCwnd,
  tcpSndCwndSet,
} from '#include/net/tcp_inlines.ts';
import {
  tcpRbtreeInsert,
  tcpSkbMss,
  tcpSkbPcount,
  tcpSkbPcountSet,
  tcpTsortedMoveTail,
} from '#include/net/tcp_queue.ts';
import { bugOn } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { taskletSchedule } from '#kernel/softirq.ts';
import { hrtimerCancel } from '#kernel/time/hrtimer.ts';
import { after, before } from '#lib/tcp_seq.ts';
import { view } from '#mm/memory.ts';
import { skbClone, skbPush, skbTruesize } from '#net/core/skbuff.ts';
import { pskbCopy } from '#net/core/skbuff_copy.ts';
import { __sockPut, __sockWfree, skFree } from '#net/core/sock.ts';
import { skMemCharge, skWmemQueuedAdd } from '#net/core/sock_mem.ts';
import {
  inetCskClearXmitTimer,
  inetCskIncPingpongCnt,
} from '#net/ipv4/inet_connection_sock_timer.ts';
import { tcpEnterCwr } from '#net/ipv4/tcp_input_cwnd.ts';
import { tcpInitCwnd, tcpRearmRto } from '#net/ipv4/tcp_input_rtt.ts';
import { tcpCheckSpace } from '#net/ipv4/tcp_input_space.ts';
import { tcpChronoStart } from '#net/ipv4/tcp_output_chrono.ts';
import {
  tcpEstablishedOptions,
  tcpOptionsWrite,
  tcpSynOptions,
} from '#net/ipv4/tcp_output_options.ts';
import { tcpSelectWindow } from '#net/ipv4/tcp_output_window.ts';
import { tcpRateSkbSent } from '#net/ipv4/tcp_rate.ts';
import { ENOBUFS } from '#uapi/errno.ts';
import {
  LINUX_MIB_TCPACKCOMPRESSED,
  LINUX_MIB_TCPORIGDATASENT,
  TCP_MIB_OUTSEGS,
} from '#uapi/snmp.ts';
import { tcphdr } from '#uapi/tcp.ts';

const SKB_CLOCK_MONOTONIC = 1;
const TCPHDR_LEN = 20;
/** truesize that marks a pure ACK. @kernel skb_set_tcp_pure_ack include/net/tcp.h */
const PURE_ACK_TRUESIZE = 2;
/** What the smallest packet is charged, and the socket itself. @kernel SKB_TRUESIZE include/linux/skbuff.h */
const OOO_TRUESIZE: number = skbTruesize(1);

/** Takes the time for what is sent next. @kernel tcp_mstamp_refresh net/ipv4/tcp_output.c */
export function tcpMstampRefresh(tp: TcpSock): void {
  const now = tp.net.machine.nowNs;
  tp.tcpClockCache = now;
  tp.tcpMstamp = Math.floor(now / 1000);
}

/** After a pause the old window says nothing about the path. @kernel tcp_cwnd_restart net/ipv4/tcp_output.c @rfc 2861 */
export function tcpCwndRestart(sk: Sock, delta: number): void {
  const tp = tcpSk(sk);
  let cwnd = tcpSndCwnd(tp);
  tcpCaEvent(sk, CA_EVENT_CWND_RESTART);
  tp.sndSsthresh = tcpCurrentSsthresh(sk);
  const restartCwnd = Math.min(tcpInitCwnd(tp, sk.skDstCache), cwnd);
  let left = delta - tp.icskRto;
  while (left > 0 && cwnd > restartCwnd) {
    cwnd >>= 1;
    left -= tp.icskRto;
  }
  tcpSndCwndSet(tp, Math.max(cwnd, restartCwnd));
  tp.sndCwndStamp = sk.net.machine.jiffies;
  tp.sndCwndUsed = 0;
}

/** @kernel tcp_event_data_sent net/ipv4/tcp_output.c */
function tcpEventDataSent(tp: TcpSock, sk: Sock): void {
  const now = sk.net.machine.jiffies;
  if (tcpPacketsInFlight(tp) === 0) tcpCaEvent(sk, CA_EVENT_TX_START);
  tp.lsndtime = now;
  // Data soon after data came in: an answer, so ACKs can wait to ride on answers.
  if ((now - tp.ackLrcvtime) >>> 0 < tp.ackAto) inetCskIncPingpongCnt(sk);
}

/** @kernel tcp_event_ack_sent net/ipv4/tcp_output.c */
function tcpEventAckSent(sk: Sock, rcvNxt: number): void {
  const tp = tcpSk(sk);
  if (tp.compressedAck !== 0) {
    netAddStats(sk.net, LINUX_MIB_TCPACKCOMPRESSED, tp.compressedAck);
    tp.compressedAck = 0;
    if (tp.compressedAckTimer !== null && hrtimerCancel(tp.compressedAckTimer)) __sockPut(sk);
  }
  // DCTCP acknowledges an earlier point now and then; that pays no debt.
  if (rcvNxt !== tp.rcvNxt) return;
  tcpDecQuickackMode(sk);
  inetCskClearXmitTimer(sk, ICSK_TIME_DACK);
}

/** Sets up a packet without data. @kernel tcp_init_nondata_skb net/ipv4/tcp_output.c */
export function tcpInitNondataSkb(skb: SkBuff, seq: number, flags: number): void {
  const cb = skb.tcpCb;
  skb.ipSummed = CHECKSUM_PARTIAL;
  cb.tcpFlags = flags;
  tcpSkbPcountSet(skb, 1);
  cb.seq = seq;
  // SYN and FIN take a sequence number each.
  cb.endSeq = (flags & 0x03) !== 0 ? (seq + 1) | 0 : seq;
}

/** @kernel tcp_urg_mode net/ipv4/tcp_output.c */
export function tcpUrgMode(tp: TcpSock): boolean {
  return tp.sndUna !== tp.sndUp;
}

/**
 * The clone has left the device: wakes the sender when it was held back by its queue limit.
 * @kernel tcp_wfree net/ipv4/tcp_output.c
 */
export function tcpWfree(skb: SkBuff): void {
  const sk = skb.sk as TcpSock;
  // One unit is kept, so that the socket lives until the tasklet has seen it.
  sk.skWmemAlloc -= skb.truesize - 1;
  const { machine } = sk.net;
  const stressed = sk.skWmemAlloc >= skbTruesize(1) && machine.cpu.ksoftirqdRunning;
  const flags = sk.tsqFlags;
  if (stressed || (flags & (1 << TSQ_THROTTLED)) === 0 || (flags & (1 << TSQ_QUEUED)) !== 0) {
    skFree(sk);
    return;
  }
  sk.tsqFlags = (flags & ~(1 << TSQ_THROTTLED)) | (1 << TSQ_QUEUED);
  const globals = machine.netGlobals;
  sk.tsqNext = null;
  if (globals.tsqTail === null) {
    globals.tsqHead = sk;
    if (globals.tsqTasklet !== null) taskletSchedule(globals.tsqTasklet);
  } else {
    globals.tsqTail.tsqNext = sk;
  }
  globals.tsqTail = sk;
}

/** Works out when the next packet may leave and files this one as the latest sent. @kernel tcp_update_skb_after_send net/ipv4/tcp_output.c */
function tcpUpdateSkbAfterSend(sk: Sock, skb: SkBuff, priorWstamp: number): void {
  const tp = tcpSk(sk);
  if (sk.skPacingStatus !== SK_PACING_NONE) {
    const rate = sk.skPacingRate;
    // The first ten segments go at once, as sch_fq lets them.
    if (rate < Number.MAX_SAFE_INTEGER && rate > 0 && tp.dataSegsOut >= 10) {
      let lenNs = Math.floor((skb.len * 1e9) / rate);
      const credit = tp.tcpWstampNs - priorWstamp;
      lenNs -= Math.min(Math.floor(lenNs / 2), credit);
      tp.tcpWstampNs += lenNs;
    }
  }
  tcpTsortedMoveTail(tp, skb);
}

/** Urgent pointer of a segment that lies before the urgent data. */
function writeUrg(th: number, tp: TcpSock, seq: number): void {
  if (before(tp.sndUp, (seq + 0x10000) | 0)) {
    tcphdr.setUrgPtr(view, th, (tp.sndUp - seq) & 0xffff);
    tcphdr.setFlags(view, th, tcphdr.flags(view, th) | TCPHDR_URG);
  } else if (after((seq + 0xffff) | 0, tp.sndNxt)) {
    tcphdr.setUrgPtr(view, th, 0xffff);
    tcphdr.setFlags(view, th, tcphdr.flags(view, th) | TCPHDR_URG);
  }
}

/** Pushes and fills the header. Returns its length with options. */
function buildHeader(sk: Sock, skb: SkBuff, rcvNxt: number): number {
  const tp = tcpSk(sk);
  const tcb = skb.tcpCb;
  const syn = (tcb.tcpFlags & TCPHDR_SYN) !== 0;
  const opts = sk.net.machine.netGlobals.tcpOutOptions;
  let optionsSize: number;
  if (syn) {
    tcpGetCurrentKey(sk, opts);
    optionsSize = tcpSynOptions(sk, skb, opts);
  } else {
    optionsSize = tcpEstablishedOptions(sk, skb, opts);
    // Tells the receiver's GRO that the packet is complete.
    if (tcpSkbPcount(skb) > 1) tcb.tcpFlags |= TCPHDR_PSH;
  }
  const headerSize = optionsSize + TCPHDR_LEN;
  const th = skbPush(skb, headerSize);
  skbResetTransportHeader(skb);
  tcphdr.setSource(view, th, tp.inetSport);
  tcphdr.setDest(view, th, tp.skcDport);
  tcphdr.setSeq(view, th, tcb.seq);
  tcphdr.setAckSeq(view, th, rcvNxt);
  tcphdr.setDoffFlags(view, th, headerSize >> 2, tcb.tcpFlags);
  tcphdr.setCheck(view, th, 0);
  tcphdr.setUrgPtr(view, th, 0);
  if (tcpUrgMode(tp) && before(tcb.seq, tp.sndUp)) writeUrg(th, tp, tcb.seq);
  skb.shinfo.gsoType = sk.skGsoType;
  if (syn) {
    // RFC 7323#2.2: the window of a SYN is never scaled.
    tcphdr.setWindow(view, th, Math.min(tp.rcvWnd, 65535));
  } else {
    tcphdr.setWindow(view, th, tcpSelectWindow(sk));
    const ecn = tcpEcnSend(sk, skb, headerSize);
    if (ecn !== 0) tcphdr.setFlags9(view, th, tcphdr.flags9(view, th) | ecn);
  }
  tcpOptionsWrite(th, tp, opts);
  if (opts.keyType !== TCP_KEY_NONE) tcpAuthTransmitSkb(sk, skb, opts);
  return headerSize;
}

/** The socket pays for the packet until it has left. */
function chargeSender(sk: Sock, skb: SkBuff): void {
  skbOrphan(skb);
  skb.sk = sk;
  skb.destructor = skb.truesize === PURE_ACK_TRUESIZE ? __sockWfree : tcpWfree;
  sk.skWmemAlloc += skb.truesize;
  skb.dstPendingConfirm = sk.skDstPendingConfirm;
}

/** Counts what the segment carries. */
function countSegment(sk: Sock, skb: SkBuff, headerSize: number): void {
  const tp = tcpSk(sk);
  const tcb = skb.tcpCb;
  const pcount = tcpSkbPcount(skb);
  if (skb.len !== headerSize) {
    tcpEventDataSent(tp, sk);
    tp.dataSegsOut += pcount;
    tp.bytesSent += skb.len - headerSize;
  }
  if (after(tcb.endSeq, tp.sndNxt) || tcb.seq === tcb.endSeq) {
    tcpAddStats(sk.net, TCP_MIB_OUTSEGS, pcount);
  }
  tp.segsOut += pcount;
}

/**
 * Sends a packet, or (`cloneIt`) a clone of one that stays in a queue. Takes `skb` when it is not
 * cloned. 0, or a negative errno when it did not leave.
 * @kernel __tcp_transmit_skb net/ipv4/tcp_output.c
 */
export function __tcpTransmitSkb(sk: Sock, oskb: SkBuff, cloneIt: boolean, rcvNxt: number): number {
  const tp = tcpSk(sk);
  if (DEBUG) bugOn(tcpSkbPcount(oskb) === 0, 'tcp-transmit-pcount', 'no segments');
  const priorWstamp = tp.tcpWstampNs;
  tp.tcpWstampNs = Math.max(tp.tcpWstampNs, tp.tcpClockCache);
  skbSetDeliveryTime(oskb, tp.tcpWstampNs, SKB_CLOCK_MONOTONIC);
  oskb.skbMstampNs = tp.tcpWstampNs;
  let skb = oskb;
  if (cloneIt) {
    const clone = skbCloned(oskb) ? pskbCopy(oskb) : skbClone(oskb);
    if (clone === null) return -ENOBUFS;
    skb = clone;
    skb.dev = null;
  }
  const tcb = skb.tcpCb;
  const headerSize = buildHeader(sk, skb, rcvNxt);
  // With nothing of ours below, or nothing unacknowledged, there is nothing to overtake.
  skb.oooOkay = sk.skWmemAlloc <= OOO_TRUESIZE || tp.rtxQueue.node === null;
  chargeSender(sk, skb);
  tp.icskAfOps!.sendCheck(sk, skb);
  if ((tcb.tcpFlags & TCPHDR_ACK) !== 0) tcpEventAckSent(sk, rcvNxt);
  countSegment(sk, skb, headerSize);
  if (sk.skTxhash !== 0) skbSetHash(skb, sk.skTxhash, true);
  skb.shinfo.gsoSegs = tcpSkbPcount(skb);
  skb.shinfo.gsoSize = tcpSkbMss(skb);
  ipcbClear(skb);
  let err = tp.icskAfOps!.queueXmit(sk, skb);
  if (err > 0) {
    tcpEnterCwr(sk);
    // A queue that is filling has taken the packet: no error of ours.
    err = err === NET_XMIT_CN ? 0 : err;
  }
  if (err === 0 && cloneIt) {
    tcpUpdateSkbAfterSend(sk, oskb, priorWstamp);
    tcpRateSkbSent(sk, oskb);
  }
  return err;
}

/** @kernel tcp_transmit_skb net/ipv4/tcp_output.c */
export function tcpTransmitSkb(sk: Sock, skb: SkBuff, cloneIt: boolean): number {
  return __tcpTransmitSkb(sk, skb, cloneIt, tcpSk(sk).rcvNxt);
}

/** A packet has been sent for the first time. @kernel tcp_event_new_data_sent net/ipv4/tcp_output.c */
export function tcpEventNewDataSent(sk: Sock, skb: SkBuff): void {
  const tp = tcpSk(sk);
  const priorPackets = tp.packetsOut;
  tp.sndNxt = skb.tcpCb.endSeq;
  __skbUnlink(skb, sk.skWriteQueue);
  tcpRbtreeInsert(tp.rtxQueue, skb);
  if (tp.highestSack === null) tp.highestSack = skb;
  const pcount = tcpSkbPcount(skb);
  tp.packetsOut += pcount;
  if (priorPackets === 0 || tp.icskPending === ICSK_TIME_LOSS_PROBE) tcpRearmRto(sk);
  netAddStats(sk.net, LINUX_MIB_TCPORIGDATASENT, pcount);
  tcpCheckSpace(sk);
}

/** @kernel tcp_add_write_queue_tail include/net/tcp.h */
export function tcpAddWriteQueueTail(sk: Sock, skb: SkBuff): void {
  __skbQueueTail(sk.skWriteQueue, skb);
  if (sk.skWriteQueue.next === skb) tcpChronoStart(sk, TCP_CHRONO_BUSY);
}

/** Queues a packet without sending it: someone calls push later. @kernel tcp_queue_skb net/ipv4/tcp_output.c */
export function tcpQueueSkb(sk: Sock, skb: SkBuff): void {
  tcpSk(sk).writeSeq = skb.tcpCb.endSeq;
  __skbHeaderRelease(skb);
  tcpAddWriteQueueTail(sk, skb);
  skWmemQueuedAdd(sk, skb.truesize);
  skMemCharge(sk, skb.truesize);
}
