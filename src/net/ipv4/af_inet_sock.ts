/**
 * The calls of programs on Internet sockets: create, bind, connect, accept, listen, shutdown, names.
 *
 * Counterpart of the upper half of net/ipv4/af_inet.c. Nothing blocks: connect answers -EINPROGRESS
 * while the handshake goes on, and a second call tells how it ended, by the rules that Linux has
 * for non-blocking sockets.
 */

import type { Msghdr, Socket } from '#include/linux/net.ts';
import { inetSk } from '#include/net/inet_connection_sock.ts';
import type { InetProtosw } from '#include/net/net_globals.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { sockRpsRecordFlow } from '#include/net/rps.ts';
import {
  type InetSock,
  SK_CAN_REUSE,
  SOCK_BINDADDR_LOCK,
  SOCK_BINDPORT_LOCK,
  SOCK_LINGER,
  type Sock,
} from '#include/net/sock.ts';
import { tcpFastopenListen } from '#include/net/tcp_fastopen_ops.ts';
import { livingCurrent } from '#kernel/sched/task.ts';
import {
  lockSock,
  releaseSock,
  skAlloc,
  skCommonRelease,
  skDstReset,
  sockError,
  sockFlag,
  sockGraft,
  sockInitData,
} from '#net/core/sock.ts';
import {
  INET_PROTOSW_ICSK,
  INET_PROTOSW_REUSE,
  inetAutobind,
  inetSendPrepare,
  inetSockDestruct,
} from '#net/ipv4/af_inet.ts';
import { inetAddrType } from '#net/ipv4/fib_frontend.ts';
import { inetCskListenStart } from '#net/ipv4/inet_connection_sock.ts';
import {
  EADDRINUSE,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  EAGAIN,
  EALREADY,
  ECONNABORTED,
  EINPROGRESS,
  EINVAL,
  EISCONN,
  ENOTCONN,
  EOPNOTSUPP,
  EPROTONOSUPPORT,
  ESOCKTNOSUPPORT,
} from '#uapi/errno.ts';
import { O_NONBLOCK } from '#uapi/fcntl.ts';
import {
  INADDR_ANY,
  IP_PMTUDISC_DONT,
  IP_PMTUDISC_WANT,
  IPPROTO_IP,
  IPPROTO_MAX,
  IPPROTO_RAW,
  sockaddrIn,
} from '#uapi/in.ts';
import { RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST } from '#uapi/rtnetlink.ts';
import {
  AF_INET,
  AF_UNSPEC,
  MSG_ERRQUEUE,
  RCV_SHUTDOWN,
  SHUTDOWN_MASK,
  SOCK_RAW,
  SOCK_STREAM,
  SS_CONNECTED,
  SS_CONNECTING,
  SS_DISCONNECTING,
  SS_UNCONNECTED,
} from '#uapi/socket.ts';
import {
  TCP_CLOSE,
  TCP_LISTEN,
  TCP_SYN_SENT,
  TCPF_CLOSE,
  TCPF_LISTEN,
  TCPF_SYN_RECV,
  TCPF_SYN_SENT,
} from '#uapi/tcp.ts';

/** sizeof(sa_family_t): less than this is no address at all. */
const SA_FAMILY_LEN = 2;

/** The socket's sock; a socket that reaches these calls has one. */
function skOf(sock: Socket): Sock {
  return sock.sk as Sock;
}

function addrView(addr: Uint8Array): DataView {
  return new DataView(addr.buffer, addr.byteOffset, addr.length);
}

function familyOf(addr: Uint8Array): number {
  return (addr[0] ?? 0) | ((addr[1] ?? 0) << 8);
}

/**
 * Finds what (type, protocol) means. A protocol of 0 takes the type's default, a wildcard entry
 * takes any protocol. Negative: -ESOCKTNOSUPPORT for a type without entries, else -EPROTONOSUPPORT.
 */
function lookupProtosw(
  list: readonly InetProtosw[],
  type: number,
  protocol: number,
): InetProtosw | number {
  let err = -ESOCKTNOSUPPORT;
  for (const answer of list) {
    if (answer.type !== type) continue;
    if (protocol === answer.protocol) {
      if (protocol !== IPPROTO_IP) return answer;
    } else if (protocol === IPPROTO_IP || answer.protocol === IPPROTO_IP) {
      return answer;
    }
    err = -EPROTONOSUPPORT;
  }
  return err;
}

function inetInitSock(inet: InetSock, sock: Socket, protocol: number): void {
  const net = inet.net;
  if (sock.type === SOCK_RAW) {
    inet.skcNum = protocol;
    inet.hdrincl = protocol === IPPROTO_RAW;
  }
  inet.pmtudisc = net.ipv4.sysctlIpNoPmtuDisc !== 0 ? IP_PMTUDISC_DONT : IP_PMTUDISC_WANT;
  sockInitData(sock, inet);
  inet.skDestruct = inetSockDestruct;
  inet.skProtocol = protocol;
  inet.skBacklogRcv = inet.skProt.backlogRcv;
}

/** Raw sockets are found by packets from the start; then the protocol's own set-up. */
function inetStart(sk: Sock): number {
  const inet = inetSk(sk);
  if (inet.skcNum !== 0) {
    inet.inetSport = inet.skcNum;
    const err = sk.skProt.hash?.(sk) ?? 0;
    if (err !== 0) return err;
  }
  return sk.skProt.init?.(sk) ?? 0;
}

/** socket(AF_INET, ...): 0 or a negative errno. @kernel inet_create net/ipv4/af_inet.c */
export function inetCreate(net: Net, sock: Socket, protocol: number, kern: boolean): number {
  if (protocol < 0 || protocol >= IPPROTO_MAX) return -EINVAL;
  sock.state = SS_UNCONNECTED;
  const answer = lookupProtosw(net.machine.netGlobals.inetsw, sock.type, protocol);
  if (typeof answer === 'number') return answer;
  sock.ops = answer.ops;
  const sk = skAlloc(net, AF_INET, answer.prot, kern);
  const inet = inetSk(sk);
  if ((answer.flags & INET_PROTOSW_REUSE) !== 0) sk.skcReuse = SK_CAN_REUSE;
  inet.isIcsk = (answer.flags & INET_PROTOSW_ICSK) !== 0;
  inetInitSock(inet, sock, protocol === IPPROTO_IP ? answer.protocol : protocol);
  const err = inetStart(sk);
  if (err !== 0) {
    skCommonRelease(sk);
    sock.sk = null;
  }
  return err;
}

/**
 * The last close. The protocol may live on: FINs, lingering data. A task that ends does not wait for them.
 * @kernel inet_release net/ipv4/af_inet.c
 */
export function inetRelease(sock: Socket): number {
  const sk = sock.sk;
  if (sk === null) return 0;
  sk.net.machine.netGlobals.ipMc?.dropSocket(sk);
  const lingers = sockFlag(sk, SOCK_LINGER) && livingCurrent(sk.net.machine) !== null;
  const timeout = lingers ? sk.skLingertime : 0;
  sk.skProt.close(sk, timeout);
  sock.sk = null;
  return 0;
}

/** @kernel inet_can_nonlocal_bind include/net/inet_sock.h */
export function inetCanNonlocalBind(net: Net, inet: InetSock): boolean {
  return net.ipv4.sysctlIpNonlocalBind !== 0 || inet.freebind || inet.transparent;
}

/** @kernel inet_addr_valid_or_nonlocal include/net/inet_sock.h */
export function inetAddrValidOrNonlocal(
  net: Net,
  inet: InetSock,
  addr: number,
  addrType: number,
): boolean {
  return (
    inetCanNonlocalBind(net, inet) ||
    addr === INADDR_ANY ||
    addrType === RTN_LOCAL ||
    addrType === RTN_MULTICAST ||
    addrType === RTN_BROADCAST
  );
}

function bindLocked(inet: InetSock, addr: number, addrType: number, snum: number): number {
  // Bound once and for all: an active or bound socket keeps its name.
  if (inet.skcState !== TCP_CLOSE || inet.skcNum !== 0) return -EINVAL;
  inet.skcRcvSaddr = addr;
  inet.inetSaddr = addrType === RTN_MULTICAST || addrType === RTN_BROADCAST ? 0 : addr;
  const getPort = inet.skProt.getPort;
  if (getPort !== null && (snum !== 0 || !inet.bindAddressNoPort)) {
    const err = getPort(inet, snum);
    if (err !== 0) {
      inet.inetSaddr = 0;
      inet.skcRcvSaddr = 0;
      return err < 0 ? err : -EADDRINUSE;
    }
  }
  if (inet.skcRcvSaddr !== 0) inet.skUserlocks |= SOCK_BINDADDR_LOCK;
  if (snum !== 0) inet.skUserlocks |= SOCK_BINDPORT_LOCK;
  inet.inetSport = inet.skcNum;
  inet.skcDaddr = 0;
  inet.skcDport = 0;
  skDstReset(inet);
  return 0;
}

/** @kernel __inet_bind net/ipv4/af_inet.c */
export function __inetBind(sk: Sock, uaddr: Uint8Array): number {
  const v = addrView(uaddr);
  const inet = inetSk(sk);
  const addr = sockaddrIn.addr(v, 0);
  const family = sockaddrIn.family(v, 0);
  // AF_UNSPEC with the wildcard address passes, for programs that never set the family.
  if (family !== AF_INET && (family !== AF_UNSPEC || addr !== INADDR_ANY)) return -EAFNOSUPPORT;
  const addrType = inetAddrType(sk.net, addr);
  if (!inetAddrValidOrNonlocal(sk.net, inet, addr, addrType)) return -EADDRNOTAVAIL;
  lockSock(sk);
  const err = bindLocked(inet, addr, addrType, sockaddrIn.port(v, 0));
  releaseSock(sk);
  return err;
}

/** @kernel inet_bind net/ipv4/af_inet.c */
export function inetBind(sock: Socket, uaddr: Uint8Array): number {
  const sk = skOf(sock);
  const bind = sk.skProt.bind;
  if (bind !== null) return bind(sk, uaddr);
  if (uaddr.length < sockaddrIn.LEN) return -EINVAL;
  return __inetBind(sk, uaddr);
}

/** connect() of a datagram socket: sets the peer, or with AF_UNSPEC forgets it. @kernel inet_dgram_connect net/ipv4/af_inet.c */
export function inetDgramConnect(sock: Socket, uaddr: Uint8Array, flags: number): number {
  const sk = skOf(sock);
  if (uaddr.length < SA_FAMILY_LEN) return -EINVAL;
  const { connect, disconnect } = sk.skProt;
  if (familyOf(uaddr) === AF_UNSPEC) return disconnect?.(sk, flags) ?? -EOPNOTSUPP;
  if (sk.skcNum === 0 && inetAutobind(sk) !== 0) return -EAGAIN;
  return connect?.(sk, uaddr) ?? -EOPNOTSUPP;
}

/** After AF_UNSPEC: the association is dissolved. */
function inetDisconnect(sock: Socket, sk: Sock, flags: number): number {
  const err = sk.skProt.disconnect?.(sk, flags) ?? -EOPNOTSUPP;
  sock.state = err !== 0 ? SS_DISCONNECTING : SS_UNCONNECTED;
  return err;
}

/** Starts the connection, or says why this state allows none; -EINPROGRESS and -EALREADY go on. */
function startConnect(sock: Socket, sk: Sock, uaddr: Uint8Array, isSendmsg: boolean): number {
  const inet = inetSk(sk);
  switch (sock.state) {
    case SS_CONNECTED:
      return -EISCONN;
    case SS_CONNECTING:
      if (inet.deferConnect) return isSendmsg ? -EINPROGRESS : -EISCONN;
      return -EALREADY;
    case SS_UNCONNECTED: {
      if (sk.skcState !== TCP_CLOSE) return -EISCONN;
      const err = sk.skProt.connect?.(sk, uaddr) ?? -EOPNOTSUPP;
      if (err < 0) return err;
      sock.state = SS_CONNECTING;
      // TCP Fast Open: the SYN goes out with the first data.
      return inet.deferConnect ? 0 : -EINPROGRESS;
    }
    default:
      return -EINVAL;
  }
}

function connectFailed(sock: Socket, sk: Sock, flags: number): number {
  const err = sockError(sk);
  sock.state = SS_UNCONNECTED;
  if ((sk.skProt.disconnect?.(sk, flags) ?? 0) !== 0) sock.state = SS_DISCONNECTING;
  return err !== 0 ? err : -ECONNABORTED;
}

/**
 * connect() of a stream socket. -EINPROGRESS when started, -EALREADY while it lasts, 0 once when
 * it has succeeded, then -EISCONN; the error once when it has failed.
 * @kernel __inet_stream_connect net/ipv4/af_inet.c
 * @deviation never waits, whatever O_NONBLOCK says.
 */
export function __inetStreamConnect(
  sock: Socket,
  uaddr: Uint8Array,
  flags: number,
  isSendmsg: boolean,
): number {
  const sk = skOf(sock);
  if (uaddr.length < SA_FAMILY_LEN) return -EINVAL;
  if (familyOf(uaddr) === AF_UNSPEC) return inetDisconnect(sock, sk, flags);
  const wasConnecting = sock.state === SS_CONNECTING;
  const err = startConnect(sock, sk, uaddr, isSendmsg);
  const goesOn = err === -EINPROGRESS || (wasConnecting && sock.state === SS_CONNECTING);
  if (!goesOn) return err;
  if (((1 << sk.skcState) & (TCPF_SYN_SENT | TCPF_SYN_RECV)) !== 0) return err;
  // The handshake is over: reset, timed out or established.
  if (sk.skcState === TCP_CLOSE) return connectFailed(sock, sk, flags);
  sock.state = SS_CONNECTED;
  return 0;
}

/** @kernel inet_stream_connect net/ipv4/af_inet.c */
export function inetStreamConnect(sock: Socket, uaddr: Uint8Array, flags: number): number {
  const sk = skOf(sock);
  lockSock(sk);
  const err = __inetStreamConnect(sock, uaddr, flags, false);
  releaseSock(sk);
  return err;
}

/** @kernel inet_accept net/ipv4/af_inet.c */
export function inetAccept(sock: Socket, newsock: Socket, flags: number): number {
  const sk1 = skOf(sock);
  const accept = sk1.skProt.accept;
  if (accept === null) return -EOPNOTSUPP;
  const sk2 = accept(sk1, flags);
  if (typeof sk2 === 'number') return sk2;
  lockSock(sk2);
  sockRpsRecordFlow(sk2);
  sockGraft(sk2, newsock);
  newsock.state = SS_CONNECTED;
  releaseSock(sk2);
  return 0;
}

/** Own name or the peer's; the length, or -ENOTCONN. @kernel inet_getname net/ipv4/af_inet.c */
export function inetGetname(sock: Socket, uaddr: Uint8Array, peer: number): number {
  const inet = inetSk(skOf(sock));
  let port = inet.inetSport;
  let addr = inet.skcRcvSaddr !== 0 ? inet.skcRcvSaddr : inet.inetSaddr;
  if (peer !== 0) {
    const unsettled = ((1 << inet.skcState) & (TCPF_CLOSE | TCPF_SYN_SENT)) !== 0 && peer === 1;
    if (inet.skcDport === 0 || unsettled) return -ENOTCONN;
    port = inet.skcDport;
    addr = inet.skcDaddr;
  }
  const v = addrView(uaddr);
  uaddr.fill(0, 0, sockaddrIn.LEN);
  sockaddrIn.setFamily(v, 0, AF_INET);
  sockaddrIn.setPort(v, 0, port);
  sockaddrIn.setAddr(v, 0, addr);
  return sockaddrIn.LEN;
}

/** @kernel inet_listen net/ipv4/af_inet.c */
export function inetListen(sock: Socket, backlog: number): number {
  const sk = skOf(sock);
  lockSock(sk);
  const err =
    sock.state !== SS_UNCONNECTED || sock.type !== SOCK_STREAM
      ? -EINVAL
      : __inetListenSk(sk, backlog);
  releaseSock(sk);
  return err;
}

/** A second listen() only changes the backlog. @kernel __inet_listen_sk net/ipv4/af_inet.c */
export function __inetListenSk(sk: Sock, backlog: number): number {
  const old = sk.skcState;
  if (((1 << old) & (TCPF_CLOSE | TCPF_LISTEN)) === 0) return -EINVAL;
  sk.skMaxAckBacklog = backlog;
  if (old === TCP_LISTEN) return 0;
  tcpFastopenListen(sk, backlog);
  return inetCskListenStart(sk);
}

function shutdownLocked(sock: Socket, sk: Sock, how: number): number {
  let err = 0;
  if (sock.state === SS_CONNECTING) {
    const early = TCPF_SYN_SENT | TCPF_SYN_RECV | TCPF_CLOSE;
    sock.state = ((1 << sk.skcState) & early) !== 0 ? SS_DISCONNECTING : SS_CONNECTED;
  }
  const dissolves =
    sk.skcState === TCP_SYN_SENT || (sk.skcState === TCP_LISTEN && (how & RCV_SHUTDOWN) !== 0);
  if (dissolves) {
    err = inetDisconnect(sock, sk, O_NONBLOCK);
  } else if (sk.skcState !== TCP_LISTEN) {
    // Also when unconnected, so that pollers see the hang-up.
    if (sk.skcState === TCP_CLOSE) err = -ENOTCONN;
    sk.skShutdown |= how;
    sk.skProt.shutdown?.(sk, how);
  }
  sk.skStateChange(sk);
  return err;
}

/** @kernel inet_shutdown net/ipv4/af_inet.c */
export function inetShutdown(sock: Socket, how: number): number {
  // SHUT_RD 0, SHUT_WR 1, SHUT_RDWR 2 become the bits RCV_SHUTDOWN, SEND_SHUTDOWN and both.
  const mask = how + 1;
  if ((mask & ~SHUTDOWN_MASK) !== 0 || mask === 0) return -EINVAL;
  const sk = skOf(sock);
  lockSock(sk);
  const err = shutdownLocked(sock, sk, mask);
  releaseSock(sk);
  return err;
}

/** @kernel inet_sendmsg net/ipv4/af_inet.c */
export function inetSendmsg(sock: Socket, msg: Msghdr, len: number): number {
  const sk = skOf(sock);
  sockRpsRecordFlow(sk);
  if (inetSendPrepare(sk) !== 0) return -EAGAIN;
  return sk.skProt.sendmsg?.(sk, msg, len) ?? -EOPNOTSUPP;
}

/** @kernel inet_recvmsg net/ipv4/af_inet.c */
export function inetRecvmsg(sock: Socket, msg: Msghdr, len: number, flags: number): number {
  const sk = skOf(sock);
  if ((flags & MSG_ERRQUEUE) === 0) sockRpsRecordFlow(sk);
  return sk.skProt.recvmsg?.(sk, msg, len, flags) ?? -EOPNOTSUPP;
}
