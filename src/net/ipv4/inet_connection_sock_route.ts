/**
 * Routes of connections and of requests. Counterpart of the route part of
 * net/ipv4/inet_connection_sock.c.
 */
import type { DstEntry } from '#include/net/dst.ts';
import { dstRelease } from '#include/net/dst.ts';
import { FLOWI_FLAG_ANYSRC, Flowi4, flowi4InitOutput } from '#include/net/flow.ts';
import { inetSk, type RequestSock } from '#include/net/inet_connection_sock.ts';
import { ipIncStats } from '#include/net/ip.ts';
import type { Rtable } from '#include/net/ip_fib.ts';
import { ipSockRtScope, ipSockRtTos } from '#include/net/route.ts';
import type { InetSock, Sock } from '#include/net/sock.ts';
import { __skDstCheck } from '#net/core/sock.ts';
import { skSetupCaps } from '#net/core/sock_clone.ts';
import { ipRouteOutputFlow } from '#net/ipv4/route.ts';
import { IPSTATS_MIB_OUTNOROUTES } from '#uapi/snmp.ts';

/** Routing flags of a socket. @kernel inet_sk_flowi_flags include/net/inet_sock.h */
export function inetSkFlowiFlags(inet: InetSock): number {
  return inet.transparent || inet.hdrincl ? FLOWI_FLAG_ANYSRC : 0;
}

/** Fills `fl4` for an answer to `req`. */
function requestFlow(sk: Sock, fl4: Flowi4, req: RequestSock, daddr: number): void {
  const inet = inetSk(sk);
  flowi4InitOutput(
    fl4,
    req.irIif,
    req.irMark,
    ipSockRtTos(inet),
    ipSockRtScope(sk),
    sk.skProtocol,
    inetSkFlowiFlags(inet),
    daddr,
    req.irLocAddr,
    req.irRmtPort,
    req.irNum,
    sk.skUid,
  );
}

/** The route, unless strict source routing forbids its gateway. */
function route(sk: Sock, fl4: Flowi4, strict: boolean): DstEntry | null {
  const rt = ipRouteOutputFlow(sk.net, fl4, sk);
  if (typeof rt === 'number') {
    ipIncStats(sk.net, IPSTATS_MIB_OUTNOROUTES);
    return null;
  }
  if (strict && rt.rtUsesGateway) {
    dstRelease(rt);
    ipIncStats(sk.net, IPSTATS_MIB_OUTNOROUTES);
    return null;
  }
  return rt;
}

/** Route back to the peer of a request, with a reference. @kernel inet_csk_route_req net/ipv4/inet_connection_sock.c */
export function inetCskRouteReq(sk: Sock, fl4: Flowi4, req: RequestSock): DstEntry | null {
  const opt = req.iropt;
  requestFlow(sk, fl4, req, opt !== null && opt.srr !== 0 ? opt.faddr : req.irRmtAddr);
  return route(sk, fl4, opt?.isStrictroute ?? false);
}

/** The same for the child that comes of it. @kernel inet_csk_route_child_sock net/ipv4/inet_connection_sock.c */
export function inetCskRouteChildSock(sk: Sock, newsk: Sock, req: RequestSock): DstEntry | null {
  const opt = req.iropt;
  const fl4 = sk.net.machine.netGlobals.childFlow;
  requestFlow(sk, fl4, req, opt !== null && opt.srr !== 0 ? opt.faddr : req.irRmtAddr);
  fl4.flowi4Mark = newsk.skMark;
  return route(sk, fl4, opt?.isStrictroute ?? false);
}

/** Looks the route of a connection up again. @kernel inet_csk_rebuild_route net/ipv4/inet_connection_sock.c */
function inetCskRebuildRoute(sk: Sock): Rtable | null {
  const inet = inetSk(sk);
  const opt = inet.inetOpt;
  const fl4 = new Flowi4();
  flowi4InitOutput(
    fl4,
    sk.skcBoundDevIf,
    sk.skMark,
    ipSockRtTos(inet),
    ipSockRtScope(sk),
    sk.skProtocol,
    inetSkFlowiFlags(inet),
    opt !== null && opt.srr !== 0 ? opt.faddr : inet.skcDaddr,
    inet.inetSaddr,
    inet.skcDport,
    inet.inetSport,
    sk.skUid,
  );
  const rt = ipRouteOutputFlow(sk.net, fl4, sk);
  if (typeof rt === 'number') return null;
  skSetupCaps(sk, rt);
  return rt;
}

/** The path takes no more than `mtu`: tells the route. The route then in use, without a reference. @kernel inet_csk_update_pmtu net/ipv4/inet_connection_sock.c */
export function inetCskUpdatePmtu(sk: Sock, mtu: number): DstEntry | null {
  const dst = __skDstCheck(sk, 0) ?? inetCskRebuildRoute(sk);
  if (dst === null) return null;
  dst.ops.updatePmtu(dst, sk, null, mtu, true);
  return __skDstCheck(sk, 0) ?? inetCskRebuildRoute(sk);
}
