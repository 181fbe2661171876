/**
 * Congestion experienced, set in packets on their way. Counterpart of include/net/inet_ecn.h and
 * include/net/dsfield.h as far as they change packets; here since making a packet writable lies above
 * `include`. RFC 3168.
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import { mem, view } from '#mm/memory.ts';
import { skbEnsureWritable } from '#net/core/skbuff_copy.ts';
import { ETH_P_IP, ETH_P_IPV6 } from '#uapi/if_ether.ts';
import { INET_ECN_CE, INET_ECN_MASK, INET_ECN_NOT_ECT, iphdr } from '#uapi/ip.ts';

/** The DS field with its ECN bits; -1: no IP packet. */
export function skbDsfield(skb: SkBuff): number {
  const at = skb.networkHeader;
  if (skb.protocol === ETH_P_IP) return iphdr.tos(view, at);
  if (skb.protocol === ETH_P_IPV6) return (view.getUint16(at) >> 4) & 0xff;
  return -1;
}

/**
 * Sets congestion experienced. False: the packet cannot be marked.
 * @kernel INET_ECN_set_ce include/net/inet_ecn.h
 */
export function inetEcnSetCe(skb: SkBuff): boolean {
  const dsfield = skbDsfield(skb);
  if (dsfield < 0 || (dsfield & INET_ECN_MASK) === INET_ECN_NOT_ECT) return false;
  if ((dsfield & INET_ECN_MASK) === INET_ECN_CE) return true;
  const length = skb.protocol === ETH_P_IP ? iphdr.LEN : 40;
  if (skbEnsureWritable(skb, skb.networkHeader - skb.data + length) !== 0) return false;
  const at = skb.networkHeader;
  if (skb.protocol === ETH_P_IPV6) {
    mem[at + 1] = (mem[at + 1] ?? 0) | (INET_ECN_CE << 4);
    return true;
  }
  // RFC 1624, 3: the checksum follows the one word that changes.
  const old = view.getUint16(at);
  mem[at + 1] = (mem[at + 1] ?? 0) | INET_ECN_CE;
  let sum = (~iphdr.check(view, at) & 0xffff) + (~old & 0xffff) + view.getUint16(at);
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  iphdr.setCheck(view, at, ~sum & 0xffff);
  return true;
}
