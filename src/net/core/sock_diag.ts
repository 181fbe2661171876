/**
 * NETLINK_SOCK_DIAG: listing sockets, ending them, and telling of those that end. What `ss` speaks.
 *
 * Counterpart: net/core/sock_diag.c. Families register their handlers here.
 */
import { DEVICE_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { SockDiagHandler } from '#include/linux/sock_diag.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { NetlinkSock } from '#include/net/netlink_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import { SOCK_KIND_FULL, type SockCommon } from '#include/net/sock_common.ts';
import type { Machine } from '#kernel/machine.ts';
import { hostView } from '#mm/memory.ts';
import { registerPernetSubsys } from '#net/core/net_namespace.ts';
import { kfreeSkb } from '#net/core/skbuff.ts';
import { skGetMeminfo, sockGenCookie } from '#net/core/sock_options_get.ts';
import {
  netlinkBroadcast,
  netlinkHasListeners,
  netlinkKernelCreate,
  netlinkKernelRelease,
  netlinkRcvSkb,
  netlinkRequester,
} from '#net/netlink/af_netlink.ts';
import { nlaReserve, nlmsgNew, nlmsgType } from '#net/netlink/nlattr.ts';
import { EBUSY, EINVAL, ENOENT, EOPNOTSUPP, ESTALE } from '#uapi/errno.ts';
import { IPPROTO_TCP, IPPROTO_UDP } from '#uapi/in.ts';
import { INET_DIAG_NOCOOKIE, inetDiagMsg } from '#uapi/inet_diag.ts';
import { SKB_DROP_REASON_NOT_SPECIFIED } from '#uapi/net_dropreason.ts';
import { NETLINK_SOCK_DIAG, NLMSG_HDRLEN } from '#uapi/netlink.ts';
import {
  SK_MEMINFO_VARS,
  SKNLGRP_INET_TCP_DESTROY,
  SKNLGRP_INET_UDP_DESTROY,
  SKNLGRP_NONE,
  SOCK_DESTROY,
  SOCK_DIAG_BY_FAMILY,
  sockDiagReq,
} from '#uapi/sock_diag.ts';
import { AF_INET, AF_MAX } from '#uapi/socket.ts';

/** 0, or -EBUSY: the family has one. @kernel sock_diag_register net/core/sock_diag.c */
export function sockDiagRegister(machine: Machine, handler: SockDiagHandler): number {
  const handlers = machine.netGlobals.sockDiagHandlers;
  if (handlers.has(handler.family)) return -EBUSY;
  handlers.set(handler.family, handler);
  return 0;
}

/** A number by which programs know a socket again. @kernel sock_diag_save_cookie net/core/sock_diag.c */
export function sockDiagSaveCookie(sk: SockCommon): number {
  if (sk.kind === SOCK_KIND_FULL) return sockGenCookie(sk as Sock);
  // Requests and time-wait sockets are many, and few of them are ever asked.
  const globals = sk.net.machine.netGlobals;
  let cookie = globals.sockCookies.get(sk);
  if (cookie === undefined) {
    cookie = globals.sockCookieNext++;
    globals.sockCookies.set(sk, cookie);
  }
  return cookie;
}

/** 0 when the cookie is the socket's or any, else -ESTALE. @kernel sock_diag_check_cookie net/core/sock_diag.c */
export function sockDiagCheckCookie(sk: SockCommon, lo: number, hi: number): number {
  if (lo === INET_DIAG_NOCOOKIE && hi === INET_DIAG_NOCOOKIE) return 0;
  return sockDiagSaveCookie(sk) === hi * 0x100000000 + lo ? 0 : -ESTALE;
}

/** What a socket holds of memory: *_DIAG_SKMEMINFO. 0 or -EMSGSIZE. @kernel sock_diag_put_meminfo net/core/sock_diag.c */
export function sockDiagPutMeminfo(sk: Sock, skb: SkBuff, attrtype: number): number {
  const at = nlaReserve(skb, attrtype, 4 * SK_MEMINFO_VARS);
  if (at < 0) return at;
  const words = new Uint32Array(SK_MEMINFO_VARS);
  skGetMeminfo(sk, words);
  for (const [i, word] of words.entries()) hostView.setUint32(at + 4 * i, word, true);
  return 0;
}

/** Ends a socket as an administrator wants it: 0 or a negative errno. @kernel sock_diag_destroy net/core/sock_diag.c */
export function sockDiagDestroy(sk: Sock, err: number): number {
  const { diagDestroy } = sk.skProt;
  return diagDestroy === null ? -EOPNOTSUPP : diagDestroy(sk, err);
}

/** @kernel __sock_diag_cmd net/core/sock_diag.c */
function sockDiagCmd(skb: SkBuff, msg: Uint8Array, type: number): number {
  if (msg.length < NLMSG_HDRLEN + sockDiagReq.LEN) return -EINVAL;
  const family = msg[NLMSG_HDRLEN] as number;
  if (family >= AF_MAX) return -EINVAL;
  const handler = netlinkRequester(skb).net.machine.netGlobals.sockDiagHandlers.get(family);
  if (handler === undefined) return -ENOENT;
  if (type === SOCK_DIAG_BY_FAMILY) return handler.dump(skb, msg);
  return handler.destroy === null ? -EOPNOTSUPP : handler.destroy(skb, msg);
}

/** @kernel sock_diag_rcv_msg net/core/sock_diag.c */
function sockDiagRcvMsg(skb: SkBuff, msg: Uint8Array): number {
  const type = nlmsgType(msg);
  return type === SOCK_DIAG_BY_FAMILY || type === SOCK_DESTROY
    ? sockDiagCmd(skb, msg, type)
    : -EINVAL;
}

/** The group that hears of a socket's end. @kernel sock_diag_destroy_group include/linux/sock_diag.h */
function sockDiagDestroyGroup(sk: Sock): number {
  if (sk.skcFamily !== AF_INET) return SKNLGRP_NONE;
  if (sk.skProtocol === IPPROTO_TCP) return SKNLGRP_INET_TCP_DESTROY;
  return sk.skProtocol === IPPROTO_UDP ? SKNLGRP_INET_UDP_DESTROY : SKNLGRP_NONE;
}

/**
 * Tells those who want to know that a user's socket ends.
 * @kernel sock_diag_broadcast_destroy net/core/sock_diag.c
 */
function sockDiagBroadcastDestroy(sk: Sock): void {
  const group = sockDiagDestroyGroup(sk);
  if (group === SKNLGRP_NONE || !netlinkHasListeners(sk.net, NETLINK_SOCK_DIAG, group)) return;
  const { machine } = sk.net;
  const handler = machine.netGlobals.sockDiagHandlers.get(sk.skcFamily);
  // Room for the message, the protocol's number and the largest of infos.
  const skb = nlmsgNew(machine, inetDiagMsg.LEN + 1024);
  if (skb === null) return;
  if (handler === undefined || handler.getInfo === null || handler.getInfo(skb, sk) < 0) {
    kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, 'sock_diag_broadcast_destroy_work');
    return;
  }
  netlinkBroadcast(sk.net, NETLINK_SOCK_DIAG, skb, 0, group);
}

/** @kernel diag_net_init net/core/sock_diag.c */
function diagNetInit(net: Net): number {
  net.diagNlsk = netlinkKernelCreate(net, NETLINK_SOCK_DIAG, (skb) =>
    netlinkRcvSkb(skb, sockDiagRcvMsg),
  );
  return 0;
}

/** @kernel diag_net_exit net/core/sock_diag.c */
function diagNetExit(net: Net): void {
  if (net.diagNlsk === null) return;
  netlinkKernelRelease(net.diagNlsk as NetlinkSock);
  net.diagNlsk = null;
}

/** @kernel sock_diag_init net/core/sock_diag.c */
function sockDiagInit(machine: Machine): number {
  machine.netGlobals.sockDiagBroadcastDestroy = sockDiagBroadcastDestroy;
  return registerPernetSubsys(machine, {
    name: 'sock_diag',
    init: diagNetInit,
    exit: diagNetExit,
  });
}

export const sockDiagModule: KernelModule = {
  name: 'sock_diag',
  config: null,
  depends: ['netlink'],
  level: DEVICE_INITCALL,
  init: sockDiagInit,
  exit: null,
};
