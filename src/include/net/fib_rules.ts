/** Policy rules: which table answers for which flow. Counterpart of include/net/fib_rules.h. */
import type { Flowi4 } from '#include/net/flow.ts';
import type { FibResult } from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';

/** One rule. Zero means "any" in every selector. @kernel fib_rule include/net/fib_rules.h */
export class FibRule {
  iifindex = 0;
  oifindex = 0;
  mark = 0;
  markMask = 0;
  flags = 0;
  table = 0;
  action = 0;
  proto = 0;
  ipProto = 0;
  target = 0;
  pref = 0;
  suppressPrefixlen = -1;
  suppressIfgroup = -1;
  iifname = '';
  oifname = '';
  uidStart = 0;
  uidEnd = 0xffffffff;
  sportStart = 0;
  sportEnd = 0;
  dportStart = 0;
  dportEnd = 0;
  l3mdev = false;
  /** The rule that FR_ACT_GOTO leads to. */
  ctarget: FibRule | null = null;
  // IPv4's part.
  dstLen = 0;
  srcLen = 0;
  dscp = 0;
  src = 0;
  dst = 0;
}

/** The rules of one family in a namespace. @kernel fib_rules_ops include/net/fib_rules.h */
export interface FibRulesOps {
  readonly family: number;
  readonly net: Net;
  /** By ascending preference. */
  readonly rulesList: FibRule[];
  unresolvedRules: number;
  /** Does the rule's own part fit the flow? */
  match(rule: FibRule, flow: Flowi4): boolean;
  /** The way through all rules: as fib_lookup(). */
  lookup(net: Net, flp: Flowi4, res: FibResult, flags: number): number;
  /** Called after a change. */
  flushCache(net: Net): void;
}
