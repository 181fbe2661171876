/**
 * Objects that are used again. Counterpart of mm/slub.c's kmem_cache.
 *
 * What was freed last is given out first, as it is the likeliest to be in the processor's cache. Unlike in Linux there is
 * a collector, so that nothing has to be kept: objects that lie idle would only cost memory. A cache therefore keeps
 * few, and more only after it turned out that it had let go of what was soon wanted again: after a thousand
 * connections have come and gone a few times, as many are kept, but not after a hundred thousand did once.
 */

/** Free objects that every cache may keep, and that none may exceed. */
const MIN_PARTIAL = 64;
const MAX_PARTIAL = 2048;

/** @kernel kmem_cache mm/slab.h */
export class KmemCache<T> {
  readonly name: string;
  private readonly partial: T[];
  /** Free objects that are kept at most. @kernel min_partial mm/slab.h */
  private minPartial: number;
  /** Some were let go of since the last one was missing. */
  private discarded: boolean;
  /** Whether anything is given out again: whoever tells objects apart by identity says no. */
  reuse: boolean;

  constructor(name: string) {
    this.name = name;
    this.partial = [];
    this.minPartial = MIN_PARTIAL;
    this.discarded = false;
    this.reuse = true;
  }

  /** Free objects that are kept. */
  get free(): number {
    return this.partial.length;
  }

  /** A freed object, as it was freed; null: there is none, make one. @kernel kmem_cache_alloc mm/slub.c */
  alloc(): T | null {
    const object = this.reuse ? this.partial.pop() : undefined;
    if (object !== undefined) return object;
    if (this.discarded && this.minPartial < MAX_PARTIAL) this.minPartial *= 2;
    this.discarded = false;
    return null;
  }

  /**
   * Whether one more is kept; if not, that one was let go of is noted. For owners who make an object ready only
   * then; put() is to follow.
   */
  hasRoom(): boolean {
    if (!this.reuse) this.partial.length = 0;
    else if (this.partial.length < this.minPartial) return true;
    else this.discarded = true;
    return false;
  }

  /** Takes back an object to which nobody refers any more. @kernel kmem_cache_free mm/slub.c */
  put(object: T): void {
    if (this.hasRoom()) this.partial.push(object);
  }
}
