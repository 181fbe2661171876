/**
 * Several next hops as requests describe them: RTA_MULTIPATH. Counterpart of fib_get_nhs and its like
 * in net/ipv4/fib_semantics.c.
 */
import { FibConfig, type FibExtAck, type FibInfo, type FibNh } from '#include/net/ip_fib.ts';
import { fibNhInit } from '#net/ipv4/fib_semantics_nh.ts';
import { fibGwFromVia } from '#net/ipv4/metrics.ts';
import { nlaGetInAddr, nlaGetU32, nlaParse } from '#net/netlink/nlattr.ts';
import { EINVAL } from '#uapi/errno.ts';
import {
  RTA_FLOW,
  RTA_GATEWAY,
  RTA_MAX,
  RTA_VIA,
  RTNH_F_DEAD,
  RTNH_F_LINKDOWN,
  rtnexthop,
} from '#uapi/rtnetlink.ts';
import { AF_INET } from '#uapi/socket.ts';

function fail(extack: FibExtAck, err: number, msg: string): number {
  if (extack !== null && extack.msg === '') extack.msg = msg;
  return err;
}

/** One struct rtnexthop of a list. */
interface Rtnh {
  readonly flags: number;
  readonly hops: number;
  readonly ifindex: number;
  readonly attrs: Uint8Array;
}

/** The entries up to the first that is not whole; `rest`: octets behind them. */
function rtnhList(mp: Uint8Array): { list: Rtnh[]; rest: number } {
  const v = new DataView(mp.buffer, mp.byteOffset, mp.byteLength);
  const list: Rtnh[] = [];
  let at = 0;
  while (mp.length - at >= rtnexthop.LEN) {
    const len = rtnexthop.len(v, at);
    if (len < rtnexthop.LEN || at + len > mp.length) break;
    list.push({
      flags: rtnexthop.flags(v, at),
      hops: rtnexthop.hops(v, at),
      ifindex: rtnexthop.ifindex(v, at),
      attrs: mp.subarray(at + rtnexthop.LEN, at + len),
    });
    at += (len + 3) & ~3;
  }
  return { list, rest: mp.length - at };
}

/** 0: the list is not well formed. @kernel fib_count_nexthops net/ipv4/fib_semantics.c */
export function fibCountNexthops(mp: Uint8Array, extack: FibExtAck): number {
  const { list, rest } = rtnhList(mp);
  if (rest > 0) {
    fail(extack, -EINVAL, 'Invalid nexthop configuration - extra data after nexthops');
    return 0;
  }
  return list.length;
}

function getNh(nh: FibNh, rtnh: Rtnh, cfg: FibConfig, extack: FibExtAck): number {
  if ((rtnh.flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) !== 0) {
    const text = 'Invalid flags for nexthop - can not contain DEAD or LINKDOWN';
    return fail(extack, -EINVAL, text);
  }
  const hop = new FibConfig(cfg.fcNlinfo);
  hop.fcFlags = (cfg.fcFlags & ~0xff) | rtnh.flags;
  hop.fcOif = rtnh.ifindex;
  const tb = nlaParse(rtnh.attrs, RTA_MAX, null, extack);
  if (typeof tb === 'number') return tb;
  const gateway = tb[RTA_GATEWAY];
  const via = tb[RTA_VIA];
  if (gateway !== undefined && via !== undefined) {
    const text = 'Nexthop configuration can not contain both GATEWAY and VIA';
    return fail(extack, -EINVAL, text);
  }
  if (gateway !== undefined) {
    if (gateway.length < 4) return fail(extack, -EINVAL, 'Invalid IPv4 address in RTA_GATEWAY');
    hop.fcGw4 = nlaGetInAddr(gateway);
    if (hop.fcGw4 !== 0) hop.fcGwFamily = AF_INET;
  } else if (via !== undefined) {
    const err = fibGwFromVia(hop, via, extack);
    if (err < 0) return err;
  }
  const flow = tb[RTA_FLOW];
  if (flow !== undefined) hop.fcFlow = nlaGetU32(flow);
  fibNhInit(nh, hop, rtnh.hops + 1);
  return 0;
}

/** Fills the hops of `fi` from RTA_MULTIPATH. @kernel fib_get_nhs net/ipv4/fib_semantics.c */
export function fibGetNhs(fi: FibInfo, mp: Uint8Array, cfg: FibConfig, extack: FibExtAck): number {
  const { list } = rtnhList(mp);
  for (const [i, rtnh] of list.entries()) {
    const err = getNh(fi.fibNh[i] as FibNh, rtnh, cfg, extack);
    if (err < 0) return err;
  }
  const first = fi.fibNh[0] as FibNh;
  if (cfg.fcOif !== 0 && first.fibNhOif !== cfg.fcOif) {
    return fail(extack, -EINVAL, 'Nexthop device index does not match RTA_OIF');
  }
  if (
    cfg.fcGwFamily !== 0 &&
    (cfg.fcGwFamily !== first.fibNhGwFamily || first.fibNhGw4 !== cfg.fcGw4)
  ) {
    return fail(extack, -EINVAL, 'Nexthop gateway does not match RTA_GATEWAY or RTA_VIA');
  }
  return 0;
}

/** Does this hop fit one of the request's list? */
function rtnhFits(nh: FibNh, rtnh: Rtnh): boolean {
  if (rtnh.ifindex !== 0 && rtnh.ifindex !== nh.fibNhOif) return false;
  const tb = nlaParse(rtnh.attrs, RTA_MAX, null, null);
  const gateway = typeof tb === 'number' ? undefined : tb[RTA_GATEWAY];
  if (gateway === undefined) return true;
  return nh.fibNhGwFamily === AF_INET && nlaGetInAddr(gateway) === nh.fibNhGw4;
}

/** Does the route have the hops of the list? @kernel fib_nh_match net/ipv4/fib_semantics.c */
export function fibMatchNexthops(mp: Uint8Array, fi: FibInfo): boolean {
  const { list } = rtnhList(mp);
  if (list.length < fi.fibNh.length) return false;
  return fi.fibNh.every((nh, i) => rtnhFits(nh, list[i] as Rtnh));
}
