/**
 * What waits for the owner of a socket to release it: sending, expired timers, an ACK, a smaller MTU.
 * Counterpart of tcp_release_cb in net/ipv4/tcp_output.c.
 */
import {
  TCP_ACK_DEFERRED,
  TCP_DELACK_TIMER_DEFERRED,
  TCP_MTU_REDUCED_DEFERRED,
  TCP_TSQ_DEFERRED,
  TCP_WRITE_TIMER_DEFERRED,
} from '#include/linux/tcp.ts';
import type { Sock } from '#include/net/sock.ts';
import { tcpSk } from '#include/net/tcp.ts';
import { __sockPut } from '#net/core/sock.ts';
import { inetCskAckScheduled } from '#net/ipv4/inet_connection_sock_timer.ts';
import { tcpSendAck } from '#net/ipv4/tcp_output_ctl.ts';
import { tcpTsqWrite } from '#net/ipv4/tcp_output_tsq.ts';
import { tcpDelackTimerHandler, tcpWriteTimerHandler } from '#net/ipv4/tcp_timer.ts';

const DEFERRED_ALL =
  (1 << TCP_TSQ_DEFERRED) |
  (1 << TCP_WRITE_TIMER_DEFERRED) |
  (1 << TCP_DELACK_TIMER_DEFERRED) |
  (1 << TCP_MTU_REDUCED_DEFERRED) |
  (1 << TCP_ACK_DEFERRED);

/** @kernel tcp_release_cb net/ipv4/tcp_output.c */
export function tcpReleaseCb(sk: Sock): void {
  const tp = tcpSk(sk);
  const flags = tp.tsqFlags;
  if ((flags & DEFERRED_ALL) === 0) return;
  tp.tsqFlags = flags & ~DEFERRED_ALL;
  if ((flags & (1 << TCP_TSQ_DEFERRED)) !== 0) {
    tcpTsqWrite(sk);
    __sockPut(sk);
  }
  if ((flags & (1 << TCP_WRITE_TIMER_DEFERRED)) !== 0) {
    tcpWriteTimerHandler(sk);
    __sockPut(sk);
  }
  if ((flags & (1 << TCP_DELACK_TIMER_DEFERRED)) !== 0) {
    tcpDelackTimerHandler(sk);
    __sockPut(sk);
  }
  if ((flags & (1 << TCP_MTU_REDUCED_DEFERRED)) !== 0) {
    tp.icskAfOps!.mtuReduced(sk);
    __sockPut(sk);
  }
  if ((flags & (1 << TCP_ACK_DEFERRED)) !== 0 && inetCskAckScheduled(sk)) tcpSendAck(sk);
}
