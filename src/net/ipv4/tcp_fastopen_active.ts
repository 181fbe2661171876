/**
 * Fast Open, the client's decisions: may a SYN carry data, and with which cookie? And the pause after
 * signs that something on the way swallows such SYNs.
 *
 * Counterpart: the client half of net/ipv4/tcp_fastopen.c. RFC 7413#4.1.3, #4.2.1, #7.1 (middleboxes).
 */
import { type DstEntry, dstMetric } from '#include/net/dst.ts';
import { netIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import { TCPHDR_FIN, tcpSk } from '#include/net/tcp.ts';
import {
  TcpFastopenCookie,
  TcpFastopenRequest,
  TFO_CLIENT_NO_COOKIE,
  TFO_COOKIE_UNAVAILABLE,
  tcpFastopenCookieCopy,
} from '#include/net/tcp_fastopen.ts';
import { skbRbFirst, skbRbNext } from '#include/net/tcp_queue.ts';
import { HZ } from '#kernel/param.ts';
import { timeBefore } from '#kernel/time/jiffies.ts';
import { __skDstGet } from '#net/core/sock.ts';
import { tcpFastopenCacheGet } from '#net/ipv4/tcp_metrics.ts';
import { IFF_LOOPBACK } from '#uapi/if.ts';
import { RTAX_FASTOPEN_NO_COOKIE } from '#uapi/rtnetlink.ts';
import { LINUX_MIB_TCPFASTOPENACTIVEFAIL, LINUX_MIB_TCPFASTOPENBLACKHOLE } from '#uapi/snmp.ts';

/** The pause doubles with each failure up to this power. */
const MAX_PAUSE_SHIFT = 6;

/** Is `flag` of tcp_fastopen, the socket or the route for doing without cookies? @kernel tcp_fastopen_no_cookie net/ipv4/tcp_fastopen.c */
export function tcpFastopenNoCookie(sk: Sock, dst: DstEntry | null, flag: number): boolean {
  return (
    (sk.net.ipv4.sysctlTcpFastopen & flag) !== 0 ||
    tcpSk(sk).fastopenNoCookie ||
    (dst !== null && dstMetric(dst, RTAX_FASTOPEN_NO_COOKIE) !== 0)
  );
}

// ---- Blackholes --------------------------------------------------------------------------------

/** Pauses Fast Open for the whole namespace. @kernel tcp_fastopen_active_disable net/ipv4/tcp_fastopen.c */
export function activeDisable(sk: Sock): void {
  const { ipv4 } = sk.net;
  if (ipv4.sysctlTcpFastopenBlackholeTimeout === 0) return;
  ipv4.tfoActiveDisableStamp = sk.net.machine.jiffies;
  ipv4.tfoActiveDisableTimes++;
  netIncStats(sk.net, LINUX_MIB_TCPFASTOPENBLACKHOLE);
}

/** Is it paused? @kernel tcp_fastopen_active_should_disable net/ipv4/tcp_fastopen.c */
export function tcpFastopenActiveShouldDisable(sk: Sock): boolean {
  const { ipv4 } = sk.net;
  const seconds = ipv4.sysctlTcpFastopenBlackholeTimeout;
  const times = ipv4.tfoActiveDisableTimes;
  if (seconds === 0 || times === 0) return false;
  const pause = seconds * HZ * (1 << Math.min(times - 1, MAX_PAUSE_SHIFT));
  if (timeBefore(sk.net.machine.jiffies, (ipv4.tfoActiveDisableStamp + pause) | 0)) return true;
  // Should this connection work, the count starts again.
  tcpSk(sk).synFastopenCh = true;
  return false;
}

/**
 * At the end of a connection: all that came was a FIN out of order, so the data was swallowed; or
 * data did come, and Fast Open works again.
 * @kernel tcp_fastopen_active_disable_ofo_check net/ipv4/tcp_fastopen.c
 */
export function activeDisableOfoCheck(sk: Sock): void {
  const tp = tcpSk(sk);
  if (!tp.synFastopen) return;
  const { ipv4 } = sk.net;
  if (tp.dataSegsIn === 0) {
    const skb = skbRbFirst(tp.outOfOrderQueue);
    const alone = skb !== null && skbRbNext(skb) === null;
    if (alone && (skb.tcpCb.tcpFlags & TCPHDR_FIN) !== 0) activeDisable(sk);
  } else if (tp.synFastopenCh && ipv4.tfoActiveDisableTimes !== 0) {
    const dev = __skDstGet(sk)?.dev ?? null;
    if (dev === null || (dev.flags & IFF_LOOPBACK) === 0) ipv4.tfoActiveDisableTimes = 0;
  }
}

/** After a timeout; `expired`: the last one. @kernel tcp_fastopen_active_detect_blackhole net/ipv4/tcp_fastopen.c */
export function activeDetectBlackhole(sk: Sock, expired: boolean): void {
  const tp = tcpSk(sk);
  const timeouts = tp.icskRetransmits;
  // Such boxes may drop the SYN, or all that follows it: the third timeout in a row is taken for one.
  if (
    (tp.synFastopen || tp.synData || tp.synDataAcked) &&
    (timeouts === 2 || (timeouts < 2 && expired))
  ) {
    activeDisable(sk);
    netIncStats(sk.net, LINUX_MIB_TCPFASTOPENACTIVEFAIL);
  }
}

// ---- Cookies -----------------------------------------------------------------------------------

/**
 * May the SYN carry data? Fills `cookie`: length -1 means no option. `cachedMss`: gets the MSS that
 * the destination gave the last time, where it did.
 * @kernel tcp_fastopen_cookie_check net/ipv4/tcp_fastopen.c
 */
export function tcpFastopenCookieCheck(
  sk: Sock,
  cookie: TcpFastopenCookie,
  cachedMss: { mss: number },
): boolean {
  const mss = tcpFastopenCacheGet(sk, cookie);
  if (mss !== 0) cachedMss.mss = mss;
  if (tcpFastopenActiveShouldDisable(sk)) {
    cookie.len = -1;
    return false;
  }
  if (tcpFastopenNoCookie(sk, __skDstGet(sk), TFO_CLIENT_NO_COOKIE)) {
    cookie.len = -1;
    return true;
  }
  if (cookie.len > 0) return true;
  tcpSk(sk).fastopenClientFail = TFO_COOKIE_UNAVAILABLE;
  return false;
}

/**
 * TCP_FASTOPEN_CONNECT: true when connect() is to wait for the first data. Otherwise the SYN leaves
 * now, and asks for a cookie.
 * @kernel tcp_fastopen_defer_connect net/ipv4/tcp_fastopen.c
 */
export function deferConnect(sk: Sock): boolean {
  const tp = tcpSk(sk);
  if (!tp.fastopenConnect || tp.fastopenReq !== null) return false;
  const cookie = new TcpFastopenCookie(0);
  if (tcpFastopenCookieCheck(sk, cookie, { mss: 0 })) {
    tp.deferConnect = true;
    return true;
  }
  const req = new TcpFastopenRequest(null, 0);
  tcpFastopenCookieCopy(req.cookie, cookie);
  tp.fastopenReq = req;
  return false;
}
