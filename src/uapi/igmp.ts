/*
 * IGMP: message types and the headers of versions 1 to 3.
 * Kernel counterpart: include/uapi/linux/igmp.h. RFC 1112, 2236, 3376.
 */

// Types.
export const IGMP_HOST_MEMBERSHIP_QUERY = 0x11;
export const IGMP_HOST_MEMBERSHIP_REPORT = 0x12;
export const IGMP_DVMRP = 0x13;
export const IGMP_PIM = 0x14;
export const IGMP_TRACE = 0x15;
export const IGMPV2_HOST_MEMBERSHIP_REPORT = 0x16;
export const IGMP_HOST_LEAVE_MESSAGE = 0x17;
export const IGMPV3_HOST_MEMBERSHIP_REPORT = 0x22;
export const IGMP_MTRACE_RESP = 0x1e;
export const IGMP_MTRACE = 0x1f;
export const IGMP_MRDISC_ADV = 0x30;

// Group record types of a version 3 report.
export const IGMPV3_MODE_IS_INCLUDE = 1;
export const IGMPV3_MODE_IS_EXCLUDE = 2;
export const IGMPV3_CHANGE_TO_INCLUDE = 3;
export const IGMPV3_CHANGE_TO_EXCLUDE = 4;
export const IGMPV3_ALLOW_NEW_SOURCES = 5;
export const IGMPV3_BLOCK_OLD_SOURCES = 6;

// States of a membership (RFC 1112 appendix).
export const IGMP_DELAYING_MEMBER = 1;
export const IGMP_IDLE_MEMBER = 2;
export const IGMP_LAZY_MEMBER = 3;
export const IGMP_SLEEPING_MEMBER = 4;
export const IGMP_AWAKENING_MEMBER = 5;

// Sizes in octets, delays in seconds, the scale in ticks a second.
export const IGMP_MINLEN = 8;
export const IGMP_MAX_HOST_REPORT_DELAY = 10;
export const IGMP_TIMER_SCALE = 10;
export const IGMP_AGE_THRESHOLD = 400;

/*
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |      Type     | Max Resp Code |           Checksum            |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                         Group Address                         |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * | Resv  |S| QRV |     QQIC      |     Number of Sources (N)     |  version 3 query only
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */

/** struct igmphdr, and igmpv3_query beyond LEN. `code` is the maximum response time, in 1/10 s. */
export const igmphdr = {
  LEN: 8,
  V3_QUERY_LEN: 12,
  type: (v: DataView, o: number): number => v.getUint8(o),
  code: (v: DataView, o: number): number => v.getUint8(o + 1),
  csum: (v: DataView, o: number): number => v.getUint16(o + 2),
  group: (v: DataView, o: number): number => v.getUint32(o + 4),
  suppress: (v: DataView, o: number): number => (v.getUint8(o + 8) >> 3) & 1,
  qrv: (v: DataView, o: number): number => v.getUint8(o + 8) & 7,
  qqic: (v: DataView, o: number): number => v.getUint8(o + 9),
  nsrcs: (v: DataView, o: number): number => v.getUint16(o + 10),

  setType: (v: DataView, o: number, x: number): void => v.setUint8(o, x),
  setCode: (v: DataView, o: number, x: number): void => v.setUint8(o + 1, x),
  setCsum: (v: DataView, o: number, x: number): void => v.setUint16(o + 2, x),
  setGroup: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x),
  setSuppress: (v: DataView, o: number, x: number): void =>
    v.setUint8(o + 8, (v.getUint8(o + 8) & ~8) | ((x & 1) << 3)),
  setQrv: (v: DataView, o: number, x: number): void =>
    v.setUint8(o + 8, (v.getUint8(o + 8) & ~7) | (x & 7)),
  setQqic: (v: DataView, o: number, x: number): void => v.setUint8(o + 9, x),
  setNsrcs: (v: DataView, o: number, x: number): void => v.setUint16(o + 10, x),
} as const;

/** struct igmpv3_report: the head of a version 3 report; group records follow. */
export const igmpv3Report = {
  LEN: 8,
  type: (v: DataView, o: number): number => v.getUint8(o),
  csum: (v: DataView, o: number): number => v.getUint16(o + 2),
  ngrec: (v: DataView, o: number): number => v.getUint16(o + 6),
  setType: (v: DataView, o: number, x: number): void => v.setUint8(o, x),
  setCsum: (v: DataView, o: number, x: number): void => v.setUint16(o + 2, x),
  setNgrec: (v: DataView, o: number, x: number): void => v.setUint16(o + 6, x),
} as const;

/** struct igmpv3_grec: one group record; `nsrcs` addresses and `auxwords` words follow. */
export const igmpv3Grec = {
  LEN: 8,
  type: (v: DataView, o: number): number => v.getUint8(o),
  auxwords: (v: DataView, o: number): number => v.getUint8(o + 1),
  nsrcs: (v: DataView, o: number): number => v.getUint16(o + 2),
  mca: (v: DataView, o: number): number => v.getUint32(o + 4),
  setType: (v: DataView, o: number, x: number): void => v.setUint8(o, x),
  setAuxwords: (v: DataView, o: number, x: number): void => v.setUint8(o + 1, x),
  setNsrcs: (v: DataView, o: number, x: number): void => v.setUint16(o + 2, x),
  setMca: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x),
} as const;
