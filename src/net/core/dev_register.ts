/**
 * Network devices: allocation, registration, features, the way out, and moves between namespaces.
 * Counterpart of those parts of net/core/dev.c.
 *
 *   alloc_netdev -> UNINITIALIZED -- register_netdevice --> REGISTERED
 *   REGISTERED -- unregister_netdevice --> UNREGISTERING -- last reference --> UNREGISTERED
 *   UNREGISTERED -- free_netdev --> RELEASED
 *
 * The last steps wait, after rtnl is released, until nobody holds the device any more; they are
 * tried again by a timer, as Linux sleeps in between.
 */
import {
  NETIF_F_ALL_TSO,
  NETIF_F_CSUM_MASK,
  NETIF_F_GRO_HW,
  NETIF_F_GSO,
  NETIF_F_GSO_PARTIAL,
  NETIF_F_GSO_UDP_L4,
  NETIF_F_HIGHDMA,
  NETIF_F_HW_CSUM,
  NETIF_F_IP_CSUM,
  NETIF_F_IPV6_CSUM,
  NETIF_F_LRO,
  NETIF_F_NETNS_LOCAL,
  NETIF_F_NEVER_CHANGE,
  NETIF_F_NOCACHE_COPY,
  NETIF_F_RXCSUM,
  NETIF_F_SG,
  NETIF_F_SOFT_FEATURES,
  NETIF_F_SOFT_FEATURES_OFF,
  NETIF_F_TSO,
  NETIF_F_TSO_ECN,
  NETIF_F_TSO_MANGLEID,
  NETIF_F_TSO6,
} from '#include/linux/netdev_features.ts';
import {
  __LINK_STATE_PRESENT,
  DEFAULT_TX_QUEUE_LEN,
  IFF_NO_QUEUE,
  IFF_XMIT_DST_RELEASE,
  IFF_XMIT_DST_RELEASE_PERM,
  NET_ADDR_PERM,
  NETDEV_FEAT_CHANGE,
  NETDEV_POST_INIT,
  NETDEV_PRE_UNINIT,
  NETDEV_REGISTER,
  NETDEV_UNREGISTER,
  NETREG_REGISTERED,
  NETREG_RELEASED,
  NETREG_UNINITIALIZED,
  NETREG_UNREGISTERED,
  NETREG_UNREGISTERING,
  NetDevice,
  type NetDeviceOps,
  NetdevQueue,
} from '#include/linux/netdevice.ts';
import { netdevHold, netdevHoldersText, netdevPut } from '#include/linux/netdevice_ref.ts';
import type { SkBuff, SkBuffHead } from '#include/linux/skbuff.ts';
import { __skbUnlink } from '#include/linux/skbuff_queue.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { NetdevRxQueue } from '#include/net/netdev_rx_queue.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import type { Machine } from '#kernel/machine.ts';
import { HZ } from '#kernel/machine.ts';
import { notifierToErrno } from '#kernel/notifier.ts';
import { rcuBarrier } from '#kernel/rcu.ts';
import { assertRtnl, rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { cancelDelayedWorkSync, DelayedWork, scheduleDelayedWork } from '#kernel/workqueue.ts';
import {
  callNetdeviceNotifiers,
  devBaseSeqInc,
  devClose,
  devGetValidName,
  devPrepValidName,
} from '#net/core/dev.ts';
import { devMcFlush, devUcFlush } from '#net/core/dev_addr_lists.ts';
import { netifNapiDel } from '#net/core/dev_napi.ts';
import { netifResetXpsQueuesGt } from '#net/core/dev_xps.ts';
import { linkwatchInitDev, linkwatchSyncDev } from '#net/core/link_watch.ts';
import { rxQueuesAdd, rxQueuesRelease } from '#net/core/net_sysfs.ts';
import { kfreeSkb } from '#net/core/skbuff.ts';
import { EBUSY, EEXIST, EINVAL } from '#uapi/errno.ts';
import { IFF_LOOPBACK, IFF_UP } from '#uapi/if.ts';
import { SKB_DROP_REASON_DEV_READY } from '#uapi/net_dropreason.ts';
import { RTM_DELLINK, RTM_NEWLINK } from '#uapi/rtnetlink.ts';

/** How long to wait for references before looking again. @kernel WAIT_REFS_MIN_MSECS net/core/dev.c */
const WAIT_REFS_JIFFIES: number = HZ / 4;
/** After this many jiffies a device that is still held is a bug of its holder's. @kernel netdev_unregister_timeout_secs net/core/dev.c */
const UNREGISTER_TIMEOUT: number = 10 * HZ;

// Allocation.

/**
 * A device with its queues, not registered. `name` may be a pattern (`eth%d`); `setup` fills in
 * what its type has in common, e.g. etherSetup.
 * @kernel alloc_netdev_mqs net/core/dev.c
 * @kernel netif_alloc_netdev_queues net/core/dev.c
 */
export function allocNetdevMqs(
  net: Net,
  name: string,
  ops: NetDeviceOps,
  priv: unknown,
  setup: (dev: NetDevice) => void,
  txqs = 1,
  rxqs = 1,
): NetDevice {
  const noop = net.machine.netGlobals.noopQdisc;
  if (noop === null) throw new KernelBug('no-scheduler', 'pktsched_init() has not run');
  if (txqs < 1 || rxqs < 1) throw new KernelBug('netdev-queues', `${txqs} tx, ${rxqs} rx queues`);
  const dev = new NetDevice(net, name, ops, priv);
  dev.privFlags |= IFF_XMIT_DST_RELEASE | IFF_XMIT_DST_RELEASE_PERM;
  setup(dev);
  if (dev.txQueueLen === 0) {
    dev.privFlags |= IFF_NO_QUEUE;
    dev.txQueueLen = DEFAULT_TX_QUEUE_LEN;
  }
  dev.numTxQueues = txqs;
  dev.realNumTxQueues = txqs;
  dev.numRxQueues = rxqs;
  dev.realNumRxQueues = rxqs;
  for (let i = 0; i < txqs; i++) dev.tx.push(new NetdevQueue(dev, i, noop));
  for (let i = 0; i < rxqs; i++) dev.rx.push(new NetdevRxQueue(dev, i));
  return dev;
}

/** Frees a device that is not registered (any more). @kernel free_netdev net/core/dev.c */
export function freeNetdev(dev: NetDevice): void {
  if (dev.regState === NETREG_REGISTERED || dev.regState === NETREG_UNREGISTERING) {
    // Linux frees it at the end of the unregistration that is under way.
    dev.needsFreeNetdev = true;
    return;
  }
  for (const napi of dev.napiList.slice()) netifNapiDel(napi);
  if (dev.regState === NETREG_UNINITIALIZED) {
    dev.privDestructor?.(dev);
    dev.privDestructor = null;
  }
  dev.regState = NETREG_RELEASED;
}

// Features.

/** Takes back what cannot work without something else. @kernel netdev_fix_features net/core/dev.c */
function netdevFixFeatures(features: number): number {
  let f = features;
  if ((f & NETIF_F_HW_CSUM) !== 0) f &= ~(NETIF_F_IP_CSUM | NETIF_F_IPV6_CSUM);
  const v4 = (f & (NETIF_F_HW_CSUM | NETIF_F_IP_CSUM)) !== 0;
  const v6 = (f & (NETIF_F_HW_CSUM | NETIF_F_IPV6_CSUM)) !== 0;
  const sg = (f & NETIF_F_SG) !== 0;
  if (!sg) f &= ~NETIF_F_ALL_TSO;
  if (!v4) f &= ~NETIF_F_TSO;
  if (!v6) f &= ~NETIF_F_TSO6;
  if ((f & (NETIF_F_TSO | NETIF_F_TSO6)) === 0) f &= ~(NETIF_F_TSO_ECN | NETIF_F_TSO_MANGLEID);
  if ((f & NETIF_F_TSO) === 0) f &= ~NETIF_F_TSO_MANGLEID;
  if (!sg) f &= ~NETIF_F_GSO;
  if ((f & NETIF_F_CSUM_MASK) === 0 || !sg) f &= ~NETIF_F_GSO_UDP_L4;
  if ((f & NETIF_F_GSO) === 0) f &= ~NETIF_F_GSO_PARTIAL;
  if ((f & NETIF_F_RXCSUM) === 0) f &= ~(NETIF_F_GRO_HW | NETIF_F_LRO);
  return f;
}

/** Brings `features` in line with what is wanted and possible; true: changed. @kernel __netdev_update_features net/core/dev.c */
export function __netdevUpdateFeatures(dev: NetDevice): boolean {
  assertRtnl(dev.net.machine);
  const ops = dev.netdevOps;
  let features = (dev.features & ~dev.hwFeatures) | dev.wantedFeatures;
  if (ops.ndoFixFeatures !== null) features = ops.ndoFixFeatures(dev, features);
  features = netdevFixFeatures(features);
  if (dev.features === features) return false;
  const err = ops.ndoSetFeatures === null ? 0 : ops.ndoSetFeatures(dev, features);
  if (err < 0) return false;
  if (err === 0) dev.features = features;
  return true;
}

/** @kernel netdev_update_features net/core/dev.c */
export function netdevUpdateFeatures(dev: NetDevice): void {
  if (__netdevUpdateFeatures(dev)) callNetdeviceNotifiers(NETDEV_FEAT_CHANGE, dev);
}

/** What every device can do in software, and what follows from the driver's features. */
function initFeatures(dev: NetDevice): void {
  dev.hwFeatures |= NETIF_F_SOFT_FEATURES | NETIF_F_SOFT_FEATURES_OFF;
  dev.features |= NETIF_F_SOFT_FEATURES;
  dev.hwFeatures &= ~NETIF_F_NEVER_CHANGE;
  dev.wantedFeatures = dev.features & dev.hwFeatures;
  if ((dev.flags & IFF_LOOPBACK) === 0) dev.hwFeatures |= NETIF_F_NOCACHE_COPY;
  if ((dev.hwFeatures & NETIF_F_TSO) !== 0) dev.hwFeatures |= NETIF_F_TSO_MANGLEID;
  dev.hwEncFeatures |= NETIF_F_SG | NETIF_F_GSO_PARTIAL | NETIF_F_HIGHDMA;
}

// Registration.

/** A free interface index, or the wanted one; a negative errno when it is taken. @kernel dev_index_reserve net/core/dev.c */
function devIndexReserve(net: Net, want: number): number {
  if (want < 0) return -EINVAL;
  if (want > 0) return net.devIndexHead.has(want) ? -EBUSY : want;
  do {
    net.ifindexNext = net.ifindexNext >= 0x7fffffff ? 1 : net.ifindexNext + 1;
  } while (net.devIndexHead.has(net.ifindexNext));
  return net.ifindexNext;
}

/** @kernel list_netdevice net/core/dev.c */
function listNetdevice(dev: NetDevice): void {
  const net = dev.net;
  net.devBaseHead.push(dev);
  net.devNameHead.set(dev.name, dev);
  net.devIndexHead.set(dev.ifindex, dev);
  devBaseSeqInc(net);
}

/** @kernel unlist_netdevice net/core/dev.c */
function unlistNetdevice(dev: NetDevice): void {
  const net = dev.net;
  const at = net.devBaseHead.indexOf(dev);
  if (at >= 0) net.devBaseHead.splice(at, 1);
  net.devNameHead.delete(dev.name);
  net.devIndexHead.delete(dev.ifindex);
  devBaseSeqInc(net);
}

/** Makes the device known to the namespace; rtnl is held. 0 or a negative errno. @kernel register_netdevice net/core/dev.c */
export function registerNetdevice(dev: NetDevice): number {
  const { net } = dev;
  const globals = net.machine.netGlobals;
  assertRtnl(net.machine);
  if (dev.regState !== NETREG_UNINITIALIZED) {
    throw new KernelBug('netdev-register-twice', `${dev.name} in state ${dev.regState}`);
  }
  const named = devGetValidName(net, dev, dev.name);
  if (named < 0) return named;
  const ops = dev.netdevOps;
  if (ops.ndoInit !== null) {
    const err = ops.ndoInit(dev);
    if (err !== 0) return err > 0 ? -EINVAL : err;
  }
  const index = devIndexReserve(net, dev.ifindex);
  if (index < 0) return undoInit(dev, index);
  dev.ifindex = index;
  if (dev.iflink === 0) dev.iflink = index;
  initFeatures(dev);
  const refused = notifierToErrno(callNetdeviceNotifiers(NETDEV_POST_INIT, dev));
  if (refused < 0) return undoInit(dev, refused);
  dev.regState = NETREG_REGISTERED;
  net.machine.live.netdevs++;
  rxQueuesAdd(dev);
  __netdevUpdateFeatures(dev);
  dev.state |= 1 << __LINK_STATE_PRESENT;
  linkwatchInitDev(dev);
  globals.schedOps?.devInitScheduler(dev);
  netdevHold(dev, 'registration');
  listNetdevice(dev);
  if (dev.addrAssignType === NET_ADDR_PERM) dev.permAddr.set(dev.devAddr);
  const err = notifierToErrno(callNetdeviceNotifiers(NETDEV_REGISTER, dev));
  if (err < 0) {
    dev.needsFreeNetdev = false;
    unregisterNetdeviceMany([dev]);
    return err;
  }
  // A device of a link kind is announced once it is configured.
  if (dev.rtnlLinkOps === null) globals.rtnetlink?.rtmsgIfinfo(RTM_NEWLINK, dev, 0xffffffff);
  return 0;
}

function undoInit(dev: NetDevice, err: number): number {
  dev.ifindex = 0;
  dev.netdevOps.ndoUninit?.(dev);
  dev.privDestructor?.(dev);
  return err;
}

/** The same, taking rtnl. @kernel register_netdev net/core/dev.c */
export function registerNetdev(dev: NetDevice): number {
  const { machine } = dev.net;
  rtnlLock(machine);
  const err = registerNetdevice(dev);
  rtnlUnlock(machine);
  return err;
}

// Unregistration.

/** Drops packets of dying devices from the backlogs of all CPUs. @kernel flush_backlog net/core/dev.c */
function flushAllBacklogs(machine: Machine): void {
  for (const sd of machine.netGlobals.softnetData) {
    // What is purged has left the backlog too: flows that wait for it may move on.
    const purged = purgeUnregistering(sd.inputPktQueue) + purgeUnregistering(sd.processQueue);
    sd.inputQueueHead = (sd.inputQueueHead + purged) | 0;
  }
}

function purgeUnregistering(list: SkBuffHead): number {
  let purged = 0;
  let skb = list.next;
  while (skb !== null) {
    const next: SkBuff | null = skb.next;
    if (skb.dev?.regState === NETREG_UNREGISTERING) {
      __skbUnlink(skb, list);
      kfreeSkb(skb, SKB_DROP_REASON_DEV_READY, 'flush_backlog');
      purged++;
    }
    skb = next;
  }
  return purged;
}

/** Takes devices out; rtnl is held, the rest happens when it is released. @kernel unregister_netdevice_many net/core/dev.c */
export function unregisterNetdeviceMany(list: readonly NetDevice[]): void {
  const devs: NetDevice[] = [];
  for (const dev of list) {
    assertRtnl(dev.net.machine);
    // A device whose registration failed has nothing to undo.
    if (dev.regState === NETREG_UNINITIALIZED) continue;
    if (dev.regState !== NETREG_REGISTERED) {
      throw new KernelBug('netdev-unregister', `${dev.name} in state ${dev.regState}`);
    }
    dev.dismantle = true;
    devs.push(dev);
  }
  for (const dev of devs) if ((dev.flags & IFF_UP) !== 0) devClose(dev);
  for (const dev of devs) {
    unlistNetdevice(dev);
    dev.regState = NETREG_UNREGISTERING;
  }
  for (const dev of devs) flushAllBacklogs(dev.net.machine);
  for (const dev of devs) rollbackRegistered(dev);
  for (const dev of devs) {
    netdevPut(dev, 'registration');
    const { machine } = dev.net;
    const todo = machine.netGlobals.netTodoList;
    if (todo.length === 0) machine.netGlobals.netTodoSince = machine.jiffies;
    todo.push(dev);
  }
}

function rollbackRegistered(dev: NetDevice): void {
  const globals = dev.net.machine.netGlobals;
  globals.schedOps?.devShutdown(dev);
  callNetdeviceNotifiers(NETDEV_UNREGISTER, dev);
  globals.rtnetlink?.rtmsgIfinfo(RTM_DELLINK, dev, 0xffffffff);
  devUcFlush(dev);
  devMcFlush(dev);
  rxQueuesRelease(dev);
  netifResetXpsQueuesGt(dev, 0);
  callNetdeviceNotifiers(NETDEV_PRE_UNINIT, dev);
  dev.netdevOps.ndoUninit?.(dev);
  if (dev.rxHandler !== null) {
    throw new KernelBug('netdev-rx-handler', `${dev.name} is unregistered with an rx_handler`);
  }
}

/** Takes a device out; with `head` it is only put on that list. @kernel unregister_netdevice_queue net/core/dev.c */
export function unregisterNetdeviceQueue(dev: NetDevice, head: NetDevice[] | null): void {
  if (head !== null) head.push(dev);
  else unregisterNetdeviceMany([dev]);
}

/** @kernel unregister_netdevice include/linux/netdevice.h */
export function unregisterNetdevice(dev: NetDevice): void {
  unregisterNetdeviceMany([dev]);
}

/** The same, taking rtnl. @kernel unregister_netdev net/core/dev.c */
export function unregisterNetdev(dev: NetDevice): void {
  const { machine } = dev.net;
  rtnlLock(machine);
  unregisterNetdeviceMany([dev]);
  rtnlUnlock(machine);
}

/**
 * Finishes the devices that nobody holds any more; the others get UNREGISTER again and are looked
 * at later. Runs when rtnl is released.
 * @kernel netdev_run_todo net/core/dev.c
 */
export function netdevRunTodo(machine: Machine): void {
  const globals = machine.netGlobals;
  const todo = globals.netTodoList;
  if (todo.length === 0) return;
  globals.netTodoList = [];
  rcuBarrier(machine);
  for (const dev of todo) {
    linkwatchSyncDev(dev);
    if (dev.refcnt > 1) {
      globals.netTodoList.push(dev);
      continue;
    }
    dev.regState = NETREG_UNREGISTERED;
    machine.live.netdevs--;
    dev.privDestructor?.(dev);
    dev.privDestructor = null;
    if (dev.needsFreeNetdev) freeNetdev(dev);
  }
  if (globals.netTodoList.length === 0) {
    if (globals.todoWork !== null) cancelDelayedWorkSync(globals.todoWork);
    return;
  }
  globals.todoWork ??= new DelayedWork(machine, () => remindHolders(machine));
  scheduleDelayedWork(globals.todoWork, WAIT_REFS_JIFFIES);
}

/** Tells the holders of dying devices again. @kernel netdev_wait_allrefs_any net/core/dev.c */
function remindHolders(machine: Machine): void {
  const { netTodoList, netTodoSince } = machine.netGlobals;
  if (DEBUG && ((machine.jiffies - netTodoSince) | 0) >= UNREGISTER_TIMEOUT) {
    netdevCheckTodo(machine);
  }
  rtnlLock(machine);
  for (const dev of netTodoList) {
    if (dev.refcnt > 1) callNetdeviceNotifiers(NETDEV_UNREGISTER, dev);
  }
  rtnlUnlock(machine);
}

/** Throws when a device was unregistered and somebody still holds it. For debug builds. */
export function netdevCheckTodo(machine: Machine): void {
  const waiting = machine.netGlobals.netTodoList.map(
    (dev) =>
      `waiting for ${dev.name} to become free: dev_hold() without dev_put(), ` +
      `usage count ${netdevHoldersText(dev)}`,
  );
  if (waiting.length > 0) {
    throw new KernelBug('dev-ref-leak', `unregister_netdevice: ${waiting.join('; ')}`);
  }
}

// Namespaces.

/**
 * Moves a device to another namespace of the same machine: for the old one it goes away, for the new
 * one it comes. `pat` is the name to take when the present one is in use there. 0 or an errno.
 * @kernel __dev_change_net_namespace net/core/dev.c
 */
export function devChangeNetNamespace(dev: NetDevice, net: Net, pat: string | null): number {
  assertRtnl(dev.net.machine);
  if ((dev.features & NETIF_F_NETNS_LOCAL) !== 0) return -EINVAL;
  if (dev.regState !== NETREG_REGISTERED) return -EINVAL;
  if (dev.net === net) return 0;
  if (net.machine !== dev.net.machine) return -EINVAL;
  let name = dev.name;
  if (pat !== null || net.devNameHead.has(name)) {
    if (pat === null) return -EEXIST;
    const got = devPrepValidName(net, pat);
    if (typeof got === 'number') return got;
    name = got;
  }
  const globals = dev.net.machine.netGlobals;
  if ((dev.flags & IFF_UP) !== 0) devClose(dev);
  unlistNetdevice(dev);
  globals.schedOps?.devShutdown(dev);
  callNetdeviceNotifiers(NETDEV_UNREGISTER, dev);
  globals.rtnetlink?.rtmsgIfinfo(RTM_DELLINK, dev, 0xffffffff);
  devUcFlush(dev);
  devMcFlush(dev);
  dev.net = net;
  dev.name = name;
  const kept = net.devIndexHead.has(dev.ifindex) ? devIndexReserve(net, 0) : dev.ifindex;
  if (dev.iflink === dev.ifindex) dev.iflink = kept;
  dev.ifindex = kept;
  globals.schedOps?.devInitScheduler(dev);
  listNetdevice(dev);
  callNetdeviceNotifiers(NETDEV_REGISTER, dev);
  globals.rtnetlink?.rtmsgIfinfo(RTM_NEWLINK, dev, 0xffffffff);
  return 0;
}

/** Devices of a namespace that goes away return to init_net or are removed. @kernel default_device_exit_batch net/core/dev.c */
export function defaultDeviceExit(net: Net): void {
  const { machine } = net;
  rtnlLock(machine);
  const gone: NetDevice[] = [];
  for (const dev of net.devBaseHead.slice().reverse()) {
    if (dev.regState !== NETREG_REGISTERED) continue;
    if (dev.rtnlLinkOps !== null) {
      if (dev.rtnlLinkOps.dellink !== null) dev.rtnlLinkOps.dellink(dev);
      else gone.push(dev);
    } else if (net === machine.initNet || (dev.features & NETIF_F_NETNS_LOCAL) !== 0) {
      gone.push(dev);
    } else {
      const err = devChangeNetNamespace(dev, machine.initNet, `dev${dev.ifindex}`);
      if (err < 0) gone.push(dev);
    }
  }
  if (gone.length > 0) unregisterNetdeviceMany(gone);
  rtnlUnlock(machine);
}

/** Sets how many queues are in use; rtnl is held. 0 or -EINVAL. @kernel netif_set_real_num_tx_queues net/core/dev.c */
export function netifSetRealNumTxQueues(dev: NetDevice, txq: number): number {
  if (txq < 1 || txq > dev.numTxQueues) return -EINVAL;
  const disabling = txq < dev.realNumTxQueues;
  dev.realNumTxQueues = txq;
  if (!disabling) return 0;
  dev.net.machine.netGlobals.schedOps?.qdiscResetAllTxGt(dev, txq);
  netifResetXpsQueuesGt(dev, txq);
  return 0;
}

/** @kernel netif_set_real_num_rx_queues net/core/dev.c */
export function netifSetRealNumRxQueues(dev: NetDevice, rxq: number): number {
  if (rxq < 1 || rxq > dev.numRxQueues) return -EINVAL;
  dev.realNumRxQueues = rxq;
  return 0;
}
