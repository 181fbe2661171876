/** Ends of packets' lives. Counterpart of include/trace/events/skb.h. */
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Sock } from '#include/net/sock.ts';
import { Tracepoint } from '#kernel/tracepoint.ts';

export class SkbEvents {
  /** A drop: `location` is the kernel name of the function, `reason` a SKB_DROP_REASON_*. */
  readonly kfreeSkb: Tracepoint<
    [skb: SkBuff, location: string, reason: number, rxSk: Sock | null]
  > = new Tracepoint('skb:kfree_skb');
  readonly consumeSkb: Tracepoint<[skb: SkBuff, location: string]> = new Tracepoint(
    'skb:consume_skb',
  );
  readonly skbCopyDatagramIovec: Tracepoint<[skb: SkBuff, len: number]> = new Tracepoint(
    'skb:skb_copy_datagram_iovec',
  );
}
