/**
 * The registry of queueing disciplines and the qdiscs of devices as their configuration sees them.
 * Counterpart of net/sched/sch_api.c; its netlink messages are in sch_api_netlink.ts.
 */
import type { NetDevice, NetdevQueue } from '#include/linux/netdevice.ts';
import {
  type Qdisc,
  type QdiscClassOps,
  type QdiscOps,
  TCQ_F_NOPARENT,
  TCQ_F_ONETXQUEUE,
} from '#include/net/sch_generic.ts';
import type { Machine } from '#kernel/machine.ts';
import { assertRtnl } from '#kernel/rtnl.ts';
import { qdiscLookup } from '#net/sched/sch_api_tree.ts';
import { devGraftQdisc, qdiscAlloc, qdiscPut } from '#net/sched/sch_generic.ts';
import { EINVAL, ENOENT, ENOMEM } from '#uapi/errno.ts';
import { IFF_UP } from '#uapi/if.ts';
import { TC_H_MAJ_MASK, TC_H_ROOT } from '#uapi/pkt_sched.ts';

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

/** Words that go with a refusal; struct netlink_ext_ack is one of these. */
export interface QdiscExtack {
  msg: string;
}

/**
 * A discipline for a device, not in its place yet. `opt` is the payload of TCA_OPTIONS, null for
 * defaults; a handle of 0 asks for one. A negative errno when it cannot be.
 * @kernel qdisc_create net/sched/sch_api.c
 */
export function qdiscCreate(
  dev: NetDevice,
  txq: NetdevQueue,
  kind: string,
  handle: number,
  opt: Uint8Array | null,
  extack: QdiscExtack,
  parent: number = TC_H_ROOT,
): Qdisc | number {
  const { machine } = dev.net;
  assertRtnl(machine);
  const ops = machine.netGlobals.qdiscBase.get(kind);
  if (ops === undefined) {
    extack.msg = 'Specified qdisc kind is unknown';
    return -ENOENT;
  }
  const sch = qdiscAlloc(txq, ops, parent);
  sch.handle = handle !== 0 ? handle : qdiscAllocHandle(dev);
  const err = sch.handle === 0 ? -ENOMEM : (ops.init?.(sch, opt) ?? 0);
  if (err === 0) return sch;
  qdiscPut(sch);
  return err;
}

/** A handle that no discipline of the device has; 0 when all are taken. @kernel qdisc_alloc_handle net/sched/sch_api.c */
function qdiscAllocHandle(dev: NetDevice): number {
  for (let major = 0x8001; major <= 0xffff; major++) {
    const handle = (major << 16) >>> 0;
    if (qdiscLookup(dev, handle) === null) return handle;
  }
  return 0;
}

/** The class of a classful discipline that a handle names; what is wrong with it otherwise. */
export interface QdiscClass {
  readonly above: Qdisc;
  readonly clOps: QdiscClassOps;
  readonly cl: number;
}

/** @kernel qdisc_leaf net/sched/sch_api.c */
export function qdiscClass(
  dev: NetDevice,
  classid: number,
  extack: QdiscExtack,
): QdiscClass | number {
  const above = qdiscLookup(dev, (classid & TC_H_MAJ_MASK) >>> 0);
  if (above === null) {
    extack.msg = 'Failed to find specified qdisc';
    return -ENOENT;
  }
  const { clOps } = above.ops;
  if (clOps === undefined) {
    extack.msg = 'Parent qdisc is not classful';
    return -EINVAL;
  }
  const cl = clOps.find(above, classid);
  if (cl !== 0) return { above, clOps, cl };
  extack.msg = 'Specified class not found';
  return -ENOENT;
}

/**
 * Makes a discipline and puts it below a class; `kind` null takes away what is there. 0 or a negative
 * errno. @kernel qdisc_graft net/sched/sch_api.c
 */
export function qdiscGraftClass(
  dev: NetDevice,
  { above, clOps, cl }: QdiscClass,
  classid: number,
  kind: string | null,
  handle: number,
  opt: Uint8Array | null,
  extack: QdiscExtack,
): number {
  let leaf: Qdisc | null = null;
  if (kind !== null) {
    const txq = above.devQueue as NetdevQueue;
    const made = qdiscCreate(dev, txq, kind, handle, opt, extack, classid);
    if (typeof made === 'number') return made;
    leaf = made;
  }
  const old = clOps.graft(above, cl, leaf);
  if (old !== null) qdiscPut(old);
  return 0;
}

/**
 * Puts disciplines at the root of a device, one a queue; null brings the defaults back. Takes over
 * the references.
 * @kernel qdisc_graft net/sched/sch_api.c
 */
export function qdiscGraft(dev: NetDevice, made: readonly Qdisc[] | null): number {
  const { netGlobals } = dev.net.machine;
  const sched = netGlobals.schedOps;
  if (sched === null) return -EINVAL;
  const up = (dev.flags & IFF_UP) !== 0;
  if (up) sched.devDeactivate(dev);
  dev.tx.forEach((txq, i) => {
    const q = made?.[i] ?? null;
    // Every discipline below stands for its own queue, or for the device that has one.
    if (q !== null && dev.tx.length === 1) q.flags |= TCQ_F_ONETXQUEUE | TCQ_F_NOPARENT;
    qdiscPut(devGraftQdisc(txq, q));
  });
  const first = made?.[0] ?? netGlobals.noopQdisc;
  if (first !== null) {
    if (made !== null) first.refcnt++;
    if (dev.qdisc !== null) qdiscPut(dev.qdisc);
    dev.qdisc = first;
  }
  if (up) sched.devActivate(dev);
  return 0;
}

/**
 * Makes disciplines of one kind for all queues of a device and puts them at its root. 0 or a
 * negative errno.
 */
export function qdiscReplaceRoot(
  dev: NetDevice,
  kind: string,
  handle: number,
  opt: Uint8Array | null,
  extack: QdiscExtack,
): number {
  const made: Qdisc[] = [];
  let err = 0;
  for (const txq of dev.tx) {
    const q = qdiscCreate(dev, txq, kind, made[0]?.handle ?? handle, opt, extack);
    if (typeof q === 'number') {
      err = q;
      break;
    }
    made.push(q);
  }
  if (err === 0) err = qdiscGraft(dev, made);
  if (err !== 0) for (const q of made) qdiscPut(q);
  return err;
}

/** The same with defaults, for the kernel's own use. */
export function qdiscGraftRoot(dev: NetDevice, kind: string, handle: number): number {
  return qdiscReplaceRoot(dev, kind, handle, null, { msg: '' });
}
