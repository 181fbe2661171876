/**
 * The ARP table as users see it without netlink: /proc/net/arp and the ioctls of arp(8).
 *
 * Counterpart of arp_seq_show and arp_ioctl of net/ipv4/arp.c.
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import { Flowi4 } from '#include/net/flow.ts';
import {
  NEIGH_UPDATE_F_ADMIN,
  NEIGH_UPDATE_F_OVERRIDE,
  type Neighbour,
  type NeighTable,
} from '#include/net/neighbour.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { inNtop4 } from '#lib/parse_addr.ts';
import { devGetbyhwaddrRcu } from '#net/core/dev.ts';
import { __neighLookup, neighForEach, neighLookup } from '#net/core/neighbour.ts';
import { neighRelease } from '#net/core/neighbour_destroy.ts';
import { neighUpdate } from '#net/core/neighbour_nud.ts';
import { pneighCreate, pneighDelete } from '#net/core/neighbour_proxy.ts';
import { arpInvalidate } from '#net/ipv4/arp_table.ts';
import { ipRouteOutputKey, ipRtPut } from '#net/ipv4/route.ts';
import { EFAULT, EINVAL, ENOBUFS, ENODEV, ENXIO, EPFNOSUPPORT } from '#uapi/errno.ts';
import { ATF_COM, ATF_DONTPUB, ATF_NETMASK, ATF_PERM, ATF_PUBL } from '#uapi/if_arp.ts';
import { NUD_NOARP, NUD_PERMANENT, NUD_STALE, NUD_VALID } from '#uapi/neighbour.ts';
import { RT_SCOPE_LINK } from '#uapi/rtnetlink.ts';
import { AF_INET } from '#uapi/socket.ts';
import { SIOCDARP, SIOCGARP } from '#uapi/sockios.ts';

/** struct arpreq: two sockaddrs, flags, a netmask, a device name. */
const ARPREQ_HA = 16;
const ARPREQ_FLAGS = 32;
const ARPREQ_NETMASK = 36;
const ARPREQ_DEV = 52;
const ARPREQ_LEN = 68;

/** @kernel arp_state_to_flags net/ipv4/arp.c */
function arpStateToFlags(neigh: Neighbour): number {
  if ((neigh.nudState & NUD_PERMANENT) !== 0) return ATF_PERM | ATF_COM;
  return (neigh.nudState & NUD_VALID) !== 0 ? ATF_COM : 0;
}

function line(ip: number, type: number, flags: number, hw: string, name: string): string {
  const address = inNtop4(ip).padEnd(16);
  return `${address} 0x${type.toString(16).padEnd(10)}0x${flags.toString(16).padEnd(10)}${hw.padEnd(17)}     *        ${name}\n`;
}

/** /proc/net/arp. @kernel arp_seq_show net/ipv4/arp.c */
export function arpSeqShow(net: Net): string {
  let text = 'IP address       HW type     Flags       HW address            Mask     Device\n';
  const tbl = net.machine.netGlobals.arpTbl;
  if (tbl === null) return text;
  neighForEach(tbl, (n) => {
    if (n.dev.net !== net || (n.nudState & ~NUD_NOARP) === 0) return;
    const hw = lladdrText(n.ha, n.dev.addrLen);
    text += line(n.key, n.dev.type, arpStateToFlags(n), hw, n.dev.name);
  });
  for (const entries of tbl.phashBuckets) {
    for (const pn of entries) {
      if (pn.net !== net) continue;
      const flags = ATF_PUBL | ATF_PERM;
      text += line(pn.key, pn.dev?.type ?? 0, flags, '00:00:00:00:00:00', pn.dev?.name ?? '*');
    }
  }
  return text;
}

function nameOf(arg: Uint8Array): string {
  let text = '';
  for (let i = ARPREQ_DEV; i < ARPREQ_LEN; i++) {
    const byte = arg[i] as number;
    if (byte === 0) break;
    text += String.fromCharCode(byte);
  }
  return text;
}

/**
 * The device that a request is about: the one it names, or the one on whose link the address is. null: proxies
 * that are asked for without a name are those of all devices.
 * @kernel arp_req_dev net/ipv4/arp.c
 */
function arpReqDev(
  net: Net,
  cmd: number,
  arg: Uint8Array,
  v: DataView,
  ip: number,
): NetDevice | null | number {
  const name = nameOf(arg);
  if (name === '') {
    // Who asks for an entry has to say of which device.
    if (cmd === SIOCGARP) return -ENODEV;
    if ((v.getInt32(ARPREQ_FLAGS, true) & ATF_PUBL) !== 0) return null;
    const fl4 = new Flowi4();
    fl4.daddr = ip;
    fl4.flowi4Scope = RT_SCOPE_LINK;
    const rt = ipRouteOutputKey(net, fl4);
    if (typeof rt === 'number') return rt;
    const { dev } = rt;
    ipRtPut(rt);
    return dev ?? -EINVAL;
  }
  const dev = net.devNameHead.get(name) ?? null;
  if (dev === null) return -ENODEV;
  const family = v.getUint16(ARPREQ_HA, true);
  if (family === 0) v.setUint16(ARPREQ_HA, dev.type, true);
  const complete = (v.getInt32(ARPREQ_FLAGS, true) & ATF_COM) !== 0;
  return complete && family !== 0 && family !== dev.type ? -EINVAL : dev;
}

/** An address answered for, of one device or of all. @kernel arp_req_set_public net/ipv4/arp.c */
function arpReqSetPublic(
  net: Net,
  tbl: NeighTable,
  named: NetDevice | null,
  v: DataView,
  ip: number,
): number {
  let dev = named;
  if (dev === null && (v.getInt32(ARPREQ_FLAGS, true) & ATF_COM) !== 0) {
    const ha = new Uint8Array(v.buffer, v.byteOffset + ARPREQ_HA + 2, 14);
    dev = devGetbyhwaddrRcu(net, v.getUint16(ARPREQ_HA, true), ha);
    if (dev === null) return -ENODEV;
  }
  return pneighCreate(tbl, net, ip, dev, 0, 0, true);
}

/** SIOCSARP. @kernel arp_req_set net/ipv4/arp.c */
function arpReqSet(tbl: NeighTable, dev: NetDevice, v: DataView, ip: number): number {
  const flags = v.getInt32(ARPREQ_FLAGS, true);
  if (v.getUint16(ARPREQ_HA, true) !== dev.type) return -EINVAL;
  const neigh = __neighLookup(tbl, ip, dev, true);
  if (neigh === null) return -ENOBUFS;
  const permanent = (flags & ATF_PERM) !== 0;
  const given = permanent || (flags & ATF_COM) !== 0;
  const hw = new Uint8Array(v.buffer, v.byteOffset + ARPREQ_HA + 2, dev.addrLen);
  const err = neighUpdate(
    neigh,
    given ? hw : null,
    permanent ? NUD_PERMANENT : NUD_STALE,
    NEIGH_UPDATE_F_OVERRIDE | NEIGH_UPDATE_F_ADMIN,
    0,
  );
  neighRelease(neigh);
  return err;
}

/** SIOCGARP. @kernel arp_req_get net/ipv4/arp.c */
function arpReqGet(
  tbl: NeighTable,
  dev: NetDevice,
  arg: Uint8Array,
  v: DataView,
  ip: number,
): number {
  const neigh = neighLookup(tbl, ip, dev);
  if (neigh === null) return -ENXIO;
  const known = (neigh.nudState & NUD_NOARP) === 0;
  if (known) {
    v.setUint16(ARPREQ_HA, dev.type, true);
    arg.set(neigh.ha.subarray(0, dev.addrLen), ARPREQ_HA + 2);
    v.setInt32(ARPREQ_FLAGS, arpStateToFlags(neigh), true);
  }
  neighRelease(neigh);
  return known ? 0 : -ENXIO;
}

/** SIOCDARP, SIOCGARP, SIOCSARP with a struct arpreq. @kernel arp_ioctl net/ipv4/arp.c */
export function arpIoctl(net: Net, cmd: number, arg: Uint8Array): number {
  const tbl = net.machine.netGlobals.arpTbl;
  if (arg.length < ARPREQ_LEN || tbl === null) return -EFAULT;
  const v = new DataView(arg.buffer, arg.byteOffset, arg.byteLength);
  if (v.getUint16(0, true) !== AF_INET) return -EPFNOSUPPORT;
  const flags = v.getInt32(ARPREQ_FLAGS, true);
  if ((flags & ATF_PUBL) === 0 && (flags & (ATF_NETMASK | ATF_DONTPUB)) !== 0) return -EINVAL;
  if ((flags & ATF_NETMASK) !== 0 && v.getUint32(ARPREQ_NETMASK + 4) !== 0xffffffff) return -EINVAL;
  const ip = v.getUint32(4);
  rtnlLock(net.machine);
  const dev = arpReqDev(net, cmd, arg, v, ip);
  let err: number;
  if (typeof dev === 'number') {
    err = dev;
  } else if (dev === null || ((flags & ATF_PUBL) !== 0 && cmd !== SIOCGARP)) {
    const isDelete = cmd === SIOCDARP;
    err = isDelete ? pneighDelete(tbl, net, ip, dev) : arpReqSetPublic(net, tbl, dev, v, ip);
  } else if (cmd === SIOCGARP) {
    err = arpReqGet(tbl, dev, arg, v, ip);
  } else {
    err = cmd === SIOCDARP ? arpInvalidate(dev, ip, true) : arpReqSet(tbl, dev, v, ip);
  }
  rtnlUnlock(net.machine);
  return err;
}

/** Text of a link-layer address, for /proc and messages: `02:00:00:00:00:01`. */
function lladdrText(addr: Uint8Array, len: number): string {
  let text = '';
  for (let i = 0; i < len; i++) {
    const byte = addr[i] as number;
    text += `${i === 0 ? '' : ':'}${byte < 16 ? '0' : ''}${byte.toString(16)}`;
  }
  return text;
}
