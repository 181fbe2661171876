/**
 * The events of a world, ordered by (time, sequence). No Linux counterpart.
 *
 * A binary heap of pooled entries: scheduling allocates nothing in the steady state. Two events of
 * the same time happen in the order in which they were scheduled, which makes a world repeatable.
 */

/** What happens: called with the arguments given when it was scheduled. */
export type EventFn = (subject: unknown, detail: unknown) => void;

/** A scheduled event. Handles are only valid until the event has happened or was cancelled. */
export class SimEvent {
  /** ns since the world began. */
  timeNs: number;
  /** Order among events of one time. */
  seq: number;
  /** Position in the heap; -1 when not scheduled. */
  index: number;
  /** A number that says what kind of event this is, for the fingerprint. */
  kind: number;
  fn: EventFn | null;
  subject: unknown;
  detail: unknown;

  constructor() {
    this.timeNs = 0.5;
    this.timeNs = 0;
    this.seq = 0;
    this.index = -1;
    this.kind = 0;
    this.fn = null;
    this.subject = null;
    this.detail = null;
  }
}

function before(a: SimEvent, b: SimEvent): boolean {
  return a.timeNs < b.timeNs || (a.timeNs === b.timeNs && a.seq < b.seq);
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
    const [first] = this.heap;
    return first === undefined ? Number.POSITIVE_INFINITY : first.timeNs;
  }

  push(timeNs: number, kind: number, fn: EventFn, subject: unknown, detail: unknown): SimEvent {
    const event = this.pool.pop() ?? new SimEvent();
    event.timeNs = timeNs;
    event.seq = this.nextSeq++;
    event.kind = kind;
    event.fn = fn;
    event.subject = subject;
    event.detail = detail;
    event.index = this.heap.length;
    this.heap.push(event);
    this.siftUp(event);
    return event;
  }

  /** Removes the earliest event; the caller hands it back with {@link release}. */
  pop(): SimEvent | null {
    const [first] = this.heap;
    if (first === undefined) return null;
    this.removeAt(0);
    return first;
  }

  /** Takes an event back that has not happened yet. */
  cancel(event: SimEvent): void {
    if (event.index < 0) return;
    this.removeAt(event.index);
    this.release(event);
  }

  release(event: SimEvent): void {
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
