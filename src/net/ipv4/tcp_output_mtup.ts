/**
 * Path MTU probes: now and then one segment larger than the MSS, made of data that is due anyway.
 *
 * Counterpart of tcp_mtu_probe and its helpers in net/ipv4/tcp_output.c. RFC 4821, 8899. Switched by
 * net.ipv4.tcp_mtu_probing: 1 after a black hole was found, 2 always.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import { __skbHeaderRelease, MAX_SKB_FRAGS, skbHeadlen } from '#include/linux/skbuff.ts';
import { __skbQueueBefore } from '#include/linux/skbuff_queue.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import type { Sock } from '#include/net/sock.ts';
import { TCPHDR_ACK, TCPHDR_FIN, TCPHDR_PSH, tcpSk } from '#include/net/tcp.ts';
import {
  tcpPacketsInFlight,
  tcpSndCwnd,
  tcpSndCwndSet,
  tcpWndEnd,
} from '#include/net/tcp_inlines.ts';
import { tcpHighestSackReplace, tcpSendHead, tcpSkbCanCollapse } from '#include/net/tcp_queue.ts';
import { after } from '#lib/tcp_seq.ts';
import { consumeSkb, skbFragRef } from '#net/core/skbuff.ts';
import { skMemCharge, skMemUncharge, skWmemQueuedAdd } from '#net/core/sock_mem.ts';
import { tcpEventNewDataSent, tcpTransmitSkb } from '#net/ipv4/tcp_output.ts';
import { __pskbTrimHead, tcpHasTxTstamp } from '#net/ipv4/tcp_output_frag.ts';
import {
  tcpCurrentMss,
  tcpInitTsoSegs,
  tcpMssToMtu,
  tcpMtuCheckReprobe,
  tcpMtuToMss,
  tcpSetSkbTsoSegs,
} from '#net/ipv4/tcp_output_mss.ts';
import { tcpEatOneSkb } from '#net/ipv4/tcp_output_tstamp.ts';
import { tcpStreamAllocSkb } from '#net/ipv4/tcp_state.ts';
import { TCP_CA_Open } from '#uapi/tcp.ts';

/** May the first `len` bytes of the write queue become one packet? @kernel tcp_can_coalesce_send_queue_head net/ipv4/tcp_output.c */
function tcpCanCoalesceSendQueueHead(sk: Sock, len: number): boolean {
  let left = len;
  for (let skb = tcpSendHead(sk); skb !== null; skb = skb.next) {
    if (left <= skb.len) break;
    if (tcpHasTxTstamp(skb) || skb.next === null || !tcpSkbCanCollapse(skb, skb.next)) return false;
    left -= skb.len;
  }
  return true;
}

/** References the first `size` bytes of the write queue from `to`. False: too many pieces. @kernel tcp_clone_payload net/ipv4/tcp_output.c */
function tcpClonePayload(sk: Sock, to: SkBuff, size: number): boolean {
  const dst = to.shinfo;
  let n = 0;
  let len = 0;
  for (let skb = tcpSendHead(sk); skb !== null && len < size; skb = skb.next) {
    if (skbHeadlen(skb) !== 0) return false;
    const src = skb.shinfo;
    for (let i = 0; i < src.nrFrags && len < size; i++) {
      const page = src.fragPage[i]!;
      const offset = src.fragOffset[i]!;
      const todo = Math.min(src.fragSize[i]!, size - len);
      len += todo;
      if (
        n > 0 &&
        dst.fragPage[n - 1] === page &&
        dst.fragOffset[n - 1]! + dst.fragSize[n - 1]! === offset
      ) {
        dst.fragSize[n - 1]! += todo;
        continue;
      }
      if (n === MAX_SKB_FRAGS) return false;
      dst.fragPage[n] = page;
      dst.fragOffset[n] = offset;
      dst.fragSize[n] = todo;
      n++;
    }
  }
  dst.nrFrags = n;
  for (let i = 0; i < n; i++) skbFragRef(to, i);
  to.truesize += size;
  to.len += size;
  to.dataLen += size;
  __skbHeaderRelease(to);
  return true;
}

/** 1: probe now; 0: wait until it may go; -1: no probe. */
function probeVerdict(sk: Sock, tp: TcpSock, probeSize: number): number {
  const needed = probeSize + (tp.reordering + 1) * tp.mssCache;
  const interval = tp.mtupSearchHigh - tp.mtupSearchLow;
  if (
    probeSize > tcpMtuToMss(sk, tp.mtupSearchHigh) ||
    interval < sk.net.ipv4.sysctlTcpProbeThreshold
  ) {
    tcpMtuCheckReprobe(sk);
    return -1;
  }
  if ((tp.writeSeq - tp.sndNxt) >>> 0 < needed || tp.sndWnd < needed) return -1;
  if (after((tp.sndNxt + needed) | 0, tcpWndEnd(tp))) return 0;
  const inFlight = tcpPacketsInFlight(tp);
  if (inFlight + 2 > tcpSndCwnd(tp)) return inFlight === 0 ? -1 : 0;
  return tcpCanCoalesceSendQueueHead(sk, probeSize) ? 1 : -1;
}

/** Takes the bytes that the probe now has from the packets they came from. */
function eatQueue(sk: Sock, nskb: SkBuff, from: SkBuff, probeSize: number, mssNow: number): void {
  let len = 0;
  let skb: SkBuff | null = from;
  while (skb !== null && len < probeSize) {
    const next: SkBuff | null = skb.next;
    const copy = Math.min(skb.len, probeSize - len);
    const cb = skb.tcpCb;
    if (skb.len <= copy) {
      tcpEatOneSkb(sk, nskb, skb);
    } else {
      nskb.tcpCb.tcpFlags |= cb.tcpFlags & ~(TCPHDR_FIN | TCPHDR_PSH);
      __pskbTrimHead(skb, copy);
      skb.truesize -= copy;
      skWmemQueuedAdd(sk, -copy);
      skMemUncharge(sk, copy);
      tcpSetSkbTsoSegs(skb, mssNow);
      cb.seq = (cb.seq + copy) | 0;
    }
    len += copy;
    skb = next;
  }
}

/**
 * Sends a probe when the time is right. 1: sent; 0: wait, it comes next; -1: none.
 * @kernel tcp_mtu_probe net/ipv4/tcp_output.c
 * @rfc 4821#7
 */
export function tcpMtuProbe(sk: Sock): number {
  const tp = tcpSk(sk);
  if (
    !tp.mtupEnabled ||
    tp.mtupProbeSize !== 0 ||
    tp.icskCaState !== TCP_CA_Open ||
    tcpSndCwnd(tp) < 11 ||
    tp.rxOpt.numSacks !== 0 ||
    tp.rxOpt.dsack
  ) {
    return -1;
  }
  const mssNow = tcpCurrentMss(sk);
  const probeSize = tcpMtuToMss(sk, (tp.mtupSearchHigh + tp.mtupSearchLow) >> 1);
  const verdict = probeVerdict(sk, tp, probeSize);
  if (verdict !== 1) return verdict;
  const nskb = tcpStreamAllocSkb(sk, false);
  if (nskb === null) return -1;
  if (!tcpClonePayload(sk, nskb, probeSize)) {
    consumeSkb(nskb, 'tcp_mtu_probe');
    return -1;
  }
  skWmemQueuedAdd(sk, nskb.truesize);
  skMemCharge(sk, nskb.truesize);
  const skb = tcpSendHead(sk)!;
  const ncb = nskb.tcpCb;
  ncb.seq = skb.tcpCb.seq;
  ncb.endSeq = (skb.tcpCb.seq + probeSize) | 0;
  ncb.tcpFlags = TCPHDR_ACK;
  __skbQueueBefore(sk.skWriteQueue, skb, nskb);
  tcpHighestSackReplace(sk, skb, nskb);
  eatQueue(sk, nskb, skb, probeSize, mssNow);
  tcpInitTsoSegs(nskb, nskb.len);
  // If it cannot leave now, it is cut like any other packet later.
  if (tcpTransmitSkb(sk, nskb, true) !== 0) return -1;
  // The probe is as good as two segments.
  tcpSndCwndSet(tp, tcpSndCwnd(tp) - 1);
  tcpEventNewDataSent(sk, nskb);
  tp.mtupProbeSize = tcpMssToMtu(sk, nskb.len);
  tp.mtuProbeSeqStart = ncb.seq;
  tp.mtuProbeSeqEnd = ncb.endSeq;
  return 1;
}
