/**
 * The LC-trie that holds the routes, and the lookup of the longest prefix that matches.
 *
 * Counterpart of net/ipv4/fib_trie.c; the changes of tables are in fib_trie_table.ts. S. Nilsson,
 * G. Karlsson, "IP-Address Lookup Using LC-Tries", IEEE JSAC 17(6), 1999.
 *
 * A node looks at `bits` bits of the key from bit `pos` up; bits above pos + bits that all its keys
 * share are skipped. `slen` is the longest suffix (32 - prefix length) below it: a lookup that has
 * gone wrong only comes back to nodes where slen > pos, since only there a shorter prefix can be.
 *
 *     31            pos+bits          pos           0
 *     +---------------+----------------+------------+
 *     | skipped, same |  index of child| children's |
 *     +---------------+----------------+------------+
 */
import type { Flowi4 } from '#include/net/flow.ts';
import {
  FibAlias,
  type FibInfo,
  type FibNh,
  type FibResult,
  FibTable,
} from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import {
  FA_S_ACCESSED,
  fibDscpMaskedMatch,
  fibLookupGoodNhc,
  fibProps,
} from '#net/ipv4/fib_lookup.ts';
import { EAGAIN } from '#uapi/errno.ts';
import { RTNH_F_DEAD } from '#uapi/rtnetlink.ts';

export const KEYLENGTH = 32;
/** Most doublings or halvings of one node in one go. @kernel MAX_WORK net/ipv4/fib_trie.c */
const MAX_WORK = 10;
/** Largest node: 2^20 children. */
const BITS_MAX = 20;
/** Percentage of used children from which a node doubles, and under which it halves. */
const INFLATE_THRESHOLD = 50;
const HALVE_THRESHOLD = 25;
const INFLATE_THRESHOLD_ROOT = 30;
const HALVE_THRESHOLD_ROOT = 15;

/** The children of a leaf: one array for all, to which nothing can be added. */
const NO_CHILDREN: readonly (KeyVector | null)[] = Object.freeze([]);

/**
 * A node (bits > 0), a leaf (bits 0), or the anchor above the root (pos 32). There is one for each
 * destination: nothing in it takes a box or an array of its own, but the children of a node.
 * @kernel key_vector net/ipv4/fib_trie.c
 */
export class KeyVector {
  /** The key as a signed number, which V8 keeps in place. */
  readonly prefix: number;
  readonly pos: number;
  readonly bits: number;
  slen: number;
  parent: KeyVector | null;
  readonly tnode: (KeyVector | null)[];
  emptyChildren: number;
  /** Children that start right where this node ends. */
  fullChildren: number;
  /** Leaf: its routes, the longest prefix first. */
  leaf: FibAlias | null;

  constructor(key: number, pos: number, bits: number, children: number) {
    // What a lookup reads comes first, to lie in as few lines of the cache as can be.
    this.prefix = key | 0;
    this.pos = pos;
    this.bits = bits;
    this.leaf = null;
    this.tnode =
      children === 0
        ? (NO_CHILDREN as (KeyVector | null)[])
        : new Array<KeyVector | null>(children).fill(null);
    this.slen = pos;
    this.parent = null;
    this.emptyChildren = children;
    this.fullChildren = 0;
  }

  get key(): number {
    return this.prefix >>> 0;
  }
}

/** How the trie behaved. @kernel trie_use_stats net/ipv4/fib_trie.c */
export class TrieUseStats {
  gets = 0;
  backtrack = 0;
  semanticMatchPassed = 0;
  semanticMatchMiss = 0;
  nullNodeHit = 0;
  resizeNodeSkipped = 0;
}

/** @kernel trie net/ipv4/fib_trie.c */
export class Trie {
  /** The anchor: its only child is the root. */
  readonly kv: KeyVector;
  readonly stats: TrieUseStats;

  constructor() {
    this.kv = new KeyVector(0, KEYLENGTH, 0, 1);
    this.kv.slen = KEYLENGTH;
    this.stats = new TrieUseStats();
  }
}

/** @kernel fib_trie_table net/ipv4/fib_trie.c */
export function fibTrieTable(id: number, alias: FibTable | null): FibTable {
  return new FibTable(id, alias === null ? new Trie() : alias.tbData, alias !== null);
}

function isTrie(n: KeyVector): boolean {
  return n.pos >= KEYLENGTH;
}

function isLeaf(n: KeyVector): boolean {
  return n.bits === 0;
}

/** Index of the child for `key`; at or above 2^bits when the skipped bits differ. @kernel get_cindex net/ipv4/fib_trie.c */
function getCindex(key: number, n: KeyVector): number {
  return (key ^ n.prefix) >>> n.pos;
}

/** Index of the child for a key that is known to lie below. @kernel get_index net/ipv4/fib_trie.c */
function getIndex(key: number, n: KeyVector): number {
  return isTrie(n) ? 0 : (key ^ n.prefix) >>> n.pos;
}

function childAt(n: KeyVector, index: number): KeyVector | null {
  return n.tnode[index] as KeyVector | null;
}

/** @kernel leaf_new net/ipv4/fib_trie.c */
function leafNew(key: number, fa: FibAlias): KeyVector {
  const l = new KeyVector(key, 0, 0, 0);
  l.slen = fa.faSlen;
  l.leaf = fa;
  return l;
}

/** @kernel tnode_new net/ipv4/fib_trie.c */
function tnodeNew(key: number, pos: number, bits: number): KeyVector {
  const shift = pos + bits;
  const prefix = shift < KEYLENGTH ? (key >>> shift) << shift : 0;
  return new KeyVector(prefix, pos, bits, 1 << bits);
}

/** True when `n` is a node right below `tn` with no skipped bits between. @kernel tnode_full net/ipv4/fib_trie.c */
function tnodeFull(tn: KeyVector, n: KeyVector | null): boolean {
  return n !== null && n.pos + n.bits === tn.pos && !isLeaf(n);
}

/** @kernel put_child net/ipv4/fib_trie.c */
function putChild(tn: KeyVector, i: number, n: KeyVector | null): void {
  const old = childAt(tn, i);
  if (n === null && old !== null) tn.emptyChildren++;
  else if (n !== null && old === null) tn.emptyChildren--;
  const wasFull = tnodeFull(tn, old);
  const isFull = tnodeFull(tn, n);
  if (wasFull && !isFull) tn.fullChildren--;
  else if (!wasFull && isFull) tn.fullChildren++;
  if (n !== null && tn.slen < n.slen) tn.slen = n.slen;
  tn.tnode[i] = n;
}

/** @kernel put_child_root net/ipv4/fib_trie.c */
function putChildRoot(tp: KeyVector, key: number, n: KeyVector | null): void {
  if (isTrie(tp)) tp.tnode[0] = n;
  else putChild(tp, getIndex(key, tp), n);
}

/** Sets the parents below a node that takes the place of others. @kernel update_children net/ipv4/fib_trie.c */
function updateChildren(tn: KeyVector): void {
  for (const n of tn.tnode) {
    if (n === null) continue;
    // A child that already names us is as new as we are: its children have still to learn.
    if (n.parent === tn) updateChildren(n);
    else n.parent = tn;
  }
}

/** Puts `tn` where `old` was; returns the parent. @kernel replace net/ipv4/fib_trie.c */
function replace(t: Trie, old: KeyVector, tn: KeyVector): KeyVector {
  const tp = old.parent as KeyVector;
  tn.parent = tp;
  putChildRoot(tp, tn.prefix, tn);
  updateChildren(tn);
  for (let i = tn.tnode.length - 1; i >= 0; i--) {
    const n = childAt(tn, i);
    if (n !== null && tnodeFull(tn, n)) resize(t, n);
  }
  return tp;
}

/** Splits a full child into the halves that become children of the doubled node. */
function splitChild(tn: KeyVector, i: number, n: KeyVector): void {
  const half = n.tnode.length / 2;
  const node1 = tnodeNew(n.prefix | (1 << tn.pos), n.pos, n.bits - 1);
  const node0 = tnodeNew(n.prefix, n.pos, n.bits - 1);
  for (let j = 0; j < half; j++) {
    putChild(node0, j, childAt(n, j));
    putChild(node1, j, childAt(n, j + half));
  }
  node1.parent = tn;
  node0.parent = tn;
  putChild(tn, 2 * i + 1, node1);
  putChild(tn, 2 * i, node0);
}

/** Doubles a node: it looks at one bit more. @kernel inflate net/ipv4/fib_trie.c */
function inflate(t: Trie, old: KeyVector): KeyVector {
  const tn = tnodeNew(old.prefix, old.pos - 1, old.bits + 1);
  for (let i = old.tnode.length - 1; i >= 0; i--) {
    const n = childAt(old, i);
    if (n === null) continue;
    if (!tnodeFull(old, n)) {
      putChild(tn, getIndex(n.prefix, tn), n);
    } else if (n.bits === 1) {
      putChild(tn, 2 * i + 1, childAt(n, 1));
      putChild(tn, 2 * i, childAt(n, 0));
    } else {
      splitChild(tn, i, n);
    }
  }
  return replace(t, old, tn);
}

/** Halves a node: it looks at one bit less. @kernel halve net/ipv4/fib_trie.c */
function halve(t: Trie, old: KeyVector): KeyVector {
  const tn = tnodeNew(old.prefix, old.pos + 1, old.bits - 1);
  for (let i = old.tnode.length - 2; i >= 0; i -= 2) {
    const node1 = childAt(old, i + 1);
    const node0 = childAt(old, i);
    if (node1 === null || node0 === null) {
      putChild(tn, i / 2, node1 ?? node0);
      continue;
    }
    const n = tnodeNew(node0.prefix, old.pos, 1);
    putChild(n, 1, node1);
    putChild(n, 0, node0);
    n.parent = tn;
    putChild(tn, i / 2, n);
  }
  return replace(t, old, tn);
}

/** Takes out a node that has at most one child. @kernel collapse net/ipv4/fib_trie.c */
function collapse(old: KeyVector): KeyVector {
  let n: KeyVector | null = null;
  for (let i = old.tnode.length - 1; n === null && i >= 0; i--) n = childAt(old, i);
  const tp = old.parent as KeyVector;
  putChildRoot(tp, old.prefix, n);
  if (n !== null) n.parent = tp;
  return tp;
}

/** Recomputes the longest suffix from the children. @kernel update_suffix net/ipv4/fib_trie.c */
function updateSuffix(tn: KeyVector): number {
  let slen = tn.pos;
  for (const n of tn.tnode) if (n !== null && n.slen > slen) slen = n.slen;
  tn.slen = slen;
  return slen;
}

/** @kernel should_inflate net/ipv4/fib_trie.c */
function shouldInflate(tp: KeyVector, tn: KeyVector): boolean {
  const length = tn.tnode.length;
  const threshold = length * (isTrie(tp) ? INFLATE_THRESHOLD_ROOT : INFLATE_THRESHOLD);
  const used = length - tn.emptyChildren + tn.fullChildren;
  return used > 1 && tn.pos !== 0 && tn.bits < BITS_MAX && 100 * used >= threshold;
}

/** @kernel should_halve net/ipv4/fib_trie.c */
function shouldHalve(tp: KeyVector, tn: KeyVector): boolean {
  const length = tn.tnode.length;
  const threshold = length * (isTrie(tp) ? HALVE_THRESHOLD_ROOT : HALVE_THRESHOLD);
  const used = length - tn.emptyChildren;
  return used > 1 && tn.bits > 1 && 100 * used < threshold;
}

/** @kernel should_collapse net/ipv4/fib_trie.c */
function shouldCollapse(tn: KeyVector): boolean {
  return tn.tnode.length - tn.emptyChildren < 2;
}

/** Brings a node to a good size; returns the parent. @kernel resize net/ipv4/fib_trie.c */
function resize(t: Trie, node: KeyVector): KeyVector {
  let tn = node;
  let tp = tn.parent as KeyVector;
  const cindex = getIndex(tn.prefix, tp);
  let work = MAX_WORK;
  while (shouldInflate(tp, tn) && work > 0) {
    tp = inflate(t, tn);
    work--;
    tn = childAt(tp, cindex) as KeyVector;
  }
  tp = tn.parent as KeyVector;
  if (work !== MAX_WORK) return tp;
  while (shouldHalve(tp, tn) && work > 0) {
    tp = halve(t, tn);
    work--;
    tn = childAt(tp, cindex) as KeyVector;
  }
  return shouldCollapse(tn) ? collapse(tn) : (tn.parent as KeyVector);
}

/** A suffix went: shorten what the nodes above remember. @kernel node_pull_suffix net/ipv4/fib_trie.c */
function nodePullSuffix(node: KeyVector, suffix: number): void {
  let tn = node;
  let slen = suffix;
  let nodeSlen = tn.slen;
  while (nodeSlen > tn.pos && nodeSlen > slen) {
    slen = updateSuffix(tn);
    if (nodeSlen === slen) break;
    tn = tn.parent as KeyVector;
    nodeSlen = tn.slen;
  }
}

/** A suffix came: tell the nodes above. @kernel node_push_suffix net/ipv4/fib_trie.c */
function nodePushSuffix(node: KeyVector, slen: number): void {
  let tn = node;
  while (tn.slen < slen) {
    tn.slen = slen;
    tn = tn.parent as KeyVector;
  }
}

/** Where a key is, or belongs. */
export interface NodePlace {
  /** The leaf of exactly this key; null: there is none. */
  readonly leaf: KeyVector | null;
  readonly parent: KeyVector;
}

/** @kernel fib_find_node net/ipv4/fib_trie.c */
export function fibFindNode(t: Trie, key: number): NodePlace {
  let parent = t.kv;
  let n = childAt(parent, 0);
  while (n !== null) {
    const index = getCindex(key, n);
    if (index >>> n.bits !== 0) return { leaf: null, parent };
    if (isLeaf(n)) return { leaf: n, parent };
    parent = n;
    n = childAt(n, index);
  }
  return { leaf: null, parent };
}

/**
 * The first route of a leaf that is not before (suffix, table, TOS, priority) in the list's order;
 * with `findFirst` the first of the suffix and table. @kernel fib_find_alias net/ipv4/fib_trie.c
 */
export function fibFindAlias(
  head: FibAlias | null,
  slen: number,
  dscp: number,
  prio: number,
  tbId: number,
  findFirst: boolean,
): FibAlias | null {
  for (let fa = head; fa !== null; fa = fa.faNext) {
    if (fa.faSlen < slen) continue;
    if (fa.faSlen !== slen) break;
    if (fa.tbId > tbId) continue;
    if (fa.tbId !== tbId) break;
    if (findFirst) return fa;
    if (fa.faDscp > dscp) continue;
    if (fa.faInfo.fibPriority >= prio || fa.faDscp < dscp) return fa;
  }
  return null;
}

/** @kernel trie_rebalance net/ipv4/fib_trie.c */
function trieRebalance(t: Trie, node: KeyVector): void {
  let tn = node;
  while (!isTrie(tn)) tn = resize(t, tn);
}

/** @kernel fib_insert_node net/ipv4/fib_trie.c */
function fibInsertNode(t: Trie, parent: KeyVector, fa: FibAlias, key: number): void {
  const l = leafNew(key, fa);
  let tp = parent;
  const n = childAt(tp, getIndex(key, tp));
  if (n !== null) {
    // The skipped bits differ: a node at the highest of them parts the two.
    const tn = tnodeNew(key, 31 - Math.clz32(key ^ n.prefix), 1);
    tn.parent = tp;
    putChild(tn, getIndex(key, tn) ^ 1, n);
    putChildRoot(tp, key, tn);
    n.parent = tn;
    tp = tn;
  }
  nodePushSuffix(tp, fa.faSlen);
  l.parent = tp;
  putChildRoot(tp, key, l);
  trieRebalance(t, tp);
}

/** Puts `fa` before `at`, or where its suffix and table belong when `at` is null. */
function linkAlias(l: KeyVector, fa: FibAlias, at: FibAlias | null): void {
  let prev: FibAlias | null = null;
  for (let last = l.leaf; last !== null; last = last.faNext) {
    if (at !== null ? last === at : belongsBefore(fa, last)) break;
    prev = last;
  }
  fa.faNext = prev === null ? l.leaf : prev.faNext;
  if (prev === null) l.leaf = fa;
  else prev.faNext = fa;
}

function belongsBefore(fa: FibAlias, last: FibAlias): boolean {
  return fa.faSlen < last.faSlen || (fa.faSlen === last.faSlen && fa.tbId > last.tbId);
}

/** @kernel fib_insert_alias net/ipv4/fib_trie.c */
export function fibInsertAlias(
  t: Trie,
  place: NodePlace,
  fa: FibAlias,
  before: FibAlias | null,
  key: number,
): void {
  const { leaf, parent } = place;
  if (leaf === null) {
    fibInsertNode(t, parent, fa, key);
    return;
  }
  linkAlias(leaf, fa, before);
  if (leaf.slen < fa.faSlen) {
    leaf.slen = fa.faSlen;
    nodePushSuffix(parent, fa.faSlen);
  }
}

/** @kernel fib_remove_alias net/ipv4/fib_trie.c */
export function fibRemoveAlias(t: Trie, place: NodePlace, old: FibAlias): void {
  const l = place.leaf as KeyVector;
  const tp = place.parent;
  let prev: FibAlias | null = null;
  for (let fa = l.leaf; fa !== null && fa !== old; fa = fa.faNext) prev = fa;
  if (prev === null) l.leaf = old.faNext;
  else prev.faNext = old.faNext;
  const wasLast = old.faNext === null;
  old.faNext = null;
  if (l.leaf === null) {
    const longest = tp.slen === l.slen;
    putChildRoot(tp, l.prefix, null);
    if (longest) nodePullSuffix(tp, tp.pos);
    trieRebalance(t, tp);
  } else if (wasLast && prev !== null) {
    l.slen = prev.faSlen;
    nodePullSuffix(tp, prev.faSlen);
  }
}

/** Takes the routes for which `doomed` holds out of a leaf; how many. */
function pruneLeaf(l: KeyVector, doomed: (fa: FibAlias) => boolean): number {
  let count = 0;
  let prev: FibAlias | null = null;
  let next: FibAlias | null;
  for (let fa = l.leaf; fa !== null; fa = next) {
    next = fa.faNext;
    if (!doomed(fa)) {
      prev = fa;
      continue;
    }
    if (prev === null) l.leaf = next;
    else prev.faNext = next;
    fa.faNext = null;
    count++;
  }
  l.slen = prev === null ? 0 : prev.faSlen;
  return count;
}

/**
 * Takes out every route for which `doomed` holds, from the last key to the first; how many. A node is
 * brought to a good size once, when all below it is done: after each route, a large table would be
 * built anew time and again.
 * @kernel fib_table_flush net/ipv4/fib_trie.c
 */
export function triePrune(t: Trie, doomed: (fa: FibAlias) => boolean): number {
  let pn = t.kv;
  let cindex = 1;
  let count = 0;
  for (;;) {
    if (cindex-- === 0) {
      if (isTrie(pn)) return count;
      const { prefix } = pn;
      if (pn.slen > pn.pos) updateSuffix(pn);
      pn = resize(t, pn);
      cindex = getIndex(prefix, pn);
      continue;
    }
    const n = childAt(pn, cindex);
    if (n === null) continue;
    if (!isLeaf(n)) {
      pn = n;
      cindex = n.tnode.length;
      continue;
    }
    count += pruneLeaf(n, doomed);
    if (n.leaf === null) putChildRoot(pn, n.prefix, null);
  }
}

/** Swaps one route of a leaf for another with the same keys. */
export function fibReplaceAlias(l: KeyVector, old: FibAlias, fa: FibAlias): void {
  let prev: FibAlias | null = null;
  for (let a = l.leaf; a !== null && a !== old; a = a.faNext) prev = a;
  fa.faNext = old.faNext;
  if (prev === null) l.leaf = fa;
  else prev.faNext = fa;
  old.faNext = null;
}

/** True when the bits in which `key` differs reach into the prefix of `n`. @kernel prefix_mismatch net/ipv4/fib_trie.c */
function prefixMismatch(key: number, n: KeyVector): boolean {
  const { prefix } = n;
  return ((key ^ prefix) & (prefix | -prefix)) !== 0;
}

/** Down the zero bits from `n` to a leaf whose prefix the key may have; null: none. */
function descend(key: number, start: KeyVector): KeyVector | null {
  let n: KeyVector | null = start;
  while (n !== null) {
    if (prefixMismatch(key, n) || n.slen === n.pos) return null;
    if (isLeaf(n)) return n;
    n = childAt(n, 0);
  }
  return null;
}

/**
 * Looks for a route in a leaf. 0 with `res` filled, the error of a blackhole and its like, or 1:
 * nothing here fits.
 */
function checkLeaf(
  tb: FibTable,
  flp: Flowi4,
  res: FibResult,
  fibFlags: number,
  n: KeyVector,
): number {
  const index = (flp.daddr ^ n.prefix) >>> 0;
  for (let fa = n.leaf; fa !== null; fa = fa.faNext) {
    if (fa.faSlen !== KEYLENGTH && index >>> fa.faSlen !== 0) continue;
    if (fa.faDscp !== 0 && !fibDscpMaskedMatch(fa.faDscp, flp)) continue;
    const fi: FibInfo = fa.faInfo;
    if (fi.fibDead || fi.fibScope < flp.flowi4Scope) continue;
    // Looked at before: written once, the line of memory stays clean.
    if ((fa.faState & FA_S_ACCESSED) === 0) fa.faState |= FA_S_ACCESSED;
    const { error } = fibProps[fa.faType] as { error: number };
    if (error < 0) return error;
    if ((fi.fibFlags & RTNH_F_DEAD) !== 0) continue;
    for (let nhsel = 0; nhsel < fi.fibNh.length; nhsel++) {
      const nhc = fi.fibNh[nhsel] as FibNh;
      if (!fibLookupGoodNhc(nhc, fibFlags, flp)) continue;
      res.prefix = n.key;
      res.prefixlen = KEYLENGTH - fa.faSlen;
      res.nhSel = nhsel;
      res.nhc = nhc;
      res.type = fa.faType;
      res.scope = fi.fibScope;
      res.dscp = fa.faDscp;
      res.fi = fi;
      res.table = tb;
      res.faHead = n.leaf;
      return 0;
    }
  }
  return 1;
}

function traced(net: Net, tb: FibTable, flp: Flowi4, nhc: FibNh | null, err: number): number {
  if (tracepointKey.enabled) net.machine.trace.fib.fibTableLookup.probe?.(tb.tbId, flp, nhc, err);
  return err;
}

/**
 * The longest prefix that matches `flp.daddr` and suits the flow. 0 with `res` filled, -EAGAIN:
 * nothing in this table, or the error of the route's type.
 * @kernel fib_table_lookup net/ipv4/fib_trie.c
 */
export function fibTableLookup(
  net: Net,
  tb: FibTable,
  flp: Flowi4,
  res: FibResult,
  fibFlags: number,
): number {
  const t = tb.tbData;
  const { stats } = t;
  const key = flp.daddr;
  let pn = t.kv;
  let cindex = 0;
  let n = childAt(pn, 0);
  stats.gets++;
  // Down to the leaf of the key, or to where the skipped bits differ.
  while (n !== null) {
    const index = getCindex(key, n);
    if (index >>> n.bits !== 0) {
      n = descend(key, n);
      break;
    }
    if (isLeaf(n)) break;
    if (n.slen > n.pos) {
      pn = n;
      cindex = index;
    }
    n = childAt(n, index);
    if (n === null) stats.nullNodeHit++;
  }
  // Then back: strip one bit of the index after the other, for ever shorter prefixes.
  for (;;) {
    if (n !== null) {
      const err = checkLeaf(tb, flp, res, fibFlags, n);
      if (err <= 0) {
        if (err === 0) stats.semanticMatchPassed++;
        return traced(net, tb, flp, err === 0 ? res.nhc : null, err);
      }
      stats.semanticMatchMiss++;
    }
    do {
      stats.backtrack++;
      while (cindex === 0) {
        if (isTrie(pn)) return traced(net, tb, flp, null, -EAGAIN);
        const pkey = pn.prefix;
        pn = pn.parent as KeyVector;
        cindex = getIndex(pkey, pn);
      }
      cindex &= cindex - 1;
      n = childAt(pn, cindex);
    } while (n === null);
    n = descend(key, n);
  }
}

/** The first leaf below `n` whose key is not below `key`. */
function leafFrom(n: KeyVector, key: number): KeyVector | null {
  if (isLeaf(n)) return n.key >= key ? n : null;
  let i = 0;
  if (key > n.key) {
    i = getIndex(key, n);
    if (i >= n.tnode.length) return null;
  }
  for (; i < n.tnode.length; i++) {
    const child = childAt(n, i);
    const leaf = child === null ? null : leafFrom(child, key);
    if (leaf !== null) return leaf;
  }
  return null;
}

/** The leaf with the smallest key from `key` on. @kernel leaf_walk_rcu net/ipv4/fib_trie.c */
export function leafWalk(t: Trie, key: number): KeyVector | null {
  const root = childAt(t.kv, 0);
  return root === null ? null : leafFrom(root, key);
}

/** Calls `each` for every leaf in the order of the keys; `each` must not change the trie. */
export function trieForEachLeaf(t: Trie, each: (leaf: KeyVector) => void): void {
  let key = 0;
  for (let l = leafWalk(t, key); l !== null; l = leafWalk(t, key)) {
    each(l);
    key = l.key + 1;
    if (key > 0xffffffff) break;
  }
}

/** A new route for a leaf. */
export function fibAliasNew(
  fi: FibInfo,
  dscp: number,
  type: number,
  slen: number,
  tbId: number,
): FibAlias {
  return new FibAlias(fi, dscp, type, slen, tbId);
}
