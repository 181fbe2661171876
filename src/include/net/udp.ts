/** UDP's sockets and tables. Counterpart of include/net/udp.h and include/linux/udp.h. */
import type { DstEntry } from '#include/net/dst.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Proto, SockCallbacks } from '#include/net/sock.ts';
import { InetSock } from '#include/net/sock.ts';

/** Buckets of each of the two tables; a power of two. */
const UDP_HTABLE_SIZE = 1024;

/** Most datagrams that one UDP_SEGMENT send may make. @kernel UDP_MAX_SEGMENTS include/linux/udp.h */
export const UDP_MAX_SEGMENTS: number = 1 << 7;

/** @kernel udp_sock include/linux/udp.h */
export class UdpSock extends InetSock {
  /** AF_INET while a datagram is being corked. */
  pending: number;
  /** Octets of the corked datagram, header included. */
  len: number;
  corkflag: number;
  encapType: number;
  noCheck6Tx: boolean;
  noCheck6Rx: boolean;
  gsoSize: number;
  /** UDP_GRO: takes datagrams merged, and learns their size. */
  groEnabled: boolean;
  /** It is counted in `udpEncapNeeded`. */
  encapEnabled: boolean;
  /** Bytes of receive memory read but not yet given back. */
  forwardDeficit: number;
  /** The deficit is given back beyond this: a quarter of the receive buffer. */
  forwardThreshold: number;
  /** Port, and hash of port and own address, under which the socket is in the tables. */
  udpPortHash: number;
  udpPortaddrHash: number;
  portaddrNext: UdpSock | null;
  portaddrPrev: UdpSock | null;
  /** Route of received packets, for early demux. @kernel sk_rx_dst include/net/sock.h */
  rxDst: DstEntry | null;

  constructor(net: Net, family: number, prot: Proto, callbacks: SockCallbacks) {
    super(net, family, prot, callbacks);
    this.pending = 0;
    this.len = 0;
    this.corkflag = 0;
    this.encapType = 0;
    this.noCheck6Tx = false;
    this.noCheck6Rx = false;
    this.gsoSize = 0;
    this.groEnabled = false;
    this.encapEnabled = false;
    this.forwardDeficit = 0;
    this.forwardThreshold = 0;
    this.udpPortHash = 0;
    this.udpPortaddrHash = 0;
    this.portaddrNext = null;
    this.portaddrPrev = null;
    this.rxDst = null;
  }
}

/** Sockets by local port, and by local port and address. @kernel udp_table include/net/udp.h */
export class UdpTable {
  /** Chained by skcNext. */
  readonly hash: (UdpSock | null)[] = new Array<UdpSock | null>(UDP_HTABLE_SIZE).fill(null);
  /** Chained by portaddrNext. */
  readonly hash2: (UdpSock | null)[] = new Array<UdpSock | null>(UDP_HTABLE_SIZE).fill(null);
  readonly mask: number = UDP_HTABLE_SIZE - 1;
}
