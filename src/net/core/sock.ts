/**
 * Generic support for sockets: life, lock and backlog, queues, callbacks.
 *
 * Counterpart of net/core/sock.c and the inlines of include/net/sock.h. Memory accounting is in
 * sock_mem.ts, the SOL_SOCKET options in sock_options.ts.
 *
 * Context rules, as in Linux: a task takes the lock with lockSock(), which sets `skLockOwned`. A
 * soft interrupt that finds it set puts its packet on the backlog, and releaseSock() works it off.
 */

import { skbExtErr } from '#include/linux/errqueue.ts';
import { SOCK_NOSPACE, SOCKWQ_ASYNC_WAITDATA, type Socket } from '#include/linux/net.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { skbOrphan } from '#include/linux/skbuff.ts';
import { __skbDequeue, __skbQueueTail } from '#include/linux/skbuff_queue.ts';
import type { DstEntry } from '#include/net/dst.ts';
import { dstRelease, skbDstForce } from '#include/net/dst.ts';
import type { Net } from '#include/net/net_namespace.ts';
import {
  type Proto,
  SOCK_DEAD,
  SOCK_TIMESTAMP,
  SOCK_TIMESTAMPING_RX_SOFTWARE,
  SOCK_USE_WRITE_QUEUE,
  SOCK_ZAPPED,
  type Sock,
  type SockCallbacks,
} from '#include/net/sock.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { inInterrupt } from '#kernel/cpu.ts';
import { lockAcquire, lockRelease, mightSleep } from '#kernel/lockdep.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import type { TimerList } from '#kernel/time/timer.ts';
import { modTimer, timerDelete } from '#kernel/time/timer.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { wakeUp, wqHasSleeper } from '#kernel/wait.ts';
import { skFilterReason } from '#net/core/filter_sock.ts';
import { getNet, putNet } from '#net/core/net_namespace.ts';
import { __skbQueuePurge, kfreeSkb } from '#net/core/skbuff.ts';
import { pageFragDrain, skMemCharge, skMemUncharge, skRmemSchedule } from '#net/core/sock_mem.ts';
import { reuseportDetachSock } from '#net/core/sock_reuseport.ts';
import { EAGAIN, ENOBUFS, ENOMEM, EPERM } from '#uapi/errno.ts';
import { SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6 } from '#uapi/errqueue.ts';
import { PACKET_OUTGOING } from '#uapi/if_packet.ts';
import {
  SKB_DROP_REASON_PROTO_MEM,
  SKB_DROP_REASON_SOCKET_FILTER,
  SKB_DROP_REASON_SOCKET_RCVBUFF,
  SKB_NOT_DROPPED_YET,
} from '#uapi/net_dropreason.ts';
import {
  POLLERR,
  POLLIN,
  POLLOUT,
  POLLPRI,
  POLLRDBAND,
  POLLRDNORM,
  POLLWRBAND,
  POLLWRNORM,
} from '#uapi/poll.ts';
import { AF_INET } from '#uapi/socket.ts';

/** @kernel sock_flag include/net/sock.h */
export function sockFlag(sk: Sock, flag: number): boolean {
  return (sk.skFlags & (1 << flag)) !== 0;
}

/** @kernel sock_set_flag include/net/sock.h */
export function sockSetFlag(sk: Sock, flag: number): void {
  sk.skFlags |= 1 << flag;
}

/** @kernel sock_reset_flag include/net/sock.h */
export function sockResetFlag(sk: Sock, flag: number): void {
  sk.skFlags &= ~(1 << flag);
}

/** @kernel sock_valbool_flag include/net/sock.h */
export function sockValboolFlag(sk: Sock, flag: number, on: boolean): void {
  if (on) sockSetFlag(sk, flag);
  else sockResetFlag(sk, flag);
}

/** What a listener's child inherits of the flags. @kernel sock_copy_flags include/net/sock.h */
export function sockCopyFlags(nsk: Sock, osk: Sock): void {
  nsk.skFlags = osk.skFlags;
}

/** @kernel sock_hold include/net/sock.h */
export function sockHold(sk: Sock): void {
  sk.refcnt++;
}

/** @kernel __sock_put include/net/sock.h */
export function __sockPut(sk: Sock): void {
  sk.refcnt--;
}

/** Gives a reference back; the last one frees the socket. @kernel sock_put include/net/sock.h */
export function sockPut(sk: Sock): void {
  if (--sk.refcnt === 0) skFree(sk);
  else if (DEBUG && sk.refcnt < 0)
    throw new KernelBug('sock-refcount', `${sk.skProt.name} below 0`);
}

/**
 * Makes a socket of protocol `prot`. A user's socket holds its namespace; the kernel's own
 * (`kern`) do not, or no namespace could ever end.
 * @kernel sk_alloc net/core/sock.c
 */
export function skAlloc(net: Net, family: number, prot: Proto, kern = false): Sock {
  const sk = prot.alloc(net, family, prot);
  sk.skMemory = prot.memory(net);
  net.machine.live.socks++;
  if (!kern) {
    sk.skNetRefcnt = true;
    getNet(net);
    net.sockInuse++;
  }
  return sk;
}

/** @kernel sk_destruct net/core/sock.c */
function skDestruct(sk: Sock): void {
  if (sk.skNetRefcnt) sk.net.machine.netGlobals.sockDiagBroadcastDestroy?.(sk);
  sk.skDestruct(sk);
  if (sk.skReuseportCb !== null) reuseportDetachSock(sk);
  const filter = sk.skFilter;
  if (filter !== null) {
    sk.skOmemAlloc -= filter.size;
    sk.skFilter = null;
  }
  if (sk.skFrag !== null) pageFragDrain(sk.skFrag);
  sockDisableTimestamp(sk, SOCK_TIMESTAMP);
  sockDisableTimestamp(sk, SOCK_TIMESTAMPING_RX_SOFTWARE);
  if (DEBUG) skDestructCheck(sk);
  sk.net.machine.live.socks--;
  if (sk.skNetRefcnt) {
    sk.net.sockInuse--;
    putNet(sk.net);
  }
  sk.skProt.free?.(sk);
}

/** From now on received packets are stamped. @kernel sock_enable_timestamp net/core/sock.c */
export function sockEnableTimestamp(sk: Sock, flag: number): void {
  if (sockFlag(sk, flag)) return;
  const had = sockFlag(sk, SOCK_TIMESTAMP) || sockFlag(sk, SOCK_TIMESTAMPING_RX_SOFTWARE);
  sockSetFlag(sk, flag);
  if (!had) sk.net.machine.netGlobals.netstampNeeded++;
}

/** @kernel sock_disable_timestamp net/core/sock.c */
export function sockDisableTimestamp(sk: Sock, flag: number): void {
  if (!sockFlag(sk, flag)) return;
  sockResetFlag(sk, flag);
  if (!sockFlag(sk, SOCK_TIMESTAMP) && !sockFlag(sk, SOCK_TIMESTAMPING_RX_SOFTWARE)) {
    sk.net.machine.netGlobals.netstampNeeded--;
  }
}

/** A socket ends with empty queues and no memory: what inet_sock_destruct() warns of in Linux. */
function skDestructCheck(sk: Sock): void {
  const held: string[] = [];
  if (sk.skReceiveQueue.qlen !== 0) held.push(`receive queue ${sk.skReceiveQueue.qlen}`);
  if (!sk.skErrorQueueEmpty) held.push(`error queue ${sk.skErrorQueue.qlen}`);
  if (sk.skBacklogTail !== null) held.push('backlog');
  if (sk.skRmemAlloc !== 0) held.push(`rmem ${sk.skRmemAlloc}`);
  if (sk.skWmemQueued !== 0) held.push(`wmem queued ${sk.skWmemQueued}`);
  if (sk.skOmemAlloc !== 0) held.push(`omem ${sk.skOmemAlloc}`);
  if (held.length > 0)
    throw new KernelBug('sock-destruct', `${sk.skProt.name}: ${held.join(', ')}`);
}

/**
 * Frees the socket once the packets it sent are gone too.
 * @kernel sk_free net/core/sock.c
 */
export function skFree(sk: Sock): void {
  if (--sk.skWmemAlloc === 0) skDestruct(sk);
}

/** Default destructor: nothing but the queues. @kernel sock_def_destruct net/core/sock.c */
export function sockDefDestruct(_sk: Sock): void {}

/** @kernel sk_has_allocations include/net/sock.h */
export function skHasAllocations(sk: Sock): boolean {
  return sk.skWmemAlloc - 1 > 0 || sk.skRmemAlloc > 0;
}

/** @kernel sock_def_wakeup net/core/sock.c */
function sockDefWakeup(sk: Sock): void {
  const wq = sk.skWq;
  if (wq !== null && wqHasSleeper(wq)) {
    wakeUp(wq, 0);
  }
}

/** @kernel sock_def_error_report net/core/sock.c */
function sockDefErrorReport(sk: Sock): void {
  const wq = sk.skWq;
  if (wq !== null && wqHasSleeper(wq)) wakeUp(wq, POLLERR);
}

/** Tells who waits, and tracers, that an error is pending. @kernel sk_error_report net/core/sock.c */
export function skErrorReport(sk: Sock): void {
  sk.skErrorReport(sk);
  if (sk.skcFamily !== AF_INET) return;
  if (tracepointKey.enabled) sk.net.machine.trace.sock.inetSkErrorReport.probe?.(sk);
}

/** Tells readers that data has come. @kernel sock_def_readable net/core/sock.c */
export function sockDefReadable(sk: Sock): void {
  if (tracepointKey.enabled) sk.net.machine.trace.sock.skDataReady.probe?.(sk);
  const wq = sk.skWq;
  if (wq !== null && wqHasSleeper(wq)) {
    wakeUp(wq, POLLIN | POLLPRI | POLLRDNORM | POLLRDBAND);
  }
}

/** Tells writers that there is room: at least half of the buffer. @kernel sock_def_write_space net/core/sock.c */
function sockDefWriteSpace(sk: Sock): void {
  if ((sk.skWmemAlloc - 1) * 2 > sk.skSndbuf) return;
  const wq = sk.skWq;
  if (wq !== null && wqHasSleeper(wq)) wakeUp(wq, POLLOUT | POLLWRNORM | POLLWRBAND);
}

/** Callbacks of a fresh socket, shared by all protocols. */
export const sockDefCallbacks: SockCallbacks = {
  stateChange: sockDefWakeup,
  dataReady: sockDefReadable,
  writeSpace: sockDefWriteSpace,
  errorReport: sockDefErrorReport,
  destruct: sockDefDestruct,
};

/**
 * Sets what the constructor cannot know: buffers from the sysctls, the socket and its wait queue.
 * @kernel sock_init_data net/core/sock.c
 */
export function sockInitData(sock: Socket | null, sk: Sock): void {
  const net = sk.net;
  sk.skRcvbuf = net.sysctlRmemDefault;
  sk.skSndbuf = net.sysctlWmemDefault;
  sk.skLlUsec = net.machine.netGlobals.sysctlNetBusyRead;
  sockSetFlag(sk, SOCK_ZAPPED);
  if (sock !== null) {
    sk.skType = sock.type;
    sk.skWq = sock.wq;
    sock.sk = sk;
    skSetSocket(sk, sock);
  }
}

/** @kernel sk_set_socket include/net/sock.h */
export function skSetSocket(sk: Sock, sock: Socket | null): void {
  sk.skSocket = sock;
  if (sock !== null) sk.skIno = sock.ino;
}

/** Detaches the sock from its file: nobody will read it any more. @kernel sock_orphan include/net/sock.h */
export function sockOrphan(sk: Sock): void {
  sockSetFlag(sk, SOCK_DEAD);
  skSetSocket(sk, null);
  sk.skWq = null;
}

/** Joins an accepted sock with its socket. @kernel sock_graft include/net/sock.h */
export function sockGraft(sk: Sock, parent: Socket): void {
  if (DEBUG && parent.sk !== null)
    throw new KernelBug('sock-graft', 'the socket has a sock already');
  sk.skWq = parent.wq;
  parent.sk = sk;
  skSetSocket(sk, parent);
}

/** @kernel sk_common_release net/core/sock.c */
export function skCommonRelease(sk: Sock): void {
  sk.skProt.destroy?.(sk);
  // Taken off the tables first, so that no packet finds the socket while its queues are emptied.
  sk.skProt.unhash?.(sk);
  sockOrphan(sk);
  skDstReset(sk);
  sockPut(sk);
}

// The lock.

/** @kernel sock_owned_by_user include/net/sock.h */
export function sockOwnedByUser(sk: Sock): boolean {
  return sk.skLockOwned;
}

/**
 * The caller is about to change the socket, so it must be his: a task has to hold its lock, and a soft
 * interrupt must leave it alone while one does. For debug builds.
 * @kernel sock_owned_by_me include/net/sock.h
 */
export function sockOwnedByMe(sk: Sock, where: string): void {
  const { cpu } = sk.net.machine;
  const name = sk.skProt.name;
  if (cpu.servingSoftirq > 0) {
    if (sk.skLockOwned) {
      throw new KernelBug(
        'sock-lock',
        `${where}: a task holds the ${name} socket; use the backlog`,
      );
    }
  } else if (!sk.skLockOwned && !inInterrupt(cpu)) {
    throw new KernelBug('sock-lock', `${where}: the ${name} socket is not locked`);
  }
}

/**
 * Takes the socket for a task. Softirqs that run meanwhile leave their packets on the backlog.
 * @kernel lock_sock include/net/sock.h
 */
export function lockSock(sk: Sock): void {
  if (DEBUG) {
    mightSleep(sk.net.machine, 'lock_sock');
    lockAcquire(sk.net.machine, 'sk_lock');
    if (sk.skLockOwned) throw new KernelBug('sock-lock', 'lock_sock: the task holds it already');
  }
  sk.skLockOwned = true;
}

/** Gives the socket back: works off the backlog, then what was deferred. @kernel release_sock net/core/sock.c */
export function releaseSock(sk: Sock): void {
  const machine = sk.net.machine;
  localBhDisable(machine);
  if (sk.skBacklogTail !== null) __releaseSock(sk);
  sk.skProt.releaseCb?.(sk);
  sk.skLockOwned = false;
  if (DEBUG) lockRelease(machine, 'sk_lock');
  localBhEnable(machine);
}

/** @kernel __release_sock net/core/sock.c */
export function __releaseSock(sk: Sock): void {
  let skb = sk.skBacklogHead;
  while (skb !== null) {
    sk.skBacklogHead = null;
    sk.skBacklogTail = null;
    while (skb !== null) {
      const next: SkBuff | null = skb.next;
      skb.next = null;
      sk.skBacklogRcv(sk, skb);
      skb = next;
    }
    skb = sk.skBacklogHead;
  }
  // Only now, so that a flood cannot keep the task here for ever.
  sk.skBacklogLen = 0;
}

/** @kernel sk_flush_backlog include/net/sock.h */
export function skFlushBacklog(sk: Sock): boolean {
  if (sk.skBacklogTail === null) return false;
  __releaseSock(sk);
  sk.skProt.releaseCb?.(sk);
  return true;
}

/** @kernel __sk_add_backlog include/net/sock.h */
export function __skAddBacklog(sk: Sock, skb: SkBuff): void {
  // A dst of the receive path is only held until the end of it.
  skbDstForce(skb);
  if (sk.skBacklogTail === null) sk.skBacklogHead = skb;
  else sk.skBacklogTail.next = skb;
  sk.skBacklogTail = skb;
  skb.next = null;
  if (tracepointKey.enabled) skb.machine.trace.packet.socketQueue.probe?.(skb, sk, true);
}

/**
 * Puts a packet on the backlog. -ENOBUFS when `limit` bytes wait there and in the receive queue.
 * @kernel sk_add_backlog include/net/sock.h
 */
export function skAddBacklog(sk: Sock, skb: SkBuff, limit: number): number {
  if (sk.skBacklogLen + sk.skRmemAlloc > limit) return -ENOBUFS;
  __skAddBacklog(sk, skb);
  sk.skBacklogLen += skb.truesize;
  return 0;
}

// Receiving.

/** Charges a received packet to its reader. @kernel skb_set_owner_r include/net/sock.h */
export function skbSetOwnerR(skb: SkBuff, sk: Sock): void {
  skbOrphan(skb);
  skb.sk = sk;
  skb.destructor = sockRfree;
  sk.skRmemAlloc += skb.truesize;
  skMemCharge(sk, skb.truesize);
}

/** @kernel sock_rfree net/core/sock.c */
export function sockRfree(skb: SkBuff): void {
  const sk = skb.sk as Sock;
  sk.skRmemAlloc -= skb.truesize;
  skMemUncharge(sk, skb.truesize);
}

/**
 * Queues a packet that has passed the filter; tells the reader.
 * Returns SKB_NOT_DROPPED_YET or the drop reason; the caller frees.
 * @kernel __sock_queue_rcv_skb net/core/sock.c
 */
export function __sockQueueRcvSkb(sk: Sock, skb: SkBuff): number {
  if (sk.skRmemAlloc >= sk.skRcvbuf) {
    sk.skDrops++;
    if (tracepointKey.enabled) sk.net.machine.trace.sock.sockRcvqueueFull.probe?.(sk, skb);
    return SKB_DROP_REASON_SOCKET_RCVBUFF;
  }
  if (!skRmemSchedule(sk, skb, skb.truesize)) {
    sk.skDrops++;
    return SKB_DROP_REASON_PROTO_MEM;
  }
  skb.dev = null;
  skbSetOwnerR(skb, sk);
  // The dst belongs to the receive path; a queued packet must not hold a device.
  skbDstForce(skb);
  skb.cb0 = sk.skDrops;
  __skbQueueTail(sk.skReceiveQueue, skb);
  if (tracepointKey.enabled) skb.machine.trace.packet.socketQueue.probe?.(skb, sk, false);
  if (!sockFlag(sk, SOCK_DEAD)) sk.skDataReady(sk);
  return SKB_NOT_DROPPED_YET;
}

/** Filter and queue. @kernel sock_queue_rcv_skb_reason net/core/sock.c */
export function sockQueueRcvSkbReason(sk: Sock, skb: SkBuff): number {
  const reason = skFilterReason(sk, skb);
  return reason !== SKB_NOT_DROPPED_YET ? reason : __sockQueueRcvSkb(sk, skb);
}

/** 0, or -EPERM (filter), -ENOMEM (buffer), -ENOBUFS (memory); the caller frees. @kernel sock_queue_rcv_skb include/net/sock.h */
export function sockQueueRcvSkb(sk: Sock, skb: SkBuff): number {
  const reason = sockQueueRcvSkbReason(sk, skb);
  if (reason === SKB_NOT_DROPPED_YET) return 0;
  if (reason === SKB_DROP_REASON_SOCKET_FILTER) return -EPERM;
  return reason === SKB_DROP_REASON_SOCKET_RCVBUFF ? -ENOMEM : -ENOBUFS;
}

/**
 * Puts an ICMP error or a completion on the error queue. @kernel sock_queue_err_skb net/core/skbuff.c
 */
export function sockQueueErrSkb(sk: Sock, skb: SkBuff): number {
  if (sk.skRmemAlloc + skb.truesize >= sk.skRcvbuf) return -ENOMEM;
  skbOrphan(skb);
  skb.sk = sk;
  skb.destructor = sockRmemFree;
  sk.skRmemAlloc += skb.truesize;
  // Marks entries of the error queue for those who read the stamps. @kernel skb_set_err_queue
  skb.pktType = PACKET_OUTGOING;
  skbDstForce(skb);
  __skbQueueTail(sk.skErrorQueue, skb);
  if (!sockFlag(sk, SOCK_DEAD)) skErrorReport(sk);
  return 0;
}

/** @kernel sock_rmem_free net/core/skbuff.c */
function sockRmemFree(skb: SkBuff): void {
  (skb.sk as Sock).skRmemAlloc -= skb.truesize;
}

/** True for errors that a router or the peer reported. @kernel is_icmp_err_skb net/core/skbuff.c */
function isIcmpErrSkb(skb: SkBuff | null): boolean {
  if (skb === null) return false;
  const origin = skbExtErr(skb).eeOrigin;
  return origin === SO_EE_ORIGIN_ICMP || origin === SO_EE_ORIGIN_ICMP6;
}

/**
 * Takes the next entry of the error queue; the ICMP error behind it becomes the pending one.
 * @kernel sock_dequeue_err_skb net/core/skbuff.c
 */
export function sockDequeueErrSkb(sk: Sock): SkBuff | null {
  if (sk.skErrorQueueEmpty) return null;
  const skb = __skbDequeue(sk.skErrorQueue);
  if (skb === null) return null;
  const next = sk.skErrorQueue.next;
  const icmpNext = isIcmpErrSkb(next);
  if (icmpNext && next !== null) sk.skErr = skbExtErr(next).eeErrno;
  else if (isIcmpErrSkb(skb)) sk.skErr = 0;
  if (icmpNext) skErrorReport(sk);
  return skb;
}

/** True while the error queue holds something. @kernel skb_queue_empty_lockless include/linux/skbuff.h */
export function skErrorPending(sk: Sock): boolean {
  return !sk.skErrorQueueEmpty;
}

/** @kernel skb_errqueue_purge net/core/skbuff.c */
export function skErrorQueuePurge(sk: Sock): void {
  if (!sk.skErrorQueueEmpty) __skbQueuePurge(sk.skErrorQueue);
}

/**
 * Delivers a packet to a socket from softirq: backlog or at once.
 * @kernel __sk_receive_skb net/core/sock.c
 */
export function skReceiveSkb(sk: Sock, skb: SkBuff): number {
  const reason = skFilterReason(sk, skb);
  if (reason !== SKB_NOT_DROPPED_YET) {
    kfreeSkb(skb, reason, '__sk_receive_skb');
    return 1;
  }
  if (!sockOwnedByUser(sk)) return sk.skBacklogRcv(sk, skb);
  if (skAddBacklog(sk, skb, sk.skRcvbuf) !== 0) {
    sk.skDrops++;
    kfreeSkb(skb, SKB_DROP_REASON_SOCKET_RCVBUFF, '__sk_receive_skb');
    return 1;
  }
  return 0;
}

// Sending.

/** The flow's hash goes with its packets. @kernel skb_set_hash_from_sk include/net/sock.h */
export function skbSetHashFromSk(skb: SkBuff, sk: Sock): void {
  if (sk.skTxhash === 0) return;
  skb.l4Hash = true;
  skb.hash = sk.skTxhash;
}

/** Charges a packet to its sender. @kernel skb_set_owner_w net/core/sock.c */
export function skbSetOwnerW(skb: SkBuff, sk: Sock): void {
  skbOrphan(skb);
  skb.sk = sk;
  skb.destructor = sockWfree;
  skbSetHashFromSk(skb, sk);
  sk.skWmemAlloc += skb.truesize;
}

/**
 * A packet we sent has left: gives its memory back and wakes writers.
 * @kernel sock_wfree net/core/sock.c
 */
export function sockWfree(skb: SkBuff): void {
  const sk = skb.sk as Sock;
  let len = skb.truesize;
  if (!sockFlag(sk, SOCK_USE_WRITE_QUEUE)) {
    // One unit is kept back, so that the socket cannot go while write_space looks at it.
    sk.skWmemAlloc -= len - 1;
    len = 1;
    sk.skWriteSpace(sk);
  }
  sk.skWmemAlloc -= len;
  if (sk.skWmemAlloc === 0) skDestruct(sk);
}

/** @kernel __sock_wfree net/core/sock.c */
export function __sockWfree(skb: SkBuff): void {
  const sk = skb.sk as Sock;
  sk.skWmemAlloc -= skb.truesize;
  if (sk.skWmemAlloc === 0) skDestruct(sk);
}

/** Bytes in flight of a datagram sender. @kernel sk_wmem_alloc_get include/net/sock.h */
export function skWmemAllocGet(sk: Sock): number {
  return sk.skWmemAlloc - 1;
}

/** @kernel sk_rmem_alloc_get include/net/sock.h */
export function skRmemAllocGet(sk: Sock): number {
  return sk.skRmemAlloc;
}

/** @kernel sock_writeable include/net/sock.h */
export function sockWriteable(sk: Sock): boolean {
  return skWmemAllocGet(sk) < sk.skSndbuf >> 1;
}

/** True where a datagram of any size may be sent now. @kernel sock_alloc_send_pskb net/core/sock.c */
export function sockWmemAvailable(sk: Sock): boolean {
  return skWmemAllocGet(sk) < sk.skSndbuf;
}

/** Says that a sender waits for room, so that write_space wakes it. @kernel sk_set_bit include/net/sock.h */
export function skSetNospace(sk: Sock): void {
  if (sk.skSocket !== null) sk.skSocket.flags |= 1 << SOCK_NOSPACE;
}

/** @kernel sk_set_bit include/net/sock.h */
export function skSetWaitdata(sk: Sock): void {
  if (sk.skSocket !== null) sk.skSocket.flags |= 1 << SOCKWQ_ASYNC_WAITDATA;
}

// Errors.

/** Takes the pending error: 0 or a negative errno. @kernel sock_error include/net/sock.h */
export function sockError(sk: Sock): number {
  const err = sk.skErr;
  if (err === 0) return 0;
  sk.skErr = 0;
  return -err;
}

/** -EAGAIN where the caller would wait: see the rule at `SyscallTable`. @kernel sock_intr_errno include/net/sock.h */
export function sockWouldBlock(): number {
  return -EAGAIN;
}

// Route cache of the socket.

/** @kernel __sk_dst_get include/net/sock.h */
export function __skDstGet(sk: Sock): DstEntry | null {
  return sk.skDstCache;
}

/** The cached route with a reference for the caller, or null. @kernel sk_dst_get include/net/sock.h */
export function skDstGet(sk: Sock): DstEntry | null {
  const dst = sk.skDstCache;
  if (dst !== null) dst.refcnt++;
  return dst;
}

/** Takes over the caller's reference. @kernel __sk_dst_set include/net/sock.h */
export function skDstSet(sk: Sock, dst: DstEntry | null): void {
  sk.skDstPendingConfirm = false;
  // Another route may leave by another device.
  sk.skcTxQueueMapping = -1;
  const old = sk.skDstCache;
  sk.skDstCache = dst;
  if (old !== null) dstRelease(old);
}

/** @kernel __sk_dst_reset include/net/sock.h */
export function skDstReset(sk: Sock): void {
  skDstSet(sk, null);
}

/** The cached route if it is still good; else forgets it. @kernel __sk_dst_check net/core/sock.c */
export function __skDstCheck(sk: Sock, cookie: number): DstEntry | null {
  const dst = sk.skDstCache;
  if (dst === null || dst.obsolete === 0 || dst.ops.check(dst, cookie) !== null) return dst;
  sk.skcTxQueueMapping = -1;
  sk.skDstPendingConfirm = false;
  sk.skDstCache = null;
  dstRelease(dst);
  return null;
}

/** @kernel sk_dst_check net/core/sock.c */
export function skDstCheck(sk: Sock, cookie: number): DstEntry | null {
  const dst = __skDstCheck(sk, cookie);
  if (dst !== null) dst.refcnt++;
  return dst;
}

/** The peer answers: the next packet confirms the neighbour. @kernel sk_dst_confirm include/net/sock.h */
export function skDstConfirm(sk: Sock): void {
  sk.skDstPendingConfirm = true;
}

/** @kernel dst_negative_advice include/net/sock.h */
export function dstNegativeAdvice(sk: Sock): void {
  skRethinkTxhash(sk);
  const dst = sk.skDstCache;
  if (dst !== null) dst.ops.negativeAdvice(sk, dst);
}

/** @kernel sk_set_txhash include/net/sock.h */
export function skSetTxhash(sk: Sock): void {
  sk.skTxhash = sk.net.machine.random.u32() | 1;
}

/** A new flow hash, in the hope of another path. @kernel sk_rethink_txhash include/net/sock.h */
export function skRethinkTxhash(sk: Sock): boolean {
  if (sk.skTxhash === 0) return false;
  skSetTxhash(sk);
  return true;
}

// Timers hold the socket.

/** @kernel sk_reset_timer net/core/sock.c */
export function skResetTimer(sk: Sock, timer: TimerList<Sock>, expires: number): void {
  if (!modTimer(timer, expires)) sockHold(sk);
}

/** @kernel sk_stop_timer net/core/sock.c */
export function skStopTimer(sk: Sock, timer: TimerList<Sock>): void {
  if (timerDelete(timer)) __sockPut(sk);
}

// The accept queue's length.

/** @kernel sk_acceptq_is_full include/net/sock.h */
export function skAcceptqIsFull(sk: Sock): boolean {
  return sk.skAckBacklog > sk.skMaxAckBacklog;
}

/** @kernel sk_acceptq_added include/net/sock.h */
export function skAcceptqAdded(sk: Sock): void {
  sk.skAckBacklog++;
}

/** @kernel sk_acceptq_removed include/net/sock.h */
export function skAcceptqRemoved(sk: Sock): void {
  sk.skAckBacklog--;
}

/** Jiffies to wait for data: 0 when the call must not. @kernel sock_rcvtimeo include/net/sock.h */
export function sockRcvtimeo(sk: Sock, noblock: boolean): number {
  return noblock ? 0 : sk.skRcvtimeo;
}

/** @kernel sock_sndtimeo include/net/sock.h */
export function sockSndtimeo(sk: Sock, noblock: boolean): number {
  return noblock ? 0 : sk.skSndtimeo;
}

/** Least bytes for which a reader is woken. @kernel sock_rcvlowat include/net/sock.h */
export function sockRcvlowat(sk: Sock, waitall: boolean, len: number): number {
  const v = waitall ? len : Math.min(sk.skRcvlowat, len);
  return v === 0 ? 1 : v;
}

/** @kernel sock_prot_inuse_add include/net/sock.h */
export function sockProtInuseAdd(net: Net, prot: Proto, inc: number): void {
  net.protInuse.set(prot.name, (net.protInuse.get(prot.name) ?? 0) + inc);
}

/** @kernel sock_prot_inuse_get net/core/sock.c */
export function sockProtInuseGet(net: Net, name: string): number {
  return net.protInuse.get(name) ?? 0;
}
