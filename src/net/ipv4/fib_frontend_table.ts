/**
 * The routing tables by their ids, and the lookup in them.
 *
 * Counterpart of fib_get_table and fib_new_table of net/ipv4/fib_frontend.c and of fib_lookup in
 * include/net/ip_fib.h, with and without CONFIG_IP_MULTIPLE_TABLES: there are rules when the module
 * fib_rules is there.
 */

import type { FibRulesOps } from '#include/net/fib_rules.ts';
import type { Flowi4 } from '#include/net/flow.ts';
import { FIB_LOOKUP_NOREF, type FibResult, type FibTable } from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { fibTableLookup, fibTrieTable } from '#net/ipv4/fib_trie.ts';
import { EAGAIN, ENETUNREACH } from '#uapi/errno.ts';
import {
  RT_TABLE_DEFAULT,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RT_TABLE_UNSPEC,
} from '#uapi/rtnetlink.ts';

/** The table of that id, 0 meaning main; null: there is none. @kernel fib_get_table net/ipv4/fib_frontend.c */
export function fibGetTable(net: Net, id: number): FibTable | null {
  const { ipv4 } = net;
  if (id === RT_TABLE_UNSPEC || id === RT_TABLE_MAIN) return ipv4.fibMain;
  return ipv4.fibTables.get(id) ?? null;
}

/** The table of that id, made if need be. @kernel fib_new_table net/ipv4/fib_frontend.c */
export function fibNewTable(net: Net, tableId: number): FibTable {
  // Without rules nobody would look into any other table.
  const known = tableId === RT_TABLE_LOCAL || net.ipv4.rulesOps !== null;
  const id = tableId === RT_TABLE_UNSPEC || !known ? RT_TABLE_MAIN : tableId;
  const existing = fibGetTable(net, id);
  if (existing !== null) return existing;
  // While there are no rules of the user's, local routes live in main's trie: one lookup for both.
  const alias =
    id === RT_TABLE_LOCAL && !net.ipv4.fibHasCustomRules ? fibNewTable(net, RT_TABLE_MAIN) : null;
  const tb = fibTrieTable(id, alias);
  if (id === RT_TABLE_MAIN) net.ipv4.fibMain = tb;
  else if (id === RT_TABLE_DEFAULT) net.ipv4.fibDefault = tb;
  net.ipv4.fibTables.set(id, tb);
  return tb;
}

/**
 * Finds the route of a flow: 0 with `res` filled, or a negative errno: -ENETUNREACH when there is
 * none, -EHOSTUNREACH, -EACCES, -EINVAL from unreachable, prohibit and blackhole routes.
 * @kernel fib_lookup include/net/ip_fib.h
 */
export function fibLookup(net: Net, flp: Flowi4, res: FibResult, flags: number): number {
  const { ipv4 } = net;
  const how = flags | FIB_LOOKUP_NOREF;
  if (ipv4.fibHasCustomRules) return (ipv4.rulesOps as FibRulesOps).lookup(net, flp, res, how);
  let err = -ENETUNREACH;
  if (ipv4.fibMain !== null) err = fibTableLookup(net, ipv4.fibMain, flp, res, how);
  if (err !== 0 && ipv4.fibDefault !== null) {
    err = fibTableLookup(net, ipv4.fibDefault, flp, res, how);
  }
  return err === -EAGAIN ? -ENETUNREACH : err;
}

/** True when some rule selects by more than the defaults do. @kernel fib4_has_custom_rules include/net/ip_fib.h */
export function fib4HasCustomRules(net: Net): boolean {
  return net.ipv4.fibHasCustomRules;
}
