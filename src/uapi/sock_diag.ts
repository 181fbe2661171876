/*
 * Socket monitoring: the family-independent part, and AF_UNIX, AF_PACKET, AF_NETLINK requests.
 * Kernel counterparts: include/uapi/linux/{sock_diag,unix_diag,packet_diag,netlink_diag}.h.
 */

// Message types.
export const SOCK_DIAG_BY_FAMILY = 20;
export const SOCK_DESTROY = 21;

// Indices into the u32 array of *_DIAG_SKMEMINFO and SO_MEMINFO.
export const SK_MEMINFO_RMEM_ALLOC = 0;
export const SK_MEMINFO_RCVBUF = 1;
export const SK_MEMINFO_WMEM_ALLOC = 2;
export const SK_MEMINFO_SNDBUF = 3;
export const SK_MEMINFO_FWD_ALLOC = 4;
export const SK_MEMINFO_WMEM_QUEUED = 5;
export const SK_MEMINFO_OPTMEM = 6;
export const SK_MEMINFO_BACKLOG = 7;
export const SK_MEMINFO_DROPS = 8;
export const SK_MEMINFO_VARS = 9;

// Multicast groups.
export const SKNLGRP_NONE = 0;
export const SKNLGRP_INET_TCP_DESTROY = 1;
export const SKNLGRP_INET_UDP_DESTROY = 2;
export const SKNLGRP_INET6_TCP_DESTROY = 3;
export const SKNLGRP_INET6_UDP_DESTROY = 4;
export const SKNLGRP_MAX = 4;

// AF_UNIX: udiag_show.
export const UDIAG_SHOW_NAME = 0x1;
export const UDIAG_SHOW_VFS = 0x2;
export const UDIAG_SHOW_PEER = 0x4;
export const UDIAG_SHOW_ICONS = 0x8;
export const UDIAG_SHOW_RQLEN = 0x10;
export const UDIAG_SHOW_MEMINFO = 0x20;
export const UDIAG_SHOW_UID = 0x40;

// AF_UNIX: attributes.
export const UNIX_DIAG_MAX = 7;
export const UNIX_DIAG_NAME = 0;
export const UNIX_DIAG_VFS = 1;
export const UNIX_DIAG_PEER = 2;
export const UNIX_DIAG_ICONS = 3;
export const UNIX_DIAG_RQLEN = 4;
export const UNIX_DIAG_MEMINFO = 5;
export const UNIX_DIAG_SHUTDOWN = 6;
export const UNIX_DIAG_UID = 7;

// AF_PACKET: pdiag_show.
export const PACKET_SHOW_INFO = 0x1;
export const PACKET_SHOW_MCLIST = 0x2;
export const PACKET_SHOW_RING_CFG = 0x4;
export const PACKET_SHOW_FANOUT = 0x8;
export const PACKET_SHOW_MEMINFO = 0x10;
export const PACKET_SHOW_FILTER = 0x20;

// AF_PACKET: attributes.
export const PACKET_DIAG_MAX = 7;
export const PACKET_DIAG_INFO = 0;
export const PACKET_DIAG_MCLIST = 1;
export const PACKET_DIAG_RX_RING = 2;
export const PACKET_DIAG_TX_RING = 3;
export const PACKET_DIAG_FANOUT = 4;
export const PACKET_DIAG_UID = 5;
export const PACKET_DIAG_MEMINFO = 6;
export const PACKET_DIAG_FILTER = 7;

// AF_PACKET: flags in PACKET_DIAG_INFO.
export const PDI_RUNNING = 0x1;
export const PDI_AUXDATA = 0x2;
export const PDI_ORIGDEV = 0x4;
export const PDI_VNETHDR = 0x8;
export const PDI_LOSS = 0x10;

// AF_NETLINK.
export const NDIAG_SHOW_MEMINFO = 1;
export const NDIAG_SHOW_GROUPS = 2;
export const NDIAG_SHOW_RING_CFG = 4;
export const NDIAG_SHOW_FLAGS = 8;
export const NDIAG_PROTO_ALL = 255;
export const NETLINK_DIAG_MEMINFO = 0;
export const NETLINK_DIAG_GROUPS = 1;
export const NETLINK_DIAG_RX_RING = 2;
export const NETLINK_DIAG_TX_RING = 3;
export const NETLINK_DIAG_FLAGS = 4;

// AF_NETLINK: bits of NETLINK_DIAG_FLAGS.
export const NDIAG_FLAG_CB_RUNNING = 0x1;
export const NDIAG_FLAG_PKTINFO = 0x2;
export const NDIAG_FLAG_BROADCAST_ERROR = 0x4;
export const NDIAG_FLAG_NO_ENOBUFS = 0x8;
export const NDIAG_FLAG_LISTEN_ALL_NSID = 0x10;
export const NDIAG_FLAG_CAP_ACK = 0x20;

/** struct sock_diag_req: what every request of SOCK_DIAG_BY_FAMILY starts with. */
export const sockDiagReq = {
  LEN: 2,
  family: (v: DataView, o: number): number => v.getUint8(o),
  protocol: (v: DataView, o: number): number => v.getUint8(o + 1),
  setFamily: (v: DataView, o: number, x: number): void => v.setUint8(o, x),
  setProtocol: (v: DataView, o: number, x: number): void => v.setUint8(o + 1, x),
} as const;

/** struct unix_diag_req. */
export const unixDiagReq = {
  LEN: 24,
  family: (v: DataView, o: number): number => v.getUint8(o),
  protocol: (v: DataView, o: number): number => v.getUint8(o + 1),
  states: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  ino: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  show: (v: DataView, o: number): number => v.getUint32(o + 12, true),
  setFamily: (v: DataView, o: number, x: number): void => v.setUint8(o, x),
  setProtocol: (v: DataView, o: number, x: number): void => v.setUint8(o + 1, x),
  setStates: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
  setIno: (v: DataView, o: number, x: number): void => v.setUint32(o + 8, x, true),
  setShow: (v: DataView, o: number, x: number): void => v.setUint32(o + 12, x, true),
  cookieLo: (v: DataView, o: number): number => v.getUint32(o + 16, true),
  cookieHi: (v: DataView, o: number): number => v.getUint32(o + 20, true),
  setCookie: (v: DataView, o: number, lo: number, hi: number): void => {
    v.setUint32(o + 16, lo, true);
    v.setUint32(o + 20, hi, true);
  },
} as const;

/** struct unix_diag_msg. */
export const unixDiagMsg = {
  LEN: 16,
  family: (v: DataView, o: number): number => v.getUint8(o),
  type: (v: DataView, o: number): number => v.getUint8(o + 1),
  state: (v: DataView, o: number): number => v.getUint8(o + 2),
  ino: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  setFamily: (v: DataView, o: number, x: number): void => v.setUint8(o, x),
  setType: (v: DataView, o: number, x: number): void => v.setUint8(o + 1, x),
  setState: (v: DataView, o: number, x: number): void => v.setUint8(o + 2, x),
  setIno: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
  cookieLo: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  cookieHi: (v: DataView, o: number): number => v.getUint32(o + 12, true),
  setCookie: (v: DataView, o: number, lo: number, hi: number): void => {
    v.setUint32(o + 8, lo, true);
    v.setUint32(o + 12, hi, true);
  },
} as const;

/** struct packet_diag_req. */
export const packetDiagReq = {
  LEN: 20,
  family: (v: DataView, o: number): number => v.getUint8(o),
  protocol: (v: DataView, o: number): number => v.getUint8(o + 1),
  ino: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  show: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  setFamily: (v: DataView, o: number, x: number): void => v.setUint8(o, x),
  setProtocol: (v: DataView, o: number, x: number): void => v.setUint8(o + 1, x),
  setIno: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
  setShow: (v: DataView, o: number, x: number): void => v.setUint32(o + 8, x, true),
  cookieLo: (v: DataView, o: number): number => v.getUint32(o + 12, true),
  cookieHi: (v: DataView, o: number): number => v.getUint32(o + 16, true),
  setCookie: (v: DataView, o: number, lo: number, hi: number): void => {
    v.setUint32(o + 12, lo, true);
    v.setUint32(o + 16, hi, true);
  },
} as const;

/** struct packet_diag_msg. */
export const packetDiagMsg = {
  LEN: 16,
  family: (v: DataView, o: number): number => v.getUint8(o),
  type: (v: DataView, o: number): number => v.getUint8(o + 1),
  num: (v: DataView, o: number): number => v.getUint16(o + 2, true),
  ino: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  setFamily: (v: DataView, o: number, x: number): void => v.setUint8(o, x),
  setType: (v: DataView, o: number, x: number): void => v.setUint8(o + 1, x),
  setNum: (v: DataView, o: number, x: number): void => v.setUint16(o + 2, x, true),
  setIno: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
  cookieLo: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  cookieHi: (v: DataView, o: number): number => v.getUint32(o + 12, true),
  setCookie: (v: DataView, o: number, lo: number, hi: number): void => {
    v.setUint32(o + 8, lo, true);
    v.setUint32(o + 12, hi, true);
  },
} as const;

/** struct netlink_diag_req. */
export const netlinkDiagReq = {
  LEN: 20,
  family: (v: DataView, o: number): number => v.getUint8(o),
  protocol: (v: DataView, o: number): number => v.getUint8(o + 1),
  ino: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  show: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  setFamily: (v: DataView, o: number, x: number): void => v.setUint8(o, x),
  setProtocol: (v: DataView, o: number, x: number): void => v.setUint8(o + 1, x),
  setIno: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
  setShow: (v: DataView, o: number, x: number): void => v.setUint32(o + 8, x, true),
  cookieLo: (v: DataView, o: number): number => v.getUint32(o + 12, true),
  cookieHi: (v: DataView, o: number): number => v.getUint32(o + 16, true),
  setCookie: (v: DataView, o: number, lo: number, hi: number): void => {
    v.setUint32(o + 12, lo, true);
    v.setUint32(o + 16, hi, true);
  },
} as const;

/** struct netlink_diag_msg. */
export const netlinkDiagMsg = {
  LEN: 28,
  family: (v: DataView, o: number): number => v.getUint8(o),
  type: (v: DataView, o: number): number => v.getUint8(o + 1),
  protocol: (v: DataView, o: number): number => v.getUint8(o + 2),
  state: (v: DataView, o: number): number => v.getUint8(o + 3),
  portid: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  dstPortid: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  dstGroup: (v: DataView, o: number): number => v.getUint32(o + 12, true),
  ino: (v: DataView, o: number): number => v.getUint32(o + 16, true),
  setFamily: (v: DataView, o: number, x: number): void => v.setUint8(o, x),
  setType: (v: DataView, o: number, x: number): void => v.setUint8(o + 1, x),
  setProtocol: (v: DataView, o: number, x: number): void => v.setUint8(o + 2, x),
  setState: (v: DataView, o: number, x: number): void => v.setUint8(o + 3, x),
  setPortid: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
  setDstPortid: (v: DataView, o: number, x: number): void => v.setUint32(o + 8, x, true),
  setDstGroup: (v: DataView, o: number, x: number): void => v.setUint32(o + 12, x, true),
  setIno: (v: DataView, o: number, x: number): void => v.setUint32(o + 16, x, true),
  setCookie: (v: DataView, o: number, lo: number, hi: number): void => {
    v.setUint32(o + 20, lo, true);
    v.setUint32(o + 24, hi, true);
  },
} as const;
