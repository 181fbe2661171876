/*
 * Per-device forwarding settings over netlink (ip netconf).
 * Kernel counterpart: include/uapi/linux/netconf.h.
 */

export const NETCONFA_MAX = 9;
export const NETCONFA_ALL = -1;
export const NETCONFA_IFINDEX_ALL = -1;
export const NETCONFA_IFINDEX_DEFAULT = -2;
export const NETCONFA_UNSPEC = 0;
export const NETCONFA_IFINDEX = 1;
export const NETCONFA_FORWARDING = 2;
export const NETCONFA_RP_FILTER = 3;
export const NETCONFA_MC_FORWARDING = 4;
export const NETCONFA_PROXY_NEIGH = 5;
export const NETCONFA_IGNORE_ROUTES_WITH_LINKDOWN = 6;
export const NETCONFA_INPUT = 7;
export const NETCONFA_BC_FORWARDING = 8;
export const NETCONFA_FORCE_FORWARDING = 9;

/** struct netconfmsg. */
export const netconfmsg = {
  LEN: 1,
  family: (v: DataView, o: number): number => v.getUint8(o),
  setFamily: (v: DataView, o: number, x: number): void => v.setUint8(o, x),
} as const;
