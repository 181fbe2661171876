/**
 * Stream sockets: write space, waiting for a connection or for memory, end of the queues.
 *
 * Counterpart of net/core/stream.c and the sk_stream_* inlines of include/net/sock.h. Only close() sleeps
 * here: where others would in Linux, the answer is -EAGAIN and the caller's program waits with poll.
 */
import { SOCK_NOSPACE } from '#include/linux/net.ts';
import { SEND_SHUTDOWN, type Sock } from '#include/net/sock.ts';
import { MAX_SCHEDULE_TIMEOUT } from '#include/net/sock_common.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import {
  addWait,
  type CallWait,
  livingCurrent,
  removeWait,
  type Task,
  type Wait,
  wakeTask,
} from '#kernel/sched/task.ts';
import { modTimer, TimerList, timerDelete } from '#kernel/time/timer.ts';
import {
  addWaitQueue,
  removeWaitQueue,
  WaitQueueEntry,
  type WaitQueueHead,
  wakeUp,
  wqHasSleeper,
} from '#kernel/wait.ts';
import { __skbQueuePurge } from '#net/core/skbuff.ts';
import { skSetNospace, sockError } from '#net/core/sock.ts';
import { skMemReclaimFinal } from '#net/core/sock_mem.ts';
import { EAGAIN, EPIPE } from '#uapi/errno.ts';
import { POLLOUT, POLLWRBAND, POLLWRNORM } from '#uapi/poll.ts';
import {
  TCP_CLOSE_WAIT,
  TCP_ESTABLISHED,
  TCP_SYN_RECV,
  TCP_SYN_SENT,
  TCPF_CLOSING,
  TCPF_FIN_WAIT1,
  TCPF_LAST_ACK,
} from '#uapi/tcp.ts';

/** Room that must be free before writers are woken: a third of the buffer. @kernel sk_stream_min_wspace include/net/sock.h */
export function skStreamMinWspace(sk: Sock): number {
  return sk.skWmemQueued >> 1;
}

/** @kernel sk_stream_wspace include/net/sock.h */
export function skStreamWspace(sk: Sock): number {
  return sk.skSndbuf - sk.skWmemQueued;
}

/** @kernel __sk_stream_memory_free include/net/sock.h */
export function __skStreamMemoryFree(sk: Sock, wake: number): boolean {
  if (sk.skWmemQueued >= sk.skSndbuf) return false;
  const free = sk.skProt.streamMemoryFree;
  return free === null || free(sk, wake);
}

/** @kernel sk_stream_memory_free include/net/sock.h */
export function skStreamMemoryFree(sk: Sock): boolean {
  return __skStreamMemoryFree(sk, 0);
}

/** @kernel __sk_stream_is_writeable include/net/sock.h */
export function __skStreamIsWriteable(sk: Sock, wake: number): boolean {
  return skStreamWspace(sk) >= skStreamMinWspace(sk) && __skStreamMemoryFree(sk, wake);
}

/** @kernel sk_stream_is_writeable include/net/sock.h */
export function skStreamIsWriteable(sk: Sock): boolean {
  return __skStreamIsWriteable(sk, 0);
}

/** Wakes writers once a third of the buffer is free. @kernel sk_stream_write_space net/core/stream.c */
export function skStreamWriteSpace(sk: Sock): void {
  const sock = sk.skSocket;
  if (sock === null || !__skStreamIsWriteable(sk, 1)) return;
  sock.flags &= ~(1 << SOCK_NOSPACE);
  const wq = sk.skWq;
  if (wq !== null && wqHasSleeper(wq)) wakeUp(wq, POLLOUT | POLLWRNORM | POLLWRBAND);
}

/**
 * 0 once connected, -EAGAIN while the handshake goes on, else the error (-EPIPE without one).
 * @kernel sk_stream_wait_connect net/core/stream.c
 */
export function skStreamWaitConnect(sk: Sock): number {
  const state = sk.skcState;
  if (state === TCP_ESTABLISHED || state === TCP_CLOSE_WAIT) return 0;
  const err = sockError(sk);
  if (err !== 0) return err;
  return state === TCP_SYN_SENT || state === TCP_SYN_RECV ? -EAGAIN : -EPIPE;
}

/** Our FIN, or data before it, is not acknowledged yet. @kernel sk_stream_closing net/core/stream.c */
function skStreamClosing(sk: Sock): boolean {
  return ((1 << sk.skcState) & (TCPF_FIN_WAIT1 | TCPF_CLOSING | TCPF_LAST_ACK)) !== 0;
}

/** A close() that sleeps. Whatever ends the sleep, `goOn` finishes the close, as the task. */
class LingeringClose implements CallWait {
  private readonly task: Task;
  private readonly sk: Sock;
  private readonly goOn: (sk: Sock) => void;
  private readonly entry: WaitQueueEntry;
  private readonly timer: TimerList<LingeringClose>;
  private timedOut: boolean;
  private over: boolean;
  returned: (() => void) | null;
  nextWait: Wait | null;
  prevWait: Wait | null;
  nextRun: Wait | null;
  queued: boolean;

  constructor(task: Task, sk: Sock, goOn: (sk: Sock) => void) {
    this.task = task;
    this.sk = sk;
    this.goOn = goOn;
    this.entry = new WaitQueueEntry(lingerWake, this);
    this.timer = new TimerList<LingeringClose>(task.machine, this, lingerTimeout);
    this.timedOut = false;
    this.over = false;
    this.returned = null;
    this.nextWait = null;
    this.prevWait = null;
    this.nextRun = null;
    this.queued = false;
  }

  start(wq: WaitQueueHead, timeout: number): void {
    const { machine } = this.task;
    addWait(this.task, this);
    addWaitQueue(wq, this.entry);
    if (timeout !== MAX_SCHEDULE_TIMEOUT) modTimer(this.timer, (machine.jiffies + timeout) | 0);
    this.task.callWait = this;
  }

  wake(timedOut: boolean): void {
    this.timedOut ||= timedOut;
    wakeTask(this.task.machine, this);
  }

  run(): void {
    if (this.over || (skStreamClosing(this.sk) && !this.timedOut)) return;
    this.cancel();
    this.returned?.();
  }

  cancel(): void {
    if (this.over) return;
    this.over = true;
    removeWaitQueue(this.entry);
    timerDelete(this.timer);
    removeWait(this.task, this);
    if (this.task.callWait === this) this.task.callWait = null;
    // Whoever ends the sleep: the task goes on.
    const { machine, cpu } = this.task;
    machine.tasks.current = this.task;
    machine.cpu = cpu;
    this.goOn(this.sk);
  }
}

function lingerWake(entry: WaitQueueEntry, _key: number): void {
  (entry.private as LingeringClose).wake(false);
}

function lingerTimeout(wait: LingeringClose): void {
  wait.wake(true);
}

/**
 * Has close() sleep until all that was sent, the FIN too, is acknowledged, until `timeout` jiffies have
 * passed, or until a signal comes. True: it sleeps, and `goOn` is called when that is over. The caller must
 * not hold the socket's lock.
 * @kernel sk_stream_wait_close net/core/stream.c
 */
export function skStreamWaitClose(sk: Sock, timeout: number, goOn: (sk: Sock) => void): boolean {
  const task = livingCurrent(sk.net.machine);
  if (timeout === 0 || task === null || sk.skWq === null || !skStreamClosing(sk)) return false;
  new LingeringClose(task, sk, goOn).start(sk.skWq, timeout);
  return true;
}

/**
 * 0 when there is room to write, -EAGAIN (noted for the write_space callback) when there is none,
 * -EPIPE after an error or a shutdown.
 * @kernel sk_stream_wait_memory net/core/stream.c
 */
export function skStreamWaitMemory(sk: Sock): number {
  if (sk.skErr !== 0 || (sk.skShutdown & SEND_SHUTDOWN) !== 0) return -EPIPE;
  if (skStreamMemoryFree(sk)) return 0;
  skSetNospace(sk);
  return -EAGAIN;
}

/**
 * What a failed write says: the socket's own error goes before -EPIPE.
 * @kernel sk_stream_error net/core/stream.c
 * @deviation no SIGPIPE is raised: softnet's programs have no signals.
 */
export function skStreamError(sk: Sock, _flags: number, err: number): number {
  if (err !== -EPIPE) return err;
  const pending = sockError(sk);
  return pending !== 0 ? pending : -EPIPE;
}

/** Empties what no one will read or send any more. @kernel sk_stream_kill_queues net/core/stream.c */
export function skStreamKillQueues(sk: Sock): void {
  __skbQueuePurge(sk.skReceiveQueue);
  if (!sk.skErrorQueueEmpty) __skbQueuePurge(sk.skErrorQueue);
  if (DEBUG && sk.skWriteQueue.qlen !== 0) {
    throw new KernelBug('stream-write-queue', `${sk.skWriteQueue.qlen} packets at the end`);
  }
  skMemReclaimFinal(sk);
  if (DEBUG && (sk.skWmemQueued !== 0 || sk.skForwardAlloc !== 0)) {
    throw new KernelBug(
      'stream-memory',
      `wmem_queued ${sk.skWmemQueued}, forward_alloc ${sk.skForwardAlloc} at the end`,
    );
  }
}
