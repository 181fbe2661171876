/**
 * Virtual Ethernet pairs: what goes into one device comes out of the other. Counterpart of
 * drivers/net/veth.c, without XDP. With receive offload on (`ethtool -K veth0 gro on`) a device polls
 * what it is given, as a card would; without, which is the default, packets go to the backlog.
 *
 * The other end may be in another machine: vethConnectRemote() gives the device a hook that takes
 * frames, and vethReceiveRemote() lets the world deliver one. A packet crosses by reference.
 */

import { DEVICE_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import {
  NETIF_F_ALL_TSO,
  NETIF_F_FRAGLIST,
  NETIF_F_GRO,
  NETIF_F_GRO_FRAGLIST,
  NETIF_F_GRO_UDP_FWD,
  NETIF_F_GSO_SOFTWARE,
  NETIF_F_HIGHDMA,
  NETIF_F_HW_CSUM,
  NETIF_F_HW_VLAN_CTAG_RX,
  NETIF_F_HW_VLAN_CTAG_TX,
  NETIF_F_LLTX,
  NETIF_F_RXCSUM,
  NETIF_F_SCTP_CRC,
  NETIF_F_SG,
} from '#include/linux/netdev_features.ts';
import {
  devSwNetstatsRxAdd,
  devSwNetstatsTxAdd,
  GSO_MAX_SIZE,
  IFF_LIVE_ADDR_CHANGE,
  IFF_NO_QUEUE,
  IFF_TX_SKB_SHARING,
  type NapiStruct,
  NET_RX_SUCCESS,
  NET_XMIT_DROP,
  NETDEV_TX_OK,
  type NetDevice,
  netDeviceOps,
  type RtnlLinkStats64,
} from '#include/linux/netdevice.ts';
import { type SkBuff, SkBuffHead, skbIsGso } from '#include/linux/skbuff.ts';
import { __skbDequeue, __skbQueueTail } from '#include/linux/skbuff_queue.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type {
  NetlinkExtAck,
  NlattrTable,
  RtnetlinkOps,
  RtnlLinkOps,
} from '#include/net/rtnetlink.ts';
import type { Machine } from '#kernel/machine.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import { __netifRx, netifRx } from '#net/core/dev_backlog.ts';
import { __devForwardSkb } from '#net/core/dev_forward.ts';
import {
  __napiSchedule,
  napiCompleteDone,
  napiDisable,
  napiEnable,
  napiSchedulePrep,
  netifNapiAdd,
  netifNapiDel,
} from '#net/core/dev_napi.ts';
import {
  allocNetdevMqs,
  freeNetdev,
  netdevUpdateFeatures,
  registerNetdevice,
  unregisterNetdeviceMany,
} from '#net/core/dev_register.ts';
import { ethtoolOpGetLink, ethtoolOps } from '#net/core/ethtool.ts';
import { napiGroReceive } from '#net/core/gro.ts';
import { netifCarrierOff, netifCarrierOn } from '#net/core/link_watch.ts';
import { rtnlLinkRegister } from '#net/core/rtnetlink_kinds.ts';
import { kfreeSkb, skbSetMachine } from '#net/core/skbuff.ts';
import { pskbMayPull } from '#net/core/skbuff_copy.ts';
import { skbTxTimestamp } from '#net/core/skbuff_tstamp.ts';
import { sockWfree } from '#net/core/sock.ts';
import {
  etherSetup,
  ethHwAddrRandom,
  ethMacAddr,
  ethTypeTrans,
  isValidEtherAddr,
} from '#net/ethernet/eth.ts';
import { EADDRNOTAVAIL, EINVAL, EIO, ENOTCONN } from '#uapi/errno.ts';
import { IFF_UP } from '#uapi/if.ts';
import { ETH_ALEN, ETH_HLEN, ETH_MAX_MTU, ETH_MIN_MTU } from '#uapi/if_ether.ts';
import {
  IFLA_ADDRESS,
  IFLA_IFNAME,
  IFLA_MTU,
  VETH_INFO_MAX,
  VETH_INFO_PEER,
} from '#uapi/if_link.ts';
import { SKB_DROP_REASON_DEV_READY, SKB_DROP_REASON_FULL_RING } from '#uapi/net_dropreason.ts';

/** The other machine's end, as the world sees it. */
export interface VethRemote {
  /** Takes a frame (`data` at the link header), still charged to the sender's machine. */
  transmit(skb: SkBuff): void;
  /** This end went up or down. */
  linkChanged(up: boolean): void;
}

/** Packets that wait for a poll. @kernel VETH_RING_SIZE drivers/net/veth.c */
const VETH_RING_SIZE = 256;

/** A receive queue of a device that polls. @kernel veth_rq drivers/net/veth.c */
class VethRq {
  readonly napi: NapiStruct;
  readonly ring: SkBuffHead = new SkBuffHead();
  /** A poll is on its way: no need to ask for one. */
  rxNotifyMasked = false;

  constructor(dev: NetDevice) {
    this.napi = netifNapiAdd(dev, (napi, budget) => vethPoll(this, napi, budget));
  }
}

/** @kernel veth_priv drivers/net/veth.c */
class VethPriv {
  peer: NetDevice | null = null;
  remote: VethRemote | null = null;
  /** The remote end is up. */
  remoteUp = false;
  dropped = 0;
  /** While receive offload is on and the device is up: its queues. */
  rq: VethRq[] = [];
}

function privOf(dev: NetDevice): VethPriv {
  return dev.priv as VethPriv;
}

/** @kernel veth_poll drivers/net/veth.c */
function vethPoll(rq: VethRq, napi: NapiStruct, budget: number): number {
  let done = 0;
  while (done < budget) {
    const skb = __skbDequeue(rq.ring);
    if (skb === null) break;
    napiGroReceive(napi, skb);
    done++;
  }
  if (done < budget && napiCompleteDone(napi, done)) {
    rq.rxNotifyMasked = false;
    if (rq.ring.next !== null) vethFlush(rq);
  }
  return done;
}

/** @kernel __veth_xdp_flush drivers/net/veth.c */
function vethFlush(rq: VethRq): void {
  if (rq.rxNotifyMasked || !napiSchedulePrep(rq.napi)) return;
  rq.rxNotifyMasked = true;
  __napiSchedule(rq.napi);
}

/** Leaves the packet for the device's poll; true: there was room. @kernel veth_xdp_rx drivers/net/veth.c */
function vethXdpRx(rq: VethRq, skb: SkBuff): boolean {
  if (rq.ring.qlen >= VETH_RING_SIZE) {
    kfreeSkb(skb, SKB_DROP_REASON_FULL_RING, 'veth_xmit');
    return false;
  }
  __skbQueueTail(rq.ring, skb);
  vethFlush(rq);
  return true;
}

/**
 * Might packets like this be merged? Those of a sender that cuts them itself, and datagrams that are
 * to be forwarded. @kernel veth_skb_is_eligible_for_gro drivers/net/veth.c
 */
function vethSkbIsEligibleForGro(dev: NetDevice, rcv: NetDevice, skb: SkBuff): boolean {
  if ((dev.features & NETIF_F_ALL_TSO) === 0) return true;
  const forwards = NETIF_F_GRO_FRAGLIST | NETIF_F_GRO_UDP_FWD;
  return skb.destructor === sockWfree && (rcv.features & forwards) !== 0;
}

/** The queue that polls for a packet; null: none does. */
function vethRqFor(rcv: NetDevice, queue: number): VethRq | null {
  const { rq } = privOf(rcv);
  return rq.length === 0 ? null : (rq[queue] ?? null);
}

/** Begins to poll. @kernel veth_napi_enable drivers/net/veth.c */
function vethNapiEnable(dev: NetDevice): void {
  const priv = privOf(dev);
  if (priv.rq.length > 0) return;
  priv.rq = Array.from({ length: dev.realNumRxQueues }, () => new VethRq(dev));
  for (const { napi } of priv.rq) napiEnable(napi);
}

/** Ends it; what waits is lost. @kernel veth_napi_del drivers/net/veth.c */
function vethNapiDel(dev: NetDevice): void {
  const priv = privOf(dev);
  for (const { napi, ring } of priv.rq) {
    napiDisable(napi);
    netifNapiDel(napi);
    for (let skb = __skbDequeue(ring); skb !== null; skb = __skbDequeue(ring)) {
      kfreeSkb(skb, SKB_DROP_REASON_DEV_READY, 'veth_napi_del');
    }
  }
  priv.rq = [];
}

/** Receive offload needs polling. 0. @kernel veth_set_features drivers/net/veth.c */
function vethSetFeatures(dev: NetDevice, features: number): number {
  if (((features ^ dev.features) & NETIF_F_GRO) === 0 || (dev.flags & IFF_UP) === 0) return 0;
  if ((features & NETIF_F_GRO) !== 0) vethNapiEnable(dev);
  else vethNapiDel(dev);
  return 0;
}

/** @kernel veth_xmit drivers/net/veth.c */
function vethXmit(skb: SkBuff, dev: NetDevice): number {
  const priv = privOf(dev);
  const { len } = skb;
  const rcv = priv.peer;
  skbTxTimestamp(skb);
  if (rcv !== null && pskbMayPull(skb, ETH_HLEN)) {
    let rq = vethRqFor(rcv, skb.queueMapping);
    if (rq !== null && !vethSkbIsEligibleForGro(dev, rcv, skb)) rq = null;
    const up = __devForwardSkb(rcv, skb, ethTypeTrans) === NET_RX_SUCCESS;
    if (up && (rq === null ? __netifRx(skb) === NET_RX_SUCCESS : vethXdpRx(rq, skb))) {
      devSwNetstatsTxAdd(dev, 1, len);
      return NETDEV_TX_OK;
    }
    priv.dropped++;
    return NET_XMIT_DROP;
  }
  if (priv.remote !== null && priv.remoteUp) {
    devSwNetstatsTxAdd(dev, 1, len);
    priv.remote.transmit(skb);
    return NETDEV_TX_OK;
  }
  priv.dropped++;
  kfreeSkb(skb, SKB_DROP_REASON_DEV_READY, 'veth_xmit');
  return NET_XMIT_DROP;
}

/** @kernel veth_get_stats64 drivers/net/veth.c */
function vethGetStats64(dev: NetDevice, stats: RtnlLinkStats64): void {
  const priv = privOf(dev);
  stats.txDropped = priv.dropped;
  stats.txPackets = dev.stats.txPackets;
  stats.txBytes = dev.stats.txBytes;
  stats.rxPackets = dev.stats.rxPackets;
  stats.rxBytes = dev.stats.rxBytes;
  if (priv.peer === null) return;
  stats.rxPackets += priv.peer.stats.txPackets;
  stats.rxBytes += priv.peer.stats.txBytes;
}

/** @kernel veth_open drivers/net/veth.c */
function vethOpen(dev: NetDevice): number {
  const priv = privOf(dev);
  if (priv.peer === null && priv.remote === null) return -ENOTCONN;
  if ((dev.features & NETIF_F_GRO) !== 0) vethNapiEnable(dev);
  if (priv.remote !== null) {
    priv.remote.linkChanged(true);
    if (priv.remoteUp) netifCarrierOn(dev);
    return 0;
  }
  const { peer } = priv;
  if (peer !== null && (peer.flags & IFF_UP) !== 0) {
    netifCarrierOn(dev);
    netifCarrierOn(peer);
  }
  return 0;
}

/** @kernel veth_close drivers/net/veth.c */
function vethClose(dev: NetDevice): number {
  const priv = privOf(dev);
  vethNapiDel(dev);
  netifCarrierOff(dev);
  if (priv.peer !== null) netifCarrierOff(priv.peer);
  if (priv.remote !== null) priv.remote.linkChanged(false);
  return 0;
}

/** @kernel veth_get_iflink drivers/net/veth.c */
function vethGetIflink(dev: NetDevice): number {
  const { peer } = privOf(dev);
  return peer === null ? 0 : peer.ifindex;
}

const vethNetdevOps = netDeviceOps({
  ndoOpen: vethOpen,
  ndoStop: vethClose,
  ndoStartXmit: vethXmit,
  ndoSetRxMode: () => {},
  ndoGetStats64: vethGetStats64,
  ndoSetFeatures: vethSetFeatures,
  ndoSetMacAddress: ethMacAddr,
  ndoGetIflink: vethGetIflink,
  ndoGetPeerDev: (dev) => privOf(dev).peer,
});

const vethEthtoolOps = ethtoolOps({
  getDrvinfo: () => ({ driver: 'veth', version: '1.0', busInfo: '' }),
  getLink: ethtoolOpGetLink,
  getLinkKsettings: () => ({ speedMbps: 10000, duplexFull: true, autoneg: false }),
  getStrings: () => ['peer_ifindex'],
  getEthtoolStats: (dev) => [vethGetIflink(dev)],
});

/** @kernel veth_setup drivers/net/veth.c */
function vethSetup(dev: NetDevice): void {
  etherSetup(dev);
  dev.privFlags &= ~IFF_TX_SKB_SHARING;
  dev.privFlags |= IFF_LIVE_ADDR_CHANGE | IFF_NO_QUEUE;
  dev.ethtoolOps = vethEthtoolOps;
  const features =
    NETIF_F_SG |
    NETIF_F_FRAGLIST |
    NETIF_F_HW_CSUM |
    NETIF_F_RXCSUM |
    NETIF_F_SCTP_CRC |
    NETIF_F_HIGHDMA |
    NETIF_F_GSO_SOFTWARE |
    NETIF_F_HW_VLAN_CTAG_TX |
    NETIF_F_HW_VLAN_CTAG_RX;
  dev.features |= features | NETIF_F_LLTX;
  dev.hwFeatures = features;
  dev.hwEncFeatures = features;
  dev.needsFreeNetdev = true;
  dev.maxMtu = ETH_MAX_MTU;
  dev.tsoMaxSize = GSO_MAX_SIZE;
}

/** GRO would need a polling instance: off until somebody turns it on. @kernel veth_disable_gro drivers/net/veth.c */
function vethDisableGro(dev: NetDevice): void {
  dev.features &= ~NETIF_F_GRO;
  dev.wantedFeatures &= ~NETIF_F_GRO;
  netdevUpdateFeatures(dev);
}

function vethAlloc(net: Net, name: string, txqs = 1, rxqs = 1): NetDevice {
  return allocNetdevMqs(net, name, vethNetdevOps, new VethPriv(), vethSetup, txqs, rxqs);
}

/** @kernel veth_validate drivers/net/veth.c */
function vethValidate(tb: NlattrTable, _data: NlattrTable, extack: NetlinkExtAck): number {
  const addr = tb[IFLA_ADDRESS];
  if (addr !== undefined) {
    if (addr.length !== ETH_ALEN) return -EINVAL;
    if (!isValidEtherAddr(addr)) {
      extack.msg = 'Invalid link address';
      return -EADDRNOTAVAIL;
    }
  }
  const mtu = tb[IFLA_MTU];
  if (mtu !== undefined) {
    const value = new DataView(mtu.buffer, mtu.byteOffset).getUint32(0, true);
    if (value < ETH_MIN_MTU || value > ETH_MAX_MTU) return -EINVAL;
  }
  return 0;
}

/** @kernel veth_newlink drivers/net/veth.c */
function vethNewlink(
  srcNet: Net,
  dev: NetDevice,
  tb: NlattrTable,
  data: NlattrTable,
  extack: NetlinkExtAck,
): number {
  const rtnl = srcNet.machine.netGlobals.rtnetlink as RtnetlinkOps;
  const info = data[VETH_INFO_PEER];
  const req = info === undefined ? null : rtnl.nlaParseIfinfomsg(srcNet, info, extack);
  if (typeof req === 'number') return req;
  const ptb = req === null ? [] : req.tb;
  const bad = vethValidate(ptb, [], extack);
  if (bad < 0) return bad;
  const peerNet = req?.net ?? dev.net;
  const peer = rtnl.createLink(peerNet, req?.name ?? 'veth%d', vethLinkOps, ptb, extack);
  if (typeof peer === 'number') return peer;
  if (ptb[IFLA_ADDRESS] === undefined) ethHwAddrRandom(peer);
  let err = registerNetdevice(peer);
  if (err < 0) {
    freeNetdev(peer);
    return err;
  }
  vethDisableGro(peer);
  netifCarrierOff(peer);
  err = rtnl.configureLink(peer, req?.flags ?? 0, req?.change ?? 0);
  if (err === 0) {
    if (tb[IFLA_ADDRESS] === undefined) ethHwAddrRandom(dev);
    if (tb[IFLA_IFNAME] === undefined) dev.name = 'veth%d';
    err = registerNetdevice(dev);
  }
  if (err < 0) {
    unregisterNetdeviceMany([peer]);
    return err;
  }
  vethDisableGro(dev);
  netifCarrierOff(dev);
  privOf(dev).peer = peer;
  privOf(peer).peer = dev;
  return 0;
}

/** Both ends go together. @kernel veth_dellink drivers/net/veth.c */
function vethDellink(dev: NetDevice): void {
  const priv = privOf(dev);
  const { peer } = priv;
  priv.peer = null;
  priv.remote?.linkChanged(false);
  priv.remote = null;
  if (peer === null) {
    unregisterNetdeviceMany([dev]);
    return;
  }
  privOf(peer).peer = null;
  unregisterNetdeviceMany([dev, peer]);
}

/** @kernel veth_link_ops drivers/net/veth.c */
const vethLinkOps: RtnlLinkOps = {
  kind: 'veth',
  alloc: vethAlloc,
  validate: vethValidate,
  newlink: vethNewlink,
  changelink: null,
  dellink: vethDellink,
  fillInfo: null,
  maxtype: VETH_INFO_MAX,
};

/** @kernel veth_init drivers/net/veth.c */
export function vethInit(machine: Machine): number {
  return rtnlLinkRegister(machine, vethLinkOps);
}

/**
 * Makes both ends of a pair in one machine; rtnl is held. Both are down. The devices, or a negative
 * errno when a name is taken or invalid.
 */
export function vethCreatePair(
  net: Net,
  name: string,
  peerNet: Net,
  peerName: string,
): readonly [NetDevice, NetDevice] | number {
  const ends: NetDevice[] = [];
  for (const [where, what] of [
    [net, name],
    [peerNet, peerName],
  ] as const) {
    const dev = vethAlloc(where, what);
    dev.rtnlLinkOps = vethLinkOps;
    ethHwAddrRandom(dev);
    const err = registerNetdevice(dev);
    if (err < 0) {
      freeNetdev(dev);
      unregisterNetdeviceMany(ends);
      return err;
    }
    vethDisableGro(dev);
    netifCarrierOff(dev);
    ends.push(dev);
  }
  const [a, b] = ends as [NetDevice, NetDevice];
  privOf(a).peer = b;
  privOf(b).peer = a;
  return [a, b];
}

/**
 * Makes one end whose other end is in another machine; rtnl is held. The device or a negative errno.
 * The world calls vethRemoteLink() when the other end goes up or down.
 */
export function vethConnectRemote(net: Net, name: string, remote: VethRemote): NetDevice | number {
  const dev = vethAlloc(net, name);
  dev.rtnlLinkOps = vethLinkOps;
  ethHwAddrRandom(dev);
  const err = registerNetdevice(dev);
  if (err < 0) {
    freeNetdev(dev);
    return err;
  }
  vethDisableGro(dev);
  netifCarrierOff(dev);
  privOf(dev).remote = remote;
  return dev;
}

/** The remote end of a device went up or down; in any context of the device's machine. */
export function vethRemoteLink(dev: NetDevice, up: boolean): void {
  const priv = privOf(dev);
  priv.remoteUp = up;
  if (up && (dev.flags & IFF_UP) !== 0) netifCarrierOn(dev);
  else netifCarrierOff(dev);
}

/** As vethXdpRx() outside of interrupts. */
function vethReceivePolled(dev: NetDevice, rq: VethRq, skb: SkBuff): boolean {
  const { machine } = dev.net;
  localBhDisable(machine);
  const taken = vethXdpRx(rq, skb);
  localBhEnable(machine);
  return taken;
}

/**
 * Delivers a frame (`data` at the link header) from the other machine; it belongs to this one then.
 * Call it as an event of the device's machine. 0, or -EIO when the device did not take it.
 */
export function vethReceiveRemote(dev: NetDevice, skb: SkBuff): number {
  const { len } = skb;
  skbSetMachine(skb, dev.net.machine);
  if (__devForwardSkb(dev, skb, ethTypeTrans) !== NET_RX_SUCCESS) return -EIO;
  const rq = skbIsGso(skb) ? null : vethRqFor(dev, 0);
  if (rq === null ? netifRx(skb) !== NET_RX_SUCCESS : !vethReceivePolled(dev, rq, skb)) return -EIO;
  devSwNetstatsRxAdd(dev, len);
  return 0;
}

export const vethModule: KernelModule = {
  name: 'veth',
  config: 'CONFIG_VETH',
  depends: [],
  level: DEVICE_INITCALL,
  init: vethInit,
  exit: null,
};
