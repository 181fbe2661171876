/** TCP. Counterpart of include/trace/events/tcp.h. */

import type { SkBuff } from '#include/linux/skbuff.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import type { RequestSock } from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import { Tracepoint } from '#kernel/tracepoint.ts';

/** A tracepoint about a signed segment: KeyID, RNextKeyID and octets of the code. */
export type AoEvent = Tracepoint<
  [sk: Sock, skb: SkBuff, keyid: number, rnext: number, maclen: number]
>;

/** One about a signature as such. */
export type HashEvent = Tracepoint<[sk: Sock, skb: SkBuff]>;

export class TcpEvents {
  readonly tcpSendmsgLocked: Tracepoint<
    [sk: Sock, len: number, skb: SkBuff | null, sizeGoal: number]
  > = new Tracepoint('tcp:tcp_sendmsg_locked');
  readonly tcpRetransmitSkb: Tracepoint<[sk: TcpSock, skb: SkBuff, err: number]> = new Tracepoint(
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
  readonly tcpProbe: Tracepoint<[sk: TcpSock, skb: SkBuff | null]> = new Tracepoint(
    'tcp:tcp_probe',
  );
  readonly tcpBadCsum: Tracepoint<[skb: SkBuff]> = new Tracepoint('tcp:tcp_bad_csum');
  readonly tcpHashBadHeader: HashEvent = new Tracepoint('tcp:tcp_hash_bad_header');
  readonly tcpHashMd5Required: HashEvent = new Tracepoint('tcp:tcp_hash_md5_required');
  readonly tcpHashMd5Unexpected: HashEvent = new Tracepoint('tcp:tcp_hash_md5_unexpected');
  readonly tcpHashMd5Mismatch: HashEvent = new Tracepoint('tcp:tcp_hash_md5_mismatch');
  readonly tcpHashAoRequired: HashEvent = new Tracepoint('tcp:tcp_hash_ao_required');
  readonly tcpAoHandshakeFailure: AoEvent = new Tracepoint('tcp:tcp_ao_handshake_failure');
  readonly tcpAoWrongMaclen: AoEvent = new Tracepoint('tcp:tcp_ao_wrong_maclen');
  readonly tcpAoMismatch: AoEvent = new Tracepoint('tcp:tcp_ao_mismatch');
  readonly tcpAoKeyNotFound: AoEvent = new Tracepoint('tcp:tcp_ao_key_not_found');
  readonly tcpAoRnextRequest: AoEvent = new Tracepoint('tcp:tcp_ao_rnext_request');
  readonly tcpAoSynackNoKey: Tracepoint<[sk: Sock, keyid: number, rnext: number]> = new Tracepoint(
    'tcp:tcp_ao_synack_no_key',
  );
  readonly tcpAoSndSneUpdate: Tracepoint<[sk: Sock, newSne: number]> = new Tracepoint(
    'tcp:tcp_ao_snd_sne_update',
  );
  readonly tcpAoRcvSneUpdate: Tracepoint<[sk: Sock, newSne: number]> = new Tracepoint(
    'tcp:tcp_ao_rcv_sne_update',
  );
  readonly tcpCongStateSet: Tracepoint<[sk: TcpSock, caState: number]> = new Tracepoint(
    'tcp:tcp_cong_state_set',
  );
  readonly tcpCwndReductionTp: Tracepoint<
    [sk: TcpSock, newlyAckedSacked: number, newlyLost: number, flag: number]
  > = new Tracepoint('tcp:tcp_cwnd_reduction_tp');
}
