/**
 * The network layer's socket. Counterpart of include/net/sock.h and inet_sock.h.
 *
 *   SockCommon            identity: family, addresses, ports, state, hash chains
 *    +- Sock              queues, buffers, memory, callbacks        (struct sock)
 *    |   +- InetSock      IPv4 options                              (struct inet_sock, this file)
 *    |       +- InetConnectionSock -> TcpSock; UdpSock; RawSock; PingSock
 *    +- RequestSock, InetTimewaitSock: mini sockets in the same hash chains
 */

import type { IpMcSocklist } from '#include/linux/igmp.ts';
import type { PageFrag } from '#include/linux/mm_types_task.ts';
import type { Msghdr, Socket } from '#include/linux/net.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { SkBuffHead } from '#include/linux/skbuff.ts';
import type { DstEntry } from '#include/net/dst.ts';
import type { IpOptions } from '#include/net/ip.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { SOCK_KIND_FULL, SockCommon } from '#include/net/sock_common.ts';
import { ownSockRare, type SockRare } from '#include/net/sock_rare.ts';
import type { File, PollTable } from '#kernel/sched/file.ts';
import type { TimerList } from '#kernel/time/timer.ts';
import type { WaitQueueHead } from '#kernel/wait.ts';
import { IPPROTO_TCP } from '#uapi/in.ts';
import { AF_INET, AF_INET6, SOCK_STREAM } from '#uapi/socket.ts';

// Bits of sk_flags. @kernel sock_flags include/net/sock.h
export const SOCK_DEAD = 0;
export const SOCK_DONE = 1;
export const SOCK_URGINLINE = 2;
export const SOCK_KEEPOPEN = 3;
export const SOCK_LINGER = 4;
export const SOCK_DESTROY = 5;
export const SOCK_BROADCAST = 6;
export const SOCK_TIMESTAMP = 7;
export const SOCK_ZAPPED = 8;
export const SOCK_USE_WRITE_QUEUE = 9;
export const SOCK_DBG = 10;
export const SOCK_RCVTSTAMP = 11;
export const SOCK_RCVTSTAMPNS = 12;
export const SOCK_LOCALROUTE = 13;
export const SOCK_MEMALLOC = 14;
export const SOCK_TIMESTAMPING_RX_SOFTWARE = 15;
export const SOCK_FASYNC = 16;
export const SOCK_RXQ_OVFL = 17;
export const SOCK_ZEROCOPY = 18;
export const SOCK_WIFI_STATUS = 19;
export const SOCK_NOFCS = 20;
export const SOCK_FILTER_LOCKED = 21;
export const SOCK_SELECT_ERR_QUEUE = 22;
export const SOCK_RCU_FREE = 23;
export const SOCK_TXTIME = 24;
export const SOCK_TSTAMP_NEW = 25;
export const SOCK_RCVMARK = 26;
export const SOCK_RCVPRIORITY = 27;

export const SK_CAN_REUSE = 1;
/** Of a socket in repair: whoever else has the port. */
export const SK_FORCE_REUSE = 2;
export const SK_NO_REUSE = 0;

export const SOCK_SNDBUF_LOCK = 1;
export const SOCK_RCVBUF_LOCK = 2;
export const SOCK_BINDADDR_LOCK = 4;
export const SOCK_BINDPORT_LOCK = 8;

export const RCV_SHUTDOWN = 1;
export const SEND_SHUTDOWN = 2;
export const SHUTDOWN_MASK = 3;

export const SOCK_MIN_SNDBUF = 4608;
export const SOCK_MIN_RCVBUF = 2304;

/** `skStamp` before the first packet: no time that can be. @kernel SK_DEFAULT_STAMP include/net/sock.h */
export const SK_DEFAULT_STAMP = -1e9;

/** @kernel sock include/net/sock.h */
export class Sock extends SockCommon {
  /** What few sockets change: see SockRare. */
  sockRare: SockRare;
  skProt: Proto;
  /** The socket holds its namespace: a user's, not the kernel's. */
  skNetRefcnt: boolean;
  /** Number unlike any other socket's in this machine; 0: not given yet. */
  skCookie: number;
  skType: number;
  skProtocol: number;
  /** SOCK_* bits. */
  skFlags: number;
  skSocket: Socket | null;
  /** The wait queue of the socket; null once orphaned. */
  skWq: WaitQueueHead | null;
  /** RCV_SHUTDOWN | SEND_SHUTDOWN. */
  skShutdown: number;
  skUserlocks: number;
  skcTxQueueMapping: number;

  // The lock: `owned` by a task; packets of soft interrupts then go to the backlog.
  skLockOwned: boolean;
  skBacklogHead: SkBuff | null;
  skBacklogTail: SkBuff | null;
  /** Bytes of truesize on the backlog. */
  skBacklogLen: number;
  skBacklogRcv: (sk: Sock, skb: SkBuff) => number;

  // Receiving.
  readonly skReceiveQueue: SkBuffHead;
  /** Null until something is put into it: see skErrorQueue. */
  private errorQueue: SkBuffHead | null;
  skRmemAlloc: number;
  skRcvbuf: number;
  skDrops: number;
  skFilter: SkFilter | null;

  // Sending.
  readonly skWriteQueue: SkBuffHead;
  skSendHead: SkBuff | null;
  /** Bytes of truesize in flight below us; starts at 1, and the socket is freed at 0. */
  skWmemAlloc: number;
  skWmemQueued: number;
  skSndbuf: number;
  skForwardAlloc: number;
  skOmemAlloc: number;
  /** Page being filled where no task sends. @kernel sk_frag include/net/sock.h */
  skFrag: PageFrag | null;
  skDstCache: DstEntry | null;
  skDstPendingConfirm: boolean;
  /** Route of received packets, for early demux, and the interface it is good for. */
  skRxDst: DstEntry | null;
  skRxDstIfindex: number;
  skRouteCaps: number;
  skGsoType: number;
  skGsoMaxSize: number;
  skGsoMaxSegs: number;
  skGsoDisabled: boolean;
  /** Bytes/s; 0xffffffff or more: unlimited. */
  skPacingRate: number;
  /** Last receive timestamp in ns. */
  skStamp: number;

  skTxhash: number;
  skRxhash: number;
  /** Receive queue by which the flow comes; -1: unknown. */
  skRxQueueMapping: number;
  skIncomingCpu: number;
  skNapiId: number;
  /** Pending error, positive errno; and the soft one that only shows on failure. */
  skErr: number;
  skErrSoft: number;
  /** Writers that wait for room or for the connection. */
  skWritePending: number;
  skAckBacklog: number;
  skTimer: TimerList<Sock> | null;
  /** Inode number shown by /proc and diag. */
  skIno: number;
  skUserData: object | null;
  /** Who made the socket; 0: the kernel. */
  skPid: number;
  skReuseportCb: object | null;
  /** The protocol's accounting; null: it keeps none. Set by sk_alloc(). */
  skMemory: ProtoMemory | null;

  skStateChange: (sk: Sock) => void;
  skDataReady: (sk: Sock) => void;
  skWriteSpace: (sk: Sock) => void;
  skErrorReport: (sk: Sock) => void;
  skDestruct: (sk: Sock) => void;

  constructor(net: Net, family: number, prot: Proto, callbacks: SockCallbacks) {
    super(net, family, SOCK_KIND_FULL);
    this.sockRare = net.machine.netGlobals.sockRare;
    this.skProt = prot;
    this.skNetRefcnt = false;
    this.skCookie = 0;
    this.skType = 0;
    this.skProtocol = 0;
    this.skFlags = 0;
    this.skSocket = null;
    this.skWq = null;
    this.skShutdown = 0;
    this.skUserlocks = 0;
    this.skcTxQueueMapping = -1;
    this.skLockOwned = false;
    this.skBacklogHead = null;
    this.skBacklogTail = null;
    this.skBacklogLen = 0;
    this.skBacklogRcv = prot.backlogRcv;
    this.skReceiveQueue = new SkBuffHead();
    this.errorQueue = null;
    this.skRmemAlloc = 0;
    this.skRcvbuf = 0;
    this.skDrops = 0;
    this.skFilter = null;
    this.skWriteQueue = new SkBuffHead();
    this.skSendHead = null;
    this.skWmemAlloc = 1;
    this.skWmemQueued = 0;
    this.skSndbuf = 0;
    this.skForwardAlloc = 0;
    this.skOmemAlloc = 0;
    this.skFrag = null;
    this.skDstCache = null;
    this.skDstPendingConfirm = false;
    this.skRxDst = null;
    this.skRxDstIfindex = 0;
    this.skRouteCaps = 0;
    this.skGsoType = 0;
    this.skGsoMaxSize = 65536;
    this.skGsoMaxSegs = 65535;
    this.skGsoDisabled = false;
    this.skPacingRate = Number.MAX_SAFE_INTEGER;
    this.skStamp = SK_DEFAULT_STAMP;
    this.skTxhash = 0;
    this.skRxhash = 0;
    this.skRxQueueMapping = -1;
    this.skIncomingCpu = -1;
    this.skNapiId = 0;
    this.skErr = 0;
    this.skErrSoft = 0;
    this.skWritePending = 0;
    this.skAckBacklog = 0;
    this.skTimer = null;
    this.skIno = 0;
    this.skUserData = null;
    this.skPid = 0;
    this.skReuseportCb = null;
    this.skMemory = null;
    this.skStateChange = callbacks.stateChange;
    this.skDataReady = callbacks.dataReady;
    this.skWriteSpace = callbacks.writeSpace;
    this.skErrorReport = callbacks.errorReport;
    this.skDestruct = callbacks.destruct;
  }

  /** Errors and notices for MSG_ERRQUEUE. Made when first asked for, as few sockets need one. */
  get skErrorQueue(): SkBuffHead {
    this.errorQueue ??= new SkBuffHead();
    return this.errorQueue;
  }

  /** Nothing is in the error queue; asking does not make one. */
  get skErrorQueueEmpty(): boolean {
    return this.errorQueue === null || this.errorQueue.next === null;
  }

  get skNoCheckTx(): boolean {
    return this.sockRare.skNoCheckTx;
  }
  set skNoCheckTx(value: boolean) {
    if (this.sockRare.skNoCheckTx !== value) ownSockRare(this).skNoCheckTx = value;
  }

  get skNoCheckRx(): boolean {
    return this.sockRare.skNoCheckRx;
  }
  set skNoCheckRx(value: boolean) {
    if (this.sockRare.skNoCheckRx !== value) ownSockRare(this).skNoCheckRx = value;
  }

  get skRcvlowat(): number {
    return this.sockRare.skRcvlowat;
  }
  set skRcvlowat(value: number) {
    if (this.sockRare.skRcvlowat !== value) ownSockRare(this).skRcvlowat = value;
  }

  /** Jiffies; MAX_SCHEDULE_TIMEOUT: for ever. */
  get skRcvtimeo(): number {
    return this.sockRare.skRcvtimeo;
  }
  set skRcvtimeo(value: number) {
    if (this.sockRare.skRcvtimeo !== value) ownSockRare(this).skRcvtimeo = value;
  }

  get skPeekOff(): number {
    return this.sockRare.skPeekOff;
  }
  set skPeekOff(value: number) {
    if (this.sockRare.skPeekOff !== value) ownSockRare(this).skPeekOff = value;
  }

  get skReservedMem(): number {
    return this.sockRare.skReservedMem;
  }
  set skReservedMem(value: number) {
    if (this.sockRare.skReservedMem !== value) ownSockRare(this).skReservedMem = value;
  }

  get skMaxPacingRate(): number {
    return this.sockRare.skMaxPacingRate;
  }
  set skMaxPacingRate(value: number) {
    if (this.sockRare.skMaxPacingRate !== value) ownSockRare(this).skMaxPacingRate = value;
  }

  /** 0 none, 1 internal, 2 fq. */
  get skPacingStatus(): number {
    return this.sockRare.skPacingStatus;
  }
  set skPacingStatus(value: number) {
    if (this.sockRare.skPacingStatus !== value) ownSockRare(this).skPacingStatus = value;
  }

  get skPacingShift(): number {
    return this.sockRare.skPacingShift;
  }
  set skPacingShift(value: number) {
    if (this.sockRare.skPacingShift !== value) ownSockRare(this).skPacingShift = value;
  }

  get skTskey(): number {
    return this.sockRare.skTskey;
  }
  set skTskey(value: number) {
    if (this.sockRare.skTskey !== value) ownSockRare(this).skTskey = value;
  }

  get skZckey(): number {
    return this.sockRare.skZckey;
  }
  set skZckey(value: number) {
    if (this.sockRare.skZckey !== value) ownSockRare(this).skZckey = value;
  }

  get skTsflags(): number {
    return this.sockRare.skTsflags;
  }
  set skTsflags(value: number) {
    if (this.sockRare.skTsflags !== value) ownSockRare(this).skTsflags = value;
  }

  get skPriority(): number {
    return this.sockRare.skPriority;
  }
  set skPriority(value: number) {
    if (this.sockRare.skPriority !== value) ownSockRare(this).skPriority = value;
  }

  get skMark(): number {
    return this.sockRare.skMark;
  }
  set skMark(value: number) {
    if (this.sockRare.skMark !== value) ownSockRare(this).skMark = value;
  }

  get skUid(): number {
    return this.sockRare.skUid;
  }
  set skUid(value: number) {
    if (this.sockRare.skUid !== value) ownSockRare(this).skUid = value;
  }

  get skLlUsec(): number {
    return this.sockRare.skLlUsec;
  }
  set skLlUsec(value: number) {
    if (this.sockRare.skLlUsec !== value) ownSockRare(this).skLlUsec = value;
  }

  get skSndtimeo(): number {
    return this.sockRare.skSndtimeo;
  }
  set skSndtimeo(value: number) {
    if (this.sockRare.skSndtimeo !== value) ownSockRare(this).skSndtimeo = value;
  }

  get skMaxAckBacklog(): number {
    return this.sockRare.skMaxAckBacklog;
  }
  set skMaxAckBacklog(value: number) {
    if (this.sockRare.skMaxAckBacklog !== value) ownSockRare(this).skMaxAckBacklog = value;
  }

  get skLingertime(): number {
    return this.sockRare.skLingertime;
  }
  set skLingertime(value: number) {
    if (this.sockRare.skLingertime !== value) ownSockRare(this).skLingertime = value;
  }

  /** Who was at the other end when it connected (AF_UNIX); -1: nobody. */
  get skPeerPid(): number {
    return this.sockRare.skPeerPid;
  }
  set skPeerPid(value: number) {
    if (this.sockRare.skPeerPid !== value) ownSockRare(this).skPeerPid = value;
  }

  get skPeerUid(): number {
    return this.sockRare.skPeerUid;
  }
  set skPeerUid(value: number) {
    if (this.sockRare.skPeerUid !== value) ownSockRare(this).skPeerUid = value;
  }

  /** SOCK_TXREHASH_* */
  get skTxrehash(): number {
    return this.sockRare.skTxrehash;
  }
  set skTxrehash(value: number) {
    if (this.sockRare.skTxrehash !== value) ownSockRare(this).skTxrehash = value;
  }

  /** SO_TXTIME: clock of transmit times, SOF_TXTIME_* flags. */
  get skClockid(): number {
    return this.sockRare.skClockid;
  }
  set skClockid(value: number) {
    if (this.sockRare.skClockid !== value) ownSockRare(this).skClockid = value;
  }

  get skTxtimeFlags(): number {
    return this.sockRare.skTxtimeFlags;
  }
  set skTxtimeFlags(value: number) {
    if (this.sockRare.skTxtimeFlags !== value) ownSockRare(this).skTxtimeFlags = value;
  }

  get skPreferBusyPoll(): boolean {
    return this.sockRare.skPreferBusyPoll;
  }
  set skPreferBusyPoll(value: boolean) {
    if (this.sockRare.skPreferBusyPoll !== value) ownSockRare(this).skPreferBusyPoll = value;
  }

  get skBusyPollBudget(): number {
    return this.sockRare.skBusyPollBudget;
  }
  set skBusyPollBudget(value: number) {
    if (this.sockRare.skBusyPollBudget !== value) ownSockRare(this).skBusyPollBudget = value;
  }
}

/** The callbacks a new socket starts with: sock_def_* of net/core/sock.ts. */
export interface SockCallbacks {
  stateChange(sk: Sock): void;
  dataReady(sk: Sock): void;
  writeSpace(sk: Sock): void;
  errorReport(sk: Sock): void;
  destruct(sk: Sock): void;
}

/** @kernel sk_filter include/linux/filter.h */
export interface SkFilter {
  /** Bytes charged to the socket's option memory. */
  readonly size: number;
  /** Bytes of the packet to keep; 0: drop. */
  run(skb: SkBuff): number;
}

/**
 * Operations of a transport protocol, and what all its sockets share in one machine.
 * @kernel proto include/net/sock.h
 */
export interface Proto {
  readonly name: string;
  /** Makes the protocol's own kind of sock. */
  alloc(net: Net, family: number, prot: Proto): Sock;
  /** Takes a socket back that nobody refers to any more; null: the collector does. @kernel sk_prot_free net/core/sock.c */
  free: ((sk: Sock) => void) | null;
  close(sk: Sock, timeout: number): void;
  preConnect: ((sk: Sock, addr: Uint8Array) => number) | null;
  connect: ((sk: Sock, addr: Uint8Array) => number) | null;
  disconnect: ((sk: Sock, flags: number) => number) | null;
  /** The new sock, or a negative errno. */
  accept: ((sk: Sock, flags: number) => Sock | number) | null;
  ioctl: ((sk: Sock, cmd: number, arg: Uint8Array) => number) | null;
  init: ((sk: Sock) => number) | null;
  destroy: ((sk: Sock) => void) | null;
  shutdown: ((sk: Sock, how: number) => void) | null;
  setsockopt: ((sk: Sock, level: number, optname: number, optval: Uint8Array) => number) | null;
  getsockopt: ((sk: Sock, level: number, optname: number, optval: Uint8Array) => number) | null;
  keepalive: ((sk: Sock, on: boolean) => void) | null;
  sendmsg: ((sk: Sock, msg: Msghdr, len: number) => number) | null;
  recvmsg: ((sk: Sock, msg: Msghdr, len: number, flags: number) => number) | null;
  bind: ((sk: Sock, addr: Uint8Array) => number) | null;
  backlogRcv: (sk: Sock, skb: SkBuff) => number;
  releaseCb: ((sk: Sock) => void) | null;
  hash: ((sk: Sock) => number) | null;
  unhash: ((sk: Sock) => void) | null;
  rehash: ((sk: Sock) => void) | null;
  /** 0, or nonzero when the port is taken. */
  getPort: ((sk: Sock, snum: number) => number) | null;
  putPort: ((sk: Sock) => void) | null;
  streamMemoryFree: ((sk: Sock, wake: number) => boolean) | null;
  enterMemoryPressure: ((sk: Sock) => void) | null;
  leaveMemoryPressure: ((sk: Sock) => void) | null;
  diagDestroy: ((sk: Sock, err: number) => number) | null;
  readonly maxHeader: number;
  readonly noAutobind: boolean;
  /** Shared accounting, one object per machine: see ProtoMemory. Null: the protocol keeps none. */
  memory(net: Net): ProtoMemory | null;
  /** Bytes that each socket may have in spite of pressure; 0 send, 1 receive (tcp_wmem[0]...). */
  memoryMin(net: Net, kind: number): number;
}

/** Memory of all sockets of a protocol in one machine, in pages of 4 KiB. */
export class ProtoMemory {
  memoryAllocated = 0;
  memoryPressure = 0;
  socketsAllocated = 0;
  orphanCount = 0;
  /** low, pressure, high. */
  readonly sysctlMem: [number, number, number] = [0, 0, 0];
}

/** IPv4's part of a socket. @kernel inet_sock include/net/inet_sock.h */
export class InetSock extends Sock {
  /** Own address when sending (0: choose), own port in host order as sent. */
  inetSaddr: number;
  inetSport: number;
  inetOpt: IpOptions | null;
  inetId: number;
  mcTtl: number;
  deferConnect: boolean;
  mcIndex: number;
  mcList: IpMcSocklist | null;
  isIcsk: boolean;
  private corkMade: InetCork | null;

  constructor(net: Net, family: number, prot: Proto, callbacks: SockCallbacks) {
    super(net, family, prot, callbacks);
    this.inetSaddr = 0;
    this.inetSport = 0;
    this.inetOpt = null;
    this.inetId = 0;
    this.mcTtl = 1;
    this.deferConnect = false;
    this.mcIndex = 0;
    this.mcList = null;
    this.isIcsk = false;
    this.corkMade = null;
  }

  /** The datagram under construction. Made for the first. @kernel inet_cork_full include/net/inet_sock.h */
  get cork(): InetCork {
    this.corkMade ??= new InetCork();
    return this.corkMade;
  }

  /** -1: use the default. */
  get ucTtl(): number {
    return this.sockRare.ucTtl;
  }
  set ucTtl(value: number) {
    if (this.sockRare.ucTtl !== value) ownSockRare(this).ucTtl = value;
  }

  get tos(): number {
    return this.sockRare.tos;
  }
  set tos(value: number) {
    if (this.sockRare.tos !== value) ownSockRare(this).tos = value;
  }

  get minTtl(): number {
    return this.sockRare.minTtl;
  }
  set minTtl(value: number) {
    if (this.sockRare.minTtl !== value) ownSockRare(this).minTtl = value;
  }

  /** IP_PMTUDISC_* */
  get pmtudisc(): number {
    return this.sockRare.pmtudisc;
  }
  set pmtudisc(value: number) {
    if (this.sockRare.pmtudisc !== value) ownSockRare(this).pmtudisc = value;
  }

  get recverr(): boolean {
    return this.sockRare.recverr;
  }
  set recverr(value: boolean) {
    if (this.sockRare.recverr !== value) ownSockRare(this).recverr = value;
  }

  get recverrRfc4884(): boolean {
    return this.sockRare.recverrRfc4884;
  }
  set recverrRfc4884(value: boolean) {
    if (this.sockRare.recverrRfc4884 !== value) ownSockRare(this).recverrRfc4884 = value;
  }

  get freebind(): boolean {
    return this.sockRare.freebind;
  }
  set freebind(value: boolean) {
    if (this.sockRare.freebind !== value) ownSockRare(this).freebind = value;
  }

  get hdrincl(): boolean {
    return this.sockRare.hdrincl;
  }
  set hdrincl(value: boolean) {
    if (this.sockRare.hdrincl !== value) ownSockRare(this).hdrincl = value;
  }

  get mcLoop(): boolean {
    return this.sockRare.mcLoop;
  }
  set mcLoop(value: boolean) {
    if (this.sockRare.mcLoop !== value) ownSockRare(this).mcLoop = value;
  }

  get mcAll(): boolean {
    return this.sockRare.mcAll;
  }
  set mcAll(value: boolean) {
    if (this.sockRare.mcAll !== value) ownSockRare(this).mcAll = value;
  }

  get transparent(): boolean {
    return this.sockRare.transparent;
  }
  set transparent(value: boolean) {
    if (this.sockRare.transparent !== value) ownSockRare(this).transparent = value;
  }

  get nodefrag(): boolean {
    return this.sockRare.nodefrag;
  }
  set nodefrag(value: boolean) {
    if (this.sockRare.nodefrag !== value) ownSockRare(this).nodefrag = value;
  }

  get bindAddressNoPort(): boolean {
    return this.sockRare.bindAddressNoPort;
  }
  set bindAddressNoPort(value: boolean) {
    if (this.sockRare.bindAddressNoPort !== value) ownSockRare(this).bindAddressNoPort = value;
  }

  /** IP_CMSG_* bits wanted with received packets. */
  get cmsgFlags(): number {
    return this.sockRare.cmsgFlags;
  }
  set cmsgFlags(value: number) {
    if (this.sockRare.cmsgFlags !== value) ownSockRare(this).cmsgFlags = value;
  }

  get ucIndex(): number {
    return this.sockRare.ucIndex;
  }
  set ucIndex(value: number) {
    if (this.sockRare.ucIndex !== value) ownSockRare(this).ucIndex = value;
  }

  get mcAddr(): number {
    return this.sockRare.mcAddr;
  }
  set mcAddr(value: number) {
    if (this.sockRare.mcAddr !== value) ownSockRare(this).mcAddr = value;
  }

  get localPortRangeLo(): number {
    return this.sockRare.localPortRangeLo;
  }
  set localPortRangeLo(value: number) {
    if (this.sockRare.localPortRangeLo !== value) ownSockRare(this).localPortRangeLo = value;
  }

  get localPortRangeHi(): number {
    return this.sockRare.localPortRangeHi;
  }
  set localPortRangeHi(value: number) {
    if (this.sockRare.localPortRangeHi !== value) ownSockRare(this).localPortRangeHi = value;
  }

  get rcvTos(): number {
    return this.sockRare.rcvTos;
  }
  set rcvTos(value: number) {
    if (this.sockRare.rcvTos !== value) ownSockRare(this).rcvTos = value;
  }

  get convertCsum(): boolean {
    return this.sockRare.convertCsum;
  }
  set convertCsum(value: boolean) {
    if (this.sockRare.convertCsum !== value) ownSockRare(this).convertCsum = value;
  }
}

/** Not the small socket of a request or of TIME_WAIT. @kernel sk_fullsock include/net/sock.h */
export function skFullsock(sk: Sock): boolean {
  return sk.kind === SOCK_KIND_FULL;
}

/** @kernel sk_is_inet include/net/sock.h */
export function skIsInet(sk: Sock): boolean {
  return sk.skcFamily === AF_INET || sk.skcFamily === AF_INET6;
}

/** @kernel sk_is_tcp include/net/sock.h */
export function skIsTcp(sk: Sock): boolean {
  return skIsInet(sk) && sk.skType === SOCK_STREAM && sk.skProtocol === IPPROTO_TCP;
}

/** @kernel inet_cork include/net/inet_sock.h */
export class InetCork {
  flags = 0;
  addr = 0;
  opt: IpOptions | null = null;
  fragsize = 0;
  length = 0;
  dst: DstEntry | null = null;
  txFlags = 0;
  ttl = 0;
  tos = 0;
  priority = 0;
  gsoSize = 0;
  mark = 0;
  transmitTime = 0;
  tsOptId = 0;
  /** The flow of the pending datagram (flowi4 of inet_cork_full). */
  saddr = 0;
  daddr = 0;
  sport = 0;
  dport = 0;
  oif = 0;
}

export type { File, NetDevice, PollTable };
