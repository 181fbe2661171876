/**
 * Addresses of interfaces by ioctl, for reading. Counterpart of devinet_ioctl in
 * net/ipv4/devinet.c.
 *
 * @deviation addresses are set by rtnetlink only; the SIOCSIF* of addresses answer -EOPNOTSUPP.
 */
import type { InIfaddr } from '#include/linux/inetdevice.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { cString } from '#lib/utf8.ts';
import { __devGetByName, devChangeFlags } from '#net/core/dev.ts';
import { EADDRNOTAVAIL, EINVAL, ENODEV, EOPNOTSUPP } from '#uapi/errno.ts';
import { IFNAMSIZ, ifreq } from '#uapi/if.ts';
import { sockaddrIn } from '#uapi/in.ts';
import { AF_INET } from '#uapi/socket.ts';
import {
  SIOCGIFADDR,
  SIOCGIFBRDADDR,
  SIOCGIFDSTADDR,
  SIOCGIFNETMASK,
  SIOCSIFFLAGS,
} from '#uapi/sockios.ts';

/** The address that a request means, by its label or the first of the interface. */
function addressOf(net: Net, label: string): InIfaddr | null {
  const dev = __devGetByName(net, label.split(':')[0] as string);
  const list = dev?.ipPtr?.ifaList ?? [];
  return list.find((ifa) => ifa.ifaLabel === label) ?? list[0] ?? null;
}

function setFlags(net: Net, name: string, flags: number): number {
  const dev = __devGetByName(net, name);
  if (dev === null) return -ENODEV;
  rtnlLock(net.machine);
  const err = devChangeFlags(dev, (dev.flags & ~0xffff) | flags);
  rtnlUnlock(net.machine);
  return err;
}

/** @kernel devinet_ioctl net/ipv4/devinet.c */
export function devinetIoctl(net: Net, cmd: number, arg: Uint8Array): number {
  if (arg.length < ifreq.LEN) return -EINVAL;
  const v = new DataView(arg.buffer, arg.byteOffset, arg.length);
  const label = cString(arg.subarray(0, IFNAMSIZ));
  if (cmd === SIOCSIFFLAGS) return setFlags(net, label, ifreq.flags(v, 0));
  if (__devGetByName(net, label.split(':')[0] as string) === null) return -ENODEV;
  const ifa = addressOf(net, label);
  if (ifa === null) return -EADDRNOTAVAIL;
  let addr: number;
  if (cmd === SIOCGIFADDR) addr = ifa.ifaLocal;
  else if (cmd === SIOCGIFBRDADDR) addr = ifa.ifaBroadcast;
  else if (cmd === SIOCGIFDSTADDR) addr = ifa.ifaAddress;
  else if (cmd === SIOCGIFNETMASK) addr = ifa.ifaMask;
  else return -EOPNOTSUPP;
  arg.fill(0, ifreq.UNION, ifreq.UNION + sockaddrIn.LEN);
  sockaddrIn.setFamily(v, ifreq.UNION, AF_INET);
  sockaddrIn.setAddr(v, ifreq.UNION, addr);
  return 0;
}
