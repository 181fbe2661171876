/**
 * Does a device listen to a group? Counterpart of ip_check_mc_rcu of net/ipv4/igmp.c; apart from the
 * rest, since routes need it and IGMP needs routes.
 */
import type { IpMcList } from '#include/linux/igmp.ts';
import type { InDevice } from '#include/linux/inetdevice.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { InetSock, Sock } from '#include/net/sock.ts';
import {
  INADDR_ALLHOSTS_GROUP,
  IPPROTO_IGMP,
  ipv4IsMulticast,
  MCAST_EXCLUDE,
  MCAST_INCLUDE,
} from '#uapi/in.ts';

/** 224.0.0.0/24. */
const LOCAL_MULTICAST = 0xe0000000;

/** The membership of a device in a group. */
export function ipMcFind(inDev: InDevice, multiaddr: number): IpMcList | null {
  for (const im of inDev.mcList) if (im.multiaddr === multiaddr) return im;
  return null;
}

/**
 * True when packets of the protocol from `srcAddr` (0: anybody) to the group are for us by this
 * device.
 * @kernel ip_check_mc_rcu net/ipv4/igmp.c
 */
export function ipCheckMc(
  inDev: InDevice,
  multiaddr: number,
  srcAddr: number,
  proto: number,
): boolean {
  const im = ipMcFind(inDev, multiaddr);
  if (im === null) return false;
  if (proto === IPPROTO_IGMP) return true;
  if (srcAddr === 0) return true;
  const psf = im.sources.find((s) => s.sfInaddr === srcAddr);
  if (psf === undefined) return im.sfcount[MCAST_EXCLUDE] !== 0;
  return (
    psf.sfCount[MCAST_INCLUDE] !== 0 || psf.sfCount[MCAST_EXCLUDE] !== im.sfcount[MCAST_EXCLUDE]
  );
}

/** May a packet from `rmtAddr` to `locAddr`, come in by device `dif`, reach the socket? @kernel ip_mc_sf_allow net/ipv4/igmp.c */
export function inetMcAllow(sk: Sock, locAddr: number, rmtAddr: number, dif: number): boolean {
  if (!ipv4IsMulticast(locAddr)) return true;
  const { ipMc } = sk.net.machine.netGlobals;
  return ipMc === null ? (sk as InetSock).mcAll : ipMc.sfAllow(sk, locAddr, rmtAddr, dif);
}

/**
 * Are routers told of the group? Never of all hosts, and of those that do not leave the link (224.0.0.0/24)
 * only while igmp_link_local_mcast_reports is not 0.
 */
export function igmpReported(net: Net, group: number): boolean {
  if (group === INADDR_ALLHOSTS_GROUP) return false;
  return group >>> 8 !== LOCAL_MULTICAST >>> 8 || net.ipv4.sysctlIgmpLlmReports !== 0;
}
