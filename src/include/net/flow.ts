/** Keys of route lookups. Counterpart of include/net/flow.h. */

export const FLOWI_FLAG_ANYSRC = 0x01;
export const FLOWI_FLAG_KNOWN_NH = 0x02;
export const FLOWI_FLAG_L3MDEV_OIF = 0x04;
export const FLOWI_FLAG_ANY_SPORT = 0x08;

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

/** Fills every field for a lookup of an outgoing packet. @kernel flowi4_init_output include/net/flow.h */
export function flowi4InitOutput(
  fl4: Flowi4,
  oif: number,
  mark: number,
  tos: number,
  scope: number,
  proto: number,
  flags: number,
  daddr: number,
  saddr: number,
  dport: number,
  sport: number,
  uid: number,
): void {
  fl4.flowi4Oif = oif;
  fl4.flowi4Iif = LOOPBACK_IFINDEX;
  fl4.flowi4L3mdev = 0;
  fl4.flowi4Mark = mark;
  fl4.flowi4Tos = tos;
  fl4.flowi4Scope = scope;
  fl4.flowi4Proto = proto;
  fl4.flowi4Flags = flags;
  fl4.flowi4Uid = uid;
  fl4.flowi4MultipathHash = 0;
  fl4.daddr = daddr;
  fl4.saddr = saddr;
  fl4.fl4Dport = dport;
  fl4.fl4Sport = sport;
  fl4.fl4IcmpType = 0;
  fl4.fl4IcmpCode = 0;
}

/** After a first lookup has chosen what was left open. @kernel flowi4_update_output include/net/flow.h */
export function flowi4UpdateOutput(fl4: Flowi4, oif: number, daddr: number, saddr: number): void {
  fl4.flowi4Oif = oif;
  fl4.daddr = daddr;
  fl4.saddr = saddr;
}

/** Back to the state of a new flow; for flows that are kept and used again. */
export function flowi4Reset(fl4: Flowi4): void {
  flowi4InitOutput(fl4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
}
