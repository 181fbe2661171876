/**
 * What a packet of the write queue leaves to the one that has taken its bytes over, transmit
 * timestamps first. Counterpart of tcp_eat_one_skb and tcp_skb_collapse_tstamp in
 * net/ipv4/tcp_output.c.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Sock } from '#include/net/sock.ts';
import { tcpUnlinkWriteQueue } from '#net/ipv4/tcp_output_frag.ts';
import { tcpWmemFreeSkb } from '#net/ipv4/tcp_state.ts';

/** `skb` takes over `next`'s request: it belongs to the last byte. @kernel tcp_skb_collapse_tstamp net/ipv4/tcp_output.c */
export function tcpSkbCollapseTstamp(skb: SkBuff, next: SkBuff): void {
  if (!next.tcpCb.txstampAck && next.shinfo.txFlags === 0) return;
  skb.shinfo.txFlags |= next.shinfo.txFlags;
  skb.shinfo.tskey = next.shinfo.tskey;
  skb.tcpCb.txstampAck = skb.tcpCb.txstampAck || next.tcpCb.txstampAck;
}

/** All bytes of `src` are in `dst` now: it goes. @kernel tcp_eat_one_skb net/ipv4/tcp_output.c */
export function tcpEatOneSkb(sk: Sock, dst: SkBuff, src: SkBuff): void {
  dst.tcpCb.tcpFlags |= src.tcpCb.tcpFlags;
  dst.tcpCb.eor = src.tcpCb.eor;
  tcpSkbCollapseTstamp(dst, src);
  tcpUnlinkWriteQueue(src, sk);
  tcpWmemFreeSkb(sk, src);
}
