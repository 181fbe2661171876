/**
 * Spreading received packets over CPUs. Counterpart of get_rps_cpu(), enqueue_to_backlog() and their
 * relatives in net/core/dev.c.
 *
 *   netif_receive_skb / netif_rx -- get_rps_cpu: reader's CPU (RFS), else hash over rps_cpus (RPS)
 *      -> backlog of that CPU -- first packet on it: the end of net_rx_action sends an interrupt there
 *      -> rps_trigger_softirq: NET_RX polls the backlog, as it would a device
 *
 * A machine without a map pays one comparison a packet.
 */
import {
  devCoreStatsRxDroppedInc,
  NAPI_STATE_SCHED,
  NET_RX_DROP,
  NET_RX_SUCCESS,
  type NetDevice,
  netifRunning,
  type SoftnetData,
} from '#include/linux/netdevice.ts';
import { type SkBuff, skbResetNetworkHeader } from '#include/linux/skbuff.ts';
import { __skbQueueTail } from '#include/linux/skbuff_queue.ts';
import { skbGetRxQueue, skbRxQueueRecorded } from '#include/linux/skbuff_rx_queue.ts';
import type { NetGlobals } from '#include/net/net_globals.ts';
import type { NetdevRxQueue } from '#include/net/netdev_rx_queue.ts';
import { FLOW_LIMIT_HISTORY, type RpsDevFlowTable } from '#include/net/rps.ts';
import { KernelBug } from '#kernel/bug.ts';
import type { Machine } from '#kernel/machine.ts';
import { smpCallFunctionSingleAsync } from '#kernel/smp.ts';
import { __raiseSoftirqIrqoff, NET_RX_SOFTIRQ } from '#kernel/softirq.ts';
import { hash32, reciprocalScale } from '#lib/jhash.ts';
import { ____napiSchedule, thisSoftnetData } from '#net/core/dev_napi_list.ts';
import { skbGetHash } from '#net/core/flow_dissector.ts';
import { kfreeSkb } from '#net/core/skbuff.ts';
import { SKB_DROP_REASON_CPU_BACKLOG, SKB_DROP_REASON_DEV_READY } from '#uapi/net_dropreason.ts';

const NAPIF_SCHED: number = 1 << NAPI_STATE_SCHED;

// The choice of a CPU.

/** The flow moves to another CPU, behind what waits there now. @kernel set_rps_cpu net/core/dev.c */
function setRpsCpu(
  globals: NetGlobals,
  table: RpsDevFlowTable,
  slot: number,
  nextCpu: number,
): void {
  const sd = globals.softnetData[nextCpu];
  if (sd !== undefined) table.lastQtail[slot] = sd.inputQueueHead;
  table.cpu[slot] = nextCpu;
}

/**
 * The CPU of the flow's reader, or where packets of it still wait; -1: unknown. The entry is left in
 * `globals.rpsFlowTable` and `rpsFlowSlot`.
 */
function rfsCpu(globals: NetGlobals, table: RpsDevFlowTable, hash: number): number {
  const wanted = globals.rpsSockFlowTable;
  if (wanted === null) return -1;
  const ident = wanted.ents[hash & wanted.mask] as number;
  // Somebody else's entry.
  if (((ident ^ hash) & ~globals.rpsCpuMask) !== 0) return -1;
  const nextCpu = ident & globals.rpsCpuMask;
  const slot = table.log === 0 ? 0 : hash32(hash, table.log);
  const last = table.cpu[slot] as number;
  if (last !== nextCpu) {
    const sd = globals.softnetData[last];
    // Until the packets that went there are through, the others go after them.
    if (sd === undefined || ((sd.inputQueueHead - (table.lastQtail[slot] as number)) | 0) >= 0) {
      setRpsCpu(globals, table, slot, nextCpu);
    }
  }
  const cpu = table.cpu[slot] as number;
  if (globals.softnetData[cpu] === undefined) return -1;
  globals.rpsFlowTable = table;
  globals.rpsFlowSlot = slot;
  return cpu;
}

/** The CPU that shall take a packet; -1: the one it is on. @kernel get_rps_cpu net/core/dev.c */
export function getRpsCpu(dev: NetDevice, skb: SkBuff): number {
  const globals = skb.machine.netGlobals;
  globals.rpsFlowTable = null;
  let queue = 0;
  if (skbRxQueueRecorded(skb)) {
    queue = skbGetRxQueue(skb);
    if (queue >= dev.realNumRxQueues) return -1;
  }
  const { rpsFlowTable, rpsMap } = dev.rx[queue] as NetdevRxQueue;
  if (rpsFlowTable === null && rpsMap === null) return -1;
  skbResetNetworkHeader(skb);
  const hash = skbGetHash(skb);
  if (hash === 0) return -1;
  const cpu = rpsFlowTable === null ? -1 : rfsCpu(globals, rpsFlowTable, hash);
  if (cpu >= 0 || rpsMap === null) return cpu;
  return rpsMap.cpus[reciprocalScale(hash, rpsMap.cpus.length)] as number;
}

// The backlog.

/**
 * Is the packet of a flow that has more than half of the last packets? Asked when the backlog is half
 * full. @kernel skb_flow_limit net/core/dev.c
 */
function skbFlowLimit(skb: SkBuff): boolean {
  const fl = thisSoftnetData(skb.machine).flowLimit;
  if (fl === null) return false;
  const { buckets, history } = fl;
  const newFlow = fl.logBuckets === 0 ? 0 : hash32(skbGetHash(skb), fl.logBuckets);
  const oldFlow = history[fl.historyHead] as number;
  history[fl.historyHead] = newFlow;
  fl.historyHead = (fl.historyHead + 1) & (FLOW_LIMIT_HISTORY - 1);
  const old = buckets[oldFlow] as number;
  if (old > 0) buckets[oldFlow] = old - 1;
  const seen = (buckets[newFlow] as number) + 1;
  buckets[newFlow] = seen;
  if (seen <= FLOW_LIMIT_HISTORY >> 1) return false;
  fl.count++;
  return true;
}

/** Has the backlog polled: here, or by telling its CPU at the end of this poll. @kernel napi_schedule_rps net/core/dev.c */
function napiScheduleRps(machine: Machine, sd: SoftnetData): void {
  const { backlog } = sd;
  if (backlog === null) throw new KernelBug('no-backlog', 'net_dev_init() has not run');
  if ((backlog.state & NAPIF_SCHED) !== 0) return;
  backlog.state |= NAPIF_SCHED;
  const mysd = thisSoftnetData(machine);
  if (sd === mysd) {
    ____napiSchedule(sd, backlog);
    return;
  }
  sd.rpsIpiNext = mysd.rpsIpiList;
  mysd.rpsIpiList = sd;
  if (!mysd.inNetRxAction) __raiseSoftirqIrqoff(machine, NET_RX_SOFTIRQ);
}

/**
 * Queues a packet for a CPU, or drops it when the queue is too long. `flow` is the entry of its flow,
 * if it has one. @kernel enqueue_to_backlog net/core/dev.c
 */
export function enqueueToBacklog(
  skb: SkBuff,
  cpu: number,
  flow: RpsDevFlowTable | null,
  slot: number,
): number {
  const globals = skb.machine.netGlobals;
  const dev = skb.dev as NetDevice;
  const sd = globals.softnetData[cpu] as SoftnetData;
  let reason = SKB_DROP_REASON_DEV_READY;
  if (netifRunning(dev)) {
    const queue = sd.inputPktQueue;
    const { qlen } = queue;
    const max = globals.netdevMaxBacklog;
    if (qlen <= max && (qlen < max >> 1 || !skbFlowLimit(skb))) {
      if (qlen === 0) napiScheduleRps(skb.machine, sd);
      __skbQueueTail(queue, skb);
      sd.inputQueueTail = (sd.inputQueueTail + 1) | 0;
      if (flow !== null) flow.lastQtail[slot] = sd.inputQueueTail;
      return NET_RX_SUCCESS;
    }
    reason = SKB_DROP_REASON_CPU_BACKLOG;
    sd.dropped++;
  }
  devCoreStatsRxDroppedInc(dev);
  kfreeSkb(skb, reason, 'enqueue_to_backlog');
  return NET_RX_DROP;
}

// Telling the other CPU.

/** The interrupt on the CPU whose backlog has got something. @kernel rps_trigger_softirq net/core/dev.c */
export function rpsTriggerSoftirq(_machine: Machine, data: unknown): void {
  const sd = data as SoftnetData;
  if (sd.backlog !== null) ____napiSchedule(sd, sd.backlog);
  sd.receivedRps++;
}

/** Tells every CPU that this one has given packets to. @kernel net_rps_action_and_irq_enable net/core/dev.c */
export function netRpsActionAndIrqEnable(machine: Machine, sd: SoftnetData): void {
  let remote = sd.rpsIpiList;
  sd.rpsIpiList = null;
  while (remote !== null) {
    const next: SoftnetData | null = remote.rpsIpiNext;
    remote.rpsIpiNext = null;
    if (remote.csd !== null) smpCallFunctionSingleAsync(machine, remote.cpu.id, remote.csd);
    remote = next;
  }
}
