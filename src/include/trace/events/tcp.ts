/** TCP. Counterpart of include/trace/events/tcp.h. */

import type { SkBuff } from '#include/linux/skbuff.ts';
import type { RequestSock } from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import { Tracepoint } from '#kernel/tracepoint.ts';

export class TcpEvents {
  readonly tcpSendmsgLocked: Tracepoint<
    [sk: Sock, len: number, skb: SkBuff | null, sizeGoal: number]
  > = new Tracepoint('tcp:tcp_sendmsg_locked');
  readonly tcpRetransmitSkb: Tracepoint<[sk: Sock, skb: SkBuff, err: number]> = new Tracepoint(
    'tcp:tcp_retransmit_skb',
  );
  /** `reason` is a SK_RST_REASON_* number; the socket is null when none matched. */
  readonly tcpSendReset: Tracepoint<[sk: Sock | null, skb: SkBuff | null, reason: number]> =
    new Tracepoint('tcp:tcp_send_reset');
  readonly tcpReceiveReset: Tracepoint<[sk: Sock]> = new Tracepoint('tcp:tcp_receive_reset');
  readonly tcpDestroySock: Tracepoint<[sk: Sock]> = new Tracepoint('tcp:tcp_destroy_sock');
  readonly tcpRcvSpaceAdjust: Tracepoint<[sk: Sock]> = new Tracepoint('tcp:tcp_rcv_space_adjust');
  readonly tcpRcvbufGrow: Tracepoint<[sk: Sock, timeUs: number]> = new Tracepoint(
    'tcp:tcp_rcvbuf_grow',
  );
  readonly tcpRetransmitSynack: Tracepoint<[sk: Sock, req: RequestSock]> = new Tracepoint(
    'tcp:tcp_retransmit_synack',
  );
  readonly tcpProbe: Tracepoint<[sk: Sock, skb: SkBuff | null]> = new Tracepoint('tcp:tcp_probe');
  readonly tcpBadCsum: Tracepoint<[skb: SkBuff]> = new Tracepoint('tcp:tcp_bad_csum');
  readonly tcpCongStateSet: Tracepoint<[sk: Sock, caState: number]> = new Tracepoint(
    'tcp:tcp_cong_state_set',
  );
  readonly tcpCwndReductionTp: Tracepoint<
    [sk: Sock, newlyAckedSacked: number, newlyLost: number, flag: number]
  > = new Tracepoint('tcp:tcp_cwnd_reduction_tp');
}
