/**
 * What few connections have: losses, Accurate ECN, Fast Open, urgent data, path MTU probes, options.
 * As with SockRare, connections at the defaults share one record; Linux has them in struct tcp_sock.
 */

/** Plain values only, since children share them with their listener. */
export class TcpRare {
  /** Whose the record is; null: shared, not to be written. */
  owner: object | null = null;
  dsackDups = 0;
  lastOowAckTime = 0;
  compressedAckRcvNxt = 0;
  compressedAck = 0;
  dupAckCounter = 0;
  tsoftHeld = false;
  rackReoWndPersist = 0;
  rackDsackSeen = false;
  chronoRwndLimited = 0;
  chronoSndbufLimited = 0;
  thinLto = false;
  recvmsgInq = false;
  fastopenConnect = false;
  fastopenNoCookie = false;
  fastopenClientFail = 0;
  frto = false;
  repair = false;
  /** TCP_NO_QUEUE, TCP_RECV_QUEUE, TCP_SEND_QUEUE */
  repairQueue = 0;
  synSmc = false;
  synFastopen = false;
  synFastopenExp = false;
  synFastopenCh = false;
  synFastopenChild = false;
  synData = false;
  synDataAcked = false;
  isSackReneg = false;
  saveSyn = 0;
  tlpRetrans = false;
  tcpTxDelay = 0;
  urgData = 0;
  urgSeq = 0;
  reordSeen = 0;
  keepaliveProbes = 0;
  keepaliveTime = 0;
  keepaliveIntvl = 0;
  priorSsthresh = 0;
  priorCwnd = 0;
  prrDelivered = 0;
  prrOut = 0;
  deliveredCe = 0;
  receivedCe = 0;
  receivedCePending = 0;
  receivedEct1Bytes = 0;
  receivedEct0Bytes = 0;
  receivedCeBytes = 0;
  deliveredEct1Bytes = 0;
  deliveredEct0Bytes = 0;
  deliveredCeBytes = 0;
  accecnMinlen = 0;
  accecnOptDemand = 0;
  accecnOptSentWDsack = false;
  estEcnfield = 0;
  prevEcnfield = 0;
  synEctSnt = 0;
  synEctRcv = 0;
  accecnFailMode = 0;
  sawAccecnOpt = 0;
  accecnOptTstamp = 0;
  pktsAckedEwma = 0;
  lost = 0;
  lostCntHint = 0;
  retransmitHigh = 0;
  totalRetrans = 0;
  bytesRetrans = 0;
  totalRto = 0;
  totalRtoRecoveries = 0;
  totalRtoTime = 0;
  rtoStamp = 0;
  linger2 = 0;
  rcvOoopack = 0;
  notsentLowat = 0;
  plbRehash = 0;
  mtuProbeSeqStart = 0;
  mtuProbeSeqEnd = 0;
  mtuInfo = 0;
  timeoutRehash = 0;
  rcvWndSeqLimited = false;
  usecTs = false;
  sacksTimestamp = 0;
}

/** The connection's own record, made if it has none. */
export function ownTcpRare(tp: { tcpRare: TcpRare }): TcpRare {
  if (tp.tcpRare.owner !== tp) {
    tp.tcpRare = Object.assign(new TcpRare(), tp.tcpRare);
    tp.tcpRare.owner = tp;
  }
  return tp.tcpRare;
}
