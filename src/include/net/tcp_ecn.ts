/**
 * Explicit congestion notification: classic (RFC 3168) and accurate (RFC 9768).
 *
 * Counterpart of include/net/tcp_ecn.h. Classic: ECT on new data, ECE until CWR. Accurate: ECT on
 * everything; the three header bits AE, CWR and ECE hold the number of CE packets received (mod 8),
 * and an option the bytes received by codepoint. Counters begin above zero on the wire so that a box
 * that clears them is noticed. The packet side of the option is in tcp_output_accecn.ts, what a
 * sender makes of the feedback in tcp_input_accecn.ts.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import { SKB_GSO_TCP_ACCECN, SKB_GSO_TCP_ECN } from '#include/linux/skbuff.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import { dstFeature } from '#include/net/dst.ts';
import type { RequestSock } from '#include/net/inet_connection_sock.ts';
import { ICSK_ACK_NOW, inetSk } from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import {
  TCP_CONG_ECT_1_NEGOTIATION,
  TCP_CONG_NEEDS_ACCECN,
  TCP_ECN_DEMAND_CWR,
  TCP_ECN_DISABLED,
  TCP_ECN_MODE_ACCECN,
  TCP_ECN_MODE_ANY,
  TCP_ECN_MODE_PENDING,
  TCP_ECN_MODE_RFC3168,
  TCP_ECN_QUEUE_CWR,
  TCP_ECN_SEEN,
  TCPHDR_AE,
  TCPHDR_CWR,
  TCPHDR_ECE,
  tcpSk,
} from '#include/net/tcp.ts';
import { tcpCaNeedsEcn, tcpEcnMode } from '#include/net/tcp_inlines.ts';
import { before } from '#lib/tcp_seq.ts';
import { view } from '#mm/memory.ts';
import {
  INET_ECN_CE,
  INET_ECN_ECT_0,
  INET_ECN_ECT_1,
  INET_ECN_MASK,
  INET_ECN_NOT_ECT,
} from '#uapi/ip.ts';
import { RTAX_FEATURE_ECN } from '#uapi/rtnetlink.ts';
import { TCPHDR_ACE, TCPOLEN_ACCECN_BASE, TCPOLEN_ACCECN_PERFIELD, tcphdr } from '#uapi/tcp.ts';

// Values of the sysctl tcp_ecn: what is granted, what is asked for. @kernel tcp_ecn_mode
export const TCP_ECN_IN_NOECN_OUT_NOECN = 0;
export const TCP_ECN_IN_ECN_OUT_ECN = 1;
export const TCP_ECN_IN_ECN_OUT_NOECN = 2;
export const TCP_ECN_IN_ACCECN_OUT_ACCECN = 3;
export const TCP_ECN_IN_ACCECN_OUT_ECN = 4;
export const TCP_ECN_IN_ACCECN_OUT_NOECN = 5;

// Values of the sysctl tcp_ecn_option. @kernel tcp_accecn_option
export const TCP_ACCECN_OPTION_DISABLED = 0;
export const TCP_ACCECN_OPTION_MINIMUM = 1;
export const TCP_ACCECN_OPTION_FULL = 2;
/** On every segment, even when the path seems to drop it. */
export const TCP_ACCECN_OPTION_PERSIST = 3;

// Bits of TcpSock.accecnFailMode: what may not be relied on any more.
/** The peer may not have seen our flags: no ECT on what we send. */
export const TCP_ACCECN_ACE_FAIL_SEND = 1;
/** The peer's counter is mangled on its way. */
export const TCP_ACCECN_ACE_FAIL_RECV = 2;
/** Segments with the option do not reach the peer. */
export const TCP_ACCECN_OPT_FAIL_SEND = 4;
/** The peer's option is mangled or does not arrive. */
export const TCP_ACCECN_OPT_FAIL_RECV = 8;

// TcpSock.sawAccecnOpt
export const TCP_ACCECN_OPT_NOT_SEEN = 0;
export const TCP_ACCECN_OPT_EMPTY_SEEN = 1;
export const TCP_ACCECN_OPT_COUNTER_SEEN = 2;
export const TCP_ACCECN_OPT_FAIL_SEEN = 3;

/** Where the counters begin on the wire. @rfc 9768#3.2.1 */
export const TCP_ACCECN_CEP_INIT_OFFSET = 5;
export const TCP_ACCECN_E1B_INIT_OFFSET = 1;
export const TCP_ACCECN_E0B_INIT_OFFSET = 1;
export const TCP_ACCECN_CEB_INIT_OFFSET = 0;
export const TCP_ACCECN_CEP_ACE_MASK = 7;
/** CE packets after which an ACK may not wait, so that the 3-bit counter stays unambiguous. */
export const TCP_ACCECN_ACE_MAX_DELTA = 6;
export const TCP_ACCECN_SAFETY_SHIFT = 1;
export const TCP_ACCECN_NUMFIELDS = 3;
export const TCP_ACCECN_MAXSIZE: number =
  TCPOLEN_ACCECN_BASE + TCPOLEN_ACCECN_PERFIELD * TCP_ACCECN_NUMFIELDS;

/** Position of AE, CWR and ECE in the flags. */
const ACE_SHIFT = 6;

// ---- Mode --------------------------------------------------------------------------------------

/** @kernel tcp_ecn_mode_any include/net/tcp.h */
export const tcpEcnModeAny = (tp: TcpSock): boolean => (tp.ecnFlags & TCP_ECN_MODE_ANY) !== 0;

/** @kernel tcp_ecn_disabled include/net/tcp.h */
export const tcpEcnDisabled = (tp: TcpSock): boolean => !tcpEcnModeAny(tp);

/** @kernel tcp_ecn_mode_rfc3168 include/net/tcp.h */
export const tcpEcnModeRfc3168 = (tp: TcpSock): boolean => tcpEcnMode(tp) === TCP_ECN_MODE_RFC3168;

/** @kernel tcp_ecn_mode_accecn include/net/tcp.h */
export const tcpEcnModeAccecn = (tp: TcpSock): boolean => tcpEcnMode(tp) === TCP_ECN_MODE_ACCECN;

/** Our SYN has asked for accurate ECN, the answer is out. @kernel tcp_ecn_mode_pending include/net/tcp.h */
export const tcpEcnModePending = (tp: TcpSock): boolean => tcpEcnMode(tp) === TCP_ECN_MODE_PENDING;

/** @kernel tcp_ecn_mode_set include/net/tcp.h */
export function tcpEcnModeSet(tp: TcpSock, mode: number): void {
  tp.ecnFlags = (tp.ecnFlags & ~TCP_ECN_MODE_ANY) | mode;
}

/** Does the congestion control need accurate feedback? @kernel tcp_ca_needs_accecn include/net/tcp.h */
export function tcpCaNeedsAccecn(sk: Sock): boolean {
  return ((tcpSk(sk).icskCaOps?.flags ?? 0) & TCP_CONG_NEEDS_ACCECN) !== 0;
}

// ---- Marking our packets -------------------------------------------------------------------------

/** Packets of the socket are marked ECN-capable from here on. @kernel INET_ECN_xmit include/net/inet_ecn.h */
export function inetEcnXmit(sk: Sock): void {
  const inet = inetSk(sk);
  inet.tos = (inet.tos & ~INET_ECN_MASK) | INET_ECN_ECT_0;
}

/** @kernel INET_ECN_dontxmit include/net/inet_ecn.h */
export function inetEcnDontxmit(sk: Sock): void {
  inetSk(sk).tos &= ~INET_ECN_MASK;
}

/** ECT(1) where the congestion control asks for it. @kernel INET_ECN_xmit_ect_1_negotiation include/net/tcp_ecn.h */
function inetEcnXmitEct1Negotiation(sk: Sock): void {
  const inet = inetSk(sk);
  const ect1 = ((tcpSk(sk).icskCaOps?.flags ?? 0) & TCP_CONG_ECT_1_NEGOTIATION) !== 0;
  inet.tos = (inet.tos & ~INET_ECN_MASK) | (ect1 ? INET_ECN_ECT_1 : INET_ECN_ECT_0);
}

/** The next data says that the window has been reduced. @kernel tcp_ecn_queue_cwr include/net/tcp_ecn.h */
export function tcpEcnQueueCwr(tp: TcpSock): void {
  if (tcpEcnModeRfc3168(tp)) tp.ecnFlags |= TCP_ECN_QUEUE_CWR;
}

/**
 * The sender has reduced its window, so its mark need not be echoed any longer. Data that says so is
 * acknowledged at once: the window may be a single packet.
 * @kernel tcp_ecn_accept_cwr include/net/tcp_ecn.h
 */
export function tcpEcnAcceptCwr(tp: TcpSock, skb: SkBuff): void {
  if (!tcpEcnModeRfc3168(tp) || tcphdr.cwr(view, skb.transportHeader) === 0) return;
  tp.ecnFlags &= ~TCP_ECN_DEMAND_CWR;
  if (skb.tcpCb.seq !== skb.tcpCb.endSeq) tp.ackPending |= ICSK_ACK_NOW;
}

/** @kernel tcp_ecn_withdraw_cwr include/net/tcp_ecn.h */
export function tcpEcnWithdrawCwr(tp: TcpSock): void {
  tp.ecnFlags &= ~TCP_ECN_QUEUE_CWR;
}

/** Does the segment echo a mark, in the classic way? @kernel tcp_ecn_rcv_ecn_echo include/net/tcp_ecn.h */
export function tcpEcnRcvEcnEcho(tp: TcpSock, th: number): boolean {
  return tcpEcnModeRfc3168(tp) && tcphdr.ece(view, th) !== 0 && tcphdr.syn(view, th) === 0;
}

// ---- Handshake feedback ----------------------------------------------------------------------------

/** AE, CWR and ECE as a number. @kernel tcp_accecn_ace include/net/tcp_ecn.h */
export function tcpAccecnAce(th: number): number {
  return (tcphdr.flags9(view, th) & TCPHDR_ACE) >> ACE_SHIFT;
}

/** The codepoint that our SYN or SYN-ACK arrived with, by the flags of the answer. @rfc 9768#3.1.1 */
const ACE_TO_ECN: readonly number[] = [
  INET_ECN_ECT_0,
  INET_ECN_ECT_1,
  INET_ECN_NOT_ECT,
  INET_ECN_ECT_1,
  INET_ECN_ECT_0,
  INET_ECN_ECT_1,
  INET_ECN_CE,
  INET_ECN_ECT_1,
];

/** The inverse, by codepoint: not-ECT, ECT(1), ECT(0), CE. */
const ECN_TO_ACE: readonly number[] = [0b010, 0b011, 0b100, 0b110];

/** @kernel tcp_accecn_extract_syn_ect include/net/tcp_ecn.h */
function tcpAccecnExtractSynEct(ace: number): number {
  return ACE_TO_ECN[ace & 7] as number;
}

/**
 * The flags that tell how the peer's SYN or SYN-ACK arrived.
 * @kernel tcp_accecn_reflector_flags include/net/tcp_ecn.h
 */
export function tcpAccecnReflectorFlags(ect: number): number {
  return (ECN_TO_ACE[ect & INET_ECN_MASK] as number) << ACE_SHIFT;
}

/** May a network turn `snt` into `rcv`? Only CE may be put in place of ECT. @kernel tcp_ect_transition_valid include/net/tcp_ecn.h */
function tcpEctTransitionValid(snt: number, rcv: number): boolean {
  if (rcv === snt) return true;
  return snt !== INET_ECN_NOT_ECT && rcv !== INET_ECN_NOT_ECT && snt !== INET_ECN_CE;
}

/** @kernel tcp_accecn_fail_mode_set include/net/tcp_ecn.h */
export function tcpAccecnFailModeSet(tp: TcpSock, mode: number): void {
  tp.accecnFailMode |= mode;
}

/**
 * Two SYN-ACKs were lost: the flags may be why, so the child sends no ECT.
 * @kernel tcp_accecn_ace_fail_send_set_retrans include/net/tcp_ecn.h
 * @rfc 9768#3.1.5
 */
export function tcpAccecnAceFailSendSetRetrans(req: RequestSock): void {
  if (req.numRetrans > 1 && req.accecnOk) req.accecnFailMode |= TCP_ACCECN_ACE_FAIL_SEND;
}

/** @kernel tcp_accecn_validate_syn_feedback include/net/tcp_ecn.h */
function tcpAccecnValidateSynFeedback(tp: TcpSock, ace: number, sentEct: number): boolean {
  if (tp.net.ipv4.sysctlTcpEcnFallback === 0) return true;
  if (tcpEctTransitionValid(sentEct, tcpAccecnExtractSynEct(ace))) return true;
  tcpAccecnFailModeSet(tp, TCP_ACCECN_ACE_FAIL_RECV);
  return false;
}

/** @kernel tcp_accecn_saw_opt_fail_recv include/net/tcp_ecn.h */
export function tcpAccecnSawOptFailRecv(tp: TcpSock, sawOpt: number): void {
  tp.sawAccecnOpt = sawOpt;
  if (sawOpt === TCP_ACCECN_OPT_FAIL_SEEN) tcpAccecnFailModeSet(tp, TCP_ACCECN_OPT_FAIL_RECV);
}

/**
 * The first option of the peer: TCP_ACCECN_OPT_*. Counters that begin with zero have been cleared on
 * the way.
 * @kernel tcp_accecn_option_init include/net/tcp_ecn.h
 * @rfc 9768#3.2.3.2.4
 */
export function tcpAccecnOptionInit(skb: SkBuff, optOffset: number): number {
  const opt = skb.transportHeader + optOffset;
  const len = view.getUint8(opt + 1) - TCPOLEN_ACCECN_BASE;
  if (len < TCPOLEN_ACCECN_PERFIELD) return TCP_ACCECN_OPT_EMPTY_SEEN;
  if (accecnField(opt, 0) === 0) return TCP_ACCECN_OPT_FAIL_SEEN;
  if (len < TCPOLEN_ACCECN_PERFIELD * 3) return TCP_ACCECN_OPT_COUNTER_SEEN;
  return accecnField(opt, 2) === 0 ? TCP_ACCECN_OPT_FAIL_SEEN : TCP_ACCECN_OPT_COUNTER_SEEN;
}

/** Counter number `i` of the option at `opt`: 24 bits. */
export function accecnField(opt: number, i: number): number {
  return view.getUint32(opt + 1 + i * TCPOLEN_ACCECN_PERFIELD) & 0xffffff;
}

/**
 * The segment that ends a handshake tells how our SYN-ACK arrived.
 * @kernel tcp_accecn_third_ack include/net/tcp_ecn.h
 * @rfc 9768#3.2.2.1
 */
export function tcpAccecnThirdAck(tp: TcpSock, skb: SkBuff, sentEct: number): void {
  const ace = tcpAccecnAce(skb.transportHeader);
  const { seq, endSeq, sacked } = skb.tcpCb;
  if (ace === 0) {
    if (sacked === 0) {
      tcpAccecnFailModeSet(tp, TCP_ACCECN_ACE_FAIL_RECV | TCP_ACCECN_OPT_FAIL_RECV);
    }
    return;
  }
  // Of no meaning here, but no error.
  if (ace === 7 || ace === 5 || ace === 1) return;
  // A segment with data is no longer the first: it carries the counter.
  if (seq !== endSeq || sacked !== 0 || !tcpAccecnValidateSynFeedback(tp, ace, sentEct)) return;
  if (tcpAccecnExtractSynEct(ace) === INET_ECN_CE && tp.deliveredCe === 0) tp.deliveredCe++;
}

// ---- Receiver ----------------------------------------------------------------------------------

/** The next `demand` ACKs carry the option. @kernel tcp_accecn_opt_demand_min include/net/tcp_ecn.h */
export function tcpAccecnOptDemandMin(tp: TcpSock, demand: number): void {
  if (tp.accecnOptDemand < demand) tp.accecnOptDemand = demand;
}

/** The fields that an option in our order (ECT(1), CE, ECT(0)) needs to show the codepoint. @kernel tcp_ecnfield_to_accecn_optfield include/net/tcp_ecn.h */
function tcpEcnfieldToAccecnOptfield(ecnfield: number): number {
  if (ecnfield === INET_ECN_ECT_1) return 1;
  return ecnfield === INET_ECN_CE ? 2 : 3;
}

/** Adds payload received under a codepoint; returns the count of before. */
function receivedEcnBytesAdd(tp: TcpSock, ecnfield: number, len: number): number {
  let old: number;
  if (ecnfield === INET_ECN_ECT_1) {
    old = tp.receivedEct1Bytes;
    tp.receivedEct1Bytes = (old + len) >>> 0;
  } else if (ecnfield === INET_ECN_ECT_0) {
    old = tp.receivedEct0Bytes;
    tp.receivedEct0Bytes = (old + len) >>> 0;
  } else {
    old = tp.receivedCeBytes;
    tp.receivedCeBytes = (old + len) >>> 0;
  }
  return old;
}

/**
 * Counts the codepoint of an arriving segment with `len` bytes of payload. A change of codepoint is
 * told at once, and in two ACKs, so that the second shows nothing but the new one.
 * @kernel tcp_ecn_received_counters include/net/tcp_ecn.h
 * @rfc 9768#3.2.2.5.1
 */
export function tcpEcnReceivedCounters(sk: Sock, skb: SkBuff, len: number): void {
  const tp = tcpSk(sk);
  const ecnfield = skb.tcpCb.ipDsfield & INET_ECN_MASK;
  if (ecnfield === INET_ECN_NOT_ECT && tp.prevEcnfield === INET_ECN_NOT_ECT) return;
  const isCe = ecnfield === INET_ECN_CE;
  if (ecnfield !== INET_ECN_NOT_ECT) {
    if (!tcpEcnModeRfc3168(tp)) tp.ecnFlags |= TCP_ECN_SEEN;
    if (isCe) {
      // Pure ACKs count too.
      const pcount = Math.max(1, skb.shinfo.gsoSegs);
      tp.receivedCe = (tp.receivedCe + pcount) >>> 0;
      tp.receivedCePending = Math.min(tp.receivedCePending + pcount, 15);
    }
    if (len > 0) {
      tp.accecnMinlen = Math.max(tp.accecnMinlen, tcpEcnfieldToAccecnOptfield(ecnfield));
      const old = receivedEcnBytesAdd(tp, ecnfield, len);
      // The fields have 24 bits: at least one option every 2^22 bytes.
      if ((((old + len) ^ old) & 0xffc00000) !== 0) tcpAccecnOptDemandMin(tp, 1);
    }
  }
  const edge = tp.prevEcnfield !== ecnfield;
  if (!edge && !isCe) return;
  tp.prevEcnfield = ecnfield;
  if (!tcpEcnModeAccecn(tp)) return;
  if (edge) tp.ackPending |= ICSK_ACK_NOW;
  tp.accecnOptDemand = 2;
}

/** The same for a segment whose `data` is at its TCP header. @kernel tcp_ecn_received_counters_payload include/net/tcp_ecn.h */
export function tcpEcnReceivedCountersPayload(sk: Sock, skb: SkBuff): void {
  tcpEcnReceivedCounters(sk, skb, skb.len - tcphdr.hdrlen(view, skb.data));
}

/** @kernel tcp_accecn_init_counters include/net/tcp_ecn.h */
export function tcpAccecnInitCounters(tp: TcpSock): void {
  tp.receivedCe = 0;
  tp.receivedCePending = 0;
  tp.receivedEct1Bytes = 0;
  tp.receivedEct0Bytes = 0;
  tp.receivedCeBytes = 0;
  tp.deliveredEct1Bytes = 0;
  tp.deliveredEct0Bytes = 0;
  tp.deliveredCeBytes = 0;
  tp.accecnOptSentWDsack = false;
  tp.accecnMinlen = 0;
  tp.accecnOptDemand = 0;
  tp.estEcnfield = 0;
}

// ---- Opening -----------------------------------------------------------------------------------

/** Offers ECN in our SYN where configured. @kernel tcp_ecn_send_syn include/net/tcp_ecn.h @rfc 9768#3.1.1 */
export function tcpEcnSendSyn(sk: Sock, skb: SkBuff): void {
  const tp = tcpSk(sk);
  const setting = sk.net.ipv4.sysctlTcpEcn;
  const needs = tcpCaNeedsEcn(sk);
  const accurate = setting === TCP_ECN_IN_ACCECN_OUT_ACCECN || tcpCaNeedsAccecn(sk);
  let use =
    accurate ||
    needs ||
    setting === TCP_ECN_IN_ECN_OUT_ECN ||
    setting === TCP_ECN_IN_ACCECN_OUT_ECN;
  if (!use) {
    const dst = sk.skDstCache;
    use = dst !== null && dstFeature(dst, RTAX_FEATURE_ECN) !== 0;
  }
  tp.ecnFlags = TCP_ECN_DISABLED;
  if (!use) return;
  if (needs) inetEcnXmitEct1Negotiation(sk);
  skb.tcpCb.tcpFlags |= TCPHDR_ECE | TCPHDR_CWR;
  if (!accurate) {
    tcpEcnModeSet(tp, TCP_ECN_MODE_RFC3168);
    return;
  }
  skb.tcpCb.tcpFlags |= TCPHDR_AE;
  tcpEcnModeSet(tp, TCP_ECN_MODE_PENDING);
  tp.synEctSnt = tp.tos & INET_ECN_MASK;
}

/**
 * A SYN sent again goes without: some boxes drop what they do not know. Accurate ECN is tried once
 * more, since a loss may have had any cause.
 * @kernel tcp_ecn_clear_syn include/net/tcp_ecn.h
 * @rfc 9768#3.1.4.1
 */
export function tcpEcnClearSyn(sk: Sock, skb: SkBuff): void {
  const tp = tcpSk(sk);
  if (sk.net.ipv4.sysctlTcpEcnFallback === 0) return;
  if (tcpEcnModePending(tp) && tp.icskRetransmits < 2) return;
  skb.tcpCb.tcpFlags &= ~TCPHDR_ACE;
}

/** Does a SYN ask for accurate ECN? Any bits but none and those of classic ECN do. @kernel tcp_accecn_syn_requested include/net/tcp_ecn.h @rfc 9768#3.1.2 */
export function tcpAccecnSynRequested(th: number): boolean {
  const ace = tcpAccecnAce(th);
  return ace !== 0 && ace !== 3;
}

/** May the ACK of a SYN cookie be one of an accurate connection? @kernel cookie_accecn_ok include/net/tcp_ecn.h @rfc 9768#5.1 */
export const cookieAccecnOk = (th: number): boolean => tcpAccecnAce(th) > 1;

/**
 * The SYN-ACK decides about ECN.
 * @kernel tcp_ecn_rcv_synack include/net/tcp_ecn.h
 * @rfc 9768#3.1.2
 * @deviation where only classic ECN was asked for, flags of the accurate kind turn ECN off; Linux
 *   goes into accurate mode
 */
export function tcpEcnRcvSynack(sk: Sock, skb: SkBuff, th: number): void {
  const tp = tcpSk(sk);
  const ace = tcpAccecnAce(th);
  if (ace === 0 || ace === 7) {
    // No ECN, or a peer that reflects what it does not understand.
    tcpEcnModeSet(tp, TCP_ECN_DISABLED);
    return;
  }
  if (ace === 1) {
    if (tcpEcnModePending(tp)) tcpEcnModeSet(tp, TCP_ECN_MODE_RFC3168);
    return;
  }
  if (tcpEcnModeRfc3168(tp)) {
    // Only ECE without CWR grants what we asked for.
    tcpEcnModeSet(tp, TCP_ECN_DISABLED);
    return;
  }
  const dsfield = skb.tcpCb.ipDsfield & INET_ECN_MASK;
  tcpEcnModeSet(tp, TCP_ECN_MODE_ACCECN);
  tp.synEctRcv = dsfield;
  if (tp.rxOpt.accecn !== 0 && tp.sawAccecnOpt < TCP_ACCECN_OPT_COUNTER_SEEN) {
    tcpAccecnSawOptFailRecv(tp, tcpAccecnOptionInit(skb, tp.rxOpt.accecn));
    tp.accecnOptDemand = 2;
  }
  if (dsfield === INET_ECN_CE && tcpAccecnValidateSynFeedback(tp, ace, tp.synEctSnt)) {
    tp.receivedCe++;
    tp.receivedCePending++;
  }
}

/** A SYN that crosses ours. @kernel tcp_ecn_rcv_syn include/net/tcp_ecn.h */
export function tcpEcnRcvSyn(tp: TcpSock, skb: SkBuff, th: number): void {
  if (tcpEcnModePending(tp)) {
    if (tcpAccecnSynRequested(th)) {
      tp.synEctRcv = skb.tcpCb.ipDsfield & INET_ECN_MASK;
      tp.prevEcnfield = tp.synEctRcv;
      tcpEcnModeSet(tp, TCP_ECN_MODE_ACCECN);
    } else {
      tcpEcnModeSet(tp, TCP_ECN_MODE_RFC3168);
    }
  }
  const both = TCPHDR_ECE | TCPHDR_CWR;
  if (tcpEcnModeRfc3168(tp) && (tcphdr.flags(view, th) & both) !== both) {
    tcpEcnModeSet(tp, TCP_ECN_DISABLED);
  }
}

/** For the SYN-ACK of a simultaneous open. @kernel tcp_ecn_send_synack include/net/tcp_ecn.h */
export function tcpEcnSendSynack(sk: Sock, skb: SkBuff): void {
  const tp = tcpSk(sk);
  const cb = skb.tcpCb;
  cb.tcpFlags &= ~TCPHDR_CWR;
  if (tcpEcnDisabled(tp)) cb.tcpFlags &= ~(TCPHDR_ECE | TCPHDR_AE);
  else if (tcpCaNeedsEcn(sk)) inetEcnXmitEct1Negotiation(sk);
  if (tcpEcnModeAccecn(tp)) {
    cb.tcpFlags = (cb.tcpFlags & ~TCPHDR_ACE) | tcpAccecnReflectorFlags(tp.synEctRcv);
    tp.synEctSnt = tp.tos & INET_ECN_MASK;
  } else {
    cb.tcpFlags &= ~TCPHDR_AE;
  }
}

/**
 * Header flags that a SYN-ACK has for ECN. `retrans`: it is sent again. After two that were lost the
 * flags may be what was wrong.
 * @kernel tcp_ecn_make_synack include/net/tcp_ecn.h
 * @rfc 9768#3.2.3.2.2
 */
export function tcpEcnMakeSynack(req: RequestSock): number {
  if (req.accecnOk) {
    const tired = req.numRetrans > 0 && req.numTimeout > 0;
    return tired ? 0 : tcpAccecnReflectorFlags(req.synEctRcv);
  }
  return req.ecnOk ? TCPHDR_ECE : 0;
}

// ---- Sending -----------------------------------------------------------------------------------

/** The flags of a segment in accurate mode: the counter, unless they say something else already. @kernel tcp_accecn_set_ace include/net/tcp_ecn.h */
function tcpAccecnAceFlags(tp: TcpSock, skb: SkBuff): number {
  if ((skb.tcpCb.tcpFlags & TCPHDR_ACE) !== 0) return 0;
  tp.receivedCePending = 0;
  return ((tp.receivedCe + TCP_ACCECN_CEP_INIT_OFFSET) & TCP_ACCECN_CEP_ACE_MASK) << ACE_SHIFT;
}

/**
 * Sets the IP codepoint for this segment; returns the header flags to add.
 * @kernel tcp_ecn_send net/ipv4/tcp_output.c
 */
export function tcpEcnSend(sk: Sock, skb: SkBuff, tcpHeaderLen: number): number {
  const tp = tcpSk(sk);
  if (!tcpEcnModeAny(tp)) return 0;
  if (tcpEcnModeAccecn(tp)) {
    const fail = TCP_ACCECN_ACE_FAIL_RECV | TCP_ACCECN_ACE_FAIL_SEND;
    if ((tp.accecnFailMode & fail) === 0) inetEcnXmit(sk);
    skb.shinfo.gsoType |= SKB_GSO_TCP_ACCECN;
    return tcpAccecnAceFlags(tp, skb);
  }
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

/**
 * Is an option due because none went for a third of a round trip?
 * @kernel tcp_accecn_option_beacon_check include/net/tcp_ecn.h
 * @rfc 9768#3.2.3.3
 */
export function tcpAccecnOptionBeaconCheck(tp: TcpSock): boolean {
  const beacon = tp.net.ipv4.sysctlTcpEcnOptionBeacon;
  if (beacon === 0) return false;
  return Math.max(tp.tcpMstamp - tp.accecnOptTstamp, 0) * beacon >= tp.srttUs >>> 3;
}
