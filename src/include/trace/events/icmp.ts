/** ICMP errors sent. Counterpart of include/trace/events/icmp.h. */
import type { SkBuff } from '#include/linux/skbuff.ts';
import { Tracepoint } from '#kernel/tracepoint.ts';

export class IcmpEvents {
  /** `skb` is the packet that caused the error. */
  readonly icmpSend: Tracepoint<[skb: SkBuff, type: number, code: number]> = new Tracepoint(
    'icmp:icmp_send',
  );
}
