/**
 * The choice of a transmit queue: a connection keeps its queue while packets are under way, a new choice
 * follows the maps (XPS), and else the flow's hash. Counterpart of netdev_pick_tx() and its relatives in
 * net/core/dev.c.
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import { XPS_CPUS, XPS_RXQS, XpsDevMaps } from '#include/linux/netdevice_xps.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { skbGetRxQueue, skbRxQueueRecorded } from '#include/linux/skbuff_rx_queue.ts';
import type { NetGlobals } from '#include/net/net_globals.ts';
import { skFullsock } from '#include/net/sock.ts';
import { reciprocalScale } from '#lib/jhash.ts';
import { skbGetHash } from '#net/core/flow_dissector.ts';
import { EINVAL } from '#uapi/errno.ts';

// Maps.

/** Queues that a CPU or receive queue maps to; empty: none. */
export function xpsQueuesOf(dev: NetDevice, type: number, id: number): readonly number[] {
  return Array.from(dev.xpsMaps[type]?.attrMap[id] ?? []);
}

/** Adds a queue behind the others, unless it is there. @kernel expand_xps_map net/core/dev.c */
function addQueue(queues: readonly number[], index: number): readonly number[] {
  return queues.includes(index) ? queues : [...queues, index];
}

/** The last takes the place of what goes. @kernel remove_xps_queue net/core/dev.c */
function removeQueue(queues: readonly number[], index: number): readonly number[] {
  const at = queues.indexOf(index);
  if (at < 0) return queues;
  const left = queues.slice(0, -1);
  if (at < left.length) left[at] = queues[left.length] as number;
  return left;
}

/** The first and the last map of a device switch the look at them on and off. */
function count(globals: NetGlobals, type: number, change: number): void {
  globals.xpsNeeded += change;
  if (type === XPS_RXQS) globals.xpsRxqsNeeded += change;
}

/**
 * Says which CPUs (or receive queues, by `type`) shall use a transmit queue; none: it is theirs no more.
 * 0, or -EINVAL: no such queue. @kernel __netif_set_xps_queue net/core/dev.c
 */
export function __netifSetXpsQueue(
  dev: NetDevice,
  mask: Uint8Array,
  index: number,
  type: number,
): number {
  if (index >= dev.numTxQueues) return -EINVAL;
  const { cpus, netGlobals } = dev.net.machine;
  const before = dev.xpsMaps[type] ?? null;
  const maps = new XpsDevMaps(type === XPS_RXQS ? dev.numRxQueues : cpus.length);
  let active = false;
  for (let id = 0; id < maps.nrIds; id++) {
    const old = Array.from(before?.attrMap[id] ?? []);
    const queues = (mask[id] ?? 0) !== 0 ? addQueue(old, index) : removeQueue(old, index);
    if (queues.length === 0) continue;
    maps.attrMap[id] = Uint16Array.from(queues);
    active = true;
  }
  if (before !== null) count(netGlobals, type, -1);
  if (active) count(netGlobals, type, 1);
  dev.xpsMaps[type] = active ? maps : null;
  return 0;
}

/** @kernel netif_set_xps_queue net/core/dev.c */
export function netifSetXpsQueue(dev: NetDevice, mask: Uint8Array, index: number): number {
  return __netifSetXpsQueue(dev, mask, index, XPS_CPUS);
}

/** Forgets queues from `index` on: they are not in use any more. @kernel netif_reset_xps_queues net/core/dev.c */
export function netifResetXpsQueuesGt(dev: NetDevice, index: number): void {
  const none = new Uint8Array(0);
  for (const type of [XPS_CPUS, XPS_RXQS]) {
    if (dev.xpsMaps[type] === null) continue;
    for (let i = index; i < dev.numTxQueues; i++) __netifSetXpsQueue(dev, none, i, type);
  }
}

// The choice.

/** A queue by the packet's flow, or by the queue that it was received on. @kernel skb_tx_hash net/core/dev.c */
function skbTxHash(dev: NetDevice, skb: SkBuff): number {
  const queues = dev.realNumTxQueues;
  if (skbRxQueueRecorded(skb)) return skbGetRxQueue(skb) % queues;
  return reciprocalScale(skbGetHash(skb), queues);
}

/** @kernel __get_xps_queue_idx net/core/dev.c */
function getXpsQueueIdx(dev: NetDevice, skb: SkBuff, maps: XpsDevMaps, id: number): number {
  const queues = maps.attrMap[id] ?? null;
  if (queues === null) return -1;
  const at = queues.length === 1 ? 0 : reciprocalScale(skbGetHash(skb), queues.length);
  const index = queues[at] as number;
  return index < dev.realNumTxQueues ? index : -1;
}

/**
 * The queue that the maps say, -1: nothing. Where the flow's packets are received goes before where this
 * one is sent. @kernel get_xps_queue net/core/dev.c
 */
function getXpsQueue(dev: NetDevice, skb: SkBuff): number {
  const { machine } = dev.net;
  const globals = machine.netGlobals;
  if (globals.xpsNeeded === 0) return -1;
  const [cpusMap, rxqsMap] = dev.xpsMaps;
  if (globals.xpsRxqsNeeded !== 0 && rxqsMap !== null) {
    const { sk } = skb;
    const rxQueue = sk !== null && skFullsock(sk) ? sk.skRxQueueMapping : -1;
    const index = rxQueue < 0 ? -1 : getXpsQueueIdx(dev, skb, rxqsMap, rxQueue);
    if (index >= 0) return index;
  }
  return cpusMap === null ? -1 : getXpsQueueIdx(dev, skb, cpusMap, machine.cpu.id);
}

/**
 * The queue for a packet. A connection stays with its queue as long as packets of it may be in that
 * queue, or a later one could overtake them; TCP says in `oooOkay` when none are.
 * @kernel netdev_pick_tx net/core/dev.c
 */
export function netdevPickTx(dev: NetDevice, skb: SkBuff): number {
  // Requests and time-wait sockets send too little to have a queue.
  const sk = skb.sk !== null && skFullsock(skb.sk) ? skb.sk : null;
  const old = sk === null ? -1 : sk.skcTxQueueMapping;
  if (old >= 0 && !skb.oooOkay && old < dev.realNumTxQueues) return old;
  let index = getXpsQueue(dev, skb);
  if (index < 0) index = skbTxHash(dev, skb);
  // Without a route of its own the socket may send by another device next time.
  if (index !== old && sk !== null && sk.skDstCache !== null) sk.skcTxQueueMapping = index;
  return index;
}
