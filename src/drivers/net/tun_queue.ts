/**
 * Queues of tun and tap devices: which files of programs serve a device. Counterpart of those parts of
 * drivers/net/tun.c.
 *
 * With IFF_MULTI_QUEUE a program opens several files for one device; each is a transmit and a receive
 * queue. One that is detached (TUNSETQUEUE) stays with the device and has no queue until it is attached
 * again; the last takes the number of the one that left, so that they are always 0, 1, ... without a gap.
 */
import { tunFlowDeleteByQueue } from '#drivers/net/tun_flow.ts';
import { type TunFile, tunNapiDel, tunNapiInit, tunOf } from '#drivers/net/tun_io.ts';
import {
  type NetDevice,
  netdevGetTxQueue,
  netifRunning,
  netifTxStopQueue,
} from '#include/linux/netdevice.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { wakeUp } from '#kernel/wait.ts';
import { netdevStateChange } from '#net/core/dev.ts';
import { napiDisable, napiEnable } from '#net/core/dev_napi.ts';
import { netifSetRealNumRxQueues, netifSetRealNumTxQueues } from '#net/core/dev_register.ts';
import { netifTxWakeQueue } from '#net/core/dev_tx.ts';
import { skbQueuePurgeReason } from '#net/core/skbuff.ts';
import { E2BIG, EBUSY, EINVAL } from '#uapi/errno.ts';
import { IFF_ATTACH_QUEUE, IFF_DETACH_QUEUE, IFF_MULTI_QUEUE } from '#uapi/if_tun.ts';
import { SKB_DROP_REASON_QUEUE_PURGE } from '#uapi/net_dropreason.ts';
import { POLLERR } from '#uapi/poll.ts';

/** Files that one device can have. @kernel MAX_TAP_QUEUES drivers/net/tun.c */
export const MAX_TAP_QUEUES = 256;

/** @kernel tun_set_real_num_queues drivers/net/tun.c */
function tunSetRealNumQueues(dev: NetDevice): void {
  const { length } = tunOf(dev).tfiles;
  // A device that is left by all keeps its last one.
  if (length === 0) return;
  netifSetRealNumTxQueues(dev, length);
  netifSetRealNumRxQueues(dev, length);
}

/** @kernel tun_queue_purge drivers/net/tun.c */
function tunQueuePurge(tfile: TunFile): void {
  skbQueuePurgeReason(tfile.txRing, SKB_DROP_REASON_QUEUE_PURGE);
  skbQueuePurgeReason(tfile.writeQueue, SKB_DROP_REASON_QUEUE_PURGE);
}

/** The stack may send on a queue whose ring has room: another file has it now, or the old one an empty ring. */
function tunLetRun(dev: NetDevice, index: number): void {
  const tfile = tunOf(dev).tfiles[index];
  const full = tfile !== undefined && tfile.txRing.qlen >= dev.txQueueLen;
  if (full) netifTxStopQueue(netdevGetTxQueue(dev, index));
  else if (netifRunning(dev)) netifTxWakeQueue(netdevGetTxQueue(dev, index));
}

/**
 * Gives a file a queue of a device, or the detached one another; rtnl is held. 0, -EINVAL: it has one,
 * -EBUSY: the device has one and no more, -E2BIG. @kernel tun_attach drivers/net/tun.c
 */
export function tunAttachFile(tfile: TunFile, dev: NetDevice, napi: boolean): number {
  const tun = tunOf(dev);
  if (tfile.dev !== null && !tfile.detached) return -EINVAL;
  if ((tun.flags & IFF_MULTI_QUEUE) === 0 && tun.tfiles.length === 1) return -EBUSY;
  if (!tfile.detached && tun.tfiles.length + tun.disabled.length === MAX_TAP_QUEUES) return -E2BIG;
  if (tfile.detached) {
    tunEnableQueue(tfile, tun.disabled);
    if (tfile.napi !== null) napiEnable(tfile.napi);
  } else if (napi) {
    tunNapiInit(tfile, dev);
  }
  tfile.dev = dev;
  tfile.queueIndex = tun.tfiles.length;
  tun.tfiles.push(tfile);
  tunSetRealNumQueues(dev);
  tunLetRun(dev, tfile.queueIndex);
  return 0;
}

/** @kernel tun_enable_queue drivers/net/tun.c */
function tunEnableQueue(tfile: TunFile, disabled: TunFile[]): void {
  tfile.detached = false;
  disabled.splice(disabled.indexOf(tfile), 1);
}

/**
 * Takes a file's queue; with `clean` the file leaves the device too. What waits in the queue is lost.
 * rtnl is held.
 * @deviation Linux forgets the flows of the queue after the one that is gone; here of the one that is
 * @kernel __tun_detach drivers/net/tun.c
 */
export function tunDetachFile(tfile: TunFile, clean: boolean): void {
  const { dev } = tfile;
  if (dev === null) return;
  const tun = tunOf(dev);
  if (clean) tunNapiDel(tfile);
  else if (tfile.napi !== null) napiDisable(tfile.napi);
  if (tfile.detached) {
    if (clean) tunEnableQueue(tfile, tun.disabled);
  } else {
    const last = tun.tfiles.pop() as TunFile;
    if (last !== tfile) {
      tun.tfiles[tfile.queueIndex] = last;
      last.queueIndex = tfile.queueIndex;
    }
    if (!clean) {
      tfile.detached = true;
      tun.disabled.push(tfile);
    }
    if (tun.flows !== null) tunFlowDeleteByQueue(tun.flows, tun.tfiles.length);
    tunQueuePurge(tfile);
    tunSetRealNumQueues(dev);
    tunLetRun(dev, tfile.queueIndex);
  }
  if (clean) tfile.dev = null;
}

/** The device is gone: all its files are without one. @kernel tun_detach_all drivers/net/tun.c */
export function tunDetachAll(dev: NetDevice): void {
  const { tfiles, disabled } = tunOf(dev);
  for (const tfile of [...tfiles, ...disabled]) {
    tunNapiDel(tfile);
    tunQueuePurge(tfile);
    tfile.dev = null;
    tfile.detached = false;
    wakeUp(tfile.wq, POLLERR);
  }
  tfiles.length = 0;
  disabled.length = 0;
}

/**
 * TUNSETQUEUE: IFF_ATTACH_QUEUE or IFF_DETACH_QUEUE. 0, or -EINVAL where that makes no sense.
 * @kernel tun_set_queue drivers/net/tun.c
 */
export function tunSetQueue(tfile: TunFile, flags: number): number {
  rtnlLock(tfile.machine);
  const err = tunSetQueueLocked(tfile, flags);
  rtnlUnlock(tfile.machine);
  return err;
}

/** The same where rtnl is held. */
export function tunSetQueueLocked(tfile: TunFile, flags: number): number {
  const { dev } = tfile;
  if (dev === null) return -EINVAL;
  let err = 0;
  if ((flags & IFF_ATTACH_QUEUE) !== 0) {
    err = tfile.detached ? tunAttachFile(tfile, dev, false) : -EINVAL;
  } else if ((flags & IFF_DETACH_QUEUE) !== 0) {
    if (tfile.detached || (tunOf(dev).flags & IFF_MULTI_QUEUE) === 0) return -EINVAL;
    tunDetachFile(tfile, false);
  } else {
    return -EINVAL;
  }
  if (err === 0) netdevStateChange(dev);
  return err;
}
