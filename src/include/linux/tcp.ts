/** The TCP socket. Counterpart of include/linux/tcp.h. Sequence numbers are int32 throughout. */

import type { SkBuff } from '#include/linux/skbuff.ts';
import { TcpSockRare } from '#include/linux/tcp_sock_rare.ts';
import type { RequestSock } from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import type { TcpAoInfo, TcpMd5sigInfo } from '#include/net/tcp_auth.ts';
import type { TcpFastopenRequest } from '#include/net/tcp_fastopen.ts';
import type { Hrtimer } from '#kernel/time/hrtimer.ts';

/** @kernel tcp_sack_block include/linux/tcp.h */
export class TcpSackBlock {
  startSeq = 0;
  endSeq = 0;
}

// Fields of TcpOptionsReceived.bits: flags, then four of four bits.
const SAW_TSTAMP = 1 << 0;
const TSTAMP_OK = 1 << 1;
const DSACK = 1 << 2;
const WSCALE_OK = 1 << 3;
const SACK_OK_SHIFT = 4;
const SND_WSCALE_SHIFT = 8;
const RCV_WSCALE_SHIFT = 12;
const NUM_SACKS_SHIFT = 16;

/**
 * Result of parsing a segment's options. As in Linux, what is small shares a word.
 * @kernel tcp_options_received include/linux/tcp.h
 */
export class TcpOptionsReceived {
  /** Seconds when tsRecent was stored; 0: never. */
  tsRecentStamp = 0;
  tsRecent = 0;
  rcvTsval = 0;
  rcvTsecr = 0;
  private bits = 0;
  /** mssClamp below, userMss above. */
  private mss = 0;
  /** Offset of the AccECN option in the header of the last segment; 0: none. */
  accecn = 0;

  /** All zero, as when it was made. */
  clear(): void {
    this.tsRecentStamp = 0;
    this.tsRecent = 0;
    this.rcvTsval = 0;
    this.rcvTsecr = 0;
    this.bits = 0;
    this.mss = 0;
    this.accecn = 0;
  }

  get sawTstamp(): boolean {
    return (this.bits & SAW_TSTAMP) !== 0;
  }
  set sawTstamp(value: boolean) {
    this.bits = value ? this.bits | SAW_TSTAMP : this.bits & ~SAW_TSTAMP;
  }

  get tstampOk(): boolean {
    return (this.bits & TSTAMP_OK) !== 0;
  }
  set tstampOk(value: boolean) {
    this.bits = value ? this.bits | TSTAMP_OK : this.bits & ~TSTAMP_OK;
  }

  get dsack(): boolean {
    return (this.bits & DSACK) !== 0;
  }
  set dsack(value: boolean) {
    this.bits = value ? this.bits | DSACK : this.bits & ~DSACK;
  }

  get wscaleOk(): boolean {
    return (this.bits & WSCALE_OK) !== 0;
  }
  set wscaleOk(value: boolean) {
    this.bits = value ? this.bits | WSCALE_OK : this.bits & ~WSCALE_OK;
  }

  /** 0 no SACK, TCP_SACK_SEEN, TCP_DSACK_SEEN. */
  get sackOk(): number {
    return (this.bits >>> SACK_OK_SHIFT) & 0xf;
  }
  set sackOk(value: number) {
    this.bits = (this.bits & ~(0xf << SACK_OK_SHIFT)) | (value << SACK_OK_SHIFT);
  }

  get sndWscale(): number {
    return (this.bits >>> SND_WSCALE_SHIFT) & 0xf;
  }
  set sndWscale(value: number) {
    this.bits = (this.bits & ~(0xf << SND_WSCALE_SHIFT)) | (value << SND_WSCALE_SHIFT);
  }

  get rcvWscale(): number {
    return (this.bits >>> RCV_WSCALE_SHIFT) & 0xf;
  }
  set rcvWscale(value: number) {
    this.bits = (this.bits & ~(0xf << RCV_WSCALE_SHIFT)) | (value << RCV_WSCALE_SHIFT);
  }

  get numSacks(): number {
    return (this.bits >>> NUM_SACKS_SHIFT) & 0xf;
  }
  set numSacks(value: number) {
    this.bits = (this.bits & ~(0xf << NUM_SACKS_SHIFT)) | (value << NUM_SACKS_SHIFT);
  }

  get mssClamp(): number {
    return this.mss & 0xffff;
  }
  set mssClamp(value: number) {
    this.mss = (this.mss & ~0xffff) | (value & 0xffff);
  }

  get userMss(): number {
    return this.mss >>> 16;
  }
  set userMss(value: number) {
    this.mss = (this.mss & 0xffff) | (value << 16);
  }
}

/** One measurement of the delivery rate. @kernel rate_sample include/net/tcp.h */
export class RateSample {
  /** us */
  priorMstamp = 0;
  priorDelivered = 0;
  priorDeliveredCe = 0;
  delivered = 0;
  deliveredCe = 0;
  intervalUs = 0;
  sndIntervalUs = 0;
  rcvIntervalUs = 0;
  rttUs = 0;
  losses = 0;
  ackedSacked = 0;
  priorInFlight = 0;
  lastEndSeq = 0;
  isAppLimited = false;
  isRetrans = false;
  isAckDelayed = false;
}

/**
 * What the processing of one ACK finds out. Linux keeps it on the stack; here one record for each
 * depth of nesting lives in NetGlobals, so that no ACK allocates.
 * @kernel tcp_sacktag_state net/ipv4/tcp_input.c
 */
export class TcpSacktagState {
  /** FLAG_* found while tagging. */
  flag = 0;
  /** Transmission times in us of the first and last segment newly SACKed and never retransmitted; 0: none. */
  firstSackt = 0;
  lastSackt = 0;
  /** Lowest sequence number that arrived out of order. */
  reord = 0;
  /** Segments newly SACKed, or delivered twice. */
  sackDelivered = 0;
  /** Bytes newly acknowledged or SACKed. */
  deliveredBytes = 0;
  mssNow = 0;
  /** The same for what the cumulative ACK covered: times in us, lowest sequence, segments. */
  firstAckt = 0;
  lastAckt = 0;
  ackReord = 0;
  pktsAcked = 0;
  fullyAcked = false;
  /** First packet that stays on the retransmit queue. */
  rtxHead: SkBuff | null = null;
  /** REXMIT_* */
  rexmit = 0;
  readonly rate: RateSample = new RateSample();
  /** The SACK blocks of the ACK, sorted. */
  readonly sp: TcpSackBlock[] = [
    new TcpSackBlock(),
    new TcpSackBlock(),
    new TcpSackBlock(),
    new TcpSackBlock(),
  ];
}

/**
 * What one call of recvmsg() keeps in mind. On the stack in Linux; here one record in NetGlobals, as calls do not nest.
 * @kernel tcp_recvmsg_locked net/ipv4/tcp.c
 */
export class TcpRecvState {
  /** Next byte to read, and what it started from when peeking. */
  seq = 0;
  peekOffset = 0;
  /** Urgent bytes jumped over. */
  urgHole = 0;
  copied = 0;
  left = 0;
  /** Receive time of the last packet read in ns; -1: none. */
  tstamp = -1;

  clear(): void {
    this.seq = 0;
    this.peekOffset = 0;
    this.urgHole = 0;
    this.copied = 0;
    this.left = 0;
    this.tstamp = -1;
  }
}

/** Smallest RTT in us before there is any: a value that takes no box of its own, as 2^32 - 1 would. */
export const RTT_MIN_NONE = 0x7fffffff;

/** A sliding-window minimum, three best samples. @kernel minmax include/linux/win_minmax.h */
export class Minmax {
  t0 = 0;
  v0 = 0;
  t1 = 0;
  v1 = 0;
  t2 = 0;
  v2 = 0;

  /** All zero, as when it was made. */
  clear(): void {
    this.t0 = 0;
    this.v0 = 0;
    this.t1 = 0;
    this.v1 = 0;
    this.t2 = 0;
    this.v2 = 0;
  }
}

/** Order of segments in the retransmit and out-of-order queues: a tree by seq. */
export class SkbRbRoot {
  node: SkBuff | null = null;
}

/** @kernel tcp_sock include/linux/tcp.h */
export class TcpSock extends TcpSockRare {
  tcpHeaderLen = 0;
  /** Segments per GSO packet. */
  gsoSegs = 0;
  /** Header prediction: the fourth word of the expected header; 0: slow path. */
  predFlags = 0;
  bytesReceived = 0;
  segsIn = 0;
  dataSegsIn = 0;
  rcvNxt = 0;
  copiedSeq = 0;
  rcvWup = 0;
  sndNxt = 0;
  segsOut = 0;
  dataSegsOut = 0;
  bytesSent = 0;
  bytesAcked = 0;
  sndUna = 0;
  sndSml = 0;
  /** Jiffies of the last ACK and of the last data sent. */
  rcvTstamp = 0;
  lsndtime = 0;
  sndWl1 = 0;
  sndWnd = 0;
  maxWindow = 0;
  mssCache = 0;
  windowClamp = 0;
  rcvSsthresh = 0;
  scalingRatio = 0;
  // RACK
  /** us */
  rackMstamp = 0;
  rackRttUs = 0;
  rackEndSeq = 0;
  rackLastDelivered = 0;
  rackReoWndSteps = 0;
  rackAdvanced = false;
  advmss = 0;
  /** us, since the connection's clock started */
  chronoStart = 0;
  /** Jiffies of each TCP_CHRONO_*. */
  chronoBusy = 0;
  chronoType = 0;
  rateAppLimited = false;
  nonagle = 0;
  isCwndLimited = false;
  savedSyn: Uint8Array | null = null;
  ecnFlags = 0;
  tlpHighSeq = 0;
  /** ns: earliest departure of the next packet. */
  tcpWstampNs = 0;
  /** ns: cached clock. */
  tcpClockCache = 0;
  /** us: most recent packet received or sent. */
  tcpMstamp = 0;
  /** us << 3, us << 2 as in Linux. */
  srttUs = 0;
  mdevUs = 0;
  mdevMaxUs = 0;
  rttvarUs = 0;
  rttSeq = 0;
  readonly rttMin: Minmax = new Minmax();
  packetsOut = 0;
  retransOut = 0;
  maxPacketsOut = 0;
  cwndUsageSeq = 0;
  sndUp = 0;
  reordering = 0;
  readonly rxOpt: TcpOptionsReceived = new TcpOptionsReceived();
  sndSsthresh = 0;
  sndCwnd = 0;
  sndCwndCnt = 0;
  sndCwndClamp = 0;
  sndCwndUsed = 0;
  sndCwndStamp = 0;
  delivered = 0;
  // Accurate ECN (RFC 9768): packets and payload bytes by codepoint, uint32; what the peer reports of
  // ours is `delivered`.
  appLimited = 0;
  /** us */
  firstTxMstamp = 0;
  deliveredMstamp = 0;
  rateDelivered = 0;
  rateIntervalUs = 0;
  rcvWnd = 0;
  writeSeq = 0;
  pushedSeq = 0;
  lostOut = 0;
  sackedOut = 0;
  /** Made when first armed. */
  pacingTimer: Hrtimer<Sock> | null = null;
  compressedAckTimer: Hrtimer<Sock> | null = null;
  lostSkbHint: SkBuff | null = null;
  retransmitSkbHint: SkBuff | null = null;
  /** ms: first transmission of what was retransmitted first, of the SYN to begin with; 0: nothing is. */
  retransStamp = 0;
  highSeq = 0;
  highestSack: SkBuff | null = null;
  /** Made at the first segment out of order: see outOfOrderQueue. */
  private ofoQueue: SkbRbRoot | null = null;
  oooLastSkb: SkBuff | null = null;
  readonly rtxQueue: SkbRbRoot = new SkbRbRoot();
  /** Time-ordered list of sent packets: oldest and newest. */
  tsortedHead: SkBuff | null = null;
  tsortedTail: SkBuff | null = null;
  /** Made at the first loss: see duplicateSack, selectiveAcks, recvSackCache. */
  private sackOut: TcpSackBlock[] | null = null;
  private sackIn: TcpSackBlock[] | null = null;
  private dsackOut: TcpSackBlock[] | null = null;
  undoMarker = 0;
  undoRetrans = 0;
  // Receiver's RTT and buffer autotuning (DRS).
  rcvRttEstRttUs = 0;
  rcvRttEstSeq = 0;
  rcvRttEstTime = 0;
  rcvRttLastTsecr = 0;
  rcvqSpaceSpace = 0;
  rcvqSpaceSeq = 0;
  rcvqSpaceTime = 0;
  // MTU probing
  tsoffset = 0;
  /** Bits: TSQ_THROTTLED, TCP_TSQ_DEFERRED... @kernel tsq_enum include/linux/tcp.h */
  tsqFlags = 0;
  /** Links on the tasklet's list of throttled sockets. */
  tsqNext: TcpSock | null = null;
  tsqQueued = false;
  fastopenReq: TcpFastopenRequest | null = null;
  /** Keys of MD5 signatures, and of the authentication option. */
  md5sigInfo: TcpMd5sigInfo | null = null;
  aoInfo: TcpAoInfo | null = null;
  /** The request of a passive Fast Open whose SYN-ACK is not acknowledged yet. */
  fastopenRsk: RequestSock | null = null;

  /** Segments received out of order. */
  get outOfOrderQueue(): SkbRbRoot {
    this.ofoQueue ??= new SkbRbRoot();
    return this.ofoQueue;
  }

  /** Nothing was received out of order; asking does not make the queue. */
  get outOfOrderQueueEmpty(): boolean {
    return this.ofoQueue === null || this.ofoQueue.node === null;
  }

  /** The DSACK block to be sent. */
  get duplicateSack(): TcpSackBlock[] {
    this.dsackOut ??= [new TcpSackBlock()];
    return this.dsackOut;
  }

  /** There is no DSACK block to be sent; asks for none to be made. */
  resetDuplicateSack(): void {
    const dsack = this.dsackOut?.[0];
    if (dsack === undefined) return;
    dsack.startSeq = 0;
    dsack.endSeq = 0;
  }

  /** The SACK blocks to be sent. */
  get selectiveAcks(): TcpSackBlock[] {
    this.sackOut ??= fourBlocks();
    return this.sackOut;
  }

  /** The SACK blocks received last. */
  get recvSackCache(): TcpSackBlock[] {
    this.sackIn ??= fourBlocks();
    return this.sackIn;
  }
}

function fourBlocks(): TcpSackBlock[] {
  return [new TcpSackBlock(), new TcpSackBlock(), new TcpSackBlock(), new TcpSackBlock()];
}

// Bits of tsqFlags.
export const TSQ_THROTTLED = 0;
export const TSQ_QUEUED = 1;
export const TCP_TSQ_DEFERRED = 2;
export const TCP_WRITE_TIMER_DEFERRED = 3;
export const TCP_DELACK_TIMER_DEFERRED = 4;
export const TCP_MTU_REDUCED_DEFERRED = 5;
export const TCP_ACK_DEFERRED = 6;

// chronoType
export const TCP_CHRONO_UNSPEC = 0;
export const TCP_CHRONO_BUSY = 1;
export const TCP_CHRONO_RWND_LIMITED = 2;
export const TCP_CHRONO_SNDBUF_LIMITED = 3;

export const TCP_SACK_SEEN = 1;
export const TCP_DSACK_SEEN = 4;
