/**
 * The backlog of each CPU: packets of drivers that do not poll, and of virtual devices, wait here for
 * the next soft interrupt. Counterpart of netif_rx() and its relatives in net/core/dev.c.
 */
import {
  devCoreStatsRxDroppedInc,
  NAPI_STATE_SCHED,
  NAPI_STATE_THREADED,
  type NapiStruct,
  NET_RX_DROP,
  NET_RX_SUCCESS,
  type NetDevice,
  netifRunning,
  type SoftnetData,
} from '#include/linux/netdevice.ts';
import { type SkBuff, skbCheckLive } from '#include/linux/skbuff.ts';
import {
  __skbDequeue,
  __skbQueueTail,
  skbQueueSpliceTailInit,
} from '#include/linux/skbuff_queue.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { inInterrupt } from '#kernel/cpu.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import { __napiSchedule } from '#net/core/dev_napi.ts';
import { __netifReceiveSkb, netTimestampCheck } from '#net/core/dev_rx.ts';
import { kfreeSkb } from '#net/core/skbuff.ts';
import { SKB_DROP_REASON_CPU_BACKLOG, SKB_DROP_REASON_DEV_READY } from '#uapi/net_dropreason.ts';

/** Queues a packet for a CPU, or drops it when the queue is too long. @kernel enqueue_to_backlog net/core/dev.c */
function enqueueToBacklog(skb: SkBuff, cpu: number): number {
  const globals = skb.machine.netGlobals;
  const dev = skb.dev as NetDevice;
  const sd = globals.softnetData[cpu] as SoftnetData;
  let reason = SKB_DROP_REASON_DEV_READY;
  if (netifRunning(dev)) {
    const queue = sd.inputPktQueue;
    if (queue.qlen <= globals.netdevMaxBacklog) {
      if (queue.qlen === 0) scheduleBacklog(sd);
      __skbQueueTail(queue, skb);
      return NET_RX_SUCCESS;
    }
    reason = SKB_DROP_REASON_CPU_BACKLOG;
    sd.dropped++;
  }
  devCoreStatsRxDroppedInc(dev);
  kfreeSkb(skb, reason, 'enqueue_to_backlog');
  return NET_RX_DROP;
}

/** @kernel napi_schedule_rps net/core/dev.c */
function scheduleBacklog(sd: SoftnetData): void {
  const backlog = sd.backlog;
  if (backlog === null) throw new KernelBug('no-backlog', 'net_dev_init() has not run');
  if ((backlog.state & (1 << NAPI_STATE_SCHED)) !== 0) return;
  backlog.state |= 1 << NAPI_STATE_SCHED;
  __napiSchedule(backlog);
}

/** @kernel netif_rx_internal net/core/dev.c */
function netifRxInternal(skb: SkBuff): number {
  const { machine } = skb;
  if (DEBUG) {
    skbCheckLive(skb);
    if (skb.dev === null) throw new KernelBug('rx-no-dev', `skb ${skb.id} came from nowhere`);
  }
  netTimestampCheck(skb, 1);
  const tp = machine.trace.net.netifRx;
  if (tp.probe !== null) tp.probe(skb);
  return enqueueToBacklog(skb, machine.cpu.id);
}

/** netif_rx() where soft interrupts are known to be off. @kernel __netif_rx net/core/dev.c */
export function __netifRx(skb: SkBuff): number {
  const { net } = skb.machine.trace;
  if (DEBUG && !inInterrupt(skb.machine.cpu)) {
    throw new KernelBug('rx-context', '__netif_rx in a task with soft interrupts on');
  }
  if (net.netifRxEntry.probe !== null) net.netifRxEntry.probe(skb);
  const ret = netifRxInternal(skb);
  if (net.netifRxExit.probe !== null) net.netifRxExit.probe(ret);
  return ret;
}

/** Queues a received packet, from any context. NET_RX_SUCCESS or NET_RX_DROP. @kernel netif_rx net/core/dev.c */
export function netifRx(skb: SkBuff): number {
  const { machine } = skb;
  const { net } = machine.trace;
  const needBhOff = !inInterrupt(machine.cpu);
  if (needBhOff) localBhDisable(machine);
  if (net.netifRxEntry.probe !== null) net.netifRxEntry.probe(skb);
  const ret = netifRxInternal(skb);
  if (net.netifRxExit.probe !== null) net.netifRxExit.probe(ret);
  if (needBhOff) localBhEnable(machine);
  return ret;
}

/** Polls the backlog: at most `quota` packets. @kernel process_backlog net/core/dev.c */
export function processBacklog(napi: NapiStruct, quota: number): number {
  const { machine } = napi.dev.net;
  const sd = machine.netGlobals.softnetData[machine.cpu.id] as SoftnetData;
  napi.weight = machine.netGlobals.devWeight;
  let work = 0;
  for (;;) {
    for (let skb = __skbDequeue(sd.processQueue); skb !== null; ) {
      __netifReceiveSkb(skb);
      if (++work >= quota) return work;
      skb = __skbDequeue(sd.processQueue);
    }
    if (sd.inputPktQueue.qlen === 0) {
      // The backlog has no interrupts to enable: it is done when its queue is empty.
      napi.state &= 1 << NAPI_STATE_THREADED;
      return work;
    }
    skbQueueSpliceTailInit(sd.inputPktQueue, sd.processQueue);
  }
}
