/**
 * Opening packet memory to a device. Counterpart of include/linux/dma-mapping.h and
 * kernel/dma/mapping.c, of which devices other than those on PCI have no use here.
 *
 * Bus addresses are addresses of packet memory. The mapping still has a meaning: in debug builds a
 * device that touches memory outside its mappings, or a driver that forgets one, is caught.
 */
import { DMA_BIDIRECTIONAL } from '#hardware/pci/iommu.ts';
import type { PciDev } from '#include/linux/pci.ts';
import { type SkbSharedInfo, skbFragAddress } from '#include/linux/skbuff.ts';
import { mem } from '#mm/memory.ts';
import { allocPages, putPage } from '#mm/page_alloc.ts';

/** @kernel dma_map_single include/linux/dma-mapping.h */
export function dmaMapSingle(pdev: PciDev, addr: number, size: number, dir: number): number {
  return pdev.function.iommu.map(addr, size, dir);
}

/** @kernel dma_unmap_single include/linux/dma-mapping.h */
export function dmaUnmapSingle(pdev: PciDev, dma: number, size: number, dir: number): void {
  pdev.function.iommu.unmap(dma, size, dir);
}

/** Maps `size` bytes of a fragment from `offset` on. @kernel skb_frag_dma_map include/linux/skbuff.h */
export function skbFragDmaMap(
  pdev: PciDev,
  shinfo: SkbSharedInfo,
  i: number,
  offset: number,
  size: number,
  dir: number,
): number {
  return pdev.function.iommu.map(skbFragAddress(shinfo, i) + offset, size, dir);
}

/** Zeroed memory that both sides use all the time; 0 when memory is exhausted. @kernel dma_alloc_coherent include/linux/dma-mapping.h */
export function dmaAllocCoherent(pdev: PciDev, size: number): number {
  const addr = allocPages(size);
  if (addr === 0) return 0;
  mem.fill(0, addr, addr + size);
  return pdev.function.iommu.map(addr, size, DMA_BIDIRECTIONAL);
}

/** @kernel dma_free_coherent include/linux/dma-mapping.h */
export function dmaFreeCoherent(pdev: PciDev, size: number, dma: number): void {
  pdev.function.iommu.unmap(dma, size, DMA_BIDIRECTIONAL);
  putPage(dma);
}
