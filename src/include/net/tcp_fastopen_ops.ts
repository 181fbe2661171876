/**
 * TCP Fast Open as the rest of TCP sees it. It is a module here; without it nothing is ever sent
 * with a SYN, its option is like one that nobody knows, and asking for it is -EOPNOTSUPP, as with
 * net.ipv4.tcp_fastopen=0.
 */
import type { Msghdr } from '#include/linux/net.ts';
import type { SkBuff, UbufInfo } from '#include/linux/skbuff.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import type { DstEntry } from '#include/net/dst.ts';
import type { RequestSock } from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import { tcpSk } from '#include/net/tcp.ts';
import type { TcpFastopenCookie, TcpFastopenRequest } from '#include/net/tcp_fastopen.ts';
import { EOPNOTSUPP } from '#uapi/errno.ts';
import { MSG_FASTOPEN } from '#uapi/socket.ts';

/** How much of a message went with the SYN. */
export interface FastopenOut {
  copied: number;
}

/** What the module tcp_fastopen provides. */
export interface TcpFastopenOps {
  listen(sk: Sock, backlog: number): void;
  activeDisable(sk: Sock): void;
  activeDisableOfoCheck(sk: Sock): void;
  activeDetectBlackhole(sk: Sock, expired: boolean): void;
  sendSynData(sk: Sock, syn: SkBuff, fo: TcpFastopenRequest): number;
  rcvSynack(sk: Sock, synack: SkBuff, cookie: TcpFastopenCookie): boolean;
  rcvSynrecvState(sk: Sock): void;
  deferConnect(sk: Sock): boolean;
  tryFastopen(
    sk: Sock,
    skb: SkBuff,
    req: RequestSock,
    foc: TcpFastopenCookie,
    dst: DstEntry,
  ): Sock | null;
  sendmsg(sk: Sock, msg: Msghdr, out: FastopenOut, uarg: UbufInfo | null): number;
  setsockopt(sk: Sock, optname: number, val: number): number;
  setKey(sk: Sock, key: Uint8Array): number;
  getKey(sk: Sock): Uint8Array;
}

function fastopenOf(sk: Sock): TcpFastopenOps | null {
  return sk.net.machine.netGlobals.tcpFastopen;
}

/** listen(): Fast Open without TCP_FASTOPEN, where the namespace wants it. @kernel __inet_listen_sk net/ipv4/af_inet.c */
export function tcpFastopenListen(sk: Sock, backlog: number): void {
  fastopenOf(sk)?.listen(sk, backlog);
}

/** Pauses Fast Open for the whole namespace. @kernel tcp_fastopen_active_disable net/ipv4/tcp_fastopen.c */
export function tcpFastopenActiveDisable(sk: Sock): void {
  fastopenOf(sk)?.activeDisable(sk);
}

/** At the end of a connection. @kernel tcp_fastopen_active_disable_ofo_check net/ipv4/tcp_fastopen.c */
export function tcpFastopenActiveDisableOfoCheck(sk: Sock): void {
  if (tcpSk(sk).synFastopen) fastopenOf(sk)?.activeDisableOfoCheck(sk);
}

/** After a timeout; `expired`: the last one. @kernel tcp_fastopen_active_detect_blackhole net/ipv4/tcp_fastopen.c */
export function tcpFastopenActiveDetectBlackhole(sk: Sock, expired: boolean): void {
  fastopenOf(sk)?.activeDetectBlackhole(sk, expired);
}

/** Sends the SYN that the request is about. 0 or a negative errno. @kernel tcp_send_syn_data net/ipv4/tcp_output.c */
export function tcpSendSynData(sk: Sock, syn: SkBuff, fo: TcpFastopenRequest): number {
  return fastopenOf(sk)?.sendSynData(sk, syn, fo) ?? -EOPNOTSUPP;
}

/** The SYN-ACK to a SYN with data. True: the data was not taken and has been sent again. @kernel tcp_rcv_fastopen_synack net/ipv4/tcp_input.c */
export function tcpRcvFastopenSynack(sk: Sock, synack: SkBuff, cookie: TcpFastopenCookie): boolean {
  return fastopenOf(sk)?.rcvSynack(sk, synack, cookie) ?? false;
}

/** The SYN-ACK of a passive Fast Open is acknowledged. @kernel tcp_rcv_synrecv_state_fastopen net/ipv4/tcp_input.c */
export function tcpRcvSynrecvStateFastopen(sk: Sock): void {
  fastopenOf(sk)?.rcvSynrecvState(sk);
}

/** True when connect() is to wait for the first data. @kernel tcp_fastopen_defer_connect net/ipv4/tcp_fastopen.c */
export function tcpFastopenDeferConnect(sk: Sock): boolean {
  return fastopenOf(sk)?.deferConnect(sk) ?? false;
}

/** The child that has taken a SYN's data, or null for the regular handshake. @kernel tcp_try_fastopen net/ipv4/tcp_fastopen.c */
export function tcpTryFastopen(
  sk: Sock,
  skb: SkBuff,
  req: RequestSock,
  foc: TcpFastopenCookie,
  dst: DstEntry,
): Sock | null {
  const ops = fastopenOf(sk);
  if (ops !== null) return ops.tryFastopen(sk, skb, req, foc, dst);
  foc.len = -1;
  return null;
}

/** A write that is the start of a connection. @kernel tcp_sendmsg_fastopen net/ipv4/tcp.c */
export function tcpSendmsgFastopen(
  sk: Sock,
  msg: Msghdr,
  out: FastopenOut,
  uarg: UbufInfo | null,
): number {
  return fastopenOf(sk)?.sendmsg(sk, msg, out, uarg) ?? -EOPNOTSUPP;
}

/** TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_NO_COOKIE. */
export function tcpFastopenSetsockopt(sk: Sock, optname: number, val: number): number {
  return fastopenOf(sk)?.setsockopt(sk, optname, val) ?? -EOPNOTSUPP;
}

/** TCP_FASTOPEN_KEY. @kernel tcp_fastopen_reset_cipher net/ipv4/tcp_fastopen.c */
export function tcpFastopenSetKey(sk: Sock, key: Uint8Array): number {
  return fastopenOf(sk)?.setKey(sk, key) ?? -EOPNOTSUPP;
}

/** The keys in force, one behind the other. @kernel tcp_fastopen_get_cipher net/ipv4/tcp_fastopen.c */
export function tcpFastopenGetKey(sk: Sock): Uint8Array {
  return fastopenOf(sk)?.getKey(sk) ?? new Uint8Array(0);
}

/** Is this write the start of a connection? */
export function tcpWantsFastopen(tp: TcpSock, flags: number): boolean {
  return (flags & MSG_FASTOPEN) !== 0 || tp.deferConnect || (tp.fastopenReq?.waiting ?? false);
}

/** What a closed socket still holds of an active Fast Open. @kernel tcp_free_fastopen_req net/ipv4/tcp.c */
export function tcpFreeFastopenReq(tp: {
  fastopenReq: TcpFastopenRequest | null;
  skWritePending: number;
}): void {
  if (tp.fastopenReq?.writeBias === true) tp.skWritePending--;
  tp.fastopenReq = null;
}
