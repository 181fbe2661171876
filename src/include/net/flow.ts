/** Keys of route lookups. Counterpart of include/net/flow.h. */

export const FLOWI_FLAG_ANYSRC = 0x01;
export const FLOWI_FLAG_KNOWN_NH = 0x02;

/** Loopback as the default interface of unbound flows. @kernel LOOPBACK_IFINDEX include/net/flow.h */
export const LOOPBACK_IFINDEX = 1;

/** An IPv4 flow; addresses and ports in host order. @kernel flowi4 include/net/flow.h */
export class Flowi4 {
  flowi4Oif: number;
  flowi4Iif: number;
  flowi4L3mdev: number;
  flowi4Mark: number;
  /** DSCP and ECN bits as in the TOS byte. */
  flowi4Tos: number;
  flowi4Scope: number;
  flowi4Proto: number;
  /** FLOWI_FLAG_* */
  flowi4Flags: number;
  flowi4Uid: number;
  flowi4MultipathHash: number;
  saddr: number;
  daddr: number;
  fl4Sport: number;
  fl4Dport: number;
  fl4IcmpType: number;
  fl4IcmpCode: number;

  constructor() {
    this.flowi4Oif = 0;
    this.flowi4Iif = LOOPBACK_IFINDEX;
    this.flowi4L3mdev = 0;
    this.flowi4Mark = 0;
    this.flowi4Tos = 0;
    this.flowi4Scope = 0;
    this.flowi4Proto = 0;
    this.flowi4Flags = 0;
    this.flowi4Uid = 0;
    this.flowi4MultipathHash = 0;
    this.saddr = 0;
    this.daddr = 0;
    this.fl4Sport = 0;
    this.fl4Dport = 0;
    this.fl4IcmpType = 0;
    this.fl4IcmpCode = 0;
  }
}
