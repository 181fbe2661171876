/*
 * Flags of routes as `rtm_flags` of a lookup and `rt_flags` show them.
 * Kernel counterpart: include/uapi/linux/in_route.h.
 */

export const RTCF_DEAD = 0x8; // RTNH_F_DEAD
export const RTCF_ONLINK = 0x4;
export const RTCF_NOTIFY = 0x00010000;
export const RTCF_DIRECTDST = 0x00020000;
export const RTCF_REDIRECTED = 0x00040000;
export const RTCF_TPROXY = 0x00080000;
export const RTCF_FAST = 0x00200000;
export const RTCF_MASQ = 0x00400000;
export const RTCF_SNAT = 0x00800000;
/** The sender should have used another router: a redirect is due. */
export const RTCF_DOREDIRECT = 0x01000000;
export const RTCF_DIRECTSRC = 0x04000000;
export const RTCF_DNAT = 0x08000000;
export const RTCF_BROADCAST = 0x10000000;
export const RTCF_MULTICAST = 0x20000000;
export const RTCF_REJECT = 0x40000000;
export const RTCF_LOCAL = 0x80000000;
export const RTCF_NAT = 0x08800000; // RTCF_DNAT | RTCF_SNAT
