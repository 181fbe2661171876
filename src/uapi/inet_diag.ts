/*
 * Socket monitoring of AF_INET and AF_INET6 (ss).
 * Kernel counterpart: include/uapi/linux/inet_diag.h. Ports and addresses are in network order, the rest
 * in host order, which is little-endian.
 */

// Message types of the older interface.
export const TCPDIAG_GETSOCK = 18;
export const DCCPDIAG_GETSOCK = 19;
export const INET_DIAG_GETSOCK_MAX = 24;

// Extensions: attribute numbers; idiag_ext asks for number n with bit n - 1.
export const INET_DIAG_NONE = 0;
export const INET_DIAG_MEMINFO = 1;
export const INET_DIAG_INFO = 2;
export const INET_DIAG_VEGASINFO = 3;
export const INET_DIAG_CONG = 4;
export const INET_DIAG_TOS = 5;
export const INET_DIAG_TCLASS = 6;
export const INET_DIAG_SKMEMINFO = 7;
export const INET_DIAG_SHUTDOWN = 8;
export const INET_DIAG_DCTCPINFO = 9;
export const INET_DIAG_PROTOCOL = 10;
export const INET_DIAG_SKV6ONLY = 11;
export const INET_DIAG_LOCALS = 12;
export const INET_DIAG_PEERS = 13;
export const INET_DIAG_PAD = 14;
export const INET_DIAG_MARK = 15;
export const INET_DIAG_BBRINFO = 16;
export const INET_DIAG_CLASS_ID = 17;
export const INET_DIAG_MD5SIG = 18;
export const INET_DIAG_ULP_INFO = 19;
export const INET_DIAG_SK_BPF_STORAGES = 20;
export const INET_DIAG_CGROUP_ID = 21;
export const INET_DIAG_SOCKOPT = 22;
export const INET_DIAG_MAX = 22;

// Attributes of a request.
export const INET_DIAG_REQ_MAX = 3;
export const INET_DIAG_REQ_NONE = 0;
export const INET_DIAG_REQ_BYTECODE = 1;
export const INET_DIAG_REQ_SK_BPF_STORAGES = 2;
export const INET_DIAG_REQ_PROTOCOL = 3;

// Opcodes of the filter bytecode.
export const INET_DIAG_BC_NOP = 0;
export const INET_DIAG_BC_JMP = 1;
export const INET_DIAG_BC_S_GE = 2;
export const INET_DIAG_BC_S_LE = 3;
export const INET_DIAG_BC_D_GE = 4;
export const INET_DIAG_BC_D_LE = 5;
export const INET_DIAG_BC_AUTO = 6;
export const INET_DIAG_BC_S_COND = 7;
export const INET_DIAG_BC_D_COND = 8;
export const INET_DIAG_BC_DEV_COND = 9;
export const INET_DIAG_BC_MARK_COND = 10;
export const INET_DIAG_BC_S_EQ = 11;
export const INET_DIAG_BC_D_EQ = 12;
export const INET_DIAG_BC_CGROUP_COND = 13;

// Inside INET_DIAG_ULP_INFO.
export const INET_ULP_INFO_MAX = 3;
export const INET_ULP_INFO_UNSPEC = 0;
export const INET_ULP_INFO_NAME = 1;
export const INET_ULP_INFO_TLS = 2;
export const INET_ULP_INFO_MPTCP = 3;

// Either half of a cookie that matches any socket.
export const INET_DIAG_NOCOOKIE = 0xffffffff;

// idiag_timer.
export const TIMER_NONE = 0;
export const TIMER_RETRANS = 1;
export const TIMER_KEEPALIVE = 2;
export const TIMER_TIMEWAIT = 3;
export const TIMER_PROBE0 = 4;

/*
 * struct inet_diag_sockid, 48 octets:
 *   0 source port, 2 destination port, 4 source address (16), 20 destination address (16),
 *   36 interface, 40 cookie (two words)
 */

/** struct inet_diag_sockid. Of an IPv4 address only word 0 is used. */
export const inetDiagSockid = {
  LEN: 48,
  sport: (v: DataView, o: number): number => v.getUint16(o),
  dport: (v: DataView, o: number): number => v.getUint16(o + 2),
  src: (v: DataView, o: number, i: number): number => v.getUint32(o + 4 + (i << 2)),
  dst: (v: DataView, o: number, i: number): number => v.getUint32(o + 20 + (i << 2)),
  ifindex: (v: DataView, o: number): number => v.getUint32(o + 36, true),
  cookieLo: (v: DataView, o: number): number => v.getUint32(o + 40, true),
  cookieHi: (v: DataView, o: number): number => v.getUint32(o + 44, true),
  setSport: (v: DataView, o: number, x: number): void => v.setUint16(o, x),
  setDport: (v: DataView, o: number, x: number): void => v.setUint16(o + 2, x),
  setSrc: (v: DataView, o: number, i: number, x: number): void => v.setUint32(o + 4 + (i << 2), x),
  setDst: (v: DataView, o: number, i: number, x: number): void => v.setUint32(o + 20 + (i << 2), x),
  setIfindex: (v: DataView, o: number, x: number): void => v.setUint32(o + 36, x, true),
  setCookie: (v: DataView, o: number, lo: number, hi: number): void => {
    v.setUint32(o + 40, lo, true);
    v.setUint32(o + 44, hi, true);
  },
} as const;

/** struct inet_diag_req_v2; the socket id at ID. `states` is a set of TCPF_* bits. */
export const inetDiagReqV2 = {
  LEN: 56,
  ID: 8,
  family: (v: DataView, o: number): number => v.getUint8(o),
  protocol: (v: DataView, o: number): number => v.getUint8(o + 1),
  ext: (v: DataView, o: number): number => v.getUint8(o + 2),
  states: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  setFamily: (v: DataView, o: number, x: number): void => v.setUint8(o, x),
  setProtocol: (v: DataView, o: number, x: number): void => v.setUint8(o + 1, x),
  setExt: (v: DataView, o: number, x: number): void => v.setUint8(o + 2, x),
  setStates: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
} as const;

/** struct inet_diag_msg; the socket id at ID. `expires` in milliseconds. */
export const inetDiagMsg = {
  LEN: 72,
  ID: 4,
  family: (v: DataView, o: number): number => v.getUint8(o),
  state: (v: DataView, o: number): number => v.getUint8(o + 1),
  timer: (v: DataView, o: number): number => v.getUint8(o + 2),
  retrans: (v: DataView, o: number): number => v.getUint8(o + 3),
  expires: (v: DataView, o: number): number => v.getUint32(o + 52, true),
  rqueue: (v: DataView, o: number): number => v.getUint32(o + 56, true),
  wqueue: (v: DataView, o: number): number => v.getUint32(o + 60, true),
  uid: (v: DataView, o: number): number => v.getUint32(o + 64, true),
  inode: (v: DataView, o: number): number => v.getUint32(o + 68, true),
  setFamily: (v: DataView, o: number, x: number): void => v.setUint8(o, x),
  setState: (v: DataView, o: number, x: number): void => v.setUint8(o + 1, x),
  setTimer: (v: DataView, o: number, x: number): void => v.setUint8(o + 2, x),
  setRetrans: (v: DataView, o: number, x: number): void => v.setUint8(o + 3, x),
  setExpires: (v: DataView, o: number, x: number): void => v.setUint32(o + 52, x, true),
  setRqueue: (v: DataView, o: number, x: number): void => v.setUint32(o + 56, x, true),
  setWqueue: (v: DataView, o: number, x: number): void => v.setUint32(o + 60, x, true),
  setUid: (v: DataView, o: number, x: number): void => v.setUint32(o + 64, x, true),
  setInode: (v: DataView, o: number, x: number): void => v.setUint32(o + 68, x, true),
} as const;

/** struct inet_diag_meminfo: INET_DIAG_MEMINFO, in octets. */
export const inetDiagMeminfo = {
  LEN: 16,
  rmem: (v: DataView, o: number): number => v.getUint32(o, true),
  wmem: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  fmem: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  tmem: (v: DataView, o: number): number => v.getUint32(o + 12, true),
  setRmem: (v: DataView, o: number, x: number): void => v.setUint32(o, x, true),
  setWmem: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
  setFmem: (v: DataView, o: number, x: number): void => v.setUint32(o + 8, x, true),
  setTmem: (v: DataView, o: number, x: number): void => v.setUint32(o + 12, x, true),
} as const;

/** struct inet_diag_bc_op: an instruction of the filter; `yes` and `no` are octets to go on by. */
export const inetDiagBcOp = {
  LEN: 4,
  code: (v: DataView, o: number): number => v.getUint8(o),
  yes: (v: DataView, o: number): number => v.getUint8(o + 1),
  no: (v: DataView, o: number): number => v.getUint16(o + 2, true),
  setCode: (v: DataView, o: number, x: number): void => v.setUint8(o, x),
  setYes: (v: DataView, o: number, x: number): void => v.setUint8(o + 1, x),
  setNo: (v: DataView, o: number, x: number): void => v.setUint16(o + 2, x, true),
} as const;

/** struct inet_diag_hostcond: address, prefix and port of a condition; port -1 is any. */
export const inetDiagHostcond = {
  LEN: 8,
  ADDR: 8,
  family: (v: DataView, o: number): number => v.getUint8(o),
  prefixLen: (v: DataView, o: number): number => v.getUint8(o + 1),
  port: (v: DataView, o: number): number => v.getInt32(o + 4, true),
  setFamily: (v: DataView, o: number, x: number): void => v.setUint8(o, x),
  setPrefixLen: (v: DataView, o: number, x: number): void => v.setUint8(o + 1, x),
  setPort: (v: DataView, o: number, x: number): void => v.setInt32(o + 4, x, true),
} as const;
