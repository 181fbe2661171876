/**
 * Opening connections over IPv4: connect(), SYNs for a listener, the child of a request.
 *
 * Counterpart: parts of net/ipv4/tcp_ipv4.c. RFC 9293#3.10.1, RFC 6528 (sequence numbers), RFC 6191
 * (taking over a time-wait socket).
 */

import { NET_XMIT_CN } from '#include/linux/netdevice.ts';
import { SKB_GSO_TCPV4, type SkBuff } from '#include/linux/skbuff.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import {
  type DstEntry,
  dstHoldSafe,
  dstMetricAdvmss,
  dstMtu,
  dstRelease,
} from '#include/net/dst.ts';
import { type Flowi4, LOOPBACK_IFINDEX } from '#include/net/flow.ts';
import type { RequestSock, RequestSockOps } from '#include/net/inet_connection_sock.ts';
import type { InetTimewaitSock } from '#include/net/inet_timewait_sock.ts';
import { IpOptions, ipIncStats, netIncStats } from '#include/net/ip.ts';
import type { Rtable } from '#include/net/ip_fib.ts';
import { __ipOptionsEcho } from '#include/net/ip_options_ops.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { SOCK_BINDADDR_LOCK, type Sock } from '#include/net/sock.ts';
import { TCP_SYNACK_COOKIE, tcpSk } from '#include/net/tcp.ts';
import { tcpV4ChildKeys } from '#include/net/tcp_auth_ops.ts';
import type { TcpFastopenCookie } from '#include/net/tcp_fastopen.ts';
import { tcpFastopenDeferConnect } from '#include/net/tcp_fastopen_ops.ts';
import { tcpClockMs, tcpMssClamp } from '#include/net/tcp_inlines.ts';
import { view } from '#mm/memory.ts';
import { secureTcpSeq, secureTcpTsOff } from '#net/core/secure_seq.ts';
import { skAcceptqIsFull, skSetTxhash, sockPut } from '#net/core/sock.ts';
import { skSetupCaps } from '#net/core/sock_clone.ts';
import { inetCskPrepareForcedClose } from '#net/ipv4/inet_connection_sock.ts';
import { inetCskRouteChildSock, inetCskRouteReq } from '#net/ipv4/inet_connection_sock_route.ts';
import { inetEhashNolisten, inetHashConnect, sockGenPut } from '#net/ipv4/inet_hashtables.ts';
import { __inetInheritPort } from '#net/ipv4/inet_hashtables_bind.ts';
import { ipBuildAndSendPkt } from '#net/ipv4/ip_output.ts';
import { inetIif } from '#net/ipv4/ip_sockglue_error.ts';
import { ipRouteConnect, ipRouteNewports } from '#net/ipv4/route.ts';
import { tcpConnRequest, tcpListendrop } from '#net/ipv4/tcp_input_conn.ts';
import { tcpInitializeRcvMss } from '#net/ipv4/tcp_input_rcvbuf.ts';
import { __tcpV4SendCheck, tcpV4ReqskSendAck, tcpV4SendReset } from '#net/ipv4/tcp_ipv4_send.ts';
import { tcpCaOpenreqChild, tcpCreateOpenreqChild } from '#net/ipv4/tcp_minisocks_req.ts';
import { tcpConnect } from '#net/ipv4/tcp_output_connect.ts';
import { tcpMakeSynack, tcpRtxSynack } from '#net/ipv4/tcp_output_ctl.ts';
import { tcpSyncMss } from '#net/ipv4/tcp_output_mss.ts';
import { tcpDone, tcpSetState } from '#net/ipv4/tcp_state.ts';
import { EAFNOSUPPORT, EINVAL, ENETUNREACH } from '#uapi/errno.ts';
import { IPPROTO_TCP, sinAddr, sinFamily, sinPort, sockaddrIn } from '#uapi/in.ts';
import { RTCF_BROADCAST, RTCF_MULTICAST } from '#uapi/in_route.ts';
import { INET_ECN_MASK, iphdr } from '#uapi/ip.ts';
import {
  IPSTATS_MIB_OUTNOROUTES,
  LINUX_MIB_LISTENOVERFLOWS,
  LINUX_MIB_TCPTIMEOUTS,
} from '#uapi/snmp.ts';
import { AF_INET } from '#uapi/socket.ts';
import { TCP_CLOSE, TCP_MSS_DEFAULT, TCP_SYN_SENT, tcphdr } from '#uapi/tcp.ts';

// ---- Requests ----------------------------------------------------------------------------------

/** @kernel tcp_v4_init_seq net/ipv4/tcp_ipv4.c */
function tcpV4InitSeq(skb: SkBuff): number {
  const iph = skb.networkHeader;
  const th = skb.transportHeader;
  return secureTcpSeq(
    skb.machine,
    iphdr.daddr(view, iph),
    iphdr.saddr(view, iph),
    tcphdr.dest(view, th),
    tcphdr.source(view, th),
  );
}

/** @kernel tcp_v4_init_ts_off net/ipv4/tcp_ipv4.c */
function tcpV4InitTsOff(net: Net, skb: SkBuff): number {
  const iph = skb.networkHeader;
  const th = skb.transportHeader;
  return secureTcpTsOff(
    net,
    iphdr.daddr(view, iph),
    iphdr.saddr(view, iph),
    tcphdr.dest(view, th),
    tcphdr.source(view, th),
  );
}

/** IP options of the SYN, turned round for the answer. @kernel tcp_v4_save_options include/net/tcp.h */
function tcpV4SaveOptions(net: Net, skb: SkBuff): IpOptions | null {
  if (skb.ipCb.opt.optlen === 0) return null;
  const dopt = new IpOptions();
  return __ipOptionsEcho(net, dopt, skb, skb.ipCb.opt) === 0 ? dopt : null;
}

/** @kernel tcp_v4_route_req net/ipv4/tcp_ipv4.c */
function tcpV4RouteReq(sk: Sock, skb: SkBuff, fl: Flowi4, req: RequestSock): DstEntry | null {
  const iph = skb.networkHeader;
  req.irLocAddr = iphdr.daddr(view, iph);
  req.irRmtAddr = iphdr.saddr(view, iph);
  req.skcRcvSaddr = req.irLocAddr;
  req.skcDaddr = req.irRmtAddr;
  req.iropt = tcpV4SaveOptions(sk.net, skb);
  return inetCskRouteReq(sk, fl, req);
}

/**
 * Sends a SYN-ACK; takes over the reference to `dst`, or looks the route up. 0 or a negative number.
 * @kernel tcp_v4_send_synack net/ipv4/tcp_ipv4.c
 */
function tcpV4SendSynack(
  sk: Sock,
  dstIn: DstEntry | null,
  fl: Flowi4,
  req: RequestSock,
  foc: TcpFastopenCookie | null,
  synackType: number,
  _synSkb: SkBuff | null,
): number {
  const dst = dstIn ?? inetCskRouteReq(sk, fl, req);
  if (dst === null) return -1;
  const { nowNs } = sk.net.machine;
  const cookies = sk.net.machine.netGlobals.synCookies;
  const asCookie = synackType === TCP_SYNACK_COOKIE && cookies !== null;
  const cookieTs = asCookie ? cookies.initTimestamp(req, nowNs) : 0;
  const skb = tcpMakeSynack(sk, dst, req, foc, synackType, cookieTs);
  if (skb === null) return -1;
  req.synEctSnt = tcpSk(sk).tos & INET_ECN_MASK;
  __tcpV4SendCheck(skb, req.irLocAddr, req.irRmtAddr);
  let tos = tcpSk(sk).tos;
  if (sk.net.ipv4.sysctlTcpReflectTos !== 0) {
    tos = (req.synTos & ~INET_ECN_MASK) | (tos & INET_ECN_MASK);
  }
  const err = ipBuildAndSendPkt(skb, sk, req.irLocAddr, req.irRmtAddr, req.iropt, tos);
  // Queued, though the queue is congested.
  return err === NET_XMIT_CN ? 0 : err;
}

/** @kernel tcp_v4_reqsk_destructor net/ipv4/tcp_ipv4.c */
function tcpV4ReqskDestructor(req: RequestSock): void {
  req.iropt = null;
}

/** @kernel tcp_syn_ack_timeout net/ipv4/tcp_timer.c */
function tcpSynAckTimeout(req: RequestSock): void {
  netIncStats(req.net, LINUX_MIB_TCPTIMEOUTS);
}

/** @kernel tcp_request_sock_ops net/ipv4/tcp_ipv4.c */
export const tcpRequestSockOps: RequestSockOps = {
  family: AF_INET,
  rtxSynAck: tcpRtxSynack,
  sendAck: tcpV4ReqskSendAck,
  sendReset: tcpV4SendReset,
  destructor: tcpV4ReqskDestructor,
  synAckTimeout: tcpSynAckTimeout,
  routeReq: tcpV4RouteReq,
  sendSynack: tcpV4SendSynack,
  initSeq: tcpV4InitSeq,
  initTsOff: tcpV4InitTsOff,
};

/**
 * A SYN for a listener: never to one that was sent to many.
 * @kernel tcp_v4_conn_request net/ipv4/tcp_ipv4.c
 */
export function tcpV4ConnRequest(sk: Sock, skb: SkBuff): number {
  const rt = skb.dst as Rtable | null;
  if (rt !== null && (rt.rtFlags & (RTCF_BROADCAST | RTCF_MULTICAST)) !== 0) {
    tcpListendrop(sk);
    return 0;
  }
  return tcpConnRequest(tcpRequestSockOps, sk, skb);
}

// ---- Children ----------------------------------------------------------------------------------

/** Keeps the route of received packets for early demux. @kernel inet_sk_rx_dst_set net/ipv4/tcp_ipv4.c */
export function inetSkRxDstSet(sk: Sock, skb: SkBuff): void {
  const dst = skb.dst;
  if (dst === null || !dstHoldSafe(dst)) return;
  dstRelease(sk.skRxDst);
  sk.skRxDst = dst;
  sk.skRxDstIfindex = skb.skbIif;
}

/** What the child has of the SYN's IP header. */
function tcpV4ChildInet(newtp: TcpSock, req: RequestSock, skb: SkBuff): void {
  const iph = skb.networkHeader;
  const net = newtp.net;
  newtp.skGsoType = SKB_GSO_TCPV4;
  inetSkRxDstSet(newtp, skb);
  newtp.skcDaddr = req.irRmtAddr;
  newtp.skcRcvSaddr = req.irLocAddr;
  newtp.inetSaddr = req.irLocAddr;
  newtp.skcBoundDevIf = req.irIif;
  newtp.inetOpt = req.iropt;
  newtp.mcIndex = inetIif(skb);
  newtp.mcTtl = iphdr.ttl(view, iph);
  newtp.rcvTos = iphdr.tos(view, iph);
  newtp.icskExtHdrLen = req.iropt !== null ? req.iropt.optlen : 0;
  newtp.inetId = net.machine.random.u32() & 0xffff;
  if (net.ipv4.sysctlTcpReflectTos !== 0) newtp.tos = req.synTos & ~INET_ECN_MASK;
}

/** A child that cannot be used. @kernel tcp_v4_syn_recv_sock net/ipv4/tcp_ipv4.c */
function tcpV4ChildFail(sk: Sock, newtp: TcpSock): { sk: null; ownReq: boolean } {
  newtp.inetOpt = null;
  inetCskPrepareForcedClose(newtp);
  tcpDone(newtp);
  tcpListendrop(sk);
  return { sk: null, ownReq: false };
}

/**
 * The three-way handshake is complete: makes the socket and enters it in the table, in place of
 * `reqUnhash` when that is given. `dst` (a cookie's route, whose reference is taken over) may be
 * null.
 * @kernel tcp_v4_syn_recv_sock net/ipv4/tcp_ipv4.c
 */
export function tcpV4SynRecvSock(
  sk: Sock,
  skb: SkBuff,
  req: RequestSock,
  dstIn: DstEntry | null,
  reqUnhash: RequestSock | null,
): { sk: Sock | null; ownReq: boolean } {
  if (skAcceptqIsFull(sk)) {
    netIncStats(sk.net, LINUX_MIB_LISTENOVERFLOWS);
    dstRelease(dstIn);
    tcpListendrop(sk);
    return { sk: null, ownReq: false };
  }
  const newtp = tcpCreateOpenreqChild(sk, req, skb);
  if (newtp === null) {
    dstRelease(dstIn);
    tcpListendrop(sk);
    return { sk: null, ownReq: false };
  }
  tcpV4ChildInet(newtp, req, skb);
  const dst = dstIn ?? inetCskRouteChildSock(sk, newtp, req);
  if (dst === null) return tcpV4ChildFail(sk, newtp);
  skSetupCaps(newtp, dst);
  tcpCaOpenreqChild(newtp, dst);
  tcpSyncMss(newtp, dstMtu(dst));
  newtp.advmss = tcpMssClamp(tcpSk(sk), dstMetricAdvmss(dst));
  tcpInitializeRcvMss(newtp);
  if (tcpV4ChildKeys(sk, newtp, req) !== 0) return tcpV4ChildFail(sk, newtp);

  if (__inetInheritPort(sk, newtp) < 0) return tcpV4ChildFail(sk, newtp);
  const found = inetEhashNolisten(newtp, reqUnhash, reqUnhash === null);
  if (found === null) {
    newtp.savedSyn = req.savedSyn;
    req.savedSyn = null;
    req.iropt = null;
    return { sk: newtp, ownReq: true };
  }
  newtp.inetOpt = null;
  if (reqUnhash === null) {
    // Two ACKs of one cookie: the first has made the socket.
    sockGenPut(found);
    sockPut(newtp);
    return { sk: null, ownReq: false };
  }
  return { sk: newtp, ownReq: false };
}

// ---- connect() ---------------------------------------------------------------------------------

/**
 * May a time-wait socket give way to a new connection of the same four-tuple? `twp`: the caller takes
 * it over. Then the new one starts beyond its sequence numbers and timestamps.
 * @kernel tcp_twsk_unique net/ipv4/tcp_ipv4.c
 * @rfc 6191#2
 */
export function tcpTwskUnique(sk: Sock, tw: InetTimewaitSock, twp: boolean): boolean {
  const tp = tcpSk(sk);
  const ipv4 = sk.net.ipv4;
  let reuse = ipv4.sysctlTcpTwReuse;
  if (reuse === 2) {
    const local =
      tw.skcBoundDevIf === LOOPBACK_IFINDEX ||
      tw.skcDaddr >>> 24 === 127 ||
      tw.skcRcvSaddr >>> 24 === 127;
    if (!local) reuse = 0;
  }
  if (tw.twTsRecentStamp === 0) return false;
  const age = (tcpClockMs(sk.net.machine) - tw.twEntryStamp) | 0;
  if (twp && (reuse === 0 || age < ipv4.sysctlTcpTwReuseDelay)) return false;
  tw.refcnt++;
  if (!tp.repair) {
    const seq = (tw.twSndNxt + 65535 + 2) | 0;
    tp.writeSeq = seq !== 0 ? seq : 1;
    tp.rxOpt.tsRecent = tw.twTsRecent;
    tp.rxOpt.tsRecentStamp = tw.twTsRecentStamp;
  }
  return true;
}

/** Fails a connect() that got as far as SYN_SENT. */
function tcpV4ConnectFail(sk: Sock, err: number): number {
  const tp = tcpSk(sk);
  tcpSetState(sk, TCP_CLOSE);
  if ((sk.skUserlocks & SOCK_BINDADDR_LOCK) === 0) {
    tp.inetSaddr = 0;
    sk.skcRcvSaddr = 0;
  }
  sk.skRouteCaps = 0;
  sk.skcDport = 0;
  return err;
}

/** The socket takes the addresses of its route. */
function tcpV4ConnectIdentity(sk: Sock, fl4: Flowi4, daddr: number, dport: number): void {
  const tp = tcpSk(sk);
  if (tp.inetSaddr === 0) tp.inetSaddr = fl4.saddr;
  sk.skcRcvSaddr = tp.inetSaddr;
  if (tp.rxOpt.tsRecentStamp !== 0 && sk.skcDaddr !== daddr) {
    // Left over from a connection to somebody else.
    tp.rxOpt.tsRecent = 0;
    tp.rxOpt.tsRecentStamp = 0;
    if (!tp.repair) tp.writeSeq = 0;
  }
  sk.skcDport = dport;
  sk.skcDaddr = daddr;
  tp.icskExtHdrLen = tp.inetOpt !== null ? tp.inetOpt.optlen : 0;
  tp.rxOpt.mssClamp = TCP_MSS_DEFAULT;
}

/**
 * connect(): finds the route, a local address and port, and sends the SYN. 0 or a negative errno.
 * @kernel tcp_v4_connect net/ipv4/tcp_ipv4.c
 * @rfc 9293#3.10.1
 */
export function tcpV4Connect(sk: Sock, uaddr: Uint8Array): number {
  const tp = tcpSk(sk);
  if (uaddr.length < sockaddrIn.LEN) return -EINVAL;
  if (sinFamily(uaddr) !== AF_INET) return -EAFNOSUPPORT;
  let daddr = sinAddr(uaddr);
  const dport = sinPort(uaddr);
  const opt = tp.inetOpt;
  let nexthop = daddr;
  if (opt !== null && opt.srr !== 0) {
    if (daddr === 0) return -EINVAL;
    nexthop = opt.faddr;
  }
  const origSport = tp.inetSport;
  const fl4 = sk.net.machine.netGlobals.connectFlow;
  let rt = ipRouteConnect(
    fl4,
    nexthop,
    tp.inetSaddr,
    sk.skcBoundDevIf,
    IPPROTO_TCP,
    origSport,
    dport,
    tp,
  );
  if (typeof rt === 'number') {
    if (rt === -ENETUNREACH) ipIncStats(sk.net, IPSTATS_MIB_OUTNOROUTES);
    return rt;
  }
  if ((rt.rtFlags & (RTCF_MULTICAST | RTCF_BROADCAST)) !== 0) {
    dstRelease(rt);
    return -ENETUNREACH;
  }
  if (opt === null || opt.srr === 0) daddr = fl4.daddr;
  tcpV4ConnectIdentity(sk, fl4, daddr, dport);

  // The port is chosen in state SYN_SENT, since only then the four-tuple can enter the table.
  tcpSetState(sk, TCP_SYN_SENT);
  const err = inetHashConnect(sk, tcpTwskUnique);
  if (err !== 0) {
    dstRelease(rt);
    return tcpV4ConnectFail(sk, err);
  }
  skSetTxhash(sk);
  rt = ipRouteNewports(fl4, rt, origSport, dport, tp.inetSport, sk.skcDport, tp);
  if (typeof rt === 'number') return tcpV4ConnectFail(sk, rt);
  sk.skGsoType = SKB_GSO_TCPV4;
  skSetupCaps(sk, rt);

  if (!tp.repair) {
    if (tp.writeSeq === 0) {
      tp.writeSeq = secureTcpSeq(
        sk.net.machine,
        tp.inetSaddr,
        sk.skcDaddr,
        tp.inetSport,
        sk.skcDport,
      );
    }
    tp.tsoffset = secureTcpTsOff(sk.net, tp.inetSaddr, sk.skcDaddr, tp.inetSport, sk.skcDport);
  }
  tp.inetId = sk.net.machine.random.u32() & 0xffff;
  // TCP_FASTOPEN_CONNECT: the SYN waits for the first data.
  if (tcpFastopenDeferConnect(sk)) return 0;
  const sent = tcpConnect(sk);
  return sent !== 0 ? tcpV4ConnectFail(sk, sent) : 0;
}
