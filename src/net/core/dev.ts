/**
 * Network devices: finding, naming, opening, closing and changing them.
 *
 * Counterpart of those parts of net/core/dev.c. Registration is in dev_register.ts, reception in
 * dev_rx.ts and dev_backlog.ts, polling in dev_napi.ts, transmission in dev_tx.ts.
 *
 * Every change runs under rtnl and tells the notifier chain in Linux's order. An event is refused
 * by returning NOTIFY_BAD or an errno from PRE_UP, PRECHANGEMTU, PRE_CHANGEADDR and the like.
 */
import {
  __LINK_STATE_PRESENT,
  __LINK_STATE_START,
  IFF_NO_QUEUE,
  IFF_UNICAST_FLT,
  NET_ADDR_SET,
  NETDEV_CHANGE,
  NETDEV_CHANGE_TX_QUEUE_LEN,
  NETDEV_CHANGEADDR,
  NETDEV_CHANGEMTU,
  NETDEV_CHANGENAME,
  NETDEV_DOWN,
  NETDEV_GOING_DOWN,
  NETDEV_NOTIFY_PEERS,
  NETDEV_PRE_CHANGEADDR,
  NETDEV_PRE_UP,
  NETDEV_PRECHANGEMTU,
  NETDEV_REGISTER,
  NETDEV_UNREGISTER,
  NETDEV_UP,
  NETREG_REGISTERED,
  type NetDevice,
  netifCarrierOk,
  netifDevicePresent,
  netifDormant,
  netifOperUp,
  netifRunning,
  netifTxStopAllQueues,
  RtnlLinkStats64,
} from '#include/linux/netdevice.ts';
import { devHold } from '#include/linux/netdevice_ref.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { NetlinkExtAck } from '#include/net/rtnetlink.ts';
import type { SchedOps } from '#include/net/sch_generic.ts';
import { KernelBug } from '#kernel/bug.ts';
import type { Machine } from '#kernel/machine.ts';
import { type NotifierBlock, notifierToErrno } from '#kernel/notifier.ts';
import { assertRtnl } from '#kernel/rtnl.ts';
import { netifTxWakeAllQueues } from '#net/core/dev_tx.ts';
import {
  EBUSY,
  EEXIST,
  EINVAL,
  ENFILE,
  ENODEV,
  EOPNOTSUPP,
  EOVERFLOW,
  ERANGE,
} from '#uapi/errno.ts';
import {
  IFF_ALLMULTI,
  IFF_AUTOMEDIA,
  IFF_DEBUG,
  IFF_DORMANT,
  IFF_DYNAMIC,
  IFF_LOWER_UP,
  IFF_MULTICAST,
  IFF_NOARP,
  IFF_NOTRAILERS,
  IFF_PORTSEL,
  IFF_PROMISC,
  IFF_RUNNING,
  IFF_UP,
  IFF_VOLATILE,
  IFNAMSIZ,
} from '#uapi/if.ts';
import { RTM_NEWLINK } from '#uapi/rtnetlink.ts';

const U32_MAX = 0xffffffff;
/** Numbers tried for a name pattern: bits in a page of Linux. */
const MAX_NAME_NUMBER = 32768;

// Looking up.

/** @kernel __dev_get_by_index net/core/dev.c */
export function __devGetByIndex(net: Net, ifindex: number): NetDevice | null {
  return net.devIndexHead.get(ifindex) ?? null;
}

/** Without a reference, as under RCU. @kernel dev_get_by_index_rcu net/core/dev.c */
export function devGetByIndexRcu(net: Net, ifindex: number): NetDevice | null {
  return net.devIndexHead.get(ifindex) ?? null;
}

/** With a reference for the caller. @kernel dev_get_by_index net/core/dev.c */
export function devGetByIndex(net: Net, ifindex: number): NetDevice | null {
  const dev = __devGetByIndex(net, ifindex);
  devHold(dev);
  return dev;
}

/** @kernel __dev_get_by_name net/core/dev.c */
export function __devGetByName(net: Net, name: string): NetDevice | null {
  return net.devNameHead.get(name) ?? null;
}

/** @kernel dev_get_by_name_rcu net/core/dev.c */
export function devGetByNameRcu(net: Net, name: string): NetDevice | null {
  return net.devNameHead.get(name) ?? null;
}

/** With a reference for the caller. @kernel dev_get_by_name net/core/dev.c */
export function devGetByName(net: Net, name: string): NetDevice | null {
  const dev = __devGetByName(net, name);
  devHold(dev);
  return dev;
}

/** The first device of a type that has this link address. @kernel dev_getbyhwaddr net/core/dev.c */
export function devGetbyhwaddrRcu(net: Net, type: number, ha: Uint8Array): NetDevice | null {
  for (const dev of net.devBaseHead) {
    if (dev.type === type && sameAddr(dev.devAddr, ha, dev.addrLen)) return dev;
  }
  return null;
}

/** The first device of a type, e.g. loopback. @kernel dev_getfirstbyhwtype net/core/dev.c */
export function devGetfirstbyhwtype(net: Net, type: number): NetDevice | null {
  const dev = net.devBaseHead.find((d) => d.type === type) ?? null;
  devHold(dev);
  return dev;
}

function sameAddr(a: Uint8Array, b: Uint8Array, len: number): boolean {
  for (let i = 0; i < len; i++) if (a[i] !== b[i]) return false;
  return true;
}

// Names.

/** May a device be called this? @kernel dev_valid_name net/core/dev.c */
export function devValidName(name: string): boolean {
  if (name.length === 0 || name.length >= IFNAMSIZ) return false;
  if (name === '.' || name === '..') return false;
  return !/[/:\s]/.test(name);
}

/** The first free name of a pattern with one %d; a negative errno otherwise. @kernel __dev_alloc_name net/core/dev.c */
function __devAllocName(net: Net, pattern: string): string | number {
  const at = pattern.indexOf('%');
  if (at < 0 || pattern[at + 1] !== 'd' || pattern.indexOf('%', at + 2) >= 0) return -EINVAL;
  const prefix = pattern.slice(0, at);
  const suffix = pattern.slice(at + 2);
  for (let i = 0; i < MAX_NAME_NUMBER; i++) {
    const name = `${prefix}${i}${suffix}`;
    if (name.length >= IFNAMSIZ) return -ENFILE;
    if (!net.devNameHead.has(name)) return name;
  }
  return -ENFILE;
}

/** A free, valid name made of `want`; a negative errno otherwise. @kernel dev_prep_valid_name net/core/dev.c */
export function devPrepValidName(net: Net, want: string): string | number {
  if (!devValidName(want)) return -EINVAL;
  if (want.includes('%')) return __devAllocName(net, want);
  return net.devNameHead.has(want) ? -EEXIST : want;
}

/** Gives the device the first free name of a pattern. @kernel dev_alloc_name net/core/dev.c */
export function devAllocName(dev: NetDevice, pattern: string): number {
  return devGetValidName(dev.net, dev, pattern);
}

/** @kernel dev_get_valid_name net/core/dev.c */
export function devGetValidName(net: Net, dev: NetDevice, want: string): number {
  const name = devPrepValidName(net, want);
  if (typeof name === 'number') return name;
  dev.name = name;
  return 0;
}

/** Renames a device, also while it is up. 0 or a negative errno. @kernel dev_change_name net/core/dev.c */
export function devChangeName(dev: NetDevice, newname: string): number {
  assertRtnl(dev.net.machine);
  const net = dev.net;
  if (newname === dev.name) return 0;
  const oldname = dev.name;
  const name = devPrepValidName(net, newname);
  if (typeof name === 'number') return name;
  renameTo(dev, name);
  const err = notifierToErrno(callNetdeviceNotifiers(NETDEV_CHANGENAME, dev));
  if (err < 0) {
    renameTo(dev, oldname);
    callNetdeviceNotifiers(NETDEV_CHANGENAME, dev);
    return err;
  }
  return 0;
}

function renameTo(dev: NetDevice, name: string): void {
  dev.net.devNameHead.delete(dev.name);
  dev.name = name;
  dev.net.devNameHead.set(name, dev);
  devBaseSeqInc(dev.net);
}

/** @kernel dev_base_seq_inc net/core/dev.c */
export function devBaseSeqInc(net: Net): void {
  net.devBaseSeq++;
}

// Notifiers.

/** @kernel call_netdevice_notifiers net/core/dev.c */
export function callNetdeviceNotifiers(event: number, dev: NetDevice): number {
  assertRtnl(dev.net.machine);
  return dev.net.machine.netGlobals.netdevChain.call(event, dev);
}

/** Joins the chain and hears REGISTER and UP of every device that exists. @kernel register_netdevice_notifier net/core/dev.c */
export function registerNetdeviceNotifier(machine: Machine, nb: NotifierBlock<NetDevice>): number {
  const globals = machine.netGlobals;
  globals.netdevChain.register(nb);
  for (const net of globals.netnsList) {
    for (const dev of net.devBaseHead) {
      const err = notifierToErrno(nb.call(NETDEV_REGISTER, dev));
      if (err < 0) {
        globals.netdevChain.unregister(nb);
        return err;
      }
      if ((dev.flags & IFF_UP) !== 0) nb.call(NETDEV_UP, dev);
    }
  }
  return 0;
}

/** Leaves the chain; hears GOING_DOWN, DOWN and UNREGISTER of every device. @kernel unregister_netdevice_notifier net/core/dev.c */
export function unregisterNetdeviceNotifier(
  machine: Machine,
  nb: NotifierBlock<NetDevice>,
): number {
  const globals = machine.netGlobals;
  globals.netdevChain.unregister(nb);
  for (const net of globals.netnsList) {
    for (const dev of net.devBaseHead) {
      if ((dev.flags & IFF_UP) !== 0) {
        nb.call(NETDEV_GOING_DOWN, dev);
        nb.call(NETDEV_DOWN, dev);
      }
      nb.call(NETDEV_UNREGISTER, dev);
    }
  }
  return 0;
}

function rtmsgIfinfo(dev: NetDevice, change: number): void {
  dev.net.machine.netGlobals.rtnetlink?.rtmsgIfinfo(RTM_NEWLINK, dev, change);
}

/** Something about a device that is up has changed. @kernel netif_state_change net/core/dev.c */
export function netdevStateChange(dev: NetDevice): void {
  if ((dev.flags & IFF_UP) === 0) return;
  callNetdeviceNotifiers(NETDEV_CHANGE, dev);
  rtmsgIfinfo(dev, 0);
}

/** Asks that the neighbours be told where this host is. @kernel __netdev_notify_peers net/core/dev.c */
export function netdevNotifyPeers(dev: NetDevice): void {
  callNetdeviceNotifiers(NETDEV_NOTIFY_PEERS, dev);
}

// Up and down.

function schedOps(dev: NetDevice): SchedOps {
  const ops = dev.net.machine.netGlobals.schedOps;
  if (ops === null) throw new KernelBug('no-scheduler', 'pktsched_init() has not run');
  return ops;
}

/** @kernel __dev_open net/core/dev.c */
function __devOpen(dev: NetDevice): number {
  assertRtnl(dev.net.machine);
  if (!netifDevicePresent(dev)) return -ENODEV;
  const refused = notifierToErrno(callNetdeviceNotifiers(NETDEV_PRE_UP, dev));
  if (refused < 0) return refused;
  const ops = dev.netdevOps;
  dev.state |= 1 << __LINK_STATE_START;
  let ret = ops.ndoValidateAddr === null ? 0 : ops.ndoValidateAddr(dev);
  if (ret === 0 && ops.ndoOpen !== null) ret = ops.ndoOpen(dev);
  if (ret !== 0) {
    dev.state &= ~(1 << __LINK_STATE_START);
    return ret;
  }
  dev.flags |= IFF_UP;
  devSetRxMode(dev);
  schedOps(dev).devActivate(dev);
  return 0;
}

/** Brings a device up. 0 or a negative errno. @kernel dev_open net/core/dev.c */
export function devOpen(dev: NetDevice): number {
  if ((dev.flags & IFF_UP) !== 0) return 0;
  const ret = __devOpen(dev);
  if (ret < 0) return ret;
  rtmsgIfinfo(dev, IFF_UP | IFF_RUNNING);
  callNetdeviceNotifiers(NETDEV_UP, dev);
  return 0;
}

/** @kernel __dev_close_many net/core/dev.c */
function __devClose(dev: NetDevice): void {
  assertRtnl(dev.net.machine);
  callNetdeviceNotifiers(NETDEV_GOING_DOWN, dev);
  dev.state &= ~(1 << __LINK_STATE_START);
  schedOps(dev).devDeactivate(dev);
  const ops = dev.netdevOps;
  if (ops.ndoStop !== null) ops.ndoStop(dev);
  dev.flags &= ~IFF_UP;
}

/** Takes a device down. @kernel dev_close net/core/dev.c */
export function devClose(dev: NetDevice): void {
  if ((dev.flags & IFF_UP) === 0) return;
  __devClose(dev);
  rtmsgIfinfo(dev, IFF_UP | IFF_RUNNING);
  callNetdeviceNotifiers(NETDEV_DOWN, dev);
}

/** The driver says that the hardware is gone. @kernel netif_device_detach net/core/dev.c */
export function netifDeviceDetach(dev: NetDevice): void {
  if (!netifDevicePresent(dev)) return;
  dev.state &= ~(1 << __LINK_STATE_PRESENT);
  if (netifRunning(dev)) netifTxStopAllQueues(dev);
}

/** The hardware is back. @kernel netif_device_attach net/core/dev.c */
export function netifDeviceAttach(dev: NetDevice): void {
  if (netifDevicePresent(dev)) return;
  dev.state |= 1 << __LINK_STATE_PRESENT;
  if (!netifRunning(dev)) return;
  netifTxWakeAllQueues(dev);
  schedOps(dev).netdevWatchdogUp(dev);
}

// Flags.

/** IFF_* as users see them. @kernel dev_get_flags net/core/dev.c */
export function devGetFlags(dev: NetDevice): number {
  const hidden = IFF_PROMISC | IFF_ALLMULTI | IFF_RUNNING | IFF_LOWER_UP | IFF_DORMANT;
  let flags = (dev.flags & ~hidden) | (dev.gflags & (IFF_PROMISC | IFF_ALLMULTI));
  if (netifRunning(dev)) {
    if (netifOperUp(dev)) flags |= IFF_RUNNING;
    if (netifCarrierOk(dev)) flags |= IFF_LOWER_UP;
    if (netifDormant(dev)) flags |= IFF_DORMANT;
  }
  return flags;
}

/** Changes flags without telling anybody but the driver. @kernel __dev_change_flags net/core/dev.c */
export function __devChangeFlags(
  dev: NetDevice,
  flags: number,
  _extack: NetlinkExtAck | null = null,
): number {
  assertRtnl(dev.net.machine);
  const old = dev.flags;
  const settable =
    IFF_DEBUG |
    IFF_NOTRAILERS |
    IFF_NOARP |
    IFF_DYNAMIC |
    IFF_MULTICAST |
    IFF_PORTSEL |
    IFF_AUTOMEDIA;
  dev.flags =
    (flags & settable) | (dev.flags & (IFF_UP | IFF_VOLATILE | IFF_PROMISC | IFF_ALLMULTI));
  if (((old ^ flags) & IFF_MULTICAST) !== 0) devChangeRxFlags(dev, IFF_MULTICAST);
  devSetRxMode(dev);
  let ret = 0;
  if (((old ^ flags) & IFF_UP) !== 0) {
    if ((old & IFF_UP) !== 0) __devClose(dev);
    else ret = __devOpen(dev);
  }
  if (((flags ^ dev.gflags) & IFF_PROMISC) !== 0) {
    const before = dev.flags;
    dev.gflags ^= IFF_PROMISC;
    const inc = (flags & IFF_PROMISC) !== 0 ? 1 : -1;
    if (setPromiscuity(dev, inc, false) >= 0 && dev.flags !== before) devSetRxMode(dev);
  }
  if (((flags ^ dev.gflags) & IFF_ALLMULTI) !== 0) {
    dev.gflags ^= IFF_ALLMULTI;
    setAllmulti(dev, (flags & IFF_ALLMULTI) !== 0 ? 1 : -1, false);
  }
  return ret;
}

/** Tells who must know that flags have changed. @kernel __dev_notify_flags net/core/dev.c */
export function __devNotifyFlags(dev: NetDevice, oldFlags: number, gchanges: number): void {
  if (gchanges !== 0) rtmsgIfinfo(dev, gchanges);
  const changes = dev.flags ^ oldFlags;
  if ((changes & IFF_UP) !== 0) {
    callNetdeviceNotifiers((dev.flags & IFF_UP) !== 0 ? NETDEV_UP : NETDEV_DOWN, dev);
  }
  const quiet = IFF_UP | IFF_PROMISC | IFF_ALLMULTI | IFF_VOLATILE;
  if ((dev.flags & IFF_UP) !== 0 && (changes & ~quiet) !== 0) {
    callNetdeviceNotifiers(NETDEV_CHANGE, dev);
  }
}

/** Changes flags as SIOCSIFFLAGS and RTM_SETLINK do. 0 or a negative errno. @kernel dev_change_flags net/core/dev.c */
export function devChangeFlags(
  dev: NetDevice,
  flags: number,
  extack: NetlinkExtAck | null = null,
): number {
  const oldFlags = dev.flags;
  const oldGflags = dev.gflags;
  const ret = __devChangeFlags(dev, flags, extack);
  if (ret < 0) return ret;
  __devNotifyFlags(dev, oldFlags, (oldFlags ^ dev.flags) | (oldGflags ^ dev.gflags));
  return ret;
}

/** @kernel dev_change_rx_flags net/core/dev.c */
function devChangeRxFlags(dev: NetDevice, flags: number): void {
  dev.netdevOps.ndoChangeRxFlags?.(dev, flags);
}

/** @kernel __dev_set_promiscuity net/core/dev.c */
function setPromiscuity(dev: NetDevice, inc: number, notify: boolean): number {
  assertRtnl(dev.net.machine);
  const old = dev.flags;
  if (dev.promiscuity + inc < 0) return -EOVERFLOW;
  dev.promiscuity += inc;
  if (dev.promiscuity === 0) dev.flags &= ~IFF_PROMISC;
  else dev.flags |= IFF_PROMISC;
  if (dev.flags !== old) devChangeRxFlags(dev, IFF_PROMISC);
  if (notify) __devNotifyFlags(dev, old, IFF_PROMISC);
  return 0;
}

/** Counts users of promiscuous mode up or down. @kernel dev_set_promiscuity net/core/dev.c */
export function devSetPromiscuity(dev: NetDevice, inc: number): number {
  const old = dev.flags;
  const err = setPromiscuity(dev, inc, true);
  if (err < 0) return err;
  if (dev.flags !== old) devSetRxMode(dev);
  return err;
}

/** @kernel __dev_set_allmulti net/core/dev.c */
function setAllmulti(dev: NetDevice, inc: number, notify: boolean): number {
  assertRtnl(dev.net.machine);
  const old = dev.flags;
  if (dev.allmulti + inc < 0) return -EOVERFLOW;
  dev.allmulti += inc;
  if (dev.allmulti === 0) dev.flags &= ~IFF_ALLMULTI;
  else dev.flags |= IFF_ALLMULTI;
  if (dev.flags !== old) {
    devChangeRxFlags(dev, IFF_ALLMULTI);
    devSetRxMode(dev);
    if (notify) __devNotifyFlags(dev, old, IFF_ALLMULTI);
  }
  return 0;
}

/** @kernel dev_set_allmulti net/core/dev.c */
export function devSetAllmulti(dev: NetDevice, inc: number): number {
  return setAllmulti(dev, inc, true);
}

/** Has the driver look at flags and address lists again. @kernel __dev_set_rx_mode net/core/dev.c */
export function devSetRxMode(dev: NetDevice): void {
  if ((dev.flags & IFF_UP) === 0 || !netifDevicePresent(dev)) return;
  if ((dev.privFlags & IFF_UNICAST_FLT) === 0) {
    const wanted = dev.uc.length > 0;
    if (wanted !== dev.ucPromisc) {
      dev.ucPromisc = wanted;
      setPromiscuity(dev, wanted ? 1 : -1, false);
    }
  }
  dev.netdevOps.ndoSetRxMode?.(dev);
}

// Settings.

/** @kernel dev_validate_mtu net/core/dev.c */
function devValidateMtu(dev: NetDevice, newMtu: number, extack: NetlinkExtAck | null): number {
  if (newMtu < 0 || newMtu < dev.minMtu) {
    if (extack !== null) extack.msg = 'mtu less than device minimum';
    return -EINVAL;
  }
  if (dev.maxMtu > 0 && newMtu > dev.maxMtu) {
    if (extack !== null) extack.msg = 'mtu greater than device maximum';
    return -EINVAL;
  }
  return 0;
}

/** @kernel __dev_set_mtu net/core/dev.c */
function __devSetMtu(dev: NetDevice, newMtu: number): number {
  const ops = dev.netdevOps;
  if (ops.ndoChangeMtu !== null) return ops.ndoChangeMtu(dev, newMtu);
  dev.mtu = newMtu;
  return 0;
}

/** Sets the MTU in bytes. 0 or a negative errno. @kernel dev_set_mtu_ext net/core/dev.c */
export function devSetMtu(
  dev: NetDevice,
  newMtu: number,
  extack: NetlinkExtAck | null = null,
): number {
  if (newMtu === dev.mtu) return 0;
  const invalid = devValidateMtu(dev, newMtu, extack);
  if (invalid < 0) return invalid;
  if (!netifDevicePresent(dev)) return -ENODEV;
  const refused = notifierToErrno(callNetdeviceNotifiers(NETDEV_PRECHANGEMTU, dev));
  if (refused < 0) return refused;
  const orig = dev.mtu;
  const err = __devSetMtu(dev, newMtu);
  if (err !== 0) return err;
  const undo = notifierToErrno(callNetdeviceNotifiers(NETDEV_CHANGEMTU, dev));
  if (undo < 0) {
    __devSetMtu(dev, orig);
    callNetdeviceNotifiers(NETDEV_CHANGEMTU, dev);
  }
  return undo;
}

/** Sets the link address (`dev.addrLen` bytes). 0 or a negative errno. @kernel dev_set_mac_address net/core/dev.c */
export function devSetMacAddress(
  dev: NetDevice,
  addr: Uint8Array,
  _extack: NetlinkExtAck | null = null,
): number {
  const set = dev.netdevOps.ndoSetMacAddress;
  if (set === null) return -EOPNOTSUPP;
  if (addr.length !== dev.addrLen) return -EINVAL;
  if (!netifDevicePresent(dev)) return -ENODEV;
  const refused = notifierToErrno(callNetdeviceNotifiers(NETDEV_PRE_CHANGEADDR, dev));
  if (refused < 0) return refused;
  if (!sameAddr(dev.devAddr, addr, dev.addrLen)) {
    const err = set(dev, addr);
    if (err !== 0) return err;
  }
  dev.addrAssignType = NET_ADDR_SET;
  callNetdeviceNotifiers(NETDEV_CHANGEADDR, dev);
  return 0;
}

/** Has the driver pretend a carrier or its loss. @kernel dev_change_carrier net/core/dev.c */
export function devChangeCarrier(dev: NetDevice, newCarrier: boolean): number {
  const change = dev.netdevOps.ndoChangeCarrier;
  if (change === null) return -EOPNOTSUPP;
  return netifDevicePresent(dev) ? change(dev, newCarrier) : -ENODEV;
}

/** Sets the queue length in packets. 0 or a negative errno. @kernel netif_change_tx_queue_len net/core/dev.c */
export function devChangeTxQueueLen(dev: NetDevice, newLen: number): number {
  if (newLen > U32_MAX || newLen < 0) return -ERANGE;
  const orig = dev.txQueueLen;
  if (newLen === orig) return 0;
  dev.txQueueLen = newLen;
  let err = notifierToErrno(callNetdeviceNotifiers(NETDEV_CHANGE_TX_QUEUE_LEN, dev));
  if (err === 0) err = schedOps(dev).devQdiscChangeTxQueueLen(dev);
  if (err !== 0) dev.txQueueLen = orig;
  return err;
}

/** Without a queue of its own? @kernel IFF_NO_QUEUE include/linux/netdevice.h */
export function devHasNoQueue(dev: NetDevice): boolean {
  return (dev.privFlags & IFF_NO_QUEUE) !== 0;
}

/** Fills `storage` with the device's counters and those of the core. @kernel dev_get_stats net/core/dev.c */
export function devGetStats(
  dev: NetDevice,
  storage: RtnlLinkStats64 = new RtnlLinkStats64(),
): RtnlLinkStats64 {
  const ops = dev.netdevOps;
  if (ops.ndoGetStats64 !== null) {
    Object.assign(storage, new RtnlLinkStats64());
    ops.ndoGetStats64(dev, storage);
  } else {
    Object.assign(storage, dev.stats);
  }
  storage.rxDropped += dev.coreRxDropped;
  storage.txDropped += dev.coreTxDropped;
  storage.rxNohandler += dev.coreRxNohandler;
  storage.rxOtherhostDropped += dev.coreRxOtherhostDropped;
  return storage;
}

/** Puts a handler before the protocols. 0 or -EBUSY. @kernel netdev_rx_handler_register net/core/dev.c */
export function netdevRxHandlerRegister(
  dev: NetDevice,
  rxHandler: NonNullable<NetDevice['rxHandler']>,
  rxHandlerData: object | null,
): number {
  if (dev.rxHandler !== null) return -EBUSY;
  dev.rxHandlerData = rxHandlerData;
  dev.rxHandler = rxHandler;
  return 0;
}

/** @kernel netdev_rx_handler_unregister net/core/dev.c */
export function netdevRxHandlerUnregister(dev: NetDevice): void {
  dev.rxHandler = null;
  dev.rxHandlerData = null;
}

/** Is the device known to its namespace? */
export function netdevIsRegistered(dev: NetDevice): boolean {
  return dev.regState === NETREG_REGISTERED;
}
