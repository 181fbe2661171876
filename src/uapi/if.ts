/*
 * Interface flags, operational states and struct ifreq.
 * Kernel counterpart: include/uapi/linux/if.h. RFC 2863 for the operational states.
 */

export const IFNAMSIZ = 16;
export const IFALIASZ = 256;
export const ALTIFNAMSIZ = 128;

// Device flags (`dev.flags`, SIOCGIFFLAGS, ifi_flags).
export const IFF_UP = 0x1;
export const IFF_BROADCAST = 0x2;
export const IFF_DEBUG = 0x4;
export const IFF_LOOPBACK = 0x8;
export const IFF_POINTOPOINT = 0x10;
export const IFF_NOTRAILERS = 0x20;
export const IFF_RUNNING = 0x40;
export const IFF_NOARP = 0x80;
export const IFF_PROMISC = 0x0100;
export const IFF_ALLMULTI = 0x0200;
export const IFF_MASTER = 0x0400;
export const IFF_SLAVE = 0x0800;
export const IFF_MULTICAST = 0x1000;
export const IFF_PORTSEL = 0x2000;
export const IFF_AUTOMEDIA = 0x4000;
export const IFF_DYNAMIC = 0x8000;
export const IFF_LOWER_UP = 0x00010000;
export const IFF_DORMANT = 0x00020000;
export const IFF_ECHO = 0x00040000;

export const IFF_VOLATILE = 0x70c5a; // flags that only the kernel changes

// Operational states (RFC 2863).
export const IF_OPER_UNKNOWN = 0;
export const IF_OPER_NOTPRESENT = 1;
export const IF_OPER_DOWN = 2;
export const IF_OPER_LOWERLAYERDOWN = 3;
export const IF_OPER_TESTING = 4;
export const IF_OPER_DORMANT = 5;
export const IF_OPER_UP = 6;

export const IF_LINK_MODE_DEFAULT = 0;
export const IF_LINK_MODE_DORMANT = 1;
export const IF_LINK_MODE_TESTING = 2;

/** The name, then a union that starts at UNION. @kernel ifreq include/uapi/linux/if.h */
export const ifreq = {
  LEN: 40,
  NAME: 0,
  UNION: 16,
  flags: (v: DataView, o: number): number => v.getUint16(o + 16, true),
  ifindex: (v: DataView, o: number): number => v.getInt32(o + 16, true),
  mtu: (v: DataView, o: number): number => v.getInt32(o + 16, true),
  setFlags: (v: DataView, o: number, x: number): void => v.setUint16(o + 16, x, true),
  setIfindex: (v: DataView, o: number, x: number): void => v.setInt32(o + 16, x, true),
  setMtu: (v: DataView, o: number, x: number): void => v.setInt32(o + 16, x, true),
} as const;
