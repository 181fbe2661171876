/**
 * What the ethtool interface shares between drivers: tables with a slot for everything, the names of
 * the features. Counterpart of net/core/ethtool.c (now net/ethtool/common.c).
 */
import type { EthtoolOps } from '#include/linux/ethtool.ts';
import {
  NETIF_F_FRAGLIST,
  NETIF_F_GRO,
  NETIF_F_GRO_FRAGLIST,
  NETIF_F_GRO_HW,
  NETIF_F_GRO_UDP_FWD,
  NETIF_F_GSO,
  NETIF_F_GSO_ACCECN,
  NETIF_F_GSO_FRAGLIST,
  NETIF_F_GSO_PARTIAL,
  NETIF_F_GSO_ROBUST,
  NETIF_F_GSO_UDP_L4,
  NETIF_F_HIGHDMA,
  NETIF_F_HW_CSUM,
  NETIF_F_HW_VLAN_CTAG_RX,
  NETIF_F_HW_VLAN_CTAG_TX,
  NETIF_F_IP_CSUM,
  NETIF_F_IPV6_CSUM,
  NETIF_F_LLTX,
  NETIF_F_LOOPBACK,
  NETIF_F_LRO,
  NETIF_F_NETNS_LOCAL,
  NETIF_F_NOCACHE_COPY,
  NETIF_F_RXCSUM,
  NETIF_F_RXHASH,
  NETIF_F_SCTP_CRC,
  NETIF_F_SG,
  NETIF_F_TSO,
  NETIF_F_TSO_ECN,
  NETIF_F_TSO_MANGLEID,
  NETIF_F_TSO6,
  NETIF_F_VLAN_CHALLENGED,
} from '#include/linux/netdev_features.ts';
import { type NetDevice, netifCarrierOk } from '#include/linux/netdevice.ts';
import type { Machine } from '#kernel/machine.ts';

/** A driver's table with null in every slot it does not name: all of one shape. */
export function ethtoolOps(ops: Partial<EthtoolOps>): EthtoolOps {
  return {
    getDrvinfo: ops.getDrvinfo ?? null,
    getLink: ops.getLink ?? null,
    getLinkKsettings: ops.getLinkKsettings ?? null,
    getRingparam: ops.getRingparam ?? null,
    setRingparam: ops.setRingparam ?? null,
    getCoalesce: ops.getCoalesce ?? null,
    setCoalesce: ops.setCoalesce ?? null,
    getStrings: ops.getStrings ?? null,
    getEthtoolStats: ops.getEthtoolStats ?? null,
    getChannels: ops.getChannels ?? null,
    setChannels: ops.setChannels ?? null,
    getRxRingCount: ops.getRxRingCount ?? null,
    getRxfhIndirSize: ops.getRxfhIndirSize ?? null,
    getRxfhKeySize: ops.getRxfhKeySize ?? null,
    getRxfh: ops.getRxfh ?? null,
    setRxfh: ops.setRxfh ?? null,
    getRxfhFields: ops.getRxfhFields ?? null,
    setRxfhFields: ops.setRxfhFields ?? null,
    getPrivFlagStrings: ops.getPrivFlagStrings ?? null,
    getPrivFlags: ops.getPrivFlags ?? null,
    setPrivFlags: ops.setPrivFlags ?? null,
  };
}

/** Octets of the key that all devices of a machine begin with. */
const NETDEV_RSS_KEY_LEN = 52;

/** Fills a device's key for its receive hash; random, and for all devices the same. @kernel netdev_rss_key_fill net/ethtool/common.c */
export function netdevRssKeyFill(machine: Machine, buffer: Uint8Array): void {
  const { netGlobals, random } = machine;
  if (netGlobals.netdevRssKey === null) {
    const key = new Uint8Array(NETDEV_RSS_KEY_LEN);
    for (let i = 0; i < key.length; i++) key[i] = random.u32();
    netGlobals.netdevRssKey = key;
  }
  buffer.set(netGlobals.netdevRssKey.subarray(0, buffer.length));
}

/** The queue of an entry of an untouched indirection table. @kernel ethtool_rxfh_indir_default include/linux/ethtool.h */
export function ethtoolRxfhIndirDefault(index: number, rings: number): number {
  return index % rings;
}

/** @kernel ethtool_op_get_link net/ethtool/ioctl.c */
export function ethtoolOpGetLink(dev: NetDevice): boolean {
  return netifCarrierOk(dev);
}

/** Names of the features, as `ethtool -k` prints them. @kernel netdev_features_strings net/ethtool/common.c */
export const netdevFeaturesStrings: readonly (readonly [feature: number, name: string])[] =
  Object.freeze([
    [NETIF_F_SG, 'tx-scatter-gather'],
    [NETIF_F_IP_CSUM, 'tx-checksum-ipv4'],
    [NETIF_F_HW_CSUM, 'tx-checksum-ip-generic'],
    [NETIF_F_IPV6_CSUM, 'tx-checksum-ipv6'],
    [NETIF_F_HIGHDMA, 'highdma'],
    [NETIF_F_FRAGLIST, 'tx-scatter-gather-fraglist'],
    [NETIF_F_HW_VLAN_CTAG_TX, 'tx-vlan-hw-insert'],
    [NETIF_F_HW_VLAN_CTAG_RX, 'rx-vlan-hw-parse'],
    [NETIF_F_VLAN_CHALLENGED, 'vlan-challenged'],
    [NETIF_F_GSO, 'tx-generic-segmentation'],
    [NETIF_F_LLTX, 'tx-lockless'],
    [NETIF_F_NETNS_LOCAL, 'netns-local'],
    [NETIF_F_GRO, 'rx-gro'],
    [NETIF_F_GRO_HW, 'rx-gro-hw'],
    [NETIF_F_LRO, 'rx-lro'],
    [NETIF_F_TSO, 'tx-tcp-segmentation'],
    [NETIF_F_GSO_ROBUST, 'tx-gso-robust'],
    [NETIF_F_TSO_ECN, 'tx-tcp-ecn-segmentation'],
    [NETIF_F_TSO_MANGLEID, 'tx-tcp-mangleid-segmentation'],
    [NETIF_F_TSO6, 'tx-tcp6-segmentation'],
    [NETIF_F_GSO_PARTIAL, 'tx-gso-partial'],
    [NETIF_F_GSO_UDP_L4, 'tx-udp-segmentation'],
    [NETIF_F_GSO_ACCECN, 'tx-tcp-accecn-segmentation'],
    [NETIF_F_GSO_FRAGLIST, 'tx-gso-list'],
    [NETIF_F_SCTP_CRC, 'tx-checksum-sctp'],
    [NETIF_F_RXHASH, 'rx-hashing'],
    [NETIF_F_RXCSUM, 'rx-checksum'],
    [NETIF_F_NOCACHE_COPY, 'tx-nocache-copy'],
    [NETIF_F_LOOPBACK, 'loopback'],
    [NETIF_F_GRO_FRAGLIST, 'rx-gro-list'],
    [NETIF_F_GRO_UDP_FWD, 'rx-udp-gro-forwarding'],
  ] as const);

/** Names of the hash functions, by the bits of ETH_RSS_HASH_*. @kernel rss_hash_func_strings net/ethtool/common.c */
export const rssHashFuncStrings: readonly string[] = Object.freeze(['toeplitz', 'xor', 'crc32']);
