/*
 * Allocators of small numbers: Ida hands out the lowest free one of a range, Idr keeps an object with each.
 * Kernel counterparts: lib/idr.c, include/linux/idr.h. Linux keeps them in an xarray; here ids lie in leaves
 * of 1024 bits that exist only where ids are in use.
 */
import { EEXIST, EINVAL, ENOSPC } from '#uapi/errno.ts';

const LEAF_SHIFT = 10;
const LEAF_BITS = 1 << LEAF_SHIFT;
const LEAF_WORDS = LEAF_BITS >> 5;

/** The largest id: INT_MAX. */
export const IDR_MAX = 0x7fffffff;

class Leaf {
  readonly words = new Int32Array(LEAF_WORDS);
  used = 0;

  /** Lowest clear bit at or above `from`, or -1. */
  firstClear(from: number): number {
    if (from >= LEAF_BITS) return -1;
    // In the first word the bits below `from` count as taken.
    let taken = (this.words[from >> 5] as number) | ((1 << (from & 31)) - 1);
    for (let w = from >> 5; ; ) {
      const clear = ~taken;
      if (clear !== 0) return (w << 5) + 31 - Math.clz32(clear & -clear);
      if (++w === LEAF_WORDS) return -1;
      taken = this.words[w] as number;
    }
  }
}

/** A set of ids in use. @kernel ida include/linux/idr.h */
export class Ida {
  private readonly leaves = new Map<number, Leaf>();
  private count = 0;

  /** How many ids are in use. */
  get size(): number {
    return this.count;
  }

  /**
   * Takes the lowest free id of min..max, both included.
   * @returns the id; -ENOSPC when there is none; -EINVAL for a range that is none
   * @kernel ida_alloc_range lib/idr.c
   */
  alloc(min = 0, max: number = IDR_MAX): number {
    if (min < 0 || max < min || max > IDR_MAX) return -EINVAL;
    let from = min & (LEAF_BITS - 1);
    for (let at = min >> LEAF_SHIFT; at <= max >> LEAF_SHIFT; at++, from = 0) {
      const leaf = this.leaves.get(at);
      if (leaf !== undefined && leaf.used === LEAF_BITS) continue;
      const bit = leaf === undefined ? from : leaf.firstClear(from);
      if (bit < 0) continue;
      const id = at * LEAF_BITS + bit;
      if (id > max) return -ENOSPC;
      this.set(id);
      return id;
    }
    return -ENOSPC;
  }

  /**
   * Takes one particular id.
   * @returns 0; -EEXIST when it is in use; -EINVAL for what is no id
   */
  reserve(id: number): number {
    if (id < 0 || id > IDR_MAX) return -EINVAL;
    if (this.has(id)) return -EEXIST;
    this.set(id);
    return 0;
  }

  /** @kernel ida_exists include/linux/idr.h */
  has(id: number): boolean {
    const leaf = this.leaves.get(id >> LEAF_SHIFT);
    if (leaf === undefined) return false;
    return (((leaf.words[(id & (LEAF_BITS - 1)) >> 5] as number) >>> (id & 31)) & 1) === 1;
  }

  /**
   * Gives an id back.
   * @returns false when it was not in use
   * @kernel ida_free lib/idr.c
   */
  free(id: number): boolean {
    if (!this.has(id)) return false;
    const at = id >> LEAF_SHIFT;
    const leaf = this.leaves.get(at) as Leaf;
    const w = (id & (LEAF_BITS - 1)) >> 5;
    leaf.words[w] = (leaf.words[w] as number) & ~(1 << (id & 31));
    leaf.used--;
    this.count--;
    if (leaf.used === 0) this.leaves.delete(at);
    return true;
  }

  private set(id: number): void {
    const at = id >> LEAF_SHIFT;
    let leaf = this.leaves.get(at);
    if (leaf === undefined) {
      leaf = new Leaf();
      this.leaves.set(at, leaf);
    }
    const w = (id & (LEAF_BITS - 1)) >> 5;
    leaf.words[w] = (leaf.words[w] as number) | (1 << (id & 31));
    leaf.used++;
    this.count++;
  }
}

/** Ids with an object each. @kernel idr include/linux/idr.h */
export class Idr<T> {
  private readonly ida = new Ida();
  private readonly objects = new Map<number, T>();
  private cursor = 0;

  get size(): number {
    return this.objects.size;
  }

  /**
   * Keeps an object under the lowest free id of min..max, both included.
   * @returns the id, -ENOSPC or -EINVAL
   * @kernel idr_alloc lib/idr.c
   */
  alloc(object: T, min = 0, max: number = IDR_MAX): number {
    const id = this.ida.alloc(min, max);
    if (id >= 0) this.objects.set(id, object);
    return id;
  }

  /**
   * The same, but goes on from where it last was, so that an id comes back as late as can be.
   * @kernel idr_alloc_cyclic lib/idr.c
   */
  allocCyclic(object: T, min = 0, max: number = IDR_MAX): number {
    const from = Math.max(this.cursor, min);
    let id = from <= max ? this.alloc(object, from, max) : -ENOSPC;
    if (id === -ENOSPC && from > min) id = this.alloc(object, min, max);
    if (id >= 0) this.cursor = id + 1;
    return id;
  }

  /** Keeps an object under one particular id: 0, -EEXIST or -EINVAL. */
  insert(object: T, id: number): number {
    const err = this.ida.reserve(id);
    if (err === 0) this.objects.set(id, object);
    return err;
  }

  /** @kernel idr_find lib/idr.c */
  find(id: number): T | null {
    return this.objects.get(id) ?? null;
  }

  /**
   * Gives an id back.
   * @returns the object that was kept under it, or null
   * @kernel idr_remove lib/idr.c
   */
  remove(id: number): T | null {
    const object = this.objects.get(id);
    if (object === undefined) return null;
    this.objects.delete(id);
    this.ida.free(id);
    return object;
  }

  /** All objects in the order of their ids; a copy, so that the walk may remove them. */
  entries(): [id: number, object: T][] {
    return [...this.objects].sort(([a], [b]) => a - b);
  }
}
