/**
 * What is remembered of peers: rate limits of errors and redirects to them.
 *
 * Counterpart of net/ipv4/inetpeer.c. The peers of a namespace are kept in order of their last use,
 * so that the oldest go first when there are too many, and old ones go when new ones come.
 */
import { InetPeer, InetPeerBase } from '#include/net/inetpeer.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Machine } from '#kernel/machine.ts';

/** Entries looked at for age with each new one. */
const GC_MAX = 32;

/** Life of an entry as the table fills. */
function peerTtl({ netGlobals }: Machine, total: number): number {
  const { inetPeerThreshold, inetPeerMinttl, inetPeerMaxttl } = netGlobals;
  if (total >= inetPeerThreshold) return 0;
  const shorter = Math.floor(((inetPeerMaxttl - inetPeerMinttl) * total) / inetPeerThreshold);
  return inetPeerMaxttl - shorter;
}

/** @kernel inet_peer_gc net/ipv4/inetpeer.c */
function inetPeerGc(
  machine: Machine,
  base: InetPeerBase,
  peers: Map<number, InetPeer>,
  now: number,
): void {
  const ttl = peerTtl(machine, base.total);
  let looked = 0;
  for (const [daddr, peer] of peers) {
    if (++looked > GC_MAX || (now - peer.dtime) >>> 0 < ttl) break;
    peers.delete(daddr);
    base.total--;
  }
}

/** The entry of a peer, made if need be; `vif`: the domain it belongs to. @kernel inet_getpeer_v4 include/net/inetpeer.h */
export function inetGetpeerV4(net: Net, daddr: number, vif: number): InetPeer {
  net.ipv4.peers ??= new InetPeerBase();
  const base = net.ipv4.peers;
  const now = net.machine.jiffies;
  let peers = base.peers.get(vif);
  if (peers === undefined) {
    peers = new Map();
    base.peers.set(vif, peers);
  }
  let peer = peers.get(daddr);
  if (peer === undefined) {
    inetPeerGc(net.machine, base, peers, now);
    peer = new InetPeer(net.machine, daddr, vif);
    base.total++;
    peers.set(daddr, peer);
  } else if (peer.dtime !== now) {
    // To the end: the most recently used.
    peers.delete(daddr);
    peers.set(daddr, peer);
  }
  peer.dtime = now;
  return peer;
}

/** @kernel XRLIM_BURST_FACTOR net/ipv4/inetpeer.c */
const XRLIM_BURST_FACTOR = 6;

/** Takes a token, one of which comes each `timeout` jiffies; false: wait. @kernel inet_peer_xrlim_allow net/ipv4/inetpeer.c */
export function inetPeerXrlimAllow(peer: InetPeer | null, timeout: number): boolean {
  if (peer === null) return true;
  const now = peer.machine.jiffies;
  const tokens = peer.rateTokens + ((now - peer.rateLast) >>> 0);
  peer.rateTokens = Math.min(tokens, XRLIM_BURST_FACTOR * timeout);
  peer.rateLast = now;
  if (peer.rateTokens < timeout) return false;
  peer.rateTokens -= timeout;
  return true;
}

/** Forgets everybody. @kernel inetpeer_invalidate_tree net/ipv4/inetpeer.c */
export function inetpeerInvalidateTree(net: Net): void {
  net.ipv4.peers = null;
}
