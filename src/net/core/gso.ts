/**
 * Generic segmentation offload: cutting large packets just before the device, and the sizes of what
 * will be cut. Counterpart of net/core/gso.c. Protocols register how they are cut as packet_offload.
 */
import {
  NETIF_F_FRAGLIST,
  NETIF_F_GSO_ACCECN,
  NETIF_F_GSO_FRAGLIST,
  NETIF_F_GSO_ROBUST,
  NETIF_F_GSO_UDP_L4,
  NETIF_F_HW_CSUM,
  NETIF_F_IP_CSUM,
  NETIF_F_IPV6_CSUM,
  NETIF_F_TSO,
  NETIF_F_TSO_ECN,
  NETIF_F_TSO_MANGLEID,
  NETIF_F_TSO6,
} from '#include/linux/netdev_features.ts';
import {
  __skbPush,
  CHECKSUM_NONE,
  CHECKSUM_PARTIAL,
  CHECKSUM_UNNECESSARY,
  SKB_GSO_DODGY,
  SKB_GSO_FRAGLIST,
  SKB_GSO_TCP_ACCECN,
  SKB_GSO_TCP_ECN,
  SKB_GSO_TCP_FIXEDID,
  SKB_GSO_TCPV4,
  SKB_GSO_TCPV6,
  SKB_GSO_UDP_L4,
  type SkBuff,
  skbIsGsoTcp,
  skbResetMacHeader,
  skbResetMacLen,
} from '#include/linux/skbuff.ts';
import { view } from '#mm/memory.ts';
import { skbPull } from '#net/core/skbuff.ts';
import { pskbMayPull, skbCowHead } from '#net/core/skbuff_copy.ts';
import { EINVAL, EPROTONOSUPPORT } from '#uapi/errno.ts';
import {
  ETH_HLEN,
  ETH_P_8021AD,
  ETH_P_8021Q,
  ETH_P_IP,
  ETH_P_IPV6,
  ETH_P_TEB,
  ethhdr,
  vlanhdr,
} from '#uapi/if_ether.ts';
import { tcphdr } from '#uapi/tcp.ts';
import { udphdr } from '#uapi/udp.ts';

/** Most tags that are looked through. */
const MAX_VLAN_DEPTH = 8;

/** Bytes of link header that skbNetworkProtocol() has looked through. */
function vlanDepth(skb: SkBuff): number {
  let type = skb.protocol;
  let depth = skb.macLen;
  if (type === ETH_P_TEB) {
    if (!pskbMayPull(skb, ethhdr.LEN)) return -1;
    type = ethhdr.proto(view, skb.data);
  }
  if (type !== ETH_P_8021Q && type !== ETH_P_8021AD) return depth;
  if (depth !== 0) {
    if (depth < vlanhdr.LEN) return -1;
    depth -= vlanhdr.LEN;
  } else {
    depth = ETH_HLEN;
  }
  for (let i = 0; i < MAX_VLAN_DEPTH; i++) {
    if (!pskbMayPull(skb, depth + vlanhdr.LEN)) return -1;
    type = vlanhdr.encapsulatedProto(view, skb.data + depth);
    depth += vlanhdr.LEN;
    if (type !== ETH_P_8021Q && type !== ETH_P_8021AD) return depth;
  }
  return -1;
}

/** The EtherType behind all tags; 0 when malformed. @kernel skb_network_protocol net/core/dev.c */
export function skbNetworkProtocol(skb: SkBuff): number {
  const type = skb.protocol;
  if (type !== ETH_P_8021Q && type !== ETH_P_8021AD && type !== ETH_P_TEB) return type;
  const depth = vlanDepth(skb);
  if (depth < 0) return 0;
  return type === ETH_P_TEB && depth === skb.macLen
    ? ethhdr.proto(view, skb.data)
    : vlanhdr.encapsulatedProto(view, skb.data + depth - vlanhdr.LEN);
}

/** Can a device sum packets of this protocol? @kernel can_checksum_protocol include/linux/netdevice.h */
export function canChecksumProtocol(features: number, protocol: number): boolean {
  if ((features & NETIF_F_HW_CSUM) !== 0) return true;
  if (protocol === ETH_P_IP) return (features & NETIF_F_IP_CSUM) !== 0;
  return protocol === ETH_P_IPV6 && (features & NETIF_F_IPV6_CSUM) !== 0;
}

/** The features that segmenting such a packet takes; -1: no device has them. */
function gsoTypeFeatures(gsoType: number): number {
  const known =
    SKB_GSO_TCPV4 |
    SKB_GSO_DODGY |
    SKB_GSO_TCP_ECN |
    SKB_GSO_TCP_FIXEDID |
    SKB_GSO_TCPV6 |
    SKB_GSO_UDP_L4 |
    SKB_GSO_FRAGLIST |
    SKB_GSO_TCP_ACCECN;
  if ((gsoType & ~known) !== 0) return -1;
  let f = 0;
  if ((gsoType & SKB_GSO_TCPV4) !== 0) f |= NETIF_F_TSO;
  if ((gsoType & SKB_GSO_DODGY) !== 0) f |= NETIF_F_GSO_ROBUST;
  if ((gsoType & SKB_GSO_TCP_ECN) !== 0) f |= NETIF_F_TSO_ECN;
  if ((gsoType & SKB_GSO_TCP_FIXEDID) !== 0) f |= NETIF_F_TSO_MANGLEID;
  if ((gsoType & SKB_GSO_TCPV6) !== 0) f |= NETIF_F_TSO6;
  if ((gsoType & SKB_GSO_UDP_L4) !== 0) f |= NETIF_F_GSO_UDP_L4;
  if ((gsoType & SKB_GSO_TCP_ACCECN) !== 0) f |= NETIF_F_GSO_ACCECN;
  if ((gsoType & SKB_GSO_FRAGLIST) !== 0) f |= NETIF_F_GSO_FRAGLIST;
  return f;
}

/** @kernel net_gso_ok include/linux/netdevice.h */
export function netGsoOk(features: number, gsoType: number): boolean {
  const needed = gsoTypeFeatures(gsoType);
  return needed !== -1 && (features & needed) === needed;
}

/** @kernel skb_gso_ok include/linux/netdevice.h */
export function skbGsoOk(skb: SkBuff, features: number): boolean {
  return (
    netGsoOk(features, skb.shinfo.gsoType) &&
    (skb.shinfo.fragList === null || (features & NETIF_F_FRAGLIST) !== 0)
  );
}

/** Segments behind the link header. @kernel skb_mac_gso_segment net/core/gso.c */
export function skbMacGsoSegment(skb: SkBuff, features: number): SkBuff | null | number {
  const type = skbNetworkProtocol(skb);
  const depth = vlanDepth(skb);
  if (type === 0 || depth < 0 || skbPull(skb, depth) === 0) return -EINVAL;
  let segs: SkBuff | null | number = -EPROTONOSUPPORT;
  for (const offload of skb.machine.netGlobals.offloadBase) {
    if (offload.type === type && offload.callbacks.gsoSegment !== null) {
      segs = offload.callbacks.gsoSegment(skb, features);
      break;
    }
  }
  __skbPush(skb, skb.data - skb.macHeader);
  return segs;
}

/** Is the checksum of such a packet not in the state that cutting needs? @kernel skb_needs_check net/core/gso.c */
function skbNeedsCheck(skb: SkBuff, txPath: boolean): boolean {
  if (txPath) return skb.ipSummed !== CHECKSUM_PARTIAL && skb.ipSummed !== CHECKSUM_UNNECESSARY;
  return skb.ipSummed === CHECKSUM_NONE;
}

/** @kernel __skb_gso_segment net/core/gso.c */
export function __skbGsoSegment(
  skb: SkBuff,
  features: number,
  txPath: boolean,
): SkBuff | null | number {
  if (skbNeedsCheck(skb, txPath)) {
    const err = skbCowHead(skb, 0);
    if (err < 0) return err;
  }
  skbResetMacHeader(skb);
  skbResetMacLen(skb);
  return skbMacGsoSegment(skb, features);
}

/** Cuts a packet whose `data` is at the link header: a list, null (not needed) or an errno. @kernel skb_gso_segment include/net/gso.h */
export function skbGsoSegment(skb: SkBuff, features: number): SkBuff | null | number {
  return __skbGsoSegment(skb, features, true);
}

/** Length in bytes of a segment's transport header and payload. @kernel skb_gso_transport_seglen net/core/gso.c */
export function skbGsoTransportSeglen(skb: SkBuff): number {
  const { shinfo } = skb;
  let thlen = 0;
  if (skbIsGsoTcp(skb)) thlen = tcphdr.hdrlen(view, skb.transportHeader);
  else if ((shinfo.gsoType & SKB_GSO_UDP_L4) !== 0) thlen = udphdr.LEN;
  return thlen + shinfo.gsoSize;
}

/** @kernel skb_gso_network_seglen net/core/gso.c */
export function skbGsoNetworkSeglen(skb: SkBuff): number {
  return skb.transportHeader - skb.networkHeader + skbGsoTransportSeglen(skb);
}

/** @kernel skb_gso_mac_seglen net/core/gso.c */
export function skbGsoMacSeglen(skb: SkBuff): number {
  return skb.transportHeader - skb.macHeader + skbGsoTransportSeglen(skb);
}

/** Do the segments, as network packets, fit an MTU? @kernel skb_gso_validate_network_len net/core/gso.c */
export function skbGsoValidateNetworkLen(skb: SkBuff, mtu: number): boolean {
  return skbGsoNetworkSeglen(skb) <= mtu;
}

/** @kernel skb_gso_validate_mac_len net/core/gso.c */
export function skbGsoValidateMacLen(skb: SkBuff, len: number): boolean {
  return skbGsoMacSeglen(skb) <= len;
}
