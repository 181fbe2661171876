/**
 * The end of a neighbour: references, timer, lists, and the news of its removal.
 *
 * Counterpart of the release part of net/core/neighbour.c. An entry has one reference from its
 * table, one from its running timer, and one from each user.
 */

import { netdevPut } from '#include/linux/netdevice_ref.ts';
import type { Neighbour, NeighParms } from '#include/net/neighbour.ts';
import { NETEVENT_NEIGH_UPDATE } from '#include/net/netevent.ts';
import { KernelBug } from '#kernel/bug.ts';
import { timerDelete } from '#kernel/time/timer.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { skbQueuePurgeReason } from '#net/core/skbuff.ts';
import { NUD_IN_TIMER } from '#uapi/neighbour.ts';
import { SKB_DROP_REASON_NEIGH_FAILED } from '#uapi/net_dropreason.ts';
import { RTM_DELNEIGH } from '#uapi/rtnetlink.ts';

/** @kernel neigh_parms_put net/core/neighbour.c */
export function neighParmsPut(parms: NeighParms): void {
  parms.refcnt--;
}

/** Drops what waits for the address. */
export function neighPurgeQueue(neigh: Neighbour): void {
  skbQueuePurgeReason(neigh.arpQueue, SKB_DROP_REASON_NEIGH_FAILED);
  neigh.arpQueueLenBytes = 0;
}

/** Nobody refers to the entry any more. @kernel neigh_destroy net/core/neighbour.c */
function neighDestroy(neigh: Neighbour): void {
  const { tbl } = neigh;
  tbl.stats.destroys++;
  if (!neigh.dead) throw new KernelBug('neigh-destroy-alive', `neighbour ${neigh.key} is in use`);
  neighPurgeQueue(neigh);
  netdevPut(neigh.dev, 'neighbour');
  neighParmsPut(neigh.parms);
  tbl.entries--;
  tbl.machine.live.neighs--;
  // Nothing is left to look after.
  if (tbl.entries === 0 && tbl.gcTimer !== null) timerDelete(tbl.gcTimer);
}

/** @kernel neigh_release include/net/neighbour.h */
export function neighRelease(neigh: Neighbour): void {
  if (neigh.refcnt <= 0) {
    throw new KernelBug('neigh-double-release', `neighbour ${neigh.key} released twice`);
  }
  if (--neigh.refcnt === 0) neighDestroy(neigh);
}

/** Stops the timer; true when it ran. @kernel neigh_del_timer net/core/neighbour.c */
export function neighDelTimer(neigh: Neighbour): boolean {
  if ((neigh.nudState & NUD_IN_TIMER) === 0 || neigh.timer === null) return false;
  if (!timerDelete(neigh.timer)) return false;
  neighRelease(neigh);
  return true;
}

/** Appends to the list that garbage collection walks. */
export function neighGcListAdd(neigh: Neighbour): void {
  if (neigh.onGcList) return;
  const { tbl } = neigh;
  neigh.onGcList = true;
  neigh.gcNext = null;
  neigh.gcPrev = tbl.gcTail;
  if (tbl.gcTail === null) tbl.gcHead = neigh;
  else tbl.gcTail.gcNext = neigh;
  tbl.gcTail = neigh;
  tbl.gcEntries++;
}

export function neighGcListDel(neigh: Neighbour): void {
  if (!neigh.onGcList) return;
  const { tbl, gcNext, gcPrev } = neigh;
  if (gcPrev === null) tbl.gcHead = gcNext;
  else gcPrev.gcNext = gcNext;
  if (gcNext === null) tbl.gcTail = gcPrev;
  else gcNext.gcPrev = gcPrev;
  neigh.onGcList = false;
  neigh.gcNext = null;
  neigh.gcPrev = null;
  tbl.gcEntries--;
}

/** @kernel neigh_mark_dead net/core/neighbour.c */
export function neighMarkDead(neigh: Neighbour): void {
  neigh.dead = true;
  neighGcListDel(neigh);
  if (neigh.managed) neighManagedListDel(neigh);
}

/** Leaves an entry to itself; with the last one the table's timer stops. */
export function neighManagedListDel(neigh: Neighbour): void {
  const { managedList, managedTimer } = neigh.tbl;
  neigh.managed = false;
  managedList.delete(neigh);
  if (managedList.size === 0 && managedTimer !== null) timerDelete(managedTimer);
}

/** Says that the entry is gone and gives the table's reference back. @kernel neigh_cleanup_and_release net/core/neighbour.c */
export function neighCleanupAndRelease(neigh: Neighbour): void {
  const { machine } = neigh.tbl;
  if (tracepointKey.enabled) machine.trace.neigh.neighCleanupAndRelease.probe?.(neigh, 0);
  machine.netGlobals.rtnetlink?.neighNotify(neigh, RTM_DELNEIGH, 0, 0);
  machine.netGlobals.neteventChain.call(NETEVENT_NEIGH_UPDATE, neigh);
  neighRelease(neigh);
}
