/**
 * ICMP errors about our segments.
 *
 * Counterpart: tcp_v4_err and its helpers of net/ipv4/tcp_ipv4.c. RFC 5927 (attacks by ICMP, hence
 * the check of sequence numbers), RFC 1122#4.2.3.9 (soft errors), RFC 1191 (path MTU), RFC 6069
 * (unreachable networks revert the backoff).
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import { TCP_MTU_REDUCED_DEFERRED } from '#include/linux/tcp.ts';
import { dstMtu } from '#include/net/dst.ts';
import { icmpErrConvert, icmpIncStats } from '#include/net/icmp.ts';
import { ICSK_TIME_RETRANS, type RequestSock } from '#include/net/inet_connection_sock.ts';
import type { InetTimewaitSock } from '#include/net/inet_timewait_sock.ts';
import { ipDontFragment, ipSkAcceptPmtu, netIncStats } from '#include/net/ip.ts';
import type { Rtable } from '#include/net/ip_fib.ts';
import type { Sock } from '#include/net/sock.ts';
import { SOCK_KIND_REQUEST, SOCK_KIND_TIMEWAIT } from '#include/net/sock_common.ts';
import { TCP_TIMEOUT_INIT, tcpSk } from '#include/net/tcp.ts';
import { tcpAoIgnoreIcmp } from '#include/net/tcp_auth_ops.ts';
import {
  __tcpSetRto,
  tcpRtoMax,
  tcpSkbTimestampUs,
  tcpStampUsDelta,
} from '#include/net/tcp_inlines.ts';
import { tcpRtxQueueHead } from '#include/net/tcp_queue.ts';
import { usecsToJiffies } from '#kernel/time/jiffies.ts';
import { between } from '#lib/tcp_seq.ts';
import { view } from '#mm/memory.ts';
import { reqskPut } from '#net/core/request_sock.ts';
import { __skDstCheck, skErrorReport, sockHold, sockOwnedByUser, sockPut } from '#net/core/sock.ts';
import { inetCskReqskQueueDrop } from '#net/ipv4/inet_connection_sock.ts';
import { inetCskUpdatePmtu } from '#net/ipv4/inet_connection_sock_route.ts';
import { inetCskResetXmitTimer, inetCskRtoBackoff } from '#net/ipv4/inet_connection_sock_timer.ts';
import { __inetLookupEstablished, sockGenPut } from '#net/ipv4/inet_hashtables.ts';
import { inetTwskPut } from '#net/ipv4/inet_timewait_sock.ts';
import { inetIif, ipIcmpError } from '#net/ipv4/ip_sockglue_error.ts';
import { tcpListendrop } from '#net/ipv4/tcp_input_conn.ts';
import { tcpSimpleRetransmit } from '#net/ipv4/tcp_input_loss.ts';
import { tcpMstampRefresh } from '#net/ipv4/tcp_output.ts';
import { tcpSyncMss } from '#net/ipv4/tcp_output_mss.ts';
import { tcpDoneWithError } from '#net/ipv4/tcp_state.ts';
import { tcpRetransmitTimer } from '#net/ipv4/tcp_timer.ts';
import { EHOSTUNREACH, EMSGSIZE, ENOENT, EPROTO } from '#uapi/errno.ts';
import {
  ICMP_DEST_UNREACH,
  ICMP_FRAG_NEEDED,
  ICMP_HOST_UNREACH,
  ICMP_NET_UNREACH,
  ICMP_PARAMETERPROB,
  ICMP_REDIRECT,
  ICMP_TIME_EXCEEDED,
  icmphdr,
} from '#uapi/icmp.ts';
import { IP_PMTUDISC_DONT } from '#uapi/in.ts';
import { iphdr } from '#uapi/ip.ts';
import {
  ICMP_MIB_INERRORS,
  LINUX_MIB_LOCKDROPPEDICMPS,
  LINUX_MIB_OUTOFWINDOWICMPS,
  LINUX_MIB_TCPMINTTLDROP,
} from '#uapi/snmp.ts';
import {
  TCP_CLOSE,
  TCP_LISTEN,
  TCP_SYN_RECV,
  TCP_SYN_SENT,
  TCPF_CLOSE,
  TCPF_LISTEN,
  tcphdr,
} from '#uapi/tcp.ts';

const NR_ICMP_UNREACH = 15;

/**
 * A lower path MTU was learned: adopts it and sends again what was too large.
 * @kernel tcp_v4_mtu_reduced net/ipv4/tcp_ipv4.c
 * @rfc 1191#6.4
 */
export function tcpV4MtuReduced(sk: Sock): void {
  if (((1 << sk.skcState) & (TCPF_LISTEN | TCPF_CLOSE)) !== 0) return;
  const tp = tcpSk(sk);
  const learned = tp.mtuInfo;
  const dst = inetCskUpdatePmtu(sk, learned);
  if (dst === null) return;
  // Not believed, and we may not fragment: tell the user when the connection dies of it.
  if (learned < dstMtu(dst) && ipDontFragment(tp, dst as Rtable)) sk.skErrSoft = EMSGSIZE;
  const mtu = dstMtu(dst);
  if (tp.pmtudisc !== IP_PMTUDISC_DONT && ipSkAcceptPmtu(tp) && tp.icskPmtuCookie > mtu) {
    tcpSyncMss(sk, mtu);
    tcpSimpleRetransmit(sk);
  }
}

/** @kernel do_redirect net/ipv4/tcp_ipv4.c */
function doRedirect(skb: SkBuff, sk: Sock): void {
  const dst = __skDstCheck(sk, 0);
  if (dst !== null) dst.ops.redirect(dst, sk, skb);
}

/**
 * An error about a SYN-ACK. Gives the caller's reference back. `abort`: the peer cannot be reached.
 * @kernel tcp_req_err net/ipv4/tcp_ipv4.c
 */
function tcpReqErr(req: RequestSock, seq: number, abort: boolean): void {
  const listener = req.rskListener;
  if (seq !== req.sntIsn) {
    netIncStats(req.net, LINUX_MIB_OUTOFWINDOWICMPS);
  } else if (abort && listener !== null) {
    // accept() returns no network errors, so it goes in silence.
    inetCskReqskQueueDrop(listener, req);
    tcpListendrop(listener);
  }
  reqskPut(req);
}

/**
 * The network says that it does not know the way: then the missing ACKs are no sign of congestion,
 * and the last doubling of the timeout is taken back.
 * @kernel tcp_ld_RTO_revert net/ipv4/tcp_ipv4.c
 * @rfc 6069#4
 */
function tcpLdRtoRevert(sk: Sock, seq: number): void {
  const tp = tcpSk(sk);
  if (sockOwnedByUser(sk)) return;
  if (seq !== tp.sndUna || tp.icskRetransmits === 0 || tp.icskBackoff === 0) return;
  const skb = tcpRtxQueueHead(sk);
  if (skb === null) return;
  tp.icskBackoff--;
  tp.icskRto = tp.srttUs !== 0 ? __tcpSetRto(tp) : TCP_TIMEOUT_INIT;
  tp.icskRto = inetCskRtoBackoff(sk, tcpRtoMax(sk));
  tcpMstampRefresh(tp);
  const deltaUs = tcpStampUsDelta(tp.tcpMstamp, tcpSkbTimestampUs(skb));
  const remaining = tp.icskRto - usecsToJiffies(deltaUs);
  if (remaining > 0) {
    inetCskResetXmitTimer(sk, ICSK_TIME_RETRANS, remaining, tcpRtoMax(sk));
  } else {
    tcpRetransmitTimer(sk);
  }
}

/** Path MTU: now, or when the task lets go of the socket. */
function tcpV4FragNeeded(sk: Sock, info: number): void {
  if (sk.skcState === TCP_LISTEN) return;
  const tp = tcpSk(sk);
  tp.mtuInfo = info;
  if (!sockOwnedByUser(sk)) {
    tcpV4MtuReduced(sk);
  } else if ((tp.tsqFlags & (1 << TCP_MTU_REDUCED_DEFERRED)) === 0) {
    tp.tsqFlags |= 1 << TCP_MTU_REDUCED_DEFERRED;
    sockHold(sk);
  }
}

/**
 * What errno the message stands for; 0: it is dealt with or ignored.
 * @kernel tcp_v4_err net/ipv4/tcp_ipv4.c
 */
function tcpV4ErrErrno(
  sk: Sock,
  skb: SkBuff,
  type: number,
  code: number,
  info: number,
  seq: number,
): number {
  switch (type) {
    case ICMP_REDIRECT:
      if (!sockOwnedByUser(sk)) doRedirect(skb, sk);
      return 0;
    case ICMP_PARAMETERPROB:
      return EPROTO;
    case ICMP_TIME_EXCEEDED:
      return EHOSTUNREACH;
    case ICMP_DEST_UNREACH:
      if (code > NR_ICMP_UNREACH) return 0;
      if (code === ICMP_FRAG_NEEDED) {
        tcpV4FragNeeded(sk, info);
        return 0;
      }
      if (
        tcpSk(sk).fastopenRsk === null &&
        (code === ICMP_NET_UNREACH || code === ICMP_HOST_UNREACH)
      ) {
        tcpLdRtoRevert(sk, seq);
      }
      return icmpErrConvert[code]?.errno ?? 0;
    default:
      // Source quench among them, which RFC 6633 abolished.
      return 0;
  }
}

/** The error reaches the socket. @kernel tcp_v4_err net/ipv4/tcp_ipv4.c */
function tcpV4ErrDeliver(sk: Sock, skb: SkBuff, err: number, info: number, th: number): void {
  const owned = sockOwnedByUser(sk);
  // A Fast Open child that is accepted already counts as connected.
  const req = tcpSk(sk).fastopenRsk;
  const accepted = req !== null && req.sk === null;
  if ((sk.skcState === TCP_SYN_SENT || sk.skcState === TCP_SYN_RECV) && !accepted) {
    ipIcmpError(sk, skb, err, tcphdr.dest(view, th), info, th);
    if (owned) sk.skErrSoft = err;
    else tcpDoneWithError(sk, err);
    return;
  }
  // An open connection goes on: routing changes, and what ICMP says may be forged. Only who asks
  // for errors (IP_RECVERR) gets them now, others when the connection times out.
  if (!owned && tcpSk(sk).recverr) {
    sk.skErr = err;
    skErrorReport(sk);
  } else {
    sk.skErrSoft = err;
  }
}

/** @kernel tcp_v4_err net/ipv4/tcp_ipv4.c */
function tcpV4ErrSock(
  sk: Sock,
  skb: SkBuff,
  type: number,
  code: number,
  info: number,
  th: number,
): void {
  const net = sk.net;
  const tp = tcpSk(sk);
  const seq = tcphdr.seq(view, th);
  if (sockOwnedByUser(sk) && !(type === ICMP_DEST_UNREACH && code === ICMP_FRAG_NEEDED)) {
    netIncStats(net, LINUX_MIB_LOCKDROPPEDICMPS);
  }
  if (sk.skcState === TCP_CLOSE) return;
  if (iphdr.ttl(view, skb.data) < tp.minTtl) {
    netIncStats(net, LINUX_MIB_TCPMINTTLDROP);
    return;
  }
  // Who cannot see our segments cannot know their numbers.
  const sndUna = tp.fastopenRsk !== null ? tp.fastopenRsk.sntIsn : tp.sndUna;
  if (sk.skcState !== TCP_LISTEN && !between(seq, sndUna, tp.sndNxt)) {
    netIncStats(net, LINUX_MIB_OUTOFWINDOWICMPS);
    return;
  }
  const err = tcpV4ErrErrno(sk, skb, type, code, info, seq);
  if (err !== 0) tcpV4ErrDeliver(sk, skb, err, info, th);
}

/**
 * An ICMP error whose quoted packet (IP header at `skb.data`) is a segment of ours. `info`: the MTU
 * of "fragmentation needed". 0, or -ENOENT when no connection matches.
 * @kernel tcp_v4_err net/ipv4/tcp_ipv4.c
 * @rfc 5927
 */
export function tcpV4Err(skb: SkBuff, info: number): number {
  const iph = skb.data;
  const th = iph + iphdr.hdrlen(view, iph);
  const dev = skb.dev;
  if (dev === null) return -ENOENT;
  const net = dev.net;
  const type = icmphdr.type(view, skb.transportHeader);
  const code = icmphdr.code(view, skb.transportHeader);
  const sk = __inetLookupEstablished(
    net,
    iphdr.daddr(view, iph),
    tcphdr.dest(view, th),
    iphdr.saddr(view, iph),
    tcphdr.source(view, th),
    inetIif(skb),
  );
  if (sk === null) {
    icmpIncStats(net, ICMP_MIB_INERRORS);
    return -ENOENT;
  }
  if (tcpAoIgnoreIcmp(sk, type, code)) {
    sockGenPut(sk);
    return 0;
  }
  if (sk.kind === SOCK_KIND_TIMEWAIT) {
    inetTwskPut(sk as InetTimewaitSock);
  } else if (sk.kind === SOCK_KIND_REQUEST) {
    const unreachable =
      type === ICMP_DEST_UNREACH && (code === ICMP_NET_UNREACH || code === ICMP_HOST_UNREACH);
    const abort = unreachable || type === ICMP_PARAMETERPROB || type === ICMP_TIME_EXCEEDED;
    tcpReqErr(sk as RequestSock, tcphdr.seq(view, th), abort);
  } else {
    const full = sk as Sock;
    tcpV4ErrSock(full, skb, type, code, info, th);
    sockPut(full);
  }
  return 0;
}
