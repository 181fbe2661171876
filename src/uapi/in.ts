/*
 * The Internet address family: protocols, well-known addresses, IP level socket options.
 * Kernel counterpart: include/uapi/linux/in.h. IPv4 addresses are unsigned 32-bit numbers in host
 * order everywhere: 127.0.0.1 is 0x7f000001.
 */

// Protocol numbers (IANA); above 255 they exist only as arguments of socket().
export const IPPROTO_IP = 0;
export const IPPROTO_ICMP = 1;
export const IPPROTO_IGMP = 2;
export const IPPROTO_IPIP = 4;
export const IPPROTO_TCP = 6;
export const IPPROTO_EGP = 8;
export const IPPROTO_PUP = 12;
export const IPPROTO_UDP = 17;
export const IPPROTO_IDP = 22;
export const IPPROTO_TP = 29;
export const IPPROTO_DCCP = 33;
export const IPPROTO_IPV6 = 41;
export const IPPROTO_RSVP = 46;
export const IPPROTO_GRE = 47;
export const IPPROTO_ESP = 50;
export const IPPROTO_AH = 51;
export const IPPROTO_MTP = 92;
export const IPPROTO_BEETPH = 94;
export const IPPROTO_ENCAP = 98;
export const IPPROTO_PIM = 103;
export const IPPROTO_COMP = 108;
export const IPPROTO_L2TP = 115;
export const IPPROTO_SCTP = 132;
export const IPPROTO_UDPLITE = 136;
export const IPPROTO_MPLS = 137;
export const IPPROTO_ETHERNET = 143;
export const IPPROTO_AGGFRAG = 144;
export const IPPROTO_RAW = 255;

export const IPPROTO_SMC = 256;
export const IPPROTO_MPTCP = 262;
export const IPPROTO_MAX = 263;

// Options at level SOL_IP.
export const IP_TOS = 1;
export const IP_TTL = 2;
export const IP_HDRINCL = 3;
export const IP_OPTIONS = 4;
export const IP_ROUTER_ALERT = 5;
export const IP_RECVOPTS = 6;
export const IP_RETOPTS = 7;
export const IP_PKTINFO = 8;
export const IP_PKTOPTIONS = 9;
export const IP_MTU_DISCOVER = 10;
export const IP_RECVERR = 11;
export const IP_RECVTTL = 12;
export const IP_RECVTOS = 13;
export const IP_MTU = 14;
export const IP_FREEBIND = 15;
export const IP_IPSEC_POLICY = 16;
export const IP_XFRM_POLICY = 17;
export const IP_PASSSEC = 18;
export const IP_TRANSPARENT = 19;
export const IP_RECVRETOPTS = 7;
export const IP_ORIGDSTADDR = 20;
export const IP_RECVORIGDSTADDR = 20;
export const IP_MINTTL = 21;
export const IP_NODEFRAG = 22;
export const IP_CHECKSUM = 23;
export const IP_BIND_ADDRESS_NO_PORT = 24;
export const IP_RECVFRAGSIZE = 25;
export const IP_RECVERR_RFC4884 = 26;

// Values of IP_MTU_DISCOVER.
export const IP_PMTUDISC_DONT = 0;
export const IP_PMTUDISC_WANT = 1;
export const IP_PMTUDISC_DO = 2;
export const IP_PMTUDISC_PROBE = 3;
export const IP_PMTUDISC_INTERFACE = 4;
export const IP_PMTUDISC_OMIT = 5;

// Multicast, and the options numbered after it.
export const IP_MULTICAST_IF = 32;
export const IP_MULTICAST_TTL = 33;
export const IP_MULTICAST_LOOP = 34;
export const IP_ADD_MEMBERSHIP = 35;
export const IP_DROP_MEMBERSHIP = 36;
export const IP_UNBLOCK_SOURCE = 37;
export const IP_BLOCK_SOURCE = 38;
export const IP_ADD_SOURCE_MEMBERSHIP = 39;
export const IP_DROP_SOURCE_MEMBERSHIP = 40;
export const IP_MSFILTER = 41;
export const MCAST_JOIN_GROUP = 42;
export const MCAST_BLOCK_SOURCE = 43;
export const MCAST_UNBLOCK_SOURCE = 44;
export const MCAST_LEAVE_GROUP = 45;
export const MCAST_JOIN_SOURCE_GROUP = 46;
export const MCAST_LEAVE_SOURCE_GROUP = 47;
export const MCAST_MSFILTER = 48;
export const IP_MULTICAST_ALL = 49;
export const IP_UNICAST_IF = 50;
export const IP_LOCAL_PORT_RANGE = 51;
export const IP_PROTOCOL = 52;
export const MCAST_EXCLUDE = 0;
export const MCAST_INCLUDE = 1;
export const IP_DEFAULT_MULTICAST_TTL = 1;
export const IP_DEFAULT_MULTICAST_LOOP = 1;

// Well-known addresses, host order.
export const INADDR_ANY = 0x00000000;
export const INADDR_BROADCAST = 0xffffffff;
export const INADDR_NONE = 0xffffffff;
export const INADDR_DUMMY = 0xc0000008;
export const INADDR_LOOPBACK = 0x7f000001;
export const INADDR_UNSPEC_GROUP = 0xe0000000;
export const INADDR_ALLHOSTS_GROUP = 0xe0000001;
export const INADDR_ALLRTRS_GROUP = 0xe0000002;
export const INADDR_ALLSNOOPERS_GROUP = 0xe000006a;
export const INADDR_MAX_LOCAL_GROUP = 0xe00000ff;

// Address classes, for those who still ask.
export const IN_CLASSA_NET = 0xff000000;
export const IN_CLASSA_NSHIFT = 24;
export const IN_CLASSA_HOST = 0x00ffffff;
export const IN_CLASSB_NET = 0xffff0000;
export const IN_CLASSB_NSHIFT = 16;
export const IN_CLASSB_HOST = 0x0000ffff;
export const IN_CLASSC_NET = 0xffffff00;
export const IN_CLASSC_NSHIFT = 8;
export const IN_CLASSC_HOST = 0x000000ff;
export const IN_LOOPBACKNET = 127;

// Tests on addresses in host order.
export const ipv4IsMulticast = (addr: number): boolean => addr >>> 28 === 0xe;
export const ipv4IsLocalMulticast = (addr: number): boolean => addr >>> 8 === 0xe00000;
export const ipv4IsLbcast = (addr: number): boolean => (addr | 0) === -1;
export const ipv4IsZeronet = (addr: number): boolean => addr === 0;
export const ipv4IsLoopback = (addr: number): boolean => addr >>> 24 === IN_LOOPBACKNET;
export const ipv4IsLinklocal169 = (addr: number): boolean => addr >>> 16 === 0xa9fe;
export const ipv4IsAllSnoopers = (addr: number): boolean => addr === INADDR_ALLSNOOPERS_GROUP;

/*
 * +---------------+---------------+---------------+---------------+
 * |  family (LE)                  |  port (network order)         |
 * +---------------+---------------+---------------+---------------+
 * |  address (network order)                                      |
 * +---------------+---------------+---------------+---------------+
 * |  8 octets of zero                                             |
 */

/** struct sockaddr_in. */
export const sockaddrIn = {
  LEN: 16,
  family: (v: DataView, o: number): number => v.getUint16(o, true),
  port: (v: DataView, o: number): number => v.getUint16(o + 2),
  addr: (v: DataView, o: number): number => v.getUint32(o + 4),
  setFamily: (v: DataView, o: number, x: number): void => v.setUint16(o, x, true),
  setPort: (v: DataView, o: number, x: number): void => v.setUint16(o + 2, x),
  setAddr: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x),
} as const;

// The same of an address that is an array of its own: a view, made for this alone, would cost more than the reading.

/** @kernel sin_family include/uapi/linux/in.h */
export function sinFamily(b: Uint8Array): number {
  return (b[0] as number) | ((b[1] as number) << 8);
}

/** @kernel sin_port include/uapi/linux/in.h */
export function sinPort(b: Uint8Array): number {
  return ((b[2] as number) << 8) | (b[3] as number);
}

/** @kernel sin_addr include/uapi/linux/in.h */
export function sinAddr(b: Uint8Array): number {
  const high = ((b[4] as number) << 24) | ((b[5] as number) << 16);
  return (high | ((b[6] as number) << 8) | (b[7] as number)) >>> 0;
}

/** Writes family, port and address; the octets behind them stay. */
export function sinFill(b: Uint8Array, family: number, port: number, addr: number): void {
  b[0] = family;
  b[1] = family >>> 8;
  b[2] = port >>> 8;
  b[3] = port;
  b[4] = addr >>> 24;
  b[5] = addr >>> 16;
  b[6] = addr >>> 8;
  b[7] = addr;
}

/** struct ip_mreqn: group and interface of IP_ADD_MEMBERSHIP and IP_MULTICAST_IF. */
export const ipMreqn = {
  LEN: 12,
  /** sizeof(struct ip_mreq): without the interface index. */
  MREQ_LEN: 8,
  multiaddr: (v: DataView, o: number): number => v.getUint32(o),
  address: (v: DataView, o: number): number => v.getUint32(o + 4),
  ifindex: (v: DataView, o: number): number => v.getInt32(o + 8, true),
  setMultiaddr: (v: DataView, o: number, x: number): void => v.setUint32(o, x),
  setAddress: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x),
  setIfindex: (v: DataView, o: number, x: number): void => v.setInt32(o + 8, x, true),
} as const;

/** struct in_pktinfo: interface, local address, and the destination in the header. */
export const inPktinfo = {
  LEN: 12,
  ifindex: (v: DataView, o: number): number => v.getInt32(o, true),
  specDst: (v: DataView, o: number): number => v.getUint32(o + 4),
  addr: (v: DataView, o: number): number => v.getUint32(o + 8),
  setIfindex: (v: DataView, o: number, x: number): void => v.setInt32(o, x, true),
  setSpecDst: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x),
  setAddr: (v: DataView, o: number, x: number): void => v.setUint32(o + 8, x),
} as const;
