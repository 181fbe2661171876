/**
 * What the files under /sys/class/net/DEV/queues/rx-N hold: the map of CPUs and the table of flows of
 * a receive queue. Counterpart of those parts of net/core/net-sysfs.c; the files are in fs/sysfs/.
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { NetdevRxQueue } from '#include/net/netdev_rx_queue.ts';
import { RpsDevFlowTable, RpsMap } from '#include/net/rps.ts';
import { ilog2, roundupPowOfTwo } from '#lib/bitmap.ts';
import { EINVAL, ENOMEM } from '#uapi/errno.ts';

/** Most flows of a queue that a machine of ours has memory for: 96 MB. */
const RPS_FLOW_CNT_MAX: number = 1 << 24;

/** The CPUs of a queue's map. @kernel show_rps_map net/core/net-sysfs.c */
export function netdevRxQueueRpsMask(queue: NetdevRxQueue): Uint8Array {
  const mask = new Uint8Array(queue.dev.net.machine.cpus.length);
  for (const cpu of queue.rpsMap?.cpus ?? []) mask[cpu] = 1;
  return mask;
}

/** Spreads a queue's packets over these CPUs; none: no more. @kernel netdev_rx_queue_set_rps_mask net/core/net-sysfs.c */
export function netdevRxQueueSetRpsMask(queue: NetdevRxQueue, mask: Uint8Array): void {
  const { cpus, netGlobals } = queue.dev.net.machine;
  const chosen = cpus.filter(({ id }) => (mask[id] ?? 0) !== 0).map(({ id }) => id);
  if (queue.rpsMap !== null) netGlobals.rpsNeeded--;
  queue.rpsMap = chosen.length === 0 ? null : new RpsMap(chosen);
  if (queue.rpsMap !== null) netGlobals.rpsNeeded++;
}

/** Entries of a queue's table; 0: none. @kernel show_rps_dev_flow_table_cnt net/core/net-sysfs.c */
export function netdevRxQueueFlowCnt(queue: NetdevRxQueue): number {
  return queue.rpsFlowTable?.cpu.length ?? 0;
}

/**
 * Makes a queue's table of flows, of at least `count` entries; 0 takes it away. 0, -EINVAL or -ENOMEM.
 * @kernel store_rps_dev_flow_table_cnt net/core/net-sysfs.c
 */
export function netdevRxQueueSetFlowCnt(queue: NetdevRxQueue, count: number): number {
  if (!Number.isInteger(count) || count < 0 || count > 0x80000000) return -EINVAL;
  if (count > RPS_FLOW_CNT_MAX) return -ENOMEM;
  queue.rpsFlowTable = count === 0 ? null : new RpsDevFlowTable(ilog2(roundupPowOfTwo(count)));
  return 0;
}

/** A device appears: its queues start with the namespace's mask. @kernel rx_queue_default_mask net/core/net-sysfs.c */
export function rxQueuesAdd(dev: NetDevice): void {
  const mask = dev.net.rpsDefaultMask;
  if (mask === null || !mask.includes(1)) return;
  for (const queue of dev.rx) netdevRxQueueSetRpsMask(queue, mask);
}

/** A device goes: nothing is steered for it any more. @kernel rx_queue_release net/core/net-sysfs.c */
export function rxQueuesRelease(dev: NetDevice): void {
  for (const queue of dev.rx) {
    if (queue.rpsMap !== null) dev.net.machine.netGlobals.rpsNeeded--;
    queue.rpsMap = null;
    queue.rpsFlowTable = null;
  }
}
