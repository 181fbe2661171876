/** Connection-oriented sockets. Counterpart of include/net/inet_connection_sock.h and request_sock.h. */

import type { SkBuff } from '#include/linux/skbuff.ts';
import type { DstEntry } from '#include/net/dst.ts';
import type { Flowi4 } from '#include/net/flow.ts';
import type { InetTimewaitSock } from '#include/net/inet_timewait_sock.ts';
import type { IpOptions } from '#include/net/ip.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Proto, Sock, SockCallbacks } from '#include/net/sock.ts';
import { InetSock } from '#include/net/sock.ts';
import { SOCK_KIND_REQUEST, SockCommon } from '#include/net/sock_common.ts';
import { ownSockRare } from '#include/net/sock_rare.ts';
import type { TcpCongestionOps } from '#include/net/tcp.ts';
import type { TcpFastopenContext, TcpFastopenCookie } from '#include/net/tcp_fastopen.ts';
import type { TimerList } from '#kernel/time/timer.ts';

export const ICSK_TIME_RETRANS = 1;
export const ICSK_TIME_DACK = 2;
export const ICSK_TIME_PROBE0 = 3;
export const ICSK_TIME_LOSS_PROBE = 5;
export const ICSK_TIME_REO_TIMEOUT = 6;

export const ICSK_ACK_SCHED = 1;
export const ICSK_ACK_TIMER = 2;
export const ICSK_ACK_PUSHED = 4;
export const ICSK_ACK_PUSHED2 = 8;
export const ICSK_ACK_NOW = 16;
export const ICSK_ACK_NOMEM = 32;

export const ICSK_CA_PRIV_SLOTS = 16;

/** Address-family part of a connection. @kernel inet_connection_sock_af_ops include/net/inet_connection_sock.h */
export interface InetConnectionSockAfOps {
  queueXmit(sk: Sock, skb: SkBuff): number;
  sendCheck(sk: Sock, skb: SkBuff): void;
  rebuildHeader(sk: Sock): number;
  skRxDstSet(sk: Sock, skb: SkBuff): void;
  connRequest(sk: Sock, skb: SkBuff): number;
  synRecvSock(
    sk: Sock,
    skb: SkBuff,
    req: RequestSock,
    dst: DstEntry | null,
    reqUnhash: RequestSock | null,
  ): { sk: Sock | null; ownReq: boolean };
  readonly netHeaderLen: number;
  readonly sockaddrLen: number;
  setsockopt(sk: Sock, level: number, optname: number, optval: Uint8Array): number;
  getsockopt(sk: Sock, level: number, optname: number, optval: Uint8Array): number;
  mtuReduced(sk: Sock): void;
}

/** A bound port and its owners. @kernel inet_bind_bucket include/net/inet_hashtables.h */
export class InetBindBucket {
  readonly net: Net;
  readonly port: number;
  readonly l3mdev: number;
  /** 1 when every owner set SO_REUSEADDR and none listens. */
  fastreuse: number;
  fastreuseport: number;
  /** User of the sockets that share the port with SO_REUSEPORT. */
  fastuid: number;
  /** Owners linked by InetConnectionSock.bindNext. */
  owners: InetConnectionSock | null;
  /** What closed connections left, the newest first, linked by InetTimewaitSock.twBindNext. */
  twOwners: InetTimewaitSock | null;
  next: InetBindBucket | null;

  constructor(net: Net, port: number, l3mdev: number) {
    this.net = net;
    this.port = port;
    this.l3mdev = l3mdev;
    this.fastreuse = 0;
    this.fastreuseport = 0;
    this.fastuid = 0;
    this.owners = null;
    this.twOwners = null;
    this.next = null;
  }
}

/** Accept queue of a listener. @kernel request_sock_queue include/net/request_sock.h */
export class RequestSockQueue {
  rskqDeferAccept = 0;
  synflood = 0;
  /** Requests in the SYN queue, and those not yet retransmitted. */
  qlen = 0;
  young = 0;
  acceptHead: RequestSock | null = null;
  acceptTail: RequestSock | null = null;
  // struct fastopen_queue
  /** Pending Fast Open requests allowed; 0: none, Fast Open is off. */
  fastopenqMaxQlen = 0;
  fastopenqQlen = 0;
  /** Requests that ended in a reset, kept for a minute against floods; oldest first. */
  fastopenqRstHead: RequestSock | null = null;
  fastopenqRstTail: RequestSock | null = null;
  /** TCP_FASTOPEN_KEY; null: the namespace's keys. */
  fastopenqCtx: TcpFastopenContext | null = null;
}

/** What the timers of a protocol's sockets do. @kernel inet_csk_init_xmit_timers net/ipv4/inet_connection_sock.c */
export interface InetCskTimerFns {
  retransmit(sk: Sock): void;
  delack(sk: Sock): void;
  keepalive(sk: Sock): void;
  /** HRTIMER_*, like the next. */
  pace(sk: Sock): number;
  compressedAck(sk: Sock): number;
}

/** @kernel inet_connection_sock include/net/inet_connection_sock.h */
export class InetConnectionSock extends InetSock {
  private acceptQueue: RequestSockQueue | null;
  icskBindHash: InetBindBucket | null;
  bindNext: InetConnectionSock | null;
  bindPrev: InetConnectionSock | null;
  /** Jiffies when the pending retransmit-class timer fires. */
  icskTimeout: number;
  icskTimerFns: InetCskTimerFns | null;
  /** The timers are made when first armed: a connection that sends nothing has none. */
  icskRetransmitTimer: TimerList<Sock> | null;
  icskDelackTimer: TimerList<Sock> | null;
  /** Jiffies. */
  icskRto: number;
  icskRtoMin: number;
  icskRtoMax: number;
  icskDelackMax: number;
  icskPmtuCookie: number;
  icskCaOps: TcpCongestionOps | null;
  icskAfOps: InetConnectionSockAfOps | null;
  icskCaState: number;
  icskCaInitialized: boolean;
  icskRetransmits: number;
  /** ICSK_TIME_*: which of the timers on icskRetransmitTimer is pending. */
  icskPending: number;
  icskBackoff: number;
  // icsk_ack
  ackPending: number;
  ackQuick: number;
  ackPingpong: number;
  ackRetry: number;
  ackAto: number;
  ackTimeout: number;
  ackLrcvtime: number;
  ackLastSegSize: number;
  ackRcvMss: number;
  // icsk_mtup
  mtupSearchHigh: number;
  mtupSearchLow: number;
  /** Private state of the congestion control: an object made by its init. */
  icskCaPriv: object | null;
  icskUlpData: object | null;

  constructor(net: Net, family: number, prot: Proto, callbacks: SockCallbacks) {
    super(net, family, prot, callbacks);
    this.isIcsk = true;
    this.acceptQueue = null;
    this.icskBindHash = null;
    this.bindNext = null;
    this.bindPrev = null;
    this.icskTimeout = 0;
    this.icskTimerFns = null;
    this.icskRetransmitTimer = null;
    this.icskDelackTimer = null;
    this.icskRto = 0;
    this.icskRtoMin = 0;
    this.icskRtoMax = 0;
    this.icskDelackMax = 0;
    this.icskPmtuCookie = 0;
    this.icskCaOps = null;
    this.icskAfOps = null;
    this.icskCaState = 0;
    this.icskCaInitialized = false;
    this.icskRetransmits = 0;
    this.icskPending = 0;
    this.icskBackoff = 0;
    this.ackPending = 0;
    this.ackQuick = 0;
    this.ackPingpong = 0;
    this.ackRetry = 0;
    this.ackAto = 0;
    this.ackTimeout = 0;
    this.ackLrcvtime = 0;
    this.ackLastSegSize = 0;
    this.ackRcvMss = 0;
    this.mtupSearchHigh = 0;
    this.mtupSearchLow = 0;
    this.icskCaPriv = null;
    this.icskUlpData = null;
  }

  /** Made when first asked for: only listeners and those that are set up as such need one. */
  get icskAcceptQueue(): RequestSockQueue {
    this.acceptQueue ??= new RequestSockQueue();
    return this.acceptQueue;
  }

  /** The same; null where there is none yet. */
  get icskAcceptQueueOrNull(): RequestSockQueue | null {
    return this.acceptQueue;
  }

  get icskSynRetries(): number {
    return this.sockRare.icskSynRetries;
  }
  set icskSynRetries(value: number) {
    if (this.sockRare.icskSynRetries !== value) ownSockRare(this).icskSynRetries = value;
  }

  get icskProbesOut(): number {
    return this.sockRare.icskProbesOut;
  }
  set icskProbesOut(value: number) {
    if (this.sockRare.icskProbesOut !== value) ownSockRare(this).icskProbesOut = value;
  }

  get icskExtHdrLen(): number {
    return this.sockRare.icskExtHdrLen;
  }
  set icskExtHdrLen(value: number) {
    if (this.sockRare.icskExtHdrLen !== value) ownSockRare(this).icskExtHdrLen = value;
  }

  get ackLrcvFlowlabel(): number {
    return this.sockRare.ackLrcvFlowlabel;
  }
  set ackLrcvFlowlabel(value: number) {
    if (this.sockRare.ackLrcvFlowlabel !== value) ownSockRare(this).ackLrcvFlowlabel = value;
  }

  get ackDstQuickAck(): boolean {
    return this.sockRare.ackDstQuickAck;
  }
  set ackDstQuickAck(value: boolean) {
    if (this.sockRare.ackDstQuickAck !== value) ownSockRare(this).ackDstQuickAck = value;
  }

  get mtupProbeSize(): number {
    return this.sockRare.mtupProbeSize;
  }
  set mtupProbeSize(value: number) {
    if (this.sockRare.mtupProbeSize !== value) ownSockRare(this).mtupProbeSize = value;
  }

  get mtupEnabled(): boolean {
    return this.sockRare.mtupEnabled;
  }
  set mtupEnabled(value: boolean) {
    if (this.sockRare.mtupEnabled !== value) ownSockRare(this).mtupEnabled = value;
  }

  get mtupProbeTimestamp(): number {
    return this.sockRare.mtupProbeTimestamp;
  }
  set mtupProbeTimestamp(value: number) {
    if (this.sockRare.mtupProbeTimestamp !== value) ownSockRare(this).mtupProbeTimestamp = value;
  }

  /** Jiffies. */
  get icskProbesTstamp(): number {
    return this.sockRare.icskProbesTstamp;
  }
  set icskProbesTstamp(value: number) {
    if (this.sockRare.icskProbesTstamp !== value) ownSockRare(this).icskProbesTstamp = value;
  }

  /** ms; 0: the system's default. */
  get icskUserTimeout(): number {
    return this.sockRare.icskUserTimeout;
  }
  set icskUserTimeout(value: number) {
    if (this.sockRare.icskUserTimeout !== value) ownSockRare(this).icskUserTimeout = value;
  }

  get icskCaSetsockopt(): boolean {
    return this.sockRare.icskCaSetsockopt;
  }
  set icskCaSetsockopt(value: boolean) {
    if (this.sockRare.icskCaSetsockopt !== value) ownSockRare(this).icskCaSetsockopt = value;
  }

  get icskCaDstLocked(): boolean {
    return this.sockRare.icskCaDstLocked;
  }
  set icskCaDstLocked(value: boolean) {
    if (this.sockRare.icskCaDstLocked !== value) ownSockRare(this).icskCaDstLocked = value;
  }
}

/** @kernel request_sock_ops include/net/request_sock.h */
export interface RequestSockOps {
  readonly family: number;
  rtxSynAck(sk: Sock, req: RequestSock): number;
  sendAck(sk: Sock, skb: SkBuff, req: RequestSock): void;
  sendReset(sk: Sock, skb: SkBuff, reason: number): void;
  destructor(req: RequestSock): void;
  synAckTimeout(req: RequestSock): void;
  /** The route back to the peer, or null. */
  routeReq(sk: Sock, skb: SkBuff, fl: Flowi4, req: RequestSock): DstEntry | null;
  sendSynack(
    sk: Sock,
    dst: DstEntry | null,
    fl: Flowi4,
    req: RequestSock,
    foc: TcpFastopenCookie | null,
    synackType: number,
    synSkb: SkBuff | null,
  ): number;
  initSeq(skb: SkBuff): number;
  initTsOff(net: Net, skb: SkBuff): number;
}

/**
 * A connection in the making: request_sock, inet_request_sock and tcp_request_sock in one.
 * @kernel request_sock include/net/request_sock.h
 * @kernel inet_request_sock include/net/inet_sock.h
 * @kernel tcp_request_sock include/linux/tcp.h
 */
export class RequestSock extends SockCommon {
  dlNext: RequestSock | null;
  mss: number;
  numRetrans: number;
  numTimeout: number;
  syncookie: boolean;
  cookieTs: boolean;
  tsRecent: number;
  rskTimer: TimerList<RequestSock> | null;
  /** Jiffies until which a reset Fast Open request counts against the listener's limit. */
  fastopenExpires: number;
  timeout: number;
  rskOps: RequestSockOps;
  /** The child, once there is one. */
  sk: Sock | null;
  rskListener: Sock | null;
  savedSyn: Uint8Array | null;
  secid: number;
  // inet_request_sock: local and remote addresses in host order.
  irLocAddr: number;
  irRmtAddr: number;
  irNum: number;
  irRmtPort: number;
  irIif: number;
  irMark: number;
  sndWscale: number;
  rcvWscale: number;
  tstampOk: boolean;
  sackOk: boolean;
  wscaleOk: boolean;
  ecnOk: boolean;
  accecnOk: boolean;
  /** Codepoints of the SYN-ACK sent and the SYN received. */
  synEctSnt: number;
  synEctRcv: number;
  /** TCP_ACCECN_*_FAIL_* */
  accecnFailMode: number;
  /** TCP_ACCECN_OPT_*_SEEN */
  sawAccecnOpt: number;
  acked: boolean;
  noSrccheck: boolean;
  iropt: IpOptions | null;
  // tcp_request_sock
  tfoListener: boolean;
  isMptcp: boolean;
  /** us */
  sntSynack: number;
  lastOowAckTime: number;
  rcvIsn: number;
  sntIsn: number;
  tsOff: number;
  sntTsvalFirst: number;
  sntTsvalLast: number;
  rcvNxt: number;
  txhash: number;
  synTos: number;
  rskWindowClamp: number;
  rskRcvWnd: number;
  reqUsecTs: boolean;
  /** The SYN was signed with the authentication option: KeyIDs to send with and to ask for. */
  usedTcpAo: boolean;
  aoKeyid: number;
  aoRcvNext: number;
  aoMaclen: number;

  constructor(net: Net, family: number, ops: RequestSockOps, listener: Sock | null) {
    super(net, family, SOCK_KIND_REQUEST);
    this.dlNext = null;
    this.mss = 0;
    this.numRetrans = 0;
    this.numTimeout = 0;
    this.syncookie = false;
    this.cookieTs = false;
    this.tsRecent = 0;
    this.rskTimer = null;
    this.fastopenExpires = 0;
    this.timeout = 0;
    this.rskOps = ops;
    this.sk = null;
    this.rskListener = listener;
    this.savedSyn = null;
    this.secid = 0;
    this.irLocAddr = 0;
    this.irRmtAddr = 0;
    this.irNum = 0;
    this.irRmtPort = 0;
    this.irIif = 0;
    this.irMark = 0;
    this.sndWscale = 0;
    this.rcvWscale = 0;
    this.tstampOk = false;
    this.sackOk = false;
    this.wscaleOk = false;
    this.ecnOk = false;
    this.accecnOk = false;
    this.synEctSnt = 0;
    this.synEctRcv = 0;
    this.accecnFailMode = 0;
    this.sawAccecnOpt = 0;
    this.acked = false;
    this.noSrccheck = false;
    this.iropt = null;
    this.tfoListener = false;
    this.isMptcp = false;
    this.sntSynack = 0;
    this.lastOowAckTime = 0;
    this.rcvIsn = 0;
    this.sntIsn = 0;
    this.tsOff = 0;
    this.sntTsvalFirst = 0;
    this.sntTsvalLast = 0;
    this.rcvNxt = 0;
    this.txhash = 0;
    this.synTos = 0;
    this.rskWindowClamp = 0;
    this.rskRcvWnd = 0;
    this.reqUsecTs = false;
    this.usedTcpAo = false;
    this.aoKeyid = 0;
    this.aoRcvNext = 0;
    this.aoMaclen = 0;
  }
}

/** @kernel inet_csk include/net/inet_connection_sock.h */
export function inetCsk(sk: Sock): InetConnectionSock {
  return sk as InetConnectionSock;
}

/** @kernel inet_sk include/net/inet_sock.h */
export function inetSk(sk: Sock): InetSock {
  return sk as InetSock;
}
