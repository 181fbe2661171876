import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ListHead,
  listAdd,
  listAddTail,
  listCount,
  listDel,
  listEmpty,
  listFirst,
  listIsFirst,
  listIsLast,
  listIsSingular,
  listLast,
  listMove,
  listMoveTail,
  listRotateLeft,
  listSpliceInit,
  listSpliceTailInit,
} from '#lib/list.ts';

function forwards(head: ListHead<number>): (number | null)[] {
  const out: (number | null)[] = [];
  for (let p = head.next; p !== head; p = p.next) out.push(p.owner);
  return out;
}

function backwards(head: ListHead<number>): (number | null)[] {
  const out: (number | null)[] = [];
  for (let p = head.prev; p !== head; p = p.prev) out.push(p.owner);
  return out;
}

function expectList(head: ListHead<number>, want: readonly number[]): void {
  expect(forwards(head)).toEqual(want);
  expect(backwards(head)).toEqual([...want].reverse());
  expect(listCount(head)).toBe(want.length);
  expect(listEmpty(head)).toBe(want.length === 0);
  expect(listIsSingular(head)).toBe(want.length === 1);
  expect(listFirst(head)).toBe(want[0] ?? null);
  expect(listLast(head)).toBe(want[want.length - 1] ?? null);
}

describe('list', () => {
  it('does what an array would, in both directions', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(6), fc.nat(9))), (commands) => {
        const heads = [new ListHead<number>(null), new ListHead<number>(null)] as const;
        const models: [number[], number[]] = [[], []];
        const links = Array.from({ length: 10 }, (_, i) => new ListHead<number>(i));
        const drop = (i: number): void => {
          for (const m of models) if (m.includes(i)) m.splice(m.indexOf(i), 1);
        };
        for (const [command, i] of commands) {
          const link = links[i] as ListHead<number>;
          const side = command & 1;
          const head = heads[side] as ListHead<number>;
          const model = models[side] as number[];
          const placed = models.some((m) => m.includes(i));
          if (command < 2) {
            if (placed) listMove(link, head);
            else listAdd(link, head);
            drop(i);
            model.unshift(i);
          } else if (command < 4) {
            if (placed) listMoveTail(link, head);
            else listAddTail(link, head);
            drop(i);
            model.push(i);
          } else if (command === 4) {
            listDel(link);
            listDel(link);
            drop(i);
            expect(listEmpty(link)).toBe(true);
          } else if (command === 5) {
            listSpliceInit(heads[0], heads[1]);
            models[1].unshift(...models[0].splice(0));
          } else {
            listSpliceTailInit(heads[1], heads[0]);
            models[0].push(...models[1].splice(0));
          }
          expectList(heads[0], models[0]);
          expectList(heads[1], models[1]);
        }
      }),
    );
  });

  it('turns round', () => {
    const head = new ListHead<number>(null);
    listRotateLeft(head);
    expectList(head, []);
    const links = [1, 2, 3].map((n) => new ListHead(n));
    for (const link of links) listAddTail(link, head);
    listRotateLeft(head);
    expectList(head, [2, 3, 1]);
    expect(listIsFirst(links[1] as ListHead<number>, head)).toBe(true);
    expect(listIsLast(links[0] as ListHead<number>, head)).toBe(true);
    expect(listIsLast(links[1] as ListHead<number>, head)).toBe(false);
  });
});
