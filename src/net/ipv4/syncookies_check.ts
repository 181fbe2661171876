/**
 * The way back from a SYN cookie to a socket.
 *
 * Counterpart: cookie_v4_check of net/ipv4/syncookies.c; the cookies themselves are in syncookies.ts.
 */

import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { TcpOptionsReceived } from '#include/linux/tcp.ts';
import { type DstEntry, dstFeature, dstMetric } from '#include/net/dst.ts';
import { Flowi4 } from '#include/net/flow.ts';
import type { RequestSock } from '#include/net/inet_connection_sock.ts';
import { netIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import { tcpSk } from '#include/net/tcp.ts';
import { tcpAoSyncookie } from '#include/net/tcp_auth_ops.ts';
import { cookieAccecnOk } from '#include/net/tcp_ecn.ts';
import { tcpFullSpace } from '#include/net/tcp_inlines.ts';
import type { Machine } from '#kernel/machine.ts';
import { view } from '#mm/memory.ts';
import { reqskFree } from '#net/core/request_sock.ts';
import { secureTcpTsOff } from '#net/core/secure_seq.ts';
import { sockPut } from '#net/core/sock.ts';
import { inetCskReqskQueueAdd } from '#net/ipv4/inet_connection_sock.ts';
import { inetCskRouteReq } from '#net/ipv4/inet_connection_sock_route.ts';
import {
  __cookieV4Check,
  cookieInitSequence,
  cookieInitTimestamp,
  cookieTimestampDecode,
  TS_OPT_ECN,
  tcpSynqNoRecentOverflow,
} from '#net/ipv4/syncookies.ts';
import { inetReqskAlloc } from '#net/ipv4/tcp_input_conn.ts';
import { tcpParseOptions } from '#net/ipv4/tcp_input_options.ts';
import { tcpRequestSockOps } from '#net/ipv4/tcp_ipv4_conn.ts';
import { tcpSelectInitialWindow } from '#net/ipv4/tcp_output_window.ts';
import { iphdr } from '#uapi/ip.ts';
import { RTAX_FEATURE_ECN, RTAX_INITRWND, RTAX_WINDOW } from '#uapi/rtnetlink.ts';
import { LINUX_MIB_SYNCOOKIESFAILED, LINUX_MIB_SYNCOOKIESRECV } from '#uapi/snmp.ts';
import { SOCK_RCVBUF_LOCK } from '#uapi/socket.ts';
import { TCPHDR_ACK, TCPHDR_RST, tcphdr } from '#uapi/tcp.ts';

/** The request that the cookie stands for. @kernel cookie_tcp_reqsk_init net/ipv4/syncookies.c */
function cookieTcpReqsk(sk: Sock, skb: SkBuff, opt: TcpOptionsReceived, mss: number): RequestSock {
  const iph = skb.networkHeader;
  const th = skb.transportHeader;
  const req = inetReqskAlloc(tcpRequestSockOps, sk, false);
  req.irLocAddr = iphdr.daddr(view, iph);
  req.irRmtAddr = iphdr.saddr(view, iph);
  req.irNum = tcphdr.dest(view, th);
  req.irRmtPort = tcphdr.source(view, th);
  req.irIif = sk.skcBoundDevIf;
  req.irMark = sk.skMark;
  req.noSrccheck = tcpSk(sk).transparent;
  req.mss = mss;
  req.tsRecent = opt.sawTstamp ? opt.rcvTsval : 0;
  req.tstampOk = opt.sawTstamp;
  req.sackOk = opt.sackOk !== 0;
  req.wscaleOk = opt.wscaleOk;
  req.sndWscale = opt.sndWscale;
  req.ecnOk = opt.sawTstamp && (opt.rcvTsecr & TS_OPT_ECN) !== 0;
  req.rcvIsn = (tcphdr.seq(view, th) - 1) | 0;
  req.rcvNxt = tcphdr.seq(view, th);
  req.sntIsn = (tcphdr.ackSeq(view, th) - 1) | 0;
  req.txhash = sk.net.machine.random.u32() | 1;
  req.synTos = skb.tcpCb.ipDsfield;
  req.syncookie = true;
  tcpAoSyncookie(sk, skb, req);
  return req;
}

/** The window that the SYN-ACK offered, worked out again. @kernel cookie_v4_check net/ipv4/syncookies.c */
function cookieWindow(sk: Sock, req: RequestSock, dst: DstEntry): void {
  const tp = tcpSk(sk);
  const fullSpace = tcpFullSpace(sk);
  let clamp = tp.windowClamp !== 0 ? tp.windowClamp : dstMetric(dst, RTAX_WINDOW);
  if ((sk.skUserlocks & SOCK_RCVBUF_LOCK) !== 0 && (clamp > fullSpace || clamp === 0)) {
    clamp = fullSpace;
  }
  const win = tcpSelectInitialWindow(
    sk,
    fullSpace,
    req.mss,
    clamp,
    req.wscaleOk,
    dstMetric(dst, RTAX_INITRWND),
  );
  req.rskRcvWnd = win.rcvWnd;
  req.rskWindowClamp = win.windowClamp;
  req.rcvWscale = win.rcvWscale;
}

/** @kernel tcp_get_cookie_sock net/ipv4/syncookies.c */
function tcpGetCookieSock(sk: Sock, skb: SkBuff, req: RequestSock, dst: DstEntry): Sock | null {
  const ops = tcpSk(sk).icskAfOps;
  const made = ops === null ? null : ops.synRecvSock(sk, skb, req, dst, null);
  const child = made === null ? null : made.sk;
  if (child !== null) {
    req.refcnt = 1;
    if (inetCskReqskQueueAdd(sk, req, child) !== null) return child;
    sockPut(child);
  }
  reqskFree(req);
  return null;
}

/**
 * A segment for a listener that no request matches. Returns `sk` when it bears no cookie, the new
 * socket when it does, null when it is to be dropped.
 * @kernel cookie_v4_check net/ipv4/syncookies.c
 */
export function cookieV4Check(sk: Sock, skb: SkBuff): Sock | null {
  const net = sk.net;
  const flags = tcphdr.flags(view, skb.transportHeader);
  if (net.ipv4.sysctlTcpSyncookies === 0) return sk;
  if ((flags & (TCPHDR_ACK | TCPHDR_RST)) !== TCPHDR_ACK) return sk;
  if (tcpSynqNoRecentOverflow(sk)) return sk;
  const mss = __cookieV4Check(net.machine, skb);
  if (mss === 0) {
    netIncStats(net, LINUX_MIB_SYNCOOKIESFAILED);
    return sk;
  }
  netIncStats(net, LINUX_MIB_SYNCOOKIESRECV);

  const iph = skb.networkHeader;
  const opt = new TcpOptionsReceived();
  tcpParseOptions(net, skb, opt, false);
  let tsoff = 0;
  if (opt.sawTstamp && opt.rcvTsecr !== 0) {
    const th = skb.transportHeader;
    tsoff = secureTcpTsOff(
      net,
      iphdr.daddr(view, iph),
      iphdr.saddr(view, iph),
      tcphdr.dest(view, th),
      tcphdr.source(view, th),
    );
    opt.rcvTsecr = (opt.rcvTsecr - tsoff) | 0;
  }
  if (!cookieTimestampDecode(net, opt)) return sk;

  const req = cookieTcpReqsk(sk, skb, opt, mss);
  req.tsOff = tsoff;
  const dst = inetCskRouteReq(sk, new Flowi4(), req);
  if (dst === null) {
    reqskFree(req);
    return null;
  }
  cookieWindow(sk, req, dst);
  if (net.ipv4.sysctlTcpEcn === 0 && dstFeature(dst, RTAX_FEATURE_ECN) === 0) req.ecnOk = false;
  req.accecnOk = req.ecnOk && cookieAccecnOk(skb.transportHeader);
  return tcpGetCookieSock(sk, skb, req, dst);
}

/** @kernel cookie_v4_check net/ipv4/syncookies.c */
function synCookiesInit(machine: Machine): number {
  machine.netGlobals.synCookies = {
    initSequence: cookieInitSequence,
    initTimestamp: cookieInitTimestamp,
    v4Check: cookieV4Check,
  };
  return 0;
}

export const synCookiesModule: KernelModule = {
  name: 'syncookies',
  config: 'CONFIG_SYN_COOKIES',
  depends: [],
  level: FS_INITCALL,
  init: synCookiesInit,
  exit: null,
};
