/**
 * Which table answers: the policy rules of IPv4. Counterpart of net/ipv4/fib_rules.c. The default
 * rules are 0 (local), 32766 (main), 32767 (default).
 */

import { inetMakeMask } from '#include/linux/inetdevice.ts';
import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { FibRule, FibRulesOps } from '#include/net/fib_rules.ts';
import type { Flowi4 } from '#include/net/flow.ts';
import type { FibResult } from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { rtCacheFlush } from '#include/net/route.ts';
import type { Machine } from '#kernel/machine.ts';
import {
  fibDefaultRuleAdd,
  fibRulesInit,
  fibRulesLookup,
  fibRulesRegister,
} from '#net/core/fib_rules.ts';
import { registerPernetSubsys } from '#net/core/net_namespace.ts';
import { fibUnmerge } from '#net/ipv4/fib_frontend_config.ts';
import { fibGetTable } from '#net/ipv4/fib_frontend_table.ts';
import { fibTableLookup } from '#net/ipv4/fib_trie.ts';
import { EACCES, EAGAIN, EINVAL, ENETUNREACH, ESRCH } from '#uapi/errno.ts';
import {
  FR_ACT_BLACKHOLE,
  FR_ACT_PROHIBIT,
  FR_ACT_TO_TBL,
  FR_ACT_UNREACHABLE,
} from '#uapi/fib_rules.ts';
import { RT_TABLE_DEFAULT, RT_TABLE_LOCAL, RT_TABLE_MAIN } from '#uapi/rtnetlink.ts';
import { AF_INET } from '#uapi/socket.ts';

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
function __fibLookup(net: Net, flp: Flowi4, res: FibResult, flags: number): number {
  const ops = net.ipv4.rulesOps as FibRulesOps;
  const err = fibRulesLookup(ops, flp, (rule) => {
    const verdict = fib4RuleAction(net, rule, flp, res, flags);
    return verdict === 0 && fib4RuleSuppress(rule, res) ? -EAGAIN : verdict;
  });
  // Where no rule had an answer there is no network, either.
  return err === -EAGAIN || err === -ESRCH ? -ENETUNREACH : err;
}

/** @kernel fib4_rules_init net/ipv4/fib_rules.c */
function fib4RulesInit(net: Net): number {
  const ops: FibRulesOps = {
    family: AF_INET,
    net,
    rulesList: [],
    unresolvedRules: 0,
    match: fib4RuleMatch,
    lookup: __fibLookup,
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
function fib4RulesExit(net: Net): void {
  net.ipv4.rulesOps = null;
}

/** @kernel ip_fib_init net/ipv4/fib_frontend.c */
function fib4RulesModuleInit(machine: Machine): number {
  fibRulesInit(machine, { unmerge: fibUnmerge });
  return registerPernetSubsys(machine, {
    name: 'fib_rules',
    init: fib4RulesInit,
    exit: fib4RulesExit,
  });
}

export const fibRulesModule: KernelModule = {
  name: 'fib_rules',
  config: 'CONFIG_IP_MULTIPLE_TABLES',
  depends: ['inet_rtnetlink'],
  level: FS_INITCALL,
  init: fib4RulesModuleInit,
  exit: null,
};
