/**
 * Signed TCP as the rest of TCP sees it: the inlines of include/net/tcp.h and include/net/tcp_ao.h
 * for kernels with and without CONFIG_TCP_MD5SIG and CONFIG_TCP_AO. Without, options of signatures
 * are like any that nobody knows, and nothing is ever signed.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import type { RequestSock } from '#include/net/inet_connection_sock.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Sock } from '#include/net/sock.ts';
import type { SockCommon } from '#include/net/sock_common.ts';
import { tcpSk } from '#include/net/tcp.ts';
import { TCP_KEY_NONE, type TcpAoInfo, type TcpMd5sigKey } from '#include/net/tcp_auth.ts';
import type { TcpOutOptions } from '#include/net/tcp_out_options.ts';
import { ENOPROTOOPT } from '#uapi/errno.ts';

/** What the module tcp_auth provides. */
export interface TcpAuthOps {
  inboundHash(sk: Sock, req: RequestSock | null, skb: SkBuff): number;
  getCurrentKey(sk: Sock, opts: TcpOutOptions): void;
  transmitSkb(sk: Sock, skb: SkBuff, opts: TcpOutOptions): void;
  synackKey(sk: Sock, req: RequestSock, opts: TcpOutOptions): boolean;
  synackHash(req: RequestSock, skb: SkBuff, opts: TcpOutOptions): void;
  reqAuth(req: RequestSock, skb: SkBuff): boolean;
  syncookie(sk: Sock, skb: SkBuff, req: RequestSock): void;
  childAuthLen(sk: Sock, req: RequestSock): number;
  childKeys(sk: Sock, newtp: TcpSock, req: RequestSock): number;
  sndSneUpdate(tp: TcpSock, ao: TcpAoInfo, ack: number): void;
  rcvSneUpdate(tp: TcpSock, ao: TcpAoInfo, seq: number): void;
  connectInit(sk: Sock): void;
  checkKeys(sk: Sock): number;
  finishConnect(sk: Sock, skb: SkBuff): void;
  established(sk: Sock): void;
  destroySock(sk: Sock): void;
  twskKey(sk: Sock): TcpMd5sigKey | null;
  ignoreIcmp(sk: SockCommon, type: number, code: number): boolean;
  signReset(net: Net, sk: SockCommon | null, skb: SkBuff, iov: Uint8Array): Uint8Array | null;
  signAck(sk: SockCommon, listener: Sock | null, skb: SkBuff, iov: Uint8Array): Uint8Array | null;
  setsockopt(sk: Sock, optname: number, optval: Uint8Array): number;
  getsockopt(sk: Sock, optname: number, optval: Uint8Array): number;
}

function authOf(sk: SockCommon): TcpAuthOps | null {
  return sk.net.machine.netGlobals.tcpAuth;
}

/** Does the socket have keys? Only the module gives it any. */
function hasKeys(sk: Sock): boolean {
  const tp = tcpSk(sk);
  return tp.aoInfo !== null || tp.md5sigInfo !== null;
}

/**
 * Checks the signature of a segment, whose data is at its header; `req` when it is for a request of
 * the listener `sk`. 0 or the reason to drop it in silence.
 * @kernel tcp_inbound_hash net/ipv4/tcp.c
 */
export function tcpInboundHash(sk: Sock, req: RequestSock | null, skb: SkBuff): number {
  const auth = authOf(sk);
  return auth === null ? 0 : auth.inboundHash(sk, req, skb);
}

/** Notes in `opts` what the next segment of `sk` is signed with. @kernel tcp_get_current_key include/net/tcp.h */
export function tcpGetCurrentKey(sk: Sock, opts: TcpOutOptions): void {
  opts.keyType = TCP_KEY_NONE;
  if (hasKeys(sk)) authOf(sk)?.getCurrentKey(sk, opts);
}

/** Everything else is written: the code over it. @kernel __tcp_transmit_skb net/ipv4/tcp_output.c */
export function tcpAuthTransmitSkb(sk: Sock, skb: SkBuff, opts: TcpOutOptions): void {
  authOf(sk)?.transmitSkb(sk, skb, opts);
}

/**
 * The key for a SYN-ACK. False: the peer asked for one that is not there, and must not get an
 * unsigned answer.
 * @kernel tcp_make_synack net/ipv4/tcp_output.c
 */
export function tcpSynackKey(sk: Sock, req: RequestSock, opts: TcpOutOptions): boolean {
  opts.keyType = TCP_KEY_NONE;
  return authOf(sk)?.synackKey(sk, req, opts) ?? true;
}

/** Signs the SYN-ACK with it. @kernel tcp_ao_synack_hash net/ipv4/tcp_ao.c */
export function tcpSynackHash(req: RequestSock, skb: SkBuff, opts: TcpOutOptions): void {
  if (opts.keyType !== TCP_KEY_NONE) authOf(req)?.synackHash(req, skb, opts);
}

/** A SYN with the authentication option makes a connection with it. False: its options are malformed. @kernel tcp_conn_request net/ipv4/tcp_input.c */
export function tcpReqAuth(req: RequestSock, skb: SkBuff): boolean {
  return authOf(req)?.reqAuth(req, skb) ?? true;
}

/** The ACK of a signed cookie makes a signed connection. @kernel tcp_ao_syncookie net/ipv4/tcp_ao.c */
export function tcpAoSyncookie(sk: Sock, skb: SkBuff, req: RequestSock): void {
  authOf(sk)?.syncookie(sk, skb, req);
}

/** Octets that signatures take in each header of the child. @kernel tcp_create_openreq_child net/ipv4/tcp_minisocks.c */
export function tcpChildAuthLen(sk: Sock, req: RequestSock): number {
  return hasKeys(sk) ? (authOf(sk)?.childAuthLen(sk, req) ?? 0) : 0;
}

/** The child signs as its listener does towards the peer. 0 or a negative errno. @kernel tcp_v4_syn_recv_sock net/ipv4/tcp_ipv4.c */
export function tcpV4ChildKeys(sk: Sock, newtp: TcpSock, req: RequestSock): number {
  return hasKeys(sk) ? (authOf(sk)?.childKeys(sk, newtp, req) ?? 0) : 0;
}

/** snd_una moves to `ack`. @kernel tcp_snd_sne_update net/ipv4/tcp_input.c */
export function tcpSndSneUpdate(tp: TcpSock, ao: TcpAoInfo, ack: number): void {
  authOf(tp)?.sndSneUpdate(tp, ao, ack);
}

/** rcv_nxt moves to `seq`. @kernel tcp_rcv_sne_update net/ipv4/tcp_input.c */
export function tcpRcvSneUpdate(tp: TcpSock, ao: TcpAoInfo, seq: number): void {
  authOf(tp)?.rcvSneUpdate(tp, ao, seq);
}

/** The keys for the peer, when it is known. @kernel tcp_ao_connect_init net/ipv4/tcp_ao.c */
export function tcpAoConnectInit(sk: Sock): void {
  if (tcpSk(sk).aoInfo !== null) authOf(sk)?.connectInit(sk);
}

/** Keys of one kind only may fit the peer; 0 or -EKEYREJECTED. @kernel tcp_connect net/ipv4/tcp_output.c */
export function tcpCheckKeys(sk: Sock): number {
  return hasKeys(sk) ? (authOf(sk)?.checkKeys(sk) ?? 0) : 0;
}

/** @kernel tcp_ao_finish_connect net/ipv4/tcp_ao.c */
export function tcpAoFinishConnect(sk: Sock, skb: SkBuff): void {
  if (tcpSk(sk).aoInfo !== null) authOf(sk)?.finishConnect(sk, skb);
}

/** @kernel tcp_ao_established net/ipv4/tcp_ao.c */
export function tcpAoEstablished(sk: Sock): void {
  if (tcpSk(sk).aoInfo !== null) authOf(sk)?.established(sk);
}

/** Its keys go with the socket. @kernel tcp_ao_destroy_sock net/ipv4/tcp_ao.c @kernel tcp_clear_md5_list net/ipv4/tcp_ipv4.c */
export function tcpAuthDestroySock(sk: Sock): void {
  if (hasKeys(sk)) authOf(sk)?.destroySock(sk);
}

/** The key that TIME_WAIT goes on signing with. @kernel tcp_time_wait_init net/ipv4/tcp_minisocks.c */
export function tcpTwskKey(sk: Sock): TcpMd5sigKey | null {
  return tcpSk(sk).md5sigInfo === null ? null : (authOf(sk)?.twskKey(sk) ?? null);
}

/** Is the ICMP error about a connection that believes signed segments only? @kernel tcp_ao_ignore_icmp net/ipv4/tcp_ao.c */
export function tcpAoIgnoreIcmp(sk: SockCommon, type: number, code: number): boolean {
  return authOf(sk)?.ignoreIcmp(sk, type, code) ?? false;
}

/** The reset in `iov`, signed as the connection is; null: none may be sent. @kernel tcp_v4_send_reset net/ipv4/tcp_ipv4.c */
export function tcpSignReset(
  net: Net,
  sk: SockCommon | null,
  skb: SkBuff,
  iov: Uint8Array,
): Uint8Array | null {
  const auth = net.machine.netGlobals.tcpAuth;
  return auth === null ? iov : auth.signReset(net, sk, skb, iov);
}

/**
 * The acknowledgment in `iov` of a time-wait socket, or of a request of `listener`, signed; null:
 * none may be sent.
 * @kernel tcp_v4_send_ack net/ipv4/tcp_ipv4.c
 */
export function tcpSignAck(
  sk: SockCommon,
  listener: Sock | null,
  skb: SkBuff,
  iov: Uint8Array,
): Uint8Array | null {
  const auth = authOf(sk);
  return auth === null ? iov : auth.signAck(sk, listener, skb, iov);
}

/** TCP_MD5SIG, TCP_AO_*. */
export function tcpAuthSetsockopt(sk: Sock, optname: number, optval: Uint8Array): number {
  return authOf(sk)?.setsockopt(sk, optname, optval) ?? -ENOPROTOOPT;
}

export function tcpAuthGetsockopt(sk: Sock, optname: number, optval: Uint8Array): number {
  return authOf(sk)?.getsockopt(sk, optname, optval) ?? -ENOPROTOOPT;
}
