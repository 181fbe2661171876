/**
 * Routes kept with their next hops, and what was learned about single destinations.
 *
 * Counterpart of the cache and exception parts of net/ipv4/route.c. There is no route cache by flow:
 * each next hop keeps the one route for output and the one for input that all its destinations
 * share, and an exception (redirect, path MTU) for each destination that differs.
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import {
  DST_OBSOLETE_FORCE_CHK,
  DST_OBSOLETE_KILL,
  dstHold,
  dstRelease,
} from '#include/net/dst.ts';
import {
  type FibInfo,
  type FibNh,
  FibNhException,
  type FibResult,
  FNHE_HASH_SHIFT,
  FNHE_HASH_SIZE,
  FNHE_RECLAIM_DEPTH,
  type Rtable,
} from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { timeAfter } from '#kernel/time/jiffies.ts';
import { siphash1u32 } from '#lib/siphash.ts';
import { blackholeNetdev, dstDevPut, dstReplaceDev } from '#net/core/dst.ts';
import { RTCF_REDIRECTED } from '#uapi/in_route.ts';
import { RT_SCOPE_LINK } from '#uapi/rtnetlink.ts';
import { AF_INET } from '#uapi/socket.ts';

/** @kernel rt_is_expired net/ipv4/route.c */
export function rtIsExpired(rt: Rtable): boolean {
  return rt.rtGenid !== rt.net.rtGenid;
}

/** @kernel rt_cache_valid net/ipv4/route.c */
export function rtCacheValid(rt: Rtable | null): rt is Rtable {
  return rt !== null && rt.obsolete === DST_OBSOLETE_FORCE_CHK && !rtIsExpired(rt);
}

/** Notes a route that no next hop knows of, so that it can be found when its device goes. @kernel rt_add_uncached_list net/ipv4/route.c */
export function rtAddUncachedList(rt: Rtable): void {
  rt.rtUncached = true;
  rt.net.machine.netGlobals.rtUncachedList.add(rt);
}

/** @kernel rt_del_uncached_list net/ipv4/route.c */
export function rtDelUncachedList(rt: Rtable): void {
  if (!rt.rtUncached) return;
  rt.rtUncached = false;
  rt.net.machine.netGlobals.rtUncachedList.delete(rt);
}

/** The device goes: routes outside the caches let it go. @kernel rt_flush_dev net/ipv4/route.c */
export function rtFlushDev(dev: NetDevice): void {
  const { machine } = dev.net;
  const list = machine.netGlobals.rtUncachedList;
  for (const rt of [...list]) {
    if (rt.dev !== dev) continue;
    dstReplaceDev(rt, blackholeNetdev(machine));
    rtDelUncachedList(rt);
  }
}

/** Makes `rt` the one that the hop's packets use. @kernel rt_cache_route net/ipv4/route.c */
export function rtCacheRoute(nhc: FibNh, rt: Rtable): void {
  const orig = rt.rtIsInput ? nhc.rthInput : nhc.rthOutput;
  dstHold(rt);
  if (rt.rtIsInput) nhc.rthInput = rt;
  else nhc.rthOutput = rt;
  if (orig === null) return;
  rtAddUncachedList(orig);
  dstRelease(orig);
}

/** @kernel fnhe_hashfn net/ipv4/route.c */
function fnheHashfn(net: Net, daddr: number): number {
  return siphash1u32(daddr, net.machine.netGlobals.netSecret) >>> (32 - FNHE_HASH_SHIFT);
}

/** @kernel fnhe_flush_routes net/ipv4/route.c */
function fnheFlushRoutes(fnhe: FibNhException): void {
  const { fnheRthInput, fnheRthOutput } = fnhe;
  fnhe.fnheRthInput = null;
  fnhe.fnheRthOutput = null;
  for (const rt of [fnheRthInput, fnheRthOutput]) {
    if (rt === null) continue;
    dstDevPut(rt);
    dstRelease(rt);
  }
}

/** Takes an entry out of its chain. */
function fnheUnlink(hash: (FibNhException | null)[], hval: number, victim: FibNhException): void {
  let prev: FibNhException | null = null;
  for (let f = hash[hval] ?? null; f !== null && f !== victim; f = f.fnheNext) prev = f;
  if (prev === null) hash[hval] = victim.fnheNext;
  else prev.fnheNext = victim.fnheNext;
  fnheFlushRoutes(victim);
}

/** @kernel fnhe_remove_oldest net/ipv4/route.c */
function fnheRemoveOldest(hash: (FibNhException | null)[], hval: number): void {
  let oldest = hash[hval] ?? null;
  for (let f = oldest; f !== null; f = f.fnheNext) {
    if (oldest !== null && ((f.fnheStamp - oldest.fnheStamp) | 0) < 0) oldest = f;
  }
  if (oldest !== null) fnheUnlink(hash, hval, oldest);
}

/** @kernel fill_route_from_fnhe net/ipv4/route.c */
function fillRouteFromFnhe(rt: Rtable, fnhe: FibNhException): void {
  rt.rtPmtu = fnhe.fnhePmtu;
  rt.rtMtuLocked = fnhe.fnheMtuLocked;
  rt.expires = fnhe.fnheExpires;
  if (fnhe.fnheGw === 0) return;
  rt.rtFlags = (rt.rtFlags | RTCF_REDIRECTED) >>> 0;
  rt.rtUsesGateway = true;
  rt.rtGwFamily = AF_INET;
  rt.rtGw4 = fnhe.fnheGw;
}

/** A new entry of a chain, for which the oldest may have to go. */
function fnheNew(net: Net, nhc: FibNh, hval: number, daddr: number): FibNhException {
  nhc.exceptions ??= new Array<FibNhException | null>(FNHE_HASH_SIZE).fill(null);
  const hash = nhc.exceptions;
  let depth = 0;
  for (let f = hash[hval] ?? null; f !== null; f = f.fnheNext) depth++;
  // A random limit, so that nobody can tell from outside which entries share a chain.
  const max = FNHE_RECLAIM_DEPTH + (net.machine.random.u32() % FNHE_RECLAIM_DEPTH);
  for (; depth > max; depth--) fnheRemoveOldest(hash, hval);
  const fnhe = new FibNhException();
  fnhe.fnheDaddr = daddr;
  fnhe.fnheNext = hash[hval] ?? null;
  hash[hval] = fnhe;
  return fnhe;
}

/**
 * Learns about a destination behind a hop: another gateway (0: none) or a path MTU (0: none), until
 * `expires` (jiffies).
 * @kernel update_or_create_fnhe net/ipv4/route.c
 */
export function updateOrCreateFnhe(
  net: Net,
  nhc: FibNh,
  daddr: number,
  gw: number,
  pmtu: number,
  lock: boolean,
  expires: number,
): void {
  const hval = fnheHashfn(net, daddr);
  let fnhe = nhc.exceptions?.[hval] ?? null;
  while (fnhe !== null && fnhe.fnheDaddr !== daddr) fnhe = fnhe.fnheNext;
  const until = expires === 0 ? 1 : expires;
  if (fnhe !== null) {
    if (gw !== 0) fnhe.fnheGw = gw;
    if (pmtu !== 0) {
      fnhe.fnhePmtu = pmtu;
      fnhe.fnheMtuLocked = lock;
    }
    fnhe.fnheExpires = until;
    if (fnhe.fnheRthInput !== null) fillRouteFromFnhe(fnhe.fnheRthInput, fnhe);
    if (fnhe.fnheRthOutput !== null) fillRouteFromFnhe(fnhe.fnheRthOutput, fnhe);
  } else {
    fnhe = fnheNew(net, nhc, hval, daddr);
    fnhe.fnheGw = gw;
    fnhe.fnhePmtu = pmtu;
    fnhe.fnheMtuLocked = lock;
    fnhe.fnheExpires = until;
    // Who holds the hop's common routes must look again: one of them may be this destination's.
    if (nhc.rthInput !== null) nhc.rthInput.obsolete = DST_OBSOLETE_KILL;
    if (nhc.rthOutput !== null) nhc.rthOutput.obsolete = DST_OBSOLETE_KILL;
  }
  fnhe.fnheGenid = net.ipv4.fnheGenid;
  fnhe.fnheStamp = net.machine.jiffies;
}

/** What is known about a destination, if it is not too old. @kernel find_exception net/ipv4/route.c */
export function findException(net: Net, nhc: FibNh, daddr: number): FibNhException | null {
  const hash = nhc.exceptions;
  if (hash === null) return null;
  const hval = fnheHashfn(net, daddr);
  for (let f = hash[hval] ?? null; f !== null; f = f.fnheNext) {
    if (f.fnheDaddr !== daddr) continue;
    if (f.fnheExpires !== 0 && timeAfter(net.machine.jiffies, f.fnheExpires)) {
      fnheUnlink(hash, hval, f);
      return null;
    }
    return f;
  }
  return null;
}

/** Gives the route what was learned about its destination; true: the exception keeps it. @kernel rt_bind_exception net/ipv4/route.c */
function rtBindException(
  rt: Rtable,
  fnhe: FibNhException,
  daddr: number,
  doCache: boolean,
): boolean {
  const { net } = rt;
  if (daddr !== fnhe.fnheDaddr) return false;
  if (fnhe.fnheGenid !== net.ipv4.fnheGenid) {
    fnhe.fnheGenid = net.ipv4.fnheGenid;
    fnhe.fnheGw = 0;
    fnhe.fnhePmtu = 0;
    fnhe.fnheExpires = 0;
    fnhe.fnheMtuLocked = false;
    fnheFlushRoutes(fnhe);
  }
  fillRouteFromFnhe(rt, fnhe);
  if (rt.rtGw4 === 0) {
    rt.rtGw4 = daddr;
    rt.rtGwFamily = AF_INET;
  }
  fnhe.fnheStamp = net.machine.jiffies;
  if (!doCache) return false;
  const orig = rt.rtIsInput ? fnhe.fnheRthInput : fnhe.fnheRthOutput;
  dstHold(rt);
  if (rt.rtIsInput) fnhe.fnheRthInput = rt;
  else fnhe.fnheRthOutput = rt;
  if (orig !== null) {
    dstDevPut(orig);
    dstRelease(orig);
  }
  return true;
}

/** Gives a fresh route its gateway and metrics, and a place in a cache. @kernel rt_set_nexthop net/ipv4/route.c */
export function rtSetNexthop(
  rt: Rtable,
  daddr: number,
  res: FibResult,
  fnhe: FibNhException | null,
  fi: FibInfo | null,
  doCache: boolean,
): void {
  if (fi === null) {
    rtAddUncachedList(rt);
    return;
  }
  const nhc = res.nhc as FibNh;
  if (nhc.fibNhGwFamily !== 0 && nhc.fibNhScope === RT_SCOPE_LINK) {
    rt.rtUsesGateway = true;
    rt.rtGwFamily = nhc.fibNhGwFamily;
    rt.rtGw4 = nhc.fibNhGw4;
  }
  if (fi.fibHasMetrics) rt.metrics = fi.fibMetrics;
  let cached = false;
  if (fnhe !== null) {
    cached = rtBindException(rt, fnhe, daddr, doCache);
  } else if (doCache) {
    rtCacheRoute(nhc, rt);
    cached = true;
  }
  if (cached) return;
  if (rt.rtGw4 === 0) {
    rt.rtGwFamily = AF_INET;
    rt.rtGw4 = daddr;
  }
  rtAddUncachedList(rt);
}
