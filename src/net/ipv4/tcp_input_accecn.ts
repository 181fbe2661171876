/**
 * What a sender makes of accurate ECN feedback: how many of its packets were marked.
 *
 * Counterpart: the AccECN part of net/ipv4/tcp_input.c. RFC 9768#3.2.2.5.2 and appendix A. The header
 * counts modulo 8, so an ACK of many packets leaves open how often it went round; the bytes in the
 * option, or else a cautious guess, settle it.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import { ICSK_ACK_NOW } from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import { tcpSk } from '#include/net/tcp.ts';
import {
  accecnField,
  TCP_ACCECN_ACE_MAX_DELTA,
  TCP_ACCECN_CEB_INIT_OFFSET,
  TCP_ACCECN_CEP_ACE_MASK,
  TCP_ACCECN_CEP_INIT_OFFSET,
  TCP_ACCECN_E0B_INIT_OFFSET,
  TCP_ACCECN_E1B_INIT_OFFSET,
  TCP_ACCECN_NUMFIELDS,
  TCP_ACCECN_OPT_COUNTER_SEEN,
  TCP_ACCECN_OPT_FAIL_RECV,
  TCP_ACCECN_OPT_FAIL_SEEN,
  TCP_ACCECN_OPT_NOT_SEEN,
  TCP_ACCECN_SAFETY_SHIFT,
  tcpAccecnAce,
  tcpAccecnOptionInit,
  tcpAccecnSawOptFailRecv,
} from '#include/net/tcp_ecn.ts';
import { tcpFastPathOn, tcpIsSack } from '#include/net/tcp_inlines.ts';
import { view } from '#mm/memory.ts';
import {
  FLAG_FORWARD_PROGRESS,
  FLAG_SLOWPATH,
  FLAG_SYN_ACKED,
  FLAG_TS_PROGRESS,
} from '#net/ipv4/tcp_input_flags.ts';
import { INET_ECN_CE, INET_ECN_ECT_0, INET_ECN_ECT_1 } from '#uapi/ip.ts';
import {
  TCP_CA_CWR,
  TCP_CA_Open,
  TCPOLEN_ACCECN_BASE,
  TCPOLEN_ACCECN_PERFIELD,
  TCPOPT_ACCECN1,
} from '#uapi/tcp.ts';

/** Weight and precision, in bits, of the average of packets an ACK acknowledges. */
const PKTS_ACKED_WEIGHT = 6;
const PKTS_ACKED_PREC = 6;
/** ACKs of more packets than this on average are thinned on their way, not held back. */
const ACK_COMP_THRESH = 4;

/** Bytes sent after which a first option could be ambiguous. */
const OPTION_TOO_LATE = (1 << 23) - 1;

// ---- The option --------------------------------------------------------------------------------

/** Codepoint of field `i`. @kernel tcp_accecn_optfield_to_ecnfield include/net/tcp_ecn.h @rfc 9768#3.2.3 */
function optfieldToEcnfield(i: number, order1: boolean): number {
  if (i === 1) return INET_ECN_CE;
  return (i === 0) === order1 ? INET_ECN_ECT_1 : INET_ECN_ECT_0;
}

function deliveredBytesAdd(tp: TcpSock, ecnfield: number, bytes: number): void {
  if (ecnfield === INET_ECN_ECT_1) {
    tp.deliveredEct1Bytes = (tp.deliveredEct1Bytes + bytes) >>> 0;
  } else if (ecnfield === INET_ECN_ECT_0) {
    tp.deliveredEct0Bytes = (tp.deliveredEct0Bytes + bytes) >>> 0;
  } else {
    tp.deliveredCeBytes = (tp.deliveredCeBytes + bytes) >>> 0;
  }
}

/**
 * Takes over a 24-bit counter; returns its change, negative when our estimate was too high.
 * @kernel tcp_update_ecn_bytes include/net/tcp_ecn.h
 */
function updateEcnBytes(tp: TcpSock, ecnfield: number, wire: number): number {
  let known = tp.deliveredCeBytes;
  let init = TCP_ACCECN_CEB_INIT_OFFSET;
  if (ecnfield === INET_ECN_ECT_1) {
    known = tp.deliveredEct1Bytes;
    init = TCP_ACCECN_E1B_INIT_OFFSET;
  } else if (ecnfield === INET_ECN_ECT_0) {
    known = tp.deliveredEct0Bytes;
    init = TCP_ACCECN_E0B_INIT_OFFSET;
  }
  const delta = ((wire - init - known) << 8) >> 8;
  deliveredBytesAdd(tp, ecnfield, delta);
  return delta;
}

/**
 * An ACK without option. True when the bytes may be put down to the codepoint of the last one.
 * @kernel tcp_accecn_process_option net/ipv4/tcp_input.c
 */
function processNoOption(tp: TcpSock, deliveredBytes: number): boolean {
  if (tp.sawAccecnOpt === TCP_ACCECN_OPT_NOT_SEEN) {
    // From here on the counters may have gone round unseen.
    if (tp.bytesSent >= OPTION_TOO_LATE) tcpAccecnSawOptFailRecv(tp, TCP_ACCECN_OPT_FAIL_SEEN);
    return false;
  }
  if (tp.estEcnfield === 0) return false;
  deliveredBytesAdd(tp, tp.estEcnfield, deliveredBytes);
  return true;
}

/**
 * Reads the byte counters. True when they tell the codepoint of what this ACK acknowledges.
 * @kernel tcp_accecn_process_option net/ipv4/tcp_input.c
 * @rfc 9768#3.2.3
 */
function tcpAccecnProcessOption(
  tp: TcpSock,
  skb: SkBuff,
  deliveredBytes: number,
  flag: number,
): boolean {
  if ((tp.accecnFailMode & TCP_ACCECN_OPT_FAIL_RECV) !== 0) return false;
  const { accecn } = tp.rxOpt;
  if ((flag & FLAG_SLOWPATH) === 0 || accecn === 0) return processNoOption(tp, deliveredBytes);
  const opt = skb.transportHeader + accecn;
  const order1 = view.getUint8(opt) === TCPOPT_ACCECN1;
  const len = view.getUint8(opt + 1) - TCPOLEN_ACCECN_BASE;
  const fields = Math.min(Math.floor(len / TCPOLEN_ACCECN_PERFIELD), TCP_ACCECN_NUMFIELDS);
  if (tp.sawAccecnOpt < TCP_ACCECN_OPT_COUNTER_SEEN) {
    tcpAccecnSawOptFailRecv(tp, tcpAccecnOptionInit(skb, accecn));
  }
  const estimate = tp.estEcnfield;
  let usable = estimate !== 0;
  let ambiguous = false;
  let firstChanged = false;
  for (let i = 0; i < fields; i++) {
    const ecnfield = optfieldToEcnfield(i, order1);
    const delta = updateEcnBytes(tp, ecnfield, accecnField(opt, i));
    if (delta === 0) continue;
    if (delta < 0) ambiguous = true;
    if (ecnfield === estimate) continue;
    if (firstChanged) {
      ambiguous = true;
    } else {
      tp.estEcnfield = ecnfield;
      firstChanged = true;
    }
  }
  if (ambiguous) {
    usable = false;
    tp.estEcnfield = 0;
  }
  return usable;
}

// ---- The counter in the header -----------------------------------------------------------------

function updateAckedAverage(tp: TcpSock, deliveredPkts: number): void {
  const sample = deliveredPkts * (1 << PKTS_ACKED_PREC);
  const old = tp.pktsAckedEwma;
  const weight = 1 << PKTS_ACKED_WEIGHT;
  const next = old === 0 ? sample : Math.floor((old * (weight - 1) + sample) / weight);
  tp.pktsAckedEwma = Math.min(next, 0xffff);
}

/**
 * Between the least number of marks, `delta`, and the most that `deliveredPkts` allow, `safeDelta`:
 * what the newly marked bytes speak for.
 * @kernel __tcp_accecn_process net/ipv4/tcp_input.c
 */
function deltaByBytes(
  tp: TcpSock,
  delta: number,
  safeDelta: number,
  ceBytes: number,
  deliveredPkts: number,
  deliveredBytes: number,
): number {
  if (ceBytes === 0) return delta;
  const steady = tp.icskCaState === TCP_CA_Open || tp.icskCaState === TCP_CA_CWR;
  // More than one turn is possible. Without SACK the counts of packets are to be trusted only while
  // nothing is lost.
  if (deliveredPkts >= (TCP_ACCECN_CEP_ACE_MASK + 1) * 2 && (tcpIsSack(tp) || steady)) {
    if (deliveredBytes <= ceBytes) return safeDelta;
    const estimate = Math.ceil((ceBytes * deliveredPkts) / deliveredBytes);
    return Math.min(safeDelta, delta + (estimate & ~TCP_ACCECN_CEP_ACE_MASK));
  }
  if (ceBytes > delta * tp.mssCache) return safeDelta;
  if (ceBytes < (safeDelta * tp.mssCache) >>> TCP_ACCECN_SAFETY_SHIFT) return delta;
  return safeDelta;
}

/** @kernel __tcp_accecn_process net/ipv4/tcp_input.c */
function __tcpAccecnProcess(
  tp: TcpSock,
  skb: SkBuff,
  deliveredPkts: number,
  deliveredBytes: number,
  flag: number,
): number {
  // An ACK that was overtaken, or that might have been.
  if ((flag & (FLAG_FORWARD_PROGRESS | FLAG_TS_PROGRESS)) === 0) return 0;
  const oldCeBytes = tp.deliveredCeBytes;
  const byOption = tcpAccecnProcessOption(tp, skb, deliveredBytes, flag);
  if (deliveredPkts > 0) updateAckedAverage(tp, deliveredPkts);
  // Header prediction has seen the counter unchanged, unless it has gone all the way round.
  if ((flag & FLAG_SLOWPATH) === 0 && deliveredPkts <= TCP_ACCECN_CEP_ACE_MASK) return 0;
  // In a handshake the bits mean something else.
  if ((flag & FLAG_SYN_ACKED) !== 0) return 0;
  if (tp.receivedCePending >= TCP_ACCECN_ACE_MAX_DELTA) tp.ackPending |= ICSK_ACK_NOW;

  const ace = tcpAccecnAce(skb.transportHeader) - TCP_ACCECN_CEP_INIT_OFFSET;
  const delta = (ace - tp.deliveredCe) & TCP_ACCECN_CEP_ACE_MASK;
  if (deliveredPkts <= TCP_ACCECN_CEP_ACE_MASK) return delta;
  const safeDelta = deliveredPkts - ((deliveredPkts - delta) & TCP_ACCECN_CEP_ACE_MASK);
  if (byOption) {
    const ceBytes = (tp.deliveredCeBytes - oldCeBytes) >>> 0;
    return deltaByBytes(tp, delta, safeDelta, ceBytes, deliveredPkts, deliveredBytes);
  }
  return tp.pktsAckedEwma > ACK_COMP_THRESH << PKTS_ACKED_PREC ? delta : safeDelta;
}

/**
 * Returns the number of our packets that this ACK newly reports as marked; FLAG_ECE goes with it.
 * `deliveredPkts` and `deliveredBytes`: what it newly acknowledges or SACKs.
 * @kernel tcp_accecn_process net/ipv4/tcp_input.c
 */
export function tcpAccecnProcess(
  sk: Sock,
  skb: SkBuff,
  deliveredPkts: number,
  deliveredBytes: number,
  flag: number,
): number {
  const tp = tcpSk(sk);
  const delta = __tcpAccecnProcess(tp, skb, deliveredPkts, deliveredBytes, flag);
  if (delta > 0) {
    tp.deliveredCe = (tp.deliveredCe + delta) >>> 0;
    // The predicted header names the counter.
    if (tp.predFlags !== 0) tcpFastPathOn(tp);
  }
  return delta;
}
