/** UDP's sockets for inet_diag. Counterpart: net/ipv4/udp_diag.c. */

import type { InetDiagHandler, InetDiagRequest } from '#include/linux/inet_diag.ts';
import { DEVICE_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { NetlinkCallback } from '#include/net/rtnetlink.ts';
import type { SockCommon } from '#include/net/sock_common.ts';
import type { Machine } from '#kernel/machine.ts';
import { sockHold } from '#net/core/sock.ts';
import { sockDiagCheckCookie } from '#net/core/sock_diag.ts';
import { inetDiagDatagrams, inetDiagDumpSocks, inetDiagRegister } from '#net/ipv4/inet_diag.ts';
import { udpSocks } from '#net/ipv4/udp_proc.ts';
import { __udp4LibLookup } from '#net/ipv4/udp_table.ts';
import { ENOENT } from '#uapi/errno.ts';
import { IPPROTO_UDP } from '#uapi/in.ts';
import { SOCK_DESTROY } from '#uapi/sock_diag.ts';

/** @kernel udp_dump net/ipv4/udp_diag.c */
function udpDiagDump(skb: SkBuff, cb: NetlinkCallback, req: InetDiagRequest): number {
  return inetDiagDumpSocks(udpDiagHandler, udpSocks(cb.net), req.states, skb, cb, req);
}

/**
 * Who asks for one socket names its ends the wrong way round, for historical reasons; who ends it does not.
 * @kernel udp_dump_one net/ipv4/udp_diag.c
 */
function udpDiagFindOne(net: Net, req: InetDiagRequest, cmd: number): SockCommon | number {
  const { src, sport, dst, dport, ifindex } = req;
  const destroy = cmd === SOCK_DESTROY;
  const sk = destroy
    ? __udp4LibLookup(net, dst, dport, src, sport, ifindex, null)
    : __udp4LibLookup(net, src, sport, dst, dport, ifindex, null);
  if (sk === null) return -ENOENT;
  const err = sockDiagCheckCookie(sk, req.cookieLo, req.cookieHi);
  if (err !== 0) return destroy ? -ENOENT : err;
  sockHold(sk);
  return sk;
}

/** @kernel udp_diag_handler net/ipv4/udp_diag.c */
const udpDiagHandler: InetDiagHandler = inetDiagDatagrams(IPPROTO_UDP, udpDiagDump, udpDiagFindOne);

/** @kernel udp_diag_init net/ipv4/udp_diag.c */
function udpDiagInit(machine: Machine): number {
  return inetDiagRegister(machine, udpDiagHandler);
}

export const udpDiagModule: KernelModule = {
  name: 'udp_diag',
  config: 'CONFIG_INET_UDP_DIAG',
  depends: ['inet_diag'],
  level: DEVICE_INITCALL,
  init: udpDiagInit,
  exit: null,
};
