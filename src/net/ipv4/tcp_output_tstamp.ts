/**
 * Requests for transmit timestamps when packets are joined. Counterpart of tcp_skb_collapse_tstamp in
 * net/ipv4/tcp_output.c.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';

/** `skb` takes over `next`'s request: it belongs to the last byte. @kernel tcp_skb_collapse_tstamp net/ipv4/tcp_output.c */
export function tcpSkbCollapseTstamp(skb: SkBuff, next: SkBuff): void {
  if (!next.tcpCb.txstampAck && next.shinfo.txFlags === 0) return;
  skb.shinfo.txFlags |= next.shinfo.txFlags;
  skb.shinfo.tskey = next.shinfo.tskey;
  skb.tcpCb.txstampAck = skb.tcpCb.txstampAck || next.tcpCb.txstampAck;
}
