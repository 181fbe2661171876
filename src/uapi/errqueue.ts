/*
 * What recvmsg(MSG_ERRQUEUE) says about an error.
 * Kernel counterpart: include/uapi/linux/errqueue.h.
 */

// Origins and codes.
export const SO_EE_ORIGIN_NONE = 0;
export const SO_EE_ORIGIN_LOCAL = 1;
export const SO_EE_ORIGIN_ICMP = 2;
export const SO_EE_ORIGIN_ICMP6 = 3;
export const SO_EE_ORIGIN_TXSTATUS = 4;
export const SO_EE_ORIGIN_ZEROCOPY = 5;
export const SO_EE_ORIGIN_TXTIME = 6;
export const SO_EE_ORIGIN_TIMESTAMPING = 4;
export const SO_EE_CODE_ZEROCOPY_COPIED = 1;
export const SO_EE_CODE_TXTIME_INVALID_PARAM = 1;
export const SO_EE_CODE_TXTIME_MISSED = 2;
export const SO_EE_RFC4884_FLAG_INVALID = 1;

// ee_info of a transmit time stamp.
export const SCM_TSTAMP_SND = 0;
export const SCM_TSTAMP_SCHED = 1;
export const SCM_TSTAMP_ACK = 2;
export const SCM_TSTAMP_COMPLETION = 3;

/** struct sock_extended_err; a sockaddr of the offender follows at OFFENDER. `errno` is positive. */
export const sockExtendedErr = {
  LEN: 16,
  OFFENDER: 16,
  errno: (v: DataView, o: number): number => v.getUint32(o, true),
  origin: (v: DataView, o: number): number => v.getUint8(o + 4),
  type: (v: DataView, o: number): number => v.getUint8(o + 5),
  code: (v: DataView, o: number): number => v.getUint8(o + 6),
  info: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  data: (v: DataView, o: number): number => v.getUint32(o + 12, true),
  setErrno: (v: DataView, o: number, x: number): void => v.setUint32(o, x, true),
  setOrigin: (v: DataView, o: number, x: number): void => v.setUint8(o + 4, x),
  setType: (v: DataView, o: number, x: number): void => v.setUint8(o + 5, x),
  setCode: (v: DataView, o: number, x: number): void => v.setUint8(o + 6, x),
  setInfo: (v: DataView, o: number, x: number): void => v.setUint32(o + 8, x, true),
  setData: (v: DataView, o: number, x: number): void => v.setUint32(o + 12, x, true),
} as const;
