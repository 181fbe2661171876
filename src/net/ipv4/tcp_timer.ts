/**
 * TCP's timers: retransmission and window probes, delayed ACK, keepalive, compressed ACKs.
 *
 * Counterpart of net/ipv4/tcp_timer.c. RFC 6298#5 (RTO), 1122#4.2.3.5-6 (when to give up, keepalive),
 * 5482 (user timeout). A timer that finds a task owning the socket leaves a note for
 * tcp_release_cb(). Each armed timer holds a reference to the socket.
 */

import {
  TCP_DELACK_TIMER_DEFERRED,
  TCP_WRITE_TIMER_DEFERRED,
  type TcpSock,
} from '#include/linux/tcp.ts';
import type { RequestSock } from '#include/net/inet_connection_sock.ts';
import {
  ICSK_ACK_TIMER,
  ICSK_TIME_LOSS_PROBE,
  ICSK_TIME_PROBE0,
  ICSK_TIME_REO_TIMEOUT,
  ICSK_TIME_RETRANS,
  type InetCskTimerFns,
} from '#include/net/inet_connection_sock.ts';
import { netIncStats } from '#include/net/ip.ts';
import {
  SK_RST_REASON_TCP_ABORT_ON_MEMORY,
  SK_RST_REASON_TCP_KEEPALIVE_TIMEOUT,
  SK_RST_REASON_TCP_STATE,
} from '#include/net/rstreason.ts';
import type { Sock } from '#include/net/sock.ts';
import { SOCK_DEAD, SOCK_KEEPOPEN } from '#include/net/sock.ts';
import {
  TCP_ATO_MIN,
  TCP_RESOURCE_PROBE_INTERVAL,
  TCP_RTO_MIN,
  TCP_TIMEWAIT_LEN,
  tcpSk,
} from '#include/net/tcp.ts';
import { tcpFastopenActiveDetectBlackhole } from '#include/net/tcp_fastopen_ops.ts';
import {
  __tcpSetRto,
  keepaliveIntvlWhen,
  keepaliveProbes,
  keepaliveTimeElapsed,
  keepaliveTimeWhen,
  tcpFinTime,
  tcpIsSack,
  tcpRtoMax,
  tcpRtoMin,
  tcpSkbTimestampTs,
  tcpStreamIsThin,
  tcpTimeoutInit,
  tcpTimeStampMs,
  tcpTimeStampTs,
} from '#include/net/tcp_inlines.ts';
import { tcpRtxQueueHead, tcpSendHead, tcpWriteQueueEmpty } from '#include/net/tcp_queue.ts';
import { HZ } from '#kernel/param.ts';
import { HRTIMER_NORESTART } from '#kernel/time/hrtimer.ts';
import { timeAfter } from '#kernel/time/jiffies.ts';
import {
  dstNegativeAdvice,
  skDstReset,
  skResetTimer,
  skRethinkTxhash,
  sockFlag,
  sockHold,
  sockOwnedByUser,
  sockPut,
} from '#net/core/sock.ts';
import {
  inetCskAckScheduled,
  inetCskDeleteKeepaliveTimer,
  inetCskExitPingpongMode,
  inetCskInitXmitTimers,
  inetCskInPingpongMode,
  inetCskResetDelackTimer,
  inetCskResetKeepaliveTimer,
  inetCskRtoBackoff,
  tcpResetXmitTimer,
} from '#net/ipv4/inet_connection_sock_timer.ts';
import { tcpEnterLoss } from '#net/ipv4/tcp_input_loss.ts';
import { tcpTimeWait } from '#net/ipv4/tcp_minisocks.ts';
import { tcpMstampRefresh } from '#net/ipv4/tcp_output.ts';
import {
  tcpRtxSynack,
  tcpSendAck,
  tcpSendActiveReset,
  tcpSendProbe0,
  tcpWriteWakeup,
} from '#net/ipv4/tcp_output_ctl.ts';
import { tcpMssToMtu, tcpMtuToMss, tcpSyncMss } from '#net/ipv4/tcp_output_mss.ts';
import { tcpRetransmitSkb, tcpSendLossProbe } from '#net/ipv4/tcp_output_rtx.ts';
import { tcpPaceKick } from '#net/ipv4/tcp_output_tsq.ts';
import { tcpRackReoTimeout } from '#net/ipv4/tcp_recovery.ts';
import { tcpCheckOom, tcpDone, tcpDoneWithError } from '#net/ipv4/tcp_state.ts';
import { ETIMEDOUT } from '#uapi/errno.ts';
import {
  LINUX_MIB_DELAYEDACKLOCKED,
  LINUX_MIB_DELAYEDACKS,
  LINUX_MIB_TCPABORTONMEMORY,
  LINUX_MIB_TCPABORTONTIMEOUT,
  LINUX_MIB_TCPKEEPALIVE,
  LINUX_MIB_TCPLOSSFAILURES,
  LINUX_MIB_TCPRENOFAILURES,
  LINUX_MIB_TCPRENORECOVERYFAIL,
  LINUX_MIB_TCPSACKFAILURES,
  LINUX_MIB_TCPSACKRECOVERYFAIL,
  LINUX_MIB_TCPTIMEOUTREHASH,
  LINUX_MIB_TCPTIMEOUTS,
} from '#uapi/snmp.ts';
import {
  TCP_CA_Disorder,
  TCP_CA_Loss,
  TCP_CA_Recovery,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT2,
  TCP_LISTEN,
  TCP_SYN_SENT,
  TCPF_CLOSE,
  TCPF_LISTEN,
  TCPF_SYN_RECV,
  TCPF_SYN_SENT,
} from '#uapi/tcp.ts';

/** Timeouts of a thin stream that do not back off. @kernel TCP_THIN_LINEAR_RETRIES include/net/tcp.h */
const TCP_THIN_LINEAR_RETRIES = 6;

// ---- Giving up ---------------------------------------------------------------------------------

/** RTO, but no later than the user's timeout. @kernel tcp_clamp_rto_to_user_timeout net/ipv4/tcp_timer.c */
function tcpClampRtoToUserTimeout(tp: TcpSock): number {
  if (tp.icskUserTimeout === 0) return tp.icskRto;
  let elapsed = (tcpTimeStampTs(tp) - tp.retransStamp) >>> 0;
  if (tp.usecTs) elapsed = Math.floor(elapsed / 1000);
  const remaining = tp.icskUserTimeout - elapsed;
  return remaining <= 0 ? 1 : Math.min(tp.icskRto, remaining);
}

/** @kernel tcp_write_err net/ipv4/tcp_timer.c */
function tcpWriteErr(sk: Sock): void {
  tcpDoneWithError(sk, sk.skErrSoft !== 0 ? sk.skErrSoft : ETIMEDOUT);
  netIncStats(sk.net, LINUX_MIB_TCPABORTONTIMEOUT);
}

/** An orphan in times of need: closes it, with a reset when it was alive lately. @kernel tcp_out_of_resources net/ipv4/tcp_timer.c */
function tcpOutOfResources(sk: Sock, doReset: boolean): boolean {
  const tp = tcpSk(sk);
  const idle = (sk.net.machine.jiffies - tp.lsndtime) | 0;
  let shift = 0;
  if (idle > 2 * tcpRtoMax(sk) || !doReset) shift++;
  if (sk.skErrSoft !== 0) shift++;
  if (!tcpCheckOom(sk, shift)) return false;
  const recent = idle <= TCP_TIMEWAIT_LEN || (tp.sndWnd === 0 && tp.packetsOut === 0);
  if (doReset || recent) tcpSendActiveReset(sk, SK_RST_REASON_TCP_ABORT_ON_MEMORY);
  tcpDone(sk);
  netIncStats(sk.net, LINUX_MIB_TCPABORTONMEMORY);
  return true;
}

/** @kernel tcp_orphan_retries net/ipv4/tcp_timer.c */
function tcpOrphanRetries(sk: Sock, alive: boolean): number {
  let retries = sk.net.ipv4.sysctlTcpOrphanRetries;
  if (sk.skErrSoft !== 0 && !alive) retries = 0;
  if (retries === 0 && alive) retries = 8;
  return retries;
}

/** Timeouts again and again: perhaps large packets vanish. @kernel tcp_mtu_probing net/ipv4/tcp_timer.c @rfc 4821#7.7 */
function tcpMtuProbing(sk: Sock): void {
  const tp = tcpSk(sk);
  const { ipv4 } = sk.net;
  if (ipv4.sysctlTcpMtuProbing === 0) return;
  if (!tp.mtupEnabled) {
    tp.mtupEnabled = true;
    tp.mtupProbeTimestamp = sk.net.machine.jiffies;
  } else {
    let mss = tcpMtuToMss(sk, tp.mtupSearchLow) >> 1;
    mss = Math.min(ipv4.sysctlTcpBaseMss, mss);
    mss = Math.max(mss, ipv4.sysctlTcpMtuProbeFloor, ipv4.sysctlTcpMinSndMss);
    tp.mtupSearchLow = tcpMssToMtu(sk, mss);
  }
  tcpSyncMss(sk, tp.icskPmtuCookie);
}

/** What `boundary` backed-off timeouts add up to, in ms. @kernel tcp_model_timeout net/ipv4/tcp_timer.c */
function tcpModelTimeout(sk: Sock, boundary: number, rtoBase: number): number {
  const rtoMax = tcpRtoMax(sk);
  const linear = 31 - Math.clz32(Math.floor(rtoMax / rtoBase));
  if (boundary <= linear) return (2 * 2 ** boundary - 1) * rtoBase;
  return (2 * 2 ** linear - 1) * rtoBase + (boundary - linear) * rtoMax;
}

/**
 * Has the oldest data been retransmitted for longer than `boundary` timeouts take, or than `timeout`
 * ms (0: not given)?
 * @kernel retransmits_timed_out net/ipv4/tcp_timer.c
 */
function retransmitsTimedOut(sk: Sock, boundary: number, timeout: number): boolean {
  const tp = tcpSk(sk);
  if (tp.icskRetransmits === 0) return false;
  let limit = timeout;
  if (limit === 0) {
    const opening = ((1 << sk.skcState) & (TCPF_SYN_SENT | TCPF_SYN_RECV)) !== 0;
    limit = tcpModelTimeout(sk, boundary, opening ? tcpTimeoutInit(sk) : TCP_RTO_MIN);
  }
  const delta = (tcpTimeStampTs(tp) - tp.retransStamp) | 0;
  if (tp.usecTs) return delta + 1000 - limit * 1000 >= 0;
  return delta - limit >= 0;
}

/** After a timeout: true when the connection has been given up. @kernel tcp_write_timeout net/ipv4/tcp_timer.c */
function tcpWriteTimeout(sk: Sock): boolean {
  const tp = tcpSk(sk);
  const { ipv4 } = sk.net;
  let expired = false;
  let retryUntil: number;
  if (((1 << sk.skcState) & (TCPF_SYN_SENT | TCPF_SYN_RECV)) !== 0) {
    if (tp.icskRetransmits !== 0) dstNegativeAdvice(sk);
    retryUntil = tp.icskSynRetries !== 0 ? tp.icskSynRetries : ipv4.sysctlTcpSynRetries;
    const linear = sk.skcState === TCP_SYN_SENT ? ipv4.sysctlTcpSynLinearTimeouts : 0;
    expired = tp.icskRetransmits >= retryUntil + linear;
  } else {
    if (retransmitsTimedOut(sk, ipv4.sysctlTcpRetries1, 0)) {
      tcpMtuProbing(sk);
      dstNegativeAdvice(sk);
    }
    retryUntil = ipv4.sysctlTcpRetries2;
    if (sockFlag(sk, SOCK_DEAD)) {
      const alive = tp.icskRto < tcpRtoMax(sk);
      retryUntil = tcpOrphanRetries(sk, alive);
      const doReset = alive || !retransmitsTimedOut(sk, retryUntil, 0);
      if (tcpOutOfResources(sk, doReset)) return true;
    }
  }
  expired = expired || retransmitsTimedOut(sk, retryUntil, tp.icskUserTimeout);
  tcpFastopenActiveDetectBlackhole(sk, expired);
  if (expired) {
    tcpWriteErr(sk);
    return true;
  }
  if (skRethinkTxhash(sk)) {
    tp.timeoutRehash++;
    netIncStats(sk.net, LINUX_MIB_TCPTIMEOUTREHASH);
  }
  return false;
}

// ---- Delayed ACK -------------------------------------------------------------------------------

/** Sends the ACK that compression held back. @kernel tcp_sack_compress_send_ack net/ipv4/tcp_input.c */
function compressedAckDue(tp: TcpSock): void {
  // One goes out, so one less was saved.
  tp.compressedAck--;
  tcpMstampRefresh(tp);
  tcpSendAck(tp);
}

/** @kernel tcp_delack_timer_handler net/ipv4/tcp_timer.c */
export function tcpDelackTimerHandler(sk: Sock): void {
  const tp = tcpSk(sk);
  if (((1 << sk.skcState) & (TCPF_CLOSE | TCPF_LISTEN)) !== 0) return;
  if (tp.compressedAck !== 0) {
    compressedAckDue(tp);
    return;
  }
  if ((tp.ackPending & ICSK_ACK_TIMER) === 0) return;
  if (timeAfter(tp.ackTimeout, sk.net.machine.jiffies)) {
    inetCskResetDelackTimer(sk, tp.ackTimeout);
    return;
  }
  tp.ackPending &= ~ICSK_ACK_TIMER;
  if (!inetCskAckScheduled(sk)) return;
  if (!inetCskInPingpongMode(sk)) {
    // Nothing came to ride on: wait longer the next time.
    tp.ackAto = Math.min(tp.ackAto << 1, tp.icskRto);
  } else {
    // Not a request/response exchange after all.
    inetCskExitPingpongMode(sk);
    tp.ackAto = TCP_ATO_MIN;
  }
  tcpMstampRefresh(tp);
  tcpSendAck(sk);
  netIncStats(sk.net, LINUX_MIB_DELAYEDACKS);
}

/** Leaves a note for tcp_release_cb(), with a reference. */
function defer(tp: TcpSock, bit: number): void {
  if ((tp.tsqFlags & (1 << bit)) !== 0) return;
  tp.tsqFlags |= 1 << bit;
  sockHold(tp);
}

/** @kernel tcp_delack_timer net/ipv4/tcp_timer.c */
function tcpDelackTimer(sk: Sock): void {
  const tp = tcpSk(sk);
  if ((tp.ackPending & ICSK_ACK_TIMER) !== 0 || tp.compressedAck !== 0) {
    if (!sockOwnedByUser(sk)) {
      tcpDelackTimerHandler(sk);
    } else {
      netIncStats(sk.net, LINUX_MIB_DELAYEDACKLOCKED);
      defer(tp, TCP_DELACK_TIMER_DEFERRED);
    }
  }
  sockPut(sk);
}

/** @kernel tcp_compressed_ack_kick net/ipv4/tcp_timer.c */
function tcpCompressedAckKick(tp: TcpSock): typeof HRTIMER_NORESTART {
  if (sockOwnedByUser(tp)) defer(tp, TCP_DELACK_TIMER_DEFERRED);
  else if (tp.compressedAck !== 0) compressedAckDue(tp);
  sockPut(tp);
  return HRTIMER_NORESTART;
}

// ---- Window probes -----------------------------------------------------------------------------

/** The peer's window is closed. @kernel tcp_probe_timer net/ipv4/tcp_timer.c @rfc 1122#4.2.2.17 */
function tcpProbeTimer(sk: Sock): void {
  const tp = tcpSk(sk);
  const now = sk.net.machine.jiffies;
  if (tp.packetsOut !== 0 || tcpSendHead(sk) === null) {
    tp.icskProbesOut = 0;
    tp.icskProbesTstamp = 0;
    return;
  }
  // As long as the peer answers we probe for ever, unless a limit was set or nobody is left to care.
  const userTimeout = tp.icskUserTimeout;
  if (tp.icskProbesTstamp === 0) {
    tp.icskProbesTstamp = now;
  } else if (userTimeout !== 0 && ((now - tp.icskProbesTstamp) | 0) >= userTimeout) {
    tcpWriteErr(sk);
    return;
  }
  let maxProbes = sk.net.ipv4.sysctlTcpRetries2;
  if (sockFlag(sk, SOCK_DEAD)) {
    const rtoMax = tcpRtoMax(sk);
    const alive = inetCskRtoBackoff(sk, rtoMax) < rtoMax;
    maxProbes = tcpOrphanRetries(sk, alive);
    if (!alive && tp.icskBackoff >= maxProbes) {
      tcpWriteErr(sk);
      return;
    }
    if (tcpOutOfResources(sk, true)) return;
  }
  if (tp.icskProbesOut >= maxProbes) tcpWriteErr(sk);
  else tcpSendProbe0(sk);
}

// ---- Retransmission ----------------------------------------------------------------------------

/** @kernel tcp_update_rto_stats net/ipv4/tcp_timer.c */
function tcpUpdateRtoStats(tp: TcpSock): void {
  if (tp.icskRetransmits === 0) {
    tp.totalRtoRecoveries++;
    tp.rtoStamp = tcpTimeStampMs(tp);
  }
  tp.icskRetransmits++;
  tp.totalRto++;
}

/** Retransmitting into a closed window: has it lasted too long? `rtxDelta` in ms. @kernel tcp_rtx_probe0_timed_out net/ipv4/tcp_timer.c */
function tcpRtxProbe0TimedOut(sk: Sock, rtxDelta: number): boolean {
  const tp = tcpSk(sk);
  let timeout = tcpRtoMax(sk) * 2;
  const userTimeout = tp.icskUserTimeout;
  if (userTimeout !== 0) {
    if (rtxDelta > userTimeout) return true;
    timeout = Math.min(timeout, userTimeout);
  }
  if (((tp.icskTimeout - tp.rcvTstamp) | 0) <= timeout) return false;
  return rtxDelta > timeout;
}

/** What kind of recovery this timeout ends; 0: none. */
function failureMib(tp: TcpSock): number {
  const sack = tcpIsSack(tp);
  const state = tp.icskCaState;
  if (state === TCP_CA_Recovery) {
    return sack ? LINUX_MIB_TCPSACKRECOVERYFAIL : LINUX_MIB_TCPRENORECOVERYFAIL;
  }
  if (state === TCP_CA_Loss) return LINUX_MIB_TCPLOSSFAILURES;
  if (state === TCP_CA_Disorder || tp.sackedOut !== 0) {
    return sack ? LINUX_MIB_TCPSACKFAILURES : LINUX_MIB_TCPRENOFAILURES;
  }
  return 0;
}

/** Backs off and arms the timer again. */
function rearmBackedOff(sk: Sock): void {
  const tp = tcpSk(sk);
  const { ipv4 } = sk.net;
  const rtoMax = tcpRtoMax(sk);
  const thin = tp.thinLto || ipv4.sysctlTcpThinLinearTimeouts !== 0;
  if (
    sk.skcState === TCP_ESTABLISHED &&
    thin &&
    tcpStreamIsThin(tp) &&
    tp.icskRetransmits <= TCP_THIN_LINEAR_RETRIES
  ) {
    tp.icskBackoff = 0;
    tp.icskRto = Math.min(Math.max(__tcpSetRto(tp), tcpRtoMin(sk)), rtoMax);
  } else if (sk.skcState !== TCP_SYN_SENT || tp.totalRto > ipv4.sysctlTcpSynLinearTimeouts) {
    tp.icskBackoff++;
    tp.icskRto = Math.min(tp.icskRto * 2, rtoMax);
  }
  tcpResetXmitTimer(sk, ICSK_TIME_RETRANS, tcpClampRtoToUserTimeout(tp), false);
  if (retransmitsTimedOut(sk, ipv4.sysctlTcpRetries1 + 1, 0)) skDstReset(sk);
}

/** Our data meets a window that was closed behind it: each retransmission is a probe. */
function retransmitIntoZeroWindow(sk: Sock): void {
  const tp = tcpSk(sk);
  const skb = tcpRtxQueueHead(sk)!;
  const since = tp.retransStamp !== 0 ? tp.retransStamp : tcpSkbTimestampTs(tp.usecTs, skb);
  let delta = (tcpTimeStampTs(tp) - since) >>> 0;
  if (tp.usecTs) delta = Math.floor(delta / 1000);
  if (tcpRtxProbe0TimedOut(sk, delta)) {
    tcpWriteErr(sk);
    return;
  }
  tcpEnterLoss(sk);
  tcpRetransmitSkb(sk, skb, 1);
  skDstReset(sk);
  rearmBackedOff(sk);
}

/** The SYN-ACK of a Fast Open child again, one time more than that of a request. @kernel tcp_fastopen_synack_timer net/ipv4/tcp_timer.c */
function tcpFastopenSynackTimer(sk: Sock, req: RequestSock): void {
  const tp = tcpSk(sk);
  req.rskOps.synAckTimeout(req);
  const max = tp.icskSynRetries !== 0 ? tp.icskSynRetries : sk.net.ipv4.sysctlTcpSynackRetries + 1;
  if (req.numTimeout >= max) {
    tcpWriteErr(sk);
    return;
  }
  if (tp.icskRetransmits === 1) tcpEnterLoss(sk);
  // Even if that fails: the child may be accepted and in use already.
  tcpRtxSynack(sk, req);
  req.numTimeout++;
  tcpUpdateRtoStats(tp);
  if (tp.retransStamp === 0) tp.retransStamp = tcpTimeStampTs(tp);
  tcpResetXmitTimer(sk, ICSK_TIME_RETRANS, req.timeout * 2 ** req.numTimeout, false);
}

/** The RTO has passed. @kernel tcp_retransmit_timer net/ipv4/tcp_timer.c @rfc 6298#5.4 */
export function tcpRetransmitTimer(sk: Sock): void {
  const tp = tcpSk(sk);
  const req = tp.fastopenRsk;
  if (req !== null) {
    // Nothing else is repeated before the SYN-ACK has been acknowledged.
    tcpFastopenSynackTimer(sk, req);
    return;
  }
  if (tp.packetsOut === 0 || tcpRtxQueueHead(sk) === null) return;
  if (
    tp.sndWnd === 0 &&
    !sockFlag(sk, SOCK_DEAD) &&
    ((1 << sk.skcState) & (TCPF_SYN_SENT | TCPF_SYN_RECV)) === 0
  ) {
    retransmitIntoZeroWindow(sk);
    return;
  }
  netIncStats(sk.net, LINUX_MIB_TCPTIMEOUTS);
  if (tcpWriteTimeout(sk)) return;
  if (tp.icskRetransmits === 0) {
    const mib = failureMib(tp);
    if (mib !== 0) netIncStats(sk.net, mib);
  }
  tcpEnterLoss(sk);
  tcpUpdateRtoStats(tp);
  if (tcpRetransmitSkb(sk, tcpRtxQueueHead(sk)!, 1) > 0) {
    // Our own queues are full: again soon, without backing off.
    tcpResetXmitTimer(sk, ICSK_TIME_RETRANS, TCP_RESOURCE_PROBE_INTERVAL, false);
    return;
  }
  rearmBackedOff(sk);
}

/** @kernel tcp_write_timer_handler net/ipv4/tcp_timer.c */
export function tcpWriteTimerHandler(sk: Sock): void {
  const tp = tcpSk(sk);
  const event = tp.icskPending;
  if (((1 << sk.skcState) & (TCPF_CLOSE | TCPF_LISTEN)) !== 0 || event === 0) return;
  if (timeAfter(tp.icskTimeout, sk.net.machine.jiffies)) {
    skResetTimer(sk, tp.icskRetransmitTimer!, tp.icskTimeout);
    return;
  }
  tcpMstampRefresh(tp);
  switch (event) {
    case ICSK_TIME_REO_TIMEOUT:
      tcpRackReoTimeout(sk);
      break;
    case ICSK_TIME_LOSS_PROBE:
      tcpSendLossProbe(sk);
      break;
    case ICSK_TIME_RETRANS:
      tp.icskPending = 0;
      tcpRetransmitTimer(sk);
      break;
    case ICSK_TIME_PROBE0:
      tp.icskPending = 0;
      tcpProbeTimer(sk);
      break;
    default:
      break;
  }
}

/** @kernel tcp_write_timer net/ipv4/tcp_timer.c */
function tcpWriteTimer(sk: Sock): void {
  const tp = tcpSk(sk);
  if (tp.icskPending !== 0) {
    if (!sockOwnedByUser(sk)) tcpWriteTimerHandler(sk);
    else defer(tp, TCP_WRITE_TIMER_DEFERRED);
  }
  sockPut(sk);
}

/** @kernel tcp_syn_ack_timeout net/ipv4/tcp_timer.c */
export function tcpSynAckTimeout(req: { readonly net: Sock['net'] }): void {
  netIncStats(req.net, LINUX_MIB_TCPTIMEOUTS);
}

// ---- Keepalive ---------------------------------------------------------------------------------

/** @kernel tcp_reset_keepalive_timer net/ipv4/tcp_timer.c */
export function tcpResetKeepaliveTimer(sk: Sock, len: number): void {
  inetCskResetKeepaliveTimer(sk, len);
}

/** SO_KEEPALIVE. @kernel tcp_set_keepalive net/ipv4/tcp_timer.c */
export function tcpSetKeepalive(sk: Sock, val: boolean): void {
  if (((1 << sk.skcState) & (TCPF_CLOSE | TCPF_LISTEN)) !== 0) return;
  if (val && !sockFlag(sk, SOCK_KEEPOPEN)) {
    tcpResetKeepaliveTimer(sk, keepaliveTimeWhen(tcpSk(sk)));
  } else if (!val) {
    inetCskDeleteKeepaliveTimer(sk);
  }
}

/** An orphan in FIN_WAIT2: the rest of its time is spent as a time-wait entry. */
function finWait2Timer(sk: Sock): void {
  const tp = tcpSk(sk);
  if (tp.linger2 >= 0) {
    const tmo = tcpFinTime(sk) - TCP_TIMEWAIT_LEN;
    if (tmo > 0) {
      tcpTimeWait(sk, TCP_FIN_WAIT2, tmo);
      return;
    }
  }
  tcpSendActiveReset(sk, SK_RST_REASON_TCP_STATE);
  tcpDone(sk);
}

/** Time is up for an idle connection: probes, or gives up. Returns jiffies to the next look, -1: over. */
function keepaliveDue(sk: Sock, elapsed: number): number {
  const tp = tcpSk(sk);
  const userTimeout = tp.icskUserTimeout;
  const over =
    userTimeout !== 0
      ? elapsed >= userTimeout && tp.icskProbesOut > 0
      : tp.icskProbesOut >= keepaliveProbes(tp);
  if (over) {
    tcpSendActiveReset(sk, SK_RST_REASON_TCP_KEEPALIVE_TIMEOUT);
    tcpWriteErr(sk);
    return -1;
  }
  if (tcpWriteWakeup(sk, LINUX_MIB_TCPKEEPALIVE) > 0) return TCP_RESOURCE_PROBE_INTERVAL;
  tp.icskProbesOut++;
  return keepaliveIntvlWhen(tp);
}

/**
 * @kernel tcp_keepalive_timer net/ipv4/tcp_timer.c
 * @rfc 9293#3.8.4
 */
function keepaliveHandler(sk: Sock): void {
  const tp = tcpSk(sk);
  if (sockOwnedByUser(sk)) {
    tcpResetKeepaliveTimer(sk, HZ / 20);
    return;
  }
  if (sk.skcState === TCP_LISTEN) return;
  tcpMstampRefresh(tp);
  if (sk.skcState === TCP_FIN_WAIT2 && sockFlag(sk, SOCK_DEAD)) {
    finWait2Timer(sk);
    return;
  }
  if (!sockFlag(sk, SOCK_KEEPOPEN)) return;
  if (((1 << sk.skcState) & (TCPF_CLOSE | TCPF_SYN_SENT)) !== 0) return;
  const when = keepaliveTimeWhen(tp);
  let next = when;
  // Data in flight keeps its own watch.
  if (tp.packetsOut === 0 && tcpWriteQueueEmpty(sk)) {
    const elapsed = keepaliveTimeElapsed(tp);
    next = elapsed >= when ? keepaliveDue(sk, elapsed) : when - elapsed;
  }
  if (next >= 0) tcpResetKeepaliveTimer(sk, next);
}

function tcpKeepaliveTimer(sk: Sock): void {
  keepaliveHandler(sk);
  sockPut(sk);
}

/** @kernel tcp_init_xmit_timers net/ipv4/tcp_timer.c */
export function tcpInitXmitTimers(sk: Sock): void {
  inetCskInitXmitTimers(sk, TCP_TIMER_FNS);
}

const TCP_TIMER_FNS: InetCskTimerFns = {
  retransmit: tcpWriteTimer,
  delack: tcpDelackTimer,
  keepalive: tcpKeepaliveTimer,
  pace: (sk) => tcpPaceKick(tcpSk(sk)),
  compressedAck: (sk) => tcpCompressedAckKick(tcpSk(sk)),
};
