/**
 * Addresses by the old ioctls, as ifconfig(8) uses them: SIOCGIFADDR, SIOCSIFADDR and their like.
 *
 * Counterpart of devinet_ioctl of net/ipv4/devinet.c.
 */
import type { InDevice } from '#include/linux/inetdevice.ts';
import { badMask, InIfaddr, inetMakeMask, inetMaskLen } from '#include/linux/inetdevice.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { devChangeFlags } from '#net/core/dev.ts';
import { inetDelIfa, inetInsertIfa, ipv4DevconfSetall } from '#net/ipv4/devinet_addr.ts';
import { setIfaLifetime } from '#net/ipv4/devinet_lifetime.ts';
import { EADDRNOTAVAIL, EFAULT, EINVAL, ENOBUFS, ENODEV } from '#uapi/errno.ts';
import { IFF_BROADCAST, IFF_POINTOPOINT, IFF_UP, ifreq } from '#uapi/if.ts';
import { INFINITY_LIFE_TIME } from '#uapi/if_addr.ts';
import { ipv4IsLbcast, ipv4IsLoopback, ipv4IsZeronet, sockaddrIn } from '#uapi/in.ts';
import { RT_SCOPE_HOST } from '#uapi/rtnetlink.ts';
import { AF_INET } from '#uapi/socket.ts';
import {
  SIOCGIFADDR,
  SIOCGIFBRDADDR,
  SIOCGIFDSTADDR,
  SIOCGIFNETMASK,
  SIOCSIFADDR,
  SIOCSIFBRDADDR,
  SIOCSIFDSTADDR,
  SIOCSIFFLAGS,
  SIOCSIFNETMASK,
} from '#uapi/sockios.ts';

/** Prefix length of the address's class; -1: it is of none that a device may have. @kernel inet_abc_len net/ipv4/devinet.c */
function inetAbcLen(addr: number): number {
  if (ipv4IsZeronet(addr) || ipv4IsLbcast(addr)) return 0;
  if (addr >>> 31 === 0) return 8;
  if (addr >>> 30 === 2) return 16;
  if (addr >>> 29 === 6) return 24;
  return addr >>> 28 === 0xf ? 32 : -1;
}

function nameOf(arg: Uint8Array): string {
  let text = '';
  for (let i = 0; i < ifreq.UNION - 1; i++) {
    const byte = arg[i] as number;
    if (byte === 0) break;
    text += String.fromCharCode(byte);
  }
  return text;
}

/** One call. */
interface Request {
  readonly cmd: number;
  readonly name: string;
  readonly dev: NetDevice;
  readonly inDev: InDevice | null;
  readonly v: DataView;
  readonly addr: number;
}

/** The address meant: by label and, if one is given, by address; else by label alone. */
function findIfa(req: Request, family: number): InIfaddr | null {
  const list = req.inDev?.ifaList ?? [];
  const isGet = req.cmd >= SIOCGIFADDR && req.cmd <= SIOCGIFNETMASK && (req.cmd & 1) === 1;
  const exact =
    isGet && family === AF_INET
      ? list.find((ifa) => ifa.ifaLabel === req.name && ifa.ifaLocal === req.addr)
      : undefined;
  return exact ?? list.find((ifa) => ifa.ifaLabel === req.name) ?? null;
}

function putAddr(v: DataView, addr: number): number {
  for (let i = 0; i < sockaddrIn.LEN; i += 4) v.setUint32(ifreq.UNION + i, 0);
  sockaddrIn.setFamily(v, ifreq.UNION, AF_INET);
  sockaddrIn.setAddr(v, ifreq.UNION, addr);
  return 0;
}

/** Takes an address out while `change` works on it, and puts it back. */
function reinsert(inDev: InDevice, ifa: InIfaddr, change: () => void): number {
  inetDelIfa(inDev, ifa, 0);
  change();
  return inetInsertIfa(ifa, 0, null);
}

/** SIOCSIFADDR: the mask is that of the address's class. */
function setAddr(req: Request, known: InIfaddr | null): number {
  const { dev, inDev, addr } = req;
  const len = inetAbcLen(addr);
  if (len < 0) return -EINVAL;
  if (inDev === null) return -ENOBUFS;
  const ifa = known ?? new InIfaddr();
  if (known !== null) {
    if (known.ifaLocal === addr) return 0;
    inetDelIfa(inDev, known, 0);
    ifa.ifaBroadcast = 0;
    ifa.ifaScope = 0;
  } else {
    ifa.ifaLabel = req.name;
  }
  const toPeer = (dev.flags & IFF_POINTOPOINT) !== 0;
  ifa.ifaDev = inDev;
  ifa.ifaAddress = addr;
  ifa.ifaLocal = addr;
  ifa.ifaPrefixlen = toPeer ? 32 : len;
  ifa.ifaMask = inetMakeMask(ifa.ifaPrefixlen);
  if (!toPeer && (dev.flags & IFF_BROADCAST) !== 0 && len < 31) {
    ifa.ifaBroadcast = (addr | ~ifa.ifaMask) >>> 0;
  }
  setIfaLifetime(dev.net, ifa, INFINITY_LIFE_TIME, INFINITY_LIFE_TIME);
  ipv4DevconfSetall(inDev);
  if (ipv4IsLoopback(addr)) ifa.ifaScope = RT_SCOPE_HOST;
  return inetInsertIfa(ifa, 0, null);
}

/** SIOCSIFNETMASK: a broadcast address that followed from the old mask follows the new one. */
function setNetmask(req: Request, inDev: InDevice, ifa: InIfaddr): number {
  const mask = req.addr;
  if (badMask(mask, 0)) return -EINVAL;
  if (ifa.ifaMask === mask) return 0;
  const oldMask = ifa.ifaMask;
  return reinsert(inDev, ifa, () => {
    ifa.ifaMask = mask;
    ifa.ifaPrefixlen = inetMaskLen(mask);
    const derived = ifa.ifaBroadcast === (ifa.ifaLocal | ~oldMask) >>> 0;
    const has = (req.dev.flags & IFF_BROADCAST) !== 0 && ifa.ifaPrefixlen < 31;
    if (has && derived) ifa.ifaBroadcast = (ifa.ifaLocal | ~mask) >>> 0;
  });
}

/** SIOCSIFFLAGS: on an alias, taking it down deletes its address. */
function setFlags(req: Request, ifa: InIfaddr | null): number {
  const flags = ifreq.flags(req.v, 0);
  if (!req.name.includes(':')) return devChangeFlags(req.dev, flags);
  if (ifa === null || req.inDev === null) return -EADDRNOTAVAIL;
  if ((flags & IFF_UP) === 0) inetDelIfa(req.inDev, ifa, 0);
  return 0;
}

function change(req: Request, ifa: InIfaddr | null): number {
  const { inDev, addr } = req;
  if (req.cmd === SIOCSIFFLAGS) return setFlags(req, ifa);
  if (req.cmd === SIOCSIFADDR) return setAddr(req, ifa);
  if (ifa === null || inDev === null) return -EADDRNOTAVAIL;
  switch (req.cmd) {
    case SIOCSIFBRDADDR:
      if (ifa.ifaBroadcast === addr) return 0;
      return reinsert(inDev, ifa, () => {
        ifa.ifaBroadcast = addr;
      });
    case SIOCSIFDSTADDR:
      if (ifa.ifaAddress === addr) return 0;
      if (inetAbcLen(addr) < 0) return -EINVAL;
      return reinsert(inDev, ifa, () => {
        ifa.ifaAddress = addr;
      });
    case SIOCSIFNETMASK:
      return setNetmask(req, inDev, ifa);
    default:
      return -EINVAL;
  }
}

function perform(req: Request, family: number): number {
  const ifa = findIfa(req, family);
  switch (req.cmd) {
    case SIOCGIFADDR:
      return ifa === null ? -EADDRNOTAVAIL : putAddr(req.v, ifa.ifaLocal);
    case SIOCGIFBRDADDR:
      return ifa === null ? -EADDRNOTAVAIL : putAddr(req.v, ifa.ifaBroadcast);
    case SIOCGIFDSTADDR:
      return ifa === null ? -EADDRNOTAVAIL : putAddr(req.v, ifa.ifaAddress);
    case SIOCGIFNETMASK:
      return ifa === null ? -EADDRNOTAVAIL : putAddr(req.v, ifa.ifaMask);
    case SIOCSIFFLAGS:
      return change(req, ifa);
    default:
      return family === AF_INET ? change(req, ifa) : -EINVAL;
  }
}

/** `arg`: a struct ifreq, changed in place. @kernel devinet_ioctl net/ipv4/devinet.c */
export function devinetIoctl(net: Net, cmd: number, arg: Uint8Array): number {
  if (arg.length < ifreq.UNION + sockaddrIn.LEN) return -EFAULT;
  const v = new DataView(arg.buffer, arg.byteOffset, arg.byteLength);
  const name = nameOf(arg);
  const family = sockaddrIn.family(v, ifreq.UNION);
  const addr = sockaddrIn.addr(v, ifreq.UNION);
  rtnlLock(net.machine);
  const dev = net.devNameHead.get(name.split(':')[0] ?? '') ?? null;
  const err =
    dev === null ? -ENODEV : perform({ cmd, name, dev, inDev: dev.ipPtr, v, addr }, family);
  rtnlUnlock(net.machine);
  return err;
}
