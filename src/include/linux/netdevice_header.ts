/** How a kind of link writes and reads its headers. Counterpart of a part of include/linux/netdevice.h. */
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Neighbour } from '#include/net/neighbour.ts';

/** Link-layer header operations. @kernel header_ops include/linux/netdevice.h */
export interface HeaderOps {
  /** Pushes a link header; `daddr`/`saddr` null mean unknown / the device's. Negative: incomplete. */
  create(
    skb: SkBuff,
    dev: NetDevice,
    type: number,
    daddr: Uint8Array | null,
    saddr: Uint8Array | null,
    len: number,
  ): number;
  /** Copies the sender's address of a received packet to `haddr`; returns its length. */
  parse(skb: SkBuff, haddr: Uint8Array): number;
  /** Fills the cached header of a neighbour. 0, or negative when it cannot be cached. */
  cache: ((neigh: Neighbour, protocol: number) => number) | null;
  cacheUpdate: ((neigh: Neighbour, dev: NetDevice, haddr: Uint8Array) => void) | null;
  parseProtocol: ((skb: SkBuff) => number) | null;
}
