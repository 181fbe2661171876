/**
 * The timers of a connection: one for retransmissions and probes (`icskPending` says which), one for
 * delayed ACKs, one for keepalive.
 *
 * Counterpart of the timer part of net/ipv4/inet_connection_sock.c and of the inline functions of
 * include/net/inet_connection_sock.h. Clearing the first two only forgets what they were for: the
 * timer itself runs out and finds nothing to do, which is cheaper than taking it off each time.
 */
import {
  ICSK_ACK_SCHED,
  ICSK_ACK_TIMER,
  ICSK_TIME_DACK,
  ICSK_TIME_PROBE0,
  ICSK_TIME_RETRANS,
  type InetCskTimerFns,
  inetCsk,
} from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import { tcpSk } from '#include/net/tcp.ts';
import { tcpPacingDelay, tcpProbe0Base, tcpRtoMax } from '#include/net/tcp_inlines.ts';
import { TimerList } from '#kernel/time/timer.ts';
import { skResetTimer, skStopTimer } from '#net/core/sock.ts';

/** @kernel inet_csk_init_xmit_timers net/ipv4/inet_connection_sock.c */
export function inetCskInitXmitTimers(sk: Sock, fns: InetCskTimerFns): void {
  const icsk = inetCsk(sk);
  icsk.icskTimerFns = fns;
  icsk.icskPending = 0;
  icsk.ackPending = 0;
}

/** @kernel inet_csk_clear_xmit_timers net/ipv4/inet_connection_sock.c */
export function inetCskClearXmitTimers(sk: Sock): void {
  const icsk = inetCsk(sk);
  icsk.icskPending = 0;
  icsk.ackPending = 0;
  if (icsk.icskRetransmitTimer !== null) skStopTimer(sk, icsk.icskRetransmitTimer);
  if (icsk.icskDelackTimer !== null) skStopTimer(sk, icsk.icskDelackTimer);
  if (sk.skTimer !== null) skStopTimer(sk, sk.skTimer);
}

/** @kernel inet_csk_clear_xmit_timer include/net/inet_connection_sock.h */
export function inetCskClearXmitTimer(sk: Sock, what: number): void {
  const icsk = inetCsk(sk);
  if (what === ICSK_TIME_RETRANS || what === ICSK_TIME_PROBE0) {
    icsk.icskPending = 0;
  } else if (what === ICSK_TIME_DACK) {
    icsk.ackPending = 0;
    icsk.ackRetry = 0;
  }
}

/**
 * Arms the timer that `what` uses, in `when` jiffies but no later than `maxWhen`.
 * @kernel inet_csk_reset_xmit_timer include/net/inet_connection_sock.h
 */
export function inetCskResetXmitTimer(sk: Sock, what: number, when: number, maxWhen: number): void {
  const icsk = inetCsk(sk);
  const expires = (sk.net.machine.jiffies + Math.min(when, maxWhen)) | 0;
  if (what === ICSK_TIME_DACK) {
    icsk.ackPending |= ICSK_ACK_TIMER;
    icsk.ackTimeout = expires;
    inetCskResetDelackTimer(sk, expires);
    return;
  }
  icsk.icskPending = what;
  icsk.icskTimeout = expires;
  icsk.icskRetransmitTimer ??= timerOf(sk, fnsOf(sk).retransmit);
  skResetTimer(sk, icsk.icskRetransmitTimer, expires);
}

/** Arms the timer of delayed ACKs for a jiffy. */
export function inetCskResetDelackTimer(sk: Sock, expires: number): void {
  const icsk = inetCsk(sk);
  icsk.icskDelackTimer ??= timerOf(sk, fnsOf(sk).delack);
  skResetTimer(sk, icsk.icskDelackTimer, expires);
}

function fnsOf(sk: Sock): InetCskTimerFns {
  return inetCsk(sk).icskTimerFns as InetCskTimerFns;
}

function timerOf(sk: Sock, fn: (sk: Sock) => void): TimerList<Sock> {
  return new TimerList<Sock>(sk.net.machine, sk, fn);
}

/** @kernel inet_csk_delete_keepalive_timer net/ipv4/inet_connection_sock.c */
export function inetCskDeleteKeepaliveTimer(sk: Sock): void {
  if (sk.skTimer !== null) skStopTimer(sk, sk.skTimer);
}

/** @kernel inet_csk_reset_keepalive_timer net/ipv4/inet_connection_sock.c */
export function inetCskResetKeepaliveTimer(sk: Sock, len: number): void {
  sk.skTimer ??= timerOf(sk, fnsOf(sk).keepalive);
  skResetTimer(sk, sk.skTimer, (sk.net.machine.jiffies + len) | 0);
}

/** The same, with pacing's delay on top where asked. @kernel tcp_reset_xmit_timer include/net/tcp.h */
export function tcpResetXmitTimer(sk: Sock, what: number, when: number, paceDelay: boolean): void {
  inetCskResetXmitTimer(sk, what, paceDelay ? when + tcpPacingDelay(sk) : when, tcpRtoMax(sk));
}

/** Nothing in flight and no timer: probe the window. @kernel tcp_check_probe_timer include/net/tcp.h */
export function tcpCheckProbeTimer(sk: Sock): void {
  const tp = tcpSk(sk);
  if (tp.packetsOut === 0 && tp.icskPending === 0) {
    tcpResetXmitTimer(sk, ICSK_TIME_PROBE0, tcpProbe0Base(sk), true);
  }
}

// ---- Acknowledgement state ---------------------------------------------------------------------

/** @kernel inet_csk_schedule_ack include/net/inet_connection_sock.h */
export function inetCskScheduleAck(sk: Sock): void {
  inetCsk(sk).ackPending |= ICSK_ACK_SCHED;
}

/** @kernel inet_csk_ack_scheduled include/net/inet_connection_sock.h */
export function inetCskAckScheduled(sk: Sock): boolean {
  return (inetCsk(sk).ackPending & ICSK_ACK_SCHED) !== 0;
}

/** @kernel inet_csk_delack_init include/net/inet_connection_sock.h */
export function inetCskDelackInit(sk: Sock): void {
  const icsk = inetCsk(sk);
  icsk.ackPending = 0;
  icsk.ackQuick = 0;
  icsk.ackPingpong = 0;
  icsk.ackRetry = 0;
  icsk.ackAto = 0;
  icsk.ackLrcvFlowlabel = 0;
  icsk.ackDstQuickAck = false;
  icsk.ackTimeout = 0;
  icsk.ackLrcvtime = 0;
  icsk.ackLastSegSize = 0;
  icsk.ackRcvMss = 0;
}

/** A request/response exchange: ACKs ride on data. @kernel inet_csk_enter_pingpong_mode include/net/inet_connection_sock.h */
export function inetCskEnterPingpongMode(sk: Sock): void {
  inetCsk(sk).ackPingpong = sk.net.ipv4.sysctlTcpPingpongThresh;
}

/** @kernel inet_csk_exit_pingpong_mode include/net/inet_connection_sock.h */
export function inetCskExitPingpongMode(sk: Sock): void {
  inetCsk(sk).ackPingpong = 0;
}

/** @kernel inet_csk_in_pingpong_mode include/net/inet_connection_sock.h */
export function inetCskInPingpongMode(sk: Sock): boolean {
  return inetCsk(sk).ackPingpong >= sk.net.ipv4.sysctlTcpPingpongThresh;
}

/** @kernel inet_csk_inc_pingpong_cnt include/net/inet_connection_sock.h */
export function inetCskIncPingpongCnt(sk: Sock): void {
  const icsk = inetCsk(sk);
  if (icsk.ackPingpong < 255) icsk.ackPingpong++;
}

/** RTO after backoff, capped. @kernel inet_csk_rto_backoff include/net/inet_connection_sock.h */
export function inetCskRtoBackoff(sk: Sock, maxWhen: number): number {
  const icsk = inetCsk(sk);
  return Math.min(icsk.icskRto * 2 ** Math.min(icsk.icskBackoff, 31), maxWhen);
}
