/**
 * Busy polling: a reader that finds nothing looks at the device itself, instead of waiting for its
 * interrupt. Counterpart of the busy polling part of net/core/dev.c and of include/net/busy_poll.h.
 *
 * Linux looks for so many microseconds. Here no time passes inside a call, so the device cannot get
 * anything while it is being looked at: one poll that finds nothing is the end of it.
 */
import {
  NAPI_STATE_DISABLE,
  NAPI_STATE_IN_BUSY_POLL,
  NAPI_STATE_MISSED,
  NAPI_STATE_PREFER_BUSY_POLL,
  NAPI_STATE_SCHED,
  type NapiStruct,
} from '#include/linux/netdevice.ts';
import { BUSY_POLL_BUDGET } from '#include/net/busy_poll.ts';
import { netAddStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import type { Machine } from '#kernel/machine.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { __napiSchedule, napiStartWatchdog } from '#net/core/dev_napi.ts';
import { groFlushNormal, groNormalList } from '#net/core/gro.ts';
import { LINUX_MIB_BUSYPOLLRXPACKETS } from '#uapi/snmp.ts';

const NAPIF_SCHED: number = 1 << NAPI_STATE_SCHED;
const NAPIF_MISSED: number = 1 << NAPI_STATE_MISSED;
const NAPIF_DISABLE: number = 1 << NAPI_STATE_DISABLE;
const NAPIF_IN_BUSY_POLL: number = 1 << NAPI_STATE_IN_BUSY_POLL;
const NAPIF_PREFER_BUSY_POLL: number = 1 << NAPI_STATE_PREFER_BUSY_POLL;

function pollOnce(n: NapiStruct, budget: number): number {
  const work = n.poll(n, budget);
  if (tracepointKey.enabled) n.dev.net.machine.trace.napi.napiPoll.probe?.(n, work, budget);
  return work;
}

/**
 * Gives the instance back: one more poll, which completes it and lets the device interrupt again. Who
 * prefers busy polling has the interrupts held back, as long as the device's settings allow.
 * @kernel busy_poll_stop net/core/dev.c
 */
function busyPollStop(n: NapiStruct, prefer: boolean, budget: number): void {
  n.state &= ~(NAPIF_MISSED | NAPIF_IN_BUSY_POLL);
  let held = false;
  if (prefer) {
    n.deferHardIrqsCount = n.dev.napiDeferHardIrqs;
    held = n.deferHardIrqsCount > 0 && n.dev.groFlushTimeoutNs > 0;
    if (held) napiStartWatchdog(n, n.dev.groFlushTimeoutNs);
  }
  if (pollOnce(n, budget) !== budget) return;
  // It has more: the timer or the soft interrupt goes on.
  if (held) {
    groFlushNormal(n, true);
    n.state &= ~NAPIF_SCHED;
    return;
  }
  groNormalList(n);
  __napiSchedule(n);
}

/**
 * Polls an instance, in a task, until `done` says so or it has nothing more. Who polls it already, or
 * has it disabled, is left alone. @kernel napi_busy_loop net/core/dev.c
 */
export function napiBusyLoop<T>(
  machine: Machine,
  napiId: number,
  done: (arg: T) => boolean,
  arg: T,
  prefer: boolean,
  budget: number,
): void {
  const n = machine.netGlobals.napiHash.get(napiId);
  if (n === undefined) return;
  const { net } = n.dev;
  if ((n.state & (NAPIF_DISABLE | NAPIF_SCHED | NAPIF_IN_BUSY_POLL)) !== 0) {
    if (prefer) n.state |= NAPIF_PREFER_BUSY_POLL;
    return;
  }
  n.state |= NAPIF_IN_BUSY_POLL | NAPIF_SCHED;
  localBhDisable(machine);
  for (;;) {
    const work = pollOnce(n, budget);
    groFlushNormal(n, false);
    if (work > 0) netAddStats(net, LINUX_MIB_BUSYPOLLRXPACKETS, work);
    if (work === 0 || done(arg)) break;
  }
  busyPollStop(n, prefer, budget);
  localBhEnable(machine);
}

/** @kernel sk_can_busy_loop include/net/busy_poll.h */
export function skCanBusyLoop(sk: Sock): boolean {
  return sk.skLlUsec !== 0 && sk.skNapiId !== 0;
}

/** Something to read has come. @kernel sk_busy_loop_end net/core/sock.c */
function skBusyLoopEnd(sk: Sock): boolean {
  return sk.skReceiveQueue.next !== null;
}

/** Looks at the device by which the socket's packets come. @kernel sk_busy_loop include/net/busy_poll.h */
export function skBusyLoop(sk: Sock): void {
  const budget = sk.skBusyPollBudget === 0 ? BUSY_POLL_BUDGET : sk.skBusyPollBudget;
  const { machine } = sk.net;
  napiBusyLoop(machine, sk.skNapiId, skBusyLoopEnd, sk, sk.skPreferBusyPoll, budget);
}
