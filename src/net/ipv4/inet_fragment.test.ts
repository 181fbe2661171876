import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bytesOf, NetdevMachine } from '#drivers/net/testing/netdev_machine.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { InetFragsNs, IpFragQueue, SIZEOF_IPQ } from '#include/net/inet_frag.ts';
import { rbFirst } from '#lib/rbtree.ts';
import { consumeSkb, kfreeSkb } from '#net/core/skbuff.ts';
import {
  addFragMemLimit,
  fqdirExit,
  IPFRAG_DUP,
  IPFRAG_OK,
  IPFRAG_OVERLAP,
  inetFragCreate,
  inetFragHash,
  inetFragKill,
  inetFragPullHead,
  inetFragPut,
  inetFragQueueInsert,
  inetFragReasmFinish,
  inetFragReasmPrepare,
} from '#net/ipv4/inet_fragment.ts';
import { SKB_DROP_REASON_NOT_SPECIFIED } from '#uapi/net_dropreason.ts';

let m: NetdevMachine;
let fqdir: InetFragsNs;

beforeEach(() => {
  m = new NetdevMachine();
  fqdir = new InetFragsNs(m.machine.initNet);
});

afterEach(() => {
  expect(fqdir.mem).toBe(0);
  expect(fqdir.count).toBe(0);
  m.end();
});

const octet = (i: number): number => (i * 131 + (i >> 8)) & 0xff;

/** A queue that the test holds a reference to, or one that only the table and the timer hold. */
function newQueue(expire: ((q: IpFragQueue) => void) | null = null): IpFragQueue {
  const q = new IpFragQueue(fqdir, 1, 2, 3, 17, 0, 0);
  inetFragCreate(q, inetFragHash(fqdir.net, 1, 2, 3, 17, 0, 0), 30000, expire ?? (() => {}));
  if (expire === null) q.refcnt++;
  return q;
}

/** Inserts octets from..to of the datagram; frees what is refused. */
function insert(q: IpFragQueue, from: number, to: number): number {
  const skb = m.packet(Array.from({ length: to - from }, (_, i) => octet(from + i)));
  const res = inetFragQueueInsert(q, skb, from, to);
  if (res === IPFRAG_OK) addFragMemLimit(fqdir, skb.truesize);
  else kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, 'test');
  return res;
}

function reassemble(q: IpFragQueue): SkBuff {
  inetFragKill(q);
  const head = inetFragReasmPrepare(q) as SkBuff;
  expect(head).not.toBeNull();
  inetFragReasmFinish(q, head);
  return head;
}

/** Does what Linux says by hand: runs of touching intervals, in order of arrival of their borders. */
function expected(have: [number, number][], from: number, to: number): number {
  const touching = have.filter(([a, b]) => from < b && to > a);
  if (touching.length === 0) return IPFRAG_OK;
  // A duplicate lies within one run as the queue knows it; the test only makes exact ones.
  return touching.some(([a, b]) => from >= a && to <= b) ? IPFRAG_DUP : IPFRAG_OVERLAP;
}

describe('fragment queues', () => {
  it('puts any permutation of the pieces together', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 1, max: 250 }), { minLength: 1, maxLength: 30 }),
        fc.integer({ min: 251, max: 300 }),
        fc.infiniteStream(fc.nat(1000)),
        (cuts, units, dice) => {
          const borders = [0, ...cuts.sort((a, b) => a - b), units].map((u) => u * 8);
          const pieces = borders
            .slice(1)
            .map((to, i): [number, number] => [borders[i] as number, to]);
          const order = pieces
            .map((piece) => ({ piece, key: dice.next().value as number }))
            .sort((a, b) => a.key - b.key);
          const q = newQueue();
          for (const { piece } of order) expect(insert(q, ...piece)).toBe(IPFRAG_OK);
          const head = reassemble(q);
          expect(head.len).toBe(units * 8);
          expect(bytesOf(head)).toEqual(Array.from({ length: units * 8 }, (_, i) => octet(i)));
          consumeSkb(head);
          inetFragPut(q);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('tells duplicates from overlaps', () => {
    const interval = fc.tuple(fc.nat(30), fc.integer({ min: 1, max: 8 }));
    fc.assert(
      fc.property(fc.array(interval, { maxLength: 25 }), (tries) => {
        const q = newQueue();
        const have: [number, number][] = [];
        for (const [start, units] of tries) {
          const from = start * 8;
          const to = (start + units) * 8;
          const want = expected(have, from, to);
          const got = insert(q, from, to);
          // Within a run of several pieces a new piece may count as duplicate of them together.
          if (got !== want) expect([got, want]).toEqual([IPFRAG_DUP, IPFRAG_OVERLAP]);
          if (got === IPFRAG_OK) have.push([from, to]);
        }
        inetFragKill(q);
        inetFragPut(q);
      }),
      { numRuns: 200 },
    );
  });

  it.each([
    ['the tail again', [[0, 16]], [0, 16], IPFRAG_DUP],
    ['inside the tail', [[0, 32]], [8, 16], IPFRAG_DUP],
    ['across the end of the tail', [[0, 16]], [8, 24], IPFRAG_OVERLAP],
    [
      'over a hole',
      [
        [0, 8],
        [16, 24],
      ],
      [0, 24],
      IPFRAG_OVERLAP,
    ],
    [
      'into a hole',
      [
        [0, 8],
        [16, 24],
      ],
      [8, 16],
      IPFRAG_OK,
    ],
    [
      'half into a hole',
      [
        [0, 8],
        [24, 32],
      ],
      [16, 32],
      IPFRAG_OVERLAP,
    ],
    [
      'within a run of two',
      [
        [0, 8],
        [8, 16],
        [24, 32],
      ],
      [0, 16],
      IPFRAG_DUP,
    ],
    ['around everything', [[8, 16]], [0, 24], IPFRAG_OVERLAP],
  ] as [string, [number, number][], [number, number], number][])(
    '%s',
    (_name, before, piece, result) => {
      const q = newQueue();
      for (const b of before) expect(insert(q, ...b)).toBe(IPFRAG_OK);
      expect(insert(q, ...piece)).toBe(result);
      inetFragKill(q);
      inetFragPut(q);
    },
  );

  it('gives up the head of a run and keeps the rest in order', () => {
    const q = newQueue();
    for (const [a, b] of [
      [0, 8],
      [8, 16],
      [16, 24],
      [32, 40],
    ] as [number, number][])
      insert(q, a, b);
    const head = inetFragPullHead(q) as SkBuff;
    expect(bytesOf(head)).toEqual(Array.from({ length: 8 }, (_, i) => octet(i)));
    expect(rbFirst(q.fragments)?.cb0).toBe(8);
    expect(rbFirst(q.fragments)?.cb1).toBe(16);
    expect(insert(q, 8, 24)).toBe(IPFRAG_DUP);
    consumeSkb(head);
    inetFragKill(q);
    inetFragPut(q);
  });

  it('counts memory, fires once, and ends with the namespace', () => {
    let fired = 0;
    const q = newQueue((of) => {
      fired++;
      inetFragKill(of);
      inetFragPut(of);
    });
    insert(q, 0, 8);
    expect(fqdir.mem).toBeGreaterThan(SIZEOF_IPQ);
    m.advance(29_999e6);
    expect(fired).toBe(0);
    m.advance(1e6);
    expect(fired).toBe(1);
    expect(fqdir.mem).toBe(0);
    newQueue(() => {});
    newQueue(() => {});
    expect(fqdir.count).toBe(2);
    fqdirExit(fqdir);
    expect(fqdir.count).toBe(0);
  });
});
