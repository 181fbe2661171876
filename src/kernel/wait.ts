/**
 * Wait queues. Counterpart of kernel/sched/wait.c.
 *
 * Waking calls each entry's function with the poll mask of what happened (0: anything). Entries
 * decide what that means: a sleeping program, a poll, an epoll.
 */
export class WaitQueueEntry {
  next: WaitQueueEntry | null;
  prev: WaitQueueEntry | null;
  /** The queue this entry is on. */
  head: WaitQueueHead | null;
  /** Called on wake-up with the POLL* mask. May remove the entry. */
  readonly func: (entry: WaitQueueEntry, key: number) => void;
  readonly private: unknown;
  /** Only one exclusive entry is woken at a time. @kernel WQ_FLAG_EXCLUSIVE include/linux/wait.h */
  readonly exclusive: boolean;
  /** Whether an exclusive entry took the last wake-up. */
  woken: boolean;

  constructor(
    func: (entry: WaitQueueEntry, key: number) => void,
    priv: unknown,
    exclusive = false,
  ) {
    this.next = null;
    this.prev = null;
    this.head = null;
    this.func = func;
    this.private = priv;
    this.exclusive = exclusive;
    this.woken = false;
  }
}

/** @kernel wait_queue_head include/linux/wait.h */
export class WaitQueueHead {
  first: WaitQueueEntry | null;
  last: WaitQueueEntry | null;

  constructor() {
    this.first = null;
    this.last = null;
  }
}

/** @kernel add_wait_queue kernel/sched/wait.c */
export function addWaitQueue(head: WaitQueueHead, entry: WaitQueueEntry): void {
  if (entry.head !== null) return;
  entry.head = head;
  entry.prev = head.last;
  entry.next = null;
  if (head.last === null) head.first = entry;
  else head.last.next = entry;
  head.last = entry;
}

/** @kernel remove_wait_queue kernel/sched/wait.c */
export function removeWaitQueue(entry: WaitQueueEntry): void {
  const { head, next, prev } = entry;
  if (head === null) return;
  if (prev === null) head.first = next;
  else prev.next = next;
  if (next === null) head.last = prev;
  else next.prev = prev;
  entry.head = null;
  entry.next = null;
  entry.prev = null;
}

/** Wakes everybody, but of the exclusive entries only the first that takes it. @kernel __wake_up kernel/sched/wait.c */
export function wakeUp(head: WaitQueueHead, key: number): void {
  let entry = head.first;
  let exclusiveDone = false;
  while (entry !== null) {
    const { next } = entry;
    if (!entry.exclusive) entry.func(entry, key);
    else if (!exclusiveDone) {
      entry.woken = false;
      entry.func(entry, key);
      exclusiveDone = entry.woken;
    }
    entry = next;
  }
}

/** Wakes all, exclusive or not: the queue's object goes away. @kernel wake_up_all include/linux/wait.h */
export function wakeUpAll(head: WaitQueueHead, key: number): void {
  let entry = head.first;
  while (entry !== null) {
    const { next } = entry;
    entry.func(entry, key);
    entry = next;
  }
}

/** @kernel wq_has_sleeper include/linux/wait.h */
export function wqHasSleeper(head: WaitQueueHead): boolean {
  return head.first !== null;
}
