/** Raw sockets for inet_diag. Counterpart: net/ipv4/raw_diag.c. */

import type { InetDiagHandler, InetDiagRequest } from '#include/linux/inet_diag.ts';
import { DEVICE_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { NetlinkCallback } from '#include/net/rtnetlink.ts';
import type { SockCommon } from '#include/net/sock_common.ts';
import type { Machine } from '#kernel/machine.ts';
import { sockHold } from '#net/core/sock.ts';
import { inetDiagDatagrams, inetDiagDumpSocks, inetDiagRegister } from '#net/ipv4/inet_diag.ts';
import { rawV4Match } from '#net/ipv4/raw.ts';
import { ENOENT } from '#uapi/errno.ts';
import { IPPROTO_RAW } from '#uapi/in.ts';

/** Raw sockets have no states worth asking for. */
const ANY_STATE = -1;

/** @kernel raw_diag_dump net/ipv4/raw_diag.c */
function rawDiagDump(skb: SkBuff, cb: NetlinkCallback, req: InetDiagRequest): number {
  return inetDiagDumpSocks(rawDiagHandler, cb.net.ipv4.rawHash, ANY_STATE, skb, cb, req);
}

/** Nobody asks for a cookie. @kernel raw_sock_get net/ipv4/raw_diag.c */
function rawDiagFindOne(net: Net, req: InetDiagRequest): SockCommon | number {
  const { rawProtocol, src, dst, ifindex } = req;
  const sk = net.ipv4.rawHash.find((raw) => rawV4Match(raw, rawProtocol, dst, src, ifindex));
  if (sk === undefined) return -ENOENT;
  sockHold(sk);
  return sk;
}

/** @kernel raw_diag_handler net/ipv4/raw_diag.c */
const rawDiagHandler: InetDiagHandler = inetDiagDatagrams(IPPROTO_RAW, rawDiagDump, rawDiagFindOne);

/** @kernel raw_diag_init net/ipv4/raw_diag.c */
function rawDiagInit(machine: Machine): number {
  return inetDiagRegister(machine, rawDiagHandler);
}

export const rawDiagModule: KernelModule = {
  name: 'raw_diag',
  config: 'CONFIG_INET_RAW_DIAG',
  depends: ['inet_diag'],
  level: DEVICE_INITCALL,
  init: rawDiagInit,
  exit: null,
};
