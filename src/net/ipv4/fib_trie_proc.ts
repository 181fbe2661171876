/**
 * The routing tables as text: /proc/net/route, /proc/net/fib_trie, /proc/net/fib_triestat.
 *
 * Counterpart of the seq_file part of net/ipv4/fib_trie.c.
 */

import { inetMakeMask } from '#include/linux/inetdevice.ts';
import type { FibAlias, FibTable } from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { inNtop4 } from '#lib/parse_addr.ts';
import { fibProps } from '#net/ipv4/fib_lookup.ts';
import { type KeyVector, type Trie, trieForEachLeaf } from '#net/ipv4/fib_trie.ts';
import { RTF_GATEWAY, RTF_HOST, RTF_REJECT, RTF_UP } from '#uapi/route.ts';
import {
  RT_SCOPE_HOST,
  RT_SCOPE_LINK,
  RT_SCOPE_NOWHERE,
  RT_SCOPE_SITE,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RTAX_ADVMSS,
  RTAX_RTT,
  RTAX_WINDOW,
  RTN_BROADCAST,
  RTN_MULTICAST,
} from '#uapi/rtnetlink.ts';

const HEADER =
  'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT';

/** An address as the file shows it: the bytes of the network order read as a little-endian number. */
function swappedHex(addr: number): string {
  const swapped =
    ((addr & 0xff) << 24) | ((addr & 0xff00) << 8) | ((addr >>> 8) & 0xff00) | (addr >>> 24);
  return (swapped >>> 0).toString(16).toUpperCase().padStart(8, '0');
}

/** @kernel fib_flag_trans net/ipv4/fib_trie.c */
function fibFlagTrans(fa: FibAlias, mask: number): number {
  let flags = (fibProps[fa.faType]?.error ?? 0) !== 0 ? RTF_REJECT : 0;
  const nh = fa.faInfo.fibNh[0];
  if (nh !== undefined && nh.fibNhGwFamily !== 0) flags |= RTF_GATEWAY;
  if (mask === 0xffffffff) flags |= RTF_HOST;
  return flags | RTF_UP;
}

/** One line of /proc/net/route, padded to 127 columns. @kernel fib_route_seq_show net/ipv4/fib_trie.c */
function routeLine(prefix: number, fa: FibAlias): string {
  const fi = fa.faInfo;
  const nh = fi.fibNh[0];
  const mask = inetMakeMask(32 - fa.faSlen);
  const flags = fibFlagTrans(fa, mask).toString(16).toUpperCase().padStart(4, '0');
  const advmss = fi.fibMetrics[RTAX_ADVMSS] as number;
  const line = [
    nh?.fibNhDev?.name ?? '*',
    swappedHex(prefix),
    swappedHex(nh?.fibNhGw4 ?? 0),
    flags,
    0,
    0,
    fi.fibPriority,
    swappedHex(mask),
    advmss !== 0 ? advmss + 40 : 0,
    fi.fibMetrics[RTAX_WINDOW] as number,
    (fi.fibMetrics[RTAX_RTT] as number) >>> 3,
  ];
  return `${line.join('\t').padEnd(127)}\n`;
}

/** /proc/net/route: the unicast routes of main. */
export function fibRouteSeqShow(net: Net): string {
  let text = `${HEADER.padEnd(127)}\n`;
  const tb = net.ipv4.fibMain;
  if (tb === null) return text;
  trieForEachLeaf(tb.tbData, (leaf) => {
    for (let fa = leaf.leaf; fa !== null; fa = fa.faNext) {
      if (fa.faType === RTN_BROADCAST || fa.faType === RTN_MULTICAST) continue;
      if (fa.tbId === tb.tbId) text += routeLine(leaf.key, fa);
    }
  });
  return text;
}

function scopeName(scope: number): string {
  switch (scope) {
    case RT_SCOPE_UNIVERSE:
      return 'universe';
    case RT_SCOPE_SITE:
      return 'site';
    case RT_SCOPE_LINK:
      return 'link';
    case RT_SCOPE_HOST:
      return 'host';
    case RT_SCOPE_NOWHERE:
      return 'nowhere';
    default:
      return `scope=${scope}`;
  }
}

const TYPE_NAMES: readonly string[] = [
  'UNSPEC',
  'UNICAST',
  'LOCAL',
  'BROADCAST',
  'ANYCAST',
  'MULTICAST',
  'BLACKHOLE',
  'UNREACHABLE',
  'PROHIBIT',
  'THROW',
  'NAT',
  'XRESOLVE',
];

/** @kernel fib_trie_seq_show net/ipv4/fib_trie.c */
function nodeText(n: KeyVector, depth: number): string {
  const indent = '   '.repeat(Math.max(depth, 0));
  if (n.bits !== 0) {
    let text = `${'   '.repeat(Math.max(depth - 1, 0))}  +-- ${inNtop4(n.key)}/${32 - n.pos - n.bits} ${n.bits} ${n.fullChildren} ${n.emptyChildren}\n`;
    for (const child of n.tnode) if (child !== null) text += nodeText(child, depth + 1);
    return text;
  }
  let text = `${indent}  |-- ${inNtop4(n.key)}\n`;
  for (let fa = n.leaf; fa !== null; fa = fa.faNext) {
    const type = (TYPE_NAMES[fa.faType] ?? `type ${fa.faType}`).toUpperCase();
    const tos = fa.faDscp !== 0 ? ` tos=${fa.faDscp}` : '';
    const scope = scopeName(fa.faInfo.fibScope);
    text += `${'   '.repeat(depth + 1)}  /${32 - fa.faSlen} ${scope} ${type}${tos}\n`;
  }
  return text;
}

function tableTitle(tb: FibTable): string {
  if (tb.tbId === RT_TABLE_LOCAL) return 'Local:\n';
  return tb.tbId === RT_TABLE_MAIN ? 'Main:\n' : `Id ${tb.tbId}:\n`;
}

function tablesInOrder(net: Net): FibTable[] {
  return [...net.ipv4.fibTables.values()].sort((a, b) => (a.tbId & 255) - (b.tbId & 255));
}

/** /proc/net/fib_trie. */
export function fibTrieSeqShow(net: Net): string {
  let text = '';
  for (const tb of tablesInOrder(net)) {
    const root = tb.tbData.kv.tnode[0] ?? null;
    if (root !== null) text += tableTitle(tb) + nodeText(root, 1);
  }
  return text;
}

/** Shape of a trie. @kernel trie_stat net/ipv4/fib_trie.c */
interface TrieStat {
  totdepth: number;
  maxdepth: number;
  tnodes: number;
  leaves: number;
  nullpointers: number;
  prefixes: number;
  readonly nodesizes: number[];
}

function collect(n: KeyVector, depth: number, s: TrieStat): void {
  if (n.bits === 0) {
    s.leaves++;
    s.totdepth += depth;
    s.maxdepth = Math.max(s.maxdepth, depth);
    for (let fa = n.leaf; fa !== null; fa = fa.faNext) s.prefixes++;
    return;
  }
  s.tnodes++;
  s.nodesizes[n.bits] = (s.nodesizes[n.bits] ?? 0) + 1;
  s.nullpointers += n.emptyChildren;
  for (const child of n.tnode) if (child !== null) collect(child, depth + 1, s);
}

/** @kernel trie_collect_stats net/ipv4/fib_trie.c */
export function trieCollectStats(t: Trie): TrieStat {
  const s: TrieStat = {
    totdepth: 0,
    maxdepth: 0,
    tnodes: 0,
    leaves: 0,
    nullpointers: 0,
    prefixes: 0,
    nodesizes: [],
  };
  const root = t.kv.tnode[0] ?? null;
  if (root !== null) collect(root, 0, s);
  return s;
}

function hundredths(value: number): string {
  return `${Math.floor(value / 100)}.${String(value % 100).padStart(2, '0')}`;
}

/** @kernel trie_show_stats net/ipv4/fib_trie.c */
function statText(t: Trie): string {
  const s = trieCollectStats(t);
  const average = s.leaves === 0 ? 0 : Math.floor((s.totdepth * 100) / s.leaves);
  let text = `\tAver depth:     ${hundredths(average)}\n\tMax depth:      ${s.maxdepth}\n`;
  text += `\tLeaves:         ${s.leaves}\n\tPrefixes:       ${s.prefixes}\n`;
  text += `\tInternal nodes: ${s.tnodes}\n\t`;
  let pointers = 0;
  for (const [bits, count] of s.nodesizes.entries()) {
    if (count === undefined) continue;
    text += `  ${bits}: ${count}`;
    pointers += count * 2 ** bits;
  }
  text += `\n\tPointers: ${pointers}\nNull ptrs: ${s.nullpointers}\n`;
  return text;
}

/** /proc/net/fib_triestat. */
export function fibTriestatSeqShow(net: Net): string {
  let text = 'Basic info: size of leaf: 48 bytes, size of tnode: 40 bytes.\n';
  for (const tb of tablesInOrder(net)) {
    const use = tb.tbData.stats;
    text += tableTitle(tb) + statText(tb.tbData);
    text += '\nCounters:\n---------\n';
    text += `gets = ${use.gets}\nbacktracks = ${use.backtrack}\n`;
    text += `semantic match passed = ${use.semanticMatchPassed}\n`;
    text += `semantic match miss = ${use.semanticMatchMiss}\nnull node hit= ${use.nullNodeHit}\n`;
    text += `skipped node resize = ${use.resizeNodeSkipped}\n\n`;
  }
  return text;
}
