/**
 * Neighbour tables: who is reachable on a link, under which link-layer address.
 *
 * Counterpart of net/core/neighbour.c: the hash table, lookup and creation, garbage collection and
 * what happens when a device goes. The states of an entry are in neighbour_nud.ts.
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import { netdevHold } from '#include/linux/netdevice_ref.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  NEIGH_UPDATE_F_OVERRIDE,
  NEIGH_VAR_BASE_REACHABLE_TIME,
  NEIGH_VAR_GC_STALETIME,
  NEIGH_VAR_INTERVAL_PROBE_TIME_MS,
  Neighbour,
  type NeighOps,
  type NeighParms,
  NeighTable,
  type NeighTableOps,
  NTF_MANAGED,
  neighHold,
  neighVar,
} from '#include/net/neighbour.ts';
import type { Machine } from '#kernel/machine.ts';
import { HZ } from '#kernel/machine.ts';
import { timeAfter, timeBefore, timeBeforeEq } from '#kernel/time/jiffies.ts';
import { modTimer, TimerList, timerDelete, timerPending } from '#kernel/time/timer.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import {
  neighCleanupAndRelease,
  neighDelTimer,
  neighGcListAdd,
  neighMarkDead,
  neighPurgeQueue,
  neighRelease,
} from '#net/core/neighbour_destroy.ts';
import { neighEventSendProbe, neighTimerHandler, neighUpdate } from '#net/core/neighbour_nud.ts';
import { neighParmsInit } from '#net/core/neighbour_parms.ts';
import { pneighIfdown, pneighQueuePurge, pneighTableInit } from '#net/core/neighbour_proxy.ts';
import { kfreeSkb } from '#net/core/skbuff.ts';
import { EINVAL, ENETDOWN, ENOBUFS } from '#uapi/errno.ts';
import { IFF_LOOPBACK } from '#uapi/if.ts';
import {
  NTF_EXT_LEARNED,
  NUD_FAILED,
  NUD_IN_TIMER,
  NUD_NOARP,
  NUD_NONE,
  NUD_PERMANENT,
  NUD_STALE,
  NUD_VALID,
} from '#uapi/neighbour.ts';
import { SKB_DROP_REASON_NEIGH_DEAD } from '#uapi/net_dropreason.ts';

/** Logarithm of the first size of the hash table. */
const HASH_SHIFT_MIN = 3;
/** An entry younger than this many jiffies is spared by forced garbage collection. */
const FORCED_GC_SPARE: number = 5 * HZ;

/** Output of an entry that is gone. @kernel neigh_blackhole net/core/neighbour.c */
function neighBlackhole(_neigh: Neighbour, skb: SkBuff): number {
  kfreeSkb(skb, SKB_DROP_REASON_NEIGH_DEAD, 'neigh_blackhole');
  return -ENETDOWN;
}

/** Operations of an entry until its family's constructor has run. */
const NEIGH_NO_OPS: NeighOps = {
  family: 0,
  solicit: null,
  errorReport: null,
  output: neighBlackhole,
  connectedOutput: neighBlackhole,
};

function bucketOf(tbl: NeighTable, key: number, dev: NetDevice): number {
  return tbl.ops.hash(key, dev, tbl.hashRnd) >>> (32 - tbl.hashShift);
}

function hashAlloc(tbl: NeighTable, shift: number): void {
  tbl.hashShift = shift;
  tbl.hashRnd = tbl.machine.random.u32() | 1;
  tbl.buckets = new Array<Neighbour | null>(1 << shift).fill(null);
}

/** Doubles the table, with a new key of the hash. @kernel neigh_hash_grow net/core/neighbour.c */
function neighHashGrow(tbl: NeighTable, shift: number): void {
  tbl.stats.hashGrows++;
  const old = tbl.buckets;
  hashAlloc(tbl, shift);
  for (let n of old) {
    while (n !== null) {
      const next: Neighbour | null = n.next;
      const bucket = bucketOf(tbl, n.key, n.dev);
      n.next = tbl.buckets[bucket] ?? null;
      tbl.buckets[bucket] = n;
      n = next;
    }
  }
}

function hashDel(tbl: NeighTable, neigh: Neighbour): void {
  const bucket = bucketOf(tbl, neigh.key, neigh.dev);
  let n = tbl.buckets[bucket] ?? null;
  if (n === neigh) {
    tbl.buckets[bucket] = neigh.next;
  } else {
    while (n !== null && n.next !== neigh) n = n.next;
    if (n !== null) n.next = neigh.next;
  }
  neigh.next = null;
}

/** The entry, without a reference for the caller. @kernel __neigh_lookup_noref include/net/neighbour.h */
export function __neighLookupNoref(tbl: NeighTable, key: number, dev: NetDevice): Neighbour | null {
  const mapped = tbl.ops.mapKey(key, dev);
  let n = tbl.buckets[bucketOf(tbl, mapped, dev)] as Neighbour | null;
  while (n !== null) {
    if (n.key === mapped && n.dev === dev) return n;
    n = n.next;
  }
  return null;
}

/** The entry with a reference, or null. @kernel neigh_lookup net/core/neighbour.c */
export function neighLookup(tbl: NeighTable, key: number, dev: NetDevice): Neighbour | null {
  tbl.stats.lookups++;
  const n = __neighLookupNoref(tbl, key, dev);
  if (n !== null) {
    neighHold(n);
    tbl.stats.hits++;
  }
  return n;
}

/** Takes an entry that only the table refers to out of it. @kernel neigh_remove_one net/core/neighbour.c */
export function neighRemoveOne(neigh: Neighbour): boolean {
  if (neigh.refcnt !== 1) return false;
  hashDel(neigh.tbl, neigh);
  neighMarkDead(neigh);
  neighCleanupAndRelease(neigh);
  return true;
}

/** Makes room at once; returns how many entries went. @kernel neigh_forced_gc net/core/neighbour.c */
function neighForcedGc(tbl: NeighTable): number {
  const now = tbl.machine.jiffies;
  const maxClean = tbl.gcEntries - tbl.gcThresh2;
  const tref = (now - FORCED_GC_SPARE) | 0;
  let shrunk = 0;
  tbl.stats.forcedGcRuns++;
  let n = tbl.gcHead;
  while (n !== null) {
    const next: Neighbour | null = n.gcNext;
    const expendable =
      n.nudState === NUD_FAILED ||
      n.nudState === NUD_NOARP ||
      tbl.ops.isMulticast(n.key) ||
      timeBefore(n.updated, tref) ||
      timeAfter(n.updated, now);
    if (expendable && neighRemoveOne(n)) shrunk++;
    if (shrunk >= maxClean) break;
    n = next;
  }
  tbl.lastFlush = now;
  return shrunk;
}

/** Is there room for one more entry that garbage collection may take? */
function neighHasRoom(tbl: NeighTable): boolean {
  const now = tbl.machine.jiffies;
  const entries = tbl.gcEntries;
  const full = entries >= tbl.gcThresh3;
  const soon = entries >= tbl.gcThresh2 && timeAfter(now, (tbl.lastFlush + 5 * HZ) | 0);
  if (!full && !soon) return true;
  if (neighForcedGc(tbl) === 0 && full) {
    tbl.stats.tableFulls++;
    return false;
  }
  return true;
}

function makeTimer(neigh: Neighbour): TimerList<Neighbour> {
  return new TimerList(neigh.tbl.machine, neigh, neighTimerHandler);
}

/** @kernel neigh_alloc net/core/neighbour.c */
function neighAlloc(
  tbl: NeighTable,
  key: number,
  dev: NetDevice,
  flags: number,
  exemptFromGc: boolean,
): Neighbour | null {
  if (!exemptFromGc && !neighHasRoom(tbl)) return null;
  const parms = tbl.parmsList[0] as NeighParms;
  const mapped = tbl.ops.mapKey(key, dev);
  const bytes = tbl.ops.keyBytes(mapped);
  const n = new Neighbour(tbl, dev, parms, NEIGH_NO_OPS, neighBlackhole, mapped, bytes, makeTimer);
  parms.refcnt++;
  n.nudState = NUD_NONE;
  n.flags = flags;
  n.dead = true;
  n.updated = tbl.machine.jiffies;
  n.used = n.updated;
  netdevHold(dev, 'neighbour');
  tbl.stats.allocs++;
  tbl.entries++;
  tbl.machine.live.neighs++;
  return n;
}

/**
 * Makes an entry, or finds the one that its constructor led to. `wantRef`: the caller gets a
 * reference. Returns a negative errno when the table is full or the family refuses.
 * @kernel ___neigh_create net/core/neighbour.c
 */
export function neighCreateFlags(
  tbl: NeighTable,
  key: number,
  dev: NetDevice,
  flags: number,
  exemptFromGc: boolean,
  wantRef: boolean,
): Neighbour | number {
  const n = neighAlloc(tbl, key, dev, flags, exemptFromGc);
  if (tracepointKey.enabled)
    tbl.machine.trace.neigh.neighCreate.probe?.(tbl, dev, tbl.ops.keyBytes(key), n, exemptFromGc);
  if (n === null) return -ENOBUFS;
  const err = tbl.ops.constructor_(n);
  if (err < 0) {
    neighRelease(n);
    return err;
  }
  const { jiffies } = tbl.machine;
  n.confirmed = (jiffies - 2 * neighVar(n.parms, NEIGH_VAR_BASE_REACHABLE_TIME)) | 0;
  if (tbl.entries > 1 << tbl.hashShift) neighHashGrow(tbl, tbl.hashShift + 1);
  if (n.parms.dead) {
    neighRelease(n);
    return -EINVAL;
  }
  const other = __neighLookupNoref(tbl, n.key, dev);
  if (other !== null) {
    if (wantRef) neighHold(other);
    neighRelease(n);
    return other;
  }
  n.dead = false;
  if (!exemptFromGc) neighGcListAdd(n);
  if ((n.flags & NTF_MANAGED) !== 0) {
    n.managed = true;
    tbl.managedList.add(n);
    neighManagedArm(tbl);
  }
  if (wantRef) neighHold(n);
  const bucket = bucketOf(tbl, n.key, dev);
  n.next = tbl.buckets[bucket] ?? null;
  tbl.buckets[bucket] = n;
  neighGcArm(tbl);
  return n;
}

/** @kernel __neigh_create net/core/neighbour.c */
export function __neighCreate(
  tbl: NeighTable,
  key: number,
  dev: NetDevice,
  wantRef: boolean,
): Neighbour | number {
  return neighCreateFlags(tbl, key, dev, 0, (dev.flags & IFF_LOOPBACK) !== 0, wantRef);
}

/** @kernel neigh_create include/net/neighbour.h */
export function neighCreate(tbl: NeighTable, key: number, dev: NetDevice): Neighbour | number {
  return __neighCreate(tbl, key, dev, true);
}

/** Finds the entry or, when `creat`, makes it; null when that fails. @kernel __neigh_lookup include/net/neighbour.h */
export function __neighLookup(
  tbl: NeighTable,
  key: number,
  dev: NetDevice,
  creat: boolean,
): Neighbour | null {
  const n = neighLookup(tbl, key, dev);
  if (n !== null || !creat) return n;
  const made = neighCreate(tbl, key, dev);
  return typeof made === 'number' ? null : made;
}

/** Calls `each` for every entry; `each` may remove the entry it is given. */
export function neighForEach(tbl: NeighTable, each: (neigh: Neighbour) => void): void {
  for (const head of tbl.buckets.slice()) {
    let n = head;
    while (n !== null) {
      const next: Neighbour | null = n.next;
      each(n);
      n = next;
    }
  }
}

/** Entries of a device go; users that still hold one find it deaf. @kernel neigh_flush_dev net/core/neighbour.c */
function neighFlushDev(tbl: NeighTable, dev: NetDevice | null, skipPerm: boolean): void {
  neighForEach(tbl, (n) => {
    if (dev !== null && n.dev !== dev) return;
    if (skipPerm && (n.nudState & NUD_PERMANENT) !== 0) return;
    hashDel(tbl, n);
    neighDelTimer(n);
    neighMarkDead(n);
    if (n.refcnt !== 1) {
      neighPurgeQueue(n);
      n.output = neighBlackhole;
      n.nudState = (n.nudState & NUD_VALID) !== 0 ? NUD_NOARP : NUD_NONE;
    }
    neighCleanupAndRelease(n);
  });
}

function ifdown(tbl: NeighTable, dev: NetDevice | null, skipPerm: boolean): void {
  neighFlushDev(tbl, dev, skipPerm);
  pneighIfdown(tbl, dev, skipPerm);
  pneighQueuePurge(tbl, dev?.net ?? null);
  if (tbl.proxyQueue.qlen === 0 && tbl.proxyTimer !== null) timerDelete(tbl.proxyTimer);
}

/** The device has another address: everything learned is void. @kernel neigh_changeaddr net/core/neighbour.c */
export function neighChangeaddr(tbl: NeighTable, dev: NetDevice): void {
  neighFlushDev(tbl, dev, false);
}

/** The carrier is gone; permanent entries stay. @kernel neigh_carrier_down net/core/neighbour.c */
export function neighCarrierDown(tbl: NeighTable, dev: NetDevice): void {
  ifdown(tbl, dev, true);
}

/** @kernel neigh_ifdown net/core/neighbour.c */
export function neighIfdown(tbl: NeighTable, dev: NetDevice | null): void {
  ifdown(tbl, dev, false);
}

/** True for an entry that nobody has used or heard of for the stale time. */
function isGarbage(n: Neighbour, now: number): boolean {
  if ((n.nudState & (NUD_PERMANENT | NUD_IN_TIMER)) !== 0) return false;
  if ((n.flags & NTF_EXT_LEARNED) !== 0) return false;
  if (timeBefore(n.used, n.confirmed) && timeBeforeEq(n.confirmed, now)) n.used = n.confirmed;
  if (n.refcnt !== 1) return false;
  const staletime = neighVar(n.parms, NEIGH_VAR_GC_STALETIME);
  const fresh = !timeBefore(now, n.used) && timeBefore(now, (n.used + staletime) | 0);
  return n.nudState === NUD_FAILED || !fresh;
}

/**
 * Drops garbage, half as often as the reachable time.
 * @kernel neigh_periodic_work net/core/neighbour.c
 */
function neighPeriodicWork(tbl: NeighTable): void {
  tbl.stats.periodicGcRuns++;
  if (tbl.entries >= tbl.gcThresh1) {
    const now = tbl.machine.jiffies;
    neighForEach(tbl, (n) => {
      if (isGarbage(n, now)) neighRemoveOne(n);
    });
  }
  neighGcArm(tbl);
}

/**
 * Starts the periodic collection.
 * @deviation Linux looks every fifteen seconds for ever and does nothing below gc_thresh1 entries;
 * here it sleeps until there are that many, so that an idle machine has no timer running.
 */
function neighGcArm(tbl: NeighTable): void {
  const timer = tbl.gcTimer;
  if (timer === null || timerPending(timer)) return;
  if (tbl.entries === 0 || tbl.entries < tbl.gcThresh1) return;
  const base = neighVar(tbl.parmsList[0] as NeighParms, NEIGH_VAR_BASE_REACHABLE_TIME);
  modTimer(timer, (tbl.machine.jiffies + Math.max(base >> 1, 1)) | 0);
}

/** Asks for the entries that the kernel keeps alive. @kernel neigh_managed_work net/core/neighbour.c */
function neighManagedWork(tbl: NeighTable): void {
  for (const n of tbl.managedList) neighEventSendProbe(n, null, false);
  neighManagedArm(tbl);
}

/** Looks after managed entries again in a while, if there are any. */
export function neighManagedArm(tbl: NeighTable): void {
  const timer = tbl.managedTimer;
  if (timer === null || tbl.managedList.size === 0 || timerPending(timer)) return;
  const parms = tbl.parmsList[0] as NeighParms;
  const interval = Math.max(neighVar(parms, NEIGH_VAR_INTERVAL_PROBE_TIME_MS), HZ);
  modTimer(timer, (tbl.machine.jiffies + interval) | 0);
}

/** Brings a table into being. @kernel neigh_table_init net/core/neighbour.c */
export function neighTableInit(
  machine: Machine,
  ops: NeighTableOps,
  defaults: readonly number[],
): NeighTable {
  const tbl = new NeighTable(machine, ops);
  hashAlloc(tbl, HASH_SHIFT_MIN);
  tbl.lastFlush = machine.jiffies;
  tbl.lastRand = machine.jiffies;
  neighParmsInit(tbl, defaults);
  pneighTableInit(tbl);
  tbl.gcTimer = new TimerList(machine, tbl, neighPeriodicWork);
  tbl.managedTimer = new TimerList(machine, tbl, neighManagedWork);
  machine.netGlobals.neighTables.push(tbl);
  return tbl;
}

/** @kernel neigh_table_clear net/core/neighbour.c */
export function neighTableClear(tbl: NeighTable): void {
  if (tbl.gcTimer !== null) timerDelete(tbl.gcTimer);
  if (tbl.managedTimer !== null) timerDelete(tbl.managedTimer);
  neighIfdown(tbl, null);
  const tables = tbl.machine.netGlobals.neighTables;
  const at = tables.indexOf(tbl);
  if (at >= 0) tables.splice(at, 1);
}

/** A sender has shown his address in asking for ours: the entry, with a reference. @kernel neigh_event_ns net/core/neighbour.c */
export function neighEventNs(
  tbl: NeighTable,
  lladdr: Uint8Array | null,
  saddr: number,
  dev: NetDevice,
): Neighbour | null {
  const neigh = __neighLookup(tbl, saddr, dev, lladdr !== null || dev.addrLen === 0);
  if (neigh !== null) neighUpdate(neigh, lladdr, NUD_STALE, NEIGH_UPDATE_F_OVERRIDE, 0);
  return neigh;
}
