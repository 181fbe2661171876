/**
 * Requests for connections and the queue in which their children wait for accept().
 * Counterpart of net/core/request_sock.c and include/net/request_sock.h.
 */
import type { RequestSock, RequestSockQueue } from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { timerPending } from '#kernel/time/timer.ts';
import { skAcceptqRemoved, sockPut } from '#net/core/sock.ts';

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
  req.savedSyn = null;
  req.net.machine.live.requests--;
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

/** @kernel reqsk_queue_len include/net/request_sock.h */
export function reqskQueueLen(queue: RequestSockQueue): number {
  return queue.qlen;
}

/** Requests whose SYN-ACK was sent once only. @kernel reqsk_queue_len_young include/net/request_sock.h */
export function reqskQueueLenYoung(queue: RequestSockQueue): number {
  return queue.young;
}
