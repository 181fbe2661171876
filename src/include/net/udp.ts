/** UDP's sockets and tables. Counterpart of include/net/udp.h and include/linux/udp.h. */

import type { Net } from '#include/net/net_namespace.ts';
import type { Proto, SockCallbacks } from '#include/net/sock.ts';
import { InetSock } from '#include/net/sock.ts';

/** @kernel udp_sock include/linux/udp.h */
export class UdpSock extends InetSock {
  /** AF_INET while a datagram is being corked. */
  pending: number;
  corkflag: number;
  encapType: number;
  noCheck6Tx: boolean;
  gsoSize: number;
  groEnabled: boolean;
  /** Bytes of forward allocation not yet given back. */
  forwardDeficit: number;
  udpPortaddrHash: number;

  constructor(net: Net, family: number, prot: Proto, callbacks: SockCallbacks) {
    super(net, family, prot, callbacks);
    this.pending = 0;
    this.corkflag = 0;
    this.encapType = 0;
    this.noCheck6Tx = false;
    this.gsoSize = 0;
    this.groEnabled = false;
    this.forwardDeficit = 0;
    this.udpPortaddrHash = 0;
  }
}

/** Sockets by local port. @kernel udp_table include/net/udp.h */
export interface UdpTable {
  readonly hash: (UdpSock | null)[];
  readonly mask: number;
}
