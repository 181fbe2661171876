/*
 * Red-black trees whose links are fields of the things themselves: no allocation, and a node is found by
 * following an order that only the caller knows.
 * Kernel counterparts: lib/rbtree.c, include/linux/rbtree.h. Cormen, Leiserson, Rivest, "Introduction to
 * Algorithms", chapter on red-black trees.
 *
 * Invariants: the root is black; a red node has black children; every way from a node down to a missing child
 * meets the same number of black nodes. A node that is in no tree has rbParent === null and is no root.
 *
 * To insert: walk down from `root.node`, remember parent and side, rbLinkNode(), rbInsertColor().
 */

/** The links. Every class that goes into trees has these fields, initialised null, null, null, false. */
export interface RbNode<T> {
  rbParent: T | null;
  rbLeft: T | null;
  rbRight: T | null;
  rbRed: boolean;
}

/** @kernel rb_root include/linux/rbtree_types.h */
export interface RbRoot<T> {
  node: T | null;
}

/** A root that remembers its leftmost node. @kernel rb_root_cached include/linux/rbtree_types.h */
export interface RbRootCached<T> extends RbRoot<T> {
  leftmost: T | null;
}

export const newRbRoot = <T>(): RbRoot<T> => ({ node: null });
export const newRbRootCached = <T>(): RbRootCached<T> => ({ node: null, leftmost: null });

/** Puts `now` where `was` hangs below `parent`, which is null for the root. */
function changeChild<T extends RbNode<T>>(
  root: RbRoot<T>,
  parent: T | null,
  was: T,
  now: T | null,
): void {
  if (parent === null) root.node = now;
  else if (parent.rbLeft === was) parent.rbLeft = now;
  else parent.rbRight = now;
}

function rotateLeft<T extends RbNode<T>>(root: RbRoot<T>, node: T): void {
  const up = node.rbRight as T;
  const parent = node.rbParent;
  const inner = up.rbLeft;
  node.rbRight = inner;
  if (inner !== null) inner.rbParent = node;
  up.rbLeft = node;
  up.rbParent = parent;
  changeChild(root, parent, node, up);
  node.rbParent = up;
}

function rotateRight<T extends RbNode<T>>(root: RbRoot<T>, node: T): void {
  const up = node.rbLeft as T;
  const parent = node.rbParent;
  const inner = up.rbRight;
  node.rbLeft = inner;
  if (inner !== null) inner.rbParent = node;
  up.rbRight = node;
  up.rbParent = parent;
  changeChild(root, parent, node, up);
  node.rbParent = up;
}

/**
 * Hangs a new node below `parent` (null: the tree is empty), on the left or the right, where nothing is yet.
 * The tree is out of balance until rbInsertColor().
 * @kernel rb_link_node include/linux/rbtree.h
 */
export function rbLinkNode<T extends RbNode<T>>(
  node: T,
  parent: T | null,
  left: boolean,
  root: RbRoot<T>,
): void {
  node.rbParent = parent;
  node.rbLeft = null;
  node.rbRight = null;
  node.rbRed = true;
  if (parent === null) root.node = node;
  else if (left) parent.rbLeft = node;
  else parent.rbRight = node;
}

/**
 * Restores the invariants after rbLinkNode().
 * @kernel rb_insert_color lib/rbtree.c
 */
export function rbInsertColor<T extends RbNode<T>>(inserted: T, root: RbRoot<T>): void {
  let node = inserted;
  for (;;) {
    let parent = node.rbParent;
    if (parent === null) {
      node.rbRed = false;
      return;
    }
    if (!parent.rbRed) return;
    // A red parent is not the root, so there is a grandparent, and it is black.
    const grand = parent.rbParent as T;
    const onLeft = grand.rbLeft === parent;
    const uncle = onLeft ? grand.rbRight : grand.rbLeft;
    if (uncle?.rbRed === true) {
      parent.rbRed = false;
      uncle.rbRed = false;
      grand.rbRed = true;
      node = grand;
      continue;
    }
    if (onLeft) {
      if (parent.rbRight === node) {
        rotateLeft(root, parent);
        parent = node;
      }
      rotateRight(root, grand);
    } else {
      if (parent.rbLeft === node) {
        rotateRight(root, parent);
        parent = node;
      }
      rotateLeft(root, grand);
    }
    parent.rbRed = false;
    grand.rbRed = true;
    return;
  }
}

/** Restores the invariants when the ways through `parent` on the side of `hole` lack one black node. */
function eraseColor<T extends RbNode<T>>(root: RbRoot<T>, hole: T | null, above: T): void {
  let node = hole;
  let parent: T | null = above;
  while (parent !== null && (node === null || !node.rbRed)) {
    const onLeft: boolean = parent.rbLeft === node;
    // The side that lacks nothing holds at least one black node.
    let sibling = (onLeft ? parent.rbRight : parent.rbLeft) as T;
    if (sibling.rbRed) {
      sibling.rbRed = false;
      parent.rbRed = true;
      if (onLeft) rotateLeft(root, parent);
      else rotateRight(root, parent);
      sibling = (onLeft ? parent.rbRight : parent.rbLeft) as T;
    }
    let outer = onLeft ? sibling.rbRight : sibling.rbLeft;
    const inner = onLeft ? sibling.rbLeft : sibling.rbRight;
    if (outer?.rbRed !== true) {
      if (inner?.rbRed !== true) {
        sibling.rbRed = true;
        node = parent;
        parent = node.rbParent;
        continue;
      }
      inner.rbRed = false;
      sibling.rbRed = true;
      if (onLeft) rotateRight(root, sibling);
      else rotateLeft(root, sibling);
      outer = sibling;
      sibling = inner;
    }
    sibling.rbRed = parent.rbRed;
    parent.rbRed = false;
    (outer as T).rbRed = false;
    if (onLeft) rotateLeft(root, parent);
    else rotateRight(root, parent);
    return;
  }
  if (node !== null) node.rbRed = false;
}

/** Takes `node`, which has two children, out by putting its successor in its place. */
function eraseInner<T extends RbNode<T>>(node: T, root: RbRoot<T>): void {
  const right = node.rbRight as T;
  let next = right;
  while (next.rbLeft !== null) next = next.rbLeft;
  const child = next.rbRight;
  const lostBlack = !next.rbRed;
  let parent: T;
  if (next === right) {
    parent = next;
  } else {
    parent = next.rbParent as T;
    parent.rbLeft = child;
    if (child !== null) child.rbParent = parent;
    next.rbRight = right;
    right.rbParent = next;
  }
  const left = node.rbLeft as T;
  next.rbLeft = left;
  left.rbParent = next;
  next.rbParent = node.rbParent;
  next.rbRed = node.rbRed;
  changeChild(root, node.rbParent, node, next);
  if (lostBlack) eraseColor(root, child, parent);
}

/**
 * Takes a node out and clears its links.
 * @kernel rb_erase lib/rbtree.c
 */
export function rbErase<T extends RbNode<T>>(node: T, root: RbRoot<T>): void {
  if (node.rbLeft !== null && node.rbRight !== null) {
    eraseInner(node, root);
  } else {
    const child = node.rbLeft ?? node.rbRight;
    const parent = node.rbParent;
    if (child !== null) child.rbParent = parent;
    changeChild(root, parent, node, child);
    if (!node.rbRed) {
      if (parent !== null) eraseColor(root, child, parent);
      else if (child !== null) child.rbRed = false;
    }
  }
  node.rbParent = null;
  node.rbLeft = null;
  node.rbRight = null;
  node.rbRed = false;
}

/** @kernel rb_first lib/rbtree.c */
export function rbFirst<T extends RbNode<T>>(root: RbRoot<T>): T | null {
  let n = root.node;
  if (n === null) return null;
  while (n.rbLeft !== null) n = n.rbLeft;
  return n;
}

/** @kernel rb_last lib/rbtree.c */
export function rbLast<T extends RbNode<T>>(root: RbRoot<T>): T | null {
  let n = root.node;
  if (n === null) return null;
  while (n.rbRight !== null) n = n.rbRight;
  return n;
}

/** @kernel rb_next lib/rbtree.c */
export function rbNext<T extends RbNode<T>>(node: T): T | null {
  let n: T = node;
  if (n.rbRight !== null) {
    n = n.rbRight;
    while (n.rbLeft !== null) n = n.rbLeft;
    return n;
  }
  let parent = n.rbParent;
  while (parent !== null && parent.rbRight === n) {
    n = parent;
    parent = n.rbParent;
  }
  return parent;
}

/** @kernel rb_prev lib/rbtree.c */
export function rbPrev<T extends RbNode<T>>(node: T): T | null {
  let n: T = node;
  if (n.rbLeft !== null) {
    n = n.rbLeft;
    while (n.rbRight !== null) n = n.rbRight;
    return n;
  }
  let parent = n.rbParent;
  while (parent !== null && parent.rbLeft === n) {
    n = parent;
    parent = n.rbParent;
  }
  return parent;
}

/**
 * Puts `fresh` in the place of `victim`: same neighbours, same colour.
 * @kernel rb_replace_node lib/rbtree.c
 */
export function rbReplaceNode<T extends RbNode<T>>(victim: T, fresh: T, root: RbRoot<T>): void {
  fresh.rbParent = victim.rbParent;
  fresh.rbLeft = victim.rbLeft;
  fresh.rbRight = victim.rbRight;
  fresh.rbRed = victim.rbRed;
  if (fresh.rbLeft !== null) fresh.rbLeft.rbParent = fresh;
  if (fresh.rbRight !== null) fresh.rbRight.rbParent = fresh;
  changeChild(root, victim.rbParent, victim, fresh);
  victim.rbParent = null;
  victim.rbLeft = null;
  victim.rbRight = null;
  victim.rbRed = false;
}

/** Is the node in no tree? @kernel RB_EMPTY_NODE include/linux/rbtree.h */
export function rbEmptyNode<T extends RbNode<T>>(node: T, root: RbRoot<T>): boolean {
  return node.rbParent === null && root.node !== node;
}

/**
 * Inserts by an order; of equal nodes the first inserted stays first.
 * @param less a strict order
 * @returns true when the node is now the leftmost
 * @kernel rb_add_cached include/linux/rbtree.h
 */
export function rbAddCached<T extends RbNode<T>>(
  node: T,
  root: RbRootCached<T>,
  less: (a: T, b: T) => boolean,
): boolean {
  let parent: T | null = null;
  let left = true;
  let leftmost = true;
  for (let n = root.node; n !== null; ) {
    parent = n;
    left = less(node, n);
    if (!left) leftmost = false;
    n = left ? n.rbLeft : n.rbRight;
  }
  if (leftmost) root.leftmost = node;
  rbLinkNode(node, parent, left, root);
  rbInsertColor(node, root);
  return leftmost;
}

/** @kernel rb_erase_cached include/linux/rbtree.h */
export function rbEraseCached<T extends RbNode<T>>(node: T, root: RbRootCached<T>): void {
  if (root.leftmost === node) root.leftmost = rbNext(node);
  rbErase(node, root);
}
