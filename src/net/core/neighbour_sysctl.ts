/**
 * Parameters of neighbour tables under /proc/sys: net.ipv4.neigh.DEV.*. Counterpart of the
 * neigh_sysctl part of net/core/neighbour.c. Times are kept in jiffies of one millisecond; each
 * sysctl has the unit that Linux gives it.
 */

import { SIZEOF_SK_BUFF, SIZEOF_SKB_SHARED_INFO } from '#include/linux/skbuff.ts';
import {
  NEIGH_VAR_ANYCAST_DELAY,
  NEIGH_VAR_APP_PROBES,
  NEIGH_VAR_BASE_REACHABLE_TIME,
  NEIGH_VAR_DELAY_PROBE_TIME,
  NEIGH_VAR_GC_STALETIME,
  NEIGH_VAR_INTERVAL_PROBE_TIME_MS,
  NEIGH_VAR_LOCKTIME,
  NEIGH_VAR_MCAST_PROBES,
  NEIGH_VAR_MCAST_REPROBES,
  NEIGH_VAR_PROXY_DELAY,
  NEIGH_VAR_PROXY_QLEN,
  NEIGH_VAR_QUEUE_LEN_BYTES,
  NEIGH_VAR_RETRANS_TIME,
  NEIGH_VAR_UCAST_PROBES,
  type NeighParms,
  type NeighTable,
  neighVar,
  neighVarSet,
} from '#include/net/neighbour.ts';
import { NETEVENT_DELAY_PROBE_TIME_UPDATE } from '#include/net/netevent.ts';
import { HZ } from '#kernel/param.ts';
import type { CtlTable } from '#kernel/sysctl.ts';
import { neighRandReachTime } from '#net/core/neighbour_nud.ts';
import { EINVAL } from '#uapi/errno.ts';
import { ETH_FRAME_LEN } from '#uapi/if_ether.ts';

/** Accounted size of a full Ethernet frame. @kernel SKB_TRUESIZE include/linux/skbuff.h */
const FRAME_TRUESIZE: number = ETH_FRAME_LEN + SIZEOF_SK_BUFF + SIZEOF_SKB_SHARED_INFO;

/** A change of the defaults goes to the devices that have not their own. @kernel neigh_copy_dflt_parms net/core/neighbour.c */
function neighCopyDfltParms(parms: NeighParms, index: number): void {
  for (const p of parms.tbl.parmsList) {
    if (p.dev === null || p.net !== parms.net || p.dataState[index] !== 0) continue;
    p.data[index] = neighVar(parms, index);
  }
}

/** How a value is shown: units of the sysctl in jiffies, or packets. */
interface NeighVarSpec {
  readonly procname: string;
  readonly index: number;
  /** Jiffies, or bytes, that one unit of the text stands for. */
  readonly unit: number;
}

const SPECS: readonly NeighVarSpec[] = [
  { procname: 'mcast_solicit', index: NEIGH_VAR_MCAST_PROBES, unit: 1 },
  { procname: 'ucast_solicit', index: NEIGH_VAR_UCAST_PROBES, unit: 1 },
  { procname: 'app_solicit', index: NEIGH_VAR_APP_PROBES, unit: 1 },
  { procname: 'mcast_resolicit', index: NEIGH_VAR_MCAST_REPROBES, unit: 1 },
  { procname: 'retrans_time', index: NEIGH_VAR_RETRANS_TIME, unit: HZ / 100 },
  { procname: 'base_reachable_time', index: NEIGH_VAR_BASE_REACHABLE_TIME, unit: HZ },
  { procname: 'delay_first_probe_time', index: NEIGH_VAR_DELAY_PROBE_TIME, unit: HZ },
  { procname: 'interval_probe_time_ms', index: NEIGH_VAR_INTERVAL_PROBE_TIME_MS, unit: 1 },
  { procname: 'gc_stale_time', index: NEIGH_VAR_GC_STALETIME, unit: HZ },
  { procname: 'unres_qlen_bytes', index: NEIGH_VAR_QUEUE_LEN_BYTES, unit: 1 },
  { procname: 'unres_qlen', index: NEIGH_VAR_QUEUE_LEN_BYTES, unit: FRAME_TRUESIZE },
  { procname: 'proxy_qlen', index: NEIGH_VAR_PROXY_QLEN, unit: 1 },
  { procname: 'anycast_delay', index: NEIGH_VAR_ANYCAST_DELAY, unit: HZ / 100 },
  { procname: 'proxy_delay', index: NEIGH_VAR_PROXY_DELAY, unit: HZ / 100 },
  { procname: 'locktime', index: NEIGH_VAR_LOCKTIME, unit: HZ / 100 },
  { procname: 'retrans_time_ms', index: NEIGH_VAR_RETRANS_TIME, unit: 1 },
  { procname: 'base_reachable_time_ms', index: NEIGH_VAR_BASE_REACHABLE_TIME, unit: 1 },
];

/** A whole number from text, or null. */
function parseCount(text: string): number | null {
  const trimmed = text.trim();
  return /^\d{1,10}$/.test(trimmed) ? Number(trimmed) : null;
}

/** A value was written: what follows from it. @kernel neigh_proc_update net/core/neighbour.c */
function neighProcUpdate(parms: NeighParms, index: number): void {
  if (parms.dev === null) neighCopyDfltParms(parms, index);
  if (index === NEIGH_VAR_BASE_REACHABLE_TIME) parms.reachableTime = neighRandReachTime(parms);
  if (index === NEIGH_VAR_DELAY_PROBE_TIME) {
    parms.net.machine.netGlobals.neteventChain.call(NETEVENT_DELAY_PROBE_TIME_UPDATE, parms);
  }
}

function varEntry(parms: NeighParms, spec: NeighVarSpec): CtlTable {
  return {
    procname: spec.procname,
    read: () => String(Math.floor(neighVar(parms, spec.index) / spec.unit)),
    write: (text: string): number => {
      const value = parseCount(text);
      if (value === null || value * spec.unit > 0x7fffffff) return -EINVAL;
      neighVarSet(parms, spec.index, value * spec.unit);
      neighProcUpdate(parms, spec.index);
      return 0;
    },
  };
}

function limitEntry(procname: string, get: () => number, set: (value: number) => void): CtlTable {
  return {
    procname,
    read: () => String(get()),
    write: (text: string): number => {
      const value = parseCount(text);
      if (value === null || value > 0x7fffffff) return -EINVAL;
      set(value);
      return 0;
    },
  };
}

/** What the `default` directory has besides the variables. */
function tableEntries(tbl: NeighTable): CtlTable[] {
  return [
    limitEntry(
      'gc_interval',
      () => Math.floor(tbl.gcInterval / HZ),
      (value) => {
        tbl.gcInterval = value * HZ;
      },
    ),
    limitEntry(
      'gc_thresh1',
      () => tbl.gcThresh1,
      (value) => {
        tbl.gcThresh1 = value;
      },
    ),
    limitEntry(
      'gc_thresh2',
      () => tbl.gcThresh2,
      (value) => {
        tbl.gcThresh2 = value;
      },
    ),
    limitEntry(
      'gc_thresh3',
      () => tbl.gcThresh3,
      (value) => {
        tbl.gcThresh3 = value;
      },
    ),
  ];
}

/** Shows the parameters under net/FAMILY/neigh/DEV. @kernel neigh_sysctl_register net/core/neighbour.c */
export function neighSysctlRegister(parms: NeighParms, family: string): void {
  const { dev, net, tbl } = parms;
  const entries = SPECS.map((spec) => varEntry(parms, spec));
  if (dev === null) entries.push(...tableEntries(tbl));
  const path = `net/${family}/neigh/${dev?.name ?? 'default'}`;
  parms.sysctlUnregister = net.sysctl.register(path, entries);
}
