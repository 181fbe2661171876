/*
 * Lists for the buckets of hash tables: a head is one pointer, entries know both neighbours and their head, so
 * that any of them can be taken out without a search.
 * Kernel counterpart: struct hlist_head and hlist_node of include/linux/list.h. Where Linux keeps the address
 * of the pointer that points at an entry, an entry here keeps its predecessor and its head.
 *
 * A walk: `for (let n = head.first; n !== null; n = n.next) use(n.owner)`.
 */

export class HlistHead<T> {
  first: HlistNode<T> | null = null;
}

export class HlistNode<T> {
  next: HlistNode<T> | null = null;
  prev: HlistNode<T> | null = null;
  /** The list that this entry is on; null when on none. */
  head: HlistHead<T> | null = null;
  /** The object that this link is part of. */
  readonly owner: T;

  constructor(owner: T) {
    this.owner = owner;
  }
}

/** A table of `size` empty buckets. */
export function newHlistTable<T>(size: number): HlistHead<T>[] {
  return Array.from({ length: size }, () => new HlistHead<T>());
}

/** @kernel hlist_unhashed include/linux/list.h */
export function hlistUnhashed<T>(n: HlistNode<T>): boolean {
  return n.head === null;
}

/** @kernel hlist_empty include/linux/list.h */
export function hlistEmpty<T>(h: HlistHead<T>): boolean {
  return h.first === null;
}

/** @kernel hlist_add_head include/linux/list.h */
export function hlistAddHead<T>(n: HlistNode<T>, h: HlistHead<T>): void {
  const { first } = h;
  n.next = first;
  n.prev = null;
  n.head = h;
  if (first !== null) first.prev = n;
  h.first = n;
}

/** @kernel hlist_add_behind include/linux/list.h */
export function hlistAddBehind<T>(n: HlistNode<T>, prev: HlistNode<T>): void {
  n.next = prev.next;
  n.prev = prev;
  n.head = prev.head;
  if (n.next !== null) n.next.prev = n;
  prev.next = n;
}

/** @kernel hlist_add_before include/linux/list.h */
export function hlistAddBefore<T>(n: HlistNode<T>, next: HlistNode<T>): void {
  if (next.prev === null) hlistAddHead(n, next.head as HlistHead<T>);
  else hlistAddBehind(n, next.prev);
}

/** Takes an entry out; of one that is on no list nothing. @kernel hlist_del_init include/linux/list.h */
export function hlistDel<T>(n: HlistNode<T>): void {
  const { head } = n;
  if (head === null) return;
  if (n.prev === null) head.first = n.next;
  else n.prev.next = n.next;
  if (n.next !== null) n.next.prev = n.prev;
  n.next = null;
  n.prev = null;
  n.head = null;
}
