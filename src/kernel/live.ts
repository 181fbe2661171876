/**
 * What a machine holds. Always counted, so that every test can end by asserting that it is nothing.
 */
import type { Machine } from '#kernel/machine.ts';

export class LiveCounters {
  /** Packets whose memory belongs to this machine. */
  skbs = 0;
  socks = 0;
  /** References held on devices beyond their own. */
  devRefs = 0;
  netdevs = 0;
  dsts = 0;
  neighs = 0;
  /** Timers and high-resolution timers that are armed. */
  timers = 0;
  files = 0;
  tasks = 0;
  fibInfos = 0;
  timewaits = 0;
  requests = 0;
  /** Pools of pages that are not destroyed, or wait for pages that are still in use. */
  pagePools = 0;
}

/** The counters that are not zero, by name. */
export function liveReport(machine: Machine): Record<string, number> {
  const report: Record<string, number> = {};
  for (const [name, count] of Object.entries(machine.live) as [string, number][]) {
    if (count !== 0) report[name] = count;
  }
  return report;
}
