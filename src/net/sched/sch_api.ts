/**
 * The registry of queueing disciplines and the qdiscs of devices as their configuration sees them.
 * Counterpart of net/sched/sch_api.c; its netlink messages come with more disciplines.
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { QdiscOps } from '#include/net/sch_generic.ts';
import type { Machine } from '#kernel/machine.ts';
import { assertRtnl } from '#kernel/rtnl.ts';
import { bfifoQdiscOps, pfifoQdiscOps } from '#net/sched/sch_fifo.ts';
import {
  devGraftQdisc,
  mqQdiscOps,
  noqueueQdiscOps,
  pfifoFastOps,
  qdiscCreateDflt,
  qdiscPut,
  schGenericInit,
} from '#net/sched/sch_generic.ts';
import { EEXIST, EINVAL, ENOENT } from '#uapi/errno.ts';
import { IFF_UP } from '#uapi/if.ts';
import { TC_H_ROOT } from '#uapi/pkt_sched.ts';

/** 0, or -EEXIST when the name is taken. @kernel register_qdisc net/sched/sch_api.c */
export function registerQdisc(machine: Machine, ops: QdiscOps): number {
  const { qdiscBase } = machine.netGlobals;
  if (qdiscBase.has(ops.id)) return -EEXIST;
  qdiscBase.set(ops.id, ops);
  return 0;
}

/** @kernel unregister_qdisc net/sched/sch_api.c */
export function unregisterQdisc(machine: Machine, ops: QdiscOps): void {
  machine.netGlobals.qdiscBase.delete(ops.id);
}

/** Name of the discipline that new devices get: net.core.default_qdisc. @kernel qdisc_set_default net/sched/sch_api.c */
export function qdiscSetDefault(machine: Machine, name: string): number {
  if (!machine.netGlobals.qdiscBase.has(name)) return -ENOENT;
  machine.netGlobals.defaultQdisc = name;
  return 0;
}

/**
 * Puts a discipline at the root of all queues of a device; `handle` is major:0, 0 for none. 0 or a
 * negative errno.
 * @kernel qdisc_graft net/sched/sch_api.c
 */
export function qdiscGraftRoot(dev: NetDevice, kind: string, handle: number): number {
  const { machine } = dev.net;
  assertRtnl(machine);
  const ops = machine.netGlobals.qdiscBase.get(kind);
  const sched = machine.netGlobals.schedOps;
  if (ops === undefined) return -ENOENT;
  if (sched === null) return -EINVAL;
  const up = (dev.flags & IFF_UP) !== 0;
  if (up) sched.devDeactivate(dev);
  let first = null;
  for (const txq of dev.tx) {
    const q = qdiscCreateDflt(txq, ops, TC_H_ROOT);
    if (q === null) {
      if (up) sched.devActivate(dev);
      return -EINVAL;
    }
    q.handle = handle;
    qdiscPut(devGraftQdisc(txq, q));
    first ??= q;
  }
  if (first !== null) {
    first.refcnt++;
    if (dev.qdisc !== null) qdiscPut(dev.qdisc);
    dev.qdisc = first;
  }
  if (up) sched.devActivate(dev);
  return 0;
}

/** @kernel pktsched_init net/sched/sch_api.c */
export function pktschedInit(machine: Machine): number {
  schGenericInit(machine);
  for (const ops of [pfifoFastOps, pfifoQdiscOps, bfifoQdiscOps, mqQdiscOps, noqueueQdiscOps]) {
    const err = registerQdisc(machine, ops);
    if (err !== 0) return err;
  }
  return 0;
}
