/**
 * What kind of address is this? The lowest part of the FIB's front end, which the rest of IPv4 asks.
 *
 * Counterpart of inet_addr_type of net/ipv4/fib_frontend.c. Checks of sources are in
 * fib_frontend_source.ts, routes of addresses in fib_frontend_ifaddr.ts, requests and events in
 * fib_frontend_config.ts.
 */

import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Flowi4 } from '#include/net/flow.ts';
import { FIB_LOOKUP_NOREF } from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { RouteScratch } from '#include/net/route.ts';
import { skbFlowDissectFlowKeys } from '#net/core/flow_dissector.ts';
import { fibGetTable } from '#net/ipv4/fib_frontend_table.ts';
import { fibTableLookup } from '#net/ipv4/fib_trie.ts';
import { ipv4IsLbcast, ipv4IsMulticast, ipv4IsZeronet } from '#uapi/in.ts';
import { RT_TABLE_LOCAL, RTN_BROADCAST, RTN_MULTICAST, RTN_UNICAST } from '#uapi/rtnetlink.ts';

/** The objects that lookups of packets use again. */
export function routeScratch(net: Net): RouteScratch {
  net.ipv4.rtScratch ??= new RouteScratch();
  return net.ipv4.rtScratch;
}

/**
 * Where a rule needs them, protocol and ports of a packet whose route is looked up as it comes in. False:
 * no rule does.
 * @kernel fib4_rules_early_flow_dissect include/net/ip_fib.h
 */
export function fib4RulesEarlyFlowDissect(net: Net, skb: SkBuff, fl4: Flowi4): boolean {
  if (!net.ipv4.fibRulesRequireFldissect) return false;
  const { flowKeys } = routeScratch(net);
  if (!skbFlowDissectFlowKeys(skb, flowKeys)) return false;
  fl4.flowi4Proto = flowKeys.ipProto;
  fl4.fl4Sport = flowKeys.ports >>> 16;
  fl4.fl4Dport = flowKeys.ports & 0xffff;
  return true;
}

/** @kernel __inet_dev_addr_type net/ipv4/fib_frontend.c */
function __inetDevAddrType(net: Net, dev: NetDevice | null, addr: number, tbId: number): number {
  if (ipv4IsZeronet(addr) || ipv4IsLbcast(addr)) return RTN_BROADCAST;
  if (ipv4IsMulticast(addr)) return RTN_MULTICAST;
  const table = fibGetTable(net, tbId);
  if (table === null) return RTN_BROADCAST;
  const { typeFlow: fl4, typeRes: res } = routeScratch(net);
  fl4.daddr = addr;
  if (fibTableLookup(net, table, fl4, res, FIB_LOOKUP_NOREF) !== 0) return RTN_UNICAST;
  if (dev !== null && dev !== (res.fi?.fibNh[0]?.fibNhDev ?? null)) return RTN_UNICAST;
  return res.type;
}

/** RTN_* of an address as one table knows it. @kernel inet_addr_type_table net/ipv4/fib_frontend.c */
export function inetAddrTypeTable(net: Net, addr: number, tbId: number): number {
  return __inetDevAddrType(net, null, addr, tbId);
}

/** RTN_LOCAL, RTN_BROADCAST, RTN_MULTICAST, or RTN_UNICAST for all others. @kernel inet_addr_type net/ipv4/fib_frontend.c */
export function inetAddrType(net: Net, addr: number): number {
  return __inetDevAddrType(net, null, addr, RT_TABLE_LOCAL);
}

/** The same, where only what belongs to `dev` counts as ours. @kernel inet_dev_addr_type net/ipv4/fib_frontend.c */
export function inetDevAddrType(net: Net, dev: NetDevice | null, addr: number): number {
  return __inetDevAddrType(net, dev, addr, RT_TABLE_LOCAL);
}

/** The same for any device of the domain that `dev` belongs to. @kernel inet_addr_type_dev_table net/ipv4/fib_frontend.c */
export function inetAddrTypeDevTable(net: Net, _dev: NetDevice | null, addr: number): number {
  return __inetDevAddrType(net, null, addr, RT_TABLE_LOCAL);
}
