/**
 * Policy rules of every family: the walk through them, and their configuration by rtnetlink.
 *
 * Counterpart of net/core/fib_rules.c. A family registers its rules in NetGlobals; IPv4's own part
 * of a rule is in net/ipv4/fib_rules.ts.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import { FibRule, type FibRulesOps } from '#include/net/fib_rules.ts';
import type { Flowi4 } from '#include/net/flow.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { NetlinkCallback, NetlinkExtAck, NlattrTable } from '#include/net/rtnetlink.ts';
import type { Machine } from '#kernel/machine.ts';
import { hostView } from '#mm/memory.ts';
import {
  rtnlHasListeners,
  rtnlNotify,
  rtnlRegister,
  rtnlRequestNet,
  rtnlRequestPortid,
} from '#net/core/rtnetlink.ts';
import { consumeSkb } from '#net/core/skbuff.ts';
import {
  type NlaPolicy,
  nlaGetInAddr,
  nlaGetString,
  nlaGetU8,
  nlaGetU16,
  nlaGetU32,
  nlaPutInAddr,
  nlaPutString,
  nlaPutU8,
  nlaPutU32,
  nlaReserve,
  nlmsgCancel,
  nlmsgEnd,
  nlmsgFlags,
  nlmsgNew,
  nlmsgParse,
  nlmsgPut,
  nlmsgSeq,
} from '#net/netlink/nlattr.ts';
import {
  EAFNOSUPPORT,
  EAGAIN,
  EEXIST,
  EINVAL,
  EMSGSIZE,
  ENOENT,
  EPERM,
  ESRCH,
} from '#uapi/errno.ts';
import {
  FIB_RULE_IIF_DETACHED,
  FIB_RULE_INVERT,
  FIB_RULE_OIF_DETACHED,
  FIB_RULE_PERMANENT,
  FIB_RULE_UNRESOLVED,
  FR_ACT_GOTO,
  FR_ACT_MAX,
  FR_ACT_NOP,
  FR_ACT_TO_TBL,
  FR_ACT_UNSPEC,
  FRA_DPORT_RANGE,
  FRA_DST,
  FRA_FWMARK,
  FRA_FWMASK,
  FRA_GOTO,
  FRA_IIFNAME,
  FRA_IP_PROTO,
  FRA_MAX,
  FRA_OIFNAME,
  FRA_PRIORITY,
  FRA_PROTOCOL,
  FRA_SPORT_RANGE,
  FRA_SRC,
  FRA_SUPPRESS_IFGROUP,
  FRA_SUPPRESS_PREFIXLEN,
  FRA_TABLE,
  FRA_UID_RANGE,
  fibRuleHdr,
} from '#uapi/fib_rules.ts';
import { NLM_F_EXCL, NLM_F_MULTI, NLMSG_HDRLEN } from '#uapi/netlink.ts';
import {
  RT_TABLE_COMPAT,
  RTM_DELRULE,
  RTM_GETRULE,
  RTM_NEWRULE,
  RTNLGRP_IPV4_RULE,
  RTPROT_KERNEL,
} from '#uapi/rtnetlink.ts';
import { AF_UNSPEC, PF_UNSPEC } from '#uapi/socket.ts';

/** One of the rules that are there from the start. @kernel fib_default_rule_add net/core/fib_rules.c */
export function fibDefaultRuleAdd(ops: FibRulesOps, pref: number, table: number): void {
  const rule = new FibRule();
  rule.pref = pref;
  rule.table = table;
  rule.action = FR_ACT_TO_TBL;
  rule.proto = RTPROT_KERNEL;
  if (pref === 0) rule.flags = FIB_RULE_PERMANENT;
  ops.rulesList.push(rule);
}

/** @kernel fib_rules_register net/core/fib_rules.c */
export function fibRulesRegister(ops: FibRulesOps): void {
  ops.rulesList.sort((a, b) => a.pref - b.pref);
}

/** @kernel fib_rule_match net/core/fib_rules.c */
function fibRuleMatch(rule: FibRule, ops: FibRulesOps, flow: Flowi4): boolean {
  let ok = rule.iifindex === 0 || rule.iifindex === flow.flowi4Iif;
  ok &&= rule.oifindex === 0 || rule.oifindex === flow.flowi4Oif;
  ok &&= ((rule.mark ^ flow.flowi4Mark) & rule.markMask) === 0;
  ok &&= flow.flowi4Uid >= rule.uidStart && flow.flowi4Uid <= rule.uidEnd;
  ok &&= ops.match(rule, flow);
  return (rule.flags & FIB_RULE_INVERT) !== 0 ? !ok : ok;
}

/**
 * Walks the rules; `act` says what a matching one comes to, -EAGAIN meaning "go on". -ESRCH: no rule
 * has answered.
 * @kernel fib_rules_lookup net/core/fib_rules.c
 */
export function fibRulesLookup(
  ops: FibRulesOps,
  flow: Flowi4,
  act: (rule: FibRule) => number,
): number {
  const rules = ops.rulesList;
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i] as FibRule;
    if (!fibRuleMatch(rule, ops, flow)) continue;
    if (rule.action === FR_ACT_GOTO) {
      const at = rule.ctarget === null ? -1 : rules.indexOf(rule.ctarget);
      if (at > i) i = at - 1;
      continue;
    }
    if (rule.action === FR_ACT_NOP) continue;
    const err = act(rule);
    if (err !== -EAGAIN) return err;
  }
  return -ESRCH;
}

function policyOf(): (NlaPolicy | undefined)[] {
  const policy: (NlaPolicy | undefined)[] = [];
  for (const type of [
    FRA_PRIORITY,
    FRA_FWMARK,
    FRA_FWMASK,
    FRA_TABLE,
    FRA_GOTO,
    FRA_SUPPRESS_PREFIXLEN,
    FRA_SUPPRESS_IFGROUP,
  ]) {
    policy[type] = { kind: 'u32' };
  }
  policy[FRA_IIFNAME] = { kind: 'string', len: 15 };
  policy[FRA_OIFNAME] = { kind: 'string', len: 15 };
  policy[FRA_SRC] = { kind: 'inAddr' };
  policy[FRA_DST] = { kind: 'inAddr' };
  policy[FRA_PROTOCOL] = { kind: 'u8' };
  policy[FRA_IP_PROTO] = { kind: 'u8' };
  policy[FRA_SPORT_RANGE] = { kind: 'binary', len: 4 };
  policy[FRA_DPORT_RANGE] = { kind: 'binary', len: 4 };
  policy[FRA_UID_RANGE] = { kind: 'binary', len: 8 };
  return policy;
}

function fail(extack: NetlinkExtAck, err: number, msg: string): number {
  extack.msg = msg;
  return err;
}

/** The preference of a rule that names none: one before the second rule. @kernel fib_default_rule_pref net/core/fib_rules.c */
function fibDefaultRulePref(ops: FibRulesOps): number {
  const second = ops.rulesList[1];
  return second !== undefined && second.pref > 0 ? second.pref - 1 : 0;
}

function u32Of(nla: Uint8Array | undefined, otherwise: number): number {
  return nla === undefined ? otherwise : nlaGetU32(nla);
}

/** Selectors that are attributes. */
function readSelectors(rule: FibRule, net: Net, tb: NlattrTable): void {
  const iif = tb[FRA_IIFNAME];
  const oif = tb[FRA_OIFNAME];
  if (iif !== undefined) {
    rule.iifname = nlaGetString(iif);
    rule.iifindex = net.devNameHead.get(rule.iifname)?.ifindex ?? -1;
  }
  if (oif !== undefined) {
    rule.oifname = nlaGetString(oif);
    rule.oifindex = net.devNameHead.get(rule.oifname)?.ifindex ?? -1;
  }
  rule.mark = u32Of(tb[FRA_FWMARK], 0);
  if (rule.mark !== 0) rule.markMask = 0xffffffff;
  rule.markMask = u32Of(tb[FRA_FWMASK], rule.markMask);
  rule.suppressPrefixlen = u32Of(tb[FRA_SUPPRESS_PREFIXLEN], 0xffffffff) | 0;
  rule.suppressIfgroup = u32Of(tb[FRA_SUPPRESS_IFGROUP], 0xffffffff) | 0;
  rule.ipProto = tb[FRA_IP_PROTO] === undefined ? 0 : nlaGetU8(tb[FRA_IP_PROTO]);
  rule.proto = tb[FRA_PROTOCOL] === undefined ? 0 : nlaGetU8(tb[FRA_PROTOCOL]);
}

/** @kernel fib_rule_port_range_valid include/net/fib_rules.h */
function fibRulePortRangeValid(start: number, end: number): boolean {
  return start !== 0 && end !== 0 && end < 0xffff && start <= end;
}

/** Ranges of ports and of users. 0 or -EINVAL. */
function readRanges(rule: FibRule, tb: NlattrTable, extack: NetlinkExtAck): number {
  const sport = tb[FRA_SPORT_RANGE];
  const dport = tb[FRA_DPORT_RANGE];
  const uid = tb[FRA_UID_RANGE];
  if (sport !== undefined) {
    rule.sportStart = nlaGetU16(sport);
    rule.sportEnd = nlaGetU16(sport.subarray(2));
    if (!fibRulePortRangeValid(rule.sportStart, rule.sportEnd)) {
      return fail(extack, -EINVAL, 'Invalid sport range');
    }
  }
  if (dport !== undefined) {
    rule.dportStart = nlaGetU16(dport);
    rule.dportEnd = nlaGetU16(dport.subarray(2));
    if (!fibRulePortRangeValid(rule.dportStart, rule.dportEnd)) {
      return fail(extack, -EINVAL, 'Invalid dport range');
    }
  }
  if (uid !== undefined) {
    rule.uidStart = nlaGetU32(uid);
    rule.uidEnd = nlaGetU32(uid.subarray(4));
    // 2^32 - 1 is nobody.
    if (rule.uidEnd === 0xffffffff || rule.uidStart > rule.uidEnd) {
      return fail(extack, -EINVAL, 'Invalid uid range');
    }
  }
  return 0;
}

/** Source, destination and TOS of IPv4. @kernel fib4_rule_configure net/ipv4/fib_rules.c */
function readAddresses(rule: FibRule, v: DataView, tb: NlattrTable, extack: NetlinkExtAck): number {
  rule.srcLen = fibRuleHdr.srcLen(v, NLMSG_HDRLEN);
  rule.dstLen = fibRuleHdr.dstLen(v, NLMSG_HDRLEN);
  const tos = fibRuleHdr.tos(v, NLMSG_HDRLEN);
  if ((tos & 3) !== 0) {
    return fail(extack, -EINVAL, 'Invalid dsfield (tos): ECN bits must be 0');
  }
  rule.dscp = tos;
  const src = tb[FRA_SRC];
  const dst = tb[FRA_DST];
  if (rule.srcLen > 32 || rule.dstLen > 32) return fail(extack, -EINVAL, 'Invalid prefix length');
  if ((rule.srcLen !== 0 && src === undefined) || (rule.dstLen !== 0 && dst === undefined)) {
    return fail(extack, -EINVAL, 'Invalid rule');
  }
  rule.src = src === undefined ? 0 : nlaGetInAddr(src);
  rule.dst = dst === undefined ? 0 : nlaGetInAddr(dst);
  return 0;
}

/** A rule as a request describes it. @kernel fib_nl2rule net/core/fib_rules.c */
function fibNl2rule(
  net: Net,
  ops: FibRulesOps,
  msg: Uint8Array,
  tb: NlattrTable,
  extack: NetlinkExtAck,
): FibRule | number {
  const v = new DataView(msg.buffer, msg.byteOffset, msg.byteLength);
  const rule = new FibRule();
  const err = readAddresses(rule, v, tb, extack);
  if (err < 0) return err;
  readSelectors(rule, net, tb);
  const bad = readRanges(rule, tb, extack);
  if (bad < 0) return bad;
  rule.pref = u32Of(tb[FRA_PRIORITY], fibDefaultRulePref(ops));
  rule.action = fibRuleHdr.action(v, NLMSG_HDRLEN);
  rule.flags = fibRuleHdr.flags(v, NLMSG_HDRLEN) & FIB_RULE_INVERT;
  rule.table = u32Of(tb[FRA_TABLE], fibRuleHdr.table(v, NLMSG_HDRLEN));
  if (rule.action > FR_ACT_MAX) return fail(extack, -EINVAL, 'Invalid action');
  const target = tb[FRA_GOTO];
  if (target !== undefined) {
    if (rule.action !== FR_ACT_GOTO) return fail(extack, -EINVAL, 'Unexpected goto');
    rule.target = nlaGetU32(target);
    if (rule.target <= rule.pref) return fail(extack, -EINVAL, 'Backward goto not supported');
    rule.ctarget = ops.rulesList.find((r) => r.pref === rule.target) ?? null;
    if (rule.ctarget === null) rule.flags |= FIB_RULE_UNRESOLVED;
  } else if (rule.action === FR_ACT_GOTO) {
    return fail(extack, -EINVAL, 'Missing goto target for action goto');
  }
  return rule;
}

/** Fields that make two rules the same, in the order of comparison. */
function sameRule(a: FibRule, b: FibRule): boolean {
  return (
    a.action === b.action &&
    a.table === b.table &&
    a.pref === b.pref &&
    a.iifname === b.iifname &&
    a.oifname === b.oifname &&
    a.mark === b.mark &&
    a.markMask === b.markMask &&
    a.ipProto === b.ipProto &&
    a.sportStart === b.sportStart &&
    a.sportEnd === b.sportEnd &&
    a.dportStart === b.dportStart &&
    a.dportEnd === b.dportEnd &&
    a.uidStart === b.uidStart &&
    a.uidEnd === b.uidEnd &&
    a.suppressPrefixlen === b.suppressPrefixlen &&
    a.srcLen === b.srcLen &&
    a.dstLen === b.dstLen &&
    a.src === b.src &&
    a.dst === b.dst &&
    a.dscp === b.dscp
  );
}

function lookupOps(net: Net, family: number): FibRulesOps | null {
  const ops = net.ipv4.rulesOps;
  return ops !== null && ops.family === family ? ops : null;
}

/** Puts a rule behind those of the same preference, and resolves jumps to it. */
function insertRule(ops: FibRulesOps, rule: FibRule): void {
  let at = ops.rulesList.findIndex((r) => r.pref > rule.pref);
  if (at < 0) at = ops.rulesList.length;
  ops.rulesList.splice(at, 0, rule);
  for (const r of ops.rulesList) {
    if (r.action === FR_ACT_GOTO && r.target === rule.pref && r.ctarget === null) {
      r.ctarget = rule;
      r.flags &= ~FIB_RULE_UNRESOLVED;
    }
  }
}

/** Does the rule select by what follows the IP header? @kernel fib_rule_requires_fldissect include/net/fib_rules.h */
function fibRuleRequiresFldissect(rule: FibRule): boolean {
  const selects = rule.ipProto !== 0 || rule.sportEnd !== 0 || rule.dportEnd !== 0;
  return selects && rule.iifname !== 'lo';
}

/** What a change of rules leads to below; set by IPv4. */
export interface FibRuleHooks {
  /** Before the first rule of a user: separate the local table. 0 or a negative errno. */
  unmerge(net: Net): number;
}

/** RTM_NEWRULE. @kernel fib_nl_newrule net/core/fib_rules.c */
function fibNlNewrule(
  skb: SkBuff,
  msg: Uint8Array,
  extack: NetlinkExtAck,
  hooks: FibRuleHooks,
): number {
  const net = rtnlRequestNet(skb);
  const tb = nlmsgParse(msg, fibRuleHdr.LEN, FRA_MAX, policyOf(), extack);
  if (typeof tb === 'number') return fail(extack, tb, 'Error parsing msg');
  const ops = lookupOps(net, msg[NLMSG_HDRLEN] as number);
  if (ops === null) return fail(extack, -EAFNOSUPPORT, 'Rule family not supported');
  const rule = fibNl2rule(net, ops, msg, tb, extack);
  if (typeof rule === 'number') return rule;
  if ((nlmsgFlags(msg) & NLM_F_EXCL) !== 0 && ops.rulesList.some((r) => sameRule(r, rule))) {
    return -EEXIST;
  }
  const err = hooks.unmerge(net);
  if (err < 0) return err;
  if (rule.action === FR_ACT_UNSPEC) return fail(extack, -EINVAL, 'Invalid action');
  net.ipv4.fibHasCustomRules = true;
  insertRule(ops, rule);
  net.ipv4.fibRulesRequireFldissect = ops.rulesList.some(fibRuleRequiresFldissect);
  notifyRuleChange(net, RTM_NEWRULE, rule, ops, msg, rtnlRequestPortid(skb));
  ops.flushCache(net);
  return 0;
}

/** Does an existing rule fit the description of one to delete? @kernel rule_find net/core/fib_rules.c */
function ruleFits(r: FibRule, want: FibRule, tb: NlattrTable): boolean {
  if (want.action !== FR_ACT_UNSPEC && r.action !== want.action) return false;
  if (want.table !== 0 && r.table !== want.table) return false;
  if (tb[FRA_PRIORITY] !== undefined && r.pref !== want.pref) return false;
  if (tb[FRA_IIFNAME] !== undefined && r.iifname !== want.iifname) return false;
  if (tb[FRA_OIFNAME] !== undefined && r.oifname !== want.oifname) return false;
  if (want.mark !== 0 && r.mark !== want.mark) return false;
  if (want.ipProto !== 0 && r.ipProto !== want.ipProto) return false;
  if (want.srcLen !== 0 && (r.srcLen !== want.srcLen || r.src !== want.src)) return false;
  if (want.dstLen !== 0 && (r.dstLen !== want.dstLen || r.dst !== want.dst)) return false;
  return want.dscp === 0 || r.dscp === want.dscp;
}

/** RTM_DELRULE. @kernel fib_nl_delrule net/core/fib_rules.c */
function fibNlDelrule(skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): number {
  const net = rtnlRequestNet(skb);
  const tb = nlmsgParse(msg, fibRuleHdr.LEN, FRA_MAX, policyOf(), extack);
  if (typeof tb === 'number') return fail(extack, tb, 'Error parsing msg');
  const ops = lookupOps(net, msg[NLMSG_HDRLEN] as number);
  if (ops === null) return fail(extack, -EAFNOSUPPORT, 'Rule family not supported');
  const want = fibNl2rule(net, ops, msg, tb, extack);
  if (typeof want === 'number') return want;
  const rule = ops.rulesList.find((r) => ruleFits(r, want, tb));
  if (rule === undefined) return -ENOENT;
  if ((rule.flags & FIB_RULE_PERMANENT) !== 0) return -EPERM;
  ops.rulesList.splice(ops.rulesList.indexOf(rule), 1);
  net.ipv4.fibRulesRequireFldissect = ops.rulesList.some(fibRuleRequiresFldissect);
  net.ipv4.fibHasCustomRules = true;
  for (const r of ops.rulesList) {
    if (r.ctarget !== rule) continue;
    r.ctarget = ops.rulesList.find((other) => other.pref === r.target) ?? null;
    if (r.ctarget === null) r.flags |= FIB_RULE_UNRESOLVED;
  }
  notifyRuleChange(net, RTM_DELRULE, rule, ops, msg, rtnlRequestPortid(skb));
  ops.flushCache(net);
  return 0;
}

/** Appends what the rule selects by; true when the packet is full. */
function putSelectors(skb: SkBuff, rule: FibRule): boolean {
  if (rule.iifname !== '' && nlaPutString(skb, FRA_IIFNAME, rule.iifname) < 0) return true;
  if (rule.oifname !== '' && nlaPutString(skb, FRA_OIFNAME, rule.oifname) < 0) return true;
  if (rule.pref !== 0 && nlaPutU32(skb, FRA_PRIORITY, rule.pref) < 0) return true;
  if (rule.mark !== 0 && nlaPutU32(skb, FRA_FWMARK, rule.mark) < 0) return true;
  const masked = rule.markMask !== 0 || rule.mark !== 0;
  if (masked && nlaPutU32(skb, FRA_FWMASK, rule.markMask) < 0) return true;
  if (rule.target !== 0 && nlaPutU32(skb, FRA_GOTO, rule.target) < 0) return true;
  if (rule.ipProto !== 0 && nlaPutU8(skb, FRA_IP_PROTO, rule.ipProto) < 0) return true;
  if (rule.srcLen !== 0 && nlaPutInAddr(skb, FRA_SRC, rule.src) < 0) return true;
  if (rule.dstLen !== 0 && nlaPutInAddr(skb, FRA_DST, rule.dst) < 0) return true;
  if (rule.uidEnd !== 0xffffffff || rule.uidStart !== 0) {
    if (putPair(skb, FRA_UID_RANGE, rule.uidStart, rule.uidEnd, 4)) return true;
  }
  if (rule.sportEnd !== 0 && putPair(skb, FRA_SPORT_RANGE, rule.sportStart, rule.sportEnd, 2)) {
    return true;
  }
  return rule.dportEnd !== 0 && putPair(skb, FRA_DPORT_RANGE, rule.dportStart, rule.dportEnd, 2);
}

function putPair(skb: SkBuff, type: number, from: number, to: number, size: 2 | 4): boolean {
  const at = nlaReserve(skb, type, 2 * size);
  if (at < 0) return true;
  if (size === 2) {
    hostView.setUint16(at, from, true);
    hostView.setUint16(at + 2, to, true);
  } else {
    hostView.setUint32(at, from, true);
    hostView.setUint32(at + 4, to, true);
  }
  return false;
}

/** @kernel fib_nl_fill_rule net/core/fib_rules.c */
function fibNlFillRule(
  skb: SkBuff,
  rule: FibRule,
  portid: number,
  seq: number,
  type: number,
  flags: number,
  ops: FibRulesOps,
): number {
  const nlh = nlmsgPut(skb, portid, seq, type, fibRuleHdr.LEN, flags);
  if (nlh < 0) return nlh;
  const at = nlh + NLMSG_HDRLEN;
  fibRuleHdr.setFamily(hostView, at, ops.family);
  fibRuleHdr.setDstLen(hostView, at, rule.dstLen);
  fibRuleHdr.setSrcLen(hostView, at, rule.srcLen);
  fibRuleHdr.setTos(hostView, at, rule.dscp);
  fibRuleHdr.setTable(hostView, at, rule.table < 256 ? rule.table : RT_TABLE_COMPAT);
  fibRuleHdr.setAction(hostView, at, rule.action);
  const detached =
    (rule.iifname !== '' && rule.iifindex === -1 ? FIB_RULE_IIF_DETACHED : 0) |
    (rule.oifname !== '' && rule.oifindex === -1 ? FIB_RULE_OIF_DETACHED : 0);
  fibRuleHdr.setFlags(hostView, at, rule.flags | detached);
  const full =
    nlaPutU32(skb, FRA_TABLE, rule.table) < 0 ||
    nlaPutU32(skb, FRA_SUPPRESS_PREFIXLEN, rule.suppressPrefixlen >>> 0) < 0 ||
    nlaPutU8(skb, FRA_PROTOCOL, rule.proto) < 0 ||
    (rule.suppressIfgroup !== -1 &&
      nlaPutU32(skb, FRA_SUPPRESS_IFGROUP, rule.suppressIfgroup) < 0) ||
    putSelectors(skb, rule);
  if (full) {
    nlmsgCancel(skb, nlh);
    return -EMSGSIZE;
  }
  nlmsgEnd(skb, nlh);
  return 0;
}

/** @kernel notify_rule_change net/core/fib_rules.c */
function notifyRuleChange(
  net: Net,
  event: number,
  rule: FibRule,
  ops: FibRulesOps,
  msg: Uint8Array,
  portid: number,
): void {
  if (!rtnlHasListeners(net, RTNLGRP_IPV4_RULE)) return;
  const skb = nlmsgNew(net.machine, 256);
  if (skb === null) return;
  if (fibNlFillRule(skb, rule, portid, nlmsgSeq(msg), event, 0, ops) < 0)
    consumeSkb(skb, 'notify_rule_change');
  else rtnlNotify(skb, net, RTNLGRP_IPV4_RULE);
}

/** RTM_GETRULE for all rules. args[0]: how many have been sent. @kernel fib_nl_dumprule net/core/fib_rules.c */
function fibNlDumprule(skb: SkBuff, cb: NetlinkCallback): number {
  const ops = cb.net.ipv4.rulesOps;
  const family = cb.msg[NLMSG_HDRLEN] ?? AF_UNSPEC;
  if (ops === null || (family !== AF_UNSPEC && family !== ops.family)) return 0;
  for (let i = cb.args[0] as number; i < ops.rulesList.length; i++) {
    const rule = ops.rulesList[i] as FibRule;
    cb.args[0] = i;
    if (fibNlFillRule(skb, rule, cb.portid, cb.seq, RTM_NEWRULE, NLM_F_MULTI, ops) < 0) {
      return skb.len;
    }
  }
  cb.args[0] = ops.rulesList.length;
  return 0;
}

/** @kernel fib_rules_init net/core/fib_rules.c */
export function fibRulesInit(machine: Machine, hooks: FibRuleHooks): number {
  rtnlRegister(
    machine,
    PF_UNSPEC,
    RTM_NEWRULE,
    (skb, msg, extack) => fibNlNewrule(skb, msg, extack, hooks),
    null,
  );
  rtnlRegister(machine, PF_UNSPEC, RTM_DELRULE, fibNlDelrule, null);
  rtnlRegister(machine, PF_UNSPEC, RTM_GETRULE, null, fibNlDumprule);
  return 0;
}
