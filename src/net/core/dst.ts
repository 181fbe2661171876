/**
 * Destination entries of every family: making them, and taking their device away.
 *
 * Counterpart of net/core/dst.c; reference counts and the small functions are in include/net/dst.ts.
 */
import {
  __LINK_STATE_PRESENT,
  __LINK_STATE_START,
  NETREG_DUMMY,
  NetDevice,
  type NetDeviceOps,
} from '#include/linux/netdevice.ts';
import { netdevHold, netdevPut } from '#include/linux/netdevice_ref.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { DST_DEFAULT_METRICS, DST_OBSOLETE_DEAD, type DstEntry } from '#include/net/dst.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Sock } from '#include/net/sock.ts';
import type { Machine } from '#kernel/machine.ts';
import { kfreeSkb } from '#net/core/skbuff.ts';
import { IFF_NOARP, IFF_UP } from '#uapi/if.ts';
import { SKB_DROP_REASON_NOT_SPECIFIED } from '#uapi/net_dropreason.ts';

/** Output of an entry without a route. @kernel dst_discard_out net/core/dst.c */
export function dstDiscardOut(_net: Net, _sk: Sock | null, skb: SkBuff): number {
  kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, 'dst_discard_out');
  return 0;
}

/** Input of the same. @kernel dst_discard include/net/dst.h */
export function dstDiscard(skb: SkBuff): number {
  kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, 'dst_discard');
  return 0;
}

/** A fresh entry's common part: counted, holding its device. @kernel dst_init net/core/dst.c */
export function dstInit(dst: DstEntry, obsolete: number, flags: number): void {
  const { machine } = dst.net;
  netdevHold(dst.dev, 'dst');
  dst.metrics = DST_DEFAULT_METRICS;
  dst.metricsOwned = false;
  dst.obsolete = obsolete;
  dst.flags = flags;
  dst.lastuse = machine.jiffies;
  machine.live.dsts++;
}

/** @kernel blackhole_netdev_xmit drivers/net/loopback.c */
function blackholeXmit(skb: SkBuff): number {
  kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, 'blackhole_netdev_xmit');
  return 0;
}

const BLACKHOLE_OPS: NetDeviceOps = {
  ndoInit: null,
  ndoUninit: null,
  ndoOpen: null,
  ndoStop: null,
  ndoStartXmit: blackholeXmit,
  ndoFeaturesCheck: null,
  ndoSelectQueue: null,
  ndoChangeRxFlags: null,
  ndoSetRxMode: null,
  ndoSetMacAddress: null,
  ndoValidateAddr: null,
  ndoDoIoctl: null,
  ndoChangeMtu: null,
  ndoTxTimeout: null,
  ndoGetStats64: null,
  ndoFixFeatures: null,
  ndoSetFeatures: null,
  ndoChangeCarrier: null,
  ndoGetIflink: null,
  ndoGetPeerDev: null,
};

/**
 * The device that routes are left with when theirs is gone. It is in no namespace's list.
 * @kernel blackhole_netdev drivers/net/loopback.c
 */
export function blackholeNetdev(machine: Machine): NetDevice {
  const globals = machine.netGlobals;
  if (globals.blackholeNetdev === null) {
    const dev = new NetDevice(machine.initNet, 'blackhole_dev', BLACKHOLE_OPS, null);
    dev.mtu = 64 * 1024;
    dev.flags = IFF_UP | IFF_NOARP;
    dev.regState = NETREG_DUMMY;
    dev.state = (1 << __LINK_STATE_START) | (1 << __LINK_STATE_PRESENT);
    globals.blackholeNetdev = dev;
  }
  return globals.blackholeNetdev;
}

/** Puts another device into the entry, with its reference. */
export function dstReplaceDev(dst: DstEntry, dev: NetDevice): void {
  const old = dst.dev;
  netdevHold(dev, 'dst');
  dst.dev = dev;
  netdevPut(old, 'dst');
}

/**
 * The device goes away while somebody may still hold the entry: it stays valid memory, and drops
 * what is sent by it. @kernel dst_dev_put net/core/dst.c
 */
export function dstDevPut(dst: DstEntry): void {
  const dev = dst.dev;
  dst.obsolete = DST_OBSOLETE_DEAD;
  if (dst.ops.ifdown !== null && dev !== null) dst.ops.ifdown(dst, dev);
  dst.input = dstDiscard;
  dst.output = dstDiscardOut;
  dstReplaceDev(dst, blackholeNetdev(dst.net.machine));
}
