/** Settings under net.core. Counterpart of net/core/sysctl_net_core.c. */

import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { NetGlobals } from '#include/net/net_globals.ts';
import type { Net, PernetOperations } from '#include/net/net_namespace.ts';
import { RpsSockFlowTable, SdFlowLimit } from '#include/net/rps.ts';
import { SOCK_MIN_RCVBUF, SOCK_MIN_SNDBUF } from '#include/net/sock.ts';
import type { Machine } from '#kernel/machine.ts';
import { type CtlTable, intEntry, stringEntry } from '#kernel/sysctl.ts';
import { ilog2, roundupPowOfTwo } from '#lib/bitmap.ts';
import { bitmapParse, bitmapString } from '#lib/bitmap_str.ts';
import { registerPernetSubsys } from '#net/core/net_namespace.ts';
import { EINVAL, ENOENT, ENOMEM } from '#uapi/errno.ts';

const INT_MAX = 0x7fffffff;

/** Of the machine as a whole: shown in init_net only. @kernel net_core_table net/core/sysctl_net_core.c */
function netCoreTable(machine: Machine): CtlTable[] {
  const g = machine.netGlobals;
  return [
    intEntry(
      'dev_weight',
      () => g.devWeight,
      (v) => {
        g.devWeight = v;
      },
      1,
    ),
    intEntry(
      'netdev_max_backlog',
      () => g.netdevMaxBacklog,
      (v) => {
        g.netdevMaxBacklog = v;
      },
    ),
    intEntry(
      'netdev_budget',
      () => g.netdevBudget,
      (v) => {
        g.netdevBudget = v;
      },
    ),
    intEntry(
      'netdev_budget_usecs',
      () => g.netdevBudgetUsecs,
      (v) => {
        g.netdevBudgetUsecs = v;
      },
      0,
    ),
    intEntry(
      'netdev_tstamp_prequeue',
      () => g.netdevTstampPrequeue,
      (v) => {
        g.netdevTstampPrequeue = v;
      },
    ),
    intEntry(
      'gro_normal_batch',
      () => g.groNormalBatch,
      (v) => {
        g.groNormalBatch = v;
      },
      1,
    ),
    intEntry(
      'high_order_alloc_disable',
      () => g.highOrderAllocDisable,
      (v) => {
        g.highOrderAllocDisable = v;
      },
      0,
      1,
    ),
    stringEntry(
      'default_qdisc',
      () => g.defaultQdisc,
      (text) => {
        if (!g.qdiscBase.has(text)) return -ENOENT;
        g.defaultQdisc = text;
        return 0;
      },
    ),
  ];
}

/** Most flows of a machine of ours: 64 MB. Linux takes 2^29, if there is memory. */
const RPS_SOCK_FLOWS_MAX: number = 1 << 24;

/** @kernel rps_sock_flow_sysctl net/core/sysctl_net_core.c */
function rpsSockFlowEntries(g: NetGlobals, size: number): number {
  if (size > 1 << 29) return -EINVAL;
  if (size > RPS_SOCK_FLOWS_MAX) return -ENOMEM;
  const before = g.rpsSockFlowTable !== null ? 1 : 0;
  g.rpsSockFlowTable = size === 0 ? null : new RpsSockFlowTable(roundupPowOfTwo(size));
  const change = (g.rpsSockFlowTable !== null ? 1 : 0) - before;
  g.rpsNeeded += change;
  g.rfsNeeded += change;
  return 0;
}

/** Which CPUs look for floods in what they queue. @kernel flow_limit_cpu_sysctl net/core/sysctl_net_core.c */
function setFlowLimitCpus(g: NetGlobals, text: string): number {
  const set = bitmapParse(text, g.softnetData.length);
  if (typeof set === 'number') return set;
  for (const sd of g.softnetData) {
    if (set[sd.cpu.id] === 0) sd.flowLimit = null;
    else sd.flowLimit ??= new SdFlowLimit(ilog2(g.flowLimitTableLen));
  }
  return 0;
}

/** A table's length, for tables made from now on. @kernel flow_limit_table_len_sysctl net/core/sysctl_net_core.c */
function setFlowLimitTableLen(g: NetGlobals, text: string): number {
  const len = Number(text);
  if (!Number.isInteger(len) || len < 1 || len > 1 << 16 || (len & (len - 1)) !== 0) return -EINVAL;
  g.flowLimitTableLen = len;
  return 0;
}

/** Steering and busy polling. @kernel net_core_table net/core/sysctl_net_core.c */
function steeringTable(machine: Machine): CtlTable[] {
  const g = machine.netGlobals;
  return [
    {
      procname: 'rps_sock_flow_entries',
      read: () => String(g.rpsSockFlowTable?.ents.length ?? 0),
      write: (text) => (/^\d{1,10}$/.test(text) ? rpsSockFlowEntries(g, Number(text)) : -EINVAL),
    },
    intEntry(
      'busy_poll',
      () => g.sysctlNetBusyPoll,
      (v) => {
        g.sysctlNetBusyPoll = v;
      },
      0,
    ),
    intEntry(
      'busy_read',
      () => g.sysctlNetBusyRead,
      (v) => {
        g.sysctlNetBusyRead = v;
      },
      0,
    ),
    stringEntry(
      'flow_limit_cpu_bitmap',
      () => bitmapString(Uint8Array.from(g.softnetData, (sd) => (sd.flowLimit === null ? 0 : 1))),
      (text) => setFlowLimitCpus(g, text),
    ),
    stringEntry(
      'flow_limit_table_len',
      () => String(g.flowLimitTableLen),
      (text) => setFlowLimitTableLen(g, text),
    ),
  ];
}

/** @kernel rps_default_mask_sysctl net/core/sysctl_net_core.c */
function rpsDefaultMask(net: Net): CtlTable {
  const size = net.machine.cpus.length;
  return stringEntry(
    'rps_default_mask',
    () => bitmapString(net.rpsDefaultMask ?? new Uint8Array(size)),
    (text) => {
      const set = bitmapParse(text, size);
      if (typeof set === 'number') return set;
      net.rpsDefaultMask = set;
      return 0;
    },
  );
}

/** Of each namespace. @kernel netns_core_table net/core/sysctl_net_core.c */
function netnsCoreTable(net: Net): CtlTable[] {
  return [
    rpsDefaultMask(net),
    intEntry(
      'somaxconn',
      () => net.sysctlSomaxconn,
      (v) => {
        net.sysctlSomaxconn = v;
      },
      0,
      INT_MAX,
    ),
    intEntry(
      'optmem_max',
      () => net.sysctlOptmemMax,
      (v) => {
        net.sysctlOptmemMax = v;
      },
      0,
    ),
    intEntry(
      'wmem_max',
      () => net.sysctlWmemMax,
      (v) => {
        net.sysctlWmemMax = v;
      },
      SOCK_MIN_SNDBUF,
    ),
    intEntry(
      'rmem_max',
      () => net.sysctlRmemMax,
      (v) => {
        net.sysctlRmemMax = v;
      },
      SOCK_MIN_RCVBUF,
    ),
    intEntry(
      'wmem_default',
      () => net.sysctlWmemDefault,
      (v) => {
        net.sysctlWmemDefault = v;
      },
      SOCK_MIN_SNDBUF,
    ),
    intEntry(
      'rmem_default',
      () => net.sysctlRmemDefault,
      (v) => {
        net.sysctlRmemDefault = v;
      },
      SOCK_MIN_RCVBUF,
    ),
  ];
}

const sysctlCoreOps: PernetOperations = {
  name: 'sysctl_core',
  init(net: Net): number {
    net.sysctl.register('net/core', netnsCoreTable(net));
    if (net.nsid === 0) {
      net.sysctl.register('net/core', netCoreTable(net.machine));
      net.sysctl.register('net/core', steeringTable(net.machine));
    }
    return 0;
  },
  // The table goes with its namespace.
  exit: null,
};

/** @kernel sysctl_core_init net/core/sysctl_net_core.c */
function sysctlCoreInit(machine: Machine): number {
  return registerPernetSubsys(machine, sysctlCoreOps);
}

export const sysctlCoreModule: KernelModule = {
  name: 'sysctl_net_core',
  config: 'CONFIG_SYSCTL',
  depends: ['proc'],
  level: FS_INITCALL,
  init: sysctlCoreInit,
  exit: null,
};
