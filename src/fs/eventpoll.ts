/**
 * epoll: interest lists with level, edge and one-shot triggering.
 *
 * Counterpart of fs/eventpoll.c. Each watched (file, descriptor) is an epitem with entries on the
 * file's wait queues; a wake-up puts the item on the ready list and wakes those who wait on the
 * epoll itself, which is a file and may be watched by another. Nothing here sleeps: ep_poll()
 * answers with what is ready now.
 */

import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import { Socket } from '#include/linux/net.ts';
import { BUSY_POLL_BUDGET } from '#include/net/busy_poll.ts';
import type { Machine } from '#kernel/machine.ts';
import { File, type FileOperations, type FileWatch, type PollTable } from '#kernel/sched/file.ts';
import type { Task } from '#kernel/sched/task.ts';
import {
  addWaitQueue,
  removeWaitQueue,
  WaitQueueEntry,
  WaitQueueHead,
  wakeUp,
  wqHasSleeper,
} from '#kernel/wait.ts';
import { napiBusyLoop } from '#net/core/dev_busy_poll.ts';
import {
  EBADF,
  EEXIST,
  EFAULT,
  EINVAL,
  ELOOP,
  EMFILE,
  ENOENT,
  ENOTTY,
  EPERM,
} from '#uapi/errno.ts';
import {
  EPOLL_CLOEXEC,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLERR,
  EPOLLET,
  EPOLLEXCLUSIVE,
  EPOLLHUP,
  EPOLLIN,
  EPOLLONESHOT,
  EPOLLOUT,
  EPOLLWAKEUP,
} from '#uapi/eventpoll.ts';
import { O_RDWR } from '#uapi/fcntl.ts';
import { POLLIN, POLLRDNORM } from '#uapi/poll.ts';
import type { EpollEvent } from '#uapi/unistd.ts';

/** Epolls may watch epolls, this deep. @kernel EP_MAX_NESTS fs/eventpoll.c */
const EP_MAX_NESTS = 4;

/** Bits that steer and do not ask for events. @kernel EP_PRIVATE_BITS fs/eventpoll.c */
const EP_PRIVATE_BITS = EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE;

/** What may be or-ed with EPOLLEXCLUSIVE. @kernel EPOLLEXCLUSIVE_OK_BITS fs/eventpoll.c */
const EPOLLEXCLUSIVE_OK_BITS =
  EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;

/** One watched descriptor. @kernel epitem fs/eventpoll.c */
class EpItem implements FileWatch {
  readonly ep: EventPoll;
  readonly file: File;
  readonly fd: number;
  events: number;
  data: number;
  /** Our entries on the wait queues of the file. */
  readonly waits: WaitQueueEntry[];
  /** Links on the ready list. */
  ready: boolean;
  next: EpItem | null;
  prev: EpItem | null;

  constructor(ep: EventPoll, file: File, fd: number, events: number, data: number) {
    this.ep = ep;
    this.file = file;
    this.fd = fd;
    this.events = events;
    this.data = data;
    this.waits = [];
    this.ready = false;
    this.next = null;
    this.prev = null;
  }

  /** The last reference to the file is gone: nobody watches it any more. @kernel eventpoll_release_file fs/eventpoll.c */
  fileGone(): void {
    epRemove(this);
  }
}

/** @kernel eventpoll fs/eventpoll.c */
class EventPoll {
  /** Who polls the epoll file itself: programs in epoll_wait, other epolls. */
  readonly pollWait: WaitQueueHead;
  readonly items: EpItem[];
  rdlHead: EpItem | null;
  rdlTail: EpItem | null;
  /** The epoll's own file; null once it is closed. */
  file: File | null;
  /** The polling instance of the socket that was ready last; 0: none to be busy with. */
  napiId: number;

  constructor() {
    this.pollWait = new WaitQueueHead();
    this.items = [];
    this.rdlHead = null;
    this.rdlTail = null;
    this.file = null;
    this.napiId = 0;
  }
}

function readyAdd(epi: EpItem): void {
  const { ep } = epi;
  epi.ready = true;
  epi.next = null;
  epi.prev = ep.rdlTail;
  if (ep.rdlTail === null) ep.rdlHead = epi;
  else ep.rdlTail.next = epi;
  ep.rdlTail = epi;
}

function readyDel(epi: EpItem): void {
  if (!epi.ready) return;
  const { ep, next, prev } = epi;
  if (prev === null) ep.rdlHead = next;
  else prev.next = next;
  if (next === null) ep.rdlTail = prev;
  else next.prev = prev;
  epi.ready = false;
  epi.next = null;
  epi.prev = null;
}

/** Tells those who poll the epoll. @kernel ep_poll_safewake fs/eventpoll.c */
function epPollSafewake(ep: EventPoll): void {
  if (wqHasSleeper(ep.pollWait)) wakeUp(ep.pollWait, POLLIN | POLLRDNORM);
}

/** Notes where the packets of a watched socket come from. @kernel ep_set_busy_poll_napi_id fs/eventpoll.c */
function epSetBusyPollNapiId({ ep, file }: EpItem): void {
  if (file.machine.netGlobals.sysctlNetBusyPoll === 0) return;
  const napiId = file.privateData instanceof Socket ? (file.privateData.sk?.skNapiId ?? 0) : 0;
  if (napiId !== 0) ep.napiId = napiId;
}

/** Something happened to a watched file. @kernel ep_poll_callback fs/eventpoll.c */
function epPollCallback(entry: WaitQueueEntry, key: number): void {
  const epi = entry.private as EpItem;
  epSetBusyPollNapiId(epi);
  // A one-shot item that has fired asks for nothing until it is armed again.
  if ((epi.events & ~EP_PRIVATE_BITS) === 0) return;
  if (key !== 0 && (key & epi.events) === 0) return;
  if (!epi.ready) readyAdd(epi);
  if (entry.exclusive) entry.woken = exclusiveTaken(epi, key);
  epPollSafewake(epi.ep);
}

/** An exclusive wake-up is taken when a program waits here for this very event. */
function exclusiveTaken(epi: EpItem, key: number): boolean {
  if (!wqHasSleeper(epi.ep.pollWait)) return false;
  const inOut = key & (EPOLLIN | EPOLLOUT);
  return inOut === 0 || (epi.events & inOut) !== 0;
}

/** Puts an item's entry on a wait queue that the file's poll names. @kernel ep_ptable_queue_proc fs/eventpoll.c */
class EpPollTable implements PollTable {
  private readonly epi: EpItem;

  constructor(epi: EpItem) {
    this.epi = epi;
  }

  queue(wq: WaitQueueHead): void {
    const exclusive = (this.epi.events & EPOLLEXCLUSIVE) !== 0;
    const entry = new WaitQueueEntry(epPollCallback, this.epi, exclusive);
    addWaitQueue(wq, entry);
    this.epi.waits.push(entry);
  }
}

/** Events of the item that hold now. @kernel ep_item_poll fs/eventpoll.c */
function epItemPoll(epi: EpItem, pt: PollTable | null): number {
  return (epi.file.fOp.poll?.(epi.file, pt) ?? 0) & epi.events;
}

/** The epoll behind a file; null: the file is none. @kernel is_file_epoll fs/eventpoll.c */
function epollOf(file: File): EventPoll | null {
  return file.privateData instanceof EventPoll ? file.privateData : null;
}

/** @kernel ep_unregister_pollwait fs/eventpoll.c */
function epUnregisterPollwait(epi: EpItem): void {
  for (const entry of epi.waits) removeWaitQueue(entry);
  epi.waits.length = 0;
}

/** @kernel ep_remove fs/eventpoll.c */
function epRemove(epi: EpItem): void {
  const { ep, file } = epi;
  epUnregisterPollwait(epi);
  readyDel(epi);
  ep.items.splice(ep.items.indexOf(epi), 1);
  file.fEp?.splice(file.fEp.indexOf(epi), 1);
}

/** @kernel ep_find fs/eventpoll.c */
function epFind(ep: EventPoll, file: File, fd: number): EpItem | null {
  return ep.items.find((epi) => epi.file === file && epi.fd === fd) ?? null;
}

/**
 * How deep epolls are nested below this one; beyond EP_MAX_NESTS when `target` is among them.
 * @kernel ep_loop_check_proc fs/eventpoll.c
 */
function nestingBelow(ep: EventPoll, target: EventPoll, depth: number): number {
  if (ep === target || depth > EP_MAX_NESTS) return EP_MAX_NESTS + 1;
  let deepest = 0;
  for (const epi of ep.items) {
    const inner = epollOf(epi.file);
    if (inner !== null) deepest = Math.max(deepest, nestingBelow(inner, target, depth + 1) + 1);
    if (deepest > EP_MAX_NESTS) break;
  }
  return deepest;
}

/** How many epolls are stacked above this one. @kernel ep_get_upwards_depth_proc fs/eventpoll.c */
function nestingAbove(ep: EventPoll, depth: number): number {
  if (depth > EP_MAX_NESTS) return 0;
  let deepest = 0;
  for (const watcher of ep.file?.fEp ?? []) {
    deepest = Math.max(deepest, nestingAbove((watcher as EpItem).ep, depth + 1) + 1);
  }
  return deepest;
}

/** Would watching `inner` from `ep` close a loop, or stack epolls too high? @kernel ep_loop_check fs/eventpoll.c */
function epLoops(ep: EventPoll, inner: EventPoll): boolean {
  return nestingBelow(inner, ep, 0) + 1 + nestingAbove(ep, 0) > EP_MAX_NESTS;
}

/** @kernel ep_insert fs/eventpoll.c */
function epInsert(ep: EventPoll, file: File, fd: number, event: EpollEvent): void {
  const epi = new EpItem(ep, file, fd, event.events | EPOLLERR | EPOLLHUP, event.data);
  ep.items.push(epi);
  file.fEp ??= [];
  file.fEp.push(epi);
  // Registers on the wait queues and learns what is ready already.
  epSetBusyPollNapiId(epi);
  if (epItemPoll(epi, new EpPollTable(epi)) !== 0 && !epi.ready) {
    readyAdd(epi);
    epPollSafewake(ep);
  }
}

/** @kernel ep_modify fs/eventpoll.c */
function epModify(epi: EpItem, event: EpollEvent): void {
  epi.events = event.events | EPOLLERR | EPOLLHUP;
  epi.data = event.data;
  if (epItemPoll(epi, null) !== 0 && !epi.ready) {
    readyAdd(epi);
    epPollSafewake(epi.ep);
  }
}

/** Ready if any watched file is; stale entries are taken off on the way. @kernel ep_eventpoll_poll fs/eventpoll.c */
function epEventpollPoll(file: File, wait: PollTable | null): number {
  const ep = file.privateData as EventPoll;
  wait?.queue(ep.pollWait);
  while (ep.rdlHead !== null) {
    if (epItemPoll(ep.rdlHead, null) !== 0) return POLLIN | POLLRDNORM;
    readyDel(ep.rdlHead);
  }
  return 0;
}

/** @kernel ep_eventpoll_release fs/eventpoll.c */
function epEventpollRelease(file: File): void {
  const ep = file.privateData as EventPoll;
  for (const epi of [...ep.items]) epRemove(epi);
  ep.file = null;
}

/** @kernel eventpoll_fops fs/eventpoll.c */
const eventpollFops: FileOperations = {
  read: () => -EINVAL,
  write: () => -EINVAL,
  poll: epEventpollPoll,
  ioctl: () => -ENOTTY,
  release: epEventpollRelease,
};

/** Makes an epoll and its descriptor. @kernel do_epoll_create fs/eventpoll.c */
export function doEpollCreate(task: Task, flags: number): number {
  if ((flags & ~EPOLL_CLOEXEC) !== 0) return -EINVAL;
  if (!task.files.hasRoom()) return -EMFILE;
  const ep = new EventPoll();
  const file = new File(task.machine, eventpollFops, O_RDWR, ep);
  ep.file = file;
  return task.files.install(file, (flags & EPOLL_CLOEXEC) !== 0);
}

/** What the arguments alone forbid: 0 or a negative errno. */
function ctlCheck(ep: File, op: number, target: File, event: EpollEvent | null): number {
  if (target.fOp.poll === null) return -EPERM;
  if (ep === target || epollOf(ep) === null) return -EINVAL;
  if (op !== EPOLL_CTL_ADD && op !== EPOLL_CTL_MOD && op !== EPOLL_CTL_DEL) return -EINVAL;
  if (op === EPOLL_CTL_DEL) return 0;
  if (event === null) return -EFAULT;
  if ((event.events & EPOLLEXCLUSIVE) === 0) return 0;
  if (op === EPOLL_CTL_MOD || epollOf(target) !== null) return -EINVAL;
  return (event.events & ~EPOLLEXCLUSIVE_OK_BITS) !== 0 ? -EINVAL : 0;
}

/** @kernel do_epoll_ctl fs/eventpoll.c */
export function doEpollCtl(
  task: Task,
  epfd: number,
  op: number,
  fd: number,
  event: EpollEvent | null,
): number {
  const file = task.files.get(epfd);
  const target = task.files.get(fd);
  if (file === null || target === null) return -EBADF;
  const err = ctlCheck(file, op, target, event);
  if (err !== 0) return err;
  const ep = file.privateData as EventPoll;
  const inner = epollOf(target);
  if (op === EPOLL_CTL_ADD && inner !== null && epLoops(ep, inner)) return -ELOOP;
  const epi = epFind(ep, target, fd);
  if (op === EPOLL_CTL_ADD) {
    if (epi !== null) return -EEXIST;
    epInsert(ep, target, fd, event as EpollEvent);
    return 0;
  }
  if (epi === null) return -ENOENT;
  if (op === EPOLL_CTL_DEL) {
    epRemove(epi);
    return 0;
  }
  if ((epi.events & EPOLLEXCLUSIVE) !== 0) return -EINVAL;
  epModify(epi, event as EpollEvent);
  return 0;
}

/**
 * Hands out ready events, oldest first. A level-triggered item goes back to the end of the list, so
 * that the next call looks at it again and every descriptor gets its turn.
 * @kernel ep_send_events fs/eventpoll.c
 */
function epSendEvents(ep: EventPoll, events: EpollEvent[]): number {
  let n = 0;
  // What is put back during this call waits for the next one.
  const last = ep.rdlTail;
  while (n < events.length && ep.rdlHead !== null) {
    const epi = ep.rdlHead;
    readyDel(epi);
    const revents = epItemPoll(epi, null);
    const out = events[n];
    if (revents !== 0 && out !== undefined) {
      out.events = revents;
      out.data = epi.data;
      n++;
      if ((epi.events & EPOLLONESHOT) !== 0) epi.events &= EP_PRIVATE_BITS;
      else if ((epi.events & EPOLLET) === 0) readyAdd(epi);
    }
    if (epi === last) break;
  }
  return n;
}

/** @kernel ep_events_available fs/eventpoll.c */
function epEventsAvailable(ep: EventPoll): boolean {
  return ep.rdlHead !== null;
}

/**
 * Nothing is ready: looks at the device of the socket that was ready last; true: now something is. If
 * nothing is there either, not again until a socket is ready.
 * @kernel ep_busy_loop fs/eventpoll.c
 */
function epBusyLoop(machine: Machine, ep: EventPoll): boolean {
  if (ep.napiId === 0 || machine.netGlobals.sysctlNetBusyPoll === 0) return false;
  napiBusyLoop(machine, ep.napiId, epEventsAvailable, ep, false, BUSY_POLL_BUDGET);
  if (epEventsAvailable(ep)) return true;
  ep.napiId = 0;
  return false;
}

/** What is ready now: the number of entries of `events` filled. @kernel do_epoll_wait fs/eventpoll.c */
export function doEpollWait(task: Task, epfd: number, events: EpollEvent[]): number {
  if (events.length === 0) return -EINVAL;
  const file = task.files.get(epfd);
  if (file === null) return -EBADF;
  const ep = epollOf(file);
  if (ep === null) return -EINVAL;
  const n = epSendEvents(ep, events);
  return n === 0 && epBusyLoop(task.machine, ep) ? epSendEvents(ep, events) : n;
}

/** @kernel eventpoll_init fs/eventpoll.c */
function eventpollInit({ syscalls }: Machine): number {
  syscalls.epollCreate1 = doEpollCreate;
  syscalls.epollCtl = doEpollCtl;
  syscalls.epollWait = doEpollWait;
  return 0;
}

export const eventpollModule: KernelModule = {
  name: 'eventpoll',
  config: 'CONFIG_EPOLL',
  depends: [],
  level: FS_INITCALL,
  init: eventpollInit,
  exit: null,
};
