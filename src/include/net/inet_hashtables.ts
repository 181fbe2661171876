/** Hash tables of connections, listeners and ports. Counterpart of include/net/inet_hashtables.h. */

import type { InetBindBucket } from '#include/net/inet_connection_sock.ts';
import type { SockCommon } from '#include/net/sock_common.ts';

/** Slots of the table that spreads the first choice of ephemeral ports (RFC 6056#3.3.4). */
export const INET_TABLE_PERTURB_SIZE = 256;

/** @kernel inet_hashinfo include/net/inet_hashtables.h */
export class InetHashinfo {
  /** Established, time-wait and request sockets, chained by skcNext. Doubles as it fills. */
  ehash: (SockCommon | null)[];
  ehashMask: number;
  ehashCount: number;
  /** Bound ports. Doubles as it fills, too. */
  bhash: (InetBindBucket | null)[];
  bhashMask: number;
  bhashCount: number;
  /** Listeners by port and address. */
  lhash2: (SockCommon | null)[];
  lhash2Mask: number;
  /** Advances with each port chosen, by a hash of the destination. @kernel table_perturb net/ipv4/inet_hashtables.c */
  readonly tablePerturb: Uint32Array;

  /** Sizes are powers of two. */
  constructor(ehashSize: number, bhashSize: number, lhash2Size: number) {
    this.ehash = new Array<SockCommon | null>(ehashSize).fill(null);
    this.ehashMask = ehashSize - 1;
    this.ehashCount = 0;
    this.bhash = new Array<InetBindBucket | null>(bhashSize).fill(null);
    this.bhashMask = bhashSize - 1;
    this.bhashCount = 0;
    this.lhash2 = new Array<SockCommon | null>(lhash2Size).fill(null);
    this.lhash2Mask = lhash2Size - 1;
    this.tablePerturb = new Uint32Array(INET_TABLE_PERTURB_SIZE);
  }
}
