/**
 * tun and tap: devices whose other end is a program. Counterpart of drivers/net/tun.c; its frames are in
 * tun_io.ts, its queues in tun_queue.ts, whose flow is whose in tun_flow.ts.
 *
 * The program reads what the machine sends and writes what it shall receive, one frame a call, each
 * after a struct tun_pi (unless IFF_NO_PI) and a virtio_net_hdr (with IFF_VNET_HDR). It holds a
 * TunFile: as the file /dev/net/tun inside the machine (tunChrOpen), or as a door that an embedder
 * opens in the same process (tunCreate, tunAttach). With IFF_MULTI_QUEUE it may hold several of one
 * device, each a queue of both directions.
 *
 *   machine -> tun_net_xmit -> txRing            -> tunDoRead  -> program
 *   machine <- netif_receive_skb                 <- tunGetUser <- program
 *   machine <- napi_gro_receive <- tun_napi_poll <- writeQueue <- the same, with IFF_NAPI
 */

import { tunFlowUninit } from '#drivers/net/tun_flow.ts';
import {
  type TunChannels,
  type TunDoor,
  TunFile,
  TunStruct,
  tunDoRead,
  tunGetUser,
  tunNetXmit,
  tunOf,
  tunPollMask,
  tunSelectQueue,
} from '#drivers/net/tun_io.ts';
import {
  MAX_TAP_QUEUES,
  tunAttachFile,
  tunDetachAll,
  tunDetachFile,
  tunSetQueue,
} from '#drivers/net/tun_queue.ts';
import { DEVICE_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import {
  NETIF_F_FRAGLIST,
  NETIF_F_GSO_UDP_L4,
  NETIF_F_HW_CSUM,
  NETIF_F_LLTX,
  NETIF_F_SG,
  NETIF_F_TSO,
  NETIF_F_TSO_ECN,
  NETIF_F_TSO6,
} from '#include/linux/netdev_features.ts';
import {
  IFF_LIVE_ADDR_CHANGE,
  type NetDevice,
  netDeviceOps,
  netifTxStartAllQueues,
  netifTxStopAllQueues,
} from '#include/linux/netdevice.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { RtnlLinkOps } from '#include/net/rtnetlink.ts';
import type { Machine } from '#kernel/machine.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { File, type FileOperations } from '#kernel/sched/file.ts';
import { wakeUp } from '#kernel/wait.ts';
import { cString, latin1Encode } from '#lib/utf8.ts';
import { __devGetByName, netdevStateChange } from '#net/core/dev.ts';
import {
  allocNetdevMqs,
  freeNetdev,
  netdevUpdateFeatures,
  registerNetdevice,
  unregisterNetdevice,
} from '#net/core/dev_register.ts';
import { ethtoolOpGetLink, ethtoolOps } from '#net/core/ethtool.ts';
import { netifCarrierOff, netifCarrierOn } from '#net/core/link_watch.ts';
import { rtnlLinkRegister } from '#net/core/rtnetlink_kinds.ts';
import { etherSetup, ethHwAddrRandom, ethMacAddr, ethValidateAddr } from '#net/ethernet/eth.ts';
import { EBADFD, EBUSY, EEXIST, EINVAL, EOPNOTSUPP, ESHUTDOWN } from '#uapi/errno.ts';
import { IFF_MULTICAST, IFF_NOARP, IFF_POINTOPOINT, IFNAMSIZ, ifreq } from '#uapi/if.ts';
import { ARPHRD_NONE } from '#uapi/if_arp.ts';
import { ETH_DATA_LEN, ETH_HLEN, ETH_MAX_MTU } from '#uapi/if_ether.ts';
import {
  IFF_MULTI_QUEUE,
  IFF_NAPI,
  IFF_NO_CARRIER,
  IFF_NO_PI,
  IFF_PERSIST,
  IFF_TAP,
  IFF_TUN,
  IFF_TUN_EXCL,
  IFF_VNET_HDR,
  TUN_F_CSUM,
  TUN_F_TSO_ECN,
  TUN_F_TSO4,
  TUN_F_TSO6,
  TUN_F_USO4,
  TUN_F_USO6,
  TUNGETFEATURES,
  TUNGETIFF,
  TUNGETVNETHDRSZ,
  TUNSETIFF,
  TUNSETOFFLOAD,
  TUNSETPERSIST,
  TUNSETQUEUE,
  TUNSETVNETHDRSZ,
} from '#uapi/if_tun.ts';
import { POLLOUT, POLLWRNORM } from '#uapi/poll.ts';
import { virtioNetHdr } from '#uapi/virtio_net.ts';

/** Packets that may wait for the program. @kernel TUN_READQ_SIZE drivers/net/tun.c */
const TUN_READQ_SIZE = 500;
const MIN_MTU = 68;

/** Features that the program may take on. @kernel TUN_USER_FEATURES drivers/net/tun.c */
const TUN_USER_FEATURES: number =
  NETIF_F_HW_CSUM | NETIF_F_TSO_ECN | NETIF_F_TSO | NETIF_F_TSO6 | NETIF_F_GSO_UDP_L4;
const TUN_FEATURES: number = IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE | IFF_NAPI;

// The device.

/** @kernel tun_net_open drivers/net/tun.c */
function tunNetOpen(dev: NetDevice): number {
  netifTxStartAllQueues(dev);
  for (const tfile of tunOf(dev).tfiles) wakeUp(tfile.wq, POLLOUT | POLLWRNORM);
  return 0;
}

/** @kernel tun_net_close drivers/net/tun.c */
function tunNetClose(dev: NetDevice): number {
  netifTxStopAllQueues(dev);
  return 0;
}

/** The device goes away under its programs. @kernel tun_net_uninit drivers/net/tun.c */
function tunNetUninit(dev: NetDevice): void {
  tunDetachAll(dev);
  const { flows } = tunOf(dev);
  if (flows !== null) tunFlowUninit(flows);
}

/** @kernel tun_net_fix_features drivers/net/tun.c */
function tunNetFixFeatures(dev: NetDevice, features: number): number {
  return (features & tunOf(dev).setFeatures) | (features & ~TUN_USER_FEATURES);
}

const tunNetdevOps = netDeviceOps({
  ndoUninit: tunNetUninit,
  ndoOpen: tunNetOpen,
  ndoStop: tunNetClose,
  ndoStartXmit: tunNetXmit,
  ndoSelectQueue: tunSelectQueue,
  ndoFixFeatures: tunNetFixFeatures,
  ndoChangeCarrier: (dev, newCarrier) => {
    if (newCarrier) netifCarrierOn(dev);
    else netifCarrierOff(dev);
    return 0;
  },
});

const tapNetdevOps = netDeviceOps({
  ...tunNetdevOps,
  ndoSetRxMode: () => {},
  ndoSetMacAddress: ethMacAddr,
  ndoValidateAddr: ethValidateAddr,
});

const tunEthtoolOps = ethtoolOps({
  getDrvinfo: (dev) => ({
    driver: 'tun',
    version: '1.6',
    busInfo: (tunOf(dev).flags & IFF_TAP) !== 0 ? 'tap' : 'tun',
  }),
  getLink: ethtoolOpGetLink,
  getLinkKsettings: () => ({ speedMbps: 10000, duplexFull: true, autoneg: false }),
});

/** Of a device whose embedder has several queues; Linux's has no such thing. */
const tunChannelsEthtoolOps = ethtoolOps({
  ...tunEthtoolOps,
  getChannels: (dev) => {
    const { channels, tfiles } = tunOf(dev);
    return {
      maxRx: 0,
      maxTx: 0,
      maxOther: 0,
      maxCombined: channels?.max ?? 1,
      rxCount: 0,
      txCount: 0,
      otherCount: 0,
      combinedCount: tfiles.length,
    };
  },
  setChannels: (dev, { combinedCount, rxCount, txCount }) => {
    if (rxCount !== 0 || txCount !== 0) return -EINVAL;
    return tunOf(dev).channels?.set(combinedCount) ?? -EOPNOTSUPP;
  },
});

/** @kernel tun_net_initialize drivers/net/tun.c */
function tunSetup(dev: NetDevice, tap: boolean): void {
  if (tap) {
    etherSetup(dev);
    dev.privFlags |= IFF_LIVE_ADDR_CHANGE;
    dev.maxMtu = ETH_MAX_MTU - ETH_HLEN;
    ethHwAddrRandom(dev);
  } else {
    dev.hardHeaderLen = 0;
    dev.addrLen = 0;
    dev.mtu = ETH_DATA_LEN;
    dev.type = ARPHRD_NONE;
    dev.flags = IFF_POINTOPOINT | IFF_NOARP | IFF_MULTICAST;
    dev.maxMtu = ETH_MAX_MTU;
  }
  dev.minMtu = MIN_MTU;
  dev.txQueueLen = TUN_READQ_SIZE;
  dev.hwFeatures = NETIF_F_SG | NETIF_F_FRAGLIST | TUN_USER_FEATURES;
  dev.features = dev.hwFeatures | NETIF_F_LLTX;
  dev.ethtoolOps = tunEthtoolOps;
  dev.needsFreeNetdev = true;
}

/** @kernel tun_link_ops drivers/net/tun.c */
const tunLinkOps: RtnlLinkOps = {
  kind: 'tun',
  alloc: (net, name) => tunAlloc(net, name, IFF_TUN),
  validate: (_tb, _data, extack) => {
    extack.msg = 'tun/tap creation via rtnetlink is not supported.';
    return -EINVAL;
  },
  newlink: null,
  changelink: null,
  dellink: unregisterNetdevice,
  fillInfo: null,
  maxtype: 0,
};

function tunAlloc(net: Net, name: string, flags: number): NetDevice {
  const tap = (flags & IFF_TAP) !== 0;
  const ops = tap ? tapNetdevOps : tunNetdevOps;
  const tun = new TunStruct(net.machine, flags);
  const queues = (flags & IFF_MULTI_QUEUE) !== 0 ? MAX_TAP_QUEUES : 1;
  const dev = allocNetdevMqs(net, name, ops, tun, (d) => tunSetup(d, tap), queues, queues);
  dev.rtnlLinkOps = tunLinkOps;
  return dev;
}

// Attaching.

/**
 * Makes a device, or attaches to a persistent one, as TUNSETIFF does. `flags` are IFF_TUN or IFF_TAP
 * with IFF_NO_PI, IFF_VNET_HDR, IFF_MULTI_QUEUE, IFF_NAPI, IFF_TUN_EXCL, IFF_NO_CARRIER. 0 or a negative
 * errno, -EEXIST for a file that has a device; the name is that of `tfile.dev` then.
 * @kernel tun_set_iff drivers/net/tun.c
 */
export function tunSetIff(tfile: TunFile, name: string, flags: number): number {
  const { machine, net } = tfile;
  if (tfile.dev !== null) return -EEXIST;
  const kind = flags & (IFF_TUN | IFF_TAP);
  if (kind !== IFF_TUN && kind !== IFF_TAP) return -EINVAL;
  rtnlLock(machine);
  const err = setIffLocked(tfile, net, name, flags, kind);
  rtnlUnlock(machine);
  return err;
}

function setIffLocked(tfile: TunFile, net: Net, name: string, flags: number, kind: number): number {
  const old = name === '' ? null : __devGetByName(net, name);
  if (old !== null) {
    if ((flags & IFF_TUN_EXCL) !== 0) return -EBUSY;
    if (!(old.priv instanceof TunStruct)) return -EINVAL;
    if ((old.priv.flags & (IFF_TUN | IFF_TAP)) !== kind) return -EINVAL;
    if (((old.priv.flags ^ flags) & IFF_MULTI_QUEUE) !== 0) return -EINVAL;
    const busy = tunAttachFile(tfile, old, (flags & IFF_NAPI) !== 0);
    if (busy !== 0) return busy;
    // What was said with the first queue stays so.
    if (old.priv.tfiles.length + old.priv.disabled.length > 1) {
      netdevStateChange(old);
      return 0;
    }
    old.priv.flags = (old.priv.flags & ~TUN_FEATURES) | (flags & TUN_FEATURES);
    if ((flags & IFF_NO_CARRIER) === 0) netifCarrierOn(old);
    return 0;
  }
  const pattern = name !== '' ? name : kind === IFF_TAP ? 'tap%d' : 'tun%d';
  const dev = tunAlloc(net, pattern, kind | (flags & TUN_FEATURES));
  tunAttachFile(tfile, dev, (flags & IFF_NAPI) !== 0);
  const err = registerNetdevice(dev);
  if (err < 0) {
    tunDetachAll(dev);
    freeNetdev(dev);
    return err;
  }
  if ((flags & IFF_NO_CARRIER) !== 0) netifCarrierOff(dev);
  else netifCarrierOn(dev);
  return 0;
}

/** Lets the program take on work of the stack: TUN_F_* bits, as TUNSETOFFLOAD. 0 or -EINVAL. @kernel set_offload drivers/net/tun.c */
export function tunSetOffload(tfile: TunFile, arg: number): number {
  const { dev, machine } = tfile;
  if (dev === null) return -EBADFD;
  let rest = arg;
  let features = 0;
  if ((rest & TUN_F_CSUM) !== 0) {
    features |= NETIF_F_HW_CSUM;
    rest &= ~TUN_F_CSUM;
    if ((rest & (TUN_F_TSO4 | TUN_F_TSO6)) !== 0) {
      if ((rest & TUN_F_TSO_ECN) !== 0) {
        features |= NETIF_F_TSO_ECN;
        rest &= ~TUN_F_TSO_ECN;
      }
      if ((rest & TUN_F_TSO4) !== 0) features |= NETIF_F_TSO;
      if ((rest & TUN_F_TSO6) !== 0) features |= NETIF_F_TSO6;
      rest &= ~(TUN_F_TSO4 | TUN_F_TSO6);
    }
    if ((rest & TUN_F_USO4) !== 0 && (rest & TUN_F_USO6) !== 0) {
      features |= NETIF_F_GSO_UDP_L4;
      rest &= ~(TUN_F_USO4 | TUN_F_USO6);
    }
  }
  if (rest !== 0) return -EINVAL;
  rtnlLock(machine);
  tunOf(dev).setFeatures = features;
  dev.wantedFeatures = (dev.wantedFeatures & ~TUN_USER_FEATURES) | features;
  netdevUpdateFeatures(dev);
  rtnlUnlock(machine);
  return 0;
}

/** Bytes of the virtio_net_hdr, as TUNSETVNETHDRSZ. 0 or -EINVAL. */
export function tunSetVnetHdrSz(tfile: TunFile, size: number): number {
  if (tfile.dev === null) return -EBADFD;
  if (size < virtioNetHdr.LEN || size > 64) return -EINVAL;
  tunOf(tfile.dev).vnetHdrSz = size;
  return 0;
}

/** Keeps the device when the program leaves, as TUNSETPERSIST. */
export function tunSetPersist(tfile: TunFile, persist: boolean): number {
  if (tfile.dev === null) return -EBADFD;
  const tun = tunOf(tfile.dev);
  if (persist) tun.flags |= IFF_PERSIST;
  else tun.flags &= ~IFF_PERSIST;
  return 0;
}

/** The flags of the attached device, as TUNGETIFF gives them. */
export function tunGetFlags(tfile: TunFile): number {
  return tfile.dev === null ? 0 : tunOf(tfile.dev).flags;
}

/** The program leaves: with its last queue the device goes too, unless it is persistent. @kernel tun_detach drivers/net/tun.c */
export function tunDetach(tfile: TunFile): void {
  const { dev, machine } = tfile;
  tfile.door = null;
  if (dev === null) return;
  rtnlLock(machine);
  const tun = tunOf(dev);
  tunDetachFile(tfile, true);
  if (tun.tfiles.length + tun.disabled.length === 0) {
    netifCarrierOff(dev);
    if ((tun.flags & IFF_PERSIST) === 0) unregisterNetdevice(dev);
  }
  rtnlUnlock(machine);
}

// The embedder's door.

export interface TunCreateOptions {
  /** A name, or a pattern such as `tap%d`. */
  readonly name: string;
  /** IFF_TUN or IFF_TAP, with IFF_VNET_HDR if offloads are wanted, IFF_NAPI; IFF_NO_PI is implied. */
  readonly flags: number;
  /** Bytes of the virtio_net_hdr with IFF_VNET_HDR; 12 by default. */
  readonly vnetHdrSz?: number;
  /** TUN_F_* bits that the other side can take. */
  readonly offload?: number;
}

/**
 * Makes a device for code in the same process: its program's side, or a negative errno, -ESHUTDOWN
 * from a machine that has been halted.
 */
export function tunCreate(net: Net, options: TunCreateOptions): TunFile | number {
  if (net.machine.halted) return -ESHUTDOWN;
  const tfile = new TunFile(net);
  let err = tunSetIff(tfile, options.name, options.flags | IFF_NO_PI);
  if (err === 0 && (options.flags & IFF_VNET_HDR) !== 0) {
    err = tunSetVnetHdrSz(tfile, options.vnetHdrSz ?? virtioNetHdr.V1_LEN);
    if (err === 0) err = tunSetOffload(tfile, options.offload ?? 0);
  }
  if (err === 0) return tfile;
  tunDetach(tfile);
  return err;
}

/** Another queue of a device that was made with IFF_MULTI_QUEUE: its program's side, or a negative errno. */
export function tunAddQueue(first: TunFile): TunFile | number {
  const { dev } = first;
  if (dev === null) return -EBADFD;
  const tfile = new TunFile(first.net);
  const err = tunSetIff(tfile, dev.name, tunOf(dev).flags);
  return err === 0 ? tfile : err;
}

/** Lets ethtool ask for the number of queues and change it. */
export function tunSetChannels(tfile: TunFile, channels: TunChannels): void {
  const { dev } = tfile;
  if (dev === null) return;
  tunOf(dev).channels = channels;
  dev.ethtoolOps = tunChannelsEthtoolOps;
}

/** Has the door told of packets that wait, at once if some do. Undone by tunDetach(). */
export function tunAttach(tfile: TunFile, door: TunDoor): void {
  tfile.door = door;
  if (tfile.txRing.next !== null) door.readable(tfile);
}

// /dev/net/tun

/** The integer that an ioctl was given or shall fill in. */
function intArg(arg: Uint8Array): DataView {
  return new DataView(arg.buffer, arg.byteOffset, arg.byteLength);
}

/** TUNSETIFF: fills in the name that the device got. */
function ioctlSetIff(tfile: TunFile, arg: Uint8Array): number {
  if (arg.length < ifreq.LEN) return -EINVAL;
  const name = cString(arg.subarray(0, IFNAMSIZ));
  const err = tunSetIff(tfile, name, ifreq.flags(intArg(arg), 0));
  if (err === 0) putName(tfile, arg);
  return err;
}

function putName(tfile: TunFile, arg: Uint8Array): void {
  arg.fill(0, 0, IFNAMSIZ);
  arg.set(latin1Encode(tfile.dev?.name ?? '').subarray(0, IFNAMSIZ - 1));
}

/** @kernel __tun_chr_ioctl drivers/net/tun.c */
function tunChrIoctl(file: File, cmd: number, arg: Uint8Array): number {
  const tfile = file.privateData as TunFile;
  if (cmd === TUNSETIFF) return ioctlSetIff(tfile, arg);
  if (cmd === TUNSETQUEUE) {
    return arg.length < ifreq.LEN ? -EINVAL : tunSetQueue(tfile, ifreq.flags(intArg(arg), 0));
  }
  if (arg.length < 4) return -EINVAL;
  const v = intArg(arg);
  if (cmd === TUNGETFEATURES) {
    v.setUint32(0, IFF_TUN | IFF_TAP | IFF_NO_CARRIER | TUN_FEATURES, true);
    return 0;
  }
  const { dev } = tfile;
  if (dev === null) return -EBADFD;
  switch (cmd) {
    case TUNGETIFF:
      if (arg.length < ifreq.LEN) return -EINVAL;
      putName(tfile, arg);
      ifreq.setFlags(v, 0, tunGetFlags(tfile));
      return 0;
    case TUNSETOFFLOAD:
      return tunSetOffload(tfile, v.getUint32(0, true));
    case TUNSETPERSIST:
      return tunSetPersist(tfile, v.getUint32(0, true) !== 0);
    case TUNSETVNETHDRSZ:
      return tunSetVnetHdrSz(tfile, v.getInt32(0, true));
    case TUNGETVNETHDRSZ:
      v.setInt32(0, tunOf(dev).vnetHdrSz, true);
      return 0;
    default:
      return -EINVAL;
  }
}

/** @kernel tun_fops drivers/net/tun.c */
const tunFops: FileOperations = {
  read: (file, buf) => tunDoRead(file.privateData as TunFile, buf),
  write: (file, buf) => tunGetUser(file.privateData as TunFile, buf),
  poll: (file, pt) => {
    const tfile = file.privateData as TunFile;
    pt?.queue(tfile.wq);
    return tunPollMask(tfile);
  },
  ioctl: tunChrIoctl,
  release: (file) => tunDetach(file.privateData as TunFile),
};

/** Opens /dev/net/tun for a task of that namespace. @kernel tun_chr_open drivers/net/tun.c */
export function tunChrOpen(net: Net, flags: number): File {
  return new File(net.machine, tunFops, flags, new TunFile(net));
}

/** @kernel tun_init drivers/net/tun.c */
export function tunInit(machine: Machine): number {
  machine.netGlobals.miscDevices.set('net/tun', tunChrOpen);
  return rtnlLinkRegister(machine, tunLinkOps);
}

export const tunModule: KernelModule = {
  name: 'tun',
  config: 'CONFIG_TUN',
  depends: [],
  level: DEVICE_INITCALL,
  init: tunInit,
  exit: null,
};
