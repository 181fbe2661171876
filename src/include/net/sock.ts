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
import type { Msghdr, Socket } from '#include/linux/net.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { SkBuffHead } from '#include/linux/skbuff.ts';
import type { DstEntry } from '#include/net/dst.ts';
import type { IpOptions } from '#include/net/ip.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { File, PollTable } from '#kernel/sched/file.ts';
import type { TimerList } from '#kernel/time/timer.ts';
import type { WaitQueueHead } from '#kernel/wait.ts';
import { IPPROTO_TCP } from '#uapi/in.ts';
import { AF_INET, AF_INET6, SOCK_STREAM } from '#uapi/socket.ts';
import { TCP_CLOSE } from '#uapi/tcp.ts';

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

/** "Wait for ever" of timeouts, in jiffies. @kernel MAX_SCHEDULE_TIMEOUT include/linux/sched.h */
export const MAX_SCHEDULE_TIMEOUT = 0x7fffffff;

/** What every entry of the hash tables has. @kernel sock_common include/net/sock.h */
export class SockCommon {
  readonly net: Net;
  skcFamily: number;
  /** TCP_ESTABLISHED...; also used by UDP, raw. Write through the protocol's set_state. */
  skcState: number;
  skcReuse: number;
  skcReuseport: boolean;
  skcIpv6only: boolean;
  skcBoundDevIf: number;
  /** Foreign address and port, own address (for receiving) and port. Host order. */
  skcDaddr: number;
  skcRcvSaddr: number;
  skcDport: number;
  skcNum: number;
  /** IPv6 addresses as four words; null for IPv4 sockets. */
  skcV6Daddr: Uint32Array | null;
  skcV6RcvSaddr: Uint32Array | null;
  /** Hash of the 4-tuple (ehash) or of the port (lhash, udp). */
  skcHash: number;
  /** Chain of the hash bucket; `hashed` tells whether we are on one. */
  skcNext: SockCommon | null;
  skcPrev: SockCommon | null;
  hashed: boolean;
  /** 0 full socket, 1 request sock, 2 time-wait sock: cheap discrimination. */
  readonly kind: number;
  refcnt: number;
  skcTxQueueMapping: number;

  constructor(net: Net, family: number, kind: number) {
    this.net = net;
    this.skcFamily = family;
    this.skcState = TCP_CLOSE;
    this.skcReuse = 0;
    this.skcReuseport = false;
    this.skcIpv6only = false;
    this.skcBoundDevIf = 0;
    this.skcDaddr = 0;
    this.skcRcvSaddr = 0;
    this.skcDport = 0;
    this.skcNum = 0;
    this.skcV6Daddr = null;
    this.skcV6RcvSaddr = null;
    this.skcHash = 0;
    this.skcNext = null;
    this.skcPrev = null;
    this.hashed = false;
    this.kind = kind;
    this.refcnt = 1;
    this.skcTxQueueMapping = -1;
  }
}

export const SOCK_KIND_FULL = 0;
export const SOCK_KIND_REQUEST = 1;
export const SOCK_KIND_TIMEWAIT = 2;

/** @kernel sock include/net/sock.h */
export class Sock extends SockCommon {
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
  skNoCheckTx: boolean;
  skNoCheckRx: boolean;

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
  skRcvlowat: number;
  /** Jiffies; MAX_SCHEDULE_TIMEOUT: for ever. */
  skRcvtimeo: number;
  skDrops: number;
  skPeekOff: number;
  skFilter: SkFilter | null;

  // Sending.
  readonly skWriteQueue: SkBuffHead;
  skSendHead: SkBuff | null;
  /** Bytes of truesize in flight below us; starts at 1, and the socket is freed at 0. */
  skWmemAlloc: number;
  skWmemQueued: number;
  skSndbuf: number;
  skSndtimeo: number;
  skForwardAlloc: number;
  skReservedMem: number;
  skOmemAlloc: number;
  /** Page being filled by senders: address, offset, size; 0: none. @kernel sk_frag include/net/sock.h */
  skFragPage: number;
  skFragOffset: number;
  skFragSize: number;
  skDstCache: DstEntry | null;
  skDstPendingConfirm: boolean;
  /** Route of received packets, for early demux, and the interface it is good for. */
  skRxDst: DstEntry | null;
  skRxDstIfindex: number;
  skRouteCaps: number;
  skGsoType: number;
  skGsoMaxSize: number;
  skGsoMaxSegs: number;
  /** Bytes/s; 0xffffffff or more: unlimited. */
  skPacingRate: number;
  skMaxPacingRate: number;
  /** 0 none, 1 internal, 2 fq. */
  skPacingStatus: number;
  skPacingShift: number;
  skTskey: number;
  skZckey: number;
  skTsflags: number;
  /** Last receive timestamp in ns. */
  skStamp: number;

  skPriority: number;
  skMark: number;
  skUid: number;
  skTxhash: number;
  skRxhash: number;
  skIncomingCpu: number;
  skNapiId: number;
  skLlUsec: number;
  /** Pending error, positive errno; and the soft one that only shows on failure. */
  skErr: number;
  skErrSoft: number;
  /** Writers that wait for room or for the connection. */
  skWritePending: number;
  skAckBacklog: number;
  skMaxAckBacklog: number;
  skLingertime: number;
  skTimer: TimerList<Sock> | null;
  /** Inode number shown by /proc and diag. */
  skIno: number;
  skUserData: object | null;
  /** Who was at the other end when it connected (AF_UNIX); -1: nobody. */
  skPeerPid: number;
  /** Who made the socket; 0: the kernel. */
  skPid: number;
  skPeerUid: number;
  /** SOCK_TXREHASH_* */
  skTxrehash: number;
  /** SO_TXTIME: clock of transmit times, SOF_TXTIME_* flags. */
  skClockid: number;
  skTxtimeFlags: number;
  skPreferBusyPoll: boolean;
  skBusyPollBudget: number;
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
    this.skNoCheckTx = false;
    this.skNoCheckRx = false;
    this.skLockOwned = false;
    this.skBacklogHead = null;
    this.skBacklogTail = null;
    this.skBacklogLen = 0;
    this.skBacklogRcv = prot.backlogRcv;
    this.skReceiveQueue = new SkBuffHead();
    this.errorQueue = null;
    this.skRmemAlloc = 0;
    this.skRcvbuf = 0;
    this.skRcvlowat = 1;
    this.skRcvtimeo = MAX_SCHEDULE_TIMEOUT;
    this.skDrops = 0;
    this.skPeekOff = -1;
    this.skFilter = null;
    this.skWriteQueue = new SkBuffHead();
    this.skSendHead = null;
    this.skWmemAlloc = 1;
    this.skWmemQueued = 0;
    this.skSndbuf = 0;
    this.skSndtimeo = MAX_SCHEDULE_TIMEOUT;
    this.skForwardAlloc = 0;
    this.skReservedMem = 0;
    this.skOmemAlloc = 0;
    this.skFragPage = 0;
    this.skFragOffset = 0;
    this.skFragSize = 0;
    this.skDstCache = null;
    this.skDstPendingConfirm = false;
    this.skRxDst = null;
    this.skRxDstIfindex = 0;
    this.skRouteCaps = 0;
    this.skGsoType = 0;
    this.skGsoMaxSize = 65536;
    this.skGsoMaxSegs = 65535;
    this.skPacingRate = Number.MAX_SAFE_INTEGER;
    this.skMaxPacingRate = Number.MAX_SAFE_INTEGER;
    this.skPacingStatus = 0;
    this.skPacingShift = 10;
    this.skTskey = 0;
    this.skZckey = 0;
    this.skTsflags = 0;
    this.skStamp = SK_DEFAULT_STAMP;
    this.skPriority = 0;
    this.skMark = 0;
    this.skUid = 0;
    this.skTxhash = 0;
    this.skRxhash = 0;
    this.skIncomingCpu = -1;
    this.skNapiId = 0;
    this.skLlUsec = 0;
    this.skErr = 0;
    this.skErrSoft = 0;
    this.skWritePending = 0;
    this.skAckBacklog = 0;
    this.skMaxAckBacklog = 0;
    this.skLingertime = 0;
    this.skTimer = null;
    this.skIno = 0;
    this.skUserData = null;
    this.skPeerPid = -1;
    this.skPid = 0;
    this.skPeerUid = -1;
    this.skTxrehash = 1;
    this.skClockid = 0;
    this.skTxtimeFlags = 0;
    this.skPreferBusyPoll = false;
    this.skBusyPollBudget = 0;
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
  /** -1: use the default. */
  ucTtl: number;
  inetOpt: IpOptions | null;
  inetId: number;
  tos: number;
  minTtl: number;
  mcTtl: number;
  /** IP_PMTUDISC_* */
  pmtudisc: number;
  recverr: boolean;
  recverrRfc4884: boolean;
  freebind: boolean;
  hdrincl: boolean;
  mcLoop: boolean;
  mcAll: boolean;
  transparent: boolean;
  nodefrag: boolean;
  bindAddressNoPort: boolean;
  deferConnect: boolean;
  /** IP_CMSG_* bits wanted with received packets. */
  cmsgFlags: number;
  ucIndex: number;
  mcIndex: number;
  mcAddr: number;
  localPortRangeLo: number;
  localPortRangeHi: number;
  mcList: IpMcSocklist | null;
  rcvTos: number;
  convertCsum: boolean;
  isIcsk: boolean;
  private corkMade: InetCork | null;

  constructor(net: Net, family: number, prot: Proto, callbacks: SockCallbacks) {
    super(net, family, prot, callbacks);
    this.inetSaddr = 0;
    this.inetSport = 0;
    this.ucTtl = -1;
    this.inetOpt = null;
    this.inetId = 0;
    this.tos = 0;
    this.minTtl = 0;
    this.mcTtl = 1;
    this.pmtudisc = 1;
    this.recverr = false;
    this.recverrRfc4884 = false;
    this.freebind = false;
    this.hdrincl = false;
    this.mcLoop = true;
    this.mcAll = true;
    this.transparent = false;
    this.nodefrag = false;
    this.bindAddressNoPort = false;
    this.deferConnect = false;
    this.cmsgFlags = 0;
    this.ucIndex = 0;
    this.mcIndex = 0;
    this.mcAddr = 0;
    this.localPortRangeLo = 0;
    this.localPortRangeHi = 0;
    this.mcList = null;
    this.rcvTos = 0;
    this.convertCsum = false;
    this.isIcsk = false;
    this.corkMade = null;
  }

  /** The datagram under construction. Made for the first. @kernel inet_cork_full include/net/inet_sock.h */
  get cork(): InetCork {
    this.corkMade ??= new InetCork();
    return this.corkMade;
  }
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
