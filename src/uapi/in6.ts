/*
 * The IPv6 address family: extension headers, IPv6 level socket options.
 * Kernel counterpart: include/uapi/linux/in6.h. RFC 3493, 3542.
 */

// Extension headers and ICMPv6 as protocol numbers.
export const IPPROTO_HOPOPTS = 0;
export const IPPROTO_ROUTING = 43;
export const IPPROTO_FRAGMENT = 44;
export const IPPROTO_ICMPV6 = 58;
export const IPPROTO_NONE = 59;
export const IPPROTO_DSTOPTS = 60;
export const IPPROTO_MH = 135;

// Options of the hop-by-hop and destination headers.
export const IPV6_TLV_PAD1 = 0;
export const IPV6_TLV_PADN = 1;
export const IPV6_TLV_ROUTERALERT = 5;
export const IPV6_TLV_CALIPSO = 7;
export const IPV6_TLV_IOAM = 49;
export const IPV6_TLV_JUMBO = 194;
export const IPV6_TLV_HAO = 201;

// Options at level SOL_IPV6.
export const IPV6_ADDRFORM = 1;
export const IPV6_2292PKTINFO = 2;
export const IPV6_2292HOPOPTS = 3;
export const IPV6_2292DSTOPTS = 4;
export const IPV6_2292RTHDR = 5;
export const IPV6_2292PKTOPTIONS = 6;
export const IPV6_CHECKSUM = 7;
export const IPV6_2292HOPLIMIT = 8;
export const IPV6_NEXTHOP = 9;
export const IPV6_AUTHHDR = 10;
export const IPV6_FLOWINFO = 11;
export const IPV6_UNICAST_HOPS = 16;
export const IPV6_MULTICAST_IF = 17;
export const IPV6_MULTICAST_HOPS = 18;
export const IPV6_MULTICAST_LOOP = 19;
export const IPV6_ADD_MEMBERSHIP = 20;
export const IPV6_DROP_MEMBERSHIP = 21;
export const IPV6_ROUTER_ALERT = 22;
export const IPV6_MTU_DISCOVER = 23;
export const IPV6_MTU = 24;
export const IPV6_RECVERR = 25;
export const IPV6_V6ONLY = 26;
export const IPV6_JOIN_ANYCAST = 27;
export const IPV6_LEAVE_ANYCAST = 28;
export const IPV6_MULTICAST_ALL = 29;
export const IPV6_ROUTER_ALERT_ISOLATE = 30;
export const IPV6_RECVERR_RFC4884 = 31;
export const IPV6_FLOWLABEL_MGR = 32;
export const IPV6_FLOWINFO_SEND = 33;
export const IPV6_IPSEC_POLICY = 34;
export const IPV6_XFRM_POLICY = 35;
export const IPV6_HDRINCL = 36;
export const IPV6_RECVPKTINFO = 49;
export const IPV6_PKTINFO = 50;
export const IPV6_RECVHOPLIMIT = 51;
export const IPV6_HOPLIMIT = 52;
export const IPV6_RECVHOPOPTS = 53;
export const IPV6_HOPOPTS = 54;
export const IPV6_RTHDRDSTOPTS = 55;
export const IPV6_RECVRTHDR = 56;
export const IPV6_RTHDR = 57;
export const IPV6_RECVDSTOPTS = 58;
export const IPV6_DSTOPTS = 59;
export const IPV6_RECVPATHMTU = 60;
export const IPV6_PATHMTU = 61;
export const IPV6_DONTFRAG = 62;
export const IPV6_RECVTCLASS = 66;
export const IPV6_TCLASS = 67;
export const IPV6_AUTOFLOWLABEL = 70;
export const IPV6_ADDR_PREFERENCES = 72;
export const IPV6_MINHOPCOUNT = 73;
export const IPV6_ORIGDSTADDR = 74;
export const IPV6_RECVORIGDSTADDR = 74;
export const IPV6_TRANSPARENT = 75;
export const IPV6_UNICAST_IF = 76;
export const IPV6_RECVFRAGSIZE = 77;
export const IPV6_FREEBIND = 78;

// Values of IPV6_MTU_DISCOVER.
export const IPV6_PMTUDISC_DONT = 0;
export const IPV6_PMTUDISC_WANT = 1;
export const IPV6_PMTUDISC_DO = 2;
export const IPV6_PMTUDISC_PROBE = 3;
export const IPV6_PMTUDISC_INTERFACE = 4;
export const IPV6_PMTUDISC_OMIT = 5;

// Values of IPV6_ADDR_PREFERENCES (RFC 5014).
export const IPV6_PREFER_SRC_TMP = 0x1;
export const IPV6_PREFER_SRC_PUBLIC = 0x2;
export const IPV6_PREFER_SRC_PUBTMP_DEFAULT = 0x0100;
export const IPV6_PREFER_SRC_COA = 0x4;
export const IPV6_PREFER_SRC_HOME = 0x0400;
export const IPV6_PREFER_SRC_CGA = 0x8;
export const IPV6_PREFER_SRC_NONCGA = 0x0800;

// Flow labels.
export const IPV6_FL_A_GET = 0x0;
export const IPV6_FL_A_PUT = 0x1;
export const IPV6_FL_A_RENEW = 0x2;
export const IPV6_FL_F_CREATE = 0x1;
export const IPV6_FL_F_EXCL = 0x2;
export const IPV6_FL_F_REFLECT = 0x4;
export const IPV6_FL_F_REMOTE = 0x8;
export const IPV6_FL_S_NONE = 0x0;
export const IPV6_FL_S_EXCL = 0x1;
export const IPV6_FL_S_PROCESS = 0x2;
export const IPV6_FL_S_USER = 0x3;
export const IPV6_FL_S_ANY = 0xff;
export const IPV6_FLOWINFO_FLOWLABEL = 0x000fffff;
export const IPV6_FLOWINFO_PRIORITY = 0x0ff00000;

// Address types as ipv6_addr_type() gives them (include/net/ipv6.h).
export const IPV6_ADDR_ANY = 0x0000;
export const IPV6_ADDR_UNICAST = 0x0001;
export const IPV6_ADDR_MULTICAST = 0x0002;
export const IPV6_ADDR_LOOPBACK = 0x0010;
export const IPV6_ADDR_LINKLOCAL = 0x0020;
export const IPV6_ADDR_SITELOCAL = 0x0040;
export const IPV6_ADDR_COMPATv4 = 0x0080;
export const IPV6_ADDR_SCOPE_MASK = 0x00f0;
export const IPV6_ADDR_MAPPED = 0x1000;

/** struct sockaddr_in6. The address is four words, most significant first. */
export const sockaddrIn6 = {
  LEN: 28,
  family: (v: DataView, o: number): number => v.getUint16(o, true),
  port: (v: DataView, o: number): number => v.getUint16(o + 2),
  flowinfo: (v: DataView, o: number): number => v.getUint32(o + 4),
  /** Word `i` (0 to 3) of the address, unsigned. */
  addr: (v: DataView, o: number, i: number): number => v.getUint32(o + 8 + (i << 2)),
  scopeId: (v: DataView, o: number): number => v.getUint32(o + 24, true),
  setFamily: (v: DataView, o: number, x: number): void => v.setUint16(o, x, true),
  setPort: (v: DataView, o: number, x: number): void => v.setUint16(o + 2, x),
  setFlowinfo: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x),
  setAddr: (v: DataView, o: number, i: number, x: number): void => v.setUint32(o + 8 + (i << 2), x),
  setScopeId: (v: DataView, o: number, x: number): void => v.setUint32(o + 24, x, true),
} as const;
