/**
 * What few sockets change: options, mostly. Sockets at their defaults share one record, and the
 * children of a listener share its. Whoever writes a new value gets a record of its own first.
 *
 * Linux has these as fields of struct sock, inet_sock and inet_connection_sock; here the accessors of
 * those classes make it look so. A field costs eight bytes in every socket, and objects of more than
 * 252 fields cost far more than that.
 */
import { MAX_SCHEDULE_TIMEOUT } from '#include/net/sock_common.ts';

/** Of Sock, InetSock and InetConnectionSock. Plain values only, since children share them. */
export class SockRare {
  /** Whose the record is; null: shared, not to be written. */
  owner: object | null = null;
  // Sock
  skNoCheckTx = false;
  skNoCheckRx = false;
  skRcvlowat = 1;
  skRcvtimeo: number = MAX_SCHEDULE_TIMEOUT;
  skPeekOff = -1;
  skReservedMem = 0;
  skMaxPacingRate: number = Number.MAX_SAFE_INTEGER;
  skPacingStatus = 0;
  skPacingShift = 10;
  skTskey = 0;
  skZckey = 0;
  skTsflags = 0;
  skPriority = 0;
  skMark = 0;
  skUid = 0;
  skLlUsec = 0;
  skSndtimeo: number = MAX_SCHEDULE_TIMEOUT;
  skMaxAckBacklog = 0;
  skLingertime = 0;
  skPeerPid = -1;
  skPeerUid = -1;
  skTxrehash = 1;
  skClockid = 0;
  skTxtimeFlags = 0;
  skPreferBusyPoll = false;
  skBusyPollBudget = 0;
  // InetSock
  ucTtl = -1;
  tos = 0;
  minTtl = 0;
  pmtudisc = 1;
  recverr = false;
  recverrRfc4884 = false;
  freebind = false;
  hdrincl = false;
  mcLoop = true;
  mcAll = true;
  transparent = false;
  nodefrag = false;
  bindAddressNoPort = false;
  cmsgFlags = 0;
  ucIndex = 0;
  mcAddr = 0;
  localPortRangeLo = 0;
  localPortRangeHi = 0;
  rcvTos = 0;
  convertCsum = false;
  // InetConnectionSock
  icskSynRetries = 0;
  icskProbesOut = 0;
  icskExtHdrLen = 0;
  ackLrcvFlowlabel = 0;
  ackDstQuickAck = false;
  mtupProbeSize = 0;
  mtupEnabled = false;
  mtupProbeTimestamp = 0;
  icskProbesTstamp = 0;
  icskUserTimeout = 0;
  icskCaSetsockopt = false;
  icskCaDstLocked = false;
}

/** The socket's own record, made if it has none. */
export function ownSockRare(sk: { sockRare: SockRare }): SockRare {
  if (sk.sockRare.owner !== sk) {
    sk.sockRare = Object.assign(new SockRare(), sk.sockRare);
    sk.sockRare.owner = sk;
  }
  return sk.sockRare;
}
