/**
 * /sys/class/net: a directory for each interface, a file for each attribute. Counterpart of
 * net/core/net-sysfs.c. A value ends with a newline; an attribute that has no value now (speed
 * without a link) fails to be read. What sets a device is done under rtnl.
 */
import {
  type DirectoryNode,
  directory,
  type FsNode,
  type RegularNode,
  readOnly,
} from '#fs/namei.ts';
import { moduleDirectory } from '#fs/sysfs/module.ts';
import { queuesDirectory } from '#fs/sysfs/net_queues.ts';
import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import {
  netifCarrierOk,
  netifDormant,
  netifRunning,
  RtnlLinkStats64,
} from '#include/linux/netdevice.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Machine } from '#kernel/machine.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { kstrtoul } from '#lib/kstrtox.ts';
import {
  __devGetByName,
  devChangeCarrier,
  devChangeFlags,
  devChangeTxQueueLen,
  devGetStats,
  devSetMtu,
  netdevStateChange,
} from '#net/core/dev.ts';
import { devSetThreaded } from '#net/core/dev_napi.ts';
import { EINVAL, EOPNOTSUPP, ERANGE } from '#uapi/errno.ts';
import { IF_OPER_TESTING, IFALIASZ } from '#uapi/if.ts';

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

function underRtnl(machine: Machine, fn: () => number): number {
  rtnlLock(machine);
  const err = fn();
  rtnlUnlock(machine);
  return err;
}

/** A number that may be written, under rtnl. @kernel netdev_store net/core/net-sysfs.c */
function setting(
  machine: Machine,
  show: () => string,
  set: (value: number) => number,
): RegularNode {
  return {
    kind: 'file',
    show: () => `${show()}\n`,
    store: (text) => {
      const value = kstrtoul(text, 0);
      return value < 0 ? value : underRtnl(machine, () => set(value));
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

/** @kernel speed_show net/core/net-sysfs.c */
function speed(dev: NetDevice): string | number {
  const settings = netifRunning(dev) ? dev.ethtoolOps?.getLinkKsettings?.(dev) : undefined;
  if (settings === undefined) return -EINVAL;
  return `${settings.speedMbps}\n`;
}

/** @kernel duplex_show net/core/net-sysfs.c */
function duplex(dev: NetDevice): string | number {
  const settings = netifRunning(dev) ? dev.ethtoolOps?.getLinkKsettings?.(dev) : undefined;
  if (settings === undefined) return -EINVAL;
  if (settings.duplexFull === null) return 'unknown\n';
  return settings.duplexFull ? 'full\n' : 'half\n';
}

/** A state that only a running device has. */
function whenRunning(dev: NetDevice, is: () => boolean): () => string | number {
  return () => (netifRunning(dev) ? `${is() ? 1 : 0}\n` : -EINVAL);
}

/** @kernel carrier_store net/core/net-sysfs.c */
function carrier(dev: NetDevice): RegularNode {
  return {
    kind: 'file',
    show: whenRunning(dev, () => netifCarrierOk(dev)),
    store: (text) => {
      const value = kstrtoul(text, 0);
      if (value < 0) return value;
      if (!netifRunning(dev)) return -EINVAL;
      return underRtnl(dev.net.machine, () => devChangeCarrier(dev, value !== 0));
    },
  };
}

/** @kernel ifalias_store net/core/net-sysfs.c */
function ifalias(dev: NetDevice): RegularNode {
  return {
    kind: 'file',
    show: () => (dev.ifalias === '' ? '' : `${dev.ifalias}\n`),
    store: (text) => {
      const name = text.replace(/\n$/, '');
      if (name.length >= IFALIASZ) return -EINVAL;
      return underRtnl(dev.net.machine, () => {
        // It is kept as it was written, and ends for readers where C ends a string.
        dev.ifalias = name.replace(/\0.*/s, '');
        netdevStateChange(dev);
        return 0;
      });
    },
  };
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
    carrier: carrier(dev),
    carrier_changes: text(() => dev.carrierUpCount + dev.carrierDownCount),
    carrier_down_count: text(() => dev.carrierDownCount),
    carrier_up_count: text(() => dev.carrierUpCount),
    dev_id: text(() => '0x0'),
    dev_port: text(() => 0),
    dormant: readOnly(whenRunning(dev, () => netifDormant(dev))),
    duplex: readOnly(() => duplex(dev)),
    flags: setting(
      machine,
      () => `0x${dev.flags.toString(16)}`,
      (value) => devChangeFlags(dev, value),
    ),
    gro_flush_timeout: setting(
      machine,
      () => String(dev.groFlushTimeoutNs),
      (value) => {
        dev.groFlushTimeoutNs = value;
        return 0;
      },
    ),
    ifalias: ifalias(dev),
    ifindex: text(() => dev.ifindex),
    iflink: text(() => (dev.iflink === 0 ? dev.ifindex : dev.iflink)),
    link_mode: text(() => dev.linkMode),
    mtu: setting(
      machine,
      () => String(dev.mtu),
      (value) => devSetMtu(dev, value),
    ),
    napi_defer_hard_irqs: setting(
      machine,
      () => String(dev.napiDeferHardIrqs),
      (value) => {
        if (value > 0x7fffffff) return -ERANGE;
        dev.napiDeferHardIrqs = value;
        return 0;
      },
    ),
    netdev_group: setting(
      machine,
      () => String(dev.group),
      (value) => {
        dev.group = value | 0;
        return 0;
      },
    ),
    operstate: text(() => OPERSTATES[netifRunning(dev) ? dev.operstate : 2] ?? 'unknown'),
    proto_down: text(() => 0),
    queues: queuesDirectory(dev),
    speed: readOnly(() => speed(dev)),
    statistics: statistics(dev),
    threaded: setting(
      machine,
      () => (dev.threaded ? '1' : '0'),
      (value) => (value > 1 ? -EOPNOTSUPP : devSetThreaded(dev, value === 1)),
    ),
    tx_queue_len: setting(
      machine,
      () => String(dev.txQueueLen),
      (value) => devChangeTxQueueLen(dev, value),
    ),
    testing: readOnly(whenRunning(dev, () => dev.operstate === IF_OPER_TESTING)),
    type: text(() => dev.type),
    uevent: text(() => `INTERFACE=${dev.name}\nIFINDEX=${dev.ifindex}`),
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
