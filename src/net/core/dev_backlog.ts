/**
 * The backlog of each CPU: packets of drivers that do not poll, and of virtual devices, wait here for
 * the next soft interrupt. Counterpart of netif_rx() and its relatives in net/core/dev.c.
 */
import {
  NAPI_STATE_THREADED,
  type NapiStruct,
  type NetDevice,
  type SoftnetData,
} from '#include/linux/netdevice.ts';
import { type SkBuff, skbCheckLive } from '#include/linux/skbuff.ts';
import { __skbDequeue, skbQueueSpliceTailInit } from '#include/linux/skbuff_queue.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { inInterrupt } from '#kernel/cpu.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { enqueueToBacklog, getRpsCpu, netRpsActionAndIrqEnable } from '#net/core/dev_rps.ts';
import { __netifReceiveSkb, netTimestampCheck } from '#net/core/dev_rx.ts';

/** @kernel netif_rx_internal net/core/dev.c */
function netifRxInternal(skb: SkBuff): number {
  const { machine } = skb;
  if (DEBUG) {
    skbCheckLive(skb);
    if (skb.dev === null) throw new KernelBug('rx-no-dev', `skb ${skb.id} came from nowhere`);
  }
  netTimestampCheck(skb, 1);
  if (tracepointKey.enabled) machine.trace.net.netifRx.probe?.(skb);
  const globals = machine.netGlobals;
  if (globals.rpsNeeded === 0) return enqueueToBacklog(skb, machine.cpu.id, null, 0);
  const cpu = getRpsCpu(skb.dev as NetDevice, skb);
  const { rpsFlowTable, rpsFlowSlot } = globals;
  return enqueueToBacklog(skb, cpu < 0 ? machine.cpu.id : cpu, rpsFlowTable, rpsFlowSlot);
}

/** netif_rx() where soft interrupts are known to be off. @kernel __netif_rx net/core/dev.c */
export function __netifRx(skb: SkBuff): number {
  const { net } = skb.machine.trace;
  if (DEBUG && !inInterrupt(skb.machine.cpu)) {
    throw new KernelBug('rx-context', '__netif_rx in a task with soft interrupts on');
  }
  if (tracepointKey.enabled) net.netifRxEntry.probe?.(skb);
  const ret = netifRxInternal(skb);
  if (tracepointKey.enabled) net.netifRxExit.probe?.(ret);
  return ret;
}

/** Queues a received packet, from any context. NET_RX_SUCCESS or NET_RX_DROP. @kernel netif_rx net/core/dev.c */
export function netifRx(skb: SkBuff): number {
  const { machine } = skb;
  const { net } = machine.trace;
  const needBhOff = !inInterrupt(machine.cpu);
  if (needBhOff) localBhDisable(machine);
  if (tracepointKey.enabled) net.netifRxEntry.probe?.(skb);
  const ret = netifRxInternal(skb);
  if (tracepointKey.enabled) net.netifRxExit.probe?.(ret);
  if (needBhOff) localBhEnable(machine);
  return ret;
}

/** Polls the backlog: at most `quota` packets. @kernel process_backlog net/core/dev.c */
export function processBacklog(napi: NapiStruct, quota: number): number {
  const { machine } = napi.dev.net;
  const sd = machine.netGlobals.softnetData[machine.cpu.id] as SoftnetData;
  // Others need not wait for the end of this poll.
  if (sd.rpsIpiList !== null) netRpsActionAndIrqEnable(machine, sd);
  napi.weight = machine.netGlobals.devWeight;
  let work = 0;
  for (;;) {
    for (let skb = __skbDequeue(sd.processQueue); skb !== null; ) {
      __netifReceiveSkb(skb);
      if (++work >= quota) {
        sd.inputQueueHead = (sd.inputQueueHead + work) | 0;
        return work;
      }
      skb = __skbDequeue(sd.processQueue);
    }
    if (sd.inputPktQueue.qlen === 0) {
      // The backlog has no interrupts to enable: it is done when its queue is empty.
      napi.state &= 1 << NAPI_STATE_THREADED;
      sd.inputQueueHead = (sd.inputQueueHead + work) | 0;
      return work;
    }
    skbQueueSpliceTailInit(sd.inputPktQueue, sd.processQueue);
  }
}
