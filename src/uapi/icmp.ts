/*
 * ICMP: types, codes and the 8-byte header.
 * Kernel counterpart: include/uapi/linux/icmp.h. RFC 792, 1122#3.2.2, 1191 (next-hop MTU),
 * 4884 (extensions), 8335 (extended echo).
 */

// Types.
export const ICMP_ECHOREPLY = 0;
export const ICMP_DEST_UNREACH = 3;
export const ICMP_SOURCE_QUENCH = 4;
export const ICMP_REDIRECT = 5;
export const ICMP_ECHO = 8;
export const ICMP_TIME_EXCEEDED = 11;
export const ICMP_PARAMETERPROB = 12;
export const ICMP_TIMESTAMP = 13;
export const ICMP_TIMESTAMPREPLY = 14;
export const ICMP_INFO_REQUEST = 15;
export const ICMP_INFO_REPLY = 16;
export const ICMP_ADDRESS = 17;
export const ICMP_ADDRESSREPLY = 18;
export const NR_ICMP_TYPES = 18;
export const ICMP_EXT_ECHO = 42;
export const ICMP_EXT_ECHOREPLY = 43;

// Codes of ICMP_DEST_UNREACH.
export const ICMP_NET_UNREACH = 0;
export const ICMP_HOST_UNREACH = 1;
export const ICMP_PROT_UNREACH = 2;
export const ICMP_PORT_UNREACH = 3;
export const ICMP_FRAG_NEEDED = 4;
export const ICMP_SR_FAILED = 5;
export const ICMP_NET_UNKNOWN = 6;
export const ICMP_HOST_UNKNOWN = 7;
export const ICMP_HOST_ISOLATED = 8;
export const ICMP_NET_ANO = 9;
export const ICMP_HOST_ANO = 10;
export const ICMP_NET_UNR_TOS = 11;
export const ICMP_HOST_UNR_TOS = 12;
export const ICMP_PKT_FILTERED = 13;
export const ICMP_PREC_VIOLATION = 14;
export const ICMP_PREC_CUTOFF = 15;
export const NR_ICMP_UNREACH = 15;

// Codes of ICMP_REDIRECT.
export const ICMP_REDIR_NET = 0;
export const ICMP_REDIR_HOST = 1;
export const ICMP_REDIR_NETTOS = 2;
export const ICMP_REDIR_HOSTTOS = 3;

// Codes of ICMP_TIME_EXCEEDED.
export const ICMP_EXC_TTL = 0;
export const ICMP_EXC_FRAGTIME = 1;

// Extended echo (RFC 8335).
export const ICMP_EXT_CODE_MAL_QUERY = 1;
export const ICMP_EXT_CODE_NO_IF = 2;
export const ICMP_EXT_CODE_NO_TABLE_ENT = 3;
export const ICMP_EXT_CODE_MULT_IFS = 4;
export const ICMP_EXT_ECHOREPLY_ACTIVE = 4;
export const ICMP_EXT_ECHOREPLY_IPV4 = 2;
export const ICMP_EXT_ECHOREPLY_IPV6 = 1;
export const ICMP_EXT_ECHO_CTYPE_NAME = 1;
export const ICMP_EXT_ECHO_CTYPE_INDEX = 2;
export const ICMP_EXT_ECHO_CTYPE_ADDR = 3;
export const ICMP_AFI_IP = 1;
export const ICMP_AFI_IP6 = 2;

// Option at level SOL_RAW.
export const ICMP_FILTER = 1;

// Multi-part messages (RFC 4884, include/linux/icmp.h).
export const ICMP_EXT_VERSION = 2;
export const ICMP_EXT_ORIG_DGRAM_MIN_LEN = 128; // octets of the original datagram before an extension may start

/*
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |     Type      |     Code      |           Checksum            |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |           identifier          |        sequence number        |  echo, timestamp
 * |                        gateway address                        |  redirect
 * |     unused    |     length    |         next-hop MTU          |  unreachable
 * |    pointer    |     length    |            unused             |  parameter problem
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */

/**
 * struct icmphdr. The second word is a union, whose members all read the same four octets.
 * @kernel icmphdr include/uapi/linux/icmp.h
 */
export const icmphdr = {
  LEN: 8,
  type: (v: DataView, o: number): number => v.getUint8(o),
  code: (v: DataView, o: number): number => v.getUint8(o + 1),
  checksum: (v: DataView, o: number): number => v.getUint16(o + 2),
  /** The whole second word. */
  rest: (v: DataView, o: number): number => v.getUint32(o + 4),
  echoId: (v: DataView, o: number): number => v.getUint16(o + 4),
  echoSequence: (v: DataView, o: number): number => v.getUint16(o + 6),
  gateway: (v: DataView, o: number): number => v.getUint32(o + 4),
  pointer: (v: DataView, o: number): number => v.getUint8(o + 4),
  /** Length of the quoted datagram in 32-bit words when an extension follows (RFC 4884). */
  length: (v: DataView, o: number): number => v.getUint8(o + 5),
  fragMtu: (v: DataView, o: number): number => v.getUint16(o + 6),

  setType: (v: DataView, o: number, x: number): void => v.setUint8(o, x),
  setCode: (v: DataView, o: number, x: number): void => v.setUint8(o + 1, x),
  setChecksum: (v: DataView, o: number, x: number): void => v.setUint16(o + 2, x),
  setRest: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x),
  setEchoId: (v: DataView, o: number, x: number): void => v.setUint16(o + 4, x),
  setEchoSequence: (v: DataView, o: number, x: number): void => v.setUint16(o + 6, x),
  setGateway: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x),
  setPointer: (v: DataView, o: number, x: number): void => v.setUint8(o + 4, x),
  setLength: (v: DataView, o: number, x: number): void => v.setUint8(o + 5, x),
  setFragMtu: (v: DataView, o: number, x: number): void => v.setUint16(o + 6, x),
} as const;
