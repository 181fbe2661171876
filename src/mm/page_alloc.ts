/**
 * Allocation of packet memory in three sizes, with reference counts.
 *
 * Counterpart of mm/page_alloc.c and of the slabs that packet heads come from: slots of 2 KiB,
 * chunks of 32 KiB (the pages of fragments) and blocks of 128 KiB. A block is cut into four chunks,
 * a chunk into sixteen slots; what is free again grows back together when memory runs short. Free
 * lists are last-in first-out, which keeps the cache warm. Address 0 is never given out.
 */
import type { PagePool } from '#include/net/page_pool/types.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { mem, SLOT_SHIFT, SLOT_SIZE, shadow } from '#mm/memory.ts';

export const CHUNK_SIZE = 32768;
export const BLOCK_SIZE = 131072;

const SLOTS_PER_CHUNK: number = CHUNK_SIZE / SLOT_SIZE;
const SLOTS_PER_BLOCK: number = BLOCK_SIZE / SLOT_SIZE;

const CLASS_SLOT = 0;
const CLASS_CHUNK = 1;
const CLASS_BLOCK = 2;
const CLASS_SLOTS: readonly number[] = [1, SLOTS_PER_CHUNK, SLOTS_PER_BLOCK];

/** Freed units that debug builds keep poisoned for a while before they are used again. */
const QUARANTINE = 64;
const POISON = 0x6b;

/** A stack of unit numbers in a typed array. */
class FreeList {
  private readonly units: Int32Array;
  size: number;

  constructor(capacity: number) {
    this.units = new Int32Array(capacity);
    this.size = 0;
  }

  push(unit: number): void {
    this.units[this.size++] = unit;
  }

  pop(): number {
    return this.size === 0 ? 0 : (this.units[--this.size] as number);
  }

  /** Empties the list into an array of unit numbers. */
  drain(): Int32Array {
    const all = this.units.slice(0, this.size);
    this.size = 0;
    return all;
  }
}

class PageAllocator {
  /** Holders of the unit that begins at this slot; 0: free. */
  private readonly refs: Int32Array;
  /** CLASS_* of the unit that begins at this slot. */
  private readonly classes: Uint8Array;
  /** Place in `pools` of the pool that the unit at this slot belongs to; 0: none. */
  private readonly pps: Uint16Array;
  /** Users of parts of a pool's unit. */
  readonly ppRefs: Int32Array;
  private readonly pools: (PagePool | null)[];
  private readonly slots: FreeList;
  private readonly chunks: FreeList;
  private readonly blocks: FreeList;
  private readonly quarantine: number[];
  /** Slots from here on have never been used. */
  private fresh: number;
  private readonly end: number;
  /** Units given out and not yet returned. */
  live: number;
  /** Bytes of them. */
  liveBytes: number;

  constructor(totalSlots: number) {
    this.refs = new Int32Array(totalSlots);
    this.classes = new Uint8Array(totalSlots);
    this.pps = new Uint16Array(totalSlots);
    this.ppRefs = new Int32Array(totalSlots);
    this.pools = [null];
    this.slots = new FreeList(totalSlots);
    this.chunks = new FreeList(totalSlots / SLOTS_PER_CHUNK);
    this.blocks = new FreeList(totalSlots / SLOTS_PER_BLOCK);
    this.quarantine = [];
    // The first block stays unused, so that no address is 0.
    this.fresh = SLOTS_PER_BLOCK;
    this.end = totalSlots - (totalSlots % SLOTS_PER_BLOCK);
    this.live = 0;
    this.liveBytes = 0;
  }

  alloc(size: number): number {
    let unit: number;
    let kind: number;
    if (size <= SLOT_SIZE) {
      unit = this.takeSlot();
      kind = CLASS_SLOT;
    } else if (size <= CHUNK_SIZE) {
      unit = this.takeChunk();
      kind = CLASS_CHUNK;
    } else if (size <= BLOCK_SIZE) {
      unit = this.takeBlock();
      kind = CLASS_BLOCK;
    } else {
      return 0;
    }
    if (unit === 0) return this.afterReclaim(size);
    this.refs[unit] = 1;
    this.classes[unit] = kind;
    this.live++;
    const count = CLASS_SLOTS[kind] as number;
    this.liveBytes += count * SLOT_SIZE;
    if (DEBUG) shadow.fill(1, unit, unit + count);
    return unit << SLOT_SHIFT;
  }

  get(addr: number): void {
    const unit = addr >>> SLOT_SHIFT;
    if (DEBUG && (this.refs[unit] as number) <= 0) {
      throw new KernelBug('page-refcount', `reference taken on free memory at ${addr}`);
    }
    (this.refs[unit] as number)++;
  }

  put(addr: number): void {
    const unit = addr >>> SLOT_SHIFT;
    const refs = --(this.refs[unit] as number);
    if (refs > 0) return;
    if (refs < 0) {
      this.refs[unit] = 0;
      throw new KernelBug('double-free', `packet memory at ${addr} is freed twice`);
    }
    const kind = this.classes[unit] as number;
    const count = CLASS_SLOTS[kind] as number;
    this.live--;
    this.liveBytes -= count * SLOT_SIZE;
    if (DEBUG) this.isolate(unit, count);
    else this.release(unit, kind);
  }

  count(addr: number): number {
    return this.refs[addr >>> SLOT_SHIFT] as number;
  }

  /** Where the unit begins that an address lies in; it must be in use. */
  headOf(addr: number): number {
    const slot = addr >>> SLOT_SHIFT;
    const block = slot - (slot % SLOTS_PER_BLOCK);
    if (this.refs[block] !== 0 && this.classes[block] === CLASS_BLOCK) return block << SLOT_SHIFT;
    const chunk = slot - (slot % SLOTS_PER_CHUNK);
    if (this.refs[chunk] !== 0 && this.classes[chunk] === CLASS_CHUNK) return chunk << SLOT_SHIFT;
    return slot << SLOT_SHIFT;
  }

  /** A number for a pool; it is given back with removePool(). */
  addPool(pool: PagePool): number {
    const free = this.pools.indexOf(null, 1);
    const id = free < 0 ? this.pools.length : free;
    this.pools[id] = pool;
    return id;
  }

  removePool(id: number): void {
    this.pools[id] = null;
  }

  setPool(addr: number, id: number): void {
    this.pps[addr >>> SLOT_SHIFT] = id;
  }

  poolOf(addr: number): PagePool | null {
    const id = this.pps[addr >>> SLOT_SHIFT] as number;
    return id === 0 ? null : (this.pools[id] as PagePool | null);
  }

  private release(unit: number, kind: number): void {
    if (kind === CLASS_SLOT) this.slots.push(unit);
    else if (kind === CLASS_CHUNK) this.chunks.push(unit);
    else this.blocks.push(unit);
  }

  /** Debug builds: poisons the unit and keeps it from being used again at once. */
  private isolate(unit: number, count: number): void {
    shadow.fill(0, unit, unit + count);
    mem.fill(POISON, unit << SLOT_SHIFT, (unit + count) << SLOT_SHIFT);
    this.quarantine.push(unit);
    if (this.quarantine.length > QUARANTINE) {
      const oldest = this.quarantine.shift() as number;
      this.release(oldest, this.classes[oldest] as number);
    }
  }

  private takeSlot(): number {
    const unit = this.slots.pop();
    if (unit !== 0) return unit;
    const chunk = this.takeChunk();
    if (chunk === 0) return 0;
    for (let i = SLOTS_PER_CHUNK - 1; i > 0; i--) this.slots.push(chunk + i);
    return chunk;
  }

  private takeChunk(): number {
    const unit = this.chunks.pop();
    if (unit !== 0) return unit;
    const block = this.takeBlock();
    if (block === 0) return 0;
    for (let i = SLOTS_PER_BLOCK - SLOTS_PER_CHUNK; i > 0; i -= SLOTS_PER_CHUNK) {
      this.chunks.push(block + i);
    }
    return block;
  }

  private takeBlock(): number {
    const unit = this.blocks.pop();
    if (unit !== 0) return unit;
    if (this.fresh >= this.end) return 0;
    const block = this.fresh;
    this.fresh += SLOTS_PER_BLOCK;
    return block;
  }

  /** Memory has run short: joins what is free, then tries once more. */
  private afterReclaim(size: number): number {
    for (const unit of this.quarantine.splice(0)) this.release(unit, this.classes[unit] as number);
    join(this.slots, SLOTS_PER_CHUNK, 1, this.chunks);
    join(this.chunks, SLOTS_PER_BLOCK, SLOTS_PER_CHUNK, this.blocks);
    const possible =
      size <= SLOT_SIZE
        ? this.slots.size + this.chunks.size + this.blocks.size > 0
        : size <= CHUNK_SIZE
          ? this.chunks.size + this.blocks.size > 0
          : this.blocks.size > 0;
    return possible ? this.alloc(size) : 0;
  }
}

/** Moves every group of `groupSlots` whose parts of `partSlots` are all free from `from` to `to`. */
function join(from: FreeList, groupSlots: number, partSlots: number, to: FreeList): void {
  const units = from.drain().sort();
  const parts = groupSlots / partSlots;
  for (let i = 0; i < units.length; ) {
    const first = units[i] as number;
    const last = units[i + parts - 1];
    if (first % groupSlots === 0 && last === first + groupSlots - partSlots) {
      to.push(first);
      i += parts;
    } else {
      from.push(first);
      i++;
    }
  }
}

const allocator: PageAllocator = new PageAllocator(mem.length >> SLOT_SHIFT);

/**
 * Allocates at least `size` bytes (at most 128 KiB) with one reference. Returns the address, or 0
 * when memory is exhausted or `size` too large. @kernel alloc_pages mm/page_alloc.c
 */
export function allocPages(size: number): number {
  return allocator.alloc(size);
}

/** Memory for a packet's head. @kernel kmalloc_reserve net/core/skbuff.c */
export function kmallocData(size: number): number {
  return allocator.alloc(size);
}

/** One more holder of the unit that begins at `addr`. @kernel get_page include/linux/mm.h */
export function getPage(addr: number): void {
  allocator.get(addr);
}

/** One holder less; the last one frees. @kernel put_page include/linux/mm.h */
export function putPage(addr: number): void {
  allocator.put(addr);
}

/** Holders of the unit that begins at `addr`. @kernel page_ref_count include/linux/page_ref.h */
export function pageRefcount(addr: number): number {
  return allocator.count(addr);
}

/** The unit that an address of memory in use lies in. @kernel virt_to_head_page include/linux/mm.h */
export function virtToHeadPage(addr: number): number {
  return allocator.headOf(addr);
}

/** The pool that the unit at `addr` belongs to; null: none. @kernel page_pool_is_pp_page net/core/netmem_priv.h */
export function pagePool(addr: number): PagePool | null {
  return allocator.poolOf(addr);
}

/** Marks the unit as a pool's, by the number of addPagePool(); 0 takes the mark away. @kernel page_pool_set_pp_info net/core/page_pool.c */
export function setPagePool(addr: number, id: number): void {
  allocator.setPool(addr, id);
}

/** A number by which units can name a pool. */
export function addPagePool(pool: PagePool): number {
  return allocator.addPool(pool);
}

/** The number may be used again: no unit names the pool any more. */
export function removePagePool(id: number): void {
  allocator.removePool(id);
}

/** Sets the users of a pool's unit. @kernel page_pool_fragment_page include/net/page_pool/helpers.h */
export function setPpRefCount(addr: number, count: number): void {
  allocator.ppRefs[addr >>> SLOT_SHIFT] = count;
}

/** Changes the users of a pool's unit; returns how many are left. */
export function addPpRefCount(addr: number, delta: number): number {
  const unit = addr >>> SLOT_SHIFT;
  const count = (allocator.ppRefs[unit] as number) + delta;
  if (count < 0) throw new KernelBug('double-free', `a part of the page at ${addr} is freed twice`);
  allocator.ppRefs[unit] = count;
  return count;
}

/** Units of packet memory in use in the whole process, and their bytes. */
export function livePages(): { units: number; bytes: number } {
  return { units: allocator.live, bytes: allocator.liveBytes };
}

/** Bytes that a request of `size` really gets. @kernel ksize mm/slab_common.c */
export function pageCapacity(size: number): number {
  if (size <= SLOT_SIZE) return SLOT_SIZE;
  return size <= CHUNK_SIZE ? CHUNK_SIZE : BLOCK_SIZE;
}
