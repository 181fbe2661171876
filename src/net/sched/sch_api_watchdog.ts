/**
 * A timer that has a discipline run again, for those that hold packets back until their time. Part of
 * net/sched/sch_api.c.
 */
import type { NetDevice, NetdevQueue } from '#include/linux/netdevice.ts';
import type { Qdisc } from '#include/net/sch_generic.ts';
import {
  HRTIMER_NORESTART,
  Hrtimer,
  hrtimerCancel,
  hrtimerIsQueued,
  hrtimerStart,
} from '#kernel/time/hrtimer.ts';
import { __netifSchedule } from '#net/core/dev_tx.ts';

/** @kernel qdisc_watchdog include/net/pkt_sched.h */
export class QdiscWatchdog {
  /** What it was last set to, ns. */
  lastExpires: number;
  readonly timer: Hrtimer<Qdisc>;

  /** @kernel qdisc_watchdog_init net/sched/sch_api.c */
  constructor(sch: Qdisc) {
    this.lastExpires = 0;
    this.timer = new Hrtimer((sch.dev as NetDevice).net.machine, sch, qdiscWatchdog);
  }
}

/** The root is what runs. @kernel qdisc_watchdog net/sched/sch_api.c */
function qdiscWatchdog(sch: Qdisc): number {
  __netifSchedule((sch.devQueue as NetdevQueue).qdisc);
  return HRTIMER_NORESTART;
}

/** Runs the discipline at a time, give or take. @kernel qdisc_watchdog_schedule_range_ns net/sched/sch_api.c */
export function qdiscWatchdogScheduleRangeNs(
  wd: QdiscWatchdog,
  expires: number,
  deltaNs: number,
): void {
  if (hrtimerIsQueued(wd.timer)) {
    // What is armed comes soon enough.
    const early = wd.lastExpires - expires;
    if (early >= 0 && early <= deltaNs) return;
  }
  wd.lastExpires = expires;
  hrtimerStart(wd.timer, expires);
}

/** @kernel qdisc_watchdog_schedule_ns include/net/pkt_sched.h */
export function qdiscWatchdogScheduleNs(wd: QdiscWatchdog, expires: number): void {
  qdiscWatchdogScheduleRangeNs(wd, expires, 0);
}

/** @kernel qdisc_watchdog_cancel net/sched/sch_api.c */
export function qdiscWatchdogCancel(wd: QdiscWatchdog): void {
  hrtimerCancel(wd.timer);
}
