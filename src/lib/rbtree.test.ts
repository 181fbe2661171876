import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { RbNode, RbRoot } from '#lib/rbtree.ts';
import {
  rbErase,
  rbFirst,
  rbInsertColor,
  rbLast,
  rbLinkNode,
  rbNext,
  rbPrev,
} from '#lib/rbtree.ts';

class Node implements RbNode<Node> {
  rbParent: Node | null = null;
  rbLeft: Node | null = null;
  rbRight: Node | null = null;
  rbRed = false;
  readonly key: number;
  constructor(key: number) {
    this.key = key;
  }
}

function insert(root: RbRoot<Node>, node: Node): boolean {
  let parent: Node | null = null;
  let at = root.node;
  while (at !== null) {
    if (at.key === node.key) return false;
    parent = at;
    at = node.key < at.key ? at.rbLeft : at.rbRight;
  }
  rbLinkNode(node, parent, parent !== null && node.key < parent.key, root);
  rbInsertColor(node, root);
  return true;
}

/** Black height of the subtree; throws on any broken invariant. */
function verify(node: Node | null, parent: Node | null): number {
  if (node === null) return 1;
  if (node.rbParent !== parent) throw new Error(`parent link of ${node.key}`);
  if (node.rbRed && (parent === null || parent.rbRed))
    throw new Error(`red under red at ${node.key}`);
  const left = verify(node.rbLeft, node);
  const right = verify(node.rbRight, node);
  if (left !== right) throw new Error(`black heights ${left} and ${right} at ${node.key}`);
  return left + (node.rbRed ? 0 : 1);
}

function keys(root: RbRoot<Node>): number[] {
  const out: number[] = [];
  for (let n = rbFirst(root); n !== null; n = rbNext(n)) out.push(n.key);
  return out;
}

test('any sequence of insertions and removals keeps order and balance', () => {
  const step = fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 63 }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const root: RbRoot<Node> = { node: null };
      const model = new Map<number, Node>();
      for (const [add, key] of steps) {
        const have = model.get(key);
        if (add) {
          const node = new Node(key);
          expect(insert(root, node)).toBe(have === undefined);
          if (have === undefined) model.set(key, node);
        } else if (have !== undefined) {
          rbErase(have, root);
          model.delete(key);
        }
        verify(root.node, null);
      }
      const sorted = [...model.keys()].sort((a, b) => a - b);
      expect(keys(root)).toEqual(sorted);
      const back: number[] = [];
      for (let n = rbLast(root); n !== null; n = rbPrev(n)) back.push(n.key);
      expect(back).toEqual(sorted.reverse());
    }),
    { numRuns: 200 },
  );
});

test('a sorted insertion stays logarithmic', () => {
  const root: RbRoot<Node> = { node: null };
  for (let i = 0; i < 1000; i++) insert(root, new Node(i));
  const depth = (n: Node | null): number =>
    n === null ? 0 : 1 + Math.max(depth(n.rbLeft), depth(n.rbRight));
  expect(depth(root.node)).toBeLessThanOrEqual(20);
});
