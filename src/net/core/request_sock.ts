/**
 * Requests for connections and the queue in which their children wait for accept().
 * Counterpart of net/core/request_sock.c and include/net/request_sock.h.
 */
import {
  inetCsk,
  type RequestSock,
  type RequestSockQueue,
} from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import { tcpSk } from '#include/net/tcp.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { HZ } from '#kernel/param.ts';
import { timerPending } from '#kernel/time/timer.ts';
import { skAcceptqRemoved, sockPut } from '#net/core/sock.ts';
import { resetRequestSock } from '#net/core/sock_reset_fields.ts';
import { AF_UNSPEC } from '#uapi/socket.ts';
import { TCP_LISTEN } from '#uapi/tcp.ts';

/** How long a Fast Open request that was reset counts against its listener's limit. */
const FASTOPEN_RST_JIFFIES = 60 * HZ;

/** Counts a new request of `listener`, which it holds. @kernel reqsk_alloc include/net/request_sock.h */
export function reqskInit(req: RequestSock, listener: Sock | null): void {
  req.refcnt = 0;
  req.net.machine.live.requests++;
  if (listener !== null) listener.refcnt++;
  req.rskListener = listener;
}

/** @kernel reqsk_free include/net/request_sock.h */
export function reqskFree(req: RequestSock): void {
  if (DEBUG && req.rskTimer !== null && timerPending(req.rskTimer)) {
    throw new KernelBug('reqsk-free', 'its timer is still armed');
  }
  req.rskOps.destructor(req);
  if (req.rskListener !== null) {
    sockPut(req.rskListener);
    req.rskListener = null;
  }
  const { machine } = req.net;
  machine.live.requests--;
  const { reqskSlab, sockCookies } = machine.netGlobals;
  if (!reqskSlab.hasRoom()) return;
  sockCookies.delete(req);
  resetRequestSock(req, machine.initNet, AF_UNSPEC, req.rskOps);
  reqskSlab.put(req);
}

/** @kernel reqsk_put include/net/request_sock.h */
export function reqskPut(req: RequestSock): void {
  if (--req.refcnt === 0) reqskFree(req);
}

/** @kernel reqsk_queue_empty include/net/request_sock.h */
export function reqskQueueEmpty(queue: RequestSockQueue): boolean {
  return queue.acceptHead === null;
}

/** Takes the oldest child. @kernel reqsk_queue_remove include/net/request_sock.h */
export function reqskQueueRemove(queue: RequestSockQueue, parent: Sock): RequestSock | null {
  const req = queue.acceptHead;
  if (req === null) return null;
  skAcceptqRemoved(parent);
  queue.acceptHead = req.dlNext;
  if (queue.acceptHead === null) queue.acceptTail = null;
  req.dlNext = null;
  return req;
}

/** @kernel reqsk_queue_removed include/net/request_sock.h */
export function reqskQueueRemoved(queue: RequestSockQueue, req: RequestSock): void {
  if (req.numTimeout === 0) queue.young--;
  queue.qlen--;
}

/** @kernel reqsk_queue_added include/net/request_sock.h */
export function reqskQueueAdded(queue: RequestSockQueue): void {
  queue.young++;
  queue.qlen++;
}

/** A request of another listener's. @kernel reqsk_queue_migrated include/net/request_sock.h */
export function reqskQueueMigrated(queue: RequestSockQueue, req: RequestSock): void {
  if (req.numTimeout === 0) queue.young++;
  queue.qlen++;
}

/** @kernel reqsk_queue_len include/net/request_sock.h */
export function reqskQueueLen(queue: RequestSockQueue): number {
  return queue.qlen;
}

/** Requests whose SYN-ACK was sent once only. @kernel reqsk_queue_len_young include/net/request_sock.h */
export function reqskQueueLenYoung(queue: RequestSockQueue): number {
  return queue.young;
}

/**
 * The handshake of the Fast Open child `sk` is over: with its ACK, or with an end. Gives back the
 * child's reference to `req` unless the accept queue has it. `reset`: by the peer; then the request
 * stays a minute to bound floods of SYNs from forged sources, whose owners answer with resets.
 * @kernel reqsk_fastopen_remove net/core/request_sock.c
 */
export function reqskFastopenRemove(sk: Sock, req: RequestSock, reset: boolean): void {
  const listener = req.rskListener as Sock;
  const queue = inetCsk(listener).icskAcceptQueue;
  tcpSk(sk).fastopenRsk = null;
  queue.fastopenqQlen--;
  req.tfoListener = false;
  // Not accepted yet: accept() will free it.
  if (req.sk !== null) return;
  if (!reset || listener.skcState !== TCP_LISTEN) {
    reqskPut(req);
    return;
  }
  req.fastopenExpires = (sk.net.machine.jiffies + FASTOPEN_RST_JIFFIES) | 0;
  req.dlNext = null;
  if (queue.fastopenqRstHead === null) queue.fastopenqRstHead = req;
  else (queue.fastopenqRstTail as RequestSock).dlNext = req;
  queue.fastopenqRstTail = req;
  queue.fastopenqQlen++;
}

/** The listener closes: frees the requests kept after resets. @kernel inet_csk_listen_stop net/ipv4/inet_connection_sock.c */
export function reqskFastopenPurge(queue: RequestSockQueue): void {
  let req = queue.fastopenqRstHead;
  queue.fastopenqRstHead = null;
  queue.fastopenqRstTail = null;
  while (req !== null) {
    const next = req.dlNext;
    req.dlNext = null;
    queue.fastopenqQlen--;
    reqskPut(req);
    req = next;
  }
}
