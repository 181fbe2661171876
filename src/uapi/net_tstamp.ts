/*
 * Time stamping of packets: request flags, hardware modes, transmit times.
 * Kernel counterpart: include/uapi/linux/net_tstamp.h.
 */

// Flags of SO_TIMESTAMPING.
export const SOF_TIMESTAMPING_TX_HARDWARE = 0x1;
export const SOF_TIMESTAMPING_TX_SOFTWARE = 0x2;
export const SOF_TIMESTAMPING_RX_HARDWARE = 0x4;
export const SOF_TIMESTAMPING_RX_SOFTWARE = 0x8;
export const SOF_TIMESTAMPING_SOFTWARE = 0x10;
export const SOF_TIMESTAMPING_SYS_HARDWARE = 0x20;
export const SOF_TIMESTAMPING_RAW_HARDWARE = 0x40;
export const SOF_TIMESTAMPING_OPT_ID = 0x80;
export const SOF_TIMESTAMPING_TX_SCHED = 0x0100;
export const SOF_TIMESTAMPING_TX_ACK = 0x0200;
export const SOF_TIMESTAMPING_OPT_CMSG = 0x0400;
export const SOF_TIMESTAMPING_OPT_TSONLY = 0x0800;
export const SOF_TIMESTAMPING_OPT_STATS = 0x1000;
export const SOF_TIMESTAMPING_OPT_PKTINFO = 0x2000;
export const SOF_TIMESTAMPING_OPT_TX_SWHW = 0x4000;
export const SOF_TIMESTAMPING_BIND_PHC = 0x8000;
export const SOF_TIMESTAMPING_OPT_ID_TCP = 0x00010000;
export const SOF_TIMESTAMPING_OPT_RX_FILTER = 0x00020000;
export const SOF_TIMESTAMPING_TX_COMPLETION = 0x00040000;
export const SOF_TIMESTAMPING_LAST = 0x00040000;
export const SOF_TIMESTAMPING_MASK = 0x0007ffff;

// SIOCSHWTSTAMP.
export const HWTSTAMP_FLAG_BONDED_PHC_INDEX = 1;
export const HWTSTAMP_FLAG_LAST = 1;
export const HWTSTAMP_FLAG_MASK = 1;
export const HWTSTAMP_TX_OFF = 0;
export const HWTSTAMP_TX_ON = 1;
export const HWTSTAMP_TX_ONESTEP_SYNC = 2;
export const HWTSTAMP_TX_ONESTEP_P2P = 3;
export const HWTSTAMP_FILTER_NONE = 0;
export const HWTSTAMP_FILTER_ALL = 1;
export const HWTSTAMP_FILTER_SOME = 2;
export const HWTSTAMP_FILTER_PTP_V1_L4_EVENT = 3;
export const HWTSTAMP_FILTER_PTP_V1_L4_SYNC = 4;
export const HWTSTAMP_FILTER_PTP_V1_L4_DELAY_REQ = 5;
export const HWTSTAMP_FILTER_PTP_V2_L4_EVENT = 6;
export const HWTSTAMP_FILTER_PTP_V2_L4_SYNC = 7;
export const HWTSTAMP_FILTER_PTP_V2_L4_DELAY_REQ = 8;
export const HWTSTAMP_FILTER_PTP_V2_L2_EVENT = 9;
export const HWTSTAMP_FILTER_PTP_V2_L2_SYNC = 10;
export const HWTSTAMP_FILTER_PTP_V2_L2_DELAY_REQ = 11;
export const HWTSTAMP_FILTER_PTP_V2_EVENT = 12;
export const HWTSTAMP_FILTER_PTP_V2_SYNC = 13;
export const HWTSTAMP_FILTER_PTP_V2_DELAY_REQ = 14;
export const HWTSTAMP_FILTER_NTP_ALL = 15;

// Flags of SO_TXTIME.
export const SOF_TXTIME_DEADLINE_MODE = 0x1;
export const SOF_TXTIME_REPORT_ERRORS = 0x2;
export const SOF_TXTIME_FLAGS_LAST = 0x2;
export const SOF_TXTIME_FLAGS_MASK = 0x3;

/** struct hwtstamp_config: SIOCSHWTSTAMP. */
export const hwtstampConfig = {
  LEN: 12,
  flags: (v: DataView, o: number): number => v.getInt32(o, true),
  txType: (v: DataView, o: number): number => v.getInt32(o + 4, true),
  rxFilter: (v: DataView, o: number): number => v.getInt32(o + 8, true),
  setFlags: (v: DataView, o: number, x: number): void => v.setInt32(o, x, true),
  setTxType: (v: DataView, o: number, x: number): void => v.setInt32(o + 4, x, true),
  setRxFilter: (v: DataView, o: number, x: number): void => v.setInt32(o + 8, x, true),
} as const;

/** struct sock_txtime: SO_TXTIME. */
export const sockTxtime = {
  LEN: 8,
  clockid: (v: DataView, o: number): number => v.getInt32(o, true),
  flags: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  setClockid: (v: DataView, o: number, x: number): void => v.setInt32(o, x, true),
  setFlags: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
} as const;
