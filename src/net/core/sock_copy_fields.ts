/**
 * The plain fields of a TCP socket, written by scripts/sock-copy.ts. In Linux a socket is copied by
 * one memcpy; here one assignment a field comes nearest to it.
 */
import type { TcpSock } from '#include/linux/tcp.ts';

/** The fields that copyTcpSock() copies. */
export const COPIED_FIELDS: readonly string[] = [
  'skcBits',
  'skcState',
  'skcBoundDevIf',
  'skcDaddr32',
  'skcRcvSaddr32',
  'skcPortpair',
  'skcHash',
  'skType',
  'skProtocol',
  'skFlags',
  'skShutdown',
  'skUserlocks',
  'skBacklogRcv',
  'skRcvbuf',
  'skSndbuf',
  'skDstPendingConfirm',
  'skRxDstIfindex',
  'skRouteCaps',
  'skGsoType',
  'skGsoMaxSize',
  'skGsoMaxSegs',
  'skGsoDisabled',
  'skPacingRate',
  'skStamp',
  'skTxhash',
  'skRxhash',
  'skRxQueueMapping',
  'skIncomingCpu',
  'skNapiId',
  'skAckBacklog',
  'skPid',
  'skStateChange',
  'skDataReady',
  'skWriteSpace',
  'skErrorReport',
  'skDestruct',
  'inetSaddr',
  'inetSport',
  'inetId',
  'mcTtl',
  'deferConnect',
  'mcIndex',
  'isIcsk',
  'icskTimeout',
  'icskRto',
  'icskRtoMin',
  'icskRtoMax',
  'icskDelackMax',
  'icskPmtuCookie',
  'icskCaState',
  'icskCaInitialized',
  'icskRetransmits',
  'icskPending',
  'icskBackoff',
  'ackPending',
  'ackQuick',
  'ackPingpong',
  'ackRetry',
  'ackAto',
  'ackTimeout',
  'ackLrcvtime',
  'ackLastSegSize',
  'ackRcvMss',
  'mtupSearchHigh',
  'mtupSearchLow',
  'tcpHeaderLen',
  'gsoSegs',
  'predFlags',
  'bytesReceived',
  'segsIn',
  'dataSegsIn',
  'rcvNxt',
  'copiedSeq',
  'rcvWup',
  'sndNxt',
  'segsOut',
  'dataSegsOut',
  'bytesSent',
  'bytesAcked',
  'sndUna',
  'sndSml',
  'rcvTstamp',
  'lsndtime',
  'sndWl1',
  'sndWnd',
  'maxWindow',
  'mssCache',
  'windowClamp',
  'rcvSsthresh',
  'scalingRatio',
  'rackMstamp',
  'rackRttUs',
  'rackEndSeq',
  'rackLastDelivered',
  'rackReoWndSteps',
  'rackAdvanced',
  'advmss',
  'chronoStart',
  'chronoBusy',
  'chronoType',
  'rateAppLimited',
  'nonagle',
  'isCwndLimited',
  'ecnFlags',
  'tlpHighSeq',
  'tcpWstampNs',
  'tcpClockCache',
  'tcpMstamp',
  'srttUs',
  'mdevUs',
  'mdevMaxUs',
  'rttvarUs',
  'rttSeq',
  'packetsOut',
  'retransOut',
  'maxPacketsOut',
  'cwndUsageSeq',
  'sndUp',
  'reordering',
  'sndSsthresh',
  'sndCwnd',
  'sndCwndCnt',
  'sndCwndClamp',
  'sndCwndUsed',
  'sndCwndStamp',
  'delivered',
  'appLimited',
  'firstTxMstamp',
  'deliveredMstamp',
  'rateDelivered',
  'rateIntervalUs',
  'rcvWnd',
  'writeSeq',
  'pushedSeq',
  'lostOut',
  'sackedOut',
  'retransStamp',
  'highSeq',
  'undoMarker',
  'undoRetrans',
  'rcvRttEstRttUs',
  'rcvRttEstSeq',
  'rcvRttEstTime',
  'rcvRttLastTsecr',
  'rcvqSpaceSpace',
  'rcvqSpaceSeq',
  'rcvqSpaceTime',
  'tsoffset',
  'tsqFlags',
  'tsqQueued',
];

function part0(to: TcpSock, from: TcpSock): void {
  to.skcBits = from.skcBits;
  to.skcState = from.skcState;
  to.skcBoundDevIf = from.skcBoundDevIf;
  to.skcDaddr32 = from.skcDaddr32;
  to.skcRcvSaddr32 = from.skcRcvSaddr32;
  to.skcPortpair = from.skcPortpair;
  to.skcHash = from.skcHash;
  to.skType = from.skType;
  to.skProtocol = from.skProtocol;
  to.skFlags = from.skFlags;
  to.skShutdown = from.skShutdown;
  to.skUserlocks = from.skUserlocks;
  to.skBacklogRcv = from.skBacklogRcv;
  to.skRcvbuf = from.skRcvbuf;
  to.skSndbuf = from.skSndbuf;
  to.skDstPendingConfirm = from.skDstPendingConfirm;
  to.skRxDstIfindex = from.skRxDstIfindex;
  to.skRouteCaps = from.skRouteCaps;
  to.skGsoType = from.skGsoType;
  to.skGsoMaxSize = from.skGsoMaxSize;
  to.skGsoMaxSegs = from.skGsoMaxSegs;
  to.skGsoDisabled = from.skGsoDisabled;
  to.skPacingRate = from.skPacingRate;
  to.skStamp = from.skStamp;
  to.skTxhash = from.skTxhash;
  to.skRxhash = from.skRxhash;
  to.skRxQueueMapping = from.skRxQueueMapping;
  to.skIncomingCpu = from.skIncomingCpu;
  to.skNapiId = from.skNapiId;
  to.skAckBacklog = from.skAckBacklog;
  to.skPid = from.skPid;
  to.skStateChange = from.skStateChange;
  to.skDataReady = from.skDataReady;
  to.skWriteSpace = from.skWriteSpace;
  to.skErrorReport = from.skErrorReport;
  to.skDestruct = from.skDestruct;
  to.inetSaddr = from.inetSaddr;
  to.inetSport = from.inetSport;
  to.inetId = from.inetId;
  to.mcTtl = from.mcTtl;
  to.deferConnect = from.deferConnect;
  to.mcIndex = from.mcIndex;
  to.isIcsk = from.isIcsk;
  to.icskTimeout = from.icskTimeout;
  to.icskRto = from.icskRto;
  to.icskRtoMin = from.icskRtoMin;
  to.icskRtoMax = from.icskRtoMax;
  to.icskDelackMax = from.icskDelackMax;
  to.icskPmtuCookie = from.icskPmtuCookie;
  to.icskCaState = from.icskCaState;
  to.icskCaInitialized = from.icskCaInitialized;
  to.icskRetransmits = from.icskRetransmits;
  to.icskPending = from.icskPending;
  to.icskBackoff = from.icskBackoff;
  to.ackPending = from.ackPending;
  to.ackQuick = from.ackQuick;
  to.ackPingpong = from.ackPingpong;
  to.ackRetry = from.ackRetry;
  to.ackAto = from.ackAto;
  to.ackTimeout = from.ackTimeout;
  to.ackLrcvtime = from.ackLrcvtime;
  to.ackLastSegSize = from.ackLastSegSize;
  to.ackRcvMss = from.ackRcvMss;
  to.mtupSearchHigh = from.mtupSearchHigh;
  to.mtupSearchLow = from.mtupSearchLow;
  to.tcpHeaderLen = from.tcpHeaderLen;
  to.gsoSegs = from.gsoSegs;
  to.predFlags = from.predFlags;
  to.bytesReceived = from.bytesReceived;
  to.segsIn = from.segsIn;
  to.dataSegsIn = from.dataSegsIn;
  to.rcvNxt = from.rcvNxt;
  to.copiedSeq = from.copiedSeq;
  to.rcvWup = from.rcvWup;
  to.sndNxt = from.sndNxt;
  to.segsOut = from.segsOut;
  to.dataSegsOut = from.dataSegsOut;
  to.bytesSent = from.bytesSent;
  to.bytesAcked = from.bytesAcked;
  to.sndUna = from.sndUna;
}

function part1(to: TcpSock, from: TcpSock): void {
  to.sndSml = from.sndSml;
  to.rcvTstamp = from.rcvTstamp;
  to.lsndtime = from.lsndtime;
  to.sndWl1 = from.sndWl1;
  to.sndWnd = from.sndWnd;
  to.maxWindow = from.maxWindow;
  to.mssCache = from.mssCache;
  to.windowClamp = from.windowClamp;
  to.rcvSsthresh = from.rcvSsthresh;
  to.scalingRatio = from.scalingRatio;
  to.rackMstamp = from.rackMstamp;
  to.rackRttUs = from.rackRttUs;
  to.rackEndSeq = from.rackEndSeq;
  to.rackLastDelivered = from.rackLastDelivered;
  to.rackReoWndSteps = from.rackReoWndSteps;
  to.rackAdvanced = from.rackAdvanced;
  to.advmss = from.advmss;
  to.chronoStart = from.chronoStart;
  to.chronoBusy = from.chronoBusy;
  to.chronoType = from.chronoType;
  to.rateAppLimited = from.rateAppLimited;
  to.nonagle = from.nonagle;
  to.isCwndLimited = from.isCwndLimited;
  to.ecnFlags = from.ecnFlags;
  to.tlpHighSeq = from.tlpHighSeq;
  to.tcpWstampNs = from.tcpWstampNs;
  to.tcpClockCache = from.tcpClockCache;
  to.tcpMstamp = from.tcpMstamp;
  to.srttUs = from.srttUs;
  to.mdevUs = from.mdevUs;
  to.mdevMaxUs = from.mdevMaxUs;
  to.rttvarUs = from.rttvarUs;
  to.rttSeq = from.rttSeq;
  to.packetsOut = from.packetsOut;
  to.retransOut = from.retransOut;
  to.maxPacketsOut = from.maxPacketsOut;
  to.cwndUsageSeq = from.cwndUsageSeq;
  to.sndUp = from.sndUp;
  to.reordering = from.reordering;
  to.sndSsthresh = from.sndSsthresh;
  to.sndCwnd = from.sndCwnd;
  to.sndCwndCnt = from.sndCwndCnt;
  to.sndCwndClamp = from.sndCwndClamp;
  to.sndCwndUsed = from.sndCwndUsed;
  to.sndCwndStamp = from.sndCwndStamp;
  to.delivered = from.delivered;
  to.appLimited = from.appLimited;
  to.firstTxMstamp = from.firstTxMstamp;
  to.deliveredMstamp = from.deliveredMstamp;
  to.rateDelivered = from.rateDelivered;
  to.rateIntervalUs = from.rateIntervalUs;
  to.rcvWnd = from.rcvWnd;
  to.writeSeq = from.writeSeq;
  to.pushedSeq = from.pushedSeq;
  to.lostOut = from.lostOut;
  to.sackedOut = from.sackedOut;
  to.retransStamp = from.retransStamp;
  to.highSeq = from.highSeq;
  to.undoMarker = from.undoMarker;
  to.undoRetrans = from.undoRetrans;
  to.rcvRttEstRttUs = from.rcvRttEstRttUs;
  to.rcvRttEstSeq = from.rcvRttEstSeq;
  to.rcvRttEstTime = from.rcvRttEstTime;
  to.rcvRttLastTsecr = from.rcvRttLastTsecr;
  to.rcvqSpaceSpace = from.rcvqSpaceSpace;
  to.rcvqSpaceSeq = from.rcvqSpaceSeq;
  to.rcvqSpaceTime = from.rcvqSpaceTime;
  to.tsoffset = from.tsoffset;
  to.tsqFlags = from.tsqFlags;
  to.tsqQueued = from.tsqQueued;
}

/** Copies the plain fields of `from`. @kernel sock_copy net/core/sock.c */
export function copyTcpSock(to: TcpSock, from: TcpSock): void {
  part0(to, from);
  part1(to, from);
}
