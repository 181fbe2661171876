/**
 * Routes of packets: for one that arrived, for one that is to be sent.
 *
 * Counterpart of net/ipv4/route.c. Routes kept with next hops are in route_cache.ts, path MTUs and
 * redirects in route_pmtu.ts, identifications in route_ident.ts, the operations of the entries and
 * what is set up at boot in route_init.ts. RFC 1812#5.2, RFC 1122#3.2.1.3.
 */
import type { InDevice } from '#include/linux/inetdevice.ts';
import {
  inDevBforward,
  inDevForward,
  inDevMforward,
  inDevNetRouteLocalnet,
  inDevNopolicy,
  inDevNoxfrm,
  inDevProxyArpPvlan,
  inDevRouteLocalnet,
  inDevSharedMedia,
  inDevTxRedirects,
  ipv4DevconfAll,
} from '#include/linux/inetdevice.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  DST_DEFAULT_METRICS,
  DST_NOXFRM,
  DST_OBSOLETE_FORCE_CHK,
  type DstOps,
  dstHoldSafe,
  dstRelease,
  skbDstDrop,
  skbDstForce,
  skbDstSet,
  skbDstSetNoref,
} from '#include/net/dst.ts';
import {
  FLOWI_FLAG_ANYSRC,
  FLOWI_FLAG_KNOWN_NH,
  type Flowi4,
  flowi4InitOutput,
  flowi4Reset,
  flowi4UpdateOutput,
  LOOPBACK_IFINDEX,
} from '#include/net/flow.ts';
import { IPSKB_DOREDIRECT, IPSKB_NOPOLICY } from '#include/net/ip.ts';
import {
  type FibInfo,
  type FibNh,
  type FibNhException,
  type FibResult,
  fibResultReset,
  Rtable,
} from '#include/net/ip_fib.ts';
import type { Ipv4Ops } from '#include/net/net_globals.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { INET_DSCP_MASK, ipSockRtScope, ipSockRtTos } from '#include/net/route.ts';
import type { InetSock, Sock } from '#include/net/sock.ts';
import { KernelBug } from '#kernel/bug.ts';
import { view } from '#mm/memory.ts';
import { dstInit } from '#net/core/dst.ts';
import { kfreeSkb } from '#net/core/skbuff.ts';
import { inetAddrOnlink, inetSelectAddr, ipDevFind } from '#net/ipv4/devinet.ts';
import { fib4RulesEarlyFlowDissect, routeScratch } from '#net/ipv4/fib_frontend.ts';
import { fibValidateSource } from '#net/ipv4/fib_frontend_source.ts';
import { fibLookup } from '#net/ipv4/fib_frontend_table.ts';
import { fibSelectInputPath, fibSelectPath } from '#net/ipv4/fib_semantics_select.ts';
import { ipCheckMc } from '#net/ipv4/igmp_check.ts';
import { findException, rtCacheRoute, rtCacheValid, rtSetNexthop } from '#net/ipv4/route_cache.ts';
import { ipError } from '#net/ipv4/route_error.ts';
import { EHOSTUNREACH, EINVAL, ENETUNREACH, ENODEV } from '#uapi/errno.ts';
import { IFF_LOOPBACK, IFF_UP } from '#uapi/if.ts';
import { ETH_P_IP } from '#uapi/if_ether.ts';
import {
  INADDR_LOOPBACK,
  IPPROTO_IGMP,
  ipv4IsLbcast,
  ipv4IsLocalMulticast,
  ipv4IsLoopback,
  ipv4IsMulticast,
  ipv4IsZeronet,
} from '#uapi/in.ts';
import { RTCF_BROADCAST, RTCF_LOCAL, RTCF_MULTICAST } from '#uapi/in_route.ts';
import { IPV4_DEVCONF_BC_FORWARDING, iphdr } from '#uapi/ip.ts';
import {
  SKB_DROP_REASON_ARP_PVLAN_DISABLE,
  SKB_DROP_REASON_INVALID_PROTO,
  SKB_DROP_REASON_IP_INVALID_DEST,
  SKB_DROP_REASON_IP_INVALID_SOURCE,
  SKB_DROP_REASON_IP_LOCALNET,
  SKB_DROP_REASON_NOT_SPECIFIED,
  SKB_NOT_DROPPED_YET,
} from '#uapi/net_dropreason.ts';
import {
  RT_SCOPE_HOST,
  RT_SCOPE_LINK,
  RTN_BROADCAST,
  RTN_LOCAL,
  RTN_MULTICAST,
  RTN_UNICAST,
  RTN_UNREACHABLE,
} from '#uapi/rtnetlink.ts';
import { AF_INET } from '#uapi/socket.ts';

function ipv4OpsOf(net: Net): Ipv4Ops {
  const ops = net.machine.netGlobals.ipv4Ops;
  if (ops === null) throw new KernelBug('ipv4-ops', 'a route is wanted before inet_init');
  return ops;
}

/** Input of a route without one. @kernel ip_rt_bug net/ipv4/route.c */
function ipRtBug(_net: Net, _sk: Sock | null, skb: SkBuff): number {
  kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, 'ip_rt_bug');
  return 0;
}

/** Input of an output route: such a packet comes from nowhere. */
function ipRtNoInput(skb: SkBuff): number {
  kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, 'dst_discard');
  return 0;
}

/** A fresh route with a reference for the caller. `flags`: RTCF_*. @kernel rt_dst_alloc net/ipv4/route.c */
export function rtDstAlloc(dev: NetDevice, flags: number, type: number, noxfrm: boolean): Rtable {
  const net = dev.net;
  const ops = ipv4OpsOf(net);
  const input = (flags & RTCF_LOCAL) !== 0 ? ops.ipLocalDeliver : ipRtNoInput;
  const dstOps = net.machine.netGlobals.ipv4DstOps as DstOps;
  const rt = new Rtable(net, dstOps, dev, DST_DEFAULT_METRICS, input, ops.ipOutput);
  dstInit(rt, DST_OBSOLETE_FORCE_CHK, noxfrm ? DST_NOXFRM : 0);
  rt.rtGenid = net.rtGenid;
  rt.rtFlags = flags >>> 0;
  rt.rtType = type;
  return rt;
}

/** A copy that goes by another device; in no cache. @kernel rt_dst_clone net/ipv4/route.c */
export function rtDstClone(dev: NetDevice, rt: Rtable): Rtable {
  const copy = new Rtable(dev.net, rt.ops, dev, rt.metrics, rt.input, rt.output);
  dstInit(copy, DST_OBSOLETE_FORCE_CHK, rt.flags);
  copy.rtGenid = dev.net.rtGenid;
  copy.rtFlags = rt.rtFlags;
  copy.rtType = rt.rtType;
  copy.rtIsInput = rt.rtIsInput;
  copy.rtIif = rt.rtIif;
  copy.rtPmtu = rt.rtPmtu;
  copy.rtMtuLocked = rt.rtMtuLocked;
  copy.rtGwFamily = rt.rtGwFamily;
  copy.rtGw4 = rt.rtGw4;
  copy.input = rt.input;
  copy.output = rt.output;
  copy.error = rt.error;
  copy.metrics = rt.metrics;
  copy.lastuse = dev.net.machine.jiffies;
  return copy;
}

/** @kernel ip_rt_put include/net/route.h */
export function ipRtPut(rt: Rtable): void {
  dstRelease(rt);
}

/** Queueing class by TOS. @kernel rt_tos2priority include/net/route.h */
export function rtTos2priority(tos: number): number {
  // TC_PRIO_*: best effort 0, bulk 2, interactive 6, interactive bulk 4; the lowest bit asks for low cost.
  return (0x4620 >>> (((tos & 0x1e) >>> 3) << 2)) & 0xf;
}

// Input.

function dropReason(verdict: number): number {
  return verdict < 0 ? -verdict : SKB_NOT_DROPPED_YET;
}

/** @kernel ip_mc_validate_source net/ipv4/route.c */
export function ipMcValidateSource(
  skb: SkBuff,
  daddr: number,
  saddr: number,
  tos: number,
  dev: NetDevice,
  inDev: InDevice,
): number {
  if (ipv4IsMulticast(saddr) || ipv4IsLbcast(saddr)) return SKB_DROP_REASON_IP_INVALID_SOURCE;
  if (skb.protocol !== ETH_P_IP) return SKB_DROP_REASON_INVALID_PROTO;
  if (ipv4IsLoopback(saddr) && !inDevRouteLocalnet(inDev)) return SKB_DROP_REASON_IP_LOCALNET;
  if (ipv4IsZeronet(saddr)) {
    const igmp = iphdr.protocol(view, skb.networkHeader) === IPPROTO_IGMP;
    if (ipv4IsLocalMulticast(daddr) || igmp) return SKB_NOT_DROPPED_YET;
    return SKB_DROP_REASON_IP_INVALID_SOURCE;
  }
  return dropReason(fibValidateSource(skb, saddr, 0, tos, 0, dev, inDev));
}

/** @kernel ip_route_input_mc net/ipv4/route.c */
function ipRouteInputMc(
  skb: SkBuff,
  daddr: number,
  saddr: number,
  tos: number,
  dev: NetDevice,
  inDev: InDevice,
  our: boolean,
): number {
  const reason = ipMcValidateSource(skb, daddr, saddr, tos, dev, inDev);
  if (reason !== SKB_NOT_DROPPED_YET) return reason;
  if (inDevNopolicy(inDev)) skb.ipCb.flags |= IPSKB_NOPOLICY;
  const flags = RTCF_MULTICAST | (our ? RTCF_LOCAL : 0);
  const rth = rtDstAlloc(dev.net.loopbackDev as NetDevice, flags, RTN_MULTICAST, false);
  rth.output = ipRtBug;
  rth.rtIsInput = true;
  skbDstDrop(skb);
  skbDstSet(skb, rth);
  return SKB_NOT_DROPPED_YET;
}

/** The packet is for this machine, or nobody knows the way (`err` then says why). */
function localInput(
  skb: SkBuff,
  inDev: InDevice,
  res: FibResult,
  flags: number,
  err: number,
  mayCache: boolean,
): number {
  const net = inDev.dev.net;
  if (inDevNopolicy(inDev)) skb.ipCb.flags |= IPSKB_NOPOLICY;
  const nhc = mayCache && res.fi !== null ? res.nhc : null;
  if (nhc !== null && rtCacheValid(nhc.rthInput)) {
    skbDstSetNoref(skb, nhc.rthInput);
    return SKB_NOT_DROPPED_YET;
  }
  const rth = rtDstAlloc(net.loopbackDev as NetDevice, flags | RTCF_LOCAL, res.type, false);
  rth.output = ipRtBug;
  rth.rtIsInput = true;
  if (res.type === RTN_UNREACHABLE) {
    rth.input = ipError;
    rth.error = err;
    rth.rtFlags = (rth.rtFlags & ~RTCF_LOCAL) >>> 0;
  }
  if (nhc !== null) rtCacheRoute(nhc, rth);
  skbDstSet(skb, rth);
  return SKB_NOT_DROPPED_YET;
}

/** Should the sender have used another router on his own link? */
function wantsRedirect(
  skb: SkBuff,
  inDev: InDevice,
  outDev: InDevice,
  saddr: number,
  nhc: FibNh,
): boolean {
  if (outDev !== inDev || !inDevTxRedirects(outDev) || skb.protocol !== ETH_P_IP) return false;
  const gw = nhc.fibNhGwFamily === AF_INET ? nhc.fibNhGw4 : 0;
  return inDevSharedMedia(outDev) || inetAddrOnlink(outDev, saddr, gw);
}

/** The packet goes on to another machine. @kernel ip_mkroute_input net/ipv4/route.c */
function ipMkrouteInput(
  skb: SkBuff,
  res: FibResult,
  inDev: InDevice,
  daddr: number,
  saddr: number,
  tos: number,
): number {
  const net = inDev.dev.net;
  fibSelectInputPath(net, res, skb);
  const nhc = res.nhc as FibNh;
  const dev = nhc.fibNhDev;
  const outDev = dev?.ipPtr ?? null;
  if (dev === null || outDev === null) return SKB_DROP_REASON_NOT_SPECIFIED;
  const verdict = fibValidateSource(skb, saddr, daddr, tos, nhc.fibNhOif, inDev.dev, inDev);
  if (verdict < 0) return -verdict;
  if (verdict > 0 && wantsRedirect(skb, inDev, outDev, saddr, nhc)) {
    skb.ipCb.flags |= IPSKB_DOREDIRECT;
  }
  // ARP asks whether to answer for others: not for those on the same link, but for private VLANs.
  if (skb.protocol !== ETH_P_IP && outDev === inDev && !inDevProxyArpPvlan(inDev)) {
    return SKB_DROP_REASON_ARP_PVLAN_DISABLE;
  }
  if (inDevNopolicy(inDev)) skb.ipCb.flags |= IPSKB_NOPOLICY;
  const fnhe = findException(net, nhc, daddr);
  const cached = fnhe !== null ? fnhe.fnheRthInput : nhc.rthInput;
  if (rtCacheValid(cached)) {
    skbDstSetNoref(skb, cached);
    return SKB_NOT_DROPPED_YET;
  }
  const rth = rtDstAlloc(dev, 0, res.type, inDevNoxfrm(outDev));
  rth.rtIsInput = true;
  rth.input = ipv4OpsOf(net).ipForward;
  rtSetNexthop(rth, daddr, res, fnhe, res.fi, true);
  skbDstSet(skb, rth);
  return SKB_NOT_DROPPED_YET;
}

/** Addresses that no packet may have, which no lookup would find: the drop reason, or 0. */
function martian(net: Net, inDev: InDevice, daddr: number, saddr: number): number {
  if (ipv4IsZeronet(saddr)) return SKB_DROP_REASON_IP_INVALID_SOURCE;
  if (ipv4IsZeronet(daddr)) return SKB_DROP_REASON_IP_INVALID_DEST;
  if (ipv4IsLoopback(daddr) || ipv4IsLoopback(saddr)) {
    if (!inDevNetRouteLocalnet(inDev, net)) return SKB_DROP_REASON_IP_LOCALNET;
  }
  return SKB_NOT_DROPPED_YET;
}

/** A broadcast on the link. */
function brdInput(
  skb: SkBuff,
  inDev: InDevice,
  res: FibResult,
  saddr: number,
  tos: number,
  mayCache: boolean,
): number {
  if (skb.protocol !== ETH_P_IP) return SKB_DROP_REASON_INVALID_PROTO;
  if (!ipv4IsZeronet(saddr)) {
    const verdict = fibValidateSource(skb, saddr, 0, tos, 0, inDev.dev, inDev);
    if (verdict < 0) return -verdict;
  }
  res.type = RTN_BROADCAST;
  return localInput(skb, inDev, res, RTCF_BROADCAST, 0, mayCache);
}

/** No way: an ICMP error will tell, if this machine is a router. */
function noRoute(skb: SkBuff, inDev: InDevice, res: FibResult, err: number): number {
  res.type = RTN_UNREACHABLE;
  res.fi = null;
  res.nhc = null;
  res.table = null;
  return localInput(skb, inDev, res, 0, err, false);
}

/** @kernel ip_route_input_slow net/ipv4/route.c */
function ipRouteInputSlow(
  skb: SkBuff,
  daddr: number,
  saddr: number,
  tos: number,
  dev: NetDevice,
  inDev: InDevice,
  res: FibResult,
): number {
  const net = dev.net;
  fibResultReset(res);
  if (ipv4IsMulticast(saddr) || ipv4IsLbcast(saddr)) return SKB_DROP_REASON_IP_INVALID_SOURCE;
  if (ipv4IsLbcast(daddr) || (saddr === 0 && daddr === 0)) {
    return brdInput(skb, inDev, res, saddr, tos, true);
  }
  const bad = martian(net, inDev, daddr, saddr);
  if (bad !== SKB_NOT_DROPPED_YET) return bad;
  const fl4 = routeScratch(net).inputFlow;
  flowi4Reset(fl4);
  fl4.flowi4Iif = dev.ifindex;
  fl4.flowi4Mark = skb.mark;
  fl4.flowi4Tos = tos;
  fl4.daddr = daddr;
  fl4.saddr = saddr;
  fib4RulesEarlyFlowDissect(net, skb, fl4);
  const err = fibLookup(net, fl4, res, 0);
  const forward = inDevForward(inDev);
  if (err !== 0) return noRoute(skb, inDev, res, forward ? err : -EHOSTUNREACH);
  if (res.type === RTN_BROADCAST) {
    if (inDevBforward(inDev)) return ipMkrouteInput(skb, res, inDev, daddr, saddr, tos);
    const mayCache = ipv4DevconfAll(net, IPV4_DEVCONF_BC_FORWARDING) === 0;
    return brdInput(skb, inDev, res, saddr, tos, mayCache);
  }
  if (res.type === RTN_LOCAL) {
    const verdict = fibValidateSource(skb, saddr, daddr, tos, 0, dev, inDev);
    return verdict < 0 ? -verdict : localInput(skb, inDev, res, 0, 0, true);
  }
  if (!forward) return noRoute(skb, inDev, res, -EHOSTUNREACH);
  if (res.type !== RTN_UNICAST) return SKB_DROP_REASON_IP_INVALID_DEST;
  return ipMkrouteInput(skb, res, inDev, daddr, saddr, tos);
}

/** The same with the result in a place of the caller's. @kernel ip_route_input_rcu net/ipv4/route.c */
export function ipRouteInputRcu(
  skb: SkBuff,
  daddr: number,
  saddr: number,
  tos: number,
  dev: NetDevice,
  res: FibResult,
): number {
  const inDev = dev.ipPtr;
  if (inDev === null) return SKB_DROP_REASON_NOT_SPECIFIED;
  const dscp = tos & INET_DSCP_MASK;
  if (!ipv4IsMulticast(daddr)) return ipRouteInputSlow(skb, daddr, saddr, dscp, dev, inDev, res);
  const proto = iphdr.protocol(view, skb.networkHeader);
  const our = ipCheckMc(inDev, daddr, saddr, proto);
  if (our || (!ipv4IsLocalMulticast(daddr) && inDevMforward(inDev))) {
    return ipRouteInputMc(skb, daddr, saddr, dscp, dev, inDev, our);
  }
  return SKB_DROP_REASON_NOT_SPECIFIED;
}

/**
 * Gives an arriving packet its route, lent for the duration of the receive path. Returns
 * SKB_NOT_DROPPED_YET, or the reason to drop it.
 * @kernel ip_route_input_noref net/ipv4/route.c
 */
export function ipRouteInputNoref(
  skb: SkBuff,
  daddr: number,
  saddr: number,
  tos: number,
  dev: NetDevice,
): number {
  return ipRouteInputRcu(skb, daddr, saddr, tos, dev, routeScratch(dev.net).inputRes);
}

/** The same, with a reference that lasts. @kernel ip_route_input include/net/route.h */
export function ipRouteInput(
  skb: SkBuff,
  daddr: number,
  saddr: number,
  tos: number,
  dev: NetDevice,
): number {
  const reason = ipRouteInputNoref(skb, daddr, saddr, tos, dev);
  if (reason === SKB_NOT_DROPPED_YET) skbDstForce(skb);
  return reason;
}

// Output.

/** May the route of this flow be kept with its hop? Not one that goes by a hop of the user's own. */
function mayKeep(nhc: FibNh, fnhe: FibNhException | null, fl4: Flowi4): boolean {
  if (fnhe !== null || (fl4.flowi4Flags & FLOWI_FLAG_KNOWN_NH) === 0) return true;
  return nhc.fibNhGwFamily !== 0 && nhc.fibNhScope === RT_SCOPE_LINK;
}

/** @kernel __mkroute_output net/ipv4/route.c */
function mkrouteOutput(
  net: Net,
  res: FibResult,
  fl4: Flowi4,
  origOif: number,
  devOut: NetDevice,
  localFlags: number,
): Rtable | number {
  const inDev = devOut.ipPtr;
  const loopback = (devOut.flags & IFF_LOOPBACK) !== 0;
  if (inDev === null) return -EINVAL;
  if (!inDevRouteLocalnet(inDev) && ipv4IsLoopback(fl4.saddr) && !loopback) return -EINVAL;
  let flags = localFlags | (loopback ? RTCF_LOCAL : 0);
  let fi: FibInfo | null = res.fi;
  let { type } = res;
  let doCache = true;
  if (ipv4IsLbcast(fl4.daddr)) {
    // On the link, whatever a default route says.
    type = RTN_BROADCAST;
    fi = null;
  } else if (ipv4IsMulticast(fl4.daddr)) {
    type = RTN_MULTICAST;
  } else if (ipv4IsZeronet(fl4.daddr)) {
    return -EINVAL;
  }
  if (type === RTN_BROADCAST) {
    flags |= RTCF_BROADCAST | RTCF_LOCAL;
  } else if (type === RTN_MULTICAST) {
    flags |= RTCF_MULTICAST | RTCF_LOCAL;
    if (ipCheckMc(inDev, fl4.daddr, fl4.saddr, fl4.flowi4Proto)) doCache = false;
    else flags &= ~RTCF_LOCAL;
    // A default route is none for groups: they are on the link.
    if (fi !== null && res.prefixlen < 4) fi = null;
  } else if (type === RTN_LOCAL && origOif !== 0 && origOif !== devOut.ifindex) {
    doCache = false;
  }
  return outputRoute(net, res, fl4, origOif, devOut, inDev, flags, type, fi, doCache);
}

/** The last part of the same: from the cache, or new. */
function outputRoute(
  net: Net,
  res: FibResult,
  fl4: Flowi4,
  origOif: number,
  devOut: NetDevice,
  inDev: InDevice,
  flags: number,
  type: number,
  fi: FibInfo | null,
  mayCache: boolean,
): Rtable {
  let doCache = mayCache && fi !== null;
  let fnhe: FibNhException | null = null;
  if (fi !== null) {
    const nhc = res.nhc as FibNh;
    fnhe = findException(net, nhc, fl4.daddr);
    doCache &&= mayKeep(nhc, fnhe, fl4);
    if (doCache) {
      const rt = fnhe !== null ? fnhe.fnheRthOutput : nhc.rthOutput;
      if (rtCacheValid(rt) && dstHoldSafe(rt)) return rt;
    }
  }
  const rth = rtDstAlloc(devOut, flags, type, inDevNoxfrm(inDev));
  rth.rtIif = origOif;
  const toMany = (flags & (RTCF_BROADCAST | RTCF_MULTICAST)) !== 0;
  if (toMany && (flags & RTCF_LOCAL) !== 0 && (devOut.flags & IFF_LOOPBACK) === 0) {
    rth.output = ipv4OpsOf(net).ipMcOutput;
  }
  rtSetNexthop(rth, fl4.daddr, res, fnhe, fi, doCache);
  return rth;
}

/** Is the source address that the caller chose one that he may have? 0 or a negative errno. */
function checkOutputSource(net: Net, fl4: Flowi4): number {
  const { saddr } = fl4;
  if (ipv4IsMulticast(saddr) || ipv4IsLbcast(saddr)) return -EINVAL;
  if (fl4.flowi4Oif === 0 && (ipv4IsMulticast(fl4.daddr) || ipv4IsLbcast(fl4.daddr))) {
    // The source tells the device by which to reach everybody on its link.
    const dev = ipDevFind(net, saddr);
    if (dev === null) return -ENETUNREACH;
    fl4.flowi4Oif = dev.ifindex;
    return dev.ifindex;
  }
  const anySource = (fl4.flowi4Flags & FLOWI_FLAG_ANYSRC) !== 0;
  return anySource || ipDevFind(net, saddr) !== null ? 0 : -ENETUNREACH;
}

/** Chooses a source address when only the device is known. True: the destination is on its link. */
function bindToDevice(fl4: Flowi4, dev: NetDevice): boolean {
  const { daddr } = fl4;
  if (ipv4IsLocalMulticast(daddr) || ipv4IsLbcast(daddr) || fl4.flowi4Proto === IPPROTO_IGMP) {
    if (fl4.saddr === 0) fl4.saddr = inetSelectAddr(dev, 0, RT_SCOPE_LINK);
    return true;
  }
  if (fl4.saddr !== 0) return false;
  if (ipv4IsMulticast(daddr)) fl4.saddr = inetSelectAddr(dev, 0, fl4.flowi4Scope);
  else if (daddr === 0) fl4.saddr = inetSelectAddr(dev, 0, RT_SCOPE_HOST);
  return false;
}

/**
 * Finds the way of a packet to be sent, and fills in what the flow leaves open: source address,
 * device. The route with a reference, or a negative errno.
 * @kernel ip_route_output_key_hash_rcu net/ipv4/route.c
 */
export function ipRouteOutputKeyHashRcu(
  net: Net,
  fl4: Flowi4,
  res: FibResult,
  skb: SkBuff | null,
): Rtable | number {
  let origOif = fl4.flowi4Oif;
  let devOut: NetDevice | null = null;
  if (fl4.saddr !== 0) {
    const err = checkOutputSource(net, fl4);
    if (err < 0) return err;
    if (err > 0) {
      const dev = net.devIndexHead.get(err) as NetDevice;
      return mkrouteOutput(net, res, fl4, origOif, dev, 0);
    }
  }
  if (fl4.flowi4Oif !== 0) {
    devOut = net.devIndexHead.get(fl4.flowi4Oif) ?? null;
    if (devOut === null) return -ENODEV;
    if ((devOut.flags & IFF_UP) === 0 || devOut.ipPtr === null) return -ENETUNREACH;
    if (bindToDevice(fl4, devOut)) return mkrouteOutput(net, res, fl4, origOif, devOut, 0);
  }
  const loopback = net.loopbackDev as NetDevice;
  if (fl4.daddr === 0) {
    // To nobody means to myself.
    if (fl4.saddr === 0) fl4.saddr = INADDR_LOOPBACK;
    fl4.daddr = fl4.saddr;
    fl4.flowi4Oif = LOOPBACK_IFINDEX;
    res.type = RTN_LOCAL;
    return mkrouteOutput(net, res, fl4, origOif, loopback, RTCF_LOCAL);
  }
  const err = fibLookup(net, fl4, res, 0);
  if (err !== 0) {
    res.fi = null;
    res.table = null;
    if (devOut === null) return err;
    // The caller named the device: take the destination to be on its link.
    if (fl4.saddr === 0) fl4.saddr = inetSelectAddr(devOut, 0, RT_SCOPE_LINK);
    res.type = RTN_UNICAST;
    return mkrouteOutput(net, res, fl4, origOif, devOut, 0);
  }
  if (res.type === RTN_LOCAL) {
    const prefsrc = res.fi?.fibPrefsrc ?? 0;
    if (fl4.saddr === 0) fl4.saddr = prefsrc !== 0 ? prefsrc : fl4.daddr;
    origOif = res.nhc?.fibNhOif ?? 0;
    fl4.flowi4Oif = loopback.ifindex;
    return mkrouteOutput(net, res, fl4, origOif, loopback, RTCF_LOCAL);
  }
  fibSelectPath(net, res, fl4, skb);
  const dev = res.nhc?.fibNhDev ?? null;
  return dev === null ? -ENETUNREACH : mkrouteOutput(net, res, fl4, origOif, dev, 0);
}

/** @kernel ip_route_output_key_hash net/ipv4/route.c */
export function ipRouteOutputKeyHash(net: Net, fl4: Flowi4, skb: SkBuff | null): Rtable | number {
  const res = routeScratch(net).outputRes;
  fibResultReset(res);
  fl4.flowi4Iif = LOOPBACK_IFINDEX;
  return ipRouteOutputKeyHashRcu(net, fl4, res, skb);
}

/** @kernel __ip_route_output_key include/net/route.h */
export function __ipRouteOutputKey(net: Net, fl4: Flowi4): Rtable | number {
  return ipRouteOutputKeyHash(net, fl4, null);
}

/** The seat of IPsec: a policy may replace the route of a flow with a protocol. @kernel ip_route_output_flow net/ipv4/route.c */
export function ipRouteOutputFlow(net: Net, fl4: Flowi4, _sk: Sock | null): Rtable | number {
  return ipRouteOutputKeyHash(net, fl4, null);
}

/** @kernel ip_route_output_key include/net/route.h */
export function ipRouteOutputKey(net: Net, fl4: Flowi4): Rtable | number {
  return ipRouteOutputKeyHash(net, fl4, null);
}

/** Fills the flow and looks it up. @kernel ip_route_output_ports include/net/route.h */
export function ipRouteOutputPorts(
  net: Net,
  fl4: Flowi4,
  sk: InetSock | null,
  daddr: number,
  saddr: number,
  dport: number,
  sport: number,
  proto: number,
  tos: number,
  oif: number,
): Rtable | number {
  const flags = sk?.transparent === true ? FLOWI_FLAG_ANYSRC : 0;
  const mark = sk?.skMark ?? 0;
  const scope = sk === null ? 0 : ipSockRtScope(sk);
  const uid = sk?.skUid ?? 0;
  flowi4InitOutput(
    fl4,
    oif,
    mark,
    tos & INET_DSCP_MASK,
    scope,
    proto,
    flags,
    daddr,
    saddr,
    dport,
    sport,
    uid,
  );
  return ipRouteOutputFlow(net, fl4, sk);
}

/** @kernel ip_route_connect_init include/net/route.h */
function ipRouteConnectInit(
  fl4: Flowi4,
  dst: number,
  src: number,
  oif: number,
  protocol: number,
  sport: number,
  dport: number,
  sk: InetSock,
): void {
  flowi4InitOutput(
    fl4,
    oif,
    sk.skMark,
    ipSockRtTos(sk),
    ipSockRtScope(sk),
    protocol,
    sk.transparent ? FLOWI_FLAG_ANYSRC : 0,
    dst,
    src,
    dport,
    sport,
    sk.skUid,
  );
}

/** Route of a connection to be: chooses the source address first when it is open. @kernel ip_route_connect include/net/route.h */
export function ipRouteConnect(
  fl4: Flowi4,
  dst: number,
  src: number,
  oif: number,
  protocol: number,
  sport: number,
  dport: number,
  sk: InetSock,
): Rtable | number {
  ipRouteConnectInit(fl4, dst, src, oif, protocol, sport, dport, sk);
  if (dst === 0 || src === 0) {
    const rt = __ipRouteOutputKey(sk.net, fl4);
    if (typeof rt === 'number') return rt;
    ipRtPut(rt);
    flowi4UpdateOutput(fl4, oif, fl4.daddr, fl4.saddr);
  }
  return ipRouteOutputFlow(sk.net, fl4, sk);
}

/** The same connection with the ports that it got. Takes the route. @kernel ip_route_newports include/net/route.h */
export function ipRouteNewports(
  fl4: Flowi4,
  rt: Rtable,
  origSport: number,
  origDport: number,
  sport: number,
  dport: number,
  sk: InetSock,
): Rtable | number {
  if (sport === origSport && dport === origDport) return rt;
  fl4.fl4Dport = dport;
  fl4.fl4Sport = sport;
  ipRtPut(rt);
  flowi4UpdateOutput(fl4, sk.skcBoundDevIf, fl4.daddr, fl4.saddr);
  return ipRouteOutputFlow(sk.net, fl4, sk);
}
