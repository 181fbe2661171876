/**
 * /sys/class/net/DEV/queues: a directory for each receive and transmit queue. Counterpart of the queue
 * part of net/core/net-sysfs.c.
 */
import {
  type DirectoryNode,
  directory,
  type FsNode,
  type RegularNode,
  readOnly,
} from '#fs/namei.ts';
import { NETIF_F_LLTX } from '#include/linux/netdev_features.ts';
import {
  IFF_NO_QUEUE,
  type NetDevice,
  type NetdevQueue,
  netifIsMultiqueue,
} from '#include/linux/netdevice.ts';
import { XPS_CPUS, XPS_RXQS } from '#include/linux/netdevice_xps.ts';
import { jiffiesToMsecs, msecsToJiffies } from '#kernel/time/jiffies.ts';
import { bitmapParse, bitmapString } from '#lib/bitmap_str.ts';
import { DQL_MAX_LIMIT } from '#lib/dynamic_queue_limits.ts';
import { kstrtouint, kstrtoul } from '#lib/kstrtox.ts';
import { __netifSetXpsQueue, xpsQueuesOf } from '#net/core/dev_xps.ts';
import {
  netdevRxQueueFlowCnt,
  netdevRxQueueRpsMask,
  netdevRxQueueSetFlowCnt,
  netdevRxQueueSetRpsMask,
} from '#net/core/net_sysfs.ts';
import { EINVAL, ENOENT } from '#uapi/errno.ts';

/** A file that holds a set of numbers below `size` as a mask. */
function maskFile(
  size: () => number,
  show: () => Uint8Array | number,
  store: (mask: Uint8Array) => number,
): RegularNode {
  return {
    kind: 'file',
    show: () => {
      const mask = show();
      return typeof mask === 'number' ? mask : `${bitmapString(mask)}\n`;
    },
    store: (text) => {
      const mask = bitmapParse(text, size());
      return typeof mask === 'number' ? mask : store(mask);
    },
  };
}

/** A file that holds a number, read by `parse`. */
function countFile(
  parse: (text: string) => number,
  show: () => number,
  store: (value: number) => number,
): RegularNode {
  return {
    kind: 'file',
    show: () => `${show()}\n`,
    store: (text) => {
      const value = parse(text);
      return value < 0 ? value : store(value);
    },
  };
}

/** @kernel rx_queue_default_attrs net/core/net-sysfs.c */
function rxQueue(dev: NetDevice, index: number): DirectoryNode | null {
  const queue = dev.rx[index];
  if (queue === undefined) return null;
  const { cpus } = dev.net.machine;
  return directory({
    rps_cpus: maskFile(
      () => cpus.length,
      () => netdevRxQueueRpsMask(queue),
      (mask) => {
        netdevRxQueueSetRpsMask(queue, mask);
        return 0;
      },
    ),
    rps_flow_cnt: countFile(
      (text) => kstrtoul(text, 0),
      () => netdevRxQueueFlowCnt(queue),
      (count) => netdevRxQueueSetFlowCnt(queue, count),
    ),
  });
}

/** Does the device count bytes? Those without a queue of their own do not. @kernel netdev_uses_bql net/core/net-sysfs.c */
function usesBql(dev: NetDevice): boolean {
  return (dev.features & NETIF_F_LLTX) === 0 && (dev.privFlags & IFF_NO_QUEUE) === 0;
}

/** A file that holds a limit in bytes; `max` is the largest there is. @kernel bql_set net/core/net-sysfs.c */
function limitFile(show: () => number, store: (value: number) => void): RegularNode {
  return {
    kind: 'file',
    show: () => `${show()}\n`,
    store: (text) => {
      const value = /^max\n?$/.test(text) ? DQL_MAX_LIMIT : kstrtouint(text, 10);
      if (value < 0) return value;
      if (value > DQL_MAX_LIMIT) return -EINVAL;
      store(value);
      return 0;
    },
  };
}

/** What is written counts from the next completion on. @kernel dql_attrs net/core/net-sysfs.c */
function byteQueueLimits({ dql }: NetdevQueue): DirectoryNode {
  return directory({
    hold_time: countFile(
      (text) => kstrtouint(text, 10),
      () => jiffiesToMsecs(dql.slackHoldTime),
      (msecs) => {
        dql.slackHoldTime = msecsToJiffies(msecs);
        return 0;
      },
    ),
    inflight: readOnly(() => `${(dql.numQueued - dql.numCompleted) | 0}\n`),
    limit: limitFile(
      () => dql.limit,
      (value) => {
        dql.limit = value;
      },
    ),
    limit_max: limitFile(
      () => dql.maxLimit,
      (value) => {
        dql.maxLimit = value;
      },
    ),
    limit_min: limitFile(
      () => dql.minLimit,
      (value) => {
        dql.minLimit = value;
      },
    ),
  });
}

/** @kernel xps_queue_store net/core/net-sysfs.c */
function xpsFile(dev: NetDevice, index: number, type: number): RegularNode {
  const size = (): number => (type === XPS_RXQS ? dev.numRxQueues : dev.net.machine.cpus.length);
  return maskFile(
    size,
    () => {
      if (!netifIsMultiqueue(dev)) return -ENOENT;
      const mask = new Uint8Array(size());
      return mask.map((_, id) => (xpsQueuesOf(dev, type, id).includes(index) ? 1 : 0));
    },
    (mask) => (netifIsMultiqueue(dev) ? __netifSetXpsQueue(dev, mask, index, type) : -ENOENT),
  );
}

/** @kernel netdev_queue_default_attrs net/core/net-sysfs.c */
function txQueue(dev: NetDevice, index: number): DirectoryNode | null {
  const queue = dev.tx[index];
  if (queue === undefined) return null;
  const entries: Record<string, FsNode> = {
    traffic_class: readOnly(() => (netifIsMultiqueue(dev) ? '0\n' : -ENOENT)),
    tx_timeout: readOnly(() => `${queue.transTimeout}\n`),
    xps_cpus: xpsFile(dev, index, XPS_CPUS),
    xps_rxqs: xpsFile(dev, index, XPS_RXQS),
  };
  if (usesBql(dev)) entries['byte_queue_limits'] = byteQueueLimits(queue);
  return directory(entries);
}

/** Queues in use. @kernel netdev_queue_update_kobjects net/core/net-sysfs.c */
export function queuesDirectory(dev: NetDevice): DirectoryNode {
  return {
    kind: 'dir',
    list: () => [
      ...Array.from({ length: dev.realNumRxQueues }, (_, i) => `rx-${i}`),
      ...Array.from({ length: dev.realNumTxQueues }, (_, i) => `tx-${i}`),
    ],
    lookup: (name) => {
      const match = /^(rx|tx)-(0|[1-9]\d{0,4})$/.exec(name);
      if (match === null) return null;
      const index = Number(match[2]);
      const rx = match[1] === 'rx';
      if (index >= (rx ? dev.realNumRxQueues : dev.realNumTxQueues)) return null;
      return rx ? rxQueue(dev, index) : txQueue(dev, index);
    },
  };
}
