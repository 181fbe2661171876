/*
 * How often something may happen: `burst` times in every `interval`, counted from the first.
 * Kernel counterparts: lib/ratelimit.c, include/linux/ratelimit_types.h.
 */

/** @kernel ratelimit_state include/linux/ratelimit_types.h */
export interface RatelimitState {
  /** Length of an interval, in ticks; 0: no limit. */
  interval: number;
  /** Allowed in one interval; 0: nothing is. */
  burst: number;
  /** Start of the running interval; int32 ticks. Meaningless while `running` is false. */
  begin: number;
  running: boolean;
  /** Still allowed in the running interval. */
  left: number;
  /** Refused since missed was last taken. */
  missed: number;
}

/** @kernel DEFINE_RATELIMIT_STATE include/linux/ratelimit_types.h */
export function newRatelimitState(interval: number, burst: number): RatelimitState {
  return { interval, burst, begin: 0, running: false, left: 0, missed: 0 };
}

/**
 * May it happen now? Counts a refusal as missed.
 * @param now int32 ticks, the unit of `interval`
 * @kernel ___ratelimit lib/ratelimit.c
 */
export function ratelimit(rs: RatelimitState, now: number): boolean {
  if (rs.interval === 0) return true;
  if (!rs.running || ((rs.begin + rs.interval - now) | 0) < 0) {
    rs.running = true;
    rs.begin = now;
    rs.left = rs.burst;
  }
  if (rs.left > 0) {
    rs.left--;
    return true;
  }
  rs.missed++;
  return false;
}

/** What was refused since the last call. @kernel ratelimit_state_reset_miss include/linux/ratelimit.h */
export function ratelimitTakeMissed(rs: RatelimitState): number {
  const { missed } = rs;
  rs.missed = 0;
  return missed;
}
