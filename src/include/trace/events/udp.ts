/** UDP. Counterpart of include/trace/events/udp.h. */
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Sock } from '#include/net/sock.ts';
import { Tracepoint } from '#kernel/tracepoint.ts';

export class UdpEvents {
  readonly udpFailQueueRcvSkb: Tracepoint<[rc: number, sk: Sock, skb: SkBuff]> = new Tracepoint(
    'udp:udp_fail_queue_rcv_skb',
  );
}
