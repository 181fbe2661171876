/*
 * Intrusive circular lists. A ListHead is either the head of a list or a link inside some object, its `owner`;
 * an object on three lists has three links. Nothing is allocated to enqueue.
 * Kernel counterpart: include/linux/list.h.
 *
 * A walk: `for (let p = head.next; p !== head; p = p.next) use(p.owner)`. One that takes entries out reads
 * `p.next` first.
 */

export class ListHead<T> {
  next: ListHead<T>;
  prev: ListHead<T>;
  /** The object that this link is part of; null in a head. */
  readonly owner: T | null;

  constructor(owner: T | null) {
    this.next = this;
    this.prev = this;
    this.owner = owner;
  }
}

function insert<T>(entry: ListHead<T>, prev: ListHead<T>, next: ListHead<T>): void {
  next.prev = entry;
  entry.next = next;
  entry.prev = prev;
  prev.next = entry;
}

/** Puts an entry first, or right behind another. @kernel list_add include/linux/list.h */
export function listAdd<T>(entry: ListHead<T>, head: ListHead<T>): void {
  insert(entry, head, head.next);
}

/** Puts an entry last, or right before another. @kernel list_add_tail include/linux/list.h */
export function listAddTail<T>(entry: ListHead<T>, head: ListHead<T>): void {
  insert(entry, head.prev, head);
}

/**
 * Takes an entry out and leaves it alone with itself; taking it out again does nothing. Linux has list_del(),
 * which poisons the links, beside list_del_init(); here both are this.
 * @kernel list_del_init include/linux/list.h
 */
export function listDel<T>(entry: ListHead<T>): void {
  entry.next.prev = entry.prev;
  entry.prev.next = entry.next;
  entry.next = entry;
  entry.prev = entry;
}

/** Is a head without entries, or a link on no list? @kernel list_empty include/linux/list.h */
export function listEmpty<T>(head: ListHead<T>): boolean {
  return head.next === head;
}

/** @kernel list_move include/linux/list.h */
export function listMove<T>(entry: ListHead<T>, head: ListHead<T>): void {
  listDel(entry);
  listAdd(entry, head);
}

/** @kernel list_move_tail include/linux/list.h */
export function listMoveTail<T>(entry: ListHead<T>, head: ListHead<T>): void {
  listDel(entry);
  listAddTail(entry, head);
}

/** Moves the first entry to the end. @kernel list_rotate_left include/linux/list.h */
export function listRotateLeft<T>(head: ListHead<T>): void {
  if (head.next !== head) listMoveTail(head.next, head);
}

/** Moves all entries of `from` to the front of `to`. @kernel list_splice_init include/linux/list.h */
export function listSpliceInit<T>(from: ListHead<T>, to: ListHead<T>): void {
  if (from.next === from) return;
  const first = from.next;
  const last = from.prev;
  const at = to.next;
  first.prev = to;
  to.next = first;
  last.next = at;
  at.prev = last;
  from.next = from;
  from.prev = from;
}

/** Moves all entries of `from` to the end of `to`. @kernel list_splice_tail_init include/linux/list.h */
export function listSpliceTailInit<T>(from: ListHead<T>, to: ListHead<T>): void {
  listSpliceInit(from, to.prev);
}

/** @kernel list_first_entry_or_null include/linux/list.h */
export function listFirst<T>(head: ListHead<T>): T | null {
  return head.next === head ? null : head.next.owner;
}

/** @kernel list_last_entry_or_null include/linux/list.h */
export function listLast<T>(head: ListHead<T>): T | null {
  return head.prev === head ? null : head.prev.owner;
}

/** Is the entry the first of the list? @kernel list_is_first include/linux/list.h */
export function listIsFirst<T>(entry: ListHead<T>, head: ListHead<T>): boolean {
  return entry.prev === head;
}

/** Is the entry the last of the list? @kernel list_is_last include/linux/list.h */
export function listIsLast<T>(entry: ListHead<T>, head: ListHead<T>): boolean {
  return entry.next === head;
}

/** Has the list exactly one entry? @kernel list_is_singular include/linux/list.h */
export function listIsSingular<T>(head: ListHead<T>): boolean {
  return head.next !== head && head.next === head.prev;
}

/** Counts the entries; a walk. @kernel list_count_nodes include/linux/list.h */
export function listCount<T>(head: ListHead<T>): number {
  let n = 0;
  for (let p = head.next; p !== head; p = p.next) n++;
  return n;
}
