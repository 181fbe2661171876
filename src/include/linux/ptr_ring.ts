/**
 * A ring of numbers of fixed size, first in first out: what Linux keeps pointers in. Counterpart of
 * include/linux/ptr_ring.h. 0 stands for nothing, so it cannot be put in.
 */

/** @kernel ptr_ring include/linux/ptr_ring.h */
export class PtrRing {
  readonly queue: Int32Array;
  producer: number;
  consumer: number;

  constructor(size: number) {
    this.queue = new Int32Array(size);
    this.producer = 0;
    this.consumer = 0;
  }
}

/** Adds a number; false: the ring is full. @kernel __ptr_ring_produce include/linux/ptr_ring.h */
export function ptrRingProduce(ring: PtrRing, ptr: number): boolean {
  const { queue, producer } = ring;
  if (queue.length === 0 || queue[producer] !== 0) return false;
  queue[producer] = ptr;
  ring.producer = producer + 1 === queue.length ? 0 : producer + 1;
  return true;
}

/** Takes the oldest; 0: the ring is empty. @kernel __ptr_ring_consume include/linux/ptr_ring.h */
export function ptrRingConsume(ring: PtrRing): number {
  const { queue, consumer } = ring;
  const ptr = queue[consumer] ?? 0;
  if (ptr === 0) return 0;
  queue[consumer] = 0;
  ring.consumer = consumer + 1 === queue.length ? 0 : consumer + 1;
  return ptr;
}

/** @kernel __ptr_ring_empty include/linux/ptr_ring.h */
export function ptrRingEmpty(ring: PtrRing): boolean {
  return (ring.queue[ring.consumer] ?? 0) === 0;
}
