/**
 * IPv4 on devices from their registration to their end, and what is set up at boot.
 *
 * Counterpart of inetdev_event and devinet_init of net/ipv4/devinet.c.
 */
import type { InDevice } from '#include/linux/inetdevice.ts';
import { InIfaddr, inDevArpNotify, inDevConfSet, inetMakeMask } from '#include/linux/inetdevice.ts';
import {
  NETDEV_CHANGEADDR,
  NETDEV_CHANGEMTU,
  NETDEV_CHANGENAME,
  NETDEV_DOWN,
  NETDEV_NOTIFY_PEERS,
  NETDEV_REGISTER,
  NETDEV_UNREGISTER,
  NETDEV_UP,
  type NetDevice,
} from '#include/linux/netdevice.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Machine } from '#kernel/machine.ts';
import { NOTIFY_DONE } from '#kernel/notifier.ts';
import { registerNetdeviceNotifier } from '#net/core/dev.ts';
import { registerPernetSubsys } from '#net/core/net_namespace.ts';
import { arpSend } from '#net/ipv4/arp_xmit.ts';
import {
  inetDelIfa,
  inetdevDestroy,
  inetdevInit,
  inetInsertIfa,
  ipv4DevconfSetall,
} from '#net/ipv4/devinet_addr.ts';
import {
  devconfInit,
  devinetSysctlRegister,
  devinetSysctlUnregister,
} from '#net/ipv4/devinet_conf.ts';
import { AddrCheck, addrCheckStop, setIfaLifetime } from '#net/ipv4/devinet_lifetime.ts';
import { ipMcDown, ipMcUp } from '#net/ipv4/igmp_group.ts';
import { IFF_LOOPBACK } from '#uapi/if.ts';
import { INFINITY_LIFE_TIME } from '#uapi/if_addr.ts';
import { ARPOP_REQUEST } from '#uapi/if_arp.ts';
import { ETH_MIN_MTU, ETH_P_ARP } from '#uapi/if_ether.ts';
import { INADDR_LOOPBACK } from '#uapi/in.ts';
import { IPV4_DEVCONF_NOPOLICY, IPV4_DEVCONF_NOXFRM } from '#uapi/ip.ts';
import { RT_SCOPE_HOST } from '#uapi/rtnetlink.ts';

/** IPv4 needs a link that carries 68 octets. @kernel inetdev_valid_mtu net/ipv4/devinet.c */
function inetdevValidMtu(mtu: number): boolean {
  return mtu >= ETH_MIN_MTU;
}

/** Tells everybody on the link where our addresses are now. @kernel inetdev_send_gratuitous_arp net/ipv4/devinet.c */
function inetdevSendGratuitousArp(dev: NetDevice, inDev: InDevice): void {
  for (const { ifaLocal } of inDev.ifaList) {
    arpSend(ARPOP_REQUEST, ETH_P_ARP, ifaLocal, dev, ifaLocal, null, dev.devAddr, null);
  }
}

/** 127.0.0.1/8, when the loopback device comes up without an address. */
function addLoopbackAddress(dev: NetDevice, inDev: InDevice): void {
  const ifa = new InIfaddr();
  ifa.ifaDev = inDev;
  ifa.ifaAddress = INADDR_LOOPBACK;
  ifa.ifaLocal = INADDR_LOOPBACK;
  ifa.ifaPrefixlen = 8;
  ifa.ifaMask = inetMakeMask(8);
  ifa.ifaScope = RT_SCOPE_HOST;
  ifa.ifaLabel = dev.name;
  setIfaLifetime(dev.net, ifa, INFINITY_LIFE_TIME, INFINITY_LIFE_TIME);
  ipv4DevconfSetall(inDev);
  inetInsertIfa(ifa, 0, null);
}

/** Labels follow the name of the device. @kernel inetdev_changename net/ipv4/devinet.c */
function inetdevChangename(dev: NetDevice, inDev: InDevice): void {
  for (const [i, ifa] of inDev.ifaList.entries()) {
    const colon = ifa.ifaLabel.indexOf(':');
    if (i === 0 || colon < 0) ifa.ifaLabel = i === 0 ? dev.name : `${dev.name}:${i}`;
    else ifa.ifaLabel = (dev.name + ifa.ifaLabel.slice(colon)).slice(0, 15);
  }
}

/** A device without IPv4 so far. */
function startIp(event: number, dev: NetDevice): void {
  if (event === NETDEV_REGISTER) {
    const inDev = inetdevInit(dev);
    if ((dev.flags & IFF_LOOPBACK) !== 0) {
      inDevConfSet(inDev, IPV4_DEVCONF_NOXFRM, 1);
      inDevConfSet(inDev, IPV4_DEVCONF_NOPOLICY, 1);
    }
  } else if (event === NETDEV_CHANGEMTU && inetdevValidMtu(dev.mtu)) {
    inetdevInit(dev);
  }
}

function deviceUp(dev: NetDevice, inDev: InDevice): void {
  if (!inetdevValidMtu(dev.mtu)) return;
  const loopback = (dev.flags & IFF_LOOPBACK) !== 0;
  if (loopback && inDev.ifaList.length === 0) addLoopbackAddress(dev, inDev);
  ipMcUp(inDev);
  if (inDevArpNotify(inDev) !== 0) inetdevSendGratuitousArp(dev, inDev);
}

/** @kernel inetdev_event net/ipv4/devinet.c */
function inetdevEvent(event: number, dev: NetDevice): number {
  const inDev = dev.ipPtr;
  if (inDev === null) {
    startIp(event, dev);
    return NOTIFY_DONE;
  }
  switch (event) {
    case NETDEV_UP:
      deviceUp(dev, inDev);
      break;
    case NETDEV_CHANGEADDR:
      if (inDevArpNotify(inDev) !== 0) inetdevSendGratuitousArp(dev, inDev);
      break;
    case NETDEV_NOTIFY_PEERS:
      inetdevSendGratuitousArp(dev, inDev);
      break;
    case NETDEV_DOWN:
      ipMcDown(inDev);
      break;
    case NETDEV_CHANGEMTU:
      if (!inetdevValidMtu(dev.mtu)) inetdevDestroy(inDev);
      break;
    case NETDEV_UNREGISTER:
      inetdevDestroy(inDev);
      break;
    case NETDEV_CHANGENAME:
      inetdevChangename(dev, inDev);
      devinetSysctlUnregister(inDev);
      devinetSysctlRegister(inDev);
      break;
    default:
      break;
  }
  return NOTIFY_DONE;
}

/** @kernel devinet_init_net net/ipv4/devinet.c */
function devinetInitNet(net: Net): number {
  devconfInit(net);
  net.ipv4.addrCheck = new AddrCheck(net, (ifa) => {
    if (ifa.ifaDev !== null) inetDelIfa(ifa.ifaDev, ifa, 0);
  });
  return 0;
}

/** @kernel devinet_init net/ipv4/devinet.c */
export function devinetInit(machine: Machine): number {
  const err = registerPernetSubsys(machine, {
    name: 'devinet',
    init: devinetInitNet,
    exit: addrCheckStop,
  });
  if (err < 0) return err;
  const notifier = { call: inetdevEvent, priority: 0 };
  registerNetdeviceNotifier(machine, notifier);
  return 0;
}
