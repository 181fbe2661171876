/**
 * Is a segment acceptable? PAWS, sequence numbers, RST and SYN, in the order of RFC 9293.
 *
 * Counterpart: tcp_validate_incoming and its helpers of net/ipv4/tcp_input.c. RFC 9293#3.10.7.4,
 * RFC 7323#5 (PAWS), RFC 5961#3 and #4 (blind resets and SYNs get a challenge ACK).
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import { skbQueueLen } from '#include/linux/skbuff_queue.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import { netIncStats, tcpIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import { TCP_PAWS_WINDOW, tcpSk } from '#include/net/tcp.ts';
import {
  TCP_ACCECN_OPT_COUNTER_SEEN,
  tcpAccecnOptDemandMin,
  tcpAccecnOptionInit,
  tcpAccecnSawOptFailRecv,
  tcpEcnModeAccecn,
} from '#include/net/tcp_ecn.ts';
import { tcpFastopenActiveDisable } from '#include/net/tcp_fastopen_ops.ts';
import { tcpIsSack, tcpPawsCheck, tcpReceiveWindow } from '#include/net/tcp_inlines.ts';
import { after, before, seqMax } from '#lib/tcp_seq.ts';
import { view } from '#mm/memory.ts';
import { __kfreeSkb } from '#net/core/skbuff.ts';
import { tcpOowRateLimited, tcpSendChallengeAck } from '#net/ipv4/tcp_input_challenge.ts';
import { tcpReset, tcpSendDupack } from '#net/ipv4/tcp_input_data.ts';
import { tcpDropReason } from '#net/ipv4/tcp_input_ofo.ts';
import { tcpDisorderedAckCheck, tcpFastParseOptions } from '#net/ipv4/tcp_input_options.ts';
import { INET_ECN_MASK } from '#uapi/ip.ts';
import {
  SKB_CONSUMED,
  SKB_DROP_REASON_TCP_INVALID_END_SEQUENCE,
  SKB_DROP_REASON_TCP_INVALID_SEQUENCE,
  SKB_DROP_REASON_TCP_INVALID_SYN,
  SKB_DROP_REASON_TCP_OLD_SEQUENCE,
  SKB_DROP_REASON_TCP_RESET,
  SKB_DROP_REASON_TCP_RFC7323_PAWS_ACK,
} from '#uapi/net_dropreason.ts';
import {
  LINUX_MIB_BEYOND_WINDOW,
  LINUX_MIB_PAWS_OLD_ACK,
  LINUX_MIB_PAWSESTABREJECTED,
  LINUX_MIB_TCPACKSKIPPEDPAWS,
  LINUX_MIB_TCPACKSKIPPEDSEQ,
  LINUX_MIB_TCPSYNCHALLENGE,
  TCP_MIB_INERRS,
} from '#uapi/snmp.ts';
import {
  TCP_ESTABLISHED,
  TCP_SYN_RECV,
  TCPF_CLOSE_WAIT,
  TCPF_CLOSING,
  TCPF_LAST_ACK,
  TCPHDR_ACK,
  TCPHDR_FIN,
  TCPHDR_RST,
  TCPHDR_SYN,
  tcphdr,
} from '#uapi/tcp.ts';

/**
 * 0 when some part of [seq, endSeq) lies in the window, else the drop reason. A FIN may lie just
 * beyond the window; it is looked at again when queued.
 * @kernel tcp_sequence net/ipv4/tcp_input.c
 */
function tcpSequence(sk: Sock, seq: number, endSeq: number, fin: number): number {
  const tp = tcpSk(sk);
  if (before(endSeq, tp.rcvWup)) return SKB_DROP_REASON_TCP_OLD_SEQUENCE;
  const limit = (tp.rcvNxt + tcpReceiveWindow(tp)) | 0;
  if (!after(endSeq, limit) || !after((endSeq - fin) | 0, limit)) return 0;
  if (after(seq, limit)) return SKB_DROP_REASON_TCP_INVALID_SEQUENCE;
  // A segment that reaches beyond: only when nothing waits to be read.
  if (skbQueueLen(sk.skReceiveQueue) !== 0) return SKB_DROP_REASON_TCP_INVALID_END_SEQUENCE;
  return 0;
}

/** RST at rcv_nxt - 1 after a FIN: from stacks that do not count the FIN. @kernel tcp_reset_check net/ipv4/tcp_input.c */
function tcpResetCheck(sk: Sock, skb: SkBuff): boolean {
  const states = TCPF_CLOSE_WAIT | TCPF_LAST_ACK | TCPF_CLOSING;
  return skb.tcpCb.seq === ((tcpSk(sk).rcvNxt - 1) | 0) && ((1 << sk.skcState) & states) !== 0;
}

/**
 * Is this RST to be believed? It must hit rcv_nxt exactly, or the end of what the peer has sent, as
 * our SACK blocks show it; an attacker who only hits the window gets a challenge.
 * @kernel tcp_validate_incoming net/ipv4/tcp_input.c
 * @rfc 5961#3.2
 */
function tcpRstAcceptable(sk: Sock, skb: SkBuff): boolean {
  const tp = tcpSk(sk);
  const seq = skb.tcpCb.seq;
  if (seq === tp.rcvNxt || tcpResetCheck(sk, skb)) return true;
  if (!tcpIsSack(tp) || tp.rxOpt.numSacks === 0) return false;
  let maxSack = tp.selectiveAcks[0]!.endSeq;
  for (let i = 1; i < tp.rxOpt.numSacks; i++) {
    maxSack = seqMax(maxSack, tp.selectiveAcks[i]!.endSeq);
  }
  return seq === maxSack;
}

/**
 * @kernel tcp_validate_incoming net/ipv4/tcp_input.c
 * @rfc 5961#4.2
 */
function tcpSynChallenge(
  sk: Sock,
  skb: SkBuff,
  synInerr: boolean,
  accecnReflector: boolean,
): false {
  if (synInerr) tcpIncStats(sk.net, TCP_MIB_INERRS);
  netIncStats(sk.net, LINUX_MIB_TCPSYNCHALLENGE);
  tcpSendChallengeAck(sk, accecnReflector);
  tcpDropReason(sk, skb, SKB_DROP_REASON_TCP_INVALID_SYN, 'tcp_validate_incoming');
  return false;
}

/**
 * A SYN or SYN-ACK came again: its latest codepoint is what we tell, and its option may be the first.
 * @kernel tcp_validate_incoming net/ipv4/tcp_input.c
 * @rfc 9768#3.1.5
 */
function tcpAccecnSynAgain(tp: TcpSock, skb: SkBuff): void {
  tp.synEctRcv = skb.tcpCb.ipDsfield & INET_ECN_MASK;
  if (tp.rxOpt.accecn === 0 || tp.sawAccecnOpt >= TCP_ACCECN_OPT_COUNTER_SEEN) return;
  tcpAccecnSawOptFailRecv(tp, tcpAccecnOptionInit(skb, tp.rxOpt.accecn));
  tcpAccecnOptDemandMin(tp, 1);
}

/**
 * PAWS. True: go on; false: `skb` is dealt with.
 * @kernel tcp_validate_incoming net/ipv4/tcp_input.c
 * @rfc 7323#5.3
 */
function tcpPawsIncoming(sk: Sock, skb: SkBuff, th: number, synInerr: boolean): boolean {
  const tp = tcpSk(sk);
  if (
    !tcpFastParseOptions(sk.net, skb, th, tp) ||
    !tp.rxOpt.sawTstamp ||
    tcpPawsCheck(sk.net.machine, tp.rxOpt, TCP_PAWS_WINDOW)
  ) {
    return true;
  }
  const reason = tcpDisorderedAckCheck(tp, skb);
  // A RST counts even with an old timestamp.
  if (reason === 0 || tcphdr.rst(view, th) !== 0) return true;
  if (tcphdr.syn(view, th) !== 0) return tcpSynChallenge(sk, skb, synInerr, false);
  if (reason === SKB_DROP_REASON_TCP_RFC7323_PAWS_ACK) {
    // Overtaken ACKs are common and want no answer.
    netIncStats(sk.net, LINUX_MIB_PAWS_OLD_ACK);
  } else {
    netIncStats(sk.net, LINUX_MIB_PAWSESTABREJECTED);
    if (!tcpOowRateLimited(sk.net, skb, LINUX_MIB_TCPACKSKIPPEDPAWS, tp)) tcpSendDupack(sk, skb);
  }
  tcpDropReason(sk, skb, reason, 'tcp_validate_incoming');
  return false;
}

function tcpResetAndFree(sk: Sock, skb: SkBuff): false {
  tcpReset(sk);
  __kfreeSkb(skb, SKB_CONSUMED);
  return false;
}

/**
 * Checks a segment for a synchronised state. False: it was not acceptable, has been answered where
 * that is due, and is freed. `synInerr`: count a SYN as an error.
 * @kernel tcp_validate_incoming net/ipv4/tcp_input.c
 */
export function tcpValidateIncoming(sk: Sock, skb: SkBuff, th: number, synInerr: boolean): boolean {
  const tp = tcpSk(sk);
  const flags = tcphdr.flags(view, th);
  const { seq, endSeq, ackSeq } = skb.tcpCb;
  if (!tcpPawsIncoming(sk, skb, th, synInerr)) return false;

  const reason = tcpSequence(sk, seq, endSeq, flags & TCPHDR_FIN);
  if (reason !== 0) {
    if ((flags & TCPHDR_RST) !== 0) {
      if (tcpResetCheck(sk, skb)) return tcpResetAndFree(sk, skb);
    } else {
      if ((flags & TCPHDR_SYN) !== 0) return tcpSynChallenge(sk, skb, synInerr, false);
      if (reason !== SKB_DROP_REASON_TCP_OLD_SEQUENCE) {
        netIncStats(sk.net, LINUX_MIB_BEYOND_WINDOW);
      }
      if (!tcpOowRateLimited(sk.net, skb, LINUX_MIB_TCPACKSKIPPEDSEQ, tp)) {
        tcpSendDupack(sk, skb);
      }
    }
    tcpDropReason(sk, skb, reason, 'tcp_validate_incoming');
    return false;
  }

  if ((flags & TCPHDR_RST) !== 0) {
    if (tcpRstAcceptable(sk, skb)) return tcpResetAndFree(sk, skb);
    // Not even a first byte came over this Fast Open connection: something on the way objects.
    if (tp.synFastopen && tp.dataSegsIn === 0 && sk.skcState === TCP_ESTABLISHED) {
      tcpFastopenActiveDisable(sk);
    }
    tcpSendChallengeAck(sk, false);
    tcpDropReason(sk, skb, SKB_DROP_REASON_TCP_RESET, 'tcp_validate_incoming');
    return false;
  }

  if ((flags & TCPHDR_SYN) !== 0) {
    const accecn = tcpEcnModeAccecn(tp);
    if (accecn) tcpAccecnSynAgain(tp, skb);
    // Crossed SYNs: the SYN-ACK of the other side repeats a SYN we have seen.
    const crossed =
      sk.skcState === TCP_SYN_RECV &&
      sk.skSocket !== null &&
      (flags & TCPHDR_ACK) !== 0 &&
      ((seq + 1) | 0) === endSeq &&
      endSeq === tp.rcvNxt &&
      ackSeq === tp.sndNxt;
    if (!crossed) return tcpSynChallenge(sk, skb, synInerr, accecn);
  }
  return true;
}
