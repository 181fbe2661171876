/**
 * Pools of pages for receive queues. Counterpart of include/net/page_pool/types.h. A page is a unit of
 * packet memory (mm/page_alloc.ts), named by its address.
 */

import type { NapiStruct, NetDevice } from '#include/linux/netdevice.ts';
import type { PciDev } from '#include/linux/pci.ts';
import { PtrRing } from '#include/linux/ptr_ring.ts';
import type { Machine } from '#kernel/machine.ts';

/** The pool maps its pages for the device. */
export const PP_FLAG_DMA_MAP: number = 1 << 0;

/** Pages that the NAPI owner can have without the ring. */
export const PP_ALLOC_CACHE_SIZE = 128;
/** Pages taken from the ring, or from the allocator, at a time. */
export const PP_ALLOC_CACHE_REFILL = 64;

/** @kernel page_pool_params include/net/page_pool/types.h */
export interface PagePoolParams {
  readonly flags: number;
  /** Bytes of a page: SLOT_SIZE or CHUNK_SIZE. Linux gives the order instead. */
  readonly pageSize: number;
  /** Size of the ring. */
  readonly poolSize: number;
  /** The device, for PP_FLAG_DMA_MAP. */
  readonly dev: PciDev | null;
  /** The only consumer of pages that may be given back to it directly; null: there is none. */
  readonly napi: NapiStruct | null;
  readonly netdev: NetDevice | null;
  /** DMA_*, for PP_FLAG_DMA_MAP. */
  readonly dmaDir: number;
}

/** @kernel page_pool_alloc_stats include/net/page_pool/types.h */
export class PagePoolAllocStats {
  /** From the cache. */
  fast = 0;
  /** From the allocator, pages of the smallest kind. */
  slow = 0;
  /** From the allocator, larger pages. */
  slowHighOrder = 0;
  /** The cache was empty, and the allocator had to be asked. */
  empty = 0;
  /** The cache was filled from the ring. */
  refill = 0;
  /** Pages of the ring that could not be used. Always 0: there is one memory node. */
  waive = 0;
}

/** @kernel page_pool_recycle_stats include/net/page_pool/types.h */
export class PagePoolRecycleStats {
  /** Into the cache. */
  cached = 0;
  cacheFull = 0;
  /** Into the ring. */
  ring = 0;
  ringFull = 0;
  /** Somebody else held the page: it left the pool. */
  releasedRefcnt = 0;
}

/**
 * Invariant: `hold - release` pages are in flight: in the cache, in the ring, with the device or in
 * packets.
 * @kernel page_pool include/net/page_pool/types.h
 */
export class PagePool {
  readonly machine: Machine;
  readonly p: PagePoolParams;
  /** Number of this pool, as netlink shows it. */
  readonly id: number;
  /** By which the pages name it; of mm/page_alloc.ts. */
  memId: number;
  /** Pages taken from the allocator, and given back to it. */
  pagesStateHoldCnt: number;
  pagesStateReleaseCnt: number;
  readonly cache: Int32Array;
  cacheCount: number;
  readonly ring: PtrRing;
  /** The page that fragments are being cut from; 0: none. Its next free byte, and users so far. */
  fragPage: number;
  fragOffset: number;
  fragUsers: number;
  /** Mapped pages; kept to unmap those that outlive the device. */
  readonly dmaMapped: Set<number>;
  /** page_pool_destroy() was called: pages that come back are freed. */
  destroyed: boolean;
  /** The NAPI instance is gone: nothing comes back directly. */
  directDisabled: boolean;
  readonly allocStats: PagePoolAllocStats;
  readonly recycleStats: PagePoolRecycleStats;

  constructor(machine: Machine, params: PagePoolParams, id: number) {
    this.machine = machine;
    this.p = params;
    this.id = id;
    this.memId = 0;
    this.pagesStateHoldCnt = 0;
    this.pagesStateReleaseCnt = 0;
    this.cache = new Int32Array(PP_ALLOC_CACHE_SIZE);
    this.cacheCount = 0;
    this.ring = new PtrRing(params.poolSize);
    this.fragPage = 0;
    this.fragOffset = 0;
    this.fragUsers = 0;
    this.dmaMapped = new Set();
    this.destroyed = false;
    this.directDisabled = false;
    this.allocStats = new PagePoolAllocStats();
    this.recycleStats = new PagePoolRecycleStats();
  }
}
