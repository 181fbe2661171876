import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  HlistHead,
  HlistNode,
  hlistAddBefore,
  hlistAddBehind,
  hlistAddHead,
  hlistDel,
  hlistEmpty,
  hlistUnhashed,
  newHlistTable,
} from '#lib/hlist.ts';

describe('hlist', () => {
  it('does what an array would', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(3), fc.nat(7), fc.nat(7))), (commands) => {
        const head = new HlistHead<number>();
        const nodes = Array.from({ length: 8 }, (_, i) => new HlistNode(i));
        const model: number[] = [];
        for (const [command, i, j] of commands) {
          const node = nodes[i] as HlistNode<number>;
          const other = nodes[j] as HlistNode<number>;
          const at = model.indexOf(i);
          if (command === 0 || at >= 0) {
            hlistDel(node);
            if (at >= 0) model.splice(at, 1);
            expect(hlistUnhashed(node)).toBe(true);
          } else if (command === 1 || !model.includes(j)) {
            hlistAddHead(node, head);
            model.unshift(i);
          } else if (command === 2) {
            hlistAddBehind(node, other);
            model.splice(model.indexOf(j) + 1, 0, i);
          } else {
            hlistAddBefore(node, other);
            model.splice(model.indexOf(j), 0, i);
          }
          const got: number[] = [];
          let before: HlistNode<number> | null = null;
          for (let n = head.first; n !== null; n = n.next) {
            expect(n.prev).toBe(before);
            expect(n.head).toBe(head);
            got.push(n.owner);
            before = n;
          }
          expect(got).toEqual(model);
          expect(hlistEmpty(head)).toBe(model.length === 0);
        }
      }),
    );
  });

  it('makes tables of separate buckets', () => {
    const table = newHlistTable<string>(4);
    hlistAddHead(new HlistNode('x'), table[1] as HlistHead<string>);
    expect(table.map((h) => h.first?.owner ?? '')).toEqual(['', 'x', '', '']);
  });
});
