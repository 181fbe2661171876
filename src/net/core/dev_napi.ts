/**
 * Polling of devices: the NAPI state machine and the NET_RX soft interrupt. Counterpart of those
 * parts of net/core/dev.c.
 *
 *   IDLE -- napi_schedule: SCHED set, put on the CPU's poll list --> SCHEDULED
 *   SCHEDULED -- net_rx_action calls poll(budget) --> POLLING
 *   POLLING -- work < weight: napi_complete_done --> IDLE (SCHEDULED again if MISSED)
 *   POLLING -- work == weight --> SCHEDULED, behind the others
 *
 * Whoever sets SCHED owns the instance; interrupts that arrive meanwhile only set MISSED.
 */

import { NapiThread } from '#include/linux/napi_thread.ts';
import {
  NAPI_POLL_WEIGHT,
  NAPI_STATE_DISABLE,
  NAPI_STATE_IN_BUSY_POLL,
  NAPI_STATE_LISTED,
  NAPI_STATE_MISSED,
  NAPI_STATE_NPSVC,
  NAPI_STATE_PREFER_BUSY_POLL,
  NAPI_STATE_SCHED,
  NAPI_STATE_SCHED_THREADED,
  NAPI_STATE_THREADED,
  NapiStruct,
  type NetDevice,
} from '#include/linux/netdevice.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import type { Machine } from '#kernel/machine.ts';
import { chargeIrq, cpuClock } from '#kernel/sched/cpu_cost.ts';
import { createTask, exitTask, wakeTask } from '#kernel/sched/task.ts';
import {
  localBhDisable,
  localBhEnable,
  NET_RX_SOFTIRQ,
  raiseSoftirqIrqoff,
} from '#kernel/softirq.ts';
import { HRTIMER_NORESTART, Hrtimer, hrtimerCancel, hrtimerStart } from '#kernel/time/hrtimer.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import {
  ____napiSchedule,
  napiListAddTail,
  napiListDel,
  napiListSpliceTail,
  thisSoftnetData,
} from '#net/core/dev_napi_list.ts';
import { netRpsActionAndIrqEnable } from '#net/core/dev_rps.ts';
import { groFlushNormal, groNormalList, groPurge, napiGroFlush } from '#net/core/gro.ts';
import { EOPNOTSUPP } from '#uapi/errno.ts';

const NAPIF_SCHED: number = 1 << NAPI_STATE_SCHED;
const NAPIF_MISSED: number = 1 << NAPI_STATE_MISSED;
const NAPIF_DISABLE: number = 1 << NAPI_STATE_DISABLE;
const NAPIF_NPSVC: number = 1 << NAPI_STATE_NPSVC;
const NAPIF_IN_BUSY_POLL: number = 1 << NAPI_STATE_IN_BUSY_POLL;
const NAPIF_THREADED: number = 1 << NAPI_STATE_THREADED;
const NAPIF_SCHED_THREADED: number = 1 << NAPI_STATE_SCHED_THREADED;
const NAPIF_PREFER_BUSY_POLL: number = 1 << NAPI_STATE_PREFER_BUSY_POLL;

/** What completion takes off. */
const NAPIF_DONE: number =
  NAPIF_MISSED | NAPIF_SCHED | NAPIF_SCHED_THREADED | NAPIF_PREFER_BUSY_POLL;

/** @kernel napi_disable_pending include/linux/netdevice.h */
export function napiDisablePending(n: NapiStruct): boolean {
  return (n.state & NAPIF_DISABLE) !== 0;
}

/** @kernel napi_is_scheduled include/linux/netdevice.h */
export function napiIsScheduled(n: NapiStruct): boolean {
  return (n.state & NAPIF_SCHED) !== 0;
}

/** Takes the instance; false when it is taken (it will be polled once more) or disabled. @kernel napi_schedule_prep net/core/dev.c */
export function napiSchedulePrep(n: NapiStruct): boolean {
  const val = n.state;
  if ((val & NAPIF_DISABLE) !== 0) return false;
  n.state = val | NAPIF_SCHED | ((val & NAPIF_SCHED) !== 0 ? NAPIF_MISSED : 0);
  return (val & NAPIF_SCHED) === 0;
}

/** Puts an instance that the caller has taken on this CPU's list. @kernel __napi_schedule net/core/dev.c */
export function __napiSchedule(n: NapiStruct): void {
  const { machine } = n.dev.net;
  if (DEBUG && n.pollList !== null) {
    throw new KernelBug(
      'napi-double-schedule',
      `NAPI ${n.napiId} of ${n.dev.name} is on a poll list already; ask napi_schedule_prep() first`,
    );
  }
  ____napiSchedule(thisSoftnetData(machine), n);
}

/** With interrupts known to be off. @kernel __napi_schedule_irqoff net/core/dev.c */
export function __napiScheduleIrqoff(n: NapiStruct): void {
  __napiSchedule(n);
}

/** Has the device polled; true: it was not scheduled before. @kernel napi_schedule include/linux/netdevice.h */
export function napiSchedule(n: NapiStruct): boolean {
  if (!napiSchedulePrep(n)) return false;
  __napiSchedule(n);
  return true;
}

/**
 * The driver has no more packets and gives the instance back. False: packets came meanwhile and it
 * has been scheduled again, so interrupts must stay off.
 * @kernel napi_complete_done net/core/dev.c
 */
export function napiCompleteDone(n: NapiStruct, workDone: number): boolean {
  if ((n.state & (NAPIF_NPSVC | NAPIF_IN_BUSY_POLL)) !== 0) return false;
  let timeoutNs = 0;
  let ret = true;
  if (workDone > 0) {
    if (n.groBitmask !== 0) timeoutNs = n.dev.groFlushTimeoutNs;
    n.deferHardIrqsCount = n.dev.napiDeferHardIrqs;
  }
  if (n.deferHardIrqsCount > 0) {
    n.deferHardIrqsCount--;
    timeoutNs = n.dev.groFlushTimeoutNs;
    if (timeoutNs !== 0) ret = false;
  }
  groFlushNormal(n, timeoutNs !== 0);
  if (n.pollList !== null) napiListDel(n);
  n.listOwner = -1;
  const val = n.state;
  if (DEBUG && (val & NAPIF_SCHED) === 0) {
    throw new KernelBug('napi-complete-idle', `NAPI ${n.napiId} of ${n.dev.name} is not scheduled`);
  }
  n.state = val & ~NAPIF_DONE;
  if ((val & NAPIF_MISSED) !== 0) {
    n.state |= NAPIF_SCHED;
    __napiSchedule(n);
    return false;
  }
  if (timeoutNs !== 0) napiStartWatchdog(n, timeoutNs);
  return ret;
}

/** @kernel napi_complete include/linux/netdevice.h */
export function napiComplete(n: NapiStruct): boolean {
  return napiCompleteDone(n, 0);
}

/** Has the instance polled when the time is over, whether the device interrupts or not. */
export function napiStartWatchdog(n: NapiStruct, timeoutNs: number): void {
  const { machine } = n.dev.net;
  n.timer ??= new Hrtimer(machine, n, napiWatchdog);
  hrtimerStart(n.timer, machine.nowNs + timeoutNs);
}

/** Polls a device whose interrupts were held back. @kernel napi_watchdog net/core/dev.c */
function napiWatchdog(n: NapiStruct): number {
  if (!napiDisablePending(n) && (n.state & NAPIF_SCHED) === 0) {
    n.state = (n.state | NAPIF_SCHED) & ~NAPIF_PREFER_BUSY_POLL;
    __napiSchedule(n);
  }
  return HRTIMER_NORESTART;
}

/**
 * Adds a polling instance to a device, disabled until napiEnable().
 * @kernel netif_napi_add_weight net/core/dev.c
 */
export function netifNapiAdd(
  dev: NetDevice,
  poll: (napi: NapiStruct, budget: number) => number,
  weight: number = NAPI_POLL_WEIGHT,
): NapiStruct {
  const globals = dev.net.machine.netGlobals;
  const n = new NapiStruct(dev, poll, weight, globals.napiIdNext++);
  n.state |= 1 << NAPI_STATE_LISTED;
  dev.napiList.push(n);
  globals.napiHash.set(n.napiId, n);
  if (dev.threaded) napiKthreadCreate(n);
  return n;
}

/** Takes a disabled instance from its device. @kernel __netif_napi_del net/core/dev.c */
export function netifNapiDel(n: NapiStruct): void {
  if ((n.state & (1 << NAPI_STATE_LISTED)) === 0) return;
  n.state &= ~(1 << NAPI_STATE_LISTED);
  const at = n.dev.napiList.indexOf(n);
  if (at >= 0) n.dev.napiList.splice(at, 1);
  n.dev.net.machine.netGlobals.napiHash.delete(n.napiId);
  napiListDel(n);
  napiStopKthread(n);
  groPurge(n);
}

/** Allows polling. @kernel napi_enable net/core/dev.c */
export function napiEnable(n: NapiStruct): void {
  if ((n.state & NAPIF_SCHED) === 0) {
    throw new KernelBug('napi-enable-twice', `NAPI ${n.napiId} of ${n.dev.name} is enabled`);
  }
  n.state &= ~(NAPIF_SCHED | NAPIF_NPSVC);
  if (n.dev.threaded && n.thread !== null) n.state |= NAPIF_THREADED;
}

/**
 * Forbids polling. Where Linux sleeps until a scheduled poll has run, it is run here.
 * @kernel napi_disable net/core/dev.c
 */
export function napiDisable(n: NapiStruct): void {
  const { machine } = n.dev.net;
  n.state |= NAPIF_DISABLE;
  while ((n.state & NAPIF_SCHED) !== 0) {
    const waits = n.pollList !== null || (n.state & NAPIF_SCHED_THREADED) !== 0;
    if (!waits || (n.state & NAPIF_NPSVC) !== 0) {
      throw new KernelBug('napi-disable-deadlock', `NAPI ${n.napiId} of ${n.dev.name}`);
    }
    localBhDisable(machine);
    napiListDel(n);
    __napiPoll(n);
    localBhEnable(machine);
  }
  n.state |= NAPIF_SCHED | NAPIF_NPSVC;
  n.state &= ~NAPIF_THREADED;
  if (n.timer !== null) hrtimerCancel(n.timer);
  n.state &= ~NAPIF_DISABLE;
}

/** Polls once; the instance is on no list. True in `repoll`: it wants to be polled again. */
function __napiPoll(n: NapiStruct): number {
  const weight = n.weight;
  const { machine } = n.dev.net;
  let work = 0;
  if ((n.state & NAPIF_SCHED) !== 0) {
    const { costs, netGlobals } = machine;
    const steered = netGlobals.rpsSteered;
    work = n.poll(n, weight);
    // What went on to a backlog is carried up the stack, and paid for, where that is polled.
    if (costs !== null) {
      chargeIrq(machine, Math.max(0, work - (netGlobals.rpsSteered - steered)) * costs.packetNs);
    }
    if (tracepointKey.enabled) machine.trace.napi.napiPoll.probe?.(n, work, weight);
  }
  if (DEBUG) checkPollResult(n, work, weight);
  if (work < weight) return work;
  if (napiDisablePending(n)) {
    napiComplete(n);
    return work;
  }
  // Packets are not held for longer than a tick while the device is busy.
  if (n.groBitmask !== 0) napiGroFlush(n, true);
  groNormalList(n);
  // A thread looks for itself whether it is to go on.
  if (n.pollList === null && (n.state & NAPIF_SCHED_THREADED) === 0) {
    napiListAddTail(thisSoftnetData(machine).repollList, n);
  }
  return work;
}

function checkPollResult(n: NapiStruct, work: number, weight: number): void {
  const who = `NAPI ${n.napiId} of ${n.dev.name}`;
  if (work > weight) {
    throw new KernelBug('napi-budget', `${who} took ${work} packets, its budget is ${weight}`);
  }
  const waits = n.pollList !== null || n.thread?.queued === true;
  const kept = (n.state & NAPIF_SCHED) !== 0 && !waits;
  if (work < weight && kept && (n.state & (NAPIF_NPSVC | NAPIF_DISABLE)) === 0) {
    throw new KernelBug('napi-not-completed', `${who} returned ${work} without napi_complete_done`);
  }
}

/**
 * The NET_RX soft interrupt: polls devices until all are done, the budget is used up or the time is
 * over (then `time_squeeze` counts, and the soft interrupt is raised again).
 * @kernel net_rx_action net/core/dev.c
 */
export function netRxAction(machine: Machine): void {
  const globals = machine.netGlobals;
  const sd = thisSoftnetData(machine);
  const endNs = cpuClock(machine) + globals.netdevBudgetUsecs * 1000;
  const list = sd.activeList;
  const repoll = sd.repollList;
  let budget = globals.netdevBudget;
  sd.inNetRxAction = true;
  napiListSpliceTail(sd.pollList, list);
  for (;;) {
    const n = list.first;
    if (n === null) {
      if (repoll.first !== null) break;
      // What was scheduled meanwhile raised no soft interrupt: look before leaving.
      if (sd.pollList.first === null) break;
      napiListSpliceTail(sd.pollList, list);
      continue;
    }
    napiListDel(n);
    budget -= __napiPoll(n);
    if (budget <= 0 || cpuClock(machine) >= endNs) {
      sd.timeSqueeze++;
      break;
    }
  }
  napiListSpliceTail(sd.pollList, list);
  napiListSpliceTail(repoll, list);
  napiListSpliceTail(list, sd.pollList);
  sd.inNetRxAction = false;
  if (sd.rpsIpiList !== null) netRpsActionAndIrqEnable(machine, sd);
  if (sd.pollList.first !== null) raiseSoftirqIrqoff(machine, NET_RX_SOFTIRQ);
}

// Threads in place of the soft interrupt.

/**
 * One turn of an instance's thread, on the CPU that the thread may use: one poll. As long as there is
 * more it has itself woken again, so that everything else has its turn too.
 * @kernel napi_threaded_poll net/core/dev.c
 * @kernel napi_threaded_poll_loop net/core/dev.c
 */
function napiThreadedPoll(n: NapiStruct, thread: NapiThread): void {
  if ((n.state & NAPIF_SCHED_THREADED) === 0) return;
  const { machine } = n.dev.net;
  const interrupted = machine.cpu;
  machine.cpu = thread.task.cpu;
  const sd = thisSoftnetData(machine);
  localBhDisable(machine);
  __napiPoll(n);
  if (sd.rpsIpiList !== null) netRpsActionAndIrqEnable(machine, sd);
  localBhEnable(machine);
  machine.cpu = interrupted;
  if ((n.state & NAPIF_SCHED_THREADED) !== 0) wakeTask(machine, thread);
  else if ((n.state & NAPIF_THREADED) === 0) napiStopKthread(n);
}

/** @kernel napi_kthread_create net/core/dev.c */
function napiKthreadCreate(n: NapiStruct): void {
  const { machine } = n.dev.net;
  const task = createTask(machine, `napi/${n.dev.name}-${n.napiId}`, machine.initNet);
  n.thread = new NapiThread(task, (thread) => napiThreadedPoll(n, thread));
}

/** @kernel napi_stop_kthread net/core/dev.c */
function napiStopKthread(n: NapiStruct): void {
  if (n.thread === null) return;
  exitTask(n.thread.task, 0);
  n.thread = null;
}

/**
 * Has the device's instances polled by threads, or by the soft interrupt again; what is being polled
 * changes when it is scheduled next. 0, or -EOPNOTSUPP for a device that does not poll.
 * @kernel netif_set_threaded net/core/dev.c
 */
export function devSetThreaded(dev: NetDevice, threaded: boolean): number {
  if (dev.napiList.length === 0) return -EOPNOTSUPP;
  if (dev.threaded === threaded) return 0;
  dev.threaded = threaded;
  for (const n of dev.napiList) {
    if (threaded) {
      if (n.thread === null) napiKthreadCreate(n);
      n.state |= NAPIF_THREADED;
      continue;
    }
    n.state &= ~NAPIF_THREADED;
    if ((n.state & NAPIF_SCHED_THREADED) === 0) napiStopKthread(n);
  }
  return 0;
}
