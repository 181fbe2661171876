/** Hash tables of connections, listeners and ports. Counterpart of include/net/inet_hashtables.h. */
import type { InetBindBucket } from '#include/net/inet_connection_sock.ts';
import type { SockCommon } from '#include/net/sock.ts';

/** @kernel inet_hashinfo include/net/inet_hashtables.h */
export class InetHashinfo {
  /** Established, time-wait and request sockets, chained by skcNext. */
  ehash: (SockCommon | null)[];
  ehashMask: number;
  ehashCount: number;
  /** Bound ports. */
  bhash: (InetBindBucket | null)[];
  /** Listeners by port and address. */
  lhash2: (SockCommon | null)[];
  lhash2Mask: number;

  constructor(ehashSize: number, bhashSize: number, lhash2Size: number) {
    this.ehash = new Array<SockCommon | null>(ehashSize).fill(null);
    this.ehashMask = ehashSize - 1;
    this.ehashCount = 0;
    this.bhash = new Array<InetBindBucket | null>(bhashSize).fill(null);
    this.lhash2 = new Array<SockCommon | null>(lhash2Size).fill(null);
    this.lhash2Mask = lhash2Size - 1;
  }
}
