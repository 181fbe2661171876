/**
 * Segment sizes: from the path MTU to the MSS in use, and how many segments a packet makes.
 *
 * Counterpart of the mtu/mss functions of net/ipv4/tcp_output.c. RFC 9293#3.7.1, RFC 4821 (MTU
 * probing keeps a search range in `mtup*`).
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import { dstMtu } from '#include/net/dst.ts';
import { inetCsk } from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import { tcpSk } from '#include/net/tcp.ts';
import { tcpSkbMss, tcpSkbPcount, tcpSkbPcountSet } from '#include/net/tcp_queue.ts';
import { HZ } from '#kernel/param.ts';
import { tcpEstablishedOptions } from '#net/ipv4/tcp_output_options.ts';
import { TCP_MSS_DEFAULT } from '#uapi/tcp.ts';

const TCPHDR_LEN = 20;

/** MSS of a path without TCP's own options. @kernel __tcp_mtu_to_mss net/ipv4/tcp_output.c */
export function __tcpMtuToMss(sk: Sock, pmtu: number): number {
  const tp = tcpSk(sk);
  let mss = pmtu - tp.icskAfOps!.netHeaderLen - TCPHDR_LEN;
  if (mss > tp.rxOpt.mssClamp) mss = tp.rxOpt.mssClamp;
  mss -= tp.icskExtHdrLen;
  return Math.max(mss, sk.net.ipv4.sysctlTcpMinSndMss);
}

/** Payload of a full segment on a path of `pmtu`, SACK blocks not counted. @kernel tcp_mtu_to_mss net/ipv4/tcp_output.c */
export function tcpMtuToMss(sk: Sock, pmtu: number): number {
  return __tcpMtuToMss(sk, pmtu) - (tcpSk(sk).tcpHeaderLen - TCPHDR_LEN);
}

/** @kernel tcp_mss_to_mtu net/ipv4/tcp_output.c */
export function tcpMssToMtu(sk: Sock, mss: number): number {
  const tp = tcpSk(sk);
  return mss + tp.tcpHeaderLen + tp.icskExtHdrLen + tp.icskAfOps!.netHeaderLen;
}

/** @kernel tcp_mtup_init net/ipv4/tcp_output.c */
export function tcpMtupInit(sk: Sock): void {
  const tp = tcpSk(sk);
  const { ipv4 } = sk.net;
  tp.mtupEnabled = ipv4.sysctlTcpMtuProbing > 1;
  tp.mtupSearchHigh = tp.rxOpt.mssClamp + TCPHDR_LEN + tp.icskAfOps!.netHeaderLen;
  tp.mtupSearchLow = tcpMssToMtu(sk, ipv4.sysctlTcpBaseMss);
  tp.mtupProbeSize = 0;
  if (tp.mtupEnabled) tp.mtupProbeTimestamp = sk.net.machine.jiffies;
}

/** No segment larger than half of the largest window the peer ever had. @kernel tcp_bound_to_half_wnd include/net/tcp.h */
export function tcpBoundToHalfWnd(tp: TcpSock, pktsize: number): number {
  const cutoff = tp.maxWindow > TCP_MSS_DEFAULT ? tp.maxWindow >> 1 : tp.maxWindow;
  if (cutoff !== 0 && pktsize > cutoff) return Math.max(cutoff, 68 - tp.tcpHeaderLen);
  return pktsize;
}

/** Takes over a path MTU; returns the MSS. @kernel tcp_sync_mss net/ipv4/tcp_output.c */
export function tcpSyncMss(sk: Sock, pmtu: number): number {
  const tp = tcpSk(sk);
  if (tp.mtupSearchHigh > pmtu) tp.mtupSearchHigh = pmtu;
  let mss = tcpBoundToHalfWnd(tp, tcpMtuToMss(sk, pmtu));
  inetCsk(sk).icskPmtuCookie = pmtu;
  if (tp.mtupEnabled) mss = Math.min(mss, tcpMtuToMss(sk, tp.mtupSearchLow));
  tp.mssCache = mss;
  return mss;
}

/** Payload that the next full segment carries, all options counted. @kernel tcp_current_mss net/ipv4/tcp_output.c */
export function tcpCurrentMss(sk: Sock): number {
  const tp = tcpSk(sk);
  const dst = sk.skDstCache;
  let mss = tp.mssCache;
  if (dst !== null) {
    const mtu = dstMtu(dst);
    if (mtu !== tp.icskPmtuCookie) mss = tcpSyncMss(sk, mtu);
  }
  const opts = sk.net.machine.netGlobals.tcpOutOptions;
  const headerLen = tcpEstablishedOptions(sk, null, opts) + TCPHDR_LEN;
  // tcpHeaderLen has the options of every segment; SACK blocks come on top now and then.
  return mss - (headerLen - tp.tcpHeaderLen);
}

/** After a while, look again whether the path has grown. @kernel tcp_mtu_check_reprobe net/ipv4/tcp_output.c */
export function tcpMtuCheckReprobe(sk: Sock): void {
  const tp = tcpSk(sk);
  const interval = sk.net.ipv4.sysctlTcpProbeInterval;
  const now = sk.net.machine.jiffies;
  if (((now - tp.mtupProbeTimestamp) | 0) < interval * HZ) return;
  const mss = tcpCurrentMss(sk);
  tp.mtupProbeSize = 0;
  tp.mtupSearchHigh = tp.rxOpt.mssClamp + TCPHDR_LEN + tp.icskAfOps!.netHeaderLen;
  tp.mtupSearchLow = tcpMssToMtu(sk, mss);
  tp.mtupProbeTimestamp = now;
}

/** @kernel tcp_set_skb_tso_segs net/ipv4/tcp_output.c */
export function tcpSetSkbTsoSegs(skb: SkBuff, mssNow: number): number {
  if (skb.len <= mssNow) {
    skb.tcpCb.tcpGsoSize = 0;
    tcpSkbPcountSet(skb, 1);
    return 1;
  }
  const segs = Math.ceil(skb.len / mssNow);
  skb.tcpCb.tcpGsoSize = mssNow;
  tcpSkbPcountSet(skb, segs);
  return segs;
}

/** The same, unless it is known already. @kernel tcp_init_tso_segs net/ipv4/tcp_output.c */
export function tcpInitTsoSegs(skb: SkBuff, mssNow: number): number {
  const segs = tcpSkbPcount(skb);
  if (segs === 0 || (segs > 1 && tcpSkbMss(skb) !== mssNow)) return tcpSetSkbTsoSegs(skb, mssNow);
  return segs;
}
