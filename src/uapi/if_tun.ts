/*
 * TUN/TAP: ioctls, flags, offloads.
 * Kernel counterpart: include/uapi/linux/if_tun.h.
 */

// ifr_flags of TUNSETIFF.
export const IFF_TUN = 0x1;
export const IFF_TAP = 0x2;
export const IFF_NAPI = 0x10;
export const IFF_NAPI_FRAGS = 0x20;
export const IFF_NO_CARRIER = 0x40;
export const IFF_NO_PI = 0x1000;
export const IFF_ONE_QUEUE = 0x2000;
export const IFF_VNET_HDR = 0x4000;
export const IFF_TUN_EXCL = 0x8000;
export const IFF_MULTI_QUEUE = 0x0100;
export const IFF_ATTACH_QUEUE = 0x0200;
export const IFF_DETACH_QUEUE = 0x0400;
export const IFF_PERSIST = 0x0800;
export const IFF_NOFILTER = 0x1000;

// Requests.
export const TUNSETNOCSUM = 0x400454c8;
export const TUNSETDEBUG = 0x400454c9;
export const TUNSETIFF = 0x400454ca;
export const TUNSETPERSIST = 0x400454cb;
export const TUNSETOWNER = 0x400454cc;
export const TUNSETLINK = 0x400454cd;
export const TUNSETGROUP = 0x400454ce;
export const TUNGETFEATURES = 0x800454cf;
export const TUNSETOFFLOAD = 0x400454d0;
export const TUNSETTXFILTER = 0x400454d1;
export const TUNGETIFF = 0x800454d2;
export const TUNGETSNDBUF = 0x800454d3;
export const TUNSETSNDBUF = 0x400454d4;
export const TUNATTACHFILTER = 0x401054d5;
export const TUNDETACHFILTER = 0x401054d6;
export const TUNGETVNETHDRSZ = 0x800454d7;
export const TUNSETVNETHDRSZ = 0x400454d8;
export const TUNSETQUEUE = 0x400454d9;
export const TUNSETIFINDEX = 0x400454da;
export const TUNGETFILTER = 0x801054db;
export const TUNSETVNETLE = 0x400454dc;
export const TUNGETVNETLE = 0x800454dd;
export const TUNSETVNETBE = 0x400454de;
export const TUNGETVNETBE = 0x800454df;
export const TUNSETSTEERINGEBPF = 0x800454e0;
export const TUNSETFILTEREBPF = 0x800454e1;
export const TUNSETCARRIER = 0x400454e2;
export const TUNGETDEVNETNS = 0x54e3;

// TUNSETOFFLOAD.
export const TUN_F_CSUM = 0x01;
export const TUN_F_TSO4 = 0x02;
export const TUN_F_TSO6 = 0x04;
export const TUN_F_TSO_ECN = 0x08;
export const TUN_F_UFO = 0x10;
export const TUN_F_USO4 = 0x20;
export const TUN_F_USO6 = 0x40;
export const TUN_F_UDP_TUNNEL_GSO = 0x080;
export const TUN_F_UDP_TUNNEL_GSO_CSUM = 0x100;

export const TUN_PKT_STRIP = 1;
export const TUN_TX_TIMESTAMP = 1;
export const TUN_FLT_ALLMULTI = 1;

/** struct tun_pi: in front of every packet unless IFF_NO_PI. */
export const tunPi = {
  LEN: 4,
  flags: (v: DataView, o: number): number => v.getUint16(o, true),
  proto: (v: DataView, o: number): number => v.getUint16(o + 2),
  setFlags: (v: DataView, o: number, x: number): void => v.setUint16(o, x, true),
  setProto: (v: DataView, o: number, x: number): void => v.setUint16(o + 2, x),
} as const;
