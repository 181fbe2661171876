/** A device that swallows what it is given. Counterpart of drivers/net/dummy.c. */

import { DEVICE_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import {
  NETIF_F_FRAGLIST,
  NETIF_F_GSO_SOFTWARE,
  NETIF_F_HIGHDMA,
  NETIF_F_HW_CSUM,
  NETIF_F_LLTX,
  NETIF_F_SG,
} from '#include/linux/netdev_features.ts';
import {
  devSwNetstatsTxAdd,
  IFF_LIVE_ADDR_CHANGE,
  IFF_NO_QUEUE,
  NETDEV_TX_OK,
  type NetDevice,
  netDeviceOps,
} from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { NetlinkExtAck, NlattrTable, RtnlLinkOps } from '#include/net/rtnetlink.ts';
import type { Machine } from '#kernel/machine.ts';
import { allocNetdevMqs, unregisterNetdevice } from '#net/core/dev_register.ts';
import { ethtoolOps } from '#net/core/ethtool.ts';
import { netifCarrierOff, netifCarrierOn } from '#net/core/link_watch.ts';
import { rtnlLinkRegister } from '#net/core/rtnetlink_kinds.ts';
import { consumeSkb } from '#net/core/skbuff.ts';
import { skbTxTimestamp } from '#net/core/skbuff_tstamp.ts';
import {
  etherSetup,
  ethHwAddrRandom,
  ethMacAddr,
  ethValidateAddr,
  isValidEtherAddr,
} from '#net/ethernet/eth.ts';
import { EADDRNOTAVAIL, EINVAL } from '#uapi/errno.ts';
import { IFF_MULTICAST, IFF_NOARP } from '#uapi/if.ts';
import { ETH_ALEN } from '#uapi/if_ether.ts';
import { IFLA_ADDRESS } from '#uapi/if_link.ts';

/** @kernel dummy_xmit drivers/net/dummy.c */
function dummyXmit(skb: SkBuff, dev: NetDevice): number {
  devSwNetstatsTxAdd(dev, 1, skb.len);
  skbTxTimestamp(skb);
  consumeSkb(skb, 'dummy_xmit');
  return NETDEV_TX_OK;
}

/** @kernel dummy_change_carrier drivers/net/dummy.c */
function dummyChangeCarrier(dev: NetDevice, newCarrier: boolean): number {
  if (newCarrier) netifCarrierOn(dev);
  else netifCarrierOff(dev);
  return 0;
}

const dummyNetdevOps = netDeviceOps({
  ndoStartXmit: dummyXmit,
  ndoValidateAddr: ethValidateAddr,
  ndoSetRxMode: () => {},
  ndoSetMacAddress: ethMacAddr,
  ndoChangeCarrier: dummyChangeCarrier,
});

const dummyEthtoolOps = ethtoolOps({
  getDrvinfo: () => ({ driver: 'dummy', version: '', busInfo: '' }),
});

/** @kernel dummy_setup drivers/net/dummy.c */
function dummySetup(dev: NetDevice): void {
  etherSetup(dev);
  dev.ethtoolOps = dummyEthtoolOps;
  dev.needsFreeNetdev = true;
  dev.flags |= IFF_NOARP;
  dev.flags &= ~IFF_MULTICAST;
  dev.privFlags |= IFF_LIVE_ADDR_CHANGE | IFF_NO_QUEUE;
  dev.features |=
    NETIF_F_SG |
    NETIF_F_FRAGLIST |
    NETIF_F_GSO_SOFTWARE |
    NETIF_F_HW_CSUM |
    NETIF_F_HIGHDMA |
    NETIF_F_LLTX;
  dev.hwFeatures |= dev.features;
  ethHwAddrRandom(dev);
  dev.minMtu = 0;
  dev.maxMtu = 0;
}

/** @kernel dummy_validate drivers/net/dummy.c */
function dummyValidate(tb: NlattrTable, _data: NlattrTable, extack: NetlinkExtAck): number {
  const addr = tb[IFLA_ADDRESS];
  if (addr === undefined) return 0;
  if (addr.length !== ETH_ALEN) return -EINVAL;
  if (isValidEtherAddr(addr)) return 0;
  extack.msg = 'Invalid link address';
  return -EADDRNOTAVAIL;
}

/** An unregistered dummy device; the name may be a pattern. */
export function dummyAlloc(net: Net, name: string): NetDevice {
  return allocNetdevMqs(net, name, dummyNetdevOps, null, dummySetup);
}

/** @kernel dummy_link_ops drivers/net/dummy.c */
const dummyLinkOps: RtnlLinkOps = {
  kind: 'dummy',
  alloc: dummyAlloc,
  validate: dummyValidate,
  newlink: null,
  changelink: null,
  dellink: unregisterNetdevice,
  fillInfo: null,
  maxtype: 0,
};

/**
 * Without a first dummy0, as with the module's numdummies=0.
 * @kernel dummy_init_module drivers/net/dummy.c
 */
export function dummyInit(machine: Machine): number {
  return rtnlLinkRegister(machine, dummyLinkOps);
}

export const dummyModule: KernelModule = {
  name: 'dummy',
  config: 'CONFIG_DUMMY',
  depends: [],
  level: DEVICE_INITCALL,
  init: dummyInit,
  exit: null,
};
