/**
 * The active open: sets up a connection from its route and sends the SYN.
 * Counterpart of tcp_connect in net/ipv4/tcp_output.c. RFC 9293#3.10.1, RFC 7323#2.2.
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  __skbHeaderRelease,
  skbFillPageDesc,
  skbSetDeliveryTime,
  skbZcopySet,
} from '#include/linux/skbuff.ts';
import { __skbQueueTail } from '#include/linux/skbuff_queue.ts';
import { TCP_CHRONO_BUSY } from '#include/linux/tcp.ts';
import { dstMetric, dstMetricAdvmss, dstMtu } from '#include/net/dst.ts';
import { ICSK_TIME_RETRANS } from '#include/net/inet_connection_sock.ts';
import { netIncStats, tcpIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import { SOCK_DONE, SOCK_RCVBUF_LOCK } from '#include/net/sock.ts';
import {
  MAX_TCP_OPTION_SPACE,
  TCPHDR_ACK,
  TCPHDR_PSH,
  TCPHDR_SYN,
  tcpSk,
  tcpSkbCbCopy,
} from '#include/net/tcp.ts';
import { tcpAoConnectInit, tcpCheckKeys } from '#include/net/tcp_auth_ops.ts';
import { tcpEcnSendSyn } from '#include/net/tcp_ecn.ts';
import type { TcpFastopenRequest } from '#include/net/tcp_fastopen.ts';
import {
  tcpFullSpace,
  tcpInitWl,
  tcpMssClamp,
  tcpTimeoutInit,
  tcpTimeStampTs,
} from '#include/net/tcp_inlines.ts';
import { tcpRbtreeInsert, tcpSendHead, tcpSkbPcount } from '#include/net/tcp_queue.ts';
import { copyFromIter } from '#net/core/iov_iter.ts';
import { __kfreeSkb } from '#net/core/skbuff.ts';
import { sockResetFlag } from '#net/core/sock.ts';
import {
  skMemCharge,
  skPageFragGet,
  skPageFragRefill,
  skWmemQueuedAdd,
} from '#net/core/sock_mem.ts';
import { tcpResetXmitTimer } from '#net/ipv4/inet_connection_sock_timer.ts';
import { tcpCaDstInit } from '#net/ipv4/tcp_cong.ts';
import { tcpFastopenCookieCheck } from '#net/ipv4/tcp_fastopen_active.ts';
import { tcpClearRetrans } from '#net/ipv4/tcp_input_cwnd.ts';
import { tcpInitializeRcvMss } from '#net/ipv4/tcp_input_rcvbuf.ts';
import { tcpInitNondataSkb, tcpMstampRefresh, tcpTransmitSkb } from '#net/ipv4/tcp_output.ts';
import { tcpChronoStart } from '#net/ipv4/tcp_output_chrono.ts';
import { __tcpMtuToMss, tcpMtupInit, tcpSyncMss } from '#net/ipv4/tcp_output_mss.ts';
import { tcpSelectInitialWindow } from '#net/ipv4/tcp_output_window.ts';
import { tcpStreamAllocSkb, tcpWmemSchedule, tcpWriteQueuePurge } from '#net/ipv4/tcp_state.ts';
import { ECONNREFUSED, EHOSTUNREACH, ENOBUFS } from '#uapi/errno.ts';
import { SKB_CONSUMED } from '#uapi/net_dropreason.ts';
import { RTAX_INITRWND, RTAX_WINDOW } from '#uapi/rtnetlink.ts';
import { LINUX_MIB_TCPORIGDATASENT, TCP_MIB_ACTIVEOPENS } from '#uapi/snmp.ts';
import { TCPOLEN_TSTAMP_ALIGNED } from '#uapi/tcp.ts';

const TCPHDR_LEN = 20;
const SKB_CLOCK_MONOTONIC = 1;

/** Sizes that follow from the route; the peer's SYN-ACK may lower them. */
function initSizes(sk: Sock): void {
  const tp = tcpSk(sk);
  const { ipv4 } = sk.net;
  const dst = sk.skDstCache!;
  tp.tcpHeaderLen = TCPHDR_LEN + (ipv4.sysctlTcpTimestamps !== 0 ? TCPOLEN_TSTAMP_ALIGNED : 0);
  tcpAoConnectInit(sk);
  if (tp.rxOpt.userMss !== 0) tp.rxOpt.mssClamp = tp.rxOpt.userMss;
  tp.maxWindow = 0;
  tcpMtupInit(sk);
  tcpSyncMss(sk, dstMtu(dst));
  tcpCaDstInit(sk, dst);
  if (tp.windowClamp === 0) tp.windowClamp = dstMetric(dst, RTAX_WINDOW);
  tp.advmss = tcpMssClamp(tp, dstMetricAdvmss(dst));
  tcpInitializeRcvMss(sk);
  const space = tcpFullSpace(sk);
  if (
    (sk.skUserlocks & SOCK_RCVBUF_LOCK) !== 0 &&
    (tp.windowClamp > space || tp.windowClamp === 0)
  ) {
    tp.windowClamp = space;
  }
  const optLen = tp.rxOpt.tsRecentStamp !== 0 ? tp.tcpHeaderLen - TCPHDR_LEN : 0;
  const win = tcpSelectInitialWindow(
    sk,
    space,
    tp.advmss - optLen,
    tp.windowClamp,
    ipv4.sysctlTcpWindowScaling !== 0,
    dstMetric(dst, RTAX_INITRWND),
  );
  tp.rcvWnd = win.rcvWnd;
  tp.windowClamp = win.windowClamp;
  tp.rxOpt.rcvWscale = win.rcvWscale;
  tp.rcvSsthresh = tp.rcvWnd;
}

/** @kernel tcp_connect_init net/ipv4/tcp_output.c */
function tcpConnectInit(sk: Sock): void {
  const tp = tcpSk(sk);
  initSizes(sk);
  sk.skErr = 0;
  sockResetFlag(sk, SOCK_DONE);
  tp.sndWnd = 0;
  tcpInitWl(tp, 0);
  tcpWriteQueuePurge(sk);
  tp.sndUna = tp.writeSeq;
  tp.sndSml = tp.writeSeq;
  tp.sndUp = tp.writeSeq;
  tp.sndNxt = tp.writeSeq;
  tp.rcvNxt = 0;
  tp.rcvWup = 0;
  tp.copiedSeq = 0;
  tp.icskRto = tcpTimeoutInit(sk);
  tp.icskRetransmits = 0;
  tcpClearRetrans(tp);
}

/** @kernel tcp_connect_queue_skb net/ipv4/tcp_output.c */
function tcpConnectQueueSkb(sk: Sock, skb: SkBuff): void {
  const tp = tcpSk(sk);
  const tcb = skb.tcpCb;
  tcb.endSeq = (tcb.endSeq + skb.len) | 0;
  __skbHeaderRelease(skb);
  skWmemQueuedAdd(sk, skb.truesize);
  skMemCharge(sk, skb.truesize);
  tp.writeSeq = tcb.endSeq;
  tp.packetsOut += tcpSkbPcount(skb);
}

/** Fills the packet that goes with the SYN; false: there is data and no memory for it. */
function fillSynData(sk: Sock, synData: SkBuff, fo: TcpFastopenRequest, room: number): boolean {
  const iter = fo.data?.msgIter ?? null;
  if (iter === null || room === 0 || !skPageFragRefill(sk)) return room === 0;
  const space = tcpWmemSchedule(sk, Math.min(room, sk.skFragSize - sk.skFragOffset));
  if (space === 0) return true;
  if (copyFromIter(sk.skFragPage + sk.skFragOffset, space, iter) !== space) return false;
  skbFillPageDesc(synData, 0, sk.skFragPage, sk.skFragOffset, space);
  skPageFragGet(sk);
  sk.skFragOffset += space;
  synData.len += space;
  synData.dataLen += space;
  synData.truesize += space;
  fo.copied = space;
  if (fo.uarg !== null) skbZcopySet(synData, fo.uarg);
  return true;
}

/** Data that may go with the SYN, as a packet that looks like it; null: none may. */
function makeSynData(sk: Sock, syn: SkBuff, fo: TcpFastopenRequest): SkBuff | null {
  const tp = tcpSk(sk);
  // Our own MSS, where the peer's is not known from before.
  const cached = { mss: tp.advmss };
  const allowed = tcpFastopenCookieCheck(sk, fo.cookie, cached);
  tp.rxOpt.mssClamp = cached.mss;
  if (!allowed) return null;
  tp.rxOpt.mssClamp = tcpMssClamp(tp, cached.mss);
  tcpSyncMss(sk, tp.icskPmtuCookie);
  // Middleboxes may add options of their own.
  const room = __tcpMtuToMss(sk, tp.icskPmtuCookie) - MAX_TCP_OPTION_SPACE;
  const synData = tcpStreamAllocSkb(sk, false);
  if (synData === null) return null;
  tcpSkbCbCopy(synData.tcpCb, syn.tcpCb);
  if (!fillSynData(sk, synData, fo, Math.min(Math.max(room, 0), fo.size))) {
    __kfreeSkb(synData, SKB_CONSUMED);
    return null;
  }
  return synData;
}

/**
 * Sends the SYN with data, when a cookie (or the settings) allow it; else a plain one that asks for a
 * cookie. Both packets stay on the retransmit queue, so that the SYN can be repeated without data.
 * @kernel tcp_send_syn_data net/ipv4/tcp_output.c
 * @rfc 7413#4.2.1
 */
function tcpSendSynData(sk: Sock, syn: SkBuff, fo: TcpFastopenRequest): number {
  const tp = tcpSk(sk);
  const synData = makeSynData(sk, syn, fo);
  if (synData !== null) {
    if (fo.copied === fo.size) fo.data = null;
    tcpConnectQueueSkb(sk, synData);
    if (synData.len !== 0) tcpChronoStart(sk, TCP_CHRONO_BUSY);
    const err = tcpTransmitSkb(sk, synData, true);
    // One transmission of both: the SYN's time is that of its data.
    syn.skbMstampNs = synData.skbMstampNs;
    skbSetDeliveryTime(syn, synData.skbMstampNs, SKB_CLOCK_MONOTONIC);
    // From now on it is the data alone; the SYN has its own packet.
    const cb = synData.tcpCb;
    cb.seq = (cb.seq + 1) | 0;
    cb.tcpFlags = TCPHDR_ACK | TCPHDR_PSH;
    if (err === 0) {
      tp.synData = fo.copied > 0;
      tcpRbtreeInsert(tp.rtxQueue, synData);
      netIncStats(sk.net, LINUX_MIB_TCPORIGDATASENT);
      fo.cookie.len = -1;
      return 0;
    }
    __skbQueueTail(sk.skWriteQueue, synData);
    tp.packetsOut -= tcpSkbPcount(synData);
  }
  if (fo.cookie.len > 0) fo.cookie.len = 0;
  const err = tcpTransmitSkb(sk, syn, true);
  if (err !== 0) tp.synFastopen = false;
  // A repeated SYN asks for nothing.
  fo.cookie.len = -1;
  return err;
}

/**
 * Sends the SYN. The socket is in SYN_SENT and in the tables. 0 or a negative errno.
 * @kernel tcp_connect net/ipv4/tcp_output.c
 */
export function tcpConnect(sk: Sock): number {
  const tp = tcpSk(sk);
  const keys = tcpCheckKeys(sk);
  if (keys !== 0) return keys;
  if (tp.icskAfOps!.rebuildHeader(sk) !== 0) return -EHOSTUNREACH;
  tcpConnectInit(sk);
  const buff = tcpStreamAllocSkb(sk, true);
  if (buff === null) return -ENOBUFS;
  tcpInitNondataSkb(buff, tp.writeSeq, TCPHDR_SYN);
  tcpMstampRefresh(tp);
  tp.retransStamp = tcpTimeStampTs(tp);
  tcpConnectQueueSkb(sk, buff);
  tcpEcnSendSyn(sk, buff);
  tcpRbtreeInsert(tp.rtxQueue, buff);
  const fo = tp.fastopenReq;
  const err = fo !== null ? tcpSendSynData(sk, buff, fo) : tcpTransmitSkb(sk, buff, true);
  if (err === -ECONNREFUSED) return -ECONNREFUSED;
  // After the transmission, so that the SYN counts as a new segment.
  tp.sndNxt = tp.writeSeq;
  tp.pushedSeq = tp.writeSeq;
  const head = tcpSendHead(sk);
  if (head !== null) {
    tp.sndNxt = head.tcpCb.seq;
    tp.pushedSeq = head.tcpCb.seq;
  }
  tcpIncStats(sk.net, TCP_MIB_ACTIVEOPENS);
  tcpResetXmitTimer(sk, ICSK_TIME_RETRANS, tp.icskRto, false);
  return 0;
}
