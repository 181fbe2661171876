/**
 * What the constructors of TCP sockets and requests do, again, for those that are over; written by
 * scripts/sock-copy.ts. In Linux it is one memset.
 */
import type { SkBuffHead } from '#include/linux/skbuff.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import type { RequestSock, RequestSockOps } from '#include/net/inet_connection_sock.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { type Proto, SK_DEFAULT_STAMP, type SockCallbacks } from '#include/net/sock.ts';
import { FAMILY_SHIFT, SOCK_KIND_FULL, SOCK_KIND_REQUEST } from '#include/net/sock_common.ts';
import { TCP_CLOSE } from '#uapi/tcp.ts';

/** What only the classes themselves write otherwise. */
interface Sealed {
  net: Net;
  errorQueue: null;
  corkMade: null;
  acceptQueue: null;
  ofoQueue: null;
  sackOut: null;
  sackIn: null;
  dsackOut: null;
}

function resetQueue(queue: SkBuffHead): void {
  queue.next = null;
  queue.prev = null;
  queue.qlen = 0;
}

function part0(sk: TcpSock, net: Net, family: number, prot: Proto, callbacks: SockCallbacks): void {
  const own = sk as unknown as Sealed;
  own.net = net;
  sk.skcBits = SOCK_KIND_FULL | (family << FAMILY_SHIFT);
  sk.skcState = TCP_CLOSE;
  sk.skcBoundDevIf = 0;
  sk.skcDaddr32 = 0;
  sk.skcRcvSaddr32 = 0;
  sk.skcPortpair = 0;
  sk.skcHash = 0;
  sk.skcNext = null;
  sk.skcPrev = null;
  sk.refcnt = 1;
  sk.sockRare = net.machine.netGlobals.sockRare;
  sk.skProt = prot;
  sk.skNetRefcnt = false;
  sk.skCookie = 0;
  sk.skType = 0;
  sk.skProtocol = 0;
  sk.skFlags = 0;
  sk.skSocket = null;
  sk.skWq = null;
  sk.skShutdown = 0;
  sk.skUserlocks = 0;
  sk.skcTxQueueMapping = -1;
  sk.skLockOwned = false;
  sk.skBacklogHead = null;
  sk.skBacklogTail = null;
  sk.skBacklogLen = 0;
  sk.skBacklogRcv = prot.backlogRcv;
  resetQueue(sk.skReceiveQueue);
  own.errorQueue = null;
  sk.skRmemAlloc = 0;
  sk.skRcvbuf = 0;
  sk.skDrops = 0;
  sk.skFilter = null;
  resetQueue(sk.skWriteQueue);
  sk.skSendHead = null;
  sk.skWmemAlloc = 1;
  sk.skWmemQueued = 0;
  sk.skSndbuf = 0;
  sk.skForwardAlloc = 0;
  sk.skOmemAlloc = 0;
  sk.skFrag = null;
  sk.skDstCache = null;
  sk.skDstPendingConfirm = false;
  sk.skRxDst = null;
  sk.skRxDstIfindex = 0;
  sk.skRouteCaps = 0;
  sk.skGsoType = 0;
  sk.skGsoMaxSize = 65536;
  sk.skGsoMaxSegs = 65535;
  sk.skGsoDisabled = false;
  sk.skPacingRate = Number.MAX_SAFE_INTEGER;
  sk.skStamp = SK_DEFAULT_STAMP;
  sk.skTxhash = 0;
  sk.skRxhash = 0;
  sk.skRxQueueMapping = -1;
  sk.skIncomingCpu = -1;
  sk.skNapiId = 0;
  sk.skErr = 0;
  sk.skErrSoft = 0;
  sk.skWritePending = 0;
  sk.skAckBacklog = 0;
  sk.skTimer = null;
  sk.skIno = 0;
  sk.skUserData = null;
  sk.skPid = 0;
  sk.skReuseportCb = null;
  sk.skMemory = null;
  sk.skStateChange = callbacks.stateChange;
  sk.skDataReady = callbacks.dataReady;
  sk.skWriteSpace = callbacks.writeSpace;
  sk.skErrorReport = callbacks.errorReport;
  sk.skDestruct = callbacks.destruct;
  sk.inetSaddr = 0;
  sk.inetSport = 0;
  sk.inetOpt = null;
  sk.inetId = 0;
  sk.mcTtl = 1;
  sk.deferConnect = false;
  sk.mcIndex = 0;
}

function part1(
  sk: TcpSock,
  net: Net,
  _family: number,
  _prot: Proto,
  _callbacks: SockCallbacks,
): void {
  const own = sk as unknown as Sealed;
  sk.mcList = null;
  own.corkMade = null;
  sk.isIcsk = true;
  own.acceptQueue = null;
  sk.icskBindHash = null;
  sk.bindNext = null;
  sk.bindPrev = null;
  sk.icskTimeout = 0;
  sk.icskTimerFns = null;
  sk.icskRto = 0;
  sk.icskRtoMin = 0;
  sk.icskRtoMax = 0;
  sk.icskDelackMax = 0;
  sk.icskPmtuCookie = 0;
  sk.icskCaOps = null;
  sk.icskAfOps = null;
  sk.icskCaState = 0;
  sk.icskCaInitialized = false;
  sk.icskRetransmits = 0;
  sk.icskPending = 0;
  sk.icskBackoff = 0;
  sk.ackPending = 0;
  sk.ackQuick = 0;
  sk.ackPingpong = 0;
  sk.ackRetry = 0;
  sk.ackAto = 0;
  sk.ackTimeout = 0;
  sk.ackLrcvtime = 0;
  sk.ackLastSegSize = 0;
  sk.ackRcvMss = 0;
  sk.mtupSearchHigh = 0;
  sk.mtupSearchLow = 0;
  sk.icskCaPriv = null;
  sk.icskUlpData = null;
  sk.tcpRare = net.machine.netGlobals.tcpRare;
  sk.tcpHeaderLen = 0;
  sk.gsoSegs = 0;
  sk.predFlags = 0;
  sk.bytesReceived = 0;
  sk.segsIn = 0;
  sk.dataSegsIn = 0;
  sk.rcvNxt = 0;
  sk.copiedSeq = 0;
  sk.rcvWup = 0;
  sk.sndNxt = 0;
  sk.segsOut = 0;
  sk.dataSegsOut = 0;
  sk.bytesSent = 0;
  sk.bytesAcked = 0;
  sk.sndUna = 0;
  sk.sndSml = 0;
  sk.rcvTstamp = 0;
  sk.lsndtime = 0;
  sk.sndWl1 = 0;
  sk.sndWnd = 0;
  sk.maxWindow = 0;
  sk.mssCache = 0;
  sk.windowClamp = 0;
  sk.rcvSsthresh = 0;
  sk.scalingRatio = 0;
  sk.rackMstamp = 0;
  sk.rackRttUs = 0;
  sk.rackEndSeq = 0;
  sk.rackLastDelivered = 0;
  sk.rackReoWndSteps = 0;
  sk.rackAdvanced = false;
  sk.advmss = 0;
  sk.chronoStart = 0;
  sk.chronoBusy = 0;
  sk.chronoType = 0;
  sk.rateAppLimited = false;
  sk.nonagle = 0;
  sk.isCwndLimited = false;
  sk.savedSyn = null;
  sk.ecnFlags = 0;
  sk.tlpHighSeq = 0;
  sk.tcpWstampNs = 0;
  sk.tcpClockCache = 0;
  sk.tcpMstamp = 0;
  sk.srttUs = 0;
}

function part2(
  sk: TcpSock,
  _net: Net,
  _family: number,
  _prot: Proto,
  _callbacks: SockCallbacks,
): void {
  const own = sk as unknown as Sealed;
  sk.mdevUs = 0;
  sk.mdevMaxUs = 0;
  sk.rttvarUs = 0;
  sk.rttSeq = 0;
  sk.rttMin.clear();
  sk.packetsOut = 0;
  sk.retransOut = 0;
  sk.maxPacketsOut = 0;
  sk.cwndUsageSeq = 0;
  sk.sndUp = 0;
  sk.reordering = 0;
  sk.rxOpt.clear();
  sk.sndSsthresh = 0;
  sk.sndCwnd = 0;
  sk.sndCwndCnt = 0;
  sk.sndCwndClamp = 0;
  sk.sndCwndUsed = 0;
  sk.sndCwndStamp = 0;
  sk.delivered = 0;
  sk.appLimited = 0;
  sk.firstTxMstamp = 0;
  sk.deliveredMstamp = 0;
  sk.rateDelivered = 0;
  sk.rateIntervalUs = 0;
  sk.rcvWnd = 0;
  sk.writeSeq = 0;
  sk.pushedSeq = 0;
  sk.lostOut = 0;
  sk.sackedOut = 0;
  sk.pacingTimer = null;
  sk.compressedAckTimer = null;
  sk.lostSkbHint = null;
  sk.retransmitSkbHint = null;
  sk.retransStamp = 0;
  sk.highSeq = 0;
  sk.highestSack = null;
  own.ofoQueue = null;
  sk.oooLastSkb = null;
  sk.rtxQueue.node = null;
  sk.tsortedHead = null;
  sk.tsortedTail = null;
  own.sackOut = null;
  own.sackIn = null;
  own.dsackOut = null;
  sk.undoMarker = 0;
  sk.undoRetrans = 0;
  sk.rcvRttEstRttUs = 0;
  sk.rcvRttEstSeq = 0;
  sk.rcvRttEstTime = 0;
  sk.rcvRttLastTsecr = 0;
  sk.rcvqSpaceSpace = 0;
  sk.rcvqSpaceSeq = 0;
  sk.rcvqSpaceTime = 0;
  sk.tsoffset = 0;
  sk.tsqFlags = 0;
  sk.tsqNext = null;
  sk.tsqQueued = false;
  sk.fastopenReq = null;
  sk.md5sigInfo = null;
  sk.aoInfo = null;
  sk.fastopenRsk = null;
}

/** As the constructor leaves it, but that nobody holds it. Its timers stay. @kernel sk_prot_clear_nulls include/net/sock.h */
export function resetTcpSock(
  sk: TcpSock,
  net: Net,
  family: number,
  prot: Proto,
  callbacks: SockCallbacks,
): void {
  part0(sk, net, family, prot, callbacks);
  part1(sk, net, family, prot, callbacks);
  part2(sk, net, family, prot, callbacks);
  sk.refcnt = 0;
}

/** Makes a socket that was reset one of a namespace, held by the caller. @kernel sk_prot_alloc net/core/sock.c */
export function reviveTcpSock(sk: TcpSock, net: Net, family: number, prot: Proto): void {
  (sk as unknown as Sealed).net = net;
  sk.skcBits = SOCK_KIND_FULL | (family << FAMILY_SHIFT);
  sk.skProt = prot;
  sk.refcnt = 1;
}

/** As the constructor leaves a request, but for its timer. @kernel reqsk_free include/net/request_sock.h */
export function resetRequestSock(
  req: RequestSock,
  net: Net,
  family: number,
  ops: RequestSockOps,
): void {
  (req as unknown as Sealed).net = net;
  req.skcBits = SOCK_KIND_REQUEST | (family << FAMILY_SHIFT);
  req.skcState = TCP_CLOSE;
  req.skcBoundDevIf = 0;
  req.skcDaddr32 = 0;
  req.skcRcvSaddr32 = 0;
  req.skcPortpair = 0;
  req.skcHash = 0;
  req.skcNext = null;
  req.skcPrev = null;
  req.refcnt = 1;
  req.dlNext = null;
  req.mss = 0;
  req.numRetrans = 0;
  req.numTimeout = 0;
  req.syncookie = false;
  req.cookieTs = false;
  req.tsRecent = 0;
  req.fastopenExpires = 0;
  req.timeout = 0;
  req.rskOps = ops;
  req.sk = null;
  req.rskListener = null;
  req.savedSyn = null;
  req.secid = 0;
  req.irLocAddr = 0;
  req.irRmtAddr = 0;
  req.irNum = 0;
  req.irRmtPort = 0;
  req.irIif = 0;
  req.irMark = 0;
  req.sndWscale = 0;
  req.rcvWscale = 0;
  req.tstampOk = false;
  req.sackOk = false;
  req.wscaleOk = false;
  req.ecnOk = false;
  req.accecnOk = false;
  req.synEctSnt = 0;
  req.synEctRcv = 0;
  req.accecnFailMode = 0;
  req.sawAccecnOpt = 0;
  req.acked = false;
  req.noSrccheck = false;
  req.iropt = null;
  req.tfoListener = false;
  req.isMptcp = false;
  req.sntSynack = 0;
  req.lastOowAckTime = 0;
  req.rcvIsn = 0;
  req.sntIsn = 0;
  req.tsOff = 0;
  req.sntTsvalFirst = 0;
  req.sntTsvalLast = 0;
  req.rcvNxt = 0;
  req.txhash = 0;
  req.synTos = 0;
  req.rskWindowClamp = 0;
  req.rskRcvWnd = 0;
  req.reqUsecTs = false;
  req.usedTcpAo = false;
  req.aoKeyid = 0;
  req.aoRcvNext = 0;
  req.aoMaclen = 0;
}

/** Makes a request that was reset one of a namespace. @kernel reqsk_alloc_noprof include/net/request_sock.h */
export function reviveRequestSock(
  req: RequestSock,
  net: Net,
  family: number,
  ops: RequestSockOps,
): void {
  (req as unknown as Sealed).net = net;
  req.skcBits = SOCK_KIND_REQUEST | (family << FAMILY_SHIFT);
  req.rskOps = ops;
}
