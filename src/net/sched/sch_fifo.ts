/**
 * The simplest queues: pfifo counts packets, bfifo bytes. Counterpart of net/sched/sch_fifo.c.
 */

import { SUBSYS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff, SkBuffHead } from '#include/linux/skbuff.ts';
import { skbPeek } from '#include/linux/skbuff_queue.ts';
import {
  type Qdisc,
  type QdiscOps,
  qdiscDequeueHead,
  qdiscDropReason,
  qdiscEnqueueTail,
  TCQ_F_CAN_BYPASS,
} from '#include/net/sch_generic.ts';
import type { Machine } from '#kernel/machine.ts';
import { skbQueuePurgeReason } from '#net/core/skbuff.ts';
import { registerQdisc } from '#net/sched/sch_generic.ts';
import { EINVAL } from '#uapi/errno.ts';
import { SKB_DROP_REASON_QDISC_DROP, SKB_DROP_REASON_QUEUE_PURGE } from '#uapi/net_dropreason.ts';

/** struct tc_fifo_qopt: one 32-bit limit, packets or bytes. */
const FIFO_QOPT_LEN = 4;

/** @kernel pfifo_enqueue net/sched/sch_fifo.c */
function pfifoEnqueue(skb: SkBuff, sch: Qdisc, toFree: SkBuffHead): number {
  if (sch.q.qlen < sch.limit) return qdiscEnqueueTail(skb, sch);
  return qdiscDropReason(skb, sch, toFree, SKB_DROP_REASON_QDISC_DROP);
}

/** @kernel bfifo_enqueue net/sched/sch_fifo.c */
function bfifoEnqueue(skb: SkBuff, sch: Qdisc, toFree: SkBuffHead): number {
  if (sch.backlog + skb.pktLen <= sch.limit) return qdiscEnqueueTail(skb, sch);
  return qdiscDropReason(skb, sch, toFree, SKB_DROP_REASON_QDISC_DROP);
}

/** @kernel fifo_init net/sched/sch_fifo.c */
function fifoInit(sch: Qdisc, opt: Uint8Array | null, isBfifo: boolean): number {
  const dev = sch.dev as NetDevice;
  if (opt === null) {
    sch.limit = dev.txQueueLen * (isBfifo ? dev.mtu + dev.hardHeaderLen : 1);
  } else {
    if (opt.length < FIFO_QOPT_LEN) return -EINVAL;
    sch.limit = new DataView(opt.buffer, opt.byteOffset).getUint32(0, true);
  }
  const bypass = isBfifo ? sch.limit >= dev.mtu + dev.hardHeaderLen : sch.limit >= 1;
  if (bypass) sch.flags |= TCQ_F_CAN_BYPASS;
  else sch.flags &= ~TCQ_F_CAN_BYPASS;
  return 0;
}

function fifoReset(sch: Qdisc): void {
  skbQueuePurgeReason(sch.q, SKB_DROP_REASON_QUEUE_PURGE);
}

/** @kernel fifo_dump net/sched/sch_fifo.c */
function fifoDump(sch: Qdisc): Uint8Array {
  const opt = new Uint8Array(FIFO_QOPT_LEN);
  new DataView(opt.buffer).setUint32(0, sch.limit, true);
  return opt;
}

function fifoOps(id: string, enqueue: NonNullable<QdiscOps['enqueue']>, bytes: boolean): QdiscOps {
  return {
    id,
    enqueue,
    dequeue: qdiscDequeueHead,
    peek: (sch) => skbPeek(sch.q),
    init: (sch, opt) => fifoInit(sch, opt, bytes),
    reset: fifoReset,
    destroy: null,
    change: (sch, opt) => fifoInit(sch, opt, bytes),
    changeTxQueueLen: null,
    dump: fifoDump,
  };
}

/** @kernel pfifo_qdisc_ops net/sched/sch_fifo.c */
export const pfifoQdiscOps: QdiscOps = fifoOps('pfifo', pfifoEnqueue, false);

/** @kernel bfifo_qdisc_ops net/sched/sch_fifo.c */
export const bfifoQdiscOps: QdiscOps = fifoOps('bfifo', bfifoEnqueue, true);

/** @kernel pktsched_init net/sched/sch_api.c */
function fifoModuleInit(machine: Machine): number {
  return registerQdisc(machine, pfifoQdiscOps) || registerQdisc(machine, bfifoQdiscOps);
}

export const fifoModule: KernelModule = {
  name: 'sch_fifo',
  config: 'CONFIG_NET_SCH_FIFO',
  depends: [],
  level: SUBSYS_INITCALL,
  init: fifoModuleInit,
  exit: null,
};
