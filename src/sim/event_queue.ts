/**
 * The events of a world, in the one order that does not depend on how the world is spread over threads.
 * No Linux counterpart.
 *
 * Events of one time happen in the order in which they were scheduled: those scheduled earlier in
 * virtual time first; those that two places scheduled in the same instant in the order of the places;
 * those of one place in its own order. What is scheduled for the present instant happens after
 * everything that was due then already, generation by generation, as in a queue.
 *
 * A binary heap of pooled entries: scheduling allocates nothing in the steady state.
 */
import type { Place } from '#sim/place.ts';

/** What happens: called with the arguments given when it was scheduled. */
export type EventFn = (subject: unknown, detail: unknown) => void;

/** A scheduled event. Handles are only valid until the event has happened or was cancelled. */
export class SimEvent {
  /** ns since the world began. */
  timeNs: number;
  /** 0: scheduled at an earlier time; else how many events of this instant lead up to it. */
  generation: number;
  /** When the first of those was scheduled, by which place, and its number there. */
  bornNs: number;
  rank: number;
  rootSeq: number;
  /** Order of scheduling in this thread. */
  seq: number;
  /** Position in the heap; -1 when not scheduled. */
  index: number;
  /** A number that says what kind of event this is, for the fingerprint. */
  kind: number;
  /** Where it happens: its place's fingerprint takes it. */
  stage: Place | null;
  fn: EventFn | null;
  subject: unknown;
  detail: unknown;

  constructor() {
    this.timeNs = 0.5;
    this.timeNs = 0;
    this.generation = 0;
    this.bornNs = 0.5;
    this.bornNs = 0;
    this.rank = 0;
    this.rootSeq = 0;
    this.seq = 0;
    this.index = -1;
    this.kind = 0;
    this.stage = null;
    this.fn = null;
    this.subject = null;
    this.detail = null;
  }
}

function before(a: SimEvent, b: SimEvent): boolean {
  if (a.timeNs !== b.timeNs) return a.timeNs < b.timeNs;
  if (a.generation !== b.generation) return a.generation < b.generation;
  if (a.bornNs !== b.bornNs) return a.bornNs < b.bornNs;
  if (a.rank !== b.rank) return a.rank < b.rank;
  if (a.rootSeq !== b.rootSeq) return a.rootSeq < b.rootSeq;
  return a.seq < b.seq;
}

export class EventQueue {
  private readonly heap: SimEvent[];
  private readonly pool: SimEvent[];
  private nextSeq: number;

  constructor() {
    this.heap = [];
    this.pool = [];
    this.nextSeq = 0;
  }

  get size(): number {
    return this.heap.length;
  }

  /** Time of the earliest event in ns; Infinity when there is none. */
  get nextTimeNs(): number {
    const { heap } = this;
    return heap.length === 0 ? Number.POSITIVE_INFINITY : (heap[0] as SimEvent).timeNs;
  }

  /** A number for the next thing scheduled: smaller than all that follow. */
  takeSeq(): number {
    return this.nextSeq++;
  }

  /** An entry to be filled in and given to {@link insert}. */
  alloc(): SimEvent {
    return this.pool.pop() ?? new SimEvent();
  }

  insert(event: SimEvent): void {
    event.index = this.heap.length;
    this.heap.push(event);
    this.siftUp(event);
  }

  /** Removes the earliest event; the caller hands it back with {@link release}. */
  pop(): SimEvent | null {
    const { heap } = this;
    if (heap.length === 0) return null;
    const first = heap[0] as SimEvent;
    const last = heap.pop() as SimEvent;
    first.index = -1;
    if (last !== first) {
      last.index = 0;
      this.siftDown(last);
    }
    return first;
  }

  /** Takes an event back that has not happened yet. */
  cancel(event: SimEvent): void {
    if (event.index < 0) return;
    this.removeAt(event.index);
    this.release(event);
  }

  release(event: SimEvent): void {
    event.stage = null;
    event.fn = null;
    event.subject = null;
    event.detail = null;
    this.pool.push(event);
  }

  private removeAt(index: number): void {
    const { heap } = this;
    const removed = heap[index] as SimEvent;
    const last = heap.pop() as SimEvent;
    removed.index = -1;
    if (last === removed) return;
    heap[index] = last;
    last.index = index;
    this.siftUp(last);
    this.siftDown(last);
  }

  private siftUp(event: SimEvent): void {
    const { heap } = this;
    let { index } = event;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = heap[parentIndex] as SimEvent;
      if (!before(event, parent)) break;
      heap[index] = parent;
      parent.index = index;
      index = parentIndex;
    }
    heap[index] = event;
    event.index = index;
  }

  private siftDown(event: SimEvent): void {
    const { heap } = this;
    const { length } = heap;
    let { index } = event;
    for (;;) {
      let childIndex = 2 * index + 1;
      if (childIndex >= length) break;
      const right = childIndex + 1;
      if (right < length && before(heap[right] as SimEvent, heap[childIndex] as SimEvent)) {
        childIndex = right;
      }
      const child = heap[childIndex] as SimEvent;
      if (!before(child, event)) break;
      heap[index] = child;
      child.index = index;
      index = childIndex;
    }
    heap[index] = event;
    event.index = index;
  }
}
