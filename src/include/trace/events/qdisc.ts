/** Queueing disciplines. Counterpart of include/trace/events/qdisc.h. */
import type { NetDevice, NetdevQueue } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Qdisc, QdiscOps } from '#include/net/sch_generic.ts';
import { Tracepoint } from '#kernel/tracepoint.ts';

export class QdiscEvents {
  /** `packets` taken at once; `skb` the first, null when the queue was empty. */
  readonly qdiscDequeue: Tracepoint<
    [qdisc: Qdisc, txq: NetdevQueue, packets: number, skb: SkBuff | null]
  > = new Tracepoint('qdisc:qdisc_dequeue');
  readonly qdiscEnqueue: Tracepoint<[qdisc: Qdisc, txq: NetdevQueue, skb: SkBuff]> = new Tracepoint(
    'qdisc:qdisc_enqueue',
  );
  readonly qdiscReset: Tracepoint<[qdisc: Qdisc]> = new Tracepoint('qdisc:qdisc_reset');
  readonly qdiscDestroy: Tracepoint<[qdisc: Qdisc]> = new Tracepoint('qdisc:qdisc_destroy');
  readonly qdiscCreate: Tracepoint<[ops: QdiscOps, dev: NetDevice, parent: number]> =
    new Tracepoint('qdisc:qdisc_create');
}
