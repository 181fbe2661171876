/**
 * Ending a connection: shutdown, close, disconnect.
 *
 * Counterpart of tcp_shutdown, tcp_close and tcp_disconnect in net/ipv4/tcp.c. RFC 9293#3.6, RFC 2525#2.17
 * (unread data means RST), RFC 1122#4.2.2.13. A closed socket lives on as an orphan until its peer has
 * acknowledged our FIN, within limits.
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import type { RequestSock } from '#include/net/inet_connection_sock.ts';
import type { InetTimewaitSock } from '#include/net/inet_timewait_sock.ts';
import { netIncStats } from '#include/net/ip.ts';
import {
  SK_RST_REASON_TCP_ABORT_ON_CLOSE,
  SK_RST_REASON_TCP_ABORT_ON_LINGER,
  SK_RST_REASON_TCP_ABORT_ON_MEMORY,
  SK_RST_REASON_TCP_DISCONNECT_WITH_DATA,
  SK_RST_REASON_TCP_STATE,
} from '#include/net/rstreason.ts';
import type { Sock } from '#include/net/sock.ts';
import {
  SEND_SHUTDOWN,
  SHUTDOWN_MASK,
  SOCK_BINDADDR_LOCK,
  SOCK_DONE,
  SOCK_LINGER,
} from '#include/net/sock.ts';
import {
  SOCK_KIND_REQUEST,
  SOCK_KIND_TIMEWAIT,
  type SockCommon,
} from '#include/net/sock_common.ts';
import {
  TCP_DELACK_MAX,
  TCP_INFINITE_SSTHRESH,
  TCP_INIT_CWND,
  TCP_MIN_MSS,
  TCP_RTO_MIN,
  TCP_TIMEOUT_INIT,
  TCP_TIMEWAIT_LEN,
  TCPHDR_FIN,
  tcpSk,
} from '#include/net/tcp.ts';
import { TCP_ACCECN_OPT_NOT_SEEN, tcpAccecnInitCounters } from '#include/net/tcp_ecn.ts';
import { tcpFreeFastopenReq } from '#include/net/tcp_fastopen_ops.ts';
import { tcpFinTime, tcpSndCwndSet } from '#include/net/tcp_inlines.ts';
import { skbRbErase, skbRbFirst } from '#include/net/tcp_queue.ts';
import { bugOn } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import { after } from '#lib/tcp_seq.ts';
import { reqskFastopenRemove } from '#net/core/request_sock.ts';
import { __skbQueuePurge, kfreeSkb } from '#net/core/skbuff.ts';
import {
  __releaseSock,
  lockSock,
  releaseSock,
  skDstReset,
  skErrorReport,
  sockFlag,
  sockHold,
  sockOrphan,
  sockPut,
  sockResetFlag,
} from '#net/core/sock.ts';
import { pageFragDrain } from '#net/core/sock_mem.ts';
import { skStreamWaitClose } from '#net/core/stream.ts';
import { inetCskListenStop, inetCskReqskQueueDrop } from '#net/ipv4/inet_connection_sock.ts';
import { inetCskDestroySock, tcpOrphanCountAdd } from '#net/ipv4/inet_connection_sock_destroy.ts';
import { inetCskClearXmitTimers, inetCskDelackInit } from '#net/ipv4/inet_connection_sock_timer.ts';
import { inetTwskDeschedulePut } from '#net/ipv4/inet_timewait_sock.ts';
import { tcpSetCaState } from '#net/ipv4/tcp_cong.ts';
import { tcpClearRetrans } from '#net/ipv4/tcp_input_cwnd.ts';
import { tcpTimeWait } from '#net/ipv4/tcp_minisocks.ts';
import { tcpSendActiveReset, tcpSendFin } from '#net/ipv4/tcp_output_ctl.ts';
import { tcpEatRecvSkb } from '#net/ipv4/tcp_recvmsg.ts';
import {
  tcpCheckOom,
  tcpClearXmitTimers,
  tcpDoneWithError,
  tcpSetState,
  tcpWriteQueuePurge,
} from '#net/ipv4/tcp_state.ts';
import { tcpResetKeepaliveTimer } from '#net/ipv4/tcp_timer.ts';
import { ECONNABORTED, ECONNRESET, ENOENT } from '#uapi/errno.ts';
import { SKB_DROP_REASON_SOCKET_CLOSE } from '#uapi/net_dropreason.ts';
import {
  LINUX_MIB_TCPABORTONCLOSE,
  LINUX_MIB_TCPABORTONDATA,
  LINUX_MIB_TCPABORTONLINGER,
  LINUX_MIB_TCPABORTONMEMORY,
} from '#uapi/snmp.ts';
import {
  TCP_CA_Open,
  TCP_CLOSE,
  TCP_CLOSE_WAIT,
  TCP_CLOSING,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT1,
  TCP_FIN_WAIT2,
  TCP_LAST_ACK,
  TCP_LISTEN,
  TCP_SYN_RECV,
  TCP_SYN_SENT,
  TCPF_CLOSE_WAIT,
  TCPF_CLOSING,
  TCPF_ESTABLISHED,
  TCPF_FIN_WAIT1,
  TCPF_FIN_WAIT2,
  TCPF_LAST_ACK,
  TCPF_SYN_RECV,
  TCPF_SYN_SENT,
} from '#uapi/tcp.ts';

/** Moves on as a close does. True: a FIN is due. @kernel tcp_close_state net/ipv4/tcp.c */
function tcpCloseState(sk: Sock): boolean {
  switch (sk.skcState) {
    case TCP_ESTABLISHED:
    case TCP_SYN_RECV:
      tcpSetState(sk, TCP_FIN_WAIT1);
      return true;
    case TCP_CLOSE_WAIT:
      tcpSetState(sk, TCP_LAST_ACK);
      return true;
    case TCP_FIN_WAIT1:
    case TCP_FIN_WAIT2:
    case TCP_LAST_ACK:
    case TCP_CLOSING:
      return false;
    default:
      tcpSetState(sk, TCP_CLOSE);
      return false;
  }
}

/** Ends our direction. `how`: bits of sk_shutdown. @kernel tcp_shutdown net/ipv4/tcp.c */
export function tcpShutdown(sk: Sock, how: number): void {
  if ((how & SEND_SHUTDOWN) === 0) return;
  const open = TCPF_ESTABLISHED | TCPF_SYN_SENT | TCPF_CLOSE_WAIT;
  if (((1 << sk.skcState) & open) !== 0 && tcpCloseState(sk)) tcpSendFin(sk);
}

/** Throws away what was not read. True: there was data. */
function dropUnread(sk: Sock): boolean {
  const tp = tcpSk(sk);
  let unread = false;
  for (let skb = sk.skReceiveQueue.next; skb !== null; skb = sk.skReceiveQueue.next) {
    const cb = skb.tcpCb;
    const end = (cb.tcpFlags & TCPHDR_FIN) !== 0 ? (cb.endSeq - 1) | 0 : cb.endSeq;
    if (after(end, tp.copiedSeq)) unread = true;
    tcpEatRecvSkb(sk, skb);
  }
  return unread;
}

/** What the descriptor's close does to the connection. */
function closeConnection(sk: Sock): void {
  const unread = dropUnread(sk);
  if (sk.skcState === TCP_CLOSE) return;
  if (tcpSk(sk).repair) {
    sk.skProt.disconnect?.(sk, 0);
  } else if (unread) {
    // The peer must learn that its data was lost.
    netIncStats(sk.net, LINUX_MIB_TCPABORTONCLOSE);
    tcpSetState(sk, TCP_CLOSE);
    tcpSendActiveReset(sk, SK_RST_REASON_TCP_ABORT_ON_CLOSE);
  } else if (sockFlag(sk, SOCK_LINGER) && sk.skLingertime === 0) {
    sk.skProt.disconnect?.(sk, 0);
    netIncStats(sk.net, LINUX_MIB_TCPABORTONDATA);
  } else if (tcpCloseState(sk)) {
    tcpSendFin(sk);
  }
}

/** An orphan in FIN_WAIT2. True: a time-wait entry has taken its place. */
function orphanFinWait2(sk: Sock): boolean {
  if (tcpSk(sk).linger2 < 0) {
    tcpSetState(sk, TCP_CLOSE);
    tcpSendActiveReset(sk, SK_RST_REASON_TCP_ABORT_ON_LINGER);
    netIncStats(sk.net, LINUX_MIB_TCPABORTONLINGER);
    return false;
  }
  const tmo = tcpFinTime(sk);
  if (tmo > TCP_TIMEWAIT_LEN) {
    tcpResetKeepaliveTimer(sk, tmo - TCP_TIMEWAIT_LEN);
    return false;
  }
  tcpTimeWait(sk, TCP_FIN_WAIT2, tmo);
  return true;
}

/** What becomes of the orphan. */
function adjudgeToDeath(sk: Sock, state: number): void {
  // A softirq or the backlog may have destroyed it already.
  if (state !== TCP_CLOSE && sk.skcState === TCP_CLOSE) return;
  if (sk.skcState === TCP_FIN_WAIT2 && orphanFinWait2(sk)) return;
  if (sk.skcState !== TCP_CLOSE && tcpCheckOom(sk, 0)) {
    tcpSetState(sk, TCP_CLOSE);
    tcpSendActiveReset(sk, SK_RST_REASON_TCP_ABORT_ON_MEMORY);
    netIncStats(sk.net, LINUX_MIB_TCPABORTONMEMORY);
  }
  if (sk.skcState !== TCP_CLOSE) return;
  // Aborted, by unread data for one, before the last ACK of a Fast Open.
  const req = tcpSk(sk).fastopenRsk;
  if (req !== null) reqskFastopenRemove(sk, req, false);
  inetCskDestroySock(sk);
}

/** The first half of a close: the peer is told. @kernel __tcp_close net/ipv4/tcp.c */
function closeBegin(sk: Sock): void {
  sk.skShutdown = SHUTDOWN_MASK;
  if (sk.skcState === TCP_LISTEN) {
    tcpSetState(sk, TCP_CLOSE);
    inetCskListenStop(sk);
  } else {
    closeConnection(sk);
  }
}

/** The other half: nobody owns the connection any more. @kernel __tcp_close net/ipv4/tcp.c */
function closeEnd(sk: Sock): void {
  const { machine } = sk.net;
  const state = sk.skcState;
  sockHold(sk);
  sockOrphan(sk);
  localBhDisable(machine);
  // The backlog first, still as the owner: nothing may come between it and the end.
  __releaseSock(sk);
  tcpOrphanCountAdd(sk, 1);
  adjudgeToDeath(sk, state);
  localBhEnable(machine);
}

/** Gives back the lock, and the owner's reference. @kernel tcp_close net/ipv4/tcp.c */
function closeDone(sk: Sock): void {
  closeEnd(sk);
  releaseSock(sk);
  // A namespace must not be held up by the timers of the kernel's own sockets.
  if (!sk.skNetRefcnt) inetCskClearXmitTimers(sk);
  sockPut(sk);
}

/** The sleep of a lingering close is over. */
function closeGoOn(sk: Sock): void {
  lockSock(sk);
  closeDone(sk);
}

/**
 * Ends our side. With a `timeout` (jiffies) the close sleeps until the peer has acknowledged everything: the
 * caller goes on at once, and what is left to do is done when the sleep is over.
 * @kernel tcp_close net/ipv4/tcp.c
 */
export function tcpClose(sk: Sock, timeout: number): void {
  lockSock(sk);
  closeBegin(sk);
  if (timeout !== 0) {
    // Who sleeps gives back the lock, and what came meanwhile is taken in.
    releaseSock(sk);
    if (skStreamWaitClose(sk, timeout, closeGoOn)) return;
    lockSock(sk);
  }
  closeDone(sk);
}

// ---- Disconnect --------------------------------------------------------------------------------

/** States that end with a reset. @kernel tcp_need_reset net/ipv4/tcp.c */
function tcpNeedReset(state: number): boolean {
  const mask = TCPF_ESTABLISHED | TCPF_CLOSE_WAIT | TCPF_FIN_WAIT1 | TCPF_FIN_WAIT2 | TCPF_SYN_RECV;
  return ((1 << state) & mask) !== 0;
}

/** Tells the peer, and the owner by the pending error. */
function abortConnection(sk: Sock, oldState: number): void {
  const tp = tcpSk(sk);
  if (oldState === TCP_LISTEN) {
    inetCskListenStop(sk);
  } else if (tp.repair) {
    sk.skErr = ECONNABORTED;
  } else if (tcpNeedReset(oldState)) {
    tcpSendActiveReset(sk, SK_RST_REASON_TCP_STATE);
    sk.skErr = ECONNRESET;
  } else if (
    tp.sndNxt !== tp.writeSeq &&
    ((1 << oldState) & (TCPF_CLOSING | TCPF_LAST_ACK)) !== 0
  ) {
    tcpSendActiveReset(sk, SK_RST_REASON_TCP_DISCONNECT_WITH_DATA);
    sk.skErr = ECONNRESET;
  } else if (oldState === TCP_SYN_SENT) {
    sk.skErr = ECONNRESET;
  }
}

/** @kernel skb_rbtree_purge net/core/skbuff.c */
export function skbRbtreePurge(tp: TcpSock): void {
  if (tp.outOfOrderQueueEmpty) return;
  const root = tp.outOfOrderQueue;
  for (let skb: SkBuff | null = skbRbFirst(root); skb !== null; skb = skbRbFirst(root)) {
    skbRbErase(root, skb);
    kfreeSkb(skb, SKB_DROP_REASON_SOCKET_CLOSE, 'skb_rbtree_purge');
  }
  tp.oooLastSkb = null;
}

function resetSender(tp: TcpSock): void {
  tp.srttUs = 0;
  tp.mdevUs = TCP_TIMEOUT_INIT * 1000;
  tp.rcvRttLastTsecr = 0;
  // Beyond everything the old connection may still have in the network.
  tp.writeSeq = (tp.writeSeq + tp.maxWindow + 2) | 0;
  if (tp.writeSeq === 0) tp.writeSeq = 1;
  tp.icskBackoff = 0;
  tp.icskProbesOut = 0;
  tp.icskProbesTstamp = 0;
  tp.icskRto = TCP_TIMEOUT_INIT;
  tp.icskRtoMin = TCP_RTO_MIN;
  tp.icskDelackMax = TCP_DELACK_MAX;
  tp.sndSsthresh = TCP_INFINITE_SSTHRESH;
  tcpSndCwndSet(tp, TCP_INIT_CWND);
  tp.sndCwndCnt = 0;
  tp.isCwndLimited = false;
  tp.maxPacketsOut = 0;
  tp.windowClamp = 0;
  tp.delivered = 0;
  tp.deliveredCe = 0;
  tp.accecnFailMode = 0;
  tp.sawAccecnOpt = TCP_ACCECN_OPT_NOT_SEEN;
  tcpAccecnInitCounters(tp);
  tp.prevEcnfield = 0;
  tp.accecnOptTstamp = 0;
  tp.pktsAckedEwma = 0;
  if (tp.icskCaInitialized) tp.icskCaOps?.release?.(tp);
  tp.icskCaPriv = null;
  tp.icskCaInitialized = false;
  tcpSetCaState(tp, TCP_CA_Open);
  tp.isSackReneg = false;
  tcpClearRetrans(tp);
  tp.totalRetrans = 0;
}

function resetOptions(tp: TcpSock): void {
  const { rxOpt } = tp;
  rxOpt.tsRecentStamp = 0;
  rxOpt.tsRecent = 0;
  rxOpt.rcvTsval = 0;
  rxOpt.rcvTsecr = 0;
  rxOpt.sawTstamp = false;
  rxOpt.tstampOk = false;
  rxOpt.dsack = false;
  rxOpt.wscaleOk = false;
  rxOpt.sackOk = 0;
  rxOpt.sndWscale = 0;
  rxOpt.rcvWscale = 0;
  rxOpt.numSacks = 0;
  rxOpt.userMss = 0;
  rxOpt.mssClamp = 0;
}

function resetCounters(tp: TcpSock): void {
  tp.savedSyn = null;
  tp.compressedAck = 0;
  tp.segsIn = 0;
  tp.segsOut = 0;
  tp.bytesSent = 0;
  tp.bytesAcked = 0;
  tp.bytesReceived = 0;
  tp.bytesRetrans = 0;
  tp.dataSegsIn = 0;
  tp.dataSegsOut = 0;
  tp.resetDuplicateSack();
  tp.dsackDups = 0;
  tp.reordSeen = 0;
  tp.retransOut = 0;
  tp.sackedOut = 0;
  tp.tlpHighSeq = 0;
  tp.lastOowAckTime = 0;
  tp.plbRehash = 0;
  tp.appLimited = ~0;
  tp.rateAppLimited = true;
  tp.rackMstamp = 0;
  tp.rackAdvanced = false;
  tp.rackReoWndSteps = 1;
  tp.rackLastDelivered = 0;
  tp.rackReoWndPersist = 0;
  tp.rackDsackSeen = false;
  tp.synDataAcked = false;
  tp.synFastopenChild = false;
  tp.rcvOoopack = 0;
  tcpFreeFastopenReq(tp);
  tp.deferConnect = false;
  tp.fastopenClientFail = 0;
}

/**
 * Ends the connection at once and makes the socket ready for another. Always 0.
 * @kernel tcp_disconnect net/ipv4/tcp.c
 */
export function tcpDisconnect(sk: Sock, _flags: number): number {
  const tp = tcpSk(sk);
  const oldState = sk.skcState;
  if (oldState !== TCP_CLOSE) tcpSetState(sk, TCP_CLOSE);
  abortConnection(sk, oldState);
  tcpClearXmitTimers(sk);
  const req = tp.fastopenRsk;
  if (req !== null) reqskFastopenRemove(sk, req, false);
  __skbQueuePurge(sk.skReceiveQueue);
  tp.copiedSeq = tp.rcvNxt;
  tp.urgData = 0;
  sk.skPeekOff = -1;
  tcpWriteQueuePurge(sk);
  skbRbtreePurge(tp);
  tp.skcDport = 0;
  // An address that bind() did not give was the route's choice.
  if ((sk.skUserlocks & SOCK_BINDADDR_LOCK) === 0) {
    tp.skcRcvSaddr = 0;
    tp.inetSaddr = 0;
  }
  sk.skShutdown = 0;
  sockResetFlag(sk, SOCK_DONE);
  resetSender(tp);
  inetCskDelackInit(sk);
  tp.ackRcvMss = TCP_MIN_MSS;
  resetOptions(tp);
  skDstReset(sk);
  resetCounters(tp);
  if (DEBUG) bugOn(tp.skcNum !== 0 && tp.icskBindHash === null, 'tcp-disconnect', 'port unbound');
  if (sk.skFrag !== null) pageFragDrain(sk.skFrag);
  skErrorReport(sk);
  return 0;
}

/**
 * Ends a socket on an administrator's word (`ss -K`): the owner finds error `err`, the peer a reset.
 * 0, or -ENOENT: it is closed already.
 * @kernel tcp_abort net/ipv4/tcp.c
 */
export function tcpAbort(sk: Sock, err: number): number {
  const entry: SockCommon = sk;
  if (entry.kind === SOCK_KIND_REQUEST) {
    const req = entry as RequestSock;
    inetCskReqskQueueDrop(req.rskListener as Sock, req);
    return 0;
  }
  if (entry.kind === SOCK_KIND_TIMEWAIT) {
    const tw = entry as InetTimewaitSock;
    tw.refcnt++;
    inetTwskDeschedulePut(tw);
    return 0;
  }
  if (sk.skcState === TCP_CLOSE) return -ENOENT;
  lockSock(sk);
  if (sk.skcState === TCP_LISTEN) {
    tcpSetState(sk, TCP_CLOSE);
    inetCskListenStop(sk);
  }
  localBhDisable(sk.net.machine);
  if (tcpNeedReset(sk.skcState)) tcpSendActiveReset(sk, SK_RST_REASON_TCP_STATE);
  tcpDoneWithError(sk, err);
  localBhEnable(sk.net.machine);
  releaseSock(sk);
  return 0;
}
