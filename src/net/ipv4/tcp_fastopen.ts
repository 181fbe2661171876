/**
 * Fast Open, the server's side: keys, cookies, and the socket that a SYN with a good cookie makes.
 *
 * Counterpart: net/ipv4/tcp_fastopen.c; the client's half is in tcp_fastopen_active.ts, what both do
 * with incoming segments in tcp_input_fastopen.ts. RFC 7413#4.1.2, #4.2.2.
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import { skMarkNapiId } from '#include/net/busy_poll.ts';
import type { DstEntry } from '#include/net/dst.ts';
import {
  ICSK_TIME_RETRANS,
  inetCsk,
  type RequestSock,
  type RequestSockQueue,
} from '#include/net/inet_connection_sock.ts';
import { netIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import { tcpSk } from '#include/net/tcp.ts';
import {
  type TcpFastopenContext,
  TcpFastopenCookie,
  TFO_SERVER_COOKIE_NOT_REQD,
  TFO_SERVER_ENABLE,
  tcpFastopenCookieCopy,
} from '#include/net/tcp_fastopen.ts';
import { tcpTimeoutInit } from '#include/net/tcp_inlines.ts';
import { timeAfter } from '#kernel/time/jiffies.ts';
import { siphash64 } from '#lib/siphash.ts';
import { mem, view } from '#mm/memory.ts';
import { reqskPut } from '#net/core/request_sock.ts';
import { tcpResetXmitTimer } from '#net/ipv4/inet_connection_sock_timer.ts';
import { tcpFastopenNoCookie } from '#net/ipv4/tcp_fastopen_active.ts';
import { tcpInitTransfer } from '#net/ipv4/tcp_input.ts';
import { tcpFastopenAddSkb } from '#net/ipv4/tcp_input_fastopen.ts';
import { iphdr } from '#uapi/ip.ts';
import {
  LINUX_MIB_TCPFASTOPENCOOKIEREQD,
  LINUX_MIB_TCPFASTOPENLISTENOVERFLOW,
  LINUX_MIB_TCPFASTOPENPASSIVE,
  LINUX_MIB_TCPFASTOPENPASSIVEALTKEY,
  LINUX_MIB_TCPFASTOPENPASSIVEFAIL,
} from '#uapi/snmp.ts';
import { TCP_FASTOPEN_COOKIE_SIZE, tcphdr } from '#uapi/tcp.ts';

// ---- Cookies -----------------------------------------------------------------------------------

/**
 * The cookie of this pair of addresses: SipHash of both, as they stand in the header of the SYN.
 * @kernel __tcp_fastopen_cookie_gen_cipher net/ipv4/tcp_fastopen.c
 */
function cookieGenCipher(syn: SkBuff, key: Int32Array, foc: TcpFastopenCookie): void {
  // Source and destination stand side by side.
  const { lo, hi } = siphash64(mem, syn.networkHeader + iphdr.LEN - 8, 8, key);
  const v = new DataView(foc.val.buffer, foc.val.byteOffset, foc.val.byteLength);
  v.setUint32(0, lo, true);
  v.setUint32(4, hi, true);
  foc.len = TCP_FASTOPEN_COOKIE_SIZE;
}

/** Keys of the listener, else of its namespace. @kernel tcp_fastopen_get_ctx include/net/tcp.h */
function getCtx(sk: Sock): TcpFastopenContext | null {
  return inetCsk(sk).icskAcceptQueueOrNull?.fastopenqCtx ?? sk.net.ipv4.tcpFastopenCtx;
}

/** @kernel tcp_fastopen_cookie_gen net/ipv4/tcp_fastopen.c */
function cookieGen(sk: Sock, syn: SkBuff, foc: TcpFastopenCookie): void {
  const key = getCtx(sk)?.sipKeys[0];
  if (key !== undefined) cookieGenCipher(syn, key, foc);
}

/** @kernel tcp_fastopen_cookie_match include/net/tcp.h */
function cookieMatch(a: TcpFastopenCookie, b: TcpFastopenCookie): boolean {
  if (a.len !== TCP_FASTOPEN_COOKIE_SIZE || b.len !== a.len) return false;
  for (let i = 0; i < a.len; i++) if (a.val[i] !== b.val[i]) return false;
  return true;
}

/**
 * 0: wrong, else the number of the key, from 1, that made the cookie. `valid` becomes the cookie of
 * the first key.
 * @kernel tcp_fastopen_cookie_gen_check net/ipv4/tcp_fastopen.c
 */
function cookieGenCheck(
  sk: Sock,
  syn: SkBuff,
  orig: TcpFastopenCookie,
  valid: TcpFastopenCookie,
): number {
  let foc = valid;
  for (const [i, key] of (getCtx(sk)?.sipKeys ?? []).entries()) {
    cookieGenCipher(syn, key, foc);
    if (cookieMatch(foc, orig)) return i + 1;
    foc = new TcpFastopenCookie(-1);
  }
  return 0;
}

// ---- The child ---------------------------------------------------------------------------------

/**
 * A full socket, from no more than the SYN. It waits for the last ACK with `req` beside it; null: no
 * memory or no room.
 * @kernel tcp_fastopen_create_child net/ipv4/tcp_fastopen.c
 */
function createChild(sk: Sock, skb: SkBuff, req: RequestSock): Sock | null {
  const child = tcpSk(sk).icskAfOps?.synRecvSock(sk, skb, req, null, null).sk ?? null;
  if (child === null) return null;
  inetCsk(sk).icskAcceptQueue.fastopenqQlen++;
  const tp = tcpSk(child);
  tp.fastopenRsk = req;
  tp.synFastopenChild = true;
  req.tfoListener = true;
  // The window of a SYN is never scaled.
  tp.sndWnd = tcphdr.window(view, skb.transportHeader);
  tp.maxWindow = tp.sndWnd;
  // The request is in no table: the child's timer repeats the SYN-ACK.
  req.timeout = tcpTimeoutInit(child);
  tcpResetXmitTimer(child, ICSK_TIME_RETRANS, req.timeout, false);
  // One reference is the caller's, one belongs to the child or the accept queue.
  req.refcnt = 2;
  skMarkNapiId(child, skb);
  tcpInitTransfer(child);
  tp.rcvNxt = (skb.tcpCb.seq + 1) | 0;
  tcpFastopenAddSkb(child, skb);
  req.rcvNxt = tp.rcvNxt;
  tp.rcvWup = tp.rcvNxt;
  return child;
}

/**
 * May one more Fast Open request be pending? Those that ended in a reset count for a minute, so that
 * a flood of forged sources cannot fill the server.
 * @kernel tcp_fastopen_queue_check net/ipv4/tcp_fastopen.c
 * @rfc 7413#5.1
 */
function queueCheck(sk: Sock): boolean {
  const queue: RequestSockQueue = inetCsk(sk).icskAcceptQueue;
  if (queue.fastopenqMaxQlen === 0) return false;
  if (queue.fastopenqQlen < queue.fastopenqMaxQlen) return true;
  const req = queue.fastopenqRstHead;
  if (req === null || timeAfter(req.fastopenExpires, sk.net.machine.jiffies)) {
    netIncStats(sk.net, LINUX_MIB_TCPFASTOPENLISTENOVERFLOW);
    return false;
  }
  queue.fastopenqRstHead = req.dlNext;
  req.dlNext = null;
  queue.fastopenqQlen--;
  reqskPut(req);
  return true;
}

/** Takes the data of the SYN now: the child, or null. `key`: number of the cookie's key. */
function acceptNow(
  sk: Sock,
  skb: SkBuff,
  req: RequestSock,
  foc: TcpFastopenCookie,
  valid: TcpFastopenCookie,
  key: number,
): Sock | null {
  const child = createChild(sk, skb, req);
  if (child === null) {
    netIncStats(sk.net, LINUX_MIB_TCPFASTOPENPASSIVEFAIL);
    return null;
  }
  if (key === 2) {
    // Made with the old key: the client gets a new one.
    valid.exp = foc.exp;
    tcpFastopenCookieCopy(foc, valid);
    netIncStats(sk.net, LINUX_MIB_TCPFASTOPENPASSIVEALTKEY);
  } else {
    foc.len = -1;
  }
  netIncStats(sk.net, LINUX_MIB_TCPFASTOPENPASSIVE);
  return child;
}

/**
 * A SYN that may carry data or a cookie, `foc`. Returns the child that has taken the data, or null
 * for the regular handshake; `foc` becomes the option of the SYN-ACK.
 * @kernel tcp_try_fastopen net/ipv4/tcp_fastopen.c
 * @rfc 7413#4.2.2
 */
export function tryFastopen(
  sk: Sock,
  skb: SkBuff,
  req: RequestSock,
  foc: TcpFastopenCookie,
  dst: DstEntry,
): Sock | null {
  const synData = skb.tcpCb.endSeq !== ((skb.tcpCb.seq + 1) | 0);
  const enabled = (sk.net.ipv4.sysctlTcpFastopen & TFO_SERVER_ENABLE) !== 0;
  if (foc.len === 0) netIncStats(sk.net, LINUX_MIB_TCPFASTOPENCOOKIEREQD);
  if (!enabled || (!synData && foc.len < 0) || !queueCheck(sk)) {
    foc.len = -1;
    return null;
  }
  const valid = new TcpFastopenCookie(-1);
  if (tcpFastopenNoCookie(sk, dst, TFO_SERVER_COOKIE_NOT_REQD)) {
    const child = acceptNow(sk, skb, req, foc, valid, 0);
    if (child !== null) return child;
  } else if (foc.len === 0) {
    cookieGen(sk, skb, valid);
  } else if (foc.len > 0) {
    const key = cookieGenCheck(sk, skb, foc, valid);
    if (key === 0) {
      netIncStats(sk.net, LINUX_MIB_TCPFASTOPENPASSIVEFAIL);
    } else {
      // A SYN without data but with a good cookie lets us send before the last ACK.
      const child = acceptNow(sk, skb, req, foc, valid, key);
      if (child !== null) return child;
    }
  }
  valid.exp = foc.exp;
  tcpFastopenCookieCopy(foc, valid);
  return null;
}
