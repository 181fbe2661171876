/**
 * Merging of datagrams. Counterpart of the receive half of net/ipv4/udp_offload.c.
 *
 * Datagrams have borders, so they are merged only for who can tell them apart: a socket with UDP_GRO,
 * which learns the size of each, or a device that forwards them (`rx-udp-gro-forwarding`), before whose
 * neighbour they are cut again. A list of whole packets (`rx-gro-list`) is cheapest to cut.
 */
import { NETIF_F_GRO_FRAGLIST, NETIF_F_GRO_UDP_FWD } from '#include/linux/netdev_features.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import {
  CHECKSUM_PARTIAL,
  SKB_GSO_FRAGLIST,
  SKB_GSO_UDP_L4,
  type SkBuff,
  type SkBuffHead,
} from '#include/linux/skbuff.ts';
import { inetGroFlush } from '#include/net/gro.ts';
import type { UdpSock } from '#include/net/udp.ts';
import { view } from '#mm/memory.ts';
import {
  skbGroHeader,
  skbGroLen,
  skbGroOffset,
  skbGroPull,
  skbGroReceive,
  skbGroReceiveList,
} from '#net/core/gro.ts';
import { inetPseudoSum, skbGroChecksumValidate } from '#net/core/gro_checksum.ts';
import { __skbIncrChecksumUnnecessary } from '#net/core/skbuff_checksum.ts';
import { pskbMayPull } from '#net/core/skbuff_copy.ts';
import { __udp4LibLookup } from '#net/ipv4/udp_table.ts';
import { IPPROTO_UDP } from '#uapi/in.ts';
import { iphdr } from '#uapi/ip.ts';
import { udphdr } from '#uapi/udp.ts';

/** Most datagrams of one merged packet. @kernel UDP_GRO_CNT_MAX net/ipv4/udp_offload.c */
const UDP_GRO_CNT_MAX = 64;
const CHECK_OFFSET = 6;

/** Adds a datagram to the held packet: 0 or a negative errno. */
function append(p: SkBuff, skb: SkBuff): number {
  if (!skb.groCb.isFlist) return skbGroReceive(p, skb);
  skb.networkHeader = skb.data + skb.groCb.networkOffset;
  return skbGroReceiveList(p, skb);
}

/** Can a list hold both? Its packets share what is known of their sums. */
function listAgrees(p: SkBuff, skb: SkBuff): boolean {
  return (
    pskbMayPull(skb, skbGroOffset(skb)) &&
    skb.ipSummed === p.ipSummed &&
    skb.csumLevel === p.csumLevel
  );
}

/**
 * Adds the datagram to the held packet of its flow. The packet to flush, or null.
 * @kernel udp_gro_receive_segment net/ipv4/udp_offload.c
 */
function udpGroReceiveSegment(head: SkBuffHead, skb: SkBuff, uh: number): SkBuff | null {
  const cb = skb.groCb;
  const ulen = udphdr.len(view, uh);
  // Without a checksum it could not be cut again as it was; padded ones are not looked at.
  if (udphdr.check(view, uh) === 0 || ulen <= udphdr.LEN || ulen !== skbGroLen(skb)) {
    cb.flush = 1;
    return null;
  }
  skbGroPull(skb, udphdr.LEN);
  for (let p = head.next; p !== null; p = p.next) {
    if (!p.groCb.sameFlow) continue;
    const uh2 = p.transportHeader;
    if (view.getInt32(uh) !== view.getInt32(uh2)) {
      p.groCb.sameFlow = false;
      continue;
    }
    if (cb.isFlist !== p.groCb.isFlist) {
      cb.flush = 1;
      return p;
    }
    const held = udphdr.len(view, uh2);
    // A longer one begins a packet of its own; a shorter one is the last of this.
    if (ulen > held || inetGroFlush(skb, p)) return p;
    if (cb.isFlist && !listAgrees(p, skb)) {
      cb.flush = 1;
      return null;
    }
    const err = append(p, skb);
    return err !== 0 || ulen !== held || p.groCb.count >= UDP_GRO_CNT_MAX ? p : null;
  }
  return null;
}

/** The socket that the datagram is for, when any socket wants them merged. @kernel udp4_gro_lookup_skb net/ipv4/udp_offload.c */
function udp4GroLookup(skb: SkBuff, iph: number, uh: number): UdpSock | null {
  const dev = skb.dev as NetDevice;
  const { net } = dev;
  if (net.machine.netGlobals.udpEncapNeeded === 0) return null;
  const [saddr, daddr] = [iphdr.saddr(view, iph), iphdr.daddr(view, iph)];
  const [sport, dport] = [udphdr.source(view, uh), udphdr.dest(view, uh)];
  return __udp4LibLookup(net, saddr, sport, daddr, dport, dev.ifindex, null);
}

/** Does somebody want datagrams of this device merged? Mostly not, and then they pass at once. */
function nobodyMerges(skb: SkBuff): boolean {
  const { features } = skb.dev as NetDevice;
  return (
    (features & (NETIF_F_GRO_FRAGLIST | NETIF_F_GRO_UDP_FWD)) === 0 &&
    skb.machine.netGlobals.udpEncapNeeded === 0
  );
}

/**
 * The packet to flush, or null; the datagram itself passes when `flush` is set.
 * @kernel udp4_gro_receive net/ipv4/udp_offload.c
 * @kernel udp_gro_receive net/ipv4/udp_offload.c
 */
export function udp4GroReceive(head: SkBuffHead, skb: SkBuff): SkBuff | null {
  const cb = skb.groCb;
  const off = skbGroOffset(skb);
  const uh = nobodyMerges(skb) ? 0 : skbGroHeader(skb, off + udphdr.LEN, off);
  if (uh === 0) {
    cb.flush = 1;
    return null;
  }
  const summed = cb.flush !== 0 || udphdr.check(view, uh) === 0;
  if (!summed && !skbGroChecksumValidate(skb, IPPROTO_UDP)) {
    cb.flush = 1;
    return null;
  }
  const { features } = skb.dev as NetDevice;
  const sk = udp4GroLookup(skb, skb.data + cb.networkOffset, uh);
  cb.isFlist = (features & NETIF_F_GRO_FRAGLIST) !== 0 && (sk === null || !sk.groEnabled);
  const forward = sk === null && (features & NETIF_F_GRO_UDP_FWD) !== 0;
  if (forward || cb.isFlist || sk?.groEnabled === true) return udpGroReceiveSegment(head, skb, uh);
  cb.flush = 1;
  return null;
}

/** Mends the header of merged datagrams. @kernel udp4_gro_complete net/ipv4/udp_offload.c */
export function udp4GroComplete(skb: SkBuff, nhoff: number): number {
  const uh = skb.data + nhoff;
  const { shinfo, groCb } = skb;
  const len = skb.len - nhoff;
  udphdr.setLen(view, uh, len);
  shinfo.gsoSegs = groCb.count;
  if (groCb.isFlist) {
    shinfo.gsoType |= SKB_GSO_FRAGLIST | SKB_GSO_UDP_L4;
    __skbIncrChecksumUnnecessary(skb);
    return 0;
  }
  shinfo.gsoType |= SKB_GSO_UDP_L4;
  udphdr.setCheck(view, uh, inetPseudoSum(skb.data + groCb.networkOffset, len, IPPROTO_UDP));
  skb.csumStart = uh;
  skb.csumOffset = CHECK_OFFSET;
  skb.ipSummed = CHECKSUM_PARTIAL;
  return 0;
}
