/*
 * Interface addresses over netlink.
 * Kernel counterpart: include/uapi/linux/if_addr.h.
 */

// Attributes of an ifaddrmsg.
export const IFA_UNSPEC = 0;
export const IFA_ADDRESS = 1;
export const IFA_LOCAL = 2;
export const IFA_LABEL = 3;
export const IFA_BROADCAST = 4;
export const IFA_ANYCAST = 5;
export const IFA_CACHEINFO = 6;
export const IFA_MULTICAST = 7;
export const IFA_FLAGS = 8;
export const IFA_RT_PRIORITY = 9;
export const IFA_TARGET_NETNSID = 10;
export const IFA_PROTO = 11;
export const IFA_MAX = 11;

// Flags.
export const IFA_F_SECONDARY = 0x1;
export const IFA_F_TEMPORARY = 0x1;
export const IFA_F_NODAD = 0x2;
export const IFA_F_OPTIMISTIC = 0x4;
export const IFA_F_DADFAILED = 0x8;
export const IFA_F_HOMEADDRESS = 0x10;
export const IFA_F_DEPRECATED = 0x20;
export const IFA_F_TENTATIVE = 0x40;
export const IFA_F_PERMANENT = 0x80;
export const IFA_F_MANAGETEMPADDR = 0x0100;
export const IFA_F_NOPREFIXROUTE = 0x0200;
export const IFA_F_MCAUTOJOIN = 0x0400;
export const IFA_F_STABLE_PRIVACY = 0x0800;

// IFA_PROTO: who configured the address.
export const IFAPROT_UNSPEC = 0;
export const IFAPROT_KERNEL_LO = 1;
export const IFAPROT_KERNEL_RA = 2;
export const IFAPROT_KERNEL_LL = 3;

/** struct ifaddrmsg: flags beyond the low eight stand in IFA_FLAGS. */
export const ifaddrmsg = {
  LEN: 8,
  family: (v: DataView, o: number): number => v.getUint8(o),
  prefixlen: (v: DataView, o: number): number => v.getUint8(o + 1),
  flags: (v: DataView, o: number): number => v.getUint8(o + 2),
  scope: (v: DataView, o: number): number => v.getUint8(o + 3),
  index: (v: DataView, o: number): number => v.getInt32(o + 4, true),
  setFamily: (v: DataView, o: number, x: number): void => v.setUint8(o, x),
  setPrefixlen: (v: DataView, o: number, x: number): void => v.setUint8(o + 1, x),
  setFlags: (v: DataView, o: number, x: number): void => v.setUint8(o + 2, x),
  setScope: (v: DataView, o: number, x: number): void => v.setUint8(o + 3, x),
  setIndex: (v: DataView, o: number, x: number): void => v.setInt32(o + 4, x, true),
} as const;

/** struct ifa_cacheinfo. Lifetimes in seconds, ~0 for ever; stamps in 1/100 s. */
export const ifaCacheinfo = {
  LEN: 16,
  prefered: (v: DataView, o: number): number => v.getUint32(o, true),
  valid: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  cstamp: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  tstamp: (v: DataView, o: number): number => v.getUint32(o + 12, true),
  setPrefered: (v: DataView, o: number, x: number): void => v.setUint32(o, x, true),
  setValid: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
  setCstamp: (v: DataView, o: number, x: number): void => v.setUint32(o + 8, x, true),
  setTstamp: (v: DataView, o: number, x: number): void => v.setUint32(o + 12, x, true),
} as const;

/** A lifetime without end. */
export const INFINITY_LIFE_TIME = 0xffffffff;
