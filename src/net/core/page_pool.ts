/**
 * Pages that go round: from the pool to the device, in a packet up the stack, and from there back to
 * the pool without troubling the allocator or the DMA mapping. Counterpart of net/core/page_pool.c;
 * the inlines of include/net/page_pool/helpers.h are here too.
 *
 *   allocator -> [cache] -> device -> packet -> freed in the pool's own NAPI: [cache]
 *                   ^                        \-> freed elsewhere:             [ring]
 *                   +------- refill, when the cache is empty -------------------+
 *
 * A page may be cut into fragments; its users are counted, and the last one gives it back. A page
 * that somebody else refers to (getPage) cannot be used again: it leaves the pool.
 */
import type { NapiStruct } from '#include/linux/netdevice.ts';
import { ptrRingConsume, ptrRingProduce } from '#include/linux/ptr_ring.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  PagePool,
  type PagePoolParams,
  PP_ALLOC_CACHE_REFILL,
  PP_ALLOC_CACHE_SIZE,
  PP_FLAG_DMA_MAP,
} from '#include/net/page_pool/types.ts';
import { KernelBug } from '#kernel/bug.ts';
import { inSoftirq } from '#kernel/cpu.ts';
import type { Machine } from '#kernel/machine.ts';
import { SLOT_SIZE } from '#mm/memory.ts';
import {
  addPagePool,
  addPpRefCount,
  allocPages,
  BLOCK_SIZE,
  pagePool,
  pageRefcount,
  putPage,
  removePagePool,
  setPagePool,
  setPpRefCount,
} from '#mm/page_alloc.ts';
import { E2BIG, EINVAL } from '#uapi/errno.ts';

/** More users than a page can ever have. @kernel BIAS_MAX net/core/page_pool.c */
const BIAS_MAX = 0x3fffffff;
/** Largest ring. */
const MAX_RING = 32768;
/** Fragments begin at a cache line: two do not share one while a device writes. */
const FRAG_ALIGN = 64;

/**
 * A pool, or -E2BIG for too large a ring, -EINVAL for parameters that do not fit together.
 * @kernel page_pool_create net/core/page_pool.c
 */
export function pagePoolCreate(machine: Machine, params: PagePoolParams): PagePool | number {
  if (params.poolSize > MAX_RING) return -E2BIG;
  if (params.pageSize < SLOT_SIZE || params.pageSize > BLOCK_SIZE) return -EINVAL;
  if ((params.flags & PP_FLAG_DMA_MAP) !== 0 && params.dev === null) return -EINVAL;
  const pool = new PagePool(machine, params, machine.netGlobals.pagePoolNext++);
  pool.memId = addPagePool(pool);
  machine.netGlobals.pagePools.push(pool);
  machine.live.pagePools++;
  return pool;
}

/** Pages that are not with the allocator. @kernel page_pool_inflight net/core/page_pool.c */
export function pagePoolInflight(pool: PagePool): number {
  return pool.pagesStateHoldCnt - pool.pagesStateReleaseCnt;
}

// Taking.

/** A page from the allocator; 0: memory is short. @kernel __page_pool_alloc_page_order net/core/page_pool.c */
function allocSlow(pool: PagePool): number {
  const { p } = pool;
  const page = allocPages(p.pageSize);
  if (page === 0) return 0;
  if ((p.flags & PP_FLAG_DMA_MAP) !== 0 && p.dev !== null) {
    p.dev.function.iommu.map(page, p.pageSize, p.dmaDir);
    pool.dmaMapped.add(page);
  }
  setPagePool(page, pool.memId);
  pool.pagesStateHoldCnt++;
  if (p.pageSize > SLOT_SIZE) pool.allocStats.slowHighOrder++;
  else pool.allocStats.slow++;
  return page;
}

/** Fills the empty cache from the ring; a page, or 0. @kernel page_pool_refill_alloc_cache net/core/page_pool.c */
function refillAllocCache(pool: PagePool): number {
  const { cache, ring } = pool;
  let page = ptrRingConsume(ring);
  if (page === 0) return 0;
  while (pool.cacheCount < PP_ALLOC_CACHE_REFILL) {
    cache[pool.cacheCount++] = page;
    page = ptrRingConsume(ring);
    if (page === 0) break;
  }
  // One too many was taken.
  if (page !== 0) cache[pool.cacheCount++] = page;
  pool.allocStats.refill++;
  return cache[--pool.cacheCount] as number;
}

/** A page of the pool's size with one user; 0: memory is short. @kernel page_pool_alloc_pages net/core/page_pool.c */
export function pagePoolAllocPages(pool: PagePool): number {
  let page = 0;
  if (pool.cacheCount > 0) {
    page = pool.cache[--pool.cacheCount] as number;
    pool.allocStats.fast++;
  } else {
    pool.allocStats.empty++;
    page = refillAllocCache(pool);
    if (page === 0) page = allocSlow(pool);
  }
  if (page !== 0) setPpRefCount(page, 1);
  return page;
}

/** The page that fragments were cut from is full: again, when nobody uses it any more. @kernel page_pool_drain_frag net/core/page_pool.c */
function drainFrag(pool: PagePool, page: number): number {
  if (addPpRefCount(page, pool.fragUsers - BIAS_MAX) > 0) return 0;
  if (pageRefcount(page) === 1) return page;
  returnPage(pool, page);
  return 0;
}

/**
 * A part of `wanted` bytes (rounded up to cache lines) of a page: the address of the part, or 0 when
 * memory is short. The page is `pool.fragPage`.
 * @kernel page_pool_alloc_frag net/core/page_pool.c
 */
export function pagePoolAllocFrag(pool: PagePool, wanted: number): number {
  const size = (wanted + FRAG_ALIGN - 1) & ~(FRAG_ALIGN - 1);
  const { pageSize } = pool.p;
  if (size > pageSize) throw new KernelBug('page-pool-frag', `${wanted} bytes of ${pageSize}`);
  let page = pool.fragPage;
  if (page !== 0 && pool.fragOffset + size > pageSize) {
    page = drainFrag(pool, page);
    if (page !== 0) {
      pool.recycleStats.cached++;
      pool.allocStats.fast++;
      return startFrag(pool, page, size);
    }
  }
  if (page === 0) {
    page = pagePoolAllocPages(pool);
    pool.fragPage = page;
    return page === 0 ? 0 : startFrag(pool, page, size);
  }
  pool.fragUsers++;
  pool.fragOffset += size;
  return page + pool.fragOffset - size;
}

function startFrag(pool: PagePool, page: number, size: number): number {
  pool.fragPage = page;
  pool.fragUsers = 1;
  pool.fragOffset = size;
  setPpRefCount(page, BIAS_MAX);
  return page;
}

/**
 * Bytes left in the page behind the fragment given out last; they can be had with it, so that the end
 * of a page is not lost.
 */
export function pagePoolFragRest(pool: PagePool): number {
  return pool.p.pageSize - pool.fragOffset;
}

/** The fragment given out last gets the rest of its page. */
export function pagePoolFragExtend(pool: PagePool): void {
  pool.fragOffset = pool.p.pageSize;
}

// Giving back.

/** Lets a page go to the allocator: it does not belong to the pool any more. @kernel page_pool_return_netmem net/core/page_pool.c */
function returnPage(pool: PagePool, page: number): void {
  unmapPage(pool, page);
  setPagePool(page, 0);
  pool.pagesStateReleaseCnt++;
  putPage(page);
  if (pool.destroyed) pagePoolRelease(pool);
}

/** @kernel __page_pool_release_netmem_dma net/core/page_pool.c */
function unmapPage(pool: PagePool, page: number): void {
  const { p } = pool;
  if (p.dev === null || !pool.dmaMapped.delete(page)) return;
  p.dev.function.iommu.unmap(page, p.pageSize, p.dmaDir);
}

/** Does the pool's own NAPI instance run, here and now? @kernel page_pool_napi_local net/core/page_pool.c */
function pagePoolNapiLocal(pool: PagePool, machine: Machine): boolean {
  if (pool.directDisabled || pool.machine !== machine) return false;
  const { cpu } = machine;
  if (!inSoftirq(cpu)) return false;
  const napi: NapiStruct | null = pool.p.napi;
  return napi !== null && napi.listOwner === cpu.id;
}

/** @kernel page_pool_recycle_in_cache net/core/page_pool.c */
function recycleInCache(pool: PagePool, page: number): boolean {
  if (pool.cacheCount === PP_ALLOC_CACHE_SIZE) {
    pool.recycleStats.cacheFull++;
    return false;
  }
  pool.cache[pool.cacheCount++] = page;
  pool.recycleStats.cached++;
  return true;
}

/** A page without users comes back. @kernel page_pool_put_unrefed_netmem net/core/page_pool.c */
function putUnrefed(pool: PagePool, page: number, allowDirect: boolean): void {
  if (pool.destroyed) {
    returnPage(pool, page);
    return;
  }
  if (pageRefcount(page) !== 1) {
    pool.recycleStats.releasedRefcnt++;
    returnPage(pool, page);
    return;
  }
  if (allowDirect && recycleInCache(pool, page)) return;
  if (ptrRingProduce(pool.ring, page)) {
    pool.recycleStats.ring++;
    return;
  }
  pool.recycleStats.ringFull++;
  returnPage(pool, page);
}

/** One user of a page less; `machine` is where that happens. @kernel page_pool_put_page net/core/page_pool.c */
export function pagePoolPutPage(machine: Machine, pool: PagePool, page: number): void {
  if (addPpRefCount(page, -1) > 0) return;
  putUnrefed(pool, page, pagePoolNapiLocal(pool, machine));
}

/** One user of a page more. @kernel page_pool_ref_page include/net/page_pool/helpers.h */
export function pagePoolRefPage(page: number): void {
  addPpRefCount(page, 1);
}

/** Gives a packet's page back to its pool; false: it is no pool's page. @kernel napi_pp_put_page net/core/skbuff.c */
export function napiPpPutPage(machine: Machine, page: number): boolean {
  const pool = pagePool(page);
  if (pool === null) return false;
  pagePoolPutPage(machine, pool, page);
  return true;
}

/** The packet's pages come from a pool, and are to go back there. @kernel skb_mark_for_recycle include/linux/skbuff.h */
export function skbMarkForRecycle(skb: SkBuff): void {
  skb.ppRecycle = true;
}

// The end.

/** @kernel page_pool_free_frag net/core/page_pool.c */
function freeFrag(pool: PagePool): void {
  const page = pool.fragPage;
  pool.fragPage = 0;
  if (page === 0) return;
  if (addPpRefCount(page, pool.fragUsers - BIAS_MAX) === 0) returnPage(pool, page);
}

/** Frees the pages that nobody uses. @kernel page_pool_scrub net/core/page_pool.c */
function scrub(pool: PagePool): void {
  while (pool.cacheCount > 0) returnPage(pool, pool.cache[--pool.cacheCount] as number);
  for (let page = ptrRingConsume(pool.ring); page !== 0; page = ptrRingConsume(pool.ring)) {
    returnPage(pool, page);
  }
  // The device goes: those still in packets stay memory, but are the device's no more.
  for (const page of [...pool.dmaMapped]) unmapPage(pool, page);
}

/** The last page is back. @kernel page_pool_release net/core/page_pool.c */
function pagePoolRelease(pool: PagePool): void {
  if (pool.memId === 0 || pagePoolInflight(pool) > 0) return;
  removePagePool(pool.memId);
  pool.memId = 0;
  const { pagePools } = pool.machine.netGlobals;
  pagePools.splice(pagePools.indexOf(pool), 1);
  pool.machine.live.pagePools--;
}

/** The NAPI instance goes away before the pool does. @kernel page_pool_disable_direct_recycling net/core/page_pool.c */
export function pagePoolDisableDirectRecycling(pool: PagePool): void {
  pool.directDisabled = true;
}

/**
 * The owner has no more use for the pool. It lives on until the last page that is in flight comes back.
 * @deviation Linux looks every second whether that is so; here the page that comes back says it.
 * @kernel page_pool_destroy net/core/page_pool.c
 */
export function pagePoolDestroy(pool: PagePool): void {
  pagePoolDisableDirectRecycling(pool);
  freeFrag(pool);
  scrub(pool);
  pool.destroyed = true;
  pagePoolRelease(pool);
}

// Statistics.

/** Names of the statistics, as drivers show them to ethtool. @kernel pp_stats net/core/page_pool.c */
export const PP_STATS: readonly string[] = [
  'rx_pp_alloc_fast',
  'rx_pp_alloc_slow',
  'rx_pp_alloc_slow_ho',
  'rx_pp_alloc_empty',
  'rx_pp_alloc_refill',
  'rx_pp_alloc_waive',
  'rx_pp_recycle_cached',
  'rx_pp_recycle_cache_full',
  'rx_pp_recycle_ring',
  'rx_pp_recycle_ring_full',
  'rx_pp_recycle_released_ref',
];

/** The sums over some pools, in the order of PP_STATS. @kernel page_pool_get_stats net/core/page_pool.c */
export function pagePoolEthtoolStats(pools: readonly PagePool[]): number[] {
  const sums = new Array<number>(PP_STATS.length).fill(0);
  for (const { allocStats: a, recycleStats: r } of pools) {
    const values = [
      a.fast,
      a.slow,
      a.slowHighOrder,
      a.empty,
      a.refill,
      a.waive,
      r.cached,
      r.cacheFull,
      r.ring,
      r.ringFull,
      r.releasedRefcnt,
    ];
    for (const [i, value] of values.entries()) sums[i] = (sums[i] as number) + value;
  }
  return sums;
}
