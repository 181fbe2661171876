/**
 * A network device over two rings in shared memory: a cable to a machine in another thread. No Linux
 * counterpart; the nearest are ivshmem-net and virtio-net between guests, whose offload header it uses.
 *
 * A packet crosses as struct virtio_net_hdr_v1 and its bytes: super-packets whole, partial checksums
 * unfilled. Receiving is NAPI; the queue stops when the ring may be too full for the next packet and
 * wakes when the other side has read. Whether there is a carrier is what the other side says of itself.
 *
 * The driver never waits. Where it has nothing to do it asks the ring to be told, and tells its door,
 * which is of the host: that sleeps on the ring's word and calls shmemInterrupt().
 */
import {
  NETIF_F_FRAGLIST,
  NETIF_F_GSO_UDP_L4,
  NETIF_F_HIGHDMA,
  NETIF_F_HW_CSUM,
  NETIF_F_RXCSUM,
  NETIF_F_SG,
  NETIF_F_TSO,
  NETIF_F_TSO_ECN,
  NETIF_F_TSO6,
} from '#include/linux/netdev_features.ts';
import {
  devSwNetstatsRxAdd,
  devSwNetstatsTxAdd,
  IFF_LIVE_ADDR_CHANGE,
  IFF_TX_SKB_SHARING,
  type NapiStruct,
  NETDEV_TX_BUSY,
  NETDEV_TX_OK,
  type NetDevice,
  netDeviceOps,
  netdevGetTxQueue,
  netdevXmitMore,
  netifCarrierOk,
  netifRunning,
  netifStartQueue,
  netifStopQueue,
  netifXmitStopped,
} from '#include/linux/netdevice.ts';
import { type SkBuff, skbReserve } from '#include/linux/skbuff.ts';
import { virtioNetHdrFromSkb, virtioNetHdrToSkb } from '#include/linux/virtio_net.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { RtnlLinkOps } from '#include/net/rtnetlink.ts';
import {
  allocIrqVectors,
  freeIrq,
  freeIrqVectors,
  IRQ_HANDLED,
  raiseIrq,
  requestIrq,
} from '#kernel/irq.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import type { SpscConsumer, SpscProducer } from '#lib/spsc_ring.ts';
import {
  napiCompleteDone,
  napiDisable,
  napiEnable,
  napiSchedule,
  netifNapiAdd,
} from '#net/core/dev_napi.ts';
import {
  allocNetdevMqs,
  freeNetdev,
  registerNetdevice,
  unregisterNetdevice,
} from '#net/core/dev_register.ts';
import { devConsumeSkbAny, devKfreeSkbAny, netifWakeQueue } from '#net/core/dev_tx.ts';
import { ethtoolOpGetLink, ethtoolOps } from '#net/core/ethtool.ts';
import { napiGroReceive } from '#net/core/gro.ts';
import { netifCarrierOff, netifCarrierOn } from '#net/core/link_watch.ts';
import { allocSkb, allocSkbWithFrags, kfreeSkb } from '#net/core/skbuff.ts';
import { skbPartialCsumSet } from '#net/core/skbuff_checksum.ts';
import { pskbMayPull } from '#net/core/skbuff_copy.ts';
import { skbCopyBits, skbStoreBits } from '#net/core/skbuff_data.ts';
import { skbTxTimestamp } from '#net/core/skbuff_tstamp.ts';
import { etherSetup, ethHwAddrRandom, ethMacAddr, ethTypeTrans } from '#net/ethernet/eth.ts';
import { EINVAL } from '#uapi/errno.ts';
import { ETH_ALEN, ETH_HLEN, ETH_MAX_MTU, ETH_MIN_MTU } from '#uapi/if_ether.ts';
import { SKB_DROP_REASON_DEV_HDR } from '#uapi/net_dropreason.ts';
import { virtioNetHdr } from '#uapi/virtio_net.ts';

/** Kinds of records. */
export const SHMEM_RECORD_FRAME = 0;

/** States of an end, as it tells the other. */
export const SHMEM_DOWN = 0;
export const SHMEM_UP = 1;

/** Bytes before the frame in a record. */
export const SHMEM_HEADER: number = virtioNetHdr.V1_LEN;

/** The longest record: a super-packet with all headers. */
export const SHMEM_MAX_RECORD: number = SHMEM_HEADER + 65536 + 256;

/** Bytes of a received frame that become linear; of a longer one the headers do. */
const COPY_BREAK = 1728;
const LINEAR_HEADERS = 128;
/** Headroom of received packets. @kernel NET_SKB_PAD include/linux/skbuff.h */
const SHMEM_HEADROOM = 64;

/** Who sleeps for the device. Called inside the machine. */
export interface ShmemDoor {
  /** Nothing to receive: sleep on `rx.recordSignal`, then call shmemInterrupt(). */
  waitForRecords(): void;
  /** No room to send: sleep on `tx.roomSignal`, then call shmemInterrupt(). */
  waitForRoom(): void;
}

export interface ShmemOptions {
  /** Name, or a pattern such as `shm%d`. */
  readonly name: string;
  readonly tx: SpscProducer;
  readonly rx: SpscConsumer;
  readonly door: ShmemDoor;
  /** Link address; a random one by default. */
  readonly mac?: Uint8Array;
  readonly mtu?: number;
}

class ShmemPriv {
  readonly tx: SpscProducer;
  readonly rx: SpscConsumer;
  readonly door: ShmemDoor;
  readonly irqs: readonly number[];
  napi!: NapiStruct;

  constructor(options: ShmemOptions, irqs: readonly number[]) {
    this.tx = options.tx;
    this.rx = options.rx;
    this.door = options.door;
    this.irqs = irqs;
  }
}

function privOf(dev: NetDevice): ShmemPriv {
  return dev.priv as ShmemPriv;
}

/** Stops the queue unless the longest packet fits; where it fits again by then, it goes on at once. */
function shmemMaybeStop(dev: NetDevice, priv: ShmemPriv): void {
  const { tx } = priv;
  if (tx.fits(SHMEM_MAX_RECORD)) return;
  netifStopQueue(dev);
  // What the other side cannot see it cannot take away.
  tx.publish();
  if (tx.armRoom(SHMEM_MAX_RECORD)) priv.door.waitForRoom();
  else netifStartQueue(dev);
}

function shmemStartXmit(skb: SkBuff, dev: NetDevice): number {
  const priv = privOf(dev);
  const { tx } = priv;
  const { len } = skb;
  const at = tx.reserve(SHMEM_HEADER + len);
  if (at < 0) {
    shmemMaybeStop(dev, priv);
    return NETDEV_TX_BUSY;
  }
  virtioNetHdr.setNumBuffers(tx.view, at, 1);
  if (virtioNetHdrFromSkb(skb, tx.view, at, true) !== 0) {
    dev.stats.txDropped++;
    devKfreeSkbAny(skb, SKB_DROP_REASON_DEV_HDR);
  } else {
    skbTxTimestamp(skb);
    skbCopyBits(skb, 0, tx.bytes, at + SHMEM_HEADER, len);
    tx.commit(SHMEM_HEADER + len, SHMEM_RECORD_FRAME);
    devSwNetstatsTxAdd(dev, 1, len);
    devConsumeSkbAny(skb);
  }
  shmemMaybeStop(dev, priv);
  if (!netdevXmitMore(dev) || netifXmitStopped(netdevGetTxQueue(dev, 0))) tx.publish();
  return NETDEV_TX_OK;
}

const CSUM_OPS = {
  mayPull: pskbMayPull,
  partialCsumSet: skbPartialCsumSet,
} as const;

/** The packet in a record, or null when memory is exhausted or the record is no packet. */
function shmemReceive(dev: NetDevice, rx: SpscConsumer, at: number): SkBuff | null {
  const len = rx.length - SHMEM_HEADER;
  if (len < ETH_HLEN) {
    dev.stats.rxFrameErrors++;
    return null;
  }
  const { machine } = dev.net;
  const linear = len <= COPY_BREAK ? len : LINEAR_HEADERS;
  const skb =
    linear === len
      ? allocSkb(machine, SHMEM_HEADROOM + len)
      : allocSkbWithFrags(machine, SHMEM_HEADROOM + linear, len - linear);
  if (skb === null) {
    dev.stats.rxDropped++;
    return null;
  }
  skbReserve(skb, SHMEM_HEADROOM);
  skb.tail += linear;
  skb.len = len;
  skb.dataLen = len - linear;
  skbStoreBits(skb, 0, rx.bytes, at + SHMEM_HEADER, len);
  if (virtioNetHdrToSkb(skb, rx.view, at, ETH_HLEN, CSUM_OPS) !== 0) {
    dev.stats.rxFrameErrors++;
    kfreeSkb(skb, SKB_DROP_REASON_DEV_HDR, 'shmem_poll');
    return null;
  }
  skb.protocol = ethTypeTrans(skb, dev);
  return skb;
}

/** The other side says of itself whether it is up. */
function shmemCheckLink(dev: NetDevice, rx: SpscConsumer): void {
  const up = rx.state === SHMEM_UP;
  if (up === netifCarrierOk(dev)) return;
  if (up) netifCarrierOn(dev);
  else netifCarrierOff(dev);
}

function shmemPoll(napi: NapiStruct, budget: number): number {
  const { dev } = napi;
  const { rx, door } = privOf(dev);
  let work = 0;
  while (work < budget) {
    const at = rx.peek();
    if (at < 0) break;
    const skb = shmemReceive(dev, rx, at);
    const len = rx.length - SHMEM_HEADER;
    rx.next();
    work++;
    if (skb === null) continue;
    devSwNetstatsRxAdd(dev, len);
    napiGroReceive(napi, skb);
  }
  rx.release();
  if (work < budget && napiCompleteDone(napi, work)) {
    const armed = rx.arm();
    // It may have said so before the arming.
    shmemCheckLink(dev, rx);
    if (armed) door.waitForRecords();
    else napiSchedule(napi);
  }
  return work;
}

function shmemIntr(_irq: number, devId: unknown): typeof IRQ_HANDLED {
  const dev = devId as NetDevice;
  const priv = privOf(dev);
  if (netifXmitStopped(netdevGetTxQueue(dev, 0))) {
    if (priv.tx.armRoom(SHMEM_MAX_RECORD)) priv.door.waitForRoom();
    else netifWakeQueue(dev);
  }
  shmemCheckLink(dev, priv.rx);
  napiSchedule(priv.napi);
  return IRQ_HANDLED;
}

/** The rings have something to say: call it as an event of the device's machine. */
export function shmemInterrupt(dev: NetDevice): void {
  if (netifRunning(dev)) raiseIrq(dev.net.machine, privOf(dev).irqs[0] as number);
}

function shmemOpen(dev: NetDevice): number {
  const { machine } = dev.net;
  const { tx, napi, irqs } = privOf(dev);
  const err = requestIrq(machine, irqs[0] as number, shmemIntr, dev.name, dev);
  if (err < 0) return err;
  napiEnable(napi);
  netifStartQueue(dev);
  tx.setState(SHMEM_UP);
  // What came meanwhile, and the carrier.
  localBhDisable(machine);
  napiSchedule(napi);
  localBhEnable(machine);
  return 0;
}

function shmemStop(dev: NetDevice): number {
  const { tx, rx, napi, irqs } = privOf(dev);
  netifStopQueue(dev);
  napiDisable(napi);
  freeIrq(dev.net.machine, irqs[0] as number, dev);
  tx.setState(SHMEM_DOWN);
  // What lies in the ring was for a device that is up.
  while (rx.peek() >= 0) {
    dev.stats.rxDropped++;
    rx.next();
  }
  rx.release();
  netifCarrierOff(dev);
  return 0;
}

const shmemNetdevOps = netDeviceOps({
  ndoOpen: shmemOpen,
  ndoStop: shmemStop,
  ndoStartXmit: shmemStartXmit,
  ndoSetRxMode: () => {},
  ndoSetMacAddress: ethMacAddr,
  ndoUninit: (dev) => freeIrqVectors(dev.net.machine, privOf(dev).irqs),
});

const shmemEthtoolOps = ethtoolOps({
  getDrvinfo: () => ({ driver: 'shmem', version: '1.0', busInfo: '' }),
  getLink: ethtoolOpGetLink,
});

function shmemSetup(dev: NetDevice): void {
  etherSetup(dev);
  dev.privFlags &= ~IFF_TX_SKB_SHARING;
  dev.privFlags |= IFF_LIVE_ADDR_CHANGE;
  dev.ethtoolOps = shmemEthtoolOps;
  const features =
    NETIF_F_SG |
    NETIF_F_FRAGLIST |
    NETIF_F_HW_CSUM |
    NETIF_F_RXCSUM |
    NETIF_F_HIGHDMA |
    NETIF_F_TSO |
    NETIF_F_TSO_ECN |
    NETIF_F_TSO6 |
    NETIF_F_GSO_UDP_L4;
  dev.features |= features;
  dev.hwFeatures = features;
  dev.needsFreeNetdev = true;
  dev.minMtu = ETH_MIN_MTU;
  dev.maxMtu = ETH_MAX_MTU;
}

/** Devices of this kind are made by who has the rings; netlink can only take them away. */
const shmemLinkOps: RtnlLinkOps = {
  kind: 'shmem',
  alloc: (net, name) => allocNetdevMqs(net, name, shmemNetdevOps, null, shmemSetup),
  validate: null,
  newlink: () => -EINVAL,
  changelink: null,
  dellink: unregisterNetdevice,
  fillInfo: null,
  maxtype: 0,
};

/**
 * Makes a device over a pair of rings; rtnl is held. It is down. The device, or a negative errno: the
 * name is taken or invalid, the rings are too small for the longest packet.
 */
export function shmemCreate(net: Net, options: ShmemOptions): NetDevice | number {
  const { tx, rx, mac, mtu } = options;
  if (tx.maxPayload < SHMEM_MAX_RECORD || rx.maxPayload < SHMEM_MAX_RECORD) return -EINVAL;
  if (mac !== undefined && mac.length !== ETH_ALEN) return -EINVAL;
  const irqs = allocIrqVectors(net.machine, 1, 'shmem');
  if (typeof irqs === 'number') return irqs;
  const priv = new ShmemPriv(options, irqs);
  const dev = allocNetdevMqs(net, options.name, shmemNetdevOps, priv, shmemSetup);
  dev.rtnlLinkOps = shmemLinkOps;
  if (mac === undefined) ethHwAddrRandom(dev);
  else dev.devAddr.set(mac);
  if (mtu !== undefined) dev.mtu = mtu;
  priv.napi = netifNapiAdd(dev, shmemPoll);
  const err = registerNetdevice(dev);
  if (err < 0) {
    freeIrqVectors(net.machine, irqs);
    freeNetdev(dev);
    return err;
  }
  netifCarrierOff(dev);
  return dev;
}
