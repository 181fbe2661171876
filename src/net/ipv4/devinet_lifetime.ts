/**
 * Lifetimes of addresses: deprecating and deleting them in time.
 *
 * Counterpart of set_ifa_lifetime and check_lifetime of net/ipv4/devinet.c.
 */
import type { InIfaddr } from '#include/linux/inetdevice.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { HZ } from '#kernel/machine.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { timeBefore } from '#kernel/time/jiffies.ts';
import { cancelDelayedWorkSync, DelayedWork, scheduleDelayedWork } from '#kernel/workqueue.ts';
import { rtmsgIfa } from '#net/ipv4/devinet.ts';
import { IFA_F_DEPRECATED, IFA_F_PERMANENT, INFINITY_LIFE_TIME } from '#uapi/if_addr.ts';
import { RTM_NEWADDR } from '#uapi/rtnetlink.ts';

/** Jiffies between two looks when nothing is due sooner. @kernel ADDR_CHECK_FREQUENCY include/net/addrconf.h */
const ADDR_CHECK_FREQUENCY: number = 120 * HZ;
/** @kernel ADDRCONF_TIMER_FUZZ_MINUS include/net/addrconf.h */
const FUZZ_MINUS: number = HZ / 50;
/** @kernel ADDRCONF_TIMER_FUZZ_MAX include/net/addrconf.h */
const FUZZ_MAX: number = HZ;

/** Deletes an address whose time is over; devinet_addr.ts, which stands above, gives it. */
export type DeleteIfa = (ifa: InIfaddr) => void;

/** The work of one namespace. */
export class AddrCheck {
  readonly work: DelayedWork;
  readonly deleteIfa: DeleteIfa;

  constructor(net: Net, deleteIfa: DeleteIfa) {
    this.deleteIfa = deleteIfa;
    this.work = new DelayedWork(net.machine, () => checkLifetime(net));
  }
}

/** Jiffies of a lifetime in seconds, bounded so that comparing works. */
function lifetimeJiffies(seconds: number): number {
  return Math.min(seconds, Math.floor(0x7fffffff / HZ)) * HZ;
}

/** Seconds since the stamp, with a little slack so that no lifetime is missed by a tick. */
function ageOf(ifa: InIfaddr, now: number): number {
  return Math.floor((((now - ifa.ifaTstamp) | 0) + FUZZ_MINUS) / HZ);
}

/** Sets lifetimes in seconds; INFINITY_LIFE_TIME: for ever. @kernel set_ifa_lifetime net/ipv4/devinet.c */
export function setIfaLifetime(net: Net, ifa: InIfaddr, validLft: number, preferred: number): void {
  const now = net.machine.jiffies;
  let flags = ifa.ifaFlags & ~(IFA_F_PERMANENT | IFA_F_DEPRECATED);
  if (validLft !== INFINITY_LIFE_TIME) ifa.ifaValidLft = validLft;
  else flags |= IFA_F_PERMANENT;
  if (preferred !== INFINITY_LIFE_TIME) {
    if (preferred === 0) flags |= IFA_F_DEPRECATED;
    ifa.ifaPreferredLft = preferred;
  }
  ifa.ifaFlags = flags;
  ifa.ifaTstamp = now;
  if (ifa.ifaCstamp === 0) ifa.ifaCstamp = now;
}

/** Every address whose life ends. */
function finiteAddresses(net: Net): InIfaddr[] {
  const list: InIfaddr[] = [];
  for (const ifas of net.ipv4.inetAddrLst.values()) {
    for (const ifa of ifas) if ((ifa.ifaFlags & IFA_F_PERMANENT) === 0) list.push(ifa);
  }
  return list;
}

/** Handles one address; returns when it wants to be looked at again (jiffies), or null. */
function checkOne(ifa: InIfaddr, now: number, deleteIfa: DeleteIfa): number | null {
  const age = ageOf(ifa, now);
  if (ifa.ifaValidLft !== INFINITY_LIFE_TIME && age >= ifa.ifaValidLft) {
    deleteIfa(ifa);
    return null;
  }
  if (ifa.ifaPreferredLft === INFINITY_LIFE_TIME) return null;
  if (age < ifa.ifaPreferredLft) {
    return (ifa.ifaTstamp + lifetimeJiffies(ifa.ifaPreferredLft)) | 0;
  }
  if ((ifa.ifaFlags & IFA_F_DEPRECATED) === 0) {
    ifa.ifaFlags |= IFA_F_DEPRECATED;
    rtmsgIfa(RTM_NEWADDR, ifa, 0);
  }
  if (ifa.ifaValidLft === INFINITY_LIFE_TIME) return null;
  return (ifa.ifaTstamp + lifetimeJiffies(ifa.ifaValidLft)) | 0;
}

/**
 * @kernel check_lifetime net/ipv4/devinet.c
 * @deviation Linux looks every two minutes even when all addresses are permanent; here the work
 * only runs while one is not.
 */
function checkLifetime(net: Net): void {
  const check = net.ipv4.addrCheck;
  if (check === null) return;
  const { machine } = net;
  rtnlLock(machine);
  const now = machine.jiffies;
  let next = (now + ADDR_CHECK_FREQUENCY) | 0;
  for (const ifa of finiteAddresses(net)) {
    const due = checkOne(ifa, now, check.deleteIfa);
    if (due !== null && timeBefore(due, next)) next = due;
  }
  const left = finiteAddresses(net).length;
  rtnlUnlock(machine);
  if (left === 0) return;
  const wait = Math.max((next - now) | 0, FUZZ_MAX);
  scheduleDelayedWork(check.work, wait);
}

/** Addresses have changed: look at their lifetimes. */
export function addrCheckSoon(net: Net): void {
  const check = net.ipv4.addrCheck;
  if (check === null) return;
  cancelDelayedWorkSync(check.work);
  if (finiteAddresses(net).length > 0) scheduleDelayedWork(check.work, 0);
}

/** The namespace goes. */
export function addrCheckStop(net: Net): void {
  if (net.ipv4.addrCheck !== null) cancelDelayedWorkSync(net.ipv4.addrCheck.work);
  net.ipv4.addrCheck = null;
}
