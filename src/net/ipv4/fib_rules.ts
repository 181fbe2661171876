/**
 * Which table answers: the policy rules of IPv4, and the short way when there are only the default
 * ones.
 *
 * Counterpart of net/ipv4/fib_rules.c and of fib_lookup in include/net/ip_fib.h. The default rules
 * are 0 (local), 32766 (main), 32767 (default).
 */

import { inetMakeMask } from '#include/linux/inetdevice.ts';
import type { FibRule, FibRulesOps } from '#include/net/fib_rules.ts';
import type { Flowi4 } from '#include/net/flow.ts';
import { FIB_LOOKUP_NOREF, type FibResult, type FibTable } from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { rtCacheFlush } from '#include/net/route.ts';
import { fibDefaultRuleAdd, fibRulesLookup, fibRulesRegister } from '#net/core/fib_rules.ts';
import { fibTableLookup, fibTrieTable } from '#net/ipv4/fib_trie.ts';
import { EACCES, EAGAIN, EINVAL, ENETUNREACH } from '#uapi/errno.ts';
import {
  FR_ACT_BLACKHOLE,
  FR_ACT_PROHIBIT,
  FR_ACT_TO_TBL,
  FR_ACT_UNREACHABLE,
} from '#uapi/fib_rules.ts';
import {
  RT_TABLE_DEFAULT,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RT_TABLE_UNSPEC,
} from '#uapi/rtnetlink.ts';
import { AF_INET } from '#uapi/socket.ts';

/** The table of that id, 0 meaning main; null: there is none. @kernel fib_get_table net/ipv4/fib_frontend.c */
export function fibGetTable(net: Net, id: number): FibTable | null {
  const { ipv4 } = net;
  if (id === RT_TABLE_UNSPEC || id === RT_TABLE_MAIN) return ipv4.fibMain;
  return ipv4.fibTables.get(id) ?? null;
}

/** The table of that id, made if need be. @kernel fib_new_table net/ipv4/fib_frontend.c */
export function fibNewTable(net: Net, tableId: number): FibTable {
  const id = tableId === RT_TABLE_UNSPEC ? RT_TABLE_MAIN : tableId;
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

/** What a rule's action does for IPv4. @kernel fib4_rule_action net/ipv4/fib_rules.c */
function fib4RuleAction(
  net: Net,
  rule: FibRule,
  flp: Flowi4,
  res: FibResult,
  flags: number,
): number {
  switch (rule.action) {
    case FR_ACT_TO_TBL:
      break;
    case FR_ACT_UNREACHABLE:
      return -ENETUNREACH;
    case FR_ACT_PROHIBIT:
      return -EACCES;
    case FR_ACT_BLACKHOLE:
      return -EINVAL;
    default:
      return -EAGAIN;
  }
  const tb = fibGetTable(net, rule.table);
  return tb === null ? -EAGAIN : fibTableLookup(net, tb, flp, res, flags);
}

/** Does the rule throw this result away? @kernel fib4_rule_suppress net/ipv4/fib_rules.c */
function fib4RuleSuppress(rule: FibRule, res: FibResult): boolean {
  if (rule.suppressPrefixlen >= 0 && res.prefixlen <= rule.suppressPrefixlen) return true;
  const group = res.nhc?.fibNhDev?.group ?? -1;
  return rule.suppressIfgroup !== -1 && group === rule.suppressIfgroup;
}

/** @kernel fib4_rule_match net/ipv4/fib_rules.c */
function fib4RuleMatch(rule: FibRule, flow: Flowi4): boolean {
  if (((flow.saddr ^ rule.src) & inetMakeMask(rule.srcLen)) !== 0) return false;
  if (((flow.daddr ^ rule.dst) & inetMakeMask(rule.dstLen)) !== 0) return false;
  if (rule.dscp !== 0 && rule.dscp !== (flow.flowi4Tos & 0xfc)) return false;
  if (rule.ipProto !== 0 && rule.ipProto !== flow.flowi4Proto) return false;
  if (rule.sportEnd !== 0 && (flow.fl4Sport < rule.sportStart || flow.fl4Sport > rule.sportEnd)) {
    return false;
  }
  return (
    rule.dportEnd === 0 || (flow.fl4Dport >= rule.dportStart && flow.fl4Dport <= rule.dportEnd)
  );
}

/** The way through all rules. @kernel __fib_lookup net/ipv4/fib_rules.c */
export function __fibLookup(net: Net, flp: Flowi4, res: FibResult, flags: number): number {
  const ops = net.ipv4.rulesOps as FibRulesOps;
  const err = fibRulesLookup(ops, flp, (rule) => {
    const verdict = fib4RuleAction(net, rule, flp, res, flags);
    return verdict === 0 && fib4RuleSuppress(rule, res) ? -EAGAIN : verdict;
  });
  return err === -EAGAIN ? -ENETUNREACH : err;
}

/**
 * Finds the route of a flow: 0 with `res` filled, or a negative errno: -ENETUNREACH when there is
 * none, -EHOSTUNREACH, -EACCES, -EINVAL from unreachable, prohibit and blackhole routes.
 * @kernel fib_lookup include/net/ip_fib.h
 */
export function fibLookup(net: Net, flp: Flowi4, res: FibResult, flags: number): number {
  const { ipv4 } = net;
  const how = flags | FIB_LOOKUP_NOREF;
  if (ipv4.fibHasCustomRules) return __fibLookup(net, flp, res, how);
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

/** @kernel fib4_rules_init net/ipv4/fib_rules.c */
export function fib4RulesInit(net: Net): number {
  const ops: FibRulesOps = {
    family: AF_INET,
    net,
    rulesList: [],
    unresolvedRules: 0,
    match: fib4RuleMatch,
    flushCache: rtCacheFlush,
  };
  fibDefaultRuleAdd(ops, 0, RT_TABLE_LOCAL);
  fibDefaultRuleAdd(ops, 0x7ffe, RT_TABLE_MAIN);
  fibDefaultRuleAdd(ops, 0x7fff, RT_TABLE_DEFAULT);
  net.ipv4.rulesOps = ops;
  net.ipv4.fibHasCustomRules = false;
  fibRulesRegister(ops);
  return 0;
}

/** @kernel fib4_rules_exit net/ipv4/fib_rules.c */
export function fib4RulesExit(net: Net): void {
  net.ipv4.rulesOps = null;
}
