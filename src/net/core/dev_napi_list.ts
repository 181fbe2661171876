/** Lists of polling instances, one of each kind for every CPU. Counterpart of a part of net/core/dev.c. */
import {
  NAPI_STATE_SCHED_THREADED,
  NAPI_STATE_THREADED,
  type NapiList,
  type NapiStruct,
  type SoftnetData,
} from '#include/linux/netdevice.ts';
import type { Machine } from '#kernel/machine.ts';
import { wakeTask } from '#kernel/sched/task.ts';
import { NET_RX_SOFTIRQ, raiseSoftirqIrqoff } from '#kernel/softirq.ts';

const NAPIF_THREADED: number = 1 << NAPI_STATE_THREADED;
const NAPIF_SCHED_THREADED: number = 1 << NAPI_STATE_SCHED_THREADED;

/** The packet-path state of the CPU that runs: this_cpu_ptr(&softnet_data). */
export function thisSoftnetData(machine: Machine): SoftnetData {
  return machine.netGlobals.softnetData[machine.cpu.id] as SoftnetData;
}

export function napiListAddTail(list: NapiList, n: NapiStruct): void {
  n.pollNext = null;
  n.pollPrev = list.last;
  if (list.last === null) list.first = n;
  else list.last.pollNext = n;
  list.last = n;
  n.pollList = list;
}

export function napiListDel(n: NapiStruct): void {
  const list = n.pollList;
  if (list === null) return;
  if (n.pollPrev === null) list.first = n.pollNext;
  else n.pollPrev.pollNext = n.pollNext;
  if (n.pollNext === null) list.last = n.pollPrev;
  else n.pollNext.pollPrev = n.pollPrev;
  n.pollNext = null;
  n.pollPrev = null;
  n.pollList = null;
}

/** Moves all of `from` to the end of `to`. */
export function napiListSpliceTail(from: NapiList, to: NapiList): void {
  for (let n = from.first; n !== null; n = from.first) {
    napiListDel(n);
    napiListAddTail(to, n);
  }
}

/**
 * Puts an instance that the caller has taken on the list of the CPU that runs, or wakes its thread.
 * @kernel ____napi_schedule net/core/dev.c
 */
export function ____napiSchedule(sd: SoftnetData, n: NapiStruct): void {
  if ((n.state & NAPIF_THREADED) !== 0 && n.thread !== null) {
    n.state |= NAPIF_SCHED_THREADED;
    wakeTask(sd.cpu.machine, n.thread);
    return;
  }
  napiListAddTail(sd.pollList, n);
  n.listOwner = sd.cpu.id;
  // The running net_rx_action looks at the list again before it returns.
  if (!sd.inNetRxAction) raiseSoftirqIrqoff(sd.cpu.machine, NET_RX_SOFTIRQ);
}
