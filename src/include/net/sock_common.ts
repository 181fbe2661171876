/** What full sockets, requests and time-wait sockets have in common. Counterpart: include/net/sock.h. */
import type { Net } from '#include/net/net_namespace.ts';
import { TCP_CLOSE } from '#uapi/tcp.ts';

/** "Wait for ever" of timeouts, in jiffies. @kernel MAX_SCHEDULE_TIMEOUT include/linux/sched.h */
export const MAX_SCHEDULE_TIMEOUT = 0x7fffffff;

export const SOCK_KIND_FULL = 0;
export const SOCK_KIND_REQUEST = 1;
export const SOCK_KIND_TIMEWAIT = 2;

// Fields of skcBits.
const KIND_MASK = 3;
const HASHED = 1 << 2;
const REUSEPORT = 1 << 3;
const IPV6ONLY = 1 << 4;
const REUSE_SHIFT = 8;
export const FAMILY_SHIFT = 16;

/**
 * What every entry of the hash tables has. There are very many of these: ports and flags share words,
 * and addresses are kept signed, since V8 would box numbers from 2^31 on.
 *
 *     skcBits      31        24 23        16 15         8 7          0
 *                  +-----------+------------+------------+------------+
 *                  |     0     |   family   |   reuse    |   flags    |
 *                  +-----------+------------+------------+------------+
 *     skcPortpair  |     skcNum (own)       |  skcDport (the peer's)  |
 *                  +------------------------+-------------------------+
 *
 * @kernel sock_common include/net/sock.h
 */
export class SockCommon {
  readonly net: Net;
  /** Family, kind, and what is 0 or 1. */
  skcBits: number;
  /** TCP_ESTABLISHED...; also used by UDP, raw. Write through the protocol's set_state. */
  skcState: number;
  skcBoundDevIf: number;
  skcDaddr32: number;
  skcRcvSaddr32: number;
  skcPortpair: number;
  /** Hash of the 4-tuple (ehash) or of the port (lhash, udp). */
  skcHash: number;
  /** Chain of the hash bucket; `hashed` tells whether we are on one. */
  skcNext: SockCommon | null;
  skcPrev: SockCommon | null;
  refcnt: number;

  constructor(net: Net, family: number, kind: number) {
    this.net = net;
    this.skcBits = kind | (family << FAMILY_SHIFT);
    this.skcState = TCP_CLOSE;
    this.skcBoundDevIf = 0;
    this.skcDaddr32 = 0;
    this.skcRcvSaddr32 = 0;
    this.skcPortpair = 0;
    this.skcHash = 0;
    this.skcNext = null;
    this.skcPrev = null;
    this.refcnt = 1;
  }

  /** SOCK_KIND_* */
  get kind(): number {
    return this.skcBits & KIND_MASK;
  }

  get hashed(): boolean {
    return (this.skcBits & HASHED) !== 0;
  }
  set hashed(value: boolean) {
    this.skcBits = value ? this.skcBits | HASHED : this.skcBits & ~HASHED;
  }

  get skcFamily(): number {
    return this.skcBits >>> FAMILY_SHIFT;
  }

  get skcReuse(): number {
    return (this.skcBits >>> REUSE_SHIFT) & 0xff;
  }
  set skcReuse(value: number) {
    this.skcBits = (this.skcBits & ~(0xff << REUSE_SHIFT)) | (value << REUSE_SHIFT);
  }

  get skcReuseport(): boolean {
    return (this.skcBits & REUSEPORT) !== 0;
  }
  set skcReuseport(value: boolean) {
    this.skcBits = value ? this.skcBits | REUSEPORT : this.skcBits & ~REUSEPORT;
  }

  get skcIpv6only(): boolean {
    return (this.skcBits & IPV6ONLY) !== 0;
  }
  set skcIpv6only(value: boolean) {
    this.skcBits = value ? this.skcBits | IPV6ONLY : this.skcBits & ~IPV6ONLY;
  }

  /** Foreign address, in host order. */
  get skcDaddr(): number {
    return this.skcDaddr32 >>> 0;
  }
  set skcDaddr(value: number) {
    this.skcDaddr32 = value | 0;
  }

  /** Own address, for receiving, in host order. */
  get skcRcvSaddr(): number {
    return this.skcRcvSaddr32 >>> 0;
  }
  set skcRcvSaddr(value: number) {
    this.skcRcvSaddr32 = value | 0;
  }

  /** Foreign port. */
  get skcDport(): number {
    return this.skcPortpair & 0xffff;
  }
  set skcDport(value: number) {
    this.skcPortpair = (this.skcPortpair & ~0xffff) | (value & 0xffff);
  }

  /** Own port; of raw sockets the protocol. */
  get skcNum(): number {
    return this.skcPortpair >>> 16;
  }
  set skcNum(value: number) {
    this.skcPortpair = (this.skcPortpair & 0xffff) | (value << 16);
  }
}

/** The word that a connection between these ports has. @kernel INET_COMBINED_PORTS include/net/inet_hashtables.h */
export function inetCombinedPorts(dport: number, num: number): number {
  return dport | (num << 16);
}
