/**
 * TCP small queues: no flow fills the queues below us with its packets.
 *
 * Counterpart of the tsq part of net/ipv4/tcp_output.c. When a packet leaves the device, the sender that
 * was held back goes on from a tasklet; when a task owns the socket, that is noted in `tsqFlags` and done
 * by tcp_release_cb(), which is in tcp_output_release.ts.
 */
import { TCP_TSQ_DEFERRED, type TcpSock, TSQ_QUEUED } from '#include/linux/tcp.ts';
import type { Sock } from '#include/net/sock.ts';
import { tcpSk } from '#include/net/tcp.ts';
import { tcpPacketsInFlight, tcpSndCwnd } from '#include/net/tcp_inlines.ts';
import type { Machine } from '#kernel/machine.ts';
import { Tasklet } from '#kernel/softirq.ts';
import { HRTIMER_NORESTART } from '#kernel/time/hrtimer.ts';
import { skFree, sockHold, sockOwnedByUser, sockPut } from '#net/core/sock.ts';
import { tcpMstampRefresh } from '#net/ipv4/tcp_output.ts';
import { tcpCurrentMss } from '#net/ipv4/tcp_output_mss.ts';
import { tcpXmitRetransmitQueue } from '#net/ipv4/tcp_output_rtx.ts';
import { tcpWriteXmit } from '#net/ipv4/tcp_output_xmit.ts';
import {
  TCPF_CLOSE_WAIT,
  TCPF_CLOSING,
  TCPF_ESTABLISHED,
  TCPF_FIN_WAIT1,
  TCPF_LAST_ACK,
} from '#uapi/tcp.ts';

const SENDING_STATES =
  TCPF_ESTABLISHED | TCPF_FIN_WAIT1 | TCPF_CLOSING | TCPF_CLOSE_WAIT | TCPF_LAST_ACK;

/** @kernel tcp_tsq_write net/ipv4/tcp_output.c */
export function tcpTsqWrite(sk: Sock): void {
  if (((1 << sk.skcState) & SENDING_STATES) === 0) return;
  const tp = tcpSk(sk);
  if (tp.lostOut > tp.retransOut && tcpSndCwnd(tp) > tcpPacketsInFlight(tp)) {
    tcpMstampRefresh(tp);
    tcpXmitRetransmitQueue(sk);
  }
  tcpWriteXmit(sk, tcpCurrentMss(sk), tp.nonagle, 0);
}

/** @kernel tcp_tsq_handler net/ipv4/tcp_output.c */
function tcpTsqHandler(sk: Sock): void {
  if (!sockOwnedByUser(sk)) {
    tcpTsqWrite(sk);
    return;
  }
  const tp = tcpSk(sk);
  if ((tp.tsqFlags & (1 << TCP_TSQ_DEFERRED)) === 0) {
    tp.tsqFlags |= 1 << TCP_TSQ_DEFERRED;
    sockHold(sk);
  }
}

/** Runs the senders that were held back. @kernel tcp_tsq_workfn net/ipv4/tcp_output.c */
function tcpTsqWorkfn(machine: Machine): void {
  const globals = machine.netGlobals;
  let sk: TcpSock | null = globals.tsqHead;
  globals.tsqHead = null;
  globals.tsqTail = null;
  while (sk !== null) {
    const next: TcpSock | null = sk.tsqNext;
    sk.tsqNext = null;
    sk.tsqFlags &= ~(1 << TSQ_QUEUED);
    tcpTsqHandler(sk);
    skFree(sk);
    sk = next;
  }
}

/** @kernel tcp_tsq_work_init net/ipv4/tcp_output.c */
export function tcpTsqWorkInit(machine: Machine): void {
  machine.netGlobals.tsqTasklet = new Tasklet(machine, () => tcpTsqWorkfn(machine));
}

/** The time of the next paced packet has come. @kernel tcp_pace_kick net/ipv4/tcp_output.c */
export function tcpPaceKick(sk: TcpSock): typeof HRTIMER_NORESTART {
  tcpTsqHandler(sk);
  sockPut(sk);
  return HRTIMER_NORESTART;
}
