/*
 * Neighbour entries and tables over netlink.
 * Kernel counterpart: include/uapi/linux/neighbour.h. The states are those of RFC 4861#7.3.2 with
 * Linux's additions.
 */

// Attributes of an ndmsg.
export const NDA_UNSPEC = 0;
export const NDA_DST = 1;
export const NDA_LLADDR = 2;
export const NDA_CACHEINFO = 3;
export const NDA_PROBES = 4;
export const NDA_VLAN = 5;
export const NDA_PORT = 6;
export const NDA_VNI = 7;
export const NDA_IFINDEX = 8;
export const NDA_MASTER = 9;
export const NDA_LINK_NETNSID = 10;
export const NDA_SRC_VNI = 11;
export const NDA_PROTOCOL = 12;
export const NDA_NH_ID = 13;
export const NDA_FDB_EXT_ATTRS = 14;
export const NDA_FLAGS_EXT = 15;
export const NDA_NDM_STATE_MASK = 16;
export const NDA_NDM_FLAGS_MASK = 17;
export const NDA_MAX = 17;

// ndm_flags.
export const NTF_USE = 0x01;
export const NTF_SELF = 0x02;
export const NTF_MASTER = 0x04;
export const NTF_PROXY = 0x08;
export const NTF_EXT_LEARNED = 0x10;
export const NTF_OFFLOADED = 0x20;
export const NTF_STICKY = 0x40;
export const NTF_ROUTER = 0x80;

// NDA_FLAGS_EXT.
export const NTF_EXT_MANAGED = 1;
export const NTF_EXT_LOCKED = 2;
export const NTF_EXT_EXT_VALIDATED = 4;

// States.
export const NUD_INCOMPLETE = 0x01;
export const NUD_REACHABLE = 0x02;
export const NUD_STALE = 0x04;
export const NUD_DELAY = 0x08;
export const NUD_PROBE = 0x10;
export const NUD_FAILED = 0x20;
export const NUD_NOARP = 0x40;
export const NUD_PERMANENT = 0x80;
export const NUD_NONE = 0x00;

// Sets of states (include/net/neighbour.h).
export const NUD_IN_TIMER = 0x1b; // INCOMPLETE, REACHABLE, DELAY, PROBE: the timer runs
export const NUD_VALID = 0xde; // PERMANENT, NOARP, REACHABLE, PROBE, STALE, DELAY: the address may be used
export const NUD_CONNECTED = 0xc2; // PERMANENT, NOARP, REACHABLE: use it without question

// Attributes of an ndtmsg (ip ntable).
export const NDTA_UNSPEC = 0;
export const NDTA_NAME = 1;
export const NDTA_THRESH1 = 2;
export const NDTA_THRESH2 = 3;
export const NDTA_THRESH3 = 4;
export const NDTA_CONFIG = 5;
export const NDTA_PARMS = 6;
export const NDTA_STATS = 7;
export const NDTA_GC_INTERVAL = 8;
export const NDTA_PAD = 9;
export const NDTA_MAX = 9;

// Parameters inside NDTA_PARMS.
export const NDTPA_UNSPEC = 0;
export const NDTPA_IFINDEX = 1;
export const NDTPA_REFCNT = 2;
export const NDTPA_REACHABLE_TIME = 3;
export const NDTPA_BASE_REACHABLE_TIME = 4;
export const NDTPA_RETRANS_TIME = 5;
export const NDTPA_GC_STALETIME = 6;
export const NDTPA_DELAY_PROBE_TIME = 7;
export const NDTPA_QUEUE_LEN = 8;
export const NDTPA_APP_PROBES = 9;
export const NDTPA_UCAST_PROBES = 10;
export const NDTPA_MCAST_PROBES = 11;
export const NDTPA_ANYCAST_DELAY = 12;
export const NDTPA_PROXY_DELAY = 13;
export const NDTPA_PROXY_QLEN = 14;
export const NDTPA_LOCKTIME = 15;
export const NDTPA_QUEUE_LENBYTES = 16;
export const NDTPA_MCAST_REPROBES = 17;
export const NDTPA_PAD = 18;
export const NDTPA_INTERVAL_PROBE_TIME_MS = 19;
export const NDTPA_MAX = 19;

// Attributes inside NDA_FDB_EXT_ATTRS.
export const NFEA_UNSPEC = 0;
export const NFEA_ACTIVITY_NOTIFY = 1;
export const NFEA_DONT_REFRESH = 2;
export const FDB_NOTIFY_BIT = 1;
export const FDB_NOTIFY_INACTIVE_BIT = 2;

/** struct ndmsg: a neighbour or a forwarding entry of a bridge. */
export const ndmsg = {
  LEN: 12,
  family: (v: DataView, o: number): number => v.getUint8(o),
  ifindex: (v: DataView, o: number): number => v.getInt32(o + 4, true),
  state: (v: DataView, o: number): number => v.getUint16(o + 8, true),
  flags: (v: DataView, o: number): number => v.getUint8(o + 10),
  type: (v: DataView, o: number): number => v.getUint8(o + 11),
  setFamily: (v: DataView, o: number, x: number): void => v.setUint8(o, x),
  setIfindex: (v: DataView, o: number, x: number): void => v.setInt32(o + 4, x, true),
  setState: (v: DataView, o: number, x: number): void => v.setUint16(o + 8, x, true),
  setFlags: (v: DataView, o: number, x: number): void => v.setUint8(o + 10, x),
  setType: (v: DataView, o: number, x: number): void => v.setUint8(o + 11, x),
} as const;

/** struct nda_cacheinfo. Ages in 1/100 s. */
export const ndaCacheinfo = {
  LEN: 16,
  confirmed: (v: DataView, o: number): number => v.getUint32(o, true),
  used: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  updated: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  refcnt: (v: DataView, o: number): number => v.getUint32(o + 12, true),
  setConfirmed: (v: DataView, o: number, x: number): void => v.setUint32(o, x, true),
  setUsed: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
  setUpdated: (v: DataView, o: number, x: number): void => v.setUint32(o + 8, x, true),
  setRefcnt: (v: DataView, o: number, x: number): void => v.setUint32(o + 12, x, true),
} as const;

/** struct ndtmsg: a neighbour table. */
export const ndtmsg = {
  LEN: 4,
  family: (v: DataView, o: number): number => v.getUint8(o),
  setFamily: (v: DataView, o: number, x: number): void => v.setUint8(o, x),
} as const;

/** struct ndt_config. Times in milliseconds ago. */
export const ndtConfig = {
  LEN: 32,
  keyLen: (v: DataView, o: number): number => v.getUint16(o, true),
  entrySize: (v: DataView, o: number): number => v.getUint16(o + 2, true),
  entries: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  lastFlush: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  lastRand: (v: DataView, o: number): number => v.getUint32(o + 12, true),
  hashRnd: (v: DataView, o: number): number => v.getUint32(o + 16, true),
  hashMask: (v: DataView, o: number): number => v.getUint32(o + 20, true),
  hashChainGc: (v: DataView, o: number): number => v.getUint32(o + 24, true),
  proxyQlen: (v: DataView, o: number): number => v.getUint32(o + 28, true),
  setKeyLen: (v: DataView, o: number, x: number): void => v.setUint16(o, x, true),
  setEntrySize: (v: DataView, o: number, x: number): void => v.setUint16(o + 2, x, true),
  setEntries: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
  setLastFlush: (v: DataView, o: number, x: number): void => v.setUint32(o + 8, x, true),
  setLastRand: (v: DataView, o: number, x: number): void => v.setUint32(o + 12, x, true),
  setHashRnd: (v: DataView, o: number, x: number): void => v.setUint32(o + 16, x, true),
  setHashMask: (v: DataView, o: number, x: number): void => v.setUint32(o + 20, x, true),
  setHashChainGc: (v: DataView, o: number, x: number): void => v.setUint32(o + 24, x, true),
  setProxyQlen: (v: DataView, o: number, x: number): void => v.setUint32(o + 28, x, true),
} as const;
