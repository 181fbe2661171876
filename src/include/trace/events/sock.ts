/** Socket memory and states. Counterpart of include/trace/events/sock.h. */
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Proto, Sock } from '#include/net/sock.ts';
import { Tracepoint } from '#kernel/tracepoint.ts';

export class SockEvents {
  readonly sockRcvqueueFull: Tracepoint<[sk: Sock, skb: SkBuff]> = new Tracepoint(
    'sock:sock_rcvqueue_full',
  );
  /** `kind` is SK_MEM_SEND or SK_MEM_RECV. */
  readonly sockExceedBufLimit: Tracepoint<
    [sk: Sock, prot: Proto, allocated: number, kind: number]
  > = new Tracepoint('sock:sock_exceed_buf_limit');
  readonly inetSockSetState: Tracepoint<[sk: Sock, oldstate: number, newstate: number]> =
    new Tracepoint('sock:inet_sock_set_state');
  readonly inetSkErrorReport: Tracepoint<[sk: Sock]> = new Tracepoint('sock:inet_sk_error_report');
  readonly skDataReady: Tracepoint<[sk: Sock]> = new Tracepoint('sock:sk_data_ready');
  readonly sockSendLength: Tracepoint<[sk: Sock, ret: number, flags: number]> = new Tracepoint(
    'sock:sock_send_length',
  );
  readonly sockRecvLength: Tracepoint<[sk: Sock, ret: number, flags: number]> = new Tracepoint(
    'sock:sock_recv_length',
  );
}
