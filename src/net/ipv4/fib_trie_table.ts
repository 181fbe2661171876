import type {
  FibAlias,
  FibConfig,
  FibExtAck,
  FibInfo,
  FibTable,
  NlInfo,
} from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { rtCacheFlush } from '#include/net/route.ts';
import type { InetRtnlOps } from '#include/net/rtnetlink.ts';
import { FA_S_ACCESSED, fibProps } from '#net/ipv4/fib_lookup.ts';
import { fibCreateInfo, fibReleaseInfo } from '#net/ipv4/fib_semantics.ts';
import { fibConfigMatch } from '#net/ipv4/fib_semantics_nh.ts';
import {
  fibAliasNew,
  fibFindAlias,
  fibFindNode,
  fibInsertAlias,
  fibRemoveAlias,
  fibReplaceAlias,
  fibTrieTable,
  KEYLENGTH,
  type KeyVector,
  trieForEachLeaf,
  triePrune,
} from '#net/ipv4/fib_trie.ts';
import { EEXIST, EINVAL, ENOENT, ESRCH } from '#uapi/errno.ts';
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '#uapi/netlink.ts';
import { RT_SCOPE_NOWHERE, RTM_DELROUTE, RTM_NEWROUTE, RTNH_F_DEAD } from '#uapi/rtnetlink.ts';

/** @kernel fib_valid_key_len net/ipv4/fib_trie.c */
function fibValidKeyLen(key: number, plen: number, extack: FibExtAck): boolean {
  if (plen > KEYLENGTH) {
    if (extack !== null) extack.msg = 'Invalid prefix length';
    return false;
  }
  if (plen < KEYLENGTH && ((key << plen) | 0) !== 0) {
    if (extack !== null) extack.msg = 'Invalid prefix for given prefix length';
    return false;
  }
  return true;
}

/** Routes of the same prefix, TOS and metric: the first of them, and one equal in all. */
function findTwin(
  first: FibAlias,
  cfg: FibConfig,
  fi: FibInfo,
): { match: FibAlias | null; end: FibAlias | null } {
  let fa: FibAlias | null = first;
  for (; fa !== null; fa = fa.faNext) {
    const same =
      fa.faSlen === first.faSlen &&
      fa.tbId === first.tbId &&
      fa.faDscp === first.faDscp &&
      fa.faInfo.fibPriority === fi.fibPriority;
    if (!same) break;
    if (fa.faType === cfg.fcType && fa.faInfo === fi) return { match: fa, end: fa };
  }
  return { match: null, end: fa };
}

/** Whom to tell of routes that come and go. */
function notify(info: NlInfo): InetRtnlOps | null {
  return info.nlNet.machine.netGlobals.inetRtnl;
}

/** NLM_F_REPLACE: `old` makes place. */
function replaceRoute(
  leaf: KeyVector,
  tb: FibTable,
  cfg: FibConfig,
  old: FibAlias,
  fi: FibInfo,
): void {
  const drop = old.faInfo;
  const state = old.faState;
  const fa = fibAliasNew(fi, old.faDscp, cfg.fcType, old.faSlen, tb.tbId);
  fa.faState = state & ~FA_S_ACCESSED;
  fibReplaceAlias(leaf, old, fa);
  notify(cfg.fcNlinfo)?.rtmsgFib(RTM_NEWROUTE, cfg.fcDst, fa, cfg.fcNlinfo, NLM_F_REPLACE);
  fibReleaseInfo(drop);
  if ((state & FA_S_ACCESSED) !== 0) rtCacheFlush(cfg.fcNlinfo.nlNet);
}

/**
 * Adds the route that `cfg` describes. 0, -EEXIST, -ENOENT without NLM_F_CREATE, or what the checks
 * of the route say.
 * @kernel fib_table_insert net/ipv4/fib_trie.c
 */
export function fibTableInsert(net: Net, tb: FibTable, cfg: FibConfig, extack: FibExtAck): number {
  const key = cfg.fcDst;
  const slen = KEYLENGTH - cfg.fcDstLen;
  if (!fibValidKeyLen(key, cfg.fcDstLen, extack)) return -EINVAL;
  const fi = fibCreateInfo(cfg, extack);
  if (typeof fi === 'number') return fi;
  const place = fibFindNode(tb.tbData, key);
  const leaf = place.leaf;
  const dscp = cfg.fcDscp;
  const flags = cfg.fcNlflags;
  let fa =
    leaf === null ? null : fibFindAlias(leaf.leaf, slen, dscp, fi.fibPriority, tb.tbId, false);
  let nlflags = NLM_F_CREATE;
  if (
    leaf !== null &&
    fa !== null &&
    fa.faDscp === dscp &&
    fa.faInfo.fibPriority === fi.fibPriority
  ) {
    const { match, end } = findTwin(fa, cfg, fi);
    if ((flags & NLM_F_EXCL) === 0 && (flags & NLM_F_REPLACE) !== 0) {
      if (match === null) {
        replaceRoute(leaf, tb, cfg, fa, fi);
        return 0;
      }
      // Replacing a route by itself is done already; by one further down the list it cannot be.
      fibReleaseInfo(fi);
      return match === fa ? 0 : -EEXIST;
    }
    if ((flags & NLM_F_EXCL) !== 0 || match !== null) {
      fibReleaseInfo(fi);
      return -EEXIST;
    }
    if ((flags & NLM_F_APPEND) !== 0) {
      nlflags |= NLM_F_APPEND;
      fa = end;
    }
  }
  if ((flags & NLM_F_CREATE) === 0) {
    fibReleaseInfo(fi);
    return -ENOENT;
  }
  const added = fibAliasNew(fi, dscp, cfg.fcType, slen, tb.tbId);
  fibInsertAlias(tb.tbData, place, added, fa, key);
  if (cfg.fcDstLen === 0) tb.tbNumDefault++;
  rtCacheFlush(net);
  notify(cfg.fcNlinfo)?.rtmsgFib(RTM_NEWROUTE, key, added, cfg.fcNlinfo, nlflags);
  return 0;
}

/** Does the route fit a request to delete? */
function fitsDelete(fa: FibAlias, cfg: FibConfig): boolean {
  const fi = fa.faInfo;
  return (
    (cfg.fcType === 0 || fa.faType === cfg.fcType) &&
    (cfg.fcScope === RT_SCOPE_NOWHERE || fi.fibScope === cfg.fcScope) &&
    (cfg.fcPrefsrc === 0 || fi.fibPrefsrc === cfg.fcPrefsrc) &&
    (cfg.fcProtocol === 0 || fi.fibProtocol === cfg.fcProtocol) &&
    fibConfigMatch(cfg, fi)
  );
}

/** Deletes the first route that fits `cfg`. 0 or -ESRCH. @kernel fib_table_delete net/ipv4/fib_trie.c */
export function fibTableDelete(net: Net, tb: FibTable, cfg: FibConfig, extack: FibExtAck): number {
  const key = cfg.fcDst;
  const slen = KEYLENGTH - cfg.fcDstLen;
  if (!fibValidKeyLen(key, cfg.fcDstLen, extack)) return -EINVAL;
  const place = fibFindNode(tb.tbData, key);
  if (place.leaf === null) return -ESRCH;
  let fa = fibFindAlias(place.leaf.leaf, slen, cfg.fcDscp, 0, tb.tbId, false);
  for (; fa !== null; fa = fa.faNext) {
    if (fa.faSlen !== slen || fa.tbId !== tb.tbId || fa.faDscp !== cfg.fcDscp) return -ESRCH;
    if (fitsDelete(fa, cfg)) break;
  }
  if (fa === null) return -ESRCH;
  notify(cfg.fcNlinfo)?.rtmsgFib(RTM_DELROUTE, key, fa, cfg.fcNlinfo, 0);
  if (cfg.fcDstLen === 0) tb.tbNumDefault--;
  fibRemoveAlias(tb.tbData, place, fa);
  if ((fa.faState & FA_S_ACCESSED) !== 0) rtCacheFlush(net);
  fibReleaseInfo(fa.faInfo);
  return 0;
}

/** Takes out every route for which `doomed` holds; returns how many. */
function removeWhere(tb: FibTable, doomed: (fa: FibAlias) => boolean): number {
  return triePrune(tb.tbData, (fa) => {
    if (!doomed(fa)) return false;
    fibReleaseInfo(fa.faInfo);
    return true;
  });
}

/** Takes out the routes that have died; with `flushAll` also unreachable and its like. @kernel fib_table_flush net/ipv4/fib_trie.c */
export function fibTableFlush(tb: FibTable, flushAll: boolean): number {
  return removeWhere(tb, (fa) => {
    const dead = (fa.faInfo.fibFlags & RTNH_F_DEAD) !== 0;
    const error = fibProps[fa.faType]?.error !== 0;
    if (fa.tbId !== tb.tbId || (!dead && !error)) return false;
    if (!flushAll && error) return false;
    if (fa.faSlen === KEYLENGTH) tb.tbNumDefault--;
    return true;
  });
}

/** Everything, dead or not: the namespace is going. */
export function fibTableEmpty(tb: FibTable): number {
  tb.tbNumDefault = 0;
  return removeWhere(tb, (fa) => fa.tbId === tb.tbId);
}

/** Routes of other tables that live in this one's trie. @kernel fib_table_flush_external net/ipv4/fib_trie.c */
function fibTableFlushExternal(tb: FibTable): void {
  triePrune(tb.tbData, (fa) => fa.tbId !== tb.tbId);
}

/**
 * Gives the local table a trie of its own, since a rule of the user's may come between the tables.
 * Returns the table; the one it was when it was separate already.
 * @kernel fib_trie_unmerge net/ipv4/fib_trie.c
 */
export function fibTrieUnmerge(oldTb: FibTable, mainTb: FibTable): FibTable {
  if (!oldTb.alias) return oldTb;
  const local = fibTrieTable(oldTb.tbId, null);
  trieForEachLeaf(oldTb.tbData, (leaf) => {
    for (let fa = leaf.leaf; fa !== null; fa = fa.faNext) {
      if (fa.tbId !== oldTb.tbId) continue;
      const copy = fibAliasNew(fa.faInfo, fa.faDscp, fa.faType, fa.faSlen, fa.tbId);
      fibInsertAlias(local.tbData, fibFindNode(local.tbData, leaf.key), copy, null, leaf.key);
      if (fa.faSlen === KEYLENGTH) local.tbNumDefault++;
    }
  });
  fibTableFlushExternal(mainTb);
  return local;
}
