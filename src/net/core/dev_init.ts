/** Sets the device layer up: per-CPU state, backlogs and soft interrupts. @kernel net_dev_init net/core/dev.c */
import {
  NapiStruct,
  NETDEV_TX_OK,
  NETREG_DUMMY,
  NetDevice,
  netDeviceOps,
  SoftnetData,
} from '#include/linux/netdevice.ts';
import type { Machine } from '#kernel/machine.ts';
import { CallSingleData } from '#kernel/smp.ts';
import { NET_RX_SOFTIRQ, NET_TX_SOFTIRQ, openSoftirq } from '#kernel/softirq.ts';
import { roundupPowOfTwo } from '#lib/bitmap.ts';
import { processBacklog } from '#net/core/dev_backlog.ts';
import { netRxAction } from '#net/core/dev_napi.ts';
import { netdevRunTodo } from '#net/core/dev_register.ts';
import { rpsTriggerSoftirq } from '#net/core/dev_rps.ts';
import { netTxAction } from '#net/core/dev_tx.ts';
import { consumeSkb } from '#net/core/skbuff.ts';

/** The device that the backlogs' polling instances name; it is never registered. */
function dummyNetdev(machine: Machine): NetDevice {
  const ops = netDeviceOps({
    ndoStartXmit: (skb) => {
      consumeSkb(skb, 'dummy_netdev');
      return NETDEV_TX_OK;
    },
  });
  const dev = new NetDevice(machine.initNet, '(no_device)', ops, null);
  dev.regState = NETREG_DUMMY;
  return dev;
}

/** Needs init_net and the scheduler. 0. @kernel net_dev_init net/core/dev.c */
export function netDevInit(machine: Machine): number {
  const globals = machine.netGlobals;
  const dummy = dummyNetdev(machine);
  globals.rpsCpuMask = roundupPowOfTwo(machine.cpus.length) - 1;
  for (const cpu of machine.cpus) {
    const sd = new SoftnetData(cpu);
    const backlog = new NapiStruct(dummy, processBacklog, globals.devWeight, 0);
    backlog.state = 0;
    sd.backlog = backlog;
    sd.csd = new CallSingleData(rpsTriggerSoftirq, sd);
    globals.softnetData.push(sd);
  }
  openSoftirq(machine, NET_TX_SOFTIRQ, netTxAction);
  openSoftirq(machine, NET_RX_SOFTIRQ, netRxAction);
  machine.rtnl.runTodo = () => netdevRunTodo(machine);
  return 0;
}
