/**
 * Connection-oriented sockets: listening, requests, children, accept().
 *
 * Counterpart of net/ipv4/inet_connection_sock.c; ports are in inet_connection_sock_port.ts, timers in
 * inet_connection_sock_timer.ts. A SYN becomes a request in the connection table with a timer of its
 * own; the last ACK of the handshake makes a child, which waits in the accept queue of the listener.
 */

import { inetCsk, inetSk, RequestSock } from '#include/net/inet_connection_sock.ts';
import { netIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import { SOCK_DEAD } from '#include/net/sock.ts';
import { TCP_RTO_MAX, tcpSk } from '#include/net/tcp.ts';
import { tcpAccecnAceFailSendSetRetrans } from '#include/net/tcp_ecn.ts';
import { bugOn } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import { modTimer, TimerList, timerDelete } from '#kernel/time/timer.ts';
import {
  reqskFastopenPurge,
  reqskFree,
  reqskInit,
  reqskPut,
  reqskQueueAdded,
  reqskQueueEmpty,
  reqskQueueLen,
  reqskQueueLenYoung,
  reqskQueueMigrated,
  reqskQueueRemove,
  reqskQueueRemoved,
} from '#net/core/request_sock.ts';
import {
  lockSock,
  releaseSock,
  skAcceptqAdded,
  skDstReset,
  sockHold,
  sockOrphan,
  sockPut,
  sockRcvtimeo,
  sockSetFlag,
} from '#net/core/sock.ts';
import { skCloneLock } from '#net/core/sock_clone.ts';
import { reuseportMigrateSock } from '#net/core/sock_reuseport.ts';
import { inetCskDestroySock, tcpOrphanCountAdd } from '#net/ipv4/inet_connection_sock_destroy.ts';
import { inetCskDelackInit } from '#net/ipv4/inet_connection_sock_timer.ts';
import { inetEhashInsert } from '#net/ipv4/inet_hashtables.ts';
import { ehashDel, tcpGetHashinfo } from '#net/ipv4/inet_hashtables_bind.ts';
import { tcpRtxSynack } from '#net/ipv4/tcp_output_ctl.ts';
import { inetSkStateStore } from '#net/ipv4/tcp_state.ts';
import { EADDRINUSE, EAGAIN, EINVAL } from '#uapi/errno.ts';
import { O_NONBLOCK } from '#uapi/fcntl.ts';
import { POLLIN, POLLRDNORM } from '#uapi/poll.ts';
import { LINUX_MIB_TCPMIGRATEREQFAILURE, LINUX_MIB_TCPMIGRATEREQSUCCESS } from '#uapi/snmp.ts';
import { TCP_CLOSE, TCP_LISTEN, TCP_SYN_RECV } from '#uapi/tcp.ts';

// ---- Listening ---------------------------------------------------------------------------------

/** @kernel reqsk_queue_alloc net/core/request_sock.c */
function reqskQueueAlloc(sk: Sock): void {
  const queue = inetCsk(sk).icskAcceptQueue;
  queue.synflood = 0;
  queue.qlen = 0;
  queue.young = 0;
  queue.acceptHead = null;
  queue.acceptTail = null;
  queue.fastopenqQlen = 0;
  queue.fastopenqRstHead = null;
  queue.fastopenqRstTail = null;
}

/** 0, or -EADDRINUSE when the port was taken since bind(). @kernel inet_csk_listen_start net/ipv4/inet_connection_sock.c */
export function inetCskListenStart(sk: Sock): number {
  const inet = inetSk(sk);
  reqskQueueAlloc(sk);
  sk.skAckBacklog = 0;
  inetCskDelackInit(sk);
  // Listening before getting the port: two listeners that race both see the other.
  inetSkStateStore(sk, TCP_LISTEN);
  let err = sk.skProt.getPort?.(sk, inet.skcNum) ?? -EADDRINUSE;
  if (err === 0) {
    inet.inetSport = inet.skcNum;
    skDstReset(sk);
    err = sk.skProt.hash?.(sk) ?? 0;
    if (err === 0) return 0;
  }
  inetSkStateStore(sk, TCP_CLOSE);
  return err < 0 ? err : -EADDRINUSE;
}

/**
 * The same request for another listener, of which it takes over the caller's reference.
 * @kernel inet_reqsk_clone net/ipv4/inet_connection_sock.c
 */
function inetReqskClone(req: RequestSock, nsk: Sock): RequestSock {
  const nreq = new RequestSock(req.net, req.skcFamily, req.rskOps, null);
  reqskInit(nreq, nsk);
  sockPut(nsk);
  Object.assign(nreq, req, {
    hashed: false,
    skcNext: null,
    skcPrev: null,
    refcnt: 0,
    rskTimer: null,
    rskListener: nsk,
    dlNext: null,
  });
  if (req.tfoListener && req.sk !== null) tcpSk(req.sk).fastopenRsk = nreq;
  return nreq;
}

/** Both have the same; who is freed shall not free it. @kernel reqsk_migrate_reset net/ipv4/inet_connection_sock.c */
function reqskMigrateReset(req: RequestSock): void {
  req.savedSyn = null;
  req.iropt = null;
}

/**
 * Puts a child under another listener, to which `nsk` is a reference: into its accept queue. False: that
 * has closed too, and the child is gone.
 */
function inetChildMigrate(req: RequestSock, nsk: Sock, child: Sock): boolean {
  const nreq = inetReqskClone(req, nsk);
  nreq.refcnt = 1;
  if (inetCskReqskQueueAdd(nsk, nreq, child) !== null) {
    netIncStats(nsk.net, LINUX_MIB_TCPMIGRATEREQSUCCESS);
    reqskMigrateReset(req);
    return true;
  }
  netIncStats(nsk.net, LINUX_MIB_TCPMIGRATEREQFAILURE);
  reqskMigrateReset(nreq);
  reqskFree(nreq);
  return false;
}

/** A child that nobody accepted: resets it. @kernel inet_child_forget net/ipv4/inet_connection_sock.c */
function inetChildForget(sk: Sock, req: RequestSock, child: Sock): void {
  sk.skProt.disconnect?.(child, O_NONBLOCK);
  sockOrphan(child);
  tcpOrphanCountAdd(sk, 1);
  if (req.tfoListener) {
    bugOn(tcpSk(child).fastopenRsk !== req, 'fastopen-rsk', 'child of another request');
    tcpSk(child).fastopenRsk = null;
  }
  inetCskDestroySock(child);
}

/** The listener closes: what is in its accept queue moves to another of its group, or goes. @kernel inet_csk_listen_stop net/ipv4/inet_connection_sock.c */
export function inetCskListenStop(sk: Sock): void {
  const queue = inetCsk(sk).icskAcceptQueue;
  const { machine } = sk.net;
  for (let req = reqskQueueRemove(queue, sk); req !== null; req = reqskQueueRemove(queue, sk)) {
    const child = req.sk as Sock;
    localBhDisable(machine);
    sockHold(child);
    if (DEBUG) bugOn(child.skLockOwned, 'listen-stop', 'an unaccepted child has an owner');
    const nsk = reuseportMigrateSock(sk, child);
    if (nsk === null) inetChildForget(sk, req, child);
    else if (inetChildMigrate(req, nsk, child)) nsk.skDataReady(nsk);
    reqskPut(req);
    localBhEnable(machine);
    sockPut(child);
  }
  reqskFastopenPurge(queue);
}

/** @kernel inet_csk_listen_poll include/net/inet_connection_sock.h */
export function inetCskListenPoll(sk: Sock): number {
  return reqskQueueEmpty(inetCsk(sk).icskAcceptQueue) ? 0 : POLLIN | POLLRDNORM;
}

/**
 * The oldest child, which the caller grafts onto a socket; or -EAGAIN, -EINVAL.
 * @kernel inet_csk_accept net/ipv4/inet_connection_sock.c
 */
export function inetCskAccept(sk: Sock, flags: number): Sock | number {
  lockSock(sk);
  const queue = inetCsk(sk).icskAcceptQueue;
  if (sk.skcState !== TCP_LISTEN) {
    releaseSock(sk);
    return -EINVAL;
  }
  const req = reqskQueueRemove(queue, sk);
  if (req === null) {
    // Where Linux sleeps, the caller's program waits with poll.
    sockRcvtimeo(sk, (flags & O_NONBLOCK) !== 0);
    releaseSock(sk);
    return -EAGAIN;
  }
  const newsk = req.sk as Sock;
  const keep = req.tfoListener;
  // A Fast Open request lives until the handshake ends; taking its sk says that the child is taken.
  if (keep) req.sk = null;
  releaseSock(sk);
  if (!keep) reqskPut(req);
  return newsk;
}

// ---- Requests ----------------------------------------------------------------------------------

/** Requests that wait for the last ACK. @kernel inet_csk_reqsk_queue_len include/net/inet_connection_sock.h */
export function inetCskReqskQueueLen(sk: Sock): number {
  return reqskQueueLen(inetCsk(sk).icskAcceptQueue);
}

/** @kernel inet_csk_reqsk_queue_is_full include/net/inet_connection_sock.h */
export function inetCskReqskQueueIsFull(sk: Sock): boolean {
  return inetCskReqskQueueLen(sk) > sk.skMaxAckBacklog;
}

/**
 * Time to the next SYN-ACK. TCP_RTO_MAX_MS and its sysctl are for connections, not for requests.
 * @kernel tcp_reqsk_timeout include/net/tcp.h
 */
export function tcpReqskTimeout(req: RequestSock): number {
  return Math.min(req.timeout * 2 ** Math.min(req.numTimeout, 30), TCP_RTO_MAX);
}

/** Taken from the table by this call? @kernel reqsk_queue_unlink net/ipv4/inet_connection_sock.c */
function reqskQueueUnlink(req: RequestSock): boolean {
  return ehashDel(tcpGetHashinfo(req.net), req);
}

/** @kernel __inet_csk_reqsk_queue_drop net/ipv4/inet_connection_sock.c */
function __inetCskReqskQueueDrop(sk: Sock, req: RequestSock, fromTimer: boolean): boolean {
  const unlinked = reqskQueueUnlink(req);
  if (!fromTimer && req.rskTimer !== null && timerDelete(req.rskTimer)) reqskPut(req);
  if (unlinked) {
    reqskQueueRemoved(inetCsk(sk).icskAcceptQueue, req);
    reqskPut(req);
  }
  return unlinked;
}

/** Forgets a request. @kernel inet_csk_reqsk_queue_drop net/ipv4/inet_connection_sock.c */
export function inetCskReqskQueueDrop(sk: Sock, req: RequestSock): boolean {
  return __inetCskReqskQueueDrop(sk, req, false);
}

/** And gives the caller's reference back. @kernel inet_csk_reqsk_queue_drop_and_put net/ipv4/inet_connection_sock.c */
export function inetCskReqskQueueDropAndPut(sk: Sock, req: RequestSock): void {
  inetCskReqskQueueDrop(sk, req);
  reqskPut(req);
}

/** SYN-ACKs to send before giving up, fewer when old requests fill the queue. */
function maxSynackRetries(listener: Sock): number {
  const icsk = inetCsk(listener);
  const queue = icsk.icskAcceptQueue;
  let max =
    icsk.icskSynRetries !== 0 ? icsk.icskSynRetries : listener.net.ipv4.sysctlTcpSynackRetries;
  const qlen = reqskQueueLen(queue);
  if (qlen << 1 > Math.max(8, listener.skMaxAckBacklog)) {
    // Half of the room belongs to young requests: the older the rest, the sooner it goes.
    let young = reqskQueueLenYoung(queue) << 1;
    while (max > 2 && qlen >= young) {
      max--;
      young <<= 1;
    }
  }
  return max;
}

/** Whether the request goes on, and if so repeats the SYN-ACK when that is due. */
function reqskGoesOn(listener: Sock, req: RequestSock): boolean {
  const queue = inetCsk(listener).icskAcceptQueue;
  const max = maxSynackRetries(listener);
  const defer = queue.rskqDeferAccept;
  let expire = req.numTimeout >= max;
  let resend = true;
  if (defer !== 0) {
    // The handshake is done but for the data we wait for: no SYN-ACK until near the end.
    expire = expire && (!req.acked || req.numTimeout >= defer);
    resend = !req.acked || req.numTimeout >= defer - 1;
  }
  req.rskOps.synAckTimeout(req);
  if (expire || (resend && tcpRtxSynack(listener, req) !== 0 && !req.acked)) return false;
  tcpAccecnAceFailSendSetRetrans(req);
  if (req.numTimeout++ === 0) queue.young--;
  return true;
}

function reqskArmTimer(req: RequestSock): void {
  const { machine } = req.net;
  req.rskTimer ??= new TimerList<RequestSock>(machine, req, reqskTimerHandler);
  modTimer(req.rskTimer, (machine.jiffies + tcpReqskTimeout(req)) | 0);
}

/** The request's listener has closed: another of its group goes on with it. False: it ends. @kernel reqsk_timer_handler net/ipv4/inet_connection_sock.c */
function reqskMigrate(oreq: RequestSock): boolean {
  const listener = oreq.rskListener as Sock;
  const nsk = reuseportMigrateSock(listener, oreq);
  if (nsk === null) return false;
  const nreq = inetReqskClone(oreq, nsk);
  const queue = inetCsk(nsk).icskAcceptQueue;
  // Table and timer.
  nreq.refcnt = 2;
  reqskQueueMigrated(queue, oreq);
  if (reqskGoesOn(nsk, nreq) && inetEhashInsert(nreq, oreq, false) === null) {
    reqskArmTimer(nreq);
    netIncStats(nsk.net, LINUX_MIB_TCPMIGRATEREQSUCCESS);
    reqskMigrateReset(oreq);
    reqskQueueRemoved(inetCsk(listener).icskAcceptQueue, oreq);
    // The timer's; the table's went with its place.
    reqskPut(oreq);
    return true;
  }
  netIncStats(nsk.net, LINUX_MIB_TCPMIGRATEREQFAILURE);
  reqskMigrateReset(nreq);
  reqskQueueRemoved(queue, nreq);
  reqskFree(nreq);
  return false;
}

/** The SYN-ACK's timer. @kernel reqsk_timer_handler net/ipv4/inet_connection_sock.c */
export function reqskTimerHandler(req: RequestSock): void {
  const listener = req.rskListener as Sock;
  if (listener.skcState !== TCP_LISTEN) {
    if (reqskMigrate(req)) return;
  } else if (reqskGoesOn(listener, req)) {
    reqskArmTimer(req);
    return;
  }
  __inetCskReqskQueueDrop(listener, req, true);
  reqskPut(req);
}

/**
 * Enters a request into the table and starts its timer. Three references: table, timer, caller.
 * False: there is an equal one already.
 * @kernel inet_csk_reqsk_queue_hash_add net/ipv4/inet_connection_sock.c
 */
export function inetCskReqskQueueHashAdd(sk: Sock, req: RequestSock): boolean {
  req.skcRcvSaddr = req.irLocAddr;
  req.skcNum = req.irNum;
  req.skcDaddr = req.irRmtAddr;
  req.skcDport = req.irRmtPort;
  const found = inetEhashInsert(req, null, true);
  if (found !== null) {
    found.refcnt--;
    return false;
  }
  const { machine } = req.net;
  req.rskTimer ??= new TimerList<RequestSock>(machine, req, reqskTimerHandler);
  modTimer(req.rskTimer, (machine.jiffies + req.timeout) | 0);
  req.refcnt = 3;
  reqskQueueAdded(inetCsk(sk).icskAcceptQueue);
  return true;
}

// ---- Children ----------------------------------------------------------------------------------

/** Puts a child into the accept queue; null: the listener has closed. @kernel inet_csk_reqsk_queue_add net/ipv4/inet_connection_sock.c */
export function inetCskReqskQueueAdd(sk: Sock, req: RequestSock, child: Sock): Sock | null {
  const queue = inetCsk(sk).icskAcceptQueue;
  if (sk.skcState !== TCP_LISTEN) {
    inetChildForget(sk, req, child);
    return null;
  }
  req.sk = child;
  req.dlNext = null;
  if (queue.acceptTail === null) queue.acceptHead = req;
  else queue.acceptTail.dlNext = req;
  queue.acceptTail = req;
  skAcceptqAdded(sk);
  return child;
}

/** The child takes the request's place. Null: it could not. @kernel inet_csk_complete_hashdance net/ipv4/inet_connection_sock.c */
export function inetCskCompleteHashdance(
  sk: Sock,
  child: Sock,
  req: RequestSock,
  ownReq: boolean,
): Sock | null {
  if (ownReq) {
    const listener = req.rskListener as Sock;
    inetCskReqskQueueDrop(listener, req);
    reqskQueueRemoved(inetCsk(listener).icskAcceptQueue, req);
    if (sk === listener) {
      if (inetCskReqskQueueAdd(sk, req, child) !== null) return child;
    } else {
      // Its listener has closed, and the caller has chosen another.
      sockHold(sk);
      if (inetChildMigrate(req, sk, child)) {
        reqskPut(req);
        return child;
      }
    }
  }
  sockPut(child);
  return null;
}

/**
 * A copy of the listener for `req`; null: no memory.
 * @kernel inet_csk_clone_lock net/ipv4/inet_connection_sock.c
 */
export function inetCskCloneLock(sk: Sock, req: RequestSock): Sock | null {
  const newsk = skCloneLock(sk);
  if (newsk === null) return null;
  const newicsk = inetCsk(newsk);
  inetSkStateStore(newsk, TCP_SYN_RECV);
  newicsk.icskBindHash = null;
  newicsk.skcDport = req.irRmtPort;
  newicsk.skcNum = req.irNum;
  newicsk.inetSport = req.irNum;
  newsk.skMark = req.irMark;
  newsk.skCookie = newsk.net.machine.netGlobals.sockCookies.get(req) ?? 0;
  newicsk.icskRetransmits = 0;
  newicsk.icskBackoff = 0;
  newicsk.icskProbesOut = 0;
  newicsk.icskProbesTstamp = 0;
  newicsk.icskPending = 0;
  newicsk.icskTimeout = 0;
  newicsk.icskUlpData = null;
  newicsk.icskCaPriv = null;
  newicsk.mcIndex = 0;
  newicsk.mcList = null;
  tcpSk(newsk).rxOpt.userMss = tcpSk(sk).rxOpt.userMss;
  newsk.skAckBacklog = 0;
  return newsk;
}

/** A child that will never be accepted: makes it ready for tcp_done(). @kernel inet_csk_prepare_forced_close net/ipv4/inet_connection_sock.c */
export function inetCskPrepareForcedClose(sk: Sock): void {
  sockPut(sk);
  inetCskPrepareForDestroySock(sk);
  inetSk(sk).skcNum = 0;
}

/** @kernel inet_csk_prepare_for_destroy_sock include/net/inet_connection_sock.h */
export function inetCskPrepareForDestroySock(sk: Sock): void {
  sockSetFlag(sk, SOCK_DEAD);
  tcpOrphanCountAdd(sk, 1);
}
