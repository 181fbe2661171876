/**
 * What ICMP teaches routes: smaller path MTUs, better gateways.
 *
 * Counterpart of ip_rt_update_pmtu, ip_do_redirect and their users of net/ipv4/route.c. RFC 1191,
 * RFC 1122#3.2.2.2.
 */
import type { InDevice } from '#include/linux/inetdevice.ts';
import {
  inDevRxRedirects,
  inDevSecRedirects,
  inDevSharedMedia,
} from '#include/linux/inetdevice.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { DST_OBSOLETE_KILL, dstCheck, dstMtu, dstRelease } from '#include/net/dst.ts';
import { FLOWI_FLAG_ANYSRC, Flowi4, flowi4InitOutput } from '#include/net/flow.ts';
import { ipMtuLocked, ipSkAcceptPmtu } from '#include/net/ip.ts';
import { type FibNh, FibResult, fibInfoNumPath, type Rtable } from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { NETEVENT_NEIGH_UPDATE } from '#include/net/netevent.ts';
import { INET_DSCP_MASK, ipSockRtScope, ipSockRtTos } from '#include/net/route.ts';
import type { InetSock } from '#include/net/sock.ts';
import { timeBefore } from '#kernel/time/jiffies.ts';
import { view } from '#mm/memory.ts';
import { __neighLookup } from '#net/core/neighbour.ts';
import { neighRelease } from '#net/core/neighbour_destroy.ts';
import { neighEventSend } from '#net/core/neighbour_nud.ts';
import { skDstGet, skDstSet } from '#net/core/sock.ts';
import { inetAddrOnlink } from '#net/ipv4/devinet.ts';
import { inetAddrType } from '#net/ipv4/fib_frontend.ts';
import { fibLookup } from '#net/ipv4/fib_frontend_table.ts';
import { ipFibCheckDefault } from '#net/ipv4/fib_semantics.ts';
import { fibSelectPath } from '#net/ipv4/fib_semantics_select.ts';
import { __ipRouteOutputKey, ipRouteOutputFlow, ipRtPut } from '#net/ipv4/route.ts';
import { updateOrCreateFnhe } from '#net/ipv4/route_cache.ts';
import { icmphdr } from '#uapi/icmp.ts';
import { IPPROTO_RAW, ipv4IsLbcast, ipv4IsMulticast, ipv4IsZeronet } from '#uapi/in.ts';
import { iphdr } from '#uapi/ip.ts';
import { NUD_VALID } from '#uapi/neighbour.ts';
import { RTN_UNICAST } from '#uapi/rtnetlink.ts';
import { AF_INET } from '#uapi/socket.ts';

/** The flow of the packet whose header is at `iph`, by the socket's wishes if there is one. @kernel __build_flow_key net/ipv4/route.c */
function buildFlowKey(
  fl4: Flowi4,
  sk: InetSock | null,
  iph: number,
  oif: number,
  tos: number,
  prot: number,
  mark: number,
): void {
  flowi4InitOutput(
    fl4,
    sk === null ? oif : sk.skcBoundDevIf,
    sk === null ? mark : sk.skMark,
    sk === null ? tos & INET_DSCP_MASK : ipSockRtTos(sk),
    sk === null ? 0 : ipSockRtScope(sk),
    sk === null ? prot : protocolOf(sk),
    0,
    iphdr.daddr(view, iph),
    iphdr.saddr(view, iph),
    0,
    0,
    sk === null ? 0 : sk.skUid,
  );
}

function protocolOf(sk: InetSock): number {
  return sk.hdrincl ? IPPROTO_RAW : sk.skProtocol;
}

/** @kernel build_skb_flow_key net/ipv4/route.c */
function buildSkbFlowKey(fl4: Flowi4, skb: SkBuff, sk: InetSock | null): void {
  const iph = skb.networkHeader;
  const tos = iphdr.tos(view, iph);
  buildFlowKey(fl4, sk, iph, skb.dev?.ifindex ?? 0, tos, iphdr.protocol(view, iph), skb.mark);
}

/** @kernel build_sk_flow_key net/ipv4/route.c */
function buildSkFlowKey(fl4: Flowi4, sk: InetSock): void {
  const opt = sk.inetOpt;
  const daddr = opt !== null && opt.srr !== 0 ? opt.faddr : sk.skcDaddr;
  flowi4InitOutput(
    fl4,
    sk.skcBoundDevIf,
    sk.skMark,
    ipSockRtTos(sk),
    ipSockRtScope(sk),
    protocolOf(sk),
    sk.transparent ? FLOWI_FLAG_ANYSRC : 0,
    daddr,
    sk.inetSaddr,
    0,
    0,
    sk.skUid,
  );
}

/** Every hop of the route learns, since the hash may choose any. */
function learnPmtu(net: Net, res: FibResult, daddr: number, mtu: number, lock: boolean): void {
  const fi = res.fi;
  if (fi === null) return;
  const expires = (net.machine.jiffies + net.ipv4.sysctlMtuExpires) | 0;
  if (fibInfoNumPath(fi) > 1) {
    for (const nh of fi.fibNh) updateOrCreateFnhe(net, nh, daddr, 0, mtu, lock, expires);
  } else {
    updateOrCreateFnhe(net, res.nhc as FibNh, daddr, 0, mtu, lock, expires);
  }
}

/** A smaller path MTU for the flow's destination; it never grows by what others say. @kernel __ip_rt_update_pmtu net/ipv4/route.c */
function __ipRtUpdatePmtu(rt: Rtable, fl4: Flowi4, newMtu: number): void {
  if (ipMtuLocked(rt)) return;
  const net = rt.net;
  const oldMtu = dstMtu(rt);
  if (oldMtu < newMtu) return;
  const min = net.ipv4.sysctlMinPmtu;
  // Below the least that we believe: send what needs no fragmentation up to that, and no DF.
  const lock = newMtu < min;
  const mtu = lock ? Math.min(oldMtu, min) : newMtu;
  const half = Math.floor(net.ipv4.sysctlMtuExpires / 2);
  if (rt.rtPmtu === mtu && !lock && timeBefore(net.machine.jiffies, (rt.expires - half) | 0)) {
    return;
  }
  const res = new FibResult();
  if (fibLookup(net, fl4, res, 0) !== 0) return;
  fibSelectPath(net, res, fl4, null);
  learnPmtu(net, res, fl4.daddr, mtu, lock);
}

/** dst_ops.update_pmtu. @kernel ip_rt_update_pmtu net/ipv4/route.c */
export function ipRtUpdatePmtu(
  rt: Rtable,
  sk: InetSock | null,
  skb: SkBuff | null,
  mtu: number,
): void {
  const fl4 = new Flowi4();
  if (skb !== null) buildSkbFlowKey(fl4, skb, sk);
  else if (sk !== null) buildSkFlowKey(fl4, sk);
  else return;
  __ipRtUpdatePmtu(rt, fl4, mtu);
}

/** An ICMP error without a socket: `skb.data` is at the header of the packet it is about. @kernel ipv4_update_pmtu net/ipv4/route.c */
export function ipv4UpdatePmtu(
  skb: SkBuff,
  net: Net,
  mtu: number,
  oif: number,
  protocol: number,
): void {
  const fl4 = new Flowi4();
  const mark = net.ipv4.sysctlFwmarkReflect !== 0 ? skb.mark : 0;
  buildFlowKey(fl4, null, skb.data, oif, iphdr.tos(view, skb.data), protocol, mark);
  const rt = __ipRouteOutputKey(net, fl4);
  if (typeof rt === 'number') return;
  __ipRtUpdatePmtu(rt, fl4, mtu);
  ipRtPut(rt);
}

/** @kernel __ipv4_sk_update_pmtu net/ipv4/route.c */
function __ipv4SkUpdatePmtu(skb: SkBuff, sk: InetSock, mtu: number): void {
  const fl4 = new Flowi4();
  buildFlowKey(fl4, sk, skb.data, 0, 0, 0, 0);
  const rt = __ipRouteOutputKey(sk.net, fl4);
  if (typeof rt === 'number') return;
  __ipRtUpdatePmtu(rt, fl4, mtu);
  ipRtPut(rt);
}

/** The same about a packet of this socket, whose cached route follows. @kernel ipv4_sk_update_pmtu net/ipv4/route.c */
export function ipv4SkUpdatePmtu(skb: SkBuff, sk: InetSock, mtu: number): void {
  if (!ipSkAcceptPmtu(sk)) return;
  const odst = skDstGet(sk) as Rtable | null;
  if (sk.skLockOwned || odst === null) {
    __ipv4SkUpdatePmtu(skb, sk, mtu);
    dstRelease(odst);
    return;
  }
  const fl4 = new Flowi4();
  buildFlowKey(fl4, sk, skb.data, 0, 0, 0, 0);
  let rt = odst;
  let fresh: Rtable | null = null;
  if (dstCheck(odst, 0) === null) {
    const found = ipRouteOutputFlow(sk.net, fl4, sk);
    if (typeof found === 'number') {
      dstRelease(odst);
      return;
    }
    fresh = found;
    rt = found;
  }
  __ipRtUpdatePmtu(rt, fl4, mtu);
  if (dstCheck(rt, 0) === null) {
    dstRelease(fresh);
    const found = ipRouteOutputFlow(sk.net, fl4, sk);
    fresh = typeof found === 'number' ? null : found;
  }
  if (fresh !== null) skDstSet(sk, fresh);
  dstRelease(odst);
}

/** May this router be believed to know that one? */
function believable(net: Net, inDev: InDevice, newGw: number, oldGw: number): boolean {
  if (newGw === oldGw || !inDevRxRedirects(inDev)) return false;
  if (ipv4IsMulticast(newGw) || ipv4IsLbcast(newGw) || ipv4IsZeronet(newGw)) return false;
  if (inDevSharedMedia(inDev)) return inetAddrType(net, newGw) === RTN_UNICAST;
  if (!inetAddrOnlink(inDev, newGw, oldGw)) return false;
  return !inDevSecRedirects(inDev) || ipFibCheckDefault(net, newGw, inDev.dev.ifindex) === 0;
}

/** @kernel __ip_do_redirect net/ipv4/route.c */
function __ipDoRedirect(rt: Rtable, skb: SkBuff, fl4: Flowi4, killRoute: boolean): void {
  const newGw = icmphdr.gateway(view, skb.transportHeader);
  const oldGw = iphdr.saddr(view, skb.networkHeader);
  const dev = skb.dev as NetDevice;
  const inDev = dev.ipPtr;
  const net = dev.net;
  if ((icmphdr.code(view, skb.transportHeader) & 7) > 3) return;
  // Only the router in use may name a better one.
  if (rt.rtGwFamily !== AF_INET || rt.rtGw4 !== oldGw) return;
  if (inDev === null || !believable(net, inDev, newGw, oldGw)) return;
  const tbl = net.machine.netGlobals.arpTbl;
  const n = tbl === null ? null : __neighLookup(tbl, newGw, rt.dev as NetDevice, true);
  if (n === null) return;
  if ((n.nudState & NUD_VALID) === 0) {
    neighEventSend(n, null);
  } else {
    const res = new FibResult();
    if (fibLookup(net, fl4, res, 0) === 0) {
      fibSelectPath(net, res, fl4, skb);
      const expires = (net.machine.jiffies + net.ipv4.sysctlRtGcTimeout) | 0;
      updateOrCreateFnhe(net, res.nhc as FibNh, fl4.daddr, newGw, 0, false, expires);
    }
    if (killRoute) rt.obsolete = DST_OBSOLETE_KILL;
    net.machine.netGlobals.neteventChain.call(NETEVENT_NEIGH_UPDATE, n);
  }
  neighRelease(n);
}

/** dst_ops.redirect: `skb.data` is at the header of the packet that the redirect is about. @kernel ip_do_redirect net/ipv4/route.c */
export function ipDoRedirect(rt: Rtable, sk: InetSock | null, skb: SkBuff): void {
  const fl4 = new Flowi4();
  const iph = skb.data;
  const tos = iphdr.tos(view, iph);
  buildFlowKey(fl4, sk, iph, skb.dev?.ifindex ?? 0, tos, iphdr.protocol(view, iph), skb.mark);
  __ipDoRedirect(rt, skb, fl4, true);
}

/** @kernel ipv4_redirect net/ipv4/route.c */
export function ipv4Redirect(skb: SkBuff, net: Net, oif: number, protocol: number): void {
  const fl4 = new Flowi4();
  buildFlowKey(fl4, null, skb.data, oif, iphdr.tos(view, skb.data), protocol, 0);
  const rt = __ipRouteOutputKey(net, fl4);
  if (typeof rt === 'number') return;
  __ipDoRedirect(rt, skb, fl4, false);
  ipRtPut(rt);
}

/** @kernel ipv4_sk_redirect net/ipv4/route.c */
export function ipv4SkRedirect(skb: SkBuff, sk: InetSock): void {
  const fl4 = new Flowi4();
  buildFlowKey(fl4, sk, skb.data, 0, 0, 0, 0);
  const rt = __ipRouteOutputKey(sk.net, fl4);
  if (typeof rt === 'number') return;
  __ipDoRedirect(rt, skb, fl4, false);
  ipRtPut(rt);
}
