/** What full sockets, requests and time-wait sockets have in common. Counterpart: include/net/sock.h. */
import type { Net } from '#include/net/net_namespace.ts';
import { TCP_CLOSE } from '#uapi/tcp.ts';

/** "Wait for ever" of timeouts, in jiffies. @kernel MAX_SCHEDULE_TIMEOUT include/linux/sched.h */
export const MAX_SCHEDULE_TIMEOUT = 0x7fffffff;

/** What every entry of the hash tables has. @kernel sock_common include/net/sock.h */
export class SockCommon {
  readonly net: Net;
  skcFamily: number;
  /** TCP_ESTABLISHED...; also used by UDP, raw. Write through the protocol's set_state. */
  skcState: number;
  skcReuse: number;
  skcReuseport: boolean;
  skcIpv6only: boolean;
  skcBoundDevIf: number;
  /** Foreign address and port, own address (for receiving) and port. Host order. */
  skcDaddr: number;
  skcRcvSaddr: number;
  skcDport: number;
  skcNum: number;
  /** IPv6 addresses as four words; null for IPv4 sockets. */
  skcV6Daddr: Uint32Array | null;
  skcV6RcvSaddr: Uint32Array | null;
  /** Hash of the 4-tuple (ehash) or of the port (lhash, udp). */
  skcHash: number;
  /** Chain of the hash bucket; `hashed` tells whether we are on one. */
  skcNext: SockCommon | null;
  skcPrev: SockCommon | null;
  hashed: boolean;
  /** 0 full socket, 1 request sock, 2 time-wait sock: cheap discrimination. */
  readonly kind: number;
  refcnt: number;
  skcTxQueueMapping: number;

  constructor(net: Net, family: number, kind: number) {
    this.net = net;
    this.skcFamily = family;
    this.skcState = TCP_CLOSE;
    this.skcReuse = 0;
    this.skcReuseport = false;
    this.skcIpv6only = false;
    this.skcBoundDevIf = 0;
    this.skcDaddr = 0;
    this.skcRcvSaddr = 0;
    this.skcDport = 0;
    this.skcNum = 0;
    this.skcV6Daddr = null;
    this.skcV6RcvSaddr = null;
    this.skcHash = 0;
    this.skcNext = null;
    this.skcPrev = null;
    this.hashed = false;
    this.kind = kind;
    this.refcnt = 1;
    this.skcTxQueueMapping = -1;
  }
}

export const SOCK_KIND_FULL = 0;
export const SOCK_KIND_REQUEST = 1;
export const SOCK_KIND_TIMEWAIT = 2;
