/**
 * Fast Open in incoming segments: data in a SYN or SYN-ACK, what the SYN-ACK says to ours, and the ACK
 * that completes a passive open.
 *
 * Counterpart: tcp_rcv_fastopen_synack and tcp_rcv_synrecv_state_fastopen of net/ipv4/tcp_input.c,
 * tcp_fastopen_add_skb of net/ipv4/tcp_fastopen.c. RFC 7413#4.2.
 */
import { __skbPull, type SkBuff } from '#include/linux/skbuff.ts';
import { __skbQueueTail } from '#include/linux/skbuff_queue.ts';
import { TcpOptionsReceived } from '#include/linux/tcp.ts';
import { netIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import { TCPHDR_FIN, TCPHDR_SYN, tcpSk } from '#include/net/tcp.ts';
import {
  type TcpFastopenCookie,
  TFO_DATA_NOT_ACKED,
  TFO_SYN_RETRANSMITTED,
} from '#include/net/tcp_fastopen.ts';
import { tcpSegsIn } from '#include/net/tcp_inlines.ts';
import { skbRbNext, tcpRtxQueueHead } from '#include/net/tcp_queue.ts';
import { view } from '#mm/memory.ts';
import { reqskFastopenRemove } from '#net/core/request_sock.ts';
import { skbClone } from '#net/core/skbuff.ts';
import { skbSetOwnerR } from '#net/core/sock.ts';
import { skForcedMemSchedule } from '#net/core/sock_mem.ts';
import {
  tcpMarkSkbLost,
  tcpRetransStampCleanup,
  tcpTryUndoRecovery,
} from '#net/ipv4/tcp_input_cwnd.ts';
import { tcpCleanupSkb, tcpFin } from '#net/ipv4/tcp_input_data.ts';
import { tcpNonCongestionLossRetransmit, tcpUpdateRtoTime } from '#net/ipv4/tcp_input_loss.ts';
import { tcpParseOptions } from '#net/ipv4/tcp_input_options.ts';
import { tcpRearmRto } from '#net/ipv4/tcp_input_rtt.ts';
import { tcpFastopenCacheSet } from '#net/ipv4/tcp_metrics.ts';
import { LINUX_MIB_TCPFASTOPENACTIVE, LINUX_MIB_TCPFASTOPENACTIVEFAIL } from '#uapi/snmp.ts';
import { TCP_CA_Loss, tcphdr } from '#uapi/tcp.ts';

/** The data of a SYN or SYN-ACK goes to the receive queue. @kernel tcp_fastopen_add_skb net/ipv4/tcp_fastopen.c */
export function tcpFastopenAddSkb(sk: Sock, synSkb: SkBuff): void {
  const tp = tcpSk(sk);
  if (synSkb.tcpCb.endSeq === tp.rcvNxt) return;
  const skb = skbClone(synSkb);
  tcpCleanupSkb(skb);
  // The SYN is counted already, but not its data.
  tp.segsIn = 0;
  tcpSegsIn(tp, skb);
  __skbPull(skb, tcphdr.hdrlen(view, skb.transportHeader));
  skForcedMemSchedule(sk, skb.truesize);
  skbSetOwnerR(skb, sk);

  const cb = skb.tcpCb;
  cb.seq = (cb.seq + 1) | 0;
  cb.tcpFlags &= ~TCPHDR_SYN;
  tp.rcvNxt = cb.endSeq;
  __skbQueueTail(sk.skReceiveQueue, skb);
  tp.synDataAcked = true;
  tp.bytesReceived = skb.len;
  if ((cb.tcpFlags & TCPHDR_FIN) !== 0) tcpFin(sk);
}

/** The MSS that the peer announced, though TCP_MAXSEG set a lower one. */
function synackMss(sk: Sock, synack: SkBuff): number {
  const { rxOpt } = tcpSk(sk);
  if (rxOpt.mssClamp !== rxOpt.userMss) return rxOpt.mssClamp;
  const opt = new TcpOptionsReceived();
  tcpParseOptions(sk.net, synack, opt, false);
  return opt.mssClamp;
}

/**
 * The SYN-ACK to a SYN with data or with a request for a cookie; `cookie` is its option. True: the
 * data was not taken and has been sent again.
 * @kernel tcp_rcv_fastopen_synack net/ipv4/tcp_input.c
 * @rfc 7413#4.2.1
 */
export function rcvFastopenSynack(sk: Sock, synack: SkBuff, cookie: TcpFastopenCookie): boolean {
  const tp = tcpSk(sk);
  const data = tp.synData ? tcpRtxQueueHead(sk) : null;
  let tryExp = 0;
  let synDrop = false;
  if (!tp.synFastopen) {
    // Nobody asked for it.
    cookie.len = -1;
  } else if (tp.totalRetrans !== 0) {
    // Neither a cookie nor an ACK of the data: most likely only a repeated, regular SYN arrived.
    synDrop = cookie.len < 0 && data !== null;
  } else if (cookie.len < 0 && !tp.synData) {
    // No answer to the request: try the other kind of option the next time, then none of both.
    tryExp = tp.synFastopenExp ? 2 : 1;
  }
  tcpFastopenCacheSet(sk, synackMss(sk, synack), cookie, synDrop, tryExp);

  if (data !== null) {
    tp.fastopenClientFail = tp.totalRetrans !== 0 ? TFO_SYN_RETRANSMITTED : TFO_DATA_NOT_ACKED;
    for (let skb: SkBuff | null = data; skb !== null; skb = skbRbNext(skb)) {
      tcpMarkSkbLost(sk, skb);
    }
    tcpNonCongestionLossRetransmit(sk);
    netIncStats(sk.net, LINUX_MIB_TCPFASTOPENACTIVEFAIL);
    return true;
  }
  tp.synDataAcked = tp.synData;
  if (tp.synDataAcked) {
    netIncStats(sk.net, LINUX_MIB_TCPFASTOPENACTIVE);
    // tcp_ack() saw the SYN and its data as two packets.
    if (tp.delivered > 1) tp.delivered--;
  }
  tcpFastopenAddSkb(sk, synack);
  return false;
}

/** The SYN-ACK of a passive Fast Open is acknowledged. @kernel tcp_rcv_synrecv_state_fastopen net/ipv4/tcp_input.c */
export function rcvSynrecvStateFastopen(sk: Sock): void {
  const tp = tcpSk(sk);
  if (tp.icskCaState === TCP_CA_Loss && tp.packetsOut === 0) tcpTryUndoRecovery(sk);
  tcpUpdateRtoTime(tp);
  tp.icskRetransmits = 0;
  // A first timeout of the SYN-ACK has set it without entering Loss.
  tcpRetransStampCleanup(sk);
  if (tp.fastopenRsk !== null) reqskFastopenRemove(sk, tp.fastopenRsk, false);
  // Data may have been sent behind the SYN-ACK.
  tcpRearmRto(sk);
}
