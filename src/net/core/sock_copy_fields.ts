/**
 * The plain fields of a TCP socket, written by scripts/sock-copy.ts. In Linux a socket is copied by
 * one memcpy; here one assignment a field comes nearest to it.
 */
import type { TcpSock } from '#include/linux/tcp.ts';

/** The fields that copyTcpSock() copies. */
export const COPIED_FIELDS: readonly string[] = [
  'skcFamily',
  'skcState',
  'skcReuse',
  'skcReuseport',
  'skcIpv6only',
  'skcBoundDevIf',
  'skcDaddr',
  'skcRcvSaddr',
  'skcDport',
  'skcNum',
  'skcHash',
  'skType',
  'skProtocol',
  'skFlags',
  'skShutdown',
  'skUserlocks',
  'skNoCheckTx',
  'skNoCheckRx',
  'skRcvbuf',
  'skRcvlowat',
  'skRcvtimeo',
  'skPeekOff',
  'skSndbuf',
  'skSndtimeo',
  'skDstPendingConfirm',
  'skRxDstIfindex',
  'skRouteCaps',
  'skGsoType',
  'skGsoMaxSize',
  'skGsoMaxSegs',
  'skPacingRate',
  'skMaxPacingRate',
  'skPacingStatus',
  'skPacingShift',
  'skTskey',
  'skTsflags',
  'skStamp',
  'skMark',
  'skUid',
  'skTxhash',
  'skRxhash',
  'skIncomingCpu',
  'skNapiId',
  'skLlUsec',
  'skAckBacklog',
  'skMaxAckBacklog',
  'skLingertime',
  'skPeerPid',
  'skPid',
  'skPeerUid',
  'skTxrehash',
  'skClockid',
  'skTxtimeFlags',
  'skPreferBusyPoll',
  'skBusyPollBudget',
  'inetSaddr',
  'inetSport',
  'ucTtl',
  'inetId',
  'tos',
  'minTtl',
  'mcTtl',
  'pmtudisc',
  'recverr',
  'recverrRfc4884',
  'freebind',
  'hdrincl',
  'mcLoop',
  'mcAll',
  'transparent',
  'nodefrag',
  'bindAddressNoPort',
  'deferConnect',
  'cmsgFlags',
  'ucIndex',
  'mcIndex',
  'mcAddr',
  'localPortRangeLo',
  'localPortRangeHi',
  'rcvTos',
  'convertCsum',
  'isIcsk',
  'icskTimeout',
  'icskRto',
  'icskRtoMin',
  'icskRtoMax',
  'icskDelackMax',
  'icskPmtuCookie',
  'icskCaState',
  'icskCaInitialized',
  'icskCaSetsockopt',
  'icskCaDstLocked',
  'icskRetransmits',
  'icskPending',
  'icskBackoff',
  'icskSynRetries',
  'icskProbesOut',
  'icskExtHdrLen',
  'ackPending',
  'ackQuick',
  'ackPingpong',
  'ackRetry',
  'ackAto',
  'ackLrcvFlowlabel',
  'ackDstQuickAck',
  'ackTimeout',
  'ackLrcvtime',
  'ackLastSegSize',
  'ackRcvMss',
  'mtupSearchHigh',
  'mtupSearchLow',
  'mtupProbeSize',
  'mtupEnabled',
  'mtupProbeTimestamp',
  'icskProbesTstamp',
  'icskUserTimeout',
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
  'dsackDups',
  'sndUna',
  'sndSml',
  'rcvTstamp',
  'lsndtime',
  'lastOowAckTime',
  'compressedAckRcvNxt',
  'compressedAck',
  'dupAckCounter',
  'tsoftHeld',
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
  'rackReoWndPersist',
  'rackDsackSeen',
  'rackAdvanced',
  'advmss',
  'chronoStart',
  'chronoBusy',
  'chronoRwndLimited',
  'chronoSndbufLimited',
  'chronoType',
  'rateAppLimited',
  'nonagle',
  'thinLto',
  'recvmsgInq',
  'fastopenConnect',
  'fastopenNoCookie',
  'fastopenClientFail',
  'frto',
  'repair',
  'synSmc',
  'synFastopen',
  'synFastopenExp',
  'synFastopenCh',
  'synData',
  'synDataAcked',
  'isSackReneg',
  'isCwndLimited',
  'saveSyn',
  'ecnFlags',
  'tlpHighSeq',
  'tlpRetrans',
  'tcpTxDelay',
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
  'urgData',
  'urgSeq',
  'sndUp',
  'reordering',
  'reordSeen',
  'keepaliveProbes',
  'keepaliveTime',
  'keepaliveIntvl',
  'sndSsthresh',
  'priorSsthresh',
  'sndCwnd',
  'sndCwndCnt',
  'sndCwndClamp',
  'sndCwndUsed',
  'sndCwndStamp',
  'priorCwnd',
  'prrDelivered',
  'prrOut',
  'delivered',
  'deliveredCe',
  'receivedCe',
  'receivedCePending',
  'receivedEct1Bytes',
  'receivedEct0Bytes',
  'receivedCeBytes',
  'deliveredEct1Bytes',
  'deliveredEct0Bytes',
  'deliveredCeBytes',
  'accecnMinlen',
  'accecnOptDemand',
  'accecnOptSentWDsack',
  'estEcnfield',
  'prevEcnfield',
  'synEctSnt',
  'synEctRcv',
  'accecnFailMode',
  'sawAccecnOpt',
  'accecnOptTstamp',
  'pktsAckedEwma',
  'lost',
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
  'lostCntHint',
  'retransmitHigh',
  'highSeq',
  'undoMarker',
  'undoRetrans',
  'totalRetrans',
  'bytesRetrans',
  'retransStamp',
  'totalRto',
  'totalRtoRecoveries',
  'totalRtoTime',
  'rtoStamp',
  'linger2',
  'rcvOoopack',
  'notsentLowat',
  'plb',
  'rcvRttEstRttUs',
  'rcvRttEstSeq',
  'rcvRttEstTime',
  'rcvRttLastTsecr',
  'rcvqSpaceSpace',
  'rcvqSpaceSeq',
  'rcvqSpaceTime',
  'mtuProbeSeqStart',
  'mtuProbeSeqEnd',
  'mtuInfo',
  'timeoutRehash',
  'rcvWndSeqLimited',
  'tsoffset',
  'usecTs',
  'sacksTimestamp',
  'tsqFlags',
  'tsqQueued',
];

function part0(to: TcpSock, from: TcpSock): void {
  to.skcFamily = from.skcFamily;
  to.skcState = from.skcState;
  to.skcReuse = from.skcReuse;
  to.skcReuseport = from.skcReuseport;
  to.skcIpv6only = from.skcIpv6only;
  to.skcBoundDevIf = from.skcBoundDevIf;
  to.skcDaddr = from.skcDaddr;
  to.skcRcvSaddr = from.skcRcvSaddr;
  to.skcDport = from.skcDport;
  to.skcNum = from.skcNum;
  to.skcHash = from.skcHash;
  to.skType = from.skType;
  to.skProtocol = from.skProtocol;
  to.skFlags = from.skFlags;
  to.skShutdown = from.skShutdown;
  to.skUserlocks = from.skUserlocks;
  to.skNoCheckTx = from.skNoCheckTx;
  to.skNoCheckRx = from.skNoCheckRx;
  to.skRcvbuf = from.skRcvbuf;
  to.skRcvlowat = from.skRcvlowat;
  to.skRcvtimeo = from.skRcvtimeo;
  to.skPeekOff = from.skPeekOff;
  to.skSndbuf = from.skSndbuf;
  to.skSndtimeo = from.skSndtimeo;
  to.skDstPendingConfirm = from.skDstPendingConfirm;
  to.skRxDstIfindex = from.skRxDstIfindex;
  to.skRouteCaps = from.skRouteCaps;
  to.skGsoType = from.skGsoType;
  to.skGsoMaxSize = from.skGsoMaxSize;
  to.skGsoMaxSegs = from.skGsoMaxSegs;
  to.skPacingRate = from.skPacingRate;
  to.skMaxPacingRate = from.skMaxPacingRate;
  to.skPacingStatus = from.skPacingStatus;
  to.skPacingShift = from.skPacingShift;
  to.skTskey = from.skTskey;
  to.skTsflags = from.skTsflags;
  to.skStamp = from.skStamp;
  to.skMark = from.skMark;
  to.skUid = from.skUid;
  to.skTxhash = from.skTxhash;
  to.skRxhash = from.skRxhash;
  to.skIncomingCpu = from.skIncomingCpu;
  to.skNapiId = from.skNapiId;
  to.skLlUsec = from.skLlUsec;
  to.skAckBacklog = from.skAckBacklog;
  to.skMaxAckBacklog = from.skMaxAckBacklog;
  to.skLingertime = from.skLingertime;
  to.skPeerPid = from.skPeerPid;
  to.skPid = from.skPid;
  to.skPeerUid = from.skPeerUid;
  to.skTxrehash = from.skTxrehash;
  to.skClockid = from.skClockid;
  to.skTxtimeFlags = from.skTxtimeFlags;
  to.skPreferBusyPoll = from.skPreferBusyPoll;
  to.skBusyPollBudget = from.skBusyPollBudget;
  to.inetSaddr = from.inetSaddr;
  to.inetSport = from.inetSport;
  to.ucTtl = from.ucTtl;
  to.inetId = from.inetId;
  to.tos = from.tos;
  to.minTtl = from.minTtl;
  to.mcTtl = from.mcTtl;
  to.pmtudisc = from.pmtudisc;
  to.recverr = from.recverr;
  to.recverrRfc4884 = from.recverrRfc4884;
  to.freebind = from.freebind;
  to.hdrincl = from.hdrincl;
  to.mcLoop = from.mcLoop;
  to.mcAll = from.mcAll;
  to.transparent = from.transparent;
  to.nodefrag = from.nodefrag;
  to.bindAddressNoPort = from.bindAddressNoPort;
  to.deferConnect = from.deferConnect;
  to.cmsgFlags = from.cmsgFlags;
  to.ucIndex = from.ucIndex;
  to.mcIndex = from.mcIndex;
  to.mcAddr = from.mcAddr;
  to.localPortRangeLo = from.localPortRangeLo;
  to.localPortRangeHi = from.localPortRangeHi;
  to.rcvTos = from.rcvTos;
}

function part1(to: TcpSock, from: TcpSock): void {
  to.convertCsum = from.convertCsum;
  to.isIcsk = from.isIcsk;
  to.icskTimeout = from.icskTimeout;
  to.icskRto = from.icskRto;
  to.icskRtoMin = from.icskRtoMin;
  to.icskRtoMax = from.icskRtoMax;
  to.icskDelackMax = from.icskDelackMax;
  to.icskPmtuCookie = from.icskPmtuCookie;
  to.icskCaState = from.icskCaState;
  to.icskCaInitialized = from.icskCaInitialized;
  to.icskCaSetsockopt = from.icskCaSetsockopt;
  to.icskCaDstLocked = from.icskCaDstLocked;
  to.icskRetransmits = from.icskRetransmits;
  to.icskPending = from.icskPending;
  to.icskBackoff = from.icskBackoff;
  to.icskSynRetries = from.icskSynRetries;
  to.icskProbesOut = from.icskProbesOut;
  to.icskExtHdrLen = from.icskExtHdrLen;
  to.ackPending = from.ackPending;
  to.ackQuick = from.ackQuick;
  to.ackPingpong = from.ackPingpong;
  to.ackRetry = from.ackRetry;
  to.ackAto = from.ackAto;
  to.ackLrcvFlowlabel = from.ackLrcvFlowlabel;
  to.ackDstQuickAck = from.ackDstQuickAck;
  to.ackTimeout = from.ackTimeout;
  to.ackLrcvtime = from.ackLrcvtime;
  to.ackLastSegSize = from.ackLastSegSize;
  to.ackRcvMss = from.ackRcvMss;
  to.mtupSearchHigh = from.mtupSearchHigh;
  to.mtupSearchLow = from.mtupSearchLow;
  to.mtupProbeSize = from.mtupProbeSize;
  to.mtupEnabled = from.mtupEnabled;
  to.mtupProbeTimestamp = from.mtupProbeTimestamp;
  to.icskProbesTstamp = from.icskProbesTstamp;
  to.icskUserTimeout = from.icskUserTimeout;
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
  to.dsackDups = from.dsackDups;
  to.sndUna = from.sndUna;
  to.sndSml = from.sndSml;
  to.rcvTstamp = from.rcvTstamp;
  to.lsndtime = from.lsndtime;
  to.lastOowAckTime = from.lastOowAckTime;
  to.compressedAckRcvNxt = from.compressedAckRcvNxt;
  to.compressedAck = from.compressedAck;
  to.dupAckCounter = from.dupAckCounter;
  to.tsoftHeld = from.tsoftHeld;
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
  to.rackReoWndPersist = from.rackReoWndPersist;
  to.rackDsackSeen = from.rackDsackSeen;
  to.rackAdvanced = from.rackAdvanced;
  to.advmss = from.advmss;
  to.chronoStart = from.chronoStart;
  to.chronoBusy = from.chronoBusy;
  to.chronoRwndLimited = from.chronoRwndLimited;
  to.chronoSndbufLimited = from.chronoSndbufLimited;
}

function part2(to: TcpSock, from: TcpSock): void {
  to.chronoType = from.chronoType;
  to.rateAppLimited = from.rateAppLimited;
  to.nonagle = from.nonagle;
  to.thinLto = from.thinLto;
  to.recvmsgInq = from.recvmsgInq;
  to.fastopenConnect = from.fastopenConnect;
  to.fastopenNoCookie = from.fastopenNoCookie;
  to.fastopenClientFail = from.fastopenClientFail;
  to.frto = from.frto;
  to.repair = from.repair;
  to.synSmc = from.synSmc;
  to.synFastopen = from.synFastopen;
  to.synFastopenExp = from.synFastopenExp;
  to.synFastopenCh = from.synFastopenCh;
  to.synData = from.synData;
  to.synDataAcked = from.synDataAcked;
  to.isSackReneg = from.isSackReneg;
  to.isCwndLimited = from.isCwndLimited;
  to.saveSyn = from.saveSyn;
  to.ecnFlags = from.ecnFlags;
  to.tlpHighSeq = from.tlpHighSeq;
  to.tlpRetrans = from.tlpRetrans;
  to.tcpTxDelay = from.tcpTxDelay;
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
  to.urgData = from.urgData;
  to.urgSeq = from.urgSeq;
  to.sndUp = from.sndUp;
  to.reordering = from.reordering;
  to.reordSeen = from.reordSeen;
  to.keepaliveProbes = from.keepaliveProbes;
  to.keepaliveTime = from.keepaliveTime;
  to.keepaliveIntvl = from.keepaliveIntvl;
  to.sndSsthresh = from.sndSsthresh;
  to.priorSsthresh = from.priorSsthresh;
  to.sndCwnd = from.sndCwnd;
  to.sndCwndCnt = from.sndCwndCnt;
  to.sndCwndClamp = from.sndCwndClamp;
  to.sndCwndUsed = from.sndCwndUsed;
  to.sndCwndStamp = from.sndCwndStamp;
  to.priorCwnd = from.priorCwnd;
  to.prrDelivered = from.prrDelivered;
  to.prrOut = from.prrOut;
  to.delivered = from.delivered;
  to.deliveredCe = from.deliveredCe;
  to.receivedCe = from.receivedCe;
  to.receivedCePending = from.receivedCePending;
  to.receivedEct1Bytes = from.receivedEct1Bytes;
  to.receivedEct0Bytes = from.receivedEct0Bytes;
  to.receivedCeBytes = from.receivedCeBytes;
  to.deliveredEct1Bytes = from.deliveredEct1Bytes;
  to.deliveredEct0Bytes = from.deliveredEct0Bytes;
  to.deliveredCeBytes = from.deliveredCeBytes;
  to.accecnMinlen = from.accecnMinlen;
  to.accecnOptDemand = from.accecnOptDemand;
  to.accecnOptSentWDsack = from.accecnOptSentWDsack;
  to.estEcnfield = from.estEcnfield;
  to.prevEcnfield = from.prevEcnfield;
  to.synEctSnt = from.synEctSnt;
  to.synEctRcv = from.synEctRcv;
  to.accecnFailMode = from.accecnFailMode;
  to.sawAccecnOpt = from.sawAccecnOpt;
  to.accecnOptTstamp = from.accecnOptTstamp;
  to.pktsAckedEwma = from.pktsAckedEwma;
  to.lost = from.lost;
  to.appLimited = from.appLimited;
  to.firstTxMstamp = from.firstTxMstamp;
  to.deliveredMstamp = from.deliveredMstamp;
  to.rateDelivered = from.rateDelivered;
  to.rateIntervalUs = from.rateIntervalUs;
}

function part3(to: TcpSock, from: TcpSock): void {
  to.rcvWnd = from.rcvWnd;
  to.writeSeq = from.writeSeq;
  to.pushedSeq = from.pushedSeq;
  to.lostOut = from.lostOut;
  to.sackedOut = from.sackedOut;
  to.lostCntHint = from.lostCntHint;
  to.retransmitHigh = from.retransmitHigh;
  to.highSeq = from.highSeq;
  to.undoMarker = from.undoMarker;
  to.undoRetrans = from.undoRetrans;
  to.totalRetrans = from.totalRetrans;
  to.bytesRetrans = from.bytesRetrans;
  to.retransStamp = from.retransStamp;
  to.totalRto = from.totalRto;
  to.totalRtoRecoveries = from.totalRtoRecoveries;
  to.totalRtoTime = from.totalRtoTime;
  to.rtoStamp = from.rtoStamp;
  to.linger2 = from.linger2;
  to.rcvOoopack = from.rcvOoopack;
  to.notsentLowat = from.notsentLowat;
  to.plb = from.plb;
  to.rcvRttEstRttUs = from.rcvRttEstRttUs;
  to.rcvRttEstSeq = from.rcvRttEstSeq;
  to.rcvRttEstTime = from.rcvRttEstTime;
  to.rcvRttLastTsecr = from.rcvRttLastTsecr;
  to.rcvqSpaceSpace = from.rcvqSpaceSpace;
  to.rcvqSpaceSeq = from.rcvqSpaceSeq;
  to.rcvqSpaceTime = from.rcvqSpaceTime;
  to.mtuProbeSeqStart = from.mtuProbeSeqStart;
  to.mtuProbeSeqEnd = from.mtuProbeSeqEnd;
  to.mtuInfo = from.mtuInfo;
  to.timeoutRehash = from.timeoutRehash;
  to.rcvWndSeqLimited = from.rcvWndSeqLimited;
  to.tsoffset = from.tsoffset;
  to.usecTs = from.usecTs;
  to.sacksTimestamp = from.sacksTimestamp;
  to.tsqFlags = from.tsqFlags;
  to.tsqQueued = from.tsqQueued;
}

/** Copies the plain fields of `from`. @kernel sock_copy net/core/sock.c */
export function copyTcpSock(to: TcpSock, from: TcpSock): void {
  part0(to, from);
  part1(to, from);
  part2(to, from);
  part3(to, from);
}
