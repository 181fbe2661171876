/**
 * What a device can do with a packet, and making the packet such that it can: tag, segments, linear
 * data, checksum. Counterpart of netif_skb_features() and validate_xmit_skb() in net/core/dev.c.
 */
import { __vlanHwaccelClearTag } from '#include/linux/if_vlan.ts';
import {
  NETIF_F_CSUM_MASK,
  NETIF_F_FRAGLIST,
  NETIF_F_GSO_MASK,
  NETIF_F_HW_CSUM,
  NETIF_F_HW_VLAN_CTAG_TX,
  NETIF_F_IP_CSUM,
  NETIF_F_IPV6_CSUM,
  NETIF_F_SG,
  NETIF_F_TSO_MANGLEID,
} from '#include/linux/netdev_features.ts';
import { devCoreStatsTxDroppedInc, type NetDevice } from '#include/linux/netdevice.ts';
import {
  CHECKSUM_NONE,
  CHECKSUM_PARTIAL,
  SKB_GSO_TCPV4,
  type SkBuff,
  skbIsGso,
} from '#include/linux/skbuff.ts';
import { view } from '#mm/memory.ts';
import { canChecksumProtocol, skbGsoOk, skbGsoSegment, skbNetworkProtocol } from '#net/core/gso.ts';
import { consumeSkb, kfreeSkb } from '#net/core/skbuff.ts';
import { skbChecksumHelp } from '#net/core/skbuff_checksum.ts';
import { skbLinearize } from '#net/core/skbuff_copy.ts';
import { vlanInsertTagSetProto } from '#net/core/skbuff_vlan.ts';
import { IP_DF, iphdr } from '#uapi/ip.ts';
import {
  SKB_DROP_REASON_NOMEM,
  SKB_DROP_REASON_SKB_CSUM,
  SKB_DROP_REASON_SKB_GSO_SEG,
} from '#uapi/net_dropreason.ts';

/** Offset of the checksum field in TCP's and in UDP's header. */
const TCP_CHECK_OFFSET = 16;
const UDP_CHECK_OFFSET = 6;

/** Must this GSO packet be cut in software? @kernel netif_needs_gso include/linux/netdevice.h */
export function netifNeedsGso(skb: SkBuff, features: number): boolean {
  return skbIsGso(skb) && (!skbGsoOk(skb, features) || skb.ipSummed !== CHECKSUM_PARTIAL);
}

/** @kernel gso_features_check net/core/dev.c */
function gsoFeaturesCheck(skb: SkBuff, dev: NetDevice, features: number): number {
  const { shinfo } = skb;
  if (shinfo.gsoSegs > dev.gsoMaxSegs || skb.len >= dev.gsoMaxSize || shinfo.gsoType === 0) {
    return features & ~NETIF_F_GSO_MASK;
  }
  let f = features;
  // Identifications may only be mangled where they mean nothing.
  if ((shinfo.gsoType & SKB_GSO_TCPV4) !== 0 && skb.networkHeader >= 0) {
    if ((iphdr.fragOff(view, skb.networkHeader) & IP_DF) === 0) f &= ~NETIF_F_TSO_MANGLEID;
  }
  return f;
}

/** @kernel harmonize_features net/core/dev.c */
function harmonizeFeatures(skb: SkBuff, features: number): number {
  if (skb.ipSummed !== CHECKSUM_NONE && !canChecksumProtocol(features, skbNetworkProtocol(skb))) {
    return features & ~(NETIF_F_CSUM_MASK | NETIF_F_GSO_MASK);
  }
  return features;
}

/** What its device can do with this packet. @kernel netif_skb_features net/core/dev.c */
export function netifSkbFeatures(skb: SkBuff): number {
  const dev = skb.dev as NetDevice;
  let { features } = dev;
  if (skbIsGso(skb)) features = gsoFeaturesCheck(skb, dev, features);
  const check = dev.netdevOps.ndoFeaturesCheck;
  if (check !== null) features &= check(skb, dev, features);
  return harmonizeFeatures(skb, features);
}

/** @kernel skb_needs_linearize include/linux/skbuff.h */
function skbNeedsLinearize(skb: SkBuff, features: number): boolean {
  if (skb.dataLen === 0) return false;
  const { shinfo } = skb;
  return (
    (shinfo.fragList !== null && (features & NETIF_F_FRAGLIST) === 0) ||
    (shinfo.nrFrags > 0 && (features & NETIF_F_SG) === 0)
  );
}

/** Leaves the checksum to the device or fills it in. 0 or a negative errno. @kernel skb_csum_hwoffload_help net/core/dev.c */
export function skbCsumHwoffloadHelp(skb: SkBuff, features: number): number {
  if ((features & NETIF_F_HW_CSUM) !== 0) return 0;
  if ((features & (NETIF_F_IP_CSUM | NETIF_F_IPV6_CSUM)) !== 0) {
    if (skb.csumOffset === TCP_CHECK_OFFSET || skb.csumOffset === UDP_CHECK_OFFSET) return 0;
  }
  return skbChecksumHelp(skb);
}

/** Puts the tag into the frame for devices that cannot. @kernel validate_xmit_vlan net/core/dev.c */
function validateXmitVlan(skb: SkBuff, features: number): SkBuff | null {
  if (!skb.vlanPresent || (features & NETIF_F_HW_VLAN_CTAG_TX) !== 0) return skb;
  const tagged = vlanInsertTagSetProto(skb, skb.vlanProto, skb.vlanTci);
  if (tagged !== null) __vlanHwaccelClearTag(tagged);
  return tagged;
}

function drop(skb: SkBuff, dev: NetDevice, reason: number): null {
  kfreeSkb(skb, reason, 'validate_xmit_skb');
  devCoreStatsTxDroppedInc(dev);
  return null;
}

/**
 * Makes a packet such that the device can send it: the packet, a list of segments linked by `next`,
 * or null when it had to be dropped.
 * @kernel validate_xmit_skb net/core/dev.c
 */
export function validateXmitSkb(packet: SkBuff, dev: NetDevice): SkBuff | null {
  const features = netifSkbFeatures(packet);
  const skb = validateXmitVlan(packet, features);
  if (skb === null) {
    devCoreStatsTxDroppedInc(dev);
    return null;
  }
  if (netifNeedsGso(skb, features)) {
    const segs = skbGsoSegment(skb, features);
    if (typeof segs === 'number') return drop(skb, dev, SKB_DROP_REASON_SKB_GSO_SEG);
    if (segs === null) return skb;
    consumeSkb(skb, 'validate_xmit_skb');
    return segs;
  }
  if (skbNeedsLinearize(skb, features) && skbLinearize(skb) !== 0) {
    return drop(skb, dev, SKB_DROP_REASON_NOMEM);
  }
  if (skb.ipSummed === CHECKSUM_PARTIAL) {
    skb.transportHeader = skb.csumStart;
    if (skbCsumHwoffloadHelp(skb, features) !== 0) {
      return drop(skb, dev, SKB_DROP_REASON_SKB_CSUM);
    }
  }
  return skb;
}
