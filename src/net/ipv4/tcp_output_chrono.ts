/**
 * The stopwatch of a sender: how long it was busy, limited by the peer's window, or by the send
 * buffer (tcp_info's busy_time, rwnd_limited, sndbuf_limited). In jiffies.
 *
 * Counterpart of the chrono functions of net/ipv4/tcp_output.c.
 */
import {
  TCP_CHRONO_BUSY,
  TCP_CHRONO_RWND_LIMITED,
  TCP_CHRONO_SNDBUF_LIMITED,
  TCP_CHRONO_UNSPEC,
  type TcpSock,
} from '#include/linux/tcp.ts';
import type { Sock } from '#include/net/sock.ts';
import { tcpSk } from '#include/net/tcp.ts';
import { tcpRtxAndWriteQueuesEmpty } from '#include/net/tcp_queue.ts';

/** @kernel tcp_chrono_set net/ipv4/tcp_output.c */
function tcpChronoSet(tp: TcpSock, type: number): void {
  const now = tp.net.machine.jiffies;
  const spent = (now - tp.chronoStart) >>> 0;
  if (tp.chronoType === TCP_CHRONO_BUSY) tp.chronoBusy += spent;
  else if (tp.chronoType === TCP_CHRONO_RWND_LIMITED) tp.chronoRwndLimited += spent;
  else if (tp.chronoType === TCP_CHRONO_SNDBUF_LIMITED) tp.chronoSndbufLimited += spent;
  tp.chronoStart = now;
  tp.chronoType = type;
}

/** The most interesting cause counts: a lesser one does not displace it. @kernel tcp_chrono_start net/ipv4/tcp_output.c */
export function tcpChronoStart(sk: Sock, type: number): void {
  const tp = tcpSk(sk);
  if (type > tp.chronoType) tcpChronoSet(tp, type);
}

/** Falls back to busy while anything is unacknowledged. @kernel tcp_chrono_stop net/ipv4/tcp_output.c */
export function tcpChronoStop(sk: Sock, type: number): void {
  const tp = tcpSk(sk);
  if (tcpRtxAndWriteQueuesEmpty(sk)) tcpChronoSet(tp, TCP_CHRONO_UNSPEC);
  else if (type === tp.chronoType) tcpChronoSet(tp, TCP_CHRONO_BUSY);
}
