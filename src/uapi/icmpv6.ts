/*
 * ICMPv6: types, codes and the 8-byte header.
 * Kernel counterpart: include/uapi/linux/icmpv6.h. RFC 4443, 4861, 3810.
 */

// Types.
export const ICMPV6_DEST_UNREACH = 1;
export const ICMPV6_PKT_TOOBIG = 2;
export const ICMPV6_TIME_EXCEED = 3;
export const ICMPV6_PARAMPROB = 4;
export const ICMPV6_ERRMSG_MAX = 127;
export const ICMPV6_INFOMSG_MASK = 128;
export const ICMPV6_ECHO_REQUEST = 128;
export const ICMPV6_ECHO_REPLY = 129;
export const ICMPV6_MGM_QUERY = 130;
export const ICMPV6_MGM_REPORT = 131;
export const ICMPV6_MGM_REDUCTION = 132;
export const ICMPV6_NI_QUERY = 139;
export const ICMPV6_NI_REPLY = 140;
export const ICMPV6_MLD2_REPORT = 143;
export const ICMPV6_DHAAD_REQUEST = 144;
export const ICMPV6_DHAAD_REPLY = 145;
export const ICMPV6_MOBILE_PREFIX_SOL = 146;
export const ICMPV6_MOBILE_PREFIX_ADV = 147;
export const ICMPV6_MRDISC_ADV = 151;
export const ICMPV6_MSG_MAX = 255;
export const ICMPV6_EXT_ECHO_REQUEST = 160;
export const ICMPV6_EXT_ECHO_REPLY = 161;

// Neighbour discovery (include/net/ndisc.h, RFC 4861).
export const NDISC_ROUTER_SOLICITATION = 133;
export const NDISC_ROUTER_ADVERTISEMENT = 134;
export const NDISC_NEIGHBOUR_SOLICITATION = 135;
export const NDISC_NEIGHBOUR_ADVERTISEMENT = 136;
export const NDISC_REDIRECT = 137;

// Codes of ICMPV6_DEST_UNREACH.
export const ICMPV6_NOROUTE = 0;
export const ICMPV6_ADM_PROHIBITED = 1;
export const ICMPV6_NOT_NEIGHBOUR = 2;
export const ICMPV6_ADDR_UNREACH = 3;
export const ICMPV6_PORT_UNREACH = 4;
export const ICMPV6_POLICY_FAIL = 5;
export const ICMPV6_REJECT_ROUTE = 6;

// Codes of ICMPV6_TIME_EXCEED and ICMPV6_PARAMPROB.
export const ICMPV6_EXC_HOPLIMIT = 0;
export const ICMPV6_EXC_FRAGTIME = 1;
export const ICMPV6_HDR_FIELD = 0;
export const ICMPV6_UNK_NEXTHDR = 1;
export const ICMPV6_UNK_OPTION = 2;
export const ICMPV6_HDR_INCOMP = 3;

// Filter option, router preference (RFC 4191), multicast record types.
export const ICMPV6_ROUTER_PREF_LOW = 3;
export const ICMPV6_ROUTER_PREF_MEDIUM = 0;
export const ICMPV6_ROUTER_PREF_HIGH = 1;
export const ICMPV6_ROUTER_PREF_INVALID = 2;
export const ICMPV6_FILTER = 1;
export const ICMPV6_FILTER_BLOCK = 1;
export const ICMPV6_FILTER_PASS = 2;
export const ICMPV6_FILTER_BLOCKOTHERS = 3;
export const ICMPV6_FILTER_PASSONLY = 4;
export const MLD2_MODE_IS_INCLUDE = 1;
export const MLD2_MODE_IS_EXCLUDE = 2;
export const MLD2_CHANGE_TO_INCLUDE = 3;
export const MLD2_CHANGE_TO_EXCLUDE = 4;
export const MLD2_ALLOW_NEW_SOURCES = 5;
export const MLD2_BLOCK_OLD_SOURCES = 6;

/*
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |     Type      |     Code      |           Checksum            |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |      a union: MTU, pointer, identifier and sequence, flags    |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */

/** struct icmp6hdr (RFC 4443#2.1). */
export const icmp6hdr = {
  LEN: 8,
  type: (v: DataView, o: number): number => v.getUint8(o),
  code: (v: DataView, o: number): number => v.getUint8(o + 1),
  cksum: (v: DataView, o: number): number => v.getUint16(o + 2),
  /** The whole second word. */
  rest: (v: DataView, o: number): number => v.getUint32(o + 4),
  mtu: (v: DataView, o: number): number => v.getUint32(o + 4),
  pointer: (v: DataView, o: number): number => v.getUint32(o + 4),
  identifier: (v: DataView, o: number): number => v.getUint16(o + 4),
  sequence: (v: DataView, o: number): number => v.getUint16(o + 6),

  setType: (v: DataView, o: number, x: number): void => v.setUint8(o, x),
  setCode: (v: DataView, o: number, x: number): void => v.setUint8(o + 1, x),
  setCksum: (v: DataView, o: number, x: number): void => v.setUint16(o + 2, x),
  setRest: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x),
  setMtu: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x),
  setPointer: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x),
  setIdentifier: (v: DataView, o: number, x: number): void => v.setUint16(o + 4, x),
  setSequence: (v: DataView, o: number, x: number): void => v.setUint16(o + 6, x),
} as const;
