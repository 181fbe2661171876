/**
 * Carrier changes: drivers report them from any context, a work item tells the stack, at most once
 * a second unless it is urgent (the link came up and packets may flow). Also the operational state
 * of RFC 2863. Counterpart of net/core/link_watch.c, with netif_carrier_on() and its relatives,
 * which stand in net/sched/sch_generic.c but are what drivers call.
 *
 * @rfc 2863#3.1.14
 */
import {
  __LINK_STATE_DORMANT,
  __LINK_STATE_LINKWATCH_PENDING,
  __LINK_STATE_NOCARRIER,
  NETREG_UNINITIALIZED,
  type NetDevice,
  netifCarrierOk,
  netifDevicePresent,
  netifDormant,
  netifRunning,
} from '#include/linux/netdevice.ts';
import { netdevHold, netdevPut } from '#include/linux/netdevice_ref.ts';
import type { Machine } from '#kernel/machine.ts';
import { HZ } from '#kernel/machine.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { timeAfter } from '#kernel/time/jiffies.ts';
import {
  cancelDelayedWorkSync,
  DelayedWork,
  modDelayedWork,
  scheduleDelayedWork,
} from '#kernel/workqueue.ts';
import { netdevStateChange } from '#net/core/dev.ts';
import {
  IF_LINK_MODE_DORMANT,
  IF_OPER_DORMANT,
  IF_OPER_DOWN,
  IF_OPER_LOWERLAYERDOWN,
  IF_OPER_UP,
  IFF_UP,
} from '#uapi/if.ts';

/** Devices handled in one run. */
const MAX_DO_DEV_PER_LOOP = 100;

/** @kernel default_operstate net/core/link_watch.c */
function defaultOperstate(dev: NetDevice): number {
  if (!netifCarrierOk(dev)) {
    return dev.ifindex !== devGetIflink(dev) ? IF_OPER_LOWERLAYERDOWN : IF_OPER_DOWN;
  }
  return netifDormant(dev) ? IF_OPER_DORMANT : IF_OPER_UP;
}

/** @kernel rfc2863_policy net/core/link_watch.c */
function rfc2863Policy(dev: NetDevice): void {
  let operstate = defaultOperstate(dev);
  if (operstate === IF_OPER_UP && dev.linkMode === IF_LINK_MODE_DORMANT) {
    operstate = IF_OPER_DORMANT;
  }
  dev.operstate = operstate;
}

/** Index of the device below, or its own. @kernel dev_get_iflink net/core/dev.c */
export function devGetIflink(dev: NetDevice): number {
  const get = dev.netdevOps.ndoGetIflink;
  return get === null ? dev.ifindex : get(dev);
}

/** @kernel linkwatch_init_dev net/core/link_watch.c */
export function linkwatchInitDev(dev: NetDevice): void {
  if (!netifCarrierOk(dev) || netifDormant(dev)) rfc2863Policy(dev);
}

/** @kernel linkwatch_urgent_event net/core/link_watch.c */
function urgentEvent(dev: NetDevice): boolean {
  if (!netifRunning(dev)) return false;
  if (dev.ifindex !== devGetIflink(dev)) return true;
  return netifCarrierOk(dev) && dev.tx.some((txq) => txq.qdisc !== txq.qdiscSleeping);
}

function schedule(machine: Machine, urgent: boolean): void {
  const globals = machine.netGlobals;
  globals.linkwatchWork ??= new DelayedWork(machine, () => linkwatchEvent(machine));
  const until = (globals.linkwatchNextevent - machine.jiffies) | 0;
  // A wrapped clock must not silence the links for weeks.
  const delay = until > HZ || until < 0 ? 0 : until;
  if (urgent || delay === 0) modDelayedWork(globals.linkwatchWork, 0);
  else scheduleDelayedWork(globals.linkwatchWork, delay);
}

/** @kernel linkwatch_event net/core/link_watch.c */
function linkwatchEvent(machine: Machine): void {
  rtnlLock(machine);
  const globals = machine.netGlobals;
  runQueue(machine, timeAfter(globals.linkwatchNextevent, machine.jiffies));
  rtnlUnlock(machine);
}

/** @kernel __linkwatch_run_queue net/core/link_watch.c */
function runQueue(machine: Machine, urgentOnly: boolean): void {
  const globals = machine.netGlobals;
  let left = MAX_DO_DEV_PER_LOOP;
  if (!urgentOnly) globals.linkwatchNextevent = (machine.jiffies + HZ) | 0;
  else if (timeAfter(globals.linkwatchNextevent, (machine.jiffies + HZ) | 0)) {
    globals.linkwatchNextevent = machine.jiffies;
  }
  const list = globals.lweventlist;
  globals.lweventlist = [];
  for (const dev of list) {
    if (left <= 0 || !netifDevicePresent(dev) || (urgentOnly && !urgentEvent(dev))) {
      globals.lweventlist.push(dev);
      continue;
    }
    linkwatchDoDev(dev);
    left--;
  }
  if (globals.lweventlist.length > 0) schedule(machine, false);
}

/** @kernel linkwatch_do_dev net/core/link_watch.c */
function linkwatchDoDev(dev: NetDevice): void {
  dev.state &= ~(1 << __LINK_STATE_LINKWATCH_PENDING);
  rfc2863Policy(dev);
  if ((dev.flags & IFF_UP) !== 0) {
    const ops = dev.net.machine.netGlobals.schedOps;
    if (netifCarrierOk(dev)) ops?.devActivate(dev);
    else ops?.devDeactivate(dev);
    netdevStateChange(dev);
  }
  netdevPut(dev, 'linkwatch');
}

/** Handles at once what is pending for a device. @kernel linkwatch_sync_dev net/core/link_watch.c */
export function linkwatchSyncDev(dev: NetDevice): void {
  const globals = dev.net.machine.netGlobals;
  const list = globals.lweventlist;
  const at = list.indexOf(dev);
  if (at < 0) return;
  list.splice(at, 1);
  // With nothing left to tell, the clock need not be watched.
  if (list.length === 0 && globals.linkwatchWork !== null) {
    cancelDelayedWorkSync(globals.linkwatchWork);
  }
  linkwatchDoDev(dev);
}

/** @kernel linkwatch_fire_event net/core/link_watch.c */
export function linkwatchFireEvent(dev: NetDevice): void {
  const { machine } = dev.net;
  const urgent = urgentEvent(dev);
  const bit = 1 << __LINK_STATE_LINKWATCH_PENDING;
  if ((dev.state & bit) === 0) {
    dev.state |= bit;
    netdevHold(dev, 'linkwatch');
    machine.netGlobals.lweventlist.push(dev);
  } else if (!urgent) {
    return;
  }
  schedule(machine, urgent);
}

/** The link is up. @kernel netif_carrier_on net/sched/sch_generic.c */
export function netifCarrierOn(dev: NetDevice): void {
  if (netifCarrierOk(dev)) return;
  dev.state &= ~(1 << __LINK_STATE_NOCARRIER);
  if (dev.regState === NETREG_UNINITIALIZED) return;
  dev.carrierUpCount++;
  linkwatchFireEvent(dev);
  if (netifRunning(dev)) dev.net.machine.netGlobals.schedOps?.netdevWatchdogUp(dev);
}

/** The link is down. @kernel netif_carrier_off net/sched/sch_generic.c */
export function netifCarrierOff(dev: NetDevice): void {
  if (!netifCarrierOk(dev)) return;
  dev.state |= 1 << __LINK_STATE_NOCARRIER;
  if (dev.regState === NETREG_UNINITIALIZED) return;
  dev.carrierDownCount++;
  linkwatchFireEvent(dev);
}

/** The link is up, but waits for something above it. @kernel netif_dormant_on include/linux/netdevice.h */
export function netifDormantOn(dev: NetDevice): void {
  if (netifDormant(dev)) return;
  dev.state |= 1 << __LINK_STATE_DORMANT;
  linkwatchFireEvent(dev);
}

/** @kernel netif_dormant_off include/linux/netdevice.h */
export function netifDormantOff(dev: NetDevice): void {
  if (!netifDormant(dev)) return;
  dev.state &= ~(1 << __LINK_STATE_DORMANT);
  linkwatchFireEvent(dev);
}
