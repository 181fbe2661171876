/**
 * The metrics cache: round trip time, windows and Fast Open cookies of each destination, from one
 * connection to the next.
 *
 * Counterpart: net/ipv4/tcp_metrics.c; its netlink side is in tcp_metrics_nl.ts. RFC 9040 (sharing
 * of control blocks over time), RFC 6298#5.7, RFC 7413#4.1.3 (client's cache).
 */

import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import { type DstEntry, dstMetricLocked, dstMetricRaw } from '#include/net/dst.ts';
import type { RequestSock } from '#include/net/inet_connection_sock.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Sock } from '#include/net/sock.ts';
import { tcpSk } from '#include/net/tcp.ts';
import { type TcpFastopenCookie, tcpFastopenCookieCopy } from '#include/net/tcp_fastopen.ts';
import { tcpInInitialSlowstart, tcpInSlowStart, tcpSndCwnd } from '#include/net/tcp_inlines.ts';
import {
  TCP_METRIC_CWND,
  TCP_METRIC_REORDERING,
  TCP_METRIC_RTT,
  TCP_METRIC_RTTVAR,
  TCP_METRIC_SSTHRESH,
  TcpMetricsBlock,
} from '#include/net/tcp_metrics.ts';
import type { Machine } from '#kernel/machine.ts';
import { HZ } from '#kernel/param.ts';
import { timeAfter, timeBefore } from '#kernel/time/jiffies.ts';
import { registerPernetSubsys } from '#net/core/net_namespace.ts';
import { __skDstGet } from '#net/core/sock.ts';
import {
  RTAX_CWND,
  RTAX_REORDERING,
  RTAX_RTT,
  RTAX_RTTVAR,
  RTAX_SSTHRESH,
} from '#uapi/rtnetlink.ts';
import { TCP_CA_Open } from '#uapi/tcp.ts';

const TCP_METRICS_TIMEOUT = 60 * 60 * HZ;
/** Entries of a slot before the oldest is used again. */
const TCP_METRICS_RECLAIM_DEPTH = 5;
const HASH_LOG = 13;
const GOLDEN_RATIO_32 = 0x61c88647;

/** The route's metric that an entry starts from, by TCP_METRIC_*. */
const RTAX_OF: readonly number[] = [
  RTAX_RTT,
  RTAX_RTTVAR,
  RTAX_SSTHRESH,
  RTAX_CWND,
  RTAX_REORDERING,
];

function slotOf(daddr: number): number {
  return Math.imul(daddr, GOLDEN_RATIO_32) >>> (32 - HASH_LOG);
}

/** @kernel tcp_metric_locked net/ipv4/tcp_metrics.c */
function locked(tm: TcpMetricsBlock, metric: number): boolean {
  return (tm.lock & (1 << metric)) !== 0;
}

/** @kernel tcp_metric_get net/ipv4/tcp_metrics.c */
function get(tm: TcpMetricsBlock, metric: number): number {
  return tm.vals[metric] as number;
}

/** Unless the route has fixed it. @kernel tcp_metric_set net/ipv4/tcp_metrics.c */
function set(tm: TcpMetricsBlock, metric: number, value: number): void {
  if (!locked(tm, metric)) tm.vals[metric] = value;
}

// ---- Entries -----------------------------------------------------------------------------------

/** Starts an entry from what its route says. @kernel tcpm_suck_dst net/ipv4/tcp_metrics.c */
function tcpmSuckDst(tm: TcpMetricsBlock, dst: DstEntry, now: number, clear: boolean): void {
  tm.stamp = now;
  tm.lock = 0;
  for (const [metric, rtax] of RTAX_OF.entries()) {
    if (dstMetricLocked(dst, rtax)) tm.lock |= 1 << metric;
    const value = dstMetricRaw(dst, rtax);
    // Routes have times in ms.
    const time = metric === TCP_METRIC_RTT || metric === TCP_METRIC_RTTVAR;
    tm.vals[metric] = time ? value * 1000 : value;
  }
  if (!clear) return;
  const { fastopen } = tm;
  fastopen.mss = 0;
  fastopen.synLoss = 0;
  fastopen.tryExp = 0;
  fastopen.cookie.exp = false;
  fastopen.cookie.len = 0;
}

/** After an hour without news the numbers are no longer believed. @kernel tcpm_check_stamp net/ipv4/tcp_metrics.c */
function tcpmCheckStamp(tm: TcpMetricsBlock, dst: DstEntry, now: number): void {
  if (timeAfter(now, (tm.stamp + TCP_METRICS_TIMEOUT) | 0)) tcpmSuckDst(tm, dst, now, false);
}

/** @kernel __tcp_get_metrics net/ipv4/tcp_metrics.c */
function lookup(net: Net, saddr: number, daddr: number): TcpMetricsBlock | null {
  let tm = net.ipv4.tcpMetrics.slots.get(slotOf(daddr)) ?? null;
  while (tm !== null && (tm.daddr !== daddr || tm.saddr !== saddr)) tm = tm.next;
  return tm;
}

/** @kernel tcpm_new net/ipv4/tcp_metrics.c */
function tcpmNew(net: Net, dst: DstEntry, saddr: number, daddr: number): TcpMetricsBlock {
  const { slots } = net.ipv4.tcpMetrics;
  const slot = slotOf(daddr);
  const head = slots.get(slot) ?? null;
  let depth = 0;
  let oldest = head;
  for (let tm = head; tm !== null; tm = tm.next) {
    if (timeBefore(tm.stamp, (oldest as TcpMetricsBlock).stamp)) oldest = tm;
    depth++;
  }
  const { jiffies } = net.machine;
  if (oldest !== null && depth > TCP_METRICS_RECLAIM_DEPTH) {
    oldest.saddr = saddr;
    oldest.daddr = daddr;
    tcpmSuckDst(oldest, dst, jiffies, true);
    return oldest;
  }
  const tm = new TcpMetricsBlock(saddr, daddr, head);
  tcpmSuckDst(tm, dst, jiffies, false);
  slots.set(slot, tm);
  return tm;
}

/** @kernel tcp_get_metrics net/ipv4/tcp_metrics.c */
function tcpGetMetrics(tp: TcpSock, dst: DstEntry, create: boolean): TcpMetricsBlock | null {
  const tm = lookup(tp.net, tp.inetSaddr, tp.skcDaddr);
  if (tm !== null) tcpmCheckStamp(tm, dst, tp.net.machine.jiffies);
  else if (create) return tcpmNew(tp.net, dst, tp.inetSaddr, tp.skcDaddr);
  return tm;
}

/** Forgets all destinations of a namespace. @kernel tcp_metrics_flush_all net/ipv4/tcp_metrics.c */
export function tcpMetricsFlushAll(net: Net): void {
  net.ipv4.tcpMetrics.slots.clear();
}

/** Forgets a destination, from one local address or from any (null). False: it is not known. @kernel tcp_metrics_nl_cmd_del net/ipv4/tcp_metrics.c */
export function tcpMetricsDelete(net: Net, saddr: number | null, daddr: number): boolean {
  const { slots } = net.ipv4.tcpMetrics;
  const slot = slotOf(daddr);
  let found = false;
  let prev: TcpMetricsBlock | null = null;
  for (let tm = slots.get(slot) ?? null; tm !== null; tm = tm.next) {
    if (tm.daddr !== daddr || (saddr !== null && tm.saddr !== saddr)) {
      prev = tm;
      continue;
    }
    found = true;
    if (prev !== null) prev.next = tm.next;
    else if (tm.next !== null) slots.set(slot, tm.next);
    else slots.delete(slot);
  }
  return found;
}

/** The entry of a destination, as netlink's GET finds it. */
export function tcpMetricsFind(
  net: Net,
  saddr: number | null,
  daddr: number,
): TcpMetricsBlock | null {
  let tm = net.ipv4.tcpMetrics.slots.get(slotOf(daddr)) ?? null;
  while (tm !== null && (tm.daddr !== daddr || (saddr !== null && tm.saddr !== saddr))) {
    tm = tm.next;
  }
  return tm;
}

// ---- End of a connection -----------------------------------------------------------------------

/** An overestimate does less harm, so that a larger time is taken at once, a smaller one slowly. */
function updateRtt(tp: TcpSock, tm: TcpMetricsBlock): void {
  const rtt = get(tm, TCP_METRIC_RTT);
  let m = rtt - tp.srttUs;
  set(tm, TCP_METRIC_RTT, m <= 0 ? tp.srttUs : rtt - (m >> 3));
  m = Math.max(Math.abs(m) >> 1, tp.mdevUs);
  const rttvar = get(tm, TCP_METRIC_RTTVAR);
  set(tm, TCP_METRIC_RTTVAR, m >= rttvar ? m : rttvar - ((rttvar - m) >> 2));
}

function updateWindow(tp: TcpSock, tm: TcpMetricsBlock): void {
  const { ipv4 } = tp.net;
  const saveSsthresh = ipv4.sysctlTcpNoSsthreshMetricsSave === 0;
  const cwnd = tcpSndCwnd(tp);
  const ssthresh = get(tm, TCP_METRIC_SSTHRESH);
  const known = get(tm, TCP_METRIC_CWND);
  if (tcpInInitialSlowstart(tp)) {
    if (saveSsthresh && ssthresh !== 0 && cwnd >>> 1 > ssthresh) {
      set(tm, TCP_METRIC_SSTHRESH, cwnd >>> 1);
    }
    if (cwnd > known) set(tm, TCP_METRIC_CWND, cwnd);
  } else if (!tcpInSlowStart(tp) && tp.icskCaState === TCP_CA_Open) {
    // Congestion avoidance: now the window says something.
    if (saveSsthresh) set(tm, TCP_METRIC_SSTHRESH, Math.max(cwnd >>> 1, tp.sndSsthresh));
    set(tm, TCP_METRIC_CWND, (known + cwnd) >>> 1);
  } else {
    // Within slow start or recovery neither window nor threshold is final.
    set(tm, TCP_METRIC_CWND, (known + tp.sndSsthresh) >>> 1);
    if (saveSsthresh && ssthresh !== 0 && tp.sndSsthresh > ssthresh) {
      set(tm, TCP_METRIC_SSTHRESH, tp.sndSsthresh);
    }
    if (
      get(tm, TCP_METRIC_REORDERING) < tp.reordering &&
      tp.reordering !== ipv4.sysctlTcpReordering
    ) {
      set(tm, TCP_METRIC_REORDERING, tp.reordering);
    }
  }
}

/** Keeps what a connection has learned. @kernel tcp_update_metrics net/ipv4/tcp_metrics.c */
export function updateMetrics(sk: Sock): void {
  const tp = tcpSk(sk);
  const dst = __skDstGet(sk);
  if (sk.net.ipv4.sysctlTcpNometricsSave !== 0 || dst === null) return;
  if (tp.icskBackoff !== 0 || tp.srttUs === 0) {
    // It had no answers of late: what was known has proven wrong.
    const tm = tcpGetMetrics(tp, dst, false);
    if (tm !== null) set(tm, TCP_METRIC_RTT, 0);
    return;
  }
  const tm = tcpGetMetrics(tp, dst, true);
  if (tm === null) return;
  updateRtt(tp, tm);
  updateWindow(tp, tm);
  tm.stamp = sk.net.machine.jiffies;
}

// ---- Start of a connection ---------------------------------------------------------------------

/** Takes over window limits; the cached round trip time (us << 3), or 0. */
function applyMetrics(tp: TcpSock, tm: TcpMetricsBlock): number {
  if (locked(tm, TCP_METRIC_CWND)) tp.sndCwndClamp = get(tm, TCP_METRIC_CWND);
  const save = tp.net.ipv4.sysctlTcpNoSsthreshMetricsSave === 0;
  const ssthresh = save ? get(tm, TCP_METRIC_SSTHRESH) : 0;
  if (ssthresh !== 0) tp.sndSsthresh = Math.min(ssthresh, tp.sndCwndClamp);
  const reordering = get(tm, TCP_METRIC_REORDERING);
  if (reordering !== 0) tp.reordering = reordering;
  return get(tm, TCP_METRIC_RTT);
}

/** What is known of the peer, for tcpInitMetrics(). */
export function applyKnownMetrics(tp: TcpSock): number {
  const dst = __skDstGet(tp);
  const tm = dst === null ? null : tcpGetMetrics(tp, dst, false);
  return tm === null ? 0 : applyMetrics(tp, tm);
}

/** Has a connection to the sender of this SYN ever been completed? @kernel tcp_peer_is_proven net/ipv4/tcp_metrics.c */
export function peerIsProven(req: RequestSock, dst: DstEntry): boolean {
  const tm = lookup(req.net, req.irLocAddr, req.irRmtAddr);
  if (tm === null) return false;
  tcpmCheckStamp(tm, dst, req.net.machine.jiffies);
  return get(tm, TCP_METRIC_RTT) !== 0;
}

// ---- Fast Open ---------------------------------------------------------------------------------

/**
 * The cookie and the MSS of the destination. Leaves `cookie` as it is when nothing is known; the MSS,
 * or 0.
 * @kernel tcp_fastopen_cache_get net/ipv4/tcp_metrics.c
 */
export function tcpFastopenCacheGet(sk: Sock, cookie: TcpFastopenCookie): number {
  const dst = __skDstGet(sk);
  const tm = dst === null ? null : tcpGetMetrics(tcpSk(sk), dst, false);
  if (tm === null) return 0;
  const { fastopen } = tm;
  tcpFastopenCookieCopy(cookie, fastopen.cookie);
  if (cookie.len <= 0 && fastopen.tryExp === 1) cookie.exp = true;
  return fastopen.mss;
}

/**
 * Keeps what a SYN-ACK has brought. `mss` 0: unknown; `synLost`: the SYN with data got no answer.
 * @kernel tcp_fastopen_cache_set net/ipv4/tcp_metrics.c
 */
export function tcpFastopenCacheSet(
  sk: Sock,
  mss: number,
  cookie: TcpFastopenCookie,
  synLost: boolean,
  tryExp: number,
): void {
  const dst = __skDstGet(sk);
  const tm = dst === null ? null : tcpGetMetrics(tcpSk(sk), dst, true);
  if (tm === null) return;
  const { fastopen } = tm;
  if (mss !== 0) fastopen.mss = mss;
  if (cookie.len > 0) {
    tcpFastopenCookieCopy(fastopen.cookie, cookie);
  } else if (tryExp > fastopen.tryExp && fastopen.cookie.len <= 0 && !fastopen.cookie.exp) {
    fastopen.tryExp = tryExp;
  }
  if (synLost) {
    fastopen.synLoss++;
    fastopen.lastSynLoss = sk.net.machine.jiffies;
  } else {
    fastopen.synLoss = 0;
  }
}

/** @kernel tcp_metrics_init net/ipv4/tcp_metrics.c */
function tcpMetricsInit(machine: Machine): number {
  machine.netGlobals.tcpMetrics = {
    update: updateMetrics,
    apply: applyKnownMetrics,
    peerIsProven,
  };
  return registerPernetSubsys(machine, {
    name: 'tcp_metrics',
    init: () => 0,
    exit: tcpMetricsFlushAll,
  });
}

export const tcpMetricsModule: KernelModule = {
  name: 'tcp_metrics',
  config: null,
  depends: [],
  level: FS_INITCALL,
  init: tcpMetricsInit,
  exit: null,
};
