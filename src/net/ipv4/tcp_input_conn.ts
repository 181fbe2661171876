/**
 * Incoming SYNs: from a segment to a request socket and a SYN-ACK.
 *
 * Counterpart: tcp_conn_request and its helpers of net/ipv4/tcp_input.c. RFC 9293#3.10.7.2,
 * RFC 4987 (SYN floods), RFC 3168#6.1.1 (ECN setup).
 */

import { HEADER_UNSET, type SkBuff } from '#include/linux/skbuff.ts';
import type { TcpOptionsReceived } from '#include/linux/tcp.ts';
import {
  DST_FEATURE_ECN_CA,
  DST_FEATURE_ECN_MASK,
  type DstEntry,
  dstFeature,
  dstRelease,
} from '#include/net/dst.ts';
import type { Flowi4 } from '#include/net/flow.ts';
import { RequestSock, type RequestSockOps } from '#include/net/inet_connection_sock.ts';
import { netIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import {
  TCP_SYNACK_COOKIE,
  TCP_SYNACK_FASTOPEN,
  TCP_SYNACK_NORMAL,
  tcpSk,
} from '#include/net/tcp.ts';
import { tcpReqAuth } from '#include/net/tcp_auth_ops.ts';
import {
  TCP_ACCECN_OPT_NOT_SEEN,
  TCP_ECN_IN_ACCECN_OUT_ACCECN,
  tcpAccecnSynRequested,
  tcpCaNeedsAccecn,
} from '#include/net/tcp_ecn.ts';
import type { TcpFastopenCookie } from '#include/net/tcp_fastopen.ts';
import { tcpTryFastopen } from '#include/net/tcp_fastopen_ops.ts';
import { tcpCaNeedsEcn, tcpClearOptions, tcpTimeoutInit } from '#include/net/tcp_inlines.ts';
import { mem, view } from '#mm/memory.ts';
import { reqskFree, reqskInit, reqskPut } from '#net/core/request_sock.ts';
import { skAcceptqIsFull, sockPut } from '#net/core/sock.ts';
import { reviveRequestSock } from '#net/core/sock_reset_fields.ts';
import {
  inetCskReqskQueueAdd,
  inetCskReqskQueueHashAdd,
  inetCskReqskQueueIsFull,
  inetCskReqskQueueLen,
} from '#net/ipv4/inet_connection_sock.ts';
import { tcpParseOptions } from '#net/ipv4/tcp_input_options.ts';
import { tcpPeerIsProven } from '#net/ipv4/tcp_metrics_init.ts';
import { tcpOpenreqInitRwin } from '#net/ipv4/tcp_minisocks_req.ts';
import { INET_ECN_MASK, INET_ECN_NOT_ECT } from '#uapi/ip.ts';
import {
  LINUX_MIB_LISTENDROPS,
  LINUX_MIB_LISTENOVERFLOWS,
  LINUX_MIB_TCPREQQFULLDOCOOKIES,
  LINUX_MIB_TCPREQQFULLDROP,
} from '#uapi/snmp.ts';
import { TCP_MSS_DEFAULT, TCP_NEW_SYN_RECV, TCPHDR_CWR, TCPHDR_ECE, tcphdr } from '#uapi/tcp.ts';

/** @kernel tcp_openreq_init net/ipv4/tcp_input.c */
function tcpOpenreqInit(req: RequestSock, rxOpt: TcpOptionsReceived, skb: SkBuff, sk: Sock): void {
  const th = skb.transportHeader;
  req.rskRcvWnd = 0;
  req.rcvIsn = skb.tcpCb.seq;
  req.rcvNxt = (skb.tcpCb.seq + 1) | 0;
  req.sntSynack = 0;
  req.sntTsvalFirst = 0;
  req.lastOowAckTime = 0;
  req.mss = rxOpt.mssClamp;
  req.tsRecent = rxOpt.sawTstamp ? rxOpt.rcvTsval : 0;
  req.tstampOk = rxOpt.tstampOk;
  req.sackOk = rxOpt.sackOk !== 0;
  req.sndWscale = rxOpt.sndWscale;
  req.wscaleOk = rxOpt.wscaleOk;
  req.acked = false;
  req.ecnOk = false;
  req.accecnOk = false;
  req.sawAccecnOpt = TCP_ACCECN_OPT_NOT_SEEN;
  req.accecnFailMode = 0;
  req.synEctRcv = 0;
  req.synEctSnt = 0;
  req.irRmtPort = tcphdr.source(view, th);
  req.irNum = tcphdr.dest(view, th);
  req.skcDport = req.irRmtPort;
  req.skcNum = req.irNum;
  const accept = sk.skMark === 0 && sk.net.ipv4.sysctlTcpFwmarkAccept !== 0;
  req.irMark = accept ? skb.mark : sk.skMark;
}

/**
 * Grants accurate ECN when the SYN asks for it and the settings allow; classic ECN when it asks for
 * that and is itself not marked, or when the route or the congestion control wants it.
 * @kernel tcp_ecn_create_request net/ipv4/tcp_input.c
 * @rfc 3168#6.1.1
 * @rfc 9768#3.1.2
 */
function tcpEcnCreateRequest(req: RequestSock, skb: SkBuff, sk: Sock, dst: DstEntry): void {
  const th = skb.transportHeader;
  if (
    tcpAccecnSynRequested(th) &&
    (sk.net.ipv4.sysctlTcpEcn >= TCP_ECN_IN_ACCECN_OUT_ACCECN || tcpCaNeedsAccecn(sk))
  ) {
    req.ecnOk = true;
    req.accecnOk = true;
    req.synEctRcv = skb.tcpCb.ipDsfield & INET_ECN_MASK;
    return;
  }
  const both = TCPHDR_ECE | TCPHDR_CWR;
  if ((tcphdr.flags(view, th) & both) !== both) return;
  const ect = (skb.tcpCb.ipDsfield & INET_ECN_MASK) !== INET_ECN_NOT_ECT;
  const dstEcn = dstFeature(dst, DST_FEATURE_ECN_MASK);
  const ecnOk = sk.net.ipv4.sysctlTcpEcn !== 0 || dstEcn !== 0;
  if (
    ((!ect || tcphdr.res1(view, th) !== 0 || tcphdr.ae(view, th) !== 0) && ecnOk) ||
    tcpCaNeedsEcn(sk) ||
    (dstEcn & DST_FEATURE_ECN_CA) !== 0
  ) {
    req.ecnOk = true;
  }
}

/** TCP_SAVE_SYN: keeps the headers of the SYN for the application. @kernel tcp_reqsk_record_syn net/ipv4/tcp_input.c */
function tcpReqskRecordSyn(sk: Sock, req: RequestSock, skb: SkBuff): void {
  const tp = tcpSk(sk);
  if (tp.saveSyn === 0) return;
  const from =
    tp.saveSyn === 2 && skb.macHeader !== HEADER_UNSET ? skb.macHeader : skb.networkHeader;
  const to = skb.transportHeader + tcphdr.hdrlen(view, skb.transportHeader);
  req.savedSyn = mem.slice(from, to);
}

/** net.ipv4.tcp_syncookies, of a kernel that has them. */
function syncookiesOf(sk: Sock): number {
  const { net } = sk;
  return net.machine.netGlobals.synCookies === null ? 0 : net.ipv4.sysctlTcpSyncookies;
}

/** The SYN queue is full: answer with cookies, or not at all. @kernel tcp_syn_flood_action net/ipv4/tcp_input.c */
function tcpSynFloodAction(sk: Sock): boolean {
  const wantCookie = syncookiesOf(sk) !== 0;
  netIncStats(sk.net, wantCookie ? LINUX_MIB_TCPREQQFULLDOCOOKIES : LINUX_MIB_TCPREQQFULLDROP);
  tcpSk(sk).icskAcceptQueue.synflood = 1;
  return wantCookie;
}

/**
 * A request of `listener`, which it holds unless it is to become a cookie.
 * @kernel inet_reqsk_alloc net/ipv4/inet_connection_sock.c
 */
export function inetReqskAlloc(
  ops: RequestSockOps,
  listener: Sock,
  attachListener: boolean,
): RequestSock {
  const { net, skcFamily } = listener;
  let req = net.machine.netGlobals.reqskSlab.alloc();
  if (req === null) req = new RequestSock(net, skcFamily, ops, null);
  else reviveRequestSock(req, net, skcFamily, ops);
  reqskInit(req, attachListener ? listener : null);
  req.skcState = TCP_NEW_SYN_RECV;
  return req;
}

/** @kernel tcp_listendrop include/net/tcp.h */
export function tcpListendrop(sk: Sock): void {
  sk.skDrops++;
  netIncStats(sk.net, LINUX_MIB_LISTENDROPS);
}

/** Counts and refuses a SYN that cannot be served. */
function tcpConnDrop(sk: Sock): number {
  tcpListendrop(sk);
  return 0;
}

/**
 * A quarter of the SYN queue is kept for peers that have proven to exist, where no cookies protect it.
 * @kernel tcp_conn_request net/ipv4/tcp_input.c
 */
function tcpSynBacklogExhausted(sk: Sock): boolean {
  const ipv4 = sk.net.ipv4;
  const max = ipv4.sysctlMaxSynBacklog;
  return syncookiesOf(sk) === 0 && max - inetCskReqskQueueLen(sk) < max >> 2;
}

/** Initial sequence number of our side. */
function tcpRequestIsn(
  sk: Sock,
  skb: SkBuff,
  req: RequestSock,
  wantCookie: boolean,
  twIsn: number,
): number {
  const cookies = sk.net.machine.netGlobals.synCookies;
  if (wantCookie && cookies !== null) return cookies.initSequence(sk, skb, req);
  return twIsn !== 0 ? twIsn : req.rskOps.initSeq(skb);
}

/**
 * A SYN for a listener. Always 0: what cannot be served is dropped in silence, the peer will repeat.
 * @kernel tcp_conn_request net/ipv4/tcp_input.c
 */
export function tcpConnRequest(rskOps: RequestSockOps, sk: Sock, skb: SkBuff): number {
  const net = sk.net;
  const tp = tcpSk(sk);
  // From a time-wait socket: the peer has proven to exist.
  const twIsn = skb.tcpCb.tcpTwIsn;
  let wantCookie = false;
  if (twIsn === 0 && (syncookiesOf(sk) === 2 || inetCskReqskQueueIsFull(sk))) {
    wantCookie = tcpSynFloodAction(sk);
    if (!wantCookie) return tcpConnDrop(sk);
  }
  if (skAcceptqIsFull(sk)) {
    netIncStats(net, LINUX_MIB_LISTENOVERFLOWS);
    return tcpConnDrop(sk);
  }
  const req = inetReqskAlloc(rskOps, sk, !wantCookie);
  const { synOpt: opt, synFoc: foc, synFlow: fl } = net.machine.netGlobals;
  opt.clear();
  foc.len = -1;
  foc.exp = false;
  req.syncookie = wantCookie;
  opt.mssClamp = TCP_MSS_DEFAULT;
  opt.userMss = tp.rxOpt.userMss;
  tcpParseOptions(net, skb, opt, false, wantCookie ? null : foc);
  // A cookie has room for options only inside a timestamp.
  if (wantCookie && !opt.sawTstamp) tcpClearOptions(opt);
  opt.tstampOk = opt.sawTstamp;
  tcpOpenreqInit(req, opt, skb, sk);
  req.noSrccheck = tp.transparent;
  req.irIif = sk.skcBoundDevIf;
  req.skcBoundDevIf = req.irIif;

  const dst = rskOps.routeReq(sk, skb, fl, req);
  if (dst === null) {
    reqskFree(req);
    return tcpConnDrop(sk);
  }
  if (opt.tstampOk) req.tsOff = rskOps.initTsOff(net, skb);
  if (!wantCookie && twIsn === 0 && tcpSynBacklogExhausted(sk) && !tcpPeerIsProven(req, dst)) {
    dstRelease(dst);
    reqskFree(req);
    return tcpConnDrop(sk);
  }
  if (!tcpReqAuth(req, skb)) {
    dstRelease(dst);
    reqskFree(req);
    return tcpConnDrop(sk);
  }
  tcpEcnCreateRequest(req, skb, sk, dst);
  req.sntIsn = tcpRequestIsn(sk, skb, req, wantCookie, twIsn);
  if (wantCookie && !opt.tstampOk) req.ecnOk = false;
  req.txhash = net.machine.random.u32() | 1;
  req.synTos = skb.tcpCb.ipDsfield;
  tcpOpenreqInitRwin(req, sk, dst);
  return tcpConnAnswer(sk, skb, req, dst, fl, wantCookie, foc);
}

/** The child of a Fast Open may be accepted at once, its data is there. @kernel tcp_conn_request net/ipv4/tcp_input.c */
function tcpConnFastopen(
  sk: Sock,
  skb: SkBuff,
  req: RequestSock,
  dst: DstEntry,
  fl: Flowi4,
  foc: TcpFastopenCookie,
  child: Sock,
): void {
  req.rskOps.sendSynack(child, dst, fl, req, foc, TCP_SYNACK_FASTOPEN, skb);
  if (inetCskReqskQueueAdd(sk, req, child) !== null) sk.skDataReady(sk);
  else tcpListendrop(sk);
  sockPut(child);
  reqskPut(req);
}

/** Queues the request and sends the SYN-ACK. @kernel tcp_conn_request net/ipv4/tcp_input.c */
function tcpConnAnswer(
  sk: Sock,
  skb: SkBuff,
  req: RequestSock,
  dst: DstEntry,
  fl: Flowi4,
  wantCookie: boolean,
  foc: TcpFastopenCookie,
): number {
  req.tfoListener = false;
  if (wantCookie) {
    // Nothing is kept: the ACK will bring it all back.
    req.rskOps.sendSynack(sk, dst, fl, req, foc, TCP_SYNACK_COOKIE, skb);
    reqskFree(req);
    return 0;
  }
  tcpReqskRecordSyn(sk, req, skb);
  const child = tcpTryFastopen(sk, skb, req, foc, dst);
  if (child !== null) {
    tcpConnFastopen(sk, skb, req, dst, fl, foc, child);
    return 0;
  }
  req.timeout = tcpTimeoutInit(sk);
  if (!inetCskReqskQueueHashAdd(sk, req)) {
    // The same SYN came twice at once.
    reqskFree(req);
    dstRelease(dst);
    return 0;
  }
  req.rskOps.sendSynack(sk, dst, fl, req, foc, TCP_SYNACK_NORMAL, skb);
  reqskPut(req);
  return 0;
}
