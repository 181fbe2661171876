/**
 * Groups that devices listen to, with or without the protocol that tells routers of them
 * (CONFIG_IP_MULTICAST: igmp.ts). Counterpart of ip_mc_inc_group and its siblings of
 * net/ipv4/igmp.c.
 */

import { IpMcList } from '#include/linux/igmp.ts';
import type { InDevice } from '#include/linux/inetdevice.ts';
import type { IgmpOps } from '#include/net/net_globals.ts';
import { devMcAdd, devMcDel } from '#net/core/dev_addr_lists.ts';
import { arpMcMap } from '#net/ipv4/arp_neigh.ts';
import { igmpReported, ipMcFind } from '#net/ipv4/igmp_check.ts';
import { INADDR_ALLHOSTS_GROUP, MCAST_EXCLUDE } from '#uapi/in.ts';

/** The protocol, if this kernel speaks it. */
function igmpOf(inDev: InDevice): IgmpOps | null {
  return inDev.dev.net.machine.netGlobals.igmpOps;
}

/** The device hears the group from now on. @kernel igmp_group_added net/ipv4/igmp.c */
function groupAdded(im: IpMcList): void {
  const inDev = im.interface;
  const { dev } = inDev;
  if (!im.loaded) {
    im.loaded = true;
    const haddr = new Uint8Array(dev.addrLen);
    arpMcMap(im.multiaddr, haddr, dev);
    if (dev.addrLen > 0) devMcAdd(dev, haddr);
  }
  if (!igmpReported(dev.net, im.multiaddr) || inDev.dead) return;
  igmpOf(inDev)?.groupAdded(im);
}

/** @kernel igmp_group_dropped net/ipv4/igmp.c */
function groupDropped(im: IpMcList): void {
  const inDev = im.interface;
  const { dev } = inDev;
  if (im.loaded) {
    im.loaded = false;
    const haddr = new Uint8Array(dev.addrLen);
    arpMcMap(im.multiaddr, haddr, dev);
    if (dev.addrLen > 0) devMcDel(dev, haddr);
  }
  if (igmpReported(dev.net, im.multiaddr)) igmpOf(inDev)?.groupDropped(im);
}

/** The device joins a group, or counts one user more. @kernel ip_mc_inc_group net/ipv4/igmp.c */
export function ipMcIncGroup(inDev: InDevice, addr: number): void {
  const known = ipMcFind(inDev, addr);
  if (known !== null) {
    known.users++;
    known.sfcount[MCAST_EXCLUDE]++;
    return;
  }
  const im = new IpMcList(inDev, addr, MCAST_EXCLUDE);
  im.sfcount[MCAST_EXCLUDE] = 1;
  inDev.mcList.unshift(im);
  inDev.mcTomb = inDev.mcTomb.filter((gone) => gone.multiaddr !== addr);
  groupAdded(im);
}

/** A user leaves; with the last one the device does. @kernel __ip_mc_dec_group net/ipv4/igmp.c */
export function ipMcDecGroup(inDev: InDevice, addr: number): void {
  const im = ipMcFind(inDev, addr);
  if (im === null) return;
  im.sfcount[MCAST_EXCLUDE]--;
  if (--im.users > 0) return;
  inDev.mcList.splice(inDev.mcList.indexOf(im), 1);
  groupDropped(im);
}

/** @kernel ip_mc_init_dev net/ipv4/igmp.c */
export function ipMcInitDev(inDev: InDevice): void {
  igmpOf(inDev)?.initDev(inDev);
}

/** @kernel ip_mc_up net/ipv4/igmp.c */
export function ipMcUp(inDev: InDevice): void {
  igmpOf(inDev)?.up(inDev);
  const before = inDev.mcList.slice();
  ipMcIncGroup(inDev, INADDR_ALLHOSTS_GROUP);
  for (const im of before) if (im.multiaddr !== INADDR_ALLHOSTS_GROUP) groupAdded(im);
}

/** @kernel ip_mc_down net/ipv4/igmp.c */
export function ipMcDown(inDev: InDevice): void {
  for (const im of inDev.mcList.slice()) {
    if (im.multiaddr !== INADDR_ALLHOSTS_GROUP) groupDropped(im);
  }
  igmpOf(inDev)?.down(inDev);
  inDev.mcTomb = [];
  ipMcDecGroup(inDev, INADDR_ALLHOSTS_GROUP);
}

/** @kernel ip_mc_destroy_dev net/ipv4/igmp.c */
export function ipMcDestroyDev(inDev: InDevice): void {
  ipMcDown(inDev);
  for (const im of inDev.mcList) igmpOf(inDev)?.stopTimer(im);
  inDev.mcList = [];
  inDev.mcTomb = [];
}
