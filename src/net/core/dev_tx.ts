/**
 * Transmission: from dev_queue_xmit() through the qdisc to the driver, and the NET_TX soft interrupt.
 * Counterpart of those parts of net/core/dev.c.
 *
 *   dev_queue_xmit -> pick queue -> qdisc -> sch_direct_xmit -> validate_xmit_skb (segmentation,
 *   checksum) -> dev_hard_start_xmit (taps) -> ndo_start_xmit
 *
 * A driver that answers NETDEV_TX_BUSY keeps nothing: the packet goes back to the front of the qdisc.
 */

import { NETIF_F_LLTX } from '#include/linux/netdev_features.ts';
import {
  __QUEUE_STATE_DRV_XOFF,
  __QUEUE_STATE_STACK_XOFF,
  devCoreStatsTxDroppedInc,
  IFF_XMIT_DST_RELEASE,
  NET_RX_SUCCESS,
  NET_XMIT_DROP,
  NET_XMIT_MASK,
  NET_XMIT_SUCCESS,
  NETDEV_TX_BUSY,
  NETDEV_TX_OK,
  type NetDevice,
  type NetdevQueue,
  netdevGetTxQueue,
  netifTxQueueStopped,
  netifXmitFrozenOrStopped,
  netifXmitStopped,
  type PacketType,
  type SoftnetData,
  XMIT_RECURSION_LIMIT,
} from '#include/linux/netdevice.ts';
import {
  CHECKSUM_NONE,
  CHECKSUM_UNNECESSARY,
  SKBTX_SCHED_TSTAMP,
  type SkBuff,
  skbCheckLive,
  skbIsGso,
  skbIsGsoTcp,
  skbResetMacHeader,
  skbResetNetworkHeader,
} from '#include/linux/skbuff.ts';
import { __skbDequeue } from '#include/linux/skbuff_queue.ts';
import { skbDstDrop, skbDstForce } from '#include/net/dst.ts';
import {
  __QDISC_STATE_DEACTIVATED,
  __QDISC_STATE_SCHED,
  __qdiscDrop,
  type Qdisc,
  qdiscBstatsUpdate,
  qdiscQlen,
  qdiscRunBegin,
  qdiscRunEnd,
  type SchedOps,
  TCQ_F_CAN_BYPASS,
} from '#include/net/sch_generic.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { inHardirq } from '#kernel/cpu.ts';
import type { Machine } from '#kernel/machine.ts';
import {
  localBhDisable,
  localBhEnable,
  NET_TX_SOFTIRQ,
  raiseSoftirqIrqoff,
} from '#kernel/softirq.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { dqlAvail, dqlCompleted, dqlQueued, dqlReset } from '#lib/dynamic_queue_limits.ts';
import { view } from '#mm/memory.ts';
import { netifRx } from '#net/core/dev_backlog.ts';
import { __netTimestamp } from '#net/core/dev_rx.ts';
import { validateXmitSkb } from '#net/core/dev_validate.ts';
import { netdevPickTx } from '#net/core/dev_xps.ts';
import { __kfreeSkb, kfreeSkb, kfreeSkbList, skbClone, skbUnref } from '#net/core/skbuff.ts';
import { __skbTstampTx } from '#net/core/skbuff_tstamp.ts';
import { skbOrphanFragsRx } from '#net/core/skbuff_zerocopy.ts';
import { ENETDOWN } from '#uapi/errno.ts';
import { SCM_TSTAMP_SCHED } from '#uapi/errqueue.ts';
import { IFF_UP } from '#uapi/if.ts';
import { PACKET_LOOPBACK, PACKET_OUTGOING } from '#uapi/if_packet.ts';
import {
  SKB_CONSUMED,
  SKB_DROP_REASON_DEV_READY,
  SKB_DROP_REASON_NOMEM,
  SKB_DROP_REASON_NOT_SPECIFIED,
  SKB_DROP_REASON_QDISC_DROP,
  SKB_DROP_REASON_RECURSION_LIMIT,
} from '#uapi/net_dropreason.ts';
import { tcphdr } from '#uapi/tcp.ts';
import { udphdr } from '#uapi/udp.ts';

const DRV_XOFF = 1 << __QUEUE_STATE_DRV_XOFF;
const STACK_XOFF = 1 << __QUEUE_STATE_STACK_XOFF;

function softnet(machine: Machine): SoftnetData {
  return machine.netGlobals.softnetData[machine.cpu.id] as SoftnetData;
}

function sched(machine: Machine): SchedOps {
  const ops = machine.netGlobals.schedOps;
  if (ops === null) throw new KernelBug('no-scheduler', 'pktsched_init() has not run');
  return ops;
}

// Queues.

/** Has NET_TX run the qdisc. @kernel __netif_schedule net/core/dev.c */
export function __netifSchedule(q: Qdisc): void {
  if ((q.state & (1 << __QDISC_STATE_SCHED)) !== 0 || q.dev === null) return;
  q.state |= 1 << __QDISC_STATE_SCHED;
  const { machine } = q.dev.net;
  const sd = softnet(machine);
  q.nextSched = null;
  if (sd.outputQueueTail === null) sd.outputQueue = q;
  else sd.outputQueueTail.nextSched = q;
  sd.outputQueueTail = q;
  raiseSoftirqIrqoff(machine, NET_TX_SOFTIRQ);
}

/** The queue may have room again. @kernel netif_schedule_queue net/core/dev.c */
export function netifScheduleQueue(txq: NetdevQueue): void {
  if (!netifXmitStopped(txq)) __netifSchedule(txq.qdisc);
}

/** The driver can take packets again. @kernel netif_tx_wake_queue net/core/dev.c */
export function netifTxWakeQueue(txq: NetdevQueue): void {
  if ((txq.state & DRV_XOFF) === 0) return;
  txq.state &= ~DRV_XOFF;
  __netifSchedule(txq.qdisc);
}

/** @kernel netif_wake_queue include/linux/netdevice.h */
export function netifWakeQueue(dev: NetDevice): void {
  netifTxWakeQueue(netdevGetTxQueue(dev, 0));
}

/** @kernel netif_tx_wake_all_queues include/linux/netdevice.h */
export function netifTxWakeAllQueues(dev: NetDevice): void {
  for (const txq of dev.tx) netifTxWakeQueue(txq);
}

/** Counts bytes given to the device, and stops the queue at its byte limit. @kernel netdev_tx_sent_queue include/linux/netdevice.h */
export function netdevTxSentQueue(txq: NetdevQueue, bytes: number): void {
  dqlQueued(txq.dql, bytes);
  if (dqlAvail(txq.dql) >= 0) return;
  txq.transStart = txq.dev.net.machine.jiffies;
  txq.state |= STACK_XOFF;
}

/**
 * The same for a packet that others may follow at once; true: the device is to be told now.
 * @kernel __netdev_tx_sent_queue include/linux/netdevice.h
 */
export function __netdevTxSentQueue(txq: NetdevQueue, bytes: number, xmitMore: boolean): boolean {
  if (xmitMore) {
    dqlQueued(txq.dql, bytes);
    return netifTxQueueStopped(txq);
  }
  netdevTxSentQueue(txq, bytes);
  return true;
}

/** Counts bytes that have left the device. @kernel netdev_tx_completed_queue include/linux/netdevice.h */
export function netdevTxCompletedQueue(txq: NetdevQueue, _pkts: number, bytes: number): void {
  if (bytes === 0) return;
  const { machine } = txq.dev.net;
  if (!dqlCompleted(txq.dql, bytes, machine.jiffies)) {
    throw new KernelBug('dql-completed', `${txq.dev.name}: ${bytes} bytes more than were queued`);
  }
  if (dqlAvail(txq.dql) < 0 || (txq.state & STACK_XOFF) === 0) return;
  txq.state &= ~STACK_XOFF;
  netifScheduleQueue(txq);
}

/** The device holds nothing any more. @kernel netdev_tx_reset_queue include/linux/netdevice.h */
export function netdevTxResetQueue(txq: NetdevQueue): void {
  txq.state &= ~STACK_XOFF;
  dqlReset(txq.dql, txq.dev.net.machine.jiffies);
}

/** @kernel netdev_sent_queue include/linux/netdevice.h */
export function netdevSentQueue(dev: NetDevice, bytes: number): void {
  netdevTxSentQueue(netdevGetTxQueue(dev, 0), bytes);
}

/** @kernel netdev_completed_queue include/linux/netdevice.h */
export function netdevCompletedQueue(dev: NetDevice, pkts: number, bytes: number): void {
  netdevTxCompletedQueue(netdevGetTxQueue(dev, 0), pkts, bytes);
}

/** @kernel netdev_reset_queue include/linux/netdevice.h */
export function netdevResetQueue(dev: NetDevice): void {
  netdevTxResetQueue(netdevGetTxQueue(dev, 0));
}

/** @kernel netdev_core_pick_tx net/core/dev.c */
export function netdevCorePickTx(dev: NetDevice, skb: SkBuff): NetdevQueue {
  let index = 0;
  if (dev.realNumTxQueues !== 1) {
    const select = dev.netdevOps.ndoSelectQueue;
    index = select !== null ? select(dev, skb) : netdevPickTx(dev, skb);
    if (index >= dev.realNumTxQueues) index = 0;
  }
  skb.queueMapping = index;
  return netdevGetTxQueue(dev, index);
}

// Towards the driver.

/** Gives every tap a clone of what leaves. @kernel dev_queue_xmit_nit net/core/dev.c */
function devQueueXmitNit(skb: SkBuff, dev: NetDevice): void {
  nitList(skb, dev, dev.net.machine.netGlobals.ptypeAll);
  nitList(skb, dev, dev.ptypeAll);
}

function nitList(skb: SkBuff, dev: NetDevice, list: readonly PacketType[]): void {
  for (const pt of list) {
    if (pt.ignoreOutgoing || (pt.net !== null && pt.net !== dev.net)) continue;
    // Never loop a packet back to the socket that sent it.
    if (skb.sk !== null && pt.afPacketPriv !== null && loopsBack(pt, skb)) continue;
    const n = skbClone(skb);
    if (skbOrphanFragsRx(n) !== 0) {
      kfreeSkb(n, SKB_DROP_REASON_NOMEM, 'dev_queue_xmit_nit');
      return;
    }
    __netTimestamp(n);
    skbResetMacHeader(n);
    if (n.networkHeader < n.data || n.networkHeader > n.tail) skbResetNetworkHeader(n);
    n.transportHeader = n.networkHeader;
    n.pktType = PACKET_OUTGOING;
    pt.func(n, dev, pt, dev);
  }
}

/** @kernel skb_loop_sk net/core/dev.c */
function loopsBack(pt: PacketType, skb: SkBuff): boolean {
  const sk = skb.sk as object;
  return pt.idMatch !== null ? pt.idMatch(pt, sk) : pt.afPacketPriv === sk;
}

/** Hands one packet to the driver. @kernel xmit_one net/core/dev.c */
function xmitOne(skb: SkBuff, dev: NetDevice, txq: NetdevQueue, more: boolean): number {
  const { machine } = dev.net;
  const { net } = machine.trace;
  if (machine.netGlobals.ptypeAll.length !== 0 || dev.ptypeAll.length !== 0) {
    devQueueXmitNit(skb, dev);
  }
  const { len } = skb;
  if (tracepointKey.enabled) net.netDevStartXmit.probe?.(skb, dev);
  softnet(machine).xmitMore = more;
  const rc = dev.netdevOps.ndoStartXmit(skb, dev);
  if (rc === NETDEV_TX_OK) txq.transStart = machine.jiffies;
  if (tracepointKey.enabled) net.netDevXmit.probe?.(skb, rc, dev, len);
  if (DEBUG && rc === NETDEV_TX_BUSY && !netifXmitStopped(txq)) {
    throw new KernelBug(
      'queue-not-stopped',
      `${dev.name} returned NETDEV_TX_BUSY without netif_stop_queue: it would be asked for ever`,
    );
  }
  return rc;
}

/** Has the driver taken the packet, for better or worse? @kernel dev_xmit_complete include/linux/netdevice.h */
export function devXmitComplete(rc: number): boolean {
  return rc < NET_XMIT_MASK;
}

/**
 * Hands a list of packets to the driver. Returns those it did not take; its last answer is in
 * `softnetData.xmitRet`.
 * @kernel dev_hard_start_xmit net/core/dev.c
 */
export function devHardStartXmit(first: SkBuff, dev: NetDevice, txq: NetdevQueue): SkBuff | null {
  const sd = softnet(dev.net.machine);
  let skb: SkBuff | null = first;
  let rc = NETDEV_TX_OK;
  while (skb !== null) {
    const next: SkBuff | null = skb.next;
    skb.next = null;
    rc = xmitOne(skb, dev, txq, next !== null);
    if (!devXmitComplete(rc)) {
      skb.next = next;
      break;
    }
    skb = next;
    if (skb !== null && netifXmitStopped(txq)) {
      rc = NETDEV_TX_BUSY;
      break;
    }
  }
  sd.xmitRet = rc;
  return skb;
}

/** Takes the transmit lock of drivers that want one. @kernel HARD_TX_LOCK include/linux/netdevice.h */
export function hardTxLock(dev: NetDevice, txq: NetdevQueue, cpu: number): void {
  if ((dev.features & NETIF_F_LLTX) !== 0) return;
  if (DEBUG && txq.xmitLockOwner === cpu) {
    throw new KernelBug('xmit-lock', `${dev.name} transmits inside its own transmission`);
  }
  txq.xmitLockOwner = cpu;
}

/** @kernel HARD_TX_UNLOCK include/linux/netdevice.h */
export function hardTxUnlock(dev: NetDevice, txq: NetdevQueue): void {
  if ((dev.features & NETIF_F_LLTX) === 0) txq.xmitLockOwner = -1;
}

/** Validates every packet of a list. @kernel validate_xmit_skb_list net/core/dev.c */
export function validateXmitSkbList(first: SkBuff, dev: NetDevice): SkBuff | null {
  let head: SkBuff | null = null;
  let tail: SkBuff | null = null;
  let skb: SkBuff | null = first;
  while (skb !== null) {
    const next: SkBuff | null = skb.next;
    skb.next = null;
    const valid: SkBuff | null = validateXmitSkb(skb, dev);
    if (valid !== null) {
      if (tail === null) head = valid;
      else tail.next = valid;
      // Segmentation may have made a list of it.
      tail = valid;
      while (tail.next !== null) tail = tail.next;
    }
    skb = next;
  }
  return head;
}

// Towards the qdisc.

/** Bytes on the wire, with the headers of all segments. @kernel qdisc_pkt_len_init net/core/dev.c */
function qdiscPktLenInit(skb: SkBuff): void {
  skb.pktLen = skb.len;
  if (!skbIsGso(skb) || skb.transportHeader < 0) return;
  const { shinfo } = skb;
  let hdrLen = skb.transportHeader - skb.macHeader;
  if (skbIsGsoTcp(skb)) {
    if (skb.transportHeader + tcphdr.LEN > skb.tail) return;
    hdrLen += tcphdr.hdrlen(view, skb.transportHeader);
  } else {
    hdrLen += udphdr.LEN;
  }
  if (shinfo.gsoSegs > 1) skb.pktLen += (shinfo.gsoSegs - 1) * hdrLen;
}

/** @kernel dev_qdisc_enqueue net/core/dev.c */
function devQdiscEnqueue(
  skb: SkBuff,
  q: Qdisc,
  enqueue: NonNullable<Qdisc['ops']['enqueue']>,
  txq: NetdevQueue,
): number {
  const { machine } = skb;
  const rc = enqueue(skb, q, softnet(machine).toFree) & NET_XMIT_MASK;
  if (rc === NET_XMIT_SUCCESS) {
    if (tracepointKey.enabled) machine.trace.qdisc.qdiscEnqueue.probe?.(q, txq, skb);
  }
  return rc;
}

/** Drops what qdiscs have refused. */
function freeRefused(sd: SoftnetData): void {
  for (let skb = __skbDequeue(sd.toFree); skb !== null; skb = __skbDequeue(sd.toFree)) {
    kfreeSkb(skb, skb.cb0, '__dev_xmit_skb');
  }
}

/** @kernel __dev_xmit_skb net/core/dev.c */
function __devXmitSkb(
  skb: SkBuff,
  q: Qdisc,
  enqueue: NonNullable<Qdisc['ops']['enqueue']>,
  dev: NetDevice,
  txq: NetdevQueue,
): number {
  const ops = sched(dev.net.machine);
  const sd = softnet(dev.net.machine);
  let rc: number;
  if ((q.state & (1 << __QDISC_STATE_DEACTIVATED)) !== 0) {
    __qdiscDrop(skb, sd.toFree, SKB_DROP_REASON_QDISC_DROP);
    rc = NET_XMIT_DROP;
  } else if ((q.flags & TCQ_F_CAN_BYPASS) !== 0 && qdiscQlen(q) === 0 && qdiscRunBegin(q)) {
    // An empty queue that keeps the order anyway need not be filled.
    qdiscBstatsUpdate(q, skb);
    if (ops.schDirectXmit(skb, q, dev, txq, true) && qdiscQlen(q) !== 0) ops.__qdiscRun(q);
    qdiscRunEnd(q);
    rc = NET_XMIT_SUCCESS;
  } else {
    rc = devQdiscEnqueue(skb, q, enqueue, txq);
    qdiscRun(q);
  }
  if (sd.toFree.next !== null) freeRefused(sd);
  return rc;
}

/** @kernel qdisc_run include/net/pkt_sched.h */
export function qdiscRun(q: Qdisc): void {
  if (!qdiscRunBegin(q)) return;
  if (q.dev !== null) sched(q.dev.net.machine).__qdiscRun(q);
  qdiscRunEnd(q);
}

/** Straight to a device that has no queue. @kernel __dev_queue_xmit net/core/dev.c */
function xmitNoQueue(packet: SkBuff, dev: NetDevice, txq: NetdevQueue): number {
  const { machine } = dev.net;
  const cpu = machine.cpu.id;
  const sd = softnet(machine);
  let skb: SkBuff | null = packet;
  let reason = SKB_DROP_REASON_DEV_READY;
  if ((dev.flags & IFF_UP) !== 0) {
    if (txq.xmitLockOwner === cpu || sd.xmitRecursion > XMIT_RECURSION_LIMIT) {
      // Virtual devices stacked in a loop, or too deep.
      reason = SKB_DROP_REASON_RECURSION_LIMIT;
    } else {
      skb = validateXmitSkb(skb, dev);
      if (skb === null) return -ENETDOWN;
      hardTxLock(dev, txq, cpu);
      if (!netifXmitStopped(txq)) {
        sd.xmitRecursion++;
        skb = devHardStartXmit(skb, dev, txq);
        sd.xmitRecursion--;
        if (devXmitComplete(sd.xmitRet)) {
          hardTxUnlock(dev, txq);
          return sd.xmitRet;
        }
      }
      hardTxUnlock(dev, txq);
    }
  }
  devCoreStatsTxDroppedInc(dev);
  kfreeSkbList(skb, reason, '__dev_queue_xmit');
  return -ENETDOWN;
}

/**
 * Sends a packet whose `dev` and link header are set; it is used up in any case. NET_XMIT_* or a
 * negative errno.
 * @kernel dev_queue_xmit include/linux/netdevice.h
 * @kernel __dev_queue_xmit net/core/dev.c
 */
export function devQueueXmit(skb: SkBuff): number {
  const { machine } = skb;
  const dev = skb.dev as NetDevice;
  if (DEBUG) checkXmit(skb);
  skbResetMacHeader(skb);
  if ((skb.shinfo.txFlags & SKBTX_SCHED_TSTAMP) !== 0) {
    __skbTstampTx(skb, 0, skb.sk, SCM_TSTAMP_SCHED);
  }
  // Leaving the section below runs what the transmission has raised: loopback delivers there.
  localBhDisable(machine);
  qdiscPktLenInit(skb);
  if ((dev.privFlags & IFF_XMIT_DST_RELEASE) !== 0) skbDstDrop(skb);
  else skbDstForce(skb);
  const txq = netdevCorePickTx(dev, skb);
  const q = txq.qdisc;
  if (tracepointKey.enabled) machine.trace.net.netDevQueue.probe?.(skb);
  const { enqueue } = q.ops;
  const rc =
    enqueue !== null ? __devXmitSkb(skb, q, enqueue, dev, txq) : xmitNoQueue(skb, dev, txq);
  localBhEnable(machine);
  return rc;
}

function checkXmit(skb: SkBuff): void {
  skbCheckLive(skb);
  if (inHardirq(skb.machine.cpu)) {
    throw new KernelBug('wrong-context', 'dev_queue_xmit in a hard interrupt');
  }
  if (skb.dev === null) throw new KernelBug('xmit-no-dev', `skb ${skb.id} has no device`);
  if (skb.len === 0) throw new KernelBug('xmit-empty', `skb ${skb.id} has no data`);
  if (skb.dev.net.machine !== skb.machine) {
    throw new KernelBug('xmit-machine', `skb ${skb.id} belongs to another machine`);
  }
}

/** Past the qdisc to a queue of the device. NET_XMIT_* or NETDEV_TX_BUSY (the packet is gone). @kernel dev_direct_xmit include/linux/netdevice.h */
export function devDirectXmit(packet: SkBuff, queueId: number): number {
  const dev = packet.dev as NetDevice;
  const { machine } = dev.net;
  let ret = NETDEV_TX_BUSY;
  if ((dev.flags & IFF_UP) === 0) {
    devCoreStatsTxDroppedInc(dev);
    kfreeSkb(packet, SKB_DROP_REASON_DEV_READY, 'dev_direct_xmit');
    return NET_XMIT_DROP;
  }
  localBhDisable(machine);
  let skb = validateXmitSkbList(packet, dev);
  if (skb !== null) {
    const txq = netdevGetTxQueue(dev, queueId);
    skb.queueMapping = queueId;
    const sd = softnet(machine);
    sd.xmitRecursion++;
    hardTxLock(dev, txq, machine.cpu.id);
    if (!netifXmitFrozenOrStopped(txq)) {
      skb = devHardStartXmit(skb, dev, txq);
      ret = sd.xmitRet;
    }
    hardTxUnlock(dev, txq);
    sd.xmitRecursion--;
  }
  localBhEnable(machine);
  if (!devXmitComplete(ret)) kfreeSkbList(skb, SKB_DROP_REASON_NOT_SPECIFIED, 'dev_direct_xmit');
  return ret;
}

/** A copy of what is multicast comes back to this host. @kernel dev_loopback_xmit net/core/dev.c */
export function devLoopbackXmit(skb: SkBuff): number {
  skbResetMacHeader(skb);
  skb.len -= skb.networkHeader - skb.data;
  skb.data = skb.networkHeader;
  skb.pktType = PACKET_LOOPBACK;
  if (skb.ipSummed === CHECKSUM_NONE) skb.ipSummed = CHECKSUM_UNNECESSARY;
  skbDstForce(skb);
  netifRx(skb);
  return NET_RX_SUCCESS;
}

// Freeing from drivers, and NET_TX.

/** Leaves the packet for NET_TX to free: callable in hard interrupts. @kernel dev_kfree_skb_irq_reason net/core/dev.c */
export function devKfreeSkbIrqReason(skb: SkBuff | null, reason: number): void {
  if (skb === null || !skbUnref(skb)) return;
  const { machine } = skb;
  skb.users = 0;
  skb.cb0 = reason;
  const sd = softnet(machine);
  skb.next = sd.completionQueue;
  sd.completionQueue = skb;
  raiseSoftirqIrqoff(machine, NET_TX_SOFTIRQ);
}

/** @kernel dev_consume_skb_irq include/linux/netdevice.h */
export function devConsumeSkbIrq(skb: SkBuff | null): void {
  devKfreeSkbIrqReason(skb, SKB_CONSUMED);
}

/** Frees in any context. @kernel dev_kfree_skb_any_reason net/core/dev.c */
export function devKfreeSkbAnyReason(skb: SkBuff | null, reason: number): void {
  if (skb === null) return;
  const { cpu } = skb.machine;
  if (inHardirq(cpu) || cpu.irqDisableCount > 0) devKfreeSkbIrqReason(skb, reason);
  else kfreeSkb(skb, reason, 'dev_kfree_skb_any_reason');
}

/** The packet is lost. @kernel dev_kfree_skb_any include/linux/netdevice.h */
export function devKfreeSkbAny(skb: SkBuff | null, reason: number): void {
  devKfreeSkbAnyReason(skb, reason);
}

/** The packet was sent. @kernel dev_consume_skb_any include/linux/netdevice.h */
export function devConsumeSkbAny(skb: SkBuff | null): void {
  devKfreeSkbAnyReason(skb, SKB_CONSUMED);
}

/** From a NAPI poll; with a budget of 0 (netpoll) in any context. @kernel napi_consume_skb net/core/skbuff.c */
export function napiConsumeSkb(skb: SkBuff | null, budget: number): void {
  if (budget === 0) devConsumeSkbAny(skb);
  else if (skb !== null) kfreeSkb(skb, SKB_CONSUMED, 'napi_consume_skb');
}

/** The NET_TX soft interrupt: frees what was sent, runs the qdiscs that can go on. @kernel net_tx_action net/core/dev.c */
export function netTxAction(machine: Machine): void {
  const sd = softnet(machine);
  let done = sd.completionQueue;
  sd.completionQueue = null;
  while (done !== null) {
    const skb = done;
    done = skb.next;
    skb.next = null;
    freeCompleted(skb);
  }
  let q = sd.outputQueue;
  sd.outputQueue = null;
  sd.outputQueueTail = null;
  while (q !== null) {
    const next: Qdisc | null = q.nextSched;
    q.nextSched = null;
    q.state &= ~(1 << __QDISC_STATE_SCHED);
    if ((q.state & (1 << __QDISC_STATE_DEACTIVATED)) === 0) qdiscRun(q);
    q = next;
  }
  if (sd.toFree.next !== null) freeRefused(sd);
}

function freeCompleted(skb: SkBuff): void {
  const { trace } = skb.machine;
  const reason = skb.cb0;
  if (reason === SKB_CONSUMED) {
    if (tracepointKey.enabled) trace.skb.consumeSkb.probe?.(skb, 'net_tx_action');
  } else if (tracepointKey.enabled) {
    trace.skb.kfreeSkb.probe?.(skb, 'net_tx_action', reason, null);
  }
  __kfreeSkb(skb, reason);
}
