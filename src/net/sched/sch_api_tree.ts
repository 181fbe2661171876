/**
 * The disciplines of a device as a tree: who is below whom, who has a handle, and the counts above when
 * something below drops. Part of net/sched/sch_api.c, apart from it for the disciplines' own use.
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import { type Qdisc, TCQ_F_BUILTIN } from '#include/net/sch_generic.ts';
import { TC_H_MAJ_MASK, TC_H_ROOT } from '#uapi/pkt_sched.ts';

/** The disciplines directly below one. */
export function qdiscChildren(sch: Qdisc): Qdisc[] {
  const { clOps } = sch.ops;
  const children: Qdisc[] = [];
  clOps?.walk(sch, (cl) => {
    const leaf = clOps.leaf(sch, cl);
    if (leaf !== null && (leaf.flags & TCQ_F_BUILTIN) === 0) children.push(leaf);
  });
  return children;
}

/** @kernel qdisc_match_from_root net/sched/sch_api.c */
function qdiscMatchFromRoot(root: Qdisc, handle: number): Qdisc | null {
  if (root.handle === handle) return root;
  for (const child of qdiscChildren(root)) {
    const found = qdiscMatchFromRoot(child, handle);
    if (found !== null) return found;
  }
  return null;
}

/** The discipline of a device by its handle; null: none. @kernel qdisc_lookup net/sched/sch_api.c */
export function qdiscLookup(dev: NetDevice, handle: number): Qdisc | null {
  if (handle === 0) return null;
  const found = dev.qdisc === null ? null : qdiscMatchFromRoot(dev.qdisc, handle);
  if (found !== null) return found;
  for (const { qdiscSleeping } of dev.tx) {
    const below = qdiscMatchFromRoot(qdiscSleeping, handle);
    if (below !== null) return below;
  }
  return null;
}

/**
 * What a discipline below has dropped of its own accord is taken off those above it.
 * @kernel qdisc_tree_reduce_backlog net/sched/sch_api.c
 */
export function qdiscTreeReduceBacklog(from: Qdisc, packets: number, bytes: number): void {
  if (packets === 0 && bytes === 0) return;
  const dev = from.dev as NetDevice;
  for (let sch = from; sch.parent !== TC_H_ROOT && sch.parent !== 0; ) {
    const wasEmptied = sch.qlen === 0;
    const above = qdiscLookup(dev, (sch.parent & TC_H_MAJ_MASK) >>> 0);
    if (above === null) return;
    const { clOps } = above.ops;
    if (wasEmptied && clOps?.qlenNotify) clOps.qlenNotify(above, clOps.find(above, sch.parent));
    above.qlen -= packets;
    above.backlog -= bytes;
    above.drops += Math.max(packets, 0);
    sch = above;
  }
}

/**
 * The disciplines of a device as a dump shows them: the root, and under mq those of the queues in use,
 * the last first, since each is put before the others into the device's table.
 */
export function qdiscListed(dev: NetDevice): Qdisc[] {
  const { qdisc } = dev;
  if (qdisc === null || qdisc === dev.net.machine.netGlobals.noopQdisc) return [];
  const used = dev.tx.slice(0, dev.realNumTxQueues).reverse();
  const below = used.map((txq) => txq.qdiscSleeping).filter((q) => q !== qdisc);
  return (qdisc.ops.id === 'mq' ? [qdisc, ...below] : [qdisc]).flatMap(withChildren);
}

/** A discipline and all below it. */
function withChildren(q: Qdisc): Qdisc[] {
  // What a discipline has made for itself has no handle and is not shown.
  const shown = qdiscChildren(q).filter((child) => child.handle !== 0);
  return [q, ...shown.flatMap(withChildren)];
}
