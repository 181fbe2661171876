/**
 * Neighbour unreachability detection: the states of a neighbour and what moves it between them.
 *
 * Counterpart of neigh_timer_handler, __neigh_event_send and __neigh_update of
 * net/core/neighbour.c. RFC 4861#7.3 describes the machine; Linux uses it for ARP as well.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import { __skbDequeue, __skbQueueTail, skbPeekTail } from '#include/linux/skbuff_queue.ts';
import { DST_OBSOLETE_DEAD, dstNeighLookupSkb, skbDstForce } from '#include/net/dst.ts';
import type { Neighbour, NeighParms } from '#include/net/neighbour.ts';
import {
  NEIGH_UPDATE_F_ADMIN,
  NEIGH_UPDATE_F_EXT_LEARNED,
  NEIGH_UPDATE_F_ISROUTER,
  NEIGH_UPDATE_F_MANAGED,
  NEIGH_UPDATE_F_OVERRIDE,
  NEIGH_UPDATE_F_OVERRIDE_ISROUTER,
  NEIGH_UPDATE_F_USE,
  NEIGH_UPDATE_F_WEAK_OVERRIDE,
  NEIGH_VAR_APP_PROBES,
  NEIGH_VAR_BASE_REACHABLE_TIME,
  NEIGH_VAR_DELAY_PROBE_TIME,
  NEIGH_VAR_MCAST_PROBES,
  NEIGH_VAR_MCAST_REPROBES,
  NEIGH_VAR_QUEUE_LEN_BYTES,
  NEIGH_VAR_RETRANS_TIME,
  NEIGH_VAR_UCAST_PROBES,
  NTF_MANAGED,
  neighHold,
  neighVar,
} from '#include/net/neighbour.ts';
import { NETEVENT_NEIGH_UPDATE } from '#include/net/netevent.ts';
import type { NetlinkExtAck } from '#include/net/rtnetlink.ts';
import { KernelBug } from '#kernel/bug.ts';
import { HZ } from '#kernel/machine.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import { timeAfter, timeBefore, timeBeforeEq } from '#kernel/time/jiffies.ts';
import { modTimer } from '#kernel/time/timer.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import {
  neighDelTimer,
  neighGcListAdd,
  neighGcListDel,
  neighManagedListDel,
  neighPurgeQueue,
  neighRelease,
} from '#net/core/neighbour_destroy.ts';
import { consumeSkb, kfreeSkb, skbClone } from '#net/core/skbuff.ts';
import { EINVAL, EPERM } from '#uapi/errno.ts';
import {
  NTF_EXT_LEARNED,
  NTF_ROUTER,
  NUD_CONNECTED,
  NUD_DELAY,
  NUD_FAILED,
  NUD_IN_TIMER,
  NUD_INCOMPLETE,
  NUD_NOARP,
  NUD_PERMANENT,
  NUD_PROBE,
  NUD_REACHABLE,
  NUD_STALE,
  NUD_VALID,
} from '#uapi/neighbour.ts';
import {
  SKB_DROP_REASON_NEIGH_DEAD,
  SKB_DROP_REASON_NEIGH_FAILED,
  SKB_DROP_REASON_NEIGH_QUEUEFULL,
} from '#uapi/net_dropreason.ts';
import { NLM_F_REQUEST } from '#uapi/netlink.ts';
import { RTM_GETNEIGH, RTM_NEWNEIGH } from '#uapi/rtnetlink.ts';

/** Jiffies between two drawings of the reachable times. */
const REACHABLE_REDRAW: number = 300 * HZ;
/** Shortest time to the next look, in jiffies. */
const TIMER_MIN: number = HZ / 100;

/** A value in [base / 2, base * 3 / 2). @kernel neigh_rand_reach_time net/core/neighbour.c */
export function neighRandReachTime(parms: NeighParms): number {
  const base = neighVar(parms, NEIGH_VAR_BASE_REACHABLE_TIME);
  return base === 0 ? 0 : (parms.tbl.machine.random.u32() % base) + (base >> 1);
}

/**
 * How long a confirmation is good for, in jiffies. Drawn anew every five minutes.
 * @deviation Linux redraws in its periodic work; here it happens at the first use after the five
 * minutes, so that a machine with nothing to do has no timer running.
 */
export function neighReachableTime(parms: NeighParms): number {
  const { tbl } = parms;
  const now = tbl.machine.jiffies;
  if (timeAfter(now, (tbl.lastRand + REACHABLE_REDRAW) | 0)) {
    tbl.lastRand = now;
    for (const p of tbl.parmsList) p.reachableTime = neighRandReachTime(p);
  }
  return parms.reachableTime;
}

/** Every packet asks for a check again. @kernel neigh_suspect net/core/neighbour.c */
function neighSuspect(neigh: Neighbour): void {
  neigh.output = neigh.ops.output;
}

/** Packets go out without question. @kernel neigh_connect net/core/neighbour.c */
function neighConnect(neigh: Neighbour): void {
  neigh.output = neigh.ops.connectedOutput;
}

/** @kernel neigh_add_timer net/core/neighbour.c */
function neighAddTimer(neigh: Neighbour, when: number): void {
  neighHold(neigh);
  if (neigh.timer === null || modTimer(neigh.timer, when)) {
    throw new KernelBug('neigh-double-timer', `the timer of neighbour ${neigh.key} runs already`);
  }
}

/** @kernel neigh_max_probes net/core/neighbour.c */
function neighMaxProbes(neigh: Neighbour): number {
  const p = neigh.parms;
  const again = (neigh.nudState & NUD_PROBE) !== 0;
  return (
    neighVar(p, NEIGH_VAR_UCAST_PROBES) +
    neighVar(p, NEIGH_VAR_APP_PROBES) +
    neighVar(p, again ? NEIGH_VAR_MCAST_REPROBES : NEIGH_VAR_MCAST_PROBES)
  );
}

/** @kernel neigh_update_notify net/core/neighbour.c */
export function neighUpdateNotify(neigh: Neighbour, portid: number): void {
  neigh.tbl.machine.netGlobals.neteventChain.call(NETEVENT_NEIGH_UPDATE, neigh);
  neigh.tbl.machine.netGlobals.rtnetlink?.neighNotify(neigh, RTM_NEWNEIGH, 0, portid);
}

/** The address did not resolve: report to the senders of what waits. @kernel neigh_invalidate net/core/neighbour.c */
function neighInvalidate(neigh: Neighbour): void {
  neigh.tbl.stats.resFailed++;
  neigh.updated = neigh.tbl.machine.jiffies;
  // error_report may come back here through a lookup and change the state.
  while (neigh.nudState === NUD_FAILED) {
    const skb = __skbDequeue(neigh.arpQueue);
    if (skb === null) break;
    if (neigh.ops.errorReport !== null) neigh.ops.errorReport(neigh, skb);
    else kfreeSkb(skb, SKB_DROP_REASON_NEIGH_FAILED, 'neigh_invalidate');
  }
  neighPurgeQueue(neigh);
}

/** Asks once. @kernel neigh_probe net/core/neighbour.c */
function neighProbe(neigh: Neighbour): void {
  // A copy, since the queue may overflow while the question is being sent.
  const waiting = skbPeekTail(neigh.arpQueue);
  const skb = waiting === null ? null : skbClone(waiting);
  if (neigh.ops.solicit !== null) neigh.ops.solicit(neigh, skb);
  neigh.probes++;
  if (skb !== null) consumeSkb(skb, 'neigh_probe');
}

function setState(neigh: Neighbour, state: number, now: number): void {
  neigh.nudState = state;
  neigh.updated = now;
}

/** Retransmission interval of questions. */
function retransTime(neigh: Neighbour): number {
  return Math.max(neighVar(neigh.parms, NEIGH_VAR_RETRANS_TIME), TIMER_MIN);
}

/** REACHABLE when the timer fires. Returns when to look again. */
function timerReachable(neigh: Neighbour, now: number): number {
  const reachable = neighReachableTime(neigh.parms);
  const delay = neighVar(neigh.parms, NEIGH_VAR_DELAY_PROBE_TIME);
  if (timeBeforeEq(now, (neigh.confirmed + reachable) | 0)) {
    return (neigh.confirmed + reachable) | 0;
  }
  neighSuspect(neigh);
  if (timeBeforeEq(now, (neigh.used + delay) | 0)) {
    setState(neigh, NUD_DELAY, now);
    return (now + delay) | 0;
  }
  setState(neigh, NUD_STALE, now);
  return now;
}

/** DELAY when the timer fires: confirmed meanwhile, or time to ask. */
function timerDelay(neigh: Neighbour, now: number): number {
  const delay = neighVar(neigh.parms, NEIGH_VAR_DELAY_PROBE_TIME);
  if (timeBeforeEq(now, (neigh.confirmed + delay) | 0)) {
    setState(neigh, NUD_REACHABLE, now);
    neighConnect(neigh);
    return (neigh.confirmed + neighReachableTime(neigh.parms)) | 0;
  }
  setState(neigh, NUD_PROBE, now);
  neigh.probes = 0;
  return (now + retransTime(neigh)) | 0;
}

/** @kernel neigh_timer_handler net/core/neighbour.c */
export function neighTimerHandler(neigh: Neighbour): void {
  const now = neigh.tbl.machine.jiffies;
  const state = neigh.nudState;
  let notify = false;
  if ((state & NUD_IN_TIMER) !== 0) {
    let next: number;
    if ((state & NUD_REACHABLE) !== 0) {
      next = timerReachable(neigh, now);
      notify = neigh.nudState === NUD_STALE;
    } else if ((state & NUD_DELAY) !== 0) {
      next = timerDelay(neigh, now);
      notify = true;
    } else {
      next = (now + retransTime(neigh)) | 0;
    }
    notify = timerProbe(neigh, next, now) || notify;
  }
  if (notify) neighUpdateNotify(neigh, 0);
  if (tracepointKey.enabled) neigh.tbl.machine.trace.neigh.neighTimerHandler.probe?.(neigh, 0);
  neighRelease(neigh);
}

/** The second half of the handler: give up, or arm the timer and ask. True: the state is news. */
function timerProbe(neigh: Neighbour, next: number, now: number): boolean {
  const asking = (neigh.nudState & (NUD_INCOMPLETE | NUD_PROBE)) !== 0;
  if (asking && neigh.probes >= neighMaxProbes(neigh)) {
    neigh.nudState = NUD_FAILED;
    neighInvalidate(neigh);
    return true;
  }
  if ((neigh.nudState & NUD_IN_TIMER) !== 0 && neigh.timer !== null) {
    const soonest = (now + TIMER_MIN) | 0;
    if (!modTimer(neigh.timer, timeBefore(next, soonest) ? soonest : next)) neighHold(neigh);
  }
  if (asking) neighProbe(neigh);
  return false;
}

/** Starts resolution of an unknown or failed address. False: nobody may ask. */
function startResolution(neigh: Neighbour, immediateOk: boolean, now: number): boolean {
  const p = neigh.parms;
  if (neighVar(p, NEIGH_VAR_MCAST_PROBES) + neighVar(p, NEIGH_VAR_APP_PROBES) === 0) {
    setState(neigh, NUD_FAILED, now);
    return false;
  }
  neigh.probes = neighVar(p, NEIGH_VAR_UCAST_PROBES);
  neighDelTimer(neigh);
  setState(neigh, NUD_INCOMPLETE, now);
  neighAddTimer(neigh, (now + (immediateOk ? retransTime(neigh) : 1)) | 0);
  return true;
}

/** Makes the packet wait, and the oldest ones go when there is no room. */
function queueUnresolved(neigh: Neighbour, skb: SkBuff): void {
  const limit = neighVar(neigh.parms, NEIGH_VAR_QUEUE_LEN_BYTES);
  while (neigh.arpQueueLenBytes + skb.truesize > limit) {
    const old = __skbDequeue(neigh.arpQueue);
    if (old === null) break;
    neigh.arpQueueLenBytes -= old.truesize;
    kfreeSkb(old, SKB_DROP_REASON_NEIGH_QUEUEFULL, '__neigh_event_send');
    neigh.tbl.stats.unresDiscards++;
  }
  skbDstForce(skb);
  __skbQueueTail(neigh.arpQueue, skb);
  neigh.arpQueueLenBytes += skb.truesize;
  if (tracepointKey.enabled) skb.machine.trace.packet.neighQueue.probe?.(skb, neigh.arpQueue.qlen);
}

/**
 * Somebody wants to send to a neighbour that is not confirmed. 0: the packet may go to the known
 * address; 1: the packet has been taken (it waits, or is freed).
 * @kernel __neigh_event_send net/core/neighbour.c
 */
export function __neighEventSend(
  neigh: Neighbour,
  skb: SkBuff | null,
  immediateOk: boolean,
): number {
  const { machine } = neigh.tbl;
  const now = machine.jiffies;
  let rc = 0;
  let immediateProbe = false;
  // What the question brings about on this machine waits until we are done.
  localBhDisable(machine);
  const state = neigh.nudState;
  if ((state & (NUD_CONNECTED | NUD_DELAY | NUD_PROBE)) === 0) {
    if (neigh.dead && (state & NUD_STALE) === 0) {
      if (skb !== null) kfreeSkb(skb, SKB_DROP_REASON_NEIGH_DEAD, '__neigh_event_send');
      localBhEnable(machine);
      if (tracepointKey.enabled) machine.trace.neigh.neighEventSendDead.probe?.(neigh, 1);
      return 1;
    }
    if (!neigh.dead && (state & NUD_STALE) !== 0) {
      neighDelTimer(neigh);
      setState(neigh, NUD_DELAY, now);
      neighAddTimer(neigh, (now + neighVar(neigh.parms, NEIGH_VAR_DELAY_PROBE_TIME)) | 0);
    } else if (!neigh.dead && (state & NUD_INCOMPLETE) === 0) {
      if (!startResolution(neigh, immediateOk, now)) {
        localBhEnable(machine);
        if (skb !== null) kfreeSkb(skb, SKB_DROP_REASON_NEIGH_FAILED, '__neigh_event_send');
        return 1;
      }
      immediateProbe = immediateOk;
    }
    if (neigh.nudState === NUD_INCOMPLETE) {
      if (skb !== null) queueUnresolved(neigh, skb);
      rc = 1;
    }
  }
  if (immediateProbe) neighProbe(neigh);
  localBhEnable(machine);
  if (tracepointKey.enabled) machine.trace.neigh.neighEventSendDone.probe?.(neigh, rc);
  return rc;
}

/** @kernel neigh_event_send_probe include/net/neighbour.h */
export function neighEventSendProbe(
  neigh: Neighbour,
  skb: SkBuff | null,
  immediateOk: boolean,
): number {
  neigh.used = neigh.tbl.machine.jiffies;
  if ((neigh.nudState & (NUD_CONNECTED | NUD_DELAY | NUD_PROBE)) !== 0) return 0;
  return __neighEventSend(neigh, skb, immediateOk);
}

/** @kernel neigh_event_send include/net/neighbour.h */
export function neighEventSend(neigh: Neighbour, skb: SkBuff | null): number {
  return neighEventSendProbe(neigh, skb, true);
}

/** The cached header follows a new address. @kernel neigh_update_hhs net/core/neighbour.c */
function neighUpdateHhs(neigh: Neighbour): void {
  const update = neigh.dev.headerOps?.cacheUpdate ?? null;
  if (update !== null && neigh.hhLen !== 0) update(neigh, neigh.dev, neigh.ha);
}

/** Permanent and externally learned entries are not for garbage collection. @kernel neigh_update_gc_list net/core/neighbour.c */
export function neighUpdateGcList(neigh: Neighbour): void {
  if (neigh.dead) return;
  const exempt = (neigh.nudState & NUD_PERMANENT) !== 0 || (neigh.flags & NTF_EXT_LEARNED) !== 0;
  if (exempt) neighGcListDel(neigh);
  else neighGcListAdd(neigh);
}

/** @kernel neigh_update_managed_list net/core/neighbour.c */
function neighUpdateManagedList(neigh: Neighbour): void {
  if (neigh.dead) return;
  neigh.managed = (neigh.flags & NTF_MANAGED) !== 0;
  if (neigh.managed) neigh.tbl.managedList.add(neigh);
  else neighManagedListDel(neigh);
}

/** Flags that an administrator's update sets or clears; returns the bits that changed. @kernel neigh_update_flags net/core/neighbour.c */
function neighUpdateFlags(neigh: Neighbour, flags: number): number {
  if ((flags & NEIGH_UPDATE_F_ADMIN) === 0) return 0;
  const wanted =
    ((flags & NEIGH_UPDATE_F_EXT_LEARNED) !== 0 ? NTF_EXT_LEARNED : 0) |
    ((flags & NEIGH_UPDATE_F_MANAGED) !== 0 ? NTF_MANAGED : 0);
  const changed = (neigh.flags ^ wanted) & (NTF_EXT_LEARNED | NTF_MANAGED);
  neigh.flags ^= changed;
  return changed;
}

/** Sends what waited, now that the address is known. @kernel neigh_update_process_arp_queue net/core/neighbour.c */
function neighFlushQueue(neigh: Neighbour): void {
  while ((neigh.nudState & NUD_VALID) !== 0) {
    const skb = __skbDequeue(neigh.arpQueue);
    if (skb === null) break;
    const dst = skb.dst;
    // The route may have moved to another neighbour while the packet waited.
    const other =
      dst !== null && dst.obsolete !== DST_OBSOLETE_DEAD ? dstNeighLookupSkb(dst, skb) : null;
    if (other === null) neigh.output(neigh, skb);
    else {
      other.output(other, skb);
      neighRelease(other);
    }
  }
  neighPurgeQueue(neigh);
}

/** What an update came to. */
interface UpdateResult {
  err: number;
  state: number;
  notify: boolean;
  isRouter: boolean;
}

/** The new state is one in which the address is not known. */
function updateInvalid(neigh: Neighbour, state: number, result: UpdateResult): void {
  const old = neigh.nudState;
  neighDelTimer(neigh);
  if ((old & NUD_CONNECTED) !== 0) neighSuspect(neigh);
  neigh.nudState = state;
  result.err = 0;
  result.state = state;
  result.notify = (old & NUD_VALID) !== 0;
  if ((old & (NUD_INCOMPLETE | NUD_PROBE)) !== 0 && (state & NUD_FAILED) !== 0) {
    neighInvalidate(neigh);
    result.notify = true;
  }
}

function sameAddress(a: Uint8Array, b: Uint8Array, len: number): boolean {
  for (let i = 0; i < len; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** The address to use: the one given, or `neigh.ha` itself when nothing changes; null: there is none. */
function chooseLladdr(neigh: Neighbour, lladdr: Uint8Array | null): Uint8Array | null {
  const { addrLen } = neigh.dev;
  const valid = (neigh.nudState & NUD_VALID) !== 0;
  if (addrLen === 0) return neigh.ha;
  if (lladdr !== null) return valid && sameAddress(lladdr, neigh.ha, addrLen) ? neigh.ha : lladdr;
  return valid ? neigh.ha : null;
}

/** The new state is one with a known address. */
function updateValid(
  neigh: Neighbour,
  given: Uint8Array | null,
  wanted: number,
  flags: number,
  result: UpdateResult,
  extack: NetlinkExtAck | null,
): void {
  const old = neigh.nudState;
  const now = neigh.tbl.machine.jiffies;
  let state = wanted;
  let lladdr = chooseLladdr(neigh, given);
  if (lladdr === null) {
    if (extack !== null) extack.msg = 'No link layer address given';
    result.err = -EINVAL;
    return;
  }
  // A sign of life counts even when it does not change the binding.
  if ((state & NUD_CONNECTED) !== 0) neigh.confirmed = now;
  result.err = 0;
  result.isRouter = (flags & NEIGH_UPDATE_F_OVERRIDE_ISROUTER) !== 0;
  if ((old & NUD_VALID) !== 0) {
    if (lladdr !== neigh.ha && (flags & NEIGH_UPDATE_F_OVERRIDE) === 0) {
      result.isRouter = false;
      if ((flags & NEIGH_UPDATE_F_WEAK_OVERRIDE) === 0 || (old & NUD_CONNECTED) === 0) return;
      lladdr = neigh.ha;
      state = NUD_STALE;
    } else if (lladdr === neigh.ha && state === NUD_STALE && (flags & NEIGH_UPDATE_F_ADMIN) === 0) {
      state = old;
    }
  }
  result.state = state;
  applyUpdate(neigh, lladdr, state, result);
}

/** Moves the entry to `state` with `lladdr` and starts what follows from it. */
function applyUpdate(
  neigh: Neighbour,
  lladdr: Uint8Array,
  state: number,
  result: UpdateResult,
): void {
  const old = neigh.nudState;
  const now = neigh.tbl.machine.jiffies;
  // Not for updates without effect: they must not move the window of the lock time.
  if (state !== old || lladdr !== neigh.ha) neigh.updated = now;
  if (state !== old) {
    neighDelTimer(neigh);
    if ((state & NUD_PROBE) !== 0) neigh.probes = 0;
    neigh.nudState = state;
    if ((state & NUD_IN_TIMER) !== 0) {
      const wait = (state & NUD_REACHABLE) !== 0 ? neighReachableTime(neigh.parms) : 0;
      neighAddTimer(neigh, (now + wait) | 0);
    }
    result.notify = true;
  }
  if (lladdr !== neigh.ha) {
    const { addrLen } = neigh.dev;
    for (let i = 0; i < addrLen; i++) neigh.ha[i] = lladdr[i] as number;
    neighUpdateHhs(neigh);
    if ((state & NUD_CONNECTED) === 0) {
      neigh.confirmed = (now - 2 * neighVar(neigh.parms, NEIGH_VAR_BASE_REACHABLE_TIME)) | 0;
    }
    result.notify = true;
  }
  if (state === old) return;
  if ((state & NUD_CONNECTED) !== 0) neighConnect(neigh);
  else neighSuspect(neigh);
  if ((old & NUD_VALID) === 0) neighFlushQueue(neigh);
}

/**
 * Brings news about a neighbour: a reply, a request seen, an administrator's wish.
 * `lladdr` null: unchanged. `wanted`: the new NUD_* state. 0 or a negative errno.
 *
 * NEIGH_UPDATE_F_OVERRIDE lets another address replace a known one; WEAK_OVERRIDE only makes the
 * known one suspect; ADMIN moves entries that no packet may.
 * @kernel __neigh_update net/core/neighbour.c
 */
export function __neighUpdate(
  neigh: Neighbour,
  lladdr: Uint8Array | null,
  wanted: number,
  flags: number,
  nlmsgPid: number,
  extack: NetlinkExtAck | null,
): number {
  const { trace } = neigh.tbl.machine;
  if (tracepointKey.enabled)
    trace.neigh.neighUpdate.probe?.(neigh, lladdr, wanted, flags, nlmsgPid);
  const old = neigh.nudState;
  const result: UpdateResult = { err: -EPERM, state: old, notify: false, isRouter: false };
  let changed = 0;
  if (neigh.dead) {
    if (extack !== null) extack.msg = 'Neighbor entry is now dead';
  } else if ((flags & NEIGH_UPDATE_F_ADMIN) !== 0 || (old & (NUD_NOARP | NUD_PERMANENT)) === 0) {
    changed = neighUpdateFlags(neigh, flags);
    if ((flags & (NEIGH_UPDATE_F_USE | NEIGH_UPDATE_F_MANAGED)) !== 0) {
      result.state = old & ~NUD_PERMANENT;
      neigh.nudState = result.state;
      result.err = 0;
    } else if ((wanted & NUD_VALID) === 0) {
      updateInvalid(neigh, wanted, result);
    } else {
      updateValid(neigh, lladdr, wanted, flags, result, extack);
    }
  }
  finishUpdate(neigh, flags, nlmsgPid, old, changed, result);
  if (tracepointKey.enabled) trace.neigh.neighUpdateDone.probe?.(neigh, result.err);
  return result.err;
}

function finishUpdate(
  neigh: Neighbour,
  flags: number,
  nlmsgPid: number,
  old: number,
  changed: number,
  result: UpdateResult,
): void {
  let notify = result.notify || changed !== 0;
  if (result.isRouter) {
    const router = (flags & NEIGH_UPDATE_F_ISROUTER) !== 0 ? NTF_ROUTER : 0;
    if ((neigh.flags & NTF_ROUTER) !== router) {
      neigh.flags = (neigh.flags & ~NTF_ROUTER) | router;
      notify = true;
    }
  }
  const permanence = ((result.state ^ old) & NUD_PERMANENT) !== 0;
  if (permanence || (changed & NTF_EXT_LEARNED) !== 0) neighUpdateGcList(neigh);
  if ((changed & NTF_MANAGED) !== 0) neighUpdateManagedList(neigh);
  if (notify) neighUpdateNotify(neigh, nlmsgPid);
}

/** @kernel neigh_update net/core/neighbour.c */
export function neighUpdate(
  neigh: Neighbour,
  lladdr: Uint8Array | null,
  state: number,
  flags: number,
  nlmsgPid: number,
): number {
  return __neighUpdate(neigh, lladdr, state, flags, nlmsgPid, null);
}

/** Asks a program that listens to RTNLGRP_NEIGH to resolve the address. @kernel neigh_app_ns net/core/neighbour.c */
export function neighAppNs(neigh: Neighbour): void {
  neigh.tbl.machine.netGlobals.rtnetlink?.neighNotify(neigh, RTM_GETNEIGH, NLM_F_REQUEST, 0);
}
