/**
 * TCP over IPv4: the way of a segment from the IP layer to its socket, and the protocol object.
 *
 * Counterpart: net/ipv4/tcp_ipv4.c; opening is in tcp_ipv4_conn.ts, ICMP in tcp_ipv4_err.ts, resets
 * and bare ACKs in tcp_ipv4_send.ts, /proc/net/tcp in tcp_ipv4_proc.ts. RFC 9293#3.10.7.
 */

import { __skbPull, __skbPush, type SkBuff, skbTransportOffset } from '#include/linux/skbuff.ts';
import { TcpSock } from '#include/linux/tcp.ts';
import { skMarkNapiId, sockRpsSaveRxhash } from '#include/net/busy_poll.ts';
import { dstCheck, dstRelease, skbDstSetNoref } from '#include/net/dst.ts';
import {
  type InetConnectionSockAfOps,
  inetSk,
  type RequestSock,
} from '#include/net/inet_connection_sock.ts';
import type { InetTimewaitSock } from '#include/net/inet_timewait_sock.ts';
import { netIncStats, tcpIncStats } from '#include/net/ip.ts';
import type { Net, PernetOperations } from '#include/net/net_namespace.ts';
import {
  SK_RST_REASON_NO_SOCKET,
  SK_RST_REASON_TCP_TIMEWAIT_SOCKET,
  skRstConvertDropReason,
} from '#include/net/rstreason.ts';
import type { Proto, ProtoMemory, Sock } from '#include/net/sock.ts';
import {
  SOCK_KIND_FULL,
  SOCK_KIND_REQUEST,
  SOCK_KIND_TIMEWAIT,
  type SockCommon,
} from '#include/net/sock_common.ts';
import { MAX_TCP_HEADER, tcpSk } from '#include/net/tcp.ts';
import { tcpAuthDestroySock, tcpInboundHash } from '#include/net/tcp_auth_ops.ts';
import {
  tcpFastopenActiveDisableOfoCheck,
  tcpFreeFastopenReq,
} from '#include/net/tcp_fastopen_ops.ts';
import { tcpSegsIn } from '#include/net/tcp_inlines.ts';
import {
  SOCKET_EARLY_DEMUX,
  SOCKET_ESTABLISHED,
  SOCKET_LISTENER,
  SOCKET_NONE,
} from '#include/trace/events/packet.ts';
import { bugOn, KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import type { Machine } from '#kernel/machine.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import { timerPending } from '#kernel/time/timer.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { csumTcpudpNofold } from '#lib/checksum.ts';
import { before } from '#lib/tcp_seq.ts';
import { mem, view } from '#mm/memory.ts';
import { skFilterTrimCap } from '#net/core/filter_sock.ts';
import { registerPernetSubsys } from '#net/core/net_namespace.ts';
import { reqskPut } from '#net/core/request_sock.ts';
import { kfreeSkbPartial, skSkbReasonDrop } from '#net/core/skbuff.ts';
import {
  __skbChecksumComplete,
  skbChecksumInit,
  skbCsumUnnecessary,
} from '#net/core/skbuff_checksum.ts';
import { pskbMayPull, skbCondense } from '#net/core/skbuff_copy.ts';
import { skbTryCoalesce } from '#net/core/skbuff_frags.ts';
import {
  skAddBacklog,
  sockDefCallbacks,
  sockHold,
  sockOwnedByMe,
  sockOwnedByUser,
  sockPut,
} from '#net/core/sock.ts';
import { SK_MEM_SEND } from '#net/core/sock_mem.ts';
import { resetTcpSock, reviveTcpSock } from '#net/core/sock_reset_fields.ts';
import { reuseportMigrateSock } from '#net/core/sock_reuseport.ts';
import { inetCtlSockCreate, inetCtlSockDestroy, inetSkRebuildHeader } from '#net/ipv4/af_inet.ts';
import { inetCskAccept, inetCskReqskQueueDropAndPut } from '#net/ipv4/inet_connection_sock.ts';
import { inetCskGetPort } from '#net/ipv4/inet_connection_sock_port.ts';
import {
  __inetLookup,
  __inetLookupEstablished,
  __inetLookupListener,
  inetHash,
  inetUnhash,
  lookupIsRefcounted,
  sockEdemux,
  sockGenPut,
} from '#net/ipv4/inet_hashtables.ts';
import { inetPutPort, tcpGetHashinfo } from '#net/ipv4/inet_hashtables_bind.ts';
import { inetTwskDeschedulePut, inetTwskPut } from '#net/ipv4/inet_timewait_sock.ts';
import { ipQueueXmit } from '#net/ipv4/ip_output.ts';
import { ipSetsockopt } from '#net/ipv4/ip_sockglue.ts';
import { inetIif } from '#net/ipv4/ip_sockglue_error.ts';
import { ipGetsockopt } from '#net/ipv4/ip_sockglue_get.ts';
import {
  tcpEnterMemoryPressure,
  tcpInitSock,
  tcpIoctl,
  tcpLeaveMemoryPressure,
  tcpStreamMemoryFree,
} from '#net/ipv4/tcp.ts';
import { tcpAbort, tcpClose, tcpDisconnect, tcpShutdown } from '#net/ipv4/tcp_close.ts';
import { tcpCleanupCongestionControl } from '#net/ipv4/tcp_cong.ts';
import { tcpRcvEstablished, tcpRcvStateProcess } from '#net/ipv4/tcp_input.ts';
import { tcpCleanupSkb } from '#net/ipv4/tcp_input_data.ts';
import { tcpOfoQueuePurge } from '#net/ipv4/tcp_input_ofo.ts';
import {
  inetSkRxDstSet,
  tcpV4Connect,
  tcpV4ConnRequest,
  tcpV4SynRecvSock,
} from '#net/ipv4/tcp_ipv4_conn.ts';
import { tcpV4MtuReduced } from '#net/ipv4/tcp_ipv4_err.ts';
import { tcpV4SendCheck, tcpV4SendReset, tcpV4TimewaitAck } from '#net/ipv4/tcp_ipv4_send.ts';
import {
  TCP_TW_ACK,
  TCP_TW_ACK_OOW,
  TCP_TW_RST,
  TCP_TW_SYN,
  TcpMinisockOut,
  tcpTimewaitStateProcess,
} from '#net/ipv4/tcp_minisocks.ts';
import { tcpChildProcess } from '#net/ipv4/tcp_minisocks_child.ts';
import { tcpCheckReq } from '#net/ipv4/tcp_minisocks_req.ts';
import { tcpReleaseCb } from '#net/ipv4/tcp_output_release.ts';
import { tcpRecvmsg } from '#net/ipv4/tcp_recvmsg.ts';
import { tcpSendmsg } from '#net/ipv4/tcp_sendmsg.ts';
import { tcpGetsockopt, tcpSetsockopt } from '#net/ipv4/tcp_sockopt.ts';
import { tcpClearXmitTimers, tcpDone, tcpWriteQueuePurge } from '#net/ipv4/tcp_state.ts';
import { tcpSetKeepalive } from '#net/ipv4/tcp_timer.ts';
import { EINVAL } from '#uapi/errno.ts';
import { PACKET_HOST } from '#uapi/if_packet.ts';
import { IP_PMTUDISC_DO, IPPROTO_TCP, sockaddrIn } from '#uapi/in.ts';
import { iphdr } from '#uapi/ip.ts';
import {
  SKB_DROP_REASON_NO_SOCKET,
  SKB_DROP_REASON_NOT_SPECIFIED,
  SKB_DROP_REASON_PKT_TOO_SMALL,
  SKB_DROP_REASON_SOCKET_BACKLOG,
  SKB_DROP_REASON_TCP_CSUM,
  SKB_DROP_REASON_TCP_MINTTL,
} from '#uapi/net_dropreason.ts';
import {
  LINUX_MIB_TCPBACKLOGCOALESCE,
  LINUX_MIB_TCPBACKLOGDROP,
  LINUX_MIB_TCPMINTTLDROP,
  TCP_MIB_CSUMERRORS,
  TCP_MIB_INERRS,
  TCP_MIB_INSEGS,
} from '#uapi/snmp.ts';
import { AF_UNSPEC, SOCK_RAW } from '#uapi/socket.ts';
import {
  TCP_ESTABLISHED,
  TCP_LISTEN,
  TCPHDR_ACK,
  TCPHDR_AE,
  TCPHDR_CWR,
  TCPHDR_ECE,
  TCPHDR_FIN,
  TCPHDR_RST,
  TCPHDR_SYN,
  TCPHDR_URG,
  tcphdr,
} from '#uapi/tcp.ts';

// ---- Receiving ---------------------------------------------------------------------------------

/** Sequence numbers and flags into the control block. @kernel tcp_v4_fill_cb net/ipv4/tcp_ipv4.c */
function tcpV4FillCb(skb: SkBuff): void {
  const th = skb.transportHeader;
  const scb = skb.tcpCb;
  const flags = tcphdr.flags9(view, th);
  const seq = tcphdr.seq(view, th);
  const syn = (flags & TCPHDR_SYN) !== 0 ? 1 : 0;
  scb.seq = seq;
  scb.endSeq = (seq + syn + (flags & TCPHDR_FIN) + skb.len - tcphdr.hdrlen(view, th)) | 0;
  scb.ackSeq = tcphdr.ackSeq(view, th);
  scb.tcpFlags = flags;
  scb.tcpTwIsn = 0;
  scb.ipDsfield = iphdr.tos(view, skb.networkHeader);
  scb.sacked = 0;
  scb.eor = false;
  scb.hasRxtstamp = skb.tstamp !== 0 || skb.shinfo.hwtstamp !== 0;
}

/** @kernel tcp_checksum_complete include/net/tcp.h */
function tcpChecksumComplete(skb: SkBuff): boolean {
  return !skbCsumUnnecessary(skb) && __skbChecksumComplete(skb) !== 0;
}

/** @kernel tcp_v4_rcv net/ipv4/tcp_ipv4.c */
function tcpV4BadCsum(net: Net, skb: SkBuff): void {
  if (tracepointKey.enabled) net.machine.trace.tcp.tcpBadCsum.probe?.(skb);
  tcpIncStats(net, TCP_MIB_CSUMERRORS);
  tcpIncStats(net, TCP_MIB_INERRS);
}

/** The socket's filter may drop or shorten the segment, but not its header. 0 or a drop reason. @kernel tcp_filter net/ipv4/tcp_ipv4.c */
export function tcpFilter(sk: Sock, skb: SkBuff): number {
  if (sk.skFilter === null) return 0;
  return skFilterTrimCap(sk, skb, tcphdr.hdrlen(view, skb.transportHeader));
}

/** A segment for a listener without a request: perhaps the ACK of a cookie. @kernel tcp_v4_cookie_check net/ipv4/tcp_ipv4.c */
function tcpV4CookieCheck(sk: Sock, skb: SkBuff): Sock | null {
  const cookies = sk.net.machine.netGlobals.synCookies;
  if (cookies === null || tcphdr.syn(view, skb.transportHeader) !== 0) return sk;
  return cookies.v4Check(sk, skb);
}

function tcpV4ResetAndDrop(rsk: Sock, skb: SkBuff, reason: number): void {
  tcpV4SendReset(rsk, skb, skRstConvertDropReason(reason));
  skSkbReasonDrop(rsk, skb, reason, 'tcp_v4_do_rcv');
}

/**
 * A segment for a socket that nobody owns. Consumes `skb`. Also what the backlog is fed to.
 * @kernel tcp_v4_do_rcv net/ipv4/tcp_ipv4.c
 */
export function tcpV4DoRcv(sk: Sock, skb: SkBuff): number {
  if (DEBUG) sockOwnedByMe(sk, 'tcp_v4_do_rcv');
  if (sk.skcState === TCP_ESTABLISHED) {
    const dst = sk.skRxDst;
    sockRpsSaveRxhash(sk, skb);
    skMarkNapiId(sk, skb);
    if (dst !== null && (sk.skRxDstIfindex !== skb.skbIif || dst.ops.check(dst, 0) === null)) {
      sk.skRxDst = null;
      dstRelease(dst);
    }
    tcpRcvEstablished(sk, skb);
    return 0;
  }
  if (tcpChecksumComplete(skb)) {
    tcpV4BadCsum(sk.net, skb);
    skSkbReasonDrop(sk, skb, SKB_DROP_REASON_TCP_CSUM, 'tcp_v4_do_rcv');
    return 0;
  }
  if (sk.skcState !== TCP_LISTEN) sockRpsSaveRxhash(sk, skb);
  else {
    const nsk = tcpV4CookieCheck(sk, skb);
    if (nsk === null) {
      skSkbReasonDrop(sk, skb, SKB_DROP_REASON_NOT_SPECIFIED, 'tcp_v4_do_rcv');
      return 0;
    }
    if (nsk !== sk) {
      const bad = tcpChildProcess(sk, nsk, skb);
      if (bad !== 0) tcpV4ResetAndDrop(nsk, skb, bad);
      return 0;
    }
  }
  const reason = tcpRcvStateProcess(sk, skb);
  if (reason !== 0) tcpV4ResetAndDrop(sk, skb, reason);
  return 0;
}

/** May `skb` be joined to the backlog's last segment? @kernel tcp_add_backlog net/ipv4/tcp_ipv4.c */
function tcpBacklogCanJoin(tail: SkBuff, skb: SkBuff, hdrlen: number): boolean {
  const tcb = tail.tcpCb;
  const scb = skb.tcpCb;
  if (tcb.endSeq !== scb.seq || tcb.ipDsfield !== scb.ipDsfield) return false;
  if (((tcb.tcpFlags | scb.tcpFlags) & (TCPHDR_SYN | TCPHDR_RST | TCPHDR_URG)) !== 0) return false;
  if ((tcb.tcpFlags & scb.tcpFlags & TCPHDR_ACK) === 0) return false;
  const ecn = TCPHDR_ECE | TCPHDR_CWR | TCPHDR_AE;
  if (((tcb.tcpFlags ^ scb.tcpFlags) & ecn) !== 0) return false;
  if (tail.decrypted !== skb.decrypted) return false;
  const th = skb.data;
  const thtail = tail.data;
  if (tcphdr.hdrlen(view, thtail) !== hdrlen) return false;
  for (let i = tcphdr.LEN; i < hdrlen; i++) {
    if (mem[th + i] !== mem[thtail + i]) return false;
  }
  return true;
}

/**
 * Joins a segment to the last one of the backlog, so that a slow task finds few large ones. True:
 * done, `skb` is freed.
 * @kernel tcp_add_backlog net/ipv4/tcp_ipv4.c
 */
function tcpBacklogCoalesce(sk: Sock, tail: SkBuff, skb: SkBuff): boolean {
  const th = skb.data;
  const thtail = tail.data;
  const hdrlen = tcphdr.hdrlen(view, th);
  if (!tcpBacklogCanJoin(tail, skb, hdrlen)) return false;
  __skbPull(skb, hdrlen);
  const gsoSize = skb.shinfo.gsoSize !== 0 ? skb.shinfo.gsoSize : skb.len;
  const gsoSegs = Math.max(1, skb.shinfo.gsoSegs);
  const tailShinfo = tail.shinfo;
  const tailSize = tailShinfo.gsoSize !== 0 ? tailShinfo.gsoSize : tail.len - hdrlen;
  const tailSegs = Math.max(1, tailShinfo.gsoSegs);
  const delta = skbTryCoalesce(tail, skb);
  if (delta < 0) {
    __skbPush(skb, hdrlen);
    return false;
  }
  const tcb = tail.tcpCb;
  const scb = skb.tcpCb;
  tcb.endSeq = scb.endSeq;
  if (!before(scb.ackSeq, tcb.ackSeq)) {
    tcb.ackSeq = scb.ackSeq;
    tcphdr.setWindow(view, thtail, tcphdr.window(view, th));
  }
  // A FIN must also show in the header, or header prediction would miss it.
  if (tcphdr.fin(view, th) !== 0) tcphdr.setFin(view, thtail, 1);
  tcb.tcpFlags |= scb.tcpFlags;
  if (scb.hasRxtstamp) {
    tcb.hasRxtstamp = true;
    tail.tstamp = skb.tstamp;
    tailShinfo.hwtstamp = skb.shinfo.hwtstamp;
  }
  tailShinfo.gsoSize = Math.max(gsoSize, tailSize);
  tailShinfo.gsoSegs = Math.min(gsoSegs + tailSegs, 0xffff);
  sk.skBacklogLen += delta;
  netIncStats(sk.net, LINUX_MIB_TCPBACKLOGCOALESCE);
  kfreeSkbPartial(skb);
  return true;
}

/**
 * Keeps a segment for the task that owns the socket. 0, or the reason to drop it.
 * @kernel tcp_add_backlog net/ipv4/tcp_ipv4.c
 */
export function tcpAddBacklog(sk: Sock, skb: SkBuff): number {
  skbCondense(skb);
  tcpCleanupSkb(skb);
  if (tcpChecksumComplete(skb)) {
    tcpV4BadCsum(sk.net, skb);
    return SKB_DROP_REASON_TCP_CSUM;
  }
  const tail = sk.skBacklogTail;
  if (tail !== null && tcpBacklogCoalesce(sk, tail, skb)) return 0;
  // The task can still collapse its queues, which we cannot here: some more than both buffers.
  const limit = Math.min(sk.skRcvbuf * 2 + (sk.skSndbuf >> 1) + 64 * 1024, 0xffffffff);
  if (skAddBacklog(sk, skb, limit) === 0) return 0;
  netIncStats(sk.net, LINUX_MIB_TCPBACKLOGDROP);
  return SKB_DROP_REASON_SOCKET_BACKLOG;
}

/**
 * Finds the connection before the route, and with it the route of earlier packets.
 * @kernel tcp_v4_early_demux net/ipv4/tcp_ipv4.c
 */
export function tcpV4EarlyDemux(skb: SkBuff): void {
  const dev = skb.dev;
  if (skb.pktType !== PACKET_HOST || dev === null) return;
  if (!pskbMayPull(skb, skbTransportOffset(skb) + tcphdr.LEN)) return;
  const iph = skb.networkHeader;
  const th = skb.transportHeader;
  if (tcphdr.hdrlen(view, th) < tcphdr.LEN) return;
  const found = __inetLookupEstablished(
    dev.net,
    iphdr.saddr(view, iph),
    tcphdr.source(view, th),
    iphdr.daddr(view, iph),
    tcphdr.dest(view, th),
    skb.skbIif,
  );
  if (found === null) return;
  if (found.kind !== SOCK_KIND_FULL) {
    // Small sockets have no route to give; they are looked up again.
    sockGenPut(found);
    return;
  }
  const sk = found as Sock;
  skb.sk = sk;
  skb.destructor = sockEdemux;
  const dst = sk.skRxDst === null ? null : dstCheck(sk.skRxDst, 0);
  if (dst !== null && sk.skRxDstIfindex === skb.skbIif) skbDstSetNoref(skb, dst);
}

/** The socket of early demux, with its reference, or a lookup. @kernel __inet_lookup_skb include/net/inet_hashtables.h */
function inetLookupSkb(net: Net, skb: SkBuff): SockCommon | null {
  const stolen = skb.sk;
  if (stolen !== null && skb.destructor === sockEdemux) {
    skb.sk = null;
    skb.destructor = null;
    return stolen;
  }
  const iph = skb.networkHeader;
  const th = skb.transportHeader;
  return __inetLookup(
    net,
    iphdr.saddr(view, iph),
    tcphdr.source(view, th),
    iphdr.daddr(view, iph),
    tcphdr.dest(view, th),
    inetIif(skb),
    skb,
    tcphdr.hdrlen(view, th),
  );
}

/** Drops a segment, counted by `sk` when there is one. */
function tcpV4Discard(sk: Sock | null, skb: SkBuff, reason: number): number {
  if (sk !== null) sk.skDrops += Math.max(1, skb.shinfo.gsoSegs);
  const why = reason !== 0 ? reason : SKB_DROP_REASON_NOT_SPECIFIED;
  skSkbReasonDrop(sk, skb, why, 'tcp_v4_rcv');
  return 0;
}

/** A segment with a wrong checksum. */
function tcpV4DropCsum(net: Net, skb: SkBuff): number {
  tcpV4BadCsum(net, skb);
  return tcpV4Discard(null, skb, SKB_DROP_REASON_TCP_CSUM);
}

/**
 * A segment for a request: the end of the handshake, as a rule.
 * @kernel tcp_v4_rcv net/ipv4/tcp_ipv4.c
 */
function tcpV4RcvRequest(net: Net, skb: SkBuff, req: RequestSock): number {
  const listener = req.rskListener;
  if (tcpChecksumComplete(skb)) {
    reqskPut(req);
    return tcpV4DropCsum(net, skb);
  }
  if (listener === null)
    throw new KernelBug('tcp-request', 'a request in the table has no listener');
  const unsigned = tcpInboundHash(listener, req, skb);
  if (unsigned !== 0) {
    reqskPut(req);
    return tcpV4Discard(listener, skb, unsigned);
  }
  let sk: Sock | null = listener;
  if (listener.skcState === TCP_LISTEN) {
    sockHold(listener);
  } else {
    // The listener has closed since; another of its group may take over.
    sk = reuseportMigrateSock(listener, req);
    if (sk === null) {
      inetCskReqskQueueDropAndPut(listener, req);
      return tcpV4RcvLookup(net, skb);
    }
  }
  const out = new TcpMinisockOut();
  let nsk: Sock | null = null;
  out.dropReason = tcpFilter(sk, skb);
  if (out.dropReason === 0) {
    tcpV4FillCb(skb);
    nsk = tcpCheckReq(sk, skb, req, false, out);
  }
  if (nsk === null) {
    reqskPut(req);
    if (out.reqStolen) {
      sockPut(sk);
      return tcpV4RcvLookup(net, skb);
    }
    const ret = tcpV4Discard(sk, skb, out.dropReason);
    sockPut(sk);
    return ret;
  }
  if (nsk === sk) {
    reqskPut(req);
    return tcpV4RcvSock(net, skb, sk, true, 0);
  }
  const reason = tcpChildProcess(sk, nsk, skb);
  if (reason !== 0) {
    tcpV4SendReset(nsk, skb, skRstConvertDropReason(reason));
    tcpV4Discard(sk, skb, reason);
  }
  sockPut(sk);
  return 0;
}

/** @kernel tcp_v4_rcv net/ipv4/tcp_ipv4.c */
function tcpV4RcvTimeWait(net: Net, skb: SkBuff, tw: InetTimewaitSock): number {
  tcpV4FillCb(skb);
  if (tcpChecksumComplete(skb)) {
    inetTwskPut(tw);
    return tcpV4DropCsum(net, skb);
  }
  const out = new TcpMinisockOut();
  const status = tcpTimewaitStateProcess(tw, skb, skb.transportHeader, out);
  if (status === TCP_TW_SYN) {
    const iph = skb.networkHeader;
    const th = skb.transportHeader;
    const listener = __inetLookupListener(
      net,
      iphdr.saddr(view, iph),
      tcphdr.source(view, th),
      iphdr.daddr(view, iph),
      tcphdr.dest(view, th),
      inetIif(skb),
      skb,
      tcphdr.hdrlen(view, th),
    );
    if (listener !== null) {
      inetTwskDeschedulePut(tw);
      return tcpV4RcvSock(net, skb, listener, false, out.isn);
    }
    tcpV4TimewaitAck(tw, skb, false);
  } else if (status === TCP_TW_ACK || status === TCP_TW_ACK_OOW) {
    tcpV4TimewaitAck(tw, skb, status === TCP_TW_ACK_OOW);
  } else if (status === TCP_TW_RST) {
    tcpV4SendReset(tw, skb, SK_RST_REASON_TCP_TIMEWAIT_SOCKET);
    inetTwskDeschedulePut(tw);
  }
  return tcpV4Discard(null, skb, out.dropReason);
}

/**
 * A segment for a full socket. `refcounted`: the caller's reference is to be given back; `twIsn`:
 * sequence number for a SYN that takes over from a time-wait socket.
 * @kernel tcp_v4_rcv net/ipv4/tcp_ipv4.c
 */
function tcpV4RcvSock(net: Net, skb: SkBuff, sk: Sock, refcounted: boolean, twIsn: number): number {
  let reason = 0;
  if (iphdr.ttl(view, skb.networkHeader) < tcpSk(sk).minTtl) {
    netIncStats(net, LINUX_MIB_TCPMINTTLDROP);
    reason = SKB_DROP_REASON_TCP_MINTTL;
  } else {
    reason = tcpInboundHash(sk, null, skb);
    if (reason === 0) reason = tcpFilter(sk, skb);
  }
  if (reason === 0) {
    tcpV4FillCb(skb);
    skb.tcpCb.tcpTwIsn = twIsn;
    skb.dev = null;
    if (sk.skcState === TCP_LISTEN) {
      tcpV4DoRcv(sk, skb);
    } else {
      sk.skIncomingCpu = net.machine.cpu.id;
      tcpSegsIn(tcpSk(sk), skb);
      if (sockOwnedByUser(sk)) reason = tcpAddBacklog(sk, skb);
      else tcpV4DoRcv(sk, skb);
    }
  }
  if (reason !== 0) tcpV4Discard(sk, skb, reason);
  if (refcounted) sockPut(sk);
  return 0;
}

/**
 * Nobody is there: says so.
 * @kernel tcp_v4_rcv net/ipv4/tcp_ipv4.c
 * @rfc 9293#3.10.7.1
 */
function tcpV4RcvNoSocket(net: Net, skb: SkBuff): number {
  tcpV4FillCb(skb);
  if (tcpChecksumComplete(skb)) return tcpV4DropCsum(net, skb);
  tcpV4SendReset(null, skb, SK_RST_REASON_NO_SOCKET);
  return tcpV4Discard(null, skb, SKB_DROP_REASON_NO_SOCKET);
}

/** What a lookup found: a SOCKET_*. */
function socketFound(sk: SockCommon | null, early: boolean): number {
  if (sk === null) return SOCKET_NONE;
  if (early) return SOCKET_EARLY_DEMUX;
  return sk.skcState === TCP_LISTEN ? SOCKET_LISTENER : SOCKET_ESTABLISHED;
}

/** @kernel tcp_v4_rcv net/ipv4/tcp_ipv4.c */
function tcpV4RcvLookup(net: Net, skb: SkBuff): number {
  const early = skb.sk !== null;
  const sk = inetLookupSkb(net, skb);
  if (tracepointKey.enabled)
    skb.machine.trace.packet.socketLookup.probe?.(skb, sk, socketFound(sk, early));
  if (sk === null) return tcpV4RcvNoSocket(net, skb);
  if (sk.kind === SOCK_KIND_TIMEWAIT) return tcpV4RcvTimeWait(net, skb, sk as InetTimewaitSock);
  if (sk.kind === SOCK_KIND_REQUEST) return tcpV4RcvRequest(net, skb, sk as RequestSock);
  return tcpV4RcvSock(net, skb, sk as Sock, lookupIsRefcounted(sk), 0);
}

/**
 * A segment from the IP layer, `data` at its header. Consumes `skb`. Always 0.
 * @kernel tcp_v4_rcv net/ipv4/tcp_ipv4.c
 */
export function tcpV4Rcv(skb: SkBuff): number {
  const dev = skb.dev;
  if (dev === null || skb.pktType !== PACKET_HOST) {
    return tcpV4Discard(null, skb, SKB_DROP_REASON_NOT_SPECIFIED);
  }
  const net = dev.net;
  tcpIncStats(net, TCP_MIB_INSEGS);
  if (!pskbMayPull(skb, tcphdr.LEN)) return tcpV4Discard(null, skb, 0);
  const hdrlen = tcphdr.hdrlen(view, skb.data);
  if (hdrlen < tcphdr.LEN) {
    tcpIncStats(net, TCP_MIB_INERRS);
    return tcpV4Discard(null, skb, SKB_DROP_REASON_PKT_TOO_SMALL);
  }
  if (!pskbMayPull(skb, hdrlen)) return tcpV4Discard(null, skb, 0);
  // The sum of the payload may wait until somebody wants it.
  const iph = skb.networkHeader;
  const pseudo = csumTcpudpNofold(
    iphdr.saddr(view, iph),
    iphdr.daddr(view, iph),
    skb.len,
    IPPROTO_TCP,
    0,
  );
  if (skbChecksumInit(skb, pseudo) !== 0) return tcpV4DropCsum(net, skb);
  return tcpV4RcvLookup(net, skb);
}

// ---- The protocol ------------------------------------------------------------------------------

/** @kernel ipv4_specific net/ipv4/tcp_ipv4.c */
export const ipv4Specific: InetConnectionSockAfOps = {
  queueXmit: ipQueueXmit,
  sendCheck: tcpV4SendCheck,
  rebuildHeader: inetSkRebuildHeader,
  skRxDstSet: inetSkRxDstSet,
  connRequest: tcpV4ConnRequest,
  synRecvSock: tcpV4SynRecvSock,
  netHeaderLen: 20,
  sockaddrLen: 16,
  setsockopt: ipSetsockopt,
  getsockopt: ipGetsockopt,
  mtuReduced: tcpV4MtuReduced,
};

/** @kernel tcp_v4_init_sock net/ipv4/tcp_ipv4.c */
function tcpV4InitSock(sk: Sock): number {
  tcpInitSock(sk);
  tcpSk(sk).icskAfOps = ipv4Specific;
  return 0;
}

/** @kernel tcp_v4_pre_connect net/ipv4/tcp_ipv4.c */
function tcpV4PreConnect(_sk: Sock, uaddr: Uint8Array): number {
  // tcp_v4_connect() reads the address; too short a one must not reach anything in between.
  return uaddr.length < sockaddrIn.LEN ? -EINVAL : 0;
}

/** A socket: one that was closed, or a new one. @kernel sk_prot_alloc net/core/sock.c */
function tcpProtAlloc(net: Net, family: number, prot: Proto): TcpSock {
  const sk = net.machine.netGlobals.tcpSlab.alloc();
  if (sk === null) return new TcpSock(net, family, prot, sockDefCallbacks);
  reviveTcpSock(sk, net, family, prot);
  return sk;
}

/**
 * Resets a socket at once, as it is in the caches now, and lest it keep anything alive.
 * @kernel sk_prot_free net/core/sock.c
 */
function tcpProtFree(sk: Sock): void {
  const { machine } = sk.net;
  const tp = tcpSk(sk);
  const { icskRetransmitTimer: rto, icskDelackTimer: delack } = tp;
  if (DEBUG) {
    const armed = (rto !== null && timerPending(rto)) || (delack !== null && timerPending(delack));
    bugOn(armed || sk.hashed, 'sock-free', 'a timer is armed, or the table has it');
  }
  const { tcpSlab } = machine.netGlobals;
  if (!tcpSlab.hasRoom()) return;
  resetTcpSock(tp, machine.initNet, AF_UNSPEC, sk.skProt, sockDefCallbacks);
  tcpSlab.put(tp);
}

/** Everything that a socket holds. @kernel tcp_v4_destroy_sock net/ipv4/tcp_ipv4.c */
function tcpV4DestroySock(sk: Sock): void {
  const tp = tcpSk(sk);
  if (tracepointKey.enabled) sk.net.machine.trace.tcp.tcpDestroySock.probe?.(sk);
  tcpClearXmitTimers(sk);
  tcpCleanupCongestionControl(sk);
  tcpWriteQueuePurge(sk);
  tcpFastopenActiveDisableOfoCheck(sk);
  tcpOfoQueuePurge(sk);
  if (tp.icskBindHash !== null) inetPutPort(sk);
  if (DEBUG) bugOn(tp.fastopenRsk !== null, 'fastopen-rsk', 'destroyed within a Fast Open');
  tcpFreeFastopenReq(tp);
  if (tp.icskAcceptQueueOrNull !== null) tp.icskAcceptQueueOrNull.fastopenqCtx = null;
  tp.savedSyn = null;
  tcpAuthDestroySock(sk);
  const memory = sk.skProt.memory(sk.net);
  if (memory !== null) memory.socketsAllocated--;
}

/** Memory of all TCP sockets of the machine. @kernel tcp_memory_allocated net/ipv4/tcp.c */
function tcpProtoMemory(net: Net): ProtoMemory | null {
  return net.machine.netGlobals.protoMemory.get('TCP') ?? null;
}

/** @kernel tcp_prot net/ipv4/tcp_ipv4.c */
export const tcpProt: Proto = {
  name: 'TCP',
  alloc: tcpProtAlloc,
  free: tcpProtFree,
  close: tcpClose,
  preConnect: tcpV4PreConnect,
  connect: tcpV4Connect,
  disconnect: tcpDisconnect,
  accept: inetCskAccept,
  ioctl: tcpIoctl,
  init: tcpV4InitSock,
  destroy: tcpV4DestroySock,
  shutdown: tcpShutdown,
  setsockopt: tcpSetsockopt,
  getsockopt: tcpGetsockopt,
  keepalive: tcpSetKeepalive,
  sendmsg: tcpSendmsg,
  recvmsg: tcpRecvmsg,
  bind: null,
  backlogRcv: tcpV4DoRcv,
  releaseCb: tcpReleaseCb,
  hash: inetHash,
  unhash: inetUnhash,
  rehash: null,
  getPort: inetCskGetPort,
  putPort: inetPutPort,
  streamMemoryFree: tcpStreamMemoryFree,
  enterMemoryPressure: tcpEnterMemoryPressure,
  leaveMemoryPressure: tcpLeaveMemoryPressure,
  diagDestroy: tcpAbort,
  maxHeader: MAX_TCP_HEADER,
  noAutobind: true,
  memory: tcpProtoMemory,
  memoryMin: (net, kind) =>
    kind === SK_MEM_SEND ? net.ipv4.sysctlTcpWmem[0] : net.ipv4.sysctlTcpRmem[0],
};

/**
 * A namespace goes away: ends what its programs left behind.
 * @kernel inet_twsk_purge net/ipv4/inet_timewait_sock.c
 * @deviation orphans end here too; in Linux they keep the namespace alive until they are done
 */
function tcpPurge(net: Net): void {
  const hashinfo = tcpGetHashinfo(net);
  localBhDisable(net.machine);
  for (let slot = 0; slot < hashinfo.ehash.length; slot++) {
    let next: SockCommon | null;
    for (let sk = hashinfo.ehash[slot] ?? null; sk !== null; sk = next) {
      next = sk.skcNext;
      if (sk.net !== net) continue;
      sk.refcnt++;
      if (sk.kind === SOCK_KIND_TIMEWAIT) {
        inetTwskDeschedulePut(sk as InetTimewaitSock);
      } else if (sk.kind === SOCK_KIND_REQUEST) {
        const req = sk as RequestSock;
        if (req.rskListener !== null) inetCskReqskQueueDropAndPut(req.rskListener, req);
      } else {
        tcpDone(sk as Sock);
        sockPut(sk as Sock);
      }
    }
  }
  localBhEnable(net.machine);
}

/** @kernel tcp_sk_ops net/ipv4/tcp_ipv4.c */
const tcpSkOps: PernetOperations = {
  name: 'tcp',
  init(net: Net): number {
    const sk = inetCtlSockCreate(net, tcpProt, SOCK_RAW, IPPROTO_TCP);
    // Replies are no connection: never fragment quietly, and let them pass any path.
    inetSk(sk).pmtudisc = IP_PMTUDISC_DO;
    inetSk(sk).ucTtl = -1;
    sk.skNoCheckTx = false;
    net.ipv4.tcpSk = sk;
    return 0;
  },
  exit(net: Net): void {
    tcpPurge(net);
    inetCtlSockDestroy(net.ipv4.tcpSk);
    net.ipv4.tcpSk = null;
  },
};

/** @kernel tcp_v4_init net/ipv4/tcp_ipv4.c */
export function tcpV4Init(machine: Machine): number {
  return registerPernetSubsys(machine, tcpSkOps);
}
