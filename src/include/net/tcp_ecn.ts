/**
 * Explicit congestion notification on the sending side. Counterpart of include/net/tcp_ecn.h.
 * RFC 3168: ECT on data but not on retransmissions or pure ACKs, CWR once a reduction, ECE until then.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import { SKB_GSO_TCP_ECN } from '#include/linux/skbuff.ts';
import { dstFeature } from '#include/net/dst.ts';
import type { RequestSock } from '#include/net/inet_connection_sock.ts';
import { inetSk } from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import {
  TCP_ECN_DEMAND_CWR,
  TCP_ECN_OK,
  TCP_ECN_QUEUE_CWR,
  TCPHDR_CWR,
  TCPHDR_ECE,
  tcpSk,
} from '#include/net/tcp.ts';
import { tcpCaNeedsEcn } from '#include/net/tcp_inlines.ts';
import { before } from '#lib/tcp_seq.ts';
import { INET_ECN_ECT_0, INET_ECN_MASK } from '#uapi/ip.ts';
import { RTAX_FEATURE_ECN } from '#uapi/rtnetlink.ts';

/** Packets of the socket are marked ECN-capable from here on. @kernel INET_ECN_xmit include/net/inet_ecn.h */
export function inetEcnXmit(sk: Sock): void {
  inetSk(sk).tos |= INET_ECN_ECT_0;
}

/** @kernel INET_ECN_dontxmit include/net/inet_ecn.h */
export function inetEcnDontxmit(sk: Sock): void {
  inetSk(sk).tos &= ~INET_ECN_MASK;
}

/** Offers ECN in our SYN where configured. @kernel tcp_ecn_send_syn include/net/tcp_ecn.h @rfc 3168#6.1.1 */
export function tcpEcnSendSyn(sk: Sock, skb: SkBuff): void {
  const tp = tcpSk(sk);
  const needs = tcpCaNeedsEcn(sk);
  let use = sk.net.ipv4.sysctlTcpEcn === 1 || needs;
  if (!use) {
    const dst = sk.skDstCache;
    use = dst !== null && dstFeature(dst, RTAX_FEATURE_ECN) !== 0;
  }
  tp.ecnFlags = 0;
  if (!use) return;
  skb.tcpCb.tcpFlags |= TCPHDR_ECE | TCPHDR_CWR;
  tp.ecnFlags = TCP_ECN_OK;
  if (needs) inetEcnXmit(sk);
}

/** A SYN sent again goes without: some boxes drop what they do not know. @kernel tcp_ecn_clear_syn include/net/tcp_ecn.h */
export function tcpEcnClearSyn(sk: Sock, skb: SkBuff): void {
  if (sk.net.ipv4.sysctlTcpEcnFallback !== 0) skb.tcpCb.tcpFlags &= ~(TCPHDR_ECE | TCPHDR_CWR);
}

/** For the SYN-ACK of a simultaneous open. @kernel tcp_ecn_send_synack include/net/tcp_ecn.h */
export function tcpEcnSendSynack(sk: Sock, skb: SkBuff): void {
  const tp = tcpSk(sk);
  skb.tcpCb.tcpFlags &= ~TCPHDR_CWR;
  if ((tp.ecnFlags & TCP_ECN_OK) === 0) skb.tcpCb.tcpFlags &= ~TCPHDR_ECE;
  else if (tcpCaNeedsEcn(sk)) inetEcnXmit(sk);
}

/** Header flags that a SYN-ACK has for ECN. @kernel tcp_ecn_make_synack include/net/tcp_ecn.h */
export function tcpEcnMakeSynack(req: RequestSock): number {
  return req.ecnOk ? TCPHDR_ECE : 0;
}

/**
 * Sets the IP codepoint for this segment; returns the header flags to add.
 * @kernel tcp_ecn_send include/net/tcp_ecn.h
 */
export function tcpEcnSend(sk: Sock, skb: SkBuff, tcpHeaderLen: number): number {
  const tp = tcpSk(sk);
  if ((tp.ecnFlags & TCP_ECN_OK) === 0) return 0;
  let flags = 0;
  if (skb.len !== tcpHeaderLen && !before(skb.tcpCb.seq, tp.sndNxt)) {
    inetEcnXmit(sk);
    if ((tp.ecnFlags & TCP_ECN_QUEUE_CWR) !== 0) {
      tp.ecnFlags &= ~TCP_ECN_QUEUE_CWR;
      flags |= TCPHDR_CWR;
      skb.shinfo.gsoType |= SKB_GSO_TCP_ECN;
    }
  } else if (!tcpCaNeedsEcn(sk)) {
    inetEcnDontxmit(sk);
  }
  if ((tp.ecnFlags & TCP_ECN_DEMAND_CWR) !== 0) flags |= TCPHDR_ECE;
  return flags;
}
