/**
 * Memberships of sockets: joining and leaving groups, and which packets pass their filters.
 *
 * Counterpart of ip_mc_join_group and its siblings of net/ipv4/igmp.c. RFC 3678.
 */
import { IpMcSocklist } from '#include/linux/igmp.ts';
import type { InDevice, InIfaddr } from '#include/linux/inetdevice.ts';
import { Flowi4 } from '#include/net/flow.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { InetSock, Sock } from '#include/net/sock.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { inetdevByIndex, ipDevFind } from '#net/ipv4/devinet.ts';
import { ipMcDecGroup, ipMcIncGroup } from '#net/ipv4/igmp_group.ts';
import { ipRouteOutputKey, ipRtPut } from '#net/ipv4/route.ts';
import { EADDRINUSE, EADDRNOTAVAIL, EINVAL, ENOBUFS, ENODEV } from '#uapi/errno.ts';
import {
  IP_ADD_SOURCE_MEMBERSHIP,
  IP_BLOCK_SOURCE,
  IP_DROP_SOURCE_MEMBERSHIP,
  ipv4IsMulticast,
  MCAST_EXCLUDE,
  MCAST_INCLUDE,
} from '#uapi/in.ts';

/** A group, and the device by index or by one of its addresses. @kernel ip_mreqn include/uapi/linux/in.h */
export interface IpMreq {
  readonly multiaddr: number;
  readonly address: number;
  readonly ifindex: number;
}

/** The device that a request means: the one it names, or the one on the way to the group. @kernel ip_mc_find_dev net/ipv4/igmp.c */
function ipMcFindDev(net: Net, mreq: IpMreq): InDevice | null {
  if (mreq.ifindex !== 0) return inetdevByIndex(net, mreq.ifindex);
  if (mreq.address !== 0) return ipDevFind(net, mreq.address)?.ipPtr ?? null;
  const fl4 = new Flowi4();
  fl4.daddr = mreq.multiaddr;
  const rt = ipRouteOutputKey(net, fl4);
  if (typeof rt === 'number') return null;
  const { dev } = rt;
  ipRtPut(rt);
  return dev?.ipPtr ?? null;
}

/** 0, -ENODEV, -EADDRINUSE when the socket has joined before, -ENOBUFS at the limit. @kernel ip_mc_join_group net/ipv4/igmp.c */
export function ipMcJoinGroup(sk: Sock, mreq: IpMreq): number {
  return joinGroup(sk, mreq, MCAST_EXCLUDE);
}

/** @kernel __ip_mc_join_group net/ipv4/igmp.c */
function joinGroup(sk: Sock, mreq: IpMreq, mode: number): number {
  const inet = sk as InetSock;
  const { net } = sk;
  const { multiaddr } = mreq;
  if (!ipv4IsMulticast(multiaddr)) return -EINVAL;
  const inDev = ipMcFindDev(net, mreq);
  if (inDev === null) return -ENODEV;
  const { ifindex } = inDev.dev;
  let count = 0;
  for (let i = inet.mcList; i !== null; i = i.next) {
    if (i.multiaddr === multiaddr && i.ifindex === ifindex) return -EADDRINUSE;
    count++;
  }
  if (count >= net.ipv4.sysctlIgmpMaxMemberships) return -ENOBUFS;
  const iml = new IpMcSocklist(multiaddr, ifindex, mreq.address, mode);
  iml.next = inet.mcList;
  inet.mcList = iml;
  ipMcIncGroup(inDev, multiaddr);
  return 0;
}

/** Is this the membership that a request to leave names? */
function fits(iml: IpMcSocklist, mreq: IpMreq, ifindex: number): boolean {
  if (iml.multiaddr !== mreq.multiaddr) return false;
  if (ifindex !== 0) return iml.ifindex === ifindex;
  return mreq.address === 0 || mreq.address === iml.address;
}

/** 0, -ENODEV, or -EADDRNOTAVAIL when the socket has not joined. @kernel ip_mc_leave_group net/ipv4/igmp.c */
export function ipMcLeaveGroup(sk: Sock, mreq: IpMreq): number {
  const inet = sk as InetSock;
  const inDev = ipMcFindDev(sk.net, mreq);
  if (mreq.ifindex === 0 && mreq.address === 0 && inDev === null) return -ENODEV;
  const ifindex = mreq.ifindex !== 0 ? mreq.ifindex : (inDev?.dev.ifindex ?? 0);
  let prev: IpMcSocklist | null = null;
  for (let iml = inet.mcList; iml !== null; prev = iml, iml = iml.next) {
    if (!fits(iml, mreq, ifindex)) continue;
    if (prev === null) inet.mcList = iml.next;
    else prev.next = iml.next;
    if (inDev !== null) ipMcDecGroup(inDev, iml.multiaddr);
    return 0;
  }
  return -EADDRNOTAVAIL;
}

/** Adds a source to the list of a membership, or takes it out. */
function changeSources(
  sk: Sock,
  mreq: IpMreq,
  pmc: IpMcSocklist,
  source: number,
  add: boolean,
): number {
  const at = pmc.sflist.indexOf(source);
  if (add) {
    if (pmc.sflist.length >= sk.net.ipv4.sysctlIgmpMaxMsf) return -ENOBUFS;
    if (at >= 0) return -EADDRNOTAVAIL;
    pmc.sflist.push(source);
    return 0;
  }
  if (at < 0) return -EADDRNOTAVAIL;
  // Nobody left to listen to: that is leaving the group.
  if (pmc.sfmode === MCAST_INCLUDE && pmc.sflist.length === 1) return ipMcLeaveGroup(sk, mreq);
  pmc.sflist.splice(at, 1);
  return 0;
}

/**
 * Lets one source in or keeps it out, by IP_ADD_SOURCE_MEMBERSHIP, IP_BLOCK_SOURCE and their
 * opposites. The socket must have joined, and its filter must be of the same mode or empty.
 * @kernel ip_mc_source net/ipv4/igmp.c
 */
export function ipMcSource(sk: Sock, optname: number, mreq: IpMreq, source: number): number {
  const include = optname === IP_ADD_SOURCE_MEMBERSHIP || optname === IP_DROP_SOURCE_MEMBERSHIP;
  const omode = include ? MCAST_INCLUDE : MCAST_EXCLUDE;
  if (!ipv4IsMulticast(mreq.multiaddr)) return -EINVAL;
  if (optname === IP_ADD_SOURCE_MEMBERSHIP) {
    const err = joinGroup(sk, mreq, MCAST_INCLUDE);
    if (err !== 0 && err !== -EADDRINUSE) return err;
  }
  const inDev = ipMcFindDev(sk.net, mreq);
  if (inDev === null) return -ENODEV;
  let pmc = (sk as InetSock).mcList;
  while (pmc !== null && !fits(pmc, mreq, inDev.dev.ifindex)) pmc = pmc.next;
  if (pmc === null) return -EINVAL;
  if (pmc.sfmode !== omode) {
    if (pmc.sflist.length > 0) return -EINVAL;
    pmc.sfmode = omode;
  }
  const add = optname === IP_ADD_SOURCE_MEMBERSHIP || optname === IP_BLOCK_SOURCE;
  return changeSources(sk, mreq, pmc, source, add);
}

/** The socket is being closed. @kernel ip_mc_drop_socket net/ipv4/igmp.c */
export function ipMcDropSocket(sk: Sock): void {
  const inet = sk as InetSock;
  if (inet.mcList === null) return;
  rtnlLock(sk.net.machine);
  for (let iml: IpMcSocklist | null = inet.mcList; iml !== null; iml = inet.mcList) {
    inet.mcList = iml.next;
    const inDev = inetdevByIndex(sk.net, iml.ifindex);
    if (inDev !== null) ipMcDecGroup(inDev, iml.multiaddr);
  }
  rtnlUnlock(sk.net.machine);
}

/** May a packet from `rmtAddr` to the group `locAddr`, come in by device `dif`, reach the socket? @kernel ip_mc_sf_allow net/ipv4/igmp.c */
export function ipMcSfAllow(sk: Sock, locAddr: number, rmtAddr: number, dif: number): boolean {
  const inet = sk as InetSock;
  for (let pmc = inet.mcList; pmc !== null; pmc = pmc.next) {
    if (pmc.multiaddr !== locAddr || pmc.ifindex !== dif) continue;
    const listed = pmc.sflist.includes(rmtAddr);
    return pmc.sfmode === MCAST_INCLUDE ? listed : !listed;
  }
  return inet.mcAll;
}

/** A multicast address on a device: join the group for it, or leave. @kernel ip_mc_autojoin_config net/ipv4/devinet.c */
export function ipMcAutojoinConfig(_net: Net, join: boolean, ifa: InIfaddr): number {
  const inDev = ifa.ifaDev;
  if (inDev === null) return -ENODEV;
  if (!ipv4IsMulticast(ifa.ifaAddress)) return -EINVAL;
  if (join) ipMcIncGroup(inDev, ifa.ifaAddress);
  else ipMcDecGroup(inDev, ifa.ifaAddress);
  return 0;
}
