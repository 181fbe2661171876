/**
 * How many bytes to keep queued on a device: enough that it never runs dry, and no more, so that
 * packets wait where they can be scheduled. Counterpart of lib/dynamic_queue_limits.c and
 * include/linux/dynamic_queue_limits.h.
 *
 * The limit is learned, an interval from one completion to the next. The device ran dry while the
 * queue was at its limit: the limit grows by what was missing. It never ran dry for the hold time: the
 * limit shrinks by the least that was to spare. Counts are int32 that wrap.
 */

/** @kernel DQL_MAX_OBJECT include/linux/dynamic_queue_limits.h */
export const DQL_MAX_OBJECT = 0x0fffffff;
/** @kernel DQL_MAX_LIMIT include/linux/dynamic_queue_limits.h */
export const DQL_MAX_LIMIT: number = 0x7fffffff - DQL_MAX_OBJECT;
/** No slack seen yet. */
const SLACK_UNKNOWN = 0x7fffffff;

/** @kernel dql include/linux/dynamic_queue_limits.h */
export class Dql {
  /** Bytes ever queued. */
  numQueued: number;
  /** Value of numQueued at which the limit is reached. */
  adjLimit: number;
  /** Bytes of the packet queued last. */
  lastObjCnt: number;
  limit: number;
  /** Bytes ever completed. */
  numCompleted: number;
  /** By how much the queue was over its limit, numQueued and lastObjCnt, at the last completion. */
  prevOvlimit: number;
  prevNumQueued: number;
  prevLastObjCnt: number;
  /** Least that was to spare since slackStartTime (jiffies). */
  lowestSlack: number;
  slackStartTime: number;
  maxLimit: number;
  minLimit: number;
  /** Jiffies for which there must be slack before the limit shrinks. */
  slackHoldTime: number;

  /** @kernel dql_init lib/dynamic_queue_limits.c */
  constructor(slackHoldTime: number, jiffies: number) {
    this.numQueued = 0;
    this.adjLimit = 0;
    this.lastObjCnt = 0;
    this.limit = 0;
    this.numCompleted = 0;
    this.prevOvlimit = 0;
    this.prevNumQueued = 0;
    this.prevLastObjCnt = 0;
    this.lowestSlack = SLACK_UNKNOWN;
    this.slackStartTime = jiffies;
    this.maxLimit = DQL_MAX_LIMIT;
    this.minLimit = 0;
    this.slackHoldTime = slackHoldTime;
  }
}

/** Forgets what was queued and learned. @kernel dql_reset lib/dynamic_queue_limits.c */
export function dqlReset(dql: Dql, jiffies: number): void {
  dql.limit = 0;
  dql.adjLimit = 0;
  dql.numQueued = 0;
  dql.numCompleted = 0;
  dql.lastObjCnt = 0;
  dql.prevNumQueued = 0;
  dql.prevLastObjCnt = 0;
  dql.prevOvlimit = 0;
  dql.lowestSlack = SLACK_UNKNOWN;
  dql.slackStartTime = jiffies;
}

/** Bytes that may still be queued; negative: the queue is over its limit. @kernel dql_avail include/linux/dynamic_queue_limits.h */
export function dqlAvail(dql: Dql): number {
  return (dql.adjLimit - dql.numQueued) | 0;
}

/** `count` bytes were given to the device. @kernel dql_queued include/linux/dynamic_queue_limits.h */
export function dqlQueued(dql: Dql, count: number): void {
  dql.lastObjCnt = count;
  dql.numQueued = (dql.numQueued + count) | 0;
}

/** a - b, but 0 when that is negative. @kernel POSDIFF lib/dynamic_queue_limits.c */
function posdiff(a: number, b: number): number {
  const diff = (a - b) | 0;
  return diff > 0 ? diff : 0;
}

/**
 * The device is done with `count` bytes. False: it claims more than it was given, and nothing is
 * changed.
 * @kernel dql_completed lib/dynamic_queue_limits.c
 */
export function dqlCompleted(dql: Dql, count: number, jiffies: number): boolean {
  const { numQueued } = dql;
  const outstanding = (numQueued - dql.numCompleted) | 0;
  if (count > outstanding) return false;
  const completed = (dql.numCompleted + count) | 0;
  let { limit } = dql;
  let ovlimit = posdiff(outstanding, limit);
  const inprogress = (numQueued - completed) | 0;
  const prevInprogress = (dql.prevNumQueued - dql.numCompleted) | 0;
  const allPrevCompleted = ((completed - dql.prevNumQueued) | 0) >= 0;
  if ((ovlimit !== 0 && inprogress === 0) || (dql.prevOvlimit !== 0 && allPrevCompleted)) {
    // It ran dry, or may have: what was sent beyond the last interval's queue was missing.
    limit += posdiff(completed, dql.prevNumQueued) + dql.prevOvlimit;
    dql.slackStartTime = jiffies;
    dql.lowestSlack = SLACK_UNKNOWN;
  } else if (inprogress !== 0 && prevInprogress !== 0 && !allPrevCompleted) {
    limit = shrink(dql, limit, count, jiffies);
  }
  limit = Math.min(Math.max(limit, dql.minLimit), dql.maxLimit);
  if (limit !== dql.limit) {
    dql.limit = limit;
    ovlimit = 0;
  }
  dql.adjLimit = (limit + completed) | 0;
  dql.prevOvlimit = ovlimit;
  dql.prevLastObjCnt = dql.lastObjCnt;
  dql.numCompleted = completed;
  dql.prevNumQueued = numQueued;
  return true;
}

/**
 * The device was busy all the time. Twice what it did in the interval would have been enough: more
 * than that is slack, but a whole packet is never called so.
 */
function shrink(dql: Dql, limit: number, count: number, jiffies: number): number {
  const spare = posdiff(limit + dql.prevOvlimit, 2 * count);
  const whole = dql.prevOvlimit !== 0 ? posdiff(dql.prevLastObjCnt, dql.prevOvlimit) : 0;
  const slack = Math.max(spare, whole);
  if (slack < dql.lowestSlack) dql.lowestSlack = slack;
  if (((jiffies - dql.slackStartTime - dql.slackHoldTime) | 0) <= 0) return limit;
  const smaller = posdiff(limit, dql.lowestSlack);
  dql.slackStartTime = jiffies;
  dql.lowestSlack = SLACK_UNKNOWN;
  return smaller;
}
