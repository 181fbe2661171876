/**
 * The active open: sets up a connection from its route and sends the SYN.
 * Counterpart of tcp_connect in net/ipv4/tcp_output.c. RFC 9293#3.10.1, RFC 7323#2.2.
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import { __skbHeaderRelease } from '#include/linux/skbuff.ts';
import { dstMetric, dstMetricAdvmss, dstMtu } from '#include/net/dst.ts';
import { ICSK_TIME_RETRANS } from '#include/net/inet_connection_sock.ts';
import { tcpIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import { SOCK_DONE, SOCK_RCVBUF_LOCK } from '#include/net/sock.ts';
import { TCPHDR_SYN, tcpSk } from '#include/net/tcp.ts';
import { tcpAoConnectInit, tcpCheckKeys } from '#include/net/tcp_auth_ops.ts';
import { tcpEcnSendSyn } from '#include/net/tcp_ecn.ts';
import { tcpSendSynData } from '#include/net/tcp_fastopen_ops.ts';
import {
  tcpFullSpace,
  tcpInitWl,
  tcpJiffies32,
  tcpMssClamp,
  tcpTimeoutInit,
  tcpTimeStampTs,
} from '#include/net/tcp_inlines.ts';
import { tcpRbtreeInsert, tcpSendHead, tcpSkbPcount } from '#include/net/tcp_queue.ts';
import { sockResetFlag } from '#net/core/sock.ts';
import { skMemCharge, skWmemQueuedAdd } from '#net/core/sock_mem.ts';
import { tcpResetXmitTimer } from '#net/ipv4/inet_connection_sock_timer.ts';
import { tcpCaDstInit } from '#net/ipv4/tcp_cong.ts';
import { tcpFinishConnect } from '#net/ipv4/tcp_input.ts';
import { tcpClearRetrans } from '#net/ipv4/tcp_input_cwnd.ts';
import { tcpInitializeRcvMss } from '#net/ipv4/tcp_input_rcvbuf.ts';
import { tcpInitNondataSkb, tcpMstampRefresh, tcpTransmitSkb } from '#net/ipv4/tcp_output.ts';
import { tcpMtupInit, tcpSyncMss } from '#net/ipv4/tcp_output_mss.ts';
import { tcpSelectInitialWindow } from '#net/ipv4/tcp_output_window.ts';
import { tcpStreamAllocSkb, tcpWriteQueuePurge } from '#net/ipv4/tcp_state.ts';
import { ECONNREFUSED, EHOSTUNREACH, ENOBUFS } from '#uapi/errno.ts';
import { RTAX_INITRWND, RTAX_WINDOW } from '#uapi/rtnetlink.ts';
import { TCP_MIB_ACTIVEOPENS } from '#uapi/snmp.ts';
import { TCPOLEN_TSTAMP_ALIGNED } from '#uapi/tcp.ts';

const TCPHDR_LEN = 20;

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
  if (tp.repair) tp.rcvTstamp = tcpJiffies32(sk);
  else tp.rcvNxt = 0;
  tp.rcvWup = tp.rcvNxt;
  tp.copiedSeq = tp.rcvNxt;
  tp.icskRto = tcpTimeoutInit(sk);
  tp.icskRetransmits = 0;
  tcpClearRetrans(tp);
}

/** @kernel tcp_connect_queue_skb net/ipv4/tcp_output.c */
export function tcpConnectQueueSkb(sk: Sock, skb: SkBuff): void {
  const tp = tcpSk(sk);
  const tcb = skb.tcpCb;
  tcb.endSeq = (tcb.endSeq + skb.len) | 0;
  __skbHeaderRelease(skb);
  skWmemQueuedAdd(sk, skb.truesize);
  skMemCharge(sk, skb.truesize);
  tp.writeSeq = tcb.endSeq;
  tp.packetsOut += tcpSkbPcount(skb);
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
  if (tp.repair) {
    // The handshake was long ago.
    tcpFinishConnect(sk, null);
    return 0;
  }
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
