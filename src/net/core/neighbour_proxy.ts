/**
 * Proxied neighbours: addresses that this machine answers for, and the requests that wait a random
 * moment for their answer.
 *
 * Counterpart of the pneigh parts of net/core/neighbour.c. RFC 1027, RFC 4861#7.2.8.
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import { devHold, devPut, netdevHold, netdevPut } from '#include/linux/netdevice_ref.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { __skbQueueTail, __skbUnlink } from '#include/linux/skbuff_queue.ts';
import { skbDstDrop } from '#include/net/dst.ts';
import {
  NEIGH_VAR_PROXY_DELAY,
  NEIGH_VAR_PROXY_QLEN,
  type NeighParms,
  type NeighTable,
  neighVar,
  type PneighEntry,
} from '#include/net/neighbour.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { modTimer, TimerList, timerDelete } from '#kernel/time/timer.ts';
import { kfreeSkb } from '#net/core/skbuff.ts';
import { ENOENT } from '#uapi/errno.ts';
import { IFF_UP } from '#uapi/if.ts';
import {
  SKB_DROP_REASON_DEV_READY,
  SKB_DROP_REASON_NEIGH_QUEUEFULL,
} from '#uapi/net_dropreason.ts';

const PNEIGH_HASHMASK = 0xf;
/** In `cb1` of a waiting request: it has been delayed, answer it now. @kernel LOCALLY_ENQUEUED include/net/neighbour.h */
export const LOCALLY_ENQUEUED = 0x1;

/** @kernel pneigh_hash net/core/neighbour.c */
function pneighHash(key: number): number {
  let h = key ^ (key >>> 16);
  h ^= h >>> 8;
  h ^= h >>> 4;
  return h & PNEIGH_HASHMASK;
}

export function pneighTableInit(tbl: NeighTable): void {
  for (let i = 0; i <= PNEIGH_HASHMASK; i++) tbl.phashBuckets.push([]);
  tbl.proxyTimer = new TimerList(tbl.machine, tbl, neighProxyProcess);
}

function chain(tbl: NeighTable, key: number): PneighEntry[] {
  return tbl.phashBuckets[pneighHash(key)] as PneighEntry[];
}

/** An entry for this device or for all. @kernel pneigh_lookup net/core/neighbour.c */
export function pneighLookup(
  tbl: NeighTable,
  net: Net,
  key: number,
  dev: NetDevice | null,
): PneighEntry | null {
  for (const n of chain(tbl, key)) {
    if (n.key === key && n.net === net && (n.dev === dev || n.dev === null)) return n;
  }
  return null;
}

/** Adds an entry, or changes the flags of the one that exists; a negative errno if the family refuses. @kernel pneigh_create net/core/neighbour.c */
export function pneighCreate(
  tbl: NeighTable,
  net: Net,
  key: number,
  dev: NetDevice | null,
  flags: number,
  protocol: number,
  permanent: boolean,
): number {
  let entry = pneighLookup(tbl, net, key, dev);
  if (entry === null) {
    entry = { net, dev, key, flags, protocol, permanent };
    netdevHold(dev, 'pneigh');
    const err = tbl.ops.pconstructor?.(entry) ?? 0;
    if (err < 0) {
      netdevPut(dev, 'pneigh');
      return err;
    }
    chain(tbl, key).unshift(entry);
  }
  entry.flags = flags;
  entry.permanent = permanent;
  entry.protocol = protocol;
  return 0;
}

function pneighFree(tbl: NeighTable, entry: PneighEntry): void {
  tbl.ops.pdestructor?.(entry);
  netdevPut(entry.dev, 'pneigh');
}

/** @kernel pneigh_delete net/core/neighbour.c */
export function pneighDelete(
  tbl: NeighTable,
  net: Net,
  key: number,
  dev: NetDevice | null,
): number {
  const entries = chain(tbl, key);
  const at = entries.findIndex((n) => n.key === key && n.net === net && n.dev === dev);
  const [entry] = at < 0 ? [] : entries.splice(at, 1);
  if (entry === undefined) return -ENOENT;
  pneighFree(tbl, entry);
  return 0;
}

/** Entries of a device, or of all, go. @kernel pneigh_ifdown_and_unlock net/core/neighbour.c */
export function pneighIfdown(tbl: NeighTable, dev: NetDevice | null, skipPerm: boolean): void {
  for (const entries of tbl.phashBuckets) {
    for (const entry of entries.slice()) {
      if (skipPerm && entry.permanent) continue;
      if (dev !== null && entry.dev !== dev) continue;
      entries.splice(entries.indexOf(entry), 1);
      pneighFree(tbl, entry);
    }
  }
}

function qlenDec(tbl: NeighTable, dev: NetDevice): void {
  const parms = dev.neighParms.find((p) => p.tbl === tbl);
  if (parms !== undefined) parms.qlen--;
}

/** Requests that wait go unanswered. `net` null: of every namespace. @kernel pneigh_queue_purge net/core/neighbour.c */
export function pneighQueuePurge(tbl: NeighTable, net: Net | null): void {
  let skb = tbl.proxyQueue.next;
  while (skb !== null) {
    const next: SkBuff | null = skb.next;
    const dev = skb.dev as NetDevice;
    if (net === null || dev.net === net) {
      qlenDec(tbl, dev);
      __skbUnlink(skb, tbl.proxyQueue);
      devPut(dev);
      kfreeSkb(skb, SKB_DROP_REASON_DEV_READY, 'pneigh_queue_purge');
    }
    skb = next;
  }
}

/** Lets a request wait for a random part of the proxy delay. Takes the packet. @kernel pneigh_enqueue net/core/neighbour.c */
export function pneighEnqueue(tbl: NeighTable, parms: NeighParms, skb: SkBuff): void {
  const { machine, proxyTimer } = tbl;
  if (proxyTimer === null || parms.qlen > neighVar(parms, NEIGH_VAR_PROXY_QLEN)) {
    kfreeSkb(skb, SKB_DROP_REASON_NEIGH_QUEUEFULL, 'pneigh_enqueue');
    return;
  }
  const delay = Math.max(neighVar(parms, NEIGH_VAR_PROXY_DELAY), 1);
  let schedNext = (machine.jiffies + (machine.random.u32() % delay)) | 0;
  skb.cb0 = schedNext;
  skb.cb1 |= LOCALLY_ENQUEUED;
  const { expires } = proxyTimer;
  if (timerDelete(proxyTimer) && ((expires - schedNext) | 0) < 0) schedNext = expires;
  skbDstDrop(skb);
  devHold(skb.dev);
  __skbQueueTail(tbl.proxyQueue, skb);
  parms.qlen++;
  modTimer(proxyTimer, schedNext);
}

/** Answers what has waited long enough. @kernel neigh_proxy_process net/core/neighbour.c */
function neighProxyProcess(tbl: NeighTable): void {
  const now = tbl.machine.jiffies;
  let schedNext = 0;
  let skb = tbl.proxyQueue.next;
  while (skb !== null) {
    const next: SkBuff | null = skb.next;
    const wait = (skb.cb0 - now) | 0;
    if (wait <= 0) {
      const dev = skb.dev as NetDevice;
      qlenDec(tbl, dev);
      __skbUnlink(skb, tbl.proxyQueue);
      if (tbl.ops.proxyRedo !== null && (dev.flags & IFF_UP) !== 0) tbl.ops.proxyRedo(skb);
      else kfreeSkb(skb, SKB_DROP_REASON_DEV_READY, 'neigh_proxy_process');
      devPut(dev);
    } else if (schedNext === 0 || wait < schedNext) {
      schedNext = wait;
    }
    skb = next;
  }
  if (schedNext !== 0 && tbl.proxyTimer !== null) modTimer(tbl.proxyTimer, (now + schedNext) | 0);
}
