/**
 * Statistics of neighbour tables: /proc/net/stat/arp_cache.
 *
 * Counterpart of the neigh_stat_seq part of net/core/neighbour.c.
 */
import type { NeighTable } from '#include/net/neighbour.ts';

const HEADER =
  'entries  allocs   destroys hash_grows lookups  hits     res_failed ' +
  'rcv_probes_mcast rcv_probes_ucast periodic_gc_runs forced_gc_runs unresolved_discards table_fulls\n';

function hex(value: number, width: number): string {
  return (value >>> 0).toString(16).padStart(8, '0').padEnd(width);
}

/** The text of the file; one line, as there is one set of counters. @kernel neigh_stat_seq_show net/core/neighbour.c */
export function neighStatSeqShow(tbl: NeighTable): string {
  const st = tbl.stats;
  return (
    `${HEADER}${hex(tbl.entries, 8)} ${hex(st.allocs, 8)} ${hex(st.destroys, 8)} ` +
    `${hex(st.hashGrows, 8)}   ${hex(st.lookups, 8)} ${hex(st.hits, 8)} ${hex(st.resFailed, 8)}   ` +
    `${hex(st.rcvProbesMcast, 8)}         ${hex(st.rcvProbesUcast, 8)}         ` +
    `${hex(st.periodicGcRuns, 8)}         ${hex(st.forcedGcRuns, 8)}       ` +
    `${hex(st.unresDiscards, 8)}            ${hex(st.tableFulls, 8)}\n`
  );
}
