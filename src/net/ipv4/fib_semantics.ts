/**
 * What routes mean: making, sharing and freeing fib_infos.
 *
 * Counterpart of net/ipv4/fib_semantics.c. Checks of next hops are in fib_semantics_nh.ts, choice of
 * a path in fib_semantics_select.ts, messages in fib_semantics_dump.ts, device events in
 * fib_semantics_sync.ts.
 */
import { netdevHold, netdevPut } from '#include/linux/netdevice_ref.ts';
import { dstRelease } from '#include/net/dst.ts';
import {
  type FibConfig,
  type FibExtAck,
  FibInfo,
  FibInfoTables,
  FibNh,
  type FibNhException,
  type Rtable,
} from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { KernelBug } from '#kernel/bug.ts';
import { callRcu } from '#kernel/rcu.ts';
import { dstDevPut } from '#net/core/dst.ts';
import { inetSelectAddr } from '#net/ipv4/devinet.ts';
import { inetAddrTypeTable } from '#net/ipv4/fib_frontend.ts';
import { fibProps } from '#net/ipv4/fib_lookup.ts';
import { fibCheckNh, fibNhInit } from '#net/ipv4/fib_semantics_nh.ts';
import { ipFibMetricsInit } from '#net/ipv4/metrics.ts';
import { EINVAL, ENODEV } from '#uapi/errno.ts';
import {
  RT_SCOPE_HOST,
  RT_SCOPE_NOWHERE,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RTN_ANYCAST,
  RTN_BROADCAST,
  RTN_LOCAL,
  RTN_MAX,
  RTN_MULTICAST,
  RTN_UNICAST,
  RTNH_COMPARE_MASK,
  RTNH_F_DEAD,
  RTNH_F_LINKDOWN,
} from '#uapi/rtnetlink.ts';
import { AF_INET } from '#uapi/socket.ts';

function fail(extack: FibExtAck, err: number, msg: string): number {
  if (extack !== null && extack.msg === '') extack.msg = msg;
  return err;
}

/** The indices over the fib_infos of a namespace. */
export function fibInfoTables(net: Net): FibInfoTables {
  net.ipv4.fibPriv ??= new FibInfoTables();
  return net.ipv4.fibPriv;
}

/** @kernel rt_fibinfo_free net/ipv4/fib_semantics.c */
function rtFibinfoFree(rt: Rtable | null): void {
  if (rt === null) return;
  dstDevPut(rt);
  dstRelease(rt);
}

/** @kernel free_nh_exceptions net/ipv4/fib_semantics.c */
function freeNhExceptions(nhc: FibNh): void {
  for (const head of nhc.exceptions ?? []) {
    for (let fnhe: FibNhException | null = head; fnhe !== null; fnhe = fnhe.fnheNext) {
      rtFibinfoFree(fnhe.fnheRthInput);
      rtFibinfoFree(fnhe.fnheRthOutput);
    }
  }
  nhc.exceptions = null;
}

/** @kernel fib_nh_common_release net/ipv4/fib_semantics.c */
function fibNhRelease(nhc: FibNh): void {
  netdevPut(nhc.fibNhDev, 'fib_nh');
  rtFibinfoFree(nhc.rthOutput);
  rtFibinfoFree(nhc.rthInput);
  nhc.rthOutput = null;
  nhc.rthInput = null;
  freeNhExceptions(nhc);
  nhc.fibNhDev = null;
}

/** @kernel free_fib_info_rcu net/ipv4/fib_semantics.c */
function freeFibInfoRcu(fi: FibInfo): void {
  for (const nh of fi.fibNh) fibNhRelease(nh);
  fi.net.machine.live.fibInfos--;
}

/** Frees a fib_info that no table points to, after a grace period. @kernel free_fib_info net/ipv4/fib_semantics.c */
function freeFibInfo(fi: FibInfo): void {
  if (!fi.fibDead) throw new KernelBug('fib-info-alive', 'a fib_info in use is being freed');
  callRcu(fi.net.machine, () => freeFibInfoRcu(fi));
}

/** @kernel fib_info_put include/net/ip_fib.h */
export function fibInfoPut(fi: FibInfo): void {
  if (--fi.fibClntref === 0) freeFibInfo(fi);
}

/** An alias is gone. The last one takes the fib_info out of the indices. @kernel fib_release_info net/ipv4/fib_semantics.c */
export function fibReleaseInfo(fi: FibInfo): void {
  if (--fi.fibTreeref > 0) return;
  const tables = fibInfoTables(fi.net);
  const bucket = tables.hash.get(fibInfoHashfn(fi));
  bucket?.splice(bucket.indexOf(fi), 1);
  fi.net.ipv4.fibInfoCnt--;
  if (fi.fibPrefsrc !== 0) tables.laddrHash.get(fi.fibPrefsrc)?.delete(fi);
  for (const nh of fi.fibNh) {
    if (nh.fibNhDev !== null) tables.devHash.get(nh.fibNhDev.ifindex)?.delete(nh);
  }
  fi.fibDead = true;
  fibInfoPut(fi);
}

/** @kernel nh_comp net/ipv4/fib_semantics.c */
function nhEqual(a: FibNh, b: FibNh): boolean {
  return (
    a.fibNhOif === b.fibNhOif &&
    a.fibNhGwFamily === b.fibNhGwFamily &&
    a.fibNhScope === b.fibNhScope &&
    a.fibNhWeight === b.fibNhWeight &&
    a.nhTclassid === b.nhTclassid &&
    ((a.fibNhFlags ^ b.fibNhFlags) & ~RTNH_COMPARE_MASK) === 0 &&
    a.fibNhGw4 === b.fibNhGw4
  );
}

/** @kernel fib_info_hashfn net/ipv4/fib_semantics.c */
function fibInfoHashfn(fi: FibInfo): number {
  let h = fi.fibNh.length ^ (fi.fibScope << 8) ^ (fi.fibProtocol << 16);
  h = Math.imul(h ^ fi.fibPrefsrc, 0x9e3779b1) ^ fi.fibPriority;
  for (const nh of fi.fibNh) h = Math.imul(h ^ nh.fibNhOif, 0x85ebca6b);
  return h ^ (h >>> 15);
}

function metricsEqual(a: FibInfo, b: FibInfo): boolean {
  if (a.fibCongctl !== b.fibCongctl) return false;
  return a.fibMetrics.every((value, i) => value === b.fibMetrics[i]);
}

/** One with the same properties, so that routes share it. @kernel fib_find_info net/ipv4/fib_semantics.c */
function fibFindInfo(nfi: FibInfo): FibInfo | null {
  const bucket = fibInfoTables(nfi.net).hash.get(fibInfoHashfn(nfi)) ?? [];
  for (const fi of bucket) {
    if (
      fi.fibNh.length === nfi.fibNh.length &&
      fi.fibProtocol === nfi.fibProtocol &&
      fi.fibScope === nfi.fibScope &&
      fi.fibPrefsrc === nfi.fibPrefsrc &&
      fi.fibPriority === nfi.fibPriority &&
      fi.fibType === nfi.fibType &&
      fi.fibTbId === nfi.fibTbId &&
      ((fi.fibFlags ^ nfi.fibFlags) & ~RTNH_COMPARE_MASK) === 0 &&
      metricsEqual(fi, nfi) &&
      fi.fibNh.every((nh, i) => nhEqual(nh, nfi.fibNh[i] as FibNh))
    ) {
      return fi;
    }
  }
  return null;
}

/** Is the preferred source an address of ours? @kernel fib_valid_prefsrc net/ipv4/fib_semantics.c */
function fibValidPrefsrc(cfg: FibConfig, prefsrc: number): boolean {
  if (cfg.fcType === RTN_LOCAL && cfg.fcDst !== 0 && prefsrc === cfg.fcDst) return true;
  const net = cfg.fcNlinfo.nlNet;
  const tbId = cfg.fcTable === RT_TABLE_MAIN ? RT_TABLE_LOCAL : cfg.fcTable;
  let type = inetAddrTypeTable(net, prefsrc, tbId);
  if (type !== RTN_LOCAL && tbId !== RT_TABLE_LOCAL) {
    type = inetAddrTypeTable(net, prefsrc, RT_TABLE_LOCAL);
  }
  return type === RTN_LOCAL;
}

/** The source address of packets by this hop, when the route names none. @kernel fib_info_update_nhc_saddr net/ipv4/fib_semantics.c */
export function fibInfoUpdateNhcSaddr(net: Net, nh: FibNh, scope: number): number {
  if (nh.fibNhDev === null) return 0;
  nh.fibNhSaddr = inetSelectAddr(nh.fibNhDev, nh.fibNhGw4, scope);
  nh.fibNhSaddrGenid = net.ipv4.devAddrGenid;
  return nh.fibNhSaddr;
}

/** Checks that need nothing but the request. */
function checkConfig(cfg: FibConfig, extack: FibExtAck): number {
  const prop = fibProps[cfg.fcType];
  if (cfg.fcType > RTN_MAX || prop === undefined) return -EINVAL;
  if (prop.scope > cfg.fcScope) return fail(extack, -EINVAL, 'Invalid scope');
  if ((cfg.fcFlags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) !== 0) {
    const text = 'Invalid rtm_flags - can not contain DEAD or LINKDOWN';
    return fail(extack, -EINVAL, text);
  }
  if (cfg.fcNhId !== 0) return fail(extack, -EINVAL, 'Nexthop id does not exist');
  return 0;
}

/** The hops of a new fib_info, as the request lists them. */
function initNexthops(fi: FibInfo, cfg: FibConfig, extack: FibExtAck): number {
  let count = 1;
  if (cfg.fcMp !== null) {
    const multipath = fi.net.machine.netGlobals.fibMultipath;
    if (multipath === null) return fail(extack, -EINVAL, 'Multipath support not enabled in kernel');
    count = multipath.countNexthops(cfg.fcMp, extack);
    if (count === 0) return -EINVAL;
  }
  for (let i = 0; i < count; i++) {
    const nh = new FibNh();
    nh.nhParent = fi;
    fi.fibNh.push(nh);
  }
  const multipath = fi.net.machine.netGlobals.fibMultipath;
  if (cfg.fcMp !== null && multipath !== null) {
    return multipath.getNhs(fi, cfg.fcMp, cfg, extack);
  }
  fibNhInit(fi.fibNh[0] as FibNh, cfg, 1);
  return 0;
}

/** An address of this machine: the only hop is its device. */
function checkHostScope(fi: FibInfo, extack: FibExtAck): number {
  const [nh] = fi.fibNh;
  if (nh === undefined || fi.fibNh.length !== 1) {
    return fail(extack, -EINVAL, 'Route with host scope can not have multiple nexthops');
  }
  if (nh.fibNhGwFamily !== 0) {
    return fail(extack, -EINVAL, 'Route with host scope can not have a gateway');
  }
  nh.fibNhScope = RT_SCOPE_NOWHERE;
  nh.fibNhDev = fi.net.devIndexHead.get(nh.fibNhOif) ?? null;
  netdevHold(nh.fibNhDev, 'fib_nh');
  return nh.fibNhDev === null ? -ENODEV : 0;
}

/** Checks the hops; a route of which all are without carrier is down. */
function checkNexthops(fi: FibInfo, cfg: FibConfig, extack: FibExtAck): number {
  if (cfg.fcScope > RT_SCOPE_HOST) return fail(extack, -EINVAL, 'Invalid scope');
  if (cfg.fcScope === RT_SCOPE_HOST) return checkHostScope(fi, extack);
  let linkdown = 0;
  for (const nh of fi.fibNh) {
    const err = fibCheckNh(fi.net, nh, cfg.fcTable, cfg.fcScope, extack);
    if (err !== 0) return err;
    if ((nh.fibNhFlags & RTNH_F_LINKDOWN) !== 0) linkdown++;
  }
  if (linkdown === fi.fibNh.length) fi.fibFlags |= RTNH_F_LINKDOWN;
  return 0;
}

/** Everything about a new fib_info that depends on the state of the machine. */
function fillInfo(fi: FibInfo, cfg: FibConfig, extack: FibExtAck): number {
  let err = ipFibMetricsInit(fi, cfg.fcMx, extack);
  if (err < 0) return err;
  err = initNexthops(fi, cfg, extack);
  if (err !== 0) return err;
  if (fibProps[cfg.fcType]?.error !== 0) {
    if (cfg.fcGwFamily === 0 && cfg.fcOif === 0 && cfg.fcMp === null) return 0;
    const text = 'Gateway, device and multipath can not be specified for this route type';
    return fail(extack, -EINVAL, text);
  }
  switch (cfg.fcType) {
    case RTN_UNICAST:
    case RTN_LOCAL:
    case RTN_BROADCAST:
    case RTN_ANYCAST:
    case RTN_MULTICAST:
      break;
    default:
      return fail(extack, -EINVAL, 'Invalid route type');
  }
  err = checkNexthops(fi, cfg, extack);
  if (err !== 0) return err;
  if (fi.fibPrefsrc !== 0 && !fibValidPrefsrc(cfg, fi.fibPrefsrc)) {
    return fail(extack, -EINVAL, 'Invalid prefsrc address');
  }
  for (const nh of fi.fibNh) fibInfoUpdateNhcSaddr(fi.net, nh, fi.fibScope);
  fi.net.machine.netGlobals.fibMultipath?.rebalance(fi);
  return 0;
}

/** Enters a new fib_info into the indices. */
function linkInfo(fi: FibInfo): void {
  const tables = fibInfoTables(fi.net);
  fi.fibTreeref = 1;
  fi.fibClntref = 1;
  fi.net.ipv4.fibInfoCnt++;
  const hash = fibInfoHashfn(fi);
  const bucket = tables.hash.get(hash);
  if (bucket === undefined) tables.hash.set(hash, [fi]);
  else bucket.unshift(fi);
  if (fi.fibPrefsrc !== 0) {
    const set = tables.laddrHash.get(fi.fibPrefsrc);
    if (set === undefined) tables.laddrHash.set(fi.fibPrefsrc, new Set([fi]));
    else set.add(fi);
  }
  for (const nh of fi.fibNh) {
    if (nh.fibNhDev === null) continue;
    const { ifindex } = nh.fibNhDev;
    const set = tables.devHash.get(ifindex);
    if (set === undefined) tables.devHash.set(ifindex, new Set([nh]));
    else set.add(nh);
  }
}

/**
 * Checks a request and makes what its route points to, or finds an equal one that exists. Returns
 * it with a reference of the tree, or a negative errno with the text in `extack`.
 * @kernel fib_create_info net/ipv4/fib_semantics.c
 */
export function fibCreateInfo(cfg: FibConfig, extack: FibExtAck): FibInfo | number {
  const net = cfg.fcNlinfo.nlNet;
  const bad = checkConfig(cfg, extack);
  if (bad < 0) return bad;
  const fi = new FibInfo(net);
  net.machine.live.fibInfos++;
  fi.fibProtocol = cfg.fcProtocol;
  fi.fibScope = cfg.fcScope;
  fi.fibFlags = cfg.fcFlags;
  fi.fibPriority = cfg.fcPriority;
  fi.fibPrefsrc = cfg.fcPrefsrc;
  fi.fibType = cfg.fcType;
  fi.fibTbId = cfg.fcTable;
  const err = fillInfo(fi, cfg, extack);
  // One that no reader has seen needs no grace period: of very many routes at once, all but the first
  // of each kind would wait for it together.
  if (err !== 0) {
    freeFibInfoRcu(fi);
    return err;
  }
  const other = fibFindInfo(fi);
  if (other !== null) {
    freeFibInfoRcu(fi);
    other.fibTreeref++;
    return other;
  }
  linkInfo(fi);
  return fi;
}

/** The gateway of a redirect must be a default router that is up: 0, else -1. @kernel ip_fib_check_default net/ipv4/fib_semantics.c */
export function ipFibCheckDefault(net: Net, gw: number, ifindex: number): number {
  for (const nh of fibInfoTables(net).devHash.get(ifindex) ?? []) {
    if (nh.fibNhGwFamily === AF_INET && nh.fibNhGw4 === gw && (nh.fibNhFlags & RTNH_F_DEAD) === 0) {
      return 0;
    }
  }
  return -1;
}
