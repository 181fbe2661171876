import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IDR_MAX, Ida, Idr } from '#lib/idr.ts';
import { EEXIST, EINVAL, ENOSPC } from '#uapi/errno.ts';

describe('Ida', () => {
  it('hands out the lowest free id of any range', () => {
    const command = fc.tuple(fc.boolean(), fc.nat(2100), fc.nat(70));
    fc.assert(
      fc.property(fc.array(command, { maxLength: 200 }), (list) => {
        const ida = new Ida();
        const model = new Set<number>();
        for (const [take, a, span] of list) {
          if (take) {
            let want = a;
            while (model.has(want)) want++;
            const got = ida.alloc(a, a + span);
            expect(got).toBe(want <= a + span ? want : -ENOSPC);
            if (got >= 0) model.add(got);
          } else {
            expect(ida.free(a)).toBe(model.delete(a));
          }
          expect(ida.size).toBe(model.size);
          expect(ida.has(a)).toBe(model.has(a));
        }
      }),
    );
  });

  it('goes on from leaf to leaf and comes back to what was freed', () => {
    const ida = new Ida();
    for (let i = 0; i < 5000; i++) expect(ida.alloc()).toBe(i);
    for (const id of [4095, 31, 1024, 0]) expect(ida.free(id)).toBe(true);
    for (const id of [0, 31, 1024, 4095, 5000]) expect(ida.alloc()).toBe(id);
    expect(ida.free(6000)).toBe(false);
    expect(ida.free(-1)).toBe(false);
  });

  it('reaches the largest id and refuses what is no range', () => {
    const ida = new Ida();
    expect(ida.alloc(IDR_MAX)).toBe(IDR_MAX);
    expect(ida.alloc(IDR_MAX)).toBe(-ENOSPC);
    expect(ida.alloc(-1)).toBe(-EINVAL);
    expect(ida.alloc(5, 4)).toBe(-EINVAL);
    expect(ida.alloc(0, 2 ** 31)).toBe(-EINVAL);
    expect(ida.reserve(IDR_MAX)).toBe(-EEXIST);
    expect(ida.reserve(-1)).toBe(-EINVAL);
    expect(ida.reserve(12)).toBe(0);
    expect(ida.alloc(12)).toBe(13);
  });
});

describe('Idr', () => {
  it('finds what it keeps, in order of ids', () => {
    const idr = new Idr<string>();
    expect(idr.alloc('a', 1)).toBe(1);
    expect(idr.alloc('b', 1)).toBe(2);
    expect(idr.insert('c', 2)).toBe(-EEXIST);
    expect(idr.insert('z', 0)).toBe(0);
    expect(idr.find(2)).toBe('b');
    expect(idr.find(3)).toBeNull();
    expect(idr.entries()).toEqual([
      [0, 'z'],
      [1, 'a'],
      [2, 'b'],
    ]);
    expect(idr.remove(1)).toBe('a');
    expect(idr.remove(1)).toBeNull();
    expect(idr.size).toBe(2);
    expect(idr.alloc('d', 1)).toBe(1);
  });

  it('goes round before it uses an id again', () => {
    const idr = new Idr<number>();
    expect([0, 1, 2].map((n) => idr.allocCyclic(n, 0, 3))).toEqual([0, 1, 2]);
    idr.remove(0);
    idr.remove(1);
    expect(idr.allocCyclic(3, 0, 3)).toBe(3);
    expect(idr.allocCyclic(4, 0, 3)).toBe(0);
    expect(idr.allocCyclic(5, 0, 3)).toBe(1);
    expect(idr.allocCyclic(6, 0, 3)).toBe(-ENOSPC);
    expect(idr.allocCyclic(7, 9, 10)).toBe(9);
  });
});
