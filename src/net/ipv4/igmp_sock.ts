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
import { ipMcDecGroup, ipMcIncGroup } from '#net/ipv4/igmp.ts';
import { ipRouteOutputKey, ipRtPut } from '#net/ipv4/route.ts';
import { EADDRINUSE, EADDRNOTAVAIL, EINVAL, ENOBUFS, ENODEV } from '#uapi/errno.ts';
import { ipv4IsMulticast, MCAST_EXCLUDE, MCAST_INCLUDE } from '#uapi/in.ts';

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
  const iml = new IpMcSocklist(multiaddr, ifindex, mreq.address, MCAST_EXCLUDE);
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
  if (!ipv4IsMulticast(locAddr)) return true;
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
