/**
 * Options of sockets for multicast groups. Counterpart of the multicast part of
 * net/ipv4/ip_sockglue.c.
 */

import { saFamily, sinAddr } from '#include/linux/in.ts';
import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import { inetSk } from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import type { Machine } from '#kernel/machine.ts';
import type { IpMreq } from '#net/ipv4/igmp_sock.ts';
import {
  ipMcDropSocket,
  ipMcJoinGroup,
  ipMcLeaveGroup,
  ipMcSfAllow,
  ipMcSource,
} from '#net/ipv4/igmp_sock.ts';
import { mreqOf } from '#net/ipv4/ip_sockglue.ts';
import { EINVAL, EPROTO } from '#uapi/errno.ts';
import {
  IP_ADD_MEMBERSHIP,
  IP_DROP_MEMBERSHIP,
  MCAST_JOIN_GROUP,
  MCAST_LEAVE_GROUP,
} from '#uapi/in.ts';
import { AF_INET } from '#uapi/socket.ts';

/** sizeof(struct ip_mreq_source): group, address of the device, source. */
const IP_MREQ_SOURCE_LEN = 12;
/** sizeof(struct group_req): index, padding, sockaddr_storage. */
const GROUP_REQ_LEN = 136;
const GROUP_REQ_ADDR = 8;

function setMembership(sk: Sock, optname: number, optval: Uint8Array): number {
  if (inetSk(sk).isIcsk) return -EPROTO;
  const mreq = mreqOf(optval);
  if (mreq === null) return -EINVAL;
  return optname === IP_ADD_MEMBERSHIP ? ipMcJoinGroup(sk, mreq) : ipMcLeaveGroup(sk, mreq);
}

/** One source of a group, by struct ip_mreq_source. */
function setSource(sk: Sock, optname: number, optval: Uint8Array): number {
  if (optval.length !== IP_MREQ_SOURCE_LEN) return -EINVAL;
  const v = new DataView(optval.buffer, optval.byteOffset, optval.byteLength);
  const mreq: IpMreq = { multiaddr: v.getUint32(0), address: v.getUint32(4), ifindex: 0 };
  return ipMcSource(sk, optname, mreq, v.getUint32(8));
}

/** The same by struct group_req. @kernel ip_mcast_join_leave net/ipv4/ip_sockglue.c */
function setGroup(sk: Sock, optname: number, optval: Uint8Array): number {
  if (optval.length < GROUP_REQ_LEN) return -EINVAL;
  const ifindex = new DataView(optval.buffer, optval.byteOffset, 4).getUint32(0, true);
  const addr = optval.subarray(GROUP_REQ_ADDR);
  if (saFamily(addr) !== AF_INET) return -EINVAL;
  const mreq: IpMreq = { multiaddr: sinAddr(addr), address: 0, ifindex };
  return optname === MCAST_JOIN_GROUP ? ipMcJoinGroup(sk, mreq) : ipMcLeaveGroup(sk, mreq);
}

function setsockopt(sk: Sock, optname: number, optval: Uint8Array): number {
  switch (optname) {
    case IP_ADD_MEMBERSHIP:
    case IP_DROP_MEMBERSHIP:
      return setMembership(sk, optname, optval);
    case MCAST_JOIN_GROUP:
    case MCAST_LEAVE_GROUP:
      return setGroup(sk, optname, optval);
    default:
      return setSource(sk, optname, optval);
  }
}

function ipMcSockInit(machine: Machine): number {
  machine.netGlobals.ipMc = { setsockopt, dropSocket: ipMcDropSocket, sfAllow: ipMcSfAllow };
  return 0;
}

export const ipMcModule: KernelModule = {
  name: 'ip_mc',
  config: null,
  depends: [],
  level: FS_INITCALL,
  init: ipMcSockInit,
  exit: null,
};
