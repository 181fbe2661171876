import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inetMakeMask } from '#include/linux/inetdevice.ts';
import { Flowi4 } from '#include/net/flow.ts';
import { FibInfo, FibNh, FibResult, type FibTable } from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import {
  fibAliasNew,
  fibFindAlias,
  fibFindNode,
  fibInsertAlias,
  fibRemoveAlias,
  fibTableLookup,
  fibTrieTable,
  type KeyVector,
  leafWalk,
  type Trie,
  triePrune,
} from '#net/ipv4/fib_trie.ts';
import { EAGAIN, EHOSTUNREACH } from '#uapi/errno.ts';
import { RTN_UNICAST, RTN_UNREACHABLE } from '#uapi/rtnetlink.ts';

/** As much of a namespace as a lookup looks at. */
const net = {
  machine: { trace: { fib: { fibTableLookup: { probe: null } } } },
} as unknown as Net;

interface Prefix {
  readonly key: number;
  readonly plen: number;
}

function info(id: number): FibInfo {
  const fi = new FibInfo({} as Net);
  fi.fibPriority = id;
  fi.fibNh = [new FibNh()];
  return fi;
}

function add(tb: FibTable, { key, plen }: Prefix, id: number, type = RTN_UNICAST): void {
  const place = fibFindNode(tb.tbData, key);
  const head = place.leaf?.leaf ?? null;
  const before = fibFindAlias(head, 32 - plen, 0, id, tb.tbId, false);
  fibInsertAlias(tb.tbData, place, fibAliasNew(info(id), 0, type, 32 - plen, tb.tbId), before, key);
}

function remove(tb: FibTable, { key, plen }: Prefix): boolean {
  const place = fibFindNode(tb.tbData, key);
  const fa = fibFindAlias(place.leaf?.leaf ?? null, 32 - plen, 0, 0, tb.tbId, true);
  if (fa === null) return false;
  fibRemoveAlias(tb.tbData, place, fa);
  return true;
}

function lookup(tb: FibTable, addr: number): number {
  const flow = new Flowi4();
  const res = new FibResult();
  flow.daddr = addr;
  const err = fibTableLookup(net, tb, flow, res, 0);
  return err === 0 ? (res.fi?.fibPriority ?? -1) : err;
}

/** Every invariant of a node and what lies below it. */
function check(t: Trie): void {
  const visit = (n: KeyVector, parent: KeyVector): void => {
    expect(n.parent).toBe(parent);
    if (n.bits === 0) {
      let slen = 0;
      for (let fa = n.leaf; fa !== null; fa = fa.faNext) {
        expect(fa.faSlen).toBeGreaterThanOrEqual(slen);
        slen = fa.faSlen;
      }
      expect(n.leaf).not.toBeNull();
      expect(n.slen).toBe(slen);
      return;
    }
    const children = n.tnode.filter((c) => c !== null);
    expect(n.tnode).toHaveLength(2 ** n.bits);
    expect(n.emptyChildren).toBe(n.tnode.length - children.length);
    const full = children.filter((c) => c.bits > 0 && c.pos + c.bits === n.pos);
    expect(n.fullChildren).toBe(full.length);
    expect(children.length).toBeGreaterThan(1);
    expect(n.slen).toBe(Math.max(n.pos, ...children.map((c) => c.slen)));
    for (const [i, c] of n.tnode.entries()) {
      if (c === null) continue;
      expect(((c.key ^ n.key) >>> n.pos) >>> 0).toBe(i);
      visit(c, n);
    }
  };
  const [root] = t.kv.tnode;
  if (root) visit(root, t.kv);
}

/** The slow way. */
function naive(routes: ReadonlyMap<string, Prefix & { id: number }>, addr: number): number {
  let best = -EAGAIN;
  let plen = -1;
  for (const r of routes.values()) {
    if (r.plen > plen && ((addr ^ r.key) & inetMakeMask(r.plen)) === 0) {
      best = r.id;
      plen = r.plen;
    }
  }
  return best;
}

const cut = (key: number, plen: number): Prefix => ({
  key: (key & inetMakeMask(plen)) >>> 0,
  plen,
});
const prefix: fc.Arbitrary<Prefix> = fc.oneof(
  // Neighbours in 10.0.0.0/16, so that nodes grow and shrink.
  fc
    .tuple(fc.nat(0xffff), fc.integer({ min: 20, max: 32 }))
    .map(([k, l]) => cut(0x0a000000 | k, l)),
  // Few bits set, so that prefixes nest and paths are deep.
  fc
    .tuple(fc.array(fc.nat(15), { maxLength: 2 }), fc.integer({ min: 8, max: 32 }))
    .map(([bits, l]) =>
      cut(
        bits.reduce((key, bit) => key | (1 << bit), 0),
        l,
      ),
    ),
  fc.tuple(fc.nat(0xffffffff), fc.nat(32)).map(([k, l]) => cut(k, l)),
);
const step = fc.tuple(fc.boolean(), prefix);

/** Short ways into a wrong suffix length: one that a parent did not learn of, one that it kept. */
const TURNS: [[boolean, Prefix][], number[]][] = [
  [
    [
      [true, cut(0x0a000000, 20)],
      [true, cut(0x1000, 20)],
      [true, cut(0x80000000, 1)],
      [true, cut(0, 0)],
    ],
    [],
  ],
  [
    [
      [true, cut(0, 1)],
      [true, cut(0x80000000, 2)],
      [true, cut(0x0a000000, 20)],
      [false, cut(0, 1)],
    ],
    [],
  ],
];

describe('LC-trie', () => {
  it('finds what a search through all prefixes finds, and keeps its shape', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), fc.array(fc.nat(0xffffffff)), (steps, ask) => {
        const tb = fibTrieTable(254, null);
        const routes = new Map<string, Prefix & { id: number }>();
        let id = 1;
        for (const [isAdd, p] of steps) {
          const name = `${p.key}/${p.plen}`;
          if (isAdd && !routes.has(name)) {
            add(tb, p, id);
            routes.set(name, { ...p, id: id++ });
          } else if (!isAdd) {
            expect(remove(tb, p)).toBe(routes.delete(name));
          }
        }
        check(tb.tbData);
        const near = [...routes.values()].flatMap(({ key }) => [key, key ^ 1, (key ^ 0x100) >>> 0]);
        for (const addr of [...ask, ...near].map((a) => a >>> 0)) {
          expect(lookup(tb, addr)).toBe(naive(routes, addr));
        }
        for (const r of [...routes.values()]) expect(remove(tb, r)).toBe(true);
        expect(tb.tbData.kv.tnode[0]).toBeNull();
      }),
      { numRuns: 500, examples: TURNS },
    );
  });

  it('loses many routes at once as one by one', () => {
    fc.assert(
      fc.property(fc.array(prefix, { maxLength: 120 }), fc.nat(5), (prefixes, one) => {
        const tb = fibTrieTable(254, null);
        const routes = new Map<string, Prefix & { id: number }>();
        for (const [i, p] of prefixes.entries()) {
          const name = `${p.key}/${p.plen}`;
          if (routes.has(name)) continue;
          add(tb, p, i);
          routes.set(name, { ...p, id: i });
        }
        const before = routes.size;
        const doomed = (id: number): boolean => one === 0 || id % (one + 1) !== 0;
        const count = triePrune(tb.tbData, (fa) => doomed(fa.faInfo.fibPriority));
        for (const [name, { id }] of routes) if (doomed(id)) routes.delete(name);
        expect(count).toBe(before - routes.size);
        check(tb.tbData);
        for (const { key } of prefixes) {
          for (const addr of [key, key ^ 1].map((a) => a >>> 0)) {
            expect(lookup(tb, addr)).toBe(naive(routes, addr));
          }
        }
        expect(triePrune(tb.tbData, () => true)).toBe(routes.size);
        expect(tb.tbData.kv.tnode[0]).toBeNull();
      }),
      { numRuns: 300 },
    );
  });

  it('grows a node over a full subnet and lets it shrink again', () => {
    const tb = fibTrieTable(254, null);
    for (let i = 0; i < 1024; i++) add(tb, { key: 0x0a000000 + i, plen: 32 }, i + 1);
    check(tb.tbData);
    const root = tb.tbData.kv.tnode[0] as KeyVector;
    expect(root.bits).toBeGreaterThanOrEqual(8);
    for (let i = 0; i < 1024; i++) expect(lookup(tb, 0x0a000000 + i)).toBe(i + 1);
    for (let i = 4; i < 1024; i++) remove(tb, { key: 0x0a000000 + i, plen: 32 });
    check(tb.tbData);
    expect((tb.tbData.kv.tnode[0] as KeyVector).bits).toBeLessThanOrEqual(2);
  });

  it('walks the leaves in the order of their keys', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(0xffffffff), { maxLength: 50 }), (keys) => {
        const tb = fibTrieTable(254, null);
        for (const [i, key] of keys.entries()) add(tb, { key, plen: 32 }, i + 1);
        const seen: number[] = [];
        for (let l = leafWalk(tb.tbData, 0); l !== null; l = leafWalk(tb.tbData, l.key + 1)) {
          seen.push(l.key);
          if (l.key === 0xffffffff) break;
        }
        expect(seen).toEqual([...keys].sort((a, b) => a - b));
      }),
    );
  });

  it('keeps four small fields of a route apart', () => {
    const byte = fc.nat(0xff);
    fc.assert(
      fc.property(byte, byte, fc.nat(32), byte, (dscp, type, slen, state) => {
        const fa = fibAliasNew(info(1), dscp, type, slen, 254);
        expect(fa.faState).toBe(0);
        fa.faState |= state;
        expect([fa.faDscp, fa.faType, fa.faSlen, fa.faState]).toEqual([dscp, type, slen, state]);
      }),
    );
  });

  it('stops at a route that refuses, though a shorter prefix would do', () => {
    const tb = fibTrieTable(254, null);
    add(tb, { key: 0, plen: 0 }, 1);
    add(tb, { key: 0x0a000000, plen: 8 }, 2, RTN_UNREACHABLE);
    expect(lookup(tb, 0x0a000001)).toBe(-EHOSTUNREACH);
    expect(lookup(tb, 0x0b000001)).toBe(1);
  });

  it('prefers the smaller metric of equal prefixes', () => {
    const tb = fibTrieTable(254, null);
    for (const metric of [300, 100, 200]) add(tb, { key: 0x0a000000, plen: 8 }, metric);
    expect(lookup(tb, 0x0a000001)).toBe(100);
  });
});
