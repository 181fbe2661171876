/*
 * ARP: hardware types, operations and the header with its Ethernet/IPv4 payload.
 * Kernel counterpart: include/uapi/linux/if_arp.h. RFC 826, 903, 5227; ARPHRD_* doubles as the
 * device type (`dev.type`, ifi_type).
 */

// Hardware types. From 256 on they are Linux dummies that never travel in an ARP packet.
export const ARPHRD_NETROM = 0;
export const ARPHRD_ETHER = 1;
export const ARPHRD_EETHER = 2;
export const ARPHRD_AX25 = 3;
export const ARPHRD_PRONET = 4;
export const ARPHRD_CHAOS = 5;
export const ARPHRD_IEEE802 = 6;
export const ARPHRD_ARCNET = 7;
export const ARPHRD_APPLETLK = 8;
export const ARPHRD_DLCI = 15;
export const ARPHRD_ATM = 19;
export const ARPHRD_METRICOM = 23;
export const ARPHRD_IEEE1394 = 24;
export const ARPHRD_EUI64 = 27;
export const ARPHRD_INFINIBAND = 32;
export const ARPHRD_SLIP = 256;
export const ARPHRD_CSLIP = 257;
export const ARPHRD_SLIP6 = 258;
export const ARPHRD_CSLIP6 = 259;
export const ARPHRD_RSRVD = 260;
export const ARPHRD_ADAPT = 264;
export const ARPHRD_ROSE = 270;
export const ARPHRD_X25 = 271;
export const ARPHRD_HWX25 = 272;
export const ARPHRD_CAN = 280;
export const ARPHRD_MCTP = 290;
export const ARPHRD_PPP = 512;
export const ARPHRD_CISCO = 513;
export const ARPHRD_HDLC = 513;
export const ARPHRD_LAPB = 516;
export const ARPHRD_DDCMP = 517;
export const ARPHRD_RAWHDLC = 518;
export const ARPHRD_RAWIP = 519;
export const ARPHRD_TUNNEL = 768;
export const ARPHRD_TUNNEL6 = 769;
export const ARPHRD_FRAD = 770;
export const ARPHRD_SKIP = 771;
export const ARPHRD_LOOPBACK = 772;
export const ARPHRD_LOCALTLK = 773;
export const ARPHRD_FDDI = 774;
export const ARPHRD_BIF = 775;
export const ARPHRD_SIT = 776;
export const ARPHRD_IPDDP = 777;
export const ARPHRD_IPGRE = 778;
export const ARPHRD_PIMREG = 779;
export const ARPHRD_HIPPI = 780;
export const ARPHRD_ASH = 781;
export const ARPHRD_ECONET = 782;
export const ARPHRD_IRDA = 783;
export const ARPHRD_FCPP = 784;
export const ARPHRD_FCAL = 785;
export const ARPHRD_FCPL = 786;
export const ARPHRD_FCFABRIC = 787;
export const ARPHRD_IEEE802_TR = 800;
export const ARPHRD_IEEE80211 = 801;
export const ARPHRD_IEEE80211_PRISM = 802;
export const ARPHRD_IEEE80211_RADIOTAP = 803;
export const ARPHRD_IEEE802154 = 804;
export const ARPHRD_IEEE802154_MONITOR = 805;
export const ARPHRD_PHONET = 820;
export const ARPHRD_PHONET_PIPE = 821;
export const ARPHRD_CAIF = 822;
export const ARPHRD_IP6GRE = 823;
export const ARPHRD_NETLINK = 824;
export const ARPHRD_6LOWPAN = 825;
export const ARPHRD_VSOCKMON = 826;
export const ARPHRD_VOID = 65535;
export const ARPHRD_NONE = 65534;

// Operations.
export const ARPOP_REQUEST = 1;
export const ARPOP_REPLY = 2;
export const ARPOP_RREQUEST = 3;
export const ARPOP_RREPLY = 4;
export const ARPOP_InREQUEST = 8;
export const ARPOP_InREPLY = 9;
export const ARPOP_NAK = 10;

// Flags of an ARP table entry (SIOCSARP, /proc/net/arp).
export const ATF_COM = 0x2;
export const ATF_PERM = 0x4;
export const ATF_PUBL = 0x8;
export const ATF_USETRAILERS = 0x10;
export const ATF_NETMASK = 0x20;
export const ATF_DONTPUB = 0x40;

/*
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |         hardware type         |         protocol type         |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |   hw length   |  proto length |           operation           |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                    sender hardware address                    |
 * +                               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                               |    sender protocol address    |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |               ...             |    target hardware address    |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+                               +
 * |                                                               |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                    target protocol address                    |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */

/**
 * struct arphdr: the fixed part. Where the addresses stand follows from hln and pln; the offset helpers
 * count from the start of the header.
 * @kernel arphdr include/uapi/linux/if_arp.h
 */
export const arphdr = {
  LEN: 8,
  hrd: (v: DataView, o: number): number => v.getUint16(o),
  pro: (v: DataView, o: number): number => v.getUint16(o + 2),
  hln: (v: DataView, o: number): number => v.getUint8(o + 4),
  pln: (v: DataView, o: number): number => v.getUint8(o + 5),
  op: (v: DataView, o: number): number => v.getUint16(o + 6),

  setHrd: (v: DataView, o: number, x: number): void => v.setUint16(o, x),
  setPro: (v: DataView, o: number, x: number): void => v.setUint16(o + 2, x),
  setHln: (v: DataView, o: number, x: number): void => v.setUint8(o + 4, x),
  setPln: (v: DataView, o: number, x: number): void => v.setUint8(o + 5, x),
  setOp: (v: DataView, o: number, x: number): void => v.setUint16(o + 6, x),
} as const;

/** The payload for Ethernet and IPv4; `o` is the start of the ARP header. MAC addresses as in ethhdr. */
export const arpEthIp = {
  /** Header and payload together. */
  LEN: 28,
  shaHi: (v: DataView, o: number): number => v.getUint32(o + 8),
  shaLo: (v: DataView, o: number): number => v.getUint16(o + 12),
  sip: (v: DataView, o: number): number => v.getUint32(o + 14),
  thaHi: (v: DataView, o: number): number => v.getUint32(o + 18),
  thaLo: (v: DataView, o: number): number => v.getUint16(o + 22),
  tip: (v: DataView, o: number): number => v.getUint32(o + 24),

  setSha: (v: DataView, o: number, hi: number, lo: number): void => {
    v.setUint32(o + 8, hi);
    v.setUint16(o + 12, lo);
  },
  setSip: (v: DataView, o: number, x: number): void => v.setUint32(o + 14, x),
  setTha: (v: DataView, o: number, hi: number, lo: number): void => {
    v.setUint32(o + 18, hi);
    v.setUint16(o + 22, lo);
  },
  setTip: (v: DataView, o: number, x: number): void => v.setUint32(o + 24, x),
} as const;
