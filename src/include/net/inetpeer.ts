/** What is remembered of a peer: rate limits. Counterpart of include/net/inetpeer.h. */
import type { Machine } from '#kernel/machine.ts';

/** @kernel inet_peer include/net/inetpeer.h */
export class InetPeer {
  readonly machine: Machine;
  readonly daddr: number;
  readonly vif: number;
  /** Token bucket of ICMP errors and redirects: tokens in jiffies, and when they were counted. */
  rateTokens: number;
  rateLast: number;
  /** Redirects sent in a row. */
  nRedirects: number;
  /** Fragments seen from this peer, for the limit on how far apart those of one datagram may be. */
  rid: number;
  /** Jiffies of the last use. */
  dtime: number;

  constructor(machine: Machine, daddr: number, vif: number) {
    this.machine = machine;
    this.daddr = daddr;
    this.vif = vif;
    this.rateTokens = 0;
    this.rateLast = (machine.jiffies - 60 * 1000) | 0;
    this.nRedirects = 0;
    this.rid = 0;
    this.dtime = machine.jiffies;
  }
}

/** The peers of a namespace, by interface then address; the least recently used first. @kernel inet_peer_base include/net/inetpeer.h */
export class InetPeerBase {
  readonly peers: Map<number, Map<number, InetPeer>> = new Map();
  total = 0;
}
