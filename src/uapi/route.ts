/*
 * The route of the old ioctls SIOCADDRT and SIOCDELRT, and the flags that /proc/net/route shows.
 * Kernel counterpart: include/uapi/linux/route.h (64-bit layout).
 */

export const RTF_UP = 0x0001;
export const RTF_GATEWAY = 0x0002;
export const RTF_HOST = 0x0004;
export const RTF_REINSTATE = 0x0008;
export const RTF_DYNAMIC = 0x0010;
export const RTF_MODIFIED = 0x0020;
export const RTF_MTU = 0x0040;
export const RTF_MSS = 0x0040;
export const RTF_WINDOW = 0x0080;
export const RTF_IRTT = 0x0100;
export const RTF_REJECT = 0x0200;

/**
 * struct rtentry. The addresses are struct sockaddr_in at DST, GATEWAY and GENMASK. `dev` is a pointer in
 * Linux; here the interface name stands in the 16 bytes behind the structure (DEV), empty for none.
 */
export const rtentry = {
  LEN: 136,
  DST: 8,
  GATEWAY: 24,
  GENMASK: 40,
  DEV: 120,
  flags: (v: DataView, o: number): number => v.getUint16(o + 56, true),
  metric: (v: DataView, o: number): number => v.getInt16(o + 80, true),
  mtu: (v: DataView, o: number): number => v.getUint32(o + 96, true),
  window: (v: DataView, o: number): number => v.getUint32(o + 104, true),
  irtt: (v: DataView, o: number): number => v.getUint16(o + 112, true),
  setFlags: (v: DataView, o: number, x: number): void => v.setUint16(o + 56, x, true),
  setMetric: (v: DataView, o: number, x: number): void => v.setInt16(o + 80, x, true),
  setMtu: (v: DataView, o: number, x: number): void => v.setUint32(o + 96, x, true),
  setWindow: (v: DataView, o: number, x: number): void => v.setUint32(o + 104, x, true),
  setIrtt: (v: DataView, o: number, x: number): void => v.setUint16(o + 112, x, true),
} as const;
