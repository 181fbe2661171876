/*
 * The structures by which programs give TCP its keys: TCP_MD5SIG (RFC 2385) and TCP_AO_* (RFC 5925).
 * Kernel counterpart: include/uapi/linux/tcp.h, x86-64, little-endian. Each begins with a
 * struct sockaddr_storage of 128 octets.
 */

export const SOCKADDR_STORAGE_LEN = 128;

/** @kernel tcp_md5sig include/uapi/linux/tcp.h */
export const tcpMd5sig = {
  LEN: 216,
  flags: (v: DataView): number => v.getUint8(128),
  prefixlen: (v: DataView): number => v.getUint8(129),
  keylen: (v: DataView): number => v.getUint16(130, true),
  ifindex: (v: DataView): number => v.getInt32(132, true),
  KEY: 136,
} as const;

export const TCP_AO_MAXKEYLEN = 80;
export const TCP_AO_ALG_NAME_LEN = 64;
/** The key counts only for the L3 master device `ifindex`. */
export const TCP_AO_KEYF_IFINDEX = 1;
/** TCP options other than the authentication option are not signed. */
export const TCP_AO_KEYF_EXCLUDE_OPT = 2;
export const TCP_AO_KEYF_ALL: number = TCP_AO_KEYF_IFINDEX | TCP_AO_KEYF_EXCLUDE_OPT;

/** Bit fields of several of the structures. */
export const TCP_AO_SET_CURRENT = 1;
export const TCP_AO_SET_RNEXT = 2;

/** @kernel tcp_ao_add include/uapi/linux/tcp.h */
export const tcpAoAdd = {
  LEN: 288,
  ALG_NAME: 128,
  ifindex: (v: DataView): number => v.getInt32(192, true),
  /** TCP_AO_SET_*; the rest is reserved. */
  bits: (v: DataView): number => v.getUint32(196, true),
  reserved2: (v: DataView): number => v.getUint16(200, true),
  prefix: (v: DataView): number => v.getUint8(202),
  sndid: (v: DataView): number => v.getUint8(203),
  rcvid: (v: DataView): number => v.getUint8(204),
  maclen: (v: DataView): number => v.getUint8(205),
  keyflags: (v: DataView): number => v.getUint8(206),
  keylen: (v: DataView): number => v.getUint8(207),
  KEY: 208,
} as const;

export const TCP_AO_DEL_ASYNC = 4;

/** @kernel tcp_ao_del include/uapi/linux/tcp.h */
export const tcpAoDel = {
  LEN: 144,
  ifindex: (v: DataView): number => v.getInt32(128, true),
  /** TCP_AO_SET_*, TCP_AO_DEL_ASYNC; the rest is reserved. */
  bits: (v: DataView): number => v.getUint32(132, true),
  reserved2: (v: DataView): number => v.getUint16(136, true),
  prefix: (v: DataView): number => v.getUint8(138),
  sndid: (v: DataView): number => v.getUint8(139),
  rcvid: (v: DataView): number => v.getUint8(140),
  currentKey: (v: DataView): number => v.getUint8(141),
  rnext: (v: DataView): number => v.getUint8(142),
  keyflags: (v: DataView): number => v.getUint8(143),
} as const;

export const TCP_AO_INFO_AO_REQUIRED = 4;
export const TCP_AO_INFO_SET_COUNTERS = 8;
export const TCP_AO_INFO_ACCEPT_ICMPS = 16;

/** Five 64-bit counters begin at PKT_GOOD: good, bad, key not found, required, ICMP errors dropped. */
export const tcpAoInfoOpt = {
  LEN: 48,
  /** TCP_AO_SET_*, TCP_AO_INFO_*; the rest is reserved. */
  bits: (v: DataView): number => v.getUint32(0, true),
  setBits: (v: DataView, x: number): void => v.setUint32(0, x, true),
  reserved2: (v: DataView): number => v.getUint16(4, true),
  currentKey: (v: DataView): number => v.getUint8(6),
  setCurrentKey: (v: DataView, x: number): void => v.setUint8(6, x),
  rnext: (v: DataView): number => v.getUint8(7),
  setRnext: (v: DataView, x: number): void => v.setUint8(7, x),
  PKT_GOOD: 8,
} as const;

export const TCP_AO_GET_IS_CURRENT = 1;
export const TCP_AO_GET_IS_RNEXT = 2;
export const TCP_AO_GET_ALL = 4;

/** @kernel tcp_ao_getsockopt include/uapi/linux/tcp.h */
export const tcpAoGetsockopt = {
  LEN: 304,
  ALG_NAME: 128,
  KEY: 192,
  nkeys: (v: DataView): number => v.getUint32(272, true),
  setNkeys: (v: DataView, x: number): void => v.setUint32(272, x, true),
  /** TCP_AO_GET_*; the rest is reserved. */
  bits: (v: DataView): number => v.getUint16(276, true),
  setBits: (v: DataView, x: number): void => v.setUint16(276, x, true),
  sndid: (v: DataView): number => v.getUint8(278),
  rcvid: (v: DataView): number => v.getUint8(279),
  prefix: (v: DataView): number => v.getUint8(280),
  keyflags: (v: DataView): number => v.getUint8(282),
  ifindex: (v: DataView): number => v.getInt32(284, true),
  SNDID: 278,
  RCVID: 279,
  PREFIX: 280,
  MACLEN: 281,
  KEYFLAGS: 282,
  KEYLEN: 283,
  IFINDEX: 284,
  PKT_GOOD: 288,
  PKT_BAD: 296,
} as const;

/** snt_isn and rcv_isn in network order, the extensions of both sequence numbers in host order. */
export const tcpAoRepair = {
  LEN: 16,
  sntIsn: (v: DataView): number => v.getInt32(0),
  rcvIsn: (v: DataView): number => v.getInt32(4),
  sndSne: (v: DataView): number => v.getUint32(8, true),
  rcvSne: (v: DataView): number => v.getUint32(12, true),
} as const;

/** @kernel tcp_ao_hdr include/net/tcp_ao.h */
export const TCP_AO_HDR_LEN = 4;
