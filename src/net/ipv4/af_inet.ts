/**
 * The Internet family as its protocols see it: state changes, routes of connected sockets, the end
 * of a socket, the kernel's own sockets, registration of protocols.
 *
 * Counterpart of the lower half of net/ipv4/af_inet.c. The calls of programs are in
 * af_inet_sock.ts, the ops tables and inet_init() in af_inet_init.ts: split so that protocols can
 * use this file without a cycle.
 */

import { dstRelease } from '#include/net/dst.ts';
import { FLOWI_FLAG_ANYSRC, Flowi4 } from '#include/net/flow.ts';
import { inetSk } from '#include/net/inet_connection_sock.ts';
import type { Rtable } from '#include/net/ip_fib.ts';
import type { InetProtosw } from '#include/net/net_globals.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { ipSockRtScope, ipSockRtTos } from '#include/net/route.ts';
import {
  type InetSock,
  type Proto,
  SOCK_BINDADDR_LOCK,
  SOCK_DEAD,
  type Sock,
} from '#include/net/sock.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import type { Machine } from '#kernel/machine.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { __skbQueuePurge } from '#net/core/skbuff.ts';
import {
  __skDstCheck,
  lockSock,
  releaseSock,
  skAlloc,
  skCommonRelease,
  sockFlag,
  sockInitData,
} from '#net/core/sock.ts';
import { skSetupCaps } from '#net/core/sock_clone.ts';
import { skMemReclaimFinal } from '#net/core/sock_mem.ts';
import { ipRouteOutputFlow } from '#net/ipv4/route.ts';
import { EAGAIN, EPERM } from '#uapi/errno.ts';
import { AF_INET, SOCK_RAW, SOCK_STREAM } from '#uapi/socket.ts';
import { TCP_CLOSE, TCP_SYN_SENT } from '#uapi/tcp.ts';

// Flags of an inet_protosw: ports may be reused at once; nobody may replace it; it is an icsk.
export const INET_PROTOSW_REUSE = 0x01;
export const INET_PROTOSW_PERMANENT = 0x02;
export const INET_PROTOSW_ICSK = 0x04;

/** Changes the state and tells tracers. @kernel inet_sk_set_state net/ipv4/af_inet.c */
export function inetSkSetState(sk: Sock, state: number): void {
  if (tracepointKey.enabled)
    sk.net.machine.trace.sock.inetSockSetState.probe?.(sk, sk.skcState, state);
  sk.skcState = state;
}

/** @kernel inet_sk_state_store net/ipv4/af_inet.c */
export function inetSkStateStore(sk: Sock, state: number): void {
  inetSkSetState(sk, state);
}

/** Destructor of every IPv4 socket: empties queues, drops routes. @kernel inet_sock_destruct net/ipv4/af_inet.c */
export function inetSockDestruct(sk: Sock): void {
  __skbQueuePurge(sk.skReceiveQueue);
  if (!sk.skErrorQueueEmpty) __skbQueuePurge(sk.skErrorQueue);
  skMemReclaimFinal(sk);
  if (DEBUG && sk.skType === SOCK_STREAM && sk.skcState !== TCP_CLOSE) {
    throw new KernelBug('inet-destruct', `TCP socket released in state ${sk.skcState}`);
  }
  if (DEBUG && !sockFlag(sk, SOCK_DEAD)) {
    throw new KernelBug('inet-destruct', `${sk.skProt.name} socket released while alive`);
  }
  if (DEBUG && sk.skForwardAlloc !== 0) {
    throw new KernelBug('inet-destruct', `forward_alloc ${sk.skForwardAlloc} at the end`);
  }
  inetSk(sk).inetOpt = null;
  const dst = sk.skDstCache;
  if (dst !== null) {
    sk.skDstCache = null;
    dstRelease(dst);
  }
  const rxDst = sk.skRxDst;
  if (rxDst !== null) {
    sk.skRxDst = null;
    dstRelease(rxDst);
  }
}

/** Gives the socket a port if it has none: 0 or -EAGAIN when all are taken. @kernel inet_autobind net/ipv4/af_inet.c */
export function inetAutobind(sk: Sock): number {
  const inet = inetSk(sk);
  lockSock(sk);
  if (sk.skcNum === 0) {
    const getPort = sk.skProt.getPort;
    if (getPort === null || getPort(sk, 0) !== 0) {
      releaseSock(sk);
      return -EAGAIN;
    }
    inet.inetSport = sk.skcNum;
  }
  releaseSock(sk);
  return 0;
}

/** Before the first send: a port. @kernel inet_send_prepare net/ipv4/af_inet.c */
export function inetSendPrepare(sk: Sock): number {
  if (sk.skcNum === 0 && !sk.skProt.noAutobind && inetAutobind(sk) !== 0) return -EAGAIN;
  return 0;
}

/** Where a connected socket's packets first go: the first hop of a source route, or the peer. */
function firstHop(inet: InetSock): number {
  const opt = inet.inetOpt;
  return opt !== null && opt.srr !== 0 ? opt.faddr : inet.skcDaddr;
}

/** Fills the flow of a connected socket. @kernel inet_sk_init_flowi4 include/net/route.h */
export function inetSkInitFlowi4(inet: InetSock, fl4: Flowi4): void {
  fl4.flowi4Oif = inet.skcBoundDevIf;
  fl4.flowi4Mark = inet.skMark;
  fl4.flowi4Tos = ipSockRtTos(inet);
  fl4.flowi4Scope = ipSockRtScope(inet);
  fl4.flowi4Proto = inet.skProtocol;
  fl4.flowi4Uid = inet.skUid;
  fl4.flowi4Flags = inet.transparent || inet.hdrincl ? FLOWI_FLAG_ANYSRC : 0;
  fl4.daddr = firstHop(inet);
  fl4.saddr = inet.inetSaddr;
  fl4.fl4Dport = inet.skcDport;
  fl4.fl4Sport = inet.inetSport;
}

/** The address of a dialling socket changed: a new source before the handshake is done. @kernel inet_sk_reselect_saddr net/ipv4/af_inet.c */
function inetSkReselectSaddr(sk: Sock): number {
  const inet = inetSk(sk);
  const fl4 = new Flowi4();
  inetSkInitFlowi4(inet, fl4);
  fl4.saddr = 0;
  const rt = ipRouteOutputFlow(sk.net, fl4, sk);
  if (typeof rt === 'number') return rt;
  const newSaddr = fl4.saddr;
  skSetupCaps(sk, rt);
  if (newSaddr === inet.inetSaddr) return 0;
  inet.inetSaddr = newSaddr;
  inet.skcRcvSaddr = newSaddr;
  sk.skProt.rehash?.(sk);
  return 0;
}

/**
 * Makes sure that the socket has a valid route: 0 or a negative errno.
 * @kernel inet_sk_rebuild_header net/ipv4/af_inet.c
 */
export function inetSkRebuildHeader(sk: Sock): number {
  const inet = inetSk(sk);
  if ((__skDstCheck(sk, 0) as Rtable | null) !== null) return 0;
  const fl4 = new Flowi4();
  inetSkInitFlowi4(inet, fl4);
  const rt = ipRouteOutputFlow(sk.net, fl4, sk);
  if (typeof rt !== 'number') {
    skSetupCaps(sk, rt);
    return 0;
  }
  sk.skRouteCaps = 0;
  // With ip_dynaddr a dialling socket may follow its interface's new address.
  const may =
    sk.net.ipv4.sysctlIpDynaddr !== 0 &&
    sk.skcState === TCP_SYN_SENT &&
    (sk.skUserlocks & SOCK_BINDADDR_LOCK) === 0;
  const err = may ? inetSkReselectSaddr(sk) : rt;
  if (err !== 0) sk.skErrSoft = -err;
  return err;
}

/**
 * A socket of the kernel itself, unhashed so that no packet is delivered to it.
 * @kernel inet_ctl_sock_create net/ipv4/af_inet.c
 */
export function inetCtlSockCreate(net: Net, prot: Proto, type: number, protocol: number): Sock {
  const sk = skAlloc(net, AF_INET, prot, true);
  const inet = inetSk(sk);
  sockInitData(null, sk);
  sk.skType = type;
  sk.skProtocol = protocol;
  sk.skDestruct = inetSockDestruct;
  sk.skBacklogRcv = prot.backlogRcv;
  if (type === SOCK_RAW) sk.skcNum = protocol;
  inet.pmtudisc = net.ipv4.sysctlIpNoPmtuDisc !== 0 ? 0 : 1;
  const err = prot.init === null ? 0 : prot.init(sk);
  if (err !== 0) throw new KernelBug('inet-ctl-sock', `${prot.name}: ${err}`);
  return sk;
}

/** @kernel inet_ctl_sock_destroy include/net/inet_common.h */
export function inetCtlSockDestroy(sk: Sock | null): void {
  if (sk !== null) skCommonRelease(sk);
}

/**
 * Registers what socket(AF_INET, type, protocol) makes, behind the permanent entries of its type
 * and before the others. -EPERM: a permanent entry answers for that protocol.
 * @kernel inet_register_protosw net/ipv4/af_inet.c
 */
export function inetRegisterProtosw(machine: Machine, p: InetProtosw): number {
  const list = machine.netGlobals.inetsw;
  let at = 0;
  for (const [i, q] of list.entries()) {
    if (q.type !== p.type || (q.flags & INET_PROTOSW_PERMANENT) === 0) continue;
    if (q.protocol === p.protocol) return -EPERM;
    at = i + 1;
  }
  list.splice(at, 0, p);
  return 0;
}

/** @kernel inet_unregister_protosw net/ipv4/af_inet.c */
export function inetUnregisterProtosw(machine: Machine, p: InetProtosw): void {
  const list = machine.netGlobals.inetsw;
  const at = list.indexOf(p);
  if (at >= 0) list.splice(at, 1);
}

/**
 * Milliseconds since midnight UTC, as ICMP and IP timestamps want them.
 * @kernel inet_current_timestamp net/ipv4/af_inet.c
 */
export function inetCurrentTimestamp(net: Net): number {
  const { machine } = net;
  const sec = machine.bootEpochSec + Math.floor(machine.nowNs / 1e9);
  const msec = Math.floor((machine.nowNs % 1e9) / 1e6);
  return (sec % 86400) * 1000 + msec;
}
