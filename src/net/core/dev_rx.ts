/**
 * Reception: taps, rx_handler and the demultiplexer by EtherType. Counterpart of those parts of
 * net/core/dev.c.
 *
 *   driver -> netif_receive_skb -> taps (ptype_all) -> VLAN -> rx_handler -> ptype_base -> ip_rcv ...
 *
 * A receiver is called one step late, so that only the last one gets the packet itself and all
 * before it a counted reference.
 */
import { __vlanHwaccelClearTag } from '#include/linux/if_vlan.ts';
import {
  devCoreStatsRxDroppedInc,
  NET_RX_DROP,
  NET_RX_SUCCESS,
  type NetDevice,
  type PacketType,
  RX_HANDLER_ANOTHER,
  RX_HANDLER_CONSUMED,
  RX_HANDLER_EXACT,
  RX_HANDLER_PASS,
} from '#include/linux/netdevice.ts';
import {
  type SkBuff,
  type SkBuffHead,
  skbCheckLive,
  skbResetMacLen,
  skbResetNetworkHeader,
  skbResetTransportHeader,
  skbTransportHeaderWasSet,
} from '#include/linux/skbuff.ts';
import { __skbDequeue } from '#include/linux/skbuff_queue.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { inSoftirq } from '#kernel/cpu.ts';
import type { Machine } from '#kernel/machine.ts';
import { rcuReadLock, rcuReadUnlock } from '#kernel/rcu.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { enqueueToBacklog, getRpsCpu } from '#net/core/dev_rps.ts';
import { kfreeSkb } from '#net/core/skbuff.ts';
import { skbVlanUntag } from '#net/core/skbuff_vlan.ts';
import { skbOrphanFragsRx } from '#net/core/skbuff_zerocopy.ts';
import { ENOMEM } from '#uapi/errno.ts';
import { ETH_P_8021AD, ETH_P_8021Q, ETH_P_ALL } from '#uapi/if_ether.ts';
import { PACKET_OTHERHOST } from '#uapi/if_packet.ts';
import { SKB_DROP_REASON_NOMEM, SKB_DROP_REASON_UNHANDLED_PROTO } from '#uapi/net_dropreason.ts';

const VLAN_VID_MASK = 0x0fff;

// Registration of receivers.

/** The list a receiver belongs on. @kernel ptype_head net/core/dev.c */
function ptypeList(machine: Machine, pt: PacketType): PacketType[] {
  const globals = machine.netGlobals;
  if (pt.type === ETH_P_ALL) return pt.dev !== null ? pt.dev.ptypeAll : globals.ptypeAll;
  if (pt.dev !== null) return pt.dev.ptypeSpecific;
  let list = globals.ptypeBase.get(pt.type);
  if (list === undefined) {
    list = [];
    globals.ptypeBase.set(pt.type, list);
  }
  return list;
}

/** Adds a receiver of a protocol, or a tap. @kernel dev_add_pack net/core/dev.c */
export function devAddPack(machine: Machine, pt: PacketType): void {
  ptypeList(machine, pt).unshift(pt);
}

/** @kernel dev_remove_pack net/core/dev.c */
export function devRemovePack(machine: Machine, pt: PacketType): void {
  const list = ptypeList(machine, pt);
  const at = list.indexOf(pt);
  if (at >= 0) list.splice(at, 1);
  else if (DEBUG) throw new KernelBug('ptype-unknown', `receiver of type ${pt.type}`);
}

// Timestamps.

/** Somebody wants receive timestamps. @kernel net_enable_timestamp net/core/dev.c */
export function netEnableTimestamp(machine: Machine): void {
  machine.netGlobals.netstampNeeded++;
}

/** @kernel net_disable_timestamp net/core/dev.c */
export function netDisableTimestamp(machine: Machine): void {
  machine.netGlobals.netstampNeeded--;
}

/** @kernel __net_timestamp include/linux/skbuff.h */
export function __netTimestamp(skb: SkBuff): void {
  skb.tstamp = skb.machine.nowNs > 0 ? skb.machine.nowNs : 1;
  skb.tstampType = 0;
}

/** @kernel net_timestamp_check net/core/dev.c */
export function netTimestampCheck(skb: SkBuff, when: number): void {
  const globals = skb.machine.netGlobals;
  if (globals.netstampNeeded > 0 && globals.netdevTstampPrequeue === when && skb.tstamp === 0) {
    __netTimestamp(skb);
  }
}

// The way up.

/** Gives a receiver a counted reference. @kernel deliver_skb net/core/dev.c */
function deliverSkb(skb: SkBuff, pt: PacketType, origDev: NetDevice): number {
  if (skbOrphanFragsRx(skb) !== 0) return -ENOMEM;
  skb.users++;
  return pt.func(skb, skb.dev as NetDevice, pt, origDev);
}

/**
 * Offers the packet to the receivers of a list, one behind; returns the last that takes it.
 * @kernel deliver_ptype_list_skb net/core/dev.c
 */
function deliverList(
  skb: SkBuff,
  prev: PacketType | null,
  origDev: NetDevice,
  list: readonly PacketType[],
  type: number,
): PacketType | null {
  let ptPrev = prev;
  for (let i = 0; i < list.length; i++) {
    const pt = list[i] as PacketType;
    if (pt.type !== type) continue;
    if (pt.net !== null && pt.net !== (skb.dev as NetDevice).net) continue;
    if (ptPrev !== null) deliverSkb(skb, ptPrev, origDev);
    ptPrev = pt;
  }
  return ptPrev;
}

/** A tag of a VLAN that nobody has made: for somebody else, unless it is only a priority. */
function stripForeignTag(skb: SkBuff): void {
  if ((skb.vlanTci & VLAN_VID_MASK) !== 0) skb.pktType = PACKET_OTHERHOST;
  __vlanHwaccelClearTag(skb);
}

/**
 * Takes a packet through taps, handlers and protocols, in which it ends.
 * @kernel __netif_receive_skb_core net/core/dev.c
 */
function __netifReceiveSkbCore(packet: SkBuff): number {
  let skb = packet;
  const { machine } = skb;
  const globals = machine.netGlobals;
  netTimestampCheck(skb, 0);
  if (tracepointKey.enabled) machine.trace.net.netifReceiveSkb.probe?.(skb);
  const origDev = skb.dev as NetDevice;
  skbResetNetworkHeader(skb);
  if (!skbTransportHeaderWasSet(skb)) skbResetTransportHeader(skb);
  skbResetMacLen(skb);
  const sd = globals.softnetData[machine.cpu.id];
  let ptPrev: PacketType | null = null;
  let deliverExact = false;
  for (;;) {
    const dev = skb.dev as NetDevice;
    skb.skbIif = dev.ifindex;
    if (sd !== undefined) sd.processed++;
    if (skb.protocol === ETH_P_8021Q || skb.protocol === ETH_P_8021AD) {
      const untagged = skbVlanUntag(skb);
      if (untagged === null) return NET_RX_SUCCESS;
      skb = untagged;
    }
    if (globals.ptypeAll.length !== 0) {
      ptPrev = deliverList(skb, ptPrev, origDev, globals.ptypeAll, ETH_P_ALL);
    }
    if (dev.ptypeAll.length !== 0) {
      ptPrev = deliverList(skb, ptPrev, origDev, dev.ptypeAll, ETH_P_ALL);
    }
    if (skb.vlanPresent) {
      // Taps see the tag, whatever becomes of it.
      if (ptPrev !== null) {
        deliverSkb(skb, ptPrev, origDev);
        ptPrev = null;
      }
      const inner = globals.vlanDoReceive === null ? skb : globals.vlanDoReceive(skb);
      if (inner === null) return NET_RX_SUCCESS;
      if (inner.dev !== dev) {
        skb = inner;
        continue;
      }
    }
    if (dev.rxHandler === null) break;
    if (ptPrev !== null) {
      deliverSkb(skb, ptPrev, origDev);
      ptPrev = null;
    }
    const answer = dev.rxHandler(skb);
    if (answer.result === RX_HANDLER_CONSUMED || answer.skb === null) return NET_RX_SUCCESS;
    skb = answer.skb;
    if (answer.result === RX_HANDLER_ANOTHER) continue;
    if (answer.result === RX_HANDLER_EXACT) deliverExact = true;
    else if (answer.result !== RX_HANDLER_PASS) throw new KernelBug('rx-handler', dev.name);
    break;
  }
  if (skb.vlanPresent) stripForeignTag(skb);
  return deliverByType(skb, ptPrev, origDev, deliverExact);
}

/** The protocols' receivers; the last one gets the packet itself. */
function deliverByType(
  skb: SkBuff,
  prev: PacketType | null,
  origDev: NetDevice,
  deliverExact: boolean,
): number {
  const type = skb.protocol;
  const dev = skb.dev as NetDevice;
  let ptPrev = prev;
  if (!deliverExact) {
    const list = skb.machine.netGlobals.ptypeBase.get(type);
    if (list !== undefined) ptPrev = deliverList(skb, ptPrev, origDev, list, type);
  }
  if (origDev.ptypeSpecific.length !== 0) {
    ptPrev = deliverList(skb, ptPrev, origDev, origDev.ptypeSpecific, type);
  }
  if (dev !== origDev && dev.ptypeSpecific.length !== 0) {
    ptPrev = deliverList(skb, ptPrev, origDev, dev.ptypeSpecific, type);
  }
  if (ptPrev !== null && skbOrphanFragsRx(skb) !== 0) {
    devCoreStatsRxDroppedInc(dev);
    kfreeSkb(skb, SKB_DROP_REASON_NOMEM, '__netif_receive_skb_core');
    return NET_RX_DROP;
  }
  if (ptPrev !== null) return ptPrev.func(skb, dev, ptPrev, origDev);
  if (deliverExact) dev.coreRxNohandler++;
  else devCoreStatsRxDroppedInc(dev);
  kfreeSkb(skb, SKB_DROP_REASON_UNHANDLED_PROTO, '__netif_receive_skb_core');
  return NET_RX_DROP;
}

/** @kernel __netif_receive_skb net/core/dev.c */
export function __netifReceiveSkb(skb: SkBuff): number {
  const { machine } = skb;
  if (DEBUG) {
    skbCheckLive(skb);
    if (!inSoftirq(machine.cpu)) {
      throw new KernelBug('rx-context', 'netif_receive_skb outside of a soft interrupt');
    }
    if (skb.dev === null) throw new KernelBug('rx-no-dev', `skb ${skb.id} came from nowhere`);
  }
  rcuReadLock(machine);
  const ret = __netifReceiveSkbCore(skb);
  rcuReadUnlock(machine);
  return ret;
}

/** @kernel netif_receive_skb_internal net/core/dev.c */
function netifReceiveSkbInternal(skb: SkBuff): number {
  netTimestampCheck(skb, 1);
  const globals = skb.machine.netGlobals;
  if (globals.rpsNeeded !== 0) {
    const cpu = getRpsCpu(skb.dev as NetDevice, skb);
    if (cpu >= 0) {
      globals.rpsSteered++;
      return enqueueToBacklog(skb, cpu, globals.rpsFlowTable, globals.rpsFlowSlot);
    }
  }
  return __netifReceiveSkb(skb);
}

/**
 * Takes a packet from a driver, in a soft interrupt: `dev`, `protocol` and the link header are set,
 * `data` is behind the link header. NET_RX_SUCCESS or NET_RX_DROP.
 * @kernel netif_receive_skb net/core/dev.c
 */
export function netifReceiveSkb(skb: SkBuff): number {
  const { net } = skb.machine.trace;
  if (tracepointKey.enabled) net.netifReceiveSkbEntry.probe?.(skb);
  const ret = netifReceiveSkbInternal(skb);
  if (tracepointKey.enabled) net.netifReceiveSkbExit.probe?.(ret);
  return ret;
}

/** Passes all packets of a list up; the list is empty then. @kernel netif_receive_skb_list_internal net/core/dev.c */
export function netifReceiveSkbListInternal(list: SkBuffHead): void {
  for (let skb = __skbDequeue(list); skb !== null; skb = __skbDequeue(list)) {
    netifReceiveSkbInternal(skb);
  }
}

/** Takes a list of packets from a driver. @kernel netif_receive_skb_list net/core/dev.c */
export function netifReceiveSkbList(list: SkBuffHead): void {
  const first = list.next;
  if (first === null) return;
  const { net } = first.machine.trace;
  if (tracepointKey.enabled && net.netifReceiveSkbListEntry.probe !== null) {
    for (let skb: SkBuff | null = first; skb !== null; skb = skb.next) {
      net.netifReceiveSkbListEntry.probe(skb);
    }
  }
  netifReceiveSkbListInternal(list);
  if (tracepointKey.enabled) net.netifReceiveSkbListExit.probe?.(0);
}
