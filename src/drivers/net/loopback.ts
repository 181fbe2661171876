/**
 * The loopback device of each namespace: what is sent comes back at once. Counterpart of
 * drivers/net/loopback.c.
 */
import {
  NETIF_F_FRAGLIST,
  NETIF_F_GSO_SOFTWARE,
  NETIF_F_HIGHDMA,
  NETIF_F_HW_CSUM,
  NETIF_F_LLTX,
  NETIF_F_LOOPBACK,
  NETIF_F_NETNS_LOCAL,
  NETIF_F_RXCSUM,
  NETIF_F_SCTP_CRC,
  NETIF_F_SG,
  NETIF_F_VLAN_CHALLENGED,
} from '#include/linux/netdev_features.ts';
import {
  GSO_MAX_SIZE,
  IFF_LIVE_ADDR_CHANGE,
  IFF_NO_QUEUE,
  NET_RX_SUCCESS,
  NETDEV_TX_OK,
  type NetDevice,
  netDeviceOps,
  netifKeepDst,
  type RtnlLinkStats64,
} from '#include/linux/netdevice.ts';
import { type SkBuff, skbClearTstamp, skbOrphan } from '#include/linux/skbuff.ts';
import { skbDstForce } from '#include/net/dst.ts';
import { LOOPBACK_IFINDEX } from '#include/net/flow.ts';
import type { Net, PernetOperations } from '#include/net/net_namespace.ts';
import { KernelBug } from '#kernel/bug.ts';
import type { Machine } from '#kernel/machine.ts';
import { __netifRx } from '#net/core/dev_backlog.ts';
import {
  allocNetdevMqs,
  defaultDeviceExit,
  freeNetdev,
  registerNetdev,
} from '#net/core/dev_register.ts';
import { ethtoolOps } from '#net/core/ethtool.ts';
import { registerPernetSubsys } from '#net/core/net_namespace.ts';
import { skbTxTimestamp } from '#net/core/skbuff_tstamp.ts';
import { ethHeaderOps, ethMacAddr, ethTypeTrans } from '#net/ethernet/eth.ts';
import { IFF_LOOPBACK } from '#uapi/if.ts';
import { ARPHRD_LOOPBACK } from '#uapi/if_arp.ts';
import { ETH_ALEN, ETH_HLEN } from '#uapi/if_ether.ts';

const LOOPBACK_MTU: number = 64 * 1024;

/** The higher layers take this packet back. @kernel loopback_xmit drivers/net/loopback.c */
function loopbackXmit(skb: SkBuff, dev: NetDevice): number {
  skbTxTimestamp(skb);
  // A departure time must not be taken for a time of arrival.
  skbClearTstamp(skb);
  skbOrphan(skb);
  // Before queueing the packet: the reference could be of the sender's RCU section only.
  skbDstForce(skb);
  skb.protocol = ethTypeTrans(skb, dev);
  const { len } = skb;
  if (__netifRx(skb) === NET_RX_SUCCESS) {
    dev.stats.rxPackets++;
    dev.stats.rxBytes += len;
  }
  return NETDEV_TX_OK;
}

/** What was received is what was sent. @kernel loopback_get_stats64 drivers/net/loopback.c */
function loopbackGetStats64(dev: NetDevice, stats: RtnlLinkStats64): void {
  stats.rxPackets = dev.stats.rxPackets;
  stats.txPackets = dev.stats.rxPackets;
  stats.rxBytes = dev.stats.rxBytes;
  stats.txBytes = dev.stats.rxBytes;
}

/** @kernel loopback_dev_free drivers/net/loopback.c */
function loopbackDevFree(dev: NetDevice): void {
  dev.net.loopbackDev = null;
}

const loopbackOps = netDeviceOps({
  ndoStartXmit: loopbackXmit,
  ndoGetStats64: loopbackGetStats64,
  ndoSetMacAddress: ethMacAddr,
});

const loopbackEthtoolOps = ethtoolOps({ getLink: () => true });

/** @kernel gen_lo_setup drivers/net/loopback.c */
function loopbackSetup(dev: NetDevice): void {
  dev.mtu = LOOPBACK_MTU;
  dev.hardHeaderLen = ETH_HLEN;
  dev.addrLen = ETH_ALEN;
  dev.type = ARPHRD_LOOPBACK;
  dev.tsoMaxSize = GSO_MAX_SIZE;
  dev.flags = IFF_LOOPBACK;
  dev.privFlags |= IFF_LIVE_ADDR_CHANGE | IFF_NO_QUEUE;
  netifKeepDst(dev);
  dev.hwFeatures = NETIF_F_GSO_SOFTWARE;
  dev.features =
    NETIF_F_SG |
    NETIF_F_FRAGLIST |
    NETIF_F_GSO_SOFTWARE |
    NETIF_F_HW_CSUM |
    NETIF_F_RXCSUM |
    NETIF_F_SCTP_CRC |
    NETIF_F_HIGHDMA |
    NETIF_F_LLTX |
    NETIF_F_NETNS_LOCAL |
    NETIF_F_VLAN_CHALLENGED |
    NETIF_F_LOOPBACK;
  dev.ethtoolOps = loopbackEthtoolOps;
  dev.headerOps = ethHeaderOps;
  dev.needsFreeNetdev = true;
  dev.privDestructor = loopbackDevFree;
}

/** @kernel loopback_net_init drivers/net/loopback.c */
function loopbackNetInit(net: Net): number {
  const dev = allocNetdevMqs(net, 'lo', loopbackOps, null, loopbackSetup);
  const err = registerNetdev(dev);
  if (err !== 0) {
    freeNetdev(dev);
    return err;
  }
  if (dev.ifindex !== LOOPBACK_IFINDEX) {
    throw new KernelBug('loopback-ifindex', `lo has index ${dev.ifindex}`);
  }
  net.loopbackDev = dev;
  return 0;
}

const loopbackNetOps: PernetOperations = {
  name: 'loopback_net_ops',
  init: loopbackNetInit,
  exit: null,
};

/** Undone first of all: protocols see their devices go. @kernel default_device_ops net/core/dev.c */
const defaultDeviceOps: PernetOperations = {
  name: 'default_device_ops',
  init: () => 0,
  exit: defaultDeviceExit,
};

/** After the protocols, before other drivers. 0 or a negative errno. */
export function loopbackInit(machine: Machine): number {
  const err = registerPernetSubsys(machine, loopbackNetOps);
  return err !== 0 ? err : registerPernetSubsys(machine, defaultDeviceOps);
}
