/** What devices can do with packets. Counterpart of include/linux/netdev_features.h. */

// Features. The numbers are ours (Linux's span 64 bits); the names are Linux's.
export const NETIF_F_SG: number = 1 << 0;
export const NETIF_F_IP_CSUM: number = 1 << 1;
export const NETIF_F_HW_CSUM: number = 1 << 2;
export const NETIF_F_IPV6_CSUM: number = 1 << 3;
export const NETIF_F_HIGHDMA: number = 1 << 4;
export const NETIF_F_FRAGLIST: number = 1 << 5;
export const NETIF_F_GSO: number = 1 << 6;
export const NETIF_F_TSO: number = 1 << 7;
export const NETIF_F_TSO_ECN: number = 1 << 8;
export const NETIF_F_TSO_MANGLEID: number = 1 << 9;
export const NETIF_F_TSO6: number = 1 << 10;
export const NETIF_F_GSO_UDP_L4: number = 1 << 11;
export const NETIF_F_GRO: number = 1 << 12;
export const NETIF_F_LRO: number = 1 << 13;
export const NETIF_F_RXHASH: number = 1 << 14;
export const NETIF_F_RXCSUM: number = 1 << 15;
export const NETIF_F_NOCACHE_COPY: number = 1 << 16;
export const NETIF_F_LOOPBACK: number = 1 << 17;
export const NETIF_F_HW_VLAN_CTAG_TX: number = 1 << 18;
export const NETIF_F_HW_VLAN_CTAG_RX: number = 1 << 19;
export const NETIF_F_GRO_FRAGLIST: number = 1 << 20;
export const NETIF_F_GRO_HW: number = 1 << 21;
export const NETIF_F_LLTX: number = 1 << 22;
export const NETIF_F_VLAN_CHALLENGED: number = 1 << 23;
export const NETIF_F_NETNS_LOCAL: number = 1 << 24;
export const NETIF_F_SCTP_CRC: number = 1 << 25;
export const NETIF_F_GRO_UDP_FWD: number = 1 << 26;
export const NETIF_F_GSO_ROBUST: number = 1 << 27;
export const NETIF_F_GSO_PARTIAL: number = 1 << 28;
export const NETIF_F_GSO_FRAGLIST: number = 1 << 29;
/** Segmentation that leaves the AccECN counter alone. */
export const NETIF_F_GSO_ACCECN: number = 1 << 30;
export const NETIF_F_CSUM_MASK: number = NETIF_F_IP_CSUM | NETIF_F_IPV6_CSUM | NETIF_F_HW_CSUM;
export const NETIF_F_ALL_TSO: number =
  NETIF_F_TSO | NETIF_F_TSO6 | NETIF_F_TSO_ECN | NETIF_F_TSO_MANGLEID;
export const NETIF_F_GSO_SOFTWARE: number =
  NETIF_F_ALL_TSO | NETIF_F_GSO_ACCECN | NETIF_F_GSO_UDP_L4;
/** Every kind of segmentation. */
export const NETIF_F_GSO_MASK: number =
  NETIF_F_ALL_TSO |
  NETIF_F_GSO_UDP_L4 |
  NETIF_F_GSO_ROBUST |
  NETIF_F_GSO_PARTIAL |
  NETIF_F_GSO_FRAGLIST |
  NETIF_F_GSO_ACCECN;
/** Software features that every device has. */
export const NETIF_F_SOFT_FEATURES: number = NETIF_F_GSO | NETIF_F_GRO;
/** Software features that every device can have, off at first. */
export const NETIF_F_SOFT_FEATURES_OFF: number = NETIF_F_GRO_FRAGLIST | NETIF_F_GRO_UDP_FWD;
/** What users may not change. */
export const NETIF_F_NEVER_CHANGE: number =
  NETIF_F_VLAN_CHALLENGED | NETIF_F_LLTX | NETIF_F_NETNS_LOCAL;
