/**
 * Is a next hop one that can work? Counterpart of fib_check_nh of net/ipv4/fib_semantics.c.
 */
import { netifCarrierOk } from '#include/linux/netdevice.ts';
import { netdevHold } from '#include/linux/netdevice_ref.ts';
import { Flowi4, LOOPBACK_IFINDEX } from '#include/net/flow.ts';
import {
  FIB_LOOKUP_IGNORE_LINKSTATE,
  FIB_LOOKUP_NOREF,
  type FibConfig,
  type FibExtAck,
  type FibInfo,
  type FibNh,
  FibResult,
} from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { inetAddrTypeDevTable } from '#net/ipv4/fib_frontend.ts';
import { fibGetTable, fibLookup } from '#net/ipv4/fib_frontend_table.ts';
import { fibTableLookup } from '#net/ipv4/fib_trie.ts';
import { fibMetricsMatch } from '#net/ipv4/metrics.ts';
import { EINVAL, ENETDOWN, ENODEV } from '#uapi/errno.ts';
import { IFF_UP } from '#uapi/if.ts';
import {
  RT_SCOPE_HOST,
  RT_SCOPE_LINK,
  RT_TABLE_MAIN,
  RTN_LOCAL,
  RTN_UNICAST,
  RTNH_F_LINKDOWN,
  RTNH_F_ONLINK,
  RTNH_F_PERVASIVE,
} from '#uapi/rtnetlink.ts';
import { AF_INET } from '#uapi/socket.ts';

function fail(extack: FibExtAck, err: number, msg: string): number {
  if (extack !== null && extack.msg === '') extack.msg = msg;
  return err;
}

/** The user swears that the gateway is on the link. */
function checkOnlink(net: Net, nh: FibNh, scope: number, extack: FibExtAck): number {
  if (scope >= RT_SCOPE_LINK) return fail(extack, -EINVAL, 'Nexthop has invalid scope');
  const dev = net.devIndexHead.get(nh.fibNhOif) ?? null;
  if (dev === null) return fail(extack, -ENODEV, 'Nexthop device required for onlink');
  if ((dev.flags & IFF_UP) === 0) return fail(extack, -ENETDOWN, 'Nexthop device is not up');
  if (inetAddrTypeDevTable(net, dev, nh.fibNhGw4) !== RTN_UNICAST) {
    return fail(extack, -EINVAL, 'Nexthop has invalid gateway');
  }
  if (!netifCarrierOk(dev)) nh.fibNhFlags |= RTNH_F_LINKDOWN;
  nh.fibNhDev = dev;
  netdevHold(dev, 'fib_nh');
  nh.fibNhScope = RT_SCOPE_LINK;
  return 0;
}

/** How the gateway itself is reached; it must be nearer than the route. */
function lookupGateway(net: Net, nh: FibNh, table: number, scope: number, res: FibResult): number {
  const fl4 = new Flowi4();
  fl4.daddr = nh.fibNhGw4;
  fl4.flowi4Scope = Math.max(scope + 1, RT_SCOPE_LINK);
  fl4.flowi4Oif = nh.fibNhOif;
  fl4.flowi4Iif = LOOPBACK_IFINDEX;
  const tbl = table !== 0 && table !== RT_TABLE_MAIN ? fibGetTable(net, table) : null;
  const flags = FIB_LOOKUP_IGNORE_LINKSTATE | FIB_LOOKUP_NOREF;
  if (tbl !== null && fibTableLookup(net, tbl, fl4, res, flags) === 0) return 0;
  return fibLookup(net, fl4, res, flags);
}

/** @kernel fib_check_nh_v4_gw net/ipv4/fib_semantics.c */
function fibCheckNhV4Gw(
  net: Net,
  nh: FibNh,
  table: number,
  scope: number,
  extack: FibExtAck,
): number {
  if ((nh.fibNhFlags & RTNH_F_ONLINK) !== 0) return checkOnlink(net, nh, scope, extack);
  const res = new FibResult();
  const err = lookupGateway(net, nh, table, scope, res);
  if (err !== 0) return fail(extack, err, 'Nexthop has invalid gateway');
  if (res.type !== RTN_UNICAST && res.type !== RTN_LOCAL) {
    return fail(extack, -EINVAL, 'Nexthop has invalid gateway');
  }
  const dev = res.nhc?.fibNhDev ?? null;
  nh.fibNhScope = res.scope;
  nh.fibNhOif = res.nhc?.fibNhOif ?? 0;
  if (dev === null) return fail(extack, -EINVAL, 'No egress device for nexthop gateway');
  nh.fibNhDev = dev;
  netdevHold(dev, 'fib_nh');
  if (!netifCarrierOk(dev)) nh.fibNhFlags |= RTNH_F_LINKDOWN;
  return (dev.flags & IFF_UP) !== 0 ? 0 : -ENETDOWN;
}

/** @kernel fib_check_nh_nongw net/ipv4/fib_semantics.c */
function fibCheckNhNongw(net: Net, nh: FibNh, extack: FibExtAck): number {
  if ((nh.fibNhFlags & (RTNH_F_PERVASIVE | RTNH_F_ONLINK)) !== 0) {
    const text = 'Invalid flags for nexthop - PERVASIVE and ONLINK can not be set';
    return fail(extack, -EINVAL, text);
  }
  const dev = net.devIndexHead.get(nh.fibNhOif) ?? null;
  if (dev === null || dev.ipPtr === null) return -ENODEV;
  if ((dev.flags & IFF_UP) === 0) return fail(extack, -ENETDOWN, 'Device for nexthop is not up');
  nh.fibNhDev = dev;
  netdevHold(dev, 'fib_nh');
  nh.fibNhScope = RT_SCOPE_HOST;
  if (!netifCarrierOk(dev)) nh.fibNhFlags |= RTNH_F_LINKDOWN;
  return 0;
}

/**
 * Checks a next hop and finds its device. 0, or a negative errno with its text: -ENETUNREACH when the
 * gateway is not on any link, -ENETDOWN when the device is down.
 * @kernel fib_check_nh net/ipv4/fib_semantics.c
 */
export function fibCheckNh(
  net: Net,
  nh: FibNh,
  table: number,
  scope: number,
  extack: FibExtAck,
): number {
  return nh.fibNhGwFamily === AF_INET
    ? fibCheckNhV4Gw(net, nh, table, scope, extack)
    : fibCheckNhNongw(net, nh, extack);
}

/** @kernel fib_nh_init net/ipv4/fib_semantics.c */
export function fibNhInit(nh: FibNh, cfg: FibConfig, weight: number): void {
  nh.fibNhOif = cfg.fcOif;
  nh.fibNhGwFamily = cfg.fcGwFamily;
  nh.fibNhGw4 = cfg.fcGwFamily === AF_INET ? cfg.fcGw4 : 0;
  nh.fibNhFlags = cfg.fcFlags;
  nh.nhTclassid = cfg.fcFlow;
  nh.fibNhWeight = weight;
}

/** Does the route have the hops that a request to delete names? @kernel fib_nh_match net/ipv4/fib_semantics.c */
function fibNhMatch(cfg: FibConfig, fi: FibInfo): boolean {
  if (cfg.fcPriority !== 0 && cfg.fcPriority !== fi.fibPriority) return false;
  if (cfg.fcNhId !== 0) return false;
  if (cfg.fcOif !== 0 || cfg.fcGwFamily !== 0) {
    const nh = fi.fibNh[0] as FibNh;
    if (cfg.fcOif !== 0 && cfg.fcOif !== nh.fibNhOif) return false;
    if (cfg.fcGwFamily === 0) return true;
    return cfg.fcGwFamily === nh.fibNhGwFamily && cfg.fcGw4 === nh.fibNhGw4;
  }
  if (cfg.fcMp === null) return true;
  return fi.net.machine.netGlobals.fibMultipath?.match(cfg.fcMp, fi) ?? false;
}

/** Does the route have the metrics that a request to delete names? */
export function fibConfigMatch(cfg: FibConfig, fi: FibInfo): boolean {
  return fibNhMatch(cfg, fi) && fibMetricsMatch(cfg.fcMx, fi);
}
