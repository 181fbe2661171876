/**
 * Which of several paths a flow takes: a hash of its addresses, so that it always takes the same.
 *
 * Counterpart of fib_multipath_hash of net/ipv4/route.c and fib_select_multipath of
 * net/ipv4/fib_semantics.c, for routes whose hops fib_semantics_mp.ts reads. RFC 2992.
 */

import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Flowi4 } from '#include/net/flow.ts';
import { icmpIsErr } from '#include/net/icmp.ts';
import type { FibInfo, FibNh, FibResult } from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Machine } from '#kernel/machine.ts';
import { siphash4u32 } from '#lib/siphash.ts';
import { view } from '#mm/memory.ts';
import { ipIgnoreLinkdown } from '#net/ipv4/fib_lookup.ts';
import { fibCountNexthops, fibGetNhs, fibMatchNexthops } from '#net/ipv4/fib_semantics_mp.ts';
import { gatewayState } from '#net/ipv4/fib_semantics_select.ts';
import { IPPROTO_ICMP, IPPROTO_IPIP, IPPROTO_TCP, IPPROTO_UDP } from '#uapi/in.ts';
import { IP_OFFSET, iphdr } from '#uapi/ip.ts';
import { NUD_VALID } from '#uapi/neighbour.ts';
import { RT_SCOPE_LINK, RTNH_F_DEAD, RTNH_F_LINKDOWN } from '#uapi/rtnetlink.ts';

// Bits of fib_multipath_hash_fields; bit 3 is IPv6's flow label, and from bit 6 on are those inside a tunnel.
const FIB_MULTIPATH_HASH_FIELD_SRC_IP = 1;
const FIB_MULTIPATH_HASH_FIELD_DST_IP = 2;
const FIB_MULTIPATH_HASH_FIELD_IP_PROTO = 4;
const FIB_MULTIPATH_HASH_FIELD_SRC_PORT = 0x10;
const FIB_MULTIPATH_HASH_FIELD_DST_PORT = 0x20;
const FIB_MULTIPATH_HASH_FIELD_OUTER_MASK = 0x3f;
const FIB_MULTIPATH_HASH_FIELD_INNER_MASK = 0xfc0;
const INNER_SHIFT = 6;

/** Hash of the five parts of a flow, 31 bits. @kernel fib_multipath_hash_from_keys include/net/ip_fib.h */
function hashFromKeys(
  net: Net,
  saddr: number,
  daddr: number,
  proto: number,
  ports: number,
): number {
  return siphash4u32(saddr, daddr, ports, proto, net.machine.netGlobals.inetEhashSecret) >>> 1;
}

/** True when octets [at, at + len) lie in the linear part. */
function within(skb: SkBuff, at: number, len: number): boolean {
  return at + len <= skb.tail;
}

/** For an ICMP error, the addresses of the packet it is about, turned round. @kernel ip_multipath_l3_keys net/ipv4/route.c */
function l3Hash(net: Net, skb: SkBuff): number {
  const outer = skb.networkHeader;
  let iph = outer;
  const isIcmp = iphdr.protocol(view, outer) === IPPROTO_ICMP;
  const isFragment = (iphdr.fragOff(view, outer) & IP_OFFSET) !== 0;
  const icmp = outer + iphdr.hdrlen(view, outer);
  const inner = icmp + 8;
  if (isIcmp && !isFragment && within(skb, icmp, 8 + iphdr.LEN) && icmpIsErr(view.getUint8(icmp))) {
    iph = inner;
  }
  const saddr = iphdr.saddr(view, iph);
  const daddr = iphdr.daddr(view, iph);
  return iph === outer
    ? hashFromKeys(net, saddr, daddr, 0, 0)
    : hashFromKeys(net, daddr, saddr, 0, 0);
}

function l4Hash(net: Net, skb: SkBuff): number {
  const iph = skb.networkHeader;
  const proto = iphdr.protocol(view, iph);
  const l4 = iph + iphdr.hdrlen(view, iph);
  const isFragment = (iphdr.fragOff(view, iph) & IP_OFFSET) !== 0;
  const hasPorts = (proto === IPPROTO_TCP || proto === IPPROTO_UDP) && !isFragment;
  const ports = hasPorts && within(skb, l4, 4) ? view.getUint32(l4) : 0;
  return hashFromKeys(net, iphdr.saddr(view, iph), iphdr.daddr(view, iph), proto, ports);
}

/** The header inside IP in IP, or `iph` itself. */
function innerHeader(skb: SkBuff, iph: number): number {
  if (iphdr.protocol(view, iph) !== IPPROTO_IPIP) return iph;
  if ((iphdr.fragOff(view, iph) & IP_OFFSET) !== 0) return iph;
  const inner = iph + iphdr.hdrlen(view, iph);
  return within(skb, inner, iphdr.LEN) && iphdr.version(view, inner) === 4 ? inner : iph;
}

/** Policy 2: the addresses inside a tunnel where there is one. @kernel fib_multipath_hash net/ipv4/route.c */
function innerL3Hash(net: Net, skb: SkBuff): number {
  const inner = innerHeader(skb, skb.networkHeader);
  if (inner === skb.networkHeader) return l3Hash(net, skb);
  return hashFromKeys(net, iphdr.saddr(view, inner), iphdr.daddr(view, inner), 0, 0);
}

/** The hash of the fields that were chosen; `fields` as for the outer header. */
function fieldsHash(
  net: Net,
  fields: number,
  saddr: number,
  daddr: number,
  proto: number,
  ports: number,
): number {
  let chosen = 0;
  if ((fields & FIB_MULTIPATH_HASH_FIELD_SRC_PORT) !== 0) chosen |= ports & 0xffff0000;
  if ((fields & FIB_MULTIPATH_HASH_FIELD_DST_PORT) !== 0) chosen |= ports & 0xffff;
  return hashFromKeys(
    net,
    (fields & FIB_MULTIPATH_HASH_FIELD_SRC_IP) !== 0 ? saddr : 0,
    (fields & FIB_MULTIPATH_HASH_FIELD_DST_IP) !== 0 ? daddr : 0,
    (fields & FIB_MULTIPATH_HASH_FIELD_IP_PROTO) !== 0 ? proto : 0,
    chosen >>> 0,
  );
}

function headerHash(net: Net, fields: number, skb: SkBuff, iph: number): number {
  const proto = iphdr.protocol(view, iph);
  const l4 = iph + iphdr.hdrlen(view, iph);
  const isFragment = (iphdr.fragOff(view, iph) & IP_OFFSET) !== 0;
  const hasPorts = (proto === IPPROTO_TCP || proto === IPPROTO_UDP) && !isFragment;
  const ports = hasPorts && within(skb, l4, 4) ? view.getUint32(l4) : 0;
  return fieldsHash(net, fields, iphdr.saddr(view, iph), iphdr.daddr(view, iph), proto, ports);
}

/** Policy 3: what fib_multipath_hash_fields names. @kernel fib_multipath_custom_hash_skb net/ipv4/route.c */
function customHash(net: Net, skb: SkBuff): number {
  const fields = net.ipv4.sysctlFibMultipathHashFields;
  const outer = skb.networkHeader;
  const outerFields = fields & FIB_MULTIPATH_HASH_FIELD_OUTER_MASK;
  const outerHash = outerFields === 0 ? 0 : headerHash(net, outerFields, skb, outer);
  const inner = innerHeader(skb, outer);
  const innerFields = (fields & FIB_MULTIPATH_HASH_FIELD_INNER_MASK) >>> INNER_SHIFT;
  if (inner === outer || innerFields === 0) return outerHash;
  return hashFromKeys(net, outerHash, headerHash(net, innerFields, skb, inner), 0, 0);
}

/** Of a flow of our own. */
function flowHash(net: Net, policy: number, fl4: Flowi4): number {
  const { saddr, daddr, flowi4Proto: proto } = fl4;
  const ports = ((fl4.fl4Sport << 16) | fl4.fl4Dport) >>> 0;
  if (policy === 1) return hashFromKeys(net, saddr, daddr, proto, ports);
  if (policy !== 3) return hashFromKeys(net, saddr, daddr, 0, 0);
  const fields = net.ipv4.sysctlFibMultipathHashFields & FIB_MULTIPATH_HASH_FIELD_OUTER_MASK;
  return fields === 0 ? 0 : fieldsHash(net, fields, saddr, daddr, proto, ports);
}

/**
 * A number below 2^31 that decides on the path: by net.ipv4.fib_multipath_hash_policy from the
 * addresses (0), with protocol and ports (1), from those inside a tunnel (2), or from the fields that
 * fib_multipath_hash_fields names (3).
 * @kernel fib_multipath_hash net/ipv4/route.c
 * @deviation of tunnels only IP in IP is looked into.
 */
export function fibMultipathHash(net: Net, fl4: Flowi4 | null, skb: SkBuff | null): number {
  const policy = net.ipv4.sysctlFibMultipathHashPolicy;
  let hash = 0;
  if (skb !== null) {
    if (policy === 0) hash = l3Hash(net, skb);
    else if (policy === 1) hash = l4Hash(net, skb);
    else hash = policy === 2 ? innerL3Hash(net, skb) : customHash(net, skb);
  } else if (fl4 !== null) {
    hash = flowHash(net, policy, fl4);
  }
  const extra = fl4 === null ? 0 : fl4.flowi4MultipathHash;
  return extra === 0 ? hash : ((hash ^ extra) >>> 0) & 0x7fffffff;
}

/** @kernel fib_good_nh net/ipv4/fib_semantics.c */
function fibGoodNh(nh: FibNh): boolean {
  if (nh.fibNhScope !== RT_SCOPE_LINK) return true;
  const state = gatewayState(nh);
  return state === null || (state & NUD_VALID) !== 0;
}

/** The hop whose share holds `hash`; one with the flow's source address is better. @kernel fib_select_multipath net/ipv4/fib_semantics.c */
function fibSelectMultipath(res: FibResult, hash: number, saddr: number): void {
  const fi = res.fi as FibInfo;
  const useNeigh = fi.net.ipv4.sysctlFibMultipathUseNeigh !== 0;
  let score = -1;
  for (let i = 0; i < fi.fibNh.length; i++) {
    const nh = fi.fibNh[i] as FibNh;
    if (nh.fibNhUpperBound === -1 || (useNeigh && !fibGoodNh(nh))) continue;
    let nhScore = 0;
    if (saddr !== 0 && nh.fibNhSaddr === saddr) nhScore += 2;
    if (hash <= nh.fibNhUpperBound) nhScore++;
    if (score >= nhScore) continue;
    res.nhSel = i;
    res.nhc = nh;
    if (nhScore === 3 || (saddr === 0 && nhScore === 1)) return;
    score = nhScore;
  }
}

/** Shares the hash space among the hops by weight. @kernel fib_rebalance net/ipv4/fib_semantics.c */
function fibRebalance(fi: FibInfo): void {
  if (fi.fibNh.length < 2) return;
  let total = 0;
  for (const nh of fi.fibNh) if (!nhUnusable(nh)) total += nh.fibNhWeight;
  let w = 0;
  for (const nh of fi.fibNh) {
    if (nhUnusable(nh)) {
      nh.fibNhUpperBound = -1;
    } else {
      w += nh.fibNhWeight;
      nh.fibNhUpperBound = Math.floor((w * 0x80000000 + Math.floor(total / 2)) / total) - 1;
    }
  }
}

function nhUnusable(nh: FibNh): boolean {
  if ((nh.fibNhFlags & RTNH_F_DEAD) !== 0) return true;
  return (nh.fibNhFlags & RTNH_F_LINKDOWN) !== 0 && ipIgnoreLinkdown(nh.fibNhDev);
}

/** Chooses the hop of a flow we send, or of a packet that arrived. */
function select(net: Net, res: FibResult, fl4: Flowi4 | null, skb: SkBuff | null): void {
  fibSelectMultipath(res, fibMultipathHash(net, fl4, skb), fl4?.saddr ?? 0);
}

function fibMultipathInit(machine: Machine): number {
  machine.netGlobals.fibMultipath = {
    countNexthops: fibCountNexthops,
    getNhs: fibGetNhs,
    match: fibMatchNexthops,
    rebalance: fibRebalance,
    select,
  };
  return 0;
}

export const fibMultipathModule: KernelModule = {
  name: 'fib_multipath',
  config: 'CONFIG_IP_ROUTE_MULTIPATH',
  depends: [],
  level: FS_INITCALL,
  init: fibMultipathInit,
  exit: null,
};
