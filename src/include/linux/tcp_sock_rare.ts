/** The fields of a TCP socket that few connections change: accessors to its TcpRare. Counterpart: struct tcp_sock. */
import { ownTcpRare, type TcpRare } from '#include/linux/tcp_rare.ts';
import { InetConnectionSock } from '#include/net/inet_connection_sock.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Proto, SockCallbacks } from '#include/net/sock.ts';

/** The part of TcpSock that is kept in a TcpRare. */
export abstract class TcpSockRare extends InetConnectionSock {
  tcpRare: TcpRare;

  constructor(net: Net, family: number, prot: Proto, callbacks: SockCallbacks) {
    super(net, family, prot, callbacks);
    this.tcpRare = net.machine.netGlobals.tcpRare;
  }

  get dsackDups(): number {
    return this.tcpRare.dsackDups;
  }
  set dsackDups(value: number) {
    if (this.tcpRare.dsackDups !== value) ownTcpRare(this).dsackDups = value;
  }

  get lastOowAckTime(): number {
    return this.tcpRare.lastOowAckTime;
  }
  set lastOowAckTime(value: number) {
    if (this.tcpRare.lastOowAckTime !== value) ownTcpRare(this).lastOowAckTime = value;
  }

  get compressedAckRcvNxt(): number {
    return this.tcpRare.compressedAckRcvNxt;
  }
  set compressedAckRcvNxt(value: number) {
    if (this.tcpRare.compressedAckRcvNxt !== value) ownTcpRare(this).compressedAckRcvNxt = value;
  }

  get compressedAck(): number {
    return this.tcpRare.compressedAck;
  }
  set compressedAck(value: number) {
    if (this.tcpRare.compressedAck !== value) ownTcpRare(this).compressedAck = value;
  }

  get dupAckCounter(): number {
    return this.tcpRare.dupAckCounter;
  }
  set dupAckCounter(value: number) {
    if (this.tcpRare.dupAckCounter !== value) ownTcpRare(this).dupAckCounter = value;
  }

  get tsoftHeld(): boolean {
    return this.tcpRare.tsoftHeld;
  }
  set tsoftHeld(value: boolean) {
    if (this.tcpRare.tsoftHeld !== value) ownTcpRare(this).tsoftHeld = value;
  }

  get rackReoWndPersist(): number {
    return this.tcpRare.rackReoWndPersist;
  }
  set rackReoWndPersist(value: number) {
    if (this.tcpRare.rackReoWndPersist !== value) ownTcpRare(this).rackReoWndPersist = value;
  }

  get rackDsackSeen(): boolean {
    return this.tcpRare.rackDsackSeen;
  }
  set rackDsackSeen(value: boolean) {
    if (this.tcpRare.rackDsackSeen !== value) ownTcpRare(this).rackDsackSeen = value;
  }

  get chronoRwndLimited(): number {
    return this.tcpRare.chronoRwndLimited;
  }
  set chronoRwndLimited(value: number) {
    if (this.tcpRare.chronoRwndLimited !== value) ownTcpRare(this).chronoRwndLimited = value;
  }

  get chronoSndbufLimited(): number {
    return this.tcpRare.chronoSndbufLimited;
  }
  set chronoSndbufLimited(value: number) {
    if (this.tcpRare.chronoSndbufLimited !== value) ownTcpRare(this).chronoSndbufLimited = value;
  }

  get thinLto(): boolean {
    return this.tcpRare.thinLto;
  }
  set thinLto(value: boolean) {
    if (this.tcpRare.thinLto !== value) ownTcpRare(this).thinLto = value;
  }

  get recvmsgInq(): boolean {
    return this.tcpRare.recvmsgInq;
  }
  set recvmsgInq(value: boolean) {
    if (this.tcpRare.recvmsgInq !== value) ownTcpRare(this).recvmsgInq = value;
  }

  get fastopenConnect(): boolean {
    return this.tcpRare.fastopenConnect;
  }
  set fastopenConnect(value: boolean) {
    if (this.tcpRare.fastopenConnect !== value) ownTcpRare(this).fastopenConnect = value;
  }

  get fastopenNoCookie(): boolean {
    return this.tcpRare.fastopenNoCookie;
  }
  set fastopenNoCookie(value: boolean) {
    if (this.tcpRare.fastopenNoCookie !== value) ownTcpRare(this).fastopenNoCookie = value;
  }

  get fastopenClientFail(): number {
    return this.tcpRare.fastopenClientFail;
  }
  set fastopenClientFail(value: number) {
    if (this.tcpRare.fastopenClientFail !== value) ownTcpRare(this).fastopenClientFail = value;
  }

  get frto(): boolean {
    return this.tcpRare.frto;
  }
  set frto(value: boolean) {
    if (this.tcpRare.frto !== value) ownTcpRare(this).frto = value;
  }

  get repair(): boolean {
    return this.tcpRare.repair;
  }
  set repair(value: boolean) {
    if (this.tcpRare.repair !== value) ownTcpRare(this).repair = value;
  }

  get repairQueue(): number {
    return this.tcpRare.repairQueue;
  }
  set repairQueue(value: number) {
    if (this.tcpRare.repairQueue !== value) ownTcpRare(this).repairQueue = value;
  }

  get synSmc(): boolean {
    return this.tcpRare.synSmc;
  }
  set synSmc(value: boolean) {
    if (this.tcpRare.synSmc !== value) ownTcpRare(this).synSmc = value;
  }

  get synFastopen(): boolean {
    return this.tcpRare.synFastopen;
  }
  set synFastopen(value: boolean) {
    if (this.tcpRare.synFastopen !== value) ownTcpRare(this).synFastopen = value;
  }

  get synFastopenExp(): boolean {
    return this.tcpRare.synFastopenExp;
  }
  set synFastopenExp(value: boolean) {
    if (this.tcpRare.synFastopenExp !== value) ownTcpRare(this).synFastopenExp = value;
  }

  /** Fast Open had been paused: success lifts the pause's count. */
  get synFastopenCh(): boolean {
    return this.tcpRare.synFastopenCh;
  }
  set synFastopenCh(value: boolean) {
    if (this.tcpRare.synFastopenCh !== value) ownTcpRare(this).synFastopenCh = value;
  }

  /** Made from a SYN with Fast Open. */
  get synFastopenChild(): boolean {
    return this.tcpRare.synFastopenChild;
  }
  set synFastopenChild(value: boolean) {
    if (this.tcpRare.synFastopenChild !== value) ownTcpRare(this).synFastopenChild = value;
  }

  get synData(): boolean {
    return this.tcpRare.synData;
  }
  set synData(value: boolean) {
    if (this.tcpRare.synData !== value) ownTcpRare(this).synData = value;
  }

  get synDataAcked(): boolean {
    return this.tcpRare.synDataAcked;
  }
  set synDataAcked(value: boolean) {
    if (this.tcpRare.synDataAcked !== value) ownTcpRare(this).synDataAcked = value;
  }

  get isSackReneg(): boolean {
    return this.tcpRare.isSackReneg;
  }
  set isSackReneg(value: boolean) {
    if (this.tcpRare.isSackReneg !== value) ownTcpRare(this).isSackReneg = value;
  }

  get saveSyn(): number {
    return this.tcpRare.saveSyn;
  }
  set saveSyn(value: number) {
    if (this.tcpRare.saveSyn !== value) ownTcpRare(this).saveSyn = value;
  }

  get tlpRetrans(): boolean {
    return this.tcpRare.tlpRetrans;
  }
  set tlpRetrans(value: boolean) {
    if (this.tcpRare.tlpRetrans !== value) ownTcpRare(this).tlpRetrans = value;
  }

  get tcpTxDelay(): number {
    return this.tcpRare.tcpTxDelay;
  }
  set tcpTxDelay(value: number) {
    if (this.tcpRare.tcpTxDelay !== value) ownTcpRare(this).tcpTxDelay = value;
  }

  get urgData(): number {
    return this.tcpRare.urgData;
  }
  set urgData(value: number) {
    if (this.tcpRare.urgData !== value) ownTcpRare(this).urgData = value;
  }

  get urgSeq(): number {
    return this.tcpRare.urgSeq;
  }
  set urgSeq(value: number) {
    if (this.tcpRare.urgSeq !== value) ownTcpRare(this).urgSeq = value;
  }

  get reordSeen(): number {
    return this.tcpRare.reordSeen;
  }
  set reordSeen(value: number) {
    if (this.tcpRare.reordSeen !== value) ownTcpRare(this).reordSeen = value;
  }

  get keepaliveProbes(): number {
    return this.tcpRare.keepaliveProbes;
  }
  set keepaliveProbes(value: number) {
    if (this.tcpRare.keepaliveProbes !== value) ownTcpRare(this).keepaliveProbes = value;
  }

  get keepaliveTime(): number {
    return this.tcpRare.keepaliveTime;
  }
  set keepaliveTime(value: number) {
    if (this.tcpRare.keepaliveTime !== value) ownTcpRare(this).keepaliveTime = value;
  }

  get keepaliveIntvl(): number {
    return this.tcpRare.keepaliveIntvl;
  }
  set keepaliveIntvl(value: number) {
    if (this.tcpRare.keepaliveIntvl !== value) ownTcpRare(this).keepaliveIntvl = value;
  }

  /** Threshold to go back to when a reduction proves wrong; 0: it stands. */
  get priorSsthresh(): number {
    return this.tcpRare.priorSsthresh;
  }
  set priorSsthresh(value: number) {
    if (this.tcpRare.priorSsthresh !== value) ownTcpRare(this).priorSsthresh = value;
  }

  get priorCwnd(): number {
    return this.tcpRare.priorCwnd;
  }
  set priorCwnd(value: number) {
    if (this.tcpRare.priorCwnd !== value) ownTcpRare(this).priorCwnd = value;
  }

  get prrDelivered(): number {
    return this.tcpRare.prrDelivered;
  }
  set prrDelivered(value: number) {
    if (this.tcpRare.prrDelivered !== value) ownTcpRare(this).prrDelivered = value;
  }

  get prrOut(): number {
    return this.tcpRare.prrOut;
  }
  set prrOut(value: number) {
    if (this.tcpRare.prrOut !== value) ownTcpRare(this).prrOut = value;
  }

  get deliveredCe(): number {
    return this.tcpRare.deliveredCe;
  }
  set deliveredCe(value: number) {
    if (this.tcpRare.deliveredCe !== value) ownTcpRare(this).deliveredCe = value;
  }

  get receivedCe(): number {
    return this.tcpRare.receivedCe;
  }
  set receivedCe(value: number) {
    if (this.tcpRare.receivedCe !== value) ownTcpRare(this).receivedCe = value;
  }

  /** CE packets that no ACK has told of, up to 15. */
  get receivedCePending(): number {
    return this.tcpRare.receivedCePending;
  }
  set receivedCePending(value: number) {
    if (this.tcpRare.receivedCePending !== value) ownTcpRare(this).receivedCePending = value;
  }

  get receivedEct1Bytes(): number {
    return this.tcpRare.receivedEct1Bytes;
  }
  set receivedEct1Bytes(value: number) {
    if (this.tcpRare.receivedEct1Bytes !== value) ownTcpRare(this).receivedEct1Bytes = value;
  }

  get receivedEct0Bytes(): number {
    return this.tcpRare.receivedEct0Bytes;
  }
  set receivedEct0Bytes(value: number) {
    if (this.tcpRare.receivedEct0Bytes !== value) ownTcpRare(this).receivedEct0Bytes = value;
  }

  get receivedCeBytes(): number {
    return this.tcpRare.receivedCeBytes;
  }
  set receivedCeBytes(value: number) {
    if (this.tcpRare.receivedCeBytes !== value) ownTcpRare(this).receivedCeBytes = value;
  }

  get deliveredEct1Bytes(): number {
    return this.tcpRare.deliveredEct1Bytes;
  }
  set deliveredEct1Bytes(value: number) {
    if (this.tcpRare.deliveredEct1Bytes !== value) ownTcpRare(this).deliveredEct1Bytes = value;
  }

  get deliveredEct0Bytes(): number {
    return this.tcpRare.deliveredEct0Bytes;
  }
  set deliveredEct0Bytes(value: number) {
    if (this.tcpRare.deliveredEct0Bytes !== value) ownTcpRare(this).deliveredEct0Bytes = value;
  }

  get deliveredCeBytes(): number {
    return this.tcpRare.deliveredCeBytes;
  }
  set deliveredCeBytes(value: number) {
    if (this.tcpRare.deliveredCeBytes !== value) ownTcpRare(this).deliveredCeBytes = value;
  }

  /** Fields that the next option needs at least, 0 to 3. */
  get accecnMinlen(): number {
    return this.tcpRare.accecnMinlen;
  }
  set accecnMinlen(value: number) {
    if (this.tcpRare.accecnMinlen !== value) ownTcpRare(this).accecnMinlen = value;
  }

  /** ACKs that must carry the option, 0 to 2. */
  get accecnOptDemand(): number {
    return this.tcpRare.accecnOptDemand;
  }
  set accecnOptDemand(value: number) {
    if (this.tcpRare.accecnOptDemand !== value) ownTcpRare(this).accecnOptDemand = value;
  }

  get accecnOptSentWDsack(): boolean {
    return this.tcpRare.accecnOptSentWDsack;
  }
  set accecnOptSentWDsack(value: boolean) {
    if (this.tcpRare.accecnOptSentWDsack !== value) ownTcpRare(this).accecnOptSentWDsack = value;
  }

  /** Codepoint that delivered bytes are put down to while no option comes; 0: unknown. */
  get estEcnfield(): number {
    return this.tcpRare.estEcnfield;
  }
  set estEcnfield(value: number) {
    if (this.tcpRare.estEcnfield !== value) ownTcpRare(this).estEcnfield = value;
  }

  get prevEcnfield(): number {
    return this.tcpRare.prevEcnfield;
  }
  set prevEcnfield(value: number) {
    if (this.tcpRare.prevEcnfield !== value) ownTcpRare(this).prevEcnfield = value;
  }

  /** Codepoints of our SYN or SYN-ACK, and of the peer's. */
  get synEctSnt(): number {
    return this.tcpRare.synEctSnt;
  }
  set synEctSnt(value: number) {
    if (this.tcpRare.synEctSnt !== value) ownTcpRare(this).synEctSnt = value;
  }

  get synEctRcv(): number {
    return this.tcpRare.synEctRcv;
  }
  set synEctRcv(value: number) {
    if (this.tcpRare.synEctRcv !== value) ownTcpRare(this).synEctRcv = value;
  }

  /** TCP_ACCECN_*_FAIL_* */
  get accecnFailMode(): number {
    return this.tcpRare.accecnFailMode;
  }
  set accecnFailMode(value: number) {
    if (this.tcpRare.accecnFailMode !== value) ownTcpRare(this).accecnFailMode = value;
  }

  /** TCP_ACCECN_OPT_*_SEEN */
  get sawAccecnOpt(): number {
    return this.tcpRare.sawAccecnOpt;
  }
  set sawAccecnOpt(value: number) {
    if (this.tcpRare.sawAccecnOpt !== value) ownTcpRare(this).sawAccecnOpt = value;
  }

  /** us: when the last option went out. */
  get accecnOptTstamp(): number {
    return this.tcpRare.accecnOptTstamp;
  }
  set accecnOptTstamp(value: number) {
    if (this.tcpRare.accecnOptTstamp !== value) ownTcpRare(this).accecnOptTstamp = value;
  }

  /** Packets an ACK acknowledges, average in 1/64. */
  get pktsAckedEwma(): number {
    return this.tcpRare.pktsAckedEwma;
  }
  set pktsAckedEwma(value: number) {
    if (this.tcpRare.pktsAckedEwma !== value) ownTcpRare(this).pktsAckedEwma = value;
  }

  get lost(): number {
    return this.tcpRare.lost;
  }
  set lost(value: number) {
    if (this.tcpRare.lost !== value) ownTcpRare(this).lost = value;
  }

  get lostCntHint(): number {
    return this.tcpRare.lostCntHint;
  }
  set lostCntHint(value: number) {
    if (this.tcpRare.lostCntHint !== value) ownTcpRare(this).lostCntHint = value;
  }

  get retransmitHigh(): number {
    return this.tcpRare.retransmitHigh;
  }
  set retransmitHigh(value: number) {
    if (this.tcpRare.retransmitHigh !== value) ownTcpRare(this).retransmitHigh = value;
  }

  get totalRetrans(): number {
    return this.tcpRare.totalRetrans;
  }
  set totalRetrans(value: number) {
    if (this.tcpRare.totalRetrans !== value) ownTcpRare(this).totalRetrans = value;
  }

  get bytesRetrans(): number {
    return this.tcpRare.bytesRetrans;
  }
  set bytesRetrans(value: number) {
    if (this.tcpRare.bytesRetrans !== value) ownTcpRare(this).bytesRetrans = value;
  }

  get totalRto(): number {
    return this.tcpRare.totalRto;
  }
  set totalRto(value: number) {
    if (this.tcpRare.totalRto !== value) ownTcpRare(this).totalRto = value;
  }

  get totalRtoRecoveries(): number {
    return this.tcpRare.totalRtoRecoveries;
  }
  set totalRtoRecoveries(value: number) {
    if (this.tcpRare.totalRtoRecoveries !== value) ownTcpRare(this).totalRtoRecoveries = value;
  }

  get totalRtoTime(): number {
    return this.tcpRare.totalRtoTime;
  }
  set totalRtoTime(value: number) {
    if (this.tcpRare.totalRtoTime !== value) ownTcpRare(this).totalRtoTime = value;
  }

  get rtoStamp(): number {
    return this.tcpRare.rtoStamp;
  }
  set rtoStamp(value: number) {
    if (this.tcpRare.rtoStamp !== value) ownTcpRare(this).rtoStamp = value;
  }

  get linger2(): number {
    return this.tcpRare.linger2;
  }
  set linger2(value: number) {
    if (this.tcpRare.linger2 !== value) ownTcpRare(this).linger2 = value;
  }

  get rcvOoopack(): number {
    return this.tcpRare.rcvOoopack;
  }
  set rcvOoopack(value: number) {
    if (this.tcpRare.rcvOoopack !== value) ownTcpRare(this).rcvOoopack = value;
  }

  /** Bytes unread that allow the sender to be woken. */
  get notsentLowat(): number {
    return this.tcpRare.notsentLowat;
  }
  set notsentLowat(value: number) {
    if (this.tcpRare.notsentLowat !== value) ownTcpRare(this).notsentLowat = value;
  }

  get plbRehash(): number {
    return this.tcpRare.plbRehash;
  }
  set plbRehash(value: number) {
    if (this.tcpRare.plbRehash !== value) ownTcpRare(this).plbRehash = value;
  }

  get mtuProbeSeqStart(): number {
    return this.tcpRare.mtuProbeSeqStart;
  }
  set mtuProbeSeqStart(value: number) {
    if (this.tcpRare.mtuProbeSeqStart !== value) ownTcpRare(this).mtuProbeSeqStart = value;
  }

  get mtuProbeSeqEnd(): number {
    return this.tcpRare.mtuProbeSeqEnd;
  }
  set mtuProbeSeqEnd(value: number) {
    if (this.tcpRare.mtuProbeSeqEnd !== value) ownTcpRare(this).mtuProbeSeqEnd = value;
  }

  get mtuInfo(): number {
    return this.tcpRare.mtuInfo;
  }
  set mtuInfo(value: number) {
    if (this.tcpRare.mtuInfo !== value) ownTcpRare(this).mtuInfo = value;
  }

  get timeoutRehash(): number {
    return this.tcpRare.timeoutRehash;
  }
  set timeoutRehash(value: number) {
    if (this.tcpRare.timeoutRehash !== value) ownTcpRare(this).timeoutRehash = value;
  }

  get rcvWndSeqLimited(): boolean {
    return this.tcpRare.rcvWndSeqLimited;
  }
  set rcvWndSeqLimited(value: boolean) {
    if (this.tcpRare.rcvWndSeqLimited !== value) ownTcpRare(this).rcvWndSeqLimited = value;
  }

  get usecTs(): boolean {
    return this.tcpRare.usecTs;
  }
  set usecTs(value: boolean) {
    if (this.tcpRare.usecTs !== value) ownTcpRare(this).usecTs = value;
  }

  get sacksTimestamp(): number {
    return this.tcpRare.sacksTimestamp;
  }
  set sacksTimestamp(value: number) {
    if (this.tcpRare.sacksTimestamp !== value) ownTcpRare(this).sacksTimestamp = value;
  }
}
