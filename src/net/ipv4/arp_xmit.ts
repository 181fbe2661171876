/**
 * Building and sending ARP messages. Counterpart of arp_create and arp_send of net/ipv4/arp.c.
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import { llReservedSpace } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { skbReserve, skbResetNetworkHeader } from '#include/linux/skbuff.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Sock } from '#include/net/sock.ts';
import { mem, view } from '#mm/memory.ts';
import { devQueueXmit } from '#net/core/dev_tx.ts';
import { allocSkb, kfreeSkb, skbPut } from '#net/core/skbuff.ts';
import { NF_HOOK } from '#net/netfilter/core.ts';
import { IFF_NOARP } from '#uapi/if.ts';
import { arphdr } from '#uapi/if_arp.ts';
import { ETH_P_ARP, ETH_P_IP } from '#uapi/if_ether.ts';
import { SKB_DROP_REASON_DEV_HDR } from '#uapi/net_dropreason.ts';
import { NF_ARP_OUT, NFPROTO_ARP } from '#uapi/netfilter.ts';

/** Octets of a message on this kind of link. @kernel arp_hdr_len include/net/arp.h */
export function arpHdrLen(dev: NetDevice): number {
  return arphdr.LEN + 2 * (dev.addrLen + 4);
}

function putHw(at: number, hw: Uint8Array | null, len: number): number {
  for (let i = 0; i < len; i++) mem[at + i] = hw === null ? 0 : (hw[i] as number);
  return at + len;
}

function putIp(at: number, ip: number): number {
  view.setUint32(at, ip);
  return at + 4;
}

/** A message with its link header, or null. @kernel arp_create net/ipv4/arp.c */
export function arpCreate(
  op: number,
  ptype: number,
  destIp: number,
  dev: NetDevice,
  srcIp: number,
  destHw: Uint8Array | null,
  srcHw: Uint8Array | null,
  targetHw: Uint8Array | null,
): SkBuff | null {
  const headroom = llReservedSpace(dev);
  const len = arpHdrLen(dev);
  const skb = allocSkb(dev.net.machine, headroom + len + dev.neededTailroom);
  if (skb === null) return null;
  skbReserve(skb, headroom);
  skbResetNetworkHeader(skb);
  skbPut(skb, len);
  skb.dev = dev;
  skb.protocol = ETH_P_ARP;
  const from = srcHw ?? dev.devAddr;
  const to = destHw ?? dev.broadcast;
  const created = dev.headerOps?.create(skb, dev, ptype, to, from, skb.len) ?? 0;
  if (created < 0) {
    kfreeSkb(skb, SKB_DROP_REASON_DEV_HDR, 'arp_create');
    return null;
  }
  const arp = skb.networkHeader;
  arphdr.setHrd(view, arp, dev.type);
  arphdr.setPro(view, arp, ETH_P_IP);
  arphdr.setHln(view, arp, dev.addrLen);
  arphdr.setPln(view, arp, 4);
  arphdr.setOp(view, arp, op);
  let at = putHw(arp + arphdr.LEN, from, dev.addrLen);
  at = putIp(at, srcIp);
  at = putHw(at, targetHw, dev.addrLen);
  putIp(at, destIp);
  return skb;
}

/** @kernel arp_xmit_finish net/ipv4/arp.c */
function arpXmitFinish(_net: Net, _sk: Sock | null, skb: SkBuff): number {
  return devQueueXmit(skb);
}

/** @kernel arp_xmit net/ipv4/arp.c */
export function arpXmit(skb: SkBuff): void {
  const dev = skb.dev as NetDevice;
  NF_HOOK(NFPROTO_ARP, NF_ARP_OUT, dev.net, null, skb, null, dev, arpXmitFinish);
}

/** Sends a message; `destHw` null: to everybody. @kernel arp_send net/ipv4/arp.c */
export function arpSend(
  op: number,
  ptype: number,
  destIp: number,
  dev: NetDevice,
  srcIp: number,
  destHw: Uint8Array | null,
  srcHw: Uint8Array | null,
  targetHw: Uint8Array | null,
): void {
  if ((dev.flags & IFF_NOARP) !== 0) return;
  const skb = arpCreate(op, ptype, destIp, dev, srcIp, destHw, srcHw, targetHw);
  if (skb !== null) arpXmit(skb);
}
