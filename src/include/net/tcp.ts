/**
 * TCP's per-packet control block and constants. Counterpart of include/net/tcp.h.
 * The socket itself is in include/linux/tcp.ts.
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import type { RateSample, TcpSock } from '#include/linux/tcp.ts';
import type { Sock } from '#include/net/sock.ts';
import { HZ } from '#kernel/param.ts';

export const MAX_TCP_HEADER = 320;
export const MAX_TCP_OPTION_SPACE = 40;
export const TCP_MIN_SND_MSS = 48;
export const TCP_MIN_GSO_SIZE: number = TCP_MIN_SND_MSS - MAX_TCP_OPTION_SPACE;
export const MAX_TCP_WINDOW = 32767;
export const TCP_MIN_MSS = 88;
export const TCP_BASE_MSS = 1024;
export const TCP_PROBE_INTERVAL = 600;
export const TCP_PROBE_THRESHOLD = 8;
export const TCP_FASTRETRANS_THRESH = 3;
export const TCP_MAX_QUICKACKS = 16;
export const TCP_MAX_WSCALE = 14;
export const TCP_URG_VALID = 0x0100;
export const TCP_URG_NOTYET = 0x0200;
export const TCP_URG_READ = 0x0400;
export const TCP_RETR1 = 3;
export const TCP_RETR2 = 15;
export const TCP_SYN_RETRIES = 6;
export const TCP_SYNACK_RETRIES = 5;
export const TCP_TIMEWAIT_LEN: number = 60 * HZ;
export const TCP_FIN_TIMEOUT: number = TCP_TIMEWAIT_LEN;
export const TCP_FIN_TIMEOUT_MAX: number = 120 * HZ;
export const TCP_DELACK_MAX: number = HZ / 5;
export const TCP_DELACK_MIN: number = HZ / 25;
export const TCP_ATO_MIN: number = HZ / 25;
export const TCP_RTO_MAX_SEC = 120;
export const TCP_RTO_MAX: number = TCP_RTO_MAX_SEC * HZ;
export const TCP_RTO_MIN: number = HZ / 5;
export const TCP_TIMEOUT_MIN = 2;
export const TCP_TIMEOUT_MIN_US = 2000;
export const TCP_TIMEOUT_INIT: number = 1 * HZ;
export const TCP_TIMEOUT_FALLBACK: number = 3 * HZ;
export const TCP_RESOURCE_PROBE_INTERVAL: number = HZ / 2;
export const TCP_KEEPALIVE_TIME: number = 120 * 60 * HZ;
export const TCP_KEEPALIVE_PROBES = 9;
export const TCP_KEEPALIVE_INTVL: number = 75 * HZ;
export const MAX_TCP_KEEPIDLE = 32767;
export const MAX_TCP_KEEPINTVL = 32767;
export const MAX_TCP_KEEPCNT = 127;
export const MAX_TCP_SYNCNT = 127;
export const TCP_PAWS_MSL = 60;
export const TCP_PAWS_WINDOW = 1;
export const TCP_PAWS_24DAYS: number = 60 * 60 * 24 * 24;
export const TCP_INIT_CWND = 10;
export const TCP_INFINITE_SSTHRESH = 0x7fffffff;
export const TCP_NAGLE_OFF = 1;
export const TCP_NAGLE_CORK = 2;
export const TCP_NAGLE_PUSH = 4;
// Bits of TcpSock.ecnFlags. The mode takes two: both set while our SYN's offer is open.
export const TCP_ECN_DISABLED = 0;
export const TCP_ECN_MODE_RFC3168 = 1;
export const TCP_ECN_QUEUE_CWR = 2;
export const TCP_ECN_DEMAND_CWR = 4;
export const TCP_ECN_SEEN = 8;
export const TCP_ECN_MODE_ACCECN = 16;
export const TCP_ECN_MODE_PENDING: number = TCP_ECN_MODE_RFC3168 | TCP_ECN_MODE_ACCECN;
export const TCP_ECN_MODE_ANY: number = TCP_ECN_MODE_RFC3168 | TCP_ECN_MODE_ACCECN;

// Flags byte of the header, and of TcpSkbCb.tcpFlags.
export const TCPHDR_FIN = 0x01;
export const TCPHDR_SYN = 0x02;
export const TCPHDR_RST = 0x04;
export const TCPHDR_PSH = 0x08;
export const TCPHDR_ACK = 0x10;
export const TCPHDR_URG = 0x20;
export const TCPHDR_ECE = 0x40;
export const TCPHDR_CWR = 0x80;
export const TCPHDR_AE = 0x100;
export const TCPHDR_SYN_ECN: number = TCPHDR_SYN | TCPHDR_ECE | TCPHDR_CWR;

// TcpSkbCb.sacked
export const TCPCB_SACKED_ACKED = 0x01;
export const TCPCB_SACKED_RETRANS = 0x02;
export const TCPCB_LOST = 0x04;
export const TCPCB_TAGBITS = 0x07;
export const TCPCB_REPAIRED = 0x10;
export const TCPCB_EVER_RETRANS = 0x80;
export const TCPCB_RETRANS: number = TCPCB_SACKED_RETRANS | TCPCB_EVER_RETRANS | TCPCB_REPAIRED;

/** TCP_SKB_CB(skb). Sequence numbers are int32. @kernel tcp_skb_cb include/net/tcp.h */
export class TcpSkbCb {
  seq = 0;
  endSeq = 0;
  /** ISN for a new connection that reuses a time-wait socket. */
  tcpTwIsn = 0;
  tcpGsoSegs = 0;
  tcpGsoSize = 0;
  tcpFlags = 0;
  /** TCPCB_* */
  sacked = 0;
  ipDsfield = 0;
  txstampAck = false;
  eor = false;
  hasRxtstamp = false;
  ackSeq = 0;
  // Sent packets: delivery rate state at transmission.
  isAppLimited = false;
  deliveredCe = 0;
  delivered = 0;
  /** us */
  firstTxMstamp = 0;
  deliveredMstamp = 0;
  inFlight = 0;
}

/** Back to the state after construction; a new field must be added here and in the copy. */
export function tcpSkbCbReset(cb: TcpSkbCb): void {
  cb.seq = 0;
  cb.endSeq = 0;
  cb.tcpTwIsn = 0;
  cb.tcpGsoSegs = 0;
  cb.tcpGsoSize = 0;
  cb.tcpFlags = 0;
  cb.sacked = 0;
  cb.ipDsfield = 0;
  cb.txstampAck = false;
  cb.eor = false;
  cb.hasRxtstamp = false;
  cb.ackSeq = 0;
  cb.isAppLimited = false;
  cb.deliveredCe = 0;
  cb.delivered = 0;
  cb.firstTxMstamp = 0;
  cb.deliveredMstamp = 0;
  cb.inFlight = 0;
}

export function tcpSkbCbCopy(to: TcpSkbCb, from: TcpSkbCb): void {
  to.seq = from.seq;
  to.endSeq = from.endSeq;
  to.tcpTwIsn = from.tcpTwIsn;
  to.tcpGsoSegs = from.tcpGsoSegs;
  to.tcpGsoSize = from.tcpGsoSize;
  to.tcpFlags = from.tcpFlags;
  to.sacked = from.sacked;
  to.ipDsfield = from.ipDsfield;
  to.txstampAck = from.txstampAck;
  to.eor = from.eor;
  to.hasRxtstamp = from.hasRxtstamp;
  to.ackSeq = from.ackSeq;
  to.isAppLimited = from.isAppLimited;
  to.deliveredCe = from.deliveredCe;
  to.delivered = from.delivered;
  to.firstTxMstamp = from.firstTxMstamp;
  to.deliveredMstamp = from.deliveredMstamp;
  to.inFlight = from.inFlight;
}

/** What a SYN-ACK answers. @kernel tcp_synack_type include/net/tcp.h */
export const TCP_SYNACK_NORMAL = 0;
export const TCP_SYNACK_FASTOPEN = 1;
export const TCP_SYNACK_COOKIE = 2;
export const TCP_SYNACK_RETRANS = 3;

/** One of union tcp_cc_info, and the attribute of inet_diag that carries it. @kernel tcp_cc_info include/uapi/linux/inet_diag.h */
export interface TcpCcInfo {
  readonly attr: number;
  readonly info: Uint8Array;
}

/**
 * Congestion control. Every slot present, null where the algorithm has none.
 * @kernel tcp_congestion_ops include/net/tcp.h
 */
export interface TcpCongestionOps {
  readonly name: string;
  /** TCP_CONG_* */
  readonly flags: number;
  ssthresh: (sk: TcpSock) => number;
  congAvoid: ((sk: TcpSock, ack: number, acked: number) => void) | null;
  setState: ((sk: TcpSock, newState: number) => void) | null;
  cwndEvent: ((sk: TcpSock, ev: number) => void) | null;
  inAckEvent: ((sk: TcpSock, flags: number) => void) | null;
  pktsAcked: ((sk: TcpSock, pktsAcked: number, rttUs: number, inFlight: number) => void) | null;
  minTsoSegs: ((sk: TcpSock) => number) | null;
  congControl: ((sk: TcpSock, ack: number, flag: number, rs: RateSample) => void) | null;
  undoCwnd: (sk: TcpSock) => number;
  sndbufExpand: ((sk: TcpSock) => number) | null;
  /** State of the algorithm for `ss -i` and TCP_CC_INFO, if `ext` (inet_diag's bits) asks for it. */
  getInfo: ((sk: TcpSock, ext: number) => TcpCcInfo | null) | null;
  init: ((sk: TcpSock) => void) | null;
  release: ((sk: TcpSock) => void) | null;
}

export const TCP_CONG_NON_RESTRICTED = 0x1;
export const TCP_CONG_NEEDS_ECN = 0x2;
/** Accurate feedback (RFC 9768). */
export const TCP_CONG_NEEDS_ACCECN = 0x4;
/** ECT(1) instead of ECT(0) in the handshake. */
export const TCP_CONG_ECT_1_NEGOTIATION = 0x8;

/** Flags of TcpCongestionOps.inAckEvent. */
export const CA_ACK_SLOWPATH = 1;
export const CA_ACK_WIN_UPDATE = 2;
export const CA_ACK_ECE = 4;

/** Recoveries without DSACK until RACK's window narrows again. */
export const TCP_RACK_RECOVERY_THRESH = 16;

export const CA_EVENT_TX_START = 0;
export const CA_EVENT_CWND_RESTART = 1;
export const CA_EVENT_COMPLETE_CWR = 2;
export const CA_EVENT_LOSS = 3;
export const CA_EVENT_ECN_NO_CE = 4;
export const CA_EVENT_ECN_IS_CE = 5;

/** The TCP socket behind a sock. @kernel tcp_sk include/linux/tcp.h */
export function tcpSk(sk: Sock): TcpSock {
  return sk as TcpSock;
}

export type { SkBuff };
