/**
 * Routing tables as netlink messages. Counterpart of fib_table_dump of net/ipv4/fib_trie.c.
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import type { FibAlias, FibTable } from '#include/net/ip_fib.ts';
import type { NetlinkCallback } from '#include/net/rtnetlink.ts';
import { fibDumpInfo } from '#net/ipv4/fib_semantics_dump.ts';
import { type KeyVector, leafWalk } from '#net/ipv4/fib_trie.ts';
import { NLM_F_MULTI } from '#uapi/netlink.ts';
import { RTM_NEWROUTE } from '#uapi/rtnetlink.ts';

/** What a dump leaves out. @kernel fib_dump_filter include/net/ip_fib.h */
export interface FibDumpFilter {
  readonly tableId: number;
  readonly protocol: number;
  readonly rtType: number;
  readonly ifindex: number;
  readonly filterSet: boolean;
}

function filtered(fa: FibAlias, filter: FibDumpFilter): boolean {
  if (!filter.filterSet) return false;
  const fi = fa.faInfo;
  if (filter.rtType !== 0 && fa.faType !== filter.rtType) return true;
  if (filter.protocol !== 0 && fi.fibProtocol !== filter.protocol) return true;
  return filter.ifindex !== 0 && !fi.fibNh.some((nh) => nh.fibNhDev?.ifindex === filter.ifindex);
}

/** One leaf. args[4]: how many of its routes have been sent. @kernel fn_trie_dump_leaf net/ipv4/fib_trie.c */
function fnTrieDumpLeaf(
  leaf: KeyVector,
  tb: FibTable,
  skb: SkBuff,
  cb: NetlinkCallback,
  filter: FibDumpFilter,
): number {
  const start = cb.args[4] as number;
  let i = 0;
  for (let fa = leaf.leaf; fa !== null; fa = fa.faNext, i++) {
    if (i < start || fa.tbId !== tb.tbId || filtered(fa, filter)) continue;
    const flags = NLM_F_MULTI;
    const err = fibDumpInfo(skb, cb.portid, cb.seq, RTM_NEWROUTE, fa, leaf.key, flags);
    if (err < 0) {
      cb.args[4] = i;
      return err;
    }
  }
  cb.args[4] = 0;
  return 0;
}

/**
 * Appends a table's routes. args[2]: leaves sent, args[3]: the key to go on from. Negative: the
 * packet is full.
 * @kernel fib_table_dump net/ipv4/fib_trie.c
 */
export function fibTableDump(
  tb: FibTable,
  skb: SkBuff,
  cb: NetlinkCallback,
  filter: FibDumpFilter,
): number {
  let key = cb.args[3] as number;
  // A key of 2^32 means that the last leaf has been sent.
  while (key <= 0xffffffff) {
    const leaf = leafWalk(tb.tbData, key);
    if (leaf === null) break;
    const err = fnTrieDumpLeaf(leaf, tb, skb, cb, filter);
    if (err < 0) {
      cb.args[3] = leaf.key;
      return err;
    }
    key = leaf.key + 1;
    cb.args[2] = (cb.args[2] as number) + 1;
  }
  cb.args[3] = 0x100000000;
  return 0;
}
