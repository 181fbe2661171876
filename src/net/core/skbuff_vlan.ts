/**
 * Packets: VLAN tags between the frame and the packet's fields. Counterpart of skb_vlan_untag() and
 * its relatives in net/core/skbuff.c and include/linux/if_vlan.h. IEEE 802.1Q clause 9.
 */
import {
  type SkBuff,
  skbResetMacLen,
  skbResetNetworkHeader,
  skbResetTransportHeader,
} from '#include/linux/skbuff.ts';
import { mem, view } from '#mm/memory.ts';
import { kfreeSkb, skbPush, skbShareCheck } from '#net/core/skbuff.ts';
import { skbPostpushRcsum, skbPullRcsum } from '#net/core/skbuff_checksum.ts';
import { pskbMayPull, skbCowHead, skbUnclone } from '#net/core/skbuff_copy.ts';
import {
  ETH_ALEN,
  ETH_HLEN,
  ETH_P_802_2,
  ETH_P_802_3,
  ETH_P_802_3_MIN,
  ethhdr,
  vlanhdr,
} from '#uapi/if_ether.ts';
import { SKB_DROP_REASON_NOMEM, SKB_DROP_REASON_NOT_SPECIFIED } from '#uapi/net_dropreason.ts';

/** Notes a tag in the packet's fields, as a device that strips tags does. @kernel __vlan_hwaccel_put_tag include/linux/if_vlan.h */
export function __vlanHwaccelPutTag(skb: SkBuff, vlanProto: number, vlanTci: number): void {
  skb.vlanProto = vlanProto;
  skb.vlanTci = vlanTci;
  skb.vlanPresent = true;
}

/** The protocol behind a tag. @kernel vlan_set_encap_proto include/linux/if_vlan.h */
function vlanSetEncapProto(skb: SkBuff, vhdr: number): void {
  const proto = vlanhdr.encapsulatedProto(view, vhdr);
  if (proto >= ETH_P_802_3_MIN) {
    skb.protocol = proto;
    return;
  }
  // IPX in raw 802.3 frames starts with 0xffff, everything else with 802.2.
  const raw = view.getUint16(vhdr + vlanhdr.LEN);
  skb.protocol = raw === 0xffff ? ETH_P_802_3 : ETH_P_802_2;
}

/**
 * Moves the tag behind the link header into the packet's fields; null when the packet had to be
 * dropped.
 * @kernel skb_vlan_untag net/core/skbuff.c
 */
export function skbVlanUntag(packet: SkBuff): SkBuff | null {
  if (packet.vlanPresent) return packet;
  const skb = skbShareCheck(packet);
  if (!pskbMayPull(skb, vlanhdr.LEN + 2)) {
    kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, 'skb_vlan_untag');
    return null;
  }
  const vhdr = skb.data;
  __vlanHwaccelPutTag(skb, skb.protocol, vlanhdr.tci(view, vhdr));
  vlanSetEncapProto(skb, vhdr);
  skbPullRcsum(skb, vlanhdr.LEN);
  if (skbCowHead(skb, skb.data - skb.macHeader) !== 0) {
    kfreeSkb(skb, SKB_DROP_REASON_NOMEM, 'skb_vlan_untag');
    return null;
  }
  // The addresses close up to the encapsulated type.
  const macLen = skb.data - skb.macHeader;
  if (macLen > vlanhdr.LEN + 2) {
    mem.copyWithin(skb.macHeader + vlanhdr.LEN, skb.macHeader, skb.data - vlanhdr.LEN - 2);
  }
  skb.macHeader += vlanhdr.LEN;
  skbResetNetworkHeader(skb);
  skbResetTransportHeader(skb);
  skbResetMacLen(skb);
  return skb;
}

/**
 * Puts a tag into the frame, whose `data` is at the link header. Null when out of memory; the packet
 * is freed then.
 * @kernel vlan_insert_tag_set_proto include/linux/if_vlan.h
 */
export function vlanInsertTagSetProto(
  skb: SkBuff,
  vlanProto: number,
  vlanTci: number,
): SkBuff | null {
  if (skbCowHead(skb, vlanhdr.LEN) !== 0 || skbUnclone(skb) !== 0) {
    kfreeSkb(skb, SKB_DROP_REASON_NOMEM, 'vlan_insert_tag');
    return null;
  }
  skbPush(skb, vlanhdr.LEN);
  mem.copyWithin(skb.data, skb.data + vlanhdr.LEN, skb.data + vlanhdr.LEN + 2 * ETH_ALEN);
  skb.macHeader -= vlanhdr.LEN;
  ethhdr.setProto(view, skb.data, vlanProto);
  vlanhdr.setTci(view, skb.data + ETH_HLEN, vlanTci);
  skbPostpushRcsum(skb, skb.data + 2 * ETH_ALEN, vlanhdr.LEN);
  skb.protocol = vlanProto;
  return skb;
}
