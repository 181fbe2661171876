/**
 * The choice among several ways: multipath routes and several default routes; and the source address
 * that goes with the choice. Counterpart of fib_select_path of net/ipv4/fib_semantics.c.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Flowi4 } from '#include/net/flow.ts';
import {
  type FibAlias,
  type FibInfo,
  type FibNh,
  type FibResult,
  fibInfoNumPath,
} from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { __neighLookupNoref } from '#net/core/neighbour.ts';
import { FA_S_ACCESSED, fibDscpMaskedMatch } from '#net/ipv4/fib_lookup.ts';
import { fibInfoUpdateNhcSaddr } from '#net/ipv4/fib_semantics.ts';
import { NUD_INCOMPLETE, NUD_REACHABLE, NUD_VALID } from '#uapi/neighbour.ts';
import { RT_SCOPE_LINK, RTN_UNICAST, RTNH_F_DEAD } from '#uapi/rtnetlink.ts';

/** @kernel fib_result_assign include/net/ip_fib.h */
function fibResultAssign(res: FibResult, fi: FibInfo): void {
  res.fi = fi;
  res.nhc = fi.fibNh[0] as FibNh;
}

/** State of the gateway's neighbour entry; null: there is none. */
export function gatewayState(nh: FibNh): number | null {
  const dev = nh.fibNhDev;
  const tbl = dev?.net.machine.netGlobals.arpTbl ?? null;
  if (dev === null || tbl === null) return null;
  return __neighLookupNoref(tbl, nh.fibNhGw4, dev)?.nudState ?? null;
}

/** The best so far of gateways of which none is known to be alive. */
interface LastResort {
  fi: FibInfo | null;
  idx: number;
}

/** @kernel fib_detect_death net/ipv4/fib_semantics.c */
function fibDetectDeath(fi: FibInfo, order: number, last: LastResort, dflt: number): boolean {
  const state = gatewayState(fi.fibNh[0] as FibNh);
  if (state === null || state === NUD_REACHABLE) return false;
  const valid = (state & NUD_VALID) !== 0;
  if (valid && order !== dflt) return false;
  if (valid || (last.idx < 0 && order > dflt && state !== NUD_INCOMPLETE)) {
    last.fi = fi;
    last.idx = order;
  }
  return true;
}

/** Among default routes of the same metric, the first of which the gateway seems alive. @kernel fib_select_default net/ipv4/fib_semantics.c */
function fibSelectDefault(flp: Flowi4, res: FibResult): void {
  const slen = 32 - res.prefixlen;
  const tbId = res.table?.tbId ?? 0;
  const last: LastResort = { fi: null, idx: -1 };
  let lastPrio = res.fi?.fibPriority ?? 0;
  let lastDscp = 0;
  let order = -1;
  let fi: FibInfo | null = null;
  let fa1: FibAlias | null = null;
  for (let fa = res.faHead; fa !== null; fa = fa.faNext) {
    const nextFi = fa.faInfo;
    if (fa.faSlen !== slen || fa.tbId !== tbId) continue;
    if (fa.faDscp !== 0 && !fibDscpMaskedMatch(fa.faDscp, flp)) continue;
    if (nextFi.fibPriority > lastPrio && fa.faDscp === lastDscp) {
      if (lastDscp !== 0) continue;
      break;
    }
    if ((nextFi.fibFlags & RTNH_F_DEAD) !== 0) continue;
    lastDscp = fa.faDscp;
    lastPrio = nextFi.fibPriority;
    if (nextFi.fibScope !== res.scope || fa.faType !== RTN_UNICAST) continue;
    const [nh] = nextFi.fibNh;
    if (nh === undefined || nh.fibNhGwFamily === 0 || nh.fibNhScope !== RT_SCOPE_LINK) continue;
    fa.faState |= FA_S_ACCESSED;
    if (fi === null) {
      if (nextFi !== res.fi) break;
      fa1 = fa;
    } else if (fa1 !== null && !fibDetectDeath(fi, order, last, fa1.faDefault)) {
      fibResultAssign(res, fi);
      fa1.faDefault = order;
      return;
    }
    fi = nextFi;
    order++;
  }
  finishDefault(res, fi, fa1, order, last);
}

function finishDefault(
  res: FibResult,
  fi: FibInfo | null,
  fa1: FibAlias | null,
  order: number,
  last: LastResort,
): void {
  if (order <= 0 || fi === null || fa1 === null) {
    if (fa1 !== null) fa1.faDefault = -1;
    return;
  }
  if (!fibDetectDeath(fi, order, last, fa1.faDefault)) {
    fibResultAssign(res, fi);
    fa1.faDefault = order;
    return;
  }
  if (last.idx >= 0 && last.fi !== null) fibResultAssign(res, last.fi);
  fa1.faDefault = last.idx;
}

/** Source address of packets by this route, when nobody chose one. @kernel fib_result_prefsrc net/ipv4/fib_semantics.c */
export function fibResultPrefsrc(net: Net, res: FibResult): number {
  const fi = res.fi as FibInfo;
  if (fi.fibPrefsrc !== 0) return fi.fibPrefsrc;
  const nh = res.nhc as FibNh;
  if (nh.fibNhSaddrGenid === net.ipv4.devAddrGenid) return nh.fibNhSaddr;
  return fibInfoUpdateNhcSaddr(net, nh, fi.fibScope);
}

/** After the lookup: chooses the hop and, if the flow has none, the source address. @kernel fib_select_path net/ipv4/fib_semantics.c */
export function fibSelectPath(net: Net, res: FibResult, fl4: Flowi4, skb: SkBuff | null): void {
  if (fl4.flowi4Oif === 0) {
    const fi = res.fi as FibInfo;
    if (fibInfoNumPath(fi) > 1) {
      net.machine.netGlobals.fibMultipath?.select(net, res, fl4, skb);
    } else if (
      res.prefixlen === 0 &&
      (res.table?.tbNumDefault ?? 0) > 1 &&
      res.type === RTN_UNICAST
    ) {
      fibSelectDefault(fl4, res);
    }
  }
  if (fl4.saddr === 0) fl4.saddr = fibResultPrefsrc(net, res);
}

/** For an arriving packet: the hop by hash. */
export function fibSelectInputPath(net: Net, res: FibResult, skb: SkBuff): void {
  if (res.fi !== null && fibInfoNumPath(res.fi) > 1) {
    net.machine.netGlobals.fibMultipath?.select(net, res, null, skb);
  }
}
