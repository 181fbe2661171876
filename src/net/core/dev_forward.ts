/**
 * Packets that one device hands to another inside a machine, or to another machine. Counterpart of
 * dev_forward_skb() in net/core/dev.c and skb_scrub_packet() in net/core/skbuff.c.
 */
import {
  devCoreStatsRxDroppedInc,
  NET_RX_DROP,
  NET_RX_SUCCESS,
  type NetDevice,
} from '#include/linux/netdevice.ts';
import { nfReset, type SkBuff, skbClearTstamp, skbIsGso } from '#include/linux/skbuff.ts';
import { skbDstDrop } from '#include/net/dst.ts';
import { kfreeSkb } from '#net/core/skbuff.ts';
import { skbPostpullRcsum } from '#net/core/skbuff_checksum.ts';
import { pskbMayPull } from '#net/core/skbuff_copy.ts';
import { IFF_UP } from '#uapi/if.ts';
import { ETH_HLEN } from '#uapi/if_ether.ts';
import { PACKET_HOST } from '#uapi/if_packet.ts';
import { SKB_DROP_REASON_NOT_SPECIFIED } from '#uapi/net_dropreason.ts';

const VLAN_HLEN = 4;

/** Removes what belongs to the way so far; with `xnet` also what must not cross namespaces. @kernel skb_scrub_packet net/core/skbuff.c */
export function skbScrubPacket(skb: SkBuff, xnet: boolean): void {
  skb.pktType = PACKET_HOST;
  skb.skbIif = 0;
  skb.ignoreDf = false;
  skbDstDrop(skb);
  nfReset(skb);
  skb.offloadFwdMark = false;
  if (!xnet) return;
  skb.mark = 0;
  skbClearTstamp(skb);
}

/** Would the device take such a frame? @kernel is_skb_forwardable net/core/dev.c */
export function isSkbForwardable(dev: NetDevice, skb: SkBuff): boolean {
  if ((dev.flags & IFF_UP) === 0) return false;
  return skb.len <= dev.mtu + dev.hardHeaderLen + VLAN_HLEN || skbIsGso(skb);
}

/**
 * Makes a frame one that `dev` has received, all but its delivery; `typeTrans` is eth_type_trans().
 * NET_RX_DROP: it has been dropped.
 * @kernel __dev_forward_skb net/core/dev.c
 */
export function __devForwardSkb(
  dev: NetDevice,
  skb: SkBuff,
  typeTrans: (skb: SkBuff, dev: NetDevice) => number,
): number {
  if (!isSkbForwardable(dev, skb) || !pskbMayPull(skb, ETH_HLEN)) {
    devCoreStatsRxDroppedInc(dev);
    kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, '__dev_forward_skb');
    return NET_RX_DROP;
  }
  skbScrubPacket(skb, skb.dev === null || skb.dev.net !== dev.net);
  skb.priority = 0;
  skb.protocol = typeTrans(skb, dev);
  skbPostpullRcsum(skb, skb.macHeader, ETH_HLEN);
  return NET_RX_SUCCESS;
}
