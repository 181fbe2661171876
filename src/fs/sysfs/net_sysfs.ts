/**
 * /sys/class/net: a directory for each interface, a file for each attribute. Counterpart of
 * net/core/net-sysfs.c. A value ends with a newline; an attribute that has no value now (speed
 * without a link) fails to be read in Linux and reads as -1 here.
 */
import {
  type DirectoryNode,
  directory,
  type FsNode,
  type RegularNode,
  readOnly,
} from '#fs/namei.ts';
import { moduleDirectory } from '#fs/sysfs/module.ts';
import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import { netifCarrierOk, netifRunning, RtnlLinkStats64 } from '#include/linux/netdevice.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Machine } from '#kernel/machine.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import {
  __devGetByName,
  devChangeFlags,
  devChangeTxQueueLen,
  devGetStats,
  devSetMtu,
} from '#net/core/dev.ts';
import { EINVAL } from '#uapi/errno.ts';

const OPERSTATES: readonly string[] = [
  'unknown',
  'notpresent',
  'down',
  'lowerlayerdown',
  'testing',
  'dormant',
  'up',
];

function macText(addr: Uint8Array): string {
  return Array.from(addr, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** A number that may be written, under rtnl. */
function setting(
  machine: Machine,
  show: () => string,
  set: (value: number) => number,
): RegularNode {
  return {
    kind: 'file',
    show: () => `${show()}\n`,
    store: (text) => {
      const value = Number(text.trim());
      if (text.trim() === '' || !Number.isInteger(value)) return -EINVAL;
      rtnlLock(machine);
      const err = set(value);
      rtnlUnlock(machine);
      return err;
    },
  };
}

/** rxPackets is rx_packets. */
function statisticsName(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** @kernel netstat_attrs net/core/net-sysfs.c */
function statistics(dev: NetDevice): DirectoryNode {
  const entries: Record<string, FsNode> = {};
  for (const field of Object.keys(new RtnlLinkStats64())) {
    // Linux does not show this one.
    if (field === 'rxOtherhostDropped') continue;
    entries[statisticsName(field)] = readOnly(
      () => `${devGetStats(dev)[field as keyof RtnlLinkStats64]}\n`,
    );
  }
  return directory(entries);
}

function speed(dev: NetDevice): string {
  if (!netifRunning(dev) || !netifCarrierOk(dev)) return '-1';
  return String(dev.ethtoolOps?.getLinkKsettings?.(dev).speedMbps ?? -1);
}

function duplex(dev: NetDevice): string {
  const settings = dev.ethtoolOps?.getLinkKsettings?.(dev);
  if (settings === undefined || !netifRunning(dev)) return 'unknown';
  return settings.duplexFull ? 'full' : 'half';
}

/** @kernel net_class_attrs net/core/net-sysfs.c */
function deviceDirectory(dev: NetDevice): DirectoryNode {
  const { machine } = dev.net;
  const text = (show: () => string | number): RegularNode => readOnly(() => `${show()}\n`);
  return directory({
    addr_assign_type: text(() => dev.addrAssignType),
    addr_len: text(() => dev.addrLen),
    address: text(() => macText(dev.devAddr.subarray(0, dev.addrLen))),
    broadcast: text(() => macText(dev.broadcast.subarray(0, dev.addrLen))),
    carrier: text(() => (netifRunning(dev) && netifCarrierOk(dev) ? 1 : 0)),
    carrier_changes: text(() => dev.carrierUpCount + dev.carrierDownCount),
    carrier_down_count: text(() => dev.carrierDownCount),
    carrier_up_count: text(() => dev.carrierUpCount),
    dev_id: text(() => '0x0'),
    dev_port: text(() => 0),
    duplex: text(() => duplex(dev)),
    flags: setting(
      machine,
      () => `0x${dev.flags.toString(16)}`,
      (value) => devChangeFlags(dev, value),
    ),
    gro_flush_timeout: text(() => dev.groFlushTimeoutNs),
    ifalias: readOnly(() => (dev.ifalias === '' ? '' : `${dev.ifalias}\n`)),
    ifindex: text(() => dev.ifindex),
    iflink: text(() => (dev.iflink === 0 ? dev.ifindex : dev.iflink)),
    link_mode: text(() => dev.linkMode),
    mtu: setting(
      machine,
      () => String(dev.mtu),
      (value) => devSetMtu(dev, value),
    ),
    napi_defer_hard_irqs: text(() => dev.napiDeferHardIrqs),
    netdev_group: text(() => dev.group),
    operstate: text(() => OPERSTATES[netifRunning(dev) ? dev.operstate : 2] ?? 'unknown'),
    proto_down: text(() => 0),
    speed: text(() => speed(dev)),
    statistics: statistics(dev),
    tx_queue_len: setting(
      machine,
      () => String(dev.txQueueLen),
      (value) => devChangeTxQueueLen(dev, value),
    ),
    type: text(() => dev.type),
  });
}

/** @kernel net_class net/core/net-sysfs.c */
function classNet(net: Net): DirectoryNode {
  return {
    kind: 'dir',
    list: () => net.devBaseHead.map((dev) => dev.name).sort(),
    lookup: (name) => {
      const dev = __devGetByName(net, name);
      return dev === null ? null : deviceDirectory(dev);
    },
  };
}

/** /sys as a task in `net` sees it. */
export function sysRoot(net: Net): DirectoryNode {
  return directory({
    class: directory({ net: classNet(net) }),
    module: moduleDirectory(net.machine),
  });
}

/** @kernel sysfs_init fs/sysfs/mount.c */
function sysfsInit(machine: Machine): number {
  machine.mounts.set('sys', (task) => sysRoot(task.net));
  return 0;
}

export const sysfsModule: KernelModule = {
  name: 'sysfs',
  config: 'CONFIG_SYSFS',
  depends: [],
  level: FS_INITCALL,
  init: sysfsInit,
  exit: null,
};
