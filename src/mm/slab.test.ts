import { describe, expect, it } from 'vitest';
import { KmemCache } from '#mm/slab.ts';

/** Takes `count` objects, new ones where there are none, and gives all back. How many were new. */
function round(cache: KmemCache<object>, count: number): number {
  const taken: object[] = [];
  let made = 0;
  for (let i = 0; i < count; i++) {
    const object = cache.alloc();
    if (object === null) made++;
    taken.push(object ?? {});
  }
  for (const object of taken) cache.put(object);
  return made;
}

describe('a cache of objects', () => {
  it('gives out first what was freed last', () => {
    const cache = new KmemCache<object>('test');
    const [a, b] = [{}, {}];
    expect(cache.alloc()).toBeNull();
    cache.put(a);
    cache.put(b);
    expect([cache.alloc(), cache.alloc(), cache.alloc()]).toEqual([b, a, null]);
  });

  it('keeps as many as are wanted again and again', () => {
    const cache = new KmemCache<object>('test');
    const made = Array.from({ length: 8 }, () => round(cache, 1000));
    expect(made[0]).toBe(1000);
    expect(made.at(-1)).toBe(0);
    expect(cache.free).toBe(1000);
  });

  it('keeps few of very many that came once, and never more than its limit', () => {
    const cache = new KmemCache<object>('test');
    round(cache, 100_000);
    expect(cache.free).toBe(64);
    for (let i = 0; i < 10; i++) round(cache, 10_000);
    expect(cache.free).toBe(2048);
  });

  it('gives nothing out again where objects are told apart', () => {
    const cache = new KmemCache<object>('test');
    cache.put({});
    cache.reuse = false;
    expect(cache.alloc()).toBeNull();
    cache.put({});
    expect(cache.free).toBe(0);
  });
});
