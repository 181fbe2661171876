/**
 * The device scheduler: running qdiscs, handing packets to drivers and taking them back, starting and
 * stopping queues with the device, the transmit watchdog; and the qdiscs noop, noqueue and
 * pfifo_fast. Counterpart of net/sched/sch_generic.c.
 */
import {
  __QUEUE_STATE_FROZEN,
  devCoreStatsTxDroppedInc,
  IFF_NO_QUEUE,
  NET_XMIT_CN,
  NETDEV_TX_OK,
  type NetDevice,
  type NetdevQueue,
  netdevGetTxQueue,
  netifCarrierOk,
  netifDevicePresent,
  netifIsMultiqueue,
  netifRunning,
  netifTransUpdate,
  netifXmitFrozenOrStopped,
  netifXmitStopped,
  type SoftnetData,
  skbGetTxQueue,
} from '#include/linux/netdevice.ts';
import { netdevHold, netdevPut } from '#include/linux/netdevice_ref.ts';
import { type SkBuff, SkBuffHead } from '#include/linux/skbuff.ts';
import {
  __skbDequeue,
  __skbDequeueTail,
  __skbQueueTail,
  skbPeek,
} from '#include/linux/skbuff_queue.ts';
import {
  __QDISC_STATE_DEACTIVATED,
  __qdiscDrop,
  Qdisc,
  type QdiscOps,
  qdiscBstatsUpdate,
  qdiscDropReason,
  TCQ_F_BUILTIN,
  TCQ_F_CAN_BYPASS,
  TCQ_F_CPUSTATS,
  TCQ_F_MQROOT,
  TCQ_F_NOLOCK,
  TCQ_F_NOPARENT,
  TCQ_F_ONETXQUEUE,
} from '#include/net/sch_generic.ts';
import { KernelBug } from '#kernel/bug.ts';
import { HZ, type Machine } from '#kernel/machine.ts';
import { timeAfterEq } from '#kernel/time/jiffies.ts';
import { modTimer, TimerList, timerDelete, timerPending } from '#kernel/time/timer.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import {
  __netifSchedule,
  devHardStartXmit,
  devXmitComplete,
  hardTxLock,
  hardTxUnlock,
  validateXmitSkbList,
} from '#net/core/dev_tx.ts';
import { kfreeSkb, skbQueuePurgeReason } from '#net/core/skbuff.ts';
import { EEXIST, ENOBUFS } from '#uapi/errno.ts';
import {
  SKB_DROP_REASON_QDISC_DROP,
  SKB_DROP_REASON_QDISC_OVERLIMIT,
  SKB_DROP_REASON_QUEUE_PURGE,
} from '#uapi/net_dropreason.ts';
import { prio2band, TC_H_ROOT, TC_PRIO_MAX, tcPrioQopt } from '#uapi/pkt_sched.ts';

/** Packets a qdisc may send in one run. @kernel dev_tx_weight net/core/net-sysctl.c */
const DEV_TX_WEIGHT = 64;
/** Watchdog timeout of drivers that name none, jiffies. */
const DEFAULT_WATCHDOG_TIMEO: number = 5 * HZ;

const DEACTIVATED: number = 1 << __QDISC_STATE_DEACTIVATED;

// noop: the qdisc of a device that is down.

/** @kernel noop_qdisc_ops net/sched/sch_generic.c */
export const noopQdiscOps: QdiscOps = {
  id: 'noop',
  enqueue: (skb, _sch, toFree) => {
    if (skb.dev !== null) devCoreStatsTxDroppedInc(skb.dev);
    __qdiscDrop(skb, toFree, SKB_DROP_REASON_QDISC_DROP);
    return NET_XMIT_CN;
  },
  dequeue: () => null,
  peek: () => null,
  init: null,
  reset: null,
  destroy: null,
  change: null,
  changeTxQueueLen: null,
  dump: null,
};

/** For devices that need no queue: __dev_queue_xmit() goes straight to the driver. @kernel noqueue_qdisc_ops net/sched/sch_generic.c */
export const noqueueQdiscOps: QdiscOps = {
  ...noopQdiscOps,
  id: 'noqueue',
  enqueue: null,
};

/** Stands for the qdiscs of all queues of a device. @kernel mq_qdisc_ops net/sched/sch_mq.c */
export const mqQdiscOps: QdiscOps = {
  ...noopQdiscOps,
  id: 'mq',
};

// pfifo_fast

const PFIFO_FAST_BANDS = 3;

/** @kernel pfifo_fast_priv net/sched/sch_generic.c */
class PfifoFastPriv {
  /** Band 0 leaves first. */
  readonly q: readonly SkBuffHead[] = [new SkBuffHead(), new SkBuffHead(), new SkBuffHead()];
  /** Packets a band may hold. */
  limit = 0;
}

/** @kernel pfifo_fast_enqueue net/sched/sch_generic.c */
function pfifoFastEnqueue(skb: SkBuff, sch: Qdisc, toFree: SkBuffHead): number {
  const priv = sch.priv as PfifoFastPriv;
  const band = prio2band[skb.priority & TC_PRIO_MAX] as number;
  const list = priv.q[band] as SkBuffHead;
  if (list.qlen >= priv.limit) {
    return qdiscDropReason(skb, sch, toFree, SKB_DROP_REASON_QDISC_OVERLIMIT);
  }
  __skbQueueTail(list, skb);
  sch.qlen++;
  sch.backlog += skb.pktLen;
  return 0;
}

/** @kernel pfifo_fast_dequeue net/sched/sch_generic.c */
function pfifoFastDequeue(sch: Qdisc): SkBuff | null {
  const priv = sch.priv as PfifoFastPriv;
  for (let band = 0; band < PFIFO_FAST_BANDS; band++) {
    const skb = __skbDequeue(priv.q[band] as SkBuffHead);
    if (skb !== null) {
      sch.qlen--;
      sch.backlog -= skb.pktLen;
      qdiscBstatsUpdate(sch, skb);
      return skb;
    }
  }
  return null;
}

/** @kernel pfifo_fast_peek net/sched/sch_generic.c */
function pfifoFastPeek(sch: Qdisc): SkBuff | null {
  const priv = sch.priv as PfifoFastPriv;
  for (const list of priv.q) if (list.next !== null) return list.next;
  return null;
}

/** @kernel pfifo_fast_init net/sched/sch_generic.c */
function pfifoFastInit(sch: Qdisc): number {
  const limit = (sch.dev as NetDevice).txQueueLen;
  if (limit === 0) return -ENOBUFS;
  const priv = new PfifoFastPriv();
  priv.limit = limit;
  sch.priv = priv;
  sch.flags |= TCQ_F_CAN_BYPASS;
  return 0;
}

/** @kernel pfifo_fast_reset net/sched/sch_generic.c */
function pfifoFastReset(sch: Qdisc): void {
  for (const list of (sch.priv as PfifoFastPriv).q) {
    skbQueuePurgeReason(list, SKB_DROP_REASON_QUEUE_PURGE);
  }
}

/** @kernel pfifo_fast_change_tx_queue_len net/sched/sch_generic.c */
function pfifoFastChangeTxQueueLen(sch: Qdisc, newLen: number): number {
  const priv = sch.priv as PfifoFastPriv;
  priv.limit = newLen;
  for (const list of priv.q) {
    while (list.qlen > newLen) {
      const skb = __skbDequeueTail(list) as SkBuff;
      sch.qlen--;
      sch.backlog -= skb.pktLen;
      sch.drops++;
      kfreeSkb(skb, SKB_DROP_REASON_QDISC_OVERLIMIT, 'pfifo_fast_change_tx_queue_len');
    }
  }
  return 0;
}

/** TCA_OPTIONS: bands and the map of priorities. @kernel pfifo_fast_dump net/sched/sch_generic.c */
function pfifoFastDump(): Uint8Array {
  const opt = new Uint8Array(tcPrioQopt.LEN);
  tcPrioQopt.setBands(new DataView(opt.buffer), 0, PFIFO_FAST_BANDS);
  opt.set(prio2band, tcPrioQopt.PRIOMAP);
  return opt;
}

/** Three bands by priority, each a fifo. @kernel pfifo_fast_ops net/sched/sch_generic.c */
export const pfifoFastOps: QdiscOps = {
  id: 'pfifo_fast',
  enqueue: pfifoFastEnqueue,
  dequeue: pfifoFastDequeue,
  peek: pfifoFastPeek,
  init: pfifoFastInit,
  reset: pfifoFastReset,
  destroy: null,
  change: null,
  changeTxQueueLen: pfifoFastChangeTxQueueLen,
  dump: pfifoFastDump,
};

// Life of a qdisc.

/** An instance that has not been started. @kernel qdisc_alloc net/sched/sch_generic.c */
export function qdiscAlloc(devQueue: NetdevQueue, ops: QdiscOps, parentid: number): Qdisc {
  const { dev } = devQueue;
  const sch = new Qdisc(ops, devQueue, dev);
  sch.parent = parentid;
  if (ops === pfifoFastOps) sch.flags |= TCQ_F_NOLOCK | TCQ_F_CPUSTATS;
  if (tracepointKey.enabled) dev.net.machine.trace.qdisc.qdiscCreate.probe?.(ops, dev, parentid);
  netdevHold(dev, 'qdisc');
  return sch;
}

/** An instance on a queue, with defaults; null when its init failed. @kernel qdisc_create_dflt net/sched/sch_generic.c */
export function qdiscCreateDflt(
  devQueue: NetdevQueue,
  ops: QdiscOps,
  parentid: number,
): Qdisc | null {
  const sch = qdiscAlloc(devQueue, ops, parentid);
  if (ops.init !== null && ops.init(sch, null) !== 0) {
    qdiscPut(sch);
    return null;
  }
  return sch;
}

/** Drops everything that waits. @kernel qdisc_reset net/sched/sch_generic.c */
export function qdiscReset(q: Qdisc): void {
  if (q.dev !== null) {
    if (tracepointKey.enabled) q.dev.net.machine.trace.qdisc.qdiscReset.probe?.(q);
  }
  q.ops.reset?.(q);
  skbQueuePurgeReason(q.gsoSkb, SKB_DROP_REASON_QUEUE_PURGE);
  skbQueuePurgeReason(q.skbBadTxq, SKB_DROP_REASON_QUEUE_PURGE);
  q.qlen = 0;
  q.backlog = 0;
}

/** @kernel qdisc_put net/sched/sch_generic.c */
export function qdiscPut(q: Qdisc): void {
  if ((q.flags & TCQ_F_BUILTIN) !== 0 || --q.refcnt > 0) return;
  if (q.refcnt < 0) throw new KernelBug('qdisc-refcount', `${q.ops.id} put twice`);
  qdiscReset(q);
  q.ops.destroy?.(q);
  const { dev } = q;
  if (dev === null) return;
  if (tracepointKey.enabled) dev.net.machine.trace.qdisc.qdiscDestroy.probe?.(q);
  // Nothing may run a destroyed qdisc.
  q.state |= DEACTIVATED;
  netdevPut(dev, 'qdisc');
}

/** Puts another qdisc in the place of a queue's; returns the old one. @kernel dev_graft_qdisc net/sched/sch_generic.c */
export function devGraftQdisc(devQueue: NetdevQueue, qdisc: Qdisc | null): Qdisc {
  const old = devQueue.qdiscSleeping;
  const noop = noopOf(devQueue.dev);
  devQueue.qdiscSleeping = qdisc ?? noop;
  devQueue.qdisc = noop;
  return old;
}

function noopOf(dev: NetDevice): Qdisc {
  const noop = dev.net.machine.netGlobals.noopQdisc;
  if (noop === null) throw new KernelBug('no-scheduler', 'pktsched_init() has not run');
  return noop;
}

// Running.

/** Packets the driver refused go first again. @kernel dev_requeue_skb net/sched/sch_generic.c */
function devRequeueSkb(first: SkBuff, q: Qdisc): void {
  let skb: SkBuff | null = first;
  while (skb !== null) {
    const next: SkBuff | null = skb.next;
    __skbQueueTail(q.gsoSkb, skb);
    q.qlen++;
    q.backlog += skb.pktLen;
    skb = next;
  }
  q.requeues++;
  __netifSchedule(q);
}

/** The packet that the driver refused, if it can take it now. @kernel dequeue_skb net/sched/sch_generic.c */
function dequeueRefused(q: Qdisc, dev: NetDevice): SkBuff | null {
  const skb = skbPeek(q.gsoSkb);
  if (skb === null || netifXmitFrozenOrStopped(skbGetTxQueue(dev, skb))) return null;
  __skbDequeue(q.gsoSkb);
  q.qlen--;
  q.backlog -= skb.pktLen;
  return skb;
}

/** Sends one packet; true: there may be more. @kernel qdisc_restart net/sched/sch_generic.c */
function qdiscRestart(q: Qdisc): boolean {
  const { dev, devQueue } = q;
  if (dev === null || devQueue === null) return false;
  let skb: SkBuff | null;
  let validate = false;
  if (q.gsoSkb.next !== null) {
    skb = dequeueRefused(q, dev);
  } else {
    if ((q.flags & TCQ_F_ONETXQUEUE) !== 0 && netifXmitFrozenOrStopped(devQueue)) return false;
    skb = q.ops.dequeue(q);
    validate = true;
  }
  if (tracepointKey.enabled)
    dev.net.machine.trace.qdisc.qdiscDequeue.probe?.(q, devQueue, skb === null ? 0 : 1, skb);
  if (skb === null) return false;
  return schDirectXmit(skb, q, dev, skbGetTxQueue(dev, skb), validate);
}

/**
 * Gives a packet to the driver, or puts it back. True: the qdisc may go on.
 * @kernel sch_direct_xmit net/sched/sch_generic.c
 */
export function schDirectXmit(
  packet: SkBuff,
  q: Qdisc,
  dev: NetDevice,
  txq: NetdevQueue,
  validate: boolean,
): boolean {
  const { machine } = dev.net;
  let skb: SkBuff | null = validate ? validateXmitSkbList(packet, dev) : packet;
  if (skb === null) return true;
  let ret = NETDEV_TX_OK;
  let sent = false;
  hardTxLock(dev, txq, machine.cpu.id);
  if (!netifXmitFrozenOrStopped(txq)) {
    skb = devHardStartXmit(skb, dev, txq);
    ret = (machine.netGlobals.softnetData[machine.cpu.id] as SoftnetData).xmitRet;
    sent = devXmitComplete(ret);
  }
  hardTxUnlock(dev, txq);
  if (sent) return true;
  if (skb !== null) devRequeueSkb(skb, q);
  return false;
}

/** Sends until the qdisc is empty, the driver full or the quota used up. @kernel __qdisc_run net/sched/sch_generic.c */
export function __qdiscRun(q: Qdisc): void {
  let quota = DEV_TX_WEIGHT;
  while (qdiscRestart(q)) {
    if (--quota <= 0) {
      __netifSchedule(q);
      break;
    }
  }
}

// Watchdog.

/** @kernel netdev_watchdog_up net/sched/sch_generic.c */
export function netdevWatchdogUp(dev: NetDevice): void {
  if (dev.netdevOps.ndoTxTimeout === null) return;
  if (dev.watchdogTimeo <= 0) dev.watchdogTimeo = DEFAULT_WATCHDOG_TIMEO;
  const { machine } = dev.net;
  dev.watchdogTimer ??= new TimerList(machine, dev, devWatchdog);
  if (!modTimer(dev.watchdogTimer, (machine.jiffies + dev.watchdogTimeo) | 0))
    netdevHold(dev, 'watchdog');
}

/** @kernel dev_watchdog_down net/sched/sch_generic.c */
function devWatchdogDown(dev: NetDevice): void {
  if (dev.watchdogTimer !== null && timerDelete(dev.watchdogTimer)) netdevPut(dev, 'watchdog');
}

/** Tells the driver of a queue that has been stopped for too long. @kernel dev_watchdog net/sched/sch_generic.c */
function devWatchdog(dev: NetDevice): void {
  const { machine } = dev.net;
  const idle = dev.tx.every((txq) => txq.qdisc === noopOf(dev));
  if (idle || !netifDevicePresent(dev) || !netifRunning(dev) || !netifCarrierOk(dev)) {
    netdevPut(dev, 'watchdog');
    return;
  }
  let oldest = machine.jiffies;
  for (const txq of dev.tx) {
    if (!netifXmitStopped(txq)) continue;
    if (timeAfterEq(machine.jiffies, (txq.transStart + dev.watchdogTimeo) | 0)) {
      txq.transTimeout++;
      if (tracepointKey.enabled) machine.trace.net.netDevXmitTimeout.probe?.(dev, txq.index);
      for (const other of dev.tx) other.state |= 1 << __QUEUE_STATE_FROZEN;
      dev.netdevOps.ndoTxTimeout?.(dev, txq.index);
      for (const other of dev.tx) unfreeze(other);
      oldest = machine.jiffies;
      break;
    }
    if (((oldest - txq.transStart) | 0) > 0) oldest = txq.transStart;
  }
  if (dev.watchdogTimer !== null) modTimer(dev.watchdogTimer, (oldest + dev.watchdogTimeo) | 0);
}

/** @kernel netif_tx_unlock include/linux/netdevice.h */
function unfreeze(txq: NetdevQueue): void {
  txq.state &= ~(1 << __QUEUE_STATE_FROZEN);
  if (!netifXmitStopped(txq)) __netifSchedule(txq.qdisc);
}

// With the device.

/** @kernel dev_init_scheduler net/sched/sch_generic.c */
function devInitScheduler(dev: NetDevice): void {
  const noop = noopOf(dev);
  dev.qdisc = noop;
  for (const txq of dev.tx) {
    txq.qdisc = noop;
    txq.qdiscSleeping = noop;
  }
}

/** @kernel attach_default_qdiscs net/sched/sch_generic.c */
function attachDefaultQdiscs(dev: NetDevice): void {
  const globals = dev.net.machine.netGlobals;
  const wanted = globals.qdiscBase.get(globals.defaultQdisc) ?? pfifoFastOps;
  const ops = (dev.privFlags & IFF_NO_QUEUE) !== 0 ? noqueueQdiscOps : wanted;
  const multi = netifIsMultiqueue(dev);
  for (const txq of dev.tx) {
    // Under mq, which has no handle, they are the classes :1, :2 and so on. @kernel mq_init
    const parent = multi ? txq.index + 1 : TC_H_ROOT;
    let q = qdiscCreateDflt(txq, ops, parent);
    if (q === null) {
      // As Linux does: a device whose default does not start gets none.
      dev.privFlags |= IFF_NO_QUEUE;
      q = qdiscCreateDflt(txq, noqueueQdiscOps, parent) ?? noopOf(dev);
    }
    q.flags |= TCQ_F_ONETXQUEUE | TCQ_F_NOPARENT;
    txq.qdiscSleeping = q;
  }
  const first = netdevGetTxQueue(dev, 0).qdiscSleeping;
  if (multi && (dev.privFlags & IFF_NO_QUEUE) === 0) {
    const mq = qdiscCreateDflt(netdevGetTxQueue(dev, 0), mqQdiscOps, TC_H_ROOT) ?? first;
    mq.flags |= TCQ_F_MQROOT;
    dev.qdisc = mq;
  } else {
    first.refcnt++;
    dev.qdisc = first;
  }
}

/** The device is up: its queues come into use. @kernel dev_activate net/sched/sch_generic.c */
function devActivate(dev: NetDevice): void {
  const noop = noopOf(dev);
  if (dev.qdisc === noop || dev.qdisc === null) attachDefaultQdiscs(dev);
  // Without a carrier the noop qdisc stays: what is sent is lost.
  if (!netifCarrierOk(dev)) return;
  let needWatchdog = false;
  for (const txq of dev.tx) {
    const q = txq.qdiscSleeping;
    if ((q.flags & TCQ_F_BUILTIN) === 0) q.state &= ~DEACTIVATED;
    txq.qdisc = q;
    if (q.ops !== noqueueQdiscOps) {
      txq.transStart = dev.net.machine.jiffies;
      needWatchdog = true;
    }
  }
  if (needWatchdog) {
    netifTransUpdate(dev);
    netdevWatchdogUp(dev);
  }
}

/** The device goes down: its queues are emptied. @kernel dev_deactivate net/sched/sch_generic.c */
function devDeactivate(dev: NetDevice): void {
  const noop = noopOf(dev);
  for (const txq of dev.tx) {
    const q = txq.qdisc;
    if ((q.flags & TCQ_F_BUILTIN) === 0) q.state |= DEACTIVATED;
    txq.qdisc = noop;
  }
  devWatchdogDown(dev);
  for (const txq of dev.tx) {
    const q = txq.qdiscSleeping;
    if ((q.flags & TCQ_F_BUILTIN) === 0) qdiscReset(q);
  }
}

/** The device goes away. @kernel dev_shutdown net/sched/sch_generic.c */
function devShutdown(dev: NetDevice): void {
  const noop = noopOf(dev);
  for (const txq of dev.tx) {
    const q = txq.qdiscSleeping;
    txq.qdisc = noop;
    txq.qdiscSleeping = noop;
    qdiscPut(q);
  }
  if (dev.qdisc !== null) qdiscPut(dev.qdisc);
  dev.qdisc = noop;
  if (dev.watchdogTimer !== null && timerPending(dev.watchdogTimer)) {
    throw new KernelBug('watchdog-running', `${dev.name} is shut down with its watchdog armed`);
  }
}

/** @kernel dev_qdisc_change_tx_queue_len net/sched/sch_generic.c */
function devQdiscChangeTxQueueLen(dev: NetDevice): number {
  const up = netifRunning(dev);
  if (up) devDeactivate(dev);
  let ret = 0;
  for (const txq of dev.tx) {
    const { changeTxQueueLen } = txq.qdiscSleeping.ops;
    if (changeTxQueueLen === null) continue;
    ret = changeTxQueueLen(txq.qdiscSleeping, dev.txQueueLen);
    if (ret !== 0) break;
  }
  if (up) devActivate(dev);
  return ret;
}

/** Drops what waits before the queues from `index` on. @kernel qdisc_reset_all_tx_gt include/net/sch_generic.h */
function qdiscResetAllTxGt(dev: NetDevice, index: number): void {
  for (let i = index; i < dev.numTxQueues; i++) {
    const { qdisc } = netdevGetTxQueue(dev, i);
    if ((qdisc.flags & TCQ_F_BUILTIN) === 0) qdiscReset(qdisc);
  }
}

/** Makes the scheduler known to the device layer, with the qdiscs every kernel has. */
export function schGenericInit(machine: Machine): number {
  const globals = machine.netGlobals;
  const noop = new Qdisc(noopQdiscOps, null, null);
  noop.flags |= TCQ_F_BUILTIN;
  globals.noopQdisc = noop;
  globals.schedOps = {
    devInitScheduler,
    devActivate,
    devDeactivate,
    devShutdown,
    devQdiscChangeTxQueueLen,
    qdiscResetAllTxGt,
    netdevWatchdogUp,
    schDirectXmit,
    __qdiscRun,
  };
  return (
    registerQdisc(machine, pfifoFastOps) ||
    registerQdisc(machine, mqQdiscOps) ||
    registerQdisc(machine, noqueueQdiscOps)
  );
}

/** 0, or -EEXIST when the name is taken. @kernel register_qdisc net/sched/sch_api.c */
export function registerQdisc(machine: Machine, ops: QdiscOps): number {
  const { qdiscBase } = machine.netGlobals;
  if (qdiscBase.has(ops.id)) return -EEXIST;
  qdiscBase.set(ops.id, ops);
  return 0;
}
