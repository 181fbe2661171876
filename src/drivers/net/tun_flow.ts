/**
 * Which queue of a tun or tap device a flow belongs to. Counterpart of the flow table of
 * drivers/net/tun.c.
 *
 * The program decides, by the queue that it writes a flow's frames to, and the device answers on the
 * same one: so a program with a thread a queue finds both directions of a conversation in one thread.
 * The hash is the same for both directions. What nothing is known of is spread by its hash; what has not
 * been heard of for three seconds is forgotten.
 */

import type { Machine } from '#kernel/machine.ts';
import { HZ } from '#kernel/param.ts';
import { timeBefore, timeBeforeEq } from '#kernel/time/jiffies.ts';
import { modTimer, TimerList, timerDelete, timerPending } from '#kernel/time/timer.ts';

/** @kernel TUN_NUM_FLOW_ENTRIES drivers/net/tun.c */
const TUN_NUM_FLOW_ENTRIES = 1024;
const TUN_MASK_FLOW_ENTRIES: number = TUN_NUM_FLOW_ENTRIES - 1;
/** Flows that a device knows at most. @kernel MAX_TAP_FLOWS drivers/net/tun.c */
const MAX_TAP_FLOWS = 4096;
/** Jiffies. @kernel TUN_FLOW_EXPIRE drivers/net/tun.c */
const TUN_FLOW_EXPIRE: number = 3 * HZ;

/** @kernel tun_flow_entry drivers/net/tun.c */
class TunFlowEntry {
  next: TunFlowEntry | null;
  readonly rxhash: number;
  queueIndex: number;
  /** Jiffy of the last frame that the program wrote. */
  updated: number;

  constructor(next: TunFlowEntry | null, rxhash: number, queueIndex: number, updated: number) {
    this.next = next;
    this.rxhash = rxhash;
    this.queueIndex = queueIndex;
    this.updated = updated;
  }
}

/** Those fields of tun_struct that are about flows. @kernel tun_struct drivers/net/tun.c */
export class TunFlows {
  readonly machine: Machine;
  readonly buckets: (TunFlowEntry | null)[];
  count: number;
  readonly gcTimer: TimerList<TunFlows>;

  /** @kernel tun_flow_init drivers/net/tun.c */
  constructor(machine: Machine) {
    this.machine = machine;
    this.buckets = new Array<TunFlowEntry | null>(TUN_NUM_FLOW_ENTRIES).fill(null);
    this.count = 0;
    this.gcTimer = new TimerList<TunFlows>(machine, this, tunFlowCleanup);
  }
}

/** @kernel tun_flow_find drivers/net/tun.c */
function tunFlowFind(flows: TunFlows, rxhash: number): TunFlowEntry | null {
  let entry = flows.buckets[rxhash & TUN_MASK_FLOW_ENTRIES] as TunFlowEntry | null;
  while (entry !== null && entry.rxhash !== rxhash) entry = entry.next;
  return entry;
}

/** The queue of a flow; -1: not known. */
export function tunFlowQueue(flows: TunFlows, rxhash: number): number {
  const entry = tunFlowFind(flows, rxhash);
  return entry === null ? -1 : entry.queueIndex;
}

/** The program has written a frame of that flow to that queue. @kernel tun_flow_update drivers/net/tun.c */
export function tunFlowUpdate(flows: TunFlows, rxhash: number, queueIndex: number): void {
  const { jiffies } = flows.machine;
  const entry = tunFlowFind(flows, rxhash);
  if (entry !== null) {
    entry.queueIndex = queueIndex;
    entry.updated = jiffies;
    return;
  }
  if (flows.count < MAX_TAP_FLOWS) {
    const at = rxhash & TUN_MASK_FLOW_ENTRIES;
    const first = flows.buckets[at] as TunFlowEntry | null;
    flows.buckets[at] = new TunFlowEntry(first, rxhash, queueIndex, jiffies);
    flows.count++;
  }
  if (!timerPending(flows.gcTimer)) modTimer(flows.gcTimer, (jiffies + TUN_FLOW_EXPIRE) | 0);
}

/** Takes out the flows that `gone` says. */
function removeWhere(flows: TunFlows, gone: (entry: TunFlowEntry) => boolean): void {
  for (let at = 0; at < TUN_NUM_FLOW_ENTRIES; at++) {
    let prev: TunFlowEntry | null = null;
    let entry = flows.buckets[at] as TunFlowEntry | null;
    for (; entry !== null; entry = entry.next) {
      if (!gone(entry)) {
        prev = entry;
        continue;
      }
      flows.count--;
      if (prev === null) flows.buckets[at] = entry.next;
      else prev.next = entry.next;
    }
  }
}

/** Forgets the flows of a queue that is gone. @kernel tun_flow_delete_by_queue drivers/net/tun.c */
export function tunFlowDeleteByQueue(flows: TunFlows, queueIndex: number): void {
  removeWhere(flows, (entry) => entry.queueIndex === queueIndex);
}

/** Forgets what has been silent, and comes again when the next may have been. @kernel tun_flow_cleanup drivers/net/tun.c */
function tunFlowCleanup(flows: TunFlows): void {
  const { jiffies } = flows.machine;
  let next = (jiffies + TUN_FLOW_EXPIRE) | 0;
  removeWhere(flows, ({ updated }) => {
    const expires = (updated + TUN_FLOW_EXPIRE) | 0;
    if (timeBeforeEq(expires, jiffies)) return true;
    if (timeBefore(expires, next)) next = expires;
    return false;
  });
  if (flows.count > 0) modTimer(flows.gcTimer, next);
}

/** The device is gone. @kernel tun_flow_uninit drivers/net/tun.c */
export function tunFlowUninit(flows: TunFlows): void {
  timerDelete(flows.gcTimer);
  flows.buckets.fill(null);
  flows.count = 0;
}
