/**
 * Pools of objects of one class. Counterpart of mm/slub.c's kmem_cache.
 *
 * The pool keeps freed objects for the next allocation, last in first out, so that the steady state
 * of a busy stack allocates nothing. Objects are not cleared: who takes one sets all its fields.
 */
export class KmemCache<T> {
  readonly name: string;
  private readonly create: () => T;
  private readonly free_: T[];
  /** Objects in use. */
  live: number;

  constructor(name: string, create: () => T) {
    this.name = name;
    this.create = create;
    this.free_ = [];
    this.live = 0;
  }

  /** @kernel kmem_cache_alloc mm/slub.c */
  alloc(): T {
    this.live++;
    return this.free_.pop() ?? this.create();
  }

  /** @kernel kmem_cache_free mm/slub.c */
  free(object: T): void {
    this.live--;
    this.free_.push(object);
  }
}
