/**
 * Sending to a neighbour: by the cached header when it is confirmed, through resolution when not.
 *
 * Counterpart of the output functions of net/core/neighbour.c and include/net/neighbour.h.
 */

import type { NetDevice } from '#include/linux/netdevice.ts';
import { NET_XMIT_DROP } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Neighbour } from '#include/net/neighbour.ts';
import { mem } from '#mm/memory.ts';
import { devQueueXmit } from '#net/core/dev_tx.ts';
import { neighEventSend } from '#net/core/neighbour_nud.ts';
import { kfreeSkb } from '#net/core/skbuff.ts';
import { EINVAL } from '#uapi/errno.ts';
import { NUD_CONNECTED } from '#uapi/neighbour.ts';
import { SKB_DROP_REASON_NEIGH_HH_FILLFAIL } from '#uapi/net_dropreason.ts';

/** Moves `data` to the network header, whatever was pushed before it. */
function pullToNetwork(skb: SkBuff): void {
  const offset = skb.networkHeader - skb.data;
  skb.data += offset;
  skb.len -= offset;
}

/** Pushes the link header for `daddr`; negative when the device cannot. */
function hardHeader(skb: SkBuff, dev: NetDevice, daddr: Uint8Array): number {
  const ops = dev.headerOps;
  return ops === null ? 0 : ops.create(skb, dev, skb.protocol, daddr, null, skb.len);
}

function sendTo(neigh: Neighbour, skb: SkBuff, location: string): number {
  pullToNetwork(skb);
  if (hardHeader(skb, neigh.dev, neigh.ha) >= 0) return devQueueXmit(skb);
  kfreeSkb(skb, SKB_DROP_REASON_NEIGH_HH_FILLFAIL, location);
  return -EINVAL;
}

/** Lets the device prepare the header that every packet to this neighbour gets. @kernel neigh_hh_init net/core/neighbour.c */
function neighHhInit(neigh: Neighbour): void {
  const cache = neigh.dev.headerOps?.cache ?? null;
  if (cache !== null && neigh.hhLen === 0) cache(neigh, neigh.tbl.protocol);
}

/** Slow and careful: asks, waits, and sends what is known. @kernel neigh_resolve_output net/core/neighbour.c */
export function neighResolveOutput(neigh: Neighbour, skb: SkBuff): number {
  if (neighEventSend(neigh, skb) !== 0) return 0;
  neighHhInit(neigh);
  return sendTo(neigh, skb, 'neigh_resolve_output');
}

/** The address is confirmed. @kernel neigh_connected_output net/core/neighbour.c */
export function neighConnectedOutput(neigh: Neighbour, skb: SkBuff): number {
  return sendTo(neigh, skb, 'neigh_connected_output');
}

/** The device has no link header. @kernel neigh_direct_output net/core/neighbour.c */
export function neighDirectOutput(_neigh: Neighbour, skb: SkBuff): number {
  return devQueueXmit(skb);
}

/** Puts the cached header before the packet and sends it. @kernel neigh_hh_output include/net/neighbour.h */
function neighHhOutput(neigh: Neighbour, skb: SkBuff): number {
  const len = neigh.hhLen;
  const start = skb.data - len;
  if (start < skb.head) {
    kfreeSkb(skb, SKB_DROP_REASON_NEIGH_HH_FILLFAIL, 'neigh_hh_output');
    return NET_XMIT_DROP;
  }
  const hh = neigh.hhData;
  for (let i = 0; i < len; i++) mem[start + i] = hh[i] as number;
  skb.data = start;
  skb.len += len;
  return devQueueXmit(skb);
}

/** Sends a packet whose `data` is at the network header. Takes the packet. @kernel neigh_output include/net/neighbour.h */
export function neighOutput(neigh: Neighbour, skb: SkBuff, skipCache: boolean): number {
  if (!skipCache && (neigh.nudState & NUD_CONNECTED) !== 0 && neigh.hhLen !== 0) {
    return neighHhOutput(neigh, skb);
  }
  return neigh.output(neigh, skb);
}
