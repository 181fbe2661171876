import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  newRbRoot,
  newRbRootCached,
  type RbNode,
  type RbRoot,
  rbAddCached,
  rbEmptyNode,
  rbErase,
  rbEraseCached,
  rbFirst,
  rbInsertColor,
  rbLast,
  rbLinkNode,
  rbNext,
  rbPrev,
  rbReplaceNode,
} from '#lib/rbtree.ts';

class Item implements RbNode<Item> {
  rbParent: Item | null = null;
  rbLeft: Item | null = null;
  rbRight: Item | null = null;
  rbRed = false;
  readonly key: number;
  constructor(key: number) {
    this.key = key;
  }
}

function insert(root: RbRoot<Item>, item: Item): void {
  let parent: Item | null = null;
  let left = true;
  for (let n = root.node; n !== null; ) {
    parent = n;
    left = item.key < n.key;
    n = left ? n.rbLeft : n.rbRight;
  }
  rbLinkNode(item, parent, left, root);
  rbInsertColor(item, root);
}

/** Black height of a subtree; throws where an invariant is broken. */
function check(node: Item | null, parent: Item | null): number {
  if (node === null) return 1;
  if (node.rbParent !== parent) throw new Error(`parent of ${node.key} is wrong`);
  if (node.rbRed && (parent === null || parent.rbRed))
    throw new Error(`red below red: ${node.key}`);
  const left = check(node.rbLeft, node);
  const right = check(node.rbRight, node);
  if (left !== right) throw new Error(`black heights differ below ${node.key}`);
  return left + (node.rbRed ? 0 : 1);
}

function keys(root: RbRoot<Item>): number[] {
  const out: number[] = [];
  for (let n = rbFirst(root); n !== null; n = rbNext(n)) out.push(n.key);
  return out;
}

function keysBackwards(root: RbRoot<Item>): number[] {
  const out: number[] = [];
  for (let n = rbLast(root); n !== null; n = rbPrev(n)) out.push(n.key);
  return out;
}

/** Positive: insert; otherwise: erase one of those present, by its rank. */
const commands = fc.array(fc.integer({ min: -60, max: 100 }), { maxLength: 150 });

describe('red-black tree', () => {
  it('stays ordered and balanced through any inserts and erasures', () => {
    fc.assert(
      fc.property(commands, (list) => {
        const root = newRbRoot<Item>();
        const model: Item[] = [];
        for (const c of list) {
          if (c > 0 || model.length === 0) {
            const item = new Item(c);
            insert(root, item);
            const at = model.findIndex((m) => m.key > c);
            model.splice(at < 0 ? model.length : at, 0, item);
          } else {
            const [gone] = model.splice(-c % model.length, 1);
            rbErase(gone as Item, root);
            expect(rbEmptyNode(gone as Item, root)).toBe(true);
          }
          check(root.node, null);
        }
        const want = model.map((m) => m.key);
        expect(keys(root)).toEqual(want);
        expect(keysBackwards(root)).toEqual(want.reverse());
        for (const m of model) expect(rbEmptyNode(m, root)).toBe(false);
      }),
    );
  });

  it('holds a height of at most twice the logarithm', () => {
    const root = newRbRoot<Item>();
    for (let i = 0; i < 4096; i++) insert(root, new Item(i));
    const height = (n: Item | null): number =>
      n === null ? 0 : 1 + Math.max(height(n.rbLeft), height(n.rbRight));
    expect(height(root.node)).toBeLessThanOrEqual(2 * 13);
  });

  it('knows its leftmost node, and keeps equal ones in order of arrival', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(8), { maxLength: 60 }), (list) => {
        const root = newRbRootCached<Item>();
        const less = (a: Item, b: Item): boolean => a.key < b.key;
        let min = Number.POSITIVE_INFINITY;
        const items = list.map((k) => new Item(k));
        for (const item of items) {
          expect(rbAddCached(item, root, less)).toBe(item.key < min);
          min = Math.min(min, item.key);
        }
        const sorted = [...items].sort((a, b) => a.key - b.key);
        for (const want of sorted) {
          const first = root.leftmost;
          expect(first).toBe(want);
          expect(rbFirst(root)).toBe(want);
          rbEraseCached(want, root);
          check(root.node, null);
        }
        expect(root.leftmost).toBeNull();
        expect(root.node).toBeNull();
      }),
    );
  });

  it('replaces a node in its place', () => {
    const root = newRbRoot<Item>();
    const items = Array.from({ length: 31 }, (_, i) => new Item(i));
    for (const item of items) insert(root, item);
    for (const item of items) rbReplaceNode(item, new Item(item.key + 0.5), root);
    check(root.node, null);
    expect(keys(root)).toEqual(items.map((i) => i.key + 0.5));
    for (const item of items) expect(rbEmptyNode(item, root)).toBe(true);
  });
});
