/*
 * TCP: header, flags, options, socket options, and what tcp_info says in names.
 * Kernel counterparts: include/uapi/linux/tcp.h, include/net/tcp.h (TCPOPT_*),
 * include/net/tcp_states.h. RFC 9293, 7323 (timestamps, window scale), 2018/2883 (SACK), 7413 (fast
 * open). The layout of struct tcp_info is in tcp_info.ts.
 */

// Sizes in octets.
export const TCP_MSS_DEFAULT = 536;
export const TCP_MSS_DESIRED = 1220;
export const MAX_TCP_HEADER_LEN = 60;
export const MAX_TCP_OPTION_SPACE = 40;
export const TCP_MIN_SND_MSS = 48;
export const TCP_MIN_MSS = 88;
export const TCP_MAX_WSCALE = 14;
export const MAX_TCP_WINDOW = 32767;
export const TCP_MIN_GSO_SIZE = 48;

// States.
export const TCP_ESTABLISHED = 1;
export const TCP_SYN_SENT = 2;
export const TCP_SYN_RECV = 3;
export const TCP_FIN_WAIT1 = 4;
export const TCP_FIN_WAIT2 = 5;
export const TCP_TIME_WAIT = 6;
export const TCP_CLOSE = 7;
export const TCP_CLOSE_WAIT = 8;
export const TCP_LAST_ACK = 9;
export const TCP_LISTEN = 10;
export const TCP_CLOSING = 11;
export const TCP_NEW_SYN_RECV = 12;
export const TCP_BOUND_INACTIVE = 13;

export const TCP_MAX_STATES = 14;

// States as bits, for sets of them.
export const TCPF_ESTABLISHED = 0x2;
export const TCPF_SYN_SENT = 0x4;
export const TCPF_SYN_RECV = 0x8;
export const TCPF_FIN_WAIT1 = 0x10;
export const TCPF_FIN_WAIT2 = 0x20;
export const TCPF_TIME_WAIT = 0x40;
export const TCPF_CLOSE = 0x80;
export const TCPF_CLOSE_WAIT = 0x0100;
export const TCPF_LAST_ACK = 0x0200;
export const TCPF_LISTEN = 0x0400;
export const TCPF_CLOSING = 0x0800;
export const TCPF_NEW_SYN_RECV = 0x1000;
export const TCPF_BOUND_INACTIVE = 0x2000;

// Congestion states.
export const TCP_CA_Open = 0;
export const TCP_CA_Disorder = 1;
export const TCP_CA_CWR = 2;
export const TCP_CA_Recovery = 3;
export const TCP_CA_Loss = 4;

export const TCPF_CA_Open = 0x1;
export const TCPF_CA_Disorder = 0x2;
export const TCPF_CA_CWR = 0x4;
export const TCPF_CA_Recovery = 0x8;
export const TCPF_CA_Loss = 0x10;

// Flag bits as they stand in octets 12 and 13 of the header.
export const TCPHDR_FIN = 0x01;
export const TCPHDR_SYN = 0x02;
export const TCPHDR_RST = 0x04;
export const TCPHDR_PSH = 0x08;
export const TCPHDR_ACK = 0x10;
export const TCPHDR_URG = 0x20;
export const TCPHDR_ECE = 0x40;
export const TCPHDR_CWR = 0x80;
export const TCPHDR_AE = 0x100;
export const TCPHDR_FLAGS_MASK = 0x1ff;
export const TCPHDR_ACE = 0x1c0; // the accurate ECN counter: AE, CWR and ECE together (RFC 9768)
export const TCPHDR_SYN_ECN = 0xc2; // SYN with ECE and CWR: the offer of RFC 3168

// Option kinds.
export const TCPOPT_NOP = 1;
export const TCPOPT_EOL = 0;
export const TCPOPT_MSS = 2;
export const TCPOPT_WINDOW = 3;
export const TCPOPT_SACK_PERM = 4;
export const TCPOPT_SACK = 5;
export const TCPOPT_TIMESTAMP = 8;
export const TCPOPT_MD5SIG = 19;
export const TCPOPT_AO = 29;
export const TCPOPT_MPTCP = 30;
export const TCPOPT_FASTOPEN = 34;
export const TCPOPT_ACCECN0 = 172;
export const TCPOPT_ACCECN1 = 174;
export const TCPOPT_EXP = 254;

export const TCPOPT_FASTOPEN_MAGIC = 0xf989;
export const TCPOPT_SMC_MAGIC = 0xe2d4c3d9;

// Option lengths, and their lengths once padded to whole words, in octets.
export const TCPOLEN_MSS = 4;
export const TCPOLEN_WINDOW = 3;
export const TCPOLEN_SACK_PERM = 2;
export const TCPOLEN_TIMESTAMP = 10;
export const TCPOLEN_MD5SIG = 18;
export const TCPOLEN_FASTOPEN_BASE = 2;
export const TCPOLEN_ACCECN_BASE = 2;
export const TCPOLEN_EXP_FASTOPEN_BASE = 4;
export const TCPOLEN_EXP_SMC_BASE = 6;
export const TCPOLEN_TSTAMP_ALIGNED = 12;
export const TCPOLEN_WSCALE_ALIGNED = 4;
export const TCPOLEN_SACKPERM_ALIGNED = 4;
export const TCPOLEN_SACK_BASE = 2;
export const TCPOLEN_SACK_BASE_ALIGNED = 4;
export const TCPOLEN_SACK_PERBLOCK = 8;
export const TCPOLEN_MD5SIG_ALIGNED = 20;
export const TCPOLEN_MSS_ALIGNED = 4;
export const TCPOLEN_ACCECN_PERFIELD = 3;

// Fast open cookies and keys, sizes in octets (RFC 7413#4.1.1).
export const TCP_FASTOPEN_COOKIE_MIN = 4;
export const TCP_FASTOPEN_COOKIE_MAX = 16;
export const TCP_FASTOPEN_COOKIE_SIZE = 8;
export const TCP_FASTOPEN_KEY_LENGTH = 16;
export const TCP_FASTOPEN_KEY_MAX = 2;

// Options at level SOL_TCP.
export const TCP_NODELAY = 1;
export const TCP_MAXSEG = 2;
export const TCP_CORK = 3;
export const TCP_KEEPIDLE = 4;
export const TCP_KEEPINTVL = 5;
export const TCP_KEEPCNT = 6;
export const TCP_SYNCNT = 7;
export const TCP_LINGER2 = 8;
export const TCP_DEFER_ACCEPT = 9;
export const TCP_WINDOW_CLAMP = 10;
export const TCP_INFO = 11;
export const TCP_QUICKACK = 12;
export const TCP_CONGESTION = 13;
export const TCP_MD5SIG = 14;
export const TCP_THIN_LINEAR_TIMEOUTS = 16;
export const TCP_THIN_DUPACK = 17;
export const TCP_USER_TIMEOUT = 18;
export const TCP_REPAIR = 19;
export const TCP_QUEUE_SEQ = 21;
export const TCP_FASTOPEN = 23;
export const TCP_TIMESTAMP = 24;
export const TCP_NOTSENT_LOWAT = 25;
export const TCP_CC_INFO = 26;
export const TCP_SAVE_SYN = 27;
export const TCP_SAVED_SYN = 28;
export const TCP_REPAIR_WINDOW = 29;
export const TCP_FASTOPEN_CONNECT = 30;
export const TCP_ULP = 31;
export const TCP_MD5SIG_EXT = 32;
export const TCP_FASTOPEN_KEY = 33;
export const TCP_FASTOPEN_NO_COOKIE = 34;
export const TCP_ZEROCOPY_RECEIVE = 35;
export const TCP_INQ = 36;
export const TCP_CM_INQ = 36;
export const TCP_TX_DELAY = 37;

export const TCP_REPAIR_QUEUE = 20;
export const TCP_REPAIR_OPTIONS = 22;
export const TCP_AO_ADD_KEY = 38;
export const TCP_AO_DEL_KEY = 39;
export const TCP_AO_INFO = 40;
export const TCP_AO_GET_KEYS = 41;
export const TCP_AO_REPAIR = 42;
export const TCP_IS_MPTCP = 43;
export const TCP_RTO_MAX_MS = 44;
export const TCP_RTO_MIN_US = 45;
export const TCP_DELACK_MAX_US = 46;

// Values of TCP_REPAIR and TCP_REPAIR_QUEUE.
export const TCP_REPAIR_ON = 1;
export const TCP_REPAIR_OFF = 0;
export const TCP_REPAIR_OFF_NO_WP = -1;
export const TCP_NO_QUEUE = 0;
export const TCP_RECV_QUEUE = 1;
export const TCP_SEND_QUEUE = 2;
export const TCP_QUEUES_NR = 3;

/** struct tcp_repair_opt, of which TCP_REPAIR_OPTIONS takes an array. */
export const tcpRepairOpt = {
  LEN: 8,
  code: (v: DataView, o: number): number => v.getUint32(o, true),
  val: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  setCode: (v: DataView, o: number, x: number): void => v.setUint32(o, x, true),
  setVal: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
} as const;

/** struct tcp_repair_window. Sequence numbers are int32. */
export const tcpRepairWindow = {
  LEN: 20,
  sndWl1: (v: DataView, o: number): number => v.getInt32(o, true),
  sndWnd: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  maxWindow: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  rcvWnd: (v: DataView, o: number): number => v.getUint32(o + 12, true),
  rcvWup: (v: DataView, o: number): number => v.getInt32(o + 16, true),
  setSndWl1: (v: DataView, o: number, x: number): void => v.setInt32(o, x, true),
  setSndWnd: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
  setMaxWindow: (v: DataView, o: number, x: number): void => v.setUint32(o + 8, x, true),
  setRcvWnd: (v: DataView, o: number, x: number): void => v.setUint32(o + 12, x, true),
  setRcvWup: (v: DataView, o: number, x: number): void => v.setInt32(o + 16, x, true),
} as const;

// TCP_MD5SIG (RFC 2385).
export const TCP_MD5SIG_MAXKEYLEN = 80;
export const TCP_MD5SIG_FLAG_PREFIX = 1;
export const TCP_MD5SIG_FLAG_IFINDEX = 2;

// Bits of tcpi_options.
export const TCPI_OPT_TIMESTAMPS = 1;
export const TCPI_OPT_SACK = 2;
export const TCPI_OPT_WSCALE = 4;
export const TCPI_OPT_ECN = 8;
export const TCPI_OPT_ECN_SEEN = 16;
export const TCPI_OPT_SYN_DATA = 32;
export const TCPI_OPT_USEC_TS = 64;
export const TCPI_OPT_TFO_CHILD = 128;

// tcpi_ecn_mode.
export const TCPI_ECN_MODE_DISABLED = 0;
export const TCPI_ECN_MODE_RFC3168 = 1;
export const TCPI_ECN_MODE_ACCECN = 2;
export const TCPI_ECN_MODE_PENDING = 3;

// tcpi_fastopen_client_fail.
export const TFO_STATUS_UNSPEC = 0;
export const TFO_COOKIE_UNAVAILABLE = 1;
export const TFO_DATA_NOT_ACKED = 2;
export const TFO_SYN_RETRANSMITTED = 3;

// Attributes of SCM_TIMESTAMPING_OPT_STATS.
export const TCP_NLA_PAD = 0;
export const TCP_NLA_BUSY = 1;
export const TCP_NLA_RWND_LIMITED = 2;
export const TCP_NLA_SNDBUF_LIMITED = 3;
export const TCP_NLA_DATA_SEGS_OUT = 4;
export const TCP_NLA_TOTAL_RETRANS = 5;
export const TCP_NLA_PACING_RATE = 6;
export const TCP_NLA_DELIVERY_RATE = 7;
export const TCP_NLA_SND_CWND = 8;
export const TCP_NLA_REORDERING = 9;
export const TCP_NLA_MIN_RTT = 10;
export const TCP_NLA_RECUR_RETRANS = 11;
export const TCP_NLA_DELIVERY_RATE_APP_LMT = 12;
export const TCP_NLA_SNDQ_SIZE = 13;
export const TCP_NLA_CA_STATE = 14;
export const TCP_NLA_SND_SSTHRESH = 15;
export const TCP_NLA_DELIVERED = 16;
export const TCP_NLA_DELIVERED_CE = 17;
export const TCP_NLA_BYTES_SENT = 18;
export const TCP_NLA_BYTES_RETRANS = 19;
export const TCP_NLA_DSACK_DUPS = 20;
export const TCP_NLA_REORD_SEEN = 21;
export const TCP_NLA_SRTT = 22;
export const TCP_NLA_TIMEOUT_REHASH = 23;
export const TCP_NLA_BYTES_NOTSENT = 24;
export const TCP_NLA_EDT = 25;
export const TCP_NLA_TTL = 26;
export const TCP_NLA_REHASH = 27;

/*
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |          Source Port          |       Destination Port        |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                        Sequence Number                        |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                    Acknowledgment Number                      |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |  Data |     |A|C|E|U|A|P|R|S|F|                               |
 * | Offset| Rsv |E|W|C|R|C|S|S|Y|I|            Window             |
 * |       |     | |R|E|G|K|H|T|N|N|                               |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |           Checksum            |         Urgent Pointer        |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                           [Options]                           |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */

const bit = (v: DataView, o: number, mask: number): number =>
  (v.getUint8(o) & mask) !== 0 ? 1 : 0;

const setBit = (v: DataView, o: number, mask: number, x: number): void =>
  v.setUint8(o, x !== 0 ? v.getUint8(o) | mask : v.getUint8(o) & ~mask);

/**
 * struct tcphdr (RFC 9293#3.1). `seq` and `ackSeq` are SIGNED 32-bit numbers, because all sequence
 * arithmetic is `(a - b) | 0`; printing one wants `>>> 0`. `doff` counts 32-bit words. `flags` is the
 * octet with FIN to CWR (TCPHDR_*), `flags9` has AE as well.
 * @kernel tcphdr include/uapi/linux/tcp.h
 */
export const tcphdr = {
  LEN: 20,
  source: (v: DataView, o: number): number => v.getUint16(o),
  dest: (v: DataView, o: number): number => v.getUint16(o + 2),
  seq: (v: DataView, o: number): number => v.getInt32(o + 4),
  ackSeq: (v: DataView, o: number): number => v.getInt32(o + 8),
  doff: (v: DataView, o: number): number => v.getUint8(o + 12) >> 4,
  /** Header length in octets: doff * 4. */
  hdrlen: (v: DataView, o: number): number => (v.getUint8(o + 12) >> 4) << 2,
  /** The three bits that are still reserved. */
  res1: (v: DataView, o: number): number => (v.getUint8(o + 12) >> 1) & 7,
  ae: (v: DataView, o: number): number => v.getUint8(o + 12) & 1,
  flags: (v: DataView, o: number): number => v.getUint8(o + 13),
  flags9: (v: DataView, o: number): number => v.getUint16(o + 12) & 0x1ff,
  cwr: (v: DataView, o: number): number => bit(v, o + 13, TCPHDR_CWR),
  ece: (v: DataView, o: number): number => bit(v, o + 13, TCPHDR_ECE),
  urg: (v: DataView, o: number): number => bit(v, o + 13, TCPHDR_URG),
  ack: (v: DataView, o: number): number => bit(v, o + 13, TCPHDR_ACK),
  psh: (v: DataView, o: number): number => bit(v, o + 13, TCPHDR_PSH),
  rst: (v: DataView, o: number): number => bit(v, o + 13, TCPHDR_RST),
  syn: (v: DataView, o: number): number => bit(v, o + 13, TCPHDR_SYN),
  fin: (v: DataView, o: number): number => bit(v, o + 13, TCPHDR_FIN),
  window: (v: DataView, o: number): number => v.getUint16(o + 14),
  check: (v: DataView, o: number): number => v.getUint16(o + 16),
  urgPtr: (v: DataView, o: number): number => v.getUint16(o + 18),

  setSource: (v: DataView, o: number, x: number): void => v.setUint16(o, x),
  setDest: (v: DataView, o: number, x: number): void => v.setUint16(o + 2, x),
  setSeq: (v: DataView, o: number, x: number): void => v.setInt32(o + 4, x),
  setAckSeq: (v: DataView, o: number, x: number): void => v.setInt32(o + 8, x),
  setDoff: (v: DataView, o: number, x: number): void =>
    v.setUint8(o + 12, (v.getUint8(o + 12) & 0x0f) | (x << 4)),
  setRes1: (v: DataView, o: number, x: number): void =>
    v.setUint8(o + 12, (v.getUint8(o + 12) & ~0x0e) | ((x & 7) << 1)),
  setAe: (v: DataView, o: number, x: number): void => setBit(v, o + 12, 1, x),
  setFlags: (v: DataView, o: number, x: number): void => v.setUint8(o + 13, x),
  /** AE too; data offset and reserved bits stay. */
  setFlags9: (v: DataView, o: number, x: number): void =>
    v.setUint16(o + 12, (v.getUint16(o + 12) & ~TCPHDR_FLAGS_MASK) | (x & TCPHDR_FLAGS_MASK)),
  /** Octets 12 and 13 in one store: data offset in words and the nine flags; reserved bits cleared. */
  setDoffFlags: (v: DataView, o: number, doff: number, flags: number): void =>
    v.setUint16(o + 12, (doff << 12) | (flags & TCPHDR_FLAGS_MASK)),
  setCwr: (v: DataView, o: number, x: number): void => setBit(v, o + 13, TCPHDR_CWR, x),
  setEce: (v: DataView, o: number, x: number): void => setBit(v, o + 13, TCPHDR_ECE, x),
  setUrg: (v: DataView, o: number, x: number): void => setBit(v, o + 13, TCPHDR_URG, x),
  setAck: (v: DataView, o: number, x: number): void => setBit(v, o + 13, TCPHDR_ACK, x),
  setPsh: (v: DataView, o: number, x: number): void => setBit(v, o + 13, TCPHDR_PSH, x),
  setRst: (v: DataView, o: number, x: number): void => setBit(v, o + 13, TCPHDR_RST, x),
  setSyn: (v: DataView, o: number, x: number): void => setBit(v, o + 13, TCPHDR_SYN, x),
  setFin: (v: DataView, o: number, x: number): void => setBit(v, o + 13, TCPHDR_FIN, x),
  setWindow: (v: DataView, o: number, x: number): void => v.setUint16(o + 14, x),
  setCheck: (v: DataView, o: number, x: number): void => v.setUint16(o + 16, x),
  setUrgPtr: (v: DataView, o: number, x: number): void => v.setUint16(o + 18, x),
} as const;
