/**
 * Cutting packets that are too long for the link. Counterpart of the fragmentation part of
 * net/ipv4/ip_output.c. RFC 791#3.2.
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import { llReservedSpace } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  __skbPush,
  CHECKSUM_NONE,
  CHECKSUM_PARTIAL,
  skbCloned,
  skbHasFragList,
  skbHeadlen,
  skbHeadroom,
  skbReserve,
  skbResetNetworkHeader,
  skbResetTransportHeader,
  skbSetDeliveryTime,
  skbShared,
} from '#include/linux/skbuff.ts';
import { skbDstCopy, skbDstDrop } from '#include/net/dst.ts';
import { icmpSend } from '#include/net/icmp.ts';
import {
  IPSKB_FRAG_COMPLETE,
  IPSKB_FRAG_PMTU,
  ipIncStats,
  ipIsFragment,
  ipSendCheck,
  ipSkbDstMtu,
} from '#include/net/ip.ts';
import { ipOptionsFragment } from '#include/net/ip_options_ops.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { skbRtable } from '#include/net/route.ts';
import type { Sock } from '#include/net/sock.ts';
import { DERIVE_FRAGMENT } from '#include/trace/events/packet.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { mem, view } from '#mm/memory.ts';
import { allocSkb, consumeSkb, kfreeSkb, kfreeSkbList, skbPut } from '#net/core/skbuff.ts';
import { skbChecksumHelp } from '#net/core/skbuff_checksum.ts';
import { skbCopyBits } from '#net/core/skbuff_data.ts';
import { skbSetOwnerW, sockWfree } from '#net/core/sock.ts';
import { EMSGSIZE, ENOMEM } from '#uapi/errno.ts';
import { ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED } from '#uapi/icmp.ts';
import { IP_DF, IP_MF, IP_OFFSET, iphdr } from '#uapi/ip.ts';
import {
  SKB_DROP_REASON_NOMEM,
  SKB_DROP_REASON_NOT_SPECIFIED,
  SKB_DROP_REASON_PKT_TOO_BIG,
} from '#uapi/net_dropreason.ts';
import { IPSTATS_MIB_FRAGCREATES, IPSTATS_MIB_FRAGFAILS, IPSTATS_MIB_FRAGOKS } from '#uapi/snmp.ts';

/** Where each fragment goes. Takes it; 0 or an error. */
export type FragOutput = (net: Net, sk: Sock | null, skb: SkBuff) => number;

/** What a fragment inherits besides its octets. @kernel ip_copy_metadata net/ipv4/ip_output.c */
function ipCopyMetadata(to: SkBuff, from: SkBuff): void {
  to.pktType = from.pktType;
  to.priority = from.priority;
  to.protocol = from.protocol;
  to.skbIif = from.skbIif;
  skbDstDrop(to);
  skbDstCopy(to, from);
  to.dev = from.dev;
  to.mark = from.mark;
  to.hash = from.hash;
  to.swHash = from.swHash;
  to.l4Hash = from.l4Hash;
  to.nfTrace = from.nfTrace;
  if (tracepointKey.enabled)
    from.machine.trace.packet.packetDerive.probe?.(to, from, DERIVE_FRAGMENT);
}

/** Octets in the head and its page fragments, without the frag_list. @kernel skb_pagelen include/linux/skbuff.h */
function skbPagelen(skb: SkBuff): number {
  let len = skbHeadlen(skb);
  for (let i = 0; i < skb.shinfo.nrFrags; i++) len += skb.shinfo.fragSize[i] as number;
  return len;
}

/** May the packets of the frag_list become the fragments just as they are? */
function fragListFits(skb: SkBuff, hlen: number, mtu: number, llRs: number): boolean {
  const first = skbPagelen(skb) - hlen;
  if (first > mtu || (first & 7) !== 0) return false;
  if (ipIsFragment(skb.networkHeader) || skbCloned(skb) || skbHeadroom(skb) < llRs) return false;
  for (let frag = skb.shinfo.fragList; frag !== null; frag = frag.next) {
    if (frag.len > mtu || ((frag.len & 7) !== 0 && frag.next !== null)) return false;
    if (skbHeadroom(frag) < hlen + llRs || skbShared(frag)) return false;
  }
  return true;
}

/** The packets of the frag_list leave the head; each is charged to the sender on its own. */
function detachFragList(skb: SkBuff): SkBuff | null {
  const list = skb.shinfo.fragList;
  for (let frag = list; frag !== null; frag = frag.next) {
    if (skb.sk !== null) {
      frag.sk = skb.sk;
      frag.destructor = sockWfree;
    }
    skb.truesize -= frag.truesize;
  }
  skb.shinfo.fragList = null;
  return list;
}

/**
 * Gives a packet of the list the header of its predecessor `prev`, at `offset` octets.
 * @kernel ip_fraglist_prepare net/ipv4/ip_output.c
 */
function ipFraglistPrepare(prev: SkBuff, frag: SkBuff, hlen: number, offset: number): void {
  const from = prev.networkHeader;
  frag.ipSummed = CHECKSUM_NONE;
  skbResetTransportHeader(frag);
  __skbPush(frag, hlen);
  skbResetNetworkHeader(frag);
  const iph = frag.networkHeader;
  mem.copyWithin(iph, from, from + hlen);
  iphdr.setTotLen(view, iph, frag.len);
  ipCopyMetadata(frag, prev);
  iphdr.setFragOff(view, iph, (offset >> 3) | (frag.next !== null ? IP_MF : 0));
  ipSendCheck(iph);
}

/** The fast path: no octet is copied. @kernel ip_do_fragment net/ipv4/ip_output.c */
function fragmentFast(
  net: Net,
  sk: Sock | null,
  head: SkBuff,
  hlen: number,
  output: FragOutput,
): number {
  const { tstamp, tstampType } = head;
  const hasOptions = head.ipCb.opt.optlen !== 0;
  const firstLen = skbPagelen(head);
  let rest = detachFragList(head);
  head.dataLen = firstLen - skbHeadlen(head);
  head.len = firstLen;
  iphdr.setTotLen(view, head.networkHeader, firstLen);
  iphdr.setFragOff(view, head.networkHeader, IP_MF);
  ipSendCheck(head.networkHeader);
  let skb = head;
  let offset = 0;
  for (;;) {
    const frag: SkBuff | null = rest;
    if (frag !== null) {
      // Before the present one is gone: its header is the model.
      const first = offset === 0;
      frag.ipCb.flags = skb.ipCb.flags;
      offset += skb.len - hlen;
      ipFraglistPrepare(skb, frag, hlen, offset);
      if (first && hasOptions) {
        frag.ipCb.opt.optlen = skb.ipCb.opt.optlen;
        ipOptionsFragment(frag);
        ipSendCheck(frag.networkHeader);
      }
      rest = frag.next;
      frag.next = null;
    }
    skbSetDeliveryTime(skb, tstamp, tstampType);
    const err = output(net, sk, skb);
    if (err !== 0) {
      kfreeSkb(frag, SKB_DROP_REASON_NOT_SPECIFIED, 'ip_do_fragment');
      kfreeSkbList(rest, SKB_DROP_REASON_NOT_SPECIFIED, 'ip_do_fragment');
      ipIncStats(net, IPSTATS_MIB_FRAGFAILS);
      return err;
    }
    ipIncStats(net, IPSTATS_MIB_FRAGCREATES);
    if (frag === null) break;
    skb = frag;
  }
  ipIncStats(net, IPSTATS_MIB_FRAGOKS);
  return 0;
}

/** A new packet with octets `ptr`.. of `skb` behind a copy of its header. @kernel ip_frag_next net/ipv4/ip_output.c */
function ipFragNext(
  skb: SkBuff,
  hlen: number,
  llRs: number,
  ptr: number,
  len: number,
): SkBuff | null {
  const skb2 = allocSkb(skb.machine, len + hlen + llRs);
  if (skb2 === null) return null;
  ipCopyMetadata(skb2, skb);
  skbReserve(skb2, llRs);
  skbPut(skb2, len + hlen);
  skbResetNetworkHeader(skb2);
  skb2.transportHeader = skb2.networkHeader + hlen;
  if (skb.sk !== null) skbSetOwnerW(skb2, skb.sk);
  mem.copyWithin(skb2.networkHeader, skb.data, skb.data + hlen);
  skbCopyBits(skb, ptr, mem, skb2.transportHeader, len);
  return skb2;
}

/** The slow path: copies the octets of each fragment. @kernel ip_do_fragment net/ipv4/ip_output.c */
function fragmentSlow(
  net: Net,
  sk: Sock | null,
  skb: SkBuff,
  hlen: number,
  mtu: number,
  llRs: number,
  output: FragOutput,
): number {
  const { tstamp, tstampType } = skb;
  const word = iphdr.fragOff(view, skb.networkHeader);
  const df = (skb.ipCb.flags & IPSKB_FRAG_PMTU) !== 0 ? IP_DF : 0;
  let offset = (word & IP_OFFSET) << 3;
  let left = skb.len - hlen;
  let ptr = hlen;
  while (left > 0) {
    const first = offset === 0;
    let len = Math.min(left, mtu);
    // All but the last end on a multiple of 8.
    if (len < left) len &= ~7;
    const skb2 = ipFragNext(skb, hlen, llRs, ptr, len);
    if (skb2 === null) return fragmentFailed(net, skb, SKB_DROP_REASON_NOMEM, -ENOMEM);
    left -= len;
    const iph = skb2.networkHeader;
    // A fragment that was cut further is not the last unless it was before.
    const more = left > 0 || (word & IP_MF) !== 0 ? IP_MF : 0;
    iphdr.setFragOff(view, iph, (offset >> 3) | df | more);
    iphdr.setTotLen(view, iph, len + hlen);
    ipSendCheck(iph);
    ptr += len;
    offset += len;
    skb2.ipCb.flags = skb.ipCb.flags;
    // The original loses the options of the first fragment, so that all later copies lack them.
    if (first) ipOptionsFragment(skb);
    skbSetDeliveryTime(skb2, tstamp, tstampType);
    const err = output(net, sk, skb2);
    if (err !== 0) return fragmentFailed(net, skb, SKB_DROP_REASON_NOT_SPECIFIED, err);
    ipIncStats(net, IPSTATS_MIB_FRAGCREATES);
  }
  consumeSkb(skb, 'ip_do_fragment');
  ipIncStats(net, IPSTATS_MIB_FRAGOKS);
  return 0;
}

function fragmentFailed(net: Net, skb: SkBuff, reason: number, err: number): number {
  kfreeSkb(skb, reason, 'ip_do_fragment');
  ipIncStats(net, IPSTATS_MIB_FRAGFAILS);
  return err;
}

/**
 * Cuts a packet to the link's size and hands each fragment to `output`. Takes it.
 * @kernel ip_do_fragment net/ipv4/ip_output.c
 * @rfc 791#3.2
 */
export function ipDoFragment(net: Net, sk: Sock | null, skb: SkBuff, output: FragOutput): number {
  // Nobody can complete the checksum once the packet is in pieces.
  if (skb.ipSummed === CHECKSUM_PARTIAL) {
    const err = skbChecksumHelp(skb);
    if (err !== 0) return fragmentFailed(net, skb, SKB_DROP_REASON_NOMEM, err);
  }
  const hlen = iphdr.hdrlen(view, skb.networkHeader);
  let mtu = ipSkbDstMtu(sk, skb);
  const maxSize = skb.ipCb.fragMaxSize;
  if (maxSize !== 0 && maxSize < mtu) mtu = maxSize;
  mtu -= hlen;
  skb.ipCb.flags |= IPSKB_FRAG_COMPLETE;
  const llRs = llReservedSpace(skbRtable(skb).dev as NetDevice);
  if (skbHasFragList(skb) && fragListFits(skb, hlen, mtu, llRs)) {
    return fragmentFast(net, sk, skb, hlen, output);
  }
  return fragmentSlow(net, sk, skb, hlen, mtu, llRs, output);
}

/**
 * Cuts a packet unless DF forbids it; then its sender is told the link's MTU. Takes it.
 * @kernel ip_fragment net/ipv4/ip_output.c
 * @rfc 1191#4
 */
export function ipFragment(
  net: Net,
  sk: Sock | null,
  skb: SkBuff,
  mtu: number,
  output: FragOutput,
): number {
  const df = (iphdr.fragOff(view, skb.networkHeader) & IP_DF) !== 0;
  const { fragMaxSize } = skb.ipCb;
  if (df && (!skb.ignoreDf || (fragMaxSize !== 0 && fragMaxSize > mtu))) {
    ipIncStats(net, IPSTATS_MIB_FRAGFAILS);
    icmpSend(skb, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, mtu);
    kfreeSkb(skb, SKB_DROP_REASON_PKT_TOO_BIG, 'ip_fragment');
    return -EMSGSIZE;
  }
  return ipDoFragment(net, sk, skb, output);
}
