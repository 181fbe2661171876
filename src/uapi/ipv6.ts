/*
 * IPv6: the fixed header, fragment header and per-device settings' numbers.
 * Kernel counterpart: include/uapi/linux/ipv6.h. RFC 8200.
 */

export const IPV6_MIN_MTU = 1280;
export const IPV6_DEFAULT_HOPLIMIT = 64;
export const IPV6_DEFAULT_MCASTHOPS = 1;

// Routing header types.
export const IPV6_SRCRT_STRICT = 1;
export const IPV6_SRCRT_TYPE_0 = 0;
export const IPV6_SRCRT_TYPE_2 = 2;
export const IPV6_SRCRT_TYPE_3 = 3;
export const IPV6_SRCRT_TYPE_4 = 4;
export const IPV6_OPT_ROUTERALERT_MLD = 0;

// The fragment header's offset word (include/net/ipv6.h).
export const IP6_MF = 0x0001;
export const IP6_OFFSET = 0xfff8;

// Index of each per-device setting (net.ipv6.conf.*) in IFLA_INET6_CONF.
export const DEVCONF_FORWARDING = 0;
export const DEVCONF_HOPLIMIT = 1;
export const DEVCONF_MTU6 = 2;
export const DEVCONF_ACCEPT_RA = 3;
export const DEVCONF_ACCEPT_REDIRECTS = 4;
export const DEVCONF_AUTOCONF = 5;
export const DEVCONF_DAD_TRANSMITS = 6;
export const DEVCONF_RTR_SOLICITS = 7;
export const DEVCONF_RTR_SOLICIT_INTERVAL = 8;
export const DEVCONF_RTR_SOLICIT_DELAY = 9;
export const DEVCONF_USE_TEMPADDR = 10;
export const DEVCONF_TEMP_VALID_LFT = 11;
export const DEVCONF_TEMP_PREFERED_LFT = 12;
export const DEVCONF_REGEN_MAX_RETRY = 13;
export const DEVCONF_MAX_DESYNC_FACTOR = 14;
export const DEVCONF_MAX_ADDRESSES = 15;
export const DEVCONF_FORCE_MLD_VERSION = 16;
export const DEVCONF_ACCEPT_RA_DEFRTR = 17;
export const DEVCONF_ACCEPT_RA_PINFO = 18;
export const DEVCONF_ACCEPT_RA_RTR_PREF = 19;
export const DEVCONF_RTR_PROBE_INTERVAL = 20;
export const DEVCONF_ACCEPT_RA_RT_INFO_MAX_PLEN = 21;
export const DEVCONF_PROXY_NDP = 22;
export const DEVCONF_OPTIMISTIC_DAD = 23;
export const DEVCONF_ACCEPT_SOURCE_ROUTE = 24;
export const DEVCONF_MC_FORWARDING = 25;
export const DEVCONF_DISABLE_IPV6 = 26;
export const DEVCONF_ACCEPT_DAD = 27;
export const DEVCONF_FORCE_TLLAO = 28;
export const DEVCONF_NDISC_NOTIFY = 29;
export const DEVCONF_MLDV1_UNSOLICITED_REPORT_INTERVAL = 30;
export const DEVCONF_MLDV2_UNSOLICITED_REPORT_INTERVAL = 31;
export const DEVCONF_SUPPRESS_FRAG_NDISC = 32;
export const DEVCONF_ACCEPT_RA_FROM_LOCAL = 33;
export const DEVCONF_USE_OPTIMISTIC = 34;
export const DEVCONF_ACCEPT_RA_MTU = 35;
export const DEVCONF_STABLE_SECRET = 36;
export const DEVCONF_USE_OIF_ADDRS_ONLY = 37;
export const DEVCONF_ACCEPT_RA_MIN_HOP_LIMIT = 38;
export const DEVCONF_IGNORE_ROUTES_WITH_LINKDOWN = 39;
export const DEVCONF_DROP_UNICAST_IN_L2_MULTICAST = 40;
export const DEVCONF_DROP_UNSOLICITED_NA = 41;
export const DEVCONF_KEEP_ADDR_ON_DOWN = 42;
export const DEVCONF_RTR_SOLICIT_MAX_INTERVAL = 43;
export const DEVCONF_SEG6_ENABLED = 44;
export const DEVCONF_SEG6_REQUIRE_HMAC = 45;
export const DEVCONF_ENHANCED_DAD = 46;
export const DEVCONF_ADDR_GEN_MODE = 47;
export const DEVCONF_DISABLE_POLICY = 48;
export const DEVCONF_ACCEPT_RA_RT_INFO_MIN_PLEN = 49;
export const DEVCONF_NDISC_TCLASS = 50;
export const DEVCONF_RPL_SEG_ENABLED = 51;
export const DEVCONF_RA_DEFRTR_METRIC = 52;
export const DEVCONF_IOAM6_ENABLED = 53;
export const DEVCONF_IOAM6_ID = 54;
export const DEVCONF_IOAM6_ID_WIDE = 55;
export const DEVCONF_NDISC_EVICT_NOCARRIER = 56;
export const DEVCONF_ACCEPT_UNTRACKED_NA = 57;
export const DEVCONF_ACCEPT_RA_MIN_LFT = 58;
export const DEVCONF_FORCE_FORWARDING = 59;
export const DEVCONF_MAX = 60;

/*
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |Version| Traffic Class |           Flow Label                  |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |         Payload Length        |  Next Header  |   Hop Limit   |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                    Source Address (16 octets)                 |
 * |                 Destination Address (16 octets)               |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */

/** struct ipv6hdr (RFC 8200#3). Addresses by word, most significant first, unsigned. */
export const ipv6hdr = {
  LEN: 40,
  SADDR: 8,
  DADDR: 24,
  version: (v: DataView, o: number): number => v.getUint8(o) >> 4,
  /** Traffic class: DS field and ECN. */
  dsfield: (v: DataView, o: number): number => (v.getUint16(o) >> 4) & 0xff,
  flowLbl: (v: DataView, o: number): number => v.getUint32(o) & 0xfffff,
  payloadLen: (v: DataView, o: number): number => v.getUint16(o + 4),
  nexthdr: (v: DataView, o: number): number => v.getUint8(o + 6),
  hopLimit: (v: DataView, o: number): number => v.getUint8(o + 7),
  saddr: (v: DataView, o: number, i: number): number => v.getUint32(o + 8 + (i << 2)),
  daddr: (v: DataView, o: number, i: number): number => v.getUint32(o + 24 + (i << 2)),

  setVersion: (v: DataView, o: number, x: number): void =>
    v.setUint8(o, (v.getUint8(o) & 0x0f) | (x << 4)),
  setDsfield: (v: DataView, o: number, x: number): void =>
    v.setUint16(o, (v.getUint16(o) & 0xf00f) | ((x & 0xff) << 4)),
  setFlowLbl: (v: DataView, o: number, x: number): void =>
    v.setUint32(o, (v.getUint32(o) & 0xfff00000) | (x & 0xfffff)),
  setPayloadLen: (v: DataView, o: number, x: number): void => v.setUint16(o + 4, x),
  setNexthdr: (v: DataView, o: number, x: number): void => v.setUint8(o + 6, x),
  setHopLimit: (v: DataView, o: number, x: number): void => v.setUint8(o + 7, x),
  setSaddr: (v: DataView, o: number, i: number, x: number): void =>
    v.setUint32(o + 8 + (i << 2), x),
  setDaddr: (v: DataView, o: number, i: number, x: number): void =>
    v.setUint32(o + 24 + (i << 2), x),
} as const;

/*
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |  Next Header  |   Reserved    |      Fragment Offset    |Res|M|
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                         Identification                        |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */

/** struct frag_hdr (RFC 8200#4.5). `fragOff` is the whole word: IP6_OFFSET and IP6_MF. */
export const fragHdr = {
  LEN: 8,
  nexthdr: (v: DataView, o: number): number => v.getUint8(o),
  fragOff: (v: DataView, o: number): number => v.getUint16(o + 2),
  identification: (v: DataView, o: number): number => v.getUint32(o + 4),
  setNexthdr: (v: DataView, o: number, x: number): void => v.setUint8(o, x),
  setFragOff: (v: DataView, o: number, x: number): void => v.setUint16(o + 2, x),
  setIdentification: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x),
} as const;
