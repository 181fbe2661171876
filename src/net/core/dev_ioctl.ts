/**
 * ioctls on interfaces by name: struct ifreq in and out. Counterpart of net/core/dev_ioctl.c.
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { cString, latin1Encode } from '#lib/utf8.ts';
import {
  __devGetByIndex,
  __devGetByName,
  devChangeFlags,
  devChangeName,
  devChangeTxQueueLen,
  devGetFlags,
  devSetMacAddress,
  devSetMtu,
} from '#net/core/dev.ts';
import { devMcAdd, devMcDel } from '#net/core/dev_addr_lists.ts';
import { EINVAL, ENODEV, ENOTTY, EOPNOTSUPP } from '#uapi/errno.ts';
import { IFNAMSIZ, ifreq } from '#uapi/if.ts';
import { AF_INET, AF_UNSPEC } from '#uapi/socket.ts';
import {
  SIOCADDMULTI,
  SIOCDELMULTI,
  SIOCETHTOOL,
  SIOCGIFCONF,
  SIOCGIFFLAGS,
  SIOCGIFHWADDR,
  SIOCGIFINDEX,
  SIOCGIFMAP,
  SIOCGIFMETRIC,
  SIOCGIFMTU,
  SIOCGIFNAME,
  SIOCGIFSLAVE,
  SIOCGIFTXQLEN,
  SIOCSIFFLAGS,
  SIOCSIFHWADDR,
  SIOCSIFMETRIC,
  SIOCSIFMTU,
  SIOCSIFNAME,
  SIOCSIFTXQLEN,
} from '#uapi/sockios.ts';

function viewOf(arg: Uint8Array): DataView {
  return new DataView(arg.buffer, arg.byteOffset, arg.length);
}

/** The interface's name; an alias (`eth0:1`) names its interface. */
function nameOf(arg: Uint8Array): string {
  const name = cString(arg.subarray(0, IFNAMSIZ));
  const colon = name.indexOf(':');
  return colon < 0 ? name : name.slice(0, colon);
}

function setName(arg: Uint8Array, name: string): void {
  arg.fill(0, 0, IFNAMSIZ);
  for (let i = 0; i < name.length; i++) arg[i] = name.charCodeAt(i);
}

/** SIOCGIFNAME: index to name. @kernel dev_ifname net/core/dev_ioctl.c */
function devIfname(net: Net, arg: Uint8Array): number {
  const dev = __devGetByIndex(net, ifreq.ifindex(viewOf(arg), 0));
  if (dev === null) return -ENODEV;
  // What follows the terminator stays as it was.
  arg.set(latin1Encode(`${dev.name}\0`), 0);
  return 0;
}

/** Room of one entry, and the offset of the buffer in our SIOCGIFCONF. */
const IFCONF_HEADER = 8;

/**
 * SIOCGIFCONF: interfaces with an IPv4 address.
 * @kernel dev_ifconf net/core/dev_ioctl.c
 * @deviation the buffer stands behind ifc_len (8 bytes) in the argument, where Linux has a pointer.
 */
function devIfconf(net: Net, arg: Uint8Array): number {
  if (arg.length < IFCONF_HEADER) return -EINVAL;
  const v = viewOf(arg);
  const room = Math.floor((arg.length - IFCONF_HEADER) / ifreq.LEN);
  let n = 0;
  for (const dev of net.devBaseHead) {
    for (const ifa of dev.ipPtr?.ifaList ?? []) {
      if (room === 0) {
        n++;
        continue;
      }
      if (n >= room) break;
      const at = IFCONF_HEADER + n++ * ifreq.LEN;
      arg.fill(0, at, at + ifreq.LEN);
      setName(arg.subarray(at), ifa.ifaLabel);
      v.setUint16(at + ifreq.UNION, AF_INET, true);
      v.setUint32(at + ifreq.UNION + 4, ifa.ifaLocal);
    }
  }
  v.setInt32(0, n * ifreq.LEN, true);
  return 0;
}

/** What can be read of an interface. @kernel dev_ifsioc_locked net/core/dev_ioctl.c */
function devIfget(dev: NetDevice, cmd: number, arg: Uint8Array): number {
  const v = viewOf(arg);
  switch (cmd) {
    case SIOCGIFFLAGS:
      ifreq.setFlags(v, 0, devGetFlags(dev) & 0xffff);
      return 0;
    case SIOCGIFMETRIC:
      ifreq.setIfindex(v, 0, 0);
      return 0;
    case SIOCGIFMTU:
      ifreq.setMtu(v, 0, dev.mtu);
      return 0;
    case SIOCGIFHWADDR:
      v.setUint16(ifreq.UNION, dev.type, true);
      arg.fill(0, ifreq.UNION + 2, ifreq.UNION + 16);
      arg.set(dev.devAddr.subarray(0, Math.min(dev.addrLen, 14)), ifreq.UNION + 2);
      return 0;
    case SIOCGIFINDEX:
      ifreq.setIfindex(v, 0, dev.ifindex);
      return 0;
    case SIOCGIFTXQLEN:
      ifreq.setIfindex(v, 0, dev.txQueueLen);
      return 0;
    case SIOCGIFMAP:
      arg.fill(0, ifreq.UNION, ifreq.LEN);
      return 0;
    default:
      // SIOCGIFSLAVE: nobody balances traffic that way any more.
      return -EINVAL;
  }
}

function setHwaddr(dev: NetDevice, arg: Uint8Array): number {
  if (viewOf(arg).getUint16(ifreq.UNION, true) !== dev.type) return -EINVAL;
  return devSetMacAddress(dev, arg.slice(ifreq.UNION + 2, ifreq.UNION + 2 + dev.addrLen));
}

function changeMulticast(dev: NetDevice, cmd: number, arg: Uint8Array): number {
  const family = viewOf(arg).getUint16(ifreq.UNION, true);
  if (dev.netdevOps.ndoSetRxMode === null || family !== AF_UNSPEC) return -EINVAL;
  const addr = arg.slice(ifreq.UNION + 2, ifreq.UNION + 2 + dev.addrLen);
  return cmd === SIOCADDMULTI ? devMcAdd(dev, addr) : devMcDel(dev, addr);
}

/**
 * Changes an interface, under rtnl.
 * @kernel dev_ifsioc net/core/dev_ioctl.c
 * @deviation the structure of SIOCETHTOOL stands behind the ifreq, where Linux has a pointer to it.
 */
function devIfset(dev: NetDevice, cmd: number, arg: Uint8Array): number {
  const v = viewOf(arg);
  switch (cmd) {
    case SIOCSIFFLAGS:
      return devChangeFlags(dev, (dev.flags & ~0xffff) | ifreq.flags(v, 0));
    case SIOCSIFMETRIC:
      return -EOPNOTSUPP;
    case SIOCSIFMTU:
      return devSetMtu(dev, ifreq.mtu(v, 0));
    case SIOCSIFHWADDR:
      return setHwaddr(dev, arg);
    case SIOCSIFTXQLEN:
      return ifreq.ifindex(v, 0) < 0 ? -EINVAL : devChangeTxQueueLen(dev, ifreq.ifindex(v, 0));
    case SIOCSIFNAME:
      return devChangeName(dev, cString(arg.subarray(ifreq.UNION, ifreq.UNION + IFNAMSIZ)));
    case SIOCADDMULTI:
    case SIOCDELMULTI:
      return changeMulticast(dev, cmd, arg);
    case SIOCETHTOOL:
      return dev.net.machine.netGlobals.devEthtool?.(dev, arg.subarray(ifreq.LEN)) ?? -EOPNOTSUPP;
    default:
      return dev.netdevOps.ndoDoIoctl?.(dev, cmd, arg) ?? -EOPNOTSUPP;
  }
}

const READS: readonly number[] = [
  SIOCGIFNAME,
  SIOCGIFFLAGS,
  SIOCGIFMETRIC,
  SIOCGIFMTU,
  SIOCGIFHWADDR,
  SIOCGIFSLAVE,
  SIOCGIFMAP,
  SIOCGIFINDEX,
  SIOCGIFTXQLEN,
];

const CHANGES: readonly number[] = [
  SIOCSIFFLAGS,
  SIOCSIFMETRIC,
  SIOCSIFMTU,
  SIOCSIFHWADDR,
  SIOCSIFTXQLEN,
  SIOCSIFNAME,
  SIOCADDMULTI,
  SIOCDELMULTI,
];

/** Numbers that drivers may answer: SIOCDEVPRIVATE and the MII and bonding ranges. */
function isDriverCmd(cmd: number): boolean {
  return (cmd >= 0x89f0 && cmd <= 0x89ff) || (cmd >= 0x8946 && cmd <= 0x8949);
}

/**
 * An ioctl that the socket's family does not know: -ENOTTY when it is none of ours either.
 * @kernel dev_ioctl net/core/dev_ioctl.c
 */
export function devIoctl(net: Net, cmd: number, arg: Uint8Array): number {
  if (cmd === SIOCGIFCONF) return devIfconf(net, arg);
  const change = CHANGES.includes(cmd) || isDriverCmd(cmd);
  if (!change && !READS.includes(cmd)) return -ENOTTY;
  if (arg.length < ifreq.LEN) return -EINVAL;
  if (cmd === SIOCGIFNAME) return devIfname(net, arg);
  const dev = __devGetByName(net, nameOf(arg));
  if (!change) {
    if (dev === null) return -ENODEV;
    return devIfget(dev, cmd, arg);
  }
  if (dev === null) return -ENODEV;
  rtnlLock(net.machine);
  const err = devIfset(dev, cmd, arg);
  rtnlUnlock(net.machine);
  return err;
}
