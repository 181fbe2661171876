/**
 * connect() of datagram sockets. Counterpart of net/ipv4/datagram.c.
 */
import { SOCKADDR_IN_LEN, saFamily, sinAddr, sinPort } from '#include/linux/in.ts';
import { dstRelease } from '#include/net/dst.ts';
import { Flowi4 } from '#include/net/flow.ts';
import { inetSk } from '#include/net/inet_connection_sock.ts';
import { ipIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import { SOCK_BROADCAST } from '#include/net/sock.ts';
import {
  lockSock,
  releaseSock,
  skDstReset,
  skDstSet,
  skSetTxhash,
  sockFlag,
} from '#net/core/sock.ts';
import { reuseportHasConnsSet } from '#net/core/sock_reuseport.ts';
import { inetSkInitFlowi4 } from '#net/ipv4/af_inet.ts';
import { ipRouteConnect, ipRouteOutputFlow } from '#net/ipv4/route.ts';
import { EACCES, EAFNOSUPPORT, EINVAL, ENETUNREACH } from '#uapi/errno.ts';
import { ipv4IsMulticast } from '#uapi/in.ts';
import { RTCF_BROADCAST } from '#uapi/in_route.ts';
import { IPSTATS_MIB_OUTNOROUTES } from '#uapi/snmp.ts';
import { AF_INET } from '#uapi/socket.ts';
import { TCP_ESTABLISHED } from '#uapi/tcp.ts';

/**
 * Fixes the peer, the route and, unless bound, the own address. 0 or a negative errno.
 * @kernel __ip4_datagram_connect net/ipv4/datagram.c
 */
export function __ip4DatagramConnect(sk: Sock, uaddr: Uint8Array): number {
  const inet = inetSk(sk);
  if (uaddr.length < SOCKADDR_IN_LEN) return -EINVAL;
  if (saFamily(uaddr) !== AF_INET) return -EAFNOSUPPORT;
  skDstReset(sk);
  const addr = sinAddr(uaddr);
  const port = sinPort(uaddr);
  let oif = sk.skcBoundDevIf;
  let saddr = inet.inetSaddr;
  if (ipv4IsMulticast(addr)) {
    if (oif === 0) oif = inet.mcIndex;
    if (saddr === 0) saddr = inet.mcAddr;
  } else if (oif === 0) {
    oif = inet.ucIndex;
  }
  const fl4 = new Flowi4();
  const rt = ipRouteConnect(fl4, addr, saddr, oif, sk.skProtocol, inet.inetSport, port, inet);
  if (typeof rt === 'number') {
    if (rt === -ENETUNREACH) ipIncStats(sk.net, IPSTATS_MIB_OUTNOROUTES);
    return rt;
  }
  if ((rt.rtFlags & RTCF_BROADCAST) !== 0 && !sockFlag(sk, SOCK_BROADCAST)) {
    dstRelease(rt);
    return -EACCES;
  }
  inet.skcDaddr = fl4.daddr;
  inet.skcDport = port;
  if (inet.inetSaddr === 0) inet.inetSaddr = fl4.saddr;
  if (inet.skcRcvSaddr === 0) {
    inet.skcRcvSaddr = fl4.saddr;
    sk.skProt.rehash?.(sk);
  }
  reuseportHasConnsSet(sk);
  sk.skcState = TCP_ESTABLISHED;
  skSetTxhash(sk);
  inet.inetId = sk.net.machine.random.u32() & 0xffff;
  skDstSet(sk, rt);
  return 0;
}

/** @kernel ip4_datagram_connect net/ipv4/datagram.c */
export function ip4DatagramConnect(sk: Sock, uaddr: Uint8Array): number {
  lockSock(sk);
  const res = __ip4DatagramConnect(sk, uaddr);
  releaseSock(sk);
  return res;
}

/**
 * When a task lets go of the socket: a route that went stale under it, say by a path MTU message, is
 * looked up again.
 * @kernel ip4_datagram_release_cb net/ipv4/datagram.c
 */
export function ip4DatagramReleaseCb(sk: Sock): void {
  const dst = sk.skDstCache;
  if (dst === null || dst.obsolete === 0 || dst.ops.check(dst, 0) !== null) return;
  const fl4 = new Flowi4();
  inetSkInitFlowi4(inetSk(sk), fl4);
  const rt = ipRouteOutputFlow(sk.net, fl4, sk);
  skDstSet(sk, typeof rt === 'number' ? null : rt);
}
