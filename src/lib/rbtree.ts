/**
 * Red-black trees whose links live in the elements themselves.
 *
 * Counterpart of lib/rbtree.c and include/linux/rbtree.h. As there, the caller walks down to find
 * the place, links the node, then rebalances; so a tree has no comparison function and no nodes of
 * its own. Invariants: no red node has a red child, and every path from the root to a missing child
 * crosses the same number of black nodes.
 */

/** What an element must carry. */
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

/** Hangs `node` below `parent` (null: as the root), red. @kernel rb_link_node include/linux/rbtree.h */
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

/** Makes `neu` the child of `parent` that `old` was. @kernel __rb_change_child include/linux/rbtree_augmented.h */
function changeChild<T extends RbNode<T>>(
  old: T,
  neu: T | null,
  parent: T | null,
  root: RbRoot<T>,
): void {
  if (parent === null) root.node = neu;
  else if (parent.rbLeft === old) parent.rbLeft = neu;
  else parent.rbRight = neu;
}

function rotateLeft<T extends RbNode<T>>(node: T, root: RbRoot<T>): void {
  const up = node.rbRight!;
  const parent = node.rbParent;
  node.rbRight = up.rbLeft;
  if (up.rbLeft !== null) up.rbLeft.rbParent = node;
  up.rbLeft = node;
  up.rbParent = parent;
  changeChild(node, up, parent, root);
  node.rbParent = up;
}

function rotateRight<T extends RbNode<T>>(node: T, root: RbRoot<T>): void {
  const up = node.rbLeft!;
  const parent = node.rbParent;
  node.rbLeft = up.rbRight;
  if (up.rbRight !== null) up.rbRight.rbParent = node;
  up.rbRight = node;
  up.rbParent = parent;
  changeChild(node, up, parent, root);
  node.rbParent = up;
}

/** Restores the invariants after rbLinkNode(). @kernel rb_insert_color lib/rbtree.c */
export function rbInsertColor<T extends RbNode<T>>(inserted: T, root: RbRoot<T>): void {
  let node = inserted;
  for (;;) {
    const parent = node.rbParent;
    if (parent === null) {
      node.rbRed = false;
      return;
    }
    if (!parent.rbRed) return;
    // A red parent is not the root, so there is a grandparent.
    const grand = parent.rbParent!;
    const parentIsLeft = grand.rbLeft === parent;
    const uncle = parentIsLeft ? grand.rbRight : grand.rbLeft;
    if (uncle?.rbRed === true) {
      parent.rbRed = false;
      uncle.rbRed = false;
      grand.rbRed = true;
      node = grand;
      continue;
    }
    let top = parent;
    if (parentIsLeft) {
      if (parent.rbRight === node) {
        rotateLeft(parent, root);
        top = node;
      }
      rotateRight(grand, root);
    } else {
      if (parent.rbLeft === node) {
        rotateRight(parent, root);
        top = node;
      }
      rotateLeft(grand, root);
    }
    top.rbRed = false;
    grand.rbRed = true;
    return;
  }
}

/** Takes `node` out of the tree; its own links are left as they were. @kernel rb_erase lib/rbtree.c */
export function rbErase<T extends RbNode<T>>(node: T, root: RbRoot<T>): void {
  const { rbLeft: left, rbRight: right, rbParent: parent } = node;
  if (left === null || right === null) {
    const child = left ?? right;
    changeChild(node, child, parent, root);
    if (child !== null) {
      // An only child is red and without children: black takes the node's place.
      child.rbParent = parent;
      child.rbRed = false;
    } else if (!node.rbRed) {
      eraseColor(null, parent, root);
    }
    return;
  }
  let heir = right;
  while (heir.rbLeft !== null) heir = heir.rbLeft;
  const orphan = heir.rbRight;
  const removedBlack = !heir.rbRed;
  let hole: T;
  if (heir === right) {
    hole = heir;
  } else {
    hole = heir.rbParent!;
    hole.rbLeft = orphan;
    if (orphan !== null) orphan.rbParent = hole;
    heir.rbRight = right;
    right.rbParent = heir;
  }
  heir.rbLeft = left;
  left.rbParent = heir;
  heir.rbParent = parent;
  heir.rbRed = node.rbRed;
  changeChild(node, heir, parent, root);
  if (!removedBlack) return;
  if (orphan !== null) orphan.rbRed = false;
  else eraseColor(null, hole, root);
}

/** One black node is missing on the side of `from` below `parent`. @kernel ____rb_erase_color lib/rbtree.c */
function eraseColor<T extends RbNode<T>>(from: T | null, above: T | null, root: RbRoot<T>): void {
  let node = from;
  let parent = above;
  while (parent !== null && (node === null || !node.rbRed)) {
    const onLeft = parent.rbLeft === node;
    // The other side is at least one black node high, so there is a sibling.
    let sibling = (onLeft ? parent.rbRight : parent.rbLeft)!;
    if (sibling.rbRed) {
      sibling.rbRed = false;
      parent.rbRed = true;
      if (onLeft) rotateLeft(parent, root);
      else rotateRight(parent, root);
      sibling = (onLeft ? parent.rbRight : parent.rbLeft)!;
    }
    const near = onLeft ? sibling.rbLeft : sibling.rbRight;
    let far = onLeft ? sibling.rbRight : sibling.rbLeft;
    if ((near === null || !near.rbRed) && (far === null || !far.rbRed)) {
      sibling.rbRed = true;
      node = parent;
      parent = node.rbParent;
      continue;
    }
    if (far === null || !far.rbRed) {
      near!.rbRed = false;
      sibling.rbRed = true;
      if (onLeft) rotateRight(sibling, root);
      else rotateLeft(sibling, root);
      far = sibling;
      sibling = near!;
    }
    sibling.rbRed = parent.rbRed;
    parent.rbRed = false;
    far.rbRed = false;
    if (onLeft) rotateLeft(parent, root);
    else rotateRight(parent, root);
    return;
  }
  if (node !== null) node.rbRed = false;
}

/** Smallest element. @kernel rb_first lib/rbtree.c */
export function rbFirst<T extends RbNode<T>>(root: RbRoot<T>): T | null {
  let node = root.node;
  if (node === null) return null;
  while (node.rbLeft !== null) node = node.rbLeft;
  return node;
}

/** Largest element. @kernel rb_last lib/rbtree.c */
export function rbLast<T extends RbNode<T>>(root: RbRoot<T>): T | null {
  let node = root.node;
  if (node === null) return null;
  while (node.rbRight !== null) node = node.rbRight;
  return node;
}

/** @kernel rb_next lib/rbtree.c */
export function rbNext<T extends RbNode<T>>(of: T): T | null {
  let node = of;
  if (node.rbRight !== null) {
    node = node.rbRight;
    while (node.rbLeft !== null) node = node.rbLeft;
    return node;
  }
  let parent = node.rbParent;
  while (parent !== null && parent.rbRight === node) {
    node = parent;
    parent = node.rbParent;
  }
  return parent;
}

/** @kernel rb_prev lib/rbtree.c */
export function rbPrev<T extends RbNode<T>>(of: T): T | null {
  let node = of;
  if (node.rbLeft !== null) {
    node = node.rbLeft;
    while (node.rbRight !== null) node = node.rbRight;
    return node;
  }
  let parent = node.rbParent;
  while (parent !== null && parent.rbLeft === node) {
    node = parent;
    parent = node.rbParent;
  }
  return parent;
}
