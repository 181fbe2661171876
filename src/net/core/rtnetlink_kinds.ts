/**
 * The kinds of devices that `ip link add type KIND` makes: what drivers register, whether there is a
 * netlink to ask for them or not. Counterpart of rtnl_link_register of net/core/rtnetlink.c.
 */

import type { RtnlLinkOps } from '#include/net/rtnetlink.ts';
import type { Machine } from '#kernel/machine.ts';
import { EEXIST } from '#uapi/errno.ts';

/** @kernel rtnl_link_register net/core/rtnetlink.c */
export function rtnlLinkRegister(machine: Machine, ops: RtnlLinkOps): number {
  const kinds = machine.netGlobals.linkOps;
  if (kinds.has(ops.kind)) return -EEXIST;
  kinds.set(ops.kind, ops);
  return 0;
}

/** @kernel rtnl_link_ops_get net/core/rtnetlink.c */
export function rtnlLinkOpsGet(machine: Machine, kind: string): RtnlLinkOps | null {
  return machine.netGlobals.linkOps.get(kind) ?? null;
}
