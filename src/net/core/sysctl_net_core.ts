/** Settings under net.core. Counterpart of net/core/sysctl_net_core.c. */

import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { Net, PernetOperations } from '#include/net/net_namespace.ts';
import { SOCK_MIN_RCVBUF, SOCK_MIN_SNDBUF } from '#include/net/sock.ts';
import type { Machine } from '#kernel/machine.ts';
import { type CtlTable, intEntry, stringEntry } from '#kernel/sysctl.ts';
import { registerPernetSubsys } from '#net/core/net_namespace.ts';
import { ENOENT } from '#uapi/errno.ts';

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

/** Of each namespace. @kernel netns_core_table net/core/sysctl_net_core.c */
function netnsCoreTable(net: Net): CtlTable[] {
  return [
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
    if (net.nsid === 0) net.sysctl.register('net/core', netCoreTable(net.machine));
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
