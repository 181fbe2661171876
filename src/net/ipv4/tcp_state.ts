/**
 * State changes of a connection and the freeing of what it queued: the part of TCP that everything
 * else stands on.
 *
 * Counterpart of tcp_set_state, tcp_done and the queue purging of net/ipv4/tcp.c, and of
 * tcp_clear_xmit_timers and tcp_wmem_free_skb of include/net/tcp.h.
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import { CHECKSUM_PARTIAL, skbEndOffset, skbReserve, skbZcopyPure } from '#include/linux/skbuff.ts';
import { __skbDequeue } from '#include/linux/skbuff_queue.ts';
import { TCP_CHRONO_BUSY } from '#include/linux/tcp.ts';
import { tcpDecStats, tcpIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import {
  SHUTDOWN_MASK,
  SOCK_BINDPORT_LOCK,
  SOCK_DEAD,
  SOCK_MIN_SNDBUF,
} from '#include/net/sock.ts';
import { MAX_TCP_HEADER, tcpSk } from '#include/net/tcp.ts';
import { skbRbFirst, tcpRtxQueueUnlink, tcpTsortedUnlink } from '#include/net/tcp_queue.ts';
import { DEBUG } from '#kernel/config.ts';
import { hrtimerCancel } from '#kernel/time/hrtimer.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { reqskFastopenRemove } from '#net/core/request_sock.ts';
import { __kfreeSkb, allocSkbFclone, skbTruesize } from '#net/core/skbuff.ts';
import { __sockPut, skErrorReport, sockFlag, sockOwnedByMe } from '#net/core/sock.ts';
import {
  skForcedMemSchedule,
  skMemUncharge,
  skStreamModerateSndbuf,
  skWmemQueuedAdd,
  skWmemSchedule,
} from '#net/core/sock_mem.ts';
import { inetCskDestroySock } from '#net/ipv4/inet_connection_sock_destroy.ts';
import { inetCskClearXmitTimers } from '#net/ipv4/inet_connection_sock_timer.ts';
import { inetPutPort } from '#net/ipv4/inet_hashtables_bind.ts';
import { tcpClearAllRetransHints } from '#net/ipv4/tcp_input_cwnd.ts';
import { tcpChronoStop } from '#net/ipv4/tcp_output_chrono.ts';
import {
  SKB_CONSUMED,
  SKB_DROP_REASON_PROTO_MEM,
  SKB_DROP_REASON_SOCKET_CLOSE,
} from '#uapi/net_dropreason.ts';
import { TCP_MIB_ATTEMPTFAILS, TCP_MIB_CURRESTAB, TCP_MIB_ESTABRESETS } from '#uapi/snmp.ts';
import {
  TCP_CLOSE,
  TCP_CLOSE_WAIT,
  TCP_ESTABLISHED,
  TCP_SYN_RECV,
  TCP_SYN_SENT,
} from '#uapi/tcp.ts';

/** Stores the state and tells tracers. @kernel inet_sk_state_store include/net/inet_sock.h */
export function inetSkStateStore(sk: Sock, newstate: number): void {
  if (tracepointKey.enabled)
    sk.net.machine.trace.sock.inetSockSetState.probe?.(sk, sk.skcState, newstate);
  sk.skcState = newstate;
}

/** @kernel tcp_set_state net/ipv4/tcp.c */
export function tcpSetState(sk: Sock, state: number): void {
  if (DEBUG) sockOwnedByMe(sk, 'tcp_set_state');
  const oldstate = sk.skcState;
  const established = oldstate === TCP_ESTABLISHED || oldstate === TCP_CLOSE_WAIT;
  if (state === TCP_ESTABLISHED) {
    if (oldstate !== TCP_ESTABLISHED) tcpIncStats(sk.net, TCP_MIB_CURRESTAB);
  } else if (state === TCP_CLOSE_WAIT) {
    if (oldstate === TCP_SYN_RECV) tcpIncStats(sk.net, TCP_MIB_CURRESTAB);
  } else {
    if (state === TCP_CLOSE) {
      if (established) tcpIncStats(sk.net, TCP_MIB_ESTABRESETS);
      sk.skProt.unhash?.(sk);
      if (tcpSk(sk).icskBindHash !== null && (sk.skUserlocks & SOCK_BINDPORT_LOCK) === 0) {
        inetPutPort(sk);
      }
    }
    if (established) tcpDecStats(sk.net, TCP_MIB_CURRESTAB);
  }
  // Unhashing before the state changes keeps softirqs from closed sockets in the tables.
  inetSkStateStore(sk, state);
}

/** @kernel tcp_clear_xmit_timers include/net/tcp.h */
export function tcpClearXmitTimers(sk: Sock): void {
  const tp = tcpSk(sk);
  if (tp.pacingTimer !== null && hrtimerCancel(tp.pacingTimer)) __sockPut(sk);
  if (tp.compressedAckTimer !== null && hrtimerCancel(tp.compressedAckTimer)) __sockPut(sk);
  inetCskClearXmitTimers(sk);
}

/** The connection is over: tells its owner, or destroys what has none. @kernel tcp_done net/ipv4/tcp.c */
export function tcpDone(sk: Sock): void {
  if (sk.skcState === TCP_SYN_SENT || sk.skcState === TCP_SYN_RECV) {
    tcpIncStats(sk.net, TCP_MIB_ATTEMPTFAILS);
  }
  tcpSetState(sk, TCP_CLOSE);
  tcpClearXmitTimers(sk);
  const req = tcpSk(sk).fastopenRsk;
  if (req !== null) reqskFastopenRemove(sk, req, false);
  sk.skShutdown = SHUTDOWN_MASK;
  if (!sockFlag(sk, SOCK_DEAD)) sk.skStateChange(sk);
  else inetCskDestroySock(sk);
}

/** Ends with an error that the owner will see. `err` positive. @kernel tcp_done_with_error net/ipv4/tcp_input.c */
export function tcpDoneWithError(sk: Sock, err: number): void {
  sk.skErr = err;
  tcpWriteQueuePurge(sk);
  tcpDone(sk);
  if (!sockFlag(sk, SOCK_DEAD)) skErrorReport(sk);
}

// ---- Packets of the sender ---------------------------------------------------------------------

/**
 * An empty packet for data, headroom reserved, counted as in flight of `sk`. Null: no memory.
 * `forceSchedule`: take the memory in spite of the limits.
 * @kernel tcp_stream_alloc_skb net/ipv4/tcp.c
 */
export function tcpStreamAllocSkb(sk: Sock, forceSchedule: boolean): SkBuff | null {
  const skb = allocSkbFclone(sk.net.machine, MAX_TCP_HEADER);
  if (skb === null) {
    sk.skProt.enterMemoryPressure?.(sk);
    skStreamModerateSndbuf(sk);
    return null;
  }
  skb.truesize = skbTruesize(skbEndOffset(skb));
  let scheduled = true;
  if (forceSchedule) skForcedMemSchedule(sk, skb.truesize);
  else scheduled = skWmemSchedule(sk, skb.truesize);
  if (!scheduled) {
    __kfreeSkb(skb, SKB_DROP_REASON_PROTO_MEM);
    return null;
  }
  skbReserve(skb, MAX_TCP_HEADER);
  skb.ipSummed = CHECKSUM_PARTIAL;
  return skb;
}

/** Memory for `copy` bytes, or for as many as the guaranteed minimum allows. @kernel tcp_wmem_schedule net/ipv4/tcp.c */
export function tcpWmemSchedule(sk: Sock, copy: number): number {
  if (skWmemSchedule(sk, copy)) return copy;
  const left = sk.net.ipv4.sysctlTcpWmem[0] - sk.skWmemQueued;
  if (left > 0) skForcedMemSchedule(sk, Math.min(left, copy));
  return Math.min(copy, Math.max(sk.skForwardAlloc, 0));
}

/**
 * Frees a packet of the sender's queues: acknowledged, so used up, unless `reason` says otherwise.
 * @kernel tcp_wmem_free_skb include/net/tcp.h
 */
export function tcpWmemFreeSkb(sk: Sock, skb: SkBuff, reason: number = SKB_CONSUMED): void {
  skWmemQueuedAdd(sk, -skb.truesize);
  // The user's own pages were never charged.
  const pure = skbZcopyPure(skb);
  skMemUncharge(sk, pure ? skbTruesize(skbEndOffset(skb)) : skb.truesize);
  __kfreeSkb(skb, reason);
}

/** @kernel tcp_rtx_queue_unlink_and_free include/net/tcp.h */
export function tcpRtxQueueUnlinkAndFree(skb: SkBuff, sk: Sock): void {
  tcpRtxQueueUnlink(skb, sk);
  tcpWmemFreeSkb(sk, skb);
}

/** @kernel tcp_rtx_queue_purge net/ipv4/tcp.c */
function tcpRtxQueuePurge(sk: Sock): void {
  const tp = tcpSk(sk);
  tp.highestSack = null;
  for (let skb = skbRbFirst(tp.rtxQueue); skb !== null; skb = skbRbFirst(tp.rtxQueue)) {
    tcpRtxQueueUnlink(skb, sk);
    tcpWmemFreeSkb(sk, skb, SKB_DROP_REASON_SOCKET_CLOSE);
  }
}

/** Frees everything sent and unsent. @kernel tcp_write_queue_purge net/ipv4/tcp.c */
export function tcpWriteQueuePurge(sk: Sock): void {
  const tp = tcpSk(sk);
  tcpChronoStop(sk, TCP_CHRONO_BUSY);
  for (let skb = __skbDequeue(sk.skWriteQueue); skb !== null; ) {
    tcpTsortedUnlink(tp, skb);
    tcpWmemFreeSkb(sk, skb, SKB_DROP_REASON_SOCKET_CLOSE);
    skb = __skbDequeue(sk.skWriteQueue);
  }
  tcpRtxQueuePurge(sk);
  tcpClearAllRetransHints(tp);
  tp.packetsOut = 0;
  tp.icskBackoff = 0;
}

// ---- Limits ------------------------------------------------------------------------------------

/** @kernel tcp_too_many_orphans net/ipv4/tcp.c */
function tcpTooManyOrphans(sk: Sock, shift: number): boolean {
  const memory = sk.skProt.memory(sk.net);
  if (memory === null) return false;
  return memory.orphanCount * (1 << shift) > sk.net.ipv4.sysctlTcpMaxOrphans;
}

/** @kernel tcp_out_of_memory include/net/tcp.h */
function tcpOutOfMemory(sk: Sock): boolean {
  const memory = sk.skProt.memory(sk.net);
  if (memory === null) return false;
  return sk.skWmemQueued > SOCK_MIN_SNDBUF && memory.memoryAllocated > memory.sysctlMem[2];
}

/** Must an orphan go now for want of room? `shift`: how suspect it is. @kernel tcp_check_oom net/ipv4/tcp.c */
export function tcpCheckOom(sk: Sock, shift: number): boolean {
  return tcpTooManyOrphans(sk, shift) || tcpOutOfMemory(sk);
}
