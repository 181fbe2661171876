import { describe, expect, it } from 'vitest';
import { partition } from '#sim/partition.ts';
import { parseTopology } from '#sim/topology.ts';

type Cable = readonly [a: number, b: number, impairments: object];

function spec(nodes: number, cables: readonly Cable[]): ReturnType<typeof parseTopology> {
  return parseTopology({
    topology: {
      nodes: Object.fromEntries(Array.from({ length: nodes }, (_, i) => [`m${i}`, {}])),
      links: cables.map(([a, b, impairments], i) => ({
        endpoints: [`m${a}:e${i}a`, `m${b}:e${i}b`],
        impairments,
      })),
    },
  });
}

const MS = { delay: '1ms' };

describe('spreading machines over threads', () => {
  it('cuts a chain in the middle', () => {
    const chain = spec(6, [
      [0, 1, MS],
      [1, 2, MS],
      [2, 3, { delay: '3ms' }],
      [3, 4, MS],
      [4, 5, MS],
    ]);
    expect(partition(chain, 2)).toEqual({
      parts: 2,
      home: [0, 0, 0, 1, 1, 1],
      distances: [6e6, 3e6, 3e6, 6e6],
    });
    expect(partition(chain, 3).home).toEqual([0, 0, 1, 1, 2, 2]);
    // From one end to the other over the middle.
    expect(partition(chain, 3).distances[2]).toBe(2e6);
    expect(partition(chain, 1)).toEqual({
      parts: 1,
      home: [0, 0, 0, 0, 0, 0],
      distances: [Number.POSITIVE_INFINITY],
    });
  });

  it('keeps together what a cable without delay joins, or one on which frames overtake', () => {
    const cables: Cable[] = [
      [0, 1, {}],
      [1, 2, MS],
      [2, 3, { delay: '1ms', reorder: '1%' }],
    ];
    const { parts, home } = partition(spec(4, cables), 4);
    expect(parts).toBe(2);
    expect(home).toEqual([0, 0, 1, 1]);
    expect(partition(spec(2, [[0, 1, {}]]), 2).parts).toBe(1);
  });

  it('spreads what no cable joins, and takes the shortest of several cables', () => {
    expect(partition(spec(2, []), 2)).toEqual({
      parts: 2,
      home: [0, 1],
      distances: new Array(4).fill(Number.POSITIVE_INFINITY),
    });
    const two = spec(2, [
      [0, 1, { delay: '5ms' }],
      [0, 1, { delay: '2ms' }],
    ]);
    expect(partition(two, 2).distances).toEqual([4e6, 2e6, 2e6, 4e6]);
  });

  it('refuses numbers of threads that are none', () => {
    for (const threads of [0, 65, 1.5]) {
      expect(() => partition(spec(1, []), threads)).toThrow(RangeError);
    }
  });
});
