/** VLAN tags that a packet carries beside its bytes. Counterpart of include/linux/if_vlan.h. */
import type { SkBuff } from '#include/linux/skbuff.ts';

/** @kernel skb_vlan_tag_present include/linux/if_vlan.h */
export function skbVlanTagPresent(skb: SkBuff): boolean {
  return skb.vlanPresent;
}

/** @kernel __vlan_hwaccel_clear_tag include/linux/if_vlan.h */
export function __vlanHwaccelClearTag(skb: SkBuff): void {
  skb.vlanPresent = false;
}

/** Bytes of a tag. @kernel VLAN_HLEN include/linux/if_vlan.h */
export const VLAN_HLEN = 4;
