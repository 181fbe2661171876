/**
 * Parameters of neighbour tables by device. Counterpart of the neigh_parms part of
 * net/core/neighbour.c; their sysctls are in neighbour_sysctl.ts.
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import { netdevHold, netdevPut } from '#include/linux/netdevice_ref.ts';
import { NEIGH_VAR_MAX, NeighParms, type NeighTable } from '#include/net/neighbour.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { neighRandReachTime } from '#net/core/neighbour_nud.ts';

/** The values that devices of `tbl` start with. `defaults` by NEIGH_VAR_*. */
export function neighParmsInit(tbl: NeighTable, defaults: readonly number[]): void {
  const parms = new NeighParms(tbl.machine.initNet, null, tbl);
  for (let i = 0; i < NEIGH_VAR_MAX; i++) parms.data[i] = defaults[i] ?? 0;
  parms.reachableTime = neighRandReachTime(parms);
  tbl.parmsList.push(parms);
}

/** Parameters of a new device: a copy of the defaults. @kernel neigh_parms_alloc net/core/neighbour.c */
export function neighParmsAlloc(dev: NetDevice, tbl: NeighTable): NeighParms {
  const ref = tbl.parmsList[0] as NeighParms;
  const parms = new NeighParms(dev.net, dev, tbl);
  parms.data.set(ref.data);
  parms.reachableTime = neighRandReachTime(parms);
  netdevHold(dev, 'neigh_parms');
  tbl.parmsList.push(parms);
  dev.neighParms.push(parms);
  return parms;
}

/** @kernel neigh_parms_release net/core/neighbour.c */
export function neighParmsRelease(tbl: NeighTable, parms: NeighParms): void {
  const at = tbl.parmsList.indexOf(parms);
  if (at <= 0) return;
  tbl.parmsList.splice(at, 1);
  parms.dead = true;
  const { dev } = parms;
  if (dev !== null) {
    dev.neighParms.splice(dev.neighParms.indexOf(parms), 1);
    netdevPut(dev, 'neigh_parms');
  }
  parms.refcnt--;
}

/** @kernel lookup_neigh_parms net/core/neighbour.c */
export function lookupNeighParms(tbl: NeighTable, net: Net, ifindex: number): NeighParms | null {
  for (const p of tbl.parmsList) {
    if (p.dev !== null && p.dev.ifindex === ifindex && p.net === net) return p;
    if (p.dev === null && ifindex === 0 && net === net.machine.initNet) return p;
  }
  return null;
}

/** @kernel neigh_sysctl_unregister net/core/neighbour.c */
export function neighSysctlUnregister(parms: NeighParms): void {
  parms.sysctlUnregister?.();
  parms.sysctlUnregister = null;
}
