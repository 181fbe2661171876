/** Page pools: where pages come from and go to, what is counted, and that none is lost. */
import { expect, test } from 'vitest';
import { Lan, type LanMachine } from '#drivers/net/testing/lan.ts';
import { NETIF_F_HW_CSUM, NETIF_F_SG } from '#include/linux/netdev_features.ts';
import { netDeviceOps } from '#include/linux/netdevice.ts';
import { PtrRing, ptrRingConsume, ptrRingEmpty, ptrRingProduce } from '#include/linux/ptr_ring.ts';
import { __skbPull, skbReserve } from '#include/linux/skbuff.ts';
import type { PagePool } from '#include/net/page_pool/types.ts';
import { liveReport } from '#kernel/live.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import { mem, SLOT_SIZE } from '#mm/memory.ts';
import {
  CHUNK_SIZE,
  getPage,
  livePages,
  pagePool,
  pageRefcount,
  putPage,
  virtToHeadPage,
} from '#mm/page_alloc.ts';
import { netifNapiAdd } from '#net/core/dev_napi.ts';
import {
  PP_STATS,
  pagePoolAllocFrag,
  pagePoolAllocPages,
  pagePoolCreate,
  pagePoolDestroy,
  pagePoolEthtoolStats,
  pagePoolInflight,
  pagePoolPutPage,
  skbMarkForRecycle,
} from '#net/core/page_pool.ts';
import {
  buildSkb,
  consumeSkb,
  kfreeSkbList,
  napiAllocSkb,
  skbClone,
  skbPut,
} from '#net/core/skbuff.ts';
import { pskbExpandHead, pskbMayPull } from '#net/core/skbuff_copy.ts';
import { skbCopyBits } from '#net/core/skbuff_data.ts';
import { skbAddRxFrag, skbTryCoalesce } from '#net/core/skbuff_frags.ts';
import { skbSegment } from '#net/core/skbuff_segment.ts';
import { allocEtherdev } from '#net/ethernet/eth.ts';
import { E2BIG } from '#uapi/errno.ts';
import { ETH_P_IP } from '#uapi/if_ether.ts';
import { SKB_DROP_REASON_NOT_SPECIFIED } from '#uapi/net_dropreason.ts';

interface Bench {
  readonly a: LanMachine;
  readonly pool: PagePool;
  /** Runs as the pool's own NAPI instance would. */
  readonly inNapi: <T>(fn: () => T) => T;
}

function withPool(pageSize: number, run: (bench: Bench) => void, poolSize = 16): void {
  const before = livePages().units;
  const lan = new Lan();
  const a = lan.boot('a');
  const { machine } = a;
  const dev = allocEtherdev(machine.initNet, netDeviceOps({ ndoStartXmit: () => 0 }), null);
  const napi = netifNapiAdd(dev, () => 0);
  const pool = pagePoolCreate(machine, {
    flags: 0,
    pageSize,
    poolSize,
    dev: null,
    napi,
    netdev: dev,
    dmaDir: 2,
  });
  if (typeof pool === 'number') throw new Error(`errno ${pool}`);
  const inNapi = <T>(fn: () => T): T => {
    localBhDisable(machine);
    napi.listOwner = machine.cpu.id;
    try {
      return fn();
    } finally {
      napi.listOwner = -1;
      localBhEnable(machine);
    }
  };
  run({ a, pool, inNapi });
  if (!pool.destroyed) pagePoolDestroy(pool);
  expect(lan.shutDown()).toEqual({});
  expect(livePages().units).toBe(before);
}

test('a page freed by the pool’s own NAPI is the next to be given out; elsewhere it goes through the ring', () => {
  withPool(SLOT_SIZE, ({ a, pool, inNapi }) => {
    const page = pagePoolAllocPages(pool);
    expect(pagePool(page)).toBe(pool);
    inNapi(() => pagePoolPutPage(a.machine, pool, page));
    expect(pool.recycleStats).toMatchObject({ cached: 1, ring: 0 });
    expect(pagePoolAllocPages(pool)).toBe(page);
    pagePoolPutPage(a.machine, pool, page);
    expect(pool.recycleStats).toMatchObject({ cached: 1, ring: 1 });
    expect(pagePoolAllocPages(pool)).toBe(page);
    expect(pool.allocStats).toMatchObject({ fast: 1, slow: 1, empty: 2, refill: 1 });
    expect(pagePoolInflight(pool)).toBe(1);
    pagePoolPutPage(a.machine, pool, page);
  });
});

test('a page that somebody else refers to leaves the pool, and lives on', () => {
  withPool(SLOT_SIZE, ({ a, pool }) => {
    const page = pagePoolAllocPages(pool);
    getPage(page);
    pagePoolPutPage(a.machine, pool, page);
    expect(pool.recycleStats.releasedRefcnt).toBe(1);
    expect([pagePool(page), pageRefcount(page), pagePoolInflight(pool)]).toEqual([null, 1, 0]);
    putPage(page);
  });
});

test('what the ring cannot hold goes back to the allocator', () => {
  withPool(
    SLOT_SIZE,
    ({ a, pool }) => {
      const pages = Array.from({ length: 6 }, () => pagePoolAllocPages(pool));
      for (const page of pages) pagePoolPutPage(a.machine, pool, page);
      expect(pool.recycleStats).toMatchObject({ ring: 4, ringFull: 2 });
      expect(pagePoolInflight(pool)).toBe(4);
    },
    4,
  );
});

test('fragments share a page; the last user gives it back', () => {
  withPool(CHUNK_SIZE, ({ a, pool, inNapi }) => {
    const first = pagePoolAllocFrag(pool, 1500);
    const second = pagePoolAllocFrag(pool, 1500);
    expect(second - first).toBe(1536);
    expect(virtToHeadPage(second + 100)).toBe(first);
    const page = virtToHeadPage(first);
    const more: number[] = [];
    while (virtToHeadPage(more.at(-1) ?? first) === page) more.push(pagePoolAllocFrag(pool, 4096));
    const next = more.pop() as number;
    for (const frag of [first, second, ...more]) {
      expect(pool.recycleStats.cached).toBe(0);
      inNapi(() => pagePoolPutPage(a.machine, pool, virtToHeadPage(frag)));
    }
    expect(pool.recycleStats.cached).toBe(1);
    pagePoolPutPage(a.machine, pool, virtToHeadPage(next));
  });
});

test('a full page that nobody uses any more is cut anew', () => {
  withPool(CHUNK_SIZE, ({ a, pool }) => {
    const first = pagePoolAllocFrag(pool, CHUNK_SIZE);
    pagePoolPutPage(a.machine, pool, virtToHeadPage(first));
    expect(pagePoolAllocFrag(pool, CHUNK_SIZE)).toBe(first);
    expect(pool.allocStats).toMatchObject({ slowHighOrder: 1, fast: 1 });
    pagePoolPutPage(a.machine, pool, virtToHeadPage(first));
  });
});

test('a pool that is destroyed lives until its last page is back', () => {
  withPool(SLOT_SIZE, ({ a, pool }) => {
    const page = pagePoolAllocPages(pool);
    pagePoolDestroy(pool);
    expect(liveReport(a.machine)).toMatchObject({ pagePools: 1 });
    pagePoolPutPage(a.machine, pool, page);
    expect(liveReport(a.machine)).toEqual({});
  });
});

/** A packet whose head and one fragment are a pool's. */
function packet({ a, pool }: Bench): ReturnType<typeof buildSkb> {
  const { machine } = a;
  const head = pagePoolAllocFrag(pool, 2048);
  const frag = pagePoolAllocFrag(pool, 1536);
  const skb = buildSkb(machine, head, 2048);
  skbMarkForRecycle(skb);
  skbReserve(skb, 64);
  skbPut(skb, 200);
  skbAddRxFrag(skb, 0, virtToHeadPage(frag), frag - virtToHeadPage(frag), 1500, 1536);
  return skb;
}

test('packets give their pages back once, however they were shared, pulled or expanded', () => {
  const ways: readonly ((bench: Bench) => void)[] = [
    (bench) => consumeSkb(packet(bench)),
    (bench) => {
      const skb = packet(bench);
      const clone = skbClone(skb);
      consumeSkb(skb);
      consumeSkb(clone);
    },
    (bench) => {
      const skb = packet(bench);
      const clone = skbClone(skb);
      expect(pskbExpandHead(clone, 64, 64)).toBe(0);
      consumeSkb(skb);
      consumeSkb(clone);
    },
    (bench) => {
      const skb = packet(bench);
      const clone = skbClone(skb);
      expect(pskbExpandHead(skb, 64, 64)).toBe(0);
      consumeSkb(skb);
      consumeSkb(clone);
    },
    (bench) => {
      const skb = packet(bench);
      expect(pskbMayPull(skb, 1700)).toBe(true);
      consumeSkb(skb);
    },
    (bench) => {
      const to = packet(bench);
      const from = packet(bench);
      const clone = skbClone(from);
      expect(skbTryCoalesce(to, from)).toBe(-1);
      consumeSkb(from);
      consumeSkb(to);
      consumeSkb(clone);
    },
    (bench) => {
      const to = packet(bench);
      const { napi } = bench.pool.p;
      const from = napi === null ? null : napiAllocSkb(napi, 128);
      if (from === null) throw new Error('no memory');
      skbMarkForRecycle(from);
      const frag = pagePoolAllocFrag(bench.pool, 1536);
      const page = virtToHeadPage(frag);
      skbAddRxFrag(from, 0, page, frag - page, 1500, 1536);
      const clone = skbClone(from);
      expect(skbTryCoalesce(to, from)).toBeGreaterThan(0);
      consumeSkb(from);
      consumeSkb(to);
      consumeSkb(clone);
    },
    (bench) => {
      const before = packet(bench);
      const skb = packet(bench);
      consumeSkb(before);
      skb.protocol = ETH_P_IP;
      skb.macHeader = skb.data;
      skb.shinfo.gsoSize = 300;
      __skbPull(skb, 54);
      mem.fill(7, skb.data, skb.tail);
      const segs = skbSegment(skb, NETIF_F_SG | NETIF_F_HW_CSUM);
      if (typeof segs === 'number') throw new Error(`errno ${segs}`);
      // The segments alone hold the memory now.
      consumeSkb(skb);
      const first = new Uint8Array(146);
      skbCopyBits(segs, 54, first, 0, first.length);
      expect(first.every((byte) => byte === 7)).toBe(true);
      kfreeSkbList(segs, SKB_DROP_REASON_NOT_SPECIFIED, 'test');
    },
  ];
  for (const way of ways) {
    withPool(CHUNK_SIZE, (bench) => {
      way(bench);
      pagePoolDestroy(bench.pool);
      expect(pagePoolInflight(bench.pool)).toBe(0);
      expect(liveReport(bench.a.machine)).toEqual({});
    });
  }
});

test('too large a ring is refused; statistics have a name each', () => {
  withPool(SLOT_SIZE, ({ a, pool }) => {
    expect(pagePoolCreate(a.machine, { ...pool.p, poolSize: 40_000 })).toBe(-E2BIG);
    expect(pagePoolEthtoolStats([pool, pool])).toHaveLength(PP_STATS.length);
  });
});

test('a ring of numbers: first in first out, refuses when full', () => {
  const ring = new PtrRing(3);
  expect(ptrRingEmpty(ring)).toBe(true);
  expect([1, 2, 3, 4].map((n) => ptrRingProduce(ring, n))).toEqual([true, true, true, false]);
  expect(ptrRingConsume(ring)).toBe(1);
  expect(ptrRingProduce(ring, 5)).toBe(true);
  expect([0, 0, 0, 0].map(() => ptrRingConsume(ring))).toEqual([2, 3, 5, 0]);
  expect(ptrRingProduce(new PtrRing(0), 1)).toBe(false);
});
