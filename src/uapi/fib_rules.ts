/*
 * Policy routing rules over netlink.
 * Kernel counterpart: include/uapi/linux/fib_rules.h.
 */

// Flags.
export const FIB_RULE_PERMANENT = 0x1;
export const FIB_RULE_INVERT = 0x2;
export const FIB_RULE_UNRESOLVED = 0x4;
export const FIB_RULE_IIF_DETACHED = 0x8;
export const FIB_RULE_DEV_DETACHED = 0x8;
export const FIB_RULE_OIF_DETACHED = 0x10;
export const FIB_RULE_FIND_SADDR = 0x00010000;

// Attributes of a fib_rule_hdr.
export const FRA_UNSPEC = 0;
export const FRA_DST = 1;
export const FRA_SRC = 2;
export const FRA_IIFNAME = 3;
export const FRA_GOTO = 4;
export const FRA_UNUSED2 = 5;
export const FRA_PRIORITY = 6;
export const FRA_UNUSED3 = 7;
export const FRA_UNUSED4 = 8;
export const FRA_UNUSED5 = 9;
export const FRA_FWMARK = 10;
export const FRA_FLOW = 11;
export const FRA_TUN_ID = 12;
export const FRA_SUPPRESS_IFGROUP = 13;
export const FRA_SUPPRESS_PREFIXLEN = 14;
export const FRA_TABLE = 15;
export const FRA_FWMASK = 16;
export const FRA_OIFNAME = 17;
export const FRA_PAD = 18;
export const FRA_L3MDEV = 19;
export const FRA_UID_RANGE = 20;
export const FRA_PROTOCOL = 21;
export const FRA_IP_PROTO = 22;
export const FRA_SPORT_RANGE = 23;
export const FRA_DPORT_RANGE = 24;
export const FRA_DSCP = 25;
export const FRA_FLOWLABEL = 26;
export const FRA_FLOWLABEL_MASK = 27;
export const FRA_SPORT_MASK = 28;
export const FRA_DPORT_MASK = 29;
export const FRA_DSCP_MASK = 30;
export const FRA_MAX = 30;

export const FRA_IFNAME = 3;

// Actions.
export const FR_ACT_MAX = 8;
export const FR_ACT_UNSPEC = 0;
export const FR_ACT_TO_TBL = 1;
export const FR_ACT_GOTO = 2;
export const FR_ACT_NOP = 3;
export const FR_ACT_RES3 = 4;
export const FR_ACT_RES4 = 5;
export const FR_ACT_BLACKHOLE = 6;
export const FR_ACT_UNREACHABLE = 7;
export const FR_ACT_PROHIBIT = 8;

/** struct fib_rule_hdr. A table above 255 stands in FRA_TABLE. */
export const fibRuleHdr = {
  LEN: 12,
  family: (v: DataView, o: number): number => v.getUint8(o),
  dstLen: (v: DataView, o: number): number => v.getUint8(o + 1),
  srcLen: (v: DataView, o: number): number => v.getUint8(o + 2),
  tos: (v: DataView, o: number): number => v.getUint8(o + 3),
  table: (v: DataView, o: number): number => v.getUint8(o + 4),
  action: (v: DataView, o: number): number => v.getUint8(o + 7),
  flags: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  setFamily: (v: DataView, o: number, x: number): void => v.setUint8(o, x),
  setDstLen: (v: DataView, o: number, x: number): void => v.setUint8(o + 1, x),
  setSrcLen: (v: DataView, o: number, x: number): void => v.setUint8(o + 2, x),
  setTos: (v: DataView, o: number, x: number): void => v.setUint8(o + 3, x),
  setTable: (v: DataView, o: number, x: number): void => v.setUint8(o + 4, x),
  setAction: (v: DataView, o: number, x: number): void => v.setUint8(o + 7, x),
  setFlags: (v: DataView, o: number, x: number): void => v.setUint32(o + 8, x, true),
} as const;
